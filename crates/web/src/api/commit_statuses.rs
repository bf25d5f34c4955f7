//! The statuses of commits.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::commit_statuses::{self, State as Found, StatusReport};
use portcullis_app::records::commit_statuses::{CommitStatus, CommitStatusFilter};
use portcullis_app::records::select::Listing;
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::issues::reads_sought;
use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::params::{Params, Reader};

/// What a status is called that has no name.
const DEFAULT_NAME: &str = "default";

fn view(status: &CommitStatus, base: &BaseUrl) -> Value {
    json!({
        "id": status.id.0,
        "sha": status.sha,
        "ref": (!status.ref_name.is_empty()).then_some(&status.ref_name),
        "status": status.state,
        "name": status.name,
        "target_url": status.target_url,
        "description": status.description,
        "created_at": time(status.created_at),
        "started_at": status.started_at.map(time),
        "finished_at": status.finished_at.map(time),
        "allow_failure": false,
        "coverage": status.coverage.as_ref().and_then(|text| text.parse::<f64>().ok()),
        "pipeline_id": null,
        "author": UserView::of(&status.author, base),
    })
}

/// Answers the statuses of a commit, the last one of each name unless all are asked for.
pub async fn list(
    access: Authorized<act::ReadCommitStatuses>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.allowed("order_by", &["id", "pipeline_id"]);
    let filter = CommitStatusFilter {
        ref_name: reads_sought(&mut read, "ref"),
        name: reads_sought(&mut read, "name"),
        all: read.boolean("all").unwrap_or(false),
        descending: read.allowed("sort", &["asc", "desc"]).as_deref() == Some("desc"),
    };
    // Every status stands in the one stage that is for what comes from outside.
    let elsewhere = read.filled_text("stage").is_some_and(|stage| stage != "external");
    read.finish()?;
    let window = around.window();
    let found =
        commit_statuses::list(&state.forge, &access, path_text(&parts, "sha"), &filter, window).await?;
    if elsewhere {
        return Ok(around.page(Listing::<Value> { items: Vec::new(), total: Some(0) }));
    }
    Ok(around.page(found.map(|status| view(&status, &around.base))))
}

/// Reads percent.
fn reads_coverage(read: &mut Reader<'_>) -> Option<f64> {
    let text = read.filled_text("coverage")?;
    let percent = text.trim().parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        read.reject("coverage");
    }
    percent
}

/// Reports the status of a commit.
pub async fn create(
    access: Authorized<act::SetCommitStatus>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("state");
    let found = read.one_of("state", Found::from_name);
    let name = read.filled_text("name").or_else(|| read.filled_text("context"));
    let report = StatusReport {
        // Without one the reading ends below.
        state: found.unwrap_or(Found::Pending),
        name: name.unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        ref_name: read.filled_text("ref"),
        target_url: read.filled_text("target_url"),
        description: read.filled_text("description"),
        coverage: reads_coverage(&mut read),
    };
    read.finish()?;
    let status = commit_statuses::report(&state.forge, &access, path_text(&parts, "sha"), report).await?;
    Ok(created(view(&status, &around.base)))
}
