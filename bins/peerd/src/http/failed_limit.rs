//! Wrong keys per address: after so many, no key from there is looked at for a while.
//!
//! A bucket per address holds the tries that are left and refills steadily. While it is empty, the public listener
//! does not even try the right key, or guessing would cost nothing. The admin listener does: its owner must not be
//! locked out by whoever else sends from the same machine, and its key is too long to be guessed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::problem::Problem;

/// How many wrong keys one address may send.
#[derive(Debug)]
pub struct FailedLimit {
    bounds: RwLock<Bounds>,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    max: u32,
    per: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tries: f64,
    at: Instant,
}

impl FailedLimit {
    /// At most `max` wrong keys at once and per `per`; a `max` of zero is no limit.
    pub fn new(max: u32, per: Duration) -> Self {
        Self { bounds: RwLock::new(Bounds { max, per }), buckets: Mutex::default() }
    }

    /// Changes how many are allowed, and forgives what came before.
    pub fn set(&self, max: u32, per: Duration) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = Bounds { max, per };
        buckets.clear();
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a key from this address may be looked at.
    ///
    /// # Errors
    /// How long until it may.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get(&network(address)) else { return Ok(()) };
        let bounds = self.bounds();
        let tries = bounds.tries(bucket, now);
        if tries >= 1.0 { Ok(()) } else { Err(bounds.per.mul_f64((1.0 - tries) / f64::from(bounds.max))) }
    }

    /// Counts a wrong key from this address.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bounds = self.bounds();
        if bounds.max == 0 {
            return;
        }
        if buckets.len() >= MAX_ADDRESSES {
            bounds.make_room(&mut buckets, now);
        }
        let bucket =
            buckets.entry(network(address)).or_insert(Bucket { tries: f64::from(bounds.max), at: now });
        *bucket = Bucket { tries: (bounds.tries(bucket, now) - 1.0).max(0.0), at: now };
    }
}

/// 429 for an address that has sent too many wrong keys.
pub(super) fn too_many_wrong_keys(wait: Duration) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-wrong-keys",
        "Too many wrong keys came from this address",
    )
    .with_retry_after(wait)
}

impl Bounds {
    /// The tries left by `now`.
    fn tries(self, bucket: &Bucket, now: Instant) -> f64 {
        let max = f64::from(self.max);
        let passed =
            now.saturating_duration_since(bucket.at).as_secs_f64() / self.per.as_secs_f64().max(1e-9);
        (bucket.tries + passed * max).min(max)
    }

    /// Forgets the addresses that are forgiven, and if those are few, the better half of the rest: one pass
    /// makes room for thousands.
    fn make_room(self, buckets: &mut HashMap<IpAddr, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.tries(bucket, now) < f64::from(self.max));
        if buckets.len() > MAX_ADDRESSES / 2 {
            let mut left: Vec<_> =
                buckets.iter().map(|(address, bucket)| (self.tries(bucket, now), *address)).collect();
            left.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
            for (_, address) in &left[MAX_ADDRESSES / 2..] {
                buckets.remove(address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 an IPv6 host can choose from at will.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Addresses remembered at once; a bound on memory.
const MAX_ADDRESSES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn after_the_last_try_the_address_waits_for_the_next_one() {
        let (limit, start, here) = (FailedLimit::new(20, MINUTE), Instant::now(), address("192.0.2.1"));
        for _ in 0..20 {
            assert_eq!(limit.check(here, start), Ok(()));
            limit.failed(here, start);
        }
        assert_eq!(limit.check(here, start), Err(Duration::from_secs(3)), "a twentieth of a minute");
        assert_eq!(limit.check(address("192.0.2.2"), start), Ok(()), "others are not concerned");
        assert_eq!(limit.check(here, start + Duration::from_secs(3)), Ok(()));
        limit.failed(here, start + Duration::from_secs(3));
        assert!(limit.check(here, start + Duration::from_secs(3)).is_err(), "one try came back, not twenty");
        assert_eq!(limit.check(here, start + 2 * MINUTE), Ok(()));
    }

    #[test]
    fn a_host_cannot_escape_within_its_own_network() {
        let (limit, now) = (FailedLimit::new(1, MINUTE), Instant::now());
        limit.failed(address("2001:db8:1:2::1"), now);
        assert!(limit.check(address("2001:db8:1:2:ffff::9"), now).is_err());
        assert!(limit.check(address("2001:db8:1:3::1"), now).is_ok());
        limit.failed(address("::ffff:192.0.2.7"), now);
        assert!(limit.check(address("192.0.2.7"), now).is_err(), "one address in two spellings");
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (limit, now) = (FailedLimit::new(2, MINUTE), Instant::now());
        let worst = address("198.51.100.1");
        limit.failed(worst, now);
        limit.failed(worst, now);
        for n in 0..10_000_u32 {
            limit.failed(IpAddr::V4(n.into()), now);
        }
        assert!(limit.check(worst, now).is_err());
        assert!(limit.buckets.lock().expect("not poisoned").len() <= MAX_ADDRESSES);
    }

    #[test]
    fn zero_is_no_limit() {
        let (limit, now, here) = (FailedLimit::new(0, MINUTE), Instant::now(), address("192.0.2.1"));
        for _ in 0..100 {
            limit.failed(here, now);
        }
        assert_eq!(limit.check(here, now), Ok(()));
    }
}
