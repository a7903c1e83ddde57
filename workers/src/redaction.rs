//! Takes numbers and addresses of people out of what was said, before it is written anywhere.
//!
//! Seven digits or more, however they are grouped, are a telephone, card or account number; a word with an `@`
//! and a dot behind it is an e-mail address. Digits that are spoken as words stay: telling them from other words
//! needs the language.

/// Fewer digits are a year, a price or a door.
const NUMBER: usize = 7;

/// The text without them.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() || first == '+' {
            let run = rest
                .find(|c: char| {
                    !(c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}'))
                })
                .unwrap_or(rest.len());
            let run = rest[..run].trim_end_matches(|c: char| !c.is_ascii_digit());
            if run.is_empty() {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            out.push_str(if digits >= NUMBER { "[number]" } else { run });
            rest = &rest[run.len()..];
        } else if first.is_whitespace() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let word = &rest[..end];
            if is_address(word) {
                out.push_str("[e-mail]");
                rest = &rest[end..];
            } else {
                // A number may follow in the same word: `tel:+420…`.
                let next = word
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| c.is_ascii_digit() || *c == '+')
                    .map_or(end, |(index, _)| index);
                out.push_str(&rest[..next]);
                rest = &rest[next..];
            }
        }
    }
    out
}

fn is_address(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.trim_end_matches('.').contains('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_addresses_of_people_are_taken_out_and_the_rest_stays() {
        for (said, written) in [
            (
                "Call me at +420 777 123 456, please.",
                "Call me at [number], please.",
            ),
            ("4111-1111-1111-1111", "[number]"),
            ("tel:(555) 010-0199!", "tel:([number]!"),
            ("Write to jan.novak@example.com.", "Write to [e-mail]"),
            (
                "In 2026 it cost 12.50 at no. 7.",
                "In 2026 it cost 12.50 at no. 7.",
            ),
            ("1 + 1 je 2", "1 + 1 je 2"),
            ("", ""),
            ("Příště v 8:30 @ kancelář", "Příště v 8:30 @ kancelář"),
        ] {
            assert_eq!(redacted(said), written);
        }
    }

    proptest! {
        #[test]
        fn no_run_of_seven_digits_survives(text in "[ a-zěš+().0-9-]{0,80}") {
            let written = redacted(&text);
            let longest = written.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            prop_assert!(longest.unwrap_or(0) < NUMBER, "{}", written);
        }

        #[test]
        fn a_text_without_digits_and_addresses_is_unchanged(text in "[^0-9@]{0,80}") {
            prop_assert_eq!(redacted(&text), text);
        }
    }
}
