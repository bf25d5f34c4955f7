//! Tag protections, and what they say about making a tag.

use portcullis_rules::access::{Role, act};
use portcullis_store::db;
use portcullis_store::protected_tags::{self, ProtectedTag};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::branches::covers;
use crate::forge::Forge;

/// The longest name or pattern, in bytes; what Git allows for a ref.
const MAX_NAME_BYTES: usize = 244;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Protected Tag");

/// Returns the protections of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadProtectedTags>,
    window: Window,
) -> Result<Listing<ProtectedTag>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(protected_tags::list(&mut tx, access.project(), window).await?)
}

/// Returns the protection with exactly this name.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadProtectedTags>,
    name: &str,
) -> Result<ProtectedTag, Error> {
    let mut tx = forge.db().read().await?;
    protected_tags::find(&mut tx, access.project(), name).await?.ok_or(NOT_FOUND)
}

/// Protects a tag, or all that match a pattern: whoever is below the role `create` makes none, and nobody changes one that
/// is there or deletes it with a push. Without a role nobody makes one.
///
/// # Errors
/// [`Error::Conflict`] when that name is protected already; [`Error::Invalid`] for the name.
pub async fn protect(
    forge: &Forge,
    access: &Authorized<act::AdministerProtectedTags>,
    name: &str,
    create: Option<Role>,
) -> Result<ProtectedTag, Error> {
    // A pattern is checked with its stars replaced, so that it could match something.
    let sample = format!("refs/tags/{}", name.replace('*', "x"));
    if name.len() > MAX_NAME_BYTES || portcullis_git::RefName::parse(&sample).is_err() {
        return Err(Error::invalid("name", "is not a valid tag name or pattern"));
    }
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let id = protected_tags::insert(&mut tx, access.project(), name, create, now).await.map_err(|error| {
        match error {
            db::Error::Unique { .. } => Error::Conflict(format!("Protected tag '{name}' already exists")),
            other => other.into(),
        }
    })?;
    let entry = Entry::project(access.project(), &access.place().full_path, "protected_tag_created");
    let details = json!({ "name": name, "create_access_level": create.map_or(0, Role::level) });
    audit::record(&mut tx, access.viewer(), entry.target("ProtectedTag", id.0).details(details), now).await?;
    tx.commit().await?;
    Ok(ProtectedTag { id, name: name.to_owned(), create })
}

/// Removes a protection.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this name.
pub async fn unprotect(
    forge: &Forge,
    access: &Authorized<act::AdministerProtectedTags>,
    name: &str,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    if !protected_tags::delete(&mut tx, access.project(), name).await? {
        return Err(NOT_FOUND);
    }
    let entry = Entry::project(access.project(), &access.place().full_path, "protected_tag_removed");
    audit::record(&mut tx, access.viewer(), entry.details(json!({ "name": name })), now).await?;
    tx.commit().await?;
    Ok(())
}

/// What the protections say about one tag. Of several that cover it, each must allow.
pub(crate) struct Protection<'a>(Vec<&'a ProtectedTag>);

impl<'a> Protection<'a> {
    pub(crate) fn of(tag: &str, all: &'a [ProtectedTag]) -> Protection<'a> {
        Protection(all.iter().filter(|protected| covers(&protected.name, tag)).collect())
    }

    pub(crate) fn exists(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn lets_create(&self, role: Option<Role>) -> bool {
        self.0.iter().all(|protected| match (protected.create, role) {
            (Some(needed), Some(role)) => role >= needed,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::ProtectedTagId;

    use super::*;

    #[test]
    fn each_protection_must_allow() {
        let protected =
            |name: &str, create| ProtectedTag { id: ProtectedTagId(1), name: name.to_owned(), create };
        let all = [
            protected("v*", Some(Role::Developer)),
            protected("v1*", Some(Role::Maintainer)),
            protected("x", None),
        ];
        let allows = |tag, role| Protection::of(tag, &all).lets_create(role);
        assert!(!Protection::of("w", &all).exists() && Protection::of("v2", &all).exists());
        assert!(allows("v2", Some(Role::Developer)) && !allows("v1", Some(Role::Developer)));
        assert!(allows("v1", Some(Role::Maintainer)) && !allows("v2", None));
        assert!(!allows("x", Some(Role::Owner)));
    }
}
