//! Upload sessions: how bytes arrive, in any number of requests, and become a blob.
//!
//! What a session has is told by [`Progress`], a small value that the caller keeps, in a row of its database, and hands
//! in again with the next request. The row is the truth: whatever is stored behind the size that it names was never
//! acknowledged, and is cut off. So a process may die at any moment and another one may go on.
//!
//! The digest is computed while the bytes stream in, beside the write. The state of the computation stays in memory
//! between requests, for a bounded number of sessions. It is used only if it stands for exactly what the row says:
//! otherwise the content is read once when the session ends. Nothing becomes a blob whose digest was not computed over
//! all of its bytes.
//!
//! In this process one request at a time can be at work on a session. The caller makes sure of the same among processes,
//! by a claim in the row that lasts as long as the request.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::local::{LocalStore, blocking, hash_file, write_pieces};
use crate::s3::{ObjectWriter, S3Store};
use crate::store::Place;
use crate::{Algorithm, BlobStore, Digest, Error, Hasher, SessionId};

/// How much of what arrives is gathered while what came before is written, in bytes. A slow client is never ahead of the
/// disk, so it takes no memory at all.
const MAX_GATHERED_BYTES: usize = 256 * 1024;

/// How many pieces may be gathered, however short they are.
const MAX_GATHERED_PIECES: usize = 256;

/// Up to how many bytes are hashed on the thread that has them, in some tens of microseconds. More go to another thread.
const HASHED_IN_PLACE_BYTES: usize = 128 * 1024;

/// For how many sessions the state of the digest is kept between requests: a megabyte in all. Another one takes the
/// place of the one that was not used for the longest time.
const MAX_KEPT_HASHERS: usize = 4096;

/// What an upload session has: everything that must be known to go on with it. The caller keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes have arrived and are acknowledged.
    pub size: u64,
    /// Their digest, as far as it is known without reading them again.
    pub digest: Option<Digest>,
}

/// The upload sessions of a blob store. Cheap to clone. A process has one for each store: two would not see each other's
/// requests.
#[derive(Clone)]
pub struct Uploads {
    store: BlobStore,
    sessions: Arc<Sessions>,
}

impl Uploads {
    /// Returns the sessions of the store.
    pub fn new(store: &BlobStore) -> Uploads {
        Uploads { store: store.clone(), sessions: Arc::new(Sessions::default()) }
    }

    /// Adds a piece to a session that has what `from` says, and returns what it has then. The first piece makes the
    /// session. `limit` is how many bytes the session may have in all; `algorithm` is the one whose digest is expected at
    /// the end.
    ///
    /// Some megabytes are in memory at a time, however long the piece is: three at most on the way to a folder, 26 on the
    /// way to a bucket. A future that is dropped leaves a session that
    /// can go on from where it was; it can be busy for as long as it takes to write what had already arrived.
    ///
    /// # Errors
    /// - `Busy`, `UploadLost`.
    /// - `TooLarge`, `DiskFull`, `Unavailable`, `Internal`: nothing of the piece was kept, the session is as it was.
    /// - `Interrupted`: the stream ended with an error. What had arrived is kept, and the error has the new progress.
    pub async fn append(
        &self,
        session: SessionId,
        from: &Progress,
        limit: Option<u64>,
        algorithm: Algorithm,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Progress, Error> {
        let claim = Arc::new(Sessions::claim(&self.sessions, session)?);
        let hasher = self.sessions.take_hasher(session, from, algorithm);
        let appended = self.append_claimed(session, from, limit, hasher.clone(), content, &claim).await;
        match appended {
            Ok((size, hasher, broken)) => {
                let digest = self.sessions.keep_hasher(session, size, hasher);
                let progress = Progress { size, digest };
                match broken {
                    Some(source) => Err(Error::Interrupted { progress, source }),
                    None => Ok(progress),
                }
            }
            Err(error) => {
                // The session is as it was, and so is its digest.
                self.sessions.keep_hasher(session, from.size, hasher);
                Err(error)
            }
        }
    }

    async fn append_claimed(
        &self,
        session: SessionId,
        from: &Progress,
        limit: Option<u64>,
        hasher: Option<Hasher>,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
        claim: &Arc<Claim>,
    ) -> Result<(u64, Option<Hasher>, Option<io::Error>), Error> {
        let mut limit = limit.unwrap_or(u64::MAX);
        let sink = match &self.store.place {
            Place::Local(store) => {
                let file = Arc::new(store.open_upload(session, from.size).await?);
                Sink::File { file, offset: from.size, claim: Arc::clone(claim) }
            }
            Place::S3(store) => {
                limit = limit.min(from.size.saturating_add(ObjectWriter::max_bytes()));
                Sink::Object(store.begin_piece(session, from.size, Arc::clone(claim)))
            }
        };
        let mut intake = Intake { sink, hasher, size: from.size };
        let received = intake.receive(limit, content).await;
        match received {
            Ok(broken) => {
                intake.sink.close(intake.size > from.size).await?;
                Ok((intake.size, intake.hasher, broken))
            }
            Err(error) => {
                intake.sink.undo(from.size).await;
                Err(error)
            }
        }
    }

    /// Ends a session that has what `progress` says: its content becomes the blob `expected`, and is stored safely when
    /// this returns. If the blob is stored already, that one stays, unless it has another length and so is damaged.
    ///
    /// # Errors
    /// - `DigestMismatch`: the content is another one. The session is gone.
    /// - `Busy`, `UploadLost`.
    /// - `DiskFull`, `Unavailable`, `Internal`: it can be tried again. If the session is lost then, its bytes could not be
    ///   written to the disk, or they are a blob already that nobody was told of: the client uploads again.
    pub async fn finish(
        &self,
        session: SessionId,
        progress: &Progress,
        expected: &Digest,
    ) -> Result<(), Error> {
        let claim = Arc::new(Sessions::claim(&self.sessions, session)?);
        let hasher = self.sessions.take_hasher(session, progress, expected.algorithm());
        let finished = match &self.store.place {
            Place::Local(store) => {
                let known = hasher.as_ref().map(Hasher::digest);
                self.finish_file(store, session, progress.size, known, expected, &claim).await
            }
            Place::S3(store) => {
                let known = hasher.as_ref().map(Hasher::digest).or_else(|| progress.digest.clone());
                self.finish_objects(store, session, progress.size, known, expected, &claim).await
            }
        };
        match &finished {
            Ok(()) => {}
            Err(Error::DigestMismatch { .. }) => {
                if let Err(error) = self.remove(session).await {
                    tracing::warn!(%session, %error, "a refused upload could not be removed yet");
                }
            }
            Err(_) => {
                self.sessions.keep_hasher(session, progress.size, hasher);
            }
        }
        finished
    }

    async fn finish_file(
        &self,
        store: &Arc<LocalStore>,
        session: SessionId,
        size: u64,
        known: Option<Digest>,
        expected: &Digest,
        claim: &Arc<Claim>,
    ) -> Result<(), Error> {
        let file = store.open_upload(session, size).await?;
        let actual = match known.filter(|known| known.algorithm() == expected.algorithm()) {
            Some(known) => known,
            // What another process says of the digest is not relied on: the machine may have stopped since, before
            // the bytes were on the disk.
            None => hash_file(&file, size, expected.algorithm()).await?,
        };
        if actual != *expected {
            return Err(Error::DigestMismatch { expected: expected.clone(), actual });
        }
        store.publish(session, size, expected, file, Arc::clone(claim)).await
    }

    async fn finish_objects(
        &self,
        store: &Arc<S3Store>,
        session: SessionId,
        size: u64,
        known: Option<Digest>,
        expected: &Digest,
        claim: &Arc<Claim>,
    ) -> Result<(), Error> {
        let known = known.filter(|known| known.algorithm() == expected.algorithm());
        let stored = match known {
            Some(actual) if actual != *expected => {
                return Err(Error::DigestMismatch { expected: expected.clone(), actual });
            }
            Some(_) => {
                store.size(expected).await? == Some(size)
                    || store.copy_single_piece(session, size, expected).await?
            }
            None => false,
        };
        if !stored {
            let sink = Sink::Object(store.begin_blob(expected, size, Arc::clone(claim)));
            let hasher = Some(Hasher::new(expected.algorithm()));
            let mut intake = Intake { sink, hasher, size: 0 };
            let received = intake.receive(size, store.read_upload(session, size)).await;
            let checked = match (received, intake.hasher.as_ref().map(Hasher::digest)) {
                (Err(error), _) => Err(error),
                (Ok(Some(error)), _) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(Error::UploadLost)
                }
                (Ok(Some(error)), _) => Err(Error::Unavailable {
                    context: format!("reading upload {session}"),
                    source: error.into(),
                }),
                (Ok(None), Some(actual)) if actual != *expected => {
                    Err(Error::DigestMismatch { expected: expected.clone(), actual })
                }
                (Ok(None), _) => Ok(()),
            };
            match checked {
                Ok(()) => intake.sink.close(true).await?,
                Err(error) => {
                    intake.sink.undo(0).await;
                    return Err(error);
                }
            }
        }
        // The blob is stored: that its pieces are still there does no harm, and they are swept one day.
        if let Err(error) = store.remove_upload(session).await {
            tracing::warn!(%session, %error, "the pieces of a finished upload could not be removed yet");
        }
        Ok(())
    }

    /// Ends a session without a blob. That there is no such session is no error.
    ///
    /// # Errors
    /// `Busy`, `Unavailable`, `Internal`.
    pub async fn cancel(&self, session: SessionId) -> Result<(), Error> {
        let _claim = Sessions::claim(&self.sessions, session)?;
        self.sessions.forget_hasher(session);
        self.remove(session).await
    }

    async fn remove(&self, session: SessionId) -> Result<(), Error> {
        match &self.store.place {
            Place::Local(store) => store.remove_upload(session).await,
            Place::S3(store) => store.remove_upload(session).await,
        }
    }

    /// Removes what is left of sessions to which nothing was added since `before`, in microseconds since 1970-01-01 UTC,
    /// and returns how many there were. Those that a request is at work on are left alone.
    ///
    /// # Errors
    /// `Unavailable`, `Internal`.
    pub async fn sweep(&self, before: i64) -> Result<usize, Error> {
        let stale = match &self.store.place {
            Place::Local(store) => store.uploads_before(before).await?,
            Place::S3(store) => store.uploads_before(before).await?,
        };
        let mut removed = 0;
        for session in stale {
            match self.cancel(session).await {
                Ok(()) => removed += 1,
                Err(Error::Busy) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// The sessions that something is known of in this process.
#[derive(Default)]
struct Sessions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    claimed: HashSet<SessionId>,
    hashers: HashMap<SessionId, Kept>,
    /// Counts the uses, so that the longest unused hasher is found.
    uses: u64,
}

/// A hasher between two requests.
struct Kept {
    hasher: Hasher,
    /// How many bytes it has seen.
    size: u64,
    used: u64,
}

impl Sessions {
    fn claim(sessions: &Arc<Sessions>, session: SessionId) -> Result<Claim, Error> {
        if !sessions.table.lock().claimed.insert(session) {
            return Err(Error::Busy);
        }
        Ok(Claim { sessions: Arc::clone(sessions), session })
    }

    /// Takes the hasher of a session out, if it has seen exactly what the session has. The size alone would not show
    /// that: another process may have cut the session back and added other bytes.
    fn take_hasher(&self, session: SessionId, progress: &Progress, algorithm: Algorithm) -> Option<Hasher> {
        let kept = self.table.lock().hashers.remove(&session);
        if progress.size == 0 {
            return Some(Hasher::new(algorithm));
        }
        let kept = kept.filter(|kept| kept.size == progress.size)?;
        (Some(kept.hasher.digest()) == progress.digest).then_some(kept.hasher)
    }

    /// Keeps the hasher for the next request, and returns the digest so far.
    fn keep_hasher(&self, session: SessionId, size: u64, hasher: Option<Hasher>) -> Option<Digest> {
        let hasher = hasher?;
        let digest = hasher.digest();
        let mut table = self.table.lock();
        if table.hashers.len() >= MAX_KEPT_HASHERS {
            let oldest = table.hashers.iter().min_by_key(|(_, kept)| kept.used).map(|(session, _)| *session);
            oldest.and_then(|oldest| table.hashers.remove(&oldest));
        }
        table.uses += 1;
        let used = table.uses;
        table.hashers.insert(session, Kept { hasher, size, used });
        Some(digest)
    }

    fn forget_hasher(&self, session: SessionId) {
        self.table.lock().hashers.remove(&session);
    }
}

/// Stands for the right to be at work on a session. It is also held by work in the background, which can outlive the
/// request: two writers would mix their bytes.
pub(crate) struct Claim {
    sessions: Arc<Sessions>,
    session: SessionId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.sessions.table.lock().claimed.remove(&self.session);
    }
}

/// Where the bytes go.
enum Sink {
    File { file: Arc<File>, offset: u64, claim: Arc<Claim> },
    Object(ObjectWriter),
}

impl Sink {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), Error> {
        match self {
            Sink::File { file, offset, claim } => {
                let (file, at, claim) = (Arc::clone(file), *offset, Arc::clone(claim));
                *offset += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                blocking(move || {
                    let written = write_pieces(&file, at, &pieces);
                    drop(claim);
                    written
                })
                .await
            }
            Sink::Object(writer) => writer.write(&pieces).await,
        }
    }

    /// Ends what was written. An object is made only if it is `wanted`.
    async fn close(self, wanted: bool) -> Result<(), Error> {
        match self {
            Sink::File { .. } => Ok(()),
            Sink::Object(writer) if wanted => writer.close().await,
            Sink::Object(_) => Ok(()),
        }
    }

    /// Takes back what was written. What stays behind all the same is cut off by the next request.
    async fn undo(self, size: u64) {
        match self {
            Sink::File { file, claim, .. } => {
                let cut = blocking(move || {
                    let cut = file.set_len(size).map_err(Error::io("cutting an upload back"));
                    drop(claim);
                    cut
                });
                if let Err(error) = cut.await {
                    tracing::warn!(%error, "what a refused piece had written is still there");
                }
            }
            Sink::Object(writer) => writer.abort().await,
        }
    }
}

/// Bytes on their way in: written and hashed at the same time, while the next ones are gathered.
struct Intake {
    sink: Sink,
    hasher: Option<Hasher>,
    size: u64,
}

impl Intake {
    /// Takes the stream in until it ends, and returns the error that it ended with, if any. When this returns `Ok`, all
    /// that had arrived is written.
    async fn receive(
        &mut self,
        limit: u64,
        content: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Option<io::Error>, Error> {
        let mut content = pin!(content.fuse());
        let mut gathered = Gathered::default();
        let (mut arrived, mut stopped) = (self.size, None);
        loop {
            if gathered.pieces.is_empty() {
                match stopped {
                    Some(Stop::Broken(error)) => return Ok(Some(error)),
                    Some(Stop::TooLarge) => return Err(Error::TooLarge { limit }),
                    None => {}
                }
                match content.next().await {
                    Some(next) => stopped = gathered.add(next, &mut arrived, limit),
                    None => return Ok(None),
                }
                continue;
            }
            let mut writing = pin!(self.write(std::mem::take(&mut gathered)));
            // Whatever comes next, this write is waited for: nothing may be written behind the back of who undoes it.
            loop {
                tokio::select! {
                    biased;
                    written = &mut writing => break written?,
                    next = content.next(), if stopped.is_none() && gathered.has_room() => match next {
                        Some(next) => stopped = gathered.add(next, &mut arrived, limit),
                        // The stream is fused: it is asked again when all is written.
                        None => break writing.await?,
                    },
                }
            }
        }
    }

    async fn write(&mut self, gathered: Gathered) -> Result<(), Error> {
        let Gathered { pieces, bytes } = gathered;
        let hashing = hash(self.hasher.take(), pieces.clone(), bytes);
        let (written, hasher) = tokio::join!(self.sink.write(pieces), hashing);
        self.hasher = hasher?;
        written?;
        self.size += bytes as u64;
        Ok(())
    }
}

async fn hash(hasher: Option<Hasher>, pieces: Vec<Bytes>, bytes: usize) -> Result<Option<Hasher>, Error> {
    let Some(mut hasher) = hasher else { return Ok(None) };
    let work = move || {
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher
    };
    if bytes <= HASHED_IN_PLACE_BYTES { Ok(Some(work())) } else { blocking(move || Ok(Some(work()))).await }
}

/// What has arrived and is not written yet.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn has_room(&self) -> bool {
        self.bytes < MAX_GATHERED_BYTES && self.pieces.len() < MAX_GATHERED_PIECES
    }

    /// Takes in what came next, and returns why nothing more is to be taken in, if so.
    fn add(&mut self, next: io::Result<Bytes>, arrived: &mut u64, limit: u64) -> Option<Stop> {
        let piece = match next {
            Ok(piece) => piece,
            Err(error) => return Some(Stop::Broken(error)),
        };
        *arrived = arrived.saturating_add(piece.len() as u64);
        if *arrived > limit {
            return Some(Stop::TooLarge);
        }
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push(piece);
        }
        None
    }
}

/// Why nothing more is taken in.
enum Stop {
    Broken(io::Error),
    TooLarge,
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn session(number: u64) -> SessionId {
        SessionId::from_random([[0; 8], number.to_be_bytes()].concat().try_into().unwrap())
    }

    fn hasher(seen: &[u8]) -> Hasher {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(seen);
        hasher
    }

    #[test]
    fn a_hasher_is_used_only_for_what_it_has_seen() {
        let sessions = Sessions::default();
        let digest = |content: &[u8]| Some(Digest::of(Algorithm::Sha256, content));
        let take =
            |size, digest| sessions.take_hasher(session(1), &Progress { size, digest }, Algorithm::Sha512);
        for (size, on_record, expected) in [
            (3, digest(b"abc"), digest(b"abc")),
            (3, digest(b"abd"), None),
            (3, None, None),
            (2, digest(b"abc"), None),
            (4, digest(b"abc"), None),
        ] {
            assert_eq!(sessions.keep_hasher(session(1), 3, Some(hasher(b"abc"))), digest(b"abc"));
            assert_eq!(
                take(size, on_record.clone()).map(|hasher| hasher.digest()),
                expected,
                "{size} {on_record:?}"
            );
            // It was taken, whether it fitted or not.
            assert!(take(3, digest(b"abc")).is_none());
        }
        // At the beginning there is nothing to have seen.
        sessions.keep_hasher(session(1), 3, Some(hasher(b"abc")));
        assert_eq!(take(0, None).map(|hasher| hasher.digest()), Some(Digest::of(Algorithm::Sha512, b"")));
    }

    #[test]
    fn the_number_of_hashers_is_bounded() {
        let sessions = Sessions::default();
        let all = 0..MAX_KEPT_HASHERS as u64 + 2;
        for number in all.clone() {
            sessions.keep_hasher(session(number), 1, Some(hasher(b"a")));
        }
        let kept = |number: u64| sessions.table.lock().hashers.contains_key(&session(number));
        let lost: Vec<_> = all.filter(|number| !kept(*number)).collect();
        assert_eq!(lost, [0, 1], "those that were not used for the longest time");
    }

    /// The only thread for blocking work is busy, so a write that was begun can be seen to wait.
    #[test]
    fn a_write_that_nobody_waits_for_keeps_its_claim() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let sessions = Arc::new(Sessions::default());
            let file = Arc::new(tempfile::tempfile().unwrap());
            let claim = Arc::new(Sessions::claim(&sessions, session(1)).unwrap());
            let mut sink = Sink::File { file: Arc::clone(&file), offset: 0, claim };
            assert!(sink.write(vec![Bytes::from_static(b"late")]).now_or_never().is_none());
            drop(sink);
            assert!(matches!(Sessions::claim(&sessions, session(1)), Err(Error::Busy)));
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            tokio::task::spawn_blocking(|| "after the write").await.unwrap();
            assert_eq!(file.metadata().unwrap().len(), 4);
            assert!(Sessions::claim(&sessions, session(1)).is_ok());
        });
    }

    #[test]
    fn a_session_is_claimed_until_all_have_let_go() {
        let sessions = Arc::new(Sessions::default());
        let claim = Arc::new(Sessions::claim(&sessions, session(1)).unwrap());
        let other = Arc::clone(&claim);
        assert!(matches!(Sessions::claim(&sessions, session(1)), Err(Error::Busy)));
        assert!(Sessions::claim(&sessions, session(2)).is_ok());
        drop(claim);
        assert!(matches!(Sessions::claim(&sessions, session(1)), Err(Error::Busy)));
        drop(other);
        assert!(Sessions::claim(&sessions, session(1)).is_ok());
    }
}
