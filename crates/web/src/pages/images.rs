//! A project's container registry: its image repositories, and the tags of each.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, Reading};
use portcullis_app::records::select::Window;
use portcullis_app::registry::image_name;
use portcullis_app::registry::repositories::{self, RepositoryDetails, RepositoryOverview, Wanted};
use portcullis_app::registry::tags::{self, TagOverview};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::act;
use portcullis_rules::id::ContainerRepositoryId;

use super::author::Author;
use super::confirm::Confirm;
use super::form::Form;
use super::projects::Head;
use super::words::{self, Moment};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};

/// How many repositories or tags a page shows.
const PER_PAGE: i64 = 20;

/// How much of a digest people are shown, behind the name of its algorithm.
const SHORT_DIGEST_CHARACTERS: usize = 12;

/// What is asked before a tag is deleted.
const DELETING_TAG: &str =
    "Whoever pulls the image by this tag is told that there is none. Other tags of the same image stay.";

/// What is asked before a repository is deleted.
const DELETING_REPOSITORY: &str =
    "All its tags and images are gone for everybody with the next request. This cannot be undone.";

/// A repository in a list.
struct RepositoryView {
    id: i64,
    path: String,
    tags: String,
    size: String,
    pushed: Option<Moment>,
}

fn count(number: i64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Returns a size that stays on one line.
fn size(bytes: i64) -> String {
    words::bytes(bytes.unsigned_abs()).replace(' ', "\u{a0}")
}

impl RepositoryView {
    fn of(overview: RepositoryOverview) -> RepositoryView {
        RepositoryView {
            id: overview.repository.id.0,
            path: overview.path(),
            tags: count(overview.tags, "tag"),
            size: size(overview.size),
            pushed: overview.pushed_at.map(Moment::at),
        }
    }
}

fn address_of(full_path: &str) -> String {
    format!("/{full_path}/-/container_registry")
}

/// Returns what clients of the registry call this forge by.
fn host(around: &Around) -> &str {
    let base = &*around.base.0;
    base.split_once("://").map_or(base, |(_, host)| host)
}

#[derive(Template)]
#[template(path = "images.html")]
struct ImagesPage {
    around: Around,
    head: Head,
    address: String,
    host: String,
    /// What the project's own image is called, with the host before it.
    image: String,
    may_push: bool,
    repositories: Vec<RepositoryView>,
    pages: Option<Pages>,
}

/// Answers the image repositories of a project.
pub async fn list(
    access: Authorized<act::ReadContainerRepositories>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = repositories::overview(&state.forge, &access, window).await?;
    let (head, details) = Head::of(&state, &access, "images", &["Container registry"]).await?;
    let address = address_of(&head.full_path);
    let pages =
        Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| format!("{address}?page={page}"));
    let host = host(&around).to_owned();
    let page = ImagesPage {
        image: format!("{host}/{}", image_name(&details.project.full_path, "")),
        may_push: access.also::<act::PushImage>().is_ok(),
        repositories: found.map(RepositoryView::of).items,
        around: around.of(&state, access.viewer()).await?,
        head,
        address,
        host,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// A tag in a list.
struct TagView {
    name: String,
    digest: String,
    /// Its beginning.
    short: String,
    kind: String,
    size: String,
    pushed: Moment,
    author: Author,
    /// Whether there is a way to delete it here.
    deletable: bool,
    /// Whether a rule keeps it from being deleted.
    kept: bool,
}

/// Returns what people call what a tag is on.
fn kind(media_type: &str, images: i64) -> String {
    match media_type {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            format!("Multi-platform, {}", count(images, "image"))
        }
        "application/vnd.oci.image.manifest.v1+json" => "OCI image".to_owned(),
        "application/vnd.docker.distribution.manifest.v2+json" => "Docker image".to_owned(),
        other => other.to_owned(),
    }
}

fn short(digest: &str) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("", digest));
    format!("{algorithm}:{}", hex.chars().take(SHORT_DIGEST_CHARACTERS).collect::<String>())
}

impl TagView {
    fn of(tag: TagOverview, may_delete: bool) -> TagView {
        let TagOverview { pushed, kept } = tag;
        TagView {
            short: short(&pushed.digest),
            kind: kind(&pushed.media_type, pushed.images),
            size: size(pushed.total_size),
            pushed: Moment::at(pushed.pushed_at),
            author: Author::of(&pushed.author),
            deletable: may_delete && !kept,
            kept: may_delete && kept,
            name: pushed.name,
            digest: pushed.digest,
        }
    }
}

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    around: Around,
    head: Head,
    /// The address of this page.
    address: String,
    path: String,
    tags_count: String,
    size: String,
    /// What the image is called with the host before it.
    image: String,
    may_push: bool,
    may_delete: bool,
    problem: Option<String>,
    tags: Vec<TagView>,
    pages: Option<Pages>,
}

fn repository_id(path: &PathParts) -> Result<ContainerRepositoryId, PageError> {
    path_text(path, "repository_id").parse().map(ContainerRepositoryId).map_err(|_| PageError::NotFound)
}

async fn details(
    state: &AppState,
    access: &Authorized<act::ReadContainerRepositories>,
    id: ContainerRepositoryId,
) -> Result<RepositoryDetails, PageError> {
    let wanted = Wanted { tags: false, tags_count: true, size: true };
    Ok(repositories::get(&state.forge, access, &mut Reading::default(), id, wanted).await?)
}

async fn page(
    state: &AppState,
    access: &Authorized<act::ReadContainerRepositories>,
    around: Around,
    id: ContainerRepositoryId,
    problem: Option<String>,
) -> Result<ImagePage, PageError> {
    let repository = details(state, access, id).await?;
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = tags::overview(&state.forge, access, id, window).await?;
    let path = repository.path();
    let (mut head, _) = Head::of(state, access, "images", &["Container registry", &path]).await?;
    let list = address_of(&head.full_path);
    head.link_last_but_one(&list);
    let address = format!("{list}/{id}");
    let pages =
        Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| format!("{address}?page={page}"));
    let may_delete_tags = access.also::<act::DeleteContainerTag>().is_ok();
    Ok(ImagePage {
        tags_count: count(repository.tags_count.unwrap_or_default(), "tag"),
        size: size(repository.size.unwrap_or_default()),
        image: format!("{}/{path}", host(&around)),
        may_push: access.also::<act::PushImage>().is_ok(),
        may_delete: access.also::<act::AdministerContainerRepositories>().is_ok(),
        tags: found.items.into_iter().map(|tag| TagView::of(tag, may_delete_tags)).collect(),
        around: around.of(state, access.viewer()).await?,
        head,
        address,
        path,
        problem,
        pages,
    })
}

/// Answers the tags of an image repository.
pub async fn show(
    access: Authorized<act::ReadContainerRepositories>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let page = page(&state, &access, around, repository_id(&path)?, None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Asks before a repository is deleted.
pub async fn confirm_deletion(
    access: Authorized<act::AdministerContainerRepositories>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let id = repository_id(&path)?;
    let repository = details(&state, &access.also()?, id).await?;
    let back = format!("{}/{id}", address_of(&access.place().full_path));
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete {}?", repository.path()),
        text: DELETING_REPOSITORY.to_owned(),
        action: format!("{back}/delete"),
        does: "Delete repository",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a repository.
pub async fn delete(
    access: Authorized<act::AdministerContainerRepositories>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = repository_id(&path)?;
    let said = match repositories::delete(&state.forge, &access, id).await {
        Ok(()) => "The image repository was deleted.",
        // In another window it was deleted already.
        Err(Error::NotFound("Container Repository")) => "There is no such image repository any more.",
        Err(Error::Forbidden(text)) => {
            let page = page(&state, &access.also()?, around, id, Some(text)).await?;
            return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page));
        }
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of(&access.place().full_path)))
}

/// Asks before a tag is deleted.
pub async fn confirm_tag_deletion(
    access: Authorized<act::DeleteContainerTag>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let id = repository_id(&path)?;
    let (image, tag) = tags::get(&state.forge, &access.also()?, id, path_text(&path, "tag_name")).await?;
    let back = format!("{}/{id}", address_of(&access.place().full_path));
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete {image}:{}?", tag.name),
        text: DELETING_TAG.to_owned(),
        action: format!("{back}/tags/{}/delete", tag.name),
        does: "Delete tag",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a tag.
pub async fn delete_tag(
    access: Authorized<act::DeleteContainerTag>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let (id, tag) = (repository_id(&path)?, path_text(&path, "tag_name"));
    let said = match tags::delete(&state.forge, &access, id, tag).await {
        Ok(()) => format!("The tag {tag} was deleted."),
        Err(Error::NotFound("Tag")) => format!("There is no tag {tag} any more."),
        Err(Error::Forbidden(text)) => {
            let page = page(&state, &access.also()?, around, id, Some(text)).await?;
            return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page));
        }
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&format!("{}/{id}", address_of(&access.place().full_path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tag_is_on_is_said_in_words() {
        for (media_type, images, expected) in [
            ("application/vnd.oci.image.manifest.v1+json", 0, "OCI image"),
            ("application/vnd.oci.image.index.v1+json", 2, "Multi-platform, 2 images"),
            ("application/vnd.docker.distribution.manifest.list.v2+json", 1, "Multi-platform, 1 image"),
            ("application/vnd.example", 0, "application/vnd.example"),
        ] {
            assert_eq!(kind(media_type, images), expected);
        }
        assert_eq!(short(&format!("sha256:{}", "ab".repeat(32))), "sha256:abababababab");
    }
}
