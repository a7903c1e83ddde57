-- The select of the view media_streams_from_events, over stored rows.
INSERT INTO media_streams (tenant_id, call_id, hour, agent_id, first_at, last_at, started_at, disclosed_at, start, speaking, turns, tools, changes, verdict, language, ending, recording, stored_at)
SELECT
    e.tenant_id AS tenant_id,
    e.call_id AS call_id,
    toStartOfHour(UUIDv7ToDateTime(e.call_id, 'UTC')) AS hour,
    max(e.agent_id) AS agent_id,
    min(e.at) AS first_at,
    max(e.at) AS last_at,
    minIf(toNullable(e.at), e.event_type = 'media.started') AS started_at,
    minIf(toNullable(e.at), e.event_type = 'media.disclosed') AS disclosed_at,
    maxIf((e.at, toString(e.carrier), toString(e.provider), toString(e.model), toString(e.codec), e.pass_through, e.recorded),
        e.event_type = 'media.started') AS start,
    maxIf((e.at, toString(e.provider)), e.provider != '') AS speaking,
    maxIf(e.number, e.event_type = 'media.turn') AS turns,
    maxIf(e.number, e.event_type = 'media.tool_used') AS tools,
    maxIf(e.number, e.event_type = 'media.provider_changed') AS changes,
    maxIf((e.number, toString(e.far_end)), e.event_type = 'media.verdict') AS verdict,
    maxIf((e.at, toString(e.language)), e.event_type = 'media.language_changed') AS language,
    maxIf((e.at, toString(e.cause), toString(e.fault), e.duration_ms, e.frames, e.lost, e.malformed, e.micros, toString(e.currency)),
        e.event_type = 'media.stopped') AS ending,
    maxIf((e.at, e.object_key, e.sha256, e.bytes, e.duration_ms, toString(e.retention), toString(e.key_id), e.salvaged),
        e.event_type = 'media.recording_ready') AS recording,
    max(e.stored_at) AS stored_at
FROM media_events AS e
WHERE e._topic = {topic:String} AND e._partition = {partition:Int32} AND e._offset BETWEEN {first:Int64} AND {last:Int64}
GROUP BY tenant_id, call_id, hour
