//! What is about to be dialled, and under which campaign's wishes.

use serde::{Deserialize, Serialize};

use crate::{
    capacity::{CallerId, Capacity},
    facts::{Company, Debt, Subject},
    jurisdiction::Jurisdictions,
    place::Place,
    tightening::Tightening,
};

/// Why the person is called. A call with two purposes is judged as the stricter one, telemarketing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To sell, or to prepare a sale.
    Telemarketing,
    /// To tell or ask, without advertising.
    Informational,
    /// To collect a debt.
    DebtCollection,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Telemarketing, Self::Informational, Self::DebtCollection];
}

/// How the call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// An agent sees the record and dials.
    Preview,
    /// One call per free agent.
    Progressive,
    /// A fixed number of calls per free agent.
    Power,
    /// As many calls as will find a free agent.
    Predictive,
    /// An artificial voice talks: an AI agent or a recording.
    Ai,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Preview,
        Self::Progressive,
        Self::Power,
        Self::Predictive,
        Self::Ai,
    ];

    /// Somebody may answer and find nobody there.
    #[must_use]
    pub const fn may_abandon(self) -> bool {
        matches!(self, Self::Progressive | Self::Power | Self::Predictive)
    }
}

/// One dial, before it is made.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where the person is, by evidence; resolved once per contact.
    pub place: &'a Place,
    /// The wishes of tenant, company and campaign, each of which can only forbid more.
    pub tightening: &'a [Tightening],
    /// Why.
    pub purpose: Purpose,
    /// How.
    pub mode: Mode,
    /// For whom.
    pub company: Company,
    /// What about.
    pub subject: Option<Subject>,
    /// Which debt, when it is about one.
    pub debt: Option<Debt>,
    /// The number that is shown.
    pub caller_id: CallerId,
    /// Who will talk.
    pub capacity: Capacity,
    /// An agent is reserved for this one call and will be there.
    pub live_agent_guaranteed: bool,
    /// Where the company is registered to call.
    pub registered: Jurisdictions,
}

/// For which purposes and modes a rule holds: one bit for each pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uses(u16);

impl Uses {
    pub(crate) const COUNT: usize = Purpose::ALL.len() * Mode::ALL.len();

    pub(crate) fn new(purposes: Option<&[Purpose]>, modes: Option<&[Mode]>) -> Self {
        let mut bits = 0;
        for purpose in purposes.unwrap_or(&Purpose::ALL) {
            for mode in modes.unwrap_or(&Mode::ALL) {
                bits |= 1 << Self::index(*purpose, *mode);
            }
        }
        Self(bits)
    }

    pub(crate) const fn index(purpose: Purpose, mode: Mode) -> usize {
        purpose as usize * Mode::ALL.len() + mode as usize
    }

    pub(crate) fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}
