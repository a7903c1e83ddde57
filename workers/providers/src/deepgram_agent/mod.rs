//! Deepgram's Voice Agent: ear, mind and mouth behind one socket, audio in binary frames, control in text.
//!
//! Nothing is echoed of the formats: what the agent does not take it refuses before `SettingsApplied`. An answer
//! cut by us is muted here until its end; one cut by the caller the agent stops itself. It bills by the time the
//! socket stands.

mod receive;
mod setup;
mod wire;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::setup::Options;
use crate::{
    Account, Adapter, Closure, Command, CommandError, Ending, Event, Fault, FaultKind, Frame, Link, Outgoing,
    Output, Payload, Provider, Quantities, Session, Unit, Usage, deepgram, judgement::broken,
};

const READY_WITHIN: Duration = Duration::from_secs(4);
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Without audio it wants a sign of life every eight seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Echoes that are waited for at a time.
const ECHOES: usize = 8;

/// The name under which the time of the socket is priced.
pub const BILLED_AS: &str = "deepgram-voice-agent";

/// One session of the Voice Agent.
#[derive(Debug)]
pub struct DeepgramAgent {
    account: Account,
    session: Session,
    options: Options,
    phase: Phase,
    alarm: Option<Instant>,
    answer: Option<Answer>,
    answers: u64,
    caller_turns: u64,
    caller_speaks: bool,
    /// What we put into the caller's mouth: its echo is nothing the caller said.
    injected: VecDeque<String>,
    last_sent: Option<Instant>,
    billed_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closing,
    Over,
}

#[derive(Debug)]
struct Answer {
    item: String,
    muted: bool,
    interrupted: bool,
}

impl DeepgramAgent {
    /// A session that has not begun. The model of the session is the mind's.
    #[must_use]
    pub const fn new(account: Account, session: Session, options: Options) -> Self {
        Self {
            account,
            session,
            options,
            phase: Phase::Connecting,
            alarm: None,
            answer: None,
            answers: 0,
            caller_turns: 0,
            caller_speaks: false,
            injected: VecDeque::new(),
            last_sent: None,
            billed_until: None,
        }
    }

    fn end(&mut self, ending: Ending, now: Instant, out: &mut dyn Output) {
        self.bill(now, out);
        self.phase = Phase::Over;
        self.alarm = None;
        out.abandon(Link::MAIN);
        out.event(Event::Closed(ending));
    }

    fn fail(&mut self, kind: FaultKind, code: &str, now: Instant, out: &mut dyn Output) {
        out.event(Event::Failed(Fault::new(kind, code)));
        self.end(Ending::broken(kind), now, out);
    }

    /// Tells how long the socket stood since the last time.
    fn bill(&mut self, now: Instant, out: &mut dyn Output) {
        let Some(since) = self.billed_until.replace(now) else {
            self.billed_until = None;
            return;
        };
        let ms = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
        if ms > 0 {
            out.event(Event::Usage(Usage {
                model: BILLED_AS,
                quantities: Quantities::of(Unit::SessionMs, ms),
            }));
        }
    }

    fn audio(
        &mut self,
        payload: Payload<'_>,
        now: Instant,
        out: &mut dyn Output,
    ) -> Result<(), CommandError> {
        let Some(audio) = payload.decode() else {
            return Err(CommandError::Invalid {
                command: "audio",
                reason: "not Base64",
            });
        };
        self.last_sent = Some(now);
        out.send(Link::MAIN, Outgoing::Binary(Bytes::from(audio.into_owned())));
        Ok(())
    }

    fn mute(&mut self) {
        if let Some(answer) = &mut self.answer {
            answer.muted = true;
        }
    }
}

fn send(message: &Value, out: &mut dyn Output) {
    out.send(Link::MAIN, Outgoing::Text(message.to_string()));
}

impl DeepgramAgent {
    /// Makes it answer something the caller did not say.
    fn inject(&mut self, content: &str, out: &mut dyn Output) {
        if self.injected.len() == ECHOES {
            self.injected.pop_front();
        }
        self.injected.push_back(content.to_owned());
        send(&json!({"type": "InjectUserMessage", "content": content}), out);
    }
}

impl Adapter for DeepgramAgent {
    fn provider(&self) -> Provider {
        Provider::DeepgramAgent
    }

    fn start(&mut self, now: Instant, out: &mut dyn Output) {
        let known = self.provider().capabilities();
        if !known.input.contains(&self.session.input) || !known.output.contains(&self.session.output) {
            return self.fail(FaultKind::FormatMismatch, "unsupported_format", now, out);
        }
        match deepgram::socket(&self.account, "/v1/agent/converse", &[]) {
            Some(endpoint) => out.open(Link::MAIN, endpoint),
            None => self.fail(FaultKind::Rejected, "endpoint", now, out),
        }
    }

    fn opened(&mut self, _: Link, now: Instant, _: &mut dyn Output) {
        self.alarm = Some(now + READY_WITHIN);
        self.billed_until = Some(now);
    }

    fn received(&mut self, _: Link, frame: Frame<'_>, now: Instant, out: &mut dyn Output) {
        match frame {
            Frame::Binary(audio) => self.take_audio(audio, out),
            Frame::Text(text) => match serde_json::from_str::<wire::ServerMessage<'_>>(text) {
                Ok(message) => self.take(message, now, out),
                Err(_) => out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "unreadable"))),
            },
        }
    }

    fn closed(&mut self, _: Link, closure: Closure<'_>, now: Instant, out: &mut dyn Output) {
        match self.phase {
            Phase::Over => {}
            Phase::Closing => self.end(Ending::Asked, now, out),
            Phase::Connecting | Phase::Open => {
                let (fault, ending) = broken(closure);
                out.event(Event::Failed(fault));
                self.end(ending, now, out);
            }
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        now: Instant,
        out: &mut dyn Output,
    ) -> Result<(), CommandError> {
        if let Command::Close = command {
            self.phase = Phase::Closing;
            self.alarm = Some(now + CLOSED_WITHIN);
            out.send(Link::MAIN, Outgoing::Close);
            return Ok(());
        }
        if self.phase != Phase::Open {
            return Err(CommandError::NotOpen {
                command: command.name(),
            });
        }
        match command {
            Command::Audio(payload) => self.audio(payload, now, out)?,
            Command::EndTurn => send(&json!({"type": "ForceEndTurn"}), out),
            // Both make it answer: it has no way to be told something without.
            Command::Respond { instructions } => {
                self.inject(instructions.unwrap_or("It is your turn to speak."), out);
            }
            Command::Text(text) => self.inject(text, out),
            Command::Digits(digits) => self.inject(&crate::phrases::pressed(digits), out),
            Command::Say(text) => {
                send(
                    &json!({"type": "InjectAgentMessage", "message": text, "behavior": "queue"}),
                    out,
                );
            }
            Command::Cancel | Command::Interrupt { .. } => self.mute(),
            Command::ToolResult {
                call, name, output, ..
            } => send(
                &json!({"type": "FunctionCallResponse", "id": call, "name": name, "content": output}),
                out,
            ),
            Command::Instruct(text) => {
                let all = format!("{}\n\n{text}", self.session.instructions);
                send(&json!({"type": "UpdatePrompt", "prompt": all}), out);
                self.session.instructions = all;
            }
            Command::Close => {}
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        let keep_alive = match self.phase {
            Phase::Open => self.last_sent.map(|last| last + KEEP_ALIVE),
            Phase::Connecting | Phase::Closing | Phase::Over => None,
        };
        [self.alarm, keep_alive].into_iter().flatten().min()
    }

    fn woken(&mut self, now: Instant, out: &mut dyn Output) {
        if self.phase == Phase::Open && self.last_sent.is_some_and(|last| last + KEEP_ALIVE <= now) {
            send(&json!({"type": "KeepAlive"}), out);
            self.last_sent = Some(now);
        }
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            match self.phase {
                Phase::Closing => self.end(Ending::Asked, now, out),
                Phase::Connecting => self.fail(FaultKind::Stalled, "not_ready", now, out),
                Phase::Open | Phase::Over => self.alarm = None,
            }
        }
    }
}
