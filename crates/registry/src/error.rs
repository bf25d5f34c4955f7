//! What can go wrong with stored content, cut along the lines of what a caller does next.

use std::io;

use crate::{Digest, Progress};

/// Any error that a part below has.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of the blob store or of the uploads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another request is at work on the upload in this process. Nothing was changed.
    #[error("another request is at work on the upload")]
    Busy,
    /// Bytes of the upload that were acknowledged are not there: the session cannot go on.
    #[error("bytes of the upload that were acknowledged are not there")]
    UploadLost,
    /// The upload would have become larger than allowed. Nothing of the piece was kept.
    #[error("the upload would be larger than {limit} bytes")]
    TooLarge {
        /// How many bytes the upload may have.
        limit: u64,
    },
    /// The piece broke off. What had arrived is kept, and the upload can go on from there.
    #[error("the piece broke off when the upload had {} bytes", progress.size)]
    Interrupted {
        /// What the upload has now.
        progress: Progress,
        /// Why the piece broke off.
        source: io::Error,
    },
    /// The content is not what was announced. The upload is gone, and nothing of it was kept.
    #[error("the content has the digest {actual} and not {expected}")]
    DigestMismatch {
        /// The digest that was announced.
        expected: Digest,
        /// The digest of the content.
        actual: Digest,
    },
    /// The blob is not stored, though somebody knows of it.
    #[error("blob {0} is not stored")]
    BlobMissing(Digest),
    /// The blob has not as many bytes as it had when it was stored.
    #[error("blob {digest} has {actual} bytes and should have {recorded}")]
    BlobDamaged {
        /// The blob.
        digest: Digest,
        /// How many bytes it should have.
        recorded: u64,
        /// How many bytes it has.
        actual: u64,
    },
    /// The range ends before it begins, or behind the end of the blob.
    #[error("the range is not inside the blob of {size} bytes")]
    RangeOutside {
        /// How many bytes the blob has.
        size: u64,
    },
    /// The file system that holds the blobs has no room left. Nothing of the piece was kept.
    #[error("no space is left for blobs")]
    DiskFull,
    /// The place for blobs cannot be used as it is set. The text says what would be right.
    #[error("{0}")]
    Unusable(String),
    /// The object storage does not answer, or not in time. It may later.
    #[error("{context}: the object storage does not answer")]
    Unavailable {
        /// What was being done.
        context: String,
        /// What went wrong.
        source: BoxError,
    },
    /// Anything else. The text says what was being done, and is meant for the operator.
    #[error("{context}")]
    Internal {
        /// What was being done.
        context: String,
        /// What went wrong.
        source: BoxError,
    },
}

impl Error {
    /// Turns a failed system call into an error that says what was being done.
    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let context = context.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
            _ => Error::Internal { context, source: source.into() },
        }
    }

    /// Turns an answer of the object storage into an error that says what was being done. That something is not there
    /// must have been looked at before.
    pub(crate) fn storage(context: impl Into<String>) -> impl FnOnce(object_store::Error) -> Error {
        let context = context.into();
        move |source| match source {
            // Everything that was tried again in vain: no connection, no answer in time, an answer of the 5xx kind.
            object_store::Error::Generic { .. } => Error::Unavailable { context, source: source.into() },
            _ => Error::Internal { context, source: source.into() },
        }
    }
}
