//! Removes what nothing needs: blobs that no image links, uploads that nobody goes on with. It runs beside pushes and
//! deletes.
//!
//! A blob goes when it has had no link for a safe age. Its row is marked first, under the condition that nobody touched it
//! since; then the content goes, then the row. An upload of the same content touches the row before it relies on what is
//! stored, so one of the two sees the other: the upload waits until the row is gone, or the blob stays.

use futures_util::TryStreamExt as _;
use portcullis_registry::Digest;
use portcullis_rules::id::BlobId;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::blobs::{self, Blob};
use portcullis_store::container_uploads;
use serde::Serialize;

use super::ImageError;
use crate::Error;
use crate::forge::Forge;

const HOUR: i64 = 3600 * MICROSECONDS;

/// How many blobs are looked at in one transaction.
const BATCH: i64 = 500;

/// What a run found, and removed unless it was a dry one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Blobs that no image links.
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
        collected.uploads = end_idle_uploads(forge, now).await?;
    }
    let mut after = BlobId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let unused = blobs::unused_after(&mut tx, after, cutoff, BATCH).await?;
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

async fn remove(forge: &Forge, blob: &Blob, cutoff: i64) -> Result<bool, ImageError> {
    let mut tx = forge.db().begin().await?;
    let begun = blobs::begin_deletion(&mut tx, blob.id, cutoff, forge.now()).await?;
    tx.commit().await?;
    if begun {
        end(forge, blob).await?;
    }
    Ok(begun)
}

/// Removes the content of a blob that is marked, and then its row.
async fn end(forge: &Forge, blob: &Blob) -> Result<(), ImageError> {
    let digest = Digest::parse(&blob.digest)
        .map_err(|refusal| Error::Internal(format!("blob {}: {refusal}", blob.id).into()))?;
    forge.blobs().delete(&digest).await?;
    let mut tx = forge.db().begin().await?;
    blobs::end_deletion(&mut tx, blob.id).await?;
    tx.commit().await?;
    Ok(())
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
            end(forge, blob).await?;
        }
    }
}

async fn end_idle_uploads(forge: &Forge, now: i64) -> Result<u64, ImageError> {
    let before = now - i64::from(forge.settings().registry_upload_hours) * HOUR;
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
            let adopted = blobs::adopt_to_delete(&mut tx, &name, size, forge.now()).await?;
            tx.commit().await?;
            let Some(id) = adopted else { continue };
            end(forge, &Blob { id, digest: name, size }).await?;
        }
        collected.strays += 1;
        collected.bytes += entry.size;
    }
    Ok(())
}
