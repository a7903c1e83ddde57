//! Rule packs as text: the files that are built in, and how one rule is written.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    abandonment::{AbandonmentText, SafeHarbour},
    capacity::CallerIdNeed,
    consent::{ConsentNeed, Registry},
    history::{Cap, CoolOff},
    hours::Week,
    jurisdiction::Jurisdiction,
    request::{Mode, Purpose},
    verdict::Obligation,
};

macro_rules! files {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../packs/", $path)))),+] };
}

/// The packs that are built in.
pub(crate) const PACKS: &[(&str, &str)] = files![
    "strictest.toml",
    "us.toml",
    "gb.toml",
    "cz.toml",
    "es.toml",
    "fr.toml",
    "de.toml",
    "ca.toml",
    "us/al.toml",
    "us/ca.toml",
    "us/ct.toml",
    "us/fl.toml",
    "us/il.toml",
    "us/ky.toml",
    "us/la.toml",
    "us/ma.toml",
    "us/md.toml",
    "us/mi.toml",
    "us/mn.toml",
    "us/ms.toml",
    "us/mt.toml",
    "us/nh.toml",
    "us/nm.toml",
    "us/nv.toml",
    "us/ok.toml",
    "us/pa.toml",
    "us/ri.toml",
    "us/tx.toml",
    "us/wa.toml",
];

/// The holiday calendars that are built in; one that includes another stands below it.
pub(crate) const CALENDARS: &[(&str, &str)] = files![
    "holidays/us.toml",
    "holidays/us-al.toml",
    "holidays/us-la.toml",
    "holidays/us-pa.toml",
    "holidays/us-ri.toml",
    "holidays/es.toml",
    "holidays/fr.toml",
];

/// What is wrong with packs or plans, all of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}", faults.join("\n"))]
pub struct PackError {
    faults: Vec<String>,
}

impl PackError {
    pub(crate) fn new(file: &str, what: String) -> Self {
        Self {
            faults: vec![format!("{file}: {what}")],
        }
    }

    pub(crate) fn of(faults: Vec<String>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self { faults })
        }
    }

    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        "rule_pack"
    }

    /// Each fault, with its file.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A law or regulation.
    Statute,
    /// What a regulator says it will act on.
    Regulator,
    /// Our own caution.
    House,
}

/// How sure we are of what a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Its content was read in a source.
    Verified,
    /// From general knowledge; a lawyer should look.
    Unverified,
}

/// The one pack of a jurisdiction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackText {
    pub(crate) jurisdiction: Jurisdiction,
    /// The place, as it stands in a sentence.
    pub(crate) name: String,
    pub(crate) version: String,
    /// By whose midnight `from` and `until` are read.
    pub(crate) zone: Tz,
    pub(crate) rule: Vec<RuleText>,
}

/// One rule; exactly one of the fields from `hours` on says what it asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) basis: Basis,
    pub(crate) confidence: Confidence,
    pub(crate) note: Option<String>,
    /// The first day on which it holds.
    pub(crate) from: Option<NaiveDate>,
    /// The first day on which it no longer does.
    pub(crate) until: Option<NaiveDate>,
    pub(crate) purposes: Option<Vec<Purpose>>,
    pub(crate) modes: Option<Vec<Mode>>,
    pub(crate) hours: Option<HoursText>,
    pub(crate) cap: Option<Cap>,
    pub(crate) cool_off: Option<CoolOff>,
    pub(crate) consent: Option<ConsentNeed>,
    pub(crate) registry: Option<Registry>,
    pub(crate) caller_id: Option<CallerIdNeed>,
    pub(crate) abandonment: Option<AbandonmentText>,
    pub(crate) safe_harbour: Option<SafeHarbour>,
    pub(crate) ring: Option<RingText>,
    pub(crate) obligations: Option<Vec<Obligation>>,
    pub(crate) registration: Option<String>,
    pub(crate) revocation: Option<RevocationText>,
    pub(crate) records: Option<RecordsText>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoursText {
    pub(crate) week: Week,
    /// A holiday calendar whose days are closed.
    pub(crate) holidays: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RingText {
    pub(crate) seconds: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordsText {
    pub(crate) days: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RevocationText {
    /// What is revoked for one subject is revoked for all.
    EveryTopic,
}

/// The calendars that are built in, parsed.
#[cfg(test)]
pub(crate) fn calendars() -> Result<Vec<crate::holidays::CalendarText>, PackError> {
    parse(CALENDARS)
}

/// Parses each file, or tells what is wrong with all of them.
pub(crate) fn parse<T: DeserializeOwned>(files: &[(&str, &str)]) -> Result<Vec<T>, PackError> {
    let mut faults = Vec::new();
    let mut texts = Vec::new();
    for (file, text) in files {
        match toml::from_str(text) {
            Ok(text) => texts.push(text),
            Err(error) => faults.push(format!("{file}: {error}")),
        }
    }
    PackError::of(faults).map(|()| texts)
}
