//! The carriers' REST side on loopback: it tells the truth about every call of a shift, so that the platform
//! can ask after a webhook was lost, and takes calls of its own.
//!
//! Stricter than the carriers: a parameter the carrier does not document is refused, not ignored, so that a
//! misspelt one is found here. Calls placed here are registered, can be looked up and hung up; nobody
//! picks them up. Ending a call of the shift is acknowledged and changes nothing: the shift goes as planned.

mod placed;
mod telnyx;
mod twilio;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use voice_lifecycle::SharedClock;
use voice_schemas::events::call::Carrier;
use voice_telephony::ContextKeys;

use self::placed::Registry;
use crate::{
    Account,
    plan::{Fact, Plan, PlannedCall},
};

/// Both carriers' REST APIs for the calls of one shift.
#[derive(Clone, Debug)]
pub struct Twin(Arc<State>);

#[derive(Debug)]
struct State {
    plan: Arc<Plan>,
    accounts: Arc<[Account]>,
    context: Arc<ContextKeys>,
    shift_clock: SharedClock,
    clock: SharedClock,
    placed: Mutex<Registry>,
}

impl Twin {
    /// `shift_clock` says how far the shift has been played, `clock` is the machine's. Where the shift is played
    /// by another process, the machine's clock serves for both: all of a shift that was told after the event
    /// has happened.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        accounts: Arc<[Account]>,
        context: Arc<ContextKeys>,
        shift_clock: SharedClock,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(State {
            plan,
            accounts,
            context,
            shift_clock,
            clock,
            placed: Mutex::default(),
        }))
    }

    /// The routes of both carriers: `/2010-04-01/…` is Twilio's, `/v2/…` is Telnyx's.
    pub fn router(self) -> Router {
        twilio::routes().merge(telnyx::routes()).with_state(self)
    }

    fn state(&self) -> &State {
        &self.0
    }

    /// The call of the shift with this id, if the account may see it and it has begun.
    fn planned(&self, account: usize, id: &str) -> Option<Moment> {
        let state = self.state();
        let call = state.plan.find(id)?;
        let now = state.shift_clock.now();
        (call.account == account && call.starts_at() <= now).then_some(Moment { call, now })
    }

    fn placed(&self) -> MutexGuard<'_, Registry> {
        self.state().placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account at a carrier that `opens` says the request is for.
    fn account(&self, carrier: Carrier, opens: impl Fn(&Account) -> bool) -> Option<(usize, &Account)> {
        let mut accounts = self.state().accounts.iter().enumerate();
        accounts.find(|(_, account)| account.carrier() == carrier && opens(account))
    }
}

/// Serves a twin until `stop` is done, and lets the requests under way finish.
///
/// # Errors
/// When the listener fails.
pub async fn serve_twin(
    listener: TcpListener,
    twin: Twin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, twin.router())
        .with_graceful_shutdown(stop)
        .await
}

/// A call of the shift at one moment of it.
struct Moment {
    call: PlannedCall,
    now: DateTime<Utc>,
}

impl Moment {
    /// What has happened, the latest last.
    fn past(&self) -> impl Iterator<Item = &Fact> {
        self.call
            .facts
            .iter()
            .take_while(|fact| fact.at <= self.now)
            .map(|fact| &fact.fact)
    }

    fn over(&self) -> bool {
        self.call.ended_at() <= self.now
    }

    fn answered_at(&self) -> Option<DateTime<Utc>> {
        self.call.answered_at().filter(|at| *at <= self.now)
    }
}
