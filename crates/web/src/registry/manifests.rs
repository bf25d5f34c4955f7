//! Manifests: pulled, pushed and deleted.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, WARNING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use portcullis_app::registry::manifests;
use portcullis_app::registry::protocol::{Endpoint, ErrorCode, Reference, RouteRefusal, Tag};
use portcullis_app::registry::{ImageError, manifests::MAX_TAGS};
use portcullis_rules::access::act;

use super::blobs::is_held;
use super::guard::OnImage;
use super::{CONTENT_DIGEST, RegistryResult, header, put, put_location};
use crate::AppState;
use crate::error::RegistryError;
use crate::params::query_pairs;

fn reference_of(endpoint: &Endpoint) -> Result<Reference, RegistryError> {
    match endpoint {
        Endpoint::Manifest { reference, .. } => Ok(reference.clone()),
        _ => Err(RegistryError::code(ErrorCode::ManifestUnknown)),
    }
}

/// Returns whether a client takes a type, as far as it says. Preferences are not looked at: there is one of each.
fn is_acceptable(headers: &HeaderMap, media_type: &str) -> bool {
    let mut types = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim())
        .filter(|one| !one.is_empty())
        .peekable();
    types.peek().is_none()
        || types.any(|one| one == "*/*" || one == "application/*" || one.eq_ignore_ascii_case(media_type))
}

/// Answers a manifest.
pub async fn get(
    mut on: OnImage<act::PullImage>,
    State(state): State<AppState>,
    parts: Parts,
) -> RegistryResult {
    let reference = reference_of(&on.endpoint)?;
    let (head, body) = if parts.method == Method::HEAD {
        let head = manifests::head(&state.forge, &mut on.reading, &on.image, &reference).await;
        (head.map_err(|error| on.error(error))?, None)
    } else {
        let whole = manifests::get(&state.forge, &mut on.reading, &on.image, &reference).await;
        let whole = whole.map_err(|error| on.error(error))?;
        (whole.head, Some(whole.body))
    };
    // Whoever asks by digest knows what they get.
    if matches!(reference, Reference::Tag(_)) && !is_acceptable(&parts.headers, &head.media_type) {
        return Err(manifests::unknown(&reference).into());
    }
    let mut headers = HeaderMap::new();
    put(&mut headers, CONTENT_DIGEST, &head.digest);
    put(&mut headers, ETAG, &format!("\"{}\"", head.digest));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if is_held(&parts.headers, &head.digest) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    put(&mut headers, CONTENT_TYPE, &head.media_type);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(head.size));
    Ok((StatusCode::OK, headers, body.map_or_else(Body::empty, Body::from)).into_response())
}

/// Takes a manifest.
pub async fn put_one(
    on: OnImage<act::PushImage>,
    State(state): State<AppState>,
    request: Request,
) -> RegistryResult {
    const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
    const TAG: HeaderName = HeaderName::from_static("oci-tag");

    let reference = reference_of(&on.endpoint)?;
    let tags = tags_of(request.uri().query().unwrap_or_default())?;
    let content_type = header(request.headers(), &CONTENT_TYPE).map(str::to_owned);
    let limit = state.forge.settings().max_manifest_bytes;
    if request.body().size_hint().lower() > limit as u64 {
        return Err(ImageError::TooLarge { what: "the manifest", limit: limit as u64 }.into());
    }
    let body = match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(ImageError::TooLarge { what: "the manifest", limit: limit as u64 }.into());
        }
        Err(_) => return Err(RegistryError::said(ErrorCode::SizeInvalid, "the body broke off")),
    };
    let pushed = manifests::push(&state.forge, &on.image, &reference, tags.clone(), content_type, body)
        .await
        .map_err(|error| on.error(error))?;
    let mut response: Response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    put_location(headers, &format!("/v2/{}/manifests/{}", on.image.name, pushed.digest));
    put(headers, CONTENT_DIGEST, &pushed.digest.to_string());
    if let Some(subject) = pushed.subject {
        put(headers, SUBJECT, &subject.to_string());
    }
    for tag in tags {
        if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
            headers.append(TAG, value);
        }
    }
    Ok(response)
}

/// Reads the parameters `tag`.
fn tags_of(query: &str) -> Result<Vec<Tag>, RegistryError> {
    let mut tags = Vec::new();
    for (_, text) in query_pairs(query).into_iter().filter(|(name, _)| name == "tag") {
        if tags.len() == MAX_TAGS {
            return Err(ImageError::TooManyTags(MAX_TAGS).into());
        }
        let tag =
            Tag::parse(&text).map_err(|refusal| RegistryError::no_such_route(RouteRefusal::Tag(refusal)))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// Deletes a tag, or a manifest with its tags.
pub async fn delete(on: OnImage<act::DeleteImage>, State(state): State<AppState>) -> RegistryResult {
    let reference = reference_of(&on.endpoint)?;
    let deleted = manifests::delete(&state.forge, &on.image, &reference).await;
    let deleted = deleted.map_err(|error| on.error(error))?;
    let mut response: Response = StatusCode::ACCEPTED.into_response();
    if let Some(index) = deleted.named_by {
        let text = format!("299 - \"the index {index} names the deleted manifest\"");
        put(response.headers_mut(), WARNING, &text);
    }
    Ok(response)
}
