//! Blobs and uploads as files in a folder.
//!
//! `blobs/sha256/ab/abcd…` is a blob, `uploads/` holds the bytes of upload sessions, each in a file that is named by its
//! session. Both are in one file system, so a finished upload becomes a blob by a rename: whenever the machine stops, a
//! blob is there as a whole or not at all. What is told to be stored is on the disk, and so is its name: the file is
//! synchronised before the rename, its folder after it, and the folder's own name before the first rename into it.
//!
//! Everything here that touches a file runs on threads for blocking work.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, CWD, RenameFlags};
use tokio::task::JoinHandle;

use crate::store::{BlobEntry, BlobRead, BlobStream, check_range};
use crate::uploads::Claim;
use crate::{Algorithm, Digest, Error, Hasher, SessionId};

/// How much of a blob is read at a time, in bytes. A reader holds two of these at most.
const PIECE_BYTES: u64 = 512 * 1024;

/// How much of an upload is read at a time when its digest must be found out afterwards, in bytes.
const HASH_BYTES: usize = 256 * 1024;

/// How often it is looked again at what is in the way of a rename before that is replaced. Only somebody who stores and
/// deletes the same blob at the same time can make it more than twice.
const RENAME_ATTEMPTS: usize = 3;

/// How many folders the blobs of one algorithm are spread over: as many as the first two digits can say.
const FOLDERS: usize = 256;

/// The folder.
pub(crate) struct LocalStore {
    root: PathBuf,
    blobs: PathBuf,
    uploads: PathBuf,
    /// For each folder of blobs, whether this process has made sure that it is there and that its name is on the disk.
    ready: [[AtomicBool; FOLDERS]; Algorithm::ALL.len()],
}

impl LocalStore {
    /// Makes the folders that are missing. Blocks.
    pub(crate) fn open(root: &Path) -> Result<LocalStore, Error> {
        let store = LocalStore {
            root: root.to_owned(),
            blobs: root.join("blobs"),
            uploads: root.join("uploads"),
            ready: [const { [const { AtomicBool::new(false) }; FOLDERS] }; Algorithm::ALL.len()],
        };
        store
            .make_folders()
            .map_err(Error::io(format!("making the folders for blobs in {}", root.display())))?;
        Ok(store)
    }

    fn make_folders(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        make_folder(&self.uploads)?;
        make_folder(&self.blobs)?;
        for algorithm in Algorithm::ALL {
            make_folder(&self.blobs.join(algorithm.name()))?;
        }
        sync_folder(&self.blobs)?;
        sync_folder(&self.root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn blob_folder(&self, digest: &Digest) -> PathBuf {
        let mut folder = self.blobs.join(digest.algorithm().name());
        folder.push(&digest.hex()[..2]);
        folder
    }

    /// Makes the folder of a blob, unless it was done before. A folder whose name is lost takes with it what was stored
    /// there since, so its name is on the disk before anything is.
    fn make_blob_folder(&self, digest: &Digest) -> io::Result<()> {
        let algorithm = Algorithm::ALL.iter().position(|known| *known == digest.algorithm());
        let first = usize::from_str_radix(&digest.hex()[..2], 16).ok();
        let ready = algorithm.zip(first).and_then(|(algorithm, first)| self.ready[algorithm].get(first));
        if ready.is_some_and(|ready| ready.load(Ordering::Acquire)) {
            return Ok(());
        }
        // Another thread may have made it and not have come to the second step, so both take both.
        make_folder(&self.blob_folder(digest))?;
        sync_folder(&self.blobs.join(digest.algorithm().name()))?;
        if let Some(ready) = ready {
            ready.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blob_folder(digest);
        path.push(digest.hex());
        path
    }

    fn upload(&self, session: SessionId) -> PathBuf {
        self.uploads.join(session.to_string())
    }

    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.blob(digest);
        let context = format!("looking for blob {digest}");
        blocking(move || blob_size(&path).map_err(Error::io(context))).await
    }

    pub(crate) async fn read(
        &self,
        digest: &Digest,
        recorded: Option<u64>,
        range: Option<Range<u64>>,
    ) -> Result<BlobRead, Error> {
        let (path, digest) = (self.blob(digest), digest.clone());
        // The first piece is read on the way: most blobs have no second.
        blocking(move || {
            let failed = |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => Error::BlobMissing(digest.clone()),
                _ => Error::io(format!("reading blob {digest}"))(source),
            };
            let file = File::open(&path).map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            let range = check_range(&digest, size, recorded, range)?;
            let mut reader = Reader {
                file: Arc::new(file),
                next: range.start,
                end: range.end,
                ahead: None,
                sent: VecDeque::new(),
            };
            if range.end - range.start > PIECE_BYTES {
                // Advice that is not taken costs only time.
                let _ = rustix::fs::fadvise(&reader.file, range.start, None, Advice::Sequential);
            }
            let first = reader.read_now().map_err(failed)?;
            let first = (!first.is_empty()).then_some(Ok(first));
            let bytes = stream::iter(first).chain(reader.into_stream()).boxed();
            Ok(BlobRead { size, range, bytes })
        })
        .await
    }

    pub(crate) async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.blob(digest);
        let context = format!("deleting blob {digest}");
        // The name may come back if the machine stops now. Then the blob is deleted again, when it is found unused.
        blocking(move || remove_file(&path).map_err(Error::io(context))).await
    }

    pub(crate) fn list(self: &Arc<Self>) -> impl Stream<Item = Result<BlobEntry, Error>> + Send + use<> {
        let store = Arc::clone(self);
        let folders = Algorithm::ALL
            .into_iter()
            .flat_map(|algorithm| (0..=u8::MAX).map(move |first| (algorithm, format!("{first:02x}"))));
        stream::iter(folders)
            .then(move |(algorithm, first)| {
                let folder = store.blobs.join(algorithm.name()).join(first);
                blocking(move || {
                    let entries = list_folder(&folder, algorithm);
                    entries.map_err(Error::io(format!("listing {}", folder.display())))
                })
            })
            .map_ok(|entries| stream::iter(entries.into_iter().map(Ok)))
            .try_flatten()
    }

    pub(crate) async fn free_bytes(&self) -> Result<u64, Error> {
        let root = self.root.clone();
        blocking(move || {
            let found = rustix::fs::statvfs(&root).map_err(|error| {
                Error::io(format!("asking for the free space of {}", root.display()))(error.into())
            })?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        })
        .await
    }

    /// Opens the file of a session that has `size` bytes, and cuts off what is behind them: nobody was told that it had
    /// arrived.
    pub(crate) async fn open_upload(&self, session: SessionId, size: u64) -> Result<File, Error> {
        let path = self.upload(session);
        blocking(move || {
            let mut options = OpenOptions::new();
            let opened = options.read(true).write(true).create(size == 0).mode(0o600).open(path);
            let file = match opened {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::UploadLost),
                opened => opened.map_err(Error::io(format!("opening upload {session}")))?,
            };
            let cut = || {
                let found = file.metadata()?.len();
                if found > size {
                    file.set_len(size)?;
                }
                Ok(found)
            };
            match cut().map_err(Error::io(format!("cutting upload {session} back")))? {
                found if found < size => Err(Error::UploadLost),
                _ => Ok(file),
            }
        })
        .await
    }

    /// Makes the upload, which is of `size` bytes and whose digest was checked, a blob. It is on the disk afterwards.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        session: SessionId,
        size: u64,
        digest: &Digest,
        file: File,
        claim: Arc<Claim>,
    ) -> Result<(), Error> {
        let (store, digest) = (Arc::clone(self), digest.clone());
        blocking(move || {
            let published = store.publish_now(session, size, &digest, &file);
            drop(claim);
            published.map_err(Error::io(format!("storing blob {digest}")))
        })
        .await
    }

    fn publish_now(&self, session: SessionId, size: u64, digest: &Digest, file: &File) -> io::Result<()> {
        let (from, to) = (self.upload(session), self.blob(digest));
        self.make_blob_folder(digest)?;
        if blob_size(&to)? == Some(size) {
            // Whoever stored it synchronised the file, but perhaps not yet its name.
            sync_folder(&self.blob_folder(digest))?;
            return remove_file(&from);
        }
        if let Err(error) = file.sync_all() {
            // The system has forgotten what it could not write, and would say next time that all is well.
            remove_file(&from)?;
            return Err(error);
        }
        put_in_place(&from, &to, size)?;
        sync_folder(&self.blob_folder(digest))
    }

    pub(crate) async fn remove_upload(&self, session: SessionId) -> Result<(), Error> {
        let path = self.upload(session);
        blocking(move || remove_file(&path).map_err(Error::io(format!("removing upload {session}")))).await
    }

    /// Returns the sessions whose files were last written before the instant, in microseconds since 1970-01-01 UTC.
    pub(crate) async fn uploads_before(&self, instant: i64) -> Result<Vec<SessionId>, Error> {
        let folder = self.uploads.clone();
        blocking(move || {
            let list = || {
                let mut found = Vec::new();
                for entry in fs::read_dir(&folder)? {
                    let entry = entry?;
                    let session = entry.file_name().to_str().and_then(SessionId::parse);
                    if let (Some(session), Some(data)) = (session, still_there(entry.metadata())?)
                        && microseconds(data.modified()?) < instant
                    {
                        found.push(session);
                    }
                }
                Ok(found)
            };
            list().map_err(Error::io("listing the uploads"))
        })
        .await
    }
}

/// Returns the digest of the first `size` bytes of a file.
pub(crate) async fn hash_file(file: &File, size: u64, algorithm: Algorithm) -> Result<Digest, Error> {
    let file = file.try_clone().map_err(Error::io("reading an upload"))?;
    blocking(move || {
        let hash = || {
            let (mut hasher, mut at, mut memory) = (Hasher::new(algorithm), 0, Vec::new());
            while at < size {
                let length = HASH_BYTES.min((size - at).try_into().unwrap_or(usize::MAX));
                let piece = read_piece(&file, at, length, memory)?;
                at += piece.len() as u64;
                hasher.update(&piece);
                memory = piece.into();
            }
            Ok(hasher.digest())
        };
        hash().map_err(Error::io("reading an upload"))
    })
    .await
}

/// Writes the pieces one behind the other, from `offset` on.
pub(crate) fn write_pieces(file: &File, mut offset: u64, pieces: &[Bytes]) -> Result<(), Error> {
    for piece in pieces {
        file.write_all_at(piece, offset).map_err(Error::io("writing an upload"))?;
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Runs work that blocks on a thread where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::Internal { context: "work on blobs was broken off".to_owned(), source: error.into() })
    })
}

/// Reads a range of a file, one piece ahead of whoever takes the pieces.
struct Reader {
    file: Arc<File>,
    next: u64,
    end: u64,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
    /// The last pieces: when nobody else has one any more, its memory takes the next one in.
    sent: VecDeque<Bytes>,
}

/// How many pieces are kept for their memory: the one that is on its way to the client, and the one before.
const KEPT_PIECES: usize = 2;

impl Reader {
    /// Returns where the next piece is, and how long it is.
    fn step(&mut self) -> (u64, usize) {
        let (at, length) = (self.next, (self.end - self.next).min(PIECE_BYTES));
        self.next += length;
        (at, usize::try_from(length).expect("a piece is not longer than PIECE_BYTES"))
    }

    /// Reads the next piece, which is empty at the end. Blocks.
    fn read_now(&mut self) -> io::Result<Bytes> {
        let (at, length) = self.step();
        let piece = read_piece(&self.file, at, length, Vec::new())?;
        self.keep(&piece);
        Ok(piece)
    }

    fn keep(&mut self, piece: &Bytes) {
        if self.next < self.end {
            self.sent.truncate(KEPT_PIECES - 1);
            self.sent.push_front(piece.clone());
        }
    }

    /// Returns the memory of a piece that is not needed any more, or none.
    fn spare(&mut self) -> Vec<u8> {
        match self.sent.pop_back_if(|piece| piece.is_unique()) {
            Some(piece) => piece.into(),
            None => Vec::new(),
        }
    }

    /// Begins to read the next piece, if there is one.
    fn read_ahead(&mut self) {
        if self.next < self.end {
            let (file, (at, length), spare) = (Arc::clone(&self.file), self.step(), self.spare());
            self.ahead = Some(tokio::task::spawn_blocking(move || read_piece(&file, at, length, spare)));
        }
    }

    fn into_stream(self) -> BlobStream {
        stream::unfold(self, |mut reader| async move {
            if reader.ahead.is_none() {
                reader.read_ahead();
            }
            let piece = match reader.ahead.take()?.await {
                Ok(Ok(piece)) => {
                    reader.keep(&piece);
                    reader.read_ahead();
                    Ok(piece)
                }
                failed => {
                    // Nothing may follow an error.
                    reader.end = reader.next;
                    failed.unwrap_or_else(|error| Err(io::Error::other(error)))
                }
            };
            Some((piece, reader))
        })
        .boxed()
    }
}

/// Reads exactly `length` bytes, into the memory of `piece`. That the file ends earlier is an error.
fn read_piece(file: &File, offset: u64, length: usize, mut piece: Vec<u8>) -> io::Result<Bytes> {
    piece.clear();
    piece.reserve_exact(length);
    while piece.len() < length {
        let at = offset + piece.len() as u64;
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, spare_capacity(&mut piece), at))?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
    }
    // The vector may have been given more room than was asked for.
    piece.truncate(length);
    Ok(piece.into())
}

/// Returns how many bytes a blob has. What is no file is no blob.
fn blob_size(path: &Path) -> io::Result<Option<u64>> {
    let data = still_there(fs::symlink_metadata(path))?;
    Ok(data.filter(fs::Metadata::is_file).map(|data| data.len()))
}

fn list_folder(folder: &Path, algorithm: Algorithm) -> io::Result<Vec<BlobEntry>> {
    let mut entries = Vec::new();
    for entry in still_there(fs::read_dir(folder))?.into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_str().map(|hex| format!("{}:{hex}", algorithm.name()));
        let Some(digest) = text.and_then(|text| Digest::parse(&text).ok()) else { continue };
        if let Some(data) = still_there(entry.metadata())?.filter(fs::Metadata::is_file) {
            let modified = microseconds(data.modified()?);
            entries.push(BlobEntry { digest, size: data.len(), modified });
        }
    }
    Ok(entries)
}

/// Gives the file of an upload the name of the blob, unless a blob of this size has it.
fn put_in_place(from: &Path, to: &Path, size: u64) -> io::Result<()> {
    for _ in 0..RENAME_ATTEMPTS {
        match blob_size(to)? {
            Some(present) if present == size => return remove_file(from),
            // What is there is damaged, because its length is not that of the content with this digest.
            Some(_) => return fs::rename(from, to),
            None => match rename_without_replacing(from, to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed,
            },
        }
    }
    fs::rename(from, to)
}

/// Renames a file if nothing has the new name yet.
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot do it. To replace a blob by the same content does no harm either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

fn still_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    still_there(fs::remove_file(path)).map(drop)
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns an instant in microseconds since 1970-01-01 UTC.
fn microseconds(instant: SystemTime) -> i64 {
    let since = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(duration) => since(duration),
        Err(before) => -since(before.duration()),
    }
}
