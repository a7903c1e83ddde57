//! What was said, as text: of the agent both what was generated and what was heard of it.
//!
//! What is told is redacted. What the next session is told is not, for it goes back to those who said it: a model
//! that lost its connection must not ask for the number again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use voice_providers::{Said, Speaker, Stage, Transcript};
use voice_turns::{Item, back_channel::Language, heard_text::heard_text, playout::Truth};

use crate::{facts::Utterance, redaction::redacted};

/// The longest text of one item that is kept, in bytes.
const LONGEST: usize = 8 << 10;
/// Items under way at a time; an answer has one or two.
const MOST: usize = 8;
/// What is kept for the next session, in bytes: some ten minutes.
const REMEMBERED: usize = 12 << 10;

/// The texts of the items under way, and what was said before.
#[derive(Debug)]
pub(crate) struct Talk {
    began: Instant,
    agent: Vec<(Item, String)>,
    /// Items that were told: what still comes of them is too late.
    told: VecDeque<Item>,
    caller: String,
    /// When the caller began and stopped, as far as the local ear has heard.
    spoke: (Option<Instant>, Option<Instant>),
    language: Option<Language>,
    number: u32,
    history: VecDeque<Said>,
    remembered: usize,
    said: u64,
}

impl Talk {
    pub(crate) const fn new(began: Instant) -> Self {
        Self {
            began,
            agent: Vec::new(),
            told: VecDeque::new(),
            caller: String::new(),
            spoke: (None, None),
            language: None,
            number: 0,
            history: VecDeque::new(),
            remembered: 0,
            said: 0,
        }
    }

    /// The language the caller speaks, as far as the provider has said.
    pub(crate) const fn language(&self) -> Option<Language> {
        self.language
    }

    /// What the caller is saying.
    pub(crate) fn caller(&self) -> &str {
        &self.caller
    }

    /// How many things were said and are over.
    pub(crate) const fn said(&self) -> u64 {
        self.said
    }

    /// What was said so far, for a session that is to go on with it; the oldest first.
    pub(crate) fn history(&self) -> Vec<Said> {
        let under_way = self.agent.iter().map(|(_, text)| (Speaker::Agent, text));
        let caller = std::iter::once((Speaker::Caller, &self.caller));
        let under_way = under_way.chain(caller).filter(|(_, text)| !text.is_empty());
        let under_way = under_way.map(|(speaker, text)| Said {
            speaker,
            text: text.clone(),
        });
        self.history.iter().cloned().chain(under_way).collect()
    }

    /// The caller began or stopped to speak.
    pub(crate) const fn spoke(&mut self, speaking: bool, at: Instant) {
        if !speaking {
            self.spoke.1 = Some(at);
        } else if self.spoke.0.is_none() {
            self.spoke.0 = Some(at);
        }
    }

    /// Words of the agent.
    pub(crate) fn agent(&mut self, item: Item, transcript: &Transcript<'_>) {
        if self.told.contains(&item) {
            return;
        }
        let index = self.agent.iter().position(|(known, _)| *known == item);
        let index = index.unwrap_or_else(|| {
            // Items of which nothing is ever heard do not gather here.
            if self.agent.len() == MOST {
                self.agent.remove(0);
            }
            self.agent.push((item, String::new()));
            self.agent.len() - 1
        });
        merge(&mut self.agent[index].1, transcript);
    }

    /// Words of the caller; gives the utterance once it is complete.
    pub(crate) fn caller_said(&mut self, transcript: &Transcript<'_>, now: Instant) -> Option<Utterance> {
        merge(&mut self.caller, transcript);
        if let Some(language) = &transcript.language {
            self.language = Language::parse(language).or(self.language);
        }
        if transcript.stage != Stage::Final {
            return None;
        }
        let said = std::mem::take(&mut self.caller);
        let (starts, ends) = std::mem::take(&mut self.spoke);
        if said.trim().is_empty() {
            return None;
        }
        let text = redacted(&said);
        self.remember(Speaker::Caller, said);
        Some(Utterance {
            number: self.next_number(),
            speaker: Speaker::Caller,
            heard: text.clone(),
            text,
            language: transcript
                .language
                .as_deref()
                .map(|language| language.chars().take(16).collect()),
            starts_ms: starts.map(|at| self.ms(at)),
            ends_ms: self.ms(ends.unwrap_or(now)),
            heard_ms: None,
            generated_ms: None,
            interrupted: false,
        })
    }

    /// Nothing more of this item will be heard.
    pub(crate) fn finish(&mut self, truth: Truth, interrupted: bool, now: Instant) -> Option<Utterance> {
        let index = self.agent.iter().position(|(item, _)| *item == truth.item)?;
        let (item, said) = self.agent.remove(index);
        if self.told.len() == MOST {
            self.told.pop_front();
        }
        self.told.push_back(item);
        if said.trim().is_empty() {
            return None;
        }
        let remembered = heard_text(&said, truth.heard, truth.generated);
        if !remembered.is_empty() {
            let remembered = remembered.to_owned();
            self.remember(Speaker::Agent, remembered);
        }
        // Redacted before it is cut: a number cut in half would not be known for one.
        let text = redacted(&said);
        let heard = heard_text(&text, truth.heard, truth.generated).to_owned();
        let ends_ms = self.ms(now);
        Some(Utterance {
            number: self.next_number(),
            speaker: Speaker::Agent,
            text,
            heard,
            language: None,
            starts_ms: Some(ends_ms.saturating_sub(truth.heard_ms())),
            ends_ms,
            heard_ms: Some(truth.heard_ms()),
            generated_ms: Some(truth.generated_ms()),
            interrupted,
        })
    }

    /// The items whose end has not come.
    pub(crate) fn open(&self) -> Vec<Item> {
        self.agent.iter().map(|(item, _)| *item).collect()
    }

    const fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn remember(&mut self, speaker: Speaker, text: String) {
        self.said += 1;
        self.remembered += text.len();
        self.history.push_back(Said { speaker, text });
        while self.remembered > REMEMBERED
            && self.history.len() > 1
            && let Some(oldest) = self.history.pop_front()
        {
            self.remembered -= oldest.text.len();
        }
    }

    fn ms(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.began))
    }
}

/// Whole milliseconds; a call is shorter than 2^64 of them.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn merge(text: &mut String, transcript: &Transcript<'_>) {
    match transcript.stage {
        Stage::Delta => {}
        Stage::Interim | Stage::Final => text.clear(),
    }
    let room = LONGEST.saturating_sub(text.len());
    let fits = transcript.text.floor_char_boundary(room);
    text.push_str(&transcript.text[..fits]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(speaker: Speaker, text: &str) -> Transcript<'_> {
        Transcript {
            speaker,
            item: "i",
            text: text.into(),
            stage: Stage::Final,
            language: None,
        }
    }

    #[test]
    fn the_next_session_learns_the_numbers_that_nobody_else_is_told() {
        let now = Instant::now();
        let mut talk = Talk::new(now);
        let told = talk
            .caller_said(&said(Speaker::Caller, "It is 555 010 0199."), now)
            .unwrap();
        assert!(!told.text.contains("0199"));
        talk.agent(
            Item(1),
            &said(Speaker::Agent, "I will call back 555 010 0199 tomorrow."),
        );
        let history = talk.history();
        assert_eq!(history.len(), 2);
        assert!(history.iter().all(|said| said.text.contains("0199")));

        let truth = Truth {
            item: Item(1),
            generated: 8_000,
            sent: 8_000,
            heard: 2_000,
        };
        let told = talk.finish(truth, true, now).unwrap();
        assert_eq!((told.number, told.heard_ms), (2, Some(250)));
        let history = talk.history();
        assert_eq!(history[1].text, "I will call", "only what was heard");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_is_kept() {
        let now = Instant::now();
        let mut talk = Talk::new(now);
        for number in 0..1_000 {
            talk.caller_said(
                &said(Speaker::Caller, &format!("utterance {number} {}", "x".repeat(90))),
                now,
            );
        }
        let history = talk.history();
        let bytes: usize = history.iter().map(|said| said.text.len()).sum();
        assert!(bytes <= REMEMBERED && history.len() > 50);
        assert!(history.last().unwrap().text.starts_with("utterance 999"));
        assert_eq!(talk.said(), 1_000);
    }
}
