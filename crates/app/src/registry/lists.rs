//! Lists of an image: its tags, what refers to a manifest; and the catalogue of all images.

use portcullis_registry::{Digest, ErrorCode};
use portcullis_rules::access::act;
use portcullis_store::container_manifests::{self, Referrer};
use portcullis_store::{container_repositories, container_tags};

use super::{Image, ImageError};
use crate::access::{Authorized, Reading};
use crate::forge::Forge;

/// The most entries of one page.
pub const MAX_PAGE: usize = 1000;

/// How much text the descriptors of one page of referrers may have, in bytes, as far as they can be shared out: a single
/// one is always sent.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A page of a list, and whether there is more behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Whether there is more.
    pub more: bool,
}

impl<T> Page<T> {
    /// Cuts a list that was read one longer than the page.
    pub(super) fn cut(mut items: Vec<T>, limit: usize) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        Page { items, more }
    }
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(0) + 1
}

/// Returns up to `limit` tags of the image behind `after`, sorted by their bytes.
///
/// # Errors
/// `NAME_UNKNOWN` when nothing was ever pushed to it.
pub async fn tags(
    forge: &Forge,
    reading: &mut Reading,
    image: &Image<act::PullImage>,
    after: &str,
    limit: usize,
) -> Result<Page<String>, ImageError> {
    let tx = reading.tx(forge).await?;
    let repository = container_repositories::id_of(tx, image.project(), &image.suffix).await?;
    let repository = repository.ok_or_else(|| ImageError::code(ErrorCode::NameUnknown))?;
    if limit == 0 {
        return Ok(Page { items: Vec::new(), more: false });
    }
    let found = container_tags::names_after(tx, repository, after, one_more(limit)).await?;
    Ok(Page::cut(found, limit.min(MAX_PAGE)))
}

/// Returns the manifests of the image that are about `subject`, of one kind or of any, by digest, behind `after`. That
/// there is no such image, or no such subject, is no error.
///
/// # Errors
/// The database's.
pub async fn referrers(
    forge: &Forge,
    reading: &mut Reading,
    image: &Image<act::PullImage>,
    subject: &Digest,
    artifact_type: Option<&str>,
    after: &str,
) -> Result<Page<Referrer>, ImageError> {
    let tx = reading.tx(forge).await?;
    let Some(repository) = container_repositories::id_of(tx, image.project(), &image.suffix).await? else {
        return Ok(Page { items: Vec::new(), more: false });
    };
    let subject = subject.to_string();
    let found =
        container_manifests::referrers(tx, repository, &subject, artifact_type, after, one_more(MAX_PAGE))
            .await?;
    let mut bytes = 0;
    let fitting = found
        .iter()
        .take_while(|referrer| {
            let own = referrer.annotations.as_ref().map_or(0, String::len) + 512;
            let fits = bytes == 0 || bytes + own <= MAX_PAGE_BYTES;
            bytes += own;
            fits
        })
        .count();
    Ok(Page::cut(found, fitting.min(MAX_PAGE)))
}

/// Returns up to `limit` names of images of the whole instance behind `after`, sorted by their bytes.
///
/// # Errors
/// The database's.
pub async fn catalog(
    forge: &Forge,
    _access: &Authorized<act::ReadCatalog>,
    after: &str,
    limit: usize,
) -> Result<Page<String>, ImageError> {
    let mut tx = forge.db().read().await?;
    let names = container_repositories::catalog(&mut tx).await?;
    let first = names.partition_point(|name| name.as_str() <= after);
    let limit = limit.min(MAX_PAGE);
    let found: Vec<_> = names.into_iter().skip(first).take(limit + 1).collect();
    Ok(if limit == 0 { Page { items: Vec::new(), more: false } } else { Page::cut(found, limit) })
}
