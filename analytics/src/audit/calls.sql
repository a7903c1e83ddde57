-- Calls, and whether each has its one end.
SELECT
    assumeNotNull((SELECT count() FROM calls FINAL)) AS calls,
    assumeNotNull((SELECT countIf(c.ending.1 = 0) FROM calls AS c FINAL)) AS without_end,
    assumeNotNull((
        SELECT count() FROM
        (
            SELECT call_id FROM call_events WHERE event_type = 'call.ended'
            GROUP BY tenant_id, call_id HAVING uniqExact(event_id) > 1
        )
    )) AS several_ends
