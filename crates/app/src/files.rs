//! Files of a repository as they are at a commit.

pub use portcullis_git::{BlamedLines, Blob, File, RepositoryPath};
use portcullis_git::{Missing, ObjectId};
use portcullis_rules::access::act;

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::repositories::Exchange;

/// The largest file that an answer in JSON may hold and that a digest is made of, in bytes.
pub const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;

/// The largest file whose lines are traced to commits, in bytes.
pub const MAX_BLAMED_BYTES: u64 = 2 * 1024 * 1024;

/// The bytes of a file: in memory when there are few, else as they are read.
pub enum Content {
    /// All of them.
    Whole(Vec<u8>),
    /// As they come.
    Stream(Exchange),
}

pub(crate) fn path(text: &str) -> Result<RepositoryPath, Error> {
    RepositoryPath::parse(text).filter(|path| !path.is_root()).ok_or(Error::NotFound("File"))
}

/// Returns a file, looked at if it has at most [`MAX_FILE_BYTES`]. A file of Git LFS is its pointer.
///
/// # Errors
/// [`Error::NotFound`] for the commit or the file.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadFiles>,
    revision: &str,
    name: &str,
) -> Result<File, Error> {
    let found = forge.git().file(access.project().0, revision, path(name)?, MAX_FILE_BYTES).await?;
    found.map_err(missing)
}

pub(crate) fn missing(what: Missing) -> Error {
    Error::NotFound(match what {
        Missing::Revision => "Commit",
        Missing::Path => "File",
    })
}

/// Returns the newest commit that changed a file.
///
/// # Errors
/// [`Error::Overloaded`] when looking takes too long.
pub async fn last_commit(
    forge: &Forge,
    access: &Authorized<act::ReadFiles>,
    file: &File,
    name: &str,
) -> Result<ObjectId, Error> {
    let found = forge.git().last_commit_of(access.project().0, &file.commit, path(name)?).await?;
    // A history that was cut off may not hold it.
    Ok(found.unwrap_or_else(|| file.commit.clone()))
}

/// Returns the bytes of a file.
///
/// # Errors
/// [`Error::Overloaded`].
pub async fn content(
    forge: &Forge,
    access: &Authorized<act::ReadFiles>,
    blob: Blob,
) -> Result<Content, Error> {
    match blob.content {
        Some(content) => Ok(Content::Whole(content)),
        None => Ok(Content::Stream(forge.git().blob_bytes(access.project().0, &blob.id).await?)),
    }
}

/// Returns who wrote which lines of a file. `range` counts lines from 1, both ends included.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BadRequest`] for a range that the file does not have; [`Error::Unprocessable`] for a
/// file of more than [`MAX_BLAMED_BYTES`]; [`Error::Overloaded`] when it takes too long.
pub async fn blame(
    forge: &Forge,
    access: &Authorized<act::ReadFiles>,
    file: &File,
    name: &str,
    range: Option<(u32, u32)>,
) -> Result<Vec<BlamedLines>, Error> {
    if file.blob.size > MAX_BLAMED_BYTES {
        let text = format!("A file of more than {MAX_BLAMED_BYTES} bytes is not traced to its commits.");
        return Err(Error::Unprocessable(text));
    }
    Ok(forge.git().blame(access.project().0, &file.commit, path(name)?, range).await?)
}

/// Returns a blob by its id, looked at if it has at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// [`Error::NotFound`].
pub async fn blob(forge: &Forge, access: &Authorized<act::ReadCode>, id: &str) -> Result<Blob, Error> {
    let id = ObjectId::parse(id).ok_or(Error::NotFound("Blob"))?;
    let found = forge.git().blob(access.project().0, &id, MAX_FILE_BYTES).await?;
    found.ok_or(Error::NotFound("Blob"))
}

/// Returns the bytes of a blob.
///
/// # Errors
/// [`Error::Overloaded`].
pub async fn blob_content(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    blob: Blob,
) -> Result<Content, Error> {
    match blob.content {
        Some(content) => Ok(Content::Whole(content)),
        None => Ok(Content::Stream(forge.git().blob_bytes(access.project().0, &blob.id).await?)),
    }
}
