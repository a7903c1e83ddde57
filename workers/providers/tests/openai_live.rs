//! GPT-Live against its strict twin: turns nobody tells, silence nobody hears, and what goes wrong.

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
    Arguments, AudioFormat, Command, Ending, FaultKind, OpenaiLive, ResponseStatus, Speaker, Unit, models,
    openai_live::Options,
};
use voice_simulator_providers::{Fault, Script};

async fn adapter(script: Script, format: AudioFormat) -> Box<OpenaiLive> {
    let session = session("gpt-live-1", format, format);
    Box::new(OpenaiLive::new(
        account(vec![script]).await,
        session,
        Options::default(),
    ))
}

async fn ready(script: Script) -> Call {
    Call::ready(adapter(script, AudioFormat::PCMU).await, AudioFormat::PCMU).await
}

/// PRV-01
#[tokio::test]
async fn turns_are_made_out_of_sound_and_silence_and_the_silence_between_them_is_not_passed_on() {
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
    let spoken = call.audio_ms(None);
    assert!((600 * 8..=1_600 * 8).contains(&spoken), "{spoken}");

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
    let heard = answer.iter().find(|told| told.is_final(Speaker::Caller)).unwrap();
    assert!(
        matches!(heard, Told::Transcript { text, .. } if text == "Yes, speaking."),
        "{heard:?}"
    );
    assert_eq!(agent_words(&answer), ["Certainly."]);
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn a_tool_comes_from_the_delegate_and_its_tokens_are_counted_for_the_delegate() {
    let replies = vec![
        ask("transfer_call", json!({"to": "sales"})),
        say("One moment.", 400),
    ];
    let mut call = ready(Script::default().replying(replies)).await;
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
    let delegate = call.told.iter().find_map(|told| match told {
        Told::Usage { model, quantities } if model == models::OPENAI_DELEGATE => Some(*quantities),
        _ => None,
    });
    let delegate = delegate.unwrap();
    let counted = [Unit::TextIn, Unit::TextInCached, Unit::TextOut].map(|unit| delegate.get(unit));
    assert_eq!(counted, [100, 20, 12]);
    assert_eq!(call.faults(), []);
}

#[tokio::test]
async fn the_time_of_the_session_is_billed_once_although_it_is_told_as_a_running_total() {
    let mut call = ready(Script::default().replying(vec![say("Good morning.", 2_400)])).await;
    call.command(Command::Say("Good morning."));
    call.until(|told| matches!(told, Told::Usage { .. })).await;
    call.until(|told| matches!(told, Told::Usage { .. })).await;
    assert_eq!(call.used().get(Unit::SessionMs), 2_000);
    call.command(Command::Close);
    assert_eq!(call.end().await, Ending::Asked);
    let billed = call.used().get(Unit::SessionMs);
    assert!((2_000..4_000).contains(&billed), "{billed}");
}

#[tokio::test]
async fn broken_arguments_wrong_formats_expiry_and_failures_are_told_as_what_they_are() {
    let broken = Script::default().replying(vec![ask("transfer_call", json!({"to": "sales"}))]);
    let mut call = ready(broken.with(Fault::BrokenTools)).await;
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

    let wrong = adapter(Script::default().with(Fault::WrongFormat), AudioFormat::PCMA).await;
    let mut call = Call::start(wrong, AudioFormat::PCMA);
    assert_eq!(call.end().await, Ending::broken(FaultKind::FormatMismatch));

    let after = Duration::from_millis(20);
    for (fault, kind) in [
        (Fault::Expire { after }, FaultKind::Expired),
        (closes_with(1011, "internal error"), FaultKind::Provider),
        (Fault::Vanish { after }, FaultKind::Connection),
    ] {
        let mut call = ready(Script::default().with(fault.clone())).await;
        assert_eq!(call.end().await, Ending::broken(kind), "{fault:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_for_an_interruption_because_the_model_hears_it_itself() {
    let mut call = ready(Script::default().replying(vec![say("A very long story.", 20_000)])).await;
    call.command(Command::Say("A very long story."));
    let begun = call.until(|told| matches!(told, Told::Audio { .. })).await;
    let Some(Told::Audio { item, .. }) = begun.last() else {
        panic!("{begun:?}")
    };
    let item = item.clone();
    call.speak(100, 0).await;
    call.until(|told| *told == Told::SpeechStarted).await;
    call.command(Command::Interrupt {
        item: Some(&item),
        heard_ms: 100,
    });
    call.until(|told| matches!(told, Told::ResponseDone(_))).await;
    assert!(call.audio_ms(None) < 10_000 * 8);
    assert_eq!(call.faults(), []);
}
