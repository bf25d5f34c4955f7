//! Discussions: comments that answer each other, on an issue or on a merge request.
//!
//! A discussion has the id of the comment that began it, also when that comment is gone. A comment that stands alone has no
//! row here; it becomes a discussion when somebody answers it.

use portcullis_rules::id::{DiscussionId, NoteId, ProjectId, UserId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::notes::{self, Noteable};
use crate::users::User;

/// What is known of the discussion that a comment is in.
#[derive(Clone, Debug)]
pub struct Discussion {
    /// The id.
    pub id: DiscussionId,
    /// The place in a difference that it is about (JSON).
    pub position: Option<String>,
    /// Who settled it; nothing while it is open.
    pub resolution: Option<Resolution>,
}

/// That a discussion was settled.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// By whom, or the Ghost User.
    pub by: User,
    /// When, in Unix microseconds.
    pub at: i64,
}

statements! {
    INSERT = "INSERT INTO discussions (id, project_id, issue_id, merge_request_id, position) VALUES ($1, $2, $3, $4, $5)";
    SET_RESOLVED = "UPDATE discussions SET resolved_by = $3, resolved_at = $4 WHERE project_id = $1 AND id = $2";
    COUNT_NOTES = "SELECT COUNT(*) FROM notes WHERE project_id = $1 AND discussion_id = $2";
    DELETE_EMPTY = "DELETE FROM discussions WHERE project_id = $1 AND id = $2 \
        AND (SELECT COUNT(*) FROM notes n WHERE n.discussion_id = $2) = 0";
}

/// Makes the comment `first` the beginning of a discussion. `position` is JSON.
///
/// # Errors
/// [`Error::Unique`] when it has begun one already.
pub async fn begin(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    first: NoteId,
    position: Option<&str>,
) -> Result<DiscussionId, Error> {
    let params = [
        V::from(first.0),
        V::from(project.0),
        V::from(on.issue()),
        V::from(on.merge_request()),
        V::from(position),
    ];
    tx.run(&INSERT, &params).await?;
    let id = DiscussionId(first.0);
    notes::set_discussion(tx, project, first, id).await?;
    Ok(id)
}

/// Records that a discussion was settled by somebody at some time, or with `None` that it is open.
///
/// # Errors
/// The database's.
pub async fn set_resolved(
    tx: &mut Tx,
    project: ProjectId,
    id: DiscussionId,
    resolved: Option<(UserId, i64)>,
) -> Result<(), Error> {
    let params = [
        V::from(project.0),
        V::from(id.0),
        V::from(resolved.map(|(user, _)| user.0)),
        V::from(resolved.map(|(_, at)| at)),
    ];
    tx.run(&SET_RESOLVED, &params).await?;
    Ok(())
}

/// Returns how many comments are in a discussion.
///
/// # Errors
/// The database's.
pub async fn count_notes(tx: &mut Tx, project: ProjectId, id: DiscussionId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT_NOTES, &[V::from(project.0), V::from(id.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Deletes a discussion whose last comment is gone.
///
/// # Errors
/// The database's.
pub async fn delete_if_empty(tx: &mut Tx, project: ProjectId, id: DiscussionId) -> Result<(), Error> {
    tx.run(&DELETE_EMPTY, &[V::from(project.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns how many discussions of several merge requests are not settled, in one question: pairs of a merge request's id
/// and a number. One where all are settled is not in it.
///
/// # Errors
/// The database's.
pub async fn unresolved(tx: &mut Tx, merge_requests: &[i64]) -> Result<Vec<(i64, i64)>, Error> {
    if merge_requests.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<_> = merge_requests.iter().map(|id| V::from(*id)).collect();
    let marks: Vec<_> = (1..=values.len()).map(|number| format!("${number}")).collect();
    let query = Query::new(format!(
        "SELECT d.merge_request_id, COUNT(*) FROM discussions d WHERE d.resolved_at IS NULL \
         AND d.merge_request_id IN ({}) GROUP BY d.merge_request_id",
        marks.join(", ")
    ));
    tx.all(&query, &values, |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?))).await
}
