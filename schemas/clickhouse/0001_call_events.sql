-- Facts: one row per record of calls.events, kept 90 days. The sink writes every record once; _topic,
-- _partition and _offset say which one a row is, so that the audit can compare the table with the log.
-- The deduplication window remembers the tokens of the last 100 000 inserts: a repeated insert is a no-op.
-- Small parts keep all columns in one file: an insert would otherwise write some seventy files, and a merge
-- delete them again.
CREATE TABLE IF NOT EXISTS call_events
(
    tenant_id UUID COMMENT 'Tenant' CODEC(ZSTD(1)),
    event_id UUID COMMENT 'Equal ids are the same fact' CODEC(ZSTD(1)),
    event_type LowCardinality(String) COMMENT 'What happened, such as call.answered',
    source LowCardinality(String) COMMENT 'Who wrote the event',
    call_id UUID COMMENT 'Call; a UUIDv7, so it carries its own time' CODEC(ZSTD(1)),
    campaign_id UUID COMMENT 'Campaign; zero for inbound calls' CODEC(ZSTD(1)),
    shard UInt16 COMMENT 'Shard of the campaign; part of the record key' CODEC(ZSTD(1)),
    attempt_id UUID COMMENT 'Attempt; zero for inbound calls' CODEC(ZSTD(1)),
    contact_id UUID COMMENT 'Person called or calling; zero when not known' CODEC(ZSTD(1)),
    queue_id UUID COMMENT 'Queue; zero when none' CODEC(ZSTD(1)),
    agent_id UUID COMMENT 'Agent; zero when none' CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'inbound' = 1, 'outbound' = 2) COMMENT 'Who called whom',
    carrier LowCardinality(String) COMMENT 'Carrier',
    carrier_call_id String COMMENT 'The carrier''s own id of the call' CODEC(ZSTD(1)),
    carrier_event LowCardinality(String) COMMENT 'The carrier''s own name of the event',
    sequence UInt32 COMMENT 'The carrier''s counter within the call, or the attempt number' CODEC(ZSTD(1)),
    answered_by LowCardinality(String) COMMENT 'Verdict of answering machine detection, on call.amd',
    beep UInt8 COMMENT '1 when a beep was heard' CODEC(ZSTD(1)),
    agent_kind LowCardinality(String) COMMENT 'human or ai, on call.bridged and call.transferred',
    outcome LowCardinality(String) COMMENT 'How it ended, on call.ended and attempt.finished',
    hangup_by LowCardinality(String) COMMENT 'Who hung up, on call.ended',
    cause LowCardinality(String) COMMENT 'The carrier''s word for the cause, or the reasons an attempt was skipped',
    sip_code UInt16 COMMENT 'SIP response; 0 when not passed on' CODEC(ZSTD(1)),
    duration_ms UInt32 COMMENT 'Answer to hang-up as the carrier counts it' CODEC(ZSTD(1)),
    reconciled UInt8 COMMENT '1 when the watchdog found the end' CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') COMMENT 'When it happened, by the clock of who saw it first' CODEC(Delta(8), ZSTD(1)),
    received_at DateTime64(6, 'UTC') COMMENT 'When the platform heard of it' CODEC(Delta(8), ZSTD(1)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the row was written' CODEC(Delta(8), ZSTD(1)),
    _topic LowCardinality(String) COMMENT 'Kafka topic',
    _partition UInt16 COMMENT 'Kafka partition' CODEC(ZSTD(1)),
    _offset UInt64 COMMENT 'Kafka offset' CODEC(Delta(8), ZSTD(1)),
    INDEX ix_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(at)
ORDER BY (tenant_id, toStartOfHour(at), campaign_id, call_id, at)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728
COMMENT 'One row per event of a call or attempt';

-- Records the sink could not store. Their offsets are missing from call_events on purpose.
CREATE TABLE IF NOT EXISTS sink_dead_letters
(
    _topic LowCardinality(String) COMMENT 'Kafka topic',
    _partition UInt16 COMMENT 'Kafka partition',
    _offset UInt64 COMMENT 'Kafka offset',
    stage LowCardinality(String) COMMENT 'The stage that gave up',
    code LowCardinality(String) COMMENT 'Stable label of the reason',
    detail String COMMENT 'The reason, for a person',
    at DateTime64(3, 'UTC') COMMENT 'When the stage gave up'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (_topic, _partition, _offset)
TTL toDateTime(at) + INTERVAL 90 DAY DELETE
COMMENT 'Offsets that went to the dead letters instead of a table';
