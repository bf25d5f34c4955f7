//! Why the registry did not do what was asked, in the words of its protocol.

use portcullis_registry::{BoxError, ErrorCode, ErrorEntry, PieceRefusal};
use portcullis_store::db;

use crate::Error;

/// Why the registry did not do what was asked. Nothing has changed when one is returned, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The protocol has a code for it; the first entry's decides the status.
    #[error("{}", .0.first().map_or("", |entry| &*entry.message))]
    Protocol(Vec<ErrorEntry>),
    /// A piece of an upload does not fit. The upload has `size` bytes and can go on.
    #[error("{refusal}")]
    Piece {
        /// What is wrong with it.
        refusal: PieceRefusal,
        /// How many bytes the upload has.
        size: u64,
    },
    /// What was sent is larger than `limit` bytes.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// More tags were named in one request than are taken.
    #[error("more than {0} tags were named")]
    TooManyTags(usize),
    /// There is no registry here.
    #[error("the registry is switched off")]
    SwitchedOff,
    /// The registry takes no changes for now, or something it needs does not answer; try again after these seconds.
    #[error("unavailable for now: {why}")]
    Unavailable {
        /// After how many seconds to try again.
        retry_after: u64,
        /// What is the matter, for the operator.
        why: String,
    },
    /// Anything else.
    #[error(transparent)]
    Forge(#[from] Error),
}

/// After how many seconds a client tries again what failed for a passing reason.
const RETRY_AFTER: u64 = 5;

impl ImageError {
    /// Returns the error for one code, with its usual message.
    pub fn code(code: ErrorCode) -> ImageError {
        ImageError::Protocol(vec![code.into()])
    }

    /// Returns the error for one code, with a message of its own.
    pub fn said(code: ErrorCode, message: impl Into<String>) -> ImageError {
        ImageError::Protocol(vec![ErrorEntry::new(code, message.into())])
    }

    /// Returns the answer to what may succeed when it is tried again.
    pub fn unavailable(why: impl Into<String>) -> ImageError {
        ImageError::Unavailable { retry_after: RETRY_AFTER, why: why.into() }
    }
}

impl From<db::Error> for ImageError {
    fn from(error: db::Error) -> ImageError {
        ImageError::Forge(error.into())
    }
}

impl From<portcullis_registry::Error> for ImageError {
    fn from(error: portcullis_registry::Error) -> ImageError {
        use portcullis_registry::Error as E;
        match error {
            E::UploadLost => ImageError::code(ErrorCode::BlobUploadUnknown),
            E::DigestMismatch { expected, actual } => ImageError::said(
                ErrorCode::DigestInvalid,
                format!("the content has the digest {actual} and not {expected}"),
            ),
            E::Interrupted { progress, .. } => ImageError::said(
                ErrorCode::SizeInvalid,
                format!("the body broke off when the upload had {} bytes", progress.size),
            ),
            E::TooLarge { limit } => ImageError::TooLarge { what: "the blob", limit },
            E::Busy => ImageError::unavailable("another request is at work on the upload"),
            E::DiskFull | E::Unavailable { .. } => ImageError::unavailable(chain(&error)),
            other => ImageError::Forge(Error::Internal(BoxError::from(other))),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
