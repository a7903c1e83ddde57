//! A twin of `/v1/listen` with Nova-3: results that grow, an end of speech by silence, and a socket that wants
//! audio or a sign of life.

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Query, REQUEST_ID, refuse};
use crate::{
    script::{Fault, Script},
    socket::{Out, Twin},
    sound::{Ear, Format, Noticed},
    strict::read,
};

/// Without audio or `KeepAlive` for so long the socket closes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the query may hold.
pub(crate) const QUERY: &[&str] = &[
    "model",
    "language",
    "language_hint",
    "encoding",
    "sample_rate",
    "channels",
    "interim_results",
    "smart_format",
    "punctuate",
    "endpointing",
    "utterance_end_ms",
    "vad_events",
    "keyterm",
    "diarize",
    "numerals",
    "redact",
    "replace",
    "search",
    "tag",
    "mip_opt_out",
    "multichannel",
    "detect_entities",
    "profanity_filter",
    "version",
];

#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Control {
    KeepAlive {},
    Finalize {},
    CloseStream {},
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Nova {
    script: Script,
    ear: Ear,
    interim: bool,
    vad_events: bool,
    /// It never says `speech_final`; only `UtteranceEnd` tells the end then.
    endpointing: bool,
    utterance_end: bool,
    multi: bool,
    hints: Vec<String>,
    ready: Option<Instant>,
    last_sign: Instant,
    turns: usize,
    started_ms: u64,
}

impl Nova {
    /// # Errors
    /// The answer that refuses the query.
    pub(crate) fn new(query: &Query, script: Script, now: Instant) -> Result<Self, Box<Response>> {
        let model = query.one("model").unwrap_or_default();
        if !model.starts_with("nova-3") {
            return Err(refuse("No such model/language/tier combination found."));
        }
        let interim = query.is("interim_results");
        if query.one("utterance_end_ms").is_some() && !interim {
            return Err(refuse("utterance_end_ms requires interim_results=true."));
        }
        if query
            .number("utterance_end_ms", 1_000.0, 1_000.0, 5_000.0)
            .is_err()
        {
            return Err(refuse("utterance_end_ms must be at least 1000."));
        }
        let endpointing = query.one("endpointing") != Some("false");
        let silence = if endpointing {
            query.number("endpointing", 10.0, 0.0, 5_000.0)?
        } else {
            1_000.0
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let silence_ms = (silence as u64).max(20);
        Ok(Self {
            ear: Ear::new(query.format(Format::pcm(16_000))?, silence_ms),
            interim,
            vad_events: query.is("vad_events"),
            endpointing,
            utterance_end: query.one("utterance_end_ms").is_some(),
            multi: query.one("language") == Some("multi"),
            hints: query.all("language_hint").to_vec(),
            script,
            ready: None,
            last_sign: now,
            turns: 0,
            started_ms: 0,
        })
    }

    fn results(
        &self,
        text: &str,
        language: &str,
        is_final: bool,
        speech_final: bool,
        finalized: bool,
    ) -> Value {
        let (start, end) = (self.started_ms, self.ear.heard_ms());
        let words: Vec<Value> = text
            .split_whitespace()
            .map(|word| {
                let plain = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
                json!({"word": plain, "start": start as f64 / 1_000.0, "end": end as f64 / 1_000.0,
                       "confidence": 0.98, "punctuated_word": word})
            })
            .collect();
        let mut alternative = json!({"transcript": text, "confidence": 0.98, "words": words});
        if self.multi {
            alternative["languages"] = json!([language]);
            if !self.hints.is_empty() {
                alternative["languages_hinted"] = json!(self.hints);
            }
        }
        json!({"type": "Results", "channel_index": [0, 1], "duration": (end - start) as f64 / 1_000.0,
            "start": start as f64 / 1_000.0, "is_final": is_final, "speech_final": speech_final,
            "from_finalize": finalized, "channel": {"alternatives": [alternative]},
            "metadata": {"request_id": REQUEST_ID, "model_uuid": REQUEST_ID,
                "model_info": {"name": "general-nova-3", "version": "2026-10-01.0", "arch": "nova-3"}}})
    }

    fn ended(&mut self, finalized: bool, out: &mut Out) {
        let heard = self.script.heard(self.turns);
        self.turns += 1;
        let speech_final = self.endpointing && !finalized;
        out.json(&self.results(&heard.text, &heard.language, true, speech_final, finalized));
        if self.utterance_end && !self.endpointing {
            let last = self.ear.heard_ms() as f64 / 1_000.0;
            out.json(&json!({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last}));
        }
    }
}

impl Twin for Nova {
    fn open(&mut self, now: Instant, _: &mut Out) {
        self.ready = Some(now);
        self.last_sign = now;
    }

    fn text(&mut self, text: &str, now: Instant, out: &mut Out) {
        match read::<Control>(text) {
            Ok(Control::KeepAlive {}) => self.last_sign = now,
            Ok(Control::Finalize {}) => self.ended(true, out),
            Ok(Control::CloseStream {}) => {
                let duration = self.ear.heard_ms() as f64 / 1_000.0;
                out.json(
                    &json!({"type": "Metadata", "transaction_key": "deprecated", "request_id": REQUEST_ID,
                    "sha256": "0".repeat(64), "created": "2026-11-21T12:00:00.000Z", "duration": duration,
                    "channels": 1}),
                );
                out.close(1000, "");
            }
            Err(refusal) => {
                out.json(
                    &json!({"type": "Error", "variant": "SchemaError", "description": refusal.message,
                                 "code": "SchemaError", "message": "Could not deserialize message."}),
                );
                out.close(1008, "DATA-0000");
            }
        }
    }

    fn binary(&mut self, audio: &[u8], now: Instant, out: &mut Out) {
        self.last_sign = now;
        match self.ear.hear(audio) {
            Some(Noticed::Started { at_ms }) => {
                self.started_ms = at_ms;
                if self.vad_events {
                    let at = at_ms as f64 / 1_000.0;
                    out.json(&json!({"type": "SpeechStarted", "channel": [0], "timestamp": at}));
                }
                if self.interim {
                    let heard = self.script.heard(self.turns);
                    let first = heard.text.split(' ').next().unwrap_or_default();
                    out.json(&self.results(first, &heard.language, false, false, false));
                }
            }
            Some(Noticed::Stopped { .. }) => self.ended(false, out),
            None => {}
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Out) {
        if self.last_sign + PATIENCE <= now {
            out.close(
                1011,
                "NET-0001: did not receive audio data or a text message within the timeout window",
            );
        }
    }

    fn wakes(&self) -> Option<Instant> {
        Some(self.last_sign + PATIENCE)
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            out.close(1011, "NET-0000: the service is restarting");
        }
    }
}
