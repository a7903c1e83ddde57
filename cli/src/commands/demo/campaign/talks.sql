-- What the tables say about the talks of a tenant's AI agents. Equal ids are the same fact.
SELECT
    uniqExactIf(call_id, event_type = 'media.started') AS started,
    uniqExactIf(call_id, event_type = 'media.stopped') AS stopped,
    uniqExactIf(call_id, event_type = 'media.disclosed') AS disclosed,
    countIf(event_type = 'media.turn' AND NOT unprompted) AS turns,
    countIf(event_type = 'media.turn' AND interrupted) AS interrupted,
    toFloat64(ifNotFinite(quantileExactIf(0.5)(latency_ms, event_type = 'media.turn' AND NOT unprompted), 0)) AS p50_ms,
    toFloat64(ifNotFinite(quantileExactIf(0.95)(latency_ms, event_type = 'media.turn' AND NOT unprompted), 0)) AS p95_ms,
    toInt64(sumIf(micros, event_type = 'media.stopped')) AS micros,
    countIf(event_type = 'media.tool_used') AS tools,
    uniqExactIf(call_id, event_type = 'media.recording_ready') AS recorded,
    ifNull((SELECT uniqExact(event_id) FROM transcripts WHERE tenant_id = {tenant:UUID}), 0) AS utterances
FROM (SELECT * FROM media_events WHERE tenant_id = {tenant:UUID} LIMIT 1 BY event_id)
