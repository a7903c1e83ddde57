//! A twin of the Voice Agent: settings first, then audio both ways.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::REQUEST_ID;
use crate::{
    script::{Fault, Reply, Script},
    socket::{Out, Twin},
    sound::{Coding, Ear, Format, Noticed, speech},
    strict::{Refusal, read},
};

/// Without audio or `KeepAlive` for so long the socket closes.
const PATIENCE: Duration = Duration::from_secs(10);

const PIECE_MS: u64 = 100;

#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Control {
    Settings {
        #[serde(default, rename = "tags")]
        _tags: Option<Vec<String>>,
        #[serde(default, rename = "experimental")]
        _experimental: Option<bool>,
        #[serde(default, rename = "mip_opt_out")]
        _mip_opt_out: Option<bool>,
        #[serde(default, rename = "flags")]
        _flags: Option<Value>,
        audio: Audio,
        agent: Box<AgentSettings>,
    },
    KeepAlive {},
    FunctionCallResponse {
        #[serde(default)]
        id: Option<String>,
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "content")]
        _content: String,
    },
    UpdatePrompt {
        #[serde(rename = "prompt")]
        _prompt: String,
    },
    InjectAgentMessage {
        message: String,
        #[serde(default)]
        behavior: Option<Behavior>,
    },
    InjectUserMessage {
        content: String,
    },
    ForceEndTurn {},
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Behavior {
    Default,
    Queue,
    Interrupt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Audio {
    #[serde(default)]
    input: Option<Side>,
    #[serde(default)]
    output: Option<Side>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    encoding: String,
    sample_rate: u32,
    #[serde(default, rename = "bitrate")]
    _bitrate: Option<u32>,
    #[serde(default)]
    container: Option<String>,
}

impl Side {
    fn known(&self) -> Option<Format> {
        let coding = match self.encoding.as_str() {
            "linear16" => Coding::Pcm,
            "mulaw" => Coding::Pcmu,
            "alaw" => Coding::Pcma,
            _ => return None,
        };
        matches!(self.sample_rate, 8_000 | 16_000 | 24_000).then_some(Format {
            coding,
            rate: self.sample_rate,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentSettings {
    #[serde(default, rename = "language")]
    _language: Option<String>,
    #[serde(default, rename = "context")]
    _context: Option<Context>,
    #[serde(default, rename = "listen")]
    _listen: Option<Listen>,
    think: Think,
    #[serde(default, rename = "speak")]
    _speak: Option<SpeakSettings>,
    #[serde(default)]
    greeting: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    #[serde(default, rename = "messages")]
    _messages: Vec<History>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    #[serde(rename = "type")]
    _kind: HistoryKind,
    #[serde(rename = "role")]
    _role: Role,
    #[serde(rename = "content")]
    _content: String,
}

#[derive(Debug, Deserialize)]
enum HistoryKind {
    History,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    #[serde(rename = "provider")]
    _provider: ListenProvider,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenProvider {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default, rename = "version")]
    _version: Option<String>,
    #[serde(rename = "model")]
    _model: String,
    #[serde(default, rename = "language_hints")]
    _language_hints: Option<Vec<String>>,
    #[serde(default, rename = "keyterms")]
    _keyterms: Option<Vec<String>>,
    #[serde(default, rename = "smart_format")]
    _smart_format: Option<bool>,
    #[serde(default, rename = "eot_threshold")]
    _eot_threshold: Option<f64>,
    #[serde(default, rename = "eager_eot_threshold")]
    _eager_eot_threshold: Option<f64>,
    #[serde(default, rename = "eot_timeout_ms")]
    _eot_timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Think {
    #[serde(rename = "provider")]
    _provider: ThinkProvider,
    #[serde(default, rename = "endpoint")]
    _endpoint: Option<Value>,
    #[serde(default, rename = "prompt")]
    _prompt: Option<String>,
    #[serde(default, rename = "context_length")]
    _context_length: Option<Value>,
    #[serde(default)]
    functions: Vec<FunctionSettings>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThinkProvider {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "model")]
    _model: String,
    #[serde(default, rename = "version")]
    _version: Option<String>,
    #[serde(default, rename = "temperature")]
    _temperature: Option<f64>,
    #[serde(default, rename = "reasoning_mode")]
    _reasoning_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionSettings {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<Value>,
    #[serde(default, rename = "endpoint")]
    _endpoint: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeakSettings {
    #[serde(rename = "provider")]
    _provider: SpeakProvider,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeakProvider {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "model")]
    _model: String,
    #[serde(default, rename = "speed")]
    _speed: Option<f64>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Agent {
    script: Script,
    ear: Ear,
    output: Format,
    ready: Option<Instant>,
    last_sign: Instant,
    functions: Vec<String>,
    pending: Vec<String>,
    speaking: Option<Speaking>,
    thinks_until: Option<Instant>,
    queue: Vec<String>,
    turns_heard: usize,
    turns_answered: usize,
}

#[derive(Debug)]
struct Speaking {
    ms: u64,
    sent_ms: u64,
    next_at: Instant,
}

impl Agent {
    pub(crate) fn new(script: Script, now: Instant) -> Self {
        let format = Format::pcm(24_000);
        Self {
            script,
            ear: Ear::new(format, 300),
            output: format,
            ready: None,
            last_sign: now,
            functions: Vec::new(),
            pending: Vec::new(),
            speaking: None,
            thinks_until: None,
            queue: Vec::new(),
            turns_heard: 0,
            turns_answered: 0,
        }
    }

    fn error(code: &str, description: &str, out: &mut Out) {
        out.json(&json!({"type": "Error", "code": code, "description": description}));
        out.close(1008, code);
    }

    fn apply(
        &mut self,
        audio: &Audio,
        agent: &AgentSettings,
        now: Instant,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let side = |side: &Option<Side>| match side {
            None => Some(Format::pcm(24_000)),
            Some(side) => side.known(),
        };
        let (Some(input), Some(output)) = (side(&audio.input), side(&audio.output)) else {
            return Err(Refusal::value("audio", "Unsupported audio encoding."));
        };
        if audio
            .input
            .as_ref()
            .is_some_and(|input| input.container.is_some())
        {
            return Err(Refusal::value(
                "audio.input.container",
                "Unknown field: container",
            ));
        }
        self.ear = Ear::new(input, 300);
        self.output = if self.script.has(&Fault::WrongFormat) {
            Format::pcm(24_000)
        } else {
            output
        };
        self.functions = agent
            .think
            .functions
            .iter()
            .map(|function| function.name.clone())
            .collect();
        out.json(&json!({"type": "SettingsApplied"}));
        self.ready = Some(now);
        if let Some(greeting) = &agent.greeting {
            self.say(greeting, Duration::from_millis(800), now, out);
        }
        Ok(())
    }

    fn say(&mut self, text: &str, lasts: Duration, now: Instant, out: &mut Out) {
        out.json(
            &json!({"type": "ConversationText", "role": "assistant", "content": text, "languages": ["en"]}),
        );
        out.json(
            &json!({"type": "AgentStartedSpeaking", "total_latency": 0.41, "tts_latency": 0.12,
                         "ttt_latency": 0.29}),
        );
        self.speaking = Some(Speaking {
            ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
            sent_ms: 0,
            next_at: now,
        });
    }

    fn answer(&mut self, now: Instant, out: &mut Out) {
        if !self.queue.is_empty() {
            let text = self.queue.remove(0);
            return self.say(&text, Duration::from_millis(800), now, out);
        }
        let reply = self.script.reply(self.turns_answered);
        self.turns_answered += 1;
        match reply {
            Reply::Say { text, lasts } => self.say(&text, lasts, now, out),
            Reply::Call { tool, arguments } => {
                let id = format!("func_{}", self.turns_answered);
                let mut arguments = arguments.to_string();
                if self.script.has(&Fault::BrokenTools) {
                    arguments.truncate(arguments.len() / 2);
                }
                let client_side = self.functions.contains(&tool);
                out.json(&json!({"type": "FunctionCallRequest", "functions": [
                    {"id": id, "name": tool, "arguments": arguments, "client_side": client_side}]}));
                self.pending.push(id);
            }
        }
    }

    fn take(&mut self, message: Control, now: Instant, out: &mut Out) -> Result<(), Refusal> {
        self.last_sign = now;
        match message {
            Control::Settings { audio, agent, .. } => {
                if self.ready.is_some() {
                    return Err(Refusal::value("type", "Settings were already applied."));
                }
                return self.apply(&audio, &agent, now, out);
            }
            _ if self.ready.is_none() => {
                return Err(Refusal::value("type", "Expected a Settings message."));
            }
            Control::KeepAlive {} => {}
            Control::FunctionCallResponse { id, .. } => {
                let at = self
                    .pending
                    .iter()
                    .position(|pending| Some(pending) == id.as_ref());
                let Some(at) = at else {
                    return Err(Refusal::value("id", "No such function call."));
                };
                self.pending.remove(at);
                self.thinks_until = Some(now + self.script.thinks);
            }
            Control::UpdatePrompt { .. } => out.json(&json!({"type": "PromptUpdated"})),
            Control::InjectAgentMessage { message, behavior } => {
                let busy = self.speaking.is_some() || self.ear.is_speaking();
                if busy && matches!(behavior, None | Some(Behavior::Default)) {
                    out.json(&json!({"type": "InjectionRefused",
                        "message": "The message was refused because somebody is speaking."}));
                    return Ok(());
                }
                if behavior == Some(Behavior::Interrupt) {
                    self.stop(out);
                }
                self.queue.push(message);
                if self.speaking.is_none() {
                    self.thinks_until = Some(now + self.script.thinks);
                }
            }
            Control::InjectUserMessage { content } => {
                out.json(&json!({"type": "ConversationText", "role": "user", "content": content}));
                self.thinks_until = Some(now + self.script.thinks);
            }
            Control::ForceEndTurn {} => self.heard(now, out),
        }
        Ok(())
    }

    fn heard(&mut self, now: Instant, out: &mut Out) {
        let heard = self.script.heard(self.turns_heard);
        self.turns_heard += 1;
        out.json(
            &json!({"type": "ConversationText", "role": "user", "content": heard.text,
                         "languages": [heard.language]}),
        );
        out.json(&json!({"type": "AgentThinking", "content": "What would they like?"}));
        if !self.script.has(&Fault::NeverAnswers) {
            self.thinks_until = Some(now + self.script.thinks);
        }
    }

    fn stop(&mut self, out: &mut Out) {
        if self.speaking.take().is_some() {
            out.json(&json!({"type": "AgentAudioDone"}));
        }
    }
}

impl Twin for Agent {
    fn open(&mut self, now: Instant, out: &mut Out) {
        self.last_sign = now;
        out.json(&json!({"type": "Welcome", "request_id": REQUEST_ID}));
    }

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        let taken = read::<Control>(text).and_then(|message| self.take(message, now, out));
        if let Err(refusal) = taken {
            Self::error("UNPARSABLE_CLIENT_MESSAGE", &refusal.message, out);
        }
    }

    fn binary(&mut self, audio: &[u8], now: Instant, out: &mut Out) {
        if self.ready.is_none() {
            return Self::error(
                "BINARY_MESSAGE_BEFORE_SETTINGS",
                "Settings come before audio.",
                out,
            );
        }
        self.last_sign = now;
        match self.ear.hear(audio) {
            Some(Noticed::Started { .. }) => {
                self.thinks_until = None;
                out.json(&json!({"type": "UserStartedSpeaking"}));
                // What was on its way arrives all the same.
                if self.speaking.is_some() {
                    out.binary(speech(self.output, 0, PIECE_MS));
                }
                self.stop(out);
            }
            Some(Noticed::Stopped { .. }) => self.heard(now, out),
            None => {}
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        if self.last_sign + PATIENCE <= now {
            return out.close(1011, "CLIENT_MESSAGE_TIMEOUT");
        }
        if self.thinks_until.is_some_and(|at| at <= now) && self.speaking.is_none() {
            self.thinks_until = None;
            self.answer(now, out);
        }
        let burst = self.script.has(&Fault::Burst);
        while let Some(speaking) = &mut self.speaking {
            if speaking.next_at > now && !burst {
                return;
            }
            if speaking.sent_ms >= speaking.ms {
                self.stop(out);
                if !self.queue.is_empty() {
                    self.thinks_until = Some(now);
                }
                return;
            }
            let ms = PIECE_MS.min(speaking.ms - speaking.sent_ms);
            out.binary(speech(self.output, speaking.sent_ms, ms));
            speaking.sent_ms += ms;
            speaking.next_at += Duration::from_millis(ms) / self.script.speed.max(1);
        }
    }

    fn wakes(&self) -> Option<Instant> {
        let speaks = self.speaking.as_ref().map(|speaking| speaking.next_at);
        [speaks, self.thinks_until, Some(self.last_sign + PATIENCE)]
            .into_iter()
            .flatten()
            .min()
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            out.json(&json!({"type": "Error", "code": "INTERNAL_SERVER_ERROR",
                             "description": "The server is restarting."}));
            out.close(1011, "INTERNAL_SERVER_ERROR");
        }
    }
}
