//! What this service tells operators.
//!
//! Per webhook only counters move, through handles that are looked up once; a log line per webhook would
//! cost more than the webhook. Lines are written when a person could want to act.

use std::time::Duration;

use voice_schemas::{ProviderAccountId, events::call::Carrier};
use voice_telemetry::{
    Counter, CounterDef, Definition, Emit, Gauge, GaugeDef, Histogram, HistogramDef, Metrics, buckets, labels,
};

use crate::error::Refusal;

labels! {
    /// Who sent a webhook.
    pub(crate) enum CarrierName: "carrier" { Telnyx = "telnyx", Twilio = "twilio", Unknown = "unknown" }
}

impl From<Carrier> for CarrierName {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Telnyx => Self::Telnyx,
            Carrier::Twilio => Self::Twilio,
        }
    }
}

labels! {
    /// What became of an authentic webhook.
    pub(crate) enum Outcome: "outcome" {
        Stored = "stored", Duplicate = "duplicate", Stale = "stale", Ignored = "ignored",
        DeadLetter = "dead_letter", Malformed = "malformed", Retry = "retry",
    }
}

labels! {
    /// Which layer refused a webhook.
    pub(crate) enum Layer: "layer" {
        Path = "path", Rate = "rate", Address = "address", Body = "body", Signature = "signature",
        Capacity = "capacity",
        /// Not refused: an unknown address of an account that only logs them.
        AddressLogged = "address_logged",
    }
}

labels! {
    /// What became of one event of a batch.
    pub(crate) enum ItemOutcome: "outcome" { Accepted = "accepted", Rejected = "rejected", Retry = "retry" }
}

/// Authentic webhooks.
pub(crate) const WEBHOOKS: CounterDef<(CarrierName, Outcome)> =
    CounterDef::new("webhook_in_total", "Authentic webhooks, by what became of them.");
/// Refused webhooks.
pub(crate) const REJECTED: CounterDef<(CarrierName, Layer)> = CounterDef::new(
    "webhook_in_rejected_total",
    "Webhooks that were refused, by the layer that refused them.",
);
/// Time until stored.
pub(crate) const STORED_SECONDS: HistogramDef<CarrierName> = HistogramDef::new(
    "webhook_in_stored_seconds",
    "Time from the head of a webhook to the brokers' confirmation of its event.",
    buckets::LATENCY_SECONDS,
);
/// Events of batches.
pub(crate) const ITEMS: CounterDef<ItemOutcome> = CounterDef::new(
    "ingest_events_total",
    "Events of trusted producers, by what became of them.",
);
/// Accounts in use.
pub(crate) const ACCOUNTS: GaugeDef =
    GaugeDef::new("ingest_accounts", "Carrier accounts whose webhooks are taken.");
/// Whether they may have changed since.
pub(crate) const ACCOUNTS_STALE: GaugeDef = GaugeDef::new(
    "ingest_accounts_stale",
    "1 while Postgres is away and accounts may have changed unseen.",
);
/// Accounts that cannot be used.
pub(crate) const ACCOUNTS_UNUSABLE: CounterDef = CounterDef::new(
    "ingest_accounts_unusable_total",
    "Times an account was left out because its keys are unusable.",
);
/// Remembered deliveries.
pub(crate) const REMEMBERED: GaugeDef = GaugeDef::new(
    "ingest_replay_keys",
    "Deliveries remembered to recognise a replay.",
);
/// In flight.
pub(crate) const IN_FLIGHT: GaugeDef =
    GaugeDef::new("ingest_in_flight", "Webhooks that are being worked on.");

/// All of them.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the catalogue is what tests hold the events against")
)]
pub(crate) const CATALOGUE: &[&dyn Definition] = &[
    &WEBHOOKS,
    &REJECTED,
    &STORED_SECONDS,
    &ITEMS,
    &ACCOUNTS,
    &ACCOUNTS_STALE,
    &ACCOUNTS_UNUSABLE,
    &REMEMBERED,
    &IN_FLIGHT,
];

/// The handles of what is counted per request.
#[derive(Debug)]
pub(crate) struct Counters {
    webhooks: Counter<(CarrierName, Outcome)>,
    rejected: Counter<(CarrierName, Layer)>,
    stored_seconds: Histogram<CarrierName>,
    items: Counter<ItemOutcome>,
    remembered: Gauge<()>,
    in_flight: Gauge<()>,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            webhooks: metrics.counter(&WEBHOOKS),
            rejected: metrics.counter(&REJECTED),
            stored_seconds: metrics.histogram(&STORED_SECONDS),
            items: metrics.counter(&ITEMS),
            remembered: metrics.gauge(&REMEMBERED),
            in_flight: metrics.gauge(&IN_FLIGHT),
        }
    }

    /// An authentic webhook has its answer.
    pub(crate) fn webhook(&self, carrier: CarrierName, outcome: Outcome) {
        self.webhooks.inc((carrier, outcome));
    }

    /// A webhook's event is confirmed.
    pub(crate) fn stored(&self, carrier: CarrierName, took: Duration) {
        self.webhooks.inc((carrier, Outcome::Stored));
        self.stored_seconds.observe_duration(carrier, took);
    }

    /// An address that is not the carrier's was let in.
    pub(crate) fn address_logged(&self, carrier: CarrierName) {
        self.rejected.inc((carrier, Layer::AddressLogged));
    }

    /// A webhook was refused. At debug: whoever can make us refuse could fill the log otherwise.
    pub(crate) fn refused(&self, carrier: CarrierName, refusal: &Refusal) {
        tracing::debug!(
            carrier = carrier.as_str(),
            reason = refusal.kind(),
            "webhook refused"
        );
        match refusal {
            Refusal::UnknownHook => self.rejected.inc((carrier, Layer::Path)),
            Refusal::AddressRate(_) | Refusal::AccountRate(_) => self.rejected.inc((carrier, Layer::Rate)),
            Refusal::Address => self.rejected.inc((carrier, Layer::Address)),
            Refusal::TooLarge | Refusal::Incomplete => self.rejected.inc((carrier, Layer::Body)),
            Refusal::Signature(_) => self.rejected.inc((carrier, Layer::Signature)),
            Refusal::Busy => self.rejected.inc((carrier, Layer::Capacity)),
            Refusal::Malformed(_) => self.webhooks.inc((carrier, Outcome::Malformed)),
            Refusal::Starting | Refusal::NotStored(_) | Refusal::CopyNotStored => {
                self.webhooks.inc((carrier, Outcome::Retry));
            }
        }
    }

    /// A batch has its answer.
    pub(crate) fn batch(&self, accepted: u64, rejected: u64, retry: u64) {
        self.items.add(ItemOutcome::Accepted, accepted);
        self.items.add(ItemOutcome::Rejected, rejected);
        self.items.add(ItemOutcome::Retry, retry);
    }

    /// How much memory is in use, read now and then.
    #[allow(clippy::cast_precision_loss, reason = "a gauge")]
    pub(crate) fn load(&self, in_flight: usize, remembered: usize) {
        self.in_flight.set((), in_flight as f64);
        self.remembered.set((), remembered as f64);
    }
}

/// Bytes were kept as a dead letter; nothing is lost, and a person should look.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) carrier: CarrierName,
    pub(crate) account: ProviderAccountId,
    pub(crate) code: &'static str,
    pub(crate) detail: &'a str,
}

impl Kept<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(
            carrier = self.carrier.as_str(),
            account = %self.account,
            code = self.code,
            detail = self.detail,
            "a webhook was not understood and is kept as a dead letter"
        );
    }
}

/// The accounts were replaced.
#[derive(Debug)]
pub(crate) struct AccountsLoaded {
    pub(crate) count: usize,
}

impl Emit for AccountsLoaded {
    #[allow(clippy::cast_precision_loss, reason = "a gauge")]
    fn emit(&self, metrics: &Metrics) {
        tracing::info!(count = self.count, "carrier accounts loaded");
        metrics.gauge(&ACCOUNTS).set((), self.count as f64);
        metrics.gauge(&ACCOUNTS_STALE).set((), 0.0);
    }
}

/// Postgres is away; the accounts loaded last stay in use.
#[derive(Debug)]
pub(crate) struct AccountsStale {
    pub(crate) reason: &'static str,
}

impl Emit for AccountsStale {
    fn emit(&self, metrics: &Metrics) {
        tracing::warn!(
            reason = self.reason,
            "carrier accounts cannot be read; those loaded last stay in use"
        );
        metrics.gauge(&ACCOUNTS_STALE).set((), 1.0);
    }
}

/// An account's keys are unusable: its webhooks are refused until a person repairs it.
#[derive(Debug)]
pub(crate) struct AccountUnusable {
    pub(crate) account: ProviderAccountId,
    pub(crate) reason: &'static str,
}

impl Emit for AccountUnusable {
    fn emit(&self, metrics: &Metrics) {
        tracing::error!(account = %self.account, reason = self.reason, "a carrier account is unusable; its webhooks are refused");
        metrics.counter(&ACCOUNTS_UNUSABLE).inc(());
    }
}

#[cfg(test)]
mod tests {
    use voice_telemetry::{assert_documented, assert_emits};

    use super::*;

    #[test]
    fn the_catalogue_is_what_the_events_emit() {
        assert_documented(CATALOGUE);
        assert_emits(CATALOGUE, |metrics| {
            let counters = Counters::new(metrics);
            counters.stored(CarrierName::Telnyx, Duration::from_millis(1));
            counters.refused(CarrierName::Unknown, &Refusal::UnknownHook);
            counters.batch(1, 1, 1);
            counters.load(1, 1);
            AccountsLoaded { count: 1 }.emit(metrics);
            AccountsStale {
                reason: "unavailable",
            }
            .emit(metrics);
            AccountUnusable {
                account: ProviderAccountId::random(),
                reason: "encoding",
            }
            .emit(metrics);
        });
    }
}
