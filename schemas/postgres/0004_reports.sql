-- Report schedules, reports, and the files a report became.

CREATE TABLE app.report_schedules (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    id          uuid NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind        text NOT NULL CHECK (kind IN ('daily_summary', 'agent_performance', 'campaign_effectiveness',
                                              'quality_assurance', 'call_analytics', 'custom')),
    -- Five fields, evaluated on the wall clock of the zone.
    cron        text NOT NULL,
    timezone    text NOT NULL,
    formats     text[] NOT NULL DEFAULT '{pdf}'
                CHECK (cardinality(formats) > 0 AND formats <@ '{pdf,xlsx,csv,json}'::text[]),
    -- NULL is the tenant's.
    locale      text,
    parameters  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object'),
    -- What happens to runs that fell into a pause of the whole scheduler.
    catch_up    text NOT NULL DEFAULT 'once' CHECK (catch_up IN ('skip', 'once', 'all')),
    paused      boolean NOT NULL DEFAULT false,
    start_at    timestamptz,
    end_at      timestamptz,
    -- NULL: the schedule never runs again (it ended, or its expression has no further time).
    next_run_at timestamptz,
    last_run_at timestamptz,
    -- Why the scheduler stopped planning it, as a stable label; NULL while it is well.
    fault       text,
    version     bigint NOT NULL DEFAULT 1,
    created_by  uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT report_schedules_name UNIQUE (tenant_id, name)
);
CREATE INDEX report_schedules_due ON app.report_schedules (next_run_at) WHERE NOT paused AND next_run_at IS NOT NULL;

CREATE TABLE app.reports (
    tenant_id     uuid NOT NULL REFERENCES app.tenants (id),
    id            uuid NOT NULL,
    -- Both NULL when a person asked for the report.
    schedule_id   uuid,
    scheduled_for timestamptz,
    kind          text NOT NULL,
    status        text NOT NULL DEFAULT 'pending'
                  CHECK (status IN ('pending', 'generating', 'completed', 'failed', 'cancelled')),
    formats       text[] NOT NULL CHECK (cardinality(formats) > 0 AND formats <@ '{pdf,xlsx,csv,json}'::text[]),
    locale        text,
    timezone      text NOT NULL,
    parameters    jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object'),
    -- The period is a function of this instant, so a run repeated tomorrow is about the same day.
    period_as_of  timestamptz NOT NULL,
    period_from   timestamptz,
    period_to     timestamptz,
    -- Events of the period may have been missing when it was made.
    provisional   boolean NOT NULL DEFAULT false,
    attempts      integer NOT NULL DEFAULT 0,
    -- The stable label of the last failure; kept while a retry is on its way.
    failure       text,
    -- When the next try is due; NULL once the report is in a final state.
    run_after     timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    expires_at    timestamptz,
    created_by    uuid,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- The reason why two schedulers cannot run a schedule twice.
    CONSTRAINT reports_schedule_run UNIQUE (tenant_id, schedule_id, scheduled_for),
    CONSTRAINT reports_schedule FOREIGN KEY (tenant_id, schedule_id)
        REFERENCES app.report_schedules (tenant_id, id) ON DELETE SET NULL (schedule_id),
    CHECK (schedule_id IS NULL OR scheduled_for IS NOT NULL)
);
CREATE INDEX reports_newest ON app.reports (tenant_id, created_at DESC, id);
CREATE INDEX reports_unfinished ON app.reports (run_after) WHERE run_after IS NOT NULL;

CREATE TABLE app.report_files (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    report_id  uuid NOT NULL,
    format     text NOT NULL CHECK (format IN ('pdf', 'xlsx', 'csv', 'json')),
    object_key text NOT NULL,
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, report_id, format),
    FOREIGN KEY (tenant_id, report_id) REFERENCES app.reports (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE app.report_schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.report_schedules FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.report_schedules
    USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()));
CREATE POLICY system ON app.report_schedules FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.report_schedules FOR EACH ROW EXECUTE FUNCTION app.touch();

ALTER TABLE app.reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.reports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.reports
    USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()));
CREATE POLICY system ON app.reports FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.reports FOR EACH ROW EXECUTE FUNCTION app.touch();

ALTER TABLE app.report_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.report_files FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.report_files
    USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()));

GRANT SELECT, INSERT, UPDATE, DELETE ON app.report_schedules, app.reports TO voice_api;
GRANT SELECT, DELETE ON app.report_files TO voice_api;
GRANT SELECT, UPDATE (next_run_at, last_run_at, fault) ON app.report_schedules TO voice_worker;
GRANT SELECT, INSERT, UPDATE ON app.reports TO voice_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.report_files TO voice_worker;
GRANT SELECT ON app.report_schedules, app.reports, app.report_files TO voice_report;
GRANT SELECT ON app.report_schedules, app.reports TO voice_system;

-- Which schedules are due, in all tenants. Only names them: whoever takes one up opens a transaction of its
-- tenant, locks the row and looks again.
CREATE FUNCTION app.due_schedules(at timestamptz, most integer)
    RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.tenant_id, s.id FROM app.report_schedules s JOIN app.tenants t ON t.id = s.tenant_id
        WHERE NOT s.paused AND s.next_run_at <= at AND t.status = 'active'
        ORDER BY s.next_run_at LIMIT most;
    END;
REVOKE ALL ON FUNCTION app.due_schedules(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.due_schedules(timestamptz, integer) TO voice_worker;

-- Reports whose time has come and that no job has finished, in all tenants: what a lost job leaves behind.
CREATE FUNCTION app.due_reports(at timestamptz, most integer)
    RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.tenant_id, r.id FROM app.reports r
        WHERE r.run_after <= at ORDER BY r.run_after LIMIT most;
    END;
REVOKE ALL ON FUNCTION app.due_reports(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.due_reports(timestamptz, integer) TO voice_worker;

GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.due_schedules(timestamptz, integer) OWNER TO voice_system;
ALTER FUNCTION app.due_reports(timestamptz, integer) OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
