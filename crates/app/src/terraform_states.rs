//! The states of infrastructure that Terraform and OpenTofu keep in a project, over their `http` backend.
//!
//! A state says what is there and holds the secrets of it, so it is encrypted where it lies, and only Developers read it.
//! Whoever is about to change it locks it first; while they have it, nobody else writes.

use portcullis_rules::access::act;
use portcullis_store::terraform_states::{self, Lock, TerraformState};
use serde_json::{Value, json};

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// The longest name, in characters.
const MAX_NAME_CHARACTERS: usize = 255;

/// How many states a project may have.
const MAX_STATES: i64 = 1000;

/// How many versions of a state are kept.
const KEPT_VERSIONS: i64 = 30;

/// The longest id of a lock, in bytes.
const MAX_LOCK_ID_BYTES: usize = 255;

/// What the content is encrypted for.
const PURPOSE: &str = "terraform state";

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Terraform State");

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has happened.
    Done,
    /// Somebody else has the state for themselves: what they said about it, as JSON.
    Locked(String),
}

fn checked_name(name: &str) -> Result<(), Error> {
    let usable = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS || !name.chars().all(usable) {
        return Err(Error::invalid(
            "name",
            "can hold letters, digits, dashes, underscores and dots, up to 255",
        ));
    }
    Ok(())
}

/// Returns the content of a state's newest version.
///
/// # Errors
/// [`Error::NotFound`] when nothing was ever written under this name.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadTerraformState>,
    name: &str,
) -> Result<String, Error> {
    let mut tx = forge.db().read().await?;
    let sealed = terraform_states::content(&mut tx, access.project(), name).await?.ok_or(NOT_FOUND)?;
    drop(tx);
    let unreadable = || Error::Internal("a Terraform state was encrypted with another key".into());
    forge.sealing().open_sealed(PURPOSE, &sealed).ok_or_else(unreadable)
}

/// Writes a version of a state. `lock_id` is that of the lock that the caller has.
///
/// # Errors
/// [`Error::BadRequest`] when it is no JSON object; [`Error::Invalid`] for the name, or when there are too many states.
pub async fn write(
    forge: &Forge,
    access: &Authorized<act::AdministerTerraformState>,
    name: &str,
    lock_id: Option<&str>,
    content: &str,
) -> Result<Outcome, Error> {
    checked_name(name)?;
    let parsed: Result<Value, _> = serde_json::from_str(content);
    let Ok(Value::Object(parsed)) = parsed else {
        return Err(Error::BadRequest("a Terraform state is a JSON object".to_owned()));
    };
    let serial = parsed.get("serial").and_then(Value::as_i64);
    let sealed = forge.sealing().seal(forge.random(), PURPOSE, content)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let state = terraform_states::ensure(&mut tx, access.project(), name, now).await?;
    check_count(&mut tx, &access).await?;
    if let Some(lock) = others_lock(&state, lock_id) {
        return Ok(Outcome::Locked(lock.info.clone()));
    }
    let author = access.identity()?.user;
    terraform_states::add_version(&mut tx, state.id, author, serial, &sealed, KEPT_VERSIONS, now).await?;
    record(&mut tx, &access, "terraform_state_written", &state, json!({ "serial": serial }), now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

async fn check_count(
    tx: &mut portcullis_store::db::Tx,
    access: &Authorized<act::AdministerTerraformState>,
) -> Result<(), Error> {
    if terraform_states::count(tx, access.project()).await? > MAX_STATES {
        return Err(Error::invalid(
            "name",
            format!("is one too many (a project has {MAX_STATES} states at most)"),
        ));
    }
    Ok(())
}

/// Returns the lock of a state, unless it is the caller's.
fn others_lock<'a>(state: &'a TerraformState, lock_id: Option<&str>) -> Option<&'a Lock> {
    state.lock.as_ref().filter(|lock| lock_id != Some(lock.id.as_str()))
}

async fn record(
    tx: &mut portcullis_store::db::Tx,
    access: &Authorized<act::AdministerTerraformState>,
    what: &'static str,
    state: &TerraformState,
    details: Value,
    now: i64,
) -> Result<(), Error> {
    let mut details = details;
    details["name"] = json!(state.name);
    let entry = Entry::project(access.project(), &access.place().full_path, what);
    let entry = entry.target("TerraformState", state.id.0).details(details);
    audit::record(tx, access.viewer(), entry, now).await
}

/// Locks a state, which need not be there yet. `info` is what the caller says about it: a JSON object with an `ID`.
///
/// # Errors
/// [`Error::BadRequest`] when that is not so; [`Error::Invalid`] for the name, or when there are too many states.
pub async fn lock(
    forge: &Forge,
    access: &Authorized<act::AdministerTerraformState>,
    name: &str,
    info: &str,
) -> Result<Outcome, Error> {
    checked_name(name)?;
    let id = lock_id(info).ok_or_else(|| {
        Error::BadRequest(format!("a lock is a JSON object with an ID of up to {MAX_LOCK_ID_BYTES} bytes"))
    })?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let state = terraform_states::ensure(&mut tx, access.project(), name, now).await?;
    check_count(&mut tx, &access).await?;
    if let Some(lock) = &state.lock {
        return Ok(Outcome::Locked(lock.info.clone()));
    }
    let lock = Lock { id, info: info.to_owned() };
    let user = access.identity()?.user;
    terraform_states::set_lock(&mut tx, state.id, Some((user, &lock)), now).await?;
    record(&mut tx, &access, "terraform_state_locked", &state, json!({ "lock_id": lock.id }), now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// Returns the id in what is said about a lock.
pub fn lock_id(info: &str) -> Option<String> {
    let info: Value = serde_json::from_str(info).ok()?;
    let id = info.get("ID")?.as_str()?;
    (!id.is_empty() && id.len() <= MAX_LOCK_ID_BYTES && !id.contains('\0')).then(|| id.to_owned())
}

/// Unlocks a state. Without the id of the lock that it has it is unlocked whoever has it, which is what a person asks for
/// by hand when the one who had it is gone.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this name.
pub async fn unlock(
    forge: &Forge,
    access: &Authorized<act::AdministerTerraformState>,
    name: &str,
    lock_id: Option<&str>,
) -> Result<Outcome, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let state = terraform_states::find_locked(&mut tx, access.project(), name).await?.ok_or(NOT_FOUND)?;
    if let Some(lock) = others_lock(&state, lock_id).filter(|_| lock_id.is_some()) {
        return Ok(Outcome::Locked(lock.info.clone()));
    }
    if let Some(lock) = &state.lock {
        terraform_states::set_lock(&mut tx, state.id, None, now).await?;
        let details = json!({ "lock_id": lock.id, "forced": lock_id.is_none() });
        record(&mut tx, &access, "terraform_state_unlocked", &state, details, now).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}

/// Deletes a state with all its versions, unless it is locked.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this name.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerTerraformState>,
    name: &str,
    lock_id: Option<&str>,
) -> Result<Outcome, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let state = terraform_states::find_locked(&mut tx, access.project(), name).await?.ok_or(NOT_FOUND)?;
    if let Some(lock) = others_lock(&state, lock_id) {
        return Ok(Outcome::Locked(lock.info.clone()));
    }
    terraform_states::delete(&mut tx, state.id).await?;
    record(&mut tx, &access, "terraform_state_deleted", &state, json!({}), now).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_an_id() {
        assert_eq!(lock_id(r#"{"ID":"a","Who":"b"}"#).as_deref(), Some("a"));
        for wrong in ["", "[]", "{}", r#"{"ID":1}"#, r#"{"ID":""}"#, r#"{"ID":"\u0000"}"#] {
            assert_eq!(lock_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_words() {
        for name in ["a", "eu-west_1.prod", "Überbau"] {
            assert!(checked_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "a\n", &"x".repeat(256)] {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
    }
}
