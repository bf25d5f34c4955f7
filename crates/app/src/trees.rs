//! Folders of a repository as they are at a commit.

use portcullis_git::Missing;
pub use portcullis_git::{EntryKind, TreeEntry, TreePage, TreePlace, TreeQuery, TreeWindow};
use portcullis_rules::access::act;

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// Lists what is in a folder: folders first, then files, then submodules.
///
/// # Errors
/// [`Error::NotFound`] for the commit or the folder; [`Error::BadRequest`] when there are too many entries to be listed.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    query: TreeQuery,
) -> Result<TreePage, Error> {
    let found = forge.git().tree(access.project().0, query).await?;
    found.map_err(|missing| {
        Error::NotFound(match missing {
            Missing::Revision => "Tree",
            Missing::Path => "invalid revision or path",
        })
    })
}
