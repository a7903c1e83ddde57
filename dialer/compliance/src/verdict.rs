//! The answer to a dial: yes with what must be said, or no with every reason and the first moment it can be yes.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

use crate::{jurisdiction::Jurisdictions, label::Label};

/// Whether the dial may be made at the moment it was judged for. Serialised, it is the record of the decision.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Verdict {
    /// It may.
    Allowed(Allowed),
    /// It may not.
    Refused(Refused),
}

impl Verdict {
    /// Whether it may.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// Why not; empty when it may.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Allowed(_) => &[],
            Self::Refused(refused) => &refused.reasons,
        }
    }
}

/// A dial that may be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// When it was judged.
    pub judged_at: DateTime<Utc>,
    /// Which set of packs judged it.
    pub rules: Arc<str>,
    /// Whose rules held.
    pub jurisdictions: Jurisdictions,
    /// Whose clocks counted.
    pub zones: Arc<[Tz]>,
    /// What must be said or offered in the call.
    pub obligations: Obligations,
}

/// A dial that may not be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// When it was judged.
    pub judged_at: DateTime<Utc>,
    /// Which set of packs judged it.
    pub rules: Arc<str>,
    /// Whose rules held.
    pub jurisdictions: Jurisdictions,
    /// Whose clocks counted.
    pub zones: Arc<[Tz]>,
    /// Every rule that stands against it.
    pub reasons: Vec<Reason>,
    /// The first instant at which none does, if nothing but time changes. `None`: something else must change.
    pub next_eligible_at: Option<DateTime<Utc>>,
}

/// One rule that stands against a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of obstacle it is.
    pub code: Code,
    /// The rule.
    pub rule: Label,
    /// Its pack and version.
    pub pack: Label,
    /// The zone in which it stands longest, for hours.
    pub zone: Option<Tz>,
    /// When this one rule lets go, if time alone does it.
    pub until: Option<DateTime<Utc>>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The kinds of obstacle. The names on the wire never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

codes! {
    /// It is too early, too late or the wrong weekday where the person is.
    OutsideCallingWindow = "outside_calling_window",
    /// A holiday where the person is.
    Holiday = "holiday",
    /// Outside the tenant's own hours.
    OutsideTenantCalendar = "outside_tenant_calendar",
    /// Nothing says by which clock the person lives.
    TimeZoneUnknown = "time_zone_unknown",
    /// On one of the tenant's do-not-call lists.
    Suppressed = "suppressed",
    /// The person took their consent back.
    ConsentRevoked = "consent_revoked",
    /// The law asks for a consent that is not there.
    ConsentMissing = "consent_missing",
    /// An artificial voice needs a consent that is not there.
    AiConsentMissing = "ai_consent_missing",
    /// The tenant forbids artificial voices.
    AiForbidden = "ai_forbidden",
    /// The number stands in a register of people who do not want calls.
    OnRegister = "on_register",
    /// The register was not asked, or too long ago.
    RegisterCheckMissing = "register_check_missing",
    /// As many attempts as are allowed in that time.
    PersonCap = "person_cap",
    /// The person refused not long ago.
    CoolOffRefusal = "cool_off_refusal",
    /// The person answered not long ago and met nobody.
    CoolOffAbandoned = "cool_off_abandoned",
    /// A machine answered not long ago.
    CoolOffMachine = "cool_off_machine",
    /// The person talked with us not long ago.
    CoolOffConversation = "cool_off_conversation",
    /// The number to be shown cannot exist.
    CallerIdInvalid = "caller_id_invalid",
    /// The number to be shown is not ours.
    CallerIdNotOwned = "caller_id_not_owned",
    /// A number of this kind may not be shown there.
    CallerIdKindForbidden = "caller_id_kind_forbidden",
    /// Nobody answers the number to be shown.
    CallerIdUnanswered = "caller_id_unanswered",
    /// The number to be shown claims a place where the company is not.
    CallerIdWithoutPresence = "caller_id_without_presence",
    /// The company is not registered to call there.
    RegistrationMissing = "registration_missing",
    /// The tenant does not call there.
    PlaceExcluded = "place_excluded",
    /// Nobody is there to talk.
    NoLiveLease = "no_live_lease",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Code {
    /// Hours of any kind: what changes while nothing but time does, again and again.
    pub(crate) const fn is_window(self) -> bool {
        matches!(
            self,
            Self::OutsideCallingWindow | Self::Holiday | Self::OutsideTenantCalendar
        )
    }

    /// What the person said, or did not say: what counts also when an AI agent takes a call that is under way.
    pub(crate) const fn is_the_persons_will(self) -> bool {
        matches!(
            self,
            Self::Suppressed
                | Self::ConsentRevoked
                | Self::ConsentMissing
                | Self::AiConsentMissing
                | Self::AiForbidden
                | Self::OnRegister
        )
    }
}

/// What must be said or offered in a call that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obligation {
    /// Say that an AI is talking.
    DiscloseAi,
    /// Say at the beginning for whom the call is made, and a number.
    IdentifyAtStart,
    /// Offer to opt out by key or voice within two seconds of saying who calls.
    KeyPressOptOut,
    /// Record only what everybody on the call agreed to have recorded.
    AllPartyRecordingConsent,
    /// Say at the beginning that the call is recorded.
    AnnounceRecording,
}

impl Obligation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::DiscloseAi,
        Self::IdentifyAtStart,
        Self::KeyPressOptOut,
        Self::AllPartyRecordingConsent,
        Self::AnnounceRecording,
    ];
}

/// A set of obligations; on the wire, a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obligations(u8);

impl Obligations {
    /// Whether `one` is among them.
    #[must_use]
    pub const fn has(self, one: Obligation) -> bool {
        self.0 & 1 << one as u8 != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Obligation> {
        Obligation::ALL.into_iter().filter(move |one| self.has(*one))
    }

    pub(crate) const fn with(self, one: Obligation) -> Self {
        Self(self.0 | 1 << one as u8)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Obligation> for Obligations {
    fn from_iter<I: IntoIterator<Item = Obligation>>(members: I) -> Self {
        members.into_iter().fold(Self::default(), Self::with)
    }
}

impl Serialize for Obligations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What the clock on the wall of a zone showed.
#[derive(Serialize)]
struct Wall {
    zone: Tz,
    time: String,
}

fn wall(at: DateTime<Utc>, zone: Tz) -> Wall {
    Wall {
        zone,
        time: at
            .with_timezone(&zone)
            .to_rfc3339_opts(SecondsFormat::Secs, false),
    }
}

struct Walls<'a>(DateTime<Utc>, &'a [Tz]);

impl Serialize for Walls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|zone| wall(self.0, *zone)))
    }
}

struct ReasonAt<'a>(&'a Reason, DateTime<Utc>);

impl Serialize for ReasonAt<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(reason, at) = self;
        let mut out = serializer.serialize_struct("Reason", 5)?;
        out.serialize_field("code", &reason.code)?;
        out.serialize_field("rule", &reason.rule)?;
        out.serialize_field("pack", &reason.pack)?;
        if let Some(zone) = reason.zone {
            out.serialize_field("local", &wall(*at, zone))?;
        }
        if let Some(until) = reason.until {
            out.serialize_field("until", &instant(until))?;
        }
        out.end()
    }
}

struct Reasons<'a>(&'a [Reason], DateTime<Utc>);

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|reason| ReasonAt(reason, self.1)))
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Verdict", 7)?;
        let (verdict, judged_at, rules, jurisdictions, zones) = match self {
            Self::Allowed(it) => ("allowed", it.judged_at, &it.rules, it.jurisdictions, &it.zones),
            Self::Refused(it) => ("refused", it.judged_at, &it.rules, it.jurisdictions, &it.zones),
        };
        out.serialize_field("verdict", verdict)?;
        out.serialize_field("judged_at", &instant(judged_at))?;
        out.serialize_field("rules", rules)?;
        out.serialize_field("jurisdictions", &jurisdictions)?;
        out.serialize_field("local", &Walls(judged_at, zones))?;
        match self {
            Self::Allowed(it) => out.serialize_field("obligations", &it.obligations)?,
            Self::Refused(it) => {
                out.serialize_field("reasons", &Reasons(&it.reasons, it.judged_at))?;
                out.serialize_field("next_eligible_at", &it.next_eligible_at.map(instant))?;
            }
        }
        out.end()
    }
}
