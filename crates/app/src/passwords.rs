//! Passwords of people: Argon2id (RFC 9106), in PHC string format.
//!
//! One hash takes about 20 ms and 19 MiB, so only two are made at once: otherwise signing in would be a way to exhaust
//! the machine.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::Error;
use crate::random::Random;

static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// The shortest password a person may have, in characters.
pub const MIN_CHARACTERS: usize = 8;

/// The longest password that is looked at, in bytes.
pub const MAX_BYTES: usize = 128;

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Returns the hash of `password`.
///
/// # Errors
/// [`Error::Invalid`] when it is too short or too long.
pub(crate) async fn hash(password: String, random: &dyn Random) -> Result<String, Error> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(Error::invalid(
            "password",
            format!("is too short (minimum is {MIN_CHARACTERS} characters)"),
        ));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("password", format!("is too long (maximum is {MAX_BYTES} bytes)")));
    }
    let mut salt = [0u8; 16];
    random.fill(&mut salt);
    let _permit = AT_ONCE.acquire().await.map_err(|error| Error::Internal(Box::new(error)))?;
    tokio::task::spawn_blocking(move || {
        argon2()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| Error::Internal(error.to_string().into()))
    })
    .await
    .map_err(|error| Error::Internal(Box::new(error)))?
}

/// Returns whether `password` belongs to `hash`. Without a hash the same work is done and the answer is no, so that
/// time does not tell who exists.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool, Error> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let _permit = AT_ONCE.acquire().await.map_err(|error| Error::Internal(Box::new(error)))?;
    tokio::task::spawn_blocking(move || match hash {
        Some(hash) => PasswordHash::new(&hash)
            .is_ok_and(|parsed| argon2().verify_password(password.as_bytes(), &parsed).is_ok()),
        None => {
            let _ = argon2().hash_password_with_salt(password.as_bytes(), &[0u8; 16]);
            false
        }
    })
    .await
    .map_err(|error| Error::Internal(Box::new(error)))
}
