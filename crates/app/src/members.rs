//! Members of projects and groups.

use jiff::civil::Date;
use portcullis_rules::access::{Role, act};
use portcullis_rules::id::{ProjectId, UserId};
use portcullis_rules::token::{date_at, midnight};
use portcullis_store::db::{self, Tx};
use portcullis_store::events::{self, NewEvent};
use portcullis_store::members::{self, Member, MemberFilter, Place, Reach};
use portcullis_store::select::{Listing, Window};
use portcullis_store::users::{self, User, UserKind};
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, Identity, Viewer};
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// The answer to adding a bot to anything but its own project.
pub const BOTS_STAY_HOME: &str = "project bots cannot be added to other groups / projects";

/// The permission to read the members of a place.
pub trait MayRead: Send + Sync {
    /// The place.
    fn place(&self) -> Place;
}

impl MayRead for Authorized<act::ReadMembers> {
    fn place(&self) -> Place {
        Place::Project(self.project())
    }
}

impl MayRead for Authorized<act::ReadGroupMembers> {
    fn place(&self) -> Place {
        Place::Namespace(self.namespace().id)
    }
}

/// The permission to administer the members of a place.
pub trait MayAdminister: Send + Sync {
    /// The place.
    fn place(&self) -> Place;
    /// Its path.
    fn full_path(&self) -> &str;
    /// Who may.
    fn viewer(&self) -> &Viewer;
    /// Asks again inside the transaction that will act, and returns the role with which.
    fn still(&self, forge: &Forge, tx: &mut Tx) -> impl Future<Output = Result<Option<Role>, Error>> + Send;
}

impl MayAdminister for Authorized<act::AdministerMembers> {
    fn place(&self) -> Place {
        Place::Project(self.project())
    }

    fn full_path(&self) -> &str {
        &Authorized::place(self).full_path
    }

    fn viewer(&self) -> &Viewer {
        Authorized::viewer(self)
    }

    async fn still(&self, forge: &Forge, tx: &mut Tx) -> Result<Option<Role>, Error> {
        Ok(self.again(forge, tx).await?.role())
    }
}

impl MayAdminister for Authorized<act::AdministerGroupMembers> {
    fn place(&self) -> Place {
        Place::Namespace(self.namespace().id)
    }

    fn full_path(&self) -> &str {
        &self.namespace().full_path
    }

    fn viewer(&self) -> &Viewer {
        Authorized::viewer(self)
    }

    async fn still(&self, forge: &Forge, tx: &mut Tx) -> Result<Option<Role>, Error> {
        Ok(self.again(forge, tx).await?.role())
    }
}

/// Returns the living members of a place.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &impl MayRead,
    reach: Reach,
    filter: &MemberFilter,
    window: Window,
) -> Result<Listing<Member>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(members::list(&mut tx, access.place(), reach, filter, window, forge.now()).await?)
}

/// Returns one member.
///
/// # Errors
/// [`Error::NotFound`] when that user is none.
pub async fn get(forge: &Forge, access: &impl MayRead, reach: Reach, user: UserId) -> Result<Member, Error> {
    let mut tx = forge.db().read().await?;
    members::find(&mut tx, access.place(), reach, user, forge.now()).await?.ok_or(Error::NotFound("Member"))
}

fn checked_expiry(forge: &Forge, date: Option<Date>) -> Result<Option<i64>, Error> {
    match date {
        Some(date) if date <= date_at(forge.now()) => {
            Err(Error::invalid("expires_at", "cannot be a date in the past"))
        }
        Some(date) => Ok(Some(midnight(date))),
        None => Ok(None),
    }
}

/// Nobody gives, changes or takes a role above their own.
fn may_deal_with(own: Option<Role>, role: Role) -> Result<(), Error> {
    if own.is_some_and(|own| own >= role) {
        Ok(())
    } else {
        Err(Error::Forbidden("The role is above your own".to_owned()))
    }
}

/// Adds a person.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user; [`Error::Conflict`] when they are a member already;
/// [`Error::Invalid`] for a bot.
pub async fn add(
    forge: &Forge,
    access: &impl MayAdminister,
    user: UserId,
    role: Role,
    expires_at: Option<Date>,
) -> Result<Member, Error> {
    let now = forge.now();
    let expires_at = checked_expiry(forge, expires_at)?;
    let mut tx = forge.db().begin().await?;
    let own = access.still(forge, &mut tx).await?;
    may_deal_with(own, role)?;
    let new = users::find(&mut tx, user).await?.ok_or(Error::NotFound("User"))?;
    refuse_bots(&new)?;
    let by = access.viewer().identity().map(|identity| identity.user);
    let place = access.place();
    members::delete_expired(&mut tx, now).await?;
    members::insert(&mut tx, place, user, role, expires_at, by, now).await.map_err(|error| match error {
        db::Error::Unique { .. } => Error::Conflict("Member already exists".to_owned()),
        other => other.into(),
    })?;
    if let Place::Project(project) = place {
        note_event(&mut tx, project, user, access.viewer(), "joined", now).await?;
    }
    note(&mut tx, access, "member_added", &new, Some(role), now).await?;
    let member =
        members::find(&mut tx, place, Reach::Direct, user, now).await?.ok_or(Error::NotFound("Member"))?;
    tx.commit().await?;
    Ok(member)
}

fn refuse_bots(user: &User) -> Result<(), Error> {
    match user.kind {
        UserKind::Person => Ok(()),
        UserKind::ProjectBot => Err(Error::invalid("user_id", BOTS_STAY_HOME)),
        UserKind::Ghost => Err(Error::NotFound("User")),
    }
}

/// A bot's membership belongs to its token and is neither changed nor ended here, not even by the bot itself.
async fn find_administrable(
    tx: &mut Tx,
    place: Place,
    user: UserId,
    own: Option<Role>,
    now: i64,
) -> Result<Member, Error> {
    let member =
        members::find(tx, place, Reach::Direct, user, now).await?.ok_or(Error::NotFound("Member"))?;
    if member.user.kind == UserKind::ProjectBot {
        return Err(Error::Forbidden("A project bot's membership belongs to its access token".to_owned()));
    }
    may_deal_with(own, member.role)?;
    Ok(member)
}

async fn keep_an_owner(tx: &mut Tx, place: Place, user: UserId, now: i64) -> Result<(), Error> {
    if let Place::Namespace(group) = place
        && members::other_owners(tx, group, user, now).await? == 0
    {
        return Err(Error::Forbidden("A group needs an Owner".to_owned()));
    }
    Ok(())
}

/// Whom an invitation names.
#[derive(Clone, Debug)]
pub enum Invited {
    /// A user by id.
    User(UserId),
    /// A user by mail address. Nobody is written to: the address has to belong to somebody who is here already.
    Email(String),
}

/// Adds everybody who is named, each on their own, and returns who could not be added and why.
///
/// # Errors
/// The database's, or when the caller may not give that role at all.
pub async fn invite(
    forge: &Forge,
    access: &impl MayAdminister,
    invited: &[Invited],
    role: Role,
    expires_at: Option<Date>,
) -> Result<Vec<(String, String)>, Error> {
    let mut refused = Vec::new();
    for invited in invited {
        let mut tx = forge.db().read().await?;
        let (label, user) = match invited {
            Invited::User(id) => {
                let user = users::find(&mut tx, *id).await?;
                (user.as_ref().map_or_else(|| id.to_string(), |user| user.username.clone()), user)
            }
            Invited::Email(email) => (email.clone(), users::find_by_email(&mut tx, email).await?),
        };
        drop(tx);
        let Some(user) = user else {
            refused.push((label, "User not found".to_owned()));
            continue;
        };
        match add(forge, access, user.id, role, expires_at).await {
            Ok(_) => {}
            Err(Error::Invalid(fields)) => {
                let problems: Vec<_> =
                    fields.into_iter().map(|(_, problem)| format!("User {problem}")).collect();
                refused.push((label, problems.join(", ")));
            }
            Err(Error::Conflict(problem)) => refused.push((label, problem)),
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

/// Changes a member's role and expiry.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for a bot, or for a role above one's own.
pub async fn update(
    forge: &Forge,
    access: &impl MayAdminister,
    user: UserId,
    role: Role,
    expires_at: Option<Option<Date>>,
) -> Result<Member, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let own = access.still(forge, &mut tx).await?;
    let place = access.place();
    let member = find_administrable(&mut tx, place, user, own, now).await?;
    may_deal_with(own, role)?;
    if member.role == Role::Owner && role != Role::Owner {
        keep_an_owner(&mut tx, place, user, now).await?;
    }
    let expires_at = match expires_at {
        Some(date) => checked_expiry(forge, date)?,
        None => member.expires_at,
    };
    members::update(&mut tx, place, user, role, expires_at).await?;
    note(&mut tx, access, "member_updated", &member.user, Some(role), now).await?;
    let member =
        members::find(&mut tx, place, Reach::Direct, user, now).await?.ok_or(Error::NotFound("Member"))?;
    tx.commit().await?;
    Ok(member)
}

/// Ends a membership.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for a bot, for a role above one's own, or for a group's last Owner.
pub async fn remove(forge: &Forge, access: &impl MayAdminister, user: UserId) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let own = access.still(forge, &mut tx).await?;
    let place = access.place();
    let member = find_administrable(&mut tx, place, user, own, now).await?;
    if member.role == Role::Owner {
        keep_an_owner(&mut tx, place, user, now).await?;
    }
    members::delete(&mut tx, place, user).await?;
    if let Place::Project(project) = place {
        note_event(&mut tx, project, user, access.viewer(), "left", now).await?;
    }
    note(&mut tx, access, "member_removed", &member.user, None, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn note_event(
    tx: &mut Tx,
    project: ProjectId,
    author: UserId,
    viewer: &Viewer,
    action: &str,
    now: i64,
) -> Result<(), Error> {
    let event = NewEvent {
        project,
        author,
        token: viewer.identity().and_then(Identity::token),
        action,
        target_type: None,
        target_id: None,
        target_iid: None,
        target_title: None,
        details: None,
    };
    events::insert(tx, &event, now).await?;
    Ok(())
}

async fn note(
    tx: &mut Tx,
    access: &impl MayAdminister,
    event: &str,
    user: &User,
    role: Option<Role>,
    now: i64,
) -> Result<(), Error> {
    let entry = match access.place() {
        Place::Project(id) => Entry::project(id, access.full_path(), event),
        Place::Namespace(id) => Entry::group(id.0, access.full_path(), event),
    };
    let details = json!({ "username": user.username, "access_level": role.map(Role::level) });
    audit::record(tx, access.viewer(), entry.target("User", user.id.0).details(details), now).await
}
