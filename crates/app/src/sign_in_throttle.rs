//! Counts wrong passwords for each name and each address, so that guessing gets nowhere.
//!
//! An attempt counts before the password is looked at, so that many at once are not more than one after the other. It
//! counts the same whether there is such a person or not. What is counted is known to this process alone.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use portcullis_rules::token::MICROSECONDS;

/// Attempts are counted over this long, in microseconds.
const WINDOW: i64 = 10 * 60 * MICROSECONDS;

/// How many names and addresses are remembered.
const MAX_KEYS: usize = 20_000;

/// How much of a name is compared, in characters.
const MAX_NAME_CHARACTERS: usize = 100;

/// An address may stand for a whole office, so it has this many times as many attempts as a name.
const ADDRESS_FACTOR: u32 = 5;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(IpAddr),
}

/// The attempts of the last minutes.
#[derive(Debug)]
pub struct SignInThrottle {
    limit: u32,
    attempts: Mutex<HashMap<Key, (i64, u32)>>,
}

impl SignInThrottle {
    /// Returns a throttle that allows `limit` wrong passwords for a name in ten minutes; 0 turns it off.
    pub fn new(limit: u32) -> SignInThrottle {
        SignInThrottle { limit, attempts: Mutex::new(HashMap::new()) }
    }

    fn keys(&self, name: &str, address: Option<IpAddr>) -> impl Iterator<Item = (Key, u32)> + use<> {
        let name: String = name.trim().to_lowercase().chars().take(MAX_NAME_CHARACTERS).collect();
        let limit = self.limit;
        let address = address.map(|address| (Key::Address(address), limit.saturating_mul(ADDRESS_FACTOR)));
        std::iter::once((Key::Name(name), limit)).chain(address)
    }

    /// Counts an attempt, or returns how many seconds there are to wait before the next one.
    pub fn attempt(&self, name: &str, address: Option<IpAddr>, now: i64) -> Option<u64> {
        if self.limit == 0 {
            return None;
        }
        let mut attempts = self.attempts.lock();
        if attempts.len() >= MAX_KEYS {
            attempts.retain(|_, (since, _)| now - *since < WINDOW);
            if attempts.len() >= MAX_KEYS {
                // Rather nobody signs in for a while than anybody guesses on.
                return Some(60);
            }
        }
        let mut wait = None;
        for (key, limit) in self.keys(name, address) {
            let (since, count) = attempts.get(&key).copied().unwrap_or((now, 0));
            let left = since + WINDOW - now;
            if count >= limit && left > 0 {
                wait = wait.max(u64::try_from(left / MICROSECONDS + 1).ok());
            }
        }
        if wait.is_none() {
            for (key, _) in self.keys(name, address) {
                let entry = attempts.entry(key).or_insert((now, 0));
                if now - entry.0 >= WINDOW {
                    *entry = (now, 0);
                }
                entry.1 += 1;
            }
        }
        wait
    }

    /// Forgets the attempts for a name that succeeded, and takes back the one that this address had.
    pub fn forget(&self, name: &str, address: Option<IpAddr>) {
        let mut attempts = self.attempts.lock();
        for (key, _) in self.keys(name, address) {
            match key {
                Key::Name(_) => {
                    attempts.remove(&key);
                }
                // Somebody with an account of their own must not be able to go on guessing for others.
                Key::Address(_) => {
                    if let Some((_, count)) = attempts.get_mut(&key) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_waits_after_too_many_attempts_from_anywhere() {
        let throttle = SignInThrottle::new(3);
        for last in 1..=3 {
            assert_eq!(throttle.attempt("Maria", Some(IpAddr::from([192, 0, 2, last])), 0), None);
        }
        assert!(throttle.attempt("maria ", Some(IpAddr::from([192, 0, 2, 9])), 1).is_some());
        assert_eq!(throttle.attempt("jo", Some(IpAddr::from([192, 0, 2, 9])), 1), None);
        assert_eq!(throttle.attempt("maria", None, WINDOW + 1), None);
    }

    #[test]
    fn an_address_waits_whatever_names_it_tries_and_a_success_frees_only_its_own_attempt() {
        let throttle = SignInThrottle::new(2);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for number in 0..9 {
            assert_eq!(throttle.attempt(&format!("name{number}"), address, 0), None);
        }
        assert_eq!(throttle.attempt("own", address, 0), None);
        throttle.forget("own", address);
        assert_eq!(throttle.attempt("another", address, 0), None);
        assert!(throttle.attempt("one-more", address, 0).is_some());
        assert_eq!(throttle.attempt("one-more", None, 0), None);
    }
}
