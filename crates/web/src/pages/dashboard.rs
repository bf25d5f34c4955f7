//! The projects of who is signed in.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::records::namespaces::NamespaceFilter;
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::Window;
use portcullis_app::{groups, projects};
use portcullis_rules::access::{Role, act};

use super::sign_in::Visitor;
use super::words::{self, Moment};
use super::{Around, PageResult, Pages, SIGN_IN, html, see_other};
use crate::AppState;

/// How many projects a page shows.
const PER_PAGE: i64 = 20;

/// How many groups are shown beside them.
const GROUPS: i64 = 20;

/// Sends who is signed in to their projects, and everybody else to sign in.
pub async fn enter(visitor: Visitor) -> PageResult {
    Ok(see_other(if visitor.0.identity().is_some() { "/dashboard" } else { SIGN_IN }))
}

/// A project in a list.
pub(super) struct ProjectView {
    pub name: String,
    pub namespace: String,
    pub full_path: String,
    pub initial: String,
    pub description: String,
    pub visibility: &'static str,
    pub archived: bool,
    pub role: Option<&'static str>,
    pub active: Moment,
}

impl ProjectView {
    pub(super) fn of(details: projects::ProjectDetails) -> ProjectView {
        let role = details.project_role.max(details.namespace_role);
        let project = details.project;
        ProjectView {
            initial: project.name.chars().next().unwrap_or('?').to_uppercase().collect(),
            name: project.name,
            namespace: project.namespace_name,
            full_path: project.full_path,
            description: project.description.lines().next().unwrap_or_default().chars().take(200).collect(),
            visibility: words::visibility(project.visibility).0,
            archived: project.archived,
            role: role.map(Role::name),
            active: Moment::at(project.last_activity_at),
        }
    }
}

/// A group in a list.
pub(super) struct GroupView {
    pub name: String,
    pub full_path: String,
    pub initial: String,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct DashboardPage {
    around: Around,
    search: String,
    everything: bool,
    projects: Vec<ProjectView>,
    groups: Vec<GroupView>,
    may_create: bool,
    may_create_group: bool,
    pages: Option<Pages>,
}

/// Answers the caller's projects, or all that they may see.
pub async fn show(
    access: Authorized<act::ReadOwnUser>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let viewer = access.viewer();
    let user = access.identity()?.user;
    let search = around.query("search").trim().to_owned();
    let everything = around.query("show") == "all";
    let filter = ProjectFilter {
        member: (!everything).then_some((user, Role::Guest)),
        search: (!search.is_empty()).then(|| search.clone()),
        order: ProjectOrder::LastActivity,
        ..ProjectFilter::default()
    };
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = projects::list(&state.forge, viewer, &filter, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| {
        let show = if everything { "&show=all" } else { "" };
        let search = percent_encoding::utf8_percent_encode(&search, percent_encoding::NON_ALPHANUMERIC);
        format!("/dashboard?page={page}{show}&search={search}")
    });
    let filter = NamespaceFilter { member: Some((user, Role::Guest)), ..NamespaceFilter::default() };
    let groups = groups::list(&state.forge, viewer, &filter, Window { limit: GROUPS, offset: 0 }).await?;
    let groups = groups.map(|group| GroupView {
        initial: group.name.chars().next().unwrap_or('?').to_uppercase().collect(),
        name: group.name,
        full_path: group.full_path,
    });
    let page = DashboardPage {
        may_create: access.also::<act::CreateProject>().is_ok(),
        may_create_group: access.also::<act::CreateGroup>().is_ok(),
        projects: found.map(ProjectView::of).items,
        groups: groups.items,
        around: around.of(&state, viewer).await?,
        search,
        everything,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}
