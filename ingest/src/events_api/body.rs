//! The two forms a batch comes in.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::value::RawValue;
use voice_http::{Code, Problem};

/// How long a body may take to arrive; less than the whole request may.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How the events of a batch are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON array.
    Array,
    /// One event per line, <https://github.com/ndjson/ndjson-spec>.
    Lines,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let value = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "application/cloudevents-batch+json" => Ok(Self::Array),
            "application/x-ndjson" => Ok(Self::Lines),
            _ => Err(Problem::unsupported_media(
                "application/json` or `application/x-ndjson",
            )),
        }
    }

    /// The events, each as the text it came in. A batch that cannot be told apart is refused whole.
    pub(super) fn split(self, bytes: &[u8], most: usize) -> Result<Vec<&RawValue>, Problem> {
        let items: Vec<&RawValue> = match self {
            Self::Array => serde_json::from_slice(bytes)
                .map_err(|error| not_json("the body is no JSON array", &error))?,
            Self::Lines => {
                let filled = bytes
                    .split(|byte| *byte == b'\n')
                    .enumerate()
                    .filter(|(_, line)| !line.trim_ascii().is_empty());
                filled
                    // One more than allowed is enough to know.
                    .take(most.saturating_add(1))
                    .map(|(number, line)| {
                        serde_json::from_slice(line).map_err(|_| {
                            Problem::bad_request(format!("line {} of the body is not JSON", number + 1))
                        })
                    })
                    .collect::<Result<_, _>>()?
            }
        };
        if items.len() > most {
            return Err(
                Problem::payload_too_large().with_detail(format!("a batch holds at most {most} events"))
            );
        }
        Ok(items)
    }
}

fn not_json(what: &str, error: &serde_json::Error) -> Problem {
    Problem::of(Code::Validation).with_detail(format!(
        "{what} (line {}, column {})",
        error.line(),
        error.column()
    ))
}

/// The whole body, unless it is too large.
pub(super) async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(Problem::payload_too_large());
    }
    match tokio::time::timeout(TIMEOUT, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::payload_too_large()),
        Ok(Err(_)) | Err(_) => Err(Problem::bad_request("the body did not arrive whole")),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn split(form: Form, text: &str, most: usize) -> Result<Vec<String>, StatusCode> {
        form.split(text.as_bytes(), most)
            .map(|items| items.iter().map(|item| item.get().to_owned()).collect())
            .map_err(|problem| problem.status())
    }

    #[test]
    fn an_array_and_lines_give_the_same_events() {
        let expected = Ok(vec!["{\"a\":1}".to_owned(), "2".to_owned()]);
        assert_eq!(split(Form::Array, " [ {\"a\":1} , 2 ]\n", 2), expected);
        assert_eq!(split(Form::Lines, "{\"a\":1}\n\r\n2\r\n", 2), expected);
        assert_eq!(split(Form::Array, "[]", 2), Ok(Vec::new()));
        assert_eq!(split(Form::Lines, "", 2), Ok(Vec::new()));
    }

    #[test]
    fn too_many_events_and_what_is_no_batch_are_refused_whole() {
        assert_eq!(
            split(Form::Array, "[1,2,3]", 2),
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        );
        assert_eq!(
            split(Form::Lines, "1\n2\n3", 2),
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        );
        for (form, text) in [
            (Form::Array, "{}"),
            (Form::Array, "[1"),
            (Form::Array, ""),
            (Form::Lines, "{}\n{"),
        ] {
            assert_eq!(split(form, text, 2), Err(StatusCode::BAD_REQUEST), "{text}");
        }
    }
}
