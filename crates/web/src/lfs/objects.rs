//! The content of large files: sent, taken in, and looked for.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use portcullis_app::lfs::objects::{self, Wanted};
use portcullis_rules::access::act;
use portcullis_rules::lfs::Oid;
use serde::Deserialize;
use serde_json::json;

use super::guard::OnLargeFiles;
use super::{LfsResult, message, read};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::download::{self, Shown};
use crate::error::LfsError;
use crate::registry::{content, header};

/// Returns the number written as digits and nothing else.
fn size(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|size| digits && i64::try_from(*size).is_ok())
}

/// Sends a large file, or a range of it.
pub async fn download(
    on: OnLargeFiles<act::DownloadCode>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> LfsResult {
    let oid = Oid::parse(path_text(&path, "oid")).ok_or_else(LfsError::not_found)?;
    let file = objects::download(&state.forge, &on.files, &oid).await.map_err(|error| on.error(error))?;
    match download::file(&state, on.files.access(), &parts, &file, Shown::AsAttachment).await {
        Ok(response) => Ok(response),
        // It has a message in JSON too.
        Err(error) => Ok(error.into_response()),
    }
}

/// Takes in a large file.
pub async fn upload(
    on: OnLargeFiles<act::PushCode>,
    State(state): State<AppState>,
    path: PathParts,
    request: Request,
) -> LfsResult {
    let oid = Oid::parse(path_text(&path, "oid")).ok_or_else(LfsError::not_found)?;
    let size = size(path_text(&path, "size")).ok_or_else(LfsError::not_found)?;
    let announced = header(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced != size) {
        return Err(LfsError::new(StatusCode::BAD_REQUEST, "SHA256 or size mismatch"));
    }
    let wanted = Wanted { oid, size };
    let stored = objects::upload(&state.forge, &on.files, &wanted, content(request.into_body())).await;
    stored.map_err(|error| on.error(error))?;
    Ok(StatusCode::OK.into_response())
}

#[derive(Deserialize)]
struct VerifyRequest {
    oid: String,
    size: u64,
}

/// Says whether a large file has arrived.
pub async fn verify(
    on: OnLargeFiles<act::PushCode>,
    State(state): State<AppState>,
    request: Request,
) -> LfsResult {
    let (parts, body) = request.into_parts();
    let asked: VerifyRequest = read(&parts, body).await?;
    let oid = Oid::parse(&asked.oid).ok_or_else(LfsError::not_found)?;
    let wanted = Wanted { oid, size: asked.size };
    objects::verify(&state.forge, &on.files, &wanted).await.map_err(|error| on.error(error))?;
    message(StatusCode::OK, &json!({ "oid": wanted.oid.as_str(), "size": wanted.size }))
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_is_digits() {
        assert_eq!(size("007"), Some(7));
        for wrong in ["", "+7", "-7", "7 ", "0x7", "9223372036854775808"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
