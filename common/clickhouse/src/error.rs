//! What ClickHouse answers when it does not answer with data, sorted by what to do about it.

use clickhouse::error::Error as ClientError;

/// A failed request to ClickHouse.
#[derive(Debug, thiserror::Error)]
#[error("ClickHouse: {what}: {source}")]
pub struct ClickHouseError {
    /// What was being done.
    pub what: String,
    /// The server's numeric code, where it gave one.
    pub code: Option<u32>,
    /// What the client said.
    pub source: ClientError,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The server is away, overloaded or the answer was lost: send the same bytes again.
    Retry,
    /// The server read the rows and refuses them: find the row.
    Bisect,
    /// A person has to act: rights, a missing table, a full disk quota.
    Stop,
}

/// Codes that pass by themselves: timeouts, network, too many parts or queries, memory, shutting down,
/// Keeper trouble. The list is that of clickhouse-kafka-connect 1.5, plus 236 (aborted), 394 (cancelled)
/// and 734 (refused while restarting).
const PASSING: &[u32] = &[
    3, 107, 159, 164, 202, 203, 209, 210, 236, 241, 242, 285, 319, 394, 425, 734, 999,
];

/// Codes that are about the rows: parse, type, constraint and partition faults.
const ABOUT_ROWS: &[u32] = &[
    6, 26, 27, 33, 38, 41, 53, 70, 72, 117, 131, 252, 321, 349, 469, 691,
];

impl ClickHouseError {
    pub(crate) fn new(what: &str, source: ClientError) -> Self {
        let code = match &source {
            ClientError::BadResponse(text) => code(text),
            _ => None,
        };
        Self {
            what: what.to_owned(),
            code,
            source,
        }
    }

    /// A stable label for metrics and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.remedy() {
            Remedy::Retry => "unavailable",
            Remedy::Bisect => "refused_rows",
            Remedy::Stop => "refused",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self.code {
            Some(code) if contains(PASSING, code) => Remedy::Retry,
            Some(code) if contains(ABOUT_ROWS, code) => Remedy::Bisect,
            Some(_) => Remedy::Stop,
            None => match self.source {
                ClientError::Network(_)
                | ClientError::TimedOut
                | ClientError::BadResponse(_)
                | ClientError::Decompression(_) => Remedy::Retry,
                _ => Remedy::Stop,
            },
        }
    }
}

const fn contains(list: &[u32], code: u32) -> bool {
    let mut position = 0;
    while position < list.len() {
        if list[position] == code {
            return true;
        }
        position += 1;
    }
    false
}

/// `Code: 241. DB::Exception: …` → 241.
fn code(text: &str) -> Option<u32> {
    let digits = text.split_once("Code: ")?.1;
    digits
        .split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> ClickHouseError {
        ClickHouseError::new("test", ClientError::BadResponse(text.to_owned()))
    }

    #[test]
    fn the_remedy_follows_the_servers_code() {
        let remedies = [
            (
                "Code: 241. DB::Exception: (total) memory limit exceeded",
                Remedy::Retry,
            ),
            ("Code: 117. DB::Exception: Unknown field", Remedy::Bisect),
            (
                "Code: 469. DB::Exception: Constraint `c` is violated",
                Remedy::Bisect,
            ),
            ("Code: 60. DB::Exception: Table does not exist", Remedy::Stop),
            ("Code: 497. DB::Exception: Not enough privileges", Remedy::Stop),
            ("upstream sent half an answer", Remedy::Retry),
        ];
        for (text, remedy) in remedies {
            assert_eq!(answered(text).remedy(), remedy, "{text}");
        }
        assert_eq!(
            ClickHouseError::new("test", ClientError::TimedOut).remedy(),
            Remedy::Retry
        );
    }
}
