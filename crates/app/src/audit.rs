//! The audit log: every change leaves an entry, in the transaction that makes it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use portcullis_rules::access::act;
use portcullis_rules::id::{AuditEventId, ProjectId, TokenId, UserId};
use portcullis_rules::names::IdOrPath;
use portcullis_store::audit_events::{
    self, AuditAuthor, AuditEntity, AuditEvent, AuditEventFilter, AuditEventsOf, NewAuditEvent,
};
use portcullis_store::db::Tx;
use portcullis_store::select::{Behind, Listing, Paging, Window};
use portcullis_store::users::{self, User};
use serde_json::{Value, json};

use crate::Error;
use crate::access::{Authorized, Identity, Viewer};
use crate::forge::Forge;

/// The most entries that are exported at once; the newest come first.
pub const MAX_EXPORTED_EVENTS: i64 = 100_000;

/// How many entries of an export are read, and held in memory, at once.
const EXPORTED_AT_ONCE: i64 = 1000;

/// Of how many groups and of how many projects a group's token is told what it changed: those it changed last.
const ENTITIES_OF_TOKEN: i64 = 50;

/// How the system itself is called in the log.
const SYSTEM: &str = "(system)";

/// What an entry says.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The kind of thing it is about: `Project`, `Group`, `User` or `Instance`.
    pub entity: &'a str,
    /// Its id.
    pub entity_id: Option<i64>,
    /// Its path or name.
    pub entity_path: Option<&'a str>,
    /// What happened.
    pub event: &'a str,
    /// What kind of thing it was done to.
    pub target: &'a str,
    /// Its id.
    pub target_id: Option<i64>,
    /// More, without secrets.
    pub details: Value,
}

impl<'a> Entry<'a> {
    /// Returns an entry about a project.
    pub(crate) fn project(id: ProjectId, path: &'a str, event: &'a str) -> Entry<'a> {
        Entry {
            entity: "Project",
            entity_id: Some(id.0),
            entity_path: Some(path),
            event,
            target: "Project",
            target_id: Some(id.0),
            details: json!({}),
        }
    }

    /// Returns an entry about a user.
    pub(crate) fn user(id: UserId, username: &'a str, event: &'a str) -> Entry<'a> {
        Entry {
            entity: "User",
            entity_id: Some(id.0),
            entity_path: Some(username),
            event,
            target: "User",
            target_id: Some(id.0),
            details: json!({}),
        }
    }

    /// Returns an entry about a group.
    pub(crate) fn group(id: i64, path: &'a str, event: &'a str) -> Entry<'a> {
        Entry {
            entity: "Group",
            entity_id: Some(id),
            entity_path: Some(path),
            event,
            target: "Group",
            target_id: Some(id),
            details: json!({}),
        }
    }

    /// Says what it was done to.
    pub(crate) fn target(mut self, kind: &'a str, id: i64) -> Entry<'a> {
        self.target = kind;
        self.target_id = Some(id);
        self
    }

    /// Adds details.
    pub(crate) fn details(mut self, details: Value) -> Entry<'a> {
        self.details = details;
        self
    }
}

/// Adds an entry in the name of `viewer`.
pub(crate) async fn record(tx: &mut Tx, viewer: &Viewer, entry: Entry<'_>, now: i64) -> Result<(), Error> {
    let identity = viewer.identity();
    let mut details = entry.details.clone();
    if let (Some(details), Some(impersonator)) =
        (details.as_object_mut(), identity.and_then(|identity| identity.impersonator))
    {
        details.insert("impersonator_id".to_owned(), json!(impersonator.0));
    }
    if let (Some(details), Some(reason)) = (details.as_object_mut(), viewer.system_reason()) {
        details.insert("reason".to_owned(), json!(reason));
    }
    let address = viewer.origin().address.map(|address| address.to_string());
    let entry = Entry { details, ..entry };
    let author = identity.map(|identity| identity.user);
    let name = identity.map_or(SYSTEM, |identity| &identity.name);
    let token = identity.and_then(Identity::token);
    insert(tx, author, name, token, address.as_deref(), entry, now).await
}

/// Adds an entry in the name of somebody whose request may be over.
pub(crate) async fn record_as(
    tx: &mut Tx,
    author: UserId,
    author_name: &str,
    token: Option<TokenId>,
    address: Option<&str>,
    entry: Entry<'_>,
    now: i64,
) -> Result<(), Error> {
    insert(tx, Some(author), author_name, token, address, entry, now).await
}

async fn insert(
    tx: &mut Tx,
    author: Option<UserId>,
    author_name: &str,
    token: Option<TokenId>,
    address: Option<&str>,
    entry: Entry<'_>,
    now: i64,
) -> Result<(), Error> {
    let details = entry.details.to_string();
    let new = NewAuditEvent {
        author,
        author_name,
        token,
        address,
        entity: AuditEntity { kind: entry.entity, id: entry.entity_id, path: entry.entity_path },
        event_name: entry.event,
        target_type: entry.target,
        target_id: entry.target_id,
        details: &details,
    };
    audit_events::insert(tx, &new, now).await?;
    Ok(())
}

/// Returns the audit log of a project.
///
/// # Errors
/// The database's.
pub async fn list_of_project(
    forge: &Forge,
    access: &Authorized<act::ReadAuditEvents>,
    filter: &AuditEventFilter,
    window: Window,
) -> Result<Listing<AuditEvent>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(audit_events::list(&mut tx, AuditEventsOf::Project(access.project()), filter, window).await?)
}

/// Returns what was done to a token of a group, and what was done with it to that group, to groups inside it and to projects,
/// as far as the caller may read the audit logs of these.
///
/// # Errors
/// The database's.
pub async fn list_of_group_token(
    forge: &Forge,
    access: &Authorized<act::ReadGroupAuditEvents>,
    token: TokenId,
    window: Window,
) -> Result<Listing<AuditEvent>, Error> {
    let mut tx = forge.db().read().await?;
    let own = access.namespace().id;
    let mut groups = vec![own];
    for group in audit_events::groups_of_token(&mut tx, token, ENTITIES_OF_TOKEN).await? {
        let reference = Some(IdOrPath::Id(group.0));
        match access.elsewhere::<act::ReadGroupAuditEvents>(forge, &mut tx, reference).await {
            Ok(proof) if proof.namespace().id != own => groups.push(proof.namespace().id),
            Ok(_) | Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let projects = audit_events::projects_of_token(&mut tx, token, ENTITIES_OF_TOKEN).await?;
    let projects = access.wherever::<act::ReadAuditEvents>(forge, &mut tx, projects).await?;
    let projects: Vec<_> = projects.iter().map(Authorized::project).collect();
    let of = AuditEventsOf::Several { groups: &groups, projects: &projects };
    let filter = AuditEventFilter { life_of: Some(token), ..AuditEventFilter::default() };
    Ok(audit_events::list(&mut tx, of, &filter, window).await?)
}

/// Returns one entry of a project's audit log.
///
/// # Errors
/// [`Error::NotFound`] when that project has no such entry.
pub async fn get_of_project(
    forge: &Forge,
    access: &Authorized<act::ReadAuditEvents>,
    id: i64,
) -> Result<AuditEvent, Error> {
    let filter = AuditEventFilter { id: Some(AuditEventId(id)), ..AuditEventFilter::default() };
    let found = list_of_project(forge, access, &filter, Window { limit: 1, offset: 0 }).await?;
    found.items.into_iter().next().ok_or(Error::NotFound("Audit Event"))
}

/// Returns the audit log of the instance.
///
/// # Errors
/// The database's.
pub async fn list_of_instance(
    forge: &Forge,
    _access: &Authorized<act::ReadInstanceAuditEvents>,
    filter: &AuditEventFilter,
    window: Window,
) -> Result<Listing<AuditEvent>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(audit_events::list(&mut tx, AuditEventsOf::Instance, filter, window).await?)
}

/// Returns the users who made entries, as far as they are still there.
///
/// # Errors
/// The database's.
pub async fn authors(
    forge: &Forge,
    _access: &Authorized<act::ReadInstanceAuditEvents>,
    events: &[AuditEvent],
) -> Result<HashMap<UserId, User>, Error> {
    let mut ids: Vec<_> = events.iter().filter_map(|event| event.author).map(|author| author.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut tx = forge.db().read().await?;
    let found = users::find_all(&mut tx, &ids).await?;
    Ok(found.into_iter().map(|user| (user.id, user)).collect())
}

/// Returns what a list is narrowed to by `name`: the user with this username or else whoever was called like this then, and
/// the system itself for `(system)`.
///
/// # Errors
/// The database's.
pub async fn find_author(
    forge: &Forge,
    _access: &Authorized<act::ReadInstanceAuditEvents>,
    name: &str,
) -> Result<AuditAuthor, Error> {
    if name == SYSTEM {
        return Ok(AuditAuthor::System);
    }
    let mut tx = forge.db().read().await?;
    let user = users::find_by_username(&mut tx, name.trim_start_matches('@')).await?;
    Ok(user.map_or_else(|| AuditAuthor::Called(name.to_owned()), |user| AuditAuthor::User(user.id)))
}

/// Returns the audit log of the instance, newest first and some entries at a time, up to [`MAX_EXPORTED_EVENTS`]. Whoever
/// asked is asked again each time, so that an export ends with the right to it.
pub fn export(
    forge: Arc<Forge>,
    access: &Authorized<act::ReadInstanceAuditEvents>,
    filter: AuditEventFilter,
) -> impl Stream<Item = Result<Vec<AuditEvent>, Error>> + Send + 'static {
    let begun = (forge, access.clone(), filter, None::<Behind>, MAX_EXPORTED_EVENTS);
    try_unfold(begun, |(forge, access, mut filter, behind, left)| async move {
        if left <= 0 {
            return Ok(None);
        }
        filter.paging = Paging::Keyset(behind);
        let window = Window { limit: left.min(EXPORTED_AT_ONCE), offset: 0 };
        let mut tx = forge.db().read().await?;
        let access = access.again(&forge, &mut tx).await?;
        let found = audit_events::list(&mut tx, AuditEventsOf::Instance, &filter, window).await?;
        drop(tx);
        let Some(last) = found.items.last() else { return Ok(None) };
        let behind = Some(Behind { value: last.id.0, id: last.id.0 });
        let left = match i64::try_from(found.items.len()) {
            Ok(count) if count == window.limit => left - count,
            _ => 0,
        };
        Ok(Some((found.items, (forge, access, filter, behind, left))))
    })
}
