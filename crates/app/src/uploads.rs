//! Files that are uploaded to a project, to be shown or linked in its texts.
//!
//! The address of one holds a secret that cannot be foreseen, and opens it to whoever may read the project, and to nobody
//! else.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::files::{FileName, is_secret, secret_from};
use portcullis_rules::id::UploadId;
use portcullis_store::blobs;
use portcullis_store::db::Tx;
use portcullis_store::select::{Listing, Window};
use portcullis_store::uploads::{self, NewUpload, Upload};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::contents::{self, StoredFile, in_own_task};
use crate::forge::Forge;
use crate::registry::store_takes_changes;

/// What is not there.
const NOT_FOUND: Error = Error::NotFound("Upload");

/// Uploads a file. `name` is what the client calls it, `announced` how many bytes it says there are at most.
///
/// # Errors
/// [`Error::RequestTooLarge`]; [`Error::Forbidden`] when the project has no room; [`Error::BadRequest`] when the content
/// broke off. Nothing is left of it then.
pub async fn create(
    forge: &Arc<Forge>,
    access: &Authorized<act::CreateUpload>,
    name: &str,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Upload, Error> {
    let (forge, access, name) = (Arc::clone(forge), access.clone(), FileName::sanitized(name));
    in_own_task(async move {
        let largest = forge.settings().max_upload_bytes;
        let stored = contents::store(&forge, access.project(), largest, None, content).await?;
        let mut random = [0; 16];
        forge.random().fill(&mut random);
        let secret = secret_from(random);
        let now = forge.now();
        let mut tx = forge.db().begin().await?;
        // It may have taken long: the credential and the role are looked at as they are now.
        let access = access.again(&forge, &mut tx).await?;
        let identity = access.identity()?;
        let new = NewUpload {
            project: access.project(),
            blob: stored.link(&mut tx, access.project(), now).await?,
            secret: &secret,
            file_name: name.as_str(),
            author: identity.user,
        };
        let id = uploads::insert(&mut tx, &new, now).await?;
        if identity.bot {
            let entry = Entry::project(access.project(), &access.place().full_path, "upload_created");
            let details = json!({ "file_name": name.as_str(), "size": stored.size });
            audit::record(&mut tx, access.viewer(), entry.target("Upload", id.0).details(details), now)
                .await?;
        }
        let upload = uploads::find(&mut tx, access.project(), id).await?.ok_or(NOT_FOUND)?;
        tx.commit().await?;
        Ok(upload)
    })
    .await
}

/// Returns the uploaded files of a project, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadUploads>,
    window: Window,
) -> Result<Listing<Upload>, Error> {
    let mut tx = forge.db().read().await?;
    Ok(uploads::list(&mut tx, access.project(), window).await?)
}

/// Returns an uploaded file, to be read.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id, or its content is lost.
pub async fn open(
    forge: &Forge,
    access: &Authorized<act::ReadUploads>,
    id: UploadId,
) -> Result<StoredFile, Error> {
    let mut tx = forge.db().read().await?;
    readable(uploads::find(&mut tx, access.project(), id).await?)
}

/// Returns an uploaded file by its address, to be read.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this secret and name, or its content is lost.
pub async fn open_by_secret(
    forge: &Forge,
    access: &Authorized<act::DownloadUpload>,
    secret: &str,
    file_name: &str,
) -> Result<StoredFile, Error> {
    let mut tx = forge.db().read().await?;
    readable(find_by_secret(&mut tx, access, secret, file_name).await?)
}

fn readable(upload: Option<Upload>) -> Result<StoredFile, Error> {
    let upload = upload.filter(|upload| !upload.missing).ok_or(NOT_FOUND)?;
    StoredFile::new(&upload.file_name, &upload.digest, upload.size)
}

async fn find_by_secret<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    secret: &str,
    file_name: &str,
) -> Result<Option<Upload>, Error> {
    if !is_secret(secret) {
        return Ok(None);
    }
    Ok(uploads::find_by_secret(tx, access.project(), secret, file_name).await?)
}

/// Deletes an uploaded file.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this id.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::DeleteUpload>,
    id: UploadId,
) -> Result<(), Error> {
    store_takes_changes(forge)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let upload = uploads::find(&mut tx, access.project(), id).await?;
    remove(forge, tx, &access, upload).await
}

/// Deletes an uploaded file by its address.
///
/// # Errors
/// [`Error::NotFound`] when the project has none with this secret and name.
pub async fn delete_by_secret(
    forge: &Forge,
    access: &Authorized<act::DeleteUpload>,
    secret: &str,
    file_name: &str,
) -> Result<(), Error> {
    store_takes_changes(forge)?;
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let upload = find_by_secret(&mut tx, &access, secret, file_name).await?;
    remove(forge, tx, &access, upload).await
}

async fn remove(
    forge: &Forge,
    mut tx: Tx,
    access: &Authorized<act::DeleteUpload>,
    upload: Option<Upload>,
) -> Result<(), Error> {
    let upload = upload.ok_or(NOT_FOUND)?;
    let now = forge.now();
    // The content is kept for the safe age, counted from now.
    blobs::touch(&mut tx, upload.blob, now).await?;
    if !uploads::delete(&mut tx, access.project(), upload.id).await? {
        return Err(NOT_FOUND);
    }
    let entry = Entry::project(access.project(), &access.place().full_path, "upload_deleted");
    let details = json!({
        "file_name": upload.file_name, "size": upload.size, "author_id": upload.author.id.0,
    });
    audit::record(&mut tx, access.viewer(), entry.target("Upload", upload.id.0).details(details), now)
        .await?;
    tx.commit().await?;
    Ok(())
}
