//! Which words of an answer were heard, when only so much of its audio was.
//!
//! Providers send the words of an answer without times. Speech is even enough for a share of the audio to be about
//! the same share of the letters; the cut goes to the end of the word that was being said, for a caller who hears
//! half a word knows the word.

/// The beginning of `text` that belongs to the first `heard` of `generated` samples.
#[must_use]
pub fn heard_text(text: &str, heard: u64, generated: u64) -> &str {
    if heard == 0 {
        return "";
    }
    if heard >= generated {
        return text;
    }
    let letters = text.chars().count() as u64;
    let share = u128::from(letters) * u128::from(heard) / u128::from(generated);
    let reached = text
        .char_indices()
        .nth(usize::try_from(share).unwrap_or(usize::MAX))
        .map_or(text.len(), |(index, _)| index);
    let (said, rest) = text.split_at(reached);
    if said.is_empty() || said.ends_with(char::is_whitespace) {
        return said.trim_end();
    }
    let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
    &text[..reached + word]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cut_goes_to_the_end_of_a_word() {
        let text = "Your order has shipped today.";
        assert_eq!(heard_text(text, 0, 8_000), "");
        assert_eq!(heard_text(text, 2_000, 8_000), "Your order");
        assert_eq!(heard_text(text, 4_000, 8_000), "Your order has");
        assert_eq!(heard_text(text, 8_000, 8_000), text);
        assert_eq!(heard_text("Příště přijďte", 400, 1_000), "Příště");
    }

    proptest! {
        #[test]
        fn what_was_heard_is_a_beginning_and_grows(text in ".{0,80}", a in 0..1_000_u64, b in 0..1_000_u64) {
            let (less, more) = (a.min(b), a.max(b));
            let (short, long) = (heard_text(&text, less, 1_000), heard_text(&text, more, 1_000));
            prop_assert!(text.starts_with(short) && text.starts_with(long));
            prop_assert!(short.len() <= long.len());
        }
    }
}
