//! Branch protections, and what they say about a push.

use portcullis_rules::access::{Role, act};
use portcullis_store::db;
use portcullis_store::protected_branches::{self, ProtectedBranch};
use portcullis_store::select::{Listing, Window};
use serde_json::{Value, json};

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// The longest name or pattern, in bytes; what Git allows for a ref.
const MAX_NAME_BYTES: usize = 244;

/// A protection as asked for.
#[derive(Clone, Debug)]
pub struct NewProtection {
    /// A branch name, or a pattern in which `*` stands for any characters.
    pub name: String,
    /// The lowest role that may push; `None` means nobody.
    pub push: Option<Role>,
    /// The lowest role that may merge; `None` means nobody.
    pub merge: Option<Role>,
    /// Whether those who may push may also force.
    pub allow_force_push: bool,
}

/// What is to change about a protection; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtectionChanges {
    /// The lowest role that may push.
    pub push: Option<Option<Role>>,
    /// The lowest role that may merge.
    pub merge: Option<Option<Role>>,
    /// Whether those who may push may also force.
    pub allow_force_push: Option<bool>,
}

/// Returns the protections of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadProtectedBranches>,
    search: Option<&str>,
    window: Window,
) -> Result<Listing<ProtectedBranch>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(protected_branches::list(&mut tx, access.project(), search, window).await?)
}

/// Returns the protection with exactly this name.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadProtectedBranches>,
    name: &str,
) -> Result<ProtectedBranch, Error> {
    let mut tx = forge.db().read().await?;
    protected_branches::find(&mut tx, access.project(), name)
        .await?
        .ok_or(Error::NotFound("Protected Branch"))
}

fn checked_name(name: &str) -> Result<(), Error> {
    // A pattern is checked with its stars replaced, so that it could match something.
    let sample = name.replace('*', "x");
    if name.len() > MAX_NAME_BYTES || portcullis_git::RefName::branch_named(&sample).is_err() {
        return Err(Error::invalid("name", "is not a valid branch name or pattern"));
    }
    Ok(())
}

fn details(branch: &ProtectedBranch) -> Value {
    json!({
        "name": branch.name,
        "push_access_level": branch.push.map_or(0, Role::level),
        "merge_access_level": branch.merge.map_or(0, Role::level),
        "allow_force_push": branch.allow_force_push,
    })
}

/// Protects a branch, or all that match a pattern.
///
/// # Errors
/// [`Error::Conflict`] when that name is protected already; [`Error::Invalid`] for the name.
pub async fn protect(
    forge: &Forge,
    access: &Authorized<act::AdministerProtectedBranches>,
    new: NewProtection,
) -> Result<ProtectedBranch, Error> {
    checked_name(&new.name)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let (push, merge, force) = (new.push, new.merge, new.allow_force_push);
    let id = protected_branches::insert(&mut tx, access.project(), &new.name, push, merge, force, now)
        .await
        .map_err(|error| match error {
            db::Error::Unique { .. } => {
                Error::Conflict(format!("Protected branch '{}' already exists", new.name))
            }
            other => other.into(),
        })?;
    let branch = ProtectedBranch { id, name: new.name, push, merge, allow_force_push: force };
    let entry = Entry::project(access.project(), &access.place().full_path, "protected_branch_created");
    audit::record(
        &mut tx,
        access.viewer(),
        entry.target("ProtectedBranch", id.0).details(details(&branch)),
        now,
    )
    .await?;
    tx.commit().await?;
    Ok(branch)
}

/// Changes a protection.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this name.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerProtectedBranches>,
    name: &str,
    changes: ProtectionChanges,
) -> Result<ProtectedBranch, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let found = protected_branches::find(&mut tx, access.project(), name).await?;
    let mut branch = found.ok_or(Error::NotFound("Protected Branch"))?;
    branch.push = changes.push.unwrap_or(branch.push);
    branch.merge = changes.merge.unwrap_or(branch.merge);
    branch.allow_force_push = changes.allow_force_push.unwrap_or(branch.allow_force_push);
    protected_branches::update(&mut tx, access.project(), &branch, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "protected_branch_updated");
    let entry = entry.target("ProtectedBranch", branch.id.0).details(details(&branch));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(branch)
}

/// Removes a protection.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this name.
pub async fn unprotect(
    forge: &Forge,
    access: &Authorized<act::AdministerProtectedBranches>,
    name: &str,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    if !protected_branches::delete(&mut tx, access.project(), name).await? {
        return Err(Error::NotFound("Protected Branch"));
    }
    let entry = Entry::project(access.project(), &access.place().full_path, "protected_branch_removed");
    audit::record(&mut tx, access.viewer(), entry.details(json!({ "name": name })), now).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns whether `pattern` covers `branch`. A star stands for any characters, slashes included.
pub(crate) fn covers(pattern: &str, branch: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| branch.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What the protections say about one branch. Of several that cover it, each must allow.
pub(crate) struct Protection<'a>(Vec<&'a ProtectedBranch>);

impl<'a> Protection<'a> {
    pub(crate) fn of(branch: &str, all: &'a [ProtectedBranch]) -> Protection<'a> {
        Protection(all.iter().filter(|protected| covers(&protected.name, branch)).collect())
    }

    pub(crate) fn exists(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn lets_push(&self, role: Option<Role>) -> bool {
        self.0.iter().all(|protected| match (protected.push, role) {
            (Some(needed), Some(role)) => role >= needed,
            _ => false,
        })
    }

    pub(crate) fn lets_merge(&self, role: Option<Role>) -> bool {
        self.0.iter().all(|protected| match (protected.merge, role) {
            (Some(needed), Some(role)) => role >= needed,
            _ => false,
        })
    }

    pub(crate) fn lets_force(&self) -> bool {
        self.0.iter().all(|protected| protected.allow_force_push)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, branch, expected) in [
            ("main", "main", true),
            ("main", "mainx", false),
            ("main", "xmain", false),
            ("*", "anything/at/all", true),
            ("release/*", "release/1.0", true),
            ("release/*", "release", false),
            ("*-stable", "1-2-stable", true),
            ("*-stable", "stable", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
        ] {
            assert_eq!(covers(pattern, branch), expected, "{pattern} {branch}");
        }
    }
}
