CREATE TABLE call_events_kafka
(
    id UUID,
    source String,
    type String,
    time DateTime64(6, 'UTC'),
    tenantid UUID,
    data Tuple(
        call Tuple(call_id UUID, direction String, carrier String, carrier_call_id String, campaign_id UUID, shard UInt16,
            attempt_id UUID, contact_id UUID, queue_id UUID, agent_id UUID),
        evidence Tuple(carrier_event String, sequence UInt32, received_at DateTime64(6, 'UTC')),
        amd Tuple(answered_by String, beep Bool),
        bridge Tuple(agent_kind String),
        ending Tuple(outcome String, hangup_by String, cause String, sip_code UInt16, duration_ms UInt32, reconciled Bool))
)
ENGINE = Kafka
SETTINGS kafka_broker_list = '{brokers}', kafka_topic_list = '{topic}', kafka_group_name = '{group}',
    kafka_format = 'JSONEachRow', date_time_input_format = 'best_effort'{settings};

CREATE MATERIALIZED VIEW call_events_from_kafka TO call_events AS
SELECT
    tenantid AS tenant_id,
    id AS event_id,
    type AS event_type,
    source,
    data.call.call_id AS call_id,
    data.call.campaign_id AS campaign_id,
    data.call.shard AS shard,
    data.call.attempt_id AS attempt_id,
    data.call.contact_id AS contact_id,
    data.call.queue_id AS queue_id,
    data.call.agent_id AS agent_id,
    CAST(data.call.direction, 'Enum8(\'unknown\' = 0, \'inbound\' = 1, \'outbound\' = 2)') AS direction,
    data.call.carrier AS carrier,
    data.call.carrier_call_id AS carrier_call_id,
    data.evidence.carrier_event AS carrier_event,
    data.evidence.sequence AS sequence,
    data.amd.answered_by AS answered_by,
    toUInt8(data.amd.beep) AS beep,
    data.bridge.agent_kind AS agent_kind,
    data.ending.outcome AS outcome,
    data.ending.hangup_by AS hangup_by,
    data.ending.cause AS cause,
    data.ending.sip_code AS sip_code,
    data.ending.duration_ms AS duration_ms,
    toUInt8(data.ending.reconciled) AS reconciled,
    time AS at,
    data.evidence.received_at AS received_at,
    _topic,
    toUInt16(_partition) AS _partition,
    _offset
FROM call_events_kafka;
