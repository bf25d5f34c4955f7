//! Projects.

use portcullis_git::{FirstCommit, ObjectFormat, RefName, Signature};
use portcullis_rules::access::{Act, FeatureAccess, Role, Visibility, act, on};
use portcullis_rules::id::{NamespaceId, ProjectId, UserId};
use portcullis_rules::merging::{MergeMethod, SquashOption};
use portcullis_rules::names::{DisplayName, IdOrPath, PathSegment};
use portcullis_store::blobs::{self, BytesByKind};
use portcullis_store::db::{self, Tx};
use portcullis_store::events::{self, NewEvent};
use portcullis_store::members::{self, Place};
use portcullis_store::projects::{self, Merging, NewProject, Project, ProjectFilter};
use portcullis_store::protected_branches;
use portcullis_store::select::{Listing, Window};
use portcullis_store::users;
use portcullis_store::{container_cleanup_policies, container_repositories, namespaces};
use serde_json::{Value, json};

use crate::Error;
use crate::access::{Authorized, Reading, Viewer, authorize};
use crate::audit::{self, Entry};
use crate::credentials;
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::jobs::{self, Job};
use crate::registry::cleanup::{self, CleanupChanges};

/// What a project is asked for with.
#[derive(Clone, Debug, Default)]
pub struct NewProjectRequest {
    /// The name people read; from the path when absent.
    pub name: Option<String>,
    /// Its own path segment; from the name when absent.
    pub path: Option<String>,
    /// Where it goes; the caller's own namespace when absent.
    pub namespace: Option<NamespaceId>,
    /// What it is for.
    pub description: Option<String>,
    /// Who can see it; private when absent.
    pub visibility: Option<Visibility>,
    /// The branch HEAD will name.
    pub default_branch: Option<String>,
    /// `sha1` or `sha256`.
    pub object_format: Option<String>,
    /// Whether to begin with a commit that adds a README.
    pub initialize_with_readme: bool,
    /// Who may use the repository.
    pub repository_access: Option<FeatureAccess>,
    /// Who may use the issue tracker.
    pub issues_access: Option<FeatureAccess>,
    /// Who may use the container registry.
    pub container_registry_access: Option<FeatureAccess>,
    /// Who may use its packages.
    pub packages_access: Option<FeatureAccess>,
    /// Who may use its merge requests.
    pub merge_requests_access: Option<FeatureAccess>,
    /// Whether it may have large files of Git (LFS).
    pub lfs: Option<bool>,
    /// How its branches are merged.
    pub merging: MergingChanges,
    /// Its topics.
    pub topics: Vec<String>,
}

/// What is to change about how the branches of a project are merged; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergingChanges {
    /// What merging makes.
    pub method: Option<MergeMethod>,
    /// Whether the commits of a merge request become one.
    pub squash: Option<SquashOption>,
    /// Whether the source branch of a merge request goes with merging.
    pub removes_source_branch: Option<bool>,
    /// Whether issues that a merge request names are closed with it.
    pub closes_issues: Option<bool>,
    /// Whether nothing is merged unless the statuses of its last commit are there and good.
    pub needs_success: Option<bool>,
    /// Whether a status that was skipped is good.
    pub skipped_is_success: Option<bool>,
    /// Whether nothing is merged before its discussions are resolved.
    pub needs_resolved_discussions: Option<bool>,
}

impl MergingChanges {
    fn applied_to(self, before: Merging) -> Merging {
        Merging {
            method: self.method.unwrap_or(before.method),
            squash: self.squash.unwrap_or(before.squash),
            removes_source_branch: self.removes_source_branch.unwrap_or(before.removes_source_branch),
            closes_issues: self.closes_issues.unwrap_or(before.closes_issues),
            needs_success: self.needs_success.unwrap_or(before.needs_success),
            skipped_is_success: self.skipped_is_success.unwrap_or(before.skipped_is_success),
            needs_resolved_discussions: self
                .needs_resolved_discussions
                .unwrap_or(before.needs_resolved_discussions),
        }
    }
}

/// Returns how branches are merged, in GitLab's words.
fn merging_in_words(merging: &Merging) -> Value {
    json!({
        "merge_method": merging.method.name(),
        "squash_option": merging.squash.name(),
        "remove_source_branch_after_merge": merging.removes_source_branch,
        "autoclose_referenced_issues": merging.closes_issues,
        "only_allow_merge_if_pipeline_succeeds": merging.needs_success,
        "allow_merge_on_skipped_pipeline": merging.skipped_is_success,
        "only_allow_merge_if_all_discussions_are_resolved": merging.needs_resolved_discussions,
    })
}

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 2000;

/// How many topics a project may have.
const MAX_TOPICS: usize = 20;

fn checked_texts(fields: &mut FieldErrors, description: &str, topics: &[String]) {
    if description.chars().count() > MAX_DESCRIPTION_CHARACTERS {
        fields
            .add("description", format!("is too long (maximum is {MAX_DESCRIPTION_CHARACTERS} characters)"));
    }
    if topics.len() > MAX_TOPICS {
        fields.add("topics", format!("are too many (maximum is {MAX_TOPICS})"));
    }
    for topic in topics {
        fields.take("topics", DisplayName::parse(topic));
    }
}

fn checked_branch(fields: &mut FieldErrors, branch: &str) {
    if branch.len() > 244 || RefName::branch_named(branch).is_err() {
        fields.add("default_branch", "is not a valid branch name");
    }
}

/// Creates a project with an empty repository, or one that holds a README.
///
/// # Errors
/// [`Error::Refused`] when the caller may not create it there; [`Error::Invalid`] for a field.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateProject>,
    request: NewProjectRequest,
) -> Result<ProjectDetails, Error> {
    let creator = access.identity()?;
    let reference = match request.namespace {
        Some(id) => Some(IdOrPath::Id(id.0)),
        None => {
            let mut tx = forge.db().read().await?;
            namespaces::find_own(&mut tx, creator.user).await?.map(|own| IdOrPath::Id(own.id.0))
        }
    };
    let place = authorize::<act::CreateProjectIn>(forge, access.viewer().clone(), reference)
        .await?
        .map_err(|refused| Error::Refused(refused.denial))?;
    let namespace = place.namespace();

    let mut fields = FieldErrors::default();
    let name = match (&request.name, &request.path) {
        (Some(name), _) => fields.take("name", DisplayName::parse(name)),
        (None, Some(path)) => fields.take("name", DisplayName::parse(path)),
        (None, None) => return Err(Error::invalid("name", "can't be blank")),
    };
    let path = match &request.path {
        Some(path) => fields.take("path", PathSegment::parse(path)),
        None => fields.take("path", PathSegment::from_name(request.name.as_deref().unwrap_or_default())),
    };
    let description = request.description.as_deref().unwrap_or_default();
    checked_texts(&mut fields, description, &request.topics);
    let visibility = request.visibility.unwrap_or(Visibility::Private);
    if visibility > namespace.visibility {
        fields.add(
            "visibility_level",
            format!("{} is not allowed in a {} group", visibility.name(), namespace.visibility.name()),
        );
    }
    let branch = request.default_branch.as_deref().filter(|branch| !branch.is_empty()).unwrap_or("main");
    checked_branch(&mut fields, branch);
    let format = request.object_format.as_deref().unwrap_or("sha1");
    let object_format = ObjectFormat::from_name(format);
    if object_format.is_none() {
        fields.add("repository_object_format", "must be sha1 or sha256");
    }
    fields.finish()?;
    let (Some(name), Some(path), Some(object_format)) = (name, path, object_format) else {
        return Err(Error::NotFound("field"));
    };

    let now = forge.now();
    let full_path = format!("{}/{}", namespace.full_path, path.as_str());
    let new = NewProject {
        namespace: namespace.id,
        creator: creator.user,
        name: name.as_str(),
        path: path.as_str(),
        full_path: &full_path,
        description,
        visibility,
        default_branch: branch,
        object_format: format,
        repository_access: request.repository_access.unwrap_or(FeatureAccess::Enabled),
        issues_access: request.issues_access.unwrap_or(FeatureAccess::Enabled),
        container_registry_access: request.container_registry_access.unwrap_or(FeatureAccess::Enabled),
    };
    let mut tx = forge.db().begin().await?;
    let mut fields = FieldErrors::default();
    check_hides_no_image(&mut tx, &mut fields, &full_path).await?;
    fields.finish()?;
    let id = projects::insert(&mut tx, &new, now).await.map_err(taken)?;
    if let Some(packages) = request.packages_access {
        projects::set_packages_access(&mut tx, id, packages).await?;
    }
    if request.lfs == Some(false) {
        projects::set_lfs(&mut tx, id, false, now).await?;
    }
    let mut made = projects::find(&mut tx, id).await?.ok_or(Error::NotFound("Project"))?;
    made.merge_requests_access = request.merge_requests_access.unwrap_or(made.merge_requests_access);
    made.merging = request.merging.applied_to(made.merging);
    projects::set_merging(&mut tx, &made, now).await?;
    projects::set_topics(&mut tx, id, &request.topics).await?;
    if namespace.owner.is_some() {
        let role = Role::Owner;
        members::insert(&mut tx, Place::Project(id), creator.user, role, None, Some(creator.user), now)
            .await?;
    }
    let event = NewEvent {
        project: id,
        author: creator.user,
        token: creator.token(),
        action: "created",
        target_type: None,
        target_id: None,
        target_iid: None,
        target_title: None,
        details: None,
    };
    events::insert(&mut tx, &event, now).await?;
    let entry =
        Entry::project(id, &full_path, "project_created").details(json!({ "visibility": visibility.name() }));
    audit::record(&mut tx, access.viewer(), entry, now).await?;

    // The repository is made before the commit: a record never points at nothing. Should the commit fail, what is left
    // on disk belongs to an id that no project has.
    make_repository(forge, id, object_format, branch).await?;
    let made = async {
        if request.initialize_with_readme {
            let user = users::find(&mut tx, creator.user).await?.ok_or(Error::Unauthorized)?;
            let text = readme(name.as_str(), description);
            let first = FirstCommit {
                branch: branch.to_owned(),
                files: vec![("README.md".to_owned(), text.into_bytes())],
                message: "Initial commit".to_owned(),
                author: Signature { name: user.name, email: user.email },
                at: now,
            };
            forge.git().initialize(id.0, first).await?;
            projects::record_push(&mut tx, id, true, now).await?;
            protect_default(&mut tx, id, branch, now).await?;
        }
        let project = projects::find(&mut tx, id).await?.ok_or(Error::NotFound("Project"))?;
        tx.commit().await?;
        Ok(project)
    };
    match made.await {
        Ok(project) => Ok(ProjectDetails {
            project,
            topics: request.topics.clone(),
            project_role: namespace.owner.map(|_| Role::Owner),
            namespace_role: if namespace.owner.is_some() { None } else { place.role() },
        }),
        Err(error) => {
            if let Err(left) = forge.git().delete(id.0).await {
                tracing::warn!(project.id = id.0, error = %left, "a repository without a project is left on disk");
            }
            Err(error)
        }
    }
}

/// Notes when a project at this path would stand in front of an image of another project: of the paths that begin an
/// image's name, the longest is its project's.
async fn check_hides_no_image(tx: &mut Tx, fields: &mut FieldErrors, full_path: &str) -> Result<(), Error> {
    if container_repositories::hidden_by(tx, full_path).await?.is_some() {
        fields.add("path", "is taken by a container image of another project");
    }
    Ok(())
}

/// Returns the proof that a viewer may set how much images may take.
pub(crate) async fn may_set_quota(
    forge: &Forge,
    viewer: &Viewer,
) -> Result<Authorized<act::SetContainerQuota>, Error> {
    authorize::<act::SetContainerQuota>(forge, viewer.clone(), ())
        .await?
        .map_err(|refused| Error::Refused(refused.denial))
}

/// Makes the empty repository of a project that is being created.
async fn make_repository(
    forge: &Forge,
    id: ProjectId,
    format: ObjectFormat,
    branch: &str,
) -> Result<(), Error> {
    match forge.git().create(id.0, format, branch).await {
        // A process that died before it could commit leaves its repository behind, and SQLite gives the id out again.
        Err(portcullis_git::Error::AlreadyExists) => {
            tracing::warn!(
                project.id = id.0,
                "a repository that no project has was in the way, and was removed"
            );
            forge.git().delete(id.0).await?;
            Ok(forge.git().create(id.0, format, branch).await?)
        }
        other => Ok(other?),
    }
}

fn readme(name: &str, description: &str) -> String {
    let mut text = format!("# {name}\n");
    if !description.is_empty() {
        text.push_str(&format!("\n{description}\n"));
    }
    text
}

/// Protects the default branch as every project begins: Maintainers may push, nobody may force.
pub(crate) async fn protect_default(tx: &mut Tx, id: ProjectId, branch: &str, now: i64) -> Result<(), Error> {
    if protected_branches::find(tx, id, branch).await?.is_none() {
        let maintainer = Some(Role::Maintainer);
        protected_branches::insert(tx, id, branch, maintainer, maintainer, false, now).await?;
    }
    Ok(())
}

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => Error::Invalid(vec![
            ("name", "has already been taken".to_owned()),
            ("path", "has already been taken".to_owned()),
        ]),
        other => other.into(),
    }
}

/// A project with what is read beside it.
#[derive(Clone, Debug)]
pub struct ProjectDetails {
    /// The project.
    pub project: Project,
    /// Its topics.
    pub topics: Vec<String>,
    /// The viewer's role through the project itself.
    pub project_role: Option<Role>,
    /// The viewer's role through the groups above.
    pub namespace_role: Option<Role>,
}

/// Returns the project.
///
/// # Errors
/// The database's.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadProject>,
    reading: &mut Reading,
) -> Result<ProjectDetails, Error> {
    details_within(reading.tx(forge).await?, access).await
}

/// Returns how many bytes the images, packages, uploads and large files of a project take, if the caller may know it: who is
/// Reporter or more.
///
/// # Errors
/// The database's.
pub async fn stored_bytes(
    forge: &Forge,
    access: &Authorized<act::ReadProject>,
    reading: &mut Reading,
) -> Result<Option<BytesByKind>, Error> {
    if access.role() < Some(Role::Reporter) {
        return Ok(None);
    }
    Ok(Some(blobs::bytes_of_project_by_kind(reading.tx(forge).await?, access.project()).await?))
}

async fn details<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
) -> Result<ProjectDetails, Error> {
    details_within(&mut forge.db().read().await?, access).await
}

async fn details_within<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
) -> Result<ProjectDetails, Error> {
    let project = projects::find(tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    let topics = projects::topics(tx, access.project()).await?;
    let (project_role, namespace_role) = (access.place().project_role, access.place().namespace_role);
    Ok(ProjectDetails { project, topics, project_role, namespace_role })
}

/// Returns the projects the viewer may see.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    viewer: &Viewer,
    filter: &ProjectFilter,
    window: Window,
) -> Result<Listing<ProjectDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let found = projects::list(&mut tx, viewer.audience(), filter, window, forge.now()).await?;
    let ids: Vec<_> = found.items.iter().map(|project| project.id.0).collect();
    let topics = if ids.is_empty() { Vec::new() } else { projects::topics_of(&mut tx, &ids).await? };
    let roles = match viewer.identity() {
        Some(identity) => projects::roles_of(&mut tx, identity.user, &ids, forge.now()).await?,
        None => Vec::new(),
    };
    Ok(found.map(|project| {
        let role = roles.iter().find(|(id, _, _)| *id == project.id.0);
        let (project_role, namespace_role) = role.map_or((None, None), |(_, own, above)| (*own, *above));
        let own =
            topics.iter().filter(|(id, _)| *id == project.id.0).map(|(_, topic)| topic.clone()).collect();
        ProjectDetails { project, topics: own, project_role, namespace_role }
    }))
}

/// Returns a person's own namespace.
///
/// # Errors
/// The database's.
pub async fn own_namespace(
    forge: &Forge,
    _access: &Authorized<act::ReadUsers>,
    user: UserId,
) -> Result<Option<NamespaceId>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(namespaces::find_own(&mut tx, user).await?.map(|own| own.id))
}

/// What is to change about a project; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ProjectChanges {
    /// The name people read.
    pub name: Option<String>,
    /// Its own path segment.
    pub path: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who can see it.
    pub visibility: Option<Visibility>,
    /// The branch HEAD names.
    pub default_branch: Option<String>,
    /// Who may use the repository.
    pub repository_access: Option<FeatureAccess>,
    /// Who may use the issue tracker.
    pub issues_access: Option<FeatureAccess>,
    /// Who may use the container registry.
    pub container_registry_access: Option<FeatureAccess>,
    /// Who may use its packages.
    pub packages_access: Option<FeatureAccess>,
    /// Who may use its merge requests.
    pub merge_requests_access: Option<FeatureAccess>,
    /// Whether it may have large files of Git (LFS).
    pub lfs: Option<bool>,
    /// How its branches are merged.
    pub merging: MergingChanges,
    /// How many bytes its images, uploads and packages may take; only an administrator sets it.
    pub container_quota_bytes: Option<Option<u64>>,
    /// What is deleted from its images from time to time.
    pub cleanup_policy: Option<CleanupChanges>,
    /// Its topics.
    pub topics: Option<Vec<String>>,
}

/// Changes a project.
///
/// # Errors
/// [`Error::Refused`] when the visibility is to change and the caller is no Owner, or the quota and they are no
/// administrator; [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::UpdateProject>,
    changes: ProjectChanges,
) -> Result<ProjectDetails, Error> {
    let now = forge.now();
    let quota = match changes.container_quota_bytes {
        Some(quota) => Some((may_set_quota(forge, access.viewer()).await?, quota)),
        None => None,
    };
    let mut tx = forge.db().begin().await?;
    projects::lock(&mut tx, access.project()).await?;
    let access = access.again(forge, &mut tx).await?;
    let mut project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    let before = project.clone();
    let mut fields = FieldErrors::default();
    if let Some(name) = &changes.name
        && let Some(name) = fields.take("name", DisplayName::parse(name))
    {
        project.name = name.as_str().to_owned();
    }
    if let Some(path) = &changes.path
        && let Some(path) = fields.take("path", PathSegment::parse(path))
    {
        project.path = path.as_str().to_owned();
        project.full_path = format!("{}/{path}", project.namespace_full_path);
        if project.full_path != before.full_path {
            check_hides_no_image(&mut tx, &mut fields, &project.full_path).await?;
        }
    }
    if let Some(description) = changes.description {
        project.description = description;
    }
    checked_texts(&mut fields, &project.description, changes.topics.as_deref().unwrap_or_default());
    if let Some(visibility) = changes.visibility.filter(|visibility| *visibility != project.visibility) {
        access.also::<act::ChangeProjectVisibility>()?;
        let namespace =
            namespaces::find(&mut tx, project.namespace).await?.ok_or(Error::NotFound("Namespace"))?;
        if visibility > namespace.visibility {
            fields.add(
                "visibility_level",
                format!("{} is not allowed in a {} group", visibility.name(), namespace.visibility.name()),
            );
        }
        project.visibility = visibility;
    }
    project.repository_access = changes.repository_access.unwrap_or(project.repository_access);
    project.issues_access = changes.issues_access.unwrap_or(project.issues_access);
    project.container_registry_access =
        changes.container_registry_access.unwrap_or(project.container_registry_access);
    project.packages_access = changes.packages_access.unwrap_or(project.packages_access);
    project.merge_requests_access = changes.merge_requests_access.unwrap_or(project.merge_requests_access);
    project.merging = changes.merging.applied_to(project.merging);
    project.lfs = changes.lfs.unwrap_or(project.lfs);
    if let Some((allowed, quota)) = quota {
        allowed.again(forge, &mut tx).await?;
        project.container_quota_bytes = quota.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    if let Some(changes) = changes.cleanup_policy {
        access.also::<act::AdministerContainerRules>()?;
        let policy = cleanup::changed(project.cleanup_policy.as_ref(), changes, now);
        if policy.enabled && policy.name_regex.is_none() {
            fields.add("container_expiration_policy.name_regex", "can't be blank");
        }
        project.cleanup_policy = Some(policy);
    }
    let branch = changes.default_branch.filter(|branch| *branch != project.default_branch);
    if let Some(branch) = &branch {
        checked_branch(&mut fields, branch);
        if !project.empty
            && !forge
                .git()
                .branches(project.id.0)
                .await?
                .iter()
                .any(|known| known.name.branch() == Some(branch))
        {
            fields.add("default_branch", "does not exist");
        }
        project.default_branch = branch.clone();
    }
    fields.finish()?;
    projects::update(&mut tx, &project, now).await.map_err(taken)?;
    if before.packages_access != project.packages_access {
        projects::set_packages_access(&mut tx, project.id, project.packages_access).await?;
    }
    if before.lfs != project.lfs {
        projects::set_lfs(&mut tx, project.id, project.lfs, now).await?;
    }
    if (before.merge_requests_access, before.merging) != (project.merge_requests_access, project.merging) {
        projects::set_merging(&mut tx, &project, now).await?;
    }
    if let Some(policy) =
        project.cleanup_policy.as_ref().filter(|_| before.cleanup_policy != project.cleanup_policy)
    {
        container_cleanup_policies::set(&mut tx, project.id, policy, now).await?;
    }
    if let Some(topics) = &changes.topics {
        projects::set_topics(&mut tx, project.id, topics).await?;
    }
    let changed = json!({
        "name": (before.name != project.name).then_some([&before.name, &project.name]),
        "path": (before.full_path != project.full_path).then_some([&before.full_path, &project.full_path]),
        "visibility": (before.visibility != project.visibility)
            .then_some([before.visibility.name(), project.visibility.name()]),
        "default_branch": (before.default_branch != project.default_branch)
            .then_some([&before.default_branch, &project.default_branch]),
        "repository_access": (before.repository_access != project.repository_access)
            .then_some([before.repository_access.name(), project.repository_access.name()]),
        "issues_access": (before.issues_access != project.issues_access)
            .then_some([before.issues_access.name(), project.issues_access.name()]),
        "container_registry_access": (before.container_registry_access != project.container_registry_access)
            .then_some([before.container_registry_access.name(), project.container_registry_access.name()]),
        "packages_access": (before.packages_access != project.packages_access)
            .then_some([before.packages_access.name(), project.packages_access.name()]),
        "merge_requests_access": (before.merge_requests_access != project.merge_requests_access)
            .then_some([before.merge_requests_access.name(), project.merge_requests_access.name()]),
        "merging": (before.merging != project.merging)
            .then(|| [merging_in_words(&before.merging), merging_in_words(&project.merging)]),
        "lfs_enabled": (before.lfs != project.lfs).then_some([before.lfs, project.lfs]),
        "container_registry_quota_bytes": (before.container_quota_bytes != project.container_quota_bytes)
            .then_some([before.container_quota_bytes, project.container_quota_bytes]),
        "container_expiration_policy": project.cleanup_policy.as_ref()
            .filter(|_| before.cleanup_policy != project.cleanup_policy).map(cleanup::in_words),
    });
    let entry = Entry::project(project.id, &project.full_path, "project_updated").details(changed);
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    if let Some(branch) = &branch {
        forge.git().set_default_branch(project.id.0, branch).await?;
    }
    tx.commit().await?;
    details(forge, &access).await
}

/// Makes a project read-only, or writable again.
///
/// # Errors
/// The database's.
pub async fn set_archived(
    forge: &Forge,
    access: &Authorized<act::ArchiveProject>,
    archived: bool,
) -> Result<ProjectDetails, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    projects::set_archived(&mut tx, access.project(), archived, now).await?;
    let event = if archived { "project_archived" } else { "project_unarchived" };
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    details(forge, &access).await
}

/// Deletes a project: it is gone for everybody at once, its bots end in the same transaction, and a job removes
/// repository and records.
///
/// # Errors
/// The database's.
pub async fn delete(forge: &Forge, access: &Authorized<act::DeleteProject>) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let by = access.viewer().identity().map(|identity| identity.user);
    end(forge, &mut tx, access.project(), by).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "project_deleted");
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Hides a project and ends its bots, in the caller's transaction.
pub(crate) async fn end(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    by: Option<UserId>,
) -> Result<(), Error> {
    let now = forge.now();
    if projects::request_deletion(tx, project, now).await? {
        for bot in users::bots_of_project(tx, project).await? {
            credentials::end_bot(forge, tx, bot, by).await?;
        }
        jobs::ask(tx, &Job::DeleteProject { project }, now).await?;
    }
    Ok(())
}
