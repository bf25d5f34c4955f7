//! The content of files on its way into the blob store, and out of it: what uploads, packages and large files of Git have in
//! common.
//!
//! A file comes in one request. Its bytes stream into a session of the blob store while their digest is computed; then the
//! row of the blob is touched, the content is published, and one transaction links it. So nothing is linked that is not
//! stored whole, and nothing goes that somebody is about to link (ADR 18). What a request leaves behind that breaks off, or
//! a process that dies, is swept like an upload of an image that nobody goes on with.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_registry::{
    Algorithm, BlobStream, BoxError, Digest, Error as EngineError, Progress, SessionId,
};
use portcullis_rules::access::{Act, on};
use portcullis_rules::id::{BlobId, ProjectId};
use portcullis_store::blobs;
use portcullis_store::db::Tx;

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::registry::uploads::Reliance;
use crate::registry::{ImageError, quotas, store_takes_changes};

/// After how many seconds a client tries again what failed for a passing reason.
const RETRY_AFTER: u64 = 5;

/// A file that a caller was found to have a right to: what is needed to read it.
#[derive(Clone, Debug)]
pub struct StoredFile {
    name: String,
    digest: Digest,
    size: u64,
}

impl StoredFile {
    /// Returns the file with this content. What is recorded and cannot be is an error of ours.
    pub(crate) fn new(name: &str, digest: &str, size: i64) -> Result<StoredFile, Error> {
        let internal = |error: String| Error::Internal(error.into());
        Ok(StoredFile {
            name: name.to_owned(),
            digest: Digest::parse(digest).map_err(|refusal| internal(format!("{digest}: {refusal}")))?,
            size: u64::try_from(size).map_err(|error| internal(error.to_string()))?,
        })
    }

    /// Returns what it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the hexadecimal digits of the SHA-256 of its content.
    pub fn sha256(&self) -> String {
        sha256_in(&self.digest.to_string()).to_owned()
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Returns the hexadecimal digits of a digest.
pub fn sha256_in(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}

/// Reads a range of a file.
///
/// # Errors
/// When the content is not there as it was stored.
pub async fn read<A: Act<On = on::Project>>(
    forge: &Forge,
    _access: &Authorized<A>,
    file: &StoredFile,
    range: Range<u64>,
) -> Result<BlobStream, Error> {
    let read = forge.blobs().read(&file.digest, Some(file.size), Some(range)).await;
    Ok(read.map_err(plain)?.bytes)
}

/// Content that was stored whole, and that nothing links yet.
#[derive(Debug)]
pub(crate) struct Stored {
    reliance: Reliance,
    /// What it is called by.
    pub(crate) digest: String,
    /// How many bytes it has.
    pub(crate) size: i64,
}

impl Stored {
    /// Makes sure that the content is still there and that the project has room for it, in the transaction that links it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when there is no room; [`Error::Overloaded`] when the content was taken away meanwhile.
    pub(crate) async fn link(&self, tx: &mut Tx, project: ProjectId, now: i64) -> Result<BlobId, Error> {
        let counted = blobs::is_counted(tx, project, &self.digest).await?;
        let room = quotas::room(tx, project).await?.and_then(|room| i64::try_from(room).ok());
        if !counted && room.is_some_and(|room| room < self.size) {
            return Err(exceeded());
        }
        if !blobs::stored(tx, self.reliance.blob, self.size, self.reliance.since, now).await? {
            return Err(Error::Overloaded(RETRY_AFTER));
        }
        Ok(self.reliance.blob)
    }
}

/// Stores content of at most `largest` bytes for a project. `announced` is how many bytes the client says there are: what is
/// too much is refused before it is sent.
///
/// # Errors
/// [`Error::RequestTooLarge`]; [`Error::Forbidden`] when the project has no room; [`Error::BadRequest`] when it broke off;
/// [`Error::Overloaded`] when the store does not answer or takes no changes.
pub(crate) async fn store(
    forge: &Forge,
    project: ProjectId,
    largest: u64,
    announced: Option<u64>,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<Stored, Error> {
    store_takes_changes(forge)?;
    let mut tx = forge.db().read().await?;
    let room = quotas::room(&mut tx, project).await?.unwrap_or(u64::MAX);
    drop(tx);
    if announced.is_some_and(|announced| announced > largest) {
        return Err(Error::RequestTooLarge);
    }
    if announced.is_some_and(|announced| announced > room) {
        return Err(exceeded());
    }
    let stored = store_in_session(forge, largest.min(room), None, content).await;
    stored.map_err(|error| match error {
        Failure::Engine(EngineError::TooLarge { .. }) if room < largest => exceeded(),
        other => other.into(),
    })
}

/// Stores content of which the digest and the size are known before: what turns out to be another content is not stored.
/// All of it is read, also when it is stored already: a digest is not a possession.
///
/// # Errors
/// [`Error::BadRequest`] when it is another content, or broke off; [`Error::Forbidden`] when the project has no room;
/// [`Error::Overloaded`] when the store does not answer or takes no changes.
pub(crate) async fn store_expected(
    forge: &Forge,
    project: ProjectId,
    expected: &Digest,
    size: u64,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<Stored, Error> {
    store_takes_changes(forge)?;
    let mut tx = forge.db().read().await?;
    let counted = blobs::is_counted(&mut tx, project, &expected.to_string()).await?;
    let room = quotas::room(&mut tx, project).await?.unwrap_or(u64::MAX);
    drop(tx);
    if !counted && size > room {
        return Err(exceeded());
    }
    let stored = store_in_session(forge, size, Some((expected, size)), content).await;
    stored.map_err(|error| match error {
        Failure::Engine(EngineError::TooLarge { .. }) => another_content(),
        other => other.into(),
    })
}

fn another_content() -> Error {
    Error::BadRequest("SHA256 or size mismatch".to_owned())
}

/// Stores content in a session of its own, of which nothing is left when that fails.
async fn store_in_session(
    forge: &Forge,
    limit: u64,
    expected: Option<(&Digest, u64)>,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<Stored, Failure> {
    let mut random = [0; 16];
    forge.random().fill(&mut random);
    let session = SessionId::from_random(random);
    let stored = store_as(forge, session, limit, expected, content).await;
    if stored.is_err() {
        // What cannot be removed now is swept one day.
        if let Err(error) = forge.uploads().cancel(session).await {
            tracing::warn!(%session, %error, "what a refused file had is still there");
        }
    }
    stored
}

enum Failure {
    Engine(EngineError),
    Forge(Error),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        Failure::Engine(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Engine(error) => plain(error),
            Failure::Forge(error) => error,
        }
    }
}

async fn store_as(
    forge: &Forge,
    session: SessionId,
    limit: u64,
    expected: Option<(&Digest, u64)>,
    content: impl Stream<Item = io::Result<Bytes>> + Send,
) -> Result<Stored, Failure> {
    let nothing = Progress::default();
    let progress = forge.uploads().append(session, &nothing, Some(limit), Algorithm::Sha256, content).await?;
    let digest = progress.digest.clone();
    let digest = digest.ok_or_else(|| Failure::Forge(Error::Internal("a digest was not computed".into())))?;
    if expected.is_some_and(|expected| expected != (&digest, progress.size)) {
        return Err(Failure::Forge(another_content()));
    }
    let name = digest.to_string();
    let size = i64::try_from(progress.size).map_err(|error| Failure::Forge(Error::Internal(error.into())))?;
    let reliance = Reliance::wait(forge, &name, size).await.map_err(|error| match error {
        ImageError::Forge(error) => Failure::Forge(error),
        _ => Failure::Forge(Error::Overloaded(RETRY_AFTER)),
    })?;
    forge.uploads().finish(session, &progress, &digest).await?;
    Ok(Stored { reliance, digest: name, size })
}

/// Does work in a task of its own, so that a client that goes away leaves nothing half done.
pub(crate) async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|error| Error::Internal(error.into()))?
}

/// Returns the refusal of what there is no room for.
pub(crate) fn exceeded() -> Error {
    Error::Forbidden("The storage quota of this project is exhausted".to_owned())
}

fn plain(error: EngineError) -> Error {
    match error {
        EngineError::TooLarge { .. } => Error::RequestTooLarge,
        EngineError::Interrupted { .. } => Error::BadRequest("The file ended early".to_owned()),
        EngineError::Busy
        | EngineError::UploadLost
        | EngineError::DiskFull
        | EngineError::Unavailable { .. } => {
            tracing::warn!(error = %error, "the blob store does not take or give content");
            Error::Overloaded(RETRY_AFTER)
        }
        other => Error::Internal(BoxError::from(other)),
    }
}
