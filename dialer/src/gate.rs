//! The question every dial has to pass, asked inside the transaction that makes it: may this number be called
//! now, and if not, why and when again?

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;
use voice_contacts::relationships::Relationship;
use voice_pacing::Jurisdiction;
use voice_telephony::{PhoneNumber, media::Duties};

use crate::{
    campaigns::{Campaign, Fault},
    retry::{Class, Tries},
};

/// One earlier dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// When.
    pub at: DateTime<Utc>,
    /// The company it was for; nil for the tenant itself.
    pub company: Uuid,
    /// What it came to; `None` while nobody knows.
    pub class: Option<Class>,
}

/// What somebody said about being called: the newest statement of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// `marketing`, `ai_processing`, `recording` …
    pub kind: String,
    /// `granted`, `denied`, `withdrawn` …
    pub status: String,
    /// It was given in writing, on paper or electronically.
    pub written: bool,
    /// A record of it is kept.
    pub proof: bool,
    /// When.
    pub captured_at: DateTime<Utc>,
    /// Until when it holds.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Consent {
    /// Whether it is a yes that holds at `now`.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.status == "granted" && self.expires_at.is_none_or(|until| until > now)
    }
}

/// A number that may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number.
    pub number: PhoneNumber,
    /// The company is present where it says.
    pub presence: bool,
}

/// What a register said of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The register: `us-dnc`, `gb-tps`, …
    pub list: String,
    /// As of when.
    pub at: DateTime<Utc>,
    /// The number stands in it.
    pub listed: bool,
}

/// Everything known about a contact and one of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// ISO 3166-1, where the number plan names a country.
    pub region: Option<String>,
    /// The number in E.164: the number plan narrows the zone down.
    pub e164: String,
    /// What the number plan says it is.
    pub number_kind: String,
    /// The person's own zone, when it is known.
    pub timezone: Option<String>,
    /// Country of the address, ISO 3166-1.
    pub address_country: Option<String>,
    /// State or region of the address.
    pub address_state: Option<String>,
    /// Why the number must not be called.
    pub suppressed: Option<String>,
    /// The newest consent of each type.
    pub consents: Vec<Consent>,
    /// What connects the person with the company the call is for.
    pub relationship: Option<Relationship>,
    /// What registers said of the number, each with the day it is from.
    pub registers: Vec<Looked>,
    /// What was dialled before, to any number of this person, in all campaigns.
    pub history: Vec<Earlier>,
    /// Tries of this campaign.
    pub tries: Tries,
    /// The number that would be shown to them.
    pub caller: Option<Caller>,
    /// The contact is archived or erased.
    pub gone: bool,
    /// They asked to be called back at this time.
    pub callback_at: Option<DateTime<Utc>>,
}

impl Facts {
    /// Whether a consent of this type holds at `now`.
    #[must_use]
    pub fn consents_to(&self, kind: &str, now: DateTime<Utc>) -> bool {
        self.consents
            .iter()
            .any(|consent| consent.kind == kind && consent.holds(now))
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Codes of the rules that forbid it; empty when it is allowed.
    pub reasons: Vec<String>,
    /// When to ask again; `None` with reasons means never.
    pub next_at: Option<DateTime<Utc>>,
    /// The rules it was judged by.
    pub policy_version: String,
    /// The wall clock of the person, as far as it is known.
    pub local_time: Option<String>,
}

impl Verdict {
    /// Whether the dial may be made.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The law, or whatever stands in its place in a test.
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// Judges one dial.
    fn judge(&self, campaign: &Campaign, facts: &Facts, now: DateTime<Utc>) -> Verdict;

    /// Everything that keeps the campaign from running lawfully at all. `regions` are those of its contacts'
    /// numbers, `None` among them for numbers nobody can place; `callers` the numbers it may show.
    fn may_start(
        &self,
        campaign: &Campaign,
        regions: &[Option<String>],
        callers: &[Caller],
        now: DateTime<Utc>,
    ) -> Vec<Fault>;

    /// What the law asks of a call to this number in which an AI agent talks; everything, unless it knows better.
    fn duties(&self, _number: &str, _now: DateTime<Utc>) -> Duties {
        Duties::STRICTEST
    }

    /// When nobody may be called any more today, of people on these clocks whose abandoned calls are counted under
    /// these rules; `None` where nothing says so.
    fn closes(
        &self,
        _campaign: &Campaign,
        _jurisdictions: &[Jurisdiction],
        _zones: &mut dyn Iterator<Item = Tz>,
        _now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        None
    }

    /// The set of rules abandoned calls of a number are counted under.
    fn jurisdiction(&self, region: Option<&str>) -> String;
}
