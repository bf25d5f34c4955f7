//! The history of a repository: lists of commits, and one with what it changed.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::commits::{self, CommitFilter, LogStart, RepositoryPath};
use portcullis_app::comparison::{self, FileDiff};
use portcullis_app::records::select::Window;
use portcullis_rules::access::act;

use super::author::Author;
use super::projects::Head;
use super::repository::{CommitLine, Spot};
use super::words::Moment;
use super::{Around, PageError, PageResult, Pages, html};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pagination::encoded;

/// How many commits one page shows.
const COMMITS: i64 = 40;

/// How many changed files one page shows.
const FILES: i64 = 50;

#[derive(Template)]
#[template(path = "commits.html")]
struct CommitsPage {
    around: Around,
    head: Head,
    trail: Vec<(String, String)>,
    commits: Vec<CommitLine>,
    number: i64,
    previous: Option<String>,
    next: Option<String>,
}

/// Answers the commits of a branch, or those that changed a path.
pub async fn list(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "commits", &["Commits"]).await?;
    let project = details.project.full_path.as_str();
    let spot = Spot::of(&state, &access, path_text(&path, "rest"), &details.project.default_branch).await?;
    let path = match spot.path.as_str() {
        "" => None,
        path => Some(RepositoryPath::parse(path).ok_or(PageError::NotFound)?),
    };
    let filter = CommitFilter {
        start: LogStart::Revision(spot.commit.id.to_string()),
        path,
        since: None,
        until: None,
        author: None,
        message: None,
        first_parent: false,
        topological: false,
    };
    let number = around.page("page");
    let window = Window { limit: COMMITS, offset: (number - 1) * COMMITS };
    let found = commits::list(&state.forge, &access, filter, window).await?;
    let address = |number: i64| format!("{}?page={number}", spot.address(project, "commits", &spot.path));
    let page = CommitsPage {
        trail: spot.trail(project),
        commits: found.commits.iter().map(|commit| CommitLine::of(commit, project)).collect(),
        number,
        previous: (number > 1).then(|| address(number - 1)),
        next: found.more.then(|| address(number + 1)),
        around: around.of(&state, access.viewer()).await?,
        head,
    };
    Ok(html(StatusCode::OK, &page))
}

/// A line of a difference.
pub(super) struct DiffLine<'a> {
    /// The class that colours it: `add`, `del`, `hunk` or nothing.
    pub class: &'static str,
    /// Its number before, and after.
    pub old: Option<u32>,
    pub new: Option<u32>,
    pub text: &'a str,
}

/// A line that a remark is about, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineOf {
    /// It was there before.
    Before(u32),
    /// It is there after.
    After(u32),
}

/// What was said about a line.
pub(super) struct Remark {
    /// The path of the file, on the side of the line.
    pub file: String,
    pub line: LineOf,
    pub author: Author,
    /// Clean HTML.
    pub html: String,
    /// How many answers there are.
    pub answers: usize,
    pub resolved: bool,
    /// Where it is answered.
    pub address: String,
}

/// A changed file.
pub(super) struct ChangedFile {
    pub name: String,
    /// What happened to it, in a word; nothing when it was changed.
    pub what: Option<&'static str>,
    /// Why its difference is not shown.
    pub unshown: Option<&'static str>,
    patch: String,
    old_path: String,
    new_path: String,
    /// What was said about its lines.
    remarks: Vec<Remark>,
    /// Where something is said about them, for who may.
    pub remark_address: Option<String>,
}

impl ChangedFile {
    pub(super) fn of(diff: FileDiff) -> ChangedFile {
        let what = match (diff.is_new, diff.is_deleted, diff.is_renamed) {
            (true, _, _) => Some("New"),
            (_, true, _) => Some("Deleted"),
            (_, _, true) => Some("Renamed"),
            _ => None,
        };
        let unshown = match (diff.is_too_large || diff.is_collapsed, diff.patch.starts_with("@@")) {
            (true, _) => Some("The difference is too large to be shown."),
            (false, true) => None,
            (false, false) if diff.patch.is_empty() => Some("The content is the same."),
            (false, false) => Some("The file is no text."),
        };
        let name = match diff.old_path == diff.new_path {
            true => diff.new_path.clone(),
            false => format!("{} → {}", diff.old_path, diff.new_path),
        };
        let FileDiff { old_path, new_path, patch, .. } = diff;
        ChangedFile {
            name,
            what,
            unshown,
            patch,
            old_path,
            new_path,
            remarks: Vec::new(),
            remark_address: None,
        }
    }

    /// Takes those of the remarks that are about this file.
    pub(super) fn take(&mut self, remarks: &mut Vec<Remark>) {
        let own = |remark: &mut Remark| match remark.line {
            LineOf::Before(_) => remark.file == self.old_path,
            LineOf::After(_) => remark.file == self.new_path,
        };
        self.remarks.extend(remarks.extract_if(.., own));
    }

    /// Lets something be said about its lines, with a form at this address.
    pub(super) fn open_to_remarks(&mut self, form: &str) {
        if self.unshown.is_none() {
            let (file, before) = (encoded(&self.new_path), encoded(&self.old_path));
            self.remark_address = Some(format!("{form}?file={file}&old_path={before}"));
        }
    }

    /// Returns what was said about a line.
    pub(super) fn remarks_at<'a>(&'a self, line: &DiffLine<'_>) -> Vec<&'a Remark> {
        let here = |remark: &&Remark| match remark.line {
            LineOf::Before(number) => line.old == Some(number),
            LineOf::After(number) => line.new == Some(number),
        };
        self.remarks.iter().filter(here).collect()
    }

    pub(super) fn lines(&self) -> Vec<DiffLine<'_>> {
        lines(&self.patch)
    }
}

/// Returns the lines of a difference with their numbers, without the sign that each begins with.
fn lines(patch: &str) -> Vec<DiffLine<'_>> {
    let (mut old, mut new) = (0, 0);
    let take = |counter: &mut u32| {
        let number = *counter;
        *counter = counter.saturating_add(1);
        Some(number)
    };
    patch
        .lines()
        .map(|line| {
            if let Some(numbers) = line.strip_prefix("@@ -") {
                (old, new) = beginnings(numbers).unwrap_or((old, new));
                return DiffLine { class: "hunk", old: None, new: None, text: line };
            }
            match line.as_bytes().first() {
                Some(b'+') => DiffLine { class: "add", old: None, new: take(&mut new), text: &line[1..] },
                Some(b'-') => DiffLine { class: "del", old: take(&mut old), new: None, text: &line[1..] },
                Some(b'\\') => DiffLine { class: "hunk", old: None, new: None, text: line },
                _ => {
                    let text = line.strip_prefix(' ').unwrap_or(line);
                    DiffLine { class: "", old: take(&mut old), new: take(&mut new), text }
                }
            }
        })
        .collect()
}

/// Reads where a hunk begins before and after, from `12,3 +14,5 @@ …`.
fn beginnings(numbers: &str) -> Option<(u32, u32)> {
    let (old, rest) = numbers.split_once(" +")?;
    let first = |text: &str| text.split([',', ' ']).next().and_then(|number| number.parse().ok());
    Some((first(old)?, first(rest)?))
}

#[derive(Template)]
#[template(path = "commit.html")]
struct CommitPage {
    around: Around,
    head: Head,
    title: String,
    /// The message without its first line.
    message: String,
    id: String,
    author: (String, String),
    authored: Moment,
    /// Who made the commit, when that is somebody else.
    committer: Option<String>,
    parents: Vec<(String, String)>,
    browse: String,
    files: Vec<ChangedFile>,
    total: i64,
    pages: Option<Pages>,
}

/// Answers a commit with what it changed.
pub async fn commit(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    path: PathParts,
    around: Around,
) -> PageResult {
    let (head, details) = Head::of(&state, &access, "commits", &["Commit"]).await?;
    let project = details.project.full_path.as_str();
    let commit = commits::get(&state.forge, &access, path_text(&path, "sha")).await?;
    let number = around.page("page");
    let window = Window { limit: FILES, offset: (number - 1) * FILES };
    let changes = comparison::changes(&state.forge, &access, commit.id.as_str(), window).await?;
    let total = changes.total.unwrap_or(0);
    let pages =
        Pages::of(number, FILES, total, |number| format!("/{project}/-/commit/{}?page={number}", commit.id));
    let line = CommitLine::of(&commit, project);
    let message = commit.message.trim().split_once('\n').map_or("", |(_, rest)| rest).trim();
    let parents = commit.parents.iter().map(|id| {
        let id = id.as_str();
        (id[..8].to_owned(), format!("/{project}/-/commit/{id}"))
    });
    let page = CommitPage {
        title: line.title,
        message: message.to_owned(),
        id: commit.id.to_string(),
        author: (commit.author.name.clone(), commit.author.email.clone()),
        authored: Moment::at(commit.author.at),
        committer: (commit.committer.email != commit.author.email).then(|| commit.committer.name.clone()),
        parents: parents.collect(),
        browse: format!("/{project}/-/tree/{}", commit.id),
        files: changes.items.into_iter().map(ChangedFile::of).collect(),
        total,
        pages,
        around: around.of(&state, access.viewer()).await?,
        head,
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_difference_have_their_numbers() {
        let patch =
            "@@ -1,2 +1,3 @@ fn a\n one\n-two\n+2\n+3\n\\ No newline at end of file\n@@ -10 +12 @@\n-ten\n";
        let lines = lines(patch);
        let shown: Vec<_> = lines.iter().map(|line| (line.class, line.old, line.new, line.text)).collect();
        assert_eq!(
            shown,
            [
                ("hunk", None, None, "@@ -1,2 +1,3 @@ fn a"),
                ("", Some(1), Some(1), "one"),
                ("del", Some(2), None, "two"),
                ("add", None, Some(2), "2"),
                ("add", None, Some(3), "3"),
                ("hunk", None, None, "\\ No newline at end of file"),
                ("hunk", None, None, "@@ -10 +12 @@"),
                ("del", Some(10), None, "ten"),
            ]
        );
    }
}
