//! A twin of `/v2/listen` with Flux: turns that begin, probably end, go on after all, and end.

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

/// What the query may hold.
pub(crate) const QUERY: &[&str] = &[
    "model",
    "encoding",
    "sample_rate",
    "eot_threshold",
    "eager_eot_threshold",
    "eot_timeout_ms",
    "keyterm",
    "language_hint",
    "tag",
    "mip_opt_out",
];

#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Control {
    CloseStream {},
    ForceEndTurn {},
    Configure {
        #[serde(default, rename = "thresholds")]
        _thresholds: Option<Value>,
        #[serde(default, rename = "keyterms")]
        _keyterms: Option<Vec<String>>,
        #[serde(default, rename = "language_hints")]
        _language_hints: Option<Vec<String>>,
    },
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Flux {
    script: Script,
    ear: Ear,
    /// Half the silence is the guess, all of it the end.
    eager: bool,
    manual: bool,
    hints: Vec<String>,
    multi: bool,
    ready: Option<Instant>,
    sequence: u64,
    turn: u64,
    in_turn: bool,
    /// Said to be over, and not over yet.
    guessed: bool,
}

/// The silence after which a turn is over.
const SILENCE_MS: u64 = 300;

impl Flux {
    /// # Errors
    /// The answer that refuses the query.
    pub(crate) fn new(query: &Query, script: Script) -> Result<Self, Box<Response>> {
        let model = query.one("model").unwrap_or_default();
        if model != "flux-general-en" && model != "flux-general-multi" {
            return Err(refuse("No such model."));
        }
        let known = ["en", "es", "fr", "de", "hi", "ru", "pt", "ja", "it", "nl"];
        let hints = query.all("language_hint").to_vec();
        if hints.iter().any(|hint| !known.contains(&hint.as_str())) {
            return Err(refuse("Unsupported language_hint."));
        }
        if !hints.is_empty() && model == "flux-general-en" {
            return Err(refuse("language_hint requires flux-general-multi."));
        }
        let threshold = query.number("eot_threshold", 0.7, 0.5, 1.0)?;
        let eager = query.number("eager_eot_threshold", 0.0, 0.3, 0.9)?;
        if eager > threshold {
            return Err(refuse("eager_eot_threshold must not be above eot_threshold."));
        }
        query.number("eot_timeout_ms", 5_000.0, 500.0, 60_000.0)?;
        Ok(Self {
            ear: Ear::new(query.format(Format::pcm(16_000))?, SILENCE_MS),
            eager: eager > 0.0,
            manual: threshold >= 1.0,
            multi: model == "flux-general-multi",
            hints,
            script,
            ready: None,
            sequence: 0,
            turn: 0,
            in_turn: false,
            guessed: false,
        })
    }

    fn turn_info(&mut self, event: &str, text: &str, trigger: Option<&str>, out: &mut Out) {
        self.sequence += 1;
        let heard = self
            .script
            .heard(usize::try_from(self.turn).unwrap_or(usize::MAX));
        let words: Vec<Value> = text
            .split_whitespace()
            .map(|word| json!({"word": word, "confidence": 0.99}))
            .collect();
        let end = self.ear.heard_ms() as f64 / 1_000.0;
        let mut info = json!({"type": "TurnInfo", "request_id": REQUEST_ID, "sequence_id": self.sequence,
            "event": event, "turn_index": self.turn, "audio_window_start": 0.0, "audio_window_end": end,
            "transcript": text, "words": words,
            "end_of_turn_confidence": if event == "EndOfTurn" { 0.93 } else { 0.2 }});
        if let Some(trigger) = trigger {
            info["trigger"] = json!(trigger);
        }
        if self.multi {
            info["languages"] = json!([heard.language]);
            if !self.hints.is_empty() {
                info["languages_hinted"] = json!(self.hints);
            }
        }
        out.json(&info);
    }

    fn words(&self) -> String {
        self.script
            .heard(usize::try_from(self.turn).unwrap_or(usize::MAX))
            .text
    }

    fn end_turn(&mut self, trigger: &str, out: &mut Out) {
        let words = self.words();
        self.turn_info("EndOfTurn", &words, Some(trigger), out);
        self.turn += 1;
        (self.in_turn, self.guessed) = (false, false);
    }
}

impl Twin for Flux {
    fn open(&mut self, now: Instant, out: &mut Out) {
        self.ready = Some(now);
        out.json(&json!({"type": "Connected", "request_id": REQUEST_ID, "sequence_id": 0}));
    }

    fn text(&mut self, text: &str, _: Instant, out: &mut Out) {
        match read::<Control>(text) {
            Ok(Control::CloseStream {}) => out.close(1000, ""),
            Ok(Control::ForceEndTurn {}) => {
                if self.in_turn {
                    self.end_turn("manual", out);
                }
            }
            Ok(Control::Configure { .. }) => {
                self.sequence += 1;
                out.json(&json!({"type": "ConfigureSuccess", "request_id": REQUEST_ID,
                    "sequence_id": self.sequence, "thresholds": {}, "keyterms": [], "language_hints": self.hints}));
            }
            Err(refusal) => {
                self.sequence += 1;
                out.json(&json!({"type": "Error", "sequence_id": self.sequence, "code": "UNPARSABLE_CLIENT_MESSAGE",
                                 "description": refusal.message}));
                out.close(1008, "UNPARSABLE_CLIENT_MESSAGE");
            }
        }
    }

    fn binary(&mut self, audio: &[u8], _: Instant, out: &mut Out) {
        let before = self.ear.heard_ms();
        let noticed = self.ear.hear(audio);
        let quiet = self.ear.quiet_ms();
        match noticed {
            Some(Noticed::Started { .. }) if !self.in_turn => {
                self.in_turn = true;
                let first = self.words().split(' ').next().unwrap_or_default().to_owned();
                self.turn_info("StartOfTurn", &first, None, out);
            }
            Some(Noticed::Stopped { .. }) if self.in_turn && !self.manual => {
                let silent = self.script.has(&Fault::NeverAnswers);
                if !silent {
                    self.end_turn("model", out);
                }
            }
            _ => {
                // About four times a second.
                if self.in_turn && before / 250 != self.ear.heard_ms() / 250 {
                    let first = self.words().split(' ').next().unwrap_or_default().to_owned();
                    self.turn_info("Update", &first, None, out);
                }
            }
        }
        if self.eager && self.in_turn && !self.manual {
            let words = self.words();
            if !self.guessed && quiet >= SILENCE_MS / 2 {
                self.guessed = true;
                self.turn_info("EagerEndOfTurn", &words, None, out);
            } else if self.guessed && quiet == 0 {
                self.guessed = false;
                self.turn_info("TurnResumed", &words, None, out);
            }
        }
    }

    fn tick(&mut self, _: Instant, _: &mut Out) {}

    fn wakes(&self) -> Option<Instant> {
        None
    }

    fn ready_since(&self) -> Option<Instant> {
        self.ready
    }

    fn fault(&mut self, fault: &Fault, _: Instant, out: &mut Out) {
        if let Fault::Expire { .. } | Fault::GoAway { .. } = fault {
            self.sequence += 1;
            out.json(
                &json!({"type": "Error", "sequence_id": self.sequence, "code": "INTERNAL_SERVER_ERROR",
                             "description": "The server is restarting."}),
            );
            out.close(1011, "INTERNAL_SERVER_ERROR");
        }
    }
}
