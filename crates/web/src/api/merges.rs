//! Merging and rebasing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use portcullis_app::access::Authorized;
use portcullis_app::comparison::MAX_FILES;
use portcullis_app::merge_requests::auto_merge::{self, Cancelled};
use portcullis_app::merge_requests::merging::{self, MergeOptions, When};
use portcullis_app::merge_requests::{DivergedCommits, changes, get, rebase};
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::merge_request_changes::iid;
use super::merge_requests::view_alone;
use super::{ApiResult, PathParts, Surroundings, comparison, created, ok};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// Returns a merge request as it is now.
async fn current(
    access: &Authorized<act::ReadMergeRequests>,
    state: &AppState,
    iid: i64,
    around: &Surroundings,
) -> Result<Value, ApiError> {
    let alone = get(&state.forge, access, iid, DivergedCommits::Ignored).await?;
    Ok(view_alone(&alone, &around.base, state.forge.now()))
}

/// Merges a merge request, at once or as soon as its statuses are good.
pub async fn merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let later = [read.boolean("merge_when_pipeline_succeeds"), read.boolean("auto_merge")];
    let options = MergeOptions {
        merge_commit_message: read.text("merge_commit_message"),
        squash_commit_message: read.text("squash_commit_message"),
        squash: read.boolean("squash"),
        removes_source_branch: read.boolean("should_remove_source_branch"),
        sha: read.filled_text("sha"),
        when: if later.contains(&Some(true)) { When::WhenChecksPass } else { When::Now },
    };
    read.finish()?;
    let iid = iid(&parts)?;
    merging::merge(&state.forge, &access, iid, options).await?;
    Ok(ok(current(&access.also()?, &state, iid, &around).await?))
}

/// Takes back that a merge request be merged as soon as its statuses are good.
pub async fn cancel_auto_merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let iid = iid(&parts)?;
    match auto_merge::cancel(&state.forge, &access, iid).await? {
        Cancelled::Done => Ok(created(current(&access.also()?, &state, iid, &around).await?)),
        Cancelled::NothingToCancel => {
            Err(ApiError::message(StatusCode::NOT_ACCEPTABLE, "Can't cancel the automatic merge"))
        }
    }
}

/// Makes the commits of a merge request once more on top of its target branch. It is over before it is answered; that it is
/// in progress is what clients expect to hear, who then ask until it is not.
pub async fn rebase(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> Result<Response, ApiError> {
    let mut read = params.read();
    read.boolean("skip_ci");
    read.finish()?;
    rebase::rebase(&state.forge, &access, iid(&parts)?).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "rebase_in_progress": true }))).into_response())
}

/// Answers a merge request with all that it changes.
pub async fn changes(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let unidiff = read.boolean("unidiff").unwrap_or(false);
    read.boolean("access_raw_diffs");
    read.finish()?;
    let iid = iid(&parts)?;
    let diff = changes::all_diffs(&state.forge, &access, iid).await?;
    let mut view = current(&access, &state, iid, &around).await?;
    view["changes"] =
        diff.files.iter().map(|file| comparison::view(file, unidiff)).collect::<Vec<_>>().into();
    view["overflow"] = json!(
        diff.total >= MAX_FILES || diff.files.iter().any(|file| file.is_collapsed || file.is_too_large)
    );
    Ok(ok(view))
}
