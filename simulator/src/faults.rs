//! What goes wrong between the carrier and the platform, decided from the seed before anything is sent.
//!
//! Faults are drawn apart from the calls: the same shift with other faults has the same calls.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    FactSet, SimulatorError,
    plan::{Chance, LogNormal, PlannedCall, between, happens, of_call},
};

/// Very late: two minutes or so.
const MINUTES: LogNormal = LogNormal::new(120_000.0, 0.5, 30_000, 600_000);
/// Keeps the random bits of faults apart from those of calls.
const APART: u64 = 0x6661_756c_7473_2121;
const LATE: u64 = 0x6c61_7465_7265_2121;

/// The faults of a shift. Shares are per webhook.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// From the event to the first try of its webhook, in the shift's time.
    pub latency_ms: LogNormal,
    /// Share of webhooks the carrier sends twice.
    pub duplicates: f64,
    /// Share of webhooks that are held back until the next one of the call has gone out.
    pub reordered: f64,
    /// How long a webhook is held back at most, in the shift's time. An event that is followed by the next
    /// one only later than that is delayed and not overtaken.
    pub reorder_window_ms: u32,
    /// Share of webhooks that are never sent.
    pub loss: f64,
    /// Share of the webhooks that end a call that are never sent, on top of that.
    pub terminal_loss: f64,
    /// Share of webhooks that come very late.
    pub late: f64,
    /// How late, in the shift's time.
    pub late_ms: LogNormal,
}

/// When a webhook of a live call goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// From the event to the first try; those before it of the same call go first.
    pub(crate) latency: TimeDelta,
    /// Held back for so long on top of that, while others overtake it.
    pub(crate) extra: TimeDelta,
    /// Sent again after this.
    pub(crate) again: Option<TimeDelta>,
}

impl Default for Faults {
    /// A carrier on an ordinary day: everything arrives, some of it twice or late.
    fn default() -> Self {
        Self {
            latency_ms: LogNormal::new(120.0, 0.6, 20, 5_000),
            duplicates: 0.01,
            reordered: 0.02,
            reorder_window_ms: 30_000,
            loss: 0.0,
            terminal_loss: 0.0,
            late: 0.0,
            late_ms: MINUTES,
        }
    }
}

/// When one webhook goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When, in the shift's time.
    pub due: DateTime<Utc>,
    /// The fact it tells, by its place in the call.
    pub fact: usize,
    /// Whether it is the second of two.
    pub duplicate: bool,
}

/// What becomes of the webhooks of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What goes out, and when; not in order.
    pub departures: Vec<Departure>,
    /// What is never sent.
    pub lost: FactSet,
}

impl Faults {
    /// A carrier without fault or delay.
    #[must_use]
    pub fn none() -> Self {
        Self {
            latency_ms: LogNormal::fixed(0),
            duplicates: 0.0,
            reordered: 0.0,
            reorder_window_ms: 0,
            loss: 0.0,
            terminal_loss: 0.0,
            late: 0.0,
            late_ms: MINUTES,
        }
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<(), SimulatorError> {
        let shares = [
            ("duplicates", self.duplicates),
            ("reordered", self.reordered),
            ("loss", self.loss),
            ("terminal_loss", self.terminal_loss),
            ("late", self.late),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(SimulatorError::Parameter {
                    field,
                    reason: "must lie between 0 and 1",
                });
            }
        }
        for (field, spread) in [("latency_ms", self.latency_ms), ("late_ms", self.late_ms)] {
            if !spread.is_sound() {
                return Err(SimulatorError::Parameter {
                    field,
                    reason: "must be finite and in order",
                });
            }
        }
        Ok(())
    }

    fn lateness(&self, chance: &mut Chance) -> TimeDelta {
        let (late, by) = (happens(chance, self.late), self.late_ms.draw(chance));
        TimeDelta::milliseconds(if late { by } else { 0 })
    }

    /// What becomes of one webhook of a live call, whose next event nobody knows yet; `None` when it is never sent.
    pub(crate) fn decide_one(&self, seed: u64, number: u64, place: u64, ends: bool) -> Option<Sending> {
        let chance = &mut of_call(seed ^ APART ^ number, place);
        let latency = TimeDelta::milliseconds(self.latency_ms.draw(chance));
        let lost = happens(chance, self.loss);
        let lost_end = happens(chance, self.terminal_loss) && ends;
        let held = happens(chance, self.reordered);
        let hold = TimeDelta::milliseconds(between(chance, 1, i64::from(self.reorder_window_ms).max(1)));
        let twice = happens(chance, self.duplicates);
        let again = TimeDelta::milliseconds(between(chance, 5, 4_000));
        let late = self.lateness(chance);
        (!lost && !lost_end).then_some(Sending {
            latency,
            extra: late + if held { hold } else { TimeDelta::zero() },
            again: twice.then_some(again),
        })
    }

    /// What becomes of the webhooks of this call.
    #[must_use]
    pub fn decide(&self, seed: u64, call: &PlannedCall) -> Decision {
        let chance = &mut of_call(seed ^ APART, call.index);
        // Bits of their own: a shift without late webhooks is the one it always was.
        let late = &mut of_call(seed ^ LATE, call.index);
        // Without a fault, webhooks of one call leave in order: a slow one holds up those behind it.
        let mut dues: Vec<DateTime<Utc>> = Vec::with_capacity(call.facts.len());
        for fact in &call.facts {
            let due = fact.at + TimeDelta::milliseconds(self.latency_ms.draw(chance));
            dues.push(dues.last().map_or(due, |before| due.max(*before)));
        }
        let mut decision = Decision {
            departures: Vec::with_capacity(call.facts.len() + 1),
            lost: FactSet::default(),
        };
        for (place, fact) in call.facts.iter().enumerate() {
            // Every fact draws the same bits, whatever is decided about it.
            let lost = happens(chance, self.loss);
            let lost_end = happens(chance, self.terminal_loss) && fact.fact.is_terminal();
            let held = happens(chance, self.reordered);
            let hold = TimeDelta::milliseconds(between(chance, 1, i64::from(self.reorder_window_ms).max(1)));
            let behind = TimeDelta::milliseconds(between(chance, 1, 250));
            let twice = happens(chance, self.duplicates);
            let again = TimeDelta::milliseconds(between(chance, 5, 4_000));
            let late = self.lateness(late);
            if lost || lost_end {
                decision.lost.add(place);
                continue;
            }
            let window = TimeDelta::milliseconds(i64::from(self.reorder_window_ms));
            let on_time = dues[place];
            let due = match dues.get(place + 1).filter(|_| held) {
                Some(next) if *next - on_time < window => *next + behind,
                _ if held => on_time + hold,
                _ => on_time,
            } + late;
            decision.departures.push(Departure {
                due,
                fact: place,
                duplicate: false,
            });
            if twice {
                decision.departures.push(Departure {
                    due: due + again,
                    fact: place,
                    duplicate: true,
                });
            }
        }
        decision
    }
}
