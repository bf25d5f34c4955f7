//! Counts failed authentications for each address, so that guessing is slowed down.
//!
//! It protects the log and the database more than the tokens, whose secrets cannot be guessed. A success resets the
//! count, because Git always fails once first; a request without any credential does not count.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use portcullis_rules::token::MICROSECONDS;

const WINDOW: i64 = 60 * MICROSECONDS;

/// How many addresses are remembered; past it the oldest windows are dropped first.
const MAX_ADDRESSES: usize = 10_000;

/// The failures of the last minute, for each address.
#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    failures: Mutex<HashMap<IpAddr, (i64, u32)>>,
}

impl Throttle {
    /// Returns a throttle that allows `limit` failures a minute; 0 turns it off.
    pub fn new(limit: u32) -> Throttle {
        Throttle { limit, failures: Mutex::new(HashMap::new()) }
    }

    /// Returns how many seconds `address` has to wait, if it failed too often.
    pub fn is_over(&self, address: Option<IpAddr>, now: i64) -> Option<u64> {
        let address = address?;
        if self.limit == 0 {
            return None;
        }
        let failures = self.failures.lock();
        let (since, count) = *failures.get(&address)?;
        let left = since + WINDOW - now;
        (count >= self.limit && left > 0).then(|| u64::try_from(left / MICROSECONDS + 1).unwrap_or(1))
    }

    /// Counts a failure.
    pub fn note_failure(&self, address: Option<IpAddr>, now: i64) {
        let Some(address) = address.filter(|_| self.limit > 0) else { return };
        let mut failures = self.failures.lock();
        if failures.len() >= MAX_ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, (since, _)| now - *since < WINDOW);
            if failures.len() >= MAX_ADDRESSES {
                failures.clear();
            }
        }
        let entry = failures.entry(address).or_insert((now, 0));
        if now - entry.0 >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }

    /// Forgets the failures of an address that succeeded.
    pub fn forget(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            let mut failures = self.failures.lock();
            if !failures.is_empty() {
                failures.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_after_too_many_failures_and_a_success_resets() {
        let throttle = Throttle::new(3);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..3 {
            assert_eq!(throttle.is_over(address, 0), None);
            throttle.note_failure(address, 0);
        }
        assert!(throttle.is_over(address, 1).is_some());
        assert_eq!(throttle.is_over(Some(IpAddr::from([192, 0, 2, 2])), 1), None);
        assert_eq!(throttle.is_over(address, WINDOW + 1), None);
        throttle.note_failure(address, 2);
        throttle.forget(address);
        assert_eq!(throttle.is_over(address, 3), None);
    }
}
