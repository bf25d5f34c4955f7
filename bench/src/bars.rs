//! The bars this version was given. A ratio without a bar is printed for comparison only.

use serde::Serialize;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

impl Bar {
    /// Says whether a value keeps to it.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Bar::AtLeast(bar) => value >= bar,
            Bar::AtMost(bar) => value <= bar,
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bar::AtLeast(bar) => write!(f, "≥ {bar}"),
            Bar::AtMost(bar) => write!(f, "≤ {bar}"),
        }
    }
}

/// Authenticate and decide, median, in microseconds.
pub const ACCESS_MICROSECONDS: Bar = Bar::AtMost(30.0);
/// The same with a million tokens in the table, beside a thousand.
pub const ACCESS_AMONG_A_MILLION: Bar = Bar::AtMost(1.2);
/// `GET /projects/:id` beside the bare handler, in requests a second.
pub const PROJECT_BESIDE_BARE: Bar = Bar::AtLeast(0.35);
/// A list or a repository read over the API, median, in milliseconds.
pub const READ_MILLISECONDS: Bar = Bar::AtMost(5.0);
/// The `git` command that a person would run, beside a repository read over the API, in time.
pub const READ_BESIDE_GIT: Bar = Bar::AtLeast(3.0);
/// A page for people, median, in milliseconds.
pub const PAGE_MILLISECONDS: Bar = Bar::AtMost(10.0);
/// Everything a browser gets to show a page for the first time, in bytes.
pub const FIRST_VIEW_BYTES: Bar = Bar::AtMost(61_440.0);
/// A page that is far away, by keyset, beside the first, in time.
pub const FAR_PAGE: Bar = Bar::AtMost(1.2);
/// Fetch and clone beside `git http-backend`, in requests a second.
pub const FETCH_BESIDE_BACKEND: Bar = Bar::AtLeast(1.3);
/// `ls-remote` beside `git http-backend`, in requests a second.
pub const LS_REMOTE_RATE: Bar = Bar::AtLeast(1.0);
/// `ls-remote` and push beside `git http-backend`, in time.
pub const CLIENT_TIME: Bar = Bar::AtMost(1.0);
/// Growth in memory during a push of 1 GiB, in MiB.
pub const LARGE_PUSH_GROWTH: Bar = Bar::AtMost(64.0);
/// Start to first answer on an existing store, in milliseconds.
pub const START_MILLISECONDS: Bar = Bar::AtMost(50.0);
/// Manifests beside docker-registry, in requests a second.
pub const MANIFEST_BESIDE_REGISTRY: Bar = Bar::AtLeast(8.0);
/// Pulling a blob beside docker-registry, in bytes a second.
pub const PULL_BESIDE_REGISTRY: Bar = Bar::AtLeast(1.0);
/// Pushing blobs beside docker-registry, in bytes a second.
pub const PUSH_BESIDE_REGISTRY: Bar = Bar::AtLeast(1.5);
/// The most memory that pulls and pushes needed, beside docker-registry.
pub const MEMORY_BESIDE_REGISTRY: Bar = Bar::AtMost(1.0);
/// Storing and fetching large files beside plain blobs of the same server, in time.
pub const LFS_BESIDE_BLOBS: Bar = Bar::AtMost(1.2);
/// Growth in memory while large files are stored and fetched, in MiB.
pub const LFS_GROWTH: Bar = Bar::AtMost(64.0);
/// Resident memory when idle, in MiB.
pub const IDLE_MIB: Bar = Bar::AtMost(30.0);
