//! Comments on issues and merge requests.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::noteables::CommentedOn;
use portcullis_app::notes::{self, NewNoteRequest, NoteAudience};
use portcullis_app::records::notes::{Note, NoteFilter, NoteKind, NoteOrder, Noteable};
use portcullis_rules::id::NoteId;
use serde_json::{Value, json};

use super::issues::reads_ascending;
use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// Returns a comment in GitLab's shape. Only what is said in a discussion of a merge request can be settled.
pub(super) fn view(note: &Note, iid: i64, base: &BaseUrl) -> Value {
    let (noteable_id, noteable_type) = match note.on {
        Noteable::Issue(issue) => (issue.0, "Issue"),
        Noteable::MergeRequest(merge_request) => (merge_request.0, "MergeRequest"),
    };
    let discussion = note.discussion.as_ref();
    let position: Option<Value> = discussion
        .and_then(|discussion| discussion.position.as_deref())
        .and_then(|position| serde_json::from_str(position).ok());
    let kind = match (discussion, &position) {
        (None, _) => None,
        (Some(_), None) => Some("DiscussionNote"),
        (Some(_), Some(_)) => Some("DiffNote"),
    };
    let resolvable = discussion.is_some() && matches!(note.on, Noteable::MergeRequest(_));
    let mut view = json!({
        "id": note.id.0,
        "type": kind,
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
        "resolvable": resolvable,
        "confidential": note.internal,
        "internal": note.internal,
        "imported": false,
        "imported_from": "none",
        "noteable_iid": iid,
        "commands_changes": {},
    });
    if let Some(position) = position {
        view["position"] = position;
        view["suggestions"] = json!([]);
    }
    if resolvable {
        let resolution = discussion.and_then(|discussion| discussion.resolution.as_ref());
        view["resolved"] = json!(resolution.is_some());
        view["resolved_by"] = json!(resolution.map(|resolution| UserView::of(&resolution.by, base)));
        view["resolved_at"] = json!(resolution.map(|resolution| time(resolution.at)));
    }
    view
}

/// Reads the number of what is commented on.
pub(super) fn subject_iid<S: CommentedOn>(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", S::NAME)
}

pub(super) fn note_id(parts: &PathParts) -> Result<NoteId, ApiError> {
    path_number(parts, "note_id", "Note").map(NoteId)
}

/// Reads a comment as it is sent.
pub(super) fn reads_note(read: &mut Reader<'_>) -> NewNoteRequest {
    let body = read.required_text("body");
    // `confidential` is what GitLab called it before; a comment that is kept back under either name is kept back.
    let internal = [read.boolean("internal"), read.boolean("confidential")].contains(&Some(true));
    let audience = if internal { NoteAudience::Internal } else { NoteAudience::Everybody };
    NewNoteRequest { body, audience, created_at: read.time("created_at") }
}

/// Answers the comments on something, newest first unless asked otherwise.
pub async fn list<S: CommentedOn>(
    access: Authorized<S::Read>,
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
    let kind = read.one_of("activity_filter", |word| match word {
        "all_notes" => Some(NoteKind::All),
        "only_comments" => Some(NoteKind::Comments),
        "only_activity" => Some(NoteKind::Activity),
        _ => None,
    });
    let filter = NoteFilter {
        kind: kind.unwrap_or_default(),
        order: order.unwrap_or_default(),
        ascending: reads_ascending(&mut read),
    };
    read.finish()?;
    let iid = subject_iid::<S>(&parts)?;
    let found = notes::list::<S>(&state.forge, &access, iid, filter, around.window()).await?;
    Ok(around.page(found.map(|note| view(&note, iid, &around.base))))
}

/// Answers one comment.
pub async fn get<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = subject_iid::<S>(&parts)?;
    let note = notes::get::<S>(&state.forge, &access, iid, note_id(&parts)?).await?;
    Ok(ok(view(&note, iid, &around.base)))
}

/// Comments on something.
pub async fn create<S: CommentedOn>(
    access: Authorized<S::Comment>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = reads_note(&mut read);
    read.finish()?;
    let iid = subject_iid::<S>(&parts)?;
    let note = notes::create::<S>(&state.forge, &access, iid, request).await?;
    Ok(created(view(&note, iid, &around.base)))
}

/// Changes what a comment says.
pub async fn update<S: CommentedOn>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let body = read.required_text("body");
    read.finish()?;
    let iid = subject_iid::<S>(&parts)?;
    let note = notes::update::<S>(&state.forge, &access, iid, note_id(&parts)?, &body).await?;
    Ok(ok(view(&note, iid, &around.base)))
}

/// Deletes a comment.
pub async fn delete<S: CommentedOn>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    notes::delete::<S>(&state.forge, &access, subject_iid::<S>(&parts)?, note_id(&parts)?).await?;
    Ok(no_content())
}
