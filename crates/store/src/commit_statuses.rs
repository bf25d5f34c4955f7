//! The statuses of commits: what others found out about them.

use portcullis_rules::id::{CommitStatusId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// A status as recorded.
#[derive(Clone, Debug)]
pub struct CommitStatus {
    /// The id.
    pub id: CommitStatusId,
    /// Who reported it, or the Ghost User.
    pub author: User,
    /// The commit, in full.
    pub sha: String,
    /// The branch or tag it is about; empty when nobody said.
    pub ref_name: String,
    /// What was looked at.
    pub name: String,
    /// What was found, in GitLab's word.
    pub state: String,
    /// Where more is to be read.
    pub target_url: Option<String>,
    /// A few words about it.
    pub description: Option<String>,
    /// Percent of the code that tests reach, as a decimal number.
    pub coverage: Option<String>,
    /// When it was first reported, in Unix microseconds.
    pub created_at: i64,
    /// When work on it began.
    pub started_at: Option<i64>,
    /// When it came to its end.
    pub finished_at: Option<i64>,
}

/// The columns of [`CommitStatus`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
         u.bot_project_id, u.created_by, u.created_at, \
         s.id, s.sha, s.ref_name, s.name, s.state, s.target_url, s.description, s.coverage, s.created_at, s.started_at, \
         s.finished_at"
    };
}

fn read(row: &Row<'_>) -> Result<CommitStatus, Error> {
    let at = users::COLUMN_COUNT;
    Ok(CommitStatus {
        author: users::read_at(row, 0)?,
        id: CommitStatusId(row.get(at)?),
        sha: row.get(at + 1)?,
        ref_name: row.get(at + 2)?,
        name: row.get(at + 3)?,
        state: row.get(at + 4)?,
        target_url: row.get(at + 5)?,
        description: row.get(at + 6)?,
        coverage: row.get(at + 7)?,
        created_at: row.get(at + 8)?,
        started_at: row.get(at + 9)?,
        finished_at: row.get(at + 10)?,
    })
}

statements! {
    INSERT = "INSERT INTO commit_statuses (project_id, author_id, sha, ref_name, name, state, target_url, description, \
        coverage, created_at, started_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        RETURNING id";
    FIND = concat!(
        "SELECT ", columns!(), " FROM commit_statuses s JOIN users u ON u.id = s.author_id \
        WHERE s.project_id = $1 AND s.id = $2"
    );
    FIND_CURRENT = concat!(
        "SELECT ", columns!(), " FROM commit_statuses s JOIN users u ON u.id = s.author_id WHERE s.project_id = $1 \
        AND s.sha = $2 AND s.ref_name = $3 AND s.name = $4 AND s.superseded_at IS NULL"
    );
    FIND_REF = "SELECT ref_name FROM commit_statuses WHERE project_id = $1 AND sha = $2 AND name = $3 \
        AND superseded_at IS NULL ORDER BY id DESC LIMIT 1";
    LOCK_CURRENT = "UPDATE commit_statuses SET created_at = created_at WHERE project_id = $1 AND sha = $2 \
        AND ref_name = $3 AND name = $4 AND superseded_at IS NULL";
    UPDATE = "UPDATE commit_statuses SET state = $3, target_url = $4, description = $5, coverage = $6, started_at = $7, \
        finished_at = $8, author_id = $9 WHERE project_id = $1 AND id = $2";
    SUPERSEDE = "UPDATE commit_statuses SET superseded_at = $3 WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM commit_statuses WHERE project_id = $1 AND sha = $2";
}

/// A status to be recorded.
#[derive(Clone, Debug)]
pub struct NewCommitStatus<'a> {
    /// The project.
    pub project: ProjectId,
    /// Who reports it.
    pub author: UserId,
    /// The commit, in full.
    pub sha: &'a str,
    /// The branch or tag it is about, or nothing.
    pub ref_name: &'a str,
    /// What was looked at.
    pub name: &'a str,
    /// What was found.
    pub state: &'a str,
    /// Where more is to be read.
    pub target_url: Option<&'a str>,
    /// A few words about it.
    pub description: Option<&'a str>,
    /// Percent of the code that tests reach.
    pub coverage: Option<&'a str>,
    /// When work on it began.
    pub started_at: Option<i64>,
    /// When it came to its end.
    pub finished_at: Option<i64>,
}

/// Records a status.
///
/// # Errors
/// [`Error::Unique`] when there is a current one for this commit, ref and name.
pub async fn insert(tx: &mut Tx, new: &NewCommitStatus<'_>, now: i64) -> Result<CommitStatusId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.author.0),
        V::from(new.sha),
        V::from(new.ref_name),
        V::from(new.name),
        V::from(new.state),
        V::from(new.target_url),
        V::from(new.description),
        V::from(new.coverage),
        V::from(now),
        V::from(new.started_at),
        V::from(new.finished_at),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(CommitStatusId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns one status of a project.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    project: ProjectId,
    id: CommitStatusId,
) -> Result<Option<CommitStatus>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns what the last status of a commit with this name is about.
///
/// # Errors
/// The database's.
pub async fn find_ref(
    tx: &mut Tx,
    project: ProjectId,
    sha: &str,
    name: &str,
) -> Result<Option<String>, Error> {
    tx.one(&FIND_REF, &[V::from(project.0), V::from(sha), V::from(name)], |row| row.get(0)).await
}

/// Returns the status that counts for a commit, ref and name, and keeps others from changing it until the transaction
/// ends.
///
/// # Errors
/// The database's.
pub async fn lock_current(
    tx: &mut Tx,
    project: ProjectId,
    sha: &str,
    ref_name: &str,
    name: &str,
) -> Result<Option<CommitStatus>, Error> {
    let params = [V::from(project.0), V::from(sha), V::from(ref_name), V::from(name)];
    tx.run(&LOCK_CURRENT, &params).await?;
    tx.one(&FIND_CURRENT, &params, read).await
}

/// Records what a status is now, and who said so.
///
/// # Errors
/// The database's.
pub async fn update(
    tx: &mut Tx,
    project: ProjectId,
    status: &CommitStatus,
    author: UserId,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(status.id.0),
        V::from(&status.state),
        V::from(&status.target_url),
        V::from(&status.description),
        V::from(&status.coverage),
        V::from(status.started_at),
        V::from(status.finished_at),
        V::from(author.0),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Records that a status does not count any more.
///
/// # Errors
/// The database's.
pub async fn supersede(tx: &mut Tx, project: ProjectId, id: CommitStatusId, now: i64) -> Result<(), Error> {
    tx.run(&SUPERSEDE, &[V::from(project.0), V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Returns how many statuses a commit has, with those that do not count any more.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId, sha: &str) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(project.0), V::from(sha)], |row| row.get(0)).await?.unwrap_or(0))
}

/// What a list of statuses is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct CommitStatusFilter {
    /// Only about this branch or tag.
    pub ref_name: Option<String>,
    /// Only with this name.
    pub name: Option<String>,
    /// Also those that do not count any more.
    pub all: bool,
    /// Last one first.
    pub descending: bool,
}

/// Returns the statuses of a commit.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    sha: &str,
    filter: &CommitStatusFilter,
    window: Window,
) -> Result<Listing<CommitStatus>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("s.project_id = ? AND s.sha = ?", [project.0.into(), sha.into()]);
    if !filter.all {
        conditions.and("s.superseded_at IS NULL", []);
    }
    if let Some(ref_name) = &filter.ref_name {
        conditions.and("s.ref_name = ?", [ref_name.as_str().into()]);
    }
    if let Some(name) = &filter.name {
        conditions.and("s.name = ?", [name.as_str().into()]);
    }
    let order = if filter.descending { "s.id DESC" } else { "s.id ASC" };
    let from = "commit_statuses s JOIN users u ON u.id = s.author_id";
    conditions.list(tx, columns!(), from, order, window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_a_user() {
        assert!(columns!().starts_with(&format!("{}, s.id", users::COLUMNS)));
    }
}
