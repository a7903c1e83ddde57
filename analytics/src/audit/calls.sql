-- Calls, and whether each has its one end. A zero tenant means all.
WITH toUUID('00000000-0000-0000-0000-000000000000') AS everyone
SELECT
    assumeNotNull((
        SELECT count() FROM calls FINAL WHERE tenant_id = {tenant:UUID} OR everyone = {tenant:UUID}
    )) AS calls,
    assumeNotNull((
        SELECT countIf(c.ending.1 = 0 AND c.received_at <= now64(6) - INTERVAL {silent:UInt32} SECOND)
        FROM calls AS c FINAL WHERE c.tenant_id = {tenant:UUID} OR everyone = {tenant:UUID}
    )) AS without_end,
    assumeNotNull((
        SELECT count() FROM
        (
            SELECT call_id FROM call_events
            WHERE event_type = 'call.ended' AND (tenant_id = {tenant:UUID} OR everyone = {tenant:UUID})
            GROUP BY tenant_id, call_id HAVING uniqExact(event_id) > 1
        )
    )) AS several_ends
