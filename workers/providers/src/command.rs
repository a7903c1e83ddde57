//! What the bridge tells a provider, whichever it is.

use crate::Payload;

/// One thing to tell the provider. Borrowed: most are a frame of audio, fifty times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// What the caller says, in the input format of the session.
    Audio(Payload<'a>),
    /// The caller has finished speaking. Only where the session's turns are [`Turns::Ours`](crate::Turns::Ours).
    EndTurn,
    /// Answer now, without waiting for the caller; the instructions hold for this answer alone.
    Respond {
        /// "Greet the caller and ask for the account number."
        instructions: Option<&'a str>,
    },
    /// Speak this text, as near to word for word as the provider can.
    Say(&'a str),
    /// The caller said this by other means than the voice. No answer is asked for.
    Text(&'a str),
    /// The caller pressed these keys. No answer is asked for.
    Digits(&'a str),
    /// Stop answering. Nothing happens when nothing is being said.
    Cancel,
    /// The caller spoke over the answer: stop it, drop what is still under way of this item, and remember only
    /// what was heard. One command, because the order of its parts on the wire matters.
    Interrupt {
        /// The item that was playing; `None` when nothing had been played yet.
        item: Option<&'a str>,
        /// How much of the item the caller has heard. More than there was is cut to what there was.
        heard_ms: u64,
    },
    /// What a tool gave.
    ToolResult {
        /// The id of the [`ToolCall`](crate::ToolCall).
        call: &'a str,
        /// The name of the tool.
        name: &'a str,
        /// A JSON document.
        output: &'a str,
        /// Whether the model is to speak about it now.
        answer: bool,
    },
    /// From now on these instructions hold beside the first ones, or instead of them where that is all the
    /// provider offers.
    Instruct(&'a str),
    /// Say goodbye to the provider. What it still has to say (usage, mostly) arrives before the end.
    Close,
}

impl Command<'_> {
    /// Stable name for logs and errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Audio(_) => "audio",
            Self::EndTurn => "end_turn",
            Self::Respond { .. } => "respond",
            Self::Say(_) => "say",
            Self::Text(_) => "text",
            Self::Digits(_) => "digits",
            Self::Cancel => "cancel",
            Self::Interrupt { .. } => "interrupt",
            Self::ToolResult { .. } => "tool_result",
            Self::Instruct(_) => "instruct",
            Self::Close => "close",
        }
    }
}

/// Why a command was not passed on. The session goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The session is not ready yet, or over.
    #[error("`{command}` in a session that is not open")]
    NotOpen {
        /// The command.
        command: &'static str,
    },
    /// The provider has nothing like it.
    #[error("{provider} has no `{command}`")]
    Unsupported {
        /// The provider.
        provider: crate::Provider,
        /// The command.
        command: &'static str,
    },
    /// A value is outside what the provider takes.
    #[error("`{command}`: {reason}")]
    Invalid {
        /// The command.
        command: &'static str,
        /// What is wrong, without the value.
        reason: &'static str,
    },
}

impl CommandError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotOpen { .. } => "not_open",
            Self::Unsupported { .. } => "unsupported",
            Self::Invalid { .. } => "invalid",
        }
    }
}
