//! Reactions to issues, merge requests and comments.

use portcullis_rules::id::{AwardId, IssueId, MergeRequestId, NoteId, ProjectId, UserId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::notes::Noteable;
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// What one reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awardable {
    /// An issue.
    Issue(IssueId),
    /// A merge request.
    MergeRequest(MergeRequestId),
    /// A comment.
    Note(NoteId),
}

impl From<Noteable> for Awardable {
    fn from(on: Noteable) -> Awardable {
        match on {
            Noteable::Issue(id) => Awardable::Issue(id),
            Noteable::MergeRequest(id) => Awardable::MergeRequest(id),
        }
    }
}

impl Awardable {
    /// Returns the issue, the merge request and the comment it is, of which one is there.
    fn columns(self) -> [Option<i64>; 3] {
        match self {
            Awardable::Issue(id) => [Some(id.0), None, None],
            Awardable::MergeRequest(id) => [None, Some(id.0), None],
            Awardable::Note(id) => [None, None, Some(id.0)],
        }
    }
}

/// A reaction as recorded.
#[derive(Clone, Debug)]
pub struct Award {
    /// The id.
    pub id: AwardId,
    /// What it is to.
    pub to: Awardable,
    /// Who reacted, or the Ghost User.
    pub user: User,
    /// The name of the emoji.
    pub name: String,
    /// When, in Unix microseconds.
    pub created_at: i64,
}

/// How many thumbs something got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// Thumbs up.
    pub up: i64,
    /// Thumbs down.
    pub down: i64,
}

/// The columns of [`Award`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
         u.bot_project_id, u.created_by, u.created_at, \
         e.id, e.issue_id, e.merge_request_id, e.note_id, e.name, e.created_at"
    };
}

fn read(row: &Row<'_>) -> Result<Award, Error> {
    let at = users::COLUMN_COUNT;
    let to: [Option<i64>; 3] = [row.get(at + 1)?, row.get(at + 2)?, row.get(at + 3)?];
    Ok(Award {
        user: users::read_at(row, 0)?,
        id: AwardId(row.get(at)?),
        to: match to {
            [Some(issue), None, None] => Awardable::Issue(IssueId(issue)),
            [None, Some(merge_request), None] => Awardable::MergeRequest(MergeRequestId(merge_request)),
            [None, None, Some(note)] => Awardable::Note(NoteId(note)),
            _ => return Err(Error::Corrupt("a reaction is to nothing".to_owned())),
        },
        name: row.get(at + 4)?,
        created_at: row.get(at + 5)?,
    })
}

statements! {
    INSERT = "INSERT INTO award_emoji (project_id, issue_id, merge_request_id, note_id, user_id, name, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id";
    FIND = concat!(
        "SELECT ", columns!(), " FROM award_emoji e JOIN users u ON u.id = e.user_id WHERE e.project_id = $1 \
        AND (e.issue_id = $2 OR e.merge_request_id = $3 OR e.note_id = $4) AND e.id = $5"
    );
    COUNT = "SELECT COUNT(*) FROM award_emoji e WHERE e.project_id = $1 \
        AND (e.issue_id = $2 OR e.merge_request_id = $3 OR e.note_id = $4) AND e.user_id = $5 AND e.name = $6";
    COUNT_ALL = "SELECT COUNT(*) FROM award_emoji e WHERE e.project_id = $1 \
        AND (e.issue_id = $2 OR e.merge_request_id = $3 OR e.note_id = $4) AND e.user_id = $5";
    DELETE = "DELETE FROM award_emoji WHERE project_id = $1 AND id = $2";
}

/// Records a reaction.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    to: Awardable,
    user: UserId,
    name: &str,
    now: i64,
) -> Result<AwardId, Error> {
    let [issue, merge_request, note] = to.columns();
    let params = [
        V::from(project.0),
        V::from(issue),
        V::from(merge_request),
        V::from(note),
        V::from(user.0),
        V::from(name),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(AwardId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the reaction with this id to something.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    project: ProjectId,
    to: Awardable,
    id: AwardId,
) -> Result<Option<Award>, Error> {
    let [issue, merge_request, note] = to.columns();
    let params = [V::from(project.0), V::from(issue), V::from(merge_request), V::from(note), V::from(id.0)];
    tx.one(&FIND, &params, read).await
}

/// Returns whether somebody has reacted with this emoji, and how many reactions of theirs there are.
///
/// # Errors
/// The database's.
pub async fn count_of(
    tx: &mut Tx,
    project: ProjectId,
    to: Awardable,
    user: UserId,
    name: &str,
) -> Result<(bool, i64), Error> {
    let [issue, merge_request, note] = to.columns();
    let params = [
        V::from(project.0),
        V::from(issue),
        V::from(merge_request),
        V::from(note),
        V::from(user.0),
        V::from(name),
    ];
    let same: i64 = tx.one(&COUNT, &params, |row| row.get(0)).await?.unwrap_or(0);
    let all = tx.one(&COUNT_ALL, &params[..5], |row| row.get(0)).await?.unwrap_or(0);
    Ok((same > 0, all))
}

/// Deletes a reaction.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: AwardId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns the reactions to something, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    to: Awardable,
    window: Window,
) -> Result<Listing<Award>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("e.project_id = ?", [project.0.into()]);
    match to {
        Awardable::Issue(id) => conditions.and("e.issue_id = ?", [id.0.into()]),
        Awardable::MergeRequest(id) => conditions.and("e.merge_request_id = ?", [id.0.into()]),
        Awardable::Note(id) => conditions.and("e.note_id = ?", [id.0.into()]),
    }
    let from = "award_emoji e JOIN users u ON u.id = e.user_id";
    conditions.list(tx, columns!(), from, "e.id", window, read).await
}

/// Returns how many thumbs each of these issues got. One without any is not in it.
///
/// # Errors
/// The database's.
pub async fn votes_of_issues(tx: &mut Tx, issues: &[i64]) -> Result<Vec<(i64, Votes)>, Error> {
    votes_of(tx, "issue_id", issues).await
}

/// Returns how many thumbs each of these merge requests got. One without any is not in it.
///
/// # Errors
/// The database's.
pub async fn votes_of_merge_requests(
    tx: &mut Tx,
    merge_requests: &[i64],
) -> Result<Vec<(i64, Votes)>, Error> {
    votes_of(tx, "merge_request_id", merge_requests).await
}

async fn votes_of(tx: &mut Tx, column: &str, ids: &[i64]) -> Result<Vec<(i64, Votes)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<_> = ids.iter().map(|id| V::from(*id)).collect();
    let marks: Vec<_> = (1..=values.len()).map(|number| format!("${number}")).collect();
    let query = Query::new(format!(
        "SELECT {column}, SUM(CASE WHEN name = 'thumbsup' THEN 1 ELSE 0 END), \
         SUM(CASE WHEN name = 'thumbsdown' THEN 1 ELSE 0 END) FROM award_emoji \
         WHERE {column} IN ({}) AND name IN ('thumbsup', 'thumbsdown') GROUP BY {column}",
        marks.join(", ")
    ));
    let map = |row: &Row<'_>| Ok((row.get(0)?, Votes { up: row.get(1)?, down: row.get(2)? }));
    tx.all(&query, &values, map).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_a_user() {
        assert!(columns!().starts_with(&format!("{}, e.id", users::COLUMNS)));
    }
}
