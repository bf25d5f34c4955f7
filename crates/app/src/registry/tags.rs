//! Tags as the API shows them: listed, read, deleted one by one or in bulk.

use portcullis_rules::access::act;
use portcullis_rules::id::{ContainerRepositoryId, ProjectId};
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::container_repositories::{self, ContainerRepository};
use portcullis_store::container_tags::{self as table, PushedTag, TagDetails};
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use portcullis_store::{container_rules, projects};
use serde_json::json;

use super::cleanup::Selection;
use super::lists::Page;
use super::repositories::NOT_FOUND;
use super::tag_rules::{self, Change};
use super::{Happening, actor, image_name, is_offered, record, takes_changes};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::jobs::{self, DeleteTags, Job};

/// How long after a deletion in bulk the next one in the same repository is taken.
const BULK_DELETION_INTERVAL: i64 = 3600 * MICROSECONDS;

async fn find(
    tx: &mut Tx,
    project: ProjectId,
    id: ContainerRepositoryId,
) -> Result<ContainerRepository, Error> {
    container_repositories::find_in_project(tx, project, id).await?.ok_or(NOT_FOUND)
}

/// Returns the tags of a repository, sorted by their bytes, with the repository's whole name.
///
/// # Errors
/// [`Error::NotFound`] when it is none of the project's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    id: ContainerRepositoryId,
    window: Window,
) -> Result<(String, Listing<String>), Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    let repository = find(&mut tx, access.project(), id).await?;
    let tags = table::list(&mut tx, id, window).await?;
    Ok((image_name(&repository.project_path, &repository.name), tags))
}

/// A tag as people see it in a list.
#[derive(Clone, Debug)]
pub struct TagOverview {
    /// The tag and what it is on.
    pub pushed: PushedTag,
    /// Whether a rule keeps the caller from deleting it, whatever their role allows.
    pub kept: bool,
}

/// Returns the tags of a repository with what they are on, those pushed last first.
///
/// # Errors
/// [`Error::NotFound`] when it is none of the project's.
pub async fn overview(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    id: ContainerRepositoryId,
    window: Window,
) -> Result<Listing<TagOverview>, Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    find(&mut tx, access.project(), id).await?;
    let rules = container_rules::of_project(&mut tx, access.project()).await?;
    let found = table::list_pushed(&mut tx, id, window).await?;
    Ok(found.map(|pushed| {
        let kept = !tag_rules::lets_delete(&rules, access, &pushed.name);
        TagOverview { pushed, kept }
    }))
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first.
    Ascending,
    /// From the last.
    Descending,
}

/// Returns up to `limit` tags of a repository behind `last`, with the repository's whole name.
///
/// # Errors
/// As [`list`].
pub async fn page(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    id: ContainerRepositoryId,
    last: Option<&str>,
    direction: Direction,
    limit: usize,
) -> Result<(String, Page<String>), Error> {
    is_offered(forge)?;
    let one_more = i64::try_from(limit).unwrap_or(0) + 1;
    let mut tx = forge.db().read().await?;
    let repository = find(&mut tx, access.project(), id).await?;
    let found = match direction {
        Direction::Ascending => table::names_after(&mut tx, id, last.unwrap_or_default(), one_more).await?,
        Direction::Descending => table::names_before(&mut tx, id, last, one_more).await?,
    };
    Ok((image_name(&repository.project_path, &repository.name), Page::cut(found, limit)))
}

/// Returns one tag, with the repository's whole name.
///
/// # Errors
/// [`Error::NotFound`] when there is no such repository in the project, or no such tag in it.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadContainerRepositories>,
    id: ContainerRepositoryId,
    tag: &str,
) -> Result<(String, TagDetails), Error> {
    is_offered(forge)?;
    let mut tx = forge.db().read().await?;
    let repository = find(&mut tx, access.project(), id).await?;
    let details = table::details(&mut tx, id, tag).await?.ok_or(Error::NotFound("Tag"))?;
    Ok((image_name(&repository.project_path, &repository.name), details))
}

/// Deletes a tag. The manifest that it was on stays.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] when a rule keeps the caller from it.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::DeleteContainerTag>,
    id: ContainerRepositoryId,
    tag: &str,
) -> Result<(), Error> {
    takes_changes(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let repository = find(&mut tx, access.project(), id).await?;
    container_repositories::lock(&mut tx, id).await?;
    let rules = container_rules::of_project(&mut tx, access.project()).await?;
    tag_rules::permit(&rules, &access, tag, Change::Delete)?;
    let tagged = table::delete(&mut tx, id, tag, now).await?.ok_or(Error::NotFound("Tag"))?;
    let name = image_name(&repository.project_path, &repository.name);
    let happening = Happening {
        image: &name,
        action: "deleted",
        event: "container_tag_deleted",
        tag: Some(tag),
        digest: Some(&tagged.digest),
    };
    record(&mut tx, &access, &happening, now).await?;
    projects::record_activity(&mut tx, access.project(), now).await?;
    tx.commit().await?;
    Ok(())
}

/// Has a job delete the tags that are selected, in the name of the caller: at most once an hour in each repository. What
/// a rule protects stays, whoever asks.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::TooSoon`] when it was done within the hour.
pub async fn delete_in_bulk(
    forge: &Forge,
    access: &Authorized<act::AdministerContainerRepositories>,
    id: ContainerRepositoryId,
    selection: &Selection,
) -> Result<(), Error> {
    takes_changes(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let repository = find(&mut tx, access.project(), id).await?;
    if !container_repositories::claim_bulk_deletion(&mut tx, id, now - BULK_DELETION_INTERVAL, now).await? {
        return Err(Error::TooSoon(
            "This request has already been made. You can run this at most once an hour for a given container repository",
        ));
    }
    let (_, user, token) = actor(&access)?;
    let job = Job::DeleteTags(DeleteTags {
        project: access.project(),
        repository: id,
        selection: selection.to_words(),
        user,
        token,
        address: access.viewer().origin().address.map(|address| address.to_string()),
    });
    let name = image_name(&repository.project_path, &repository.name);
    let entry = Entry::project(access.project(), &access.place().full_path, "container_tags_deletion_asked");
    let details = json!({ "image": name, "selection": selection.to_words() });
    audit::record(&mut tx, access.viewer(), entry.details(details), now).await?;
    jobs::ask(&mut tx, &job, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}
