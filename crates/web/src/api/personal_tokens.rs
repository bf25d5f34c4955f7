//! Personal access tokens, and what any token may do with itself.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::personal_tokens::{self, NewPersonalTokenRequest};
use portcullis_rules::access::{Role, ScopeSet, act};
use portcullis_rules::id::{TokenId, UserId};
use serde_json::json;

use super::tokens::{TokenView, filter, rotation_date, scopes, with_secret};
use super::{ApiResult, PathParts, Surroundings, created, never_kept, no_content, ok, path_number};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

fn token_id(parts: &PathParts) -> Result<TokenId, ApiError> {
    path_number(parts, "token_id", "Token").map(TokenId)
}

/// Makes a token for a person.
pub async fn create(
    access: Authorized<act::CreatePersonalAccessToken>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewPersonalTokenRequest {
        name: read.required_text("name"),
        scopes: scopes(&mut read, ScopeSet::FOR_PERSONAL_TOKENS),
        description: read.text("description"),
        expires_at: read.date("expires_at"),
    };
    read.finish()?;
    let user = UserId(path_number(&parts, "user_id", "User")?);
    let made = personal_tokens::create(&state.forge, &access, user, request).await?;
    Ok(never_kept(created(with_secret(&made, state.forge.now()))))
}

/// Answers tokens: the caller's, or as an administrator anybody's.
pub async fn list(
    access: Authorized<act::ReadPersonalAccessTokens>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let filter = filter(&mut read);
    let user = read.integer("user_id").map(UserId);
    read.finish()?;
    let found = personal_tokens::list(&state.forge, &access, user, &filter, around.window()).await?;
    let now = state.forge.now();
    Ok(around.page(found.map(|token| TokenView::of(&token, now))))
}

/// Answers one token.
pub async fn get(
    access: Authorized<act::ReadPersonalAccessTokens>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let token = personal_tokens::get(&state.forge, &access, token_id(&parts)?).await?;
    Ok(ok(TokenView::of(&token, state.forge.now())))
}

/// Answers the presented token.
pub async fn get_own(access: Authorized<act::ReadOwnToken>, State(state): State<AppState>) -> ApiResult {
    let token = personal_tokens::get_own(&state.forge, &access).await?;
    Ok(ok(TokenView::of(&token, state.forge.now())))
}

/// Answers what the presented token reaches.
pub async fn associations(
    access: Authorized<act::ReadOwnToken>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let role = read.one_of("min_access_level", |level| level.parse().ok().and_then(Role::from_level));
    read.finish()?;
    let role = role.unwrap_or(Role::Guest);
    let found = personal_tokens::associations(&state.forge, &access, role, around.window()).await?;
    let groups: Vec<_> = found
        .groups
        .iter()
        .map(|(group, role)| {
            json!({
                "id": group.id.0,
                "web_url": format!("{}/groups/{}", around.base.0, group.full_path),
                "name": group.name,
                "parent_id": group.parent.map(|parent| parent.0),
                "organization_id": 1,
                "access_levels": role.level(),
                "visibility": group.visibility.name(),
            })
        })
        .collect();
    let projects: Vec<_> = found
        .projects
        .iter()
        .map(|(project, role)| {
            json!({
                "id": project.id.0,
                "description": project.description,
                "name": project.name,
                "name_with_namespace": format!("{} / {}", project.namespace_name, project.name),
                "path": project.path,
                "path_with_namespace": project.full_path,
                "created_at": super::time(project.created_at),
                "access_levels": { "project_access_level": role.level(), "group_access_level": null },
                "visibility": project.visibility.name(),
                "web_url": format!("{}/{}", around.base.0, project.full_path),
                "namespace": { "id": project.namespace.0, "full_path": project.namespace_full_path },
            })
        })
        .collect();
    Ok(ok(json!({ "groups": groups, "projects": projects })))
}

/// Revokes the presented token.
pub async fn revoke_own(
    access: Authorized<act::RevokeOwnToken>,
    State(state): State<AppState>,
    _params: Params,
) -> ApiResult {
    personal_tokens::revoke_own(&state.forge, &access).await?;
    Ok(no_content())
}

/// Revokes a token.
pub async fn revoke(
    access: Authorized<act::RevokePersonalAccessToken>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    personal_tokens::revoke(&state.forge, &access, token_id(&parts)?).await?;
    Ok(no_content())
}

/// Replaces a token.
pub async fn rotate(
    access: Authorized<act::RotatePersonalAccessToken>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let date = rotation_date(&params)?;
    let made = personal_tokens::rotate(&state.forge, &access, token_id(&parts)?, date).await?;
    Ok(never_kept(ok(with_secret(&made, state.forge.now()))))
}

/// Replaces the presented token.
pub async fn rotate_own(
    access: Authorized<act::RotateOwnToken>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let date = rotation_date(&params)?;
    let made = personal_tokens::rotate_own(&state.forge, &access, date).await?;
    Ok(never_kept(ok(with_secret(&made, state.forge.now()))))
}
