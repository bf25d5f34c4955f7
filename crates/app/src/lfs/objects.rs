//! The content of large files: what there is, how it comes in, and how it goes out.
//!
//! A file comes in one request, whose bytes stream into the blob store while their digest is computed, as an upload's do
//! (`contents.rs`). It is linked to the one project that it was pushed to. Whoever names the digest of content that another
//! project has is asked for the content all the same.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_git::LfsPointer;
use portcullis_registry::Digest;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{BlobId, ProjectId};
use portcullis_rules::lfs::Oid;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::db::Tx;
use portcullis_store::lfs_objects::{self, LfsObject};

use super::{LargeFiles, Readable, Writable};
use crate::Error;
use crate::access::Authorized;
use crate::contents::{self, StoredFile, in_own_task};
use crate::forge::Forge;
use crate::registry::{quotas, store_takes_changes};

/// How many objects one question may be about.
pub const MAX_OBJECTS: usize = 1000;

/// What was touched less than this ago need not be touched again, in microseconds. It is far below every safe age.
const TOUCHED_LATELY: i64 = 600 * MICROSECONDS;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Large file");

/// A large file that somebody asks for, or is about to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it is called by.
    pub oid: Oid,
    /// How many bytes it has, as the client knows it.
    pub size: u64,
}

/// What there is of a large file that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The project has it.
    Present,
    /// The project has one that is called so and has another size.
    OfAnotherSize,
    /// The project has it not, and it may be stored.
    Absent,
    /// It is larger than what is stored, which is this many bytes.
    TooLarge(u64),
}

fn standing(found: Option<&LfsObject>, wanted: &Wanted) -> Standing {
    match found {
        Some(found) if u64::try_from(found.size) == Ok(wanted.size) => Standing::Present,
        Some(_) => Standing::OfAnotherSize,
        None => Standing::Absent,
    }
}

async fn found(
    tx: &mut Tx,
    project: ProjectId,
    oids: impl Iterator<Item = &Oid>,
) -> Result<HashMap<String, LfsObject>, Error> {
    let digests: Vec<String> = oids.map(Oid::digest).collect();
    let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
    let objects = lfs_objects::among(tx, project, &digests).await?;
    Ok(objects.into_iter().map(|object| (object.digest.clone(), object)).collect())
}

/// Says which large files a project has, in the order in which they are wanted.
///
/// # Errors
/// The database's.
pub async fn to_download(forge: &Forge, files: &Readable, wanted: &[Wanted]) -> Result<Vec<Standing>, Error> {
    let mut tx = forge.db().read().await?;
    let found = found(&mut tx, files.project(), wanted.iter().map(|wanted| &wanted.oid)).await?;
    Ok(wanted.iter().map(|wanted| standing(found.get(&wanted.oid.digest()), wanted)).collect())
}

/// Says which large files a project has and which are to be stored, in the order in which they are wanted. What is there
/// is kept for the safe age, because somebody is about to push what names it.
///
/// # Errors
/// [`Error::Forbidden`] when the project has no room for them; [`Error::Overloaded`] when the store takes no changes.
pub async fn to_upload(forge: &Forge, files: &Writable, wanted: &[Wanted]) -> Result<Vec<Standing>, Error> {
    store_takes_changes(forge)?;
    let project = files.project();
    let mut tx = forge.db().read().await?;
    let found = found(&mut tx, project, wanted.iter().map(|wanted| &wanted.oid)).await?;
    let largest = forge.settings().max_lfs_object_bytes;
    let standings: Vec<Standing> = wanted
        .iter()
        .map(|wanted| match standing(found.get(&wanted.oid.digest()), wanted) {
            Standing::Absent => match largest.filter(|largest| wanted.size > *largest) {
                Some(largest) => Standing::TooLarge(largest),
                None => Standing::Absent,
            },
            other => other,
        })
        .collect();
    let to_come = wanted.iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Absent);
    let to_come: u64 = to_come.fold(0, |sum, (wanted, _)| sum.saturating_add(wanted.size));
    if to_come > 0 && room(forge, &mut tx, project).await?.is_some_and(|room| to_come > room) {
        return Err(contents::exceeded());
    }
    drop(tx);
    rely_on(forge, files, found.values()).await?;
    Ok(standings)
}

/// Returns how many bytes may be added to the large files of a project; `None` is no limit.
async fn room(forge: &Forge, tx: &mut Tx, project: ProjectId) -> Result<Option<u64>, Error> {
    let all = quotas::room(tx, project).await?;
    let own = match forge.settings().lfs_quota_bytes {
        Some(quota) => {
            let used = u64::try_from(lfs_objects::bytes_of_project(tx, project).await?).unwrap_or(0);
            Some(quota.saturating_sub(used))
        }
        None => None,
    };
    Ok(all.into_iter().chain(own).min())
}

/// Makes sure that large files of a project stay for the safe age.
async fn rely_on<'a, A: Act<On = on::Project>>(
    forge: &Forge,
    files: &LargeFiles<A>,
    objects: impl Iterator<Item = &'a LfsObject>,
) -> Result<(), Error> {
    let now = forge.now();
    let stale = objects.filter(|object| object.touched_at < now - TOUCHED_LATELY);
    let mut stale: Vec<BlobId> = stale.map(|object| object.blob).collect();
    if stale.is_empty() {
        return Ok(());
    }
    stale.sort_unstable();
    let mut tx = forge.db().begin().await?;
    lfs_objects::touch(&mut tx, files.project(), &stale, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Stores a large file, all of which is read and compared with what it is called by, also when it is there already.
///
/// # Errors
/// [`Error::BadRequest`] when it is another content, or broke off; [`Error::RequestTooLarge`]; [`Error::Forbidden`] when the
/// project has no room; [`Error::Overloaded`]. Nothing is left of it then, and it can be sent again.
pub async fn upload(
    forge: &Arc<Forge>,
    files: &Writable,
    wanted: &Wanted,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<(), Error> {
    let (forge, files, wanted) = (Arc::clone(forge), files.clone(), wanted.clone());
    in_own_task(async move {
        let settings = forge.settings();
        if settings.max_lfs_object_bytes.is_some_and(|largest| wanted.size > largest) {
            return Err(Error::RequestTooLarge);
        }
        let project = files.project();
        let digest = wanted.oid.digest();
        let mut tx = forge.db().read().await?;
        check_room(&forge, &mut tx, project, &digest, wanted.size).await?;
        drop(tx);
        let parsed = Digest::parse(&digest).map_err(|_| Error::Internal("an oid is no digest".into()))?;
        let stored = contents::store_expected(&forge, project, &parsed, wanted.size, content).await?;
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        // It may have taken long: the credential, the role and the switch are looked at as they are now.
        let files = files.again(&forge, &mut tx).await?;
        check_room(&forge, &mut tx, files.project(), &digest, wanted.size).await?;
        let blob = stored.link(&mut tx, files.project(), now).await?;
        lfs_objects::link(&mut tx, files.project(), blob, now).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

/// Makes sure that the quota for large files has room for one that the project does not have yet.
async fn check_room(
    forge: &Forge,
    tx: &mut Tx,
    project: ProjectId,
    digest: &str,
    size: u64,
) -> Result<(), Error> {
    let Some(quota) = forge.settings().lfs_quota_bytes else { return Ok(()) };
    if lfs_objects::find(tx, project, digest).await?.is_some() {
        return Ok(());
    }
    let used = u64::try_from(lfs_objects::bytes_of_project(tx, project).await?).unwrap_or(0);
    if used.saturating_add(size) > quota { Err(contents::exceeded()) } else { Ok(()) }
}

/// Says whether a large file that a client has just stored is there, with the size that the client knows.
///
/// # Errors
/// [`Error::NotFound`] when it is not there; [`Error::Unprocessable`] when it has another size.
pub async fn verify(forge: &Forge, files: &Writable, wanted: &Wanted) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let found = lfs_objects::find(&mut tx, files.project(), &wanted.oid.digest()).await?;
    match standing(found.as_ref(), wanted) {
        Standing::Present => Ok(()),
        Standing::OfAnotherSize => Err(Error::Unprocessable("The object has another size.".to_owned())),
        _ => Err(NOT_FOUND),
    }
}

/// Returns a large file, to be read.
///
/// # Errors
/// [`Error::NotFound`] when the project has none that is called so, or its content is lost.
pub async fn download(forge: &Forge, files: &Readable, oid: &Oid) -> Result<StoredFile, Error> {
    let mut tx = forge.db().read().await?;
    let found = lfs_objects::find(&mut tx, files.project(), &oid.digest()).await?.ok_or(NOT_FOUND)?;
    StoredFile::new(oid.as_str(), &found.digest, found.size)
}

/// Returns the large file that a file of the repository stands for, to be read: nothing when that file is no pointer, or the
/// project has none like it.
///
/// # Errors
/// The database's.
pub async fn behind_pointer<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    name: &str,
    pointer: &[u8],
) -> Result<Option<StoredFile>, Error> {
    let pointer = LfsPointer::parse(pointer);
    let wanted = pointer.and_then(|found| Some(Wanted { oid: Oid::parse(&found.oid)?, size: found.size }));
    let Some(wanted) = wanted else { return Ok(None) };
    if !super::are_on(forge, access).await? {
        return Ok(None);
    }
    let mut tx = forge.db().read().await?;
    let found = lfs_objects::find(&mut tx, access.project(), &wanted.oid.digest()).await?;
    let found = found.filter(|found| standing(Some(found), &wanted) == Standing::Present);
    found.map(|found| StoredFile::new(name, &found.digest, found.size)).transpose()
}

/// Says whether a project has every one of these large files, which a push names; they are kept for the safe age then.
///
/// # Errors
/// The database's.
pub(crate) async fn has_all(
    forge: &Forge,
    access: &Authorized<act::PushCode>,
    oids: &[Oid],
) -> Result<bool, Error> {
    let mut tx = forge.db().read().await?;
    let objects = found(&mut tx, access.project(), oids.iter()).await?;
    drop(tx);
    if oids.iter().any(|oid| !objects.contains_key(&oid.digest())) {
        return Ok(false);
    }
    let files = LargeFiles { access: access.clone() };
    rely_on(forge, &files, objects.values()).await?;
    Ok(true)
}
