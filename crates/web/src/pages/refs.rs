//! The branches and tags of a repository.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::records::select::Window;
use portcullis_app::repository_branches::{self, BranchOrder};
use portcullis_app::search::NameFilter;
use portcullis_app::tags::{self, TagOrder};
use portcullis_rules::access::act;

use super::projects::Head;
use super::repository::CommitLine;
use super::{Around, PageResult, Pages, html};
use crate::AppState;
use crate::pagination::{encoded, encoded_path};

/// How many branches or tags one page shows.
const ROWS: i64 = 50;

/// A branch or a tag.
struct Row {
    name: String,
    address: String,
    commit: Option<CommitLine>,
    badges: Vec<&'static str>,
    /// What an annotated tag says.
    message: String,
}

#[derive(Template)]
#[template(path = "refs.html")]
struct RefsPage {
    around: Around,
    head: Head,
    /// `Branches` or `Tags`.
    heading: &'static str,
    /// The address of the list.
    address: String,
    search: String,
    rows: Vec<Row>,
    pages: Option<Pages>,
}

/// Returns the filter for what was typed; what is no filter finds nothing.
fn filter(search: &str) -> Option<NameFilter> {
    NameFilter::new(Some(search).filter(|search| !search.is_empty()), None).ok()
}

fn window(number: i64) -> Window {
    Window { limit: ROWS, offset: (number - 1) * ROWS }
}

fn pages(number: i64, total: Option<i64>, address: &str, search: &str) -> Option<Pages> {
    Pages::of(number, ROWS, total.unwrap_or(0), |number| {
        format!("{address}?search={}&page={number}", encoded(search))
    })
}

/// Answers the branches, those with the newest commits first.
pub async fn branches(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "branches", &["Branches"]).await?;
    let project = details.project.full_path.as_str();
    let (search, number) = (around.query("search").to_owned(), around.page("page"));
    let address = format!("/{project}/-/branches");
    let (mut rows, mut pages_below) = (Vec::new(), None);
    if let Some(filter) = filter(&search) {
        let order = BranchOrder::UpdatedDescending;
        let found = repository_branches::list(&state.forge, &access, &filter, order, window(number)).await?;
        pages_below = pages(number, found.total, &address, &search);
        rows.extend(found.items.iter().map(|branch| {
            Row {
                name: branch.name.clone(),
                address: format!("/{project}/-/tree/{}", encoded_path(&branch.name)),
                commit: Some(CommitLine::of(&branch.commit, project)),
                badges: [
                    (branch.default, "Default"),
                    (branch.protected, "Protected"),
                    (branch.merged, "Merged"),
                ]
                .into_iter()
                .filter_map(|(is, badge)| is.then_some(badge))
                .collect(),
                message: String::new(),
            }
        }));
    }
    let around = around.of(&state, access.viewer()).await?;
    let page = RefsPage { around, head, heading: "Branches", address, search, rows, pages: pages_below };
    Ok(html(StatusCode::OK, &page))
}

/// Answers the tags, the newest first.
pub async fn tags(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "tags", &["Tags"]).await?;
    let project = details.project.full_path.as_str();
    let (search, number) = (around.query("search").to_owned(), around.page("page"));
    let address = format!("/{project}/-/tags");
    let (mut rows, mut pages_below) = (Vec::new(), None);
    if let Some(filter) = filter(&search) {
        let found =
            tags::list(&state.forge, &access, &filter, TagOrder::Updated, true, window(number)).await?;
        pages_below = pages(number, found.total, &address, &search);
        rows.extend(found.items.iter().map(|details| {
            let name = details.tag.name.tag().unwrap_or_default();
            Row {
                name: name.to_owned(),
                address: format!("/{project}/-/tree/{}", encoded_path(name)),
                commit: details.tag.commit.as_ref().map(|commit| CommitLine::of(commit, project)),
                badges: [(details.release.is_some(), "Release"), (details.protected, "Protected")]
                    .into_iter()
                    .filter_map(|(is, badge)| is.then_some(badge))
                    .collect(),
                message: details
                    .tag
                    .annotation
                    .as_ref()
                    .map_or(String::new(), |said| said.message.trim().to_owned()),
            }
        }));
    }
    let around = around.of(&state, access.viewer()).await?;
    let page = RefsPage { around, head, heading: "Tags", address, search, rows, pages: pages_below };
    Ok(html(StatusCode::OK, &page))
}
