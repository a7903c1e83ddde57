//! Words without accents and endings, for languages the database has no dictionary of.

/// Words that say nothing about what a text is about: Czech ones, without accents.
const EMPTY: [&str; 74] = [
    "a", "aby", "ale", "ani", "ano", "asi", "az", "bez", "bude", "budou", "by", "byl", "byla", "byli",
    "bylo", "byt", "ci", "co", "do", "i", "ja", "jak", "jake", "jaka", "jaky", "jako", "je", "jeho", "jeji",
    "jejich", "jen", "jeste", "ji", "jsem", "jsme", "jsou", "jste", "k", "kam", "kde", "kdo", "kdy", "kdyz",
    "ke", "ktera", "ktere", "ktery", "ma", "mam", "mate", "me", "mi", "na", "nas", "ne", "nebo", "o", "od",
    "po", "pro", "pri", "s", "se", "si", "tak", "to", "u", "v", "vas", "ve", "z", "za", "ze", "zda",
];

/// Endings of Czech and Slovak nouns and adjectives without accents, the longest first.
const ENDINGS: [&str; 33] = [
    "atech", "atum", "ami", "ech", "eho", "emi", "emu", "ete", "eti", "iho", "ich", "imi", "imu", "ova",
    "ove", "ovi", "ych", "ymi", "am", "at", "em", "im", "mi", "os", "ou", "um", "ym", "us", "es", "ej",
    "ach", "ho", "u",
];

/// What is left of a word at least.
const SHORTEST: usize = 3;

/// The letter without its accent; lower-case letters only.
const fn plain(letter: char) -> char {
    match letter {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ą' => 'a',
        'č' | 'ç' | 'ć' => 'c',
        'ď' => 'd',
        'é' | 'ě' | 'è' | 'ê' | 'ë' | 'ę' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ľ' | 'ĺ' | 'ł' => 'l',
        'ň' | 'ñ' | 'ń' => 'n',
        'ó' | 'ô' | 'ö' | 'ò' | 'õ' | 'ő' => 'o',
        'ř' | 'ŕ' => 'r',
        'š' | 'ś' => 's',
        'ť' => 't',
        'ú' | 'ů' | 'ü' | 'ù' | 'û' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ź' | 'ż' => 'z',
        other => other,
    }
}

/// The words that count, each as all its forms are written down.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        let word: String = word.chars().flat_map(char::to_lowercase).map(plain).collect();
        if word.is_empty() || EMPTY.contains(&&*word) {
            continue;
        }
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(stem(&word));
    }
    folded
}

/// The word without its ending.
fn stem(word: &str) -> &str {
    let long_enough = |stem: &&str| stem.chars().count() >= SHORTEST;
    let stem = ENDINGS
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(long_enough))
        .unwrap_or(word);
    // Where a vowel ends the word, it ends another one in another form.
    stem.strip_suffix(['a', 'e', 'i', 'o', 'y'])
        .filter(long_enough)
        .unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_czech_word_are_one_word() {
        for forms in [
            &[
                "reklamace",
                "Reklamaci",
                "reklamací",
                "reklamacích",
                "reklamacemi",
            ][..],
            &["vrácení", "vrácením", "vráceních"],
            &["otevírací", "otevíracích", "otevíracího"],
            &["smlouva", "smlouvy", "smlouvou", "smlouvě", "smlouvách"],
            &["faktura", "faktury", "fakturu", "fakturami"],
        ] {
            let folded: Vec<String> = forms.iter().map(|form| fold(form)).collect();
            assert!(
                folded.iter().all(|one| *one == folded[0]),
                "{forms:?}: {folded:?}"
            );
        }
    }

    #[test]
    fn words_that_say_nothing_are_left_out_and_short_ones_stay_whole() {
        assert_eq!(fold("Jak je to s DPH?"), "dph");
        assert_eq!(fold("Kdy mohu vrátit boty?"), "moh vratit bot");
        assert_eq!(fold(" ,. "), "");
    }

    #[test]
    fn longer_endings_are_tried_before_shorter_ones_that_end_them() {
        for (position, ending) in ENDINGS.iter().enumerate() {
            for earlier in &ENDINGS[..position] {
                assert!(!ending.ends_with(earlier), "{earlier} hides {ending}");
            }
        }
    }
}
