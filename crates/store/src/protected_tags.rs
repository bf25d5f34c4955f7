//! Tag protections.

use portcullis_rules::access::Role;
use portcullis_rules::id::{ProjectId, ProtectedTagId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A tag protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedTag {
    /// The id.
    pub id: ProtectedTagId,
    /// A tag name, or a pattern in which `*` stands for any characters.
    pub name: String,
    /// The lowest role that may make such a tag; `None` means nobody.
    pub create: Option<Role>,
}

fn read(row: &Row<'_>) -> Result<ProtectedTag, Error> {
    Ok(ProtectedTag {
        id: ProtectedTagId(row.get(0)?),
        name: row.get(1)?,
        create: Role::from_level(row.get(2)?),
    })
}

statements! {
    INSERT = "INSERT INTO protected_tags (project_id, name, create_access_level, created_at) VALUES ($1, $2, $3, $4) \
        RETURNING id";
    OF_PROJECT = "SELECT id, name, create_access_level FROM protected_tags WHERE project_id = $1 ORDER BY id";
    FIND = "SELECT id, name, create_access_level FROM protected_tags WHERE project_id = $1 AND name = $2";
    DELETE = "DELETE FROM protected_tags WHERE project_id = $1 AND name = $2";
}

/// Records a protection.
///
/// # Errors
/// [`Error::Unique`] when that name is protected already.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
    create: Option<Role>,
    now: i64,
) -> Result<ProtectedTagId, Error> {
    let params = [V::from(project.0), V::from(name), V::from(create.map_or(0, Role::level)), V::from(now)];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ProtectedTagId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns every protection of a project.
///
/// # Errors
/// The database's.
pub async fn of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<ProtectedTag>, Error> {
    tx.all(&OF_PROJECT, &[V::from(project.0)], read).await
}

/// Returns the protection with exactly this name.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, name: &str) -> Result<Option<ProtectedTag>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(name)], read).await
}

/// Removes a protection. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, name: &str) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(name)]).await? > 0)
}

/// Returns protections, by id.
///
/// # Errors
/// The database's.
pub async fn list(tx: &mut Tx, project: ProjectId, window: Window) -> Result<Listing<ProtectedTag>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("project_id = ?", [project.0.into()]);
    conditions.list(tx, "id, name, create_access_level", "protected_tags", "id", window, read).await
}
