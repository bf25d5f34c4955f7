//! Projects.

use portcullis_rules::access::{FeatureAccess, ResourceFacts, Role, Visibility};
use portcullis_rules::id::{NamespaceId, ProjectId, UserId};
use portcullis_rules::merging::{MergeMethod, SquashOption};
use portcullis_rules::names::IdOrPath;

use crate::audience::{Audience, MEMBER_PROJECTS};
use crate::container_cleanup_policies::{self as cleanup_policies, CleanupPolicy};
use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Paging, Window};

/// A project as recorded, with what is shown of its namespace.
#[derive(Clone, Debug)]
pub struct Project {
    /// The id.
    pub id: ProjectId,
    /// The namespace it is in.
    pub namespace: NamespaceId,
    /// The namespace's name.
    pub namespace_name: String,
    /// The namespace's own path segment.
    pub namespace_path: String,
    /// The namespace's whole path.
    pub namespace_full_path: String,
    /// The namespace's parent.
    pub namespace_parent: Option<NamespaceId>,
    /// The person whose own namespace it is in.
    pub namespace_owner: Option<UserId>,
    /// Who made it.
    pub creator: UserId,
    /// The name people read.
    pub name: String,
    /// Its own path segment.
    pub path: String,
    /// The whole path.
    pub full_path: String,
    /// What it is for.
    pub description: String,
    /// Who can see it.
    pub visibility: Visibility,
    /// The branch that HEAD names.
    pub default_branch: String,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// Who may use the repository.
    pub repository_access: FeatureAccess,
    /// Who may use the issue tracker.
    pub issues_access: FeatureAccess,
    /// Whether no branch has arrived yet.
    pub empty: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// When something last happened in it, in Unix microseconds.
    pub last_activity_at: i64,
    /// When it was made.
    pub created_at: i64,
    /// When its settings last changed.
    pub updated_at: i64,
    /// Who may use the container registry.
    pub container_registry_access: FeatureAccess,
    /// Who may use its packages.
    pub packages_access: FeatureAccess,
    /// Who may use its merge requests.
    pub merge_requests_access: FeatureAccess,
    /// How its branches are merged.
    pub merging: Merging,
    /// Whether it may have large files of Git (LFS), as far as its top-level group lets it.
    pub lfs: bool,
    /// How many bytes its images, uploads and packages may take; `None` is no limit.
    pub container_quota_bytes: Option<i64>,
    /// What is deleted from its images from time to time; `None` when that was never set.
    pub cleanup_policy: Option<CleanupPolicy>,
    /// How many issues are open; confidential ones are not counted, because everybody sees the number.
    pub open_issues: i64,
}

/// How the branches of a project are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// What merging makes.
    pub method: MergeMethod,
    /// Whether the commits of a merge request become one.
    pub squash: SquashOption,
    /// Whether the source branch of a merge request goes with merging, unless it is asked for otherwise.
    pub removes_source_branch: bool,
    /// Whether issues that a merge request names are closed with it.
    pub closes_issues: bool,
    /// Whether nothing is merged unless the statuses of its last commit are there and good.
    pub needs_success: bool,
    /// Whether a status that was skipped is good.
    pub skipped_is_success: bool,
    /// Whether nothing is merged before its discussions are resolved.
    pub needs_resolved_discussions: bool,
}

fn read_merging(row: &Row<'_>, at: usize) -> Result<Merging, Error> {
    let method = row.text(at)?;
    let squash = row.text(at + 1)?;
    Ok(Merging {
        method: MergeMethod::from_name(method)
            .ok_or_else(|| Error::Corrupt(format!("projects.merge_method is {method}")))?,
        squash: SquashOption::from_name(squash)
            .ok_or_else(|| Error::Corrupt(format!("projects.squash_option is {squash}")))?,
        removes_source_branch: row.get::<Option<i64>>(at + 2)?.is_none(),
        closes_issues: row.get::<Option<i64>>(at + 3)?.is_none(),
        needs_success: row.get::<Option<i64>>(at + 4)?.is_some(),
        skipped_is_success: row.get::<Option<i64>>(at + 5)?.is_some(),
        needs_resolved_discussions: row.get::<Option<i64>>(at + 6)?.is_some(),
    })
}

const COLUMNS: &str = "p.id, p.namespace_id, n.name, n.path, n.full_path, n.parent_id, n.owner_id, p.creator_id, p.name, \
     p.path, p.full_path, p.description, p.visibility, p.default_branch, p.object_format, p.repository_access, \
     p.issues_access, p.first_pushed_at, p.archived_at, p.last_activity_at, p.created_at, p.updated_at, \
     (SELECT COUNT(*) FROM issues i WHERE i.project_id = p.id AND i.closed_at IS NULL AND i.confidential_at IS NULL), \
     p.container_registry_access, p.container_quota_bytes, \
     c.enabled_at, c.cadence, c.keep_n, c.older_than, c.name_regex, c.name_regex_keep, c.next_run_at, p.packages_access, \
     p.merge_requests_access, p.merge_method, p.squash_option, p.source_branches_kept_since, p.autoclose_off_since, \
     p.merge_needs_success_since, p.merge_after_skipped_since, p.merge_needs_resolved_since, p.lfs_off_since";

const FROM: &str = "projects p JOIN namespaces n ON n.id = p.namespace_id \
     LEFT JOIN container_cleanup_policies c ON c.project_id = p.id";

fn visibility(level: i64) -> Result<Visibility, Error> {
    Visibility::from_level(level).ok_or_else(|| Error::Corrupt(format!("projects.visibility is {level}")))
}

fn feature(word: &str) -> Result<FeatureAccess, Error> {
    FeatureAccess::from_name(word)
        .ok_or_else(|| Error::Corrupt(format!("a project's feature access is {word}")))
}

fn read(row: &Row<'_>) -> Result<Project, Error> {
    Ok(Project {
        id: ProjectId(row.get(0)?),
        namespace: NamespaceId(row.get(1)?),
        namespace_name: row.get(2)?,
        namespace_path: row.get(3)?,
        namespace_full_path: row.get(4)?,
        namespace_parent: row.get::<Option<i64>>(5)?.map(NamespaceId),
        namespace_owner: row.get::<Option<i64>>(6)?.map(UserId),
        creator: UserId(row.get(7)?),
        name: row.get(8)?,
        path: row.get(9)?,
        full_path: row.get(10)?,
        description: row.get(11)?,
        visibility: visibility(row.get(12)?)?,
        default_branch: row.get(13)?,
        object_format: row.get(14)?,
        repository_access: feature(row.text(15)?)?,
        issues_access: feature(row.text(16)?)?,
        empty: row.get::<Option<i64>>(17)?.is_none(),
        archived: row.get::<Option<i64>>(18)?.is_some(),
        last_activity_at: row.get(19)?,
        created_at: row.get(20)?,
        updated_at: row.get(21)?,
        open_issues: row.get(22)?,
        container_registry_access: feature(row.text(23)?)?,
        container_quota_bytes: row.get(24)?,
        cleanup_policy: cleanup_policies::read(row, 25)?,
        packages_access: feature(row.text(32)?)?,
        merge_requests_access: feature(row.text(33)?)?,
        merging: read_merging(row, 34)?,
        lfs: row.get::<Option<i64>>(41)?.is_none(),
    })
}

statements! {
    INSERT = "INSERT INTO projects (namespace_id, creator_id, name, path, full_path, description, visibility, default_branch, \
        object_format, repository_access, issues_access, last_issue_iid, last_activity_at, created_at, updated_at, \
        container_registry_access) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $12, $12, $13) RETURNING id";
    FIND = "SELECT p.id, p.namespace_id, n.name, n.path, n.full_path, n.parent_id, n.owner_id, p.creator_id, p.name, \
        p.path, p.full_path, p.description, p.visibility, p.default_branch, p.object_format, p.repository_access, \
        p.issues_access, p.first_pushed_at, p.archived_at, p.last_activity_at, p.created_at, p.updated_at, \
        (SELECT COUNT(*) FROM issues i WHERE i.project_id = p.id AND i.closed_at IS NULL AND i.confidential_at IS NULL), \
        p.container_registry_access, p.container_quota_bytes, \
        c.enabled_at, c.cadence, c.keep_n, c.older_than, c.name_regex, c.name_regex_keep, c.next_run_at, p.packages_access, \
     p.merge_requests_access, p.merge_method, p.squash_option, p.source_branches_kept_since, p.autoclose_off_since, \
     p.merge_needs_success_since, p.merge_after_skipped_since, p.merge_needs_resolved_since, p.lfs_off_since \
        FROM projects p JOIN namespaces n ON n.id = p.namespace_id \
        LEFT JOIN container_cleanup_policies c ON c.project_id = p.id WHERE p.id = $1 AND p.deletion_requested_at IS NULL";
    FACTS_BY_ID = "SELECT p.id, p.full_path, p.visibility, p.repository_access, p.issues_access, p.archived_at, \
        (SELECT MAX(m.access_level) FROM members m WHERE m.project_id = p.id AND m.user_id = $2 \
          AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        (SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
          WHERE a.descendant_id = p.namespace_id AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        p.container_registry_access, p.packages_access, p.merge_requests_access, p.namespace_id FROM projects p WHERE p.id = $1 AND p.deletion_requested_at IS NULL";
    FACTS_BY_PATH = "SELECT p.id, p.full_path, p.visibility, p.repository_access, p.issues_access, p.archived_at, \
        (SELECT MAX(m.access_level) FROM members m WHERE m.project_id = p.id AND m.user_id = $2 \
          AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        (SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
          WHERE a.descendant_id = p.namespace_id AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        p.container_registry_access, p.packages_access, p.merge_requests_access, p.namespace_id FROM projects p WHERE lower(p.full_path) = $1 AND p.deletion_requested_at IS NULL";
    UPDATE = "UPDATE projects SET name = $2, description = $3, visibility = $4, default_branch = $5, repository_access = $6, \
        issues_access = $7, path = $8, full_path = $9, updated_at = $10, container_registry_access = $11, \
        container_quota_bytes = $12 WHERE id = $1";
    FACTS_BY_IMAGE = "SELECT p.id, p.full_path, p.visibility, p.repository_access, p.issues_access, p.archived_at, \
        (SELECT MAX(m.access_level) FROM members m WHERE m.project_id = p.id AND m.user_id = $2 \
          AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        (SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
          WHERE a.descendant_id = p.namespace_id AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > $3)), \
        p.container_registry_access, p.packages_access, p.merge_requests_access, p.namespace_id FROM projects p WHERE lower(p.full_path) IN ($1, $4, $5) \
        AND p.deletion_requested_at IS NULL ORDER BY length(p.full_path) DESC LIMIT 1";
    SET_ARCHIVED = "UPDATE projects SET archived_at = $2, updated_at = $3 WHERE id = $1";
    SET_PACKAGES_ACCESS = "UPDATE projects SET packages_access = $2 WHERE id = $1";
    SET_LFS = "UPDATE projects SET lfs_off_since = $2 WHERE id = $1";
    SET_DEFAULT_BRANCH = "UPDATE projects SET default_branch = $2 WHERE id = $1";
    RECORD_PUSH = "UPDATE projects SET first_pushed_at = COALESCE(first_pushed_at, $2), last_activity_at = $3 WHERE id = $1";
    RECORD_ACTIVITY = "UPDATE projects SET last_activity_at = $2 WHERE id = $1";
    LOCK = "UPDATE projects SET updated_at = updated_at WHERE id = $1 AND deletion_requested_at IS NULL";
    NEXT_ISSUE = "UPDATE projects SET last_issue_iid = last_issue_iid + 1, last_activity_at = $2 WHERE id = $1 \
        AND deletion_requested_at IS NULL RETURNING last_issue_iid";
    NEXT_MILESTONE = "UPDATE projects SET last_milestone_iid = last_milestone_iid + 1, last_activity_at = $2 \
        WHERE id = $1 AND deletion_requested_at IS NULL RETURNING last_milestone_iid";
    NEXT_MERGE_REQUEST = "UPDATE projects SET last_merge_request_iid = last_merge_request_iid + 1, last_activity_at = $2 \
        WHERE id = $1 AND deletion_requested_at IS NULL RETURNING last_merge_request_iid";
    SET_MERGING = "UPDATE projects SET merge_requests_access = $2, merge_method = $3, squash_option = $4, \
        source_branches_kept_since = $5, autoclose_off_since = $6, merge_needs_success_since = $7, \
        merge_after_skipped_since = $8, merge_needs_resolved_since = $9 WHERE id = $1";
    REQUEST_DELETION = "UPDATE projects SET deletion_requested_at = $2, \
        full_path = full_path || '/-deleted-' || CAST(id AS TEXT) WHERE id = $1 AND deletion_requested_at IS NULL";
    DELETE = "DELETE FROM projects WHERE id = $1 AND deletion_requested_at IS NOT NULL";
    COUNT = "SELECT COUNT(*) FROM projects WHERE deletion_requested_at IS NULL";
    EVERY_ID_AFTER = "SELECT id FROM projects WHERE id > $1 AND deletion_requested_at IS NULL ORDER BY id LIMIT 100";
    TOPICS = "SELECT topic FROM project_topics WHERE project_id = $1 ORDER BY position";
    DELETE_TOPICS = "DELETE FROM project_topics WHERE project_id = $1";
    INSERT_TOPIC = "INSERT INTO project_topics (project_id, position, topic) VALUES ($1, $2, $3)";
}

/// A project to be recorded.
#[derive(Clone, Debug)]
pub struct NewProject<'a> {
    /// The namespace it goes into.
    pub namespace: NamespaceId,
    /// Who makes it.
    pub creator: UserId,
    /// The name people read.
    pub name: &'a str,
    /// Its own segment.
    pub path: &'a str,
    /// The whole path.
    pub full_path: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// Who can see it.
    pub visibility: Visibility,
    /// The branch HEAD will name.
    pub default_branch: &'a str,
    /// `sha1` or `sha256`.
    pub object_format: &'a str,
    /// Who may use the repository.
    pub repository_access: FeatureAccess,
    /// Who may use the issue tracker.
    pub issues_access: FeatureAccess,
    /// Who may use the container registry.
    pub container_registry_access: FeatureAccess,
}

/// Records a project.
///
/// # Errors
/// [`Error::Unique`] when the path is taken.
pub async fn insert(tx: &mut Tx, new: &NewProject<'_>, now: i64) -> Result<ProjectId, Error> {
    let params = [
        V::from(new.namespace.0),
        V::from(new.creator.0),
        V::from(new.name),
        V::from(new.path),
        V::from(new.full_path),
        V::from(new.description),
        V::from(new.visibility.level()),
        V::from(new.default_branch),
        V::from(new.object_format),
        V::from(new.repository_access.name()),
        V::from(new.issues_access.name()),
        V::from(now),
        V::from(new.container_registry_access.name()),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ProjectId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, id: ProjectId) -> Result<Option<Project>, Error> {
    tx.one(&FIND, &[V::from(id.0)], read).await
}

/// What an access decision needs to know about a project, for one user.
#[derive(Clone, Debug)]
pub struct ProjectFacts {
    /// The id.
    pub id: ProjectId,
    /// The whole path.
    pub full_path: String,
    /// The namespace it is in.
    pub namespace: NamespaceId,
    /// The user's highest living role through the project itself.
    pub project_role: Option<Role>,
    /// The user's highest living role through its namespaces.
    pub namespace_role: Option<Role>,
    /// The rest.
    pub facts: ResourceFacts,
}

fn read_facts(row: &Row<'_>) -> Result<ProjectFacts, Error> {
    let project_role = row.get::<Option<i64>>(6)?.and_then(Role::from_level);
    let namespace_role = row.get::<Option<i64>>(7)?.and_then(Role::from_level);
    Ok(ProjectFacts {
        id: ProjectId(row.get(0)?),
        full_path: row.get(1)?,
        namespace: NamespaceId(row.get(11)?),
        project_role,
        namespace_role,
        facts: ResourceFacts {
            visibility: visibility(row.get(2)?)?,
            role: project_role.max(namespace_role),
            archived: row.get::<Option<i64>>(5)?.is_some(),
            repository: feature(row.text(3)?)?,
            issues: feature(row.text(4)?)?,
            container_registry: feature(row.text(8)?)?,
            packages: feature(row.text(9)?)?,
            merge_requests: feature(row.text(10)?)?,
        },
    })
}

/// Returns the facts about a project for `user` at `now`; without a user there is no role.
///
/// # Errors
/// The database's.
pub async fn find_facts(
    tx: &mut Tx,
    project: &IdOrPath,
    user: Option<UserId>,
    now: i64,
) -> Result<Option<ProjectFacts>, Error> {
    let user = V::from(user.map(|user| user.0));
    match project {
        IdOrPath::Id(id) => tx.one(&FACTS_BY_ID, &[V::from(*id), user, V::from(now)], read_facts).await,
        IdOrPath::Path(path) => {
            tx.one(&FACTS_BY_PATH, &[V::from(path.as_str()), user, V::from(now)], read_facts).await
        }
    }
}

/// Returns the facts about the project that an image belongs to: of the paths that begin with a project's, the longest.
/// An image is at most two components below its project.
///
/// # Errors
/// The database's.
pub async fn find_facts_by_image(
    tx: &mut Tx,
    image: &str,
    user: Option<UserId>,
    now: i64,
) -> Result<Option<ProjectFacts>, Error> {
    let above = |path: &str| path.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned());
    let parent = above(image);
    let grandparent = above(&parent);
    let user = V::from(user.map(|user| user.0));
    let params = [V::from(image), user, V::from(now), V::from(&parent), V::from(&grandparent)];
    tx.one(&FACTS_BY_IMAGE, &params, read_facts).await
}

/// Records changed settings.
///
/// # Errors
/// [`Error::Unique`] when the new path is taken.
pub async fn update(tx: &mut Tx, project: &Project, now: i64) -> Result<(), Error> {
    let params = [
        V::from(project.id.0),
        V::from(&project.name),
        V::from(&project.description),
        V::from(project.visibility.level()),
        V::from(&project.default_branch),
        V::from(project.repository_access.name()),
        V::from(project.issues_access.name()),
        V::from(&project.path),
        V::from(&project.full_path),
        V::from(now),
        V::from(project.container_registry_access.name()),
        V::from(project.container_quota_bytes),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Takes the next number of a merge request in a project; nothing when the project is gone.
///
/// # Errors
/// The database's.
pub async fn next_merge_request_iid(tx: &mut Tx, id: ProjectId, now: i64) -> Result<Option<i64>, Error> {
    tx.one(&NEXT_MERGE_REQUEST, &[V::from(id.0), V::from(now)], |row| row.get(0)).await
}

/// Records who may use a project's merge requests, and how its branches are merged.
///
/// # Errors
/// The database's.
pub async fn set_merging(tx: &mut Tx, project: &Project, now: i64) -> Result<(), Error> {
    let merging = &project.merging;
    let params = [
        V::from(project.id.0),
        V::from(project.merge_requests_access.name()),
        V::from(merging.method.name()),
        V::from(merging.squash.name()),
        V::from((!merging.removes_source_branch).then_some(now)),
        V::from((!merging.closes_issues).then_some(now)),
        V::from(merging.needs_success.then_some(now)),
        V::from(merging.skipped_is_success.then_some(now)),
        V::from(merging.needs_resolved_discussions.then_some(now)),
    ];
    tx.run(&SET_MERGING, &params).await?;
    Ok(())
}

/// Records who may use the packages of a project.
///
/// # Errors
/// The database's.
pub async fn set_packages_access(tx: &mut Tx, id: ProjectId, access: FeatureAccess) -> Result<(), Error> {
    tx.run(&SET_PACKAGES_ACCESS, &[V::from(id.0), V::from(access.name())]).await?;
    Ok(())
}

/// Records whether a project may have large files.
///
/// # Errors
/// The database's.
pub async fn set_lfs(tx: &mut Tx, id: ProjectId, on: bool, now: i64) -> Result<(), Error> {
    tx.run(&SET_LFS, &[V::from(id.0), V::from((!on).then_some(now))]).await?;
    Ok(())
}

/// Records whether a project is archived.
///
/// # Errors
/// The database's.
pub async fn set_archived(tx: &mut Tx, id: ProjectId, archived: bool, now: i64) -> Result<(), Error> {
    tx.run(&SET_ARCHIVED, &[V::from(id.0), V::from(archived.then_some(now)), V::from(now)]).await?;
    Ok(())
}

/// Records the branch that HEAD names.
///
/// # Errors
/// The database's.
pub async fn set_default_branch(tx: &mut Tx, id: ProjectId, branch: &str) -> Result<(), Error> {
    tx.run(&SET_DEFAULT_BRANCH, &[V::from(id.0), V::from(branch)]).await?;
    Ok(())
}

/// Records that something was pushed, and whether a branch was among it.
///
/// # Errors
/// The database's.
pub async fn record_push(tx: &mut Tx, id: ProjectId, branch: bool, now: i64) -> Result<(), Error> {
    tx.run(&RECORD_PUSH, &[V::from(id.0), V::from(branch.then_some(now)), V::from(now)]).await?;
    Ok(())
}

/// Records that something happened.
///
/// # Errors
/// The database's.
pub async fn record_activity(tx: &mut Tx, id: ProjectId, now: i64) -> Result<(), Error> {
    tx.run(&RECORD_ACTIVITY, &[V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Locks a project's row until the transaction ends, so that two transactions cannot both take the next free name
/// or number in it. Returns whether there is such a project.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, id: ProjectId) -> Result<bool, Error> {
    Ok(tx.run(&LOCK, &[V::from(id.0)]).await? > 0)
}

/// Takes the next issue number of a project.
///
/// # Errors
/// The database's.
pub async fn next_issue_iid(tx: &mut Tx, id: ProjectId, now: i64) -> Result<Option<i64>, Error> {
    tx.one(&NEXT_ISSUE, &[V::from(id.0), V::from(now)], |row| row.get(0)).await
}

/// Takes the next milestone number of a project.
///
/// # Errors
/// The database's.
pub async fn next_milestone_iid(tx: &mut Tx, id: ProjectId, now: i64) -> Result<Option<i64>, Error> {
    tx.one(&NEXT_MILESTONE, &[V::from(id.0), V::from(now)], |row| row.get(0)).await
}

/// Hides a project and frees its path, before the job that deletes it. Returns whether it was there.
///
/// # Errors
/// The database's.
pub async fn request_deletion(tx: &mut Tx, id: ProjectId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&REQUEST_DELETION, &[V::from(id.0), V::from(now)]).await? > 0)
}

/// Deletes a hidden project with all that belongs to it.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: ProjectId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(id.0)]).await?;
    Ok(())
}

/// Returns how many projects there are.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns up to 100 project ids above `after`.
///
/// # Errors
/// The database's.
pub async fn ids_after(tx: &mut Tx, after: i64) -> Result<Vec<i64>, Error> {
    tx.all(&EVERY_ID_AFTER, &[V::from(after)], |row| row.get(0)).await
}

/// Returns a project's topics.
///
/// # Errors
/// The database's.
pub async fn topics(tx: &mut Tx, id: ProjectId) -> Result<Vec<String>, Error> {
    tx.all(&TOPICS, &[V::from(id.0)], |row| row.get(0)).await
}

/// Returns the topics of several projects, in one question.
///
/// # Errors
/// The database's.
pub async fn topics_of(tx: &mut Tx, ids: &[i64]) -> Result<Vec<(i64, String)>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("t.project_id", ids);
    let window = Window { limit: 20 * 100, offset: 0 };
    let rows = conditions
        .list(tx, "t.project_id, t.topic", "project_topics t", "t.project_id, t.position", window, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .await?;
    Ok(rows.items)
}

/// What is said of a project beside its merge requests.
#[derive(Clone, Debug)]
pub struct MergePlace {
    /// Its id.
    pub project: ProjectId,
    /// Its whole path.
    pub full_path: String,
    /// How its branches are merged.
    pub merging: Merging,
}

/// Returns the paths of several projects and how their branches are merged, in one question.
///
/// # Errors
/// The database's.
pub async fn merge_places(tx: &mut Tx, ids: &[i64]) -> Result<Vec<MergePlace>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("p.id", ids);
    let columns = "p.id, p.full_path, p.merge_method, p.squash_option, p.source_branches_kept_since, \
        p.autoclose_off_since, p.merge_needs_success_since, p.merge_after_skipped_since, p.merge_needs_resolved_since";
    let window = Window { limit: 100, offset: 0 };
    let map = |row: &Row<'_>| {
        Ok(MergePlace {
            project: ProjectId(row.get(0)?),
            full_path: row.get(1)?,
            merging: read_merging(row, 2)?,
        })
    };
    Ok(conditions.list(tx, columns, "projects p", "p.id", window, map).await?.items)
}

/// Returns a user's roles on several projects, in one question: through the project itself, and through its namespaces.
///
/// # Errors
/// The database's.
pub async fn roles_of(
    tx: &mut Tx,
    user: UserId,
    ids: &[i64],
    now: i64,
) -> Result<Vec<(i64, Option<Role>, Option<Role>)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // The ids are our own numbers, so they can stand in the text.
    let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let query = crate::db::Query::new(format!(
        "SELECT p.id, (SELECT MAX(m.access_level) FROM members m WHERE m.project_id = p.id AND m.user_id = $1 \
         AND (m.expires_at IS NULL OR m.expires_at > $2)), \
         (SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
         WHERE a.descendant_id = p.namespace_id AND m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2)) \
         FROM projects p WHERE p.id IN ({list})"
    ));
    tx.all(&query, &[V::from(user.0), V::from(now)], |row| {
        let role = |level: Option<i64>| level.and_then(Role::from_level);
        Ok((row.get(0)?, role(row.get(1)?), role(row.get(2)?)))
    })
    .await
}

/// Replaces a project's topics.
///
/// # Errors
/// The database's.
pub async fn set_topics(tx: &mut Tx, id: ProjectId, topics: &[String]) -> Result<(), Error> {
    tx.run(&DELETE_TOPICS, &[V::from(id.0)]).await?;
    for (position, topic) in (0i64..).zip(topics) {
        tx.run(&INSERT_TOPIC, &[V::from(id.0), V::from(position), V::from(topic)]).await?;
    }
    Ok(())
}

/// What a list of projects is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProjectOrder {
    /// When it was made.
    #[default]
    Created,
    /// Its id.
    Id,
    /// Its name.
    Name,
    /// Its path.
    Path,
    /// When its settings changed.
    Updated,
    /// When something last happened in it.
    LastActivity,
}

/// What a list of projects is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct ProjectFilter {
    /// Only archived ones, or only others.
    pub archived: Option<bool>,
    /// Only this visibility.
    pub visibility: Option<Visibility>,
    /// Part of the name, path or description.
    pub search: Option<String>,
    /// Only with this topic.
    pub topic: Option<String>,
    /// Only those where this user has at least this role now.
    pub member: Option<(UserId, Role)>,
    /// Only those in this user's own namespace or with the role Owner.
    pub owned_by: Option<UserId>,
    /// Only directly in this namespace.
    pub namespace: Option<NamespaceId>,
    /// Only in this namespace or anywhere below.
    pub below: Option<NamespaceId>,
    /// Only with the issue tracker on.
    pub with_issues: bool,
    /// Only with merge requests on.
    pub with_merge_requests: bool,
    /// Only ids above this one.
    pub id_after: Option<i64>,
    /// Only ids below this one.
    pub id_before: Option<i64>,
    /// How pages are reached; by what stands last on each only when the order is that of ids.
    pub paging: Paging,
    /// The order.
    pub order: ProjectOrder,
    /// Smallest first.
    pub ascending: bool,
}

/// Returns the projects that `audience` can see.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    audience: Audience,
    filter: &ProjectFilter,
    window: Window,
    now: i64,
) -> Result<Listing<Project>, Error> {
    let mut conditions = Conditions::default();
    audience.narrow_projects(&mut conditions, now);
    match filter.archived {
        Some(true) => conditions.and("p.archived_at IS NOT NULL", []),
        Some(false) => conditions.and("p.archived_at IS NULL", []),
        None => {}
    }
    if let Some(visibility) = filter.visibility {
        conditions.and("p.visibility = ?", [visibility.level().into()]);
    }
    if let Some(search) = &filter.search {
        conditions.and_contains(&["p.name", "p.full_path", "p.description"], search);
    }
    if let Some(topic) = &filter.topic {
        conditions.and(
            "p.id IN (SELECT t.project_id FROM project_topics t WHERE t.topic = ?)",
            [topic.as_str().into()],
        );
    }
    if let Some((user, role)) = filter.member {
        let (user, now, level) = (user.0, now, role.level());
        let at_least = MEMBER_PROJECTS.replace("m.user_id = ?", "m.user_id = ? AND m.access_level >= ?");
        conditions
            .and(&at_least, [user.into(), level.into(), now.into(), user.into(), level.into(), now.into()]);
    }
    if let Some(user) = filter.owned_by {
        let (user, now, level) = (user.0, now, Role::Owner.level());
        let at_least = MEMBER_PROJECTS.replace("m.user_id = ?", "m.user_id = ? AND m.access_level >= ?");
        conditions
            .and(&at_least, [user.into(), level.into(), now.into(), user.into(), level.into(), now.into()]);
    }
    if let Some(namespace) = filter.namespace {
        conditions.and("p.namespace_id = ?", [namespace.0.into()]);
    }
    if let Some(namespace) = filter.below {
        conditions.and(
            "p.namespace_id IN (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = ?)",
            [namespace.0.into()],
        );
    }
    if filter.with_issues {
        conditions.and("p.issues_access <> 'disabled'", []);
    }
    if filter.with_merge_requests {
        conditions.and("p.merge_requests_access <> 'disabled'", []);
    }
    if let Some(id) = filter.id_after {
        conditions.and("p.id > ?", [id.into()]);
    }
    if let Some(id) = filter.id_before {
        conditions.and("p.id < ?", [id.into()]);
    }
    conditions.page(filter.paging, ("p.id", "p.id"), filter.ascending);
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let column = match filter.order {
        ProjectOrder::Created => "p.created_at",
        ProjectOrder::Id => "p.id",
        ProjectOrder::Name => "lower(p.name)",
        ProjectOrder::Path => "lower(p.path)",
        ProjectOrder::Updated => "p.updated_at",
        ProjectOrder::LastActivity => "p.last_activity_at",
    };
    let order = format!("{column} {direction}, p.id {direction}");
    conditions.list(tx, COLUMNS, FROM, &order, window, read).await
}
