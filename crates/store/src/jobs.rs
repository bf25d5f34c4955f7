//! Background work, recorded in the transaction that asks for it.
//!
//! A worker leases a job for a short time and renews the lease while it works; a job whose worker died comes back when
//! the lease ends. So every job may run more than once and must be idempotent.

use portcullis_rules::id::JobId;

use crate::db::{Engine, Error, Query, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A job to be done.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// With what: JSON.
    pub payload: String,
    /// How often it was begun, this time included.
    pub attempts: i64,
}

/// How a recorded job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has not been tried, or its worker died.
    Waiting,
    /// A worker has it now.
    Running,
    /// It was tried and failed; it will be tried again.
    Failed,
}

/// A job as recorded. Times are Unix microseconds.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// With what: JSON.
    pub payload: String,
    /// How it stands.
    pub state: JobState,
    /// When it is to be tried next; of one that runs, when it was to be tried.
    pub run_at: i64,
    /// How often it was begun.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was asked for.
    pub created_at: i64,
}

/// How many jobs there are, by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Not tried yet.
    pub waiting: i64,
    /// Running now.
    pub running: i64,
    /// Failed, and to be tried again.
    pub failed: i64,
}

statements! {
    INSERT = "INSERT INTO jobs (kind, payload, unique_key, run_at, attempts, created_at) VALUES ($1, $2, $3, $4, 0, $5) \
        ON CONFLICT DO NOTHING";
    RENEW = "UPDATE jobs SET leased_until = $2 WHERE id = $1";
    FINISH = "DELETE FROM jobs WHERE id = $1";
    RETRY = "UPDATE jobs SET leased_until = NULL, run_at = $2, last_error = $3 WHERE id = $1";
    RELEASE_ALL = "UPDATE jobs SET leased_until = NULL WHERE leased_until IS NOT NULL";
    WAITING = "SELECT COUNT(*) FROM jobs";
    COUNTS = "SELECT COUNT(CASE WHEN leased_until > $1 THEN 1 END), \
        COUNT(CASE WHEN (leased_until IS NULL OR leased_until <= $1) AND last_error IS NOT NULL THEN 1 END), \
        COUNT(*) FROM jobs";
    RETRY_NOW = "UPDATE jobs SET run_at = $2 WHERE id = $1 AND last_error IS NOT NULL \
        AND (leased_until IS NULL OR leased_until <= $2) RETURNING kind";
    NEXT_AT = "SELECT MIN(CASE WHEN leased_until > run_at THEN leased_until ELSE run_at END) FROM jobs";
}

/// Asks for a job at `run_at`. A waiting job with the same key is that job, and nothing is added.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    kind: &str,
    payload: &str,
    unique_key: Option<&str>,
    run_at: i64,
    now: i64,
) -> Result<(), Error> {
    let params = [V::from(kind), V::from(payload), V::from(unique_key), V::from(run_at), V::from(now)];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

/// Leases the next due job until `leased_until`, skipping those that another worker is taking.
///
/// Its key is given up in the same step, so that what happens from now on asks for a job of its own.
///
/// # Errors
/// The database's.
pub async fn lease(tx: &mut Tx, engine: Engine, now: i64, leased_until: i64) -> Result<Option<Job>, Error> {
    let skip = match engine {
        Engine::Postgres => " FOR UPDATE SKIP LOCKED",
        // One writer at a time: there is nobody to skip.
        Engine::Sqlite => "",
    };
    let query = Query::new(format!(
        "UPDATE jobs SET leased_until = $2, attempts = attempts + 1, unique_key = NULL WHERE id = (SELECT id FROM jobs \
         WHERE run_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) ORDER BY run_at, id LIMIT 1{skip}) \
         RETURNING id, kind, payload, attempts"
    ));
    tx.one(&query, &[V::from(now), V::from(leased_until)], |row: &Row<'_>| {
        Ok(Job { id: JobId(row.get(0)?), kind: row.get(1)?, payload: row.get(2)?, attempts: row.get(3)? })
    })
    .await
}

/// Keeps a job for longer.
///
/// # Errors
/// The database's.
pub async fn renew(tx: &mut Tx, id: JobId, leased_until: i64) -> Result<(), Error> {
    tx.run(&RENEW, &[V::from(id.0), V::from(leased_until)]).await?;
    Ok(())
}

/// Removes a job that is done.
///
/// # Errors
/// The database's.
pub async fn finish(tx: &mut Tx, id: JobId) -> Result<(), Error> {
    tx.run(&FINISH, &[V::from(id.0)]).await?;
    Ok(())
}

/// Gives a job back to be tried again at `run_at`.
///
/// # Errors
/// The database's.
pub async fn retry(tx: &mut Tx, id: JobId, run_at: i64, error: &str) -> Result<(), Error> {
    tx.run(&RETRY, &[V::from(id.0), V::from(run_at), V::from(error)]).await?;
    Ok(())
}

/// Ends every lease: for the start of a process that knows itself to be the only one.
///
/// # Errors
/// The database's.
pub async fn release_all(tx: &mut Tx) -> Result<u64, Error> {
    tx.run(&RELEASE_ALL, &[]).await
}

/// Returns how many jobs wait or run.
///
/// # Errors
/// The database's.
pub async fn waiting(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&WAITING, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns when the next job becomes due, if there is one.
///
/// # Errors
/// The database's.
pub async fn next_at(tx: &mut Tx) -> Result<Option<i64>, Error> {
    Ok(tx.one(&NEXT_AT, &[], |row| row.get(0)).await?.flatten())
}

/// Returns how many jobs there are at `now`, by how they stand.
///
/// # Errors
/// The database's.
pub async fn counts(tx: &mut Tx, now: i64) -> Result<JobCounts, Error> {
    let counts = tx
        .one(&COUNTS, &[V::from(now)], |row| {
            let (running, failed, all): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(JobCounts { waiting: all - running - failed, running, failed })
        })
        .await?;
    Ok(counts.unwrap_or_default())
}

/// Returns the jobs that stand like `state` at `now`, what is due first at the top.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    state: Option<JobState>,
    window: Window,
    now: i64,
) -> Result<Listing<JobRecord>, Error> {
    let mut conditions = Conditions::default();
    let resting = "leased_until IS NULL OR leased_until <= ?";
    match state {
        Some(JobState::Running) => conditions.and("leased_until > ?", [now.into()]),
        Some(JobState::Failed) => {
            conditions.and(resting, [now.into()]);
            conditions.and("last_error IS NOT NULL", []);
        }
        Some(JobState::Waiting) => {
            conditions.and(resting, [now.into()]);
            conditions.and("last_error IS NULL", []);
        }
        None => {}
    }
    let columns = "id, kind, payload, leased_until, run_at, attempts, last_error, created_at";
    let read = |row: &Row<'_>| {
        let last_error: Option<String> = row.get(6)?;
        let state = match row.get::<Option<i64>>(3)? {
            Some(until) if until > now => JobState::Running,
            _ if last_error.is_some() => JobState::Failed,
            _ => JobState::Waiting,
        };
        Ok(JobRecord {
            id: JobId(row.get(0)?),
            kind: row.get(1)?,
            payload: row.get(2)?,
            state,
            run_at: row.get(4)?,
            attempts: row.get(5)?,
            last_error,
            created_at: row.get(7)?,
        })
    };
    conditions.list(tx, columns, "jobs", "run_at, id", window, read).await
}

/// Makes a job due that failed and that nobody has now, and returns its kind; `None` when there is no such job.
///
/// # Errors
/// The database's.
pub async fn retry_now(tx: &mut Tx, id: JobId, now: i64) -> Result<Option<String>, Error> {
    tx.one(&RETRY_NOW, &[V::from(id.0), V::from(now)], |row| row.get(0)).await
}
