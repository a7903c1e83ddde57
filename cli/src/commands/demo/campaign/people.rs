//! The list of people of a demo, as a customer would send it: most rows are fine, some are not.

use std::{io::Write as _, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use voice_simulator::places::Place;

const GIVEN: [&str; 24] = [
    "Olivia",
    "Liam",
    "Zuzana",
    "Jiří",
    "Emma",
    "Noah",
    "Žofie",
    "Ondřej",
    "Ava",
    "James",
    "Tereza",
    "Václav",
    "Mia",
    "Lucas",
    "Kateřina",
    "Štěpán",
    "Sofía",
    "Mateo",
    "Chloé",
    "Zoë",
    "Jürgen",
    "Ana",
    "Ethan",
    "Lucía",
];
const FAMILY: [&str; 24] = [
    "Smith",
    "Johnson",
    "Nováková",
    "Dvořák",
    "Brown",
    "Davis",
    "Svobodová",
    "Procházka",
    "Wilson",
    "Clark",
    "Kučerová",
    "Veselý",
    "Lewis",
    "Walker",
    "Horáková",
    "Němec",
    "García",
    "Núñez",
    "Lefèvre",
    "O'Brien",
    "Müller",
    "Silva",
    "Young",
    "Říha",
];
const CITIES: [&str; 6] = [
    "Springfield",
    "Riverside",
    "Český Krumlov, 2nd floor",
    "Fairview",
    "Greenville",
    "Salem",
];

/// Rows that are wrong, of every hundred and fifty.
const WRONG: [&str; 4] = ["n/a", "4.2E+11", "12", ""];

/// What stands in the file, row by row of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Of these without a number anybody has.
    pub invalid: u64,
    /// Of these about somebody of an earlier row.
    pub duplicate: u64,
    /// Of these with a number that must not be called.
    pub suppressed: u64,
}

impl Written {
    /// People who can be called.
    pub const fn callable(&self) -> u64 {
        self.rows - self.invalid - self.duplicate - self.suppressed
    }
}

/// Writes the list to `file`, and to `suppressed` the numbers that must not be called. `agreed` is the share of people
/// who agreed to talk to an AI agent.
pub fn write(
    file: &Path,
    suppressed: &Path,
    place: &Place,
    rows: u32,
    (seed, agreed): (u64, f64),
    now: DateTime<Utc>,
) -> std::io::Result<Written> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x6c69_7374);
    let mut list = std::io::BufWriter::new(std::fs::File::create(file)?);
    let mut stop = std::io::BufWriter::new(std::fs::File::create(suppressed)?);
    let mut written = Written::default();
    writeln!(
        list,
        "customer_id,first_name,last_name,phone,email,city,consent_type,consent_date"
    )?;
    let mut people = 0_u32;
    // Those that may be called.
    let mut known = Vec::new();
    for row in 0..rows {
        written.rows += 1;
        let number = match row % 150 {
            // Somebody of an earlier row, once more and with a number written in another way.
            73 if !known.is_empty() => {
                written.duplicate += 1;
                let number = place.number(known[chance.random_range(0..known.len())]);
                line(&mut list, &mut chance, agreed, None, &spaced(&number), now)?;
                continue;
            }
            nth @ (12 | 49 | 88 | 131) => {
                written.invalid += 1;
                let wrong = WRONG[(nth as usize / 40) % WRONG.len()];
                line(&mut list, &mut chance, agreed, Some(row), wrong, now)?;
                continue;
            }
            _ => place.number(people),
        };
        if row % 150 == 100 {
            written.suppressed += 1;
            writeln!(stop, "{number}")?;
        } else {
            known.push(people);
        }
        people += 1;
        let shown = if row % 7 == 3 { spaced(&number) } else { number };
        line(&mut list, &mut chance, agreed, Some(row), &shown, now)?;
    }
    list.flush()?;
    stop.flush()?;
    Ok(written)
}

fn line(
    list: &mut impl std::io::Write,
    chance: &mut ChaCha8Rng,
    agreed: f64,
    id: Option<u32>,
    phone: &str,
    now: DateTime<Utc>,
) -> std::io::Result<()> {
    let id = id.map_or_else(String::new, |id| format!("C{id:06}"));
    let given = GIVEN[chance.random_range(0..GIVEN.len())];
    let family = FAMILY[chance.random_range(0..FAMILY.len())];
    let city = CITIES[chance.random_range(0..CITIES.len())];
    let agreed = chance.random_bool(agreed.clamp(0.0, 1.0));
    let days = chance.random_range(3..300);
    let (consent, date) = if agreed {
        (
            "ai_processing",
            (now - TimeDelta::days(days)).format("%Y-%m-%d").to_string(),
        )
    } else {
        ("", String::new())
    };
    let number: u32 = chance.random_range(0..1_000_000);
    writeln!(
        list,
        "{id},{given},{family},{phone},person{number:06}@example.com,\"{city}\",{consent},{date}"
    )
}

/// As people write it.
fn spaced(number: &str) -> String {
    let (country, rest) = number.split_at(number.len().min(5));
    let (middle, end) = rest.split_at(rest.len().min(3));
    format!("{country} {middle}-{end}")
}

#[cfg(test)]
mod tests {
    use voice_simulator::places::PLACES;

    use super::*;

    #[test]
    fn the_rows_add_up_and_the_same_seed_writes_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let file = |name: &str| folder.path().join(name);
        let first = write(&file("a"), &file("sa"), &PLACES[0], 1_200, (7, 0.6), now).unwrap();
        let again = write(&file("b"), &file("sb"), &PLACES[0], 1_200, (7, 0.6), now).unwrap();
        assert_eq!(first, again);
        assert_eq!(
            std::fs::read(file("a")).unwrap(),
            std::fs::read(file("b")).unwrap()
        );
        assert_eq!(
            first,
            Written {
                rows: 1_200,
                invalid: 32,
                duplicate: 8,
                suppressed: 8
            }
        );
        let text = std::fs::read_to_string(file("a")).unwrap();
        assert_eq!(text.lines().count(), 1_201);
        assert!(text.contains('ř') && text.contains("4.2E+11"));
        assert_eq!(std::fs::read_to_string(file("sa")).unwrap().lines().count(), 8);
    }
}
