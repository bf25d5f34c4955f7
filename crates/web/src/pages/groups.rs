//! A group's first page, and its settings.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, Viewer, authorize};
use portcullis_app::groups::{self, GroupChanges};
use portcullis_app::records::namespaces::{Namespace, NamespaceFilter};
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::Window;
use portcullis_app::{projects, sessions};
use portcullis_rules::access::{Act, Visibility, act, on};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::IdOrPath;

use super::dashboard::{GroupView, ProjectView};
use super::fields::{TextArea, TextField, Ticks, Wrong};
use super::form::Form;
use super::project_settings::changed;
use super::{Around, PageError, PageResult, Pages, html, see_other, words};
use crate::AppState;

/// How many projects a page shows.
const PER_PAGE: i64 = 20;

/// How many groups inside a group are shown.
const SUBGROUPS: i64 = 50;

/// The names and addresses of the groups above one, from the top down.
fn above(group: &Namespace) -> Vec<(String, String)> {
    let mut crumbs = Vec::new();
    for (at, _) in group.full_path.match_indices('/') {
        let path = &group.full_path[..at];
        let name = path.rsplit('/').next().unwrap_or(path);
        crumbs.push((name.to_owned(), format!("/groups/{path}")));
    }
    crumbs
}

/// What the pages of a group have in common: its name, where it stands, and the ways to its other pages.
pub(super) struct GroupHead {
    pub name: String,
    pub full_path: String,
    pub initial: String,
    /// Which of the pages it is.
    pub at: &'static str,
    pub shows_members: bool,
    pub shows_settings: bool,
    pub shows_tokens: bool,
    /// Names and addresses from the top down.
    pub crumbs: Vec<(String, String)>,
}

impl GroupHead {
    /// Returns the head of a page of the group that `access` is about. `behind` are the names after the group's own.
    pub(super) fn of<A: Act<On = on::Group>>(
        access: &Authorized<A>,
        at: &'static str,
        behind: &[&str],
    ) -> GroupHead {
        let group = access.namespace();
        let own = if behind.is_empty() { String::new() } else { format!("/groups/{}", group.full_path) };
        let mut crumbs = above(group);
        crumbs.push((group.name.clone(), own));
        crumbs.extend(behind.iter().map(|name| ((*name).to_owned(), String::new())));
        GroupHead {
            initial: group.name.chars().next().unwrap_or('?').to_uppercase().collect(),
            name: group.name.clone(),
            full_path: group.full_path.clone(),
            at,
            shows_members: access.also::<act::ReadGroupMembers>().is_ok(),
            shows_settings: access.also::<act::UpdateGroup>().is_ok(),
            shows_tokens: access.also::<act::ListGroupAccessTokens>().is_ok(),
            crumbs,
        }
    }

    /// Makes the last name but one a link.
    pub(super) fn link_last_but_one(&mut self, address: &str) {
        if let Some(at) = self.crumbs.len().checked_sub(2) {
            address.clone_into(&mut self.crumbs[at].1);
        }
    }
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    around: Around,
    head: GroupHead,
    id: i64,
    description: String,
    visibility: (&'static str, &'static str),
    may_edit: bool,
    may_create: bool,
    may_create_group: bool,
    projects: Vec<ProjectView>,
    groups: Vec<GroupView>,
    pages: Option<Pages>,
}

/// Answers a group's projects and the groups inside it, as far as the caller may see them.
pub async fn show(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let group = access.namespace().clone();
    let number = around.page("page");
    let filter = ProjectFilter {
        namespace: Some(group.id),
        order: ProjectOrder::LastActivity,
        ..ProjectFilter::default()
    };
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = projects::list(&state.forge, access.viewer(), &filter, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| {
        format!("/groups/{}?page={page}", group.full_path)
    });
    let filter = NamespaceFilter { parent: Some(group.id), ..NamespaceFilter::default() };
    let inside =
        groups::list(&state.forge, access.viewer(), &filter, Window { limit: SUBGROUPS, offset: 0 }).await?;
    let page = GroupPage {
        around: around.of(&state, access.viewer()).await?,
        head: GroupHead::of(&access, "home", &[]),
        id: group.id.0,
        visibility: words::visibility(group.visibility),
        may_edit: access.also::<act::UpdateGroup>().is_ok(),
        may_create: access.role() >= Some(portcullis_rules::access::Role::Maintainer)
            && !access.viewer().is_external(),
        may_create_group: access.also::<act::CreateSubgroup>().is_ok() && !access.viewer().is_external(),
        projects: found.map(ProjectView::of).items,
        groups: inside
            .map(|group| GroupView {
                initial: group.name.chars().next().unwrap_or('?').to_uppercase().collect(),
                name: group.name,
                full_path: group.full_path,
            })
            .items,
        pages,
        description: group.description,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "group_edit.html")]
struct GroupEditPage {
    around: Around,
    head: GroupHead,
    general: GeneralForm,
    may_delete: bool,
    /// The top-level group, when this is not one.
    decided_by: Option<String>,
    allowed: bool,
    lfs: bool,
    second_factor: bool,
}

/// The section that says what a group is called and who sees it.
struct GeneralForm {
    problem: Option<String>,
    name: TextField,
    description: TextArea,
    visibility: Ticks,
    /// What it was when the page was made: where that is what is sent, it stays as it is.
    visibility_now: String,
}

/// Returns how visible something in a group may be at most, as far as the viewer can know: who cannot see the group is told
/// when it is too much.
pub(super) async fn widest_visibility(
    state: &AppState,
    viewer: &Viewer,
    within: Option<NamespaceId>,
) -> Result<Visibility, PageError> {
    let Some(id) = within else { return Ok(Visibility::Public) };
    let reference = Some(IdOrPath::Id(id.0));
    let found = authorize::<act::ReadGroup>(&state.forge, viewer.clone(), reference).await?;
    Ok(found.map_or(Visibility::Public, |group| group.namespace().visibility))
}

impl GeneralForm {
    async fn of(
        state: &AppState,
        access: &Authorized<act::UpdateGroup>,
        came: Option<(&Form, Wrong)>,
    ) -> Result<GeneralForm, PageError> {
        let group = access.namespace();
        let (form, wrong) = came.unzip();
        let wrong = wrong.unwrap_or_default();
        let text = |name: &str, in_force: &str| form.map_or(in_force, |form| form.text(name)).to_owned();
        let in_force = group.visibility.name();
        let chosen = Visibility::from_name(&text("visibility", in_force)).unwrap_or(group.visibility);
        let problems = &wrong.problems;
        Ok(GeneralForm {
            name: TextField::new("name", "Group name")
                .with(text("name", &group.name))
                .wrong(problems.with("name", "The name")),
            description: TextArea {
                name: "description",
                id: "description".to_owned(),
                label: "Description",
                value: text("description", &group.description),
                lines: 3,
                hint: "What it is for, in a sentence or two.",
                error: problems.with("description", "The description"),
                required: false,
            },
            visibility: words::visibilities(
                widest_visibility(state, access.viewer(), group.parent).await?,
                chosen,
                problems.with("visibility_level", "The visibility"),
            ),
            visibility_now: text("visibility_now", in_force),
            problem: wrong.problem,
        })
    }
}

async fn edit_page(
    state: &AppState,
    access: &Authorized<act::UpdateGroup>,
    around: Around,
    came: Option<(&Form, Wrong)>,
) -> Result<GroupEditPage, PageError> {
    let group = access.namespace();
    Ok(GroupEditPage {
        general: GeneralForm::of(state, access, came).await?,
        may_delete: access.also::<act::DeleteGroup>().is_ok(),
        around: around.of(state, access.viewer()).await?,
        head: GroupHead::of(access, "settings", &["Settings", "General"]),
        decided_by: group.parent.map(|_| group.full_path.split('/').next().unwrap_or_default().to_owned()),
        allowed: group.token_creation_allowed,
        lfs: group.lfs,
        second_factor: group.second_factor_required,
    })
}

/// Answers a group's general settings.
pub async fn edit(
    access: Authorized<act::UpdateGroup>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = edit_page(&state, &access, around, None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Changes what one section of the settings holds.
pub async fn update(
    access: Authorized<act::UpdateGroup>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    match form.text("section") {
        "" => update_permissions(&access, &state, &form).await,
        "general" => update_general(&access, &state, around, &form).await,
        _ => Err(PageError::NotAForm),
    }
}

/// Changes what a group is called and who sees it.
async fn update_general(
    access: &Authorized<act::UpdateGroup>,
    state: &AppState,
    around: Around,
    form: &Form,
) -> PageResult {
    let visibility = changed(form, "visibility").map(Visibility::from_name);
    let mut wrong = Wrong::default();
    if visibility == Some(None) {
        wrong.problems.add("visibility_level", "is none of those");
    } else {
        let changes = GroupChanges {
            name: Some(form.text("name").to_owned()),
            // Browsers send the ends of lines in two characters.
            description: Some(form.text("description").replace("\r\n", "\n").trim().to_owned()),
            visibility: visibility.flatten(),
            ..GroupChanges::default()
        };
        match groups::update(&state.forge, access, changes).await {
            Ok(group) => {
                sessions::set_notice(&state.forge, access.viewer(), "Saved.").await?;
                return Ok(see_other(&format!("/groups/{}/-/edit", group.full_path)));
            }
            Err(error) => wrong = Wrong::of(error)?,
        }
    }
    let page = edit_page(state, access, around, Some((form, wrong))).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Changes what the section *Permissions, LFS, 2FA* holds: at the top level all of it, below it the second factor.
async fn update_permissions(
    access: &Authorized<act::UpdateGroup>,
    state: &AppState,
    form: &Form,
) -> PageResult {
    let before = access.namespace();
    let ticked = |name: &str| !form.text(name).is_empty();
    let at_the_top = before.parent.is_none();
    let changes = GroupChanges {
        token_creation_allowed: at_the_top.then(|| ticked("resource_access_token_creation_allowed")),
        lfs: at_the_top.then(|| ticked("lfs_enabled")),
        second_factor_required: Some(ticked("require_two_factor_authentication")),
        ..GroupChanges::default()
    };
    let was_allowed = before.token_creation_allowed;
    let group = groups::update(&state.forge, access, changes).await?;
    let said = match (was_allowed, group.token_creation_allowed) {
        (false, true) => {
            "Saved. Access tokens can be created for this group, and for all groups and projects below it."
        }
        (true, false) => {
            "Saved. No access tokens can be created for this group, nor for groups and projects below it; those that exist go \
             on working."
        }
        _ => "Saved.",
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&format!("/groups/{}/-/edit", group.full_path)))
}
