//! Large files of Git (LFS): which content of the blob store a project links, and whether it may have any.
//!
//! An object is only ever found inside its project: that another project has the same content says nothing here.

use portcullis_rules::id::{BlobId, ProjectId};

use crate::blobs::{DIGESTS_AT_ONCE, marks};
use crate::db::{Error, Query, Row, Tx, V, statements};

/// A large file as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LfsObject {
    /// Its content in the blob store.
    pub blob: BlobId,
    /// What that content is called by.
    pub digest: String,
    /// How many bytes it has.
    pub size: i64,
    /// When somebody last relied on it, in Unix microseconds.
    pub touched_at: i64,
    /// Since when no ref is known to reach what names it.
    pub unreached_at: Option<i64>,
}

fn read(row: &Row<'_>) -> Result<LfsObject, Error> {
    Ok(LfsObject {
        blob: BlobId(row.get(0)?),
        digest: row.get(1)?,
        size: row.get(2)?,
        touched_at: row.get(3)?,
        unreached_at: row.get(4)?,
    })
}

statements! {
    IS_ON = "SELECT 1 FROM projects p WHERE p.id = $1 AND p.lfs_off_since IS NULL AND NOT EXISTS \
        (SELECT 1 FROM namespace_ancestors a JOIN namespaces n ON n.id = a.ancestor_id \
        WHERE a.descendant_id = p.namespace_id AND n.parent_id IS NULL AND n.lfs_off_since IS NOT NULL)";
    FIND = "SELECT b.id, b.digest, b.size, o.touched_at, o.unreached_at FROM lfs_objects o JOIN blobs b ON b.id = o.blob_id \
        WHERE o.project_id = $1 AND b.digest = $2 AND b.missing_at IS NULL";
    LINK = "INSERT INTO lfs_objects (project_id, blob_id, touched_at, created_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (project_id, blob_id) DO UPDATE SET touched_at = excluded.touched_at, unreached_at = NULL";
    BYTES = "SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM lfs_objects o JOIN blobs b ON b.id = o.blob_id \
        WHERE o.project_id = $1 AND b.missing_at IS NULL";
    PROJECTS_AFTER = "SELECT DISTINCT o.project_id FROM lfs_objects o JOIN projects p ON p.id = o.project_id \
        WHERE o.project_id > $1 AND o.touched_at < $2 AND (p.lfs_swept_at IS NULL OR p.lfs_swept_at < $3) \
        AND p.deletion_requested_at IS NULL ORDER BY o.project_id LIMIT $4";
    UNTOUCHED_AFTER = "SELECT b.id, b.digest, b.size, o.touched_at, o.unreached_at FROM lfs_objects o JOIN blobs b ON b.id = o.blob_id \
        WHERE o.project_id = $1 AND o.blob_id > $2 AND o.touched_at < $3 ORDER BY o.blob_id LIMIT $4";
    SWEPT = "UPDATE projects SET lfs_swept_at = $2 WHERE id = $1";
}

/// Returns whether a project may have large files: neither it nor its top-level group has them switched off.
///
/// # Errors
/// The database's.
pub async fn is_on(tx: &mut Tx, project: ProjectId) -> Result<bool, Error> {
    Ok(tx.one(&IS_ON, &[V::from(project.0)], |_| Ok(())).await?.is_some())
}

/// Returns a large file of a project, if its content is there as far as is known.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, digest: &str) -> Result<Option<LfsObject>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(digest)], read).await
}

/// Returns those of `digests` that are large files of a project, whose content is there as far as is known.
///
/// # Errors
/// The database's.
pub async fn among(tx: &mut Tx, project: ProjectId, digests: &[&str]) -> Result<Vec<LfsObject>, Error> {
    let mut found = Vec::new();
    for some in digests.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "SELECT b.id, b.digest, b.size, o.touched_at, o.unreached_at FROM lfs_objects o JOIN blobs b ON b.id = o.blob_id \
             WHERE o.project_id = $1 AND b.missing_at IS NULL AND b.digest IN ({})",
            marks(2, some.len())
        ));
        let params: Vec<_> =
            [V::from(project.0)].into_iter().chain(some.iter().map(|digest| V::from(*digest))).collect();
        found.extend(tx.all(&query, &params, read).await?);
    }
    Ok(found)
}

/// Links content that the transaction has touched to a project.
///
/// # Errors
/// The database's.
pub async fn link(tx: &mut Tx, project: ProjectId, blob: BlobId, now: i64) -> Result<(), Error> {
    tx.run(&LINK, &[V::from(project.0), V::from(blob.0), V::from(now)]).await?;
    Ok(())
}

/// Notes that somebody relies on large files of a project.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, project: ProjectId, blobs: &[BlobId], now: i64) -> Result<(), Error> {
    for some in blobs.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "UPDATE lfs_objects SET touched_at = $2, unreached_at = NULL WHERE project_id = $1 AND blob_id IN ({})",
            marks(3, some.len())
        ));
        let head = [V::from(project.0), V::from(now)];
        let params: Vec<_> = head.into_iter().chain(some.iter().map(|blob| V::from(blob.0))).collect();
        tx.run(&query, &params).await?;
    }
    Ok(())
}

/// Returns how many bytes the large files of a project have, as far as their content is there.
///
/// # Errors
/// The database's.
pub async fn bytes_of_project(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    Ok(tx.one(&BYTES, &[V::from(project.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns up to `limit` projects behind `after` with large files that nobody relied on since `cutoff`, and that were not
/// looked at since `looked`.
///
/// # Errors
/// The database's.
pub async fn projects_after(
    tx: &mut Tx,
    after: ProjectId,
    cutoff: i64,
    looked: i64,
    limit: i64,
) -> Result<Vec<ProjectId>, Error> {
    let params = [V::from(after.0), V::from(cutoff), V::from(looked), V::from(limit)];
    tx.all(&PROJECTS_AFTER, &params, |row| row.get(0).map(ProjectId)).await
}

/// Returns up to `limit` large files of a project behind `after` that nobody relied on since `cutoff`.
///
/// # Errors
/// The database's.
pub async fn untouched_after(
    tx: &mut Tx,
    project: ProjectId,
    after: BlobId,
    cutoff: i64,
    limit: i64,
) -> Result<Vec<LfsObject>, Error> {
    let params = [V::from(project.0), V::from(after.0), V::from(cutoff), V::from(limit)];
    tx.all(&UNTOUCHED_AFTER, &params, read).await
}

/// Notes that the large files of a project were compared with what its refs reach.
///
/// # Errors
/// The database's.
pub async fn swept(tx: &mut Tx, project: ProjectId, now: i64) -> Result<(), Error> {
    tx.run(&SWEPT, &[V::from(project.0), V::from(now)]).await?;
    Ok(())
}

/// Notes since when no ref reaches what names some large files of a project, or that one does; but not of those that
/// somebody relied on since `cutoff`.
///
/// # Errors
/// The database's.
pub async fn set_unreached(
    tx: &mut Tx,
    project: ProjectId,
    blobs: &[BlobId],
    unreached_at: Option<i64>,
    cutoff: i64,
) -> Result<(), Error> {
    for some in blobs.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "UPDATE lfs_objects SET unreached_at = $2 WHERE project_id = $1 AND touched_at < $3 AND blob_id IN ({})",
            marks(4, some.len())
        ));
        let head = [V::from(project.0), V::from(unreached_at), V::from(cutoff)];
        let params: Vec<_> = head.into_iter().chain(some.iter().map(|blob| V::from(blob.0))).collect();
        tx.run(&query, &params).await?;
    }
    Ok(())
}

/// Takes large files from a project, except those that somebody relied on since `cutoff`. Returns how many were taken.
///
/// # Errors
/// The database's.
pub async fn unlink(tx: &mut Tx, project: ProjectId, blobs: &[BlobId], cutoff: i64) -> Result<u64, Error> {
    let mut taken = 0;
    for some in blobs.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "DELETE FROM lfs_objects WHERE project_id = $1 AND touched_at < $2 AND blob_id IN ({})",
            marks(3, some.len())
        ));
        let head = [V::from(project.0), V::from(cutoff)];
        let params: Vec<_> = head.into_iter().chain(some.iter().map(|blob| V::from(blob.0))).collect();
        taken += tx.run(&query, &params).await?;
    }
    Ok(taken)
}
