//! How a call is to be answered: by which provider, as whom, under which rules.

use std::fmt;

use voice_providers::{Adapter, AudioFormat, Connector};
use voice_schemas::{AgentId, events::call::Carrier};
use voice_telephony::media::{StreamGrant, StreamStart};
use voice_turns::{idle, interruption};

/// What a call needs to begin.
#[derive(Debug)]
pub struct Plan {
    /// The AI agent that talks.
    pub agent: Option<AgentId>,
    /// Its provider, configured for the call's format.
    pub adapter: Box<dyn Adapter>,
    /// How the provider is reached.
    pub connector: Connector,
    /// What to tell it when it is ready: how to greet.
    pub greeting: Option<String>,
    /// How interruptions are judged.
    pub interruption: interruption::Policy,
    /// When to ask whether somebody is there; `None` leaves it to the provider.
    pub idle: Option<Idle>,
    /// Whether the call is recorded.
    pub record: bool,
}

/// When to ask whether somebody is there, and in which words to ask for it.
#[derive(Clone, Debug)]
pub struct Idle {
    /// When.
    pub policy: idle::Policy,
    /// "The caller has been silent. Ask whether they are still there."
    pub instructions: String,
}

/// What a plan is made for.
pub struct Opening<'a> {
    /// Whose call it is.
    pub grant: &'a StreamGrant,
    /// Who brings it.
    pub carrier: Carrier,
    /// What the carrier says about the stream.
    pub start: &'a StreamStart,
    /// The format of the leg.
    pub format: AudioFormat,
}

/// Parameters of a stream may say anything about a person.
impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("grant", self.grant)
            .field("carrier", &self.carrier)
            .finish_non_exhaustive()
    }
}

/// Where plans come from. Asked when a stream begins, inside the task of the call: answers from memory.
pub trait Plans: Send + Sync + fmt::Debug {
    /// The plan of a call; `None` when nobody is to answer it.
    fn plan(&self, opening: &Opening<'_>) -> Option<Plan>;
}
