//! What merge requests would bring: commits, differences, and what they held before.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::changes;
use portcullis_app::records::merge_request_versions::Version;
use portcullis_app::records::select::Listing;
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, commits, comparison, ok, path_number, time, unmeasured};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// Returns the number of the merge request in a path.
pub(super) fn iid(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", "Merge Request")
}

fn version_view(version: &Version) -> Value {
    json!({
        "id": version.id,
        "head_commit_sha": version.heads.head,
        "base_commit_sha": version.heads.base,
        "start_commit_sha": version.heads.start,
        "created_at": time(version.created_at),
        "merge_request_id": version.merge_request.0,
        "state": "collected",
        "real_size": null,
        "patch_id_sha": null,
    })
}

/// Answers the commits of a merge request, newest first.
pub async fn commits(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = changes::commits(&state.forge, &access, iid(&parts)?, around.window()).await?;
    let web_url = around.web_url(&access.place().full_path);
    Ok(around.page(found.map(|commit| commits::view(&commit, &web_url))))
}

/// Answers what a merge request changes, file by file.
pub async fn diffs(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let unidiff = read.boolean("unidiff").unwrap_or(false);
    read.finish()?;
    let found = changes::diffs(&state.forge, &access, iid(&parts)?, around.window()).await?;
    Ok(around.page(found.map(|file| comparison::view(&file, unidiff))))
}

/// Sends what a merge request changes as Git writes it.
pub async fn raw_diffs(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    method: Method,
) -> ApiResult {
    let diff = changes::raw_diff(&state.forge, &access, iid(&parts)?).await?;
    let body = if method == Method::HEAD { unmeasured() } else { Body::from_stream(diff.body) };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// Answers what a merge request held after each push to its source branch, newest first.
pub async fn versions(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = changes::versions(&state.forge, &access, iid(&parts)?, around.window()).await?;
    Ok(around.page(found.map(|version| version_view(&version))))
}

/// Answers what a merge request held at one time, with its commits and what they changed.
pub async fn version(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let unidiff = read.boolean("unidiff").unwrap_or(false);
    read.finish()?;
    let id = path_number(&parts, "version_id", "Version")?;
    let found = changes::version(&state.forge, &access, iid(&parts)?, id).await?;
    let web_url = around.web_url(&access.place().full_path);
    let mut view = version_view(&found.version);
    view["real_size"] = json!(found.diff.total.to_string());
    view["commits"] =
        found.commits.iter().map(|commit| commits::view(commit, &web_url)).collect::<Vec<_>>().into();
    view["diffs"] =
        found.diff.files.iter().map(|file| comparison::view(file, unidiff)).collect::<Vec<_>>().into();
    Ok(ok(view))
}

/// Answers the builds of a merge request, of which there are none.
pub async fn pipelines(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    changes::check_builds(&state.forge, &access, iid(&parts)?).await?;
    Ok(around.page(Listing::<Value> { items: Vec::new(), total: Some(0) }))
}
