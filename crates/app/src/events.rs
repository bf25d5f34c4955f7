//! The activity feed of a project.

use portcullis_rules::access::act;
use portcullis_store::events::{self, Event, EventFilter};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// Returns a project's feed. What confidential issues are about is shown to those who may read them.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadEvents>,
    filter: &EventFilter,
    window: Window,
) -> Result<Listing<Event>, Error> {
    let confidential = access.also::<act::ReadConfidentialIssues>().is_ok();
    let filter = EventFilter { confidential, ..filter.clone() };
    let mut tx = forge.db().read().await?;
    Ok(events::list(&mut tx, access.project(), &filter, window).await?)
}
