//! A project's labels: their list with how many issues and merge requests have each, and the forms to make, change and delete
//! them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::labels::{self, LabelChanges, LabelDetails, LabelReference, NewLabelRequest, WithCounts};
use portcullis_app::records::labels::Label;
use portcullis_app::records::select::Window;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::act;
use portcullis_rules::color::Color;
use portcullis_rules::id::LabelId;

use super::confirm::Confirm;
use super::fields::{Problems, TextField, Wrong};
use super::form::Form;
use super::planning::{CHANGED_MEANWHILE, PER_PAGE, PlanningForm, description};
use super::projects::Head;
use super::tracked::{LabelLink, SENT_BEFORE, mark, sought, text_of};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pagination::encoded;

/// What is asked before a label is deleted.
const DELETING: &str = "Every issue and merge request that has it loses it, and lists are no longer narrowed to it. This cannot be undone.";

fn list_of(full_path: &str) -> String {
    format!("/{full_path}/-/labels")
}

/// A label in the list.
struct Row {
    link: LabelLink,
    /// Whether the link leads somewhere for who reads.
    linked: bool,
    address: String,
    description: String,
    priority: Option<i64>,
    /// What has it: how many, and where they are listed.
    counts: Vec<(String, String)>,
}

impl Row {
    fn of(details: LabelDetails, head: &Head) -> Row {
        let LabelDetails { label, counts } = details;
        let project = format!("/{}/-", head.full_path);
        let counts = counts.unwrap_or_default();
        let of = |shown: bool, count: i64, one: &str, many: &str, list: &str| {
            let said = if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
            (shown && count > 0).then(|| (said, format!("{project}/{list}&label={}", encoded(&label.title))))
        };
        let (issues, requests) = (head.shows_issues, head.shows_merge_requests);
        let counts = [
            of(issues, counts.open, "open issue", "open issues", "issues?state=opened"),
            of(issues, counts.closed, "closed issue", "closed issues", "issues?state=closed"),
            of(
                requests,
                counts.open_merge_requests,
                "open merge request",
                "open merge requests",
                "merge_requests?state=opened",
            ),
        ];
        let list = if issues { "issues" } else { "merge_requests" };
        Row {
            link: LabelLink::of(&format!("{project}/{list}"), &label),
            linked: issues || requests,
            address: format!("{project}/labels/{}", label.id),
            counts: counts.into_iter().flatten().collect(),
            priority: label.priority,
            description: label.description.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "labels.html")]
struct LabelsPage {
    around: Around,
    head: Head,
    address: String,
    search: String,
    may_change: bool,
    rows: Vec<Row>,
    pages: Option<Pages>,
}

/// Answers the labels of a project, by title.
pub async fn list(
    access: Authorized<act::ReadLabels>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, _) = Head::of(&state, &access, "issues", &["Labels"]).await?;
    let address = list_of(&head.full_path);
    let (search, number) = (sought(&around, "search"), around.page("page"));
    let narrowed = Some(search.as_str()).filter(|search| !search.is_empty());
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = labels::list(&state.forge, &access, narrowed, WithCounts::Yes, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| {
        format!("{address}?search={}&page={page}", encoded(&search))
    });
    let page = LabelsPage {
        rows: found.items.into_iter().map(|details| Row::of(details, &head)).collect(),
        may_change: access.also::<act::AdministerLabels>().is_ok(),
        around: around.of(&state, access.viewer()).await?,
        head,
        address,
        search,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// What stands in the form.
#[derive(Default)]
struct Typed {
    title: String,
    color: String,
    description: String,
    priority: String,
    seen: String,
}

impl Typed {
    fn of(form: &Form) -> Typed {
        let text = |name: &str| form.text(name).trim().to_owned();
        Typed {
            title: text("title"),
            color: text("color"),
            description: text_of(form, "description"),
            priority: text("priority"),
            seen: form.text("seen").to_owned(),
        }
    }

    fn of_label(label: &Label) -> Typed {
        Typed {
            title: label.title.clone(),
            color: label.color.clone(),
            description: label.description.clone().unwrap_or_default(),
            priority: label.priority.map(|priority| priority.to_string()).unwrap_or_default(),
            seen: mark_of(label),
        }
    }

    /// Reads the number, which may be left out.
    fn priority(&self, problems: &mut Problems) -> Option<i64> {
        let priority = self.priority.parse().ok();
        if priority.is_none() && !self.priority.is_empty() {
            problems.add("priority", "is not a whole number from 0 on");
        }
        priority
    }

    fn description(&self) -> Option<String> {
        Some(self.description.clone()).filter(|text| !text.is_empty())
    }
}

/// Returns a mark of what a label is, by which a form knows whether it was changed meanwhile.
fn mark_of(label: &Label) -> String {
    let rest = (&label.color, &label.description, label.priority);
    mark(&label.title, Some(&format!("{rest:?}")))
}

/// Returns a colour as a browser takes one to choose from: all six digits.
fn six_digits(color: &str) -> String {
    let Some(color) = Color::parse(color) else { return color.to_owned() };
    let digits = color.as_str().trim_start_matches('#');
    match digits.len() {
        3 => digits.chars().fold("#".to_owned(), |text, digit| format!("{text}{digit}{digit}")),
        _ => format!("#{digits}"),
    }
}

/// Returns what a use case refused, or passes on an error that is not about what was typed.
fn wrong_with(error: Error) -> Result<Wrong, PageError> {
    let mut wrong = match error {
        Error::Conflict(_) => Wrong::with("title", "has already been taken"),
        other => Wrong::of(other)?,
    };
    wrong.problem = wrong.problem.or_else(|| wrong.problems.with("labels", "The labels"));
    Ok(wrong)
}

async fn form_page(
    state: &AppState,
    access: &Authorized<act::AdministerLabels>,
    around: Around,
    of: Option<&Label>,
    typed: Typed,
    wrong: Wrong,
) -> Result<PlanningForm, PageError> {
    let heading = of.map_or("New label".to_owned(), |label| format!("Edit label {}", label.title));
    let behind = of.map_or("New", |label| label.title.as_str());
    let (mut head, _) = Head::of(state, access, "issues", &["Labels", behind]).await?;
    let list = list_of(&head.full_path);
    head.link_last_but_one(&list);
    let problems = &wrong.problems;
    // What a use case says of a colour is for programs.
    let color_problem = problems
        .with("color", "")
        .map(|_| "The colour must be one such as #6699cc, or called as in CSS, such as teal.".to_owned());
    let before = vec![
        TextField::new("title", "Title")
            .hint("Without commas, which stand between labels.")
            .with(&*typed.title)
            .wrong(problems.with("title", "The title")),
        TextField::new("color", "Colour")
            .of_kind("color")
            .with(six_digits(&typed.color))
            .wrong(color_problem),
    ];
    let behind = vec![
        TextField::new("priority", "Priority")
            .of_kind("number")
            .optional()
            .hint("A whole number; 0 is the most urgent.")
            .with(&*typed.priority)
            .wrong(problems.with("priority", "The priority")),
    ];
    let said = problems.with("description", "The description");
    Ok(PlanningForm {
        action: of.map_or(list.clone(), |label| format!("{list}/{}/edit", label.id)),
        back: list,
        does: if of.is_some() { "Save changes" } else { "Create label" },
        number: of.is_none().then(|| sessions::form_number(&state.forge)),
        seen: typed.seen,
        before,
        description: description(&typed.description, 3, "What it is for.", said),
        behind,
        around: around.of(state, access.viewer()).await?,
        problem: wrong.problem,
        head,
        heading,
    })
}

/// Answers the form for a new label.
pub async fn new(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let typed = Typed { color: Color::DEFAULT.to_owned(), ..Typed::default() };
    let page = form_page(&state, &access, around, None, typed, Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Makes a label.
pub async fn create(
    access: Authorized<act::AdministerLabels>,
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
    let priority = typed.priority(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let request = NewLabelRequest {
            title: typed.title.clone(),
            color: typed.color.clone(),
            description: typed.description(),
            priority,
        };
        match labels::create(&state.forge, &access, request).await {
            Ok(label) => {
                let said = format!("Label {} was created.", label.title);
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&list_of(&access.place().full_path)));
            }
            Err(error) => wrong = wrong_with(error)?,
        }
    }
    let page = form_page(&state, &access, around, None, typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn label_id(path: &PathParts) -> Result<LabelId, PageError> {
    path_text(path, "label_id").parse().map(LabelId).map_err(|_| PageError::NotFound)
}

/// Returns the label in an address: that of this number, whatever another one is called.
async fn get(
    state: &AppState,
    access: &Authorized<act::AdministerLabels>,
    path: &PathParts,
) -> Result<Label, PageError> {
    let called = LabelReference::Id(label_id(path)?);
    Ok(labels::get(&state.forge, &access.also()?, called).await?)
}

/// Answers the form to change a label.
pub async fn edit(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let label = get(&state, &access, &path).await?;
    let typed = Typed::of_label(&label);
    let page = form_page(&state, &access, around, Some(&label), typed, Wrong::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Changes a label.
pub async fn update(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let label = get(&state, &access, &path).await?;
    let typed = Typed::of(&form);
    let now = mark_of(&label);
    if typed.seen != now {
        let wrong = Wrong { problem: Some(CHANGED_MEANWHILE.to_owned()), ..Wrong::default() };
        let typed = Typed { seen: now, ..typed };
        let page = form_page(&state, &access, around, Some(&label), typed, wrong).await?;
        return Ok(html(StatusCode::CONFLICT, &page));
    }
    let mut wrong = Wrong::default();
    let priority = typed.priority(&mut wrong.problems);
    if wrong.problems.is_empty() {
        let changes = LabelChanges {
            title: Some(typed.title.clone()),
            // One that was not touched stays as it was written.
            color: Some(typed.color.clone())
                .filter(|color| !color.eq_ignore_ascii_case(&six_digits(&label.color))),
            description: Some(typed.description()),
            priority: Some(priority),
        };
        match labels::update(&state.forge, &access, LabelReference::Id(label.id), changes).await {
            Ok(label) => {
                let said = format!("Label {} was changed.", label.title);
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&list_of(&access.place().full_path)));
            }
            Err(error) => wrong = wrong_with(error)?,
        }
    }
    let page = form_page(&state, &access, around, Some(&label), typed, wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks before a label is deleted.
pub async fn confirm_deletion(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let label = get(&state, &access, &path).await?;
    let back = list_of(&access.place().full_path);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete label “{}”?", label.title),
        text: DELETING.to_owned(),
        action: format!("{back}/{}/delete", label.id),
        does: "Delete label",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a label.
pub async fn delete(
    access: Authorized<act::AdministerLabels>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let said = match labels::delete(&state.forge, &access, LabelReference::Id(label_id(&path)?)).await {
        Ok(()) => "The label was deleted.",
        // In another window it was deleted already.
        Err(Error::NotFound("Label")) => "There is no such label any more.",
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&list_of(&access.place().full_path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_chosen_from_six_digits() {
        for (color, shown) in
            [("#abc", "#aabbcc"), ("#6699cc", "#6699cc"), ("red", "#FF0000"), ("\"><b>", "\"><b>")]
        {
            assert_eq!(six_digits(color), shown);
        }
    }
}
