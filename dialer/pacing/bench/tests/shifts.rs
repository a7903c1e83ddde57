//! Short virtual shifts, played through the real pacer.
#![allow(clippy::unwrap_used)] // A broken set-up ends a test here.

use voice_pacing_bench::{
    dialers::{Dialer, Ours, Ratio},
    findings::config,
    scenario::{self, Scenario},
    shift::{Outcome, play},
};

fn scenario(id: &str, hours: f64) -> Scenario {
    let all = scenario::all().unwrap();
    let mut found = all.into_iter().find(|scenario| scenario.id == id).unwrap();
    found.hours = hours;
    found
}

fn ours(scenario: &Scenario, agents: usize, seed: u64) -> Outcome {
    let mut team: Vec<Box<dyn Dialer>> = Vec::new();
    for _ in &scenario.answer {
        team.push(Box::new(Ours::new(config(scenario)).unwrap()));
    }
    play(scenario, agents, seed, &mut team)
}

#[test]
fn every_scenario_of_the_file_is_read_and_its_pacer_can_be_set() {
    let all = scenario::all().unwrap();
    assert_eq!(all.len(), 21);
    for scenario in &all {
        config(scenario).check().unwrap();
    }
}

#[test]
fn the_same_seed_plays_the_same_shift() {
    let scenario = scenario("R1", 1.0);
    let (one, other) = (ours(&scenario, 5, 7), ours(&scenario, 5, 7));
    assert_eq!(one.answers, other.answers);
    assert_ne!(one.answers, ours(&scenario, 5, 8).answers);
}

#[test]
fn a_shift_keeps_people_busier_than_one_dial_each_and_stays_below_the_limit() {
    let scenario = scenario("R1", 4.0);
    let paced = ours(&scenario, 10, 3);
    let single = play(&scenario, 10, 3, &mut [Box::new(Ratio(1.0)) as Box<dyn Dialer>]);
    assert!(paced.utilisation() > single.utilisation() + 0.1);
    assert!(paced.abandonment() <= 0.03, "{}", paced.abandonment());
    assert_eq!(single.abandoned(), 0);
}

#[test]
fn lost_and_doubled_news_neither_loses_nor_doubles_an_answer() {
    let mut scenario = scenario("R10", 1.0);
    scenario.webhooks.lost = 0.05;
    scenario.webhooks.duplicates = 0.2;
    let outcome = ours(&scenario, 10, 5);
    let talked = outcome.answered() - outcome.abandoned();
    // Everybody present for an hour at about 120 s a contact.
    assert!((100..320).contains(&talked), "{talked}");
    assert!(outcome.abandoned() > 0);
}

#[test]
fn with_ai_behind_them_nobody_is_abandoned() {
    let scenario = scenario("R13", 2.0);
    let outcome = ours(&scenario, 10, 3);
    assert!(outcome.ai_taken > 0);
    // Some hang up within the second before AI takes over; nobody hears the message.
    assert_eq!(outcome.abandoned(), outcome.hung_up);
}
