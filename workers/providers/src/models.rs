//! The models and voices of today, and the days on which models end.
//!
//! Names are configuration; these are its defaults. The dates are the vendors' own announcements as of November
//! 2026. OpenAI also tells them in `shutdown_date` of `GET /v1/models`.

use chrono::NaiveDate;

use crate::Provider;

/// What writes down what an OpenAI model hears.
pub const OPENAI_TRANSCRIPTION: &str = "gpt-transcribe";

/// What thinks for GPT-Live where it delegates, and for the cascade.
pub const OPENAI_DELEGATE: &str = "gpt-5.6-luna";

/// What speaks in Deepgram's cascade and agent, by language. There is no Czech voice.
pub const DEEPGRAM_VOICES: [(&str, &str); 7] = [
    ("en", "aura-2-thalia-en"),
    ("es", "aura-2-celeste-es"),
    ("de", "aura-2-julius-de"),
    ("fr", "aura-2-agathe-fr"),
    ("it", "aura-2-livia-it"),
    ("nl", "aura-2-rhea-nl"),
    ("ja", "aura-2-fujin-ja"),
];

/// The languages Deepgram's Flux hears; Nova-3 is for the others.
pub const FLUX_LANGUAGES: [&str; 10] = ["en", "es", "fr", "de", "hi", "ru", "pt", "ja", "it", "nl"];

/// The default model of a provider.
#[must_use]
pub const fn default_model(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenaiRealtime => "gpt-realtime-2.1",
        Provider::OpenaiLive => "gpt-live-1",
        Provider::GeminiLive => "gemini-3.8-live",
        // Of those the agent runs itself.
        Provider::DeepgramAgent => "gpt-5-mini",
        Provider::DeepgramCascade => OPENAI_DELEGATE,
    }
}

/// The cheaper model of a provider, where it has one, for a call that has cost enough.
#[must_use]
pub const fn cheaper_model(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::OpenaiRealtime => Some("gpt-realtime-2.1-mini"),
        _ => None,
    }
}

/// The default voice of a provider.
#[must_use]
pub const fn default_voice(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenaiRealtime | Provider::OpenaiLive => "marin",
        Provider::GeminiLive => "Kore",
        Provider::DeepgramAgent | Provider::DeepgramCascade => "aura-2-thalia-en",
    }
}

/// What a model that ends is replaced with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// The model.
    pub model: &'static str,
    /// Its last day is the day before.
    pub on: NaiveDate,
    /// What to use instead.
    pub instead: &'static str,
}

const fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => NaiveDate::MIN,
    }
}

/// The models whose end is announced.
pub const SHUTDOWNS: [Shutdown; 6] = [
    Shutdown {
        model: "gpt-realtime",
        on: day(2027, 1, 20),
        instead: "gpt-realtime-2.1",
    },
    Shutdown {
        model: "gpt-realtime-2025-08-28",
        on: day(2027, 1, 20),
        instead: "gpt-realtime-2.1",
    },
    Shutdown {
        model: "gpt-realtime-mini",
        on: day(2027, 1, 20),
        instead: "gpt-realtime-2.1-mini",
    },
    Shutdown {
        model: "whisper-1",
        on: day(2027, 2, 26),
        instead: OPENAI_TRANSCRIPTION,
    },
    Shutdown {
        model: "gpt-4o-transcribe",
        on: day(2027, 2, 26),
        instead: OPENAI_TRANSCRIPTION,
    },
    Shutdown {
        model: "gpt-4o-mini-transcribe",
        on: day(2027, 2, 26),
        instead: OPENAI_TRANSCRIPTION,
    },
];

/// Whether the end of a model is announced; warn with it whenever one is configured.
#[must_use]
pub fn shutdown(model: &str) -> Option<&'static Shutdown> {
    SHUTDOWNS.iter().find(|shutdown| shutdown.model == model)
}

/// The default voice for a language at Deepgram, if it has one.
#[must_use]
pub fn deepgram_voice(language: &str) -> Option<&'static str> {
    let base = language.split(['-', '_']).next().unwrap_or(language);
    let (_, voice) = DEEPGRAM_VOICES.iter().find(|(language, _)| *language == base)?;
    Some(voice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_default_is_about_to_end_and_every_replacement_stays() {
        let defaults = Provider::ALL.map(default_model);
        let cheaper = Provider::ALL
            .iter()
            .filter_map(|provider| cheaper_model(*provider));
        let others = [OPENAI_TRANSCRIPTION, OPENAI_DELEGATE];
        let instead = SHUTDOWNS.iter().map(|shutdown| shutdown.instead);
        for model in defaults.into_iter().chain(cheaper).chain(others).chain(instead) {
            assert_eq!(shutdown(model), None, "{model}");
        }
    }

    #[test]
    fn a_model_with_an_announced_end_is_found_with_its_date() {
        let found = shutdown("gpt-realtime").unwrap();
        assert_eq!(found.on.to_string(), "2027-01-20");
        assert!(SHUTDOWNS.iter().all(|shutdown| shutdown.on > NaiveDate::MIN));
    }

    #[test]
    fn czech_has_no_voice_at_deepgram_and_regions_make_no_difference() {
        assert_eq!(deepgram_voice("cs-CZ"), None);
        assert_eq!(deepgram_voice("es-MX"), Some("aura-2-celeste-es"));
    }
}
