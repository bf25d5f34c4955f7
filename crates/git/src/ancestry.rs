//! Whether a push goes on from where a branch was, read from the pack that has just arrived.
//!
//! Git answers the same question, but a process costs more than the answer: almost every push brings a few commits of
//! which the oldest names the old tip as its parent. Whatever is not that plain is left to git.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId as Id;
use gix_object::CommitRefIter;
use gix_pack::Bundle;
use gix_pack::cache::Never;
use gix_pack::data::entry::Header;
use gix_zlib::Inflate;

use crate::{ObjectFormat, ObjectId};

/// How many commits are looked at before git is asked.
const MAX_COMMITS: usize = 10_000;

/// How large a commit may be to be read here, in bytes. The pack comes from outside.
const MAX_COMMIT_BYTES: u64 = 64 * 1024;

/// Says whether the commits in `quarantine` show that `old` is an ancestor of `new`. No means only that git has to be
/// asked: the way may lead through commits that were there before. Blocks.
pub(crate) fn is_shown_by(quarantine: &Path, format: ObjectFormat, old: &ObjectId, new: &ObjectId) -> bool {
    let (Some(old), Some(new)) = (id(old), id(new)) else { return false };
    let Some(bundle) = only_bundle(quarantine, format) else { return false };
    let mut seen = HashSet::from([new]);
    let mut waiting = vec![new];
    while let Some(commit) = waiting.pop() {
        for parent in parents(&bundle, &commit).into_iter().flatten() {
            if parent == old {
                return true;
            }
            if seen.len() < MAX_COMMITS && seen.insert(parent) {
                waiting.push(parent);
            }
        }
    }
    false
}

fn id(id: &ObjectId) -> Option<Id> {
    Id::from_hex(id.as_str().as_bytes()).ok()
}

/// Returns the only pack that has arrived, if it can be read.
pub(crate) fn only_bundle(quarantine: &Path, format: ObjectFormat) -> Option<Bundle> {
    let hash = match format {
        ObjectFormat::Sha1 => gix_hash::Kind::Sha1,
        ObjectFormat::Sha256 => gix_hash::Kind::Sha256,
    };
    Bundle::at(only_index(quarantine)?, hash).ok()
}

/// Returns the index of the only pack. Every push arrives as one.
fn only_index(quarantine: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(quarantine.join("pack")).ok()?.flatten().map(|entry| entry.path());
    let mut indices = files.filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
    let index = indices.next()?;
    indices.next().is_none().then_some(index)
}

/// Returns the parents of a commit that has arrived whole, or as a difference from one that has.
fn parents(bundle: &Bundle, commit: &Id) -> Option<Vec<Id>> {
    let (pack, mut inflate, mut bytes) = (&bundle.pack, Inflate::default(), Vec::new());
    let entry = pack.entry(bundle.index.pack_offset_at_index(bundle.index.lookup(commit)?)).ok()?;
    let whole = match entry.header {
        Header::OfsDelta { base_distance } => {
            pack.entry(entry.checked_base_pack_offset(base_distance)?).ok()?
        }
        _ => entry.clone(),
    };
    let small = |bytes: u64| bytes <= MAX_COMMIT_BYTES;
    if whole.header != Header::Commit || !small(whole.decompressed_size) || !small(entry.decompressed_size) {
        return None;
    }
    let becomes = pack.decode_header(entry, &mut inflate, &|_| Ok(None)).ok()?;
    if !small(becomes.object_size) {
        return None;
    }
    bundle.find(commit, &mut bytes, &mut inflate, &mut Never).ok()??;
    Some(CommitRefIter::from_bytes(&bytes, commit.kind()).parent_ids().collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Commits `a`, `b`, `c`, `d` in a row, `e` beside them on `b`, and `m`, which merges `e` into `d`.
    struct History {
        folder: tempfile::TempDir,
        format: ObjectFormat,
    }

    impl History {
        fn new(format: ObjectFormat) -> History {
            let history = History { folder: tempfile::tempdir().unwrap(), format };
            history.git(&["init", "-q", &format!("--object-format={}", format.name())], "");
            let commit = |name: &str, parents: &[&str]| {
                let tree = history.git(&["mktree"], "");
                let parents: Vec<&str> = parents.iter().flat_map(|parent| ["-p", parent]).collect();
                let id = history.git(&[&["commit-tree", "-m", name, &tree][..], &parents].concat(), "");
                history.git(&["tag", name, &id], "");
            };
            commit("a", &[]);
            commit("b", &["a"]);
            commit("c", &["b"]);
            commit("d", &["c"]);
            commit("e", &["b"]);
            commit("m", &["d", "e"]);
            history
        }

        fn git(&self, arguments: &[&str], input: &str) -> String {
            let mut command = Command::new("git");
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "a@b.c");
            }
            let mut child = command
                .args(arguments)
                .current_dir(self.folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "git {arguments:?}");
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        }

        /// Packs what `revisions` reach into a quarantine.
        fn arrive(&self, quarantine: &Path, revisions: &str) {
            std::fs::create_dir_all(quarantine.join("pack")).unwrap();
            let pack = quarantine.join("pack/pack");
            self.git(
                &["pack-objects", "-q", "--revs", "--depth=1", "--delta-base-offset", pack.to_str().unwrap()],
                revisions,
            );
        }

        fn shows(&self, quarantine: &Path, old: &str, new: &str) -> bool {
            let id = |name| ObjectId::parse(&self.git(&["rev-parse", name], "")).unwrap();
            is_shown_by(quarantine, self.format, &id(old), &id(new))
        }
    }

    #[test]
    fn what_has_just_arrived_shows_that_a_push_goes_on() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let history = History::new(format);
            let quarantine = history.folder.path().join("quarantine");
            history.arrive(&quarantine, "m\n^b\n");
            for (old, new) in [("b", "d"), ("c", "d"), ("b", "m"), ("e", "m"), ("d", "m"), ("b", "e")] {
                assert!(history.shows(&quarantine, old, new), "{old} to {new}");
            }
            // The first leads through what was there before; the others are forced.
            for (old, new) in [("a", "d"), ("e", "d"), ("d", "e"), ("m", "b"), ("d", "c")] {
                assert!(!history.shows(&quarantine, old, new), "{old} to {new}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_git() {
        let history = History::new(ObjectFormat::Sha1);
        let quarantine = history.folder.path().join("quarantine");
        assert!(!history.shows(&quarantine, "b", "d"));
        history.arrive(&quarantine, "d\n^b\n");
        assert!(history.shows(&quarantine, "b", "d"));
        history.arrive(&quarantine, "e\n^b\n");
        assert!(!history.shows(&quarantine, "b", "d"));

        let damaged = history.folder.path().join("damaged");
        history.arrive(&damaged, "d\n^b\n");
        for entry in std::fs::read_dir(damaged.join("pack")).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "pack") {
                std::fs::remove_file(entry.path()).unwrap();
                std::fs::write(entry.path(), b"PACK\\0\\0\\0\\x02 and nothing more").unwrap();
            }
        }
        assert!(!history.shows(&damaged, "b", "d"));
    }
}
