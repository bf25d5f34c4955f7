//! Background jobs: asked for inside a transaction, run after it, as often as needed.
//!
//! Nothing that must hold waits for a job. Every job is idempotent: it may be cut off anywhere and run again.

mod expiry;
mod ghost_user;
mod images;
mod pushes;
pub mod queue;
mod removal;

use std::sync::Arc;
use std::time::Duration;

use portcullis_rules::id::{ContainerRepositoryId, EventId, NamespaceId, ProjectId, TokenId, UserId};
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::db::Tx;
use portcullis_store::jobs as table;
use portcullis_store::{container_uploads, projects};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::Error;
use crate::forge::Forge;
use crate::merge_requests::refresh::{self, FollowedPush};
use crate::merge_requests::{auto_merge, merging};
use crate::registry::cleanup::{self, SelectionWords};
use crate::registry::repositories;
use crate::webhooks::{calls, occasions};

/// Work to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub(crate) enum Job {
    /// Move a user's records to the Ghost User and delete the user.
    GhostUser {
        /// The user.
        user: UserId,
        /// Who caused it.
        initiator: Option<UserId>,
    },
    /// Delete a project that is hidden already: repository and records.
    DeleteProject {
        /// The project.
        project: ProjectId,
    },
    /// Delete a group that is hidden already, once its projects are gone.
    DeleteGroup {
        /// The group.
        group: NamespaceId,
    },
    /// Find out what a push brought, for the activity feed.
    DescribePush {
        /// The project.
        project: ProjectId,
        /// The entry.
        event: EventId,
    },
    /// Write down the calls of web hooks that are about a push.
    TellOfPush {
        /// The project.
        project: ProjectId,
        /// Who pushed.
        user: UserId,
        /// The entry in the feed.
        event: EventId,
    },
    /// Do what follows from a push for the merge requests from and into its branches.
    FollowPush(FollowedPush),
    /// Look at the branches of a merge request.
    RefreshMergeRequest {
        /// The project.
        project: ProjectId,
        /// Its number.
        iid: i64,
    },
    /// Take away the ref of a merge request that was deleted.
    ForgetMergeRequest {
        /// The project.
        project: ProjectId,
        /// The number it had.
        iid: i64,
    },
    /// Merge a merge request that waits for its statuses, if they are good.
    AutoMerge {
        /// The project.
        project: ProjectId,
        /// Its number.
        iid: i64,
    },
    /// Remove the source branch of a merge request that was merged.
    RemoveSourceBranch {
        /// The project.
        project: ProjectId,
        /// Its number.
        iid: i64,
        /// Who merged it.
        user: UserId,
        /// With which credential.
        token: TokenId,
    },
    /// Write down the calls of web hooks that are about a merge request that was merged, and the issues closed with it.
    TellOfMerge {
        /// The project.
        project: ProjectId,
        /// Its number.
        iid: i64,
        /// Who merged it.
        user: UserId,
        /// The numbers of the issues.
        closed: Vec<i64>,
    },
    /// Keep a repository fast and small.
    Housekeeping {
        /// The project.
        project: ProjectId,
    },
    /// Delete an image repository that is hidden already.
    DeleteContainerRepository {
        /// The repository.
        repository: ContainerRepositoryId,
    },
    /// Delete tags that somebody selected.
    DeleteTags(DeleteTags),
    /// Run the cleanup policy of a project.
    CleanUpImages {
        /// The project.
        project: ProjectId,
    },
    /// Begin the cleanup policies that are due.
    CleanupPolicies,
    /// Remove content that no image needs.
    CollectGarbage,
    /// Clean up after what ended by date.
    Expiry,
    /// Settle pushes whose server died.
    SettlePushes,
    /// Look over every repository, and empty the trash.
    TidyRepositories,
}

/// Which tags are to be deleted, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeleteTags {
    /// The project.
    pub project: ProjectId,
    /// The repository.
    pub repository: ContainerRepositoryId,
    /// Which of its tags.
    pub selection: SelectionWords,
    /// Who asked.
    pub user: UserId,
    /// With which credential.
    pub token: TokenId,
    /// From where.
    pub address: Option<String>,
}

impl Job {
    fn kind(&self) -> &'static str {
        match self {
            Job::GhostUser { .. } => "ghost_user",
            Job::DeleteProject { .. } => "delete_project",
            Job::DeleteGroup { .. } => "delete_group",
            Job::DescribePush { .. } => "describe_push",
            Job::TellOfPush { .. } => "tell_of_push",
            Job::FollowPush(_) => "follow_push",
            Job::RefreshMergeRequest { .. } => "refresh_merge_request",
            Job::ForgetMergeRequest { .. } => "forget_merge_request",
            Job::AutoMerge { .. } => "auto_merge",
            Job::RemoveSourceBranch { .. } => "remove_source_branch",
            Job::TellOfMerge { .. } => "tell_of_merge",
            Job::Housekeeping { .. } => "housekeeping",
            Job::DeleteContainerRepository { .. } => "delete_container_repository",
            Job::DeleteTags(_) => "delete_tags",
            Job::CleanUpImages { .. } => "clean_up_images",
            Job::CleanupPolicies => "cleanup_policies",
            Job::CollectGarbage => "collect_garbage",
            Job::Expiry => "expiry",
            Job::SettlePushes => "settle_pushes",
            Job::TidyRepositories => "tidy_repositories",
        }
    }

    /// Two waiting jobs with the same key are one.
    fn key(&self) -> String {
        match self {
            Job::GhostUser { user, .. } => format!("ghost_user:{user}"),
            Job::DeleteProject { project } => format!("delete_project:{project}"),
            Job::DeleteGroup { group } => format!("delete_group:{group}"),
            Job::DescribePush { event, .. } => format!("describe_push:{event}"),
            Job::TellOfPush { event, .. } => format!("tell_of_push:{event}"),
            Job::FollowPush(followed) => format!("follow_push:{}", followed.push),
            Job::RefreshMergeRequest { project, iid }
            | Job::ForgetMergeRequest { project, iid }
            | Job::AutoMerge { project, iid }
            | Job::RemoveSourceBranch { project, iid, .. }
            | Job::TellOfMerge { project, iid, .. } => format!("{}:{project}:{iid}", self.kind()),
            Job::Housekeeping { project } => format!("housekeeping:{project}"),
            Job::DeleteContainerRepository { repository } => {
                format!("delete_container_repository:{repository}")
            }
            Job::DeleteTags(asked) => format!("delete_tags:{}", asked.repository),
            Job::CleanUpImages { project } => format!("clean_up_images:{project}"),
            Job::CleanupPolicies
            | Job::CollectGarbage
            | Job::Expiry
            | Job::SettlePushes
            | Job::TidyRepositories => self.kind().to_owned(),
        }
    }
}

/// Asks for a job as soon as the transaction is committed.
pub(crate) async fn ask(tx: &mut Tx, job: &Job, now: i64) -> Result<(), Error> {
    ask_at(tx, job, now, now).await
}

/// Asks for a job at `run_at`.
pub(crate) async fn ask_at(tx: &mut Tx, job: &Job, run_at: i64, now: i64) -> Result<(), Error> {
    let payload = serde_json::to_string(job).map_err(|error| Error::Internal(Box::new(error)))?;
    table::insert(tx, job.kind(), &payload, Some(&job.key()), run_at, now).await?;
    Ok(())
}

/// How long a worker holds a job before another may take it.
const LEASE: i64 = 30 * MICROSECONDS;

/// How often a running job's lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// The longest sleep when nothing is known to be due: other processes may have asked for work.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How often the recurring jobs are asked for.
const RECUR_EVERY: Duration = Duration::from_secs(3600);

/// How often uses of tokens are written down, and pushes looked for that nobody recorded.
const CATCH_UP_EVERY: Duration = Duration::from_secs(20);

/// How many jobs run at once in one process.
const WORKERS: usize = 2;

/// How many web hooks are called at once in one process. They wait for others, so they have workers of their own.
const CALLERS: usize = 4;

/// The running workers. Dropping it stops them; what they were doing is done again later.
#[derive(Debug)]
pub struct Workers(Vec<JoinHandle<()>>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.0 {
            worker.abort();
        }
    }
}

/// Starts the workers.
///
/// `alone` says that no other process serves this data folder and database, so that jobs leased by a process that died,
/// and uploads that it claimed, can be taken over at once.
pub fn start(forge: &Arc<Forge>, alone: bool) -> Workers {
    let mut handles = Vec::new();
    let recurring = Arc::clone(forge);
    handles.push(tokio::spawn(async move {
        if alone && let Err(error) = release(&recurring).await {
            tracing::error!(%error, "jobs of the previous process could not be taken over");
        }
        loop {
            if let Err(error) = ask_recurring(&recurring).await {
                tracing::error!(%error, "the recurring jobs could not be asked for");
            }
            recurring.jobs_wake().notify_waiters();
            tokio::time::sleep(RECUR_EVERY).await;
        }
    }));
    let late = Arc::clone(forge);
    handles.push(tokio::spawn(async move {
        loop {
            tokio::time::sleep(CATCH_UP_EVERY).await;
            if let Err(error) = late.write_last_uses().await {
                tracing::warn!(%error, "uses of tokens could not be written down");
            }
            if let Err(error) = ask_to_settle(&late).await {
                tracing::warn!(%error, "unrecorded pushes could not be looked for");
            }
        }
    }));
    for _ in 0..WORKERS {
        let forge = Arc::clone(forge);
        handles.push(tokio::spawn(async move { work(&forge).await }));
    }
    for _ in 0..CALLERS {
        let forge = Arc::clone(forge);
        handles.push(tokio::spawn(async move { call(&forge).await }));
    }
    Workers(handles)
}

/// Makes the calls of web hooks.
async fn call(forge: &Arc<Forge>) {
    loop {
        let wake = forge.jobs_wake().notified();
        match calls::make_next(forge).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "no call of a web hook could be made"),
        }
        let _ = tokio::time::timeout(LONGEST_SLEEP, wake).await;
    }
}

async fn release(forge: &Forge) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    table::release_all(&mut tx).await?;
    container_uploads::release_all(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

async fn ask_recurring(forge: &Forge) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    for job in
        [Job::Expiry, Job::SettlePushes, Job::TidyRepositories, Job::CleanupPolicies, Job::CollectGarbage]
    {
        ask(&mut tx, &job, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Asks for the pushes to be settled that are not recorded yet. Git may have gone on with one after its server died, and
/// have moved the refs when the next server had already looked.
async fn ask_to_settle(forge: &Forge) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let none = portcullis_store::pushes::unsettled_after(&mut tx, 0).await?.is_empty();
    drop(tx);
    if none {
        return Ok(());
    }
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    ask(&mut tx, &Job::SettlePushes, now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

async fn work(forge: &Arc<Forge>) {
    loop {
        // Listen before looking, so that a call in between is not missed.
        let wake = forge.jobs_wake().notified();
        match run_next(forge).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "no job could be taken"),
        }
        let _ = tokio::time::timeout(LONGEST_SLEEP, wake).await;
    }
}

/// Runs every job that is due, those that they ask for, and then every call of a web hook that is due, in the caller's own
/// task.
///
/// # Errors
/// The database's. A job that fails is given back to be tried later.
pub async fn run_due(forge: &Arc<Forge>) -> Result<(), Error> {
    while run_next(forge).await? {}
    while calls::make_next(forge).await? {}
    Ok(())
}

/// Asks for the recurring jobs and runs every job that is due.
///
/// # Errors
/// The database's.
pub async fn run_recurring(forge: &Arc<Forge>) -> Result<(), Error> {
    ask_recurring(forge).await?;
    run_due(forge).await
}

async fn run_next(forge: &Arc<Forge>) -> Result<bool, Error> {
    let now = forge.now();
    // Looking costs no write: most looks find nothing.
    let mut tx = forge.db().read().await?;
    let due = table::next_at(&mut tx).await?.is_some_and(|at| at <= now);
    drop(tx);
    if !due {
        return Ok(false);
    }
    let mut tx = forge.db().begin().await?;
    let leased = table::lease(&mut tx, forge.db().engine(), now, now + LEASE).await?;
    tx.commit().await?;
    let Some(leased) = leased else { return Ok(false) };

    let outcome = match serde_json::from_str::<Job>(&leased.payload) {
        Ok(job) => {
            let renewing = renew(forge, leased.id);
            tokio::pin!(renewing);
            tokio::select! {
                outcome = run(forge, job) => outcome,
                () = &mut renewing => unreachable_renewal(),
            }
        }
        Err(error) => Err(Error::Internal(Box::new(error))),
    };
    forge.metrics().job(outcome.is_ok());
    let mut tx = forge.db().begin().await?;
    match outcome {
        Ok(()) => table::finish(&mut tx, leased.id).await?,
        Err(error) => {
            tracing::warn!(job.id = leased.id.0, job.kind = %leased.kind, attempt = leased.attempts, %error, "a job failed; it will be tried again");
            let wait = MICROSECONDS << leased.attempts.clamp(0, 12);
            table::retry(&mut tx, leased.id, forge.now() + wait, &with_causes(&error)).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Returns what an error says, and each of its causes that says more.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let said = found.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = found.source();
    }
    text
}

fn unreachable_renewal() -> Result<(), Error> {
    Err(Error::Internal("the lease could not be renewed".into()))
}

/// Renews a lease for as long as it can; returns when it cannot.
async fn renew(forge: &Forge, id: portcullis_rules::id::JobId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed = async {
            let mut tx = forge.db().begin().await?;
            table::renew(&mut tx, id, forge.now() + LEASE).await?;
            tx.commit().await
        };
        if let Err(error) = renewed.await {
            tracing::warn!(job.id = id.0, %error, "a lease could not be renewed");
            return;
        }
    }
}

async fn run(forge: &Arc<Forge>, job: Job) -> Result<(), Error> {
    match job {
        Job::GhostUser { user, initiator } => ghost_user::run(forge, user, initiator).await,
        Job::DeleteProject { project } => removal::delete_project(forge, project).await,
        Job::DeleteGroup { group } => removal::delete_group(forge, group).await,
        Job::DescribePush { project, event } => pushes::describe(forge, project, event).await,
        Job::TellOfPush { project, user, event } => occasions::push(forge, project, user, event).await,
        Job::FollowPush(followed) => refresh::follow(forge, &followed).await,
        Job::RefreshMergeRequest { project, iid } => refresh::run(forge, project, iid).await,
        Job::ForgetMergeRequest { project, iid } => refresh::forget(forge, project, iid).await,
        Job::AutoMerge { project, iid } => auto_merge::run(forge, project, iid).await,
        Job::RemoveSourceBranch { project, iid, user, token } => {
            merging::remove_source_later(forge, project, iid, user, token).await
        }
        Job::TellOfMerge { project, iid, user, closed } => {
            occasions::merged(forge, project, iid, user, &closed).await
        }
        Job::Housekeeping { project } => match forge.git().housekeeping(project.0).await {
            // The project went away in the meantime.
            Ok(_) | Err(portcullis_git::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        },
        Job::DeleteContainerRepository { repository } => repositories::remove(forge, repository).await,
        Job::DeleteTags(asked) => cleanup::run_asked(forge, &asked).await,
        Job::CleanUpImages { project } => cleanup::run_policy(forge, project).await,
        Job::CleanupPolicies => cleanup::begin_due(forge).await,
        Job::CollectGarbage => images::collect_garbage(forge).await,
        Job::Expiry => expiry::run(forge).await,
        Job::SettlePushes => pushes::settle(forge).await,
        Job::TidyRepositories => tidy_repositories(forge).await,
    }
}

async fn tidy_repositories(forge: &Forge) -> Result<(), Error> {
    forge.git().empty_trash().await?;
    let mut after = 0;
    loop {
        let mut tx = forge.db().read().await?;
        let projects = projects::ids_after(&mut tx, after).await?;
        drop(tx);
        let Some(last) = projects.last() else { return Ok(()) };
        after = *last;
        for project in projects {
            match forge.git().housekeeping(project).await {
                Ok(_) | Err(portcullis_git::Error::NotFound) => {}
                // One broken repository must not keep the others from being looked after.
                Err(error) => tracing::error!(project.id = project, %error, "housekeeping failed"),
            }
        }
    }
}
