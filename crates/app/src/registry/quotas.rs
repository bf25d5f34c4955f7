//! How much the images, uploads and packages of a project may take, alone and with all below its top-level group.

use portcullis_rules::id::ProjectId;
use portcullis_store::blobs;
use portcullis_store::db::Tx;

use super::ImageError;
use super::protocol::ErrorCode;
use crate::Error;

/// Returns how many bytes may be added to a project; `None` is no limit.
///
/// # Errors
/// The database's.
pub(crate) async fn room(tx: &mut Tx, project: ProjectId) -> Result<Option<u64>, Error> {
    let Some(quotas) = blobs::quotas(tx, project).await? else { return Ok(None) };
    let mut room: Option<u64> = None;
    let mut narrow = |limit: i64, used: i64| {
        let left = u64::try_from(limit.saturating_sub(used)).unwrap_or(0);
        room = Some(room.map_or(left, |room| room.min(left)));
    };
    if let Some(limit) = quotas.project {
        narrow(limit, blobs::bytes_of_project(tx, project).await?);
    }
    if let Some(limit) = quotas.below_root {
        narrow(limit, blobs::bytes_below(tx, quotas.root).await?);
    }
    Ok(room)
}

/// Returns the refusal of what there is no room for.
pub(super) fn exceeded() -> ImageError {
    ImageError::said(ErrorCode::Denied, "the quota for container images of this project is exhausted")
}
