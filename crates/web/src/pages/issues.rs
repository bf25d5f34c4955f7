//! Issues: their list, each with its discussions, and the forms to write and plan them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::issues::{self, IssueChanges, IssueDetails, NewIssueRequest, Scope};
use portcullis_app::noteables::OnIssue;
use portcullis_app::records::issues::{Issue, IssueFilter, IssueOrder, IssueState};
use portcullis_app::records::select::Window;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::token::date_at;

use super::author::Author;
use super::confirm::Confirm;
use super::discussions::{About, Activity, Again, activity, iid};
use super::fields::Wrong;
use super::form::Form;
use super::milestones;
use super::projects::Head;
use super::tracked::{
    Asked, CHANGED_MEANWHILE, Empty, Facts, FormPage, ListPage, PER_PAGE, Plan, PlanOf, Row, SENT_BEFORE,
    Switch, Tab, Typed, count, known_labels, labels_in_color, locked, mark, prose, words_of,
};
use super::words::Moment;
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::PathParts;

/// What is asked before an issue is deleted.
const DELETING: &str = "It is gone for everybody, with its discussions. Links to it lead nowhere, and its number is not used \
     again. This cannot be undone; an issue that is done can be closed.";

/// The states a list can be narrowed to: what is sent, and what is read.
const STATES: [(&str, &str); 3] = [("opened", "Open"), ("closed", "Closed"), ("all", "All")];

fn list_of(full_path: &str) -> String {
    format!("/{full_path}/-/issues")
}

fn row(details: IssueDetails, list: &str) -> Row {
    let issue = details.issue;
    let badges = [
        issue.closed_at.is_some().then_some(("Closed", "")),
        issue.confidential_at.is_some().then_some(("Confidential", "warn")),
    ];
    Row {
        address: format!("{list}/{}", issue.iid),
        reference: format!("#{}", issue.iid),
        title: issue.title,
        badges: badges.into_iter().flatten().collect(),
        labels: details.labels,
        author: Author::of(&issue.author),
        opened: Moment::at(issue.created_at),
        assignees: details.assignees.iter().map(Author::of).collect(),
        milestone: issue.milestone.map(|milestone| milestone.title),
        due: issue.due_date.map(|at| date_at(at).to_string()),
        branches: None,
        comments: issue.notes,
    }
}

/// Answers the issues of a project.
pub async fn list(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, _) = Head::of(&state, &access, "issues", &["Issues"]).await?;
    let asked = Asked::of(&around, &STATES);
    let address = list_of(&head.full_path);
    let own = access.viewer().identity().map(|identity| identity.user);
    let (order, ascending) = match asked.sort {
        "created_asc" => (IssueOrder::Created, true),
        "updated_desc" => (IssueOrder::Updated, false),
        "title_asc" => (IssueOrder::Title, true),
        _ => (IssueOrder::Created, false),
    };
    let filter = IssueFilter {
        search: asked.search(),
        labels: asked.labels(),
        author_username: asked.author(),
        assignee: asked.assignee(own),
        order,
        ascending,
        ..IssueFilter::default()
    };
    let (mut tabs, mut shown) = (Vec::new(), None);
    for (word, label) in STATES {
        let current = word == asked.state;
        let narrowed = IssueFilter { state: state_of(word), ..filter.clone() };
        let window = if current { asked.window() } else { Window { limit: 1, offset: 0 } };
        let found = issues::list(&state.forge, &access, Scope::All, narrowed, window).await?;
        tabs.push(Tab {
            label,
            address: asked.address(&address, word, 1),
            count: count(found.total),
            current,
        });
        shown = if current { Some(found) } else { shown };
    }
    let shown = shown.ok_or(PageError::NotFound)?;
    let pages = Pages::of(asked.page, PER_PAGE, shown.total.unwrap_or(10_000), |page| {
        asked.address(&address, asked.state, page)
    });
    let begin = access.also::<act::CreateIssue>().is_ok().then(|| ("New issue", format!("{address}/new")));
    let empty = match (asked.is_narrowed(), asked.state) {
        (true, _) => Empty {
            heading: "Nothing found",
            text: "No issue here is like that.",
            begin: Some(("Show all", format!("{address}?state=all"))),
        },
        (false, "closed") => {
            Empty { heading: "No closed issues", text: "Nothing was closed yet.", begin: None }
        }
        _ => Empty {
            heading: "No open issues",
            text: "An issue is something to be done, decided or looked into. People and bots open them.",
            begin: begin.as_ref().map(|(_, to)| ("Open an issue", to.clone())),
        },
    };
    let page = ListPage {
        heading: "Issues",
        noun: "issues",
        labels: asked.label_choices(&known_labels(&state, &access).await?),
        assignees: asked.assignees(own.is_some()),
        sorts: asked.sorts(),
        rows: shown.items.into_iter().map(|details| row(details, &address)).collect(),
        around: around.of(&state, access.viewer()).await?,
        head,
        address,
        begin,
        tabs,
        asked,
        empty,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

fn state_of(word: &str) -> Option<IssueState> {
    match word {
        "opened" => Some(IssueState::Opened),
        "closed" => Some(IssueState::Closed),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "issue.html")]
struct IssuePage {
    around: Around,
    head: Head,
    iid: i64,
    title: String,
    confidential: bool,
    /// When it was closed, and by whom if that is known.
    closed: Option<(Moment, Option<Author>)>,
    author: Author,
    opened: Moment,
    /// Clean HTML.
    description: String,
    may_edit: bool,
    may_delete: bool,
    facts: Facts,
    activity: Activity,
}

/// Returns whether the caller may change what an issue says and whether it is open: their own, or any.
fn may_change<A: Act<On = on::Project>>(access: &Authorized<A>, issue: &Issue) -> bool {
    let own = access.viewer().identity().is_some_and(|identity| identity.user == issue.author.id);
    access.also::<act::UpdateIssue>().is_ok() || (own && access.also::<act::UpdateOwnIssue>().is_ok())
}

/// Answers an issue; `again` is a form for a comment that came back.
pub(super) async fn page(
    state: &AppState,
    access: &Authorized<act::ReadIssues>,
    around: Around,
    iid: i64,
    again: Again,
) -> PageResult {
    let details = issues::get(&state.forge, access, iid).await?;
    let (mut head, project) = Head::of(state, access, "issues", &["Issues", &format!("#{iid}")]).await?;
    let list = list_of(&head.full_path);
    head.link_last_but_one(&list);
    let branch = project.project.default_branch;
    let issue = details.issue;
    let about = About {
        head: &head,
        branch: &branch,
        iid,
        author: issue.author.id,
        locked: issue.discussion_locked_at.is_some(),
    };
    let activity = activity::<OnIssue>(state, access, &around, &about, &again).await?;
    let texts = vec![issue.description.clone().unwrap_or_default()];
    let description = prose(&head, &branch, texts).await?.pop().unwrap_or_default();
    let page = IssuePage {
        iid,
        may_edit: may_change(access, &issue),
        may_delete: access.also::<act::DeleteIssue>().is_ok(),
        confidential: issue.confidential_at.is_some(),
        closed: issue.closed_at.map(|at| (Moment::at(at), issue.closed_by.as_ref().map(Author::of))),
        author: Author::of(&issue.author),
        opened: Moment::at(issue.created_at),
        description,
        facts: Facts {
            assignees: details.assignees.iter().map(Author::of).collect(),
            reviewers: None,
            labels: labels_in_color(state, access, &list, details.labels).await?,
            milestone: issue.milestone.map(|it| (milestones::address(&head.full_path, &it), it.title)),
            due: issue.due_date.map(|at| date_at(at).to_string()),
            locked: issue.discussion_locked_at.is_some(),
            approved_by: None,
        },
        title: issue.title,
        around: around.of(state, access.viewer()).await?,
        activity,
        head,
    };
    Ok(html(again.status.unwrap_or(StatusCode::OK), &page))
}

/// Answers an issue.
pub async fn show(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    page(&state, &access, around, iid(&path)?, Again::default()).await
}

fn confidential(on: bool) -> Switch {
    Switch {
        name: "confidential",
        label: "Confidential",
        says: "Only members from Reporter on, its author and its assignees see it.",
        on,
    }
}

async fn new_form(
    state: &AppState,
    access: &Authorized<act::CreateIssue>,
    around: Around,
    (typed, is_confidential): (Typed, bool),
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let (mut head, _) = Head::of(state, access, "issues", &["Issues", "New"]).await?;
    let list = list_of(&head.full_path);
    if access.also::<act::ReadIssues>().is_ok() {
        head.link_last_but_one(&list);
    }
    let plan = match access.also::<act::UpdateIssue>() {
        Ok(access) => Some(Plan::of(state, &access, PlanOf::Issue, &typed, &wrong.problems).await?),
        Err(_) => None,
    };
    let (title, description) = words_of(&typed, &wrong.problems);
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: "New issue".to_owned(),
        problem: wrong.problem,
        action: list.clone(),
        back: list,
        does: "Create issue",
        number: Some(sessions::form_number(&state.forge)),
        seen: String::new(),
        branches: Vec::new(),
        title,
        description,
        plan,
        switches: vec![confidential(is_confidential)],
    };
    Ok(html(status, &page))
}

/// Answers the form for a new issue.
pub async fn form(
    access: Authorized<act::CreateIssue>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let typed = Typed { title: around.query("title").to_owned(), ..Typed::default() };
    new_form(&state, &access, around, (typed, false), Wrong::default(), StatusCode::OK).await
}

/// Opens an issue.
pub async fn create(
    access: Authorized<act::CreateIssue>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let (typed, is_confidential) = (Typed::of(&form), !form.text("confidential").is_empty());
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let wrong = Wrong { problem: Some(SENT_BEFORE.to_owned()), ..Wrong::default() };
        return new_form(&state, &access, around, (typed, is_confidential), wrong, StatusCode::CONFLICT)
            .await;
    }
    let mut wrong = Wrong::default();
    let due_date = typed.date(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let request = NewIssueRequest {
            title: typed.title.clone(),
            description: Some(typed.description.clone()).filter(|text| !text.is_empty()),
            labels: typed.all_labels(),
            assignees: typed.assignees(),
            due_date,
            milestone: typed.milestone(),
            confidential: is_confidential,
            created_at: None,
        };
        match issues::create(&state.forge, &access, request).await {
            Ok(made) => {
                let said = format!("Issue #{} is open.", made.issue.iid);
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                let list = list_of(&access.place().full_path);
                return Ok(see_other(&format!("{list}/{}", made.issue.iid)));
            }
            Err(error) => wrong = Wrong::of(error)?,
        }
    }
    let typed = (typed, is_confidential);
    new_form(&state, &access, around, typed, wrong, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// Returns an issue that the caller may change, or the answer that there is none.
async fn changeable(
    state: &AppState,
    access: &Authorized<act::UpdateOwnIssue>,
    path: &PathParts,
) -> Result<IssueDetails, PageError> {
    let reading = access.also::<act::ReadIssues>()?;
    let details = issues::get(&state.forge, &reading, iid(path)?).await?;
    if may_change(access, &details.issue) { Ok(details) } else { Err(PageError::NotFound) }
}

async fn edit_form(
    state: &AppState,
    access: &Authorized<act::UpdateOwnIssue>,
    around: Around,
    issue: &Issue,
    (typed, switched): (Typed, (bool, bool)),
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let reference = format!("#{}", issue.iid);
    let (mut head, _) = Head::of(state, access, "issues", &["Issues", &reference, "Edit"]).await?;
    let list = list_of(&head.full_path);
    let back = format!("{list}/{}", issue.iid);
    head.link_last_but_one(&back);
    let (title, description) = words_of(&typed, &wrong.problems);
    let (mut plan, mut switches) = (None, Vec::new());
    if let Ok(access) = access.also::<act::UpdateIssue>() {
        plan = Some(Plan::of(state, &access, PlanOf::Issue, &typed, &wrong.problems).await?);
        switches.push(confidential(switched.0));
        switches.push(locked(switched.1));
    }
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: format!("Edit issue {reference}"),
        problem: wrong.problem,
        action: format!("{back}/edit"),
        back,
        does: "Save changes",
        number: None,
        seen: mark(&issue.title, issue.description.as_deref()),
        branches: Vec::new(),
        title,
        description,
        plan,
        switches,
    };
    Ok(html(status, &page))
}

/// Answers the form to change an issue.
pub async fn edit(
    access: Authorized<act::UpdateOwnIssue>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let details = changeable(&state, &access, &path).await?;
    let issue = details.issue;
    let typed = Typed {
        title: issue.title.clone(),
        description: issue.description.clone().unwrap_or_default(),
        labels: details.labels,
        assignees: details.assignees.iter().map(|user| user.id.0).collect(),
        milestone: issue.milestone.as_ref().map(|milestone| milestone.id.0.to_string()).unwrap_or_default(),
        due_date: issue.due_date.map(|at| date_at(at).to_string()).unwrap_or_default(),
        ..Typed::default()
    };
    let switched = (issue.confidential_at.is_some(), issue.discussion_locked_at.is_some());
    let typed = (typed, switched);
    edit_form(&state, &access, around, &issue, typed, Wrong::default(), StatusCode::OK).await
}

/// Changes an issue.
pub async fn update(
    access: Authorized<act::UpdateOwnIssue>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let issue = changeable(&state, &access, &path).await?.issue;
    let typed = Typed::of(&form);
    let switched = (!form.text("confidential").is_empty(), !form.text("discussion_locked").is_empty());
    if typed.seen != mark(&issue.title, issue.description.as_deref()) {
        let wrong = Wrong { problem: Some(CHANGED_MEANWHILE.to_owned()), ..Wrong::default() };
        let typed = (typed, switched);
        return edit_form(&state, &access, around, &issue, typed, wrong, StatusCode::CONFLICT).await;
    }
    let mut wrong = Wrong::default();
    let due_date = typed.date(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let changes = IssueChanges {
            title: Some(typed.title.clone()),
            description: Some(typed.description.clone()),
            labels: Some(typed.all_labels()),
            assignees: Some(typed.assignees()),
            due_date: Some(due_date),
            milestone: Some(typed.milestone()),
            confidential: Some(switched.0),
            discussion_locked: Some(switched.1),
            ..IssueChanges::default()
        };
        match issues::update(&state.forge, &access, issue.iid, changes).await {
            Ok(_) => {
                sessions::set_notice(&state.forge, access.viewer(), "The issue was changed.").await?;
                let list = list_of(&access.place().full_path);
                return Ok(see_other(&format!("{list}/{}", issue.iid)));
            }
            Err(error) => wrong = Wrong::of(error)?,
        }
    }
    let typed = (typed, switched);
    edit_form(&state, &access, around, &issue, typed, wrong, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// Closes or reopens an issue.
pub async fn change_state(
    access: Authorized<act::UpdateOwnIssue>,
    State(state): State<AppState>,
    path: PathParts,
    form: Form,
) -> PageResult {
    let issue = changeable(&state, &access, &path).await?.issue;
    let (wanted, said) = match form.text("state_event") {
        "close" => (IssueState::Closed, "The issue is closed."),
        "reopen" => (IssueState::Opened, "The issue is open again."),
        _ => {
            let text = "An issue can be closed and reopened.".to_owned();
            return Err(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
    };
    let changes = IssueChanges { state: Some(wanted), ..IssueChanges::default() };
    issues::update(&state.forge, &access, issue.iid, changes).await?;
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), issue.iid)))
}

/// Asks before an issue is deleted.
pub async fn confirm_deletion(
    access: Authorized<act::DeleteIssue>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let issue = issues::get(&state.forge, &access.also()?, iid(&path)?).await?.issue;
    let back = format!("{}/{}", list_of(&access.place().full_path), issue.iid);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete issue #{}, “{}”?", issue.iid, issue.title),
        text: DELETING.to_owned(),
        action: format!("{back}/delete"),
        does: "Delete issue",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes an issue.
pub async fn delete(
    access: Authorized<act::DeleteIssue>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let said = match issues::delete(&state.forge, &access, iid).await {
        Ok(()) => format!("Issue #{iid} was deleted."),
        // In another window it was deleted already.
        Err(Error::NotFound("Issue")) => format!("There is no issue #{iid} any more."),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&list_of(&access.place().full_path)))
}
