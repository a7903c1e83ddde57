//! What codes and closures mean, the same for every provider.

use crate::{Closure, Ending, Fault, FaultKind};

/// Why a link ended that nobody asked to end. The codes are those of RFC 6455 and HTTP.
pub(crate) fn judge(closure: Closure<'_>) -> FaultKind {
    match closure {
        Closure::Code { code, reason } => match code {
            1002 | 1003 | 1009 => FaultKind::Protocol,
            1007 => FaultKind::Rejected,
            1008 => judge_policy(reason),
            1013 => FaultKind::Throttled,
            1011 | 1014 => FaultKind::Provider,
            // Going away, service restart, and a normal end we did not ask for.
            _ => FaultKind::Connection,
        },
        Closure::Refused { status } => match status {
            401 | 403 => FaultKind::Auth,
            402 => FaultKind::Account,
            408 => FaultKind::Connection,
            429 => FaultKind::Throttled,
            500.. => FaultKind::Provider,
            _ => FaultKind::Rejected,
        },
        Closure::Lost | Closure::TimedOut => FaultKind::Connection,
        Closure::Stalled => FaultKind::Stalled,
    }
}

/// 1008 serves for everything a provider does not want; its words tell which.
fn judge_policy(reason: &str) -> FaultKind {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["api key", "unauthenticated", "permission", "auth"]) {
        FaultKind::Auth
    } else if says(&["quota", "rate", "exhausted", "concurren"]) {
        FaultKind::Throttled
    } else if says(&["billing", "balance", "credit", "payment"]) {
        FaultKind::Account
    } else {
        FaultKind::Rejected
    }
}

/// A short code for logs and events: the number the link ended with.
pub(crate) fn code_of(closure: Closure<'_>) -> &'static str {
    match closure {
        Closure::Code { code, .. } => match code {
            1000 => "1000",
            1001 => "1001",
            1002 => "1002",
            1003 => "1003",
            1005 => "1005",
            1007 => "1007",
            1008 => "1008",
            1009 => "1009",
            1011 => "1011",
            1012 => "1012",
            1013 => "1013",
            1014 => "1014",
            _ => "close",
        },
        Closure::Refused { status } => match status {
            400 => "400",
            401 => "401",
            402 => "402",
            403 => "403",
            404 => "404",
            408 => "408",
            429 => "429",
            500 => "500",
            502 => "502",
            503 => "503",
            504 => "504",
            _ => "refused",
        },
        Closure::Lost => "lost",
        Closure::TimedOut => "timed_out",
        Closure::Stalled => "stalled",
    }
}

/// The fault and the ending a closure stands for.
pub(crate) fn broken(closure: Closure<'_>) -> (Fault<'static>, Ending) {
    let kind = judge(closure);
    (Fault::new(kind, code_of(closure)), Ending::broken(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn class(closure: Closure<'_>) -> Class {
        judge(closure).class()
    }

    #[test]
    fn what_another_connection_can_cure_is_retryable_and_what_it_cannot_is_fatal() {
        let code = |code, reason| Closure::Code { code, reason };
        for closure in [
            code(1011, "Deadline expired"),
            code(1000, ""),
            code(1008, "Resource has been exhausted (e.g. check quota)."),
            Closure::Refused { status: 503 },
            Closure::Refused { status: 429 },
            Closure::Lost,
            Closure::Stalled,
        ] {
            assert_eq!(class(closure), Class::Retryable, "{closure:?}");
        }
        for closure in [
            code(1007, "Request contains an invalid argument."),
            code(1008, "Method doesn't allow unregistered callers: API key"),
            Closure::Refused { status: 401 },
            Closure::Refused { status: 400 },
        ] {
            assert_eq!(class(closure), Class::Fatal, "{closure:?}");
        }
    }
}
