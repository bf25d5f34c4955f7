//! Reads every blob and compares it with what it is called by, so that damage is found before somebody needs the content.

use futures_util::TryStreamExt as _;
use portcullis_registry::{Digest, Error as EngineError, Hasher};
use portcullis_rules::id::BlobId;
use portcullis_store::blobs::{self, Blob};
use serde::Serialize;

use super::ImageError;
use super::garbage::{digest_of, end};
use crate::forge::Forge;

/// How many blobs are asked for at a time.
const BATCH: i64 = 500;

/// What is wrong with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// What is stored is not what it should be.
    Damaged,
    /// Nothing is stored.
    Missing,
}

/// What becomes of content that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// It stays, and is told of.
    IsReported,
    /// It is deleted, and the registry says that it does not have it, so that the next push brings it again. Images keep
    /// their links to it.
    IsRemoved,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many blobs there are to be read.
    pub of_blobs: u64,
    /// How many bytes they have.
    pub of_bytes: u64,
    /// How many were read.
    pub blobs: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// What was found.
    pub faults: Vec<(String, Fault)>,
    /// How many were found earlier and not pushed again since.
    pub known_missing: u64,
}

/// Reads every recorded blob. It may run beside everything else.
///
/// # Errors
/// The database's, or the blob store's when it does not answer.
pub async fn verify(
    forge: &Forge,
    damaged: Damaged,
    on_progress: &mut (dyn FnMut(&Verified) + Send),
) -> Result<Verified, ImageError> {
    let mut verified = Verified::default();
    let mut tx = forge.db().read().await?;
    let (count, bytes) = blobs::recorded(&mut tx).await?;
    drop(tx);
    verified.of_blobs = u64::try_from(count).unwrap_or(0);
    verified.of_bytes = u64::try_from(bytes).unwrap_or(0);
    let mut after = BlobId(0);
    loop {
        let mut tx = forge.db().read().await?;
        let some = blobs::recorded_after(&mut tx, after, BATCH).await?;
        drop(tx);
        let Some(last) = some.last() else { break };
        after = last.id;
        for blob in &some {
            let fault = examine(forge, blob).await?;
            verified.blobs += 1;
            verified.bytes += u64::try_from(blob.size).unwrap_or(0);
            if let Some(fault) = fault {
                if damaged == Damaged::IsRemoved {
                    remove(forge, blob).await?;
                }
                verified.faults.push((blob.digest.clone(), fault));
            }
            on_progress(&verified);
        }
    }
    verified.known_missing = known_missing(forge, &mut verified.faults).await?;
    Ok(verified)
}

/// Reads one blob.
async fn examine(forge: &Forge, blob: &Blob) -> Result<Option<Fault>, ImageError> {
    let digest = digest_of(blob)?;
    let fault = match is_intact(forge, &digest, blob.size).await {
        Ok(true) => return Ok(None),
        Ok(false) | Err(EngineError::BlobDamaged { .. }) => Fault::Damaged,
        Err(EngineError::BlobMissing(_)) => Fault::Missing,
        Err(error) => return Err(error.into()),
    };
    // It may have been deleted while it was read; and a row without a link may be of an upload that is on its way.
    let mut tx = forge.db().read().await?;
    Ok(blobs::is_linked(&mut tx, blob.id).await?.then_some(fault))
}

async fn is_intact(forge: &Forge, digest: &Digest, size: i64) -> Result<bool, EngineError> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let mut content = forge.blobs().read(digest, Some(size), None).await?.bytes;
    let mut hasher = Hasher::new(digest.algorithm());
    loop {
        match content.try_next().await {
            Ok(Some(piece)) => {
                hasher.update(&piece);
                // Hashing is work for the processor; others get their turn.
                tokio::task::yield_now().await;
            }
            Ok(None) => return Ok(hasher.digest() == *digest),
            // It ended early, or cannot be read.
            Err(_) => return Ok(false),
        }
    }
}

/// Deletes what is stored of a blob, and remembers that it is not there.
async fn remove(forge: &Forge, blob: &Blob) -> Result<(), ImageError> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let begun = blobs::begin_removal(&mut tx, blob.id, now).await?;
    tx.commit().await?;
    if begun {
        end(forge, blob, now).await?;
    }
    Ok(())
}

/// Adds those that an earlier run removed and nobody has pushed since, and returns how many there are.
async fn known_missing(forge: &Forge, faults: &mut Vec<(String, Fault)>) -> Result<u64, ImageError> {
    let (mut after, mut known) = (BlobId(0), 0);
    loop {
        let mut tx = forge.db().read().await?;
        let missing = blobs::missing_after(&mut tx, after, BATCH).await?;
        let Some(last) = missing.last() else { return Ok(known) };
        after = last.id;
        for blob in missing {
            let told = faults.iter().any(|(digest, _)| *digest == blob.digest);
            if !told && blobs::is_linked(&mut tx, blob.id).await? {
                known += 1;
                faults.push((blob.digest, Fault::Missing));
            }
        }
    }
}
