//! One HTTP exchange with a carrier, and what its failure means for the call.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::CarrierError;

/// No carrier answers a call command with more.
const LARGEST_BODY: usize = 256 * 1024;

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the body of a success. One that cannot be read leaves open what happened.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CarrierError> {
        serde_json::from_slice(&self.body).map_err(|_| unknown("body"))
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        ["retry-after", "x-ratelimit-reset"]
            .iter()
            .find_map(|name| self.headers.get(*name)?.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs)
    }
}

pub(crate) fn unknown(reason: impl Into<String>) -> CarrierError {
    CarrierError::Unknown {
        reason: reason.into(),
    }
}

/// Sends and reads to the end. The error says whether anything can have happened at the carrier: before a
/// connection stands nothing has, after that anything may.
pub(crate) async fn exchange(request: RequestBuilder, timeout: Duration) -> Result<Answer, CarrierError> {
    let response = request
        .timeout(timeout)
        .send()
        .await
        .map_err(|error| failed(&error))?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = read(response).await?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

async fn read(mut response: Response) -> Result<Vec<u8>, CarrierError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(unknown("body_too_large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The words of the HTTP client quote the URL, which may hold a context; ours do not.
fn failed(error: &reqwest::Error) -> CarrierError {
    if error.is_builder() || error.is_connect() {
        CarrierError::Unavailable
    } else if error.is_timeout() {
        unknown("timeout")
    } else {
        unknown("connection")
    }
}
