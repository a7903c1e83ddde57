//! Many events into the outbox in one statement.

use voice_postgres::{Result, TenantTx, outbox::OutboxRecord};

/// Writes the events, in their order.
///
/// # Errors
/// When the database fails.
pub(crate) async fn tell(tx: &mut TenantTx, events: &[OutboxRecord]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let tenant = serde_json::json!({ "tenant": tx.tenant().0 }).to_string();
    sqlx::query(
        "INSERT INTO app.outbox (tenant_id, topic, key, type, payload, headers)
         SELECT $1, u.topic, u.key, u.type, u.payload::json, $2::jsonb
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
              AS u(topic, key, type, payload, position)
         ORDER BY u.position",
    )
    .bind(tx.tenant().0)
    .bind(tenant)
    .bind(events.iter().map(|event| event.topic).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
    .bind(
        events
            .iter()
            .map(|event| event.payload.as_deref().map(serde_json::value::RawValue::get))
            .collect::<Vec<_>>(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
