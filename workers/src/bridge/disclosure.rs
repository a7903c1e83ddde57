//! Whether the caller has heard what they must be told before anything else.
//!
//! The model is asked to say it word for word; what it really said, and how much of that was heard, is known from
//! the transcript. Until it was heard, it is asked for again.

/// Asked for so often, it is left at that: a model that does not say it will not say it.
const MOST_TIMES: u32 = 3;

/// A sentence that must be heard.
#[derive(Clone, Debug)]
pub(super) struct Disclosure {
    sentence: String,
    times: u32,
}

/// What is known after the agent has said something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The caller has heard it.
    Heard,
    /// They have not: this is for the model.
    Again(String),
    /// It was asked for often enough.
    GivenUp,
}

impl Disclosure {
    pub(super) const fn new(sentence: String) -> Self {
        Self { sentence, times: 1 }
    }

    /// How a call begins.
    pub(super) fn opening(&self, greeting: Option<&str>) -> String {
        let then = greeting
            .map(|greeting| format!("\n\nThen: {greeting}"))
            .unwrap_or_default();
        format!(
            "Begin by saying exactly the following, word for word and in the language it is written in:\n\n{}{then}",
            self.sentence
        )
    }

    /// The caller has heard this from the agent.
    pub(super) fn heard(&mut self, text: &str) -> Verdict {
        if contains(text, &self.sentence) {
            return Verdict::Heard;
        }
        if self.times == MOST_TIMES {
            return Verdict::GivenUp;
        }
        self.times += 1;
        Verdict::Again(format!(
            "The caller has not heard the following yet. Say it now, word for word, before anything else:\n\n{}",
            self.sentence
        ))
    }
}

/// All words of the sentence, one after another, whatever stands between the letters.
fn contains(text: &str, sentence: &str) -> bool {
    let (text, sentence) = (words(text), words(sentence));
    sentence.is_empty() || text.windows(sentence.len()).any(|part| part == sentence)
}

fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_and_capitals_make_no_difference_and_half_a_sentence_does() {
        let mut disclosure = Disclosure::new("This call is handled by a virtual assistant.".to_owned());
        let said = "Hello! This call is handled by a virtual assistant, and recorded.";
        assert_eq!(disclosure.heard(said), Verdict::Heard);
        assert!(matches!(
            disclosure.heard("Hello! This call is handled"),
            Verdict::Again(_)
        ));
    }

    #[test]
    fn a_sentence_a_model_will_not_say_is_asked_for_a_few_times() {
        let mut disclosure = Disclosure::new("I am a machine.".to_owned());
        let Verdict::Again(instructions) = disclosure.heard("Hi!") else {
            panic!("it was not heard")
        };
        assert!(instructions.contains("I am a machine."));
        assert!(matches!(disclosure.heard(""), Verdict::Again(_)));
        assert_eq!(disclosure.heard("Hi!"), Verdict::GivenUp);
    }

    #[test]
    fn other_alphabets_have_words_too() {
        let mut disclosure = Disclosure::new("Mluvíte s virtuální asistentkou.".to_owned());
        assert_eq!(
            disclosure.heard("Dobrý den, mluvíte s virtuální asistentkou firmy."),
            Verdict::Heard
        );
    }
}
