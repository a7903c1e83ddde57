//! Rate limits per key.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{net::Ipv4Addr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use voice_resilience::{Quota, RateLimiter, WEBHOOK_PER_ACCOUNT, WEBHOOK_PER_ADDRESS};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_248_000, 0).unwrap()
}

fn ms(count: i64) -> TimeDelta {
    TimeDelta::milliseconds(count)
}

/// Takes until the bucket is empty.
fn drain<K: Clone + Eq + std::hash::Hash>(limiter: &RateLimiter<K>, key: &K, now: DateTime<Utc>) -> u32 {
    let mut taken = 0;
    while limiter.check(key, now).is_ok() {
        taken += 1;
    }
    taken
}

/// WHK-01
#[test]
fn an_account_gets_500_webhooks_at_once_and_50_every_second_after() {
    let limiter = RateLimiter::new(WEBHOOK_PER_ACCOUNT, 100);
    assert_eq!(drain(&limiter, &"acme/telnyx", start()), 500);
    let refused = limiter.check(&"acme/telnyx", start()).unwrap_err();
    assert_eq!(refused.0, Duration::from_millis(20));
    assert_eq!(drain(&limiter, &"acme/telnyx", start() + ms(1_000)), 50);
    assert_eq!(
        drain(&limiter, &"acme/telnyx", start() + ms(3_600_000)),
        500,
        "an hour of rest fills the bucket, no more"
    );
}

/// WHK-01
#[test]
fn one_busy_key_takes_nothing_from_another() {
    let limiter = RateLimiter::new(WEBHOOK_PER_ADDRESS, 100);
    let (busy, quiet) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    assert_eq!(drain(&limiter, &busy, start()), 1_000);
    assert_eq!(drain(&limiter, &quiet, start()), 1_000);
}

#[test]
fn waiting_as_long_as_told_is_enough() {
    let limiter = RateLimiter::new(Quota::per_second(3).with_burst(7), 10);
    drain(&limiter, &1, start());
    let wait = limiter.check(&1, start()).unwrap_err().0;
    let wait = TimeDelta::from_std(wait).unwrap();
    assert!(
        limiter
            .check(&1, start() + wait - TimeDelta::nanoseconds(1))
            .is_err()
    );
    assert!(limiter.check(&1, start() + wait).is_ok());
}

#[test]
fn a_clock_that_runs_backwards_gives_nothing_away() {
    let limiter = RateLimiter::new(Quota::per_second(10), 10);
    assert_eq!(drain(&limiter, &1, start()), 10);
    assert!(limiter.check(&1, start() - ms(60_000)).is_err());
    assert_eq!(drain(&limiter, &2, start() - ms(60_000)), 10);
    assert!(limiter.check(&1, start()).is_err());
}

#[test]
fn keys_whose_bucket_is_full_again_make_room_for_others() {
    let limiter = RateLimiter::new(Quota::per_second(1), 3);
    for key in 0..3 {
        limiter.check(&key, start()).unwrap();
    }
    let later = start() + ms(1_000);
    for key in 3..6 {
        limiter.check(&key, later).unwrap();
        assert!(
            limiter.check(&key, later).is_err(),
            "each has a bucket of its own"
        );
    }
    assert_eq!(limiter.keys(), 3);
}

#[test]
fn a_flood_of_keys_neither_grows_the_memory_nor_frees_a_limited_key() {
    let limiter = RateLimiter::new(Quota::per_second(5), 100);
    assert_eq!(drain(&limiter, &u32::MAX, start()), 5);
    let admitted = (0..50_000)
        .filter(|key| limiter.check(key, start()).is_ok())
        .count();
    assert_eq!(limiter.keys(), 100);
    assert_eq!(
        admitted,
        99 + 5,
        "one each for the keys with a bucket, one bucket for all the others"
    );
    assert!(limiter.check(&u32::MAX, start()).is_err());
}

proptest! {
    /// In no window does a key get more than the burst and what the rate gives.
    #[test]
    fn no_key_ever_gets_more_than_its_burst_and_its_rate(
        rate in 1_u32..100,
        burst in 1_u32..100,
        gaps_ms in prop::collection::vec(0_i64..200, 1..300),
    ) {
        let limiter = RateLimiter::new(Quota::per_second(rate).with_burst(burst), 4);
        let mut now = start();
        let mut admitted: Vec<DateTime<Utc>> = Vec::new();
        for gap in gaps_ms {
            now += ms(gap);
            if limiter.check(&0, now).is_ok() {
                admitted.push(now);
            }
        }
        for (index, from) in admitted.iter().enumerate() {
            for (count, to) in admitted[index..].iter().enumerate() {
                let seconds = (*to - *from).num_milliseconds() as f64 / 1_000.0;
                prop_assert!((count + 1) as f64 <= f64::from(burst) + seconds * f64::from(rate) + 1e-6);
            }
        }
    }
}
