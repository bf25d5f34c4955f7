//! What a merge request brings: its commits, and the files they change.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::Error;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::{self, DivergedCommits, changes};
use portcullis_app::records::select::Window;
use portcullis_rules::access::act;

use super::{Top, top};
use crate::AppState;
use crate::api::PathParts;
use crate::pages::discussions::{iid, remarks};
use crate::pages::history::ChangedFile;
use crate::pages::projects::Head;
use crate::pages::repository::CommitLine;
use crate::pages::{Around, PageError, PageResult, Pages, html};

/// How many commits and changed files one page shows.
const COMMITS: i64 = 40;
const FILES: i64 = 50;

#[derive(Template)]
#[template(path = "merge_request_commits.html")]
struct CommitsPage {
    around: Around,
    head: Head,
    top: Top,
    /// Nothing when the commits were pushed over and are gone.
    commits: Option<Vec<CommitLine>>,
    pages: Option<Pages>,
}

/// Returns what is there; what was pushed over and pruned is nothing.
fn if_there<T>(found: Result<T, Error>) -> Result<Option<T>, PageError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound("Commit")) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Answers the commits of a merge request, newest first.
pub async fn commits(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let iid = iid(&path)?;
    let alone = merge_requests::get(&state.forge, &access, iid, DivergedCommits::Ignored).await?;
    let number = around.page("page");
    let window = Window { limit: COMMITS, offset: (number - 1) * COMMITS };
    let found = if_there(changes::commits(&state.forge, &access, iid, window).await)?;
    let (head, top, _) = top(&state, &access, &alone.details.merge_request, "commits").await?;
    let total = found.as_ref().map_or(0, |found| found.total.unwrap_or(10_000));
    let page = CommitsPage {
        pages: Pages::of(number, COMMITS, total, |page| format!("{}/commits?page={page}", top.address)),
        commits: found
            .map(|found| found.items.iter().map(|commit| CommitLine::of(commit, &head.full_path)).collect()),
        around: around.of(&state, access.viewer()).await?,
        head,
        top,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "merge_request_diffs.html")]
struct DiffsPage {
    around: Around,
    head: Head,
    top: Top,
    /// Nothing when the commits were pushed over and are gone.
    files: Option<Vec<ChangedFile>>,
    total: i64,
    pages: Option<Pages>,
}

/// Answers what a merge request changes, with what was said about its lines.
pub async fn diffs(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let iid = iid(&path)?;
    let alone = merge_requests::get(&state.forge, &access, iid, DivergedCommits::Ignored).await?;
    let number = around.page("page");
    let window = Window { limit: FILES, offset: (number - 1) * FILES };
    let found = if_there(changes::diffs(&state.forge, &access, iid, window).await)?;
    let (head, top, branch) = top(&state, &access, &alone.details.merge_request, "diffs").await?;
    let mut remarks = remarks(&state, &access, &head, &branch, iid).await?;
    let total = found.as_ref().and_then(|found| found.total).unwrap_or(0);
    let heads = &alone.details.merge_request.heads;
    let may_remark = access.also::<act::CreateMergeRequestNote>().is_ok() && heads.base.is_some();
    let form = format!("{}/discussions/new", top.address);
    let with_remarks = |diff| {
        let mut file = ChangedFile::of(diff);
        file.take(&mut remarks);
        if may_remark {
            file.open_to_remarks(&form);
        }
        file
    };
    let page = DiffsPage {
        pages: Pages::of(number, FILES, total, |page| format!("{}/diffs?page={page}", top.address)),
        files: found.map(|found| found.items.into_iter().map(with_remarks).collect()),
        total,
        around: around.of(&state, access.viewer()).await?,
        head,
        top,
    };
    Ok(html(StatusCode::OK, &page))
}
