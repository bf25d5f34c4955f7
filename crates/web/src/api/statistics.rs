//! Counts of the instance, and how many of its users are seats.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::people;
use portcullis_rules::access::act;
use serde_json::json;

use super::{ApiResult, ok};
use crate::AppState;

/// Answers the counts: as texts where GitLab writes texts, and the seats as a number.
pub async fn get(access: Authorized<act::ReadStatistics>, State(state): State<AppState>) -> ApiResult {
    let counts = people::statistics(&state.forge, &access).await?;
    Ok(ok(json!({
        "users": counts.users.to_string(),
        "active_users": counts.billable_users.to_string(),
        "groups": counts.groups.to_string(),
        "projects": counts.projects.to_string(),
        "issues": counts.issues.to_string(),
        "notes": counts.notes.to_string(),
        "forks": "0",
        "merge_requests": counts.merge_requests.to_string(),
        "snippets": "0",
        "ssh_keys": "0",
        "milestones": "0",
        "billable_users": counts.billable_users,
        "access_tokens": counts.access_tokens,
    })))
}
