//! Rules that every table of the schema keeps, asked of the server's own catalogue.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sqlx::Row;
use voice_postgres::{Role, testing::TestDatabase};

async fn column(database: &TestDatabase, sql: &'static str) -> Vec<String> {
    let owner = database.connect(Role::Owner).await;
    sqlx::query(sql)
        .fetch_all(&owner.job_pool())
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get(0).unwrap())
        .collect()
}

const TENANT_TABLES: &str =
    "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'app' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'migrations'
     ORDER BY 1";

#[tokio::test]
async fn the_catalogue_of_tables_is_the_one_these_rules_are_checked_on() {
    let database = TestDatabase::create().await;
    assert_eq!(
        column(&database, TENANT_TABLES).await,
        [
            "app.agent_campaigns",
            "app.agent_legs",
            "app.agent_states",
            "app.agents",
            "app.ai_agent_targets",
            "app.ai_agents",
            "app.attempts",
            "app.calendar_exceptions",
            "app.calendar_hours",
            "app.calendars",
            "app.call_list_members",
            "app.call_lists",
            "app.caller_number_days",
            "app.caller_pools",
            "app.campaign_contacts",
            "app.campaign_lists",
            "app.campaign_shards",
            "app.campaigns",
            "app.carrier_lines",
            "app.companies",
            "app.consents",
            "app.contact_decisions",
            "app.contact_phones",
            "app.contact_relationships",
            "app.contacts",
            "app.dial_ledger",
            "app.dial_stops",
            "app.dispositions",
            "app.import_rows_rejected",
            "app.imports",
            "app.knowledge_articles",
            "app.knowledge_grants",
            "app.knowledge_passages",
            "app.knowledge_spellings",
            "app.knowledge_words",
            "app.outbox",
            "app.phone_numbers",
            "app.preview_offers",
            "app.provider_accounts",
            "app.registry_entries",
            "app.registry_scrubs",
            "app.report_files",
            "app.report_schedules",
            "app.reports",
            "app.retry_policies",
            "app.retry_rules",
            "app.suppressions",
            "app.tenants",
            "app.transfers"
        ]
    );
}

/// A histogram of tenants makes the planner take a new tenant for an empty one.
#[tokio::test]
async fn no_table_keeps_statistics_of_its_tenants_not_even_a_partition() {
    let database = TestDatabase::create().await;
    let offenders = column(
        &database,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'app'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'tenant_id'
           AND a.attstattarget <> 0 ORDER BY 1",
    )
    .await;
    assert_eq!(offenders, [""; 0], "ALTER COLUMN tenant_id SET STATISTICS 0");
}

#[tokio::test]
async fn every_table_enables_and_forces_row_level_security() {
    let database = TestDatabase::create().await;
    let offenders = column(
        &database,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'app' AND c.relkind IN ('r', 'p') AND c.relname <> 'migrations'
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    .await;
    assert_eq!(offenders, Vec::<String>::new());
}

#[tokio::test]
async fn every_table_has_the_tenant_policy_for_reading_and_writing_by_everybody() {
    let database = TestDatabase::create().await;
    let offenders = column(
        &database,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'app' AND c.relkind IN ('r', 'p') AND c.relname <> 'migrations'
           AND NOT EXISTS (
               SELECT FROM pg_policy p
               WHERE p.polrelid = c.oid AND p.polname = 'tenant' AND p.polcmd = '*' AND p.polpermissive
                 AND p.polroles = '{0}'
                 AND pg_get_expr(p.polqual, c.oid) =
                     format('(%s = ( SELECT app.tid() AS tid))', CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END)
                 AND pg_get_expr(p.polwithcheck, c.oid) = pg_get_expr(p.polqual, c.oid))",
    )
    .await;
    assert_eq!(offenders, Vec::<String>::new());
}

#[tokio::test]
async fn no_other_policy_opens_a_table_to_a_role_that_serves_tenants() {
    let database = TestDatabase::create().await;
    let others = column(
        &database,
        "SELECT format('%s: %s to %s', p.polrelid::regclass, p.polname,
                       array(SELECT rolname FROM pg_roles r WHERE r.oid = ANY(p.polroles)))
         FROM pg_policy p WHERE p.polname <> 'tenant' ORDER BY 1",
    )
    .await;
    assert_eq!(
        others,
        [
            "app.agent_campaigns: system to {voice_system}",
            "app.agent_legs: system to {voice_system}",
            "app.agent_states: system to {voice_system}",
            "app.agents: system to {voice_system}",
            "app.ai_agents: system to {voice_system}",
            "app.attempts: system to {voice_system}",
            "app.campaigns: system to {voice_system}",
            "app.dial_stops: system to {voice_system}",
            "app.knowledge_passages: system to {voice_system}",
            "app.outbox: relay to {voice_relay}",
            "app.provider_accounts: system to {voice_system}",
            "app.report_schedules: system to {voice_system}",
            "app.reports: system to {voice_system}",
            "app.tenants: system to {voice_system}",
            "app.transfers: system to {voice_system}",
        ]
    );
    // The relay, whose policy lets it see all tenants, can touch no other table.
    let relay_grants = column(
        &database,
        "SELECT DISTINCT table_name::text FROM information_schema.table_privileges WHERE grantee = 'voice_relay'",
    )
    .await;
    assert_eq!(relay_grants, ["outbox"]);
}

#[tokio::test]
async fn every_foreign_key_between_tables_of_a_tenant_contains_the_tenant() {
    let database = TestDatabase::create().await;
    let offenders = column(
        &database,
        "SELECT format('%s %s', f.conrelid::regclass, f.conname) FROM pg_constraint f
         WHERE f.contype = 'f' AND f.connamespace = 'app'::regnamespace
           AND f.confrelid <> 'app.tenants'::regclass
           AND NOT EXISTS (
               SELECT FROM unnest(f.conkey, f.confkey) AS pair(here, there)
               JOIN pg_attribute h ON h.attrelid = f.conrelid AND h.attnum = pair.here
               JOIN pg_attribute t ON t.attrelid = f.confrelid AND t.attnum = pair.there
               WHERE h.attname = 'tenant_id' AND t.attname = 'tenant_id')",
    )
    .await;
    assert_eq!(offenders, Vec::<String>::new());
}

#[tokio::test]
async fn no_view_runs_with_the_rights_of_its_owner() {
    let database = TestDatabase::create().await;
    let offenders = column(
        &database,
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'app' AND (c.relkind = 'm' OR c.relkind = 'v'
           AND NOT coalesce('security_invoker=true' = ANY(c.reloptions), false))",
    )
    .await;
    assert_eq!(offenders, Vec::<String>::new());
}

#[tokio::test]
async fn functions_with_foreign_rights_are_the_listed_doors_and_closed_to_the_public() {
    let database = TestDatabase::create().await;
    let doors = column(
        &database,
        "SELECT format('%s owner=%s path=%s public=%s', p.proname, p.proowner::regrole,
                       coalesce(p.proconfig::text, 'open'),
                       has_function_privilege('public', p.oid, 'EXECUTE'))
         FROM pg_proc p WHERE p.pronamespace = 'app'::regnamespace AND p.prosecdef ORDER BY 1",
    )
    .await;
    let closed = "owner=voice_system path={\"search_path=pg_catalog, pg_temp\"} public=f";
    let expected: Vec<String> = [
        "all_agent_legs_to_mind",
        "all_ai_agents",
        "all_dial_stops",
        "all_live_campaigns",
        "all_open_transfers",
        "all_provider_accounts",
        "all_sharing_campaigns",
        "all_tenants",
        "due_reports",
        "due_schedules",
        "find_knowledge",
    ]
    .map(|name| format!("{name} {closed}"))
    .to_vec();
    assert_eq!(doors, expected);
}

#[tokio::test]
async fn no_role_of_a_service_is_superuser_or_bypasses_policies() {
    let database = TestDatabase::create().await;
    let roles = column(
        &database,
        "SELECT format('%s super=%s bypass=%s login=%s', rolname, rolsuper, rolbypassrls, rolcanlogin)
         FROM pg_roles WHERE rolname IN ('voice_api', 'voice_worker', 'voice_relay', 'voice_report', 'voice_system')
         ORDER BY 1",
    )
    .await;
    let expected: Vec<String> = [
        "voice_api",
        "voice_relay",
        "voice_report",
        "voice_system",
        "voice_worker",
    ]
    .map(|name| format!("{name} super=f bypass=f login=f"))
    .to_vec();
    assert_eq!(roles, expected);
}
