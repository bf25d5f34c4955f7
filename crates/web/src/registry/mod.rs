//! The container registry: OCI distribution below `/v2/`, and the endpoint at `/jwt/auth` that gives out its bearers.
//!
//! Start reading at [`paths`], how a request finds its route, then at [`guard`], how it is let in.

pub mod blobs;
pub mod guard;
pub mod lists;
pub mod manifests;
pub mod paths;
pub mod token;
pub mod uploads;

use std::io;

use axum::body::Body;
use axum::http::header::{HeaderName, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use serde_json::json;

use crate::error::RegistryError;
use crate::guard::AddressOnly;
use crate::params::query_pairs;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a handler of the registry answers.
pub type RegistryResult = Result<Response, RegistryError>;

/// Answers that a registry of this protocol is here, to whoever has a bearer.
pub async fn version(_: guard::AnyBearer) -> Response {
    axum::Json(json!({})).into_response()
}

/// Sends a client that left out the slash to where the registry is.
pub async fn to_version(_: AddressOnly) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, HeaderValue::from_static("/v2/"))]).into_response()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Puts in a header whose value we made.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Puts in where something is.
fn put_location(headers: &mut HeaderMap, path: &str) {
    put(headers, LOCATION, path);
}

/// Returns the first value of a parameter.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let pairs = query_pairs(parts.uri.query().unwrap_or_default());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The body as it comes. The accept loop gives up one that stops arriving.
pub(crate) fn content(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    body.into_data_stream().map_err(io::Error::other)
}
