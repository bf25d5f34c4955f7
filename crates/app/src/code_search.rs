//! Looking for a text in what a repository holds.

pub use portcullis_git::Passage;
use portcullis_git::RepositoryPath;
use portcullis_rules::access::act;
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::commits::cut;
use crate::forge::Forge;

/// Returns where a text first stands in each file of what `revision` names; of the default branch when that is empty. In
/// an empty repository there is nothing.
///
/// # Errors
/// [`Error::NotFound`] when nothing is called `revision`; [`Error::BadRequest`] for the text; [`Error::Overloaded`] when
/// looking takes too long.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: &str,
    text: &str,
    path: Option<RepositoryPath>,
    window: Window,
) -> Result<Listing<Passage>, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let commit = match git.find_commit(id, revision).await? {
        Some(commit) => commit,
        None if revision.is_empty() => return Ok(Listing { items: Vec::new(), total: Some(0) }),
        None => return Err(Error::NotFound("Commit")),
    };
    Ok(cut(git.grep(id, &commit.id, text, path).await?, window))
}
