-- Campaigns, whom they call, every try to reach somebody, and the agents who talk.
--
-- A dial is at most once: an attempt is committed before the carrier is asked, together with the decision
-- that allowed it, the entry in the ledger of the number, and the contact's move out of 'ready'.

-- Weekly opening hours. Without a zone they hold on the clock of the person called.
CREATE TABLE app.calendars (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    timezone   text,
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT calendars_name UNIQUE (tenant_id, name)
);
CREATE TABLE app.calendar_hours (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    calendar_id uuid NOT NULL,
    -- ISO: 1 is Monday.
    weekday     smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    opens       time NOT NULL,
    closes      time NOT NULL CHECK (closes > opens),
    PRIMARY KEY (tenant_id, calendar_id, weekday, opens),
    FOREIGN KEY (tenant_id, calendar_id) REFERENCES app.calendars (tenant_id, id) ON DELETE CASCADE
);
-- A day that is not as its weekday; closed where the times are NULL.
CREATE TABLE app.calendar_exceptions (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    calendar_id uuid NOT NULL,
    day         date NOT NULL,
    opens       time,
    closes      time CHECK (closes > opens),
    name        text,
    PRIMARY KEY (tenant_id, calendar_id, day),
    CHECK ((opens IS NULL) = (closes IS NULL)),
    FOREIGN KEY (tenant_id, calendar_id) REFERENCES app.calendars (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE app.retry_policies (
    tenant_id    uuid NOT NULL REFERENCES app.tenants (id),
    id           uuid NOT NULL,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- Over all classes together.
    max_attempts smallint NOT NULL DEFAULT 3 CHECK (max_attempts BETWEEN 1 AND 100),
    version      bigint NOT NULL DEFAULT 1,
    created_by   uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT retry_policies_name UNIQUE (tenant_id, name)
);
-- One row per class of outcome: how long to wait after the first, second, … of this class; the last delay
-- repeats. A class without a row is not tried again.
CREATE TABLE app.retry_rules (
    tenant_id      uuid NOT NULL REFERENCES app.tenants (id),
    policy_id      uuid NOT NULL,
    class          text NOT NULL CHECK (class IN ('busy', 'no_answer', 'machine', 'carrier_error', 'rejected',
                                                  'abandoned', 'unknown', 'canceled')),
    delays_seconds integer[] NOT NULL CHECK (cardinality(delays_seconds) BETWEEN 1 AND 20 AND 0 < ALL (delays_seconds)),
    max_attempts   smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    PRIMARY KEY (tenant_id, policy_id, class),
    FOREIGN KEY (tenant_id, policy_id) REFERENCES app.retry_policies (tenant_id, id) ON DELETE CASCADE
);

-- What an agent says a call came to.
CREATE TABLE app.dispositions (
    tenant_id         uuid NOT NULL REFERENCES app.tenants (id),
    id                uuid NOT NULL,
    code              text NOT NULL CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    label             jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(label) = 'object'),
    class             text NOT NULL CHECK (class IN ('sale', 'not_interested', 'callback', 'wrong_number', 'left_message',
                                                     'no_answer', 'busy', 'disconnected', 'transferred')),
    requires_callback boolean NOT NULL DEFAULT false,
    version           bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT dispositions_code UNIQUE (tenant_id, code)
);

-- Numbers calls are shown to come from.
CREATE TABLE app.caller_pools (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT caller_pools_name UNIQUE (tenant_id, name)
);
CREATE TABLE app.phone_numbers (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    id          uuid NOT NULL,
    pool_id     uuid,
    -- The carrier account that holds it: a call goes out where its number lives.
    account_id  uuid NOT NULL,
    e164        text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{6,14}$'),
    country     text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    kind        text NOT NULL DEFAULT 'geographic'
                CHECK (kind IN ('geographic', 'mobile', 'toll_free', 'national', 'short')),
    attestation text CHECK (attestation IN ('A', 'B', 'C')),
    -- When it was proven that the number is ours and answers; NULL is never shown.
    verified_at timestamptz,
    -- The company is present where a geographic number says.
    presence    boolean NOT NULL DEFAULT false,
    -- Set when a carrier reports a label (spam likely). It then rests until a person has looked; another
    -- number is never taken in its place to get round the label.
    flagged_at  timestamptz,
    daily_cap   integer NOT NULL DEFAULT 200 CHECK (daily_cap > 0),
    enabled     boolean NOT NULL DEFAULT true,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT phone_numbers_e164 UNIQUE (tenant_id, e164),
    FOREIGN KEY (tenant_id, pool_id) REFERENCES app.caller_pools (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES app.provider_accounts (tenant_id, id)
);
CREATE INDEX phone_numbers_pool ON app.phone_numbers (tenant_id, pool_id);
-- What a number was used for on a UTC day: its cap, and what its answer rate is learnt from.
CREATE TABLE app.caller_number_days (
    tenant_id uuid NOT NULL REFERENCES app.tenants (id),
    number_id uuid NOT NULL,
    day       date NOT NULL,
    dials     integer NOT NULL DEFAULT 0,
    answers   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, number_id, day)
) WITH (fillfactor = 70);

-- How fast an account may dial. One row for all processes: they take dials out of it in handfuls.
CREATE TABLE app.carrier_lines (
    tenant_id        uuid NOT NULL REFERENCES app.tenants (id),
    account_id       uuid NOT NULL,
    dials_per_second real NOT NULL DEFAULT 1 CHECK (dials_per_second > 0),
    burst            real NOT NULL DEFAULT 1 CHECK (burst >= 1),
    tokens           real NOT NULL DEFAULT 0,
    refilled_at      timestamptz NOT NULL DEFAULT now(),
    -- The carrier said "too many": nobody dials through it until then.
    blocked_until    timestamptz,
    PRIMARY KEY (tenant_id, account_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES app.provider_accounts (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

CREATE TABLE app.campaigns (
    tenant_id        uuid NOT NULL REFERENCES app.tenants (id),
    id               uuid NOT NULL,
    company_id       uuid,
    name             text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    type             text NOT NULL DEFAULT 'outbound_sales'
                     CHECK (type IN ('outbound_sales', 'inbound_support', 'survey', 'notification', 'marketing')),
    channel          text NOT NULL DEFAULT 'voice' CHECK (channel IN ('voice', 'sms', 'email')),
    status           text NOT NULL DEFAULT 'draft'
                     CHECK (status IN ('draft', 'scheduled', 'active', 'paused', 'completed', 'cancelled', 'archived')),
    dialling_mode    text NOT NULL DEFAULT 'progressive'
                     CHECK (dialling_mode IN ('preview', 'progressive', 'power', 'predictive', 'agentless')),
    -- Decide and store, do not dial.
    shadow           boolean NOT NULL DEFAULT false,
    shards           smallint NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 256),
    start_at         timestamptz,
    end_at           timestamptz CHECK (end_at > start_at),
    timezone         text NOT NULL DEFAULT 'UTC',
    calendar_id      uuid,
    retry_policy_id  uuid,
    caller_pool_id   uuid,
    -- Calls at once over all shards; for AI agents this is their capacity.
    max_concurrent   integer NOT NULL DEFAULT 10 CHECK (max_concurrent BETWEEN 1 AND 100000),
    -- Lines per free agent in the mode power.
    power_ratio      real NOT NULL DEFAULT 1 CHECK (power_ratio BETWEEN 1 AND 10),
    -- Share of abandoned calls to aim at; the law's ceiling stays above it whatever stands here.
    abandon_target   real NOT NULL DEFAULT 0.025 CHECK (abandon_target BETWEEN 0 AND 0.03),
    ring_seconds     smallint NOT NULL DEFAULT 22 CHECK (ring_seconds BETWEEN 15 AND 120),
    max_call_seconds integer NOT NULL DEFAULT 3600 CHECK (max_call_seconds BETWEEN 30 AND 14400),
    -- What to do when a machine answers, and how sure to be of it.
    amd              text NOT NULL DEFAULT 'off' CHECK (amd IN ('off', 'hang_up', 'leave_message')),
    amd_certainty    real NOT NULL DEFAULT 0.9 CHECK (amd_certainty BETWEEN 0.5 AND 1),
    voicemail_url    text CHECK (voicemail_url ~ '^https?://'),
    -- What is said within two seconds when nobody is free, and the key that ends all calls to the number.
    safe_harbour_url text CHECK (safe_harbour_url ~ '^https?://'),
    opt_out_key      text NOT NULL DEFAULT '9' CHECK (opt_out_key ~ '^[0-9*#]$'),
    -- AI agents: where their audio goes; whether they take calls no person is free for.
    ai_stream_url    text CHECK (ai_stream_url ~ '^wss?://'),
    ai_overflow      boolean NOT NULL DEFAULT false,
    -- What the call is, to the law.
    purpose          text NOT NULL DEFAULT 'marketing'
                     CHECK (purpose IN ('marketing', 'informational', 'debt_collection', 'service', 'survey')),
    record           boolean NOT NULL DEFAULT false,
    -- What the tenant states and no table can prove: on which consent the lists were gathered, what the safe-harbour
    -- message says, where the company is registered to call.
    declarations     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(declarations) = 'object'),
    -- Grows with every change of status; a smaller one is stale.
    epoch            bigint NOT NULL DEFAULT 0,
    version          bigint NOT NULL DEFAULT 1,
    created_by       uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, company_id) REFERENCES app.companies (tenant_id, id),
    FOREIGN KEY (tenant_id, calendar_id) REFERENCES app.calendars (tenant_id, id),
    FOREIGN KEY (tenant_id, retry_policy_id) REFERENCES app.retry_policies (tenant_id, id),
    FOREIGN KEY (tenant_id, caller_pool_id) REFERENCES app.caller_pools (tenant_id, id)
);
CREATE INDEX campaigns_status ON app.campaigns (tenant_id, status);
CREATE INDEX campaigns_creator ON app.campaigns (tenant_id, created_by);
CREATE INDEX campaigns_company ON app.campaigns (tenant_id, company_id, status);
CREATE INDEX campaigns_running ON app.campaigns (status) WHERE status IN ('scheduled', 'active', 'paused');

CREATE TABLE app.campaign_lists (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    campaign_id uuid NOT NULL,
    list_id     uuid NOT NULL,
    weight      smallint NOT NULL DEFAULT 1 CHECK (weight > 0),
    position    smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, campaign_id, list_id),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, list_id) REFERENCES app.call_lists (tenant_id, id)
);

-- Who runs a shard. Whoever takes it over raises the epoch; a claim under an older one is refused.
CREATE TABLE app.campaign_shards (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    campaign_id uuid NOT NULL,
    shard       smallint NOT NULL CHECK (shard >= 0),
    epoch       bigint NOT NULL DEFAULT 0,
    taken_at    timestamptz,
    -- What pacing learnt and counted; the next owner goes on from it.
    pacer       jsonb,
    PRIMARY KEY (tenant_id, campaign_id, shard),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

CREATE TABLE app.campaign_contacts (
    tenant_id       uuid NOT NULL REFERENCES app.tenants (id),
    campaign_id     uuid NOT NULL,
    contact_id      uuid NOT NULL,
    shard           smallint NOT NULL DEFAULT 0,
    state           text NOT NULL DEFAULT 'ready'
                    CHECK (state IN ('ready', 'dialling', 'completed', 'exhausted', 'suppressed', 'failed')),
    -- Attempts there are; numbers the next one.
    attempts_made   smallint NOT NULL DEFAULT 0,
    -- Those among them the carrier took on, by class of outcome; what retry policies count.
    tries           jsonb NOT NULL DEFAULT '{}',
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    priority        smallint NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 100),
    last_outcome    text,
    -- Why the last decision went against dialling: codes.
    last_reasons    text[] NOT NULL DEFAULT '{}',
    callback_at     timestamptz,
    -- The attempt under way.
    attempt_id      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, campaign_id, contact_id),
    CHECK ((state = 'dialling') = (attempt_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES app.campaigns (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, contact_id) REFERENCES app.contacts (tenant_id, id)
) WITH (fillfactor = 70);
-- The hopper. Read one priority at a time, so that contacts of a high priority whose time has not come
-- do not stand between the scan and those whose time has.
CREATE INDEX campaign_contacts_ready ON app.campaign_contacts
    (tenant_id, campaign_id, shard, priority DESC, next_attempt_at) WHERE state = 'ready';
CREATE INDEX campaign_contacts_contact ON app.campaign_contacts (tenant_id, contact_id);

-- What was dialled when, by number; a person's history is that of all their numbers. The row is locked while a
-- dial is decided, so two campaigns cannot both take the last place below a cap.
CREATE TABLE app.dial_ledger (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    phone_token uuid NOT NULL,
    -- Newest last, and for each the company it was for and what it came to.
    dials       timestamptz[] NOT NULL DEFAULT '{}',
    companies   uuid[] NOT NULL DEFAULT '{}',
    ends        text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, phone_token),
    CHECK (cardinality(dials) = cardinality(companies) AND cardinality(dials) = cardinality(ends))
) WITH (fillfactor = 60);

-- Every try. Partitioned by month through the time inside the id, so that a look-up by id touches one
-- partition and the primary key still is the id.
CREATE TABLE app.attempts (
    tenant_id        uuid NOT NULL REFERENCES app.tenants (id),
    id               uuid NOT NULL,
    campaign_id      uuid NOT NULL,
    contact_id       uuid NOT NULL,
    shard            smallint NOT NULL,
    number           smallint NOT NULL CHECK (number > 0),
    phone_token      uuid NOT NULL,
    call_id          uuid NOT NULL,
    account_id       uuid,
    caller_number_id uuid,
    -- Under which ownership of the shard it was made.
    epoch            bigint NOT NULL,
    -- claimed: committed, the carrier may or may not have been asked; placed: the carrier has it;
    -- unknown: the carrier was asked and did not answer.
    state            text NOT NULL DEFAULT 'claimed'
                     CHECK (state IN ('claimed', 'unknown', 'placed', 'answered', 'finished')),
    outcome          text CHECK (outcome IN ('completed', 'busy', 'no_answer', 'invalid_number', 'rejected', 'canceled',
                                             'carrier_error', 'unknown')),
    -- What retry policies make of it.
    class            text,
    answered_by      text,
    -- A person answered and neither an agent nor an AI agent was there in time.
    abandoned        boolean NOT NULL DEFAULT false,
    agent_id         uuid,
    agent_kind       text CHECK (agent_kind IN ('human', 'ai')),
    disposition_id   uuid,
    carrier          text,
    carrier_call_id  text,
    claimed_at       timestamptz NOT NULL,
    answered_at      timestamptz,
    bridged_at       timestamptz,
    ended_at         timestamptz,
    -- Concluded by us because the carrier said nothing; its own word still replaces it.
    concluded        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'finished') = (outcome IS NOT NULL))
) PARTITION BY RANGE (id);
CREATE INDEX attempts_open ON app.attempts (tenant_id, campaign_id, shard)
    WHERE state IN ('claimed', 'unknown', 'placed', 'answered');
CREATE INDEX attempts_contact ON app.attempts (tenant_id, campaign_id, contact_id);

-- Every decision, for and against. The id of one that allowed a dial is the id of the attempt.
CREATE TABLE app.contact_decisions (
    tenant_id      uuid NOT NULL REFERENCES app.tenants (id),
    id             uuid NOT NULL,
    campaign_id    uuid NOT NULL,
    contact_id     uuid NOT NULL,
    phone_token    uuid,
    at             timestamptz NOT NULL,
    allowed        boolean NOT NULL,
    reasons        text[] NOT NULL DEFAULT '{}',
    next_at        timestamptz,
    policy_version text NOT NULL,
    -- The wall clock of the person called, as far as it is known.
    local_time     text,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX contact_decisions_contact ON app.contact_decisions (tenant_id, campaign_id, contact_id, at);

-- The smallest UUIDv7 of an instant.
CREATE FUNCTION app.uuid7_from(at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid;

-- Makes the monthly partitions from the month of `at` on. Only the owner of the tables can; `voice migrate`
-- calls it each time it runs. A month the default partition already has rows of stays there.
CREATE FUNCTION app.make_month_partitions(at timestamptz, months integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    first timestamptz;
    name text;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['attempts', 'contact_decisions'] LOOP
        FOR month IN 0..months LOOP
            first := date_trunc('month', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => month);
            name := parent || '_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMM');
            CONTINUE WHEN to_regclass('app.' || name) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE app.%I PARTITION OF app.%I FOR VALUES FROM (%L) TO (%L)', name, parent,
                               app.uuid7_from(first), app.uuid7_from(first + interval '1 month'));
                EXECUTE format('ALTER TABLE app.%I SET (fillfactor = 80)', name);
                PERFORM app.close_partition(name);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
-- A partition addressed by its own name is as closed as its parent.
CREATE FUNCTION app.close_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON app.%I USING (tenant_id = (SELECT app.tid()))
                    WITH CHECK (tenant_id = (SELECT app.tid()))', name);
END $$;
REVOKE ALL ON FUNCTION app.make_month_partitions(timestamptz, integer), app.close_partition(text) FROM PUBLIC;

CREATE TABLE app.attempts_rest PARTITION OF app.attempts DEFAULT;
CREATE TABLE app.contact_decisions_rest PARTITION OF app.contact_decisions DEFAULT;

-- Agents and what they are doing. The dialling side of the future users table.
CREATE TABLE app.agents (
    tenant_id        uuid NOT NULL REFERENCES app.tenants (id),
    id               uuid NOT NULL,
    user_id          uuid,
    kind             text NOT NULL DEFAULT 'human' CHECK (kind IN ('human', 'ai')),
    team_id          uuid,
    extension        text,
    languages        text[] NOT NULL DEFAULT '{}',
    auto_answer      boolean NOT NULL DEFAULT true,
    max_call_seconds integer NOT NULL DEFAULT 3600 CHECK (max_call_seconds > 0),
    wrap_seconds     integer NOT NULL DEFAULT 30 CHECK (wrap_seconds BETWEEN 0 AND 3600),
    attributes       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    version          bigint NOT NULL DEFAULT 1,
    created_by       uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT agents_user UNIQUE (tenant_id, user_id)
);
CREATE INDEX agents_team ON app.agents (tenant_id, team_id);
CREATE INDEX agents_kind ON app.agents (tenant_id, kind);

CREATE TABLE app.agent_states (
    tenant_id         uuid NOT NULL REFERENCES app.tenants (id),
    agent_id          uuid NOT NULL,
    status            text NOT NULL DEFAULT 'offline'
                      CHECK (status IN ('offline', 'available', 'reserved', 'busy', 'on_call', 'wrap_up', 'break',
                                        'training', 'away')),
    reason            text,
    since             timestamptz NOT NULL,
    -- For "longest idle": set when a wrap-up ends, kept through a break that is cut short.
    available_since   timestamptz,
    -- Grows with every change.
    epoch             bigint NOT NULL DEFAULT 0,
    -- The campaign and shard the agent gives dial authority to.
    campaign_id       uuid,
    shard             smallint,
    -- Without a heartbeat until then the agent is gone.
    lease_until       timestamptz,
    -- A held place: the attempt, its fencing token and when it runs out.
    reserved_for      uuid,
    reservation_token bigint NOT NULL DEFAULT 0,
    reserved_until    timestamptz,
    call_id           uuid,
    wrap_until        timestamptz,
    -- What the agent asked for while on a call: taken up when the call is over.
    next_status       text CHECK (next_status IN ('offline', 'busy', 'break', 'training', 'away')),
    PRIMARY KEY (tenant_id, agent_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.agents (tenant_id, id) ON DELETE CASCADE,
    CHECK ((status = 'reserved') = (reserved_for IS NOT NULL)),
    CHECK (status <> 'on_call' OR call_id IS NOT NULL)
) WITH (fillfactor = 50);
CREATE INDEX agent_states_campaign ON app.agent_states (tenant_id, campaign_id, shard);
CREATE INDEX agent_states_status ON app.agent_states (tenant_id, status);

-- A row stops all dialling of its tenant at once; the row of the nil tenant stops everybody's.
CREATE TABLE app.dial_stops (
    tenant_id  uuid PRIMARY KEY,
    reason     text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['calendars', 'calendar_hours', 'calendar_exceptions', 'retry_policies', 'retry_rules',
        'dispositions', 'caller_pools', 'phone_numbers', 'caller_number_days', 'carrier_lines', 'campaigns',
        'campaign_lists', 'campaign_shards', 'campaign_contacts', 'dial_ledger', 'attempts', 'attempts_rest',
        'contact_decisions', 'contact_decisions_rest', 'agents', 'agent_states', 'dial_stops'] LOOP
        PERFORM app.close_partition(name);
    END LOOP;
    -- Configuration: written by the API, read by workers.
    FOREACH name IN ARRAY ARRAY['calendars', 'retry_policies', 'dispositions', 'caller_pools', 'phone_numbers',
        'campaigns', 'agents'] LOOP
        EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON app.%I FOR EACH ROW EXECUTE FUNCTION app.touch()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['campaigns', 'dial_stops', 'phone_numbers'] LOOP
        EXECUTE format('CREATE TRIGGER notify_config AFTER INSERT OR UPDATE OR DELETE ON app.%I
                        FOR EACH ROW EXECUTE FUNCTION app.notify_config()', name);
    END LOOP;
END $$;

-- Tells controllers that agents of a tenant changed; one notification per transaction.
CREATE FUNCTION app.notify_agents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('agents_changed', NEW.tenant_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER notify_agents AFTER INSERT OR UPDATE OF status, campaign_id ON app.agent_states
    FOR EACH ROW EXECUTE FUNCTION app.notify_agents();

SELECT app.make_month_partitions(now(), 2);

GRANT SELECT, INSERT, UPDATE, DELETE ON app.calendars, app.calendar_hours, app.calendar_exceptions, app.retry_policies,
    app.retry_rules, app.dispositions, app.caller_pools, app.phone_numbers, app.carrier_lines, app.campaigns,
    app.campaign_lists, app.campaign_contacts, app.agents, app.agent_states, app.dial_stops, app.campaign_shards
    TO voice_api;
GRANT SELECT ON app.attempts, app.contact_decisions, app.dial_ledger, app.caller_number_days TO voice_api;
GRANT SELECT ON app.calendars, app.calendar_hours, app.calendar_exceptions, app.retry_policies, app.retry_rules,
    app.dispositions, app.caller_pools, app.phone_numbers, app.campaign_lists, app.agents TO voice_worker;
GRANT SELECT, UPDATE ON app.campaigns, app.carrier_lines TO voice_worker;
GRANT SELECT, INSERT, UPDATE ON app.campaign_shards, app.campaign_contacts, app.dial_ledger, app.attempts,
    app.contact_decisions, app.caller_number_days, app.agent_states TO voice_worker;
GRANT SELECT ON app.dial_stops TO voice_worker;
GRANT SELECT ON app.campaigns, app.campaign_lists, app.campaign_contacts, app.attempts, app.contact_decisions,
    app.dispositions, app.calendars, app.retry_policies, app.agents, app.agent_states TO voice_report;
GRANT SELECT ON app.campaigns, app.attempts, app.dial_stops TO voice_system;

CREATE POLICY system ON app.campaigns FOR SELECT TO voice_system USING (true);
CREATE POLICY system ON app.attempts FOR SELECT TO voice_system USING (true);
CREATE POLICY system ON app.dial_stops FOR SELECT TO voice_system USING (true);

-- Campaigns that dial, may soon, or still have calls under way, in all tenants. Only names them: whoever
-- works on one opens a transaction of its tenant.
CREATE FUNCTION app.all_live_campaigns()
    RETURNS TABLE (tenant_id uuid, id uuid, status text, shards smallint, version bigint,
                   start_at timestamptz, end_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.tenant_id, c.id, c.status, c.shards, c.version, c.start_at, c.end_at
        FROM app.campaigns c JOIN app.tenants t ON t.id = c.tenant_id
        WHERE t.status = 'active'
          AND (c.status IN ('scheduled', 'active', 'paused')
               OR (c.updated_at > now() - interval '2 days'
                   AND EXISTS (SELECT FROM app.attempts a
                               WHERE a.tenant_id = c.tenant_id AND a.campaign_id = c.id
                                 AND a.state IN ('claimed', 'unknown', 'placed', 'answered'))))
        ORDER BY c.tenant_id, c.id;
    END;
-- Whose dialling is stopped; the nil tenant is everybody.
CREATE FUNCTION app.all_dial_stops() RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.tenant_id FROM app.dial_stops s;
    END;
REVOKE ALL ON FUNCTION app.all_live_campaigns(), app.all_dial_stops() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_live_campaigns(), app.all_dial_stops() TO voice_worker;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_live_campaigns() OWNER TO voice_system;
ALTER FUNCTION app.all_dial_stops() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
