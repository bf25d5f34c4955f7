//! Links between issues, of the same project or of different ones. They mean the same in both directions.

use portcullis_rules::id::{IssueId, IssueLinkId};

use crate::audience::Audience;
use crate::db::{Error, Row, Tx, V, statements};
use crate::issues::{self, Issue};
use crate::select::{Conditions, Listing, Window};

/// A link as seen from one of its issues.
#[derive(Clone, Debug)]
pub struct IssueLink {
    /// The id.
    pub id: IssueLinkId,
    /// When the two were linked, in Unix microseconds.
    pub created_at: i64,
    /// The issue at the other end.
    pub issue: Issue,
    /// The whole path of its project.
    pub project_path: String,
}

statements! {
    INSERT = "INSERT INTO issue_links (source_id, target_id, created_at) VALUES ($1, $2, $3) RETURNING id";
    FIND_BETWEEN = "SELECT id FROM issue_links WHERE (source_id = $1 AND target_id = $2) \
        OR (source_id = $2 AND target_id = $1)";
    COUNT = "SELECT COUNT(*) FROM issue_links WHERE source_id = $1 OR target_id = $1";
    DELETE = "DELETE FROM issue_links WHERE id = $2 AND (source_id = $1 OR target_id = $1)";
}

/// Links two issues.
///
/// # Errors
/// [`Error::Unique`] when they are linked in this direction.
pub async fn insert(tx: &mut Tx, source: IssueId, target: IssueId, now: i64) -> Result<IssueLinkId, Error> {
    let params = [V::from(source.0), V::from(target.0), V::from(now)];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(IssueLinkId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the link between two issues, whichever was linked to the other.
///
/// # Errors
/// The database's.
pub async fn find_between(tx: &mut Tx, one: IssueId, other: IssueId) -> Result<Option<IssueLinkId>, Error> {
    let found = tx.one(&FIND_BETWEEN, &[V::from(one.0), V::from(other.0)], |row| row.get(0)).await?;
    Ok(found.map(IssueLinkId))
}

/// Returns how many links an issue has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, issue: IssueId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(issue.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Deletes a link of an issue.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, issue: IssueId, id: IssueLinkId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(issue.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns the links of an issue whose other end the audience may read, the oldest first; with `only`, no other than
/// this one.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    issue: IssueId,
    only: Option<IssueLinkId>,
    audience: Audience,
    window: Window,
    now: i64,
) -> Result<Listing<IssueLink>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("l.source_id = ? OR l.target_id = ?", [issue.0.into(), issue.0.into()]);
    conditions.and("i.id <> ?", [issue.0.into()]);
    if let Some(id) = only {
        conditions.and("l.id = ?", [id.0.into()]);
    }
    audience.narrow_projects(&mut conditions, now);
    let (readable, values) = audience.readable_issues(now);
    conditions.and(&readable, values);
    // Internal comments are not counted: they are not everybody's, and nobody looks at that number here.
    let columns = format!("{}, l.id, l.created_at, p.full_path", issues::OPEN_COLUMNS);
    let from = format!(
        "{} JOIN issue_links l ON l.source_id = i.id OR l.target_id = i.id JOIN projects p ON p.id = i.project_id",
        issues::FROM
    );
    let at = issues::COLUMN_COUNT;
    let map = |row: &Row<'_>| {
        Ok(IssueLink {
            issue: issues::read(row)?,
            id: IssueLinkId(row.get(at)?),
            created_at: row.get(at + 1)?,
            project_path: row.get(at + 2)?,
        })
    };
    conditions.list(tx, &columns, &from, "l.id", window, map).await
}
