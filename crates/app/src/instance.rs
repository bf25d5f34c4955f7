//! The instance as its administrators see it: whether everything it stands on answers, and the settings in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_registry::{Algorithm, Digest};
use portcullis_rules::access::act;
use portcullis_store::db::Engine;
use portcullis_store::jobs::{self, JobCounts};
use serde_json::Value;

use crate::Error;
use crate::access::Authorized;
use crate::forge::Forge;

/// How long the database and the blob store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether something answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It did.
    Came,
    /// It refused or failed; the log says why.
    Failed,
    /// It did not in time.
    Late,
}

/// The data folder.
#[derive(Clone, Debug)]
pub struct DataFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Whether this process may write there.
    pub writable: bool,
    /// How many bytes are free, where that can be known.
    pub free_bytes: Option<u64>,
}

/// Where the content of images, packages and uploads is.
#[derive(Clone, Debug)]
pub struct BlobPlace {
    /// The bucket; `None` is the data folder.
    pub bucket: Option<String>,
    /// Whether it answers.
    pub answer: Answer,
}

/// Whether what the forge stands on answers.
#[derive(Clone, Debug)]
pub struct Health {
    /// The kind of database.
    pub engine: Engine,
    /// Whether the database answers.
    pub database: Answer,
    /// The data folder.
    pub data: DataFolder,
    /// The version of the installed git, such as `2.39.5`.
    pub git_version: String,
    /// Git exchanges that run now.
    pub git_running: usize,
    /// Git exchanges that wait for their turn.
    pub git_waiting: usize,
    /// Where blobs are.
    pub blobs: BlobPlace,
    /// The queue of background jobs; `None` while the database does not answer.
    pub jobs: Option<JobCounts>,
}

async fn answer<T>(what: &str, asking: impl Future<Output = Result<T, Error>>) -> (Answer, Option<T>) {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(answer)) => (Answer::Came, Some(answer)),
        Ok(Err(error)) => {
            tracing::error!(%error, "{what} does not answer");
            (Answer::Failed, None)
        }
        Err(_) => (Answer::Late, None),
    }
}

/// Returns whether what the forge stands on answers. It asks without changing anything.
pub async fn health(forge: &Forge, _access: &Authorized<act::ReadMetrics>) -> Health {
    let settings = forge.settings();
    let counting = async {
        forge.ping().await?;
        let mut tx = forge.db().read().await?;
        Ok(jobs::counts(&mut tx, forge.now()).await?)
    };
    // Whether there is such a blob does not matter; that it can be said does.
    let nothing = Digest::of(Algorithm::Sha256, b"");
    let looking =
        async { forge.blobs().size(&nothing).await.map_err(|error| Error::Internal(Box::new(error))) };
    let ((database, jobs), (blobs, _), data) = tokio::join!(
        answer("the database", counting),
        answer("the blob store", looking),
        data_folder(&settings.data)
    );
    let stats = forge.git().stats();
    Health {
        engine: forge.db().engine(),
        database,
        data,
        git_version: forge.git().git_version().to_owned(),
        git_running: stats.running,
        git_waiting: stats.waiting,
        blobs: BlobPlace { bucket: settings.blobs.clone(), answer: blobs },
        jobs,
    }
}

/// Looks at the data folder. A file system elsewhere may keep one waiting, and then nothing is known of it.
async fn data_folder(path: &Path) -> DataFolder {
    let asked = path.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let free = rustix::fs::statvfs(&asked).ok();
        let writable = rustix::fs::access(&asked, rustix::fs::Access::WRITE_OK).is_ok();
        (writable, free.map(|found| found.f_bavail.saturating_mul(found.f_frsize)))
    });
    let found = tokio::time::timeout(PATIENCE, looking).await;
    let (writable, free_bytes) = found.ok().and_then(Result::ok).unwrap_or((false, None));
    DataFolder { path: path.to_owned(), writable, free_bytes }
}

/// The settings in force, fit to be shown.
#[derive(Clone, Debug)]
pub struct ShownSettings {
    /// Each value by its key; null is one that is not set. What is secret is replaced.
    pub values: BTreeMap<String, Value>,
    /// Where each value was set that was, by its key; empty where that is not known.
    pub origins: BTreeMap<String, String>,
}

/// Returns the settings in force, without what is secret.
///
/// # Errors
/// None that could be expected.
pub async fn settings(
    forge: &Forge,
    _access: &Authorized<act::ReadSettings>,
) -> Result<ShownSettings, Error> {
    let shown = forge.settings().redacted();
    let origins = shown.origins.clone();
    match serde_json::to_value(shown).map_err(|error| Error::Internal(Box::new(error)))? {
        Value::Object(values) => Ok(ShownSettings { values: values.into_iter().collect(), origins }),
        _ => Err(Error::Internal("the settings are no table".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_looked_at_without_touching_it() {
        let folder = tempfile::tempdir().unwrap();
        let found = data_folder(folder.path()).await;
        assert!(found.writable && found.free_bytes.is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = data_folder(&folder.path().join("missing")).await;
        assert!(!missing.writable && missing.free_bytes.is_none());
    }
}
