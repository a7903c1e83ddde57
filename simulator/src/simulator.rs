//! The simulator: a plan, its faults and the accounts, ready to be played and asked about.

use std::sync::Arc;

use voice_lifecycle::SharedClock;
use voice_telephony::ContextKeys;

use crate::{
    Account, Expected, Faults, SimulatorError,
    plan::{Plan, Shift},
    player::{Observer, PlayOptions, Player, ShiftClock, Tally, is_live},
    twin::Twin,
    wire::{Target, Wire},
};

/// A shift that can be played, once or often.
#[derive(Debug)]
pub struct Simulator {
    plan: Arc<Plan>,
    faults: Faults,
    accounts: Arc<[Account]>,
    context: Arc<ContextKeys>,
    shift_clock: Arc<ShiftClock>,
}

impl Simulator {
    /// A shift with these faults over these accounts, whose contexts are sealed with the platform's key.
    ///
    /// # Errors
    /// When parameters are out of range, a carrier with calls has no account, or a key is unusable.
    pub fn new(
        shift: Shift,
        faults: Faults,
        accounts: Vec<Account>,
        context: Arc<ContextKeys>,
    ) -> Result<Self, SimulatorError> {
        faults.check()?;
        let plan = Arc::new(Plan::new(shift, &accounts)?);
        let shift_clock = Arc::new(ShiftClock::at(plan.shift().starts_at));
        Ok(Self {
            plan,
            faults,
            accounts: accounts.into(),
            context,
            shift_clock,
        })
    }

    /// The calls.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The accounts, in the order given.
    #[must_use]
    pub fn accounts(&self) -> &Arc<[Account]> {
        &self.accounts
    }

    /// What the platform must say about the shift when it gets every webhook. What it must say after a play
    /// with faults stands in [`Tally::expected`].
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected::of(self.plan.calls())
    }

    /// Shows how far the shift has been played; the carrier twin answers by it.
    #[must_use]
    pub fn shift_clock(&self) -> SharedClock {
        Arc::clone(&self.shift_clock) as SharedClock
    }

    /// The carriers' REST side of the shift. It knows what has been played so far, and places calls of its own
    /// by the machine's `clock`.
    #[must_use]
    pub fn twin(&self, clock: SharedClock) -> Twin {
        let (plan, accounts, context) = (
            Arc::clone(&self.plan),
            Arc::clone(&self.accounts),
            Arc::clone(&self.context),
        );
        Twin::new(plan, accounts, context, self.shift_clock(), clock)
    }

    /// Plays the shift to the platform. `clock` tells the machine's time, which Telnyx signs.
    ///
    /// # Errors
    /// Before anything is sent: when the options make no sense, or the shift is so old or so far ahead that
    /// the platform would not believe it ([`Shift::check_at`]).
    pub async fn play(
        &self,
        http: &reqwest::Client,
        target: &Target,
        options: &PlayOptions,
        clock: &SharedClock,
        observer: &dyn Observer,
    ) -> Result<Tally, SimulatorError> {
        options.check()?;
        let (shift, now) = (self.plan.shift(), clock.now());
        shift.check_at(now)?;
        let stamp_all = !is_live(options.pace, shift.starts_at - now);
        let player = Player {
            plan: &self.plan,
            faults: &self.faults,
            wire: Wire::new(&self.accounts, &self.context, target, stamp_all)?,
            http,
            options,
            clock,
            shift_clock: &self.shift_clock,
            observer,
        };
        Ok(player.play().await)
    }
}
