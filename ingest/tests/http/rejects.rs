//! What is refused, and what is kept for a person.

use chrono::TimeDelta;
use reqwest::{Body, StatusCode};
use secrecy::SecretString;
use serde_json::json;
use voice_kafka::dead_letters::Origin;
use voice_telephony::{telnyx, twilio};

use crate::support::*;

#[tokio::test]
async fn without_the_carriers_signature_nothing_is_believed_and_nothing_is_kept() {
    let (topics, telnyx_account, twilio_account) = (
        Topics::create().await,
        account(telnyx_credentials()),
        account(twilio_credentials()),
    );
    let service = Setup::new(
        &topics.config,
        vec![telnyx_account.clone(), twilio_account.clone()],
    )
    .start()
    .await;
    let body = telnyx_event("call.answered");

    let unsigned = service
        .post(&path(&telnyx_account, "call"))
        .json(&body)
        .send()
        .await
        .unwrap();
    let refused = problem(unsigned, StatusCode::FORBIDDEN).await;
    assert_eq!(
        refused["detail"],
        "the header `telnyx-signature-ed25519` is missing"
    );

    let other_key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let bytes = serde_json::to_vec(&body).unwrap();
    let forged = telnyx::signature::sign(&other_key, now(), &bytes);
    let forged = service
        .post(&path(&telnyx_account, "call"))
        .headers(forged)
        .body(bytes)
        .send()
        .await
        .unwrap();
    problem(forged, StatusCode::FORBIDDEN).await;

    // Malformed and unsigned: the signature is asked first.
    let garbage = service
        .post(&path(&telnyx_account, "call"))
        .body("{")
        .send()
        .await
        .unwrap();
    problem(garbage, StatusCode::FORBIDDEN).await;

    let form = [
        ("CallSid", "CA0123456789abcdef0123456789abcdef"),
        ("CallStatus", "ringing"),
    ];
    let unsigned = service
        .post(&path(&twilio_account, "status"))
        .form(&form)
        .send()
        .await
        .unwrap();
    problem(unsigned, StatusCode::FORBIDDEN).await;
    let token = SecretString::from("another token");
    let url = format!("{BASE_URL}{}", path(&twilio_account, "status"));
    let forged = twilio::signature::sign(&token, &url, &form).unwrap();
    let forged = service
        .post(&path(&twilio_account, "status"))
        .header(twilio::signature::HEADER, forged)
        .form(&form)
        .send()
        .await
        .unwrap();
    problem(forged, StatusCode::FORBIDDEN).await;

    assert_eq!(topics.calls().await.len(), 0);
    assert_eq!(topics.letters().await.len(), 0);
    let refused = service.metric(r#"webhook_in_rejected_total{carrier="telnyx",layer="signature"}"#);
    assert!((refused - 3.0).abs() < f64::EPSILON, "{refused}");
}

/// T10
#[tokio::test]
async fn an_unknown_carrier_account_or_kind_is_404_before_a_byte_of_the_body_is_read() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let ingress = &account.ingress_id;
    let paths = [
        format!("/hooks/vonage/{ingress}/call"),
        format!("/hooks/twilio/{ingress}/status"),
        "/hooks/telnyx/somebody-else/call".to_owned(),
        format!("/hooks/telnyx/{ingress}/status"),
        format!("/hooks/Telnyx/{ingress}/call"),
        format!("/hooks/telnyx/{ingress}/call/more"),
        format!("/hooks/telnyx/{ingress}"),
        "/".to_owned(),
    ];
    for path in paths {
        // A body that never ends: who waits for it does not answer.
        let endless = Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let response = service.post(&path).body(endless).send().await.unwrap();
        let answer = problem(response, StatusCode::NOT_FOUND).await;
        assert_eq!(answer["code"], "NOT_FOUND", "{path}");
    }
    let get = service
        .http
        .get(format!("http://{}{}", service.address, path(&account, "call")))
        .send()
        .await
        .unwrap();
    assert_eq!(get.headers()["allow"], "POST");
    problem(get, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn a_malformed_body_is_400_with_the_reason_and_its_bytes_are_kept_once() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let bytes = br#"{"data": {"event_type": "call.answered", "from": "+14155550100""#.to_vec();
    for _ in 0..2 {
        let response = service
            .telnyx_bytes(&account, bytes.clone())
            .send()
            .await
            .unwrap();
        let answer = problem(response, StatusCode::BAD_REQUEST).await;
        let reason = answer["detail"].as_str().unwrap();
        assert!(reason.contains("not valid JSON"), "{reason}");
        assert!(!reason.contains("4155"), "{reason}");
    }
    let letters = topics.letters().await;
    let [kept] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(kept.letter.payload, bytes);
    assert_eq!(kept.letter.code, "malformed");
    assert_eq!(
        kept.letter.origin,
        Origin::Request {
            path: path(&account, "call")
        }
    );
    assert_eq!(kept.letter.at, now());
}

#[tokio::test]
async fn what_is_authentic_but_not_understood_is_answered_200_and_kept() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let service = Setup::new(&topics.config, vec![account.clone()]).start().await;
    let at = |days| (now() + TimeDelta::days(days)).to_rfc3339();
    let mut long_ago = telnyx_event("call.answered");
    long_ago["data"]["occurred_at"] = json!(at(-31));
    let mut far_ahead = telnyx_event("call.answered");
    far_ahead["data"]["occurred_at"] = json!(at(2));
    let foreign = telnyx_event_of(
        "call.answered",
        &campaign_context(voice_schemas::TenantId::random()),
    );
    let mut no_context = telnyx_event("call.answered");
    no_context["data"]["payload"]["client_state"] = json!("bm90IG91cnM=");
    let cases = [
        (telnyx_event("call.teleported"), "unknown_event"),
        (long_ago, "time_out_of_range"),
        (far_ahead, "time_out_of_range"),
        (foreign, "bad_context"),
        (no_context, "bad_context"),
    ];
    for (body, code) in &cases {
        assert_eq!(
            service.telnyx(&account, body).await.status(),
            StatusCode::OK,
            "{code}"
        );
    }
    let letters = topics.letters().await;
    let kept: Vec<_> = letters.iter().map(|kept| kept.letter.code.as_str()).collect();
    assert_eq!(kept, cases.iter().map(|(_, code)| *code).collect::<Vec<_>>());
    for (kept, (body, _)) in letters.iter().zip(&cases) {
        assert_eq!(kept.letter.payload, serde_json::to_vec(body).unwrap());
    }
    assert_eq!(topics.calls().await.len(), 0);

    // Thirty days and one day are still taken.
    let mut oldest = telnyx_event("call.answered");
    oldest["data"]["occurred_at"] = json!(at(-30));
    let mut newest = telnyx_event("call.answered");
    newest["data"]["occurred_at"] = json!(at(1));
    for body in [oldest, newest] {
        assert_eq!(service.telnyx(&account, &body).await.status(), StatusCode::OK);
    }
    assert_eq!(topics.calls().await.len(), 2);
}

#[tokio::test]
async fn an_oversized_body_is_413_whether_it_is_announced_or_not() {
    let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
    let mut setup = Setup::new(&topics.config, vec![account.clone()]);
    setup.config.hooks.max_body_bytes = 4_096;
    let service = setup.start().await;
    let bytes = vec![b' '; 4_097];
    let announced = service
        .telnyx_bytes(&account, bytes.clone())
        .send()
        .await
        .unwrap();
    problem(announced, StatusCode::PAYLOAD_TOO_LARGE).await;
    let chunks = futures::stream::iter(
        bytes
            .chunks(1_000)
            .map(<[u8]>::to_vec)
            .map(Ok::<_, std::io::Error>)
            .collect::<Vec<_>>(),
    );
    let unannounced = service
        .post(&path(&account, "call"))
        .body(Body::wrap_stream(chunks))
        .send()
        .await
        .unwrap();
    problem(unannounced, StatusCode::PAYLOAD_TOO_LARGE).await;

    let mut fits = telnyx_event("call.answered");
    let short = serde_json::to_vec(&fits).unwrap().len();
    fits["meta"]["padding"] = json!("x".repeat(4_096 - short - r#","padding":"""#.len()));
    assert_eq!(serde_json::to_vec(&fits).unwrap().len(), 4_096);
    assert_eq!(service.telnyx(&account, &fits).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_account_whose_keys_are_unusable_is_unknown_and_the_others_work() {
    let (topics, good) = (Topics::create().await, account(telnyx_credentials()));
    let mut broken = account(telnyx_credentials());
    if let voice_postgres::accounts::Credentials::Telnyx { public_key, .. } = &mut broken.credentials {
        "AAAA".clone_into(public_key);
    }
    let service = Setup::new(&topics.config, vec![broken.clone(), good.clone()])
        .start()
        .await;
    problem(
        service.telnyx(&broken, &telnyx_event("call.answered")).await,
        StatusCode::NOT_FOUND,
    )
    .await;
    assert_eq!(
        service
            .telnyx(&good, &telnyx_event("call.answered"))
            .await
            .status(),
        StatusCode::OK
    );
    assert!((service.metric("ingest_accounts") - 1.0).abs() < f64::EPSILON);
}

/// Signatures that arrive together are verified together; nobody is judged by their company.
#[tokio::test]
async fn forged_deliveries_among_good_ones_are_refused_and_the_good_ones_taken() {
    for verify_batch in [1, 8] {
        let (topics, account) = (Topics::create().await, account(telnyx_credentials()));
        let mut setup = Setup::new(&topics.config, vec![account.clone()]);
        setup.config.hooks.verify_batch = verify_batch;
        let service = setup.start().await;
        let answers = futures::future::join_all((0..48).map(async |number| {
            let mut bytes = serde_json::to_vec(&telnyx_event("call.answered")).unwrap();
            let request = service.telnyx_bytes(&account, bytes.clone());
            let forged = number % 3 == 0;
            let request = if forged {
                bytes.push(b' ');
                request.body(bytes)
            } else {
                request
            };
            (forged, request.send().await.unwrap().status())
        }))
        .await;
        for (forged, status) in answers {
            let expected = if forged {
                StatusCode::FORBIDDEN
            } else {
                StatusCode::OK
            };
            assert_eq!(status, expected, "in batches of {verify_batch}");
        }
        assert_eq!(topics.calls().await.len(), 32);
    }
}
