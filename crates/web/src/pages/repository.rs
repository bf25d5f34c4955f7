//! The content of a repository: folders, files as they are shown, and their bytes.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::commits::{self, Commit};
use portcullis_app::files::{self, Blob, Content};
use portcullis_app::trees::{self, EntryKind, TreeEntry, TreeQuery, TreeWindow};
use portcullis_app::{Error, commits::RepositoryPath};
use portcullis_markup::{code, markdown};
use portcullis_rules::access::act;
use portcullis_rules::bot;

use super::projects::Head;
use super::words::{Moment, bytes};
use super::{Around, PageError, PageResult, Pages, html};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pagination::encoded_path;

/// How many entries of a folder one page shows.
pub(super) const ENTRIES: i64 = 500;

/// How many parts of an address may be the name of a branch or a tag.
const MAX_REVISION_PARTS: usize = 20;

/// The longest file that is shown as text, in bytes.
const MAX_SHOWN_BYTES: usize = code::MAX_BYTES;

/// How much of a file is looked at to tell text from other bytes.
const LOOKED_AT_BYTES: usize = 8000;

/// The names that a file with an introduction has, the first of them first, whatever their case.
const READMES: [&str; 5] = ["readme.md", "readme.markdown", "readme.txt", "readme", "readme.rst"];

/// Where in a repository a page is.
pub(super) struct Spot {
    /// What the address calls the commit.
    pub revision: String,
    pub commit: Commit,
    /// The path, without slashes at its ends; empty at the root.
    pub path: String,
}

impl Spot {
    /// Finds what an address such as `feature/a/src/lib.rs` is about: its beginning is the name of a branch, a tag or a commit,
    /// the shortest that there is, and the rest is a path. An empty address is the root of the default branch.
    pub(super) async fn of(
        state: &AppState,
        access: &Authorized<act::ReadCode>,
        address: &str,
        default: &str,
    ) -> Result<Spot, PageError> {
        let address = if address.is_empty() { default } else { address };
        let parts: Vec<&str> = address.split('/').filter(|part| !part.is_empty()).collect();
        for split in 1..=parts.len().min(MAX_REVISION_PARTS) {
            let revision = parts[..split].join("/");
            match commits::get(&state.forge, access, &revision).await {
                Ok(commit) => return Ok(Spot { revision, commit, path: parts[split..].join("/") }),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PageError::NotFound)
    }

    /// Returns the address of a page about this revision, such as `/g/app/-/tree/main/src`.
    pub(super) fn address(&self, project: &str, page: &str, path: &str) -> String {
        let end = if path.is_empty() { String::new() } else { format!("/{}", encoded_path(path)) };
        format!("/{project}/-/{page}/{}{end}", encoded_path(&self.revision))
    }

    fn folder(&self) -> Result<RepositoryPath, PageError> {
        RepositoryPath::parse(&self.path).ok_or(PageError::NotFound)
    }

    /// Returns the names on the way to the path, each with its address; the last has none.
    pub(super) fn trail(&self, project: &str) -> Vec<(String, String)> {
        let mut trail = vec![(self.revision.clone(), self.address(project, "tree", ""))];
        let parts: Vec<&str> = self.path.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            trail.push(((*part).to_owned(), self.address(project, "tree", &parts[..=index].join("/"))));
        }
        if let Some(last) = trail.last_mut() {
            last.1.clear();
        }
        trail
    }
}

/// A commit as it stands above what it holds, and in lists.
pub(super) struct CommitLine {
    pub title: String,
    pub short: String,
    pub address: String,
    pub author: String,
    /// Whether it says that a bot wrote it.
    pub bot: bool,
    pub when: Moment,
}

impl CommitLine {
    pub(super) fn of(commit: &Commit, project: &str) -> CommitLine {
        let title = commit.title();
        CommitLine {
            title: if title.is_empty() { "(no message)".to_owned() } else { title.to_owned() },
            short: commit.id.as_str()[..8].to_owned(),
            address: format!("/{project}/-/commit/{}", commit.id),
            author: commit.author.name.clone(),
            bot: bot::is_email_of_bot(&commit.author.email),
            when: Moment::at(commit.committer.at),
        }
    }
}

/// An entry of a folder.
pub(super) struct EntryLine {
    pub name: String,
    pub address: String,
    /// The symbol.
    pub icon: &'static str,
    /// What it is, in words.
    pub kind: &'static str,
}

/// What a folder shows.
pub(super) struct Folder {
    pub entries: Vec<EntryLine>,
    pub commit: CommitLine,
    /// The address of the folder above, unless it is the root.
    pub above: Option<String>,
    pub readme: Option<Readme>,
}

/// A text that introduces a folder.
pub(super) struct Readme {
    pub name: String,
    pub address: String,
    /// Clean HTML.
    pub html: String,
}

async fn entries(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    spot: &Spot,
    number: i64,
) -> Result<trees::TreePage, PageError> {
    let query = TreeQuery {
        revision: spot.commit.id.to_string(),
        path: spot.folder()?,
        recursive: false,
        window: TreeWindow::Skip(u64::try_from((number - 1) * ENTRIES).unwrap_or(0)),
        limit: usize::try_from(ENTRIES).unwrap_or(0),
    };
    Ok(trees::list(&state.forge, access, query).await?)
}

/// Returns what a folder shows, and how many entries it has.
pub(super) async fn folder(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    spot: &Spot,
    project: &str,
    number: i64,
) -> Result<(Folder, i64), PageError> {
    let page = entries(state, access, spot, number).await?;
    let lines = page.entries.iter().map(|entry| {
        let (page, icon, kind) = match entry.kind {
            EntryKind::Tree => ("tree", "i-folder", "Folder"),
            EntryKind::Blob => ("blob", "i-file", "File"),
            EntryKind::Submodule => ("", "i-gate", "Another repository"),
        };
        let address = if page.is_empty() { String::new() } else { spot.address(project, page, &entry.path) };
        EntryLine { name: entry.name().to_owned(), address, icon, kind }
    });
    let readme = match introduction(&page.entries) {
        Some(entry) => readme(state, access, spot, project, entry).await?,
        None => None,
    };
    let above = (!spot.path.is_empty())
        .then(|| spot.address(project, "tree", spot.path.rsplit_once('/').map_or("", |(above, _)| above)));
    let folder =
        Folder { entries: lines.collect(), commit: CommitLine::of(&spot.commit, project), above, readme };
    Ok((folder, i64::try_from(page.total).unwrap_or(i64::MAX)))
}

fn introduction(entries: &[TreeEntry]) -> Option<&TreeEntry> {
    READMES.iter().find_map(|wanted| {
        entries
            .iter()
            .find(|entry| entry.kind == EntryKind::Blob && entry.name().eq_ignore_ascii_case(wanted))
    })
}

async fn readme(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    spot: &Spot,
    project: &str,
    entry: &TreeEntry,
) -> Result<Option<Readme>, PageError> {
    let access = access.also::<act::ReadFiles>()?;
    let file = files::get(&state.forge, &access, spot.commit.id.as_str(), &entry.path).await?;
    let Some(text) = shown_text(&file.blob) else { return Ok(None) };
    let html = prose(spot, project, &entry.path, text).await?;
    Ok(Some(Readme {
        name: entry.name().to_owned(),
        address: spot.address(project, "blob", &entry.path),
        html,
    }))
}

/// Returns the content of a file that is text and short enough to be shown.
fn shown_text(blob: &Blob) -> Option<String> {
    let content = blob.content.as_ref().filter(|content| content.len() <= MAX_SHOWN_BYTES)?;
    is_text(content).then(|| String::from_utf8_lossy(content).into_owned())
}

fn is_text(content: &[u8]) -> bool {
    !content[..content.len().min(LOOKED_AT_BYTES)].contains(&0)
}

fn is_markdown(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["md", "markdown"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Returns a text as HTML: Markdown is rendered, anything else stands as it is.
async fn prose(spot: &Spot, project: &str, path: &str, text: String) -> Result<String, PageError> {
    let (files, images) = (spot.address(project, "blob", ""), spot.address(project, "raw", ""));
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| encoded_path(folder));
    let markdown = is_markdown(path);
    aside(move || match markdown {
        true => markdown::render(&text, markdown::Links { files: &files, images: &images, folder: &folder }),
        false => {
            let mut html = String::from("<pre>");
            portcullis_markup::escape(&text, &mut html);
            html + "</pre>"
        }
    })
    .await
}

/// Does work that takes the processor for a while where nobody waits behind it.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PageError::Internal(error.to_string()))
}

#[derive(Template)]
#[template(path = "tree.html")]
struct TreePage {
    around: Around,
    head: Head,
    trail: Vec<(String, String)>,
    folder: Folder,
    history: String,
    pages: Option<Pages>,
}

/// Answers a folder.
pub async fn tree(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "files", &["Files"]).await?;
    let project = &details.project;
    let spot = Spot::of(&state, &access, path_text(&path, "rest"), &project.default_branch).await?;
    let number = around.page("page");
    let (folder, total) = folder(&state, &access, &spot, &project.full_path, number).await?;
    let pages = Pages::of(number, ENTRIES, total, |number| {
        format!("{}?page={number}", spot.address(&project.full_path, "tree", &spot.path))
    });
    let page = TreePage {
        trail: spot.trail(&project.full_path),
        history: spot.address(&project.full_path, "commits", &spot.path),
        around: around.of(&state, access.viewer()).await?,
        head,
        folder,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

/// How a file is shown.
enum Shown {
    /// Lines of code, as clean HTML.
    Lines(Vec<String>),
    /// A text, as clean HTML.
    Prose(String),
    /// A picture.
    Picture,
    /// Not at all, for this reason.
    Nothing(&'static str),
}

#[derive(Template)]
#[template(path = "blob.html")]
struct BlobPage {
    around: Around,
    head: Head,
    trail: Vec<(String, String)>,
    name: String,
    size: String,
    raw: String,
    history: String,
    /// The address of the same file as it is written, when it is rendered, or the other way round.
    other: Option<(&'static str, String)>,
    shown: Shown,
}

/// Answers a file as people read it.
pub async fn blob(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "files", &["Files"]).await?;
    let project = details.project.full_path.as_str();
    let spot = Spot::of(&state, &access, path_text(&path, "rest"), &details.project.default_branch).await?;
    let reading = access.also::<act::ReadFiles>()?;
    let file = files::get(&state.forge, &reading, spot.commit.id.as_str(), &spot.path).await?;
    let plain = around.query("plain") == "1";
    let address = spot.address(project, "blob", &spot.path);
    let mut other = None;
    let shown = match shown_text(&file.blob) {
        Some(text) if is_markdown(&spot.path) && !plain => {
            other = Some(("Source", format!("{address}?plain=1")));
            Shown::Prose(prose(&spot, project, &spot.path, text).await?)
        }
        Some(text) if text.is_empty() => Shown::Nothing("The file is empty."),
        Some(text) => {
            if is_markdown(&spot.path) {
                other = Some(("Rendered", address));
            }
            let name = spot.path.clone();
            Shown::Lines(aside(move || code::lines(&name, &text)).await?)
        }
        None if file.blob.content.as_deref().and_then(picture).is_some() => Shown::Picture,
        None if file.blob.content.as_deref().is_none_or(is_text) => {
            Shown::Nothing("The file is too large to be shown.")
        }
        None => Shown::Nothing("The file is no text."),
    };
    let page = BlobPage {
        trail: spot.trail(project),
        name: file.entry.name().to_owned(),
        size: bytes(file.blob.size),
        raw: spot.address(project, "raw", &spot.path),
        history: spot.address(project, "commits", &spot.path),
        around: around.of(&state, access.viewer()).await?,
        head,
        other,
        shown,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Returns the kind of a picture that browsers show without running anything in it.
fn picture(content: &[u8]) -> Option<&'static str> {
    match content {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Answers the bytes of a file: text as text, pictures as such, and anything else to be saved.
pub async fn raw(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
) -> PageResult {
    let spot = Spot::of(&state, &access, path_text(&path, "rest"), "").await?;
    let access = access.also::<act::ReadFiles>()?;
    let file = files::get(&state.forge, &access, spot.commit.id.as_str(), &spot.path).await?;
    let (size, content) = (file.blob.size, file.blob.content.as_deref());
    let kind = match content {
        Some(content) => picture(content).or(is_text(content).then_some("text/plain; charset=utf-8")),
        None => None,
    };
    let disposition = if kind.is_some() { "inline" } else { "attachment" };
    let name = crate::pagination::encoded(file.entry.name());
    let body = match files::content(&state.forge, &access, file.blob).await? {
        Content::Whole(bytes) => Body::from(bytes),
        Content::Stream(exchange) => Body::from_stream(exchange.body),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.unwrap_or("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    if let Ok(value) = HeaderValue::from_str(&format!("{disposition}; filename*=UTF-8''{name}")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_that_run_nothing_are_shown() {
        assert_eq!(picture(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(picture(b"GIF89a"), Some("image/gif"));
        assert_eq!(picture(b"RIFF1234WEBPVP8"), Some("image/webp"));
        for other in [&b"<svg xmlns=\"http://www.w3.org/2000/svg\">"[..], b"RIFF1234WAVE", b"", b"%PDF-"] {
            assert_eq!(picture(other), None);
        }
    }

    #[test]
    fn markdown_is_known_by_its_name() {
        assert!(is_markdown("docs/a.MD") && is_markdown("README.markdown"));
        assert!(!is_markdown("md") && !is_markdown("a.mdx"));
    }
}
