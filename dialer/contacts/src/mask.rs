//! The shape of a value, for error files: enough to see what is wrong, nothing about the person.

const LONGEST: usize = 40;

/// Letters become `x`, digits `9`, everything else stays; cut at forty characters.
#[must_use]
pub fn mask(value: &str) -> String {
    let mut masked: String = value
        .chars()
        .take(LONGEST)
        .map(|letter| match letter {
            _ if letter.is_alphabetic() => 'x',
            _ if letter.is_numeric() => '9',
            // A control character or a replacement mark would only spoil the file.
            _ if letter.is_control() => ' ',
            _ if letter.is_ascii() => letter,
            '\u{fffd}' => '?',
            _ if letter.is_whitespace() => ' ',
            _ => '*',
        })
        .collect();
    if value.chars().nth(LONGEST).is_some() {
        masked.push('…');
    }
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mask_shows_the_shape_and_not_the_value() {
        assert_eq!(mask("+420 602 123 456"), "+999 999 999 999");
        assert_eq!(mask("4.2E+11"), "9.9x+99");
        assert_eq!(mask("Žofie Nováková"), "xxxxx xxxxxxxx");
        assert_eq!(mask("a\nb\u{a0}\u{fffd}☎"), "x x ?*");
        assert_eq!(mask(&"1".repeat(50)), format!("{}…", "9".repeat(40)));
    }

    proptest! {
        #[test]
        fn no_letter_or_digit_of_the_value_survives(value: String) {
            let shown = mask(&value);
            prop_assert!(shown.chars().all(|letter| letter == 'x' || letter == '9' || !letter.is_alphanumeric()));
            prop_assert!(shown.chars().count() <= LONGEST + 1);
        }
    }
}
