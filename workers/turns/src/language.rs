//! Which language the call is held in, and when it changes.
//!
//! One word of another language is a name or a slip; so a language is taken up when the caller has kept to it for a
//! few utterances, or at once where nothing was said in any other yet.

/// Which languages a call may be held in, and how soon it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// As BCP 47 tags (`en`, `es-US`, `cs`); the call begins in the first.
    pub languages: Vec<String>,
    /// So many utterances in a row change the language.
    pub after: u32,
}

impl Policy {
    /// These languages, changed after two utterances.
    #[must_use]
    pub fn of(languages: &[&str]) -> Self {
        Self {
            languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
            after: 2,
        }
    }
}

/// The language of one call.
#[derive(Clone, Debug)]
pub struct Switch {
    policy: Policy,
    current: usize,
    candidate: usize,
    streak: u32,
    confirmed: bool,
}

impl Switch {
    /// A call that begins in the first language.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            current: 0,
            candidate: 0,
            streak: 0,
            confirmed: false,
        }
    }

    /// The language of the call.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.policy.languages.get(self.current).map(String::as_str)
    }

    /// The caller said something in this language. Gives the language to change to, as the policy names it.
    pub fn heard(&mut self, tag: &str) -> Option<&str> {
        let heard = self
            .policy
            .languages
            .iter()
            .position(|known| primary(known).eq_ignore_ascii_case(primary(tag)))?;
        if heard == self.current {
            self.confirmed = true;
            self.streak = 0;
            return None;
        }
        self.streak = if heard == self.candidate {
            self.streak + 1
        } else {
            1
        };
        self.candidate = heard;
        if self.confirmed && self.streak < self.policy.after {
            return None;
        }
        (self.current, self.streak, self.confirmed) = (heard, 0, true);
        self.current()
    }
}

/// The language of a tag, without its region.
#[must_use]
pub fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn call() -> Switch {
        Switch::new(Policy::of(&["en", "es-US", "cs"]))
    }

    #[test]
    fn a_caller_who_begins_in_another_language_is_followed_at_once() {
        let mut call = call();
        assert_eq!(call.heard("es"), Some("es-US"));
        assert_eq!(call.heard("es-MX"), None);
    }

    #[test]
    fn one_foreign_utterance_changes_nothing_and_a_second_one_does() {
        let mut call = call();
        assert_eq!(call.heard("en-GB"), None);
        assert_eq!(call.heard("cs"), None);
        assert_eq!(call.heard("en"), None);
        assert_eq!(call.heard("cs"), None);
        assert_eq!(call.heard("es"), None, "neither was kept to");
        assert_eq!(call.heard("es"), Some("es-US"));
    }

    proptest! {
        #[test]
        fn a_call_is_only_ever_held_in_a_language_that_is_allowed(
            heard in vec(select(vec!["en", "es", "cs", "de", "", "x-y"]), 0..40),
        ) {
            let mut call = call();
            for tag in heard {
                let before = call.current().map(str::to_owned);
                let changed = call.heard(tag).map(str::to_owned);
                let now = call.current().map(str::to_owned);
                prop_assert!(now.is_some());
                prop_assert_eq!(changed.is_some(), before != now);
                if let Some(changed) = changed {
                    prop_assert_eq!(primary(&changed), tag);
                }
            }
        }
    }
}
