//! Milestones of projects. Issues and releases refer to them.

use portcullis_rules::id::{MilestoneId, ProjectId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A milestone as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// The id.
    pub id: MilestoneId,
    /// The project it is in.
    pub project: ProjectId,
    /// Its number inside the project.
    pub iid: i64,
    /// What it is called; different from all others of the project.
    pub title: String,
    /// More about it, in Markdown.
    pub description: Option<String>,
    /// Midnight UTC that begins the first day of it.
    pub start_date: Option<i64>,
    /// Midnight UTC that begins the day on which it is due.
    pub due_date: Option<i64>,
    /// When it was closed, in Unix microseconds; null while it is open.
    pub closed_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
}

/// The columns of [`Milestone`], in the order [`read_at`] expects.
macro_rules! columns {
    () => {
        "m.id, m.project_id, m.iid, m.title, m.description, m.start_date, m.due_date, m.closed_at, m.created_at, m.updated_at"
    };
}
pub(crate) use columns;

/// Reads a milestone whose columns begin at `at`.
pub(crate) fn read_at(row: &Row<'_>, at: usize) -> Result<Milestone, Error> {
    Ok(Milestone {
        id: MilestoneId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        iid: row.get(at + 2)?,
        title: row.get(at + 3)?,
        description: row.get(at + 4)?,
        start_date: row.get(at + 5)?,
        due_date: row.get(at + 6)?,
        closed_at: row.get(at + 7)?,
        created_at: row.get(at + 8)?,
        updated_at: row.get(at + 9)?,
    })
}

fn read(row: &Row<'_>) -> Result<Milestone, Error> {
    read_at(row, 0)
}

statements! {
    INSERT = "INSERT INTO milestones (project_id, iid, title, description, start_date, due_date, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id";
    FIND = concat!("SELECT ", columns!(), " FROM milestones m WHERE m.project_id = $1 AND m.id = $2");
    FIND_BY_TITLE = concat!("SELECT ", columns!(), " FROM milestones m WHERE m.project_id = $1 AND m.title = $2");
    LOCK = "UPDATE milestones SET updated_at = updated_at WHERE project_id = $1 AND id = $2";
    UPDATE = "UPDATE milestones SET title = $3, description = $4, start_date = $5, due_date = $6, closed_at = $7, \
        updated_at = $8 WHERE project_id = $1 AND id = $2";
    RETITLE_EVENTS = "UPDATE events SET target_title = $3 WHERE project_id = $1 AND target_type = 'Milestone' \
        AND target_id = $2";
    DELETE = "DELETE FROM milestones WHERE project_id = $1 AND id = $2";
}

/// A milestone to be recorded.
#[derive(Clone, Debug)]
pub struct NewMilestone<'a> {
    /// The project it goes into.
    pub project: ProjectId,
    /// Its number there.
    pub iid: i64,
    /// What it is called.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// Midnight UTC that begins the first day of it.
    pub start_date: Option<i64>,
    /// Midnight UTC that begins the day on which it is due.
    pub due_date: Option<i64>,
}

/// Records a milestone.
///
/// # Errors
/// [`Error::Unique`] when the project has one with this title.
pub async fn insert(tx: &mut Tx, new: &NewMilestone<'_>, now: i64) -> Result<MilestoneId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.iid),
        V::from(new.title),
        V::from(new.description),
        V::from(new.start_date),
        V::from(new.due_date),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(MilestoneId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the milestone of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: MilestoneId) -> Result<Option<Milestone>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the milestone of a project with this title.
///
/// # Errors
/// The database's.
pub async fn find_by_title(tx: &mut Tx, project: ProjectId, title: &str) -> Result<Option<Milestone>, Error> {
    tx.one(&FIND_BY_TITLE, &[V::from(project.0), V::from(title)], read).await
}

/// Locks a milestone's row until the transaction ends, so that what is read of it next cannot change under the writer.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, project: ProjectId, id: MilestoneId) -> Result<(), Error> {
    tx.run(&LOCK, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Records what a milestone is now. What the feed says follows its title.
///
/// # Errors
/// [`Error::Unique`] when another one of the project has this title.
pub async fn update(tx: &mut Tx, milestone: &Milestone, now: i64) -> Result<(), Error> {
    let (project, id) = (milestone.project.0, milestone.id.0);
    let params = [
        V::from(project),
        V::from(id),
        V::from(&milestone.title),
        V::from(&milestone.description),
        V::from(milestone.start_date),
        V::from(milestone.due_date),
        V::from(milestone.closed_at),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    tx.run(&RETITLE_EVENTS, &[V::from(project), V::from(id), V::from(&milestone.title)]).await?;
    Ok(())
}

/// Deletes a milestone; issues and releases lose it.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: MilestoneId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// What a list of milestones is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct MilestoneFilter {
    /// Only closed ones, or only open ones.
    pub closed: Option<bool>,
    /// Only the one with this title.
    pub title: Option<String>,
    /// Part of the title or description.
    pub search: Option<String>,
    /// Only these numbers.
    pub iids: Option<Vec<i64>>,
    /// Changed at or after this time, in Unix microseconds.
    pub updated_after: Option<i64>,
    /// Changed at or before this time.
    pub updated_before: Option<i64>,
}

/// Returns the milestones of a project, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    filter: &MilestoneFilter,
    window: Window,
) -> Result<Listing<Milestone>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("m.project_id = ?", [project.0.into()]);
    match filter.closed {
        Some(true) => conditions.and("m.closed_at IS NOT NULL", []),
        Some(false) => conditions.and("m.closed_at IS NULL", []),
        None => {}
    }
    if let Some(title) = &filter.title {
        conditions.and("m.title = ?", [title.as_str().into()]);
    }
    if let Some(search) = &filter.search {
        conditions.and_contains(&["m.title", "m.description"], search);
    }
    if let Some(iids) = &filter.iids {
        conditions.and_in("m.iid", iids);
    }
    if let Some(time) = filter.updated_after {
        conditions.and("m.updated_at >= ?", [time.into()]);
    }
    if let Some(time) = filter.updated_before {
        conditions.and("m.updated_at <= ?", [time.into()]);
    }
    conditions.list(tx, columns!(), "milestones m", "m.id DESC", window, read).await
}
