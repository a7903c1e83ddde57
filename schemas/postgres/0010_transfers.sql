-- Callers who are handed over from an AI agent to a person.
--
-- The media worker asks with a row; the controller of the shard a free person works for reserves them; the controller of
-- the call's own shard puts the call into their room. Every step is a move of the row's state that only one can make.

-- To whom an AI agent may hand callers over, by the names its instructions give.
CREATE TABLE app.ai_agent_targets (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    ai_agent_id uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('queue', 'person')),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- A queue is the people who work for this campaign.
    campaign_id uuid,
    agent_id    uuid,
    PRIMARY KEY (tenant_id, ai_agent_id, kind, name),
    CHECK ((kind = 'queue') = (campaign_id IS NOT NULL) AND (kind = 'person') = (agent_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, ai_agent_id) REFERENCES app.ai_agents (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.agents (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE app.transfers (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    -- Given by whoever asks: the same id again is the same transfer.
    id          uuid NOT NULL,
    call_id     uuid NOT NULL,
    attempt_id  uuid NOT NULL,
    -- The shard whose controller owns the call, and the account the call runs through.
    campaign_id uuid NOT NULL,
    shard       smallint NOT NULL,
    account_id  uuid NOT NULL,
    -- Who is wanted: anybody who works for this campaign, or this person.
    queue_campaign_id uuid,
    wanted_agent_id   uuid,
    mode        text NOT NULL CHECK (mode IN ('warm', 'cold')),
    -- What the person should know. Taken out when it is over.
    summary     text CHECK (length(summary) <= 2000),
    -- asked; reserved: a person's place is held; ordered: the carrier is being told; done: it has taken the order;
    -- over: that call has ended. nobody_free: in time; failed: the call was gone, or the carrier refused.
    state       text NOT NULL DEFAULT 'asked'
                CHECK (state IN ('asked', 'reserved', 'ordered', 'done', 'over', 'nobody_free', 'failed')),
    -- The person, and the token of their reservation.
    agent_id    uuid,
    token       bigint,
    -- asked: nobody is reserved for it any more from then on; reserved, ordered: the place is held until then.
    until       timestamptz NOT NULL,
    asked_at    timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (num_nonnulls(queue_campaign_id, wanted_agent_id) = 1),
    CHECK (num_nulls(agent_id, token) IN (0, 2)),
    CHECK (state IN ('asked', 'nobody_free', 'failed') OR agent_id IS NOT NULL)
) WITH (fillfactor = 50);
-- A caller is handed over once, and is asked about once at a time.
CREATE UNIQUE INDEX transfers_call ON app.transfers (tenant_id, call_id) WHERE state NOT IN ('nobody_free', 'failed');
CREATE INDEX transfers_open ON app.transfers (until) WHERE state IN ('asked', 'reserved', 'ordered');
CREATE INDEX transfers_shard ON app.transfers (tenant_id, campaign_id, shard)
    WHERE state IN ('reserved', 'ordered', 'done');
CREATE INDEX transfers_agent ON app.transfers (tenant_id, agent_id) WHERE state IN ('reserved', 'ordered', 'done');

SELECT app.close_partition('ai_agent_targets');
SELECT app.close_partition('transfers');

-- Controllers look at once.
CREATE TRIGGER notify_agents AFTER INSERT OR UPDATE OF state ON app.transfers
    FOR EACH ROW EXECUTE FUNCTION app.notify_agents();

GRANT SELECT, INSERT, UPDATE, DELETE ON app.ai_agent_targets TO voice_api;
GRANT SELECT ON app.transfers TO voice_api;
GRANT SELECT ON app.ai_agent_targets TO voice_worker;
GRANT SELECT, INSERT, UPDATE ON app.transfers TO voice_worker;
GRANT SELECT ON app.transfers TO voice_system;
CREATE POLICY system ON app.transfers FOR SELECT TO voice_system USING (true);

-- Transfers that want something done, in all tenants. What stands unfinished for minutes was given up by everybody.
CREATE FUNCTION app.all_open_transfers()
    RETURNS TABLE (
        tenant_id uuid, id uuid, call_id uuid, attempt_id uuid, campaign_id uuid, shard smallint, account_id uuid,
        queue_campaign_id uuid, wanted_agent_id uuid, state text, agent_id uuid, token bigint, until timestamptz
    )
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.tenant_id, t.id, t.call_id, t.attempt_id, t.campaign_id, t.shard, t.account_id, t.queue_campaign_id,
               t.wanted_agent_id, t.state, t.agent_id, t.token, t.until
        FROM app.transfers t
        WHERE t.state IN ('asked', 'reserved', 'ordered') AND t.until > now() - interval '5 minutes'
        ORDER BY t.asked_at, t.id;
    END;
REVOKE ALL ON FUNCTION app.all_open_transfers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_open_transfers() TO voice_worker;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_open_transfers() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
