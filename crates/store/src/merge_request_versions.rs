//! What merge requests held after each push to their source branches.

use portcullis_rules::id::MergeRequestId;

use crate::db::{Error, Row, Tx, V, statements};
use crate::merge_requests::Heads;
use crate::select::{Conditions, Listing, Window};

/// A version as recorded.
#[derive(Clone, Debug)]
pub struct Version {
    /// The id.
    pub id: i64,
    /// The merge request.
    pub merge_request: MergeRequestId,
    /// What its branches held.
    pub heads: Heads,
    /// When that was seen, in Unix microseconds.
    pub created_at: i64,
}

const COLUMNS: &str = "v.id, v.merge_request_id, v.head_sha, v.start_sha, v.base_sha, v.created_at";

fn read(row: &Row<'_>) -> Result<Version, Error> {
    Ok(Version {
        id: row.get(0)?,
        merge_request: MergeRequestId(row.get(1)?),
        heads: Heads { head: row.get(2)?, start: row.get(3)?, base: row.get(4)? },
        created_at: row.get(5)?,
    })
}

statements! {
    INSERT = "INSERT INTO merge_request_versions (merge_request_id, head_sha, start_sha, base_sha, created_at) \
        VALUES ($1, $2, $3, $4, $5)";
    LAST_HEAD = "SELECT head_sha FROM merge_request_versions WHERE merge_request_id = $1 ORDER BY id DESC LIMIT 1";
    FIND = "SELECT v.id, v.merge_request_id, v.head_sha, v.start_sha, v.base_sha, v.created_at \
        FROM merge_request_versions v WHERE v.merge_request_id = $1 AND v.id = $2";
}

/// Records what the branches of a merge request hold, unless that is already its last version. The merge request must be
/// locked.
///
/// # Errors
/// The database's.
pub async fn record(tx: &mut Tx, id: MergeRequestId, heads: &Heads, now: i64) -> Result<(), Error> {
    let last = tx.one(&LAST_HEAD, &[V::from(id.0)], |row| row.get::<String>(0)).await?;
    if last.is_some_and(|last| last == heads.head) {
        return Ok(());
    }
    let params =
        [V::from(id.0), V::from(&heads.head), V::from(&heads.start), V::from(&heads.base), V::from(now)];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

/// Returns the versions of a merge request, newest first.
///
/// # Errors
/// The database's.
pub async fn list(tx: &mut Tx, id: MergeRequestId, window: Window) -> Result<Listing<Version>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("v.merge_request_id = ?", [id.0.into()]);
    conditions.list(tx, COLUMNS, "merge_request_versions v", "v.id DESC", window, read).await
}

/// Returns one version of a merge request.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, id: MergeRequestId, version: i64) -> Result<Option<Version>, Error> {
    tx.one(&FIND, &[V::from(id.0), V::from(version)], read).await
}
