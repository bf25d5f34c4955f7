//! Groups.

use axum::extract::State;
use portcullis_app::access::{Authorized, Viewer};
use portcullis_app::groups::{self, GroupChanges, NewGroupRequest};
use portcullis_app::records::namespaces::{Namespace, NamespaceFilter};
use portcullis_rules::access::{Role, Visibility, act};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::token::Plan;
use serde_json::{Value, json};

use super::projects::quota;
use super::{ApiResult, Surroundings, accepted, created, ok, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::guard::Admitted;
use crate::params::Params;

fn view(group: &Namespace, base: &BaseUrl, viewer: &Viewer, owner: bool) -> Value {
    let mut view = json!({
        "id": group.id.0,
        "web_url": format!("{}/groups/{}", base.0, group.full_path),
        "name": group.name,
        "path": group.path,
        "description": group.description,
        "visibility": group.visibility.name(),
        "share_with_group_lock": false,
        "require_two_factor_authentication": group.second_factor_required,
        "two_factor_grace_period": 0,
        "project_creation_level": "maintainer",
        "auto_devops_enabled": null,
        "subgroup_creation_level": "maintainer",
        "emails_disabled": false,
        "emails_enabled": true,
        "mentions_disabled": null,
        "lfs_enabled": group.lfs,
        "archived": false,
        "default_branch": "main",
        "default_branch_protection": 2,
        "default_branch_protection_defaults": {
            "allowed_to_push": [{ "access_level": 40 }],
            "allow_force_push": false,
            "allowed_to_merge": [{ "access_level": 40 }],
        },
        "avatar_url": null,
        "request_access_enabled": false,
        "full_name": group.full_path.split('/').collect::<Vec<_>>().join(" / "),
        "full_path": group.full_path,
        "created_at": time(group.created_at),
        "parent_id": group.parent.map(|parent| parent.0),
        "organization_id": 1,
        "shared_runners_setting": "disabled_and_unoverridable",
        "shared_with_groups": [],
    });
    // The switch and the plan belong to the top level, and are their Owners' business.
    if (owner || viewer.is_administrator()) && group.parent.is_none() {
        view["resource_access_token_creation_allowed"] = json!(group.token_creation_allowed);
        view["plan"] = json!(group.plan.name());
        view["container_registry_quota_bytes"] = json!(group.container_quota_bytes);
    }
    view
}

/// Answers the groups that the caller may see.
pub async fn list(
    access: Authorized<act::ListGroups>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    answer_list(access.viewer(), &state, &around, &params, NamespaceFilter::default()).await
}

async fn answer_list(
    viewer: &Viewer,
    state: &AppState,
    around: &Surroundings,
    params: &Params,
    filter: NamespaceFilter,
) -> ApiResult {
    let mut read = params.read();
    let owned = read.boolean("owned").unwrap_or(false);
    let level = read.one_of("min_access_level", |level| level.parse().ok().and_then(Role::from_level));
    let level = level.or(owned.then_some(Role::Owner));
    let filter = NamespaceFilter {
        search: read.filled_text("search"),
        top_level_only: read.boolean("top_level_only").unwrap_or(false),
        without: read.integers("skip_groups").unwrap_or_default(),
        member: level.and_then(|level| viewer.identity().map(|identity| (identity.user, level))),
        ..filter
    };
    read.finish()?;
    let found = groups::list(&state.forge, viewer, &filter, around.window()).await?;
    Ok(around.page(found.map(|group| view(&group, &around.base, viewer, false))))
}

/// Answers the groups directly inside this one.
pub async fn subgroups(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let filter = NamespaceFilter { parent: Some(access.namespace().id), ..NamespaceFilter::default() };
    answer_list(access.viewer(), &state, &around, &params, filter).await
}

/// Answers the groups anywhere inside this one.
pub async fn descendants(
    access: Authorized<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let filter = NamespaceFilter { below: Some(access.namespace().id), ..NamespaceFilter::default() };
    answer_list(access.viewer(), &state, &around, &params, filter).await
}

/// Answers one group.
pub async fn get(
    Admitted { access, mut reading }: Admitted<act::ReadGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let statistics = read.boolean("statistics").unwrap_or(false);
    read.finish()?;
    let owner = access.role() == Some(Role::Owner);
    let mut view = view(access.namespace(), &around.base, access.viewer(), owner);
    if statistics && let Some(bytes) = groups::stored_bytes(&state.forge, &access, &mut reading).await? {
        view["statistics"] = json!({
            "container_registry_size": bytes.images,
            "packages_size": bytes.packages,
            "uploads_size": bytes.uploads,
            "lfs_objects_size": bytes.lfs_objects,
        });
    }
    Ok(ok(view))
}

/// Creates a group.
pub async fn create(
    access: Authorized<act::CreateGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewGroupRequest {
        name: read.required_text("name"),
        path: read.required_text("path"),
        parent: read.integer("parent_id").map(NamespaceId),
        description: read.text("description").unwrap_or_default(),
        visibility: read.one_of("visibility", Visibility::from_name),
    };
    read.finish()?;
    let group = groups::create(&state.forge, &access, request).await?;
    Ok(created(view(&group, &around.base, access.viewer(), true)))
}

/// Changes a group.
pub async fn update(
    access: Authorized<act::UpdateGroup>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let changes = GroupChanges {
        name: read.text("name"),
        description: read.text("description"),
        visibility: read.one_of("visibility", Visibility::from_name),
        token_creation_allowed: read.boolean("resource_access_token_creation_allowed"),
        lfs: read.boolean("lfs_enabled"),
        second_factor_required: read.boolean("require_two_factor_authentication"),
        plan: read.one_of("plan", Plan::from_name),
        container_quota_bytes: quota(&mut read, "container_registry_quota_bytes"),
    };
    read.finish()?;
    let group = groups::update(&state.forge, &access, changes).await?;
    Ok(ok(view(&group, &around.base, access.viewer(), true)))
}

/// Deletes a group.
pub async fn delete(
    access: Authorized<act::DeleteGroup>,
    State(state): State<AppState>,
    _params: Params,
) -> ApiResult {
    groups::delete(&state.forge, &access).await?;
    Ok(accepted())
}
