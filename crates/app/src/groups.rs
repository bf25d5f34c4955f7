//! Groups and namespaces.

use portcullis_rules::access::{Role, Visibility, act};
use portcullis_rules::id::NamespaceId;
use portcullis_rules::names::{DisplayName, IdOrPath, MAX_GROUP_LEVELS, PathSegment};
use portcullis_rules::token::Plan;
use portcullis_store::blobs::{self, BytesByKind};
use portcullis_store::db;
use portcullis_store::members::{self, Place};
use portcullis_store::namespaces::{self, Namespace, NamespaceFilter, NewNamespace};
use portcullis_store::select::{Listing, Window};
use portcullis_store::users;
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, Reading, Viewer, authorize};
use crate::audit::{self, Entry};
use crate::credentials;
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::jobs::{self, Job};
use crate::projects as project_use_cases;

/// What a group is asked for with.
#[derive(Clone, Debug)]
pub struct NewGroupRequest {
    /// The name people read.
    pub name: String,
    /// Its own path segment.
    pub path: String,
    /// The group it goes into; none makes a top-level group.
    pub parent: Option<NamespaceId>,
    /// What it is for.
    pub description: String,
    /// Who can see it; private when absent.
    pub visibility: Option<Visibility>,
}

/// Creates a group, whose creator becomes its Owner.
///
/// # Errors
/// [`Error::Refused`] when the caller may not create it there; [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateGroup>,
    request: NewGroupRequest,
) -> Result<Namespace, Error> {
    let creator = access.identity()?;
    let parent = match request.parent {
        None => None,
        Some(parent) => {
            let reference = Some(IdOrPath::Id(parent.0));
            let place = authorize::<act::CreateSubgroup>(forge, access.viewer().clone(), reference)
                .await?
                .map_err(|refused| Error::Refused(refused.denial))?;
            Some(place.namespace().clone())
        }
    };
    let mut fields = FieldErrors::default();
    let name = fields.take("name", DisplayName::parse(&request.name));
    let path = fields.take(
        "path",
        if parent.is_some() {
            PathSegment::parse(&request.path)
        } else {
            PathSegment::parse_top(&request.path)
        },
    );
    checked_description(&mut fields, &request.description);
    let visibility = request.visibility.unwrap_or(Visibility::Private);
    if let Some(parent) = &parent
        && visibility > parent.visibility
    {
        fields.add(
            "visibility_level",
            format!(
                "{} is not allowed since the parent group is {}",
                visibility.name(),
                parent.visibility.name()
            ),
        );
    }
    fields.finish()?;
    let (Some(name), Some(path)) = (name, path) else { return Err(Error::NotFound("field")) };

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    if let Some(parent) = &parent
        && namespaces::levels(&mut tx, parent.id).await? >= MAX_GROUP_LEVELS as i64
    {
        return Err(Error::invalid(
            "parent_id",
            format!("has reached the maximum of {MAX_GROUP_LEVELS} levels"),
        ));
    }
    let full_path = match &parent {
        Some(parent) => format!("{}/{path}", parent.full_path),
        None => path.to_string(),
    };
    let new = NewNamespace {
        owner: None,
        parent: parent.as_ref().map(|parent| parent.id),
        name: name.as_str(),
        path: path.as_str(),
        full_path: &full_path,
        description: &request.description,
        visibility,
    };
    let id = namespaces::insert(&mut tx, &new, now).await.map_err(taken)?;
    members::insert(&mut tx, Place::Namespace(id), creator.user, Role::Owner, None, Some(creator.user), now)
        .await?;
    let entry =
        Entry::group(id.0, &full_path, "group_created").details(json!({ "visibility": visibility.name() }));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    let group = namespaces::find(&mut tx, id).await?.ok_or(Error::NotFound("Group"))?;
    tx.commit().await?;
    Ok(group)
}

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => Error::invalid("path", "has already been taken"),
        other => other.into(),
    }
}

fn checked_description(fields: &mut FieldErrors, text: &str) {
    if text.chars().count() > 2000 {
        fields.add("description", "is too long (maximum is 2000 characters)");
    }
}

/// Returns how many bytes the images, packages and uploads of all projects below a top-level group take, if the caller may
/// know it: who is Reporter or more.
///
/// # Errors
/// The database's.
pub async fn stored_bytes(
    forge: &Forge,
    access: &Authorized<act::ReadGroup>,
    reading: &mut Reading,
) -> Result<Option<BytesByKind>, Error> {
    let group = access.namespace();
    if group.parent.is_some() || access.role() < Some(Role::Reporter) {
        return Ok(None);
    }
    Ok(Some(blobs::bytes_below_by_kind(reading.tx(forge).await?, group.id).await?))
}

/// Returns the groups the viewer may see.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    viewer: &Viewer,
    filter: &NamespaceFilter,
    window: Window,
) -> Result<Listing<Namespace>, Error> {
    let mut tx = forge.db().read().await?;
    let filter = NamespaceFilter { groups_only: true, ..filter.clone() };
    Ok(namespaces::list(&mut tx, viewer.audience(), &filter, window, forge.now()).await?)
}

/// Returns the namespaces that the caller may create something in: their own and their groups.
///
/// # Errors
/// The database's.
pub async fn list_namespaces(
    forge: &Forge,
    access: &Authorized<act::ListNamespaces>,
    search: Option<String>,
    window: Window,
) -> Result<Listing<Namespace>, Error> {
    let identity = access.identity()?;
    if identity.bot {
        // A bot creates neither groups nor projects, so no namespace is its to use.
        return Ok(Listing { items: Vec::new(), total: Some(0) });
    }
    let usable_by = (!access.viewer().is_administrator()).then_some(identity.user);
    let filter = NamespaceFilter { search, usable_by, ..NamespaceFilter::default() };
    let mut tx = forge.db().read().await?;
    Ok(namespaces::list(&mut tx, access.viewer().audience(), &filter, window, forge.now()).await?)
}

/// Returns a namespace among those of [`list_namespaces`].
///
/// # Errors
/// [`Error::NotFound`] when it is none of them.
pub async fn get_namespace(
    forge: &Forge,
    access: &Authorized<act::ListNamespaces>,
    reference: Option<IdOrPath>,
) -> Result<Namespace, Error> {
    let found = authorize::<act::ReadNamespace>(forge, access.viewer().clone(), reference).await?;
    found.map(|place| place.namespace().clone()).map_err(|_| Error::NotFound("Namespace"))
}

/// Returns whether a path is taken. Who may create something there is told of hidden ones too, because their path cannot
/// be used either way; everybody else is told of what they can see.
///
/// # Errors
/// The database's.
pub async fn path_exists(
    forge: &Forge,
    access: &Authorized<act::ListNamespaces>,
    path: &str,
) -> Result<bool, Error> {
    let Some(IdOrPath::Path(path)) = IdOrPath::parse(path) else { return Ok(false) };
    if access.also::<act::CreateGroup>().is_err() {
        let seen =
            authorize::<act::ReadGroup>(forge, access.viewer().clone(), Some(IdOrPath::Path(path))).await?;
        return Ok(seen.is_ok());
    }
    let mut tx = forge.db().read().await?;
    Ok(namespaces::find_by_path(&mut tx, &path).await?.is_some())
}

/// What is to change about a group; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChanges {
    /// The name people read.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who can see it.
    pub visibility: Option<Visibility>,
    /// Whether project access tokens may be created below; top-level groups only.
    pub token_creation_allowed: Option<bool>,
    /// Whether projects below may have large files of Git (LFS); top-level groups only.
    pub lfs: Option<bool>,
    /// Whether whoever belongs to it needs a second factor to sign in with a browser.
    pub second_factor_required: Option<bool>,
    /// The plan; top-level groups only, and only by an administrator.
    pub plan: Option<Plan>,
    /// How many bytes the images of all projects below may take; top-level groups only, and only by an administrator.
    pub container_quota_bytes: Option<Option<u64>>,
}

/// Changes a group.
///
/// # Errors
/// [`Error::Invalid`] for a field; [`Error::Forbidden`] when somebody else than an administrator sets the plan.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::UpdateGroup>,
    changes: GroupChanges,
) -> Result<Namespace, Error> {
    let now = forge.now();
    let quota = match changes.container_quota_bytes {
        Some(quota) => Some((project_use_cases::may_set_quota(forge, access.viewer()).await?, quota)),
        None => None,
    };
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let mut group = access.namespace().clone();
    let before = group.clone();
    let mut fields = FieldErrors::default();
    if let Some(name) = &changes.name
        && let Some(name) = fields.take("name", DisplayName::parse(name))
    {
        group.name = name.as_str().to_owned();
    }
    if let Some(description) = changes.description {
        checked_description(&mut fields, &description);
        group.description = description;
    }
    if let Some(visibility) = changes.visibility.filter(|visibility| *visibility != group.visibility) {
        let above = match group.parent {
            Some(parent) => namespaces::find(&mut tx, parent).await?.map(|parent| parent.visibility),
            None => None,
        };
        if above.is_some_and(|above| visibility > above) {
            fields.add("visibility_level", "is not allowed since the parent group is less visible");
        }
        if namespaces::widest_visibility_inside(&mut tx, group.id)
            .await?
            .is_some_and(|inside| visibility < inside)
        {
            fields.add(
                "visibility_level",
                "is not allowed since this group contains projects or groups with higher visibility",
            );
        }
        group.visibility = visibility;
    }
    if changes.token_creation_allowed == Some(false) && group.parent.is_some() {
        fields.add(
            "resource_access_token_creation_allowed",
            "is not allowed since the group is not top-level group.",
        );
    }
    if changes.lfs == Some(false) && group.parent.is_some() {
        fields.add("lfs_enabled", "is not allowed since the group is not top-level group.");
    }
    if changes.plan.is_some() && group.parent.is_some() {
        fields.add("plan", "is not allowed since the group is not top-level group.");
    }
    if quota.is_some() && group.parent.is_some() {
        let text = "is not allowed since the group is not top-level group.";
        fields.add("container_registry_quota_bytes", text);
    }
    fields.finish()?;
    namespaces::update(&mut tx, &group, now).await?;
    if let Some(allowed) = changes.token_creation_allowed.filter(|_| group.parent.is_none()) {
        namespaces::set_token_creation(&mut tx, group.id, allowed, now).await?;
        group.token_creation_allowed = allowed;
    }
    if let Some(lfs) = changes.lfs.filter(|lfs| group.parent.is_none() && *lfs != group.lfs) {
        namespaces::set_lfs(&mut tx, group.id, lfs, now).await?;
        group.lfs = lfs;
    }
    if let Some(required) =
        changes.second_factor_required.filter(|required| *required != group.second_factor_required)
    {
        namespaces::set_second_factor(&mut tx, group.id, required, now).await?;
        group.second_factor_required = required;
    }
    if let Some(plan) = changes.plan {
        if !access.viewer().is_administrator() {
            return Err(Error::Forbidden("Only an administrator may set the plan".to_owned()));
        }
        namespaces::set_plan(&mut tx, group.id, plan, now).await?;
        group.plan = plan;
    }
    if let Some((allowed, quota)) = quota {
        allowed.again(forge, &mut tx).await?;
        group.container_quota_bytes = quota.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        namespaces::set_container_quota(&mut tx, group.id, group.container_quota_bytes, now).await?;
    }
    let changed = json!({
        "name": (before.name != group.name).then_some([&before.name, &group.name]),
        "visibility": (before.visibility != group.visibility)
            .then_some([before.visibility.name(), group.visibility.name()]),
        "resource_access_token_creation_allowed": (before.token_creation_allowed != group.token_creation_allowed)
            .then_some([before.token_creation_allowed, group.token_creation_allowed]),
        "lfs_enabled": (before.lfs != group.lfs).then_some([before.lfs, group.lfs]),
        "require_two_factor_authentication": (before.second_factor_required != group.second_factor_required)
            .then_some([before.second_factor_required, group.second_factor_required]),
        "plan": (before.plan != group.plan).then_some([before.plan.name(), group.plan.name()]),
        "container_registry_quota_bytes": (before.container_quota_bytes != group.container_quota_bytes)
            .then_some([before.container_quota_bytes, group.container_quota_bytes]),
    });
    let entry = Entry::group(group.id.0, &group.full_path, "group_updated").details(changed);
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(group)
}

/// Sets the plan of a top-level namespace, a person's own included.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] below the top level.
pub async fn set_plan(
    forge: &Forge,
    access: &Authorized<act::SetPlan>,
    id: NamespaceId,
    plan: Plan,
) -> Result<Namespace, Error> {
    let mut tx = forge.db().begin().await?;
    let mut namespace = namespaces::find(&mut tx, id).await?.ok_or(Error::NotFound("Namespace"))?;
    if namespace.parent.is_some() {
        return Err(Error::invalid("plan", "is not allowed since the group is not top-level group."));
    }
    namespaces::set_plan(&mut tx, id, plan, forge.now()).await?;
    let entry = Entry::group(id.0, &namespace.full_path, "plan_changed")
        .details(json!({ "plan": [namespace.plan.name(), plan.name()] }));
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    namespace.plan = plan;
    tx.commit().await?;
    Ok(namespace)
}

/// Deletes a group with all below it: gone for everybody at once, and removed by a job.
///
/// # Errors
/// The database's.
pub async fn delete(forge: &Forge, access: &Authorized<act::DeleteGroup>) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let group = access.namespace();
    let by = access.viewer().identity().map(|identity| identity.user);
    for project in namespaces::projects_inside(&mut tx, group.id).await? {
        project_use_cases::end(forge, &mut tx, portcullis_rules::id::ProjectId(project), by).await?;
    }
    // From here on nobody makes a token for the group or one below it: who does holds the row that this takes.
    namespaces::request_deletion(&mut tx, group.id, now).await?;
    for bot in users::bots_below_group(&mut tx, group.id).await? {
        credentials::end_bot(forge, &mut tx, bot, by).await?;
    }
    jobs::ask(&mut tx, &Job::DeleteGroup { group: group.id }, now).await?;
    let entry = Entry::group(group.id.0, &group.full_path, "group_deleted");
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}
