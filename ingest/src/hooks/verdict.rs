//! What an authentic delivery means, decided without I/O.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use voice_schemas::events::call::CallEvent;
use voice_telephony::{ContextKeys, HookKind, ParseError, Parsed, WebhookRequest};

use super::{accounts::Account, replay::ReplayKey};

/// How far an event's time may lie behind us. Beyond it, tables have dropped the partition it belongs to.
pub(crate) const OLDEST: TimeDelta = TimeDelta::days(30);
/// How far it may lie ahead of us.
pub(crate) const NEWEST: TimeDelta = TimeDelta::days(1);

/// What to do with a delivery.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Append it.
    Event(Box<CallEvent>),
    /// Known, and no fact about a call.
    Ignored,
    /// Keep the bytes for a person.
    Keep(Keep),
}

/// Why bytes are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// A stable label.
    pub(crate) code: &'static str,
    /// For a person; no personal data.
    pub(crate) detail: String,
    /// The carrier sent what its own documentation does not allow, and is told so.
    pub(crate) malformed: bool,
}

/// Whether events of this time are taken.
pub(crate) fn time_is_sane(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let age = now - at;
    age <= OLDEST && -age <= NEWEST
}

/// Reads a delivery whose signature holds. `received_at` is when it came, `now` is what its time is held against:
/// the same, except when a dead letter is read again.
pub(crate) fn judge(
    account: &Account,
    kind: HookKind,
    request: &WebhookRequest<'_>,
    context: &ContextKeys,
    received_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Verdict {
    let event = match account.parse(kind, request, context) {
        Ok(Parsed::Event(event)) => event.into_event(received_at),
        Ok(Parsed::Ignored { .. }) => return Verdict::Ignored,
        Err(error) => {
            return Verdict::Keep(Keep {
                code: error.kind(),
                detail: error.to_string(),
                malformed: matches!(error, ParseError::Malformed { .. }),
            });
        }
    };
    if time_is_sane(event.time, now) {
        Verdict::Event(Box::new(event))
    } else {
        let detail = format!(
            "{} says it happened at {}",
            event.kind,
            event.time.format("%Y-%m-%dT%H:%M:%SZ")
        );
        Verdict::Keep(Keep {
            code: "time_out_of_range",
            detail,
            malformed: false,
        })
    }
}

/// An event is known by its id, which a redelivery has too.
pub(crate) fn event_key(event: &CallEvent) -> ReplayKey {
    ReplayKey(event.id.0.as_u128())
}

/// What nobody understood is known by its bytes, so that retries do not fill the dead letters.
pub(crate) fn bytes_key(account: &Account, kind: HookKind, body: &[u8]) -> ReplayKey {
    let mut hash = Sha256::new();
    hash.update(account.id.0.as_bytes());
    hash.update(kind.as_str().as_bytes());
    hash.update([0]);
    hash.update(body);
    let digest: [u8; 32] = hash.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    ReplayKey(u128::from_be_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_back_and_one_day_ahead_are_taken_and_a_second_more_is_not() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let second = TimeDelta::seconds(1);
        assert!(time_is_sane(now, now));
        assert!(time_is_sane(now - OLDEST, now));
        assert!(!time_is_sane(now - OLDEST - second, now));
        assert!(time_is_sane(now + NEWEST, now));
        assert!(!time_is_sane(now + NEWEST + second, now));
        assert!(!time_is_sane(DateTime::<Utc>::MIN_UTC, now));
        assert!(!time_is_sane(DateTime::<Utc>::MAX_UTC, now));
    }
}
