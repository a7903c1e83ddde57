//! How a call is to be answered: by whom, with which tools, under which rules, and what happens when nothing works.

use std::{fmt, sync::Arc};

use voice_providers::{
    AudioFormat, Connector, Engine, Session, ToolSpec,
    price::{Budget, PriceTable},
    tools::{Patience, Toolbox, TransferTarget, Webhook},
};
use voice_schemas::events::call::Carrier;
use voice_telephony::media::{StreamGrant, StreamStart};
use voice_turns::{idle, interruption, language};

/// What a call needs to begin.
#[derive(Debug)]
pub struct Plan {
    /// Who may talk, the first choice first: the others take over where those before them fail. At least one.
    pub voices: Vec<Voice>,
    /// How providers are reached.
    pub connector: Connector,
    /// What callers must be told before anything else, word for word: that they talk to a machine.
    pub disclosure: Option<String>,
    /// What to tell the model when the call begins: how to greet.
    pub greeting: Option<String>,
    /// How interruptions are judged.
    pub interruption: interruption::Policy,
    /// When to ask whether somebody is there; `None` leaves it to the provider.
    pub idle: Option<Idle>,
    /// Which languages may be spoken; `None` leaves it to the provider.
    pub languages: Option<language::Policy>,
    /// What the model may ask for.
    pub tools: Tools,
    /// What the call may cost.
    pub money: Money,
    /// What to do about a machine that answers; `None` takes everybody for a person.
    pub machine: Option<Machine>,
    /// What to do when no provider is left.
    pub last_resort: LastResort,
    /// Whether the call is recorded.
    pub recording: Recording,
}

/// A session at one account, and what it is made with.
#[derive(Clone, Debug)]
pub struct Voice {
    /// The account, by the operator's name of it: `openai-eu`. A circuit breaker belongs to it.
    pub account: String,
    /// What makes the sessions.
    pub engine: Engine,
    /// The conversation at its beginning. Tools, history and handle are filled in by the bridge.
    pub session: Session,
}

impl Voice {
    /// The conversation at its beginning, with these tools.
    pub(crate) fn session_with(&self, tools: &Arc<[ToolSpec]>) -> Session {
        Session {
            tools: Arc::clone(tools),
            ..self.session.clone()
        }
    }
}

/// What the model may ask for.
#[derive(Clone, Debug)]
pub struct Tools {
    /// All of them, with their schemas.
    pub toolbox: Toolbox,
    /// Those of them that are the tenant's own.
    pub webhooks: Vec<Webhook>,
    /// How long each may take.
    pub patience: Patience,
}

/// What the call may cost.
#[derive(Clone, Debug)]
pub struct Money {
    /// Where to be cheaper, and where to stop.
    pub budget: Budget,
    /// What things cost.
    pub prices: Arc<PriceTable>,
    /// The last sentence of a call that may cost no more.
    pub farewell: String,
}

/// What to do about a machine that answers. Faxes and numbers out of service are hung up on in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What to leave behind the beep; `None` hangs up.
    pub message: Option<String>,
}

/// What to do when no provider is left.
#[derive(Clone, Default)]
pub struct LastResort {
    /// What the caller hears, at 8 kHz: "One moment please, I am putting you through."
    pub announcement: Option<Arc<[i16]>>,
    /// To whom the caller is handed over.
    pub transfer: Option<TransferTarget>,
}

impl fmt::Debug for LastResort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastResort")
            .field(
                "announcement",
                &self.announcement.as_ref().map(|samples| samples.len()),
            )
            .field("transfer", &self.transfer)
            .finish()
    }
}

/// Whether a call is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Not at all.
    Off,
    /// From the beginning, except while the tool `set_recording` has stopped it.
    On,
    /// Silence until the tool `set_recording` says that the caller agrees.
    AfterConsent,
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
