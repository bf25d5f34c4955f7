//! Pipelines. The forge runs none: clients that ask are told that there are none.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::records::select::Listing;
use portcullis_rules::access::act;
use serde_json::Value;

use super::{ApiResult, Surroundings};
use crate::AppState;
use crate::error::ApiError;

/// Answers an empty list.
pub async fn list(
    _access: Authorized<act::ReadCommitStatuses>,
    State(_): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    Ok(around.page(Listing::<Value> { items: Vec::new(), total: Some(0) }))
}

/// Answers that there is no such pipeline.
pub async fn get(_access: Authorized<act::ReadCommitStatuses>, State(_): State<AppState>) -> ApiResult {
    Err(ApiError::not_found("Pipeline"))
}
