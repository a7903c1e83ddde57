//! What a carrier may answer, or not answer, and what it means for the call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use chrono::DateTime;
use http::StatusCode;
use support::{
    Server,
    clients::{CALL, LEG, PATIENT, TELNYX_CALL, request, telnyx_at, twilio_at},
    json_type,
};
use voice_schemas::events::call::{AnsweredBy, CallOutcome};
use voice_telephony::{CallState, CarrierClient, CarrierError};

async fn twilio_refusing(status: u16, body: &'static str) -> CarrierError {
    let server = Server::answering(status, body).await;
    twilio_at(&server.base, PATIENT)
        .originate(&request())
        .await
        .unwrap_err()
}

async fn telnyx_refusing(status: u16, body: &'static str) -> CarrierError {
    let server = Server::answering(status, body).await;
    telnyx_at(&server.base, PATIENT)
        .originate(&request())
        .await
        .unwrap_err()
}

fn unknown(reason: &str) -> CarrierError {
    CarrierError::Unknown {
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn each_refusal_of_twilio_is_told_apart() {
    let rejected = |code: &str| CarrierError::Rejected {
        code: code.to_owned(),
    };
    for (status, body, expected) in [
        (
            400,
            r#"{"code":21211,"message":"The 'To' number +14155550100 is not valid","status":400}"#,
            CarrierError::InvalidNumber,
        ),
        (400, r#"{"code":21217,"status":400}"#, CarrierError::InvalidNumber),
        (400, r#"{"code":21214,"status":400}"#, CarrierError::InvalidNumber),
        (400, r#"{"code":13224,"status":400}"#, CarrierError::InvalidNumber),
        (400, r#"{"code":21215,"status":400}"#, rejected("21215")),
        (401, r#"{"code":20003,"status":401}"#, CarrierError::Auth),
        (404, r#"{"code":20404,"status":404}"#, CarrierError::NotFound),
        (
            429,
            r#"{"code":20429,"status":429}"#,
            CarrierError::Throttled { retry_after: None },
        ),
        (
            400,
            r#"{"code":10004,"status":400}"#,
            CarrierError::Throttled { retry_after: None },
        ),
        (429, r#"{"code":22005,"status":429}"#, CarrierError::QueueFull),
        (400, "<html>", rejected("http_400")),
        (500, r#"{"code":20500,"status":500}"#, unknown("http_500")),
        (201, "{}", unknown("body")),
    ] {
        assert_eq!(twilio_refusing(status, body).await, expected, "{body}");
    }
}

#[tokio::test]
async fn each_refusal_of_telnyx_is_told_apart() {
    let rejected = |code: &str| CarrierError::Rejected {
        code: code.to_owned(),
    };
    for (status, body, expected) in [
        (
            422,
            r#"{"errors":[{"code":"10016","detail":"+14155550100 is invalid"}]}"#,
            CarrierError::InvalidNumber,
        ),
        (
            422,
            r#"{"errors":[{"code":"90034","title":"x"}]}"#,
            rejected("90034"),
        ),
        (401, r#"{"errors":[{"code":"10009"}]}"#, CarrierError::Auth),
        (404, r#"{"errors":[{"code":"10005"}]}"#, CarrierError::NotFound),
        (
            429,
            r#"{"errors":[{"code":"90103"}]}"#,
            CarrierError::Throttled { retry_after: None },
        ),
        (
            403,
            r#"{"errors":[{"code":"90043","detail":"User channel limit exceeded D1"}]}"#,
            CarrierError::Throttled { retry_after: None },
        ),
        (403, r#"{"errors":[{"code":"10010"}]}"#, rejected("10010")),
        (400, "?", rejected("http_400")),
        (503, "", unknown("http_503")),
        (200, "{}", unknown("body")),
    ] {
        assert_eq!(telnyx_refusing(status, body).await, expected, "{body}");
    }
}

#[tokio::test]
async fn a_throttled_caller_is_told_how_long_to_wait() {
    for (name, seconds) in [("retry-after", 3), ("x-ratelimit-reset", 7)] {
        let server = Server::start(move |_| {
            let mut headers = json_type();
            headers.insert(name, seconds.into());
            (
                StatusCode::TOO_MANY_REQUESTS,
                headers,
                r#"{"errors":[{"code":"10011"}]}"#.to_owned(),
            )
        })
        .await;
        let error = telnyx_at(&server.base, PATIENT)
            .originate(&request())
            .await
            .unwrap_err();
        assert_eq!(
            error,
            CarrierError::Throttled {
                retry_after: Some(Duration::from_secs(seconds))
            }
        );
    }
}

#[tokio::test]
async fn only_a_carrier_with_idempotent_commands_is_asked_twice() {
    let server = Server::answering(502, "").await;
    let error = telnyx_at(&server.base, PATIENT)
        .originate(&request())
        .await
        .unwrap_err();
    assert!(!error.is_certain());
    let tries = server.take();
    assert_eq!(tries.len(), 2);
    assert_eq!(
        tries[0].body, tries[1].body,
        "the repetition must carry the same command_id"
    );

    let error = twilio_at(&server.base, PATIENT)
        .originate(&request())
        .await
        .unwrap_err();
    assert!(!error.is_certain());
    assert_eq!(server.take().len(), 1);
}

#[tokio::test]
async fn silence_after_the_request_is_unknown_and_no_connection_is_certain() {
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let error = twilio_at(&base, Duration::from_millis(50))
        .originate(&request())
        .await
        .unwrap_err();
    assert_eq!(error, unknown("timeout"));
    drop(silent);
    let error = twilio_at(&base, PATIENT).originate(&request()).await.unwrap_err();
    assert_eq!(error, CarrierError::Unavailable);
    assert!(error.is_certain());
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start(|_| (StatusCode::CREATED, json_type(), "x".repeat(1 << 20))).await;
    let error = twilio_at(&server.base, PATIENT)
        .originate(&request())
        .await
        .unwrap_err();
    assert_eq!(error, unknown("body_too_large"));
}

#[tokio::test]
async fn hanging_up_a_call_that_is_over_is_no_error() {
    let server = Server::answering(400, r#"{"code":21220,"status":400}"#).await;
    assert_eq!(twilio_at(&server.base, PATIENT).hangup(CALL).await, Ok(()));
    let server = Server::answering(422, r#"{"errors":[{"code":"90018"}]}"#).await;
    assert_eq!(telnyx_at(&server.base, PATIENT).hangup(LEG).await, Ok(()));
}

#[tokio::test]
async fn a_lookup_says_how_a_call_ended_as_far_as_the_carrier_knows() {
    let ended = r#"{"sid":"CA1","status":"completed","queue_time":"0","duration":"42","answered_by":"human",
        "start_time":"Tue, 31 Aug 2010 20:36:29 +0000","end_time":"Tue, 31 Aug 2010 20:37:11 +0000"}"#;
    let server = Server::answering(200, ended).await;
    let snapshot = twilio_at(&server.base, PATIENT).lookup(CALL).await.unwrap();
    let ending = snapshot.ending.unwrap();
    assert_eq!(
        (snapshot.state, ending.outcome, ending.duration_ms),
        (CallState::Ended, CallOutcome::Completed, Some(42_000))
    );
    assert!(ending.reconciled);
    assert_eq!(snapshot.answered_by, Some(AnsweredBy::Human));
    assert_eq!(snapshot.ended_at, DateTime::from_timestamp(1_283_287_031, 0));

    for (status, state) in [
        ("queued", CallState::Queued),
        ("ringing", CallState::Ringing),
        ("in-progress", CallState::Answered),
    ] {
        let body = ended.replace("completed", status);
        let server = Server::start(move |_| (StatusCode::OK, json_type(), body.clone())).await;
        let snapshot = twilio_at(&server.base, PATIENT).lookup(CALL).await.unwrap();
        assert_eq!((snapshot.state, snapshot.ending), (state, None));
    }

    let server = Server::answering(200, &TELNYX_CALL.replace("false", "true").leak()[..]).await;
    let snapshot = telnyx_at(&server.base, PATIENT).lookup(LEG).await.unwrap();
    assert_eq!((snapshot.state, snapshot.ending), (CallState::Alive, None));
}

#[tokio::test]
async fn a_call_the_carrier_forgot_is_ended_with_an_unknown_outcome() {
    let twilio_server = Server::answering(404, r#"{"code":20404,"status":404}"#).await;
    let telnyx_server = Server::answering(404, r#"{"errors":[{"code":"10005"}]}"#).await;
    let clients: [Box<dyn CarrierClient>; 2] = [
        Box::new(twilio_at(&twilio_server.base, PATIENT)),
        Box::new(telnyx_at(&telnyx_server.base, PATIENT)),
    ];
    for client in clients {
        let snapshot = client.lookup(LEG).await.unwrap();
        let ending = snapshot.ending.unwrap();
        assert_eq!(
            (snapshot.state, ending.outcome, ending.reconciled),
            (CallState::Ended, CallOutcome::Unknown, true)
        );
    }
}

#[tokio::test]
async fn no_key_or_number_shows_in_debug_output() {
    let twilio = format!("{:?}", twilio_at("http://127.0.0.1:1", PATIENT));
    let telnyx = format!("{:?}", telnyx_at("http://127.0.0.1:1", PATIENT));
    let request = format!("{:?}", request());
    for text in [&twilio, &telnyx, &request] {
        assert!(
            !text.contains("a test secret") && !text.contains("4155"),
            "{text}"
        );
    }
}
