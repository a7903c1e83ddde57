//! A twin of OpenAI's GPT-Live.
//!
//! Nothing is taken before `session.start`, unknown fields are refused, a format has its rate. From the start on
//! audio flows at the pace it plays, zeros when nothing is said. The twin hears the caller over its own voice and
//! stops by itself. Tools are asked for as events of the model it delegates to.

mod request;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::request::{Append, Bare, DelegationKind, ItemCreate, Note, Start};
use crate::{
    script::{Fault, Reply, Script},
    socket::{Out, Twin},
    sound::{Ear, Format, Noticed, silence, speech},
    strict::{Refusal, read},
};

/// How much audio one event carries; transcripts come in the same steps.
const PIECE_MS: u64 = 200;

/// How long sessions last.
const SESSION_LASTS_S: u64 = 60 * 60;

/// One session.
#[derive(Debug)]
pub(crate) struct Live {
    script: Script,
    session: Value,
    format: Format,
    /// What is confirmed and spoken: another one where the script betrays.
    spoken: Format,
    ear: Ear,
    started: Option<Instant>,
    next_at: Option<Instant>,
    sent_ms: u64,
    muted: bool,
    speaking: Option<Speaking>,
    thinks_until: Option<Instant>,
    turns_heard: usize,
    turns_answered: usize,
    calls: Vec<String>,
    closing: bool,
    counter: u64,
}

#[derive(Debug)]
struct Speaking {
    words: Vec<String>,
    ms: u64,
    sent_ms: u64,
}

impl Live {
    pub(crate) fn new(script: Script) -> Self {
        let format = Format::pcm(24_000);
        Self {
            script,
            session: Value::Null,
            format,
            spoken: format,
            ear: Ear::new(format, 400),
            started: None,
            next_at: None,
            sent_ms: 0,
            muted: false,
            speaking: None,
            thinks_until: None,
            turns_heard: 0,
            turns_answered: 0,
            calls: Vec::new(),
            closing: false,
            counter: 0,
        }
    }

    fn say(&mut self, mut event: Value, out: &mut Out) {
        self.counter += 1;
        event["event_id"] = json!(format!("event_{:06}", self.counter));
        out.json(&event);
    }

    fn refuse(&mut self, refusal: &Refusal, about: Option<&str>, out: &mut Out) {
        let mut error = json!({"type": "invalid_request_error", "code": refusal.code, "message": refusal.message,
                               "param": refusal.param});
        if let Some(about) = about {
            error["client_event_id"] = json!(about);
        }
        self.say(json!({"type": "error", "error": error}), out);
    }

    fn start(&mut self, text: &str, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        if self.started.is_some() {
            return Err(Refusal::coded(
                "session_already_started",
                "",
                "The session has started already.",
            ));
        }
        let start: Start = read(text)?;
        if !start.session.model.starts_with("gpt-live") {
            return Err(Refusal::coded(
                "model_not_found",
                "session.model",
                "The model does not exist.",
            ));
        }
        if let Some(delegation) = &start.session.delegation
            && (delegation.kind == DelegationKind::Responses) != delegation.responses.is_some()
        {
            let message = "Missing required parameter: 'session.delegation.responses'.";
            return Err(Refusal::coded(
                "missing_required_parameter",
                "session.delegation.responses",
                message,
            ));
        }
        if let Some(format) = start.session.audio.and_then(|audio| audio.format) {
            self.format = format.known()?;
        }
        self.ear = Ear::new(self.format, 400);
        let raw: Value = serde_json::from_str(text).unwrap_or_default();
        self.session = raw["session"].clone();
        self.session["id"] = json!("live_000001");
        self.session["status"] = json!("active");
        self.session["expires_at"] = json!(1_790_000_000 + SESSION_LASTS_S);
        self.spoken = self.format;
        if self.script.has(&Fault::WrongFormat) {
            self.spoken = Format::pcm(24_000);
            self.session["audio"]["format"] = json!({"type": "audio/pcm", "rate": 24_000});
        }
        let session = self.session.clone();
        self.say(json!({"type": "session.started", "session": session}), out);
        self.started = Some(now);
        self.next_at = Some(now + Duration::from_millis(PIECE_MS));
        Ok(())
    }

    fn append(&mut self, text: &str, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        let append: Append<'_> = read(text)?;
        let audio = STANDARD
            .decode(append.audio)
            .map_err(|_| Refusal::value("audio", "Invalid 'audio'. Expected base64-encoded audio bytes."))?;
        if self.muted {
            return Ok(());
        }
        match self.ear.hear(&audio) {
            // It stops by itself when it is spoken over.
            Some(Noticed::Started { at_ms }) => {
                self.thinks_until = None;
                self.speaking = None;
                let heard = self.script.heard(self.turns_heard);
                let first = heard
                    .text
                    .split_inclusive(' ')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                self.say(
                    json!({"type": "session.input_transcript.delta", "delta": first, "start_ms": at_ms,
                           "end_ms": at_ms + PIECE_MS}),
                    out,
                );
            }
            Some(Noticed::Stopped { at_ms }) => {
                let heard = self.script.heard(self.turns_heard);
                let rest: Vec<&str> = heard.text.split_inclusive(' ').skip(1).collect();
                for word in rest {
                    self.say(
                        json!({"type": "session.input_transcript.delta", "delta": word,
                               "start_ms": at_ms.saturating_sub(PIECE_MS), "end_ms": at_ms}),
                        out,
                    );
                }
                self.turns_heard += 1;
                if !self.script.has(&Fault::NeverAnswers) {
                    self.thinks_until = Some(now + self.script.thinks);
                }
            }
            None => {}
        }
        Ok(())
    }

    fn answer(&mut self, out: &mut Out) {
        let reply = self.script.reply(self.turns_answered);
        self.turns_answered += 1;
        match reply {
            Reply::Say { text, lasts } => {
                let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
                words.reverse();
                self.speaking = Some(Speaking {
                    words,
                    ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
                    sent_ms: 0,
                });
            }
            Reply::Call { tool, arguments } => self.delegate(&tool, &arguments, out),
        }
    }

    fn delegate(&mut self, tool: &str, arguments: &Value, out: &mut Out) {
        let call_id = format!("call_{:06}", self.counter);
        let delegation = json!({"id": "dlg_000001", "type": "delegation", "target": "responses",
                                "response_id": "resp_000001"});
        let offset_ms = self.sent_ms;
        self.say(
            json!({"type": "session.delegation.created", "delegation": delegation, "offset_ms": offset_ms}),
            out,
        );
        let mut arguments = arguments.to_string();
        if self.script.has(&Fault::BrokenTools) {
            arguments.truncate(arguments.len() / 2);
        }
        let item = json!({"type": "function_call", "id": "fc_000001", "call_id": call_id, "name": tool,
                          "arguments": arguments, "status": "completed"});
        let usage = json!({"input_tokens": 120, "input_tokens_details": {"cached_tokens": 20},
                           "output_tokens": 12, "total_tokens": 132});
        for event in [
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"id": "resp_000001", "usage": usage}}),
        ] {
            self.say(
                json!({"type": "response.event", "delegation_id": "dlg_000001", "event": event}),
                out,
            );
        }
        self.calls.push(call_id);
    }

    fn piece(&mut self, out: &mut Out) {
        let format = self.spoken;
        let mut words = String::new();
        let audio = match &mut self.speaking {
            None => silence(format, PIECE_MS),
            Some(speaking) => {
                let ms = PIECE_MS.min(speaking.ms - speaking.sent_ms);
                let left = (speaking.ms - speaking.sent_ms).div_ceil(PIECE_MS).max(1);
                let told = speaking.words.len().div_ceil(usize::try_from(left).unwrap_or(1));
                words = (0..told).filter_map(|_| speaking.words.pop()).collect();
                let mut audio = speech(format, speaking.sent_ms, ms);
                audio.extend(silence(format, PIECE_MS - ms));
                speaking.sent_ms += ms;
                audio
            }
        };
        if self
            .speaking
            .as_ref()
            .is_some_and(|speaking| speaking.sent_ms >= speaking.ms)
        {
            self.speaking = None;
        }
        let at_ms = self.sent_ms;
        self.sent_ms += PIECE_MS;
        if !words.is_empty() {
            self.say(
                json!({"type": "session.output_transcript.delta", "delta": words, "start_ms": at_ms,
                       "end_ms": at_ms + PIECE_MS}),
                out,
            );
        }
        // Without an event id, as the real one.
        out.json(&json!({"type": "session.output_audio.delta", "delta": STANDARD.encode(audio)}));
        if self.sent_ms.is_multiple_of(1_000) {
            let usage = self.usage();
            self.say(
                json!({"type": "session.usage.updated", "usage": usage, "context_window": {"usage_ratio": 0.01}}),
                out,
            );
        }
    }

    fn usage(&self) -> Value {
        json!({"seconds": self.sent_ms as f64 / 1_000.0})
    }

    fn close(&mut self, reason: &str, out: &mut Out) {
        let (session, usage) = (self.session.clone(), self.usage());
        self.say(
            json!({"type": "session.closed", "reason": reason, "session": session, "usage": usage}),
            out,
        );
        out.close(1000, "");
    }

    fn take(&mut self, kind: &str, text: &str, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        if kind == "session.start" {
            return self.start(text, now, out);
        }
        if self.started.is_none() {
            let message = "The first message must be 'session.start'.";
            return Err(Refusal::coded("session_not_started", "type", message));
        }
        match kind {
            "session.input_audio.append" => self.append(text, now, out)?,
            "session.input_audio.mute" | "session.input_audio.unmute" => {
                read::<Bare>(text)?;
                self.muted = kind.ends_with(".mute");
                self.say(json!({"type": format!("{kind}d")}), out);
            }
            "session.instructions.append" | "session.thinking.append" | "session.commentary.append" => {
                let note: Note = read(text)?;
                if note.content.split_whitespace().count() > 500 {
                    return Err(Refusal::value(
                        "content",
                        "The content is longer than 500 tokens.",
                    ));
                }
                let at_ms = self.sent_ms;
                self.say(
                    json!({"type": format!("{kind}ed"), "start_ms": at_ms, "end_ms": at_ms}),
                    out,
                );
                if kind == "session.commentary.append" {
                    self.thinks_until = Some(now + self.script.thinks);
                }
            }
            "response.item.create" => {
                let create: ItemCreate = read(text)?;
                let at = self.calls.iter().position(|call| *call == create.item.call_id);
                let Some(at) = at else {
                    return Err(Refusal::value(
                        "item.call_id",
                        "No function call with this ID is pending.",
                    ));
                };
                self.calls.remove(at);
            }
            "response.create" => {
                read::<Bare>(text)?;
                self.thinks_until = Some(now + self.script.thinks);
            }
            "session.close" => {
                read::<Bare>(text)?;
                self.closing = true;
            }
            other => {
                return Err(Refusal::value("type", format!("Invalid value: '{other}'.")));
            }
        }
        Ok(())
    }
}

impl Twin for Live {
    fn open(&mut self, _: Instant, _: &mut Out) {}

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            event_id: Option<&'a str>,
        }
        match serde_json::from_str::<Head<'_>>(text) {
            Ok(head) => {
                if let Err(refusal) = self.take(head.kind, text, now, out) {
                    self.refuse(&refusal, head.event_id, out);
                }
            }
            Err(_) => {
                let refusal = Refusal::coded("invalid_json", "", "The message is not a valid event.");
                self.refuse(&refusal, None, out);
            }
        }
    }

    fn binary(&mut self, _: &[u8], _: Instant, out: &mut Out) {
        let refusal = Refusal::coded("invalid_json", "", "Binary messages are not supported.");
        self.refuse(&refusal, None, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        if self.thinks_until.is_some_and(|at| at <= now) {
            self.thinks_until = None;
            self.answer(out);
        }
        while let Some(at) = self.next_at.filter(|at| *at <= now) {
            self.next_at = Some(at + Duration::from_millis(PIECE_MS));
            self.piece(out);
            // What is still to be said is said before the end.
            if self.closing && self.speaking.is_none() {
                self.next_at = None;
                self.close("close_requested", out);
            }
        }
    }

    fn wakes(&self) -> Option<Instant> {
        [self.next_at, self.thinks_until].into_iter().flatten().min()
    }

    fn ready_since(&self) -> Option<Instant> {
        self.started
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            self.close("expired", out);
        }
    }
}
