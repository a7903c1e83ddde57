//! Asking a carrier to place a call, once, and what its answer means for the attempt.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use voice_resilience::{CallError, CircuitBreaker};
use voice_schemas::{ProviderAccountId, TenantId, events::call::CallOutcome};
use voice_telephony::{CarrierClient, CarrierError, HookUrls, OriginateRequest};

use crate::events::CommandRefused;

/// How long to leave an account alone that did not say how long.
const REST: TimeDelta = TimeDelta::seconds(2);
/// A call the carrier holds back longer rings when the agent it was dialled for is gone.
pub const LONGEST_QUEUE: Duration = Duration::from_secs(2);

/// An account calls can be placed through.
#[derive(Clone, Debug)]
pub struct Line {
    /// The way to the carrier.
    pub client: Arc<dyn CarrierClient>,
    /// Where its webhooks go.
    pub hooks: HookUrls,
    /// Opens when the carrier fails.
    pub breaker: CircuitBreaker,
}

/// The accounts of all tenants.
pub type Lines = HashMap<(TenantId, ProviderAccountId), Line>;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// The carrier has the call.
    Placed {
        /// Its id there.
        carrier_call_id: String,
        /// It is held back too long: end it.
        too_late: bool,
    },
    /// It may have been placed. Never asked again.
    Unknown,
    /// It certainly was not placed.
    Not {
        /// What the attempt came to.
        outcome: CallOutcome,
        /// The carrier never looked at the number: the try does not count.
        refused: bool,
        /// The account is to be left alone for so long, in all processes.
        rest: Option<TimeDelta>,
    },
}

/// Places the call. The one request of an attempt.
pub async fn place(line: &Line, request: &OriginateRequest) -> Placing {
    let answer = line
        .breaker
        .call(|| line.client.originate(request), blames_the_carrier)
        .await;
    match answer {
        Ok(placed) => Placing::Placed {
            carrier_call_id: placed.carrier_call_id,
            too_late: Duration::from_millis(placed.queue_time_ms.into()) > LONGEST_QUEUE,
        },
        Err(CallError::Rejected(rejected)) => refused(TimeDelta::from_std(rejected.retry_after).ok()),
        Err(CallError::Failed(error)) => {
            CommandRefused {
                command: "originate",
                error: &error,
            }
            .emit();
            judge(&error)
        }
    }
}

fn blames_the_carrier(error: &CarrierError) -> bool {
    matches!(
        error,
        CarrierError::Unknown { .. } | CarrierError::Unavailable | CarrierError::Auth
    )
}

const fn refused(rest: Option<TimeDelta>) -> Placing {
    Placing::Not {
        outcome: CallOutcome::CarrierError,
        refused: true,
        rest,
    }
}

/// What an error means for the attempt.
#[must_use]
pub fn judge(error: &CarrierError) -> Placing {
    match error {
        CarrierError::Unknown { .. } => Placing::Unknown,
        CarrierError::Throttled { retry_after } => {
            let rest = retry_after.and_then(|wait| TimeDelta::from_std(wait).ok());
            refused(Some(
                rest.unwrap_or(REST)
                    .clamp(TimeDelta::milliseconds(200), TimeDelta::minutes(5)),
            ))
        }
        // A day of calls waits there already.
        CarrierError::QueueFull => refused(Some(TimeDelta::minutes(1))),
        CarrierError::Unavailable | CarrierError::Auth => refused(Some(REST)),
        CarrierError::InvalidNumber => Placing::Not {
            outcome: CallOutcome::InvalidNumber,
            refused: false,
            rest: None,
        },
        // About this call, and as likely to be said of the next try: it counts, so that tries end.
        _ => Placing::Not {
            outcome: CallOutcome::CarrierError,
            refused: false,
            rest: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_is_certain_frees_the_contact() {
        let unknown = CarrierError::Unknown {
            reason: "timeout".to_owned(),
        };
        assert_eq!(judge(&unknown), Placing::Unknown);
        for error in [
            CarrierError::Throttled { retry_after: None },
            CarrierError::QueueFull,
            CarrierError::Unavailable,
            CarrierError::Auth,
        ] {
            assert!(error.is_certain(), "{error}");
            assert!(
                matches!(
                    judge(&error),
                    Placing::Not {
                        refused: true,
                        rest: Some(_),
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_throttled_account_rests_as_long_as_the_carrier_says() {
        let error = CarrierError::Throttled {
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(judge(&error), refused(Some(TimeDelta::seconds(7))));
    }

    #[test]
    fn a_number_the_carrier_calls_invalid_is_no_failure_of_the_carrier() {
        assert!(!blames_the_carrier(&CarrierError::InvalidNumber));
        assert_eq!(
            judge(&CarrierError::InvalidNumber),
            Placing::Not {
                outcome: CallOutcome::InvalidNumber,
                refused: false,
                rest: None
            }
        );
    }
}
