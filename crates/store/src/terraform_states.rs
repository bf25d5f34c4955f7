//! The states of infrastructure that Terraform keeps in projects, and their versions.

use portcullis_rules::id::{ProjectId, TerraformStateId, UserId};

use crate::db::{Error, Row, Tx, V, statements};

/// A state as recorded, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerraformState {
    /// The id.
    pub id: TerraformStateId,
    /// What it is called; different from all others of the project.
    pub name: String,
    /// Who has it for themselves.
    pub lock: Option<Lock>,
}

/// That somebody has a state for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The id that they gave it.
    pub id: String,
    /// What they said about it, as JSON.
    pub info: String,
}

fn read(row: &Row<'_>) -> Result<TerraformState, Error> {
    let lock = row.get::<Option<String>>(2)?;
    Ok(TerraformState {
        id: TerraformStateId(row.get(0)?),
        name: row.get(1)?,
        lock: match lock {
            Some(id) => Some(Lock { id, info: row.get(3)? }),
            None => None,
        },
    })
}

statements! {
    ENSURE = "INSERT INTO terraform_states (project_id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (project_id, name) DO UPDATE SET updated_at = excluded.updated_at \
        RETURNING id, name, lock_id, lock_info";
    LOCK_ROW = "UPDATE terraform_states SET updated_at = updated_at WHERE project_id = $1 AND name = $2 \
        RETURNING id, name, lock_id, lock_info";
    SET_LOCK = "UPDATE terraform_states SET locked_by = $2, lock_id = $3, lock_info = $4, locked_at = $5 WHERE id = $1";
    INSERT_VERSION = "INSERT INTO terraform_state_versions (state_id, author_id, serial, sealed, created_at) \
        VALUES ($1, $2, $3, $4, $5)";
    CONTENT = "SELECT v.sealed FROM terraform_states s JOIN terraform_state_versions v ON v.state_id = s.id \
        WHERE s.project_id = $1 AND s.name = $2 ORDER BY v.id DESC LIMIT 1";
    DELETE_OLD = "DELETE FROM terraform_state_versions WHERE state_id = $1 AND id <= (SELECT v.id FROM \
        terraform_state_versions v WHERE v.state_id = $1 ORDER BY v.id DESC LIMIT 1 OFFSET $2)";
    COUNT = "SELECT COUNT(*) FROM terraform_states WHERE project_id = $1";
    DELETE = "DELETE FROM terraform_states WHERE id = $1";
}

/// Returns the state with this name, made if it is not there, and locks its row until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn ensure(tx: &mut Tx, project: ProjectId, name: &str, now: i64) -> Result<TerraformState, Error> {
    let params = [V::from(project.0), V::from(name), V::from(now)];
    let state = tx.one(&ENSURE, &params, read).await?;
    state.ok_or_else(|| Error::Corrupt("an insert returned no row".to_owned()))
}

/// Returns the state with this name, and locks its row until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn find_locked(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
) -> Result<Option<TerraformState>, Error> {
    tx.one(&LOCK_ROW, &[V::from(project.0), V::from(name)], read).await
}

/// Records who has a state for themselves, or that nobody has.
///
/// # Errors
/// The database's.
pub async fn set_lock(
    tx: &mut Tx,
    id: TerraformStateId,
    lock: Option<(UserId, &Lock)>,
    now: i64,
) -> Result<(), Error> {
    let params = [
        V::from(id.0),
        V::from(lock.map(|(user, _)| user.0)),
        V::from(lock.map(|(_, lock)| lock.id.as_str())),
        V::from(lock.map(|(_, lock)| lock.info.as_str())),
        V::from(lock.map(|_| now)),
    ];
    tx.run(&SET_LOCK, &params).await?;
    Ok(())
}

/// Records a version, and forgets all but the newest `kept`.
///
/// # Errors
/// The database's.
pub async fn add_version(
    tx: &mut Tx,
    id: TerraformStateId,
    author: UserId,
    serial: Option<i64>,
    sealed: &[u8],
    kept: i64,
    now: i64,
) -> Result<(), Error> {
    let params = [V::from(id.0), V::from(author.0), V::from(serial), V::from(sealed), V::from(now)];
    tx.run(&INSERT_VERSION, &params).await?;
    tx.run(&DELETE_OLD, &[V::from(id.0), V::from(kept)]).await?;
    Ok(())
}

/// Returns the encrypted content of a state's newest version.
///
/// # Errors
/// The database's.
pub async fn content(tx: &mut Tx, project: ProjectId, name: &str) -> Result<Option<Vec<u8>>, Error> {
    tx.one(&CONTENT, &[V::from(project.0), V::from(name)], |row| row.get(0)).await
}

/// Returns how many states a project has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(project.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Deletes a state with all its versions.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: TerraformStateId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(id.0)]).await?;
    Ok(())
}
