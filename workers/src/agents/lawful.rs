//! What an agent says and records where the law asks for more than its settings do. The law never takes anything back.

use voice_telephony::media::{Duties, RecordingDuty};
use voice_turns::language::primary;

use super::Agent;
use crate::plan::Recording;

/// That an AI talks, in the agent's first language.
const I_AM_AN_AI: [(&str, &str); 5] = [
    ("en", "You are talking to an AI assistant."),
    ("es", "Está hablando con un asistente de inteligencia artificial."),
    ("cs", "Mluvíte s asistentem s umělou inteligencí."),
    ("fr", "Vous parlez à un assistant d'intelligence artificielle."),
    (
        "de",
        "Sie sprechen mit einem Assistenten mit künstlicher Intelligenz.",
    ),
];

/// That the call is recorded.
const RECORDED: [(&str, &str); 5] = [
    ("en", "This call is recorded."),
    ("es", "Esta llamada se graba."),
    ("cs", "Tento hovor se nahrává."),
    ("fr", "Cet appel est enregistré."),
    ("de", "Dieses Gespräch wird aufgezeichnet."),
];

/// How sentences that speak of a recording do so.
const OF_RECORDING: [&str; 7] = [
    "record",
    "graba",
    "nahráv",
    "nahran",
    "enregistr",
    "aufgezeichnet",
    "aufgenommen",
];

/// What the model is told where it has to ask first.
pub(super) const ASK: &str = "This call is not recorded until the caller agrees. Ask once, early in the call, whether \
                              it may be recorded. Only when they clearly agree, use set_recording with on = true.";

/// An agent's settings as the law of a call leaves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lawful {
    pub(super) disclosure: Option<String>,
    pub(super) recording: Recording,
    /// The law made the recording wait for consent: the model does not know of it yet.
    pub(super) ask: bool,
}

/// The stricter of the agent's settings and the law.
pub(super) fn lawful(agent: &Agent, duties: Duties) -> Lawful {
    let first = agent.languages.first().map_or("en", |tag| primary(tag));
    let sentence = |sentences: &[(&str, &'static str)]| {
        let own = sentences.iter().find(|(language, _)| *language == first);
        own.or(sentences.first()).map(|(_, words)| (*words).to_owned())
    };
    // The agent's own words are about both, where it has any.
    let mut disclosure = agent.disclosure.clone();
    if disclosure.is_none() && duties.disclose_ai {
        disclosure = sentence(&I_AM_AN_AI);
    }
    let ask = agent.record == Recording::On && duties.recording == RecordingDuty::Consent;
    let recording = if ask {
        Recording::AfterConsent
    } else {
        agent.record
    };
    if recording == Recording::On && duties.recording >= RecordingDuty::Announce {
        let said = disclosure.take().unwrap_or_default();
        let known = said.to_lowercase();
        disclosure = if OF_RECORDING.iter().any(|word| known.contains(word)) {
            Some(said)
        } else {
            sentence(&RECORDED).map(|recorded| format!("{said} {recorded}").trim_start().to_owned())
        };
    }
    Lawful {
        disclosure,
        recording,
        ask,
    }
}

#[cfg(test)]
mod tests {
    use voice_providers::Provider;
    use voice_schemas::AgentId;

    use super::*;

    fn agent(disclosure: Option<&str>, record: Recording) -> Agent {
        Agent {
            disclosure: disclosure.map(str::to_owned),
            record,
            languages: vec!["cs-CZ".to_owned(), "en".to_owned()],
            ..Agent::new(AgentId::random(), "Ada", Provider::OpenaiRealtime, "Be brief.")
        }
    }

    fn told(agent: &Agent, disclose_ai: bool, recording: RecordingDuty) -> (Option<String>, Recording, bool) {
        let Lawful {
            disclosure,
            recording,
            ask,
        } = lawful(
            agent,
            Duties {
                disclose_ai,
                recording,
            },
        );
        (disclosure, recording, ask)
    }

    #[test]
    fn where_the_law_asks_for_nothing_the_agents_settings_hold() {
        let mute = agent(None, Recording::On);
        assert_eq!(
            told(&mute, false, RecordingDuty::Nothing),
            (None, Recording::On, false)
        );
        let own = agent(Some("I am a machine."), Recording::Off);
        let said = Some("I am a machine.".to_owned());
        assert_eq!(
            told(&own, false, RecordingDuty::Nothing),
            (said, Recording::Off, false)
        );
    }

    #[test]
    fn an_ai_is_disclosed_in_the_agents_language_where_the_law_asks_for_it_and_in_its_own_words_where_it_has_any()
     {
        let mute = agent(None, Recording::Off);
        let said = Some("Mluvíte s asistentem s umělou inteligencí.".to_owned());
        assert_eq!(
            told(&mute, true, RecordingDuty::Consent),
            (said, Recording::Off, false)
        );
        let own = agent(Some("I am a machine."), Recording::Off);
        assert_eq!(
            told(&own, true, RecordingDuty::Consent).0.as_deref(),
            Some("I am a machine.")
        );
    }

    #[test]
    fn a_recording_is_announced_once_where_the_law_asks_for_that() {
        let mute = agent(None, Recording::On);
        let said = told(&mute, true, RecordingDuty::Announce);
        let both = "Mluvíte s asistentem s umělou inteligencí. Tento hovor se nahrává.";
        assert_eq!(said, (Some(both.to_owned()), Recording::On, false));
        assert_eq!(
            told(&mute, false, RecordingDuty::Announce).0.as_deref(),
            Some("Tento hovor se nahrává.")
        );
        let own = agent(Some("I am a machine and record this."), Recording::On);
        assert_eq!(
            told(&own, true, RecordingDuty::Announce).0.as_deref(),
            Some("I am a machine and record this.")
        );
        let after = agent(None, Recording::AfterConsent);
        assert_eq!(
            told(&after, false, RecordingDuty::Announce),
            (None, Recording::AfterConsent, false)
        );
    }

    #[test]
    fn nothing_is_recorded_before_everybody_agreed_where_the_law_asks_for_that() {
        let on = agent(None, Recording::On);
        assert_eq!(
            told(&on, false, RecordingDuty::Consent),
            (None, Recording::AfterConsent, true)
        );
        let after = agent(None, Recording::AfterConsent);
        assert_eq!(
            told(&after, false, RecordingDuty::Consent),
            (None, Recording::AfterConsent, false)
        );
    }
}
