//! Who wants to be told of issues, merge requests and labels.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portcullis_app::access::Authorized;
use portcullis_app::issues;
use portcullis_app::labels::{self, LabelDetails};
use portcullis_app::merge_requests::{self, DivergedCommits};
use portcullis_app::noteables::{CommentedOn, OnIssue, OnMergeRequest};
use portcullis_app::subscriptions::{self, Changed, Wish};
use portcullis_rules::access::act;
use serde_json::Value;

use super::notes::subject_iid;
use super::{
    ApiResult, PathParts, Surroundings, created, issues as issue_views, labels as label_views,
    merge_requests as merge_request_views,
};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// Answers that something is as it was asked for already, as GitLab does.
fn not_modified() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}

/// How something that is followed is answered.
pub trait Answered: CommentedOn {
    /// Returns it as it is answered alone.
    fn answer(
        state: &AppState,
        access: &Authorized<Self::Follow>,
        iid: i64,
        around: &Surroundings,
    ) -> impl Future<Output = Result<Value, ApiError>> + Send;
}

impl Answered for OnIssue {
    async fn answer(
        state: &AppState,
        access: &Authorized<act::FollowIssue>,
        iid: i64,
        around: &Surroundings,
    ) -> Result<Value, ApiError> {
        let issue = issues::get(&state.forge, &access.also()?, iid).await?;
        Ok(issue_views::view_alone(&issue, &access.place().full_path, &around.base, state.forge.now()))
    }
}

impl Answered for OnMergeRequest {
    async fn answer(
        state: &AppState,
        access: &Authorized<act::FollowMergeRequest>,
        iid: i64,
        around: &Surroundings,
    ) -> Result<Value, ApiError> {
        let ignored = DivergedCommits::Ignored;
        let alone = merge_requests::get(&state.forge, &access.also()?, iid, ignored).await?;
        Ok(merge_request_views::view_alone(&alone, &around.base, state.forge.now()))
    }
}

async fn wish<S: Answered>(
    state: &AppState,
    access: &Authorized<S::Follow>,
    parts: &PathParts,
    around: &Surroundings,
    wish: Wish,
) -> ApiResult {
    let iid = subject_iid::<S>(parts)?;
    match subscriptions::set::<S>(&state.forge, access, iid, wish).await? {
        Changed::Yes => Ok(created(S::answer(state, access, iid, around).await?)),
        Changed::No => Ok(not_modified()),
    }
}

/// Asks to be told of something.
pub async fn subscribe<S: Answered>(
    access: Authorized<S::Follow>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    wish::<S>(&state, &access, &parts, &around, Wish::Subscribe).await
}

/// Asks not to be told of something any more.
pub async fn unsubscribe<S: Answered>(
    access: Authorized<S::Follow>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    wish::<S>(&state, &access, &parts, &around, Wish::Unsubscribe).await
}

async fn wish_for_label(
    state: &AppState,
    access: &Authorized<act::FollowLabel>,
    parts: &PathParts,
    wish: Wish,
) -> ApiResult {
    let called = label_views::in_path(parts);
    match subscriptions::set_for_label(&state.forge, access, called, wish).await? {
        Changed::Yes => {
            let label = labels::get(&state.forge, &access.also()?, called).await?;
            let details = LabelDetails { label, counts: None };
            Ok(created(label_views::view_for(state, access, details).await?))
        }
        Changed::No => Ok(not_modified()),
    }
}

/// Asks to be told of what gets a label.
pub async fn subscribe_to_label(
    access: Authorized<act::FollowLabel>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    wish_for_label(&state, &access, &parts, Wish::Subscribe).await
}

/// Asks not to be told of what gets a label any more.
pub async fn unsubscribe_from_label(
    access: Authorized<act::FollowLabel>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    wish_for_label(&state, &access, &parts, Wish::Unsubscribe).await
}
