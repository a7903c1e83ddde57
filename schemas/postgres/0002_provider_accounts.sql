-- Accounts of tenants at carriers: where their webhooks arrive, and what proves and authorises them.

CREATE TABLE app.provider_accounts (
    tenant_id       uuid NOT NULL REFERENCES app.tenants (id),
    id              uuid NOT NULL,
    carrier         text NOT NULL CHECK (carrier IN ('telnyx', 'twilio')),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- The carrier's own name of the account: Twilio's account SID, Telnyx's connection id.
    carrier_account text NOT NULL CHECK (length(carrier_account) BETWEEN 1 AND 200),
    -- Keys and tokens, sealed by the program; never readable through the API.
    credentials_enc bytea NOT NULL,
    key_version     integer NOT NULL,
    -- Part of the webhook address. Unguessable: at least 128 random bits.
    ingress_id      text NOT NULL UNIQUE CHECK (ingress_id ~ '^[A-Za-z0-9_-]{22,64}$'),
    -- Where the carrier's REST API is; NULL is the carrier's own address.
    base_url        text CHECK (base_url ~ '^https?://'),
    -- Webhooks a second this account may send, and how many at once.
    rate_per_second integer NOT NULL DEFAULT 50 CHECK (rate_per_second > 0),
    rate_burst      integer NOT NULL DEFAULT 500 CHECK (rate_burst > 0),
    ip_policy       text NOT NULL DEFAULT 'log' CHECK (ip_policy IN ('enforce', 'log', 'off')),
    -- Addresses beyond the carrier's published ones.
    ip_allow        cidr[] NOT NULL DEFAULT '{}',
    enabled         boolean NOT NULL DEFAULT true,
    version         bigint NOT NULL DEFAULT 1,
    created_by      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT provider_accounts_name UNIQUE (tenant_id, name),
    CONSTRAINT provider_accounts_carrier_account UNIQUE (tenant_id, carrier, carrier_account)
);

ALTER TABLE app.provider_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.provider_accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.provider_accounts
    USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()));
CREATE POLICY system ON app.provider_accounts FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.provider_accounts FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER notify_config AFTER INSERT OR UPDATE OR DELETE ON app.provider_accounts
    FOR EACH ROW EXECUTE FUNCTION app.notify_config();

GRANT SELECT, INSERT, UPDATE, DELETE ON app.provider_accounts TO voice_api;
GRANT SELECT ON app.provider_accounts TO voice_worker, voice_system;

-- A webhook names its account only by ingress id, before any tenant is known; so whoever receives webhooks
-- keeps all enabled accounts of all active tenants in memory, sealed secrets included.
CREATE FUNCTION app.all_provider_accounts()
    RETURNS TABLE (
        tenant_id uuid, id uuid, carrier text, name text, carrier_account text, credentials_enc bytea,
        key_version integer, ingress_id text, base_url text, rate_per_second integer, rate_burst integer,
        ip_policy text, ip_allow text[], version bigint, phone_key_enc bytea, phone_key_version integer
    )
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.tenant_id, a.id, a.carrier, a.name, a.carrier_account, a.credentials_enc,
               a.key_version, a.ingress_id, a.base_url, a.rate_per_second, a.rate_burst,
               a.ip_policy, a.ip_allow::text[], a.version, t.phone_key_enc, t.phone_key_version
        FROM app.provider_accounts a JOIN app.tenants t ON t.id = a.tenant_id
        WHERE a.enabled AND t.status = 'active'
        ORDER BY a.tenant_id, a.id;
    END;
REVOKE ALL ON FUNCTION app.all_provider_accounts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_provider_accounts() TO voice_worker;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_provider_accounts() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
