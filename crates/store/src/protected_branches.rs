//! Branch protections.

use portcullis_rules::access::Role;
use portcullis_rules::id::{ProjectId, ProtectedBranchId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A branch protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedBranch {
    /// The id.
    pub id: ProtectedBranchId,
    /// A branch name, or a pattern in which `*` stands for any characters.
    pub name: String,
    /// The lowest role that may push; `None` means nobody.
    pub push: Option<Role>,
    /// The lowest role that may merge; `None` means nobody.
    pub merge: Option<Role>,
    /// Whether those who may push may also force.
    pub allow_force_push: bool,
}

fn read(row: &Row<'_>) -> Result<ProtectedBranch, Error> {
    Ok(ProtectedBranch {
        id: ProtectedBranchId(row.get(0)?),
        name: row.get(1)?,
        push: Role::from_level(row.get(2)?),
        merge: Role::from_level(row.get(3)?),
        allow_force_push: row.get::<Option<i64>>(4)?.is_some(),
    })
}

statements! {
    INSERT = "INSERT INTO protected_branches (project_id, name, push_access_level, merge_access_level, \
        force_push_allowed_at, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    OF_PROJECT = "SELECT id, name, push_access_level, merge_access_level, force_push_allowed_at FROM protected_branches \
        WHERE project_id = $1 ORDER BY id";
    FIND = "SELECT id, name, push_access_level, merge_access_level, force_push_allowed_at FROM protected_branches \
        WHERE project_id = $1 AND name = $2";
    UPDATE = "UPDATE protected_branches SET push_access_level = $3, merge_access_level = $4, force_push_allowed_at = $5 \
        WHERE project_id = $1 AND id = $2";
    DELETE = "DELETE FROM protected_branches WHERE project_id = $1 AND name = $2";
}

fn level(role: Option<Role>) -> i64 {
    role.map_or(0, Role::level)
}

/// Records a protection.
///
/// # Errors
/// [`Error::Unique`] when that name is protected already.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
    push: Option<Role>,
    merge: Option<Role>,
    allow_force_push: bool,
    now: i64,
) -> Result<ProtectedBranchId, Error> {
    let params = [
        V::from(project.0),
        V::from(name),
        V::from(level(push)),
        V::from(level(merge)),
        V::from(allow_force_push.then_some(now)),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ProtectedBranchId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns every protection of a project.
///
/// # Errors
/// The database's.
pub async fn of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<ProtectedBranch>, Error> {
    tx.all(&OF_PROJECT, &[V::from(project.0)], read).await
}

/// Returns the protection with exactly this name.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, name: &str) -> Result<Option<ProtectedBranch>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(name)], read).await
}

/// Changes a protection.
///
/// # Errors
/// The database's.
pub async fn update(
    tx: &mut Tx,
    project: ProjectId,
    branch: &ProtectedBranch,
    now: i64,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(branch.id.0),
        V::from(level(branch.push)),
        V::from(level(branch.merge)),
        V::from(branch.allow_force_push.then_some(now)),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
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
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    search: Option<&str>,
    window: Window,
) -> Result<Listing<ProtectedBranch>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("project_id = ?", [project.0.into()]);
    if let Some(search) = search {
        conditions.and_contains(&["name"], search);
    }
    let columns = "id, name, push_access_level, merge_access_level, force_push_allowed_at";
    conditions.list(tx, columns, "protected_branches", "id", window, read).await
}
