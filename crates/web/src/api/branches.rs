//! Branches.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::repository_branches::{self, BranchDetails, BranchOrder};
use portcullis_app::search::NameFilter;
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, commits, ok, path_text};
use crate::AppState;
use crate::pagination::encoded_path;
use crate::params::Params;

/// Returns a branch. `web_url` is the project's.
pub fn view(branch: &BranchDetails, web_url: &str) -> Value {
    json!({
        "name": branch.name,
        "commit": commits::view(&branch.commit, web_url),
        "merged": branch.merged,
        "protected": branch.protected,
        "developers_can_push": branch.developers_can_push,
        "developers_can_merge": branch.developers_can_merge,
        "can_push": branch.can_push,
        "default": branch.default,
        "web_url": format!("{web_url}/-/tree/{}", encoded_path(&branch.name)),
    })
}

/// Answers the branches.
pub async fn list(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let search = read.filled_text("search");
    let regex = read.filled_text("regex");
    let order =
        match read.allowed("sort", &["name_asc", "name_desc", "updated_asc", "updated_desc"]).as_deref() {
            Some("name_desc") => BranchOrder::NameDescending,
            Some("updated_asc") => BranchOrder::UpdatedAscending,
            Some("updated_desc") => BranchOrder::UpdatedDescending,
            _ => BranchOrder::NameAscending,
        };
    read.finish()?;
    let filter = NameFilter::new(search.as_deref(), regex.as_deref())?;
    let found = repository_branches::list(&state.forge, &access, &filter, order, around.window()).await?;
    let web_url = around.web_url(&access.place().full_path);
    Ok(around.page(found.map(|branch| view(&branch, &web_url))))
}

/// Answers one branch.
pub async fn get(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let branch = repository_branches::get(&state.forge, &access, path_text(&parts, "branch")).await?;
    Ok(ok(view(&branch, &around.web_url(&access.place().full_path))))
}
