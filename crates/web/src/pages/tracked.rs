//! What the pages of issues and of merge requests have in common: their lists, the form to write and plan them, and what is
//! said beside them.

use askama::Template;
use portcullis_app::access::Authorized;
use portcullis_app::labels::WithCounts;
use portcullis_app::records::issues::{AssigneeFilter, LabelFilter, MAX_ASSIGNEES};
use portcullis_app::records::labels::Label;
use portcullis_app::records::members::{MemberFilter, Reach};
use portcullis_app::records::milestones::MilestoneFilter;
use portcullis_app::records::select::Window;
use portcullis_app::records::users::{User, UserKind};
use portcullis_app::{Error, labels, members, milestones};
use portcullis_markup::markdown;
use portcullis_markup::references::References;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::color::Color;
use portcullis_rules::id::{MilestoneId, UserId};
use portcullis_rules::names::{PathSegment, is_reserved_at_top};
use portcullis_rules::token::parse_date;
use sha2::{Digest as _, Sha256};

use super::author::Author;
use super::fields::{Choice, Problems, SelectField, TextArea, TextField, Tick};
use super::form::Form;
use super::projects::Head;
use super::words::Moment;
use super::{Around, PageError, Pages};
use crate::AppState;
use crate::pagination::{encoded, encoded_path};

/// How many issues or merge requests one page shows.
pub(super) const PER_PAGE: i64 = 20;

/// How many labels, members and milestones there are to choose from.
const CHOICES: i64 = 100;

/// The longest text that is searched for, in characters.
const MAX_SEARCH_CHARACTERS: usize = 1000;

/// How much Markdown one page renders, in bytes. What is more is not shown.
const MAX_RENDERED_BYTES: usize = 2 * 1024 * 1024;

/// What stands in place of a text that is not shown.
const TOO_MUCH: &str = "<p class=\"quiet\">There is more text here than a page shows.</p>";

/// Where what people write about a project leads: its files, its issues and merge requests, and people.
pub(super) struct Prose {
    files: String,
    images: String,
    issues: String,
    merge_requests: String,
}

impl Prose {
    /// Links to files lead into `revision`.
    pub(super) fn of(full_path: &str, revision: &str) -> Prose {
        let revision = encoded_path(revision);
        Prose {
            files: format!("/{full_path}/-/blob/{revision}"),
            images: format!("/{full_path}/-/raw/{revision}"),
            issues: format!("/{full_path}/-/issues/"),
            merge_requests: format!("/{full_path}/-/merge_requests/"),
        }
    }

    /// Returns a text in Markdown as HTML.
    pub(super) fn render(&self, text: &str) -> String {
        let links = markdown::Links { files: &self.files, images: &self.images, folder: "" };
        let (issues, merge_requests) = (self.issues.as_str(), self.merge_requests.as_str());
        let references = References { issues, merge_requests, is_name };
        markdown::render_with_references(text, links, references)
    }
}

/// Returns whether the page of a person or a group can be at `/` and this. Numbers are ids, and no name is one.
fn is_name(name: &str) -> bool {
    PathSegment::parse(name).is_ok()
        && !is_reserved_at_top(name)
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns texts in Markdown as HTML. What is linked is in the default branch.
pub(super) async fn prose(head: &Head, branch: &str, texts: Vec<String>) -> Result<Vec<String>, PageError> {
    let prose = Prose::of(&head.full_path, branch);
    let work = move || {
        let mut left = MAX_RENDERED_BYTES;
        let render = |text: String| match left.checked_sub(text.len()) {
            Some(rest) => {
                left = rest;
                prose.render(&text)
            }
            None => TOO_MUCH.to_owned(),
        };
        texts.into_iter().map(render).collect()
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| PageError::Internal(error.to_string()))
}

/// Returns a text as a form sends it, with the ends of lines that everything else has.
pub(super) fn text_of(form: &Form, name: &str) -> String {
    form.text(name).replace("\r\n", "\n")
}

/// Returns what a list is to be searched for.
pub(super) fn sought(around: &Around, name: &str) -> String {
    // A NUL is in no text that is kept, and not every database could look for one.
    let text = around.query(name).trim().chars().filter(|character| *character != '\0');
    text.take(MAX_SEARCH_CHARACTERS).collect()
}

/// What was asked of a list.
pub(super) struct Asked {
    pub state: &'static str,
    pub search: String,
    pub label: String,
    pub author: String,
    pub assignee: String,
    pub sort: &'static str,
    pub page: i64,
}

/// The orders of a list: what is sent, and what is read.
const SORTS: [(&str, &str); 4] = [
    ("created_desc", "Newest first"),
    ("created_asc", "Oldest first"),
    ("updated_desc", "Changed last"),
    ("title_asc", "By title"),
];

impl Asked {
    /// Reads what was asked; `states` are the states that there are, the first of them unless another is named.
    pub(super) fn of(around: &Around, states: &[(&'static str, &'static str)]) -> Asked {
        let one_of = |name: &str, known: &[(&'static str, &'static str)]| {
            let wanted = around.query(name);
            known.iter().find(|(word, _)| *word == wanted).or(known.first()).map_or("", |(word, _)| *word)
        };
        let text = |name: &str| sought(around, name);
        Asked {
            state: one_of("state", states),
            search: text("search"),
            label: text("label"),
            author: text("author").trim_start_matches('@').to_owned(),
            assignee: text("assignee"),
            sort: one_of("sort", &SORTS),
            page: around.page("page"),
        }
    }

    pub(super) fn window(&self) -> Window {
        Window { limit: PER_PAGE, offset: (self.page - 1) * PER_PAGE }
    }

    pub(super) fn is_narrowed(&self) -> bool {
        [&self.search, &self.label, &self.author, &self.assignee].iter().any(|text| !text.is_empty())
    }

    pub(super) fn search(&self) -> Option<String> {
        Some(self.search.clone()).filter(|text| !text.is_empty())
    }

    pub(super) fn author(&self) -> Option<String> {
        Some(self.author.clone()).filter(|text| !text.is_empty())
    }

    pub(super) fn labels(&self) -> Option<LabelFilter> {
        (!self.label.is_empty()).then(|| LabelFilter::All(vec![self.label.clone()]))
    }

    pub(super) fn assignee(&self, own: Option<UserId>) -> Option<AssigneeFilter> {
        match self.assignee.as_str() {
            "me" => own.map(AssigneeFilter::User),
            "nobody" => Some(AssigneeFilter::Nobody),
            _ => None,
        }
    }

    /// Returns the address of the same list at another state or page.
    pub(super) fn address(&self, list: &str, state: &str, page: i64) -> String {
        let mut address = format!("{list}?state={state}&sort={}", self.sort);
        let narrowed = [
            ("search", &self.search),
            ("label", &self.label),
            ("author", &self.author),
            ("assignee", &self.assignee),
        ];
        for (name, text) in narrowed.into_iter().filter(|(_, text)| !text.is_empty()) {
            address.push_str(&format!("&{name}={}", encoded(text)));
        }
        if page > 1 { format!("{address}&page={page}") } else { address }
    }

    pub(super) fn sorts(&self) -> Vec<Choice> {
        let choice = |(value, label): &(&str, &str)| Choice {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            chosen: *value == self.sort,
        };
        SORTS.iter().map(choice).collect()
    }

    pub(super) fn assignees(&self, signed_in: bool) -> Vec<Choice> {
        let me = signed_in.then_some(("me", "Me"));
        let choices = [Some(("", "Anyone")), me, Some(("nobody", "Nobody"))].into_iter().flatten();
        choices
            .map(|(value, label)| Choice {
                value: value.to_owned(),
                label: label.to_owned(),
                chosen: value == self.assignee,
            })
            .collect()
    }

    /// Returns the project's labels to be chosen from, and the one that was asked for.
    pub(super) fn label_choices(&self, known: &[Label]) -> LabelChoices {
        let mut titles: Vec<_> = known.iter().map(|label| label.title.clone()).collect();
        if !self.label.is_empty() && !titles.contains(&self.label) {
            titles.push(self.label.clone());
        }
        let any = Choice { value: String::new(), label: "Any".to_owned(), chosen: self.label.is_empty() };
        let each = titles.into_iter().map(|title| Choice {
            chosen: title == self.label,
            value: title.clone(),
            label: title,
        });
        let choices = std::iter::once(any).chain(each).collect();
        let colors = known.iter().filter_map(|label| Some((label.title.clone(), color_of(label)?)));
        LabelChoices { choices, colors: colors.collect() }
    }
}

/// The labels to choose from, with the colours of those that there are.
pub(super) struct LabelChoices {
    pub choices: Vec<Choice>,
    colors: Vec<(String, String)>,
}

impl LabelChoices {
    fn color(&self, title: &str) -> Option<&str> {
        self.colors.iter().find(|(known, _)| known == title).map(|(_, color)| color.as_str())
    }
}

/// Returns the colour of a label as a page may draw with it.
pub(super) fn color_of(label: &Label) -> Option<String> {
    Color::parse(&label.color).map(|color| color.as_str().to_owned())
}

/// One of the states that a list can be narrowed to.
pub(super) struct Tab {
    pub label: &'static str,
    pub address: String,
    pub count: String,
    pub current: bool,
}

/// Returns how many there are, as it is said; lists do not count to the end.
pub(super) fn count(total: Option<i64>) -> String {
    total.map_or_else(|| "10000+".to_owned(), |total| total.to_string())
}

/// An issue or a merge request in a list.
pub(super) struct Row {
    pub title: String,
    pub address: String,
    /// Such as `#3` or `!3`.
    pub reference: String,
    /// Words about it with the class of their badge.
    pub badges: Vec<(&'static str, &'static str)>,
    pub labels: Vec<String>,
    pub author: Author,
    pub opened: Moment,
    pub assignees: Vec<Author>,
    pub milestone: Option<String>,
    pub due: Option<String>,
    /// From which branch into which.
    pub branches: Option<(String, String)>,
    pub comments: i64,
}

/// What an empty list says, and where to begin.
pub(super) struct Empty {
    pub heading: &'static str,
    pub text: &'static str,
    pub begin: Option<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "tracked_list.html")]
pub(super) struct ListPage {
    pub around: Around,
    pub head: Head,
    pub heading: &'static str,
    /// What they are called, in the middle of a sentence.
    pub noun: &'static str,
    pub address: String,
    pub begin: Option<(&'static str, String)>,
    pub tabs: Vec<Tab>,
    pub asked: Asked,
    pub labels: LabelChoices,
    pub assignees: Vec<Choice>,
    pub sorts: Vec<Choice>,
    pub rows: Vec<Row>,
    pub empty: Empty,
    pub pages: Option<Pages>,
}

/// Returns the project's labels that there are to choose from, by title.
pub(super) async fn known_labels<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
) -> Result<Vec<Label>, PageError> {
    let Ok(access) = access.also::<act::ReadLabels>() else { return Ok(Vec::new()) };
    let window = Window { limit: CHOICES, offset: 0 };
    let found = labels::list(&state.forge, &access, None, WithCounts::No, window).await?;
    Ok(found.items.into_iter().map(|details| details.label).collect())
}

/// What was typed into the form of an issue or a merge request, or what there is already.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub title: String,
    pub description: String,
    pub labels: Vec<String>,
    /// Further labels, with commas between them.
    pub more_labels: String,
    pub assignees: Vec<i64>,
    pub reviewers: Vec<i64>,
    pub milestone: String,
    pub due_date: String,
    /// What the form began from.
    pub seen: String,
}

impl Typed {
    pub(super) fn of(form: &Form) -> Typed {
        let ids = |name: &str| form.all(name).filter_map(|id| id.parse().ok()).take(MAX_ASSIGNEES).collect();
        Typed {
            title: form.text("title").trim().to_owned(),
            description: text_of(form, "description"),
            labels: form.all("labels[]").map(str::to_owned).collect(),
            more_labels: form.text("more_labels").to_owned(),
            assignees: ids("assignee_ids[]"),
            reviewers: ids("reviewer_ids[]"),
            milestone: form.text("milestone_id").to_owned(),
            due_date: form.text("due_date").trim().to_owned(),
            seen: form.text("seen").to_owned(),
        }
    }

    /// Returns all labels, those that were ticked and those that were typed.
    pub(super) fn all_labels(&self) -> Vec<String> {
        let typed = self.more_labels.split(',').map(str::trim).filter(|label| !label.is_empty());
        self.labels.iter().cloned().chain(typed.map(str::to_owned)).collect()
    }

    pub(super) fn assignees(&self) -> Vec<UserId> {
        self.assignees.iter().copied().map(UserId).collect()
    }

    pub(super) fn reviewers(&self) -> Vec<UserId> {
        self.reviewers.iter().copied().map(UserId).collect()
    }

    pub(super) fn milestone(&self) -> Option<MilestoneId> {
        self.milestone.parse().ok().map(MilestoneId)
    }

    /// Reads the date, which may be left out.
    pub(super) fn date(&self, problems: &mut Problems) -> Option<jiff::civil::Date> {
        if self.due_date.is_empty() {
            return None;
        }
        let date = parse_date(&self.due_date);
        if date.is_none() {
            problems.add("due_date", "is not a date such as 2030-01-31");
        }
        date
    }
}

/// Returns a mark of what something says, by which a form knows whether it was changed meanwhile.
pub(super) fn mark(title: &str, description: Option<&str>) -> String {
    let text = format!("{title}\n{}", description.unwrap_or_default().replace("\r\n", "\n"));
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What is said when somebody else changed the same meanwhile.
pub(super) const CHANGED_MEANWHILE: &str = "Somebody changed the title or the description after you had opened this form. \
     What you typed is below; saving it now replaces what they wrote.";

/// What is said of a form that comes a second time.
pub(super) const SENT_BEFORE: &str = "This form was sent before, so nothing was made again. If what it made is not in the list, \
     send it once more.";

/// Some of those there are, to be ticked.
#[derive(Template)]
#[template(path = "parts/picks.html")]
pub(super) struct Picks {
    pub name: &'static str,
    pub id: &'static str,
    pub legend: &'static str,
    pub error: Option<String>,
    pub ticks: Vec<Tick>,
    /// What is said when there are none.
    pub none: &'static str,
    /// Whether there are more than are shown.
    pub more: bool,
}

/// What is planned, by those who may.
pub(super) struct Plan {
    pub labels: Picks,
    pub more_labels: TextField,
    pub assignees: Picks,
    pub reviewers: Option<Picks>,
    pub milestone: Option<SelectField>,
    pub due_date: Option<TextField>,
}

/// What a plan is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanOf {
    Issue,
    MergeRequest,
}

impl Plan {
    /// Returns the fields with what was typed. Whoever is chosen already stays to choose from, member or not.
    pub(super) async fn of<A: Act<On = on::Project>>(
        state: &AppState,
        access: &Authorized<A>,
        of: PlanOf,
        typed: &Typed,
        problems: &Problems,
    ) -> Result<Plan, PageError> {
        let known = known_labels(state, access).await?;
        let is_full = |count: usize| i64::try_from(count).unwrap_or(CHOICES) >= CHOICES;
        let more = is_full(known.len());
        let mut titles: Vec<_> = known.into_iter().map(|label| label.title).collect();
        for label in &typed.labels {
            if !titles.contains(label) {
                titles.push(label.clone());
            }
        }
        let ticks = titles.into_iter().map(|title| Tick {
            ticked: typed.labels.contains(&title),
            value: title.clone(),
            label: title,
            says: String::new(),
        });
        let labels = Picks {
            name: "labels[]",
            id: "labels",
            legend: "Labels",
            error: problems.with("labels", "The labels"),
            ticks: ticks.collect(),
            none: "There are none yet.",
            more,
        };
        let people = assignable(state, access, typed).await?;
        let more = is_full(people.len());
        let picks = |name, id, legend, error, chosen: &[i64]| Picks {
            name,
            id,
            legend,
            error,
            ticks: people
                .iter()
                .map(|user| Tick {
                    value: user.id.0.to_string(),
                    label: user.name.clone(),
                    says: if user.kind == UserKind::ProjectBot { "Bot".to_owned() } else { String::new() },
                    ticked: chosen.contains(&user.id.0),
                })
                .collect(),
            none: "The project has no members to choose from.",
            more,
        };
        let wrong = problems.with("assignee_ids", "The assignees");
        let assignees = picks("assignee_ids[]", "assignees", "Assignees", wrong, &typed.assignees);
        let wrong = problems.with("reviewer_ids", "The reviewers");
        let reviewers = (of == PlanOf::MergeRequest)
            .then(|| picks("reviewer_ids[]", "reviewers", "Reviewers", wrong, &typed.reviewers));
        Ok(Plan {
            labels,
            more_labels: TextField::new("more_labels", "Further labels")
                .optional()
                .hint("With commas between them. A label that is not there yet is made.")
                .with(&*typed.more_labels),
            assignees,
            reviewers,
            milestone: milestone_field(state, access, typed, problems).await?,
            due_date: (of == PlanOf::Issue).then(|| {
                TextField::new("due_date", "Due date")
                    .of_kind("date")
                    .optional()
                    .with(&*typed.due_date)
                    .wrong(problems.with("due_date", "The date"))
            }),
        })
    }
}

/// Returns who can be assigned: the project's members, as far as they are shown.
async fn assignable<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    typed: &Typed,
) -> Result<Vec<User>, PageError> {
    let Ok(access) = access.also::<act::ReadMembers>() else { return Ok(Vec::new()) };
    let window = Window { limit: CHOICES, offset: 0 };
    let list = async |filter: MemberFilter| {
        members::list(&state.forge, &access, Reach::Inherited, &filter, window).await.map(|found| found.items)
    };
    let mut found = list(MemberFilter::default()).await?;
    let chosen: Vec<_> = typed.assignees.iter().chain(&typed.reviewers).copied().collect();
    let unseen: Vec<_> =
        chosen.into_iter().filter(|id| found.iter().all(|member| member.user.id.0 != *id)).collect();
    if !unseen.is_empty() {
        found.extend(list(MemberFilter { query: None, users: unseen }).await?);
    }
    Ok(found.into_iter().map(|member| member.user).collect())
}

async fn milestone_field<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    typed: &Typed,
    problems: &Problems,
) -> Result<Option<SelectField>, PageError> {
    let Ok(access) = access.also::<act::ReadMilestones>() else { return Ok(None) };
    let filter = MilestoneFilter { closed: Some(false), ..MilestoneFilter::default() };
    let window = Window { limit: CHOICES, offset: 0 };
    let mut found = milestones::list(&state.forge, &access, &filter, window).await?.items;
    if let Some(id) = typed.milestone().filter(|id| found.iter().all(|milestone| milestone.id != *id)) {
        match milestones::get(&state.forge, &access, id).await {
            Ok(milestone) => found.push(milestone),
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let none = Choice { value: String::new(), label: "None".to_owned(), chosen: typed.milestone.is_empty() };
    let each = found.into_iter().map(|milestone| {
        let value = milestone.id.0.to_string();
        Choice { chosen: value == typed.milestone, value, label: milestone.title }
    });
    Ok(Some(SelectField {
        name: "milestone_id",
        label: "Milestone",
        hint: "",
        error: problems.with("milestone_id", "The milestone"),
        choices: std::iter::once(none).chain(each).collect(),
    }))
}

/// Something to be switched on or off.
pub(super) struct Switch {
    pub name: &'static str,
    pub label: &'static str,
    pub says: &'static str,
    pub on: bool,
}

/// Returns the switch that leaves the discussion to members.
pub(super) fn locked(on: bool) -> Switch {
    Switch { name: "discussion_locked", label: "Lock the discussion", says: "Only members comment.", on }
}

/// The form for an issue or a merge request.
#[derive(Template)]
#[template(path = "tracked_form.html")]
pub(super) struct FormPage {
    pub around: Around,
    pub head: Head,
    pub heading: String,
    pub problem: Option<String>,
    pub action: String,
    pub back: String,
    pub does: &'static str,
    /// The number of a form that makes something.
    pub number: Option<String>,
    pub seen: String,
    /// Of which branch into which.
    pub branches: Vec<SelectField>,
    pub title: TextField,
    pub description: TextArea,
    pub plan: Option<Plan>,
    pub switches: Vec<Switch>,
}

/// Returns the fields that everybody who writes one fills in.
pub(super) fn words_of(typed: &Typed, problems: &Problems) -> (TextField, TextArea) {
    let title =
        TextField::new("title", "Title").with(&*typed.title).wrong(problems.with("title", "The title"));
    let description = TextArea {
        name: "description",
        id: "description".to_owned(),
        label: "Description",
        value: typed.description.clone(),
        lines: 10,
        hint: "Markdown is rendered.",
        error: problems.with("description", "The description"),
        required: false,
    };
    (title, description)
}

/// What stands beside an issue or a merge request.
#[derive(Template)]
#[template(path = "parts/facts.html")]
pub(super) struct Facts {
    pub assignees: Vec<Author>,
    pub reviewers: Option<Vec<Author>>,
    pub labels: Vec<LabelLink>,
    /// With its address before its title.
    pub milestone: Option<(String, String)>,
    pub due: Option<String>,
    /// Whether only members comment.
    pub locked: bool,
    pub approved_by: Option<Vec<Author>>,
}

/// A label, with the address of the list of all that have it.
pub(super) struct LabelLink {
    pub title: String,
    pub color: Option<String>,
    pub address: String,
}

impl LabelLink {
    pub(super) fn of(list: &str, label: &Label) -> LabelLink {
        LabelLink { color: color_of(label), ..LabelLink::titled(list, label.title.clone()) }
    }

    fn titled(list: &str, title: String) -> LabelLink {
        let address = format!("{list}?state=all&label={}", encoded(&title));
        LabelLink { title, color: None, address }
    }
}

/// Returns labels in their colours, of the project's labels that there are to choose from.
pub(super) async fn labels_in_color<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    list: &str,
    labels: Vec<String>,
) -> Result<Vec<LabelLink>, PageError> {
    let known = if labels.is_empty() { Vec::new() } else { known_labels(state, access).await? };
    let link = |title: String| match known.iter().find(|label| label.title == title) {
        Some(label) => LabelLink::of(list, label),
        None => LabelLink::titled(list, title),
    };
    Ok(labels.into_iter().map(link).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_changes_with_what_is_said_and_not_with_the_ends_of_lines() {
        let mark_of = |description| mark("a", Some(description));
        assert_eq!(mark_of("x\r\ny"), mark_of("x\ny"));
        assert_eq!(mark("a", None), mark("a", Some("")));
        assert_ne!(mark_of("x"), mark("b", Some("x")));
        assert_ne!(mark_of("x"), mark_of("y"));
    }

    #[test]
    fn a_name_leads_to_a_page_and_never_to_one_of_the_forges_own() {
        let prose = Prose::of("a/b", "main");
        assert_eq!(prose.render("@maria"), "<p><a href=\"/maria\">@maria</a></p>\n");
        for text in ["@admin", "@dashboard", "@API", "@17", "@-", "@.x", "@a..b", "@a.git", "@info"] {
            assert!(!prose.render(text).contains("<a "), "{text}");
        }
    }

    #[test]
    fn labels_are_ticked_and_typed() {
        let typed = Typed {
            labels: vec!["bug".to_owned()],
            more_labels: " new one, , other".to_owned(),
            ..Typed::default()
        };
        assert_eq!(typed.all_labels(), ["bug", "new one", "other"]);
    }
}
