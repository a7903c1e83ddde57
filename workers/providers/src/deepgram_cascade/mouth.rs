//! The mouth: Aura, which speaks what it is given when it is told to, and forgets it when it is told to.

use serde::Deserialize;
use serde_json::json;

use crate::{Account, AudioFormat, Endpoint, Session, deepgram, models, text::Text};

/// A sentence that does not end is cut at a space after so many characters.
const LONGEST_SENTENCE: usize = 240;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoke {
    Flushed,
    Warning(String),
    Nothing,
}

/// The state of the mouth.
#[derive(Debug)]
pub(super) struct Mouth {
    voice: String,
    /// Not a whole sentence yet.
    waiting: String,
    characters: u64,
    /// How many times it was told to forget and has not said that it did: what comes until then is old.
    clearing: u32,
}

impl Mouth {
    pub(super) fn new(session: &Session) -> Self {
        let language = session.languages.first().map_or("en", String::as_str);
        let voice = session
            .voice
            .clone()
            .or_else(|| models::deepgram_voice(language).map(str::to_owned));
        Self {
            voice: voice.unwrap_or_default(),
            waiting: String::new(),
            characters: 0,
            clearing: 0,
        }
    }

    /// Empty where there is none for the language.
    pub(super) fn voice(&self) -> &str {
        &self.voice
    }

    pub(super) fn endpoint(&self, account: &Account, format: AudioFormat) -> Option<Endpoint> {
        let (encoding, rate) = deepgram::encoding(format);
        let query = [
            ("model", self.voice.clone()),
            ("encoding", encoding.to_owned()),
            ("sample_rate", rate.to_string()),
        ];
        deepgram::socket(account, "/v1/speak", &query)
    }

    /// Takes words and gives whole sentences.
    pub(super) fn say(&mut self, text: &str) -> Vec<String> {
        self.waiting.push_str(text);
        let mut messages = Vec::new();
        while let Some(end) = sentence_end(&self.waiting) {
            let rest = self.waiting.split_off(end);
            let sentence = std::mem::replace(&mut self.waiting, rest);
            messages.extend(self.speak(&sentence));
        }
        messages
    }

    fn speak(&mut self, text: &str) -> Option<String> {
        if text.trim().is_empty() {
            return None;
        }
        self.characters += text.chars().count() as u64;
        Some(json!({"type": "Speak", "text": text}).to_string())
    }

    /// What was waiting, and the order to speak all of it. Once for each answer: it takes twenty a minute.
    pub(super) fn flush(&mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.waiting);
        let mut messages: Vec<String> = self.speak(&rest).into_iter().collect();
        messages.push(json!({"type": "Flush"}).to_string());
        messages
    }

    pub(super) fn clear(&mut self) -> String {
        self.waiting.clear();
        self.clearing += 1;
        json!({"type": "Clear"}).to_string()
    }

    pub(super) const fn is_clearing(&self) -> bool {
        self.clearing > 0
    }

    pub(super) fn unbilled_characters(&mut self) -> u64 {
        std::mem::take(&mut self.characters)
    }

    pub(super) fn take(&mut self, text: &str) -> Spoke {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(rename = "type", borrow)]
            kind: Text<'a>,
            #[serde(borrow)]
            code: Option<Text<'a>>,
        }
        let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
            return Spoke::Nothing;
        };
        match &*message.kind {
            "Flushed" if self.clearing == 0 => Spoke::Flushed,
            "Cleared" => {
                self.clearing = self.clearing.saturating_sub(1);
                Spoke::Nothing
            }
            "Warning" => Spoke::Warning(message.code.as_deref().unwrap_or("speak").to_owned()),
            _ => Spoke::Nothing,
        }
    }
}

/// Where the first whole sentence ends: after its mark and the space behind it, so that `3.5` stays whole.
fn sentence_end(text: &str) -> Option<usize> {
    let mut space = None;
    for (at, character) in text.char_indices() {
        let after = at + character.len_utf8();
        let next = text[after..].chars().next();
        if matches!(character, '.' | '!' | '?' | '…' | ':' | ';' | '\n')
            && next.is_some_and(char::is_whitespace)
        {
            return Some(after);
        }
        if character.is_whitespace() {
            space = Some(after);
        }
        if at >= LONGEST_SENTENCE {
            return space;
        }
    }
    None
}

/// The words of a text that were heard when so much of its audio was: by proportion, cut between words.
pub(super) fn heard_part(text: &str, heard_ms: u64, total_ms: u64) -> &str {
    if heard_ms >= total_ms {
        return text;
    }
    let characters = text.chars().count() as u64;
    let heard = usize::try_from(characters * heard_ms / total_ms.max(1)).unwrap_or(usize::MAX);
    let end = text.char_indices().nth(heard).map_or(text.len(), |(at, _)| at);
    let cut = &text[..end];
    match cut.rfind(char::is_whitespace) {
        // A word that was begun was not heard.
        Some(space) if !text[end..].starts_with(char::is_whitespace) => cut[..space].trim_end(),
        None if end < text.len() => "",
        _ => cut.trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_end_at_their_marks_and_numbers_are_whole() {
        assert_eq!(sentence_end("It is 3.5 percent. Next"), Some(18));
        assert_eq!(sentence_end("No end in sight"), None);
        assert_eq!(sentence_end("Not sure yet."), None);
        let long = "word ".repeat(60);
        assert_eq!(sentence_end(&long).map(|end| &long[end - 1..end]), Some(" "));
    }

    #[test]
    fn half_of_the_audio_is_half_of_the_words() {
        assert_eq!(heard_part("one two three four", 500, 1_000), "one two");
        assert_eq!(
            heard_part("one two three four", 1_000, 1_000),
            "one two three four"
        );
        assert_eq!(heard_part("one two three four", 0, 1_000), "");
        assert_eq!(heard_part("žluťoučký kůň", 100, 1_000), "");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_words_taken_and_words_spoken(pieces in proptest::collection::vec("[a-z.! č]{0,12}", 0..40)) {
            let session = crate::recorder::session("any", AudioFormat::PCMU);
            let mut mouth = Mouth::new(&session);
            let mut messages: Vec<String> = pieces.iter().flat_map(|piece| mouth.say(piece)).collect();
            messages.extend(mouth.flush());
            let spoken: String = messages
                .iter()
                .filter_map(|message| {
                    let message: serde_json::Value = serde_json::from_str(message).unwrap();
                    message["text"].as_str().map(str::to_owned)
                })
                .collect();
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&spoken), letters(&pieces.concat()));
        }

        #[test]
        fn what_was_heard_is_a_beginning_of_what_was_said(text in "[a-zčž ]{0,60}", heard in 0..2_000_u64) {
            let text = text.trim();
            let part = heard_part(text, heard, 1_000);
            prop_assert!(text.starts_with(part));
        }
    }
}
