//! A topic prefix and a database of one test's own, on the real stack.
#![allow(dead_code)] // Each test program uses its own half of this.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use voice_analytics::{
    audit::{MediaAudit, total},
    processors::{media_events::MediaEvents, transcripts::Transcripts},
    sink::{Sink, SinkConfig},
};
use voice_clickhouse::ClickHouse;
use voice_kafka::{OutboundRecord, Producer, admin::Admin};
use voice_lifecycle::SystemClock;
use voice_schemas::{
    CallId, CampaignId, TenantId,
    events::call::{
        AgentKind, Amd, AnsweredBy, Bridge, CallEvent, CallFact, CallOutcome, CallRef, Carrier, Direction,
        Ending, Evidence, HangupBy, record_key,
    },
    topics::{self, Topic},
};
use voice_telemetry::Metrics;

/// What a test has to itself.
pub struct Scene {
    pub kafka: voice_kafka::Config,
    pub clickhouse: ClickHouse,
    pub producer: Producer,
    pub tenant: TenantId,
    topics: Vec<Topic>,
}

/// A topic of few partitions, so that a test makes it quickly.
const fn small(topic: Topic) -> Topic {
    Topic {
        partitions: 3,
        ..topic
    }
}

fn address(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: VOICE_STACK=test deploy/local/stack up, then eval its env (or: make test)")
    })
}

impl Scene {
    pub async fn new(name: &str) -> Self {
        Self::of(name, vec![topics::CALLS, topics::DEAD_LETTERS]).await
    }

    /// One that has media streams too.
    pub async fn with_media(name: &str) -> Self {
        let topics = [
            topics::CALLS,
            topics::MEDIA,
            topics::TRANSCRIPTS,
            topics::DEAD_LETTERS,
        ];
        Self::of(name, topics.map(small).to_vec()).await
    }

    async fn of(name: &str, topics: Vec<Topic>) -> Self {
        let unique = format!("{name}_{}", uuid::Uuid::now_v7().simple());
        let mut kafka = voice_kafka::Config {
            brokers: address("KAFKA_BROKERS"),
            prefix: format!("{unique}."),
            ..voice_kafka::Config::default()
        };
        kafka.consumer.drain_deadline_ms = 5_000;
        let clickhouse = ClickHouse::new(&voice_clickhouse::Config {
            url: address("CLICKHOUSE_URL"),
            database: unique,
            compress_inserts: false,
            ..voice_clickhouse::Config::default()
        });
        voice_clickhouse::migrate::apply(&clickhouse, |_| {})
            .await
            .unwrap();
        let admin = Admin::new(&kafka).unwrap();
        for topic in &topics {
            admin.apply(topic, 1).await.unwrap();
        }
        let producer = Producer::new(&kafka).unwrap();
        Self {
            kafka,
            clickhouse,
            producer,
            tenant: TenantId::random(),
            topics,
        }
    }

    /// Writes records to a topic, as they are.
    pub async fn write(&self, topic: &Topic, records: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let topic = self.kafka.topic(topic);
        let mut confirmations = Vec::new();
        for (key, payload) in records {
            let record = OutboundRecord {
                topic: topic.clone(),
                key: key.into_bytes(),
                payload,
                headers: Vec::new(),
            };
            confirmations.push(self.producer.enqueue(&record).unwrap());
        }
        for confirmation in confirmations {
            confirmation.await.unwrap();
        }
    }

    fn sink(&self, config: SinkConfig) -> Sink {
        Sink {
            config,
            kafka: self.kafka.clone(),
            clickhouse: self.clickhouse.clone(),
            producer: self.producer.clone(),
            clock: SystemClock::shared(),
            metrics: Metrics::empty(),
        }
    }

    pub async fn media_audit(&self) -> MediaAudit {
        let scope = voice_analytics::audit::Scope {
            tenant: None,
            silent_for_seconds: 0,
        };
        voice_analytics::audit::media(&self.kafka, &self.clickhouse, scope)
            .await
            .unwrap()
    }

    /// Runs the sinks of media streams and transcripts until they have committed everything, or for so long.
    pub async fn drain_media(&self, config: SinkConfig, at_most: Option<Duration>) {
        let stop = CancellationToken::new();
        let sink = self.sink(config);
        let mut media = tokio::spawn(sink.clone().run_feed::<MediaEvents>(stop.clone()));
        let mut transcripts = tokio::spawn(sink.run_feed::<Transcripts>(stop.clone()));
        let deadline = Instant::now() + at_most.unwrap_or(Duration::from_secs(60));
        loop {
            let audit = self.media_audit().await;
            if total(&audit.events).lag + total(&audit.transcripts).lag == 0 {
                break;
            }
            if Instant::now() >= deadline {
                assert!(at_most.is_some(), "not drained: {audit:?}");
                break;
            }
            tokio::select! {
                ended = &mut media => panic!("the sink of media streams ended: {ended:?}"),
                ended = &mut transcripts => panic!("the sink of transcripts ended: {ended:?}"),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        stop.cancel();
        media.await.unwrap().unwrap();
        transcripts.await.unwrap().unwrap();
    }

    pub async fn produce(&self, events: &[CallEvent]) {
        let topic = self.kafka.topic(&topics::CALLS);
        let mut confirmations = Vec::new();
        for event in events {
            let record = OutboundRecord {
                topic: topic.clone(),
                key: record_key(&event.data.call).into_bytes(),
                payload: serde_json::to_vec(event).unwrap(),
                headers: Vec::new(),
            };
            confirmations.push(self.producer.enqueue(&record).unwrap());
        }
        for confirmation in confirmations {
            confirmation.await.unwrap();
        }
    }

    /// Runs the sink until it has committed everything the topic holds, then stops it.
    pub async fn drain(&self, config: SinkConfig) {
        let stop = CancellationToken::new();
        let sink = self.sink(config);
        let mut running = tokio::spawn(sink.run(stop.clone()));
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let audit = self.audit().await;
            if audit.total().lag == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "not drained: {audit:?}");
            let ended = tokio::time::timeout(Duration::from_millis(100), &mut running).await;
            assert!(ended.is_err(), "the sink ended: {ended:?}");
        }
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    pub async fn audit(&self) -> voice_analytics::audit::Audit {
        let scope = voice_analytics::audit::Scope {
            tenant: None,
            silent_for_seconds: 0,
        };
        voice_analytics::audit::run(&self.kafka, &self.clickhouse, scope)
            .await
            .unwrap()
    }

    pub async fn number(&self, sql: &str) -> u64 {
        #[derive(voice_clickhouse::Row, serde::Deserialize)]
        struct Number {
            number: u64,
        }
        use voice_clickhouse::clickhouse;
        let sql = format!("SELECT assumeNotNull(toUInt64(number)) AS number FROM ({sql})");
        self.clickhouse
            .row::<Number>("test", &sql, |query| query)
            .await
            .unwrap()
            .number
    }

    pub async fn execute(&self, sql: &str) {
        self.clickhouse.execute("test", sql, |query| query).await.unwrap();
    }

    /// Takes away what the test made. A failed test leaves it for whoever looks.
    pub async fn clear(self) {
        self.execute(&format!("DROP DATABASE {}", self.clickhouse.database()))
            .await;
        let names: Vec<String> = self.topics.iter().map(|topic| self.kafka.topic(topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Admin::new(&self.kafka).unwrap().delete(&names).await.unwrap();
    }
}

/// A sink that writes often.
pub fn hasty() -> SinkConfig {
    SinkConfig {
        linger_ms: 100,
        ..SinkConfig::default()
    }
}

/// The events of a call that began at `start`: answered by a person, connected, hung up.
pub fn conversation(tenant: TenantId, number: u32, start: DateTime<Utc>) -> Vec<CallEvent> {
    let call = CallRef {
        call_id: CallId::derived(start, &[&number.to_be_bytes()]),
        direction: Direction::Outbound,
        carrier: Carrier::Telnyx,
        carrier_call_id: format!("v3:{number}"),
        campaign_id: Some(CampaignId::derived(
            DateTime::UNIX_EPOCH,
            &[&[u8::try_from(number % 5).unwrap()]],
        )),
        shard: Some(u16::try_from(number % 3).unwrap()),
        attempt_id: None,
        contact_id: None,
        queue_id: None,
        agent_id: None,
        phone_token: None,
    };
    let ending = Ending {
        outcome: CallOutcome::Completed,
        hangup_by: HangupBy::Callee,
        cause: "normal_clearing".to_owned(),
        sip_code: None,
        duration_ms: None,
        reconciled: false,
    };
    let amd = Amd {
        answered_by: AnsweredBy::Human,
        beep: false,
        detection_ms: None,
    };
    [
        (0, CallFact::Initiated),
        (8_000, CallFact::Answered),
        (8_900, CallFact::Amd(amd)),
        (
            9_100,
            CallFact::Bridged(Bridge {
                agent_kind: AgentKind::Human,
            }),
        ),
        (9_100 + i64::from(number % 100) * 1_000, CallFact::Ended(ending)),
    ]
    .into_iter()
    .map(|(ms, fact)| {
        let at = start + TimeDelta::milliseconds(ms);
        let evidence = Evidence {
            carrier_event: fact.event_type().as_str().to_owned(),
            dedupe_key: format!("{number}-{ms}"),
            sequence: None,
            received_at: at,
        };
        fact.into_event(tenant, "/ingest/telnyx", at, call.clone(), evidence)
    })
    .collect()
}

/// The time tests are set in: whole minutes ago, so that intervals are the same in every run.
pub fn an_hour_ago() -> DateTime<Utc> {
    let now = Utc::now().timestamp();
    DateTime::from_timestamp(now - now % 900 - 3_600, 0).unwrap()
}
