//! Locks of files: who has a path of a project for themselves, as Git LFS asks for it.
//!
//! A lock is only ever found inside its project.

use portcullis_rules::id::{LfsLockId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};

/// A lock as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LfsLock {
    /// The id.
    pub id: LfsLockId,
    /// The path inside the repository.
    pub path: String,
    /// Who has it, or the Ghost User.
    pub owner: UserId,
    /// What the owner is called.
    pub owner_name: String,
    /// When it was locked, in Unix microseconds.
    pub created_at: i64,
}

fn read(row: &Row<'_>) -> Result<LfsLock, Error> {
    Ok(LfsLock {
        id: LfsLockId(row.get(0)?),
        path: row.get(1)?,
        owner: UserId(row.get(2)?),
        owner_name: row.get(3)?,
        created_at: row.get(4)?,
    })
}

statements! {
    INSERT = "INSERT INTO lfs_locks (project_id, path, owner_id, created_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (project_id, path) DO NOTHING RETURNING id";
    FIND = "SELECT l.id, l.path, l.owner_id, u.name, l.created_at FROM lfs_locks l JOIN users u ON u.id = l.owner_id \
        WHERE l.project_id = $1 AND l.id = $2";
    FIND_BY_PATH = "SELECT l.id, l.path, l.owner_id, u.name, l.created_at FROM lfs_locks l \
        JOIN users u ON u.id = l.owner_id WHERE l.project_id = $1 AND l.path = $2";
    LIST = "SELECT l.id, l.path, l.owner_id, u.name, l.created_at FROM lfs_locks l JOIN users u ON u.id = l.owner_id \
        WHERE l.project_id = $1 AND l.id > $2 ORDER BY l.id LIMIT $3";
    COUNT = "SELECT COUNT(*) FROM lfs_locks WHERE project_id = $1";
    DELETE = "DELETE FROM lfs_locks WHERE project_id = $1 AND id = $2";
}

/// Locks a path of a project. Returns `None` when it is locked already.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    path: &str,
    owner: UserId,
    now: i64,
) -> Result<Option<LfsLockId>, Error> {
    let params = [V::from(project.0), V::from(path), V::from(owner.0), V::from(now)];
    Ok(tx.one(&INSERT, &params, |row| row.get(0)).await?.map(LfsLockId))
}

/// Returns the lock of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: LfsLockId) -> Result<Option<LfsLock>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the lock of a path of a project.
///
/// # Errors
/// The database's.
pub async fn find_by_path(tx: &mut Tx, project: ProjectId, path: &str) -> Result<Option<LfsLock>, Error> {
    tx.one(&FIND_BY_PATH, &[V::from(project.0), V::from(path)], read).await
}

/// Returns up to `limit` locks of a project behind `after`, by their ids.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    after: LfsLockId,
    limit: i64,
) -> Result<Vec<LfsLock>, Error> {
    tx.all(&LIST, &[V::from(project.0), V::from(after.0), V::from(limit)], read).await
}

/// Returns how many locks a project has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(project.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Unlocks. Returns whether there was such a lock.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: LfsLockId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await? > 0)
}
