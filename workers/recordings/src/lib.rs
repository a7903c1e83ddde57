//! Recordings of calls: sealed as they grow on the local disk, moved to the object store, and opened again.
//!
//! A call hands its audio to the [`spool`], which seals it with a key of the recording's own and appends it to a
//! file; audio in the clear is in memory only. When the call is over the [`store`] moves the file to the object store
//! as it is, puts a note of its checksum beside it, and has it announced. [`fetch`] makes a WAV file of it again.
//! How the sealed form looks, and what it proves, stands in [`sealed`]; when one is destroyed, in [`expiry`].

pub mod events;
pub mod expiry;
pub mod fetch;
pub mod keys;
pub mod sealed;
pub mod spool;
pub mod store;

use voice_schemas::{CallId, TenantId};

pub use self::{
    fetch::{FetchError, Fetched, fetch},
    keys::{KeyConfig, KeyError, KeyRing},
    sealed::SealError,
    spool::{Piece, Settings, Spool, open},
    store::{Announce, Note, Ready, Store, Writer},
};

/// Where the recording of a call is in the object store.
#[must_use]
pub fn key(tenant: TenantId, call: CallId) -> String {
    format!("recordings/{}/{}.rec", tenant.0, call.0)
}

/// Where the hold on the recording under `key` is in the object store: as long as it is there, so is the recording.
#[must_use]
pub fn hold_key(key: &str) -> String {
    format!("{key}.hold")
}

/// Where the [`Note`] about the recording under `key` is in the object store.
#[must_use]
pub fn note_key(key: &str) -> String {
    format!("{key}.json")
}
