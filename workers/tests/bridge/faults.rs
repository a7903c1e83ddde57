//! Providers that fail in every way a script knows: calls go on, and nobody listens to silence for five seconds.

use std::{sync::Arc, time::Duration};

use voice_providers::{
    FaultKind, Provider,
    tools::{Action, TransferTarget},
};
use voice_schemas::events::{
    call::Carrier,
    media::{ChangeKind, ProviderChange},
};
use voice_simulator_providers::{Fault, Reply, Script, Scripts};
use voice_workers::{
    Ending,
    facts::Fact,
    hands::Deed,
    plan::{LastResort, Plan},
};

use crate::{
    call,
    carrier::Stream,
    platform::Answer,
    saying,
    world::{Wanted, World},
};

/// Nobody listens to silence for longer (RES-02).
const LIMIT: Duration = Duration::from_secs(5);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn talkative() -> Script {
    let say = |lasts| Reply::Say {
        text: "As I was saying, the appointment is next week.".to_owned(),
        lasts: ms(lasts),
    };
    Script::default().replying(vec![say(1_500), say(1_500)])
}

pub(crate) fn announcing(plan: &mut Plan) {
    let tone: Vec<i16> = (0..8_000)
        .map(|n| if n % 20 < 10 { 6_000 } else { -6_000 })
        .collect();
    plan.last_resort = LastResort {
        announcement: Some(Arc::from(tone)),
        transfer: Some(TransferTarget::Number {
            number: "+420555010199".to_owned(),
        }),
    };
}

fn changed(world: &World) -> Option<ProviderChange> {
    world.facts.all().into_iter().find_map(|fact| match fact {
        Fact::ProviderChanged(change) => Some(change),
        _ => None,
    })
}

/// The first connection by a script that fails, all others by one that does not.
async fn survives(provider: Provider, failing: Script, kind: ChangeKind) -> (World, Stream, ProviderChange) {
    let scripts = Scripts::in_turn(vec![failing, talkative()]);
    let world = World::new(Wanted::voices(vec![(provider, scripts)]).plan(announcing)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    // An answer comes from the session after.
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.wait_for(|_| changed(&world).is_some()).await;
    let change = changed(&world).unwrap();
    assert_eq!(change.kind, kind, "{provider}: {change:?}");
    let before = stream.received.len();
    stream.speak(900).await;
    stream
        .wait_for(|stream| stream.received.len() >= before + 8_000)
        .await;
    assert!(stream.stillest() < LIMIT, "{provider}: {:?}", stream.stillest());
    (world, stream, change)
}

async fn hangs_up(world: &World, mut stream: Stream) {
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
}

/// The connection is closed, vanishes, or the session has lived long enough: the same provider again, and the
/// conversation with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_breaks_is_opened_again_at_once() {
    let closed = Fault::Close {
        after: ms(1_000),
        code: 1011,
        reason: "Deadline expired".to_owned(),
    };
    let cases = [
        (Provider::OpenaiRealtime, closed.clone()),
        (Provider::OpenaiRealtime, Fault::Vanish { after: ms(1_000) }),
        (Provider::OpenaiRealtime, Fault::Expire { after: ms(1_000) }),
        (Provider::GeminiLive, closed.clone()),
        (Provider::DeepgramAgent, closed),
    ];
    let calls = cases.map(|(provider, fault)| async move {
        let (world, stream, change) =
            survives(provider, saying(2_500).with(fault), ChangeKind::Reconnect).await;
        assert!(change.gap_ms < 1_500, "{provider}: {change:?}");
        hangs_up(&world, stream).await;
    });
    futures::future::join_all(calls).await;
}

/// goAway: the next session takes up the handle before the end comes, and nothing of the answer is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_announced_is_forestalled() {
    let failing = saying(1_200).with(Fault::GoAway {
        after: ms(800),
        left: ms(30_000),
    });
    let (world, stream, change) = survives(Provider::GeminiLive, failing, ChangeKind::HandOver).await;
    assert!(change.gap_ms < 1_500, "{change:?}");
    hangs_up(&world, stream).await;
}

/// A provider that takes nothing any more, long enough for every buffer on the way to fill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_does_not_read_is_left() {
    let failing = saying(2_500).with(Fault::Deaf {
        after: ms(500),
        lasts: Duration::from_secs(120),
    });
    let scripts = Scripts::in_turn(vec![failing, talkative()]);
    let world = World::new(Wanted::voices(vec![(Provider::GeminiLive, scripts)])).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    // Nobody waits for an answer meanwhile.
    stream.wait_for(|_| changed(&world).is_some()).await;
    let change = changed(&world).unwrap();
    assert_eq!(change.kind, ChangeKind::Reconnect, "{change:?}");
    assert!(change.gap_ms < 2_000, "{change:?}");
    let before = stream.received.len();
    stream.speak(900).await;
    stream
        .wait_for(|stream| stream.received.len() >= before + 8_000)
        .await;
    hangs_up(&world, stream).await;
}

async fn moves(failing: Script) -> ProviderChange {
    let first = Scripts::all(failing);
    let second = Scripts::all(talkative());
    let voices = vec![(Provider::OpenaiRealtime, first), (Provider::GeminiLive, second)];
    let world = World::new(Wanted::voices(voices).plan(announcing)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 8_000).await;
    assert!(stream.stillest() < LIMIT, "{:?}", stream.stillest());
    let change = world.facts.change(ChangeKind::Failover).await;
    assert_eq!(
        (change.from.as_str(), change.to.as_str()),
        ("openai_realtime", "gemini_live")
    );
    hangs_up(&world, stream).await;
    change
}

/// What will fail the same way again moves to the next provider at once; what may not, within two seconds; and what
/// only keeps silent, within five.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_fails_is_replaced_by_the_next() {
    let cases = [
        (Fault::WrongFormat, "format_mismatch", 1_500),
        (Fault::Refuse { status: 401 }, "auth", 1_500),
        (Fault::Refuse { status: 503 }, "provider", 3_500),
        (Fault::NeverReady, "stalled", 3_500),
        (Fault::NeverAnswers, "stalled", 5_000),
    ];
    let calls = cases.map(|(fault, cause, within)| async move {
        let change = moves(talkative().with(fault.clone())).await;
        assert_eq!(change.cause, cause, "{fault:?}");
        assert!(change.gap_ms < within, "{fault:?}: {change:?}");
    });
    futures::future::join_all(calls).await;
}

/// The words of the conversation go along: the second provider knows what the caller said to the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_goes_deaf_in_the_middle_of_a_call_is_noticed() {
    let mut deaf = talkative();
    deaf.replies.truncate(1);
    let deaf = deaf.with(Fault::Deaf {
        after: ms(1_500),
        lasts: Duration::from_secs(120),
    });
    let voices = vec![
        (Provider::OpenaiRealtime, Scripts::all(deaf)),
        (Provider::DeepgramCascade, Scripts::all(talkative())),
    ];
    let world = World::new(Wanted::voices(voices).plan(announcing)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 12_000).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(200).await;
    stream.speak(1_200).await;
    let before = stream.received.len();
    stream
        .wait_for(|stream| stream.received.len() >= before + 8_000)
        .await;
    assert!(
        stream.stillest() < LIMIT + ms(1_200),
        "what the caller says is no silence"
    );
    let change = world.facts.change(ChangeKind::Failover).await;
    assert_eq!(
        (change.cause.as_str(), change.to.as_str()),
        ("stalled", "deepgram_cascade")
    );
    hangs_up(&world, stream).await;
}

/// Pongs that take eight seconds, and an answer that comes all at once, are no faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_pongs_and_bursts_are_survived_without_a_change() {
    let deaf = saying(9_000).with(Fault::Deaf {
        after: ms(500),
        lasts: Duration::from_secs(8),
    });
    let cases = [
        (Provider::OpenaiRealtime, deaf),
        (Provider::OpenaiRealtime, saying(9_000).with(Fault::Burst)),
    ];
    let calls = cases.map(|(provider, script)| async move {
        let world = World::new(Wanted::voices(vec![(provider, Scripts::all(script))])).await;
        let mut stream = call(&world, Carrier::Twilio).await;
        stream.be_silent(11_500).await;
        assert!(
            stream.received.len() >= 70_000,
            "{provider}: {} samples",
            stream.received.len()
        );
        assert_eq!(changed(&world), None, "{provider}");
        hangs_up(&world, stream).await;
    });
    futures::future::join_all(calls).await;
}

/// Nothing works: the caller hears a sentence within five seconds and is handed to a person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_provider_a_sentence_is_played_and_a_person_takes_over() {
    let dead = || Scripts::all(talkative().with(Fault::NeverReady));
    let voices = || vec![(Provider::OpenaiRealtime, dead()), (Provider::GeminiLive, dead())];
    let world = World::new(Wanted::voices(voices()).plan(announcing)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() == 8_000).await;
    assert!(stream.stillest() < LIMIT + ms(200), "{:?}", stream.stillest());
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(700).await;
    let (_, deed) = world.platform.deed("transfer_call").await;
    let Deed::Act(Action::TransferCall { target, .. }) = deed else {
        panic!("a person takes over")
    };
    assert!(matches!(target, TransferTarget::Number { .. }));
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Transferred);
    let change = world.facts.change(ChangeKind::LastResort).await;
    assert!(change.to.is_empty() && change.gap_ms <= 5_200, "{change:?}");
}

/// Nobody takes over either: the sentence is repeated while the platform tries, then the call ends with its cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_resort_that_fails_ends_the_call_with_the_providers_fault() {
    let wanted = Wanted::from(talkative().with(Fault::Refuse { status: 401 })).plan(announcing);
    let world = World::new(wanted.platform([("transfer_call", Answer::Hangs)])).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() == 16_000).await;
    assert!(stream.stillest() < LIMIT, "{:?}", stream.stillest());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(12);
    while stream.closed.is_none() && tokio::time::Instant::now() < deadline {
        stream.be_silent(100).await;
    }
    assert_eq!(stream.closed, Some((1013, "provider_failed".to_owned())));
    let stopped = world.facts.stopped().await;
    assert_eq!(stopped.ending, Ending::ProviderFailed(FaultKind::Auth));
}

/// RES-01: a provider that is dead for minutes costs the first calls their seconds and later ones nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_provider_is_dead_later_calls_do_not_wait_for_it() {
    let voices = vec![
        (
            Provider::OpenaiRealtime,
            Scripts::all(talkative().with(Fault::Refuse { status: 503 })),
        ),
        (Provider::GeminiLive, Scripts::all(talkative())),
    ];
    let world = World::new(Wanted::voices(voices).plan(announcing)).await;
    let mut waits = Vec::new();
    for number in 0..4_u8 {
        let path = format!("/media/twilio/{}", world.token(60, number));
        let mut stream = crate::open(world.address, &path).await.unwrap();
        stream.start().await;
        stream.wait_for(|stream| stream.received.len() >= 4_000).await;
        waits.push(stream.stillest());
        stream.stop().await;
    }
    assert!(waits.iter().all(|wait| *wait < LIMIT), "{waits:?}");
    assert!(waits[0] > ms(500), "{waits:?}");
    assert!(waits[2..].iter().all(|wait| *wait < ms(700)), "{waits:?}");
    let opened = world
        .facts
        .find(|fact| match fact {
            Fact::BreakerChanged(change) => Some(change.clone()),
            _ => None,
        })
        .await;
    assert_eq!((opened.provider, opened.to), (Provider::OpenaiRealtime, "open"));
}
