//! Merge requests, who approves them, and what they have to do with issues and commits.

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::Error;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::approvals::{self, Approvals};
use portcullis_app::merge_requests::changing::{self, MergeRequestChanges, StateEvent};
use portcullis_app::merge_requests::opening::{self, NewMergeRequestRequest};
use portcullis_app::merge_requests::standing::{has_conflicts, is_draft};
use portcullis_app::merge_requests::{
    self, DivergedCommits, MergeRequestAlone, MergeRequestDetails, Scope, relations,
};
use portcullis_app::milestones as planned;
use portcullis_app::records::issues::{AssigneeFilter, MilestoneWanted};
use portcullis_app::records::merge_requests::{MergeRequestFilter, MergeRequestOrder, MergeRequestState};
use portcullis_app::records::select::Listing;
use portcullis_rules::access::act;
use portcullis_rules::id::{MilestoneId, ProjectId, UserId};
use serde_json::{Value, json};

use super::issues::{
    self as issue_views, Tasks, reads_ascending, reads_iids, reads_label_filter, reads_labels,
    reads_milestone, reads_milestone_filter, reads_search_columns, reads_sought,
};
use super::time_tracking;
use super::users::UserView;
use super::{
    ApiResult, PathParts, Surroundings, accepted, created, labels, milestones, no_content, ok, path_number,
    path_text, time,
};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// The parameters of a change, as the answer to a request without any names them.
const CHANGEABLE: [&str; 15] = [
    "title",
    "description",
    "state_event",
    "target_branch",
    "labels",
    "add_labels",
    "remove_labels",
    "assignee_id",
    "assignee_ids",
    "reviewer_ids",
    "milestone_id",
    "squash",
    "remove_source_branch",
    "discussion_locked",
    "allow_collaboration",
];

/// How a list of merge requests shows them.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    /// With little more than their titles.
    simple: bool,
    /// Their labels as objects, and not only as titles.
    label_details: bool,
}

fn web_url(details: &MergeRequestDetails, base: &BaseUrl) -> String {
    format!("{}/{}/-/merge_requests/{}", base.0, details.project_path, details.merge_request.iid)
}

/// Returns a merge request in GitLab's simple shape.
fn simple_view(details: &MergeRequestDetails, base: &BaseUrl) -> Value {
    let merge_request = &details.merge_request;
    json!({
        "id": merge_request.id.0,
        "iid": merge_request.iid,
        "project_id": merge_request.project.0,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state().name(),
        "created_at": time(merge_request.created_at),
        "updated_at": time(merge_request.updated_at),
        "web_url": web_url(details, base),
    })
}

/// Returns a merge request in GitLab's shape. What this forge does not have is present with the value that says so. `now` is
/// in Unix microseconds.
pub(super) fn view(details: &MergeRequestDetails, base: &BaseUrl, now: i64) -> Value {
    let MergeRequestDetails { merge_request, labels, assignees, reviewers, project_path, .. } = details;
    let user = |user| UserView::of(user, base);
    let (project, iid) = (merge_request.project.0, merge_request.iid);
    let merger = merge_request.merged_by.as_ref().map(user);
    let draft = is_draft(&merge_request.title);
    let tasks = Tasks::of(merge_request.description.as_deref().unwrap_or_default());
    let reference = format!("!{iid}");
    let mut view = json!({
        "id": merge_request.id.0,
        "iid": iid,
        "project_id": project,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state().name(),
        "created_at": time(merge_request.created_at),
        "updated_at": time(merge_request.updated_at),
        "merged_by": merger,
        "merge_user": merger,
        "merged_at": merge_request.merged_at.map(time),
        "closed_by": merge_request.closed_by.as_ref().map(user),
        "closed_at": merge_request.closed_at.map(time),
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "user_notes_count": merge_request.notes,
        "upvotes": details.counts.votes.up,
        "downvotes": details.counts.votes.down,
        "author": user(&merge_request.author),
        "assignees": assignees.iter().map(user).collect::<Vec<_>>(),
        "assignee": assignees.first().map(user),
        "reviewers": reviewers.iter().map(user).collect::<Vec<_>>(),
        "source_project_id": project,
        "target_project_id": project,
        "labels": labels.iter().map(|label| &label.title).collect::<Vec<_>>(),
        "draft": draft,
        "imported": false,
        "imported_from": "none",
        "work_in_progress": draft,
        "milestone": merge_request.milestone.as_ref().map(|milestone| {
            milestones::view(milestone, &format!("{}/{project_path}", base.0), now)
        }),
    });
    let merging = json!({
        "merge_when_pipeline_succeeds": merge_request.auto_merge_by.is_some(),
        "merge_status": merge_request.merge_status.name(),
        "detailed_merge_status": details.standing,
        "merge_after": null,
        "sha": merge_request.heads.head,
        "merge_commit_sha": merge_request.merge_commit,
        "squash_commit_sha": merge_request.squash_commit,
        "discussion_locked": merge_request.discussion_locked_at.is_some(),
        "should_remove_source_branch": null,
        "force_remove_source_branch": merge_request.removes_source_branch,
        "prepared_at": time(merge_request.created_at),
        "reference": reference,
        "references": {
            "short": reference,
            "relative": reference,
            "full": format!("{project_path}!{iid}"),
        },
        "web_url": web_url(details, base),
        "time_stats": time_tracking::view(details.counts.times),
        "squash": merge_request.squash,
        "squash_on_merge": details.merging.squash.squashes(Some(merge_request.squash)),
        "task_completion_status": { "count": tasks.all, "completed_count": tasks.completed },
        "has_conflicts": has_conflicts(merge_request),
        "blocking_discussions_resolved":
            !(details.merging.needs_resolved_discussions && details.has_open_discussions),
    });
    extend(&mut view, merging);
    view
}

/// Adds the keys of one object to another one.
fn extend(view: &mut Value, further: Value) {
    if let (Some(view), Value::Object(further)) = (view.as_object_mut(), further) {
        view.extend(further);
    }
}

/// Returns a merge request as it is answered alone.
pub(super) fn view_alone(alone: &MergeRequestAlone, base: &BaseUrl, now: i64) -> Value {
    let mut view = view(&alone.details, base, now);
    let merge_request = &alone.details.merge_request;
    let heads = &merge_request.heads;
    let alone_only = json!({
        "subscribed": alone.subscribed,
        "changes_count": null,
        "latest_build_started_at": null,
        "latest_build_finished_at": null,
        "first_deployed_to_production_at": null,
        "pipeline": null,
        "head_pipeline": null,
        "diff_refs": heads.base.as_ref().map(|base| {
            json!({ "base_sha": base, "head_sha": heads.head, "start_sha": heads.start })
        }),
        "merge_error": merge_request.merge_error,
        "first_contribution": false,
        "user": { "can_merge": alone.may_merge },
    });
    extend(&mut view, alone_only);
    if let Some(count) = alone.diverged_commits {
        view["diverged_commits_count"] = json!(count);
    }
    view
}

fn view_in_list(details: &MergeRequestDetails, shape: Shape, base: &BaseUrl, now: i64) -> Value {
    if shape.simple {
        return simple_view(details, base);
    }
    let mut view = view(details, base, now);
    if shape.label_details {
        view["labels"] = details.labels.iter().map(|label| labels::view(label, None, false)).collect();
    }
    view
}

fn page(
    found: Listing<MergeRequestDetails>,
    shape: Shape,
    around: &Surroundings,
    state: &AppState,
) -> axum::response::Response {
    let now = state.forge.now();
    around.page(found.map(|details| view_in_list(&details, shape, &around.base, now)))
}

fn reads_scope(read: &mut Reader<'_>, usual: Scope) -> Scope {
    let scope = read.one_of("scope", |word| match word {
        "all" => Some(Scope::All),
        "created_by_me" | "created-by-me" => Some(Scope::CreatedByMe),
        "assigned_to_me" | "assigned-to-me" => Some(Scope::AssignedToMe),
        "reviews_for_me" => Some(Scope::ReviewsForMe),
        _ => None,
    });
    scope.unwrap_or(usual)
}

/// Reads who is asked for: a user's number, nobody, or anybody.
fn reads_involved(read: &mut Reader<'_>, name: &str) -> Option<AssigneeFilter> {
    read.one_of(name, |word| match word.to_ascii_lowercase().as_str() {
        "none" | "0" => Some(AssigneeFilter::Nobody),
        "any" => Some(AssigneeFilter::Anybody),
        id => id.parse().ok().map(|id| AssigneeFilter::User(UserId(id))),
    })
}

/// Reads at which place in their life merge requests are asked for: `Some(None)` is one that none is in here.
fn reads_state(read: &mut Reader<'_>) -> Option<Option<MergeRequestState>> {
    let state = read.one_of("state", |word| match word {
        "opened" => Some(Some(Some(MergeRequestState::Opened))),
        "closed" => Some(Some(Some(MergeRequestState::Closed))),
        "merged" => Some(Some(Some(MergeRequestState::Merged))),
        "locked" => Some(Some(None)),
        "all" => Some(None),
        _ => None,
    });
    state.flatten()
}

fn reads_filter(read: &mut Reader<'_>) -> MergeRequestFilter {
    let state = reads_state(read);
    let order = read.one_of("order_by", |word| match word {
        "created_at" => Some(MergeRequestOrder::Created),
        "updated_at" => Some(MergeRequestOrder::Updated),
        "merged_at" => Some(MergeRequestOrder::Merged),
        "title" => Some(MergeRequestOrder::Title),
        _ => None,
    });
    let (search_title_only, search_description_only) = reads_search_columns(read);
    // `wip` is what GitLab called it before.
    let draft = [read.boolean("draft"), read.boolean("wip")].into_iter().flatten().next();
    MergeRequestFilter {
        ids: (state == Some(None)).then(Vec::new),
        state: state.flatten(),
        of: None,
        source_branch: reads_sought(read, "source_branch"),
        target_branch: reads_sought(read, "target_branch"),
        search: reads_sought(read, "search"),
        search_title_only,
        search_description_only,
        labels: reads_label_filter(read),
        milestone: reads_milestone_filter(read),
        iids: reads_iids(read),
        author: read.integer("author_id").map(UserId),
        author_username: reads_sought(read, "author_username"),
        assignee: reads_involved(read, "assignee_id"),
        reviewer: reads_involved(read, "reviewer_id"),
        reviewer_username: reads_sought(read, "reviewer_username"),
        draft,
        without_archived: false,
        created_after: read.time("created_after"),
        created_before: read.time("created_before"),
        updated_after: read.time("updated_after"),
        updated_before: read.time("updated_before"),
        order: order.unwrap_or_default(),
        ascending: reads_ascending(read),
    }
}

fn reads_shape(read: &mut Reader<'_>) -> Shape {
    let simple = read.one_of("view", |word| (word == "simple").then_some(()));
    Shape { simple: simple.is_some(), label_details: read.boolean("with_labels_details").unwrap_or(false) }
}

/// Reads who is named, if anybody was sent; `0`, an empty list and null mean nobody.
fn reads_people(read: &mut Reader<'_>, params: &Params, names: &[&str]) -> Option<Vec<UserId>> {
    let name = names.iter().find(|name| params.has(name))?;
    let ids = read.integers(name).unwrap_or_default();
    let mut users: Vec<_> = ids.into_iter().filter(|id| *id != 0).map(UserId).collect();
    users.sort_unstable();
    users.dedup();
    Some(users)
}

const ASSIGNEES: [&str; 2] = ["assignee_ids", "assignee_id"];

const REVIEWERS: [&str; 2] = ["reviewer_ids", "reviewer_id"];

fn iid(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", "Merge Request")
}

/// What is wrong with the two branches stands in a list.
fn about_branches(error: Error) -> ApiError {
    match error {
        Error::Conflict(text) => ApiError::listed(StatusCode::CONFLICT, &text),
        Error::Unprocessable(text) => ApiError::listed(StatusCode::UNPROCESSABLE_ENTITY, &text),
        other => other.into(),
    }
}

/// Answers the merge requests of a project.
pub async fn list(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::All);
    let (filter, shape) = (reads_filter(&mut read), reads_shape(&mut read));
    read.finish()?;
    let found = merge_requests::list(&state.forge, &access, scope, filter, around.window()).await?;
    Ok(page(found, shape, &around, &state))
}

/// Answers the merge requests of the projects of a group. Those of archived projects are left out unless asked for.
pub async fn list_of_group(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::All);
    let (mut filter, shape) = (reads_filter(&mut read), reads_shape(&mut read));
    filter.without_archived = read.boolean("non_archived").unwrap_or(true);
    read.finish()?;
    let found = merge_requests::list_of_group(&state.forge, &access, scope, filter, around.window()).await?;
    Ok(page(found, shape, &around, &state))
}

/// Answers the merge requests of every project in which the caller may read them: their own unless asked otherwise.
pub async fn list_everywhere(
    access: Authorized<act::ListMergeRequests>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::CreatedByMe);
    let (mut filter, shape) = (reads_filter(&mut read), reads_shape(&mut read));
    filter.without_archived = read.boolean("non_archived").unwrap_or(false);
    read.finish()?;
    let found =
        merge_requests::list_everywhere(&state.forge, &access, scope, filter, around.window()).await?;
    Ok(page(found, shape, &around, &state))
}

/// Answers one merge request.
pub async fn get(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let diverged = match read.boolean("include_diverged_commits_count") {
        Some(true) => DivergedCommits::Counted,
        _ => DivergedCommits::Ignored,
    };
    let rebase = read.boolean("include_rebase_in_progress").unwrap_or(false);
    read.finish()?;
    let alone = merge_requests::get(&state.forge, &access, iid(&parts)?, diverged).await?;
    let mut view = view_alone(&alone, &around.base, state.forge.now());
    if rebase {
        // A rebase is over before it is answered.
        view["rebase_in_progress"] = json!(false);
    }
    Ok(ok(view))
}

/// Opens a merge request.
pub async fn create(
    access: Authorized<act::CreateMergeRequest>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewMergeRequestRequest {
        source_branch: read.required_text("source_branch"),
        target_branch: read.required_text("target_branch"),
        target_project: read.integer("target_project_id").map(ProjectId),
        title: read.required_text("title"),
        description: read.text("description"),
        labels: reads_labels(&mut read, "labels").unwrap_or_default(),
        assignees: reads_people(&mut read, &params, &ASSIGNEES).unwrap_or_default(),
        reviewers: reads_people(&mut read, &params, &REVIEWERS).unwrap_or_default(),
        milestone: reads_milestone(&mut read),
        squash: read.boolean("squash"),
        removes_source_branch: read.boolean("remove_source_branch"),
    };
    read.finish()?;
    let alone = opening::create(&state.forge, &access, request).await.map_err(about_branches)?;
    Ok(created(view_alone(&alone, &around.base, state.forge.now())))
}

/// Changes a merge request.
pub async fn update(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    if !CHANGEABLE.iter().any(|name| params.has(name)) {
        let problem =
            format!("{} are missing, at least one parameter must be provided", CHANGEABLE.join(", "));
        return Err(ApiError::bad_parameters(&problem));
    }
    let mut read = params.read();
    let changes = MergeRequestChanges {
        title: read.text("title"),
        // Null clears it, as it does for the labels.
        description: read.text("description").or_else(|| params.has("description").then(String::new)),
        state: read.one_of("state_event", |word| match word {
            "close" => Some(StateEvent::Close),
            "reopen" => Some(StateEvent::Reopen),
            _ => None,
        }),
        target_branch: read.filled_text("target_branch"),
        labels: reads_labels(&mut read, "labels").or_else(|| params.has("labels").then(Vec::new)),
        add_labels: reads_labels(&mut read, "add_labels").unwrap_or_default(),
        remove_labels: reads_labels(&mut read, "remove_labels").unwrap_or_default(),
        assignees: reads_people(&mut read, &params, &ASSIGNEES),
        reviewers: reads_people(&mut read, &params, &REVIEWERS),
        milestone: params.has("milestone_id").then(|| reads_milestone(&mut read)),
        squash: read.boolean("squash"),
        removes_source_branch: read.boolean("remove_source_branch"),
        discussion_locked: read.boolean("discussion_locked"),
    };
    read.finish()?;
    let alone = changing::update(&state.forge, &access, iid(&parts)?, changes).await;
    Ok(ok(view_alone(&alone.map_err(about_branches)?, &around.base, state.forge.now())))
}

/// Deletes a merge request.
pub async fn delete(
    access: Authorized<act::DeleteMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    changing::delete(&state.forge, &access, iid(&parts)?).await?;
    Ok(no_content())
}

/// Returns who approved a merge request in GitLab's shape. Nothing is asked for here, so nothing is left.
fn view_of_approvals(found: &Approvals, base: &BaseUrl) -> Value {
    let merge_request = &found.merge_request;
    json!({
        "id": merge_request.id.0,
        "iid": merge_request.iid,
        "project_id": merge_request.project.0,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state().name(),
        "created_at": time(merge_request.created_at),
        "updated_at": time(merge_request.updated_at),
        "merge_status": merge_request.merge_status.name(),
        "approved": !found.approvals.is_empty(),
        "approvals_required": 0,
        "approvals_left": 0,
        "require_password_to_approve": false,
        "approved_by": found.approvals.iter().map(|approval| json!({
            "user": UserView::of(&approval.user, base),
            "approved_at": time(approval.at),
        })).collect::<Vec<_>>(),
        "suggested_approvers": [],
        "approvers": [],
        "approver_groups": [],
        "user_has_approved": found.own,
        "user_can_approve": found.may_approve,
        "approval_rules_left": [],
        "has_approval_rules": false,
    })
}

/// Answers who approved a merge request.
pub async fn approvals(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = approvals::get(&state.forge, &access, iid(&parts)?).await?;
    Ok(ok(view_of_approvals(&found, &around.base)))
}

/// Answers the rules about approving a merge request, of which there are none.
pub async fn approval_state(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    approvals::get(&state.forge, &access, iid(&parts)?).await?;
    Ok(ok(json!({ "approval_rules_overwritten": false, "rules": [] })))
}

/// Approves a merge request.
pub async fn approve(
    access: Authorized<act::ApproveMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let sha = read.filled_text("sha");
    read.finish()?;
    let found = approvals::approve(&state.forge, &access, iid(&parts)?, sha.as_deref()).await?;
    Ok(created(view_of_approvals(&found, &around.base)))
}

/// Takes back that the caller approved a merge request.
pub async fn unapprove(
    access: Authorized<act::ApproveMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let found = approvals::unapprove(&state.forge, &access, iid(&parts)?).await?;
    Ok(created(view_of_approvals(&found, &around.base)))
}

/// Takes back every approval of a merge request.
pub async fn reset_approvals(
    access: Authorized<act::UpdateMergeRequest>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    approvals::reset(&state.forge, &access, iid(&parts)?).await?;
    Ok(accepted())
}

/// Answers the issues that a merge request closes.
pub async fn closes_issues(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = relations::closes_issues(&state.forge, &access, iid(&parts)?, around.window()).await?;
    let (path, now) = (&access.place().full_path, state.forge.now());
    Ok(around.page(found.map(|issue| issue_views::view(&issue, path, &around.base, now))))
}

/// Answers the issues that a merge request names.
pub async fn related_issues(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = relations::related_issues(&state.forge, &access, iid(&parts)?, around.window()).await?;
    let (path, now) = (&access.place().full_path, state.forge.now());
    Ok(around.page(found.map(|issue| issue_views::view(&issue, path, &around.base, now))))
}

/// Answers who takes part in a merge request.
pub async fn participants(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = relations::participants(&state.forge, &access, iid(&parts)?, around.window()).await?;
    Ok(around.page(found.map(|user| UserView::of(&user, &around.base))))
}

/// Answers the merge requests that close an issue.
pub async fn closing_issue(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let iid = path_number(&parts, "iid", "Issue")?;
    let found = relations::closing_issue(&state.forge, &access, iid, around.window()).await?;
    Ok(page(found, Shape::default(), &around, &state))
}

/// Answers the merge requests that are planned for a milestone.
pub async fn of_milestone(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let id = path_number(&parts, "milestone_id", "Milestone").map(MilestoneId)?;
    let milestone = planned::get(&state.forge, &access.also()?, id).await?;
    let wanted = Some(MilestoneWanted::Id(milestone.id));
    let filter = MergeRequestFilter { milestone: wanted, ..MergeRequestFilter::default() };
    let found = merge_requests::list(&state.forge, &access, Scope::All, filter, around.window()).await?;
    Ok(page(found, Shape::default(), &around, &state))
}

/// Answers the merge requests that bring a commit.
pub async fn of_commit(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let wanted = reads_state(&mut read);
    read.finish()?;
    let (revision, window) = (path_text(&parts, "sha"), around.window());
    let found = match wanted {
        Some(None) => Listing { items: Vec::new(), total: Some(0) },
        wanted => relations::of_commit(&state.forge, &access, revision, wanted.flatten(), window).await?,
    };
    Ok(page(found, Shape::default(), &around, &state))
}
