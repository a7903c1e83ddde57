//! Who is calling, when proxies stand in between and everybody can write headers.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};

use crate::Problem;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client, as far as our own proxies vouch for it. Needs [`Stack`](crate::Stack) around the
/// router and [`serve`](crate::serve) below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// The client's address behind `trusted_hops` proxies of ours.
///
/// Each proxy appends the address it was called from to `X-Forwarded-For`. Seen from the right, our own
/// proxies wrote the last `trusted_hops - 1` entries about each other and the one before about the client;
/// everything further left came from the client and is not looked at. Where the header has fewer
/// entries than there are proxies, or that entry is no address, the request did not come the way it should
/// have: the socket's peer is the answer, which nobody can forge.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_hops: usize) -> IpAddr {
    let peer = peer.to_canonical();
    let Some(from_right) = trusted_hops.checked_sub(1) else {
        return peer;
    };
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    entries.nth(from_right).and_then(parse).unwrap_or(peer)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let address = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(|| {
            tracing::error!("the client's address is not known: the router is not served through `serve`");
            Problem::internal()
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap()))
            .collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const PEER: &str = "10.0.0.9";

    /// T11
    #[test]
    fn only_entries_our_own_proxies_wrote_are_read() {
        for (lines, hops, expected) in [
            (&[][..], 0, PEER),
            (&["203.0.113.7"], 0, PEER),
            (&["203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1", "203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7", "10.0.0.8"], 2, "203.0.113.7"),
            // Fewer entries than proxies, or none at all: not the way requests come.
            (&["1.1.1.1"], 2, PEER),
            (&[], 1, PEER),
            // The entry we would believe is no address.
            (&["1.1.1.1, unknown"], 1, PEER),
            (&["1.1.1.1,"], 1, PEER),
        ] {
            assert_eq!(
                client_address(ip(PEER), &headers(lines), hops),
                ip(expected),
                "{lines:?} behind {hops}"
            );
        }
    }

    #[test]
    fn addresses_are_read_in_every_form_proxies_write() {
        for (text, expected) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            (" 2001:db8::1 ", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(
                client_address(ip(PEER), &headers(&[text]), 1),
                ip(expected),
                "{text}"
            );
        }
        assert_eq!(
            client_address(ip("::ffff:10.0.0.9"), &headers(&[]), 0),
            ip(PEER),
            "one client, one key"
        );
    }

    proptest! {
        /// T11
        #[test]
        fn whatever_a_client_sends_the_entry_of_our_proxy_decides(forged in "[ -~]{0,60}", hops in 1_usize..4) {
            let mut line = forged;
            line.push_str(", 203.0.113.7");
            for hop in 1..hops {
                line.push_str(&format!(", 10.0.0.{hop}"));
            }
            prop_assert_eq!(client_address(ip(PEER), &headers(&[&line]), hops), ip("203.0.113.7"));
        }
    }
}
