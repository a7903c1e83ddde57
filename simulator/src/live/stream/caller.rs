//! Who is at the other end of a stream: a person who listens, answers, sometimes interrupts and may press a key, or a
//! machine that says its piece and beeps. Pure, 20 ms at a time; everything chance has a say in is drawn from the seed.

use std::{f64::consts::TAU, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rand::RngExt as _;
use voice_simulator_providers::sound::{Format, silence, speech};

use crate::{
    live::population::Callee,
    plan::{Chance, happens},
};

/// How long a frame lasts.
pub(crate) const FRAME_MS: u64 = 20;
/// What is said repeats after so many frames.
const PHRASE: usize = 50;
/// A beep lasts so long, at so many hertz.
const BEEP_FRAMES: u32 = 20;
const BEEP_HZ: f64 = 1_000.0;
/// Whoever hears nobody says so after so many frames.
const HELLO: u32 = 150;
/// A key is pressed after so many frames.
const PRESSES_AT: u32 = 150;
/// The share of the agent's sentences that are interrupted.
const INTERRUPTS: f64 = 0.15;

/// Something said in 20 ms, as it goes into a message: Base64 of 160 bytes of µ-law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Words(usize),
    Beep(usize),
}

impl Said {
    pub(crate) fn payload(self) -> &'static str {
        static SOUNDS: OnceLock<(String, Vec<String>, Vec<String>)> = OnceLock::new();
        let (nothing, words, beep) = SOUNDS.get_or_init(|| {
            let frames = |bytes: &[u8]| bytes.chunks(160).map(|frame| BASE64.encode(frame)).collect();
            let words = speech(Format::PCMU, 0, FRAME_MS * PHRASE as u64);
            (
                BASE64.encode(silence(Format::PCMU, FRAME_MS)),
                frames(&words),
                frames(&beep()),
            )
        });
        match self {
            Self::Nothing => nothing,
            Self::Words(place) => &words[place % words.len()],
            Self::Beep(place) => &beep[place % beep.len()],
        }
    }
}

/// A second of the tone, in µ-law.
fn beep() -> Vec<u8> {
    (0..8_000)
        .map(|place| {
            let level = 8_000.0 * (TAU * BEEP_HZ * f64::from(place) / 8_000.0).sin();
            mu_law(level as i32)
        })
        .collect()
}

/// G.711, as the standard's own flow chart has it.
fn mu_law(sample: i32) -> u8 {
    let magnitude = (sample.abs() + 132).min(32_767);
    let exponent = (magnitude >> 7).ilog2().min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | ((exponent as i32) << 4) | mantissa) as u8
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Listens: how long the agent was heard, and how long nobody was.
    Listening {
        heard: u32,
        quiet: u32,
    },
    /// Speaks for so many frames more.
    Speaking {
        left: u32,
    },
    /// A machine: its greeting, the beep, and then nothing.
    Greeting {
        left: u32,
    },
    Beeping {
        left: u32,
    },
    Recording,
}

/// The callee of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    chance: Chance,
    doing: Doing,
    /// After so long a silence of the agent they answer.
    reaction: u32,
    /// After so much of a sentence they interrupt.
    interrupts_at: Option<u32>,
    presses: Option<char>,
    frame: u32,
    /// Times they interrupted.
    pub(crate) interruptions: u32,
}

impl Caller {
    pub(crate) fn new(callee: &Callee, chance: Chance) -> Self {
        let doing = if callee.fate.is_person() {
            LISTENING
        } else {
            let left = u64::try_from(callee.greeting_ms).unwrap_or(0) / FRAME_MS;
            Doing::Greeting {
                left: u32::try_from(left).unwrap_or(u32::MAX),
            }
        };
        let mut caller = Self {
            chance,
            doing,
            reaction: 0,
            interrupts_at: None,
            presses: callee.presses,
            frame: 0,
            interruptions: 0,
        };
        caller.listen_anew();
        caller
    }

    fn listen_anew(&mut self) {
        self.reaction = self.chance.random_range(20..60);
        let at = self.chance.random_range(40..120);
        self.interrupts_at = happens(&mut self.chance, INTERRUPTS).then_some(at);
    }

    fn speak(&mut self) {
        self.doing = Doing::Speaking {
            left: self.chance.random_range(40..130),
        };
    }

    /// The next 20 ms, and the key that is pressed in them; `agent` is heard meanwhile or not.
    pub(crate) fn next(&mut self, agent: bool) -> (Said, Option<char>) {
        self.frame += 1;
        let place = self.frame as usize;
        let key = self.presses.take_if(|_| self.frame >= PRESSES_AT);
        let said = match &mut self.doing {
            Doing::Listening { heard, quiet } => {
                if agent {
                    (*heard, *quiet) = (*heard + 1, 0);
                    if self.interrupts_at == Some(*heard) {
                        self.interruptions += 1;
                        self.speak();
                    }
                } else {
                    *quiet += 1;
                    let patience = if *heard > 0 { self.reaction } else { HELLO };
                    if *quiet >= patience {
                        self.speak();
                    }
                }
                Said::Nothing
            }
            Doing::Speaking { left: 0 } => {
                self.doing = LISTENING;
                self.listen_anew();
                Said::Nothing
            }
            Doing::Speaking { left } | Doing::Greeting { left: left @ 1.. } => {
                *left -= 1;
                Said::Words(place)
            }
            Doing::Greeting { .. } => {
                self.doing = Doing::Beeping { left: BEEP_FRAMES };
                Said::Nothing
            }
            Doing::Beeping { left: left @ 1.. } => {
                *left -= 1;
                Said::Beep(place)
            }
            Doing::Beeping { .. } | Doing::Recording => {
                self.doing = Doing::Recording;
                Said::Nothing
            }
        };
        (said, key)
    }
}

const LISTENING: Doing = Doing::Listening { heard: 0, quiet: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{Fate, Population},
        plan::of_call,
    };

    fn caller(fate: Fate, number: u64) -> Caller {
        let population = Population {
            presses: 1.0,
            ..Population::default()
        };
        let callee = population.callee(7, number, 0, Some(fate), 1.0);
        Caller::new(&callee, of_call(7, number))
    }

    /// Words with an agent who speaks for three seconds whenever nobody has spoken for a while.
    fn talk(caller: &mut Caller, frames: u32) -> (u32, Vec<char>) {
        let (mut agent, mut quiet, mut words, mut keys) = (150_u32, 0, 0, Vec::new());
        for _ in 0..frames {
            agent = agent.saturating_sub(1);
            let (said, key) = caller.next(agent > 0);
            keys.extend(key);
            let speaks = matches!(said, Said::Words(_));
            words += u32::from(speaks);
            quiet = if speaks || agent > 0 { 0 } else { quiet + 1 };
            if quiet > 70 {
                agent = 150;
            }
        }
        (words, keys)
    }

    #[test]
    fn people_answer_some_interrupt_and_the_same_seed_says_the_same() {
        let mut interruptions = 0;
        for number in 0..50 {
            let mut person = caller(Fate::Person, number);
            let (words, keys) = talk(&mut person, 3_000);
            assert!(words > 150, "{number} said {words} frames in a minute");
            assert_eq!(keys, ['1']);
            interruptions += person.interruptions;
            assert_eq!(talk(&mut caller(Fate::Person, number), 3_000).0, words);
        }
        assert!((20..200).contains(&interruptions), "{interruptions}");
    }

    #[test]
    fn a_machine_says_its_piece_beeps_once_and_listens() {
        let mut machine = caller(Fate::Machine, 3);
        let said: Vec<Said> = (0..3_000).map(|_| machine.next(false).0).collect();
        let beeps = said.iter().filter(|said| matches!(said, Said::Beep(_))).count();
        assert_eq!(beeps, BEEP_FRAMES as usize);
        let last_word = said
            .iter()
            .rposition(|said| matches!(said, Said::Words(_)))
            .unwrap();
        let first_beep = said
            .iter()
            .position(|said| matches!(said, Said::Beep(_)))
            .unwrap();
        assert!(last_word < first_beep);
        assert_eq!(said.last(), Some(&Said::Nothing));
    }

    #[test]
    fn silence_is_the_codes_own_and_a_tone_is_loud() {
        assert_eq!(mu_law(0), 0xff);
        assert_eq!(mu_law(8_000), 0xa0);
        assert_eq!(mu_law(-8_000), 0x20);
        assert_eq!(Said::Nothing.payload(), BASE64.encode([0xff; 160]));
        assert_eq!(BASE64.decode(Said::Words(0).payload()).unwrap().len(), 160);
        assert_ne!(Said::Beep(0).payload(), Said::Nothing.payload());
    }
}
