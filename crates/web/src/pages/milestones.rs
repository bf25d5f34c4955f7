//! A project's milestones: their list, each with what is planned for it, and the forms to make, change and delete them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::issues::{self, IssueDetails};
use portcullis_app::merge_requests::{self, MergeRequestDetails};
use portcullis_app::milestones::{self, MilestoneChanges, NewMilestoneRequest};
use portcullis_app::records::issues::{IssueFilter, IssueState, MilestoneWanted};
use portcullis_app::records::merge_requests::{MergeRequestFilter, MergeRequestState};
use portcullis_app::records::milestones::{Milestone, MilestoneFilter};
use portcullis_app::records::select::Window;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::token::{MICROSECONDS, date_at, parse_date};

use super::author::Author;
use super::confirm::Confirm;
use super::fields::{Problems, TextField, Wrong};
use super::form::Form;
use super::planning::{CHANGED_MEANWHILE, PER_PAGE, PlanningForm, description};
use super::projects::Head;
use super::tracked::{SENT_BEFORE, Tab, count, mark, prose, sought, text_of};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pagination::encoded;

/// What is asked before a milestone is deleted.
const DELETING: &str = "The issues, merge requests and releases that it has stay, and no longer belong to it. This cannot be \
     undone; a milestone that is reached can be closed.";

/// The states a list can be narrowed to: what is sent, what is read, and what it means.
const STATES: [(&str, &str, Option<bool>); 3] =
    [("opened", "Open", Some(false)), ("closed", "Closed", Some(true)), ("all", "All", None)];

fn list_of(full_path: &str) -> String {
    format!("/{full_path}/-/milestones")
}

/// Returns the address of a milestone of the project at `full_path`.
pub(super) fn address(full_path: &str, milestone: &Milestone) -> String {
    format!("{}/{}", list_of(full_path), milestone.iid)
}

/// What is said of a milestone wherever it is named.
struct View {
    title: String,
    address: String,
    /// A word about it with the class of its badge.
    badge: (&'static str, &'static str),
    closed: bool,
    start: Option<String>,
    due: Option<String>,
}

impl View {
    fn of(milestone: &Milestone, full_path: &str, now: i64) -> View {
        let day = 24 * 60 * 60 * MICROSECONDS;
        // The day on which it is due belongs to it.
        let over = milestone.due_date.is_some_and(|due| due.saturating_add(day) <= now);
        let closed = milestone.closed_at.is_some();
        View {
            title: milestone.title.clone(),
            address: address(full_path, milestone),
            badge: match (closed, over) {
                (true, _) => ("Closed", ""),
                (false, true) => ("Past due", "warn"),
                (false, false) if milestone.start_date.is_some_and(|start| start > now) => ("Upcoming", ""),
                (false, false) => ("Open", "good"),
            },
            closed,
            start: milestone.start_date.map(|at| date_at(at).to_string()),
            due: milestone.due_date.map(|at| date_at(at).to_string()),
        }
    }
}

#[derive(Template)]
#[template(path = "milestones.html")]
struct MilestonesPage {
    around: Around,
    head: Head,
    address: String,
    tabs: Vec<Tab>,
    state: &'static str,
    search: String,
    may_change: bool,
    rows: Vec<View>,
    pages: Option<Pages>,
}

/// Answers the milestones of a project, the newest first.
pub async fn list(
    access: Authorized<act::ReadMilestones>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, _) = Head::of(&state, &access, "issues", &["Milestones"]).await?;
    let address = list_of(&head.full_path);
    let (search, number) = (sought(&around, "search"), around.page("page"));
    let asked = around.query("state");
    let chosen = STATES.iter().find(|(word, ..)| *word == asked).map_or("opened", |(word, ..)| *word);
    let to = |word: &str, page: i64| match search.is_empty() {
        true => format!("{address}?state={word}&page={page}"),
        false => format!("{address}?state={word}&search={}&page={page}", encoded(&search)),
    };
    let (mut tabs, mut shown) = (Vec::new(), None);
    for (word, label, closed) in STATES {
        let current = word == chosen;
        let narrowed = Some(search.clone()).filter(|search| !search.is_empty());
        let filter = MilestoneFilter { closed, search: narrowed, ..MilestoneFilter::default() };
        let window = match current {
            true => Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE },
            false => Window { limit: 1, offset: 0 },
        };
        let found = milestones::list(&state.forge, &access, &filter, window).await?;
        tabs.push(Tab { label, address: to(word, 1), count: count(found.total), current });
        shown = if current { Some(found) } else { shown };
    }
    let shown = shown.ok_or(PageError::NotFound)?;
    let total = shown.total.unwrap_or(10_000);
    let pages = Pages::of(number, PER_PAGE, total, |page| to(chosen, page));
    let now = state.forge.now();
    let page = MilestonesPage {
        rows: shown.items.iter().map(|milestone| View::of(milestone, &head.full_path, now)).collect(),
        may_change: access.also::<act::AdministerMilestones>().is_ok(),
        around: around.of(&state, access.viewer()).await?,
        state: chosen,
        head,
        address,
        tabs,
        search,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Returns the milestone in an address.
async fn get<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    path: &PathParts,
) -> Result<Milestone, PageError> {
    let iid = path_text(path, "milestone_iid").parse().map_err(|_| PageError::NotFound)?;
    let filter = MilestoneFilter { iids: Some(vec![iid]), ..MilestoneFilter::default() };
    let window = Window { limit: 1, offset: 0 };
    let mut found = milestones::list(&state.forge, &access.also()?, &filter, window).await?;
    found.items.pop().ok_or(PageError::NotFound)
}

/// An issue or a merge request that is planned for a milestone.
struct Planned {
    reference: String,
    title: String,
    address: String,
    badges: Vec<(&'static str, &'static str)>,
    labels: Vec<String>,
    assignees: Vec<Author>,
}

impl Planned {
    fn issue(details: IssueDetails, full_path: &str) -> Planned {
        let issue = details.issue;
        let badges = [
            issue.closed_at.is_some().then_some(("Closed", "")),
            issue.confidential_at.is_some().then_some(("Confidential", "warn")),
        ];
        Planned {
            reference: format!("#{}", issue.iid),
            address: format!("/{full_path}/-/issues/{}", issue.iid),
            title: issue.title,
            badges: badges.into_iter().flatten().collect(),
            labels: details.labels,
            assignees: details.assignees.iter().map(Author::of).collect(),
        }
    }

    fn merge_request(details: MergeRequestDetails, full_path: &str) -> Planned {
        let found = details.merge_request;
        let badge = match found.state() {
            MergeRequestState::Opened => None,
            MergeRequestState::Closed => Some(("Closed", "")),
            MergeRequestState::Merged => Some(("Merged", "accent")),
        };
        Planned {
            reference: format!("!{}", found.iid),
            address: format!("/{full_path}/-/merge_requests/{}", found.iid),
            title: found.title,
            badges: badge.into_iter().collect(),
            labels: details.labels.into_iter().map(|label| label.title).collect(),
            assignees: details.assignees.iter().map(Author::of).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "milestone.html")]
struct MilestonePage {
    around: Around,
    head: Head,
    view: View,
    /// Clean HTML.
    description: String,
    may_change: bool,
    /// How many of its issues are closed, of how many.
    progress: Option<(i64, i64)>,
    tabs: Vec<Tab>,
    /// What there is none of, in the middle of a sentence.
    noun: &'static str,
    rows: Vec<Planned>,
    pages: Option<Pages>,
}

/// Answers a milestone with what is planned for it, as far as the caller may read that.
pub async fn show(
    access: Authorized<act::ReadMilestones>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let milestone = get(&state, &access, &path).await?;
    let (mut head, project) =
        Head::of(&state, &access, "issues", &["Milestones", milestone.title.as_str()]).await?;
    head.link_last_but_one(&list_of(&head.full_path));
    let view = View::of(&milestone, &head.full_path, state.forge.now());
    let number = around.page("page");
    let (reads_issues, reads_requests) =
        (access.also::<act::ReadIssues>(), access.also::<act::ReadMergeRequests>());
    let of_requests =
        reads_requests.is_ok() && (around.query("show") == "merge_requests" || reads_issues.is_err());
    let first = Window { limit: 1, offset: 0 };
    let asked = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let wanted = || Some(MilestoneWanted::Id(milestone.id));
    let (mut tabs, mut rows, mut progress, mut total) = (Vec::new(), Vec::new(), None, Some(0));
    let to = |show: &str, page: i64| format!("{}?show={show}&page={page}", view.address);
    if let Ok(access) = reads_issues {
        let list = async |issue_state, window| {
            let filter = IssueFilter { milestone: wanted(), state: issue_state, ..IssueFilter::default() };
            issues::list(&state.forge, &access, issues::Scope::All, filter, window).await
        };
        let closed = list(Some(IssueState::Closed), first).await?;
        let found = list(None, if of_requests { first } else { asked }).await?;
        progress = closed.total.zip(found.total).filter(|(_, all)| *all > 0);
        let (address, count) = (to("issues", 1), count(found.total));
        tabs.push(Tab { label: "Issues", address, count, current: !of_requests });
        if !of_requests {
            total = found.total;
            rows = found.items.into_iter().map(|issue| Planned::issue(issue, &head.full_path)).collect();
        }
    }
    if let Ok(access) = reads_requests {
        let filter = MergeRequestFilter { milestone: wanted(), ..MergeRequestFilter::default() };
        let window = if of_requests { asked } else { first };
        let found =
            merge_requests::list(&state.forge, &access, merge_requests::Scope::All, filter, window).await?;
        let (address, count) = (to("merge_requests", 1), count(found.total));
        tabs.push(Tab { label: "Merge requests", address, count, current: of_requests });
        if of_requests {
            total = found.total;
            let planned = |request| Planned::merge_request(request, &head.full_path);
            rows = found.items.into_iter().map(planned).collect();
        }
    }
    let shown = if of_requests { "merge_requests" } else { "issues" };
    let pages = Pages::of(number, PER_PAGE, total.unwrap_or(10_000), |page| to(shown, page));
    let texts = vec![milestone.description.unwrap_or_default()];
    let description = prose(&head, &project.project.default_branch, texts).await?.pop().unwrap_or_default();
    let page = MilestonePage {
        may_change: access.also::<act::AdministerMilestones>().is_ok(),
        around: around.of(&state, access.viewer()).await?,
        noun: if of_requests { "merge requests" } else { "issues" },
        head,
        view,
        description,
        progress,
        tabs,
        rows,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// What stands in the form.
#[derive(Default)]
struct Typed {
    title: String,
    description: String,
    start_date: String,
    due_date: String,
    seen: String,
}

impl Typed {
    fn of(form: &Form) -> Typed {
        let text = |name: &str| form.text(name).trim().to_owned();
        Typed {
            title: text("title"),
            description: text_of(form, "description"),
            start_date: text("start_date"),
            due_date: text("due_date"),
            seen: form.text("seen").to_owned(),
        }
    }

    fn of_milestone(milestone: &Milestone) -> Typed {
        let date = |at: Option<i64>| at.map(|at| date_at(at).to_string()).unwrap_or_default();
        Typed {
            title: milestone.title.clone(),
            description: milestone.description.clone().unwrap_or_default(),
            start_date: date(milestone.start_date),
            due_date: date(milestone.due_date),
            seen: mark_of(milestone),
        }
    }

    /// Reads the dates, which may be left out.
    fn dates(&self, problems: &mut Problems) -> (Option<jiff::civil::Date>, Option<jiff::civil::Date>) {
        let mut date = |name: &'static str, text: &str| {
            let date = parse_date(text);
            if date.is_none() && !text.is_empty() {
                problems.add(name, "is not a date such as 2030-01-31");
            }
            date
        };
        (date("start_date", &self.start_date), date("due_date", &self.due_date))
    }
}

/// Returns a mark of what a milestone is, by which a form knows whether it was changed meanwhile.
fn mark_of(milestone: &Milestone) -> String {
    let description = milestone.description.as_deref().unwrap_or_default();
    let dates = (milestone.start_date, milestone.due_date);
    mark(&milestone.title, Some(&format!("{dates:?}{description}")))
}

/// Returns what a use case refused, or passes on an error that is not about what was typed.
fn wrong_with(error: Error) -> Result<Wrong, PageError> {
    let Error::Invalid(fields) = error else { return Wrong::of(error) };
    let said = |(field, problem): (&'static str, String)| match field {
        "title" if problem.starts_with("already being used") => (field, "has already been taken".to_owned()),
        "due_date" => (field, "can't be before the start date".to_owned()),
        _ => (field, problem),
    };
    Wrong::of(Error::Invalid(fields.into_iter().map(said).collect()))
}

async fn form_page(
    state: &AppState,
    access: &Authorized<act::AdministerMilestones>,
    around: Around,
    of: Option<&Milestone>,
    typed: Typed,
    wrong: Wrong,
) -> Result<PlanningForm, PageError> {
    let heading =
        of.map_or("New milestone".to_owned(), |milestone| format!("Edit milestone {}", milestone.title));
    let behind = of
        .map_or(vec!["Milestones", "New"], |milestone| vec!["Milestones", milestone.title.as_str(), "Edit"]);
    let (mut head, _) = Head::of(state, access, "issues", &behind).await?;
    let list = list_of(&head.full_path);
    let own = of.map(|milestone| format!("{list}/{}", milestone.iid));
    head.link_last_but_one(own.as_ref().unwrap_or(&list));
    let problems = &wrong.problems;
    let before =
        vec![TextField::new("title", "Title").with(&*typed.title).wrong(problems.with("title", "The title"))];
    let date = |name, label, hint, value: &str, subject| {
        TextField::new(name, label)
            .of_kind("date")
            .optional()
            .hint(hint)
            .with(value)
            .wrong(problems.with(name, subject))
    };
    let behind = vec![
        date("start_date", "Start date", "", &typed.start_date, "The start date"),
        date("due_date", "Due date", "This day belongs to it.", &typed.due_date, "The due date"),
    ];
    let said = problems.with("description", "The description");
    Ok(PlanningForm {
        action: own.as_ref().map_or(list.clone(), |own| format!("{own}/edit")),
        back: own.unwrap_or(list),
        does: if of.is_some() { "Save changes" } else { "Create milestone" },
        number: of.is_none().then(|| sessions::form_number(&state.forge)),
        seen: typed.seen,
        before,
        description: description(&typed.description, 8, "Markdown is rendered.", said),
        behind,
        around: around.of(state, access.viewer()).await?,
        problem: wrong.problem,
        head,
        heading,
    })
}

/// Answers the form for a new milestone.
pub async fn new(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = form_page(&state, &access, around, None, Typed::default(), Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Makes a milestone.
pub async fn create(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let typed = Typed::of(&form);
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let wrong = Wrong { problem: Some(SENT_BEFORE.to_owned()), ..Wrong::default() };
        let page = form_page(&state, &access, around, None, typed, wrong).await?;
        return Ok(html(StatusCode::CONFLICT, &page));
    }
    let mut wrong = Wrong::default();
    let (start_date, due_date) = typed.dates(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let request = NewMilestoneRequest {
            title: typed.title.clone(),
            description: Some(typed.description.clone()).filter(|text| !text.is_empty()),
            start_date,
            due_date,
        };
        match milestones::create(&state.forge, &access, request).await {
            Ok(made) => {
                let said = format!("Milestone {} was created.", made.title);
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), made.iid)));
            }
            Err(error) => wrong = wrong_with(error)?,
        }
    }
    let page = form_page(&state, &access, around, None, typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Answers the form to change a milestone.
pub async fn edit(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let milestone = get(&state, &access, &path).await?;
    let typed = Typed::of_milestone(&milestone);
    let page = form_page(&state, &access, around, Some(&milestone), typed, Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Changes a milestone.
pub async fn update(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let milestone = get(&state, &access, &path).await?;
    let typed = Typed::of(&form);
    let now = mark_of(&milestone);
    if typed.seen != now {
        let wrong = Wrong { problem: Some(CHANGED_MEANWHILE.to_owned()), ..Wrong::default() };
        let typed = Typed { seen: now, ..typed };
        let page = form_page(&state, &access, around, Some(&milestone), typed, wrong).await?;
        return Ok(html(StatusCode::CONFLICT, &page));
    }
    let mut wrong = Wrong::default();
    let (start_date, due_date) = typed.dates(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let changes = MilestoneChanges {
            title: Some(typed.title.clone()),
            description: Some(typed.description.clone()),
            start_date: Some(start_date),
            due_date: Some(due_date),
            closed: None,
        };
        match milestones::update(&state.forge, &access, milestone.id, changes).await {
            Ok(_) => {
                sessions::set_notice(&state.forge, access.viewer(), "The milestone was changed.").await?;
                return Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), milestone.iid)));
            }
            Err(error) => wrong = wrong_with(error)?,
        }
    }
    let page = form_page(&state, &access, around, Some(&milestone), typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Closes or reopens a milestone.
pub async fn change_state(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    path: PathParts,
    form: Form,
) -> PageResult {
    let milestone = get(&state, &access, &path).await?;
    let (closed, said) = match form.text("state_event") {
        "close" => (true, "The milestone is closed."),
        "activate" => (false, "The milestone is open again."),
        _ => {
            let text = "A milestone can be closed and reopened.".to_owned();
            return Err(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
    };
    let changes = MilestoneChanges { closed: Some(closed), ..MilestoneChanges::default() };
    milestones::update(&state.forge, &access, milestone.id, changes).await?;
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), milestone.iid)))
}

/// Asks before a milestone is deleted.
pub async fn confirm_deletion(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let milestone = get(&state, &access, &path).await?;
    let back = format!("{}/{}", list_of(&access.place().full_path), milestone.iid);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete milestone “{}”?", milestone.title),
        text: DELETING.to_owned(),
        action: format!("{back}/delete"),
        does: "Delete milestone",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a milestone.
pub async fn delete(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    // In another window it was deleted already, or is now.
    let gone = "There is no such milestone any more.";
    let said = match get(&state, &access, &path).await {
        Ok(milestone) => match milestones::delete(&state.forge, &access, milestone.id).await {
            Ok(()) => "The milestone was deleted.",
            Err(Error::NotFound("Milestone")) => gone,
            Err(error) => return Err(error.into()),
        },
        Err(PageError::NotFound) => gone,
        Err(error) => return Err(error),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&list_of(&access.place().full_path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_rules::id::{MilestoneId, ProjectId};

    const DAY: i64 = 24 * 60 * 60 * MICROSECONDS;

    #[test]
    fn the_day_on_which_it_is_due_belongs_to_it() {
        let milestone = Milestone {
            id: MilestoneId(1),
            project: ProjectId(1),
            iid: 1,
            title: "m".to_owned(),
            description: None,
            start_date: Some(2 * DAY),
            due_date: Some(3 * DAY),
            closed_at: None,
            created_at: 0,
            updated_at: 0,
        };
        let word = |milestone: &Milestone, now| View::of(milestone, "a/b", now).badge.0;
        assert_eq!(word(&milestone, DAY), "Upcoming");
        assert_eq!(word(&milestone, 2 * DAY), "Open");
        assert_eq!(word(&milestone, 4 * DAY - 1), "Open");
        assert_eq!(word(&milestone, 4 * DAY), "Past due");
        assert_eq!(word(&Milestone { closed_at: Some(1), ..milestone }, 4 * DAY), "Closed");
    }
}
