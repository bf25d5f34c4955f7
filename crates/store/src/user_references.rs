//! Every column that refers to a user, and what becomes of it when that user is deleted.
//!
//! A test reads the foreign keys of the live schema on both engines and fails unless each stands in exactly one of the
//! two lists, so that no record can be forgotten.

use portcullis_rules::id::UserId;

use crate::db::{Error, Query, Statement, Tx, V};

/// This file has no statement of its own: its texts are made from [`MOVED_TO_GHOST`].
pub(crate) static STATEMENTS: &[&Statement] = &[];

/// Columns whose rows move to the Ghost User: records that others read.
pub const MOVED_TO_GHOST: &[(&str, &str)] = &[
    ("access_tokens", "created_by"),
    ("access_tokens", "user_id"),
    ("audit_events", "author_id"),
    ("award_emoji", "user_id"),
    ("commit_statuses", "author_id"),
    ("container_manifests", "author_id"),
    ("container_tags", "author_id"),
    ("discussions", "resolved_by"),
    ("events", "author_id"),
    ("issues", "author_id"),
    ("issues", "closed_by"),
    ("issues", "last_editor_id"),
    ("lfs_locks", "owner_id"),
    ("members", "created_by"),
    ("merge_request_approvals", "user_id"),
    ("merge_requests", "author_id"),
    ("merge_requests", "auto_merge_by"),
    ("merge_requests", "closed_by"),
    ("merge_requests", "last_editor_id"),
    ("merge_requests", "merged_by"),
    ("notes", "author_id"),
    ("notes", "last_editor_id"),
    ("package_files", "creator_id"),
    ("packages", "creator_id"),
    ("projects", "creator_id"),
    ("pushes", "user_id"),
    ("releases", "author_id"),
    ("terraform_state_versions", "author_id"),
    ("terraform_states", "locked_by"),
    ("timelogs", "user_id"),
    ("todos", "author_id"),
    ("uploads", "author_id"),
    ("users", "created_by"),
];

/// Columns whose rows are deleted with the user, by the schema, and why.
pub const DELETED_WITH_USER: &[(&str, &str, &str)] = &[
    (
        "container_uploads",
        "user_id",
        "an upload that is not complete is a task, and nobody else may go on with it",
    ),
    ("issue_assignees", "user_id", "an assignment is a task for somebody; nobody is left to do it"),
    ("merge_request_assignees", "user_id", "an assignment is a task for somebody; nobody is left to do it"),
    ("merge_request_reviewers", "user_id", "a review is a task for somebody; nobody is left to do it"),
    ("members", "user_id", "a membership is a right, and rights end with their user"),
    ("namespaces", "owner_id", "a person's own namespace; deletion waits until no project is left in it"),
    ("password_links", "user_id", "a link to choose a password is for nobody once its user is gone"),
    ("second_factors", "user_id", "nobody is left who would sign in with it"),
    ("recovery_codes", "user_id", "nobody is left who would sign in with it"),
    ("pending_sign_ins", "user_id", "nobody is left who would sign in"),
    ("sessions", "user_id", "a session is a right, and rights end with their user"),
    ("subscriptions", "user_id", "whoever wanted to be told is not there any more to be told"),
    ("todos", "user_id", "what somebody kept for later is for nobody else"),
];

/// Moves up to `batch` rows of one column from `user` to `ghost`. Returns how many were moved.
///
/// # Errors
/// The database's.
pub async fn move_to_ghost(
    tx: &mut Tx,
    (table, column): (&str, &str),
    user: UserId,
    ghost: UserId,
    batch: i64,
) -> Result<u64, Error> {
    let query = Query::new(format!(
        "UPDATE {table} SET {column} = $1 WHERE id IN (SELECT id FROM {table} WHERE {column} = $2 ORDER BY id LIMIT $3)"
    ));
    tx.run(&query, &[V::from(ghost.0), V::from(user.0), V::from(batch)]).await
}
