//! One call: a task that owns the carrier's socket and the provider's, and moves what comes on one to the other.
//!
//! There is nothing between the two sockets: no channel, no second task, no queue but those of the sockets. The loop
//! waits for whichever is next, in this order:
//!
//! 1. the order to stop, which is rare and ends everything;
//! 2. the carrier, which speaks fifty times a second and no faster, so it cannot starve what follows, and whose
//!    marks must be known before the provider's next word is judged;
//! 3. the provider, which sends a whole answer in a burst;
//! 4. the clock, for what happens when nobody says anything.
//!
//! What is sent is handed to a socket's buffer at once and leaves with the next turn of the loop.

mod convert;
mod ear;
mod items;
mod leg;
mod mouth;
mod side;
mod talk;

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep_until, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Utf8Bytes, protocol::frame::coding::CloseCode},
};
use voice_audio::g711::Law;
use voice_lifecycle::{CancellationToken, SharedClock};
use voice_providers::{AudioFormat, Command, Connection};
use voice_schemas::events::call::Carrier;
use voice_telemetry::{Emit as _, Metrics};
use voice_telephony::media::{Encoding, StreamGrant, StreamMessage, StreamStart, parse};

pub(crate) use self::leg::socket_config;
use self::{
    leg::{Incoming, Leg},
    side::{Side, Todo},
};
use crate::{
    error::Ending,
    events::{StreamEnded, TurnOver},
    facts::{Fact, Sink, Stopped, Subject},
    plan::{Opening, Plan, Plans},
    record::{Tape, spool::Spool},
};

/// How long the provider may take to say goodbye, with what the call cost.
const GOODBYE: Duration = Duration::from_millis(1_500);
/// How long the carrier may take to take our goodbye.
const CLOSING: Duration = Duration::from_millis(500);

/// What every call of a worker shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) plans: Arc<dyn Plans>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) spool: Option<Spool>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) start_timeout: Duration,
    pub(crate) max_call: Duration,
}

/// Carries one call to its end.
pub(crate) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    carrier: Carrier,
    grant: StreamGrant,
    shared: &Shared,
    stop: &CancellationToken,
) {
    let mut leg = Leg::new(socket, carrier);
    let opened = timeout(shared.start_timeout, open(&mut leg, carrier))
        .await
        .unwrap_or(Err(Ending::NoStart));
    let ending = match opened {
        Ok(start) => match begin(&start, carrier, &grant, shared) {
            Ok((plan, law)) => {
                leg.named(carrier, &start.stream_id);
                Call::new(leg, carrier, &grant, plan, law, shared).run(stop).await;
                return;
            }
            Err(ending) => ending,
        },
        Err(ending) => ending,
    };
    tracing::warn!(call = %grant.call, ending = ending.kind(), "a media stream did not begin");
    shared
        .metrics
        .counter(&crate::events::ENDED)
        .inc(crate::events::Kind(ending.kind()));
    let _gone = timeout(CLOSING, leg.close(close_code(ending), ending.kind())).await;
}

/// Waits for the start message.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    leg: &mut Leg<S>,
    carrier: Carrier,
) -> Result<Box<StreamStart>, Ending> {
    loop {
        match leg.next().await {
            Incoming::Text(text) => match parse(carrier, &text) {
                Ok(StreamMessage::Start(start)) => return Ok(start),
                Ok(StreamMessage::Stop) => return Err(Ending::Carrier),
                Ok(_) => {}
                Err(error) if error.kind() == "unknown_format" => return Err(Ending::UnknownFormat),
                Err(error) if error.is_fatal() => return Err(Ending::UnknownEvent),
                Err(_) => {}
            },
            Incoming::Foreign => {}
            Incoming::Closed => return Err(Ending::Carrier),
            Incoming::Lost => return Err(Ending::CarrierLost),
        }
    }
}

fn begin(
    start: &StreamStart,
    carrier: Carrier,
    grant: &StreamGrant,
    shared: &Shared,
) -> Result<(Plan, Law), Ending> {
    let (law, format) = match start.format.encoding {
        Encoding::Pcmu => (Law::Mu, AudioFormat::PCMU),
        Encoding::Pcma => (Law::A, AudioFormat::PCMA),
        // The order of its bytes is not documented, and Opus is for browsers.
        Encoding::L16 | Encoding::Opus => return Err(Ending::UnknownFormat),
    };
    let opening = Opening {
        grant,
        carrier,
        start,
        format,
    };
    let plan = shared.plans.plan(&opening).ok_or(Ending::NoPlan)?;
    Ok((plan, law))
}

const fn close_code(ending: Ending) -> CloseCode {
    match ending {
        Ending::UnknownEvent | Ending::NoStart => CloseCode::Policy,
        Ending::UnknownFormat => CloseCode::Unsupported,
        Ending::ProviderFailed(_) | Ending::Stopped => CloseCode::Again,
        _ => CloseCode::Normal,
    }
}

struct Call<'a, S> {
    side: Side<S>,
    provider: Connection,
    carrier: Carrier,
    shared: &'a Shared,
    subject: Subject,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Instant,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Call<'a, S> {
    fn new(
        leg: Leg<S>,
        carrier: Carrier,
        grant: &StreamGrant,
        plan: Plan,
        law: Law,
        shared: &'a Shared,
    ) -> Self {
        let began = Instant::now();
        let subject = Subject {
            tenant: grant.tenant,
            call: grant.call,
            agent: plan.agent,
            carrier,
            provider: plan.adapter.provider(),
        };
        let tape = shared
            .spool
            .as_ref()
            .filter(|_| plan.record)
            .map(|spool| Tape::new(grant.tenant, grant.call, law, spool.clone()));
        let provider = Connection::start(plan.adapter, plan.connector);
        let alarm_at = began + shared.max_call;
        let side = Side::new(
            leg,
            carrier,
            law,
            tape,
            side::Rules {
                greeting: plan.greeting,
                interruption: plan.interruption,
                idle: plan.idle,
            },
            began,
        );
        Self {
            side,
            provider,
            carrier,
            shared,
            subject,
            began,
            alarm: Box::pin(sleep_until(alarm_at.into())),
            alarm_at,
        }
    }

    async fn run(mut self, stop: &CancellationToken) {
        self.tell(Fact::Started);
        let ending = loop {
            self.set_alarm();
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ending::Stopped,
                incoming = self.side.leg.next() => {
                    if let Some(ending) = self.carrier_said(incoming) {
                        break ending;
                    }
                }
                happened = self.provider.happening() => {
                    let (side, now) = (&mut self.side, Instant::now());
                    self.provider.handle(&happened, &mut |event| side.provider_says(event, Some(&happened), now));
                }
                () = &mut self.alarm => {
                    if let Some(ending) = self.woken() {
                        break ending;
                    }
                }
            }
            self.follow_up();
            if let Some(ending) = self.side.ending {
                break ending;
            }
            if self.provider.is_over() {
                break Ending::Provider;
            }
        };
        self.finish(ending).await;
    }

    fn carrier_said(&mut self, incoming: Incoming) -> Option<Ending> {
        let text = match incoming {
            Incoming::Text(text) => text,
            Incoming::Foreign => {
                self.side.malformed += 1;
                return None;
            }
            Incoming::Closed => return Some(Ending::Carrier),
            Incoming::Lost => return Some(Ending::CarrierLost),
        };
        self.message(&text)
    }

    fn message(&mut self, text: &Utf8Bytes) -> Option<Ending> {
        let now = Instant::now();
        match parse(self.carrier, text) {
            Ok(StreamMessage::Media(frame)) => {
                self.side.caller_says(text, &frame, &mut self.provider, now);
            }
            Ok(StreamMessage::Mark(name)) => self.side.marked(&name, now),
            Ok(StreamMessage::Dtmf(key)) => self.side.pressed(key, now),
            Ok(StreamMessage::Stop) => return Some(Ending::Carrier),
            Ok(StreamMessage::Complaint { code, .. }) => {
                tracing::warn!(call = %self.subject.call, code, "the carrier complains about the stream");
                self.side.malformed += 1;
            }
            Ok(StreamMessage::Connected | StreamMessage::Start(_)) => {}
            Err(error) if error.is_fatal() => return Some(Ending::UnknownEvent),
            Err(_) => self.side.malformed += 1,
        }
        None
    }

    /// Carries out what follows from what was said. Commands may say something in turn.
    fn follow_up(&mut self) {
        let now = Instant::now();
        while let Some(todo) = self.side.todo.pop_front() {
            let (side, provider) = (&mut self.side, &mut self.provider);
            let name;
            let command = match &todo {
                Todo::Ready => {
                    side.hear_early(provider);
                    continue;
                }
                Todo::Interrupt { item, heard_ms } => {
                    name = item.and_then(|item| side.mouth.name(item)).map(str::to_owned);
                    Command::Interrupt {
                        item: name.as_deref(),
                        heard_ms: *heard_ms,
                    }
                }
                Todo::Respond(instructions) => Command::Respond {
                    instructions: instructions.as_deref(),
                },
                Todo::Digits(digits) => Command::Digits(digits),
                Todo::RefuseTool { call, name } => Command::ToolResult {
                    call,
                    name,
                    output: r#"{"error":"this tool is not available"}"#,
                    answer: true,
                },
            };
            let told = provider.command(command, &mut |event| side.provider_says(event, None, now));
            if let Err(error) = told {
                tracing::debug!(call = %self.subject.call, kind = error.kind(), "the provider was not told");
            }
        }
        while let Some(fact) = self.side.facts.pop_front() {
            if let Fact::Turn(turn) = &fact {
                TurnOver(turn).emit(&self.shared.metrics);
            }
            self.tell(fact);
        }
    }

    fn tell(&self, fact: Fact) {
        self.shared
            .sink
            .emit(&self.subject, self.shared.clock.now(), fact);
    }

    fn set_alarm(&mut self) {
        let end = self.began + self.shared.max_call;
        let next = self.side.wake_at().map_or(end, |at| at.min(end));
        if next != self.alarm_at {
            self.alarm_at = next;
            self.alarm.as_mut().reset(next.into());
        }
    }

    fn woken(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if now >= self.began + self.shared.max_call {
            return Some(Ending::TooLong);
        }
        let ending = self.side.woken(now);
        // A timer that fired must be set again even for the same moment.
        self.alarm_at = self.began;
        ending
    }

    async fn finish(mut self, ending: Ending) {
        let now = Instant::now();
        let tape = self.side.tape.take();
        let recording = tape.map(Tape::finish);
        self.side.over(now);
        self.follow_up();
        let closing = timeout(CLOSING, self.side.leg.close(close_code(ending), ending.kind()));
        let _gone = closing.await;
        self.goodbye().await;
        self.follow_up();
        let stopped = Stopped {
            ending,
            duration_ms: u64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(u64::MAX),
            frames: self.side.ear.frames(),
            lost: self.side.ear.lost(),
            malformed: self.side.malformed,
            recording,
            usage: self.side.usage,
        };
        StreamEnded {
            subject: &self.subject,
            stopped: &stopped,
        }
        .emit(&self.shared.metrics);
        self.tell(Fact::Stopped(stopped));
    }

    /// Lets the provider say what the call cost.
    async fn goodbye(&mut self) {
        let now = Instant::now();
        let (side, provider) = (&mut self.side, &mut self.provider);
        if provider
            .command(Command::Close, &mut |event| side.provider_says(event, None, now))
            .is_err()
        {
            return;
        }
        let deadline = now + GOODBYE;
        while !provider.is_over() {
            let Ok(happened) = timeout_at(deadline.into(), provider.happening()).await else {
                break;
            };
            provider.handle(&happened, &mut |event| side.last_words(&event));
        }
    }
}
