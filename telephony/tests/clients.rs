//! Our REST clients ask what the official ones ask.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};
use support::{
    Recorded, Server, ask,
    clients::{ACCOUNT, CALL, LEG, PATIENT, TELNYX_CALL, request, sealed, telnyx_at, twilio_at},
    json_type,
};
use url::form_urlencoded;
use uuid::Uuid;
use voice_telephony::{
    AmdMode, CarrierClient as _, Conference, ConnectStream, Gather, Instruction, OriginateRequest,
    PhoneNumber, Prompt, Record, RejectReason, twilio,
};

/// Method, path with query, who asks, and what: a form as a sorted list, JSON as it is without `command_id`s
/// the client makes up.
fn essence(request: &Recorded) -> Value {
    let body = match request
        .headers
        .get("content-type")
        .map(|value| value.to_str().unwrap())
    {
        Some(mime) if mime.starts_with("application/x-www-form-urlencoded") => {
            let mut pairs: Vec<_> = form_urlencoded::parse(&request.body).into_owned().collect();
            pairs.sort();
            json!(pairs)
        }
        Some(mime) if mime.starts_with("application/json") && !request.body.is_empty() => {
            let mut body: Value = serde_json::from_slice(&request.body).unwrap();
            if request.uri.path() != "/v2/calls" {
                body.as_object_mut().unwrap().remove("command_id");
            }
            body
        }
        _ => Value::Null,
    };
    let mut query: Vec<_> = form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    query.sort();
    let authorization = request.headers["authorization"].to_str().unwrap();
    json!([
        request.method.as_str(),
        request.uri.path(),
        query,
        authorization,
        body
    ])
}

fn compare(ours: &[Recorded], theirs: &[Recorded]) {
    assert!(!ours.is_empty());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(essence(ours), essence(theirs));
    }
    assert_eq!(ours.len(), theirs.len());
}

async fn steps(server: &Server, carrier: &str, steps: Value) -> Vec<Recorded> {
    let asked = json!({
        "carrier": carrier, "base": server.base, "account": ACCOUNT,
        "user": "SK00000000000000000000000000000003", "password": "a test secret", "steps": steps,
    });
    tokio::task::spawn_blocking(move || ask("clients.py", &asked))
        .await
        .unwrap();
    server.take()
}

const TWILIO_CALL: &str = r#"{"sid":"CA00000000000000000000000000000002","account_sid":"AC00000000000000000000000000000001",
"to":"+14155550100","from":"+14155550199","status":"queued","start_time":null,"end_time":null,"duration":null,
"price":null,"price_unit":"USD","direction":"outbound-api","answered_by":null,"api_version":"2010-04-01",
"queue_time":"1500","date_created":"Tue, 31 Aug 2010 20:36:28 +0000","uri":"/","subresource_uris":{}}"#;

/// TEL-01
#[tokio::test(flavor = "multi_thread")]
async fn twilio_is_asked_as_its_own_client_asks() {
    let server = Server::answering(201, TWILIO_CALL).await;
    let client = twilio_at(&server.base, PATIENT);
    let hook = |kind: &str| {
        format!(
            "https://voice.example/hooks/carrier/ing_1/{kind}?ctx={}",
            sealed().as_query()
        )
    };

    let placed = client.originate(&request()).await.unwrap();
    assert_eq!(
        (placed.carrier_call_id.as_str(), placed.queue_time_ms),
        (CALL, 1500)
    );
    let inline = OriginateRequest {
        amd: AmdMode::Off,
        record: false,
        time_limit: None,
        on_answer: vec![Instruction::Hangup],
        ..request()
    };
    client.originate(&inline).await.unwrap();
    client.hangup(CALL).await.unwrap();
    client.answer(CALL, &[Instruction::Hangup]).await.unwrap();
    client.lookup(CALL).await.unwrap();
    let ours = server.take();

    let common = json!({
        "to": "+14155550100", "from_": "+14155550199", "timeout": 20,
        "status_callback": hook("status"), "status_callback_method": "POST",
        "status_callback_event": ["initiated", "ringing", "answered", "completed"],
    });
    let with = |more: Value| {
        let mut all = common.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let twiml = twilio::twiml(&[Instruction::Hangup]).unwrap();
    let theirs = steps(
        &server,
        "twilio",
        json!([
            { "do": "create", "with": with(json!({
                "url": hook("voice"), "method": "POST", "time_limit": 3600, "record": true, "recording_channels": "dual",
                "machine_detection": "Enable", "async_amd": "true", "async_amd_status_callback": hook("amd"),
                "async_amd_status_callback_method": "POST",
            })) },
            { "do": "create", "with": with(json!({ "twiml": twiml })) },
            { "do": "update", "id": CALL, "with": { "status": "completed" } },
            { "do": "update", "id": CALL, "with": { "twiml": twiml } },
            { "do": "fetch", "id": CALL },
        ]),
    )
    .await;
    compare(&ours, &theirs);
}

/// Answers like Telnyx, with one open room called `open`.
async fn telnyx_server() -> Server {
    Server::start(|request| {
        let body = match (request.uri.path(), request.uri.query().unwrap_or_default()) {
            ("/v2/conferences", query) if request.method == "GET" => {
                if query.contains("=open") {
                    r#"{"data":[{"id":"conf/1","name":"open","status":"in_progress"}],"meta":{}}"#
                } else {
                    r#"{"data":[{"id":"conf/2","name":"new","status":"completed"}],"meta":{}}"#
                }
            }
            (path, _) if path.contains("/actions/") => r#"{"data":{"result":"ok"}}"#,
            _ => TELNYX_CALL,
        };
        (StatusCode::OK, json_type(), body.to_owned())
    })
    .await
}

fn telnyx_instructions() -> Vec<Instruction> {
    let say = |text: &str, voice: Option<&str>| Prompt::Say {
        text: text.to_owned(),
        language: None,
        voice: voice.map(str::to_owned),
    };
    let gather = |prompts| {
        Instruction::Gather(Gather {
            prompts,
            digits: Some(4),
            timeout_seconds: Some(5),
            finish_on_key: Some('#'),
            ..Gather::default()
        })
    };
    let supervisor = Conference {
        muted: true,
        coach: Some("v3:agent".to_owned()),
        ..Conference::new("open")
    };
    vec![
        Instruction::Prompt(say("Dobrý den", Some("Azure.cs-CZ-VlastaNeural"))),
        Instruction::Prompt(Prompt::Play {
            url: "https://audio.example/a.mp3".to_owned(),
        }),
        gather(vec![say("Enter", None)]),
        gather(vec![Prompt::Play {
            url: "https://audio.example/b.mp3".to_owned(),
        }]),
        gather(Vec::new()),
        Instruction::ConnectStream(ConnectStream {
            url: "wss://voice.example/media".to_owned(),
            name: None,
            parameters: BTreeMap::from([("attempt".to_owned(), "7".to_owned())]),
        }),
        Instruction::Record(Record {
            max_seconds: Some(60),
            beep: true,
            silence_seconds: Some(3),
            ..Record::default()
        }),
        Instruction::Conference(supervisor),
        Instruction::Conference(Conference {
            max_participants: Some(5),
            ..Conference::new("new")
        }),
        Instruction::Transfer {
            to: PhoneNumber::parse("+14155550123").unwrap(),
        },
        Instruction::Hangup,
    ]
}

/// TEL-02
#[tokio::test(flavor = "multi_thread")]
async fn telnyx_is_asked_as_its_own_client_asks() {
    let server = telnyx_server().await;
    let client = telnyx_at(&server.base, PATIENT);
    let stream = ConnectStream {
        url: "wss://voice.example/media".to_owned(),
        parameters: [("attempt".to_owned(), "7".to_owned())].into(),
        ..ConnectStream::default()
    };
    let request = OriginateRequest {
        on_answer: vec![Instruction::ConnectStream(stream)],
        ..request()
    };
    assert_eq!(client.originate(&request).await.unwrap().carrier_call_id, LEG);
    client.lookup(LEG).await.unwrap();
    client.pick_up(LEG, &sealed()).await.unwrap();
    let mut left = telnyx_instructions();
    while !left.is_empty() {
        left = client.answer(LEG, &left).await.unwrap().remaining;
    }
    client
        .answer(
            LEG,
            &[Instruction::Reject {
                reason: RejectReason::Busy,
            }],
        )
        .await
        .unwrap();
    client.hangup(LEG).await.unwrap();
    let ours = server.take();

    let stream = json!({
        "stream_url": "wss://voice.example/media", "stream_track": "inbound_track", "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp", "stream_bidirectional_codec": "PCMU",
        "stream_bidirectional_target_legs": "self",
    });
    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let digits = json!({ "maximum_digits": 4, "timeout_millis": 5000, "terminating_digit": "#" });
    let theirs = steps(
        &server,
        "telnyx",
        json!([
            { "do": "dial", "with": with(&stream, json!({
                "connection_id": "1684641123236054244", "to": "+14155550100", "from": "+14155550199",
                "client_state": sealed().as_client_state(), "command_id": Uuid::from_u128(7),
                "webhook_url": "https://voice.example/hooks/carrier/ing_1/call", "webhook_url_method": "POST",
                "timeout_secs": 20, "time_limit_secs": 3600, "answering_machine_detection": "premium",
                "record": "record-from-answer", "record_channels": "dual",
            })) },
            { "do": "status", "id": LEG },
            { "do": "answer", "id": LEG, "with": { "client_state": sealed().as_client_state() } },
            { "do": "speak", "id": LEG, "with": { "payload": "Dobrý den", "voice": "Azure.cs-CZ-VlastaNeural" } },
            { "do": "start_playback", "id": LEG, "with": { "audio_url": "https://audio.example/a.mp3" } },
            { "do": "gather_using_speak", "id": LEG, "with": with(&digits, json!({
                "payload": "Enter", "voice": "female", "language": "en-US", "maximum_tries": 1,
            })) },
            { "do": "gather_using_audio", "id": LEG, "with": with(&digits, json!({
                "audio_url": "https://audio.example/b.mp3", "maximum_tries": 1,
            })) },
            { "do": "gather", "id": LEG, "with": digits },
            { "do": "start_streaming", "id": LEG, "with": with(&stream, json!({
                "custom_parameters": [{ "name": "attempt", "value": "7" }],
            })) },
            { "do": "start_recording", "id": LEG, "with": {
                "format": "mp3", "channels": "single", "recording_track": "inbound", "play_beep": true,
                "max_length": 60, "timeout_secs": 3,
            } },
            { "do": "list_conferences", "name": "open" },
            { "do": "join", "id": "conf/1", "with": {
                "call_control_id": LEG, "beep_enabled": "never", "start_conference_on_enter": true,
                "end_conference_on_exit": false, "mute": true, "supervisor_role": "whisper",
                "whisper_call_control_ids": ["v3:agent"],
            } },
            { "do": "list_conferences", "name": "new" },
            { "do": "create_conference", "with": {
                "call_control_id": LEG, "name": "new", "beep_enabled": "never", "start_conference_on_create": true,
                "max_participants": 5,
            } },
            { "do": "transfer", "id": LEG, "with": { "to": "+14155550123" } },
            { "do": "hangup", "id": LEG, "with": {} },
            { "do": "reject", "id": LEG, "with": { "cause": "USER_BUSY" } },
            { "do": "hangup", "id": LEG, "with": {} },
        ]),
    )
    .await;
    compare(&ours, &theirs);
}
