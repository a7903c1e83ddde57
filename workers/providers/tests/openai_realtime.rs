//! OpenAI Realtime against its strict twin: a conversation, barge-in, tools, and everything that can go wrong.

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
    Arguments, AudioFormat, Class, Command, Ending, FaultKind, OpenaiRealtime, ResponseStatus, Said, Session,
    Speaker, Stage, Turns, Unit, models, openai_realtime::Options,
};
use voice_simulator_providers::{Fault, Script};

const MODEL: &str = "gpt-realtime-2.1";

fn configured() -> Session {
    session(MODEL, AudioFormat::PCMU, AudioFormat::PCMU)
}

async fn adapter(scripts: Vec<Script>, session: Session) -> Box<OpenaiRealtime> {
    Box::new(OpenaiRealtime::new(
        account(scripts).await,
        session,
        Options::default(),
    ))
}

async fn ready(script: Script) -> Call {
    Call::ready(adapter(vec![script], configured()).await, AudioFormat::PCMU).await
}

/// PRV-01
#[tokio::test]
async fn the_agent_greets_listens_and_answers_in_the_format_of_the_telephone() {
    let mut call = ready(Script::default()).await;
    assert_eq!(
        call.told[0],
        Told::Ready {
            input: AudioFormat::PCMU,
            output: AudioFormat::PCMU,
            confirmed: true,
            resumed: false
        }
    );
    call.command(Command::Respond {
        instructions: Some("Greet the caller."),
    });
    let greeting = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(
        greeting.last(),
        Some(&Told::ResponseDone(ResponseStatus::Completed))
    );
    assert_eq!(
        agent_words(&greeting),
        ["Hello, this is a virtual assistant. Do you have a moment?"]
    );
    assert_eq!(call.audio_ms(None), 2_800 * 8);

    call.speak(600, 700).await;
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
    let deltas: String = answer
        .iter()
        .filter_map(|told| match told {
            Told::Transcript {
                speaker: Speaker::Caller,
                text,
                stage: Stage::Delta,
                ..
            } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(deltas, "Yes, speaking.");
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn what_is_used_is_told_by_kind_and_what_was_heard_before_is_cheaper() {
    let mut call = ready(Script::default()).await;
    for _ in 0..2 {
        call.command(Command::Respond { instructions: None });
        call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    }
    let used = call.used();
    assert_eq!(used.get(Unit::AudioOut), (2_800 + 2_400) / 50);
    assert!(used.get(Unit::TextInCached) > 0 && used.get(Unit::TextOut) > 0);
    assert_eq!(
        used.get(Unit::AudioIn),
        2_800 / 50,
        "the second answer heard the first one anew"
    );
    call.speak(600, 700).await;
    call.until(|told| matches!(told, Told::Usage { model, .. } if model == models::OPENAI_TRANSCRIPTION))
        .await;
}

#[tokio::test]
async fn who_speaks_over_the_agent_stops_it_and_it_remembers_only_what_was_heard() {
    let long = Script::default().replying(vec![say("A very long story about everything.", 20_000)]);
    let mut call = ready(long).await;
    call.command(Command::Respond { instructions: None });
    let begun = call.until(|told| matches!(told, Told::Audio { .. })).await;
    let Some(Told::Audio { item, .. }) = begun.last() else {
        panic!("{begun:?}")
    };
    let item = item.clone();
    call.speak(100, 0).await;
    call.until(|told| *told == Told::SpeechStarted).await;
    let before = call.audio_ms(Some(&item));
    call.command(Command::Interrupt {
        item: Some(&item),
        heard_ms: 150,
    });
    let rest = call
        .until(|told| matches!(told, Told::Truncated { heard_ms: 150, .. }))
        .await;
    assert!(rest.contains(&Told::Interrupted));
    assert!(rest.contains(&Told::ResponseDone(ResponseStatus::Cancelled)));
    // The twin, as the real one, sends what was on its way; nobody hears it. What had come before is in order.
    let after: Vec<&Told> = rest
        .iter()
        .filter(|told| matches!(told, Told::Audio { .. }))
        .collect();
    assert!(
        after.is_empty() || call.audio_ms(Some(&item)) == before,
        "{after:?}"
    );
    assert_eq!(
        call.faults(),
        [],
        "nothing was cancelled twice, nothing cut beyond its end"
    );
}

#[tokio::test]
async fn more_than_was_ever_sent_cannot_have_been_heard() {
    let long = Script::default().replying(vec![say("A very long story about everything.", 20_000)]);
    let mut call = ready(long).await;
    call.command(Command::Respond { instructions: None });
    let begun = call.until(|told| matches!(told, Told::Audio { .. })).await;
    let Some(Told::Audio { item, .. }) = begun.last() else {
        panic!("{begun:?}")
    };
    let item = item.clone();
    call.command(Command::Interrupt {
        item: Some(&item),
        heard_ms: 3_600_000,
    });
    let cut = call.until(|told| matches!(told, Told::Truncated { .. })).await;
    assert!(
        matches!(cut.last(), Some(Told::Truncated { heard_ms, .. }) if *heard_ms <= 20_000),
        "{cut:?}"
    );
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_second_answer_waits_for_the_first_instead_of_being_refused() {
    let mut call = ready(Script::default()).await;
    call.command(Command::Say("The first."));
    call.until(|told| *told == Told::ResponseStarted).await;
    call.command(Command::Say("The second."));
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_tool_is_asked_for_and_its_result_is_answered() {
    let replies = vec![
        ask("transfer_call", json!({"to": "sales"})),
        say("One moment.", 800),
    ];
    let mut call = ready(Script::default().replying(replies)).await;
    call.speak(400, 700).await;
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    let Some(Told::ToolCall { id, name, arguments }) = asked.last().cloned() else {
        panic!("{asked:?}")
    };
    assert_eq!(name, "transfer_call");
    assert_eq!(arguments, Arguments::Complete(json!({"to": "sales"})));
    call.command(Command::ToolResult {
        call: &id,
        name: &name,
        output: "{\"ok\":true}",
        answer: true,
    });
    let done = call.until(|told| told.is_final(Speaker::Agent)).await;
    assert_eq!(agent_words(&done), ["One moment."]);
    assert_eq!(call.faults(), []);
}

/// The arguments of a tool cut in the middle are told as such, and the model can be asked to repair them.
#[tokio::test]
async fn arguments_cut_in_the_middle_are_an_error_the_model_can_repair() {
    let replies = vec![ask("transfer_call", json!({"to": "sales"})), say("Sorry.", 400)];
    let script = Script::default().replying(replies).with(Fault::BrokenTools);
    let mut call = ready(script).await;
    call.command(Command::Respond { instructions: None });
    let asked = call.until(|told| matches!(told, Told::ToolCall { .. })).await;
    let Some(Told::ToolCall { id, name, arguments }) = asked.last().cloned() else {
        panic!("{asked:?}")
    };
    assert_eq!(arguments, Arguments::Broken);
    call.command(Command::ToolResult {
        call: &id,
        name: &name,
        output: "{\"error\":\"the arguments are no JSON object\"}",
        answer: true,
    });
    call.until(|told| told.is_final(Speaker::Agent)).await;
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn an_echo_of_another_format_ends_the_session_before_any_audio() {
    let script = Script::default().with(Fault::WrongFormat);
    let mut call = Call::start(adapter(vec![script], configured()).await, AudioFormat::PCMU);
    assert_eq!(call.end().await, Ending::broken(FaultKind::FormatMismatch));
    assert_eq!(call.audio_ms(None), 0);
    assert!(!call.told.iter().any(|told| matches!(told, Told::Ready { .. })));
}

#[tokio::test]
async fn an_expired_session_is_told_as_one_and_may_be_replaced() {
    let script = Script::default().with(Fault::Expire {
        after: Duration::from_millis(20),
    });
    let mut call = ready(script).await;
    let ending = call.end().await;
    assert_eq!(ending, Ending::broken(FaultKind::Expired));
    assert_eq!(
        call.faults(),
        [(Class::Retryable, FaultKind::Expired, "session_expired")]
    );
}

#[tokio::test]
async fn a_server_that_fails_is_told_apart_from_one_that_vanishes_and_both_may_be_replaced() {
    let mut call = ready(Script::default().with(closes_with(1011, "internal error"))).await;
    assert_eq!(call.end().await, Ending::broken(FaultKind::Provider));
    let vanish = Fault::Vanish {
        after: Duration::from_millis(20),
    };
    let mut call = ready(Script::default().with(vanish)).await;
    assert_eq!(call.end().await, Ending::broken(FaultKind::Connection));
    assert_eq!(FaultKind::Provider.class(), Class::Retryable);
}

#[tokio::test]
async fn a_refused_upgrade_says_whether_another_try_helps() {
    for (status, kind) in [
        (401, FaultKind::Auth),
        (429, FaultKind::Throttled),
        (503, FaultKind::Provider),
    ] {
        let script = Script::default().with(Fault::Refuse { status });
        let mut call = Call::start(adapter(vec![script], configured()).await, AudioFormat::PCMU);
        assert_eq!(call.end().await, Ending::broken(kind), "{status}");
    }
    let mut account = account(vec![Script::default()]).await;
    account.key = "wrong".into();
    let adapter = OpenaiRealtime::new(account, configured(), Options::default());
    let mut call = Call::start(Box::new(adapter), AudioFormat::PCMU);
    assert_eq!(call.end().await, Ending::broken(FaultKind::Auth));
}

#[tokio::test]
async fn nobody_at_the_other_end_is_noticed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("ws://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let account = voice_providers::Account {
        base_url,
        key: "any".into(),
    };
    let adapter = OpenaiRealtime::new(account, configured(), Options::default());
    let mut call = Call::start(Box::new(adapter), AudioFormat::PCMU);
    assert_eq!(call.end().await, Ending::broken(FaultKind::Connection));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_before_the_caller_gives_up() {
    let script = Script::default().with(Fault::NeverReady);
    let began = tokio::time::Instant::now();
    let mut call = Call::start(adapter(vec![script], configured()).await, AudioFormat::PCMU);
    assert_eq!(call.end().await, Ending::broken(FaultKind::Stalled));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn late_pongs_and_a_server_that_stops_reading_for_a_while_cost_nothing() {
    let deaf = Fault::Deaf {
        after: Duration::ZERO,
        lasts: Duration::from_millis(700),
    };
    let mut call = ready(Script::default().with(deaf)).await;
    call.speak(600, 700).await;
    let answer = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(answer.contains(&Told::SpeechStarted));
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_server_that_reads_no_more_is_given_up_with_little_kept_for_it() {
    let deaf = Fault::Deaf {
        after: Duration::ZERO,
        lasts: Duration::from_secs(60),
    };
    let mut call = ready(Script::default().with(deaf)).await;
    // More than the buffers of the machine hold, in larger pieces than a telephone sends.
    let noise = vec![0_u8; 60_000];
    for _ in 0..200 {
        let frame = voice_providers::Payload::Bytes(&noise);
        if call.try_command(Command::Audio(frame)).is_err() {
            break;
        }
    }
    let ending = call.end().await;
    assert!(
        matches!(
            ending,
            Ending::Broken {
                class: Class::Retryable,
                ..
            }
        ),
        "{ending:?}"
    );
}

#[tokio::test]
async fn an_answer_that_comes_all_at_once_comes_whole_and_in_order() {
    let script = Script::default()
        .replying(vec![say("A very long story about everything.", 60_000)])
        .with(Fault::Burst);
    let mut call = ready(script).await;
    call.command(Command::Respond { instructions: None });
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(call.audio_ms(None), 60_000 * 8);
}

#[tokio::test]
async fn a_session_that_continues_another_knows_what_was_said() {
    let mut session = configured();
    session.history = vec![
        Said {
            speaker: Speaker::Agent,
            text: "Hello, how can I help?".to_owned(),
        },
        Said {
            speaker: Speaker::Caller,
            text: "I would like to change my appointment.".to_owned(),
        },
    ];
    let mut call = Call::ready(adapter(vec![Script::default()], session).await, AudioFormat::PCMU).await;
    call.command(Command::Respond { instructions: None });
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(
        call.used().get(Unit::TextIn) > 100 + 10,
        "the twin counts the words of the history"
    );
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn keys_words_and_new_instructions_reach_the_model_and_the_keyboard_makes_nobody_speak() {
    let mut call = ready(Script::default()).await;
    call.command(Command::Digits("12#"));
    call.command(Command::Text("My name is on the form."));
    call.command(Command::Instruct("Speak more slowly."));
    call.command(Command::Respond { instructions: None });
    let told = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert_eq!(
        told.iter().filter(|told| **told == Told::ResponseStarted).count(),
        1
    );
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn where_turns_are_ours_nothing_is_answered_before_we_say_so() {
    let mut session = configured();
    session.turns = Turns::Ours;
    let mut call = Call::ready(adapter(vec![Script::default()], session).await, AudioFormat::PCMU).await;
    call.speak(600, 700).await;
    call.command(Command::EndTurn);
    let told = call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(!told.contains(&Told::SpeechStarted));
    assert!(told.iter().any(|told| told.is_final(Speaker::Caller)));
}

#[tokio::test]
async fn a_goodbye_is_answered_and_commands_outside_a_session_are_refused() {
    let mut call = Call::start(
        adapter(vec![Script::default()], configured()).await,
        AudioFormat::PCMU,
    );
    let early = call.try_command(Command::Cancel).unwrap_err();
    assert_eq!(early.kind(), "not_open");
    call.until(|told| matches!(told, Told::Ready { .. })).await;
    call.command(Command::Close);
    assert_eq!(call.end().await, Ending::Asked);
    assert!(call.try_command(Command::Cancel).is_err());
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn transcripts_that_come_after_the_answer_and_answers_in_several_pieces_are_all_told() {
    let script = Script {
        items: 3,
        late_transcripts: true,
        ..Script::default()
    };
    let mut call = ready(script).await;
    call.speak(400, 700).await;
    let told = call.until(|told| told.is_final(Speaker::Caller)).await;
    let done = told.iter().position(|told| matches!(told, Told::ResponseDone(_)));
    assert!(done.is_some_and(|at| at < told.len() - 1), "{told:?}");
    assert_eq!(agent_words(&told).len(), 3);
    assert_eq!(call.audio_ms(None), 2_800 * 8);
}
