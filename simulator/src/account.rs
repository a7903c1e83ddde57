//! The carrier accounts of the shift, with the keys both sides of the wire need.

use std::{fmt, sync::Arc};

use ed25519_dalek::SigningKey;
use rand::Rng;
use secrecy::{ExposeSecret as _, SecretString};
use voice_schemas::{TenantId, events::call::Carrier};
use voice_telephony::{PhoneTokenKey, telnyx};

use crate::text::hex;

/// What the carrier and its customer share.
#[derive(Clone)]
pub enum Credentials {
    /// One token signs webhooks and opens the REST API.
    Twilio {
        /// `AC…`
        account_sid: String,
        /// The primary auth token.
        auth_token: SecretString,
    },
    /// A key pair signs webhooks, an API key opens the REST API.
    Telnyx {
        /// The Call Control application.
        connection_id: String,
        /// `KEY…`
        api_key: SecretString,
        /// The carrier's half of the key pair.
        signing_key: Box<SigningKey>,
    },
}

/// One account of one tenant at one carrier.
#[derive(Clone)]
pub struct Account {
    /// Whose calls go through it.
    pub tenant: TenantId,
    /// The segment of the hook's path that names it.
    pub ingress: String,
    /// The keys.
    pub credentials: Credentials,
    /// The tenant's key for phone tokens: with it, contexts carry a token as the dialer seals it; without,
    /// the token is left to whoever reads the webhook.
    pub phone_key: Option<Arc<PhoneTokenKey>>,
}

impl Account {
    /// An account with new keys from `rng`. Two accounts from the same random bits are the same account.
    pub fn generate(
        tenant: TenantId,
        carrier: Carrier,
        ingress: impl Into<String>,
        rng: &mut impl Rng,
    ) -> Self {
        let mut bytes = [0_u8; 64];
        rng.fill_bytes(&mut bytes);
        let (first, second) = bytes.split_at(32);
        let credentials = match carrier {
            Carrier::Twilio => Credentials::Twilio {
                account_sid: format!("AC{}", hex(&first[..16])),
                auth_token: SecretString::from(hex(&second[..16])),
            },
            Carrier::Telnyx => {
                let mut seed = [0_u8; 32];
                seed.copy_from_slice(first);
                Credentials::Telnyx {
                    connection_id: format!("{}", u64::from_le_bytes(array(&second[24..])) >> 4),
                    api_key: SecretString::from(format!("KEY{}", hex(&second[..24]).to_uppercase())),
                    signing_key: Box::new(SigningKey::from_bytes(&seed)),
                }
            }
        };
        Self {
            tenant,
            ingress: ingress.into(),
            credentials,
            phone_key: None,
        }
    }

    /// The same account, sealing phone tokens with this key of its tenant.
    #[must_use]
    pub fn with_phone_key(mut self, key: Arc<PhoneTokenKey>) -> Self {
        self.phone_key = Some(key);
        self
    }

    /// The carrier.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        match self.credentials {
            Credentials::Twilio { .. } => Carrier::Twilio,
            Credentials::Telnyx { .. } => Carrier::Telnyx,
        }
    }

    /// What the platform has to know to verify webhooks of this account: Twilio's auth token, or Telnyx's
    /// public key in Base64.
    #[must_use]
    pub fn verification_key(&self) -> SecretString {
        match &self.credentials {
            Credentials::Twilio { auth_token, .. } => auth_token.clone(),
            Credentials::Telnyx { signing_key, .. } => {
                SecretString::from(telnyx::signature::public_key_of(signing_key))
            }
        }
    }

    /// The secret that opens the carrier's REST API: Twilio's auth token, or Telnyx's API key.
    #[must_use]
    pub fn api_secret(&self) -> SecretString {
        match &self.credentials {
            Credentials::Twilio { auth_token, .. } => auth_token.clone(),
            Credentials::Telnyx { api_key, .. } => api_key.clone(),
        }
    }

    /// The carrier's public name of the account: Twilio's `AC…`, or Telnyx's connection.
    #[must_use]
    pub fn carrier_account(&self) -> &str {
        match &self.credentials {
            Credentials::Twilio { account_sid, .. } => account_sid,
            Credentials::Telnyx { connection_id, .. } => connection_id,
        }
    }

    /// Whether `secret` opens the REST API. Constant time.
    pub(crate) fn opens(&self, secret: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        self.api_secret()
            .expose_secret()
            .as_bytes()
            .ct_eq(secret.as_bytes())
            .into()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("tenant", &self.tenant)
            .field("carrier", &self.carrier())
            .field("ingress", &self.ingress)
            .finish_non_exhaustive()
    }
}

fn array(bytes: &[u8]) -> [u8; 8] {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[..8]);
    array
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn account(carrier: Carrier, seed: u64) -> Account {
        Account::generate(
            TenantId(uuid::Uuid::nil()),
            carrier,
            "in",
            &mut ChaCha8Rng::seed_from_u64(seed),
        )
    }

    #[test]
    fn equal_random_bits_give_equal_keys_and_others_give_others() {
        for carrier in [Carrier::Twilio, Carrier::Telnyx] {
            let keys = |seed| {
                let account = account(carrier, seed);
                (
                    account.verification_key(),
                    account.api_secret(),
                    account.carrier_account().to_owned(),
                )
            };
            let (verify, open, name) = keys(1);
            let (again, _, _) = keys(1);
            assert_eq!(verify.expose_secret(), again.expose_secret());
            let (other, other_open, other_name) = keys(2);
            assert_ne!(verify.expose_secret(), other.expose_secret());
            assert_ne!(open.expose_secret(), other_open.expose_secret());
            assert_ne!(name, other_name);
        }
    }

    #[test]
    fn the_debug_form_holds_no_key() {
        for carrier in [Carrier::Twilio, Carrier::Telnyx] {
            let account = account(carrier, 3);
            let shown = format!("{account:?}");
            assert!(!shown.contains(account.api_secret().expose_secret()), "{carrier}");
            assert!(
                !shown.contains(account.verification_key().expose_secret()),
                "{carrier}"
            );
        }
    }

    #[test]
    fn only_the_secret_of_the_account_opens_its_api() {
        let ours = account(Carrier::Telnyx, 4);
        assert!(ours.opens(ours.api_secret().expose_secret()));
        assert!(!ours.opens(account(Carrier::Telnyx, 5).api_secret().expose_secret()));
        assert!(!ours.opens(""));
    }
}
