//! Pages are sent compressed to a browser that takes it.
//!
//! How long something compressed is tells of what is in it: whoever can have a text of theirs shown beside a secret, and see
//! lengths pass, can guess the secret letter by letter (BREACH). So nothing is compressed that holds one. Secrets are shown in
//! answers to forms, once; what is looked at again and again holds none, and that alone is compressed.

use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use axum::routing::MethodRouter;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use crate::AppState;

/// What is smaller goes into one packet as it is, in bytes.
const WORTH_IT: u16 = 1024;

/// Has the answers to those who only look compressed with gzip (RFC 9110, section 8.4.1): pages, and what they are drawn with.
pub fn for_who_looks(handler: MethodRouter<AppState>) -> MethodRouter<AppState> {
    let layer = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    handler.layer(layer.compress_when(SizeAbove::new(WORTH_IT).and(is_page)))
}

/// Errors are excepted: they are short, and one that knows who asks is written after this.
fn is_page(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    status == StatusCode::OK
        && ["text/html;", "text/css;", "text/javascript;"].iter().any(|text| kind.starts_with(text))
}
