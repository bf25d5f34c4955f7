//! Issues.
//!
//! A confidential issue does not exist for those who may not see it: whoever is below Reporter and neither wrote it nor
//! is assigned to it. Every function looks it up with that [`Sight`], inside its project.

use jiff::civil::Date;
use portcullis_rules::access::{Act, Role, act, on};
use portcullis_rules::id::{IssueId, MilestoneId, UserId};
use portcullis_rules::names::DisplayName;
use portcullis_rules::token::midnight;
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::issues::{
    self, Issue, IssueFilter, IssueState, IssuesOf, MAX_ASSIGNEES, MAX_LABELS, NewIssue, Relation, Sight,
};
use portcullis_store::members::{self, MemberFilter, Place, Reach};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use portcullis_store::subscriptions::{self, Subscribable};
use portcullis_store::users::User;
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, NamespaceFacts, Place as PlaceOfAccess, Viewer};
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::labels;
use crate::milestones;
use crate::noteables::{Counts, CountsById};
use crate::webhooks::occasions;

/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION_CHARACTERS: usize = 1_048_576;

/// The longest label, in characters.
const MAX_LABEL_CHARACTERS: usize = 255;

/// Whose issues a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    #[default]
    All,
    /// Those the viewer wrote.
    CreatedByMe,
    /// Those the viewer is assigned to.
    AssignedToMe,
}

/// An issue with what is read beside it.
#[derive(Clone, Debug)]
pub struct IssueDetails {
    /// The issue.
    pub issue: Issue,
    /// Its labels, in order.
    pub labels: Vec<String>,
    /// Who is to deal with it.
    pub assignees: Vec<User>,
    /// What is counted beside it.
    pub counts: Counts,
    /// Whether the viewer wants to be told of it, where that was asked: for an issue alone.
    pub subscribed: bool,
}

/// What an issue is asked for with.
#[derive(Clone, Debug, Default)]
pub struct NewIssueRequest {
    /// What it is about.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// Its labels; kept only from those who may update any issue.
    pub labels: Vec<String>,
    /// Who is to deal with it: those of them who are members; kept like the labels.
    pub assignees: Vec<UserId>,
    /// When it is due; kept like the labels.
    pub due_date: Option<Date>,
    /// What it is planned for; kept like the labels.
    pub milestone: Option<MilestoneId>,
    /// Whether it is confidential.
    pub confidential: bool,
    /// When it is said to have been made, in Unix microseconds; kept only from an Owner, and never in the future.
    pub created_at: Option<i64>,
}

/// What is to change about an issue; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct IssueChanges {
    /// What it is about.
    pub title: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Whether it is open.
    pub state: Option<IssueState>,
    /// All its labels. This and everything below is kept only from those who may update any issue.
    pub labels: Option<Vec<String>>,
    /// Labels it gets.
    pub add_labels: Vec<String>,
    /// Labels it loses.
    pub remove_labels: Vec<String>,
    /// Who is to deal with it.
    pub assignees: Option<Vec<UserId>>,
    /// When it is due; `Some(None)` means never.
    pub due_date: Option<Option<Date>>,
    /// What it is planned for; `Some(None)` means nothing.
    pub milestone: Option<Option<MilestoneId>>,
    /// Whether it is confidential.
    pub confidential: Option<bool>,
    /// Whether only members may comment.
    pub discussion_locked: Option<bool>,
}

/// Returns how much of the tracker the holder of `access` is shown.
pub(crate) fn sight<A: Act<On = on::Project>>(access: &Authorized<A>) -> Sight {
    match access.viewer().identity() {
        _ if access.also::<act::ReadConfidentialIssues>().is_ok() => Sight::Everything,
        Some(identity) => Sight::Own(identity.user),
        None => Sight::Open,
    }
}

/// Returns the issue with this number, if the holder of `access` is shown it.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for them: the two are not told apart.
pub(crate) async fn get_visible<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    iid: i64,
) -> Result<Issue, Error> {
    issues::find(tx, access.project(), iid, sight(access)).await?.ok_or(Error::NotFound("Issue"))
}

/// Returns an issue with what is told of it alone.
pub(crate) async fn with_details<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    issue: Issue,
) -> Result<IssueDetails, Error> {
    let subscribed = match access.viewer().identity() {
        Some(identity) => {
            subscriptions::is_subscribed(tx, Subscribable::Issue(issue.id), identity.user).await?
        }
        None => false,
    };
    let details = all_with_details(tx, vec![issue]).await?.pop().ok_or(Error::NotFound("Issue"))?;
    Ok(IssueDetails { subscribed, ..details })
}

/// Returns several issues with what is told of each in a list.
pub(crate) async fn all_with_details(tx: &mut Tx, issues: Vec<Issue>) -> Result<Vec<IssueDetails>, Error> {
    let ids: Vec<_> = issues.iter().map(|issue| issue.id.0).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let labels = issues::labels_of(tx, &ids).await?;
    let assignees = issues::assignees_of(tx, &ids).await?;
    let counts = CountsById::of_issues(tx, &ids).await?;
    let with_details = |issue: Issue| {
        let id = issue.id.0;
        IssueDetails {
            labels: labels.iter().filter(|(of, _)| *of == id).map(|(_, label)| label.clone()).collect(),
            assignees: assignees.iter().filter(|(of, _)| *of == id).map(|(_, user)| user.clone()).collect(),
            counts: counts.of(id),
            subscribed: false,
            issue,
        }
    };
    Ok(issues.into_iter().map(with_details).collect())
}

/// Returns the issues of a project that the viewer is shown.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    scope: Scope,
    filter: IssueFilter,
    window: Window,
) -> Result<Listing<IssueDetails>, Error> {
    let Some(filter) = of_scope(access.viewer(), scope, filter) else {
        return Ok(Listing { items: Vec::new(), total: Some(0) });
    };
    let mut tx = forge.db().read().await?;
    let found = issues::list(&mut tx, access.project(), sight(access), &filter, window).await?;
    Ok(Listing { items: all_with_details(&mut tx, found.items).await?, total: found.total })
}

/// Narrows a list to those that belong to the viewer in this way, or returns none when nothing does.
fn of_scope(viewer: &Viewer, scope: Scope, filter: IssueFilter) -> Option<IssueFilter> {
    let user = viewer.identity().map(|identity| identity.user);
    let of = match (scope, user) {
        (Scope::All, _) => None,
        (Scope::CreatedByMe, Some(user)) => Some(Relation::Author(user)),
        (Scope::AssignedToMe, Some(user)) => Some(Relation::Assignee(user)),
        // A visitor without a name has written nothing and is assigned to nothing.
        (_, None) => return None,
    };
    Some(IssueFilter { of, ..filter })
}

/// An issue in a list of several projects.
#[derive(Clone, Debug)]
pub struct IssueOfProject {
    /// The issue.
    pub details: IssueDetails,
    /// The whole path of its project.
    pub project_path: String,
}

async fn list_across(
    forge: &Forge,
    viewer: &Viewer,
    of: IssuesOf,
    (scope, filter): (Scope, IssueFilter),
    window: Window,
) -> Result<Listing<IssueOfProject>, Error> {
    let Some(filter) = of_scope(viewer, scope, filter) else {
        return Ok(Listing { items: Vec::new(), total: Some(0) });
    };
    let mut tx = forge.db().read().await?;
    let found = issues::list_across(&mut tx, of, viewer.audience(), &filter, window, forge.now()).await?;
    let (paths, issues): (Vec<_>, Vec<_>) =
        found.items.into_iter().map(|found| (found.project_path, found.issue)).unzip();
    let details = all_with_details(&mut tx, issues).await?.into_iter().zip(paths);
    let items = details.map(|(details, project_path)| IssueOfProject { details, project_path }).collect();
    Ok(Listing { items, total: found.total })
}

/// Returns the issues of the projects in a group, or anywhere below it, that the viewer is shown.
///
/// # Errors
/// The database's.
pub async fn list_of_group<A: Act>(
    forge: &Forge,
    access: &Authorized<A>,
    scope: Scope,
    filter: IssueFilter,
    window: Window,
) -> Result<Listing<IssueOfProject>, Error>
where
    A::On: PlaceOfAccess<Found = NamespaceFacts>,
{
    let of = IssuesOf::Group(access.namespace().id);
    list_across(forge, access.viewer(), of, (scope, filter), window).await
}

/// Returns the issues of every project that the viewer is shown.
///
/// # Errors
/// The database's.
pub async fn list_everywhere(
    forge: &Forge,
    access: &Authorized<act::ListIssues>,
    scope: Scope,
    filter: IssueFilter,
    window: Window,
) -> Result<Listing<IssueOfProject>, Error> {
    list_across(forge, access.viewer(), IssuesOf::Everywhere, (scope, filter), window).await
}

/// Returns the issue with this number.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this viewer.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
) -> Result<IssueDetails, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    with_details(&mut tx, access, issue).await
}

/// Notes what is wrong with a long text. A NUL is no character of a text, and not every database stores it.
pub(crate) fn check_text(fields: &mut FieldErrors, field: &'static str, text: &str, max_characters: usize) {
    if text.chars().count() > max_characters {
        fields.add(field, format!("is too long (maximum is {max_characters} characters)"));
    }
    if text.contains('\0') {
        fields.add(field, "can't contain NUL characters");
    }
}

/// Returns labels without surrounding space, each once; notes what is wrong with them.
pub(crate) fn checked_labels(
    fields: &mut FieldErrors,
    field: &'static str,
    labels: &[String],
) -> Vec<String> {
    let mut checked: Vec<String> = Vec::new();
    for label in labels.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        if checked.len() == MAX_LABELS {
            fields.add(field, format!("are too many (maximum is {MAX_LABELS})"));
            break;
        }
        if label.chars().count() > MAX_LABEL_CHARACTERS {
            fields.add(field, format!("are too long (maximum is {MAX_LABEL_CHARACTERS} characters)"));
            break;
        }
        if label.chars().any(|character| character.is_control() || character == ',') {
            fields.add(field, "can't contain commas or control characters");
            break;
        }
        if !checked.iter().any(|known| known == label) {
            checked.push(label.to_owned());
        }
    }
    checked
}

pub(crate) fn check_assignees(fields: &mut FieldErrors, field: &'static str, assignees: &[UserId]) {
    if assignees.len() > MAX_ASSIGNEES {
        fields.add(field, format!("are too many (maximum is {MAX_ASSIGNEES})"));
    }
}

/// Returns those of `users` who can be assigned: living members, inherited ones too. Others are passed over, as in
/// GitLab, so that nobody learns here who exists.
pub(crate) async fn assignable<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    users: &[UserId],
    now: i64,
) -> Result<Vec<UserId>, Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let filter = MemberFilter { query: None, users: users.iter().map(|user| user.0).collect() };
    let window = Window { limit: MAX_ASSIGNEES as i64, offset: 0 };
    let place = Place::Project(access.project());
    let found = members::list(tx, place, Reach::Inherited, &filter, window, now).await?;
    Ok(found.items.into_iter().map(|member| member.user.id).collect())
}

async fn record_event<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    action: &str,
    (id, iid, title): (IssueId, i64, &str),
    now: i64,
) -> Result<(), Error> {
    let identity = access.identity()?;
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action,
        target_type: Some("Issue"),
        target_id: Some(id.0),
        target_iid: Some(iid),
        target_title: Some(title),
        details: None,
    };
    events::insert(tx, &event, now).await?;
    projects::record_activity(tx, access.project(), now).await?;
    Ok(())
}

/// Opens an issue.
///
/// # Errors
/// [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateIssue>,
    request: NewIssueRequest,
) -> Result<IssueDetails, Error> {
    let mut fields = FieldErrors::default();
    let title = fields.take("title", DisplayName::parse(&request.title));
    check_text(
        &mut fields,
        "description",
        request.description.as_deref().unwrap_or_default(),
        MAX_DESCRIPTION_CHARACTERS,
    );
    let labels = checked_labels(&mut fields, "labels", &request.labels);
    check_assignees(&mut fields, "assignee_ids", &request.assignees);
    fields.finish()?;
    let title = title.ok_or(Error::NotFound("title"))?;

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    let may_plan = access.also::<act::UpdateIssue>().is_ok();
    let may_backdate = access.role() == Some(Role::Owner);
    let iid = projects::next_issue_iid(&mut tx, access.project(), now).await?;
    let iid = iid.ok_or(Error::NotFound("Project"))?;
    let new = NewIssue {
        project: access.project(),
        iid,
        author: identity.user,
        title: title.as_str(),
        description: request.description.as_deref(),
        confidential: request.confidential,
        due_date: request.due_date.filter(|_| may_plan).map(midnight),
        created_at: request.created_at.filter(|at| may_backdate && *at <= now).unwrap_or(now),
    };
    let id = issues::insert(&mut tx, &new, now).await?;
    if may_plan {
        let assignees = assignable(&mut tx, &access, &request.assignees, now).await?;
        labels::ensure(&mut tx, &access, &labels, now).await?;
        issues::set_labels(&mut tx, id, &labels).await?;
        issues::set_assignees(&mut tx, id, &assignees).await?;
        if let Some(milestone) = request.milestone {
            let milestone = milestones::get_for_issue(&mut tx, &access, milestone).await?;
            issues::set_milestone(&mut tx, access.project(), id, Some(milestone.id)).await?;
        }
    }
    record_event(&mut tx, &access, "opened", (id, iid, title.as_str()), now).await?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "issue_created");
        let entry = entry.target("Issue", id.0).details(json!({ "iid": iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    let issue = get_visible(&mut tx, &access, iid).await?;
    let details = with_details(&mut tx, &access, issue).await?;
    occasions::issue(forge, &mut tx, &access, &details, "open").await?;
    tx.commit().await?;
    Ok(details)
}

/// Changes an issue. Its author may change what it says and whether it is open; everything else, and other people's
/// issues, need the permission to update any. What an author may not change is passed over, as in GitLab.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or none for this caller; [`Error::Refused`] when it is somebody else's;
/// [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::UpdateOwnIssue>,
    iid: i64,
    changes: IssueChanges,
) -> Result<IssueDetails, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    let user = access.identity()?.user;
    let may_plan = match access.also::<act::UpdateIssue>() {
        Ok(_) => true,
        Err(_) if issue.author.id == user => false,
        Err(refusal) => return Err(refusal),
    };

    let mut fields = FieldErrors::default();
    let mut changed = issue.clone();
    if let Some(title) = &changes.title
        && let Some(title) = fields.take("title", DisplayName::parse(title))
    {
        changed.title = title.as_str().to_owned();
    }
    if let Some(description) = &changes.description {
        check_text(&mut fields, "description", description, MAX_DESCRIPTION_CHARACTERS);
        changed.description = Some(description.clone());
    }
    let editor = (changed.title != issue.title || changed.description != issue.description).then_some(user);
    if may_plan {
        change_plan(&mut tx, &access, &mut fields, &issue, &changes, now).await?;
        changed.due_date = changes.due_date.map_or(issue.due_date, |date| date.map(midnight));
        changed.confidential_at = since(issue.confidential_at, changes.confidential, now);
        changed.discussion_locked_at = since(issue.discussion_locked_at, changes.discussion_locked, now);
    }
    fields.finish()?;
    issues::update(&mut tx, &changed, editor, now).await?;
    if let Some(state) = changes.state {
        change_state(&mut tx, &access, &changed, state, now).await?;
    }
    if changed.confidential_at.is_some() != issue.confidential_at.is_some() {
        let entry =
            Entry::project(access.project(), &access.place().full_path, "issue_confidentiality_changed");
        let details = json!({ "iid": iid, "confidential": changed.confidential_at.is_some() });
        audit::record(&mut tx, access.viewer(), entry.target("Issue", issue.id.0).details(details), now)
            .await?;
    }
    let was_closed = issue.closed_at.is_some();
    let issue = get_visible(&mut tx, &access, iid).await?;
    let action = match (was_closed, issue.closed_at.is_some()) {
        (false, true) => "close",
        (true, false) => "reopen",
        _ => "update",
    };
    let details = with_details(&mut tx, &access, issue).await?;
    occasions::issue(forge, &mut tx, &access, &details, action).await?;
    tx.commit().await?;
    Ok(details)
}

/// Returns since when a setting holds: it keeps its time when it is set again.
pub(crate) fn since(before: Option<i64>, wanted: Option<bool>, now: i64) -> Option<i64> {
    match wanted {
        None => before,
        Some(true) => before.or(Some(now)),
        Some(false) => None,
    }
}

/// Returns the labels that something has afterwards. Replacing comes first, then adding, then removing.
pub(crate) fn labels_after(
    before: Vec<String>,
    replaced: Option<Vec<String>>,
    added: Vec<String>,
    removed: &[String],
) -> Vec<String> {
    let mut labels = replaced.unwrap_or(before);
    for label in added {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels.retain(|label| !removed.contains(label));
    labels
}

/// Changes labels, milestone and assignees. Should a field be wrong, the caller's transaction does not commit.
async fn change_plan(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnIssue>,
    fields: &mut FieldErrors,
    issue: &Issue,
    changes: &IssueChanges,
    now: i64,
) -> Result<(), Error> {
    if changes.labels.is_some() || !changes.add_labels.is_empty() || !changes.remove_labels.is_empty() {
        let before =
            issues::labels_of(tx, &[issue.id.0]).await?.into_iter().map(|(_, label)| label).collect();
        let replaced = changes.labels.as_ref().map(|labels| checked_labels(fields, "labels", labels));
        let added = checked_labels(fields, "add_labels", &changes.add_labels);
        let removed: Vec<_> = changes.remove_labels.iter().map(|label| label.trim().to_owned()).collect();
        let labels = labels_after(before, replaced, added, &removed);
        if labels.len() > MAX_LABELS {
            fields.add("labels", format!("are too many (maximum is {MAX_LABELS})"));
        }
        labels::ensure(tx, access, &labels, now).await?;
        issues::set_labels(tx, issue.id, &labels).await?;
    }
    if let Some(wanted) = changes.milestone {
        let milestone = match wanted {
            Some(id) => Some(milestones::get_for_issue(tx, access, id).await?.id),
            None => None,
        };
        issues::set_milestone(tx, access.project(), issue.id, milestone).await?;
    }
    if let Some(assignees) = &changes.assignees {
        check_assignees(fields, "assignee_ids", assignees);
        let wanted = &assignees[..assignees.len().min(MAX_ASSIGNEES)];
        let assignees = assignable(tx, access, wanted, now).await?;
        issues::set_assignees(tx, issue.id, &assignees).await?;
    }
    Ok(())
}

/// Closes or reopens an issue, unless it is so already, and says so among its comments.
async fn change_state(
    tx: &mut Tx,
    access: &Authorized<act::UpdateOwnIssue>,
    issue: &Issue,
    state: IssueState,
    now: i64,
) -> Result<(), Error> {
    let user = access.identity()?.user;
    let (closed, word) = match (state, issue.closed_at) {
        (IssueState::Closed, None) => (Some((user, now)), "closed"),
        (IssueState::Opened, Some(_)) => (None, "reopened"),
        _ => return Ok(()),
    };
    issues::set_closed(tx, access.project(), issue.id, closed).await?;
    let note = NewNote {
        project: access.project(),
        on: Noteable::Issue(issue.id),
        author: user,
        body: word,
        system: true,
        internal: false,
    };
    notes::insert(tx, &note, now).await?;
    record_event(tx, access, word, (issue.id, issue.iid, &issue.title), now).await
}

/// Returns who takes part in an issue: who opened it, is to deal with it, or wrote a comment that the viewer is shown.
///
/// # Errors
/// [`Error::NotFound`] when there is no such issue for this viewer.
pub async fn participants(
    forge: &Forge,
    access: &Authorized<act::ReadIssues>,
    iid: i64,
    window: Window,
) -> Result<Listing<User>, Error> {
    let mut tx = forge.db().read().await?;
    let issue = get_visible(&mut tx, access, iid).await?;
    Ok(notes::participants_of_issue(&mut tx, issue.id, sight(access), window).await?)
}

/// Deletes an issue with its comments.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn delete(forge: &Forge, access: &Authorized<act::DeleteIssue>, iid: i64) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    issues::lock(&mut tx, access.project(), iid).await?;
    let issue = get_visible(&mut tx, &access, iid).await?;
    issues::delete(&mut tx, access.project(), issue.id).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "issue_deleted");
    let details = json!({ "iid": iid, "title": issue.title });
    audit::record(&mut tx, access.viewer(), entry.target("Issue", issue.id.0).details(details), now).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn labels_are_trimmed_and_taken_once() {
        let mut fields = FieldErrors::default();
        assert_eq!(
            checked_labels(&mut fields, "labels", &labels(&[" a ", "b", "", "a"])),
            labels(&["a", "b"])
        );
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn labels_that_cannot_be_are_named() {
        for wrong in [vec!["a,b".to_owned()], vec!["a\nb".to_owned()], vec!["x".repeat(256)]] {
            let mut fields = FieldErrors::default();
            checked_labels(&mut fields, "labels", &wrong);
            assert!(fields.finish().is_err(), "{wrong:?}");
        }
        let many: Vec<_> = (0..=MAX_LABELS).map(|number| number.to_string()).collect();
        let mut fields = FieldErrors::default();
        checked_labels(&mut fields, "labels", &many);
        assert!(fields.finish().is_err());
    }

    #[test]
    fn labels_are_replaced_then_added_then_removed() {
        let before = || labels(&["a", "b"]);
        assert_eq!(labels_after(before(), None, labels(&["b", "c"]), &labels(&["a"])), labels(&["b", "c"]));
        assert_eq!(labels_after(before(), Some(labels(&["x"])), labels(&["y"]), &[]), labels(&["x", "y"]));
        assert_eq!(labels_after(before(), Some(Vec::new()), Vec::new(), &[]), labels(&[]));
        assert_eq!(labels_after(before(), None, labels(&["c"]), &labels(&["c"])), before());
    }

    #[test]
    fn a_setting_keeps_its_time_when_it_is_set_again() {
        assert_eq!(since(Some(1), Some(true), 9), Some(1));
        assert_eq!(since(None, Some(true), 9), Some(9));
        assert_eq!(since(Some(1), Some(false), 9), None);
        assert_eq!(since(Some(1), None, 9), Some(1));
    }

    #[test]
    fn texts_are_bounded_and_hold_no_nul() {
        for (text, fine) in [("", true), ("äöü", true), ("äöüß", false), ("a\0", false)] {
            let mut fields = FieldErrors::default();
            check_text(&mut fields, "description", text, 3);
            assert_eq!(fields.finish().is_ok(), fine, "{text:?}");
        }
    }
}
