//! Says of every dial, before it is made, whether the law and the tenant allow it, and if not, why and until when.
//!
//! Three parts meet here and none of them does I/O or reads a clock:
//!
//! * **Rule packs** ([`Rules`]): dated TOML files, one per jurisdiction, parsed and checked once and compiled into a
//!   table that is evaluated as of `now`. What no pack and no tenant can loosen stands in [`limits`].
//! * **Places** ([`Rules::place`]): from the number, a stated address and a stated time zone to the jurisdictions
//!   whose rules hold and the zones whose clocks count. Doubt widens both, so it can only forbid more.
//! * **The judge** ([`Rules::judge`]): a [`Request`] and the [`Facts`] about the person become a [`Verdict`] that can
//!   be stored before the carrier is called. [`Rules::may_start`] asks the same of a whole campaign.
//!
//! A tenant's own wishes are a [`Tightening`]: there is no way to write one that allows more.
//!
//! This is engineering input, not legal advice.

mod abandonment;
mod capacity;
mod closing;
mod consent;
mod facts;
mod history;
mod holidays;
mod hours;
mod judge;
mod jurisdiction;
mod label;
pub mod limits;
mod opening;
mod packs;
mod place;
mod request;
mod rules;
mod start;
mod tightening;
mod verdict;

pub use abandonment::{AbandonmentLimit, MeasuredFrom, SafeHarbour, Share, Window};
pub use capacity::{CallerId, Capacity, LineKind};
pub use consent::{ConsentClass, ConsentNeed, Registry};
pub use facts::{
    AttemptEnd, Company, Consent, Debt, Facts, PastAttempt, RegistryCheck, Relationship, Revocation,
    RevocationScope, Subject, Suppression, SuppressionScope,
};
pub use history::{Cap, CoolOff, Cooling, Per};
pub use hours::{HoursError, Week};
pub use jurisdiction::{Jurisdiction, Jurisdictions};
pub use label::Label;
pub use packs::{Basis, Confidence, PackError};
pub use place::{Address, Country, Evidence, Place};
pub use request::{Mode, Purpose, Request};
pub use rules::{RuleInfo, Rules};
pub use start::{CampaignFacts, ConsentBasis, FaultCode, SafeHarbourMessage, StartFault};
pub use tightening::{Clock, Exception, TenantCalendar, Tightening};
pub use verdict::{Allowed, Code, Obligation, Obligations, Reason, Refused, Verdict};
