//! What merge requests have to do with issues, commits and users.

use std::collections::HashSet;

use portcullis_git::ObjectId;
use portcullis_rules::access::act;
use portcullis_rules::closing::{self, Home};
use portcullis_store::issues::IssueFilter;
use portcullis_store::merge_requests::{
    self, Ends, MergeRequestFilter, MergeRequestOrder, MergeRequestState,
};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::User;

use super::{MergeRequestDetails, Scope, get_in, list, sees_internal};
use crate::Error;
use crate::access::Authorized;
use crate::commits::resolved;
use crate::forge::Forge;
use crate::issues::{self, IssueDetails};

/// Of this many merge requests, the latest of a project, it is found out whether they bring a commit.
const MAX_LOOKED_AT: i64 = 500;

fn empty<T>() -> Listing<T> {
    Listing { items: Vec::new(), total: Some(0) }
}

/// Returns those of the issues with these numbers that the viewer is shown.
async fn issues_with(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iids: Vec<i64>,
    window: Window,
) -> Result<Listing<IssueDetails>, Error> {
    let Ok(access) = access.also::<act::ReadIssues>() else { return Ok(empty()) };
    let filter = IssueFilter { iids: Some(iids), ascending: true, ..IssueFilter::default() };
    issues::list(forge, &access, issues::Scope::All, filter, window).await
}

/// Returns the issues that a merge request closes when it is merged: none when that is not into the default branch, or the
/// project closes none.
///
/// # Errors
/// [`Error::NotFound`] when there is no such merge request.
pub async fn closes_issues(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<IssueDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    if !project.merging.closes_issues || project.default_branch != merge_request.target_branch {
        return Ok(empty());
    }
    let iids = merge_requests::closed_issues(&mut tx, merge_request.id).await?;
    drop(tx);
    issues_with(forge, access, iids, window).await
}

/// Returns the issues that a merge request names in its title and description.
///
/// # Errors
/// [`Error::NotFound`] when there is no such merge request.
pub async fn related_issues(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<IssueDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    drop(tx);
    let base_url = forge.base_url();
    let home = Home { full_path: &access.place().full_path, base_url: &base_url };
    let text =
        format!("{}\n\n{}", merge_request.title, merge_request.description.as_deref().unwrap_or_default());
    issues_with(forge, access, closing::named_issues(&text, home), window).await
}

/// Returns the merge requests that close an issue when they are merged, or did so.
///
/// # Errors
/// [`Error::NotFound`] when there is no such issue for this viewer.
pub async fn closing_issue(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let issue = issues::get_visible(&mut tx, access, iid).await?;
    let Ok(access) = access.also::<act::ReadMergeRequests>() else { return Ok(empty()) };
    let ids = merge_requests::closing(&mut tx, access.project(), issue.id).await?;
    drop(tx);
    let filter = MergeRequestFilter { ids: Some(ids), ascending: true, ..MergeRequestFilter::default() };
    list(forge, &access, Scope::All, filter, window).await
}

/// Returns who takes part in a merge request.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn participants(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<User>, Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    Ok(merge_requests::participants(&mut tx, merge_request.id, sees_internal(access), window).await?)
}

/// Returns the merge requests that bring a commit, or that were merged by making it. Commits themselves are looked for in
/// the latest merge requests only.
///
/// # Errors
/// [`Error::NotFound`] when the repository has no such commit; [`Error::Overloaded`] when looking takes too long.
pub async fn of_commit(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    state: Option<MergeRequestState>,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error> {
    let commit = resolved(forge, access, revision).await?.id;
    let Ok(access) = access.also::<act::ReadMergeRequests>() else { return Ok(empty()) };
    let mut tx = forge.db().read().await?;
    let mut ids = merge_requests::with_commit(&mut tx, access.project(), commit.as_str()).await?;
    let ends = merge_requests::latest_ends(&mut tx, access.project(), MAX_LOOKED_AT).await?;
    drop(tx);
    let objects: HashSet<_> = ends
        .iter()
        .flat_map(|ends| [Some(&ends.head), ends.base.as_ref()])
        .flatten()
        .filter_map(|id| ObjectId::parse(id))
        .collect();
    let objects: Vec<_> = objects.into_iter().collect();
    let after = match forge.git().descendants_among(access.project().0, &commit, &objects).await {
        Ok(after) => after,
        // So much came after it that only what the records say is answered.
        Err(portcullis_git::Error::BadRequest(_)) => HashSet::new(),
        Err(error) => return Err(error.into()),
    };
    ids.extend(ends.iter().filter(|ends| brings(ends, &commit, &after)).map(|ends| ends.id));
    let filter = MergeRequestFilter {
        ids: Some(ids),
        state,
        order: MergeRequestOrder::Created,
        ..MergeRequestFilter::default()
    };
    list(forge, &access, Scope::All, filter, window).await
}

/// Returns whether a commit is one of those between a merge request's base and its head; `after` are those of the commits
/// asked about that come after it.
fn brings(ends: &Ends, commit: &ObjectId, after: &HashSet<ObjectId>) -> bool {
    let reaches =
        |id: &str| id == commit.as_str() || ObjectId::parse(id).is_some_and(|id| after.contains(&id));
    reaches(&ends.head) && !ends.base.as_deref().is_some_and(reaches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_brought_by_what_ends_after_it_and_begins_before_it() {
        let id = |digit: char| ObjectId::parse(&digit.to_string().repeat(40)).unwrap();
        let ends = |head: char, base: Option<char>| Ends {
            id: 1,
            head: id(head).as_str().to_owned(),
            base: base.map(|base| id(base).as_str().to_owned()),
        };
        // History: 1, 2, 3, 4; the commit is 2.
        let after = HashSet::from([id('3'), id('4')]);
        for (head, base, expected) in [
            ('2', Some('1'), true),
            ('3', Some('1'), true),
            ('4', None, true),
            ('3', Some('2'), false),
            ('4', Some('3'), false),
            ('1', None, false),
        ] {
            assert_eq!(brings(&ends(head, base), &id('2'), &after), expected, "{base:?}..{head}");
        }
    }
}
