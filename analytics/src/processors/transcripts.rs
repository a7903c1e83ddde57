//! `media.transcripts` → `transcripts`.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use voice_clickhouse::block::{Maybes, Numbers, Strings, Words};
use voice_schemas::{
    EventType,
    events::media::TranscriptData,
    tables,
    topics::{self, Topic},
};

use super::{Feed, Meta, Reject, columns::columns, place, typed, within_time};

columns! {
    /// The rows of a batch as columns, in the order of the table.
    Transcripts:
    tenant_id: Numbers<Uuid> = Numbers::new("UUID"),
    event_id: Numbers<Uuid> = Numbers::new("UUID"),
    call_id: Numbers<Uuid> = Numbers::new("UUID"),
    agent_id: Numbers<Uuid> = Numbers::new("UUID"),
    number: Numbers<u32> = Numbers::new("UInt32"),
    speaker: Words = Words::default(),
    text: Strings = Strings::default(),
    heard: Strings = Strings::default(),
    language: Words = Words::default(),
    interrupted: Numbers<u8> = Numbers::new("UInt8"),
    starts_ms: Maybes<u64> = Maybes::new("Nullable(UInt64)"),
    ends_ms: Maybes<u64> = Maybes::new("Nullable(UInt64)"),
    generated_ms: Maybes<u64> = Maybes::new("Nullable(UInt64)"),
    heard_ms: Maybes<u64> = Maybes::new("Nullable(UInt64)"),
    at: Numbers<i64> = Numbers::new("DateTime64(6, 'UTC')"),
    _topic: Words = Words::default(),
    _partition: Numbers<u16> = Numbers::new("UInt16"),
    _offset: Numbers<u64> = Numbers::new("UInt64"),
}

impl Feed for Transcripts {
    const GROUP: &'static str = "analytics-sink-transcripts";
    const TOPIC: &'static Topic = &topics::TRANSCRIPTS;
    const TABLE: &'static str = tables::TRANSCRIPTS;
    const STAGE: &'static str = "sink.transcripts";
    const DERIVED: &'static [&'static str] = &[];
    const RESTRICTED: bool = true;

    fn push(&mut self, meta: Meta<'_>, payload: Option<&[u8]>, now: DateTime<Utc>) -> Result<(), Reject> {
        let event = typed::<TranscriptData>(payload)?;
        if event.kind != EventType::TranscriptUtterance {
            return Err(Reject::new(
                "wrong_topic",
                "this type of event does not belong on media.transcripts",
            ));
        }
        let at = event.time.timestamp_micros();
        within_time(at, now)?;
        let (partition, offset) = place(meta)?;
        let said = event.data;

        self.tenant_id.push(event.tenantid.0);
        self.event_id.push(event.id.0);
        self.call_id.push(said.call_id.0);
        self.agent_id.push(said.agent_id.map_or(Uuid::nil(), |id| id.0));
        self.number.push(said.number);
        self.speaker.push(said.speaker.as_str());
        self.text.push(&said.text);
        self.heard.push(said.heard.as_ref().unwrap_or(&said.text));
        self.language.push(said.language.as_deref().unwrap_or_default());
        self.interrupted.push(u8::from(said.interrupted));
        self.starts_ms.push(said.starts_ms);
        self.ends_ms.push(said.ends_ms);
        self.generated_ms.push(said.generated_ms);
        self.heard_ms.push(said.heard_ms);
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

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn push(payload: &[u8]) -> Result<Transcripts, Reject> {
        let mut rows = Transcripts::default();
        let meta = Meta {
            topic: "media.transcripts",
            partition: 3,
            offset: 42,
        };
        Feed::push(&mut rows, meta, Some(payload), now()).map(|()| rows)
    }

    #[test]
    fn every_example_of_the_topic_becomes_a_row() {
        let examples = voice_schemas::examples::all();
        let mine: Vec<_> = examples
            .iter()
            .filter(|(topic, ..)| **topic == topics::TRANSCRIPTS)
            .collect();
        assert_eq!(mine.len(), 2);
        for (_, name, json) in mine {
            let rows = push(json.as_bytes()).unwrap_or_else(|reject| panic!("{name}: {reject}"));
            assert_eq!((rows.len(), rows.offset(0)), (1, Some(42)));
            let agent = name.ends_with("agent");
            assert_eq!(rows.speaker.get(0), Some(if agent { "agent" } else { "caller" }));
            // What was heard is the whole of it where nothing else is said.
            assert_eq!(rows.heard.get(0) == rows.text.get(0), !agent, "{name}");
        }
    }

    #[test]
    fn what_is_no_utterance_is_rejected_without_a_word_of_it() {
        let (_, _, json) = voice_schemas::examples::all()
            .into_iter()
            .find(|(topic, ..)| **topic == topics::TRANSCRIPTS)
            .unwrap();
        let mut event: serde_json::Value = serde_json::from_str(&json).unwrap();
        event["data"]["number"] = serde_json::json!("my card is 4111");
        let reject = push(event.to_string().as_bytes()).err().unwrap();
        assert_eq!(reject.code, "malformed");
        assert!(!reject.detail.contains("4111"), "{}", reject.detail);
        event["data"]["number"] = serde_json::json!(1);
        event["type"] = serde_json::json!("media.turn");
        assert_eq!(
            push(event.to_string().as_bytes()).err().unwrap().code,
            "wrong_topic"
        );
        event["type"] = serde_json::json!("transcript.sung");
        assert_eq!(
            push(event.to_string().as_bytes()).err().unwrap().code,
            "unknown_type"
        );
    }
}
