//! Keys of programs: who presents one, and for which tenant it speaks.

use axum::http::{HeaderMap, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use voice_schemas::TenantId;

/// A key, as an operator configures it: whoever presents it speaks for this tenant and no other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The tenant.
    pub tenant: TenantId,
    /// SHA-256 of the whole key (`cck_…`), 64 hexadecimal characters.
    pub sha256: String,
}

impl ApiKey {
    /// Whether the digest is one.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        digest(&self.sha256).is_some()
    }
}

const PREFIX: &str = "cck_";

/// The keys of a surface, as digests.
#[derive(Debug)]
pub struct Keys(Vec<([u8; 32], TenantId)>);

/// A program that proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// Its place in the list of keys.
    pub index: usize,
    /// For whom it speaks.
    pub tenant: TenantId,
}

impl Keys {
    /// Keys that are [no digest](ApiKey::is_usable) are left out.
    #[must_use]
    pub fn new(keys: &[ApiKey]) -> Self {
        Self(
            keys.iter()
                .filter_map(|key| Some((digest(&key.sha256)?, key.tenant)))
                .collect(),
        )
    }

    /// Whoever is behind the bearer token. Takes as long for every wrong key, and for the right ones too:
    /// all digests are compared, in constant time.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap) -> Option<KeyHolder> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || !token.starts_with(PREFIX) {
            return None;
        }
        let presented: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = u64::MAX;
        for (index, (digest, _)) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&index, digest.ct_eq(&presented));
        }
        let index = usize::try_from(found).ok()?;
        self.0.get(index).map(|(_, tenant)| KeyHolder {
            index,
            tenant: *tenant,
        })
    }
}

/// 32 bytes from 64 hexadecimal characters.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, position) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(position..position + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf cck_test_one | sha256sum
    const ONE: &str = "b397331b9a0c64e191d8887393cb7fd843efd0919b477e7beab268cb72bc97e1";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn keys(tokens: &[&str]) -> (Keys, Vec<TenantId>) {
        let tenants: Vec<_> = tokens.iter().map(|_| TenantId::random()).collect();
        let hex = |token: &str| {
            Sha256::digest(token)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let keys: Vec<_> = std::iter::zip(tokens, &tenants)
            .map(|(token, tenant)| ApiKey {
                tenant: *tenant,
                sha256: hex(token),
            })
            .collect();
        (Keys::new(&keys), tenants)
    }

    #[test]
    fn each_key_opens_its_own_tenant() {
        let (keys, tenants) = keys(&["cck_first", "cck_second"]);
        assert_eq!(
            keys.find(&headers("Bearer cck_first")),
            Some(KeyHolder {
                index: 0,
                tenant: tenants[0]
            })
        );
        assert_eq!(
            keys.find(&headers("bearer cck_second")),
            Some(KeyHolder {
                index: 1,
                tenant: tenants[1]
            })
        );
    }

    #[test]
    fn what_is_not_a_key_of_ours_opens_nothing() {
        let (keys, _) = keys(&["cck_first", "first"]);
        for value in [
            "Bearer cck_firs",
            "Bearer cck_first2",
            "Basic cck_first",
            "cck_first",
            "Bearer ",
            "Bearer first",
        ] {
            assert_eq!(keys.find(&headers(value)), None, "{value}");
        }
        assert_eq!(keys.find(&HeaderMap::new()), None);
        assert_eq!(Keys::new(&[]).find(&headers("Bearer cck_first")), None);
    }

    #[test]
    fn only_64_hexadecimal_characters_are_a_digest() {
        assert_eq!(digest(ONE), Some(Sha256::digest("cck_test_one").into()));
        for bad in [
            "",
            &ONE[1..],
            &format!("{ONE}0"),
            &ONE.replace('b', "g"),
            &"é".repeat(32),
            &"+1".repeat(32),
        ] {
            assert_eq!(digest(bad), None, "{bad}");
        }
    }
}
