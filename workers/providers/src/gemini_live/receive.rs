//! What follows from each message of Gemini Live.

use std::{borrow::Cow, time::Duration};

use super::{
    Answer, CONNECTION_LASTS, GeminiLive, Heard, Phase, send, setup,
    wire::{Count, FunctionCall, ServerContent, ServerMessage, Transcription, UsageMetadata},
};
use crate::{
    Arguments, Event, Fault, FaultKind, Output, Payload, Quantities, Ready, ResponseStatus, Speaker, Stage,
    ToolCall, Transcript, Unit, Usage,
};

/// The only sound it makes.
const MIME: &str = "audio/pcm;rate=24000";

impl GeminiLive {
    pub(super) fn take(&mut self, message: ServerMessage<'_>, out: &mut dyn Output) {
        if let Some(complete) = &message.setup_complete
            && self.phase == Phase::Connecting
        {
            if let Some(history) = setup::history(&self.session) {
                send(&history, out);
            }
            self.phase = Phase::Open;
            self.alarm = None;
            out.event(Event::Ready(Ready {
                session: complete.session_id.as_deref(),
                model: None,
                input: self.session.input,
                output: self.session.output,
                // There is one format each way; the type of each piece says so again.
                confirmed: true,
                lasts: Some(CONNECTION_LASTS),
                resumed: self.session.resume.is_some(),
            }));
        }
        if let Some(activity) = &message.voice_activity {
            let at_ms = activity
                .audio_offset
                .as_deref()
                .and_then(seconds)
                .map(milliseconds);
            match activity.kind.as_deref() {
                Some("ACTIVITY_START") => out.event(Event::SpeechStarted { at_ms }),
                Some("ACTIVITY_END") => out.event(Event::SpeechStopped { at_ms }),
                _ => {}
            }
        }
        let ended = message
            .server_content
            .is_some_and(|content| self.take_content(content, out));
        for call in message
            .tool_call
            .into_iter()
            .flat_map(|calls| calls.function_calls)
        {
            take_call(call, out);
        }
        for id in message
            .tool_call_cancellation
            .into_iter()
            .flat_map(|cancelled| cancelled.ids)
        {
            out.event(Event::ToolCancelled { id: &id });
        }
        if let Some(usage) = &message.usage_metadata {
            out.event(Event::Usage(Usage {
                model: &self.session.model,
                quantities: counted(usage),
            }));
        }
        // After what it cost: who waits for the end of an answer knows its price then.
        if ended {
            self.end_answer(out);
        }
        if let Some(update) = &message.session_resumption_update {
            let handle = update
                .new_handle
                .as_deref()
                .filter(|handle| update.resumable && !handle.is_empty());
            out.event(Event::Resumable { handle });
        }
        if let Some(away) = &message.go_away {
            self.leaving = true;
            let left = away.time_left.as_deref().and_then(seconds);
            out.event(Event::Expiring {
                left: left.unwrap_or(Duration::ZERO),
            });
        }
    }

    /// True when the answer is over.
    fn take_content(&mut self, content: ServerContent<'_>, out: &mut dyn Output) -> bool {
        if let Some(heard) = content.input_transcription {
            self.caller_says(heard, out);
        }
        if let Some(turn) = &content.model_turn {
            for blob in turn.parts.iter().filter_map(|part| part.inline_data.as_ref()) {
                if &*blob.mime_type != MIME {
                    self.fail(FaultKind::FormatMismatch, "inlineData.mimeType", out);
                    return false;
                }
                let answer = self.begin_answer(out);
                if !answer.muted {
                    out.event(Event::Audio {
                        item: &answer.item,
                        payload: Payload::Base64(&blob.data),
                    });
                }
            }
        }
        if let Some(text) = content.output_transcription.and_then(|said| said.text) {
            let answer = self.begin_answer(out);
            answer.text.push_str(&text);
            said(Speaker::Agent, &answer.item, text.0, Stage::Delta, None, out);
        }
        if content.interrupted {
            if let Some(answer) = &mut self.answer {
                answer.muted = true;
                answer.interrupted = true;
            }
            out.event(Event::Interrupted);
        }
        if content.generation_complete
            && let Some(answer) = &mut self.answer
        {
            answer.audio_done = true;
            out.event(Event::AudioDone { item: &answer.item });
        }
        if let Some(reason) = content.turn_complete_reason.as_deref() {
            match reason {
                "MALFORMED_FUNCTION_CALL" => {
                    out.event(Event::Failed(Fault::benign(FaultKind::Provider, reason)));
                }
                "RESPONSE_REJECTED" | "PROHIBITED_INPUT_CONTENT" => {
                    out.event(Event::Failed(Fault::benign(FaultKind::Content, reason)));
                }
                _ => {}
            }
        }
        // A turn may have several ends; the one that is idle is the end of it.
        content.turn_complete
            && content.interaction_status.as_deref().is_none_or(|status| {
                matches!(
                    status,
                    "IDLE" | "REQUIRES_ACTION" | "INTERACTION_STATUS_UNSPECIFIED"
                )
            })
    }

    fn caller_says(&mut self, heard: Transcription<'_>, out: &mut dyn Output) {
        let turns = &mut self.caller_turns;
        let current = self.heard.get_or_insert_with(|| {
            *turns += 1;
            Heard {
                item: format!("caller-{turns}"),
                text: String::new(),
                language: None,
            }
        });
        if let Some(language) = heard.language_code {
            current.language = Some(language.0.into_owned());
        }
        if let Some(text) = heard.text {
            current.text.push_str(&text);
            said(Speaker::Caller, &current.item, text.0, Stage::Delta, None, out);
        }
        if heard.finished {
            self.end_heard(out);
        }
    }

    fn end_heard(&mut self, out: &mut dyn Output) {
        if let Some(heard) = self.heard.take() {
            let text = Cow::Borrowed(heard.text.trim());
            said(
                Speaker::Caller,
                &heard.item,
                text,
                Stage::Final,
                heard.language.as_deref(),
                out,
            );
        }
    }

    fn begin_answer(&mut self, out: &mut dyn Output) -> &mut Answer {
        if self.answer.is_none() {
            self.end_heard(out);
        }
        let answers = &mut self.answers;
        self.answer.get_or_insert_with(|| {
            *answers += 1;
            let item = format!("turn-{answers}");
            out.event(Event::ResponseStarted { response: &item });
            Answer {
                item,
                text: String::new(),
                muted: false,
                interrupted: false,
                audio_done: false,
            }
        })
    }

    fn end_answer(&mut self, out: &mut dyn Output) {
        let Some(answer) = self.answer.take() else { return };
        if !answer.audio_done {
            out.event(Event::AudioDone { item: &answer.item });
        }
        if !answer.text.is_empty() {
            let text = Cow::Borrowed(answer.text.trim());
            said(Speaker::Agent, &answer.item, text, Stage::Final, None, out);
        }
        let status = if answer.interrupted || answer.muted {
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

fn take_call(call: FunctionCall<'_>, out: &mut dyn Output) {
    let (Some(id), Some(name)) = (&call.id, &call.name) else {
        return out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "functionCalls")));
    };
    let arguments = match call.args {
        None => Arguments::parse(""),
        Some(object @ serde_json::Value::Object(_)) => Arguments::Complete(object),
        Some(_) => Arguments::Broken,
    };
    out.event(Event::ToolCall(ToolCall { id, name, arguments }));
}

fn said(
    speaker: Speaker,
    item: &str,
    text: Cow<'_, str>,
    stage: Stage,
    language: Option<&str>,
    out: &mut dyn Output,
) {
    out.event(Event::Transcript(Transcript {
        speaker,
        item,
        text,
        stage,
        language: language.map(Cow::Borrowed),
    }));
}

/// A duration as Google's JSON writes it: `50s`, `1.2s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn of(counts: &[Count<'_>], audio: bool) -> u64 {
    counts
        .iter()
        .filter(|count| (count.modality.as_deref() == Some("AUDIO")) == audio)
        .map(|count| count.token_count)
        .sum()
}

/// Cached tokens are among those of the prompt; thoughts are beside those of the answer. Where kinds are not
/// told, tokens of the prompt are taken for text and those of the answer for audio, which is what is asked for.
fn counted(usage: &UsageMetadata<'_>) -> Quantities {
    let (mut text_in, audio_in) = (
        of(&usage.prompt_tokens_details, false),
        of(&usage.prompt_tokens_details, true),
    );
    text_in = text_in.max(usage.prompt_token_count.saturating_sub(audio_in));
    let (text_cached, audio_cached) = (
        of(&usage.cache_tokens_details, false).min(text_in),
        of(&usage.cache_tokens_details, true).min(audio_in),
    );
    let text_out = of(&usage.response_tokens_details, false);
    let audio_out =
        of(&usage.response_tokens_details, true).max(usage.response_token_count.saturating_sub(text_out));
    Quantities::of(
        Unit::TextIn,
        text_in - text_cached + usage.tool_use_prompt_token_count,
    )
    .and(Unit::TextInCached, text_cached)
    .and(Unit::AudioIn, audio_in - audio_cached)
    .and(Unit::AudioInCached, audio_cached)
    .and(Unit::TextOut, text_out + usage.thoughts_token_count)
    .and(Unit::AudioOut, audio_out)
}
