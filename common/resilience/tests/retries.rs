//! Retries, in paused time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{cell::Cell, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;
use voice_resilience::{
    BACKGROUND, IN_CALL, IN_CALL_FAILOVER, Jitter, RetryPolicy, Verdict, retry, retry_until,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq)]
struct Failed(u32);

fn transient(_: &Failed) -> Verdict {
    Verdict::Transient
}

/// Fails with its number until attempt `works_at`.
fn attempts(count: &Cell<u32>, works_at: u32) -> impl FnMut() -> std::future::Ready<Result<u32, Failed>> {
    move || {
        count.set(count.get() + 1);
        std::future::ready(if count.get() == works_at {
            Ok(works_at)
        } else {
            Err(Failed(count.get()))
        })
    }
}

/// RES-02
#[tokio::test(start_paused = true)]
async fn background_links_are_tried_five_times_more_over_31_seconds_and_a_little() {
    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry(BACKGROUND, transient, attempts(&count, u32::MAX)).await;
    assert_eq!(
        result,
        Err(Failed(6)),
        "the last error, after one attempt and five retries"
    );
    let took = start.elapsed().as_secs_f64();
    assert!((31.0..34.2).contains(&took), "{took} s");
}

/// RES-02
#[test]
fn background_waits_double_from_1_to_16_seconds_with_at_most_a_tenth_on_top() {
    for seed in 0..100 {
        let waits: Vec<f64> = BACKGROUND.backoff(seed).map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), 5);
        for (wait, promised) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]) {
            assert!(
                (promised..=promised * 1.1 + 1e-6).contains(wait),
                "{wait} instead of {promised}"
            );
        }
    }
}

/// RES-02
#[tokio::test(start_paused = true)]
async fn inside_a_call_the_first_retry_comes_at_200_ms_and_the_last_before_the_failover() {
    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry_until(IN_CALL, start + IN_CALL_FAILOVER, transient, attempts(&count, 2)).await;
    assert_eq!(result, Ok(2));
    assert!(
        (200..=221).contains(&start.elapsed().as_millis()),
        "{:?}",
        start.elapsed()
    );

    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry_until(
        IN_CALL,
        start + IN_CALL_FAILOVER,
        transient,
        attempts(&count, u32::MAX),
    )
    .await;
    assert_eq!(result, Err(Failed(4)));
    assert!(start.elapsed() < IN_CALL_FAILOVER, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_tried_again() {
    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry(BACKGROUND, |_| Verdict::Permanent, attempts(&count, u32::MAX)).await;
    assert_eq!(
        (result, count.get(), start.elapsed()),
        (Err(Failed(1)), 1, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn the_other_sides_retry_after_is_respected() {
    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry(BACKGROUND, |_| Verdict::After(SECOND * 7), attempts(&count, 2)).await;
    assert_eq!((result, start.elapsed().as_secs()), (Ok(2), 7));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_retry_that_would_come_after_the_deadline() {
    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry_until(
        BACKGROUND,
        start + SECOND * 5,
        transient,
        attempts(&count, u32::MAX),
    )
    .await;
    assert_eq!(
        result,
        Err(Failed(3)),
        "waits of 1 and 2 s fit, the next one of 4 s does not"
    );
    assert!(
        start.elapsed() < SECOND * 4,
        "and it is not waited for: {:?}",
        start.elapsed()
    );

    let (count, start) = (Cell::new(0), Instant::now());
    let result = retry_until(
        BACKGROUND,
        start + SECOND * 5,
        |_| Verdict::After(SECOND * 60),
        attempts(&count, 9),
    )
    .await;
    assert_eq!((result, start.elapsed()), (Err(Failed(1)), Duration::ZERO));
}

proptest! {
    #[test]
    fn waits_stay_within_their_bounds_and_equal_seeds_give_equal_waits(
        first_ms in 1_u64..5_000,
        longest_ms in 1_u64..60_000,
        retries in 0_u32..80,
        seed in any::<u64>(),
    ) {
        let (first, longest) = (Duration::from_millis(first_ms), Duration::from_millis(longest_ms));
        let policy = RetryPolicy::full_jitter(first, longest, retries);
        let waits: Vec<Duration> = policy.backoff(seed).collect();
        prop_assert_eq!(waits.len(), retries as usize);
        prop_assert_eq!(&waits, &policy.backoff(seed).collect::<Vec<_>>());
        let ceilings = RetryPolicy { jitter: Jitter::None, ..policy }.backoff(0);
        for (wait, ceiling) in waits.iter().zip(ceilings) {
            prop_assert!(*wait <= ceiling && ceiling <= longest);
        }
    }
}

#[test]
fn full_jitter_spreads_clients_over_the_whole_wait() {
    let policy = RetryPolicy::full_jitter(SECOND, SECOND, 1);
    let mut quarters = [0_u32; 4];
    for seed in 0..4_000 {
        let wait = policy.backoff(seed).next().unwrap().as_secs_f64();
        quarters[((wait * 4.0) as usize).min(3)] += 1;
    }
    assert!(
        quarters.iter().all(|count| (850..1_150).contains(count)),
        "{quarters:?}"
    );
}
