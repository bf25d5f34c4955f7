//! Manifests of an image: read, pushed and deleted, with the tags on them.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use portcullis_registry::{
    Digest, ErrorCode, ErrorEntry, Manifest, ManifestType, Reference, Requirement, Tag,
};
use portcullis_rules::access::act;
use portcullis_rules::id::{ContainerManifestId, ContainerRepositoryId, UserId};
use portcullis_store::container_manifests::{self, ManifestHead, NewManifest, StoredManifest};
use portcullis_store::db::Tx;
use portcullis_store::{blobs, container_repositories, container_rules, container_tags, projects};
use serde::Deserialize;
use serde_json::json;

use super::tag_rules::{self, Change};
use super::{Happening, Image, ImageError, actor, record};
use crate::Error;
use crate::access::Reading;
use crate::forge::Forge;

/// How many tags one request may put on a manifest.
pub const MAX_TAGS: usize = 50;

/// Up to which length a manifest is read on the thread that has it. Longer ones take milliseconds.
const READ_IN_PLACE_BYTES: usize = 32 * 1024;

/// The longest configuration of an image that is read for the time it was built.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Returns what a manifest is, without its bytes.
///
/// # Errors
/// `MANIFEST_UNKNOWN`, or `NAME_UNKNOWN` when nothing was ever pushed to the image.
pub async fn head(
    forge: &Forge,
    reading: &mut Reading,
    image: &Image<act::PullImage>,
    reference: &Reference,
) -> Result<ManifestHead, ImageError> {
    let tx = reading.tx(forge).await?;
    let (project, suffix) = (image.project(), &image.suffix);
    let found = match reference {
        Reference::Tag(tag) => container_manifests::head_by_tag(tx, project, suffix, tag.as_str()).await?,
        Reference::Digest(digest) => {
            container_manifests::head_by_digest(tx, project, suffix, &digest.to_string()).await?
        }
    };
    match found {
        Some(found) => Ok(found),
        None => Err(missing(tx, image, reference).await?),
    }
}

/// Returns a manifest.
///
/// # Errors
/// As [`head`].
pub async fn get(
    forge: &Forge,
    reading: &mut Reading,
    image: &Image<act::PullImage>,
    reference: &Reference,
) -> Result<StoredManifest, ImageError> {
    let tx = reading.tx(forge).await?;
    let (project, suffix) = (image.project(), &image.suffix);
    let found = match reference {
        Reference::Tag(tag) => container_manifests::whole_by_tag(tx, project, suffix, tag.as_str()).await?,
        Reference::Digest(digest) => {
            container_manifests::whole_by_digest(tx, project, suffix, &digest.to_string()).await?
        }
    };
    match found {
        Some(found) => Ok(found),
        None => Err(missing(tx, image, reference).await?),
    }
}

async fn missing(
    tx: &mut Tx,
    image: &Image<act::PullImage>,
    reference: &Reference,
) -> Result<ImageError, ImageError> {
    match container_repositories::id_of(tx, image.project(), &image.suffix).await? {
        Some(_) => Ok(unknown(reference)),
        None => Ok(ImageError::code(ErrorCode::NameUnknown)),
    }
}

/// Returns the refusal of a manifest that is not there.
pub fn unknown(reference: &Reference) -> ImageError {
    let detail = match reference {
        Reference::Tag(tag) => json!({ "tag": tag.as_str() }),
        Reference::Digest(digest) => json!({ "digest": digest.to_string() }),
    };
    ImageError::Protocol(vec![ErrorEntry::from(ErrorCode::ManifestUnknown).with_detail(detail)])
}

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// What it is called by.
    pub digest: Digest,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
    /// The tags that were put on it.
    pub tags: Vec<Tag>,
}

/// Adds a manifest to the image, with a tag or some. What it names must be there. That the same one is there already is no
/// error.
///
/// # Errors
/// `MANIFEST_INVALID`, `DIGEST_INVALID`, `MANIFEST_BLOB_UNKNOWN` with one entry for each thing that is missing, `DENIED`
/// for a protected or immutable tag; nothing was changed.
pub async fn push(
    forge: &Forge,
    image: &Image<act::PushImage>,
    reference: &Reference,
    more_tags: Vec<Tag>,
    content_type: Option<String>,
    body: Bytes,
) -> Result<Pushed, ImageError> {
    if more_tags.len() > MAX_TAGS {
        return Err(ImageError::TooManyTags(MAX_TAGS));
    }
    let expected = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => None,
    };
    let (manifest, digest) = parse(body.clone(), content_type, expected).await?;
    let mut tags = more_tags;
    if let Reference::Tag(tag) = reference {
        tags.insert(0, tag.clone());
    }
    let mut seen = HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));

    let built_at = built_at(forge, image, &manifest).await?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = image.access.again(forge, &mut tx).await?;
    let (_, user, _) = actor(&access)?;
    let repository = container_repositories::ensure(&mut tx, image.project(), &image.suffix, now).await?;
    check_content(&mut tx, repository, &manifest).await?;

    let name = digest.to_string();
    let existing = container_manifests::find(&mut tx, repository, &name).await?;
    let id = match existing {
        Some(id) => {
            container_manifests::set_media_type(&mut tx, id, manifest.media_type.as_str()).await?;
            id
        }
        None => {
            let at = Place { repository, digest: &name, author: user, built_at };
            insert(&mut tx, &at, &manifest, &body, now).await?
        }
    };
    let rules = if tags.is_empty() {
        Vec::new()
    } else {
        container_rules::of_project(&mut tx, image.project()).await?
    };
    let mut happening = Happening {
        image: image.name.as_str(),
        action: "pushed",
        event: "container_image_pushed",
        tag: None,
        digest: Some(&name),
    };
    for tag in &tags {
        let before = container_tags::find(&mut tx, repository, tag.as_str()).await?;
        let moves = before.as_ref().is_some_and(|before| before.manifest != id);
        let change = if moves { Change::Move } else { Change::Make };
        tag_rules::check(&rules, &access, tag.as_str(), change)?;
        if moves || before.is_none() {
            container_tags::set(&mut tx, repository, tag.as_str(), id, user, now).await?;
            happening.tag = Some(tag.as_str());
            record(&mut tx, &access, &happening, now).await?;
        }
    }
    if existing.is_none() && tags.is_empty() {
        record(&mut tx, &access, &happening, now).await?;
    }
    projects::record_activity(&mut tx, image.project(), now).await?;
    tx.commit().await?;
    let subject = manifest.subject.map(|subject| subject.digest);
    Ok(Pushed { digest, subject, tags })
}

/// Reads a manifest, and says what it is called by.
async fn parse(
    body: Bytes,
    content_type: Option<String>,
    expected: Option<Digest>,
) -> Result<(Manifest, Digest), ImageError> {
    let in_place = body.len() <= READ_IN_PLACE_BYTES;
    let work = move || {
        let manifest = Manifest::parse(&body, content_type.as_deref())
            .map_err(|error| ImageError::said(error.code(), error.to_string()))?;
        let digest = match expected {
            None => manifest.digest.clone(),
            Some(expected) => {
                let actual = Digest::of(expected.algorithm(), &body);
                if actual != expected {
                    let text = format!("the manifest has the digest {actual} and not {expected}");
                    return Err(ImageError::said(ErrorCode::DigestInvalid, text));
                }
                actual
            }
        };
        Ok((manifest, digest))
    };
    if in_place {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.into()))?
}

/// Refuses a manifest that names what is not there.
async fn check_content(
    tx: &mut Tx,
    repository: ContainerRepositoryId,
    manifest: &Manifest,
) -> Result<(), ImageError> {
    let (blob_names, manifest_names) = required(manifest);
    let linked = blobs::linked_among(tx, repository, &texts(&blob_names)).await?;
    let present = container_manifests::present_among(tx, repository, &texts(&manifest_names)).await?;
    let there: HashSet<_> = linked.iter().chain(&present).collect();
    let missing: Vec<_> = blob_names
        .iter()
        .chain(&manifest_names)
        .filter(|name| !there.contains(name))
        .take(MAX_MISSING_NAMED)
        .map(|name| ErrorEntry::from(ErrorCode::ManifestBlobUnknown).with_detail(json!({ "digest": name })))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(ImageError::Protocol(missing)) }
}

/// How many missing things one answer names.
const MAX_MISSING_NAMED: usize = 100;

/// Returns the digests of the blobs and of the manifests that must be there, each once.
fn required(manifest: &Manifest) -> (Vec<String>, Vec<String>) {
    let mut seen = HashSet::new();
    let mut names = |kind: Requirement| {
        manifest
            .content()
            .filter(|one| one.requires == kind)
            .map(|one| one.digest.to_string())
            .filter(|name| seen.insert((kind, name.clone())))
            .collect::<Vec<_>>()
    };
    (names(Requirement::Blob), names(Requirement::Manifest))
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Where a manifest goes, and whose it is.
struct Place<'a> {
    repository: ContainerRepositoryId,
    digest: &'a str,
    author: UserId,
    built_at: Option<i64>,
}

async fn insert(
    tx: &mut Tx,
    at: &Place<'_>,
    manifest: &Manifest,
    body: &[u8],
    now: i64,
) -> Result<ContainerManifestId, ImageError> {
    let (blob_names, manifest_names) = required(manifest);
    let config = manifest.config.as_ref().map(|config| config.digest.to_string());
    let subject = manifest.subject.as_ref().map(|subject| subject.digest.to_string());
    let content_size = manifest.content().fold(0_u64, |sum, one| sum.saturating_add(one.size));
    let new = NewManifest {
        repository: at.repository,
        digest: at.digest,
        media_type: manifest.media_type.as_str(),
        content_size: i64::try_from(content_size).unwrap_or(i64::MAX),
        config_digest: config.as_deref(),
        built_at: at.built_at,
        subject: subject.as_deref(),
        artifact_type: manifest.artifact_type.as_deref(),
        annotations: manifest.annotations.as_deref(),
        author: at.author,
        body,
        blobs: &texts(&blob_names),
        manifests: &texts(&manifest_names),
    };
    Ok(container_manifests::insert(tx, &new, now).await?)
}

/// Returns when an image was built, as its configuration says: a cleanup goes by it. That it does not say so, or that it
/// cannot be read, is no error.
async fn built_at(
    forge: &Forge,
    image: &Image<act::PushImage>,
    manifest: &Manifest,
) -> Result<Option<i64>, ImageError> {
    #[derive(Deserialize)]
    struct Configuration {
        created: Option<String>,
    }

    let Some(config) = &manifest.config else { return Ok(None) };
    let of_an_image = matches!(manifest.media_type, ManifestType::OciImage | ManifestType::DockerImage)
        && config.media_type.ends_with("+json")
        && (config.media_type.contains("image.config") || config.media_type.contains("container.image"));
    if !of_an_image || config.size > MAX_CONFIG_BYTES {
        return Ok(None);
    }
    let mut tx = forge.db().read().await?;
    let digest = config.digest.to_string();
    let found = blobs::find_in_image(&mut tx, image.project(), &image.suffix, &digest).await?;
    drop(tx);
    let Some(blob) = found else { return Ok(None) };
    let size = u64::try_from(blob.size).unwrap_or(u64::MAX);
    if size > MAX_CONFIG_BYTES {
        return Ok(None);
    }
    let Ok(content) = forge.blobs().read(&config.digest, Some(size), None).await else { return Ok(None) };
    let pieces: Result<Vec<Bytes>, _> = content.bytes.try_collect().await;
    let Ok(pieces) = pieces else { return Ok(None) };
    let configuration = serde_json::from_slice::<Configuration>(&pieces.concat()).ok();
    let created = configuration.and_then(|configuration| configuration.created);
    Ok(created.and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_microsecond))
}

/// What deleting a manifest leaves to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// An index that names the deleted manifest.
    pub named_by: Option<String>,
}

/// Deletes a tag, or a manifest with every tag on it.
///
/// # Errors
/// `MANIFEST_UNKNOWN`, `NAME_UNKNOWN`, `DENIED` for a protected or immutable tag, `UNSUPPORTED` when deletion is switched
/// off.
pub async fn delete(
    forge: &Forge,
    image: &Image<act::DeleteImage>,
    reference: &Reference,
) -> Result<Deleted, ImageError> {
    super::deletion_is_offered(forge)?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = image.access.again(forge, &mut tx).await?;
    let repository = container_repositories::id_of(&mut tx, image.project(), &image.suffix).await?;
    let repository = repository.ok_or_else(|| ImageError::code(ErrorCode::NameUnknown))?;
    container_repositories::lock(&mut tx, repository).await?;
    let rules = container_rules::of_project(&mut tx, image.project()).await?;
    let mut happening = Happening {
        image: image.name.as_str(),
        action: "deleted",
        event: "container_tag_deleted",
        tag: None,
        digest: None,
    };
    let named_by = match reference {
        Reference::Tag(tag) => {
            tag_rules::check(&rules, &access, tag.as_str(), Change::Delete)?;
            let deleted = container_tags::delete(&mut tx, repository, tag.as_str(), now).await?;
            let tagged = deleted.ok_or_else(|| unknown(reference))?;
            (happening.tag, happening.digest) = (Some(tag.as_str()), Some(tagged.digest.as_str()));
            record(&mut tx, &access, &happening, now).await?;
            None
        }
        Reference::Digest(digest) => {
            let name = digest.to_string();
            let found = container_manifests::find(&mut tx, repository, &name).await?;
            let id = found.ok_or_else(|| unknown(reference))?;
            for tag in container_tags::names_on(&mut tx, id).await? {
                tag_rules::check(&rules, &access, &tag, Change::Delete)?;
            }
            container_manifests::delete(&mut tx, id, now).await?;
            (happening.event, happening.digest) = ("container_manifest_deleted", Some(name.as_str()));
            record(&mut tx, &access, &happening, now).await?;
            container_manifests::parent_of(&mut tx, repository, &name).await?
        }
    };
    tx.commit().await?;
    Ok(Deleted { named_by })
}
