//! Tags of image repositories.

use portcullis_rules::id::{ContainerManifestId, ContainerRepositoryId, UserId};

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

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
    NAMES_BEFORE = "SELECT name FROM container_tags WHERE repository_id = $1 AND name < $2 ORDER BY name DESC LIMIT $3";
    LAST_NAMES = "SELECT name FROM container_tags WHERE repository_id = $1 ORDER BY name DESC LIMIT $2";
    DETAILS = "SELECT t.name, m.digest, m.config_digest, m.content_size, \
        (SELECT CAST(COALESCE(SUM(c.content_size), 0) AS BIGINT) FROM container_manifest_references f \
          JOIN container_manifests c ON c.repository_id = m.repository_id AND c.digest = f.digest \
          WHERE f.manifest_id = m.id AND f.kind = 'manifest'), \
        COALESCE(m.built_at, (SELECT MAX(c.built_at) FROM container_manifest_references f \
          JOIN container_manifests c ON c.repository_id = m.repository_id AND c.digest = f.digest \
          WHERE f.manifest_id = m.id AND f.kind = 'manifest')) \
        FROM container_tags t JOIN container_manifests m ON m.id = t.manifest_id \
        WHERE t.repository_id = $1 AND t.name = $2";
    ALL_WITH_AGE = "SELECT name, manifest_id, updated_at FROM container_tags WHERE repository_id = $1 ORDER BY name";
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

/// Returns up to `limit` tags before `before`, or the last ones, sorted by their bytes from the last on.
///
/// # Errors
/// The database's.
pub async fn names_before(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<String>, Error> {
    match before {
        Some(before) => {
            let params = [V::from(repository.0), V::from(before), V::from(limit)];
            tx.all(&NAMES_BEFORE, &params, |row| row.get(0)).await
        }
        None => tx.all(&LAST_NAMES, &[V::from(repository.0), V::from(limit)], |row| row.get(0)).await,
    }
}

/// Returns the tags of a repository, sorted by their bytes.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    window: Window,
) -> Result<Listing<String>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("t.repository_id = ?", [repository.0.into()]);
    conditions.list(tx, "t.name", "container_tags t", "t.name", window, |row| row.get(0)).await
}

/// Returns how many tags each of these repositories has, in one question. Those without a tag are not in the answer.
///
/// # Errors
/// The database's.
pub async fn counts_of(
    tx: &mut Tx,
    repositories: &[ContainerRepositoryId],
) -> Result<Vec<(ContainerRepositoryId, i64)>, Error> {
    let Some(list) = ids(repositories) else { return Ok(Vec::new()) };
    let query = Query::new(format!(
        "SELECT repository_id, COUNT(*) FROM container_tags WHERE repository_id IN ({list}) GROUP BY repository_id"
    ));
    tx.all(&query, &[], |row| Ok((ContainerRepositoryId(row.get(0)?), row.get(1)?))).await
}

/// Returns how many tags each of these repositories has, and when one of them was last put on a manifest (Unix
/// microseconds), in one question. Those without a tag are not in the answer.
///
/// # Errors
/// The database's.
pub async fn last_pushes_of(
    tx: &mut Tx,
    repositories: &[ContainerRepositoryId],
) -> Result<Vec<(ContainerRepositoryId, i64, i64)>, Error> {
    let Some(list) = ids(repositories) else { return Ok(Vec::new()) };
    let query = Query::new(format!(
        "SELECT repository_id, COUNT(*), MAX(updated_at) FROM container_tags WHERE repository_id IN ({list}) \
         GROUP BY repository_id"
    ));
    let map = |row: &Row<'_>| Ok((ContainerRepositoryId(row.get(0)?), row.get(1)?, row.get(2)?));
    tx.all(&query, &[], map).await
}

/// Returns the first `limit` tags of each of these repositories, in one question.
///
/// # Errors
/// The database's.
pub async fn first_names_of(
    tx: &mut Tx,
    repositories: &[ContainerRepositoryId],
    limit: i64,
) -> Result<Vec<(ContainerRepositoryId, String)>, Error> {
    let Some(list) = ids(repositories) else { return Ok(Vec::new()) };
    let query = Query::new(format!(
        "SELECT repository_id, name FROM (SELECT repository_id, name, \
         ROW_NUMBER() OVER (PARTITION BY repository_id ORDER BY name) AS place FROM container_tags \
         WHERE repository_id IN ({list})) placed WHERE place <= $1 ORDER BY repository_id, name"
    ));
    tx.all(&query, &[V::from(limit)], |row| Ok((ContainerRepositoryId(row.get(0)?), row.get(1)?))).await
}

/// Returns a list for a statement: the ids are our own numbers, so they can stand in its text.
fn ids(repositories: &[ContainerRepositoryId]) -> Option<String> {
    let ids: Vec<_> = repositories.iter().map(ToString::to_string).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// What is told about one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagDetails {
    /// The tag.
    pub name: String,
    /// The digest of the manifest it is on.
    pub digest: String,
    /// The configuration of the image.
    pub config_digest: Option<String>,
    /// How many bytes the image has; of an index, all its images together.
    pub total_size: i64,
    /// When the image was built, in Unix microseconds; of an index, the newest of its images.
    pub built_at: Option<i64>,
}

/// Returns a tag of a repository.
///
/// # Errors
/// The database's.
pub async fn details(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    tag: &str,
) -> Result<Option<TagDetails>, Error> {
    let map = |row: &Row<'_>| {
        let (own, of_images): (i64, i64) = (row.get(3)?, row.get(4)?);
        Ok(TagDetails {
            name: row.get(0)?,
            digest: row.get(1)?,
            config_digest: row.get(2)?,
            total_size: if of_images > 0 { of_images } else { own },
            built_at: row.get(5)?,
        })
    };
    tx.one(&DETAILS, &[V::from(repository.0), V::from(tag)], map).await
}

/// A tag as people see it in a list.
#[derive(Clone, Debug)]
pub struct PushedTag {
    /// The tag.
    pub name: String,
    /// The digest of the manifest it is on.
    pub digest: String,
    /// The kind of that manifest.
    pub media_type: String,
    /// How many images an index names; of anything else, none.
    pub images: i64,
    /// How many bytes the image has; of an index, all its images together.
    pub total_size: i64,
    /// When it was put on the manifest, in Unix microseconds.
    pub pushed_at: i64,
    /// Who did it, or the Ghost User.
    pub author: User,
}

fn read_pushed(row: &Row<'_>) -> Result<PushedTag, Error> {
    let at = users::COLUMN_COUNT;
    let (own, of_images): (i64, i64) = (row.get(at + 3)?, row.get(at + 4)?);
    Ok(PushedTag {
        author: users::read_at(row, 0)?,
        name: row.get(at)?,
        digest: row.get(at + 1)?,
        media_type: row.get(at + 2)?,
        total_size: if of_images > 0 { of_images } else { own },
        images: row.get(at + 5)?,
        pushed_at: row.get(at + 6)?,
    })
}

/// Returns the tags of a repository with what they are on, those pushed last first.
///
/// # Errors
/// The database's.
pub async fn list_pushed(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    window: Window,
) -> Result<Listing<PushedTag>, Error> {
    let columns = format!(
        "{}, t.name, m.digest, m.media_type, m.content_size, \
         (SELECT CAST(COALESCE(SUM(c.content_size), 0) AS BIGINT) FROM container_manifest_references f \
          JOIN container_manifests c ON c.repository_id = m.repository_id AND c.digest = f.digest \
          WHERE f.manifest_id = m.id AND f.kind = 'manifest'), \
         (SELECT COUNT(*) FROM container_manifest_references f WHERE f.manifest_id = m.id AND f.kind = 'manifest'), \
         t.updated_at",
        users::COLUMNS
    );
    let from = "container_tags t JOIN container_manifests m ON m.id = t.manifest_id JOIN users u ON u.id = t.author_id";
    let mut conditions = Conditions::default();
    conditions.and("t.repository_id = ?", [repository.0.into()]);
    conditions.list(tx, &columns, from, "t.updated_at DESC, t.name", window, read_pushed).await
}

/// A tag, with what a cleanup goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgedTag {
    /// The tag.
    pub name: String,
    /// The manifest it is on.
    pub manifest: ContainerManifestId,
    /// When it was put on it, in Unix microseconds.
    pub pushed_at: i64,
}

/// Returns every tag of a repository.
///
/// # Errors
/// The database's.
pub async fn all_with_age(tx: &mut Tx, repository: ContainerRepositoryId) -> Result<Vec<AgedTag>, Error> {
    let map = |row: &Row<'_>| {
        Ok(AgedTag { name: row.get(0)?, manifest: ContainerManifestId(row.get(1)?), pushed_at: row.get(2)? })
    };
    tx.all(&ALL_WITH_AGE, &[V::from(repository.0)], map).await
}
