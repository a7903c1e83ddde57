//! What an import reads from and writes to Postgres, a batch at a time, inside the batch's transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{Row as _, types::Json};
use uuid::Uuid;
use voice_postgres::{Error, Result, TenantTx};
use voice_schemas::{ContactId, ListId, events::contact::ImportData};

use super::{
    Entry, Setup,
    resolve::{Change, Known, Member, Said, Stored},
};
use crate::{
    Candidate, Channel, Code, ConsentStatus, ConsentType, Counters, Statement, consents, events,
    lists::List,
    suppressions::{self, Scope},
};

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) counters: Counters,
    pub(crate) faults: BTreeMap<Code, u64>,
    pub(crate) bytes: u64,
    pub(crate) errors_bytes: u64,
    /// Rows of the table of rejected rows.
    pub(crate) kept: i32,
}

/// The unfinished import of this file into this list; and whether it was begun with the same settings.
pub(crate) async fn unfinished(
    tx: &mut TenantTx,
    list: &List,
    setup: &Setup,
) -> Result<Option<(Uuid, bool)>> {
    let row = sqlx::query(
        "SELECT id, mapping = $4 AND options = $5 AS same FROM app.imports
         WHERE tenant_id = $1 AND list_id = $2 AND file_sha256 = $3 AND state = 'running' FOR UPDATE",
    )
    .bind(tx.tenant().0)
    .bind(list.id.0)
    .bind(&setup.sha256[..])
    .bind(&setup.mapping)
    .bind(&setup.options)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok((row.try_get("id")?, row.try_get("same")?)))
        .transpose()
}

/// Writes down an import that begins.
pub(crate) async fn begin(tx: &mut TenantTx, id: Uuid, list: &List, setup: &Setup) -> Result<()> {
    sqlx::query(
        "INSERT INTO app.imports (tenant_id, id, list_id, file_name, file_sha256, file_bytes, mapping, options)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .bind(list.id.0)
    .bind(&setup.file_name)
    .bind(&setup.sha256[..])
    .bind(signed(setup.bytes))
    .bind(&setup.mapping)
    .bind(&setup.options)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends an import, and tells of it.
pub(crate) async fn finish(tx: &mut TenantTx, id: Uuid, failure: Option<&str>) -> Result<()> {
    let row = sqlx::query(
        "UPDATE app.imports SET state = CASE WHEN $3::text IS NULL THEN 'completed' ELSE 'failed' END, failure = $3,
             finished_at = now()
         WHERE tenant_id = $1 AND id = $2 AND state = 'running'
         RETURNING list_id, rows_read, rows_created, rows_updated, rows_duplicate, rows_invalid, rows_suppressed,
                   finished_at",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .bind(failure)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let count = |column: &str| -> Result<u64> { Ok(row.try_get::<i64, _>(column)?.unsigned_abs()) };
    let data = ImportData {
        import_id: id,
        list_id: ListId(row.try_get("list_id")?),
        read: count("rows_read")?,
        created: count("rows_created")?,
        updated: count("rows_updated")?,
        duplicate: count("rows_duplicate")?,
        invalid: count("rows_invalid")?,
        suppressed: count("rows_suppressed")?,
        failure: failure.map(str::to_owned),
    };
    events::imported(tx, data, row.try_get("finished_at")?).await
}

/// Locks an import and says how far it is; none when it has ended.
pub(crate) async fn position(tx: &mut TenantTx, id: Uuid) -> Result<Option<Position>> {
    let row = sqlx::query(
        "SELECT rows_created, rows_updated, rows_duplicate, rows_invalid, rows_suppressed, faults, bytes_read,
                errors_bytes
         FROM app.imports WHERE tenant_id = $1 AND id = $2 AND state = 'running' FOR UPDATE",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let kept: i32 = sqlx::query_scalar(
        "SELECT coalesce(max(number), 0) FROM app.import_rows_rejected WHERE tenant_id = $1 AND import_id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    let count = |column: &str| -> Result<u64> { Ok(row.try_get::<i64, _>(column)?.unsigned_abs()) };
    let Json(faults): Json<HashMap<String, u64>> = row.try_get("faults")?;
    Ok(Some(Position {
        counters: Counters {
            created: count("rows_created")?,
            updated: count("rows_updated")?,
            duplicate: count("rows_duplicate")?,
            invalid: count("rows_invalid")?,
            suppressed: count("rows_suppressed")?,
        },
        faults: Code::ALL
            .iter()
            .filter_map(|code| Some((*code, *faults.get(code.as_str())?)))
            .collect(),
        bytes: count("bytes_read")?,
        errors_bytes: count("errors_bytes")?,
        kept,
    }))
}

/// Writes down how far an import is now.
pub(crate) async fn advance(tx: &mut TenantTx, id: Uuid, position: &Position) -> Result<()> {
    let Counters {
        created,
        updated,
        duplicate,
        invalid,
        suppressed,
    } = position.counters;
    let faults: BTreeMap<&str, u64> = position
        .faults
        .iter()
        .map(|(code, count)| (code.as_str(), *count))
        .collect();
    sqlx::query(
        "UPDATE app.imports SET rows_read = $3, rows_created = $4, rows_updated = $5, rows_duplicate = $6,
             rows_invalid = $7, rows_suppressed = $8, faults = $9, bytes_read = $10, errors_bytes = $11
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tx.tenant().0)
    .bind(id)
    .bind(signed(position.counters.read()))
    .bind(signed(created))
    .bind(signed(updated))
    .bind(signed(duplicate))
    .bind(signed(invalid))
    .bind(signed(suppressed))
    .bind(Json(faults))
    .bind(signed(position.bytes))
    .bind(signed(position.errors_bytes))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Prepares a transaction for a batch. Imports of a tenant take turns, batch by batch: between looking for a
/// person and making one, nobody else makes the same.
pub(crate) async fn take_turn(tx: &mut TenantTx) -> Result<()> {
    sqlx::query(
        // Tables that were filled a moment ago have no statistics: a batch looks rows up by their keys, whatever
        // the planner makes of that.
        "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
                set_config('enable_seqscan', 'off', true),
                pg_advisory_xact_lock(hashtextextended('contacts.import:' || $1::text, 0))",
    )
    .bind(tx.tenant().0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Everything the database knows about the people and numbers of a batch.
pub(crate) async fn known(
    tx: &mut TenantTx,
    list: Option<&List>,
    people: &[&Candidate],
    now: DateTime<Utc>,
) -> Result<Known> {
    let tenant = tx.tenant().0;
    let external_ids: Vec<&str> = people
        .iter()
        .filter_map(|person| person.external_id.as_deref())
        .collect();
    let primaries: Vec<Uuid> = people
        .iter()
        .filter_map(|person| person.numbers.first())
        .map(|number| number.token)
        .collect();
    let tokens: Vec<Uuid> = people
        .iter()
        .flat_map(|person| &person.numbers)
        .map(|number| number.token)
        .collect();
    let mut known = Known::default();
    let rows = sqlx::query(
        "SELECT c.id, c.external_id, c.first_name, c.last_name, c.email, c.locale, c.timezone, c.tier, c.attributes,
                c.status = 'archived' AS archived, m.contact_id IS NOT NULL AS member, m.import_id, m.priority,
                p.tokens, p.primary_token
         -- Every look-up is of one key (OFFSET 0 keeps it so): `= ANY` would scan all of the tenant's rows where
         -- there are no statistics yet.
         FROM (SELECT one.id FROM unnest($2::text[]) AS wanted (external_id) CROSS JOIN LATERAL (
                   SELECT id FROM app.contacts c
                   WHERE c.tenant_id = $1 AND c.external_id = wanted.external_id OFFSET 0) one
               UNION
               SELECT one.contact_id FROM unnest($3::uuid[]) AS wanted (token) CROSS JOIN LATERAL (
                   SELECT contact_id FROM app.contact_phones p
                   WHERE p.tenant_id = $1 AND p.token = wanted.token AND p.is_primary OFFSET 0) one
              ) AS found (id)
         CROSS JOIN LATERAL (SELECT * FROM app.contacts c WHERE c.tenant_id = $1 AND c.id = found.id OFFSET 0) c
         LEFT JOIN LATERAL (
             SELECT * FROM app.call_list_members m
             WHERE m.tenant_id = $1 AND m.list_id = $4 AND m.contact_id = found.id OFFSET 0) m ON true
         LEFT JOIN LATERAL (
             SELECT array_agg(token) AS tokens, (array_agg(token) FILTER (WHERE is_primary))[1] AS primary_token
             FROM app.contact_phones p WHERE p.tenant_id = $1 AND p.contact_id = found.id) p ON true
         WHERE c.status <> 'erased'",
    )
    .bind(tenant)
    .bind(&external_ids)
    .bind(&primaries)
    .bind(list.map(|list| list.id.0))
    .fetch_all(&mut **tx)
    .await?;
    for row in rows {
        let Json(attributes): Json<Map<String, Value>> = row.try_get("attributes")?;
        let member = if row.try_get("member")? {
            Some(Member {
                import: row.try_get("import_id")?,
                priority: row.try_get("priority")?,
            })
        } else {
            None
        };
        let tokens: Option<Vec<Uuid>> = row.try_get("tokens")?;
        let contact = Stored {
            external_id: row.try_get("external_id")?,
            first_name: row.try_get("first_name")?,
            last_name: row.try_get("last_name")?,
            email: row.try_get("email")?,
            locale: row.try_get("locale")?,
            timezone: row.try_get("timezone")?,
            tier: row.try_get("tier")?,
            attributes,
            archived: row.try_get("archived")?,
            tokens: tokens.unwrap_or_default().into_iter().collect(),
            primary: row.try_get("primary_token")?,
            member,
            consents: HashSet::new(),
        };
        known.insert(row.try_get("id")?, contact);
    }
    let company = list.and_then(|list| list.company);
    known.suppressed = suppressions::matching(tx, &tokens, now)
        .await?
        .into_iter()
        .filter(|one| match one.scope {
            Scope::Tenant => true,
            Scope::Company(id) => company == Some(id),
            // Whether a campaign may call is decided when it dials.
            Scope::Campaign(_) => false,
        })
        .map(|one| one.token)
        .collect();
    if people.iter().any(|person| !person.consents.is_empty()) {
        said(tx, known.contacts_mut()).await?;
    }
    Ok(known)
}

async fn said(tx: &mut TenantTx, contacts: &mut HashMap<Uuid, Stored>) -> Result<()> {
    let ids: Vec<Uuid> = contacts.keys().copied().collect();
    let rows = sqlx::query(
        "SELECT c.contact_id, c.type, c.status, c.channel, c.purpose, c.source, c.captured_at
         FROM unnest($2::uuid[]) AS wanted (contact_id) CROSS JOIN LATERAL (
             SELECT * FROM app.consents c WHERE c.tenant_id = $1 AND c.contact_id = wanted.contact_id OFFSET 0) c",
    )
    .bind(tx.tenant().0)
    .bind(&ids)
    .fetch_all(&mut **tx)
    .await?;
    for row in rows {
        let channel: Option<&str> = row.try_get("channel")?;
        let said = Said {
            kind: ConsentType::parse(row.try_get("type")?).ok_or(Error::Unreadable {
                column: "consents.type",
            })?,
            status: ConsentStatus::parse(row.try_get("status")?).ok_or(Error::Unreadable {
                column: "consents.status",
            })?,
            channel: channel.and_then(Channel::parse),
            purpose: row.try_get("purpose")?,
            source: row.try_get("source")?,
            captured_at: row.try_get("captured_at")?,
        };
        if let Some(contact) = contacts.get_mut(&row.try_get("contact_id")?) {
            contact.consents.insert(said);
        }
    }
    Ok(())
}

/// What a batch changes.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) created: Vec<(Uuid, &'a Candidate)>,
    pub(crate) updated: Vec<(Uuid, &'a Candidate, Change)>,
    pub(crate) unchanged: Vec<Uuid>,
}

/// Writes everything a batch changes, in one statement per table.
pub(crate) async fn write(tx: &mut TenantTx, import: Uuid, list: &List, changes: &Changes<'_>) -> Result<()> {
    insert_contacts(tx, list, &changes.created).await?;
    let fields: Vec<(Uuid, &Candidate)> = changes
        .updated
        .iter()
        .filter(|(_, _, change)| change.fields)
        .map(|(id, person, _)| (*id, *person))
        .collect();
    update_contacts(tx, &fields).await?;
    insert_phones(tx, changes).await?;
    insert_members(tx, import, list, changes).await?;
    insert_consents(tx, import, changes).await
}

/// The columns of contacts that a row can fill, each as an array.
struct Fields<'a> {
    ids: Vec<Uuid>,
    external_ids: Vec<Option<&'a str>>,
    first_names: Vec<Option<&'a str>>,
    last_names: Vec<Option<&'a str>>,
    emails: Vec<Option<&'a str>>,
    locales: Vec<Option<&'a str>>,
    timezones: Vec<Option<&'a str>>,
    tiers: Vec<Option<&'a str>>,
    attributes: Vec<Json<&'a Map<String, Value>>>,
}

impl<'a> Fields<'a> {
    fn of(people: &[(Uuid, &'a Candidate)]) -> Self {
        let each = |part: fn(&Candidate) -> Option<&str>| -> Vec<Option<&'a str>> {
            people.iter().map(|(_, person)| part(person)).collect()
        };
        Self {
            ids: people.iter().map(|(id, _)| *id).collect(),
            external_ids: each(|person| person.external_id.as_deref()),
            first_names: each(|person| person.first_name.as_deref()),
            last_names: each(|person| person.last_name.as_deref()),
            emails: each(|person| person.email.as_deref()),
            locales: each(|person| person.locale.as_deref()),
            timezones: each(|person| person.timezone.map(|zone| zone.name())),
            tiers: each(|person| person.tier.as_deref()),
            attributes: people
                .iter()
                .map(|(_, person)| Json(&person.attributes))
                .collect(),
        }
    }
}

async fn insert_contacts(tx: &mut TenantTx, list: &List, people: &[(Uuid, &Candidate)]) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let fields = Fields::of(people);
    sqlx::query(
        "INSERT INTO app.contacts (tenant_id, company_id, id, external_id, first_name, last_name, email, locale,
             timezone, tier, attributes)
         SELECT $1, $2, u.* FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
             $9::text[], $10::text[], $11::jsonb[]) AS u",
    )
    .bind(tx.tenant().0)
    .bind(list.company)
    .bind(fields.ids)
    .bind(fields.external_ids)
    .bind(fields.first_names)
    .bind(fields.last_names)
    .bind(fields.emails)
    .bind(fields.locales)
    .bind(fields.timezones)
    .bind(fields.tiers)
    .bind(fields.attributes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An empty cell never takes away what was known.
async fn update_contacts(tx: &mut TenantTx, people: &[(Uuid, &Candidate)]) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let fields = Fields::of(people);
    sqlx::query(
        "UPDATE app.contacts c SET
             external_id = coalesce(u.external_id, c.external_id), first_name = coalesce(u.first_name, c.first_name),
             last_name = coalesce(u.last_name, c.last_name), email = coalesce(u.email, c.email),
             locale = coalesce(u.locale, c.locale), timezone = coalesce(u.timezone, c.timezone),
             tier = coalesce(u.tier, c.tier), attributes = c.attributes || u.attributes, status = 'active'
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
             $10::jsonb[])
             AS u (id, external_id, first_name, last_name, email, locale, timezone, tier, attributes)
         WHERE c.tenant_id = $1 AND c.id = u.id",
    )
    .bind(tx.tenant().0)
    .bind(fields.ids)
    .bind(fields.external_ids)
    .bind(fields.first_names)
    .bind(fields.last_names)
    .bind(fields.emails)
    .bind(fields.locales)
    .bind(fields.timezones)
    .bind(fields.tiers)
    .bind(fields.attributes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_phones(tx: &mut TenantTx, changes: &Changes<'_>) -> Result<()> {
    let created = changes.created.iter().flat_map(|(id, person)| {
        person
            .numbers
            .iter()
            .enumerate()
            .map(|(at, number)| (*id, number, at == 0))
    });
    let updated = changes.updated.iter().flat_map(|(id, person, change)| {
        change
            .numbers
            .iter()
            .map(|at| (*id, &person.numbers[*at], change.primary && *at == 0))
    });
    let phones: Vec<_> = created.chain(updated).collect();
    if phones.is_empty() {
        return Ok(());
    }
    let regions: Vec<Option<String>> = phones
        .iter()
        .map(|(_, number, _)| number.region.map(|region| region.code()))
        .collect();
    sqlx::query(
        "INSERT INTO app.contact_phones (tenant_id, contact_id, e164, token, region, kind, is_primary)
         SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::boolean[]) AS u",
    )
    .bind(tx.tenant().0)
    .bind(phones.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind(phones.iter().map(|(_, number, _)| number.e164.expose()).collect::<Vec<_>>())
    .bind(phones.iter().map(|(_, number, _)| number.token).collect::<Vec<_>>())
    .bind(regions)
    .bind(phones.iter().map(|(_, number, _)| number.kind.as_str()).collect::<Vec<_>>())
    .bind(phones.iter().map(|(_, _, primary)| *primary).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Everybody the batch named is a member named by this import.
async fn insert_members(tx: &mut TenantTx, import: Uuid, list: &List, changes: &Changes<'_>) -> Result<()> {
    let created = changes.created.iter().map(|(id, person)| (*id, person.priority));
    let updated = changes
        .updated
        .iter()
        .map(|(id, person, _)| (*id, person.priority));
    let unchanged = changes.unchanged.iter().map(|id| (*id, None));
    let members: Vec<(Uuid, Option<i16>)> = created.chain(updated).chain(unchanged).collect();
    if members.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO app.call_list_members AS m (tenant_id, list_id, contact_id, priority, import_id)
         SELECT $1, $2, u.id, coalesce(u.priority, p.priority, 50), $3
         FROM unnest($4::uuid[], $5::smallint[]) AS u (id, priority)
         LEFT JOIN app.call_list_members p ON p.tenant_id = $1 AND p.list_id = $2 AND p.contact_id = u.id
         ON CONFLICT (tenant_id, list_id, contact_id) DO UPDATE SET
             import_id = excluded.import_id, priority = excluded.priority",
    )
    .bind(tx.tenant().0)
    .bind(list.id.0)
    .bind(import)
    .bind(members.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(members.iter().map(|(_, priority)| *priority).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The proof of an imported statement is the import and the line of the file.
async fn insert_consents(tx: &mut TenantTx, import: Uuid, changes: &Changes<'_>) -> Result<()> {
    let proven = |id: Uuid, person: &Candidate, statement: &Statement| {
        let mut statement = statement.clone();
        statement
            .evidence
            .insert("import_id".to_owned(), import.to_string().into());
        statement.evidence.insert("line".to_owned(), person.line.into());
        (ContactId(id), statement)
    };
    let mut statements = Vec::new();
    for (id, person) in &changes.created {
        statements.extend(
            person
                .consents
                .iter()
                .map(|statement| proven(*id, person, statement)),
        );
    }
    for (id, person, change) in &changes.updated {
        statements.extend(
            change
                .consents
                .iter()
                .map(|at| proven(*id, person, &person.consents[*at])),
        );
    }
    if !statements.is_empty() {
        consents::store(tx, &statements).await?;
    }
    Ok(())
}

/// Writes entries into the table of rejected rows, numbered from `after`.
pub(crate) async fn keep(
    tx: &mut TenantTx,
    import: Uuid,
    after: i32,
    entries: &[Entry],
    columns: &[crate::Column],
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let names: Vec<Option<&str>> = entries
        .iter()
        .map(|entry| entry.remark.column.map(|at| columns[at].name.as_str()))
        .collect();
    sqlx::query(
        "INSERT INTO app.import_rows_rejected (tenant_id, import_id, number, line, column_name, code, outcome, value_masked)
         SELECT $1, $2, $3 + u.number, u.line, u.column_name, u.code, u.outcome, u.value_masked
         FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
             WITH ORDINALITY AS u (line, column_name, code, outcome, value_masked, number)",
    )
    .bind(tx.tenant().0)
    .bind(import)
    .bind(after)
    .bind(entries.iter().map(|entry| signed(entry.remark.line)).collect::<Vec<_>>())
    .bind(names)
    .bind(entries.iter().map(|entry| entry.remark.code.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.remark.masked.as_deref()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

// Counters and lengths stay far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
