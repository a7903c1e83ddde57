//! Facts on a real broker.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use chrono::DateTime;
use voice_kafka::{Config, Producer, admin::Admin, record};
use voice_providers::{Provider, Quantities, Speaker};
use voice_recordings::{Announce as _, Ready};
use voice_schemas::{
    AgentId, CallId, EventType, TenantId,
    events::{
        call::Carrier,
        media::{MediaEvent, Recording, Start, TranscriptEvent},
    },
    topics::{self, Topic},
};
use voice_telemetry::Metrics;
use voice_telephony::media::Lost;
use voice_turns::timeline;
use voice_workers::{
    Ending,
    facts::{Fact, Sink as _, Stopped, Subject, Turn, Utterance},
    outbox::queue,
};

/// Every record of the one partition of a topic: its key and its payload.
async fn written(config: &Config, topic: &Topic) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (config, topic) = (config.clone(), config.topic(topic));
    tokio::task::spawn_blocking(move || {
        let mark = Admin::new(&config).unwrap().watermarks(&topic).unwrap()[&0];
        (0..mark.high)
            .map(|offset| record::read(&config, &topic, 0, offset).unwrap().unwrap())
            .collect()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_facts_of_a_call_are_on_their_topics_in_order_and_under_its_key() {
    let brokers = std::env::var("KAFKA_BROKERS").expect(
        "KAFKA_BROKERS is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\"",
    );
    let config = Config {
        brokers,
        prefix: format!("media-{}.", uuid::Uuid::now_v7().simple()),
        ..Config::default()
    };
    let admin = Admin::new(&config).unwrap();
    for topic in [topics::MEDIA, topics::TRANSCRIPTS] {
        let one = Topic {
            partitions: 1,
            ..topic
        };
        admin.apply(&one, 1).await.unwrap();
    }

    let subject = Subject {
        tenant: TenantId::random(),
        call: CallId::random(),
        agent: Some(AgentId::random()),
        carrier: Carrier::Twilio,
        provider: Provider::OpenaiRealtime,
    };
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (queue, outbox) = queue(100, Metrics::empty());
    let start = Start {
        carrier: Carrier::Twilio,
        model: "gpt-realtime-2.1".to_owned(),
        codec: "pcmu".to_owned(),
        pass_through: true,
        recorded: true,
    };
    queue.emit(&subject, at, Fact::Started(start));
    for number in 1..=20 {
        let times = timeline::Turn {
            number,
            first_byte_out_us: Some(500_000),
            ..timeline::Turn::default()
        };
        let turn = Turn {
            times,
            speech_end_ms: None,
            generated_ms: 900,
            heard_ms: 900,
        };
        queue.emit(&subject, at, Fact::Turn(turn));
        let said = Utterance {
            number,
            speaker: Speaker::Caller,
            text: format!("words {number}"),
            heard: format!("words {number}"),
            language: None,
            starts_ms: None,
            ends_ms: 1_000,
            heard_ms: None,
            generated_ms: None,
            interrupted: false,
        };
        queue.emit(&subject, at, Fact::Utterance(said));
    }
    let stopped = Stopped {
        ending: Ending::Carrier,
        duration_ms: 1,
        frames: 1,
        lost: Lost::default(),
        malformed: 0,
        recording: None,
        usage: Quantities::default(),
        micros: 1_200,
        currency: "USD".to_owned(),
    };
    queue.emit(&subject, at, Fact::Stopped(stopped));
    let ready = Ready {
        tenant: subject.tenant,
        call: subject.call,
        at,
        recording: Recording {
            key: "recordings/t/c.rec".to_owned(),
            sha256: "00".repeat(32),
            bytes: 1,
            duration_ms: 1,
            retention: "standard".to_owned(),
            key_id: "2026-11".to_owned(),
            salvaged: false,
        },
    };
    let (announced, ()) = tokio::join!(
        async move {
            // The queue goes with this block, so that the outbox ends.
            let queue = queue;
            queue.announce(ready).await
        },
        outbox.run(Producer::new(&config).unwrap(), config.clone())
    );
    assert!(announced, "Kafka has it");

    let records = written(&config, &topics::MEDIA).await;
    let said = written(&config, &topics::TRANSCRIPTS).await;
    let names = [topics::MEDIA, topics::TRANSCRIPTS].map(|topic| config.topic(&topic));
    admin.delete(&[&*names[0], &*names[1]]).await.unwrap();
    let key = subject.call.0.to_string();
    assert!(records.iter().chain(&said).all(|(of, _)| of == key.as_bytes()));
    assert!(
        records
            .iter()
            .all(|(_, payload)| !String::from_utf8_lossy(payload).contains("words")),
        "no word that was said is on the topic of events"
    );
    let events: Vec<MediaEvent> = records
        .iter()
        .map(|(_, payload)| serde_json::from_slice(payload).unwrap())
        .collect();
    let kinds: Vec<EventType> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds.len(), 23);
    assert_eq!(
        (kinds[0], kinds[21], kinds[22]),
        (
            EventType::MediaStarted,
            EventType::MediaStopped,
            EventType::MediaRecordingReady
        )
    );
    let numbers: Vec<u32> = events
        .iter()
        .filter_map(|event| Some(event.data.turn.as_ref()?.number))
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let said: Vec<TranscriptEvent> = said
        .iter()
        .map(|(_, payload)| serde_json::from_slice(payload).unwrap())
        .collect();
    let numbers: Vec<u32> = said.iter().map(|event| event.data.number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert_eq!(said[4].data.text, "words 5");
}
