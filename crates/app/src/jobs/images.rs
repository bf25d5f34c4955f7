//! Removes content that no image, upload, package or large file needs.

use std::sync::Arc;

use super::{Job, ask_at};
use crate::Error;
use crate::forge::Forge;
use crate::registry::{ImageError, garbage};

pub(super) async fn collect_garbage(forge: &Arc<Forge>) -> Result<(), Error> {
    // A registry that takes no changes keeps what it has, as for a copy of it that is being made. Where there is none, there
    // may be uploads and packages all the same.
    if forge.settings().registry_read_only {
        return Ok(());
    }
    let collected = garbage::collect(forge, false, &mut |_| {}).await.map_err(plain)?;
    if collected != garbage::Collected::default() {
        tracing::info!(
            large_files = collected.large_files,
            links = collected.links,
            blobs = collected.blobs,
            bytes = collected.bytes,
            strays = collected.strays,
            uploads = collected.uploads,
            "content that nothing needs was removed"
        );
    }
    // What a process left half deleted keeps its content from being pushed, so it does not wait for the next hour.
    if garbage::deletions_are_open(forge).await? {
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        ask_at(&mut tx, &Job::CollectGarbage, now + garbage::STALE_AFTER + 1, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn plain(error: ImageError) -> Error {
    match error {
        ImageError::Forge(error) => error,
        other => Error::Internal(Box::new(other)),
    }
}
