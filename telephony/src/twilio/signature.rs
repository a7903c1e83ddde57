//! The signature Twilio puts on its callbacks: HMAC over the URL it asked for and the form it sent.
//!
//! The signed text is the exact URL followed, for a form, by each distinct name in byte order with each of its
//! distinct values in byte order. A body that is no form is covered by its SHA-256 in the query
//! (`bodySHA256`). Twilio is inconsistent about the port, so the URL counts with and without it.
//! <https://www.twilio.com/docs/usage/security#validating-requests>

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::{KeyError, VerifyError, mac::hex, webhook::WebhookRequest};

/// Carries the signature, in Base64.
pub const HEADER: &str = "x-twilio-signature";
/// Says `key=…,algorithm=HMAC_SHA256` when an account signs with a shared key instead of its auth token.
pub const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";

/// Status callbacks carry a signed time. Twilio retries for far less than this; what is older is a replay.
const OLDEST: TimeDelta = TimeDelta::hours(24);

/// A form as names and values, in the order sent.
pub(super) type Form<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A signing token, ready to use.
pub(super) struct Token {
    sha1: Hmac<Sha1>,
    sha256: Hmac<Sha256>,
}

impl Token {
    pub(super) fn new(secret: &SecretString) -> Result<Self, KeyError> {
        let bytes = secret.expose_secret().as_bytes();
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        // HMAC takes keys of any length.
        let sha1 = Hmac::new_from_slice(bytes).map_err(|_| KeyError::Encoding)?;
        let sha256 = Hmac::new_from_slice(bytes).map_err(|_| KeyError::Encoding)?;
        Ok(Self { sha1, sha256 })
    }

    fn signed(&self, algorithm: Algorithm, url: &str, sorted: &Form<'_>, signature: &[u8]) -> bool {
        match algorithm {
            Algorithm::Sha1 => matches(self.sha1.clone(), url, sorted, signature),
            Algorithm::Sha256 => matches(self.sha256.clone(), url, sorted, signature),
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([redacted])")
    }
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

fn matches<M: Mac>(mac: M, url: &str, sorted: &Form<'_>, signature: &[u8]) -> bool {
    // Constant time.
    absorb(mac, url, sorted).verify_slice(signature).is_ok()
}

fn absorb<M: Mac>(mut mac: M, url: &str, sorted: &Form<'_>) -> M {
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac
}

fn sorted<'a>(mut form: Form<'a>) -> Form<'a> {
    form.sort_unstable();
    form.dedup();
    form
}

/// Signs as Twilio does: the URL, and the parameters of a form (none for GET and JSON).
///
/// # Errors
/// When the token is empty.
pub fn sign(token: &SecretString, url: &str, form: &[(&str, &str)]) -> Result<String, KeyError> {
    let token = Token::new(token)?;
    let form = sorted(
        form.iter()
            .map(|(name, value)| (Cow::from(*name), Cow::from(*value)))
            .collect(),
    );
    Ok(STANDARD.encode(absorb(token.sha1, url, &form).finalize().into_bytes()))
}

/// What `bodySHA256` in the query has to be for a body that is no form.
#[must_use]
pub fn body_sha256(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

pub(super) fn verify(
    tokens: &[Token],
    request: &WebhookRequest<'_>,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    let signature = request
        .header(HEADER)
        .ok_or(VerifyError::MissingSignature { header: HEADER })?;
    let signature = STANDARD
        .decode(signature.trim())
        .map_err(|_| VerifyError::MalformedSignature { header: HEADER })?;
    let algorithm = algorithm(request)?;
    let form = signed_form(request)?;
    // Absent on voice and AMD callbacks; a wrong one is the parser's business.
    let at = timestamp(&form);
    let form = sorted(form);
    let signed = |url: &str| {
        tokens
            .iter()
            .any(|token| token.signed(algorithm, url, &form, &signature))
    };
    if !signed(request.url) && !other_ports(request.url).any(|url| signed(&url)) {
        return Err(VerifyError::WrongSignature);
    }
    match at {
        Some(at) if now - at > OLDEST => Err(VerifyError::Stale {
            age_seconds: (now - at).num_seconds(),
        }),
        _ => Ok(()),
    }
}

fn algorithm(request: &WebhookRequest<'_>) -> Result<Algorithm, VerifyError> {
    let settings = request.header(SETTINGS_HEADER).unwrap_or_default();
    let named = settings
        .split(',')
        .filter_map(|part| part.split_once('='))
        .find_map(|(name, value)| {
            (name.trim() == "algorithm" && !value.trim().is_empty()).then(|| value.trim())
        });
    match named {
        None => Ok(Algorithm::Sha1),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA1") => Ok(Algorithm::Sha1),
        Some(name) if name.eq_ignore_ascii_case("HMAC_SHA256") => Ok(Algorithm::Sha256),
        Some(_) => Err(VerifyError::MalformedSignature {
            header: SETTINGS_HEADER,
        }),
    }
}

/// The parameters the signature covers beside the URL.
fn signed_form<'a>(request: &WebhookRequest<'a>) -> Result<Form<'a>, VerifyError> {
    if request.method == Method::GET || (request.body.is_empty() && body_hash(request.query()).is_none()) {
        return Ok(Form::new());
    }
    if is_form(request) {
        return Ok(form_urlencoded::parse(request.body).collect());
    }
    // The hash stands in the URL, which the signature covers; without it the body is anybody's.
    let claimed = body_hash(request.query()).ok_or(VerifyError::WrongSignature)?;
    if claimed == body_sha256(request.body) {
        Ok(Form::new())
    } else {
        Err(VerifyError::WrongSignature)
    }
}

fn is_form(request: &WebhookRequest<'_>) -> bool {
    request
        .header("content-type")
        .and_then(|value| value.split(';').next())
        .is_some_and(|mime| {
            mime.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

fn body_hash(query: &str) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(query.as_bytes()).find_map(|(name, value)| (name == "bodySHA256").then_some(value))
}

/// The signed time of a status or conference callback.
pub(super) fn timestamp(form: &Form<'_>) -> Option<DateTime<Utc>> {
    let (_, value) = form.iter().find(|(name, _)| name == "Timestamp")?;
    DateTime::parse_from_rfc2822(value)
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

/// The URL with its port taken out, and with the scheme's default port put in where it has none.
fn other_ports(url: &str) -> impl Iterator<Item = String> {
    let parts = url.split_once("://").map(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host_start = authority.rfind('@').map_or(0, |at| at + 1);
        // The colons of an IPv6 address stand inside brackets.
        let port = authority
            .rfind(':')
            .filter(|colon| *colon >= host_start && !authority[*colon..].contains(']'));
        (scheme, authority, path, port)
    });
    parts
        .into_iter()
        .map(|(scheme, authority, path, port)| match port {
            Some(colon) => format!("{scheme}://{}{path}", &authority[..colon]),
            None => {
                let default = if scheme.eq_ignore_ascii_case("https") {
                    443
                } else {
                    80
                };
                format!("{scheme}://{authority}:{default}{path}")
            }
        })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const FORM: &[(&str, &str)] = &[
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ];
    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn token(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    fn check(url: &str, content_type: &str, body: &str, signature: &str) -> Result<(), VerifyError> {
        check_at(url, content_type, body, signature, NOW)
    }

    fn check_at(
        url: &str,
        content_type: &str,
        body: &str,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), VerifyError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(signature).unwrap());
        headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
        let tokens = [Token::new(&token("12345")).unwrap()];
        let request = WebhookRequest {
            method: &Method::POST,
            url,
            headers: &headers,
            body: body.as_bytes(),
        };
        verify(&tokens, &request, now)
    }

    fn form(url: &str, pairs: &[(&str, &str)], signature: &str) -> Result<(), VerifyError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        check(
            url,
            "application/x-www-form-urlencoded; charset=UTF-8",
            &body,
            signature,
        )
    }

    /// TEL-01
    #[test]
    fn the_documented_vectors_hold() {
        assert_eq!(
            sign(&token("12345"), URL, FORM).unwrap(),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
        assert_eq!(form(URL, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="), Ok(()));

        let repeated = &[
            ("Sid", "CA123"),
            ("SidAccount", "AC123"),
            ("Digits", "5678"),
            ("Digits", "1234"),
            ("Digits", "1234"),
        ];
        assert_eq!(
            sign(&token("12345"), URL, repeated).unwrap(),
            "IK+Dwps556ElfBT0I3Rgjkr1wJU="
        );
        assert_eq!(form(URL, repeated, "IK+Dwps556ElfBT0I3Rgjkr1wJU="), Ok(()));
    }

    #[test]
    fn the_port_counts_with_and_without() {
        let with_port = URL.replace(".com", ".com:443");
        for (url, signature) in [
            (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
            (&with_port, "kvajT1Ptam85bY51eRf/AJRuM3w="),
            (&with_port, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ] {
            assert_eq!(form(url, FORM, signature), Ok(()), "{url}");
        }
        let other_host = URL.replace("mycompany", "yourcompany");
        assert_eq!(
            form(&other_host, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            Err(VerifyError::WrongSignature)
        );
    }

    #[test]
    fn ports_are_found_beside_user_names_and_addresses() {
        for (url, other) in [
            ("https://a.b/c:1?d", "https://a.b:443/c:1?d"),
            ("http://a.b?x", "http://a.b:80?x"),
            ("http://u:p@a.b:8080/", "http://u:p@a.b/"),
            ("http://u:p@a.b/", "http://u:p@a.b:80/"),
            ("https://[::1]/x", "https://[::1]:443/x"),
            ("https://[::1]:9/x", "https://[::1]/x"),
        ] {
            assert_eq!(other_ports(url).collect::<Vec<_>>(), [other], "{url}");
        }
        assert_eq!(other_ports("nonsense").count(), 0);
    }

    #[test]
    fn a_json_body_is_covered_by_its_hash_in_the_url() {
        let body = r#"{"property": "value", "boolean": true}"#;
        let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        let signature = "a9nBmqA0ju/hNViExpshrM61xv4=";
        let url = format!("{URL}&bodySHA256={hash}");
        assert_eq!(body_sha256(body.as_bytes()), hash);
        assert_eq!(check(&url, "application/json", body, signature), Ok(()));
        assert_eq!(
            check(&url, "application/json", "{}", signature),
            Err(VerifyError::WrongSignature)
        );
        assert_eq!(
            check(&url, "application/json", "", signature),
            Err(VerifyError::WrongSignature)
        );
        let unhashed = sign(&token("12345"), URL, &[]).unwrap();
        assert_eq!(
            check(URL, "application/json", body, &unhashed),
            Err(VerifyError::WrongSignature)
        );
    }

    #[test]
    fn a_body_cannot_be_smuggled_past_a_signature_that_does_not_cover_it() {
        // The signature of a bare GET of this URL must not pass for a POST with a form.
        let of_the_url = sign(&token("12345"), URL, &[]).unwrap();
        assert_eq!(form(URL, FORM, &of_the_url), Err(VerifyError::WrongSignature));
        // Nor may a missing content type turn a form into "no parameters".
        assert_eq!(
            check(URL, "text/plain", "CallStatus=completed", &of_the_url),
            Err(VerifyError::WrongSignature)
        );
    }

    #[test]
    fn a_missing_malformed_or_wrong_signature_is_told_apart() {
        let headers = HeaderMap::new();
        let tokens = [Token::new(&token("12345")).unwrap()];
        let request = WebhookRequest {
            method: &Method::POST,
            url: URL,
            headers: &headers,
            body: b"",
        };
        assert_eq!(
            verify(&tokens, &request, NOW),
            Err(VerifyError::MissingSignature { header: HEADER })
        );
        assert_eq!(
            form(URL, FORM, "not base64!"),
            Err(VerifyError::MalformedSignature { header: HEADER })
        );
        assert_eq!(form(URL, FORM, "AAAA"), Err(VerifyError::WrongSignature));
        assert_eq!(form(URL, FORM, ""), Err(VerifyError::WrongSignature));
        assert_eq!(Token::new(&token("")).err(), Some(KeyError::Empty));
    }

    #[test]
    fn a_signed_time_more_than_a_day_old_is_stale_and_an_unsigned_one_proves_nothing() {
        let pairs = &[
            ("CallSid", "CA1"),
            ("Timestamp", "Sun, 25 Mar 2018 09:53:19 +0000"),
        ];
        let sent = "2018-03-25T09:53:19Z".parse::<DateTime<Utc>>().unwrap();
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let signature = sign(&token("12345"), URL, pairs).unwrap();
        let mime = "application/x-www-form-urlencoded";
        assert_eq!(check_at(URL, mime, &body, &signature, sent + OLDEST), Ok(()));
        let late = sent + OLDEST + TimeDelta::seconds(1);
        assert_eq!(
            check_at(URL, mime, &body, &signature, late),
            Err(VerifyError::Stale { age_seconds: 86_401 })
        );
        let forged = check_at(URL, mime, &body, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", late);
        assert_eq!(forged, Err(VerifyError::WrongSignature));
    }
}
