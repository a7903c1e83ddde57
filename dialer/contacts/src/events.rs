//! What is told of contacts, in the transaction that changed them; without names and numbers.

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;
use voice_postgres::{
    Result, TenantTx,
    outbox::{self, OutboxRecord},
};
use voice_schemas::{
    ContactId, Envelope, EventId, EventType,
    envelope::EventData,
    events::contact::{ConsentData, ImportData, SuppressionData, SuppressionScope},
    topics,
};

use crate::{
    Statement,
    suppressions::{Reason, Scope},
};

const SOURCE: &str = "/contacts";
/// Tokens in one event, at most.
const MOST: usize = 500;

/// These tokens are suppressed from now on.
pub(crate) async fn suppressed(
    tx: &mut TenantTx,
    tokens: &[Uuid],
    contact: Option<ContactId>,
    scope: Scope,
    reason: Reason,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    for part in tokens.chunks(MOST) {
        let mut seed: Vec<&[u8]> = vec![b"suppressed"];
        seed.extend(part.iter().map(|token| token.as_bytes().as_slice()));
        let data = SuppressionData {
            phone_tokens: part.iter().map(|token| token.simple().to_string()).collect(),
            contact_id: contact,
            scope: match scope {
                Scope::Tenant => SuppressionScope::Tenant,
                Scope::Company(_) => SuppressionScope::Company,
                Scope::Campaign(_) => SuppressionScope::Campaign,
            },
            company_id: match scope {
                Scope::Company(id) => Some(id),
                _ => None,
            },
            campaign_id: match scope {
                Scope::Campaign(id) => Some(id),
                _ => None,
            },
            reason: reason.as_str().to_owned(),
            expires_at,
        };
        tell(tx, EventType::ContactSuppressed, &seed, data, now).await?;
    }
    Ok(())
}

/// Somebody said something new about a consent.
pub(crate) async fn consented(
    tx: &mut TenantTx,
    contact: ContactId,
    statement: &Statement,
    id: Uuid,
) -> Result<()> {
    let data = ConsentData {
        contact_id: contact,
        consent: statement.kind.as_str().to_owned(),
        status: statement.status.as_str().to_owned(),
        channel: statement.channel.map(|channel| channel.as_str().to_owned()),
        expires_at: statement.expires_at,
    };
    let seed: [&[u8]; 2] = [b"consent", id.as_bytes()];
    tell(
        tx,
        EventType::ContactConsentChanged,
        &seed,
        data,
        statement.captured_at,
    )
    .await
}

/// A file was taken in, or could not be.
pub(crate) async fn imported(tx: &mut TenantTx, data: ImportData, now: DateTime<Utc>) -> Result<()> {
    let kind = if data.failure.is_none() {
        EventType::ImportCompleted
    } else {
        EventType::ImportFailed
    };
    let id = data.import_id;
    tell(tx, kind, &[b"import", id.as_bytes()], data, now).await
}

async fn tell<T: EventData>(
    tx: &mut TenantTx,
    kind: EventType,
    seed: &[&[u8]],
    data: T,
    at: DateTime<Utc>,
) -> Result<()> {
    let at = at.trunc_subsecs(6);
    let event = Envelope::new(EventId::derived(at, seed), tx.tenant(), SOURCE, kind, at, data);
    let key = event.subject.clone();
    outbox::enqueue(tx, &OutboxRecord::event(&topics::CONTACTS, key, &event)?).await
}
