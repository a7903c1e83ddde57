//! Everything of a call but the provider's connection: what is known, and what follows from what is said.
//!
//! The provider's events come while its connection is busy telling them, so what is to be said to it is noted here and
//! said afterwards.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use voice_audio::{g711::Law, vad::LevelConfig};
use voice_providers::{
    AudioFormat, Connection, Ending as ProviderEnding, Event, FaultKind, Happening, Quantities, Ready,
    Speaker,
};
use voice_schemas::events::call::Carrier;
use voice_telephony::media::MediaFrame;
use voice_turns::{
    Item, idle,
    interruption::{Act, Judge, Policy},
    playout::Truth,
    timeline::{Moment, Timeline},
};

use super::{
    convert::Path,
    ear::Ear,
    leg::Leg,
    mouth::{Mouth, Spoken},
    talk::Talk,
};
use crate::{error::Ending, facts::Fact, plan::Idle, record::Tape};

/// Keys belong together until this long after the last.
const KEYS: Duration = Duration::from_millis(1_500);
/// More keys than this are told at once.
const MOST_KEYS: usize = 32;

/// The rules of one call.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) greeting: Option<String>,
    pub(crate) interruption: Policy,
    pub(crate) idle: Option<Idle>,
}

/// What is to be said to the provider.
#[derive(Debug)]
pub(crate) enum Todo {
    /// What the caller said before it was ready.
    Ready,
    /// The caller spoke over it.
    Interrupt { item: Option<Item>, heard_ms: u64 },
    /// Speak.
    Respond(Option<String>),
    /// The caller pressed keys.
    Digits(String),
    /// There is no such tool.
    RefuseTool { call: String, name: String },
}

/// The state of a call.
#[derive(Debug)]
pub(crate) struct Side<S> {
    pub(crate) leg: Leg<S>,
    pub(crate) ear: Ear,
    pub(crate) mouth: Mouth,
    pub(crate) tape: Option<Tape>,
    pub(crate) todo: VecDeque<Todo>,
    pub(crate) facts: VecDeque<Fact>,
    pub(crate) ending: Option<Ending>,
    pub(crate) malformed: u64,
    pub(crate) usage: Quantities,
    format: AudioFormat,
    rules: Rules,
    judge: Judge,
    /// What the caller was listening to when the agent was muted.
    cut: Option<Truth>,
    idle: Option<idle::Idle>,
    timeline: Timeline,
    talk: Talk,
    keys: String,
    keys_until: Option<Instant>,
    ready: bool,
    /// The provider answers at the moment.
    answering: bool,
    /// The last fault of the provider, for the ending.
    fault: Option<FaultKind>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    pub(crate) fn new(
        leg: Leg<S>,
        carrier: Carrier,
        law: Law,
        tape: Option<Tape>,
        rules: Rules,
        now: Instant,
    ) -> Self {
        let idle = rules.idle.as_ref().map(|idle| idle::Idle::new(idle.policy, now));
        Self {
            leg,
            ear: Ear::new(carrier, law, LevelConfig::default()),
            mouth: Mouth::new(Path::Same),
            tape,
            todo: VecDeque::new(),
            facts: VecDeque::new(),
            ending: None,
            malformed: 0,
            usage: Quantities::default(),
            format: match law {
                Law::Mu => AudioFormat::PCMU,
                Law::A => AudioFormat::PCMA,
            },
            judge: Judge::new(rules.interruption),
            cut: None,
            idle,
            timeline: Timeline::default(),
            talk: Talk::default(),
            keys: String::new(),
            keys_until: None,
            ready: false,
            answering: false,
            fault: None,
            rules,
        }
    }

    /// A frame of the caller.
    pub(crate) fn caller_says(
        &mut self,
        text: &Utf8Bytes,
        frame: &MediaFrame<'_>,
        provider: &mut Connection,
        now: Instant,
    ) {
        let heard = self.ear.frame(text, frame, provider, self.tape.as_mut());
        let Some(change) = heard.change else {
            return;
        };
        let audible = self.mouth.audible(now);
        if let Some(idle) = &mut self.idle {
            if change.speaking {
                idle.caller_active();
            } else if !audible {
                idle.silent(now);
            }
        }
        if !change.speaking {
            let end = now - Duration::from_millis(self.ear.hang_over_ms().into());
            self.stamp(Moment::SpeechEnd, end);
        }
        let acts = self.judge.local(change.speaking, audible, now);
        self.act(acts, now);
    }

    /// The provider is ready: it hears what was said meanwhile.
    pub(crate) fn hear_early(&mut self, provider: &mut Connection) {
        self.ear.hear_early(provider);
    }

    /// A mark came back.
    pub(crate) fn marked(&mut self, name: &str, now: Instant) {
        let (marked, ended) = self.mouth.mark(name, now);
        if marked.is_some_and(|marked| marked.first) {
            self.stamp(Moment::FirstMark, now);
        }
        if let Some(truth) = ended.and_then(|item| self.mouth.truth(item, now)) {
            self.finish_item(truth, false);
        }
        if !self.mouth.audible(now)
            && let Some(idle) = &mut self.idle
        {
            idle.silent(now);
        }
    }

    /// The caller pressed a key.
    pub(crate) fn pressed(&mut self, key: char, now: Instant) {
        let audible = self.mouth.audible(now);
        if let Some(idle) = &mut self.idle {
            idle.caller_active();
            if !audible {
                idle.silent(now);
            }
        }
        self.keys.push(key);
        self.keys_until = Some(now + KEYS);
        if key == '#' || self.keys.len() >= MOST_KEYS {
            self.tell_keys();
        }
    }

    fn tell_keys(&mut self) {
        self.keys_until = None;
        if !self.keys.is_empty() {
            self.todo.push_back(Todo::Digits(std::mem::take(&mut self.keys)));
            // A model that is told digits says nothing until it is asked.
            if !self.answering {
                self.todo.push_back(Todo::Respond(None));
            }
        }
    }

    /// The provider says something. `happening` is where it came from, if it came from outside.
    pub(crate) fn provider_says(&mut self, event: Event<'_>, happening: Option<&Happening>, now: Instant) {
        match event {
            Event::Audio { item, payload } => {
                let item = self.mouth.item(item);
                self.stamp(Moment::FirstByteIn, now);
                let keep = || match happening {
                    Some(happening) => happening.keep(payload),
                    None => match payload {
                        voice_providers::Payload::Base64(text) => {
                            bytes::Bytes::copy_from_slice(text.as_bytes())
                        }
                        voice_providers::Payload::Bytes(audio) => bytes::Bytes::copy_from_slice(audio),
                    },
                };
                let muted = self.judge.is_muted();
                let to = (&mut self.leg, self.tape.as_mut(), now);
                match self.mouth.speak(item, payload, keep, muted, to) {
                    Spoken::Sent => {
                        self.stamp(Moment::FirstByteOut, Instant::now());
                        if let Some(idle) = &mut self.idle {
                            idle.agent_active();
                        }
                    }
                    Spoken::Held => {}
                    Spoken::Malformed => self.malformed += 1,
                }
            }
            Event::AudioDone { item } => {
                let item = self.mouth.item(item);
                self.mouth.done(item, self.judge.is_muted(), &mut self.leg, now);
            }
            Event::SpeechStarted { .. } => {
                if let Some(idle) = &mut self.idle {
                    idle.caller_active();
                }
                let acts = self.judge.provider_started(self.mouth.audible(now), now);
                self.act(acts, now);
            }
            Event::SpeechStopped { .. } => {
                self.stamp(Moment::Decision, now);
                let acts = self.judge.provider_stopped(now);
                self.act(acts, now);
            }
            Event::Interrupted => {
                let acts = self.judge.provider_interrupted(self.mouth.audible(now));
                self.act(acts, now);
            }
            Event::ResponseStarted { .. } => {
                self.answering = true;
                self.stamp(Moment::Decision, now);
            }
            Event::ResponseDone { .. } => self.answering = false,
            Event::Transcript(transcript) => match transcript.speaker {
                Speaker::Agent => {
                    self.stamp(Moment::FirstToken, now);
                    let item = self.mouth.item(transcript.item);
                    self.talk.agent(item, &transcript);
                }
                Speaker::Caller => {
                    let last = transcript.stage == voice_providers::Stage::Final;
                    let utterance = self.talk.caller_said(&transcript);
                    let language = self.talk.language();
                    let acts = match &utterance {
                        Some(_) => self.judge.text(&transcript.text, language, last),
                        None => self.judge.text(self.talk.caller(), language, last),
                    };
                    self.act(acts, now);
                    self.facts.extend(utterance.map(Fact::Utterance));
                }
            },
            Event::ToolCall(call) => self.todo.push_back(Todo::RefuseTool {
                call: call.id.to_owned(),
                name: call.name.to_owned(),
            }),
            Event::Ready(ready) => self.provider_ready(&ready),
            other => self.last_words(&other),
        }
    }

    /// What matters even when the call is over.
    pub(crate) fn last_words(&mut self, event: &Event<'_>) {
        match event {
            Event::Usage(usage) => self.usage.add_all(&usage.quantities),
            Event::Failed(fault) => {
                tracing::warn!(kind = fault.kind.as_str(), code = fault.code, class = ?fault.class, "provider fault");
                self.fault = Some(fault.kind);
            }
            Event::Closed(ending) => {
                let ending = match ending {
                    ProviderEnding::Asked => Ending::Provider,
                    ProviderEnding::Broken { kind, .. } => Ending::ProviderFailed(*kind),
                };
                self.ending.get_or_insert(ending);
            }
            _ => {}
        }
    }

    fn provider_ready(&mut self, ready: &Ready<'_>) {
        let up = Path::between(self.format, ready.input);
        let down = Path::between(ready.output, self.format);
        let (Some(up), Some(down)) = (up, down) else {
            self.ending
                .get_or_insert(Ending::ProviderFailed(FaultKind::FormatMismatch));
            return;
        };
        self.ready = true;
        self.mouth.set_path(down);
        self.ear.set_path(up);
        self.todo.push_back(Todo::Ready);
        if let Some(greeting) = self.rules.greeting.take()
            && !ready.resumed
        {
            self.todo.push_back(Todo::Respond(Some(greeting)));
        }
    }

    fn act(&mut self, acts: &[Act], now: Instant) {
        for act in acts {
            match act {
                Act::Mute => {
                    self.cut = self.mouth.mute((&mut self.leg, self.tape.as_mut(), now));
                }
                Act::Resume => {
                    self.cut = None;
                    self.mouth.resume(&mut self.leg, self.tape.as_mut(), now);
                }
                Act::Interrupt => {
                    self.mouth.drop_held();
                    self.timeline.interrupted();
                    let cut = self.cut.take();
                    self.todo.push_back(Todo::Interrupt {
                        item: cut.map(|truth| truth.item),
                        heard_ms: cut.map_or(0, |truth| truth.heard_ms()),
                    });
                    // The item that was playing was heard in part, those behind it not at all.
                    for item in self.talk.open() {
                        if let Some(truth) = self.mouth.truth(item, now) {
                            self.finish_item(truth, true);
                        }
                    }
                }
            }
        }
    }

    fn finish_item(&mut self, truth: Truth, interrupted: bool) {
        let utterance = self.talk.finish(truth, interrupted);
        self.facts.extend(utterance.map(Fact::Utterance));
    }

    fn stamp(&mut self, moment: Moment, at: Instant) {
        let turn = self.timeline.stamp(moment, at);
        self.facts.extend(turn.map(Fact::Turn));
    }

    /// When [`woken`](Self::woken) wants to be called.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let idle = self
            .idle
            .as_ref()
            .filter(|_| self.ready)
            .and_then(idle::Idle::wake_at);
        [self.judge.wake_at(), idle, self.keys_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// That time has come.
    pub(crate) fn woken(&mut self, now: Instant) -> Option<Ending> {
        let acts = self.judge.woken(now);
        self.act(acts, now);
        if self.keys_until.is_some_and(|until| until <= now) {
            self.tell_keys();
        }
        let due = self
            .idle
            .as_mut()
            .filter(|_| self.ready)
            .and_then(|idle| idle.woken(now));
        match due {
            Some(idle::Act::Prompt(_)) => {
                let instructions = self.rules.idle.as_ref().map(|idle| idle.instructions.clone());
                self.todo.push_back(Todo::Respond(instructions));
                None
            }
            Some(idle::Act::GiveUp) => Some(Ending::Idle),
            None => None,
        }
    }

    /// The call is over: what was said last is told.
    pub(crate) fn over(&mut self, now: Instant) {
        for item in self.talk.open() {
            if let Some(truth) = self.mouth.truth(item, now) {
                let unheard = truth.heard < truth.generated;
                self.finish_item(truth, unheard);
            }
        }
        let turn = self.timeline.finish();
        self.facts.extend(turn.map(Fact::Turn));
    }
}
