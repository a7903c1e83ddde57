//! Finds the end of calls whose carrier went silent, so that every call has its terminal event.
//!
//! A carrier may lose the webhook that says a call is over. After a silence the watchdog asks the carrier
//! where the call stands and, when it is over, writes the `call.ended` nobody else will. That event has
//! the id every terminal event of the call has, and says that it was reconciled: when the carrier's own
//! word arrives after all, it is the same event to every consumer and its content wins.

mod schedule;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use voice_clickhouse::{ClickHouse, ClickHouseError, Row, clickhouse};
use voice_kafka::{KafkaError, OutboundRecord, Producer};
use voice_lifecycle::SharedClock;
use voice_schemas::{
    CallId, TenantId,
    events::call::{CallFact, CallRef, Carrier, Direction, Ending, Evidence, record_key},
    topics,
};
use voice_telemetry::{Emit as _, Metrics};
use voice_telephony::CarrierClient;

pub use self::schedule::{Schedule, WatchdogConfig};
use crate::events::{Asked, Finding, RoundFailed};

/// What the watchdog's events call their source.
const SOURCE: &str = "/analytics/watchdog";
/// Calls asked about in one round; the rest wait for the next.
const CALLS_PER_ROUND: u32 = 2_000;
const QUESTIONS_AT_ONCE: usize = 16;

/// Finds the client that can ask about a tenant's calls.
pub trait Carriers: Send + Sync + 'static {
    /// The client of the tenant's account at the carrier, where it has one.
    fn client(&self, tenant: TenantId, carrier: Carrier) -> Option<Arc<dyn CarrierClient>>;
}

/// Watches over calls without an end.
pub struct Watchdog {
    /// When to ask.
    pub config: WatchdogConfig,
    /// Where the calls stand.
    pub clickhouse: ClickHouse,
    /// Whom to ask.
    pub carriers: Arc<dyn Carriers>,
    /// Where ends are written.
    pub producer: Producer,
    /// The names of topics.
    pub kafka: voice_kafka::Config,
    /// The time.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Metrics,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("an event could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A call without an end, as the table has it.
#[derive(Row, Deserialize)]
struct Open {
    #[serde(with = "voice_clickhouse::uuid")]
    tenant_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    call_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    campaign_id: Uuid,
    shard: u16,
    #[serde(with = "voice_clickhouse::uuid")]
    attempt_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    contact_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    queue_id: Uuid,
    #[serde(with = "voice_clickhouse::uuid")]
    agent_id: Uuid,
    direction: String,
    carrier: String,
    carrier_call_id: String,
    answered: bool,
    heard_ms: i64,
    last_us: i64,
}

type Answer = (Open, Option<(DateTime<Utc>, Ending)>, Finding);

impl Watchdog {
    /// Runs round after round until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut schedule = Schedule::new(self.config.clone());
        let mut ticks = tokio::time::interval(Duration::from_millis(self.config.interval_ms));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.round(&mut schedule).await {
                RoundFailed {
                    part: "watchdog",
                    error: &error,
                }
                .log();
            }
        }
    }

    async fn round(&self, schedule: &mut Schedule) -> Result<(), RoundError> {
        let now = self.clock.now();
        let silent_since = now - TimeDelta::milliseconds(self.config.shortest_silence_ms());
        let open: Vec<Open> = self
            .clickhouse
            .rows("looking for silent calls", include_str!("silent.sql"), |query| {
                query
                    .param("since", silent_since.timestamp_millis())
                    .param("limit", CALLS_PER_ROUND)
            })
            .await?;
        schedule.forget_all_but(open.iter().map(|call| CallId(call.call_id)));
        let due: Vec<Open> = open
            .into_iter()
            .filter(|call| {
                let heard = DateTime::from_timestamp_millis(call.heard_ms).unwrap_or_default();
                schedule.is_due(CallId(call.call_id), call.answered, heard, now)
            })
            .collect();
        let mut questions = tokio::task::JoinSet::new();
        let mut due = due.into_iter();
        let mut answers: Vec<Answer> = Vec::new();
        loop {
            while questions.len() < QUESTIONS_AT_ONCE
                && let Some(call) = due.next()
            {
                questions.spawn(ask(Arc::clone(&self.carriers), call));
            }
            match questions.join_next().await {
                Some(Ok(answer)) => answers.push(answer),
                Some(Err(panicked)) => {
                    tracing::warn!(error = %panicked, "a question to a carrier was cut off")
                }
                None => break,
            }
        }
        self.report(answers, schedule, now).await
    }

    async fn report(
        &self,
        answers: Vec<Answer>,
        schedule: &mut Schedule,
        now: DateTime<Utc>,
    ) -> Result<(), RoundError> {
        let topic = self.kafka.topic(&topics::CALLS);
        let mut confirmations = Vec::new();
        for (call, end, finding) in answers {
            let id = CallId(call.call_id);
            schedule.asked(id, now);
            Asked { call: id, finding }.emit(&self.metrics);
            let Some((at, ending)) = end else { continue };
            let Some((tenant, reference)) = reference(&call) else {
                continue;
            };
            let evidence = Evidence {
                carrier_event: "lookup".to_owned(),
                dedupe_key: "watchdog".to_owned(),
                sequence: None,
                received_at: now,
            };
            let key = record_key(&reference);
            let event = CallFact::Ended(ending).into_event(tenant, SOURCE, at, reference, evidence);
            let record = OutboundRecord {
                topic: topic.clone(),
                key: key.into_bytes(),
                payload: serde_json::to_vec(&event)?,
                headers: Vec::new(),
            };
            confirmations.push(self.producer.enqueue(&record)?);
        }
        for confirmation in confirmations {
            confirmation.await?;
        }
        Ok(())
    }
}

fn ask(carriers: Arc<dyn Carriers>, call: Open) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move {
        let client = Carrier::parse(&call.carrier)
            .and_then(|carrier| carriers.client(TenantId(call.tenant_id), carrier));
        let Some(client) = client else {
            return (call, None, Finding::NoAnswer);
        };
        match client.lookup(&call.carrier_call_id).await {
            Ok(found) => match found.ending {
                Some(ending) => {
                    let last = DateTime::from_timestamp_micros(call.last_us).unwrap_or_default();
                    let at = found.ended_at.unwrap_or(last).max(last);
                    (
                        call,
                        Some((
                            at,
                            Ending {
                                reconciled: true,
                                ..ending
                            },
                        )),
                        Finding::Ended,
                    )
                }
                None => (call, None, Finding::Alive),
            },
            Err(error) => {
                tracing::warn!(carrier = call.carrier, error = %error, "the carrier did not answer the watchdog");
                (call, None, Finding::NoAnswer)
            }
        }
    })
}

fn reference(call: &Open) -> Option<(TenantId, CallRef)> {
    fn some<T: From<Uuid>>(id: Uuid) -> Option<T> {
        (!id.is_nil()).then(|| id.into())
    }
    let campaign_id = some(call.campaign_id);
    let reference = CallRef {
        call_id: CallId(call.call_id),
        direction: Direction::parse(&call.direction)?,
        carrier: Carrier::parse(&call.carrier)?,
        carrier_call_id: call.carrier_call_id.clone(),
        campaign_id,
        shard: campaign_id.map(|_| call.shard),
        attempt_id: some(call.attempt_id),
        contact_id: some(call.contact_id),
        queue_id: some(call.queue_id),
        agent_id: some(call.agent_id),
        phone_token: None,
    };
    Some((TenantId(call.tenant_id), reference))
}

/// Clients by tenant and carrier, for whoever has them all at hand.
#[derive(Default)]
pub struct CarrierMap(pub HashMap<(TenantId, Carrier), Arc<dyn CarrierClient>>);

impl Carriers for CarrierMap {
    fn client(&self, tenant: TenantId, carrier: Carrier) -> Option<Arc<dyn CarrierClient>> {
        self.0.get(&(tenant, carrier)).cloned()
    }
}
