//! How a caller is handed over from an AI agent to a person: the states of a row of `app.transfers`.
//!
//! Media workers insert it and wait for its end; controllers of campaign shards move it on. Nobody takes a state back.

use crate::events::wire_enum;

wire_enum!(
    /// How a transfer stands.
    TransferState {
        /// Somebody is wanted.
        Asked = "asked",
        /// A person's place is held.
        Reserved = "reserved",
        /// The carrier is being told.
        Ordered = "ordered",
        /// The carrier has taken the order: the caller is with the person.
        Done = "done",
        /// The call it was about has ended.
        Over = "over",
        /// Nobody was free in time.
        NobodyFree = "nobody_free",
        /// The call was gone, the place was lost, or the carrier refused.
        Failed = "failed",
    }
);
