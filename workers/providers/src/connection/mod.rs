//! Moves the bytes of one adapter: opens its links, hands it frames, sends what it wants sent.
//!
//! Built for one task per call that also owns the telephony socket. [`Connection::happening`] waits for
//! whatever is next and can be dropped at any point without losing a byte; everything else returns at once.
//! What a socket does not take at once stays in its buffer, which [`Connection::happening`] empties; a provider
//! that takes nothing for [`STALLED_AFTER`] is given up, so the buffer never holds more than that much audio.

mod event_stream;
mod open;
mod tls;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, future::BoxFuture};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use self::{event_stream::EventStream, open::Socket};
pub use self::{open::Connector, tls::Tls};
use crate::{
    Adapter, Closure, Command, CommandError, Endpoint, Event, Frame, Link, Outgoing, Output, Payload,
    Provider,
};

/// A provider that takes nothing of what we send for so long is given up.
pub const STALLED_AFTER: Duration = Duration::from_secs(2);

/// An adapter and its links.
pub struct Connection {
    adapter: Box<dyn Adapter>,
    links: Links,
    begun: bool,
    over: bool,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What [`Connection::happening`] waited for; [`Connection::handle`] knows what to do about it.
#[derive(Debug)]
#[must_use = "hand it to `handle`, or it is lost"]
pub struct Happening(Happened);

#[derive(Debug)]
enum Happened {
    Begin,
    Opened(Link),
    Frame(Link, Incoming),
    Closed(Link, OwnedClosure),
    Alarm,
}

enum Incoming {
    Text(Utf8Bytes),
    Event(String),
    Binary(Bytes),
}

/// What people say stays out of logs.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame().fmt(f)
    }
}

impl Incoming {
    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Text(text) => Frame::Text(text),
            Self::Event(text) => Frame::Text(text),
            Self::Binary(bytes) => Frame::Binary(bytes),
        }
    }
}

/// A [`Closure`] that owns its words.
#[derive(Debug)]
enum OwnedClosure {
    Code { code: u16, reason: String },
    Refused { status: u16 },
    Lost,
    TimedOut,
    Stalled,
}

impl OwnedClosure {
    fn borrow(&self) -> Closure<'_> {
        match self {
            Self::Code { code, reason } => Closure::Code { code: *code, reason },
            Self::Refused { status } => Closure::Refused { status: *status },
            Self::Lost => Closure::Lost,
            Self::TimedOut => Closure::TimedOut,
            Self::Stalled => Closure::Stalled,
        }
    }
}

impl Happening {
    /// The audio of an [`Event::Audio`] that came of this happening, to keep for longer than the event: Base64
    /// text or bytes as they came, without a copy where that is possible.
    #[must_use]
    pub fn keep(&self, payload: Payload<'_>) -> Bytes {
        let kept = match payload {
            Payload::Base64(text) => text.as_bytes(),
            Payload::Bytes(bytes) => bytes,
        };
        match &self.0 {
            Happened::Frame(_, Incoming::Text(text)) => part(text.as_ref(), kept),
            Happened::Frame(_, Incoming::Binary(bytes)) => part(bytes, kept),
            _ => Bytes::copy_from_slice(kept),
        }
    }
}

/// A part of a frame that shares its memory, or a copy where it is no part of it.
fn part(frame: &Bytes, kept: &[u8]) -> Bytes {
    let (frame_at, kept_at) = (frame.as_ptr().addr(), kept.as_ptr().addr());
    if kept_at >= frame_at && kept_at + kept.len() <= frame_at + frame.len() {
        frame.slice_ref(kept)
    } else {
        Bytes::copy_from_slice(kept)
    }
}

impl Connection {
    /// A connection that has not begun: the first [`happening`](Self::happening) is its beginning.
    #[must_use]
    pub fn start(adapter: Box<dyn Adapter>, connector: Connector) -> Self {
        Self {
            adapter,
            links: Links {
                connector,
                open: Vec::new(),
            },
            begun: false,
            over: false,
            alarm: None,
        }
    }

    /// Which provider it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.adapter.provider()
    }

    /// Whether [`Event::Closed`] has come. Nothing happens any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Waits for the next thing to happen, and sends what is still to be sent meanwhile. Never ends once the
    /// connection [is over](Self::is_over). Cancel safe.
    pub async fn happening(&mut self) -> Happening {
        if !self.begun {
            self.begun = true;
            return Happening(Happened::Begin);
        }
        Happening(poll_fn(|context| self.poll(context)).await)
    }

    /// Does what follows from a happening and tells `events` of it, in order.
    pub fn handle(&mut self, happening: &Happening, events: &mut dyn FnMut(Event<'_>)) {
        if self.over {
            return;
        }
        let now = Instant::now().into_std();
        let mut effects = Effects {
            links: &mut self.links,
            events,
            over: &mut self.over,
        };
        match &happening.0 {
            Happened::Begin => self.adapter.start(now, &mut effects),
            Happened::Opened(link) => self.adapter.opened(*link, now, &mut effects),
            Happened::Frame(link, frame) => self.adapter.received(*link, frame.frame(), now, &mut effects),
            Happened::Closed(link, closure) => {
                self.adapter.closed(*link, closure.borrow(), now, &mut effects);
            }
            Happened::Alarm => self.adapter.woken(now, &mut effects),
        }
        self.tidy();
    }

    /// Tells the provider something. Returns at once.
    ///
    /// # Errors
    /// When this provider cannot be told so now; the session goes on.
    pub fn command(
        &mut self,
        command: Command<'_>,
        events: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), CommandError> {
        if self.over || !self.begun {
            return Err(CommandError::NotOpen {
                command: command.name(),
            });
        }
        let mut effects = Effects {
            links: &mut self.links,
            events,
            over: &mut self.over,
        };
        let result = self
            .adapter
            .command(command, Instant::now().into_std(), &mut effects);
        self.tidy();
        result
    }

    fn tidy(&mut self) {
        if self.over {
            self.links.open.clear();
            self.alarm = None;
        }
    }

    /// One timer serves the adapter's alarms and the judgement on stalled links.
    fn set_alarm(&mut self) {
        let adapter = if self.over { None } else { self.adapter.wake_at() };
        let stalled = self.links.open.iter().filter_map(|(_, state)| state.stalls_at());
        let next = adapter.map(Instant::from_std).into_iter().chain(stalled).min();
        match (next, &mut self.alarm) {
            (None, alarm) => *alarm = None,
            (Some(at), Some(alarm)) if alarm.deadline() == at => {}
            (Some(at), Some(alarm)) => alarm.as_mut().reset(at),
            (Some(at), alarm) => *alarm = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Happened> {
        for at in 0..self.links.open.len() {
            if let Poll::Ready(happened) = self.links.poll(at, context) {
                return Poll::Ready(happened);
            }
        }
        // After the links: one of them may have begun to stall just now.
        self.set_alarm();
        if let Some(alarm) = &mut self.alarm
            && alarm.as_mut().poll(context).is_ready()
        {
            self.alarm = None;
            let now = Instant::now();
            if let Some(link) = self.links.stalled(now) {
                self.links.remove(link);
                return Poll::Ready(Happened::Closed(link, OwnedClosure::Stalled));
            }
            return Poll::Ready(Happened::Alarm);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("adapter", &self.adapter)
            .field("links", &self.links.open.len())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

struct Links {
    connector: Connector,
    /// At most three.
    open: Vec<(Link, State)>,
}

enum State {
    Opening(BoxFuture<'static, Result<Open, OwnedClosure>>),
    Socket {
        socket: Box<Socket>,
        /// Since when something waits to be sent that the socket does not take.
        blocked: Option<Instant>,
        /// Something was written since the last flush.
        unsent: bool,
        /// Sending failed; told at the next occasion.
        failed: bool,
    },
    Events(Box<EventStream>),
}

enum Open {
    Socket(Box<Socket>),
    Events(Box<EventStream>),
}

impl State {
    fn stalls_at(&self) -> Option<Instant> {
        match self {
            Self::Socket { blocked, .. } => blocked.map(|since| since + STALLED_AFTER),
            Self::Opening(_) | Self::Events(_) => None,
        }
    }
}

impl Links {
    fn remove(&mut self, link: Link) {
        self.open.retain(|(name, _)| *name != link);
    }

    fn stalled(&self, now: Instant) -> Option<Link> {
        let (link, _) = self
            .open
            .iter()
            .find(|(_, state)| state.stalls_at().is_some_and(|at| at <= now))?;
        Some(*link)
    }

    fn poll(&mut self, at: usize, context: &mut Context<'_>) -> Poll<Happened> {
        let Some((link, state)) = self.open.get_mut(at) else {
            return Poll::Pending;
        };
        let link = *link;
        let closed = match state {
            State::Opening(future) => match future.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(open)) => {
                    *state = match open {
                        Open::Socket(socket) => State::Socket {
                            socket,
                            blocked: None,
                            unsent: false,
                            failed: false,
                        },
                        Open::Events(events) => State::Events(events),
                    };
                    return Poll::Ready(Happened::Opened(link));
                }
                Poll::Ready(Err(closure)) => closure,
            },
            State::Events(events) => match events.poll_event(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(event))) => {
                    return Poll::Ready(Happened::Frame(link, Incoming::Event(event)));
                }
                Poll::Ready(Ok(None)) => OwnedClosure::Code {
                    code: 1000,
                    reason: String::new(),
                },
                Poll::Ready(Err(_)) => OwnedClosure::Lost,
            },
            State::Socket {
                socket,
                blocked,
                unsent,
                failed,
            } => {
                if *failed {
                    // The provider may have said why before it stopped listening.
                    match read(socket, context) {
                        Poll::Ready(Read::Frame(frame)) => {
                            return Poll::Ready(Happened::Frame(link, frame));
                        }
                        Poll::Ready(Read::Closed(closure)) => closure,
                        Poll::Pending => OwnedClosure::Lost,
                    }
                } else {
                    if *unsent {
                        match socket.poll_flush_unpin(context) {
                            Poll::Ready(Ok(())) => (*unsent, *blocked) = (false, None),
                            Poll::Ready(Err(_)) => *failed = true,
                            Poll::Pending => {
                                blocked.get_or_insert_with(Instant::now);
                            }
                        }
                    }
                    match read(socket, context) {
                        Poll::Pending if *failed => OwnedClosure::Lost,
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Read::Frame(frame)) => {
                            return Poll::Ready(Happened::Frame(link, frame));
                        }
                        Poll::Ready(Read::Closed(closure)) => closure,
                    }
                }
            }
        };
        self.remove(link);
        Poll::Ready(Happened::Closed(link, closed))
    }
}

enum Read {
    Frame(Incoming),
    Closed(OwnedClosure),
}

/// The next frame that is for the adapter. Pings are answered by the library.
fn read(socket: &mut Socket, context: &mut Context<'_>) -> Poll<Read> {
    loop {
        let message = match socket.poll_next_unpin(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(message) => message,
        };
        return Poll::Ready(match message {
            Some(Ok(Message::Text(text))) => Read::Frame(Incoming::Text(text)),
            Some(Ok(Message::Binary(bytes))) => Read::Frame(Incoming::Binary(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(frame))) => {
                // Whether the answer still gets out is the provider's business.
                let _answered = socket.poll_flush_unpin(context);
                Read::Closed(match frame {
                    Some(frame) => OwnedClosure::Code {
                        code: frame.code.into(),
                        reason: frame.reason.as_str().to_owned(),
                    },
                    None => OwnedClosure::Code {
                        code: 1005,
                        reason: String::new(),
                    },
                })
            }
            None | Some(Err(_)) => Read::Closed(OwnedClosure::Lost),
        });
    }
}

struct Effects<'a> {
    links: &'a mut Links,
    events: &'a mut dyn FnMut(Event<'_>),
    over: &'a mut bool,
}

impl Output for Effects<'_> {
    fn event(&mut self, event: Event<'_>) {
        if *self.over {
            return;
        }
        *self.over = matches!(event, Event::Closed(_));
        (self.events)(event);
    }

    fn open(&mut self, link: Link, endpoint: Endpoint) {
        self.links.remove(link);
        let opening = self.links.connector.clone().open(endpoint);
        self.links.open.push((link, State::Opening(Box::pin(opening))));
    }

    fn send(&mut self, link: Link, frame: Outgoing) {
        let open = self.links.open.iter_mut().find(|(name, _)| *name == link);
        let Some((
            _,
            State::Socket {
                socket,
                unsent,
                failed,
                ..
            },
        )) = open
        else {
            return;
        };
        let message = match frame {
            Outgoing::Text(text) => Message::text(text),
            Outgoing::Binary(bytes) => Message::Binary(bytes),
            Outgoing::Close => Message::Close(None),
        };
        // The library keeps what the socket does not take; it refuses only when its buffer is full.
        match socket.start_send_unpin(message) {
            Ok(()) => *unsent = true,
            Err(SocketError::ConnectionClosed | SocketError::AlreadyClosed) => {}
            Err(_) => *failed = true,
        }
    }

    fn abandon(&mut self, link: Link) {
        self.links.remove(link);
    }
}
