//! Remembers which tokens were used, and writes it down later, off the request's own path.
//!
//! `last_used_at` is written at most once in ten minutes for each token. What is not written yet when the process dies
//! is lost, which is the one thing that may be: it is an aid to people, not a fact that anything is decided by.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use portcullis_rules::id::{SessionId, TokenId};
use portcullis_rules::token::MICROSECONDS;

/// How exact `last_used_at` is, in microseconds.
pub const PRECISION: i64 = 10 * 60 * MICROSECONDS;

/// How exact a session's last use is, in microseconds.
pub const SESSION_PRECISION: i64 = 60 * MICROSECONDS;

/// How many uses may wait to be written.
const MAX_WAITING: usize = 100_000;

/// When a token was used, and from where.
type Use = (i64, Option<IpAddr>);

/// Uses that are not written down yet.
#[derive(Debug, Default)]
pub struct LastUse {
    waiting: Mutex<HashMap<TokenId, Use>>,
    sessions: Mutex<HashMap<SessionId, i64>>,
}

impl LastUse {
    /// Notes that a token was used at `now` from an address, unless that would change nothing.
    pub fn note(&self, token: TokenId, recorded: Option<i64>, now: i64, address: Option<IpAddr>) {
        if recorded.is_some_and(|at| now - at < PRECISION) {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.entry(token).or_insert((now, address));
        }
    }

    /// Notes that a session was used at `now`, unless that would change nothing.
    pub fn note_session(&self, session: SessionId, recorded: i64, now: i64) {
        if now - recorded < SESSION_PRECISION {
            return;
        }
        let mut waiting = self.sessions.lock();
        if waiting.len() < MAX_WAITING {
            waiting.entry(session).or_insert(now);
        }
    }

    /// Takes every noted use of a session away to be written.
    pub(crate) fn take_sessions(&self) -> Vec<(SessionId, i64)> {
        self.sessions.lock().drain().collect()
    }

    /// Takes up to `most` uses away to be written.
    pub(crate) fn take(&self, most: usize) -> Vec<(TokenId, Use)> {
        let mut waiting = self.waiting.lock();
        let taken: Vec<_> = waiting.iter().take(most).map(|(token, at)| (*token, *at)).collect();
        for (token, _) in &taken {
            waiting.remove(token);
        }
        taken
    }
}
