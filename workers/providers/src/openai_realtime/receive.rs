//! What follows from each event of the Realtime API.

use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer, CLOSED_WITHIN, OpenaiRealtime, Phase, RESPOND_EVENT, SESSION_LASTS, SETUP_EVENT, send, setup,
    wire::{
        EffectiveFormat, EffectiveSession, ErrorBody, InputTokens, Item, Response, ResponseUsage,
        ServerEvent, TranscriptionUsage,
    },
};
use crate::{
    Arguments, AudioFormat, Class, Codec, Event, Fault, FaultKind, Output, Payload, Quantities, Ready,
    ResponseStatus, Speaker, Stage, ToolCall, Transcript, Turns, Unit, Usage, text::Text,
};

/// The refusal of a second answer.
const ALREADY_ANSWERING: &str = "conversation_already_has_active_response";

impl OpenaiRealtime {
    pub(super) fn take(&mut self, event: ServerEvent<'_>, now: Instant, out: &mut dyn Output) {
        match &*event.kind {
            "response.output_audio.delta" => self.take_audio(&event, out),
            "session.created" if self.phase == Phase::Connecting => {
                self.phase = Phase::Configuring;
                send(&setup::session_update(&self.session, &self.options), out);
            }
            "session.updated" if self.phase == Phase::Configuring => {
                self.take_configuration(body(event.session), out);
            }
            "input_audio_buffer.speech_started" => {
                // The server interrupts itself; another cancel would only be refused.
                if let (Some(answer), Turns::Theirs(_)) = (&mut self.answer, self.session.turns) {
                    answer.cancelled = true;
                }
                out.event(Event::SpeechStarted {
                    at_ms: event.audio_start_ms,
                });
            }
            "input_audio_buffer.speech_stopped" => out.event(Event::SpeechStopped {
                at_ms: event.audio_end_ms,
            }),
            "input_audio_buffer.timeout_triggered" => out.event(Event::Idle),
            "input_audio_buffer.dtmf_event_received" => {
                if let Some(digit) = event.event.and_then(|digit| digit.chars().next()) {
                    out.event(Event::Digit(digit));
                }
            }
            "conversation.item.input_audio_transcription.delta" => {
                said(
                    Speaker::Caller,
                    &event.item_id,
                    event.delta,
                    Stage::Delta,
                    None,
                    out,
                );
            }
            "conversation.item.input_audio_transcription.completed" => {
                let heard = event.languages.and_then(|all| all.into_iter().next());
                let language = heard.map(|language| language.code);
                let item = event.item_id;
                said(
                    Speaker::Caller,
                    &item,
                    event.transcript,
                    Stage::Final,
                    language,
                    out,
                );
                if let Some(usage) = body::<TranscriptionUsage>(event.usage) {
                    out.event(Event::Usage(Usage {
                        model: &self.options.transcription_model,
                        quantities: transcribed(&usage),
                    }));
                }
            }
            "conversation.item.input_audio_transcription.failed" => {
                out.event(Event::Failed(Fault::benign(
                    FaultKind::Provider,
                    "transcription_failed",
                )));
            }
            "response.created" => {
                let response = body::<Response<'_>>(event.response);
                let id = response.and_then(|response| response.id).unwrap_or_default();
                out.event(Event::ResponseStarted { response: &id });
                self.answer = Some(Answer {
                    id: id.0.into_owned(),
                    cancelled: false,
                });
            }
            "response.output_audio_transcript.delta" => {
                said(
                    Speaker::Agent,
                    &event.item_id,
                    event.delta,
                    Stage::Delta,
                    None,
                    out,
                );
            }
            "response.output_audio_transcript.done" => {
                let item = event.item_id;
                said(Speaker::Agent, &item, event.transcript, Stage::Final, None, out);
            }
            "response.output_audio.done" => {
                if let Some(item) = &event.item_id {
                    out.event(Event::AudioDone { item });
                }
            }
            "response.output_item.done" => {
                if let Some(item) = body::<Item<'_>>(event.item) {
                    take_item(&item, out);
                }
            }
            "response.done" => self.take_done(body(event.response), out),
            "conversation.item.truncated" => {
                if let (Some(item), Some(heard_ms)) = (&event.item_id, event.audio_end_ms) {
                    out.event(Event::Truncated { item, heard_ms });
                }
            }
            "error" => self.take_error(body(event.error), now, out),
            // Progress of what is told elsewhere, limits of rate, and what the API will learn later.
            _ => {}
        }
    }

    fn take_audio(&mut self, event: &ServerEvent<'_>, out: &mut dyn Output) {
        let (Some(id), Some(delta)) = (&event.item_id, &event.delta) else {
            return out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "audio")));
        };
        let payload = Payload::Base64(delta);
        let item = self.item(id);
        item.bytes += payload.len() as u64;
        if !item.muted {
            out.event(Event::Audio { item: id, payload });
        }
    }

    fn take_configuration(&mut self, effective: Option<EffectiveSession<'_>>, out: &mut dyn Output) {
        let Some(effective) = effective else {
            return self.fail(FaultKind::Protocol, "session", out);
        };
        let (input, output) = effective
            .audio
            .map_or((None, None), |audio| (audio.input, audio.output));
        let input = input
            .and_then(|side| side.format)
            .and_then(|format| known(&format));
        let output = output
            .and_then(|side| side.format)
            .and_then(|format| known(&format));
        if input != Some(self.session.input) || output != Some(self.session.output) {
            return self.fail(FaultKind::FormatMismatch, "session.audio", out);
        }
        for said in &self.session.history {
            send(&setup::history_item(said), out);
        }
        self.phase = Phase::Open;
        self.alarm = None;
        out.event(Event::Ready(Ready {
            session: effective.id.as_deref(),
            model: effective.model.as_deref(),
            input: self.session.input,
            output: self.session.output,
            confirmed: true,
            lasts: Some(SESSION_LASTS),
            resumed: false,
        }));
    }

    fn take_done(&mut self, response: Option<Response<'_>>, out: &mut dyn Output) {
        let Some(response) = response else {
            return out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "response.done")));
        };
        let id = response.id.unwrap_or_default();
        if self.answer.as_ref().is_some_and(|answer| answer.id == *id) {
            self.answer = None;
            self.asked = None;
        }
        if let Some(usage) = &response.usage {
            out.event(Event::Usage(Usage {
                model: &self.session.model,
                quantities: answered(usage),
            }));
        }
        let details = response.status_details;
        let reason = details.as_ref().and_then(|details| details.reason.as_deref());
        let status = match response.status.as_deref() {
            Some("cancelled") => ResponseStatus::Cancelled,
            Some("incomplete") => ResponseStatus::Incomplete,
            Some("failed") => ResponseStatus::Failed,
            _ => ResponseStatus::Completed,
        };
        if status == ResponseStatus::Cancelled && reason == Some("turn_detected") {
            out.event(Event::Interrupted);
        }
        if status == ResponseStatus::Failed {
            let error = details.as_ref().and_then(|details| details.error.as_ref());
            let kind = error.map_or(FaultKind::Provider, judge);
            let code = error
                .and_then(|error| error.code.as_deref())
                .unwrap_or("response_failed");
            out.event(Event::Failed(Fault::new(kind, code)));
        } else if reason == Some("content_filter") {
            out.event(Event::Failed(Fault::benign(FaultKind::Content, "content_filter")));
        }
        out.event(Event::ResponseDone {
            response: &id,
            status,
        });
        if let (Phase::Open, None, Some(wanted)) = (self.phase, &self.answer, self.wanted.take()) {
            self.respond(wanted, out);
        }
    }

    fn take_error(&mut self, error: Option<ErrorBody<'_>>, now: Instant, out: &mut dyn Output) {
        let Some(error) = error else {
            return out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "error")));
        };
        let kind = judge(&error);
        let code = error
            .code
            .as_deref()
            .or(error.kind.as_deref())
            .unwrap_or_default();
        let about = error.event_id.as_deref();
        if self.phase == Phase::Configuring && about.is_none_or(|about| about == SETUP_EVENT) {
            // Which field it does not like says more than that it does not.
            let code = error.param.as_deref().unwrap_or(code);
            return self.fail(kind, code, out);
        }
        if about == Some(RESPOND_EVENT) && code != ALREADY_ANSWERING {
            self.asked = None;
        }
        match code {
            "session_expired" => {
                self.phase = Phase::Expired;
                // It says no more, and not every time closes the socket.
                self.alarm = Some(now + CLOSED_WITHIN);
                out.event(Event::Failed(Fault::new(FaultKind::Expired, code)));
            }
            ALREADY_ANSWERING => {
                // The server began to answer by itself in the same moment: ask again when it is done.
                if about == Some(RESPOND_EVENT) {
                    self.wanted = self.asked.take().or(self.wanted.take());
                }
                out.event(Event::Failed(Fault::benign(FaultKind::Rejected, code)));
            }
            "response_cancel_not_active" => {
                out.event(Event::Failed(Fault::benign(FaultKind::Rejected, code)));
            }
            // The session goes on without what was refused.
            _ if kind == FaultKind::Rejected => {
                out.event(Event::Failed(Fault::classed(Class::Benign, kind, code)));
            }
            _ => out.event(Event::Failed(Fault::new(kind, code))),
        }
    }
}

/// A part of an event, if it is there and has the right shape.
fn body<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn said<'a>(
    speaker: Speaker,
    item: &Option<Text<'a>>,
    text: Option<Text<'a>>,
    stage: Stage,
    language: Option<Text<'a>>,
    out: &mut dyn Output,
) {
    if let (Some(item), Some(text)) = (item, text) {
        out.event(Event::Transcript(Transcript {
            speaker,
            item,
            text: text.0,
            stage,
            language: language.map(|language| language.0),
        }));
    }
}

/// Only a completed call counts: one cut by an interruption has fragments for arguments.
fn take_item(item: &Item<'_>, out: &mut dyn Output) {
    if &*item.kind != "function_call" || item.status.as_deref() != Some("completed") {
        return;
    }
    if let (Some(id), Some(name)) = (&item.call_id, &item.name) {
        out.event(Event::ToolCall(ToolCall {
            id,
            name,
            arguments: Arguments::parse(item.arguments.as_deref().unwrap_or_default()),
        }));
    }
}

fn known(format: &EffectiveFormat<'_>) -> Option<AudioFormat> {
    match (&*format.kind, format.rate) {
        ("audio/pcmu", None | Some(8_000)) => Some(AudioFormat::PCMU),
        ("audio/pcma", None | Some(8_000)) => Some(AudioFormat::PCMA),
        ("audio/pcm", rate) => Some(AudioFormat {
            codec: Codec::Pcm16,
            rate_hz: rate.unwrap_or(24_000),
        }),
        _ => None,
    }
}

fn judge(error: &ErrorBody<'_>) -> FaultKind {
    match (error.code.as_deref(), error.kind.as_deref()) {
        (Some("session_expired"), _) => FaultKind::Expired,
        (Some("rate_limit_exceeded"), _) | (_, Some("rate_limit_error" | "tokens" | "requests")) => {
            FaultKind::Throttled
        }
        (Some("insufficient_quota" | "billing_hard_limit_reached"), _) => FaultKind::Account,
        (Some("invalid_api_key"), _) | (_, Some("authentication_error" | "permission_error")) => {
            FaultKind::Auth
        }
        (Some("content_filter" | "content_policy_violation"), _) => FaultKind::Content,
        (_, Some("invalid_request_error")) => FaultKind::Rejected,
        _ => FaultKind::Provider,
    }
}

fn answered(usage: &ResponseUsage) -> Quantities {
    let mut quantities = Quantities::default();
    if let Some(input) = &usage.input_token_details {
        heard(input, &mut quantities);
    }
    if let Some(output) = &usage.output_token_details {
        quantities.add(Unit::TextOut, output.text_tokens.unwrap_or(0));
        quantities.add(Unit::AudioOut, output.audio_tokens.unwrap_or(0));
    }
    quantities
}

/// Cached tokens are among the others. Where it is not told of which kind they are, they are taken for text,
/// the cheaper one, last: the bill is then at least as high as theirs.
fn heard(input: &InputTokens, quantities: &mut Quantities) {
    let (text, audio) = (input.text_tokens.unwrap_or(0), input.audio_tokens.unwrap_or(0));
    let (text_cached, audio_cached) = match &input.cached_tokens_details {
        Some(cached) => (cached.text_tokens.unwrap_or(0), cached.audio_tokens.unwrap_or(0)),
        None => (input.cached_tokens.unwrap_or(0), 0),
    };
    let (text_cached, audio_cached) = (text_cached.min(text), audio_cached.min(audio));
    quantities.add(Unit::TextIn, text - text_cached);
    quantities.add(Unit::TextInCached, text_cached);
    quantities.add(Unit::AudioIn, audio - audio_cached);
    quantities.add(Unit::AudioInCached, audio_cached);
}

fn transcribed(usage: &TranscriptionUsage) -> Quantities {
    let mut quantities = Quantities::default();
    if let Some(seconds) = usage.seconds {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration of seconds in milliseconds"
        )]
        quantities.add(Unit::RecognisedMs, (seconds.max(0.0) * 1_000.0).round() as u64);
    }
    if let Some(input) = &usage.input_token_details {
        heard(input, &mut quantities);
    }
    quantities.add(Unit::TextOut, usage.output_tokens.unwrap_or(0));
    quantities
}
