//! Keeps a repository fast and small.
//!
//! Pushes leave one pack each, a small file for each ref, and now and then the debris of one that was interrupted.
//! Here packs are combined so that their sizes form a geometric row, with one index and reachability bitmaps over all of them;
//! refs are packed; the commit graph is extended; and now and then everything is repacked, so that objects nobody
//! reaches any more are set apart and, when they are old enough, deleted.
//!
//! Each step is one git command that replaces files by renaming, so it may be killed at any moment and simply be
//! done again. One housekeeping runs for a repository at a time, in all processes together.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::command::Git;
use crate::disk::{self, blocking};
use crate::process;
use crate::{Error, HousekeepingSettings, refs};

/// The file whose lock says that housekeeping runs. Not named `.lock`: such files are git's, and are swept.
const LOCK_FILE: &str = "housekeeping";

/// The file whose time says when everything was last repacked.
const FULL_REPACK_FILE: &str = "housekeeping-full-repack";

/// How much of what git says is kept, in bytes.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// How many problems a report names.
const MAX_PROBLEMS: usize = 100;

/// What housekeeping did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HousekeepingReport {
    /// Another housekeeping of this repository was running, so nothing was done.
    pub already_running: bool,
    /// The steps taken, in order, by their short names.
    pub steps: Vec<&'static str>,
    /// Stale temporary files, quarantines and locks removed.
    pub stale_files_removed: usize,
}

/// What a full check of a repository found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsckReport {
    /// No object is missing or damaged.
    pub clean: bool,
    /// What git said, a line for each problem, at most a hundred.
    pub problems: Vec<String>,
}

/// Does whatever the state of the repository calls for.
pub(crate) async fn run(
    git: &Git,
    repository: &Path,
    settings: &HousekeepingSettings,
) -> Result<HousekeepingReport, Error> {
    let mut report = HousekeepingReport::default();
    let Some(_lock) = lock(repository)? else {
        report.already_running = true;
        return Ok(report);
    };
    let step = async |arguments: &[&str]| {
        let [subcommand, arguments @ ..] = arguments else { return Ok(()) };
        let call = git.inside(subcommand, repository).args(arguments);
        let finished = process::run(call, None, MAX_OUTPUT_BYTES, settings.step_limit).await?;
        finished.expect_success(&format!("housekeeping, {subcommand}")).map(|_| ())
    };
    let look = async || {
        let repository = repository.to_owned();
        blocking(move || Shape::of(&repository)).await
    };

    report.stale_files_removed = {
        let (repository, settings) = (repository.to_owned(), settings.clone());
        blocking(move || sweep(&repository, &settings)).await?
    };

    let shape = look().await?;
    if shape.loose_refs > settings.max_loose_refs {
        step(&["pack-refs", "--all"]).await?;
        report.steps.push("pack-refs");
    }

    let full = shape.full_repack_is_due(settings.full_repack_every);
    if full {
        let expiry = format!("--cruft-expiration={}.seconds.ago", settings.prune_after.as_secs());
        step(&["repack", "--cruft", &expiry, "-d", "-l", "-q", "--write-midx", "--write-bitmap-index"])
            .await?;
        touch(&repository.join(FULL_REPACK_FILE))?;
        report.steps.push("full-repack");
    } else if shape.packs > 0 && (!shape.has_index_of_packs || shape.new_packs > settings.max_packs) {
        step(&["repack", "--geometric=2", "-d", "-l", "-q", "--write-midx", "--write-bitmap-index"]).await?;
        report.steps.push("geometric-repack");
    } else if shape.loose_objects > settings.max_loose_objects {
        step(&["repack", "-d", "-l", "-q", "--no-write-bitmap-index"]).await?;
        report.steps.push("loose-repack");
    }

    let shape = look().await?;
    if shape.packs > 0 && shape.commit_graph_is_behind {
        // After a full repack the chain may name commits that are gone.
        let split = if full { "--split=replace" } else { "--split" };
        let how = ["--reachable", "--changed-paths", split, "--size-multiple=4", "--no-progress"];
        step(&[&["commit-graph", "write"], how.as_slice()].concat()).await?;
        report.steps.push("commit-graph");
    }
    Ok(report)
}

/// Checks every object.
pub(crate) async fn fsck(git: &Git, repository: &Path, limit: Duration) -> Result<FsckReport, Error> {
    let call = git.inside("fsck", repository).args(["--full", "--no-dangling", "--no-progress"]);
    let finished = process::run(call, None, MAX_OUTPUT_BYTES, limit).await?;
    let said = String::from_utf8_lossy(&finished.output);
    // An empty repository is told that its HEAD is unborn; that is a notice.
    let problem = |line: &&str| !line.starts_with("notice: ");
    let problems = said.lines().chain(finished.errors.lines()).filter(problem).take(MAX_PROBLEMS);
    Ok(FsckReport { clean: finished.status.success(), problems: problems.map(str::to_owned).collect() })
}

/// Takes the lock, unless somebody else holds it. The system releases it when the holder dies.
fn lock(repository: &Path) -> Result<Option<File>, Error> {
    let file = File::options().create(true).append(true).open(repository.join(LOCK_FILE));
    let file = file.map_err(Error::io("locking a repository for housekeeping"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(Error::io("locking a repository for housekeeping")(error.into())),
    }
}

fn touch(path: &Path) -> Result<(), Error> {
    let doing = || Error::io("noting a full repack");
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing()(error)),
        _ => {}
    }
    File::create(path).map_err(doing()).map(|_| ())
}

/// What a repository looks like on disk, as far as it decides what to do.
#[derive(Debug)]
struct Shape {
    now: SystemTime,
    loose_objects: usize,
    loose_refs: usize,
    /// Packs of reachable objects.
    packs: usize,
    /// Those that are younger than the index over all packs.
    new_packs: usize,
    /// Packs of unreachable objects.
    cruft_packs: usize,
    has_index_of_packs: bool,
    commit_graph_is_behind: bool,
    /// When everything was last repacked, or when the repository was made.
    last_full_repack: SystemTime,
}

impl Shape {
    fn of(repository: &Path) -> Result<Shape, Error> {
        let doing = || Error::io("looking at a repository");
        let objects = repository.join("objects");
        let now = disk::file_system_time(repository).map_err(doing())?;
        let index_of_packs = modified(&objects.join("pack/multi-pack-index"));
        let graph = modified(&objects.join("info/commit-graphs/commit-graph-chain"))
            .or_else(|| modified(&objects.join("info/commit-graph")));
        let last_full_repack = modified(&repository.join(FULL_REPACK_FILE))
            .or_else(|| modified(&repository.join("config")))
            .unwrap_or(now);
        let mut shape = Shape {
            now,
            loose_objects: 0,
            loose_refs: refs::count_loose(repository),
            packs: 0,
            new_packs: 0,
            cruft_packs: 0,
            has_index_of_packs: index_of_packs.is_some(),
            commit_graph_is_behind: graph.is_none(),
            last_full_repack,
        };
        for path in listing(&objects.join("pack")).map_err(doing())? {
            if path.extension().is_none_or(|extension| extension != "pack") {
                continue;
            }
            if path.with_extension("mtimes").exists() {
                shape.cruft_packs += 1;
                continue;
            }
            shape.packs += 1;
            let made = modified(&path);
            if made > index_of_packs {
                shape.new_packs += 1;
            }
            shape.commit_graph_is_behind |= made > graph;
        }
        for folder in listing(&objects).map_err(doing())? {
            if folder.file_name().is_some_and(|name| name.len() == 2) {
                shape.loose_objects += listing(&folder).map_err(doing())?.len();
            }
        }
        Ok(shape)
    }

    fn full_repack_is_due(&self, every: Duration) -> bool {
        let something_to_gain = self.packs > 1 || self.cruft_packs > 0 || self.loose_objects > 0;
        something_to_gain && age(self.now, Some(self.last_full_repack)).is_some_and(|age| age >= every)
    }
}

/// Removes what interrupted work has left behind, once it is too old to belong to anything that still runs. Returns how
/// many files and folders went.
fn sweep(repository: &Path, settings: &HousekeepingSettings) -> Result<usize, Error> {
    let doing = || Error::io("sweeping a repository");
    let now = disk::file_system_time(repository).map_err(doing())?;
    let stale = |path: &Path, after: Duration| age(now, newest_below(path)).is_some_and(|age| age >= after);
    let objects = repository.join("objects");
    let mut removed = 0;
    let mut folders = vec![repository.to_owned(), repository.join("refs"), objects.clone()];
    while let Some(folder) = folders.pop() {
        let is_objects = folder.starts_with(&objects);
        let is_refs = folder.starts_with(repository.join("refs"));
        for path in listing(&folder).map_err(doing())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir());
            let gone = if is_folder {
                if folder == objects && disk::is_quarantine(Path::new(name)) {
                    stale(&path, settings.stale_temporary_after) && fs::remove_dir_all(&path).is_ok()
                } else {
                    if is_objects || is_refs {
                        folders.push(path);
                    }
                    continue;
                }
            } else if name.ends_with(".lock") {
                stale(&path, settings.stale_lock_after) && fs::remove_file(&path).is_ok()
            } else if !is_refs && (name.starts_with("tmp_") || name.starts_with(".tmp-"))
                || is_left_keep(&path)
            {
                stale(&path, settings.stale_temporary_after) && fs::remove_file(&path).is_ok()
            } else {
                false
            };
            removed += usize::from(gone);
        }
    }
    Ok(removed)
}

/// Says whether this is the mark by which a push protects its pack until its refs have moved. A push that was killed
/// leaves it, and then no repack would ever touch the pack.
fn is_left_keep(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "keep")
        && fs::read(path).is_ok_and(|text| text.starts_with(b"receive-pack "))
}

/// Returns the latest time of change of a file, or of anything in a folder.
fn newest_below(path: &Path) -> Option<SystemTime> {
    let mut newest = modified(path);
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in listing(&folder).unwrap_or_default() {
            newest = newest.max(modified(&path));
            folders.push(path);
        }
    }
    newest
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|data| data.modified()).ok()
}

fn age(now: SystemTime, then: Option<SystemTime>) -> Option<Duration> {
    now.duration_since(then?).ok()
}

/// Lists a folder; one that is not there, or is a file, is empty.
fn listing(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}
