//! Our TwiML says what Twilio's own builder would have said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use voice_telephony::{
    Conference, ConnectStream, Gather, Instruction, PhoneNumber, Prompt, Record, RejectReason, twilio::twiml,
};

const LETTERS: [char; 16] = [
    'a', 'Z', '0', ' ', '&', '<', '>', '"', '\'', '\n', '\t', 'ř', 'ñ', '語', '🎧', ';',
];

struct Dice(fastrand::Rng);

impl Dice {
    fn word(&mut self) -> String {
        (0..self.0.usize(1..12))
            .map(|_| LETTERS[self.0.usize(..LETTERS.len())])
            .collect()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.0.bool() { Some(value(self)) } else { None }
    }

    fn prompt(&mut self) -> (Prompt, Value) {
        match self.0.u8(..3) {
            0 => {
                let (text, language, voice) = (self.word(), self.maybe(Self::word), self.maybe(Self::word));
                let step = json!({ "verb": "say", "text": text, "language": language, "voice": voice });
                (
                    Prompt::Say {
                        text,
                        language,
                        voice,
                    },
                    step,
                )
            }
            1 => {
                let url = self.word();
                let step = json!({ "verb": "play", "url": url });
                (Prompt::Play { url }, step)
            }
            _ => {
                let seconds = self.0.u16(..60);
                (
                    Prompt::Pause { seconds },
                    json!({ "verb": "pause", "seconds": seconds }),
                )
            }
        }
    }

    fn instruction(&mut self) -> (Instruction, Value) {
        match self.0.u8(..9) {
            0 => {
                let (prompt, step) = self.prompt();
                (Instruction::Prompt(prompt), step)
            }
            1 => self.gather(),
            2 => self.stream(),
            3 => self.conference(),
            4 => self.record(),
            5 => {
                let url = self.word();
                (
                    Instruction::Redirect { url: url.clone() },
                    json!({ "verb": "redirect", "url": url }),
                )
            }
            6 => (Instruction::Hangup, json!({ "verb": "hangup" })),
            7 => {
                let number = format!("+420{:09}", self.0.u32(..1_000_000_000));
                let to = PhoneNumber::parse(&number).unwrap();
                (
                    Instruction::Transfer { to },
                    json!({ "verb": "transfer", "to": number }),
                )
            }
            _ => {
                let (reason, word) = if self.0.bool() {
                    (RejectReason::Busy, "busy")
                } else {
                    (RejectReason::Rejected, "rejected")
                };
                (
                    Instruction::Reject { reason },
                    json!({ "verb": "reject", "reason": word }),
                )
            }
        }
    }

    fn gather(&mut self) -> (Instruction, Value) {
        let (prompts, steps): (Vec<_>, Vec<_>) = (0..self.0.usize(..3)).map(|_| self.prompt()).unzip();
        let gather = Gather {
            prompts,
            speech: self.0.bool(),
            digits: self.maybe(|dice| dice.0.u16(1..20)),
            timeout_seconds: self.maybe(|dice| dice.0.u16(1..20)),
            finish_on_key: self.maybe(|_| '#'),
            action: self.maybe(Self::word),
            ..Gather::default()
        };
        let step = json!({
            "verb": "gather", "prompts": steps, "input": if gather.speech { "dtmf speech" } else { "dtmf" },
            "options": {
                "num_digits": gather.digits, "timeout": gather.timeout_seconds,
                "finish_on_key": gather.finish_on_key, "action": gather.action,
            },
        });
        (Instruction::Gather(gather), step)
    }

    fn stream(&mut self) -> (Instruction, Value) {
        let stream = ConnectStream {
            url: self.word(),
            name: self.maybe(Self::word),
            parameters: (0..self.0.usize(..4))
                .map(|_| (self.word(), self.word()))
                .collect(),
        };
        let parameters: Vec<_> = stream.parameters.iter().collect();
        let step =
            json!({ "verb": "stream", "url": stream.url, "name": stream.name, "parameters": parameters });
        (Instruction::ConnectStream(stream), step)
    }

    fn conference(&mut self) -> (Instruction, Value) {
        let conference = Conference {
            room: self.word(),
            start_on_enter: self.0.bool(),
            end_on_exit: self.0.bool(),
            muted: self.0.bool(),
            beep: self.0.bool(),
            coach: self.maybe(Self::word),
            label: self.maybe(Self::word),
            max_participants: self.maybe(|dice| dice.0.u16(2..250)),
            wait_url: self.maybe(Self::word),
            events: self.maybe(Self::word),
        };
        let step = json!({
            "verb": "conference", "room": conference.room,
            "options": {
                "start_conference_on_enter": conference.start_on_enter,
                "end_conference_on_exit": conference.end_on_exit,
                "muted": conference.muted, "beep": if conference.beep { "true" } else { "false" },
                "coach": conference.coach, "participant_label": conference.label,
                "max_participants": conference.max_participants, "wait_url": conference.wait_url,
                "status_callback": conference.events,
                "status_callback_event": conference.events.as_ref().map(|_| "join leave hold"),
            },
        });
        (Instruction::Conference(conference), step)
    }

    fn record(&mut self) -> (Instruction, Value) {
        let record = Record {
            max_seconds: self.maybe(|dice| dice.0.u16(1..600)),
            beep: self.0.bool(),
            silence_seconds: self.maybe(|dice| dice.0.u16(1..20)),
            finish_on_key: self.maybe(|_| '*'),
            action: self.maybe(Self::word),
            events: self.maybe(Self::word),
        };
        let step = json!({
            "verb": "record",
            "options": {
                "max_length": record.max_seconds, "play_beep": record.beep, "timeout": record.silence_seconds,
                "finish_on_key": record.finish_on_key, "action": record.action,
                "recording_status_callback": record.events,
            },
        });
        (Instruction::Record(record), step)
    }
}

/// TEL-01
#[test]
fn random_instructions_read_like_those_of_the_official_builder() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let cases: Vec<Value> = (0..300)
        .map(|_| {
            let (instructions, steps): (Vec<_>, Vec<_>) =
                (0..dice.0.usize(..5)).map(|_| dice.instruction()).unzip();
            json!({ "ours": twiml(&instructions).unwrap(), "steps": steps })
        })
        .collect();
    let said = support::ask("twiml.py", &json!(cases));
    let said = said.as_array().unwrap();
    assert_eq!(said.len(), cases.len());
    for (case, verdict) in cases.iter().zip(said) {
        assert_eq!(
            verdict["same"], true,
            "ours: {}\ntheirs: {}",
            case["ours"], verdict["theirs"]
        );
    }
}
