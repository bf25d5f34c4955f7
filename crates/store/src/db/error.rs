//! What can go wrong with a database, in the few cases that a caller treats differently.
//!
//! Both engines are translated into the same enum; nothing outside this module sees a driver's error code.

use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi;
use tokio_postgres::error::SqlState;

/// The driver's own error behind one of ours. Shared, because a failed group commit has many owners.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why the database did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A row with this key is already there.
    ///
    /// PostgreSQL names the constraint or index (`users_username_key`), SQLite the columns (`users.username`)
    /// or, if the index is on an expression, the index. So look for the column's name with `contains`, and
    /// name an index on an expression after its columns.
    #[error("a row with the same key exists already ({constraint})")]
    Unique {
        /// The engine's words for the violated key, in lower case.
        constraint: String,
    },
    /// A row refers to one that is not there, or one that is still referred to was to be deleted.
    #[error("a row refers to a row that does not exist, or is still referred to")]
    ForeignKey,
    /// A column that must have a value was given none.
    #[error("a value is missing in {column}")]
    NotNull {
        /// The column, in lower case (SQLite puts the table before it).
        column: String,
    },
    /// A value is outside what the schema allows.
    #[error("a value is not allowed by {constraint}")]
    Check {
        /// The engine's words for the violated rule, in lower case.
        constraint: String,
    },
    /// Others held what this transaction needs for too long, or won against it. The whole transaction may be
    /// tried again.
    #[error("the database is busy with other transactions; try again")]
    Busy,
    /// Something tried to write through [`Db::read`](super::Db::read).
    #[error("this connection only reads; write inside a transaction")]
    ReadOnly,
    /// An earlier statement of this transaction failed, so nothing more may be done in it and nothing was
    /// kept.
    #[error("an earlier statement of this transaction failed, so it was rolled back")]
    Aborted,
    /// The database cannot be reached or written now: server down, disk full, file not readable.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Cause),
    /// The database was migrated by a newer Portcullis.
    #[error(
        "the database has schema version {found}, but this program knows only versions up to {known}: \
         start the newer Portcullis that migrated it, or restore a backup taken before that upgrade"
    )]
    DatabaseFromNewerVersion {
        /// The newest migration recorded in the database.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// The database answered with something that should never be in it.
    #[error("the database holds unexpected data: {0}")]
    Corrupt(String),
    /// The configured target cannot be used as it is written; the text says what would be right.
    #[error("{0}")]
    Target(String),
    /// Anything else: a fault in a statement or in the adapter.
    #[error("the database refused a statement: {0}")]
    Internal(#[source] Cause),
}

impl Error {
    /// Wraps a fault that has no cause in a driver.
    pub(super) fn fault(text: impl Into<String>) -> Self {
        let boxed: Box<dyn std::error::Error + Send + Sync> = text.into().into();
        Self::Internal(boxed.into())
    }

    /// Says that a finished transaction was lost because the disk failed one that shared its commit.
    pub(super) fn lost() -> Self {
        let boxed: Box<dyn std::error::Error + Send + Sync> =
            "the disk failed before the transaction was durable, and it was rolled back".into();
        Self::Unavailable(boxed.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let (code, extended, message) = match &error {
            rusqlite::Error::SqliteFailure(failure, message) => {
                (failure.code, failure.extended_code, message.as_deref().unwrap_or_default())
            }
            rusqlite::Error::SqlInputError { error: failure, msg, .. } => {
                (failure.code, failure.extended_code, msg.as_str())
            }
            _ => return Self::Internal(Arc::new(error)),
        };
        // "UNIQUE constraint failed: users.username": what follows the colon names the culprit.
        let culprit = || message.split_once(": ").map_or(message, |(_, what)| what).to_lowercase();
        match extended {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => {
                return Self::Unique { constraint: culprit() };
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::ForeignKey,
            // `ON DELETE RESTRICT` is carried out by an internal trigger and reported as one.
            ffi::SQLITE_CONSTRAINT_TRIGGER if message.starts_with("FOREIGN KEY") => return Self::ForeignKey,
            ffi::SQLITE_CONSTRAINT_NOTNULL => return Self::NotNull { column: culprit() },
            ffi::SQLITE_CONSTRAINT_CHECK => return Self::Check { constraint: culprit() },
            _ => {}
        }
        match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory => Self::Unavailable(Arc::new(error)),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(message.to_owned()),
            _ => Self::Internal(Arc::new(error)),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refusal) = error.as_db_error() else {
            let unreachable = error.is_closed() || io_inside(&error);
            let cause: Cause = Arc::new(error);
            return if unreachable { Self::Unavailable(cause) } else { Self::Internal(cause) };
        };
        let constraint = || refusal.constraint().unwrap_or_default().to_lowercase();
        let state = refusal.code();
        match state.code() {
            "23505" => Self::Unique { constraint: constraint() },
            // 23001 is what newer servers say when `ON DELETE RESTRICT` refuses.
            "23503" | "23001" => Self::ForeignKey,
            "23502" => Self::NotNull { column: refusal.column().unwrap_or_default().to_lowercase() },
            "23514" => Self::Check { constraint: constraint() },
            "25006" => Self::ReadOnly,
            "40001" | "40P01" | "55P03" | "57014" => Self::Busy,
            "XX001" | "XX002" => Self::Corrupt(refusal.message().to_owned()),
            code if code.starts_with("08") || code.starts_with("57P") || code.starts_with("53") => {
                Self::Unavailable(Arc::new(error))
            }
            // Wrong password, unknown role, unknown database: not our statement's fault, and an operator can
            // mend it.
            code if code.starts_with("28") || *state == SqlState::INVALID_CATALOG_NAME => {
                Self::Unavailable(Arc::new(error))
            }
            _ => Self::Internal(Arc::new(error)),
        }
    }
}

/// Tells whether the network is at the root of a driver's error, as with a refused connection.
fn io_inside(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}
