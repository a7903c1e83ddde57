//! Fixtures of the tests: a migrated database of their own, tenants, files.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part, and a test that cannot go on fails"
)]

use std::{io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::Row as _;
use tempfile::NamedTempFile;
use uuid::Uuid;
use voice_contacts::{
    Code, Counters, Error, Region,
    import::{self, Import, Report, Request},
};
use voice_lifecycle::{ManualClock, SharedClock};
use voice_postgres::{
    Database, Role, TenantTx,
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_schemas::TenantId;
use voice_telephony::PhoneTokenKey;

pub fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

pub fn clock() -> SharedClock {
    ManualClock::at(now()).shared()
}

pub fn sealer() -> Sealer {
    Sealer::new(&[MasterKey {
        version: 1,
        key: STANDARD.encode([7; 32]).into(),
    }])
    .unwrap()
}

/// A tenant and the connections that work for it.
pub struct Place {
    pub server: TestDatabase,
    pub database: Database,
    pub tenant: TenantId,
}

impl Place {
    pub async fn create() -> Self {
        let server = TestDatabase::create().await;
        let tenant = tenant(&server, "first").await;
        Self {
            database: server.connect(Role::Worker).await,
            server,
            tenant,
        }
    }

    pub async fn tx(&self) -> TenantTx {
        self.database.tenant(self.tenant).await.unwrap()
    }

    pub async fn open(&self, request: Request) -> Result<Import, Error> {
        let key = key(&self.database, self.tenant).await;
        Import::open(&self.database, self.tenant, key, request, clock()).await
    }

    pub async fn import(&self, request: Request) -> Report {
        import::run(self.open(request).await.unwrap(), |_| ())
            .await
            .unwrap()
    }

    /// Rows of a query as text, columns joined by `|`.
    pub async fn rows(&self, sql: &'static str) -> Vec<String> {
        rows(&mut self.tx().await, sql).await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut *self.tx().await)
            .await
            .unwrap()
    }
}

pub async fn rows(tx: &mut TenantTx, sql: &'static str) -> Vec<String> {
    sqlx::query(sql)
        .fetch_all(&mut **tx)
        .await
        .unwrap()
        .iter()
        .map(|row| {
            let cells = (0..row.len()).map(|at| row.get::<Option<String>, _>(at).unwrap_or_default());
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

pub async fn tenant(server: &TestDatabase, slug: &str) -> TenantId {
    let id = TenantId::random();
    let tenant = NewTenant {
        id,
        slug: slug.to_owned(),
        name: slug.to_owned(),
        region: "eu".to_owned(),
        default_locale: "en".to_owned(),
        timezone: Tz::Europe__Prague,
    };
    tenants::upsert(&server.connect(Role::Owner).await, &sealer(), &tenant)
        .await
        .unwrap();
    id
}

pub async fn key(database: &Database, tenant: TenantId) -> PhoneTokenKey {
    let mut tx = database.tenant(tenant).await.unwrap();
    let key = tenants::phone_key(&mut tx, &sealer()).await.unwrap().unwrap();
    PhoneTokenKey::new(key.expose().try_into().unwrap())
}

pub fn file(bytes: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".csv").unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    file
}

/// An import into the list `people` of a file with Czech numbers.
pub fn request(path: &Path) -> Request {
    Request {
        region: Region::parse("CZ"),
        ..Request::new(path, "people")
    }
}

/// created, updated, duplicate, invalid, suppressed.
pub fn five(counters: Counters) -> [u64; 5] {
    let Counters {
        created,
        updated,
        duplicate,
        invalid,
        suppressed,
    } = counters;
    [created, updated, duplicate, invalid, suppressed]
}

pub fn faults(report: &Report) -> Vec<(&'static str, u64)> {
    let mut faults: Vec<_> = report
        .faults
        .iter()
        .map(|(code, count): (&Code, _)| (code.as_str(), *count))
        .collect();
    faults.sort_unstable();
    faults
}

pub fn token(key: &PhoneTokenKey, e164: &str) -> Uuid {
    voice_contacts::token(key, &voice_telephony::PhoneNumber::parse(e164).unwrap())
}
