//! Uploads: opened, gone on with, ended.

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_app::registry::Image;
use portcullis_app::registry::protocol::{
    Algorithm, Digest, Endpoint, ErrorCode, RepositoryName, SessionId, upload_range,
};
use portcullis_app::registry::uploads::{self, Piece};
use portcullis_rules::access::act;

use super::guard::{OnImage, Visitor};
use super::{CONTENT_DIGEST, RegistryResult, content, header, parameter, put, put_location};
use crate::AppState;
use crate::error::RegistryError;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

type Push = OnImage<act::PushImage>;

type Target = Image<act::PushImage>;

fn session_of(endpoint: &Endpoint) -> Result<SessionId, RegistryError> {
    match endpoint {
        Endpoint::Upload { session, .. } => Ok(*session),
        _ => Err(RegistryError::code(ErrorCode::BlobUploadUnknown)),
    }
}

fn parsed_digest(text: &str) -> Result<Digest, RegistryError> {
    Digest::parse(text)
        .map_err(|refusal| RegistryError::said(ErrorCode::DigestInvalid, format!("the digest {refusal}")))
}

fn piece(headers: &HeaderMap) -> Piece {
    Piece {
        range: header(headers, &CONTENT_RANGE).map(str::to_owned),
        length: header(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// The answer that says what a session has.
fn progress(status: StatusCode, image: &Target, session: SessionId, size: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    put_location(headers, &format!("/v2/{}/blobs/uploads/{session}", image.name));
    put(headers, UPLOAD_ID, &session.to_string());
    put(headers, RANGE, &upload_range(size));
    response
}

/// The answer that says where a blob is now.
fn created(image: &Target, digest: &Digest) -> Response {
    let mut response: Response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    put_location(headers, &format!("/v2/{}/blobs/{digest}", image.name));
    put(headers, CONTENT_DIGEST, &digest.to_string());
    response
}

/// Begins an upload; takes a whole blob; or links one that is there already.
pub async fn open(on: Push, State(state): State<AppState>, request: Request) -> RegistryResult {
    let (parts, body) = request.into_parts();
    if let Some(mounted) = parameter(&parts, "mount") {
        let digest = parsed_digest(&mounted)?;
        let source = source(&on.visitor, &state, parameter(&parts, "from")).await?;
        if let Some(source) = source {
            let mounted = uploads::mount(&state.forge, &on.image, &digest, source.as_ref()).await;
            if mounted.map_err(|error| on.error(error))? {
                return Ok(created(&on.image, &digest));
            }
        }
    } else if let Some(digest) = parameter(&parts, "digest") {
        let digest = parsed_digest(&digest)?;
        uploads::push(&state.forge, &on.image, &digest, piece(&parts.headers), content(body))
            .await
            .map_err(|error| on.error(error))?;
        return Ok(created(&on.image, &digest));
    }
    let algorithm = match parameter(&parts, "digest-algorithm") {
        None => Algorithm::Sha256,
        Some(name) => Algorithm::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
            let text = "the digest-algorithm is not supported; sha256 and sha512 are";
            RegistryError::said(ErrorCode::DigestInvalid, text)
        })?,
    };
    let session = uploads::open(&state.forge, &on.image, algorithm).await.map_err(|error| on.error(error))?;
    Ok(progress(StatusCode::ACCEPTED, &on.image, session, 0))
}

/// Returns where a blob may be linked from: an image, or any of the same project if none is named. `None` when the caller
/// may not pull from there; that is no error, because then the blob is uploaded.
async fn source(
    visitor: &Visitor,
    state: &AppState,
    from: Option<String>,
) -> Result<Option<Option<Image<act::PullImage>>>, RegistryError> {
    let Some(from) = from.filter(|from| !from.is_empty()) else { return Ok(Some(None)) };
    match RepositoryName::parse(&from) {
        Ok(name) => Ok(visitor.may_pull_from(state, name).await?.map(Some)),
        Err(_) => Ok(None),
    }
}

/// Says what a session has.
pub async fn status(on: Push, State(state): State<AppState>) -> RegistryResult {
    let session = session_of(&on.endpoint)?;
    let size = uploads::size(&state.forge, &on.image, session).await.map_err(|error| on.error(error))?;
    Ok(progress(StatusCode::NO_CONTENT, &on.image, session, size))
}

/// Takes a piece.
pub async fn append(on: Push, State(state): State<AppState>, request: Request) -> RegistryResult {
    let session = session_of(&on.endpoint)?;
    let kind = header(request.headers(), &CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/octet-stream") {
        let text = "a piece of an upload has the content type application/octet-stream";
        return Err(RegistryError::said(ErrorCode::BlobUploadInvalid, text));
    }
    let piece = piece(request.headers());
    let size = uploads::append(&state.forge, &on.image, session, piece, content(request.into_body()))
        .await
        .map_err(|error| on.error(error))?;
    Ok(progress(StatusCode::ACCEPTED, &on.image, session, size))
}

/// Takes the last piece, if there is one, and makes the blob.
pub async fn finish(on: Push, State(state): State<AppState>, request: Request) -> RegistryResult {
    let session = session_of(&on.endpoint)?;
    let (parts, body) = request.into_parts();
    let digest = parameter(&parts, "digest")
        .ok_or_else(|| RegistryError::said(ErrorCode::DigestInvalid, "the parameter digest is missing"))?;
    let digest = parsed_digest(&digest)?;
    uploads::finish(&state.forge, &on.image, session, &digest, piece(&parts.headers), content(body))
        .await
        .map_err(|error| on.error(error))?;
    Ok(created(&on.image, &digest))
}

/// Ends a session without a blob.
pub async fn cancel(on: Push, State(state): State<AppState>) -> RegistryResult {
    let session = session_of(&on.endpoint)?;
    uploads::cancel(&state.forge, &on.image, session).await.map_err(|error| on.error(error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
