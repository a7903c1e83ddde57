//! Every provider through the whole bridge: the greeting is heard, the caller is understood, and may interrupt.

use std::time::Duration;

use voice_audio::g711::Law;
use voice_providers::{Provider, Speaker};
use voice_schemas::events::call::Carrier;
use voice_simulator_providers::{
    Reply, Script, Scripts,
    sound::{Format, speech},
};
use voice_workers::{Ending, facts::Fact};

use crate::{
    call, loud,
    world::{Wanted, World},
};

async fn talks_and_listens(provider: Provider) {
    let script = Script::default().replying(vec![
        Reply::Say {
            text: "Hello, this is a virtual assistant.".to_owned(),
            lasts: Duration::from_millis(1_200),
        },
        Reply::Say {
            text: "I am calling about your appointment next week, and I have a lot to say about it."
                .to_owned(),
            lasts: Duration::from_secs(20),
        },
    ]);
    let world = World::new(Wanted::voices(vec![(provider, Scripts::all(script))])).await;
    let mut stream = call(&world, Carrier::Twilio).await;

    // The greeting.
    let spoken =
        |stream: &crate::carrier::Stream| stream.received.chunks(160).filter(|frame| loud(frame)).count();
    stream.wait_for(|stream| spoken(stream) >= 55).await;
    stream.be_silent(600).await;
    let greeting: Vec<u8> = stream
        .received
        .chunks(160)
        .filter(|frame| loud(frame))
        .flatten()
        .copied()
        .collect();
    let expected = f64::from(Law::Mu.power(&speech(Format::PCMU, 0, 1_200)));
    let level = 10.0 * (f64::from(Law::Mu.power(&greeting)) / expected).log10();
    assert!(level.abs() < 1.0, "{provider}: {level} dB");

    // The caller.
    stream.speak(1_000).await;
    stream.be_silent(900).await;
    world
        .facts
        .utterance(|utterance| utterance.speaker == Speaker::Caller)
        .await;
    let said: Vec<String> = world
        .facts
        .all()
        .iter()
        .filter_map(|fact| match fact {
            Fact::Utterance(said) if said.speaker == Speaker::Caller => Some(said.text.clone()),
            _ => None,
        })
        .collect();
    // GPT-Live tells words and no turns: an answer may begin between two of them.
    assert!(
        "Yes, speaking.".starts_with(&said.join(" ")),
        "{provider}: {said:?}"
    );

    // An answer that is interrupted.
    let before = spoken(&stream);
    stream.wait_for(|stream| spoken(stream) >= before + 50).await;
    let clears = stream.clears.len();
    stream.speak(1_200).await;
    assert!(
        stream.clears.len() > clears,
        "{provider}: the line was not cleared"
    );
    stream.be_silent(100).await;
    assert!(
        stream.queued() < Duration::from_millis(800),
        "{provider}: {:?}",
        stream.queued()
    );
    let cut = world
        .facts
        .utterance(|utterance| utterance.speaker == Speaker::Agent && utterance.interrupted)
        .await;
    assert!(cut.heard_ms.unwrap() < 12_000, "{provider}: {cut:?}");

    stream.stop().await;
    let stopped = world.facts.stopped().await;
    assert_eq!(
        (stopped.ending, stopped.malformed),
        (Ending::Carrier, 0),
        "{provider}"
    );
    assert!(!stopped.usage.is_empty(), "{provider}");
    let pass_through = world
        .facts
        .all()
        .iter()
        .any(|fact| matches!(fact, Fact::Started(start) if start.pass_through));
    assert_eq!(pass_through, provider != Provider::GeminiLive, "{provider}");
    let changes = world
        .facts
        .all()
        .iter()
        .filter(|fact| matches!(fact, Fact::ProviderChanged(_)))
        .count();
    assert_eq!(changes, 0, "{provider}");
}

/// PRV-02: 16 kHz up, 24 kHz down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gemini_live_talks_and_listens() {
    talks_and_listens(Provider::GeminiLive).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gpt_live_talks_and_listens() {
    talks_and_listens(Provider::OpenaiLive).await;
}

/// PRV-03
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deepgrams_agent_talks_and_listens() {
    talks_and_listens(Provider::DeepgramAgent).await;
}

/// PRV-03
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deepgrams_ears_and_mouth_around_a_chat_model_talk_and_listen() {
    talks_and_listens(Provider::DeepgramCascade).await;
}
