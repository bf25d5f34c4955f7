//! What users keep for later.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use portcullis_app::access::Authorized;
use portcullis_app::noteables::CommentedOn;
use portcullis_app::records::notes::Noteable;
use portcullis_app::records::todos::{TargetKind, TargetState, Todo, TodoFilter};
use portcullis_app::todos;
use portcullis_rules::access::act;
use portcullis_rules::id::{ProjectId, TodoId, UserId};
use serde_json::{Value, json};

use super::notes::subject_iid;
use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::params::Params;

fn view(todo: &Todo, base: &BaseUrl) -> Value {
    let (target_id, target_type, place, sign) = match todo.target {
        Noteable::Issue(issue) => (issue.0, "Issue", "issues", '#'),
        Noteable::MergeRequest(merge_request) => (merge_request.0, "MergeRequest", "merge_requests", '!'),
    };
    let (path, iid) = (&todo.project_full_path, todo.target_iid);
    let url = format!("{}/{path}/-/{place}/{iid}", base.0);
    let state = match todo.target_state {
        TargetState::Opened => "opened",
        TargetState::Closed => "closed",
        TargetState::Merged => "merged",
    };
    json!({
        "id": todo.id.0,
        "project": {
            "id": todo.project.0,
            "description": todo.project_description,
            "name": todo.project_name,
            "name_with_namespace": format!("{} / {}", todo.namespace_name, todo.project_name),
            "path": todo.project_path,
            "path_with_namespace": path,
            "created_at": time(todo.project_created_at),
        },
        "author": UserView::of(&todo.author, base),
        "action_name": "marked",
        "target_type": target_type,
        "target": {
            "id": target_id,
            "iid": iid,
            "project_id": todo.project.0,
            "title": todo.target_title,
            "description": todo.target_description,
            "state": state,
            "created_at": time(todo.target_created_at),
            "updated_at": time(todo.target_updated_at),
            "web_url": url,
            "references": {
                "short": format!("{sign}{iid}"),
                "relative": format!("{sign}{iid}"),
                "full": format!("{path}{sign}{iid}"),
            },
        },
        "target_url": url,
        "body": todo.target_title,
        "state": if todo.done_at.is_some() { "done" } else { "pending" },
        "created_at": time(todo.created_at),
        "updated_at": time(todo.updated_at),
    })
}

/// Answers what the caller keeps, the newest first.
pub async fn list(
    access: Authorized<act::ReadOwnTodos>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let done = read.one_of("state", |word| match word {
        "pending" => Some(false),
        "done" => Some(true),
        _ => None,
    });
    let kind = read.one_of("type", |word| match word {
        "Issue" => Some(TargetKind::Issue),
        "MergeRequest" => Some(TargetKind::MergeRequest),
        _ => None,
    });
    // Everything that is kept was kept by its user.
    read.one_of("action", |word| (word == "marked").then_some(()));
    let filter = TodoFilter {
        id: None,
        done: done.unwrap_or(false),
        kind,
        project: read.integer("project_id").map(ProjectId),
        author: read.integer("author_id").map(UserId),
    };
    read.finish()?;
    let found = todos::list(&state.forge, &access, filter, around.window()).await?;
    Ok(around.page(found.map(|todo| view(&todo, &around.base))))
}

/// Keeps something for later.
pub async fn create<S: CommentedOn>(
    access: Authorized<S::Follow>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let made = todos::create::<S>(&state.forge, &access, subject_iid::<S>(&parts)?).await?;
    Ok(match made {
        Some(todo) => created(view(&todo, &around.base)),
        None => StatusCode::NOT_MODIFIED.into_response(),
    })
}

/// Says that something the caller keeps is done.
pub async fn mark_as_done(
    access: Authorized<act::UpdateOwnTodos>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let id = TodoId(path_number(&parts, "todo_id", "Todo")?);
    let todo = todos::mark_as_done(&state.forge, &access, id).await?;
    Ok(ok(view(&todo, &around.base)))
}

/// Says that everything the caller keeps is done.
pub async fn mark_all_as_done(
    access: Authorized<act::UpdateOwnTodos>,
    State(state): State<AppState>,
    _params: Params,
) -> ApiResult {
    todos::mark_all_as_done(&state.forge, &access).await?;
    Ok(no_content())
}
