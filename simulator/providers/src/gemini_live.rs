//! A twin of Google's Gemini Live.
//!
//! It answers JSON in binary frames, takes one kind of message at a time, refuses what it does not know by
//! closing with 1007, announces the end of the connection and gives handles by which a session is taken up, but
//! not while its earlier connection is open.

mod request;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::request::{ClientMessage, RealtimeInput, Setup};
use crate::{
    script::{Fault, Reply, Script},
    socket::{Out, Twin},
    sound::{Ear, Format, Noticed, speech_base64},
    strict::{Refusal, read},
};

/// What is heard and what is spoken.
const IN: Format = Format::pcm(16_000);
const OUT: Format = Format::pcm(24_000);

const PIECE_MS: u64 = 200;

/// The sessions of the port: which handles are whose, and which have an open connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    handles: BTreeMap<String, u64>,
    open: BTreeSet<u64>,
    sessions: u64,
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> u64 {
        let mut known = self.known();
        known.sessions += 1;
        let session = known.sessions;
        known.open.insert(session);
        session
    }

    /// Takes up a session by one of its handles.
    fn resume(&self, handle: &str) -> Result<u64, Unresumable> {
        let mut known = self.known();
        let session = *known.handles.get(handle).ok_or(Unresumable::Unknown)?;
        if known.open.insert(session) {
            Ok(session)
        } else {
            Err(Unresumable::Open)
        }
    }

    fn give(&self, session: u64, number: u64) -> String {
        let handle = format!("handle-{session}-{number}");
        self.known().handles.insert(handle.clone(), session);
        handle
    }

    fn close(&self, session: u64) {
        self.known().open.remove(&session);
    }
}

enum Unresumable {
    Unknown,
    /// On another connection.
    Open,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Gemini {
    script: Script,
    sessions: Sessions,
    session: Option<u64>,
    setup: Option<Setup>,
    ready: Option<Instant>,
    ear: Ear,
    /// Where the client tells when somebody speaks: whether somebody does.
    active: bool,
    /// The history is being told; nothing else is taken.
    awaits_history: bool,
    speaking: Option<Speaking>,
    thinks_until: Option<Instant>,
    leaves_at: Option<Instant>,
    turns_heard: usize,
    turns_answered: usize,
    pending: Vec<String>,
    prompt_tokens: u64,
    counter: u64,
}

#[derive(Debug)]
struct Speaking {
    words: Vec<String>,
    ms: u64,
    sent_ms: u64,
    next_at: Instant,
}

impl Gemini {
    pub(crate) fn new(script: Script, sessions: Sessions) -> Self {
        Self {
            script,
            sessions,
            session: None,
            setup: None,
            ready: None,
            ear: Ear::new(IN, 400),
            active: false,
            awaits_history: false,
            speaking: None,
            thinks_until: None,
            leaves_at: None,
            turns_heard: 0,
            turns_answered: 0,
            pending: Vec::new(),
            prompt_tokens: 20,
            counter: 0,
        }
    }

    /// JSON in a binary frame, as the real one.
    fn say(message: &Value, out: &mut Out) {
        out.binary(message.to_string().into_bytes());
    }

    fn set_up(&mut self, setup: Setup, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        setup.check()?;
        let session = match setup.resumes().map(|handle| self.sessions.resume(handle)) {
            None => self.sessions.begin(),
            Some(Ok(session)) => session,
            Some(Err(Unresumable::Unknown)) => {
                let message = "BidiGenerateContent session not found";
                return Err(Refusal::value("sessionResumption.handle", message));
            }
            Some(Err(Unresumable::Open)) => {
                // Not the client's mistake by its kind: the server has trouble with it.
                out.close(1011, "The session is still open on another connection.");
                return Ok(());
            }
        };
        self.session = Some(session);
        self.awaits_history = setup.announces_history();
        self.ear.silence_ms = setup.silence_ms();
        Self::say(&json!({"setupComplete": {"sessionId": "session-1"}}), out);
        self.ready = Some(now);
        let resumable = setup.is_resumable();
        self.setup = Some(setup);
        if resumable {
            self.give_handle(out);
        }
        Ok(())
    }

    fn give_handle(&mut self, out: &mut Out) {
        let Some(session) = self.session else { return };
        self.counter += 1;
        let handle = self.sessions.give(session, self.counter);
        Self::say(
            &json!({"sessionResumptionUpdate": {"newHandle": handle, "resumable": true}}),
            out,
        );
    }

    fn activity(kind: &str, at_ms: u64, out: &mut Out) {
        let offset = format!("{}s", at_ms as f64 / 1_000.0);
        Self::say(
            &json!({"voiceActivity": {"type": kind, "audioOffset": offset}}),
            out,
        );
    }

    fn hear(&mut self, input: RealtimeInput, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        let automatic = self.setup.as_ref().is_none_or(Setup::is_automatic);
        match input {
            RealtimeInput::Audio(blob) => {
                if blob.mime_type != "audio/pcm;rate=16000" {
                    return Err(Refusal::value("mimeType", "Unsupported MIME type."));
                }
                let audio = STANDARD
                    .decode(&blob.data)
                    .map_err(|_| Refusal::value("data", "Base64 decoding failed"))?;
                let noticed = self.ear.hear(&audio);
                if !automatic {
                    return Ok(());
                }
                match noticed {
                    Some(Noticed::Started { at_ms }) => {
                        Self::activity("ACTIVITY_START", at_ms, out);
                        self.interrupt(out);
                    }
                    Some(Noticed::Stopped { at_ms }) => {
                        Self::activity("ACTIVITY_END", at_ms, out);
                        self.heard(now, out);
                    }
                    None => {}
                }
            }
            RealtimeInput::Text(text) => {
                self.prompt_tokens += text.split_whitespace().count() as u64;
                self.thinks_until = Some(now + self.script.thinks);
            }
            RealtimeInput::AudioStreamEnd => {}
            RealtimeInput::ActivityStart | RealtimeInput::ActivityEnd if automatic => {
                return Err(Refusal::value(
                    "realtimeInput",
                    "Explicit activity control is not supported when automatic activity detection is enabled.",
                ));
            }
            RealtimeInput::ActivityStart => {
                self.active = true;
                self.interrupt(out);
            }
            RealtimeInput::ActivityEnd => {
                if !std::mem::replace(&mut self.active, false) {
                    return Err(Refusal::value("realtimeInput.activityEnd", "No activity to end."));
                }
                self.heard(now, out);
            }
        }
        Ok(())
    }

    fn heard(&mut self, now: Instant, out: &mut Out) {
        let heard = self.script.heard(self.turns_heard);
        self.turns_heard += 1;
        self.prompt_tokens += 25;
        for word in heard.text.split_inclusive(' ') {
            Self::say(
                &json!({"serverContent": {"inputTranscription": {"text": word, "languageCode": heard.language}}}),
                out,
            );
        }
        if !self.script.has(&Fault::NeverAnswers) {
            self.thinks_until = Some(now + self.script.thinks);
        }
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.thinks_until = None;
        if self.speaking.take().is_some() {
            Self::say(&json!({"serverContent": {"interrupted": true}}), out);
            self.complete(out);
        }
    }

    fn answer(&mut self, now: Instant, out: &mut Out) {
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
                    next_at: now,
                });
            }
            Reply::Call { tool, arguments } => {
                self.counter += 1;
                let id = format!("fc_{}", self.counter);
                // It sends objects and no text, so what is cut is no object any more.
                let args = if self.script.has(&Fault::BrokenTools) {
                    json!(arguments.to_string())
                } else {
                    arguments
                };
                Self::say(
                    &json!({"toolCall": {"functionCalls": [{"id": id, "name": tool, "args": args}]}}),
                    out,
                );
                self.pending.push(id);
            }
        }
    }

    fn go_on(&mut self, now: Instant, out: &mut Out) {
        let burst = self.script.has(&Fault::Burst);
        while let Some(speaking) = &mut self.speaking {
            if speaking.next_at > now && !burst {
                return;
            }
            if speaking.sent_ms >= speaking.ms {
                self.speaking = None;
                Self::say(&json!({"serverContent": {"generationComplete": true}}), out);
                // A turn may end several times before it is over.
                Self::say(
                    &json!({"serverContent": {"turnComplete": true, "interactionStatus": "IN_PROGRESS"}}),
                    out,
                );
                self.complete(out);
                if self.setup.as_ref().is_some_and(Setup::is_resumable) {
                    self.give_handle(out);
                }
                return;
            }
            let ms = PIECE_MS.min(speaking.ms - speaking.sent_ms);
            let left = (speaking.ms - speaking.sent_ms).div_ceil(PIECE_MS).max(1);
            let told = speaking.words.len().div_ceil(usize::try_from(left).unwrap_or(1));
            let words: String = (0..told).filter_map(|_| speaking.words.pop()).collect();
            let mime = if self.script.has(&Fault::WrongFormat) {
                "audio/pcm;rate=48000"
            } else {
                "audio/pcm;rate=24000"
            };
            let data = speech_base64(OUT, speaking.sent_ms, ms);
            speaking.sent_ms += ms;
            speaking.next_at += Duration::from_millis(ms) / self.script.speed.max(1);
            let mut content = json!({"modelTurn": {"role": "model", "parts": [
                {"inlineData": {"mimeType": mime, "data": data}}]}});
            // One message may hold several things.
            if !words.is_empty() {
                content["outputTranscription"] = json!({"text": words});
            }
            Self::say(&json!({"serverContent": content}), out);
        }
    }

    /// The end of a turn, with what it cost.
    fn complete(&mut self, out: &mut Out) {
        let spoken = 40;
        let prompt = self.prompt_tokens;
        Self::say(
            &json!({"serverContent": {"turnComplete": true, "interactionStatus": "IDLE"},
                "usageMetadata": {"promptTokenCount": prompt, "cachedContentTokenCount": 0,
                    "responseTokenCount": spoken, "toolUsePromptTokenCount": 0, "thoughtsTokenCount": 3,
                    "totalTokenCount": prompt + spoken + 3,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20},
                                            {"modality": "AUDIO", "tokenCount": prompt - 20}],
                    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": spoken}]}}),
            out,
        );
    }

    fn take(&mut self, message: ClientMessage, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        match (message, self.setup.is_some()) {
            (ClientMessage::Setup(setup), false) => self.set_up(*setup, now, out),
            (ClientMessage::Setup(_), true) => Err(Refusal::value("setup", "Setup is sent once, first.")),
            (_, false) => Err(Refusal::value("", "The first message must be setup.")),
            (ClientMessage::ClientContent(content), true) => {
                let words = content.words();
                self.prompt_tokens += words;
                if content.turn_complete {
                    if !std::mem::replace(&mut self.awaits_history, false) {
                        self.interrupt(out);
                        self.thinks_until = Some(now + self.script.thinks);
                    }
                } else {
                    self.interrupt(out);
                }
                Ok(())
            }
            (_, true) if self.awaits_history => {
                Err(Refusal::value("", "The announced history must be sent first."))
            }
            (ClientMessage::RealtimeInput(input), true) => self.hear(input, now, out),
            (ClientMessage::ToolResponse(response), true) => {
                for given in response.function_responses {
                    let at = self.pending.iter().position(|id| Some(id) == given.id.as_ref());
                    let Some(at) = at else {
                        return Err(Refusal::value("toolResponse", "No such function call."));
                    };
                    self.pending.remove(at);
                    if given.is_to_be_answered() {
                        self.thinks_until = Some(now + self.script.thinks);
                    }
                }
                Ok(())
            }
            (ClientMessage::ContextUpdate(update), true) => {
                self.prompt_tokens += update.words();
                Ok(())
            }
        }
    }
}

/// Renames `voice_config` to `voiceConfig`, but not inside what is not Google's: schemas and results of tools.
fn camel(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(camel),
        Value::Object(fields) => {
            for (name, mut value) in std::mem::take(fields) {
                let mut words = name.split('_');
                let mut camel_name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let (first, rest) = word.split_at(word.len().min(1));
                    camel_name.push_str(&first.to_uppercase());
                    camel_name.push_str(rest);
                }
                if !matches!(
                    camel_name.as_str(),
                    "parameters" | "parametersJsonSchema" | "response"
                ) {
                    camel(&mut value);
                }
                fields.insert(camel_name, value);
            }
        }
        _ => {}
    }
}

impl Drop for Gemini {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.sessions.close(session);
        }
    }
}

impl Twin for Gemini {
    fn open(&mut self, _: Instant, _: &mut Out) {}

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        let message = read::<ClientMessage>(text).or_else(|refusal| {
            // Google's JSON knows every field by two names, and its client mixes them.
            let mut value: Value = serde_json::from_str(text).map_err(|_| refusal)?;
            camel(&mut value);
            read(&value.to_string())
        });
        let taken = message.and_then(|message| self.take(message, now, out));
        if let Err(refusal) = taken {
            // Everything it does not like ends the connection.
            let reason: String = format!("Invalid JSON payload received. {}", refusal.message);
            out.close(1007, &reason.chars().take(100).collect::<String>());
        }
    }

    fn binary(&mut self, bytes: &[u8], now: Instant, out: &mut Out) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text, now, out),
            Err(_) => out.close(1007, "Invalid JSON payload received."),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        if self.leaves_at.is_some_and(|at| at <= now) {
            return out.close(1011, "Deadline expired before operation could complete.");
        }
        if self.thinks_until.is_some_and(|at| at <= now) && self.speaking.is_none() {
            self.thinks_until = None;
            self.answer(now, out);
        }
        self.go_on(now, out);
    }

    fn wakes(&self) -> Option<Instant> {
        let speaks = self.speaking.as_ref().map(|speaking| speaking.next_at);
        [speaks, self.thinks_until, self.leaves_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, now: Instant, out: &mut Out) {
        match fault {
            Fault::GoAway { left, .. } => {
                Self::say(
                    &json!({"goAway": {"timeLeft": format!("{}s", left.as_secs_f64())}}),
                    out,
                );
                self.leaves_at = Some(now + *left);
            }
            Fault::Expire { .. } => out.close(1011, "Deadline expired before operation could complete."),
            _ => {}
        }
    }
}
