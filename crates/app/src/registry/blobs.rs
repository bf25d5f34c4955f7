//! Blobs of an image: read and deleted.

use std::ops::Range;

use portcullis_registry::{BlobRead, Digest, ErrorCode, ErrorEntry};
use portcullis_rules::access::act;
use portcullis_store::{blobs, container_repositories};
use serde_json::json;

use super::{Happening, Image, ImageError, record};
use crate::Error;
use crate::access::Reading;
use crate::forge::Forge;

/// Returns how many bytes a blob of the image has. A digest is not a permission: a blob that other images have is unknown.
///
/// # Errors
/// `BLOB_UNKNOWN`.
pub async fn size(
    forge: &Forge,
    reading: &mut Reading,
    image: &Image<act::PullImage>,
    digest: &Digest,
) -> Result<u64, ImageError> {
    let tx = reading.tx(forge).await?;
    let found = blobs::find_in_image(tx, image.project(), &image.suffix, &digest.to_string()).await?;
    let blob = found.ok_or_else(|| unknown(digest))?;
    u64::try_from(blob.size).map_err(|error| ImageError::Forge(Error::Internal(error.into())))
}

/// Reads a range of a blob that has `size` bytes, or all of it.
///
/// # Errors
/// When the content is not there as it was stored.
pub async fn read(
    forge: &Forge,
    _image: &Image<act::PullImage>,
    digest: &Digest,
    size: u64,
    range: Option<Range<u64>>,
) -> Result<BlobRead, ImageError> {
    Ok(forge.blobs().read(digest, Some(size), range).await?)
}

/// Takes a blob away from the image. What is stored goes later, when nothing needs it.
///
/// # Errors
/// `BLOB_UNKNOWN`; `UNSUPPORTED` when a manifest of the image names it, or deletion is switched off.
pub async fn delete(
    forge: &Forge,
    image: &Image<act::DeleteImage>,
    digest: &Digest,
) -> Result<(), ImageError> {
    super::deletion_is_offered(forge)?;
    let name = digest.to_string();
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = image.access.again(forge, &mut tx).await?;
    let repository = container_repositories::id_of(&mut tx, image.project(), &image.suffix).await?;
    let repository = repository.ok_or_else(|| ImageError::code(ErrorCode::NameUnknown))?;
    container_repositories::lock(&mut tx, repository).await?;
    let blob = blobs::find_linked(&mut tx, repository, &name).await?.ok_or_else(|| unknown(digest))?;
    if blobs::is_referenced(&mut tx, repository, &name).await? {
        return Err(ImageError::said(
            ErrorCode::Unsupported,
            "a manifest of the repository names the blob; delete the manifest first",
        ));
    }
    blobs::unlink(&mut tx, repository, blob.id, now).await?;
    let happening = Happening {
        image: image.name.as_str(),
        action: "deleted",
        event: "container_blob_deleted",
        tag: None,
        digest: Some(&name),
    };
    record(&mut tx, &access, &happening, now).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) fn unknown(digest: &Digest) -> ImageError {
    let entry = ErrorEntry::from(ErrorCode::BlobUnknown);
    ImageError::Protocol(vec![entry.with_detail(json!({ "digest": digest.to_string() }))])
}
