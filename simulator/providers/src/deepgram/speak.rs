//! A twin of `/v1/speak` with Aura: speaks when it is flushed, forgets when it is cleared, and is tired of being
//! flushed.

use std::{collections::VecDeque, time::Duration};

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Query, REQUEST_ID, refuse};
use crate::{
    script::{Fault, Script},
    socket::{Out, Twin},
    sound::{Format, speech},
    strict::read,
};

/// What the query may hold. A container is a setting of the REST interface, not of the socket.
pub(crate) const QUERY: &[&str] = &["model", "encoding", "sample_rate", "speed", "mip_opt_out"];

/// So many flushes a minute are taken.
const FLUSHES: usize = 20;

const PIECE_MS: u64 = 100;

/// How long a character takes to say.
const MS_PER_CHARACTER: u64 = 60;

#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Control {
    Speak { text: String },
    Flush {},
    Clear {},
    Close {},
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Speak {
    script: Script,
    format: Format,
    voice: String,
    ready: Option<Instant>,
    waiting_ms: u64,
    /// What is being spoken: how much is left of each flush, the first one now.
    speaking: VecDeque<u64>,
    said_ms: u64,
    next_at: Instant,
    flushes: VecDeque<Instant>,
    sequence: u64,
}

impl Speak {
    /// # Errors
    /// The answer that refuses the query.
    pub(crate) fn new(query: &Query, script: Script, now: Instant) -> Result<Self, Box<Response>> {
        let voice = query.one("model").unwrap_or("aura-asteria-en").to_owned();
        let languages = ["en", "es", "de", "fr", "it", "nl", "ja"];
        let language = voice.rsplit('-').next().unwrap_or_default();
        if !voice.starts_with("aura-") || !languages.contains(&language) {
            return Err(refuse("No such voice."));
        }
        let mut format = query.format(Format::pcm(24_000))?;
        if script.has(&Fault::WrongFormat) {
            format = Format::pcm(24_000);
        }
        Ok(Self {
            format,
            voice,
            script,
            ready: None,
            waiting_ms: 0,
            speaking: VecDeque::new(),
            said_ms: 0,
            next_at: now,
            flushes: VecDeque::new(),
            sequence: 0,
        })
    }

    fn flush(&mut self, now: Instant, out: &mut Out) {
        let minute = Duration::from_secs(60);
        while self.flushes.front().is_some_and(|at| *at + minute <= now) {
            self.flushes.pop_front();
        }
        if self.flushes.len() >= FLUSHES {
            return out.json(&json!({"type": "Warning", "code": "EXCESSIVE_FLUSH",
                "description": "The flush was ignored: more than 20 flushes in 60 seconds."}));
        }
        self.flushes.push_back(now);
        if self.speaking.is_empty() {
            (self.next_at, self.said_ms) = (now + self.script.thinks, 0);
        }
        self.speaking.push_back(std::mem::take(&mut self.waiting_ms));
    }
}

impl Twin for Speak {
    fn open(&mut self, now: Instant, out: &mut Out) {
        self.ready = Some(now);
        out.json(
            &json!({"type": "Metadata", "request_id": REQUEST_ID, "model_name": self.voice,
                         "model_version": "2026-10-01.0", "model_uuid": REQUEST_ID}),
        );
    }

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        match read::<Control>(text) {
            Ok(Control::Speak { text }) => {
                self.waiting_ms += text.trim().chars().count() as u64 * MS_PER_CHARACTER;
            }
            Ok(Control::Flush {}) => self.flush(now, out),
            Ok(Control::Clear {}) => {
                self.speaking.clear();
                self.waiting_ms = 0;
                // What was on its way arrives before the answer.
                out.binary(speech(self.format, 0, PIECE_MS));
                out.json(&json!({"type": "Cleared", "sequence_id": self.sequence}));
            }
            Ok(Control::Close {}) => out.close(1000, ""),
            Err(refusal) => {
                out.json(&json!({"type": "Warning", "code": "UNPARSABLE_CLIENT_MESSAGE",
                                 "description": refusal.message}));
            }
        }
    }

    fn binary(&mut self, _: &[u8], _: Instant, out: &mut Out) {
        out.json(&json!({"type": "Warning", "code": "UNPARSABLE_CLIENT_MESSAGE",
                         "description": "Binary messages are not supported."}));
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        let burst = self.script.has(&Fault::Burst);
        while self.next_at <= now || burst {
            let Some(left) = self.speaking.front_mut() else {
                return;
            };
            if *left == 0 {
                self.speaking.pop_front();
                out.json(&json!({"type": "Flushed", "sequence_id": self.sequence}));
                self.sequence += 1;
                continue;
            }
            let ms = PIECE_MS.min(*left);
            *left -= ms;
            out.binary(speech(self.format, self.said_ms, ms));
            self.said_ms += ms;
            self.next_at += Duration::from_millis(ms) / self.script.speed.max(1);
        }
    }

    fn wakes(&self) -> Option<Instant> {
        (!self.speaking.is_empty()).then_some(self.next_at)
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            out.close(1001, "NET-0000: the service is restarting");
        }
    }
}
