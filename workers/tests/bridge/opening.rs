//! How a call begins: what must be said first, what picked up, and in which language it goes on.

use std::time::Duration;

use voice_providers::{Provider, Speaker};
use voice_schemas::events::{call::Carrier, media::FarEnd};
use voice_simulator_providers::{Heard, Reply, Script, Scripts};
use voice_turns::language;
use voice_workers::{Ending, facts::Fact, plan::Machine};

use crate::{
    call,
    world::{Wanted, World},
};

fn say(text: &str, ms: u64) -> Reply {
    Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    }
}

fn hearing(text: &str, language: &str) -> Vec<Heard> {
    vec![Heard {
        text: text.to_owned(),
        language: language.to_owned(),
    }]
}

const DISCLOSURE: &str = "You are talking to a virtual assistant.";

fn disclosed(world: &World) -> bool {
    world.facts.all().contains(&Fact::Disclosed)
}

/// AI disclosure: told once the caller has heard it, and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_machine_talks_is_told_when_it_was_heard() {
    let script = Script::default().replying(vec![say(&format!("Hello! {DISCLOSURE}"), 1_500)]);
    let wanted = Wanted::from(script).plan(|plan| plan.disclosure = Some(DISCLOSURE.to_owned()));
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 12_000).await;
    assert!(!disclosed(&world), "it is still being said");
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(200).await;
    world
        .facts
        .find(|fact| (*fact == Fact::Disclosed).then_some(()))
        .await;
    stream.stop().await;
    world.facts.stopped().await;
}

/// A caller who interrupts it hears it afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disclosure_that_was_talked_over_is_said_again() {
    let sentence = format!("Good morning and thank you for your time today, dear customer. {DISCLOSURE}");
    let script = Script::default().replying(vec![say(&sentence, 6_000), say(DISCLOSURE, 1_000)]);
    let wanted = Wanted::from(script).plan(|plan| plan.disclosure = Some(DISCLOSURE.to_owned()));
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream
        .wait_for(|stream| stream.queued() > Duration::from_secs(3))
        .await;
    stream.speak(900).await;
    world.facts.utterance(|said| said.interrupted).await;
    assert!(!disclosed(&world), "most of it was not heard");
    let before = stream.received.len();
    stream
        .wait_for(|stream| stream.received.len() >= before + 8_000)
        .await;
    stream.wait_for(|_| disclosed(&world)).await;
    stream.stop().await;
    world.facts.stopped().await;
}

fn beep() -> Vec<u8> {
    let tone: Vec<i16> = (0..3_200)
        .map(|n| (9_000.0 * (f64::from(n) * 1_000.0 * std::f64::consts::TAU / 8_000.0).sin()) as i16)
        .collect();
    let mut codes = Vec::new();
    voice_audio::g711::Law::Mu.encode(&tone, &mut codes);
    codes
}

/// Voicemail drop: the machine recites, beeps, and gets the message whole and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_gets_its_message_behind_the_beep() {
    let mut script = Script::default().replying(vec![
        say("Hello?", 500),
        say("What a nice message you have.", 4_000),
        say("This is the practice. Please call us back.", 1_500),
    ]);
    script.hears = hearing("Please leave a message after the tone.", "en");
    let wanted = Wanted::from(script).plan(|plan| {
        plan.machine = Some(Machine {
            message: Some("This is the practice. Please call us back.".to_owned()),
        });
    });
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    stream.be_silent(300).await;
    stream.speak(3_500).await;
    stream.be_silent(900).await;
    let verdict = world
        .facts
        .find(|fact| match fact {
            Fact::Verdict(verdict) => Some(verdict.clone()),
            _ => None,
        })
        .await;
    assert_eq!(verdict.likely, FarEnd::Machine, "{verdict:?}");
    assert!(verdict.probabilities.machine > 0.85);
    let before = stream.received.len();
    stream.say(&beep()).await;
    stream
        .wait_for(|stream| stream.received.len() >= before + 12_000)
        .await;
    let closed = stream.until_closed().await;
    assert_eq!(closed, (1000, "machine".to_owned()));
    assert_eq!(
        stream.received.len(),
        before + 12_000,
        "the message and nothing else"
    );
    world.platform.deed("hang_up").await;
    let stopped = world.facts.stopped().await;
    assert_eq!(stopped.ending, Ending::Machine);
    let left = world
        .facts
        .utterance(|said| said.speaker == Speaker::Agent && said.text.contains("practice"))
        .await;
    assert_eq!((left.heard_ms, left.interrupted), (Some(1_500), false));
}

/// A person is no machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_says_hello_is_taken_for_one() {
    let wanted = Wanted::default().plan(|plan| plan.machine = Some(Machine { message: None }));
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Telnyx).await;
    stream.speak(700).await;
    stream.be_silent(1_800).await;
    let verdict = world
        .facts
        .find(|fact| match fact {
            Fact::Verdict(verdict) => Some(verdict.clone()),
            _ => None,
        })
        .await;
    assert_eq!(verdict.likely, FarEnd::Human, "{verdict:?}");
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
}

/// EN, ES, CS: a provider that has no Czech hands over to one that has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_speaks_czech_is_answered_by_somebody_who_does() {
    let mut script = Script::default().replying(vec![say("Hello.", 600)]);
    script.hears = hearing("Dobrý den, mluvíte česky?", "cs");
    let czech = Script::default().replying(vec![say("Ano, dobrý den.", 900)]);
    let voices = vec![
        (Provider::DeepgramCascade, Scripts::all(script)),
        (Provider::GeminiLive, Scripts::all(czech)),
    ];
    let wanted = Wanted::voices(voices).plan(|plan| {
        plan.languages = Some(language::Policy::of(&["en", "es", "cs"]));
        // An ear for English alone would not tell.
        plan.voices[0].session.languages = vec!["en".to_owned(), "es".to_owned()];
        plan.voices[1].session.languages = vec!["en".to_owned(), "cs".to_owned()];
    });
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| !stream.received.is_empty()).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(300).await;
    stream.speak(900).await;
    let changed = Fact::LanguageChanged("cs".to_owned());
    stream.wait_for(|_| world.facts.all().contains(&changed)).await;
    let change = || {
        world.facts.all().into_iter().find_map(|fact| match fact {
            Fact::ProviderChanged(change) => Some(change),
            _ => None,
        })
    };
    stream.wait_for(|_| change().is_some()).await;
    let change = change().unwrap();
    assert_eq!(
        (change.cause.as_str(), change.to.as_str()),
        ("language", "gemini_live")
    );
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
}
