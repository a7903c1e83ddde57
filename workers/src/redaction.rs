//! Takes numbers and addresses of people out of what was said, before it is written anywhere.
//!
//! Seven digits or more are a telephone, card or account number, however they are grouped and whether they are written
//! or spoken as words, in English, Spanish and Czech; with them go the letters that belong to an identity number. An
//! e-mail address is a word with an `@` and a dot behind it, or the same spoken. Names stay: nothing tells them from
//! other words.

mod numbers;
mod words;

use self::words::{is_at, is_dot, is_top_level};

/// The text without them.
#[must_use]
pub fn redacted(text: &str) -> String {
    numbers::redacted(&without_spoken_addresses(&without_addresses(text)))
}

const ADDRESS: &str = "[e-mail]";

/// Words that are e-mail addresses.
fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if is_address(bare) {
            out.push_str(ADDRESS);
            out.push_str(word.get(bare.len()..).unwrap_or_default());
        } else {
            out.push_str(word);
        }
    }
    out
}

fn is_address(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.trim_end_matches('.').contains('.'))
}

/// `jan dot novak at example dot com`, `ana arroba ejemplo punto es`, `jan zavináč seznam tečka cz`: from the word
/// before the at, and what dots tie to it, to the end of the domain.
fn without_spoken_addresses(text: &str) -> String {
    let words: Vec<(usize, &str)> = text
        .split_whitespace()
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
        .collect();
    let plain = |position: usize| {
        let (_, word) = words.get(position)?;
        Some(word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
    };
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for at in 1..words.len() {
        if !plain(at).is_some_and(|word| is_at(&word)) {
            continue;
        }
        let mut last = at + 1;
        let mut ends_in_domain = false;
        while plain(last + 1).is_some_and(|word| is_dot(&word))
            && let Some(part) = plain(last + 2)
        {
            last += 2;
            ends_in_domain = is_top_level(&part);
        }
        let mut first = at - 1;
        while first >= 2 && plain(first - 1).is_some_and(|word| is_dot(&word)) {
            first -= 2;
        }
        let place = |position: usize| words.get(position).copied().unwrap_or((text.len(), ""));
        let ((from, _), (last_from, last_word)) = (place(first), place(last));
        if ends_in_domain && from >= kept {
            out.push_str(text.get(kept..from).unwrap_or_default());
            out.push_str(ADDRESS);
            kept = last_from + last_word.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
        }
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(cases: &[(&str, &str)]) {
        for (said, written) in cases {
            assert_eq!(redacted(said), *written);
        }
    }

    #[test]
    fn numbers_and_addresses_of_people_are_taken_out_and_the_rest_stays() {
        check(&[
            (
                "Call me at +420 777 123 456, please.",
                "Call me at [number], please.",
            ),
            ("tel:(555) 010-0199!", "tel:([number]!"),
            ("Write to jan.novak@example.com.", "Write to [e-mail]"),
            (
                "In 2026 it cost 12.50 at no. 7.",
                "In 2026 it cost 12.50 at no. 7.",
            ),
            ("1 + 1 je 2", "1 + 1 je 2"),
            ("", ""),
            ("Příště v 8:30 @ kancelář", "Příště v 8:30 @ kancelář"),
            ("From 2024, 2025 and 2026.", "From 2024, 2025 and 2026."),
        ]);
    }

    #[test]
    fn card_and_account_numbers_are_taken_out_however_they_are_grouped() {
        check(&[
            ("4111-1111-1111-1111", "[number]"),
            ("It is 4111, 1111, 1111, 1111.", "It is [number]."),
            ("3782 822463 10005, expires 12/27", "[number], expires 12/27"),
            ("ES91 2100 0418 4502 0005 1332", "ES[number]"),
            ("účet 19-2000145399/0800", "účet [number]"),
        ]);
    }

    #[test]
    fn identity_numbers_go_with_their_letters() {
        check(&[
            // Spain: DNI and NIE.
            ("Mi DNI es 12345678Z.", "Mi DNI es [number]."),
            ("Mi DNI es 12345678-Z.", "Mi DNI es [number]."),
            ("NIE X1234567L, gracias", "NIE [number], gracias"),
            // Czechia: rodné číslo.
            ("Rodné číslo 785301/1234", "Rodné číslo [number]"),
            // United States and United Kingdom.
            ("My social is 078-05-1120.", "My social is [number]."),
            ("It is QQ 12 34 56 C.", "It is [number]."),
            ("It is QQ123456C.", "It is [number]."),
        ]);
    }

    #[test]
    fn digits_that_are_spoken_as_words_are_taken_out_in_every_language() {
        check(&[
            (
                "It's four one one one, one one one one, thank you.",
                "It's [number], thank you.",
            ),
            ("Five five five, oh one double nine three two.", "[number]."),
            ("Call 555 one two three four, Monday", "Call [number], Monday"),
            (
                "Es el seis uno dos, treinta y cuatro, cincuenta y seis, setenta y ocho.",
                "Es el [number].",
            ),
            (
                "Seiscientos doce, trescientos cuarenta y cinco, seiscientos setenta y ocho",
                "[number]",
            ),
            (
                "Sedm set sedmdesát sedm, sto dvacet tři, čtyři sta padesát šest.",
                "[number].",
            ),
            ("jedna dva tři čtyři pět šest sedm osm", "[number]"),
        ]);
    }

    #[test]
    fn words_for_counts_prices_and_years_stay() {
        for said in [
            "In two thousand twenty six we were twenty five people.",
            "It costs one hundred twenty five thousand.",
            "A las ocho y media, una o dos personas.",
            "Byli jsme tam tři, nebo čtyři a pět dní.",
            "dva tisíce dvacet šest",
            "No one knows whether one or two of us come at six.",
        ] {
            assert_eq!(redacted(said), said);
        }
    }

    #[test]
    fn addresses_that_are_spoken_are_taken_out() {
        check(&[
            (
                "Write to jan dot novak at example dot com, please.",
                "Write to [e-mail], please.",
            ),
            ("Es ana arroba ejemplo punto es.", "Es [e-mail]."),
            (
                "Pište na jan tečka novák zavináč seznam tečka cz",
                "Pište na [e-mail]",
            ),
            ("Meet me at example road.", "Meet me at example road."),
            ("We met at noon dot period", "We met at noon dot period"),
            ("at dot com", "at dot com"),
        ]);
    }

    proptest! {
        #[test]
        fn no_run_of_seven_digits_survives(text in "[ a-zěš+().0-9,-]{0,80}") {
            let written = redacted(&text);
            let longest = written.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            prop_assert!(longest.unwrap_or(0) < 7, "{}", written);
        }

        #[test]
        fn a_text_without_digits_and_addresses_is_unchanged(text in "[^0-9@]{0,80}") {
            prop_assert_eq!(redacted(&text), text);
        }

        /// Seven spoken digits in a row never survive, in any language and whatever stands between them.
        #[test]
        fn no_seven_spoken_digits_survive(
            digits in prop::collection::vec(0_usize..10, 7..20), language in 0_usize..3, gap in "( |, | - )",
        ) {
            const WORDS: [[&str; 10]; 3] = [
                ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
                ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
                ["nula", "jedna", "dva", "tři", "čtyři", "pět", "šest", "sedm", "osm", "devět"],
            ];
            let said: Vec<&str> = digits.iter().map(|digit| WORDS[language][*digit]).collect();
            prop_assert_eq!(redacted(&said.join(&gap)), "[number]");
        }

        #[test]
        fn redacting_twice_changes_nothing(text in "\\PC{0,60}") {
            let once = redacted(&text);
            prop_assert_eq!(redacted(&once), once.clone());
        }
    }
}
