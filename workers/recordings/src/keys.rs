//! The keys that wrap the keys of recordings.
//!
//! A key-encryption key comes from the configuration and has a name. From it every tenant's own is derived, and that
//! wraps the data key of each of the tenant's recordings. The name is stored in the recording, so a new key can be
//! introduced while old recordings still open; without it they are noise, in every backup.

use std::{collections::HashSet, fmt};

use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde::Deserialize;
use voice_schemas::TenantId;

/// Keeps what is derived here apart from anything else derived from the same key.
const LABEL: &[u8] = b"voice recordings 1";
/// The longest name of a key.
pub(crate) const LONGEST_NAME: usize = 64;

/// One key of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name, such as `2026-11`; stored in every recording it wraps.
    pub id: String,
    /// 32 random bytes in Base64, such as `openssl rand -base64 32` prints.
    pub key: SecretString,
}

/// Why the keys of the configuration cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is none.
    #[error("no key for recordings is configured")]
    None,
    /// A name is empty, too long, or not made of plain characters.
    #[error("the name of a key has 1 to 64 letters, digits, dots, dashes and underscores")]
    Name,
    /// Two keys have one name.
    #[error("two keys are called `{0}`")]
    Twice(String),
    /// A key is not 32 bytes in Base64.
    #[error("the key `{0}` is not 32 bytes in Base64")]
    Bytes(String),
}

impl KeyError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "no_key",
            Self::Name => "key_name",
            Self::Twice(_) => "key_twice",
            Self::Bytes(_) => "key_bytes",
        }
    }
}

/// The keys of the configuration.
pub struct KeyRing {
    keys: Vec<(String, SecretBox<[u8; 32]>)>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl KeyRing {
    /// Takes the keys. The last one wraps new recordings, all of them open old ones.
    ///
    /// # Errors
    /// When there is none, or one cannot be used.
    pub fn new(configured: &[KeyConfig]) -> Result<Self, KeyError> {
        if configured.is_empty() {
            return Err(KeyError::None);
        }
        let mut names = HashSet::new();
        let mut keys = Vec::with_capacity(configured.len());
        for KeyConfig { id, key } in configured {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if id.is_empty() || id.len() > LONGEST_NAME || !id.chars().all(plain) {
                return Err(KeyError::Name);
            }
            if !names.insert(id) {
                return Err(KeyError::Twice(id.clone()));
            }
            let mut bytes = base64_simd::STANDARD
                .decode_to_vec(key.expose_secret().trim())
                .unwrap_or_default();
            let secret = <[u8; 32]>::try_from(bytes.as_slice()).ok();
            secrecy::zeroize::Zeroize::zeroize(&mut bytes);
            let secret = secret.ok_or_else(|| KeyError::Bytes(id.clone()))?;
            keys.push((id.clone(), SecretBox::new(Box::new(secret))));
        }
        Ok(Self { keys })
    }

    /// The name of the key that wraps new recordings.
    #[must_use]
    pub fn current(&self) -> &str {
        self.keys.last().map_or("", |(id, _)| id)
    }

    /// The tenant's key under the key with this name.
    pub(crate) fn of_tenant(&self, id: &str, tenant: TenantId) -> Option<LessSafeKey> {
        let (_, key) = self.keys.iter().find(|(name, _)| name == id)?;
        let derived = Salt::new(HKDF_SHA256, LABEL).extract(key.expose_secret());
        let info = [id.as_bytes(), b"\0", tenant.0.as_bytes()];
        let derived = derived.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, key: &str) -> KeyConfig {
        KeyConfig {
            id: id.to_owned(),
            key: SecretString::from(key.to_owned()),
        }
    }

    const GOOD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    /// SEC-09
    #[test]
    fn keys_that_cannot_be_used_are_refused_and_no_key_is_ever_shown() {
        let refused = |keys: &[KeyConfig]| KeyRing::new(keys).unwrap_err();
        assert_eq!(refused(&[]), KeyError::None);
        assert_eq!(refused(&[key("a/b", GOOD)]), KeyError::Name);
        assert_eq!(refused(&[key("", GOOD)]), KeyError::Name);
        assert_eq!(
            refused(&[key("a", GOOD), key("a", GOOD)]),
            KeyError::Twice("a".to_owned())
        );
        for short in ["", "AAEC", "no base64 at all"] {
            assert_eq!(refused(&[key("a", short)]), KeyError::Bytes("a".to_owned()));
        }
        let ring = KeyRing::new(&[key("old", GOOD), key("new", GOOD)]).unwrap();
        assert_eq!(ring.current(), "new");
        assert_eq!(format!("{ring:?}"), r#"{"old", "new"}"#);
        assert!(!format!("{:?}", key("a", GOOD)).contains("AAEC"));
    }
}
