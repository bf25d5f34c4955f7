//! Merge requests that are merged as soon as the statuses of their last commit are good.
//!
//! What was asked for is kept with the credential it was asked with, and is done as if it were asked then: the token must
//! still be alive, its user must still be allowed, and nothing may be in the way. New commits end it.

use std::sync::Arc;

use portcullis_rules::access::act;
use portcullis_rules::id::ProjectId;
use portcullis_store::db::Tx;
use portcullis_store::merge_requests::{self, MergeRequest, MergeRequestState};
use portcullis_store::merges::{self, AutoMerge};
use portcullis_store::projects;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::merging::{self, MergeOptions, When};
use super::refresh::say;
use super::standing::{self, Checks};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::jobs::{self, Job};

/// What was asked for, as it is recorded.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Wanted {
    sha: String,
    target_branch: String,
    merge_commit_message: Option<String>,
    squash_commit_message: Option<String>,
    squash: Option<bool>,
    removes_source_branch: Option<bool>,
}

/// What became of taking back that a merge request be merged by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not be.
    Done,
    /// Nobody had asked for it.
    NothingToCancel,
}

/// Records that somebody wants a merge request merged as soon as it can be.
pub(crate) async fn enable(
    forge: &Forge,
    access: &Authorized<act::MergeMergeRequest>,
    found: &MergeRequest,
    options: &MergeOptions,
) -> Result<(), Error> {
    let wanted = Wanted {
        sha: found.heads.head.clone(),
        target_branch: found.target_branch.clone(),
        merge_commit_message: options.merge_commit_message.clone(),
        squash_commit_message: options.squash_commit_message.clone(),
        squash: options.squash,
        removes_source_branch: options.removes_source_branch,
    };
    let wanted = serde_json::to_string(&wanted).map_err(|error| Error::Internal(Box::new(error)))?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    if identity.impersonator.is_some() {
        // Later there is only the administrator's token, and nothing says any more that they act as somebody else.
        let text = "A merge request can be merged later only in one's own name";
        return Err(Error::Forbidden(text.to_owned()));
    }
    merge_requests::lock(&mut tx, access.project(), found.iid).await?;
    let again = merge_requests::find(&mut tx, access.project(), found.iid, false).await?;
    let found = again
        .filter(|again| again.state() == MergeRequestState::Opened && again.heads.head == found.heads.head)
        .ok_or(Error::NotAvailable)?;
    if !standing::can_merge_into(&mut tx, &access, &found.target_branch).await? {
        return Err(Error::Unauthorized);
    }
    let recorded =
        AutoMerge { by: identity.user, token: identity.token().ok_or(Error::NotAvailable)?, options: wanted };
    merges::set_auto_merge(&mut tx, access.project(), found.id, &recorded, now).await?;
    let short: String = found.heads.head.chars().take(8).collect();
    let text = format!("enabled an automatic merge when all merge checks for {short} pass");
    say(&mut tx, &found, identity.user, &text, now).await?;
    if identity.bot {
        let entry =
            Entry::project(access.project(), &access.place().full_path, "merge_request_auto_merge_set");
        let entry = entry.target("MergeRequest", found.id.0).details(json!({ "iid": found.iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    // The last status may have come in this very moment.
    jobs::ask(&mut tx, &Job::AutoMerge { project: found.project, iid: found.iid }, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Takes back that a merge request be merged by itself.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unauthorized`] when the caller neither may merge it nor opened it;
/// [`Error::NotAvailable`] when it is not open.
pub async fn cancel(
    forge: &Forge,
    access: &Authorized<act::MergeMergeRequest>,
    iid: i64,
) -> Result<Cancelled, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let found = merge_requests::find(&mut tx, access.project(), iid, false).await?;
    let found = found.ok_or(Error::NotFound("Merge Request"))?;
    let identity = access.identity()?;
    let may = standing::can_merge_into(&mut tx, &access, &found.target_branch).await?;
    if !may && found.author.id != identity.user {
        return Err(Error::Unauthorized);
    }
    if found.state() != MergeRequestState::Opened {
        return Err(Error::NotAvailable);
    }
    if found.auto_merge_by.is_none() {
        return Ok(Cancelled::NothingToCancel);
    }
    merges::clear_auto_merge(&mut tx, found.project, found.id).await?;
    say(&mut tx, &found, identity.user, "canceled the automatic merge", now).await?;
    if identity.bot {
        let entry =
            Entry::project(access.project(), &access.place().full_path, "merge_request_auto_merge_canceled");
        let entry = entry.target("MergeRequest", found.id.0).details(json!({ "iid": iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    tx.commit().await?;
    Ok(Cancelled::Done)
}

/// Ends it because of something that happened, and says so. The merge request must be locked.
pub(crate) async fn abort(tx: &mut Tx, found: &MergeRequest, because: &str, now: i64) -> Result<(), Error> {
    let Some(asked) = merges::find_auto_merge(tx, found.project, found.id).await? else { return Ok(()) };
    merges::clear_auto_merge(tx, found.project, found.id).await?;
    say(tx, found, asked.by, &format!("aborted the automatic merge because {because}"), now).await
}

/// Asks for the merge requests to be looked at that wait for the statuses of a commit. Returns whether there are any.
pub(crate) async fn status_arrived(
    tx: &mut Tx,
    project: ProjectId,
    commit: &str,
    now: i64,
) -> Result<bool, Error> {
    let waiting = merges::waiting_for(tx, project, commit).await?;
    for iid in &waiting {
        jobs::ask(tx, &Job::AutoMerge { project, iid: *iid }, now).await?;
    }
    Ok(!waiting.is_empty())
}

/// Asks for a merge request to be looked at once more, if it waits to be merged. Returns whether it does.
pub(crate) async fn look_again(tx: &mut Tx, found: &MergeRequest, now: i64) -> Result<bool, Error> {
    if found.auto_merge_by.is_none() {
        return Ok(false);
    }
    jobs::ask(tx, &Job::AutoMerge { project: found.project, iid: found.iid }, now).await?;
    Ok(true)
}

/// Merges a merge request that waits for its statuses, if they are good.
pub(crate) async fn run(forge: &Arc<Forge>, project: ProjectId, iid: i64) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let Some(found) = merge_requests::find(&mut tx, project, iid, false).await? else { return Ok(()) };
    let Some(asked) = merges::find_auto_merge(&mut tx, project, found.id).await? else { return Ok(()) };
    let checks = standing::checks(&mut tx, &found).await?;
    let merging_of = projects::find(&mut tx, project).await?.map(|project| project.merging);
    drop(tx);
    let wanted: Wanted = serde_json::from_str(&asked.options).unwrap_or_default();
    if found.state() != MergeRequestState::Opened {
        return give_up(forge, &found, "the merge request was closed").await;
    }
    if wanted.target_branch != found.target_branch {
        return give_up(forge, &found, "the target branch was changed").await;
    }
    let good = match checks {
        Checks::Good | Checks::Missing => true,
        Checks::Skipped => {
            merging_of.is_some_and(|merging| !merging.needs_success || merging.skipped_is_success)
        }
        Checks::Running | Checks::Failed => false,
    };
    if !good {
        return Ok(());
    }
    let access = merging::access_of::<act::MergeMergeRequest>(forge, project, asked.by, asked.token).await?;
    let Some(access) = access else {
        return give_up(forge, &found, "the credential that asked for it may not merge any more").await;
    };
    let options = MergeOptions {
        merge_commit_message: wanted.merge_commit_message,
        squash_commit_message: wanted.squash_commit_message,
        squash: wanted.squash,
        removes_source_branch: wanted.removes_source_branch,
        sha: Some(wanted.sha),
        when: When::Now,
    };
    match merging::merge(forge, &access, iid, options).await {
        // Something else is in the way, as a discussion: it goes on waiting.
        Ok(_) | Err(Error::NotAvailable | Error::NotFound(_)) => Ok(()),
        Err(error @ (Error::Internal(_) | Error::Overloaded(_))) => Err(error),
        Err(Error::Unprocessable(text) | Error::Conflict(text) | Error::Inapplicable(text)) => {
            give_up(forge, &found, &format!("it could not be merged: {text}")).await
        }
        Err(_) => give_up(forge, &found, "the credential that asked for it may not merge any more").await,
    }
}

/// Ends it, unless that has happened meanwhile, and keeps the reason.
async fn give_up(forge: &Forge, found: &MergeRequest, because: &str) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    merge_requests::lock(&mut tx, found.project, found.iid).await?;
    let again = merge_requests::find(&mut tx, found.project, found.iid, false).await?;
    let Some(found) = again.filter(|again| again.auto_merge_by.is_some()) else { return Ok(()) };
    abort(&mut tx, &found, because, now).await?;
    if found.state() == MergeRequestState::Opened {
        merges::set_error(&mut tx, found.project, found.id, Some(because)).await?;
    }
    tx.commit().await?;
    Ok(())
}
