//! What picked up: a person, a machine, a fax, a bot that screens calls, a menu, or nobody.
//!
//! Judged in the first seconds from three things: the cadence of speech (a person says "Hello?" and waits; a machine
//! recites), tones (a beep, a fax), and the words. Every one of them moves the weights; the verdict is the weights.
//!
//! Pure but for the detector of tones, which is fed with the caller's audio.

use voice_audio::{
    SAMPLES_PER_MS,
    cadence::{Cadence, Features},
    g711::Law,
    tone::Detector,
    vad::Change,
};
use voice_schemas::events::media::{FarEnd, Probabilities, Verdict};

/// So sure is sure enough.
const SURE: f64 = 0.85;
/// After so long the likeliest is told, however likely.
const AT_LATEST_MS: u64 = 12_000;
/// A machine's beep is waited for so long.
const LISTENS_MS: u64 = 45_000;
/// How often it is judged.
const EVERY_MS: u64 = 200;
/// A machine that recites no more and does not beep listens all the same.
const LISTENS_AFTER_MS: u64 = 2_500;

/// Words that give a machine away, in English, Spanish and Czech, as they are written down.
const MACHINE: &[&str] = &[
    "leave a message",
    "leave your message",
    "after the tone",
    "after the beep",
    "at the tone",
    "voicemail",
    "voice mail",
    "mailbox",
    "not available to take",
    "can't take your call",
    "cannot take your call",
    "deje su mensaje",
    "deje un mensaje",
    "después de la señal",
    "después del tono",
    "buzón de voz",
    "no está disponible",
    "zanechte vzkaz",
    "zanechte zprávu",
    "po zaznění tónu",
    "po pípnutí",
    "hlasová schránka",
    "hlasové schránky",
    "není dostupný",
];
/// Words of bots that ask who calls.
const SCREENING: &[&str] = &[
    "who is calling",
    "who's calling",
    "state your name",
    "say your name",
    "reason for your call",
    "why you're calling",
    "call screening",
    "call assistant",
    "quién llama",
    "motivo de su llamada",
    "diga su nombre",
    "kdo volá",
    "důvod hovoru",
    "řekněte své jméno",
];
/// Words of menus.
const IVR: &[&str] = &[
    "press 1",
    "press one",
    "press 2",
    "press two",
    "for english",
    "main menu",
    "pulse 1",
    "pulse uno",
    "marque 1",
    "marque uno",
    "menú principal",
    "stiskněte",
    "zvolte jedna",
    "hlavní nabídka",
];

/// Listens to the beginning of a call.
#[derive(Debug)]
pub(super) struct Listener {
    law: Law,
    cadence: Cadence,
    tones: Detector,
    samples: Vec<i16>,
    text: String,
    position: u64,
    number: u32,
    told: Option<FarEnd>,
    /// A machine was told of, and may be spoken to.
    spoken_to: bool,
}

impl Listener {
    pub(super) fn new(law: Law) -> Self {
        Self {
            law,
            cadence: Cadence::default(),
            tones: Detector::default(),
            samples: Vec::new(),
            text: String::new(),
            position: 0,
            number: 0,
            told: None,
            spoken_to: false,
        }
    }

    /// Nothing more is to be heard.
    pub(super) const fn is_done(&self) -> bool {
        self.spoken_to || self.position > LISTENS_MS * SAMPLES_PER_MS
    }

    /// Whether it is time to judge: not with every frame.
    pub(super) const fn judges(&self) -> bool {
        self.position.is_multiple_of(EVERY_MS * SAMPLES_PER_MS)
    }

    /// A frame of the caller, and what the local ear made of it.
    pub(super) fn frame(&mut self, codes: &[u8], change: Option<Change>) {
        self.samples.clear();
        self.law.decode(codes, &mut self.samples);
        self.position += codes.len() as u64;
        if let Some(change) = change {
            self.cadence.speech(change);
        }
        let cadence = &mut self.cadence;
        self.tones.samples(&self.samples, |tone| cadence.tone(tone));
    }

    /// What the caller is understood to have said.
    pub(super) fn said(&mut self, text: &str) {
        self.text.push(' ');
        self.text.push_str(&text.to_lowercase());
    }

    /// The verdict, once there is one; a later one where a beep proves the first wrong.
    pub(super) fn verdict(&mut self) -> Option<Verdict> {
        let features = self.cadence.at(self.position);
        let probabilities = weigh(&features, &self.text);
        let (likely, probability) = likeliest(&probabilities);
        let passed = self.position / SAMPLES_PER_MS;
        let certain = probability >= SURE || passed >= AT_LATEST_MS;
        if !certain || self.told == Some(likely) || self.told.is_some() && features.beeps == 0 {
            return None;
        }
        self.told = Some(likely);
        self.number += 1;
        Some(Verdict {
            number: self.number,
            likely,
            probabilities,
            beep: features.beeps > 0,
            after_ms: u32::try_from(passed).unwrap_or(u32::MAX),
        })
    }

    /// Whether the machine listens from now on; said once.
    pub(super) fn machine_listens(&mut self) -> bool {
        if self.told != Some(FarEnd::Machine) || self.spoken_to {
            return false;
        }
        let features = self.cadence.at(self.position);
        let recited = features.bursts > 0 && features.silence_ms >= LISTENS_AFTER_MS;
        self.spoken_to = features.since_beep_ms.is_some() || recited;
        self.spoken_to
    }
}

/// How probable each is.
fn weigh(features: &Features, text: &str) -> Probabilities {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    // Odds to begin with: what is called on business is a person more often than not.
    let (mut human, mut machine, mut fax, mut screening, mut ivr, mut silence) =
        (0.5, 0.2, 0.005, 0.01, 0.03, 0.02_f64);
    if features.fax > 0 {
        fax *= 5_000.0;
    }
    if features.beeps > 0 {
        machine *= 60.0;
    }
    if features.bursts == 0 {
        // Nobody says anything: the longer, the surer.
        silence *= 1.0 + (features.silence_ms as f64 / 1_000.0).powi(3);
    } else {
        silence = 0.001;
        match features.longest_burst_ms {
            ..=1_300 if features.silence_ms >= 700 => human *= 8.0,
            ..=1_300 => human *= 2.0,
            1_301..=2_600 => {}
            2_601..=4_000 => machine *= 3.0,
            _ => {
                machine *= 8.0;
                ivr *= 4.0;
            }
        }
        if features.speech_ms > 6_000 {
            machine *= 2.0;
            ivr *= 2.0;
        }
    }
    if says(MACHINE) {
        machine *= 60.0;
    }
    if says(SCREENING) {
        // A person asks who is calling, too, but in fewer words.
        screening *= if features.longest_burst_ms > 2_600 {
            4_000.0
        } else {
            100.0
        };
    }
    if says(IVR) {
        ivr *= 300.0;
    }
    let all = human + machine + fax + screening + ivr + silence;
    Probabilities {
        human: human / all,
        machine: machine / all,
        fax: fax / all,
        screening: screening / all,
        ivr: ivr / all,
        silence: silence / all,
    }
}

fn likeliest(probabilities: &Probabilities) -> (FarEnd, f64) {
    let all = [
        (FarEnd::Human, probabilities.human),
        (FarEnd::Machine, probabilities.machine),
        (FarEnd::Fax, probabilities.fax),
        (FarEnd::Screening, probabilities.screening),
        (FarEnd::Ivr, probabilities.ivr),
        (FarEnd::Silence, probabilities.silence),
    ];
    all.into_iter().fold(
        (FarEnd::Human, 0.0),
        |best, one| if one.1 > best.1 { one } else { best },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(bursts: u32, longest_burst_ms: u64, silence_ms: u64) -> Features {
        Features {
            bursts,
            first_burst_ms: longest_burst_ms,
            longest_burst_ms,
            speech_ms: longest_burst_ms * u64::from(bursts),
            silence_ms,
            ..Features::default()
        }
    }

    #[test]
    fn a_short_word_and_a_pause_is_a_person_and_a_recital_is_not() {
        let (likely, probability) = likeliest(&weigh(&heard(1, 800, 900), "hello?"));
        assert!(likely == FarEnd::Human && probability > SURE);
        let (likely, _) = likeliest(&weigh(&heard(1, 5_000, 0), ""));
        assert_eq!(likely, FarEnd::Machine);
        assert!(
            likeliest(&weigh(&heard(1, 5_000, 0), "")).1 < SURE,
            "not from cadence alone"
        );
    }

    #[test]
    fn words_and_tones_make_sure_in_three_languages() {
        let recital = heard(2, 5_000, 0);
        for (text, wanted) in [
            ("please leave a message after the tone", FarEnd::Machine),
            ("deje su mensaje después de la señal", FarEnd::Machine),
            ("zanechte vzkaz po zaznění tónu", FarEnd::Machine),
            (
                "please state your name and the reason for your call",
                FarEnd::Screening,
            ),
            ("for sales press 1, for support press 2", FarEnd::Ivr),
            ("pro češtinu stiskněte jedničku", FarEnd::Ivr),
        ] {
            let (likely, probability) = likeliest(&weigh(&recital, text));
            assert!(
                likely == wanted && probability > SURE,
                "{text}: {likely:?} {probability}"
            );
        }
        let beep = Features { beeps: 1, ..recital };
        assert_eq!(likeliest(&weigh(&beep, "")).0, FarEnd::Machine);
        let fax = Features {
            fax: 1,
            ..Features::default()
        };
        assert_eq!(likeliest(&weigh(&fax, "")).0, FarEnd::Fax);
    }

    #[test]
    fn nobody_is_told_after_a_while() {
        let silent = |ms| Features {
            silence_ms: ms,
            ..Features::default()
        };
        assert_eq!(likeliest(&weigh(&silent(1_000), "")).0, FarEnd::Human);
        let (likely, probability) = likeliest(&weigh(&silent(9_000), ""));
        assert!(likely == FarEnd::Silence && probability > SURE, "{probability}");
    }

    proptest! {
        #[test]
        fn probabilities_add_up(
            bursts in 0..9_u32, longest in 0..20_000_u64, silence in 0..30_000_u64, beeps in 0..3_u32, fax in 0..3_u32,
            text in ".{0,40}",
        ) {
            let features = Features { beeps, fax, ..heard(bursts, longest, silence) };
            let all = weigh(&features, &text);
            let sum = all.human + all.machine + all.fax + all.screening + all.ivr + all.silence;
            prop_assert!((sum - 1.0).abs() < 1e-9);
            prop_assert!(likeliest(&all).1 >= 1.0 / 6.0);
        }
    }
}
