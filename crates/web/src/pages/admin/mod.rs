//! Administration: what the instance is, who uses it, what happened in it, and whether it is well. For administrators only;
//! to everybody else none of it is there.

pub mod audit;
pub mod jobs;
pub mod projects;
pub mod settings;
pub mod users;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::instance::{self, Answer};
use portcullis_app::people::{self, Statistics};
use portcullis_app::records::db::Engine;
use portcullis_app::settings::Edition;
use portcullis_rules::access::act;

use super::words;
use super::{Around, PageResult, html};
use crate::AppState;
use crate::api::version::GITLAB_VERSION;

/// With less room than this in the data folder, somebody should look: 1 GiB.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wellness {
    Good,
    Warn,
    Bad,
}

impl Wellness {
    fn class(self) -> &'static str {
        match self {
            Wellness::Good => "good",
            Wellness::Warn => "warn",
            Wellness::Bad => "bad",
        }
    }
}

/// Something that the forge stands on.
struct Pillar {
    name: &'static str,
    wellness: Wellness,
    word: &'static str,
    says: String,
    address: Option<&'static str>,
}

impl Pillar {
    fn of(name: &'static str, answer: Answer, says: String) -> Pillar {
        let (wellness, word) = match answer {
            Answer::Came => (Wellness::Good, "Answers"),
            Answer::Failed => (Wellness::Bad, "Fails"),
            Answer::Late => (Wellness::Bad, "Does not answer"),
        };
        Pillar { name, wellness, word, says, address: None }
    }
}

#[derive(Template)]
#[template(path = "admin_overview.html")]
struct OverviewPage {
    around: Around,
    version: &'static str,
    gitlab_version: &'static str,
    edition: &'static str,
    edition_says: &'static str,
    counts: Statistics,
    pillars: Vec<Pillar>,
}

fn pillars(health: instance::Health) -> Vec<Pillar> {
    let database = match health.engine {
        Engine::Sqlite => "SQLite in the data folder",
        Engine::Postgres => "PostgreSQL",
    };
    let free = health.data.free_bytes;
    let (wellness, word) = match (health.data.writable, free) {
        (false, _) => (Wellness::Bad, "Not writable"),
        (true, Some(free)) if free < LITTLE_ROOM => (Wellness::Warn, "Little room"),
        (true, _) => (Wellness::Good, "Writable"),
    };
    let free =
        free.map_or_else(|| "free space unknown".to_owned(), |free| format!("{} free", words::bytes(free)));
    let data = Pillar {
        name: "Data folder",
        wellness,
        word,
        says: format!("{}, {free}", health.data.path.display()),
        address: None,
    };
    let git = Pillar {
        name: "Git",
        wellness: Wellness::Good,
        word: "Found",
        says: format!(
            "git {}, {} exchanges running, {} waiting",
            health.git_version, health.git_running, health.git_waiting
        ),
        address: None,
    };
    let place = health.blobs.bucket.unwrap_or_else(|| "in the data folder".to_owned());
    let (wellness, word, says) = match health.jobs {
        None => (Wellness::Bad, "Unknown", "The database does not answer".to_owned()),
        Some(jobs) => {
            let says = format!("{} waiting, {} running, {} failed", jobs.waiting, jobs.running, jobs.failed);
            if jobs.failed > 0 { (Wellness::Warn, "Look", says) } else { (Wellness::Good, "Well", says) }
        }
    };
    vec![
        Pillar::of("Database", health.database, database.to_owned()),
        data,
        git,
        Pillar::of("Blob store", health.blobs.answer, place),
        Pillar { name: "Job queue", wellness, word, says, address: Some("/admin/jobs") },
    ]
}

/// Answers what the instance is and how it is.
pub async fn show(
    access: Authorized<act::ReadStatistics>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (edition, edition_says) = match state.forge.settings().edition {
        Edition::SelfManaged => ("Self-managed", "Every namespace has every feature, whatever its plan."),
        Edition::Saas => (
            "SaaS",
            "Creating access tokens of projects and groups needs a top-level namespace with the plan Premium or Ultimate.",
        ),
    };
    let health = instance::health(&state.forge, &access.also::<act::ReadMetrics>()?).await;
    let page = OverviewPage {
        version: env!("CARGO_PKG_VERSION"),
        gitlab_version: GITLAB_VERSION,
        edition,
        edition_says,
        counts: people::statistics(&state.forge, &access).await?,
        pillars: pillars(health),
        around: around.of(&state, access.viewer()).await?,
    };
    Ok(html(StatusCode::OK, &page))
}
