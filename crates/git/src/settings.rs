//! Everything an operator can change about the engine. Nothing here is read from the environment.

use std::path::PathBuf;
use std::time::Duration;

/// How the engine runs. [`Settings::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder that holds all repositories. Made with mode 0700 when it is missing.
    pub root: PathBuf,
    /// The `git` to run: an absolute path, or a name that is looked for in `search_path`.
    pub git: PathBuf,
    /// The value of `PATH` for git and its own children, colon-separated.
    pub search_path: String,
    /// The program git runs as its hook, with the arguments `hook` and `pre-receive`. It must call [`crate::hook::run`]
    /// when [`crate::hook::is_meant`] says so.
    pub hook_program: PathBuf,
    /// How many exchanges may run at once in the whole engine.
    pub max_processes: usize,
    /// How many exchanges may run at once for one repository.
    pub max_per_repository: usize,
    /// How many exchanges may wait for their turn. One repository can fill at most half of it.
    pub queue_length: usize,
    /// How long an exchange may wait for its turn.
    pub queue_wait: Duration,
    /// The largest pack a push may send, in bytes; `None` is without limit.
    pub max_push_bytes: Option<u64>,
    /// The largest body of a fetch request, in bytes after inflation.
    pub max_fetch_request_bytes: u64,
    /// How much the answers to repeated fetches may take on disk and in memory together, in bytes; 0 keeps none. One
    /// answer may take a quarter of it.
    pub answer_cache_bytes: u64,
    /// How long an answer is kept, and how soon a request must be repeated for its answer to be kept.
    pub answer_lifetime: Duration,
    /// What stands before each line that a judge shows to the person who pushes.
    pub message_prefix: String,
    /// How long an advertisement may take.
    pub advertisement_limit: Duration,
    /// How long one fetch exchange may take in all, and how long a client may take to read a kept answer.
    pub fetch_limit: Duration,
    /// How long an exchange may go on without moving a byte in either direction. Git sends a keep-alive every five
    /// seconds while it works, so a healthy exchange never comes near this. A client that reads a kept answer may not
    /// rest longer either.
    pub idle_limit: Duration,
    /// How long git may stay alive after it has closed its output, and how long an accepted push may go on after
    /// its client has gone.
    pub exit_limit: Duration,
    /// How many threads one pack may be compressed or indexed with.
    pub pack_threads: usize,
    /// When housekeeping acts, and what it removes.
    pub housekeeping: HousekeepingSettings,
}

/// When housekeeping acts, and what it removes.
#[derive(Clone, Debug)]
pub struct HousekeepingSettings {
    /// More loose objects than this are gathered into a pack.
    pub max_loose_objects: usize,
    /// More ordinary packs than this are combined.
    pub max_packs: usize,
    /// More loose refs than this are packed.
    pub max_loose_refs: usize,
    /// Objects that nothing has reached for this long are deleted. Never set it below a day: objects of a push that is
    /// still running are protected by their age alone.
    pub prune_after: Duration,
    /// A full repack, which sorts unreachable objects out, happens at most this often.
    pub full_repack_every: Duration,
    /// Temporary files and quarantines of interrupted pushes are removed when they are this old.
    pub stale_temporary_after: Duration,
    /// Lock files are removed when they are this old.
    pub stale_lock_after: Duration,
    /// How long one step of housekeeping may take.
    pub step_limit: Duration,
}

impl Settings {
    /// Returns the defaults for repositories in `root`, with `hook_program` as the program git runs as its hooks.
    pub fn new(root: impl Into<PathBuf>, hook_program: impl Into<PathBuf>) -> Settings {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Settings {
            root: root.into(),
            git: PathBuf::from("git"),
            search_path: String::from("/usr/local/bin:/usr/bin:/bin"),
            hook_program: hook_program.into(),
            max_processes: (processors * 4).max(8),
            max_per_repository: (processors * 2).max(4),
            queue_length: 256,
            queue_wait: Duration::from_secs(30),
            max_push_bytes: None,
            max_fetch_request_bytes: 10 * 1024 * 1024,
            answer_cache_bytes: 512 * 1024 * 1024,
            answer_lifetime: Duration::from_secs(5 * 60),
            message_prefix: String::from("Portcullis: "),
            advertisement_limit: Duration::from_secs(5 * 60),
            fetch_limit: Duration::from_secs(4 * 60 * 60),
            idle_limit: Duration::from_secs(5 * 60),
            exit_limit: Duration::from_secs(10),
            pack_threads: (processors.ilog2() as usize).max(1),
            housekeeping: HousekeepingSettings::default(),
        }
    }
}

impl Default for HousekeepingSettings {
    fn default() -> HousekeepingSettings {
        let day = Duration::from_secs(24 * 60 * 60);
        HousekeepingSettings {
            max_loose_objects: 1024,
            max_packs: 8,
            max_loose_refs: 16,
            prune_after: 14 * day,
            full_repack_every: 5 * day,
            stale_temporary_after: day,
            stale_lock_after: Duration::from_secs(60 * 60),
            step_limit: Duration::from_secs(60 * 60),
        }
    }
}
