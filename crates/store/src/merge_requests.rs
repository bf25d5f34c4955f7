//! Merge requests.
//!
//! A merge request is only ever found inside its project. What Git says of its two branches is kept here as it was last
//! looked at; whoever decides something by it compares it with the branches again.

use portcullis_rules::id::{IssueId, MergeRequestId, MilestoneId, NamespaceId, ProjectId, UserId};

use crate::audience::Audience;
use crate::db::{Error, Row, Tx, V, statements};
use crate::issues::{AssigneeFilter, LabelFilter, MAX_ASSIGNEES, MAX_LABELS, MilestoneWanted};
use crate::labels::{self, Label};
use crate::milestones::{self, Milestone};
use crate::select::{Conditions, Listing, Value, Window};
use crate::users::{self, User};

/// Whether the two branches of a merge request can be brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeStatus {
    /// Nobody looked since one of them changed.
    Unchecked,
    /// They can.
    CanBeMerged,
    /// They changed the same places.
    CannotBeMerged,
    /// One of them is gone.
    BranchGone,
}

impl MergeStatus {
    /// Returns its name, which is GitLab's.
    pub fn name(self) -> &'static str {
        match self {
            MergeStatus::Unchecked => "unchecked",
            MergeStatus::CanBeMerged => "can_be_merged",
            MergeStatus::CannotBeMerged | MergeStatus::BranchGone => "cannot_be_merged",
        }
    }

    /// Returns the word it is recorded as.
    pub(crate) fn recorded(self) -> &'static str {
        match self {
            MergeStatus::BranchGone => "branch_gone",
            other => other.name(),
        }
    }

    fn from_name(name: &str) -> Option<MergeStatus> {
        match name {
            "unchecked" => Some(MergeStatus::Unchecked),
            "can_be_merged" => Some(MergeStatus::CanBeMerged),
            "cannot_be_merged" => Some(MergeStatus::CannotBeMerged),
            "branch_gone" => Some(MergeStatus::BranchGone),
            _ => None,
        }
    }
}

/// What the two branches of a merge request held when they were last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The last commit of the source branch.
    pub head: String,
    /// The last commit of the target branch.
    pub start: String,
    /// What both have in common; nothing when their histories never meet.
    pub base: Option<String>,
}

/// A merge request as recorded.
#[derive(Clone, Debug)]
pub struct MergeRequest {
    /// The id.
    pub id: MergeRequestId,
    /// The project it is in.
    pub project: ProjectId,
    /// Its number inside the project.
    pub iid: i64,
    /// Who opened it, or the Ghost User.
    pub author: User,
    /// Who closed it.
    pub closed_by: Option<User>,
    /// Who merged it.
    pub merged_by: Option<User>,
    /// What it is about.
    pub title: String,
    /// More about it, in Markdown.
    pub description: Option<String>,
    /// The branch whose commits are to be merged.
    pub source_branch: String,
    /// The branch they are to be merged into.
    pub target_branch: String,
    /// What it is planned for.
    pub milestone: Option<Milestone>,
    /// Since when only members may comment, in Unix microseconds.
    pub discussion_locked_at: Option<i64>,
    /// Whether its commits become one when it is merged, as far as the project leaves that open.
    pub squash: bool,
    /// Whether its source branch goes when it is merged.
    pub removes_source_branch: bool,
    /// What its branches held when they were last looked at.
    pub heads: Heads,
    /// Whether they could be brought together then.
    pub merge_status: MergeStatus,
    /// Why the last attempt to merge it by itself failed.
    pub merge_error: Option<String>,
    /// Who asked that it be merged by itself as soon as it can be.
    pub auto_merge_by: Option<UserId>,
    /// When it was closed; null while it is open or merged.
    pub closed_at: Option<i64>,
    /// When it was merged.
    pub merged_at: Option<i64>,
    /// The merge commit that merging made.
    pub merge_commit: Option<String>,
    /// The squashed commit that merging made.
    pub squash_commit: Option<String>,
    /// The last commit of the target branch when it was merged.
    pub merged_commit: Option<String>,
    /// When it was opened.
    pub created_at: i64,
    /// When it or a comment on it last changed.
    pub updated_at: i64,
    /// How many comments people wrote on it, of those that the reader is shown.
    pub notes: i64,
}

/// Where a merge request is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRequestState {
    /// It waits to be merged.
    Opened,
    /// It was given up.
    Closed,
    /// It was merged; nothing leads back.
    Merged,
}

impl MergeRequestState {
    /// Returns its name, which is GitLab's.
    pub fn name(self) -> &'static str {
        match self {
            MergeRequestState::Opened => "opened",
            MergeRequestState::Closed => "closed",
            MergeRequestState::Merged => "merged",
        }
    }
}

impl MergeRequest {
    /// Returns where it is in its life.
    pub fn state(&self) -> MergeRequestState {
        match (self.merged_at, self.closed_at) {
            (Some(_), _) => MergeRequestState::Merged,
            (None, Some(_)) => MergeRequestState::Closed,
            (None, None) => MergeRequestState::Opened,
        }
    }
}

/// The columns of [`MergeRequest`], in the order [`read`] expects; the argument is the condition under which internal
/// comments are counted.
macro_rules! columns {
    ($internal_shown:literal) => {
        concat!(
            "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
             u.bot_project_id, u.created_by, u.created_at, \
             c.id, c.username, c.name, c.email, c.kind, c.administrator_since, c.external_since, c.blocked_at, \
             c.bot_project_id, c.created_by, c.created_at, \
             g.id, g.username, g.name, g.email, g.kind, g.administrator_since, g.external_since, g.blocked_at, \
             g.bot_project_id, g.created_by, g.created_at, \
             r.id, r.project_id, r.iid, r.title, r.description, r.source_branch, r.target_branch, \
             r.discussion_locked_at, r.squash_at, r.source_branch_removed_at, r.head_sha, r.start_sha, r.base_sha, \
             r.merge_status, r.merge_error, r.auto_merge_by, r.closed_at, r.merged_at, r.merge_commit_sha, \
             r.squash_commit_sha, r.merged_sha, r.created_at, r.updated_at, \
             (SELECT COUNT(*) FROM notes n WHERE n.merge_request_id = r.id AND n.system_at IS NULL \
             AND (n.internal_at IS NULL OR ",
            $internal_shown,
            ")), ",
            milestones::columns!()
        )
    };
}

/// What [`columns`] are read from.
macro_rules! from {
    () => {
        "merge_requests r JOIN users u ON u.id = r.author_id LEFT JOIN users c ON c.id = r.closed_by \
         LEFT JOIN users g ON g.id = r.merged_by LEFT JOIN milestones m ON m.id = r.milestone_id"
    };
}

fn read_user(row: &Row<'_>, at: usize) -> Result<Option<User>, Error> {
    match row.get::<Option<i64>>(at)? {
        Some(_) => Ok(Some(users::read_at(row, at)?)),
        None => Ok(None),
    }
}

fn read(row: &Row<'_>) -> Result<MergeRequest, Error> {
    let at = 3 * users::COLUMN_COUNT;
    let status = row.text(at + 13)?;
    Ok(MergeRequest {
        author: users::read_at(row, 0)?,
        closed_by: read_user(row, users::COLUMN_COUNT)?,
        merged_by: read_user(row, 2 * users::COLUMN_COUNT)?,
        id: MergeRequestId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        iid: row.get(at + 2)?,
        title: row.get(at + 3)?,
        description: row.get(at + 4)?,
        source_branch: row.get(at + 5)?,
        target_branch: row.get(at + 6)?,
        discussion_locked_at: row.get(at + 7)?,
        squash: row.get::<Option<i64>>(at + 8)?.is_some(),
        removes_source_branch: row.get::<Option<i64>>(at + 9)?.is_some(),
        heads: Heads { head: row.get(at + 10)?, start: row.get(at + 11)?, base: row.get(at + 12)? },
        merge_status: MergeStatus::from_name(status)
            .ok_or_else(|| Error::Corrupt(format!("merge_requests.merge_status is {status}")))?,
        merge_error: row.get(at + 14)?,
        auto_merge_by: row.get::<Option<i64>>(at + 15)?.map(UserId),
        closed_at: row.get(at + 16)?,
        merged_at: row.get(at + 17)?,
        merge_commit: row.get(at + 18)?,
        squash_commit: row.get(at + 19)?,
        merged_commit: row.get(at + 20)?,
        created_at: row.get(at + 21)?,
        updated_at: row.get(at + 22)?,
        notes: row.get(at + 23)?,
        milestone: match row.get::<Option<i64>>(at + 24)? {
            Some(_) => Some(milestones::read_at(row, at + 24)?),
            None => None,
        },
    })
}

statements! {
    INSERT = "INSERT INTO merge_requests (project_id, iid, author_id, title, description, source_branch, target_branch, \
        squash_at, source_branch_removed_at, head_sha, start_sha, base_sha, merge_status, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'unchecked', $13, $13) RETURNING id";
    FIND = concat!(
        "SELECT ", columns!("$3 = 1"), " FROM ", from!(), " WHERE r.project_id = $1 AND r.iid = $2"
    );
    FIND_OPEN = "SELECT iid FROM merge_requests WHERE project_id = $1 AND source_branch = $2 AND target_branch = $3 \
        AND closed_at IS NULL AND merged_at IS NULL";
    LOCK = "UPDATE merge_requests SET updated_at = updated_at WHERE project_id = $1 AND iid = $2";
    UPDATE = "UPDATE merge_requests SET title = $3, description = $4, discussion_locked_at = $5, \
        last_editor_id = COALESCE($6, last_editor_id), edited_at = COALESCE($7, edited_at), updated_at = $8 \
        WHERE project_id = $1 AND id = $2";
    SET_WISHES = "UPDATE merge_requests SET squash_at = $3, source_branch_removed_at = $4 WHERE project_id = $1 AND id = $2";
    SET_TARGET = "UPDATE merge_requests SET target_branch = $3, head_sha = $4, start_sha = $5, base_sha = $6, \
        merge_status = 'unchecked' WHERE project_id = $1 AND id = $2";
    SET_CLOSED = "UPDATE merge_requests SET closed_by = $3, closed_at = $4, auto_merge_by = NULL, auto_merge_at = NULL, \
        auto_merge_token_id = NULL, auto_merge_options = NULL WHERE project_id = $1 AND id = $2";
    SET_MILESTONE = "UPDATE merge_requests SET milestone_id = $3 WHERE project_id = $1 AND id = $2";
    DELETE_LABELS = "DELETE FROM merge_request_labels WHERE merge_request_id = $1";
    INSERT_LABEL = "INSERT INTO merge_request_labels (merge_request_id, label_id) SELECT r.id, b.id FROM merge_requests r \
        JOIN labels b ON b.project_id = r.project_id WHERE r.id = $1 AND b.title = $2";
    DELETE_ASSIGNEES = "DELETE FROM merge_request_assignees WHERE merge_request_id = $1";
    INSERT_ASSIGNEE = "INSERT INTO merge_request_assignees (merge_request_id, user_id) VALUES ($1, $2)";
    DELETE_REVIEWERS = "DELETE FROM merge_request_reviewers WHERE merge_request_id = $1";
    INSERT_REVIEWER = "INSERT INTO merge_request_reviewers (merge_request_id, user_id) VALUES ($1, $2)";
    INSERT_APPROVAL = "INSERT INTO merge_request_approvals (merge_request_id, user_id, created_at) VALUES ($1, $2, $3)";
    DELETE_APPROVAL = "DELETE FROM merge_request_approvals WHERE merge_request_id = $1 AND user_id = $2";
    DELETE_APPROVALS = "DELETE FROM merge_request_approvals WHERE merge_request_id = $1";
    DELETE_CLOSED_ISSUES = "DELETE FROM merge_request_closes_issues WHERE merge_request_id = $1";
    INSERT_CLOSED_ISSUE = "INSERT INTO merge_request_closes_issues (merge_request_id, issue_id) SELECT r.id, i.id \
        FROM merge_requests r JOIN issues i ON i.project_id = r.project_id WHERE r.id = $1 AND i.iid = $2";
    CLOSED_ISSUES = "SELECT i.iid FROM merge_request_closes_issues c JOIN issues i ON i.id = c.issue_id \
        WHERE c.merge_request_id = $1 ORDER BY i.iid";
    CLOSING = "SELECT c.merge_request_id FROM merge_request_closes_issues c \
        JOIN merge_requests r ON r.id = c.merge_request_id WHERE r.project_id = $1 AND c.issue_id = $2 \
        ORDER BY c.merge_request_id DESC LIMIT 1000";
    WITH_COMMIT = "SELECT r.id FROM merge_requests r WHERE r.project_id = $1 AND (r.merge_commit_sha = $2 \
        OR r.squash_commit_sha = $2 OR r.merged_sha = $2 OR r.head_sha = $2 OR (SELECT COUNT(*) \
        FROM merge_request_versions v WHERE v.merge_request_id = r.id AND v.head_sha = $2) > 0) \
        ORDER BY r.id DESC LIMIT 1000";
    LATEST_HEADS = "SELECT id, head_sha, base_sha FROM merge_requests WHERE project_id = $1 ORDER BY id DESC LIMIT $2";
    RETITLE_EVENTS = "UPDATE events SET target_title = $3 WHERE project_id = $1 AND ((target_type = 'MergeRequest' \
        AND target_id = $2) OR (target_type = 'Note' AND target_id IN \
        (SELECT n.id FROM notes n WHERE n.merge_request_id = $2)))";
    DELETE_EVENTS = "DELETE FROM events WHERE project_id = $1 AND ((target_type = 'MergeRequest' AND target_id = $2) \
        OR (target_type = 'Note' AND target_id IN (SELECT n.id FROM notes n WHERE n.merge_request_id = $2)))";
    DELETE = "DELETE FROM merge_requests WHERE project_id = $1 AND id = $2";
    TOUCH = "UPDATE merge_requests SET updated_at = $3 WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM merge_requests";
}

/// A merge request to be recorded.
#[derive(Clone, Debug)]
pub struct NewMergeRequest<'a> {
    /// The project it goes into.
    pub project: ProjectId,
    /// Its number there.
    pub iid: i64,
    /// Who opens it.
    pub author: UserId,
    /// What it is about.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// The branch whose commits are to be merged.
    pub source_branch: &'a str,
    /// The branch they are to be merged into.
    pub target_branch: &'a str,
    /// Whether its commits become one when it is merged.
    pub squash: bool,
    /// Whether its source branch goes when it is merged.
    pub removes_source_branch: bool,
    /// What its branches hold.
    pub heads: &'a Heads,
}

/// Records a merge request.
///
/// # Errors
/// [`Error::Unique`] when the number is taken, or an open one has the same two branches.
pub async fn insert(tx: &mut Tx, new: &NewMergeRequest<'_>, now: i64) -> Result<MergeRequestId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.iid),
        V::from(new.author.0),
        V::from(new.title),
        V::from(new.description),
        V::from(new.source_branch),
        V::from(new.target_branch),
        V::from(new.squash.then_some(now)),
        V::from(new.removes_source_branch.then_some(now)),
        V::from(&new.heads.head),
        V::from(&new.heads.start),
        V::from(&new.heads.base),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(MergeRequestId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the merge request with this number in a project; `internal_shown` says whether its internal comments are
/// counted.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    project: ProjectId,
    iid: i64,
    internal_shown: bool,
) -> Result<Option<MergeRequest>, Error> {
    let params = [V::from(project.0), V::from(iid), V::from(i64::from(internal_shown))];
    tx.one(&FIND, &params, read).await
}

/// Locks a merge request's row until the transaction ends, so that what is read of it next cannot change under the
/// writer.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<(), Error> {
    tx.run(&LOCK, &[V::from(project.0), V::from(iid)]).await?;
    Ok(())
}

/// Records that something about a merge request changed.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, project: ProjectId, id: MergeRequestId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH, &[V::from(project.0), V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Returns how many there are.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns the number of the open merge request of these two branches.
///
/// # Errors
/// The database's.
pub async fn find_open(
    tx: &mut Tx,
    project: ProjectId,
    source_branch: &str,
    target_branch: &str,
) -> Result<Option<i64>, Error> {
    let params = [V::from(project.0), V::from(source_branch), V::from(target_branch)];
    tx.one(&FIND_OPEN, &params, |row| row.get(0)).await
}

/// Records changed texts, and whether the discussion is locked; `editor` is given when the title or description changed.
/// What the feed says follows the title, because an old title may have been changed for what it gave away.
///
/// # Errors
/// The database's.
pub async fn update(
    tx: &mut Tx,
    merge_request: &MergeRequest,
    editor: Option<UserId>,
    now: i64,
) -> Result<(), Error> {
    let (project, id) = (merge_request.project.0, merge_request.id.0);
    let params = [
        V::from(project),
        V::from(id),
        V::from(&merge_request.title),
        V::from(&merge_request.description),
        V::from(merge_request.discussion_locked_at),
        V::from(editor.map(|user| user.0)),
        V::from(editor.map(|_| now)),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    if editor.is_some() {
        tx.run(&RETITLE_EVENTS, &[V::from(project), V::from(id), V::from(&merge_request.title)]).await?;
    }
    Ok(())
}

/// Records whether a merge request's commits become one, and whether its source branch goes, when it is merged.
///
/// # Errors
/// The database's.
pub async fn set_wishes(tx: &mut Tx, merge_request: &MergeRequest, now: i64) -> Result<(), Error> {
    let params = [
        V::from(merge_request.project.0),
        V::from(merge_request.id.0),
        V::from(merge_request.squash.then_some(now)),
        V::from(merge_request.removes_source_branch.then_some(now)),
    ];
    tx.run(&SET_WISHES, &params).await?;
    Ok(())
}

/// Records which branch a merge request's commits are to be merged into, and what both branches hold.
///
/// # Errors
/// [`Error::Unique`] when it is open and another open one has the same two branches.
pub async fn set_target(tx: &mut Tx, merge_request: &MergeRequest) -> Result<(), Error> {
    let params = [
        V::from(merge_request.project.0),
        V::from(merge_request.id.0),
        V::from(&merge_request.target_branch),
        V::from(&merge_request.heads.head),
        V::from(&merge_request.heads.start),
        V::from(&merge_request.heads.base),
    ];
    tx.run(&SET_TARGET, &params).await?;
    Ok(())
}

/// Records that a merge request was closed by somebody at some time, or with `None` that it is open. Nobody waits for it to
/// be merged by itself any more.
///
/// # Errors
/// [`Error::Unique`] when it opens and another open one has the same two branches.
pub async fn set_closed(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    closed: Option<(UserId, i64)>,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(closed.map(|(user, _)| user.0)),
        V::from(closed.map(|(_, at)| at)),
    ];
    tx.run(&SET_CLOSED, &params).await?;
    Ok(())
}

/// Records what a merge request is planned for, or that it is for nothing. The milestone must be one of the project.
///
/// # Errors
/// The database's.
pub async fn set_milestone(
    tx: &mut Tx,
    project: ProjectId,
    id: MergeRequestId,
    milestone: Option<MilestoneId>,
) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0), V::from(milestone.map(|milestone| milestone.0))];
    tx.run(&SET_MILESTONE, &params).await?;
    Ok(())
}

/// Replaces a merge request's labels, which must differ from one another. Titles that its project has no label of are
/// passed over.
///
/// # Errors
/// The database's.
pub async fn set_labels(tx: &mut Tx, id: MergeRequestId, labels: &[String]) -> Result<(), Error> {
    tx.run(&DELETE_LABELS, &[V::from(id.0)]).await?;
    for label in labels {
        tx.run(&INSERT_LABEL, &[V::from(id.0), V::from(label)]).await?;
    }
    Ok(())
}

/// Replaces a merge request's assignees, who must differ from one another.
///
/// # Errors
/// The database's.
pub async fn set_assignees(tx: &mut Tx, id: MergeRequestId, assignees: &[UserId]) -> Result<(), Error> {
    tx.run(&DELETE_ASSIGNEES, &[V::from(id.0)]).await?;
    for user in assignees {
        tx.run(&INSERT_ASSIGNEE, &[V::from(id.0), V::from(user.0)]).await?;
    }
    Ok(())
}

/// Replaces those who are asked to review a merge request, who must differ from one another.
///
/// # Errors
/// The database's.
pub async fn set_reviewers(tx: &mut Tx, id: MergeRequestId, reviewers: &[UserId]) -> Result<(), Error> {
    tx.run(&DELETE_REVIEWERS, &[V::from(id.0)]).await?;
    for user in reviewers {
        tx.run(&INSERT_REVIEWER, &[V::from(id.0), V::from(user.0)]).await?;
    }
    Ok(())
}

/// Replaces the issues that a merge request closes when it is merged: numbers inside its project, which must differ from
/// one another. Those that no issue has are passed over.
///
/// # Errors
/// The database's.
pub async fn set_closed_issues(tx: &mut Tx, id: MergeRequestId, iids: &[i64]) -> Result<(), Error> {
    tx.run(&DELETE_CLOSED_ISSUES, &[V::from(id.0)]).await?;
    for iid in iids {
        tx.run(&INSERT_CLOSED_ISSUE, &[V::from(id.0), V::from(*iid)]).await?;
    }
    Ok(())
}

/// Returns the numbers of the issues that a merge request closes when it is merged.
///
/// # Errors
/// The database's.
pub async fn closed_issues(tx: &mut Tx, id: MergeRequestId) -> Result<Vec<i64>, Error> {
    tx.all(&CLOSED_ISSUES, &[V::from(id.0)], |row| row.get(0)).await
}

/// Returns the ids of the merge requests of a project that close an issue when they are merged, newest first, at most 1000.
///
/// # Errors
/// The database's.
pub async fn closing(tx: &mut Tx, project: ProjectId, issue: IssueId) -> Result<Vec<i64>, Error> {
    tx.all(&CLOSING, &[V::from(project.0), V::from(issue.0)], |row| row.get(0)).await
}

/// Returns the ids of the merge requests of a project that end in a commit, ended in it once or were merged by making it:
/// newest first, at most 1000.
///
/// # Errors
/// The database's.
pub async fn with_commit(tx: &mut Tx, project: ProjectId, sha: &str) -> Result<Vec<i64>, Error> {
    tx.all(&WITH_COMMIT, &[V::from(project.0), V::from(sha)], |row| row.get(0)).await
}

/// Where the commits of a merge request end, and what they begin behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The id of the merge request.
    pub id: i64,
    /// Its last commit.
    pub head: String,
    /// What it has in common with the target branch.
    pub base: Option<String>,
}

/// Returns where the commits of a project's latest merge requests are, at most `limit` of them.
///
/// # Errors
/// The database's.
pub async fn latest_ends(tx: &mut Tx, project: ProjectId, limit: i64) -> Result<Vec<Ends>, Error> {
    tx.all(&LATEST_HEADS, &[V::from(project.0), V::from(limit)], |row| {
        Ok(Ends { id: row.get(0)?, head: row.get(1)?, base: row.get(2)? })
    })
    .await
}

/// Deletes a merge request with its comments, and what the feed said about them.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: MergeRequestId) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0)];
    tx.run(&DELETE_EVENTS, &params).await?;
    tx.run(&DELETE, &params).await?;
    Ok(())
}

/// That somebody approved a merge request.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Who, or the Ghost User.
    pub user: User,
    /// When, in Unix microseconds.
    pub at: i64,
}

/// The most approvals that are shown of a merge request.
const MAX_APPROVALS: i64 = 1000;

/// Records that somebody approved a merge request, which they must not have done yet.
///
/// # Errors
/// The database's.
pub async fn approve(tx: &mut Tx, id: MergeRequestId, user: UserId, now: i64) -> Result<(), Error> {
    tx.run(&INSERT_APPROVAL, &[V::from(id.0), V::from(user.0), V::from(now)]).await?;
    Ok(())
}

/// Takes back that somebody approved a merge request. Returns whether they had.
///
/// # Errors
/// The database's.
pub async fn unapprove(tx: &mut Tx, id: MergeRequestId, user: UserId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE_APPROVAL, &[V::from(id.0), V::from(user.0)]).await? > 0)
}

/// Takes back every approval of a merge request.
///
/// # Errors
/// The database's.
pub async fn reset_approvals(tx: &mut Tx, id: MergeRequestId) -> Result<(), Error> {
    tx.run(&DELETE_APPROVALS, &[V::from(id.0)]).await?;
    Ok(())
}

/// Returns who approved a merge request, the first one first.
///
/// # Errors
/// The database's.
pub async fn approvals(tx: &mut Tx, id: MergeRequestId) -> Result<Vec<Approval>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("a.merge_request_id = ?", [id.0.into()]);
    let window = Window { limit: MAX_APPROVALS, offset: 0 };
    let columns = format!("{}, a.created_at", users::COLUMNS);
    let from = "merge_request_approvals a JOIN users u ON u.id = a.user_id";
    let map =
        |row: &Row<'_>| Ok(Approval { user: users::read_at(row, 0)?, at: row.get(users::COLUMN_COUNT)? });
    Ok(conditions.list(tx, &columns, from, "a.id", window, map).await?.items)
}

/// The most rows a page has for which labels, assignees or reviewers are asked.
const MAX_PAGE: i64 = 100;

/// Returns the labels of several merge requests, in one question: pairs of a merge request's id and a label, by label.
///
/// # Errors
/// The database's.
pub async fn labels_of(tx: &mut Tx, merge_requests: &[i64]) -> Result<Vec<(i64, Label)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("l.merge_request_id", merge_requests);
    let window = Window { limit: MAX_PAGE * MAX_LABELS as i64, offset: 0 };
    let map = |row: &Row<'_>| Ok((row.get(labels::COLUMN_COUNT)?, labels::read(row)?));
    let columns = concat!(labels::columns!(), ", l.merge_request_id");
    let from = "merge_request_labels l JOIN labels b ON b.id = l.label_id";
    Ok(conditions.list(tx, columns, from, "l.merge_request_id, b.title", window, map).await?.items)
}

/// In which way somebody has to do with a merge request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Involvement {
    /// They are to deal with it.
    Assignee,
    /// They are to review it.
    Reviewer,
}

/// Returns the assignees or reviewers of several merge requests, in one question: pairs of a merge request's id and a user,
/// by user id.
///
/// # Errors
/// The database's.
pub async fn involved_in(
    tx: &mut Tx,
    merge_requests: &[i64],
    involvement: Involvement,
) -> Result<Vec<(i64, User)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("a.merge_request_id", merge_requests);
    let window = Window { limit: MAX_PAGE * MAX_ASSIGNEES as i64, offset: 0 };
    let columns = format!("{}, a.merge_request_id", users::COLUMNS);
    let from = match involvement {
        Involvement::Assignee => "merge_request_assignees a JOIN users u ON u.id = a.user_id",
        Involvement::Reviewer => "merge_request_reviewers a JOIN users u ON u.id = a.user_id",
    };
    let map = |row: &Row<'_>| Ok((row.get(users::COLUMN_COUNT)?, users::read_at(row, 0)?));
    Ok(conditions.list(tx, &columns, from, "a.merge_request_id, u.id", window, map).await?.items)
}

/// Returns who takes part in a merge request: its author, its assignees and reviewers, and who commented on it as far as
/// the reader is shown it.
///
/// # Errors
/// The database's.
pub async fn participants(
    tx: &mut Tx,
    id: MergeRequestId,
    internal_shown: bool,
    window: Window,
) -> Result<Listing<User>, Error> {
    let id = Value::Int(id.0);
    let shown = if internal_shown { "" } else { " AND n.internal_at IS NULL" };
    let mut conditions = Conditions::default();
    conditions.and(
        &format!(
            "u.id IN (SELECT r.author_id FROM merge_requests r WHERE r.id = ?) \
             OR u.id IN (SELECT a.user_id FROM merge_request_assignees a WHERE a.merge_request_id = ?) \
             OR u.id IN (SELECT a.user_id FROM merge_request_reviewers a WHERE a.merge_request_id = ?) \
             OR u.id IN (SELECT n.author_id FROM notes n WHERE n.merge_request_id = ? AND n.system_at IS NULL{shown})"
        ),
        [id.clone(), id.clone(), id.clone(), id],
    );
    conditions.list(tx, users::COLUMNS, "users u", "u.id", window, |row| users::read_at(row, 0)).await
}

/// Which merge requests a list is about.
#[derive(Clone, Copy, Debug)]
pub enum MergeRequestsOf {
    /// Those of a project.
    Project(ProjectId),
    /// Those of all projects in a group, or anywhere below it, whose merge requests somebody may read.
    Group(NamespaceId, Audience),
    /// Those of all projects whose merge requests somebody may read.
    Everywhere(Audience),
}

/// How a merge request belongs to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRequestRelation {
    /// They opened it.
    Author(UserId),
    /// They are assigned to it.
    Assignee(UserId),
    /// They are asked to review it.
    Reviewer(UserId),
}

/// What a list of merge requests is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeRequestOrder {
    /// When it was opened.
    #[default]
    Created,
    /// When it last changed.
    Updated,
    /// When it was merged; those that never were come last.
    Merged,
    /// Its title.
    Title,
}

/// What a list of merge requests is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct MergeRequestFilter {
    /// Only these, by id.
    pub ids: Option<Vec<i64>>,
    /// Only those at this place in their life.
    pub state: Option<MergeRequestState>,
    /// Only those that belong to somebody.
    pub of: Option<MergeRequestRelation>,
    /// Only from this branch.
    pub source_branch: Option<String>,
    /// Only into this branch.
    pub target_branch: Option<String>,
    /// Part of the title or description.
    pub search: Option<String>,
    /// Whether the search leaves out descriptions.
    pub search_title_only: bool,
    /// Whether the search leaves out titles.
    pub search_description_only: bool,
    /// Only with these labels.
    pub labels: Option<LabelFilter>,
    /// Only with this milestone.
    pub milestone: Option<MilestoneWanted>,
    /// Only these numbers.
    pub iids: Option<Vec<i64>>,
    /// Only by this user.
    pub author: Option<UserId>,
    /// Only by the user with this name.
    pub author_username: Option<String>,
    /// Only with this assignment.
    pub assignee: Option<AssigneeFilter>,
    /// Only with this request for a review.
    pub reviewer: Option<AssigneeFilter>,
    /// Only those that the user with this name is asked to review.
    pub reviewer_username: Option<String>,
    /// Only those that are not to be merged yet, or only others.
    pub draft: Option<bool>,
    /// Whether those of archived projects are left out of lists of several projects.
    pub without_archived: bool,
    /// Opened at or after this time, in Unix microseconds.
    pub created_after: Option<i64>,
    /// Opened at or before this time.
    pub created_before: Option<i64>,
    /// Changed at or after this time.
    pub updated_after: Option<i64>,
    /// Changed at or before this time.
    pub updated_before: Option<i64>,
    /// The order.
    pub order: MergeRequestOrder,
    /// Smallest first.
    pub ascending: bool,
}

const IS_ASSIGNED: &str =
    "(SELECT COUNT(*) FROM merge_request_assignees a WHERE a.merge_request_id = r.id AND a.user_id = ?) > 0";

const IS_REVIEWER: &str =
    "(SELECT COUNT(*) FROM merge_request_reviewers a WHERE a.merge_request_id = r.id AND a.user_id = ?) > 0";

/// A title that says that it is not to be merged yet.
const IS_DRAFT: &str =
    "lower(r.title) LIKE 'draft:%' OR lower(r.title) LIKE '[draft]%' OR lower(r.title) LIKE '(draft)%'";

/// Narrows a list to those with this assignment, or with this request for a review.
fn narrow_to_involved(
    conditions: &mut Conditions,
    wanted: Option<AssigneeFilter>,
    table: &str,
    is_involved: &str,
) {
    let count = format!("(SELECT COUNT(*) FROM {table} a WHERE a.merge_request_id = r.id)");
    match wanted {
        Some(AssigneeFilter::Nobody) => conditions.and(&format!("{count} = 0"), []),
        Some(AssigneeFilter::Anybody) => conditions.and(&format!("{count} > 0"), []),
        Some(AssigneeFilter::User(user)) => conditions.and(is_involved, [user.0.into()]),
        None => {}
    }
}

impl MergeRequestFilter {
    fn narrow(&self, conditions: &mut Conditions) {
        if let Some(ids) = &self.ids {
            conditions.and_in("r.id", ids);
        }
        match self.state {
            Some(MergeRequestState::Opened) => {
                conditions.and("r.closed_at IS NULL AND r.merged_at IS NULL", [])
            }
            Some(MergeRequestState::Closed) => {
                conditions.and("r.closed_at IS NOT NULL AND r.merged_at IS NULL", []);
            }
            Some(MergeRequestState::Merged) => conditions.and("r.merged_at IS NOT NULL", []),
            None => {}
        }
        match self.of {
            Some(MergeRequestRelation::Author(user)) => conditions.and("r.author_id = ?", [user.0.into()]),
            Some(MergeRequestRelation::Assignee(user)) => conditions.and(IS_ASSIGNED, [user.0.into()]),
            Some(MergeRequestRelation::Reviewer(user)) => conditions.and(IS_REVIEWER, [user.0.into()]),
            None => {}
        }
        for (condition, text) in
            [("r.source_branch = ?", &self.source_branch), ("r.target_branch = ?", &self.target_branch)]
        {
            if let Some(text) = text {
                conditions.and(condition, [text.as_str().into()]);
            }
        }
        if let Some(search) = &self.search {
            let columns: &[&str] = match (self.search_title_only, self.search_description_only) {
                (true, false) => &["r.title"],
                (false, true) => &["r.description"],
                _ => &["r.title", "r.description"],
            };
            conditions.and_contains(columns, search);
        }
        self.narrow_plan(conditions);
        if let Some(iids) = &self.iids {
            conditions.and_in("r.iid", iids);
        }
        if let Some(author) = self.author {
            conditions.and("r.author_id = ?", [author.0.into()]);
        }
        if let Some(username) = &self.author_username {
            conditions.and("lower(u.username) = ?", [username.to_ascii_lowercase().into()]);
        }
        match self.draft {
            Some(true) => conditions.and(IS_DRAFT, []),
            Some(false) => conditions.and(&format!("NOT ({IS_DRAFT})"), []),
            None => {}
        }
        for (condition, time) in [
            ("r.created_at >= ?", self.created_after),
            ("r.created_at <= ?", self.created_before),
            ("r.updated_at >= ?", self.updated_after),
            ("r.updated_at <= ?", self.updated_before),
        ] {
            if let Some(time) = time {
                conditions.and(condition, [time.into()]);
            }
        }
    }

    /// Narrows by labels, milestone, assignees and reviewers.
    fn narrow_plan(&self, conditions: &mut Conditions) {
        const LABELS: &str = "(SELECT COUNT(*) FROM merge_request_labels l WHERE l.merge_request_id = r.id)";
        match &self.labels {
            Some(LabelFilter::Without) => conditions.and(&format!("{LABELS} = 0"), []),
            Some(LabelFilter::Any) => conditions.and(&format!("{LABELS} > 0"), []),
            Some(LabelFilter::All(labels)) => {
                for label in labels {
                    conditions.and(
                        "(SELECT COUNT(*) FROM merge_request_labels l JOIN labels b ON b.id = l.label_id \
                         WHERE l.merge_request_id = r.id AND b.title = ?) > 0",
                        [label.as_str().into()],
                    );
                }
            }
            None => {}
        }
        match &self.milestone {
            Some(MilestoneWanted::Without) => conditions.and("r.milestone_id IS NULL", []),
            Some(MilestoneWanted::Any) => conditions.and("r.milestone_id IS NOT NULL", []),
            Some(MilestoneWanted::Title(title)) => conditions.and("m.title = ?", [title.as_str().into()]),
            Some(MilestoneWanted::Id(id)) => conditions.and("r.milestone_id = ?", [id.0.into()]),
            None => {}
        }
        narrow_to_involved(conditions, self.assignee, "merge_request_assignees", IS_ASSIGNED);
        narrow_to_involved(conditions, self.reviewer, "merge_request_reviewers", IS_REVIEWER);
        if let Some(username) = &self.reviewer_username {
            conditions.and(
                "(SELECT COUNT(*) FROM merge_request_reviewers a JOIN users w ON w.id = a.user_id \
                 WHERE a.merge_request_id = r.id AND lower(w.username) = ?) > 0",
                [username.to_ascii_lowercase().into()],
            );
        }
    }
}

/// Returns merge requests. `internal_shown` says whether their internal comments are counted.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    of: MergeRequestsOf,
    internal_shown: bool,
    filter: &MergeRequestFilter,
    window: Window,
    now: i64,
) -> Result<Listing<MergeRequest>, Error> {
    let mut conditions = Conditions::default();
    let across = concat!(from!(), " JOIN projects p ON p.id = r.project_id");
    let narrow_to_readable = |conditions: &mut Conditions, audience: Audience| {
        audience.narrow_projects(conditions, now);
        let (readable, values) = audience.reads_merge_requests(now);
        conditions.and(&readable, values);
    };
    if filter.without_archived && !matches!(of, MergeRequestsOf::Project(_)) {
        conditions.and("p.archived_at IS NULL", []);
    }
    let from = match of {
        MergeRequestsOf::Project(project) => {
            conditions.and("r.project_id = ?", [project.0.into()]);
            from!()
        }
        MergeRequestsOf::Group(group, audience) => {
            narrow_to_readable(&mut conditions, audience);
            conditions.and(
                "p.namespace_id IN (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = ?)",
                [group.0.into()],
            );
            across
        }
        MergeRequestsOf::Everywhere(audience) => {
            narrow_to_readable(&mut conditions, audience);
            across
        }
    };
    filter.narrow(&mut conditions);
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let column = match filter.order {
        MergeRequestOrder::Created => "r.created_at",
        MergeRequestOrder::Updated => "r.updated_at",
        // The engines disagree about where nulls belong.
        MergeRequestOrder::Merged => "CASE WHEN r.merged_at IS NULL THEN 1 ELSE 0 END, r.merged_at",
        MergeRequestOrder::Title => "lower(r.title)",
    };
    let order = format!("{column} {direction}, r.id {direction}");
    let columns = if internal_shown { columns!("1 = 1") } else { columns!("1 = 0") };
    conditions.list(tx, columns, from, &order, window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_three_users() {
        let own = |alias: &str| users::COLUMNS.replace("u.", alias);
        let expected = format!("{}, {}, {}, r.id", own("u."), own("c."), own("g."));
        assert!(columns!("1 = 1").starts_with(&expected));
    }
}
