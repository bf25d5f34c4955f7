//! Users: created, blocked and deleted by administrators; read by those who may.

use portcullis_rules::access::{Visibility, act};
use portcullis_rules::bot;
use portcullis_rules::id::UserId;
use portcullis_rules::names::{DisplayName, Email, NameRefusal, PathSegment};
use portcullis_store::db;
use portcullis_store::members::{self, Membership};
use portcullis_store::namespaces::{self, NewNamespace};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use portcullis_store::sessions;
use portcullis_store::users::{self, Account, Census, NewUser, User, UserFilter, UserKind};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::jobs::{self, Job};
use crate::passwords;
use crate::projects as project_use_cases;

/// Longer names are nobody's.
const MAX_LOGIN_BYTES: usize = 1024;

/// What a person is created with.
#[derive(Clone)]
pub struct NewPersonRequest {
    /// The name in addresses; also the path of their own namespace.
    pub username: String,
    /// The name people read; the username when absent.
    pub name: Option<String>,
    /// The mail address.
    pub email: String,
    /// The password; without one they cannot sign in until an administrator sets one.
    pub password: Option<String>,
    /// Whether they administer the instance.
    pub administrator: bool,
    /// Whether they are external.
    pub external: bool,
}

/// Creates a person together with their own namespace.
///
/// # Errors
/// [`Error::Invalid`] for a field; [`Error::Conflict`] when the username or the address is taken.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    request: NewPersonRequest,
) -> Result<User, Error> {
    let mut fields = FieldErrors::default();
    let username = fields.take("username", PathSegment::parse_top(&request.username));
    let name = fields.take("name", DisplayName::parse(request.name.as_deref().unwrap_or(&request.username)));
    let email = fields.take("email", Email::parse(&request.email));
    // The address of a bot to come must be free when it is made.
    if request.email.split_once('@').is_some_and(|(local, _)| bot::is_reserved(local)) {
        fields.add("email", NameRefusal::Reserved);
    }
    fields.finish()?;
    let (Some(username), Some(name), Some(email)) = (username, name, email) else {
        return Err(Error::NotFound("field"));
    };
    let hash = match request.password {
        Some(password) => Some(passwords::hash(password, forge.random()).await?),
        None => None,
    };
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let new = NewUser {
        username: username.as_str(),
        name: name.as_str(),
        email: email.as_str(),
        kind: UserKind::Person,
        password_hash: hash.as_deref(),
        administrator: request.administrator,
        external: request.external,
        bot_home: None,
        created_by: access.viewer().identity().map(|identity| identity.user),
    };
    let id = users::insert(&mut tx, &new, now).await.map_err(taken)?;
    let namespace = NewNamespace {
        owner: Some(id),
        parent: None,
        name: name.as_str(),
        path: username.as_str(),
        full_path: username.as_str(),
        description: "",
        visibility: Visibility::Public,
    };
    namespaces::insert(&mut tx, &namespace, now).await.map_err(taken)?;
    let entry = Entry::user(id, username.as_str(), "user_created")
        .details(json!({ "administrator": request.administrator, "external": request.external }));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    let user = users::find(&mut tx, id).await?.ok_or(Error::NotFound("User"))?;
    tx.commit().await?;
    Ok(user)
}

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { constraint } if constraint.contains("email") => {
            Error::Conflict("Email has already been taken".to_owned())
        }
        db::Error::Unique { .. } => Error::Conflict("Username has already been taken".to_owned()),
        other => other.into(),
    }
}

/// Returns the users whom the viewer may see.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadUsers>,
    filter: &UserFilter,
    window: Window,
) -> Result<Listing<User>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(users::list(&mut tx, access.viewer().audience(), filter, window, forge.now()).await?)
}

/// Returns one user.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or not one the viewer may see.
pub async fn get(forge: &Forge, access: &Authorized<act::ReadUsers>, id: UserId) -> Result<User, Error> {
    let mut tx = forge.db().read().await?;
    let user = users::find(&mut tx, id).await?.ok_or(Error::NotFound("User"))?;
    let filter = UserFilter { username: Some(user.username.clone()), ..UserFilter::default() };
    let seen = users::list(
        &mut tx,
        access.viewer().audience(),
        &filter,
        Window { limit: 1, offset: 0 },
        forge.now(),
    )
    .await?;
    seen.items.into_iter().next().ok_or(Error::NotFound("User"))
}

/// Returns the user with this name, if the viewer may see them.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get_by_username(
    forge: &Forge,
    access: &Authorized<act::ReadUsers>,
    username: &str,
) -> Result<User, Error> {
    let filter = UserFilter { username: Some(username.to_owned()), ..UserFilter::default() };
    let found = list(forge, access, &filter, Window { limit: 1, offset: 0 }).await?;
    found.items.into_iter().next().ok_or(Error::NotFound("User"))
}

/// Returns the account behind the credential.
///
/// # Errors
/// The database's.
pub async fn get_own(forge: &Forge, access: &Authorized<act::ReadOwnUser>) -> Result<User, Error> {
    let mut tx = forge.db().read().await?;
    users::find(&mut tx, access.identity()?.user).await?.ok_or(Error::Unauthorized)
}

/// Returns every user there is, as an administrator sees them.
///
/// # Errors
/// The database's.
pub async fn list_accounts(
    forge: &Forge,
    _access: &Authorized<act::AdministerUsers>,
    filter: &UserFilter,
    window: Window,
) -> Result<Listing<Account>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(users::accounts(&mut tx, None, filter, window).await?)
}

/// Returns one user, as an administrator sees them.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get_account(
    forge: &Forge,
    _access: &Authorized<act::AdministerUsers>,
    id: UserId,
) -> Result<Account, Error> {
    let mut tx = forge.db().read().await?;
    let window = Window { limit: 1, offset: 0 };
    let found = users::accounts(&mut tx, Some(id), &UserFilter::default(), window).await?;
    found.items.into_iter().next().ok_or(Error::NotFound("User"))
}

/// Returns what a user is a direct member of.
///
/// # Errors
/// The database's.
pub async fn memberships(
    forge: &Forge,
    _access: &Authorized<act::AdministerUsers>,
    id: UserId,
    window: Window,
) -> Result<Listing<Membership>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(members::places_of(&mut tx, id, window, forge.now()).await?)
}

/// Changes what the caller is called, and their own namespace with them.
///
/// # Errors
/// [`Error::Invalid`] for the name.
pub async fn rename_own(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    name: &str,
) -> Result<User, Error> {
    let mut fields = FieldErrors::default();
    let name = fields.take("name", DisplayName::parse(name));
    fields.finish()?;
    let name = name.ok_or(Error::NotFound("field"))?;
    let now = forge.now();
    let id = access.identity()?.user;
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, id).await?;
    let access = access.again(forge, &mut tx).await?;
    let before = users::find(&mut tx, id).await?.ok_or(Error::Unauthorized)?;
    users::set_name(&mut tx, id, name.as_str(), now).await?;
    if let Some(mut own) = namespaces::find_own(&mut tx, id).await? {
        name.as_str().clone_into(&mut own.name);
        namespaces::update(&mut tx, &own, now).await?;
    }
    let entry = Entry::user(id, &before.username, "user_updated");
    let changed =
        json!({ "name": (before.name != name.as_str()).then_some([before.name.as_str(), name.as_str()]) });
    audit::record(&mut tx, access.viewer(), entry.details(changed), now).await?;
    let user = users::find(&mut tx, id).await?.ok_or(Error::Unauthorized)?;
    tx.commit().await?;
    Ok(user)
}

pub(crate) async fn administered(tx: &mut db::Tx, id: UserId) -> Result<User, Error> {
    let user = users::find(tx, id).await?.ok_or(Error::NotFound("User"))?;
    if user.kind == UserKind::Ghost {
        return Err(Error::Forbidden("The Ghost User cannot be changed or removed".to_owned()));
    }
    Ok(user)
}

/// Blocks a user: every credential of theirs is refused from the next request on.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for oneself, a bot or the Ghost User.
pub async fn block(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    id: UserId,
) -> Result<bool, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = administered(&mut tx, id).await?;
    if user.kind != UserKind::Person {
        return Err(Error::Forbidden("A bot is ended by revoking its token".to_owned()));
    }
    if access.viewer().identity().is_some_and(|identity| identity.user == id) {
        return Err(Error::Forbidden("You cannot block yourself".to_owned()));
    }
    let changed = !user.blocked;
    if changed {
        users::block(&mut tx, id, forge.now()).await?;
        sessions::delete_others(&mut tx, id, None).await?;
        audit::record(&mut tx, access.viewer(), Entry::user(id, &user.username, "user_blocked"), forge.now())
            .await?;
    }
    tx.commit().await?;
    Ok(changed)
}

/// Ends a block.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Forbidden`] for a user who is being deleted.
pub async fn unblock(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    id: UserId,
) -> Result<bool, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = administered(&mut tx, id).await?;
    if user.blocked {
        if user.kind != UserKind::Person || !users::unblock(&mut tx, id, forge.now()).await? {
            return Err(Error::Forbidden("The user is being deleted".to_owned()));
        }
        let entry = Entry::user(id, &user.username, "user_unblocked");
        audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    }
    tx.commit().await?;
    Ok(user.blocked)
}

/// Deletes a person: blocks them and ends their credentials at once, deletes the projects of their own namespace, and
/// lets a job move their records to the Ghost User.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] for the only administrator; [`Error::Forbidden`] for a bot.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    id: UserId,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = administered(&mut tx, id).await?;
    if user.kind != UserKind::Person {
        return Err(Error::Forbidden("A bot is ended by revoking its token".to_owned()));
    }
    if user.administrator && users::other_administrators(&mut tx, id).await? == 0 {
        return Err(Error::Conflict("The only administrator cannot be deleted".to_owned()));
    }
    let by = access.viewer().identity().map(|identity| identity.user);
    portcullis_store::access_tokens::revoke_all_of(&mut tx, id, now).await?;
    members::delete_all_of(&mut tx, id).await?;
    sessions::delete_others(&mut tx, id, None).await?;
    users::request_deletion(&mut tx, id, now).await?;
    if let Some(own) = namespaces::find_own(&mut tx, id).await? {
        for project in namespaces::projects_inside(&mut tx, own.id).await? {
            let project = portcullis_rules::id::ProjectId(project);
            project_use_cases::end(forge, &mut tx, project, by).await?;
        }
    }
    jobs::ask(&mut tx, &Job::GhostUser { user: id, initiator: by }, now).await?;
    audit::record(&mut tx, access.viewer(), Entry::user(id, &user.username, "user_deleted"), now).await?;
    tx.commit().await?;
    forge.jobs_wake().notify_waiters();
    Ok(())
}

/// Returns whether `password` is that of the person with this name, who may sign in. Bots, blocked people and people
/// without a password never may.
///
/// # Errors
/// The database's.
pub async fn may_sign_in(forge: &Forge, username: &str, password: &str) -> Result<Option<User>, Error> {
    Ok(check_password(forge, username, password).await?.map(|(user, _)| user))
}

/// As [`may_sign_in`], by name or mail address, with the hash that the password belongs to.
pub(crate) async fn check_password(
    forge: &Forge,
    login: &str,
    password: &str,
) -> Result<Option<(User, String)>, Error> {
    let login = login.trim();
    let mut tx = forge.db().read().await?;
    // No username has an @.
    let user = match login.contains('@') {
        _ if login.len() > MAX_LOGIN_BYTES || login.contains('\0') => None,
        true => users::find_by_email(&mut tx, login).await?,
        false => users::find_by_username(&mut tx, login).await?,
    };
    let user = user.filter(|user| user.kind == UserKind::Person && !user.blocked);
    let hash = match &user {
        Some(user) => users::find_password_hash(&mut tx, user.id).await?,
        None => None,
    };
    drop(tx);
    let right = passwords::verify(password.to_owned(), hash.clone()).await?;
    Ok(user.zip(hash).filter(|_| right))
}

/// Counts of the instance.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// Users, bots included.
    pub users: i64,
    /// Users who count as licensed seats.
    pub billable_users: i64,
    /// The same users, by what decides whether they are seats.
    pub census: Census,
    /// Groups.
    pub groups: i64,
    /// Projects.
    pub projects: i64,
    /// Issues.
    pub issues: i64,
    /// Merge requests.
    pub merge_requests: i64,
    /// Comments.
    pub notes: i64,
    /// Access tokens that are listed somewhere.
    pub access_tokens: i64,
}

/// Returns the counts of the instance.
///
/// # Errors
/// The database's.
pub async fn statistics(
    forge: &Forge,
    _access: &Authorized<act::ReadStatistics>,
) -> Result<Statistics, Error> {
    let mut tx = forge.db().read().await?;
    Ok(Statistics {
        users: users::count(&mut tx).await?,
        billable_users: users::seats(&mut tx).await?,
        census: users::census(&mut tx).await?,
        groups: namespaces::count_groups(&mut tx).await?,
        projects: projects::count(&mut tx).await?,
        issues: portcullis_store::issues::count(&mut tx).await?,
        merge_requests: portcullis_store::merge_requests::count(&mut tx).await?,
        notes: portcullis_store::notes::count(&mut tx).await?,
        access_tokens: portcullis_store::access_tokens::count(&mut tx).await?,
    })
}
