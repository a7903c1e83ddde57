//! What was said, as text: of the agent both what was generated and what was heard of it.

use std::collections::VecDeque;

use voice_providers::{Speaker, Stage, Transcript};
use voice_turns::{Item, back_channel::Language, heard_text::heard_text, playout::Truth};

use crate::{facts::Utterance, redaction::redacted};

/// The longest text of one item that is kept, in bytes.
const LONGEST: usize = 8 << 10;
/// Items under way at a time; an answer has one or two.
const MOST: usize = 8;

/// The texts of the items under way.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    agent: Vec<(Item, String)>,
    /// Items that were told: what still comes of them is too late.
    told: VecDeque<Item>,
    caller: String,
    language: Option<Language>,
}

impl Talk {
    /// The language the caller speaks, as far as the provider has said.
    pub(crate) const fn language(&self) -> Option<Language> {
        self.language
    }

    /// What the caller is saying.
    pub(crate) fn caller(&self) -> &str {
        &self.caller
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
    pub(crate) fn caller_said(&mut self, transcript: &Transcript<'_>) -> Option<Utterance> {
        merge(&mut self.caller, transcript);
        if let Some(language) = &transcript.language {
            self.language = Language::parse(language).or(self.language);
        }
        if transcript.stage != Stage::Final {
            return None;
        }
        let text = redacted(&std::mem::take(&mut self.caller));
        (!text.is_empty()).then(|| Utterance {
            speaker: Speaker::Caller,
            heard: text.clone(),
            text,
            language: transcript
                .language
                .as_deref()
                .map(|language| language.chars().take(16).collect()),
            heard_ms: None,
            generated_ms: None,
            interrupted: false,
        })
    }

    /// Nothing more of this item will be heard.
    pub(crate) fn finish(&mut self, truth: Truth, interrupted: bool) -> Option<Utterance> {
        let index = self.agent.iter().position(|(item, _)| *item == truth.item)?;
        let (item, text) = self.agent.remove(index);
        if self.told.len() == MOST {
            self.told.pop_front();
        }
        self.told.push_back(item);
        // Redacted before it is cut: a number cut in half would not be known for one.
        let text = redacted(&text);
        let heard = heard_text(&text, truth.heard, truth.generated).to_owned();
        (!text.is_empty()).then_some(Utterance {
            speaker: Speaker::Agent,
            text,
            heard,
            language: None,
            heard_ms: Some(truth.heard_ms()),
            generated_ms: Some(truth.generated_ms()),
            interrupted,
        })
    }

    /// The items whose end has not come.
    pub(crate) fn open(&self) -> Vec<Item> {
        self.agent.iter().map(|(item, _)| *item).collect()
    }
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
