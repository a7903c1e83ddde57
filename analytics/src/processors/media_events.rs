//! `media.events` → `media_events`.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_clickhouse::block::{Maybes, Numbers, Strings, Words};
use voice_schemas::{
    events::media::{MediaData, Probabilities, Quantities},
    tables,
    topics::{self, Topic},
};

use super::{Feed, Meta, Reject, columns::columns, place, typed, within_time};

columns! {
    /// The rows of a batch as columns, in the order of the table.
    MediaEvents:
    tenant_id: Numbers<Uuid> = Numbers::new("UUID"),
    event_id: Numbers<Uuid> = Numbers::new("UUID"),
    event_type: Words = Words::default(),
    source: Words = Words::default(),
    call_id: Numbers<Uuid> = Numbers::new("UUID"),
    agent_id: Numbers<Uuid> = Numbers::new("UUID"),
    provider: Words = Words::default(),
    number: Numbers<u32> = Numbers::new("UInt32"),
    carrier: Words = Words::default(),
    model: Words = Words::default(),
    codec: Words = Words::default(),
    pass_through: Numbers<u8> = Numbers::new("UInt8"),
    recorded: Numbers<u8> = Numbers::new("UInt8"),
    latency_ms: Numbers<u32> = Numbers::new("UInt32"),
    interrupted: Numbers<u8> = Numbers::new("UInt8"),
    unprompted: Numbers<u8> = Numbers::new("UInt8"),
    speech_end_ms: Maybes<u64> = Maybes::new("Nullable(UInt64)"),
    decision_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    first_token_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    first_byte_in_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    first_byte_out_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    first_mark_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    bridge_us: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    generated_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    heard_ms: Maybes<u32> = Maybes::new("Nullable(UInt32)"),
    change_kind: Words = Words::default(),
    provider_from: Words = Words::default(),
    provider_to: Words = Words::default(),
    gap_ms: Numbers<u32> = Numbers::new("UInt32"),
    lost_ms: Numbers<u32> = Numbers::new("UInt32"),
    tool: Words = Words::default(),
    outcome: Words = Words::default(),
    far_end: Words = Words::default(),
    p_human: Numbers<f64> = Numbers::new("Float64"),
    p_machine: Numbers<f64> = Numbers::new("Float64"),
    p_fax: Numbers<f64> = Numbers::new("Float64"),
    p_screening: Numbers<f64> = Numbers::new("Float64"),
    p_ivr: Numbers<f64> = Numbers::new("Float64"),
    p_silence: Numbers<f64> = Numbers::new("Float64"),
    beep: Numbers<u8> = Numbers::new("UInt8"),
    after_ms: Numbers<u32> = Numbers::new("UInt32"),
    language: Words = Words::default(),
    text_in: Numbers<u64> = Numbers::new("UInt64"),
    text_in_cached: Numbers<u64> = Numbers::new("UInt64"),
    text_out: Numbers<u64> = Numbers::new("UInt64"),
    audio_in: Numbers<u64> = Numbers::new("UInt64"),
    audio_in_cached: Numbers<u64> = Numbers::new("UInt64"),
    audio_out: Numbers<u64> = Numbers::new("UInt64"),
    session_ms: Numbers<u64> = Numbers::new("UInt64"),
    recognised_ms: Numbers<u64> = Numbers::new("UInt64"),
    spoken_characters: Numbers<u64> = Numbers::new("UInt64"),
    price_table: Words = Words::default(),
    currency: Words = Words::default(),
    micros: Numbers<i64> = Numbers::new("Int64"),
    unpriced: Numbers<u8> = Numbers::new("UInt8"),
    object_key: Strings = Strings::default(),
    sha256: Strings = Strings::default(),
    bytes: Numbers<u64> = Numbers::new("UInt64"),
    retention: Words = Words::default(),
    key_id: Words = Words::default(),
    salvaged: Numbers<u8> = Numbers::new("UInt8"),
    cause: Words = Words::default(),
    fault: Words = Words::default(),
    duration_ms: Numbers<u64> = Numbers::new("UInt64"),
    frames: Numbers<u64> = Numbers::new("UInt64"),
    lost: Numbers<u64> = Numbers::new("UInt64"),
    malformed: Numbers<u64> = Numbers::new("UInt64"),
    at: Numbers<i64> = Numbers::new("DateTime64(6, 'UTC')"),
    _topic: Words = Words::default(),
    _partition: Numbers<u16> = Numbers::new("UInt16"),
    _offset: Numbers<u64> = Numbers::new("UInt64"),
}

/// What the sections share, each by its type of event.
#[derive(Default)]
struct Shared<'a> {
    number: u32,
    model: &'a str,
    cause: &'a str,
    currency: &'a str,
    micros: u64,
    object_key: &'a str,
    duration_ms: u64,
}

fn shared(data: &MediaData) -> Shared<'_> {
    let mut shared = Shared::default();
    if let Some(start) = &data.start {
        shared.model = &start.model;
    }
    if let Some(turn) = &data.turn {
        shared.number = turn.number;
    }
    if let Some(change) = &data.change {
        (shared.number, shared.cause) = (change.number, &change.cause);
    }
    if let Some(tool) = &data.tool {
        (shared.number, shared.duration_ms) = (tool.number, tool.duration_ms.into());
    }
    if let Some(verdict) = &data.verdict {
        shared.number = verdict.number;
    }
    if let Some(usage) = &data.usage {
        (shared.number, shared.model) = (usage.number, &usage.model);
        (shared.micros, shared.currency) = (usage.micros, &usage.currency);
    }
    if let Some(recording) = &data.recording {
        (shared.object_key, shared.duration_ms) = (&recording.key, recording.duration_ms);
    }
    if let Some(stop) = &data.stop {
        (shared.cause, shared.duration_ms) = (&stop.cause, stop.duration_ms);
        (shared.micros, shared.currency) = (stop.micros, &stop.currency);
        shared.object_key = stop.recording.as_deref().unwrap_or_default();
    }
    shared
}

impl MediaEvents {
    fn push_sections(&mut self, data: &MediaData) {
        let start = data.start.as_ref();
        self.carrier
            .push(start.map_or("", |start| start.carrier.as_str()));
        self.codec.push(start.map_or("", |start| &start.codec));
        self.pass_through
            .push(u8::from(start.is_some_and(|start| start.pass_through)));
        self.recorded
            .push(u8::from(start.is_some_and(|start| start.recorded)));

        let turn = data.turn.as_ref();
        self.latency_ms.push(turn.map_or(0, |turn| turn.latency_ms));
        self.interrupted
            .push(u8::from(turn.is_some_and(|turn| turn.interrupted)));
        self.unprompted
            .push(u8::from(turn.is_some_and(|turn| turn.unprompted)));
        self.speech_end_ms.push(turn.and_then(|turn| turn.speech_end_ms));
        self.decision_ms.push(turn.and_then(|turn| turn.decision_ms));
        self.first_token_ms
            .push(turn.and_then(|turn| turn.first_token_ms));
        self.first_byte_in_ms
            .push(turn.and_then(|turn| turn.first_byte_in_ms));
        self.first_byte_out_ms
            .push(turn.and_then(|turn| turn.first_byte_out_ms));
        self.first_mark_ms.push(turn.and_then(|turn| turn.first_mark_ms));
        self.bridge_us.push(turn.and_then(|turn| turn.bridge_us));
        self.generated_ms.push(turn.and_then(|turn| turn.generated_ms));
        self.heard_ms.push(turn.and_then(|turn| turn.heard_ms));

        let change = data.change.as_ref();
        self.change_kind
            .push(change.map_or("", |change| change.kind.as_str()));
        self.provider_from.push(change.map_or("", |change| &change.from));
        self.provider_to.push(change.map_or("", |change| &change.to));
        self.gap_ms.push(change.map_or(0, |change| change.gap_ms));
        self.lost_ms.push(change.map_or(0, |change| change.lost_ms));

        let tool = data.tool.as_ref();
        self.tool.push(tool.map_or("", |tool| &tool.name));
        self.outcome.push(tool.map_or("", |tool| &tool.outcome));

        let verdict = data.verdict.as_ref();
        let p = verdict.map_or(Probabilities::default(), |verdict| verdict.probabilities);
        self.far_end
            .push(verdict.map_or("", |verdict| verdict.likely.as_str()));
        self.p_human.push(p.human);
        self.p_machine.push(p.machine);
        self.p_fax.push(p.fax);
        self.p_screening.push(p.screening);
        self.p_ivr.push(p.ivr);
        self.p_silence.push(p.silence);
        self.beep
            .push(u8::from(verdict.is_some_and(|verdict| verdict.beep)));
        self.after_ms.push(verdict.map_or(0, |verdict| verdict.after_ms));
        self.language.push(data.language.as_deref().unwrap_or_default());
        self.push_money_and_storage(data);
    }

    fn push_money_and_storage(&mut self, data: &MediaData) {
        let usage = data.usage.as_ref();
        let used = usage.map_or(Quantities::default(), |usage| usage.quantities);
        self.text_in.push(used.text_in);
        self.text_in_cached.push(used.text_in_cached);
        self.text_out.push(used.text_out);
        self.audio_in.push(used.audio_in);
        self.audio_in_cached.push(used.audio_in_cached);
        self.audio_out.push(used.audio_out);
        self.session_ms.push(used.session_ms);
        self.recognised_ms.push(used.recognised_ms);
        self.spoken_characters.push(used.spoken_characters);
        self.price_table
            .push(usage.map_or("", |usage| &usage.price_table));
        self.unpriced
            .push(u8::from(usage.is_some_and(|usage| usage.unpriced)));

        let recording = data.recording.as_ref();
        self.sha256
            .push(recording.map_or("", |recording| &recording.sha256));
        self.bytes.push(recording.map_or(0, |recording| recording.bytes));
        self.retention
            .push(recording.map_or("", |recording| &recording.retention));
        self.key_id
            .push(recording.map_or("", |recording| &recording.key_id));
        self.salvaged
            .push(u8::from(recording.is_some_and(|recording| recording.salvaged)));

        let stop = data.stop.as_ref();
        self.fault
            .push(stop.and_then(|stop| stop.fault.as_deref()).unwrap_or_default());
        self.frames.push(stop.map_or(0, |stop| stop.frames));
        self.lost.push(stop.map_or(0, |stop| stop.lost));
        self.malformed.push(stop.map_or(0, |stop| stop.malformed));
    }
}

impl Feed for MediaEvents {
    const GROUP: &'static str = "analytics-sink-media";
    const TOPIC: &'static Topic = &topics::MEDIA;
    const TABLE: &'static str = tables::MEDIA_EVENTS;
    const STAGE: &'static str = "sink.media_events";
    const DERIVED: &'static [&'static str] = &[
        include_str!("../sink/derive_media_usage.sql"),
        include_str!("../sink/derive_media_streams.sql"),
    ];

    fn push(&mut self, meta: Meta<'_>, payload: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), Reject> {
        let event = typed::<MediaData>(payload)?;
        if topics::for_event(event.kind).name != topics::MEDIA.name {
            return Err(Reject::new(
                "wrong_topic",
                "this type of event does not belong on media.events",
            ));
        }
        let data = &event.data;
        if let Some(section) = data.missing_section(event.kind) {
            let kind = event.kind;
            return Err(Reject::new(
                "missing_section",
                format!("{kind} needs data.{section}"),
            ));
        }
        let at = event.time.timestamp_micros();
        within_time(at, now)?;
        let shared = shared(data);
        let micros = i64::try_from(shared.micros)
            .map_err(|_| Reject::new("out_of_range", "data holds more money than fits"))?;
        let (partition, offset) = place(meta)?;

        self.tenant_id.push(event.tenantid.0);
        self.event_id.push(event.id.0);
        self.event_type.push(event.kind.as_str());
        self.source.push(&event.source);
        self.call_id.push(data.call_id.0);
        self.agent_id.push(data.agent_id.map_or(Uuid::nil(), |id| id.0));
        self.provider.push(&data.provider);
        self.number.push(shared.number);
        self.model.push(shared.model);
        self.cause.push(shared.cause);
        self.currency.push(shared.currency);
        self.micros.push(micros);
        self.object_key.push(shared.object_key);
        self.duration_ms.push(shared.duration_ms);
        self.push_sections(data);
        self.at.push(at);
        self._topic.push(meta.topic);
        self._partition.push(partition);
        self._offset.push(offset);
        Ok(())
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    fn offset(&self, position: usize) -> Option<u64> {
        Self::offset(self, position)
    }

    fn earliest_arrival(&self) -> Option<i64> {
        self.at.values().iter().copied().min()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // Every batch here has a row.
mod tests {
    use voice_clickhouse::block::Columns as _;
    use voice_schemas::{EventType, events::media::MediaEvent};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn push(payload: &[u8]) -> Result<MediaEvents, Reject> {
        let mut rows = MediaEvents::default();
        let meta = Meta {
            topic: "media.events",
            partition: 3,
            offset: 42,
        };
        Feed::push(&mut rows, meta, Some(payload), now()).map(|()| rows)
    }

    fn examples() -> Vec<(String, String)> {
        let all = voice_schemas::examples::all();
        all.into_iter()
            .filter(|(topic, ..)| **topic == topics::MEDIA)
            .map(|(_, name, json)| (name, json))
            .collect()
    }

    /// A column that is forgotten in one branch would shift every later row.
    #[test]
    fn every_example_of_the_topic_becomes_a_row_with_a_value_in_every_column() {
        assert_eq!(examples().len(), 10);
        for (name, json) in examples() {
            let rows = push(json.as_bytes()).unwrap_or_else(|reject| panic!("{name}: {reject}"));
            let event: MediaEvent = serde_json::from_str(&json).unwrap();
            assert_eq!((rows.len(), rows.offset(0)), (1, Some(42)));
            assert_eq!(rows.event_id.values()[0], event.id.0);
            assert_eq!(rows.event_type.get(0), Some(event.kind.as_str()));
            assert_eq!(rows.at.values()[0], event.time.timestamp_micros());
            rows.each(&mut |column, values| {
                let encoded = |rows| {
                    let mut bytes = Vec::new();
                    values.encode(rows, &mut bytes);
                    bytes.len()
                };
                assert!(encoded(0..1) > encoded(0..0), "{name}: {column} has no value");
            });
        }
    }

    #[test]
    fn money_and_storage_stand_in_the_columns_of_their_event() {
        let of = |wanted: EventType| {
            let json = examples()
                .into_iter()
                .find(|(name, _)| name == wanted.as_str())
                .unwrap()
                .1;
            push(json.as_bytes()).unwrap()
        };
        let usage = of(EventType::MediaUsage);
        assert_eq!(
            (usage.micros.values(), usage.audio_out.values()),
            (&[7_465][..], &[91][..])
        );
        assert_eq!(usage.model.get(0), Some("gpt-realtime-2.1"));
        let stop = of(EventType::MediaStopped);
        assert_eq!(
            (stop.micros.values(), stop.frames.values()),
            (&[41_300][..], &[2_998][..])
        );
        assert_eq!(
            (stop.cause.get(0), stop.duration_ms.values()),
            (Some("carrier"), &[60_000][..])
        );
        let recording = of(EventType::MediaRecordingReady);
        assert_eq!(recording.key_id.get(0), Some("2026-11"));
        assert_eq!(recording.object_key.get(0), stop.object_key.get(0));
    }

    #[test]
    fn an_event_without_its_section_of_another_topic_or_unknown_is_rejected() {
        let of = |kind: &str, data: serde_json::Value| {
            let mut event: serde_json::Value = serde_json::from_str(&examples()[0].1).unwrap();
            event["type"] = serde_json::json!(kind);
            event["data"] = data;
            push(event.to_string().as_bytes()).err().map(|reject| reject.code)
        };
        let call = "01a1fd1e-8c7b-741b-853c-0ca279ddd68d";
        let bare = serde_json::json!({ "call_id": call, "provider": "openai_live" });
        assert_eq!(
            of("media.stopped", bare.clone()),
            None,
            "an older producer says no more"
        );
        assert_eq!(of("media.turn", bare.clone()), Some("missing_section"));
        assert_eq!(of("call.ended", bare.clone()), Some("wrong_topic"));
        assert_eq!(of("transcript.utterance", bare.clone()), Some("wrong_topic"));
        assert_eq!(of("media.sung", bare), Some("unknown_type"));
        assert_eq!(of("media.started", serde_json::json!({})), Some("malformed"));
        let costly = serde_json::json!({ "call_id": call, "provider": "", "usage": { "number": 1, "model": "m",
            "quantities": {}, "price_table": "1", "currency": "USD", "micros": u64::MAX } });
        assert_eq!(of("media.usage", costly), Some("out_of_range"));
    }
}
