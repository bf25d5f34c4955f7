//! What can go wrong in the engine, cut along the lines of what a caller does next.

use std::io;
use std::time::Duration;

use crate::RefName;

/// An error of the Git engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository with that id on disk.
    #[error("the repository does not exist")]
    NotFound,
    /// There is already a repository with that id on disk, or the branch to begin already has commits.
    #[error("the repository already exists")]
    AlreadyExists,
    /// Too many Git processes are running and waiting; nothing was started.
    #[error("too many Git requests are running; try again in {} s", retry_after.as_secs())]
    Overloaded {
        /// How long a client should wait before it asks again.
        retry_after: Duration,
    },
    /// The request is not one that git understands. The text is meant for the person who sent it.
    #[error("{0}")]
    BadRequest(String),
    /// What was asked for cannot be done to the files or refs that are there. The text is meant for the person who asked.
    #[error("{0}")]
    Inapplicable(String),
    /// A branch or tag is no longer what the caller saw, and nothing was changed.
    #[error("{0} has changed meanwhile")]
    Moved(RefName),
    /// The body of a fetch request is larger than allowed, counted after inflation.
    #[error("the request body is too large")]
    RequestTooLarge,
    /// The file system that holds the repositories has no room left.
    #[error("no space is left for repositories")]
    DiskFull,
    /// The installed git, or the folder for repositories, cannot be used. The text says what would be right.
    #[error("{0}")]
    Unusable(String),
    /// Anything else. The text says what was being done, and is meant for the operator.
    #[error("{context}")]
    Internal {
        /// What was being done.
        context: String,
        /// What the system answered, where it did.
        #[source]
        source: Option<io::Error>,
    },
}

impl Error {
    /// Turns a failed system call into an error that says what was being done.
    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let context = context.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
            _ => Error::Internal { context, source: Some(source) },
        }
    }

    /// Describes something that should not have happened and has no system error behind it.
    pub(crate) fn internal(context: impl Into<String>) -> Error {
        Error::Internal { context: context.into(), source: None }
    }
}
