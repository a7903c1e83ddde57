//! A tenant with an account at each carrier, known to the scene's Postgres and to the simulator.

use chrono::DateTime;
use chrono_tz::Tz;
use rand::SeedableRng as _;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use voice_postgres::{
    Database, Role,
    accounts::{self, Credentials, IpPolicy, NewAccount},
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
};
use voice_schemas::{ProviderAccountId, TenantId, events::call::Carrier};
use voice_simulator::Account;

use super::{Scene, scene::MASTER_KEY};

impl Scene {
    /// Opens the accounts of a company of its own.
    pub(crate) async fn found_company(&self, seed: u64) -> Vec<Account> {
        let opened = self.found_company_at(seed, None).await;
        opened.into_iter().map(|(_, account)| account).collect()
    }

    /// The same, with carriers whose REST API is at `carrier`.
    pub(crate) async fn found_company_at(
        &self,
        seed: u64,
        carrier: Option<&Url>,
    ) -> Vec<(ProviderAccountId, Account)> {
        use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
        let tenant = TenantId::derived(DateTime::UNIX_EPOCH, &[&seed.to_le_bytes()]);
        let key = SecretString::from(BASE64.encode(MASTER_KEY));
        let sealer = Sealer::new(&[MasterKey { version: 1, key }]).unwrap();
        let mut config = voice_postgres::Config::new(self.postgres.clone());
        config.max_connections = 4;
        let owner = Database::connect(&config, Role::Owner).await.unwrap();
        let founded = NewTenant {
            id: tenant,
            slug: self.name.replace('_', "-"),
            name: "Test Call Centre".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: Tz::UTC,
        };
        tenants::upsert(&owner, &sealer, &founded).await.unwrap();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut opened = Vec::new();
        for kind in [Carrier::Telnyx, Carrier::Twilio] {
            let account = Account::generate(tenant, kind, accounts::new_ingress_id(), &mut rng);
            let id = ProviderAccountId::random();
            let written = NewAccount {
                ingress_id: account.ingress.clone(),
                base_url: carrier.map(Url::to_string),
                // A whole shift comes in a minute.
                rate_per_second: 1_000_000,
                rate_burst: 1_000_000,
                ip_policy: IpPolicy::Off,
                ..NewAccount::new(id, kind.as_str(), credentials(&account))
            };
            accounts::upsert(&owner, &sealer, tenant, &written).await.unwrap();
            opened.push((id, account));
        }
        opened
    }
}

fn credentials(account: &Account) -> Credentials {
    match account.carrier() {
        Carrier::Twilio => Credentials::Twilio {
            account_sid: account.carrier_account().to_owned(),
            auth_token: account.api_secret(),
            secondary_auth_token: None,
        },
        Carrier::Telnyx => Credentials::Telnyx {
            public_key: account.verification_key().expose_secret().to_owned(),
            api_key: account.api_secret(),
            connection_id: account.carrier_account().to_owned(),
        },
    }
}
