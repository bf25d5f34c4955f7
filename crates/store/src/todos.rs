//! What users keep for later: issues and merge requests.
//!
//! One is only ever found as its user's. It is shown as long as they may read what it is about.

use portcullis_rules::id::{IssueId, MergeRequestId, ProjectId, TodoId, UserId};

use crate::audience::Audience;
use crate::db::{Error, Row, Tx, V, statements};
use crate::notes::Noteable;
use crate::select::{Conditions, Listing, Value, Window};
use crate::users::{self, User};

/// Where what is kept stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It is open.
    Opened,
    /// It was closed.
    Closed,
    /// It was merged.
    Merged,
}

/// Something kept for later, with what it is about.
#[derive(Clone, Debug)]
pub struct Todo {
    /// The id.
    pub id: TodoId,
    /// Who asked for it, or the Ghost User.
    pub author: User,
    /// The project of what it is about.
    pub project: ProjectId,
    /// What that project is for.
    pub project_description: String,
    /// That project's name.
    pub project_name: String,
    /// The last part of that project's path.
    pub project_path: String,
    /// That project's whole path.
    pub project_full_path: String,
    /// The name of that project's namespace.
    pub namespace_name: String,
    /// When that project was made, in Unix microseconds.
    pub project_created_at: i64,
    /// What it is about.
    pub target: Noteable,
    /// The number of that inside the project.
    pub target_iid: i64,
    /// Its title.
    pub target_title: String,
    /// More about it.
    pub target_description: Option<String>,
    /// Whether it is open.
    pub target_state: TargetState,
    /// When it was made.
    pub target_created_at: i64,
    /// When it last changed.
    pub target_updated_at: i64,
    /// When it was done; null while it waits.
    pub done_at: Option<i64>,
    /// When it was kept.
    pub created_at: i64,
    /// When that last changed.
    pub updated_at: i64,
}

const COLUMNS: &str = "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
     u.bot_project_id, u.created_by, u.created_at, \
     t.id, p.id, p.name, p.path, p.full_path, s.name, p.created_at, t.issue_id, t.merge_request_id, \
     COALESCE(i.iid, r.iid), COALESCE(i.title, r.title), COALESCE(i.description, r.description), r.merged_at, \
     COALESCE(i.closed_at, r.closed_at), COALESCE(i.created_at, r.created_at), COALESCE(i.updated_at, r.updated_at), \
     t.done_at, t.created_at, t.updated_at, p.description";

const FROM: &str = "todos t JOIN users u ON u.id = t.author_id JOIN projects p ON p.id = t.project_id \
     JOIN namespaces s ON s.id = p.namespace_id LEFT JOIN issues i ON i.id = t.issue_id \
     LEFT JOIN merge_requests r ON r.id = t.merge_request_id";

fn read(row: &Row<'_>) -> Result<Todo, Error> {
    let at = users::COLUMN_COUNT;
    Ok(Todo {
        author: users::read_at(row, 0)?,
        id: TodoId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        project_name: row.get(at + 2)?,
        project_path: row.get(at + 3)?,
        project_full_path: row.get(at + 4)?,
        namespace_name: row.get(at + 5)?,
        project_created_at: row.get(at + 6)?,
        target: match (row.get::<Option<i64>>(at + 7)?, row.get::<Option<i64>>(at + 8)?) {
            (Some(issue), _) => Noteable::Issue(IssueId(issue)),
            (None, Some(merge_request)) => Noteable::MergeRequest(MergeRequestId(merge_request)),
            (None, None) => return Err(Error::Corrupt("a to-do is about nothing".to_owned())),
        },
        target_iid: row.get(at + 9)?,
        target_title: row.get(at + 10)?,
        target_description: row.get(at + 11)?,
        target_state: match (row.get::<Option<i64>>(at + 12)?, row.get::<Option<i64>>(at + 13)?) {
            (Some(_), _) => TargetState::Merged,
            (None, Some(_)) => TargetState::Closed,
            (None, None) => TargetState::Opened,
        },
        target_created_at: row.get(at + 14)?,
        target_updated_at: row.get(at + 15)?,
        done_at: row.get(at + 16)?,
        created_at: row.get(at + 17)?,
        updated_at: row.get(at + 18)?,
        project_description: row.get(at + 19)?,
    })
}

statements! {
    INSERT = "INSERT INTO todos (user_id, author_id, project_id, issue_id, merge_request_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id";
    PENDING = "SELECT COUNT(*) FROM todos WHERE user_id = $1 AND done_at IS NULL \
        AND (issue_id = $2 OR merge_request_id = $3)";
    COUNT = "SELECT COUNT(*) FROM todos WHERE user_id = $1";
    SET_DONE = "UPDATE todos SET done_at = $3, updated_at = $3 WHERE user_id = $1 AND id = $2 AND done_at IS NULL";
    SET_ALL_DONE = "UPDATE todos SET done_at = $2, updated_at = $2 WHERE user_id = $1 AND done_at IS NULL";
}

/// Keeps something for later, for `user`, as `author` asked.
///
/// # Errors
/// The database's.
pub async fn insert(
    tx: &mut Tx,
    (user, author): (UserId, UserId),
    project: ProjectId,
    target: Noteable,
    now: i64,
) -> Result<TodoId, Error> {
    let params = [
        V::from(user.0),
        V::from(author.0),
        V::from(project.0),
        V::from(target.issue()),
        V::from(target.merge_request()),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(TodoId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns whether somebody keeps this already and has not done it, and how much they keep in all.
///
/// # Errors
/// The database's.
pub async fn count_of(tx: &mut Tx, user: UserId, target: Noteable) -> Result<(bool, i64), Error> {
    let params = [V::from(user.0), V::from(target.issue()), V::from(target.merge_request())];
    let pending: i64 = tx.one(&PENDING, &params, |row| row.get(0)).await?.unwrap_or(0);
    let all = tx.one(&COUNT, &params[..1], |row| row.get(0)).await?.unwrap_or(0);
    Ok((pending > 0, all))
}

/// Records that something kept was done, if it was not yet.
///
/// # Errors
/// The database's.
pub async fn set_done(tx: &mut Tx, user: UserId, id: TodoId, now: i64) -> Result<(), Error> {
    tx.run(&SET_DONE, &[V::from(user.0), V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Records that everything somebody kept was done.
///
/// # Errors
/// The database's.
pub async fn set_all_done(tx: &mut Tx, user: UserId, now: i64) -> Result<(), Error> {
    tx.run(&SET_ALL_DONE, &[V::from(user.0), V::from(now)]).await?;
    Ok(())
}

/// What is kept: issues or merge requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Issues.
    Issue,
    /// Merge requests.
    MergeRequest,
}

/// What a list is narrowed to.
#[derive(Clone, Copy, Debug, Default)]
pub struct TodoFilter {
    /// Only what was done, and not what waits.
    pub done: bool,
    /// Only this one, done or not.
    pub id: Option<TodoId>,
    /// Only about things of this kind.
    pub kind: Option<TargetKind>,
    /// Only about things of this project.
    pub project: Option<ProjectId>,
    /// Only what this user asked for.
    pub author: Option<UserId>,
}

/// Returns what somebody keeps and may read, the newest first. `audience` is how lists are made for that user.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    user: UserId,
    audience: Audience,
    filter: TodoFilter,
    window: Window,
    now: i64,
) -> Result<Listing<Todo>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("t.user_id = ?", [user.0.into()]);
    audience.narrow_projects(&mut conditions, now);
    let (issues, mut values) = audience.readable_issues(now);
    let (merge_requests, more) = audience.reads_merge_requests(now);
    values.extend(more);
    conditions.and(
        &format!("(i.id IS NOT NULL AND ({issues})) OR (r.id IS NOT NULL AND ({merge_requests}))"),
        values,
    );
    match (filter.id, filter.done) {
        (Some(id), _) => conditions.and("t.id = ?", [id.0.into()]),
        (None, true) => conditions.and("t.done_at IS NOT NULL", []),
        (None, false) => conditions.and("t.done_at IS NULL", []),
    }
    match filter.kind {
        Some(TargetKind::Issue) => conditions.and("t.issue_id IS NOT NULL", []),
        Some(TargetKind::MergeRequest) => conditions.and("t.merge_request_id IS NOT NULL", []),
        None => {}
    }
    for (condition, value) in [
        ("t.project_id = ?", filter.project.map(|project| project.0)),
        ("t.author_id = ?", filter.author.map(|author| author.0)),
    ] {
        if let Some(value) = value {
            conditions.and(condition, [Value::Int(value)]);
        }
    }
    conditions.list(tx, COLUMNS, FROM, "t.id DESC", window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_a_user() {
        assert!(COLUMNS.starts_with(&format!("{}, t.id", users::COLUMNS)));
    }
}
