//! The container registry: what may be pulled, pushed and deleted, and what each of that leaves behind.
//!
//! Content is in the blob store (`portcullis-registry`), everything else is in the database. An image is called by the
//! path of its project and up to two components behind it; what a caller may do with it is decided about the project.
//!
//! Start reading at [`grants`], what a bearer is given, then at [`uploads`], how content comes in.

pub mod blobs;
pub mod cleanup;
mod error;
pub mod garbage;
pub mod grants;
pub mod lists;
pub mod manifests;
mod patterns;
pub(crate) mod quotas;
pub mod repositories;
pub mod tag_rules;
pub mod tags;
pub mod uploads;
pub mod verification;

pub use error::ImageError;
pub use patterns::{MAX_PATTERN_CHARACTERS, TagPattern};
/// The grammar of the protocol, for the door.
pub use portcullis_registry as protocol;
use portcullis_registry::{ErrorCode, RepositoryName};
use portcullis_rules::access::{Act, on};
use portcullis_rules::id::{ProjectId, TokenId, UserId};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use serde_json::json;

use crate::Error;
use crate::access::{Authorized, Identity};
use crate::audit::{self, Entry};
use crate::forge::Forge;

/// Who the bearers are for: the one service that takes them.
pub const SERVICE: &str = "container_registry";

/// An image that a caller may do something with.
#[derive(Clone, Debug)]
pub struct Image<A: Act<On = on::Project>> {
    /// What the caller may do.
    pub access: Authorized<A>,
    /// The whole name, as the client wrote it.
    pub name: RepositoryName,
    /// What stands behind the path of the project; empty for its root image.
    pub suffix: String,
}

impl<A: Act<On = on::Project>> Image<A> {
    /// Returns the project.
    pub fn project(&self) -> ProjectId {
        self.access.project()
    }
}

/// Returns who acts with a token that is kept for later: what goes on in their name is asked about that token. Whoever
/// signed in with a browser has none.
fn actor<A: Act<On = on::Project>>(access: &Authorized<A>) -> Result<(&Identity, UserId, TokenId), Error> {
    let identity = access.identity()?;
    Ok((identity, identity.user, identity.token().ok_or(Error::NotAvailable)?))
}

/// What happened to an image, for the feed and the audit log.
struct Happening<'a> {
    /// The name of the image.
    image: &'a str,
    /// The action in the feed.
    action: &'static str,
    /// The name in the audit log.
    event: &'static str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Writes down what happened, in the transaction that makes it happen.
async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    happening: &Happening<'_>,
    now: i64,
) -> Result<(), Error> {
    // Nobody pushes or deletes without a credential, whatever the rules become.
    let identity = access.identity()?;
    let title = match (happening.tag, happening.digest) {
        (Some(tag), _) => format!("{}:{tag}", happening.image),
        (None, Some(digest)) => format!("{}@{digest}", happening.image),
        (None, None) => happening.image.to_owned(),
    };
    let about = json!({
        "image": happening.image,
        "tag": happening.tag,
        "digest": happening.digest,
    });
    let details = json!({ "container_image": about }).to_string();
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action: happening.action,
        target_type: Some("ContainerImage"),
        target_id: None,
        target_iid: None,
        target_title: Some(&title),
        details: Some(&details),
    };
    events::insert(tx, &event, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, happening.event);
    audit::record(tx, access.viewer(), entry.details(about), now).await
}

/// Returns the whole name of an image of a project.
pub fn image_name(project_path: &str, image: &str) -> String {
    let mut name = project_path.to_ascii_lowercase();
    if !image.is_empty() {
        name.push('/');
        name.push_str(image);
    }
    name
}

/// Refuses what the API does with images where there is no registry.
fn is_offered(forge: &Forge) -> Result<(), Error> {
    if forge.settings().container_registry { Ok(()) } else { Err(Error::NotFound("Container Registry")) }
}

/// After how many seconds a client asks again whether the registry takes changes.
const READ_ONLY_RETRY_AFTER: u64 = 60;

/// Refuses what the API changes about images while the registry takes no changes.
fn takes_changes(forge: &Forge) -> Result<(), Error> {
    is_offered(forge)?;
    store_takes_changes(forge)
}

/// Refuses what adds content to the blob store, or takes it away, while it takes no changes.
pub(crate) fn store_takes_changes(forge: &Forge) -> Result<(), Error> {
    if forge.settings().registry_read_only { Err(Error::Overloaded(READ_ONLY_RETRY_AFTER)) } else { Ok(()) }
}

/// Refuses what deletes when the operator switched deletion off.
fn deletion_is_offered(forge: &Forge) -> Result<(), ImageError> {
    if forge.settings().registry_deletion {
        return Ok(());
    }
    Err(ImageError::said(ErrorCode::Unsupported, "deletion is switched off in this registry"))
}
