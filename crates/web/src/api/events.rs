//! The activity feed.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::events;
use portcullis_app::records::events::{Event, EventFilter};
use portcullis_rules::access::act;
use portcullis_rules::token::{MICROSECONDS, midnight};
use serde_json::{Value, json};

use super::users::UserView;
use super::{ApiResult, Surroundings, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::params::Params;

fn view(event: &Event, base: &BaseUrl) -> Value {
    let mut view = json!({
        "id": event.id.0,
        "project_id": event.project.0,
        "action_name": event.action,
        "target_id": event.target_id,
        "target_iid": event.target_iid,
        "target_type": event.target_type,
        "author_id": event.author.id.0,
        "target_title": event.target_title,
        "created_at": time(event.created_at),
        "author": UserView::of(&event.author, base),
        "author_username": event.author.username,
        "imported": false,
        "imported_from": "none",
        "access_token_id": event.token.map(|token| token.0),
    });
    let details = event.details.as_deref().and_then(|details| serde_json::from_str::<Value>(details).ok());
    match details {
        Some(details) if details.get("ref_type").is_some() => view["push_data"] = details,
        Some(Value::Object(details)) => {
            if let Some(object) = view.as_object_mut() {
                object.extend(details);
            }
        }
        _ => {}
    }
    view
}

/// Returns the recorded action that GitLab's filter word stands for.
fn action(word: &str) -> Option<&'static str> {
    Some(match word {
        "created" => "created",
        "opened" => "opened",
        "closed" => "closed",
        "reopened" => "reopened",
        "pushed" => "pushed to",
        "commented" => "commented on",
        "joined" => "joined",
        "left" => "left",
        "destroyed" => "deleted",
        "merged" => "merged",
        "approved" => "approved",
        _ => return None,
    })
}

/// Answers the feed of a project, newest first.
pub async fn list(
    access: Authorized<act::ReadEvents>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let day = 24 * 60 * 60 * MICROSECONDS;
    let filter = EventFilter {
        action: read.one_of("action", action).map(str::to_owned),
        target_type: read.one_of("target_type", |word| match word {
            "issue" | "milestone" | "note" | "project" | "release" => Some(word.to_owned()),
            "merge_request" => Some("MergeRequest".to_owned()),
            _ => None,
        }),
        before: read.date("before").map(midnight),
        // GitLab's "after a date" begins with the next one.
        after: read.date("after").map(|date| midnight(date) + day - 1),
        ascending: read
            .one_of("sort", |word| match word {
                "asc" => Some(true),
                "desc" => Some(false),
                _ => None,
            })
            .unwrap_or(false),
        // What is shown is not chosen here.
        ..EventFilter::default()
    };
    read.finish()?;
    let found = events::list(&state.forge, &access, &filter, around.window()).await?;
    Ok(around.page(found.map(|event| view(&event, &around.base))))
}
