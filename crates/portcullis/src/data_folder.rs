//! The data folder from the outside: made when it is missing, and held by one server at a time.
//!
//! What is inside belongs to the use cases; only the file `lock` is this module's.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};

/// How long the lock of a server that was killed may outlive it.
const LAST_HOLD: Duration = Duration::from_secs(1);

/// The right to serve a data folder, for as long as the value lives. The system takes it back when the process
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

/// Makes the folder if it is missing, closed to everyone else, and holds it for this process.
pub(crate) fn hold(folder: &Path) -> anyhow::Result<Held> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
    let unusable = || format!("the data folder {} cannot be used", folder.display());
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))
        .with_context(unusable)?;
    match take(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The number is a courtesy: without it the sentence is still true.
            let _ = lock.read_to_string(&mut holder);
            let holder =
                holder.trim().parse::<u32>().map(|id| format!(" (process {id})")).unwrap_or_default();
            bail!("another `portcullis serve`{holder} already serves the data folder {}", folder.display());
        }
        Err(TryLockError::Error(error)) => return Err(anyhow!(error).context(unusable())),
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).with_context(unusable)?;
    Ok(Held { _lock: lock })
}

/// Takes the lock, waiting a moment for one that is on its way out: a child that a killed server was about to start holds
/// it until the child's own program begins.
fn take(lock: &File) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < LAST_HOLD => {
                std::thread::sleep(LAST_HOLD / 50)
            }
            taken => return taken,
        }
    }
}

/// Refuses a folder that holds no forge: a command for an existing forge must not quietly make an empty one
/// because of a slip in a path.
pub(crate) fn expect_existing(folder: &Path) -> anyhow::Result<()> {
    if !folder.is_dir() {
        bail!(
            "there is no data folder at {}; name the right one with --data, or make it with `portcullis serve` or \
             `portcullis migrate`",
            folder.display()
        );
    }
    Ok(())
}
