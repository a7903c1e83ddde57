//! The signature Telnyx puts on its webhooks: Ed25519 over the time, a bar and the raw body.
//!
//! <https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks#webhook-signing>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::Webhooks;
use crate::{KeyError, VerifyError, webhook::WebhookRequest};

/// Carries the signature: 64 bytes in Base64.
pub const SIGNATURE_HEADER: &str = "telnyx-signature-ed25519";
/// Carries the time of signing, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "telnyx-timestamp";
/// How far the time of signing may be from ours, either way.
pub const TOLERANCE_SECONDS: i64 = 300;

/// The public key of an account, from its Base64 form.
pub(super) fn public_key(text: &SecretString) -> Result<VerifyingKey, KeyError> {
    let bytes = STANDARD
        .decode(text.expose_secret().trim())
        .map_err(|_| KeyError::Encoding)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Encoding)?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAKey)?;
    if key.is_weak() {
        Err(KeyError::NotAKey)
    } else {
        Ok(key)
    }
}

/// What the two headers say, decoded.
struct Signed {
    at: i64,
    message: Vec<u8>,
    signature: Signature,
}

impl Signed {
    fn read(request: &WebhookRequest<'_>) -> Result<Self, VerifyError> {
        let header = |name| {
            request
                .header(name)
                .ok_or(VerifyError::MissingSignature { header: name })
        };
        let signature = STANDARD
            .decode(header(SIGNATURE_HEADER)?)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(VerifyError::MalformedSignature {
                header: SIGNATURE_HEADER,
            })?;
        let stamp = header(TIMESTAMP_HEADER)?;
        let at = stamp.parse().map_err(|_| VerifyError::MalformedSignature {
            header: TIMESTAMP_HEADER,
        })?;
        Ok(Self {
            at,
            message: message(stamp, request.body),
            signature,
        })
    }

    fn check(&self, keys: &[VerifyingKey], now: DateTime<Utc>) -> Result<(), VerifyError> {
        if keys
            .iter()
            .any(|key| key.verify_strict(&self.message, &self.signature).is_ok())
        {
            self.fresh(now)
        } else {
            Err(VerifyError::WrongSignature)
        }
    }

    /// Only asked of what is authentic: a stale delivery is answered 200, a forged one is not.
    fn fresh(&self, now: DateTime<Utc>) -> Result<(), VerifyError> {
        let age_seconds = now.timestamp().saturating_sub(self.at);
        if (-TOLERANCE_SECONDS..=TOLERANCE_SECONDS).contains(&age_seconds) {
            Ok(())
        } else {
            Err(VerifyError::Stale { age_seconds })
        }
    }
}

fn message(stamp: &str, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(stamp.len() + 1 + body.len());
    message.extend_from_slice(stamp.as_bytes());
    message.push(b'|');
    message.extend_from_slice(body);
    message
}

pub(super) fn verify(
    keys: &[VerifyingKey],
    request: &WebhookRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    Signed::read(request)?.check(keys, now)
}

/// Verifies several deliveries at once, of the same or different accounts: from eight on, for about half the
/// work of one by one. One result per delivery, in order.
///
/// When the batch does not hold as a whole, each delivery is checked by itself. The batch equation is more
/// lenient than the single check in one respect: it may accept a signature whose parts have a component of small
/// order. Only who holds the private key can make one, and keys of small order are refused when they
/// are read, so nothing can be forged; a delivery could merely be judged differently alone and in company.
#[must_use]
pub fn verify_batch(
    deliveries: &[(&Webhooks, WebhookRequest<'_>)],
    now: DateTime<Utc>,
) -> Vec<Result<(), VerifyError>> {
    let read: Vec<_> = deliveries
        .iter()
        .map(|(_, request)| Signed::read(request))
        .collect();
    let mut messages = Vec::with_capacity(read.len());
    let mut signatures = Vec::with_capacity(read.len());
    let mut keys = Vec::with_capacity(read.len());
    for ((webhooks, _), signed) in deliveries.iter().zip(&read) {
        if let (Ok(signed), Some(key)) = (signed, webhooks.keys().first()) {
            messages.push(signed.message.as_slice());
            signatures.push(signed.signature);
            keys.push(*key);
        }
    }
    let whole = messages.len() > 1 && ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok();
    deliveries
        .iter()
        .zip(read)
        .map(|((webhooks, _), signed)| match signed? {
            signed if whole => signed.fresh(now),
            signed => signed.check(webhooks.keys(), now),
        })
        .collect()
}

/// Signs a body as Telnyx does and gives the two headers.
#[must_use]
pub fn sign(key: &SigningKey, at: DateTime<Utc>, body: &[u8]) -> HeaderMap {
    let stamp = at.timestamp();
    let signature = key.sign(&message(&stamp.to_string(), body));
    let mut headers = HeaderMap::with_capacity(2);
    // Base64 is always a valid header value.
    if let Ok(value) = HeaderValue::try_from(STANDARD.encode(signature.to_bytes())) {
        headers.insert(HeaderName::from_static(SIGNATURE_HEADER), value);
    }
    headers.insert(
        HeaderName::from_static(TIMESTAMP_HEADER),
        HeaderValue::from(stamp),
    );
    headers
}

/// The public key that belongs to a signing key, as an account would show it.
#[must_use]
pub fn public_key_of(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying_key().as_bytes())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use http::Method;

    use super::*;
    use crate::Webhooks as _;

    const BODY: &str = r#"{"data":{"event_type":"call.answered","id":"e1","occurred_at":"2026-01-01T00:00:00.000000Z","payload":{"call_control_id":"v3:x"},"record_type":"event"},"meta":{"attempt":1,"delivered_to":"https://x.example"}}"#;
    const SIGNATURE: &str =
        "BSlqIpqCJr2mK+fbaGsxd8w8VS9MFvWWkIZccEeeOcrfUwJ9yz/LNGFXhq9wJ/N7456Qf/T6gLGVHj67DuYpDQ==";

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn account(byte: u8) -> Webhooks {
        Webhooks::new(&SecretString::from(public_key_of(&key(byte))), None).unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> WebhookRequest<'a> {
        WebhookRequest {
            method: &Method::POST,
            url: "https://x.example/hooks/telnyx/i/call",
            headers,
            body,
        }
    }

    /// TEL-02
    #[test]
    fn the_vector_made_with_the_official_sdk_holds() {
        assert_eq!(
            public_key_of(&key(1)),
            "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="
        );
        let headers = sign(&key(1), now(), BODY.as_bytes());
        assert_eq!(headers[SIGNATURE_HEADER], SIGNATURE);
        assert_eq!(headers[TIMESTAMP_HEADER], "1700000000");
        assert_eq!(
            account(1).verify(&request(&headers, BODY.as_bytes()), now()),
            Ok(())
        );
    }

    #[test]
    fn a_changed_body_time_or_key_is_refused() {
        let headers = sign(&key(1), now(), BODY.as_bytes());
        let mut changed = BODY.as_bytes().to_vec();
        for at in [0, BODY.len() / 2, BODY.len() - 1] {
            changed[at] ^= 1;
            let result = account(1).verify(&request(&headers, &changed), now());
            assert_eq!(result, Err(VerifyError::WrongSignature));
            changed[at] ^= 1;
        }
        let mut later = headers.clone();
        later.insert(TIMESTAMP_HEADER, HeaderValue::from(1_700_000_001));
        assert_eq!(
            account(1).verify(&request(&later, BODY.as_bytes()), now()),
            Err(VerifyError::WrongSignature)
        );
        assert_eq!(
            account(2).verify(&request(&headers, BODY.as_bytes()), now()),
            Err(VerifyError::WrongSignature)
        );
    }

    #[test]
    fn five_minutes_either_way_are_fresh_and_a_second_more_is_stale() {
        let headers = sign(&key(1), now(), BODY.as_bytes());
        let at = |seconds| {
            account(1).verify(
                &request(&headers, BODY.as_bytes()),
                now() + TimeDelta::seconds(seconds),
            )
        };
        assert_eq!(at(300), Ok(()));
        assert_eq!(at(-300), Ok(()));
        assert_eq!(at(301), Err(VerifyError::Stale { age_seconds: 301 }));
        assert_eq!(at(-301), Err(VerifyError::Stale { age_seconds: -301 }));
    }

    #[test]
    fn a_missing_or_malformed_header_is_named() {
        let good = sign(&key(1), now(), BODY.as_bytes());
        for name in [SIGNATURE_HEADER, TIMESTAMP_HEADER] {
            let mut headers = good.clone();
            headers.insert(name, HeaderValue::from_static("?"));
            let malformed = account(1).verify(&request(&headers, BODY.as_bytes()), now());
            assert_eq!(malformed, Err(VerifyError::MalformedSignature { header: name }));
            headers.remove(name);
            let missing = account(1).verify(&request(&headers, BODY.as_bytes()), now());
            assert_eq!(missing, Err(VerifyError::MissingSignature { header: name }));
        }
    }

    #[test]
    fn keys_that_are_none_or_weak_are_refused_and_a_rotation_takes_both() {
        let new = |text: &str| Webhooks::new(&SecretString::from(text.to_owned()), None).err();
        assert_eq!(new("AAAA"), Some(KeyError::Encoding));
        assert_eq!(new("*"), Some(KeyError::Encoding));
        // The neutral element: with it as a key, anybody can sign anything.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(new(&STANDARD.encode(neutral)), Some(KeyError::NotAKey));

        let secret = |byte| SecretString::from(public_key_of(&key(byte)));
        let rotating = Webhooks::new(&secret(2), Some(&secret(1))).unwrap();
        for byte in [1, 2] {
            let headers = sign(&key(byte), now(), BODY.as_bytes());
            assert_eq!(
                rotating.verify(&request(&headers, BODY.as_bytes()), now()),
                Ok(()),
                "{byte}"
            );
        }
    }

    #[test]
    fn a_batch_tells_each_delivery_what_it_would_be_told_alone() {
        let accounts = [account(1), account(2)];
        let stale = now() - TimeDelta::seconds(301);
        let unsigned = HeaderMap::new();
        let good: Vec<_> = [(0, now()), (1, now()), (0, stale), (1, now())]
            .map(|(account, at)| (account, sign(&key(account as u8 + 1), at, BODY.as_bytes())))
            .to_vec();
        let mut cases = vec![good.clone()];
        cases.push(
            good.iter()
                .cloned()
                .chain([(0, sign(&key(3), now(), BODY.as_bytes()))])
                .collect(),
        );
        cases.push(good.iter().cloned().chain([(0, unsigned)]).collect());
        cases.push(good[..1].to_vec());
        cases.push(Vec::new());
        for case in cases {
            let deliveries: Vec<_> = case
                .iter()
                .map(|(index, headers)| (&accounts[*index], request(headers, BODY.as_bytes())))
                .collect();
            let alone: Vec<_> = deliveries
                .iter()
                .map(|(account, request)| account.verify(request, now()))
                .collect();
            assert_eq!(verify_batch(&deliveries, now()), alone);
        }
    }
}
