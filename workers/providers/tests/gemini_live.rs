//! Gemini Live against its strict twin: turns with several ends, handles, goAway and failures.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Call, Told, account, agent_words, ask, closes_with, say, session};
use voice_providers::{
    Account, Arguments, AudioFormat, Command, Ending, FaultKind, GeminiLive, ResponseStatus, Said, Session,
    Speaker, Turns, Unit, gemini_live::Options,
};
use voice_simulator_providers::{Fault, Script};

const MODEL: &str = "gemini-3.8-live";

fn configured() -> Session {
    session(MODEL, AudioFormat::PCM_16K, AudioFormat::PCM_24K)
}

fn at(account: &Account, session: Session) -> Box<GeminiLive> {
    Box::new(GeminiLive::new(account.clone(), session, Options::default()))
}

async fn ready(script: Script) -> Call {
    let account = account(vec![script]).await;
    Call::ready(at(&account, configured()), AudioFormat::PCM_16K).await
}

/// PRV-02
#[tokio::test]
async fn the_agent_greets_listens_and_answers_and_a_turn_with_two_ends_ends_once() {
    let script = Script::default().replying(vec![say("Good morning.", 600), say("Certainly.", 400)]);
    let mut call = ready(script).await;
    call.command(Command::Respond {
        instructions: Some("Greet the caller."),
    });
    let greeting = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(
        greeting.last(),
        Some(&Told::ResponseDone(ResponseStatus::Completed))
    );
    assert_eq!(agent_words(&greeting), ["Good morning."]);
    assert_eq!(call.audio_ms(None), 600 * 48);

    call.speak(400, 600).await;
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
    let heard = answer.iter().find(|told| told.is_final(Speaker::Caller)).unwrap();
    let Told::Transcript { text, language, .. } = heard else {
        panic!("{heard:?}")
    };
    assert_eq!(
        (text.as_str(), language.as_deref()),
        ("Yes, speaking.", Some("en"))
    );
    let used = call.used();
    assert_eq!(used.get(Unit::AudioOut), 80);
    assert_eq!(used.get(Unit::TextOut), 6, "thoughts are text");
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn an_interrupted_answer_is_cancelled_and_one_we_cut_is_muted_until_its_end() {
    let script = Script::default().replying(vec![
        say("A very long story.", 20_000),
        say("Another one.", 4_000),
    ]);
    let mut call = ready(script).await;
    call.command(Command::Say("A very long story."));
    call.until(|told| matches!(told, Told::Audio { .. })).await;
    call.speak(100, 0).await;
    let cut = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(cut.contains(&Told::Interrupted));
    assert_eq!(cut.last(), Some(&Told::ResponseDone(ResponseStatus::Cancelled)));

    call.speak(0, 600).await;
    let begun = call.until(|told| matches!(told, Told::Audio { .. })).await;
    let Some(Told::Audio { item, .. }) = begun.last().cloned() else {
        panic!("{begun:?}")
    };
    call.command(Command::Interrupt {
        item: Some(&item),
        heard_ms: 20,
    });
    let rest = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(
        !rest.iter().any(|told| matches!(told, Told::Audio { .. })),
        "{rest:?}"
    );
    assert_eq!(rest.last(), Some(&Told::ResponseDone(ResponseStatus::Cancelled)));
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_tool_is_asked_for_and_what_is_no_object_is_broken() {
    let replies = vec![
        ask("transfer_call", json!({"to": "sales"})),
        say("One moment.", 400),
    ];
    let mut call = ready(Script::default().replying(replies.clone())).await;
    call.speak(400, 600).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    let Some(Told::ToolCall { id, name, arguments }) = asked.last().cloned() else {
        panic!("{asked:?}")
    };
    assert_eq!(arguments, Arguments::Complete(json!({"to": "sales"})));
    call.command(Command::ToolResult {
        call: &id,
        name: &name,
        output: "\"done\"",
        answer: true,
    });
    call.until(|told| told.is_final(Speaker::Agent)).await;
    assert_eq!(call.faults(), []);

    let mut call = ready(Script::default().replying(replies).with(Fault::BrokenTools)).await;
    call.speak(400, 600).await;
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

/// The end is announced, the session is taken up on another connection, and not before the first is closed.
#[tokio::test]
async fn a_session_outlives_its_connection_by_its_handle() {
    let going = Fault::GoAway {
        after: Duration::from_millis(50),
        left: Duration::from_millis(300),
    };
    let scripts = vec![
        Script::default().with(going),
        Script::default(),
        Script::default(),
    ];
    let account = account(scripts).await;
    let mut call = Call::ready(at(&account, configured()), AudioFormat::PCM_16K).await;
    let told = call.until(|told| matches!(told, Told::Expiring(_))).await;
    assert_eq!(told.last(), Some(&Told::Expiring(Duration::from_millis(300))));
    let handle = call.told.iter().rev().find_map(|told| match told {
        Told::Resumable(handle) => handle.clone(),
        _ => None,
    });
    assert!(handle.is_some(), "{:?}", call.told);
    let resumed = Session {
        resume: handle,
        ..configured()
    };
    let mut early = Call::start(at(&account, resumed.clone()), AudioFormat::PCM_16K);
    assert_eq!(early.end().await, Ending::broken(FaultKind::Provider));

    assert_eq!(call.end().await, Ending::broken(FaultKind::Expired));
    assert_eq!(call.faults(), [], "an announced end is no failure");
    let mut next = Call::ready(at(&account, resumed), AudioFormat::PCM_16K).await;
    assert!(matches!(next.told[0], Told::Ready { resumed: true, .. }));
    next.command(Command::Respond { instructions: None });
    next.until(|told| matches!(told, Told::ResponseDone(_))).await;
}

#[tokio::test]
async fn a_session_without_a_handle_is_told_its_history_before_anything_else() {
    let said = |speaker, text: &str| Said {
        speaker,
        text: text.to_owned(),
    };
    let session = Session {
        history: vec![
            said(Speaker::Agent, "Hello, how can I help?"),
            said(Speaker::Caller, "I would like to change my appointment."),
        ],
        ..configured()
    };
    let account = account(vec![Script::default()]).await;
    let mut call = Call::ready(at(&account, session), AudioFormat::PCM_16K).await;
    call.speak(400, 600).await;
    let told = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(
        told.iter().filter(|told| **told == Told::ResponseStarted).count(),
        1
    );
    assert!(
        call.used().get(Unit::AudioIn) > 25,
        "the twin counts the words of the history"
    );
}

#[tokio::test]
async fn where_turns_are_ours_the_provider_is_told_when_they_begin_and_end() {
    let session = Session {
        turns: Turns::Ours,
        ..configured()
    };
    let account = account(vec![Script::default()]).await;
    let mut call = Call::ready(at(&account, session), AudioFormat::PCM_16K).await;
    call.speak(400, 600).await;
    call.command(Command::EndTurn);
    let told = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(told.iter().any(|told| told.is_final(Speaker::Caller)));
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn failures_are_told_as_what_they_are() {
    let after = Duration::from_millis(20);
    for (fault, kind) in [
        (Fault::Expire { after }, FaultKind::Provider),
        (closes_with(1007, "Invalid argument."), FaultKind::Rejected),
        (closes_with(1008, "Quota exceeded."), FaultKind::Throttled),
        (Fault::Vanish { after }, FaultKind::Connection),
    ] {
        let mut call = ready(Script::default().with(fault.clone())).await;
        assert_eq!(call.end().await, Ending::broken(kind), "{fault:?}");
    }
    let mut call = ready(Script::default().with(Fault::WrongFormat)).await;
    call.command(Command::Respond { instructions: None });
    assert_eq!(call.end().await, Ending::broken(FaultKind::FormatMismatch));
    assert_eq!(call.audio_ms(None), 0);

    let mut account = account(vec![Script::default()]).await;
    account.key = "wrong".into();
    let mut call = Call::start(at(&account, configured()), AudioFormat::PCM_16K);
    assert_eq!(call.end().await, Ending::broken(FaultKind::Auth));
}

/// Gemini's pongs take up to half a minute; a call goes on meanwhile.
#[tokio::test]
async fn late_pongs_cost_nothing() {
    let deaf = Fault::Deaf {
        after: Duration::ZERO,
        lasts: Duration::from_millis(800),
    };
    let mut call = ready(Script::default().with(deaf)).await;
    call.speak(400, 600).await;
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(call.faults(), []);
}
