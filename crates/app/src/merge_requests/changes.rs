//! What a merge request would bring: its commits, what they change, and what it held before.
//!
//! Who is shown this may read the code too; the functions take that proof beside the one for merge requests.

use portcullis_git::{Commit, Diff, LogQuery, LogStart, MAX_FILES, ObjectId};
use portcullis_rules::access::act;
use portcullis_store::merge_request_versions::{self as versions, Version};
use portcullis_store::merge_requests::{self, Heads, MergeRequest};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::comparison::FileDiff;
use crate::forge::Forge;
use crate::repositories::Exchange;

/// Commits are counted up to this many.
const MAX_COUNTED_COMMITS: u32 = 10_000;

/// How many commits of a version are shown: the newest.
const MAX_COMMITS_OF_A_VERSION: i64 = 500;

/// Returns the merge request with this number, for whoever may read the code too.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] for who may not read the code.
async fn find(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
) -> Result<MergeRequest, Error> {
    access.also::<act::ReadCode>()?;
    let mut tx = forge.db().read().await?;
    let found = merge_requests::find(&mut tx, access.project(), iid, false).await?;
    found.ok_or(Error::NotFound("Merge Request"))
}

/// The commits that something lies between; both are there.
struct Ends {
    base: Option<ObjectId>,
    head: ObjectId,
}

/// Returns the ends of what was recorded, if they are still there: commits that were pushed over are pruned after a while.
async fn ends(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    heads: &Heads,
) -> Result<Ends, Error> {
    let gone = || Error::NotFound("Commit");
    let head = ObjectId::parse(&heads.head).ok_or_else(gone)?;
    let base = heads.base.as_deref().map(|base| ObjectId::parse(base).ok_or_else(gone)).transpose()?;
    let wanted: Vec<_> = [Some(&head), base.as_ref()].into_iter().flatten().cloned().collect();
    let count = wanted.len();
    if forge.git().commits(access.project().0, wanted).await?.len() < count {
        return Err(gone());
    }
    Ok(Ends { base, head })
}

async fn commits_of(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    ends: &Ends,
    window: Window,
) -> Result<Listing<Commit>, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let range = match &ends.base {
        Some(base) => format!("{base}..{}", ends.head),
        None => ends.head.to_string(),
    };
    let limit = u32::try_from(window.limit).unwrap_or(0);
    let query = LogQuery {
        skip: u64::try_from(window.offset).unwrap_or(0),
        topological: true,
        ..LogQuery::from(LogStart::Revision(range), limit)
    };
    let items = git.log(id, query).await?.ok_or(Error::NotFound("Commit"))?;
    let base: Vec<_> = ends.base.iter().cloned().collect();
    let count = git.count_commits(id, &base, &ends.head, MAX_COUNTED_COMMITS).await?;
    Ok(Listing { items, total: (count < MAX_COUNTED_COMMITS).then_some(i64::from(count)) })
}

async fn diff_of(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    ends: &Ends,
    skip: usize,
    limit: usize,
) -> Result<Diff, Error> {
    Ok(forge.git().diff(access.project().0, ends.base.as_ref(), &ends.head, skip, limit).await?)
}

/// Returns the commits of a merge request, newest first.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Refused`] for who may not read the code.
pub async fn commits(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<Commit>, Error> {
    let found = find(forge, access, iid).await?;
    let ends = ends(forge, access, &found.heads).await?;
    commits_of(forge, access, &ends, window).await
}

/// Returns what a merge request changes, file by file.
///
/// # Errors
/// As [`commits`]; [`Error::Overloaded`] when it takes too long.
pub async fn diffs(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<FileDiff>, Error> {
    let found = find(forge, access, iid).await?;
    let ends = ends(forge, access, &found.heads).await?;
    let number = |number: i64| usize::try_from(number).unwrap_or(0);
    let diff = diff_of(forge, access, &ends, number(window.offset), number(window.limit)).await?;
    Ok(Listing { items: diff.files, total: i64::try_from(diff.total).ok() })
}

/// Returns all that a merge request changes, as far as it is shown: at most [`MAX_FILES`] files.
///
/// # Errors
/// As [`diffs`].
pub async fn all_diffs(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
) -> Result<Diff, Error> {
    let found = find(forge, access, iid).await?;
    let ends = ends(forge, access, &found.heads).await?;
    diff_of(forge, access, &ends, 0, MAX_FILES).await
}

/// Sends what a merge request changes as Git writes it.
///
/// # Errors
/// As [`diffs`].
pub async fn raw_diff(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
) -> Result<Exchange, Error> {
    let found = find(forge, access, iid).await?;
    let ends = ends(forge, access, &found.heads).await?;
    Ok(forge.git().raw_diff(access.project().0, ends.base.as_ref(), &ends.head).await?)
}

/// Returns what a merge request held after each push, newest first.
///
/// # Errors
/// As [`commits`].
pub async fn versions(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    window: Window,
) -> Result<Listing<Version>, Error> {
    let found = find(forge, access, iid).await?;
    let mut tx = forge.db().read().await?;
    Ok(versions::list(&mut tx, found.id, window).await?)
}

/// What a merge request held at one time, with what that changed.
#[derive(Clone, Debug)]
pub struct VersionDetails {
    /// What its branches held.
    pub version: Version,
    /// Its commits, newest first; of many the newest.
    pub commits: Vec<Commit>,
    /// What they change.
    pub diff: Diff,
}

/// Returns what a merge request held at one time.
///
/// # Errors
/// As [`diffs`]; [`Error::NotFound`] too when the commits were pushed over and are gone.
pub async fn version(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
    id: i64,
) -> Result<VersionDetails, Error> {
    let found = find(forge, access, iid).await?;
    let mut tx = forge.db().read().await?;
    let version = versions::find(&mut tx, found.id, id).await?.ok_or(Error::NotFound("Version"))?;
    drop(tx);
    let ends = ends(forge, access, &version.heads).await?;
    let window = Window { limit: MAX_COMMITS_OF_A_VERSION, offset: 0 };
    let commits = commits_of(forge, access, &ends, window).await?.items;
    let diff = diff_of(forge, access, &ends, 0, MAX_FILES).await?;
    Ok(VersionDetails { version, commits, diff })
}

/// Makes sure that a merge request is there and that the caller may read the code that builds were made of.
///
/// # Errors
/// As [`commits`].
pub async fn check_builds(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
) -> Result<(), Error> {
    find(forge, access, iid).await.map(|_| ())
}
