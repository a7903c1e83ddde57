//! Twins of Deepgram's sockets: two ears, a mouth, and the agent that has both.

mod agent;
mod flux;
mod nova;
mod speak;

pub(crate) use self::{
    agent::Agent,
    flux::{Flux, QUERY as FLUX_QUERY},
    nova::{Nova, QUERY as NOVA_QUERY},
    speak::{QUERY as SPEAK_QUERY, Speak},
};

use std::collections::BTreeMap;

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use serde_json::json;

use crate::{
    server::{bearer, query},
    sound::{Coding, Format},
};

/// A request id; one is as good as another.
const REQUEST_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What a query asked for, checked: known names, each once unless it is a list.
#[derive(Clone, Debug)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// # Errors
    /// The answer that refuses it.
    pub(crate) fn read(request: &Request, known: &[&str]) -> Result<Self, Box<Response>> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in query(request) {
            if !known.contains(&name.as_str()) {
                return Err(refuse(&format!("Unknown query parameter: {name}")));
            }
            values.entry(name).or_default().push(value);
        }
        Ok(Self(values))
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)?.first()?.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.one(name) == Some("true")
    }

    /// # Errors
    /// The answer that refuses what is no such number.
    pub(crate) fn number(&self, name: &str, default: f64, low: f64, high: f64) -> Result<f64, Box<Response>> {
        let Some(text) = self.one(name) else {
            return Ok(default);
        };
        let number: Option<f64> = text.parse().ok();
        let fits = number.filter(|number| (low..=high).contains(number));
        fits.ok_or_else(|| refuse(&format!("Invalid value for {name}.")))
    }

    /// # Errors
    /// The answer that refuses an encoding or rate that is not spoken.
    pub(crate) fn format(&self, default: Format) -> Result<Format, Box<Response>> {
        let coding = match self.one("encoding") {
            None => return Ok(default),
            Some("linear16") => Coding::Pcm,
            Some("mulaw") => Coding::Pcmu,
            Some("alaw") => Coding::Pcma,
            Some(other) => return Err(refuse(&format!("Unsupported encoding: {other}"))),
        };
        let rate = self.one("sample_rate").and_then(|rate| rate.parse().ok());
        match rate {
            Some(rate @ (8_000 | 16_000 | 24_000)) => Ok(Format { coding, rate }),
            Some(rate) if (8_000..=48_000).contains(&rate) => {
                Err(refuse("This twin speaks 8, 16 and 24 kHz."))
            }
            _ => Err(refuse("sample_rate is required with encoding.")),
        }
    }
}

pub(crate) fn refuse(message: &str) -> Box<Response> {
    let body = json!({"err_code": "Bad Request", "err_msg": message, "request_id": REQUEST_ID});
    Box::new((StatusCode::BAD_REQUEST, axum::Json(body)).into_response())
}

/// # Errors
/// The answer that refuses who has no key.
pub(crate) fn admits(key: &str, request: &Request) -> Result<(), Box<Response>> {
    let headers = request.headers();
    let given = bearer(headers, "Token").or_else(|| bearer(headers, "Bearer"));
    if given == Some(key) {
        return Ok(());
    }
    let body =
        json!({"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials.", "request_id": REQUEST_ID});
    Err(Box::new(
        (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response(),
    ))
}
