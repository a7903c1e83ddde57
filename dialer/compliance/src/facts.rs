//! What is known about the person at the moment of judging: read in the same transaction that makes the dial.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::consent::ConsentClass;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);
    };
}

key!(/// The company a call is made for, the seller or creditor; one tenant may call for several.
    Company);
key!(/// What a call is about: the subject of a campaign, the topic of a consent.
    Subject);
key!(/// One debt; calls about it are counted apart from calls about another.
    Debt);

/// Everything about the person that a rule asks for. A fact that is missing never helps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Entries of the suppression lists that match the number or person, of the tenant, this company and this
    /// campaign.
    pub suppressions: Vec<Suppression>,
    /// What the person took back, whenever.
    pub revocations: Vec<Revocation>,
    /// What the person agreed to.
    pub consents: Vec<Consent>,
    /// What connects the person with the company.
    pub relationship: Option<Relationship>,
    /// Attempts to the person in all campaigns of the tenant, over the longest span of any rule (60 days); any order.
    pub attempts: Vec<PastAttempt>,
    /// When the number was last looked up in which register.
    pub registry_checks: Vec<RegistryCheck>,
}

/// An entry on a do-not-call list of ours that matches this dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// How far it reaches.
    pub scope: SuppressionScope,
    /// Why it is there, as a stable label.
    pub reason: String,
    /// When it ends; most never do.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// How far a suppression reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionScope {
    /// Nobody calls this person for the tenant.
    Tenant,
    /// Nobody calls for this company.
    Company,
    /// This campaign does not call.
    Campaign,
}

/// A consent that the person took back, or an objection without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When they said so; it holds from then on.
    pub at: DateTime<Utc>,
    /// What they said it about.
    pub scope: RevocationScope,
}

/// What a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationScope {
    /// Calls on one subject.
    Subject(Subject),
    /// All calls of one company.
    Company(Company),
    /// All calls.
    All,
}

/// One consent, with what can be proved of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// How it was given.
    pub class: ConsentClass,
    /// It covers advertising.
    pub marketing: bool,
    /// It covers an artificial or prerecorded voice.
    pub automated: bool,
    /// The record of how it was given is kept.
    pub proof: bool,
    /// Whom it allows to call.
    pub company: Company,
    /// What about; `None` is everything.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// When it lapses.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was withdrawn; a withdrawn consent never counts again.
    #[serde(default)]
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// What connects the person with the company the call is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relationship {
    /// Last purchase or payment.
    pub last_purchase: Option<DateTime<Utc>>,
    /// Last time they asked for something.
    pub last_inquiry: Option<DateTime<Utc>>,
    /// A contract is running, and the call is about it.
    pub contract: bool,
}

/// One earlier attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastAttempt {
    /// When it was dialled, or answered if it was.
    pub at: DateTime<Utc>,
    /// What became of it.
    pub end: AttemptEnd,
    /// For whom.
    #[serde(default)]
    pub company: Option<Company>,
    /// What about.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// Which debt.
    #[serde(default)]
    pub debt: Option<Debt>,
}

/// What became of an attempt, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnd {
    /// Busy, no answer, failed.
    NotReached,
    /// Judged a machine.
    Machine,
    /// A person answered and nobody was there in time, or only a message.
    Abandoned,
    /// A person talked with somebody.
    Conversation,
    /// A person said no.
    Refusal,
    /// Not known, or not yet.
    Unknown,
}

/// One look-up in a register of people who do not want calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryCheck {
    /// Which register: `us-dnc`, `gb-tps`, …
    pub list: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The number stands in it.
    pub listed: bool,
}
