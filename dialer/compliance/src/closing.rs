//! When the hours of the law end for today.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    hours::Day,
    jurisdiction::Jurisdictions,
    limits,
    opening::Local,
    request::{Mode, Purpose},
    rules::{Kind, Rules},
};

impl Rules {
    /// When the hours of the law that are open at `now` end for people under these jurisdictions and on these clocks: for
    /// whom they end first. `now` where somebody may not be called, `None` where there is nobody.
    #[must_use]
    pub fn closes(
        &self,
        jurisdictions: Jurisdictions,
        (purpose, mode): (Purpose, Mode),
        zones: &mut dyn Iterator<Item = Tz>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let windows = self
            .active_set(jurisdictions, purpose, mode, now)
            .and(self.windows);
        let in_zone = |zone: Tz| {
            let outer = open_until(zone, now, |_| Day::one(limits::OPENS, limits::CLOSES));
            self.of(windows).fold(outer, |earliest, rule| match &rule.kind {
                Kind::Hours { week, holidays } => {
                    let end = open_until(zone, now, |date| {
                        if holidays.as_ref().is_some_and(|calendar| calendar.has(date)) {
                            Day::CLOSED
                        } else {
                            *week.day(date.weekday())
                        }
                    });
                    earliest.min(end)
                }
                _ => earliest,
            })
        };
        zones.map(in_zone).min()
    }
}

/// When the `hours` that are open at `now` end; `now` where they are closed.
fn open_until(zone: Tz, now: DateTime<Utc>, hours: impl FnOnce(NaiveDate) -> Day) -> DateTime<Utc> {
    let local = Local::of(now, zone);
    let Some(minute) = hours(local.date()).closes_after(local.minute()) else {
        return now;
    };
    let end = local.at.date().and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minute));
    // Clocks change at night, when nothing is open.
    now + (end - local.at)
}
