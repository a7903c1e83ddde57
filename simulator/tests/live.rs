//! Calls the platform places at the twin, with the product's own clients, and what it is told of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use support::{
    Platform, clock,
    stage::{Stage, room},
};
use url::Url;
use voice_lifecycle::Clock as _;
use voice_schemas::{
    EventType,
    events::call::{AgentKind, AnsweredBy, CallEvent, CallOutcome, Carrier, HangupBy},
};
use voice_simulator::{
    Faults,
    live::{Detector, Fate, Limits, LiveOptions, Outage, Population, Trouble},
    plan::LogNormal,
    player::Retries,
};
use voice_telephony::{
    CallState, CarrierError, Conference, ConnectStream, Gather, HookUrls, Instruction, Prompt,
};

fn kinds(events: &[CallEvent]) -> BTreeMap<EventType, usize> {
    let mut kinds = BTreeMap::new();
    for event in events {
        *kinds.entry(event.kind).or_default() += 1;
    }
    kinds
}

/// TEL-01
#[tokio::test(flavor = "multi_thread")]
async fn a_person_picks_up_is_put_into_an_agents_room_and_talks_until_one_hangs_up() {
    for account in [0, 1] {
        let stage = Stage::new(LiveOptions {
            population: Population {
                talk_ms: LogNormal::fixed(80),
                ..Population::instant(Fate::Person)
            },
            ..LiveOptions::default()
        })
        .await;
        let request = stage.request(account, "+15550000001");
        let carrier = &stage.clients[account];
        let id = carrier.originate(&request).await.unwrap().carrier_call_id;
        stage.answered(&id).await;
        carrier
            .answer(&id, &room(&stage, account, "agent-1", &request))
            .await
            .unwrap();
        let found = carrier.lookup(&id).await.unwrap();
        assert!(
            matches!(found.state, CallState::Answered | CallState::Alive),
            "{found:?}"
        );
        stage.quiet().await;
        let found = carrier.lookup(&id).await.unwrap();
        assert_eq!(found.state, CallState::Ended);

        let events = stage.told();
        let mut expected = BTreeMap::from([
            (EventType::CallInitiated, 1),
            (EventType::CallAnswered, 1),
            (EventType::CallAmd, 1),
            (EventType::CallBridged, 1),
            (EventType::CallEnded, 1),
        ]);
        if carrier.carrier() == Carrier::Twilio {
            expected.insert(EventType::CallRinging, 1);
        }
        assert_eq!(kinds(&events), expected);
        let end = events.iter().find_map(|event| event.data.ending.clone()).unwrap();
        assert_eq!(end.outcome, CallOutcome::Completed);
        if carrier.carrier() == Carrier::Telnyx {
            assert_eq!(end.hangup_by, HangupBy::Callee);
        }
        assert!(
            events
                .iter()
                .all(|event| event.data.call.attempt_id == Some(request.attempt))
        );
        let truth = stage.live.truth();
        assert_eq!((truth.to_people, truth.people, truth.ended()), (1, 1, 1));
        assert_eq!(truth.facts, events.len() as u64);
        let call = &stage.live.calls()[0];
        let (connected, with) = call.connected.unwrap();
        assert_eq!(with, AgentKind::Human);
        assert!(call.ended_at.unwrap() - connected >= TimeDelta::milliseconds(80));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fate_ends_as_its_carrier_puts_it_and_who_asks_hears_the_same() {
    let fates = [
        (Fate::Busy, CallOutcome::Busy),
        (Fate::Disconnected, CallOutcome::InvalidNumber),
        (Fate::Rejected, CallOutcome::Rejected),
        (Fate::CarrierFailure, CallOutcome::CarrierError),
        (Fate::RingsOut, CallOutcome::NoAnswer),
        (Fate::Fax, CallOutcome::Completed),
        (Fate::Machine, CallOutcome::Completed),
    ];
    for account in [0, 1] {
        let stage = Stage::of(Fate::Person).await;
        let mut dialled = Vec::new();
        for (place, (fate, outcome)) in fates.into_iter().enumerate() {
            let number = format!("+1555000010{place}");
            stage.live.set_fate(&number, Some(fate));
            let mut request = stage.request(account, &number);
            // Telnyx lets it ring five seconds at least.
            request.ring_timeout = Duration::from_secs(5);
            let placed = stage.clients[account].originate(&request).await.unwrap();
            dialled.push((placed.carrier_call_id, fate, outcome));
        }
        stage.quiet().await;
        let events = stage.told();
        for (id, fate, outcome) in dialled {
            let end = events
                .iter()
                .filter(|event| event.data.call.carrier_call_id == id)
                .find_map(|event| event.data.ending.clone())
                .unwrap();
            assert_eq!(end.outcome, outcome, "{fate:?}");
            let found = stage.clients[account].lookup(&id).await.unwrap();
            assert_eq!(found.state, CallState::Ended, "{fate:?}");
            assert!(found.ended_at.is_some());
        }
        let verdicts: BTreeSet<AnsweredBy> = events
            .iter()
            .filter_map(|event| event.data.amd.as_ref())
            .map(|amd| amd.answered_by)
            .collect();
        assert_eq!(verdicts, BTreeSet::from([AnsweredBy::Machine, AnsweredBy::Fax]));
        assert_eq!(stage.live.truth().machines, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_nobody_speaks_to_hangs_up_when_their_patience_ends() {
    for account in [0, 1] {
        let stage = Stage::new(LiveOptions {
            population: Population {
                patience_ms: LogNormal::fixed(150),
                ..Population::instant(Fate::Person)
            },
            ..LiveOptions::default()
        })
        .await;
        stage.dial(account, "+15550000001").await;
        stage.quiet().await;
        let call = stage.live.calls().remove(0);
        let stayed = call.ended_at.unwrap() - call.answered_at.unwrap();
        assert_eq!(stayed, TimeDelta::milliseconds(150));
        assert_eq!((call.connected, call.first_heard), (None, None));
        assert_eq!(stage.live.truth().heard_nothing, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_heard_to_its_end_and_an_ai_agent_talks_for_a_time_of_its_own() {
    for account in [0, 1] {
        let stage = Stage::new(LiveOptions {
            population: Population {
                patience_ms: LogNormal::fixed(100),
                message_ms: LogNormal::fixed(200),
                ai_talk_ms: LogNormal::fixed(120),
                ..Population::instant(Fate::Person)
            },
            ..LiveOptions::default()
        })
        .await;
        let carrier = &stage.clients[account];
        let message = stage.dial(account, "+15550000001").await.carrier_call_id;
        stage.answered(&message).await;
        let play = Instruction::Prompt(Prompt::Play {
            url: "https://audio.test/sorry.mp3".to_owned(),
        });
        let gather = Instruction::Gather(Gather {
            prompts: vec![Prompt::Play {
                url: "https://audio.test/sorry.mp3".to_owned(),
            }],
            digits: Some(1),
            timeout_seconds: Some(0),
            ..Gather::default()
        });
        carrier.answer(&message, &[play]).await.unwrap();
        let gathered = stage.dial(account, "+15550000002").await.carrier_call_id;
        stage.answered(&gathered).await;
        carrier.answer(&gathered, &[gather]).await.unwrap();
        let ai = stage.dial(account, "+15550000003").await.carrier_call_id;
        stage.answered(&ai).await;
        let stream = ConnectStream {
            url: "wss://media.test".to_owned(),
            ..ConnectStream::default()
        };
        carrier
            .answer(&ai, &[Instruction::ConnectStream(stream)])
            .await
            .unwrap();
        stage.quiet().await;
        let calls = stage.live.calls();
        for call in &calls[..2] {
            let heard = call.ended_at.unwrap() - call.first_heard.unwrap();
            assert!(call.heard_message && call.connected.is_none());
            assert!(heard >= TimeDelta::milliseconds(200), "{heard}");
        }
        let (connected, with) = calls[2].connected.unwrap();
        assert_eq!(with, AgentKind::Ai);
        assert_eq!(
            calls[2].ended_at.unwrap() - connected,
            TimeDelta::milliseconds(120)
        );
        let truth = stage.live.truth();
        assert_eq!((truth.heard_message, truth.heard_nothing, truth.to_ai), (2, 0, 1));
        assert_eq!(truth.facts, stage.told().len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_waits_in_a_room_until_the_leg_of_an_agent_comes() {
    for account in [0, 1] {
        let stage = Stage::new(LiveOptions {
            people_in_rooms: false,
            population: Population {
                talk_ms: LogNormal::fixed(50),
                ..Population::instant(Fate::Person)
            },
            ..LiveOptions::default()
        })
        .await;
        stage.live.add_agent("+15558000001");
        let carrier = &stage.clients[account];
        let request = stage.request(account, "+15550000001");
        let customer = carrier.originate(&request).await.unwrap().carrier_call_id;
        stage.answered(&customer).await;
        carrier
            .answer(&customer, &room(&stage, account, "agent-1", &request))
            .await
            .unwrap();
        let agent = stage.dial(account, "+15558000001").await.carrier_call_id;
        stage.answered(&agent).await;
        assert!(stage.live.calls()[0].connected.is_none());
        let mut seat = Conference::new("agent-1");
        seat.label = Some("agent".to_owned());
        carrier
            .answer(&agent, &[Instruction::Conference(seat)])
            .await
            .unwrap();
        stage
            .until("the end of the talk", |stage| {
                stage.live.calls()[0].ended_at.is_some()
            })
            .await;
        let calls = stage.live.calls();
        assert!(calls[0].connected.is_some());
        assert!(calls[1].agent && calls[1].ended_at.is_none(), "the agent stays");
        carrier.hangup(&agent).await.unwrap();
        stage.quiet().await;
        let truth = stage.live.truth();
        assert_eq!((truth.placed, truth.agent_legs, truth.to_people), (1, 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_a_number_depends_on_the_seed_the_number_and_the_try_alone() {
    let run = async |seed, turn_round: bool| {
        let stage = Stage::new(LiveOptions {
            seed,
            time_scale: 0.0,
            population: Population {
                patience_ms: LogNormal::fixed(20),
                detector: Detector::perfect(),
                ..Population::default()
            },
            ..LiveOptions::default()
        })
        .await;
        let mut numbers: Vec<String> = (0..40).map(|number| format!("+15550001{number:03}")).collect();
        if turn_round {
            numbers.reverse();
        }
        for try_ in 0..2 {
            for (place, number) in numbers.iter().enumerate() {
                let account = (place + try_ + usize::from(turn_round)) % 2;
                stage.dial(account, number).await;
            }
        }
        let fates: BTreeMap<(String, u32), Fate> = stage
            .live
            .calls()
            .into_iter()
            .map(|call| ((call.to, call.ordinal), call.fate))
            .collect();
        fates
    };
    let first = run(5, false).await;
    assert_eq!(first.len(), 80);
    assert_eq!(first, run(5, true).await);
    assert_ne!(first, run(6, false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_its_speed_twilio_queues_and_telnyx_refuses() {
    let limits = Limits {
        calls_per_second: 2.0,
        calls_at_once: 11,
    };
    let stage = Stage::new(LiveOptions {
        limits: vec![limits; 2],
        population: Population::instant(Fate::RingsOut),
        ..LiveOptions::default()
    })
    .await;
    for account in [0, 1] {
        let mut placed = Vec::new();
        let refused = loop {
            let request = stage.request(account, &format!("+1555000{:04}", placed.len()));
            match stage.clients[account].originate(&request).await {
                Ok(call) => placed.push(call),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, CarrierError::Throttled { .. }), "{refused:?}");
        match stage.clients[account].carrier() {
            // Ten dials in five seconds.
            Carrier::Telnyx => {
                assert_eq!(placed.len(), 10);
                let states = placed.iter().map(|call| call.queue_time_ms).max();
                assert_eq!(states, Some(0));
            }
            // Eleven calls at once, half a second apart.
            Carrier::Twilio => {
                assert_eq!(placed.len(), 11);
                let last = placed[10].queue_time_ms;
                assert!((4_000..=5_000).contains(&last), "{last}");
                let state = stage.clients[account]
                    .lookup(&placed[10].carrier_call_id)
                    .await
                    .unwrap()
                    .state;
                assert_eq!(state, CallState::Queued);
            }
        }
        for call in placed {
            stage.clients[account]
                .hangup(&call.carrier_call_id)
                .await
                .unwrap();
        }
        // There is room again at Twilio; Telnyx still counts the dials of the last five seconds.
        let again = stage.clients[account]
            .originate(&stage.request(account, "+15550009999"))
            .await;
        assert_eq!(again.is_ok(), stage.clients[account].carrier() == Carrier::Twilio);
    }
    let truth = stage.live.truth();
    assert_eq!((truth.placed, truth.declined), (22, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_a_call_is_placed_or_not_and_who_asked_cannot_tell() {
    for account in [0, 1] {
        let stage = Stage::of(Fate::Busy).await;
        let carrier = stage.clients[account].carrier();
        for (place, (trouble, placed)) in [(Trouble::Unavailable, 0), (Trouble::Deaf, 0), (Trouble::Mute, 1)]
            .into_iter()
            .enumerate()
        {
            let now = clock().now();
            stage.live.add_outage(Outage {
                carrier: Some(carrier),
                from: now,
                until: now + TimeDelta::seconds(if place == 0 { 1 } else { 4 }),
                trouble,
            });
            let request = stage.request(account, &format!("+1555000000{place}"));
            let before = stage.live.truth().placed;
            let refused = stage.clients[account].originate(&request).await;
            assert!(
                matches!(refused, Err(CarrierError::Unknown { .. })),
                "{refused:?}"
            );
            assert_eq!(stage.live.truth().placed - before, placed, "{trouble:?}");
            let over = now + TimeDelta::seconds(if place == 0 { 1 } else { 4 });
            stage
                .until("the end of the outage", |_| clock().now() > over)
                .await;
        }
        // The other carrier was never troubled.
        stage.dial(1 - account, "+15550000077").await;
        stage.quiet().await;
        assert_eq!(stage.live.truth().outcomes[&CallOutcome::Busy], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_lost_doubled_late_and_out_of_order_add_up() {
    let platform = Platform::start(|number, _| {
        if number.is_multiple_of(50) {
            reqwest::StatusCode::SERVICE_UNAVAILABLE
        } else {
            reqwest::StatusCode::OK
        }
    })
    .await;
    let faults = Faults {
        latency_ms: LogNormal::new(5.0, 0.6, 0, 50),
        duplicates: 0.05,
        reordered: 0.1,
        reorder_window_ms: 100,
        loss: 0.02,
        terminal_loss: 0.03,
        late: 0.02,
        late_ms: LogNormal::fixed(700),
    };
    let stage = Stage::with(
        platform,
        LiveOptions {
            faults,
            population: Population {
                patience_ms: LogNormal::fixed(30),
                ..Population::instant(Fate::Person)
            },
            retries: Retries {
                first_wait: Duration::from_millis(20),
                ..Retries::default()
            },
            ..LiveOptions::default()
        },
    )
    .await;
    for number in 0..400 {
        stage.dial(number % 2, &format!("+15550{number:06}")).await;
    }
    stage.quiet().await;
    let (truth, calls, events) = (stage.live.truth(), stage.live.calls(), stage.told());
    let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len() as u64, truth.facts);
    assert!(events.len() > ids.len(), "some were told twice");
    assert_eq!(truth.lost + truth.delivered + truth.undelivered, truth.webhooks);
    assert_eq!(truth.undelivered, 0);
    assert!(
        truth.requests > truth.delivered + truth.repeated,
        "some were not taken at first"
    );
    let ended: BTreeSet<&str> = events
        .iter()
        .filter(|event| event.kind == EventType::CallEnded)
        .map(|event| event.data.call.carrier_call_id.as_str())
        .collect();
    let missing = calls
        .iter()
        .filter(|call| call.facts > 0 && !ended.contains(call.carrier_call_id.as_str()))
        .count() as u64;
    assert_eq!(truth.ends_missing, missing);
    assert!((5..60).contains(&missing), "{missing}");
    assert_eq!(truth.outcomes[&CallOutcome::Completed], 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_reached_where_it_really_is_and_told_its_public_address() {
    let stage = Stage::of(Fate::Busy).await;
    let mut request = stage.request(1, "+15550000001");
    let public: Url = "https://hooks.example.com".parse().unwrap();
    let path = format!(
        "/hooks/{}/{}",
        stage.clients[1].carrier(),
        stage.accounts[1].ingress
    );
    request.hooks = HookUrls::new(&public.join(&path).unwrap());
    stage.live.deliver_to(voice_simulator::wire::Target {
        connect: stage.platform.url(),
        public,
    });
    stage.clients[1].originate(&request).await.unwrap();
    stage.quiet().await;
    // This platform believes in its own address, so it gets everything and trusts nothing Twilio signs.
    let told = stage.platform.clone().told();
    assert_eq!(stage.live.truth().webhooks, told.requests);
    assert!(told.requests >= 2);
}
