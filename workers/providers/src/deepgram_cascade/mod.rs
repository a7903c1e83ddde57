//! Deepgram's ears and mouth around any chat model that speaks OpenAI's protocol.
//!
//! Three links: the ear (Flux where it knows the languages, Nova-3 otherwise) and the mouth (Aura) stand for the
//! whole call, and the mind is one streamed request for each answer. What the mind writes is spoken sentence by
//! sentence. Where the ear guesses that the caller is about to finish, the mind begins to think, silently; if the
//! guess was right its words are waiting, if not they are thrown away.
//!
//! The conversation is kept here, so what it remembers of an interrupted answer is what was heard of it.

mod ear;
mod mind;
mod mouth;
mod talk;

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use self::{ear::Ear, mind::Mind, mouth::Mouth};
pub use self::{ear::EarModel, mind::ChatAccount};
use crate::{
    Account, Adapter, Closure, Command, CommandError, Ending, Event, Fault, FaultKind, Frame, Link, Outgoing,
    Output, Provider, Quantities, Ready, Said, Session, Speaker, Turns, Unit, Usage, judgement,
};

const EAR: Link = Link(0);
const MOUTH: Link = Link(1);
const MIND: Link = Link(2);

const READY_WITHIN: Duration = Duration::from_secs(3);
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// How long the mind may take to its first word.
const THOUGHT_WITHIN: Duration = Duration::from_secs(4);

/// What only this provider has.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which ear; without one, Flux where it knows all languages of the session and Nova-3 otherwise.
    pub ear: Option<EarModel>,
    /// Above this probability of a finished turn the mind begins to think, 0.3 to 0.9; Flux only.
    pub eager_threshold: Option<f32>,
    /// How freely the mind chooses its words.
    pub temperature: Option<f32>,
    /// The longest answer in tokens.
    pub max_output_tokens: Option<u32>,
}

/// One call.
#[derive(Debug)]
pub struct DeepgramCascade {
    account: Account,
    chat: ChatAccount,
    session: Session,
    options: Options,
    phase: Phase,
    alarm: Option<Instant>,
    ear: Ear,
    mouth: Mouth,
    ear_open: bool,
    mouth_open: bool,
    messages: Vec<Value>,
    mind: Option<Mind>,
    answer: Option<Answer>,
    answers: u64,
    /// Tools that have not answered.
    pending: Vec<String>,
    /// Whether what they gave is to be spoken about.
    answer_tools: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closing,
    Over,
}

/// What is being said.
#[derive(Debug)]
struct Answer {
    item: String,
    text: String,
    bytes: u64,
    /// Everything was handed to the mouth.
    complete: bool,
    /// Where it stands in the conversation, once it does.
    message: Option<usize>,
}

impl DeepgramCascade {
    /// A call that has not begun. The model of the session is the mind's.
    #[must_use]
    pub fn new(account: Account, chat: ChatAccount, session: Session, options: Options) -> Self {
        let ear = Ear::new(&session, &options);
        let mouth = Mouth::new(&session);
        let mut messages = vec![json!({"role": "system", "content": session.instructions})];
        messages.extend(session.history.iter().map(remembered));
        Self {
            account,
            chat,
            session,
            options,
            phase: Phase::Connecting,
            alarm: None,
            ear,
            mouth,
            ear_open: false,
            mouth_open: false,
            messages,
            mind: None,
            answer: None,
            answers: 0,
            pending: Vec::new(),
            answer_tools: false,
        }
    }

    fn end(&mut self, ending: Ending, out: &mut dyn Output) {
        self.bill_ear(out);
        self.phase = Phase::Over;
        self.alarm = None;
        for link in [EAR, MOUTH, MIND] {
            out.abandon(link);
        }
        out.event(Event::Closed(ending));
    }

    fn fail(&mut self, kind: FaultKind, code: &str, out: &mut dyn Output) {
        out.event(Event::Failed(Fault::new(kind, code)));
        self.end(Ending::broken(kind), out);
    }

    fn ready_if_both(&mut self, out: &mut dyn Output) {
        if self.phase != Phase::Connecting || !self.ear_open || !self.mouth_open {
            return;
        }
        self.phase = Phase::Open;
        self.alarm = None;
        out.event(Event::Ready(Ready {
            session: None,
            model: Some(&self.session.model),
            input: self.session.input,
            output: self.session.output,
            // Deepgram echoes no format; wrong ones are refused with the upgrade.
            confirmed: false,
            lasts: None,
            resumed: false,
        }));
    }

    fn bill_ear(&mut self, out: &mut dyn Output) {
        let ms = self.ear.unbilled_ms(self.session.input);
        if ms > 0 {
            out.event(Event::Usage(Usage {
                model: self.ear.model(),
                quantities: Quantities::of(Unit::RecognisedMs, ms),
            }));
        }
    }
}

fn remembered(said: &Said) -> Value {
    let role = match said.speaker {
        Speaker::Caller => "user",
        Speaker::Agent => "assistant",
    };
    json!({"role": role, "content": said.text})
}

impl Adapter for DeepgramCascade {
    fn provider(&self) -> Provider {
        Provider::DeepgramCascade
    }

    fn start(&mut self, now: Instant, out: &mut dyn Output) {
        let known = self.provider().capabilities();
        if !known.input.contains(&self.session.input) || !known.output.contains(&self.session.output) {
            return self.fail(FaultKind::FormatMismatch, "unsupported_format", out);
        }
        if self.mouth.voice().is_empty() {
            return self.fail(FaultKind::Rejected, "no_voice_for_language", out);
        }
        let ear = self.ear.endpoint(&self.account, &self.session, &self.options);
        let mouth = self.mouth.endpoint(&self.account, self.session.output);
        match (ear, mouth) {
            (Some(ear), Some(mouth)) => {
                out.open(EAR, ear);
                out.open(MOUTH, mouth);
                self.alarm = Some(now + READY_WITHIN);
            }
            _ => self.fail(FaultKind::Rejected, "endpoint", out),
        }
    }

    fn opened(&mut self, link: Link, now: Instant, out: &mut dyn Output) {
        match link {
            EAR => {
                self.ear.begin(now);
                // Flux says when it is ready.
                self.ear_open = !self.ear.greets();
            }
            MOUTH => self.mouth_open = true,
            _ => {}
        }
        self.ready_if_both(out);
    }

    fn received(&mut self, link: Link, frame: Frame<'_>, now: Instant, out: &mut dyn Output) {
        match (link, frame) {
            (EAR, Frame::Text(text)) => {
                let ours = self.session.turns == Turns::Ours;
                for heard in self.ear.take(text, ours) {
                    self.hear(heard, now, out);
                }
            }
            (MIND, Frame::Text(text)) => self.take_thought(text, out),
            (MOUTH, frame) => self.take_speech(frame, out),
            _ => out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "unexpected"))),
        }
    }

    fn closed(&mut self, link: Link, closure: Closure<'_>, now: Instant, out: &mut dyn Output) {
        match (self.phase, link) {
            (Phase::Over, _) => {}
            (_, MIND) => {
                let Some(mut mind) = self.mind.take() else { return };
                if mind.finished && !mind.silent {
                    return;
                }
                if mind.finished {
                    // It waits for the caller to finish.
                    self.mind = Some(mind);
                    return;
                }
                let kind = match closure {
                    Closure::Code { code: 1000, .. } => FaultKind::Provider,
                    closure => judgement::judge(closure),
                };
                if mind.may_retry(kind) {
                    let fault = Fault::benign(kind, judgement::code_of(closure));
                    out.event(Event::Failed(fault));
                    let (about, instructions) = (mind.about.take(), mind.instructions.take());
                    self.think(about.as_deref(), instructions.as_deref(), mind.silent, now, out);
                    if let Some(again) = &mut self.mind {
                        again.tries = mind.tries + 1;
                    }
                } else {
                    self.fail(kind, judgement::code_of(closure), out);
                }
            }
            (Phase::Closing, EAR | MOUTH) => {
                if link == EAR {
                    self.ear_open = false;
                } else {
                    self.mouth_open = false;
                }
                if !self.ear_open && !self.mouth_open {
                    self.end(Ending::Asked, out);
                }
            }
            (Phase::Connecting | Phase::Open, _) => {
                let (fault, ending) = judgement::broken(closure);
                out.event(Event::Failed(fault));
                self.end(ending, out);
            }
            (Phase::Closing, _) => {}
        }
    }

    fn command(
        &mut self,
        command: Command<'_>,
        now: Instant,
        out: &mut dyn Output,
    ) -> Result<(), CommandError> {
        if let Command::Close = command {
            self.phase = Phase::Closing;
            self.alarm = Some(now + CLOSED_WITHIN);
            self.mind = None;
            out.abandon(MIND);
            out.send(EAR, Outgoing::Text("{\"type\":\"CloseStream\"}".to_owned()));
            out.send(MOUTH, Outgoing::Text("{\"type\":\"Close\"}".to_owned()));
            return Ok(());
        }
        if self.phase != Phase::Open {
            return Err(CommandError::NotOpen {
                command: command.name(),
            });
        }
        match command {
            Command::Audio(payload) => {
                let Some(audio) = payload.decode() else {
                    return Err(CommandError::Invalid {
                        command: "audio",
                        reason: "not Base64",
                    });
                };
                self.ear.sent(audio.len() as u64, now);
                out.send(EAR, Outgoing::Binary(Bytes::from(audio.into_owned())));
            }
            Command::EndTurn => {
                if self.session.turns != Turns::Ours {
                    return Err(CommandError::Unsupported {
                        provider: self.provider(),
                        command: "end_turn",
                    });
                }
                out.send(EAR, Outgoing::Text(self.ear.end_of_turn().to_owned()));
            }
            Command::Respond { instructions } => self.think(None, instructions, false, now, out),
            Command::Say(text) => {
                self.stop(None, out);
                self.speak(text, out);
                self.complete_answer(out);
            }
            Command::Text(text) => self.messages.push(json!({"role": "user", "content": text})),
            Command::Digits(digits) => {
                let text = crate::phrases::pressed(digits);
                self.messages.push(json!({"role": "user", "content": text}));
            }
            Command::Cancel => self.stop(None, out),
            Command::Interrupt { item, heard_ms } => self.stop(item.map(|item| (item, heard_ms)), out),
            Command::ToolResult {
                call, output, answer, ..
            } => self.tool_result(call, output, answer, now, out),
            Command::Instruct(text) => self.messages.push(json!({"role": "system", "content": text})),
            Command::Close => {}
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let mind = self.mind.as_ref().and_then(Mind::deadline);
        [self.alarm, self.ear.keep_alive_at(), mind]
            .into_iter()
            .flatten()
            .min()
    }

    fn woken(&mut self, now: Instant, out: &mut dyn Output) {
        if self.ear.keep_alive_at().is_some_and(|at| at <= now) {
            out.send(EAR, Outgoing::Text("{\"type\":\"KeepAlive\"}".to_owned()));
            self.ear.kept_alive(now);
        }
        if self
            .mind
            .as_ref()
            .and_then(Mind::deadline)
            .is_some_and(|at| at <= now)
        {
            return self.fail(FaultKind::Stalled, "chat", out);
        }
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            match self.phase {
                Phase::Closing => self.end(Ending::Asked, out),
                Phase::Connecting => self.fail(FaultKind::Stalled, "not_ready", out),
                Phase::Open | Phase::Over => self.alarm = None,
            }
        }
    }
}
