//! Locks: who has a file for themselves. They are about paths and say nothing about what is pushed; `git lfs` keeps to them.

use portcullis_rules::access::act;
use portcullis_rules::id::{LfsLockId, UserId};
use portcullis_rules::lfs::LockPath;
use portcullis_store::db::Tx;
use portcullis_store::lfs_locks::{self, LfsLock};
use serde_json::json;

use super::{Readable, Writable};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// How many locks a project may have.
const MAX_LOCKS: i64 = 10_000;

/// How many locks one answer may hold.
pub const MAX_LISTED: usize = 100;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Lock");

/// What became of the wish to lock a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The caller has it now.
    Now(LfsLock),
    /// Somebody has it already, the caller or another.
    Already(LfsLock),
}

/// Some of the locks of a project, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locks {
    /// The locks.
    pub locks: Vec<LfsLock>,
    /// Behind which lock the next ones are, if there are more.
    pub next: Option<LfsLockId>,
}

/// Which locks are asked for.
#[derive(Clone, Debug, Default)]
pub struct LockFilter {
    /// Only the one of this path.
    pub path: Option<String>,
    /// Only the one with this id.
    pub id: Option<LfsLockId>,
    /// Only those behind this one.
    pub after: Option<LfsLockId>,
    /// At most so many; [`MAX_LISTED`] otherwise.
    pub limit: Option<usize>,
}

/// Locks a path.
///
/// # Errors
/// [`Error::Unprocessable`] when the project has too many locks.
pub async fn create(forge: &Forge, files: &Writable, path: &LockPath) -> Result<Locked, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let files = files.again(forge, &mut tx).await?;
    let (project, owner) = (files.project(), files.access().identity()?.user);
    let Some(id) = lfs_locks::insert(&mut tx, project, path.as_str(), owner, now).await? else {
        let known = lfs_locks::find_by_path(&mut tx, project, path.as_str()).await?;
        // It was unlocked just now: the next wish will do.
        return known.map(Locked::Already).ok_or(Error::Overloaded(1));
    };
    if lfs_locks::count(&mut tx, project).await? > MAX_LOCKS {
        return Err(Error::Unprocessable(format!("a project has {MAX_LOCKS} locks at most")));
    }
    let lock = lfs_locks::find(&mut tx, project, id).await?.ok_or(NOT_FOUND)?;
    record(&mut tx, files.access(), "lfs_lock_created", &lock, json!({ "path": lock.path }), now).await?;
    tx.commit().await?;
    Ok(Locked::Now(lock))
}

async fn record(
    tx: &mut Tx,
    access: &Authorized<act::PushCode>,
    what: &'static str,
    lock: &LfsLock,
    details: serde_json::Value,
    now: i64,
) -> Result<(), Error> {
    let entry = Entry::project(access.project(), &access.place().full_path, what);
    audit::record(tx, access.viewer(), entry.target("LfsLock", lock.id.0).details(details), now).await
}

/// Returns locks of a project.
///
/// # Errors
/// The database's.
pub async fn list(forge: &Forge, files: &Readable, filter: &LockFilter) -> Result<Locks, Error> {
    let mut tx = forge.db().read().await?;
    let project = files.project();
    let one = match (&filter.path, filter.id) {
        (Some(path), _) => lfs_locks::find_by_path(&mut tx, project, path).await?,
        (None, Some(id)) => lfs_locks::find(&mut tx, project, id).await?,
        (None, None) => return some(&mut tx, files, filter.after, filter.limit).await,
    };
    let one = one.filter(|lock| filter.id.is_none_or(|id| id == lock.id));
    Ok(Locks { locks: one.into_iter().collect(), next: None })
}

/// Returns locks of a project to somebody who is about to push, and who they are.
///
/// # Errors
/// The database's.
pub async fn for_push(
    forge: &Forge,
    files: &Writable,
    after: Option<LfsLockId>,
    limit: Option<usize>,
) -> Result<(Locks, UserId), Error> {
    let who = files.access().identity()?.user;
    let mut tx = forge.db().read().await?;
    Ok((some(&mut tx, files, after, limit).await?, who))
}

async fn some<A: portcullis_rules::access::Act<On = portcullis_rules::access::on::Project>>(
    tx: &mut Tx,
    files: &super::LargeFiles<A>,
    after: Option<LfsLockId>,
    limit: Option<usize>,
) -> Result<Locks, Error> {
    let limit = limit.unwrap_or(MAX_LISTED).clamp(1, MAX_LISTED);
    let window = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let after = after.unwrap_or(LfsLockId(0));
    let mut locks = lfs_locks::list(tx, files.project(), after, window).await?;
    let more = locks.len() > limit;
    locks.truncate(limit);
    let next = locks.last().map(|lock| lock.id).filter(|_| more);
    Ok(Locks { locks, next })
}

/// Unlocks a path. What somebody else locked is unlocked only by force, and by a Maintainer.
///
/// # Errors
/// [`Error::NotFound`] when the project has no such lock; [`Error::Forbidden`] when it is somebody else's;
/// [`Error::Refused`] when the caller may not use force.
pub async fn unlock(forge: &Forge, files: &Writable, id: LfsLockId, force: bool) -> Result<LfsLock, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let files = files.again(forge, &mut tx).await?;
    let lock = lfs_locks::find(&mut tx, files.project(), id).await?.ok_or(NOT_FOUND)?;
    let others = lock.owner != files.access().identity()?.user;
    if others {
        if !force {
            return Err(Error::Forbidden(format!("'{}' is locked by {}.", lock.path, lock.owner_name)));
        }
        files.also::<act::UnlockOthersFiles>()?;
    }
    if !lfs_locks::delete(&mut tx, files.project(), id).await? {
        return Err(NOT_FOUND);
    }
    let details = json!({ "path": lock.path, "owner_id": lock.owner.0, "forced": others });
    record(&mut tx, files.access(), "lfs_lock_removed", &lock, details, now).await?;
    tx.commit().await?;
    Ok(lock)
}
