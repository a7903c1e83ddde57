-- One row per call, assembled from its events as they are inserted. Every column is a minimum or maximum,
-- so events may come twice, late and in any order and the row is still the same. The sort key depends on
-- the call alone: the hour is read from the call's UUIDv7 (1970 for ids that carry no time).
CREATE TABLE IF NOT EXISTS calls
(
    tenant_id UUID CODEC(ZSTD(1)),
    campaign_id UUID CODEC(ZSTD(1)),
    call_id UUID CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    shard SimpleAggregateFunction(max, UInt16) CODEC(ZSTD(1)),
    attempt_id SimpleAggregateFunction(max, UUID) CODEC(ZSTD(1)),
    contact_id SimpleAggregateFunction(max, UUID) CODEC(ZSTD(1)),
    queue_id SimpleAggregateFunction(max, UUID) CODEC(ZSTD(1)),
    agent_id SimpleAggregateFunction(max, UUID) CODEC(ZSTD(1)),
    direction SimpleAggregateFunction(max, Enum8('unknown' = 0, 'inbound' = 1, 'outbound' = 2)),
    carrier SimpleAggregateFunction(max, LowCardinality(String)),
    carrier_call_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    first_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    last_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    answered_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))) CODEC(ZSTD(1)),
    bridged_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))) CODEC(ZSTD(1)),
    agent_kind SimpleAggregateFunction(max, LowCardinality(String)),
    -- The latest verdict: (when, what, beep).
    amd SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String, UInt8)) CODEC(ZSTD(1)),
    -- The end: (rank, when, outcome, hung up by, cause, SIP, milliseconds). Rank 2 is the carrier's own
    -- word, 1 the watchdog's, 0 none yet: the carrier's word wins however late it comes.
    ending SimpleAggregateFunction(max, Tuple(UInt8, DateTime64(6, 'UTC'), String, String, String, UInt16, UInt32)) CODEC(ZSTD(1)),
    received_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    stored_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    INDEX ix_stored stored_at TYPE minmax GRANULARITY 1,
    INDEX ix_first first_at TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, campaign_id, hour, call_id)
TTL toDateTime(last_at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 100000, min_bytes_for_wide_part = 134217728
COMMENT 'One row per call after merging; read calls_final';

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_from_events TO calls AS
SELECT
    e.tenant_id AS tenant_id,
    e.campaign_id AS campaign_id,
    e.call_id AS call_id,
    toStartOfHour(UUIDv7ToDateTime(e.call_id, 'UTC')) AS hour,
    max(e.shard) AS shard,
    max(e.attempt_id) AS attempt_id,
    max(e.contact_id) AS contact_id,
    max(e.queue_id) AS queue_id,
    max(e.agent_id) AS agent_id,
    max(e.direction) AS direction,
    max(e.carrier) AS carrier,
    max(e.carrier_call_id) AS carrier_call_id,
    min(e.at) AS first_at,
    max(e.at) AS last_at,
    minIf(toNullable(e.at), e.event_type = 'call.answered') AS answered_at,
    minIf(toNullable(e.at), e.event_type = 'call.bridged') AS bridged_at,
    max(e.agent_kind) AS agent_kind,
    maxIf((e.at, toString(e.answered_by), e.beep), e.event_type = 'call.amd') AS amd,
    maxIf((toUInt8(2 - e.reconciled), e.at, toString(e.outcome), toString(e.hangup_by), toString(e.cause), e.sip_code, e.duration_ms),
        e.event_type = 'call.ended') AS ending,
    max(e.received_at) AS received_at,
    max(e.stored_at) AS stored_at
FROM call_events AS e
WHERE startsWith(e.event_type, 'call.')
GROUP BY tenant_id, campaign_id, call_id, hour;

-- The finished shape of a call, for everything that reads calls. Denominators: docs/kpis.md.
CREATE VIEW IF NOT EXISTS calls_final AS
SELECT
    c.tenant_id AS tenant_id,
    c.campaign_id AS campaign_id,
    c.call_id AS call_id,
    c.hour AS hour,
    c.shard AS shard,
    c.attempt_id AS attempt_id,
    c.contact_id AS contact_id,
    c.queue_id AS queue_id,
    c.agent_id AS agent_id,
    c.direction AS direction,
    c.carrier AS carrier,
    c.carrier_call_id AS carrier_call_id,
    c.first_at AS started_at,
    c.last_at AS last_at,
    c.answered_at AS answered_at,
    c.bridged_at AS bridged_at,
    if(c.ending.1 > 0, toNullable(c.ending.2), NULL) AS ended_at,
    c.agent_kind AS agent_kind,
    c.amd.2 AS answered_by,
    c.ending.3 AS outcome,
    c.ending.4 AS hangup_by,
    c.ending.5 AS cause,
    c.ending.6 AS sip_code,
    c.ending.1 = 1 AS reconciled,
    isNotNull(c.answered_at) AS answered,
    isNotNull(c.bridged_at) AS bridged,
    -- A person: connected to an agent, or answered and not judged a machine. Unsure verdicts count as people,
    -- which is the strict reading for abandonment.
    isNotNull(c.bridged_at) OR (isNotNull(c.answered_at) AND c.amd.2 NOT IN ('machine', 'fax', 'silence')) AS contacted,
    -- In the hands of agents: a caller reached us, or a person answered our call.
    c.direction = 'inbound' OR contacted AS offered,
    -- When the wait for an agent began.
    if(c.direction = 'inbound', toNullable(c.first_at), c.answered_at) AS offered_at,
    -- How long the line was open, as the carrier counts it where it does.
    if(c.ending.7 > 0, c.ending.7,
        if(isNull(c.answered_at) OR c.ending.1 = 0, 0,
            toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(c.answered_at), c.ending.2))))) AS line_ms,
    -- How long an agent talked.
    if(isNull(c.bridged_at) OR c.ending.1 = 0, 0,
        toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(c.bridged_at), c.ending.2)))) AS talk_ms,
    if(isNull(c.bridged_at) OR isNull(offered_at), 0,
        toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(offered_at), assumeNotNull(c.bridged_at))))) AS wait_ms,
    if(isNull(c.answered_at), 0,
        toUInt32(greatest(0, dateDiff('millisecond', c.first_at, assumeNotNull(c.answered_at))))) AS ring_ms,
    offered AND NOT bridged AND c.ending.1 > 0 AS abandoned,
    -- Callers who gave up within five seconds do not count against the service level (analytics standard).
    abandoned AND c.direction = 'inbound' AND dateDiff('millisecond', c.first_at, c.ending.2) < 5000 AS short_abandoned,
    c.received_at AS received_at,
    c.stored_at AS stored_at
FROM calls AS c FINAL;
