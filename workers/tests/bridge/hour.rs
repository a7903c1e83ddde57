//! Calls that outlive the sessions of their providers. Time is stopped and jumps, so an hour is over in seconds.

use std::time::Duration;

use tokio::time::Instant;
use voice_providers::{Provider, Speaker};
use voice_schemas::events::{
    call::Carrier,
    media::{ChangeKind, ProviderChange},
};
use voice_simulator_providers::{Fault, Heard, Reply, Script, Scripts};
use voice_workers::{Ending, facts::Fact};

use crate::{
    call,
    carrier::Stream,
    world::{Wanted, World},
};

/// The longest gap a caller takes for a pause.
const NO_GAP: Duration = Duration::from_secs(1);
/// What the provider grants a session.
const HOUR: Duration = Duration::from_secs(60 * 60);

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn say(text: &str, lasts: Duration) -> Reply {
    Reply::Say {
        text: text.to_owned(),
        lasts,
    }
}

fn session(hears: &str, replies: Vec<Reply>) -> Script {
    Script {
        hears: vec![Heard {
            text: hears.to_owned(),
            language: "en".to_owned(),
        }],
        ..Script::default().replying(replies)
    }
}

fn changes(world: &World) -> Vec<ProviderChange> {
    let changes = world.facts.all().into_iter().filter_map(|fact| match fact {
        Fact::ProviderChanged(change) => Some(change),
        _ => None,
    });
    changes.collect()
}

/// What both said, in order, as it was told.
fn told(world: &World) -> Vec<(u32, Speaker, String)> {
    let told = world.facts.all().into_iter().filter_map(|fact| match fact {
        Fact::Utterance(said) => Some((said.number, said.speaker, said.text)),
        _ => None,
    });
    told.collect()
}

async fn hears_it_out(stream: &mut Stream) {
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(300).await;
}

/// Waits without a word until the session was replaced.
async fn until_replaced(world: &World, stream: &mut Stream, at_the_latest: Instant) -> ProviderChange {
    while changes(world).is_empty() {
        assert!(Instant::now() < at_the_latest, "the session was not replaced");
        stream.pause(Duration::from_secs(1)).await;
    }
    changes(world).remove(0)
}

/// RES-02: five minutes before its hour is over the session is replaced in a quiet moment by one that knows what was
/// said.
#[tokio::test(start_paused = true)]
async fn a_call_outlives_the_hour_of_its_session_without_a_gap() {
    let second = Duration::from_secs(1);
    let greeting = say("Hello, this is a virtual assistant.", second);
    let first = session(
        "Yes, speaking.",
        vec![greeting, say("I am calling about your boiler.", second)],
    );
    let next = session("When will you come?", vec![say("On Tuesday at nine.", second)]);
    let expiring = |script: Script| script.with(Fault::Expire { after: HOUR });
    let scripts = Scripts::in_turn(vec![expiring(first), expiring(next)]);
    let wanted = Wanted::voices(vec![(Provider::OpenaiRealtime, scripts)]);
    let world = World::new(wanted.stopped()).await;
    let door = world.doors[0].clone();
    let began = Instant::now();
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 8_000).await;
    hears_it_out(&mut stream).await;
    let usual = stream.ask(900).await;
    hears_it_out(&mut stream).await;

    stream.pause(minutes(54)).await;
    assert_eq!((door.visits().len(), changes(&world).len()), (1, 0));
    let change = until_replaced(&world, &mut stream, began + HOUR).await;
    let replaced = began.elapsed();
    assert!(replaced >= minutes(55) && replaced < minutes(56), "{replaced:?}");
    assert_eq!(
        (change.kind, change.cause.as_str(), change.gap_ms, change.lost_ms),
        (ChangeKind::HandOver, "expired", 0, 0)
    );
    let answered = stream.ask(900).await;
    assert!(answered < usual + NO_GAP, "{answered:?}, before {usual:?}");
    hears_it_out(&mut stream).await;

    // The provider's hour passes, and with it the session that is not used any more.
    stream.pause(HOUR - began.elapsed() + second).await;
    assert_eq!((door.visits().len(), door.live()), (2, 1));
    let answered = stream.ask(900).await;
    assert!(answered < usual + NO_GAP, "{answered:?}, before {usual:?}");
    hears_it_out(&mut stream).await;
    assert_eq!(changes(&world).len(), 1);

    let took_over = &door.visits()[1];
    for words in [
        "Hello, this is a virtual assistant.",
        "Yes, speaking.",
        "I am calling about your boiler.",
    ] {
        assert!(took_over.says(&["conversation.item.create", words]), "{words}");
    }
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    let told = told(&world);
    let wanted = [
        "Hello, this is a virtual assistant.",
        "Yes, speaking.",
        "I am calling about your boiler.",
        "When will you come?",
        "On Tuesday at nine.",
        "When will you come?",
        "On Tuesday at nine.",
    ];
    assert_eq!(
        told.iter().map(|(_, _, text)| text.as_str()).collect::<Vec<_>>(),
        wanted
    );
    assert!(
        told.iter()
            .zip(1..)
            .all(|((number, ..), wanted)| *number == wanted)
    );
    assert_eq!(door.live(), 0);
}

/// An agent that talks without a pause is replaced all the same, while the caller hears what it has said before.
#[tokio::test(start_paused = true)]
async fn an_agent_that_never_pauses_is_replaced_a_minute_before_the_end() {
    let long = "And now I will read all of the terms and conditions to you.";
    let second = Duration::from_secs(1);
    let first = session("Please do.", vec![say("Hello.", second), say(long, minutes(6))]);
    let next = session("Thank you.", vec![say("You are welcome.", second)]);
    let scripts = Scripts::in_turn(vec![first.with(Fault::Expire { after: HOUR }), next]);
    let wanted = Wanted::voices(vec![(Provider::OpenaiRealtime, scripts)]);
    let world = World::new(wanted.stopped()).await;
    let door = world.doors[0].clone();
    let began = Instant::now();
    let mut stream = call(&world, Carrier::Telnyx).await;
    stream.wait_for(|stream| stream.received.len() >= 8_000).await;
    hears_it_out(&mut stream).await;
    stream.pause(minutes(54)).await;
    stream.ask(900).await;
    stream.watch_stillness();
    let change = until_replaced(&world, &mut stream, began + HOUR).await;
    let replaced = began.elapsed();
    assert!(
        replaced >= minutes(59) && replaced < minutes(59) + Duration::from_secs(15),
        "{replaced:?}"
    );
    assert_eq!((change.kind, change.gap_ms), (ChangeKind::HandOver, 0));
    assert!(
        stream.queued() > Duration::from_secs(10),
        "it is still being heard"
    );
    stream.wait_for_long(|stream| stream.queued().is_zero()).await;
    assert!(stream.stillest() < NO_GAP, "{:?}", stream.stillest());
    assert!(began.elapsed() > HOUR);
    stream.be_silent(300).await;
    let answered = stream.ask(900).await;
    assert!(answered < Duration::from_secs(2), "{answered:?}");
    hears_it_out(&mut stream).await;
    assert_eq!((door.visits().len(), door.live()), (2, 1));
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    let said: Vec<String> = told(&world).into_iter().map(|(.., text)| text).collect();
    assert_eq!(
        said,
        ["Hello.", "Please do.", long, "Thank you.", "You are welcome."]
    );
}

/// goAway in the middle of a call: another connection takes up the same session, and nothing has to be told again.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_announced_to_end_is_resumed_before_it_does() {
    let second = Duration::from_secs(1);
    let first = session(
        "Yes, speaking.",
        vec![say("Hello.", second), say("It is about your boiler.", second)],
    );
    let first = first.with(Fault::GoAway {
        after: minutes(4),
        left: minutes(1),
    });
    let next = session("When?", vec![say("On Tuesday.", second)]);
    let scripts = Scripts::in_turn(vec![first, next]);
    let wanted = Wanted::voices(vec![(Provider::GeminiLive, scripts)]);
    let world = World::new(wanted.stopped()).await;
    let door = world.doors[0].clone();
    let began = Instant::now();
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 7_990).await;
    hears_it_out(&mut stream).await;
    let usual = stream.ask(900).await;
    hears_it_out(&mut stream).await;
    stream.pause(minutes(4) - began.elapsed() - second).await;
    assert_eq!(changes(&world), []);
    let change = until_replaced(&world, &mut stream, began + minutes(5)).await;
    assert!(began.elapsed() < minutes(4) + Duration::from_secs(5));
    assert_eq!(change.kind, ChangeKind::HandOver);
    assert!(change.gap_ms < 1_000, "{change:?}");
    let answered = stream.ask(900).await;
    assert!(answered < usual + NO_GAP, "{answered:?}, before {usual:?}");
    hears_it_out(&mut stream).await;
    stream.pause(minutes(5) - began.elapsed() + second).await;
    assert_eq!((door.visits().len(), door.live()), (2, 1));
    let took_over = &door.visits()[1];
    assert!(took_over.says(&["\"setup\"", "\"handle\":\"handle-1-"]));
    assert!(!took_over.says(&["Yes, speaking."]), "the session knows");
    assert_eq!(changes(&world).len(), 1);
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    let said: Vec<String> = told(&world).into_iter().map(|(.., text)| text).collect();
    assert_eq!(
        said,
        [
            "Hello.",
            "Yes, speaking.",
            "It is about your boiler.",
            "When?",
            "On Tuesday."
        ]
    );
}
