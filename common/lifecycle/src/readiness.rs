//! Whether this process wants traffic, as a set of named checks.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The readiness of the process. Clones share the same checks.
///
/// A process is ready when no check fails and it is not draining. A check starts as failing
/// (`starting`), so that a component which never comes up keeps traffic away.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    draining: bool,
    checks: BTreeMap<&'static str, Option<Cow<'static, str>>>,
}

/// The handle with which one component reports on itself.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    readiness: Readiness,
}

/// A check that fails, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingCheck {
    /// Name of the check.
    pub name: &'static str,
    /// Why it fails; read by people, free of secrets and personal data.
    pub reason: String,
}

/// What the ops listener answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessReport {
    /// Whether the process is on its way out.
    pub draining: bool,
    /// Names of all checks, sorted.
    pub checks: Vec<&'static str>,
    /// The checks that fail, sorted by name.
    pub failing: Vec<FailingCheck>,
}

impl ReadinessReport {
    /// Whether traffic is wanted.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.draining && self.failing.is_empty()
    }
}

impl Readiness {
    /// No checks yet, hence ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check that fails until its holder says otherwise. A second check of the same name is
    /// the same check.
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        self.state()
            .checks
            .entry(name)
            .or_insert(Some(Cow::Borrowed("starting")));
        Check {
            name,
            readiness: self.clone(),
        }
    }

    /// From now on the process is not ready, whatever its checks say. There is no way back.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    /// Whether traffic is wanted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.state();
        !state.draining && state.checks.values().all(Option::is_none)
    }

    /// The state of every check.
    #[must_use]
    pub fn report(&self) -> ReadinessReport {
        let state = self.state();
        ReadinessReport {
            draining: state.draining,
            checks: state.checks.keys().copied().collect(),
            failing: state
                .checks
                .iter()
                .filter_map(|(name, reason)| {
                    reason.as_ref().map(|reason| FailingCheck {
                        name,
                        reason: reason.to_string(),
                    })
                })
                .collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The component works. Logged when it is news.
    pub fn set_ready(&self) {
        let before = self.readiness.state().checks.insert(self.name, None);
        if !matches!(before, Some(None)) {
            tracing::info!(check = self.name, "readiness check passes");
        }
    }

    /// The component does not work; `reason` is shown to operators, so it holds no secrets and no
    /// personal data. Logged when it is news.
    pub fn set_unready(&self, reason: impl Into<Cow<'static, str>>) {
        let reason = reason.into();
        let before = self
            .readiness
            .state()
            .checks
            .insert(self.name, Some(reason.clone()));
        if !matches!(&before, Some(Some(old)) if *old == reason) {
            tracing::warn!(check = self.name, %reason, "readiness check fails");
        }
    }

    /// Name of the check.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_checks_is_ready_until_it_drains() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        readiness.drain();
        assert!(!readiness.is_ready());
        assert!(!readiness.report().ready());
    }

    #[test]
    fn a_check_fails_until_its_component_says_that_it_works() {
        let readiness = Readiness::new();
        let kafka = readiness.check("kafka");
        let postgres = readiness.check("postgres");
        postgres.set_ready();
        assert_eq!(
            readiness.report().failing,
            [FailingCheck {
                name: "kafka",
                reason: "starting".to_owned()
            }]
        );
        kafka.set_ready();
        assert!(readiness.is_ready());
        kafka.set_unready("no broker answers");
        let report = readiness.report();
        assert!(!report.ready());
        assert_eq!(report.checks, ["kafka", "postgres"]);
        assert_eq!(report.failing[0].reason, "no broker answers");
    }

    #[test]
    fn asking_for_a_check_twice_does_not_reset_it() {
        let readiness = Readiness::new();
        readiness.check("kafka").set_ready();
        let _again = readiness.check("kafka");
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_draining_process_stays_unready_even_when_all_checks_pass() {
        let readiness = Readiness::new();
        let check = readiness.check("kafka");
        readiness.drain();
        check.set_ready();
        assert!(readiness.report().failing.is_empty());
        assert!(!readiness.is_ready());
    }
}
