//! How long issues and merge requests are thought to take, and how long somebody worked on them.

use portcullis_rules::id::{ProjectId, UserId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::notes::Noteable;

/// The time of an issue or a merge request, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How long it is thought to take; 0 when nobody said.
    pub estimate: i64,
    /// How long was worked on it.
    pub spent: i64,
}

statements! {
    INSERT = "INSERT INTO timelogs (project_id, issue_id, merge_request_id, user_id, seconds, summary, spent_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    COUNT = "SELECT COUNT(*) FROM timelogs WHERE project_id = $1 AND (issue_id = $2 OR merge_request_id = $3)";
    ESTIMATE_ISSUE = "UPDATE issues SET time_estimate = $3 WHERE project_id = $1 AND id = $2";
    ESTIMATE_MERGE_REQUEST = "UPDATE merge_requests SET time_estimate = $3 WHERE project_id = $1 AND id = $2";
}

/// Records that somebody worked for some seconds; less than nothing takes back what was recorded before.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    user: UserId,
    (seconds, summary): (i64, Option<&str>),
    now: i64,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(on.issue()),
        V::from(on.merge_request()),
        V::from(user.0),
        V::from(seconds),
        V::from(summary),
        V::from(now),
    ];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

/// Returns how often time was recorded on something.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, project: ProjectId, on: Noteable) -> Result<i64, Error> {
    let params = [V::from(project.0), V::from(on.issue()), V::from(on.merge_request())];
    Ok(tx.one(&COUNT, &params, |row| row.get(0)).await?.unwrap_or(0))
}

/// Records how many seconds something is thought to take.
///
/// # Errors
/// The database's.
pub async fn set_estimate(tx: &mut Tx, project: ProjectId, on: Noteable, seconds: i64) -> Result<(), Error> {
    let (statement, id) = match on {
        Noteable::Issue(id) => (&ESTIMATE_ISSUE, id.0),
        Noteable::MergeRequest(id) => (&ESTIMATE_MERGE_REQUEST, id.0),
    };
    tx.run(statement, &[V::from(project.0), V::from(id), V::from(seconds)]).await?;
    Ok(())
}

/// Returns the time of each of these issues, in one question.
///
/// # Errors
/// The database's.
pub async fn times_of_issues(tx: &mut Tx, issues: &[i64]) -> Result<Vec<(i64, Times)>, Error> {
    times_of(tx, "issues", "issue_id", issues).await
}

/// Returns the time of each of these merge requests, in one question.
///
/// # Errors
/// The database's.
pub async fn times_of_merge_requests(
    tx: &mut Tx,
    merge_requests: &[i64],
) -> Result<Vec<(i64, Times)>, Error> {
    times_of(tx, "merge_requests", "merge_request_id", merge_requests).await
}

async fn times_of(tx: &mut Tx, table: &str, column: &str, ids: &[i64]) -> Result<Vec<(i64, Times)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<_> = ids.iter().map(|id| V::from(*id)).collect();
    let marks: Vec<_> = (1..=values.len()).map(|number| format!("${number}")).collect();
    let query = Query::new(format!(
        "SELECT x.id, x.time_estimate, CAST(COALESCE((SELECT SUM(t.seconds) FROM timelogs t WHERE t.{column} = x.id), 0) \
         AS BIGINT) FROM {table} x WHERE x.id IN ({})",
        marks.join(", ")
    ));
    let map = |row: &Row<'_>| Ok((row.get(0)?, Times { estimate: row.get(1)?, spent: row.get(2)? }));
    tx.all(&query, &values, map).await
}
