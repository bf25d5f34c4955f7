//! The states of infrastructure, in the dialect of Terraform's `http` backend.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use portcullis_app::access::Authorized;
use portcullis_app::terraform_states::{self, Outcome};
use portcullis_rules::access::act;

use super::{ApiResult, PathParts, json_text, path_text};
use crate::AppState;
use crate::error::ApiError;
use crate::params::{Params, collect, large_body_turn};

/// The most that is said about a lock, in bytes.
const MAX_LOCK_BYTES: usize = 64 * 1024;

fn answer(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Done => StatusCode::OK.into_response(),
        Outcome::Locked(info) => json_text(StatusCode::CONFLICT, info),
    }
}

/// Reads the id of the caller's lock from the query.
fn lock_id(parts: &Parts) -> Result<Option<String>, ApiError> {
    let params = Params::of_query(parts)?;
    let mut read = params.read();
    let id = read.filled_text("ID");
    read.finish()?;
    Ok(id)
}

/// Returns a body as text, if it is the one that its checksum is of (RFC 1864).
fn text(parts: &Parts, body: Bytes) -> Result<String, ApiError> {
    if let Some(sum) = parts.headers.get("content-md5")
        && STANDARD.decode(sum.as_bytes()).ok().as_deref() != Some(Md5::digest(&body).as_slice())
    {
        return Err(ApiError::bad_parameters("Content-MD5 is not the checksum of the body"));
    }
    String::from_utf8(body.into()).map_err(|_| ApiError::bad_parameters("the body is not UTF-8 text"))
}

/// Answers the newest version of a state.
pub async fn get(
    access: Authorized<act::ReadTerraformState>,
    State(state): State<AppState>,
    path: PathParts,
) -> ApiResult {
    let content = terraform_states::get(&state.forge, &access, path_text(&path, "name")).await?;
    Ok(json_text(StatusCode::OK, content))
}

/// Writes a version of a state.
pub async fn write(
    access: Authorized<act::AdministerTerraformState>,
    State(state): State<AppState>,
    path: PathParts,
    request: Request,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let id = lock_id(&parts)?;
    let _turn = large_body_turn().await?;
    let body = collect(body, state.forge.settings().max_terraform_state_bytes).await?;
    let content = text(&parts, body)?;
    let name = path_text(&path, "name");
    let outcome = terraform_states::write(&state.forge, &access, name, id.as_deref(), &content).await?;
    Ok(answer(outcome))
}

/// Deletes a state.
pub async fn delete(
    access: Authorized<act::AdministerTerraformState>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> ApiResult {
    let id = lock_id(&parts)?;
    let name = path_text(&path, "name");
    Ok(answer(terraform_states::delete(&state.forge, &access, name, id.as_deref()).await?))
}

/// Locks a state.
pub async fn lock(
    access: Authorized<act::AdministerTerraformState>,
    State(state): State<AppState>,
    path: PathParts,
    request: Request,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let info = text(&parts, collect(body, MAX_LOCK_BYTES).await?)?;
    let name = path_text(&path, "name");
    Ok(answer(terraform_states::lock(&state.forge, &access, name, &info).await?))
}

/// Unlocks a state.
pub async fn unlock(
    access: Authorized<act::AdministerTerraformState>,
    State(state): State<AppState>,
    path: PathParts,
    request: Request,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    // What was said when it was locked is said again; by hand the id is named in the query, or none at all.
    let info = text(&parts, collect(body, MAX_LOCK_BYTES).await?)?;
    let id = terraform_states::lock_id(&info).or(lock_id(&parts)?);
    let name = path_text(&path, "name");
    Ok(answer(terraform_states::unlock(&state.forge, &access, name, id.as_deref()).await?))
}
