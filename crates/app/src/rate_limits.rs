//! Counts the requests of each token over the REST API, so that one client that runs wild does not take the forge from
//! the others.
//!
//! Windows of a minute begin with the clock's own minutes. Each process counts for itself: with several behind one
//! address, a token may make as many requests as that many processes allow.

use std::collections::HashMap;

use parking_lot::Mutex;
use portcullis_rules::id::TokenId;
use portcullis_rules::token::MICROSECONDS;

const WINDOW_SECONDS: i64 = 60;

const WINDOW: i64 = WINDOW_SECONDS * MICROSECONDS;

/// The requests of this minute, for each token that made any.
#[derive(Debug)]
pub struct RateLimits {
    limit: u32,
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    began_at: i64,
    requests: HashMap<TokenId, u32>,
}

/// How much of its limit a token has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many requests a minute allows.
    pub limit: u32,
    /// How many were made in this one, the present one included.
    pub observed: u32,
    /// When the next minute begins, in Unix seconds.
    pub reset_at: i64,
    /// How long it is until then, in seconds; never 0.
    pub reset_after: i64,
}

impl Allowance {
    /// Returns how many more requests this minute allows.
    pub fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.observed)
    }

    /// Returns whether the present request is one too many.
    pub fn is_exceeded(&self) -> bool {
        self.observed > self.limit
    }
}

impl RateLimits {
    /// Returns limits of `limit` requests a minute; 0 turns them off.
    pub fn new(limit: u32) -> RateLimits {
        RateLimits { limit, minute: Mutex::new(Minute::default()) }
    }

    /// Returns whether there is a limit.
    pub fn are_on(&self) -> bool {
        self.limit > 0
    }

    /// Counts a request of a token; nothing when there is no limit.
    pub fn count(&self, token: TokenId, now: i64) -> Option<Allowance> {
        if self.limit == 0 {
            return None;
        }
        let began_at = now - now.rem_euclid(WINDOW);
        let mut minute = self.minute.lock();
        if minute.began_at != began_at {
            // What was counted before is of no use any more, which also bounds how many tokens are remembered.
            *minute = Minute { began_at, requests: HashMap::new() };
        }
        let observed = minute.requests.entry(token).or_insert(0);
        *observed = observed.saturating_add(1);
        let reset_at = (began_at + WINDOW) / MICROSECONDS;
        Some(Allowance {
            limit: self.limit,
            observed: *observed,
            reset_at,
            reset_after: (reset_at - now.div_euclid(MICROSECONDS)).max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_limit_in_each_minute() {
        let limits = RateLimits::new(2);
        let at = 10 * WINDOW + 15 * MICROSECONDS;
        let first = limits.count(TokenId(1), at).unwrap();
        assert_eq!((first.observed, first.remaining(), first.is_exceeded()), (1, 1, false));
        assert_eq!((first.reset_at, first.reset_after), (660, 45));
        assert!(!limits.count(TokenId(1), at).unwrap().is_exceeded());
        let third = limits.count(TokenId(1), at).unwrap();
        assert_eq!((third.remaining(), third.is_exceeded()), (0, true));
        assert!(!limits.count(TokenId(2), at).unwrap().is_exceeded());
        let last = limits.count(TokenId(1), 11 * WINDOW - 1).unwrap();
        assert_eq!((last.is_exceeded(), last.reset_after), (true, 1));
        assert_eq!(limits.count(TokenId(1), 11 * WINDOW).unwrap().observed, 1);
    }

    #[test]
    fn nothing_is_counted_without_a_limit() {
        assert_eq!(RateLimits::new(0).count(TokenId(1), 0), None);
    }
}
