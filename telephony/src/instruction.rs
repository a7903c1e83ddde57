//! What a call should do next, in words every carrier can be told in.

use std::collections::BTreeMap;

use crate::{context::SealedContext, model::HookUrls, phone::PhoneNumber, webhook::HookKind};

/// One step of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Say or play something.
    Prompt(Prompt),
    /// Collect digits or speech.
    Gather(Gather),
    /// Send the audio both ways over a WebSocket; lasts until the other end closes it.
    ConnectStream(ConnectStream),
    /// Put the call into a conference room.
    Conference(Conference),
    /// Connect the call with another number, and end it when either side hangs up.
    Transfer {
        /// The number.
        to: PhoneNumber,
    },
    /// Record what the caller says (voicemail).
    Record(Record),
    /// Ask for instructions elsewhere.
    Redirect {
        /// Where.
        url: String,
    },
    /// Hang up.
    Hangup,
    /// Refuse a call that was not answered yet.
    Reject {
        /// What the caller hears.
        reason: RejectReason,
    },
}

/// Something the caller hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Synthesised speech.
    Say {
        /// The words.
        text: String,
        /// BCP 47, such as `cs-CZ`.
        language: Option<String>,
        /// The carrier's name of a voice.
        voice: Option<String>,
    },
    /// An audio file.
    Play {
        /// Where it is.
        url: String,
    },
    /// Silence.
    Pause {
        /// How long.
        seconds: u16,
    },
}

/// How to collect what the caller enters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gather {
    /// What they hear meanwhile.
    pub prompts: Vec<Prompt>,
    /// Take speech too (Twilio).
    pub speech: bool,
    /// Stop after this many digits.
    pub digits: Option<u16>,
    /// Stop after this long without one.
    pub timeout_seconds: Option<u16>,
    /// The key that ends the entry.
    pub finish_on_key: Option<char>,
    /// The only keys that count (Telnyx); others end the entry without a result.
    pub valid_digits: Option<String>,
    /// Where Twilio sends the result and takes the next instructions; Telnyx sends `call.gather.ended`.
    pub action: Option<String>,
    /// The context that comes back with the result and all events after it (Telnyx).
    pub context: Option<SealedContext>,
}

impl Gather {
    /// The same, with its result sent to the account's hook in the name of this call. Nothing is reported of what
    /// was pressed but the context's own [`opt_out_key`](crate::CallContext::opt_out_key).
    #[must_use]
    pub fn reporting_to(mut self, hooks: &HookUrls, context: &SealedContext) -> Self {
        self.action = Some(hooks.url_with(HookKind::Gather, context));
        self.context = Some(context.clone());
        self
    }
}

/// A media stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectStream {
    /// `wss://…`
    pub url: String,
    /// What the stream is called at the carrier (Twilio).
    pub name: Option<String>,
    /// Handed over in the stream's `start` message; not where Telnyx streams from the dial on, which hands over the
    /// call's context alone.
    pub parameters: BTreeMap<String, String>,
}

/// A place in a conference room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conference {
    /// The room; unique within the carrier account.
    pub room: String,
    /// The conference starts when this one enters.
    pub start_on_enter: bool,
    /// The conference ends when this one leaves.
    pub end_on_exit: bool,
    /// Cannot be heard.
    pub muted: bool,
    /// A tone when somebody enters or leaves.
    pub beep: bool,
    /// Heard only by the call with this carrier id (whisper).
    pub coach: Option<String>,
    /// Who this is: the customer (`customer`, `customer:human`, `customer:ai`) or anything else. Only the
    /// customer's leg gives call events.
    pub label: Option<String>,
    /// How many may enter.
    pub max_participants: Option<u16>,
    /// What those hear who wait for the conference to start; empty for silence.
    pub wait_url: Option<String>,
    /// Where its events go (Twilio; Telnyx sends them to the call's hook).
    pub events: Option<String>,
}

impl Conference {
    /// A room anybody enters and hears everybody in.
    #[must_use]
    pub fn new(room: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            start_on_enter: true,
            end_on_exit: false,
            muted: false,
            beep: false,
            coach: None,
            label: None,
            max_participants: None,
            wait_url: None,
            events: None,
        }
    }

    /// The same, with its events sent to the account's hook in the name of this call.
    #[must_use]
    pub fn reporting_to(mut self, hooks: &HookUrls, context: &SealedContext) -> Self {
        self.events = Some(hooks.url_with(HookKind::Conference, context));
        self
    }
}

/// How to record the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Stop after this long.
    pub max_seconds: Option<u16>,
    /// A tone before.
    pub beep: bool,
    /// Stop after this much silence.
    pub silence_seconds: Option<u16>,
    /// The key that ends it (Twilio).
    pub finish_on_key: Option<char>,
    /// Where Twilio takes the next instructions.
    pub action: Option<String>,
    /// Where Twilio reports the finished recording.
    pub events: Option<String>,
}

/// What a caller hears whose call is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RejectReason {
    /// Not in service.
    #[default]
    Rejected,
    /// Engaged.
    Busy,
}

impl Instruction {
    /// A name for logs and errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Prompt(Prompt::Say { .. }) => "say",
            Self::Prompt(Prompt::Play { .. }) => "play",
            Self::Prompt(Prompt::Pause { .. }) => "pause",
            Self::Gather(_) => "gather",
            Self::ConnectStream(_) => "connect_stream",
            Self::Conference(_) => "conference",
            Self::Transfer { .. } => "transfer",
            Self::Record(_) => "record",
            Self::Redirect { .. } => "redirect",
            Self::Hangup => "hangup",
            Self::Reject { .. } => "reject",
        }
    }
}
