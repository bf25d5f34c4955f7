//! Administration › Background jobs: what waits, what runs, and what failed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::jobs::queue;
use portcullis_app::records::jobs::{JobCounts, JobRecord, JobState};
use portcullis_app::records::select::Window;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::act;
use portcullis_rules::id::JobId;
use serde_json::Value;

use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pages::form::Form;
use crate::pages::words::Moment;
use crate::pages::{Around, PageError, PageResult, Pages, html, see_other};

/// How many jobs a page shows.
const PER_PAGE: i64 = 50;

/// The longest text of what a job is about, and of why it failed, in characters.
const MAX_SHOWN_CHARACTERS: usize = 500;

struct JobView {
    id: i64,
    kind: String,
    about: String,
    state: (&'static str, &'static str),
    failed: bool,
    running: bool,
    attempts: i64,
    asked: Moment,
    next: Moment,
    error: Option<String>,
}

/// Returns what a job is about: the ids in its payload.
fn about(payload: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(payload) else { return String::new() };
    let said = fields.iter().filter(|(name, _)| *name != "job").filter_map(|(name, value)| match value {
        Value::Number(number) => Some(format!("{} {number}", name.replace('_', " "))),
        _ => None,
    });
    said.collect::<Vec<_>>().join(", ")
}

/// Returns what kind of job it is, as people write it.
fn kind(stored: &str) -> String {
    let words = stored.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

impl JobView {
    fn of(job: JobRecord) -> JobView {
        JobView {
            id: job.id.0,
            about: about(&job.payload),
            kind: kind(&job.kind),
            state: match job.state {
                JobState::Waiting => ("Waiting", ""),
                JobState::Running => ("Running", "accent"),
                JobState::Failed => ("Failed", "warn"),
            },
            failed: job.state == JobState::Failed,
            running: job.state == JobState::Running,
            attempts: job.attempts,
            asked: Moment::at(job.created_at),
            next: Moment::at(job.run_at),
            error: job.last_error.map(|error| error.chars().take(MAX_SHOWN_CHARACTERS).collect()),
        }
    }
}

#[derive(Template)]
#[template(path = "admin_jobs.html")]
struct JobsPage {
    around: Around,
    counts: JobCounts,
    show: &'static str,
    jobs: Vec<JobView>,
    may_retry: bool,
    pages: Option<Pages>,
}

const ADDRESS: &str = "/admin/jobs";

/// Answers the jobs there are.
pub async fn list(
    access: Authorized<act::ReadJobs>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (show, wanted) = match around.query("show") {
        "waiting" => ("waiting", Some(JobState::Waiting)),
        "running" => ("running", Some(JobState::Running)),
        "failed" => ("failed", Some(JobState::Failed)),
        _ => ("", None),
    };
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = queue::list(&state.forge, &access, wanted, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| {
        format!("{ADDRESS}?show={show}&page={page}")
    });
    let page = JobsPage {
        counts: queue::counts(&state.forge, &access).await?,
        may_retry: access.also::<act::RetryJob>().is_ok(),
        jobs: found.map(JobView::of).items,
        around: around.of(&state, access.viewer()).await?,
        show,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Has a job that failed tried again at once.
pub async fn retry(
    access: Authorized<act::RetryJob>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = path_text(&path, "job_id").parse().map(JobId).map_err(|_| PageError::NotFound)?;
    let said = match queue::retry(&state.forge, &access, id).await {
        Ok(()) => "The job is tried again now.",
        // It was tried meanwhile, and is done or at it.
        Err(Error::NotFound(_)) => "The job is done already, or is being tried at this moment.",
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(ADDRESS))
}

#[cfg(test)]
mod tests {
    use super::{about, kind};

    #[test]
    fn a_kind_is_written_as_people_do() {
        assert_eq!((kind("delete_project").as_str(), kind("").as_str()), ("Delete project", ""));
    }

    #[test]
    fn what_a_job_is_about_is_said_with_the_ids_in_its_payload() {
        for (payload, said) in [
            (r#"{"job":"delete_project","project":7}"#, "project 7"),
            (r#"{"job":"tell_of_push","event":3,"project":7,"user":2}"#, "event 3, project 7, user 2"),
            (r#"{"job":"expiry"}"#, ""),
            (r#"{"job":"x","words":"secret","list":[1]}"#, ""),
            ("no json", ""),
        ] {
            assert_eq!(about(payload), said);
        }
    }
}
