//! The audit log: who changed what, with which credential, from where.

use portcullis_rules::id::{AuditEventId, NamespaceId, ProjectId, TokenId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Paging, Value, Window};

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntity<'a> {
    /// `Project`, `Group`, `User` or `Instance`.
    pub kind: &'a str,
    /// Its id.
    pub id: Option<i64>,
    /// Its path or name then.
    pub path: Option<&'a str>,
}

/// An entry to be added.
#[derive(Clone, Debug)]
pub struct NewAuditEvent<'a> {
    /// Who did it; `None` is the system itself.
    pub author: Option<UserId>,
    /// What that user was called then.
    pub author_name: &'a str,
    /// The credential it was done with.
    pub token: Option<TokenId>,
    /// The address it came from.
    pub address: Option<&'a str>,
    /// What it is about.
    pub entity: AuditEntity<'a>,
    /// What happened, such as `project_access_token_created`.
    pub event_name: &'a str,
    /// What kind of thing it was done to.
    pub target_type: &'a str,
    /// Its id.
    pub target_id: Option<i64>,
    /// JSON for people and programs, without secrets.
    pub details: &'a str,
}

/// An entry as recorded.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// The id.
    pub id: AuditEventId,
    /// Who did it.
    pub author: Option<UserId>,
    /// What that user was called then.
    pub author_name: String,
    /// The credential it was done with.
    pub token: Option<TokenId>,
    /// The address it came from.
    pub address: Option<String>,
    /// `Project`, `Group`, `User` or `Instance`.
    pub entity_type: String,
    /// Its id.
    pub entity_id: Option<i64>,
    /// Its path then.
    pub entity_path: Option<String>,
    /// What happened.
    pub event_name: String,
    /// What kind of thing it was done to.
    pub target_type: String,
    /// Its id.
    pub target_id: Option<i64>,
    /// JSON.
    pub details: String,
    /// When, in Unix microseconds.
    pub created_at: i64,
}

statements! {
    INSERT = "INSERT INTO audit_events (author_id, author_name, token_id, address, entity_type, entity_id, entity_path, \
        event_name, target_type, target_id, details, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    ENTITIES_OF_TOKEN = "SELECT entity_id FROM (SELECT entity_type, entity_id, id FROM audit_events WHERE token_id = $1 \
        ORDER BY id DESC LIMIT 10000) recent WHERE entity_type = $2 AND entity_id IS NOT NULL \
        GROUP BY entity_id ORDER BY MAX(id) DESC LIMIT $3";
}

/// Adds an entry.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &NewAuditEvent<'_>, now: i64) -> Result<(), Error> {
    let params = [
        V::from(new.author.map(|user| user.0)),
        V::from(new.author_name),
        V::from(new.token.map(|token| token.0)),
        V::from(new.address),
        V::from(new.entity.kind),
        V::from(new.entity.id),
        V::from(new.entity.path),
        V::from(new.event_name),
        V::from(new.target_type),
        V::from(new.target_id),
        V::from(new.details),
        V::from(now),
    ];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<AuditEvent, Error> {
    Ok(AuditEvent {
        id: AuditEventId(row.get(0)?),
        author: row.get::<Option<i64>>(1)?.map(UserId),
        author_name: row.get(2)?,
        token: row.get::<Option<i64>>(3)?.map(TokenId),
        address: row.get(4)?,
        entity_type: row.get(5)?,
        entity_id: row.get(6)?,
        entity_path: row.get(7)?,
        event_name: row.get(8)?,
        target_type: row.get(9)?,
        target_id: row.get(10)?,
        details: row.get(11)?,
        created_at: row.get(12)?,
    })
}

async fn entities_of_token(tx: &mut Tx, token: TokenId, kind: &str, limit: i64) -> Result<Vec<i64>, Error> {
    tx.all(&ENTITIES_OF_TOKEN, &[V::from(token.0), V::from(kind), V::from(limit)], |row| row.get(0)).await
}

/// Returns the projects about which there are entries of what was done with a token, the latest first. Of very many entries
/// the newest are looked at.
///
/// # Errors
/// The database's.
pub async fn projects_of_token(tx: &mut Tx, token: TokenId, limit: i64) -> Result<Vec<ProjectId>, Error> {
    Ok(entities_of_token(tx, token, "Project", limit).await?.into_iter().map(ProjectId).collect())
}

/// Returns the groups about which there are such entries, likewise.
///
/// # Errors
/// The database's.
pub async fn groups_of_token(tx: &mut Tx, token: TokenId, limit: i64) -> Result<Vec<NamespaceId>, Error> {
    Ok(entities_of_token(tx, token, "Group", limit).await?.into_iter().map(NamespaceId).collect())
}

/// Which entries a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEventsOf<'a> {
    /// A project's.
    Project(ProjectId),
    /// Those of some groups and of some projects.
    Several {
        /// The groups; what is inside them does not count.
        groups: &'a [NamespaceId],
        /// The projects.
        projects: &'a [ProjectId],
    },
    /// The whole instance's.
    Instance,
}

/// Who did what a list of entries is narrowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditAuthor {
    /// This user.
    User(UserId),
    /// Whoever was called like this then, whatever the case of ASCII letters.
    Called(String),
    /// The system itself.
    System,
}

/// What a list of entries is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct AuditEventFilter {
    /// Only what they did.
    pub author: Option<AuditAuthor>,
    /// Only what has this in the name of what happened.
    pub event_name: Option<String>,
    /// Only those about what had this path or name then, whatever the case of ASCII letters.
    pub entity_path: Option<String>,
    /// How pages are reached.
    pub paging: Paging,
    /// Only this entry.
    pub id: Option<AuditEventId>,
    /// Made at this time or later, in Unix microseconds.
    pub created_after: Option<i64>,
    /// Made at this time or earlier.
    pub created_before: Option<i64>,
    /// Only those about this kind of entity.
    pub entity_type: Option<String>,
    /// Only those about the entity with this id.
    pub entity_id: Option<i64>,
    /// Only those done with this credential.
    pub token: Option<TokenId>,
    /// Only those done with this credential or to it.
    pub life_of: Option<TokenId>,
}

/// Returns entries, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    of: AuditEventsOf<'_>,
    filter: &AuditEventFilter,
    window: Window,
) -> Result<Listing<AuditEvent>, Error> {
    let mut conditions = Conditions::default();
    match of {
        AuditEventsOf::Project(project) => {
            conditions.and("entity_type = 'Project' AND entity_id = ?", [project.0.into()]);
        }
        AuditEventsOf::Several { groups, projects } => {
            let groups = groups.iter().map(|group| ("Group", group.0));
            let all: Vec<_> = groups.chain(projects.iter().map(|project| ("Project", project.0))).collect();
            let any = vec!["(entity_type = ? AND entity_id = ?)"; all.len()].join(" OR ");
            let values = all.into_iter().flat_map(|(kind, id)| [Value::from(kind), Value::from(id)]);
            conditions.and(if any.is_empty() { "1 = 0" } else { &any }, values);
        }
        AuditEventsOf::Instance => {}
    }
    match &filter.author {
        Some(AuditAuthor::User(user)) => conditions.and("author_id = ?", [user.0.into()]),
        Some(AuditAuthor::Called(name)) => {
            conditions.and("lower(author_name) = ?", [name.to_ascii_lowercase().into()]);
        }
        Some(AuditAuthor::System) => conditions.and("author_id IS NULL", []),
        None => {}
    }
    if let Some(part) = &filter.event_name {
        conditions.and_contains(&["event_name"], part);
    }
    if let Some(path) = &filter.entity_path {
        conditions.and("lower(entity_path) = ?", [path.to_ascii_lowercase().into()]);
    }
    if let Some(id) = filter.id {
        conditions.and("id = ?", [id.0.into()]);
    }
    if let Some(time) = filter.created_after {
        conditions.and("created_at >= ?", [time.into()]);
    }
    if let Some(time) = filter.created_before {
        conditions.and("created_at <= ?", [time.into()]);
    }
    if let Some(kind) = &filter.entity_type {
        conditions.and("entity_type = ?", [kind.as_str().into()]);
    }
    if let Some(id) = filter.entity_id {
        conditions.and("entity_id = ?", [id.into()]);
    }
    if let Some(token) = filter.token {
        conditions.and("token_id = ?", [token.0.into()]);
    }
    if let Some(token) = filter.life_of {
        let either = "(token_id = ? OR (target_type = 'AccessToken' AND target_id = ?))";
        conditions.and(either, [token.0.into(), token.0.into()]);
    }
    conditions.page(filter.paging, ("id", "id"), false);
    let columns = "id, author_id, author_name, token_id, address, entity_type, entity_id, entity_path, event_name, \
         target_type, target_id, details, created_at";
    conditions.list(tx, columns, "audit_events", "id DESC", window, read).await
}
