//! Search in a project and in a group.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::commits::{self, CommitFilter, LogStart, RepositoryPath};
use portcullis_app::records::issues::{IssueFilter, IssueState};
use portcullis_app::records::members::{MemberFilter, Reach};
use portcullis_app::records::milestones::MilestoneFilter;
use portcullis_app::{code_search, issues, members, milestones};
use portcullis_rules::access::act;
use serde_json::json;

use super::issues::reads_sought;
use super::users::UserView;
use super::{ApiResult, Surroundings};
use crate::AppState;
use crate::params::{Params, Reader};

/// What a project is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProjectScope {
    Blobs,
    Commits,
    Issues,
    Milestones,
    Users,
}

/// What a group is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupScope {
    Projects,
    Users,
}

/// Reads what is looked for.
fn reads_search(read: &mut Reader<'_>) -> String {
    if reads_sought(read, "search").is_none() {
        return read.required_text("search");
    }
    read.text("search").unwrap_or_default()
}

/// Answers what a project has of one kind that holds a text.
pub async fn in_project(
    access: Authorized<act::ReadProject>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = read.one_of("scope", |word| match word {
        "blobs" => Some(ProjectScope::Blobs),
        "commits" => Some(ProjectScope::Commits),
        "issues" => Some(ProjectScope::Issues),
        "milestones" => Some(ProjectScope::Milestones),
        "users" => Some(ProjectScope::Users),
        _ => None,
    });
    if scope.is_none() {
        read.required_text("scope");
    }
    let search = reads_search(&mut read);
    let revision = read.text("ref").unwrap_or_default();
    let path = read.filled_text("path").map(|text| RepositoryPath::parse(&text));
    if path == Some(None) {
        read.reject("path");
    }
    let state_wanted = read.one_of("state", |word| match word {
        "opened" => Some(Some(IssueState::Opened)),
        "closed" => Some(Some(IssueState::Closed)),
        "all" => Some(None),
        _ => None,
    });
    let confidential = read.boolean("confidential");
    read.finish()?;
    let (forge, window) = (&state.forge, around.window());
    let path_of_project = &access.place().full_path;
    let web_url = around.web_url(path_of_project);
    match scope {
        Some(ProjectScope::Blobs) | None => {
            let access = access.also::<act::ReadCode>()?;
            let found = code_search::list(forge, &access, &revision, &search, path.flatten(), window).await?;
            let project = access.project().0;
            Ok(around.page(found.map(|passage| {
                let base = passage.path.rsplit_once('.').map_or(passage.path.as_str(), |(base, _)| base);
                json!({
                    "basename": base,
                    "data": passage.text,
                    "path": passage.path,
                    "filename": passage.path,
                    "id": null,
                    "ref": revision,
                    "startline": passage.start_line,
                    "project_id": project,
                })
            })))
        }
        Some(ProjectScope::Commits) => {
            let access = access.also::<act::ReadCode>()?;
            let filter = CommitFilter {
                start: LogStart::Revision(revision),
                path: path.flatten(),
                since: None,
                until: None,
                author: None,
                message: Some(search),
                first_parent: false,
                topological: false,
            };
            let page = commits::list(forge, &access, filter, window).await?;
            let views = page.commits.iter().map(|commit| super::commits::view(commit, &web_url)).collect();
            Ok(around.page_uncounted(views, page.more))
        }
        Some(ProjectScope::Issues) => {
            let access = access.also::<act::ReadIssues>()?;
            let filter = IssueFilter {
                search: Some(search),
                state: state_wanted.flatten(),
                confidential,
                ..IssueFilter::default()
            };
            let found = issues::list(forge, &access, issues::Scope::All, filter, window).await?;
            let now = forge.now();
            Ok(around
                .page(found.map(|issue| super::issues::view(&issue, path_of_project, &around.base, now))))
        }
        Some(ProjectScope::Milestones) => {
            let access = access.also::<act::ReadMilestones>()?;
            let filter = MilestoneFilter { search: Some(search), ..MilestoneFilter::default() };
            let found = milestones::list(forge, &access, &filter, window).await?;
            let now = forge.now();
            Ok(around.page(found.map(|milestone| super::milestones::view(&milestone, &web_url, now))))
        }
        Some(ProjectScope::Users) => {
            let access = access.also::<act::ReadMembers>()?;
            let filter = MemberFilter { query: Some(search), users: Vec::new() };
            let found = members::list(forge, &access, Reach::Inherited, &filter, window).await?;
            Ok(around.page(found.map(|member| UserView::of(&member.user, &around.base))))
        }
    }
}

/// Answers what a group has of one kind that holds a text.
pub async fn in_group(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let scope = read.one_of("scope", |word| match word {
        "projects" => Some(GroupScope::Projects),
        "users" => Some(GroupScope::Users),
        _ => None,
    });
    if scope.is_none() {
        read.required_text("scope");
    }
    let search = reads_search(&mut read);
    read.finish()?;
    if scope == Some(GroupScope::Users) {
        let access = access.also::<act::ReadGroupMembers>()?;
        let filter = MemberFilter { query: Some(search), users: Vec::new() };
        let found = members::list(&state.forge, &access, Reach::Inherited, &filter, around.window()).await?;
        return Ok(around.page(found.map(|member| UserView::of(&member.user, &around.base))));
    }
    super::projects::list_below(&access, &state, &around, &params).await
}
