//! Releases, and the links to what they bring.
//!
//! A release belongs to a tag by its name, and stays when the tag goes. What is shown of the code, the commit and its
//! archives, is shown to those who may read the code; everything else to whoever sees the project.

use std::sync::Arc;

use portcullis_git::{Commit, ObjectId};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::{MilestoneId, ReleaseId, ReleaseLinkId};
use portcullis_rules::names::DisplayName;
use portcullis_rules::web_address::{DOWNLOADS, MAX_ADDRESS_BYTES, is_address};
use portcullis_store::db::{self, Tx};
use portcullis_store::events::{self, NewEvent};
use portcullis_store::milestones::{self, Milestone};
use portcullis_store::projects;
use portcullis_store::release_links::{self, MAX_LINKS, ReleaseLink};
use portcullis_store::releases::{self, MAX_MILESTONES, NewRelease, Release, ReleaseFilter};
use portcullis_store::select::{Listing, Window};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::check_text;
use crate::repository_changes;

/// The longest description, in characters.
const MAX_DESCRIPTION_CHARACTERS: usize = 1_000_000;

/// The longest name of a link, in characters.
const MAX_LINK_NAME_CHARACTERS: usize = 255;

/// The longest path of a link below its release, in bytes.
const MAX_ASSET_PATH_BYTES: usize = 128;

/// The kinds of links.
pub const LINK_TYPES: [&str; 4] = ["other", "runbook", "image", "package"];

/// A release with what is read beside it.
#[derive(Clone, Debug)]
pub struct ReleaseDetails {
    /// The release.
    pub release: Release,
    /// The commit it was made of, for those who may read the code.
    pub commit: Option<Commit>,
    /// Its links, newest first.
    pub links: Vec<ReleaseLink>,
    /// Its milestones.
    pub milestones: Vec<Milestone>,
    /// Whether the viewer may read the code.
    pub shows_code: bool,
}

/// A link as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewLinkRequest {
    /// What it is called.
    pub name: String,
    /// Where it leads.
    pub url: String,
    /// Where it is found below the release's own address.
    pub direct_asset_path: Option<String>,
    /// What it leads to: one of [`LINK_TYPES`].
    pub link_type: Option<String>,
}

/// What is to change about a link; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct LinkChanges {
    /// What it is called.
    pub name: Option<String>,
    /// Where it leads.
    pub url: Option<String>,
    /// Where it is found below the release's own address; `Some(None)` means nowhere.
    pub direct_asset_path: Option<Option<String>>,
    /// What it leads to.
    pub link_type: Option<String>,
}

/// A release as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewReleaseRequest {
    /// The tag.
    pub tag: String,
    /// What it is called.
    pub name: Option<String>,
    /// What is new.
    pub description: Option<String>,
    /// What the tag is made of when it is not there.
    pub revision: Option<String>,
    /// What the tag says when it is made.
    pub tag_message: Option<String>,
    /// When it is or will be released, in Unix microseconds.
    pub released_at: Option<i64>,
    /// The titles of its milestones.
    pub milestones: Vec<String>,
    /// Its links.
    pub links: Vec<NewLinkRequest>,
}

/// What is to change about a release; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ReleaseChanges {
    /// What it is called.
    pub name: Option<String>,
    /// What is new.
    pub description: Option<String>,
    /// When it is or will be released, in Unix microseconds.
    pub released_at: Option<i64>,
    /// The titles of its milestones.
    pub milestones: Option<Vec<String>>,
}

/// Reads what belongs to some releases: with three questions, however many they are.
async fn with_details<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    mut tx: Tx,
    found: Vec<Release>,
) -> Result<Vec<ReleaseDetails>, Error> {
    let ids: Vec<_> = found.iter().map(|release| release.id.0).collect();
    let (links, milestones) = match ids.as_slice() {
        [] => (Vec::new(), Vec::new()),
        ids => (release_links::links_of(&mut tx, ids).await?, releases::milestones_of(&mut tx, ids).await?),
    };
    // Git is asked without a transaction being held open.
    drop(tx);
    let shows_code = access.also::<act::ReadCode>().is_ok();
    let shas = found.iter().filter_map(|release| release.sha.as_deref()).filter_map(ObjectId::parse);
    let commits = match shows_code {
        true => forge.git().commits(access.project().0, shas.collect()).await?,
        false => Vec::new(),
    };
    let details = found.into_iter().map(|release| {
        let id = release.id;
        let sha = release.sha.as_deref();
        ReleaseDetails {
            commit: commits.iter().find(|commit| Some(commit.id.as_str()) == sha).cloned(),
            links: links.iter().filter(|link| link.release == id).cloned().collect(),
            milestones: milestones
                .iter()
                .filter(|(of, _)| *of == id.0)
                .map(|(_, milestone)| milestone.clone())
                .collect(),
            shows_code,
            release,
        }
    });
    Ok(details.collect())
}

async fn one_with_details<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    tx: Tx,
    release: Release,
) -> Result<ReleaseDetails, Error> {
    let details = with_details(forge, access, tx, vec![release]).await?;
    details.into_iter().next().ok_or(Error::NotFound("Release"))
}

/// Returns the releases of a project.
///
/// # Errors
/// The database's and Git's.
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
    filter: ReleaseFilter,
    window: Window,
) -> Result<Listing<ReleaseDetails>, Error> {
    let mut tx = forge.db().read().await?;
    let found = releases::list(&mut tx, access.project(), filter, window).await?;
    let total = found.total;
    Ok(Listing { items: with_details(forge, access, tx, found.items).await?, total })
}

async fn get_in<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    tag: &str,
) -> Result<Release, Error> {
    releases::find(tx, access.project(), tag).await?.ok_or(Error::NotFound("Release"))
}

/// Returns the release of a tag.
///
/// # Errors
/// [`Error::NotFound`] when the tag has none.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
    tag: &str,
) -> Result<ReleaseDetails, Error> {
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, access, tag).await?;
    one_with_details(forge, access, tx, release).await
}

/// Returns the release that was released last, of those that are not still to come.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get_latest(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
) -> Result<ReleaseDetails, Error> {
    let mut tx = forge.db().read().await?;
    let found = releases::find_latest(&mut tx, access.project(), forge.now()).await?;
    one_with_details(forge, access, tx, found.ok_or(Error::NotFound("Release"))?).await
}

/// Returns where a link of a release leads, by its path below the release's own address.
///
/// # Errors
/// [`Error::NotFound`] when there is none there.
pub async fn find_download(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
    tag: &str,
    path: &str,
) -> Result<String, Error> {
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, access, tag).await?;
    let link = release_links::find_by_path(&mut tx, release.id, path).await?;
    link.map(|link| link.url).ok_or(Error::NotFound("Release Link"))
}

/// Returns whether a link may have this path: a slash, and then names with slashes between them.
fn is_asset_path(path: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty()
            && !matches!(name, "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    path.len() <= MAX_ASSET_PATH_BYTES
        && path.strip_prefix('/').is_some_and(|names| names.split('/').all(name))
        && path.ends_with(|last: char| last.is_ascii_alphanumeric())
}

fn check_link(fields: &mut FieldErrors, link: &ReleaseLink) {
    if link.name.trim().is_empty() {
        fields.add("name", "can't be blank");
    }
    check_text(fields, "name", &link.name, MAX_LINK_NAME_CHARACTERS);
    if !is_address(&link.url, DOWNLOADS) {
        let problem = format!(
            "is blocked: Only allowed schemes are http, https, ftp, without a user, at most {MAX_ADDRESS_BYTES} bytes"
        );
        fields.add("url", problem);
    }
    if link.direct_asset_path.as_deref().is_some_and(|path| !is_asset_path(path)) {
        fields.add("filepath", "is in an invalid format");
    }
    if !LINK_TYPES.contains(&link.link_type.as_str()) {
        fields.add("link_type", "is not a valid type");
    }
}

/// Clients write the path with a slash before it or without.
fn with_slash(path: Option<String>) -> Option<String> {
    let path = path.filter(|path| !path.is_empty())?;
    Some(if path.starts_with('/') { path } else { format!("/{path}") })
}

fn asked_link(release: ReleaseId, request: NewLinkRequest) -> ReleaseLink {
    ReleaseLink {
        id: ReleaseLinkId(0),
        release,
        name: request.name,
        url: request.url,
        direct_asset_path: with_slash(request.direct_asset_path),
        link_type: request.link_type.unwrap_or_else(|| LINK_TYPES[0].to_owned()),
    }
}

fn taken(error: db::Error) -> Error {
    match error {
        db::Error::Unique { .. } => {
            Error::Inapplicable("The name, url or path of the link has already been taken".to_owned())
        }
        other => other.into(),
    }
}

async fn insert_link(tx: &mut Tx, mut link: ReleaseLink, now: i64) -> Result<ReleaseLink, Error> {
    if release_links::count(tx, link.release).await? >= MAX_LINKS as i64 {
        return Err(Error::invalid("links", format!("are too many (maximum is {MAX_LINKS})")));
    }
    link.id = release_links::insert(tx, &link, now).await.map_err(taken)?;
    Ok(link)
}

/// Returns the milestones with these titles.
async fn titled<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    titles: &[String],
) -> Result<Vec<MilestoneId>, Error> {
    if titles.len() > MAX_MILESTONES {
        let problem = format!("are too many (maximum is {MAX_MILESTONES})");
        return Err(Error::invalid("milestones", problem));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for title in titles {
        match milestones::find_by_title(tx, access.project(), title).await? {
            Some(milestone) if !found.contains(&milestone.id) => found.push(milestone.id),
            Some(_) => {}
            None => missing.push(title.as_str()),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        missing => Err(Error::Inapplicable(format!("Milestone(s) not found: {}", missing.join(", ")))),
    }
}

fn check_texts(fields: &mut FieldErrors, name: Option<&str>, description: Option<&str>) -> Option<String> {
    check_text(fields, "description", description.unwrap_or_default(), MAX_DESCRIPTION_CHARACTERS);
    let name = name.filter(|name| !name.trim().is_empty())?;
    fields.take("name", DisplayName::parse(name)).map(|name| name.as_str().to_owned())
}

async fn record<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    event: &'static str,
    (id, tag): (ReleaseId, &str),
    now: i64,
) -> Result<(), Error> {
    let entry = Entry::project(access.project(), &access.place().full_path, event);
    let entry = entry.target("Release", id.0).details(json!({ "tag": tag }));
    audit::record(tx, access.viewer(), entry, now).await
}

/// Returns the commit that the tag of a new release names; the tag is made when it is not there.
async fn tagged_commit(
    forge: &Arc<Forge>,
    access: &Authorized<act::AdministerReleases>,
    request: &NewReleaseRequest,
) -> Result<Option<String>, Error> {
    let found = forge.git().find_tag(access.project().0, &request.tag).await?;
    let tag = match (found, &request.revision) {
        (Some(tag), _) => tag,
        (None, None) => return Err(Error::Unprocessable("Ref is not specified".to_owned())),
        (None, Some(revision)) => {
            let access = access.also::<act::WriteRepository>()?;
            let message = request.tag_message.clone();
            repository_changes::create_tag(forge, &access, &request.tag, revision, message).await?.tag
        }
    };
    Ok(tag.commit.map(|commit| commit.id.as_str().to_owned()))
}

/// Makes the release of a tag, and the tag itself when it is not there and `revision` says of what.
///
/// # Errors
/// [`Error::Conflict`] when the tag has a release; [`Error::Unprocessable`] when there is neither the tag nor a revision;
/// [`Error::Inapplicable`] when the tag cannot be made, or for a milestone or link; [`Error::Invalid`] for a field;
/// [`Error::Refused`] or [`Error::Forbidden`] when the caller may not make the tag.
pub async fn create(
    forge: &Arc<Forge>,
    access: &Authorized<act::AdministerReleases>,
    request: NewReleaseRequest,
) -> Result<ReleaseDetails, Error> {
    let mut fields = FieldErrors::default();
    let name = check_texts(&mut fields, request.name.as_deref(), request.description.as_deref());
    if request.links.len() > MAX_LINKS {
        fields.add("links", format!("are too many (maximum is {MAX_LINKS})"));
    }
    let asked = request.links.iter().take(MAX_LINKS).cloned();
    let links: Vec<_> = asked.map(|link| asked_link(ReleaseId(0), link)).collect();
    for link in &links {
        check_link(&mut fields, link);
    }
    fields.finish()?;

    // What would be refused afterwards is refused before a tag is made.
    let conflict = || Error::Conflict("Release already exists".to_owned());
    let mut tx = forge.db().read().await?;
    if releases::find(&mut tx, access.project(), &request.tag).await?.is_some() {
        return Err(conflict());
    }
    titled(&mut tx, access, &request.milestones).await?;
    drop(tx);
    let sha = tagged_commit(forge, access, &request).await?;

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    let identity = access.identity()?;
    let milestones = titled(&mut tx, &access, &request.milestones).await?;
    let new = NewRelease {
        project: access.project(),
        author: identity.user,
        tag: &request.tag,
        sha: sha.as_deref(),
        name: name.as_deref(),
        description: request.description.as_deref(),
        released_at: request.released_at.unwrap_or(now),
    };
    let id = releases::insert(&mut tx, &new, now).await.map_err(|error| match error {
        db::Error::Unique { .. } => conflict(),
        other => other.into(),
    })?;
    releases::set_milestones(&mut tx, id, &milestones).await?;
    for link in links {
        insert_link(&mut tx, ReleaseLink { release: id, ..link }, now).await?;
    }
    let event = NewEvent {
        project: access.project(),
        author: identity.user,
        token: identity.token(),
        action: "created",
        target_type: Some("Release"),
        target_id: Some(id.0),
        target_iid: None,
        target_title: Some(name.as_deref().unwrap_or(&request.tag)),
        details: None,
    };
    events::insert(&mut tx, &event, now).await?;
    projects::record_activity(&mut tx, access.project(), now).await?;
    record(&mut tx, &access, "release_created", (id, &request.tag), now).await?;
    tx.commit().await?;
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, &access, &request.tag).await?;
    one_with_details(forge, &access, tx, release).await
}

/// Changes a release.
///
/// # Errors
/// [`Error::NotFound`] when the tag has none; [`Error::Inapplicable`] for a milestone; [`Error::Invalid`] for a field.
pub async fn update(
    forge: &Forge,
    access: &Authorized<act::AdministerReleases>,
    tag: &str,
    changes: ReleaseChanges,
) -> Result<ReleaseDetails, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    releases::lock(&mut tx, access.project(), tag).await?;
    let mut release = get_in(&mut tx, &access, tag).await?;
    let mut fields = FieldErrors::default();
    let name = check_texts(&mut fields, changes.name.as_deref(), changes.description.as_deref());
    fields.finish()?;
    if changes.name.is_some() {
        release.name = name;
    }
    release.description = changes.description.or(release.description);
    release.released_at = changes.released_at.unwrap_or(release.released_at);
    releases::update(&mut tx, access.project(), &release, now).await?;
    if let Some(titles) = &changes.milestones {
        let milestones = titled(&mut tx, &access, titles).await?;
        releases::set_milestones(&mut tx, release.id, &milestones).await?;
    }
    record(&mut tx, &access, "release_updated", (release.id, tag), now).await?;
    tx.commit().await?;
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, &access, tag).await?;
    one_with_details(forge, &access, tx, release).await
}

/// Deletes a release with its links, and returns what it was. The tag stays.
///
/// # Errors
/// [`Error::NotFound`] when the tag has none.
pub async fn delete(
    forge: &Forge,
    access: &Authorized<act::AdministerReleases>,
    tag: &str,
) -> Result<ReleaseDetails, Error> {
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, access, tag).await?;
    let details = one_with_details(forge, access, tx, release).await?;

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    releases::lock(&mut tx, access.project(), tag).await?;
    let release = get_in(&mut tx, &access, tag).await?;
    releases::delete(&mut tx, access.project(), release.id).await?;
    record(&mut tx, &access, "release_deleted", (release.id, tag), now).await?;
    tx.commit().await?;
    Ok(details)
}

/// Returns the links of a release, newest first.
///
/// # Errors
/// [`Error::NotFound`] when the tag has no release.
pub async fn list_links(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
    tag: &str,
    window: Window,
) -> Result<Listing<ReleaseLink>, Error> {
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, access, tag).await?;
    Ok(release_links::list(&mut tx, release.id, window).await?)
}

async fn get_link_in(tx: &mut Tx, release: ReleaseId, id: ReleaseLinkId) -> Result<ReleaseLink, Error> {
    release_links::find(tx, release, id).await?.ok_or(Error::NotFound("Release Link"))
}

/// Returns one link of a release.
///
/// # Errors
/// [`Error::NotFound`] when the release has none with this id.
pub async fn get_link(
    forge: &Forge,
    access: &Authorized<act::ReadReleases>,
    tag: &str,
    id: ReleaseLinkId,
) -> Result<ReleaseLink, Error> {
    let mut tx = forge.db().read().await?;
    let release = get_in(&mut tx, access, tag).await?;
    get_link_in(&mut tx, release.id, id).await
}

/// Adds a link to a release.
///
/// # Errors
/// [`Error::NotFound`] when the tag has no release; [`Error::Inapplicable`] when the release has one with this name,
/// address or path; [`Error::Invalid`] for a field.
pub async fn create_link(
    forge: &Forge,
    access: &Authorized<act::AdministerReleases>,
    tag: &str,
    request: NewLinkRequest,
) -> Result<ReleaseLink, Error> {
    let link = asked_link(ReleaseId(0), request);
    let mut fields = FieldErrors::default();
    check_link(&mut fields, &link);
    fields.finish()?;
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    releases::lock(&mut tx, access.project(), tag).await?;
    let release = get_in(&mut tx, &access, tag).await?;
    let link = insert_link(&mut tx, ReleaseLink { release: release.id, ..link }, now).await?;
    record(&mut tx, &access, "release_link_created", (release.id, tag), now).await?;
    tx.commit().await?;
    Ok(link)
}

/// Changes a link of a release.
///
/// # Errors
/// As [`create_link`], and [`Error::NotFound`] when the release has none with this id.
pub async fn update_link(
    forge: &Forge,
    access: &Authorized<act::AdministerReleases>,
    tag: &str,
    id: ReleaseLinkId,
    changes: LinkChanges,
) -> Result<ReleaseLink, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    releases::lock(&mut tx, access.project(), tag).await?;
    let release = get_in(&mut tx, &access, tag).await?;
    let mut link = get_link_in(&mut tx, release.id, id).await?;
    link.name = changes.name.unwrap_or(link.name);
    link.url = changes.url.unwrap_or(link.url);
    link.link_type = changes.link_type.unwrap_or(link.link_type);
    if let Some(path) = changes.direct_asset_path {
        link.direct_asset_path = with_slash(path);
    }
    let mut fields = FieldErrors::default();
    check_link(&mut fields, &link);
    fields.finish()?;
    release_links::update(&mut tx, &link).await.map_err(taken)?;
    record(&mut tx, &access, "release_link_updated", (release.id, tag), now).await?;
    tx.commit().await?;
    Ok(link)
}

/// Takes a link away from a release, and returns what it was.
///
/// # Errors
/// [`Error::NotFound`] when the release has none with this id.
pub async fn delete_link(
    forge: &Forge,
    access: &Authorized<act::AdministerReleases>,
    tag: &str,
    id: ReleaseLinkId,
) -> Result<ReleaseLink, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    releases::lock(&mut tx, access.project(), tag).await?;
    let release = get_in(&mut tx, &access, tag).await?;
    let link = get_link_in(&mut tx, release.id, id).await?;
    release_links::delete(&mut tx, release.id, id).await?;
    record(&mut tx, &access, "release_link_deleted", (release.id, tag), now).await?;
    tx.commit().await?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_plain_names() {
        for (path, fine) in [
            ("/a", true),
            ("/bin/tool-1.0_x86.tar.gz", true),
            ("a", false),
            ("/", false),
            ("//a", false),
            ("/a/", false),
            ("/a//b", false),
            ("/../a", false),
            ("/a/./b", false),
            ("/a b", false),
            ("/ä", false),
            ("/a%2e", false),
            ("/a.", false),
        ] {
            assert_eq!(is_asset_path(path), fine, "{path}");
        }
        let long = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert!(
            is_asset_path(&long(MAX_ASSET_PATH_BYTES)) && !is_asset_path(&long(MAX_ASSET_PATH_BYTES + 1))
        );
    }

    #[test]
    fn a_path_gets_its_slash() {
        assert_eq!(with_slash(Some("bin/a".to_owned())).as_deref(), Some("/bin/a"));
        assert_eq!(with_slash(Some("/a".to_owned())).as_deref(), Some("/a"));
        assert_eq!(with_slash(Some(String::new())), None);
        assert_eq!(with_slash(None), None);
    }
}
