//! What a call is told: commands to carriers, beside the loop, which must not wait for one.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::{
    events::call::{AgentKind, CallFact, CallRef, Carrier, Direction, Ending, Evidence},
    topics,
};
use voice_telephony::{
    CallContext, Conference, ConnectStream, Gather, HookUrls, Instruction, Prompt, SealedContext,
    media::{Dialled, Duties, StreamPurpose},
};

use super::{
    shard::Held,
    worker::{Deps, ShardKey},
};
use crate::{
    attempts::Line as Attempt,
    campaigns::{Campaign, SOURCE},
    events::{CommandRefused, Postponed},
    shards,
};

/// A call that hears a message is hung up after this, whatever becomes of the message.
pub(super) const LONGEST_MESSAGE: TimeDelta = TimeDelta::seconds(120);
/// A carrier that is told to stream does so within seconds.
const STREAM_OPENS_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// How long a person has to press the key after a message.
const KEY_SECONDS: u16 = 4;

/// What to tell a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// Go into the room of the line's agent.
    Person,
    /// Talk to an AI agent.
    Ai,
    /// Hear the campaign's message for machines.
    Voicemail,
    /// Hear who called, and which key ends all calls.
    SafeHarbour,
    /// Hear that there will be no more calls.
    Farewell,
    /// End.
    HangUp,
}

impl Say {
    /// Whether the call is to end when the message is over.
    pub(super) const fn is_message(self) -> bool {
        matches!(self, Self::Voicemail | Self::SafeHarbour | Self::Farewell)
    }
}

/// The room of an agent, at every carrier account.
pub(super) fn room(agent: voice_schemas::AgentId) -> String {
    format!("agent-{}", agent.0)
}

/// Tells the carrier what to do with an answered call.
pub(super) fn command(deps: &Deps, key: ShardKey, campaign: &Campaign, held: &Held, say: Say) {
    let line = &held.line;
    let Some((_, id)) = line.carrier.clone() else {
        return;
    };
    let Some(account) = line.account else { return };
    let found = crate::app::lines(&deps.lines).get(&(key.0, account)).cloned();
    let Some(way) = found else { return };
    let message = |url: &Option<String>| match url {
        Some(url) => {
            let sealed = deps.context.seal(&CallContext {
                opt_out_key: Some(campaign.opt_out_key),
                ..context(key, line)
            });
            message(url, campaign.opt_out_key, &way.hooks, &sealed)
        }
        None => vec![Instruction::Hangup],
    };
    let instructions = match say {
        Say::Person => vec![person(deps, key, line, &way.hooks)],
        Say::Ai => {
            let opens_within = STREAM_OPENS_WITHIN;
            let way = (way.client.carrier(), held.duties);
            stream(deps, key, campaign, line, way, opens_within)
                .into_iter()
                .collect()
        }
        Say::Voicemail => message(&campaign.voicemail_url),
        Say::SafeHarbour => message(&campaign.safe_harbour_url),
        Say::Farewell => message(&campaign.opt_out_url),
        Say::HangUp => vec![Instruction::Hangup],
    };
    let name = instructions.first().map_or("none", Instruction::name);
    tokio::spawn(async move {
        // What is left to do at Telnyx is the end of a message: told when it says that the message is over.
        if let Err(error) = way.client.answer(&id, &instructions).await {
            CommandRefused {
                command: name,
                error: &error,
            }
            .emit();
        }
    });
}

/// Into the room of the line's agent.
pub(super) fn person(deps: &Deps, key: ShardKey, line: &Attempt, hooks: &HookUrls) -> Instruction {
    let room = line.agent.map_or_else(|| format!("call-{}", line.call.0), room);
    let mut conference = Conference::new(room);
    conference.label = Some("customer:human".to_owned());
    let sealed = deps.context.seal(&context(key, line));
    Instruction::Conference(conference.reporting_to(hooks, &sealed))
}

/// A message during and after which the key can be pressed; then the call ends.
fn message(url: &str, key: char, hooks: &HookUrls, context: &SealedContext) -> Vec<Instruction> {
    let gather = Gather {
        prompts: vec![Prompt::Play { url: url.to_owned() }],
        digits: Some(1),
        timeout_seconds: Some(KEY_SECONDS),
        valid_digits: Some(key.to_string()),
        ..Gather::default()
    };
    vec![
        Instruction::Gather(gather.reporting_to(hooks, context)),
        Instruction::Hangup,
    ]
}

/// The way to the campaign's AI agent, for one stream that is opened in time.
pub(super) fn stream(
    deps: &Deps,
    (tenant, owner, shard): ShardKey,
    campaign: &Campaign,
    line: &Attempt,
    (carrier, duties): (Carrier, Duties),
    opens_within: TimeDelta,
) -> Option<Instruction> {
    let purpose = StreamPurpose {
        tenant,
        call: line.call,
        agent: campaign.ai_agent?,
        dialled: Some(Dialled {
            campaign: owner,
            shard,
            attempt: line.attempt,
        }),
        duties,
    };
    Some(Instruction::ConnectStream(ConnectStream {
        url: deps
            .streams
            .url(carrier, &purpose, deps.clock.now(), opens_within),
        ..ConnectStream::default()
    }))
}

/// What comes back with every webhook of the call.
pub(super) fn context(key: ShardKey, line: &Attempt) -> CallContext {
    let (tenant, campaign, shard) = key;
    CallContext {
        campaign: Some((campaign, shard)),
        attempt: Some(line.attempt),
        contact: Some(line.contact),
        agent: line.agent,
        agent_kind: line.agent.map(|_| AgentKind::Human),
        phone_token: Some(line.phone_token.simple().to_string()),
        ..CallContext::new(tenant, line.call, Direction::Outbound)
    }
}

/// Asks the carrier where a call stands. Its end, when it has one, goes to `calls.events` like any other: the whole
/// platform learns it from there, this worker included.
pub(super) fn ask(deps: &Deps, key: ShardKey, line: &Attempt, now: DateTime<Utc>) {
    let Some((carrier, id)) = line.carrier.clone() else {
        return;
    };
    let Some(account) = line.account else { return };
    let found = crate::app::lines(&deps.lines).get(&(key.0, account)).cloned();
    let Some(way) = found else { return };
    let (deps, line) = (deps.clone(), line.clone());
    tokio::spawn(async move {
        let snapshot = match way.client.lookup(&id).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                CommandRefused {
                    command: "lookup",
                    error: &error,
                }
                .emit();
                return;
            }
        };
        let Some(ending) = snapshot.ending else { return };
        let (tenant, campaign, shard) = key;
        let call = CallRef {
            call_id: line.call,
            direction: Direction::Outbound,
            carrier,
            carrier_call_id: id,
            campaign_id: Some(campaign),
            shard: Some(shard),
            attempt_id: Some(line.attempt),
            contact_id: Some(line.contact),
            queue_id: None,
            agent_id: line.agent,
            phone_token: Some(line.phone_token.simple().to_string()),
        };
        let evidence = Evidence {
            carrier_event: "lookup".to_owned(),
            dedupe_key: "dialer".to_owned(),
            sequence: None,
            received_at: now,
        };
        let ended = CallFact::Ended(Ending {
            reconciled: true,
            ..ending
        });
        let at = snapshot.ended_at.unwrap_or(now);
        let event = ended.into_event(tenant, SOURCE, at, call, evidence);
        let Ok(payload) = serde_json::to_vec(&event) else {
            return;
        };
        let record = voice_kafka::OutboundRecord {
            topic: deps.kafka.topic(&topics::CALLS),
            key: shards::key(campaign, shard).into_bytes(),
            payload,
            headers: Vec::new(),
        };
        // Asked again in a minute should it not arrive.
        if let Err(error) = deps.producer.send(&record).await {
            Postponed {
                work: "telling of an end the carrier was asked for",
                kind: error.kind(),
                error: &error,
            }
            .emit();
        }
    });
}
