//! TwiML as steps. <https://www.twilio.com/docs/voice/twiml>
//!
//! Strict like the rest of the twin: a verb, noun or attribute nobody here knows makes the document invalid, so that
//! a misspelt one is found by a rehearsal.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

/// Something heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    /// Spoken words, by their number of characters.
    Said(usize),
    /// A file.
    Played,
}

/// A place in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) room: String,
    /// Who it is, in the platform's words.
    pub(crate) label: Option<String>,
    /// Where its events go, and which.
    pub(crate) events: Option<String>,
    pub(crate) joins: bool,
    pub(crate) leaves: bool,
    /// The room ends when this one leaves.
    pub(crate) ends_it: bool,
}

/// What a call does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Sound(Sound),
    Pause {
        seconds: u32,
    },
    Gather {
        sounds: Vec<Sound>,
        seconds: u32,
        /// Twilio: where the keys pressed are told.
        action: Option<String>,
        /// Telnyx: the keys that count, and whether the result is told in a context of its own.
        keys: Option<String>,
        reports: bool,
    },
    /// To an AI agent, at this address, with these parameters.
    Stream {
        url: String,
        parameters: Vec<(String, String)>,
    },
    Room(Seat),
    Record {
        seconds: u32,
    },
    Redirect(String),
    Hangup,
    Reject,
}

/// Reads a document; `None` when it is not TwiML the platform is known to use.
pub(crate) fn read(document: &str) -> Option<Vec<Step>> {
    let mut parser = Parser {
        reader: Reader::from_str(document),
        steps: Vec::new(),
    };
    parser.response()?;
    Some(parser.steps)
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    steps: Vec<Step>,
}

/// The start of an element: whether it has an inside.
enum Next<'a> {
    Open(BytesStart<'a>),
    Closed(BytesStart<'a>),
    End,
}

impl<'a> Parser<'a> {
    /// The next element or the end of the one we are in; text between elements must be blank.
    fn next(&mut self) -> Option<Next<'a>> {
        loop {
            match self.reader.read_event().ok()? {
                Event::Start(start) => return Some(Next::Open(start)),
                Event::Empty(start) => return Some(Next::Closed(start)),
                Event::End(_) => return Some(Next::End),
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Decl(_) | Event::Comment(_) => {}
                _ => return None,
            }
        }
    }

    /// The next element in the one we are in, and whether it has an inside itself; none at the end.
    fn child(&mut self, open: bool) -> Option<Option<(BytesStart<'a>, bool)>> {
        if !open {
            return Some(None);
        }
        Some(match self.next()? {
            Next::End => None,
            Next::Open(start) => Some((start, true)),
            Next::Closed(start) => Some((start, false)),
        })
    }

    /// The text of the element we are in, up to its end.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.reader.read_event().ok()? {
                Event::Text(part) => text.push_str(&part),
                Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                    Some(character) => text.push(character),
                    None => text.push_str(quick_xml::escape::resolve_predefined_entity(&reference)?),
                },
                Event::CData(part) => text.push_str(&part),
                Event::End(_) => return Some(text),
                _ => return None,
            }
        }
    }

    fn response(&mut self) -> Option<()> {
        match self.next()? {
            Next::Open(start) if start.name().as_ref() == "Response" => loop {
                match self.next()? {
                    Next::End => return self.at_end(),
                    Next::Open(verb) => self.verb(&verb, true)?,
                    Next::Closed(verb) => self.verb(&verb, false)?,
                }
            },
            Next::Closed(start) if start.name().as_ref() == "Response" => self.at_end(),
            _ => None,
        }
    }

    fn at_end(&mut self) -> Option<()> {
        loop {
            match self.reader.read_event().ok()? {
                Event::Eof => return Some(()),
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Comment(_) => {}
                _ => return None,
            }
        }
    }

    fn verb(&mut self, verb: &BytesStart<'_>, open: bool) -> Option<()> {
        let step = match verb.name().as_ref() {
            "Say" | "Play" => Step::Sound(self.sound(verb, open)?),
            "Pause" => {
                let [length] = attributes(verb, ["length"])?;
                self.empty(open)?;
                Step::Pause {
                    seconds: number(length, 1)?,
                }
            }
            "Gather" => self.gather(verb, open)?,
            "Connect" => {
                attributes(verb, [])?;
                self.stream(open)?
            }
            "Dial" => {
                attributes(verb, [])?;
                Step::Room(self.conference(open)?)
            }
            "Record" => {
                let [length, ..] = attributes(
                    verb,
                    [
                        "maxLength",
                        "action",
                        "timeout",
                        "finishOnKey",
                        "playBeep",
                        "recordingStatusCallback",
                    ],
                )?;
                self.empty(open)?;
                Step::Record {
                    seconds: number(length, 3_600)?,
                }
            }
            "Redirect" => {
                attributes(verb, [])?;
                Step::Redirect(self.inside(open)?)
            }
            "Hangup" => {
                attributes(verb, [])?;
                self.empty(open)?;
                Step::Hangup
            }
            "Reject" => {
                attributes(verb, ["reason"])?;
                self.empty(open)?;
                Step::Reject
            }
            _ => return None,
        };
        self.steps.push(step);
        Some(())
    }

    fn inside(&mut self, open: bool) -> Option<String> {
        if open { self.text() } else { Some(String::new()) }
    }

    fn empty(&mut self, open: bool) -> Option<()> {
        self.inside(open)?.trim().is_empty().then_some(())
    }

    fn sound(&mut self, verb: &BytesStart<'_>, open: bool) -> Option<Sound> {
        if verb.name().as_ref() == "Say" {
            attributes(verb, ["voice", "language"])?;
            return Some(Sound::Said(self.inside(open)?.chars().count()));
        }
        attributes(verb, [])?;
        (!self.inside(open)?.trim().is_empty()).then_some(Sound::Played)
    }

    fn gather(&mut self, verb: &BytesStart<'_>, open: bool) -> Option<Step> {
        let [seconds, action, ..] =
            attributes(verb, ["timeout", "action", "input", "finishOnKey", "numDigits"])?;
        let mut sounds = Vec::new();
        while let Some((start, inside)) = self.child(open)? {
            match start.name().as_ref() {
                "Say" | "Play" => sounds.push(self.sound(&start, inside)?),
                "Pause" => {
                    attributes(&start, ["length"])?;
                    self.empty(inside)?;
                }
                _ => return None,
            }
        }
        Some(Step::Gather {
            sounds,
            seconds: number(seconds, 5)?,
            action,
            keys: None,
            reports: false,
        })
    }

    fn stream(&mut self, open: bool) -> Option<Step> {
        let mut streams = Vec::new();
        while let Some((start, inside)) = self.child(open)? {
            let known = start.name().as_ref() == "Stream";
            let [url, ..] = attributes(&start, ["url", "name"])?;
            let url = url.filter(|_| known)?;
            let mut parameters = Vec::new();
            while let Some((parameter, deeper)) = self.child(inside)? {
                if parameter.name().as_ref() != "Parameter" || deeper {
                    return None;
                }
                let [name, value] = attributes(&parameter, ["name", "value"])?;
                parameters.push((name?, value?));
            }
            streams.push(Step::Stream { url, parameters });
        }
        streams.pop().filter(|_| streams.is_empty())
    }

    fn conference(&mut self, open: bool) -> Option<Seat> {
        let Next::Open(start) = self.next().filter(|_| open)? else {
            return None;
        };
        if start.name().as_ref() != "Conference" {
            return None;
        }
        let [label, url, events, end, ..] = attributes(
            &start,
            [
                "participantLabel",
                "statusCallback",
                "statusCallbackEvent",
                "endConferenceOnExit",
                "muted",
                "beep",
                "startConferenceOnEnter",
                "waitUrl",
                "maxParticipants",
                "coach",
            ],
        )?;
        let asked = events.unwrap_or_default();
        let asks = |wanted: &str| asked.split(' ').any(|event| event == wanted);
        let seat = Seat {
            room: self.text()?,
            label,
            events: url,
            joins: asks("join"),
            leaves: asks("leave"),
            ends_it: end.as_deref() == Some("true"),
        };
        matches!(self.next()?, Next::End).then_some(seat)
    }
}

/// The values of these attributes; `None` when there is another one.
fn attributes<const N: usize>(start: &BytesStart<'_>, names: [&str; N]) -> Option<[Option<String>; N]> {
    let mut values = [const { None }; N];
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let place = names.iter().position(|name| *name == attribute.key.as_ref())?;
        values[place] = Some(quick_xml::escape::unescape(&attribute.value).ok()?.into_owned());
    }
    Some(values)
}

fn number(text: Option<String>, usual: u32) -> Option<u32> {
    text.map_or(Some(usual), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use voice_telephony::{Conference, ConnectStream, Gather, Instruction, Prompt, twilio::twiml};

    use super::*;

    #[test]
    fn everything_the_platform_writes_is_understood() {
        let say = Prompt::Say {
            text: "Dobrý den & \"hello\"".to_owned(),
            language: Some("cs-CZ".to_owned()),
            voice: None,
        };
        let play = Prompt::Play {
            url: "https://audio.test/a.mp3?x=1&y=2".to_owned(),
        };
        let mut conference = Conference::new("agent-1");
        conference.label = Some("customer:human".to_owned());
        conference.events = Some("https://hooks.test/x?ctx=1&y=2".to_owned());
        conference.end_on_exit = true;
        let stream = ConnectStream {
            url: "wss://media.test".to_owned(),
            name: None,
            parameters: BTreeMap::from([("attempt_id".to_owned(), "1".to_owned())]),
        };
        let gather = Gather {
            prompts: vec![play.clone()],
            digits: Some(1),
            timeout_seconds: Some(7),
            action: Some("https://hooks.test/g".to_owned()),
            ..Gather::default()
        };
        let written = twiml(&[
            Instruction::Prompt(say),
            Instruction::Prompt(Prompt::Pause { seconds: 10 }),
            Instruction::Gather(gather),
            Instruction::ConnectStream(stream),
            Instruction::Conference(conference),
            Instruction::Redirect {
                url: "https://a.test/?b=1&c=2".to_owned(),
            },
            Instruction::Hangup,
        ])
        .unwrap();
        let seat = Seat {
            room: "agent-1".to_owned(),
            label: Some("customer:human".to_owned()),
            events: Some("https://hooks.test/x?ctx=1&y=2".to_owned()),
            joins: true,
            leaves: true,
            ends_it: true,
        };
        let expected = vec![
            Step::Sound(Sound::Said("Dobrý den & \"hello\"".chars().count())),
            Step::Pause { seconds: 10 },
            Step::Gather {
                sounds: vec![Sound::Played],
                seconds: 7,
                action: Some("https://hooks.test/g".to_owned()),
                keys: None,
                reports: false,
            },
            Step::Stream {
                url: "wss://media.test".to_owned(),
                parameters: vec![("attempt_id".to_owned(), "1".to_owned())],
            },
            Step::Room(seat),
            Step::Redirect("https://a.test/?b=1&c=2".to_owned()),
            Step::Hangup,
        ];
        assert_eq!(read(&written), Some(expected));
        assert_eq!(read("<Response/>"), Some(vec![]));
    }

    #[test]
    fn what_is_no_twiml_is_refused() {
        for document in [
            "",
            "<Response>",
            "<Reply/>",
            "<Response><Dance/></Response>",
            "<Response><Pause lenght=\"3\"/></Response>",
            "<Response><Play></Play></Response>",
            "<Response><Dial><Number>+1</Number></Dial></Response>",
            "<Response><Connect/></Response>",
            "<Response/>x",
        ] {
            assert_eq!(read(document), None, "{document}");
        }
    }
}
