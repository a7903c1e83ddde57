//! Google's Gemini Live: one WebSocket, JSON in binary frames, 16 kHz in and 24 kHz out.
//!
//! It knows no G.711, so the bridge transcodes. A connection lasts about ten minutes; `goAway` announces its end,
//! and a handle takes the session to another connection, which is refused while the old one is open. It cannot be
//! told how much was heard; an answer cut by us is muted here until its end. Pongs may take half a minute, so
//! nobody waits for them.

mod receive;
mod setup;
mod wire;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

pub use self::setup::Options;
use crate::{
    Account, Adapter, AudioFormat, Closure, Command, CommandError, Ending, Endpoint, Event, Fault, FaultKind,
    Frame, Link, Outgoing, Output, Payload, Protocol, Provider, Session, Turns, judgement::broken,
};

const READY_WITHIN: Duration = Duration::from_secs(4);

const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// A connection lasts about so long; `goAway` comes before its end.
pub const CONNECTION_LASTS: Duration = Duration::from_secs(10 * 60);

const PATH: &str = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";

/// One connection of a Gemini Live session.
#[derive(Debug)]
pub struct GeminiLive {
    account: Account,
    session: Session,
    options: Options,
    phase: Phase,
    alarm: Option<Instant>,
    answer: Option<Answer>,
    answers: u64,
    /// What the caller said since the last answer.
    heard: Option<Heard>,
    caller_turns: u64,
    /// Where turns are ours: whether the provider was told that the caller speaks.
    speaking: bool,
    /// Whether the end was announced: what follows is no failure.
    leaving: bool,
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
    text: String,
    /// Cut by us: the rest of it is dropped.
    muted: bool,
    interrupted: bool,
    audio_done: bool,
}

#[derive(Debug)]
struct Heard {
    item: String,
    text: String,
    language: Option<String>,
}

impl GeminiLive {
    /// A session that has not begun, or one that is taken up again with [`Session::resume`].
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
            heard: None,
            caller_turns: 0,
            speaking: false,
            leaving: false,
        }
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let url = self.account.base_url.join(PATH).ok()?;
        // In a header and not in the URL, which proxies write down.
        let mut key = http::HeaderValue::try_from(self.account.key.expose_secret()).ok()?;
        key.set_sensitive(true);
        let name = http::HeaderName::from_static("x-goog-api-key");
        Some(Endpoint {
            protocol: Protocol::WebSocket,
            url,
            headers: [(name, key)].into_iter().collect(),
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

    fn audio(&mut self, payload: Payload<'_>, out: &mut dyn Output) -> Result<(), CommandError> {
        if !payload.is_clean() {
            return Err(CommandError::Invalid {
                command: "audio",
                reason: "not Base64",
            });
        }
        if self.session.turns == Turns::Ours && !std::mem::replace(&mut self.speaking, true) {
            send(&json!({"realtimeInput": {"activityStart": {}}}), out);
        }
        const BEFORE: &str =
            "{\"realtimeInput\":{\"audio\":{\"mimeType\":\"audio/pcm;rate=16000\",\"data\":\"";
        let mut text = String::with_capacity(BEFORE.len() + payload.len().div_ceil(3) * 4 + 4);
        text.push_str(BEFORE);
        payload.write_base64(&mut text);
        text.push_str("\"}}}");
        out.send(Link::MAIN, Outgoing::Text(text));
        Ok(())
    }

    /// Something the caller did not say aloud; `answer` it or only know it.
    fn content(&self, text: &str, answer: bool, out: &mut dyn Output) {
        if answer && !setup::takes_content(&self.session.model) {
            // The older models close a connection that sends content after their first answer.
            return send(&json!({"realtimeInput": {"text": text}}), out);
        }
        send(
            &json!({"clientContent": {"turns": [{"role": "user", "parts": [{"text": text}]}],
                                      "turnComplete": answer}}),
            out,
        );
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

impl Adapter for GeminiLive {
    fn provider(&self) -> Provider {
        Provider::GeminiLive
    }

    fn start(&mut self, _: Instant, out: &mut dyn Output) {
        if self.session.input != AudioFormat::PCM_16K || self.session.output != AudioFormat::PCM_24K {
            return self.fail(FaultKind::FormatMismatch, "unsupported_format", out);
        }
        match self.endpoint() {
            Some(endpoint) => out.open(Link::MAIN, endpoint),
            None => self.fail(FaultKind::Rejected, "endpoint", out),
        }
    }

    fn opened(&mut self, _: Link, now: Instant, out: &mut dyn Output) {
        self.alarm = Some(now + READY_WITHIN);
        send(&setup::setup(&self.session, &self.options), out);
    }

    fn received(&mut self, _: Link, frame: Frame<'_>, _: Instant, out: &mut dyn Output) {
        let message = match frame {
            Frame::Text(text) => serde_json::from_str::<wire::ServerMessage<'_>>(text).ok(),
            Frame::Binary(bytes) => serde_json::from_slice::<wire::ServerMessage<'_>>(bytes).ok(),
        };
        match message {
            Some(message) => self.take(message, out),
            None => out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "unreadable"))),
        }
    }

    fn closed(&mut self, _: Link, closure: Closure<'_>, _: Instant, out: &mut dyn Output) {
        match self.phase {
            Phase::Over => {}
            Phase::Closing => self.end(Ending::Asked, out),
            Phase::Open if self.leaving => self.end(Ending::broken(FaultKind::Expired), out),
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
            Command::Audio(payload) => self.audio(payload, out)?,
            Command::EndTurn => {
                if self.session.turns != Turns::Ours {
                    return Err(CommandError::Unsupported {
                        provider: self.provider(),
                        command: "end_turn",
                    });
                }
                if std::mem::replace(&mut self.speaking, false) {
                    send(&json!({"realtimeInput": {"activityEnd": {}}}), out);
                }
            }
            Command::Respond { instructions } => {
                self.content(instructions.unwrap_or("It is your turn to speak."), true, out);
            }
            Command::Say(text) => self.content(&crate::phrases::word_for_word(text), true, out),
            Command::Text(text) => self.content(text, false, out),
            Command::Digits(digits) => self.content(&crate::phrases::pressed(digits), false, out),
            Command::Cancel | Command::Interrupt { .. } => self.mute(),
            Command::ToolResult {
                call,
                name,
                output,
                answer,
            } => send(&setup::tool_response(call, name, output, answer), out),
            Command::Instruct(text) => {
                let all = format!("{}\n\n{text}", self.session.instructions);
                send(
                    &json!({"contextUpdate": {"systemInstruction": {"parts": [{"text": all}]}}}),
                    out,
                );
                self.session.instructions = all;
            }
            Command::Close => {}
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.alarm
    }

    fn woken(&mut self, now: Instant, out: &mut dyn Output) {
        if self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        match self.phase {
            Phase::Closing => self.end(Ending::Asked, out),
            Phase::Connecting => self.fail(FaultKind::Stalled, "not_ready", out),
            Phase::Open | Phase::Over => self.alarm = None,
        }
    }
}
