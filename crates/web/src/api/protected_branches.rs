//! Branch protections.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::branches::{self, NewProtection, ProtectionChanges};
use portcullis_app::records::protected_branches::ProtectedBranch;
use portcullis_rules::access::{Role, act};
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_text};
use crate::AppState;
use crate::params::{Params, Reader};

/// Returns who may, as a list of one.
pub(super) fn level(role: Option<Role>, id: i64) -> Value {
    let description = match role {
        None => "No one",
        Some(Role::Developer) => "Developers + Maintainers",
        Some(Role::Maintainer) => "Maintainers",
        Some(role) => role.name(),
    };
    json!([{
        "id": id,
        "access_level": role.map_or(0, Role::level),
        "access_level_description": description,
        "deploy_key_id": null,
        "user_id": null,
        "group_id": null,
    }])
}

fn view(branch: &ProtectedBranch) -> Value {
    json!({
        "id": branch.id.0,
        "name": branch.name,
        "push_access_levels": level(branch.push, branch.id.0),
        "merge_access_levels": level(branch.merge, branch.id.0),
        "allow_force_push": branch.allow_force_push,
    })
}

/// Answers the protections of a project.
pub async fn list(
    access: Authorized<act::ReadProtectedBranches>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let search = read.filled_text("search");
    read.finish()?;
    let found = branches::list(&state.forge, &access, search.as_deref(), around.window()).await?;
    Ok(around.page(found.map(|branch| view(&branch))))
}

/// Answers one protection.
pub async fn get(
    access: Authorized<act::ReadProtectedBranches>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let branch = branches::get(&state.forge, &access, path_text(&parts, "name")).await?;
    Ok(ok(view(&branch)))
}

/// Reads who may: 0 for nobody, 30 or 40 for a role. 60, which is GitLab's "administrators only", is taken as nobody
/// below an Owner.
pub(super) fn reads_level(read: &mut Reader<'_>, name: &str) -> Option<Option<Role>> {
    read.one_of(name, |text| match text {
        "0" => Some(None),
        "30" => Some(Some(Role::Developer)),
        "40" => Some(Some(Role::Maintainer)),
        "60" => Some(Some(Role::Owner)),
        _ => None,
    })
}

/// Protects a branch.
pub async fn protect(
    access: Authorized<act::AdministerProtectedBranches>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let new = NewProtection {
        name: read.required_text("name"),
        push: reads_level(&mut read, "push_access_level").unwrap_or(Some(Role::Maintainer)),
        merge: reads_level(&mut read, "merge_access_level").unwrap_or(Some(Role::Maintainer)),
        allow_force_push: read.boolean("allow_force_push").unwrap_or(false),
    };
    read.finish()?;
    let branch = branches::protect(&state.forge, &access, new).await?;
    Ok(created(view(&branch)))
}

/// Changes a protection.
pub async fn update(
    access: Authorized<act::AdministerProtectedBranches>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = ProtectionChanges {
        push: reads_level(&mut read, "push_access_level"),
        merge: reads_level(&mut read, "merge_access_level"),
        allow_force_push: read.boolean("allow_force_push"),
    };
    read.finish()?;
    let branch = branches::update(&state.forge, &access, path_text(&parts, "name"), changes).await?;
    Ok(ok(view(&branch)))
}

/// Removes a protection.
pub async fn unprotect(
    access: Authorized<act::AdministerProtectedBranches>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    branches::unprotect(&state.forge, &access, path_text(&parts, "name")).await?;
    Ok(no_content())
}
