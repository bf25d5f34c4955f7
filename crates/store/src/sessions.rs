//! Sessions of people who signed in with a browser, and the forms they sent. Only a digest of each secret is kept.

use portcullis_rules::id::{SessionId, UserId};
use portcullis_rules::secret::TokenDigest;

use crate::db::{Error, Row, Tx, V, statements};
use crate::users::UserKind;

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// From where it began.
    pub address: Option<String>,
    /// What the browser called itself.
    pub user_agent: String,
    /// When it was last used, within some minutes, in Unix microseconds.
    pub last_used_at: i64,
    /// When it began.
    pub created_at: i64,
}

/// Whoever holds a session: what authentication needs to know, in one question.
#[derive(Clone, Debug)]
pub struct SessionHolder {
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: UserId,
    /// When it was last used, within some minutes.
    pub last_used_at: i64,
    /// When it began.
    pub created_at: i64,
    /// The user's name in addresses.
    pub username: String,
    /// The user's name for people.
    pub name: String,
    /// What kind of user it is.
    pub kind: UserKind,
    /// Whether the user administers the instance.
    pub administrator: bool,
    /// Whether the user is external.
    pub external: bool,
    /// Whether the user is blocked.
    pub blocked: bool,
    /// Whether the user has a second factor.
    pub second_factor: bool,
}

statements! {
    INSERT = "INSERT INTO sessions (user_id, digest, address, user_agent, last_used_at, created_at) \
        VALUES ($1, $2, $3, $4, $5, $5) RETURNING id";
    HOLDER = "SELECT s.id, s.user_id, s.last_used_at, s.created_at, u.username, u.name, u.kind, u.administrator_since, \
        u.external_since, u.blocked_at, f.created_at FROM sessions s JOIN users u ON u.id = s.user_id \
        LEFT JOIN second_factors f ON f.user_id = s.user_id WHERE s.digest = $1";
    HOLDER_BY_ID = "SELECT s.id, s.user_id, s.last_used_at, s.created_at, u.username, u.name, u.kind, u.administrator_since, \
        u.external_since, u.blocked_at, f.created_at FROM sessions s JOIN users u ON u.id = s.user_id \
        LEFT JOIN second_factors f ON f.user_id = s.user_id WHERE s.id = $1";
    OF_USER = "SELECT id, address, user_agent, last_used_at, created_at FROM sessions \
        WHERE user_id = $1 AND last_used_at > $2 AND created_at > $3 ORDER BY last_used_at DESC, id DESC LIMIT $4";
    TOUCH = "UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2";
    DELETE = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
    DELETE_OTHERS = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
    DELETE_OLDEST = "DELETE FROM sessions WHERE user_id = $1 AND NOT id IN (SELECT id FROM sessions WHERE user_id = $1 \
        ORDER BY last_used_at DESC, id DESC LIMIT $2)";
    DELETE_EXPIRED = "DELETE FROM sessions WHERE last_used_at <= $1 OR created_at <= $2";
    NOTICE = "SELECT notice FROM sessions WHERE id = $1";
    SET_NOTICE = "UPDATE sessions SET notice = $2 WHERE id = $1";
    INSERT_FORM = "INSERT INTO submitted_forms (session_id, number, created_at) VALUES ($1, $2, $3)";
    DELETE_OLD_FORMS = "DELETE FROM submitted_forms WHERE created_at < $1";
}

/// Records a session and returns its id.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    user: UserId,
    digest: &TokenDigest,
    address: Option<&str>,
    user_agent: &str,
    now: i64,
) -> Result<SessionId, Error> {
    let params = [V::from(user.0), V::from(&digest.0), V::from(address), V::from(user_agent), V::from(now)];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(SessionId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

fn read_holder(row: &Row<'_>) -> Result<SessionHolder, Error> {
    Ok(SessionHolder {
        session: SessionId(row.get(0)?),
        user: UserId(row.get(1)?),
        last_used_at: row.get(2)?,
        created_at: row.get(3)?,
        username: row.get(4)?,
        name: row.get(5)?,
        kind: UserKind::from_stored(row.text(6)?)?,
        administrator: row.get::<Option<i64>>(7)?.is_some(),
        external: row.get::<Option<i64>>(8)?.is_some(),
        blocked: row.get::<Option<i64>>(9)?.is_some(),
        second_factor: row.get::<Option<i64>>(10)?.is_some(),
    })
}

/// Returns who holds the secret with this digest, whether the session is still good or not.
///
/// # Errors
/// The database's.
pub async fn find_holder(tx: &mut Tx, digest: &TokenDigest) -> Result<Option<SessionHolder>, Error> {
    tx.one(&HOLDER, &[V::from(&digest.0)], read_holder).await
}

/// Returns who holds this session: the question asked again before an act takes effect.
///
/// # Errors
/// The database's.
pub async fn find_holder_by_id(tx: &mut Tx, id: SessionId) -> Result<Option<SessionHolder>, Error> {
    tx.one(&HOLDER_BY_ID, &[V::from(id.0)], read_holder).await
}

/// Returns the sessions of a user that were used and began after these times, the last used one first.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    user: UserId,
    used_after: i64,
    begun_after: i64,
    limit: i64,
) -> Result<Vec<Session>, Error> {
    let params = [V::from(user.0), V::from(used_after), V::from(begun_after), V::from(limit)];
    tx.all(&OF_USER, &params, |row| {
        Ok(Session {
            id: SessionId(row.get(0)?),
            address: row.get(1)?,
            user_agent: row.get(2)?,
            last_used_at: row.get(3)?,
            created_at: row.get(4)?,
        })
    })
    .await
}

/// Records a use at `now`.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, id: SessionId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH, &[V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Ends a session of a user; one of somebody else's is not found. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, user: UserId, id: SessionId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(user.0), V::from(id.0)]).await? > 0)
}

/// Ends every session of a user but this one; without one, every session.
///
/// # Errors
/// The database's.
pub async fn delete_others(tx: &mut Tx, user: UserId, kept: Option<SessionId>) -> Result<u64, Error> {
    tx.run(&DELETE_OTHERS, &[V::from(user.0), V::from(kept.map_or(0, |id| id.0))]).await
}

/// Ends all but the `kept` sessions of a user that were last used.
///
/// # Errors
/// The database's.
pub async fn delete_oldest(tx: &mut Tx, user: UserId, kept: i64) -> Result<(), Error> {
    tx.run(&DELETE_OLDEST, &[V::from(user.0), V::from(kept)]).await?;
    Ok(())
}

/// Removes sessions that were not used since one time, or began before another.
///
/// # Errors
/// The database's.
pub async fn delete_expired(tx: &mut Tx, used_until: i64, begun_until: i64) -> Result<(), Error> {
    tx.run(&DELETE_EXPIRED, &[V::from(used_until), V::from(begun_until)]).await?;
    Ok(())
}

/// Returns what the next page of a session is to say.
///
/// # Errors
/// The database's.
pub async fn find_notice(tx: &mut Tx, id: SessionId) -> Result<Option<String>, Error> {
    Ok(tx.one(&NOTICE, &[V::from(id.0)], |row| row.get(0)).await?.flatten())
}

/// Records what the next page of a session is to say, or that there is nothing.
///
/// # Errors
/// The database's.
pub async fn set_notice(tx: &mut Tx, id: SessionId, notice: Option<&str>) -> Result<(), Error> {
    tx.run(&SET_NOTICE, &[V::from(id.0), V::from(notice)]).await?;
    Ok(())
}

/// Records that a form was sent.
///
/// # Errors
/// [`Error::Unique`] when it was sent before.
pub async fn insert_form(tx: &mut Tx, id: SessionId, number: &str, now: i64) -> Result<(), Error> {
    tx.run(&INSERT_FORM, &[V::from(id.0), V::from(number), V::from(now)]).await?;
    Ok(())
}

/// Forgets forms that were sent before this time.
///
/// # Errors
/// The database's.
pub async fn delete_old_forms(tx: &mut Tx, before: i64) -> Result<(), Error> {
    tx.run(&DELETE_OLD_FORMS, &[V::from(before)]).await?;
    Ok(())
}
