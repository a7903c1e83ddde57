//! The conversation: what follows from what was heard, thought and spoken.

use std::{borrow::Cow, time::Instant};

use serde_json::{Value, json};

use super::{
    Answer, DeepgramCascade, MIND, MOUTH, THOUGHT_WITHIN,
    ear::Heard,
    mind::{self, Mind, Thought},
    mouth,
};
use crate::{
    Arguments, Event, Fault, FaultKind, Frame, Outgoing, Output, Payload, Quantities, ResponseStatus,
    Speaker, Stage, ToolCall, Transcript, Unit, Usage,
};

impl DeepgramCascade {
    pub(super) fn hear(&mut self, heard: Heard, now: Instant, out: &mut dyn Output) {
        match heard {
            Heard::Connected => {
                self.ear_open = true;
                self.ready_if_both(out);
            }
            Heard::Started { at_ms } => out.event(Event::SpeechStarted { at_ms }),
            Heard::Words {
                text,
                language,
                stage,
            } => {
                let item = self.ear.item();
                transcript(Speaker::Caller, &item, &text, stage, language.as_deref(), out);
            }
            Heard::Ending { text } => {
                out.event(Event::SpeechEnding);
                if self.answer.is_none() && self.pending.is_empty() {
                    self.think(Some(&text), None, true, now, out);
                }
            }
            Heard::Resumed => {
                if self.mind.take_if(|mind| mind.silent).is_some() {
                    out.abandon(MIND);
                }
            }
            Heard::Finished { text, at_ms } => {
                out.event(Event::SpeechStopped { at_ms });
                self.ear.next_turn();
                self.bill_ear(out);
                if text.is_empty() {
                    return;
                }
                // Who has said something new is not kept waiting for the end of the old.
                if self.answer.is_some() {
                    self.stop(None, out);
                }
                self.messages.push(json!({"role": "user", "content": text}));
                match self.mind.take_if(|mind| mind.silent) {
                    Some(mind) if mind.about.as_deref() == Some(&*text) => self.speak_out(mind, out),
                    _ => self.think(None, None, false, now, out),
                }
            }
            Heard::Fault { kind, code } => self.fail(kind, &code, out),
            Heard::Nothing => {}
        }
    }

    /// Asks the mind for an answer. `about` is what the caller will have said, where that is a guess.
    pub(super) fn think(
        &mut self,
        about: Option<&str>,
        instructions: Option<&str>,
        silent: bool,
        now: Instant,
        out: &mut dyn Output,
    ) {
        let guess = about.map(|text| json!({"role": "user", "content": text}));
        let order = instructions.map(|text| json!({"role": "system", "content": text}));
        let all: Vec<&Value> = self.messages.iter().chain(&guess).chain(&order).collect();
        let Some(endpoint) = mind::endpoint(&self.chat, &self.session, &self.options, &all) else {
            return self.fail(FaultKind::Rejected, "chat.endpoint", out);
        };
        self.mind = Some(Mind::new(about, instructions, silent, now + THOUGHT_WITHIN));
        out.open(MIND, endpoint);
    }

    /// The guess was right: what was thought is said.
    fn speak_out(&mut self, mut mind: Mind, out: &mut dyn Output) {
        mind.silent = false;
        let text = std::mem::take(&mut mind.held);
        let finished = mind.finished;
        self.mind = Some(mind);
        if !text.is_empty() {
            self.speak(&text, out);
        }
        if finished {
            self.finish_thought(out);
        }
    }

    pub(super) fn speak(&mut self, text: &str, out: &mut dyn Output) {
        let answers = &mut self.answers;
        let answer = self.answer.get_or_insert_with(|| {
            *answers += 1;
            let item = format!("answer-{answers}");
            out.event(Event::ResponseStarted { response: &item });
            Answer {
                item,
                text: String::new(),
                bytes: 0,
                complete: false,
                message: None,
            }
        });
        answer.text.push_str(text);
        transcript(Speaker::Agent, &answer.item, text, Stage::Delta, None, out);
        for message in self.mouth.say(text) {
            out.send(MOUTH, Outgoing::Text(message));
        }
    }

    /// Nothing more will be said in this answer.
    pub(super) fn complete_answer(&mut self, out: &mut dyn Output) {
        let Some(answer) = &mut self.answer else { return };
        answer.complete = true;
        let text = answer.text.trim();
        transcript(Speaker::Agent, &answer.item, text, Stage::Final, None, out);
        answer.message = Some(self.messages.len());
        self.messages.push(json!({"role": "assistant", "content": text}));
        for message in self.mouth.flush() {
            out.send(MOUTH, Outgoing::Text(message));
        }
        self.bill_mouth(out);
    }

    fn bill_mouth(&mut self, out: &mut dyn Output) {
        let characters = self.mouth.unbilled_characters();
        if characters > 0 {
            out.event(Event::Usage(Usage {
                model: self.mouth.voice(),
                quantities: Quantities::of(Unit::SpokenCharacters, characters),
            }));
        }
    }

    pub(super) fn take_thought(&mut self, text: &str, out: &mut dyn Output) {
        let Some(mind) = &mut self.mind else { return };
        match mind.take(text) {
            Thought::Words(words) if mind.silent => mind.held.push_str(&words),
            Thought::Words(words) => self.speak(&words, out),
            Thought::Usage(quantities) => out.event(Event::Usage(Usage {
                model: &self.session.model,
                quantities,
            })),
            Thought::Finished => {
                mind.finished = true;
                if !mind.silent {
                    self.finish_thought(out);
                }
            }
            Thought::Fault(kind, code) => self.fail(kind, &code, out),
            Thought::Nothing => {}
        }
    }

    fn finish_thought(&mut self, out: &mut dyn Output) {
        // Where it is still streaming, its usage follows; the link closes by itself.
        let Some(mind) = &mut self.mind else { return };
        let calls = std::mem::take(&mut mind.calls);
        self.complete_answer(out);
        if calls.is_empty() {
            return;
        }
        self.messages.push(mind::assistant_with(&calls));
        self.answer_tools = false;
        for call in &calls {
            self.pending.push(call.id.clone());
            out.event(Event::ToolCall(ToolCall {
                id: &call.id,
                name: &call.name,
                arguments: Arguments::parse(&call.arguments),
            }));
        }
    }

    pub(super) fn tool_result(
        &mut self,
        call: &str,
        output: &str,
        answer: bool,
        now: Instant,
        out: &mut dyn Output,
    ) {
        self.pending.retain(|pending| pending != call);
        self.messages
            .push(json!({"role": "tool", "tool_call_id": call, "content": output}));
        self.answer_tools |= answer;
        if self.pending.is_empty() && self.answer_tools {
            self.think(None, None, false, now, out);
        }
    }

    /// Stops; the conversation keeps what was heard, or all of it where nobody says how much that was.
    pub(super) fn stop(&mut self, heard: Option<(&str, u64)>, out: &mut dyn Output) {
        if self.mind.take().is_some() {
            out.abandon(MIND);
        }
        let Some(mut answer) = self.answer.take() else {
            return;
        };
        if !answer.complete {
            answer.message = Some(self.messages.len());
            self.messages
                .push(json!({"role": "assistant", "content": answer.text.trim()}));
            transcript(
                Speaker::Agent,
                &answer.item,
                answer.text.trim(),
                Stage::Final,
                None,
                out,
            );
        }
        out.send(MOUTH, Outgoing::Text(self.mouth.clear()));
        self.bill_mouth(out);
        if let Some((item, heard_ms)) = heard
            && item == answer.item
        {
            let total_ms = self.session.output.duration_ms(answer.bytes);
            let heard_ms = heard_ms.min(total_ms);
            let kept = mouth::heard_part(answer.text.trim(), heard_ms, total_ms);
            if let Some(message) = answer.message.and_then(|at| self.messages.get_mut(at)) {
                message["content"] = json!(kept);
            }
            out.event(Event::Truncated { item, heard_ms });
        }
        out.event(Event::ResponseDone {
            response: &answer.item,
            status: ResponseStatus::Cancelled,
        });
    }

    pub(super) fn take_speech(&mut self, frame: Frame<'_>, out: &mut dyn Output) {
        match frame {
            Frame::Binary(audio) => {
                if self.mouth.is_clearing() {
                    return;
                }
                if let Some(answer) = &mut self.answer {
                    answer.bytes += audio.len() as u64;
                    out.event(Event::Audio {
                        item: &answer.item,
                        payload: Payload::Bytes(audio),
                    });
                }
            }
            Frame::Text(text) => match self.mouth.take(text) {
                mouth::Spoke::Flushed => {
                    if let Some(answer) = self.answer.take_if(|answer| answer.complete) {
                        out.event(Event::AudioDone { item: &answer.item });
                        out.event(Event::ResponseDone {
                            response: &answer.item,
                            status: ResponseStatus::Completed,
                        });
                    }
                }
                mouth::Spoke::Warning(code) => {
                    out.event(Event::Failed(Fault::benign(FaultKind::Rejected, &code)));
                }
                mouth::Spoke::Nothing => {}
            },
        }
    }
}

fn transcript(
    speaker: Speaker,
    item: &str,
    text: &str,
    stage: Stage,
    language: Option<&str>,
    out: &mut dyn Output,
) {
    out.event(Event::Transcript(Transcript {
        speaker,
        item,
        text: Cow::Borrowed(text),
        stage,
        language: language.map(Cow::Borrowed),
    }));
}
