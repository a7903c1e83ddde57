//! What follows from each event of GPT-Live, and the turns it does not tell.

use std::{borrow::Cow, time::Instant};

use serde_json::value::RawValue;

use super::{
    Answer, CallerTurn, OpenaiLive, PAUSE_MS, Phase,
    wire::{Delegated, ErrorBody, Format, ServerEvent, Started, Tokens},
};
use crate::{
    Arguments, AudioFormat, Class, Codec, Ending, Event, Fault, FaultKind, Output, Payload, Quantities,
    Ready, ResponseStatus, Speaker, Stage, ToolCall, Transcript, Unit, Usage,
};

impl OpenaiLive {
    pub(super) fn take(&mut self, event: ServerEvent<'_>, now: Instant, out: &mut dyn Output) {
        match &*event.kind {
            "session.output_audio.delta" => {
                if let Some(delta) = &event.delta {
                    self.take_audio(Payload::Base64(delta), out);
                }
            }
            "session.output_transcript.delta" => {
                if let Some(delta) = event.delta {
                    self.begin_answer(out);
                    if let Some(answer) = &mut self.answer {
                        answer.text.push_str(&delta);
                        said(Speaker::Agent, &answer.item, delta.0, Stage::Delta, out);
                    }
                }
            }
            "session.input_transcript.delta" => {
                if let Some(delta) = event.delta {
                    self.caller_says(delta.0, event.start_ms, now, out);
                }
            }
            "session.started" if self.phase == Phase::Connecting => self.take_start(event.session, out),
            "response.event" => {
                if let Some(event) = event.event {
                    self.take_delegated(event, out);
                }
            }
            "session.usage.updated" => self.bill(event.usage.map(|usage| usage.seconds), out),
            "session.closed" => {
                self.bill(event.usage.map(|usage| usage.seconds), out);
                self.end_caller_turn(out);
                self.end_answer(ResponseStatus::Completed, out);
                let ending = match event.reason.as_deref() {
                    Some("close_requested") => Ending::Asked,
                    Some("expired") => Ending::broken(FaultKind::Expired),
                    Some("content") => Ending::broken(FaultKind::Content),
                    _ if self.phase == Phase::Closing => Ending::Asked,
                    _ => Ending::broken(FaultKind::Connection),
                };
                self.end(ending, out);
            }
            "transport.dtmf.received" => {
                let digit = event
                    .event
                    .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
                if let Some(digit) = digit.and_then(|digit| digit.chars().next()) {
                    out.event(Event::Digit(digit));
                }
            }
            "error" => self.take_error(event.error, out),
            // Acknowledgements, delegations as such, news of no consequence, and what comes later.
            _ => {}
        }
    }

    fn take_start(&mut self, started: Option<&RawValue>, out: &mut dyn Output) {
        let Some(started) = started.and_then(|raw| serde_json::from_str::<Started<'_>>(raw.get()).ok())
        else {
            return self.fail(FaultKind::Protocol, "session.started", out);
        };
        let format = started.audio.and_then(|audio| audio.format);
        if format.as_ref().and_then(known) != Some(self.session.input) {
            return self.fail(FaultKind::FormatMismatch, "session.audio.format", out);
        }
        self.phase = Phase::Open;
        self.alarm = None;
        out.event(Event::Ready(Ready {
            session: started.id.as_deref(),
            model: started.model.as_deref(),
            input: self.session.input,
            output: self.session.output,
            confirmed: true,
            lasts: None,
            resumed: false,
        }));
    }

    fn take_audio(&mut self, payload: Payload<'_>, out: &mut dyn Output) {
        let silent = is_silence(payload, self.session.output);
        if !silent {
            self.begin_answer(out);
        }
        let lasts_ms = self.session.output.duration_ms(payload.len() as u64);
        let Some(answer) = &mut self.answer else { return };
        answer.silent_ms = if silent { answer.silent_ms + lasts_ms } else { 0 };
        out.event(Event::Audio {
            item: &answer.item,
            payload,
        });
        if answer.silent_ms >= PAUSE_MS {
            self.end_answer(ResponseStatus::Completed, out);
        }
    }

    fn begin_answer(&mut self, out: &mut dyn Output) {
        if self.answer.is_some() {
            return;
        }
        self.end_caller_turn(out);
        self.answers += 1;
        let item = format!("live-{}", self.answers);
        out.event(Event::ResponseStarted { response: &item });
        self.answer = Some(Answer {
            item,
            text: String::new(),
            silent_ms: 0,
        });
    }

    fn end_answer(&mut self, status: ResponseStatus, out: &mut dyn Output) {
        let Some(answer) = self.answer.take() else { return };
        out.event(Event::AudioDone { item: &answer.item });
        if !answer.text.is_empty() {
            said(
                Speaker::Agent,
                &answer.item,
                Cow::Borrowed(answer.text.trim()),
                Stage::Final,
                out,
            );
        }
        out.event(Event::ResponseDone {
            response: &answer.item,
            status,
        });
    }

    fn caller_says(&mut self, text: Cow<'_, str>, at_ms: Option<u64>, now: Instant, out: &mut dyn Output) {
        if self.caller.is_none() {
            self.caller_turns += 1;
            out.event(Event::SpeechStarted { at_ms });
            self.caller = Some(CallerTurn {
                item: format!("caller-{}", self.caller_turns),
                text: String::new(),
                last: now,
            });
        }
        if let Some(caller) = &mut self.caller {
            caller.last = now;
            caller.text.push_str(&text);
            said(Speaker::Caller, &caller.item, text, Stage::Delta, out);
        }
    }

    pub(super) fn end_caller_turn(&mut self, out: &mut dyn Output) {
        let Some(caller) = self.caller.take() else { return };
        out.event(Event::SpeechStopped { at_ms: None });
        said(
            Speaker::Caller,
            &caller.item,
            Cow::Borrowed(caller.text.trim()),
            Stage::Final,
            out,
        );
    }

    fn take_delegated(&mut self, event: &RawValue, out: &mut dyn Output) {
        let Ok(event) = serde_json::from_str::<Delegated<'_>>(event.get()) else {
            return out.event(Event::Failed(Fault::benign(
                FaultKind::Protocol,
                "response.event",
            )));
        };
        match (&*event.kind, event.item, event.response) {
            ("response.output_item.done", Some(item), _) if &*item.kind == "function_call" => {
                if let (Some(id), Some(name)) = (&item.call_id, &item.name) {
                    out.event(Event::ToolCall(ToolCall {
                        id,
                        name,
                        arguments: Arguments::parse(item.arguments.as_deref().unwrap_or_default()),
                    }));
                }
            }
            ("response.completed" | "response.incomplete", _, Some(response)) => {
                if let Some(tokens) = response.usage {
                    out.event(Event::Usage(Usage {
                        model: &self.options.delegate_model,
                        quantities: thought(&tokens),
                    }));
                }
            }
            ("response.failed", ..) => {
                out.event(Event::Failed(Fault::benign(
                    FaultKind::Provider,
                    "delegation_failed",
                )));
            }
            _ => {}
        }
    }

    /// What the provider counts only grows; what is new is told.
    fn bill(&mut self, seconds: Option<f64>, out: &mut dyn Output) {
        let Some(seconds) = seconds else { return };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration of seconds in milliseconds"
        )]
        let total = (seconds.max(0.0) * 1_000.0).round() as u64;
        let new = total.saturating_sub(self.billed_ms);
        if new > 0 {
            self.billed_ms = total;
            out.event(Event::Usage(Usage {
                model: &self.session.model,
                quantities: Quantities::of(Unit::SessionMs, new),
            }));
        }
    }

    fn take_error(&mut self, error: Option<ErrorBody<'_>>, out: &mut dyn Output) {
        let Some(error) = error else {
            return out.event(Event::Failed(Fault::benign(FaultKind::Protocol, "error")));
        };
        let code = error.code.as_deref().unwrap_or_default();
        let kind = match (code, error.kind.as_deref().unwrap_or_default()) {
            ("insufficient_quota", _) => FaultKind::Account,
            ("rate_limit_exceeded", _) | (_, "rate_limit_error") => FaultKind::Throttled,
            (_, "authentication_error" | "permission_error") => FaultKind::Auth,
            (_, "invalid_request_error") => FaultKind::Rejected,
            _ => FaultKind::Provider,
        };
        if self.phase == Phase::Connecting {
            let code = error.param.as_deref().unwrap_or(code);
            self.fail(kind, code, out);
        } else if kind == FaultKind::Rejected {
            out.event(Event::Failed(Fault::classed(Class::Benign, kind, code)));
        } else {
            out.event(Event::Failed(Fault::new(kind, code)));
        }
    }
}

fn said(speaker: Speaker, item: &str, text: Cow<'_, str>, stage: Stage, out: &mut dyn Output) {
    out.event(Event::Transcript(Transcript {
        speaker,
        item,
        text,
        stage,
        language: None,
    }));
}

fn known(format: &Format<'_>) -> Option<AudioFormat> {
    let codec = match &*format.kind {
        "audio/pcmu" => Codec::Pcmu,
        "audio/pcma" => Codec::Pcma,
        "audio/pcm" => Codec::Pcm16,
        _ => return None,
    };
    Some(AudioFormat {
        codec,
        rate_hz: format.rate,
    })
}

fn thought(tokens: &Tokens) -> Quantities {
    let cached = tokens
        .input_tokens_details
        .as_ref()
        .map_or(0, |details| details.cached_tokens);
    let cached = cached.min(tokens.input_tokens);
    Quantities::of(Unit::TextIn, tokens.input_tokens - cached)
        .and(Unit::TextInCached, cached)
        .and(Unit::TextOut, tokens.output_tokens)
}

/// Whether there is nothing but zeros, judged without decoding: the Base64 of equal bytes repeats itself.
fn is_silence(payload: Payload<'_>, format: AudioFormat) -> bool {
    let (groups, bytes): (&[&[u8; 4]], &[u8]) = match format.codec {
        // Positive and negative zero.
        Codec::Pcmu => (&[b"////", b"f39/"], &[0xff, 0x7f]),
        Codec::Pcma => (&[b"1dXV", b"VVVV"], &[0xd5, 0x55]),
        Codec::Pcm16 => (&[b"AAAA"], &[0]),
    };
    match payload {
        Payload::Bytes(audio) => audio.iter().all(|byte| bytes.contains(byte)),
        Payload::Base64(text) => {
            let text = text.as_bytes();
            // The last group may be cut and padded; it is not worth a look.
            let whole = &text[..text.len().saturating_sub(4) / 4 * 4];
            let whole = if whole.is_empty() { text } else { whole };
            groups
                .iter()
                .any(|group| whole.chunks(4).all(|chunk| chunk == group.as_slice()))
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn silence_is_told_from_sound_without_decoding() {
        for (format, zero) in [
            (AudioFormat::PCMU, 0xff_u8),
            (AudioFormat::PCMA, 0xd5),
            (AudioFormat::PCM_24K, 0),
        ] {
            for length in [160, 161, 162, 960] {
                let text = STANDARD.encode(vec![zero; length]);
                assert!(is_silence(Payload::Base64(&text), format), "{format} {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_sound_is_taken_for_silence(mut audio in vec(any::<u8>(), 160..320), at in 0..100_usize) {
            audio[at] = 0x12;
            let text = STANDARD.encode(&audio);
            for format in [AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::PCM_24K] {
                prop_assert!(!is_silence(Payload::Base64(&text), format));
                prop_assert!(!is_silence(Payload::Bytes(&audio), format));
            }
        }
    }
}
