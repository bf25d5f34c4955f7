//! Milestones, and the issues that are planned for them.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::issues::{self, Scope};
use portcullis_app::milestones::{self, MilestoneChanges, NewMilestoneRequest};
use portcullis_app::records::issues::{IssueFilter, MilestoneWanted};
use portcullis_app::records::milestones::{Milestone, MilestoneFilter};
use portcullis_rules::access::act;
use portcullis_rules::id::MilestoneId;
use serde_json::{Value, json};

use super::issues::{self as issue_views, reads_iids, reads_sought};
use super::{ApiResult, PathParts, Surroundings, created, date, no_content, ok, path_number, time};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// The parameters of a change, as the answer to a request without any names them.
const CHANGEABLE: [&str; 5] = ["title", "description", "start_date", "due_date", "state_event"];

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// Returns a milestone in GitLab's shape. `web_url` is the project's, `now` in Unix microseconds.
pub fn view(milestone: &Milestone, web_url: &str, now: i64) -> Value {
    json!({
        "id": milestone.id.0,
        "iid": milestone.iid,
        "project_id": milestone.project.0,
        "title": milestone.title,
        "description": milestone.description,
        "state": if milestone.closed_at.is_some() { "closed" } else { "active" },
        "created_at": time(milestone.created_at),
        "updated_at": time(milestone.updated_at),
        "due_date": milestone.due_date.map(date),
        "start_date": milestone.start_date.map(date),
        // The day on which it is due belongs to it.
        "expired": milestone.due_date.is_some_and(|due| due.saturating_add(MICROSECONDS_A_DAY) <= now),
        "web_url": format!("{web_url}/-/milestones/{}", milestone.iid),
    })
}

fn id(parts: &PathParts) -> Result<MilestoneId, ApiError> {
    path_number(parts, "milestone_id", "Milestone").map(MilestoneId)
}

/// Answers the milestones of a project.
pub async fn list(
    access: Authorized<act::ReadMilestones>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let closed = read.one_of("state", |word| match word {
        "active" => Some(Some(false)),
        "closed" => Some(Some(true)),
        "all" => Some(None),
        _ => None,
    });
    let filter = MilestoneFilter {
        closed: closed.flatten(),
        title: reads_sought(&mut read, "title"),
        search: reads_sought(&mut read, "search"),
        iids: reads_iids(&mut read),
        updated_after: read.time("updated_after"),
        updated_before: read.time("updated_before"),
    };
    read.finish()?;
    let found = milestones::list(&state.forge, &access, &filter, around.window()).await?;
    let (web_url, now) = (around.web_url(&access.place().full_path), state.forge.now());
    Ok(around.page(found.map(|milestone| view(&milestone, &web_url, now))))
}

/// Answers one milestone.
pub async fn get(
    access: Authorized<act::ReadMilestones>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let milestone = milestones::get(&state.forge, &access, id(&parts)?).await?;
    Ok(ok(view(&milestone, &around.web_url(&access.place().full_path), state.forge.now())))
}

/// Answers the issues that are planned for a milestone.
pub async fn issues_of(
    access: Authorized<act::ReadIssues>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let milestone = milestones::get(&state.forge, &access.also()?, id(&parts)?).await?;
    let filter = IssueFilter { milestone: Some(MilestoneWanted::Id(milestone.id)), ..IssueFilter::default() };
    let found = issues::list(&state.forge, &access, Scope::All, filter, around.window()).await?;
    let (path, now) = (&access.place().full_path, state.forge.now());
    Ok(around.page(found.map(|issue| issue_views::view(&issue, path, &around.base, now))))
}

/// Makes a milestone.
pub async fn create(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewMilestoneRequest {
        title: read.required_text("title"),
        description: read.text("description"),
        start_date: read.date("start_date"),
        due_date: read.date("due_date"),
    };
    read.finish()?;
    let milestone = milestones::create(&state.forge, &access, request).await?;
    Ok(created(view(&milestone, &around.web_url(&access.place().full_path), state.forge.now())))
}

/// Changes a milestone.
pub async fn update(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    if !CHANGEABLE.iter().any(|name| params.has(name)) {
        let problem =
            format!("{} are missing, at least one parameter must be provided", CHANGEABLE.join(", "));
        return Err(ApiError::bad_parameters(&problem));
    }
    let mut read = params.read();
    let changes = MilestoneChanges {
        title: read.text("title"),
        description: read.text("description").or_else(|| params.has("description").then(String::new)),
        start_date: params.has("start_date").then(|| read.date("start_date")),
        due_date: params.has("due_date").then(|| read.date("due_date")),
        closed: read.one_of("state_event", |word| match word {
            "close" => Some(true),
            "activate" => Some(false),
            _ => None,
        }),
    };
    read.finish()?;
    let milestone = milestones::update(&state.forge, &access, id(&parts)?, changes).await?;
    Ok(ok(view(&milestone, &around.web_url(&access.place().full_path), state.forge.now())))
}

/// Deletes a milestone.
pub async fn delete(
    access: Authorized<act::AdministerMilestones>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    milestones::delete(&state.forge, &access, id(&parts)?).await?;
    Ok(no_content())
}
