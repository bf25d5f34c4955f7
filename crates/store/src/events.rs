//! The activity feed of projects.

use portcullis_rules::id::{EventId, ProjectId, TokenId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Value, Window};
use crate::users::{self, User};

/// An entry to be added.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// Where it happened.
    pub project: ProjectId,
    /// Who did it.
    pub author: UserId,
    /// With which credential.
    pub token: Option<TokenId>,
    /// What was done, in GitLab's word: `opened`, `closed`, `commented on`, `pushed to`, `joined`, …
    pub action: &'a str,
    /// The kind of thing: `Issue`, `Note`, …
    pub target_type: Option<&'a str>,
    /// Its id.
    pub target_id: Option<i64>,
    /// Its number inside the project.
    pub target_iid: Option<i64>,
    /// Its title.
    pub target_title: Option<&'a str>,
    /// JSON: what was pushed.
    pub details: Option<&'a str>,
}

/// An entry as recorded.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id.
    pub id: EventId,
    /// Where it happened.
    pub project: ProjectId,
    /// Who did it, or the Ghost User.
    pub author: User,
    /// With which credential.
    pub token: Option<TokenId>,
    /// What was done.
    pub action: String,
    /// The kind of thing.
    pub target_type: Option<String>,
    /// Its id.
    pub target_id: Option<i64>,
    /// Its number inside the project.
    pub target_iid: Option<i64>,
    /// Its title.
    pub target_title: Option<String>,
    /// JSON.
    pub details: Option<String>,
    /// When, in Unix microseconds.
    pub created_at: i64,
}

statements! {
    INSERT = "INSERT INTO events (project_id, author_id, token_id, action, target_type, target_id, target_iid, target_title, \
        details, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
    SET_DETAILS = "UPDATE events SET details = $2 WHERE id = $1";
    DETAILS = "SELECT details FROM events WHERE id = $1";
    PROJECTS_OF_TOKEN = "SELECT project_id FROM (SELECT project_id, id FROM events WHERE token_id = $1 ORDER BY id DESC LIMIT 10000) \
        recent GROUP BY project_id ORDER BY MAX(id) DESC LIMIT $2";
}

/// Adds an entry.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &NewEvent<'_>, now: i64) -> Result<EventId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.author.0),
        V::from(new.token.map(|token| token.0)),
        V::from(new.action),
        V::from(new.target_type),
        V::from(new.target_id),
        V::from(new.target_iid),
        V::from(new.target_title),
        V::from(new.details),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(EventId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Replaces an entry's details: what takes time to find out about a push is added after it was acknowledged.
///
/// # Errors
/// The database's.
pub async fn set_details(tx: &mut Tx, id: EventId, details: &str) -> Result<(), Error> {
    tx.run(&SET_DETAILS, &[V::from(id.0), V::from(details)]).await?;
    Ok(())
}

/// Returns an entry's details.
///
/// # Errors
/// The database's.
pub async fn find_details(tx: &mut Tx, id: EventId) -> Result<Option<String>, Error> {
    Ok(tx.one(&DETAILS, &[V::from(id.0)], |row| row.get(0)).await?.flatten())
}

fn read(row: &Row<'_>) -> Result<Event, Error> {
    let at = users::COLUMN_COUNT;
    Ok(Event {
        author: users::read_at(row, 0)?,
        id: EventId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        token: row.get::<Option<i64>>(at + 2)?.map(TokenId),
        action: row.get(at + 3)?,
        target_type: row.get(at + 4)?,
        target_id: row.get(at + 5)?,
        target_iid: row.get(at + 6)?,
        target_title: row.get(at + 7)?,
        details: row.get(at + 8)?,
        created_at: row.get(at + 9)?,
    })
}

/// Returns the projects in which something was done with a token, the latest first. Of very many entries the newest are looked
/// at.
///
/// # Errors
/// The database's.
pub async fn projects_of_token(tx: &mut Tx, token: TokenId, limit: i64) -> Result<Vec<ProjectId>, Error> {
    let params = [V::from(token.0), V::from(limit)];
    tx.all(&PROJECTS_OF_TOKEN, &params, |row| Ok(ProjectId(row.get(0)?))).await
}

/// What a feed is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only this kind of thing.
    pub target_type: Option<String>,
    /// Made before this time, in Unix microseconds.
    pub before: Option<i64>,
    /// Made after this time.
    pub after: Option<i64>,
    /// Only what was done with this credential.
    pub token: Option<TokenId>,
    /// Oldest first.
    pub ascending: bool,
    /// Whether entries about issues and comments on them are shown.
    pub issues: bool,
    /// Whether entries about confidential issues and internal comments are shown.
    pub confidential: bool,
    /// Whether entries about merge requests and comments on them are shown.
    pub merge_requests: bool,
    /// Whether entries about internal comments on merge requests are shown.
    pub internal_on_merge_requests: bool,
}

impl EventFilter {
    /// Returns the condition on entries of a project without those that the reader is not shown, and its values.
    fn shown_of(&self, project: ProjectId) -> (String, Vec<Value>) {
        let mut text = "e.project_id = ?".to_owned();
        let mut hide = |condition: &str| {
            text.push_str(&format!(" AND (e.target_type IS NULL OR NOT ({condition}))"));
        };
        if !self.issues {
            hide(
                "e.target_type = 'Issue' OR (e.target_type = 'Note' AND e.target_id IN \
                 (SELECT n.id FROM notes n WHERE n.project_id = ? AND n.issue_id IS NOT NULL))",
            );
        } else if !self.confidential {
            hide(
                "(e.target_type = 'Issue' AND e.target_id IN \
                 (SELECT i.id FROM issues i WHERE i.project_id = ? AND i.confidential_at IS NOT NULL)) \
                 OR (e.target_type = 'Note' AND e.target_id IN (SELECT n.id FROM notes n JOIN issues i ON i.id = n.issue_id \
                 WHERE n.project_id = ? AND (n.internal_at IS NOT NULL OR i.confidential_at IS NOT NULL)))",
            );
        }
        if !self.merge_requests {
            hide(
                "e.target_type = 'MergeRequest' OR (e.target_type = 'Note' AND e.target_id IN \
                 (SELECT n.id FROM notes n WHERE n.project_id = ? AND n.merge_request_id IS NOT NULL))",
            );
        } else if !self.internal_on_merge_requests {
            hide(
                "e.target_type = 'Note' AND e.target_id IN (SELECT n.id FROM notes n \
                 WHERE n.project_id = ? AND n.merge_request_id IS NOT NULL AND n.internal_at IS NOT NULL)",
            );
        }
        let values = vec![project.0.into(); text.matches('?').count()];
        (text, values)
    }
}

fn columns() -> String {
    format!(
        "{}, e.id, e.project_id, e.token_id, e.action, e.target_type, e.target_id, e.target_iid, e.target_title, \
         e.details, e.created_at",
        users::COLUMNS
    )
}

const FROM: &str = "events e JOIN users u ON u.id = e.author_id";

/// Returns what was done with a token in some projects, newest first, as far as the filter of each lets the reader see it.
///
/// # Errors
/// The database's.
pub async fn list_of_token(
    tx: &mut Tx,
    token: TokenId,
    projects: &[(ProjectId, EventFilter)],
    window: Window,
) -> Result<Listing<Event>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("e.token_id = ?", [token.0.into()]);
    let (texts, values): (Vec<_>, Vec<_>) =
        projects.iter().map(|(project, filter)| filter.shown_of(*project)).unzip();
    match texts.is_empty() {
        true => conditions.and("1 = 0", []),
        false => conditions.and(&format!("({})", texts.join(") OR (")), values.into_iter().flatten()),
    }
    conditions.list(tx, &columns(), FROM, "e.id DESC", window, read).await
}

/// Returns the feed of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    filter: &EventFilter,
    window: Window,
) -> Result<Listing<Event>, Error> {
    let mut conditions = Conditions::default();
    let (shown, values) = filter.shown_of(project);
    conditions.and(&shown, values);
    if let Some(action) = &filter.action {
        conditions.and("e.action = ?", [action.as_str().into()]);
    }
    if let Some(kind) = &filter.target_type {
        conditions.and("lower(e.target_type) = ?", [kind.to_ascii_lowercase().into()]);
    }
    if let Some(time) = filter.before {
        conditions.and("e.created_at < ?", [time.into()]);
    }
    if let Some(time) = filter.after {
        conditions.and("e.created_at > ?", [time.into()]);
    }
    if let Some(token) = filter.token {
        conditions.and("e.token_id = ?", [token.0.into()]);
    }
    let order = if filter.ascending { "e.id ASC" } else { "e.id DESC" };
    conditions.list(tx, &columns(), FROM, order, window, read).await
}
