//! Web hooks of projects, and the calls that are to be made.
//!
//! A hook is only ever found inside its project.

use portcullis_rules::id::{ProjectId, WebhookId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// How many calls of one hook wait at most; what happens beyond that is not told.
const MAX_WAITING_CALLS: i64 = 1000;

/// A hook as recorded.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The id.
    pub id: WebhookId,
    /// The project.
    pub project: ProjectId,
    /// What its calls have in common.
    pub uuid: String,
    /// The address that is called.
    pub url: String,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The secret that goes with each call, encrypted.
    pub sealed_token: Option<Vec<u8>>,
    /// The names of the events it is called for.
    pub events: Vec<String>,
    /// Of which branches pushes are told: a name, or a pattern in which `*` stands for anything.
    pub branch_filter: Option<String>,
    /// Whether the certificate of the other side is looked at.
    pub verifies: bool,
    /// How many calls failed since the last one that did not.
    pub failures: i64,
    /// Until when it is not called, in Unix microseconds.
    pub disabled_until: Option<i64>,
    /// Since when it is not called any more.
    pub disabled_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
}

/// The columns of [`Webhook`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "w.id, w.project_id, w.uuid, w.url, w.name, w.description, w.sealed_token, w.events, w.branch_filter, \
         w.unverified_since, w.failures, w.disabled_until, w.disabled_at, w.created_at"
    };
}

fn read(row: &Row<'_>) -> Result<Webhook, Error> {
    Ok(Webhook {
        id: WebhookId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        uuid: row.get(2)?,
        url: row.get(3)?,
        name: row.get(4)?,
        description: row.get(5)?,
        sealed_token: row.get(6)?,
        events: row.text(7)?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        branch_filter: row.get(8)?,
        verifies: row.get::<Option<i64>>(9)?.is_none(),
        failures: row.get(10)?,
        disabled_until: row.get(11)?,
        disabled_at: row.get(12)?,
        created_at: row.get(13)?,
    })
}

statements! {
    INSERT = "INSERT INTO webhooks (project_id, uuid, url, name, description, sealed_token, events, branch_filter, \
        unverified_since, failures, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10) RETURNING id";
    UPDATE = "UPDATE webhooks SET url = $2, name = $3, description = $4, sealed_token = $5, events = $6, branch_filter = $7, \
        unverified_since = $8, failures = 0, disabled_until = NULL, disabled_at = NULL WHERE id = $1";
    FIND = concat!("SELECT ", columns!(), " FROM webhooks w WHERE w.project_id = $1 AND w.id = $2");
    OF_CALL = concat!(
        "SELECT ", columns!(), " FROM webhooks w JOIN projects p ON p.id = w.project_id \
        WHERE w.id = $1 AND p.deletion_requested_at IS NULL"
    );
    CALLED = concat!(
        "SELECT ", columns!(), " FROM webhooks w WHERE w.project_id = $1 AND w.disabled_at IS NULL \
        AND (w.disabled_until IS NULL OR w.disabled_until <= $2) ORDER BY w.id"
    );
    COUNT = "SELECT COUNT(*) FROM webhooks WHERE project_id = $1";
    DELETE = "DELETE FROM webhooks WHERE project_id = $1 AND id = $2";
    SUCCEEDED = "UPDATE webhooks SET failures = 0, disabled_until = NULL WHERE id = $1";
    FAILED = "UPDATE webhooks SET failures = failures + 1, disabled_until = $2, disabled_at = $3 WHERE id = $1";
    ADD_CALL = "INSERT INTO webhook_calls (webhook_id, idempotency_key, event, body, attempts, run_at, created_at) \
        SELECT w.id, $2, $3, $4, 0, $5, $5 FROM webhooks w WHERE w.id = $1 \
        AND (SELECT COUNT(*) FROM webhook_calls c WHERE c.webhook_id = w.id) < $6";
    CLAIM_CALL = "UPDATE webhook_calls SET claimed_until = $2 WHERE id = (SELECT c.id FROM webhook_calls c WHERE c.run_at <= $1 \
        AND (c.claimed_until IS NULL OR c.claimed_until < $1) AND NOT EXISTS (SELECT 1 FROM webhook_calls o \
        WHERE o.webhook_id = c.webhook_id AND o.claimed_until >= $1) ORDER BY c.run_at, c.id LIMIT 1) \
        AND (claimed_until IS NULL OR claimed_until < $1) RETURNING id, webhook_id, idempotency_key, event, body, attempts";
    NEXT_CALL_AT = "SELECT MIN(run_at) FROM webhook_calls";
    RETRY_CALL = "UPDATE webhook_calls SET attempts = attempts + 1, run_at = $2, claimed_until = NULL WHERE id = $1";
    END_CALL = "DELETE FROM webhook_calls WHERE id = $1";
}

/// What is recorded of a hook, by whoever makes or changes it.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// The address that is called.
    pub url: &'a str,
    /// What people call it.
    pub name: Option<&'a str>,
    /// What it is for.
    pub description: Option<&'a str>,
    /// The secret that goes with each call, encrypted.
    pub sealed_token: Option<&'a [u8]>,
    /// The names of the events it is called for.
    pub events: &'a [String],
    /// Of which branches pushes are told.
    pub branch_filter: Option<&'a str>,
    /// Whether the certificate of the other side is looked at.
    pub verifies: bool,
}

/// Records a hook.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    uuid: &str,
    new: &Contents<'_>,
    now: i64,
) -> Result<WebhookId, Error> {
    let events = new.events.join(",");
    let params = [
        V::from(project.0),
        V::from(uuid),
        V::from(new.url),
        V::from(new.name),
        V::from(new.description),
        V::from(new.sealed_token),
        V::from(&events),
        V::from(new.branch_filter),
        V::from((!new.verifies).then_some(now)),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(WebhookId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Records a changed hook, which is called again if it was not any more.
///
/// # Errors
/// The database's.
pub async fn update(tx: &mut Tx, id: WebhookId, changed: &Contents<'_>, now: i64) -> Result<(), Error> {
    let events = changed.events.join(",");
    let params = [
        V::from(id.0),
        V::from(changed.url),
        V::from(changed.name),
        V::from(changed.description),
        V::from(changed.sealed_token),
        V::from(&events),
        V::from(changed.branch_filter),
        V::from((!changed.verifies).then_some(now)),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Returns the hook of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: WebhookId) -> Result<Option<Webhook>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the hook that a call is of, unless its project is being deleted.
///
/// # Errors
/// The database's.
pub async fn of_call(tx: &mut Tx, id: WebhookId) -> Result<Option<Webhook>, Error> {
    tx.one(&OF_CALL, &[V::from(id.0)], read).await
}

/// Returns the hooks of a project that are called now.
///
/// # Errors
/// The database's.
pub async fn called(tx: &mut Tx, project: ProjectId, now: i64) -> Result<Vec<Webhook>, Error> {
    tx.all(&CALLED, &[V::from(project.0), V::from(now)], read).await
}

/// Returns how many hooks a project has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(project.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns the hooks of a project.
///
/// # Errors
/// The database's.
pub async fn list(tx: &mut Tx, project: ProjectId, window: Window) -> Result<Listing<Webhook>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("w.project_id = ?", [project.0.into()]);
    conditions.list(tx, columns!(), "webhooks w", "w.id", window, read).await
}

/// Removes a hook, with the calls that wait. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: WebhookId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await? > 0)
}

/// Records that a call succeeded.
///
/// # Errors
/// The database's.
pub async fn succeeded(tx: &mut Tx, id: WebhookId) -> Result<(), Error> {
    tx.run(&SUCCEEDED, &[V::from(id.0)]).await?;
    Ok(())
}

/// Records that a call failed, and until when, or since when, the hook is not called.
///
/// # Errors
/// The database's.
pub async fn failed(
    tx: &mut Tx,
    id: WebhookId,
    disabled_until: Option<i64>,
    disabled_at: Option<i64>,
) -> Result<(), Error> {
    tx.run(&FAILED, &[V::from(id.0), V::from(disabled_until), V::from(disabled_at)]).await?;
    Ok(())
}

/// A call that a worker has claimed.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id.
    pub id: i64,
    /// The hook.
    pub webhook: WebhookId,
    /// The same for every attempt.
    pub key: String,
    /// What the other side is told has happened.
    pub event: String,
    /// JSON: more about it.
    pub body: String,
    /// How many attempts failed.
    pub attempts: i64,
}

/// Asks for a call as soon as the transaction is committed, unless too many wait.
///
/// # Errors
/// The database's.
pub async fn add_call(
    tx: &mut Tx,
    webhook: WebhookId,
    key: &str,
    event: &str,
    body: &str,
    now: i64,
) -> Result<(), Error> {
    let params = [
        V::from(webhook.0),
        V::from(key),
        V::from(event),
        V::from(body),
        V::from(now),
        V::from(MAX_WAITING_CALLS),
    ];
    tx.run(&ADD_CALL, &params).await?;
    Ok(())
}

/// Claims the next call that is due until a time. Of one hook one call at a time is claimed, so that its calls come in
/// order and a slow receiver keeps nobody else waiting.
///
/// # Errors
/// The database's.
pub async fn claim_call(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Call>, Error> {
    let map = |row: &Row<'_>| {
        Ok(Call {
            id: row.get(0)?,
            webhook: WebhookId(row.get(1)?),
            key: row.get(2)?,
            event: row.get(3)?,
            body: row.get(4)?,
            attempts: row.get(5)?,
        })
    };
    tx.one(&CLAIM_CALL, &[V::from(now), V::from(until)], map).await
}

/// Returns when the next call is due.
///
/// # Errors
/// The database's.
pub async fn next_call_at(tx: &mut Tx) -> Result<Option<i64>, Error> {
    Ok(tx.one(&NEXT_CALL_AT, &[], |row| row.get(0)).await?.flatten())
}

/// Gives a call back, to be made again at `run_at`.
///
/// # Errors
/// The database's.
pub async fn retry_call(tx: &mut Tx, id: i64, run_at: i64) -> Result<(), Error> {
    tx.run(&RETRY_CALL, &[V::from(id), V::from(run_at)]).await?;
    Ok(())
}

/// Ends a call.
///
/// # Errors
/// The database's.
pub async fn end_call(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.run(&END_CALL, &[V::from(id)]).await?;
    Ok(())
}
