//! Blobs: pulled and deleted.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_app::registry::blobs;
use portcullis_app::registry::protocol::{Digest, Download, Endpoint, ErrorCode};
use portcullis_rules::access::{Visibility, act};

use super::guard::OnImage;
use super::{CONTENT_DIGEST, RegistryResult, header, put};
use crate::AppState;
use crate::error::RegistryError;

fn digest_of(endpoint: &Endpoint) -> Result<Digest, RegistryError> {
    match endpoint {
        Endpoint::Blob { digest, .. } => Ok(digest.clone()),
        _ => Err(RegistryError::code(ErrorCode::BlobUnknown)),
    }
}

/// Returns whether the client has this content already.
pub(super) fn is_held(headers: &HeaderMap, digest: &str) -> bool {
    let Some(held) = header(headers, &IF_NONE_MATCH) else { return false };
    held.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == digest
    })
}

/// Answers a blob, or a range of it.
pub async fn get(
    mut on: OnImage<act::PullImage>,
    State(state): State<AppState>,
    parts: Parts,
) -> RegistryResult {
    let digest = digest_of(&on.endpoint)?;
    let size = blobs::size(&state.forge, &mut on.reading, &on.image, &digest).await;
    // The transaction is not held while a client reads.
    on.reading = Default::default();
    let size = size.map_err(|error| on.error(error))?;
    let name = digest.to_string();
    let public = on.image.access.place().facts.visibility == Visibility::Public;
    let kept = if public { "max-age=31536000" } else { "private, max-age=31536000" };
    let mut headers = HeaderMap::new();
    put(&mut headers, CONTENT_DIGEST, &name);
    put(&mut headers, ETAG, &format!("\"{name}\""));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if is_held(&parts.headers, &name) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let download = Download::of(header(&parts.headers, &RANGE), size);
    if let Some(range) = download.content_range(size) {
        put(&mut headers, CONTENT_RANGE, &range);
    }
    let (status, range) = match download {
        Download::Whole => (StatusCode::OK, 0..size),
        Download::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Download::Unsatisfiable => {
            let text = format!("the blob has {size} bytes");
            let refused = RegistryError::said(ErrorCode::SizeInvalid, text);
            let refused = refused.with_status(StatusCode::RANGE_NOT_SATISFIABLE);
            let mut response = refused.into_response();
            response.headers_mut().extend(headers.remove(CONTENT_RANGE).map(|range| (CONTENT_RANGE, range)));
            return Ok(response);
        }
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let body = if parts.method == Method::HEAD {
        Body::empty()
    } else {
        let read = blobs::read(&state.forge, &on.image, &digest, size, Some(range)).await;
        Body::from_stream(read.map_err(|error| on.error(error))?.bytes)
    };
    Ok((status, headers, body).into_response())
}

/// Takes a blob away from an image.
pub async fn delete(on: OnImage<act::DeleteImage>, State(state): State<AppState>) -> RegistryResult {
    let digest = digest_of(&on.endpoint)?;
    blobs::delete(&state.forge, &on.image, &digest).await.map_err(|error| on.error(error))?;
    let mut response: Response = StatusCode::ACCEPTED.into_response();
    put(response.headers_mut(), CONTENT_DIGEST, &digest.to_string());
    Ok(response)
}
