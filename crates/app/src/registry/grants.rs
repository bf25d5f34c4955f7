//! What a caller's bearer for the registry permits.
//!
//! A bearer is a promise for some minutes, not a permission: what it names is decided again on every request, and the
//! token behind it is looked up again. Asking for more than one may have is no error: what may be had is granted.

use std::sync::Arc;

use portcullis_registry::{RepositoryName, ResourceType, ScopeAction, ScopeEntry};
use portcullis_rules::access::{Act, Caller, ScopeSet, act, on};

use super::{ImageError, SERVICE};
use crate::Error;
use crate::access::{Identity, Reading, Viewer, authorize_image, authorize_within};
use crate::bearers::{BearerRefusal, Claims, Issued, NewBearer};
use crate::forge::Forge;

/// Why no bearer was given.
#[derive(Debug)]
pub enum NotGranted {
    /// The credential permits nothing in the registry, or there is none and nothing is public.
    Forbidden,
    /// Something went wrong.
    Failed(ImageError),
}

impl<E: Into<ImageError>> From<E> for NotGranted {
    fn from(error: E) -> NotGranted {
        NotGranted::Failed(error.into())
    }
}

/// The scopes that permit anything in the registry.
const REGISTRY_SCOPES: ScopeSet =
    ScopeSet::API.union(ScopeSet::READ_API).union(ScopeSet::READ_REGISTRY).union(ScopeSet::WRITE_REGISTRY);

/// Returns a bearer for as much of what was asked for as the viewer may have.
///
/// # Errors
/// [`NotGranted::Forbidden`] when the credential has no scope of the registry, or a visitor without one may have nothing.
pub async fn issue(
    forge: &Forge,
    reading: &mut Reading,
    viewer: &Viewer,
    asked: &[ScopeEntry],
) -> Result<Issued, NotGranted> {
    if !forge.settings().container_registry {
        return Err(ImageError::SwitchedOff.into());
    }
    let anonymous = matches!(viewer.caller(), Caller::Anonymous);
    if !anonymous && !viewer.scopes().intersects(REGISTRY_SCOPES) {
        return Err(NotGranted::Forbidden);
    }
    let mut granted = Vec::new();
    for entry in asked {
        let mut actions = Vec::new();
        for action in &entry.actions {
            if permits(forge, reading, viewer, entry, *action).await? {
                actions.push(*action);
            }
        }
        if !actions.is_empty() {
            granted.push(ScopeEntry { actions, ..entry.clone() });
        }
    }
    if anonymous && granted.is_empty() {
        return Err(NotGranted::Forbidden);
    }
    let subject = viewer.identity().map_or("", |identity| &identity.username);
    let token = viewer.identity().and_then(Identity::token);
    let settings = forge.settings();
    let bearer = NewBearer {
        issuer: &settings.registry_issuer,
        audience: SERVICE,
        subject,
        token,
        access: &granted,
        lifetime_seconds: settings.registry_token_seconds,
    };
    Ok(forge.bearers().issue(&bearer, forge.now())?)
}

/// Returns what a bearer says, if it is genuine and of this minute. Whether the token behind it lives is another question.
///
/// # Errors
/// Why it is not accepted; the caller is not told.
pub fn verify(forge: &Forge, bearer: &str) -> Result<Arc<Claims>, BearerRefusal> {
    forge.bearers().verify(bearer, &forge.settings().registry_issuer, SERVICE, forge.now())
}

async fn permits(
    forge: &Forge,
    reading: &mut Reading,
    viewer: &Viewer,
    entry: &ScopeEntry,
    action: ScopeAction,
) -> Result<bool, Error> {
    if forge.settings().registry_read_only && action != ScopeAction::Pull {
        return Ok(false);
    }
    match entry.resource {
        ResourceType::Registry => {
            let catalog = entry.name == "catalog" && action == ScopeAction::Any;
            Ok(catalog
                && authorize_within::<act::ReadCatalog>(forge, reading, viewer.clone(), ()).await?.is_ok())
        }
        ResourceType::Repository => {
            let Ok(name) = RepositoryName::parse(&entry.name) else { return Ok(false) };
            match action {
                ScopeAction::Pull => may::<act::PullImage>(forge, reading, viewer, &name).await,
                ScopeAction::Push => may::<act::PushImage>(forge, reading, viewer, &name).await,
                ScopeAction::Delete => may::<act::DeleteImage>(forge, reading, viewer, &name).await,
                ScopeAction::Any => Ok(may::<act::PullImage>(forge, reading, viewer, &name).await?
                    && may::<act::PushImage>(forge, reading, viewer, &name).await?
                    && may::<act::DeleteImage>(forge, reading, viewer, &name).await?),
            }
        }
    }
}

async fn may<A: Act<On = on::Project>>(
    forge: &Forge,
    reading: &mut Reading,
    viewer: &Viewer,
    name: &RepositoryName,
) -> Result<bool, Error> {
    Ok(authorize_image::<A>(forge, reading, viewer.clone(), name.clone()).await?.is_ok())
}
