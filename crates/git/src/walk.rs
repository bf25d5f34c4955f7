//! The newest commits of a history, walked inside the process: for the pages that are asked for most, in a fraction of
//! the time that a process needs to begin.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use gix_hash::ObjectId as Id;

use crate::objects::{Objects, name_of};
use crate::{Commit, Error, ObjectId};

/// How many commits are walked here at most; further back, a process does not matter any more.
pub(crate) const MAX_WALKED: u64 = 20_000;

/// What a walk has to know of a commit.
struct Step {
    id: Id,
    /// When it was committed, in Unix seconds.
    at: i64,
    parents: Vec<Id>,
}

/// A commit whose turn comes by its time; of several at one time, that which was come upon first.
struct Waiting {
    order: (i64, Reverse<u64>),
    step: Step,
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
        let mut come_upon = |id: Id, waiting: &mut BinaryHeap<Waiting>| {
            if seen.insert(id) {
                let step = self.step(id)?;
                waiting.push(Waiting { order: (step.at, Reverse(seen.len() as u64)), step });
            }
            Ok::<_, Error>(())
        };
        come_upon(self.own(start).ok_or_else(|| missing(start))?, &mut waiting)?;
        let (mut left, mut found) = (skip, Vec::new());
        while found.len() < limit as usize
            && let Some(Waiting { step, .. }) = waiting.pop()
        {
            let followed = if first_parent { 1 } else { step.parents.len() };
            for parent in step.parents.iter().take(followed) {
                come_upon(*parent, &mut waiting)?;
            }
            if left > 0 {
                left -= 1;
            } else {
                let id = name_of(&step.id)?;
                found.push(self.commit(&id)?.ok_or_else(|| missing(&id))?);
            }
        }
        Ok(found)
    }

    /// Returns what a walk has to know of a commit: from the commit-graph, or else from the commit itself.
    fn step(&self, id: Id) -> Result<Step, Error> {
        if let Some((graph, known)) = self.graph().and_then(|graph| Some((graph, graph.commit_by_id(id)?))) {
            let at = known.committer_timestamp().try_into().unwrap_or(i64::MAX);
            let parents: Result<_, _> =
                known.iter_parents().map(|parent| parent.map(|at| graph.id_at(at).to_owned())).collect();
            // A damaged graph is no reason to give up: what it was made from is there.
            if let Ok(parents) = parents {
                return Ok(Step { id, at, parents });
            }
        }
        let name = name_of(&id)?;
        let commit = self.commit(&name)?.ok_or_else(|| missing(&name))?;
        let parents = commit.parents.iter().filter_map(|parent| self.own(parent)).collect();
        Ok(Step { id, at: commit.committer.at.div_euclid(1_000_000), parents })
    }
}

fn missing(id: &ObjectId) -> Error {
    Error::internal(format!("the commit {id} is missing"))
}
