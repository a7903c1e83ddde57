//! What sessions say about themselves, and what follows for the call.

use std::time::Duration;

use voice_providers::{AudioFormat, Ending, Event, Provider, Ready};
use voice_schemas::events::media::ChangeKind;

/// Which session something happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bridge) enum Which {
    Current,
    Spare,
    Retiring,
}

/// What a session said about itself, kept until it can be acted on.
#[derive(Debug, Default)]
pub(in crate::bridge) struct News {
    pub(in crate::bridge) ready: Option<Agreed>,
    pub(in crate::bridge) closed: Option<Ending>,
    /// The latest handle, or that there is none at the moment.
    pub(in crate::bridge) handle: Option<Option<String>>,
    pub(in crate::bridge) expiring: Option<Duration>,
}

/// What was agreed on with a session.
#[derive(Clone, Copy, Debug)]
pub(in crate::bridge) struct Agreed {
    pub(in crate::bridge) input: AudioFormat,
    pub(in crate::bridge) output: AudioFormat,
    pub(in crate::bridge) lasts: Option<Duration>,
    pub(in crate::bridge) resumed: bool,
}

impl From<&Ready<'_>> for Agreed {
    fn from(ready: &Ready<'_>) -> Self {
        Self {
            input: ready.input,
            output: ready.output,
            lasts: ready.lasts,
            resumed: ready.resumed,
        }
    }
}

impl News {
    /// Takes what is about the session; whether it was.
    pub(in crate::bridge) fn take(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Ready(ready) => self.ready = Some(ready.into()),
            Event::Closed(ending) => self.closed = Some(*ending),
            Event::Resumable { handle } => self.handle = Some(handle.map(str::to_owned)),
            Event::Expiring { left } => self.expiring = Some(*left),
            _ => return false,
        }
        true
    }
}

/// A session took over.
#[derive(Clone, Copy, Debug)]
pub(in crate::bridge) struct Change {
    pub(in crate::bridge) kind: ChangeKind,
    pub(in crate::bridge) from: Provider,
    pub(in crate::bridge) to: Option<Provider>,
    pub(in crate::bridge) cause: &'static str,
    pub(in crate::bridge) gap: Duration,
}

/// What follows for the call.
#[derive(Debug)]
pub(in crate::bridge) enum Course {
    /// A session is ready to speak; a change, unless it is the first and the one that was wanted.
    Speak(Agreed, Option<Change>),
    /// No provider is left.
    LastResort(Change),
}

impl News {
    pub(in crate::bridge) const fn is_empty(&self) -> bool {
        self.ready.is_none() && self.handle.is_none() && self.expiring.is_none()
    }
}
