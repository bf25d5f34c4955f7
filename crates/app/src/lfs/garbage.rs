//! Takes from projects the large files that no ref of theirs reaches any more. The content goes with the garbage of the blob
//! store, once nothing else has it.
//!
//! A large file is looked at when nobody relied on it for the safe age. Whether a ref reaches what names it, Git says, once a
//! day for each project. When none does, that is written down; when none does a safe age later either, the project loses
//! it. So a branch that was deleted by mistake can be pushed again. Whoever relies on the file in between, by a push that
//! names it or by asking whether it is there, takes the mark away.

use std::collections::HashMap;

use portcullis_rules::id::{BlobId, ProjectId};
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::lfs_objects::{self, LfsObject};

use crate::Error;
use crate::forge::Forge;

/// How many projects and large files are asked for at a time.
const BATCH: i64 = 500;

/// How many large files are compared with one walk through a repository; they are in memory meanwhile.
const AT_ONCE: usize = 100_000;

/// After which time a project is looked at again, in microseconds: a little less than a day.
const AGAIN_AFTER: i64 = 20 * 3600 * MICROSECONDS;

/// Takes large files away that nobody relied on since `cutoff` and that no ref reached since then, or only counts them.
/// Returns how many. A project that cannot be looked at keeps all it has.
pub(crate) async fn unlink_unreached(forge: &Forge, cutoff: i64, dry_run: bool) -> Result<u64, Error> {
    let now = forge.now();
    // A dry run looks at every project.
    let looked = if dry_run { i64::MAX } else { now - AGAIN_AFTER };
    let (mut last, mut taken) = (ProjectId(0), 0);
    loop {
        let mut tx = forge.db().read().await?;
        let projects = lfs_objects::projects_after(&mut tx, last, cutoff, looked, BATCH).await?;
        drop(tx);
        let Some(end) = projects.last() else { return Ok(taken) };
        last = *end;
        for project in projects {
            match unlink_in(forge, project, cutoff, dry_run).await {
                Ok(from_project) => taken += from_project,
                Err(error) => {
                    tracing::warn!(project.id = project.0, %error, "large files could not be compared with what refs reach");
                }
            }
        }
    }
}

async fn unlink_in(forge: &Forge, project: ProjectId, cutoff: i64, dry_run: bool) -> Result<u64, Error> {
    let (mut after, mut taken) = (BlobId(0), 0);
    loop {
        let mut candidates: HashMap<String, LfsObject> = HashMap::new();
        while candidates.len() < AT_ONCE {
            let mut tx = forge.db().read().await?;
            let some = lfs_objects::untouched_after(&mut tx, project, after, cutoff, BATCH).await?;
            let Some(end) = some.last() else { break };
            after = end.blob;
            candidates.extend(some.into_iter().map(|object| (object.digest.clone(), object)));
        }
        if candidates.is_empty() {
            break;
        }
        let mut reached = Vec::new();
        let tell = |pointer: portcullis_git::LfsPointer| {
            reached.extend(candidates.remove(&format!("sha256:{}", pointer.oid)));
        };
        forge.git().reachable_lfs_pointers(project.0, tell).await?;
        let (due, new): (Vec<LfsObject>, Vec<LfsObject>) = candidates
            .into_values()
            .filter(|object| object.unreached_at.is_none_or(|since| since < cutoff))
            .partition(|object| object.unreached_at.is_some());
        if dry_run {
            taken += due.len() as u64;
            continue;
        }
        reached.retain(|object| object.unreached_at.is_some());
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        lfs_objects::set_unreached(&mut tx, project, &blobs(&reached), None, cutoff).await?;
        lfs_objects::set_unreached(&mut tx, project, &blobs(&new), Some(now), cutoff).await?;
        taken += lfs_objects::unlink(&mut tx, project, &blobs(&due), cutoff).await?;
        tx.commit().await?;
    }
    if !dry_run {
        let mut tx = forge.db().begin().await?;
        lfs_objects::swept(&mut tx, project, forge.now()).await?;
        tx.commit().await?;
    }
    Ok(taken)
}

fn blobs(objects: &[LfsObject]) -> Vec<BlobId> {
    let mut blobs: Vec<BlobId> = objects.iter().map(|object| object.blob).collect();
    blobs.sort_unstable();
    blobs
}
