//! Image repositories.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use portcullis_app::access::{Authorized, Reading};
use portcullis_app::registry::repositories::{self, RepositoryDetails, Wanted};
use portcullis_rules::access::{Act, act};
use portcullis_rules::id::ContainerRepositoryId;
use serde::Serialize;

use super::{ApiResult, PathParts, Surroundings, accepted, ok, path_number, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::door::Door;
use crate::error::{ApiError, Refusal};
use crate::guard::{Access, Guard, viewer};
use crate::params::{Params, Reader};

/// A tag, as it is named in lists.
#[derive(Serialize)]
pub(super) struct TagName {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) location: String,
}

impl TagName {
    pub(super) fn new(name: String, image: &str, base: &BaseUrl) -> TagName {
        let path = format!("{image}:{name}");
        TagName { location: location(&path, base), path, name }
    }
}

#[derive(Serialize)]
struct RepositoryView {
    id: i64,
    name: String,
    path: String,
    project_id: i64,
    location: String,
    created_at: String,
    cleanup_policy_started_at: Option<String>,
    /// What is being deleted is not shown any more.
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<TagName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
}

/// Returns what clients of the registry call something by: the host that they use, and the path.
pub(super) fn location(path: &str, base: &BaseUrl) -> String {
    let host = base.0.split_once("://").map_or(&*base.0, |(_, host)| host);
    format!("{host}/{path}")
}

fn view(details: RepositoryDetails, base: &BaseUrl) -> RepositoryView {
    let path = details.path();
    let RepositoryDetails { repository, tags, tags_count, size } = details;
    let tags = tags.map(|tags| tags.into_iter().map(|tag| TagName::new(tag, &path, base)).collect());
    RepositoryView {
        id: repository.id.0,
        name: repository.name,
        project_id: repository.project.0,
        location: location(&path, base),
        created_at: time(repository.created_at),
        cleanup_policy_started_at: repository.cleanup_started_at.map(time),
        status: None,
        tags_count,
        tags,
        size,
        path,
    }
}

/// Returns the repository that a path names.
///
/// # Errors
/// `404`, as for a number that nothing has.
pub(super) fn repository_id(parts: &PathParts) -> Result<ContainerRepositoryId, ApiError> {
    path_number(parts, "repository_id", "Container Repository").map(ContainerRepositoryId)
}

fn wanted(read: &mut Reader<'_>) -> Wanted {
    Wanted {
        tags: read.boolean("tags").unwrap_or(false),
        tags_count: read.boolean("tags_count").unwrap_or(false),
        size: read.boolean("size").unwrap_or(false),
    }
}

/// Answers the repositories of a project.
pub async fn list(
    access: Authorized<act::ReadContainerRepositories>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let wanted = wanted(&mut read);
    read.finish()?;
    let found = repositories::list_of_project(&state.forge, &access, wanted, around.window()).await?;
    Ok(around.page(found.map(|details| view(details, &around.base))))
}

/// Answers the repositories of all projects in a group.
pub async fn list_of_group(
    access: Authorized<act::ReadGroupContainerRepositories>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let found = repositories::list_of_group(&state.forge, &access, around.window()).await?;
    Ok(around.page(found.map(|details| view(details, &around.base))))
}

/// Like [`Admitted`](crate::guard::Admitted), for a path that names a repository and not its project: the rules decide
/// about the project that has it, and one that does not exist is answered like one in a hidden project.
#[derive(Debug)]
pub struct OfRepository {
    access: Authorized<act::ReadContainerRepositories>,
    reading: Reading,
}

impl Guard for OfRepository {
    const ACCESS: Access = Access::Action(act::ReadContainerRepositories::ACTION);
}

impl FromRequestParts<AppState> for OfRepository {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let mut reading = Reading::default();
        let viewer = viewer(parts, state, &mut reading, Door::Api).await?;
        let params = PathParts::from_request_parts(parts, state).await.ok();
        let id = params.and_then(|parts| path_text(&parts, "repository_id").parse().ok());
        let asked =
            repositories::authorize(&state.forge, &mut reading, &viewer, id.map(ContainerRepositoryId))
                .await
                .map_err(|error| Refusal::error(Door::Api, error))?;
        let realm = &state.forge.settings().git_realm;
        let access = asked.map_err(|refused| Refusal::refused(Door::Api, &refused, realm))?;
        Ok(OfRepository { access, reading })
    }
}

/// Answers one repository.
pub async fn get(
    OfRepository { access, mut reading }: OfRepository,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let wanted = wanted(&mut read);
    read.finish()?;
    let id = repository_id(&parts)?;
    let details = repositories::get(&state.forge, &access, &mut reading, id, wanted).await?;
    Ok(ok(view(details, &around.base)))
}

/// Deletes a repository.
pub async fn delete(
    access: Authorized<act::AdministerContainerRepositories>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    repositories::delete(&state.forge, &access, repository_id(&parts)?).await?;
    Ok(accepted())
}
