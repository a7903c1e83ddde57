//! Call events as the platform writes them, made faster than any sink can take them.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::ProgressBar;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use voice_kafka::{KafkaError, OutboundRecord, Producer};
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, QueueId, TenantId,
    events::call::{
        AgentKind, Amd, AnsweredBy, Bridge, CallEvent, CallFact, CallOutcome, CallRef, Carrier, Direction,
        Ending, Evidence, HangupBy, record_key,
    },
    topics,
};

/// Unconfirmed records at a time.
const UNCONFIRMED: usize = 50_000;
const CAMPAIGNS: usize = 40;
const SHARDS: u16 = 8;

/// Appends `count` events to `calls.events` of this deployment; `bar` follows.
pub async fn fill(
    kafka: &voice_kafka::Config,
    count: u64,
    now: DateTime<Utc>,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut kafka = kafka.clone();
    kafka.producer.linger_ms = 50;
    kafka.producer.queue_kilobytes = 512 * 1024;
    kafka.producer.delivery_timeout_ms = 60_000;
    let producer = Producer::new(&kafka)?;
    let topic = kafka.topic(&topics::CALLS);
    let mut unconfirmed = VecDeque::with_capacity(UNCONFIRMED);
    for (sent, event) in (0..count).zip(Calls::new(now).flatten()) {
        if unconfirmed.len() == UNCONFIRMED
            && let Some(oldest) = unconfirmed.pop_front()
        {
            confirmed(oldest).await?;
        }
        let record = OutboundRecord {
            topic: topic.clone(),
            key: record_key(&event.data.call).into_bytes(),
            payload: serde_json::to_vec(&event)?,
            headers: Vec::new(),
        };
        unconfirmed.push_back(producer.enqueue(&record)?);
        if sent % 1_024 == 0 {
            bar.set_position(sent);
            tokio::task::yield_now().await;
        }
    }
    for one in unconfirmed {
        confirmed(one).await?;
    }
    bar.set_position(count);
    Ok(())
}

async fn confirmed(
    delivery: impl Future<Output = Result<voice_kafka::Delivery, KafkaError>>,
) -> Result<(), KafkaError> {
    delivery.await.map(drop)
}

/// Calls without end, each as its events. Four of five are outbound; of these six in ten are answered.
struct Calls {
    rng: ChaCha8Rng,
    now: DateTime<Utc>,
    tenants: Vec<TenantId>,
    campaigns: Vec<CampaignId>,
    number: u64,
}

impl Calls {
    fn new(now: DateTime<Utc>) -> Self {
        let tenant = |number: usize| TenantId::derived(now, &[b"tenant", &number.to_be_bytes()]);
        let campaign = |number: usize| CampaignId::derived(now, &[b"campaign", &number.to_be_bytes()]);
        Self {
            rng: ChaCha8Rng::seed_from_u64(7),
            now,
            tenants: (0..4).map(tenant).collect(),
            campaigns: (0..CAMPAIGNS).map(campaign).collect(),
            number: 0,
        }
    }

    fn call(&mut self, began: DateTime<Utc>) -> (TenantId, CallRef) {
        let seed = self.number.to_be_bytes();
        let outbound = self.rng.random_bool(0.8);
        let telnyx = self.rng.random_bool(0.5);
        let campaign = self.rng.random_range(0..CAMPAIGNS);
        let call = CallRef {
            call_id: CallId::derived(began, &[b"call", &seed]),
            direction: if outbound {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            carrier: if telnyx { Carrier::Telnyx } else { Carrier::Twilio },
            carrier_call_id: if telnyx {
                format!(
                    "v3:{:032x}AgY08M0WWZFISt1Yw2axZ_{:016x}",
                    self.rng.random::<u128>(),
                    self.number
                )
            } else {
                format!("CA{:032x}", self.rng.random::<u128>())
            },
            campaign_id: outbound.then(|| self.campaigns[campaign]),
            shard: outbound.then(|| self.rng.random_range(0..SHARDS)),
            attempt_id: outbound.then(|| AttemptId::derived(began, &[b"attempt", &seed])),
            contact_id: Some(ContactId::derived(began, &[b"contact", &seed])),
            queue_id: (!outbound).then(|| QueueId::derived(self.now, &[b"queue", &[seed[7] & 7]])),
            agent_id: None,
            phone_token: Some(format!("{:032x}", self.rng.random::<u128>())),
        };
        (self.tenants[campaign % self.tenants.len()], call)
    }

    fn facts(&mut self, outbound: bool) -> Vec<CallFact> {
        let mut facts = vec![CallFact::Initiated, CallFact::Ringing];
        let ending = |outcome, hangup_by, cause: &str, sip_code, duration_ms| {
            CallFact::Ended(Ending {
                outcome,
                hangup_by,
                cause: cause.to_owned(),
                sip_code,
                duration_ms,
                reconciled: false,
            })
        };
        if outbound && self.rng.random_bool(0.4) {
            facts.push(if self.rng.random_bool(0.2) {
                ending(CallOutcome::Busy, HangupBy::Callee, "user_busy", Some(486), None)
            } else {
                ending(
                    CallOutcome::NoAnswer,
                    HangupBy::System,
                    "timeout",
                    Some(480),
                    None,
                )
            });
            return facts;
        }
        facts.push(CallFact::Answered);
        let machine = outbound && self.rng.random_bool(0.3);
        if outbound {
            let answered_by = if machine {
                AnsweredBy::Machine
            } else {
                AnsweredBy::Human
            };
            facts.push(CallFact::Amd(Amd {
                answered_by,
                beep: machine,
                detection_ms: Some(2_900),
            }));
        }
        if !machine {
            let agent_kind = if self.rng.random_bool(0.7) {
                AgentKind::Ai
            } else {
                AgentKind::Human
            };
            facts.push(CallFact::Bridged(Bridge { agent_kind }));
        }
        let talked = self.rng.random_range(4_000..300_000);
        facts.push(ending(
            CallOutcome::Completed,
            HangupBy::Caller,
            "normal_clearing",
            None,
            Some(talked),
        ));
        facts
    }
}

impl Iterator for Calls {
    type Item = std::vec::IntoIter<CallEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.number += 1;
        let began = self.now - TimeDelta::milliseconds(self.rng.random_range(0..3_600_000));
        let (tenant, mut call) = self.call(began);
        let source = format!("/ingest/{}", call.carrier.as_str());
        let facts = self.facts(call.direction == Direction::Outbound);
        let mut at = began;
        let mut events = Vec::with_capacity(facts.len());
        for (position, fact) in (0_u32..).zip(facts) {
            at += TimeDelta::microseconds(self.rng.random_range(200_000..9_000_000));
            if matches!(fact, CallFact::Bridged(_)) {
                call.agent_id = Some(AgentId::derived(
                    self.now,
                    &[b"agent", &[self.number.to_be_bytes()[7]]],
                ));
            }
            let evidence = Evidence {
                carrier_event: fact.event_type().as_str().to_owned(),
                dedupe_key: format!("{:032x}", self.rng.random::<u128>()),
                sequence: Some(position),
                received_at: at + TimeDelta::microseconds(self.rng.random_range(20_000..200_000)),
            };
            events.push(fact.into_event(tenant, &source, at, call.clone(), evidence));
        }
        Some(events.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_as_large_as_the_platforms_and_every_call_has_one_end() {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        let calls: Vec<Vec<CallEvent>> = Calls::new(now).take(1_000).map(Iterator::collect).collect();
        for call in &calls {
            let ends = call.iter().filter(|event| event.data.ending.is_some()).count();
            assert_eq!(ends, 1);
            assert!(
                call.iter()
                    .all(|event| event.data.call.call_id == call[0].data.call.call_id)
            );
        }
        let sizes: Vec<_> = calls
            .iter()
            .flatten()
            .map(|event| serde_json::to_vec(event).unwrap().len())
            .collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((850..1_100).contains(&mean), "{mean} bytes");
    }
}
