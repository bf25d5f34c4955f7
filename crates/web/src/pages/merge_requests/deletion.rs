//! Deleting a merge request, after a question.

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::{self, DivergedCommits, changing};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::act;

use super::list_of;
use crate::AppState;
use crate::api::PathParts;
use crate::pages::confirm::Confirm;
use crate::pages::discussions::iid;
use crate::pages::form::Form;
use crate::pages::{Around, PageResult, html, see_other};

/// What is asked before a merge request is deleted.
const DELETING: &str = "It is gone for everybody, with its discussions and approvals, and links to it lead nowhere. The branches \
     and the commits stay. This cannot be undone; a merge request that is not wanted can be closed.";

/// Asks before a merge request is deleted.
pub async fn confirm(
    access: Authorized<act::DeleteMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let alone =
        merge_requests::get(&state.forge, &access.also()?, iid(&path)?, DivergedCommits::Ignored).await?;
    let found = alone.details.merge_request;
    let back = format!("{}/{}", list_of(&access.place().full_path), found.iid);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete merge request !{}, “{}”?", found.iid, found.title),
        text: DELETING.to_owned(),
        action: format!("{back}/delete"),
        does: "Delete merge request",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a merge request.
pub async fn delete(
    access: Authorized<act::DeleteMergeRequest>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let said = match changing::delete(&state.forge, &access, iid).await {
        Ok(()) => format!("Merge request !{iid} was deleted."),
        // In another window it was deleted already.
        Err(Error::NotFound("Merge Request")) => format!("There is no merge request !{iid} any more."),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&list_of(&access.place().full_path)))
}
