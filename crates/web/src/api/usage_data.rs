//! What clients tell about their use.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_rules::access::act;
use serde_json::json;

use super::{ApiResult, ok};
use crate::AppState;
use crate::params::Params;

/// Takes note that a command was used, by forgetting it: some clients complain about any other answer.
pub async fn track_event(
    _access: Authorized<act::TrackUsage>,
    State(_): State<AppState>,
    _params: Params,
) -> ApiResult {
    Ok(ok(json!({ "status": "ok" })))
}
