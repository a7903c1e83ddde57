//! The whole worker between a carrier and the twin of a provider, in real time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod carrier;
mod early;
mod faults;
mod hour;
mod opening;
mod outage;
mod platform;
mod providers;
mod relay;
mod tools;
mod world;

use std::time::Duration;

use voice_audio::g711::Law;
use voice_providers::Speaker;
use voice_schemas::events::call::Carrier;
use voice_simulator_providers::{
    Reply, Script,
    sound::{Format, speech},
};
use voice_turns::interruption::Policy;
use voice_workers::{Ending, facts::Fact};

use crate::{
    carrier::open,
    world::{Wanted, World},
};

const LOUD: u32 = 200_000;

fn loud(codes: &[u8]) -> bool {
    Law::Mu.power(codes) > LOUD
}

fn saying(lasts_ms: u64) -> Script {
    Script::default().replying(vec![Reply::Say {
        text: "Hello, this is a virtual assistant. Call me back on 555 010 0199.".to_owned(),
        lasts: Duration::from_millis(lasts_ms),
    }])
}

/// A provider that is not asked to greet.
fn mute() -> Wanted {
    Wanted::default().plan(|plan| plan.greeting = None)
}

async fn call(world: &World, carrier: Carrier) -> carrier::Stream {
    nth_call(world, carrier, 1).await
}

/// A stream with a token of its own.
async fn nth_call(world: &World, carrier: Carrier, number: u8) -> carrier::Stream {
    let mut stream = open(
        world.address,
        &format!("/media/{carrier}/{}", world.token(60, number)),
    )
    .await
    .unwrap();
    stream.start().await;
    stream
}

/// PRV, TEL: the greeting reaches the caller as the provider made it, and everything about it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_passes_through_unchanged_and_is_accounted_for() {
    for carrier in [Carrier::Twilio, Carrier::Telnyx] {
        let world = World::new(Wanted::from(saying(800))).await;
        let mut stream = call(&world, carrier).await;
        stream.wait_for(|stream| stream.received.len() >= 6_400).await;
        stream.wait_for(|stream| stream.queued().is_zero()).await;
        stream.be_silent(100).await;
        assert_eq!(stream.received, speech(Format::PCMU, 0, 800), "{carrier}");
        stream.stop().await;

        let stopped = world.facts.stopped().await;
        assert_eq!(stopped.ending, Ending::Carrier);
        assert_eq!((stopped.lost.missing, stopped.malformed), (0, 0));
        assert!(!stopped.usage.is_empty(), "the provider says what it costs");
        let said = world
            .facts
            .utterance(|utterance| utterance.speaker == Speaker::Agent)
            .await;
        assert_eq!((said.heard_ms, said.generated_ms), (Some(800), Some(800)));
        assert_eq!(
            said.text,
            "Hello, this is a virtual assistant. Call me back on [number]."
        );
        assert_eq!(said.heard, said.text);
        assert!(!said.interrupted);
        let turn = world
            .facts
            .find(|fact| match fact {
                Fact::Turn(turn) => Some(turn.times),
                _ => None,
            })
            .await;
        assert!(turn.unprompted && !turn.interrupted);
        assert!(turn.bridge_us.unwrap() < 50_000, "{turn:?}");
        assert!(turn.first_mark_us.unwrap() >= turn.first_byte_out_us.unwrap());
        assert!(
            matches!(world.facts.all().first(), Some(Fact::Started(start)) if start.pass_through && start.recorded)
        );
        assert!(stopped.micros > 0);

        let (left, right) = world.recording(&stopped.recording.unwrap()).await;
        assert_eq!(left.len() as u64, stopped.frames * 160);
        assert!(!loud(&left));
        let begins = right.iter().position(|code| *code != 0xFF).unwrap();
        assert!(
            right[begins..].starts_with(&speech(Format::PCMU, 0, 800)[1..])
                || loud(&right[begins..begins + 6_400])
        );
    }
}

/// The caller talks over the agent: silence at once, and the provider remembers what was heard and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_clears_the_line_and_tells_the_truth_about_what_was_heard() {
    let world = World::new(Wanted::from(saying(6_000))).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream
        .wait_for(|stream| stream.queued() > Duration::from_secs(4))
        .await;
    stream.be_silent(500).await;
    stream.speak(900).await;
    stream.wait_for(|stream| !stream.clears.is_empty()).await;
    let said = world.facts.utterance(|utterance| utterance.interrupted).await;
    let (heard, generated) = (said.heard_ms.unwrap(), said.generated_ms.unwrap());
    assert!(heard > 400 && heard < 4_000, "{heard} of {generated}");
    assert!(said.text.starts_with(&said.heard) && said.heard.len() < said.text.len());
    // What the carrier played is what was said to have been heard, to within a mark.
    let played = u64::try_from(stream.received.len()).unwrap() / 8;
    assert!(
        stream.clears.len() == 1 && played + 250 >= heard,
        "{played} {heard}"
    );

    // The provider took the truncation, and answers the caller.
    let before = stream.received.len();
    stream
        .wait_for(|stream| stream.received.len() > before + 8_000)
        .await;
    stream.stop().await;
    let stopped = world.facts.stopped().await;
    assert_eq!(stopped.malformed, 0);
    let (left, right) = world.recording(&stopped.recording.unwrap()).await;
    assert_eq!(left.len(), right.len());
    // Where the caller spoke, the agent soon did not.
    let spoke = left.chunks(160).position(loud).unwrap() * 160;
    let after = spoke + 4_000;
    assert!(!loud(&right[after..after + 1_600]));
    assert!(loud(&left[after..after + 1_600]));
}

/// A cough: the agent falls silent and goes on where it stopped, and the caller has heard everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cough_is_taken_back_and_nothing_of_the_answer_is_lost() {
    let policy = Policy {
        confirm: Duration::from_millis(250),
        ..Policy::default()
    };
    let wanted = Wanted::from(saying(3_000)).plan(move |plan| plan.interruption = policy);
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 24_000).await;
    // Loud enough for the local ear, too quiet for the provider's.
    let noise: Vec<i16> = (0..800).map(|n| if n % 20 < 10 { 300 } else { -300 }).collect();
    let mut cough = Vec::new();
    Law::Mu.encode(&noise, &mut cough);
    stream.say(&cough).await;
    stream.wait_for(|stream| !stream.clears.is_empty()).await;
    stream
        .wait_for(|stream| stream.queued() > Duration::from_millis(500))
        .await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(100).await;
    let played = stream.received.len();
    // A clear and its undoing repeat or lose no more than the way to the carrier takes.
    assert!(played.abs_diff(24_000) < 800, "{played}");
    stream.stop().await;
    let said = world
        .facts
        .utterance(|utterance| utterance.speaker == Speaker::Agent)
        .await;
    assert!(!said.interrupted);
    assert_eq!((said.heard_ms, said.generated_ms), (Some(3_000), Some(3_000)));
}

/// TEL: order restored, gaps counted, damage skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_telnyx_are_put_in_order_and_malformed_ones_skipped() {
    let world = World::new(mute()).await;
    let mut stream = call(&world, Carrier::Telnyx).await;
    let audio: Vec<u8> = (0..60_u8).flat_map(|frame| [frame; 160]).collect();
    let frame = |number: u64| &audio[number as usize * 160..(number as usize + 1) * 160];
    for pair in 0..30_u64 {
        let (first, second) = (2 * pair, 2 * pair + 1);
        for number in [second, first] {
            // The first frame opens the order.
            let number = if pair == 0 { 1 - number } else { number };
            stream.frame(number, frame(number)).await;
        }
        stream.raw("{\"event\":\"media\",\"media\":{}}".to_owned()).await;
    }
    stream.stop().await;
    let stopped = world.facts.stopped().await;
    assert_eq!(
        (stopped.frames, stopped.lost.missing, stopped.lost.late),
        (60, 0, 0)
    );
    assert_eq!((stopped.lost.waited, stopped.malformed), (29, 30));
    let (left, _) = world.recording(&stopped.recording.unwrap()).await;
    assert_eq!(left, audio);
}

/// A stream without a valid token is refused before the upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_fresh_token_opens_a_stream_and_only_once() {
    let world = World::new(Wanted { calls: 1, ..mute() }).await;
    let refused = |path: String| {
        let address = world.address;
        async move { open(address, &path).await.err() }
    };
    let good = world.token(60, 1);
    assert_eq!(refused("/media/vonage/x".to_owned()).await, Some(404));
    assert_eq!(refused(format!("/media/twilio/{good}/more")).await, Some(404));
    assert_eq!(refused("/media/twilio/x".to_owned()).await, Some(403));
    assert_eq!(
        refused(format!("/media/twilio/{}", world.token(-5, 2))).await,
        Some(403)
    );
    let forged = format!("{}A", &good[..good.len() - 1]);
    if forged != good {
        assert_eq!(refused(format!("/media/twilio/{forged}")).await, Some(403));
    }
    let mut stream = open(world.address, &format!("/media/twilio/{good}"))
        .await
        .unwrap();
    stream.start().await;
    stream.be_silent(40).await;
    stream.stop().await;
    world.facts.stopped().await;
    let again = refused(format!("/media/twilio/{good}")).await;
    assert_eq!(again, Some(403), "used before");
}

/// Bad input: an unknown event or codec closes with a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_event_or_codec_ends_the_stream_with_its_reason() {
    let world = World::new(mute()).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.raw(r#"{"event":"video"}"#.to_owned()).await;
    assert_eq!(stream.until_closed().await, (1008, "unknown_event".to_owned()));
    assert_eq!(world.facts.stopped().await.ending, Ending::UnknownEvent);

    let mut stream = open(world.address, &format!("/media/telnyx/{}", world.token(60, 9)))
        .await
        .unwrap();
    stream
        .raw(r#"{"event":"start","stream_id":"S","start":{"call_control_id":"C","media_format":{"encoding":"AMR-WB","sample_rate":16000,"channels":1}}}"#.to_owned())
        .await;
    assert_eq!(stream.until_closed().await, (1003, "unknown_format".to_owned()));
}

/// Transcoding: 24 kHz at the provider, µ-law on the line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_speaks_another_format_is_heard_at_the_right_speed() {
    let world = World::new(Wanted {
        transcode: true,
        ..Wanted::from(saying(1_000))
    })
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 7_990).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    assert_eq!(stream.received.len(), 8_000);
    let expected = f64::from(Law::Mu.power(&speech(Format::PCMU, 0, 1_000)));
    let level = 10.0 * (f64::from(Law::Mu.power(&stream.received)) / expected).log10();
    assert!(level.abs() < 0.5, "{level} dB");
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.malformed, 0);
}

/// Drain: no new call, and the live one ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_told_to_stop_lets_the_live_call_end() {
    let world = World::new(Wanted::from(saying(400))).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| !stream.received.is_empty()).await;
    let lifecycle = world.lifecycle.clone();
    let stopping = tokio::spawn(async move { lifecycle.run_until(async {}).await });
    stream.wait_for(|stream| stream.received.len() >= 3_200).await;
    stream.be_silent(400).await;
    assert_eq!(stream.closed, None, "the call goes on");
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    let report = stopping.await.unwrap();
    assert!(report.unfinished.is_empty(), "{report:?}");
}

/// Drain: a call that does not end is ended when the time is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_outlives_the_drain_is_ended_with_a_reason() {
    let world = World::new(Wanted {
        drain_seconds: 0,
        ..Wanted::default()
    })
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| !stream.received.is_empty()).await;
    let lifecycle = world.lifecycle.clone();
    let stopping = tokio::spawn(async move { lifecycle.run_until(async {}).await });
    assert_eq!(stream.until_closed().await, (1013, "stopped".to_owned()));
    assert_eq!(world.facts.stopped().await.ending, Ending::Stopped);
    stopping.await.unwrap();
}
