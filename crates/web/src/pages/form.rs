//! What a form of ours sends.

use axum::extract::{FromRequest, Request};

use super::PageError;
use crate::AppState;
use crate::params::{FORM, collect, media_type, query_pairs};

/// The fields of a form, in the order they were sent.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Returns the text of a field; of one that is absent, nothing.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns every text of a field that may be there more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequest<AppState> for Form {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &AppState) -> Result<Form, PageError> {
        let (parts, body) = request.into_parts();
        if media_type(&parts.headers) != FORM {
            return Err(PageError::NotAForm);
        }
        let bytes =
            collect(body, state.forge.settings().max_body_bytes).await.map_err(|_| PageError::NotAForm)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| PageError::NotAForm)?;
        // A NUL is no text, and not every database could keep it.
        let pairs = query_pairs(text);
        if pairs.iter().any(|(_, value)| value.contains('\0')) {
            return Err(PageError::NotAForm);
        }
        Ok(Form(pairs))
    }
}
