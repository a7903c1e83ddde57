//! A twin of OpenAI's Realtime API (general availability).
//!
//! As strict as the real one or stricter: unknown fields, formats of the beta, a rate beside G.711, audio that is
//! no Base64, a cut beyond the end of the audio, a second answer while one is given, a cancel with nothing to
//! cancel and the result of a tool nobody asked for are errors with the codes the API uses. The session goes on
//! after an error, as it does there.

mod answer;
mod request;
mod session;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::{
    answer::Answer,
    request::{Append, ClientEvent, ContentKind, Head, Item, Role, parse},
    session::Settings,
};
use crate::{
    script::{Fault, Reply, Script},
    socket::{Out, Twin},
    sound::{Ear, Noticed},
    strict::{Refusal, read},
};

/// The largest piece of audio the API takes.
const LARGEST_APPEND: usize = 15 << 20;

/// How long sessions last, as the real ones.
const SESSION_LASTS_S: u64 = 60 * 60;

/// One session.
#[derive(Debug)]
pub(crate) struct Realtime {
    script: Script,
    settings: Settings,
    ear: Ear,
    ready: Option<Instant>,
    /// Audio that is in the buffer and not in the conversation.
    buffered_ms: u64,
    items: Vec<Known>,
    answer: Option<Answer>,
    /// When to begin to answer what the caller said.
    thinks_until: Option<Instant>,
    /// What the caller said, to be told after the answer.
    late: Vec<Value>,
    /// When to ask whether somebody is there.
    idles_at: Option<Instant>,
    turns_heard: usize,
    turns_answered: usize,
    spoken: bool,
    /// Tokens of the conversation, sent again with each answer.
    context: Tokens,
    /// Tokens that were part of an answer before, and are cheaper now.
    cached: Tokens,
    counter: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    text: u64,
    audio: u64,
}

/// An item of the conversation.
#[derive(Debug)]
struct Known {
    id: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Message,
    /// Of the assistant, with so much audio.
    Speech {
        ms: u64,
    },
    Call {
        call_id: String,
    },
    Output,
}

impl Realtime {
    pub(crate) fn new(model: &str, script: Script) -> Self {
        let settings = Settings::new(model);
        Self {
            ear: Ear::new(settings.input, settings.silence_ms()),
            script,
            settings,
            ready: None,
            buffered_ms: 0,
            items: Vec::new(),
            answer: None,
            thinks_until: None,
            late: Vec::new(),
            idles_at: None,
            turns_heard: 0,
            turns_answered: 0,
            spoken: false,
            context: Tokens::default(),
            cached: Tokens::default(),
            counter: 0,
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}_{:06}", self.counter)
    }

    /// Sends an event; the event id is added.
    fn say(&mut self, mut event: Value, out: &mut Out) {
        event["event_id"] = json!(self.id("event"));
        out.json(&event);
    }

    fn refuse(&mut self, refusal: &Refusal, about: Option<&str>, out: &mut Out) {
        self.say(
            json!({"type": "error", "error": {
                "type": "invalid_request_error", "code": refusal.code, "message": refusal.message,
                "param": refusal.param, "event_id": about}}),
            out,
        );
    }

    fn append(&mut self, audio: &str, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        if audio.len() > LARGEST_APPEND {
            return Err(Refusal::value("audio", "The audio is larger than 15 MiB."));
        }
        let audio = STANDARD.decode(audio).map_err(|_| {
            Refusal::value(
                "audio",
                "Invalid 'audio'. Expected base64-encoded audio bytes, but got an invalid value.",
            )
        })?;
        let before = self.ear.heard_ms();
        let noticed = self.ear.hear(&audio);
        self.buffered_ms += self.ear.heard_ms() - before;
        if self.settings.turn_detection.is_some() {
            match noticed {
                Some(Noticed::Started { at_ms }) => self.caller_starts(at_ms, out),
                Some(Noticed::Stopped { at_ms }) => self.caller_stops(at_ms, now, out),
                None => {}
            }
        }
        Ok(())
    }

    fn caller_starts(&mut self, at_ms: u64, out: &mut Out) {
        self.idles_at = None;
        self.thinks_until = None;
        let item_id = format!("item_{:06}", self.counter + 1);
        self.say(
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": item_id}),
            out,
        );
        if self.settings.interrupts() {
            self.cancel("turn_detected", out);
        }
    }

    fn caller_stops(&mut self, at_ms: u64, now: Instant, out: &mut Out) {
        let item_id = self.id("item");
        self.say(
            json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": item_id}),
            out,
        );
        self.commit(item_id, out);
        if self.settings.responds() && !self.script.has(&Fault::NeverAnswers) {
            self.thinks_until = Some(now + self.script.thinks);
        }
    }

    /// The buffer becomes an item of the conversation, and is written down.
    fn commit(&mut self, item_id: String, out: &mut Out) {
        let previous = self.items.last().map(|item| item.id.clone());
        self.say(
            json!({"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id}),
            out,
        );
        let item = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": "completed",
            "role": "user", "content": [{"type": "input_audio", "transcript": null}]});
        self.add(&item_id, Kind::Message, item, out);
        let audio_tokens = self.buffered_ms.div_ceil(100);
        self.context.audio += audio_tokens;
        self.buffered_ms = 0;
        if let Some(model) = self.settings.transcription_model().map(str::to_owned) {
            let heard = self.script.heard(self.turns_heard);
            let words = heard.text.split_inclusive(' ').map(|word| {
                json!({"type": "conversation.item.input_audio_transcription.delta", "item_id": item_id,
                       "content_index": 0, "delta": word})
            });
            let mut events: Vec<Value> = words.collect();
            let tokens = heard.text.split_whitespace().count() as u64;
            let usage = if model == "gpt-realtime-whisper" {
                json!({"type": "duration", "seconds": audio_tokens as f64 / 10.0})
            } else {
                json!({"type": "tokens", "total_tokens": audio_tokens + tokens, "input_tokens": audio_tokens,
                       "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens},
                       "output_tokens": tokens})
            };
            let mut done = json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": item_id, "content_index": 0, "transcript": heard.text, "usage": usage});
            if model.starts_with("gpt-transcribe") {
                done["languages"] = json!([{"code": heard.language}]);
            }
            events.push(done);
            if self.script.late_transcripts {
                self.late.append(&mut events);
            } else {
                for event in events {
                    self.say(event, out);
                }
            }
        }
        self.turns_heard += 1;
    }

    /// Takes an item into the conversation and tells of it.
    fn add(&mut self, id: &str, kind: Kind, item: Value, out: &mut Out) {
        let previous = self.items.last().map(|item| item.id.clone());
        self.say(
            json!({"type": "conversation.item.added", "previous_item_id": previous, "item": item}),
            out,
        );
        self.say(
            json!({"type": "conversation.item.done", "previous_item_id": previous, "item": item}),
            out,
        );
        self.items.push(Known {
            id: id.to_owned(),
            kind,
        });
    }

    fn take(&mut self, event: ClientEvent, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        match event {
            ClientEvent::SessionUpdate(_) => {}
            ClientEvent::Commit => {
                if self.buffered_ms < 100 {
                    return Err(Refusal::coded(
                        "input_audio_buffer_commit_empty",
                        "",
                        format!(
                            "Error committing input audio buffer: buffer too small. Expected at least 100ms \
                             of audio, but buffer only has {}.00ms of audio.",
                            self.buffered_ms
                        ),
                    ));
                }
                let id = self.id("item");
                self.commit(id, out);
            }
            ClientEvent::Clear => {
                self.buffered_ms = 0;
                self.say(json!({"type": "input_audio_buffer.cleared"}), out);
            }
            ClientEvent::ItemCreate(create) => {
                if let Some(previous) = &create.previous_item_id
                    && previous != "root"
                {
                    self.known(previous, "previous_item_id")?;
                }
                self.create(create.item, out)?;
            }
            ClientEvent::ItemRetrieve(id) => {
                self.known(&id, "item_id")?;
                self.say(
                    json!({"type": "conversation.item.retrieved", "item": {"id": id, "type": "message",
                        "object": "realtime.item", "role": "user", "content": []}}),
                    out,
                );
            }
            ClientEvent::ItemDelete(id) => {
                let at = self.known(&id, "item_id")?;
                self.items.remove(at);
                self.say(json!({"type": "conversation.item.deleted", "item_id": id}), out);
            }
            ClientEvent::Truncate(truncate) => {
                let at = self.known(&truncate.item_id, "item_id")?;
                let Kind::Speech { ms } = &mut self.items[at].kind else {
                    return Err(Refusal::value(
                        "item_id",
                        "Only model output audio messages can be truncated",
                    ));
                };
                if truncate.content_index != 0 {
                    return Err(Refusal::value("content_index", "Content part not found."));
                }
                if truncate.audio_end_ms > *ms {
                    let message = format!(
                        "Audio content of {ms}ms is already shorter than {}ms",
                        truncate.audio_end_ms
                    );
                    return Err(Refusal::value("audio_end_ms", message));
                }
                *ms = truncate.audio_end_ms;
                self.say(
                    json!({"type": "conversation.item.truncated", "item_id": truncate.item_id,
                           "content_index": 0, "audio_end_ms": truncate.audio_end_ms}),
                    out,
                );
            }
            ClientEvent::ResponseCreate => {
                if let Some(answer) = &self.answer {
                    let message = format!(
                        "Conversation already has an active response in progress: {}. Wait until the response \
                         is finished before creating a new one.",
                        answer.id
                    );
                    return Err(Refusal::coded(
                        "conversation_already_has_active_response",
                        "",
                        message,
                    ));
                }
                if !self.script.has(&Fault::NeverAnswers) {
                    self.thinks_until = None;
                    self.begin(now, out);
                }
            }
            ClientEvent::ResponseCancel(cancel) => {
                let active = self.answer.as_ref().map(|answer| answer.id.as_str());
                if active.is_none() || cancel.response_id.is_some_and(|id| Some(&*id) != active) {
                    return Err(Refusal::coded(
                        "response_cancel_not_active",
                        "",
                        "Cancellation failed: no active response found",
                    ));
                }
                self.cancel("client_cancelled", out);
            }
        }
        Ok(())
    }

    fn known(&self, id: &str, param: &str) -> Result<usize, Refusal> {
        let at = self.items.iter().position(|item| item.id == id);
        at.ok_or_else(|| Refusal::value(param, format!("Item with item_id '{id}' not found.")))
    }

    fn create(&mut self, item: Item, out: &mut Out) -> Result<(), Refusal> {
        let (given, kind, body) = match item {
            Item::Message {
                id, role, content, ..
            } => {
                let fits = |kind| match role {
                    Role::System => kind == ContentKind::InputText,
                    Role::User => matches!(
                        kind,
                        ContentKind::InputText | ContentKind::InputAudio | ContentKind::InputImage
                    ),
                    Role::Assistant => matches!(kind, ContentKind::OutputText | ContentKind::OutputAudio),
                };
                for (at, part) in content.iter().enumerate() {
                    let param = format!("item.content[{at}]");
                    if !fits(part.kind) {
                        let message = format!("Invalid value: '{:?}' does not fit the role.", part.kind);
                        return Err(Refusal::value(&format!("{param}.type"), message));
                    }
                    let text = matches!(part.kind, ContentKind::InputText | ContentKind::OutputText);
                    if text && part.text.is_none()
                        || part.kind == ContentKind::InputAudio && part.audio.is_none()
                    {
                        let message = format!("Missing required parameter: '{param}.text'.");
                        return Err(Refusal::coded("missing_required_parameter", &param, message));
                    }
                    let words = part
                        .text
                        .as_deref()
                        .unwrap_or_default()
                        .split_whitespace()
                        .count();
                    self.context.text += words as u64;
                }
                let (role, kind) = match role {
                    Role::System => ("system", "input_text"),
                    Role::User => ("user", "input_text"),
                    Role::Assistant => ("assistant", "output_text"),
                };
                let text: Vec<String> = content.into_iter().filter_map(|part| part.text).collect();
                let parts: Vec<Value> = text
                    .iter()
                    .map(|text| json!({"type": kind, "text": text}))
                    .collect();
                (
                    id,
                    Kind::Message,
                    json!({"type": "message", "role": role, "content": parts}),
                )
            }
            Item::FunctionCallOutput {
                id, call_id, output, ..
            } => {
                let asked =
                    |item: &Known| matches!(&item.kind, Kind::Call { call_id: asked } if *asked == call_id);
                if !self.items.iter().any(asked) {
                    let message = format!("Tool call ID '{call_id}' not found in conversation.");
                    return Err(Refusal::value("item.call_id", message));
                }
                self.context.text += output.split_whitespace().count() as u64;
                let body = json!({"type": "function_call_output", "call_id": call_id, "output": output});
                (id, Kind::Output, body)
            }
            Item::FunctionCall {
                id,
                call_id,
                name,
                arguments,
                ..
            } => {
                let call_id = match call_id {
                    Some(call_id) => call_id,
                    None => self.id("call"),
                };
                let body = json!({"type": "function_call", "call_id": call_id, "name": name,
                                  "arguments": arguments});
                (id, Kind::Call { call_id }, body)
            }
        };
        let id = match given {
            Some(given) => given,
            None => self.id("item"),
        };
        if self.items.iter().any(|item| item.id == id) {
            return Err(Refusal::value(
                "item.id",
                format!("Item with item_id '{id}' already exists."),
            ));
        }
        let mut body = body;
        body["id"] = json!(id);
        body["object"] = json!("realtime.item");
        body["status"] = json!("completed");
        self.add(&id, kind, body, out);
        Ok(())
    }

    fn configure(&mut self, text: &str, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        let ClientEvent::SessionUpdate(update) = parse("session.update", text)? else {
            return Ok(());
        };
        let raw: Value = serde_json::from_str(text)
            .map_err(|_| Refusal::coded("invalid_json", "", "The message is not valid JSON."))?;
        self.settings
            .apply(&update.session, &raw["session"], self.spoken)?;
        if self.ear.format != self.settings.input {
            self.ear = Ear::new(self.settings.input, self.settings.silence_ms());
        }
        self.ear.silence_ms = self.settings.silence_ms();
        if self.script.has(&Fault::WrongFormat) {
            self.settings.betray();
        }
        let session = self.settings.effective.clone();
        self.say(json!({"type": "session.updated", "session": session}), out);
        self.ready.get_or_insert(now);
        Ok(())
    }
}

impl Twin for Realtime {
    fn open(&mut self, _: Instant, out: &mut Out) {
        self.settings.effective["id"] = json!("sess_000001");
        self.settings.effective["expires_at"] = json!(1_790_000_000 + SESSION_LASTS_S);
        let session = self.settings.effective.clone();
        self.say(json!({"type": "session.created", "session": session}), out);
    }

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        let head = match serde_json::from_str::<Head<'_>>(text) {
            Ok(head) => head,
            Err(_) => {
                let refusal = Refusal::coded(
                    "invalid_json",
                    "",
                    "We could not parse the JSON body of your event.",
                );
                return self.refuse(&refusal, None, out);
            }
        };
        let done = match head.kind {
            Some("input_audio_buffer.append") => {
                read::<Append<'_>>(text).and_then(|append| self.append(&append.audio, now, out))
            }
            Some("session.update") => self.configure(text, now, out),
            Some(kind) => parse(kind, text).and_then(|event| self.take(event, now, out)),
            None => Err(Refusal::coded(
                "missing_required_parameter",
                "type",
                "Missing required parameter: 'type'.",
            )),
        };
        if let Err(refusal) = done {
            self.refuse(&refusal, head.event_id, out);
        }
    }

    fn binary(&mut self, _: &[u8], _: Instant, out: &mut Out) {
        let message = "Binary messages are not supported.";
        self.refuse(&Refusal::coded("invalid_json", "", message), None, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        if self.thinks_until.is_some_and(|at| at <= now) && self.answer.is_none() {
            self.thinks_until = None;
            self.begin(now, out);
        }
        if self.idles_at.is_some_and(|at| at <= now) {
            self.idles_at = None;
            let id = self.id("item");
            let at_ms = self.ear.heard_ms();
            self.say(
                json!({"type": "input_audio_buffer.timeout_triggered", "audio_start_ms": at_ms,
                       "audio_end_ms": at_ms, "item_id": id}),
                out,
            );
            self.begin(now, out);
        }
        self.go_on(now, out);
    }

    fn wakes(&self) -> Option<Instant> {
        let speaks = self.answer.as_ref().map(|answer| answer.next_at);
        [speaks, self.thinks_until, self.idles_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            self.say(
                json!({"type": "error", "error": {
                    "type": "invalid_request_error", "code": "session_expired",
                    "message": "Your session hit the maximum duration of 60 minutes.",
                    "param": null, "event_id": null}}),
                out,
            );
            out.close(1001, "session expired");
        }
    }
}

impl Realtime {
    fn next_reply(&mut self) -> Reply {
        let reply = self.script.reply(self.turns_answered);
        self.turns_answered += 1;
        reply
    }

    fn idle_after(&self, played: Duration, now: Instant) -> Option<Instant> {
        let idle = self.settings.idle_timeout_ms()?;
        Some(now + played + Duration::from_millis(idle))
    }
}
