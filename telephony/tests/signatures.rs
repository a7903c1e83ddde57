//! What the official SDKs accept, we accept, and what we sign, they accept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::DateTime;
use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderValue, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::form_urlencoded;
use voice_telephony::{VerifyError, WebhookRequest, Webhooks as _, telnyx, twilio};

/// Letters of one to four bytes, and what forms and URLs treat specially.
const LETTERS: [char; 18] = [
    'a', 'Z', '0', '_', '-', '.', ' ', '+', '&', '=', '%', '/', '"', '\n', 'ř', 'ñ', '語', '🎧',
];

fn word(random: &mut fastrand::Rng, longest: usize) -> String {
    (0..random.usize(0..=longest))
        .map(|_| LETTERS[random.usize(..LETTERS.len())])
        .collect()
}

struct Case {
    url: String,
    sign_url: String,
    form: Vec<(String, String)>,
    body: Option<String>,
}

/// A callback as Twilio could send it: repeated names and values, any text, any port.
fn case(random: &mut fastrand::Rng) -> Case {
    let scheme = if random.bool() { "https" } else { "http" };
    let default = if scheme == "https" { 443 } else { 80 };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("ctx", &word(random, 20))
        .finish();
    let url = |port: &str| format!("{scheme}://voice.example{port}/hooks/twilio/i/status?{query}");
    let (seen, signed) = match random.u8(..4) {
        0 => (url(""), url("")),
        1 => (url(&format!(":{default}")), url("")),
        2 => (url(""), url(&format!(":{default}"))),
        _ => (url(":8443"), url(":8443")),
    };
    if random.u8(..4) == 0 {
        let body = json!({ "text": word(random, 30) }).to_string();
        let hash = twilio::signature::body_sha256(body.as_bytes());
        let with = |url: String| format!("{url}&bodySHA256={hash}");
        return Case {
            url: with(seen),
            sign_url: with(signed),
            form: Vec::new(),
            body: Some(body),
        };
    }
    let names: Vec<String> = (0..6)
        .map(|index| format!("{}{index}", word(random, 4)))
        .collect();
    let form = (0..random.usize(1..20))
        .map(|_| (names[random.usize(..6)].clone(), word(random, 8)))
        .collect();
    Case {
        url: seen,
        sign_url: signed,
        form,
        body: None,
    }
}

fn verify(case: &Case, token: &str, signature: &str, settings: Option<&str>) -> Result<(), VerifyError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        twilio::signature::HEADER,
        HeaderValue::from_str(signature).unwrap(),
    );
    if let Some(settings) = settings {
        headers.insert(
            twilio::signature::SETTINGS_HEADER,
            HeaderValue::from_str(settings).unwrap(),
        );
    }
    let (mime, body) = match &case.body {
        Some(body) => ("application/json", body.clone()),
        None => (
            "application/x-www-form-urlencoded",
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&case.form)
                .finish(),
        ),
    };
    headers.insert("content-type", HeaderValue::from_static(mime));
    let webhooks = twilio::Webhooks::new(&SecretString::from(token.to_owned()), None).unwrap();
    let request = WebhookRequest {
        method: &Method::POST,
        url: &case.url,
        headers: &headers,
        body: body.as_bytes(),
    };
    webhooks.verify(&request, DateTime::UNIX_EPOCH)
}

/// TEL-01, TEL-02
#[test]
fn the_official_validators_and_ours_agree_on_random_deliveries() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let token = "0123456789abcdef0123456789abcdef";
    let cases: Vec<Case> = (0..200).map(|_| case(&mut random)).collect();
    let twilio_cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            let form: Vec<(&str, &str)> = case.form.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let signature =
                twilio::signature::sign(&SecretString::from(token.to_owned()), &case.sign_url, &form).unwrap();
            let mut asked = json!({
                "token": token, "url": case.url, "sign_url": case.sign_url, "form": case.form, "signature": signature,
            });
            if let Some(body) = &case.body {
                asked["body"] = json!(body);
            }
            asked
        })
        .collect();

    let seconds = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let now = DateTime::from_timestamp(seconds, 0).unwrap();
    let deliveries: Vec<(SigningKey, String)> = (0..50)
        .map(|_| {
            let mut bytes = [0; 32];
            random.fill(&mut bytes);
            let body =
                json!({"data": {"event_type": "call.answered", "payload": {"text": word(&mut random, 40)}}});
            (SigningKey::from_bytes(&bytes), body.to_string())
        })
        .collect();
    let telnyx_cases: Vec<Value> = deliveries
        .iter()
        .map(|(key, body)| {
            let headers = telnyx::signature::sign(key, now, body.as_bytes());
            let headers: serde_json::Map<String, Value> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
                .collect();
            json!({ "seed": STANDARD.encode(key.to_bytes()), "body": body, "headers": headers })
        })
        .collect();

    let said = support::ask(
        "signatures.py",
        &json!({ "twilio": twilio_cases, "telnyx": telnyx_cases }),
    );

    let verdicts = said["twilio"].as_array().unwrap();
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts) {
        let shown = (&case.url, &case.form, &case.body);
        assert_eq!(verdict["accepts"], true, "they refuse what we sign: {shown:?}");
        let theirs = verdict["signature"].as_str().unwrap();
        assert_eq!(
            verify(case, token, theirs, None),
            Ok(()),
            "we refuse what they sign: {shown:?}"
        );
        let shared = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";
        let sha256 = verdict["sha256"].as_str().unwrap();
        assert_eq!(verify(case, token, sha256, Some(shared)), Ok(()), "{shown:?}");
        assert_eq!(
            verify(case, token, theirs, Some(shared)),
            Err(VerifyError::WrongSignature)
        );
        assert_eq!(
            verify(case, "another token", theirs, None),
            Err(VerifyError::WrongSignature)
        );
    }

    let signed_at = said["now"].as_i64().unwrap();
    let verdicts = said["telnyx"].as_array().unwrap();
    assert_eq!(verdicts.len(), deliveries.len());
    for ((key, body), verdict) in deliveries.iter().zip(verdicts) {
        assert_eq!(verdict["accepts"], true, "they refuse what we sign: {body}");
        assert_eq!(verdict["accepts_other_body"], false);
        assert_eq!(verdict["accepts_other_time"], false);
        let mut headers = HeaderMap::new();
        let theirs = verdict["signature"].as_str().unwrap();
        headers.insert(
            telnyx::signature::SIGNATURE_HEADER,
            HeaderValue::from_str(theirs).unwrap(),
        );
        headers.insert(telnyx::signature::TIMESTAMP_HEADER, HeaderValue::from(signed_at));
        let account =
            telnyx::Webhooks::new(&SecretString::from(telnyx::signature::public_key_of(key)), None).unwrap();
        let request = WebhookRequest {
            method: &Method::POST,
            url: "",
            headers: &headers,
            body: body.as_bytes(),
        };
        let verified = account.verify(&request, DateTime::from_timestamp(signed_at, 0).unwrap());
        assert_eq!(verified, Ok(()), "we refuse what they sign: {body}");
    }
}
