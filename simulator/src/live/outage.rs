//! When a carrier is not there.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::events::call::Carrier;

/// What is wrong meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The REST API answers 503 and does nothing.
    Unavailable,
    /// The REST API does not answer, and does nothing.
    Deaf,
    /// The REST API does what it is asked for, and does not answer.
    Mute,
    /// Webhooks come this much later; the REST API works.
    Late(TimeDelta),
    /// Webhooks are never sent; the REST API works.
    Lost,
}

/// A stretch of time in which something is wrong with a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Whose; of both when absent.
    pub carrier: Option<Carrier>,
    /// From then.
    pub from: DateTime<Utc>,
    /// Until then.
    pub until: DateTime<Utc>,
    /// What.
    pub trouble: Trouble,
}

impl Outage {
    fn covers(&self, carrier: Carrier, now: DateTime<Utc>) -> bool {
        self.carrier.is_none_or(|own| own == carrier) && self.from <= now && now < self.until
    }
}

/// The first outage of the REST API at `now`: what is wrong, and until when.
pub(crate) fn of_requests(
    outages: &[Outage],
    carrier: Carrier,
    now: DateTime<Utc>,
) -> Option<(Trouble, DateTime<Utc>)> {
    outages
        .iter()
        .filter(|outage| outage.covers(carrier, now))
        .find(|outage| {
            matches!(
                outage.trouble,
                Trouble::Unavailable | Trouble::Deaf | Trouble::Mute
            )
        })
        .map(|outage| (outage.trouble, outage.until))
}

/// What becomes of a webhook whose event happens at `now`: `None` when it is never sent.
pub(crate) fn of_webhooks(outages: &[Outage], carrier: Carrier, now: DateTime<Utc>) -> Option<TimeDelta> {
    let mut late = TimeDelta::zero();
    for outage in outages.iter().filter(|outage| outage.covers(carrier, now)) {
        match outage.trouble {
            Trouble::Late(by) => late = late.max(by),
            Trouble::Lost => return None,
            Trouble::Unavailable | Trouble::Deaf | Trouble::Mute => {}
        }
    }
    Some(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn an_outage_is_of_its_carrier_and_its_time() {
        let outages = [
            Outage {
                carrier: Some(Carrier::Telnyx),
                from: at(10),
                until: at(20),
                trouble: Trouble::Unavailable,
            },
            Outage {
                carrier: None,
                from: at(15),
                until: at(30),
                trouble: Trouble::Late(TimeDelta::minutes(2)),
            },
        ];
        let trouble = |carrier, ms| of_requests(&outages, carrier, at(ms)).map(|(trouble, _)| trouble);
        assert_eq!(trouble(Carrier::Telnyx, 9), None);
        assert_eq!(trouble(Carrier::Telnyx, 10), Some(Trouble::Unavailable));
        assert_eq!(trouble(Carrier::Telnyx, 20), None);
        assert_eq!(trouble(Carrier::Twilio, 15), None);
        assert_eq!(
            of_webhooks(&outages, Carrier::Twilio, at(14)),
            Some(TimeDelta::zero())
        );
        assert_eq!(
            of_webhooks(&outages, Carrier::Twilio, at(15)),
            Some(TimeDelta::minutes(2))
        );
    }
}
