//! What Git says of merge requests, who wants them merged later, and what merging made.

use portcullis_rules::id::{IssueId, MergeRequestId, ProjectId, TokenId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::merge_requests::{Heads, MergeStatus};
use crate::select::{Conditions, Value, Window};

/// How many open merge requests are looked for at once.
pub const MAX_AT_ONCE: usize = 100;

/// The most issues that are closed with one merge request.
pub const MAX_CLOSED_ISSUES: usize = 100;

/// The most states that are read at once: a page of merge requests has a hundred commits, and there are six states.
const MAX_STATES: i64 = 1000;

statements! {
    // That the target branch is put together keeps its index out, which holds merged ones too; the one of the open ones
    // is used instead.
    IS_OPEN_FOR = "SELECT COUNT(*) FROM (SELECT 1 FROM merge_requests WHERE project_id = $1 AND closed_at IS NULL \
        AND merged_at IS NULL AND (source_branch = $2 OR target_branch || '' = $2) LIMIT 1) found";
    IS_ANY_OPEN = "SELECT COUNT(*) FROM (SELECT 1 FROM merge_requests WHERE project_id = $1 AND closed_at IS NULL \
        AND merged_at IS NULL LIMIT 1) found";
    OPEN_FOR = "SELECT iid FROM merge_requests WHERE project_id = $1 AND closed_at IS NULL AND merged_at IS NULL \
        AND (source_branch = $2 OR target_branch || '' = $2) AND iid > $3 ORDER BY iid LIMIT 100";
    SET_STANDING = "UPDATE merge_requests SET head_sha = $3, start_sha = $4, base_sha = $5, merge_status = $6 \
        WHERE project_id = $1 AND id = $2 AND merged_at IS NULL";
    SET_MERGED = "UPDATE merge_requests SET merged_by = $3, merged_at = $4, closed_by = NULL, closed_at = NULL, \
        target_branch = $5, head_sha = $6, merge_commit_sha = $7, squash_commit_sha = $8, merged_sha = $9, \
        merge_status = 'can_be_merged', merge_error = NULL, auto_merge_by = NULL, auto_merge_at = NULL, \
        auto_merge_token_id = NULL, auto_merge_options = NULL, updated_at = $4 \
        WHERE project_id = $1 AND id = $2 AND merged_at IS NULL";
    SET_ERROR = "UPDATE merge_requests SET merge_error = $3 WHERE project_id = $1 AND id = $2";
    SET_AUTO_MERGE = "UPDATE merge_requests SET auto_merge_by = $3, auto_merge_at = $4, auto_merge_token_id = $5, \
        auto_merge_options = $6, merge_error = NULL, updated_at = $4 WHERE project_id = $1 AND id = $2";
    CLEAR_AUTO_MERGE = "UPDATE merge_requests SET auto_merge_by = NULL, auto_merge_at = NULL, auto_merge_token_id = NULL, \
        auto_merge_options = NULL WHERE project_id = $1 AND id = $2";
    FIND_AUTO_MERGE = "SELECT auto_merge_by, auto_merge_token_id, auto_merge_options FROM merge_requests \
        WHERE project_id = $1 AND id = $2 AND auto_merge_by IS NOT NULL";
    WAITING_FOR = "SELECT iid FROM merge_requests WHERE project_id = $1 AND closed_at IS NULL AND merged_at IS NULL \
        AND auto_merge_by IS NOT NULL AND head_sha = $2 ORDER BY iid LIMIT 100";
    ISSUES_CLOSED_BY = "SELECT i.id, i.iid, i.title FROM merge_request_closes_issues c JOIN issues i ON i.id = c.issue_id \
        WHERE c.merge_request_id = $1 AND i.project_id = $2 AND i.closed_at IS NULL ORDER BY i.iid LIMIT 100";
    EXISTS = "SELECT COUNT(*) FROM merge_requests WHERE project_id = $1 AND iid = $2";
}

/// Returns whether a project has an open merge request from or into one of these branches. Of several branches it is only
/// asked whether any merge request is open.
///
/// # Errors
/// The database's.
pub async fn is_open_for(tx: &mut Tx, project: ProjectId, branches: &[&str]) -> Result<bool, Error> {
    let found = match branches {
        [] => return Ok(false),
        [branch] => tx.one(&IS_OPEN_FOR, &[V::from(project.0), V::from(*branch)], |row| row.get(0)).await?,
        _ => tx.one(&IS_ANY_OPEN, &[V::from(project.0)], |row| row.get(0)).await?,
    };
    Ok(found.unwrap_or(0_i64) > 0)
}

/// Returns the numbers of up to [`MAX_AT_ONCE`] open merge requests from or into a branch that come after one, in order.
///
/// # Errors
/// The database's.
pub async fn open_for(tx: &mut Tx, project: ProjectId, branch: &str, after: i64) -> Result<Vec<i64>, Error> {
    tx.all(&OPEN_FOR, &[V::from(project.0), V::from(branch), V::from(after)], |row| row.get(0)).await
}

/// Returns whether a project has a merge request with this number.
///
/// # Errors
/// The database's.
pub async fn exists(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<bool, Error> {
    let found = tx.one(&EXISTS, &[V::from(project.0), V::from(iid)], |row| row.get::<i64>(0)).await?;
    Ok(found.unwrap_or(0) > 0)
}

/// Records what the branches of a merge request hold, and whether they can be brought together.
///
/// # Errors
/// The database's.
pub async fn set_standing(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    heads: &Heads,
    status: MergeStatus,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(&heads.head),
        V::from(&heads.start),
        V::from(&heads.base),
        V::from(status.recorded()),
    ];
    tx.run(&SET_STANDING, &params).await?;
    Ok(())
}

/// What merging made.
#[derive(Clone, Debug)]
pub struct Merged<'a> {
    /// Who merged; nobody when that user is gone already.
    pub by: Option<UserId>,
    /// The branch that holds it now.
    pub target_branch: &'a str,
    /// The last commit of the source branch that was merged.
    pub head: &'a str,
    /// The merge commit.
    pub merge_commit: Option<&'a str>,
    /// The commit that all of them became.
    pub squash_commit: Option<&'a str>,
    /// The last commit of the target branch then.
    pub merged_commit: &'a str,
}

/// Records that a merge request was merged, and returns whether it was not before.
///
/// # Errors
/// The database's.
pub async fn set_merged(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    merged: &Merged<'_>,
    now: i64,
) -> Result<bool, Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(merged.by.map(|user| user.0)),
        V::from(now),
        V::from(merged.target_branch),
        V::from(merged.head),
        V::from(merged.merge_commit),
        V::from(merged.squash_commit),
        V::from(merged.merged_commit),
    ];
    Ok(tx.run(&SET_MERGED, &params).await? > 0)
}

/// Records why a merge request could not be merged or rebased, or that nothing is known against it.
///
/// # Errors
/// The database's.
pub async fn set_error(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    error: Option<&str>,
) -> Result<(), Error> {
    tx.run(&SET_ERROR, &[V::from(project.0), V::from(id.0), V::from(error)]).await?;
    Ok(())
}

/// Who asked that a merge request be merged as soon as it can be.
#[derive(Clone, Debug)]
pub struct AutoMerge {
    /// The user.
    pub by: UserId,
    /// With which credential, which must still be alive then.
    pub token: TokenId,
    /// How: JSON.
    pub options: String,
}

/// Records who asked that a merge request be merged as soon as it can be.
///
/// # Errors
/// The database's.
pub async fn set_auto_merge(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    wanted: &AutoMerge,
    now: i64,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(wanted.by.0),
        V::from(now),
        V::from(wanted.token.0),
        V::from(&wanted.options),
    ];
    tx.run(&SET_AUTO_MERGE, &params).await?;
    Ok(())
}

/// Records that nobody wants a merge request merged by itself any more.
///
/// # Errors
/// The database's.
pub async fn clear_auto_merge(tx: &mut Tx, project: ProjectId, id: MergeRequestId) -> Result<(), Error> {
    tx.run(&CLEAR_AUTO_MERGE, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns who asked that a merge request be merged as soon as it can be, if anybody did.
///
/// # Errors
/// The database's.
pub async fn find_auto_merge(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
) -> Result<Option<AutoMerge>, Error> {
    let read = |row: &Row<'_>| {
        Ok(AutoMerge {
            by: UserId(row.get(0)?),
            token: TokenId(row.get::<Option<i64>>(1)?.unwrap_or_default()),
            options: row.get::<Option<String>>(2)?.unwrap_or_default(),
        })
    };
    tx.one(&FIND_AUTO_MERGE, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the numbers of open merge requests that end in this commit and shall be merged as soon as they can be.
///
/// # Errors
/// The database's.
pub async fn waiting_for(tx: &mut Tx, project: ProjectId, head: &str) -> Result<Vec<i64>, Error> {
    tx.all(&WAITING_FOR, &[V::from(project.0), V::from(head)], |row| row.get(0)).await
}

/// An open issue that is closed with a merge request.
#[derive(Clone, Debug)]
pub struct ClosedIssue {
    /// The id.
    pub id: IssueId,
    /// Its number.
    pub iid: i64,
    /// What it is about.
    pub title: String,
}

/// Returns the open issues of a project that are closed with a merge request, at most [`MAX_CLOSED_ISSUES`].
///
/// # Errors
/// The database's.
pub async fn issues_closed_by(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
) -> Result<Vec<ClosedIssue>, Error> {
    let read =
        |row: &Row<'_>| Ok(ClosedIssue { id: IssueId(row.get(0)?), iid: row.get(1)?, title: row.get(2)? });
    tx.all(&ISSUES_CLOSED_BY, &[V::from(id.0), V::from(project.0)], read).await
}

/// The state that a status of a commit is in.
#[derive(Clone, Debug)]
pub struct CommitState {
    /// The project.
    pub project: ProjectId,
    /// The commit.
    pub commit: String,
    /// The state, in GitLab's word.
    pub state: String,
}

/// Returns the states of the statuses that count for these commits of these projects, each state of a commit once.
///
/// # Errors
/// The database's.
pub async fn states_of(tx: &mut Tx, projects: &[i64], commits: &[&str]) -> Result<Vec<CommitState>, Error> {
    if projects.is_empty() || commits.is_empty() {
        return Ok(Vec::new());
    }
    let mut conditions = Conditions::default();
    conditions.and_in("s.project_id", projects);
    let marks = vec!["?"; commits.len()].join(", ");
    let values = commits.iter().map(|commit| Value::from(*commit));
    conditions.and(&format!("s.superseded_at IS NULL AND s.sha IN ({marks})"), values);
    let window = Window { limit: MAX_STATES, offset: 0 };
    let map = |row: &Row<'_>| {
        Ok(CommitState { project: ProjectId(row.get(0)?), commit: row.get(1)?, state: row.get(2)? })
    };
    let (columns, order) = ("DISTINCT s.project_id, s.sha, s.state", "s.project_id, s.sha, s.state");
    Ok(conditions.list(tx, columns, "commit_statuses s", order, window, map).await?.items)
}
