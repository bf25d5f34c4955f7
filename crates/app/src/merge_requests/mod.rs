//! Merge requests: commits of one branch that somebody wants in another of the same project.

pub mod approvals;
pub mod auto_merge;
pub(crate) mod branches;
pub mod changes;
pub mod changing;
pub(crate) mod merged;
pub mod merging;
pub mod opening;
pub mod rebase;
pub mod refresh;
pub mod relations;
pub mod standing;

use std::sync::Arc;

use portcullis_git::ObjectId;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::closing::{self, Home};
use portcullis_rules::id::MergeRequestId;
use portcullis_store::db::{self, Tx};
use portcullis_store::discussions;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::issues::Sight;
use portcullis_store::labels::Label;
use portcullis_store::merge_requests::{
    self, Involvement, MergeRequest, MergeRequestFilter, MergeRequestRelation, MergeRequestsOf,
};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::projects::{self, Merging};
use portcullis_store::select::{Listing, Window};
use portcullis_store::subscriptions::{self, Subscribable};
use portcullis_store::users::User;

use crate::Error;
use crate::access::{Authorized, NamespaceFacts, Place, Viewer};
use crate::forge::Forge;
use crate::noteables::{CommentedOn, Counts, CountsById, OnMergeRequest};

/// Commits of the target branch that the source branch lacks are counted up to this many.
const MAX_COUNTED_COMMITS: u32 = 10_000;

/// Whose merge requests a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// Those the viewer opened.
    CreatedByMe,
    /// Those the viewer is assigned to.
    AssignedToMe,
    /// Those the viewer is asked to review.
    ReviewsForMe,
}

/// A merge request with what is read beside it.
#[derive(Clone, Debug)]
pub struct MergeRequestDetails {
    /// The merge request.
    pub merge_request: MergeRequest,
    /// Its labels, in order.
    pub labels: Vec<Label>,
    /// Who is to deal with it.
    pub assignees: Vec<User>,
    /// Who is to review it.
    pub reviewers: Vec<User>,
    /// The whole path of its project.
    pub project_path: String,
    /// How its project merges.
    pub merging: Merging,
    /// What is in the way of merging it, in GitLab's words.
    pub standing: &'static str,
    /// What is counted beside it.
    pub counts: Counts,
    /// Whether a discussion on it is not settled.
    pub has_open_discussions: bool,
}

/// A merge request with what is told of it alone.
#[derive(Clone, Debug)]
pub struct MergeRequestAlone {
    /// The merge request.
    pub details: MergeRequestDetails,
    /// Whether the viewer may merge it, as far as that is up to them.
    pub may_merge: bool,
    /// Whether the viewer wants to be told of it.
    pub subscribed: bool,
    /// How many commits of the target branch its source branch lacks, if that was asked.
    pub diverged_commits: Option<u32>,
}

/// Returns whether the holder of `access` is shown internal comments.
pub(crate) fn sees_internal<A: Act<On = on::Project>>(access: &Authorized<A>) -> bool {
    OnMergeRequest::note_sight(access) == Sight::Everything
}

/// Returns the merge request with this number. Whatever is asked about one asks whether it may be read as well: what is open
/// to everybody who signed in is open to a Guest of a private project, who reads none.
///
/// # Errors
/// [`Error::Refused`] for who may not read it; [`Error::NotFound`] when the project has none.
pub(crate) async fn get_in<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    iid: i64,
) -> Result<MergeRequest, Error> {
    access.also::<act::ReadMergeRequests>()?;
    let found = merge_requests::find(tx, access.project(), iid, sees_internal(access)).await?;
    found.ok_or(Error::NotFound("Merge Request"))
}

/// Adds to merge requests what is read beside them: once for all of them.
pub(crate) async fn with_details(
    tx: &mut Tx,
    found: Vec<MergeRequest>,
) -> Result<Vec<MergeRequestDetails>, Error> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = found.iter().map(|merge_request| merge_request.id.0).collect();
    let labels = merge_requests::labels_of(tx, &ids).await?;
    let assignees = merge_requests::involved_in(tx, &ids, Involvement::Assignee).await?;
    let reviewers = merge_requests::involved_in(tx, &ids, Involvement::Reviewer).await?;
    let mut projects: Vec<_> = found.iter().map(|merge_request| merge_request.project.0).collect();
    projects.sort_unstable();
    projects.dedup();
    let places = projects::merge_places(tx, &projects).await?;
    let counts = CountsById::of_merge_requests(tx, &ids).await?;
    let unresolved = discussions::unresolved(tx, &ids).await?;
    let own = |people: &[(i64, User)], id: i64| {
        people.iter().filter(|(of, _)| *of == id).map(|(_, user)| user.clone()).collect()
    };
    let mergings = found.iter().filter_map(|merge_request| {
        let place = places.iter().find(|place| place.project == merge_request.project)?;
        Some((merge_request, &place.merging))
    });
    let around = standing::circumstances(tx, &mergings.collect::<Vec<_>>()).await?;
    // A project that was deleted a moment ago is gone with its merge requests.
    let details = found.into_iter().filter_map(|merge_request| {
        let id = merge_request.id.0;
        let place = places.iter().find(|place| place.project == merge_request.project)?;
        Some(MergeRequestDetails {
            labels: labels.iter().filter(|(of, _)| *of == id).map(|(_, label)| label.clone()).collect(),
            assignees: own(&assignees, id),
            reviewers: own(&reviewers, id),
            project_path: place.full_path.clone(),
            merging: place.merging,
            standing: standing::detailed_status(
                &merge_request,
                &place.merging,
                &around.get(&merge_request.id).copied().unwrap_or_default(),
            ),
            counts: counts.of(id),
            has_open_discussions: unresolved.iter().any(|(of, _)| *of == id),
            merge_request,
        })
    });
    Ok(details.collect())
}

/// Returns the merge request with this number, with what is told of it alone.
pub(crate) async fn get_alone<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    iid: i64,
) -> Result<MergeRequestAlone, Error> {
    let merge_request = get_in(tx, access, iid).await?;
    let may_merge = standing::can_merge_into(tx, access, &merge_request.target_branch).await?;
    let details = with_details(tx, vec![merge_request]).await?.pop();
    let details = details.ok_or(Error::NotFound("Merge Request"))?;
    let subscribed = match access.viewer().identity() {
        Some(identity) => {
            let to = Subscribable::MergeRequest(details.merge_request.id);
            subscriptions::is_subscribed(tx, to, identity.user).await?
        }
        None => false,
    };
    Ok(MergeRequestAlone { details, may_merge, subscribed, diverged_commits: None })
}

async fn list_of(
    forge: &Forge,
    viewer: &Viewer,
    (of, internal_shown): (MergeRequestsOf, bool),
    scope: Scope,
    filter: MergeRequestFilter,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error> {
    let user = viewer.identity().map(|identity| identity.user);
    let relation = match (scope, user) {
        (Scope::All, _) => None,
        (Scope::CreatedByMe, Some(user)) => Some(MergeRequestRelation::Author(user)),
        (Scope::AssignedToMe, Some(user)) => Some(MergeRequestRelation::Assignee(user)),
        (Scope::ReviewsForMe, Some(user)) => Some(MergeRequestRelation::Reviewer(user)),
        // A visitor without a name has opened nothing and is asked for nothing.
        (_, None) => return Ok(Listing { items: Vec::new(), total: Some(0) }),
    };
    let filter = MergeRequestFilter { of: relation, ..filter };
    let mut tx = forge.db().read().await?;
    let found = merge_requests::list(&mut tx, of, internal_shown, &filter, window, forge.now()).await?;
    Ok(Listing { items: with_details(&mut tx, found.items).await?, total: found.total })
}

/// Returns the merge requests of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    scope: Scope,
    filter: MergeRequestFilter,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error> {
    let of = MergeRequestsOf::Project(access.project());
    list_of(forge, access.viewer(), (of, sees_internal(access)), scope, filter, window).await
}

/// Returns the merge requests of the projects in a group, or anywhere below it, as far as the viewer may read them.
///
/// # Errors
/// The database's.
pub async fn list_of_group<A: Act>(
    forge: &Forge,
    access: &Authorized<A>,
    scope: Scope,
    filter: MergeRequestFilter,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error>
where
    A::On: Place<Found = NamespaceFacts>,
{
    let of = MergeRequestsOf::Group(access.namespace().id, access.viewer().audience());
    list_of(forge, access.viewer(), (of, false), scope, filter, window).await
}

/// Returns the merge requests of every project in which the viewer may read them.
///
/// # Errors
/// The database's.
pub async fn list_everywhere(
    forge: &Forge,
    access: &Authorized<act::ListMergeRequests>,
    scope: Scope,
    filter: MergeRequestFilter,
    window: Window,
) -> Result<Listing<MergeRequestDetails>, Error> {
    let of = MergeRequestsOf::Everywhere(access.viewer().audience());
    list_of(forge, access.viewer(), (of, false), scope, filter, window).await
}

/// Whether it is counted how many commits of the target branch a source branch lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DivergedCommits {
    /// They are.
    Counted,
    /// They are not.
    Ignored,
}

/// Returns the merge request with this number.
///
/// # Errors
/// [`Error::NotFound`] when the project has none.
pub async fn get(
    forge: &Arc<Forge>,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    diverged: DivergedCommits,
) -> Result<MergeRequestAlone, Error> {
    refresh::settle_now(forge, access, iid).await;
    let mut tx = forge.db().read().await?;
    let mut alone = get_alone(&mut tx, access, iid).await?;
    drop(tx);
    if diverged == DivergedCommits::Counted {
        let heads = &alone.details.merge_request.heads;
        let count = match (ObjectId::parse(&heads.head), ObjectId::parse(&heads.start)) {
            (Some(head), Some(start)) => {
                let id = access.project().0;
                forge.git().count_commits(id, &[head], &start, MAX_COUNTED_COMMITS).await
            }
            _ => Ok(0),
        };
        alone.diverged_commits = Some(match count {
            // The branches may have been pushed over since they were last looked at.
            Err(portcullis_git::Error::NotFound) => 0,
            other => other?,
        });
    }
    Ok(alone)
}

/// Notes in the feed what was done to a merge request.
pub(crate) async fn record_event<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    action: &str,
    (id, iid, title): (MergeRequestId, i64, &str),
    now: i64,
) -> Result<(), Error> {
    let identity = access.identity()?;
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action,
        target_type: Some("MergeRequest"),
        target_id: Some(id.0),
        target_iid: Some(iid),
        target_title: Some(title),
        details: None,
    };
    events::insert(tx, &event, now).await?;
    projects::record_activity(tx, access.project(), now).await?;
    Ok(())
}

/// Says among the comments what was done, in the name of who did it.
pub(crate) async fn add_system_note<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    id: MergeRequestId,
    body: &str,
    now: i64,
) -> Result<(), Error> {
    let note = NewNote {
        project: access.project(),
        on: Noteable::MergeRequest(id),
        author: access.identity()?.user,
        body,
        system: true,
        internal: false,
    };
    notes::insert(tx, &note, now).await?;
    Ok(())
}

/// Records which issues a merge request closes when it is merged, as its title and description say.
async fn record_closed_issues<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    (id, title, description): (MergeRequestId, &str, Option<&str>),
) -> Result<(), Error> {
    let base_url = forge.base_url();
    let home = Home { full_path: &access.place().full_path, base_url: &base_url };
    let text = format!("{title}\n\n{}", description.unwrap_or_default());
    let iids = closing::closed_issues(&text, home);
    Ok(merge_requests::set_closed_issues(tx, id, &iids).await?)
}

/// The answer to branches that another open merge request has.
fn taken(iid: Option<i64>) -> Error {
    let which = iid.map(|iid| format!(": !{iid}")).unwrap_or_default();
    Error::Conflict(format!("Another open merge request already exists for this source branch{which}"))
}

/// What the database says when two take the same branches at the same time is what the second would have been told.
fn taken_meanwhile(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => taken(None),
        other => other.into(),
    }
}

/// The answer to one branch in both places.
fn same_branch() -> Error {
    Error::Unprocessable("You can't use same project/branch for source and target".to_owned())
}
