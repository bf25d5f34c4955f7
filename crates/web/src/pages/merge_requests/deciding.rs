//! What is decided about a merge request: that it is closed, approved, rebased or merged.

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::changing::{self, MergeRequestChanges, StateEvent};
use portcullis_app::merge_requests::merging::{self, MergeOptions, When};
use portcullis_app::merge_requests::{self, DivergedCommits, approvals, auto_merge, rebase};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Act, act, on};

use super::{changeable, list_of, overview};
use crate::AppState;
use crate::api::PathParts;
use crate::pages::discussions::{Again, iid};
use crate::pages::form::Form;
use crate::pages::tracked::text_of;
use crate::pages::words::sentence;
use crate::pages::{Around, PageError, PageResult, see_other};

/// Sends back to a merge request where something was done, or shows it with why that could not be.
async fn after<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    around: Around,
    iid: i64,
    done: Result<&str, (StatusCode, String)>,
) -> PageResult {
    match done {
        Ok(said) => {
            sessions::set_notice(&state.forge, access.viewer(), said).await?;
            Ok(see_other(&format!("{}/{iid}", list_of(&access.place().full_path))))
        }
        Err((status, said)) => {
            overview::page(state, &access.also()?, around, iid, Again::saying(status, said)).await
        }
    }
}

/// Returns why something could not be done to a merge request, or passes on an error that is about something else.
/// `not_now` is said where the caller may not, or its state does not allow it.
fn why_not(error: Error, not_now: &str) -> Result<(StatusCode, String), PageError> {
    match error {
        Error::Unauthorized | Error::NotAvailable => Ok((StatusCode::CONFLICT, not_now.to_owned())),
        Error::Conflict(text) => Ok((StatusCode::CONFLICT, sentence(text))),
        Error::Forbidden(text)
        | Error::BadRequest(text)
        | Error::Unprocessable(text)
        | Error::Inapplicable(text) => Ok((StatusCode::UNPROCESSABLE_ENTITY, sentence(text))),
        other => Err(other.into()),
    }
}

/// Closes or reopens a merge request.
pub async fn change_state(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let number = changeable(&state, &access, &path).await?.details.merge_request.iid;
    let (wanted, said) = match form.text("state_event") {
        "close" => (StateEvent::Close, "The merge request is closed."),
        "reopen" => (StateEvent::Reopen, "The merge request is open again."),
        _ => {
            let text = "A merge request can be closed and reopened.".to_owned();
            return Err(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
    };
    let changes = MergeRequestChanges { state: Some(wanted), ..MergeRequestChanges::default() };
    let done = match changing::update(&state.forge, &access, number, changes).await {
        Ok(_) => Ok(said),
        Err(Error::Invalid(fields)) => {
            let named: Vec<_> = fields.into_iter().map(|(_, problem)| problem).collect();
            let said = format!("A branch is missing: {}.", named.join(", "));
            Err((StatusCode::UNPROCESSABLE_ENTITY, said))
        }
        Err(error) => Err(why_not(error, "That is not possible any more.")?),
    };
    after(&state, &access, around, number, done).await
}

/// Approves a merge request, or takes that back.
pub async fn approve(
    access: Authorized<act::ApproveMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let done = match form.text("approval") {
        "revoke" => match approvals::unapprove(&state.forge, &access, iid).await {
            Ok(_) => Ok("You no longer approve this merge request."),
            Err(Error::NotFound("Approval")) => Ok("You did not approve this merge request."),
            Err(error) => Err(why_not(error, "That is not possible any more.")?),
        },
        _ => {
            let sha = Some(form.text("sha")).filter(|sha| !sha.is_empty());
            match approvals::approve(&state.forge, &access, iid, sha).await {
                Ok(_) => Ok("You approved this merge request."),
                Err(Error::Conflict(_)) => Err((StatusCode::CONFLICT, NEW_COMMITS.to_owned())),
                Err(error) => Err(why_not(
                    error,
                    "You approved it already, or it is not open any more, so nothing was done.",
                )?),
            }
        }
    };
    after(&state, &access, around, iid, done).await
}

/// What is said when a merge request holds other commits than its page showed.
const NEW_COMMITS: &str =
    "New commits were pushed since you opened this page. Look at them, then decide again.";

/// Merges a merge request. It is never put off: that would be done later with a token, and who is signed in has none here.
pub async fn merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let message = text_of(&form, "merge_commit_message");
    let options = MergeOptions {
        merge_commit_message: Some(message).filter(|text| !text.trim().is_empty()),
        squash_commit_message: None,
        squash: Some(!form.text("squash").is_empty()),
        removes_source_branch: Some(!form.text("remove_source_branch").is_empty()),
        sha: Some(form.text("sha").to_owned()),
        when: When::Now,
    };
    let done = match merging::merge(&state.forge, &access, iid, options).await {
        Ok(_) => Ok("The merge request is merged."),
        Err(Error::Conflict(_)) => Err((StatusCode::CONFLICT, NEW_COMMITS.to_owned())),
        Err(error) => {
            Err(why_not(error, "It cannot be merged as it is now, or not by you. It says below why.")?)
        }
    };
    after(&state, &access, around, iid, done).await
}

/// Takes back that a merge request be merged by itself.
pub async fn cancel_automatic_merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let done = match auto_merge::cancel(&state.forge, &access, iid).await {
        Ok(_) => Ok("It is not merged by itself any more."),
        Err(error) => Err(why_not(error, "That is not possible any more.")?),
    };
    after(&state, &access, around, iid, done).await
}

/// Makes the commits of a merge request once more on top of its target branch.
pub async fn rebase(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let reading = access.also::<act::ReadMergeRequests>()?;
    let done = match rebase::rebase(&state.forge, &access, iid).await {
        Ok(()) => Ok("Its commits come after those of the target branch now."),
        Err(error) => Err(why_not(error, "It cannot be rebased as it is now.")?),
    };
    let alone = merge_requests::get(&state.forge, &reading, iid, DivergedCommits::Ignored).await?;
    let done = match (done, alone.details.merge_request.merge_error) {
        (Ok(_), Some(problem)) => Err((StatusCode::UNPROCESSABLE_ENTITY, sentence(problem))),
        (done, _) => done,
    };
    after(&state, &access, around, iid, done).await
}
