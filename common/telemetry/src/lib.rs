//! Logs and metrics, written so that a number on a dashboard and a line in a log cannot disagree.
//!
//! A crate keeps its telemetry in `events.rs`: the definitions of its metrics ([`CounterDef`],
//! [`GaugeDef`], [`HistogramDef`]) and one struct per thing that happens, whose only method is
//! [`Emit::emit`]. `emit` writes the log line and moves the metric; nothing else in the crate names a
//! metric. There is no global registry: whoever emits was handed a [`Metrics`].
//!
//! Labels are types ([`Label`]) whose values are `&'static str`, so that a phone number, an id or any
//! other text from outside cannot become one.
//!
//! ```
//! use voice_telemetry::{BuildInfo, CounterDef, Emit, Metrics, labels};
//!
//! labels! {
//!     /// The carrier a webhook came from.
//!     pub enum Carrier: "carrier" { Telnyx = "telnyx", Twilio = "twilio" }
//! }
//!
//! /// Webhooks answered with 2xx.
//! pub const WEBHOOKS_ACCEPTED: CounterDef<Carrier> =
//!     CounterDef::new("ingest_webhooks_accepted_total", "Webhooks answered with 2xx.");
//!
//! /// A batch of webhooks is on the broker.
//! #[derive(Debug)]
//! pub struct WebhooksAccepted {
//!     /// Where they came from.
//!     pub carrier: Carrier,
//!     /// How many.
//!     pub count: u64,
//! }
//!
//! impl Emit for WebhooksAccepted {
//!     fn emit(&self, metrics: &Metrics) {
//!         tracing::debug!(carrier = self.carrier.as_str(), count = self.count, "webhooks accepted");
//!         metrics.counter(&WEBHOOKS_ACCEPTED).add(self.carrier, self.count);
//!     }
//! }
//!
//! let metrics = Metrics::new(&BuildInfo { role: "ingest", version: "0.1.0", commit: "unknown" });
//! WebhooksAccepted { carrier: Carrier::Telnyx, count: 3 }.emit(&metrics);
//! assert!(metrics.render().contains(r#"ingest_webhooks_accepted_total{carrier="telnyx"} 3"#));
//! ```

mod definition;
mod emit;
mod json;
mod label;
mod logs;
mod metrics;

pub use definition::{CounterDef, Definition, GaugeDef, HistogramDef, Kind, buckets};
pub use emit::{Emit, assert_documented, assert_emits};
pub use label::{Label, LabelSet};
pub use logs::{LogFormat, TelemetryConfig, TelemetryError, init};
pub use metrics::{BuildInfo, Counter, Gauge, Histogram, Metrics, TEXT_FORMAT};
