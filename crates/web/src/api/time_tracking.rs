//! How long issues and merge requests are thought to take, and how long was worked on them.

use axum::extract::State;
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::noteables::CommentedOn;
use portcullis_app::records::timelogs::Times;
use portcullis_app::time_tracking::{self, TimeChange};
use portcullis_rules::working_time::written;
use serde_json::{Value, json};

use super::notes::subject_iid;
use super::{ApiResult, PathParts, created, ok};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// Returns a time in GitLab's shape.
pub(super) fn view(times: Times) -> Value {
    json!({
        "time_estimate": times.estimate,
        "total_time_spent": times.spent,
        "human_time_estimate": written(times.estimate),
        "human_total_time_spent": written(times.spent),
    })
}

/// Answers the time of something.
pub async fn get<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let times = time_tracking::get::<S>(&state.forge, &access, subject_iid::<S>(&parts)?).await?;
    Ok(ok(view(times)))
}

async fn change<S: CommentedOn>(
    state: &AppState,
    access: &Authorized<S::Update>,
    parts: &PathParts,
    change: TimeChange,
) -> Result<Value, ApiError> {
    let times = time_tracking::change::<S>(&state.forge, access, subject_iid::<S>(parts)?, change).await?;
    Ok(view(times))
}

/// Says how long something is thought to take.
pub async fn estimate<S: CommentedOn>(
    access: Authorized<S::Update>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> Result<Response, ApiError> {
    let mut read = params.read();
    let duration = read.required_text("duration");
    read.finish()?;
    Ok(ok(change::<S>(&state, &access, &parts, TimeChange::Estimate(duration)).await?))
}

/// Says that nobody knows how long something takes.
pub async fn reset_estimate<S: CommentedOn>(
    access: Authorized<S::Update>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> Result<Response, ApiError> {
    Ok(ok(change::<S>(&state, &access, &parts, TimeChange::ResetEstimate).await?))
}

/// Says that somebody worked on something.
pub async fn add_spent<S: CommentedOn>(
    access: Authorized<S::Update>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> Result<Response, ApiError> {
    let mut read = params.read();
    let duration = read.required_text("duration");
    let summary = read.filled_text("summary");
    read.finish()?;
    Ok(created(change::<S>(&state, &access, &parts, TimeChange::Add(duration, summary)).await?))
}

/// Says that nobody worked on something.
pub async fn reset_spent<S: CommentedOn>(
    access: Authorized<S::Update>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> Result<Response, ApiError> {
    Ok(ok(change::<S>(&state, &access, &parts, TimeChange::ResetSpent).await?))
}
