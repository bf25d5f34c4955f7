//! The activity feed of a project, and what a group's token did in the projects below its group.

use portcullis_rules::access::act;
use portcullis_rules::bot::Home;
use portcullis_rules::id::TokenId;
use portcullis_store::access_tokens;
use portcullis_store::events::{self, Event, EventFilter};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// Of how many projects a group's token is told what it did: those in which it did something last.
const PROJECTS_OF_TOKEN: i64 = 50;

/// Leaves out what the reader may not read.
fn shown_to(access: &Authorized<act::ReadEvents>, filter: &EventFilter) -> EventFilter {
    EventFilter {
        issues: access.also::<act::ReadIssues>().is_ok(),
        confidential: access.also::<act::ReadConfidentialIssues>().is_ok(),
        merge_requests: access.also::<act::ReadMergeRequests>().is_ok(),
        internal_on_merge_requests: access.also::<act::ReadInternalMergeRequestNotes>().is_ok(),
        ..filter.clone()
    }
}

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
    let mut tx = forge.db().read().await?;
    Ok(events::list(&mut tx, access.project(), &shown_to(access, filter), window).await?)
}

/// Returns what was done with a token of a group, in those projects whose feed the caller may read and as far as they may
/// read it, with the proofs about these projects.
///
/// # Errors
/// [`Error::NotFound`] when the group has no such token.
pub async fn list_of_group_token(
    forge: &Forge,
    access: &Authorized<act::ListGroupAccessTokens>,
    token: TokenId,
    window: Window,
) -> Result<(Listing<Event>, Vec<Authorized<act::ReadEvents>>), Error> {
    let mut tx = forge.db().read().await?;
    let home = Home::Group(access.namespace().id);
    let found = access_tokens::find_at_home(&mut tx, home, token).await?;
    found.ok_or(Error::NotFound("group Access Token"))?;
    let projects = events::projects_of_token(&mut tx, token, PROJECTS_OF_TOKEN).await?;
    let proofs = access.wherever::<act::ReadEvents>(forge, &mut tx, projects).await?;
    let shown: Vec<_> =
        proofs.iter().map(|proof| (proof.project(), shown_to(proof, &EventFilter::default()))).collect();
    Ok((events::list_of_token(&mut tx, token, &shown, window).await?, proofs))
}
