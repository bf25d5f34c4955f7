//! Where repositories lie, and how they come and go.
//!
//! A repository is named by the number of its project and lies under a hash of it. Nothing that a person chose ever
//! becomes part of a path. A new repository is put together elsewhere and appears by one rename; a deleted one
//! disappears the same way; so no half repository is ever seen, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::command::make_private_dir;
use crate::{Error, ObjectFormat};

/// Unfinished repositories older than this belong to a process that has died.
const UNFINISHED_AFTER: Duration = Duration::from_secs(60 * 60);

/// The folders below the root.
pub(crate) struct Layout {
    repositories: PathBuf,
    fresh: PathBuf,
    trash: PathBuf,
    own: PathBuf,
    next: AtomicU64,
}

impl Layout {
    /// Makes the folders. The root is resolved first, because git compares paths by their resolved form.
    pub(crate) fn prepare(root: &Path) -> Result<Layout, Error> {
        make_private_dir(root)?;
        let root = root.canonicalize().map_err(Error::io(format!("resolving {}", root.display())))?;
        let layout = Layout {
            repositories: root.join("@h"),
            fresh: root.join("@new"),
            trash: root.join("@trash"),
            own: root.join("@server"),
            next: AtomicU64::new(0),
        };
        for folder in [&layout.repositories, &layout.fresh, &layout.trash, &layout.own] {
            make_private_dir(folder)?;
        }
        Ok(layout)
    }

    /// Returns the folder that belongs to the engine itself.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// Returns where the repository with that id is, or would be.
    pub(crate) fn repository(&self, id: i64) -> PathBuf {
        let digest = Sha256::digest(id.to_string().as_bytes());
        let mut name = String::with_capacity(68);
        for byte in digest {
            use std::fmt::Write;
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let mut path = self.repositories.join(&name[..2]);
        path.push(&name[2..4]);
        name.push_str(".git");
        path.push(name);
        path
    }

    /// Says whether the repository is there. A link in its place is not a repository.
    ///
    /// One `lstat` costs a few microseconds, less than handing it to another thread would.
    pub(crate) fn exists(&self, id: i64) -> bool {
        fs::symlink_metadata(self.repository(id)).is_ok_and(|data| data.is_dir())
    }

    /// Makes an empty repository. Blocks.
    pub(crate) fn create(&self, id: i64, format: ObjectFormat, head: &str) -> Result<(), Error> {
        let place = self.repository(id);
        if fs::symlink_metadata(&place).is_ok() {
            return Err(Error::AlreadyExists);
        }
        let fresh = self.fresh.join(self.unique(id));
        let made = fill(&fresh, format, head).and_then(|()| self.publish(&fresh, &place));
        if made.is_err() {
            // What cannot be removed now is removed with the trash.
            let _ = fs::remove_dir_all(&fresh);
        }
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Error::AlreadyExists,
            _ => Error::io(format!("making repository {id}"))(error),
        })
    }

    fn publish(&self, fresh: &Path, place: &Path) -> io::Result<()> {
        // Two levels of folders may be new as well; each name is durable only once its folder is.
        let folder = place.parent().unwrap_or(&self.repositories);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Renaming onto a repository fails, because it is not empty.
        fs::rename(fresh, place)?;
        for above in folder.ancestors().take_while(|path| path.starts_with(&self.repositories)) {
            sync_folder(above)?;
        }
        Ok(())
    }

    /// Moves a repository to the trash and returns where it is now, if it was there. Blocks.
    pub(crate) fn discard(&self, id: i64) -> Result<Option<PathBuf>, Error> {
        let place = self.repository(id);
        let trash = self.trash.join(self.unique(id));
        match fs::rename(&place, &trash) {
            Ok(()) => {
                let synced = place.parent().map_or(Ok(()), sync_folder);
                synced.map_err(Error::io(format!("deleting repository {id}")))?;
                Ok(Some(trash))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("deleting repository {id}"))(error)),
        }
    }

    /// Removes what lies in the trash and what was never finished. Blocks. Returns how many repositories went.
    pub(crate) fn empty_trash(&self) -> Result<usize, Error> {
        let doing = || Error::io("emptying the trash");
        let now = file_system_time(&self.own).map_err(doing())?;
        let mut removed = 0;
        for (folder, old_enough) in [(&self.trash, Duration::ZERO), (&self.fresh, UNFINISHED_AFTER)] {
            for entry in fs::read_dir(folder).map_err(doing())? {
                let entry = entry.map_err(doing())?;
                let changed = entry.metadata().and_then(|data| data.modified());
                let age = changed.ok().and_then(|changed| now.duration_since(changed).ok());
                if age.unwrap_or_default() < old_enough {
                    continue;
                }
                match fs::remove_dir_all(entry.path()) {
                    Ok(()) => removed += 1,
                    // Another process empties the same trash.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(doing()(error)),
                }
            }
        }
        Ok(removed)
    }

    /// Returns a name that no other repository on its way in or out has.
    fn unique(&self, id: i64) -> String {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("{id}-{}-{n}", std::process::id());
            // A process with our number may have died here before.
            if !self.fresh.join(&name).exists() && !self.trash.join(&name).exists() {
                return name;
            }
        }
    }
}

/// Writes an empty bare repository, as `git init --bare` would, without what only people need.
fn fill(path: &Path, format: ObjectFormat, head: &str) -> io::Result<()> {
    let folders = ["", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"];
    for folder in folders {
        fs::DirBuilder::new().mode(0o700).create(path.join(folder))?;
    }
    let config = match format {
        ObjectFormat::Sha1 => "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
        ObjectFormat::Sha256 => {
            "[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare = true\n\
             [extensions]\n\tobjectformat = sha256\n"
        }
    };
    write_new(&path.join("config"), config.as_bytes())?;
    write_new(&path.join("HEAD"), head_text(head).as_bytes())?;
    for folder in folders {
        sync_folder(&path.join(folder))?;
    }
    Ok(())
}

fn head_text(branch: &str) -> String {
    format!("ref: {branch}\n")
}

/// Points `HEAD` at another branch, with git's own way of locking a file: whoever can create `HEAD.lock` may write.
pub(crate) fn set_head(repository: &Path, branch: &str) -> Result<(), Error> {
    let lock = repository.join("HEAD.lock");
    let doing = || Error::io("changing the default branch");
    write_new(&lock, head_text(branch).as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound,
        _ => doing()(error),
    })?;
    let renamed = fs::rename(&lock, repository.join("HEAD")).and_then(|()| sync_folder(repository));
    if renamed.is_err() {
        let _ = fs::remove_file(&lock);
    }
    renamed.map_err(doing())
}

/// Reads the object format from a repository's configuration, which only we write.
pub(crate) fn object_format(repository: &Path) -> Result<ObjectFormat, Error> {
    let config = fs::read_to_string(repository.join("config")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound,
        _ => Error::io("reading the configuration of a repository")(error),
    })?;
    let named = config.lines().find_map(|line| line.trim().strip_prefix("objectformat = "));
    named
        .map_or(Some(ObjectFormat::Sha1), ObjectFormat::from_name)
        .ok_or_else(|| Error::internal("a repository of an unknown object format"))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Says whether a name inside `objects` is that of a quarantine: where `git receive-pack` keeps the objects of a push
/// until it is accepted.
pub(crate) fn is_quarantine(name: &Path) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("tmp_objdir-incoming-") || name.starts_with("incoming-"))
}

/// Returns the time by the clock that stamps files in `folder`, which on a network file system is not ours.
pub(crate) fn file_system_time(folder: &Path) -> io::Result<SystemTime> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("tmp_clock-{}-{n}", std::process::id()));
    let stamped = File::create(&path).and_then(|file| file.metadata()).and_then(|data| data.modified());
    let _ = fs::remove_file(&path);
    stamped
}

/// Adds up the files below a folder, in bytes. Files that disappear meanwhile are passed over.
pub(crate) async fn size_bytes(folder: PathBuf) -> Result<u64, Error> {
    blocking(move || {
        let mut total = 0;
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("measuring a repository")(error)),
            };
            for entry in entries.flatten() {
                match entry.metadata() {
                    Ok(data) if data.is_dir() => folders.push(entry.path()),
                    Ok(data) => total += data.len(),
                    Err(_) => {}
                }
            }
        }
        Ok(total)
    })
    .await
}

/// Runs something that waits for the disk on a thread made for waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::internal("work on the disk was interrupted")),
    }
}
