//! The doors: each speaks its own dialect of refusals.

/// A way into the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// The REST API below `/api/v4`.
    Api,
    /// Git over HTTP.
    Git,
    /// Large files of Git (LFS).
    Lfs,
    /// The container registry and its token endpoint.
    Registry,
    /// Files at the addresses that stand in texts.
    Files,
    /// The web pages, for people with a browser.
    Pages,
    /// Health, readiness and metrics, below `/-/`.
    Operations,
}

impl Door {
    /// Returns the door that a routed path belongs to.
    pub fn of(path: &str) -> Option<Door> {
        if path == "/api" || path.starts_with("/api/") {
            Some(Door::Api)
        } else if path.starts_with(crate::paths::GIT_PREFIX) {
            Some(Door::Git)
        } else if path.starts_with(crate::paths::LFS_PREFIX) {
            Some(Door::Lfs)
        } else if crate::registry::paths::is_of_registry(path) {
            Some(Door::Registry)
        } else if path.starts_with(crate::paths::FILES_PREFIX) {
            Some(Door::Files)
        } else if crate::pages::paths::is_of_pages(path) {
            Some(Door::Pages)
        } else if path.starts_with("/-/") {
            Some(Door::Operations)
        } else {
            None
        }
    }

    /// Returns the word used in metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Door::Api => "api",
            Door::Git => "git",
            Door::Lfs => "lfs",
            Door::Registry => "registry",
            Door::Files => "files",
            Door::Pages => "pages",
            Door::Operations => "operations",
        }
    }
}
