-- The select of the view media_usage_from_events, over stored rows.
INSERT INTO media_usage (tenant_id, call_id, event_id, agent_id, provider, model, text_in, text_in_cached, text_out, audio_in, audio_in_cached, audio_out, session_ms, recognised_ms, spoken_characters, price_table, currency, micros, unpriced, at)
SELECT
    e.tenant_id AS tenant_id, e.call_id AS call_id, e.event_id AS event_id, e.agent_id AS agent_id,
    e.provider AS provider, e.model AS model,
    e.text_in AS text_in, e.text_in_cached AS text_in_cached, e.text_out AS text_out,
    e.audio_in AS audio_in, e.audio_in_cached AS audio_in_cached, e.audio_out AS audio_out,
    e.session_ms AS session_ms, e.recognised_ms AS recognised_ms, e.spoken_characters AS spoken_characters,
    e.price_table AS price_table, e.currency AS currency, e.micros AS micros, e.unpriced AS unpriced, e.at AS at
FROM media_events AS e
WHERE e.event_type = 'media.usage'
    AND e._topic = {topic:String} AND e._partition = {partition:Int32} AND e._offset BETWEEN {first:Int64} AND {last:Int64}
