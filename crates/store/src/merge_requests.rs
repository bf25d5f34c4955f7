//! Merge requests.
//!
//! A merge request is only ever found inside its project. What Git says of its two branches is kept here as it was last
//! looked at; whoever decides something by it compares it with the branches again.

use portcullis_rules::id::{MergeRequestId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::milestones::{self, Milestone};
use crate::users::{self, User};

/// Whether the two branches of a merge request can be brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeStatus {
    /// Nobody looked since one of them changed.
    Unchecked,
    /// They can.
    CanBeMerged,
    /// They changed the same places, or the source branch is gone.
    CannotBeMerged,
}

impl MergeStatus {
    /// Returns its name, which is GitLab's.
    pub fn name(self) -> &'static str {
        match self {
            MergeStatus::Unchecked => "unchecked",
            MergeStatus::CanBeMerged => "can_be_merged",
            MergeStatus::CannotBeMerged => "cannot_be_merged",
        }
    }

    fn from_name(name: &str) -> Option<MergeStatus> {
        match name {
            "unchecked" => Some(MergeStatus::Unchecked),
            "can_be_merged" => Some(MergeStatus::CanBeMerged),
            "cannot_be_merged" => Some(MergeStatus::CannotBeMerged),
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
    LOCK = "UPDATE merge_requests SET updated_at = updated_at WHERE project_id = $1 AND iid = $2";
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
