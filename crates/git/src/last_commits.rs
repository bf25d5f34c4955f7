//! Which commit changed a path last, remembered: the answer costs a walk through history and never changes.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::{ObjectId, RepositoryPath};

/// How much is remembered, in bytes.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// What an entry takes beside its path and its ids, in bytes, roughly.
const ENTRY_BYTES: usize = 200;

/// How many entries are expected.
const EXPECTED: usize = 4096;

/// A repository, the commit from which one looks, and a path. The repository is part of it so that how long an answer
/// takes says nothing about other repositories.
type Key = (i64, ObjectId, String);

/// The answers of one engine.
pub(crate) struct LastCommits(Cache<Key, Option<ObjectId>, Bytes>);

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Option<ObjectId>> for Bytes {
    fn weight(&self, (_, commit, path): &Key, found: &Option<ObjectId>) -> u64 {
        let found = found.as_ref().map_or(0, |id| id.as_str().len());
        (ENTRY_BYTES + commit.as_str().len() + path.len() + found) as u64
    }
}

impl LastCommits {
    pub(crate) fn new() -> LastCommits {
        LastCommits(Cache::with_weighter(EXPECTED, MAX_BYTES, Bytes))
    }

    /// Returns the answer, if it is known.
    pub(crate) fn get(&self, id: i64, commit: &ObjectId, path: &RepositoryPath) -> Option<Option<ObjectId>> {
        self.0.get(&key(id, commit, path))
    }

    /// Remembers the answer.
    pub(crate) fn remember(
        &self,
        id: i64,
        commit: &ObjectId,
        path: &RepositoryPath,
        found: Option<ObjectId>,
    ) {
        self.0.insert(key(id, commit, path), found);
    }
}

fn key(id: i64, commit: &ObjectId, path: &RepositoryPath) -> Key {
    (id, commit.clone(), path.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repository_commit_and_path_has_its_own_answer_and_there_are_not_too_many() {
        let (known, path) = (LastCommits::new(), RepositoryPath::parse("a/b").unwrap());
        let ids: Vec<_> = ["a", "b"].iter().filter_map(|digit| ObjectId::parse(&digit.repeat(40))).collect();
        known.remember(1, &ids[0], &path, Some(ids[1].clone()));
        assert_eq!(known.get(1, &ids[0], &path), Some(Some(ids[1].clone())));
        assert_eq!(known.get(2, &ids[0], &path), None);
        assert_eq!(known.get(1, &ids[1], &path), None);
        assert_eq!(known.get(1, &ids[0], &RepositoryPath::parse("a/c").unwrap()), None);
        for number in 0..100_000 {
            known.remember(number, &ids[0], &path, None);
        }
        assert!(known.0.weight() <= MAX_BYTES);
    }
}
