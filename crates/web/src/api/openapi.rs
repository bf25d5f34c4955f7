//! The description of this API.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::files::Mark;
use crate::guard::AboutVersion;
use crate::openapi::description;

/// Answers the description of this API in the words of OpenAPI.
pub async fn get(_: AboutVersion, headers: HeaderMap) -> Response {
    let description = description();
    let mark = Mark::of(&[&description.mark]);
    if mark.is_known(&headers) {
        return mark.unchanged();
    }
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    mark.put((json, description.text.as_str()).into_response())
}
