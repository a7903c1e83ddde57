//! What stands behind a dial: somebody to talk, and a number to show.

use serde::{Deserialize, Serialize};

/// Who will talk when the person answers, by a lease that is alive at the moment of judging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// Nobody.
    Absent,
    /// An agent's lease, or the pacer's share of several.
    Agents,
    /// A place among the AI agents.
    Ai,
}

/// What kind of line a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Tied to a place.
    Geographic,
    /// A mobile range.
    Mobile,
    /// A national range without a place, at ordinary price.
    NonGeographic,
    /// Free for the caller.
    Freephone,
    /// Dearer than an ordinary call, or shared in cost.
    Premium,
    /// The plan does not say.
    Unknown,
}

/// What is known of the number the call will show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerId {
    /// A number that can exist.
    pub valid: bool,
    /// We hold it, and the carrier confirmed that.
    pub owned: bool,
    /// A call back to it is answered.
    pub answers: bool,
    /// The company is present where the number says.
    pub presence: bool,
    /// What kind of line.
    pub kind: LineKind,
}

/// What a rule asks of the number shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CallerIdNeed {
    /// Calls back must be answered.
    pub(crate) answers: bool,
    /// A geographic number needs a company that is there.
    pub(crate) presence: bool,
    /// Kinds of line that may not be shown.
    pub(crate) forbid: Vec<LineKind>,
}

impl CallerIdNeed {
    pub(crate) fn forbids(&self, id: CallerId) -> bool {
        self.forbid.contains(&id.kind)
            // A number nobody can place may be one of the forbidden.
            || (!self.forbid.is_empty() && id.kind == LineKind::Unknown)
    }

    pub(crate) fn lacks_answer(&self, id: CallerId) -> bool {
        self.answers && !id.answers
    }

    pub(crate) fn lacks_presence(&self, id: CallerId) -> bool {
        self.presence && !id.presence && matches!(id.kind, LineKind::Geographic | LineKind::Unknown)
    }
}
