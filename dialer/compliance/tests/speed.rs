//! What a judgement costs: nothing on the heap when it allows, and how long it takes.

// The counting allocator implements an unsafe trait; there is no other way to see allocations.
#![allow(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    time::Instant,
};

use common::*;
use voice_compliance::{AttemptEnd, Facts, Place};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Somebody who was called before, and agreed.
fn known(now: &str) -> Facts {
    let mut facts = facts();
    facts.attempts = [20, 50, 300, 900, 1_300]
        .map(|back| attempt(at(now) - hours(back), AttemptEnd::NotReached))
        .into();
    facts
}

fn cases() -> Vec<(&'static str, Place, &'static str)> {
    let unknown = place_with_address(NOWHERE, "FR", None, Some("75001"));
    vec![
        ("Czech Republic", place(PRAGUE), "2026-11-23T14:30:00Z"),
        ("Florida, two zones", place(FLORIDA), "2026-11-23T15:30:00Z"),
        ("France, holidays", place(PARIS), "2026-11-23T14:30:00Z"),
        ("nobody knows: every pack", unknown, "2026-11-23T15:30:00Z"),
    ]
}

#[test]
fn a_dial_that_is_allowed_allocates_nothing() {
    for (name, place, now) in cases() {
        let (request, facts, now) = (request(&place), known(now), at(now));
        assert!(rules().judge(&request, &facts, now).is_allowed(), "{name}");
        let before = ALLOCATIONS.get();
        let verdict = black_box(rules().judge(&request, &facts, now));
        assert_eq!(ALLOCATIONS.get(), before, "{name}");
        drop(verdict);
    }
}

/// `cargo test --release -p voice-compliance --test speed -- --ignored --nocapture`
#[test]
#[ignore = "measures; needs a quiet machine and a release build"]
fn how_long_a_judgement_takes() {
    let time = |name: &str, rounds: u32, judged: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..rounds {
            judged();
        }
        println!(
            "{name:50} {:8.2} µs",
            start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
        );
    };
    for (name, place, now) in cases() {
        let (request, facts, now) = (request(&place), known(now), at(now));
        time(&format!("allowed: {name}"), 200_000, &mut || {
            drop(black_box(rules().judge(black_box(&request), &facts, now)));
        });
        let night = at("2026-11-22T01:30:00Z");
        time(&format!("refused at night: {name}"), 2_000, &mut || {
            drop(black_box(rules().judge(black_box(&request), &facts, night)));
        });
    }
    let never = place("+18005550123");
    let (request, facts) = (request(&never), facts());
    time(
        "refused for ever: hours of a continent never meet",
        20,
        &mut || {
            drop(black_box(rules().judge(
                black_box(&request),
                &facts,
                at("2026-11-23T15:30:00Z"),
            )));
        },
    );
    time("a place from a number", 200_000, &mut || {
        black_box(place(black_box(FLORIDA)));
    });
}
