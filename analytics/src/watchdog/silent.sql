-- Calls without an end that nothing was heard of for a while, longest silence first.
SELECT
    c.tenant_id AS tenant_id, c.call_id AS call_id, c.campaign_id AS campaign_id, c.shard AS shard,
    c.attempt_id AS attempt_id, c.contact_id AS contact_id, c.queue_id AS queue_id, c.agent_id AS agent_id,
    toString(c.direction) AS direction, toString(c.carrier) AS carrier, c.carrier_call_id AS carrier_call_id,
    isNotNull(c.answered_at) = 1 AS answered,
    toUnixTimestamp64Milli(c.received_at) AS heard_ms,
    toUnixTimestamp64Micro(c.last_at) AS last_us
FROM calls AS c FINAL
WHERE c.ending.1 = 0 AND c.received_at < fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY c.received_at
LIMIT {limit:UInt32}
