-- The figures of one tenant's calls.
SELECT
    calls.calls AS calls, calls.answered AS answered, calls.contacted AS contacted, calls.bridged AS bridged,
    calls.abandoned AS abandoned, calls.dropped AS dropped, calls.live AS live, calls.service AS service,
    calls.reconciled AS reconciled, events.rows AS rows, events.facts AS facts, events.p50_ms AS p50_ms,
    events.p95_ms AS p95_ms, minutes.calls AS in_minutes, quarters.calls AS in_quarters
FROM
(
    SELECT
        count() AS calls, countIf(f.answered) AS answered, countIf(f.contacted) AS contacted,
        countIf(f.bridged) AS bridged, countIf(f.abandoned) AS abandoned,
        countIf(f.direction = 'outbound' AND f.contacted AND (NOT f.bridged OR f.wait_ms > 2000)) AS dropped,
        countIf(f.direction = 'outbound' AND f.contacted) AS live,
        ifNull(countIf(f.bridged AND f.wait_ms <= 20000) / nullIf(countIf(f.offered) - countIf(f.short_abandoned), 0), 0) AS service,
        countIf(f.reconciled) AS reconciled
    FROM calls_final AS f WHERE f.tenant_id = {tenant:UUID}
) AS calls,
(
    SELECT
        count() AS rows, uniqExact(e.event_id) AS facts,
        quantileExact(0.5)(dateDiff('millisecond', e.received_at, e.stored_at)) + 0.0 AS p50_ms,
        quantileExact(0.95)(dateDiff('millisecond', e.received_at, e.stored_at)) + 0.0 AS p95_ms
    FROM call_events AS e WHERE e.tenant_id = {tenant:UUID}
) AS events,
(SELECT sum(k.calls) AS calls FROM kpi_1m AS k FINAL WHERE k.tenant_id = {tenant:UUID}) AS minutes,
(SELECT sum(k.calls) AS calls FROM kpi_15m AS k WHERE k.tenant_id = {tenant:UUID}) AS quarters
