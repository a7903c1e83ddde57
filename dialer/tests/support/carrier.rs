//! A carrier that answers at once and tells the rest on `calls.events`, as ingest would after its webhooks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use voice_kafka::{OutboundRecord, Producer};
use voice_schemas::{
    AttemptId, TenantId,
    events::call::{
        AgentKind, Bridge, CallFact, CallOutcome, CallRef, Carrier, Ending, Evidence, HangupBy, record_key,
    },
    topics,
};
use voice_telephony::{
    Answered, CallSnapshot, CallState, CarrierClient, CarrierError, CarrierFuture, ContextKeys, Instruction,
    OriginateRequest, Originated, SealedContext,
};

use super::now;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A person answers, and talks once they are connected.
    Person,
    /// Rings until the time-out.
    NoAnswer,
    /// Engaged.
    Busy,
    /// Rings for ever: nothing is told after it began.
    Silent,
    /// The carrier does not answer the request, and has dialled: the person is engaged.
    Unanswered,
    /// The carrier does not answer the request, and has not dialled.
    Lost,
    /// The carrier takes no more for now.
    Throttled,
}

#[derive(Debug)]
struct Live {
    tenant: TenantId,
    call: CallRef,
    ended: bool,
    /// The audio goes to an AI agent as soon as it is answered.
    streams: bool,
}

#[derive(Debug)]
pub(crate) struct FakeCarrier {
    carrier: Carrier,
    producer: Producer2,
    kafka: voice_kafka::Config,
    context: Arc<ContextKeys>,
    state: Mutex<State>,
    /// A call goes on after the request for it was answered.
    me: Weak<Self>,
}

/// The producer has no `Debug` form.
struct Producer2(Producer);

impl std::fmt::Debug for Producer2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

#[derive(Debug)]
struct State {
    fates: HashMap<String, Fate>,
    everybody: Fate,
    dialled: Vec<AttemptId>,
    calls: HashMap<String, Live>,
    ring: Duration,
}

impl FakeCarrier {
    pub(crate) fn new(
        carrier: Carrier,
        producer: Producer,
        kafka: voice_kafka::Config,
        context: Arc<ContextKeys>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            carrier,
            producer: Producer2(producer),
            kafka,
            context,
            state: Mutex::new(State {
                fates: HashMap::new(),
                everybody: Fate::Busy,
                dialled: Vec::new(),
                calls: HashMap::new(),
                ring: Duration::from_millis(30),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn everybody(&self, fate: Fate) {
        self.state().everybody = fate;
    }

    /// What becomes of calls to the number.
    pub(crate) fn fate(&self, number: &str, fate: Fate) {
        self.state().fates.insert(number.to_owned(), fate);
    }

    pub(crate) fn ring(&self, ring: Duration) {
        self.state().ring = ring;
    }

    /// Calls that have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.state().calls.values().filter(|live| !live.ended).count()
    }

    pub(crate) fn dialled(&self) -> Vec<AttemptId> {
        self.state().dialled.clone()
    }

    async fn tell(&self, call: &CallRef, fact: CallFact) {
        let kind = fact.event_type();
        let evidence = Evidence {
            carrier_event: kind.as_str().to_owned(),
            dedupe_key: format!("{}-{kind}", call.carrier_call_id),
            sequence: None,
            received_at: now(),
        };
        let tenant = self.state().calls[&call.carrier_call_id].tenant;
        let event = fact.into_event(tenant, "/ingest/test", now(), call.clone(), evidence);
        let record = OutboundRecord {
            topic: self.kafka.topic(&topics::CALLS),
            key: record_key(call).into_bytes(),
            payload: serde_json::to_vec(&event).unwrap(),
            headers: Vec::new(),
        };
        // Every fifth is told twice, as carriers do.
        for _ in 0..=usize::from(fastrand::u8(..) < 51) {
            self.producer.0.send(&record).await.unwrap();
        }
    }

    async fn end(&self, id: &str, outcome: CallOutcome) {
        let call = {
            let mut state = self.state();
            let Some(live) = state.calls.get_mut(id) else {
                return;
            };
            if std::mem::replace(&mut live.ended, true) {
                return;
            }
            live.call.clone()
        };
        let ending = Ending {
            outcome,
            hangup_by: HangupBy::Callee,
            cause: "test".to_owned(),
            sip_code: None,
            duration_ms: None,
            reconciled: false,
        };
        self.tell(&call, CallFact::Ended(ending)).await;
    }

    async fn live_out(self: Arc<Self>, id: String, fate: Fate) {
        let (call, ring) = {
            let state = self.state();
            (state.calls[&id].call.clone(), state.ring)
        };
        self.tell(&call, CallFact::Initiated).await;
        tokio::time::sleep(ring).await;
        match fate {
            Fate::Person => {
                self.tell(&call, CallFact::Answered).await;
                if self.state().calls[&id].streams {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    self.end(&id, CallOutcome::Completed).await;
                }
            }
            Fate::NoAnswer => self.end(&id, CallOutcome::NoAnswer).await,
            Fate::Busy | Fate::Unanswered => self.end(&id, CallOutcome::Busy).await,
            Fate::Silent | Fate::Lost | Fate::Throttled => {}
        }
    }

    fn place(&self, request: &OriginateRequest) -> Result<(String, Fate), CarrierError> {
        let context = self.context.open_query(&request.context.as_query()).unwrap();
        let mut state = self.state();
        let fate = *state.fates.get(request.to.expose()).unwrap_or(&state.everybody);
        if fate == Fate::Throttled {
            return Err(CarrierError::Throttled {
                retry_after: Some(Duration::from_millis(300)),
            });
        }
        state.dialled.push(request.attempt);
        let id = format!("x{:032x}", fastrand::u128(..));
        let (campaign, shard) = context.campaign.unwrap();
        let call = CallRef {
            call_id: context.call_id,
            direction: context.direction,
            carrier: self.carrier,
            carrier_call_id: id.clone(),
            campaign_id: Some(campaign),
            shard: Some(shard),
            attempt_id: context.attempt,
            contact_id: context.contact,
            queue_id: None,
            agent_id: context.agent,
            phone_token: context.phone_token,
        };
        state.calls.insert(
            id.clone(),
            Live {
                tenant: context.tenant,
                call,
                ended: false,
                streams: matches!(request.on_answer.first(), Some(Instruction::ConnectStream(_))),
            },
        );
        Ok((id, fate))
    }
}

impl CarrierClient for FakeCarrier {
    fn carrier(&self) -> Carrier {
        self.carrier
    }

    fn originate<'a>(&'a self, request: &'a OriginateRequest) -> CarrierFuture<'a, Originated> {
        Box::pin(async move {
            let (id, fate) = self.place(request)?;
            if fate != Fate::Lost
                && let Some(me) = self.me.upgrade()
            {
                tokio::spawn(me.live_out(id.clone(), fate));
            }
            match fate {
                Fate::Unanswered | Fate::Lost => Err(CarrierError::Unknown {
                    reason: "timeout".to_owned(),
                }),
                _ => Ok(Originated {
                    carrier_call_id: id,
                    queue_time_ms: 0,
                }),
            }
        })
    }

    fn hangup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, ()> {
        Box::pin(async move {
            self.end(carrier_call_id, CallOutcome::Canceled).await;
            Ok(())
        })
    }

    fn lookup<'a>(&'a self, carrier_call_id: &'a str) -> CarrierFuture<'a, CallSnapshot> {
        Box::pin(async move {
            let known = self.state().calls.contains_key(carrier_call_id);
            let ending = Ending {
                outcome: CallOutcome::NoAnswer,
                hangup_by: HangupBy::Unknown,
                cause: if known { "no-answer" } else { "not_found" }.to_owned(),
                sip_code: None,
                duration_ms: None,
                reconciled: true,
            };
            Ok(CallSnapshot {
                state: CallState::Ended,
                ending: Some(ending),
                answered_by: None,
                started_at: None,
                ended_at: Some(now()),
            })
        })
    }

    fn answer<'a>(
        &'a self,
        carrier_call_id: &'a str,
        instructions: &'a [Instruction],
    ) -> CarrierFuture<'a, Answered> {
        Box::pin(async move {
            let call = self
                .state()
                .calls
                .get(carrier_call_id)
                .map(|live| live.call.clone());
            let call = call.ok_or(CarrierError::NotFound)?;
            match instructions.first() {
                Some(Instruction::Conference(_)) => {
                    let bridge = Bridge {
                        agent_kind: AgentKind::Human,
                    };
                    self.tell(&call, CallFact::Bridged(bridge)).await;
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    self.end(carrier_call_id, CallOutcome::Completed).await;
                }
                _ => self.end(carrier_call_id, CallOutcome::Completed).await,
            }
            Ok(Answered::default())
        })
    }

    fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
