//! One call: a task that owns the carrier's socket and the provider's, and moves what comes on one to the other.
//!
//! There is nothing between the two sockets: no channel, no second task, no queue but those of the sockets. The loop
//! waits for whichever is next, in this order:
//!
//! 1. the order to stop, which is rare and ends everything;
//! 2. the carrier, which speaks fifty times a second and no faster, so it cannot starve what follows, and whose
//!    marks must be known before the provider's next word is judged;
//! 3. the provider, which sends a whole answer in a burst;
//! 4. the tools under way;
//! 5. the clock, for what happens when nobody says anything.
//!
//! What is sent is handed to a socket's buffer at once and leaves with the next turn of the loop.
//!
//! | module | question |
//! |---|---|
//! | [`side`], [`ear`], [`mouth`], [`talk`] | What was said, heard and understood? |
//! | [`sessions`], [`survive`] | Who speaks for us, and who does when they fail? |
//! | [`tools`], [`errands`] | What does the model ask for, and what came of it? |
//! | [`far_end`], [`machines`] | What picked up, and what is to be done about it? |
//! | [`leave`], [`leaving`] | How does the call end? |
//! | [`story`], [`till`], [`disclosure`] | What is told about it, what did it cost, what must be said? |

mod convert;
mod disclosure;
mod ear;
mod errands;
mod far_end;
mod items;
mod leave;
mod leaving;
mod leg;
mod machines;
mod mouth;
mod sessions;
mod side;
mod story;
mod survive;
mod talk;
mod till;
mod tools;

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
use voice_providers::{
    AudioFormat, Command, Event,
    tools::{Patience, Toolbox, Webhook},
};
use voice_schemas::events::{call::Carrier, media::Start};
use voice_telemetry::{Emit as _, Metrics};
use voice_telephony::media::{Encoding, StreamGrant, StreamMessage, StreamStart, parse};

use self::{
    errands::Errands,
    leaving::Leaving,
    leg::{Incoming, Leg},
    sessions::{GOODBYE, Sessions, Which},
    side::Side,
    talk::millis,
    till::Till,
};
pub(crate) use self::{leg::socket_config, sessions::early::Early};
use crate::{
    breakers::Breakers,
    error::Ending,
    events::{StreamEnded, TurnOver},
    facts::{Connected, Fact, Sink, Stopped, Subject},
    hands::{Hands, Line},
    plan::{LastResort, Opening, Plan, Plans, Recording},
    record::{Tape, spool::Spool},
};

/// The time as timers see it: the machine's, or that of a test that has stopped it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long the carrier may take to take our goodbye.
const CLOSING: Duration = Duration::from_millis(500);

/// What every call of a worker shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) plans: Arc<dyn Plans>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) hands: Arc<dyn Hands>,
    pub(crate) breakers: Arc<Breakers>,
    /// Each lane has its own.
    pub(crate) early: Arc<Early>,
    pub(crate) spool: Option<Spool>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) start_timeout: Duration,
    pub(crate) max_call: Duration,
}

impl Shared {
    /// For the calls of another lane.
    pub(crate) fn of_a_lane(&self) -> Self {
        Self {
            early: Arc::new(self.early.of_another_lane()),
            ..self.clone()
        }
    }
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
        Ok(start) => match begin(&start, carrier, &grant, shared).await {
            Ok((plan, sessions, law)) => {
                leg.named(carrier, &start.stream_id);
                let line = Line {
                    tenant: grant.tenant,
                    call: grant.call,
                    agent: grant.agent,
                    attempt: grant.dialled.map(|dialled| dialled.attempt),
                    carrier,
                    carrier_call_id: start.carrier_call_id.clone(),
                };
                let taken = Connected {
                    carrier_call_id: start.carrier_call_id.clone(),
                    stream_id: start.stream_id.clone(),
                    dialled: grant.dialled,
                };
                let call = Call::new(leg, (line, taken), plan, sessions, law, shared);
                call.run(stop).await;
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

async fn begin(
    start: &StreamStart,
    carrier: Carrier,
    grant: &StreamGrant,
    shared: &Shared,
) -> Result<(Plan, Sessions, Law), Ending> {
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
    let mut plan = shared.plans.plan(&opening).ok_or(Ending::NoPlan)?;
    let tools = plan.tools.toolbox.specs();
    let standing = match plan.voices.first() {
        Some(voice) => {
            let (whose, session) = ((grant.tenant, grant.agent), voice.session_with(&tools));
            let connector = &plan.connector;
            shared.standing(whose, voice, session, connector, now()).await
        }
        None => None,
    };
    let sessions = Sessions::begin(
        std::mem::take(&mut plan.voices),
        plan.connector.clone(),
        tools,
        grant.tenant,
        Arc::clone(&shared.breakers),
        standing,
        now(),
    );
    Ok((plan, sessions.ok_or(Ending::NoPlan)?, law))
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
    sessions: Sessions,
    errands: Errands,
    leaving: Option<Leaving>,
    line: Line,
    taken: Connected,
    law: Law,
    toolbox: Toolbox,
    webhooks: Vec<Webhook>,
    patience: Patience,
    farewell: String,
    /// What is to be left with a machine.
    message: Option<String>,
    last_resort: LastResort,
    shared: &'a Shared,
    subject: Subject,
    began: Instant,
    /// Since when the caller has heard nothing of us, while the call is on its way out.
    still_since: Instant,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Instant,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Call<'a, S> {
    fn new(
        leg: Leg<S>,
        (line, taken): (Line, Connected),
        plan: Plan,
        sessions: Sessions,
        law: Law,
        shared: &'a Shared,
    ) -> Self {
        let began = now();
        let subject = Subject {
            tenant: line.tenant,
            call: line.call,
            agent: Some(line.agent),
            carrier: line.carrier,
            provider: sessions.provider(),
        };
        let mut tape = shared
            .spool
            .as_ref()
            .filter(|_| plan.recording != Recording::Off)
            .map(|spool| Tape::new(line.tenant, line.call, law, spool.clone()));
        if plan.recording == Recording::AfterConsent
            && let Some(tape) = &mut tape
        {
            tape.pause();
        }
        let alarm_at = began + shared.max_call;
        let till = Till::new(&plan.money);
        let side = Side::new(
            leg,
            (line.carrier, law),
            tape,
            side::Rules {
                greeting: plan.greeting,
                disclosure: plan.disclosure,
                interruption: plan.interruption,
                idle: plan.idle,
                languages: plan.languages,
                listens: plan.machine.is_some(),
            },
            till,
            (sessions.provider(), sessions.has_cheaper()),
            began,
        );
        let message = plan.machine.and_then(|machine| machine.message);
        Self {
            side,
            sessions,
            errands: Errands::default(),
            leaving: None,
            line,
            taken,
            law,
            toolbox: plan.tools.toolbox,
            webhooks: plan.tools.webhooks,
            patience: plan.tools.patience,
            farewell: plan.money.farewell,
            message,
            last_resort: plan.last_resort,
            shared,
            subject,
            began,
            still_since: began,
            alarm: Box::pin(sleep_until(alarm_at.into())),
            alarm_at,
        }
    }

    async fn run(mut self, stop: &CancellationToken) {
        self.tell(Fact::Started(self.start()));
        self.tell(Fact::Connected(self.taken.clone()));
        let mut ended = self.follow_up();
        let ending = loop {
            if let Some(ending) = ended {
                break ending;
            }
            self.set_alarm();
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ending::Stopped,
                incoming = self.side.leg.next() => {
                    if let Some(ending) = self.carrier_said(incoming) {
                        break ending;
                    }
                }
                (which, happened) = self.sessions.happening() => {
                    let (side, now) = (&mut self.side, now());
                    if which == Which::Current {
                        let mut tell = |event: Event<'_>| side.provider_says(event, Some(&happened), now);
                        self.sessions.current.handle(&happened, &mut tell);
                    } else {
                        self.sessions.aside(which, &happened, &mut |event| side.last_words(&event));
                    }
                }
                (errand, took, outcome) = self.errands.next() => self.done(errand, took, outcome),
                () = &mut self.alarm => self.woken(),
            }
            ended = self.follow_up();
        };
        // In a box: every call would carry its end as long as it lasts.
        Box::pin(self.finish(ending)).await;
    }

    fn start(&self) -> Start {
        let session = &self.sessions.voice().session;
        let (format, codec) = match self.law {
            Law::Mu => (AudioFormat::PCMU, "pcmu"),
            Law::A => (AudioFormat::PCMA, "pcma"),
        };
        Start {
            carrier: self.line.carrier,
            model: session.model.clone(),
            codec: codec.to_owned(),
            pass_through: (session.input, session.output) == (format, format),
            recorded: self.side.tape.is_some(),
        }
    }

    fn carrier_said(&mut self, incoming: Incoming) -> Option<Ending> {
        let text = match incoming {
            Incoming::Text(text) => text,
            Incoming::Foreign => {
                self.side.malformed += 1;
                return None;
            }
            Incoming::Closed => return Some(self.carrier_ended()),
            Incoming::Lost => return Some(Ending::CarrierLost),
        };
        self.message(&text)
    }

    /// The carrier has ended the stream: on its own, or because the platform told it to.
    fn carrier_ended(&self) -> Ending {
        match &self.leaving {
            Some(leaving) if leaving.has_acted() => leaving.ending(),
            _ => Ending::Carrier,
        }
    }

    fn message(&mut self, text: &Utf8Bytes) -> Option<Ending> {
        let now = now();
        match parse(self.line.carrier, text) {
            Ok(StreamMessage::Media(frame)) => {
                self.side
                    .caller_says(text, &frame, &mut self.sessions.current, now);
            }
            Ok(StreamMessage::Mark(name)) => self.side.marked(&name, now),
            Ok(StreamMessage::Dtmf(key)) => self.side.pressed(key, now),
            Ok(StreamMessage::Stop) => return Some(self.carrier_ended()),
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

    /// Carries out what follows from what was said. The ending, if it is time.
    fn follow_up(&mut self) -> Option<Ending> {
        let now = now();
        self.survive(now);
        self.do_all(now);
        self.tell_all();
        self.leave_on(now)
    }

    fn tell_all(&mut self) {
        while let Some(fact) = self.side.story.next() {
            match &fact {
                Fact::Turn(turn) => TurnOver(&turn.times).emit(&self.shared.metrics),
                Fact::Verdict(verdict) => {
                    self.tell(Fact::Detected(self.taken.clone(), verdict.clone()));
                }
                _ => {}
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
        let now = now();
        let quiet = self.side.quiet(now);
        let wishes = [
            self.side.wake_at(),
            self.sessions.wake_at(now),
            self.errands.wake_at(quiet, now),
            self.leaving
                .as_ref()
                .map(|leaving| leaving.wake_at().min(now + leave::LOOK)),
        ];
        let end = self.began + self.shared.max_call;
        let end = if self.leaving.is_some() { None } else { Some(end) };
        let next = wishes
            .into_iter()
            .flatten()
            .chain(end)
            .min()
            .unwrap_or(now + leave::LOOK);
        if next != self.alarm_at {
            self.alarm_at = next;
            self.alarm.as_mut().reset(next.into());
        }
    }

    fn woken(&mut self) {
        let now = now();
        // A timer that fired must be set again even for the same moment.
        self.alarm_at = self.began;
        let mut ending = self.side.woken(now);
        if now >= self.began + self.shared.max_call {
            ending = Some(Ending::TooLong);
        }
        self.overdue(now);
        if let Some(ending) = ending
            && self.leaving.is_none()
        {
            self.leave(Leaving::after_this(ending, false, now));
        }
    }

    async fn finish(mut self, ending: Ending) {
        let now = now();
        let ending = self.taken_away(ending).await;
        let tape = self.side.tape.take();
        let recording = tape.map(Tape::finish);
        self.side.over(now);
        self.tell_all();
        if ending == Ending::Stopped {
            let hung_up = self.shared.hands.act(&self.line, leave::hang_up(ending));
            let _late = timeout(CLOSING, hung_up).await;
        }
        let closing = timeout(CLOSING, self.side.leg.close(close_code(ending), ending.kind()));
        let _gone = closing.await;
        self.goodbye().await;
        self.side.settle();
        self.tell_all();
        let stopped = Stopped {
            ending,
            duration_ms: millis(now.duration_since(self.began)),
            frames: self.side.ear.frames(),
            lost: self.side.ear.lost(),
            malformed: self.side.malformed,
            recording,
            usage: self.side.till.all(),
            micros: self.side.till.micros(),
            currency: self.side.till.currency(),
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
        let (side, provider) = (&mut self.side, &mut self.sessions.current);
        if provider
            .command(Command::Close, &mut |event| side.last_words(&event))
            .is_err()
        {
            return;
        }
        let deadline = now() + GOODBYE;
        while !provider.is_over() {
            let Ok(happened) = timeout_at(deadline.into(), provider.happening()).await else {
                break;
            };
            provider.handle(&happened, &mut |event| side.last_words(&event));
        }
    }
}
