//! Keeps what is recorded of a merge request's branches up to date: what they hold, whether they can be brought together,
//! and the ref under which its commits can be fetched.
//!
//! Nothing here is decided by what was recorded before. A round looks at the branches, writes down what it saw, and is
//! followed by another one until nothing differs any more; so whoever comes last has seen what is there.

use std::sync::Arc;
use std::time::Duration;

use portcullis_git::ObjectId;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{ProjectId, TokenId, UserId};
use portcullis_store::db::Tx;
use portcullis_store::merge_requests::{self, Heads, MergeRequest, MergeRequestState, MergeStatus};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::projects;
use portcullis_store::pushes::Push;
use portcullis_store::{merge_request_versions, merges};
use serde::{Deserialize, Serialize};

use super::merged::{self, Merger, RecordedMerge};
use super::{auto_merge, merging};
use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::jobs::{self, Job};
use crate::ref_changes::RecordedUpdate;

/// How often the branches are looked at again because they moved meanwhile.
const MAX_ROUNDS: usize = 5;

/// How long a request waits for the branches to be looked at.
const INLINE_LIMIT: Duration = Duration::from_secs(10);

/// A push to branches that open merge requests are from or into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FollowedPush {
    /// The number that its record had.
    pub push: i64,
    /// The project.
    pub project: ProjectId,
    /// Who pushed.
    pub user: UserId,
    /// With which credential.
    pub token: Option<TokenId>,
    /// From where.
    pub address: Option<String>,
    /// The branches.
    pub updates: Vec<RecordedUpdate>,
}

/// Asks for one merge request to be brought up to date.
pub(crate) async fn ask(tx: &mut Tx, project: ProjectId, iid: i64, now: i64) -> Result<(), Error> {
    jobs::ask(tx, &Job::RefreshMergeRequest { project, iid }, now).await
}

/// Asks for the ref of a merge request to go with it.
pub(crate) async fn ask_to_forget(tx: &mut Tx, project: ProjectId, iid: i64, now: i64) -> Result<(), Error> {
    jobs::ask(tx, &Job::ForgetMergeRequest { project, iid }, now).await
}

/// Asks for what follows from a push, if open merge requests are from or into one of its branches: one question.
pub(crate) async fn ask_after(
    tx: &mut Tx,
    push: &Push,
    updates: &[RecordedUpdate],
    now: i64,
) -> Result<(), Error> {
    let branches: Vec<_> = updates.iter().filter_map(RecordedUpdate::branch).collect();
    if !merges::is_open_for(tx, push.project, &branches).await? {
        return Ok(());
    }
    let updates = updates.iter().filter(|update| update.branch().is_some()).cloned().collect();
    let followed = FollowedPush {
        push: push.id,
        project: push.project,
        user: push.user,
        token: push.token,
        address: push.address.clone(),
        updates,
    };
    jobs::ask(tx, &Job::FollowPush(followed), now).await
}

/// Does what follows from a push for the merge requests from and into its branches.
pub(crate) async fn follow(forge: &Arc<Forge>, push: &FollowedPush) -> Result<(), Error> {
    for update in &push.updates {
        let mut after = 0;
        loop {
            let mut tx = forge.db().read().await?;
            let branch = update.branch().unwrap_or_default();
            let found = merges::open_for(&mut tx, push.project, branch, after).await?;
            drop(tx);
            let Some(last) = found.last() else { break };
            after = *last;
            for iid in found {
                let cause = Cause { push, update };
                bring_up_to_date(forge, push.project, iid, Some(cause)).await?;
                auto_merge::run(forge, push.project, iid).await?;
            }
        }
    }
    Ok(())
}

/// Does what [`ask`] asked for.
pub(crate) async fn run(forge: &Arc<Forge>, project: ProjectId, iid: i64) -> Result<(), Error> {
    bring_up_to_date(forge, project, iid, None).await?;
    auto_merge::run(forge, project, iid).await
}

/// Does what [`ask_to_forget`] asked for.
pub(crate) async fn forget(forge: &Arc<Forge>, project: ProjectId, iid: i64) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let exists = merges::exists(&mut tx, project, iid).await?;
    drop(tx);
    if exists {
        return Ok(());
    }
    let removed = async {
        let head = forge.git().merge_request_head(project.0, iid).await?;
        forge.git().set_merge_request_head(project.0, iid, head.as_ref(), None).await
    };
    match removed.await {
        Ok(_) | Err(portcullis_git::Error::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Brings a merge request up to date before it is shown, unless that takes too long: then it is shown as it is recorded, and
/// is looked at again the next time.
pub async fn settle_now<A: Act<On = on::Project>>(forge: &Arc<Forge>, access: &Authorized<A>, iid: i64) {
    let work = bring_up_to_date(forge, access.project(), iid, None);
    if let Ok(Err(error)) = tokio::time::timeout(INLINE_LIMIT, work).await {
        tracing::warn!(project.id = access.project().0, iid, %error, "a merge request could not be brought up to date");
    }
}

/// The push to one branch that a merge request is looked at for.
#[derive(Clone, Copy)]
pub(crate) struct Cause<'a> {
    push: &'a FollowedPush,
    update: &'a RecordedUpdate,
}

/// Writes down what the branches of an open merge request hold and whether they can be brought together.
pub(crate) async fn bring_up_to_date(
    forge: &Arc<Forge>,
    project: ProjectId,
    iid: i64,
    cause: Option<Cause<'_>>,
) -> Result<(), Error> {
    for _ in 0..MAX_ROUNDS {
        match round(forge, project, iid, cause).await {
            Ok(Round::NothingToDo) => return Ok(()),
            Ok(Round::LookAgain) => {}
            // The repository went away in the meantime.
            Err(Error::NotFound("Repository")) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What one look led to.
enum Round {
    NothingToDo,
    LookAgain,
}

async fn round(
    forge: &Arc<Forge>,
    project: ProjectId,
    iid: i64,
    cause: Option<Cause<'_>>,
) -> Result<Round, Error> {
    let (git, id) = (forge.git(), project.0);
    let mut tx = forge.db().read().await?;
    let found = merge_requests::find(&mut tx, project, iid, false).await?;
    drop(tx);
    let Some(found) = found.filter(|found| found.state() == MergeRequestState::Opened) else {
        return Ok(Round::NothingToDo);
    };
    let known = git.merge_request_head(id, iid).await?;
    let source = git.find_branch(id, &found.source_branch).await?.map(|branch| branch.tip);
    let target = git.find_branch(id, &found.target_branch).await?.map(|branch| branch.tip);
    if let Some(cause) = cause
        && record_merge_by_hand(forge, &found, source.as_ref(), cause).await?
    {
        return Ok(Round::NothingToDo);
    }
    if let Some(head) = &source
        && !git.set_merge_request_head(id, iid, known.as_ref(), Some(head)).await?
    {
        return Ok(Round::LookAgain);
    }
    let (heads, status) = match (&source, &target) {
        (Some(head), Some(start)) => {
            let same = head.as_str() == found.heads.head && start.as_str() == found.heads.start;
            let looked = matches!(found.merge_status, MergeStatus::CanBeMerged | MergeStatus::CannotBeMerged);
            if same && looked {
                return Ok(Round::NothingToDo);
            }
            compared(forge, project, head, start).await?
        }
        _ if found.merge_status == MergeStatus::BranchGone => return Ok(Round::NothingToDo),
        _ => (found.heads.clone(), MergeStatus::BranchGone),
    };
    write_down(forge, &found, &heads, status).await?;
    Ok(Round::LookAgain)
}

/// Returns what two commits have in common, and whether they can be brought together.
async fn compared(
    forge: &Forge,
    project: ProjectId,
    head: &ObjectId,
    start: &ObjectId,
) -> Result<(Heads, MergeStatus), Error> {
    let (git, id) = (forge.git(), project.0);
    let base = git.merge_bases(id, &[head.clone(), start.clone()], false).await?.into_iter().next();
    let mergeable = match &base {
        // Their histories never meet, or there is nothing to be merged.
        None => false,
        Some(base) if base == head => false,
        Some(base) if base == start => true,
        Some(_) => match git.merge_commits(id, start, head).await {
            Ok(tree) => tree.is_some(),
            Err(portcullis_git::Error::Inapplicable(_)) => false,
            Err(error @ (portcullis_git::Error::NotFound | portcullis_git::Error::Overloaded { .. })) => {
                return Err(error.into());
            }
            // What Git cannot do, or not in time, it would not do the next time either.
            Err(error) => {
                tracing::warn!(project.id = id, %error, "two branches could not be brought together");
                false
            }
        },
    };
    let text = |id: &ObjectId| id.as_str().to_owned();
    let heads = Heads { head: text(head), start: text(start), base: base.as_ref().map(text) };
    Ok((heads, if mergeable { MergeStatus::CanBeMerged } else { MergeStatus::CannotBeMerged }))
}

async fn write_down(
    forge: &Forge,
    seen: &MergeRequest,
    heads: &Heads,
    status: MergeStatus,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    merge_requests::lock(&mut tx, seen.project, seen.iid).await?;
    let found = merge_requests::find(&mut tx, seen.project, seen.iid, false).await?;
    let Some(found) = found.filter(|found| {
        found.state() == MergeRequestState::Opened
            && found.source_branch == seen.source_branch
            && found.target_branch == seen.target_branch
    }) else {
        return Ok(());
    };
    merges::set_standing(&mut tx, found.project, found.id, heads, status).await?;
    if status != MergeStatus::BranchGone {
        merge_request_versions::record(&mut tx, found.id, heads, now).await?;
    }
    if heads.head != found.heads.head {
        // What was approved or asked for was about other commits. Clients find what is new by this time.
        merge_requests::touch(&mut tx, found.project, found.id, now).await?;
        auto_merge::abort(&mut tx, &found, "the source branch was updated", now).await?;
    } else if status == MergeStatus::BranchGone {
        auto_merge::abort(&mut tx, &found, "a branch is gone", now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Records that a merge request was merged by a push to its target branch: the push brought its last commit. Returns whether
/// it was so.
async fn record_merge_by_hand(
    forge: &Forge,
    found: &MergeRequest,
    source: Option<&ObjectId>,
    cause: Cause<'_>,
) -> Result<bool, Error> {
    let (git, id, push) = (forge.git(), found.project.0, cause.push);
    let RecordedUpdate { old, new, .. } = cause.update;
    let moved = !cause.update.creates() && !cause.update.deletes();
    if !moved || cause.update.branch() != Some(&found.target_branch) {
        return Ok(false);
    }
    let head = source.cloned().or_else(|| ObjectId::parse(&found.heads.head));
    let (Some(head), Some(old), Some(new)) = (head, ObjectId::parse(old), ObjectId::parse(new)) else {
        return Ok(false);
    };
    // What was pushed over and pruned meanwhile is there no more.
    let there = git.commits(id, vec![head.clone(), old.clone(), new.clone()]).await?;
    let [_, _, tip] = there.as_slice() else { return Ok(false) };
    if git.is_ancestor(id, &head, &old).await? || !git.is_ancestor(id, &head, &new).await? {
        return Ok(false);
    }
    let by_merging = tip.parents.iter().skip(1).any(|parent| *parent == head);
    let merge = RecordedMerge {
        iid: found.iid,
        head: head.as_str().to_owned(),
        merge_commit: by_merging.then(|| new.as_str().to_owned()),
        squash_commit: None,
        removes_source_branch: false,
        closes_issues: match push.token {
            Some(token) => merging::access_of::<act::UpdateIssue>(forge, found.project, push.user, token)
                .await?
                .is_some(),
            None => false,
        },
    };
    git.set_merge_request_head(
        id,
        found.iid,
        git.merge_request_head(id, found.iid).await?.as_ref(),
        Some(&head),
    )
    .await?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    merge_requests::lock(&mut tx, found.project, found.iid).await?;
    let again = merge_requests::find(&mut tx, found.project, found.iid, false).await?;
    let still = again.is_some_and(|again| {
        again.state() == MergeRequestState::Opened && again.target_branch == found.target_branch
    });
    let project = projects::find(&mut tx, found.project).await?;
    let Some(project) = project.filter(|_| still) else { return Ok(true) };
    let by = Merger { user: Some(push.user), token: push.token, address: push.address.as_deref() };
    merged::record(&mut tx, &project, &by, &merge, (&found.target_branch, new.as_str()), now).await?;
    tx.commit().await?;
    Ok(true)
}

/// Says something among the comments on a merge request, as the forge does about a change.
pub(crate) async fn say(
    tx: &mut Tx,
    found: &MergeRequest,
    author: UserId,
    body: &str,
    now: i64,
) -> Result<(), Error> {
    let on = Noteable::MergeRequest(found.id);
    let note = NewNote { project: found.project, on, author, body, system: true, internal: false };
    notes::insert(tx, &note, now).await?;
    merge_requests::touch(tx, found.project, found.id, now).await.map_err(Error::from)
}
