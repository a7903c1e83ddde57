//! Phone numbers, which never show in a log, and the tokens that stand for them in events.

use std::fmt;

use hmac::Mac as _;
use secrecy::{ExposeSecret as _, SecretBox};

use crate::mac::{hex, keyed};

/// A number in E.164 form (`+14155550100`). Its `Debug` form is redacted and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// The number, when `text` is `+`, a digit from 1 to 9 and 6 to 14 more digits (ITU-T E.164).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let valid = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        valid.then(|| Self(text.to_owned()))
    }

    /// The number itself, for the carrier's request and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber([redacted])")
    }
}

/// Where a call goes: to a number, or to a SIP address. Neither shows in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination(String);

impl Destination {
    /// A number in E.164 form, or an address that begins with `sip:` or `sips:`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = PhoneNumber::parse(text) {
            return Some(number.into());
        }
        let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"))?;
        let (user, host) = rest.split_once('@')?;
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'@' | b','))
        };
        (text.len() <= 255 && plain(user) && plain(host)).then(|| Self(text.to_owned()))
    }

    /// The address itself, for the carrier's request and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<PhoneNumber> for Destination {
    fn from(number: PhoneNumber) -> Self {
        Self(number.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination([redacted])")
    }
}

/// A tenant's key for phone tokens: who does not have it cannot try numbers until a token fits.
#[derive(Debug)]
pub struct PhoneTokenKey(SecretBox<[u8; 32]>);

impl PhoneTokenKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

/// What stands for a number in events: the first 128 bits of HMAC-SHA256 with the tenant's key, as 32
/// hexadecimal characters. The same person has the same token in every call of a tenant, and another one
/// at another tenant.
#[must_use]
pub fn phone_token(key: &PhoneTokenKey, number: &PhoneNumber) -> String {
    let mut mac = keyed(key.0.expose_secret());
    mac.update(number.0.as_bytes());
    hex(&mac.finalize().into_bytes()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e164_is_a_number_and_its_debug_form_does_not_show_it() {
        for bad in [
            "",
            "+",
            "4155550100",
            "+0155550100",
            "+123456",
            "+1234567890123456",
            "+1415555O100",
            "anonymous",
        ] {
            assert_eq!(PhoneNumber::parse(bad), None, "{bad}");
        }
        let number = PhoneNumber::parse("+14155550100").unwrap();
        assert_eq!(number.expose(), "+14155550100");
        assert!(!format!("{number:?}").contains("4155"));
    }

    #[test]
    fn a_token_depends_on_the_number_and_the_tenant() {
        let number = |text| PhoneNumber::parse(text).unwrap();
        let (ours, theirs) = (PhoneTokenKey::new([1; 32]), PhoneTokenKey::new([2; 32]));
        let token = phone_token(&ours, &number("+14155550100"));
        // printf +14155550100 | openssl dgst -sha256 -mac HMAC -macopt hexkey:01..01
        assert_eq!(token, "d7b42fdcf10d0c12b499c96ee86af960");
        assert_eq!(token, phone_token(&ours, &number("+14155550100")));
        assert_ne!(token, phone_token(&ours, &number("+14155550101")));
        assert_ne!(token, phone_token(&theirs, &number("+14155550100")));
    }
}
