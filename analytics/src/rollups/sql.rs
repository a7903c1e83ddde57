//! The statements that count. Both granularities have the same measures, written once.

/// Every minute between the first and the last event of every call stored since `since`.
pub(super) const CHANGED_MINUTES: &str = "\
SELECT DISTINCT toUInt32(arrayJoin(range(toUnixTimestamp(toStartOfMinute(c.first_at)), \
    toUnixTimestamp(toStartOfMinute(c.last_at)) + 60, 60))) AS seconds
FROM calls AS c FINAL
WHERE (c.tenant_id, c.campaign_id, c.hour, c.call_id) IN
    (SELECT tenant_id, campaign_id, hour, call_id FROM calls WHERE stored_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
ORDER BY seconds";

/// Stages nobody has touched for a day.
pub(super) const OLD_STAGES: &str = "\
SELECT name FROM system.tables
WHERE database = currentDatabase() AND startsWith(name, {prefix:String}) AND metadata_modification_time < now() - INTERVAL 1 DAY";

/// `counted` is 1 for a call and 0 for a row that only keeps a former count from surviving.
const MEASURES: &str = "\
    sum(x.counted) AS calls,
    countIf(x.counted AND isNotNull(x.ended_at)) AS ended,
    countIf(x.counted AND x.answered) AS answered,
    countIf(x.counted AND x.contacted) AS contacted,
    countIf(x.counted AND x.offered) AS offered,
    countIf(x.counted AND x.bridged) AS bridged,
    countIf(x.counted AND x.bridged AND x.wait_ms <= 20000) AS bridged_sl,
    countIf(x.counted AND x.abandoned) AS abandoned,
    countIf(x.counted AND x.short_abandoned) AS short_abandoned,
    countIf(x.counted AND x.answered_by = 'machine') AS machine,
    countIf(x.counted AND x.outcome = 'busy') AS busy,
    countIf(x.counted AND x.outcome = 'no_answer') AS no_answer,
    countIf(x.counted AND x.outcome IN ('invalid_number', 'rejected', 'carrier_error', 'unknown')) AS failed,
    countIf(x.counted AND x.reconciled) AS reconciled,
    sumIf(toUInt64(x.ring_ms), x.counted AND x.answered) AS ring_ms,
    sumIf(toUInt64(x.wait_ms), x.counted AND x.bridged) AS wait_ms,
    sumIf(toUInt64(x.talk_ms), x.counted AND x.bridged) AS talk_ms,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(toUInt32(x.wait_ms), x.counted AND x.bridged) AS wait_q,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(toUInt32(x.ring_ms), x.counted AND x.answered) AS ring_q,
    {version:UInt64} AS version";

const DIMENSIONS: &str = "x.tenant_id AS tenant_id, x.campaign_id AS campaign_id, x.queue_id AS queue_id, \
     x.direction AS direction, x.carrier AS carrier";

const CALL_COLUMNS: &str = "f.tenant_id AS tenant_id, f.campaign_id AS campaign_id, f.queue_id AS queue_id, \
     f.direction AS direction, f.carrier AS carrier, toUInt8(1) AS counted, f.ended_at AS ended_at, \
     f.answered AS answered, f.contacted AS contacted, f.offered AS offered, f.bridged AS bridged, \
     f.wait_ms AS wait_ms, f.abandoned AS abandoned, f.short_abandoned AS short_abandoned, \
     f.answered_by AS answered_by, f.outcome AS outcome, f.reconciled AS reconciled, f.ring_ms AS ring_ms, \
     f.talk_ms AS talk_ms";

/// The sort key of `calls` has the hour of the call's id, which is that of its first event give or take
/// one; ids that carry no time have the hour 1970-01-01 00:00.
const HOURS: &str = "(f.hour BETWEEN toStartOfHour(toDateTime({first:UInt32}, 'UTC')) - INTERVAL 1 HOUR \
     AND toDateTime({last:UInt32}, 'UTC') + INTERVAL 1 HOUR OR f.hour = toDateTime(0, 'UTC'))";

pub(super) fn count_minutes() -> String {
    format!(
        "INSERT INTO kpi_1m (bucket, tenant_id, campaign_id, queue_id, direction, carrier, calls, ended, answered, \
         contacted, offered, bridged, bridged_sl, abandoned, short_abandoned, machine, busy, no_answer, failed, \
         reconciled, ring_ms, wait_ms, talk_ms, wait_q, ring_q, version)
SELECT x.bucket AS bucket, {DIMENSIONS},
{MEASURES}
FROM
(
    SELECT toStartOfMinute(toDateTime(f.started_at, 'UTC')) AS bucket, {CALL_COLUMNS}
    FROM calls_final AS f
    WHERE {HOURS} AND toUnixTimestamp(toStartOfMinute(toDateTime(f.started_at, 'UTC'))) IN {{minutes:Array(UInt32)}}
    UNION ALL
    SELECT k.bucket, k.tenant_id, k.campaign_id, k.queue_id, k.direction, k.carrier, 0, NULL, 0, 0, 0, 0, 0, 0, 0, \
         '', '', 0, 0, 0
    FROM kpi_1m AS k FINAL
    WHERE toUnixTimestamp(k.bucket) IN {{minutes:Array(UInt32)}}
) AS x
GROUP BY bucket, tenant_id, campaign_id, queue_id, direction, carrier"
    )
}

pub(super) fn count_day(stage: &str) -> String {
    let hours = HOURS
        .replace(
            "toDateTime({first:UInt32}, 'UTC')",
            "toDateTime({day:String}, 'UTC')",
        )
        .replace(
            "toDateTime({last:UInt32}, 'UTC')",
            "(toDateTime({day:String}, 'UTC') + INTERVAL 1 DAY)",
        );
    format!(
        "INSERT INTO {stage} (bucket, tenant_id, campaign_id, queue_id, direction, carrier, calls, ended, \
         answered, contacted, offered, bridged, bridged_sl, abandoned, short_abandoned, machine, busy, no_answer, \
         failed, reconciled, ring_ms, wait_ms, talk_ms, wait_q, ring_q, version)
SELECT x.bucket AS bucket, {DIMENSIONS},
{MEASURES}
FROM
(
    SELECT toStartOfFifteenMinutes(toDateTime(f.started_at, 'UTC')) AS bucket, {CALL_COLUMNS}
    FROM calls_final AS f
    WHERE {hours} AND toDate(f.started_at) = toDate({{day:String}})
) AS x
GROUP BY bucket, tenant_id, campaign_id, queue_id, direction, carrier"
    )
}
