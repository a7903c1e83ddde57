//! Fixtures of the tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono_tz::Tz;
use voice_postgres::{
    Role,
    accounts::{Credentials, NewAccount},
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_schemas::{ProviderAccountId, TenantId};

pub fn sealer(byte: u8) -> Sealer {
    Sealer::new(&[MasterKey {
        version: 1,
        key: STANDARD.encode([byte; 32]).into(),
    }])
    .unwrap()
}

pub async fn tenant(database: &TestDatabase, slug: &str) -> TenantId {
    let id = TenantId::random();
    let tenant = NewTenant {
        id,
        slug: slug.to_owned(),
        name: slug.to_owned(),
        region: "eu".to_owned(),
        default_locale: "en".to_owned(),
        timezone: Tz::Europe__Prague,
    };
    tenants::upsert(&database.connect(Role::Owner).await, &sealer(7), &tenant)
        .await
        .unwrap();
    id
}

pub fn twilio(name: &str) -> NewAccount {
    let credentials = Credentials::Twilio {
        account_sid: format!("AC{name}"),
        auth_token: "primary-token".into(),
        secondary_auth_token: Some("secondary-token".into()),
    };
    NewAccount::new(ProviderAccountId::random(), name, credentials)
}

pub fn telnyx(name: &str) -> NewAccount {
    let credentials = Credentials::Telnyx {
        public_key: "cHVibGlj".to_owned(),
        api_key: "api-key".into(),
        connection_id: format!("connection-{name}"),
    };
    NewAccount::new(ProviderAccountId::random(), name, credentials)
}
