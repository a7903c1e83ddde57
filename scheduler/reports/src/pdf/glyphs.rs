//! Text the bundled fonts can print.
//!
//! PDF/A forbids characters without a glyph and characters of the private use area, and
//! one emoji in a campaign name must not cost a tenant the whole report. Whatever cannot
//! be printed becomes a replacement sign; the data files keep the original.

use serde_json::Value;
use typst::text::Font;

const REPLACEMENT: char = '\u{25a1}';
/// Words longer than this get invisible break points, so that no cell is overrun.
const LONGEST_WORD: usize = 22;

pub(super) struct Printable<'a> {
    fonts: &'a [Font],
}

impl<'a> Printable<'a> {
    pub(super) fn new(fonts: &'a [Font]) -> Self {
        Self { fonts }
    }

    /// Cleans every string of a JSON document in place.
    pub(super) fn clean(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if text.chars().any(|symbol| !self.covers(symbol)) {
                    *text = self.text(text);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.clean(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        text.chars()
            .filter_map(|symbol| match symbol {
                _ if self.covers(symbol) => Some(symbol),
                _ if symbol.is_whitespace() || symbol.is_control() => Some(' '),
                // Joiners, variation selectors and direction marks have no shape of their own.
                '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
                '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}' => None,
                _ => Some(REPLACEMENT),
            })
            .collect()
    }

    fn covers(&self, symbol: char) -> bool {
        let private = matches!(symbol, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
        match symbol {
            ' '..='~' | BREAK => true,
            _ if private
                || symbol.is_control()
                || ('\u{200c}'..='\u{206f}').contains(&symbol) && is_mark(symbol) =>
            {
                false
            }
            _ => self
                .fonts
                .iter()
                .all(|font| font.info().coverage.contains(symbol as u32)),
        }
    }
}

/// Zero-width space: a place where a line may break.
const BREAK: char = '\u{200b}';

fn is_mark(symbol: char) -> bool {
    matches!(symbol, '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// Adds break points to words too long for a column, after separators where there are any.
pub(super) fn breakable(text: &str) -> String {
    if !text
        .split_whitespace()
        .any(|word| word.chars().count() > LONGEST_WORD)
    {
        return text.to_owned();
    }
    let mut broken = String::with_capacity(text.len() + 16);
    let mut run = 0;
    for symbol in text.chars() {
        broken.push(symbol);
        run += 1;
        let separator = matches!(symbol, '_' | '-' | '/' | '.' | ':' | '@');
        if symbol.is_whitespace() {
            run = 0;
        } else if separator && run > 5 || run >= LONGEST_WORD {
            broken.push(BREAK);
            run = 0;
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::world;

    fn cleaned(text: &str) -> String {
        let mut value = Value::String(text.to_owned());
        Printable::new(world::fonts().unwrap()).clean(&mut value);
        value.as_str().unwrap().to_owned()
    }

    #[test]
    fn latin_greek_and_cyrillic_text_is_untouched() {
        for text in [
            "Příliš žluťoučký kůň",
            "¿Señal débil?",
            "Ελλάδα",
            "Москва",
            "#import $x$ *a* _b_",
            "12,3\u{a0}%",
        ] {
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn characters_without_a_glyph_become_a_replacement_sign() {
        assert_eq!(cleaned("日本"), "□□");
        assert_eq!(cleaned("a\u{e001}b"), "a□b");
        assert_eq!(cleaned("a\nb\u{202e}c"), "a bc");
    }

    #[test]
    fn only_overlong_words_get_break_points() {
        assert_eq!(breakable("Winter renewals Madrid"), "Winter renewals Madrid");
        let broken = breakable("winter_renewals_2026_madrid_north");
        assert!(broken.contains("winter_\u{200b}renewals_"), "{broken:?}");
        assert_eq!(
            broken.replace('\u{200b}', ""),
            "winter_renewals_2026_madrid_north"
        );
    }
}
