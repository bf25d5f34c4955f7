//! Manifests of image repositories, with what each names.

use portcullis_rules::id::{ContainerManifestId, ContainerRepositoryId, ProjectId, UserId};

use crate::blobs::{DIGESTS_AT_ONCE, marks};
use crate::db::{Error, Query, Row, Tx, V, statements};

/// What a reader is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// The id.
    pub id: ContainerManifestId,
    /// What it is called by.
    pub digest: String,
    /// The type it was pushed with.
    pub media_type: String,
    /// How many bytes it has.
    pub size: i64,
}

/// A manifest with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// What it is.
    pub head: ManifestHead,
    /// Its bytes, exactly as they were pushed.
    pub body: Vec<u8>,
}

fn read_head(row: &Row<'_>) -> Result<ManifestHead, Error> {
    Ok(ManifestHead {
        id: ContainerManifestId(row.get(0)?),
        digest: row.get(1)?,
        media_type: row.get(2)?,
        size: row.get(3)?,
    })
}

fn read_whole(row: &Row<'_>) -> Result<StoredManifest, Error> {
    Ok(StoredManifest { head: read_head(row)?, body: row.get(4)? })
}

statements! {
    HEAD_BY_DIGEST = "SELECT m.id, m.digest, m.media_type, m.size FROM container_repositories r \
        JOIN container_manifests m ON m.repository_id = r.id WHERE r.project_id = $1 AND r.name = $2 AND m.digest = $3";
    HEAD_BY_TAG = "SELECT m.id, m.digest, m.media_type, m.size FROM container_repositories r \
        JOIN container_tags t ON t.repository_id = r.id JOIN container_manifests m ON m.id = t.manifest_id \
        WHERE r.project_id = $1 AND r.name = $2 AND t.name = $3";
    WHOLE_BY_DIGEST = "SELECT m.id, m.digest, m.media_type, m.size, b.body FROM container_repositories r \
        JOIN container_manifests m ON m.repository_id = r.id JOIN container_manifest_bodies b ON b.manifest_id = m.id \
        WHERE r.project_id = $1 AND r.name = $2 AND m.digest = $3";
    WHOLE_BY_TAG = "SELECT m.id, m.digest, m.media_type, m.size, b.body FROM container_repositories r \
        JOIN container_tags t ON t.repository_id = r.id JOIN container_manifests m ON m.id = t.manifest_id \
        JOIN container_manifest_bodies b ON b.manifest_id = m.id \
        WHERE r.project_id = $1 AND r.name = $2 AND t.name = $3";
    FIND = "SELECT id FROM container_manifests WHERE repository_id = $1 AND digest = $2";
    INSERT = "INSERT INTO container_manifests (repository_id, digest, media_type, size, content_size, config_digest, built_at, \
        subject, artifact_type, annotations, author_id, untagged_at, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) RETURNING id";
    INSERT_BODY = "INSERT INTO container_manifest_bodies (manifest_id, body) VALUES ($1, $2)";
    SET_MEDIA_TYPE = "UPDATE container_manifests SET media_type = $2 WHERE id = $1";
    TOUCH_BLOBS = "UPDATE blobs SET touched_at = $2 WHERE digest IN \
        (SELECT digest FROM container_manifest_references WHERE manifest_id = $1 AND kind = 'blob')";
    DELETE = "DELETE FROM container_manifests WHERE id = $1";
    PARENT = "SELECT m.digest FROM container_manifest_references f JOIN container_manifests m ON m.id = f.manifest_id \
        WHERE f.digest = $2 AND f.kind = 'manifest' AND m.repository_id = $1 LIMIT 1";
    REFERRERS = "SELECT digest, media_type, size, artifact_type, annotations FROM container_manifests \
        WHERE repository_id = $1 AND subject = $2 AND digest > $3 ORDER BY digest LIMIT $4";
    REFERRERS_OF_TYPE = "SELECT digest, media_type, size, artifact_type, annotations FROM container_manifests \
        WHERE repository_id = $1 AND subject = $2 AND digest > $3 AND artifact_type = $5 ORDER BY digest LIMIT $4";
}

/// Returns what a manifest of an image is, by its digest.
///
/// # Errors
/// The database's.
pub async fn head_by_digest(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    digest: &str,
) -> Result<Option<ManifestHead>, Error> {
    tx.one(&HEAD_BY_DIGEST, &[V::from(project.0), V::from(image), V::from(digest)], read_head).await
}

/// Returns what a manifest of an image is, by a tag.
///
/// # Errors
/// The database's.
pub async fn head_by_tag(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    tag: &str,
) -> Result<Option<ManifestHead>, Error> {
    tx.one(&HEAD_BY_TAG, &[V::from(project.0), V::from(image), V::from(tag)], read_head).await
}

/// Returns a manifest of an image, by its digest.
///
/// # Errors
/// The database's.
pub async fn whole_by_digest(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    digest: &str,
) -> Result<Option<StoredManifest>, Error> {
    tx.one(&WHOLE_BY_DIGEST, &[V::from(project.0), V::from(image), V::from(digest)], read_whole).await
}

/// Returns a manifest of an image, by a tag.
///
/// # Errors
/// The database's.
pub async fn whole_by_tag(
    tx: &mut Tx,
    project: ProjectId,
    image: &str,
    tag: &str,
) -> Result<Option<StoredManifest>, Error> {
    tx.one(&WHOLE_BY_TAG, &[V::from(project.0), V::from(image), V::from(tag)], read_whole).await
}

/// Returns the manifest with a digest in a repository.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digest: &str,
) -> Result<Option<ContainerManifestId>, Error> {
    let id = tx.one(&FIND, &[V::from(repository.0), V::from(digest)], |row| row.get(0)).await?;
    Ok(id.map(ContainerManifestId))
}

/// A manifest to be recorded.
#[derive(Clone, Debug)]
pub struct NewManifest<'a> {
    /// The repository it goes into.
    pub repository: ContainerRepositoryId,
    /// What it is called by.
    pub digest: &'a str,
    /// The type it came with.
    pub media_type: &'a str,
    /// How many bytes all that it names has.
    pub content_size: i64,
    /// The configuration it names.
    pub config_digest: Option<&'a str>,
    /// When the image was built, in Unix microseconds.
    pub built_at: Option<i64>,
    /// The digest of the manifest that it is about.
    pub subject: Option<&'a str>,
    /// What kind of artifact it is.
    pub artifact_type: Option<&'a str>,
    /// JSON: its annotations.
    pub annotations: Option<&'a str>,
    /// Who pushed it.
    pub author: UserId,
    /// Its bytes.
    pub body: &'a [u8],
    /// The blobs that it names.
    pub blobs: &'a [&'a str],
    /// The manifests that it names.
    pub manifests: &'a [&'a str],
}

/// Records a manifest that is not in the repository yet.
///
/// # Errors
/// [`Error::Unique`] when it is; the repository should be locked.
pub async fn insert(tx: &mut Tx, new: &NewManifest<'_>, now: i64) -> Result<ContainerManifestId, Error> {
    let size = i64::try_from(new.body.len()).unwrap_or(i64::MAX);
    let params = [
        V::from(new.repository.0),
        V::from(new.digest),
        V::from(new.media_type),
        V::from(size),
        V::from(new.content_size),
        V::from(new.config_digest),
        V::from(new.built_at),
        V::from(new.subject),
        V::from(new.artifact_type),
        V::from(new.annotations),
        V::from(new.author.0),
        V::from(now),
    ];
    let id: Option<i64> = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    let id = id.ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))?;
    tx.run(&INSERT_BODY, &[V::from(id), V::Bytes(new.body)]).await?;
    for (kind, digests) in [("blob", new.blobs), ("manifest", new.manifests)] {
        for some in digests.chunks(DIGESTS_AT_ONCE) {
            let rows: Vec<_> = (0..some.len()).map(|at| format!("($1, $2, ${})", at + 3)).collect();
            let query = Query::new(format!(
                "INSERT INTO container_manifest_references (manifest_id, kind, digest) VALUES {} \
                 ON CONFLICT (manifest_id, kind, digest) DO NOTHING",
                rows.join(", ")
            ));
            let params: Vec<_> = [V::from(id), V::from(kind)]
                .into_iter()
                .chain(some.iter().map(|digest| V::from(*digest)))
                .collect();
            tx.run(&query, &params).await?;
        }
    }
    Ok(ContainerManifestId(id))
}

/// Records the type that the same bytes were pushed with now.
///
/// # Errors
/// The database's.
pub async fn set_media_type(tx: &mut Tx, id: ContainerManifestId, media_type: &str) -> Result<(), Error> {
    tx.run(&SET_MEDIA_TYPE, &[V::from(id.0), V::from(media_type)]).await?;
    Ok(())
}

/// Deletes a manifest and the tags on it. What it named is kept for a while, counted from now.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: ContainerManifestId, now: i64) -> Result<(), Error> {
    tx.run(&TOUCH_BLOBS, &[V::from(id.0), V::from(now)]).await?;
    tx.run(&DELETE, &[V::from(id.0)]).await?;
    Ok(())
}

/// Returns an index of the repository that names the manifest with this digest, if there is one.
///
/// # Errors
/// The database's.
pub async fn parent_of(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digest: &str,
) -> Result<Option<String>, Error> {
    tx.one(&PARENT, &[V::from(repository.0), V::from(digest)], |row| row.get(0)).await
}

/// Returns those of `digests` that are manifests of the repository.
///
/// # Errors
/// The database's.
pub async fn present_among(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    digests: &[&str],
) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for some in digests.chunks(DIGESTS_AT_ONCE) {
        let query = Query::new(format!(
            "SELECT digest FROM container_manifests WHERE repository_id = $1 AND digest IN ({})",
            marks(2, some.len())
        ));
        let params: Vec<_> =
            [V::from(repository.0)].into_iter().chain(some.iter().map(|digest| V::from(*digest))).collect();
        found.extend(tx.all(&query, &params, |row| row.get(0)).await?);
    }
    Ok(found)
}

/// A manifest in the list of those that are about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// What it is called by.
    pub digest: String,
    /// The type it was pushed with.
    pub media_type: String,
    /// How many bytes it has.
    pub size: i64,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// JSON: its annotations.
    pub annotations: Option<String>,
}

/// Returns up to `limit` manifests of the repository that are about `subject`, of one kind or of any, by digest, behind
/// `after`.
///
/// # Errors
/// The database's.
pub async fn referrers(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    subject: &str,
    artifact_type: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<Referrer>, Error> {
    let map = |row: &Row<'_>| {
        Ok(Referrer {
            digest: row.get(0)?,
            media_type: row.get(1)?,
            size: row.get(2)?,
            artifact_type: row.get(3)?,
            annotations: row.get(4)?,
        })
    };
    let mut params = vec![V::from(repository.0), V::from(subject), V::from(after), V::from(limit)];
    match artifact_type {
        None => tx.all(&REFERRERS, &params, map).await,
        Some(kind) => {
            params.push(V::from(kind));
            tx.all(&REFERRERS_OF_TYPE, &params, map).await
        }
    }
}
