//! The newest commits of a history, walked inside the process: for the pages that are asked for most, in a fraction of
//! the time that a process needs to begin.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use crate::objects::Objects;
use crate::{Commit, Error, ObjectId};

/// How many commits are walked here at most; further back, git is faster with its commit-graph.
pub(crate) const MAX_WALKED: u64 = 1000;

/// A commit whose turn comes by its time; of several at one time, that which was come upon first.
struct Waiting {
    order: (i64, Reverse<u64>),
    commit: Commit,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Objects {
    /// Returns the newest commits that are reached from `start`, itself included, in the order of `git rev-list`. Blocks.
    ///
    /// # Errors
    /// When one of them is not there or cannot be read.
    pub(crate) fn newest(
        &self,
        start: &ObjectId,
        first_parent: bool,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<Commit>, Error> {
        let (mut waiting, mut seen) = (BinaryHeap::new(), HashSet::new());
        let mut come_upon = |id: &ObjectId, waiting: &mut BinaryHeap<Waiting>| {
            if seen.insert(id.clone()) {
                let commit =
                    self.commit(id)?.ok_or_else(|| Error::internal(format!("the commit {id} is missing")))?;
                waiting.push(Waiting { order: (commit.committer.at, Reverse(seen.len() as u64)), commit });
            }
            Ok::<_, Error>(())
        };
        come_upon(start, &mut waiting)?;
        let (mut left, mut found) = (skip, Vec::new());
        while found.len() < limit as usize
            && let Some(Waiting { commit, .. }) = waiting.pop()
        {
            let followed = if first_parent { 1 } else { commit.parents.len() };
            for parent in commit.parents.iter().take(followed) {
                come_upon(parent, &mut waiting)?;
            }
            if left > 0 {
                left -= 1;
            } else {
                found.push(commit);
            }
        }
        Ok(found)
    }
}
