//! The search for the best table: relative value iteration within a bisection of the price.

use super::chain::{Chain, Rates, Table};

/// Relative to the reward of one answer; the tables no longer change below this.
const PRECISION: f64 = 1e-8;
const BISECTIONS: usize = 24;

/// The best mixture of two tables.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// What the mixture earns.
    pub rates: Rates,
    /// The table that abandons more than the limit; both tables are the same where the limit does not bind.
    pub bold: Table,
    /// The table that abandons at most the limit.
    pub timid: Table,
    /// The share of time the bold table is played.
    pub boldness: f64,
    /// What one abandoned answer costs, in served answers.
    pub price: f64,
}

/// The most that can be served with at most a share `limit` of the answers abandoned.
pub fn solve(chain: &Chain, limit: f64) -> Optimum {
    let mut values = vec![0.0; chain.states()];
    let mut play = |price: f64| {
        let table = best(chain, limit, price, &mut values);
        let rates = chain.evaluate(&table);
        (table, rates)
    };
    let (mut low, mut high) = (0.0, 8.0);
    let (mut bold, mut bold_rates) = play(low);
    let (mut timid, mut timid_rates) = play(high);
    while timid_rates.abandonment() > limit {
        high *= 2.0;
        (timid, timid_rates) = play(high);
    }
    for _ in 0..BISECTIONS {
        if bold_rates.abandonment() <= limit || bold == timid {
            break;
        }
        let middle = f64::midpoint(low, high);
        let (table, rates) = play(middle);
        if rates.abandonment() > limit {
            (low, bold, bold_rates) = (middle, table, rates);
        } else {
            (high, timid, timid_rates) = (middle, table, rates);
        }
    }
    let excess = |rates: &Rates| rates.abandoned - limit * (rates.served + rates.abandoned);
    let (over, under) = (excess(&bold_rates), excess(&timid_rates));
    let boldness = if over > 0.0 && over > under {
        -under / (over - under)
    } else {
        0.0
    };
    let mix = |bold: f64, timid: f64| boldness * bold + (1.0 - boldness) * timid;
    Optimum {
        rates: Rates {
            served: mix(bold_rates.served, timid_rates.served),
            abandoned: mix(bold_rates.abandoned, timid_rates.abandoned),
        },
        bold,
        timid,
        boldness,
        price: high,
    }
}

/// The best table at a price, by relative value iteration from the values of a price nearby.
fn best(chain: &Chain, limit: f64, price: f64, values: &mut [f64]) -> Table {
    let (width, rate, agents) = (chain.width(), chain.rate(), chain.agents);
    let (served, abandoned) = (1.0 + price * limit, -price * (1.0 - limit));
    let mut best_from = values.to_owned();
    let mut next = values.to_owned();
    loop {
        raise(values, &mut best_from, width);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for busy in 0..=agents {
            let frees = busy as f64 / chain.service / rate;
            let freed = busy.saturating_sub(1) * width;
            let after = (busy + 1).min(agents) * width;
            let earns = if busy < agents { served } else { abandoned };
            for ringing in 0..width {
                let state = busy * width + ringing;
                let ends = ringing as f64 / chain.ring / rate;
                let fewer = ringing.saturating_sub(1);
                let value = ends * chain.answer * (earns + best_from[after + fewer])
                    + ends * (1.0 - chain.answer) * best_from[busy * width + fewer]
                    + frees * best_from[freed + ringing]
                    + (1.0 - ends - frees) * best_from[state];
                let gain = value - values[state];
                least = least.min(gain);
                most = most.max(gain);
                next[state] = value;
            }
        }
        let base = next[0];
        for (value, next) in values.iter_mut().zip(&next) {
            *value = next - base;
        }
        if most - least < PRECISION / rate {
            break;
        }
    }
    Table::new(chain, |busy, ringing| {
        let row = &values[busy * width..(busy + 1) * width];
        (ringing..width).fold(
            ringing,
            |best, at| if row[at] > row[best] + 1e-12 { at } else { best },
        )
    })
}

/// The value of the best number of ringing calls that can be reached by adding some.
fn raise(values: &[f64], best_from: &mut [f64], width: usize) {
    for (row, best) in values.chunks(width).zip(best_from.chunks_mut(width)) {
        let mut most = f64::NEG_INFINITY;
        for (value, best) in row.iter().zip(best).rev() {
            most = most.max(*value);
            *best = most;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(agents: usize, answer: f64, ring: f64) -> Chain {
        Chain {
            agents,
            answer,
            ring,
            service: 120.0,
        }
    }

    fn utilisation(agents: usize, answer: f64, ring: f64) -> f64 {
        let chain = chain(agents, answer, ring);
        solve(&chain, 0.03).rates.utilisation(&chain)
    }

    #[test]
    fn the_optimum_is_the_published_one() {
        // Upper bounds published for this model, to three digits.
        for (agents, answer, ring, published) in [
            (2, 0.25, 17.2, 0.688),
            (3, 0.25, 17.2, 0.712),
            (5, 0.25, 17.2, 0.749),
            (10, 0.25, 17.2, 0.812),
            (3, 0.25, 12.0, 0.769),
            (5, 0.25, 12.0, 0.795),
            (3, 0.08, 18.6, 0.599),
            (5, 0.08, 18.6, 0.686),
        ] {
            let found = utilisation(agents, answer, ring);
            assert!(
                (found - published).abs() < 0.0011,
                "{agents} {answer} {ring}: {found} {published}"
            );
        }
    }

    #[test]
    fn one_dial_per_idle_agent_earns_its_closed_form() {
        let chain = chain(5, 0.25, 12.0);
        let table = Table::new(&chain, |busy, ringing| ringing.max(5 - busy));
        let rates = chain.evaluate(&table);
        assert!((chain.progressive() - 0.714_285).abs() < 1e-5);
        assert!((rates.utilisation(&chain) - chain.progressive()).abs() < 1e-4);
        assert!(rates.abandonment() < 1e-9);
    }

    #[test]
    fn the_best_for_one_agent_is_one_dial_at_a_time() {
        let chain = chain(1, 0.25, 17.2);
        let best = solve(&chain, 0.0);
        assert!((best.rates.utilisation(&chain) - chain.progressive()).abs() < 1e-3);
    }
}
