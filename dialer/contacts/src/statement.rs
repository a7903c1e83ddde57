//! What people consented to: the types, the states and one statement of one person.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Its name in the table.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// The one with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named!(
    /// What is consented to.
    ConsentType {
        /// Recording of calls.
        Recording = "recording",
        /// Transcription of calls.
        Transcription = "transcription",
        /// Being spoken to by an AI agent.
        AiProcessing = "ai_processing",
        /// Keeping the person's data.
        DataStorage = "data_storage",
        /// Being called for sales.
        Marketing = "marketing",
        /// Use of the data for statistics.
        Analytics = "analytics",
    }
);

named!(
    /// What was said.
    ConsentStatus {
        /// Yes.
        Granted = "granted",
        /// No.
        Denied = "denied",
        /// Not any more.
        Withdrawn = "withdrawn",
        /// It ran out.
        Expired = "expired",
        /// Asked, not answered.
        Pending = "pending",
    }
);

named!(
    /// What it is about; none is every channel.
    Channel {
        /// Calls.
        Voice = "voice",
        /// Text messages.
        Sms = "sms",
        /// E-mail.
        Email = "email",
    }
);

/// One statement of one person, as it enters the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is about.
    pub kind: ConsentType,
    /// What was said.
    pub status: ConsentStatus,
    /// What for, in the customer's words.
    pub purpose: Option<String>,
    /// The channel; none is every one.
    pub channel: Option<Channel>,
    /// How it was obtained.
    pub source: Option<String>,
    /// What proves it.
    pub evidence: Map<String, Value>,
    /// When it was said.
    pub captured_at: DateTime<Utc>,
    /// When it runs out.
    pub expires_at: Option<DateTime<Utc>>,
}
