//! Pushes that were accepted and whose effects are not recorded yet.

use portcullis_rules::id::{ProjectId, TokenId, UserId};

use crate::db::{Error, Row, Tx, V, statements};

/// An accepted push.
#[derive(Clone, Debug)]
pub struct Push {
    /// The id.
    pub id: i64,
    /// The project.
    pub project: ProjectId,
    /// Who pushed.
    pub user: UserId,
    /// With which credential.
    pub token: Option<TokenId>,
    /// From where.
    pub address: Option<String>,
    /// JSON: the proposed updates.
    pub updates: String,
    /// When it was accepted.
    pub created_at: i64,
}

statements! {
    INSERT = "INSERT INTO pushes (project_id, user_id, token_id, address, updates, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    TAKE = "DELETE FROM pushes WHERE id = $1 RETURNING id, project_id, user_id, token_id, address, updates, created_at";
    AFTER = "SELECT id, project_id, user_id, token_id, address, updates, created_at FROM pushes WHERE id > $1 ORDER BY id LIMIT 100";
    OF_PROJECT = "SELECT id, project_id, user_id, token_id, address, updates, created_at FROM pushes WHERE project_id = $1 ORDER BY id";
}

fn read(row: &Row<'_>) -> Result<Push, Error> {
    Ok(Push {
        id: row.get(0)?,
        project: ProjectId(row.get(1)?),
        user: UserId(row.get(2)?),
        token: row.get::<Option<i64>>(3)?.map(TokenId),
        address: row.get(4)?,
        updates: row.get(5)?,
        created_at: row.get(6)?,
    })
}

/// Records that a push was accepted, before Git changes a ref.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    user: UserId,
    token: Option<TokenId>,
    address: Option<&str>,
    updates: &str,
    now: i64,
) -> Result<i64, Error> {
    let params = [
        V::from(project.0),
        V::from(user.0),
        V::from(token.map(|token| token.0)),
        V::from(address),
        V::from(updates),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Takes a push away to record its effects in the same transaction. `None` when somebody else did.
///
/// # Errors
/// The database's.
pub async fn take(tx: &mut Tx, id: i64) -> Result<Option<Push>, Error> {
    tx.one(&TAKE, &[V::from(id)], read).await
}

/// Returns up to 100 pushes that are not recorded yet and come after `id`, in the order in which they were accepted.
///
/// # Errors
/// The database's.
pub async fn unsettled_after(tx: &mut Tx, id: i64) -> Result<Vec<Push>, Error> {
    tx.all(&AFTER, &[V::from(id)], read).await
}

/// Returns the pushes to a project that are not recorded yet, in the order in which they were accepted.
///
/// # Errors
/// The database's.
pub async fn unsettled_of(tx: &mut Tx, project: ProjectId) -> Result<Vec<Push>, Error> {
    tx.all(&OF_PROJECT, &[V::from(project.0)], read).await
}
