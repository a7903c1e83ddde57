//! Two carriers, what they refuse, and how the dialer spreads its calls over them.

use crate::scenario::Carriers as Terms;

/// Refusals in a row after which a carrier is left alone for a while.
const PATIENCE: u32 = 3;
const PAUSE: f64 = 10.0;
/// After a 429 nothing is placed for so long.
const BACK_OFF: f64 = 1.0;

/// What becomes of a dial at its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is dialled.
    Yes(usize),
    /// 429, at once.
    TooMany,
    /// The carrier does not answer; the call fails after a second.
    Dead(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Route {
    refusals: u32,
    again: f64,
}

/// The carriers as the dialer sees them.
#[derive(Debug)]
pub(super) struct Carriers {
    terms: Terms,
    tokens: f64,
    filled: f64,
    again: f64,
    routes: [Route; 2],
    turn: usize,
}

impl Carriers {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            tokens: terms.per_second,
            filled: 0.0,
            again: 0.0,
            routes: [Route::default(); 2],
            turn: 0,
        }
    }

    /// How many dials may be placed now.
    pub(super) fn lines(&mut self, now: f64) -> usize {
        if now < self.again || self.routes.iter().all(|route| now < route.again) {
            return 0;
        }
        if self.terms.per_second <= 0.0 {
            return usize::MAX;
        }
        self.tokens = (self.tokens + (now - self.filled) * self.terms.per_second).min(self.terms.per_second);
        self.filled = now;
        self.tokens as usize
    }

    /// Places a dial; `into` is the time since the shift began.
    pub(super) fn place(&mut self, now: f64, into: f64) -> Taken {
        let within = |hours: Option<(f64, f64)>| {
            hours.is_some_and(|(from, to)| (from * 3_600.0..to * 3_600.0).contains(&into))
        };
        self.tokens -= 1.0;
        if within(self.terms.refuse) {
            self.again = now + BACK_OFF;
            return Taken::TooMany;
        }
        self.turn += 1;
        let first = self.turn % 2;
        let route = if now >= self.routes[first].again {
            first
        } else {
            1 - first
        };
        if route == 1 && within(self.terms.dead) {
            Taken::Dead(route)
        } else {
            Taken::Yes(route)
        }
    }

    /// A dial on `route` failed for want of a carrier, or did not.
    pub(super) fn heard(&mut self, route: usize, refused: bool, now: f64) {
        let state = &mut self.routes[route];
        if !refused {
            state.refusals = 0;
            return;
        }
        state.refusals += 1;
        if state.refusals >= PATIENCE {
            state.again = now + PAUSE;
        }
    }
}
