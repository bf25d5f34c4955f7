//! Archives of a repository.

pub use portcullis_git::ArchiveFormat;
use portcullis_git::{ObjectId, RepositoryPath};
use portcullis_rules::access::act;

use crate::Error;
use crate::access::Authorized;
use crate::commits::resolved;
use crate::forge::Forge;
use crate::repositories::Exchange;

/// An archive that can be made.
#[derive(Debug)]
pub struct Archive {
    /// The name of the folder that everything in it is in; the name of its file without the end.
    pub name: String,
    commit: ObjectId,
    path: Option<RepositoryPath>,
    format: ArchiveFormat,
}

/// Looks for what an archive is asked of: a commit, or what is at one path of it.
///
/// # Errors
/// [`Error::NotFound`] for the commit or the path.
pub async fn find(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    revision: Option<&str>,
    path: Option<&str>,
    format: ArchiveFormat,
) -> Result<Archive, Error> {
    let id = access.project().0;
    let commit = resolved(forge, access, revision.unwrap_or_default()).await?;
    let called = match revision {
        Some(revision) => revision.to_owned(),
        None => forge.git().default_branch(id).await?,
    };
    let project = access.place().full_path.rsplit('/').next().unwrap_or_default();
    let mut name = format!("{project}-{called}-{}", commit.id);
    let path = match path {
        Some(text) => {
            let path = RepositoryPath::parse(text).ok_or(Error::NotFound("File"))?;
            if !forge.git().has_path(id, &commit, path.clone()).await? {
                return Err(Error::NotFound("File"));
            }
            if !path.is_root() {
                name = format!("{name}-{}", path.as_str());
            }
            Some(path)
        }
        None => None,
    };
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = name.chars().map(|c| if kept(c) { c } else { '-' }).collect();
    Ok(Archive { name, commit: commit.id, path, format })
}

/// Makes an archive while it is read.
///
/// # Errors
/// [`Error::Overloaded`].
pub async fn download(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    archive: Archive,
) -> Result<Exchange, Error> {
    let Archive { name, commit, path, format } = archive;
    Ok(forge.git().archive(access.project().0, &commit, path, format, &name).await?)
}
