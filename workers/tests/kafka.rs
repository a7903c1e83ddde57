//! Facts on a real broker.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use chrono::DateTime;
use voice_kafka::{Config, Producer, admin::Admin, record};
use voice_providers::{Provider, Quantities};
use voice_schemas::{
    AgentId, CallId, EventType, TenantId,
    events::{call::Carrier, media::MediaEvent},
    topics::{self, Topic},
};
use voice_telemetry::Metrics;
use voice_telephony::media::Lost;
use voice_turns::timeline::Turn;
use voice_workers::{
    Ending,
    facts::{Fact, Sink as _, Stopped, Subject},
    outbox::queue,
};

#[tokio::test]
async fn the_facts_of_a_call_are_on_their_topic_in_order_and_under_its_key() {
    let brokers = std::env::var("KAFKA_BROKERS").expect(
        "KAFKA_BROKERS is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\"",
    );
    let config = Config {
        brokers,
        prefix: format!("media-{}.", uuid::Uuid::now_v7().simple()),
        ..Config::default()
    };
    let admin = Admin::new(&config).unwrap();
    let one = Topic {
        partitions: 1,
        ..topics::MEDIA
    };
    admin.apply(&one, 1).await.unwrap();

    let subject = Subject {
        tenant: TenantId::random(),
        call: CallId::random(),
        agent: Some(AgentId::random()),
        carrier: Carrier::Twilio,
        provider: Provider::OpenaiRealtime,
    };
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (queue, outbox) = queue(100, Metrics::empty());
    queue.emit(&subject, at, Fact::Started);
    for number in 1..=20 {
        let turn = Turn {
            number,
            first_byte_out_us: Some(500_000),
            ..Turn::default()
        };
        queue.emit(&subject, at, Fact::Turn(turn));
    }
    let stopped = Stopped {
        ending: Ending::Carrier,
        duration_ms: 1,
        frames: 1,
        lost: Lost::default(),
        malformed: 0,
        recording: None,
        usage: Quantities::default(),
    };
    queue.emit(&subject, at, Fact::Stopped(stopped));
    drop(queue);
    outbox.run(Producer::new(&config).unwrap(), config.clone()).await;

    let topic = config.topic(&topics::MEDIA);
    let reader = config.clone();
    let written = tokio::task::spawn_blocking(move || {
        let mark = admin.watermarks(&topic).unwrap()[&0];
        (0..mark.high)
            .map(|offset| record::read(&reader, &topic, 0, offset).unwrap().unwrap())
            .collect::<Vec<_>>()
    })
    .await
    .unwrap();
    let admin = Admin::new(&config).unwrap();
    admin.delete(&[&*config.topic(&topics::MEDIA)]).await.unwrap();
    assert!(
        written
            .iter()
            .all(|(key, _)| key == subject.call.0.to_string().as_bytes())
    );
    let events: Vec<MediaEvent> = written
        .iter()
        .map(|(_, payload)| serde_json::from_slice(payload).unwrap())
        .collect();
    let kinds: Vec<EventType> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds.len(), 22);
    assert_eq!(
        (kinds[0], kinds[21]),
        (EventType::MediaStarted, EventType::MediaStopped)
    );
    let numbers: Vec<u32> = events
        .iter()
        .filter_map(|event| Some(event.data.turn.as_ref()?.number))
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}
