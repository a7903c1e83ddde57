//! The Deepgram cascade and the Voice Agent against their strict twins.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Call, KEY, Told, account, agent_words, ask, closes_with, say, session};
use voice_providers::{
    Account, Arguments, AudioFormat, Class, Command, DeepgramAgent, DeepgramCascade, Ending, FaultKind,
    ResponseStatus, Session, Speaker, Turns, Unit, deepgram_agent,
    deepgram_cascade::{ChatAccount, EarModel, Options},
};
use voice_simulator_providers::{Fault, Reply, Script};

const MIND: &str = "gpt-5.6-luna";

fn configured() -> Session {
    session(MIND, AudioFormat::PCMU, AudioFormat::PCMU)
}

fn cascade(account: &Account, session: Session, options: Options) -> Box<DeepgramCascade> {
    let mut base_url = account.base_url.join("/v1").unwrap();
    base_url.set_scheme("http").unwrap();
    let chat = ChatAccount {
        base_url,
        key: KEY.into(),
    };
    Box::new(DeepgramCascade::new(account.clone(), chat, session, options))
}

async fn ready(script: Script, options: Options) -> Call {
    let account = account(vec![script]).await;
    Call::ready(cascade(&account, configured(), options), AudioFormat::PCMU).await
}

fn nova() -> Options {
    Options {
        ear: Some(EarModel::Nova),
        ..Options::default()
    }
}

fn answers() -> Script {
    Script::default().replying(vec![
        say("Certainly. I will look it up.", 0),
        say("Here it is.", 0),
    ])
}

async fn talks(options: Options, ear: &str) {
    let mut call = ready(answers(), options).await;
    call.command(Command::Say("Good morning."));
    let greeting = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(agent_words(&greeting), ["Good morning."]);
    assert_eq!(call.audio_ms(None), 13 * 60 * 8);

    call.speak(400, 700).await;
    let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    let order: Vec<&Told> = answer
        .iter()
        .filter(|told| {
            matches!(
                told,
                Told::SpeechStarted | Told::SpeechStopped | Told::ResponseStarted
            )
        })
        .collect();
    assert_eq!(
        order,
        [&Told::SpeechStarted, &Told::SpeechStopped, &Told::ResponseStarted],
        "{ear}"
    );
    let heard = answer.iter().find(|told| told.is_final(Speaker::Caller)).unwrap();
    let Told::Transcript { text, language, .. } = heard else {
        panic!("{heard:?}")
    };
    assert_eq!(
        (text.as_str(), language.as_deref()),
        ("Yes, speaking.", Some("en")),
        "{ear}"
    );
    assert_eq!(
        agent_words(&answer),
        ["Here it is."],
        "the greeting was the first answer"
    );
    assert_eq!(
        answer.last(),
        Some(&Told::ResponseDone(ResponseStatus::Completed))
    );
    let models: Vec<&str> = call
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Usage { model, .. } => Some(model.as_str()),
            _ => None,
        })
        .collect();
    for model in [ear, MIND, "aura-2-thalia-en"] {
        assert!(models.contains(&model), "{models:?}");
    }
    let used = call.used();
    assert_eq!(used.get(Unit::SpokenCharacters), 13 + 11);
    assert!(used.get(Unit::RecognisedMs) >= 600 && used.get(Unit::TextIn) > 0);
    assert_eq!(call.faults(), []);
}

/// PRV-03
#[tokio::test]
async fn nova_hears_the_mind_answers_and_aura_speaks_in_the_format_of_the_telephone() {
    talks(nova(), "nova-3").await;
}

/// PRV-03
#[tokio::test]
async fn flux_hears_in_the_place_of_nova_where_it_knows_the_languages() {
    talks(Options::default(), "flux-general-multi").await;
}

#[tokio::test]
async fn a_goodbye_closes_every_socket() {
    let mut call = ready(answers(), nova()).await;
    call.command(Command::Close);
    assert_eq!(call.end().await, Ending::Asked);
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn what_was_thought_while_the_caller_was_about_to_finish_is_said_at_once() {
    let options = Options {
        eager_threshold: Some(0.5),
        ..Options::default()
    };
    let mut call = ready(answers(), options).await;
    call.speak(400, 240).await;
    call.until(|told| *told == Told::SpeechEnding).await;
    // It has thought to the end, and not said a word of it before the caller has finished.
    call.until(|told| matches!(told, Told::Usage { model, .. } if model == MIND))
        .await;
    assert!(!call.told.contains(&Told::ResponseStarted));
    call.speak(0, 400).await;
    let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(agent_words(&answer), ["Certainly. I will look it up."]);
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn what_was_thought_too_early_is_thrown_away_when_the_caller_goes_on() {
    let options = Options {
        eager_threshold: Some(0.5),
        ..Options::default()
    };
    let mut call = ready(answers(), options).await;
    call.speak(400, 240).await;
    call.until(|told| *told == Told::SpeechEnding).await;
    call.speak(200, 0).await;
    call.speak(0, 700).await;
    let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(
        answer
            .iter()
            .filter(|told| **told == Told::ResponseStarted)
            .count(),
        1
    );
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn an_interrupted_answer_stops_and_only_what_was_heard_of_it_is_remembered() {
    let long = "This is a very long story about everything and it goes on and on.";
    let script = Script {
        speed: 1,
        ..Script::default().replying(vec![say(long, 0), say("Yes?", 0)])
    };
    let mut call = ready(script, Options::default()).await;
    call.speak(400, 700).await;
    let begun = call.until(|told| matches!(told, Told::Audio { .. })).await;
    let Some(Told::Audio { item, .. }) = begun.last().cloned() else {
        panic!("{begun:?}")
    };
    call.speak(100, 0).await;
    call.until(|told| *told == Told::SpeechStarted).await;
    call.command(Command::Interrupt {
        item: Some(&item),
        heard_ms: 60,
    });
    let cut = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(cut.last(), Some(&Told::ResponseDone(ResponseStatus::Cancelled)));
    let spoken = call.audio_ms(Some(&item));
    call.speak(0, 700).await;
    let next = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(agent_words(&next), ["Yes?"]);
    assert_eq!(
        call.audio_ms(Some(&item)),
        spoken,
        "what was on its way is not heard"
    );
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_tool_is_asked_for_in_pieces_and_its_result_is_answered() {
    let replies = vec![
        ask("transfer_call", json!({"to": "sales"})),
        say("One moment.", 0),
    ];
    let mut call = ready(Script::default().replying(replies.clone()), Options::default()).await;
    call.speak(400, 700).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    let Some(Told::ToolCall { id, name, arguments }) = asked.last().cloned() else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (name.as_str(), arguments),
        ("transfer_call", Arguments::Complete(json!({"to": "sales"})))
    );
    call.command(Command::ToolResult {
        call: &id,
        name: &name,
        output: "{\"ok\":true}",
        answer: true,
    });
    let done = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(agent_words(&done), ["One moment."]);
    assert_eq!(call.faults(), []);

    let mut call = ready(
        Script::default().replying(replies).with(Fault::BrokenTools),
        nova(),
    )
    .await;
    call.speak(400, 700).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    assert!(
        matches!(
            asked.last(),
            Some(Told::ToolCall {
                arguments: Arguments::Broken,
                ..
            })
        ),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_turn_we_end_is_answered_by_either_ear() {
    for options in [nova(), Options::default()] {
        let session = Session {
            turns: Turns::Ours,
            ..configured()
        };
        let account = account(vec![answers()]).await;
        let mut call = Call::ready(cascade(&account, session, options), AudioFormat::PCMU).await;
        call.speak(400, 100).await;
        call.command(Command::EndTurn);
        let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
        assert_eq!(agent_words(&answer), ["Certainly. I will look it up."]);
    }
}

#[tokio::test]
async fn a_language_without_a_voice_and_a_mind_that_fails_are_told_before_anybody_waits_for_them() {
    let session = Session {
        languages: vec!["cs".to_owned()],
        ..configured()
    };
    let account = account(vec![answers()]).await;
    let mut call = Call::start(cascade(&account, session, Options::default()), AudioFormat::PCMU);
    assert_eq!(call.end().await, Ending::broken(FaultKind::Rejected));

    let mut base_url = account.base_url.join("/v1").unwrap();
    base_url.set_scheme("http").unwrap();
    let chat = ChatAccount {
        base_url,
        key: "wrong".into(),
    };
    let adapter = DeepgramCascade::new(account, chat, configured(), Options::default());
    let mut call = Call::ready(Box::new(adapter), AudioFormat::PCMU).await;
    call.command(Command::Respond { instructions: None });
    assert_eq!(call.end().await, Ending::broken(FaultKind::Auth));
}

#[tokio::test]
async fn a_mind_that_says_nothing_is_given_up_before_the_caller_gives_up() {
    let mut call = ready(answers().with(Fault::NeverAnswers), Options::default()).await;
    let began = tokio::time::Instant::now();
    call.command(Command::Respond { instructions: None });
    assert_eq!(call.end().await, Ending::broken(FaultKind::Stalled));
    assert!(began.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn either_socket_failing_ends_the_call_as_what_it_is() {
    for at in 0..2 {
        let mut scripts = vec![answers(), answers()];
        scripts[at] = answers().with(closes_with(1011, "NET-0000"));
        let account = account(scripts).await;
        let mut call = Call::start(cascade(&account, configured(), nova()), AudioFormat::PCMU);
        assert_eq!(call.end().await, Ending::broken(FaultKind::Provider));
    }
}

fn agent(account: &Account) -> Box<DeepgramAgent> {
    let options = deepgram_agent::Options::default();
    Box::new(DeepgramAgent::new(account.clone(), configured(), options))
}

async fn agent_call(script: Script) -> Call {
    let account = account(vec![script]).await;
    Call::ready(agent(&account), AudioFormat::PCMU).await
}

/// PRV-03
#[tokio::test]
async fn the_agent_listens_answers_and_is_interrupted() {
    let script = Script::default().replying(vec![say("Certainly.", 400), say("A very long story.", 20_000)]);
    let mut call = agent_call(script).await;
    call.command(Command::Say("Good morning."));
    let greeting = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(agent_words(&greeting), ["Good morning."]);
    assert!(greeting.iter().any(|told| matches!(told, Told::Latency(_))));
    call.speak(400, 500).await;
    let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    let order: Vec<&Told> = answer
        .iter()
        .filter(|told| {
            matches!(
                told,
                Told::SpeechStarted | Told::SpeechStopped | Told::ResponseStarted
            )
        })
        .collect();
    assert_eq!(
        order,
        [&Told::SpeechStarted, &Told::SpeechStopped, &Told::ResponseStarted]
    );
    call.speak(400, 500).await;
    call.until(|told| matches!(told, Told::Audio { .. })).await;
    call.speak(100, 0).await;
    let cut = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(cut.contains(&Told::Interrupted));
    assert_eq!(cut.last(), Some(&Told::ResponseDone(ResponseStatus::Cancelled)));
    assert_eq!(call.faults(), []);
    call.command(Command::Close);
    assert_eq!(call.end().await, Ending::Asked);
    assert!(call.used().get(Unit::SessionMs) > 0);
}

#[tokio::test]
async fn the_agent_asks_for_tools_and_its_failures_are_told_as_what_they_are() {
    let replies: Vec<Reply> = vec![
        ask("transfer_call", json!({"to": "sales"})),
        say("One moment.", 400),
    ];
    let mut call = agent_call(Script::default().replying(replies.clone())).await;
    call.speak(400, 500).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    let Some(Told::ToolCall { id, name, arguments }) = asked.last().cloned() else {
        panic!("{asked:?}")
    };
    assert_eq!(arguments, Arguments::Complete(json!({"to": "sales"})));
    call.command(Command::ToolResult {
        call: &id,
        name: &name,
        output: "{\"ok\":true}",
        answer: true,
    });
    call.until(|told| told.is_final(Speaker::Agent)).await;

    let mut call = agent_call(Script::default().replying(replies).with(Fault::BrokenTools)).await;
    call.speak(400, 500).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    assert!(
        matches!(
            asked.last(),
            Some(Told::ToolCall {
                arguments: Arguments::Broken,
                ..
            })
        ),
        "{asked:?}"
    );

    let after = Duration::from_millis(20);
    for (fault, kind) in [
        (Fault::Expire { after }, FaultKind::Provider),
        (closes_with(1011, "internal"), FaultKind::Provider),
        (Fault::Vanish { after }, FaultKind::Connection),
    ] {
        let mut call = agent_call(Script::default().with(fault.clone())).await;
        let ending = call.end().await;
        assert_eq!(ending, Ending::broken(kind), "{fault:?}");
        assert_eq!(kind.class(), Class::Retryable);
    }
}
