-- Opting out by key, legs of agents, agents of several campaigns, preview, registers and relationships.

ALTER TABLE app.campaigns
    -- Whose calls end when a person presses the key: all of the tenant, or those of the campaign's company. A campaign
    -- that calls for no company calls for the tenant. There is nothing narrower: the law knows the caller, not
    -- the campaign.
    ADD COLUMN opt_out_scope text NOT NULL DEFAULT 'company' CHECK (opt_out_scope IN ('tenant', 'company')),
    -- What whoever pressed it hears before the line is closed.
    ADD COLUMN opt_out_url text CHECK (opt_out_url ~ '^https?://'),
    -- How long an agent may look at a contact before it is offered to somebody else.
    ADD COLUMN preview_seconds integer NOT NULL DEFAULT 60 CHECK (preview_seconds BETWEEN 5 AND 900);

ALTER TABLE app.attempts ADD COLUMN opted_out_at timestamptz;

-- Where an agent is called, and the number that is shown to them: it says through which account. An agent without an
-- address comes into the room by themselves.
ALTER TABLE app.agents
    ADD COLUMN address text CHECK (address ~ '^(\+[1-9][0-9]{6,14}|sips?:[^[:space:]<>"]{3,250})$'),
    ADD COLUMN leg_number_id uuid,
    ADD CONSTRAINT agents_leg CHECK ((address IS NULL) = (leg_number_id IS NULL)),
    ADD FOREIGN KEY (tenant_id, leg_number_id) REFERENCES app.phone_numbers (tenant_id, id);

-- The leg that keeps an agent in their room; the last one, when there is none. It is committed before the carrier is
-- asked, like an attempt, and asked for once.
CREATE TABLE app.agent_legs (
    tenant_id       uuid NOT NULL REFERENCES app.tenants (id),
    agent_id        uuid NOT NULL,
    call_id         uuid NOT NULL,
    account_id      uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('asked', 'answered', 'joined', 'ended')),
    carrier         text,
    carrier_call_id text,
    -- When something was last heard of it.
    heard_at        timestamptz NOT NULL,
    asked_at        timestamptz NOT NULL,
    ended_at        timestamptz,
    outcome         text,
    PRIMARY KEY (tenant_id, agent_id),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.agents (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Campaigns an agent may work for, the one they sign in for among them; without rows, that one only. At any moment they work for one shard only, the one
-- in agent_states; its controller may give them to another.
CREATE TABLE app.agent_campaigns (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    agent_id    uuid NOT NULL,
    campaign_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, campaign_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.agents (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX agent_campaigns_campaign ON app.agent_campaigns (tenant_id, campaign_id);

-- Until when a shard said that it has work for more agents.
ALTER TABLE app.campaign_shards ADD COLUMN hungry_until timestamptz;

-- What an agent in preview looks at; one row for an agent. The contact stays 'ready' and is only put off until the offer
-- runs out, so an offer nobody answers needs no repair.
CREATE TABLE app.preview_offers (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    agent_id    uuid NOT NULL,
    -- The attempt it becomes.
    id          uuid NOT NULL,
    campaign_id uuid NOT NULL,
    shard       smallint NOT NULL,
    -- asked: by the agent; offered: there is a contact; none: there was nobody; accepted: to be dialled; dialled;
    -- refused: it could not be dialled after all; skipped: by the agent; lapsed: nobody answered.
    state       text NOT NULL CHECK (state IN ('asked', 'offered', 'none', 'accepted', 'dialled', 'refused', 'skipped',
                                               'lapsed')),
    contact_id  uuid,
    reasons     text[] NOT NULL DEFAULT '{}',
    -- The offer is good until then.
    until       timestamptz,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, agent_id),
    CHECK (state NOT IN ('offered', 'accepted', 'dialled', 'skipped') OR contact_id IS NOT NULL),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.agents (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX preview_offers_waiting ON app.preview_offers (tenant_id, campaign_id, shard)
    WHERE state IN ('asked', 'offered', 'accepted');

-- Registers of people who do not want calls (us-dnc, gb-tps …), as they were on a day. A scrub is loaded beside the
-- current one and takes its place when it is complete.
CREATE TABLE app.registry_scrubs (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    list       text NOT NULL CHECK (list ~ '^[a-z][a-z0-9-]{1,40}$'),
    -- register: the whole of it, so whoever is not in it is not listed. numbers: only what was looked up.
    covers     text NOT NULL CHECK (covers IN ('register', 'numbers')),
    -- As of when the register says so.
    taken_at   timestamptz NOT NULL,
    state      text NOT NULL DEFAULT 'loading' CHECK (state IN ('loading', 'current')),
    entries    bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX registry_scrubs_register ON app.registry_scrubs (tenant_id, list)
    WHERE covers = 'register' AND state = 'current';
CREATE TABLE app.registry_entries (
    tenant_id uuid NOT NULL,
    token     uuid NOT NULL,
    scrub_id  uuid NOT NULL,
    listed    boolean NOT NULL,
    PRIMARY KEY (tenant_id, token, scrub_id),
    FOREIGN KEY (tenant_id, scrub_id) REFERENCES app.registry_scrubs (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX registry_entries_scrub ON app.registry_entries (tenant_id, scrub_id);

-- What connects a person with a company of the tenant, or with the tenant itself: it lifts some rules.
CREATE TABLE app.contact_relationships (
    tenant_id        uuid NOT NULL,
    contact_id       uuid NOT NULL,
    company_id       uuid,
    last_purchase_at timestamptz,
    last_inquiry_at  timestamptz,
    -- A contract is running, and the calls are about it.
    contract         boolean NOT NULL DEFAULT false,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT contact_relationships_one UNIQUE NULLS NOT DISTINCT (tenant_id, contact_id, company_id),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES app.contacts (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, company_id) REFERENCES app.companies (tenant_id, id)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['agent_legs', 'agent_campaigns', 'preview_offers', 'registry_scrubs',
        'registry_entries', 'contact_relationships'] LOOP
        PERFORM app.close_partition(name);
    END LOOP;
END $$;

-- Whoever looks after agents looks again when one of these changed.
CREATE TRIGGER notify_agents AFTER INSERT OR UPDATE OF state ON app.agent_legs
    FOR EACH ROW EXECUTE FUNCTION app.notify_agents();
CREATE TRIGGER notify_agents AFTER INSERT OR UPDATE OF state ON app.preview_offers
    FOR EACH ROW EXECUTE FUNCTION app.notify_agents();
CREATE TRIGGER notify_agents AFTER INSERT OR UPDATE OF address ON app.agents
    FOR EACH ROW EXECUTE FUNCTION app.notify_agents();

GRANT SELECT, INSERT, UPDATE, DELETE ON app.agent_campaigns, app.registry_scrubs, app.registry_entries,
    app.contact_relationships TO voice_api;
GRANT SELECT, INSERT, UPDATE ON app.preview_offers TO voice_api;
GRANT SELECT ON app.agent_legs TO voice_api;
-- An agent who passes a contact over decides against a dial.
GRANT INSERT ON app.contact_decisions TO voice_api;
GRANT SELECT, INSERT, UPDATE ON app.agent_legs, app.preview_offers, app.contact_relationships TO voice_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.registry_scrubs, app.registry_entries TO voice_worker;
GRANT SELECT ON app.agent_campaigns TO voice_worker;
GRANT SELECT ON app.agents, app.agent_states, app.agent_legs, app.agent_campaigns TO voice_system;

CREATE POLICY system ON app.agents FOR SELECT TO voice_system USING (true);
CREATE POLICY system ON app.agent_states FOR SELECT TO voice_system USING (true);
CREATE POLICY system ON app.agent_legs FOR SELECT TO voice_system USING (true);
CREATE POLICY system ON app.agent_campaigns FOR SELECT TO voice_system USING (true);

-- Agents whose leg is not as their status wants it, or was not heard of for two minutes, in all tenants. Only names them.
CREATE FUNCTION app.all_agent_legs_to_mind() RETURNS TABLE (tenant_id uuid, agent_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.tenant_id, a.id
        FROM app.agents a
        JOIN app.agent_states s ON s.tenant_id = a.tenant_id AND s.agent_id = a.id
        LEFT JOIN app.agent_legs l ON l.tenant_id = a.tenant_id AND l.agent_id = a.id
        WHERE (a.address IS NOT NULL AND s.status = 'available' AND coalesce(l.state, 'ended') = 'ended')
           OR (l.state IN ('asked', 'answered', 'joined')
               AND (s.status = 'offline' OR a.address IS NULL
                    OR l.heard_at < now() - CASE l.state WHEN 'joined' THEN interval '2 minutes'
                                                         ELSE interval '30 seconds' END));
    END;
-- Campaigns whose agents may work for another one too, or into which others may come, in all tenants.
CREATE FUNCTION app.all_sharing_campaigns() RETURNS TABLE (campaign_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.campaign_id FROM app.agent_campaigns c
        UNION
        SELECT s.campaign_id FROM app.agent_states s
        WHERE s.campaign_id IS NOT NULL
          AND EXISTS (SELECT FROM app.agent_campaigns c WHERE c.tenant_id = s.tenant_id AND c.agent_id = s.agent_id);
    END;
REVOKE ALL ON FUNCTION app.all_agent_legs_to_mind(), app.all_sharing_campaigns() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_agent_legs_to_mind(), app.all_sharing_campaigns() TO voice_worker;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_agent_legs_to_mind() OWNER TO voice_system;
ALTER FUNCTION app.all_sharing_campaigns() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
