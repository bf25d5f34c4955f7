//! Lists: tags, referrers, and the catalogue.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName, LINK};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_app::records::container_manifests::Referrer;
use portcullis_app::registry::lists::{self, MAX_PAGE};
use portcullis_app::registry::protocol::{Endpoint, ErrorCode, ManifestType};
use portcullis_rules::access::act;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::guard::{Catalog, OnImage};
use super::{RegistryResult, parameter, put};
use crate::AppState;
use crate::error::RegistryError;
use crate::pagination::encoded;

/// How many names of images are on a page when the client does not say.
const CATALOG_PAGE: usize = 100;

/// Reads `n`, the size of the page. More than there may be is cut down, not refused.
fn page_size(parts: &Parts, otherwise: usize) -> Result<usize, RegistryError> {
    let Some(text) = parameter(parts, "n").filter(|text| !text.is_empty()) else { return Ok(otherwise) };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.parse::<usize>().unwrap_or(MAX_PAGE).min(MAX_PAGE));
    }
    let refused = RegistryError::said(ErrorCode::Unsupported, "n must be a number that is not negative");
    Err(refused.with_status(StatusCode::BAD_REQUEST))
}

fn put_next(response: &mut Response, address: &str) {
    put(response.headers_mut(), LINK, &format!("<{address}>; rel=\"next\""));
}

/// Answers the tags of an image.
pub async fn tags(
    mut on: OnImage<act::PullImage>,
    State(state): State<AppState>,
    parts: Parts,
) -> RegistryResult {
    let size = page_size(&parts, MAX_PAGE)?;
    let after = parameter(&parts, "last").unwrap_or_default();
    let page = lists::tags(&state.forge, &mut on.reading, &on.image, &after, size).await;
    let page = page.map_err(|error| on.error(error))?;
    let name = &on.image.name;
    let mut response = Json(json!({ "name": name.as_str(), "tags": page.items })).into_response();
    if let (true, Some(last)) = (page.more, page.items.last()) {
        put_next(&mut response, &format!("/v2/{name}/tags/list?n={size}&last={}", encoded(last)));
    }
    Ok(response)
}

/// A manifest in the list of referrers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: &'a str,
    size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a RawValue>,
}

impl<'a> Descriptor<'a> {
    fn of(referrer: &'a Referrer) -> Descriptor<'a> {
        let annotations = referrer.annotations.as_deref();
        Descriptor {
            media_type: &referrer.media_type,
            digest: &referrer.digest,
            size: referrer.size,
            artifact_type: referrer.artifact_type.as_deref(),
            annotations: annotations.and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

/// Answers the manifests that are about another one.
pub async fn referrers(
    mut on: OnImage<act::PullImage>,
    State(state): State<AppState>,
    parts: Parts,
) -> RegistryResult {
    const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

    let Endpoint::Referrers { digest, .. } = on.endpoint.clone() else {
        return Err(RegistryError::code(ErrorCode::ManifestUnknown));
    };
    let kind = parameter(&parts, "artifactType").filter(|kind| !kind.is_empty());
    let after = parameter(&parts, "last").unwrap_or_default();
    let found =
        lists::referrers(&state.forge, &mut on.reading, &on.image, &digest, kind.as_deref(), &after).await;
    let page = found.map_err(|error| on.error(error))?;
    let descriptors: Vec<_> = page.items.iter().map(Descriptor::of).collect();
    let index = ManifestType::OciIndex.as_str();
    let body = json!({ "schemaVersion": 2, "mediaType": index, "manifests": descriptors });
    let mut response = ([(CONTENT_TYPE, HeaderValue::from_static(index))], body.to_string()).into_response();
    if kind.is_some() {
        response.headers_mut().insert(FILTERS, HeaderValue::from_static("artifactType"));
    }
    if let (true, Some(last)) = (page.more, page.items.last()) {
        let filter = kind.map(|kind| format!("&artifactType={}", encoded(&kind))).unwrap_or_default();
        let last = encoded(&last.digest);
        put_next(&mut response, &format!("/v2/{}/referrers/{digest}?last={last}{filter}", on.image.name));
    }
    Ok(response)
}

/// Answers the images of the whole instance.
pub async fn catalog(access: Catalog, State(state): State<AppState>, parts: Parts) -> RegistryResult {
    let size = page_size(&parts, CATALOG_PAGE)?;
    let after = parameter(&parts, "last").unwrap_or_default();
    let page = lists::catalog(&state.forge, &access.0, &after, size).await?;
    let mut response = Json(json!({ "repositories": page.items })).into_response();
    if let (true, Some(last)) = (page.more, page.items.last()) {
        put_next(&mut response, &format!("/v2/_catalog?n={size}&last={}", encoded(last)));
    }
    Ok(response)
}
