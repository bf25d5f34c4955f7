//! The queue of background jobs, as administrators see it.

use portcullis_rules::access::act;
use portcullis_rules::id::JobId;
use portcullis_store::jobs::{self as table, JobCounts, JobRecord, JobState};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// Returns the jobs that stand like `state`, or all, what is due first at the top.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    _access: &Authorized<act::ReadJobs>,
    state: Option<JobState>,
    window: Window,
) -> Result<Listing<JobRecord>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(table::list(&mut tx, state, window, forge.now()).await?)
}

/// Returns how many jobs there are, by how they stand.
///
/// # Errors
/// The database's.
pub async fn counts(forge: &Forge, _access: &Authorized<act::ReadJobs>) -> Result<JobCounts, Error> {
    let mut tx = forge.db().read().await?;
    Ok(table::counts(&mut tx, forge.now()).await?)
}

/// Has a job that failed tried again at once.
///
/// # Errors
/// [`Error::NotFound`] when there is no such job any more, or it is running.
pub async fn retry(forge: &Forge, access: &Authorized<act::RetryJob>, id: JobId) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let kind = table::retry_now(&mut tx, id, now).await?.ok_or(Error::NotFound("Job"))?;
    let entry = Entry {
        entity: "Instance",
        // There is one, and clients count on a number.
        entity_id: Some(1),
        entity_path: None,
        event: "job_retried",
        target: "Job",
        target_id: Some(id.0),
        details: json!({ "kind": kind }),
    };
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}
