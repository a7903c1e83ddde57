//! Which of a campaign's numbers to show: Thompson sampling over what is known of their answer rates.
//!
//! Only numbers that are ours, proven, below their daily cap and free of labels are offered here. A labelled number rests
//! until a person has looked at it; no other is taken to get round the label, and no number is ever retired by
//! this choice: a poor one is only shown less often.

use rand::{Rng, RngExt as _};
use voice_schemas::ProviderAccountId;

use crate::campaigns::CallerNumber;

/// The number to show to somebody in `region`, among those whose account `open` says can dial now.
pub fn choose(
    numbers: &[CallerNumber],
    region: Option<&str>,
    open: impl Fn(ProviderAccountId) -> bool,
    rng: &mut impl Rng,
) -> Option<usize> {
    let usable = |number: &CallerNumber| number.left_today > 0 && open(number.account);
    let at_home = |number: &CallerNumber| region == Some(number.country.as_str());
    // A number of the person's own country, where we have one.
    let local = numbers.iter().any(|number| usable(number) && at_home(number));
    let chosen = numbers
        .iter()
        .enumerate()
        .filter(|(_, number)| usable(number) && (!local || at_home(number)))
        .map(|(position, number)| {
            let answers = f64::from(number.answers.min(number.dials));
            let misses = f64::from(number.dials) - answers;
            // One answer in five is what is believed of a number nobody has tried.
            (position, beta(1.0 + answers, 4.0 + misses, rng))
        })
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(chosen.0)
}

/// A draw from the Beta distribution, as the ratio of two Gamma draws.
fn beta(alpha: f64, beta: f64, rng: &mut impl Rng) -> f64 {
    let (x, y) = (gamma(alpha, rng), gamma(beta, rng));
    x / (x + y)
}

/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); shapes of 1 and above.
fn gamma(shape: f64, rng: &mut impl Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v <= 0.0 {
            continue;
        }
        let u: f64 = rng.random();
        if u.max(f64::MIN_POSITIVE).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * u.max(f64::MIN_POSITIVE).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use uuid::Uuid;
    use voice_telephony::PhoneNumber;

    use super::*;

    fn number(id: u128, country: &str, dials: u32, answers: u32, left_today: u32) -> CallerNumber {
        CallerNumber {
            id: Uuid::from_u128(id),
            account: ProviderAccountId(Uuid::from_u128(id % 2)),
            number: PhoneNumber::parse("+420601000000").unwrap(),
            country: country.to_owned(),
            presence: true,
            left_today,
            dials,
            answers,
        }
    }

    #[test]
    fn the_number_that_is_answered_more_often_is_shown_more_often_and_the_other_is_not_forgotten() {
        let mut rng = StdRng::seed_from_u64(7);
        let numbers = vec![number(1, "CZ", 200, 60, 2_000), number(2, "CZ", 20, 4, 2_000)];
        let mut shown = [0; 2];
        for _ in 0..1_000 {
            shown[choose(&numbers, Some("CZ"), |_| true, &mut rng).unwrap()] += 1;
        }
        assert!(shown[0] > 600, "{shown:?}");
        assert!(shown[1] > 20, "{shown:?}");
    }

    #[test]
    fn a_number_is_not_shown_beyond_its_daily_cap_nor_through_an_account_that_cannot_dial() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut numbers = vec![
            number(1, "CZ", 0, 0, 2),
            number(3, "CZ", 0, 0, 0),
            number(2, "CZ", 0, 0, 5),
        ];
        let open = |account: ProviderAccountId| account.0 == Uuid::from_u128(1);
        assert_eq!(choose(&numbers, None, open, &mut rng), Some(0));
        numbers[0].left_today = 0;
        assert_eq!(choose(&numbers, None, open, &mut rng), None);
    }

    #[test]
    fn a_number_of_the_persons_own_country_is_preferred() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut numbers = vec![number(1, "DE", 100, 90, 9), number(2, "CZ", 100, 1, 1)];
        assert_eq!(choose(&numbers, Some("CZ"), |_| true, &mut rng), Some(1));
        numbers[1].left_today = 0;
        assert_eq!(choose(&numbers, Some("CZ"), |_| true, &mut rng), Some(0));
    }

    #[test]
    fn draws_have_the_mean_of_their_distribution() {
        let mut rng = StdRng::seed_from_u64(7);
        for (a, b) in [(1.0, 4.0), (30.0, 70.0), (2.0, 2.0)] {
            let mean = (0..20_000).map(|_| beta(a, b, &mut rng)).sum::<f64>() / 20_000.0;
            assert!((mean - a / (a + b)).abs() < 0.01, "{a} {b}: {mean}");
        }
    }
}
