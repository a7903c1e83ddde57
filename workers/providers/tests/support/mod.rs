//! A bridge in miniature: a connection to a twin, a caller who speaks, and everything that was told.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};
use voice_providers::{
    Account, Adapter, Arguments, AudioFormat, Class, Command, Connection, Connector, Ending, Event,
    FaultKind, Payload, Quantities, ResponseStatus, Session, Speaker, Stage, Tls, ToolSpec, Turns,
};
use voice_simulator_providers::{
    Fault, Reply, Script, Scripts, Twins, serve,
    sound::{self, Coding, Format},
};

pub const KEY: &str = "key-of-a-test";

/// An event that outlives its frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Ready {
        input: AudioFormat,
        output: AudioFormat,
        confirmed: bool,
        resumed: bool,
    },
    SpeechStarted,
    SpeechStopped,
    SpeechEnding,
    Transcript {
        speaker: Speaker,
        item: String,
        text: String,
        stage: Stage,
        language: Option<String>,
    },
    ResponseStarted,
    Audio {
        item: String,
        bytes: Vec<u8>,
    },
    AudioDone {
        item: String,
    },
    Interrupted,
    ResponseDone(ResponseStatus),
    ToolCall {
        id: String,
        name: String,
        arguments: Arguments,
    },
    ToolCancelled {
        id: String,
    },
    Usage {
        model: String,
        quantities: Quantities,
    },
    Truncated {
        item: String,
        heard_ms: u64,
    },
    Idle,
    Digit(char),
    Resumable(Option<String>),
    Expiring(Duration),
    Latency(Duration),
    Failed(Class, FaultKind, String),
    Closed(Ending),
}

impl Told {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::Ready(ready) => Self::Ready {
                input: ready.input,
                output: ready.output,
                confirmed: ready.confirmed,
                resumed: ready.resumed,
            },
            Event::SpeechStarted { .. } => Self::SpeechStarted,
            Event::SpeechStopped { .. } => Self::SpeechStopped,
            Event::SpeechEnding => Self::SpeechEnding,
            Event::Transcript(said) => Self::Transcript {
                speaker: said.speaker,
                item: said.item.to_owned(),
                text: said.text.into_owned(),
                stage: said.stage,
                language: said.language.map(|language| language.into_owned()),
            },
            Event::ResponseStarted { .. } => Self::ResponseStarted,
            Event::Audio { item, payload } => Self::Audio {
                item: item.to_owned(),
                bytes: payload.decode().unwrap().into_owned(),
            },
            Event::AudioDone { item } => Self::AudioDone {
                item: item.to_owned(),
            },
            Event::Interrupted => Self::Interrupted,
            Event::ResponseDone { status, .. } => Self::ResponseDone(status),
            Event::ToolCall(call) => Self::ToolCall {
                id: call.id.to_owned(),
                name: call.name.to_owned(),
                arguments: call.arguments,
            },
            Event::ToolCancelled { id } => Self::ToolCancelled { id: id.to_owned() },
            Event::Usage(usage) => Self::Usage {
                model: usage.model.to_owned(),
                quantities: usage.quantities,
            },
            Event::Truncated { item, heard_ms } => Self::Truncated {
                item: item.to_owned(),
                heard_ms,
            },
            Event::Idle => Self::Idle,
            Event::Digit(digit) => Self::Digit(digit),
            Event::Resumable { handle } => Self::Resumable(handle.map(str::to_owned)),
            Event::Expiring { left } => Self::Expiring(left),
            Event::Latency { total } => Self::Latency(total),
            Event::Failed(fault) => Self::Failed(fault.class, fault.kind, fault.code.to_owned()),
            Event::Closed(ending) => Self::Closed(ending),
        }
    }

    pub fn is_final(&self, who: Speaker) -> bool {
        matches!(self, Self::Transcript { speaker, stage: Stage::Final, .. } if *speaker == who)
    }
}

/// A call at a provider.
pub struct Call {
    connection: Connection,
    pub format: AudioFormat,
    pub told: Vec<Told>,
    /// What of `told` was waited for already.
    seen: usize,
}

/// Twins by these scripts, and the account that is let in.
pub async fn account(scripts: Vec<Script>) -> Account {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("ws://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let twins = Twins::new(KEY, Scripts::in_turn(scripts));
    tokio::spawn(serve(listener, twins, None, std::future::pending()));
    Account {
        base_url,
        key: SecretString::from(KEY),
    }
}

pub fn connector() -> Connector {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
    });
    let tls = Tls::with_roots(rustls::RootCertStore::empty()).unwrap();
    let http = reqwest::Client::builder().build().unwrap();
    Connector::new(tls, http, Duration::from_secs(2))
}

pub fn session(model: &str, input: AudioFormat, output: AudioFormat) -> Session {
    Session {
        model: model.to_owned(),
        instructions: "You are a friendly agent.".to_owned(),
        voice: None,
        input,
        output,
        languages: vec!["en".to_owned(), "es-MX".to_owned()],
        turns: Turns::default(),
        tools: Arc::new([ToolSpec {
            name: "transfer_call".to_owned(),
            description: "Hands the caller over.".to_owned(),
            parameters: json!({"type": "object", "properties": {"to": {"type": "string"}}}),
        }]),
        history: Vec::new(),
        safety_id: None,
        resume: None,
    }
}

pub fn say(text: &str, ms: u64) -> Reply {
    Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    }
}

pub fn ask(tool: &str, arguments: Value) -> Reply {
    Reply::Call {
        tool: tool.to_owned(),
        arguments,
    }
}

pub fn closes_with(code: u16, reason: &str) -> Fault {
    Fault::Close {
        after: Duration::from_millis(50),
        code,
        reason: reason.to_owned(),
    }
}

impl Call {
    pub fn start(adapter: Box<dyn Adapter>, format: AudioFormat) -> Self {
        Self {
            connection: Connection::start(adapter, connector()),
            format,
            told: Vec::new(),
            seen: 0,
        }
    }

    /// A call that is ready.
    pub async fn ready(adapter: Box<dyn Adapter>, format: AudioFormat) -> Self {
        let mut call = Self::start(adapter, format);
        call.until(|told| matches!(told, Told::Ready { .. })).await;
        call
    }

    async fn step(&mut self) {
        let happened = self.connection.happening().await;
        let told = &mut self.told;
        self.connection
            .handle(&happened, &mut |event| told.push(Told::of(event)));
    }

    /// Waits for an event after those already waited for; gives all from there up to it.
    pub async fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
        let begin = self.seen;
        let found = timeout(Duration::from_secs(10), async {
            loop {
                while self.seen < self.told.len() {
                    self.seen += 1;
                    if wanted(&self.told[self.seen - 1]) {
                        return;
                    }
                }
                self.step().await;
            }
        });
        if found.await.is_err() {
            panic!("never told; since the last time: {:#?}", &self.told[begin..]);
        }
        self.told[begin..self.seen].to_vec()
    }

    /// How it ended.
    pub async fn end(&mut self) -> Ending {
        let told = self.until(|told| matches!(told, Told::Closed(_))).await;
        assert!(self.connection.is_over());
        match told.last() {
            Some(Told::Closed(ending)) => *ending,
            other => panic!("{other:?}"),
        }
    }

    pub fn command(&mut self, command: Command<'_>) {
        self.try_command(command).unwrap();
    }

    pub fn try_command(&mut self, command: Command<'_>) -> Result<(), voice_providers::CommandError> {
        let told = &mut self.told;
        self.connection
            .command(command, &mut |event| told.push(Told::of(event)))
    }

    /// The caller speaks for so long, and is silent for so long, faster than anybody could.
    pub async fn speak(&mut self, loud_ms: u64, quiet_ms: u64) {
        let format = simulated(self.format);
        for at in 0..loud_ms / 20 {
            self.frame(&sound::speech(format, 100 + at * 20 % 100, 20)).await;
        }
        for _ in 0..quiet_ms / 20 {
            self.frame(&sound::silence(format, 20)).await;
        }
    }

    async fn frame(&mut self, audio: &[u8]) {
        self.command(Command::Audio(Payload::Bytes(audio)));
        // Whatever is there already is taken, and nothing is waited for.
        while timeout(Duration::ZERO, self.step()).await.is_ok() {}
    }

    /// Everything told so far that is audio of this item; of all items when none is named.
    pub fn audio_ms(&self, of: Option<&str>) -> u64 {
        let bytes: usize = self
            .told
            .iter()
            .filter_map(|told| match told {
                Told::Audio { item, bytes } if of.is_none_or(|of| of == item) => Some(bytes.len()),
                _ => None,
            })
            .sum();
        bytes as u64
    }

    pub fn used(&self) -> Quantities {
        let mut all = Quantities::default();
        for told in &self.told {
            if let Told::Usage { quantities, .. } = told {
                all.add_all(quantities);
            }
        }
        all
    }

    pub fn faults(&self) -> Vec<(Class, FaultKind, &str)> {
        let faults = self.told.iter().filter_map(|told| match told {
            Told::Failed(class, kind, code) => Some((*class, *kind, code.as_str())),
            _ => None,
        });
        faults.collect()
    }
}

fn simulated(format: AudioFormat) -> Format {
    let coding = match format.codec {
        voice_providers::Codec::Pcmu => Coding::Pcmu,
        voice_providers::Codec::Pcma => Coding::Pcma,
        voice_providers::Codec::Pcm16 => Coding::Pcm,
    };
    Format {
        coding,
        rate: format.rate_hz,
    }
}

/// The words of the agent's finished transcripts.
pub fn agent_words(told: &[Told]) -> Vec<&str> {
    let words = told.iter().filter_map(|told| match told {
        Told::Transcript { text, .. } if told.is_final(Speaker::Agent) => Some(text.as_str()),
        _ => None,
    });
    words.collect()
}
