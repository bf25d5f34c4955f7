//! Tags of image repositories.

use portcullis_rules::id::{ContainerManifestId, ContainerRepositoryId, UserId};

use crate::db::{Error, Row, Tx, V, statements};

statements! {
    FIND = "SELECT t.manifest_id, m.digest FROM container_tags t JOIN container_manifests m ON m.id = t.manifest_id \
        WHERE t.repository_id = $1 AND t.name = $2";
    SET = "INSERT INTO container_tags (repository_id, name, manifest_id, author_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (repository_id, name) DO UPDATE SET \
        manifest_id = excluded.manifest_id, author_id = excluded.author_id, updated_at = excluded.updated_at";
    DELETE = "DELETE FROM container_tags WHERE repository_id = $1 AND name = $2";
    NOTE_TAGGED = "UPDATE container_manifests SET untagged_at = NULL WHERE id = $1 AND untagged_at IS NOT NULL";
    NOTE_UNTAGGED = "UPDATE container_manifests SET untagged_at = $2 WHERE id = $1 AND NOT EXISTS \
        (SELECT 1 FROM container_tags t WHERE t.manifest_id = container_manifests.id)";
    NAMES_AFTER = "SELECT name FROM container_tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    NAMES_ON = "SELECT name FROM container_tags WHERE manifest_id = $1 ORDER BY name";
}

/// The manifest that a tag is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The manifest.
    pub manifest: ContainerManifestId,
    /// Its digest.
    pub digest: String,
}

/// Returns the manifest that a tag is on.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    tag: &str,
) -> Result<Option<Tagged>, Error> {
    let map = |row: &Row<'_>| Ok(Tagged { manifest: ContainerManifestId(row.get(0)?), digest: row.get(1)? });
    tx.one(&FIND, &[V::from(repository.0), V::from(tag)], map).await
}

/// Puts a tag on a manifest, whichever it was on before.
///
/// # Errors
/// The database's.
pub async fn set(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    tag: &str,
    manifest: ContainerManifestId,
    author: UserId,
    now: i64,
) -> Result<(), Error> {
    let before = find(tx, repository, tag).await?;
    let params = [V::from(repository.0), V::from(tag), V::from(manifest.0), V::from(author.0), V::from(now)];
    tx.run(&SET, &params).await?;
    tx.run(&NOTE_TAGGED, &[V::from(manifest.0)]).await?;
    if let Some(before) = before.filter(|before| before.manifest != manifest) {
        tx.run(&NOTE_UNTAGGED, &[V::from(before.manifest.0), V::from(now)]).await?;
    }
    Ok(())
}

/// Removes a tag, and returns the manifest it was on.
///
/// # Errors
/// The database's.
pub async fn delete(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    tag: &str,
    now: i64,
) -> Result<Option<Tagged>, Error> {
    let Some(tagged) = find(tx, repository, tag).await? else { return Ok(None) };
    tx.run(&DELETE, &[V::from(repository.0), V::from(tag)]).await?;
    tx.run(&NOTE_UNTAGGED, &[V::from(tagged.manifest.0), V::from(now)]).await?;
    Ok(Some(tagged))
}

/// Returns up to `limit` tags behind `after`, sorted by their bytes.
///
/// # Errors
/// The database's.
pub async fn names_after(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, Error> {
    let params = [V::from(repository.0), V::from(after), V::from(limit)];
    tx.all(&NAMES_AFTER, &params, |row| row.get(0)).await
}

/// Returns the tags on a manifest, sorted by their bytes.
///
/// # Errors
/// The database's.
pub async fn names_on(tx: &mut Tx, manifest: ContainerManifestId) -> Result<Vec<String>, Error> {
    tx.all(&NAMES_ON, &[V::from(manifest.0)], |row| row.get(0)).await
}
