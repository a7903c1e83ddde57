//! The carrier accounts whose webhooks are taken, in memory and hot-reloaded.
//!
//! A webhook finds its account by the ingress id in its path: one look-up, no I/O. The map is replaced as a
//! whole when accounts change; rate limits live on across replacements. When Postgres is away, the last
//! map stays in use and a gauge says that it may be stale: carriers must not notice.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use voice_postgres::{
    Database,
    accounts::{Credentials, IpPolicy, ProviderAccount},
    sealed::Sealer,
};
use voice_resilience::{Quota, RateLimiter, RetryAfter};
use voice_schemas::{ProviderAccountId, TenantId, events::call::Carrier};
use voice_telemetry::{Emit, Metrics};
use voice_telephony::{
    ContextKeys, Instruction, KeyError, ParseError, Parsed, PhoneTokenKey, Prompt, VerifyError,
    WebhookRequest, Webhooks, telnyx, twilio,
};

use super::guard::address::Network;
use crate::{
    HooksConfig, VoiceMessage,
    events::{AccountUnusable, AccountsLoaded},
};

/// What this service needs to know about an account at a carrier.
#[derive(Clone, Debug)]
pub struct HookAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ProviderAccountId,
    /// What its webhooks are signed with; also says which carrier it is.
    pub credentials: Credentials,
    /// The part of the webhook address that names it.
    pub ingress_id: String,
    /// Webhooks a second it may send.
    pub rate_per_second: u32,
    /// Webhooks it may send at once.
    pub rate_burst: u32,
    /// What to do with a webhook from an unknown address.
    pub ip_policy: IpPolicy,
    /// Networks that are allowed beyond the carrier's published ones, as `10.0.0.0/8`.
    pub ip_allow: Vec<String>,
    /// What turns the numbers of inbound callers into tokens; without it they have none.
    pub phone_key: Option<Arc<PhoneTokenKey>>,
    /// The tenant's language (`cs`, `cs-CZ`), for what callers hear.
    pub locale: String,
}

impl HookAccount {
    /// From what Postgres holds.
    #[must_use]
    pub fn of(account: ProviderAccount, locale: String) -> Self {
        let phone_key = account
            .phone_key
            .expose()
            .try_into()
            .ok()
            .map(|key| Arc::new(PhoneTokenKey::new(key)));
        Self {
            tenant: account.tenant,
            id: account.id,
            credentials: account.credentials,
            ingress_id: account.ingress_id,
            rate_per_second: account.rate_per_second,
            rate_burst: account.rate_burst,
            ip_policy: account.ip_policy,
            ip_allow: account.ip_allow,
            phone_key,
            locale,
        }
    }
}

/// Where accounts come from.
pub enum AccountSource {
    /// These and no others.
    Fixed(Vec<HookAccount>),
    /// Those in Postgres, followed as they change. The role is [`Worker`](voice_postgres::Role::Worker).
    Postgres(Database, Arc<Sealer>),
}

impl fmt::Debug for AccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(accounts) => write!(f, "Fixed({} accounts)", accounts.len()),
            Self::Postgres(..) => f.write_str("Postgres"),
        }
    }
}

/// The webhook side of an account's carrier.
#[derive(Debug)]
pub(crate) enum Reader {
    Telnyx(telnyx::Webhooks),
    Twilio(twilio::Webhooks),
}

impl Reader {
    fn new(credentials: &Credentials) -> Result<Self, KeyError> {
        Ok(match credentials {
            Credentials::Twilio {
                auth_token,
                secondary_auth_token,
                ..
            } => Self::Twilio(twilio::Webhooks::new(auth_token, secondary_auth_token.as_ref())?),
            Credentials::Telnyx { public_key, .. } => Self::Telnyx(telnyx::Webhooks::new(
                &SecretString::from(public_key.as_str()),
                None,
            )?),
        })
    }

    fn carrier(&self) -> &dyn Webhooks {
        match self {
            Self::Telnyx(webhooks) => webhooks,
            Self::Twilio(webhooks) => webhooks,
        }
    }
}

/// An account, ready for webhooks.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tenant: TenantId,
    pub(crate) id: ProviderAccountId,
    pub(crate) carrier: Carrier,
    pub(crate) ip_policy: IpPolicy,
    pub(crate) networks: Vec<Network>,
    /// What a call that asks for instructions is told, and the content type of it.
    pub(crate) instructions: Option<(&'static str, Bytes)>,
    /// What a call is told that pressed a key: to wait a moment, since whoever placed it says what comes next, and else
    /// to end.
    pub(crate) after_key: Bytes,
    pub(crate) reader: Reader,
    phone: Option<Arc<PhoneTokenKey>>,
    rate: Arc<Rate>,
}

#[derive(Debug)]
struct Rate {
    per_second: u32,
    burst: u32,
    limiter: RateLimiter<()>,
}

impl Account {
    /// Takes one from the account's own allowance.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn allow(&self, now: DateTime<Utc>) -> Result<(), RetryAfter> {
        self.rate.limiter.check(&(), now)
    }

    pub(crate) fn verify(&self, request: &WebhookRequest<'_>, now: DateTime<Utc>) -> Result<(), VerifyError> {
        self.reader.carrier().verify(request, now)
    }

    pub(crate) fn parse(
        &self,
        kind: voice_telephony::HookKind,
        request: &WebhookRequest<'_>,
        context: &ContextKeys,
    ) -> Result<Parsed, ParseError> {
        let account = voice_telephony::Account {
            tenant: self.tenant,
            context,
            phone: self.phone.as_deref(),
        };
        self.reader.carrier().parse(kind, request, &account)
    }
}

/// The accounts of this process. Clones are the same directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    map: Arc<RwLock<Arc<ByCarrier>>>,
    settings: Arc<Settings>,
    loaded: Arc<AtomicBool>,
}

/// One map per carrier, so that a look-up borrows the ingress id from the path.
#[derive(Debug, Default)]
struct ByCarrier {
    telnyx: HashMap<Box<str>, Arc<Account>>,
    twilio: HashMap<Box<str>, Arc<Account>>,
}

#[derive(Debug)]
struct Settings {
    networks: BTreeMap<Carrier, Vec<Network>>,
    messages: BTreeMap<String, VoiceMessage>,
}

impl Directory {
    /// Empty: every hook is unknown.
    pub(crate) fn new(config: &HooksConfig) -> Self {
        let parsed =
            |networks: &Vec<String>| networks.iter().filter_map(|text| Network::parse(text)).collect();
        let networks = config
            .networks
            .iter()
            .map(|(carrier, networks)| (*carrier, parsed(networks)))
            .collect();
        let settings = Settings {
            networks,
            messages: config.messages.clone(),
        };
        Self {
            map: Arc::default(),
            settings: Arc::new(settings),
            loaded: Arc::default(),
        }
    }

    /// The account behind this address.
    pub(crate) fn find(&self, carrier: Carrier, ingress: &str) -> Option<Arc<Account>> {
        self.snapshot().of(carrier).get(ingress).cloned()
    }

    /// Whether the accounts were read at all. Before that, no hook can be called unknown.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Takes over new accounts. One whose keys are unusable is left out and reported: its hooks are unknown
    /// until a person repairs it.
    pub(crate) fn replace(&self, accounts: &[HookAccount], metrics: &Metrics) {
        let before = self.snapshot();
        let mut map = ByCarrier::default();
        for account in accounts {
            let carrier = account.credentials.carrier();
            let known = before.of(carrier).get(account.ingress_id.as_str());
            match self.settings.ready(account, known) {
                Ok(ready) => {
                    map.of_mut(carrier)
                        .insert(account.ingress_id.as_str().into(), Arc::new(ready));
                }
                Err(error) => {
                    AccountUnusable {
                        account: account.id,
                        reason: error.kind(),
                    }
                    .emit(metrics);
                }
            }
        }
        let count = map.telnyx.len() + map.twilio.len();
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        self.loaded.store(true, Ordering::Release);
        AccountsLoaded { count }.emit(metrics);
    }

    fn snapshot(&self) -> Arc<ByCarrier> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ByCarrier {
    const fn of(&self, carrier: Carrier) -> &HashMap<Box<str>, Arc<Account>> {
        match carrier {
            Carrier::Telnyx => &self.telnyx,
            Carrier::Twilio => &self.twilio,
        }
    }

    const fn of_mut(&mut self, carrier: Carrier) -> &mut HashMap<Box<str>, Arc<Account>> {
        match carrier {
            Carrier::Telnyx => &mut self.telnyx,
            Carrier::Twilio => &mut self.twilio,
        }
    }
}

impl Settings {
    fn ready(&self, stored: &HookAccount, before: Option<&Arc<Account>>) -> Result<Account, KeyError> {
        let reader = Reader::new(&stored.credentials)?;
        let carrier = stored.credentials.carrier();
        let published = self.networks.get(&carrier).into_iter().flatten().copied();
        let allowed = stored.ip_allow.iter().filter_map(|text| Network::parse(text));
        Ok(Account {
            tenant: stored.tenant,
            id: stored.id,
            carrier,
            ip_policy: stored.ip_policy,
            networks: published.chain(allowed).collect(),
            instructions: self.instructions(&reader, &stored.locale),
            after_key: after_key(&reader),
            reader,
            phone: stored.phone_key.clone(),
            rate: rate(stored, before),
        })
    }

    /// Until flows exist, every call that asks is told politely that nobody can take it.
    fn instructions(&self, reader: &Reader, locale: &str) -> Option<(&'static str, Bytes)> {
        let primary = locale
            .split(['-', '_'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let message = self.messages.get(&primary).or_else(|| self.messages.get("en"))?;
        let say = Prompt::Say {
            text: message.text.clone(),
            language: Some(message.language.clone()),
            voice: None,
        };
        // A text the carrier's format cannot carry costs the message, not the account.
        let told = reader
            .carrier()
            .response(&[Instruction::Prompt(say), Instruction::Hangup]);
        let (kind, document) = told
            .or_else(|_| reader.carrier().response(&[Instruction::Hangup]))
            .ok()??;
        Some((kind, Bytes::from(document)))
    }
}

fn after_key(reader: &Reader) -> Bytes {
    let wait = Instruction::Prompt(Prompt::Pause { seconds: 5 });
    let told = reader.carrier().response(&[wait, Instruction::Hangup]);
    told.ok()
        .flatten()
        .map_or_else(Bytes::new, |(_, document)| Bytes::from(document))
}

/// The same bucket as before while the allowance is the same: a reload is no fresh burst.
fn rate(stored: &HookAccount, before: Option<&Arc<Account>>) -> Arc<Rate> {
    let (per_second, burst) = (stored.rate_per_second, stored.rate_burst);
    match before.map(|account| &account.rate) {
        Some(rate) if rate.per_second == per_second && rate.burst == burst => Arc::clone(rate),
        _ => {
            let quota = Quota::per_second(per_second).with_burst(burst);
            Arc::new(Rate {
                per_second,
                burst,
                limiter: RateLimiter::new(quota, 1),
            })
        }
    }
}
