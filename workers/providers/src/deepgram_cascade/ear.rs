//! The ear: Nova-3 and Flux, told apart here and alike for everybody else.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Options;
use crate::{
    Account, AudioFormat, Endpoint, FaultKind, Session, Stage, Turns, deepgram, models::FLUX_LANGUAGES,
    text::Text,
};

/// Without audio the socket closes after ten seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// A recogniser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarModel {
    /// Nova-3: most languages; ends turns by silence.
    Nova,
    /// Flux: ten languages; ends turns by what is said.
    Flux,
}

/// What was heard.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Connected,
    Started {
        at_ms: Option<u64>,
    },
    Words {
        text: String,
        language: Option<String>,
        stage: Stage,
    },
    /// Probably the end of what the caller says.
    Ending {
        text: String,
    },
    /// It was not.
    Resumed,
    Finished {
        text: String,
        at_ms: Option<u64>,
    },
    Fault {
        kind: FaultKind,
        code: String,
    },
    Nothing,
}

/// The state of a recogniser.
#[derive(Debug)]
pub(super) struct Ear {
    model: EarModel,
    name: &'static str,
    turns: u64,
    /// Somebody is speaking.
    speaking: bool,
    /// Nova: what is final of this turn.
    finals: String,
    language: Option<String>,
    sent: u64,
    billed_ms: u64,
    last_sent: Option<Instant>,
}

fn base(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or(language)
}

impl Ear {
    pub(super) fn new(session: &Session, options: &Options) -> Self {
        let flux_knows = session
            .languages
            .iter()
            .all(|language| FLUX_LANGUAGES.contains(&base(language)));
        let model = options.ear.unwrap_or(if flux_knows {
            EarModel::Flux
        } else {
            EarModel::Nova
        });
        let english = session.languages.iter().all(|language| base(language) == "en");
        let name = match model {
            EarModel::Nova => "nova-3",
            EarModel::Flux if english => "flux-general-en",
            EarModel::Flux => "flux-general-multi",
        };
        Self {
            model,
            name,
            turns: 1,
            speaking: false,
            finals: String::new(),
            language: None,
            sent: 0,
            billed_ms: 0,
            last_sent: None,
        }
    }

    pub(super) const fn model(&self) -> &'static str {
        self.name
    }

    pub(super) fn item(&self) -> String {
        format!("caller-{}", self.turns)
    }

    pub(super) fn endpoint(
        &self,
        account: &Account,
        session: &Session,
        options: &Options,
    ) -> Option<Endpoint> {
        let (encoding, rate) = deepgram::encoding(session.input);
        let mut query: Vec<(&str, String)> = vec![
            ("model", self.name.to_owned()),
            ("encoding", encoding.to_owned()),
            ("sample_rate", rate.to_string()),
        ];
        let hints = match session.turns {
            Turns::Theirs(hints) => Some(hints),
            Turns::Ours => None,
        };
        let path = match self.model {
            EarModel::Flux => {
                match (hints, options.eager_threshold) {
                    (None, _) => query.push(("eot_threshold", "1.0".to_owned())),
                    (Some(_), Some(eager)) => query.push(("eager_eot_threshold", eager.to_string())),
                    (Some(_), None) => {}
                }
                if self.name == "flux-general-multi" {
                    for language in &session.languages {
                        query.push(("language_hint", base(language).to_owned()));
                    }
                }
                "/v2/listen"
            }
            EarModel::Nova => {
                let one = match session.languages.as_slice() {
                    [] => "en",
                    [only] => base(only),
                    _ => "multi",
                };
                query.push(("language", one.to_owned()));
                if one == "multi" {
                    for language in &session.languages {
                        query.push(("language_hint", base(language).to_owned()));
                    }
                }
                let silence_ms = hints.map_or(500, |hints| hints.silence_ms);
                for (name, value) in [
                    ("interim_results", "true"),
                    ("smart_format", "true"),
                    ("vad_events", "true"),
                    ("utterance_end_ms", "1000"),
                ] {
                    query.push((name, value.to_owned()));
                }
                query.push(("endpointing", silence_ms.to_string()));
                "/v1/listen"
            }
        };
        deepgram::socket(account, path, &query)
    }

    /// Whether it says by itself that it is ready.
    pub(super) fn greets(&self) -> bool {
        self.model == EarModel::Flux
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    pub(super) fn sent(&mut self, bytes: u64, now: Instant) {
        self.sent += bytes;
        self.last_sent = Some(now);
    }

    pub(super) fn unbilled_ms(&mut self, format: AudioFormat) -> u64 {
        let total = format.duration_ms(self.sent);
        let new = total - self.billed_ms;
        self.billed_ms = total;
        new
    }

    /// Flux knows no such message and needs none.
    pub(super) fn keep_alive_at(&self) -> Option<Instant> {
        match self.model {
            EarModel::Nova => self.last_sent.map(|last| last + KEEP_ALIVE),
            EarModel::Flux => None,
        }
    }

    pub(super) fn kept_alive(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    pub(super) const fn end_of_turn(&self) -> &'static str {
        match self.model {
            EarModel::Nova => "{\"type\":\"Finalize\"}",
            EarModel::Flux => "{\"type\":\"ForceEndTurn\"}",
        }
    }

    /// What a message says. Where turns are `ours`, only a turn we ended is finished.
    pub(super) fn take(&mut self, text: &str, ours: bool) -> Vec<Heard> {
        let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
            return vec![Heard::Nothing];
        };
        match (&*message.kind, self.model) {
            ("TurnInfo", EarModel::Flux) => self.take_turn(message),
            ("Connected", EarModel::Flux) => vec![Heard::Connected],
            ("Results", EarModel::Nova) => self.take_results(message, ours),
            ("SpeechStarted", EarModel::Nova) => self.started(message.timestamp.map(milliseconds)),
            ("UtteranceEnd", EarModel::Nova) if !ours && !self.finals.is_empty() => {
                self.finished(None, message.last_word_end.map(milliseconds))
            }
            ("Error", _) => vec![Heard::Fault {
                kind: FaultKind::Provider,
                code: message.code.as_deref().unwrap_or("listen").to_owned(),
            }],
            _ => vec![Heard::Nothing],
        }
    }

    fn started(&mut self, at_ms: Option<u64>) -> Vec<Heard> {
        if std::mem::replace(&mut self.speaking, true) {
            return vec![Heard::Nothing];
        }
        vec![Heard::Started { at_ms }]
    }

    fn finished(&mut self, text: Option<String>, at_ms: Option<u64>) -> Vec<Heard> {
        let text = text.unwrap_or_else(|| std::mem::take(&mut self.finals));
        self.finals.clear();
        self.speaking = false;
        let mut heard = Vec::new();
        if !text.is_empty() {
            heard.push(Heard::Words {
                text: text.clone(),
                language: self.language.take(),
                stage: Stage::Final,
            });
        }
        heard.push(Heard::Finished { text, at_ms });
        heard
    }

    fn take_turn(&mut self, message: Message<'_>) -> Vec<Heard> {
        let text = message
            .transcript
            .as_deref()
            .unwrap_or_default()
            .trim()
            .to_owned();
        if let Some(language) = message.languages.iter().flatten().next() {
            self.language = Some(language.to_string());
        }
        let at_ms = message.audio_window_end.map(milliseconds);
        match message.event.as_deref().unwrap_or_default() {
            "StartOfTurn" => {
                let mut heard = self.started(at_ms);
                heard.extend(self.interim(text));
                heard
            }
            "Update" => self.interim(text).into_iter().collect(),
            "EagerEndOfTurn" => vec![Heard::Ending { text }],
            "TurnResumed" => vec![Heard::Resumed],
            "EndOfTurn" => self.finished(Some(text), at_ms),
            _ => vec![Heard::Nothing],
        }
    }

    fn interim(&self, text: String) -> Option<Heard> {
        (!text.is_empty()).then(|| Heard::Words {
            text,
            language: self.language.clone(),
            stage: Stage::Interim,
        })
    }

    fn take_results(&mut self, message: Message<'_>, ours: bool) -> Vec<Heard> {
        let alternative = message
            .channel
            .and_then(|channel| channel.alternatives.into_iter().next());
        let (text, language) = alternative.map_or((String::new(), None), |alternative| {
            let language = alternative.languages.into_iter().flatten().next();
            (alternative.transcript.trim().to_owned(), language)
        });
        if let Some(language) = language {
            self.language = Some(language.to_string());
        }
        let mut heard = Vec::new();
        if !text.is_empty() {
            // Words without the event before them: the detector of voices slept.
            heard.extend(self.started(message.start.map(milliseconds)));
        }
        let whole = [self.finals.as_str(), text.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if message.is_final {
            self.finals.clone_from(&whole);
        }
        let ended = if ours {
            message.from_finalize
        } else {
            message.speech_final
        };
        if ended && self.speaking {
            let at_ms = message
                .start
                .zip(message.duration)
                .map(|(start, lasts)| milliseconds(start + lasts));
            heard.extend(self.finished(None, at_ms));
        } else if !text.is_empty() {
            heard.extend(self.interim(whole));
        }
        heard
    }

    /// The next words belong to another turn.
    pub(super) fn next_turn(&mut self) {
        self.turns += 1;
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a call, in milliseconds"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1_000.0).round() as u64
}

/// Both recognisers' messages in one shape.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    transcript: Option<Text<'a>>,
    audio_window_end: Option<f64>,
    #[serde(borrow)]
    languages: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    channel: Option<Channel<'a>>,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    speech_final: bool,
    #[serde(default)]
    from_finalize: bool,
    start: Option<f64>,
    duration: Option<f64>,
    timestamp: Option<f64>,
    last_word_end: Option<f64>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
}

/// Of a result an object; of other messages a list of numbers, which is passed over.
#[derive(Debug)]
struct Channel<'a> {
    alternatives: Vec<Alternative<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Channel<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow, default)]
            alternatives: Vec<Alternative<'a>>,
        }
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        let object = serde_json::from_str::<Object<'_>>(raw.get()).ok();
        Ok(Self {
            alternatives: object.map(|object| object.alternatives).unwrap_or_default(),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Alternative<'a> {
    #[serde(borrow)]
    transcript: Text<'a>,
    #[serde(borrow)]
    languages: Option<Vec<Text<'a>>>,
}
