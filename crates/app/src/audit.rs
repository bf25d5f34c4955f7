//! The audit log: every change leaves an entry, in the transaction that makes it.

use portcullis_rules::access::act;
use portcullis_rules::id::{AuditEventId, ProjectId, TokenId, UserId};
use portcullis_store::audit_events::{
    self, AuditEntity, AuditEvent, AuditEventFilter, AuditEventsOf, NewAuditEvent,
};
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use serde_json::{Value, json};

use crate::Error;
use crate::access::{Authorized, Identity, Viewer};
use crate::forge::Forge;

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
    let name = identity.map_or("(system)", |identity| &identity.name);
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
