//! Merging.
//!
//! What is merged is exactly what was judged: the commits that the merge request held when it was asked for, into what the
//! target branch has. The commits are put together first. Then the rules are asked again, and one transaction looks at the
//! merge request once more and writes down what is about to happen, in the record of a push. The branch moves only from
//! the commit that was looked at. So of two who merge at once one finds the branch moved, and looks again; and should
//! the server die in between, the record of the push says what was merged (`ref_changes.rs`).

use std::sync::Arc;

use portcullis_git::{Authorship, Content, NewCommit, ObjectId, Prepared, RefUpdate};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{ProjectId, TokenId, UserId};
use portcullis_rules::merging::MergeMethod;
use portcullis_rules::names::IdOrPath;
use portcullis_store::db::Tx;
use portcullis_store::merge_requests::{self, MergeRequest, MergeRequestState};
use portcullis_store::merges;
use portcullis_store::projects::{self, Project};
use portcullis_store::protected_branches;

use super::auto_merge;
use super::merged::RecordedMerge;
use super::refresh::bring_up_to_date;
use super::standing::{self, Checks, Circumstances};
use crate::Error;
use crate::access::{Authorized, Origin, Reading, Unauthenticated, authenticate_holder, authorize};
use crate::branches::Protection;
use crate::forge::Forge;
use crate::ref_changes::{
    ApiChange, Change, Decision, History, RecordedUpdate, Refused, Right, decide, intend_within, settle,
};
use crate::repository_changes::{self, authorship_of};

/// How often merging begins again because the target branch moved meanwhile.
const MAX_ATTEMPTS: usize = 10;

/// When a merge request shall be merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// At once, or not at all.
    #[default]
    Now,
    /// As soon as the statuses of its last commit are good, when they are not there yet.
    WhenChecksPass,
}

/// How a merge request shall be merged; what is absent is as the merge request and the project say.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// The message of the merge commit.
    pub merge_commit_message: Option<String>,
    /// The message of the commit that all of them become.
    pub squash_commit_message: Option<String>,
    /// Whether its commits become one.
    pub squash: Option<bool>,
    /// Whether its source branch goes.
    pub removes_source_branch: Option<bool>,
    /// The last commit that the caller knows it to have.
    pub sha: Option<String>,
    /// When.
    pub when: When,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeOutcome {
    /// It is merged.
    Merged,
    /// It will be, as soon as it can be.
    Later,
}

const CANNOT: &str = "Branch cannot be merged";

/// Merges a merge request, or has it merged as soon as the statuses of its last commit are good.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unauthorized`] when the caller may not merge into this branch; [`Error::NotAvailable`] when
/// it is closed, merged, a draft, empty, or the project asks for more than there is; [`Error::Unprocessable`] when Git cannot
/// do it; [`Error::Conflict`] when it holds other commits than the caller knows.
pub async fn merge(
    forge: &Arc<Forge>,
    access: &Authorized<act::MergeMergeRequest>,
    iid: i64,
    options: MergeOptions,
) -> Result<MergeOutcome, Error> {
    bring_up_to_date(forge, access.project(), iid, None).await?;
    let mut tx = forge.db().read().await?;
    let found = merge_requests::find(&mut tx, access.project(), iid, false).await?;
    let found = found.ok_or(Error::NotFound("Merge Request"))?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    if !standing::can_merge_into(&mut tx, access, &found.target_branch).await? {
        return Err(Error::Unauthorized);
    }
    let checks = standing::checks(&mut tx, &found).await?;
    let around = circumstances(&mut tx, &project, &found).await?;
    drop(tx);
    let waits = options.when == When::WhenChecksPass && checks == Checks::Running;
    if options.when == When::WhenChecksPass && checks == Checks::Failed {
        return Err(Error::NotAvailable);
    }
    // Whoever waits for the statuses is not told that they are not there yet.
    let around = if waits { Circumstances { checks: Checks::Good, ..around } } else { around };
    judge(standing::detailed_status(&found, &project.merging, &around))?;
    if options.sha.as_ref().is_some_and(|sha| *sha != found.heads.head) {
        return Err(other_commits(&found.heads.head));
    }
    if waits {
        auto_merge::enable(forge, access, &found, &options).await?;
        return Ok(MergeOutcome::Later);
    }
    // Once begun it is done, even if nobody waits for it any more.
    let (forge, access) = (Arc::clone(forge), access.clone());
    let work = async move { merge_judged(&forge, &access, found, &options).await };
    tokio::spawn(work).await.map_err(|error| Error::Internal(Box::new(error)))??;
    Ok(MergeOutcome::Merged)
}

fn other_commits(head: &str) -> Error {
    Error::Conflict(format!("SHA does not match HEAD of source branch: {head}"))
}

/// Returns what may be in the way beside the merge request itself.
async fn circumstances(tx: &mut Tx, project: &Project, found: &MergeRequest) -> Result<Circumstances, Error> {
    let around = standing::circumstances(tx, &[(found, &project.merging)]).await?;
    Ok(around.get(&found.id).copied().unwrap_or_default())
}

/// Turns what is in the way into the answer that clients know.
fn judge(status: &str) -> Result<(), Error> {
    match status {
        "mergeable" => Ok(()),
        "conflict" | "need_rebase" | "unchecked" => Err(Error::Unprocessable(CANNOT.to_owned())),
        _ => Err(Error::NotAvailable),
    }
}

/// What merging makes, before it is on the disk.
struct Plan {
    prepared: Vec<Prepared>,
    tip: ObjectId,
    merge_commit: Option<ObjectId>,
    squash_commit: Option<ObjectId>,
}

async fn merge_judged(
    forge: &Arc<Forge>,
    access: &Authorized<act::MergeMergeRequest>,
    found: MergeRequest,
    options: &MergeOptions,
) -> Result<(), Error> {
    let (git, id) = (forge.git(), access.project().0);
    let removes = options.removes_source_branch.unwrap_or(found.removes_source_branch);
    for _ in 0..MAX_ATTEMPTS {
        let source = git.find_branch(id, &found.source_branch).await?.ok_or(Error::NotAvailable)?;
        let target = git.find_branch(id, &found.target_branch).await?.ok_or(Error::NotAvailable)?;
        if source.tip.as_str() != found.heads.head {
            return Err(other_commits(source.tip.as_str()));
        }
        let mut tx = forge.db().read().await?;
        let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
        drop(tx);
        let plan = plan(forge, access, &project, &found, options, (&target.tip, &source.tip)).await?;
        for prepared in plan.prepared {
            git.write(id, prepared).await?;
        }
        let merge = RecordedMerge {
            iid: found.iid,
            head: found.heads.head.clone(),
            merge_commit: plan.merge_commit.map(|id| id.as_str().to_owned()),
            squash_commit: plan.squash_commit.map(|id| id.as_str().to_owned()),
            removes_source_branch: removes,
            closes_issues: access.also::<act::UpdateIssue>().is_ok(),
        };
        let update = RefUpdate::new(target.name, Some(target.tip), Some(plan.tip))?;
        if move_target(forge, access, &found, update, merge).await? {
            if removes {
                let deleting = access.also::<act::WriteRepository>()?;
                if let Err(error) = remove_source(forge, &deleting, found.iid).await {
                    tracing::warn!(project.id = id, iid = found.iid, %error, "a merged branch could not be removed yet");
                }
            }
            return Ok(());
        }
    }
    Err(Error::Unprocessable(CANNOT.to_owned()))
}

/// Asks once more, writes down what is about to happen, and moves the target branch. Returns whether it moved: not when it
/// is no longer what it was when it was looked at.
async fn move_target(
    forge: &Arc<Forge>,
    access: &Authorized<act::MergeMergeRequest>,
    found: &MergeRequest,
    update: RefUpdate,
    merge: RecordedMerge,
) -> Result<bool, Error> {
    let updates = [update];
    let change = ApiChange { updates: &updates, history: History::GoesOn, right: Right::Merge };
    let access = match decide(forge, access, &Change::Api(change)).await? {
        Decision::Accept(access) => access,
        Decision::Refuse(refusals) => {
            let to_everybody = refusals.into_iter().find(|refusal| refusal.who == Refused::Everybody);
            return Err(to_everybody.map_or(Error::Unauthorized, |it| Error::Unprocessable(it.text)));
        }
    };
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    access.also::<act::WriteRepository>()?;
    merge_requests::lock(&mut tx, access.project(), found.iid).await?;
    let now_found = merge_requests::find(&mut tx, access.project(), found.iid, false).await?;
    let now_found = now_found.ok_or(Error::NotFound("Merge Request"))?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    if now_found.target_branch != found.target_branch || now_found.source_branch != found.source_branch {
        return Err(Error::Unprocessable(CANNOT.to_owned()));
    }
    // What Git says was found out just now, about these very commits.
    let judged = MergeRequest { heads: found.heads.clone(), merge_status: found.merge_status, ..now_found };
    let around = circumstances(&mut tx, &project, &judged).await?;
    judge(standing::detailed_status(&judged, &project.merging, &around))?;
    let recorded = [RecordedUpdate { merge: Some(merge), ..RecordedUpdate::of(&updates[0]) }];
    let pending = intend_within(&mut tx, forge, &access, &recorded).await?;
    tx.commit().await?;

    match forge.git().change_refs(access.project().0, &updates).await {
        Ok(()) => {
            settle(forge, pending, &updates).await?;
            Ok(true)
        }
        Err(portcullis_git::Error::Moved(_)) => {
            settle(forge, pending, &[]).await?;
            Ok(false)
        }
        Err(error @ (portcullis_git::Error::Inapplicable(_) | portcullis_git::Error::Overloaded { .. })) => {
            settle(forge, pending, &[]).await?;
            Err(error.into())
        }
        // Nobody knows whether it has moved. The record stays until the repository says it.
        Err(error) => Err(error.into()),
    }
}

/// Puts together what merging `head` into `start` makes.
async fn plan(
    forge: &Forge,
    access: &Authorized<act::MergeMergeRequest>,
    project: &Project,
    found: &MergeRequest,
    options: &MergeOptions,
    (start, head): (&ObjectId, &ObjectId),
) -> Result<Plan, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let cannot = || Error::Unprocessable(CANNOT.to_owned());
    let base = git.merge_bases(id, &[head.clone(), start.clone()], false).await?.into_iter().next();
    let base = base.ok_or_else(cannot)?;
    let goes_forward = base == *start;
    if base == *head {
        return Err(Error::NotAvailable);
    }
    if project.merging.method.needs_linear_history() && !goes_forward {
        return Err(cannot());
    }
    let tree = if goes_forward {
        git.commits(id, vec![head.clone()]).await?.pop().map(|commit| commit.tree)
    } else {
        match git.merge_commits(id, start, head).await {
            Err(portcullis_git::Error::Inapplicable(text)) => return Err(Error::Unprocessable(text)),
            merged => merged?,
        }
    };
    let tree = tree.ok_or_else(cannot)?;
    let merger = authorship_of(forge, access).await?;
    let commit = async |parents: Vec<ObjectId>, author: Authorship, message: String| {
        let (content, committer) = (Content::Tree(tree.clone()), merger.clone());
        git.prepare_commit(id, NewCommit { parents, content, author, committer, message }).await
    };
    let mut plan = Plan { prepared: Vec::new(), tip: head.clone(), merge_commit: None, squash_commit: None };
    let wanted = options.squash.unwrap_or(found.squash);
    if project.merging.squash.squashes(Some(wanted)) {
        let message = given(&options.squash_commit_message).unwrap_or_else(|| found.title.clone());
        if !goes_forward || !is_already_one(forge, access, (start, head), &message).await? {
            let author = Authorship {
                name: found.author.name.clone(),
                email: found.author.email.clone(),
                ..merger.clone()
            };
            let squashed = commit(vec![start.clone()], author, message).await?;
            plan.tip = squashed.id().clone();
            plan.squash_commit = Some(plan.tip.clone());
            plan.prepared.push(squashed);
        }
    }
    if project.merging.method != MergeMethod::FastForward {
        let message = match given(&options.merge_commit_message) {
            Some(message) => message,
            None => usual_message(forge, project, found).await?,
        };
        let merged = commit(vec![start.clone(), plan.tip], merger.clone(), message).await?;
        plan.tip = merged.id().clone();
        plan.merge_commit = Some(plan.tip.clone());
        plan.prepared.push(merged);
    }
    Ok(plan)
}

fn given(message: &Option<String>) -> Option<String> {
    message.clone().filter(|message| !message.trim().is_empty())
}

/// Returns whether a source branch is one commit with this message on top of the target branch: it stays as it is.
async fn is_already_one(
    forge: &Forge,
    access: &Authorized<act::MergeMergeRequest>,
    (start, head): (&ObjectId, &ObjectId),
    message: &str,
) -> Result<bool, Error> {
    let commits = forge.git().commits_between(access.project().0, start, head, 2).await?;
    Ok(matches!(commits.as_slice(), [only] if only.message.trim() == message.trim()))
}

/// Returns the message of a merge commit in GitLab's form.
async fn usual_message(forge: &Forge, project: &Project, found: &MergeRequest) -> Result<String, Error> {
    let mut tx = forge.db().read().await?;
    let closed = match project.merging.closes_issues && found.target_branch == project.default_branch {
        true => merges::issues_closed_by(&mut tx, project.id, found.id).await?,
        false => Vec::new(),
    };
    let closed: Vec<_> = closed.iter().map(|issue| issue.iid).collect();
    Ok(message_of_merge(found, &project.full_path, &closed))
}

fn message_of_merge(found: &MergeRequest, full_path: &str, closed: &[i64]) -> String {
    let MergeRequest { source_branch, target_branch, title, iid, .. } = found;
    let mut message = format!("Merge branch '{source_branch}' into '{target_branch}'\n\n{title}\n\n");
    let named: Vec<_> = closed.iter().map(|iid| format!("#{iid}")).collect();
    match named.as_slice() {
        [] => {}
        [one] => message.push_str(&format!("Closes {one}\n\n")),
        [one, other] => message.push_str(&format!("Closes {one} and {other}\n\n")),
        [first @ .., last] => message.push_str(&format!("Closes {}, and {last}\n\n", first.join(", "))),
    }
    message.push_str(&format!("See merge request {full_path}!{iid}"));
    message
}

/// Removes the source branch of a merge request that was merged, unless it has moved on, is the default branch, or is
/// protected.
pub(crate) async fn remove_source(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    iid: i64,
) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let found = merge_requests::find(&mut tx, access.project(), iid, false).await?;
    let protected = protected_branches::of_project(&mut tx, access.project()).await?;
    drop(tx);
    let Some(found) = found.filter(|found| found.state() == MergeRequestState::Merged) else { return Ok(()) };
    // Some may delete a protected branch when they ask for exactly that.
    if Protection::of(&found.source_branch, &protected).exists() {
        return Ok(());
    }
    let branch = forge.git().find_branch(access.project().0, &found.source_branch).await?;
    let Some(branch) = branch.filter(|branch| branch.tip.as_str() == found.heads.head) else { return Ok(()) };
    let update = RefUpdate::new(branch.name, Some(branch.tip), None)?;
    match repository_changes::change(forge, access, [], vec![update], History::GoesOn).await {
        // What may not go stays.
        Ok(_) | Err(Error::Inapplicable(_) | Error::Forbidden(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Does what merging left to be done about the source branch, with the rights that its merger has now.
pub(crate) async fn remove_source_later(
    forge: &Arc<Forge>,
    project: ProjectId,
    iid: i64,
    user: UserId,
    token: TokenId,
) -> Result<(), Error> {
    match access_of::<act::WriteRepository>(forge, project, user, token).await? {
        Some(access) => remove_source(forge, &access, iid).await,
        None => Ok(()),
    }
}

/// Makes the proof anew for somebody who asked for something earlier, as if they asked now with the same credential. Nothing
/// when it is no longer theirs, or no longer enough.
pub(crate) async fn access_of<A: Act<On = on::Project>>(
    forge: &Forge,
    project: ProjectId,
    user: UserId,
    token: TokenId,
) -> Result<Option<Authorized<A>>, Error> {
    let viewer =
        match authenticate_holder(forge, &mut Reading::default(), Some(token), Origin::default()).await {
            Ok(viewer) => viewer,
            Err(Unauthenticated::Internal(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
    if viewer.identity().is_none_or(|identity| identity.user != user) {
        return Ok(None);
    }
    Ok(authorize::<A>(forge, viewer, Some(IdOrPath::Id(project.0))).await?.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_has_the_code_that_clients_know() {
        assert!(judge("mergeable").is_ok());
        for status in ["conflict", "need_rebase", "unchecked"] {
            assert!(matches!(judge(status), Err(Error::Unprocessable(_))), "{status}");
        }
        for status in ["not_open", "draft_status", "ci_must_pass", "ci_still_running", "whatever comes"] {
            assert!(matches!(judge(status), Err(Error::NotAvailable)), "{status}");
        }
    }
}
