//! Where a tenant's webhooks may go: to the public internet, and never into our own networks.
//!
//! Pure. A URL is judged twice: by itself before anything is resolved, and by every address its name resolves to
//! before the connection, which must then be made to one of those addresses and to no other: a name may answer
//! differently the next time. Redirects are URLs like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why a webhook is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Only HTTPS carries what callers say.
    #[error("only https is allowed")]
    Scheme,
    /// Names and passwords belong into headers.
    #[error("the URL carries credentials")]
    Credentials,
    /// Services of other kinds answer on other ports.
    #[error("only the ports 443 and 8443 are allowed")]
    Port,
    /// No host, or one that means this machine or network.
    #[error("the host is not on the public internet")]
    Host,
    /// The address is not on the public internet.
    #[error("the address is not on the public internet")]
    Address,
}

impl Forbidden {
    /// A stable label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Credentials => "credentials",
            Self::Port => "port",
            Self::Host => "host",
            Self::Address => "address",
        }
    }
}

/// Judges a URL before its name is resolved.
///
/// # Errors
/// When it must not be called.
pub fn check_url(url: &Url) -> Result<(), Forbidden> {
    if url.scheme() != "https" {
        return Err(Forbidden::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Credentials);
    }
    if !matches!(url.port(), None | Some(443 | 8443)) {
        return Err(Forbidden::Port);
    }
    match url.host() {
        None => Err(Forbidden::Host),
        Some(Host::Ipv4(address)) => check_address(address.into()),
        Some(Host::Ipv6(address)) => check_address(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let ours = ["localhost", "local", "internal", "intranet", "home.arpa", "lan"];
            let within = |zone: &&str| name == **zone || name.ends_with(&format!(".{zone}"));
            // A name without a dot is looked up in the search domains of this network.
            if !name.contains('.') || ours.iter().any(within) {
                return Err(Forbidden::Host);
            }
            Ok(())
        }
    }
}

/// Judges an address a name resolved to. All of a name's must pass.
///
/// # Errors
/// When it is not on the public internet (IANA's special-purpose registries).
pub fn check_address(address: IpAddr) -> Result<(), Forbidden> {
    let public = match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    if public { Ok(()) } else { Err(Forbidden::Address) }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        // Carrier-grade NAT, protocol assignments, 6to4 relays, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address in disguise is judged as what it is.
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    // Of all of it only 2000::/3 is given out; within it some is special.
    let global = segments[0] & 0xe000 == 0x2000;
    let teredo_and_friends = segments[0] == 0x2001 && segments[1] < 0x0200;
    let documentation = (segments[0] == 0x2001 && segments[1] == 0x0db8) || segments[0] == 0x3fff;
    let six_to_four = segments[0] == 0x2002;
    global && !teredo_and_friends && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(url: &str) -> Result<(), &'static str> {
        check_url(&url.parse().unwrap()).map_err(Forbidden::kind)
    }

    #[test]
    fn only_https_to_a_public_name_is_called() {
        assert_eq!(judged("https://hooks.example.com/call?x=1"), Ok(()));
        assert_eq!(judged("https://hooks.example.com:8443/"), Ok(()));
        for (url, kind) in [
            ("http://hooks.example.com/", "scheme"),
            ("https://user:secret@hooks.example.com/", "credentials"),
            ("https://hooks.example.com:22/", "port"),
            ("https://localhost/", "host"),
            ("https://Metadata.Google.Internal./", "host"),
            ("https://postgres/", "host"),
            ("https://127.0.0.1/", "address"),
            ("https://2130706433/", "address"),
            ("https://0x7f.1/", "address"),
            ("https://169.254.169.254/latest/meta-data/", "address"),
            ("https://[::1]/", "address"),
            ("https://[::ffff:10.0.0.1]/", "address"),
        ] {
            assert_eq!(judged(url), Err(kind), "{url}");
        }
    }

    #[test]
    fn what_a_name_resolves_to_is_judged_too() {
        for address in ["93.184.215.14", "2606:4700::1111", "100.63.0.1"] {
            assert_eq!(check_address(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert_eq!(
                check_address(address.parse().unwrap()),
                Err(Forbidden::Address),
                "{address}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_address_in_disguise_is_judged_like_itself(address in any::<u32>()) {
            let plain = Ipv4Addr::from(address);
            prop_assert_eq!(check_address(plain.into()), check_address(plain.to_ipv6_mapped().into()));
        }
    }
}
