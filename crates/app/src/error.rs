//! What a use case answers when it does not do what was asked.

use portcullis_rules::access::Denial;
use portcullis_rules::names::NameRefusal;
use portcullis_store::db;

/// Why a use case did not do what was asked. Nothing has changed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A further permission that the act turned out to need was refused.
    #[error("refused: {0:?}")]
    Refused(Denial),
    /// There is no such thing inside its parent. The word names the kind of thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Fields whose values cannot be: each with what is wrong with it.
    #[error("invalid: {0:?}")]
    Invalid(Vec<(&'static str, String)>),
    /// The request makes no sense as it stands; the text says why.
    #[error("{0}")]
    BadRequest(String),
    /// It collides with something that exists; the text says with what.
    #[error("{0}")]
    Conflict(String),
    /// It is understood, and cannot be: the text says why.
    #[error("{0}")]
    Unprocessable(String),
    /// It cannot be done to what is there now; the text says why.
    #[error("{0}")]
    Inapplicable(String),
    /// The same was done a short while ago; the text says how often it may be.
    #[error("{0}")]
    TooSoon(&'static str),
    /// The caller is known and may not; the text says why.
    #[error("{0}")]
    Forbidden(String),
    /// The caller's credential is not one that this can be done with.
    #[error("the credential does not allow this")]
    Unauthorized,
    /// This kind of credential has no such operation.
    #[error("not available with this credential")]
    NotAvailable,
    /// The body of the request is larger than is read.
    #[error("the request body is too large")]
    RequestTooLarge,
    /// Too much is going on; the same request may succeed after this many seconds.
    #[error("overloaded")]
    Overloaded(u64),
    /// Something is wrong with the forge, not with the request.
    #[error(transparent)]
    Internal(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Returns the error for one field.
    pub fn invalid(field: &'static str, problem: impl ToString) -> Error {
        Error::Invalid(vec![(field, problem.to_string())])
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        match error {
            db::Error::Busy => Error::Overloaded(1),
            other => Error::Internal(Box::new(other)),
        }
    }
}

impl From<portcullis_git::Error> for Error {
    fn from(error: portcullis_git::Error) -> Error {
        match error {
            portcullis_git::Error::NotFound => Error::NotFound("Repository"),
            portcullis_git::Error::Overloaded { retry_after } => {
                Error::Overloaded(retry_after.as_secs().max(1))
            }
            portcullis_git::Error::BadRequest(text) => Error::BadRequest(text),
            portcullis_git::Error::Inapplicable(text) => Error::Inapplicable(text),
            portcullis_git::Error::RequestTooLarge => Error::RequestTooLarge,
            other => Error::Internal(Box::new(other)),
        }
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Error {
        Error::Refused(denial)
    }
}

/// Collects what is wrong with several fields, so that one answer names them all.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    /// Takes the value of a field, or notes why it has none.
    pub(crate) fn take<T>(&mut self, field: &'static str, value: Result<T, NameRefusal>) -> Option<T> {
        value.map_err(|refusal| self.0.push((field, refusal.to_string()))).ok()
    }

    /// Notes a problem.
    pub(crate) fn add(&mut self, field: &'static str, problem: impl ToString) {
        self.0.push((field, problem.to_string()));
    }

    /// Returns everything noted as an error, if there is any.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}
