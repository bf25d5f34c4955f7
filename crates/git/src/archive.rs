//! Archives of what a repository holds at a commit.

use crate::question::Question;
use crate::{Engine, Error, Exchange, ObjectId, RepositoryPath};

/// The kind of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `tar`.
    Tar,
    /// `tar`, compressed by gzip.
    TarGz,
    /// `zip`.
    Zip,
}

impl ArchiveFormat {
    /// Returns the end of such a file's name, without the dot. It is also what Git calls the format.
    pub fn extension(self) -> &'static str {
        match self {
            ArchiveFormat::Tar => "tar",
            ArchiveFormat::TarGz => "tar.gz",
            ArchiveFormat::Zip => "zip",
        }
    }

    /// Returns the format with this end of its files' names.
    pub fn from_extension(extension: &str) -> Option<ArchiveFormat> {
        match extension {
            "tar" => Some(ArchiveFormat::Tar),
            "tar.gz" | "tgz" | "gz" => Some(ArchiveFormat::TarGz),
            "zip" => Some(ArchiveFormat::Zip),
            _ => None,
        }
    }
}

impl Engine {
    /// Returns an archive as it is made: what is at `path` of a commit, all of it in one folder. Of the folder's name
    /// letters, digits, dots and dashes are kept, everything else becomes a dash.
    pub async fn archive(
        &self,
        id: i64,
        commit: &ObjectId,
        path: Option<RepositoryPath>,
        format: ArchiveFormat,
        folder: &str,
    ) -> Result<Exchange, Error> {
        let folder: String = folder
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
            .collect();
        let question = Question::new("archive", &[])
            .option("--format", format.extension())
            .option("--prefix", format!("{folder}/"))
            .object(commit)
            .path(path);
        self.deliver(id, question).await
    }
}
