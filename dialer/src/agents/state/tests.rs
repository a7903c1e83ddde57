//! The states of an agent, by example and over random lives.

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn home() -> (CampaignId, u16) {
    (CampaignId::derived(at(0), &[b"campaign"]), 0)
}

fn signed_in() -> AgentState {
    let mut agent = AgentState::offline(at(0));
    let works_for = home();
    agent
        .apply(
            Input::SignIn {
                works_for,
                lease_until: at(30),
            },
            at(0),
        )
        .unwrap();
    agent
}

fn call(number: u8) -> CallId {
    CallId::derived(at(0), &[&[number]])
}

fn attempt(number: u8) -> AttemptId {
    AttemptId::derived(at(0), &[&[number]])
}

fn reserve(agent: &mut AgentState, number: u8, second: i64) -> u64 {
    let input = Input::Reserve {
        by: home(),
        attempt: attempt(number),
        until: at(second + 5),
    };
    agent.apply(input, at(second)).unwrap();
    agent.token
}

#[test]
fn an_agent_goes_through_a_call_and_comes_back_after_the_wrap_up() {
    let mut agent = signed_in();
    let token = reserve(&mut agent, 1, 1);
    let connect = Input::Connect { token, call: call(1) };
    agent.apply(connect, at(2)).unwrap();
    assert_eq!(agent.status, AgentStatus::OnCall);
    agent
        .apply(Input::Heartbeat { lease_until: at(90) }, at(20))
        .unwrap();
    let over = Input::CallEnded {
        call: call(1),
        wrap: TimeDelta::seconds(10),
    };
    agent.apply(over, at(60)).unwrap();
    assert_eq!(agent.status, AgentStatus::WrapUp);
    assert_eq!(agent.apply(Input::Tick, at(69)), Ok(None));
    agent.apply(Input::Tick, at(70)).unwrap();
    assert_eq!(agent.status, AgentStatus::Available);
    assert_eq!(agent.available_since, Some(at(70)));
}

#[test]
fn an_agent_without_heartbeat_is_gone_and_cannot_be_reserved_even_before_the_clock_ticks() {
    let mut agent = signed_in();
    assert!(agent.is_free(at(29)));
    assert!(!agent.is_free(at(30)));
    let input = Input::Reserve {
        by: home(),
        attempt: attempt(1),
        until: at(40),
    };
    assert_eq!(agent.apply(input, at(31)), Err(Refused::NoLease));
    agent.apply(Input::Tick, at(31)).unwrap();
    assert_eq!(agent.status, AgentStatus::Offline);
}

#[test]
fn a_reservation_that_was_given_to_another_call_connects_nobody() {
    let mut agent = signed_in();
    let old = reserve(&mut agent, 1, 1);
    agent.apply(Input::Tick, at(7)).unwrap();
    let new = reserve(&mut agent, 2, 8);
    assert!(new > old);
    let late = Input::Connect {
        token: old,
        call: call(1),
    };
    assert_eq!(agent.apply(late, at(9)), Err(Refused::Stale));
    assert_eq!(agent.status, AgentStatus::Reserved);
}

#[test]
fn a_break_asked_for_during_a_call_begins_when_the_call_is_over() {
    let mut agent = signed_in();
    let token = reserve(&mut agent, 1, 1);
    agent
        .apply(Input::Connect { token, call: call(1) }, at(2))
        .unwrap();
    let want = Input::Choose {
        status: AgentStatus::Break,
        reason: Some("lunch".to_owned()),
    };
    assert_eq!(agent.apply(want, at(3)), Ok(None));
    let over = Input::CallEnded {
        call: call(1),
        wrap: TimeDelta::zero(),
    };
    agent.apply(over, at(10)).unwrap();
    assert_eq!(agent.status, AgentStatus::Break);
}

#[test]
fn the_legs_of_a_call_repair_a_status_that_disagrees_with_them() {
    let mut agent = signed_in();
    let wrap = TimeDelta::seconds(5);
    let change = agent
        .apply(
            Input::Correct {
                call: Some(call(1)),
                wrap,
            },
            at(1),
        )
        .unwrap()
        .unwrap();
    assert_eq!(change.event, EventType::AgentCorrected);
    assert_eq!(agent.status, AgentStatus::OnCall);
    agent.apply(Input::Correct { call: None, wrap }, at(2)).unwrap();
    assert_eq!(agent.status, AgentStatus::WrapUp);
    assert_eq!(agent.apply(Input::Correct { call: None, wrap }, at(3)), Ok(None));
}

fn any_input() -> impl Strategy<Value = Input> {
    use AgentStatus as S;
    let works_for = home();
    prop_oneof![
        (0_i64..200).prop_map(move |second| Input::SignIn {
            works_for,
            lease_until: at(second)
        }),
        (0_i64..200).prop_map(|second| Input::Heartbeat {
            lease_until: at(second)
        }),
        proptest::sample::select(vec![S::Available, S::Break, S::Away, S::Offline, S::OnCall])
            .prop_map(|status| Input::Choose { status, reason: None }),
        (0_u8..4, 0_i64..200).prop_map(|(number, second)| Input::Reserve {
            by: home(),
            attempt: attempt(number),
            until: at(second)
        }),
        (0_u64..20, 0_u16..3).prop_map(|(epoch, shard)| Input::Lend {
            epoch,
            from: home(),
            to: (home().0, shard)
        }),
        (0_u64..6).prop_map(|token| Input::Release { token }),
        (0_u64..6, 0_u8..4).prop_map(|(token, number)| Input::Connect {
            token,
            call: call(number)
        }),
        (0_u8..4, 0_i64..20).prop_map(|(number, wrap)| Input::CallEnded {
            call: call(number),
            wrap: TimeDelta::seconds(wrap)
        }),
        Just(Input::Finish),
        Just(Input::Tick),
        proptest::option::of(0_u8..4).prop_map(|number| Input::Correct {
            call: number.map(call),
            wrap: TimeDelta::seconds(3)
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_parts_of_a_state_agree_and_the_epoch_only_grows(
        inputs in proptest::collection::vec((any_input(), 0_i64..5), 0..120),
    ) {
        let mut agent = AgentState::offline(at(0));
        let mut second = 0;
        let mut connected: Option<u64> = None;
        for (input, pause) in inputs {
            second += pause;
            let before = agent.clone();
            let connecting = match &input { Input::Connect { token, .. } => Some(*token), _ => None };
            match agent.apply(input, at(second)) {
                Ok(Some(change)) => {
                    prop_assert_eq!(change.from, before.status);
                    prop_assert_eq!(change.to, agent.status);
                    prop_assert_eq!(agent.epoch, before.epoch + 1);
                    if let Some(token) = connecting {
                        prop_assert!(connected.is_none_or(|last| last < token), "a token connects once");
                        connected = Some(token);
                    }
                }
                Ok(None) => prop_assert_eq!(agent.epoch, before.epoch),
                Err(_) => prop_assert_eq!(&agent, &before),
            }
            prop_assert_eq!(agent.status == AgentStatus::Reserved, agent.reservation.is_some());
            prop_assert_eq!(agent.status == AgentStatus::OnCall, agent.call.is_some());
            prop_assert!(agent.wrap_until.is_none() || agent.status == AgentStatus::WrapUp);
            prop_assert!(agent.token >= before.token);
        }
    }
}

#[test]
fn only_whom_they_work_for_reserves_an_agent_and_only_an_idle_one_is_lent() {
    let mut agent = signed_in();
    let elsewhere = (CampaignId::derived(at(0), &[b"another"]), 0);
    let lend = |epoch| Input::Lend {
        epoch,
        from: home(),
        to: elsewhere,
    };
    assert_eq!(agent.apply(lend(agent.epoch + 1), at(1)), Err(Refused::Stale));
    let idle_since = agent.available_since;
    agent.apply(lend(agent.epoch), at(1)).unwrap();
    assert_eq!(
        (agent.works_for, agent.available_since),
        (Some(elsewhere), idle_since)
    );
    // Who lent them away does not know it yet.
    let late = Input::Reserve {
        by: home(),
        attempt: attempt(1),
        until: at(9),
    };
    assert_eq!(agent.apply(late, at(2)), Err(Refused::Elsewhere));
    let reserve = Input::Reserve {
        by: elsewhere,
        attempt: attempt(2),
        until: at(9),
    };
    agent.apply(reserve, at(2)).unwrap();
    let back = Input::Lend {
        epoch: agent.epoch,
        from: elsewhere,
        to: home(),
    };
    assert_eq!(
        agent.apply(back, at(3)),
        Err(Refused::Stale),
        "not while reserved"
    );
    assert_eq!(agent.apply(lend(agent.epoch), at(3)), Err(Refused::Elsewhere));
}
