//! Opens the forge for a command, with the machine's own clock and random source.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use portcullis_app::{Error, Forge, clock::SystemClock, random::SystemRandom, settings::Settings};

use crate::{arguments::Place, config::Configuration, data_folder};

/// Opens the forge the settings describe, making what is missing.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Arc<Forge>> {
    let hook_program = std::env::current_exe().context("the file of this program cannot be found")?;
    let settings = Settings { git_program: find_program(&settings.git_program), ..settings.clone() };
    Forge::open(settings, Arc::new(SystemClock), Arc::new(SystemRandom), hook_program)
        .await
        // Each of these errors already tells its cause.
        .map_err(|error| anyhow!("{error}"))
}

/// Opens an existing forge for one short task of an operator.
pub(crate) fn for_task<T>(
    place: &Place,
    task: impl AsyncFnOnce(&Forge) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let settings = Configuration::load_at(place)?.settings;
    data_folder::expect_existing(&settings.data)?;
    runtime()?.block_on(async {
        let forge = open(&settings).await?;
        task(&forge).await.map_err(describe)
    })
}

/// Returns a runtime for one short task.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}

/// Says in one sentence why a task was not done.
fn describe(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(fields) => {
            let fields: Vec<_> = fields.iter().map(|(field, problem)| format!("{field} {problem}")).collect();
            anyhow!("{}", fields.join("; "))
        }
        other => anyhow!("{other}"),
    }
}

/// Finds a program that is given by its name alone where this process would find it.
///
/// The engine runs git with an environment of its own, in which the operator's `PATH` no longer counts.
fn find_program(program: &Path) -> PathBuf {
    if program.components().count() != 1 || program.has_root() {
        return std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    // What is not found is left to the engine, which says so.
    found.unwrap_or_else(|| program.to_owned())
}
