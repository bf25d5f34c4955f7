//! A project's first page, and making one.

use askama::Template;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use portcullis_app::access::{Authorized, Reading, authorize_within};
use portcullis_app::projects::{self, MergingChanges, NewProjectRequest};
use portcullis_app::records::select::Window;
use portcullis_app::{Error, groups, sessions};
use portcullis_rules::access::{Act, Denial, Visibility, act, on};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::IdOrPath;

use super::fields::{Choice, Problems, SelectField, TextField, Ticks};
use super::form::Form;
use super::repository::{self, Folder, Spot};
use super::{Around, PageError, PageResult, Pages, html, see_other, words};
use crate::AppState;
use crate::door::Door;
use crate::error::Refusal;
use crate::guard::{self, Access, Guard};

/// How many namespaces there are to choose from.
const NAMESPACES: i64 = 200;

/// What the pages of a project have in common: its name, where it stands, and the ways to its other pages.
pub(super) struct Head {
    pub name: String,
    pub full_path: String,
    pub initial: String,
    /// Which of the pages it is.
    pub at: &'static str,
    /// Whether the repository may be read, and there is something in it.
    pub shows_code: bool,
    pub shows_activity: bool,
    pub shows_releases: bool,
    pub shows_images: bool,
    pub shows_issues: bool,
    pub shows_merge_requests: bool,
    pub shows_members: bool,
    pub shows_tokens: bool,
    pub shows_settings: bool,
    /// Names and addresses from the top down.
    pub crumbs: Vec<(String, String)>,
}

impl Head {
    /// Returns the head of a page of the project that `access` is about. `behind` are the names after the project's own.
    pub(super) async fn of<A: Act<On = on::Project>>(
        state: &AppState,
        access: &Authorized<A>,
        at: &'static str,
        behind: &[&str],
    ) -> Result<(Head, projects::ProjectDetails), PageError> {
        let reading = access.also::<act::ReadProject>()?;
        let details = projects::get(&state.forge, &reading, &mut Reading::default()).await?;
        let project = &details.project;
        let above = match project.namespace_owner {
            None => format!("/groups/{}", project.namespace_full_path),
            Some(_) => String::new(),
        };
        let own = if behind.is_empty() { String::new() } else { format!("/{}", project.full_path) };
        let mut crumbs = vec![(project.namespace_name.clone(), above), (project.name.clone(), own)];
        crumbs.extend(behind.iter().map(|name| ((*name).to_owned(), String::new())));
        let head = Head {
            initial: project.name.chars().next().unwrap_or('?').to_uppercase().collect(),
            name: project.name.clone(),
            full_path: project.full_path.clone(),
            at,
            shows_code: !project.empty && access.also::<act::ReadCode>().is_ok(),
            shows_activity: access.also::<act::ReadEvents>().is_ok(),
            shows_releases: access.also::<act::ReadReleases>().is_ok(),
            shows_images: state.forge.settings().container_registry
                && access.also::<act::ReadContainerRepositories>().is_ok(),
            shows_issues: access.also::<act::ReadIssues>().is_ok(),
            shows_merge_requests: access.also::<act::ReadMergeRequests>().is_ok(),
            shows_members: access.also::<act::ReadMembers>().is_ok(),
            shows_tokens: access.also::<act::ListAccessTokens>().is_ok(),
            // Of an archived project the settings say how to end that.
            shows_settings: access.also::<act::UpdateProject>().is_ok()
                || access.also::<act::ArchiveProject>().is_ok(),
            crumbs,
        };
        Ok((head, details))
    }

    /// Makes the last name but one a link.
    pub(super) fn link_last_but_one(&mut self, address: &str) {
        if let Some(at) = self.crumbs.len().checked_sub(2) {
            address.clone_into(&mut self.crumbs[at].1);
        }
    }
}

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    around: Around,
    head: Head,
    description: String,
    visibility: (&'static str, &'static str),
    archived: bool,
    empty: bool,
    may_push: bool,
    branch: String,
    clone_address: String,
    folder: Option<Folder>,
    pages: Option<Pages>,
}

/// Like [`Authorized`], for an address that may be another one's: `/acme/app/activity` leads to the activity of `/acme/app`,
/// unless there is a project of that name that the caller may see.
#[derive(Debug)]
pub struct FirstPage(Authorized<act::ReadProject>);

impl Guard for FirstPage {
    const ACCESS: Access = Access::Action(act::ReadProject::ACTION);
}

impl FromRequestParts<AppState> for FirstPage {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<FirstPage, Refusal> {
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Pages).await?;
        let asked = guard::ask::<act::ReadProject>(parts, state, &mut reading, viewer, Door::Pages).await?;
        let refused = match asked {
            Ok(access) => return Ok(FirstPage(access)),
            Err(refused) => refused,
        };
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let above = params.iter().flatten().find_map(|(_, path)| path.strip_suffix("/activity"));
        if let Some(above) = above {
            let above = IdOrPath::parse(above);
            let viewer = refused.viewer.clone();
            let activity =
                authorize_within::<act::ReadEvents>(&state.forge, &mut reading, viewer, above).await;
            if let Ok(access) = activity.map_err(|error| Refusal::error(Door::Pages, error))? {
                let address = format!("/{}/-/activity", access.place().full_path);
                return Err(Refusal::Page(PageError::Elsewhere(address)));
            }
        }
        Err(Refusal::Page(PageError::refused(&refused)))
    }
}

/// Answers a project's first page.
pub async fn show(FirstPage(access): FirstPage, State(state): State<AppState>, around: Around) -> PageResult {
    let (head, details) = Head::of(&state, &access, "home", &[]).await?;
    let (mut folder, mut pages) = (None, None);
    if head.shows_code {
        let access = access.also::<act::ReadCode>()?;
        // A repository may have branches and not the one that is the default.
        match Spot::of(&state, &access, "", &details.project.default_branch).await {
            Ok(spot) => {
                let project = &details.project.full_path;
                let (shown, total) = repository::folder(&state, &access, &spot, project, 1).await?;
                pages = Pages::of(1, repository::ENTRIES, total, |number| {
                    format!("{}?page={number}", spot.address(project, "tree", ""))
                });
                folder = Some(shown);
            }
            Err(PageError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let page = ProjectPage {
        clone_address: format!("{}/{}.git", around.base.0, details.project.full_path),
        around: around.of(&state, access.viewer()).await?,
        description: details.project.description,
        visibility: words::visibility(details.project.visibility),
        archived: details.project.archived,
        empty: details.project.empty,
        may_push: access.also::<act::PushCode>().is_ok(),
        branch: details.project.default_branch,
        folder,
        pages,
        head,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "new_project.html")]
struct NewProjectPage {
    around: Around,
    problem: Option<String>,
    name: TextField,
    path: TextField,
    namespace: SelectField,
    description: TextField,
    visibility: Ticks,
    with_readme: bool,
}

async fn page(
    state: &AppState,
    access: &Authorized<act::CreateProject>,
    around: Around,
    typed: Option<&Form>,
    problems: &Problems,
    problem: Option<String>,
) -> Result<NewProjectPage, PageError> {
    let text = |name: &str| typed.map_or("", |form| form.text(name)).to_owned();
    let listing = access.also::<act::ListNamespaces>()?;
    let window = Window { limit: NAMESPACES, offset: 0 };
    let namespaces = groups::list_namespaces(&state.forge, &listing, None, window).await?;
    let own = access.identity()?.user;
    let wanted = match typed {
        Some(form) => form.text("namespace_id").to_owned(),
        None => around.query("namespace_id").to_owned(),
    };
    let choices: Vec<_> = namespaces
        .items
        .into_iter()
        .filter(|namespace| namespace.is_group() || namespace.owner == Some(own))
        .map(|namespace| {
            let value = namespace.id.0.to_string();
            let chosen = if wanted.is_empty() { namespace.owner == Some(own) } else { value == wanted };
            Choice { value, label: namespace.full_path, chosen }
        })
        .collect();
    let chosen = Visibility::from_name(&text("visibility")).unwrap_or(Visibility::Private);
    Ok(NewProjectPage {
        around: around.of(state, access.viewer()).await?,
        problem,
        name: TextField::new("name", "Project name")
            .with(text("name"))
            .wrong(problems.with("name", "The name")),
        path: TextField::new("path", "Path")
            .optional()
            .hint("The last part of the project's address. Without one it is made from the name.")
            .with(text("path"))
            .wrong(problems.with("path", "The path")),
        namespace: SelectField {
            name: "namespace_id",
            label: "Where it belongs",
            hint: "Your own namespace, or a group in which you may create projects.",
            error: problems.with("namespace", "The place"),
            choices,
        },
        description: TextField::new("description", "Description")
            .optional()
            .with(text("description"))
            .wrong(problems.with("description", "The description")),
        visibility: words::visibilities(Visibility::Public, chosen, problems.with("visibility_level", "It")),
        with_readme: typed.is_some_and(|form| !form.text("readme").is_empty()),
    })
}

/// Answers the form for a new project.
pub async fn form(
    access: Authorized<act::CreateProject>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page(&state, &access, around, None, &Problems::default(), None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Creates a project.
pub async fn create(
    access: Authorized<act::CreateProject>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let filled = |name: &str| Some(form.text(name).trim().to_owned()).filter(|text| !text.is_empty());
    let namespace = match filled("namespace_id").map(|id| id.parse::<i64>()) {
        None => None,
        Some(Ok(id)) => Some(NamespaceId(id)),
        Some(Err(_)) => return Err(PageError::NotFound),
    };
    let request = NewProjectRequest {
        name: Some(form.text("name").to_owned()),
        path: filled("path"),
        namespace,
        description: filled("description"),
        visibility: Visibility::from_name(form.text("visibility")),
        default_branch: None,
        object_format: None,
        initialize_with_readme: !form.text("readme").is_empty(),
        repository_access: None,
        issues_access: None,
        container_registry_access: None,
        packages_access: None,
        merge_requests_access: None,
        merging: MergingChanges::default(),
        lfs: None,
        topics: Vec::new(),
    };
    let (problems, problem) = match projects::create(&state.forge, &access, request).await {
        Ok(made) => {
            let said = format!("Project {} was created.", made.project.name);
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            return Ok(see_other(&format!("/{}", made.project.full_path)));
        }
        Err(Error::Invalid(fields)) => (Problems::of(fields), None),
        Err(Error::Refused(denial)) if denial != Denial::SignInFirst => {
            let mut problems = Problems::default();
            // A namespace that is hidden, missing, or not theirs to create in: one answer.
            problems.add("namespace", "is none in which you may create projects");
            (problems, None)
        }
        Err(Error::Conflict(text) | Error::BadRequest(text)) => (Problems::default(), Some(text)),
        Err(error) => return Err(error.into()),
    };
    let page = page(&state, &access, around, Some(&form), &problems, problem).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
