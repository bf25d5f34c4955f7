//! Labels of projects. Issues and merge requests refer to them.

use portcullis_rules::id::{LabelId, ProjectId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::issues::Sight;
use crate::select::{Conditions, Listing, Window};

/// A label as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The id.
    pub id: LabelId,
    /// The project it is in.
    pub project: ProjectId,
    /// What it is called; different from all others of the project, in case too.
    pub title: String,
    /// `#` and three or six hexadecimal digits.
    pub color: String,
    /// What it is for.
    pub description: Option<String>,
    /// How urgent it makes things: 0 comes first.
    pub priority: Option<i64>,
}

/// How many issues and merge requests with a label somebody is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Open issues.
    pub open: i64,
    /// Closed issues.
    pub closed: i64,
    /// Open merge requests.
    pub open_merge_requests: i64,
}

/// The columns of [`Label`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "b.id, b.project_id, b.title, b.color, b.description, b.priority"
    };
}
pub(crate) use columns;

/// How many columns a label has.
pub(crate) const COLUMN_COUNT: usize = 6;

pub(crate) fn read(row: &Row<'_>) -> Result<Label, Error> {
    Ok(Label {
        id: LabelId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        title: row.get(2)?,
        color: row.get(3)?,
        description: row.get(4)?,
        priority: row.get(5)?,
    })
}

statements! {
    INSERT = "INSERT INTO labels (project_id, title, color, description, priority, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id";
    ENSURE = "INSERT INTO labels (project_id, title, color, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) \
        ON CONFLICT (project_id, title) DO NOTHING";
    FIND = concat!("SELECT ", columns!(), " FROM labels b WHERE b.project_id = $1 AND b.id = $2");
    FIND_BY_TITLE = concat!("SELECT ", columns!(), " FROM labels b WHERE b.project_id = $1 AND b.title = $2");
    UPDATE = "UPDATE labels SET title = $3, color = $4, description = $5, priority = $6, updated_at = $7 \
        WHERE project_id = $1 AND id = $2";
    DELETE = "DELETE FROM labels WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM labels WHERE project_id = $1";
}

/// Records a label; its `id` is passed over.
///
/// # Errors
/// [`Error::Unique`] when the project has one with this title.
pub async fn insert(tx: &mut Tx, label: &Label, now: i64) -> Result<LabelId, Error> {
    let params = [
        V::from(label.project.0),
        V::from(&label.title),
        V::from(&label.color),
        V::from(&label.description),
        V::from(label.priority),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(LabelId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Makes a label of this title and colour unless the project has one with this title. Returns whether it was made.
///
/// # Errors
/// The database's.
pub async fn ensure(
    tx: &mut Tx,
    project: ProjectId,
    title: &str,
    color: &str,
    now: i64,
) -> Result<bool, Error> {
    let params = [V::from(project.0), V::from(title), V::from(color), V::from(now)];
    Ok(tx.run(&ENSURE, &params).await? > 0)
}

/// Returns the label of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: LabelId) -> Result<Option<Label>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the label of a project with this title.
///
/// # Errors
/// The database's.
pub async fn find_by_title(tx: &mut Tx, project: ProjectId, title: &str) -> Result<Option<Label>, Error> {
    tx.one(&FIND_BY_TITLE, &[V::from(project.0), V::from(title)], read).await
}

/// Records what a label is now.
///
/// # Errors
/// [`Error::Unique`] when another one of the project has this title.
pub async fn update(tx: &mut Tx, label: &Label, now: i64) -> Result<(), Error> {
    let params = [
        V::from(label.project.0),
        V::from(label.id.0),
        V::from(&label.title),
        V::from(&label.color),
        V::from(&label.description),
        V::from(label.priority),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Deletes a label; issues lose it.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: LabelId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns how many a project has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(project.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns the labels of a project, by title.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    search: Option<&str>,
    window: Window,
) -> Result<Listing<Label>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("b.project_id = ?", [project.0.into()]);
    if let Some(search) = search {
        conditions.and_contains(&["b.title", "b.description"], search);
    }
    conditions.list(tx, columns!(), "labels b", "b.title, b.id", window, read).await
}

/// Returns how many issues have each of these labels, of those that somebody is shown. A label without any is not in it.
///
/// # Errors
/// The database's.
pub async fn counts(tx: &mut Tx, labels: &[i64], sight: Sight) -> Result<Vec<(i64, LabelCounts)>, Error> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = vec![V::from(sight.everything()), V::from(sight.user())];
    let marks: Vec<_> = (0..labels.len()).map(|index| format!("${}", index + 3)).collect();
    values.extend(labels.iter().map(|id| V::from(*id)));
    let query = Query::new(format!(
        "SELECT l.label_id, SUM(CASE WHEN i.closed_at IS NULL THEN 1 ELSE 0 END), \
         SUM(CASE WHEN i.closed_at IS NULL THEN 0 ELSE 1 END) \
         FROM issue_labels l JOIN issues i ON i.id = l.issue_id \
         WHERE ($1 = 1 OR i.confidential_at IS NULL OR i.author_id = $2 \
         OR (SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id AND a.user_id = $2) > 0) \
         AND l.label_id IN ({}) GROUP BY l.label_id",
        marks.join(", ")
    ));
    let map = |row: &Row<'_>| {
        let counts = LabelCounts { open: row.get(1)?, closed: row.get(2)?, ..LabelCounts::default() };
        Ok((row.get(0)?, counts))
    };
    tx.all(&query, &values, map).await
}

/// Returns how many open merge requests have each of these labels. A label without any is not in it.
///
/// # Errors
/// The database's.
pub async fn merge_request_counts(tx: &mut Tx, labels: &[i64]) -> Result<Vec<(i64, i64)>, Error> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<_> = labels.iter().map(|id| V::from(*id)).collect();
    let marks: Vec<_> = (1..=labels.len()).map(|index| format!("${index}")).collect();
    let query = Query::new(format!(
        "SELECT l.label_id, COUNT(*) FROM merge_request_labels l JOIN merge_requests r ON r.id = l.merge_request_id \
         WHERE r.closed_at IS NULL AND r.merged_at IS NULL AND l.label_id IN ({}) GROUP BY l.label_id",
        marks.join(", ")
    ));
    tx.all(&query, &values, |row| Ok((row.get(0)?, row.get(1)?))).await
}
