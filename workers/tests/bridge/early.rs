//! Sessions that stand before their calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use voice_providers::Provider;
use voice_schemas::events::call::Carrier;
use voice_simulator_providers::{Fault, Script, Scripts};
use voice_workers::{facts::Fact, plan::Recording};

use crate::{
    call, nth_call,
    world::{PATIENCE, Wanted, World},
};

/// Two sessions at most stand before their calls.
fn two(provider: Provider, scripts: &Scripts) -> Wanted {
    let wanted = Wanted::voices(vec![(provider, scripts.clone())]);
    Wanted { early: 2, ..wanted }.plan(|plan| plan.recording = Recording::Off)
}

fn refused() -> Script {
    Script::default().with(Fault::Refuse { status: 503 })
}

/// Waits until so many sessions stand and wait.
async fn standing(world: &World, count: u32) {
    let line = format!("media_sessions_waiting {count}");
    let stands = async {
        while !world.metrics.render().lines().any(|told| told == line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stands)
        .await
        .unwrap_or_else(|_| panic!("never: {line}\n{}", world.metrics.render()));
}

fn counted(world: &World, kind: &str) -> bool {
    let line = format!("media_sessions_early_total{{kind=\"{kind}\"}}");
    world.metrics.render().lines().any(|told| told.starts_with(&line))
}

/// PRV: the provider takes no connection any more, and the next two callers do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_callers_are_greeted_by_sessions_that_stood_before_they_called() {
    for provider in [Provider::OpenaiRealtime, Provider::GeminiLive] {
        let usual = Script::default();
        let scripts = Scripts::in_turn(vec![usual.clone(), usual.clone(), usual, refused()]);
        let world = World::new(two(provider, &scripts)).await;
        let mut first = call(&world, Carrier::Twilio).await;
        first.wait_for(|stream| stream.received.len() >= 800).await;
        standing(&world, 2).await;
        for number in [2, 3] {
            let mut next = nth_call(&world, Carrier::Twilio, number).await;
            next.wait_for(|stream| stream.received.len() >= 800).await;
            next.stop().await;
        }
        first.stop().await;
        assert!(counted(&world, "taken"), "{provider}");
    }
}

/// What stands was agreed on with the agent as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_has_changed_is_spoken_for_by_no_session_from_before() {
    let scripts = Scripts::all(Script::default());
    let calls = Arc::new(AtomicU32::new(0));
    let wanted = two(Provider::OpenaiRealtime, &scripts).plan(move |plan| {
        plan.recording = Recording::Off;
        plan.voices[0].session.instructions = format!("Be brief: {}", calls.fetch_add(1, Ordering::Relaxed));
    });
    let world = World::new(wanted).await;
    let mut first = call(&world, Carrier::Twilio).await;
    standing(&world, 2).await;
    let mut second = nth_call(&world, Carrier::Twilio, 2).await;
    second.wait_for(|stream| stream.received.len() >= 800).await;
    assert!(!counted(&world, "taken"));
    second.stop().await;
    first.stop().await;
}

/// One that broke while nobody was there costs nobody anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_broke_while_it_waited_is_given_to_no_call() {
    let close = Fault::Close {
        after: Duration::from_millis(500),
        code: 1011,
        reason: "internal".to_owned(),
    };
    // Which of the three connections is the caller's own is not known.
    let breaks = Script::default().with(close);
    let scripts = Scripts::in_turn(vec![breaks.clone(), breaks.clone(), breaks, Script::default()]);
    let world = World::new(two(Provider::OpenaiRealtime, &scripts)).await;
    let mut first = call(&world, Carrier::Twilio).await;
    standing(&world, 2).await;
    first.stop().await;
    standing(&world, 0).await;
    assert!(counted(&world, "broken"));
    let before = world.facts.all().len();
    let mut second = nth_call(&world, Carrier::Twilio, 2).await;
    second.wait_for(|stream| stream.received.len() >= 800).await;
    assert!(!counted(&world, "taken"));
    let changed = |fact: &Fact| matches!(fact, Fact::ProviderChanged(_));
    assert!(!world.facts.all()[before..].iter().any(changed));
    second.stop().await;
}

/// Where time is paid for, a session is opened when there is somebody to talk to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_waits_where_waiting_costs() {
    let scripts = Scripts::all(Script::default());
    let world = World::new(two(Provider::OpenaiLive, &scripts)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 8_000).await;
    assert_eq!(scripts.taken(), 1);
    stream.stop().await;
}
