//! What a client is told about how much of its limit of requests it has used.

use std::sync::{Arc, OnceLock};

use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use portcullis_app::access::Viewer;
use portcullis_app::rate_limits::Allowance;

use crate::AppState;

/// What was counted for the request that carries this, once it is known whose it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<OnceLock<Allowance>>);

impl Counted {
    /// Returns a place for what will be counted; nothing when there is no limit.
    pub(crate) fn begin(state: &AppState) -> Option<Counted> {
        state.forge.rate_limits().are_on().then(Counted::default)
    }

    /// Adds what was counted to an answer.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let Some(allowance) = self.0.get() else { return };
        let numbers = [
            ("ratelimit-limit", i64::from(allowance.limit)),
            ("ratelimit-observed", i64::from(allowance.observed)),
            ("ratelimit-remaining", i64::from(allowance.remaining())),
            ("ratelimit-reset", allowance.reset_at),
        ];
        for (name, value) in numbers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        headers.insert(
            HeaderName::from_static("ratelimit-name"),
            HeaderValue::from_static("throttle_authenticated_api"),
        );
        let time = Timestamp::from_second(allowance.reset_at).ok();
        let time =
            time.and_then(|time| rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok());
        if let Some(value) = time.and_then(|time| HeaderValue::from_str(&time).ok()) {
            headers.insert(HeaderName::from_static("ratelimit-resettime"), value);
        }
        if allowance.is_exceeded() {
            headers.insert(RETRY_AFTER, HeaderValue::from(allowance.reset_after));
        }
    }
}

/// A request that is one too many.
#[derive(Clone, Copy, Debug)]
pub struct TooManyRequests;

impl IntoResponse for TooManyRequests {
    fn into_response(self) -> Response {
        // Clients look for this very text, and the rest of the answer is in the headers.
        (StatusCode::TOO_MANY_REQUESTS, "Retry later\n").into_response()
    }
}

/// Counts a request of whoever asks.
///
/// # Errors
/// When it is one too many.
pub(crate) fn count(parts: &Parts, state: &AppState, viewer: &Viewer) -> Result<(), TooManyRequests> {
    let (Some(counted), Some(identity)) = (parts.extensions.get::<Counted>(), viewer.identity()) else {
        return Ok(());
    };
    let Some(token) = identity.token() else { return Ok(()) };
    let Some(allowance) = state.forge.rate_limits().count(token, state.forge.now()) else {
        return Ok(());
    };
    // Who asks is found out once for each request.
    counted.0.get_or_init(|| allowance);
    if allowance.is_exceeded() { Err(TooManyRequests) } else { Ok(()) }
}
