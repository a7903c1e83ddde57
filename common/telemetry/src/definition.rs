//! What a metric is called, what it counts and which labels it has, as constants.

use std::{any::TypeId, fmt, marker::PhantomData};

use crate::LabelSet;

/// The kinds of metrics there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What every definition can say about itself, whatever its labels.
pub trait Definition: Sync {
    /// Name of the metric family.
    fn name(&self) -> &'static str;
    /// What it measures, in one sentence.
    fn help(&self) -> &'static str;
    /// Counter, gauge or histogram.
    fn kind(&self) -> Kind;
    /// Names of its labels.
    fn labels(&self) -> &'static [&'static str];
    /// Distinguishes definitions that share a name by mistake.
    fn label_types(&self) -> TypeId;
}

macro_rules! definition {
    ($(#[$meta:meta])* $name:ident, $kind:expr) => {
        $(#[$meta])*
        pub struct $name<L = ()> {
            name: &'static str,
            help: &'static str,
            labels: PhantomData<fn(L)>,
        }

        impl<L> $name<L> {
            /// A definition; names follow Prometheus' rules (base units, `_total` for counters).
            #[must_use]
            pub const fn new(name: &'static str, help: &'static str) -> Self {
                Self { name, help, labels: PhantomData }
            }
        }

        definition!(@impl $name, $kind);
    };
    (@impl $name:ident, $kind:expr) => {
        impl<L: LabelSet> Definition for $name<L> {
            fn name(&self) -> &'static str {
                self.name
            }
            fn help(&self) -> &'static str {
                self.help
            }
            fn kind(&self) -> Kind {
                $kind
            }
            fn labels(&self) -> &'static [&'static str] {
                L::NAMES
            }
            fn label_types(&self) -> TypeId {
                TypeId::of::<L>()
            }
        }

        impl<L> fmt::Debug for $name<L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.name).finish()
            }
        }
    };
}

definition!(
    /// A number that only goes up.
    CounterDef,
    Kind::Counter
);
definition!(
    /// A number that goes up and down.
    GaugeDef,
    Kind::Gauge
);

/// A distribution over fixed buckets.
pub struct HistogramDef<L = ()> {
    name: &'static str,
    help: &'static str,
    pub(crate) buckets: &'static [f64],
    labels: PhantomData<fn(L)>,
}

impl<L> HistogramDef<L> {
    /// A definition; `buckets` are upper bounds in rising order, see [`buckets`].
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, buckets: &'static [f64]) -> Self {
        Self {
            name,
            help,
            buckets,
            labels: PhantomData,
        }
    }
}

definition!(@impl HistogramDef, Kind::Histogram);

/// Bucket bounds that fit most distributions.
pub mod buckets {
    /// Request and query latencies, 0.5 ms to 30 s.
    pub const LATENCY_SECONDS: &[f64] = &[
        0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];
    /// Jobs and reports, 0.1 s to one hour.
    pub const DURATION_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0];
    /// Batch sizes, 1 to 100 000.
    pub const COUNT: &[f64] = &[
        1.0, 10.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0,
    ];
    /// Sizes, 256 bytes to 64 MiB.
    pub const BYTES: &[f64] = &[
        256.0,
        1_024.0,
        4_096.0,
        16_384.0,
        65_536.0,
        262_144.0,
        1_048_576.0,
        4_194_304.0,
        16_777_216.0,
        67_108_864.0,
    ];
}
