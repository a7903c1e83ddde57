//! OpenAI's GPT-Live: full duplex, one WebSocket, the model listens while it speaks and stops by itself.
//!
//! It sends audio all the time at the pace it plays, silence included, and knows no turns. They are made here:
//! an answer begins with the first sound after a silence and ends with [`PAUSE_MS`] of it; the caller's turn
//! begins with a fragment of transcript and ends when the agent speaks or nothing more comes. Silence between
//! answers is not passed on. Tools are named by another model it delegates to.

mod receive;
mod setup;
mod wire;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

pub use self::setup::Options;
use crate::{
    Account, Adapter, Closure, Command, CommandError, Ending, Endpoint, Event, Fault, FaultKind, Frame, Link,
    Outgoing, Output, Payload, Protocol, Provider, Session, judgement::broken,
};

/// From the open socket to the started session.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// What is still to be said is said before the end: up to ten seconds.
const CLOSED_WITHIN: Duration = Duration::from_secs(11);

/// So much silence ends an answer.
const PAUSE_MS: u64 = 700;

/// Without another fragment for so long the caller has finished.
const CALLER_PAUSE: Duration = Duration::from_millis(1_200);

/// What may be appended is counted in tokens; no text has more tokens than a third of its bytes by much.
const LONGEST_APPEND: usize = 1_500;

/// One session of GPT-Live.
#[derive(Debug)]
pub struct OpenaiLive {
    account: Account,
    session: Session,
    options: Options,
    phase: Phase,
    alarm: Option<Instant>,
    answer: Option<Answer>,
    answers: u64,
    caller: Option<CallerTurn>,
    caller_turns: u64,
    /// What the provider has counted so far.
    billed_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closing,
    Over,
}

/// The answer being spoken.
#[derive(Debug)]
struct Answer {
    item: String,
    text: String,
    silent_ms: u64,
}

/// What the caller is saying.
#[derive(Debug)]
struct CallerTurn {
    item: String,
    text: String,
    last: Instant,
}

impl OpenaiLive {
    /// A session that has not begun.
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
            caller: None,
            caller_turns: 0,
            billed_ms: 0,
        }
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let url = self.account.base_url.join("/v1/live/sessions").ok()?;
        let mut bearer =
            http::HeaderValue::try_from(format!("Bearer {}", self.account.key.expose_secret())).ok()?;
        bearer.set_sensitive(true);
        Some(Endpoint {
            protocol: Protocol::WebSocket,
            url,
            headers: [(http::header::AUTHORIZATION, bearer)].into_iter().collect(),
        })
    }

    fn end(&mut self, ending: Ending, out: &mut dyn Output) {
        self.phase = Phase::Over;
        self.alarm = None;
        out.abandon(Link::MAIN);
        out.event(Event::Closed(ending));
    }

    fn fail(&mut self, kind: FaultKind, code: &str, out: &mut dyn Output) {
        out.event(Event::Failed(Fault::new(kind, code)));
        self.end(Ending::broken(kind), out);
    }

    fn audio(payload: Payload<'_>, out: &mut dyn Output) -> Result<(), CommandError> {
        if !payload.is_clean() {
            return Err(CommandError::Invalid {
                command: "audio",
                reason: "not Base64",
            });
        }
        const BEFORE: &str = "{\"type\":\"session.input_audio.append\",\"audio\":\"";
        let mut text = String::with_capacity(BEFORE.len() + payload.len().div_ceil(3) * 4 + 2);
        text.push_str(BEFORE);
        payload.write_base64(&mut text);
        text.push_str("\"}");
        out.send(Link::MAIN, Outgoing::Text(text));
        Ok(())
    }
}

/// Something for the model to know: `commentary` may be spoken, `thinking` is kept to itself, `instructions` are
/// obeyed.
fn append(
    kind: &str,
    content: &str,
    command: &'static str,
    out: &mut dyn Output,
) -> Result<(), CommandError> {
    if content.len() > LONGEST_APPEND {
        return Err(CommandError::Invalid {
            command,
            reason: "longer than 500 tokens",
        });
    }
    send(
        &json!({"type": format!("session.{kind}.append"), "content": content, "delegation_id": null}),
        out,
    );
    Ok(())
}

fn send(message: &Value, out: &mut dyn Output) {
    out.send(Link::MAIN, Outgoing::Text(message.to_string()));
}

impl Adapter for OpenaiLive {
    fn provider(&self) -> Provider {
        Provider::OpenaiLive
    }

    fn start(&mut self, _: Instant, out: &mut dyn Output) {
        let (input, output) = (self.session.input, self.session.output);
        if !self.provider().capabilities().input.contains(&input) || input != output {
            return self.fail(FaultKind::FormatMismatch, "unsupported_format", out);
        }
        match self.endpoint() {
            Some(endpoint) => out.open(Link::MAIN, endpoint),
            None => self.fail(FaultKind::Rejected, "endpoint", out),
        }
    }

    fn opened(&mut self, _: Link, now: Instant, out: &mut dyn Output) {
        self.alarm = Some(now + READY_WITHIN);
        send(&setup::session_start(&self.session, &self.options), out);
    }

    fn received(&mut self, _: Link, frame: Frame<'_>, now: Instant, out: &mut dyn Output) {
        let event = match frame {
            Frame::Text(text) => serde_json::from_str::<wire::ServerEvent<'_>>(text).ok(),
            Frame::Binary(_) => None,
        };
        match event {
            Some(event) => self.take(event, now, out),
            None => out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "unreadable"))),
        }
    }

    fn closed(&mut self, _: Link, closure: Closure<'_>, _: Instant, out: &mut dyn Output) {
        match self.phase {
            Phase::Over => {}
            Phase::Closing => self.end(Ending::Asked, out),
            Phase::Connecting | Phase::Open => {
                let (fault, ending) = broken(closure);
                out.event(Event::Failed(fault));
                self.end(ending, out);
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
            if self.phase == Phase::Open {
                send(&json!({"type": "session.close"}), out);
                self.alarm = Some(now + CLOSED_WITHIN);
            } else {
                self.alarm = Some(now);
            }
            self.phase = Phase::Closing;
            return Ok(());
        }
        if self.phase != Phase::Open {
            return Err(CommandError::NotOpen {
                command: command.name(),
            });
        }
        match command {
            Command::Audio(payload) => Self::audio(payload, out),
            Command::Respond { instructions } => {
                let content = instructions.unwrap_or("Go on: it is your turn to speak.");
                append("commentary", content, "respond", out)
            }
            Command::Say(text) => append("commentary", &crate::phrases::word_for_word(text), "say", out),
            Command::Text(text) => append("thinking", &format!("The caller wrote: {text}"), "text", out),
            Command::Digits(digits) => append("thinking", &crate::phrases::pressed(digits), "digits", out),
            Command::Instruct(text) => append("instructions", text, "instruct", out),
            Command::ToolResult {
                call, output, answer, ..
            } => {
                let item = json!({"type": "function_call_output", "call_id": call, "output": output});
                send(&json!({"type": "response.item.create", "item": item}), out);
                if answer {
                    send(&json!({"type": "response.create"}), out);
                }
                Ok(())
            }
            // The model hears the caller itself and stops.
            Command::Cancel | Command::Interrupt { .. } | Command::Close => Ok(()),
            Command::EndTurn => Err(CommandError::Unsupported {
                provider: self.provider(),
                command: "end_turn",
            }),
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let pause = self.caller.as_ref().map(|caller| caller.last + CALLER_PAUSE);
        self.alarm.into_iter().chain(pause).min()
    }

    fn woken(&mut self, now: Instant, out: &mut dyn Output) {
        if self
            .caller
            .as_ref()
            .is_some_and(|caller| caller.last + CALLER_PAUSE <= now)
        {
            self.end_caller_turn(out);
        }
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            match self.phase {
                Phase::Closing => self.end(Ending::Asked, out),
                Phase::Connecting => self.fail(FaultKind::Stalled, "not_ready", out),
                Phase::Open | Phase::Over => self.alarm = None,
            }
        }
    }
}
