//! How a merge request is changed, closed, reopened and deleted.

use portcullis_rules::access::act;
use portcullis_rules::id::{MilestoneId, UserId};
use portcullis_rules::names::DisplayName;
use portcullis_store::db::Tx;
use portcullis_store::issues::{MAX_ASSIGNEES, MAX_LABELS};
use portcullis_store::merge_requests::{self, Heads, MergeRequest, MergeRequestState};
use serde_json::json;

use super::{
    MergeRequestAlone, add_system_note, branches, get_alone, get_in, record_closed_issues, record_event,
    refresh, same_branch, taken, taken_meanwhile,
};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::{
    MAX_DESCRIPTION_CHARACTERS, assignable, check_assignees, check_text, checked_labels, labels_after, since,
};
use crate::labels;
use crate::milestones;
use crate::webhooks::occasions;

/// Whether a merge request is to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateEvent {
    /// It is to be closed.
    Close,
    /// It is to be open again.
    Reopen,
}

/// What is to change about a merge request; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MergeRequestChanges {
    /// What it is about.
    pub title: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Whether it is to be open.
    pub state: Option<StateEvent>,
    /// The branch that its commits are to be merged into. This and everything below is kept only from those who may update
    /// any merge request.
    pub target_branch: Option<String>,
    /// All its labels.
    pub labels: Option<Vec<String>>,
    /// Labels it gets.
    pub add_labels: Vec<String>,
    /// Labels it loses.
    pub remove_labels: Vec<String>,
    /// Who is to deal with it.
    pub assignees: Option<Vec<UserId>>,
    /// Who is to review it.
    pub reviewers: Option<Vec<UserId>>,
    /// What it is planned for; `Some(None)` means nothing.
    pub milestone: Option<Option<MilestoneId>>,
    /// Whether its commits become one.
    pub squash: Option<bool>,
    /// Whether its source branch goes.
    pub removes_source_branch: Option<bool>,
    /// Whether only members may comment.
    pub discussion_locked: Option<bool>,
}

impl MergeRequestChanges {
    /// Returns whether the branches have to be looked at before a merge request becomes what is wanted.
    fn moves(&self, merge_request: &MergeRequest) -> bool {
        let elsewhere =
            self.target_branch.as_ref().is_some_and(|target| *target != merge_request.target_branch);
        match (merge_request.state(), self.state) {
            (MergeRequestState::Opened, Some(StateEvent::Close)) => false,
            (MergeRequestState::Opened, _) => elsewhere,
            (MergeRequestState::Closed, Some(StateEvent::Reopen)) => true,
            _ => false,
        }
    }
}

/// Returns whether the caller may plan a merge request, and not only change what they wrote themselves.
fn may_plan(
    access: &Authorized<act::UpdateOwnMergeRequest>,
    merge_request: &MergeRequest,
) -> Result<bool, Error> {
    match access.also::<act::UpdateMergeRequest>() {
        Ok(_) => Ok(true),
        Err(_) if merge_request.author.id == access.identity()?.user => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// A target branch, with what it and the source branch hold.
struct Looked {
    target: String,
    heads: Heads,
}

/// Asks Git about the branches, if that is needed for the changes, before anything is locked.
async fn look(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    iid: i64,
    changes: &mut MergeRequestChanges,
) -> Result<Option<Looked>, Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    drop(tx);
    if !may_plan(access, &merge_request)? {
        changes.target_branch = None;
    }
    if !changes.moves(&merge_request) {
        return Ok(None);
    }
    access.also::<act::ReadCode>()?;
    let target = changes.target_branch.clone().unwrap_or(merge_request.target_branch);
    if target == merge_request.source_branch {
        return Err(same_branch());
    }
    let heads = branches::heads(forge, access.project(), &merge_request.source_branch, &target).await?;
    Ok(Some(Looked { target, heads }))
}

/// Changes a merge request. Its author may change what it says and whether it is open; everything else, and other people's,
/// need the permission to update any. What an author may not change is passed over, as is a target branch of one that is
/// not open.
///
/// # Errors
/// [`Error::NotFound`] when there is none; [`Error::Refused`] when it is somebody else's; [`Error::Invalid`] for a field;
/// [`Error::Unprocessable`] when it was merged and is to be closed or reopened, or for two branches that cannot be brought
/// together; [`Error::Conflict`] when another open one has the same two branches.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    iid: i64,
    mut changes: MergeRequestChanges,
) -> Result<MergeRequestAlone, Error> {
    let looked = look(forge, access, iid, &mut changes).await?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let before = get_in(&mut tx, &access, iid).await?;
    let may_plan = may_plan(&access, &before)?;
    if changes.target_branch.is_some() {
        // It was still allowed when the branches were looked at.
        access.also::<act::UpdateMergeRequest>()?;
    }

    let mut fields = FieldErrors::default();
    let mut changed = before.clone();
    if let Some(title) = &changes.title
        && let Some(title) = fields.take("title", DisplayName::parse(title))
    {
        changed.title = title.as_str().to_owned();
    }
    if let Some(description) = &changes.description {
        check_text(&mut fields, "description", description, MAX_DESCRIPTION_CHARACTERS);
        changed.description = Some(description.clone());
    }
    let rewritten = changed.title != before.title || changed.description != before.description;
    let editor = if rewritten { Some(access.identity()?.user) } else { None };
    if may_plan {
        change_plan(&mut tx, &access, &mut fields, &before, &changes, now).await?;
        changed.discussion_locked_at = since(before.discussion_locked_at, changes.discussion_locked, now);
        changed.squash = changes.squash.unwrap_or(before.squash);
        changed.removes_source_branch = changes.removes_source_branch.unwrap_or(before.removes_source_branch);
    }
    fields.finish()?;
    merge_requests::update(&mut tx, &changed, editor, now).await?;
    if (changed.squash, changed.removes_source_branch) != (before.squash, before.removes_source_branch) {
        merge_requests::set_wishes(&mut tx, &changed, now).await?;
    }
    if rewritten {
        let texts = (before.id, &*changed.title, changed.description.as_deref());
        record_closed_issues(forge, &mut tx, &access, texts).await?;
    }
    move_branches(&mut tx, &access, &mut changed, looked, &changes, now).await?;
    let action = change_state(&mut tx, &access, &changed, changes.state, now).await?;
    refresh::ask(&mut tx, access.project(), iid, now).await?;
    let alone = get_alone(&mut tx, &access, iid).await?;
    occasions::merge_request(forge, &mut tx, &access, &alone.details, action).await?;
    tx.commit().await?;
    Ok(alone)
}

/// Records another target branch and what the branches hold now.
async fn move_branches(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    merge_request: &mut MergeRequest,
    looked: Option<Looked>,
    changes: &MergeRequestChanges,
    now: i64,
) -> Result<(), Error> {
    if !changes.moves(merge_request) {
        return Ok(());
    }
    let meanwhile = || Error::Conflict("The merge request was changed meanwhile; try again".to_owned());
    let Looked { target, heads } = looked.ok_or_else(meanwhile)?;
    let other =
        merge_requests::find_open(tx, access.project(), &merge_request.source_branch, &target).await?;
    if let Some(other) = other.filter(|other| *other != merge_request.iid) {
        return Err(taken(Some(other)));
    }
    let previous = std::mem::replace(&mut merge_request.target_branch, target);
    merge_request.heads = heads;
    merge_requests::set_target(tx, merge_request).await.map_err(taken_meanwhile)?;
    if merge_request.target_branch != previous {
        let body = format!("changed target branch from `{previous}` to `{}`", merge_request.target_branch);
        add_system_note(tx, access, merge_request.id, &body, now).await?;
    }
    Ok(())
}

/// Changes labels, milestone, assignees and reviewers. Should a field be wrong, the caller's transaction does not commit.
async fn change_plan(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    fields: &mut FieldErrors,
    merge_request: &MergeRequest,
    changes: &MergeRequestChanges,
    now: i64,
) -> Result<(), Error> {
    let id = merge_request.id;
    if changes.labels.is_some() || !changes.add_labels.is_empty() || !changes.remove_labels.is_empty() {
        let before = merge_requests::labels_of(tx, &[id.0]).await?;
        let before = before.into_iter().map(|(_, label)| label.title).collect();
        let replaced = changes.labels.as_ref().map(|labels| checked_labels(fields, "labels", labels));
        let added = checked_labels(fields, "add_labels", &changes.add_labels);
        let removed: Vec<_> = changes.remove_labels.iter().map(|label| label.trim().to_owned()).collect();
        let labels = labels_after(before, replaced, added, &removed);
        if labels.len() > MAX_LABELS {
            fields.add("labels", format!("are too many (maximum is {MAX_LABELS})"));
        }
        labels::ensure(tx, access, &labels, now).await?;
        merge_requests::set_labels(tx, id, &labels).await?;
    }
    if let Some(wanted) = changes.milestone {
        let milestone = match wanted {
            Some(id) => Some(milestones::get_for_issue(tx, access, id).await?.id),
            None => None,
        };
        merge_requests::set_milestone(tx, access.project(), id, milestone).await?;
    }
    if let Some(wanted) = &changes.assignees {
        check_assignees(fields, "assignee_ids", wanted);
        let assignees = assignable(tx, access, &wanted[..wanted.len().min(MAX_ASSIGNEES)], now).await?;
        merge_requests::set_assignees(tx, id, &assignees).await?;
    }
    if let Some(wanted) = &changes.reviewers {
        check_assignees(fields, "reviewer_ids", wanted);
        let reviewers = assignable(tx, access, &wanted[..wanted.len().min(MAX_ASSIGNEES)], now).await?;
        merge_requests::set_reviewers(tx, id, &reviewers).await?;
    }
    Ok(())
}

/// Closes or reopens a merge request, unless it is so already, and says so among its comments. Returns what was done, in
/// the word that hooks are told.
async fn change_state(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    merge_request: &MergeRequest,
    event: Option<StateEvent>,
    now: i64,
) -> Result<&'static str, Error> {
    let user = access.identity()?.user;
    let (closed, word, action) = match (event, merge_request.state()) {
        (Some(StateEvent::Close), MergeRequestState::Opened) => (Some((user, now)), "closed", "close"),
        (Some(StateEvent::Reopen), MergeRequestState::Closed) => (None, "reopened", "reopen"),
        (Some(_), MergeRequestState::Merged) => {
            let problem = "A merge request that was merged cannot be closed or reopened";
            return Err(Error::Unprocessable(problem.to_owned()));
        }
        _ => return Ok("update"),
    };
    let id = merge_request.id;
    merge_requests::set_closed(tx, access.project(), id, closed).await.map_err(taken_meanwhile)?;
    add_system_note(tx, access, id, word, now).await?;
    record_event(tx, access, word, (id, merge_request.iid, &merge_request.title), now).await?;
    Ok(action)
}

/// Deletes a merge request with its comments.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::DeleteMergeRequest>,
    iid: i64,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let merge_request = get_in(&mut tx, &access, iid).await?;
    merge_requests::delete(&mut tx, access.project(), merge_request.id).await?;
    refresh::ask_to_forget(&mut tx, access.project(), iid, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "merge_request_deleted");
    let details = json!({ "iid": iid, "title": merge_request.title });
    let entry = entry.target("MergeRequest", merge_request.id.0).details(details);
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(())
}
