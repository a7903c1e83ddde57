//! Planned facts as the HTTP requests the carriers would send, signed.

pub(crate) mod telnyx;
pub(crate) mod twilio;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use url::Url;
use voice_schemas::events::call::Carrier;
use voice_telephony::{ContextKeys, HookKind, HookUrls, KeyError, SealedContext};

use crate::{
    Account, Credentials, SimulatorError,
    plan::{PlannedCall, PlannedFact},
};

/// Where webhooks go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to connect: `http://127.0.0.1:8080`. The hooks are below `/hooks`.
    pub connect: Url,
    /// The address the platform believes to have, which Twilio signs: the same, or `https://hooks.example.com`.
    pub public: Url,
}

impl Target {
    /// A platform that is reached at its public address.
    #[must_use]
    pub fn direct(url: Url) -> Self {
        Self {
            connect: url.clone(),
            public: url,
        }
    }
}

/// One webhook, ready to be posted.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where to post it.
    pub url: String,
    /// The URL the platform must take it for when it verifies the signature.
    pub signed_url: String,
    /// All headers but the ones of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// A call with its sealed context: sealed once, sent with every webhook.
#[derive(Debug)]
pub struct SealedCall {
    /// The call.
    pub call: PlannedCall,
    pub(crate) sealed: Option<SealedContext>,
}

#[derive(Debug)]
struct Endpoint {
    connect: HookUrls,
    signed: HookUrls,
}

/// Writes webhooks.
#[derive(Debug)]
pub struct Wire<'a> {
    accounts: &'a [Account],
    context: &'a ContextKeys,
    endpoints: Vec<Endpoint>,
    host: Option<http::HeaderValue>,
    stamp_all: bool,
}

impl<'a> Wire<'a> {
    /// Webhooks of these accounts to this target. `stamp_all` adds the time of the event to Twilio's AMD and
    /// voice callbacks too: a live Twilio leaves it out, for it sends them at once; when a shift is told after
    /// the event, there would be no telling when it was.
    ///
    /// # Errors
    /// When a key is unusable, or an ingress is no segment of a path.
    pub fn new(
        accounts: &'a [Account],
        context: &'a ContextKeys,
        target: &Target,
        stamp_all: bool,
    ) -> Result<Self, SimulatorError> {
        let endpoints = accounts
            .iter()
            .map(|account| {
                let carrier = account.carrier();
                voice_telephony::webhooks(carrier, &account.verification_key(), None)
                    .map_err(|source| SimulatorError::Key { carrier, source })?;
                Ok(Endpoint {
                    connect: hooks(&target.connect, account)?,
                    signed: hooks(&target.public, account)?,
                })
            })
            .collect::<Result<_, SimulatorError>>()?;
        let authority = |url: &Url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let host = (authority(&target.connect) != authority(&target.public))
            .then(|| http::HeaderValue::try_from(authority(&target.public)).ok())
            .flatten();
        Ok(Self {
            accounts,
            context,
            endpoints,
            host,
            stamp_all,
        })
    }

    /// The call with its context sealed.
    #[must_use]
    pub fn seal(&self, call: PlannedCall) -> SealedCall {
        let sealed = call.context.as_ref().map(|context| self.context.seal(context));
        SealedCall { call, sealed }
    }

    /// The webhook that tells `fact`, as it is sent at `now` on the given try, from 1.
    ///
    /// # Errors
    /// When the account's token is empty; [`Wire::new`] has refused that.
    pub fn webhook(
        &self,
        call: &SealedCall,
        fact: &PlannedFact,
        attempt: u32,
        now: DateTime<Utc>,
    ) -> Result<Webhook, KeyError> {
        let place = call.call.account;
        let (Some(account), Some(endpoint)) = (self.accounts.get(place), self.endpoints.get(place)) else {
            return Err(KeyError::Empty);
        };
        let kind = call.call.hook(fact.fact);
        let mut webhook = match &account.credentials {
            Credentials::Twilio {
                account_sid,
                auth_token,
            } => {
                let url = |hooks: &HookUrls| match &call.sealed {
                    Some(sealed) => hooks.url_with(kind, sealed),
                    None => hooks.url(kind),
                };
                let signed_url = url(&endpoint.signed);
                let callback = twilio::Callback {
                    account_sid,
                    call: &call.call,
                    fact,
                    stamp_all: self.stamp_all,
                };
                let (headers, body) = callback.signed(auth_token, &signed_url)?;
                Webhook {
                    url: url(&endpoint.connect),
                    signed_url,
                    headers,
                    body,
                }
            }
            Credentials::Telnyx {
                connection_id,
                signing_key,
                ..
            } => {
                let signed_url = endpoint.signed.url(HookKind::Call);
                let event = telnyx::Event {
                    connection_id,
                    call: &call.call,
                    client_state: call.sealed.as_ref().map(SealedContext::as_client_state),
                    fact,
                    attempt,
                    delivered_to: &signed_url,
                };
                let (headers, body) = event.signed(signing_key, now);
                Webhook {
                    url: endpoint.connect.url(HookKind::Call),
                    signed_url,
                    headers,
                    body,
                }
            }
        };
        if let Some(host) = &self.host {
            webhook.headers.insert(http::header::HOST, host.clone());
        }
        Ok(webhook)
    }
}

fn hooks(base: &Url, account: &Account) -> Result<HookUrls, SimulatorError> {
    let segment = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if account.ingress.is_empty() || !account.ingress.bytes().all(segment) {
        return Err(SimulatorError::Parameter {
            field: "ingress",
            reason: "must be a segment of a URL's path",
        });
    }
    let carrier = match account.carrier() {
        Carrier::Telnyx => "telnyx",
        Carrier::Twilio => "twilio",
    };
    let path = format!(
        "{}/hooks/{carrier}/{}",
        base.path().trim_end_matches('/'),
        account.ingress
    );
    let mut url = base.clone();
    url.set_path(&path);
    Ok(HookUrls::new(&url))
}
