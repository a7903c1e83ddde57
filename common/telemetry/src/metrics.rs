//! The metrics of one process, handed to whoever emits.

use std::{
    any::TypeId,
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
    core::{Collector, MetricVec, MetricVecBuilder},
};

use crate::{CounterDef, Definition, GaugeDef, HistogramDef, Kind, LabelSet};

/// Content type of [`Metrics::render`].
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `build_info` says about the running program.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The role or roles this process runs.
    pub role: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Commit it was built from.
    pub commit: &'static str,
}

/// The metrics of one process. Clones are the same registry; a test makes its own.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: RwLock<BTreeMap<&'static str, Registered>>,
}

struct Registered {
    labels: TypeId,
    family: Family,
}

#[derive(Clone)]
enum Family {
    Counter(IntCounterVec),
    Gauge(GaugeVec),
    Histogram(HistogramVec),
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.names()).finish()
    }
}

impl Metrics {
    /// An empty registry, apart from the gauge `build_info` which is always 1.
    #[must_use]
    pub fn new(build: &BuildInfo) -> Self {
        let metrics = Self::empty();
        let labels = [
            ("role", build.role),
            ("version", build.version),
            ("commit", build.commit),
        ];
        let opts = Opts::new("build_info", "What is running; always 1.").const_labels(
            labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        if let Ok(gauge) = prometheus::IntGauge::with_opts(opts) {
            gauge.set(1);
            metrics.register(Box::new(gauge), "build_info");
        }
        metrics
    }

    /// A registry for tests: nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new(Inner {
            registry: Registry::new(),
            families: RwLock::default(),
        }))
    }

    /// The counter with this definition. The first call registers it; hold the handle where calls are many.
    #[must_use]
    pub fn counter<L: LabelSet>(&self, definition: &CounterDef<L>) -> Counter<L> {
        let family = self.family(definition, || {
            IntCounterVec::new(opts(definition), definition.labels()).map(Family::Counter)
        });
        Counter(
            if let Some(Family::Counter(vec)) = family {
                Some(vec)
            } else {
                None
            },
            PhantomData,
        )
    }

    /// The gauge with this definition. The first call registers it.
    #[must_use]
    pub fn gauge<L: LabelSet>(&self, definition: &GaugeDef<L>) -> Gauge<L> {
        let family = self.family(definition, || {
            GaugeVec::new(opts(definition), definition.labels()).map(Family::Gauge)
        });
        Gauge(
            if let Some(Family::Gauge(vec)) = family {
                Some(vec)
            } else {
                None
            },
            PhantomData,
        )
    }

    /// The histogram with this definition. The first call registers it.
    #[must_use]
    pub fn histogram<L: LabelSet>(&self, definition: &HistogramDef<L>) -> Histogram<L> {
        let family = self.family(definition, || {
            let opts = HistogramOpts::from(opts(definition)).buckets(definition.buckets.to_vec());
            HistogramVec::new(opts, definition.labels()).map(Family::Histogram)
        });
        Histogram(
            if let Some(Family::Histogram(vec)) = family {
                Some(vec)
            } else {
                None
            },
            PhantomData,
        )
    }

    /// Names of all registered families, sorted; without `build_info`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0
            .families
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }

    /// The text exposition format, as `/metrics` answers it with content type [`TEXT_FORMAT`].
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.0.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn family(
        &self,
        definition: &dyn Definition,
        build: impl FnOnce() -> prometheus::Result<Family>,
    ) -> Option<Family> {
        let known = {
            let families = self.0.families.read().unwrap_or_else(PoisonError::into_inner);
            families
                .get(definition.name())
                .map(|known| known.matching(definition))
        };
        if let Some(known) = known {
            return conflict_logged(known, definition);
        }
        let mut families = self.0.families.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = families.get(definition.name()) {
            return conflict_logged(known.matching(definition), definition);
        }
        let family = match build() {
            Ok(family) => family,
            Err(error) => {
                tracing::error!(metric = definition.name(), %error, "metric definition is not usable");
                return None;
            }
        };
        let collector: Box<dyn Collector> = match &family {
            Family::Counter(vec) => Box::new(vec.clone()),
            Family::Gauge(vec) => Box::new(vec.clone()),
            Family::Histogram(vec) => Box::new(vec.clone()),
        };
        self.register(collector, definition.name());
        families.insert(
            definition.name(),
            Registered {
                labels: definition.label_types(),
                family: family.clone(),
            },
        );
        Some(family)
    }

    fn register(&self, collector: Box<dyn Collector>, name: &'static str) {
        if let Err(error) = self.0.registry.register(collector) {
            tracing::error!(metric = name, %error, "metric could not be registered");
        }
    }
}

impl Registered {
    fn matching(&self, definition: &dyn Definition) -> Option<Family> {
        let kind = match self.family {
            Family::Counter(_) => Kind::Counter,
            Family::Gauge(_) => Kind::Gauge,
            Family::Histogram(_) => Kind::Histogram,
        };
        (kind == definition.kind() && self.labels == definition.label_types()).then(|| self.family.clone())
    }
}

/// Two definitions that fight for a name are a mistake in the program; it must not stop calls.
fn conflict_logged(found: Option<Family>, definition: &dyn Definition) -> Option<Family> {
    if found.is_none() {
        debug_assert!(false, "two definitions of the metric {}", definition.name());
        tracing::error!(
            metric = definition.name(),
            "two definitions of one metric; the second is not counted"
        );
    }
    found
}

fn opts(definition: &dyn Definition) -> Opts {
    Opts::new(definition.name(), definition.help())
}

/// The series with these labels. Nothing when the definition was in conflict.
fn series<L: LabelSet, B: MetricVecBuilder>(family: Option<&MetricVec<B>>, labels: L) -> Option<B::M> {
    family?
        .get_metric_with_label_values(labels.values().as_ref())
        .ok()
}

/// A counter family.
#[derive(Clone, Debug)]
pub struct Counter<L>(Option<IntCounterVec>, PhantomData<fn(L)>);

impl<L: LabelSet> Counter<L> {
    /// Adds one.
    pub fn inc(&self, labels: L) {
        self.add(labels, 1);
    }

    /// Adds `count`. Adding nothing makes the series visible at 0.
    pub fn add(&self, labels: L, count: u64) {
        if let Some(series) = series(self.0.as_ref(), labels) {
            series.inc_by(count);
        }
    }

    /// The current count, for tests.
    #[must_use]
    pub fn get(&self, labels: L) -> u64 {
        series(self.0.as_ref(), labels)
            .map(|series| series.get())
            .unwrap_or_default()
    }
}

/// A gauge family.
#[derive(Clone, Debug)]
pub struct Gauge<L>(Option<GaugeVec>, PhantomData<fn(L)>);

impl<L: LabelSet> Gauge<L> {
    /// Sets the value.
    pub fn set(&self, labels: L, value: f64) {
        if let Some(series) = series(self.0.as_ref(), labels) {
            series.set(value);
        }
    }

    /// Adds to the value; negative amounts subtract.
    pub fn add(&self, labels: L, amount: f64) {
        if let Some(series) = series(self.0.as_ref(), labels) {
            series.add(amount);
        }
    }

    /// The current value, for tests.
    #[must_use]
    pub fn get(&self, labels: L) -> f64 {
        series(self.0.as_ref(), labels)
            .map(|series| series.get())
            .unwrap_or_default()
    }
}

/// A histogram family.
#[derive(Clone, Debug)]
pub struct Histogram<L>(Option<HistogramVec>, PhantomData<fn(L)>);

impl<L: LabelSet> Histogram<L> {
    /// Records one value.
    pub fn observe(&self, labels: L, value: f64) {
        if let Some(series) = series(self.0.as_ref(), labels) {
            series.observe(value);
        }
    }

    /// Records one duration in seconds.
    pub fn observe_duration(&self, labels: L, duration: Duration) {
        self.observe(labels, duration.as_secs_f64());
    }

    /// How many values were recorded, for tests.
    #[must_use]
    pub fn count(&self, labels: L) -> u64 {
        series(self.0.as_ref(), labels)
            .map(|series| series.get_sample_count())
            .unwrap_or_default()
    }
}
