-- Counts per minute and per quarter of an hour, rebuilt from the calls of every interval that changed: a
-- late or repeated event corrects them instead of adding to them.
CREATE TABLE IF NOT EXISTS kpi_1m
(
    bucket DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    tenant_id UUID CODEC(ZSTD(1)),
    campaign_id UUID CODEC(ZSTD(1)),
    queue_id UUID CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'inbound' = 1, 'outbound' = 2),
    carrier LowCardinality(String),
    calls UInt64 CODEC(T64, ZSTD(1)),
    ended UInt64 CODEC(T64, ZSTD(1)),
    answered UInt64 CODEC(T64, ZSTD(1)),
    contacted UInt64 CODEC(T64, ZSTD(1)),
    offered UInt64 CODEC(T64, ZSTD(1)),
    bridged UInt64 CODEC(T64, ZSTD(1)),
    bridged_sl UInt64 CODEC(T64, ZSTD(1)),
    abandoned UInt64 CODEC(T64, ZSTD(1)),
    short_abandoned UInt64 CODEC(T64, ZSTD(1)),
    machine UInt64 CODEC(T64, ZSTD(1)),
    busy UInt64 CODEC(T64, ZSTD(1)),
    no_answer UInt64 CODEC(T64, ZSTD(1)),
    failed UInt64 CODEC(T64, ZSTD(1)),
    reconciled UInt64 CODEC(T64, ZSTD(1)),
    ring_ms UInt64 CODEC(T64, ZSTD(1)),
    wait_ms UInt64 CODEC(T64, ZSTD(1)),
    talk_ms UInt64 CODEC(T64, ZSTD(1)),
    wait_q AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt32),
    ring_q AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt32),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(bucket)
ORDER BY (tenant_id, bucket, campaign_id, queue_id, direction, carrier)
TTL bucket + INTERVAL 7 DAY DELETE
SETTINGS non_replicated_deduplication_window = 100000, ttl_only_drop_parts = 1
COMMENT 'One row per minute, campaign, queue, direction and carrier; read with FINAL';

CREATE TABLE IF NOT EXISTS kpi_15m
(
    bucket DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    tenant_id UUID CODEC(ZSTD(1)),
    campaign_id UUID CODEC(ZSTD(1)),
    queue_id UUID CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'inbound' = 1, 'outbound' = 2),
    carrier LowCardinality(String),
    calls UInt64 CODEC(T64, ZSTD(1)),
    ended UInt64 CODEC(T64, ZSTD(1)),
    answered UInt64 CODEC(T64, ZSTD(1)),
    contacted UInt64 CODEC(T64, ZSTD(1)),
    offered UInt64 CODEC(T64, ZSTD(1)),
    bridged UInt64 CODEC(T64, ZSTD(1)),
    bridged_sl UInt64 CODEC(T64, ZSTD(1)),
    abandoned UInt64 CODEC(T64, ZSTD(1)),
    short_abandoned UInt64 CODEC(T64, ZSTD(1)),
    machine UInt64 CODEC(T64, ZSTD(1)),
    busy UInt64 CODEC(T64, ZSTD(1)),
    no_answer UInt64 CODEC(T64, ZSTD(1)),
    failed UInt64 CODEC(T64, ZSTD(1)),
    reconciled UInt64 CODEC(T64, ZSTD(1)),
    ring_ms UInt64 CODEC(T64, ZSTD(1)),
    wait_ms UInt64 CODEC(T64, ZSTD(1)),
    talk_ms UInt64 CODEC(T64, ZSTD(1)),
    wait_q AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt32),
    ring_q AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt32),
    version UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(bucket)
ORDER BY (tenant_id, campaign_id, queue_id, direction, carrier, bucket)
TTL bucket + INTERVAL 3 YEAR DELETE
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'One row per quarter of an hour, campaign, queue, direction and carrier; a day is replaced as a whole';
