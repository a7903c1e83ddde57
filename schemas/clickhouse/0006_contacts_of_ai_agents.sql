-- A call of an AI agent that a machine answered reached nobody: neither a contact nor a conversation. The shape of a
-- call is as before otherwise; denominators: docs/kpis.md.
CREATE OR REPLACE VIEW calls_final AS
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
    -- An AI agent is connected before anybody knows what picked up.
    isNotNull(c.bridged_at) AND NOT (c.agent_kind = 'ai' AND c.amd.2 IN ('machine', 'fax', 'silence')) AS bridged,
    -- A person: connected to an agent, or answered and not judged a machine. Unsure verdicts count as people,
    -- which is the strict reading for abandonment.
    bridged OR (isNotNull(c.answered_at) AND c.amd.2 NOT IN ('machine', 'fax', 'silence')) AS contacted,
    -- In the hands of agents: a caller reached us, or a person answered our call.
    c.direction = 'inbound' OR contacted AS offered,
    -- When the wait for an agent began.
    if(c.direction = 'inbound', toNullable(c.first_at), c.answered_at) AS offered_at,
    -- How long the line was open, as the carrier counts it where it does.
    if(c.ending.7 > 0, c.ending.7,
        if(isNull(c.answered_at) OR c.ending.1 = 0, 0,
            toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(c.answered_at), c.ending.2))))) AS line_ms,
    -- How long an agent talked.
    if(NOT bridged OR c.ending.1 = 0, 0,
        toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(c.bridged_at), c.ending.2)))) AS talk_ms,
    if(NOT bridged OR isNull(offered_at), 0,
        toUInt32(greatest(0, dateDiff('millisecond', assumeNotNull(offered_at), assumeNotNull(c.bridged_at))))) AS wait_ms,
    if(isNull(c.answered_at), 0,
        toUInt32(greatest(0, dateDiff('millisecond', c.first_at, assumeNotNull(c.answered_at))))) AS ring_ms,
    offered AND NOT bridged AND c.ending.1 > 0 AS abandoned,
    -- Callers who gave up within five seconds do not count against the service level (analytics standard).
    abandoned AND c.direction = 'inbound' AND dateDiff('millisecond', c.first_at, c.ending.2) < 5000 AS short_abandoned,
    c.received_at AS received_at,
    c.stored_at AS stored_at
FROM calls AS c FINAL;
