//! The statuses of commits: what build servers, scanners and bots found out about them.
//!
//! For each commit, ref and name one status counts. While it is not finished it is changed; afterwards another one takes
//! its place, and the old one stays to be looked at. Reporting the same once more is no error.

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::web_address::{MAX_ADDRESS_BYTES, PAGES, is_address};
use portcullis_store::commit_statuses::{
    self as statuses, CommitStatus, CommitStatusFilter, NewCommitStatus,
};
use portcullis_store::db::{self, Tx};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::commits::resolved;
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::merge_requests::auto_merge;

/// The longest name and the longest description, in characters.
const MAX_TEXT_CHARACTERS: usize = 255;

/// The most statuses a commit has, with those that do not count any more.
const MAX_STATUSES: i64 = 1000;

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing yet: it waits.
    Pending,
    /// Nothing yet: somebody is at it.
    Running,
    /// It is good.
    Success,
    /// It is not.
    Failed,
    /// Nothing: somebody stopped it.
    Canceled,
    /// Nothing: it was left out.
    Skipped,
}

impl State {
    /// Returns the state with this name in GitLab.
    pub fn from_name(name: &str) -> Option<State> {
        Some(match name {
            "pending" => State::Pending,
            "running" => State::Running,
            "success" => State::Success,
            "failed" => State::Failed,
            "canceled" => State::Canceled,
            "skipped" => State::Skipped,
            _ => return None,
        })
    }

    /// Returns its name in GitLab.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Success => "success",
            State::Failed => "failed",
            State::Canceled => "canceled",
            State::Skipped => "skipped",
        }
    }

    fn is_finished(self) -> bool {
        !matches!(self, State::Pending | State::Running)
    }
}

/// A status as reported.
#[derive(Clone, Debug)]
pub struct StatusReport {
    /// What was found out.
    pub state: State,
    /// What was looked at.
    pub name: String,
    /// The branch or tag it is about.
    pub ref_name: Option<String>,
    /// Where more is to be read.
    pub target_url: Option<String>,
    /// A few words about it.
    pub description: Option<String>,
    /// Percent of the code that tests reach.
    pub coverage: Option<f64>,
}

/// What a report does to the status that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It changes it.
    Change,
    /// It takes its place.
    Replace,
    /// It comes too late.
    Refuse,
}

fn step(from: State, to: State) -> Step {
    match (from, to) {
        _ if from == to => Step::Change,
        (State::Running, State::Pending) => Step::Refuse,
        _ if from.is_finished() => Step::Replace,
        _ => Step::Change,
    }
}

fn check(report: &StatusReport) -> Result<(), Error> {
    let mut fields = FieldErrors::default();
    let texts = [
        ("name", Some(&report.name)),
        ("description", report.description.as_ref()),
        ("ref", report.ref_name.as_ref()),
    ];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
        if text.chars().count() > MAX_TEXT_CHARACTERS {
            fields.add(field, format!("is too long (maximum is {MAX_TEXT_CHARACTERS} characters)"));
        }
        if text.contains('\0') {
            fields.add(field, "can't contain NUL characters");
        }
    }
    if report.target_url.as_ref().is_some_and(|address| !is_address(address, PAGES)) {
        let problem = format!(
            "is blocked: Only allowed schemes are http, https, without a user, at most {MAX_ADDRESS_BYTES} bytes"
        );
        fields.add("target_url", problem);
    }
    fields.finish()
}

/// Returns the branch that a status is about when nobody said: the one of the status before it or, failing that, the
/// branch that ends in this commit, the default one before others.
async fn likely_ref<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    sha: &str,
) -> Result<String, Error> {
    let id = access.project().0;
    let default = forge.git().default_branch(id).await?;
    let branches = forge.git().branches(id).await?;
    let ending = branches.iter().filter(|branch| branch.tip.as_str() == sha);
    let mut names: Vec<_> = ending.filter_map(|branch| branch.name.branch()).collect();
    names.sort_by_key(|name| *name != default);
    Ok(names.first().map(|name| (*name).to_owned()).unwrap_or_default())
}

/// Reports what was found out about a commit.
///
/// # Errors
/// [`Error::NotFound`] when there is no such commit; [`Error::Invalid`] for a field; [`Error::Inapplicable`] when the state
/// cannot follow the one that is recorded, or the commit has too many statuses; [`Error::Conflict`] when another report
/// about the same came at the same moment.
pub async fn report(
    forge: &Forge,
    access: &Authorized<act::SetCommitStatus>,
    revision: &str,
    report: StatusReport,
) -> Result<CommitStatus, Error> {
    check(&report)?;
    let commit = resolved(forge, access, revision).await?;
    let sha = commit.id.as_str();
    let likely = match &report.ref_name {
        Some(_) => None,
        None => Some(likely_ref(forge, access, sha).await?),
    };
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let ref_name = match report.ref_name.clone() {
        Some(name) => name,
        None => {
            let known = statuses::find_ref(&mut tx, access.project(), sha, &report.name).await?;
            known.or(likely).unwrap_or_default()
        }
    };
    let status = set(&mut tx, &access, sha, &ref_name, &report, now).await?;
    let awaited = auto_merge::status_arrived(&mut tx, access.project(), sha, now).await?;
    let identity = access.identity()?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "commit_status_set");
        let details = json!({ "sha": sha, "name": report.name, "state": report.state.name() });
        let entry = entry.target("CommitStatus", status.id.0).details(details);
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    tx.commit().await?;
    if awaited {
        forge.jobs_wake().notify_waiters();
    }
    Ok(status)
}

async fn set(
    tx: &mut Tx,
    access: &Authorized<act::SetCommitStatus>,
    sha: &str,
    ref_name: &str,
    report: &StatusReport,
    now: i64,
) -> Result<CommitStatus, Error> {
    let (project, author) = (access.project(), access.identity()?.user);
    let (state, coverage) = (report.state, report.coverage.map(|coverage| coverage.to_string()));
    let current = statuses::lock_current(tx, project, sha, ref_name, &report.name).await?;
    let taken = current.as_ref().map(|status| {
        let from = State::from_name(&status.state).unwrap_or(State::Pending);
        (from, step(from, state))
    });
    let id = match (current, taken) {
        (_, Some((from, Step::Refuse))) => {
            return Err(Error::Inapplicable(format!(
                "Cannot transition status via :enqueue from :{} (Reason(s): Status cannot transition via \"enqueue\")",
                from.name()
            )));
        }
        (Some(status), Some((_, Step::Change))) => {
            let changed = CommitStatus {
                state: state.name().to_owned(),
                target_url: report.target_url.clone().or(status.target_url),
                description: report.description.clone().or(status.description),
                coverage: coverage.or(status.coverage),
                started_at: status.started_at.or((state == State::Running).then_some(now)),
                finished_at: status.finished_at.or(state.is_finished().then_some(now)),
                ..status
            };
            statuses::update(tx, project, &changed, author).await?;
            changed.id
        }
        (old, _) => {
            if statuses::count(tx, project, sha).await? >= MAX_STATUSES {
                let problem = format!("The commit has too many statuses (maximum is {MAX_STATUSES})");
                return Err(Error::Inapplicable(problem));
            }
            if let Some(old) = old {
                statuses::supersede(tx, project, old.id, now).await?;
            }
            let new = NewCommitStatus {
                project,
                author,
                sha,
                ref_name,
                name: &report.name,
                state: state.name(),
                target_url: report.target_url.as_deref(),
                description: report.description.as_deref(),
                coverage: coverage.as_deref(),
                started_at: (state == State::Running).then_some(now),
                finished_at: state.is_finished().then_some(now),
            };
            statuses::insert(tx, &new, now).await.map_err(|error| match error {
                db::Error::Unique { .. } => {
                    Error::Conflict("Resource lock: the same status is being set by somebody else".to_owned())
                }
                other => other.into(),
            })?
        }
    };
    statuses::find(tx, project, id).await?.ok_or(Error::NotFound("Commit Status"))
}

/// Returns what was found out about a commit.
///
/// # Errors
/// [`Error::NotFound`] when there is no such commit.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCommitStatuses>,
    revision: &str,
    filter: &CommitStatusFilter,
    window: Window,
) -> Result<Listing<CommitStatus>, Error> {
    let commit = resolved(forge, access, revision).await?;
    let mut tx = forge.db().read().await?;
    Ok(statuses::list(&mut tx, access.project(), commit.id.as_str(), filter, window).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 6] =
        [State::Pending, State::Running, State::Success, State::Failed, State::Canceled, State::Skipped];

    #[test]
    fn the_same_once_more_changes_nothing_else() {
        for state in ALL {
            assert_eq!(step(state, state), Step::Change);
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_name("created"), None);
    }

    #[test]
    fn what_is_finished_is_replaced_and_what_runs_does_not_wait_again() {
        for state in ALL.into_iter().filter(|state| state.is_finished()) {
            assert_eq!(step(State::Pending, state), Step::Change);
            assert_eq!(step(State::Running, state), Step::Change);
            assert_eq!(step(state, State::Pending), Step::Replace);
            assert_eq!(step(state, State::Running), Step::Replace);
        }
        assert_eq!(step(State::Success, State::Failed), Step::Replace);
        assert_eq!(step(State::Pending, State::Running), Step::Change);
        assert_eq!(step(State::Running, State::Pending), Step::Refuse);
    }
}
