//! Articles, cut into passages that can be read aloud.
//!
//! Text and Markdown alike: a paragraph is a passage, short neighbours of one section are one together, long ones are
//! cut between sentences. What is only there for the eye (stars, links' addresses, tables' bars) is left out.

/// The longest passage, in characters: half a minute of speech.
pub const LONGEST: usize = 600;
/// A passage shorter than this takes in its neighbour.
const SHORT: usize = 250;

/// The passages of a text.
#[must_use]
pub fn passages(body: &str) -> Vec<String> {
    let mut passages: Vec<String> = Vec::new();
    for section in sections(body) {
        let first = passages.len();
        for paragraph in section {
            for piece in pieces(&paragraph) {
                match passages[first..].last_mut() {
                    Some(last) if fit(last, piece) => {
                        last.push(' ');
                        last.push_str(piece);
                    }
                    _ => passages.push(piece.to_owned()),
                }
            }
        }
    }
    passages
}

fn fit(last: &str, next: &str) -> bool {
    let (last, next) = (last.chars().count(), next.chars().count());
    last.min(next) < SHORT && last + next < LONGEST
}

/// Paragraphs under one heading each; the heading opens the first of them.
fn sections(body: &str) -> Vec<Vec<String>> {
    let mut sections = vec![Vec::new()];
    let mut paragraph = String::new();
    let end = |paragraph: &mut String, sections: &mut Vec<Vec<String>>| {
        let text = std::mem::take(paragraph);
        if let Some(section) = sections.last_mut().filter(|_| !text.is_empty()) {
            section.push(text);
        }
    };
    for line in body.lines().map(str::trim) {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            end(&mut paragraph, &mut sections);
            sections.push(Vec::new());
            paragraph = sentence(heading);
        } else if line.is_empty() {
            // A heading stays with what follows it.
            if sections.last().is_some_and(|section| !section.is_empty()) || !paragraph.ends_with(':') {
                end(&mut paragraph, &mut sections);
            }
        } else if !line.starts_with("```") && !line.chars().all(|mark| "-=*_|: ".contains(mark)) {
            let (text, item) = match line
                .strip_prefix(['-', '*', '+'])
                .and_then(|rest| rest.strip_prefix(' '))
            {
                Some(item) => (item, true),
                None => (line, false),
            };
            let text = spoken(text);
            if text.is_empty() {
                continue;
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(&text);
            if item && text.ends_with(char::is_alphanumeric) {
                paragraph.push(';');
            }
        }
    }
    end(&mut paragraph, &mut sections);
    sections
}

/// A heading, so that what follows belongs to it.
fn sentence(heading: &str) -> String {
    let mut text = spoken(heading);
    if text.ends_with(char::is_alphanumeric) {
        text.push(':');
    }
    text
}

/// The words of a line, without marks for the eye.
fn spoken(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        if letter == '['
            && let Some((label, target)) = after.split_once("](")
            && let Some((_, behind)) = target.split_once(')')
            && !label.contains(['[', ']'])
        {
            // Of an image nothing can be said.
            if text.ends_with('!') {
                text.pop();
            } else {
                text.push_str(label);
            }
            rest = behind;
            continue;
        }
        match letter {
            '*' | '`' | '>' => {}
            '|' => text.push(' '),
            other => text.push(other),
        }
        rest = after;
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A paragraph in pieces that are short enough: between sentences, else between words, else anywhere.
fn pieces(paragraph: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = paragraph.trim();
    while let Some((limit, _)) = rest.char_indices().nth(LONGEST) {
        let head = &rest[..limit];
        let cut = [". ", "! ", "? ", "; "]
            .iter()
            .filter_map(|end| head.rfind(end).map(|at| at + 1))
            .max()
            .or_else(|| head.rfind(' '))
            .filter(|cut| *cut > 0)
            .unwrap_or(limit);
        pieces.push(rest[..cut].trim());
        rest = rest[cut..].trim();
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headings_stay_with_their_paragraph_and_marks_for_the_eye_are_not_read() {
        let body = "Intro with **bold** words.\n\n## Opening hours\n\n- Monday to Friday 9-17\n- Saturday: closed\n\n\
                    See [our shop](https://shop.example.com/a?b) ![logo](x.png)today.\n\n| a | b |\n|---|---|\n";
        assert_eq!(
            passages(body),
            [
                "Intro with bold words.",
                "Opening hours: Monday to Friday 9-17; Saturday: closed; See our shop today. a b",
            ]
        );
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences() {
        let sentence = "We take goods back within thirty days of their delivery. ";
        let cut = passages(&sentence.repeat(30));
        assert!(cut.len() > 2);
        assert!(cut.iter().all(|passage| passage.ends_with('.')), "{cut:?}");
        assert_eq!(cut.join(" "), sentence.repeat(30).trim());
    }

    proptest! {
        #[test]
        fn no_passage_is_empty_or_too_long_and_no_letter_is_lost(body in "([a-zěš0-9]{1,12}[ .\n#*-]{1,3}){0,300}") {
            let cut = passages(&body);
            for passage in &cut {
                prop_assert!(!passage.is_empty());
                prop_assert!(passage.chars().count() <= LONGEST);
            }
            let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&cut.concat()), letters(&body));
        }
    }
}
