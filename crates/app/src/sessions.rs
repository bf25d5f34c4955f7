//! Signing in with a browser and out again; sessions, passwords, and links with which a password is chosen.
//!
//! Only a person who is not blocked and has a password signs in. Whoever cannot is told nothing but that it did not work:
//! the same words after the same work, whether the name is unknown, the password wrong, or the user a bot.

use portcullis_rules::access::act;
use portcullis_rules::id::SessionId;
use portcullis_rules::secret::TokenSecret;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::db;
use portcullis_store::sessions::{self, Session};
use portcullis_store::users::{self, User, UserKind};
use portcullis_store::{password_links, second_factors};
use serde_json::{Value, json};

use crate::access::{Authorized, Identity, Origin, Viewer};
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::{Error, passwords, people, second_factor};

/// What the secrets of sessions begin with. They are no tokens, and no door takes them for one.
const SESSION_PREFIX: &str = "pcs_";

/// What the secrets of links to choose a password begin with.
const LINK_PREFIX: &str = "pcl_";

/// What the secrets of those begin with who have yet to give a code.
const PENDING_PREFIX: &str = "pcw_";

/// How long somebody may take for the code after the password, in microseconds.
const PENDING_LIFE: i64 = 10 * 60 * MICROSECONDS;

/// How many codes may be tried after a password.
const MAX_CODES: i64 = 5;

/// How long a link to choose a password is good, in microseconds.
const LINK_LIFE: i64 = 24 * 60 * 60 * MICROSECONDS;

/// How many sessions a person may have; with one more, the one that was not used for longest ends.
const MAX_SESSIONS: i64 = 50;

/// How much of what a browser calls itself is kept, in characters.
const MAX_USER_AGENT_CHARACTERS: usize = 300;

/// How long it is remembered that a form was sent, in microseconds.
const FORM_MEMORY: i64 = 2 * 24 * 60 * 60 * MICROSECONDS;

/// The longest number of a form.
const MAX_FORM_NUMBER: usize = 64;

/// Why somebody was not signed in, or may not choose a password.
#[derive(Debug)]
pub enum SignInRefusal {
    /// It did not work. Nobody is told why.
    Wrong,
    /// The password was given too long ago, or too many wrong codes after it: it is to be given again.
    StartAgain,
    /// Too many wrong passwords; try again after this many seconds.
    Throttled(u64),
    /// A field of the new password.
    Invalid(Vec<(&'static str, String)>),
    /// The database could not be asked.
    Internal(Error),
}

impl From<Error> for SignInRefusal {
    fn from(error: Error) -> SignInRefusal {
        match error {
            Error::Invalid(fields) => SignInRefusal::Invalid(fields),
            other => SignInRefusal::Internal(other),
        }
    }
}

impl From<db::Error> for SignInRefusal {
    fn from(error: db::Error) -> SignInRefusal {
        SignInRefusal::Internal(error.into())
    }
}

/// What the right password leads to.
#[derive(Debug)]
pub enum SignedIn {
    /// A session, with this secret.
    Session(TokenSecret),
    /// The question for a code of the second factor, which comes with this secret. It opens nothing.
    CodeWanted(TokenSecret),
}

/// Signs a person in, or has them asked for the code of their second factor. A session that `before` has ends, so that
/// nobody goes on with what was known before.
///
/// # Errors
/// Why not.
pub async fn sign_in(
    forge: &Forge,
    before: &Viewer,
    login: &str,
    password: &str,
    user_agent: &str,
) -> Result<SignedIn, SignInRefusal> {
    let origin = before.origin();
    if let Some(seconds) = forge.sign_in_throttle().attempt(login, origin.address, forge.now()) {
        return Err(SignInRefusal::Throttled(seconds));
    }
    let Some((user, hash)) = people::check_password(forge, login, password).await? else {
        tracing::info!(request.id = %origin.request_id, client = ?origin.address, "somebody could not be signed in");
        return Err(SignInRefusal::Wrong);
    };
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, user.id).await?;
    // The password was looked at outside of this transaction: it must be the same still, and the person not blocked.
    let user = users::find(&mut tx, user.id)
        .await?
        .filter(|user| user.kind == UserKind::Person && !user.blocked)
        .ok_or(SignInRefusal::Wrong)?;
    if users::find_password_hash(&mut tx, user.id).await? != Some(hash) {
        return Err(SignInRefusal::Wrong);
    }
    let signed_in = if second_factors::find(&mut tx, user.id).await?.is_some() {
        let secret = TokenSecret::generate(PENDING_PREFIX, |bytes| forge.random().fill(bytes));
        second_factors::delete_pending(&mut tx, user.id).await?;
        second_factors::insert_pending(&mut tx, user.id, &secret.digest(), now).await?;
        SignedIn::CodeWanted(secret)
    } else {
        SignedIn::Session(begin(forge, &mut tx, before, &user, user_agent, json!({})).await?)
    };
    tx.commit().await?;
    forge.sign_in_throttle().forget(login, origin.address);
    Ok(signed_in)
}

/// Signs a person in who gave the right password, with a code of their second factor.
///
/// # Errors
/// [`SignInRefusal::Wrong`] for a wrong code; [`SignInRefusal::StartAgain`] when the password is to be given again.
pub async fn sign_in_with_code(
    forge: &Forge,
    before: &Viewer,
    pending: &str,
    code: &str,
    user_agent: &str,
) -> Result<TokenSecret, SignInRefusal> {
    let origin = before.origin();
    let pending = TokenSecret::parse(pending).ok_or(SignInRefusal::StartAgain)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let found = second_factors::find_pending(&mut tx, &pending.digest(), now - PENDING_LIFE).await?;
    let found = found.filter(|found| found.attempts < MAX_CODES).ok_or(SignInRefusal::StartAgain)?;
    users::lock(&mut tx, found.user).await?;
    let user = users::find(&mut tx, found.user)
        .await?
        .filter(|user| user.kind == UserKind::Person && !user.blocked)
        .ok_or(SignInRefusal::StartAgain)?;
    let factor = second_factors::find(&mut tx, user.id).await?.ok_or(SignInRefusal::StartAgain)?;
    // Counted apart from passwords, since every right password begins those anew.
    let counted = format!("code of {}", user.username);
    if let Some(seconds) = forge.sign_in_throttle().attempt(&counted, origin.address, now) {
        return Err(SignInRefusal::Throttled(seconds));
    }
    second_factors::count_attempt(&mut tx, &pending.digest()).await?;
    let Some(taken) = second_factor::take_code(forge, &mut tx, user.id, &factor, code).await? else {
        tx.commit().await?;
        tracing::info!(request.id = %origin.request_id, client = ?origin.address, "a wrong code");
        return Err(SignInRefusal::Wrong);
    };
    second_factors::delete_pending(&mut tx, user.id).await?;
    let details = second_factor::details(taken);
    let secret = begin(forge, &mut tx, before, &user, user_agent, details).await?;
    tx.commit().await?;
    forge.sign_in_throttle().forget(&counted, origin.address);
    Ok(secret)
}

/// Begins a session of `user`, whose row is locked, and returns its secret.
async fn begin(
    forge: &Forge,
    tx: &mut db::Tx,
    before: &Viewer,
    user: &User,
    user_agent: &str,
    details: Value,
) -> Result<TokenSecret, Error> {
    let now = forge.now();
    let secret = TokenSecret::generate(SESSION_PREFIX, |bytes| forge.random().fill(bytes));
    let user_agent: String = user_agent
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_USER_AGENT_CHARACTERS)
        .collect();
    let address = before.origin().address.map(|address| address.to_string());
    if let Some((user, session)) = before.identity().and_then(|known| Some((known.user, known.session()?))) {
        sessions::delete(tx, user, session).await?;
    }
    sessions::insert(tx, user.id, &secret.digest(), address.as_deref(), &user_agent, now).await?;
    sessions::delete_oldest(tx, user.id, MAX_SESSIONS).await?;
    let entry = Entry::user(user.id, &user.username, "user_signed_in").details(details);
    audit::record_as(tx, user.id, &user.name, None, address.as_deref(), entry, now).await?;
    Ok(secret)
}

/// Ends the session that `viewer` came with.
///
/// # Errors
/// The database's.
pub async fn sign_out(forge: &Forge, viewer: &Viewer) -> Result<(), Error> {
    if let Some((user, session)) = viewer.identity().and_then(|known| Some((known.user, known.session()?))) {
        let mut tx = forge.db().begin().await?;
        sessions::delete(&mut tx, user, session).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Returns the caller's sessions, the last used one first.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
) -> Result<Vec<Session>, Error> {
    let (used_after, begun_after) = forge.settings().session_bounds(forge.now());
    let mut tx = forge.db().read().await?;
    Ok(sessions::list(&mut tx, access.identity()?.user, used_after, begun_after, MAX_SESSIONS).await?)
}

/// Ends a session of the caller.
///
/// # Errors
/// [`Error::NotFound`] when it is none of theirs, or has ended.
pub async fn end(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    id: SessionId,
) -> Result<(), Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    if !sessions::delete(&mut tx, identity.user, id).await? {
        return Err(Error::NotFound("Session"));
    }
    let entry = Entry::user(identity.user, &identity.username, "session_ended")
        .details(json!({ "session_id": id.0 }));
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// Changes the caller's password, and ends all their other sessions.
///
/// # Errors
/// [`SignInRefusal::Wrong`] unless `current` is their password now.
pub async fn change_password(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    current: &str,
    new: &str,
) -> Result<(), SignInRefusal> {
    let old = confirm_password(forge, access, current).await?;
    let identity = access.identity()?.clone();
    let hash = passwords::hash(new.to_owned(), forge.random()).await?;
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, identity.user).await?;
    let access = access.again(forge, &mut tx).await?;
    if users::find_password_hash(&mut tx, identity.user).await? != Some(old) {
        return Err(SignInRefusal::Wrong);
    }
    set_password(forge, &mut tx, access.viewer(), &identity, &hash).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes sure that it is the caller themselves, and returns the hash that their password belongs to.
///
/// # Errors
/// [`SignInRefusal::Wrong`] unless `password` is theirs.
pub(crate) async fn confirm_password(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    password: &str,
) -> Result<String, SignInRefusal> {
    let identity = access.identity()?;
    let address = access.viewer().origin().address;
    if let Some(seconds) = forge.sign_in_throttle().attempt(&identity.username, address, forge.now()) {
        return Err(SignInRefusal::Throttled(seconds));
    }
    let Some((_, hash)) = people::check_password(forge, &identity.username, password).await? else {
        return Err(SignInRefusal::Wrong);
    };
    forge.sign_in_throttle().forget(&identity.username, address);
    Ok(hash)
}

/// Records a password, ends all sessions but the one it is changed in, and takes away what else would open the account.
async fn set_password(
    forge: &Forge,
    tx: &mut db::Tx,
    viewer: &Viewer,
    identity: &Identity,
    hash: &str,
) -> Result<(), Error> {
    let now = forge.now();
    users::set_password_hash(tx, identity.user, hash, now).await?;
    sessions::delete_others(tx, identity.user, identity.session()).await?;
    second_factors::delete_pending(tx, identity.user).await?;
    password_links::delete_of(tx, identity.user).await?;
    let entry = Entry::user(identity.user, &identity.username, "password_changed");
    audit::record(tx, viewer, entry, now).await
}

/// Makes a link with which a person chooses a password, and returns its secret. A link made earlier is good no longer.
///
/// # Errors
/// [`Error::NotFound`] when there is no such person; [`Error::BadRequest`] for a bot, or somebody who is blocked.
pub async fn make_password_link(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    username: &str,
) -> Result<TokenSecret, Error> {
    let now = forge.now();
    let secret = TokenSecret::generate(LINK_PREFIX, |bytes| forge.random().fill(bytes));
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = users::find_by_username(&mut tx, username).await?.ok_or(Error::NotFound("User"))?;
    if user.kind != UserKind::Person {
        return Err(Error::BadRequest("Only people have passwords".to_owned()));
    }
    if user.blocked {
        return Err(Error::BadRequest("The user is blocked".to_owned()));
    }
    password_links::delete_of(&mut tx, user.id).await?;
    password_links::insert(&mut tx, user.id, &secret.digest(), now + LINK_LIFE, now).await?;
    let entry = Entry::user(user.id, &user.username, "password_link_created");
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(secret)
}

async fn person_of_link(tx: &mut db::Tx, secret: &str, now: i64) -> Result<Option<User>, db::Error> {
    let Some(secret) = TokenSecret::parse(secret) else { return Ok(None) };
    let Some(user) = password_links::find(tx, &secret.digest(), now).await? else { return Ok(None) };
    Ok(users::find(tx, user).await?.filter(|user| user.kind == UserKind::Person && !user.blocked))
}

/// Returns for whom a link is, by name, while it is good.
///
/// # Errors
/// The database's.
pub async fn find_link(forge: &Forge, secret: &str) -> Result<Option<String>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(person_of_link(&mut tx, secret, forge.now()).await?.map(|user| user.username))
}

/// Sets the password of the person a link is for, and ends the link and all their sessions.
///
/// # Errors
/// [`SignInRefusal::Wrong`] when the link is good no longer.
pub async fn choose_password(
    forge: &Forge,
    secret: &str,
    new: &str,
    origin: &Origin,
) -> Result<(), SignInRefusal> {
    // Only who has a good link makes us hash.
    find_link(forge, secret).await?.ok_or(SignInRefusal::Wrong)?;
    let hash = passwords::hash(new.to_owned(), forge.random()).await?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let user = person_of_link(&mut tx, secret, now).await?.ok_or(SignInRefusal::Wrong)?;
    users::lock(&mut tx, user.id).await?;
    if password_links::delete_of(&mut tx, user.id).await? == 0 {
        // Somebody else was first with the same link.
        return Err(SignInRefusal::Wrong);
    }
    users::set_password_hash(&mut tx, user.id, &hash, now).await?;
    sessions::delete_others(&mut tx, user.id, None).await?;
    second_factors::delete_pending(&mut tx, user.id).await?;
    let address = origin.address.map(|address| address.to_string());
    let entry = Entry::user(user.id, &user.username, "password_chosen_by_link");
    audit::record_as(&mut tx, user.id, &user.name, None, address.as_deref(), entry, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Keeps what the next page of this viewer's session is to say.
///
/// # Errors
/// The database's.
pub async fn set_notice(forge: &Forge, viewer: &Viewer, text: &str) -> Result<(), Error> {
    let Some(session) = viewer.identity().and_then(Identity::session) else { return Ok(()) };
    let mut tx = forge.db().begin().await?;
    sessions::set_notice(&mut tx, session, Some(text)).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns what a page of this viewer's session is to say, this once.
///
/// # Errors
/// The database's.
pub async fn take_notice(forge: &Forge, viewer: &Viewer) -> Result<Option<String>, Error> {
    let Some(session) = viewer.identity().and_then(Identity::session) else { return Ok(None) };
    let mut tx = forge.db().read().await?;
    let found = sessions::find_notice(&mut tx, session).await?;
    drop(tx);
    if found.is_some() {
        let mut tx = forge.db().begin().await?;
        sessions::set_notice(&mut tx, session, None).await?;
        tx.commit().await?;
    }
    Ok(found)
}

/// Returns a number for a form that must not be acted on twice.
pub fn form_number(forge: &Forge) -> String {
    TokenSecret::generate("", |bytes| forge.random().fill(bytes)).reveal().to_owned()
}

/// Returns whether a form of this viewer's session comes for the first time. It is said once, whatever then becomes of it.
///
/// # Errors
/// The database's.
pub async fn comes_first(forge: &Forge, viewer: &Viewer, number: &str) -> Result<bool, Error> {
    let Some(session) = viewer.identity().and_then(Identity::session) else { return Ok(false) };
    if number.is_empty()
        || number.len() > MAX_FORM_NUMBER
        || !number.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Ok(false);
    }
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    sessions::delete_old_forms(&mut tx, now - FORM_MEMORY).await?;
    match sessions::insert_form(&mut tx, session, number, now).await {
        Ok(()) => {}
        // The session ended meanwhile, and what is to be done is refused for that.
        Err(db::Error::Unique { .. } | db::Error::ForeignKey) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    Ok(true)
}

/// Removes what is good no longer.
pub(crate) async fn clean_up(forge: &Forge) -> Result<(), Error> {
    let now = forge.now();
    let (used, begun) = forge.settings().session_bounds(now);
    let mut tx = forge.db().begin().await?;
    sessions::delete_expired(&mut tx, used, begun).await?;
    password_links::delete_expired(&mut tx, now).await?;
    second_factors::delete_old_pending(&mut tx, now - PENDING_LIFE).await?;
    tx.commit().await?;
    Ok(())
}
