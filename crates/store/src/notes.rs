//! Comments on issues and merge requests.
//!
//! A comment is only ever found inside what it is on. Internal ones are left out by the reading statements themselves.

use portcullis_rules::id::{DiscussionId, IssueId, MergeRequestId, NoteId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::discussions::{Discussion, Resolution};
use crate::issues::Sight;
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// What a comment is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noteable {
    /// An issue.
    Issue(IssueId),
    /// A merge request.
    MergeRequest(MergeRequestId),
}

impl Noteable {
    pub(crate) fn issue(self) -> Option<i64> {
        match self {
            Noteable::Issue(id) => Some(id.0),
            Noteable::MergeRequest(_) => None,
        }
    }

    pub(crate) fn merge_request(self) -> Option<i64> {
        match self {
            Noteable::MergeRequest(id) => Some(id.0),
            Noteable::Issue(_) => None,
        }
    }
}

/// A comment as recorded.
#[derive(Clone, Debug)]
pub struct Note {
    /// The id.
    pub id: NoteId,
    /// The project.
    pub project: ProjectId,
    /// What it is on.
    pub on: Noteable,
    /// Who wrote it, or the Ghost User.
    pub author: User,
    /// What it says, in Markdown.
    pub body: String,
    /// Whether the forge wrote it about a change, in its author's name.
    pub system: bool,
    /// Whether it is kept from those who may not read confidential issues.
    pub internal: bool,
    /// When it was made, in Unix microseconds.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// The discussion it is in; nothing when it stands alone.
    pub discussion: Option<Discussion>,
}

impl Note {
    /// Returns the id of the discussion it is in. A comment that stands alone is one of its own.
    pub fn discussion_id(&self) -> DiscussionId {
        self.discussion.as_ref().map_or(DiscussionId(self.id.0), |discussion| discussion.id)
    }
}

/// The columns of [`Note`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
         u.bot_project_id, u.created_by, u.created_at, \
         n.id, n.project_id, n.issue_id, n.merge_request_id, n.body, n.system_at, n.internal_at, n.created_at, \
         n.updated_at, d.id, d.position, d.resolved_at, \
         r.id, r.username, r.name, r.email, r.kind, r.administrator_since, r.external_since, r.blocked_at, \
         r.bot_project_id, r.created_by, r.created_at"
    };
}

/// What [`columns`] are read from.
macro_rules! from {
    () => {
        "notes n JOIN users u ON u.id = n.author_id LEFT JOIN discussions d ON d.id = n.discussion_id \
         LEFT JOIN users r ON r.id = d.resolved_by"
    };
}

fn read_discussion(row: &Row<'_>, at: usize) -> Result<Option<Discussion>, Error> {
    let Some(id) = row.get::<Option<i64>>(at)? else { return Ok(None) };
    let resolution = match row.get::<Option<i64>>(at + 2)? {
        Some(resolved_at) => Some(Resolution { by: users::read_at(row, at + 3)?, at: resolved_at }),
        None => None,
    };
    Ok(Some(Discussion { id: DiscussionId(id), position: row.get(at + 1)?, resolution }))
}

fn read(row: &Row<'_>) -> Result<Note, Error> {
    let at = users::COLUMN_COUNT;
    Ok(Note {
        author: users::read_at(row, 0)?,
        id: NoteId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        on: match (row.get::<Option<i64>>(at + 2)?, row.get::<Option<i64>>(at + 3)?) {
            (Some(issue), _) => Noteable::Issue(IssueId(issue)),
            (None, Some(merge_request)) => Noteable::MergeRequest(MergeRequestId(merge_request)),
            (None, None) => return Err(Error::Corrupt("a comment is on nothing".to_owned())),
        },
        body: row.get(at + 4)?,
        system: row.get::<Option<i64>>(at + 5)?.is_some(),
        internal: row.get::<Option<i64>>(at + 6)?.is_some(),
        created_at: row.get(at + 7)?,
        updated_at: row.get(at + 8)?,
        discussion: read_discussion(row, at + 9)?,
    })
}

statements! {
    INSERT = "INSERT INTO notes (project_id, issue_id, merge_request_id, author_id, body, system_at, internal_at, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id";
    FIND_ON_MERGE_REQUEST = concat!(
        "SELECT ", columns!(), " FROM ", from!(), " WHERE n.project_id = $1 AND n.merge_request_id = $2 AND n.id = $3 AND (n.internal_at IS NULL OR $4 = 1)"
    );
    FIND_ON_ISSUE = concat!(
        "SELECT ", columns!(), " FROM ", from!(), " WHERE n.project_id = $1 AND n.issue_id = $2 AND n.id = $3 AND (n.internal_at IS NULL OR $4 = 1)"
    );
    UPDATE = "UPDATE notes SET body = $3, last_editor_id = $4, updated_at = $5 WHERE project_id = $1 AND id = $2";
    SET_EVENT_DETAILS = "UPDATE events SET details = $3 WHERE project_id = $1 AND target_type = 'Note' AND target_id = $2";
    DELETE_EVENTS = "DELETE FROM events WHERE project_id = $1 AND target_type = 'Note' AND target_id = $2";
    DELETE = "DELETE FROM notes WHERE project_id = $1 AND id = $2";
    SET_DISCUSSION = "UPDATE notes SET discussion_id = $3 WHERE project_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM notes";
}

/// A comment to be recorded.
#[derive(Clone, Debug)]
pub struct NewNote<'a> {
    /// The project.
    pub project: ProjectId,
    /// What it is on.
    pub on: Noteable,
    /// Who writes it.
    pub author: UserId,
    /// What it says.
    pub body: &'a str,
    /// Whether the forge writes it about a change.
    pub system: bool,
    /// Whether it is kept from those who may not read confidential issues.
    pub internal: bool,
}

/// Records a comment.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &NewNote<'_>, now: i64) -> Result<NoteId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.on.issue()),
        V::from(new.on.merge_request()),
        V::from(new.author.0),
        V::from(new.body),
        V::from(new.system.then_some(now)),
        V::from(new.internal.then_some(now)),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(NoteId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the comment with this id on something, if it is one that is shown.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    id: NoteId,
    sight: Sight,
) -> Result<Option<Note>, Error> {
    let (statement, on) = match on {
        Noteable::Issue(issue) => (&FIND_ON_ISSUE, issue.0),
        Noteable::MergeRequest(merge_request) => (&FIND_ON_MERGE_REQUEST, merge_request.0),
    };
    let params = [V::from(project.0), V::from(on), V::from(id.0), V::from(sight.everything())];
    tx.one(statement, &params, read).await
}

/// Changes what a comment says, and what the feed quotes of it: a comment may be changed for what it gave away.
/// `event_details` is JSON.
///
/// # Errors
/// The database's.
pub async fn update(
    tx: &mut Tx,
    project: ProjectId,
    id: NoteId,
    body: &str,
    event_details: &str,
    editor: UserId,
    now: i64,
) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0), V::from(body), V::from(editor.0), V::from(now)];
    tx.run(&UPDATE, &params).await?;
    tx.run(&SET_EVENT_DETAILS, &[V::from(project.0), V::from(id.0), V::from(event_details)]).await?;
    Ok(())
}

/// Deletes a comment, and what the feed quotes of it: the feed asks the comment whether it is internal, and once it is
/// gone nothing would keep the quotation hidden.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: NoteId) -> Result<(), Error> {
    let params = [V::from(project.0), V::from(id.0)];
    tx.run(&DELETE_EVENTS, &params).await?;
    tx.run(&DELETE, &params).await?;
    Ok(())
}

/// Puts a comment into a discussion of what it is on.
///
/// # Errors
/// The database's.
pub async fn set_discussion(
    tx: &mut Tx,
    project: ProjectId,
    id: NoteId,
    discussion: DiscussionId,
) -> Result<(), Error> {
    tx.run(&SET_DISCUSSION, &[V::from(project.0), V::from(id.0), V::from(discussion.0)]).await?;
    Ok(())
}

/// Returns how many there are.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// What a list of comments is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteOrder {
    /// When it was made.
    #[default]
    Created,
    /// When it last changed.
    Updated,
}

/// Which comments a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteKind {
    /// All of them.
    #[default]
    All,
    /// What somebody wrote.
    Comments,
    /// What the forge wrote about changes.
    Activity,
}

/// What a list of comments is narrowed to, and how it is ordered.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoteFilter {
    /// Which of them.
    pub kind: NoteKind,
    /// By what.
    pub order: NoteOrder,
    /// Oldest first.
    pub ascending: bool,
}

/// Returns the condition that a comment is on something and shown.
fn shown(project: ProjectId, on: Noteable, sight: Sight) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.and("n.project_id = ?", [project.0.into()]);
    match on {
        Noteable::Issue(issue) => conditions.and("n.issue_id = ?", [issue.0.into()]),
        Noteable::MergeRequest(merge_request) => {
            conditions.and("n.merge_request_id = ?", [merge_request.0.into()])
        }
    }
    if sight != Sight::Everything {
        conditions.and("n.internal_at IS NULL", []);
    }
    conditions
}

/// Returns the comments on something that are shown.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    sight: Sight,
    filter: NoteFilter,
    window: Window,
) -> Result<Listing<Note>, Error> {
    let mut conditions = shown(project, on, sight);
    match filter.kind {
        NoteKind::All => {}
        NoteKind::Comments => conditions.and("n.system_at IS NULL", []),
        NoteKind::Activity => conditions.and("n.system_at IS NOT NULL", []),
    }
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let column = match filter.order {
        NoteOrder::Created => "n.created_at",
        NoteOrder::Updated => "n.updated_at",
    };
    let order = format!("{column} {direction}, n.id {direction}");
    conditions.list(tx, columns!(), from!(), &order, window, read).await
}

/// Returns the comment with which each discussion on something begins, the oldest first: of those that are shown. A comment
/// that stands alone is a discussion of its own.
///
/// # Errors
/// The database's.
pub async fn list_beginnings(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    sight: Sight,
    window: Window,
) -> Result<Listing<Note>, Error> {
    let mut conditions = shown(project, on, sight);
    // All comments of a discussion are internal, or none is.
    conditions.and(
        "n.discussion_id IS NULL OR n.id = (SELECT MIN(f.id) FROM notes f WHERE f.discussion_id = n.discussion_id)",
        [],
    );
    conditions.list(tx, columns!(), from!(), "n.created_at, n.id", window, read).await
}

/// Returns the comments in several discussions on something that are shown, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list_of_discussions(
    tx: &mut Tx,
    project: ProjectId,
    on: Noteable,
    sight: Sight,
    discussions: &[i64],
    window: Window,
) -> Result<Vec<Note>, Error> {
    let mut conditions = shown(project, on, sight);
    conditions.and_in("n.discussion_id", discussions);
    Ok(conditions.list(tx, columns!(), from!(), "n.id", window, read).await?.items)
}

/// Returns who takes part in an issue: who opened it, is to deal with it, or wrote a comment on it that is shown.
///
/// # Errors
/// The database's.
pub async fn participants_of_issue(
    tx: &mut Tx,
    issue: IssueId,
    sight: Sight,
    window: Window,
) -> Result<Listing<User>, Error> {
    let mut conditions = Conditions::default();
    let internal = if sight == Sight::Everything { "" } else { " AND n.internal_at IS NULL" };
    conditions.and(
        &format!(
            "u.id IN (SELECT i.author_id FROM issues i WHERE i.id = ?) \
             OR u.id IN (SELECT a.user_id FROM issue_assignees a WHERE a.issue_id = ?) \
             OR u.id IN (SELECT n.author_id FROM notes n WHERE n.issue_id = ? AND n.system_at IS NULL{internal})"
        ),
        [issue.0.into(), issue.0.into(), issue.0.into()],
    );
    let map = |row: &Row<'_>| users::read_at(row, 0);
    conditions.list(tx, users::COLUMNS, "users u", "u.id", window, map).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_and_end_with_those_of_a_user() {
        assert!(columns!().starts_with(&format!("{}, n.id", users::COLUMNS)));
        assert!(columns!().ends_with(&users::COLUMNS.replace("u.", "r.")));
    }
}
