//! Who agreed to what: consents, the relationships that stand in for them, and registers of those who did not.

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    facts::{Consent, Facts, RegistryCheck, Revocation, RevocationScope},
    request::{Mode, Purpose, Request},
};

/// How a consent was given; the later one includes the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentClass {
    /// The person agreed to be called.
    Express,
    /// The person signed, on paper or electronically, and the text names the company and the number.
    ExpressWritten,
}

/// What a rule asks for, and what stands in for it. Zero months is no exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentNeed {
    /// At least this.
    pub class: ConsentClass,
    /// It must cover advertising.
    #[serde(default)]
    pub marketing: bool,
    /// It must cover an artificial voice.
    #[serde(default)]
    pub automated: bool,
    /// Its record must be kept.
    #[serde(default)]
    pub proof: bool,
    /// A purchase in so many months stands in.
    #[serde(default)]
    pub customer_months: u32,
    /// An inquiry in so many months stands in.
    #[serde(default)]
    pub inquiry_months: u32,
    /// A running contract the call is about stands in.
    #[serde(default)]
    pub contract: bool,
}

/// Whether something asked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// It is.
    Yes,
    /// It will be, from then on.
    From(DateTime<Utc>),
    /// It is not.
    No,
}

impl ConsentNeed {
    /// Whether the facts answer the need at `now`. `every_topic`: a revocation of one subject counts for all.
    pub(crate) fn met(
        &self,
        request: &Request<'_>,
        facts: &Facts,
        every_topic: bool,
        now: DateTime<Utc>,
    ) -> Met {
        if self.stands_in(facts, now) {
            return Met::Yes;
        }
        let revoked = revoked_at(request, facts, every_topic);
        let mut from = Met::No;
        for consent in facts
            .consents
            .iter()
            .filter(|consent| self.fits(consent, request))
        {
            if revoked.is_some_and(|at| at >= consent.given_at)
                || consent
                    .expires_at
                    .is_some_and(|at| at <= now.max(consent.given_at))
            {
                continue;
            }
            if consent.given_at <= now {
                return Met::Yes;
            }
            from = match from {
                Met::From(earlier) if earlier <= consent.given_at => from,
                _ => Met::From(consent.given_at),
            };
        }
        from
    }

    fn fits(&self, consent: &Consent, request: &Request<'_>) -> bool {
        consent.class >= self.class
            && (consent.marketing || !self.marketing)
            && (consent.automated || !self.automated)
            && (consent.proof || !self.proof)
            && consent.company == request.company
            && consent
                .subject
                .is_none_or(|subject| request.subject == Some(subject))
            && consent.withdrawn_at.is_none()
    }

    fn stands_in(&self, facts: &Facts, now: DateTime<Utc>) -> bool {
        let Some(relationship) = facts.relationship else {
            return false;
        };
        let recent = |at: Option<DateTime<Utc>>, months: u32| {
            months > 0
                && at
                    .and_then(|at| at.checked_add_months(Months::new(months)))
                    .is_some_and(|until| until > now)
        };
        recent(relationship.last_purchase, self.customer_months)
            || recent(relationship.last_inquiry, self.inquiry_months)
            || (self.contract && relationship.contract)
    }
}

/// When the person last took back what this dial would need.
fn revoked_at(request: &Request<'_>, facts: &Facts, every_topic: bool) -> Option<DateTime<Utc>> {
    let covers = |revocation: &&Revocation| match revocation.scope {
        RevocationScope::All => true,
        RevocationScope::Company(company) => company == request.company,
        // A call that does not say what it is about may be about that.
        RevocationScope::Subject(subject) => {
            every_topic || request.subject.is_none_or(|about| about == subject)
        }
    };
    facts
        .revocations
        .iter()
        .filter(covers)
        .map(|revocation| revocation.at)
        .max()
}

/// Whether no revocation stands against the dial: there is none, or the person agreed again afterwards.
pub(crate) fn unrevoked(request: &Request<'_>, facts: &Facts, every_topic: bool, now: DateTime<Utc>) -> Met {
    if revoked_at(request, facts, every_topic).is_none() {
        return Met::Yes;
    }
    let again = ConsentNeed {
        class: ConsentClass::Express,
        marketing: request.purpose == Purpose::Telemarketing,
        automated: request.mode == Mode::Ai,
        proof: false,
        customer_months: 0,
        inquiry_months: 0,
        contract: false,
    };
    again.met(request, facts, every_topic, now)
}

/// A register that must be asked before a call, unless a consent or relationship lifts that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Its name, as on the [`RegistryCheck`](crate::RegistryCheck).
    pub list: String,
    /// How old the last look-up may be.
    pub max_age_days: u32,
    /// The consent that lifts it; none does when absent.
    #[serde(default)]
    pub consent: Option<ConsentClass>,
    /// A purchase in so many months lifts it.
    #[serde(default)]
    pub customer_months: u32,
    /// An inquiry in so many months lifts it.
    #[serde(default)]
    pub inquiry_months: u32,
    /// A running contract the call is about lifts it.
    #[serde(default)]
    pub contract: bool,
}

/// What a register says against a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Nobody asked it, or too long ago.
    Unasked,
    /// The number stands in it.
    Yes,
}

impl Registry {
    /// What stands against the dial, and from when a later consent lifts it.
    pub(crate) fn against(
        &self,
        request: &Request<'_>,
        facts: &Facts,
        every_topic: bool,
        now: DateTime<Utc>,
    ) -> Option<(Listed, Option<DateTime<Utc>>)> {
        let lifted = ConsentNeed {
            class: self.consent.unwrap_or(ConsentClass::ExpressWritten),
            marketing: true,
            automated: false,
            proof: false,
            customer_months: self.customer_months,
            inquiry_months: self.inquiry_months,
            contract: self.contract,
        };
        let lifted = if self.consent.is_some() {
            lifted.met(request, facts, every_topic, now)
        } else if lifted.stands_in(facts, now) {
            Met::Yes
        } else {
            Met::No
        };
        let from = match lifted {
            Met::Yes => return None,
            Met::From(at) => Some(at),
            Met::No => None,
        };
        let asked = facts
            .registry_checks
            .iter()
            .filter(|check| check.list == self.list);
        let Some(last) = asked.max_by_key(|check| (check.at, check.listed)) else {
            return Some((Listed::Unasked, from));
        };
        match last {
            RegistryCheck { listed: true, .. } => Some((Listed::Yes, from)),
            _ if last.at + TimeDelta::days(i64::from(self.max_age_days)) <= now => {
                Some((Listed::Unasked, from))
            }
            _ => None,
        }
    }
}
