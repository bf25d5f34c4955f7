//! Content in the blob store: which there is, who links it, and what may go.
//!
//! The row of a blob is made before its content is stored and removed after it was deleted. So nothing is stored that no
//! row knows of, and a deletion that was interrupted goes on. Whoever begins to rely on a blob touches its row; whoever
//! deletes it marks the row first, and only if it was not touched for long. Both write the same row, so one of them sees
//! the other.

use portcullis_rules::id::{BlobId, ContainerRepositoryId, NamespaceId, PackageId, ProjectId};

use crate::db::{Error, Query, Row, Tx, V, statements};

/// A blob as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The id.
    pub id: BlobId,
    /// What its content is called by.
    pub digest: String,
    /// How many bytes it has.
    pub size: i64,
}

fn read(row: &Row<'_>) -> Result<Blob, Error> {
    Ok(Blob { id: BlobId(row.get(0)?), digest: row.get(1)?, size: row.get(2)? })
}

/// Whether a file has the blob: an upload, one of a package, or a large file of Git. `$blob` is the column with the blob's id.
macro_rules! in_a_file {
    ($blob:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM uploads x WHERE x.blob_id = ",
            $blob,
            ") \
            OR EXISTS (SELECT 1 FROM package_files x WHERE x.blob_id = ",
            $blob,
            ") OR EXISTS (SELECT 1 FROM lfs_objects x WHERE x.blob_id = ",
            $blob,
            "))"
        )
    };
}

/// Whether anything links the blob: an image, or a file. What is linked is kept, and checked when content is verified.
macro_rules! linked {
    ($blob:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM container_blob_links l WHERE l.blob_id = ",
            $blob,
            ") OR ",
            in_a_file!($blob),
            ")"
        )
    };
}

/// The blobs that anything in project `$1` links, each once.
macro_rules! of_project {
    () => {
        "SELECT l.blob_id FROM container_repositories r JOIN container_blob_links l ON l.repository_id = r.id \
        WHERE r.project_id = $1 UNION SELECT u.blob_id FROM uploads u WHERE u.project_id = $1 \
        UNION SELECT f.blob_id FROM packages k JOIN package_files f ON f.package_id = k.id WHERE k.project_id = $1 \
        UNION SELECT o.blob_id FROM lfs_objects o WHERE o.project_id = $1"
    };
}

/// The projects below namespace `$1`, to be joined.
macro_rules! below {
    () => {
        "namespace_ancestors a JOIN projects p ON p.namespace_id = a.descendant_id"
    };
}

/// Pairs of a project below namespace `$1` and a blob that an image of it links, each once.
macro_rules! images_below {
    () => {
        concat!(
            "SELECT DISTINCT p.id AS project_id, l.blob_id AS blob_id FROM ", below!(),
            " JOIN container_repositories r ON r.project_id = p.id JOIN container_blob_links l ON l.repository_id = r.id \
            WHERE a.ancestor_id = $1"
        )
    };
}

/// The same of uploads.
macro_rules! uploads_below {
    () => {
        concat!(
            "SELECT DISTINCT p.id AS project_id, u.blob_id AS blob_id FROM ",
            below!(),
            " JOIN uploads u ON u.project_id = p.id WHERE a.ancestor_id = $1"
        )
    };
}

/// The same of packages.
macro_rules! packages_below {
    () => {
        concat!(
            "SELECT DISTINCT p.id AS project_id, f.blob_id AS blob_id FROM ", below!(),
            " JOIN packages k ON k.project_id = p.id JOIN package_files f ON f.package_id = k.id WHERE a.ancestor_id = $1"
        )
    };
}

/// The same of large files of Git.
macro_rules! lfs_objects_below {
    () => {
        concat!(
            "SELECT DISTINCT p.id AS project_id, o.blob_id AS blob_id FROM ",
            below!(),
            " JOIN lfs_objects o ON o.project_id = p.id WHERE a.ancestor_id = $1"
        )
    };
}

/// The sum of the sizes of some blobs, which `$of` selects as `used`.
macro_rules! size_of {
    ($($of:expr),+) => {
        concat!(
            "CAST(COALESCE((SELECT SUM(b.size) FROM (", $($of,)+ ") used JOIN blobs b ON b.id = used.blob_id), 0) AS BIGINT)"
        )
    };
}

statements! {
    RELY_ON = "INSERT INTO blobs (digest, size, touched_at, created_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (digest) DO UPDATE SET touched_at = excluded.touched_at WHERE blobs.deleting_at IS NULL RETURNING id";
    STORED = "UPDATE blobs SET size = $2, touched_at = $3, missing_at = NULL WHERE id = $1 AND deleting_at IS NULL \
        AND (missing_at IS NULL OR missing_at <= $4)";
    TOUCH = "UPDATE blobs SET touched_at = $2 WHERE id = $1 AND deleting_at IS NULL";
    LINK = "INSERT INTO container_blob_links (repository_id, blob_id, created_at) VALUES ($1, $2, $3) \
        ON CONFLICT (repository_id, blob_id) DO NOTHING";
    UNLINK = "DELETE FROM container_blob_links WHERE repository_id = $1 AND blob_id = $2";
    FIND_LINKED = "SELECT b.id, b.digest, b.size FROM container_blob_links l JOIN blobs b ON b.id = l.blob_id \
        WHERE l.repository_id = $1 AND b.digest = $2";
    FIND_IN_IMAGE = "SELECT b.id, b.digest, b.size FROM container_repositories r \
        JOIN container_blob_links l ON l.repository_id = r.id JOIN blobs b ON b.id = l.blob_id \
        WHERE r.project_id = $1 AND r.name = $2 AND b.digest = $3 AND b.missing_at IS NULL";
    FIND_IN_PROJECT = "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.digest = $2 AND b.missing_at IS NULL AND EXISTS \
        (SELECT 1 FROM container_blob_links l JOIN container_repositories r ON r.id = l.repository_id \
        WHERE l.blob_id = b.id AND r.project_id = $1 AND r.deletion_requested_at IS NULL)";
    REFERENCED = "SELECT 1 FROM container_manifest_references f JOIN container_manifests m ON m.id = f.manifest_id \
        WHERE f.digest = $2 AND f.kind = 'blob' AND m.repository_id = $1 LIMIT 1";
    TOUCH_LINKED = "UPDATE blobs SET touched_at = $2 WHERE id IN \
        (SELECT blob_id FROM container_blob_links WHERE repository_id = $1)";
    TOUCH_LINKED_IN_PROJECT = concat!("UPDATE blobs SET touched_at = $2 WHERE id IN (", of_project!(), ")");
    TOUCH_OF_PACKAGE = "UPDATE blobs SET touched_at = $2 WHERE id IN \
        (SELECT blob_id FROM package_files WHERE package_id = $1)";
    COUNTED = concat!("SELECT 1 FROM blobs b WHERE b.digest = $2 AND b.id IN (", of_project!(), ")");
    UNREFERENCED_AFTER = "SELECT l.blob_id FROM container_blob_links l JOIN blobs b ON b.id = l.blob_id \
        WHERE l.repository_id = $1 AND l.blob_id > $3 AND l.created_at < $2 AND b.touched_at < $2 AND NOT EXISTS \
        (SELECT 1 FROM container_manifest_references f JOIN container_manifests m ON m.id = f.manifest_id \
        WHERE f.digest = b.digest AND f.kind = 'blob' AND m.repository_id = l.repository_id) ORDER BY l.blob_id LIMIT $4";
    UNLINK_UNREFERENCED = "DELETE FROM container_blob_links WHERE repository_id = $1 AND blob_id = $2 AND created_at < $3 \
        AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.id = container_blob_links.blob_id AND (b.touched_at >= $3 OR EXISTS \
        (SELECT 1 FROM container_manifest_references f JOIN container_manifests m ON m.id = f.manifest_id \
        WHERE f.digest = b.digest AND f.kind = 'blob' AND m.repository_id = container_blob_links.repository_id)))";
    WITHOUT_USE_AFTER = concat!(
        "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.id > $1 AND b.touched_at < $2 AND NOT EXISTS \
        (SELECT 1 FROM container_blob_links l WHERE l.blob_id = b.id AND (l.created_at >= $2 OR EXISTS \
        (SELECT 1 FROM container_manifest_references f JOIN container_manifests m ON m.id = f.manifest_id \
        WHERE f.digest = b.digest AND f.kind = 'blob' AND m.repository_id = l.repository_id))) AND NOT ",
        in_a_file!("b.id"), " ORDER BY b.id LIMIT $3"
    );
    UNUSED_AFTER = concat!(
        "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.id > $1 AND b.touched_at < $2 AND NOT ",
        linked!("b.id"), " ORDER BY b.id LIMIT $3"
    );
    BEGIN_DELETION = concat!(
        "UPDATE blobs SET deleting_at = $2 WHERE id = $1 AND touched_at < $3 AND deleting_at IS NULL AND NOT ",
        linked!("blobs.id")
    );
    SPARE_LINKED = concat!("UPDATE blobs SET deleting_at = NULL WHERE id = $1 AND deleting_at = $2 AND ", linked!("blobs.id"));
    BEING_DELETED_AFTER = "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.id > $1 AND b.deleting_at IS NOT NULL \
        ORDER BY b.id LIMIT $2";
    GO_ON_DELETING = "UPDATE blobs SET deleting_at = $2 WHERE id = $1 AND deleting_at < $3";
    END_DELETION = concat!("DELETE FROM blobs WHERE id = $1 AND deleting_at = $2 AND NOT ", linked!("blobs.id"));
    KEEP_WITHOUT_CONTENT = "UPDATE blobs SET deleting_at = NULL WHERE id = $1 AND deleting_at = $2";
    BEGIN_REMOVAL = "UPDATE blobs SET deleting_at = $2, missing_at = $2 WHERE id = $1 AND deleting_at IS NULL";
    RECORDED_AFTER = "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.id > $1 AND b.deleting_at IS NULL \
        AND b.missing_at IS NULL ORDER BY b.id LIMIT $2";
    MISSING_AFTER = "SELECT b.id, b.digest, b.size FROM blobs b WHERE b.id > $1 AND b.missing_at IS NOT NULL \
        ORDER BY b.id LIMIT $2";
    IS_LINKED = concat!("SELECT 1 FROM blobs b WHERE b.id = $1 AND b.deleting_at IS NULL AND ", linked!("b.id"));
    RECORDED = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs WHERE deleting_at IS NULL AND missing_at IS NULL";
    IS_KNOWN = "SELECT 1 FROM blobs WHERE digest = $1";
    ADOPT_TO_DELETE = "INSERT INTO blobs (digest, size, touched_at, deleting_at, created_at) VALUES ($1, $2, $3, $3, $3) \
        ON CONFLICT (digest) DO NOTHING RETURNING id";
    REPOSITORY_BYTES = "SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM container_blob_links l \
        JOIN blobs b ON b.id = l.blob_id WHERE l.repository_id = $1";
    PROJECT_BYTES = concat!("SELECT ", size_of!(of_project!()));
    PROJECT_BYTES_BY_KIND = concat!(
        "SELECT ",
        size_of!("SELECT DISTINCT l.blob_id FROM container_repositories r \
            JOIN container_blob_links l ON l.repository_id = r.id WHERE r.project_id = $1"), ", ",
        size_of!("SELECT DISTINCT f.blob_id FROM packages k JOIN package_files f ON f.package_id = k.id \
            WHERE k.project_id = $1"), ", ",
        size_of!("SELECT DISTINCT u.blob_id FROM uploads u WHERE u.project_id = $1"), ", ",
        size_of!("SELECT o.blob_id FROM lfs_objects o WHERE o.project_id = $1")
    );
    NAMESPACE_BYTES = concat!(
        "SELECT ", size_of!(
            images_below!(), " UNION ", uploads_below!(), " UNION ", packages_below!(), " UNION ", lfs_objects_below!()
        )
    );
    NAMESPACE_BYTES_BY_KIND = concat!(
        "SELECT ", size_of!(images_below!()), ", ", size_of!(packages_below!()), ", ", size_of!(uploads_below!()), ", ",
        size_of!(lfs_objects_below!())
    );
    QUOTAS = "SELECT p.container_quota_bytes, n.id, n.container_quota_bytes FROM projects p \
        JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id \
        JOIN namespaces n ON n.id = a.ancestor_id AND n.parent_id IS NULL WHERE p.id = $1";
}

/// Makes sure that a blob has a row and that it is not deleted for a while. Returns `None` when it is being deleted right
/// now: then it must be waited for.
///
/// # Errors
/// The database's.
pub async fn rely_on(tx: &mut Tx, digest: &str, size: i64, now: i64) -> Result<Option<BlobId>, Error> {
    Ok(tx.one(&RELY_ON, &[V::from(digest), V::from(size), V::from(now)], |row| row.get(0)).await?.map(BlobId))
}

/// Records that the content of a blob is stored, by who relies on it since `relied_at`. Returns false when the blob was
/// deleted in the meantime, or its content taken away.
///
/// # Errors
/// The database's.
pub async fn stored(tx: &mut Tx, blob: BlobId, size: i64, relied_at: i64, now: i64) -> Result<bool, Error> {
    let params = [V::from(blob.0), V::from(size), V::from(now), V::from(relied_at)];
    Ok(tx.run(&STORED, &params).await? > 0)
}

/// Links a blob to a repository. Returns false when the blob is being deleted.
///
/// # Errors
/// The database's.
pub async fn link(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    blob: BlobId,
    now: i64,
) -> Result<bool, Error> {
    if !touch(tx, blob, now).await? {
        return Ok(false);
    }
    tx.run(&LINK, &[V::from(repository.0), V::from(blob.0), V::from(now)]).await?;
    Ok(true)
}

/// Removes a link. Returns false when there was none.
///
/// # Errors
/// The database's.
pub async fn unlink(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    blob: BlobId,
    now: i64,
) -> Result<bool, Error> {
    if tx.run(&UNLINK, &[V::from(repository.0), V::from(blob.0)]).await? == 0 {
        return Ok(false);
    }
    touch(tx, blob, now).await?;
    Ok(true)
}

/// Returns a blob that a repository links.
///
/// # Errors
/// The database's.
pub async fn find_linked(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digest: &str,
) -> Result<Option<Blob>, Error> {
    tx.one(&FIND_LINKED, &[V::from(repository.0), V::from(digest)], read).await
}

/// Returns a blob that an image of a project links, if its content is there as far as is known.
///
/// # Errors
/// The database's.
pub async fn find_in_image(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    digest: &str,
) -> Result<Option<Blob>, Error> {
    tx.one(&FIND_IN_IMAGE, &[V::from(project.0), V::from(image), V::from(digest)], read).await
}

/// Returns a blob that any image of a project links, if its content is there as far as is known.
///
/// # Errors
/// The database's.
pub async fn find_in_project(tx: &mut Tx, project: ProjectId, digest: &str) -> Result<Option<Blob>, Error> {
    tx.one(&FIND_IN_PROJECT, &[V::from(project.0), V::from(digest)], read).await
}

/// Returns whether a manifest of the repository names the blob.
///
/// # Errors
/// The database's.
pub async fn is_referenced(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digest: &str,
) -> Result<bool, Error> {
    Ok(tx.one(&REFERENCED, &[V::from(repository.0), V::from(digest)], |_| Ok(())).await?.is_some())
}

/// Returns those of `digests` that the repository links.
///
/// # Errors
/// The database's.
pub async fn linked_among(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digests: &[&str],
) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for some in digests.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "SELECT b.digest FROM blobs b JOIN container_blob_links l ON l.blob_id = b.id AND l.repository_id = $1 \
             WHERE b.digest IN ({})",
            marks(2, some.len())
        ));
        let params: Vec<_> =
            [V::from(repository.0)].into_iter().chain(some.iter().map(|digest| V::from(*digest))).collect();
        found.extend(tx.all(&query, &params, |row| row.get(0)).await?);
    }
    Ok(found)
}

/// How many digests one statement asks about.
pub(crate) const DIGESTS_AT_ONCE: usize = 200;

/// Returns `$first, …` for so many parameters.
pub(crate) fn marks(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// Notes that all blobs of a repository are about to lose their link to it.
///
/// # Errors
/// The database's.
pub async fn touch_linked(tx: &mut Tx, repository: ContainerRepositoryId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH_LINKED, &[V::from(repository.0), V::from(now)]).await?;
    Ok(())
}

/// Notes that all blobs of a project are about to lose their links to its images, uploads, packages and large files.
///
/// # Errors
/// The database's.
pub async fn touch_linked_in_project(tx: &mut Tx, project: ProjectId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH_LINKED_IN_PROJECT, &[V::from(project.0), V::from(now)]).await?;
    Ok(())
}

/// Notes that somebody begins to rely on a blob, or that it is about to lose a link. Returns false when it is being deleted.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, blob: BlobId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&TOUCH, &[V::from(blob.0), V::from(now)]).await? > 0)
}

/// Notes that all blobs of a package are about to lose their links to it.
///
/// # Errors
/// The database's.
pub async fn touch_of_package(tx: &mut Tx, package: PackageId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH_OF_PACKAGE, &[V::from(package.0), V::from(now)]).await?;
    Ok(())
}

/// Returns whether some content counts already among what a project takes.
///
/// # Errors
/// The database's.
pub async fn is_counted(tx: &mut Tx, project: ProjectId, digest: &str) -> Result<bool, Error> {
    Ok(tx.one(&COUNTED, &[V::from(project.0), V::from(digest)], |_| Ok(())).await?.is_some())
}

/// Returns up to `limit` blobs behind `after` that a repository has linked since before `cutoff` and that no manifest of it
/// names, unless somebody relied on them since.
///
/// # Errors
/// The database's.
pub async fn unreferenced_after(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    after: BlobId,
    cutoff: i64,
    limit: i64,
) -> Result<Vec<BlobId>, Error> {
    let params = [V::from(repository.0), V::from(cutoff), V::from(after.0), V::from(limit)];
    tx.all(&UNREFERENCED_AFTER, &params, |row| row.get(0).map(BlobId)).await
}

/// Removes a link of [`unreferenced_after`], if it is still one. The repository must be locked: otherwise a manifest that
/// names the blob could be added at the same moment. Returns whether it was removed.
///
/// # Errors
/// The database's.
pub async fn unlink_unreferenced(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    blob: BlobId,
    cutoff: i64,
) -> Result<bool, Error> {
    let params = [V::from(repository.0), V::from(blob.0), V::from(cutoff)];
    Ok(tx.run(&UNLINK_UNREFERENCED, &params).await? > 0)
}

/// Returns up to `limit` blobs behind `after` that would have no link if every one of [`unreferenced_after`] were removed,
/// and were last touched before `cutoff`.
///
/// # Errors
/// The database's.
pub async fn without_use_after(
    tx: &mut Tx,
    after: BlobId,
    cutoff: i64,
    limit: i64,
) -> Result<Vec<Blob>, Error> {
    tx.all(&WITHOUT_USE_AFTER, &[V::from(after.0), V::from(cutoff), V::from(limit)], read).await
}

/// Returns up to `limit` blobs behind `after` that have no link and were last touched before `cutoff`.
///
/// # Errors
/// The database's.
pub async fn unused_after(tx: &mut Tx, after: BlobId, cutoff: i64, limit: i64) -> Result<Vec<Blob>, Error> {
    tx.all(&UNUSED_AFTER, &[V::from(after.0), V::from(cutoff), V::from(limit)], read).await
}

/// Marks a blob as being deleted. Returns false when somebody relies on it after all, or deletes it already.
///
/// # Errors
/// The database's.
pub async fn begin_deletion(tx: &mut Tx, blob: BlobId, cutoff: i64, now: i64) -> Result<bool, Error> {
    let begun = tx.run(&BEGIN_DELETION, &[V::from(blob.0), V::from(now), V::from(cutoff)]).await? > 0;
    // Where that waited for somebody who held the row, PostgreSQL looked at the links as they were before. The row is ours
    // now, so nobody can add one any more.
    Ok(begun && tx.run(&SPARE_LINKED, &[V::from(blob.0), V::from(now)]).await? == 0)
}

/// Returns up to `limit` blobs behind `after` whose deletion was begun.
///
/// # Errors
/// The database's.
pub async fn being_deleted_after(tx: &mut Tx, after: BlobId, limit: i64) -> Result<Vec<Blob>, Error> {
    tx.all(&BEING_DELETED_AFTER, &[V::from(after.0), V::from(limit)], read).await
}

/// Takes over a deletion that somebody began before `stale`. Returns false when they are at it still, or it has ended.
///
/// # Errors
/// The database's.
pub async fn go_on_deleting(tx: &mut Tx, blob: BlobId, stale: i64, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&GO_ON_DELETING, &[V::from(blob.0), V::from(now), V::from(stale)]).await? > 0)
}

/// Removes the row of a blob whose content was deleted by who marked it at `marked_at`. What is linked keeps its row, and
/// can be pushed again.
///
/// # Errors
/// The database's.
pub async fn end_deletion(tx: &mut Tx, blob: BlobId, marked_at: i64) -> Result<(), Error> {
    let params = [V::from(blob.0), V::from(marked_at)];
    if tx.run(&END_DELETION, &params).await? == 0 {
        tx.run(&KEEP_WITHOUT_CONTENT, &params).await?;
    }
    Ok(())
}

/// Marks a blob whose content is damaged or missing: nobody is told that it is there, and what is stored may be deleted.
/// Returns false when it is being deleted already.
///
/// # Errors
/// The database's.
pub async fn begin_removal(tx: &mut Tx, blob: BlobId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&BEGIN_REMOVAL, &[V::from(blob.0), V::from(now)]).await? > 0)
}

/// Returns up to `limit` blobs behind `after` whose content should be there.
///
/// # Errors
/// The database's.
pub async fn recorded_after(tx: &mut Tx, after: BlobId, limit: i64) -> Result<Vec<Blob>, Error> {
    tx.all(&RECORDED_AFTER, &[V::from(after.0), V::from(limit)], read).await
}

/// Returns up to `limit` blobs behind `after` whose content is known to be missing.
///
/// # Errors
/// The database's.
pub async fn missing_after(tx: &mut Tx, after: BlobId, limit: i64) -> Result<Vec<Blob>, Error> {
    tx.all(&MISSING_AFTER, &[V::from(after.0), V::from(limit)], read).await
}

/// Returns whether an image, an upload, a package or a large file links the blob, and it is not being deleted.
///
/// # Errors
/// The database's.
pub async fn is_linked(tx: &mut Tx, blob: BlobId) -> Result<bool, Error> {
    Ok(tx.one(&IS_LINKED, &[V::from(blob.0)], |_| Ok(())).await?.is_some())
}

/// Returns how many blobs are recorded, and how many bytes they have.
///
/// # Errors
/// The database's.
pub async fn recorded(tx: &mut Tx) -> Result<(i64, i64), Error> {
    Ok(tx.one(&RECORDED, &[], |row| Ok((row.get(0)?, row.get(1)?))).await?.unwrap_or_default())
}

/// Returns whether there is a row for some content.
///
/// # Errors
/// The database's.
pub async fn is_known(tx: &mut Tx, digest: &str) -> Result<bool, Error> {
    Ok(tx.one(&IS_KNOWN, &[V::from(digest)], |_| Ok(())).await?.is_some())
}

/// Makes a row for content that no row knows of, marked as being deleted. Returns `None` when there is a row after all.
///
/// # Errors
/// The database's.
pub async fn adopt_to_delete(
    tx: &mut Tx,
    digest: &str,
    size: i64,
    now: i64,
) -> Result<Option<BlobId>, Error> {
    Ok(tx
        .one(&ADOPT_TO_DELETE, &[V::from(digest), V::from(size), V::from(now)], |row| row.get(0))
        .await?
        .map(BlobId))
}

/// Returns how many bytes one image repository takes; each content counts once.
///
/// # Errors
/// The database's.
pub async fn bytes_of_repository(tx: &mut Tx, repository: ContainerRepositoryId) -> Result<i64, Error> {
    sum(tx.one(&REPOSITORY_BYTES, &[V::from(repository.0)], |row| row.get(0)).await?)
}

/// Returns how many bytes each of these repositories takes, in one question. Those without content are not in the answer.
///
/// # Errors
/// The database's.
pub async fn bytes_of_repositories(
    tx: &mut Tx,
    repositories: &[ContainerRepositoryId],
) -> Result<Vec<(ContainerRepositoryId, i64)>, Error> {
    if repositories.is_empty() {
        return Ok(Vec::new());
    }
    // The ids are our own numbers, so they can stand in the text.
    let ids: Vec<_> = repositories.iter().map(ToString::to_string).collect();
    let query = Query::new(format!(
        "SELECT l.repository_id, CAST(SUM(b.size) AS BIGINT) FROM container_blob_links l JOIN blobs b ON b.id = l.blob_id \
         WHERE l.repository_id IN ({}) GROUP BY l.repository_id",
        ids.join(", ")
    ));
    tx.all(&query, &[], |row| Ok((ContainerRepositoryId(row.get(0)?), row.get(1)?))).await
}

/// Returns how many bytes the images, uploads, packages and large files of a project take; each content counts once.
///
/// # Errors
/// The database's.
pub async fn bytes_of_project(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    sum(tx.one(&PROJECT_BYTES, &[V::from(project.0)], |row| row.get(0)).await?)
}

/// How many bytes of the blob store each kind of thing takes. Content counts once in each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesByKind {
    /// Images.
    pub images: i64,
    /// Packages.
    pub packages: i64,
    /// Uploaded files.
    pub uploads: i64,
    /// Large files of Git.
    pub lfs_objects: i64,
}

fn read_by_kind(row: &Row<'_>) -> Result<BytesByKind, Error> {
    Ok(BytesByKind {
        images: row.get(0)?,
        packages: row.get(1)?,
        uploads: row.get(2)?,
        lfs_objects: row.get(3)?,
    })
}

/// Returns how many bytes each kind of thing in a project takes.
///
/// # Errors
/// The database's.
pub async fn bytes_of_project_by_kind(tx: &mut Tx, project: ProjectId) -> Result<BytesByKind, Error> {
    sum(tx.one(&PROJECT_BYTES_BY_KIND, &[V::from(project.0)], read_by_kind).await?)
}

/// Returns how many bytes each kind of thing in all projects below a namespace takes; each content counts once in each
/// project.
///
/// # Errors
/// The database's.
pub async fn bytes_below_by_kind(tx: &mut Tx, namespace: NamespaceId) -> Result<BytesByKind, Error> {
    sum(tx.one(&NAMESPACE_BYTES_BY_KIND, &[V::from(namespace.0)], read_by_kind).await?)
}

/// Returns how many bytes the images, uploads, packages and large files of all projects below a namespace take; each content
/// counts once in each project.
///
/// # Errors
/// The database's.
pub async fn bytes_below(tx: &mut Tx, namespace: NamespaceId) -> Result<i64, Error> {
    sum(tx.one(&NAMESPACE_BYTES, &[V::from(namespace.0)], |row| row.get(0)).await?)
}

/// Returns the sum, which is there even over no rows.
fn sum<T>(value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::Corrupt("a sum returned nothing".to_owned()))
}

/// How much a project's images, uploads and packages may take together.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// The project's own limit in bytes.
    pub project: Option<i64>,
    /// The top-level namespace it is in.
    pub root: NamespaceId,
    /// The limit in bytes for all projects below that one.
    pub below_root: Option<i64>,
}

/// Returns the limits that a project is under.
///
/// # Errors
/// The database's.
pub async fn quotas(tx: &mut Tx, project: ProjectId) -> Result<Option<Quotas>, Error> {
    let map = |row: &Row<'_>| {
        Ok(Quotas { project: row.get(0)?, root: NamespaceId(row.get(1)?), below_root: row.get(2)? })
    };
    tx.one(&QUOTAS, &[V::from(project.0)], map).await
}
