//! Large files of Git (LFS): the Batch API, the transfer `basic`, and locks.
//!
//! Start reading at [`guard`], how a request is let in. A client is told in [`batch`] where to get or put each file, and goes
//! there with the same credential; [`objects`] takes and sends them.

pub mod batch;
pub mod guard;
pub mod locks;
pub mod objects;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_rules::access::act;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::guard::OnLargeFiles;
use crate::error::{LFS_JSON, LfsError};
use crate::params::{collect, media_type};
use crate::registry::header;

/// What a handler of large files answers.
pub type LfsResult = Result<Response, LfsError>;

/// The largest message, in bytes: some thousands of objects fit, which are too many already.
const MAX_MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Answers what clients of long ago ask for.
pub async fn legacy(_: OnLargeFiles<act::DownloadCode>) -> LfsError {
    let text = "Server supports batch API only, please update your Git LFS client to version 1.0.1 and up.";
    LfsError::new(StatusCode::NOT_IMPLEMENTED, text)
}

/// Returns a message of this protocol.
fn message(status: StatusCode, message: &impl Serialize) -> LfsResult {
    let text = serde_json::to_string(message)
        .map_err(|error| LfsError::of(portcullis_app::Error::Internal(Box::new(error)), ""))?;
    Ok((status, [(CONTENT_TYPE, LFS_JSON)], text).into_response())
}

/// Refuses a client that does not read this protocol's messages.
fn expect_reader(headers: &HeaderMap) -> Result<(), LfsError> {
    let Some(accept) = header(headers, &ACCEPT) else { return Ok(()) };
    let reads = accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(
            range.as_str(),
            "*/*" | "application/*" | "application/json" | "application/vnd.git-lfs+json"
        )
    });
    if reads {
        return Ok(());
    }
    Err(LfsError::new(StatusCode::NOT_ACCEPTABLE, "The answer is application/vnd.git-lfs+json."))
}

/// Reads a message of this protocol.
async fn read<T: DeserializeOwned>(parts: &Parts, body: Body) -> Result<T, LfsError> {
    expect_reader(&parts.headers)?;
    let kind = media_type(&parts.headers);
    if !matches!(kind.as_str(), "application/vnd.git-lfs+json" | "application/json") {
        let text = "Send the content type application/vnd.git-lfs+json.";
        return Err(LfsError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = collect(body, MAX_MESSAGE_BYTES).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            LfsError::new(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.")
        }
        status => LfsError::new(status, "The request ended early."),
    })?;
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            LfsError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("The request is not valid: {error}"))
        }
        _ => LfsError::new(StatusCode::BAD_REQUEST, "the body is not valid JSON"),
    })
}
