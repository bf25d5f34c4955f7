//! What people show beside their password when they sign in with a browser, and whoever has yet to show it.

use portcullis_rules::id::UserId;
use portcullis_rules::secret::TokenDigest;

use crate::db::{Error, Tx, V, statements};
use crate::select::{Conditions, Window};

/// Somebody's second factor.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// The secret that their authenticator has too, encrypted.
    pub sealed_secret: Vec<u8>,
    /// The last step whose code was taken.
    pub last_step: i64,
    /// Since when they have it, in Unix microseconds.
    pub created_at: i64,
}

/// Somebody who gave the right password, and has yet to give a code.
#[derive(Clone, Copy, Debug)]
pub struct PendingSignIn {
    /// Who.
    pub user: UserId,
    /// How many codes they tried.
    pub attempts: i64,
}

statements! {
    FIND = "SELECT sealed_secret, last_step, created_at FROM second_factors WHERE user_id = $1";
    INSERT = "INSERT INTO second_factors (user_id, sealed_secret, last_step, created_at) VALUES ($1, $2, $3, $4)";
    TAKE_STEP = "UPDATE second_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2";
    DELETE = "DELETE FROM second_factors WHERE user_id = $1";
    INSERT_CODE = "INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)";
    TAKE_CODE = "DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2";
    DELETE_CODES = "DELETE FROM recovery_codes WHERE user_id = $1";
    COUNT_CODES = "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1";
    INSERT_PENDING = "INSERT INTO pending_sign_ins (digest, user_id, attempts, created_at) VALUES ($1, $2, 0, $3)";
    FIND_PENDING = "SELECT user_id, attempts FROM pending_sign_ins WHERE digest = $1 AND created_at > $2";
    COUNT_ATTEMPT = "UPDATE pending_sign_ins SET attempts = attempts + 1 WHERE digest = $1";
    DELETE_PENDING = "DELETE FROM pending_sign_ins WHERE user_id = $1";
    DELETE_OLD_PENDING = "DELETE FROM pending_sign_ins WHERE created_at <= $1";
    // A membership anywhere above or below a group that requires it, or in a project below it.
    REQUIRED_BY = "SELECT n.full_path FROM namespaces n WHERE n.second_factor_required_since IS NOT NULL \
        AND n.deletion_requested_at IS NULL AND n.id IN ( \
        SELECT a.ancestor_id FROM members m JOIN namespace_ancestors a ON a.descendant_id = m.namespace_id \
        WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2) \
        UNION SELECT d.descendant_id FROM members m JOIN namespace_ancestors d ON d.ancestor_id = m.namespace_id \
        WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2) \
        UNION SELECT a.ancestor_id FROM members m JOIN projects p ON p.id = m.project_id \
        JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id \
        WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2)) \
        ORDER BY n.full_path LIMIT 1";
    ANY_REQUIRES = "SELECT id FROM namespaces WHERE second_factor_required_since IS NOT NULL LIMIT 1";
}

/// Returns a user's second factor.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, user: UserId) -> Result<Option<SecondFactor>, Error> {
    tx.one(&FIND, &[V::from(user.0)], |row| {
        Ok(SecondFactor { sealed_secret: row.get(0)?, last_step: row.get(1)?, created_at: row.get(2)? })
    })
    .await
}

/// Returns which of some users have a second factor, in one question.
///
/// # Errors
/// The database's.
pub async fn holders_among(tx: &mut Tx, users: &[i64]) -> Result<Vec<i64>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("f.user_id", users);
    let window = Window { limit: i64::try_from(users.len()).unwrap_or(i64::MAX), offset: 0 };
    Ok(conditions
        .list(tx, "f.user_id", "second_factors f", "f.user_id", window, |row| row.get(0))
        .await?
        .items)
}

/// Records a user's second factor, whose code of `step` was shown.
///
/// # Errors
/// [`Error::Unique`] when they have one.
pub async fn insert(
    tx: &mut Tx,
    user: UserId,
    sealed_secret: &[u8],
    step: i64,
    now: i64,
) -> Result<(), Error> {
    tx.run(&INSERT, &[V::from(user.0), V::from(sealed_secret), V::from(step), V::from(now)]).await?;
    Ok(())
}

/// Records that the code of a step was taken. Returns whether none as late had been.
///
/// # Errors
/// The database's.
pub async fn take_step(tx: &mut Tx, user: UserId, step: i64) -> Result<bool, Error> {
    Ok(tx.run(&TAKE_STEP, &[V::from(user.0), V::from(step)]).await? > 0)
}

/// Removes a user's second factor and recovery codes. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, user: UserId) -> Result<bool, Error> {
    tx.run(&DELETE_CODES, &[V::from(user.0)]).await?;
    Ok(tx.run(&DELETE, &[V::from(user.0)]).await? > 0)
}

/// Replaces a user's recovery codes.
///
/// # Errors
/// The database's.
pub async fn replace_recovery_codes(tx: &mut Tx, user: UserId, digests: &[TokenDigest]) -> Result<(), Error> {
    tx.run(&DELETE_CODES, &[V::from(user.0)]).await?;
    for digest in digests {
        tx.run(&INSERT_CODE, &[V::from(user.0), V::from(&digest.0)]).await?;
    }
    Ok(())
}

/// Takes a recovery code away. Returns whether there was such a code.
///
/// # Errors
/// The database's.
pub async fn take_recovery_code(tx: &mut Tx, user: UserId, digest: &TokenDigest) -> Result<bool, Error> {
    Ok(tx.run(&TAKE_CODE, &[V::from(user.0), V::from(&digest.0)]).await? > 0)
}

/// Returns how many recovery codes a user has left.
///
/// # Errors
/// The database's.
pub async fn count_recovery_codes(tx: &mut Tx, user: UserId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT_CODES, &[V::from(user.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Records that somebody gave the right password.
///
/// # Errors
/// The database's.
pub async fn insert_pending(tx: &mut Tx, user: UserId, digest: &TokenDigest, now: i64) -> Result<(), Error> {
    tx.run(&INSERT_PENDING, &[V::from(&digest.0), V::from(user.0), V::from(now)]).await?;
    Ok(())
}

/// Returns who is about to sign in, if the password was given after `since`.
///
/// # Errors
/// The database's.
pub async fn find_pending(
    tx: &mut Tx,
    digest: &TokenDigest,
    since: i64,
) -> Result<Option<PendingSignIn>, Error> {
    tx.one(&FIND_PENDING, &[V::from(&digest.0), V::from(since)], |row| {
        Ok(PendingSignIn { user: UserId(row.get(0)?), attempts: row.get(1)? })
    })
    .await
}

/// Counts a code that was tried.
///
/// # Errors
/// The database's.
pub async fn count_attempt(tx: &mut Tx, digest: &TokenDigest) -> Result<(), Error> {
    tx.run(&COUNT_ATTEMPT, &[V::from(&digest.0)]).await?;
    Ok(())
}

/// Forgets every password that a user gave without a code.
///
/// # Errors
/// The database's.
pub async fn delete_pending(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    tx.run(&DELETE_PENDING, &[V::from(user.0)]).await?;
    Ok(())
}

/// Forgets passwords that were given until `until`.
///
/// # Errors
/// The database's.
pub async fn delete_old_pending(tx: &mut Tx, until: i64) -> Result<(), Error> {
    tx.run(&DELETE_OLD_PENDING, &[V::from(until)]).await?;
    Ok(())
}

/// Returns the path of a group for whose sake a user needs a second factor: one that requires it and that they belong to,
/// or to anything above or below it.
///
/// # Errors
/// The database's.
pub async fn required_by(tx: &mut Tx, user: UserId, now: i64) -> Result<Option<String>, Error> {
    // Most forges have no such group, and then nobody's memberships are gone through.
    if tx.one(&ANY_REQUIRES, &[], |row| row.get::<i64>(0)).await?.is_none() {
        return Ok(None);
    }
    tx.one(&REQUIRED_BY, &[V::from(user.0), V::from(now)], |row| row.get(0)).await
}
