-- Marts: what BI tools read. One stated row grain each, a comment on every column, no types a tool cannot
-- show; ratios come with their numerator and denominator, so that a tool can add them up correctly.
CREATE VIEW IF NOT EXISTS mart_calls
(
    tenant_id String COMMENT 'Tenant',
    call_id String COMMENT 'Call',
    campaign_id String COMMENT 'Campaign; empty for inbound calls',
    direction String COMMENT 'inbound or outbound',
    carrier String COMMENT 'Carrier',
    started_at DateTime COMMENT 'When the call began, UTC',
    answered_at Nullable(DateTime) COMMENT 'When somebody or something picked up, UTC',
    ended_at Nullable(DateTime) COMMENT 'When the call ended, UTC',
    answered_by String COMMENT 'human, machine, fax, silence, unknown; empty when not judged',
    outcome String COMMENT 'completed, busy, no_answer, invalid_number, rejected, canceled, carrier_error, unknown',
    agent_kind String COMMENT 'human or ai; empty when no agent was connected',
    answered Int64 COMMENT '1 when somebody or something picked up',
    contacted Int64 COMMENT '1 when a person was reached',
    offered Int64 COMMENT '1 when the call was offered to agents',
    bridged Int64 COMMENT '1 when an agent was connected',
    abandoned Int64 COMMENT '1 when it was offered and ended without an agent',
    ring_s Float64 COMMENT 'Start to answer, seconds',
    wait_s Float64 COMMENT 'Offered to connected, seconds',
    talk_s Float64 COMMENT 'Agent connected to end, seconds'
) AS
SELECT
    toString(f.tenant_id) AS tenant_id,
    toString(f.call_id) AS call_id,
    if(f.campaign_id = toUUID('00000000-0000-0000-0000-000000000000'), '', toString(f.campaign_id)) AS campaign_id,
    toString(f.direction) AS direction,
    toString(f.carrier) AS carrier,
    toDateTime(f.started_at, 'UTC') AS started_at,
    toDateTime(f.answered_at, 'UTC') AS answered_at,
    toDateTime(f.ended_at, 'UTC') AS ended_at,
    f.answered_by AS answered_by,
    f.outcome AS outcome,
    toString(f.agent_kind) AS agent_kind,
    toInt64(f.answered) AS answered,
    toInt64(f.contacted) AS contacted,
    toInt64(f.offered) AS offered,
    toInt64(f.bridged) AS bridged,
    toInt64(f.abandoned) AS abandoned,
    f.ring_ms / 1000 AS ring_s,
    f.wait_ms / 1000 AS wait_s,
    f.talk_ms / 1000 AS talk_s
FROM calls_final AS f
COMMENT 'One row per call';

CREATE VIEW IF NOT EXISTS mart_kpi_15m
(
    tenant_id String COMMENT 'Tenant',
    bucket DateTime COMMENT 'Start of the quarter of an hour, UTC',
    campaign_id String COMMENT 'Campaign; empty for inbound calls',
    direction String COMMENT 'inbound or outbound',
    carrier String COMMENT 'Carrier',
    calls Int64 COMMENT 'Calls that began',
    answered Int64 COMMENT 'Of these, picked up by somebody or something',
    contacted Int64 COMMENT 'Of these, a person was reached',
    offered Int64 COMMENT 'Offered to agents',
    bridged Int64 COMMENT 'Connected to an agent',
    bridged_sl Int64 COMMENT 'Connected to an agent within 20 seconds',
    abandoned Int64 COMMENT 'Offered and ended without an agent',
    short_abandoned Int64 COMMENT 'Of the abandoned, inbound callers who gave up within 5 seconds',
    talk_s Float64 COMMENT 'Sum of agent connected to end, seconds',
    service_level Nullable(Float64) COMMENT 'bridged_sl / (offered - short_abandoned)',
    abandon_rate Nullable(Float64) COMMENT '(abandoned - short_abandoned) / (offered - short_abandoned)',
    connect_rate Nullable(Float64) COMMENT 'answered / calls'
) AS
SELECT
    toString(k.tenant_id) AS tenant_id,
    k.bucket AS bucket,
    if(k.campaign_id = toUUID('00000000-0000-0000-0000-000000000000'), '', toString(k.campaign_id)) AS campaign_id,
    toString(k.direction) AS direction,
    toString(k.carrier) AS carrier,
    toInt64(sum(k.calls)) AS calls,
    toInt64(sum(k.answered)) AS answered,
    toInt64(sum(k.contacted)) AS contacted,
    toInt64(sum(k.offered)) AS offered,
    toInt64(sum(k.bridged)) AS bridged,
    toInt64(sum(k.bridged_sl)) AS bridged_sl,
    toInt64(sum(k.abandoned)) AS abandoned,
    toInt64(sum(k.short_abandoned)) AS short_abandoned,
    sum(k.talk_ms) / 1000 AS talk_s,
    sum(k.bridged_sl) / nullIf(sum(k.offered) - sum(k.short_abandoned), 0) AS service_level,
    (sum(k.abandoned) - sum(k.short_abandoned)) / nullIf(sum(k.offered) - sum(k.short_abandoned), 0) AS abandon_rate,
    sum(k.answered) / nullIf(sum(k.calls), 0) AS connect_rate
FROM kpi_15m AS k
GROUP BY k.tenant_id, k.bucket, k.campaign_id, k.direction, k.carrier
COMMENT 'One row per quarter of an hour, campaign, direction and carrier';

CREATE VIEW IF NOT EXISTS mart_kpi_day
(
    tenant_id String COMMENT 'Tenant',
    day Date COMMENT 'Day, UTC',
    direction String COMMENT 'inbound or outbound',
    calls Int64 COMMENT 'Calls that began',
    answered Int64 COMMENT 'Of these, picked up by somebody or something',
    contacted Int64 COMMENT 'Of these, a person was reached',
    offered Int64 COMMENT 'Offered to agents',
    bridged Int64 COMMENT 'Connected to an agent',
    abandoned Int64 COMMENT 'Offered and ended without an agent',
    service_level Nullable(Float64) COMMENT 'Connected within 20 s / (offered - short abandons)',
    abandon_rate Nullable(Float64) COMMENT '(abandoned - short abandons) / (offered - short abandons)',
    aht_s Nullable(Float64) COMMENT 'Talk seconds per connected call',
    wait_p95_s Nullable(Float64) COMMENT 'p95 of offered to connected, seconds'
) AS
SELECT
    toString(k.tenant_id) AS tenant_id,
    toDate(k.bucket, 'UTC') AS day,
    toString(k.direction) AS direction,
    toInt64(sum(k.calls)) AS calls,
    toInt64(sum(k.answered)) AS answered,
    toInt64(sum(k.contacted)) AS contacted,
    toInt64(sum(k.offered)) AS offered,
    toInt64(sum(k.bridged)) AS bridged,
    toInt64(sum(k.abandoned)) AS abandoned,
    sum(k.bridged_sl) / nullIf(sum(k.offered) - sum(k.short_abandoned), 0) AS service_level,
    (sum(k.abandoned) - sum(k.short_abandoned)) / nullIf(sum(k.offered) - sum(k.short_abandoned), 0) AS abandon_rate,
    sum(k.talk_ms) / 1000 / nullIf(sum(k.bridged), 0) AS aht_s,
    if(sum(k.bridged) = 0, NULL, quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(k.wait_q)[3] / 1000) AS wait_p95_s
FROM kpi_15m AS k
GROUP BY k.tenant_id, day, k.direction
COMMENT 'One row per day and direction';

CREATE VIEW IF NOT EXISTS mart_campaign_day
(
    tenant_id String COMMENT 'Tenant',
    day Date COMMENT 'Day, UTC',
    campaign_id String COMMENT 'Campaign',
    attempts Int64 COMMENT 'Calls placed',
    answered Int64 COMMENT 'Picked up by somebody or something',
    contacted Int64 COMMENT 'A person was reached',
    machine Int64 COMMENT 'A machine picked up',
    bridged Int64 COMMENT 'Connected to an agent',
    abandoned Int64 COMMENT 'A person answered and no agent came',
    connect_rate Nullable(Float64) COMMENT 'answered / attempts',
    contact_rate Nullable(Float64) COMMENT 'contacted / attempts',
    abandon_rate Nullable(Float64) COMMENT 'abandoned / contacted'
) AS
SELECT
    toString(k.tenant_id) AS tenant_id,
    toDate(k.bucket, 'UTC') AS day,
    toString(k.campaign_id) AS campaign_id,
    toInt64(sum(k.calls)) AS attempts,
    toInt64(sum(k.answered)) AS answered,
    toInt64(sum(k.contacted)) AS contacted,
    toInt64(sum(k.machine)) AS machine,
    toInt64(sum(k.bridged)) AS bridged,
    toInt64(sum(k.abandoned)) AS abandoned,
    sum(k.answered) / nullIf(sum(k.calls), 0) AS connect_rate,
    sum(k.contacted) / nullIf(sum(k.calls), 0) AS contact_rate,
    sum(k.abandoned) / nullIf(sum(k.contacted), 0) AS abandon_rate
FROM kpi_15m AS k
WHERE k.direction = 'outbound'
GROUP BY k.tenant_id, day, k.campaign_id
COMMENT 'One row per day and outbound campaign';
