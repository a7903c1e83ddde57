//! The one interface over all providers: a state machine without sockets.
//!
//! An adapter is told what happens (a link opened, a frame came, the bridge wants something, time passed) and
//! says through [`Output`] what follows: events for the bridge, frames for the provider, links to open and
//! close. It never waits and never fails; what goes wrong is an event. [`Connection`](crate::Connection) moves
//! the bytes, tests call it directly.
//!
//! Most providers need one link. The cascade needs three: an ear, a mouth, and one request to the chat model
//! for each answer.

use std::{fmt, time::Instant};

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use crate::{Command, CommandError, Event, Provider};

/// A provider's side of one call.
pub trait Adapter: Send + fmt::Debug {
    /// Which provider it is.
    fn provider(&self) -> Provider;

    /// Begins. Asks for the first links.
    fn start(&mut self, now: Instant, out: &mut dyn Output);

    /// A link it asked for stands.
    fn opened(&mut self, link: Link, now: Instant, out: &mut dyn Output);

    /// A frame came in.
    fn received(&mut self, link: Link, frame: Frame<'_>, now: Instant, out: &mut dyn Output);

    /// A link has ended or never stood. Not called for links it closed itself with [`Output::abandon`].
    fn closed(&mut self, link: Link, closure: Closure<'_>, now: Instant, out: &mut dyn Output);

    /// The bridge wants something.
    ///
    /// # Errors
    /// When it is nothing this provider can be told now. Nothing was sent, and the session goes on.
    fn command(
        &mut self,
        command: Command<'_>,
        now: Instant,
        out: &mut dyn Output,
    ) -> Result<(), CommandError>;

    /// When to call [`woken`](Self::woken) next: keep-alives and deadlines.
    fn wake_at(&self) -> Option<Instant>;

    /// The time of [`wake_at`](Self::wake_at) has come.
    fn woken(&mut self, now: Instant, out: &mut dyn Output);
}

/// Where an adapter puts what follows.
pub trait Output {
    /// Something for the bridge.
    fn event(&mut self, event: Event<'_>);

    /// Opens a link. One that is open under this name is abandoned first.
    fn open(&mut self, link: Link, endpoint: Endpoint);

    /// Sends a frame on an open link. On one that is not, nothing happens.
    fn send(&mut self, link: Link, frame: Outgoing);

    /// Closes a link without listening to it any longer.
    fn abandon(&mut self, link: Link);
}

/// One of an adapter's connections, by a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(pub u8);

impl Link {
    /// The only link of a provider that needs one.
    pub const MAIN: Self = Self(0);
}

/// What to connect to.
#[derive(Clone)]
pub struct Endpoint {
    /// How.
    pub protocol: Protocol,
    /// Where. May carry a key.
    pub url: Url,
    /// Carry keys; marked sensitive.
    pub headers: HeaderMap,
}

/// How to talk to an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub enum Protocol {
    /// A WebSocket.
    WebSocket,
    /// One POST of JSON, answered with server-sent events: each is a text frame, and the end is a closure.
    EventStream {
        /// The document to post.
        body: Bytes,
    },
}

/// Keys, prompts and numbers stay out of logs.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::WebSocket => "websocket",
            Protocol::EventStream { .. } => "event stream",
        };
        f.debug_struct("Endpoint")
            .field("protocol", &protocol)
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .finish_non_exhaustive()
    }
}

/// A frame from the provider.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes: audio, or with Gemini JSON.
    Binary(&'a [u8]),
}

/// A frame for the provider.
#[derive(Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// The WebSocket's own goodbye: no frame follows, the answer is a closure.
    Close,
}

/// What people say stays out of logs.
impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// What people say stays out of logs.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closure<'a> {
    /// The provider said goodbye with this code, or the event stream is complete (1000).
    Code {
        /// The WebSocket close code.
        code: u16,
        /// The provider's words. Codes are read from it; it is not passed on.
        reason: &'a str,
    },
    /// The upgrade or request was refused.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It broke, or never stood: DNS, TCP, TLS, a frame that is none.
    Lost,
    /// It did not stand in time.
    TimedOut,
    /// The provider does not take what we send.
    Stalled,
}
