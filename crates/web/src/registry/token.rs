//! The token endpoint: bearers for the registry, as Distribution's "Token Authentication" describes them.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_app::registry::grants::{self, NotGranted};
use portcullis_app::registry::protocol::{ErrorCode, MAX_SCOPE_BYTES, ScopeEntry};
use portcullis_app::registry::{ImageError, SERVICE};
use serde_json::json;

use super::guard::{Applicant, PublicKeys};
use super::{RegistryResult, parameter};
use crate::AppState;
use crate::api::time;
use crate::error::RegistryError;
use crate::guard::AddressOnly;
use crate::params::query_pairs;

/// The longest query that is read, in bytes: the longest scope, with everything in it escaped, and some more.
const MAX_QUERY_BYTES: usize = 3 * MAX_SCOPE_BYTES + 1024;

/// Answers a bearer for as much of what is asked for as the caller may have.
pub async fn auth(applicant: Applicant, State(state): State<AppState>, parts: Parts) -> RegistryResult {
    let too_much =
        |text: String| RegistryError::said(ErrorCode::Unsupported, text).with_status(StatusCode::BAD_REQUEST);
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY_BYTES {
        return Err(too_much(format!("the query is longer than {MAX_QUERY_BYTES} bytes")));
    }
    if parameter(&parts, "service").as_deref() != Some(SERVICE) {
        let text = format!("there is one service here: {SERVICE}");
        return Err(RegistryError::said(ErrorCode::Unavailable, text));
    }
    let pairs = query_pairs(query);
    let scopes = pairs.iter().filter(|(name, _)| name == "scope").map(|(_, value)| value.as_str());
    let asked = ScopeEntry::parse_all(scopes).map_err(|refusal| too_much(refusal.to_string()))?;
    tracing::debug!(
        account = parameter(&parts, "account"),
        client = parameter(&parts, "client_id"),
        asked = asked.len(),
        "a bearer is asked for"
    );
    let Applicant { viewer, mut reading } = applicant;
    match grants::issue(&state.forge, &mut reading, &viewer, &asked).await {
        Ok(issued) => {
            let body = json!({
                "token": issued.token,
                "access_token": issued.token,
                "expires_in": issued.expires_in,
                "issued_at": time(issued.issued_at),
            });
            Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
        }
        Err(NotGranted::Forbidden) => Err(RegistryError::forbidden()),
        Err(NotGranted::Failed(error)) => Err(error.into()),
    }
}

/// Answers the OAuth 2 form of the same question, which is not served: clients then ask as above.
pub async fn form(_: AddressOnly) -> RegistryError {
    RegistryError::said(ErrorCode::Unsupported, "ask with GET").with_status(StatusCode::NOT_FOUND)
}

/// Answers the public keys that bearers can be checked with (RFC 7517).
pub async fn keys(_: PublicKeys, State(state): State<AppState>) -> RegistryResult {
    if !state.forge.settings().container_registry {
        return Err(ImageError::SwitchedOff.into());
    }
    let body: Response = Json(state.forge.bearers().keys().jwks(state.forge.now())).into_response();
    Ok(body)
}
