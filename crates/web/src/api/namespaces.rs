//! Namespaces: where projects can be made.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::groups;
use portcullis_app::records::namespaces::Namespace;
use portcullis_rules::access::act;
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::IdOrPath;
use portcullis_rules::token::Plan;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, ok, path_number, path_text};
use crate::AppState;
use crate::client::BaseUrl;
use crate::params::Params;

fn view(namespace: &Namespace, base: &BaseUrl) -> Value {
    let kind = if namespace.is_group() { "group" } else { "user" };
    let start = if namespace.is_group() { "/groups" } else { "" };
    json!({
        "id": namespace.id.0,
        "name": namespace.name,
        "path": namespace.path,
        "kind": kind,
        "full_path": namespace.full_path,
        "parent_id": namespace.parent.map(|parent| parent.0),
        "avatar_url": null,
        "web_url": format!("{}{start}/{}", base.0, namespace.full_path),
        "plan": namespace.plan.name(),
        "trial": namespace.plan.name().ends_with("_trial"),
        "trial_ends_on": null,
    })
}

/// Answers the namespaces that the caller may use.
pub async fn list(
    access: Authorized<act::ListNamespaces>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let search = read.filled_text("search");
    read.finish()?;
    let found = groups::list_namespaces(&state.forge, &access, search, around.window()).await?;
    Ok(around.page(found.map(|namespace| view(&namespace, &around.base))))
}

/// Answers one of them.
pub async fn get(
    access: Authorized<act::ListNamespaces>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let reference = IdOrPath::parse(path_text(&parts, "namespace_id"));
    let namespace = groups::get_namespace(&state.forge, &access, reference).await?;
    Ok(ok(view(&namespace, &around.base)))
}

/// Sets the plan.
pub async fn update(
    access: Authorized<act::SetPlan>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("plan");
    let plan = read.one_of("plan", Plan::from_name);
    read.finish()?;
    let id = NamespaceId(path_number(&parts, "namespace_id", "Namespace")?);
    let namespace = groups::set_plan(&state.forge, &access, id, plan.unwrap_or(Plan::Free)).await?;
    Ok(ok(view(&namespace, &around.base)))
}

/// Answers whether a path is taken.
pub async fn exists(
    access: Authorized<act::ListNamespaces>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let exists = groups::path_exists(&state.forge, &access, path_text(&parts, "namespace_id")).await?;
    Ok(ok(json!({ "exists": exists, "suggests": [] })))
}
