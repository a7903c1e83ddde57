//! How often one address may ask, whatever for.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use voice_resilience::{Quota, RateLimiter, RetryAfter};

/// The limit per client address. An IPv6 client is its /64: whoever has one has all of it.
#[derive(Debug)]
pub(crate) struct AddressGuard(RateLimiter<IpAddr>);

impl AddressGuard {
    pub(crate) fn new(per_second: u32, addresses: usize) -> Self {
        Self(RateLimiter::new(Quota::per_second(per_second), addresses))
    }

    /// Counts one request of `client`.
    ///
    /// # Errors
    /// When it is one too many.
    pub(crate) fn check(&self, client: IpAddr, now: DateTime<Utc>) -> Result<(), RetryAfter> {
        self.0.check(&bucket(client), now)
    }
}

fn bucket(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_v6_network_share_a_bucket_and_v4_addresses_do_not() {
        let guard = AddressGuard::new(1, 100);
        let ask = |text: &str| guard.check(text.parse().unwrap(), DateTime::UNIX_EPOCH);
        assert_eq!(ask("2001:db8::1"), Ok(()));
        assert!(ask("2001:db8::2").is_err());
        assert_eq!(ask("2001:db8:0:1::1"), Ok(()));
        assert_eq!(ask("192.0.2.1"), Ok(()));
        assert_eq!(ask("192.0.2.2"), Ok(()));
        assert!(ask("::ffff:192.0.2.1").is_err());
    }
}
