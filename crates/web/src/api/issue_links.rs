//! Links between issues.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::issue_links::{self, LinkedIssue, LinkedPair};
use portcullis_rules::access::act;
use portcullis_rules::id::IssueLinkId;
use portcullis_rules::names::IdOrPath;
use serde_json::{Value, json};

use super::issues;
use super::{ApiResult, PathParts, Surroundings, created, ok, path_number, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::Params;

/// The one kind of link there is.
const RELATES_TO: &str = "relates_to";

fn view(linked: &LinkedIssue, base: &BaseUrl, now: i64) -> Value {
    let mut view = issues::view(&linked.details, &linked.project_path, base, now);
    view["issue_link_id"] = json!(linked.id.0);
    view["link_type"] = json!(RELATES_TO);
    view["link_created_at"] = json!(time(linked.created_at));
    view["link_updated_at"] = json!(time(linked.created_at));
    view
}

fn view_of_pair(pair: &LinkedPair, base: &BaseUrl, now: i64) -> Value {
    json!({
        "id": pair.target.id.0,
        "source_issue": issues::view(&pair.source, &pair.source_path, base, now),
        "target_issue": issues::view(&pair.target.details, &pair.target.project_path, base, now),
        "link_type": RELATES_TO,
    })
}

fn iid(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", "Issue")
}

fn link_id(parts: &PathParts) -> Result<IssueLinkId, ApiError> {
    path_number(parts, "issue_link_id", "Issue Link").map(IssueLinkId)
}

/// Answers the issues that an issue is linked with.
pub async fn list(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = issue_links::list(&state.forge, &access, iid(&parts)?, around.window()).await?;
    let now = state.forge.now();
    Ok(around.page(found.map(|linked| view(&linked, &around.base, now))))
}

/// Answers one link.
pub async fn get(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let pair = issue_links::get(&state.forge, &access, iid(&parts)?, link_id(&parts)?).await?;
    Ok(ok(view_of_pair(&pair, &around.base, state.forge.now())))
}

/// Links two issues.
pub async fn create(
    access: Authorized<act::LinkIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let project = read.required_text("target_project_id");
    let target = read.required_integer("target_issue_iid");
    read.one_of("link_type", |word| (word == RELATES_TO).then_some(()));
    read.finish()?;
    let target = (IdOrPath::parse(&project), target);
    let pair = issue_links::create(&state.forge, &access, iid(&parts)?, target).await?;
    Ok(created(view_of_pair(&pair, &around.base, state.forge.now())))
}

/// Takes a link away.
pub async fn delete(
    access: Authorized<act::LinkIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let pair = issue_links::delete(&state.forge, &access, iid(&parts)?, link_id(&parts)?).await?;
    Ok(ok(view_of_pair(&pair, &around.base, state.forge.now())))
}
