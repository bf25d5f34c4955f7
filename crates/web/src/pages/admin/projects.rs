//! Administration › Projects: every project there is.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::projects;
use portcullis_app::records::projects::{ProjectFilter, ProjectOrder};
use portcullis_app::records::select::Window;
use portcullis_rules::access::{Visibility, act};

use crate::AppState;
use crate::pages::dashboard::ProjectView;
use crate::pages::{Around, PageResult, Pages, html};
use crate::pagination::encoded;

/// How many projects a page shows.
const PER_PAGE: i64 = 50;

/// What the list can be narrowed to: the word in the address, and what is read.
const SHOWN: [(&str, &str); 5] = [
    ("", "All"),
    ("private", "Private"),
    ("internal", "Internal"),
    ("public", "Public"),
    ("archived", "Archived"),
];

#[derive(Template)]
#[template(path = "admin_projects.html")]
struct ProjectsPage {
    around: Around,
    search: String,
    show: String,
    projects: Vec<ProjectView>,
    total: Option<i64>,
    pages: Option<Pages>,
}

/// Answers every project of the instance.
pub async fn list(
    access: Authorized<act::ReadAllProjects>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let search = around.query("search").trim().to_owned();
    let show = around.query("show").to_owned();
    let filter = ProjectFilter {
        search: (!search.is_empty()).then(|| search.clone()),
        visibility: Visibility::from_name(&show),
        archived: (show == "archived").then_some(true),
        order: ProjectOrder::LastActivity,
        ..ProjectFilter::default()
    };
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = projects::list(&state.forge, access.viewer(), &filter, window).await?;
    let total = found.total;
    let pages = Pages::of(number, PER_PAGE, total.unwrap_or(10_000), |page| {
        format!("/admin/projects?page={page}&show={}&search={}", encoded(&show), encoded(&search))
    });
    let page = ProjectsPage {
        projects: found.map(ProjectView::of).items,
        around: around.of(&state, access.viewer()).await?,
        search,
        show,
        total,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}
