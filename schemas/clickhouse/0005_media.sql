-- Facts: one row per record of media.events, kept 90 days. Written by the same sink as call_events, once per record;
-- _topic, _partition and _offset say which one a row is. A column is empty or zero where the type of event has no
-- such thing, and NULL where a moment never came.
CREATE TABLE IF NOT EXISTS media_events
(
    tenant_id UUID COMMENT 'Tenant' CODEC(ZSTD(1)),
    event_id UUID COMMENT 'Equal ids are the same fact' CODEC(ZSTD(1)),
    event_type LowCardinality(String) COMMENT 'What happened, such as media.turn',
    source LowCardinality(String) COMMENT 'Who wrote the event',
    call_id UUID COMMENT 'Call; a UUIDv7, so it carries its own time' CODEC(ZSTD(1)),
    agent_id UUID COMMENT 'AI agent; zero when not known' CODEC(ZSTD(1)),
    provider LowCardinality(String) COMMENT 'AI provider that speaks',
    number UInt32 COMMENT 'Counts turns, tools, verdicts, changes or usage within the stream' CODEC(ZSTD(1)),
    carrier LowCardinality(String) COMMENT 'Carrier, on media.started',
    model LowCardinality(String) COMMENT 'Model, on media.started and media.usage',
    codec LowCardinality(String) COMMENT 'How the carrier codes audio, on media.started',
    pass_through UInt8 COMMENT '1 when audio is copied without being decoded, on media.started',
    recorded UInt8 COMMENT '1 when the call is recorded, on media.started',
    latency_ms UInt32 COMMENT 'End of speech to first audio sent, on media.turn' CODEC(ZSTD(1)),
    interrupted UInt8 COMMENT '1 when the caller interrupted the answer, on media.turn',
    unprompted UInt8 COMMENT '1 when nobody had spoken before, on media.turn',
    speech_end_ms Nullable(UInt64) COMMENT 'Start of the stream to the end of speech, on media.turn' CODEC(ZSTD(1)),
    decision_ms Nullable(UInt32) COMMENT 'End of speech to the provider''s decision, on media.turn' CODEC(ZSTD(1)),
    first_token_ms Nullable(UInt32) COMMENT 'End of speech to the first word as text, on media.turn' CODEC(ZSTD(1)),
    first_byte_in_ms Nullable(UInt32) COMMENT 'End of speech to the first audio received, on media.turn' CODEC(ZSTD(1)),
    first_byte_out_ms Nullable(UInt32) COMMENT 'End of speech to the first audio sent, on media.turn' CODEC(ZSTD(1)),
    first_mark_ms Nullable(UInt32) COMMENT 'End of speech to the first audio heard, on media.turn' CODEC(ZSTD(1)),
    bridge_us Nullable(UInt32) COMMENT 'First audio received to first audio sent, microseconds, on media.turn' CODEC(ZSTD(1)),
    generated_ms Nullable(UInt32) COMMENT 'Audio the agent generated, on media.turn' CODEC(ZSTD(1)),
    heard_ms Nullable(UInt32) COMMENT 'How much of it was heard, on media.turn' CODEC(ZSTD(1)),
    change_kind LowCardinality(String) COMMENT 'reconnect, hand_over, failover, downgrade, last_resort, on media.provider_changed',
    provider_from LowCardinality(String) COMMENT 'Who spoke before, on media.provider_changed',
    provider_to LowCardinality(String) COMMENT 'Who speaks now, on media.provider_changed',
    gap_ms UInt32 COMMENT 'How long nobody could speak, on media.provider_changed' CODEC(ZSTD(1)),
    lost_ms UInt32 COMMENT 'Audio of the caller that no session heard, on media.provider_changed' CODEC(ZSTD(1)),
    tool LowCardinality(String) COMMENT 'Tool, on media.tool_used',
    outcome LowCardinality(String) COMMENT 'What came of it, on media.tool_used',
    far_end LowCardinality(String) COMMENT 'What most probably picked up, on media.verdict',
    p_human Float64 COMMENT 'Probability of a person, on media.verdict' CODEC(ZSTD(1)),
    p_machine Float64 COMMENT 'Probability of a machine, on media.verdict' CODEC(ZSTD(1)),
    p_fax Float64 COMMENT 'Probability of a fax, on media.verdict' CODEC(ZSTD(1)),
    p_screening Float64 COMMENT 'Probability of a screening bot, on media.verdict' CODEC(ZSTD(1)),
    p_ivr Float64 COMMENT 'Probability of a menu, on media.verdict' CODEC(ZSTD(1)),
    p_silence Float64 COMMENT 'Probability of nobody, on media.verdict' CODEC(ZSTD(1)),
    beep UInt8 COMMENT '1 when a beep was heard, on media.verdict',
    after_ms UInt32 COMMENT 'Start of the stream to the verdict, on media.verdict' CODEC(ZSTD(1)),
    language LowCardinality(String) COMMENT 'Language from now on, on media.language_changed',
    text_in UInt64 COMMENT 'Text tokens read for the first time, on media.usage' CODEC(ZSTD(1)),
    text_in_cached UInt64 COMMENT 'Text tokens read before, on media.usage' CODEC(ZSTD(1)),
    text_out UInt64 COMMENT 'Text tokens written, on media.usage' CODEC(ZSTD(1)),
    audio_in UInt64 COMMENT 'Audio tokens heard for the first time, on media.usage' CODEC(ZSTD(1)),
    audio_in_cached UInt64 COMMENT 'Audio tokens heard before, on media.usage' CODEC(ZSTD(1)),
    audio_out UInt64 COMMENT 'Audio tokens spoken, on media.usage' CODEC(ZSTD(1)),
    session_ms UInt64 COMMENT 'How long a session stood, on media.usage' CODEC(ZSTD(1)),
    recognised_ms UInt64 COMMENT 'Audio recognised, on media.usage' CODEC(ZSTD(1)),
    spoken_characters UInt64 COMMENT 'Characters turned into speech, on media.usage' CODEC(ZSTD(1)),
    price_table LowCardinality(String) COMMENT 'Version of the price table, on media.usage',
    currency LowCardinality(String) COMMENT 'ISO 4217, on media.usage and media.stopped',
    micros Int64 COMMENT 'Cost in millionths of the currency, on media.usage; all of the stream, on media.stopped' CODEC(ZSTD(1)),
    unpriced UInt8 COMMENT '1 when some of it has no price: the cost is a lower bound, on media.usage',
    object_key String COMMENT 'Recording in the object store, on media.recording_ready and media.stopped' CODEC(ZSTD(1)),
    sha256 String COMMENT 'Checksum of the object, on media.recording_ready' CODEC(ZSTD(1)),
    bytes UInt64 COMMENT 'Size of the object, on media.recording_ready' CODEC(ZSTD(1)),
    retention LowCardinality(String) COMMENT 'How long it may be kept, on media.recording_ready',
    key_id LowCardinality(String) COMMENT 'The key that wraps its own, on media.recording_ready',
    salvaged UInt8 COMMENT '1 when the process died during the call, on media.recording_ready',
    cause LowCardinality(String) COMMENT 'Why, on media.provider_changed and media.stopped',
    fault LowCardinality(String) COMMENT 'The failure behind the cause, on media.stopped',
    duration_ms UInt64 COMMENT 'Of the tool, the recording or the stream, by type of event' CODEC(ZSTD(1)),
    frames UInt64 COMMENT 'Frames of the caller, on media.stopped' CODEC(ZSTD(1)),
    lost UInt64 COMMENT 'Frames of the caller that never came, on media.stopped' CODEC(ZSTD(1)),
    malformed UInt64 COMMENT 'Messages and pieces that were skipped, on media.stopped' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When it happened' CODEC(Delta(8), ZSTD(1)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written' CODEC(Delta(8), ZSTD(1)),
    _topic LowCardinality(String) COMMENT 'Kafka topic',
    _partition UInt16 COMMENT 'Kafka partition' CODEC(ZSTD(1)),
    _offset UInt64 COMMENT 'Kafka offset' CODEC(Delta(8), ZSTD(1)),
    INDEX ix_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (tenant_id, event_type, toStartOfHour(at), call_id, at)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728
COMMENT 'One row per event of a media stream';

-- What was said, redacted before it was written; restricted, and kept 90 days. Nothing is derived from it and no mart
-- shows it. Who may read it is granted by name: a role that reads the marts gets no right to this table, and a reader
-- of one tenant gets a row policy on tenant_id, which is first in the key.
CREATE TABLE IF NOT EXISTS transcripts
(
    tenant_id UUID COMMENT 'Tenant' CODEC(ZSTD(1)),
    event_id UUID COMMENT 'Equal ids are the same fact' CODEC(ZSTD(1)),
    call_id UUID COMMENT 'Call' CODEC(ZSTD(1)),
    agent_id UUID COMMENT 'AI agent; zero when not known' CODEC(ZSTD(1)),
    number UInt32 COMMENT 'Counts utterances within the stream' CODEC(ZSTD(1)),
    speaker LowCardinality(String) COMMENT 'caller or agent',
    text String COMMENT 'All that was said; of the agent, all that was generated' CODEC(ZSTD(3)),
    heard String COMMENT 'What of it was heard' CODEC(ZSTD(3)),
    language LowCardinality(String) COMMENT 'BCP 47; empty when not known',
    interrupted UInt8 COMMENT '1 when the other side interrupted it',
    starts_ms Nullable(UInt64) COMMENT 'Start of the stream to its begin' CODEC(ZSTD(1)),
    ends_ms Nullable(UInt64) COMMENT 'Start of the stream to its end' CODEC(ZSTD(1)),
    generated_ms Nullable(UInt64) COMMENT 'Audio the agent generated' CODEC(ZSTD(1)),
    heard_ms Nullable(UInt64) COMMENT 'How much of it was heard' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When it was said' CODEC(Delta(8), ZSTD(1)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written' CODEC(Delta(8), ZSTD(1)),
    _topic LowCardinality(String) COMMENT 'Kafka topic',
    _partition UInt16 COMMENT 'Kafka partition' CODEC(ZSTD(1)),
    _offset UInt64 COMMENT 'Kafka offset' CODEC(Delta(8), ZSTD(1)),
    INDEX ix_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (tenant_id, toStartOfHour(at), call_id, number)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728
COMMENT 'One row per utterance; restricted';

-- Money outlives the events it comes from. One row per event id: an event that is told twice costs once.
CREATE TABLE IF NOT EXISTS media_usage
(
    tenant_id UUID CODEC(ZSTD(1)),
    call_id UUID CODEC(ZSTD(1)),
    event_id UUID CODEC(ZSTD(1)),
    agent_id UUID CODEC(ZSTD(1)),
    provider LowCardinality(String),
    model LowCardinality(String),
    text_in UInt64 CODEC(T64, ZSTD(1)),
    text_in_cached UInt64 CODEC(T64, ZSTD(1)),
    text_out UInt64 CODEC(T64, ZSTD(1)),
    audio_in UInt64 CODEC(T64, ZSTD(1)),
    audio_in_cached UInt64 CODEC(T64, ZSTD(1)),
    audio_out UInt64 CODEC(T64, ZSTD(1)),
    session_ms UInt64 CODEC(T64, ZSTD(1)),
    recognised_ms UInt64 CODEC(T64, ZSTD(1)),
    spoken_characters UInt64 CODEC(T64, ZSTD(1)),
    price_table LowCardinality(String),
    currency LowCardinality(String),
    micros Int64 CODEC(T64, ZSTD(1)),
    unpriced UInt8,
    at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (tenant_id, toStartOfHour(at), call_id, event_id)
TTL toDateTime(at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 100000, min_bytes_for_wide_part = 134217728
COMMENT 'One row per piece of usage after merging; read with FINAL';

CREATE MATERIALIZED VIEW IF NOT EXISTS media_usage_from_events TO media_usage AS
SELECT
    e.tenant_id AS tenant_id, e.call_id AS call_id, e.event_id AS event_id, e.agent_id AS agent_id,
    e.provider AS provider, e.model AS model,
    e.text_in AS text_in, e.text_in_cached AS text_in_cached, e.text_out AS text_out,
    e.audio_in AS audio_in, e.audio_in_cached AS audio_in_cached, e.audio_out AS audio_out,
    e.session_ms AS session_ms, e.recognised_ms AS recognised_ms, e.spoken_characters AS spoken_characters,
    e.price_table AS price_table, e.currency AS currency, e.micros AS micros, e.unpriced AS unpriced, e.at AS at
FROM media_events AS e
WHERE e.event_type = 'media.usage';

-- One row per call that had a media stream, assembled from its events as they are inserted. Every column is a minimum
-- or maximum, so events may come twice, late and in any order and the row is still the same. Counts are the highest
-- number of their kind. A call that is streamed a second time keeps the later end.
CREATE TABLE IF NOT EXISTS media_streams
(
    tenant_id UUID CODEC(ZSTD(1)),
    call_id UUID CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    agent_id SimpleAggregateFunction(max, UUID) CODEC(ZSTD(1)),
    first_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    last_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    started_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))) CODEC(ZSTD(1)),
    disclosed_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))) CODEC(ZSTD(1)),
    -- The start: (when, carrier, provider, model, codec, passed through, recorded).
    start SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String, String, String, String, UInt8, UInt8)) CODEC(ZSTD(1)),
    -- Who spoke last: (when, provider).
    speaking SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String)) CODEC(ZSTD(1)),
    turns SimpleAggregateFunction(max, UInt32) CODEC(ZSTD(1)),
    tools SimpleAggregateFunction(max, UInt32) CODEC(ZSTD(1)),
    changes SimpleAggregateFunction(max, UInt32) CODEC(ZSTD(1)),
    -- The latest verdict: (number, far end).
    verdict SimpleAggregateFunction(max, Tuple(UInt32, String)) CODEC(ZSTD(1)),
    -- The language spoken last: (when, language).
    language SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String)) CODEC(ZSTD(1)),
    -- The end: (when, cause, fault, milliseconds, frames, lost, malformed, micros, currency).
    ending SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String, String, UInt64, UInt64, UInt64, UInt64, Int64, String)) CODEC(ZSTD(1)),
    -- The recording: (when, key, SHA-256, bytes, milliseconds, retention, key id, salvaged).
    recording SimpleAggregateFunction(max, Tuple(DateTime64(6, 'UTC'), String, String, UInt64, UInt64, String, String, UInt8)) CODEC(ZSTD(1)),
    stored_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    INDEX ix_first first_at TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, hour, call_id)
TTL toDateTime(last_at) + INTERVAL 25 MONTH DELETE
SETTINGS non_replicated_deduplication_window = 100000, min_bytes_for_wide_part = 134217728
COMMENT 'One row per call with a media stream after merging; read media_streams_final';

CREATE MATERIALIZED VIEW IF NOT EXISTS media_streams_from_events TO media_streams AS
SELECT
    e.tenant_id AS tenant_id,
    e.call_id AS call_id,
    toStartOfHour(UUIDv7ToDateTime(e.call_id, 'UTC')) AS hour,
    max(e.agent_id) AS agent_id,
    min(e.at) AS first_at,
    max(e.at) AS last_at,
    minIf(toNullable(e.at), e.event_type = 'media.started') AS started_at,
    minIf(toNullable(e.at), e.event_type = 'media.disclosed') AS disclosed_at,
    maxIf((e.at, toString(e.carrier), toString(e.provider), toString(e.model), toString(e.codec), e.pass_through, e.recorded),
        e.event_type = 'media.started') AS start,
    maxIf((e.at, toString(e.provider)), e.provider != '') AS speaking,
    maxIf(e.number, e.event_type = 'media.turn') AS turns,
    maxIf(e.number, e.event_type = 'media.tool_used') AS tools,
    maxIf(e.number, e.event_type = 'media.provider_changed') AS changes,
    maxIf((e.number, toString(e.far_end)), e.event_type = 'media.verdict') AS verdict,
    maxIf((e.at, toString(e.language)), e.event_type = 'media.language_changed') AS language,
    maxIf((e.at, toString(e.cause), toString(e.fault), e.duration_ms, e.frames, e.lost, e.malformed, e.micros, toString(e.currency)),
        e.event_type = 'media.stopped') AS ending,
    maxIf((e.at, e.object_key, e.sha256, e.bytes, e.duration_ms, toString(e.retention), toString(e.key_id), e.salvaged),
        e.event_type = 'media.recording_ready') AS recording,
    max(e.stored_at) AS stored_at
FROM media_events AS e
GROUP BY tenant_id, call_id, hour;

-- The finished shape of a stream, for everything that reads streams.
CREATE VIEW IF NOT EXISTS media_streams_final AS
SELECT
    s.tenant_id AS tenant_id,
    s.call_id AS call_id,
    s.hour AS hour,
    s.agent_id AS agent_id,
    s.first_at AS first_at,
    s.started_at AS started_at,
    if(toUnixTimestamp(s.ending.1) > 0, toNullable(s.ending.1), NULL) AS stopped_at,
    s.disclosed_at AS disclosed_at,
    s.start.2 AS carrier,
    s.start.3 AS first_provider,
    s.speaking.2 AS last_provider,
    s.start.4 AS model,
    s.start.5 AS codec,
    s.start.6 AS pass_through,
    s.start.7 AS recorded,
    s.turns AS turns,
    s.tools AS tools,
    s.changes AS changes,
    s.verdict.2 AS far_end,
    s.language.2 AS language,
    s.ending.2 AS cause,
    s.ending.3 AS fault,
    s.ending.4 AS duration_ms,
    s.ending.5 AS frames,
    s.ending.6 AS lost,
    s.ending.7 AS malformed,
    s.ending.8 AS micros,
    s.ending.9 AS currency,
    s.recording.2 AS recording_key,
    s.recording.3 AS recording_sha256,
    s.recording.4 AS recording_bytes,
    s.recording.5 AS recording_ms,
    s.recording.6 AS retention,
    s.recording.8 AS salvaged,
    s.stored_at AS stored_at
FROM media_streams AS s FINAL;

-- Turns, one row each, as long as their events are kept.
CREATE VIEW IF NOT EXISTS media_turns AS
SELECT
    e.tenant_id AS tenant_id,
    e.call_id AS call_id,
    e.agent_id AS agent_id,
    e.provider AS provider,
    e.number AS number,
    e.at AS at,
    e.speech_end_ms AS speech_end_ms,
    e.latency_ms AS latency_ms,
    e.decision_ms AS decision_ms,
    e.first_token_ms AS first_token_ms,
    e.first_byte_in_ms AS first_byte_in_ms,
    e.first_byte_out_ms AS first_byte_out_ms,
    e.first_mark_ms AS first_mark_ms,
    e.bridge_us AS bridge_us,
    e.generated_ms AS generated_ms,
    e.heard_ms AS heard_ms,
    e.interrupted AS interrupted,
    e.unprompted AS unprompted
FROM media_events AS e
WHERE e.event_type = 'media.turn'
LIMIT 1 BY e.tenant_id, e.event_id;

-- Turn latency. All figures but bridge_p99_ms are about prompted turns, those that answer the caller; unit seconds.
--   latency_pXX_s   = quantile XX over prompted turns of (first audio sent - end of the caller's speech)
--   decision_p50_s  = median of (provider's decision - end of speech): the provider's turn detection
--   heard_p50_s     = median of (first audio known to be heard - end of speech), where a mark came back
--   over_800_ms     = prompted turns above 800 ms; slow_share = over_800_ms / prompted
--   interrupt_rate  = interrupted / turns
--   bridge_p99_ms   = 99th percentile over all turns of (first audio sent - first audio received), milliseconds: ours alone
CREATE VIEW IF NOT EXISTS mart_media_turn_day
(
    tenant_id String COMMENT 'Tenant',
    day Date COMMENT 'Day, UTC',
    provider String COMMENT 'AI provider that spoke',
    turns Int64 COMMENT 'Turns of AI agents',
    prompted Int64 COMMENT 'Of these, answers to the caller',
    interrupted Int64 COMMENT 'Turns the caller interrupted',
    over_800_ms Int64 COMMENT 'Prompted turns slower than 800 ms',
    latency_p50_s Nullable(Float64) COMMENT 'p50 of end of speech to first audio sent, prompted turns, seconds',
    latency_p90_s Nullable(Float64) COMMENT 'p90 of the same, seconds',
    latency_p95_s Nullable(Float64) COMMENT 'p95 of the same, seconds',
    latency_p99_s Nullable(Float64) COMMENT 'p99 of the same, seconds',
    decision_p50_s Nullable(Float64) COMMENT 'p50 of end of speech to the provider''s decision, seconds',
    heard_p50_s Nullable(Float64) COMMENT 'p50 of end of speech to first audio heard, seconds',
    bridge_p99_ms Nullable(Float64) COMMENT 'p99 of first audio received to first audio sent, milliseconds',
    slow_share Nullable(Float64) COMMENT 'over_800_ms / prompted',
    interrupt_rate Nullable(Float64) COMMENT 'interrupted / turns'
) AS
SELECT
    toString(t.tenant_id) AS tenant_id,
    toDate(t.at, 'UTC') AS day,
    toString(t.provider) AS provider,
    toInt64(count()) AS turns,
    toInt64(countIf(t.unprompted = 0)) AS prompted,
    toInt64(countIf(t.interrupted = 1)) AS interrupted,
    toInt64(countIf(t.unprompted = 0 AND t.latency_ms > 800)) AS over_800_ms,
    if(countIf(t.unprompted = 0) = 0, NULL, quantileExactIf(0.5)(t.latency_ms, t.unprompted = 0) / 1000) AS latency_p50_s,
    if(countIf(t.unprompted = 0) = 0, NULL, quantileExactIf(0.9)(t.latency_ms, t.unprompted = 0) / 1000) AS latency_p90_s,
    if(countIf(t.unprompted = 0) = 0, NULL, quantileExactIf(0.95)(t.latency_ms, t.unprompted = 0) / 1000) AS latency_p95_s,
    if(countIf(t.unprompted = 0) = 0, NULL, quantileExactIf(0.99)(t.latency_ms, t.unprompted = 0) / 1000) AS latency_p99_s,
    quantileExactIf(0.5)(t.decision_ms, t.unprompted = 0) / 1000 AS decision_p50_s,
    quantileExactIf(0.5)(t.first_mark_ms, t.unprompted = 0) / 1000 AS heard_p50_s,
    quantileExact(0.99)(t.bridge_us) / 1000 AS bridge_p99_ms,
    countIf(t.unprompted = 0 AND t.latency_ms > 800) / nullIf(countIf(t.unprompted = 0), 0) AS slow_share,
    countIf(t.interrupted = 1) / nullIf(count(), 0) AS interrupt_rate
FROM media_turns AS t
GROUP BY t.tenant_id, day, t.provider
COMMENT 'One row per day and AI provider';

-- What AI providers cost, per call. The sum of all pieces of usage, so a call whose worker died costs what it had used.
--   cost_micros = sum of micros over the pieces of usage of the call, millionths of the currency; cost = cost_micros / 1e6
--   lower_bound = 1 when some usage has no price in the table that was used
CREATE VIEW IF NOT EXISTS mart_media_call_cost
(
    tenant_id String COMMENT 'Tenant',
    call_id String COMMENT 'Call',
    campaign_id String COMMENT 'Campaign; empty for inbound calls and calls that are not known',
    started_at DateTime COMMENT 'When the first usage was told, UTC',
    currency String COMMENT 'ISO 4217',
    cost_micros Int64 COMMENT 'Cost in millionths of the currency',
    cost Float64 COMMENT 'Cost in the currency',
    lower_bound Int64 COMMENT '1 when some of the usage has no price'
) AS
SELECT
    toString(u.tenant_id) AS tenant_id,
    toString(u.call_id) AS call_id,
    if(c.campaign_id = toUUID('00000000-0000-0000-0000-000000000000'), '', toString(c.campaign_id)) AS campaign_id,
    u.first_at AS started_at,
    toString(u.currency) AS currency,
    u.spent AS cost_micros,
    u.spent / 1000000 AS cost,
    toInt64(u.open) AS lower_bound
FROM
(
    SELECT tenant_id, call_id, currency, toDateTime(min(at), 'UTC') AS first_at, sum(micros) AS spent, max(unpriced) AS open
    FROM media_usage FINAL
    GROUP BY tenant_id, call_id, currency
) AS u
LEFT JOIN (SELECT tenant_id, call_id, max(campaign_id) AS campaign_id FROM calls GROUP BY tenant_id, call_id) AS c
    ON c.tenant_id = u.tenant_id AND c.call_id = u.call_id
COMMENT 'One row per call and currency';

-- The same per campaign and day, by the day of the first usage.
--   cost_per_call = cost / calls, calls being those with any usage
CREATE VIEW IF NOT EXISTS mart_media_campaign_day
(
    tenant_id String COMMENT 'Tenant',
    day Date COMMENT 'Day, UTC',
    campaign_id String COMMENT 'Campaign; empty for inbound calls',
    currency String COMMENT 'ISO 4217',
    calls Int64 COMMENT 'Calls AI providers charge for',
    cost_micros Int64 COMMENT 'Cost in millionths of the currency',
    cost Float64 COMMENT 'Cost in the currency',
    lower_bound_calls Int64 COMMENT 'Calls some of whose usage has no price',
    cost_per_call Nullable(Float64) COMMENT 'cost / calls'
) AS
SELECT
    m.tenant_id AS tenant_id,
    toDate(m.started_at, 'UTC') AS day,
    m.campaign_id AS campaign_id,
    m.currency AS currency,
    toInt64(count()) AS calls,
    sum(m.cost_micros) AS cost_micros,
    sum(m.cost_micros) / 1000000 AS cost,
    sum(m.lower_bound) AS lower_bound_calls,
    sum(m.cost_micros) / 1000000 / nullIf(count(), 0) AS cost_per_call
FROM mart_media_call_cost AS m
GROUP BY m.tenant_id, day, m.campaign_id, m.currency
COMMENT 'One row per day, campaign and currency';

-- Streams of a day. Durations in seconds.
--   unfinished  = streams without an end: their worker died, or they are still open
--   failed      = streams that ended because of a provider, a carrier's connection or this platform
--   frame_loss  = frames that never came / (frames + frames that never came)
CREATE VIEW IF NOT EXISTS mart_media_stream_day
(
    tenant_id String COMMENT 'Tenant',
    day Date COMMENT 'Day the stream began, UTC',
    provider String COMMENT 'AI provider the stream began with',
    streams Int64 COMMENT 'Media streams',
    unfinished Int64 COMMENT 'Of these, without an end',
    failed Int64 COMMENT 'Of these, ended by a failure',
    moved Int64 COMMENT 'Of these, continued by another session at least once',
    recorded Int64 COMMENT 'Of these, with a recording in the object store',
    stream_s Float64 COMMENT 'Sum of how long they were open, seconds',
    frame_loss Nullable(Float64) COMMENT 'frames lost / frames expected'
) AS
SELECT
    toString(s.tenant_id) AS tenant_id,
    toDate(s.first_at, 'UTC') AS day,
    s.first_provider AS provider,
    toInt64(count()) AS streams,
    toInt64(countIf(isNull(s.stopped_at))) AS unfinished,
    toInt64(countIf(s.cause IN ('carrier_lost', 'provider_failed', 'unknown_event', 'unknown_format', 'no_start', 'no_plan', 'stopped'))) AS failed,
    toInt64(countIf(s.changes > 0)) AS moved,
    toInt64(countIf(s.recording_key != '')) AS recorded,
    sum(s.duration_ms) / 1000 AS stream_s,
    sum(s.lost) / nullIf(sum(s.frames) + sum(s.lost), 0) AS frame_loss
FROM media_streams_final AS s
GROUP BY s.tenant_id, day, s.first_provider
COMMENT 'One row per day and AI provider';
