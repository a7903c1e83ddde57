//! The plan of a shift: every call, drawn from the seed, before anything is sent.
//!
//! Pure. A call depends on the shift and its own place in it, so any call can be drawn by itself, the calls
//! come in the order they begin, and a plan of any size takes no memory.

mod call;
mod cast;
mod chance;
mod identity;
mod life;
mod profile;
mod shift;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rand::RngExt as _;
use voice_schemas::{
    AttemptId, CallId, TenantId,
    events::call::{AgentKind, Carrier, Direction},
};
use voice_telephony::{CallContext, PhoneNumber, PhoneTokenKey, derived_call_id, phone_token};

pub(crate) use self::chance::{Chance, between, happens, of_call, weighted};
pub use self::{
    call::{CarrierIds, Chatter, End, Fact, Party, PlannedCall, PlannedFact, Verdict},
    cast::Cast,
    chance::LogNormal,
    profile::Profile,
    shift::{Outcomes, Shift},
};
use self::{
    identity::Mask,
    life::{Life, Told},
};
use crate::{Account, SimulatorError};

/// What a plan needs to know of an account.
#[derive(Debug)]
struct Owner {
    account: usize,
    carrier: Carrier,
    phone: Option<Arc<PhoneTokenKey>>,
    cast: Cast,
}

/// A shift with the accounts its calls go through.
#[derive(Debug)]
pub struct Plan {
    shift: Shift,
    owners: Vec<Owner>,
    mask: Mask,
}

impl Plan {
    /// The plan of a shift over these accounts; calls of a carrier spread evenly over its accounts.
    ///
    /// # Errors
    /// When the parameters are out of range, or a carrier has calls and no account.
    pub fn new(mut shift: Shift, accounts: &[Account]) -> Result<Self, SimulatorError> {
        shift.check()?;
        // Durations are whole milliseconds; so are all times then, and no carrier or table rounds them.
        shift.starts_at = shift.starts_at.trunc_subsecs(3);
        for carrier in [Carrier::Telnyx, Carrier::Twilio] {
            if shift.has(carrier) && !accounts.iter().any(|account| account.carrier() == carrier) {
                return Err(SimulatorError::NoAccount { carrier });
            }
        }
        let owners = accounts
            .iter()
            .enumerate()
            .map(|(account, facts)| Owner {
                account,
                carrier: facts.carrier(),
                phone: facts.phone_key.clone(),
                cast: Cast::of(&shift, facts.tenant),
            })
            .collect();
        // The stream no call has.
        let mask = Mask::new(&mut of_call(shift.seed, u64::MAX));
        Ok(Self { shift, owners, mask })
    }

    /// The shift, its start cut to a whole millisecond.
    #[must_use]
    pub const fn shift(&self) -> &Shift {
        &self.shift
    }

    /// All calls, in the order they begin.
    pub fn calls(&self) -> impl Iterator<Item = PlannedCall> + '_ {
        (0..self.shift.calls).filter_map(|index| self.call(index))
    }

    /// The call the carrier knows by this id.
    #[must_use]
    pub fn find(&self, carrier_call_id: &str) -> Option<PlannedCall> {
        self.call(self.mask.index(carrier_call_id)?)
            .filter(|call| call.ids.call == carrier_call_id)
    }

    /// The call at this place of the shift; none beyond its last.
    #[must_use]
    pub fn call(&self, index: u64) -> Option<PlannedCall> {
        let shift = &self.shift;
        if index >= shift.calls {
            return None;
        }
        let chance = &mut of_call(shift.seed, index);
        // One call per slice of the volume: calls come in the order of their places.
        let volume = (index as f64 + chance.random::<f64>()) / shift.calls as f64;
        let into = shift.profile.point(volume) * shift.duration.num_milliseconds() as f64;
        let starts_at = shift.starts_at + TimeDelta::milliseconds(into as i64);
        let carrier = if happens(chance, shift.telnyx_share) {
            Carrier::Telnyx
        } else {
            Carrier::Twilio
        };
        let owner = self.owner(carrier, chance)?;
        let outbound = !happens(chance, shift.inbound_share);
        let direction = if outbound {
            Direction::Outbound
        } else {
            Direction::Inbound
        };

        let ids = self.mask.ids(carrier, index, chance);
        let tenant = owner.cast.tenant;
        let number = chance.random_range(0..shift.contacts);
        let person = phone(number)?;
        let campaign = chance.random_range(0..owner.cast.campaigns.len());
        // Each campaign shows one number; above the contacts' so that none is both.
        let ours = phone(9_999_999_u32.checked_sub(u32::try_from(campaign).ok()?)?)?;
        let (from, to) = if outbound { (ours, person) } else { (person, ours) };
        let context = outbound.then(|| self.context(owner, campaign, number, &to, starts_at, chance));
        let (call_id, agent_kind) = match &context {
            Some(context) => (context.call_id, context.agent_kind.unwrap_or(AgentKind::Human)),
            None => {
                let leg = ids.leg.to_string();
                let key = if carrier == Carrier::Telnyx {
                    &leg
                } else {
                    &ids.call
                };
                let kinds = [
                    (AgentKind::Ai, shift.ai_share),
                    (AgentKind::Human, 1.0 - shift.ai_share),
                ];
                let kind = match carrier {
                    Carrier::Twilio => weighted(chance, &kinds, AgentKind::Human),
                    // Only a context could tell an AI agent, and an inbound call has none.
                    Carrier::Telnyx => AgentKind::Human,
                };
                (derived_call_id(tenant, carrier, key), kind)
            }
        };

        let life = if outbound {
            Life::outbound(shift, carrier, chance)
        } else {
            Life::inbound(shift, chance)
        };
        let told = Told {
            carrier,
            direction,
            agent_kind,
            starts_at,
            chatter_share: shift.chatter_share,
        };
        let after = |ms: i64| starts_at + TimeDelta::milliseconds(ms);
        Some(PlannedCall {
            index,
            account: owner.account,
            tenant,
            carrier,
            call_id,
            direction,
            context,
            ids,
            from,
            to,
            picked_up: life.picked_up,
            facts: life.told(&told, chance),
            starts_at,
            answered_at: life.answered.map(after),
            bridged_at: life.bridged.map(after),
            ended_at: after(life.ended),
            end: life.end,
        })
    }

    fn owner(&self, carrier: Carrier, chance: &mut Chance) -> Option<&Owner> {
        let count = self
            .owners
            .iter()
            .filter(|owner| owner.carrier == carrier)
            .count();
        let drawn = chance.random_range(0..count.max(1));
        self.owners
            .iter()
            .filter(|owner| owner.carrier == carrier)
            .nth(drawn)
    }

    /// What the dialer would have sealed before it placed the call.
    fn context(
        &self,
        owner: &Owner,
        campaign: usize,
        number: u32,
        to: &PhoneNumber,
        starts_at: DateTime<Utc>,
        chance: &mut Chance,
    ) -> CallContext {
        let cast = &owner.cast;
        let tenant: TenantId = cast.tenant;
        let millis = u64::try_from(starts_at.timestamp_millis()).unwrap_or(0);
        let mut v7 = || uuid::Builder::from_unix_timestamp_millis(millis, &chance.random()).into_uuid();
        let (call_id, attempt) = (CallId(v7()), AttemptId(v7()));
        let agent = chance.random_range(0..cast.agents.len());
        CallContext {
            campaign: cast
                .campaigns
                .get(campaign)
                .map(|(id, _)| (*id, chance.random_range(0..self.shift.shards))),
            attempt: Some(attempt),
            contact: Some(cast::contact(self.shift.seed, tenant, number)),
            queue: cast.queues.get(campaign).copied(),
            agent: cast.agents.get(agent).copied(),
            agent_kind: cast.campaigns.get(campaign).map(|(_, kind)| *kind),
            phone_token: owner.phone.as_deref().map(|key| phone_token(key, to)),
            ..CallContext::new(tenant, call_id, Direction::Outbound)
        }
    }
}

/// `+1555` and seven digits: the area code 555 is not in use.
fn phone(number: u32) -> Option<PhoneNumber> {
    PhoneNumber::parse(&format!("+1555{number:07}"))
}
