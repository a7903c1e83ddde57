//! Words that only say "I am listening", in English, Spanish and Czech.
//!
//! A text counts if all its words do. An answer to a question ("yes", "ano") is made of the same words, so this is
//! only asked while the agent speaks.

/// A language whose small words are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Spanish.
    Spanish,
    /// Czech.
    Czech,
}

impl Language {
    /// The language of a BCP 47 tag, such as `es-US`.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        let known = [("en", Self::English), ("es", Self::Spanish), ("cs", Self::Czech)];
        known
            .into_iter()
            .find_map(|(code, language)| code.eq_ignore_ascii_case(primary).then_some(language))
    }

    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::English => &[
                "yeah", "yep", "yes", "right", "okay", "ok", "sure", "gotcha", "i", "see", "got", "it", "go",
                "on", "really", "wow", "cool", "alright",
            ],
            Self::Spanish => &[
                "sí", "si", "ya", "vale", "claro", "bien", "bueno", "exacto", "dale", "ok", "okay", "ajá",
                "aja", "entiendo", "de", "acuerdo", "eso", "perfecto",
            ],
            Self::Czech => &[
                "jo", "jojo", "ano", "no", "dobře", "dobre", "jasně", "jasne", "aha", "ok", "okej",
                "rozumím", "rozumim", "chápu", "chapu", "fajn", "přesně", "presne", "tak", "určitě",
            ],
        }
    }
}

/// Sounds rather than words; the same everywhere.
const SOUNDS: &[&str] = &[
    "uh", "huh", "uhhuh", "mm", "mhm", "mmhm", "mmhmm", "hm", "hmm", "um", "ah", "oh", "aha", "eh", "mmm",
    "hmhm",
];

/// More words than this are an utterance.
const MOST_WORDS: usize = 4;

/// The text says no more than "I am listening". No text at all does not say even that.
#[must_use]
pub fn is_back_channel(text: &str, language: Option<Language>) -> bool {
    let known: &[Language] = match &language {
        Some(language) => std::slice::from_ref(language),
        None => &[Language::English, Language::Spanish, Language::Czech],
    };
    let mut count = 0;
    let all = text
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .all(|word| {
            count += 1;
            let word = word.to_lowercase();
            SOUNDS.contains(&&*word) || known.iter().any(|language| language.words().contains(&&*word))
        });
    all && (1..=MOST_WORDS).contains(&count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sounds_are_told_from_utterances_in_three_languages() {
        let (en, es, cs) = (Language::English, Language::Spanish, Language::Czech);
        for (text, language) in [
            ("Uh-huh.", en),
            ("Mm-hmm", en),
            ("Okay, I see.", en),
            ("yeah, yeah", en),
            ("Sí, claro.", es),
            ("Ajá", es),
            ("De acuerdo", es),
            ("Jo, jasně.", cs),
            ("Mhm, dobře", cs),
            ("ROZUMÍM", cs),
        ] {
            assert!(is_back_channel(text, Some(language)), "{text}");
            assert!(is_back_channel(text, None), "{text}");
        }
        for (text, language) in [
            ("", en),
            ("...", en),
            ("Wait", en),
            ("yes but how much is it", en),
            ("yeah yeah yeah yeah yeah", en),
            ("No, espere", es),
            ("¿Cuánto cuesta?", es),
            ("Počkejte", cs),
            ("Ne, děkuji", cs),
        ] {
            assert!(!is_back_channel(text, Some(language)), "{text}");
        }
        // "No" is "well" in Czech and a refusal elsewhere.
        assert!(is_back_channel("no", Some(cs)));
        assert!(!is_back_channel("no", Some(en)) && !is_back_channel("no", Some(es)));
    }

    #[test]
    fn a_language_is_known_by_its_tag_whatever_the_region() {
        assert_eq!(Language::parse("es-US"), Some(Language::Spanish));
        assert_eq!(Language::parse("CS"), Some(Language::Czech));
        assert_eq!(Language::parse("en_GB"), Some(Language::English));
        assert_eq!(Language::parse("est"), None);
        assert_eq!(Language::parse(""), None);
    }
}
