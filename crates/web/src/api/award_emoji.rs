//! Reactions to issues, merge requests and comments on them.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::award_emoji;
use portcullis_app::noteables::CommentedOn;
use portcullis_app::records::award_emoji::{Award, Awardable};
use portcullis_rules::id::{AwardId, NoteId};
use serde_json::{Value, json};

use super::notes::{note_id, subject_iid};
use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::Params;

fn view(award: &Award, base: &BaseUrl) -> Value {
    let (awardable_id, awardable_type) = match award.to {
        Awardable::Issue(id) => (id.0, "Issue"),
        Awardable::MergeRequest(id) => (id.0, "MergeRequest"),
        Awardable::Note(id) => (id.0, "Note"),
    };
    json!({
        "id": award.id.0,
        "name": award.name,
        "user": UserView::of(&award.user, base),
        "created_at": time(award.created_at),
        "updated_at": time(award.created_at),
        "awardable_id": awardable_id,
        "awardable_type": awardable_type,
        "url": null,
    })
}

/// Reads what is reacted to: something, or a comment on it.
fn to<S: CommentedOn>(parts: &PathParts) -> Result<(i64, Option<NoteId>), ApiError> {
    let iid = subject_iid::<S>(parts)?;
    let note = if path_text(parts, "note_id").is_empty() { None } else { Some(note_id(parts)?) };
    Ok((iid, note))
}

fn award_id(parts: &PathParts) -> Result<AwardId, ApiError> {
    path_number(parts, "award_id", "Award Emoji").map(AwardId)
}

/// Answers the reactions to something, the oldest first.
pub async fn list<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = award_emoji::list::<S>(&state.forge, &access, to::<S>(&parts)?, around.window()).await?;
    Ok(around.page(found.map(|award| view(&award, &around.base))))
}

/// Answers one reaction.
pub async fn get<S: CommentedOn>(
    access: Authorized<S::Read>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let award = award_emoji::get::<S>(&state.forge, &access, to::<S>(&parts)?, award_id(&parts)?).await?;
    Ok(ok(view(&award, &around.base)))
}

/// Reacts to something.
pub async fn create<S: CommentedOn>(
    access: Authorized<S::Comment>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let name = read.required_text("name");
    read.finish()?;
    let award = award_emoji::create::<S>(&state.forge, &access, to::<S>(&parts)?, &name).await?;
    Ok(created(view(&award, &around.base)))
}

/// Takes a reaction back.
pub async fn delete<S: CommentedOn>(
    access: Authorized<S::ChangeOwn>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    award_emoji::delete::<S>(&state.forge, &access, to::<S>(&parts)?, award_id(&parts)?).await?;
    Ok(no_content())
}
