//! Generic packages: files under a name and a version.
//!
//! A file can be published again under the same name: the newest is the one that is downloaded, and the older ones stay
//! until they are deleted.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{PackageFileId, PackageId};
use portcullis_rules::packages::{is_file_name, is_name, is_version};
use portcullis_store::blobs;
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::packages::{
    self, GENERIC, Package, PackageFile, PackageFilter, PackageStatus, Version,
};
use portcullis_store::projects;
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::contents::{self, StoredFile, in_own_task, sha256_in};
use crate::forge::Forge;
use crate::registry::store_takes_changes;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Package");

const FILE_NOT_FOUND: Error = Error::NotFound("Package File");

/// Which file of which package: names that can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReference {
    name: String,
    version: String,
    file_name: String,
}

impl FileReference {
    /// Returns the reference.
    ///
    /// # Errors
    /// The parameters that break the grammar.
    pub fn parse(name: &str, version: &str, file_name: &str) -> Result<FileReference, Vec<&'static str>> {
        let mut wrong = Vec::new();
        for (parameter, fits) in [
            ("package_name", is_name(name)),
            ("package_version", is_version(version)),
            ("file_name", is_file_name(file_name)),
        ] {
            if !fits {
                wrong.push(parameter);
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(FileReference {
            name: name.to_owned(),
            version: version.to_owned(),
            file_name: file_name.to_owned(),
        })
    }

    fn version<A: Act<On = on::Project>>(&self, access: &Authorized<A>) -> Version<'_> {
        Version { project: access.project(), package_type: GENERIC, name: &self.name, version: &self.version }
    }
}

fn title(name: &str, version: &str, file: Option<&str>) -> String {
    let file = file.map(|file| format!("/{file}")).unwrap_or_default();
    format!("{name}/{version}{file}")
}

/// What happened to a package, for the feed and the audit log.
struct Happening<'a> {
    /// The action in the feed.
    action: &'static str,
    /// The name in the audit log.
    event: &'static str,
    package: PackageId,
    name: &'a str,
    version: &'a str,
    /// The file, with the digest of its content and how many bytes it has.
    file: Option<(&'a str, &'a str, i64)>,
}

/// Writes down what happened, in the transaction that makes it happen.
async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    happening: &Happening<'_>,
    now: i64,
) -> Result<(), Error> {
    let identity = access.identity()?;
    let about = json!({
        "name": happening.name,
        "version": happening.version,
        "package_type": GENERIC,
        "file_name": happening.file.map(|(name, _, _)| name),
        "file_sha256": happening.file.map(|(_, digest, _)| sha256_in(digest)),
        "size": happening.file.map(|(_, _, size)| size),
    });
    let title = title(happening.name, happening.version, happening.file.map(|(name, _, _)| name));
    let details = json!({ "package": about }).to_string();
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action: happening.action,
        target_type: Some("Package"),
        target_id: Some(happening.package.0),
        target_iid: None,
        target_title: Some(&title),
        details: Some(&details),
    };
    events::insert(tx, &event, now).await?;
    projects::record_activity(tx, access.project(), now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, happening.event);
    let entry = entry.target("Package", happening.package.0).details(about);
    audit::record(tx, access.viewer(), entry, now).await
}

/// Publishes a file. `announced` is how many bytes the client says there are. A status given with it becomes the package's.
///
/// # Errors
/// [`Error::RequestTooLarge`]; [`Error::Forbidden`] when the project has no room; [`Error::BadRequest`] when the content
/// broke off. Nothing is left of it then.
pub async fn publish(
    forge: &Arc<Forge>,
    access: &Authorized<act::PublishPackage>,
    reference: FileReference,
    status: Option<PackageStatus>,
    announced: Option<u64>,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<PackageFile, Error> {
    let (forge, access) = (Arc::clone(forge), access.clone());
    in_own_task(async move {
        let largest = forge.settings().max_package_file_bytes;
        let stored = contents::store(&forge, access.project(), largest, announced, content).await?;
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        // It may have taken long: the credential and the role are looked at as they are now.
        let access = access.again(&forge, &mut tx).await?;
        let user = access.identity()?.user;
        let package = packages::publish(&mut tx, reference.version(&access), status, user, now).await?;
        let blob = stored.link(&mut tx, access.project(), now).await?;
        let id = packages::insert_file(&mut tx, package, blob, &reference.file_name, user, now).await?;
        let happening = Happening {
            action: "published",
            event: "package_file_published",
            package,
            name: &reference.name,
            version: &reference.version,
            file: Some((&reference.file_name, &stored.digest, stored.size)),
        };
        record(&mut tx, &access, &happening, now).await?;
        let file = packages::find_file(&mut tx, access.project(), package, id).await?;
        tx.commit().await?;
        file.ok_or(FILE_NOT_FOUND)
    })
    .await
}

/// Returns the newest file of a name, to be read.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or its content is lost.
pub async fn open(
    forge: &Forge,
    access: &Authorized<act::ReadPackages>,
    reference: &FileReference,
) -> Result<StoredFile, Error> {
    let mut tx = forge.db().read().await?;
    let file = packages::find_newest(&mut tx, reference.version(access), &reference.file_name).await?;
    let file = file.filter(|file| !file.missing).ok_or(NOT_FOUND)?;
    StoredFile::new(&file.file_name, &file.digest, file.size)
}

/// Returns the packages of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadPackages>,
    filter: &PackageFilter,
    window: Window,
) -> Result<Listing<Package>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(packages::list(&mut tx, access.project(), filter, window).await?)
}

/// Returns one package.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadPackages>,
    id: PackageId,
) -> Result<Package, Error> {
    let mut tx = forge.db().read().await?;
    packages::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)
}

/// Returns the files of a package.
///
/// # Errors
/// [`Error::NotFound`] when the project has no such package.
pub async fn list_files(
    forge: &Forge,
    access: &Authorized<act::ReadPackages>,
    id: PackageId,
    window: Window,
) -> Result<Listing<PackageFile>, Error> {
    let mut tx = forge.db().read().await?;
    let package = packages::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    Ok(packages::list_files(&mut tx, package.id, window).await?)
}

/// Deletes a package with its files.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::DeletePackage>,
    id: PackageId,
) -> Result<(), Error> {
    store_takes_changes(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    packages::lock(&mut tx, access.project(), id).await?;
    let package = packages::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
    // The content is kept for the safe age, counted from now.
    blobs::touch_of_package(&mut tx, id, now).await?;
    packages::delete(&mut tx, access.project(), id).await?;
    let happening = Happening {
        action: "deleted",
        event: "package_deleted",
        package: id,
        name: &package.name,
        version: &package.version,
        file: None,
    };
    record(&mut tx, &access, &happening, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes a file of a package. The package stays, even without any.
///
/// # Errors
/// [`Error::NotFound`] when the project has no such package, or the package no such file.
pub async fn delete_file(
    forge: &Forge,
    access: &Authorized<act::DeletePackage>,
    package: PackageId,
    id: PackageFileId,
) -> Result<(), Error> {
    store_takes_changes(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    packages::lock(&mut tx, access.project(), package).await?;
    let package = packages::find(&mut tx, access.project(), package).await?.ok_or(NOT_FOUND)?;
    let file = packages::find_file(&mut tx, access.project(), package.id, id).await?.ok_or(FILE_NOT_FOUND)?;
    // The content is kept for the safe age, counted from now.
    blobs::touch(&mut tx, file.blob, now).await?;
    packages::delete_file(&mut tx, package.id, id).await?;
    let happening = Happening {
        action: "deleted",
        event: "package_file_deleted",
        package: package.id,
        name: &package.name,
        version: &package.version,
        file: Some((&file.file_name, &file.digest, file.size)),
    };
    record(&mut tx, &access, &happening, now).await?;
    tx.commit().await?;
    Ok(())
}
