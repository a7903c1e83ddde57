//! Calls that are told to stream: the carriers open the socket and bring a callee who talks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::{SinkExt as _, StreamExt as _, future::join_all};
use support::stage::Stage;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use voice_schemas::events::call::{CallOutcome, Carrier, HangupBy};
use voice_simulator::{
    live::{Fate, LiveOptions, Population, Streams},
    plan::LogNormal,
};
use voice_telephony::{
    ConnectStream, Instruction,
    media::{MediaFrame, StreamMessage, StreamWriter, parse},
};

const LOUD: u8 = 0x80;

/// Sockets carriers open at a worker that takes everybody.
async fn worker() -> (String, mpsc::Receiver<WebSocketStream<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/media", listener.local_addr().unwrap());
    let (opened, sockets) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let opened = opened.clone();
            tokio::spawn(async move {
                if let Ok(socket) = accept_async(stream).await {
                    let _nobody_cares = opened.send(socket).await;
                }
            });
        }
    });
    (url, sockets)
}

async fn stage(fate: Fate, ai_talk_ms: u32) -> Stage {
    Stage::new(LiveOptions {
        streams: Streams::Opened,
        population: Population {
            ai_talk_ms: LogNormal::fixed(ai_talk_ms),
            greeting_ms: LogNormal::fixed(400),
            recording_ms: LogNormal::fixed(800),
            patience_ms: LogNormal::fixed(1_500),
            presses: 1.0,
            key: '7',
            ..Population::instant(fate)
        },
        ..LiveOptions::default()
    })
    .await
}

async fn stream(stage: &Stage, account: usize, to: &str, url: &str) -> String {
    let id = stage.dial(account, to).await.carrier_call_id;
    stage.answered(&id).await;
    let connect = ConnectStream {
        url: url.to_owned(),
        ..ConnectStream::default()
    };
    stage.clients[account]
        .answer(&id, &[Instruction::ConnectStream(connect)])
        .await
        .unwrap();
    id
}

/// What a worker heard of one stream, which it answers with a second of sound and a mark as soon as it starts.
#[derive(Default)]
struct Heard {
    call: String,
    frames: u64,
    loud: u64,
    marks: Vec<String>,
    keys: Vec<char>,
    stopped: bool,
}

async fn listen(carrier: Carrier, socket: &mut WebSocketStream<TcpStream>, frames: u64) -> Heard {
    let mut heard = Heard::default();
    let mut text = String::new();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(message) = message else { break };
        match parse(carrier, &message).unwrap() {
            StreamMessage::Start(start) => {
                heard.call = start.carrier_call_id.clone();
                let writer = StreamWriter::new(carrier, &start.stream_id);
                writer.media(&BASE64.encode([LOUD; 8_000]), &mut text);
                socket.send(Message::text(text.as_str())).await.unwrap();
                text.clear();
                writer.mark(7, &mut text);
                socket.send(Message::text(text.as_str())).await.unwrap();
            }
            StreamMessage::Media(MediaFrame { chunk, payload, .. }) => {
                heard.frames += 1;
                assert_eq!(chunk, heard.frames, "frames come in order and none is missing");
                let audio = BASE64.decode(&*payload).unwrap();
                assert_eq!(audio.len(), 160);
                heard.loud += u64::from(audio.iter().any(|code| code & 0x7f < 0x50));
                if heard.frames == frames {
                    break;
                }
            }
            StreamMessage::Mark(name) => heard.marks.push(name.into_owned()),
            StreamMessage::Dtmf(key) => heard.keys.push(key),
            StreamMessage::Stop => {
                heard.stopped = true;
                break;
            }
            _ => {}
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_listens_answers_presses_a_key_and_hangs_up() {
    for (account, carrier) in [(0, Carrier::Telnyx), (1, Carrier::Twilio)] {
        let stage = stage(Fate::Person, 5_000).await;
        assert_eq!(stage.clients[account].carrier(), carrier);
        let (url, mut sockets) = worker().await;
        let id = stream(&stage, account, "+15550000001", &url).await;
        let mut socket = sockets.recv().await.unwrap();
        let heard = listen(carrier, &mut socket, u64::MAX).await;
        drop(socket);
        stage.quiet().await;

        assert_eq!(heard.call, id);
        assert!(heard.stopped && heard.marks == ["7"] && heard.keys == ['7']);
        // The agent's second is over after fifty frames; they answer within another sixty.
        assert!(heard.loud >= 30, "{} loud frames", heard.loud);
        let call = &stage.live.calls()[0];
        let stream = call.stream.unwrap();
        assert_eq!((stream.refused, stream.closed_by_worker), (None, false));
        assert_eq!(
            (stream.frames_sent, stream.agent_ms, stream.marks),
            (heard.frames, 1_000, 1)
        );
        assert!(
            (245..=251).contains(&heard.frames),
            "five seconds are {} frames",
            heard.frames
        );
        let truth = stage.live.truth();
        assert_eq!((truth.streams, truth.to_ai, truth.marks_echoed), (1, 1, 1));
        let ended = stage.told().into_iter().find_map(|event| event.data.ending);
        // Twilio does not say who hung up.
        let by = match carrier {
            Carrier::Telnyx => HangupBy::Callee,
            Carrier::Twilio => HangupBy::Unknown,
        };
        assert_eq!(ended.unwrap().hangup_by, by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_ends_twilios_call_and_leaves_telnyxs_callee_in_silence_until_they_hang_up() {
    for (account, carrier) in [(0, Carrier::Telnyx), (1, Carrier::Twilio)] {
        let stage = stage(Fate::Person, 60_000).await;
        let (url, mut sockets) = worker().await;
        stream(&stage, account, "+15550000002", &url).await;
        let mut socket = sockets.recv().await.unwrap();
        assert_eq!(listen(carrier, &mut socket, 20).await.frames, 20);
        drop(socket);
        stage.quiet().await;
        let call = &stage.live.calls()[0];
        assert!(call.stream.unwrap().closed_by_worker);
        assert_eq!(call.outcome, Some(CallOutcome::Completed));
        let lasted = (call.ended_at.unwrap() - call.first_heard.unwrap()).num_milliseconds();
        // Patience is a second and a half.
        let expected = if carrier == Carrier::Telnyx {
            1_500..4_000
        } else {
            0..1_400
        };
        assert!(expected.contains(&lasted), "{carrier}: {lasted} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_talks_beeps_and_hangs_up_and_a_refused_stream_is_counted() {
    let stage = stage(Fate::Machine, 60_000).await;
    let (url, mut sockets) = worker().await;
    stream(&stage, 0, "+15550000003", &url).await;
    let heard = listen(Carrier::Telnyx, &mut sockets.recv().await.unwrap(), u64::MAX).await;
    stage.quiet().await;
    // Its greeting of 400 ms and the beep of as much.
    assert!((38..=41).contains(&heard.loud), "{} loud frames", heard.loud);

    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("ws://{}/media", refusing.local_addr().unwrap());
    drop(refusing);
    stage.live.set_everybody(Some(Fate::Person));
    stream(&stage, 1, "+15550000004", &nobody).await;
    stage.quiet().await;
    assert_eq!(stage.live.truth().streams_refused, 1);
    assert_eq!(stage.live.calls()[1].stream.unwrap().refused, Some(0));
}

/// Sixty at once, each in real time.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_callees_talk_at_once_and_no_frame_is_missing() {
    let stage = stage(Fate::Person, 4_000).await;
    let (url, mut sockets) = worker().await;
    let listening = tokio::spawn(async move {
        let mut calls = Vec::new();
        for _ in 0..60 {
            let mut socket = sockets.recv().await.unwrap();
            calls.push(tokio::spawn(async move {
                listen(Carrier::Telnyx, &mut socket, u64::MAX).await.frames
            }));
        }
        join_all(calls).await
    });
    let numbers: Vec<String> = (0..60).map(|number| format!("+1555100{number:04}")).collect();
    join_all(numbers.iter().map(|number| stream(&stage, 0, number, &url))).await;
    let frames: Vec<u64> = listening.await.unwrap().into_iter().map(Result::unwrap).collect();
    tokio::time::timeout(Duration::from_secs(10), stage.quiet())
        .await
        .unwrap();
    let truth = stage.live.truth();
    assert_eq!((truth.streams, truth.streams_refused), (60, 0));
    assert_eq!(frames.iter().sum::<u64>(), truth.frames_sent);
    assert!(
        frames.iter().all(|frames| (180..=201).contains(frames)),
        "{frames:?}"
    );
}
