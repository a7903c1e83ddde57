-- The select of the view calls_from_events, over stored rows.
INSERT INTO calls (tenant_id, campaign_id, call_id, hour, shard, attempt_id, contact_id, queue_id, agent_id, direction, carrier, carrier_call_id, first_at, last_at, answered_at, bridged_at, agent_kind, amd, ending, received_at, stored_at)
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
    AND e._topic = {topic:String} AND e._partition = {partition:Int32} AND e._offset BETWEEN {first:Int64} AND {last:Int64}
GROUP BY tenant_id, campaign_id, call_id, hour
