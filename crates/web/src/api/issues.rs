//! Issues.

use axum::extract::State;
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::issues::{self, IssueChanges, IssueDetails, IssueOfProject, NewIssueRequest, Scope};
use portcullis_app::records::issues::{
    AssigneeFilter, IssueFilter, IssueOrder, IssueState, LabelFilter, MAX_LABELS, MilestoneWanted,
};
use portcullis_app::records::select::{Behind, Listing, Paging};
use portcullis_rules::access::act;
use portcullis_rules::id::{MilestoneId, UserId};
use serde_json::{Value, json};

use super::milestones;
use super::time_tracking;
use super::users::UserView;
use super::{
    ApiResult, PathParts, Surroundings, created, date, no_content, ok, path_number, reads_keyset, time,
};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// The longest text that is searched for, in characters.
const MAX_SEARCH_CHARACTERS: usize = 1000;

/// The most issues that are asked for by number.
const MAX_IIDS: usize = 1000;

/// The parameters of a change, as the answer to a request without any names them.
const CHANGEABLE: [&str; 13] = [
    "title",
    "description",
    "state_event",
    "labels",
    "add_labels",
    "remove_labels",
    "assignee_id",
    "assignee_ids",
    "due_date",
    "milestone_id",
    "confidential",
    "discussion_locked",
    "issue_type",
];

/// The items of the task lists in a Markdown text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tasks {
    pub(super) all: usize,
    pub(super) completed: usize,
}

impl Tasks {
    /// Counts list items that begin with `[ ]` or `[x]`, outside fenced code (GitHub Flavored Markdown, section 5.3).
    pub(super) fn of(text: &str) -> Tasks {
        let mut tasks = Tasks::default();
        let mut fence: Option<&str> = None;
        for line in text.lines().map(str::trim_start) {
            match (fence, ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark))) {
                (None, Some(mark)) => fence = Some(mark),
                (Some(open), Some(mark)) if open == mark => fence = None,
                (None, None) => match task(line) {
                    Some(true) => tasks = Tasks { all: tasks.all + 1, completed: tasks.completed + 1 },
                    Some(false) => tasks.all += 1,
                    None => {}
                },
                (Some(_), _) => {}
            }
        }
        tasks
    }
}

/// Returns whether the task on a line is completed, if there is one.
fn task(line: &str) -> Option<bool> {
    let digits = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let item = if digits.len() < line.len() {
        digits.strip_prefix(['.', ')'])?
    } else {
        line.strip_prefix(['-', '*', '+'])?
    };
    let bracket = item.trim_start();
    if bracket.len() == item.len() {
        return None;
    }
    let (completed, rest) = match bracket.get(..3)? {
        "[ ]" => (false, &bracket[3..]),
        "[x]" | "[X]" => (true, &bracket[3..]),
        _ => return None,
    };
    rest.starts_with(char::is_whitespace).then_some(completed)
}

/// Returns an issue in GitLab's shape. What this forge does not have is present with the value that says so. `now` is in
/// Unix microseconds.
pub(super) fn view(details: &IssueDetails, project_path: &str, base: &BaseUrl, now: i64) -> Value {
    let IssueDetails { issue, labels, assignees, counts, .. } = details;
    let user = |user| UserView::of(user, base);
    let (project, iid) = (issue.project.0, issue.iid);
    let api = format!("{}/api/v4/projects/{project}", base.0);
    let tasks = Tasks::of(issue.description.as_deref().unwrap_or_default());
    let mut view = json!({
        "id": issue.id.0,
        "iid": iid,
        "project_id": project,
        "title": issue.title,
        "description": issue.description,
        "state": if issue.closed_at.is_some() { "closed" } else { "opened" },
        "created_at": time(issue.created_at),
        "updated_at": time(issue.updated_at),
        "closed_at": issue.closed_at.map(time),
        "closed_by": issue.closed_by.as_ref().map(user),
        "labels": labels,
        "milestone": issue.milestone.as_ref().map(|milestone| {
            milestones::view(milestone, &format!("{}/{project_path}", base.0), now)
        }),
        "assignees": assignees.iter().map(user).collect::<Vec<_>>(),
        "author": user(&issue.author),
        "type": "ISSUE",
        "assignee": assignees.first().map(user),
        "user_notes_count": issue.notes,
        "merge_requests_count": 0,
        "upvotes": counts.votes.up,
        "downvotes": counts.votes.down,
        "due_date": issue.due_date.map(date),
        "confidential": issue.confidential_at.is_some(),
        "discussion_locked": issue.discussion_locked_at.is_some(),
        "issue_type": "issue",
        "web_url": format!("{}/{project_path}/-/issues/{iid}", base.0),
        "time_stats": time_tracking::view(counts.times),
        "task_completion_status": { "count": tasks.all, "completed_count": tasks.completed },
        "has_tasks": tasks.all > 0,
        "_links": {
            "self": format!("{api}/issues/{iid}"),
            "notes": format!("{api}/issues/{iid}/notes"),
            "award_emoji": format!("{api}/issues/{iid}/award_emoji"),
            "project": api,
            "closed_as_duplicate_of": null,
        },
        "references": {
            "short": format!("#{iid}"),
            "relative": format!("#{iid}"),
            "full": format!("{project_path}#{iid}"),
        },
        "severity": "UNKNOWN",
        "moved_to_id": null,
        "imported": false,
        "imported_from": "none",
        "service_desk_reply_to": null,
    });
    if tasks.all > 0 {
        view["task_status"] =
            json!(format!("{} of {} checklist items completed", tasks.completed, tasks.all));
    }
    view
}

/// Returns an issue as it is answered alone.
pub(super) fn view_alone(details: &IssueDetails, project_path: &str, base: &BaseUrl, now: i64) -> Value {
    let mut view = view(details, project_path, base, now);
    view["subscribed"] = json!(details.subscribed);
    view
}

/// Reads a text that is looked for: of bounded length, and without a NUL, which no recorded text holds.
pub(super) fn reads_sought(read: &mut Reader<'_>, name: &str) -> Option<String> {
    let text = read.filled_text(name)?;
    if text.contains('\0') || text.chars().count() > MAX_SEARCH_CHARACTERS {
        read.reject(name);
    }
    Some(text)
}

/// Reads labels; an item of a list may hold several, with commas.
pub(super) fn reads_labels(read: &mut Reader<'_>, name: &str) -> Option<Vec<String>> {
    let list = read.list(name)?;
    let split = list.iter().flat_map(|item| item.split(','));
    Some(split.map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect())
}

pub(super) fn reads_label_filter(read: &mut Reader<'_>) -> Option<LabelFilter> {
    let labels = reads_labels(read, "labels")?;
    if labels.len() > MAX_LABELS || labels.iter().any(|label| label.contains('\0')) {
        read.reject("labels");
    }
    match labels.as_slice() {
        [] => None,
        [word] if word.eq_ignore_ascii_case("none") => Some(LabelFilter::Without),
        [word] if word.eq_ignore_ascii_case("any") => Some(LabelFilter::Any),
        _ => Some(LabelFilter::All(labels)),
    }
}

/// Reads in which texts is searched: whether in titles only, and whether in descriptions only.
pub(super) fn reads_search_columns(read: &mut Reader<'_>) -> (bool, bool) {
    let columns = read.list("in").unwrap_or_default();
    let (title, description) =
        (columns.iter().any(|word| word == "title"), columns.iter().any(|word| word == "description"));
    if columns.iter().any(|word| word != "title" && word != "description") {
        read.reject("in");
    }
    (title && !description, description && !title)
}

/// Reads whether a list goes upwards; it goes downwards unless asked otherwise.
pub(super) fn reads_ascending(read: &mut Reader<'_>) -> bool {
    let ascending = read.one_of("sort", |word| match word {
        "asc" => Some(true),
        "desc" => Some(false),
        _ => None,
    });
    ascending.unwrap_or(false)
}

/// Returns a row as the parameter `cursor` names it.
fn cursor(behind: Behind) -> String {
    format!("{}-{}", behind.value, behind.id)
}

/// Reads behind which row a page begins.
fn reads_cursor(read: &mut Reader<'_>) -> Option<Behind> {
    read.one_of("cursor", |text| {
        let (value, id) = text.split_once('-')?;
        Some(Behind { value: value.parse().ok()?, id: id.parse().ok()? })
    })
}

fn reads_scope(read: &mut Reader<'_>, unless_said: Scope) -> Scope {
    let scope = read.one_of("scope", |word| match word {
        "all" => Some(Scope::All),
        "created_by_me" | "created-by-me" => Some(Scope::CreatedByMe),
        "assigned_to_me" | "assigned-to-me" => Some(Scope::AssignedToMe),
        _ => None,
    });
    scope.unwrap_or(unless_said)
}

/// Reads by which numbers things are asked for.
pub(super) fn reads_iids(read: &mut Reader<'_>) -> Option<Vec<i64>> {
    let iids = read.integers("iids").filter(|iids| !iids.is_empty());
    if iids.as_ref().is_some_and(|iids| iids.len() > MAX_IIDS) {
        read.reject("iids");
    }
    iids
}

/// Reads which milestone is asked for: by its title, or `None` and `Any`, also under the name of its number.
pub(super) fn reads_milestone_filter(read: &mut Reader<'_>) -> Option<MilestoneWanted> {
    let by_id = read.one_of("milestone_id", |word| match word.to_ascii_lowercase().as_str() {
        "none" | "0" => Some(MilestoneWanted::Without),
        "any" => Some(MilestoneWanted::Any),
        id => id.parse().ok().map(|id| MilestoneWanted::Id(MilestoneId(id))),
    });
    let by_title = reads_sought(read, "milestone").map(|title| match title.to_ascii_lowercase().as_str() {
        "none" => MilestoneWanted::Without,
        "any" => MilestoneWanted::Any,
        _ => MilestoneWanted::Title(title),
    });
    by_title.or(by_id)
}

/// Reads what an issue is planned for; `0` means nothing.
pub(super) fn reads_milestone(read: &mut Reader<'_>) -> Option<MilestoneId> {
    read.integer("milestone_id").filter(|id| *id != 0).map(MilestoneId)
}

fn reads_filter(read: &mut Reader<'_>) -> IssueFilter {
    let state = read.one_of("state", |word| match word {
        "opened" => Some(Some(IssueState::Opened)),
        "closed" => Some(Some(IssueState::Closed)),
        "all" => Some(None),
        _ => None,
    });
    let assignee = read.one_of("assignee_id", |word| match word.to_ascii_lowercase().as_str() {
        "none" | "0" => Some(AssigneeFilter::Nobody),
        "any" => Some(AssigneeFilter::Anybody),
        id => id.parse().ok().map(|id| AssigneeFilter::User(UserId(id))),
    });
    let order = read.one_of("order_by", |word| match word {
        "created_at" => Some(IssueOrder::Created),
        "updated_at" => Some(IssueOrder::Updated),
        "due_date" => Some(IssueOrder::DueDate),
        "title" => Some(IssueOrder::Title),
        _ => None,
    });
    let iids = reads_iids(read);
    let (search_title_only, search_description_only) = reads_search_columns(read);
    IssueFilter {
        state: state.flatten(),
        of: None,
        search: reads_sought(read, "search"),
        search_title_only,
        search_description_only,
        labels: reads_label_filter(read),
        milestone: reads_milestone_filter(read),
        iids,
        author: read.integer("author_id").map(UserId),
        author_username: reads_sought(read, "author_username"),
        assignee,
        confidential: read.boolean("confidential"),
        without_archived: false,
        created_after: read.time("created_after"),
        created_before: read.time("created_before"),
        updated_after: read.time("updated_after"),
        updated_before: read.time("updated_before"),
        order: order.unwrap_or_default(),
        paging: Paging::Numbered,
        ascending: reads_ascending(read),
    }
}

/// Reads who is to deal with an issue, if that was sent; `0`, an empty list and null mean nobody.
fn reads_assignees(read: &mut Reader<'_>, params: &Params) -> Option<Vec<UserId>> {
    let name = ["assignee_ids", "assignee_id"].into_iter().find(|name| params.has(name))?;
    let ids = read.integers(name).unwrap_or_default();
    let mut users: Vec<_> = ids.into_iter().filter(|id| *id != 0).map(UserId).collect();
    users.sort_unstable();
    users.dedup();
    Some(users)
}

/// There is one kind of issue.
fn check_type(read: &mut Reader<'_>) {
    read.one_of("issue_type", |word| (word == "issue").then_some(()));
}

fn iid(parts: &PathParts) -> Result<i64, ApiError> {
    path_number(parts, "iid", "Issue")
}

/// Answers the issues of a project.
pub async fn list(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::All);
    let filter = reads_list(&mut read)?;
    read.finish()?;
    let order = (filter.order, filter.paging);
    let found = issues::list(&state.forge, &access, scope, filter, around.window()).await?;
    let path = &access.place().full_path;
    Ok(page(
        found.map(|details| IssueOfProject { details, project_path: path.clone() }),
        order,
        &around,
        &state,
    ))
}

/// Reads what a list is narrowed to, and how its pages are reached.
fn reads_list(read: &mut Reader<'_>) -> Result<IssueFilter, ApiError> {
    let mut filter = reads_filter(read);
    check_type(read);
    if reads_keyset(read, &["created_at", "updated_at"])? {
        filter.paging = Paging::Keyset(reads_cursor(read));
    }
    Ok(filter)
}

/// Answers a page of a list.
fn page(
    found: Listing<IssueOfProject>,
    (order, paging): (IssueOrder, Paging),
    around: &Surroundings,
    state: &AppState,
) -> Response {
    let now = state.forge.now();
    let of = |found: &IssueOfProject| view(&found.details, &found.project_path, &around.base, now);
    if paging == Paging::Numbered {
        return around.page(found.map(|found| of(&found)));
    }
    let last = found.items.last().map(|found| {
        let issue = &found.details.issue;
        let value = if order == IssueOrder::Updated { issue.updated_at } else { issue.created_at };
        cursor(Behind { value, id: issue.id.0 })
    });
    around.page_keyset::<Value>(found.items.iter().map(of).collect(), "cursor", last.as_deref())
}

/// Answers the issues of the projects of a group. Those of archived projects are left out unless asked for.
pub async fn list_of_group(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::All);
    let mut filter = reads_list(&mut read)?;
    filter.without_archived = read.boolean("non_archived").unwrap_or(true);
    read.finish()?;
    let order = (filter.order, filter.paging);
    let found = issues::list_of_group(&state.forge, &access, scope, filter, around.window()).await?;
    Ok(page(found, order, &around, &state))
}

/// Answers the issues of every project in which the caller is shown any: their own unless asked otherwise.
pub async fn list_everywhere(
    access: Authorized<act::ListIssues>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = reads_scope(&mut read, Scope::CreatedByMe);
    let mut filter = reads_list(&mut read)?;
    filter.without_archived = read.boolean("non_archived").unwrap_or(true);
    read.finish()?;
    let order = (filter.order, filter.paging);
    let found = issues::list_everywhere(&state.forge, &access, scope, filter, around.window()).await?;
    Ok(page(found, order, &around, &state))
}

/// Answers one issue.
pub async fn get(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let issue = issues::get(&state.forge, &access, iid(&parts)?).await?;
    Ok(ok(view_alone(&issue, &access.place().full_path, &around.base, state.forge.now())))
}

/// Opens an issue.
pub async fn create(
    access: Authorized<act::CreateIssue>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewIssueRequest {
        title: read.required_text("title"),
        description: read.text("description"),
        labels: reads_labels(&mut read, "labels").unwrap_or_default(),
        assignees: reads_assignees(&mut read, &params).unwrap_or_default(),
        due_date: read.date("due_date"),
        milestone: reads_milestone(&mut read),
        confidential: read.boolean("confidential").unwrap_or(false),
        created_at: read.time("created_at"),
    };
    check_type(&mut read);
    read.finish()?;
    let issue = issues::create(&state.forge, &access, request).await?;
    Ok(created(view_alone(&issue, &access.place().full_path, &around.base, state.forge.now())))
}

/// Changes an issue.
pub async fn update(
    access: Authorized<act::UpdateOwnIssue>,
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
    let changes = IssueChanges {
        title: read.text("title"),
        // Null clears it, as it does for the labels and the due date.
        description: read.text("description").or_else(|| params.has("description").then(String::new)),
        state: read.one_of("state_event", |word| match word {
            "close" => Some(IssueState::Closed),
            "reopen" => Some(IssueState::Opened),
            _ => None,
        }),
        labels: reads_labels(&mut read, "labels").or_else(|| params.has("labels").then(Vec::new)),
        add_labels: reads_labels(&mut read, "add_labels").unwrap_or_default(),
        remove_labels: reads_labels(&mut read, "remove_labels").unwrap_or_default(),
        assignees: reads_assignees(&mut read, &params),
        due_date: params.has("due_date").then(|| read.date("due_date")),
        milestone: params.has("milestone_id").then(|| reads_milestone(&mut read)),
        confidential: read.boolean("confidential"),
        discussion_locked: read.boolean("discussion_locked"),
    };
    check_type(&mut read);
    read.finish()?;
    let issue = issues::update(&state.forge, &access, iid(&parts)?, changes).await?;
    Ok(ok(view_alone(&issue, &access.place().full_path, &around.base, state.forge.now())))
}

/// Answers who takes part in an issue.
pub async fn participants(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = issues::participants(&state.forge, &access, iid(&parts)?, around.window()).await?;
    Ok(around.page(found.map(|user| UserView::of(&user, &around.base))))
}

/// Deletes an issue.
pub async fn delete(
    access: Authorized<act::DeleteIssue>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    issues::delete(&state.forge, &access, iid(&parts)?).await?;
    Ok(no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_where_markdown_sees_them() {
        let text = "- [ ] a\n  * [x] b\n1. [X] c\n2) [ ] d\n+ [ ] e\n- [y] no\n-[ ] no\n[ ] no\n- [ ]\n- [ ]no\n- [é] no\n\
            ```\n- [x] code\n~~~\n```\n- [x] f\n";
        assert_eq!(Tasks::of(text), Tasks { all: 6, completed: 3 });
        assert_eq!(Tasks::of(""), Tasks::default());
    }
}
