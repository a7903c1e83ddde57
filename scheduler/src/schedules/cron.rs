//! When a schedule runs next: five cron fields on the wall clock of a zone.
//!
//! The fields are evaluated on local times, then each local time is placed on the time line: one that the
//! clock skips runs at the next minute that exists, one that it repeats runs at the first of the two. So
//! every matching local time runs exactly once a day it occurs on, and two that fall together (both
//! skipped) run once.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// No zone has ever skipped more than a day at once (Samoa in 2011, Kiritimati in 1994).
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cron expression of five fields (minute hour day month weekday)")]
pub struct BadCron(pub String);

/// A parsed cron expression of five fields.
#[derive(Clone, Debug)]
pub struct CronSpec {
    cron: Cron,
}

impl FromStr for CronSpec {
    type Err = BadCron;

    fn from_str(text: &str) -> Result<Self, BadCron> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        match parser.parse(text) {
            Ok(cron) if text.split_whitespace().count() == 5 => Ok(Self { cron }),
            _ => Err(BadCron(text.chars().take(80).collect())),
        }
    }
}

impl CronSpec {
    /// The first run strictly after `after`; none when there is no further one (30 February).
    #[must_use]
    pub fn next_run(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut local = after.with_timezone(&zone).naive_local();
        loop {
            // The library sees the wall clock as if it were UTC, so its own rules for clock changes rest.
            local = self
                .cron
                .find_next_occurrence(&local.and_utc(), false)
                .ok()?
                .naive_utc();
            let run = place(zone, local)?;
            // Not later: the second pass of a repeated hour, whose times have run in the first.
            if run > after {
                return Some(run);
            }
        }
    }
}

/// The instant of a local time: the earlier one where there are two, the next minute that exists where
/// there is none.
fn place(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    (0..=LONGEST_GAP_MINUTES)
        .filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)))
        .find_map(|candidate| zone.from_local_datetime(&candidate).earliest())
        .map(|instant| instant.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America, Asia, Europe, Pacific};
    use proptest::prelude::*;

    use super::*;

    fn runs(cron: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
        let spec: CronSpec = cron.parse().unwrap();
        let first: DateTime<Utc> = after.parse().unwrap();
        std::iter::successors(spec.next_run(zone, first), |run| spec.next_run(zone, *run))
            .take(count)
            .map(|run| run.with_timezone(&zone).format("%m-%d %H:%M %Z").to_string())
            .collect()
    }

    /// T5: wall-clock times stay put through both changes of the clock.
    #[test]
    fn six_in_the_morning_is_six_in_the_morning_all_year() {
        for (zone, after, expected) in [
            (
                Europe::Prague,
                "2026-03-28T00:00:00Z",
                ["03-28 06:00 CET", "03-29 06:00 CEST", "03-30 06:00 CEST"],
            ),
            (
                Europe::Madrid,
                "2026-10-24T00:00:00Z",
                ["10-24 06:00 CEST", "10-25 06:00 CET", "10-26 06:00 CET"],
            ),
            (
                America::New_York,
                "2026-10-31T12:00:00Z",
                ["11-01 06:00 EST", "11-02 06:00 EST", "11-03 06:00 EST"],
            ),
        ] {
            assert_eq!(runs("0 6 * * *", zone, after, 3), expected);
        }
        let kathmandu = runs("0 6 * * *", Asia::Kathmandu, "2026-11-20T00:14:00Z", 1);
        assert_eq!(kathmandu, ["11-20 06:00 +0545"]);
        let spec: CronSpec = "0 6 * * *".parse().unwrap();
        let run = spec
            .next_run(Asia::Kathmandu, "2026-11-20T00:14:00Z".parse().unwrap())
            .unwrap();
        assert_eq!(run.to_rfc3339(), "2026-11-20T00:15:00+00:00");
    }

    /// T5
    #[test]
    fn a_time_the_clock_skips_runs_at_the_next_minute_that_exists() {
        // Prague goes from 02:00 to 03:00 on 29 March 2026, New York on 8 March.
        assert_eq!(
            runs("30 2 * * *", Europe::Prague, "2026-03-28T00:00:00Z", 3),
            ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
        );
        assert_eq!(
            runs("30 2 * * *", America::New_York, "2026-03-08T00:00:00Z", 2),
            ["03-08 03:00 EDT", "03-09 02:30 EDT"]
        );
        // Apia slept through the whole of 30 December 2011.
        assert_eq!(
            runs("0 6 30 12 *", Pacific::Apia, "2011-12-01T00:00:00Z", 2),
            ["12-31 00:00 +14", "12-30 06:00 +14"]
        );
    }

    /// T5
    #[test]
    fn times_that_are_skipped_together_run_once() {
        assert_eq!(
            runs("*/15 2,3 * * *", Europe::Madrid, "2026-03-29T00:00:00Z", 5),
            [
                "03-29 03:00 CEST",
                "03-29 03:15 CEST",
                "03-29 03:30 CEST",
                "03-29 03:45 CEST",
                "03-30 02:00 CEST"
            ]
        );
    }

    /// T5
    #[test]
    fn a_time_the_clock_repeats_runs_once_at_the_first_of_the_two() {
        assert_eq!(
            runs("30 2 * * *", Europe::Prague, "2026-10-24T12:00:00Z", 2),
            ["10-25 02:30 CEST", "10-26 02:30 CET"]
        );
        assert_eq!(
            runs("30 1 * * *", America::New_York, "2026-10-31T12:00:00Z", 2),
            ["11-01 01:30 EDT", "11-02 01:30 EST"]
        );
        // Asked in the middle of the second pass, it does not run again.
        assert_eq!(
            runs("45 2 * * *", Europe::Madrid, "2026-10-25T01:30:00Z", 1),
            ["10-26 02:45 CET"]
        );
    }

    #[test]
    fn lists_steps_names_and_the_last_day_are_understood() {
        let monday = runs("15 7 * * MON-FRI", Europe::Madrid, "2026-11-20T12:00:00Z", 2);
        assert_eq!(monday, ["11-23 07:15 CET", "11-24 07:15 CET"]);
        let last = runs("0 0 L * *", Europe::Madrid, "2026-02-01T00:00:00Z", 2);
        assert_eq!(last, ["02-28 00:00 CET", "03-31 00:00 CEST"]);
    }

    #[test]
    fn what_is_not_five_fields_is_refused_and_what_never_comes_has_no_next() {
        for bad in [
            "",
            "* * * *",
            "0 0 6 * * *",
            "61 * * * *",
            "0 25 * * *",
            "often",
            "@daily",
            "0 6 * * * 2026",
        ] {
            assert_eq!(bad.parse::<CronSpec>().unwrap_err(), BadCron(bad.to_owned()));
        }
        let never: CronSpec = "0 0 30 2 *".parse().unwrap();
        assert_eq!(
            never.next_run(Europe::Prague, "2026-01-01T00:00:00Z".parse().unwrap()),
            None
        );
    }

    proptest! {
        #[test]
        fn the_next_run_is_later_matches_the_wall_clock_and_has_nothing_before_it(
            seconds in 1_700_000_000_i64..1_900_000_000,
            minute in 0_u32..60,
            hour in 0_u32..24,
            zone in prop::sample::select(vec![
                Europe::Prague, Europe::Madrid, America::New_York, Asia::Kathmandu, Pacific::Apia,
            ]),
        ) {
            let after = DateTime::from_timestamp(seconds, 0).unwrap();
            let spec: CronSpec = format!("{minute} {hour} * * *").parse().unwrap();
            let run = spec.next_run(zone, after).unwrap();
            prop_assert!(run > after);
            // A daily run is at most a day and the longest change of the clock away.
            prop_assert!(run - after <= TimeDelta::hours(25));
            // Asking again just before it finds it, asking at it finds another one.
            prop_assert_eq!(spec.next_run(zone, run - TimeDelta::seconds(1)), Some(run));
            prop_assert_ne!(spec.next_run(zone, run), Some(run));
        }
    }
}
