//! Discussions on issues and merge requests.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::discussions::{self, DiscussionDetails, Settled};
use portcullis_app::noteables::CommentedOn;
use portcullis_app::positions::{LinePlace, Position};
use portcullis_rules::access::act;
use portcullis_rules::id::DiscussionId;
use serde_json::{Value, json};

use super::notes::{self, note_id, reads_note, subject_iid};
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, path_text};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::{Params, Reader};

fn view(discussion: &DiscussionDetails, iid: i64, base: &BaseUrl) -> Value {
    json!({
        "id": discussion.id.to_key(),
        "individual_note": discussion.is_individual(),
        "notes": discussion.notes.iter().map(|note| notes::view(note, iid, base)).collect::<Vec<_>>(),
    })
}

fn discussion_id(parts: &PathParts) -> Result<DiscussionId, ApiError> {
    DiscussionId::from_key(path_text(parts, "discussion_id")).ok_or_else(|| ApiError::not_found("Discussion"))
}

fn reads_line(read: &mut Reader<'_>) -> LinePlace {
    LinePlace {
        line_code: read.filled_text("line_code"),
        kind: read.filled_text("type"),
        old_line: read.integer("old_line"),
        new_line: read.integer("new_line"),
    }
}

fn reads_position(read: &mut Reader<'_>) -> Position {
    let line_range = read.object("line_range", |range| {
        let start = range.object("start", reads_line).unwrap_or_default();
        (start, range.object("end", reads_line).unwrap_or_default())
    });
    Position {
        base_sha: read.required_text("base_sha"),
        start_sha: read.required_text("start_sha"),
        head_sha: read.required_text("head_sha"),
        kind: read.required_text("position_type"),
        old_path: read.filled_text("old_path"),
        new_path: read.filled_text("new_path"),
        old_line: read.integer("old_line"),
        new_line: read.integer("new_line"),
        line_range,
    }
}

fn settled(resolved: bool) -> Settled {
    if resolved { Settled::Yes } else { Settled::No }
}

/// Answers the discussions on something, the oldest first.
pub async fn list<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = subject_iid::<S>(&parts)?;
    let found = discussions::list::<S>(&state.forge, &access, iid, around.window()).await?;
    Ok(around.page(found.map(|discussion| view(&discussion, iid, &around.base))))
}

/// Answers one discussion.
pub async fn get<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = subject_iid::<S>(&parts)?;
    let discussion = discussions::get::<S>(&state.forge, &access, iid, discussion_id(&parts)?).await?;
    Ok(ok(view(&discussion, iid, &around.base)))
}

/// Begins a discussion.
pub async fn create<S: CommentedOn>(
    access: Authorized<S::Comment>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = reads_note(&mut read);
    let position = if S::HAS_DIFFERENCE { read.object("position", reads_position) } else { None };
    read.finish()?;
    let iid = subject_iid::<S>(&parts)?;
    let discussion = discussions::create::<S>(&state.forge, &access, iid, request, position).await?;
    Ok(created(view(&discussion, iid, &around.base)))
}

/// Settles a discussion, or opens it again.
pub async fn settle(
    access: Authorized<act::UpdateOwnMergeRequestNote>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("resolved");
    let resolved = read.boolean("resolved").unwrap_or(false);
    read.finish()?;
    let iid = path_number(&parts, "iid", "Merge Request")?;
    let id = discussion_id(&parts)?;
    let discussion = discussions::settle(&state.forge, &access, iid, (id, None), settled(resolved)).await?;
    Ok(ok(view(&discussion, iid, &around.base)))
}

/// Answers in a discussion.
pub async fn reply<S: CommentedOn>(
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
    let note = discussions::reply::<S>(&state.forge, &access, iid, discussion_id(&parts)?, request).await?;
    Ok(created(notes::view(&note, iid, &around.base)))
}

/// Answers one comment of a discussion.
pub async fn get_note<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = subject_iid::<S>(&parts)?;
    let id = (discussion_id(&parts)?, note_id(&parts)?);
    let note = discussions::get_note::<S>(&state.forge, &access, iid, id).await?;
    Ok(ok(notes::view(&note, iid, &around.base)))
}

/// Changes what a comment of a discussion on an issue says.
pub async fn update_note<S: CommentedOn>(
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
    let id = (discussion_id(&parts)?, note_id(&parts)?);
    let note = discussions::update_note::<S>(&state.forge, &access, iid, id, &body).await?;
    Ok(ok(notes::view(&note, iid, &around.base)))
}

/// Changes what a comment of a discussion on a merge request says, or settles the discussion.
pub async fn update_or_settle(
    access: Authorized<act::UpdateOwnMergeRequestNote>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    use portcullis_app::noteables::OnMergeRequest;
    let mut read = params.read();
    let (body, resolved) = (read.text("body"), read.boolean("resolved"));
    match (&body, resolved) {
        (Some(_), Some(_)) => read.problem("body, resolved", "are mutually exclusive"),
        (None, None) => read.problem("body, resolved", "are missing, exactly one parameter must be provided"),
        _ => {}
    }
    read.finish()?;
    let iid = subject_iid::<OnMergeRequest>(&parts)?;
    let (id, note) = (discussion_id(&parts)?, note_id(&parts)?);
    let note = match (body, resolved) {
        (None, Some(resolved)) => {
            let discussion =
                discussions::settle(&state.forge, &access, iid, (id, Some(note)), settled(resolved)).await?;
            let found = discussion.notes.into_iter().find(|found| found.id == note);
            found.ok_or_else(|| ApiError::not_found("Note"))?
        }
        (body, _) => {
            let body = body.unwrap_or_default();
            discussions::update_note::<OnMergeRequest>(&state.forge, &access, iid, (id, note), &body).await?
        }
    };
    Ok(ok(notes::view(&note, iid, &around.base)))
}

/// Deletes a comment of a discussion.
pub async fn delete_note<S: CommentedOn>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    let id = (discussion_id(&parts)?, note_id(&parts)?);
    discussions::delete_note::<S>(&state.forge, &access, subject_iid::<S>(&parts)?, id).await?;
    Ok(no_content())
}
