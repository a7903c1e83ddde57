//! What a provider tells the bridge, whichever it is.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

use crate::{AudioFormat, Payload, Usage};

/// One thing a provider said, borrowed from the frame it came in.
///
/// Order between kinds is the provider's: a transcript may come before or after the answer to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The session is configured; audio may flow. Comes exactly once, before any other event but
    /// [`Failed`](Self::Failed) and [`Closed`](Self::Closed).
    Ready(Ready<'a>),
    /// The caller has begun to speak. Where something is playing, this is barge-in.
    SpeechStarted {
        /// Where in the input audio, on the provider's clock.
        at_ms: Option<u64>,
    },
    /// The caller has stopped; an answer is under way or soon will be.
    SpeechStopped {
        /// Where in the input audio, on the provider's clock.
        at_ms: Option<u64>,
    },
    /// The caller will probably stop any moment; an answer may be prepared. Only from providers that guess.
    SpeechEnding,
    /// What somebody said, as text.
    Transcript(Transcript<'a>),
    /// The provider has begun to answer.
    ResponseStarted {
        /// Its name of the answer.
        response: &'a str,
    },
    /// A piece of the answer. Comes faster than it plays, except where the provider streams while silent.
    Audio {
        /// What it is a piece of; one answer may have several. Heard-truth is kept per item.
        item: &'a str,
        /// In the output format of the session.
        payload: Payload<'a>,
    },
    /// No more audio of this item.
    AudioDone {
        /// The item.
        item: &'a str,
    },
    /// The provider has cut its own answer: stop playing it.
    Interrupted,
    /// The answer is complete, or over.
    ResponseDone {
        /// Its name.
        response: &'a str,
        /// How it ended.
        status: ResponseStatus,
    },
    /// The model asks for a tool. Answer every one with [`Command::ToolResult`](crate::Command::ToolResult).
    ToolCall(ToolCall<'a>),
    /// The answer to this call is no longer wanted.
    ToolCancelled {
        /// The id of the call.
        id: &'a str,
    },
    /// What has been used up, to be added to what was used before.
    Usage(Usage<'a>),
    /// What the provider remembers of the item has been cut to what was heard.
    Truncated {
        /// The item.
        item: &'a str,
        /// To so much.
        heard_ms: u64,
    },
    /// The caller has said nothing for so long that the provider prompts on its own.
    Idle,
    /// The caller pressed a key, where the provider hears it.
    Digit(char),
    /// With this handle another connection takes up the session. Replaces the one before.
    Resumable {
        /// The handle; `None` when the session cannot be taken up at this moment.
        handle: Option<&'a str>,
    },
    /// The session or its connection will end soon: prepare another one.
    Expiring {
        /// How long is left.
        left: Duration,
    },
    /// How long the provider took where it tells so itself.
    Latency {
        /// Between the end of the caller's speech and the first audio.
        total: Duration,
    },
    /// Something went wrong; the session goes on unless it is followed by [`Closed`](Self::Closed).
    Failed(Fault<'a>),
    /// The end; nothing comes after it.
    Closed(Ending),
}

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready<'a> {
    /// The provider's name of the session.
    pub session: Option<&'a str>,
    /// The model that answers, where the provider says so.
    pub model: Option<&'a str>,
    /// As the provider confirmed it, or as it was asked for where it confirms nothing.
    pub input: AudioFormat,
    /// As the provider confirmed it, or as it was asked for where it confirms nothing.
    pub output: AudioFormat,
    /// Whether the formats were echoed and found right. Where not, compare bytes with time.
    pub confirmed: bool,
    /// How long the session lasts at most, where that is known.
    pub lasts: Option<Duration>,
    /// An earlier session was taken up: history and greeting are there already.
    pub resumed: bool,
}

/// A side of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The person on the telephone.
    Caller,
    /// The model.
    Agent,
}

/// How final a transcript is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// To be appended to what was said of this item before.
    Delta,
    /// Replaces what was said of this item before; more will come.
    Interim,
    /// The whole item, for good.
    Final,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript<'a> {
    /// Who.
    pub speaker: Speaker,
    /// The item it belongs to; the agent's is that of its audio, where the provider says so.
    pub item: &'a str,
    /// The words.
    pub text: Cow<'a, str>,
    /// How final.
    pub stage: Stage,
    /// The language as the provider names it (`es`, `es-US`).
    pub language: Option<Cow<'a, str>>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseStatus {
    /// All said.
    Completed,
    /// The caller spoke, or we asked to stop.
    Cancelled,
    /// Cut by a limit of length or content.
    Incomplete,
    /// The provider could not.
    Failed,
}

/// A tool the model asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall<'a> {
    /// Comes back with the result.
    pub id: &'a str,
    /// Which tool.
    pub name: &'a str,
    /// With what.
    pub arguments: Arguments,
}

/// The arguments of a tool call, as far as they arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// A JSON object; not yet held against the schema of the tool.
    Complete(Value),
    /// No JSON object: the model was cut off or wrote something else. Answer with an error it can repair.
    Broken,
}

impl Arguments {
    /// From the text models write. No text at all is a call without arguments.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.trim().is_empty() {
            return Self::Complete(Value::Object(serde_json::Map::new()));
        }
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Self::Complete(value),
            Ok(_) | Err(_) => Self::Broken,
        }
    }
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing: a lost race, or a warning.
    Benign,
    /// The same again may work, on another connection or at another provider.
    Retryable,
    /// The same again will fail the same way: configuration, credentials, account.
    Fatal,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The provider will speak or hear another format than asked for: do not forward audio.
    FormatMismatch,
    /// The session has lived as long as the provider lets it.
    Expired,
    /// Too much, too fast, or too many sessions.
    Throttled,
    /// The credentials are refused.
    Auth,
    /// The account has no money or no right to this.
    Account,
    /// The provider refuses what we sent.
    Rejected,
    /// What the provider sent is no message it should send.
    Protocol,
    /// The provider is in trouble.
    Provider,
    /// The provider does not answer, or does not take what we send.
    Stalled,
    /// The connection broke or never stood.
    Connection,
    /// The provider's rules on content ended it.
    Content,
}

impl FaultKind {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FormatMismatch => "format_mismatch",
            Self::Expired => "expired",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Rejected => "rejected",
            Self::Protocol => "protocol",
            Self::Provider => "provider",
            Self::Stalled => "stalled",
            Self::Connection => "connection",
            Self::Content => "content",
        }
    }

    /// What to do about it where nothing more is known.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Expired
            | Self::Throttled
            | Self::Protocol
            | Self::Provider
            | Self::Stalled
            | Self::Connection => Class::Retryable,
            Self::FormatMismatch | Self::Auth | Self::Account | Self::Rejected | Self::Content => {
                Class::Fatal
            }
        }
    }

    /// Whether it speaks against the provider, so that a circuit breaker should count it.
    #[must_use]
    pub const fn blames_provider(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Protocol | Self::Provider | Self::Stalled | Self::Connection
        )
    }
}

/// Something that went wrong. Carries codes and names of fields, never what anybody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// What to do.
    pub class: Class,
    /// What is wrong.
    pub kind: FaultKind,
    /// The provider's own code or field name, cut to 64 characters; empty where there is none.
    pub code: &'a str,
}

impl<'a> Fault<'a> {
    /// A fault with the class its kind has by itself.
    #[must_use]
    pub fn new(kind: FaultKind, code: &'a str) -> Self {
        Self::classed(kind.class(), kind, code)
    }

    /// A fault that matters more or less than its kind usually does.
    #[must_use]
    pub fn classed(class: Class, kind: FaultKind, code: &'a str) -> Self {
        Self {
            class,
            kind,
            code: first_characters(code, 64),
        }
    }

    /// A fault nothing follows from.
    #[must_use]
    pub fn benign(kind: FaultKind, code: &'a str) -> Self {
        Self::classed(Class::Benign, kind, code)
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// We asked for it.
    Asked,
    /// Not by us: the kind and its class say whether another connection helps.
    Broken {
        /// What to do.
        class: Class,
        /// Why.
        kind: FaultKind,
    },
}

impl Ending {
    /// An ending with the class its kind has by itself.
    #[must_use]
    pub const fn broken(kind: FaultKind) -> Self {
        Self::Broken {
            class: kind.class(),
            kind,
        }
    }
}

fn first_characters(text: &str, count: usize) -> &str {
    match text.char_indices().nth(count) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cut_in_the_middle_are_broken_and_none_at_all_are_an_empty_object() {
        assert_eq!(Arguments::parse("{\"to\":\"sal"), Arguments::Broken);
        assert_eq!(Arguments::parse("[1]"), Arguments::Broken);
        assert_eq!(Arguments::parse(" "), Arguments::Complete(serde_json::json!({})));
        assert_eq!(
            Arguments::parse("{\"to\":\"sales\"}"),
            Arguments::Complete(serde_json::json!({"to": "sales"}))
        );
    }

    #[test]
    fn a_code_is_cut_between_characters() {
        let long = "č".repeat(100);
        assert_eq!(Fault::new(FaultKind::Provider, &long).code.chars().count(), 64);
    }
}
