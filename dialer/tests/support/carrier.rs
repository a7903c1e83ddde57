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
        AgentKind, AgentLeg, Amd, AnsweredBy, Bridge, CallFact, CallOutcome, CallRef, Carrier, Dtmf, Ending,
        Evidence, HangupBy, record_key,
    },
    topics,
};
use voice_telephony::{
    Answered, CallSnapshot, CallState, CarrierClient, CarrierError, CarrierFuture, ContextKeys, Gather,
    Instruction, OriginateRequest, Originated, SealedContext,
};

use super::now;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A person answers, and talks once they are connected.
    Person,
    /// A person answers, and presses this key when they are asked to.
    Presses(char),
    /// A person answers and hangs up at once; that they answered is told when [`FakeCarrier::tell_answers`] says so.
    Overtaken,
    /// A person answers and stays on the line, whoever talks to them.
    Stays,
    /// The same, and hangs up when they are to be put through to somebody.
    Leaves,
    /// A machine answers; its beep comes after its greeting.
    Machine,
    /// An agent's telephone: they pick up and stay.
    Agent,
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
    /// It is a call to an agent.
    leg: bool,
    fate: Fate,
    /// When it was answered.
    answered: Option<tokio::time::Instant>,
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
    talk: Duration,
    /// What calls were told, and how long after the answer.
    told: Vec<(String, &'static str, Duration)>,
    /// How often an agent was called.
    summoned: usize,
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
                talk: Duration::from_millis(60),
                told: Vec::new(),
                summoned: 0,
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

    /// How long people talk.
    pub(crate) fn talk(&self, talk: Duration) {
        self.state().talk = talk;
    }

    /// Calls that have not ended.
    pub(crate) fn alive(&self) -> usize {
        self.state().calls.values().filter(|live| !live.ended).count()
    }

    /// What calls were told first, and how long after they were answered.
    pub(crate) fn told(&self) -> Vec<(String, &'static str, Duration)> {
        self.state().told.clone()
    }

    /// How often agents were called.
    pub(crate) fn summoned(&self) -> usize {
        self.state().summoned
    }

    /// The telephone of every agent drops.
    pub(crate) async fn drop_agents(&self) {
        let legs: Vec<String> = self
            .state()
            .calls
            .iter()
            .filter(|(_, live)| live.leg && !live.ended)
            .map(|(id, _)| id.clone())
            .collect();
        for id in legs {
            self.end(&id, CallOutcome::Completed).await;
        }
    }

    /// Tells of every call that ended that it had been answered.
    pub(crate) async fn tell_answers(&self) {
        let calls: Vec<CallRef> = self
            .state()
            .calls
            .values()
            .filter(|live| live.ended)
            .map(|live| live.call.clone())
            .collect();
        for call in calls {
            self.tell(&call, CallFact::Answered).await;
        }
    }

    pub(crate) fn dialled(&self) -> Vec<AttemptId> {
        self.state().dialled.clone()
    }

    async fn tell(&self, call: &CallRef, fact: CallFact) {
        let leg = self.state().calls[&call.carrier_call_id].leg;
        let fact = match fact {
            CallFact::Initiated if leg => CallFact::AgentLeg(AgentLeg::Initiated),
            CallFact::Answered if leg => CallFact::AgentLeg(AgentLeg::Answered),
            CallFact::Bridged(_) if leg => CallFact::AgentLeg(AgentLeg::Joined),
            CallFact::Ended(ending) if leg => CallFact::AgentLeg(AgentLeg::Ended(ending)),
            fact => fact,
        };
        let kind = fact.event_type();
        let evidence = Evidence {
            carrier_event: kind.as_str().to_owned(),
            dedupe_key: match &fact {
                CallFact::Amd(verdict) => format!("{}-{kind}-{}", call.carrier_call_id, verdict.beep),
                CallFact::Dtmf(key) => format!("{}-{kind}-{}", call.carrier_call_id, key.digits),
                _ => format!("{}-{kind}", call.carrier_call_id),
            },
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
            Fate::Machine => {
                self.answered(&id);
                self.tell(&call, CallFact::Answered).await;
                for beep in [false, true] {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let verdict = Amd {
                        answered_by: AnsweredBy::Machine,
                        beep,
                        detection_ms: None,
                    };
                    self.tell(&call, CallFact::Amd(verdict)).await;
                }
            }
            Fate::Agent => {
                self.answered(&id);
                self.tell(&call, CallFact::Answered).await;
                // Twilio was told with the call where the agent goes.
                if self.carrier == Carrier::Twilio {
                    self.tell(&call, BRIDGED).await;
                }
            }
            Fate::Person | Fate::Presses(_) => {
                self.answered(&id);
                self.tell(&call, CallFact::Answered).await;
                if self.state().calls[&id].streams {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    self.end(&id, CallOutcome::Completed).await;
                }
            }
            Fate::Stays | Fate::Leaves => {
                self.answered(&id);
                self.tell(&call, CallFact::Answered).await;
            }
            Fate::Overtaken => self.end(&id, CallOutcome::Completed).await,
            Fate::NoAnswer => self.end(&id, CallOutcome::NoAnswer).await,
            Fate::Busy | Fate::Unanswered => self.end(&id, CallOutcome::Busy).await,
            Fate::Silent | Fate::Lost | Fate::Throttled => {}
        }
    }

    fn answered(&self, id: &str) {
        if let Some(live) = self.state().calls.get_mut(id) {
            live.answered = Some(tokio::time::Instant::now());
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
        if context.agent_leg {
            state.summoned += 1;
        } else {
            state.dialled.push(request.attempt);
        }
        let id = format!("x{:032x}", fastrand::u128(..));
        let (campaign, shard) = context.campaign.unzip();
        let call = CallRef {
            call_id: context.call_id,
            direction: context.direction,
            carrier: self.carrier,
            carrier_call_id: id.clone(),
            campaign_id: campaign,
            shard,
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
                leg: context.agent_leg,
                fate,
                answered: None,
            },
        );
        Ok((id, fate))
    }
}

const BRIDGED: CallFact = CallFact::Bridged(Bridge {
    agent_kind: AgentKind::Human,
});

impl FakeCarrier {
    /// Plays the message; the key that counts is the one the context names, as ingest reports it.
    async fn ask_for_a_key(&self, call: &CallRef, fate: Fate, gather: &Gather) {
        let sealed = gather.context.as_ref().expect("a gather says whose it is");
        let context = self.context.open_query(&sealed.as_query()).unwrap();
        let key = context.opt_out_key.expect("a gather names the key");
        tokio::time::sleep(Duration::from_millis(40)).await;
        let digits = match fate {
            Fate::Presses(pressed) if pressed == key => pressed.to_string(),
            _ => String::new(),
        };
        let pressed = !digits.is_empty();
        if pressed || self.carrier == Carrier::Telnyx {
            self.tell(call, CallFact::Dtmf(Dtmf { digits })).await;
        }
        // Twilio goes on in the document when no key was pressed; Telnyx waits to be told.
        if !pressed && self.carrier == Carrier::Twilio {
            self.end(&call.carrier_call_id, CallOutcome::Completed).await;
        }
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
            let (call, fate, talk) = {
                let mut state = self.state();
                let talk = state.talk;
                let live = state.calls.get(carrier_call_id).ok_or(CarrierError::NotFound)?;
                let (call, fate) = (live.call.clone(), live.fate);
                let after = live.answered.map_or(Duration::ZERO, |at| at.elapsed());
                let name = instructions.first().map_or("none", Instruction::name);
                state.told.push((carrier_call_id.to_owned(), name, after));
                (call, fate, talk)
            };
            match instructions.first() {
                Some(Instruction::Conference(_)) if fate == Fate::Agent => self.tell(&call, BRIDGED).await,
                Some(Instruction::Conference(_)) if fate == Fate::Leaves => {
                    self.end(carrier_call_id, CallOutcome::Completed).await;
                    return Err(CarrierError::NotFound);
                }
                Some(Instruction::Prompt(_)) if fate == Fate::Agent => {}
                // The order is answered at once; they talk afterwards.
                Some(Instruction::Conference(_)) if fate == Fate::Stays => {
                    self.tell(&call, BRIDGED).await;
                    if let Some(me) = self.me.upgrade() {
                        tokio::spawn(async move {
                            tokio::time::sleep(talk).await;
                            me.end(&call.carrier_call_id, CallOutcome::Completed).await;
                        });
                    }
                }
                Some(Instruction::Conference(_)) => {
                    self.tell(&call, BRIDGED).await;
                    tokio::time::sleep(talk).await;
                    self.end(carrier_call_id, CallOutcome::Completed).await;
                }
                Some(Instruction::ConnectStream(_)) => {
                    tokio::time::sleep(talk).await;
                    self.end(carrier_call_id, CallOutcome::Completed).await;
                }
                Some(Instruction::Gather(gather)) => self.ask_for_a_key(&call, fate, gather).await,
                _ => self.end(carrier_call_id, CallOutcome::Completed).await,
            }
            Ok(Answered::default())
        })
    }

    fn pick_up<'a>(&'a self, _: &'a str, _: &'a SealedContext) -> CarrierFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
