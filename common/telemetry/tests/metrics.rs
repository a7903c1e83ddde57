//! What reaches Prometheus.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use voice_telemetry::{
    BuildInfo, CounterDef, Definition, Emit, GaugeDef, HistogramDef, Metrics, assert_documented,
    assert_emits, buckets, labels,
};

labels! {
    /// A carrier.
    enum Carrier: "carrier" { Telnyx = "telnyx", Twilio = "twilio" }
}
labels! {
    /// How a request to a carrier ended.
    enum Outcome: "outcome" { Taken = "taken", Unknown = "unknown" }
}

const DIALS: CounterDef<(Carrier, Outcome)> = CounterDef::new("dials_total", "Requests to dial.");
const LINES: GaugeDef<Carrier> = GaugeDef::new("lines_in_use", "Lines in use.");
const TICK: HistogramDef = HistogramDef::new("tick_seconds", "Time of a tick.", buckets::LATENCY_SECONDS);
const CATALOGUE: &[&dyn Definition] = &[&DIALS, &LINES, &TICK];

struct Ticked;

impl Emit for Ticked {
    fn emit(&self, metrics: &Metrics) {
        metrics.counter(&DIALS).add((Carrier::Telnyx, Outcome::Taken), 2);
        metrics.gauge(&LINES).set(Carrier::Twilio, 7.0);
        metrics.histogram(&TICK).observe((), 0.004);
    }
}

/// OBS-02
#[test]
fn an_event_appears_under_its_documented_names_and_labels() {
    let metrics = Metrics::empty();
    Ticked.emit(&metrics);
    Ticked.emit(&metrics);
    let text = metrics.render();
    for line in [
        "# HELP dials_total Requests to dial.",
        r#"dials_total{carrier="telnyx",outcome="taken"} 4"#,
        r#"lines_in_use{carrier="twilio"} 7"#,
        r#"tick_seconds_bucket{le="0.005"} 2"#,
        r#"tick_seconds_bucket{le="0.0025"} 0"#,
        "tick_seconds_count 2",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "`{line}` is missing in\n{text}"
        );
    }
    assert_eq!(metrics.counter(&DIALS).get((Carrier::Telnyx, Outcome::Taken)), 4);
    assert_eq!(
        metrics.counter(&DIALS).get((Carrier::Twilio, Outcome::Unknown)),
        0
    );
}

#[test]
fn the_catalogue_of_a_crate_is_what_its_events_emit() {
    assert_documented(CATALOGUE);
    assert_emits(CATALOGUE, |metrics| Ticked.emit(metrics));
}

#[test]
#[should_panic(expected = "left: what the events emit")]
fn a_documented_metric_that_nothing_emits_is_noticed() {
    const GHOST: CounterDef = CounterDef::new("ghosts_total", "Ghosts.");
    assert_emits(&[&DIALS, &LINES, &TICK, &GHOST], |metrics| Ticked.emit(metrics));
}

#[test]
#[should_panic(expected = "counters end in `_total`")]
fn a_counter_without_its_suffix_is_noticed() {
    const NAMELESS: CounterDef = CounterDef::new("dials", "Requests to dial.");
    assert_documented(&[&NAMELESS]);
}

#[test]
#[should_panic(expected = "two definitions of the metric dials_total")]
fn two_definitions_of_one_name_are_noticed() {
    const OTHER: CounterDef<Carrier> = CounterDef::new("dials_total", "Something else.");
    let metrics = Metrics::empty();
    metrics.counter(&DIALS).inc((Carrier::Telnyx, Outcome::Taken));
    metrics.counter(&OTHER).inc(Carrier::Telnyx);
}

#[test]
fn build_info_says_what_is_running() {
    let metrics = Metrics::new(&BuildInfo {
        role: "ingest",
        version: "0.1.0",
        commit: "abc123",
    });
    let text = metrics.render();
    assert!(
        text.contains(r#"build_info{commit="abc123",role="ingest",version="0.1.0"} 1"#),
        "{text}"
    );
}

#[test]
fn two_registries_do_not_see_each_other() {
    let (one, other) = (Metrics::empty(), Metrics::empty());
    Ticked.emit(&one);
    assert_eq!(one.names(), ["dials_total", "lines_in_use", "tick_seconds"]);
    assert_eq!(other.names(), [] as [&str; 0]);
}

#[test]
fn a_closed_label_lists_all_its_values() {
    assert_eq!(
        Carrier::ALL
            .iter()
            .map(|carrier| carrier.as_str())
            .collect::<Vec<_>>(),
        ["telnyx", "twilio"]
    );
    assert_eq!(Outcome::ALL.len(), 2);
}
