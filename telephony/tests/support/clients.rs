//! Clients of both carriers pointed at a local server, and a call to place.

use std::{sync::Once, time::Duration};

use secrecy::SecretString;
use url::Url;
use uuid::Uuid;
use voice_schemas::{AttemptId, CallId, TenantId, events::call::Direction};
use voice_telephony::{
    AmdMode, CallContext, ContextKey, ContextKeys, HookUrls, OriginateRequest, PhoneNumber, SealedContext,
    telnyx, twilio,
};

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const CALL: &str = "CA00000000000000000000000000000002";
pub(crate) const LEG: &str = "v3:abc/def+x";

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap()
    });
    reqwest::Client::new()
}

pub(crate) fn twilio_at(base: &str, timeout: Duration) -> twilio::Client {
    let config = twilio::Config {
        account_sid: ACCOUNT.to_owned(),
        user: "SK00000000000000000000000000000003".to_owned(),
        password: SecretString::from("a test secret".to_owned()),
        base_url: Url::parse(base).unwrap(),
        timeout,
    };
    twilio::Client::new(http(), config)
}

pub(crate) fn telnyx_at(base: &str, timeout: Duration) -> telnyx::Client {
    let config = telnyx::Config {
        api_key: SecretString::from("a test secret".to_owned()),
        connection_id: "1684641123236054244".to_owned(),
        base_url: Url::parse(base).unwrap(),
        timeout,
    };
    telnyx::Client::new(http(), config)
}

pub(crate) const PATIENT: Duration = Duration::from_secs(20);

pub(crate) fn sealed() -> SealedContext {
    let context = CallContext::new(
        TenantId(Uuid::from_u128(1)),
        CallId(Uuid::from_u128(2)),
        Direction::Outbound,
    );
    ContextKeys::new(ContextKey::new([1; 32])).seal(&context)
}

pub(crate) fn request() -> OriginateRequest {
    OriginateRequest {
        attempt: AttemptId(Uuid::from_u128(7)),
        context: sealed(),
        to: PhoneNumber::parse("+14155550100").unwrap().into(),
        from: PhoneNumber::parse("+14155550199").unwrap(),
        hooks: HookUrls::new(&Url::parse("https://voice.example/hooks/carrier/ing_1/").unwrap()),
        ring_timeout: Duration::from_secs(20),
        time_limit: Some(Duration::from_secs(3600)),
        amd: AmdMode::Detect,
        record: true,
        on_answer: Vec::new(),
    }
}

/// How Telnyx answers a dial and a question about a call.
pub(crate) const TELNYX_CALL: &str = r#"{"data":{"record_type":"call","call_control_id":"v3:abc/def+x","call_leg_id":"l",
"call_session_id":"s","is_alive":false}}"#;
