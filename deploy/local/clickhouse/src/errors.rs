//! Errors in the words of ClickHouse: a code, a name, and the HTTP status that
//! a ClickHouse server answers with.

use axum::http::StatusCode;

/// What the library reports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The library or its data folder cannot be opened.
    #[error("{0}")]
    Open(String),
    /// A statement failed; the text is ClickHouse's ("Code: 60. DB::Exception: …").
    #[error("{0}")]
    Query(String),
}

/// A failed request as its client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct QueryError {
    pub(crate) code: u32,
    /// "Code: N. DB::Exception: … (NAME)", without the version.
    pub(crate) message: String,
}

impl QueryError {
    /// An error that this server finds itself, in ClickHouse's form.
    pub(crate) fn new(code: u32, name: &str, text: impl AsRef<str>) -> Self {
        Self {
            code,
            message: format!("Code: {code}. DB::Exception: {}. ({name})", text.as_ref()),
        }
    }

    pub(crate) fn bad_arguments(text: impl AsRef<str>) -> Self {
        Self::new(36, "BAD_ARGUMENTS", text)
    }

    pub(crate) fn syntax(text: impl AsRef<str>) -> Self {
        Self::new(62, "SYNTAX_ERROR", text)
    }

    pub(crate) fn not_implemented(text: impl AsRef<str>) -> Self {
        Self::new(48, "NOT_IMPLEMENTED", text)
    }

    pub(crate) fn corrupt(text: impl AsRef<str>) -> Self {
        Self::new(271, "CANNOT_DECOMPRESS", text)
    }

    pub(crate) fn io(text: impl std::fmt::Display) -> Self {
        Self::new(1000, "POCO_EXCEPTION", text.to_string())
    }

    /// The status a ClickHouse server gives this error
    /// (`src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`).
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6 | 15 | 16 | 25 | 26 | 27 | 36 | 38 | 41 | 44 | 53 | 56 | 62 | 69 | 72 | 117 | 158 | 167
            | 168 | 223 | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            46 | 47 | 50 | 51 | 60 | 63 | 73 | 78 | 81 | 106 | 115 | 336 | 511 => StatusCode::NOT_FOUND,
            177 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            159 => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<EngineError> for QueryError {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        let text = text.trim_end();
        match leading_code(text) {
            Some(code) => Self {
                code,
                message: tidy(text),
            },
            None => Self::new(1002, "UNKNOWN_EXCEPTION", text),
        }
    }
}

fn leading_code(text: &str) -> Option<u32> {
    text.strip_prefix("Code: ")?.split('.').next()?.parse().ok()
}

/// Takes out what only exists because rows travel through a file descriptor
/// here: the doubled prefix and the name of that "file".
fn tidy(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some((prefix, _)) = text.split_once("DB::Exception: ") {
        let prefix = format!("{prefix}DB::Exception: ");
        while let Some(rest) = text.strip_prefix(&prefix)
            && rest.starts_with(&prefix)
        {
            text = rest.to_owned();
        }
    }
    while let Some(start) = text.find(": (in file/uri /proc/self/fd/")
        && let Some(length) = text[start..].find(')')
    {
        text.replace_range(start..=start + length, "");
    }
    text.replace(": While executing File: data for INSERT was parsed from file", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_engine_keeps_its_code_and_gets_the_servers_status() {
        let error: QueryError = EngineError::Query(
            "Code: 60. DB::Exception: Table default.x does not exist. (UNKNOWN_TABLE)".into(),
        )
        .into();
        assert_eq!((error.code, error.status()), (60, StatusCode::NOT_FOUND));
    }

    #[test]
    fn the_detour_through_a_file_descriptor_does_not_show_in_the_message() {
        let raw = "Code: 27. DB::Exception: Code: 27. DB::Exception: Cannot parse input: (at row 1)\n\
                   : (in file/uri /proc/self/fd/53): While executing ParallelParsingBlockInputFormat\
                   : While executing File: data for INSERT was parsed from file. (CANNOT_PARSE_INPUT)";
        let error: QueryError = EngineError::Query(raw.into()).into();
        assert_eq!(
            error.message,
            "Code: 27. DB::Exception: Cannot parse input: (at row 1)\n\
             : While executing ParallelParsingBlockInputFormat. (CANNOT_PARSE_INPUT)"
        );
    }
}
