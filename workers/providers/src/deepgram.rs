//! What Deepgram's sockets have in common.

use secrecy::ExposeSecret as _;

use crate::{Account, AudioFormat, Codec, Endpoint, Protocol};

/// Deepgram's name of a format.
pub(crate) const fn encoding(format: AudioFormat) -> (&'static str, u32) {
    let name = match format.codec {
        Codec::Pcmu => "mulaw",
        Codec::Pcma => "alaw",
        Codec::Pcm16 => "linear16",
    };
    (name, format.rate_hz)
}

pub(crate) fn socket(account: &Account, path: &str, query: &[(&str, String)]) -> Option<Endpoint> {
    let mut url = account.base_url.join(path).ok()?;
    if !query.is_empty() {
        url.query_pairs_mut()
            .extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
    }
    let mut token = http::HeaderValue::try_from(format!("Token {}", account.key.expose_secret())).ok()?;
    token.set_sensitive(true);
    Some(Endpoint {
        protocol: Protocol::WebSocket,
        url,
        headers: [(http::header::AUTHORIZATION, token)].into_iter().collect(),
    })
}
