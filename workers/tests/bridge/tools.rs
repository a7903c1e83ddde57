//! What a model asks for, and what it costs.

use std::time::Duration;

use serde_json::{Value, json};
use voice_audio::{dtmf::Detector, g711::Law};
use voice_providers::{
    Provider, ToolSpec,
    price::Micros,
    tools::{Action, Patience, Toolbox, TransferMode, TransferTarget, Webhook},
};
use voice_schemas::events::{call::Carrier, media::ChangeKind};
use voice_simulator_providers::{Fault, Reply, Script, Scripts};
use voice_workers::{
    Ending,
    facts::Fact,
    hands::{Deed, HandsError},
};

use crate::{
    call, loud,
    platform::Answer,
    world::{Wanted, World},
};

fn ask(tool: &str, arguments: Value) -> Reply {
    Reply::Call {
        tool: tool.to_owned(),
        arguments,
    }
}

fn say(text: &str, ms: u64) -> Reply {
    Reply::Say {
        text: text.to_owned(),
        lasts: Duration::from_millis(ms),
    }
}

fn replying(replies: Vec<Reply>) -> Wanted {
    Wanted::from(Script::default().replying(replies))
}

fn outcomes(world: &World) -> Vec<(String, String)> {
    let facts = world.facts.all();
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::ToolUsed(used) => Some((used.name.clone(), used.outcome.clone())),
            _ => None,
        })
        .collect()
}

/// The caller hears the goodbye to its end, then the carrier is told, then the stream is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_hangs_up_is_heard_to_the_end_first() {
    let world = World::new(replying(vec![
        say("Thank you, goodbye.", 2_500),
        ask("hang_up", json!({"reason": "done"})),
    ]))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 20_000).await;
    assert!(
        stream.queued() > Duration::from_millis(1_000),
        "most of it is still to be heard"
    );
    stream.press('#').await;
    assert_eq!(world.facts.tool("hang_up").await.outcome, "done");
    assert_eq!(world.platform.used(), [""; 0], "not yet");
    assert_eq!(stream.until_closed().await, (1000, "hung_up".to_owned()));
    assert!(stream.queued().is_zero(), "it was heard to the end");
    let (line, deed) = world.platform.deed("hang_up").await;
    assert_eq!((line.call, line.carrier_call_id.as_str()), (world.call, "CA1"));
    assert!(matches!(deed, Deed::Act(Action::HangUp { .. })));
    assert_eq!(world.facts.stopped().await.ending, Ending::HungUp);
}

/// The caller says something more: the call goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_speaks_over_the_goodbye_is_not_hung_up_on() {
    let world = World::new(replying(vec![
        say("Thank you, goodbye.", 5_000),
        ask("hang_up", json!({})),
        say("Of course, what else?", 800),
    ]))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 30_000).await;
    stream.press('#').await;
    stream.wait_for(|stream| stream.received.len() >= 40_000).await;
    assert_eq!(world.facts.tool("hang_up").await.outcome, "done");
    stream.speak(900).await;
    let before = stream.received.len();
    stream
        .wait_for(|stream| stream.received.len() >= before + 6_000)
        .await;
    stream.be_silent(1_500).await;
    assert_eq!(stream.closed, None);
    assert_eq!(world.platform.used(), [""; 0]);
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
}

/// Bad input: arguments that do not fit are answered as an error the model repairs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_do_not_fit_are_repaired_by_the_model() {
    let world = World::new(replying(vec![
        ask("send_dtmf", json!({"digits": "abc"})),
        ask("format_disk", json!({})),
        ask("send_dtmf", json!({"digits": "12#"})),
        say("I have pressed the keys.", 600),
    ]))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 9_600).await;
    stream.stop().await;
    world.facts.stopped().await;
    let wanted = [
        ("send_dtmf", "misfit"),
        ("unknown", "unknown_tool"),
        ("send_dtmf", "done"),
    ];
    let wanted: Vec<_> = wanted
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .into();
    assert_eq!(outcomes(&world), wanted);
    assert_eq!(keys(&stream.received[..4_800]), "12#");
}

/// The keys in what the caller hears.
fn keys(codes: &[u8]) -> String {
    let mut line = Vec::new();
    Law::Mu.decode(codes, &mut line);
    let mut keys = String::new();
    Detector::default().samples(&line, |press| keys.extend(press.down.then(|| press.key.label())));
    keys
}

/// TEL: keys arrive whole, behind what was being said and before what is said next, while the menu talks on; the model
/// hears of it when they were played.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_reach_the_far_end_although_it_is_talking() {
    for carrier in [Carrier::Twilio, Carrier::Telnyx] {
        let world = World::new(replying(vec![
            ask("send_dtmf", json!({"digits": "1ww907*#"})),
            say("I have pressed the keys.", 600),
        ]))
        .await;
        let mut stream = call(&world, carrier).await;
        stream.wait_for(|stream| stream.received.len() >= 8_000).await;
        assert_eq!(outcomes(&world), [], "they are still being pressed");
        stream.speak(800).await;
        stream.wait_for(|_| !outcomes(&world).is_empty()).await;
        assert_eq!(outcomes(&world), [("send_dtmf".to_owned(), "done".to_owned())]);
        let pressed = 6 * 1_600 + 2 * 4_000;
        stream
            .wait_for(|stream| stream.received.len() >= pressed + 4_800)
            .await;
        assert_eq!(keys(&stream.received), "1907*#", "{carrier}");
        assert!(
            !loud(&stream.received[1_600..1_600 + 8_000]),
            "{carrier}: a second of waiting"
        );
        assert_eq!(stream.clears.len(), 0, "{carrier}");
        stream.stop().await;
        world.facts.stopped().await;
        assert_eq!(world.platform.used(), [""; 0]);
    }
}

/// Keys that wait behind an answer are gone with it when the caller interrupts, and the model knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_behind_an_answer_that_is_interrupted_are_not_pressed() {
    let world = World::new(replying(vec![
        say("Let me press a key for you, once I have said all of this.", 6_000),
        ask("send_dtmf", json!({"digits": "5"})),
        say("Go ahead.", 600),
    ]))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 48_000).await;
    stream.press('#').await;
    stream
        .wait_for(|stream| stream.received.len() >= 48_000 + 1_600)
        .await;
    stream.speak(900).await;
    assert_eq!(world.facts.tool("send_dtmf").await.outcome, "interrupted");
    let heard = stream.received.len();
    assert!(heard < 48_000 && !stream.clears.is_empty(), "{heard}");
    stream
        .wait_for(|stream| stream.received.len() >= heard + 4_800)
        .await;
    stream.stop().await;
    world.facts.stopped().await;
    assert_eq!(keys(&stream.received), "");
}

/// The carrier is told by somebody else, and is faster than the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ends_while_the_caller_is_handed_over_was_a_transfer() {
    let wanted = replying(vec![ask(
        "transfer_call",
        json!({"mode": "cold", "target": {"kind": "queue", "name": "sales"}}),
    )]);
    let wanted = wanted.platform([(
        "transfer_call",
        Answer::After(Duration::from_millis(300), json!({"done": true})),
    )]);
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    world.platform.deed("transfer_call").await;
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Transferred);
    assert_eq!(world.facts.tool("transfer_call").await.outcome, "done");
}

/// Fault: truncated tool JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_cut_in_the_middle_do_nothing_and_end_nothing() {
    let replies = vec![
        ask("opt_out", json!({"wording": "Never call me again."})),
        say("Sorry?", 500),
    ];
    let script = Script::default().replying(replies).with(Fault::BrokenTools);
    let world = World::new(Wanted::from(script)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    assert_eq!(outcomes(&world), [("opt_out".to_owned(), "broken".to_owned())]);
    assert_eq!(world.platform.used(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_hangs_is_bridged_by_a_filler_and_given_up() {
    let wanted = replying(vec![
        ask("look_up_knowledge", json!({"query": "opening hours"})),
        say("One moment, please.", 400),
        say("I could not find out.", 700),
    ]);
    let wanted = wanted
        .platform([("look_up_knowledge", Answer::Hangs)])
        .plan(|plan| {
            plan.tools.patience = Patience {
                filler_after: Duration::from_millis(400),
                filler: "One moment, please.".to_owned(),
                deadline: Duration::from_millis(2_000),
            };
        });
    let world = World::new(wanted).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 3_200).await;
    assert_eq!(outcomes(&world), [], "it is still under way");
    stream.wait_for(|stream| stream.received.len() >= 8_800).await;
    let used = world.facts.tool("look_up_knowledge").await;
    assert_eq!(used.outcome, "timed_out");
    assert!(used.duration_ms.abs_diff(2_000) < 500, "{used:?}");
    stream.stop().await;
    world.facts.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_is_refused_is_told_to_the_model_and_one_that_works_ends_the_stream() {
    let transfer = || {
        ask(
            "transfer_call",
            json!({"mode": "warm", "target": {"kind": "queue", "name": "sales"}, "summary": "Wants two."}),
        )
    };
    let busy = replying(vec![transfer(), say("Nobody is free.", 500)]);
    let busy = busy.platform([("transfer_call", Answer::Fails(HandsError::NobodyFree))]);
    let world = World::new(busy).await;
    let mut stream = call(&world, Carrier::Telnyx).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Carrier);
    assert_eq!(world.facts.tool("transfer_call").await.outcome, "nobody_free");

    let taking = Answer::After(Duration::from_millis(300), json!({"ok": true}));
    let world = World::new(replying(vec![transfer()]).platform([("transfer_call", taking)])).await;
    let mut stream = call(&world, Carrier::Telnyx).await;
    stream.be_silent(200).await;
    let (_, deed) = world.platform.deed("transfer_call").await;
    let wanted = Action::TransferCall {
        mode: TransferMode::Warm,
        target: TransferTarget::Queue {
            name: "sales".to_owned(),
        },
        summary: Some("Wants two.".to_owned()),
    };
    assert_eq!(deed, Deed::Act(wanted));
    assert_eq!(world.facts.tool("transfer_call").await.outcome, "done");
    stream.stop().await;
    assert_eq!(world.facts.stopped().await.ending, Ending::Transferred);
}

/// Card data: nothing of either side is kept while the recording is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_stopped_holds_silence_until_it_goes_on() {
    let world = World::new(replying(vec![
        ask("set_recording", json!({"on": false})),
        say("Your card number, please.", 400),
        ask("set_recording", json!({"on": true})),
        say("Thank you.", 400),
        say("Anything else?", 400),
    ]))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 3_200).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.speak(800).await;
    stream.wait_for(|stream| stream.received.len() >= 6_400).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(200).await;
    stream.speak(600).await;
    stream.be_silent(300).await;
    stream.stop().await;
    let stopped = world.facts.stopped().await;
    assert_eq!(outcomes(&world).len(), 2);
    let (left, right) = world.recording(&stopped.recording.unwrap()).await;
    let bursts = |channel: &[u8]| {
        let frames: Vec<bool> = channel.chunks(160).map(loud).collect();
        let began = frames.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        (began, frames.iter().filter(|loud| **loud).count())
    };
    let (caller, frames) = bursts(&left);
    assert!(
        caller >= 1 && frames <= 32,
        "{caller} bursts, {frames} frames: only the second time"
    );
    assert!(bursts(&right).1 < 50, "the first question is not kept");
    assert!(left.len() > 8_000);
}

/// AfterConsent: silence until the model says that the caller agrees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consent_nothing_is_kept() {
    let script = replying(vec![say("May I record this call?", 500)]);
    let world =
        World::new(script.plan(|plan| plan.recording = voice_workers::plan::Recording::AfterConsent)).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    stream.speak(500).await;
    stream.stop().await;
    let stopped = world.facts.stopped().await;
    let (left, right) = world.recording(&stopped.recording.unwrap()).await;
    assert!(left.len() > 4_000 && left.iter().chain(&right).all(|code| *code == 0xFF));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_own_tool_is_called_with_what_fits_its_schema() {
    let wanted = replying(vec![
        ask("order_status", json!({"order": "A7"})),
        say("It is on its way.", 500),
    ]);
    let world = World::new(wanted.plan(|plan| {
        let spec = ToolSpec {
            name: "order_status".to_owned(),
            description: "Where an order is.".to_owned(),
            parameters: json!({"type": "object", "properties": {"order": {"type": "string"}},
                               "required": ["order"]}),
        };
        plan.tools.toolbox = Toolbox::new(vec![spec.clone()]).unwrap();
        plan.tools.webhooks = vec![Webhook {
            spec,
            url: "https://example.com/orders".parse().unwrap(),
        }];
    }))
    .await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_000).await;
    let (_, deed) = world.platform.deed("order_status").await;
    let Deed::Webhook { url, arguments, .. } = deed else {
        panic!("it is the tenant's own")
    };
    assert_eq!(
        (url.as_str(), arguments),
        ("https://example.com/orders", json!({"order": "A7"}))
    );
    stream.stop().await;
    world.facts.stopped().await;
}

/// A call that costs as much as it may says so and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_used_up_ends_the_call_with_a_sentence() {
    let wanted = replying(vec![say("Hello.", 500), say("I have to end the call here.", 900)]);
    let world = World::new(wanted.plan(|plan| plan.money.budget.end_at = Some(Micros(1)))).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    assert_eq!(stream.until_closed().await, (1000, "budget".to_owned()));
    assert_eq!(stream.received.len(), 11_200, "both sentences were heard");
    world.platform.deed("hang_up").await;
    let stopped = world.facts.stopped().await;
    assert_eq!(stopped.ending, Ending::Budget);
    let facts = world.facts.all();
    let told: u64 = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Usage(usage) => Some(usage.micros),
            _ => None,
        })
        .sum();
    assert!(
        told > 0 && told == stopped.micros,
        "{told} told, {} in all",
        stopped.micros
    );
}

/// The cheaper model takes over in a quiet moment, and the caller hears nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_becomes_dear_goes_on_with_the_cheaper_model() {
    let script = || Script::default().replying(vec![say("Hello.", 600), say("Certainly.", 600)]);
    let scripts = Scripts::in_turn(vec![script(), script()]);
    let wanted = Wanted::voices(vec![(Provider::OpenaiRealtime, scripts.clone())]);
    let world = World::new(wanted.plan(|plan| plan.money.budget.downgrade_at = Some(Micros(1)))).await;
    let mut stream = call(&world, Carrier::Twilio).await;
    stream.wait_for(|stream| stream.received.len() >= 4_800).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.be_silent(800).await;
    let change = world.facts.change(ChangeKind::Downgrade).await;
    assert_eq!((change.gap_ms, change.cause.as_str()), (0, "budget"));
    stream.speak(900).await;
    stream.wait_for(|stream| stream.received.len() >= 9_600).await;
    stream.wait_for(|stream| stream.queued().is_zero()).await;
    stream.stop().await;
    // One that was opened before the last word was known to be heard is opened again.
    assert!((2..=3).contains(&scripts.taken()), "{}", scripts.taken());
    let stopped = world.facts.stopped().await;
    let models: Vec<String> = world
        .facts
        .all()
        .iter()
        .filter_map(|fact| match fact {
            Fact::Usage(usage) => Some(usage.model.clone()),
            _ => None,
        })
        .collect();
    assert!(
        models.iter().any(|model| model == "gpt-realtime-2.1-mini"),
        "{models:?}"
    );
    assert_eq!(stopped.ending, Ending::Carrier);
}
