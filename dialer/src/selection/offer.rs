//! Preview: a contact is offered to an agent, and dialled for them when they say so.
//!
//! Both are judged, the offer so that nobody is shown whom nobody may call, and the dial because the moment is another.

use chrono::{DateTime, SubsecRound as _, Utc};
use rand::Rng;
use voice_postgres::{Database, TenantTx};
use voice_schemas::{AttemptId, ProviderAccountId};

use super::{
    candidates,
    claim::{self, Claim, ClaimError, Order, show},
    writes::{self, Decision},
};
use crate::{
    agents::{self, Input},
    campaigns::CallerNumber,
    gate::Gate,
    origination::number_days,
    preview::{self, Offer, State},
};

/// Finds a contact for an agent who asked, and puts it off for as long as they may look at it. True when there was one.
///
/// # Errors
/// See [`ClaimError`].
pub async fn offer(
    database: &Database,
    gate: &dyn Gate,
    order: &Order,
    asked: &Offer,
    rng: &mut (impl Rng + Send),
    now: DateTime<Utc>,
) -> Result<bool, ClaimError> {
    let now = now.trunc_subsecs(6);
    let mut tx = database.tenant(order.campaign.tenant).await?;
    stands(&mut tx, order).await?;
    if !preview::hold(&mut tx, asked, State::Asked).await? {
        return Ok(false);
    }
    let due = candidates::due(&mut tx, std::slice::from_ref(order), now).await?;
    let mut numbers = numbers(&mut tx, order, now).await?;
    let mut decisions = Vec::new();
    let mut found = None;
    for mut candidate in due {
        let Some(shown) = show(&mut numbers, &candidate, |_| true, rng) else {
            continue;
        };
        candidate.show(shown);
        let (phone, judged) = claim::best(gate, &order.campaign, &candidate, now);
        if judged.verdict.allowed() {
            found = Some(candidate.contact);
            break;
        }
        let id = claim::fresh_id(now);
        decisions.push(Decision::of(order, id, &candidate, phone, judged));
    }
    writes::write(&mut tx, &[], &decisions, now).await?;
    let until = now + order.campaign.preview;
    if let Some(contact) = found {
        sqlx::query(
            "UPDATE app.campaign_contacts SET next_attempt_at = $4, updated_at = $5
             WHERE tenant_id = $1 AND campaign_id = $2 AND contact_id = $3",
        )
        .bind(tx.tenant().0)
        .bind(order.campaign.id.0)
        .bind(contact.0)
        .bind(until)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        preview::offered(&mut tx, asked, contact, until, now).await?;
    } else {
        preview::close(&mut tx, asked, State::None, &["nobody_due".to_owned()], now).await?;
    }
    tx.commit().await.map_err(ClaimError::Unconfirmed)?;
    Ok(found.is_some())
}

/// What became of an accepted offer.
#[derive(Debug)]
pub enum Accepted {
    /// It is an attempt, reserved for the agent; now the carrier may be asked, once.
    Dial(Box<Claim>),
    /// It may not be dialled, or the agent is busy with something else; the offer says why.
    Refused,
    /// No account may dial at the moment: to be tried again.
    Later,
}

/// Makes an attempt of an offer its agent accepted, and reserves the agent for it, in one transaction.
///
/// # Errors
/// See [`ClaimError`].
pub async fn accept(
    database: &Database,
    gate: &dyn Gate,
    order: &Order,
    accepted: &Offer,
    rng: &mut (impl Rng + Send),
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Accepted, ClaimError> {
    let now = now.trunc_subsecs(6);
    let mut tx = database.tenant(order.campaign.tenant).await?;
    stands(&mut tx, order).await?;
    let (true, Some(contact)) = (
        preview::hold(&mut tx, accepted, State::Accepted).await?,
        accepted.contact,
    ) else {
        return Ok(Accepted::Refused);
    };
    let candidate = candidates::chosen(&mut tx, &order.campaign, contact, now).await?;
    let Some(mut candidate) = candidate else {
        return refuse(tx, accepted, &["not_ready".to_owned()], now).await;
    };
    let mut numbers = numbers(&mut tx, order, now).await?;
    let open = |account: ProviderAccountId| order.accounts.contains(&account);
    let Some(shown) = show(&mut numbers, &candidate, open, rng) else {
        return Ok(Accepted::Later);
    };
    candidate.show(shown);
    let (phone, judged) = claim::best(gate, &order.campaign, &candidate, now);
    let (Some(phone), true) = (phone, judged.verdict.allowed()) else {
        let reasons = judged.verdict.reasons.clone();
        let decision = Decision::of(order, claim::fresh_id(now), &candidate, phone, judged);
        writes::write(&mut tx, &[], &[decision], now).await?;
        return refuse(tx, accepted, &reasons, now).await;
    };
    let attempt = AttemptId(accepted.id.0);
    let by = (order.campaign.id, order.shard);
    let input = Input::Reserve { attempt, by, until };
    let reserved = agents::apply(&mut tx, &[(accepted.agent, input)], now).await?;
    if !reserved.iter().any(|applied| applied.result.is_ok()) {
        return refuse(tx, accepted, &["agent_not_available".to_owned()], now).await;
    }
    let dial = claim::dial(attempt, &candidate, phone, shown, now);
    let decision = Decision::of(order, attempt.0, &candidate, Some(phone), judged);
    writes::write(&mut tx, &[(order, &dial)], &[decision], now).await?;
    preview::close(&mut tx, accepted, State::Dialled, &[], now).await?;
    tx.commit().await.map_err(ClaimError::Unconfirmed)?;
    let dials = vec![dial];
    number_days::count(database, order.campaign.tenant, &claim::uses(dials.iter())).await;
    Ok(Accepted::Dial(Box::new(Claim {
        dials,
        looked_at: 1,
        ..Claim::default()
    })))
}

async fn refuse(
    mut tx: TenantTx,
    offer: &Offer,
    reasons: &[String],
    now: DateTime<Utc>,
) -> Result<Accepted, ClaimError> {
    preview::close(&mut tx, offer, State::Refused, reasons, now).await?;
    tx.commit().await.map_err(ClaimError::Unconfirmed)?;
    Ok(Accepted::Refused)
}

async fn stands(tx: &mut TenantTx, order: &Order) -> Result<(), ClaimError> {
    let standing = claim::guard(tx, std::slice::from_ref(order)).await?;
    standing
        .into_iter()
        .next()
        .unwrap_or(Err(ClaimError::NotDialling))
}

async fn numbers(
    tx: &mut TenantTx,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<Vec<CallerNumber>, ClaimError> {
    let pools = claim::numbers(tx, std::slice::from_ref(order), now).await?;
    Ok(pools.into_values().next().unwrap_or_default())
}
