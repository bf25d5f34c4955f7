//! Project › Settings › General: what a project is called, who sees and uses what of it, how it merges, and where it is.
//!
//! Each section is a form of its own and changes nothing but what stands in it. A choice is sent together with what it was
//! when the page was made (`…_now`) and left alone where the two are the same: a page that was opened before somebody else
//! changed something does not take that back unasked.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use portcullis_app::access::{Authorized, Reading};
use portcullis_app::projects::{self, MergingChanges, ProjectChanges, ProjectDetails};
use portcullis_app::records::projects::Project;
use portcullis_app::records::select::Window;
use portcullis_app::repository_branches::{self, BranchOrder};
use portcullis_app::search::NameFilter;
use portcullis_app::sessions;
use portcullis_rules::access::{Act, FeatureAccess, Visibility, act, on};
use portcullis_rules::merging::{MergeMethod, SquashOption};

use super::confirm::Confirm;
use super::fields::{Choice, Problems, SelectField, TextArea, TextField, Tick, Ticks, Wrong};
use super::form::Form;
use super::groups::widest_visibility;
use super::projects::Head;
use super::{Around, PageError, PageResult, html, see_other, words};
use crate::AppState;
use crate::door::Door;
use crate::error::Refusal;
use crate::guard::{self, Access, Guard};

/// How many branches there are to choose from; where there are more, the name is typed.
const BRANCHES: i64 = 100;

/// What is asked before a project is archived.
const ARCHIVING: &str = "It can be read, and nothing in it can be changed or pushed to it until it is unarchived. Its access \
     tokens stay, and read what they could read.";

/// What is told of a value that nobody could have chosen.
const NONE_OF_THOSE: &str = "is none of those";

/// Who sees the settings: whoever may change them, and of an archived project, where nobody may, who can end that.
#[derive(Debug)]
pub enum Settings {
    /// They can be changed.
    Open(Authorized<act::UpdateProject>),
    /// The project is archived.
    Archived(Authorized<act::ArchiveProject>),
}

impl Guard for Settings {
    const ACCESS: Access = Access::OneOf(&[act::UpdateProject::ACTION, act::ArchiveProject::ACTION]);
}

impl FromRequestParts<AppState> for Settings {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Settings, Refusal> {
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Pages).await?;
        let asked = guard::ask::<act::UpdateProject>(parts, state, &mut reading, viewer, Door::Pages).await?;
        let viewer = match asked {
            Ok(access) => return Ok(Settings::Open(access)),
            Err(refused) => refused.viewer,
        };
        let asked =
            guard::ask::<act::ArchiveProject>(parts, state, &mut reading, viewer, Door::Pages).await?;
        asked.map(Settings::Archived).map_err(|refused| Refusal::Page(PageError::refused(&refused)))
    }
}

/// A section that is a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Naming,
    Features,
    Branch,
    Merging,
    Path,
}

impl Section {
    /// Returns the section that a form says it is.
    fn named(word: &str) -> Option<Section> {
        Some(match word {
            "naming" => Section::Naming,
            "features" => Section::Features,
            "default_branch" => Section::Branch,
            "merging" => Section::Merging,
            "path" => Section::Path,
            _ => return None,
        })
    }

    /// Reads what is to change, and notes what cannot be read.
    fn read(self, form: &Form, problems: &mut Problems) -> ProjectChanges {
        let nothing = ProjectChanges::default();
        match self {
            Section::Naming => ProjectChanges {
                name: Some(form.text("name").to_owned()),
                // Browsers send the ends of lines in two characters.
                description: Some(form.text("description").replace("\r\n", "\n").trim().to_owned()),
                topics: (form.text("topics") != form.text("topics_now"))
                    .then(|| split_topics(form.text("topics"))),
                ..nothing
            },
            Section::Features => {
                let visibility = changed(form, "visibility").map(Visibility::from_name);
                if visibility == Some(None) {
                    problems.add("visibility_level", NONE_OF_THOSE);
                }
                let mut feature = |name| chosen(form, name, FeatureAccess::from_name, problems);
                ProjectChanges {
                    visibility: visibility.flatten(),
                    repository_access: feature("repository_access_level"),
                    issues_access: feature("issues_access_level"),
                    merge_requests_access: feature("merge_requests_access_level"),
                    container_registry_access: feature("container_registry_access_level"),
                    packages_access: feature("package_registry_access_level"),
                    lfs: switched(form, "lfs_enabled"),
                    ..nothing
                }
            }
            Section::Branch => ProjectChanges {
                default_branch: changed(form, "default_branch").map(|name| name.trim().to_owned()),
                ..nothing
            },
            Section::Merging => ProjectChanges {
                merging: MergingChanges {
                    method: chosen(form, "merge_method", MergeMethod::from_name, problems),
                    squash: chosen(form, "squash_option", SquashOption::from_name, problems),
                    removes_source_branch: switched(form, "remove_source_branch_after_merge"),
                    closes_issues: switched(form, "autoclose_referenced_issues"),
                    needs_success: switched(form, "only_allow_merge_if_pipeline_succeeds"),
                    skipped_is_success: switched(form, "allow_merge_on_skipped_pipeline"),
                    needs_resolved_discussions: switched(
                        form,
                        "only_allow_merge_if_all_discussions_are_resolved",
                    ),
                },
                ..nothing
            },
            Section::Path => ProjectChanges { path: Some(form.text("path").trim().to_owned()), ..nothing },
        }
    }
}

/// Returns the topics in a line, each once.
fn split_topics(line: &str) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for topic in line.split(',').map(str::trim).filter(|topic| !topic.is_empty()) {
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }
    topics
}

/// Returns the name of the field that says what another one was when the page was made.
fn now_of(name: &str) -> String {
    format!("{name}_now")
}

/// Returns what was chosen, unless it stood there already when the page was made.
pub(super) fn changed<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    let chosen = form.text(name);
    (!chosen.is_empty() && chosen != form.text(&now_of(name))).then_some(chosen)
}

fn chosen<T>(
    form: &Form,
    name: &'static str,
    read: fn(&str) -> Option<T>,
    problems: &mut Problems,
) -> Option<T> {
    let value = read(changed(form, name)?);
    if value.is_none() {
        problems.add(name, NONE_OF_THOSE);
    }
    value
}

/// Returns whether a switch was turned, and to where. One that was not on the page is none.
fn switched(form: &Form, name: &str) -> Option<bool> {
    let on = !form.text(name).is_empty();
    match form.text(&now_of(name)) {
        "yes" if !on => Some(false),
        "no" if on => Some(true),
        _ => None,
    }
}

/// A form that came back, and what is wrong with it.
struct Came<'a> {
    section: Section,
    form: &'a Form,
    wrong: Wrong,
}

/// What stands in the fields of a section: what was sent, if this section came back, or what is in force.
#[derive(Clone, Copy)]
struct Filled<'a>(Option<&'a Came<'a>>);

impl<'a> Filled<'a> {
    fn of(came: Option<&'a Came<'a>>, section: Section) -> Filled<'a> {
        Filled(came.filter(|came| came.section == section))
    }

    fn text(self, name: &str, in_force: &str) -> String {
        self.0.map_or(in_force, |came| came.form.text(name)).to_owned()
    }

    /// Returns what the page was made with: of a form that came back, the page that it came from.
    fn now(self, name: &str, in_force: &str) -> String {
        self.text(&now_of(name), in_force)
    }

    fn wrong(self, field: &str, label: &str) -> Option<String> {
        self.0.and_then(|came| came.wrong.problems.with(field, label))
    }

    fn problem(self) -> Option<String> {
        self.0.and_then(|came| came.wrong.problem.clone())
    }

    fn select(self, about: &About, in_force: &str, offered: &[(&str, &str)]) -> Chosen<SelectField> {
        let chosen = self.text(about.name, in_force);
        let chosen = if offered.iter().any(|(value, _)| *value == chosen) { &*chosen } else { in_force };
        let choices = offered.iter().map(|(value, label)| Choice {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            chosen: *value == chosen,
        });
        let field = SelectField {
            name: about.name,
            label: about.label,
            hint: about.says,
            error: self.wrong(about.name, "The choice"),
            choices: choices.collect(),
        };
        Chosen { name: about.name, now: self.now(about.name, in_force), field }
    }

    fn radio(self, about: &About, in_force: &str, offered: &[(&str, &str, &str)]) -> Chosen<Ticks> {
        let chosen = self.text(about.name, in_force);
        let chosen = if offered.iter().any(|(value, ..)| *value == chosen) { &*chosen } else { in_force };
        let ticks = offered.iter().map(|(value, label, says)| Tick {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            says: (*says).to_owned(),
            ticked: *value == chosen,
        });
        let field = Ticks {
            name: about.name,
            id: about.name,
            legend: about.label,
            hint: about.says,
            error: self.wrong(about.name, "The choice"),
            kind: "radio",
            ticks: ticks.collect(),
        };
        Chosen { name: about.name, now: self.now(about.name, in_force), field }
    }

    fn switch(self, about: &About, in_force: bool) -> Switch {
        let in_words = if in_force { "yes" } else { "no" };
        Switch {
            name: about.name,
            label: about.label,
            says: about.says,
            on: self.0.map_or(in_force, |came| !came.form.text(about.name).is_empty()),
            now: self.now(about.name, in_words),
        }
    }
}

/// What a field is called, and what helps to fill it in.
struct About {
    name: &'static str,
    label: &'static str,
    says: &'static str,
}

/// A choice, and what it was when the page was made.
struct Chosen<F> {
    name: &'static str,
    field: F,
    now: String,
}

/// A box to tick that is a setting by itself, and what it was when the page was made.
struct Switch {
    name: &'static str,
    label: &'static str,
    says: &'static str,
    on: bool,
    now: String,
}

struct Naming {
    problem: Option<String>,
    name: TextField,
    description: TextArea,
    topics: TextField,
    topics_now: String,
}

impl Naming {
    fn of(details: &ProjectDetails, filled: Filled<'_>) -> Naming {
        let topics = details.topics.join(", ");
        // What is said of all of them, and of one.
        let many = filled.wrong("topics", "The topics").filter(|said| said.contains("are too many"));
        Naming {
            problem: filled.problem(),
            name: TextField::new("name", "Project name")
                .with(filled.text("name", &details.project.name))
                .wrong(filled.wrong("name", "The name")),
            description: TextArea {
                name: "description",
                id: "description".to_owned(),
                label: "Description",
                value: filled.text("description", &details.project.description),
                lines: 3,
                hint: "What it is for, in a sentence or two.",
                error: filled.wrong("description", "The description"),
                required: false,
            },
            topics: TextField::new("topics", "Topics")
                .optional()
                .hint("Words that it is found by, with commas between them.")
                .with(filled.text("topics", &topics))
                .wrong(many.or_else(|| filled.wrong("topics", "A topic"))),
            topics_now: filled.now("topics", &topics),
        }
    }
}

const REPOSITORY: About = About {
    name: "repository_access_level",
    label: "Repository",
    says: "Files, commits, branches, tags and releases.",
};
const ISSUES: About = About { name: "issues_access_level", label: "Issues", says: "" };
const MERGE_REQUESTS: About =
    About { name: "merge_requests_access_level", label: "Merge requests", says: "" };
const CONTAINER_REGISTRY: About = About {
    name: "container_registry_access_level",
    label: "Container registry",
    says: "Where it is off, what is stored stays and cannot be reached.",
};
const PACKAGES: About = About { name: "package_registry_access_level", label: "Packages", says: "" };
const LARGE_FILES: About = About {
    name: "lfs_enabled",
    label: "Large files (Git LFS)",
    says: "As far as the top-level group allows them. Where they are off, what is stored stays and cannot be reached.",
};

/// Who a part of a project is for.
const ACCESS_LEVELS: [(&str, &str); 3] =
    [("enabled", "Everyone who sees the project"), ("private", "Only members"), ("disabled", "Off")];

struct Features {
    problem: Option<String>,
    /// For who may change it.
    visibility: Option<Ticks>,
    visibility_now: String,
    /// What it is, for everybody else.
    visibility_is: (&'static str, &'static str),
    parts: Vec<Chosen<SelectField>>,
    lfs: Option<Switch>,
}

impl Features {
    async fn of<A: Act<On = on::Project>>(
        state: &AppState,
        access: &Authorized<A>,
        project: &Project,
        filled: Filled<'_>,
    ) -> Result<Features, PageError> {
        let settings = state.forge.settings();
        let in_force = project.visibility.name();
        let visibility = match access.also::<act::ChangeProjectVisibility>() {
            Err(_) => None,
            Ok(_) => {
                let widest = widest_visibility(state, access.viewer(), Some(project.namespace)).await?;
                let chosen = Visibility::from_name(&filled.text("visibility", in_force));
                Some(words::visibilities(
                    widest,
                    chosen.unwrap_or(project.visibility),
                    filled.wrong("visibility_level", "The visibility"),
                ))
            }
        };
        let part = |about: &About, access: FeatureAccess| filled.select(about, access.name(), &ACCESS_LEVELS);
        let mut parts = vec![
            part(&REPOSITORY, project.repository_access),
            part(&ISSUES, project.issues_access),
            part(&MERGE_REQUESTS, project.merge_requests_access),
        ];
        if settings.container_registry {
            parts.push(part(&CONTAINER_REGISTRY, project.container_registry_access));
        }
        parts.push(part(&PACKAGES, project.packages_access));
        Ok(Features {
            problem: filled.problem(),
            visibility,
            visibility_now: filled.now("visibility", in_force),
            visibility_is: words::visibility(project.visibility),
            parts,
            lfs: settings.lfs.then(|| filled.switch(&LARGE_FILES, project.lfs)),
        })
    }
}

struct BranchForm {
    /// The field: a list of branches, or a line to type one.
    field: String,
    now: String,
}

impl BranchForm {
    /// Returns the form, if the caller may know the branches.
    async fn of<A: Act<On = on::Project>>(
        state: &AppState,
        access: &Authorized<A>,
        project: &Project,
        filled: Filled<'_>,
    ) -> Result<Option<BranchForm>, PageError> {
        const NAME: &str = "default_branch";
        let Ok(reading) = access.also::<act::ReadCode>() else { return Ok(None) };
        let in_force = project.default_branch.as_str();
        let (value, error) = (filled.text(NAME, in_force), filled.wrong(NAME, "The branch"));
        let mut names = Vec::new();
        let mut all = true;
        if !project.empty
            && let Ok(every) = NameFilter::new(None, None)
        {
            let window = Window { limit: BRANCHES, offset: 0 };
            let order = BranchOrder::NameAscending;
            let found = repository_branches::list(&state.forge, &reading, &every, order, window).await?;
            all = found.total.is_some_and(|total| total <= BRANCHES);
            names.extend(found.items.into_iter().map(|branch| branch.name));
        }
        let field = if names.is_empty() || !all {
            TextField::new(NAME, "Default branch")
                .hint(if project.empty { "The repository is empty; this is where it begins." } else { "" })
                .with(value)
                .wrong(error)
                .to_string()
        } else {
            // There may be branches, and not the one that is the default.
            if !names.iter().any(|name| name == in_force) {
                names.insert(0, in_force.to_owned());
            }
            let choices = names.into_iter().map(|name| Choice {
                chosen: name == value,
                value: name.clone(),
                label: name,
            });
            let hint = "What is shown first, and where merge requests lead unless they say otherwise.";
            let field =
                SelectField { name: NAME, label: "Default branch", hint, error, choices: choices.collect() };
            field.to_string()
        };
        Ok(Some(BranchForm { field, now: filled.now(NAME, in_force) }))
    }
}

const METHOD: About = About { name: "merge_method", label: "Merge method", says: "" };
const METHODS: [(&str, &str, &str); 3] = [
    ("merge", "Merge commit", "Every merge makes a merge commit."),
    (
        "rebase_merge",
        "Merge commit with semi-linear history",
        "Every merge makes a merge commit, and only a branch that has all commits of its target is merged.",
    ),
    (
        "ff",
        "Fast-forward merge",
        "No merge commits: the target goes forward, and only to a branch that has all of its commits.",
    ),
];
const SQUASH: About =
    About { name: "squash_option", label: "Squash commits when merging", says: "Whether they become one." };
const SQUASHES: [(&str, &str, &str); 4] = [
    ("never", "Do not allow", "They never do."),
    ("default_off", "Allow", "They do when it is asked for."),
    ("default_on", "Encourage", "They do unless it is asked for otherwise."),
    ("always", "Require", "They always do."),
];
const SOURCE_BRANCH: About = About {
    name: "remove_source_branch_after_merge",
    label: "Delete the source branch when it is merged",
    says: "Unless it is asked for otherwise.",
};
const CLOSES_ISSUES: About = About {
    name: "autoclose_referenced_issues",
    label: "Close issues that a merge request names",
    says: "When it is merged into the default branch.",
};
const NEEDS_SUCCESS: About = About {
    name: "only_allow_merge_if_pipeline_succeeds",
    label: "Statuses must succeed",
    says: "Nothing is merged unless the statuses of its last commit are there and good.",
};
const SKIPPED: About = About {
    name: "allow_merge_on_skipped_pipeline",
    label: "Skipped statuses are good",
    says: "A status that was skipped keeps nothing from being merged.",
};
const DISCUSSIONS: About = About {
    name: "only_allow_merge_if_all_discussions_are_resolved",
    label: "All discussions must be resolved",
    says: "Nothing is merged before.",
};

struct MergingForm {
    problem: Option<String>,
    choices: Vec<Chosen<Ticks>>,
    switches: Vec<Switch>,
}

impl MergingForm {
    fn of(project: &Project, filled: Filled<'_>) -> MergingForm {
        let merging = &project.merging;
        MergingForm {
            problem: filled.problem(),
            choices: vec![
                filled.radio(&METHOD, merging.method.name(), &METHODS),
                filled.radio(&SQUASH, merging.squash.name(), &SQUASHES),
            ],
            switches: vec![
                filled.switch(&SOURCE_BRANCH, merging.removes_source_branch),
                filled.switch(&CLOSES_ISSUES, merging.closes_issues),
                filled.switch(&NEEDS_SUCCESS, merging.needs_success),
                filled.switch(&SKIPPED, merging.skipped_is_success),
                filled.switch(&DISCUSSIONS, merging.needs_resolved_discussions),
            ],
        }
    }
}

struct PathForm {
    path: TextField,
    /// Where it is cloned from.
    clone_address: String,
}

struct Forms {
    naming: Naming,
    features: Features,
    branch: Option<BranchForm>,
    merging: MergingForm,
    path: PathForm,
}

#[derive(Template)]
#[template(path = "project_edit.html")]
struct ProjectEditPage {
    around: Around,
    head: Head,
    address: String,
    id: i64,
    /// None of an archived project.
    forms: Option<Forms>,
    archived: bool,
    may_archive: bool,
    may_delete: bool,
}

pub(super) fn address_of(full_path: &str) -> String {
    format!("/{full_path}/-/edit")
}

async fn page<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    around: Around,
    came: Option<&Came<'_>>,
) -> Result<ProjectEditPage, PageError> {
    let (head, details) = Head::of(state, access, "settings", &["Settings", "General"]).await?;
    let project = &details.project;
    let forms = if access.also::<act::UpdateProject>().is_ok() {
        let path = Filled::of(came, Section::Path);
        Some(Forms {
            naming: Naming::of(&details, Filled::of(came, Section::Naming)),
            features: Features::of(state, access, project, Filled::of(came, Section::Features)).await?,
            branch: BranchForm::of(state, access, project, Filled::of(came, Section::Branch)).await?,
            merging: MergingForm::of(project, Filled::of(came, Section::Merging)),
            path: PathForm {
                clone_address: format!("{}/{}.git", around.base.0, project.full_path),
                path: TextField::new("path", "Path")
                    .hint("The last part of the project's address.")
                    .with(path.text("path", &project.path))
                    .wrong(path.wrong("path", "The path")),
            },
        })
    } else {
        None
    };
    Ok(ProjectEditPage {
        address: address_of(&project.full_path),
        id: project.id.0,
        forms,
        archived: project.archived,
        may_archive: access.also::<act::ArchiveProject>().is_ok(),
        may_delete: access.also::<act::DeleteProject>().is_ok(),
        around: around.of(state, access.viewer()).await?,
        head,
    })
}

/// Answers a project's general settings.
pub async fn show(settings: Settings, State(state): State<AppState>, around: Around) -> PageResult {
    let page = match &settings {
        Settings::Open(access) => page(&state, access, around, None).await?,
        Settings::Archived(access) => page(&state, access, around, None).await?,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Changes what one section of the settings holds.
pub async fn update(
    access: Authorized<act::UpdateProject>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let section = Section::named(form.text("section")).ok_or(PageError::NotAForm)?;
    let mut wrong = Wrong::default();
    let changes = section.read(&form, &mut wrong.problems);
    if wrong.problems.is_empty() {
        match projects::update(&state.forge, &access, changes).await {
            Ok(details) => {
                let full_path = &details.project.full_path;
                let said = match *full_path != access.place().full_path {
                    true => format!("The project is at {full_path} now."),
                    false => "Saved.".to_owned(),
                };
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&address_of(full_path)));
            }
            Err(error) => wrong = Wrong::of(error)?,
        }
    }
    let came = Came { section, form: &form, wrong };
    let page = page(&state, &access, around, Some(&came)).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Asks before a project is archived.
pub async fn confirm_archiving(
    access: Authorized<act::ArchiveProject>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let full_path = &access.place().full_path;
    let back = address_of(full_path);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Archive {full_path}?"),
        text: ARCHIVING.to_owned(),
        action: format!("{back}/archive"),
        does: "Archive project",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

async fn set_archived(
    access: &Authorized<act::ArchiveProject>,
    state: &AppState,
    archived: bool,
) -> PageResult {
    let said = match (access.place().facts.archived, archived) {
        (true, true) => "It is archived already.",
        (false, false) => "It is not archived.",
        (_, true) => "The project is archived: it can be read, and nothing in it can be changed.",
        (_, false) => "The project is writable again.",
    };
    if access.place().facts.archived != archived {
        projects::set_archived(&state.forge, access, archived).await?;
    }
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of(&access.place().full_path)))
}

/// Makes a project read-only.
pub async fn archive(
    access: Authorized<act::ArchiveProject>,
    State(state): State<AppState>,
    _form: Form,
) -> PageResult {
    set_archived(&access, &state, true).await
}

/// Makes a project writable again.
pub async fn unarchive(
    access: Authorized<act::ArchiveProject>,
    State(state): State<AppState>,
    _form: Form,
) -> PageResult {
    set_archived(&access, &state, false).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_split_at_commas_and_each_is_there_once() {
        assert_eq!(split_topics(" rust, ,git forge,rust,"), ["rust", "git forge"]);
        assert!(split_topics(" , ").is_empty());
    }

    #[test]
    fn what_is_offered_is_what_is_read() {
        assert!(ACCESS_LEVELS.iter().all(|(name, _)| FeatureAccess::from_name(name).is_some()));
        assert!(METHODS.iter().all(|(name, _, _)| MergeMethod::from_name(name).is_some()));
        assert!(SQUASHES.iter().all(|(name, _, _)| SquashOption::from_name(name).is_some()));
    }
}
