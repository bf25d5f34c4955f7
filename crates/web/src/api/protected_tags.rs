//! Tag protections.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::protected_tags;
use portcullis_app::records::protected_tags::ProtectedTag;
use portcullis_rules::access::{Role, act};
use serde_json::{Value, json};

use super::protected_branches::{level, reads_level};
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_text};
use crate::AppState;
use crate::params::Params;

fn view(tag: &ProtectedTag) -> Value {
    json!({ "name": tag.name, "create_access_levels": level(tag.create, tag.id.0) })
}

/// Answers the protections of a project.
pub async fn list(
    access: Authorized<act::ReadProtectedTags>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let found = protected_tags::list(&state.forge, &access, around.window()).await?;
    Ok(around.page(found.map(|tag| view(&tag))))
}

/// Answers one protection.
pub async fn get(
    access: Authorized<act::ReadProtectedTags>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let tag = protected_tags::get(&state.forge, &access, path_text(&parts, "name")).await?;
    Ok(ok(view(&tag)))
}

/// Protects a tag.
pub async fn protect(
    access: Authorized<act::AdministerProtectedTags>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let name = read.required_text("name");
    let create = reads_level(&mut read, "create_access_level").unwrap_or(Some(Role::Maintainer));
    read.finish()?;
    let tag = protected_tags::protect(&state.forge, &access, &name, create).await?;
    Ok(created(view(&tag)))
}

/// Removes a protection.
pub async fn unprotect(
    access: Authorized<act::AdministerProtectedTags>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    protected_tags::unprotect(&state.forge, &access, path_text(&parts, "name")).await?;
    Ok(no_content())
}
