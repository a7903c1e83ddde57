//! What usage costs, and whether a call may cost more.
//!
//! Prices are a table with a version, so that what a call cost stays explicable after prices change. Money is in
//! micro-units of the table's currency (a millionth), kept in integers; a line that does not come out even is
//! rounded up, so a bill is never below the provider's by rounding.

use serde::{Deserialize, Serialize};

use crate::{Quantities, Unit, Usage};

/// A millionth of the currency of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// The sum; stops at the largest.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// What one unit of one model costs: so many micro-units for so many of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The model, or a beginning of its name: the longest that fits counts.
    pub model: String,
    /// What is charged for.
    pub unit: Unit,
    /// Micro-units…
    pub micros: u64,
    /// …for so many of the unit; at least 1.
    pub per: u64,
}

/// The prices of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// Names the table in every event that used it.
    pub version: String,
    /// ISO 4217.
    pub currency: String,
    /// The prices, in any order.
    pub prices: Vec<Price>,
}

/// What a piece of usage costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What is known to be charged.
    pub micros: Micros,
    /// What of the usage has no price in the table: the cost is then a lower bound, and somebody should know.
    pub unpriced: Quantities,
}

const MILLION: u64 = 1_000_000;
const MINUTE_MS: u64 = 60_000;

impl PriceTable {
    /// The vendors' list prices as of November 2026, in US dollars. What is not on it (Gemini's audio, Aura's
    /// characters, chat models) stays unpriced until a table of the operator's says what it costs.
    #[must_use]
    pub fn list() -> Self {
        use Unit::{
            AudioIn, AudioInCached, AudioOut, RecognisedMs, SessionMs, TextIn, TextInCached, TextOut,
        };
        let mut prices = Vec::new();
        let mut tokens = |model: &str, dollars_per_million: [f64; 6]| {
            let units = [TextIn, TextInCached, TextOut, AudioIn, AudioInCached, AudioOut];
            for (unit, dollars) in units.into_iter().zip(dollars_per_million) {
                prices.push(price(model, unit, dollars, MILLION));
            }
        };
        tokens("gpt-realtime-2", [4.0, 0.40, 24.0, 32.0, 0.40, 64.0]);
        tokens("gpt-realtime-2.1-mini", [0.60, 0.06, 2.40, 10.0, 0.30, 20.0]);
        tokens("gpt-realtime-1.5", [4.0, 0.40, 16.0, 32.0, 0.40, 64.0]);
        prices.extend([
            price("gpt-live-1", SessionMs, 0.05, MINUTE_MS),
            price("gpt-realtime-whisper", RecognisedMs, 0.017, MINUTE_MS),
            price("nova-3", RecognisedMs, 0.0058, MINUTE_MS),
            price("flux-general", RecognisedMs, 0.0078, MINUTE_MS),
        ]);
        Self {
            version: "2026-11-21".to_owned(),
            currency: "USD".to_owned(),
            prices,
        }
    }

    /// What this usage costs.
    #[must_use]
    pub fn cost(&self, usage: &Usage<'_>) -> Cost {
        let mut cost = Cost::default();
        for (unit, quantity) in usage.quantities.iter() {
            match self.price(usage.model, unit) {
                Some(price) => {
                    let micros = u128::from(quantity) * u128::from(price.micros);
                    let micros = micros.div_ceil(u128::from(price.per.max(1)));
                    let micros = Micros(u64::try_from(micros).unwrap_or(u64::MAX));
                    cost.micros = cost.micros.plus(micros);
                }
                None => cost.unpriced.add(unit, quantity),
            }
        }
        cost
    }

    fn price(&self, model: &str, unit: Unit) -> Option<&Price> {
        let fitting = self
            .prices
            .iter()
            .filter(|price| price.unit == unit && model.starts_with(&price.model));
        fitting.max_by_key(|price| price.model.len())
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "list prices are small and have at most six decimals"
)]
fn price(model: &str, unit: Unit, dollars: f64, per: u64) -> Price {
    Price {
        model: model.to_owned(),
        unit,
        micros: (dollars * MILLION as f64).round() as u64,
        per,
    }
}

/// How much a call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// From here on the cheaper model is used, where there is one.
    pub downgrade_at: Option<Micros>,
    /// From here on the call is brought to an end.
    pub end_at: Option<Micros>,
}

/// What a budget says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// Nothing.
    Go,
    /// Continue with the cheaper model. Said once.
    Downgrade,
    /// Say goodbye and hang up. Said once.
    End,
}

/// What one call has cost.
#[derive(Clone, Debug)]
pub struct Meter {
    budget: Budget,
    spent: Micros,
    downgraded: bool,
    ended: bool,
}

impl Meter {
    /// A call that has cost nothing yet.
    #[must_use]
    pub const fn new(budget: Budget) -> Self {
        Self {
            budget,
            spent: Micros(0),
            downgraded: false,
            ended: false,
        }
    }

    /// What it has cost so far.
    #[must_use]
    pub const fn spent(&self) -> Micros {
        self.spent
    }

    /// It costs so much more; `cheaper` says whether there is a cheaper model than the one in use.
    pub fn spend(&mut self, cost: Micros, cheaper: bool) -> Spending {
        self.spent = self.spent.plus(cost);
        let reached = |limit: Option<Micros>| limit.is_some_and(|limit| self.spent >= limit);
        if reached(self.budget.end_at) {
            if std::mem::replace(&mut self.ended, true) {
                return Spending::Go;
            }
            return Spending::End;
        }
        if cheaper && reached(self.budget.downgrade_at) && !self.downgraded {
            self.downgraded = true;
            return Spending::Downgrade;
        }
        Spending::Go
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Provider, models};

    fn usage(model: &str, quantities: Quantities) -> Usage<'_> {
        Usage { model, quantities }
    }

    #[test]
    fn a_minute_of_speech_costs_what_the_price_list_says() {
        let table = PriceTable::list();
        // 600 tokens heard and 1200 spoken: $0.0192 and $0.0768.
        let minute = Quantities::of(Unit::AudioIn, 600).and(Unit::AudioOut, 1_200);
        let cost = table.cost(&usage("gpt-realtime-2.1", minute));
        assert_eq!(
            (cost.micros, cost.unpriced.is_empty()),
            (Micros(19_200 + 76_800), true)
        );
        let mini = table.cost(&usage("gpt-realtime-2.1-mini", minute));
        assert_eq!(
            mini.micros,
            Micros(6_000 + 24_000),
            "the longer name has a price of its own"
        );
        let live = table.cost(&usage("gpt-live-1", Quantities::of(Unit::SessionMs, 90_000)));
        assert_eq!(live.micros, Micros(75_000));
    }

    #[test]
    fn what_has_no_price_is_told_and_not_taken_for_nothing() {
        let spoken = Quantities::of(Unit::SpokenCharacters, 40);
        let cost = PriceTable::list().cost(&usage("aura-2-thalia-en", spoken));
        assert_eq!((cost.micros, cost.unpriced), (Micros(0), spoken));
    }

    #[test]
    fn the_default_speech_models_of_openai_have_prices() {
        let table = PriceTable::list();
        let heard = Quantities::of(Unit::AudioIn, 1)
            .and(Unit::AudioInCached, 1)
            .and(Unit::TextOut, 1);
        for model in [
            models::default_model(Provider::OpenaiRealtime),
            models::cheaper_model(Provider::OpenaiRealtime).unwrap(),
        ] {
            assert!(table.cost(&usage(model, heard)).unpriced.is_empty(), "{model}");
        }
    }

    #[test]
    fn a_budget_first_downgrades_and_then_ends_and_says_each_once() {
        let mut meter = Meter::new(Budget {
            downgrade_at: Some(Micros(100)),
            end_at: Some(Micros(200)),
        });
        let said: Vec<Spending> = (0..8).map(|_| meter.spend(Micros(40), true)).collect();
        use Spending::{Downgrade, End, Go};
        assert_eq!(said, [Go, Go, Downgrade, Go, End, Go, Go, Go]);
        assert_eq!(meter.spent(), Micros(320));
        let mut dear = Meter::new(Budget {
            downgrade_at: Some(Micros(100)),
            end_at: None,
        });
        assert_eq!(dear.spend(Micros(1_000), false), Go, "there is nothing cheaper");
    }

    proptest! {
        #[test]
        fn the_parts_of_a_bill_never_cost_less_than_the_whole(first in 0..1_000_000_u64, second in 0..1_000_000_u64) {
            let table = PriceTable::list();
            let cost = |tokens| {
                table.cost(&usage("gpt-realtime-2.1", Quantities::of(Unit::TextInCached, tokens))).micros
            };
            let (parts, whole) = (cost(first).plus(cost(second)), cost(first + second));
            prop_assert!(parts >= whole && parts.0 <= whole.0 + 1);
        }
    }
}
