//! Rebasing: the commits of a merge request are made once more on top of its target branch.

use std::sync::Arc;
use std::time::Duration;

use portcullis_git::{Commit, Content, NewCommit, ObjectId, Prepared, RefUpdate};
use portcullis_rules::access::act;
use portcullis_store::merge_requests::{self, MergeRequest, MergeRequestState};
use portcullis_store::merges;

use super::refresh::bring_up_to_date;
use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;
use crate::ref_changes::History;
use crate::repository_changes::{self, authorship_of};

/// The most commits that are made once more.
const MAX_COMMITS: u32 = 200;

/// How long that may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The longest message that is kept whole when it is read, in bytes.
const MAX_MESSAGE_BYTES: usize = 100 * 1024;

/// Makes the commits of an open merge request once more on top of its target branch, and moves its source branch there. When
/// the two cannot be brought together the merge request says so, and nothing else has changed.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotAvailable`] when it is not open; [`Error::Forbidden`] when the caller may not replace
/// what the source branch has; [`Error::Conflict`] when that moved meanwhile.
pub async fn rebase(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    iid: i64,
) -> Result<(), Error> {
    access.also::<act::MergeMergeRequest>()?;
    bring_up_to_date(forge, access.project(), iid, None).await?;
    let mut tx = forge.db().read().await?;
    let found = merge_requests::find(&mut tx, access.project(), iid, false).await?;
    drop(tx);
    let found = found.ok_or(Error::NotFound("Merge Request"))?;
    if found.state() != MergeRequestState::Opened {
        return Err(Error::NotAvailable);
    }
    let (forge, access) = (Arc::clone(forge), access.clone());
    let work = async move { rebase_open(&forge, &access, &found).await };
    tokio::spawn(work).await.map_err(|error| Error::Internal(Box::new(error)))?
}

async fn rebase_open(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    found: &MergeRequest,
) -> Result<(), Error> {
    let (git, id) = (forge.git(), access.project().0);
    let source = git.find_branch(id, &found.source_branch).await?;
    let target = git.find_branch(id, &found.target_branch).await?;
    let (Some(source), Some(target)) = (source, target) else {
        return note(forge, found, Some("Rebase failed: one of the branches is gone.")).await;
    };
    // Whoever may not is told that before anything is made.
    let likely = RefUpdate::new(source.name.clone(), Some(source.tip.clone()), Some(target.tip.clone()))?;
    repository_changes::permitted(forge, access, &[likely], History::IsReplaced).await?;
    if git.is_ancestor(id, &target.tip, &source.tip).await? {
        return note(forge, found, None).await;
    }
    let replayed = replay(forge, access, &target.tip, &source.tip);
    let (prepared, tip) = match tokio::time::timeout(LIMIT, replayed).await {
        Ok(Ok(Ok(replayed))) => replayed,
        Ok(Ok(Err(problem))) => return note(forge, found, Some(&problem)).await,
        Ok(Err(error)) => return Err(error),
        Err(_) => return note(forge, found, Some("Rebase failed: it takes too long.")).await,
    };
    let update = RefUpdate::new(source.name, Some(source.tip), Some(tip))?;
    repository_changes::change(forge, access, prepared, vec![update], History::IsReplaced)
        .await?
        .or_told()
        .map_err(|error| Error::Conflict(error.to_string()))?;
    note(forge, found, None).await?;
    bring_up_to_date(forge, access.project(), found.iid, None).await
}

/// What was made once more and its last commit, or why it cannot be.
type Replayed = Result<(Vec<Prepared>, ObjectId), String>;

async fn replay(
    forge: &Forge,
    access: &Authorized<act::WriteRepository>,
    onto: &ObjectId,
    from: &ObjectId,
) -> Result<Replayed, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let commits = git.commits_to_replay(id, onto, from, MAX_COMMITS + 1).await?;
    if commits.len() > MAX_COMMITS as usize {
        return Ok(Err(format!("Rebase failed: there are more than {MAX_COMMITS} commits.")));
    }
    let committer = authorship_of(forge, access).await?;
    let onto_commit = git.commits(id, vec![onto.clone()]).await?.pop().ok_or(Error::NotFound("Commit"))?;
    let (mut tip, mut tree, mut made) = (onto.clone(), onto_commit.tree, Vec::new());
    for commit in commits {
        if commit.message.len() >= MAX_MESSAGE_BYTES {
            return Ok(Err(format!("Rebase failed: the message of {} is too long.", commit.id)));
        }
        let before = before(forge, id, &commit).await?;
        let merged = match git.merge_trees(id, before.as_ref(), &tree, Some(&commit.tree)).await {
            Err(portcullis_git::Error::Inapplicable(text)) => {
                return Ok(Err(format!("Rebase failed: {text}")));
            }
            merged => merged?,
        };
        let Some(merged) = merged else {
            let text = "Rebase failed: Rebase locally, resolve all conflicts, then push the branch.";
            return Ok(Err(text.to_owned()));
        };
        if merged == tree {
            // The target branch has it already.
            continue;
        }
        let new = NewCommit {
            parents: vec![tip],
            content: Content::Tree(merged.clone()),
            author: commit.author,
            committer: committer.clone(),
            message: commit.message,
        };
        let prepared = git.prepare_commit(id, new).await?;
        (tip, tree) = (prepared.id().clone(), merged);
        made.push(prepared);
    }
    Ok(Ok((made, tip)))
}

/// Returns the files that a commit began from; none for one without a parent.
async fn before(forge: &Forge, id: i64, commit: &Commit) -> Result<Option<ObjectId>, Error> {
    let Some(parent) = commit.parents.first() else { return Ok(None) };
    let parent = forge.git().commits(id, vec![parent.clone()]).await?.pop();
    Ok(Some(parent.ok_or(Error::NotFound("Commit"))?.tree))
}

/// Keeps why it could not be rebased, or that it was.
async fn note(forge: &Forge, found: &MergeRequest, problem: Option<&str>) -> Result<(), Error> {
    if problem.is_none() && found.merge_error.is_none() {
        return Ok(());
    }
    let mut tx = forge.db().begin().await?;
    merges::set_error(&mut tx, found.project, found.id, problem).await?;
    tx.commit().await?;
    Ok(())
}
