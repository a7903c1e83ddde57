//! The call centre of a demo: a tenant with an account at each carrier, made anew for every run.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, NaiveDate, Timelike as _, Utc};
use chrono_tz::Tz;
use rand::SeedableRng as _;
use secrecy::SecretString;
use url::Url;
use voice_postgres::{
    Database, Role,
    accounts::{self, Credentials, IpPolicy, NewAccount},
    sealed::MasterKey,
    tenants::{self, NewTenant},
};
use voice_recordings::KeyConfig;
use voice_schemas::{ProviderAccountId, TenantId, events::call::Carrier};
use voice_simulator::Account;

use crate::settings::Settings;

/// A zone for every whole hour east of Greenwich, from -11 to 12, none with daylight saving.
const ZONES: [Tz; 24] = [
    Tz::Pacific__Pago_Pago,
    Tz::Pacific__Honolulu,
    Tz::Pacific__Gambier,
    Tz::Pacific__Pitcairn,
    Tz::America__Phoenix,
    Tz::America__Costa_Rica,
    Tz::America__Bogota,
    Tz::America__Puerto_Rico,
    Tz::America__Argentina__Buenos_Aires,
    Tz::America__Noronha,
    Tz::Atlantic__Cape_Verde,
    Tz::Atlantic__Reykjavik,
    Tz::Africa__Lagos,
    Tz::Africa__Johannesburg,
    Tz::Africa__Nairobi,
    Tz::Asia__Dubai,
    Tz::Asia__Karachi,
    Tz::Asia__Dhaka,
    Tz::Asia__Bangkok,
    Tz::Asia__Singapore,
    Tz::Asia__Tokyo,
    Tz::Australia__Brisbane,
    Tz::Pacific__Noumea,
    Tz::Pacific__Tarawa,
];

/// The call centre of a demo.
pub struct Company {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its zone: one where a day has just ended, so that the day's report is whole whenever the demo runs.
    pub zone: Tz,
    /// The day that has just ended there.
    pub day: NaiveDate,
    /// When the present day began there.
    pub today: DateTime<Utc>,
    /// Its short name.
    pub slug: String,
    /// Its accounts, with both sides' keys.
    pub accounts: Vec<Account>,
    /// What the platform calls them.
    pub account_ids: Vec<ProviderAccountId>,
}

impl Company {
    /// Founds a company: writes its tenant and its accounts, whose REST API is at `carrier`.
    pub async fn found(
        settings: &Settings,
        carrier: &Url,
        seed: u64,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let tenant = TenantId::random();
        let zone = zone_after_midnight(now);
        let today = now.with_timezone(&zone).date_naive();
        let began =
            now - chrono::TimeDelta::seconds(i64::from(now.with_timezone(&zone).num_seconds_from_midnight()));
        let owner = Database::connect(&settings.postgres, Role::Owner).await?;
        let sealer = settings.secrets.sealer().map_err(anyhow::Error::msg)?;
        let name = "Demo Call Centre".to_owned();
        let suffix: String = tenant.to_string().chars().rev().take(8).collect();
        let slug = format!("demo-{suffix}");
        let founded = NewTenant {
            id: tenant,
            slug: slug.clone(),
            name: name.clone(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: zone,
        };
        tenants::upsert(&owner, &sealer, &founded).await?;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let (mut opened, mut account_ids) = (Vec::new(), Vec::new());
        for kind in [Carrier::Telnyx, Carrier::Twilio] {
            let account = Account::generate(tenant, kind, accounts::new_ingress_id(), &mut rng);
            let written = NewAccount {
                ingress_id: account.ingress.clone(),
                base_url: Some(carrier.to_string()),
                // The whole shift comes in a minute.
                rate_per_second: 1_000_000,
                rate_burst: 1_000_000,
                ip_policy: IpPolicy::Off,
                ..NewAccount::new(ProviderAccountId::random(), kind.as_str(), credentials(&account))
            };
            account_ids.push(written.id);
            accounts::upsert(&owner, &sealer, tenant, &written).await?;
            opened.push(account);
        }
        Ok(Self {
            tenant,
            name,
            zone,
            day: today.pred_opt().unwrap_or(today),
            today: began,
            slug,
            accounts: opened,
            account_ids,
        })
    }
}

fn credentials(account: &Account) -> Credentials {
    use secrecy::ExposeSecret as _;
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

fn zone_after_midnight(now: DateTime<Utc>) -> Tz {
    ZONES
        .into_iter()
        .find(|zone| now.with_timezone(zone).hour() == 0)
        .unwrap_or(Tz::UTC)
}

/// Gives the process keys where it has none. They are kept beside the other local files, so that a later
/// command on the same stores can read what this one wrote.
pub fn bring_keys(settings: &mut Settings) -> anyhow::Result<()> {
    use secrecy::ExposeSecret as _;
    let folder = settings.objects.folder.join("..").join("keys");
    if settings.secrets.master_keys.is_empty() {
        let key = kept(&folder.join("master"))?;
        settings.secrets.master_keys.push(MasterKey { version: 1, key });
    }
    if settings.secrets.context_key.expose_secret().is_empty() {
        settings.secrets.context_key = kept(&folder.join("context"))?;
    }
    if settings.media.recording.keys.is_empty() {
        settings.media.recording.keys.push(KeyConfig {
            id: "demo".to_owned(),
            key: kept(&folder.join("recordings"))?,
        });
    }
    if settings.secrets.stream_key.expose_secret().is_empty() {
        settings.secrets.stream_key = kept(&folder.join("stream"))?;
    }
    Ok(())
}

/// The key in `path`, made when there is none.
fn kept(path: &std::path::Path) -> anyhow::Result<SecretString> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut bits = [0_u8; 32];
    rand::fill(&mut bits);
    let fresh = BASE64.encode(bits);
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(mut file) => {
            file.write_all(fresh.as_bytes())?;
            Ok(SecretString::from(fresh))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(SecretString::from(
            std::fs::read_to_string(path)?.trim().to_owned(),
        )),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_zone_where_a_day_has_just_ended_at_any_hour() {
        for hour in 0..24 {
            let now: DateTime<Utc> = format!("2026-11-21T{hour:02}:41:00Z").parse().unwrap();
            assert_eq!(now.with_timezone(&zone_after_midnight(now)).hour(), 0, "{hour}");
        }
    }
}
