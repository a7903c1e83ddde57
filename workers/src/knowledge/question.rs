//! What of a question leads to passages, and how much each of its words counts.

use super::words::Dictionary;

/// The rarest words lead to so many passages together; the others only rank them.
const CANDIDATES: u32 = 1_000;
/// A passage must count for so much of the question.
const LEAST: f64 = 0.25;

/// A word of a question, as a dictionary makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stem {
    pub(super) word: String,
    /// In so many passages of the tenant it stands.
    pub(super) passages: u32,
}

/// A question by one dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) dictionary: Dictionary,
    pub(super) stems: Vec<Stem>,
    /// The tenant has so many passages in this dictionary.
    pub(super) all: u32,
}

impl Reading {
    fn known(&self) -> usize {
        self.stems.iter().filter(|stem| stem.passages > 0).count()
    }
}

/// The reading of which the most is known: that is the language of the question.
pub(super) fn best(readings: Vec<Reading>) -> Option<Reading> {
    readings
        .into_iter()
        .max_by_key(|reading| (reading.known(), reading.all))
}

/// What the database is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hunt {
    /// A query that leads to passages.
    pub(super) candidates: String,
    /// The words that rank them, each as a query.
    pub(super) stems: Vec<String>,
    /// What each counts.
    pub(super) weights: Vec<f64>,
    /// What counts less is no answer.
    pub(super) least: f64,
}

/// Looks for the passages with the rarest words of the question. None where no word of it stands anywhere.
pub(super) fn hunt(reading: &Reading) -> Option<Hunt> {
    let mut known: Vec<&Stem> = reading.stems.iter().filter(|stem| stem.passages > 0).collect();
    known.sort_by_key(|stem| stem.passages);
    let rarest = known.first()?;
    let unknown = reading.stems.len() - known.len();
    let weight = |passages: u32| (f64::from(reading.all) / f64::from(passages.max(1))).ln_1p();
    let stems: Vec<String> = known.iter().map(|stem| quoted(&stem.word)).collect();
    let weights: Vec<f64> = known.iter().map(|stem| weight(stem.passages)).collect();
    let candidates = if rarest.passages > CANDIDATES {
        // Words that are everywhere lead somewhere only together.
        stems[..stems.len().min(3)].join(" & ")
    } else {
        let mut room = CANDIDATES;
        let leading = known.iter().zip(&stems).take_while(|(stem, _)| {
            let fits = stem.passages <= room;
            room = room.saturating_sub(stem.passages);
            fits
        });
        leading
            .map(|(_, stem)| stem.as_str())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    // A word nobody wrote may have been beside the point.
    let asked = weights.iter().sum::<f64>() + 0.5 * unknown as f64 * weight(1);
    Some(Hunt {
        candidates,
        stems,
        weights,
        least: LEAST * asked,
    })
}

/// The word as it stands in a query.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

/// The word that was meant, of those a slip away: fewest slips first, then the one that stands in most passages.
pub(super) fn meant<'w>(asked: &str, written: impl IntoIterator<Item = (&'w str, u32)>) -> Option<&'w str> {
    let most = if asked.chars().count() > 6 { 2 } else { 1 };
    written
        .into_iter()
        .map(|(word, passages)| (strsim::osa_distance(asked, word), passages, word))
        .filter(|(slips, ..)| *slips <= most)
        .min_by(|(a, many, x), (b, more, y)| a.cmp(b).then(more.cmp(many)).then(x.cmp(y)))
        .map(|(_, _, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(dictionary: Dictionary, all: u32, stems: &[(&str, u32)]) -> Reading {
        let stems = stems.iter().map(|(word, passages)| Stem {
            word: (*word).to_owned(),
            passages: *passages,
        });
        Reading {
            dictionary,
            stems: stems.collect(),
            all,
        }
    }

    #[test]
    fn the_language_of_a_question_is_the_one_most_of_its_words_are_known_in() {
        let english = reading(Dictionary::English, 900, &[("return", 4), ("polic", 0)]);
        let spanish = reading(Dictionary::Spanish, 100, &[("return", 1), ("policy", 1)]);
        let found = best(vec![english, spanish.clone()]).unwrap();
        assert_eq!(found, spanish);
        assert_eq!(best(Vec::new()), None);
    }

    #[test]
    fn rare_words_lead_and_common_ones_only_rank() {
        let asked = reading(
            Dictionary::English,
            30_000,
            &[("card", 9_000), ("refund", 400), ("visa", 30), ("o'hara\\", 0)],
        );
        let hunt = hunt(&asked).unwrap();
        assert_eq!(hunt.candidates, "'visa' | 'refund'");
        assert_eq!(hunt.stems, ["'visa'", "'refund'", "'card'"]);
        assert!(hunt.weights.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(hunt.least > 0.0 && hunt.least < hunt.weights[0]);
        assert_eq!(quoted("o'hara\\"), r"'o''hara\\'");
    }

    #[test]
    fn common_words_alone_lead_only_together_and_unknown_ones_nowhere() {
        let common = reading(Dictionary::English, 30_000, &[("card", 9_000), ("pay", 8_000)]);
        assert_eq!(hunt(&common).unwrap().candidates, "'pay' & 'card'");
        assert_eq!(hunt(&reading(Dictionary::English, 30_000, &[("xyzzy", 0)])), None);
    }

    #[test]
    fn a_misspelt_word_is_taken_for_the_nearest_one_and_a_foreign_one_for_none() {
        let written = [("return", 3), ("retain", 90), ("refund", 9)];
        assert_eq!(meant("retrun", written), Some("return"));
        assert_eq!(meant("refnd", written), Some("refund"));
        assert_eq!(meant("parking", written), None);
        assert_eq!(meant("from", [("form", 2), ("farm", 9)]), Some("form"));
    }
}
