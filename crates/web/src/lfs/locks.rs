//! Locks: made, listed, and ended.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use portcullis_app::lfs::locks::{self, LockFilter, Locked};
use portcullis_app::records::lfs_locks::LfsLock;
use portcullis_rules::access::act;
use portcullis_rules::id::LfsLockId;
use portcullis_rules::lfs::LockPath;
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::OnLargeFiles;
use super::{LfsResult, expect_reader, message, read};
use crate::AppState;
use crate::api::{PathParts, path_text, time};
use crate::error::LfsError;
use crate::params::query_pairs;

fn view(lock: &LfsLock) -> Value {
    json!({
        "id": lock.id.to_string(),
        "path": lock.path,
        "locked_at": time(lock.created_at),
        "owner": { "name": lock.owner_name },
    })
}

fn unprocessable(text: &str) -> LfsError {
    LfsError::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

/// Reads behind which lock a list goes on.
fn cursor(text: Option<&str>) -> Result<Option<LfsLockId>, LfsError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(|id| Some(LfsLockId(id))).map_err(|_| unprocessable("The cursor is not one of ours."))
}

#[derive(Deserialize)]
struct CreateRequest {
    path: String,
}

/// Locks a file.
pub async fn create(
    on: OnLargeFiles<act::PushCode>,
    State(state): State<AppState>,
    request: Request,
) -> LfsResult {
    let (parts, body) = request.into_parts();
    let asked: CreateRequest = read(&parts, body).await?;
    let path = LockPath::parse(&asked.path).ok_or_else(|| unprocessable("The path is no path of a file."))?;
    match locks::create(&state.forge, &on.files, &path).await.map_err(|error| on.error(error))? {
        Locked::Now(lock) => message(StatusCode::CREATED, &json!({ "lock": view(&lock) })),
        Locked::Already(lock) => {
            let text = format!("already locked by {}", lock.owner_name);
            message(StatusCode::CONFLICT, &json!({ "lock": view(&lock), "message": text }))
        }
    }
}

/// Lists locks. A lock is of every branch, so the parameter `refspec` narrows nothing.
pub async fn list(
    on: OnLargeFiles<act::DownloadCode>,
    State(state): State<AppState>,
    parts: Parts,
) -> LfsResult {
    expect_reader(&parts.headers)?;
    let pairs = query_pairs(parts.uri.query().unwrap_or_default());
    let value = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    };
    let limit = value("limit").map(str::parse::<usize>).transpose();
    let limit = limit.ok().filter(|limit| *limit != Some(0));
    let filter = LockFilter {
        // No lock has an id or a path that cannot be: nothing is found then.
        path: value("path").map(|path| path.replace('\0', "/")),
        id: value("id").map(|id| LfsLockId(id.parse().unwrap_or(0))),
        after: cursor(value("cursor"))?,
        limit: limit.ok_or_else(|| unprocessable("The limit is a number from 1."))?,
    };
    let found = locks::list(&state.forge, &on.files, &filter).await.map_err(|error| on.error(error))?;
    let mut answer = json!({ "locks": found.locks.iter().map(view).collect::<Vec<_>>() });
    if let Some(next) = found.next {
        answer["next_cursor"] = json!(next.to_string());
    }
    message(StatusCode::OK, &answer)
}

#[derive(Deserialize)]
struct VerifyRequest {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Lists the locks of the caller, and those of others, to somebody who is about to push.
pub async fn verify(
    on: OnLargeFiles<act::PushCode>,
    State(state): State<AppState>,
    request: Request,
) -> LfsResult {
    let (parts, body) = request.into_parts();
    let asked: VerifyRequest = read(&parts, body).await?;
    let after = cursor(asked.cursor.as_deref())?;
    // No limit and the limit 0 are the same to clients.
    let limit = asked.limit.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok());
    let found = locks::for_push(&state.forge, &on.files, after, limit).await;
    let (found, who) = found.map_err(|error| on.error(error))?;
    let (ours, theirs): (Vec<_>, Vec<_>) = found.locks.iter().partition(|lock| lock.owner == who);
    let views = |locks: Vec<&LfsLock>| locks.into_iter().map(view).collect::<Vec<_>>();
    let mut answer = json!({ "ours": views(ours), "theirs": views(theirs) });
    if let Some(next) = found.next {
        answer["next_cursor"] = json!(next.to_string());
    }
    message(StatusCode::OK, &answer)
}

#[derive(Deserialize)]
struct UnlockRequest {
    #[serde(default)]
    force: bool,
}

/// Unlocks a file.
pub async fn unlock(
    on: OnLargeFiles<act::PushCode>,
    State(state): State<AppState>,
    path: PathParts,
    request: Request,
) -> LfsResult {
    let (parts, body) = request.into_parts();
    let asked: UnlockRequest = read(&parts, body).await?;
    let id = path_text(&path, "lock_id").parse().map_err(|_| LfsError::not_found())?;
    let lock = locks::unlock(&state.forge, &on.files, LfsLockId(id), asked.force).await;
    message(StatusCode::OK, &json!({ "lock": view(&lock.map_err(|error| on.error(error))?) }))
}
