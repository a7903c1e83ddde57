//! Whatever the platform does, and whenever, every call lives one life.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::SeedableRng as _;
use uuid::Uuid;
use voice_schemas::TenantId;

use super::*;
use crate::live::{
    line::{Hooks, Progress},
    script::Sound,
    telling::Body,
};

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
}

fn board(options: &LiveOptions) -> Board {
    let tenant = TenantId(Uuid::nil());
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let accounts: Vec<Account> = [Carrier::Telnyx, Carrier::Twilio]
        .map(|carrier| Account::generate(tenant, carrier, "in", &mut rng))
        .into();
    Board::new(options, &accounts, true)
}

fn order(account: usize, to: String) -> Order {
    Order {
        account,
        to,
        from: "+15559999999".to_owned(),
        client_state: Some("c".to_owned()),
        hooks: Hooks {
            status: Some("http://platform.test/status".to_owned()),
            progress: Progress {
                initiated: true,
                ringing: true,
                answered: true,
                completed: true,
            },
            amd: Some("http://platform.test/amd".to_owned()),
        },
        detection: if account == 0 {
            Detection::AndBeep
        } else {
            Detection::Detect
        },
        ring: TimeDelta::seconds(25),
        limit: TimeDelta::seconds(600),
        on_answer: if account == 0 {
            OnAnswer::Wait
        } else {
            OnAnswer::Script(vec![Step::Pause { seconds: 10 }])
        },
    }
}

fn ids(name: &str) -> Ids {
    Ids {
        id: name.to_owned(),
        leg: Uuid::nil(),
        session: Uuid::nil(),
    }
}

fn room(name: &str) -> Step {
    Step::Room(Seat {
        room: name.to_owned(),
        events: Some("http://platform.test/conference".to_owned()),
        joins: true,
        leaves: true,
        ..Seat::default()
    })
}

/// Takes every webhook that is due, as a platform that is always there; what it was told, by call.
fn take(board: &mut Board, now: DateTime<Utc>, told: &mut HashMap<u64, Vec<(String, bool)>>) {
    while board.question().is_some() {}
    while let Some(delivery) = board.delivery(now) {
        let webhook = &delivery.letter.webhook;
        let about = match &webhook.body {
            Body::Telnyx(data) => serde_json::from_str::<serde_json::Value>(data).unwrap()["event_type"]
                .as_str()
                .unwrap()
                .to_owned(),
            Body::Twilio(form) => form
                .iter()
                .find(|(name, _)| matches!(*name, "CallStatus" | "AnsweredBy" | "StatusCallbackEvent"))
                .unwrap()
                .1
                .clone(),
        };
        told.entry(webhook.line).or_default().push((about, webhook.end));
        board.conclude(delivery, Reply::Taken, now);
    }
}

#[derive(Clone, Debug)]
enum Does {
    Places(usize, u32),
    HangsUp(usize),
    Seats(usize, u8),
    Streams(usize),
    Plays(usize),
    Gathers(usize),
    Nothing,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        3 => (0_usize..2, 0_u32..40).prop_map(|(account, number)| Does::Places(account, number)),
        1 => (0_usize..60).prop_map(Does::HangsUp),
        2 => (0_usize..60, 0_u8..3).prop_map(|(call, room)| Does::Seats(call, room)),
        1 => (0_usize..60).prop_map(Does::Streams),
        1 => (0_usize..60).prop_map(Does::Plays),
        1 => (0_usize..60).prop_map(Does::Gathers),
        2 => Just(Does::Nothing),
    ]
}

proptest! {
    /// TEL-01
    #[test]
    fn a_call_ends_once_is_told_to_the_end_and_leaves_nothing_behind(
        seed: u64, presses in 0.0_f64..1.0, steps in proptest::collection::vec((0_i64..4_000, does()), 1..120),
    ) {
        let options = LiveOptions {
            seed,
            population: Population { presses, ..Population::default() },
            ..LiveOptions::default()
        };
        let mut board = board(&options);
        let (mut now, mut placed, mut told) = (0, Vec::new(), HashMap::new());
        for (wait, does) in steps {
            now += wait;
            let name = |call: usize| placed.get(call).cloned().unwrap_or((0, "none".to_owned()));
            match does {
                Does::Places(account, number) => {
                    let id = format!("call{}", placed.len());
                    let taken = board.place(order(account, format!("+1555000{number:04}")), ids(&id), at(now));
                    prop_assert!(taken.is_ok());
                    placed.push((account, id));
                }
                Does::HangsUp(call) => { let (account, id) = name(call); board.hang_up(account, &id, at(now)); }
                Does::Seats(call, number) => {
                    let (account, id) = name(call);
                    board.instruct(account, &id, vec![room(&format!("agent-{number}"))], at(now));
                }
                Does::Streams(call) => { let (account, id) = name(call); board.instruct(account, &id, vec![Step::Stream { url: String::new(), parameters: Vec::new() }], at(now)); }
                Does::Plays(call) => {
                    let (account, id) = name(call);
                    board.instruct(account, &id, vec![Step::Sound(Sound::Played), Step::Hangup], at(now));
                }
                Does::Gathers(call) => {
                    let (account, id) = name(call);
                    let step = Step::Gather {
                        sounds: vec![Sound::Played], seconds: 3, action: None, keys: None, reports: true,
                    };
                    board.instruct(account, &id, vec![step], at(now));
                }
                Does::Nothing => board.advance(at(now)),
            }
            take(&mut board, at(now), &mut told);
            // What the lanes count is what lives.
            let alive = board.lines.values().filter(|line| line.ended.is_none()).count();
            prop_assert_eq!(board.desk.lanes.iter().map(|lane| lane.alive).sum::<usize>(), alive);
            prop_assert_eq!(board.truth().alive, alive as u64);
            // Whoever sits in a room is alive and knows it.
            let seated = board.lines.values().filter(|line| line.seat.is_some()).count();
            let sitting: usize = board.desk.rooms.values().map(|room| room.len()).sum();
            prop_assert_eq!(seated, sitting);
        }
        // No call outlives its time limit.
        while let Some(due) = board.next_due() {
            board.advance(due);
            take(&mut board, due, &mut told);
        }
        prop_assert!(board.is_quiet());
        prop_assert!(board.desk.rooms.is_empty());
        let truth = board.truth();
        prop_assert_eq!(truth.placed, placed.len() as u64);
        prop_assert_eq!(truth.ended(), placed.len() as u64);
        prop_assert_eq!(truth.ends_missing + truth.untold, 0);
        prop_assert_eq!(truth.webhooks, truth.delivered);
        for line in board.lines.values() {
            let (ended, _) = line.ended.unwrap();
            prop_assert!(ended <= line.begins_at.max(line.answered_at.unwrap_or(line.begins_at)) + line.order.limit);
        }
        for events in told.values() {
            prop_assert_eq!(events.iter().filter(|(_, end)| *end).count(), 1, "{:?}", events);
            prop_assert!(events.last().unwrap().1, "nothing is told after the end: {:?}", events);
        }
    }

    #[test]
    fn the_same_seed_and_the_same_platform_are_the_same_history(seed: u64) {
        let history = || {
            let options = LiveOptions { seed, faults: Faults { loss: 0.05, duplicates: 0.1, ..Faults::default() }, ..LiveOptions::default() };
            let mut board = board(&options);
            let mut told = HashMap::new();
            for number in 0..30_usize {
                let order = order(number % 2, format!("+1555000{number:04}"));
                board.place(order, ids(&format!("call{number}")), at(0)).unwrap();
            }
            let mut times = Vec::new();
            while let Some(due) = board.next_due() {
                board.advance(due);
                take(&mut board, due, &mut told);
                times.push(due);
            }
            let mut told: Vec<_> = told.into_iter().collect();
            told.sort();
            (times, told, board.truth())
        };
        prop_assert_eq!(history(), history());
    }
}

#[test]
fn the_oldest_call_is_forgotten_once_it_is_over_and_told() {
    let options = LiveOptions {
        remember: 2,
        population: Population::instant(Fate::Busy),
        ..LiveOptions::default()
    };
    let mut board = board(&options);
    let mut told = HashMap::new();
    for number in 0..4 {
        let order = order(0, format!("+1555000000{number}"));
        board
            .place(order, ids(&format!("call{number}")), at(number))
            .unwrap();
        board.advance(at(number));
        take(&mut board, at(number), &mut told);
    }
    assert!(board.get(0, "call0").is_none());
    assert!(board.get(0, "call3").is_some());
    assert_eq!(board.truth().placed, 4);
}
