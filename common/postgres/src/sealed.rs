//! Secrets at rest: what a tenant entrusts to the platform is unreadable in the database and in its backups.
//!
//! XChaCha20-Poly1305 with a random 24-byte nonce before the ciphertext. The associated data names tenant,
//! table, row, field and key version, so a ciphertext moved to another row does not open. Keys come from
//! the configuration of the process, never from the database, and carry a version, so a new key can be
//! introduced while old rows still open.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use uuid::Uuid;
use voice_schemas::TenantId;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why a secret could not be sealed or opened. Says nothing about its content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The key in the configuration is not 32 bytes in base64.
    #[error("master key version {version} is not 32 bytes in base64")]
    Key {
        /// Which one.
        version: i32,
    },
    /// The configuration has no key at all.
    #[error("no master key is configured")]
    NoKey,
    /// The row was sealed with a key this process does not have.
    #[error("the secret was sealed with master key version {version}, which is not configured")]
    UnknownVersion {
        /// The version that is missing.
        version: i32,
    },
    /// Wrong key, another row's ciphertext, or damaged bytes.
    #[error("the secret does not open: wrong key, moved or damaged")]
    Refused,
    /// It opened, but its content has not the expected shape.
    #[error("the secret opened, but its content is not what belongs there")]
    Content,
}

impl SealError {
    /// A stable label for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key { .. } | Self::NoKey => "master_key",
            Self::UnknownVersion { .. } => "master_key_unknown",
            Self::Refused => "secret_refused",
            Self::Content => "secret_content",
        }
    }
}

/// One master key of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterKey {
    /// Stored beside every secret it seals; the highest one seals.
    pub version: i32,
    /// 32 random bytes in base64, such as `openssl rand -base64 32` prints.
    pub key: SecretString,
}

/// The place a secret belongs to; a ciphertext opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose secret it is.
    pub tenant: TenantId,
    /// Table name without schema.
    pub table: &'static str,
    /// Row id.
    pub row: Uuid,
    /// Column.
    pub field: &'static str,
}

impl Place {
    fn associated_data(&self, version: i32) -> Vec<u8> {
        format!(
            "{}|{}|{}|{}|{version}",
            self.tenant.0, self.table, self.row, self.field
        )
        .into_bytes()
    }
}

/// A sealed secret, as it stands in two columns.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
    /// Which master key sealed it.
    pub key_version: i32,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes, key {})", self.bytes.len(), self.key_version)
    }
}

/// Seals with the newest key and opens with whichever key a secret names.
pub struct Sealer {
    keys: BTreeMap<i32, XChaCha20Poly1305>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("versions", &self.keys.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Sealer {
    /// Takes the keys of the configuration.
    ///
    /// # Errors
    /// When there is none, or one is not 32 bytes in base64.
    pub fn new(keys: &[MasterKey]) -> Result<Self, SealError> {
        if keys.is_empty() {
            return Err(SealError::NoKey);
        }
        let keys = keys
            .iter()
            .map(|entry| {
                let bad = SealError::Key {
                    version: entry.version,
                };
                let bytes = BASE64.decode(entry.key.expose_secret().trim()).map_err(|_| bad)?;
                let bytes = SecretSlice::from(bytes);
                if bytes.expose_secret().len() != KEY_BYTES {
                    return Err(SealError::Key {
                        version: entry.version,
                    });
                }
                let cipher =
                    XChaCha20Poly1305::new_from_slice(bytes.expose_secret()).map_err(|_| SealError::Key {
                        version: entry.version,
                    })?;
                Ok((entry.version, cipher))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// Never for secrets of sane size; the cipher's own limit is 256 GiB.
    pub fn seal(&self, place: &Place, secret: &[u8]) -> Result<Sealed, SealError> {
        let (version, cipher) = self.keys.last_key_value().ok_or(SealError::NoKey)?;
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::fill(&mut nonce);
        let payload = Payload {
            msg: secret,
            aad: &place.associated_data(*version),
        };
        let ciphertext = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Refused)?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&ciphertext);
        Ok(Sealed {
            bytes,
            key_version: *version,
        })
    }

    /// Opens a secret of this place.
    ///
    /// # Errors
    /// When the key is not configured, is another one, or the bytes belong elsewhere or are damaged.
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Result<SecretSlice<u8>, SealError> {
        let version = sealed.key_version;
        let cipher = self
            .keys
            .get(&version)
            .ok_or(SealError::UnknownVersion { version })?;
        let (nonce, ciphertext) = sealed
            .bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Refused)?;
        let payload = Payload {
            msg: ciphertext,
            aad: &place.associated_data(version),
        };
        let secret = cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Refused)?;
        Ok(SecretSlice::from(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: i32, byte: u8) -> MasterKey {
        MasterKey {
            version,
            key: BASE64.encode([byte; KEY_BYTES]).into(),
        }
    }

    fn place() -> Place {
        Place {
            tenant: TenantId::random(),
            table: "provider_accounts",
            row: Uuid::now_v7(),
            field: "credentials",
        }
    }

    #[test]
    fn a_secret_opens_in_its_place_only() {
        let sealer = Sealer::new(&[key(1, 7)]).unwrap();
        let here = place();
        let sealed = sealer.seal(&here, b"token").unwrap();
        assert_eq!(sealer.open(&here, &sealed).unwrap().expose_secret(), b"token");
        for elsewhere in [
            Place {
                tenant: TenantId::random(),
                ..here
            },
            Place {
                row: Uuid::now_v7(),
                ..here
            },
            Place {
                table: "tenants",
                ..here
            },
            Place {
                field: "phone_key",
                ..here
            },
        ] {
            assert_eq!(
                sealer.open(&elsewhere, &sealed).unwrap_err(),
                SealError::Refused,
                "{elsewhere:?}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealer = Sealer::new(&[key(1, 7)]).unwrap();
        let here = place();
        let sealed = sealer.seal(&here, b"token").unwrap();
        for position in 0..sealed.bytes.len() {
            let mut damaged = sealed.clone();
            damaged.bytes[position] ^= 1;
            assert_eq!(sealer.open(&here, &damaged).unwrap_err(), SealError::Refused);
            let cut = Sealed {
                bytes: sealed.bytes[..position].to_vec(),
                key_version: 1,
            };
            assert_eq!(sealer.open(&here, &cut).unwrap_err(), SealError::Refused);
        }
    }

    #[test]
    fn the_newest_key_seals_and_old_rows_still_open() {
        let here = place();
        let old = Sealer::new(&[key(1, 7)]).unwrap().seal(&here, b"old").unwrap();
        let rotated = Sealer::new(&[key(1, 7), key(2, 8)]).unwrap();
        assert_eq!(rotated.open(&here, &old).unwrap().expose_secret(), b"old");
        let new = rotated.seal(&here, b"new").unwrap();
        assert_eq!(new.key_version, 2);
        let only_new = Sealer::new(&[key(2, 8)]).unwrap();
        assert_eq!(only_new.open(&here, &new).unwrap().expose_secret(), b"new");
        assert_eq!(
            only_new.open(&here, &old).unwrap_err(),
            SealError::UnknownVersion { version: 1 }
        );
        // A version that was relabelled is another place.
        let relabelled = Sealed {
            key_version: 2,
            ..old
        };
        assert_eq!(rotated.open(&here, &relabelled).unwrap_err(), SealError::Refused);
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let sealer = Sealer::new(&[key(1, 7)]).unwrap();
        let here = place();
        assert_ne!(
            sealer.seal(&here, b"token").unwrap(),
            sealer.seal(&here, b"token").unwrap()
        );
    }

    #[test]
    fn a_bad_key_is_named_by_its_version_and_never_shown() {
        let short = MasterKey {
            version: 3,
            key: "c2hvcnQ=".into(),
        };
        assert_eq!(
            Sealer::new(std::slice::from_ref(&short)).unwrap_err(),
            SealError::Key { version: 3 }
        );
        assert_eq!(Sealer::new(&[]).unwrap_err(), SealError::NoKey);
        assert!(!format!("{short:?}").contains("c2hvcnQ="));
        let sealer = Sealer::new(&[key(1, 7)]).unwrap();
        let sealed = sealer.seal(&place(), b"token").unwrap();
        assert_eq!(
            format!("{sealer:?} {sealed:?}"),
            "Sealer { versions: [1] } Sealed(45 bytes, key 1)"
        );
    }
}
