//! Web hooks of a project.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::records::webhooks::Webhook;
use portcullis_app::webhooks::{self, EVENTS, WebhookChanges};
use portcullis_rules::access::act;
use portcullis_rules::id::WebhookId;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, time};
use crate::AppState;
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// Returns a hook in GitLab's shape. There is no field for its token.
fn view(hook: &Webhook) -> Value {
    let status = match (hook.disabled_at, hook.disabled_until) {
        (Some(_), _) => "disabled",
        (None, Some(_)) => "temporarily_disabled",
        (None, None) => "executable",
    };
    let mut view = json!({
        "id": hook.id.0,
        "url": hook.url,
        "name": hook.name,
        "description": hook.description,
        "created_at": time(hook.created_at),
        "enable_ssl_verification": hook.verifies,
        "alert_status": status,
        "disabled_until": hook.disabled_until.map(time),
        "url_variables": [],
        "push_events_branch_filter": hook.branch_filter,
        "branch_filter_strategy": if hook.branch_filter.is_some() { "wildcard" } else { "all_branches" },
        "custom_webhook_template": null,
        "custom_headers": [],
        "project_id": hook.project.0,
    });
    for (name, _) in EVENTS {
        view[name] = json!(hook.events.iter().any(|event| event == name));
    }
    view
}

fn hook_id(path: &PathParts) -> Result<WebhookId, ApiError> {
    path_number(path, "hook_id", "Hook").map(WebhookId)
}

/// Reads what is to be recorded of a hook. Null takes a text away.
fn changes(read: &mut Reader<'_>) -> WebhookChanges {
    let text = |read: &mut Reader<'_>, name: &str| match read.is_cleared(name) {
        Some(true) => Some(String::new()),
        _ => read.text(name),
    };
    let branch_filter = text(read, "push_events_branch_filter");
    let strategy = read.allowed("branch_filter_strategy", &["wildcard", "all_branches"]);
    WebhookChanges {
        url: read.text("url"),
        name: text(read, "name"),
        description: text(read, "description"),
        token: text(read, "token"),
        events: EVENTS.iter().filter_map(|(name, _)| Some((*name, read.boolean(name)?))).collect(),
        branch_filter: if strategy.as_deref() == Some("all_branches") {
            Some(String::new())
        } else {
            branch_filter
        },
        verifies: read.boolean("enable_ssl_verification"),
    }
}

/// Answers the hooks of a project.
pub async fn list(
    access: Authorized<act::ReadWebhooks>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let found = webhooks::list(&state.forge, &access, around.window()).await?;
    Ok(around.page(found.map(|hook| view(&hook))))
}

/// Answers one hook.
pub async fn get(
    access: Authorized<act::ReadWebhooks>,
    State(state): State<AppState>,
    path: PathParts,
) -> ApiResult {
    Ok(ok(view(&webhooks::get(&state.forge, &access, hook_id(&path)?).await?)))
}

/// Makes a hook.
pub async fn create(
    access: Authorized<act::AdministerWebhooks>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("url");
    let changes = changes(&mut read);
    read.finish()?;
    Ok(created(view(&webhooks::create(&state.forge, &access, changes).await?)))
}

/// Changes a hook.
pub async fn update(
    access: Authorized<act::AdministerWebhooks>,
    State(state): State<AppState>,
    path: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = changes(&mut read);
    read.finish()?;
    Ok(ok(view(&webhooks::update(&state.forge, &access, hook_id(&path)?, changes).await?)))
}

/// Deletes a hook.
pub async fn delete(
    access: Authorized<act::AdministerWebhooks>,
    State(state): State<AppState>,
    path: PathParts,
    _params: Params,
) -> ApiResult {
    webhooks::delete(&state.forge, &access, hook_id(&path)?).await?;
    Ok(no_content())
}
