//! Who wants to be told of issues, merge requests and labels.
//!
//! Whoever opened something, is to deal with it or commented on it wants to be told of it, until they say otherwise.

use portcullis_rules::id::{IssueId, LabelId, MergeRequestId, UserId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::notes::Noteable;

/// What one can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribable {
    /// An issue.
    Issue(IssueId),
    /// A merge request.
    MergeRequest(MergeRequestId),
    /// Everything that gets a label.
    Label(LabelId),
}

impl From<Noteable> for Subscribable {
    fn from(on: Noteable) -> Subscribable {
        match on {
            Noteable::Issue(id) => Subscribable::Issue(id),
            Noteable::MergeRequest(id) => Subscribable::MergeRequest(id),
        }
    }
}

statements! {
    SET_ISSUE = "INSERT INTO subscriptions (issue_id, user_id, ended_at, created_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (issue_id, user_id) DO UPDATE SET ended_at = excluded.ended_at";
    SET_MERGE_REQUEST = "INSERT INTO subscriptions (merge_request_id, user_id, ended_at, created_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (merge_request_id, user_id) DO UPDATE SET ended_at = excluded.ended_at";
    SET_LABEL = "INSERT INTO subscriptions (label_id, user_id, ended_at, created_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (label_id, user_id) DO UPDATE SET ended_at = excluded.ended_at";
    TO_ISSUE = "SELECT CASE WHEN s.id IS NOT NULL THEN CASE WHEN s.ended_at IS NULL THEN 1 ELSE 0 END \
        WHEN i.author_id = $2 THEN 1 \
        WHEN (SELECT COUNT(*) FROM issue_assignees a WHERE a.issue_id = i.id AND a.user_id = $2) > 0 THEN 1 \
        WHEN (SELECT COUNT(*) FROM notes n WHERE n.issue_id = i.id AND n.author_id = $2 AND n.system_at IS NULL) > 0 \
        THEN 1 ELSE 0 END FROM issues i LEFT JOIN subscriptions s ON s.issue_id = i.id AND s.user_id = $2 WHERE i.id = $1";
    TO_MERGE_REQUEST = "SELECT CASE WHEN s.id IS NOT NULL THEN CASE WHEN s.ended_at IS NULL THEN 1 ELSE 0 END \
        WHEN r.author_id = $2 THEN 1 \
        WHEN (SELECT COUNT(*) FROM merge_request_assignees a WHERE a.merge_request_id = r.id AND a.user_id = $2) > 0 THEN 1 \
        WHEN (SELECT COUNT(*) FROM merge_request_reviewers a WHERE a.merge_request_id = r.id AND a.user_id = $2) > 0 THEN 1 \
        WHEN (SELECT COUNT(*) FROM notes n WHERE n.merge_request_id = r.id AND n.author_id = $2 AND n.system_at IS NULL) > 0 \
        THEN 1 ELSE 0 END FROM merge_requests r \
        LEFT JOIN subscriptions s ON s.merge_request_id = r.id AND s.user_id = $2 WHERE r.id = $1";
    TO_LABEL = "SELECT CASE WHEN s.ended_at IS NULL THEN 1 ELSE 0 END FROM subscriptions s \
        WHERE s.label_id = $1 AND s.user_id = $2";
}

/// Records that somebody wants to be told of something, or that they do not.
///
/// # Errors
/// The database's.
pub async fn set(
    tx: &mut Tx,
    to: Subscribable,
    user: UserId,
    subscribed: bool,
    now: i64,
) -> Result<(), Error> {
    let (statement, id) = match to {
        Subscribable::Issue(id) => (&SET_ISSUE, id.0),
        Subscribable::MergeRequest(id) => (&SET_MERGE_REQUEST, id.0),
        Subscribable::Label(id) => (&SET_LABEL, id.0),
    };
    let ended = (!subscribed).then_some(now);
    tx.run(statement, &[V::from(id), V::from(user.0), V::from(ended), V::from(now)]).await?;
    Ok(())
}

/// Returns whether somebody wants to be told of something.
///
/// # Errors
/// The database's.
pub async fn is_subscribed(tx: &mut Tx, to: Subscribable, user: UserId) -> Result<bool, Error> {
    let (statement, id) = match to {
        Subscribable::Issue(id) => (&TO_ISSUE, id.0),
        Subscribable::MergeRequest(id) => (&TO_MERGE_REQUEST, id.0),
        Subscribable::Label(id) => (&TO_LABEL, id.0),
    };
    let found: Option<i64> = tx.one(statement, &[V::from(id), V::from(user.0)], |row| row.get(0)).await?;
    Ok(found == Some(1))
}

/// Returns which of these labels somebody wants to be told of.
///
/// # Errors
/// The database's.
pub async fn labels_of(tx: &mut Tx, labels: &[i64], user: UserId) -> Result<Vec<i64>, Error> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = vec![V::from(user.0)];
    values.extend(labels.iter().map(|id| V::from(*id)));
    let marks: Vec<_> = (2..=values.len()).map(|number| format!("${number}")).collect();
    let query = Query::new(format!(
        "SELECT s.label_id FROM subscriptions s WHERE s.user_id = $1 AND s.ended_at IS NULL AND s.label_id IN ({})",
        marks.join(", ")
    ));
    tx.all(&query, &values, |row: &Row<'_>| row.get(0)).await
}
