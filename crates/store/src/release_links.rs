//! Links to what a release brings. A link is only ever found inside its release.

use portcullis_rules::id::{ReleaseId, ReleaseLinkId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A link as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseLink {
    /// The id.
    pub id: ReleaseLinkId,
    /// The release.
    pub release: ReleaseId,
    /// What it is called; different from all others of the release, as the address and the path are.
    pub name: String,
    /// Where it leads.
    pub url: String,
    /// Where it is found below the release's own address; it begins with a slash.
    pub direct_asset_path: Option<String>,
    /// What it leads to, in GitLab's word.
    pub link_type: String,
}

/// The columns of [`ReleaseLink`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "l.id, l.release_id, l.name, l.url, l.direct_asset_path, l.link_type"
    };
}

fn read(row: &Row<'_>) -> Result<ReleaseLink, Error> {
    Ok(ReleaseLink {
        id: ReleaseLinkId(row.get(0)?),
        release: ReleaseId(row.get(1)?),
        name: row.get(2)?,
        url: row.get(3)?,
        direct_asset_path: row.get(4)?,
        link_type: row.get(5)?,
    })
}

statements! {
    INSERT = "INSERT INTO release_links (release_id, name, url, direct_asset_path, link_type, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    FIND = concat!("SELECT ", columns!(), " FROM release_links l WHERE l.release_id = $1 AND l.id = $2");
    FIND_BY_PATH = concat!(
        "SELECT ", columns!(), " FROM release_links l WHERE l.release_id = $1 AND l.direct_asset_path = $2"
    );
    UPDATE = "UPDATE release_links SET name = $3, url = $4, direct_asset_path = $5, link_type = $6 \
        WHERE release_id = $1 AND id = $2";
    DELETE = "DELETE FROM release_links WHERE release_id = $1 AND id = $2";
    COUNT = "SELECT COUNT(*) FROM release_links WHERE release_id = $1";
}

/// Records a link; its `id` is passed over.
///
/// # Errors
/// [`Error::Unique`] when the release has one with this name, address or path.
pub async fn insert(tx: &mut Tx, link: &ReleaseLink, now: i64) -> Result<ReleaseLinkId, Error> {
    let params = [
        V::from(link.release.0),
        V::from(&link.name),
        V::from(&link.url),
        V::from(&link.direct_asset_path),
        V::from(&link.link_type),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(ReleaseLinkId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the link of a release with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, release: ReleaseId, id: ReleaseLinkId) -> Result<Option<ReleaseLink>, Error> {
    tx.one(&FIND, &[V::from(release.0), V::from(id.0)], read).await
}

/// Returns the link of a release at this path.
///
/// # Errors
/// The database's.
pub async fn find_by_path(tx: &mut Tx, release: ReleaseId, path: &str) -> Result<Option<ReleaseLink>, Error> {
    tx.one(&FIND_BY_PATH, &[V::from(release.0), V::from(path)], read).await
}

/// Records what a link is now.
///
/// # Errors
/// [`Error::Unique`] when another one of the release has this name, address or path.
pub async fn update(tx: &mut Tx, link: &ReleaseLink) -> Result<(), Error> {
    let params = [
        V::from(link.release.0),
        V::from(link.id.0),
        V::from(&link.name),
        V::from(&link.url),
        V::from(&link.direct_asset_path),
        V::from(&link.link_type),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Deletes a link.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, release: ReleaseId, id: ReleaseLinkId) -> Result<(), Error> {
    tx.run(&DELETE, &[V::from(release.0), V::from(id.0)]).await?;
    Ok(())
}

/// Returns how many a release has.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, release: ReleaseId) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[V::from(release.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// The most links a release has.
pub const MAX_LINKS: usize = 200;

/// The most rows a page has for which links are asked.
const MAX_PAGE: i64 = 100;

/// Returns the links of a release, newest first.
///
/// # Errors
/// The database's.
pub async fn list(tx: &mut Tx, release: ReleaseId, window: Window) -> Result<Listing<ReleaseLink>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("l.release_id = ?", [release.0.into()]);
    conditions.list(tx, columns!(), "release_links l", "l.id DESC", window, read).await
}

/// Returns the links of several releases, in one question, newest first.
///
/// # Errors
/// The database's.
pub async fn links_of(tx: &mut Tx, releases: &[i64]) -> Result<Vec<ReleaseLink>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("l.release_id", releases);
    let window = Window { limit: MAX_PAGE * MAX_LINKS as i64, offset: 0 };
    Ok(conditions.list(tx, columns!(), "release_links l", "l.id DESC", window, read).await?.items)
}
