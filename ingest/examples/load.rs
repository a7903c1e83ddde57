//! How much processor time one webhook costs, beside the floor it stands on: the signature, an HTTP echo
//! and an append to Kafka. `KAFKA_BROKERS=… cargo run --release -p voice-ingest --example load -- 40000`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, reason = "a tool for people")]

use std::{env, fmt::Write as _, process::Stdio, sync::Arc, time::{Duration, Instant}};

use axum::{Router, body::Bytes, routing::post};
use chrono::DateTime;
use ed25519_dalek::SigningKey;
use futures::{StreamExt as _, future::join_all, stream};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use serde_json::json;
use tokio::{io::{AsyncReadExt as _, AsyncWriteExt as _}, net::{TcpListener, TcpStream}};
use voice_ingest::{AccountSource, App, Config, Deps, HookAccount};
use voice_kafka::{OutboundRecord, Producer, admin::Admin};
use voice_lifecycle::{CancellationToken, Clock as _, Lifecycle, Readiness, SystemClock};
use voice_postgres::accounts::{Credentials, IpPolicy};
use voice_schemas::{CallId, CampaignId, ProviderAccountId, TenantId, events::call::Direction, topics};
use voice_telemetry::Metrics;
use voice_telephony::{CallContext, ContextKey, ContextKeys, WebhookRequest, Webhooks as _, telnyx, twilio};

const CONNECTIONS: usize = 64;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn tenant() -> TenantId {
    TenantId::derived(DateTime::UNIX_EPOCH, &[b"tenant"])
}

fn context_keys() -> Arc<ContextKeys> {
    Arc::new(ContextKeys::new(ContextKey::new([3; 32])))
}

fn context() -> CallContext {
    let mut context = CallContext::new(tenant(), CallId::derived(DateTime::UNIX_EPOCH, &[b"call"]), Direction::Outbound);
    context.campaign = Some((CampaignId::derived(DateTime::UNIX_EPOCH, &[b"campaign"]), 2));
    context
}

/// User and system time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat.rsplit(')').next().unwrap().split(' ').skip(12).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn http(path: &str, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let mut text = format!("POST {path} HTTP/1.1\r\nhost: x\r\nuser-agent: carrier/1.0\r\naccept: */*\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    format!("{text}\r\n{body}").into_bytes()
}

fn telnyx_body(number: usize, keys: &ContextKeys) -> String {
    json!({"data": {
        "record_type": "event", "event_type": "call.answered", "id": format!("0ccc7b54-4df3-4bca-a65a-{number:012}"),
        "occurred_at": SystemClock.now().to_rfc3339(),
        "payload": {
            "call_control_id": "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg",
            "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1", "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
            "connection_id": "1684641123236054244", "client_state": keys.seal(&context()).as_client_state(),
            "from": "+14155550199", "to": "+14155550100", "state": "answered", "start_time": "2026-11-20T09:30:00.000000Z",
        }},
        "meta": {"attempt": 1, "delivered_to": "https://voice.example/hooks/telnyx/ing_1/call"}})
    .to_string()
}

fn twilio_form(sid: &str) -> [(&str, &str); 13] {
    [
        ("AccountSid", "AC00000000000000000000000000000001"), ("ApiVersion", "2010-04-01"), ("CallSid", sid),
        ("Direction", "outbound-api"), ("From", "+14155550199"), ("To", "+14155550100"), ("CalledCity", "SAN FRANCISCO"),
        ("CalledState", "CA"), ("CalledZip", "94105"), ("CalledCountry", "US"), ("CallStatus", "in-progress"),
        ("CallbackSource", "call-progress-events"), ("SequenceNumber", "2"),
    ]
}

fn owned(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

fn requests(kind: &str, path: &str, count: usize) -> Vec<Vec<u8>> {
    let keys = context_keys();
    let one = |number: usize| {
        if kind == "twilio" {
            let sid = format!("CA{number:032x}");
            let form = twilio_form(&sid);
            let path = format!("{path}?ctx={}", keys.seal(&context()).as_query());
            let signature = twilio::signature::sign(&SecretString::from(TOKEN), &format!("http://127.0.0.1{path}"), &form).unwrap();
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let headers = [(twilio::signature::HEADER, signature.as_str()), ("content-type", "application/x-www-form-urlencoded")];
            http(&path, &headers.map(|(name, value)| (name.to_owned(), value.to_owned())), &body)
        } else {
            let body = telnyx_body(number, &keys);
            let mut headers = owned(&telnyx::signature::sign(&key(), SystemClock.now(), body.as_bytes()));
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            http(path, &headers, &body)
        }
    };
    (0..count).map(one).collect()
}

/// The client, a process of its own.
async fn fire(kind: &str, address: &str, path: &str, count: usize) {
    let requests = requests(kind, path, count);
    let chunks: Vec<_> = requests.chunks(count.div_ceil(CONNECTIONS)).map(<[_]>::to_vec).collect();
    let began = Instant::now();
    let took = join_all(chunks.into_iter().map(|chunk| async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut answer = vec![0; 4_096];
        let mut took = Vec::with_capacity(chunk.len());
        for request in chunk {
            let began = Instant::now();
            stream.write_all(&request).await.unwrap();
            let length = stream.read(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
            took.push(began.elapsed());
        }
        took
    }))
    .await;
    let mut took: Vec<_> = took.into_iter().flatten().collect();
    took.sort();
    println!("    {kind} {:.0}/s, p50 {:?} p99 {:?}", count as f64 / began.elapsed().as_secs_f64(), took[count / 2], took[count * 99 / 100]);
}

async fn measured(what: &str, count: usize, work: impl Future<Output = ()>) -> f64 {
    let before = processor_time();
    work.await;
    let each = (processor_time() - before).as_secs_f64() * 1e6 / count as f64;
    println!("{what:<28} {each:>7.1} µs");
    each
}

async fn client(kind: &str, address: &str, path: &str, count: usize) {
    let mut child = tokio::process::Command::new(env::current_exe().unwrap());
    child.args(["fire", kind, address, path, &count.to_string()]).stdout(Stdio::inherit());
    assert!(child.status().await.unwrap().success());
}

fn account(ingress: &str, credentials: Credentials) -> HookAccount {
    HookAccount {
        tenant: tenant(), id: ProviderAccountId::random(), credentials, ingress_id: ingress.to_owned(),
        rate_per_second: 1_000_000, rate_burst: 1_000_000, ip_policy: IpPolicy::Off, ip_allow: Vec::new(), phone_key: None,
        locale: "en".to_owned(),
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, mode, kind, address, path, count] = arguments.as_slice() {
        assert_eq!(mode, "fire");
        return fire(kind, address, path, count.parse().unwrap()).await;
    }
    let count: usize = arguments.get(1).map_or(40_000, |count| count.parse().unwrap());
    let kafka = voice_kafka::Config { brokers: env::var("KAFKA_BROKERS").unwrap(), prefix: format!("load-{:x}.", std::process::id()), ..voice_kafka::Config::default() };
    let admin = Admin::new(&kafka).unwrap();
    admin.apply(&topics::CALLS, 1).await.unwrap();
    let producer = Producer::new(&kafka).unwrap();

    // The floor.
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo_address = echo.local_addr().unwrap().to_string();
    let router = Router::new().route("/hooks/{carrier}/{ingress}/{kind}", post(|_: Bytes| async {}));
    tokio::spawn(voice_http::serve(echo, router, CancellationToken::new()));
    client("telnyx", &echo_address, "/hooks/telnyx/t/call", count / 8).await;
    let echoed = measured("echo (telnyx body)", count, client("telnyx", &echo_address, "/hooks/telnyx/t/call", count)).await;
    let echoed_twilio = measured("echo (twilio body)", count, client("twilio", &echo_address, "/hooks/twilio/t/status", count)).await;

    let record = OutboundRecord { topic: kafka.topic(&topics::CALLS), key: vec![b'k'; 38], payload: vec![b'p'; 900], headers: Vec::new() };
    let produced = measured("produce, acked", count, async {
        stream::iter(0..count).map(|_| producer.send(&record)).buffer_unordered(CONNECTIONS).for_each(|sent| async { drop(sent.unwrap()) }).await;
    })
    .await;
    let webhooks = telnyx::Webhooks::new(&SecretString::from(telnyx::signature::public_key_of(&key())), None).unwrap();
    let body = telnyx_body(1, &context_keys());
    let headers = telnyx::signature::sign(&key(), SystemClock.now(), body.as_bytes());
    let request = WebhookRequest { method: &Method::POST, url: "x", headers: &headers, body: body.as_bytes() };
    let now = SystemClock.now();
    let signed = measured("ed25519, one by one", count, async {
        (0..count).for_each(|_| webhooks.verify(&request, now).unwrap());
    })
    .await;
    for size in [4, 16, 64] {
        let batch: Vec<_> = (0..size).map(|_| (&webhooks, request)).collect();
        measured(&format!("ed25519, in batches of {size}"), count, async {
            (0..count / size).for_each(|_| drop(telnyx::signature::verify_batch(&batch, now)));
        })
        .await;
    }

    // The service.
    let config = Config { public_base_url: "http://127.0.0.1".to_owned(), per_address_per_second: 1_000_000, ..Config::default() };
    let accounts = vec![
        account("t", Credentials::Telnyx { public_key: telnyx::signature::public_key_of(&key()), api_key: "".into(), connection_id: String::new() }),
        account("t", Credentials::Twilio { account_sid: String::new(), auth_token: TOKEN.into(), secondary_auth_token: None }),
    ];
    let deps = Deps { clock: SystemClock::shared(), producer, kafka: kafka.clone(), accounts: AccountSource::Fixed(accounts), context: context_keys(), metrics: Metrics::empty() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lifecycle = Lifecycle::new(Readiness::new(), Duration::ZERO);
    App::build(config, deps).unwrap().spawn(&lifecycle, listener);
    let telnyx = measured("webhook, telnyx", count, client("telnyx", &address, "/hooks/telnyx/t/call", count)).await;
    let twilio = measured("webhook, twilio", count, client("twilio", &address, "/hooks/twilio/t/status", count)).await;
    println!("telnyx: {:.2} x (echo {echoed:.1} + produce {produced:.1} + signature {signed:.1})", telnyx / (echoed + produced + signed));
    println!("twilio: {:.2} x (echo {echoed_twilio:.1} + produce {produced:.1})", twilio / (echoed_twilio + produced));
    admin.delete(&[&kafka.topic(&topics::CALLS)]).await.unwrap();
}
