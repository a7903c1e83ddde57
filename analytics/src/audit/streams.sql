-- Calls with a media stream, and those that were started and have fewer ends than starts. A zero tenant means all.
WITH toUUID('00000000-0000-0000-0000-000000000000') AS everyone
SELECT
    count() AS streams,
    countIf(starts > ends AND heard <= now64(6) - INTERVAL {silent:UInt32} SECOND) AS without_end
FROM
(
    SELECT
        uniqExactIf(event_id, event_type = 'media.started') AS starts,
        uniqExactIf(event_id, event_type = 'media.stopped') AS ends,
        max(at) AS heard
    FROM media_events
    WHERE tenant_id = {tenant:UUID} OR everyone = {tenant:UUID}
    GROUP BY tenant_id, call_id
)
