//! Starting a campaign: everything that stands against it at once, or it dials.

use chrono::{DateTime, Utc};
use voice_postgres::TenantTx;
use voice_schemas::CampaignId;

use crate::{
    campaigns::{
        Campaign, CommandError, Fault, Mode, caller_numbers, change, fill, load,
        state::{Command, Transition},
    },
    gate::{Caller, Gate},
};

/// Starts a draft, or ends a pause: brings the lists in, asks the law, and moves the campaign, in the caller's
/// transaction.
///
/// # Errors
/// [`CommandError::Faulty`] with every reason why it cannot run; drop the transaction then.
pub async fn start(
    tx: &mut TenantTx,
    gate: &dyn Gate,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<Transition, CommandError> {
    fill(tx, id, now).await?;
    let found = faults(tx, gate, id, now).await?;
    if !found.is_empty() {
        return Err(CommandError::Faulty(found));
    }
    change(tx, id, Command::Start, now).await
}

/// Everything that stands against the campaign.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn faults(
    tx: &mut TenantTx,
    gate: &dyn Gate,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<Vec<Fault>, CommandError> {
    let campaign = load(tx, id).await?.ok_or(CommandError::Missing)?;
    let callers: Vec<Caller> = match campaign.caller_pool {
        Some(pool) => caller_numbers(tx, pool, now).await?,
        None => Vec::new(),
    }
    .into_iter()
    .map(|number| Caller {
        number: number.number,
        presence: number.presence,
    })
    .collect();
    let regions: Vec<Option<String>> = sqlx::query_scalar(
        // Looked up one by one: the rows were only just written, and without statistics a join scans the tenant for each.
        "SELECT DISTINCT p.region FROM app.campaign_contacts c
         CROSS JOIN LATERAL (SELECT p.region FROM app.contact_phones p
                             WHERE p.tenant_id = c.tenant_id AND p.contact_id = c.contact_id AND p.valid OFFSET 0) p
         WHERE c.tenant_id = $1 AND c.campaign_id = $2 AND c.state = 'ready'",
    )
    .bind(tx.tenant().0)
    .bind(id.0)
    .fetch_all(&mut **tx)
    .await?;
    let mut faults = own_faults(&campaign);
    let unlimited: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT n.account_id) FROM app.phone_numbers n
         WHERE n.tenant_id = $1 AND n.pool_id = $2 AND n.enabled
           AND NOT EXISTS (SELECT FROM app.carrier_lines l
                           WHERE l.tenant_id = $1 AND l.account_id = n.account_id)",
    )
    .bind(tx.tenant().0)
    .bind(campaign.caller_pool)
    .fetch_one(&mut **tx)
    .await?;
    if unlimited > 0 {
        faults.push(Fault {
            code: "no_line".to_owned(),
            text: format!(
                "{unlimited} carrier account(s) of the campaign's numbers have no rate of dialling: set one."
            ),
        });
    }
    faults.extend(gate.may_start(&campaign, &regions, &callers, now));
    Ok(faults)
}

/// What no law asks and the campaign cannot do without.
fn own_faults(campaign: &Campaign) -> Vec<Fault> {
    let fault = |code: &str, text: &str| Fault {
        code: code.to_owned(),
        text: text.to_owned(),
    };
    let mut faults = Vec::new();
    let ai = campaign.mode == Mode::Agentless || campaign.answers.ai_overflow;
    if ai && campaign.ai_agent.is_none() {
        faults.push(fault(
            "no_ai_agent",
            "AI agents take calls, but it is not said which: choose one.",
        ));
    }
    let leaves = campaign.answers.on_machine == crate::answer::OnMachine::LeaveMessage;
    if leaves && campaign.voicemail_url.is_none() {
        faults.push(fault(
            "no_voicemail_audio",
            "A message is to be left on machines, but there is none: record one.",
        ));
    }
    faults
}

/// Pauses a campaign. When this is committed nothing of it is claimed any more, and what was claimed and not yet asked of a
/// carrier is withheld.
///
/// # Errors
/// When there is none, or it neither dials nor waits for its start.
pub async fn pause(
    tx: &mut TenantTx,
    id: CampaignId,
    now: DateTime<Utc>,
) -> Result<Transition, CommandError> {
    change(tx, id, Command::Pause, now).await
}
