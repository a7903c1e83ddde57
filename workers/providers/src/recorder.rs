//! Tests of adapters without sockets: what they say is written down.

use std::time::Instant;

use secrecy::SecretString;
use serde_json::Value;

use crate::{
    Account, Adapter, AudioFormat, Command, Endpoint, Event, Frame, Link, Outgoing, Output, Session, Turns,
};

/// Everything an adapter said.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) frames: Vec<(Link, Outgoing)>,
    pub(crate) events: Vec<String>,
    pub(crate) opened: Vec<(Link, Endpoint)>,
    pub(crate) abandoned: Vec<Link>,
}

impl Output for Recorder {
    fn event(&mut self, event: Event<'_>) {
        self.events.push(format!("{event:?}"));
    }

    fn open(&mut self, link: Link, endpoint: Endpoint) {
        self.opened.push((link, endpoint));
    }

    fn send(&mut self, link: Link, frame: Outgoing) {
        self.frames.push((link, frame));
    }

    fn abandon(&mut self, link: Link) {
        self.abandoned.push(link);
    }
}

impl Recorder {
    /// The provider says something.
    pub(crate) fn hear(&mut self, adapter: &mut dyn Adapter, message: &Value) {
        let text = message.to_string();
        adapter.received(Link::MAIN, Frame::Text(&text), Instant::now(), self);
    }

    /// The bridge wants something.
    pub(crate) fn tell(&mut self, adapter: &mut dyn Adapter, command: Command<'_>) {
        adapter.command(command, Instant::now(), self).unwrap();
    }

    /// The JSON that was sent.
    pub(crate) fn sent(&self) -> Vec<Value> {
        let texts = self.frames.iter().filter_map(|(_, frame)| match frame {
            Outgoing::Text(text) => Some(serde_json::from_str(text).unwrap()),
            Outgoing::Binary(_) | Outgoing::Close => None,
        });
        texts.collect()
    }

    /// The events of a kind.
    pub(crate) fn told(&self, kind: &str) -> Vec<&String> {
        self.events
            .iter()
            .filter(|event| event.starts_with(kind))
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

pub(crate) fn account() -> Account {
    Account {
        base_url: "wss://provider.example".parse().unwrap(),
        key: SecretString::from("key"),
    }
}

pub(crate) fn session(model: &str, format: AudioFormat) -> Session {
    Session {
        model: model.to_owned(),
        instructions: "Be brief.".to_owned(),
        voice: None,
        input: format,
        output: format,
        languages: Vec::new(),
        turns: Turns::default(),
        tools: [].into(),
        history: Vec::new(),
        safety_id: None,
        resume: None,
    }
}
