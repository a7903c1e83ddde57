//! What a call costs: every piece of usage is priced once, told with the turn it belongs to, and held against the
//! budget.

use std::sync::Arc;

use voice_providers::{
    Quantities, Unit, Usage,
    price::{Meter, Micros, PriceTable, Spending},
};
use voice_schemas::events::media;

use crate::plan::Money;

/// What one model used and nobody was told of yet.
#[derive(Debug)]
struct Line {
    model: String,
    quantities: Quantities,
    micros: Micros,
    unpriced: bool,
}

/// The account of one call.
#[derive(Debug)]
pub(super) struct Till {
    prices: Arc<PriceTable>,
    meter: Meter,
    lines: Vec<Line>,
    all: Quantities,
    number: u32,
}

impl Till {
    pub(super) fn new(money: &Money) -> Self {
        Self {
            prices: Arc::clone(&money.prices),
            meter: Meter::new(money.budget),
            lines: Vec::new(),
            all: Quantities::default(),
            number: 0,
        }
    }

    /// A model used something; what follows for the call. `cheaper`: there is a cheaper model.
    pub(super) fn used(&mut self, usage: &Usage<'_>, cheaper: bool) -> Spending {
        self.all.add_all(&usage.quantities);
        let cost = self.prices.cost(usage);
        let index = self.lines.iter().position(|line| line.model == usage.model);
        let index = index.unwrap_or_else(|| {
            self.lines.push(Line {
                model: usage.model.to_owned(),
                quantities: Quantities::default(),
                micros: Micros(0),
                unpriced: false,
            });
            self.lines.len() - 1
        });
        let line = &mut self.lines[index];
        line.quantities.add_all(&usage.quantities);
        line.micros = line.micros.plus(cost.micros);
        line.unpriced |= !cost.unpriced.is_empty();
        self.meter.spend(cost.micros, cheaper)
    }

    /// What was used since the last time this was asked, one piece for each model.
    pub(super) fn settle(&mut self) -> Vec<media::Usage> {
        let lines = std::mem::take(&mut self.lines);
        lines
            .into_iter()
            .map(|line| {
                self.number += 1;
                media::Usage {
                    number: self.number,
                    model: line.model,
                    quantities: quantities(&line.quantities),
                    price_table: self.prices.version.clone(),
                    currency: self.prices.currency.clone(),
                    micros: line.micros.0,
                    unpriced: line.unpriced,
                }
            })
            .collect()
    }

    /// Everything that was used.
    pub(super) const fn all(&self) -> Quantities {
        self.all
    }

    /// What all of it costs.
    pub(super) const fn micros(&self) -> u64 {
        self.meter.spent().0
    }

    pub(super) fn currency(&self) -> String {
        self.prices.currency.clone()
    }
}

fn quantities(used: &Quantities) -> media::Quantities {
    media::Quantities {
        text_in: used.get(Unit::TextIn),
        text_in_cached: used.get(Unit::TextInCached),
        text_out: used.get(Unit::TextOut),
        audio_in: used.get(Unit::AudioIn),
        audio_in_cached: used.get(Unit::AudioInCached),
        audio_out: used.get(Unit::AudioOut),
        session_ms: used.get(Unit::SessionMs),
        recognised_ms: used.get(Unit::RecognisedMs),
        spoken_characters: used.get(Unit::SpokenCharacters),
    }
}

#[cfg(test)]
mod tests {
    use voice_providers::price::Budget;

    use super::*;

    #[test]
    fn what_is_told_piece_by_piece_adds_up_to_what_the_call_cost() {
        let mut till = Till::new(&Money {
            budget: Budget {
                downgrade_at: Some(Micros(30_000)),
                end_at: Some(Micros(1_000_000)),
            },
            prices: Arc::new(PriceTable::list()),
            farewell: String::new(),
        });
        let spoken = |model, tokens| Usage {
            model,
            quantities: Quantities::of(Unit::AudioOut, tokens),
        };
        assert_eq!(till.used(&spoken("gpt-realtime-2.1", 400), true), Spending::Go);
        let first = till.settle();
        assert_eq!(
            till.used(&spoken("gpt-realtime-2.1", 400), true),
            Spending::Downgrade
        );
        till.used(&spoken("an-unknown-model", 10), true);
        let second = till.settle();
        assert_eq!((first.len(), second.len(), till.settle().len()), (1, 2, 0));
        let told: u64 = first.iter().chain(&second).map(|usage| usage.micros).sum();
        assert_eq!((told, till.micros()), (51_200, 51_200));
        assert!(second[1].unpriced && !second[0].unpriced);
        let numbers: Vec<u32> = first.iter().chain(&second).map(|usage| usage.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(till.all().get(Unit::AudioOut), 810);
    }
}
