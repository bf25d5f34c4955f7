//! A second factor for signing in with a browser: the codes of an authenticator (TOTP, RFC 6238), each good once, and
//! recovery codes for whoever has lost it.
//!
//! The secret is recorded when its owner has shown a code made with it. Until then the form carries it, encrypted, so
//! that looking at the page changes nothing.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_rules::access::act;
use portcullis_rules::id::UserId;
use portcullis_rules::secret::TokenDigest;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::second_factors::{self, SecondFactor};
use portcullis_store::users::User;
use portcullis_store::{db, sessions, users};
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

use crate::access::{Authorized, Viewer};
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::sessions::{SignInRefusal, confirm_password};
use crate::{Error, people};

/// How many bytes a secret has: as many as a digest of SHA-1, which authenticators use.
const SECRET_BYTES: usize = 20;

/// How many recovery codes somebody gets.
const RECOVERY_CODES: usize = 10;

/// How many characters a recovery code has, without the lines between its parts; five bits each.
const RECOVERY_CODE_CHARACTERS: usize = 16;

/// Lower case without what looks alike.
const RECOVERY_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// What a recovery code is made longer with before its digest is taken, so that it is the digest of nothing else.
const RECOVERY_PURPOSE: &str = "recovery code ";

/// A secret to be copied into an authenticator.
#[derive(Debug)]
pub struct Setup {
    /// The secret as people type it.
    pub secret: String,
    /// The address that an authenticator reads from a picture.
    pub address: String,
    /// The secret as a form carries it.
    pub sealed: String,
}

/// Whether somebody has a second factor.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Since when, in Unix microseconds.
    pub since: Option<i64>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
    /// The path of a group for whose sake they need one.
    pub required_by: Option<String>,
}

fn totp(secret: &str, issuer: &str, account: &str) -> Result<Totp, Error> {
    let problem = |error: &dyn std::fmt::Display| Error::Internal(format!("a second factor: {error}").into());
    let secret = Secret::try_from_base32(secret).map_err(|error| problem(&error))?;
    let builder = Builder::new().with_secret(secret);
    // A colon would end the name in an authenticator.
    let builder =
        builder.with_issuer(Some(issuer.replace(':', " "))).with_account_name(account.replace(':', " "));
    builder.build().map_err(|error| problem(&error))
}

fn seconds(now: i64) -> u64 {
    u64::try_from(now / MICROSECONDS).unwrap_or(0)
}

/// What the secret of a user is encrypted for.
fn purpose(user: UserId) -> String {
    format!("second factor of user {user}")
}

/// What a secret is encrypted for that nobody has shown a code of.
fn setup_purpose(user: UserId) -> String {
    format!("second factor to be of user {user}")
}

fn setup(secret: String, sealed: String, issuer: &str, username: &str) -> Result<Setup, Error> {
    let address = totp(&secret, issuer, username)?.to_url().map_err(|error| Error::Internal(error.into()))?;
    Ok(Setup { secret, address, sealed })
}

/// Returns a new secret for the caller's authenticator; `issuer` is what the forge is called there. Nothing is recorded.
///
/// # Errors
/// That it cannot be encrypted.
pub fn begin(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    issuer: &str,
) -> Result<Setup, Error> {
    let identity = access.identity()?;
    let mut bytes = [0; SECRET_BYTES];
    forge.random().fill(&mut bytes);
    let secret = Secret::from(bytes).to_base32();
    let sealed = forge.sealing().seal(forge.random(), &setup_purpose(identity.user), &secret)?;
    setup(secret, URL_SAFE_NO_PAD.encode(sealed), issuer, &identity.username)
}

/// Returns the secret that a form carries, or `None` when we did not make it for the caller.
///
/// # Errors
/// The library's.
pub fn resume(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    sealed: &str,
    issuer: &str,
) -> Result<Option<Setup>, Error> {
    let identity = access.identity()?;
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(sealed) else { return Ok(None) };
    match forge.sealing().open_sealed(&setup_purpose(identity.user), &bytes) {
        Some(secret) => setup(secret, sealed.to_owned(), issuer, &identity.username).map(Some),
        None => Ok(None),
    }
}

/// Returns whether the caller has a second factor, and needs one.
///
/// # Errors
/// The database's.
pub async fn standing(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
) -> Result<Standing, Error> {
    let user = access.identity()?.user;
    let mut tx = forge.db().read().await?;
    Ok(Standing {
        since: second_factors::find(&mut tx, user).await?.map(|factor| factor.created_at),
        recovery_codes: second_factors::count_recovery_codes(&mut tx, user).await?,
        required_by: second_factors::required_by(&mut tx, user, forge.now()).await?,
    })
}

/// Returns which of some users have a second factor. Only they and administrators are told.
///
/// # Errors
/// The database's.
pub async fn holders_among(forge: &Forge, viewer: &Viewer, users: &[User]) -> Result<Vec<UserId>, Error> {
    let own = viewer.identity().map(|identity| identity.user);
    let told = |user: &&User| viewer.is_administrator() || Some(user.id) == own;
    let users: Vec<_> = users.iter().filter(told).map(|user| user.id.0).collect();
    let mut tx = forge.db().read().await?;
    Ok(second_factors::holders_among(&mut tx, &users).await?.into_iter().map(UserId).collect())
}

/// Gives the caller the second factor that a form carries, ends their other sessions, which began without it, and returns
/// their recovery codes, which are told this once.
///
/// # Errors
/// [`SignInRefusal::Wrong`] for a wrong password, [`SignInRefusal::Invalid`] for a code that is not of this secret and
/// moment, or when they have a second factor already.
pub async fn confirm(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    setup: &Setup,
    password: &str,
    code: &str,
) -> Result<Vec<String>, SignInRefusal> {
    let hash = confirm_password(forge, access, password).await?;
    let now = forge.now();
    let user = access.identity()?.user;
    let step = totp(&setup.secret, "", "x")?.check(&plain(code), seconds(now));
    let Some(step) = step.and_then(|step| i64::try_from(step).ok()) else {
        let text = "is not what the authenticator shows now".to_owned();
        return Err(SignInRefusal::Invalid(vec![("code", text)]));
    };
    let sealed = forge.sealing().seal(forge.random(), &purpose(user), &setup.secret)?;
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, user).await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    if users::find_password_hash(&mut tx, user).await? != Some(hash) {
        return Err(SignInRefusal::Wrong);
    }
    match second_factors::insert(&mut tx, user, &sealed, step, now).await {
        Ok(()) => {}
        Err(db::Error::Unique { .. }) => {
            let text = "was not looked at: you have a second factor already".to_owned();
            return Err(SignInRefusal::Invalid(vec![("code", text)]));
        }
        Err(error) => return Err(error.into()),
    }
    let codes = give_recovery_codes(forge, &mut tx, user).await?;
    sessions::delete_others(&mut tx, user, identity.session()).await?;
    let entry = Entry::user(user, &identity.username, "second_factor_enabled");
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(codes)
}

/// Replaces the caller's recovery codes, and returns the new ones, which are told this once.
///
/// # Errors
/// [`SignInRefusal::Wrong`] for a wrong password; [`SignInRefusal::Invalid`] without a second factor.
pub async fn renew_recovery_codes(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    password: &str,
) -> Result<Vec<String>, SignInRefusal> {
    confirm_password(forge, access, password).await?;
    let user = access.identity()?.user;
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, user).await?;
    let access = access.again(forge, &mut tx).await?;
    if second_factors::find(&mut tx, user).await?.is_none() {
        return Err(has_none());
    }
    let codes = give_recovery_codes(forge, &mut tx, user).await?;
    let entry = Entry::user(user, &access.identity()?.username, "recovery_codes_created");
    audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
    tx.commit().await?;
    Ok(codes)
}

fn has_none() -> SignInRefusal {
    SignInRefusal::Invalid(vec![("password", "was not looked at: you have no second factor".to_owned())])
}

/// Takes the caller's second factor away.
///
/// # Errors
/// [`SignInRefusal::Wrong`] for a wrong password; [`SignInRefusal::Invalid`] when they have none, or a group requires it.
pub async fn remove(
    forge: &Forge,
    access: &Authorized<act::AdministerOwnAccount>,
    password: &str,
) -> Result<(), SignInRefusal> {
    confirm_password(forge, access, password).await?;
    let now = forge.now();
    let user = access.identity()?.user;
    let mut tx = forge.db().begin().await?;
    users::lock(&mut tx, user).await?;
    let access = access.again(forge, &mut tx).await?;
    if let Some(group) = second_factors::required_by(&mut tx, user, now).await? {
        let text = format!("was not looked at: the group {group} requires a second factor");
        return Err(SignInRefusal::Invalid(vec![("password", text)]));
    }
    if !second_factors::delete(&mut tx, user).await? {
        return Err(has_none());
    }
    let entry = Entry::user(user, &access.identity()?.username, "second_factor_removed");
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a person's second factor away, who has lost it. Returns whether they had one.
///
/// # Errors
/// [`Error::NotFound`] when there is no such person.
pub async fn remove_of(
    forge: &Forge,
    access: &Authorized<act::AdministerUsers>,
    user: UserId,
) -> Result<bool, Error> {
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let user = people::administered(&mut tx, user).await?;
    let had = second_factors::delete(&mut tx, user.id).await?;
    if had {
        let entry = Entry::user(user.id, &user.username, "second_factor_removed");
        audit::record(&mut tx, access.viewer(), entry, forge.now()).await?;
        tx.commit().await?;
    }
    Ok(had)
}

/// Which code it was that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The authenticator's.
    Totp,
    /// A recovery code.
    Recovery,
}

/// Takes a code of `user`, whose row is locked, so that it is good for nothing else; `None` when it is none.
pub(crate) async fn take_code(
    forge: &Forge,
    tx: &mut db::Tx,
    user: UserId,
    factor: &SecondFactor,
    code: &str,
) -> Result<Option<Taken>, Error> {
    let code = plain(code);
    if code.len() == RECOVERY_CODE_CHARACTERS {
        let digest = recovery_digest(&code);
        let taken = second_factors::take_recovery_code(tx, user, &digest).await?;
        return Ok(taken.then_some(Taken::Recovery));
    }
    let secret = forge.sealing().open_sealed(&purpose(user), &factor.sealed_secret).ok_or_else(|| {
        Error::Internal("the secret of a second factor is not encrypted with the key of this forge".into())
    })?;
    let step = totp(&secret, "", "x")?.check(&code, seconds(forge.now()));
    match step.and_then(|step| i64::try_from(step).ok()) {
        Some(step) => Ok(second_factors::take_step(tx, user, step).await?.then_some(Taken::Totp)),
        None => Ok(None),
    }
}

/// Returns a code without what people put between its parts.
fn plain(code: &str) -> String {
    code.chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
        .take(RECOVERY_CODE_CHARACTERS + 1)
        .collect::<String>()
        .to_lowercase()
}

/// A code has 80 bits of chance, so no slow hash is needed.
fn recovery_digest(code: &str) -> TokenDigest {
    let digest = digest::digest(&digest::SHA256, format!("{RECOVERY_PURPOSE}{code}").as_bytes());
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest.as_ref());
    TokenDigest(bytes)
}

async fn give_recovery_codes(forge: &Forge, tx: &mut db::Tx, user: UserId) -> Result<Vec<String>, Error> {
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| {
            let mut bytes = [0; RECOVERY_CODE_CHARACTERS];
            forge.random().fill(&mut bytes);
            // The alphabet has 32 characters, so that each is as likely as any other.
            bytes.iter().map(|byte| char::from(RECOVERY_ALPHABET[usize::from(byte & 31)])).collect()
        })
        .collect();
    let digests: Vec<_> = codes.iter().map(|code| recovery_digest(code)).collect();
    second_factors::replace_recovery_codes(tx, user, &digests).await?;
    Ok(codes.iter().map(|code| in_parts(code)).collect())
}

/// Returns a code in parts of four, as people read it.
fn in_parts(code: &str) -> String {
    let parts: Vec<_> = code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    parts.join("-")
}

/// Details of the audit entry of somebody who signed in with a code.
pub(crate) fn details(taken: Taken) -> serde_json::Value {
    json!({ "second_factor": match taken { Taken::Totp => "totp", Taken::Recovery => "recovery_code" } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_one_of_rfc_6238() {
        // Appendix B of RFC 6238: the secret of SHA-1, and the last six of the eight digits.
        let secret = Secret::from(*b"12345678901234567890").to_base32();
        let totp = totp(&secret, "git.example.com:443", "maria").unwrap();
        for (time, code, step) in [(59, "287082", 1), (1_111_111_109, "081804", 37_037_036)] {
            assert_eq!(totp.check(code, time), Some(step));
            assert_eq!(totp.check(code, time + 30), Some(step));
            assert_eq!(totp.check(code, time + 90), None);
        }
        assert_eq!(totp.check("28708", 59), None);
        assert_eq!(
            totp.to_url().unwrap(),
            format!(
                "otpauth://totp/git.example.com%20443:maria?secret={secret}&issuer=git.example.com%20443"
            )
        );
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        assert_eq!(plain(" 287 082 "), "287082");
        assert_eq!(plain("ABCD-efgh-jkmn-pqrs"), "abcdefghjkmnpqrs");
        assert_eq!(in_parts("abcdefghjkmnpqrs"), "abcd-efgh-jkmn-pqrs");
        assert_eq!(plain(&"9".repeat(100)).len(), RECOVERY_CODE_CHARACTERS + 1);
    }
}
