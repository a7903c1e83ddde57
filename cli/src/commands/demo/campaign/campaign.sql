-- What the tables say about one campaign.
SELECT
    events.calls AS call_events, events.finished AS finished, events.several AS several_ends,
    calls.calls AS calls, calls.answered AS answered, calls.to_people AS to_people, events.to_ai AS to_ai,
    calls.abandoned AS abandoned
FROM
(
    SELECT
        -- What carriers told: of a call that was handed over, or taken by an AI agent, we tell ourselves.
        uniqExactIf(e.event_id, startsWith(e.event_type, 'call.') AND e.event_type != 'call.transferred'
            AND e.source != '/workers/media') AS calls,
        uniqExactIf(e.call_id, e.event_type = 'call.bridged' AND e.agent_kind = 'ai') AS to_ai,
        uniqExactIf(e.attempt_id, e.event_type = 'attempt.finished') AS finished,
        toUInt64(uniqExactIf(e.event_id, e.event_type = 'attempt.finished') - finished) AS several
    FROM call_events AS e WHERE e.tenant_id = {tenant:UUID} AND e.campaign_id = {campaign:UUID}
) AS events,
(
    SELECT count() AS calls, countIf(f.answered) AS answered, countIf(f.bridged AND f.agent_kind = 'human') AS to_people,
        countIf(f.abandoned) AS abandoned
    FROM calls_final AS f WHERE f.tenant_id = {tenant:UUID} AND f.campaign_id = {campaign:UUID}
) AS calls
