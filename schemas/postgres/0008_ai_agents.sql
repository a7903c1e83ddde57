-- AI agents: who talks to a caller, through which provider, in which voice, under which rules.

CREATE TABLE app.ai_agents (
    tenant_id     uuid NOT NULL REFERENCES app.tenants (id),
    id            uuid NOT NULL,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    enabled       boolean NOT NULL DEFAULT true,
    provider      text NOT NULL CHECK (provider IN ('openai_realtime', 'openai_live', 'gemini_live', 'deepgram_agent',
                                                    'deepgram_cascade')),
    -- NULL is the provider's model and voice of the day.
    model         text CHECK (length(model) BETWEEN 1 AND 100),
    voice         text CHECK (length(voice) BETWEEN 1 AND 100),
    -- Languages callers may speak, the likeliest first: en, es, cs, or with a region.
    languages     text[] NOT NULL DEFAULT '{en}'
                  CHECK (cardinality(languages) BETWEEN 1 AND 10 AND array_position(languages, NULL) IS NULL),
    instructions  text NOT NULL CHECK (length(instructions) BETWEEN 1 AND 32000),
    -- How to begin; NULL waits for the caller.
    greeting      text CHECK (length(greeting) BETWEEN 1 AND 2000),
    -- What is said of talking to a machine, and of the recording, before anything else.
    disclosure    text CHECK (length(disclosure) BETWEEN 1 AND 2000),
    -- What it may do: names of the platform's tools.
    tools         text[] NOT NULL DEFAULT '{hang_up,opt_out}' CHECK (array_position(tools, NULL) IS NULL),
    -- Tools of the tenant's own: [{"name", "description", "parameters", "url"}].
    webhooks      jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(webhooks) = 'array'),
    -- Who takes over when the provider fails, in this order.
    failover      text[] NOT NULL DEFAULT '{}'
                  CHECK (failover <@ ARRAY['openai_realtime', 'openai_live', 'gemini_live', 'deepgram_agent',
                                           'deepgram_cascade']),
    -- What a call may cost, in millionths of a US dollar; NULL is without limit. From three quarters of it on the
    -- provider's cheaper model talks, where there is one.
    budget_micros bigint CHECK (budget_micros > 0),
    -- The last sentence of a call that may cost no more.
    farewell      text NOT NULL DEFAULT 'I have to end our call here. Thank you, and goodbye.'
                  CHECK (length(farewell) BETWEEN 1 AND 500),
    record        text NOT NULL DEFAULT 'off' CHECK (record IN ('off', 'on', 'after_consent')),
    -- What to do when it finds that a machine listens; the words of a message are left after the beep.
    on_machine    text NOT NULL DEFAULT 'hang_up' CHECK (on_machine IN ('talk', 'hang_up', 'leave_message')),
    voicemail     text CHECK (length(voicemail) BETWEEN 1 AND 2000),
    -- Silence after which it asks whether somebody is there, and how often; NULL leaves it to the provider.
    idle_ms       integer CHECK (idle_ms BETWEEN 1000 AND 120000),
    idle_prompts  smallint NOT NULL DEFAULT 2 CHECK (idle_prompts BETWEEN 0 AND 10),
    version       bigint NOT NULL DEFAULT 1,
    created_by    uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT ai_agents_name UNIQUE (tenant_id, name),
    CHECK (on_machine <> 'leave_message' OR voicemail IS NOT NULL)
);

SELECT app.close_partition('ai_agents');
CREATE POLICY system ON app.ai_agents FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.ai_agents FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER notify_config AFTER INSERT OR UPDATE OR DELETE ON app.ai_agents
    FOR EACH ROW EXECUTE FUNCTION app.notify_config();

-- Which one talks in a campaign: the address of its audio follows from where media workers are.
ALTER TABLE app.campaigns
    DROP COLUMN ai_stream_url,
    ADD COLUMN ai_agent_id uuid,
    ADD FOREIGN KEY (tenant_id, ai_agent_id) REFERENCES app.ai_agents (tenant_id, id);
CREATE INDEX campaigns_ai_agent ON app.campaigns (tenant_id, ai_agent_id) WHERE ai_agent_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON app.ai_agents TO voice_api;
GRANT SELECT ON app.ai_agents TO voice_worker, voice_system, voice_report;

-- A stream names its agent when the caller is already waiting; so media workers keep those of all active tenants in memory.
CREATE FUNCTION app.all_ai_agents()
    RETURNS TABLE (
        tenant_id uuid, id uuid, name text, provider text, model text, voice text, languages text[], instructions text,
        greeting text, disclosure text, tools text[], webhooks jsonb, failover text[], budget_micros bigint,
        farewell text, record text, on_machine text, voicemail text, idle_ms integer, idle_prompts smallint
    )
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.tenant_id, a.id, a.name, a.provider, a.model, a.voice, a.languages, a.instructions, a.greeting,
               a.disclosure, a.tools, a.webhooks, a.failover, a.budget_micros, a.farewell, a.record, a.on_machine,
               a.voicemail, a.idle_ms, a.idle_prompts
        FROM app.ai_agents a JOIN app.tenants t ON t.id = a.tenant_id
        WHERE a.enabled AND t.status = 'active'
        ORDER BY a.tenant_id, a.id;
    END;
REVOKE ALL ON FUNCTION app.all_ai_agents() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.all_ai_agents() TO voice_worker;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.all_ai_agents() OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
