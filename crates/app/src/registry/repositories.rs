//! Image repositories as the API shows them: listed, read, deleted.

use portcullis_rules::access::{Act, Denial, act, on};
use portcullis_rules::id::{ContainerRepositoryId, ProjectId};
use portcullis_rules::names::IdOrPath;
use portcullis_store::container_repositories::{self as table, ContainerRepository, RepositoriesOf};
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use portcullis_store::{blobs, container_rules, container_tags, projects};

use super::tag_rules::{self, Change};
use super::{Happening, image_name, is_offered, record, takes_changes};
use crate::Error;
use crate::access::{Authorized, Reading, Refused, Viewer, authorize_within};
use crate::forge::Forge;
use crate::jobs::{self, Job};

/// What is not there.
pub(super) const NOT_FOUND: Error = Error::NotFound("Container Repository");

/// How many tags of each repository a list names. The others are in the list of its tags.
const MAX_TAGS_NAMED: i64 = 1000;

/// How many manifests of a repository are deleted in one transaction.
const BATCH: i64 = 200;

/// What else is asked about a repository.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The names of its tags.
    pub tags: bool,
    /// How many tags it has.
    pub tags_count: bool,
    /// How many bytes it takes.
    pub size: bool,
}

/// A repository, with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryDetails {
    /// The repository.
    pub repository: ContainerRepository,
    /// The names of its tags.
    pub tags: Option<Vec<String>>,
    /// How many tags it has.
    pub tags_count: Option<i64>,
    /// How many bytes it takes; content that it has twice counts once.
    pub size: Option<i64>,
}

impl RepositoryDetails {
    /// Returns the whole name of the image.
    pub fn path(&self) -> String {
        image_name(&self.repository.project_path, &self.repository.name)
    }
}

/// Asks the rules whether `viewer` may do `A` in the project that a repository belongs to. A repository that does not
/// exist takes the branch of one in a project that is hidden.
///
/// # Errors
/// Only when the database could not be asked; a refusal is in the answer.
pub async fn authorize<A: Act<On = on::Project>>(
    forge: &Forge,
    reading: &mut Reading,
    viewer: &Viewer,
    id: Option<ContainerRepositoryId>,
) -> Result<Result<Authorized<A>, Refused>, Error> {
    // What is refused wherever it is stays so, and nothing is looked up for it.
    if let Err(refused) = authorize_within::<A>(forge, reading, viewer.clone(), None).await?
        && matches!(refused.denial, Denial::SignInFirst | Denial::MissingScope(_))
    {
        return Ok(Err(refused));
    }
    let project = match id {
        Some(id) => table::project_of(reading.tx(forge).await?, id).await?,
        None => None,
    };
    let reference = project.map(|project| IdOrPath::Id(project.0));
    authorize_within::<A>(forge, reading, viewer.clone(), reference).await
}

/// Returns the repositories of a project.
///
/// # Errors
/// The database's.
pub async fn list_of_project(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    wanted: Wanted,
    window: Window,
) -> Result<Listing<RepositoryDetails>, Error> {
    list(forge, RepositoriesOf::Project(access.project()), wanted, window).await
}

/// Returns the repositories of all projects in a group and below.
///
/// # Errors
/// The database's.
pub async fn list_of_group(
    forge: &Forge,
    access: &Authorized<act::ReadGroupContainerRepositories>,
    window: Window,
) -> Result<Listing<RepositoryDetails>, Error> {
    list(forge, RepositoriesOf::Group(access.namespace().id), Wanted::default(), window).await
}

async fn list(
    forge: &Forge,
    of: RepositoriesOf,
    wanted: Wanted,
    window: Window,
) -> Result<Listing<RepositoryDetails>, Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    let found = table::list(&mut tx, of, window).await?;
    let items = with_details(&mut tx, found.items, wanted).await?;
    Ok(Listing { items, total: found.total })
}

/// Adds what was asked for, with one question for all of them.
async fn with_details(
    tx: &mut Tx,
    repositories: Vec<ContainerRepository>,
    wanted: Wanted,
) -> Result<Vec<RepositoryDetails>, Error> {
    let ids: Vec<_> = repositories.iter().map(|repository| repository.id).collect();
    let counts = if wanted.tags_count { container_tags::counts_of(tx, &ids).await? } else { Vec::new() };
    let names = if wanted.tags {
        container_tags::first_names_of(tx, &ids, MAX_TAGS_NAMED).await?
    } else {
        Vec::new()
    };
    let details = repositories.into_iter().map(|repository| {
        let id = repository.id;
        let count = counts.iter().find(|(of, _)| *of == id).map_or(0, |(_, count)| *count);
        let first = names.partition_point(|(of, _)| *of < id);
        let own = names[first..].iter().take_while(|(of, _)| *of == id).map(|(_, name)| name.clone());
        RepositoryDetails {
            tags: wanted.tags.then(|| own.collect()),
            tags_count: wanted.tags_count.then_some(count),
            size: None,
            repository,
        }
    });
    Ok(details.collect())
}

/// A repository as people see it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryOverview {
    /// The repository.
    pub repository: ContainerRepository,
    /// How many tags it has.
    pub tags: i64,
    /// How many bytes it takes; content that it has twice counts once.
    pub size: i64,
    /// When a tag was last pushed to it, in Unix microseconds.
    pub pushed_at: Option<i64>,
}

impl RepositoryOverview {
    /// Returns the whole name of the image.
    pub fn path(&self) -> String {
        image_name(&self.repository.project_path, &self.repository.name)
    }
}

/// Returns the repositories of a project with what is in them, with one question for each thing and not for each
/// repository.
///
/// # Errors
/// The database's.
pub async fn overview(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    window: Window,
) -> Result<Listing<RepositoryOverview>, Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    let found = table::list(&mut tx, RepositoriesOf::Project(access.project()), window).await?;
    let ids: Vec<_> = found.items.iter().map(|repository| repository.id).collect();
    let pushes = container_tags::last_pushes_of(&mut tx, &ids).await?;
    let sizes = blobs::bytes_of_repositories(&mut tx, &ids).await?;
    Ok(found.map(|repository| {
        let pushed = pushes.iter().find(|(of, ..)| *of == repository.id);
        RepositoryOverview {
            tags: pushed.map_or(0, |(_, tags, _)| *tags),
            pushed_at: pushed.map(|(.., at)| *at),
            size: sizes.iter().find(|(of, _)| *of == repository.id).map_or(0, |(_, size)| *size),
            repository,
        }
    }))
}

/// Returns one repository.
///
/// # Errors
/// [`Error::NotFound`] when it is none of the project's.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    reading: &mut Reading,
    id: ContainerRepositoryId,
    wanted: Wanted,
) -> Result<RepositoryDetails, Error> {
    is_offered(forge)?;
    let tx = reading.tx(forge).await?;
    let repository = table::find_in_project(tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    let details = with_details(tx, vec![repository], wanted).await?.pop();
    let mut details = details.ok_or(NOT_FOUND)?;
    if wanted.size {
        details.size = Some(blobs::bytes_of_repository(tx, id).await?);
    }
    Ok(details)
}

/// Deletes a repository: it is gone for everybody at once, its name is free, and a job removes what was in it.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] when it has a tag that a rule keeps the caller from deleting.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRepositories>,
    id: ContainerRepositoryId,
) -> Result<(), Error> {
    takes_changes(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let repository = table::find_in_project(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    table::lock(&mut tx, id).await?;
    let rules = container_rules::of_project(&mut tx, access.project()).await?;
    if !rules.is_empty() {
        let mut after = String::new();
        loop {
            let names = container_tags::names_after(&mut tx, id, &after, MAX_TAGS_NAMED).await?;
            let Some(last) = names.last() else { break };
            for name in &names {
                tag_rules::permit(&rules, &access, name, Change::Delete)?;
            }
            after.clone_from(last);
        }
    }
    if !table::request_deletion(&mut tx, id, now).await? {
        return Err(NOT_FOUND);
    }
    let name = image_name(&repository.project_path, &repository.name);
    let happening = Happening {
        image: &name,
        action: "deleted",
        event: "container_repository_deleted",
        tag: None,
        digest: None,
    };
    record(&mut tx, &access, &happening, now).await?;
    projects::record_activity(&mut tx, access.project(), now).await?;
    jobs::ask(&mut tx, &Job::DeleteContainerRepository { repository: id }, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Removes a repository that is hidden already, with all that is in it.
pub(crate) async fn remove(forge: &Forge, id: ContainerRepositoryId) -> Result<(), Error> {
    remove_manifests(forge, id).await?;
    let mut tx = forge.db().begin().await?;
    // What it linked is kept for the safe age, counted from now.
    blobs::touch_linked(&mut tx, id, forge.now()).await?;
    table::delete(&mut tx, id).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes what is in the repositories of a project that is hidden already, some at a time, so that the end of the project
/// itself is short.
pub(crate) async fn remove_all_of(forge: &Forge, project: ProjectId) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let ids = table::ids_in_project(&mut tx, project).await?;
    drop(tx);
    for id in ids {
        remove_manifests(forge, id).await?;
    }
    Ok(())
}

async fn remove_manifests(forge: &Forge, id: ContainerRepositoryId) -> Result<(), Error> {
    loop {
        let mut tx = forge.db().begin().await?;
        let removed = table::delete_manifests(&mut tx, id, BATCH).await?;
        tx.commit().await?;
        if removed < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}
