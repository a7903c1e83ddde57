-- Roles, tenant isolation and tenants.
--
-- Isolation: every table with a tenant_id has row-level security enabled and forced, and one policy that
-- compares it with the tenant of the running transaction. A transaction without one sees nothing.
--
-- Reading across tenants: only through the functions named app.all_* and app.due_*. They belong to
-- voice_system, which no service becomes, run with its rights (SECURITY DEFINER), and are the only thing
-- its own policies open. What crosses the boundary is therefore a short list that can be read here.

-- Roles belong to the cluster, so another database may be creating them at this moment. Advisory locks do
-- not reach across databases; a lost race is answered by looking again.
DO $$
DECLARE
    wanted text;
    tries int;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['voice_api', 'voice_worker', 'voice_relay', 'voice_report', 'voice_system'] LOOP
        tries := 0;
        LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
                END IF;
                -- From Postgres 16 on, making a role does not include the right to become it.
                IF NOT pg_catalog.pg_has_role(current_user, wanted, 'SET') THEN
                    EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT FALSE, SET TRUE', wanted);
                END IF;
                EXIT;
            EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN
                tries := tries + 1;
                IF tries > 20 THEN
                    RAISE;
                END IF;
                PERFORM pg_catalog.pg_sleep(0.05);
            END;
        END LOOP;
        IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted AND (rolsuper OR rolbypassrls)) THEN
            RAISE EXCEPTION 'role % must be neither SUPERUSER nor BYPASSRLS', wanted;
        END IF;
    END LOOP;
END $$;

CREATE SCHEMA IF NOT EXISTS app;
GRANT USAGE ON SCHEMA app TO voice_api, voice_worker, voice_relay, voice_report, voice_system;

-- The tenant of the running transaction. After a transaction the setting is '', not NULL, hence nullif.
-- STABLE and SQL, so that a policy is evaluated once per query and indexes are used.
CREATE FUNCTION app.tid() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;

-- Keeps updated_at and version honest, whoever writes.
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;

-- Tells every process that keeps configuration in memory to read it again. Payload: table:tenant.
CREATE FUNCTION app.notify_config() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tenant uuid;
BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
        tenant := CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END;
    ELSE
        tenant := CASE TG_OP WHEN 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
    END IF;
    PERFORM pg_notify('config_changed', TG_TABLE_NAME || ':' || tenant);
    RETURN NULL;
END $$;

-- The customers of the platform; the only table that is not keyed by tenant_id.
CREATE TABLE app.tenants (
    id                uuid PRIMARY KEY,
    slug              text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status            text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    region            text NOT NULL DEFAULT 'eu',
    default_locale    text NOT NULL DEFAULT 'en',
    timezone          text NOT NULL DEFAULT 'UTC',
    plan              text,
    settings          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
    -- The HMAC key that turns a phone number into a phone_token, sealed by the program.
    phone_key_enc     bytea NOT NULL,
    phone_key_version integer NOT NULL,
    version           bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.tenants USING (id = (SELECT app.tid())) WITH CHECK (id = (SELECT app.tid()));
CREATE POLICY system ON app.tenants FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.tenants FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER notify_config AFTER INSERT OR UPDATE OR DELETE ON app.tenants
    FOR EACH ROW EXECUTE FUNCTION app.notify_config();

GRANT SELECT, INSERT, UPDATE ON app.tenants TO voice_api;
GRANT SELECT ON app.tenants TO voice_worker, voice_system;
GRANT SELECT (id, slug, name, status, region, default_locale, timezone, plan, settings, created_at, updated_at)
    ON app.tenants TO voice_report;

-- Every tenant, without its key: for jobs that go through the tenants one by one.
CREATE FUNCTION app.all_tenants()
    RETURNS TABLE (id uuid, slug text, name text, status text, region text, default_locale text, timezone text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.id, t.slug, t.name, t.status, t.region, t.default_locale, t.timezone
        FROM app.tenants t ORDER BY t.id;
    END;
REVOKE ALL ON FUNCTION app.all_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_tenants() TO voice_api, voice_worker, voice_report, CURRENT_USER;
-- A new owner must be allowed to create in the schema at the moment it becomes the owner.
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_tenants() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
