//! Removes what nothing needs: blobs that no image, upload, package or large file of Git has, uploads that nobody goes on with. It runs beside pushes and
//! deletes.
//!
//! A repository loses its link to a blob when no manifest of it has named the blob for a safe age: the manifest was
//! deleted, or never came. Manifests themselves stay, with a tag or without.
//!
//! A blob goes when it has had no link for a safe age. Its row is marked first, under the condition that nobody touched it
//! since; then the content goes, then the row. An upload of the same content touches the row before it relies on what is
//! stored, so one of the two sees the other: the upload waits until the row is gone, or the blob stays.
//!
//! Several runs may be at work at once, in several processes. The mark is a lease: who made it has a minute to delete
//! the content, and another run goes on with the deletion only long after that. Otherwise the slower one of two could
//! delete what was uploaded since the quicker one had ended.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use portcullis_registry::Digest;
use portcullis_rules::id::{BlobId, ContainerRepositoryId};
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::blobs::{self, Blob};
use portcullis_store::{container_repositories, container_uploads};
use serde::Serialize;

use super::ImageError;
use crate::Error;
use crate::forge::Forge;
use crate::lfs;

const HOUR: i64 = 3600 * MICROSECONDS;

/// How many blobs are looked at in one transaction.
const BATCH: i64 = 500;

/// How long the deletion of one content may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// After which time a deletion is one that a process did not live to end, in microseconds.
pub(crate) const STALE_AFTER: i64 = 5 * 60 * MICROSECONDS;

/// What a run found, and removed unless it was a dry one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Large files of Git that no ref reaches; counted once for each project.
    pub large_files: u64,
    /// Links of repositories to blobs that none of their manifests names.
    pub links: u64,
    /// Blobs that no image, upload, package or large file needs. A dry run does not count those that only large files need.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Stored content that no record knows of.
    pub strays: u64,
    /// Uploads that nobody went on with.
    pub uploads: u64,
}

/// How far a run has come.
pub type OnProgress<'a> = &'a mut (dyn FnMut(&Collected) + Send);

/// Removes what nothing needs, or only counts it.
///
/// # Errors
/// The database's or the blob store's. What was removed until then stays removed.
pub async fn collect(
    forge: &Forge,
    dry_run: bool,
    on_progress: OnProgress<'_>,
) -> Result<Collected, ImageError> {
    let now = forge.now();
    let cutoff = now - i64::from(forge.settings().registry_gc_age_hours) * HOUR;
    let mut collected = Collected::default();
    if !dry_run {
        end_interrupted(forge).await?;
    }
    collected.uploads = end_idle_uploads(forge, dry_run, now).await?;
    collected.large_files = lfs::garbage::unlink_unreached(forge, cutoff, dry_run).await?;
    unlink(forge, cutoff, dry_run, &mut collected).await?;
    on_progress(&collected);
    let mut after = BlobId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let unused = if dry_run {
            blobs::without_use_after(&mut tx, after, cutoff, BATCH).await?
        } else {
            blobs::unused_after(&mut tx, after, cutoff, BATCH).await?
        };
        drop(tx);
        let Some(last) = unused.last() else { break };
        after = last.id;
        for blob in &unused {
            if dry_run || remove(forge, blob, cutoff).await? {
                collected.blobs += 1;
                collected.bytes += u64::try_from(blob.size).unwrap_or(0);
            }
        }
        on_progress(&collected);
    }
    collect_strays(forge, cutoff, dry_run, &mut collected).await?;
    on_progress(&collected);
    Ok(collected)
}

/// Takes from each repository the blobs that no manifest of it names.
async fn unlink(
    forge: &Forge,
    cutoff: i64,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), ImageError> {
    let mut last = ContainerRepositoryId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let repositories = container_repositories::ids_after(&mut tx, last, BATCH).await?;
        drop(tx);
        let Some(end) = repositories.last() else { return Ok(()) };
        last = *end;
        for repository in repositories {
            unlink_in(forge, repository, cutoff, dry_run, collected).await?;
        }
    }
}

async fn unlink_in(
    forge: &Forge,
    repository: ContainerRepositoryId,
    cutoff: i64,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), ImageError> {
    let mut after = BlobId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let unreferenced = blobs::unreferenced_after(&mut tx, repository, after, cutoff, BATCH).await?;
        drop(tx);
        let Some(last) = unreferenced.last() else { return Ok(()) };
        after = *last;
        if dry_run {
            collected.links += unreferenced.len() as u64;
            continue;
        }
        let mut tx = forge.db().begin().await?;
        container_repositories::lock(&mut tx, repository).await?;
        for blob in &unreferenced {
            if blobs::unlink_unreferenced(&mut tx, repository, *blob, cutoff).await? {
                collected.links += 1;
            }
        }
        tx.commit().await?;
    }
}

async fn remove(forge: &Forge, blob: &Blob, cutoff: i64) -> Result<bool, ImageError> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let begun = blobs::begin_deletion(&mut tx, blob.id, cutoff, now).await?;
    tx.commit().await?;
    if begun {
        end(forge, blob, now).await?;
    }
    Ok(begun)
}

/// Removes the content of a blob that was marked at `marked_at`, just now, and then its row.
pub(super) async fn end(forge: &Forge, blob: &Blob, marked_at: i64) -> Result<(), ImageError> {
    let digest = digest_of(blob)?;
    let deleted = tokio::time::timeout(PATIENCE, forge.blobs().delete(&digest)).await;
    deleted.map_err(|_| ImageError::unavailable(format!("deleting blob {digest} takes too long")))??;
    let mut tx = forge.db().begin().await?;
    blobs::end_deletion(&mut tx, blob.id, marked_at).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns the digest of a recorded blob.
pub(super) fn digest_of(blob: &Blob) -> Result<Digest, ImageError> {
    Digest::parse(&blob.digest)
        .map_err(|refusal| Error::Internal(format!("blob {}: {refusal}", blob.id).into()).into())
}

/// Goes on with deletions that a process did not live to end.
async fn end_interrupted(forge: &Forge) -> Result<(), ImageError> {
    let mut after = BlobId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let marked = blobs::being_deleted_after(&mut tx, after, BATCH).await?;
        drop(tx);
        let Some(last) = marked.last() else { return Ok(()) };
        after = last.id;
        for blob in &marked {
            let now = forge.now();
            let mut tx = forge.db().begin().await?;
            let taken_over = blobs::go_on_deleting(&mut tx, blob.id, now - STALE_AFTER, now).await?;
            tx.commit().await?;
            if taken_over {
                end(forge, blob, now).await?;
            }
        }
    }
}

/// Returns whether a deletion was begun and has not ended: somebody is at it, or was until a moment ago.
pub(crate) async fn deletions_are_open(forge: &Forge) -> Result<bool, Error> {
    let mut tx = forge.db().read().await?;
    Ok(!blobs::being_deleted_after(&mut tx, BlobId(0), 1).await?.is_empty())
}

async fn end_idle_uploads(forge: &Forge, dry_run: bool, now: i64) -> Result<u64, ImageError> {
    let before = now - i64::from(forge.settings().registry_upload_hours) * HOUR;
    if dry_run {
        let mut tx = forge.db().read().await?;
        let idle = container_uploads::count_idle(&mut tx, before, now).await?;
        return Ok(u64::try_from(idle).unwrap_or(0));
    }
    let mut tx = forge.db().begin().await?;
    let ended = container_uploads::delete_idle(&mut tx, before, now).await?;
    tx.commit().await?;
    forge.uploads().sweep(before).await?;
    Ok(ended)
}

/// Looks for content that no row knows of, as after a backup of the database was put back.
async fn collect_strays(
    forge: &Forge,
    cutoff: i64,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), ImageError> {
    let mut stored = forge.blobs().list();
    while let Some(entry) = stored.try_next().await? {
        if entry.modified >= cutoff {
            continue;
        }
        let name = entry.digest.to_string();
        let size = i64::try_from(entry.size).unwrap_or(i64::MAX);
        let mut tx = forge.db().read().await?;
        let known = blobs::is_known(&mut tx, &name).await?;
        drop(tx);
        if known {
            continue;
        }
        if !dry_run {
            let mut tx = forge.db().begin().await?;
            let now = forge.now();
            let adopted = blobs::adopt_to_delete(&mut tx, &name, size, now).await?;
            tx.commit().await?;
            let Some(id) = adopted else { continue };
            end(forge, &Blob { id, digest: name, size }, now).await?;
        }
        collected.strays += 1;
        collected.bytes += entry.size;
    }
    Ok(())
}
