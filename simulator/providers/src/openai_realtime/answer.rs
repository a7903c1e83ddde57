//! An answer under way: words and audio, faster than it plays, or a tool asked for.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Kind, Known, Realtime};
use crate::{
    script::{Fault, Reply},
    socket::Out,
    sound::speech_base64,
};

/// How much audio one event carries.
const PIECE_MS: u64 = 200;

/// What is being said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) next_at: Instant,
    began: Instant,
    /// What is still to be said, the next first.
    parts: Vec<Part>,
    /// The items that are complete.
    output: Vec<Value>,
    current: Option<Current>,
    spoken_ms: u64,
    words: u64,
}

#[derive(Debug)]
struct Part {
    text: String,
    ms: u64,
}

#[derive(Debug)]
struct Current {
    item: String,
    index: usize,
    /// Words that are still to be told, with the text so far.
    words: Vec<String>,
    text: String,
    ms: u64,
    sent_ms: u64,
}

impl Realtime {
    pub(super) fn begin(&mut self, now: Instant, out: &mut Out) {
        let id = self.id("resp");
        self.idles_at = None;
        self.say(
            json!({"type": "response.created", "response": {"id": id, "object": "realtime.response",
                "status": "in_progress", "status_details": null, "output": [], "usage": null}}),
            out,
        );
        let mut answer = Answer {
            id,
            next_at: now,
            began: now,
            parts: Vec::new(),
            output: Vec::new(),
            current: None,
            spoken_ms: 0,
            words: 0,
        };
        match self.next_reply() {
            Reply::Say { text, lasts } => {
                let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
                answer.parts = split(&text, lasts, self.script.items.max(1));
                self.answer = Some(answer);
                self.go_on(now, out);
            }
            Reply::Call { tool, arguments } => {
                answer.output.push(self.call(&answer.id, &tool, &arguments, out));
                answer.words = 10;
                self.finish(answer, "completed", None, out);
            }
        }
    }

    fn call(&mut self, response_id: &str, tool: &str, arguments: &Value, out: &mut Out) -> Value {
        let (item_id, call_id) = (self.id("item"), self.id("call"));
        let mut arguments = arguments.to_string();
        if self.script.has(&Fault::BrokenTools) {
            arguments.truncate(arguments.len() / 2);
        }
        let item = |status: &str, arguments: &str| {
            json!({"id": item_id, "object": "realtime.item", "type": "function_call", "status": status,
                   "call_id": call_id, "name": tool, "arguments": arguments})
        };
        let about =
            json!({"response_id": response_id, "item_id": item_id, "output_index": 0, "call_id": call_id});
        let added = item("in_progress", "");
        self.say(
            json!({"type": "response.output_item.added", "response_id": response_id, "output_index": 0,
                   "item": added}),
            out,
        );
        self.items.push(Known {
            id: item_id.clone(),
            kind: Kind::Call {
                call_id: call_id.clone(),
            },
        });
        let mut delta = about.clone();
        delta["type"] = json!("response.function_call_arguments.delta");
        delta["delta"] = json!(arguments);
        self.say(delta, out);
        let mut done = about;
        done["type"] = json!("response.function_call_arguments.done");
        done["name"] = json!(tool);
        done["arguments"] = json!(arguments);
        self.say(done, out);
        let complete = item("completed", &arguments);
        self.say(
            json!({"type": "response.output_item.done", "response_id": response_id, "output_index": 0,
                   "item": complete}),
            out,
        );
        complete
    }

    /// Says what is due.
    pub(super) fn go_on(&mut self, now: Instant, out: &mut Out) {
        let burst = self.script.has(&Fault::Burst);
        while let Some(mut answer) = self.answer.take() {
            if answer.next_at > now && !burst {
                self.answer = Some(answer);
                return;
            }
            if answer.current.is_none() {
                if answer.parts.is_empty() {
                    let lasts = Duration::from_millis(answer.spoken_ms);
                    let played = lasts.saturating_sub(now.duration_since(answer.began));
                    self.finish(answer, "completed", None, out);
                    self.idles_at = self.idle_after(played, now);
                    return;
                }
                let part = answer.parts.remove(0);
                let current = self.begin_item(&answer, part, out);
                answer.current = Some(current);
            }
            if let Some(current) = &mut answer.current {
                let ms = PIECE_MS.min(current.ms - current.sent_ms);
                self.piece(&answer.id, current, ms, out);
                answer.spoken_ms += ms;
                answer.next_at += Duration::from_millis(ms) / self.script.speed.max(1);
            }
            if let Some(done) = answer.current.take_if(|current| current.sent_ms >= current.ms) {
                answer.words += done.text.split_whitespace().count() as u64;
                let item = self.end_item(&answer.id, done, "completed", out);
                answer.output.push(item);
            }
            self.answer = Some(answer);
        }
    }

    fn begin_item(&mut self, answer: &Answer, part: Part, out: &mut Out) -> Current {
        let item = self.id("item");
        let index = answer.output.len();
        let previous = self.items.last().map(|item| item.id.clone());
        let body = json!({"id": item, "object": "realtime.item", "type": "message", "role": "assistant",
            "status": "in_progress", "content": []});
        let response_id = &answer.id;
        self.say(
            json!({"type": "response.output_item.added", "response_id": response_id, "output_index": index,
                   "item": body}),
            out,
        );
        self.say(
            json!({"type": "conversation.item.added", "previous_item_id": previous, "item": body}),
            out,
        );
        self.say(
            json!({"type": "response.content_part.added", "response_id": response_id, "item_id": item,
                   "output_index": index, "content_index": 0, "part": {"type": "audio", "transcript": ""}}),
            out,
        );
        self.items.push(Known {
            id: item.clone(),
            kind: Kind::Speech { ms: 0 },
        });
        let mut words: Vec<String> = part.text.split_inclusive(' ').map(str::to_owned).collect();
        words.reverse();
        Current {
            item,
            index,
            words,
            text: String::new(),
            ms: part.ms,
            sent_ms: 0,
        }
    }

    fn piece(&mut self, response_id: &str, current: &mut Current, ms: u64, out: &mut Out) {
        let about = json!({"response_id": response_id, "item_id": current.item, "output_index": current.index,
                           "content_index": 0});
        let left = (current.ms - current.sent_ms).div_ceil(PIECE_MS).max(1);
        let told = current.words.len().div_ceil(usize::try_from(left).unwrap_or(1));
        let words: String = (0..told).filter_map(|_| current.words.pop()).collect();
        if !words.is_empty() {
            current.text.push_str(&words);
            let mut event = about.clone();
            event["type"] = json!("response.output_audio_transcript.delta");
            event["delta"] = json!(words);
            self.say(event, out);
        }
        let mut event = about;
        event["type"] = json!("response.output_audio.delta");
        event["delta"] = json!(speech_base64(self.settings.output, current.sent_ms, ms));
        self.say(event, out);
        current.sent_ms += ms;
        self.spoken = true;
        if let Some(item) = self.items.iter_mut().find(|item| item.id == current.item) {
            item.kind = Kind::Speech { ms: current.sent_ms };
        }
    }

    fn end_item(&mut self, response_id: &str, current: Current, status: &str, out: &mut Out) -> Value {
        let about = json!({"response_id": response_id, "item_id": current.item, "output_index": current.index,
                           "content_index": 0});
        let with = |kind: &str, name: &str, value: Value| {
            let mut event = about.clone();
            event["type"] = json!(kind);
            event[name] = value;
            event
        };
        let mut done = about.clone();
        done["type"] = json!("response.output_audio.done");
        self.say(done, out);
        let transcript = json!(current.text);
        self.say(
            with("response.output_audio_transcript.done", "transcript", transcript),
            out,
        );
        let part = json!({"type": "audio", "transcript": current.text});
        self.say(with("response.content_part.done", "part", part), out);
        let item = json!({"id": current.item, "object": "realtime.item", "type": "message", "role": "assistant",
            "status": status, "content": [{"type": "output_audio", "transcript": current.text}]});
        self.say(
            json!({"type": "conversation.item.done", "previous_item_id": null, "item": item}),
            out,
        );
        self.say(
            json!({"type": "response.output_item.done", "response_id": response_id,
                   "output_index": current.index, "item": item}),
            out,
        );
        item
    }

    /// Stops. What was on its way arrives all the same.
    pub(super) fn cancel(&mut self, reason: &str, out: &mut Out) {
        let Some(mut answer) = self.answer.take() else {
            return;
        };
        if let Some(mut current) = answer.current.take() {
            let ms = PIECE_MS.min(current.ms - current.sent_ms);
            if ms > 0 {
                self.piece(&answer.id, &mut current, ms, out);
                answer.spoken_ms += ms;
            }
            let item = self.end_item(&answer.id, current, "incomplete", out);
            answer.output.push(item);
        }
        self.finish(answer, "cancelled", Some(reason), out);
    }

    fn finish(&mut self, answer: Answer, status: &str, reason: Option<&str>, out: &mut Out) {
        let audio_out = answer.spoken_ms.div_ceil(50);
        let (text_in, audio_in) = (self.context.text + 100, self.context.audio);
        let (text_cached, audio_cached) = (self.cached.text, self.cached.audio);
        let usage = json!({
            "total_tokens": text_in + audio_in + answer.words + audio_out,
            "input_tokens": text_in + audio_in, "output_tokens": answer.words + audio_out,
            "input_token_details": {"text_tokens": text_in, "audio_tokens": audio_in, "image_tokens": 0,
                "cached_tokens": text_cached + audio_cached,
                "cached_tokens_details": {"text_tokens": text_cached, "audio_tokens": audio_cached,
                    "image_tokens": 0}},
            "output_token_details": {"text_tokens": answer.words, "audio_tokens": audio_out}});
        let details = reason.map(|reason| json!({"type": status, "reason": reason}));
        self.say(
            json!({"type": "response.done", "response": {"id": answer.id, "object": "realtime.response",
                "status": status, "status_details": details, "output": answer.output, "usage": usage}}),
            out,
        );
        (self.cached.text, self.cached.audio) = (text_in, audio_in);
        self.context.text += answer.words;
        self.context.audio += audio_out;
        for event in std::mem::take(&mut self.late) {
            self.say(event, out);
        }
        self.say(
            json!({"type": "rate_limits.updated", "rate_limits": [
                {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60}]}),
            out,
        );
    }
}

/// An answer in so many items of about the same length.
fn split(text: &str, ms: u64, items: usize) -> Vec<Part> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let each = words.len().div_ceil(items).max(1);
    let mut parts: Vec<Part> = words
        .chunks(each)
        .map(|words| Part {
            text: words.concat(),
            ms: 0,
        })
        .collect();
    if parts.is_empty() {
        parts.push(Part {
            text: String::new(),
            ms: 0,
        });
    }
    let count = parts.len() as u64;
    for (at, part) in (0..).zip(&mut parts) {
        part.ms = ms * (at + 1) / count - ms * at / count;
    }
    parts
}
