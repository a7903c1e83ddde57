//! Runs of digits, written or spoken, that are too long for a year, a price or a door.

use super::words::{Spoken, spoken};

/// Fewer digits are a year, a price or a door.
const NUMBER: usize = 7;
/// Written numbers behind commas are a list of such things, unless they have as many digits as the shortest card.
const LISTED: usize = 13;
/// A British insurance number has six digits between letters.
const INSURANCE: usize = 6;
const REPLACEMENT: &str = "[number]";

/// The text without them.
pub(super) fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    let mut rest = Tokens { text, at: 0 };
    while let Some(token) = rest.next() {
        let Some(mut run) = Run::begin(text, &token) else {
            continue;
        };
        // Tokens behind the last number are looked at once more: they may begin another run.
        let mut behind = rest.at;
        while let Some(next) = rest.next() {
            match run.take(text, &next) {
                Step::Number => behind = rest.at,
                Step::Between => {}
                Step::Over => break,
            }
        }
        rest.at = behind;
        if let Some((from, to)) = run.redact(text, kept) {
            out.push_str(text.get(kept..from).unwrap_or_default());
            out.push_str(REPLACEMENT);
            kept = to;
            rest.at = to.max(rest.at);
        }
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

/// A stretch of digits, of letters, or one other character.
struct Token {
    from: usize,
    to: usize,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Digits,
    Letters,
    Other(char),
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        let rest = self.text.get(self.at..)?;
        let first = rest.chars().next()?;
        let stretch = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let (length, kind) = if first.is_ascii_digit() {
            (stretch(|c| c.is_ascii_digit()), Kind::Digits)
        } else if first.is_alphabetic() {
            (stretch(char::is_alphabetic), Kind::Letters)
        } else {
            (first.len_utf8(), Kind::Other(first))
        };
        let from = self.at;
        self.at += length;
        Some(Token {
            from,
            to: self.at,
            kind,
        })
    }
}

enum Step {
    /// The token is part of the number.
    Number,
    /// It may stand between two parts.
    Between,
    /// It is neither.
    Over,
}

/// A number under way.
struct Run {
    from: usize,
    /// Behind its last part.
    to: usize,
    digits: usize,
    /// Digits since the last comma or `and`, and the most between two of them.
    item: usize,
    longest_item: usize,
    comma: bool,
    spoken: bool,
    /// What the last part was.
    last: Option<Spoken>,
}

impl Run {
    fn begin(text: &str, token: &Token) -> Option<Self> {
        let mut run = Self {
            from: token.from,
            to: token.from,
            digits: 0,
            item: 0,
            longest_item: 0,
            comma: false,
            spoken: false,
            last: None,
        };
        match run.take(text, token) {
            Step::Number => Some(run),
            Step::Between | Step::Over => None,
        }
    }

    fn take(&mut self, text: &str, token: &Token) -> Step {
        let word = text.get(token.from..token.to).unwrap_or_default();
        match token.kind {
            Kind::Digits => {
                self.digits += word.len();
                self.item = if self.comma {
                    word.len()
                } else {
                    self.item + word.len()
                };
                self.longest_item = self.longest_item.max(self.item);
                self.last = None;
            }
            Kind::Letters => {
                let Some(said) = spoken(&word.to_lowercase()) else {
                    return Step::Over;
                };
                match said {
                    Spoken::Link => {
                        self.comma = true;
                        return self.between();
                    }
                    Spoken::Unit if self.last == Some(Spoken::Tens) => {}
                    Spoken::Hundred if self.last == Some(Spoken::Unit) => {}
                    Spoken::Unit | Spoken::Hundred => self.digits += 1,
                    Spoken::Tens | Spoken::Pair => self.digits += 2,
                    Spoken::Times(more) => self.digits += more,
                }
                self.spoken = true;
                self.last = Some(said);
            }
            Kind::Other(',' | ';') => {
                self.comma = true;
                // `twenty, five` are two numbers.
                self.last = None;
                return self.between();
            }
            Kind::Other('+') if self.digits == 0 => return self.between(),
            Kind::Other(c) => {
                let joins = c.is_whitespace() || matches!(c, '+' | '-' | '–' | '.' | '/' | '(' | ')');
                return if joins { self.between() } else { Step::Over };
            }
        }
        self.comma = false;
        self.to = token.to;
        Step::Number
    }

    const fn between(&self) -> Step {
        if self.to > self.from {
            Step::Between
        } else {
            Step::Over
        }
    }

    /// What is to be replaced, if it is a number of somebody. Nothing before `kept` can be.
    fn redact(&self, text: &str, kept: usize) -> Option<(usize, usize)> {
        let before = text.get(kept..self.from)?;
        let after = text.get(self.to..)?;
        if self.digits == INSURANCE && !self.spoken {
            let (from, to) = (insurance_prefix(before)?, insurance_suffix(after)?);
            return Some((kept + from, self.to + to));
        }
        let enough = if self.spoken { NUMBER } else { LISTED };
        if self.digits < enough && self.longest_item < NUMBER {
            return None;
        }
        let identity = !self.spoken && (7..=8).contains(&self.digits);
        let from = match before.chars().next_back() {
            Some('+') => self.from - 1,
            // The letter a foreigner's number begins with in Spain.
            Some('X' | 'Y' | 'Z') if identity && stands_alone(before) => self.from - 1,
            _ => self.from,
        };
        let to = if identity {
            self.to + check_letter(after)
        } else {
            self.to
        };
        Some((from, to))
    }
}

/// Whether the last letter has none before it.
fn stands_alone(before: &str) -> bool {
    !before.chars().rev().nth(1).is_some_and(char::is_alphanumeric)
}

/// The length of the check letter behind an identity number, and of its dash.
fn check_letter(after: &str) -> usize {
    let letter = after.strip_prefix('-').unwrap_or(after);
    let mut letters = letter.chars();
    let check = letters.next().is_some_and(|c| c.is_ascii_uppercase());
    if check && !letters.next().is_some_and(char::is_alphanumeric) {
        after.len() - letter.len() + 1
    } else {
        0
    }
}

/// Where two capital letters of their own begin, right before the digits.
fn insurance_prefix(before: &str) -> Option<usize> {
    let bare = before.trim_end_matches(' ');
    let from = bare.len().checked_sub(2)?;
    let letters = bare.get(from..)?;
    let alone = !bare
        .get(..from)?
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric);
    (alone && letters.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(from)
}

/// How far the letter from A to D reaches, right behind the digits.
fn insurance_suffix(after: &str) -> Option<usize> {
    let bare = after.trim_start_matches(' ');
    let mut letters = bare.chars();
    let last = letters.next().is_some_and(|c| ('A'..='D').contains(&c));
    let alone = !letters.next().is_some_and(char::is_alphanumeric);
    (last && alone).then_some(after.len() - bare.len() + 1)
}
