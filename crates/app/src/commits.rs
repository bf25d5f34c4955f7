//! Commits: lists of them, one by one, and what is known of each.

use std::collections::HashMap;

pub use portcullis_git::{Authorship, Commit, LineCounts, LogQuery, LogStart, RepositoryPath, SignatureKind};
use portcullis_git::{ObjectId, RefName};
use portcullis_rules::access::{Act, act, on};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// What is asked for in a list of commits.
#[derive(Clone, Debug)]
pub struct CommitFilter {
    /// Where to begin; the default branch when it is an empty revision.
    pub start: LogStart,
    /// Only those that changed this path.
    pub path: Option<RepositoryPath>,
    /// Only those committed at this time or later, in Unix microseconds UTC.
    pub since: Option<i64>,
    /// Only those committed at this time or before, in Unix microseconds UTC.
    pub until: Option<i64>,
    /// Only those whose author's name or address contains this text.
    pub author: Option<String>,
    /// Only those whose message contains this text.
    pub message: Option<String>,
    /// Only the first parent of each merge is followed.
    pub first_parent: bool,
    /// No commit before all of its children.
    pub topological: bool,
}

/// A page of commits. How many there are in all is not known: counting costs a walk.
#[derive(Debug)]
pub struct CommitPage {
    /// The commits.
    pub commits: Vec<Commit>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Which refs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// Branches and tags.
    All,
    /// Branches.
    Branch,
    /// Tags.
    Tag,
}

/// Lists commits, newest first. An empty repository has none.
///
/// # Errors
/// [`Error::NotFound`] when it begins from a name that nothing has; [`Error::Overloaded`].
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    filter: CommitFilter,
    window: Window,
) -> Result<CommitPage, Error> {
    let from_default = filter.start == LogStart::Revision(String::new());
    let wanted = usize::try_from(window.limit).unwrap_or(0);
    let query = LogQuery {
        start: filter.start,
        path: filter.path,
        since: filter.since,
        until: filter.until,
        author: filter.author,
        message: filter.message,
        first_parent: filter.first_parent,
        topological: filter.topological,
        skip: u64::try_from(window.offset).unwrap_or(0),
        // One more says whether there is another page.
        limit: u32::try_from(window.limit).unwrap_or(0) + 1,
    };
    let found = forge.git().log(access.project().0, query).await?;
    let mut commits = match found {
        Some(commits) => commits,
        None if from_default => Vec::new(),
        None => return Err(Error::NotFound("Commit")),
    };
    let more = commits.len() > wanted;
    commits.truncate(wanted);
    Ok(CommitPage { commits, more })
}

/// Returns a commit by whatever a client calls it: an id that may be shortened, a branch, a tag.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(forge: &Forge, access: &Authorized<act::ReadCode>, revision: &str) -> Result<Commit, Error> {
    resolved(forge, access, revision).await
}

/// Returns the commit that a client calls by this name, for whoever may do something with it.
pub(crate) async fn resolved<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    revision: &str,
) -> Result<Commit, Error> {
    forge.git().find_commit(access.project().0, revision).await?.ok_or(Error::NotFound("Commit"))
}

/// Returns how many lines each of these commits changed.
///
/// # Errors
/// [`Error::Overloaded`] when counting takes too long.
pub async fn line_counts(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    commits: &[Commit],
) -> Result<HashMap<ObjectId, LineCounts>, Error> {
    let ids: Vec<_> = commits.iter().map(|commit| commit.id.clone()).collect();
    Ok(forge.git().line_counts(access.project().0, &ids).await?)
}

/// Lists the branches and tags that a commit is in, branches first, each by name.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Overloaded`] when looking takes too long.
pub async fn refs(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    kind: RefKind,
    window: Window,
) -> Result<Listing<RefName>, Error> {
    let commit = resolved(forge, access, revision).await?;
    let mut found = forge.git().refs_containing(access.project().0, &commit.id).await?;
    found.retain(|name| match kind {
        RefKind::All => name.branch().or(name.tag()).is_some(),
        RefKind::Branch => name.branch().is_some(),
        RefKind::Tag => name.tag().is_some(),
    });
    Ok(cut(found, window))
}

/// Returns how many commits the history of one has, itself included.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Overloaded`] when counting takes too long.
pub async fn sequence(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    first_parent: bool,
) -> Result<u64, Error> {
    let commit = resolved(forge, access, revision).await?;
    Ok(forge.git().count_history(access.project().0, &commit.id, first_parent).await?)
}

/// Returns the window of a list that is known as a whole.
pub(crate) fn cut<T>(items: Vec<T>, window: Window) -> Listing<T> {
    let total = i64::try_from(items.len()).ok();
    let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(window.limit).unwrap_or(0);
    Listing { items: items.into_iter().skip(skip).take(limit).collect(), total }
}
