//! Instructions as one TwiML document. <https://www.twilio.com/docs/voice/twiml>

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use voice_schemas::events::call::Carrier;

use crate::{Conference, ConnectStream, Gather, Instruction, InstructionError, Prompt, Record, RejectReason};

/// The document that tells a call what to do, one verb after the other.
///
/// # Errors
/// When a text holds a character XML cannot carry.
pub fn twiml(instructions: &[Instruction]) -> Result<String, InstructionError> {
    let mut document = Document::default();
    document.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    document.element("Response", &[], |document| {
        for instruction in instructions {
            document.instruction = instruction.name();
            document.verb(instruction);
        }
    });
    document.finish()
}

type Attribute<'a> = (&'a str, Option<String>);

/// Collects the first fault instead of passing it through every closure.
struct Document {
    writer: Writer<Vec<u8>>,
    instruction: &'static str,
    fault: Option<InstructionError>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            writer: Writer::new(Vec::new()),
            instruction: "response",
            fault: None,
        }
    }
}

impl Document {
    fn finish(self) -> Result<String, InstructionError> {
        let unwritable = InstructionError::Unsupported {
            carrier: Carrier::Twilio,
            instruction: "response",
        };
        match self.fault {
            Some(fault) => Err(fault),
            None => String::from_utf8(self.writer.into_inner()).map_err(|_| unwritable),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if self.writer.write_event(event).is_err() {
            self.refuse("cannot be written");
        }
    }

    fn refuse(&mut self, reason: &'static str) {
        self.fault.get_or_insert(InstructionError::Invalid {
            instruction: self.instruction,
            reason,
        });
    }

    fn start<'a>(&mut self, name: &'a str, attributes: &[Attribute<'_>]) -> BytesStart<'a> {
        let mut start = BytesStart::new(name);
        for (name, value) in attributes {
            if let Some(value) = value {
                self.check(value);
                start.push_attribute((*name, value.as_str()));
            }
        }
        start
    }

    fn check(&mut self, text: &str) {
        // XML 1.0, production 2.
        let carried = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if !text.chars().all(carried) {
            self.refuse("holds a character XML cannot carry");
        }
    }

    fn empty(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        let start = self.start(name, attributes);
        self.event(Event::Empty(start));
    }

    fn text(&mut self, name: &str, attributes: &[Attribute<'_>], text: &str) {
        self.element(name, attributes, |document| {
            document.check(text);
            document.event(Event::Text(BytesText::new(text)));
        });
    }

    fn element(&mut self, name: &str, attributes: &[Attribute<'_>], inside: impl FnOnce(&mut Self)) {
        let start = self.start(name, attributes);
        self.event(Event::Start(start));
        inside(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn verb(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Prompt(prompt) => self.prompt(prompt),
            Instruction::Gather(gather) => self.gather(gather),
            Instruction::ConnectStream(stream) => self.stream(stream),
            Instruction::Conference(conference) => self.conference(conference),
            Instruction::Transfer { to } => self.element("Dial", &[], |document| {
                document.text("Number", &[], to.expose());
            }),
            Instruction::Record(record) => self.record(record),
            Instruction::Redirect { url } => self.text("Redirect", &[], url),
            Instruction::Hangup => self.empty("Hangup", &[]),
            Instruction::Reject { reason } => {
                let reason = match reason {
                    RejectReason::Rejected => "rejected",
                    RejectReason::Busy => "busy",
                };
                self.empty("Reject", &[("reason", Some(reason.to_owned()))]);
            }
        }
    }

    fn prompt(&mut self, prompt: &Prompt) {
        match prompt {
            Prompt::Say {
                text,
                language,
                voice,
            } => {
                self.text(
                    "Say",
                    &[("voice", voice.clone()), ("language", language.clone())],
                    text,
                );
            }
            Prompt::Play { url } => self.text("Play", &[], url),
            Prompt::Pause { seconds } => self.empty("Pause", &[("length", Some(seconds.to_string()))]),
        }
    }

    fn gather(&mut self, gather: &Gather) {
        let input = if gather.speech { "dtmf speech" } else { "dtmf" };
        let attributes = [
            ("input", Some(input.to_owned())),
            ("action", gather.action.clone()),
            (
                "timeout",
                gather.timeout_seconds.map(|seconds| seconds.to_string()),
            ),
            ("finishOnKey", gather.finish_on_key.map(String::from)),
            ("numDigits", gather.digits.map(|digits| digits.to_string())),
        ];
        self.element("Gather", &attributes, |document| {
            for prompt in &gather.prompts {
                document.prompt(prompt);
            }
        });
    }

    fn stream(&mut self, stream: &ConnectStream) {
        self.element("Connect", &[], |document| {
            let attributes = [("name", stream.name.clone()), ("url", Some(stream.url.clone()))];
            document.element("Stream", &attributes, |document| {
                for (name, value) in &stream.parameters {
                    document.empty(
                        "Parameter",
                        &[("name", Some(name.clone())), ("value", Some(value.clone()))],
                    );
                }
            });
        });
    }

    fn conference(&mut self, conference: &Conference) {
        let events = conference.events.as_ref().map(|_| "join leave hold".to_owned());
        let attributes = [
            ("muted", Some(conference.muted.to_string())),
            ("beep", Some(conference.beep.to_string())),
            (
                "startConferenceOnEnter",
                Some(conference.start_on_enter.to_string()),
            ),
            ("endConferenceOnExit", Some(conference.end_on_exit.to_string())),
            ("waitUrl", conference.wait_url.clone()),
            (
                "maxParticipants",
                conference.max_participants.map(|most| most.to_string()),
            ),
            ("coach", conference.coach.clone()),
            ("participantLabel", conference.label.clone()),
            ("statusCallbackEvent", events),
            ("statusCallback", conference.events.clone()),
        ];
        self.element("Dial", &[], |document| {
            document.text("Conference", &attributes, &conference.room)
        });
    }

    fn record(&mut self, record: &Record) {
        let attributes = [
            ("action", record.action.clone()),
            (
                "timeout",
                record.silence_seconds.map(|seconds| seconds.to_string()),
            ),
            ("finishOnKey", record.finish_on_key.map(String::from)),
            ("maxLength", record.max_seconds.map(|seconds| seconds.to_string())),
            ("playBeep", Some(record.beep.to_string())),
            ("recordingStatusCallback", record.events.clone()),
        ];
        self.empty("Record", &attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Instruction {
        Instruction::Prompt(Prompt::Say {
            text: text.to_owned(),
            language: Some("cs-CZ".to_owned()),
            voice: None,
        })
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let document = twiml(&[say("</Say><Dial>+1</Dial> & \"příště\"")]).unwrap();
        assert_eq!(document.matches("<Dial>").count(), 0);
        assert!(document.contains("&lt;/Say&gt;&lt;Dial&gt;"), "{document}");
        assert!(document.contains("&amp; "), "{document}");
        assert!(document.contains("příště"), "{document}");
    }

    #[test]
    fn a_character_xml_cannot_carry_is_refused_with_the_verb() {
        let refused = twiml(&[Instruction::Hangup, say("a\u{0}b")]);
        assert!(
            matches!(
                refused,
                Err(InstructionError::Invalid {
                    instruction: "say",
                    ..
                })
            ),
            "{refused:?}"
        );
        let stream = ConnectStream {
            url: "wss://a/\u{1}".to_owned(),
            ..ConnectStream::default()
        };
        assert!(twiml(&[Instruction::ConnectStream(stream)]).is_err());
    }
}
