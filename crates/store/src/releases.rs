//! Releases of projects: one for each tag at most.

use portcullis_rules::id::{MilestoneId, ProjectId, ReleaseId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::milestones::{self, Milestone};
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// A release as recorded.
#[derive(Clone, Debug)]
pub struct Release {
    /// The id.
    pub id: ReleaseId,
    /// Who made it, or the Ghost User.
    pub author: User,
    /// The tag; it may be gone meanwhile.
    pub tag: String,
    /// The commit that the tag named when the release was made.
    pub sha: Option<String>,
    /// What it is called, when not like its tag.
    pub name: Option<String>,
    /// What is new, in Markdown.
    pub description: Option<String>,
    /// When it is or will be released, in Unix microseconds.
    pub released_at: i64,
    /// When it was recorded.
    pub created_at: i64,
}

/// The columns of [`Release`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
         u.bot_project_id, u.created_by, u.created_at, \
         r.id, r.tag, r.sha, r.name, r.description, r.released_at, r.created_at"
    };
}

const FROM: &str = "releases r JOIN users u ON u.id = r.author_id";

fn read(row: &Row<'_>) -> Result<Release, Error> {
    let at = users::COLUMN_COUNT;
    Ok(Release {
        author: users::read_at(row, 0)?,
        id: ReleaseId(row.get(at)?),
        tag: row.get(at + 1)?,
        sha: row.get(at + 2)?,
        name: row.get(at + 3)?,
        description: row.get(at + 4)?,
        released_at: row.get(at + 5)?,
        created_at: row.get(at + 6)?,
    })
}

statements! {
    INSERT = "INSERT INTO releases (project_id, author_id, tag, sha, name, description, released_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id";
    FIND = concat!(
        "SELECT ", columns!(), " FROM releases r JOIN users u ON u.id = r.author_id WHERE r.project_id = $1 AND r.tag = $2"
    );
    FIND_LATEST = concat!(
        "SELECT ", columns!(), " FROM releases r JOIN users u ON u.id = r.author_id WHERE r.project_id = $1 \
        AND r.released_at <= $2 ORDER BY r.released_at DESC, r.id DESC LIMIT 1"
    );
    LOCK = "UPDATE releases SET updated_at = updated_at WHERE project_id = $1 AND tag = $2";
    UPDATE = "UPDATE releases SET name = $3, description = $4, released_at = $5, updated_at = $6 \
        WHERE project_id = $1 AND id = $2";
    DELETE = "DELETE FROM releases WHERE project_id = $1 AND id = $2";
    DELETE_MILESTONES = "DELETE FROM release_milestones WHERE release_id = $1";
    INSERT_MILESTONE = "INSERT INTO release_milestones (release_id, milestone_id) VALUES ($1, $2)";
}

/// A release to be recorded.
#[derive(Clone, Debug)]
pub struct NewRelease<'a> {
    /// The project.
    pub project: ProjectId,
    /// Who makes it.
    pub author: UserId,
    /// The tag.
    pub tag: &'a str,
    /// The commit that the tag names.
    pub sha: Option<&'a str>,
    /// What it is called.
    pub name: Option<&'a str>,
    /// What is new.
    pub description: Option<&'a str>,
    /// When it is or will be released.
    pub released_at: i64,
}

/// Records a release.
///
/// # Errors
/// [`Error::Unique`] when the tag has one.
pub async fn insert(tx: &mut Tx, new: &NewRelease<'_>, now: i64) -> Result<ReleaseId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.author.0),
        V::from(new.tag),
        V::from(new.sha),
        V::from(new.name),
        V::from(new.description),
        V::from(new.released_at),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ReleaseId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the release of a tag.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, tag: &str) -> Result<Option<Release>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(tag)], read).await
}

/// Returns the release of a project that was released last.
///
/// # Errors
/// The database's.
pub async fn find_latest(tx: &mut Tx, project: ProjectId, now: i64) -> Result<Option<Release>, Error> {
    tx.one(&FIND_LATEST, &[V::from(project.0), V::from(now)], read).await
}

/// Locks a release's row until the transaction ends, so that what is read of it next cannot change under the writer.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, project: ProjectId, tag: &str) -> Result<(), Error> {
    tx.run(&LOCK, &[V::from(project.0), V::from(tag)]).await?;
    Ok(())
}

/// Records what a release is now.
///
/// # Errors
/// The database's.
pub async fn update(tx: &mut Tx, project: ProjectId, release: &Release, now: i64) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(release.id.0),
        V::from(&release.name),
        V::from(&release.description),
        V::from(release.released_at),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Deletes a release with its links. The tag stays.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: ReleaseId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Replaces a release's milestones, which must be of its project and differ from one another.
///
/// # Errors
/// The database's.
pub async fn set_milestones(tx: &mut Tx, id: ReleaseId, milestones: &[MilestoneId]) -> Result<(), Error> {
    tx.run(&DELETE_MILESTONES, &[V::from(id.0)]).await?;
    for milestone in milestones {
        tx.run(&INSERT_MILESTONE, &[V::from(id.0), V::from(milestone.0)]).await?;
    }
    Ok(())
}

/// The most milestones a release has.
pub const MAX_MILESTONES: usize = 20;

/// The most rows a page has for which milestones are asked.
const MAX_PAGE: i64 = 100;

/// Returns the milestones of several releases, in one question: pairs of a release's id and a milestone.
///
/// # Errors
/// The database's.
pub async fn milestones_of(tx: &mut Tx, releases: &[i64]) -> Result<Vec<(i64, Milestone)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("x.release_id", releases);
    let window = Window { limit: MAX_PAGE * MAX_MILESTONES as i64, offset: 0 };
    let columns = concat!("x.release_id, ", milestones::columns!());
    let from = "release_milestones x JOIN milestones m ON m.id = x.milestone_id";
    let map = |row: &Row<'_>| Ok((row.get(0)?, milestones::read_at(row, 1)?));
    Ok(conditions.list(tx, columns, from, "x.release_id, m.id", window, map).await?.items)
}

/// Returns the descriptions of the releases of some tags, in one question: pairs of a tag and a description.
///
/// # Errors
/// The database's.
pub async fn descriptions_of(
    tx: &mut Tx,
    project: ProjectId,
    tags: &[&str],
) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("r.project_id = ?", [project.0.into()]);
    conditions.and_in_texts("r.tag", tags);
    let window = Window { limit: i64::try_from(tags.len()).unwrap_or(i64::MAX), offset: 0 };
    let map = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(conditions.list(tx, "r.tag, r.description", "releases r", "r.tag", window, map).await?.items)
}

/// What a list of releases is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReleaseOrder {
    /// When it is released.
    #[default]
    Released,
    /// When it was recorded.
    Created,
}

/// How a list of releases is ordered and narrowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReleaseFilter {
    /// By what.
    pub order: ReleaseOrder,
    /// First one first.
    pub ascending: bool,
    /// Changed at or after this time, in Unix microseconds.
    pub updated_after: Option<i64>,
    /// Changed at or before this time.
    pub updated_before: Option<i64>,
}

/// Returns the releases of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    filter: ReleaseFilter,
    window: Window,
) -> Result<Listing<Release>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("r.project_id = ?", [project.0.into()]);
    if let Some(time) = filter.updated_after {
        conditions.and("r.updated_at >= ?", [time.into()]);
    }
    if let Some(time) = filter.updated_before {
        conditions.and("r.updated_at <= ?", [time.into()]);
    }
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let column = match filter.order {
        ReleaseOrder::Released => "r.released_at",
        ReleaseOrder::Created => "r.created_at",
    };
    let order = format!("{column} {direction}, r.id {direction}");
    conditions.list(tx, columns!(), FROM, &order, window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_a_user() {
        assert!(columns!().starts_with(&format!("{}, r.id", users::COLUMNS)));
    }
}
