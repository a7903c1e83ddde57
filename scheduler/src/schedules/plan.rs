//! What a due schedule must run now, and when it is due again: decided from its fields and the time alone.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::cron::CronSpec;

/// What happens to runs that were missed because no scheduler was running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// They are dropped.
    Skip,
    /// The latest of them runs.
    #[default]
    Once,
    /// All of them run, oldest first.
    All,
}

impl CatchUp {
    /// As it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }

    /// The policy with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Skip, Self::Once, Self::All]
            .into_iter()
            .find(|policy| policy.as_str() == name)
    }
}

/// Bounds of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A run that is later than this was missed.
    pub grace: TimeDelta,
    /// The most runs of one plan; the rest comes with the next tick.
    pub most_runs: usize,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Runs to start now, oldest first, named by the time they were due.
    pub runs: Vec<DateTime<Utc>>,
    /// When the schedule is due again; none when never.
    pub next: Option<DateTime<Utc>>,
}

/// Plans a schedule that is due since `due`.
#[must_use]
pub fn plan(
    cron: &CronSpec,
    zone: Tz,
    catch_up: CatchUp,
    (due, end): (DateTime<Utc>, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
    limits: Limits,
) -> Plan {
    let before_end = |run: &DateTime<Utc>| end.is_none_or(|end| *run < end);
    let mut runs = Vec::new();
    let first = match catch_up {
        CatchUp::All => Some(due),
        CatchUp::Skip | CatchUp::Once => Some(recent(cron, zone, due, now, limits.grace)),
    };
    let mut upcoming = first.filter(before_end);
    while let Some(run) = upcoming.filter(|run| *run <= now) {
        if catch_up == CatchUp::All && runs.len() == limits.most_runs {
            break;
        }
        let missed = now - run > limits.grace;
        match catch_up {
            CatchUp::Skip if missed => {}
            CatchUp::Once if missed => runs = vec![run],
            // The latest missed one gives way to one that is on time.
            CatchUp::Once => {
                runs.retain(|earlier| now - *earlier <= limits.grace);
                runs.push(run);
            }
            CatchUp::Skip | CatchUp::All => runs.push(run),
        }
        upcoming = cron.next_run(zone, run).filter(before_end);
    }
    Plan { runs, next: upcoming }
}

/// A run not before `due` from which few runs lead up to now: of a backlog only the end matters to
/// policies that drop the rest, and a schedule by the minute that was down for a year has half a million.
fn recent(
    cron: &CronSpec,
    zone: Tz,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> DateTime<Utc> {
    let mut window = grace.max(TimeDelta::hours(1));
    while now - window > due {
        if let Some(run) = cron.next_run(zone, now - window).filter(|run| *run <= now) {
            return run;
        }
        window = window * 2;
    }
    due
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Prague;

    use super::*;

    const LIMITS: Limits = Limits {
        grace: TimeDelta::minutes(5),
        most_runs: 3,
    };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn daily(catch_up: CatchUp, due: &str, now: &str) -> Plan {
        plan(
            &"0 6 * * *".parse().unwrap(),
            Prague,
            catch_up,
            (at(due), None),
            at(now),
            LIMITS,
        )
    }

    #[test]
    fn on_time_every_policy_runs_once_and_moves_on() {
        for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All] {
            let plan = daily(catch_up, "2026-11-20T05:00:00Z", "2026-11-20T05:00:04Z");
            assert_eq!(plan.runs, [at("2026-11-20T05:00:00Z")]);
            assert_eq!(plan.next, Some(at("2026-11-21T05:00:00Z")));
        }
    }

    #[test]
    fn missed_runs_are_skipped_caught_up_once_or_all() {
        let (due, now) = ("2026-11-18T05:00:00Z", "2026-11-20T12:00:00Z");
        let next = Some(at("2026-11-21T05:00:00Z"));
        assert_eq!(daily(CatchUp::Skip, due, now), Plan { runs: vec![], next });
        assert_eq!(
            daily(CatchUp::Once, due, now),
            Plan {
                runs: vec![at("2026-11-20T05:00:00Z")],
                next
            }
        );
        let all = [
            "2026-11-18T05:00:00Z",
            "2026-11-19T05:00:00Z",
            "2026-11-20T05:00:00Z",
        ]
        .map(at)
        .to_vec();
        assert_eq!(daily(CatchUp::All, due, now), Plan { runs: all, next });
    }

    #[test]
    fn a_run_on_time_replaces_the_missed_ones_before_it() {
        let plan = daily(CatchUp::Once, "2026-11-18T05:00:00Z", "2026-11-20T05:00:03Z");
        assert_eq!(plan.runs, [at("2026-11-20T05:00:00Z")]);
        let plan = daily(CatchUp::Skip, "2026-11-18T05:00:00Z", "2026-11-20T05:00:03Z");
        assert_eq!(plan.runs, [at("2026-11-20T05:00:00Z")]);
    }

    #[test]
    fn a_long_backlog_is_worked_off_in_portions_without_losing_any() {
        let (mut due, now) = ("2026-11-10T05:00:00Z".to_owned(), "2026-11-20T12:00:00Z");
        let mut runs = Vec::new();
        loop {
            let plan = daily(CatchUp::All, &due, now);
            assert!(plan.runs.len() <= LIMITS.most_runs);
            runs.extend(plan.runs);
            due = plan.next.unwrap().to_rfc3339();
            if plan.next.unwrap() > at(now) {
                break;
            }
        }
        assert_eq!(runs.len(), 11);
        assert!(runs.is_sorted());
        assert_eq!(runs[10], at("2026-11-20T05:00:00Z"));
    }

    #[test]
    fn a_year_without_a_scheduler_is_planned_at_once_and_a_rare_schedule_is_still_found() {
        let now = at("2026-11-20T12:00:30Z");
        let one = |cron: &str, due: &str| {
            plan(
                &cron.parse().unwrap(),
                Prague,
                CatchUp::Once,
                (at(due), None),
                now,
                Limits {
                    grace: TimeDelta::seconds(10),
                    most_runs: 3,
                },
            )
        };
        assert_eq!(
            one("* * * * *", "2025-11-20T05:00:00Z").runs,
            [at("2026-11-20T12:00:00Z")]
        );
        assert_eq!(
            one("0 0 1 1 *", "2024-12-31T23:00:00Z").runs,
            [at("2025-12-31T23:00:00Z")]
        );
        assert_eq!(
            one("0 0 29 2 *", "2024-02-28T23:00:00Z").runs,
            [at("2024-02-28T23:00:00Z")]
        );
    }

    #[test]
    fn nothing_runs_at_or_after_the_end() {
        let end = Some(at("2026-11-20T05:00:00Z"));
        let cron: CronSpec = "0 6 * * *".parse().unwrap();
        let due = at("2026-11-19T05:00:00Z");
        let ended = plan(
            &cron,
            Prague,
            CatchUp::All,
            (due, end),
            at("2026-11-25T00:00:00Z"),
            LIMITS,
        );
        assert_eq!(
            ended,
            Plan {
                runs: vec![due],
                next: None
            }
        );
    }
}
