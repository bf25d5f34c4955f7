//! Cleanup policies: what is deleted from a project's images from time to time.

use portcullis_rules::id::ProjectId;

use crate::db::{Error, Row, Tx, V, statements};

/// A policy. The words in it are those of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Whether it runs.
    pub enabled: bool,
    /// How often: `1d`, `7d`, …
    pub cadence: String,
    /// How many of the newest tags that would go are kept in each repository.
    pub keep_n: Option<i64>,
    /// How old a tag must be to go: `7d`, `14d`, …
    pub older_than: Option<String>,
    /// Which tags go.
    pub name_regex: Option<String>,
    /// Which of them stay all the same.
    pub name_regex_keep: Option<String>,
    /// When it runs next, in Unix microseconds.
    pub next_run_at: i64,
}

/// Reads a policy whose columns begin at `at`, or nothing where none was joined.
pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Option<CleanupPolicy>, Error> {
    let Some(cadence) = row.get::<Option<String>>(at + 1)? else { return Ok(None) };
    Ok(Some(CleanupPolicy {
        enabled: row.get::<Option<i64>>(at)?.is_some(),
        cadence,
        keep_n: row.get(at + 2)?,
        older_than: row.get(at + 3)?,
        name_regex: row.get(at + 4)?,
        name_regex_keep: row.get(at + 5)?,
        next_run_at: row.get(at + 6)?,
    }))
}

statements! {
    SET = "INSERT INTO container_cleanup_policies (project_id, enabled_at, cadence, keep_n, older_than, name_regex, \
        name_regex_keep, next_run_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project_id) DO UPDATE SET \
        enabled_at = excluded.enabled_at, cadence = excluded.cadence, keep_n = excluded.keep_n, \
        older_than = excluded.older_than, name_regex = excluded.name_regex, \
        name_regex_keep = excluded.name_regex_keep, next_run_at = excluded.next_run_at";
    FIND = "SELECT c.enabled_at, c.cadence, c.keep_n, c.older_than, c.name_regex, c.name_regex_keep, c.next_run_at \
        FROM container_cleanup_policies c JOIN projects p ON p.id = c.project_id WHERE c.project_id = $1 \
        AND p.deletion_requested_at IS NULL AND p.archived_at IS NULL AND p.container_registry_access <> 'disabled'";
    DUE = "SELECT c.project_id, c.cadence FROM container_cleanup_policies c WHERE c.next_run_at <= $1 \
        AND c.enabled_at IS NOT NULL ORDER BY c.next_run_at, c.project_id LIMIT $2";
    SET_NEXT_RUN = "UPDATE container_cleanup_policies SET next_run_at = $2 WHERE project_id = $1";
}

/// Records the policy of a project.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, project: ProjectId, policy: &CleanupPolicy, now: i64) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(policy.enabled.then_some(now)),
        V::from(&policy.cadence),
        V::from(policy.keep_n),
        V::from(&policy.older_than),
        V::from(&policy.name_regex),
        V::from(&policy.name_regex_keep),
        V::from(policy.next_run_at),
    ];
    tx.run(&SET, &params).await?;
    Ok(())
}

/// Returns the policy of a project whose images may be changed.
///
/// # Errors
/// The database's.
pub async fn find_in_force(tx: &mut Tx, project: ProjectId) -> Result<Option<CleanupPolicy>, Error> {
    Ok(tx
        .one(&FIND, &[V::from(project.0)], |row| read(row, 0))
        .await?
        .flatten()
        .filter(|policy| policy.enabled))
}

/// Returns up to `limit` projects whose policy is to run by `now`, each with how often it runs.
///
/// # Errors
/// The database's.
pub async fn due(tx: &mut Tx, now: i64, limit: i64) -> Result<Vec<(ProjectId, String)>, Error> {
    let params = [V::from(now), V::from(limit)];
    tx.all(&DUE, &params, |row| Ok((ProjectId(row.get(0)?), row.get(1)?))).await
}

/// Records when the policy of a project runs next.
///
/// # Errors
/// The database's.
pub async fn set_next_run(tx: &mut Tx, project: ProjectId, at: i64) -> Result<(), Error> {
    tx.run(&SET_NEXT_RUN, &[V::from(project.0), V::from(at)]).await?;
    Ok(())
}
