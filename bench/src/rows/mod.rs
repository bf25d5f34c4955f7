//! What is measured, one file for each subject.

mod access;
mod api;
mod client;
mod creation;
mod fetch;
mod images;
mod large_push;
mod lfs;
mod life;
mod pages;
mod project;
mod reads;

use crate::report::Row;
use crate::run::Stage;

/// The rows, by the names that `--only` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Authenticate and decide, inside the process.
    Access,
    /// Read a project over the API.
    Project,
    /// Lists and repository reads over the API.
    Api,
    /// Pages, as a browser asks for them.
    Pages,
    /// Create tokens.
    Creation,
    /// Git's requests, replayed.
    Fetch,
    /// Git as a person runs it.
    Client,
    /// A push of 1 GiB.
    LargePush,
    /// Images, pushed and pulled.
    Images,
    /// Large files of Git, stored and fetched.
    Lfs,
    /// Start, and memory.
    Life,
}

impl Name {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Name; 11] = [
        Name::Access,
        Name::Project,
        Name::Api,
        Name::Pages,
        Name::Creation,
        Name::Fetch,
        Name::Client,
        Name::LargePush,
        Name::Images,
        Name::Lfs,
        Name::Life,
    ];

    /// Returns what a void row is called.
    pub fn title(self) -> &'static str {
        match self {
            Name::Access => access::TITLE,
            Name::Project => project::TITLE,
            Name::Api => api::TITLE,
            Name::Pages => pages::TITLE,
            Name::Creation => creation::TITLE,
            Name::Fetch => fetch::TITLE,
            Name::Client => client::TITLE,
            Name::LargePush => large_push::TITLE,
            Name::Images => images::TITLE,
            Name::Lfs => lfs::TITLE,
            Name::Life => life::TITLE,
        }
    }

    /// Measures.
    pub fn measure(self, stage: &Stage) -> anyhow::Result<Vec<Row>> {
        match self {
            Name::Access => access::measure(stage),
            Name::Project => project::measure(stage),
            Name::Api => api::measure(stage),
            Name::Pages => pages::measure(stage),
            Name::Creation => creation::measure(stage),
            Name::Fetch => fetch::measure(stage),
            Name::Client => client::measure(stage),
            Name::LargePush => large_push::measure(stage),
            Name::Images => images::measure(stage),
            Name::Lfs => lfs::measure(stage),
            Name::Life => life::measure(stage),
        }
    }
}
