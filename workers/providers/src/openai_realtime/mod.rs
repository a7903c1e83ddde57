//! OpenAI's Realtime API (general availability): one WebSocket, JSON both ways, the provider takes turns.
//!
//! Barge-in: the server cancels its own answer when it hears the caller, but believes that everything it sent
//! was heard, and goes on sending what was under way. [`Command::Interrupt`] mutes the items of the answer,
//! cancels it where the server has not, and cuts the item to what was heard, never beyond what arrived, which
//! would be an error.
//!
//! An answer asked for while another one is given would be refused; it waits here until the other is over.

mod receive;
mod setup;
mod wire;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

pub use self::setup::Options;
use crate::{
    Account, Adapter, Closure, Command, CommandError, Ending, Endpoint, Event, Fault, FaultKind, Frame, Link,
    Outgoing, Output, Payload, Protocol, Provider, Session, Turns, judgement::broken,
};

/// From the open socket to the confirmed configuration.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// From our goodbye to theirs.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// OpenAI ends a session after an hour, without a warning.
pub const SESSION_LASTS: Duration = Duration::from_secs(60 * 60);

/// Items whose audio is still accounted for; an answer has one or two.
const ITEMS_KEPT: usize = 8;

/// The event id of the configuration, to know its refusal from others.
const SETUP_EVENT: &str = "setup";

/// The event id of the last request for an answer.
const RESPOND_EVENT: &str = "respond";

/// One session of the Realtime API.
#[derive(Debug)]
pub struct OpenaiRealtime {
    account: Account,
    session: Session,
    options: Options,
    phase: Phase,
    alarm: Option<Instant>,
    answer: Option<Answer>,
    items: VecDeque<Item>,
    /// An answer to ask for as soon as the present one is over.
    wanted: Option<Value>,
    /// What was asked for and is not given yet, in case the server began an answer of its own first.
    asked: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not open, or `session.created` has not come.
    Connecting,
    /// `session.update` is sent.
    Configuring,
    Open,
    /// We said goodbye.
    Closing,
    /// The server said that the session is over; the socket follows.
    Expired,
    Over,
}

/// The answer under way.
#[derive(Debug)]
struct Answer {
    id: String,
    /// It is being cancelled, by whomever.
    cancelled: bool,
}

/// The audio of one item.
#[derive(Debug)]
struct Item {
    id: String,
    bytes: u64,
    /// Interrupted: what still comes of it is dropped.
    muted: bool,
}

impl OpenaiRealtime {
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
            items: VecDeque::new(),
            wanted: None,
            asked: None,
        }
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let mut url = self.account.base_url.join("/v1/realtime").ok()?;
        url.query_pairs_mut().append_pair("model", &self.session.model);
        let mut bearer =
            http::HeaderValue::try_from(format!("Bearer {}", self.account.key.expose_secret())).ok()?;
        bearer.set_sensitive(true);
        let headers = [(http::header::AUTHORIZATION, bearer)].into_iter().collect();
        Some(Endpoint {
            protocol: Protocol::WebSocket,
            url,
            headers,
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

    /// Asks for an answer, now or when the present one is over.
    fn respond(&mut self, response: Value, out: &mut dyn Output) {
        if self.answer.is_some() || self.asked.is_some() {
            self.wanted = Some(response);
            return;
        }
        let message = json!({"type": "response.create", "event_id": RESPOND_EVENT, "response": response});
        self.asked = Some(response);
        send(&message, out);
    }

    fn audio(payload: Payload<'_>, out: &mut dyn Output) -> Result<(), CommandError> {
        if !payload.is_clean() {
            return Err(CommandError::Invalid {
                command: "audio",
                reason: "not Base64",
            });
        }
        const BEFORE: &str = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
        let mut text = String::with_capacity(BEFORE.len() + payload.len().div_ceil(3) * 4 + 2);
        text.push_str(BEFORE);
        payload.write_base64(&mut text);
        text.push_str("\"}");
        out.send(Link::MAIN, Outgoing::Text(text));
        Ok(())
    }

    fn interrupt(&mut self, heard: Option<(&str, u64)>, out: &mut dyn Output) {
        for item in &mut self.items {
            item.muted = true;
        }
        self.wanted = None;
        self.cancel(out);
        let Some((id, heard_ms)) = heard else { return };
        // One that is no longer accounted for was heard long ago.
        let Some(item) = self.items.iter().find(|item| item.id == id) else {
            return;
        };
        let arrived_ms = self.session.output.duration_ms(item.bytes);
        send(
            &json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0,
                    "audio_end_ms": heard_ms.min(arrived_ms)}),
            out,
        );
    }

    fn cancel(&mut self, out: &mut dyn Output) {
        if let Some(answer) = &mut self.answer
            && !answer.cancelled
        {
            answer.cancelled = true;
            send(&json!({"type": "response.cancel"}), out);
        }
    }

    fn item(&mut self, id: &str) -> &mut Item {
        if let Some(at) = self.items.iter().position(|item| item.id == id) {
            return &mut self.items[at];
        }
        if self.items.len() == ITEMS_KEPT {
            self.items.pop_front();
        }
        self.items.push_back(Item {
            id: id.to_owned(),
            bytes: 0,
            muted: self.answer.as_ref().is_some_and(|answer| answer.cancelled),
        });
        let last = self.items.len() - 1;
        &mut self.items[last]
    }
}

impl Adapter for OpenaiRealtime {
    fn provider(&self) -> Provider {
        Provider::OpenaiRealtime
    }

    fn start(&mut self, _: Instant, out: &mut dyn Output) {
        let known = self.provider().capabilities();
        if !known.input.contains(&self.session.input) || !known.output.contains(&self.session.output) {
            return self.fail(FaultKind::FormatMismatch, "unsupported_format", out);
        }
        match self.endpoint() {
            Some(endpoint) => out.open(Link::MAIN, endpoint),
            None => self.fail(FaultKind::Rejected, "endpoint", out),
        }
    }

    fn opened(&mut self, _: Link, now: Instant, _: &mut dyn Output) {
        self.alarm = Some(now + READY_WITHIN);
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
            Phase::Expired => self.end(Ending::broken(FaultKind::Expired), out),
            Phase::Connecting | Phase::Configuring | Phase::Open => {
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
            Command::Audio(payload) => Self::audio(payload, out)?,
            Command::EndTurn => {
                if self.session.turns != Turns::Ours {
                    return Err(CommandError::Unsupported {
                        provider: self.provider(),
                        command: "end_turn",
                    });
                }
                send(&json!({"type": "input_audio_buffer.commit"}), out);
                self.respond(json!({}), out);
            }
            Command::Respond { instructions } => {
                let response = instructions.map_or_else(|| json!({}), |text| json!({"instructions": text}));
                self.respond(response, out);
            }
            Command::Say(text) => {
                self.respond(json!({"instructions": crate::phrases::word_for_word(text)}), out)
            }
            Command::Text(text) => send(&setup::user_message(text), out),
            Command::Digits(digits) => send(&setup::user_message(&crate::phrases::pressed(digits)), out),
            Command::Cancel => self.cancel(out),
            Command::Interrupt { item, heard_ms } => self.interrupt(item.map(|item| (item, heard_ms)), out),
            Command::ToolResult {
                call, output, answer, ..
            } => {
                send(
                    &json!({"type": "conversation.item.create",
                            "item": {"type": "function_call_output", "call_id": call, "output": output}}),
                    out,
                );
                if answer {
                    self.respond(json!({}), out);
                }
            }
            Command::Instruct(text) => send(&setup::system_message(text), out),
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
            Phase::Expired => self.end(Ending::broken(FaultKind::Expired), out),
            Phase::Connecting | Phase::Configuring => self.fail(FaultKind::Stalled, "not_ready", out),
            Phase::Open | Phase::Over => self.alarm = None,
        }
    }
}

fn send(message: &Value, out: &mut dyn Output) {
    out.send(Link::MAIN, Outgoing::Text(message.to_string()));
}

#[cfg(test)]
mod tests {
    use crate::recorder::Recorder;

    use super::*;

    fn open() -> (OpenaiRealtime, Recorder) {
        let mut adapter = OpenaiRealtime::new(
            crate::recorder::account(),
            crate::recorder::session("gpt-realtime-2.1", crate::AudioFormat::PCMU),
            Options::default(),
        );
        let mut out = Recorder::default();
        let format = json!({"format": {"type": "audio/pcmu"}});
        let session = json!({"id": "sess_1", "audio": {"input": format, "output": format}});
        out.hear(&mut adapter, &json!({"type": "session.created", "session": {}}));
        out.hear(
            &mut adapter,
            &json!({"type": "session.updated", "session": session}),
        );
        assert_eq!(adapter.phase, Phase::Open);
        out.clear();
        (adapter, out)
    }

    fn active() -> Value {
        json!({"type": "error", "error": {"type": "invalid_request_error", "event_id": RESPOND_EVENT,
            "code": "conversation_already_has_active_response", "message": "..."}})
    }

    #[test]
    fn an_answer_refused_because_the_server_began_one_itself_is_asked_for_again() {
        let (mut adapter, mut out) = open();
        out.tell(&mut adapter, Command::Say("Good morning."));
        assert_eq!(out.sent().len(), 1);
        let begun = json!({"type": "response.created", "response": {"id": "resp_theirs"}});
        out.hear(&mut adapter, &begun);
        out.hear(&mut adapter, &active());
        assert_eq!(out.sent().len(), 1, "not while the other is given");
        let done = json!({"type": "response.done", "response": {"id": "resp_theirs", "status": "completed"}});
        out.hear(&mut adapter, &done);
        let sent = out.sent();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1]);
        assert!(out.told("Failed").iter().all(|told| told.contains("Benign")));
    }

    #[test]
    fn an_answer_the_server_is_cutting_itself_is_not_cancelled_again() {
        let (mut adapter, mut out) = open();
        let begun = json!({"type": "response.created", "response": {"id": "resp_1"}});
        out.hear(&mut adapter, &begun);
        let delta = json!({"type": "response.output_audio.delta", "item_id": "item_1", "delta": "AAAA"});
        out.hear(&mut adapter, &delta);
        out.hear(
            &mut adapter,
            &json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 10}),
        );
        let interrupt = Command::Interrupt {
            item: Some("item_1"),
            heard_ms: 0,
        };
        out.tell(&mut adapter, interrupt);
        let kinds: Vec<Value> = out.sent().iter().map(|message| message["type"].clone()).collect();
        assert_eq!(kinds, ["conversation.item.truncate"]);
        out.hear(&mut adapter, &delta);
        assert_eq!(
            out.told("Audio").len(),
            1,
            "what comes late of a cut item is dropped"
        );
    }

    #[test]
    fn what_is_no_message_is_noted_and_does_no_harm() {
        let (mut adapter, mut out) = open();
        for text in [
            "",
            "[]",
            "{\"type\":1}",
            "{\"type\":\"response.done\"}",
            "{\"type\":\"error\"}",
        ] {
            adapter.received(Link::MAIN, Frame::Text(text), Instant::now(), &mut out);
        }
        adapter.received(Link::MAIN, Frame::Binary(&[1, 2]), Instant::now(), &mut out);
        assert_eq!(out.told("Failed").len(), 6);
        assert_eq!(adapter.phase, Phase::Open);
    }
}
