//! `portcullis registry`: what an operator does about the content of the container registry. The server may run meanwhile.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use portcullis_app::Error;
use portcullis_app::registry::ImageError;
use portcullis_app::registry::garbage::{self, Collected};
use portcullis_app::registry::verification::{self, Damaged, Fault, Verified};

use crate::arguments::{RegistryCollect, RegistryVerify};
use crate::{config::Configuration, forge, output};

/// How often progress is told on a terminal, and elsewhere.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Removes what no image needs, and prints what it was.
pub(crate) fn collect(arguments: &RegistryCollect) -> anyhow::Result<()> {
    let settings = Configuration::load_at(&arguments.place)?.settings;
    if settings.registry_read_only && !arguments.dry_run {
        bail!("the registry takes no changes: `registry_read_only` is set");
    }
    let mut progress = Progress::new();
    let collected = forge::for_task(&arguments.place, async |forge| {
        let mut tell = |so_far: &Collected| progress.tell(|| collected_in_words(so_far));
        garbage::collect(forge, arguments.dry_run, &mut tell).await.map_err(plain)
    });
    progress.end();
    let verb = if arguments.dry_run { "would be removed" } else { "removed" };
    output::print(&format!("{verb}: {}\n", collected_in_words(&collected?)))
}

fn collected_in_words(collected: &Collected) -> String {
    let Collected { large_files, links, blobs, bytes, strays, uploads } = collected;
    let content = blobs + strays;
    format!(
        "{content} blobs of {bytes} bytes ({strays} of them on no record), {links} links to them, {uploads} uploads, \
         {large_files} large files"
    )
}

/// Reads every blob, and prints those that are not what they should be.
pub(crate) fn verify(arguments: &RegistryVerify) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let damaged = if arguments.remove_damaged { Damaged::IsRemoved } else { Damaged::IsReported };
    let verified = forge::for_task(&arguments.place, async |forge| {
        let mut tell = |so_far: &Verified| progress.tell(|| verified_in_words(so_far));
        verification::verify(forge, damaged, &mut tell).await.map_err(plain)
    });
    progress.end();
    let verified = verified?;
    let mut text = String::new();
    for (digest, fault) in &verified.faults {
        let fault = match fault {
            Fault::Damaged => "damaged",
            Fault::Missing => "missing",
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{fault}  {digest}");
    }
    let _ = writeln!(text, "{} blobs of {} bytes were read", verified.blobs, verified.bytes);
    output::print(&text)?;
    let count = |wanted: Fault| verified.faults.iter().filter(|(_, fault)| *fault == wanted).count();
    match (count(Fault::Damaged), count(Fault::Missing)) {
        (0, 0) => Ok(()),
        (damaged, missing) => bail!("{damaged} blobs are damaged and {missing} are missing"),
    }
}

fn verified_in_words(verified: &Verified) -> String {
    let Verified { of_blobs, of_bytes, blobs, bytes, faults, .. } = verified;
    format!("{blobs} of {of_blobs} blobs, {bytes} of {of_bytes} bytes, {} faults", faults.len())
}

fn plain(error: ImageError) -> Error {
    match error {
        ImageError::Forge(error) => error,
        other => Error::Internal(Box::new(other)),
    }
}

/// How far a command has come, on standard error: one line that changes on a terminal, a line now and then elsewhere.
struct Progress {
    terminal: bool,
    told: Instant,
    /// How long the line on the terminal is.
    width: usize,
}

impl Progress {
    fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), told: Instant::now(), width: 0 }
    }

    fn tell(&mut self, words: impl FnOnce() -> String) {
        let pause = if self.terminal { ON_TERMINAL } else { ELSEWHERE };
        if self.told.elapsed() < pause {
            return;
        }
        let now = Instant::now();
        self.told = now;
        let words = words();
        let mut errors = io::stderr().lock();
        // Who does not listen misses nothing else.
        let _ = if self.terminal {
            write!(errors, "\r{words:width$}", width = self.width)
        } else {
            writeln!(errors, "{words}")
        };
        let _ = errors.flush();
        self.width = words.chars().count();
    }

    /// Clears the line of a terminal.
    fn end(&mut self) {
        if self.terminal && self.width > 0 {
            let _ = write!(io::stderr().lock(), "\r{:width$}\r", "", width = self.width);
        }
    }
}
