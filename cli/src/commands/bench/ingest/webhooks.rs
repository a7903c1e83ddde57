//! The webhooks of the bench, signed, as bytes on the wire; and the accounts they belong to.

use std::fmt::Write as _;

use anyhow::Context as _;
use chrono::DateTime;
use ed25519_dalek::SigningKey;
use secrecy::SecretString;
use voice_ingest::HookAccount;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_postgres::accounts::{Credentials, IpPolicy};
use voice_schemas::{
    AttemptId, CallId, CampaignId, ContactId, ProviderAccountId, TenantId,
    events::call::{Carrier, Direction},
};
use voice_telephony::{CallContext, ContextKey, ContextKeys, telnyx, twilio};

/// What the servers of the bench are told their public address is; Twilio's signatures cover it.
pub const PUBLIC: &str = "http://127.0.0.1";
/// A token for benches only.
pub const TWILIO_TOKEN: &str = "0123456789abcdef0123456789abcdef";
const INGRESS: &str = "bench";

/// A key for benches only.
fn telnyx_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// The key that Telnyx' webhooks are checked with, as its portal shows it.
pub fn telnyx_public_key() -> String {
    telnyx::signature::public_key_of(&telnyx_key())
}

/// The key of call contexts.
pub fn context_keys() -> ContextKeys {
    ContextKeys::new(ContextKey::new([3; 32]))
}

fn tenant() -> TenantId {
    TenantId::derived(DateTime::UNIX_EPOCH, &[b"tenant"])
}

/// An account at either carrier.
pub fn accounts() -> Vec<HookAccount> {
    let telnyx = Credentials::Telnyx {
        public_key: telnyx_public_key(),
        api_key: "".into(),
        connection_id: String::new(),
    };
    let twilio = Credentials::Twilio {
        account_sid: String::new(),
        auth_token: TWILIO_TOKEN.into(),
        secondary_auth_token: None,
    };
    let account = |credentials| HookAccount {
        tenant: tenant(),
        id: ProviderAccountId::random(),
        credentials,
        ingress_id: INGRESS.to_owned(),
        // The bench finds the limit of the process, not that of an account.
        rate_per_second: 1_000_000,
        rate_burst: 1_000_000,
        ip_policy: IpPolicy::Off,
        ip_allow: Vec::new(),
        phone_key: None,
        locale: "en".to_owned(),
    };
    vec![account(telnyx), account(twilio)]
}

/// The context of call `number`, one of eight campaigns' calls.
fn context(number: u64) -> CallContext {
    let seed = number.to_be_bytes();
    let began = SystemClock.now();
    let mut context = CallContext::new(tenant(), CallId::derived(began, &[&seed]), Direction::Outbound);
    context.campaign = Some((
        CampaignId::derived(DateTime::UNIX_EPOCH, &[&[seed[7] % 8]]),
        u16::from(seed[7] % 4),
    ));
    context.attempt = Some(AttemptId::derived(began, &[&seed]));
    context.contact = Some(ContactId::derived(began, &[&seed]));
    context
}

/// The requests with the numbers from `first` on.
pub fn requests(carrier: Carrier, first: u64, count: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    let keys = context_keys();
    (first..first + count)
        .map(|number| match carrier {
            Carrier::Telnyx => telnyx_request(number, &keys),
            Carrier::Twilio => twilio_request(number, &keys),
        })
        .collect()
}

fn telnyx_request(number: u64, keys: &ContextKeys) -> anyhow::Result<Vec<u8>> {
    let now = SystemClock.now();
    let body = serde_json::json!({
        "data": {
            "record_type": "event",
            "event_type": "call.answered",
            "id": format!("0ccc7b54-4df3-4bca-a65a-{number:012x}"),
            "occurred_at": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "payload": {
                "call_control_id": format!("v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_{number:012x}"),
                "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
                "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
                "connection_id": "1684641123236054244",
                "client_state": keys.seal(&context(number)).as_client_state(),
                "from": "+14155550199",
                "to": "+14155550100",
                "state": "answered",
                "start_time": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            },
        },
        "meta": { "attempt": 1, "delivered_to": "https://voice.example/hooks/telnyx/bench/call" },
    })
    .to_string();
    let signed = telnyx::signature::sign(&telnyx_key(), now, body.as_bytes());
    let mut headers = String::from("content-type: application/json\r\n");
    for (name, value) in &signed {
        write!(headers, "{name}: {}\r\n", value.to_str()?)?;
    }
    Ok(request(&format!("/hooks/telnyx/{INGRESS}/call"), &headers, &body))
}

fn twilio_request(number: u64, keys: &ContextKeys) -> anyhow::Result<Vec<u8>> {
    let sid = format!("CA{number:032x}");
    let form = [
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &sid),
        ("Direction", "outbound-api"),
        ("From", "+14155550199"),
        ("FromCity", "SAN FRANCISCO"),
        ("FromState", "CA"),
        ("FromZip", "94105"),
        ("FromCountry", "US"),
        ("Caller", "+14155550199"),
        ("CallerCity", "SAN FRANCISCO"),
        ("CallerState", "CA"),
        ("CallerZip", "94105"),
        ("CallerCountry", "US"),
        ("To", "+14155550100"),
        ("ToCity", "SAN FRANCISCO"),
        ("ToState", "CA"),
        ("ToZip", "94105"),
        ("ToCountry", "US"),
        ("Called", "+14155550100"),
        ("CalledCity", "SAN FRANCISCO"),
        ("CalledState", "CA"),
        ("CalledZip", "94105"),
        ("CalledCountry", "US"),
        ("CallStatus", "in-progress"),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "2"),
        ("Timestamp", &SystemClock.now().to_rfc2822()),
    ];
    let path = format!(
        "/hooks/twilio/{INGRESS}/status?ctx={}",
        keys.seal(&context(number)).as_query()
    );
    let signature = twilio::signature::sign(
        &SecretString::from(TWILIO_TOKEN),
        &format!("{PUBLIC}{path}"),
        &form,
    )
    .context("signing")?;
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let headers = format!(
        "content-type: application/x-www-form-urlencoded\r\n{}: {signature}\r\n",
        twilio::signature::HEADER
    );
    Ok(request(&path, &headers, &body))
}

fn request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: carrier/1.0\r\naccept: */*\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}
