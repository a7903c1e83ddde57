//! `POST /hooks/{carrier}/{ingress}/{kind}`: one webhook from its arrival to its answer.
//!
//! The order of the steps is the order of their cost and of what may be believed: the path, the rate of the
//! address, the network of the address, the rate of the account, the body, its signature, its time, its
//! meaning, whether it came before. Nothing of the body is read before its signature holds. The allowance of
//! an account is taken after its network check, so that strangers cannot use up what the carrier needs.

pub(crate) mod accounts;
mod admission;
pub(crate) mod follow;
pub(crate) mod guard;
mod replay;
pub(crate) mod signatures;
pub(crate) mod verdict;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Uri, header, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};
use voice_http::{TraceParent, client_address};
use voice_lifecycle::SharedClock;
use voice_schemas::events::call::{CallEvent, Carrier};
use voice_telephony::{ContextKeys, HookKind, VerifyError};

use crate::{
    HooksConfig,
    error::Refusal,
    events::{CarrierName, Counters, Kept, Outcome},
    outlet::{Letter, Outlet},
};
use accounts::{Account, Directory, Reader};
use admission::{Admission, Admitted};
use guard::{address, rate::AddressGuard};
use signatures::{Queue, Signed};
use verdict::{Keep, Verdict};

/// What a webhook meets and others own, too.
pub(crate) struct Parts {
    pub(crate) config: HooksConfig,
    pub(crate) base_url: String,
    pub(crate) trusted_hops: usize,
    pub(crate) addresses: Arc<AddressGuard>,
    pub(crate) directory: Directory,
    pub(crate) context: Arc<ContextKeys>,
    pub(crate) outlet: Outlet,
    pub(crate) clock: SharedClock,
    pub(crate) counters: Arc<Counters>,
    /// Where Ed25519 signatures are verified together; without it, each by itself.
    pub(crate) batches: Option<Queue>,
}

/// Everything a webhook meets.
pub(crate) struct Hooks {
    with: Parts,
    slots: Semaphore,
    admission: Arc<Admission>,
}

/// What an accepted webhook hears.
#[derive(Debug)]
enum Answer {
    /// Carriers want exactly 200: Telnyx goes to its failover address for anything else.
    Done,
    /// The document that tells a call what to do.
    Instructions(&'static str, Bytes),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Done => Response::new(Body::empty()),
            Self::Instructions(kind, document) => {
                let mut response = Response::new(Body::from(document));
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
                response
            }
        }
    }
}

/// The routes.
pub(crate) fn router(hooks: Arc<Hooks>) -> Router {
    Router::new()
        .route("/hooks/{carrier}/{ingress}/{kind}", post(receive))
        .with_state(hooks)
}

async fn receive(
    State(hooks): State<Arc<Hooks>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let carrier = segments(&parts.uri).and_then(|(carrier, ..)| Carrier::parse(carrier));
    match hooks.receive(peer, carrier, parts, body).await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => {
            hooks
                .with
                .counters
                .refused(carrier.map_or(CarrierName::Unknown, CarrierName::from), &refusal);
            refusal.into_response()
        }
    }
}

/// Carrier, ingress id and kind of a hook's path. What is percent-encoded names nothing of ours.
pub(crate) fn segments(uri: &Uri) -> Option<(&str, &str, &str)> {
    let mut rest = uri.path().strip_prefix("/hooks/")?.split('/');
    match (rest.next(), rest.next(), rest.next(), rest.next()) {
        (Some(carrier), Some(ingress), Some(kind), None) => Some((carrier, ingress, kind)),
        _ => None,
    }
}

impl Directory {
    /// The account and kind a hook's path names.
    pub(crate) fn resolve(&self, uri: &Uri) -> Option<(Arc<Account>, HookKind)> {
        let (carrier, ingress, kind) = segments(uri)?;
        let carrier = Carrier::parse(carrier)?;
        let kind = HookKind::parse(carrier, kind)?;
        Some((self.find(carrier, ingress)?, kind))
    }
}

/// One webhook under way.
struct Delivery {
    signed: Signed,
    kind: HookKind,
    uri: Uri,
    received_at: DateTime<Utc>,
    began: tokio::time::Instant,
}

impl Hooks {
    pub(crate) fn new(with: Parts) -> Self {
        let slots = Semaphore::new(with.config.max_in_flight);
        let admission = Admission::new(&with.config.replay);
        Self {
            with,
            slots,
            admission,
        }
    }

    async fn receive(
        &self,
        peer: SocketAddr,
        carrier: Option<Carrier>,
        mut parts: request::Parts,
        body: Body,
    ) -> Result<Answer, Refusal> {
        let began = tokio::time::Instant::now();
        let received_at = self.with.clock.now();
        let client = client_address(peer.ip(), &parts.headers, self.with.trusted_hops);
        self.with
            .addresses
            .check(client, received_at)
            .map_err(Refusal::AddressRate)?;
        // T10: whatever the path does not name ends here, with the body unread.
        let (account, kind) = carrier
            .and_then(|_| self.with.directory.resolve(&parts.uri))
            .ok_or_else(|| self.unresolved())?;
        match address::judge(account.ip_policy, &account.networks, client) {
            address::Verdict::Known => {}
            address::Verdict::Unknown => self.with.counters.address_logged(account.carrier.into()),
            address::Verdict::Refused => return Err(Refusal::Address),
        }
        account.allow(received_at).map_err(Refusal::AccountRate)?;
        let _slot = self.slot()?;
        let body = self.read(&parts.headers, body).await?;
        let url = format!("{}{}", self.with.base_url, path_and_query(&parts.uri));
        let headers = std::mem::take(&mut parts.headers);
        let signed = Signed {
            account,
            url,
            headers,
            body,
        };
        let (signed, verified) = self.verify(signed, received_at).await?;
        let delivery = Delivery {
            signed,
            kind,
            uri: parts.uri,
            received_at,
            began,
        };
        match verified {
            Ok(()) => self.understand(&delivery).await?,
            // Authentic, and a replay by its age alone.
            Err(VerifyError::Stale { .. }) => {
                self.with.counters.webhook(delivery.carrier(), Outcome::Stale);
            }
            Err(error) => return Err(Refusal::Signature(error)),
        }
        Ok(delivery.answer())
    }

    /// A carrier gives up on 404, so nothing is called unknown before the accounts were read.
    fn unresolved(&self) -> Refusal {
        if self.with.directory.is_loaded() {
            Refusal::UnknownHook
        } else {
            Refusal::Starting
        }
    }

    /// Ed25519 is worth the detour through the batch, HMAC is not.
    async fn verify(
        &self,
        signed: Signed,
        now: DateTime<Utc>,
    ) -> Result<(Signed, Result<(), VerifyError>), Refusal> {
        match (&self.with.batches, &signed.account.reader) {
            (Some(queue), Reader::Telnyx(_)) => queue.verify(signed).await.ok_or(Refusal::Busy),
            _ => {
                let verified = signed.account.verify(&signed.request(), now);
                Ok((signed, verified))
            }
        }
    }

    async fn understand(&self, delivery: &Delivery) -> Result<(), Refusal> {
        let Delivery {
            signed,
            kind,
            received_at,
            ..
        } = delivery;
        let (context, at) = (&self.with.context, *received_at);
        match verdict::judge(&signed.account, *kind, &signed.request(), context, at, at) {
            Verdict::Event(event) => self.store(delivery, *event).await,
            Verdict::Ignored => {
                self.with.counters.webhook(delivery.carrier(), Outcome::Ignored);
                Ok(())
            }
            Verdict::Keep(keep) => self.keep(delivery, keep).await,
        }
    }

    async fn store(&self, delivery: &Delivery, mut event: CallEvent) -> Result<(), Refusal> {
        let carrier = delivery.carrier();
        match self
            .admission
            .admit(verdict::event_key(&event), delivery.received_at)
        {
            Admitted::First(ticket) => {
                event.traceparent = traceparent(&delivery.signed.headers);
                self.with.outlet.call(&event).await?;
                ticket.stored(delivery.received_at);
                self.with.counters.stored(carrier, delivery.began.elapsed());
                return Ok(());
            }
            Admitted::Seen => {}
            Admitted::Waits(first) => first.await.map_err(|_| Refusal::CopyNotStored)?,
        }
        self.with.counters.webhook(carrier, Outcome::Duplicate);
        Ok(())
    }

    /// Keeps the bytes once, however often the carrier sends them.
    async fn keep(&self, delivery: &Delivery, keep: Keep) -> Result<(), Refusal> {
        let account = &delivery.signed.account;
        let carrier = delivery.carrier();
        let key = verdict::bytes_key(account, delivery.kind, &delivery.signed.body);
        match self.admission.admit(key, delivery.received_at) {
            Admitted::First(ticket) => {
                let letter = Letter {
                    path: path_and_query(&delivery.uri),
                    code: keep.code,
                    detail: &keep.detail,
                    at: delivery.received_at,
                    key: account.id.0.as_bytes(),
                    body: &delivery.signed.body,
                };
                self.with.outlet.keep(letter).await?;
                ticket.stored(delivery.received_at);
                Kept {
                    carrier,
                    account: account.id,
                    code: keep.code,
                    detail: &keep.detail,
                }
                .emit();
            }
            Admitted::Seen => {}
            Admitted::Waits(first) => first.await.map_err(|_| Refusal::CopyNotStored)?,
        }
        if keep.malformed {
            return Err(Refusal::Malformed(keep.detail));
        }
        self.with.counters.webhook(carrier, Outcome::DeadLetter);
        Ok(())
    }

    fn slot(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.slots.try_acquire().map_err(|_| Refusal::Busy)
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let most = self.with.config.max_body_bytes;
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > most) {
            return Err(Refusal::TooLarge);
        }
        match tokio::time::timeout(
            self.with.config.body_timeout(),
            Limited::new(body, most).collect(),
        )
        .await
        {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
        }
    }

    /// Reports how much is held in memory.
    pub(crate) fn report(&self) {
        let in_flight = self
            .with
            .config
            .max_in_flight
            .saturating_sub(self.slots.available_permits());
        self.with.counters.load(in_flight, self.admission.remembered());
    }
}

impl Delivery {
    fn carrier(&self) -> CarrierName {
        self.signed.account.carrier.into()
    }

    fn answer(&self) -> Answer {
        match (&self.signed.account.instructions, self.kind) {
            // Also for a repetition: the call behind it still waits to be told.
            (Some((kind, document)), HookKind::Voice) => Answer::Instructions(kind, document.clone()),
            (Some((kind, _)), HookKind::Gather) => {
                Answer::Instructions(kind, self.signed.account.after_key.clone())
            }
            _ => Answer::Done,
        }
    }
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    Some(TraceParent::parse(text)?.as_str().to_owned())
}
