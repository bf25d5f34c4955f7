//! Image repositories: a project's root image, whose name is empty, and those below it.

use portcullis_rules::id::{ContainerRepositoryId, NamespaceId, ProjectId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// An image repository as recorded, with the path of its project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRepository {
    /// The id.
    pub id: ContainerRepositoryId,
    /// The project.
    pub project: ProjectId,
    /// The project's whole path.
    pub project_path: String,
    /// What stands behind the project's path; empty for the root image.
    pub name: String,
    /// When tags were last deleted in bulk by a person, in Unix microseconds.
    pub bulk_deleted_at: Option<i64>,
    /// When the cleanup policy last began to work on it.
    pub cleanup_started_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

const COLUMNS: &str =
    "r.id, r.project_id, p.full_path, r.name, r.bulk_deleted_at, r.cleanup_started_at, r.created_at";

const FROM: &str = "container_repositories r JOIN projects p ON p.id = r.project_id";

fn read(row: &Row<'_>) -> Result<ContainerRepository, Error> {
    Ok(ContainerRepository {
        id: ContainerRepositoryId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        project_path: row.get(2)?,
        name: row.get(3)?,
        bulk_deleted_at: row.get(4)?,
        cleanup_started_at: row.get(5)?,
        created_at: row.get(6)?,
    })
}

statements! {
    ID = "SELECT id FROM container_repositories WHERE project_id = $1 AND name = $2";
    INSERT = "INSERT INTO container_repositories (project_id, name, created_at) VALUES ($1, $2, $3) \
        ON CONFLICT (project_id, name) DO NOTHING RETURNING id";
    LOCK = "UPDATE container_repositories SET created_at = created_at WHERE id = $1";
    FIND_IN_PROJECT = "SELECT r.id, r.project_id, p.full_path, r.name, r.bulk_deleted_at, r.cleanup_started_at, r.created_at \
        FROM container_repositories r JOIN projects p ON p.id = r.project_id \
        WHERE r.id = $1 AND r.project_id = $2 AND r.deletion_requested_at IS NULL";
    PROJECT_OF = "SELECT project_id FROM container_repositories WHERE id = $1 AND deletion_requested_at IS NULL";
    ALL_OF_PROJECT = "SELECT r.id, r.project_id, p.full_path, r.name, r.bulk_deleted_at, r.cleanup_started_at, r.created_at \
        FROM container_repositories r JOIN projects p ON p.id = r.project_id \
        WHERE r.project_id = $1 AND r.deletion_requested_at IS NULL ORDER BY r.id";
    IDS_IN_PROJECT = "SELECT id FROM container_repositories WHERE project_id = $1 ORDER BY id";
    IDS_AFTER = "SELECT id FROM container_repositories WHERE id > $1 ORDER BY id LIMIT $2";
    DELETE_MANIFESTS = "DELETE FROM container_manifests WHERE id IN \
        (SELECT id FROM container_manifests WHERE repository_id = $1 ORDER BY id LIMIT $2)";
    REQUEST_DELETION = "UPDATE container_repositories SET deletion_requested_at = $2, \
        name = name || '/-deleted-' || CAST(id AS TEXT) WHERE id = $1 AND deletion_requested_at IS NULL";
    DELETE = "DELETE FROM container_repositories WHERE id = $1 AND deletion_requested_at IS NOT NULL";
    CLAIM_BULK_DELETION = "UPDATE container_repositories SET bulk_deleted_at = $2 WHERE id = $1 \
        AND (bulk_deleted_at IS NULL OR bulk_deleted_at <= $3)";
    SET_CLEANUP_STARTED = "UPDATE container_repositories SET cleanup_started_at = $2 WHERE id = $1";
    CATALOG = "SELECT lower(p.full_path) || CASE WHEN r.name = '' THEN '' ELSE '/' || r.name END \
        FROM container_repositories r JOIN projects p ON p.id = r.project_id \
        WHERE r.deletion_requested_at IS NULL AND p.deletion_requested_at IS NULL";
    SHADOWED = "SELECT p.full_path, r.name FROM container_repositories r JOIN projects p ON p.id = r.project_id \
        WHERE lower(p.full_path) IN ($1, $2) AND r.deletion_requested_at IS NULL AND p.deletion_requested_at IS NULL";
}

/// Returns the id of an image of a project.
///
/// # Errors
/// The database's.
pub async fn id_of(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
) -> Result<Option<ContainerRepositoryId>, Error> {
    let id = tx.one(&ID, &[V::from(project.0), V::from(image)], |row| row.get(0)).await?;
    Ok(id.map(ContainerRepositoryId))
}

/// Returns the id of an image of a project, which is made if it is not there, and locks it until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn ensure(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    now: i64,
) -> Result<ContainerRepositoryId, Error> {
    let made = tx.one(&INSERT, &[V::from(project.0), V::from(image), V::from(now)], |row| row.get(0)).await?;
    if let Some(id) = made {
        return Ok(ContainerRepositoryId(id));
    }
    let id = id_of(tx, project, image).await?;
    let id = id.ok_or_else(|| Error::Corrupt("an image repository is there and is not".to_owned()))?;
    lock(tx, id).await?;
    Ok(id)
}

/// Locks a repository until the transaction ends, so that what a manifest names cannot go while it is being added.
/// Returns whether there is such a repository.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, id: ContainerRepositoryId) -> Result<bool, Error> {
    Ok(tx.run(&LOCK, &[V::from(id.0)]).await? > 0)
}

/// Returns a repository of a project.
///
/// # Errors
/// The database's.
pub async fn find_in_project(
    tx: &mut Tx,
    project: ProjectId,
    id: ContainerRepositoryId,
) -> Result<Option<ContainerRepository>, Error> {
    tx.one(&FIND_IN_PROJECT, &[V::from(id.0), V::from(project.0)], read).await
}

/// Returns the project that a repository belongs to.
///
/// # Errors
/// The database's.
pub async fn project_of(tx: &mut Tx, id: ContainerRepositoryId) -> Result<Option<ProjectId>, Error> {
    Ok(tx.one(&PROJECT_OF, &[V::from(id.0)], |row| row.get(0)).await?.map(ProjectId))
}

/// Returns every repository of a project, by id.
///
/// # Errors
/// The database's.
pub async fn all_of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<ContainerRepository>, Error> {
    tx.all(&ALL_OF_PROJECT, &[V::from(project.0)], read).await
}

/// Returns the ids of every repository of a project, hidden ones too.
///
/// # Errors
/// The database's.
pub async fn ids_in_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<ContainerRepositoryId>, Error> {
    tx.all(&IDS_IN_PROJECT, &[V::from(project.0)], |row| Ok(ContainerRepositoryId(row.get(0)?))).await
}

/// Returns up to `limit` ids of repositories behind `after`, hidden ones too.
///
/// # Errors
/// The database's.
pub async fn ids_after(
    tx: &mut Tx,
    after: ContainerRepositoryId,
    limit: i64,
) -> Result<Vec<ContainerRepositoryId>, Error> {
    let params = [V::from(after.0), V::from(limit)];
    tx.all(&IDS_AFTER, &params, |row| Ok(ContainerRepositoryId(row.get(0)?))).await
}

/// Whose repositories are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoriesOf {
    /// A project's.
    Project(ProjectId),
    /// Those of all projects in a group or below, where the registry is on. A role on the group counts in each of them.
    Group(NamespaceId),
}

/// Returns repositories, by id.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    of: RepositoriesOf,
    window: Window,
) -> Result<Listing<ContainerRepository>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("r.deletion_requested_at IS NULL", []);
    match of {
        RepositoriesOf::Project(project) => conditions.and("r.project_id = ?", [project.0.into()]),
        RepositoriesOf::Group(group) => {
            conditions
                .and("p.deletion_requested_at IS NULL AND p.container_registry_access <> 'disabled'", []);
            conditions.and(
                "p.namespace_id IN (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = ?)",
                [group.0.into()],
            );
        }
    }
    conditions.list(tx, COLUMNS, FROM, "r.id", window, read).await
}

/// Hides a repository and frees its name, before the job that deletes it. Returns whether it was there.
///
/// # Errors
/// The database's.
pub async fn request_deletion(tx: &mut Tx, id: ContainerRepositoryId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&REQUEST_DELETION, &[V::from(id.0), V::from(now)]).await? > 0)
}

/// Deletes up to `limit` manifests of a repository, with their tags, so that its own deletion is short. Returns how many
/// there were.
///
/// # Errors
/// The database's.
pub async fn delete_manifests(tx: &mut Tx, id: ContainerRepositoryId, limit: i64) -> Result<u64, Error> {
    tx.run(&DELETE_MANIFESTS, &[V::from(id.0), V::from(limit)]).await
}

/// Deletes a hidden repository with all that is in it.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: ContainerRepositoryId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(id.0)]).await?;
    Ok(())
}

/// Notes that tags are being deleted in bulk, unless they were since `before`. Returns whether it may go on.
///
/// # Errors
/// The database's.
pub async fn claim_bulk_deletion(
    tx: &mut Tx,
    id: ContainerRepositoryId,
    before: i64,
    now: i64,
) -> Result<bool, Error> {
    Ok(tx.run(&CLAIM_BULK_DELETION, &[V::from(id.0), V::from(now), V::from(before)]).await? > 0)
}

/// Records when the cleanup policy began to work on a repository.
///
/// # Errors
/// The database's.
pub async fn set_cleanup_started(tx: &mut Tx, id: ContainerRepositoryId, now: i64) -> Result<(), Error> {
    tx.run(&SET_CLEANUP_STARTED, &[V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Returns the names of all repositories of the instance, sorted by their bytes: for administrators alone.
///
/// # Errors
/// The database's.
pub async fn catalog(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = tx.all(&CATALOG, &[], |row| row.get(0)).await?;
    names.sort_unstable();
    Ok(names)
}

/// Returns the image of another project that a project at `path` would hide, if there is one.
///
/// # Errors
/// The database's.
pub async fn hidden_by(tx: &mut Tx, path: &str) -> Result<Option<String>, Error> {
    let path = path.to_ascii_lowercase();
    let above = |path: &str| path.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned());
    let parent = above(&path);
    let grandparent = above(&parent);
    let map = |row: &Row<'_>| Ok((row.get::<String>(0)?, row.get::<String>(1)?));
    let images = tx.all(&SHADOWED, &[V::from(&parent), V::from(&grandparent)], map).await?;
    let names =
        images.into_iter().map(|(project, image)| format!("{}/{image}", project.to_ascii_lowercase()));
    Ok(names.into_iter().find(|name| *name == path || name.starts_with(&format!("{path}/"))))
}
