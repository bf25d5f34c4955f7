//! The audit log.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::audit;
use portcullis_app::records::audit_events::{AuditEvent, AuditEventFilter};
use portcullis_rules::access::act;
use portcullis_rules::id::TokenId;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, ok, path_number, time};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

/// Returns an entry as it is written.
pub(crate) fn view(event: &AuditEvent) -> Value {
    let mut details = serde_json::from_str::<Value>(&event.details).unwrap_or_else(|_| json!({}));
    if let Some(details) = details.as_object_mut() {
        details.insert("author_name".to_owned(), json!(event.author_name));
        details.insert("target_type".to_owned(), json!(event.target_type));
        details.insert("target_id".to_owned(), json!(event.target_id));
        details.insert("ip_address".to_owned(), json!(event.address));
        details.insert("entity_path".to_owned(), json!(event.entity_path));
        details.insert("access_token_id".to_owned(), json!(event.token.map(|token| token.0)));
    }
    json!({
        "id": event.id.0,
        "author_id": event.author.map_or(-1, |author| author.0),
        "entity_id": event.entity_id,
        "entity_type": event.entity_type,
        "event_name": event.event_name,
        "event_type": event.event_name,
        "details": details,
        "created_at": time(event.created_at),
    })
}

fn filter(params: &Params, instance: bool) -> Result<AuditEventFilter, ApiError> {
    let mut read = params.read();
    let mut filter = AuditEventFilter {
        created_after: read.time("created_after"),
        created_before: read.time("created_before"),
        token: read.integer("access_token_id").map(TokenId),
        ..AuditEventFilter::default()
    };
    if instance {
        filter.entity_type = read.one_of("entity_type", |word| {
            matches!(word, "User" | "Group" | "Project" | "Instance").then(|| word.to_owned())
        });
        filter.entity_id = read.integer("entity_id");
    }
    read.finish()?;
    Ok(filter)
}

/// Answers the audit log of a project, newest first.
pub async fn list(
    access: Authorized<act::ReadAuditEvents>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let found =
        audit::list_of_project(&state.forge, &access, &filter(&params, false)?, around.window()).await?;
    Ok(around.page(found.map(|event| view(&event))))
}

/// Answers one entry.
pub async fn get(
    access: Authorized<act::ReadAuditEvents>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let id = path_number(&parts, "audit_event_id", "Audit Event")?;
    Ok(ok(view(&audit::get_of_project(&state.forge, &access, id).await?)))
}

/// Answers the audit log of the instance, newest first.
pub async fn list_of_instance(
    access: Authorized<act::ReadInstanceAuditEvents>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let found =
        audit::list_of_instance(&state.forge, &access, &filter(&params, true)?, around.window()).await?;
    Ok(around.page(found.map(|event| view(&event))))
}
