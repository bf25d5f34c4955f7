//! The activity feed of a project.

use portcullis_rules::access::act;
use portcullis_store::events::{self, Event, EventFilter};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// Returns a project's feed. What is about issues, confidential ones, merge requests and internal comments is shown to
/// those who may read them.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadEvents>,
    filter: &EventFilter,
    window: Window,
) -> Result<Listing<Event>, Error> {
    let filter = EventFilter {
        issues: access.also::<act::ReadIssues>().is_ok(),
        confidential: access.also::<act::ReadConfidentialIssues>().is_ok(),
        merge_requests: access.also::<act::ReadMergeRequests>().is_ok(),
        internal_on_merge_requests: access.also::<act::ReadInternalMergeRequestNotes>().is_ok(),
        ..filter.clone()
    };
    let mut tx = forge.db().read().await?;
    Ok(events::list(&mut tx, access.project(), &filter, window).await?)
}
