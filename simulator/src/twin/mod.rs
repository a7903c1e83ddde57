//! The carriers' REST side on loopback: it tells the truth about every call of a shift, so that the platform
//! can ask after a webhook was lost, and takes calls of its own.
//!
//! Stricter than the carriers: a parameter the carrier does not document is refused, not ignored, so that a
//! misspelt one is found here. Calls placed here come alive where the twin has been given [`Live`] ones; else they
//! are registered, can be looked up and hung up, and nobody picks them up. Ending a call of the shift is
//! acknowledged and changes nothing: the shift goes as planned.

mod commands;
mod telnyx;
mod twilio;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Request, State as Kept},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use voice_lifecycle::SharedClock;
use voice_schemas::events::call::Carrier;
use voice_telephony::ContextKeys;

use self::commands::Commands;
use crate::{
    Account,
    live::{Live, Trouble},
    plan::{Fact, Plan, PlannedCall},
};

/// Both carriers' REST APIs for the calls of one shift, for calls of the platform's own, or for both.
#[derive(Clone, Debug)]
pub struct Twin(Arc<State>);

#[derive(Debug)]
struct State {
    shift: Option<Shift>,
    accounts: Arc<[Account]>,
    clock: SharedClock,
    live: Live,
    commands: Mutex<Commands>,
}

/// A shift that is played.
#[derive(Debug)]
struct Shift {
    plan: Arc<Plan>,
    context: Arc<ContextKeys>,
    clock: SharedClock,
}

impl Twin {
    /// `shift_clock` says how far the shift has been played, `clock` is the machine's. Where the shift is played
    /// by another process, the machine's clock serves for both: all of a shift that was told after the event
    /// has happened. Calls placed here stay queued.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        accounts: Arc<[Account]>,
        context: Arc<ContextKeys>,
        shift_clock: SharedClock,
        clock: SharedClock,
    ) -> Self {
        let live = Live::asleep(Arc::clone(&accounts), Arc::clone(&clock));
        let shift = Shift {
            plan,
            context,
            clock: shift_clock,
        };
        Self::made(Some(shift), accounts, clock, live)
    }

    /// A twin without a shift, for calls the platform places. `live` must have been made over the same accounts, and
    /// must [run](Live::run).
    #[must_use]
    pub fn of_live(accounts: Arc<[Account]>, clock: SharedClock, live: Live) -> Self {
        Self::made(None, accounts, clock, live)
    }

    /// A shift's twin whose own calls come alive, see [`of_live`](Self::of_live).
    #[must_use]
    pub fn with_live(
        plan: Arc<Plan>,
        accounts: Arc<[Account]>,
        context: Arc<ContextKeys>,
        shift_clock: SharedClock,
        clock: SharedClock,
        live: Live,
    ) -> Self {
        let shift = Shift {
            plan,
            context,
            clock: shift_clock,
        };
        Self::made(Some(shift), accounts, clock, live)
    }

    fn made(shift: Option<Shift>, accounts: Arc<[Account]>, clock: SharedClock, live: Live) -> Self {
        Self(Arc::new(State {
            shift,
            accounts,
            clock,
            live,
            commands: Mutex::default(),
        }))
    }

    /// The routes of both carriers: `/2010-04-01/…` is Twilio's, `/v2/…` is Telnyx's.
    pub fn router(self) -> Router {
        let weather = |carrier| middleware::from_fn_with_state((self.clone(), carrier), weather);
        twilio::routes()
            .layer(weather(Carrier::Twilio))
            .merge(telnyx::routes().layer(weather(Carrier::Telnyx)))
            .with_state(self)
    }

    fn state(&self) -> &State {
        &self.0
    }

    /// The call of the shift with this id, if the account may see it and it has begun.
    fn planned(&self, account: usize, id: &str) -> Option<Moment> {
        let shift = self.state().shift.as_ref()?;
        let call = shift.plan.find(id)?;
        let now = shift.clock.now();
        (call.account == account && call.starts_at() <= now).then_some(Moment { call, now })
    }

    fn live(&self) -> &Live {
        &self.state().live
    }

    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.state()
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The account at a carrier that `opens` says the request is for.
    fn account(&self, carrier: Carrier, opens: impl Fn(&Account) -> bool) -> Option<(usize, &Account)> {
        let mut accounts = self.state().accounts.iter().enumerate();
        accounts.find(|(_, account)| account.carrier() == carrier && opens(account))
    }
}

/// Lets an outage have its way.
async fn weather(Kept((twin, carrier)): Kept<(Twin, Carrier)>, request: Request, next: Next) -> Response {
    let Some((trouble, left)) = twin.live().trouble(carrier) else {
        return next.run(request).await;
    };
    match trouble {
        Trouble::Deaf => tokio::time::sleep(left).await,
        Trouble::Mute => {
            drop(next.run(request).await);
            tokio::time::sleep(left).await;
        }
        Trouble::Unavailable | Trouble::Late(_) | Trouble::Lost => {}
    }
    let body = match carrier {
        Carrier::Twilio => serde_json::json!({
            "code": 20503, "message": "Service is unavailable", "status": 503,
            "more_info": "https://www.twilio.com/docs/errors/20503",
        }),
        Carrier::Telnyx => serde_json::json!({ "errors": [{
            "code": "10007", "title": "Unexpected error", "detail": "An unexpected error occurred.",
        }] }),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
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
