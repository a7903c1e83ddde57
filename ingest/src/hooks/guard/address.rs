//! Which networks a carrier's webhooks may come from.

use std::net::IpAddr;

use voice_postgres::accounts::IpPolicy;

/// A network in CIDR form. An IPv4 address in IPv6 clothes counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    base: IpAddr,
    prefix: u32,
}

impl Network {
    /// `192.0.2.0/24`, `2001:db8::/32`; an address alone is the network of that address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = address.trim().parse().ok()?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(width);
        (prefix <= width).then_some(Self { base, prefix })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let differs = match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => u128::from(base.to_bits() ^ address.to_bits()) << 96,
            (IpAddr::V6(base), IpAddr::V6(address)) => base.to_bits() ^ address.to_bits(),
            _ => return false,
        };
        differs.leading_zeros() >= self.prefix
    }
}

/// What the second layer says about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Of the carrier, or nobody looks.
    Known,
    /// Not of the carrier; let in and counted.
    Unknown,
    /// Not of the carrier; refused.
    Refused,
}

/// Judges a client's address by an account's policy. An account that enforces an empty list lets nobody in.
pub(crate) fn judge(policy: IpPolicy, networks: &[Network], client: IpAddr) -> Verdict {
    let known = || networks.iter().any(|network| network.contains(client));
    match policy {
        IpPolicy::Off => Verdict::Known,
        _ if known() => Verdict::Known,
        IpPolicy::Log => Verdict::Unknown,
        IpPolicy::Enforce => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_neighbour() {
        let telnyx = network("192.76.120.192/27");
        for inside in ["192.76.120.192", "192.76.120.223", "::ffff:192.76.120.200"] {
            assert!(telnyx.contains(ip(inside)), "{inside}");
        }
        for outside in [
            "192.76.120.191",
            "192.76.120.224",
            "::192.76.120.200",
            "2001:db8::1",
        ] {
            assert!(!telnyx.contains(ip(outside)), "{outside}");
        }
        assert!(network("2001:db8::/32").contains(ip("2001:db8:ffff::1")));
        assert!(!network("2001:db8::/32").contains(ip("2001:db9::1")));
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(network("203.0.113.9").contains(ip("203.0.113.9")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/x",
            "10.0.0.0/-1",
            "example.com",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_policy_decides_what_an_unknown_address_means() {
        let networks = [network("192.0.2.0/24")];
        let (theirs, other) = (ip("192.0.2.7"), ip("198.51.100.7"));
        for policy in [IpPolicy::Enforce, IpPolicy::Log, IpPolicy::Off] {
            assert_eq!(judge(policy, &networks, theirs), Verdict::Known);
        }
        assert_eq!(judge(IpPolicy::Enforce, &networks, other), Verdict::Refused);
        assert_eq!(judge(IpPolicy::Log, &networks, other), Verdict::Unknown);
        assert_eq!(judge(IpPolicy::Off, &networks, other), Verdict::Known);
        assert_eq!(judge(IpPolicy::Enforce, &[], theirs), Verdict::Refused);
    }

    proptest! {
        #[test]
        fn a_v4_network_agrees_with_arithmetic(base: u32, address: u32, prefix in 0_u32..=32) {
            let network = network(&format!("{}/{prefix}", std::net::Ipv4Addr::from(base)));
            let size = 1_u64 << (32 - prefix);
            let same = u64::from(base) / size == u64::from(address) / size;
            prop_assert_eq!(network.contains(IpAddr::V4(address.into())), same);
        }
    }
}
