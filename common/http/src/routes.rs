//! Route templates as label values.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use voice_telemetry::Label;

/// More templates than any of our routers has; a router built in a loop must not grow the metrics.
const MOST_ROUTES: usize = 1_000;

static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The template a path matched, `/campaigns/{id}`; never the path itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route(&'static str);

impl Route {
    /// No route matched.
    pub const UNMATCHED: Self = Self("unmatched");

    /// The template as a label. Each template is kept in memory once, for as long as the process lives.
    #[must_use]
    pub fn of(template: &str) -> Self {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(template) {
            return Self(known);
        }
        if known.len() >= MOST_ROUTES {
            return Self("other");
        }
        let kept: &'static str = Box::leak(template.to_owned().into_boxed_str());
        known.insert(kept);
        Self(kept)
    }

    /// The template.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Label for Route {
    const NAME: &'static str = "route";

    fn value(self) -> &'static str {
        self.0
    }
}
