//! What follows from each message of the Voice Agent.

use std::time::{Duration, Instant};

use super::{Answer, DeepgramAgent, Phase, send, setup, wire::ServerMessage};
use crate::{
    Arguments, Event, Fault, FaultKind, Output, Payload, Ready, ResponseStatus, Speaker, Stage, ToolCall,
    Transcript,
};

impl DeepgramAgent {
    pub(super) fn take(&mut self, message: ServerMessage<'_>, now: Instant, out: &mut dyn Output) {
        match &*message.kind {
            "Welcome" if self.phase == Phase::Connecting => {
                match setup::settings(&self.session, &self.options) {
                    Some(settings) => send(&settings, out),
                    None => self.fail(FaultKind::Rejected, "no_voice_for_language", now, out),
                }
            }
            "SettingsApplied" if self.phase == Phase::Connecting => {
                self.phase = Phase::Open;
                self.alarm = None;
                self.last_sent = Some(now);
                out.event(Event::Ready(Ready {
                    session: None,
                    model: Some(&self.session.model),
                    input: self.session.input,
                    output: self.session.output,
                    confirmed: false,
                    lasts: None,
                    resumed: false,
                }));
            }
            "UserStartedSpeaking" => {
                self.caller_speaks = true;
                out.event(Event::SpeechStarted { at_ms: None });
                // It stops by itself; what is on its way is not to be heard.
                if let Some(answer) = &mut self.answer {
                    answer.muted = true;
                    answer.interrupted = true;
                    out.event(Event::Interrupted);
                }
            }
            "AgentThinking" => self.caller_stops(out),
            "ConversationText" => self.take_words(message, out),
            "AgentStartedSpeaking" => {
                if let Some(total) = message
                    .total_latency
                    .and_then(|s| Duration::try_from_secs_f64(s).ok())
                {
                    out.event(Event::Latency { total });
                }
            }
            "AgentAudioDone" => {
                self.end_answer(out);
                self.bill(now, out);
            }
            "FunctionCallRequest" => {
                for function in message.functions.into_iter().flatten() {
                    // The others it calls itself.
                    if function.client_side {
                        out.event(Event::ToolCall(ToolCall {
                            id: &function.id,
                            name: &function.name,
                            arguments: Arguments::parse(function.arguments.as_deref().unwrap_or_default()),
                        }));
                    }
                }
            }
            "FunctionCallCancelled" => {
                for function in message.functions.into_iter().flatten() {
                    out.event(Event::ToolCancelled { id: &function.id });
                }
            }
            "InjectionRefused" => {
                out.event(Event::Failed(Fault::benign(
                    FaultKind::Rejected,
                    "injection_refused",
                )));
            }
            "Warning" => {
                let code = message.code.as_deref().unwrap_or("warning");
                out.event(Event::Failed(Fault::benign(FaultKind::Provider, code)));
            }
            "Error" => {
                let code = message.code.as_deref().unwrap_or("error");
                let kind = judge(code, self.phase);
                self.fail(kind, code, now, out);
            }
            _ => {}
        }
    }

    fn caller_stops(&mut self, out: &mut dyn Output) {
        if std::mem::replace(&mut self.caller_speaks, false) {
            out.event(Event::SpeechStopped { at_ms: None });
        }
    }

    fn take_words(&mut self, message: ServerMessage<'_>, out: &mut dyn Output) {
        let (Some(role), Some(content)) = (&message.role, message.content) else {
            return out.event(Event::Failed(Fault::benign(
                FaultKind::Protocol,
                "ConversationText",
            )));
        };
        let language = message
            .languages
            .and_then(|all| all.into_iter().next())
            .map(|language| language.0);
        if &**role == "user" {
            if let Some(echo) = self.injected.iter().position(|injected| *injected == *content.0) {
                self.injected.remove(echo);
                return;
            }
            self.caller_stops(out);
            self.caller_turns += 1;
            let item = format!("caller-{}", self.caller_turns);
            out.event(Event::Transcript(Transcript {
                speaker: Speaker::Caller,
                item: &item,
                text: content.0,
                stage: Stage::Final,
                language,
            }));
        } else {
            let answer = self.begin_answer(out);
            out.event(Event::Transcript(Transcript {
                speaker: Speaker::Agent,
                item: &answer.item,
                text: content.0,
                stage: Stage::Final,
                language,
            }));
        }
    }

    pub(super) fn take_audio(&mut self, audio: &[u8], out: &mut dyn Output) {
        let answer = self.begin_answer(out);
        if !answer.muted {
            out.event(Event::Audio {
                item: &answer.item,
                payload: Payload::Bytes(audio),
            });
        }
    }

    fn begin_answer(&mut self, out: &mut dyn Output) -> &Answer {
        let answers = &mut self.answers;
        self.answer.get_or_insert_with(|| {
            *answers += 1;
            let item = format!("answer-{answers}");
            out.event(Event::ResponseStarted { response: &item });
            Answer {
                item,
                muted: false,
                interrupted: false,
            }
        })
    }

    fn end_answer(&mut self, out: &mut dyn Output) {
        let Some(answer) = self.answer.take() else { return };
        out.event(Event::AudioDone { item: &answer.item });
        let status = if answer.muted || answer.interrupted {
            ResponseStatus::Cancelled
        } else {
            ResponseStatus::Completed
        };
        out.event(Event::ResponseDone {
            response: &answer.item,
            status,
        });
    }
}

/// Its errors end the session. Before the settings are applied they are about the settings.
fn judge(code: &str, phase: Phase) -> FaultKind {
    let code = code.to_ascii_uppercase();
    if code.contains("AUTH") || code.contains("UNAUTHORIZED") {
        FaultKind::Auth
    } else if code.contains("LIMIT") || code.contains("TOO_MANY") {
        FaultKind::Throttled
    } else if phase == Phase::Connecting || code.contains("PARSE") || code.contains("INVALID") {
        FaultKind::Rejected
    } else {
        FaultKind::Provider
    }
}
