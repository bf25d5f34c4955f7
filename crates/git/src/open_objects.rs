//! Object databases that stay open for a moment.
//!
//! To open one is to list its packs and to map their indexes, which is half the work of a small read. So the one that a
//! read has done with is kept for the next read of the same repository, until its packs have changed or nobody has asked
//! for seconds. What is kept holds no content, only places in files; an object that has come since is looked for on disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use crate::objects::Objects;
use crate::{Error, ObjectFormat};

/// How many are kept open at most, of all repositories together.
const MAX_KEPT: usize = 32;

/// After this time without a read it is closed; at the latest after twice of it.
const IDLE: Duration = Duration::from_secs(5);

/// The open object databases of one engine.
#[derive(Default)]
pub(crate) struct OpenObjects {
    kept: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// In the order in which they were put back.
    databases: Vec<Kept>,
    /// Whether a task looks after them.
    watched: bool,
}

struct Kept {
    repository: i64,
    packs: Packs,
    objects: Objects,
    /// Whether it was put back since the last look.
    fresh: bool,
}

/// What tells one state of the folder of packs from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Packs {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Packs {
    fn of(repository: &Path) -> io::Result<Packs> {
        let data = fs::metadata(repository.join("objects/pack"))?;
        Ok(Packs { inode: data.ino(), seconds: data.mtime(), nanoseconds: data.mtime_nsec() })
    }
}

impl OpenObjects {
    /// Does something with the objects of a repository. Blocks; must be called where a task can be started.
    ///
    /// # Errors
    /// When they cannot be opened, or the error of the work.
    pub(crate) fn with<T>(
        self: &Arc<OpenObjects>,
        id: i64,
        repository: &Path,
        format: ObjectFormat,
        work: impl FnOnce(&Objects) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Looked at before opening: what changes in between is seen by the next who asks.
        let packs = Packs::of(repository).map_err(Error::io("looking at the packs of a repository"))?;
        let objects = match self.take(id, packs) {
            Some(objects) => objects,
            None => Objects::open(repository.to_owned(), format)?,
        };
        let done = work(&objects)?;
        // After an error nothing is kept: the next read begins anew.
        self.put_back(Kept { repository: id, packs, objects, fresh: true });
        Ok(done)
    }

    /// Closes what is kept of a repository.
    pub(crate) fn forget(&self, id: i64) {
        let forgotten: Vec<_> = self.shelf().databases.extract_if(.., |kept| kept.repository == id).collect();
        drop(forgotten);
    }

    fn take(&self, id: i64, packs: Packs) -> Option<Objects> {
        let mut shelf = self.shelf();
        let at = shelf.databases.iter().rposition(|kept| kept.repository == id)?;
        let kept = shelf.databases.remove(at);
        drop(shelf);
        (kept.packs == packs).then_some(kept.objects)
    }

    fn put_back(self: &Arc<OpenObjects>, kept: Kept) {
        let mut shelf = self.shelf();
        let crowded = shelf.databases.len() >= MAX_KEPT;
        let oldest = crowded.then(|| shelf.databases.remove(0));
        shelf.databases.push(kept);
        let unwatched = !std::mem::replace(&mut shelf.watched, true);
        drop(shelf);
        drop(oldest);
        if unwatched {
            tokio::spawn(Arc::clone(self).watch());
        }
    }

    /// Closes what nobody has asked for, until nothing is left.
    async fn watch(self: Arc<OpenObjects>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut shelf = self.shelf();
            let idle: Vec<_> =
                shelf.databases.extract_if(.., |kept| !std::mem::take(&mut kept.fresh)).collect();
            shelf.watched = !shelf.databases.is_empty();
            let watched = shelf.watched;
            drop(shelf);
            drop(idle);
            if !watched {
                return;
            }
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.shelf().databases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let made =
            std::process::Command::new("git").args(["init", "--quiet", "--bare"]).arg(folder.path()).status();
        assert!(made.unwrap().success());
        folder
    }

    fn read(open: &Arc<OpenObjects>, id: i64, folder: &Path) {
        open.with(id, folder, ObjectFormat::Sha1, |_| Ok(())).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_closed() {
        let (open, folder) = (Arc::new(OpenObjects::default()), repository());
        for _ in 0..3 {
            read(&open, 1, folder.path());
            assert_eq!(open.kept(), 1, "one at a time needs one");
        }
        tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
        read(&open, 1, folder.path());
        tokio::time::sleep(IDLE).await;
        assert_eq!(open.kept(), 1, "it was asked for since");
        tokio::time::sleep(IDLE * 2).await;
        assert_eq!(open.kept(), 0);
        read(&open, 1, folder.path());
        tokio::time::sleep(IDLE * 3).await;
        assert_eq!(open.kept(), 0, "it is looked after the second time too");
    }

    #[tokio::test]
    async fn changed_packs_are_opened_anew() {
        let (open, folder) = (Arc::new(OpenObjects::default()), repository());
        read(&open, 1, folder.path());
        let before = Packs::of(folder.path()).unwrap();
        fs::write(folder.path().join("objects/pack/x"), "x").unwrap();
        let after = Packs { nanoseconds: before.nanoseconds + 1, ..before };
        assert!(open.take(1, after).is_none());
        assert_eq!(open.kept(), 0, "what is behind is closed");
    }

    #[tokio::test]
    async fn each_repository_has_its_own_and_there_are_not_too_many() {
        let (open, folders) = (Arc::new(OpenObjects::default()), [repository(), repository()]);
        for (id, folder) in folders.iter().enumerate() {
            open.with(id as i64, folder.path(), ObjectFormat::Sha1, |_| Ok(())).unwrap();
        }
        let found = open
            .with(0, folders[0].path(), ObjectFormat::Sha1, |objects| Ok(objects.repository().to_owned()));
        assert_eq!(found.unwrap(), folders[0].path());
        open.forget(0);
        assert_eq!(open.kept(), 1);
        for id in 2..100 {
            read(&open, id, folders[1].path());
        }
        assert_eq!(open.kept(), MAX_KEPT);
    }

    #[tokio::test]
    async fn what_failed_is_not_kept() {
        let (open, folder) = (Arc::new(OpenObjects::default()), repository());
        let failed: Result<(), _> =
            open.with(1, folder.path(), ObjectFormat::Sha1, |_| Err(Error::internal("damaged")));
        assert!(failed.is_err());
        assert_eq!(open.kept(), 0);
    }
}
