//! Links between issues. Both issues must be shown to whoever sees the link; who makes one must be allowed to in both
//! projects.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::IssueLinkId;
use portcullis_rules::names::IdOrPath;
use portcullis_store::db::Tx;
use portcullis_store::issue_links::{self, IssueLink};
use portcullis_store::issues::{self, Issue};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::issues::{IssueDetails, all_with_details, get_visible};

/// The most links an issue has.
const MAX_LINKS: i64 = 500;

/// A link as seen from one of its issues, with what is told of the other one.
#[derive(Clone, Debug)]
pub struct LinkedIssue {
    /// The id of the link.
    pub id: IssueLinkId,
    /// When the two were linked, in Unix microseconds.
    pub created_at: i64,
    /// The issue at the other end.
    pub details: IssueDetails,
    /// The whole path of its project.
    pub project_path: String,
}

/// A link with both of its issues.
#[derive(Clone, Debug)]
pub struct LinkedPair {
    /// The issue it is seen from.
    pub source: IssueDetails,
    /// The whole path of its project.
    pub source_path: String,
    /// The issue at the other end.
    pub target: LinkedIssue,
}

async fn with_details(tx: &mut Tx, links: Vec<IssueLink>) -> Result<Vec<LinkedIssue>, Error> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for IssueLink { id, created_at, issue, project_path } in links {
        found.push((id, created_at, project_path));
        others.push(issue);
    }
    let details = all_with_details(tx, others).await?;
    let joined = found.into_iter().zip(details).map(|((id, created_at, project_path), details)| {
        LinkedIssue { id, created_at, details, project_path }
    });
    Ok(joined.collect())
}

/// Returns the issues that an issue is linked with, of those that the viewer is shown.
///
/// # Errors
/// [`Error::NotFound`] when there is no such issue for this viewer.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    window: Window,
) -> Result<Listing<LinkedIssue>, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    let audience = access.viewer().audience();
    let found = issue_links::list(&mut tx, issue.id, None, audience, window, forge.now()).await?;
    Ok(Listing { items: with_details(&mut tx, found.items).await?, total: found.total })
}

async fn get_pair<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    issue: Issue,
    id: IssueLinkId,
) -> Result<LinkedPair, Error> {
    let window = Window { limit: 1, offset: 0 };
    let audience = access.viewer().audience();
    let found = issue_links::list(tx, issue.id, Some(id), audience, window, forge.now()).await?;
    let target = with_details(tx, found.items).await?.pop().ok_or(Error::NotFound("Issue Link"))?;
    let source = all_with_details(tx, vec![issue]).await?.pop().ok_or(Error::NotFound("Issue"))?;
    Ok(LinkedPair { source, source_path: access.place().full_path.clone(), target })
}

/// Returns one link of an issue.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this viewer.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    id: IssueLinkId,
) -> Result<LinkedPair, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    get_pair(forge, &mut tx, access, issue, id).await
}

/// Links an issue with another one, of this project or of another.
///
/// # Errors
/// [`Error::NotFound`] when either is not there for this caller; [`Error::Refused`] when they may not link issues in the
/// other project; [`Error::Conflict`] when the two are linked; [`Error::Unprocessable`] when an issue has too many links;
/// [`Error::BadRequest`] when both are the same.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::LinkIssues>,
    iid: i64,
    (target_project, target_iid): (Option<IdOrPath>, i64),
) -> Result<LinkedPair, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let other = access.elsewhere::<act::LinkIssues>(forge, &mut tx, target_project).await?;
    // In one order, so that two who link the same issues do not wait for each other.
    let mut places = [(access.project(), iid), (other.project(), target_iid)];
    places.sort_unstable();
    for (project, iid) in places {
        issues::lock(&mut tx, project, iid).await?;
    }
    let source = get_visible(&mut tx, &access, iid).await?;
    let target = get_visible(&mut tx, &other, target_iid).await?;
    if source.id == target.id {
        return Err(Error::BadRequest("An issue cannot be linked with itself".to_owned()));
    }
    if issue_links::find_between(&mut tx, source.id, target.id).await?.is_some() {
        return Err(Error::Conflict("Issue(s) already assigned".to_owned()));
    }
    for issue in [&source, &target] {
        if issue_links::count(&mut tx, issue.id).await? >= MAX_LINKS {
            let problem = format!("An issue has too many links (maximum is {MAX_LINKS})");
            return Err(Error::Unprocessable(problem));
        }
    }
    let id = issue_links::insert(&mut tx, source.id, target.id, now).await?;
    record(&mut tx, &access, "issue_link_created", (id, iid, &target), now).await?;
    let pair = get_pair(forge, &mut tx, &access, source, id).await?;
    tx.commit().await?;
    Ok(pair)
}

async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    event: &'static str,
    (id, iid, target): (IssueLinkId, i64, &Issue),
    now: i64,
) -> Result<(), Error> {
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let details =
        json!({ "issue_iid": iid, "target_project_id": target.project.0, "target_issue_iid": target.iid });
    audit::record(tx, access.viewer(), entry.target("IssueLink", id.0).details(details), now).await
}

/// Takes a link of an issue away.
///
/// # Errors
/// [`Error::NotFound`] when there is none for this caller.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::LinkIssues>,
    iid: i64,
    id: IssueLinkId,
) -> Result<LinkedPair, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    let source = issue.id;
    let pair = get_pair(forge, &mut tx, &access, issue, id).await?;
    issue_links::delete(&mut tx, source, id).await?;
    record(&mut tx, &access, "issue_link_deleted", (id, iid, &pair.target.details.issue), now).await?;
    tx.commit().await?;
    Ok(pair)
}
