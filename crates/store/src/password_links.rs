//! Links with which somebody chooses a password, each once. Only a digest of each secret is kept.

use portcullis_rules::id::UserId;
use portcullis_rules::secret::TokenDigest;

use crate::db::{Error, Tx, V, statements};

statements! {
    INSERT = "INSERT INTO password_links (user_id, digest, expires_at, created_at) VALUES ($1, $2, $3, $4)";
    FIND = "SELECT user_id FROM password_links WHERE digest = $1 AND expires_at > $2";
    DELETE_OF = "DELETE FROM password_links WHERE user_id = $1";
    DELETE_EXPIRED = "DELETE FROM password_links WHERE expires_at <= $1";
}

/// Records a link that is good until `expires_at`.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    user: UserId,
    digest: &TokenDigest,
    expires_at: i64,
    now: i64,
) -> Result<(), Error> {
    tx.run(&INSERT, &[V::from(user.0), V::from(&digest.0), V::from(expires_at), V::from(now)]).await?;
    Ok(())
}

/// Returns whose password a link is for, while it is good.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, digest: &TokenDigest, now: i64) -> Result<Option<UserId>, Error> {
    Ok(tx.one(&FIND, &[V::from(&digest.0), V::from(now)], |row| row.get(0)).await?.map(UserId))
}

/// Takes every link of a user away. Returns how many there were.
///
/// # Errors
/// The database's.
pub async fn delete_of(tx: &mut Tx, user: UserId) -> Result<u64, Error> {
    tx.run(&DELETE_OF, &[V::from(user.0)]).await
}

/// Removes links that are good no longer.
///
/// # Errors
/// The database's.
pub async fn delete_expired(tx: &mut Tx, now: i64) -> Result<(), Error> {
    tx.run(&DELETE_EXPIRED, &[V::from(now)]).await?;
    Ok(())
}
