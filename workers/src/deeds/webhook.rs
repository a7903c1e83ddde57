//! Requests to tenants' own services, into the public internet and nowhere else.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::net::lookup_host;
use url::Url;
use voice_providers::tools::egress::{Forbidden, check_address, check_url};

use crate::hands::HandsError;

/// The model gives up before that.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than this is no answer for a conversation.
const LARGEST_ANSWER: usize = 64 * 1_024;

/// Posts the arguments and gives what is answered. The name is resolved once, every address judged, and the
/// connection made to one of those; redirects are not followed.
pub(super) async fn call(url: &Url, arguments: &Value) -> Result<Value, HandsError> {
    let refused = |forbidden: Forbidden| {
        tracing::warn!(kind = forbidden.kind(), "a tenant's tool leads where it may not");
        HandsError::Refused
    };
    check_url(url).map_err(refused)?;
    let unavailable = |_| HandsError::Unavailable;
    let host = url.host_str().ok_or(HandsError::Refused)?;
    let port = url.port_or_known_default().unwrap_or(443);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = lookup_host((name, port))
        .await
        .map_err(|_| HandsError::Unavailable)?
        .collect();
    for address in &addresses {
        check_address(address.ip()).map_err(refused)?;
    }
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .resolve_to_addrs(host, &addresses)
        .build()
        .map_err(unavailable)?;
    let mut response = client
        .post(url.clone())
        .json(arguments)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(unavailable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(HandsError::Unavailable);
        }
        body.extend_from_slice(&chunk);
    }
    // Words are an answer too.
    Ok(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn nothing_of_our_own_networks_is_called() {
        for url in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/",
            "https://example.com:6379/",
        ] {
            let called = call(&Url::parse(url).unwrap(), &json!({})).await;
            assert_eq!(called, Err(HandsError::Refused), "{url}");
        }
    }
}
