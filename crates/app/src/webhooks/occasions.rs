//! What hooks are told: the occasion, in GitLab's shapes, written down for each hook that is called for it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_git::ObjectId;
use portcullis_rules::access::{Act, on};
use portcullis_rules::id::{EventId, ProjectId, UserId};
use portcullis_store::db::Tx;
use portcullis_store::issues::{self, Sight};
use portcullis_store::merge_requests::{self, MergeRequestState};
use portcullis_store::notes::Note;
use portcullis_store::projects::{self, Project};
use portcullis_store::users::User;
use portcullis_store::webhooks::{self, Webhook};
use portcullis_store::{events, users};
use serde_json::{Value, json};

use super::calls;
use crate::Error;
use crate::access::Authorized;
use crate::branches;
use crate::forge::Forge;
use crate::issues::IssueDetails;
use crate::merge_requests::MergeRequestDetails;
use crate::merge_requests::standing::is_draft;

/// How many commits of a push are told.
const MAX_COMMITS: u32 = 20;

/// Commits of one push are counted up to this many.
const MAX_COUNTED_COMMITS: u32 = 10_000;

/// How long after an occasion the workers are woken: its transaction is still to be committed.
const WAKE_AFTER: Duration = Duration::from_millis(250);

/// Returns the hooks of a project that are called for an event, and for a push only those that want to know of the branch.
async fn hooks_for(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    event: &str,
    branch: Option<&str>,
) -> Result<Vec<Webhook>, Error> {
    let mut hooks = webhooks::called(tx, project, forge.now()).await?;
    hooks.retain(|hook| {
        let filter = hook.branch_filter.as_deref();
        let wanted = branch.zip(filter).is_none_or(|(branch, filter)| branches::covers(filter, branch));
        wanted && hook.events.iter().any(|name| name == event)
    });
    Ok(hooks)
}

/// Asks for a call of each hook.
async fn call(
    forge: &Forge,
    tx: &mut Tx,
    hooks: &[Webhook],
    header: &str,
    body: &Value,
) -> Result<(), Error> {
    let (body, now) = (body.to_string(), forge.now());
    for hook in hooks {
        webhooks::add_call(tx, hook.id, &calls::uuid(forge), header, &body, now).await?;
    }
    let wake = Arc::clone(forge.jobs_wake());
    tokio::spawn(async move {
        tokio::time::sleep(WAKE_AFTER).await;
        wake.notify_waiters();
    });
    Ok(())
}

fn time(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map(|time| time.to_string()).unwrap_or_default()
}

fn view_of_project(project: &Project, base: &str) -> Value {
    let url = format!("{base}/{}", project.full_path);
    json!({
        "id": project.id.0,
        "name": project.name,
        "description": project.description,
        "web_url": url,
        "avatar_url": null,
        "git_ssh_url": "",
        "git_http_url": format!("{url}.git"),
        "namespace": project.namespace_name,
        "visibility_level": project.visibility.level(),
        "path_with_namespace": project.full_path,
        "default_branch": project.default_branch,
        "ci_config_path": null,
        "homepage": url,
        "url": "",
        "ssh_url": "",
        "http_url": format!("{url}.git"),
    })
}

fn view_of_repository(project: &Project, base: &str) -> Value {
    let url = format!("{base}/{}", project.full_path);
    json!({
        "name": project.name,
        "url": "",
        "description": project.description,
        "homepage": url,
        "git_http_url": format!("{url}.git"),
        "git_ssh_url": "",
        "visibility_level": project.visibility.level(),
    })
}

/// Mail addresses are told to nobody.
fn view_of_user(id: UserId, name: &str, username: &str) -> Value {
    json!({ "id": id.0, "name": name, "username": username, "avatar_url": null, "email": "[REDACTED]" })
}

fn view_of_issue(details: &IssueDetails, project: &Project, base: &str) -> Value {
    let issue = &details.issue;
    json!({
        "id": issue.id.0,
        "iid": issue.iid,
        "project_id": issue.project.0,
        "title": issue.title,
        "description": issue.description,
        "state": if issue.closed_at.is_some() { "closed" } else { "opened" },
        "author_id": issue.author.id.0,
        "assignee_ids": details.assignees.iter().map(|user| user.id.0).collect::<Vec<_>>(),
        "confidential": issue.confidential_at.is_some(),
        "discussion_locked": issue.discussion_locked_at.is_some(),
        "due_date": issue.due_date.map(|date| portcullis_rules::token::date_at(date).to_string()),
        "labels": view_of_labels(&details.labels),
        "created_at": time(issue.created_at),
        "updated_at": time(issue.updated_at),
        "closed_at": issue.closed_at.map(time),
        "url": format!("{base}/{}/-/issues/{}", project.full_path, issue.iid),
    })
}

fn view_of_labels<'a>(titles: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    titles.into_iter().map(|title| json!({ "title": title })).collect()
}

fn view_of_people(people: &[User]) -> Vec<Value> {
    people.iter().map(|user| view_of_user(user.id, &user.name, &user.username)).collect()
}

/// Tells of an issue that was opened, changed, closed or reopened, in the transaction that did it.
pub(crate) async fn issue<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    details: &IssueDetails,
    action: &str,
) -> Result<(), Error> {
    let identity = access.identity()?;
    let by = view_of_user(identity.user, &identity.name, &identity.username);
    issue_by(forge, tx, access.project(), by, details, action).await
}

async fn issue_by(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    by: Value,
    details: &IssueDetails,
    action: &str,
) -> Result<(), Error> {
    let confidential = details.issue.confidential_at.is_some();
    let (event, header, kind) = match confidential {
        true => ("confidential_issues_events", "Confidential Issue Hook", "confidential_issue"),
        false => ("issues_events", "Issue Hook", "issue"),
    };
    let hooks = hooks_for(forge, tx, project, event, None).await?;
    if hooks.is_empty() {
        return Ok(());
    }
    let Some(project) = projects::find(tx, project).await? else { return Ok(()) };
    let base = forge.base_url();
    let mut attributes = view_of_issue(details, &project, &base);
    attributes["action"] = json!(action);
    let body = json!({
        "object_kind": "issue",
        "event_type": kind,
        "user": by,
        "project": view_of_project(&project, &base),
        "object_attributes": attributes,
        "labels": view_of_labels(&details.labels),
        "assignees": view_of_people(&details.assignees),
        "changes": {},
        "repository": view_of_repository(&project, &base),
    });
    call(forge, tx, &hooks, header, &body).await
}

fn view_of_merge_request(details: &MergeRequestDetails, project: &Project, base: &str) -> Value {
    let merge_request = &details.merge_request;
    let (web_url, draft) = (format!("{base}/{}", project.full_path), is_draft(&merge_request.title));
    let state = merge_request.state();
    let ids = |people: &[User]| people.iter().map(|user| user.id.0).collect::<Vec<_>>();
    let (head, place) = (&merge_request.heads.head, view_of_project(project, base));
    json!({
        "id": merge_request.id.0,
        "iid": merge_request.iid,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": state.name(),
        "state_id": match state {
            MergeRequestState::Opened => 1,
            MergeRequestState::Closed => 2,
            MergeRequestState::Merged => 3,
        },
        "source_branch": merge_request.source_branch,
        "target_branch": merge_request.target_branch,
        "source_project_id": project.id.0,
        "target_project_id": project.id.0,
        "source": place.clone(),
        "target": place,
        "author_id": merge_request.author.id.0,
        "assignee_id": details.assignees.first().map(|user| user.id.0),
        "assignee_ids": ids(&details.assignees),
        "reviewer_ids": ids(&details.reviewers),
        "milestone_id": merge_request.milestone.as_ref().map(|milestone| milestone.id.0),
        "labels": view_of_labels(details.labels.iter().map(|label| &label.title)),
        "draft": draft,
        "work_in_progress": draft,
        "merge_status": merge_request.merge_status.name(),
        "detailed_merge_status": details.standing,
        "merge_error": merge_request.merge_error,
        "merge_commit_sha": merge_request.merge_commit,
        "merge_user_id": merge_request.merged_by.as_ref().map(|user| user.id.0),
        "merge_when_pipeline_succeeds": merge_request.auto_merge_by.is_some(),
        "last_commit": { "id": head, "url": format!("{web_url}/-/commit/{head}") },
        "created_at": time(merge_request.created_at),
        "updated_at": time(merge_request.updated_at),
        "url": format!("{web_url}/-/merge_requests/{}", merge_request.iid),
    })
}

/// Tells of a merge request that was opened, changed, closed, reopened or approved, in the transaction that did it.
pub(crate) async fn merge_request<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    details: &MergeRequestDetails,
    action: &str,
) -> Result<(), Error> {
    let identity = access.identity()?;
    let by = view_of_user(identity.user, &identity.name, &identity.username);
    merge_request_by(forge, tx, access.project(), by, details, action).await
}

async fn merge_request_by(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    by: Value,
    details: &MergeRequestDetails,
    action: &str,
) -> Result<(), Error> {
    let hooks = hooks_for(forge, tx, project, "merge_requests_events", None).await?;
    if hooks.is_empty() {
        return Ok(());
    }
    let Some(project) = projects::find(tx, project).await? else { return Ok(()) };
    let base = forge.base_url();
    let mut attributes = view_of_merge_request(details, &project, &base);
    attributes["action"] = json!(action);
    let body = json!({
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": by,
        "project": view_of_project(&project, &base),
        "object_attributes": attributes,
        "labels": view_of_labels(details.labels.iter().map(|label| &label.title)),
        "assignees": view_of_people(&details.assignees),
        "reviewers": view_of_people(&details.reviewers),
        "changes": {},
        "repository": view_of_repository(&project, &base),
    });
    call(forge, tx, &hooks, "Merge Request Hook", &body).await
}

/// What a comment is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoteOn<'a> {
    /// An issue.
    Issue(&'a IssueDetails),
    /// A merge request.
    MergeRequest(&'a MergeRequestDetails),
}

impl NoteOn<'_> {
    fn is_confidential(self) -> bool {
        matches!(self, NoteOn::Issue(details) if details.issue.confidential_at.is_some())
    }

    /// Returns the name of its kind, the key it is told under, and how it is told.
    fn view(self, project: &Project, base: &str) -> (&'static str, &'static str, Value) {
        match self {
            NoteOn::Issue(details) => ("Issue", "issue", view_of_issue(details, project, base)),
            NoteOn::MergeRequest(details) => {
                ("MergeRequest", "merge_request", view_of_merge_request(details, project, base))
            }
        }
    }
}

/// Tells of a comment, in the transaction that adds it.
pub(crate) async fn note<A: Act<On = on::Project>>(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<A>,
    on: NoteOn<'_>,
    note: &Note,
) -> Result<(), Error> {
    let (event, header, kind) = match note.internal || on.is_confidential() {
        true => ("confidential_note_events", "Confidential Note Hook", "confidential_note"),
        false => ("note_events", "Note Hook", "note"),
    };
    let hooks = hooks_for(forge, tx, access.project(), event, None).await?;
    if hooks.is_empty() {
        return Ok(());
    }
    let Some(project) = projects::find(tx, access.project()).await? else { return Ok(()) };
    let (identity, base) = (access.identity()?, forge.base_url());
    let (noteable_type, key, on_view) = on.view(&project, &base);
    let mut body = json!({
        "object_kind": "note",
        "event_type": kind,
        "user": view_of_user(identity.user, &identity.name, &identity.username),
        "project_id": project.id.0,
        "project": view_of_project(&project, &base),
        "repository": view_of_repository(&project, &base),
        "object_attributes": {
            "id": note.id.0,
            "note": note.body,
            "noteable_type": noteable_type,
            "noteable_id": on_view["id"],
            "discussion_id": note.discussion_id().to_key(),
            "author_id": note.author.id.0,
            "project_id": project.id.0,
            "created_at": time(note.created_at),
            "updated_at": time(note.updated_at),
            "system": note.system,
            "internal": note.internal,
            "action": "create",
            "url": format!("{}#note_{}", on_view["url"].as_str().unwrap_or_default(), note.id),
        },
    });
    body[key] = on_view;
    call(forge, tx, &hooks, header, &body).await
}

/// Returns whether any hook of a project is told of a ref that was pushed.
pub(crate) async fn wants_push(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    branch: Option<&str>,
) -> Result<bool, Error> {
    Ok(!hooks_for(forge, tx, project, event_of(branch.is_some()), branch).await?.is_empty())
}

fn event_of(is_branch: bool) -> &'static str {
    if is_branch { "push_events" } else { "tag_push_events" }
}

/// Tells of a ref that was pushed, as its entry in the feed says.
pub(crate) async fn push(
    forge: &Forge,
    project: ProjectId,
    user: UserId,
    event: EventId,
) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let details = events::find_details(&mut tx, event).await?;
    let (Some(project), Some(user)) =
        (projects::find(&mut tx, project).await?, users::find(&mut tx, user).await?)
    else {
        return Ok(());
    };
    drop(tx);
    let Some(details) = details.and_then(|details| serde_json::from_str::<Value>(&details).ok()) else {
        return Ok(());
    };
    let text = |name: &str| details.get(name).and_then(Value::as_str);
    let name = text("ref").unwrap_or_default();
    let is_branch = text("ref_type") == Some("branch");
    let (old, new) = (text("commit_from"), text("commit_to"));
    let zeros = "0".repeat(old.or(new).map_or(40, str::len));
    let (count, commits) = new_commits(forge, &project, old, new).await?;
    let (kind, header, space) = match is_branch {
        true => ("push", "Push Hook", "heads"),
        false => ("tag_push", "Tag Push Hook", "tags"),
    };
    let base = forge.base_url();
    let body = json!({
        "object_kind": kind,
        "event_name": kind,
        "before": old.unwrap_or(&zeros),
        "after": new.unwrap_or(&zeros),
        "ref": format!("refs/{space}/{name}"),
        "checkout_sha": new,
        "message": null,
        "user_id": user.id.0,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": "",
        "user_avatar": null,
        "project_id": project.id.0,
        "project": view_of_project(&project, &base),
        "commits": commits,
        "total_commits_count": count,
        "push_options": {},
        "repository": view_of_repository(&project, &base),
    });
    let mut tx = forge.db().begin().await?;
    let branch = is_branch.then_some(name);
    let hooks = hooks_for(forge, &mut tx, project.id, event_of(is_branch), branch).await?;
    call(forge, &mut tx, &hooks, header, &body).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns how many commits a push brought, and the newest of them, the oldest first.
async fn new_commits(
    forge: &Forge,
    project: &Project,
    old: Option<&str>,
    new: Option<&str>,
) -> Result<(u32, Vec<Value>), Error> {
    let Some(new) = new.and_then(ObjectId::parse) else { return Ok((0, Vec::new())) };
    let old: Vec<_> = old.and_then(ObjectId::parse).into_iter().collect();
    let (git, id) = (forge.git(), project.id.0);
    let found = async {
        let count = git.count_commits(id, &old, &new, MAX_COUNTED_COMMITS).await?;
        let mut commits = Vec::new();
        for commit in git.new_commits(id, &old, &new, MAX_COMMITS).await? {
            commits.extend(git.commit_summary(id, &commit).await?);
        }
        Ok((count, commits))
    };
    let (count, commits) = match found.await {
        Ok(found) => found,
        // Gone, or pushed over and pruned.
        Err(portcullis_git::Error::NotFound) => return Ok((0, Vec::new())),
        Err(error) => return Err(Error::from(error)),
    };
    let base = forge.base_url();
    let views = commits.iter().rev().map(|commit| {
        json!({
            "id": commit.id.to_string(),
            "message": commit.title,
            "title": commit.title,
            "timestamp": time(commit.committed_at),
            "url": format!("{base}/{}/-/commit/{}", project.full_path, commit.id),
            "author": { "name": commit.author.name, "email": commit.author.email },
            "added": [],
            "modified": [],
            "removed": [],
        })
    });
    Ok((count, views.collect()))
}

/// Tells of a merge request that was merged, and of the issues that were closed with it.
pub(crate) async fn merged(
    forge: &Forge,
    project: ProjectId,
    iid: i64,
    user: UserId,
    closed: &[i64],
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let Some(user) = users::find(&mut tx, user).await? else { return Ok(()) };
    let by = view_of_user(user.id, &user.name, &user.username);
    let Some(found) = merge_requests::find(&mut tx, project, iid, false).await? else { return Ok(()) };
    for details in crate::merge_requests::with_details(&mut tx, vec![found]).await? {
        merge_request_by(forge, &mut tx, project, by.clone(), &details, "merge").await?;
    }
    let mut issues_closed = Vec::new();
    for iid in closed {
        issues_closed.extend(issues::find(&mut tx, project, *iid, Sight::Everything).await?);
    }
    for details in crate::issues::all_with_details(&mut tx, issues_closed).await? {
        issue_by(forge, &mut tx, project, by.clone(), &details, "close").await?;
    }
    tx.commit().await?;
    Ok(())
}
