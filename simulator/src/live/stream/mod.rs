//! The audio of a call that was told to stream: the carrier opens the platform's WebSocket, brings the callee's voice
//! every 20 ms, plays what it is sent in order, and gives marks back when everything before them was played.

pub(crate) mod caller;
pub(crate) mod wire;

use std::{collections::VecDeque, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

use self::{
    caller::{Caller, FRAME_MS},
    wire::Names,
};
use super::Live;

const FRAME: Duration = Duration::from_millis(FRAME_MS);
/// A worker that does not let us in by then is given up.
const OPENS_WITHIN: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);
/// A byte of µ-law lasts so long.
const BYTE: Duration = Duration::from_micros(125);

/// What becomes of calls that are told to stream their audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// No socket is opened: an agent is taken to talk for as long as the callee likes.
    #[default]
    Pretended,
    /// The socket is opened and the callee talks over it, until they hang up or it is closed.
    Opened,
}

/// How a stream went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamTruth {
    /// The worker did not open it: the HTTP status, or 0 where there was none.
    pub refused: Option<u16>,
    /// The worker ended it, and not the call.
    pub closed_by_worker: bool,
    /// Frames of the callee's voice.
    pub frames_sent: u64,
    /// Audio the agent sent, in milliseconds, whether it was played or not.
    pub agent_ms: u64,
    /// Of it, what the callee heard.
    pub heard_ms: u64,
    /// Marks given back.
    pub marks: u64,
    /// Times the agent's queue was cleared.
    pub clears: u64,
    /// Times the callee interrupted.
    pub interruptions: u64,
}

/// A stream to be opened.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) line: u64,
    pub(crate) turn: u32,
    pub(crate) url: String,
    pub(crate) names: Names,
    pub(crate) caller: Caller,
    /// Ends when the call does something else.
    pub(crate) over: oneshot::Receiver<()>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    event: &'a str,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    mark: Option<Mark>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    payload: &'a str,
}

#[derive(Deserialize)]
struct Mark {
    name: String,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Stream {
    socket: Socket,
    names: Names,
    caller: Caller,
    began: Instant,
    sequence: u64,
    /// When what was received is played out.
    plays_until: Instant,
    marks: VecDeque<(Instant, String)>,
    truth: StreamTruth,
    text: String,
}

/// Carries a stream to its end, and tells the switchboard how it went.
pub(super) async fn carry(live: Live, order: Order) {
    let Order {
        line,
        turn,
        url,
        names,
        caller,
        mut over,
    } = order;
    let opened = tokio::select! {
        biased;
        _ended = &mut over => None,
        opened = timeout(OPENS_WITHIN, connect_async(url)) => Some(opened),
    };
    let truth = match opened {
        Some(Ok(Ok((socket, _)))) => {
            let _best_effort = match socket.get_ref() {
                MaybeTlsStream::Plain(stream) => stream.set_nodelay(true),
                _ => Ok(()),
            };
            let now = Instant::now();
            let stream = Stream {
                socket,
                names,
                caller,
                began: now,
                sequence: 1,
                plays_until: now,
                marks: VecDeque::new(),
                truth: StreamTruth::default(),
                text: String::new(),
            };
            stream.run(&live, line, turn, over).await
        }
        Some(Ok(Err(Error::Http(response)))) => StreamTruth {
            refused: Some(response.status().as_u16()),
            ..StreamTruth::default()
        },
        Some(_) => StreamTruth {
            refused: Some(0),
            ..StreamTruth::default()
        },
        // Hung up while the worker was asked.
        None => StreamTruth::default(),
    };
    live.act(|board, now| board.stream_over(line, turn, truth, now));
}

impl Stream {
    async fn run(
        mut self,
        live: &Live,
        line: u64,
        turn: u32,
        mut over: oneshot::Receiver<()>,
    ) -> StreamTruth {
        let started = [self.names.connected(), self.names.start()];
        for message in started {
            if self.say(&message).await.is_err() {
                return self.truth();
            }
        }
        self.began = Instant::now();
        let mut heard = false;
        loop {
            let frame_at = self.began + FRAME * u32::try_from(self.truth.frames_sent).unwrap_or(u32::MAX);
            let mark_at = self.marks.front().map_or(frame_at, |(at, _)| *at);
            let next = frame_at.min(mark_at);
            let sent = tokio::select! {
                biased;
                _ended = &mut over => {
                    self.goodbye().await;
                    return self.truth();
                }
                message = self.socket.next() => match message {
                    Some(Ok(message)) => self.take(&message).await,
                    Some(Err(error)) => Err(error),
                    None => Err(Error::ConnectionClosed),
                },
                () = sleep_until(next) => self.due().await,
            };
            if sent.is_err() {
                self.truth.closed_by_worker = true;
                return self.truth();
            }
            if !heard && self.truth.agent_ms > 0 {
                heard = true;
                live.act(|board, now| board.stream_heard(line, turn, now));
            }
        }
    }

    fn truth(mut self) -> StreamTruth {
        self.truth.interruptions = u64::from(self.caller.interruptions);
        let unheard = self.plays_until.saturating_duration_since(Instant::now());
        let unheard = u64::try_from(unheard.as_millis()).unwrap_or(0);
        self.truth.heard_ms = self.truth.heard_ms.saturating_sub(unheard);
        self.truth
    }

    async fn say(&mut self, message: &serde_json::Value) -> Result<(), Error> {
        self.sequence += 1;
        self.socket.send(Message::text(message.to_string())).await
    }

    /// Marks whose audio was played, and the next 20 ms.
    async fn due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        while let Some((_, name)) = self.marks.pop_front_if(|(at, _)| *at <= now) {
            self.echo(&name).await?;
        }
        let frame_at = self.began + FRAME * u32::try_from(self.truth.frames_sent).unwrap_or(u32::MAX);
        if frame_at > now {
            return Ok(());
        }
        let (said, key) = self.caller.next(self.plays_until > now);
        self.truth.frames_sent += 1;
        self.sequence += 1;
        let chunk = self.truth.frames_sent;
        self.names
            .media(chunk, self.sequence, said.payload(), &mut self.text);
        self.socket.send(Message::text(self.text.as_str())).await?;
        if let Some(key) = key {
            let pressed = self.names.key(key, self.sequence);
            self.say(&pressed).await?;
        }
        Ok(())
    }

    async fn echo(&mut self, name: &str) -> Result<(), Error> {
        self.truth.marks += 1;
        let mark = self.names.mark(name, self.sequence);
        self.say(&mark).await
    }

    async fn take(&mut self, message: &Message) -> Result<(), Error> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Error::ConnectionClosed),
            _ => return Ok(()),
        };
        // What a carrier does not understand it ignores.
        let Ok(sent) = serde_json::from_str::<Sent<'_>>(text) else {
            return Ok(());
        };
        let now = Instant::now();
        match (sent.event, sent.media, sent.mark) {
            ("media", Some(media), _) => {
                let bytes = BASE64.decode(media.payload).map_or(0, |audio| audio.len());
                let lasts = BYTE * u32::try_from(bytes).unwrap_or(u32::MAX);
                self.plays_until = self.plays_until.max(now) + lasts;
                let ms = u64::try_from(lasts.as_millis()).unwrap_or(0);
                self.truth.agent_ms += ms;
                self.truth.heard_ms += ms;
            }
            ("mark", _, Some(mark)) => self.marks.push_back((self.plays_until.max(now), mark.name)),
            ("clear", ..) => {
                self.truth.clears += 1;
                let unheard = self.plays_until.saturating_duration_since(now);
                let unheard = u64::try_from(unheard.as_millis()).unwrap_or(0);
                self.truth.heard_ms = self.truth.heard_ms.saturating_sub(unheard);
                self.plays_until = now;
                // Both carriers give back the marks of what they throw away.
                for (_, name) in std::mem::take(&mut self.marks) {
                    self.echo(&name).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The call is over: says so, and waits for the worker to close.
    async fn goodbye(&mut self) {
        let stop = self.names.stop(self.sequence);
        let closing = async {
            self.say(&stop).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), Error>(())
        };
        let _gone = timeout(CLOSES_WITHIN, closing).await;
    }
}
