//! A group's first page, and its settings.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::groups::{self, GroupChanges};
use portcullis_app::records::namespaces::{Namespace, NamespaceFilter};
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::Window;
use portcullis_app::{projects, sessions};
use portcullis_rules::access::act;

use super::dashboard::{GroupView, ProjectView};
use super::form::Form;
use super::{Around, PageResult, Pages, html, see_other, words};
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

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    around: Around,
    crumbs: Vec<(String, String)>,
    id: i64,
    name: String,
    full_path: String,
    description: String,
    visibility: (&'static str, &'static str),
    may_edit: bool,
    may_create: bool,
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
        crumbs: above(&group),
        id: group.id.0,
        visibility: words::visibility(group.visibility),
        may_edit: access.also::<act::UpdateGroup>().is_ok(),
        may_create: access.role() >= Some(portcullis_rules::access::Role::Maintainer)
            && !access.viewer().is_external(),
        projects: found.map(ProjectView::of).items,
        groups: inside
            .map(|group| GroupView {
                initial: group.name.chars().next().unwrap_or('?').to_uppercase().collect(),
                name: group.name,
                full_path: group.full_path,
            })
            .items,
        pages,
        name: group.name,
        full_path: group.full_path,
        description: group.description,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "group_edit.html")]
struct GroupEditPage {
    around: Around,
    crumbs: Vec<(String, String)>,
    name: String,
    full_path: String,
    /// The top-level group, when this is not one.
    decided_by: Option<String>,
    allowed: bool,
}

/// Answers a group's general settings.
pub async fn edit(
    access: Authorized<act::UpdateGroup>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let group = access.namespace().clone();
    let mut crumbs = above(&group);
    crumbs.push((group.name.clone(), format!("/groups/{}", group.full_path)));
    let page = GroupEditPage {
        around: around.of(&state, access.viewer()).await?,
        crumbs,
        decided_by: group.parent.map(|_| group.full_path.split('/').next().unwrap_or_default().to_owned()),
        allowed: group.token_creation_allowed,
        name: group.name,
        full_path: group.full_path,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Changes whether project access tokens may be created below a top-level group.
pub async fn update(
    access: Authorized<act::UpdateGroup>,
    State(state): State<AppState>,
    form: Form,
) -> PageResult {
    let allowed = !form.text("resource_access_token_creation_allowed").is_empty();
    let changes = GroupChanges { token_creation_allowed: Some(allowed), ..GroupChanges::default() };
    let group = groups::update(&state.forge, &access, changes).await?;
    let said = if allowed {
        "Saved. Project access tokens can be created in this group's projects."
    } else {
        "Saved. No project access tokens can be created in this group's projects; those that exist go on working."
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&format!("/groups/{}/-/edit", group.full_path)))
}
