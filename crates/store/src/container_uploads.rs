//! Upload sessions of the container registry.

use portcullis_rules::id::{ProjectId, TokenId, UserId};

use crate::db::{Error, Row, Tx, V, statements};

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The algorithm whose digest is expected.
    pub algorithm: String,
    /// How many bytes are acknowledged.
    pub size: i64,
    /// Their digest, if it is known.
    pub digest: Option<String>,
    /// How many pieces it came in.
    pub pieces: i64,
}

/// Whose session it is, and where: who names it and is not all of this finds nothing.
#[derive(Clone, Copy, Debug)]
pub struct UploadKey<'a> {
    /// The identifier.
    pub id: &'a str,
    /// The project.
    pub project: ProjectId,
    /// The image.
    pub image: &'a str,
    /// Who opened it.
    pub user: UserId,
}

impl<'a> UploadKey<'a> {
    fn params(&self) -> [V<'a>; 4] {
        [V::from(self.id), V::from(self.project.0), V::from(self.image), V::from(self.user.0)]
    }
}

fn read(row: &Row<'_>) -> Result<Upload, Error> {
    Ok(Upload { algorithm: row.get(0)?, size: row.get(1)?, digest: row.get(2)?, pieces: row.get(3)? })
}

statements! {
    INSERT = "INSERT INTO container_uploads (id, project_id, image, user_id, token_id, algorithm, size, digest, pieces, \
        claimed_until, updated_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, 0, NULL, 0, $7, $8, $8)";
    OPEN_OF_TOKEN = "SELECT COUNT(*) FROM container_uploads WHERE token_id = $1";
    FIND = "SELECT algorithm, size, digest, pieces FROM container_uploads \
        WHERE id = $1 AND project_id = $2 AND image = $3 AND user_id = $4";
    CLAIM = "UPDATE container_uploads SET claimed_until = $6 WHERE id = $1 AND project_id = $2 AND image = $3 AND user_id = $4 \
        AND (claimed_until IS NULL OR claimed_until < $5) RETURNING algorithm, size, digest, pieces";
    RENEW = "UPDATE container_uploads SET claimed_until = $2 WHERE id = $1";
    RELEASE = "UPDATE container_uploads SET size = $2, digest = $3, pieces = $4, claimed_until = NULL, updated_at = $5 \
        WHERE id = $1";
    RELEASE_ALL = "UPDATE container_uploads SET claimed_until = NULL WHERE claimed_until IS NOT NULL";
    DELETE = "DELETE FROM container_uploads WHERE id = $1";
    COUNT_IDLE = "SELECT COUNT(*) FROM container_uploads WHERE updated_at < $1 AND (claimed_until IS NULL OR claimed_until < $2)";
    DELETE_IDLE_OF_TOKEN = "DELETE FROM container_uploads WHERE token_id = $1 AND updated_at < $2 \
        AND (claimed_until IS NULL OR claimed_until < $3)";
    DELETE_IDLE = "DELETE FROM container_uploads WHERE updated_at < $1 AND (claimed_until IS NULL OR claimed_until < $2)";
}

/// Returns how many sessions a token has open.
///
/// # Errors
/// The database's.
pub async fn open_of_token(tx: &mut Tx, token: TokenId) -> Result<i64, Error> {
    Ok(tx.one(&OPEN_OF_TOKEN, &[V::from(token.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Records a session that has nothing yet, claimed until a time or by nobody.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    key: &UploadKey<'_>,
    token: TokenId,
    algorithm: &str,
    claimed_until: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let [id, project, image, user] = key.params();
    let params = [
        id,
        project,
        image,
        user,
        V::from(token.0),
        V::from(algorithm),
        V::from(claimed_until),
        V::from(now),
    ];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

/// Returns a session.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, key: &UploadKey<'_>) -> Result<Option<Upload>, Error> {
    tx.one(&FIND, &key.params(), read).await
}

/// Claims a session until a time, for one request. `None` when there is none, or another request has it.
///
/// # Errors
/// The database's.
pub async fn claim(tx: &mut Tx, key: &UploadKey<'_>, now: i64, until: i64) -> Result<Option<Upload>, Error> {
    let [id, project, image, user] = key.params();
    tx.one(&CLAIM, &[id, project, image, user, V::from(now), V::from(until)], read).await
}

/// Prolongs a claim.
///
/// # Errors
/// The database's.
pub async fn renew(tx: &mut Tx, id: &str, until: i64) -> Result<(), Error> {
    tx.run(&RENEW, &[V::from(id), V::from(until)]).await?;
    Ok(())
}

/// Records what a session has, and ends the claim.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, id: &str, upload: &Upload, now: i64) -> Result<(), Error> {
    let params =
        [V::from(id), V::from(upload.size), V::from(&upload.digest), V::from(upload.pieces), V::from(now)];
    tx.run(&RELEASE, &params).await?;
    Ok(())
}

/// Ends every claim: nobody else serves this database.
///
/// # Errors
/// The database's.
pub async fn release_all(tx: &mut Tx) -> Result<(), Error> {
    tx.run(&RELEASE_ALL, &[]).await?;
    Ok(())
}

/// Removes a session.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: &str) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(id)]).await?;
    Ok(())
}

/// Returns how many sessions have not changed since `before`.
///
/// # Errors
/// The database's.
pub async fn count_idle(tx: &mut Tx, before: i64, now: i64) -> Result<i64, Error> {
    Ok(tx.one(&COUNT_IDLE, &[V::from(before), V::from(now)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Removes the sessions of a token that have not changed since `before`.
///
/// # Errors
/// The database's.
pub async fn delete_idle_of_token(tx: &mut Tx, token: TokenId, before: i64, now: i64) -> Result<u64, Error> {
    tx.run(&DELETE_IDLE_OF_TOKEN, &[V::from(token.0), V::from(before), V::from(now)]).await
}

/// Removes the sessions that have not changed since `before`, and returns how many there were.
///
/// # Errors
/// The database's.
pub async fn delete_idle(tx: &mut Tx, before: i64, now: i64) -> Result<u64, Error> {
    tx.run(&DELETE_IDLE, &[V::from(before), V::from(now)]).await
}
