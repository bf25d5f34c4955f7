//! Background work, recorded in the transaction that asks for it.
//!
//! A worker leases a job for a short time and renews the lease while it works; a job whose worker died comes back when
//! the lease ends. So every job may run more than once and must be idempotent.

use portcullis_rules::id::JobId;

use crate::db::{Engine, Error, Query, Row, Tx, V, statements};

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

statements! {
    INSERT = "INSERT INTO jobs (kind, payload, unique_key, run_at, attempts, created_at) VALUES ($1, $2, $3, $4, 0, $5) \
        ON CONFLICT DO NOTHING";
    RENEW = "UPDATE jobs SET leased_until = $2 WHERE id = $1";
    FINISH = "DELETE FROM jobs WHERE id = $1";
    RETRY = "UPDATE jobs SET leased_until = NULL, run_at = $2, last_error = $3 WHERE id = $1";
    RELEASE_ALL = "UPDATE jobs SET leased_until = NULL WHERE leased_until IS NOT NULL";
    WAITING = "SELECT COUNT(*) FROM jobs";
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
