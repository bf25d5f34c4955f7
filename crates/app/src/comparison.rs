//! What lies between two commits, and what they have in common.

use portcullis_git::ObjectId;
pub use portcullis_git::{Commit, Contributor, Diff, FileDiff, MAX_FILES};
use portcullis_rules::access::{Act, act, on};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::commits::{cut, resolved};
use crate::forge::Forge;

/// How many commits of a comparison are shown: the newest.
const MAX_COMPARED_COMMITS: u32 = 500;

/// How many commits a common ancestor is looked for.
const MAX_MERGED_REFS: usize = 20;

/// What lies between two commits.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The commits that `to` has and `from` has not, oldest first; of many the newest.
    pub commits: Vec<Commit>,
    /// What changed.
    pub diff: Diff,
    /// Where it begins.
    pub from: ObjectId,
    /// Where it ends.
    pub to: ObjectId,
}

/// Compares two commits. Unless it is `straight`, only what `to` changed since they parted is compared.
///
/// # Errors
/// [`Error::NotFound`] for a commit; [`Error::Overloaded`] when it takes too long.
pub async fn compare(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    from: &str,
    to: &str,
    straight: bool,
) -> Result<Comparison, Error> {
    let id = access.project().0;
    let (from, to) = (resolved(forge, access, from).await?.id, resolved(forge, access, to).await?.id);
    if from == to {
        return Ok(Comparison { commits: Vec::new(), diff: Diff::default(), from, to });
    }
    let mut commits = forge.git().commits_between(id, &from, &to, MAX_COMPARED_COMMITS).await?;
    commits.reverse();
    let parted = match straight {
        true => None,
        false => forge.git().merge_bases(id, &[from.clone(), to.clone()], false).await?.pop(),
    };
    let base = parted.unwrap_or_else(|| from.clone());
    let diff = forge.git().diff(id, Some(&base), &to, 0, MAX_FILES).await?;
    Ok(Comparison { commits, diff, from, to })
}

/// Returns what a commit changed against its first parent.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Overloaded`] when it takes too long.
pub async fn changes(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    window: Window,
) -> Result<Listing<FileDiff>, Error> {
    let commit = resolved(forge, access, revision).await?;
    let number = |number: i64| usize::try_from(number).unwrap_or(0);
    let (skip, limit) = (number(window.offset), number(window.limit));
    let diff = forge.git().diff(access.project().0, commit.parents.first(), &commit.id, skip, limit).await?;
    Ok(Listing { items: diff.files, total: i64::try_from(diff.total).ok() })
}

/// Returns the best common ancestor of some commits.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or for a commit; [`Error::Invalid`] for fewer than two or too many of them.
pub async fn merge_base(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revisions: &[String],
) -> Result<Commit, Error> {
    if !(2..=MAX_MERGED_REFS).contains(&revisions.len()) {
        return Err(Error::BadRequest(format!("refs must be 2 to {MAX_MERGED_REFS}")));
    }
    let mut ids = Vec::new();
    for revision in revisions {
        ids.push(resolved(forge, access, revision).await?.id);
    }
    let bases = forge.git().merge_bases(access.project().0, &ids, false).await?;
    let commits = forge.git().commits(access.project().0, bases).await?;
    commits.into_iter().next().ok_or(Error::NotFound("Merge Base"))
}

/// What a list of those who contributed is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContributorOrder {
    /// How many commits.
    #[default]
    Commits,
    /// The name.
    Name,
    /// The e-mail address.
    Email,
}

/// Lists who contributed to the history of a commit. An empty repository has nobody.
///
/// # Errors
/// [`Error::NotFound`] for a commit that was named; [`Error::Overloaded`] when counting takes too long.
pub async fn contributors(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    order: ContributorOrder,
    descending: bool,
    window: Window,
) -> Result<Listing<Contributor>, Error> {
    let Some(commit) = known_or_default(forge, access, revision).await? else {
        return Ok(cut(Vec::new(), window));
    };
    let mut found = forge.git().contributors(access.project().0, &commit.id).await?;
    match order {
        ContributorOrder::Commits => found.sort_by_key(|contributor| contributor.commits),
        ContributorOrder::Name => found.sort_by_key(|contributor| contributor.name.to_lowercase()),
        ContributorOrder::Email => found.sort_by_key(|contributor| contributor.email.to_lowercase()),
    }
    if descending {
        found.reverse();
    }
    Ok(cut(found, window))
}

/// Returns the commit that was named; nothing when none was and the default branch has none yet.
pub(crate) async fn known_or_default<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    revision: &str,
) -> Result<Option<Commit>, Error> {
    match resolved(forge, access, revision).await {
        Ok(commit) => Ok(Some(commit)),
        Err(Error::NotFound("Commit")) if revision.is_empty() => Ok(None),
        Err(error) => Err(error),
    }
}
