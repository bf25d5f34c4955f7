//! Comments on issues.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::notes::{self, NoteAudience};
use portcullis_app::records::notes::{Note, NoteFilter, NoteOrder, Noteable};
use portcullis_rules::access::act;
use portcullis_rules::id::NoteId;
use serde_json::{Value, json};

use super::issues::reads_ascending;
use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::Params;

fn view(note: &Note, iid: i64, base: &BaseUrl) -> Value {
    let (noteable_id, noteable_type) = match note.on {
        Noteable::Issue(issue) => (issue.0, "Issue"),
        Noteable::MergeRequest(merge_request) => (merge_request.0, "MergeRequest"),
    };
    json!({
        "id": note.id.0,
        "type": null,
        "body": note.body,
        "attachment": null,
        "author": UserView::of(&note.author, base),
        "created_at": time(note.created_at),
        "updated_at": time(note.updated_at),
        "system": note.system,
        "noteable_id": noteable_id,
        "noteable_type": noteable_type,
        "project_id": note.project.0,
        "commit_id": null,
        "resolvable": false,
        "confidential": note.internal,
        "internal": note.internal,
        "imported": false,
        "imported_from": "none",
        "noteable_iid": iid,
        "commands_changes": {},
    })
}

fn issue_iid(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", "Issue")
}

fn note_id(parts: &PathParts) -> Result<NoteId, ApiError> {
    path_number(parts, "note_id", "Note").map(NoteId)
}

/// Answers the comments on an issue, newest first unless asked otherwise.
pub async fn list(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let order = read.one_of("order_by", |word| match word {
        "created_at" => Some(NoteOrder::Created),
        "updated_at" => Some(NoteOrder::Updated),
        _ => None,
    });
    let filter = NoteFilter { order: order.unwrap_or_default(), ascending: reads_ascending(&mut read) };
    read.finish()?;
    let iid = issue_iid(&parts)?;
    let found = notes::list(&state.forge, &access, iid, filter, around.window()).await?;
    Ok(around.page(found.map(|note| view(&note, iid, &around.base))))
}

/// Answers one comment.
pub async fn get(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = issue_iid(&parts)?;
    let note = notes::get(&state.forge, &access, iid, note_id(&parts)?).await?;
    Ok(ok(view(&note, iid, &around.base)))
}

/// Comments on an issue.
pub async fn create(
    access: Authorized<act::CreateNote>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let body = read.required_text("body");
    // `confidential` is what GitLab called it before; a comment that is kept back under either name is kept back.
    let internal = [read.boolean("internal"), read.boolean("confidential")].contains(&Some(true));
    read.finish()?;
    let audience = if internal { NoteAudience::Internal } else { NoteAudience::Everybody };
    let iid = issue_iid(&parts)?;
    let note = notes::create(&state.forge, &access, iid, &body, audience).await?;
    Ok(created(view(&note, iid, &around.base)))
}

/// Changes what a comment says.
pub async fn update(
    access: Authorized<act::UpdateOwnNote>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let body = read.required_text("body");
    read.finish()?;
    let iid = issue_iid(&parts)?;
    let note = notes::update(&state.forge, &access, iid, note_id(&parts)?, &body).await?;
    Ok(ok(view(&note, iid, &around.base)))
}

/// Deletes a comment.
pub async fn delete(
    access: Authorized<act::UpdateOwnNote>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    notes::delete(&state.forge, &access, issue_iid(&parts)?, note_id(&parts)?).await?;
    Ok(no_content())
}
