//! Everything of a call but the providers' sessions: what is known, and what follows from what is said.
//!
//! A provider's events come while its connection is busy telling them, so what is to be said to it is noted here and
//! said afterwards.

mod pressing;
mod waiting;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use voice_audio::{g711::Law, vad::LevelConfig};
use voice_providers::{
    Arguments, AudioFormat, Connection, Event, Happening, Provider, Speaker, Stage, Transcript,
    price::Spending, survival::Silence,
};
use voice_schemas::events::{call::Carrier, media::FarEnd};
use voice_telephony::media::MediaFrame;
use voice_turns::{
    Item, idle,
    interruption::{Act, Judge, Policy},
    language,
    playout::Truth,
    timeline::Moment,
};

use self::{pressing::Pressing, waiting::NO_ANSWER};
use super::{
    disclosure::{Disclosure, Verdict},
    ear::Ear,
    far_end::Listener,
    leg::Leg,
    mouth::{Mouth, Spoken},
    sessions::News,
    story::Story,
    talk::Talk,
    till::Till,
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
    pub(crate) disclosure: Option<String>,
    pub(crate) interruption: Policy,
    pub(crate) idle: Option<Idle>,
    pub(crate) languages: Option<language::Policy>,
    /// Whether it is of interest what picks up.
    pub(crate) listens: bool,
}

/// What is to be done once the connection is not busy any more.
#[derive(Debug)]
pub(crate) enum Todo {
    /// The caller spoke over the agent.
    Interrupt { item: Option<Item>, heard_ms: u64 },
    /// Speak.
    Respond(Option<String>),
    /// Say this, word for word.
    Say(String),
    /// Know this.
    Instruct(String),
    /// The caller pressed keys.
    Digits(String),
    /// A tool was asked for.
    Tool {
        call: String,
        name: String,
        arguments: Arguments,
    },
    /// The answer of a tool is no longer wanted.
    Forget(String),
    /// The call has cost so much that something follows.
    Spending(Spending),
    /// The caller speaks another language now.
    Language(String),
    /// This picked up.
    PickedUp(FarEnd),
    /// The machine that picked up listens from now on.
    MachineListens,
}

/// The state of a call.
#[derive(Debug)]
pub(crate) struct Side<S> {
    pub(crate) leg: Leg<S>,
    pub(crate) ear: Ear,
    pub(crate) mouth: Mouth,
    pub(crate) tape: Option<Tape>,
    pub(crate) todo: VecDeque<Todo>,
    pub(in crate::bridge) story: Story,
    pub(in crate::bridge) till: Till,
    pub(in crate::bridge) talk: Talk,
    pub(in crate::bridge) news: News,
    pub(crate) malformed: u64,
    /// Who speaks; there is a cheaper model.
    pub(in crate::bridge) speaker: (Provider, bool),
    /// The call is on its way out: nobody is asked anything any more.
    pub(in crate::bridge) leaving: bool,
    /// A machine listens to nobody yet: what the agent says is not passed on.
    pub(in crate::bridge) hushed: bool,
    /// Keys were told while the agent spoke: an answer to them is still to be asked for.
    unasked: bool,
    format: AudioFormat,
    rules: Rules,
    disclosure: Option<Disclosure>,
    language: Option<language::Switch>,
    judge: Judge,
    /// What the caller was listening to when the agent was muted.
    cut: Option<Truth>,
    idle: Option<idle::Idle>,
    silence: Silence,
    /// When to ask a provider that may not have noticed the caller.
    ask_at: Option<Instant>,
    caller_since: Option<Instant>,
    keys: String,
    keys_until: Option<Instant>,
    pressing: Pressing,
    /// The agent has opened the call.
    opened: bool,
    /// The provider answers at the moment.
    answering: bool,
    /// An answer was asked for and is not complete.
    owed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    pub(crate) fn new(
        leg: Leg<S>,
        (carrier, law): (Carrier, Law),
        tape: Option<Tape>,
        rules: Rules,
        till: Till,
        speaker: (Provider, bool),
        now: Instant,
    ) -> Self {
        let idle = rules.idle.as_ref().map(|idle| idle::Idle::new(idle.policy, now));
        Self {
            leg,
            ear: Ear::new(
                carrier,
                law,
                LevelConfig::default(),
                rules.listens.then(|| Box::new(Listener::new(law))),
            ),
            mouth: Mouth::new(law),
            tape,
            todo: VecDeque::new(),
            story: Story::new(now),
            till,
            talk: Talk::new(now),
            news: News::default(),
            malformed: 0,
            speaker,
            leaving: false,
            hushed: false,
            unasked: false,
            format: match law {
                Law::Mu => AudioFormat::PCMU,
                Law::A => AudioFormat::PCMA,
            },
            disclosure: rules.disclosure.clone().map(Disclosure::new),
            language: rules.languages.clone().map(language::Switch::new),
            judge: Judge::new(rules.interruption),
            cut: None,
            idle,
            silence: Silence::new(NO_ANSWER),
            ask_at: None,
            caller_since: None,
            keys: String::new(),
            keys_until: None,
            pressing: Pressing::default(),
            opened: false,
            answering: false,
            owed: false,
            rules,
        }
    }

    /// Nobody speaks, and nothing is about to be said.
    pub(in crate::bridge) fn quiet(&self, now: Instant) -> bool {
        !self.answering && !self.judge.is_muted() && !self.ear.hears_somebody() && !self.mouth.audible(now)
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
        self.judge_far_end();
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
        if change.speaking {
            self.caller_since = Some(now);
            self.talk.spoke(true, now);
        } else {
            let end = now - Duration::from_millis(self.ear.hang_over_ms().into());
            self.talk.spoke(false, end);
            self.stamp(Moment::SpeechEnd, end);
            self.caller_stopped(end, now);
        }
        let acts = self.judge.local(change.speaking, self.interruptible(now), now);
        self.act(acts, now);
    }

    /// A mark came back.
    pub(crate) fn marked(&mut self, name: &str, now: Instant) {
        let (marked, ended) = self.mouth.mark(name, now);
        if marked.is_some_and(|marked| marked.first) {
            self.stamp(Moment::FirstMark, now);
        }
        if let Some(item) = ended {
            self.pressing.heard(item);
            if let Some(truth) = self.mouth.truth(item, now) {
                self.finish_item(truth, false, now);
            }
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
            if self.answering {
                self.unasked = true;
            } else {
                self.todo.push_back(Todo::Respond(None));
            }
        }
    }

    /// The provider that speaks says something. `happening` is where it came from, if it came from outside.
    pub(crate) fn provider_says(&mut self, event: Event<'_>, happening: Option<&Happening>, now: Instant) {
        if self.news.take(&event) {
            return;
        }
        match event {
            Event::Audio { .. } if self.hushed => self.noticed(),
            Event::Audio { item, payload } => {
                let item = self.mouth.item(item);
                self.goes_on(now);
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
                let (spoken, samples) = self.mouth.speak(item, payload, keep, muted, to);
                self.story.generated(samples);
                match spoken {
                    Spoken::Sent => {
                        self.stamp(Moment::FirstByteOut, crate::bridge::now());
                        if let Some(idle) = &mut self.idle {
                            idle.agent_active();
                        }
                    }
                    Spoken::Held => {}
                    Spoken::Malformed => self.malformed += 1,
                }
            }
            Event::AudioDone { item } => {
                self.noticed();
                let item = self.mouth.item(item);
                self.mouth.done(item, self.judge.is_muted(), &mut self.leg, now);
            }
            Event::SpeechStarted { .. } => {
                self.noticed();
                if let Some(idle) = &mut self.idle {
                    idle.caller_active();
                }
                let acts = self.judge.provider_started(self.interruptible(now), now);
                self.act(acts, now);
            }
            Event::SpeechStopped { .. } => {
                self.stamp(Moment::Decision, now);
                // Who listens while speaking decides for themselves whether to answer.
                if !self.speaker.0.capabilities().full_duplex {
                    self.expect_answer(now);
                }
                let acts = self.judge.provider_stopped(now);
                self.act(acts, now);
            }
            Event::Interrupted => {
                let acts = self.judge.provider_interrupted(self.interruptible(now));
                self.act(acts, now);
            }
            Event::ResponseStarted { .. } => {
                self.answering = true;
                self.owed = true;
                self.stamp(Moment::Decision, now);
            }
            Event::ResponseDone { .. } => {
                (self.answering, self.owed) = (false, false);
                // Silence is then an answer, too.
                self.noticed();
                if std::mem::take(&mut self.unasked) {
                    self.todo.push_back(Todo::Respond(None));
                }
            }
            Event::Transcript(transcript) => self.transcript(&transcript, now),
            Event::ToolCall(call) => {
                self.noticed();
                self.todo.push_back(Todo::Tool {
                    call: call.id.to_owned(),
                    name: call.name.to_owned(),
                    arguments: call.arguments,
                });
            }
            Event::ToolCancelled { id } => self.todo.push_back(Todo::Forget(id.to_owned())),
            other => self.last_words(&other),
        }
    }

    fn transcript(&mut self, transcript: &Transcript<'_>, now: Instant) {
        if transcript.speaker == Speaker::Agent {
            self.stamp(Moment::FirstToken, now);
            let item = self.mouth.item(transcript.item);
            return self.talk.agent(item, transcript);
        }
        self.ask_at = None;
        if let Some(listener) = &mut self.ear.listener {
            listener.said(&transcript.text);
        }
        let last = transcript.stage == Stage::Final;
        let utterance = self.talk.caller_said(transcript, now);
        let language = self.talk.language();
        let acts = match &utterance {
            Some(_) => self.judge.text(&transcript.text, language, last),
            None => self.judge.text(self.talk.caller(), language, last),
        };
        self.act(acts, now);
        let changed = match (&mut self.language, &utterance, &transcript.language) {
            (Some(switch), Some(_), Some(tag)) => switch.heard(tag).map(str::to_owned),
            _ => None,
        };
        if let Some(language) = changed {
            self.story.tell(Fact::LanguageChanged(language.clone()));
            self.todo.push_back(Todo::Language(language));
        }
        if let Some(utterance) = utterance {
            self.story.tell(Fact::Utterance(utterance));
        }
    }

    /// What matters of any session, even when the call is over.
    pub(crate) fn last_words(&mut self, event: &Event<'_>) {
        match event {
            Event::Usage(usage) => {
                let spending = self.till.used(usage, self.speaker.1);
                if spending != Spending::Go {
                    self.todo.push_back(Todo::Spending(spending));
                }
            }
            Event::Failed(fault) => {
                tracing::warn!(kind = fault.kind.as_str(), code = fault.code, class = ?fault.class, "provider fault");
            }
            _ => {}
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
                    self.pressing.dropped();
                    self.story.interrupted();
                    let cut = self.cut.take();
                    self.todo.push_back(Todo::Interrupt {
                        item: cut.map(|truth| truth.item),
                        heard_ms: cut.map_or(0, |truth| truth.heard_ms()),
                    });
                    // The item that was playing was heard in part, those behind it not at all.
                    for item in self.talk.open() {
                        if let Some(truth) = self.mouth.truth(item, now) {
                            self.finish_item(truth, true, now);
                        }
                    }
                }
            }
        }
    }

    fn finish_item(&mut self, truth: Truth, interrupted: bool, now: Instant) {
        let Some(utterance) = self.talk.finish(truth, interrupted, now) else {
            return;
        };
        self.opened |= truth.heard > 0;
        let heard = self
            .disclosure
            .as_mut()
            .map(|disclosure| disclosure.heard(&utterance.heard));
        match heard {
            Some(Verdict::Heard) => {
                self.disclosure = None;
                self.story.tell(Fact::Disclosed);
            }
            Some(Verdict::Again(instructions)) if !self.leaving => {
                self.todo.push_back(Todo::Instruct(instructions));
            }
            Some(Verdict::GivenUp) => {
                tracing::warn!("the model does not say what callers must be told");
                self.disclosure = None;
            }
            Some(Verdict::Again(_)) | None => {}
        }
        self.story.tell(Fact::Utterance(utterance));
    }

    fn stamp(&mut self, moment: Moment, at: Instant) {
        let played = self.mouth.played(at);
        if self.story.stamp(moment, at, played) {
            self.settle();
        }
    }

    /// Tells what was used up since the last time.
    pub(in crate::bridge) fn settle(&mut self) {
        for usage in self.till.settle() {
            self.story.tell(Fact::Usage(usage));
        }
    }

    /// When [`woken`](Self::woken) wants to be called.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let idle = self.idle.as_ref().filter(|_| self.opened && !self.leaving);
        let idle = idle.and_then(idle::Idle::wake_at);
        let silence = self
            .silence
            .gives_up_at()
            .filter(|_| !self.leaving && !self.hushed);
        [self.judge.wake_at(), idle, self.keys_until, self.ask_at, silence]
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
        if self.ask_at.take_if(|at| *at <= now).is_some() && !self.answering {
            self.todo.push_back(Todo::Respond(None));
        }
        let idle = self.idle.as_mut().filter(|_| self.opened && !self.leaving);
        match idle.and_then(|idle| idle.woken(now)) {
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
                self.finish_item(truth, unheard, now);
            }
        }
        self.story.finish(self.mouth.played(now));
    }
}
