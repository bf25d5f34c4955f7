//! Merge requests: their list, each with its discussions, what it brings, and whether it can be merged; the forms to open,
//! plan, approve and merge them.

pub mod content;
pub mod deciding;
pub mod deletion;
pub mod overview;
pub mod writing;

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::standing::is_draft;
use portcullis_app::merge_requests::{self, DivergedCommits, MergeRequestAlone, MergeRequestDetails, Scope};
use portcullis_app::records::merge_requests::{
    MergeRequest, MergeRequestFilter, MergeRequestOrder, MergeRequestState, MergeStatus,
};
use portcullis_app::records::select::Window;
use portcullis_rules::access::{Act, act, on};

use super::author::Author;
use super::discussions::iid;
use super::projects::Head;
use super::tracked::{Asked, Empty, ListPage, PER_PAGE, Row, Tab, count, known_labels};
use super::words::Moment;
use super::{Around, PageError, PageResult, Pages, html};
use crate::AppState;
use crate::api::PathParts;
use crate::pagination::encoded_path;

/// The states a list can be narrowed to: what is sent, and what is read.
const STATES: [(&str, &str); 4] =
    [("opened", "Open"), ("merged", "Merged"), ("closed", "Closed"), ("all", "All")];

fn list_of(full_path: &str) -> String {
    format!("/{full_path}/-/merge_requests")
}

fn row(details: MergeRequestDetails, list: &str) -> Row {
    let found = details.merge_request;
    let state = match found.state() {
        MergeRequestState::Opened => None,
        MergeRequestState::Closed => Some(("Closed", "")),
        MergeRequestState::Merged => Some(("Merged", "accent")),
    };
    let open = found.state() == MergeRequestState::Opened;
    let conflict = (open && details.standing == "conflict").then_some(("Conflict", "warn"));
    let draft = (open && is_draft(&found.title)).then_some(("Draft", ""));
    Row {
        address: format!("{list}/{}", found.iid),
        reference: format!("!{}", found.iid),
        title: found.title,
        badges: [state, draft, conflict].into_iter().flatten().collect(),
        labels: details.labels.into_iter().map(|label| label.title).collect(),
        author: Author::of(&found.author),
        opened: Moment::at(found.created_at),
        assignees: details.assignees.iter().map(Author::of).collect(),
        milestone: found.milestone.map(|milestone| milestone.title),
        due: None,
        branches: Some((found.source_branch, found.target_branch)),
        comments: found.notes,
    }
}

/// Answers the merge requests of a project.
pub async fn list(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, project) = Head::of(&state, &access, "merge_requests", &["Merge requests"]).await?;
    let asked = Asked::of(&around, &STATES);
    let address = list_of(&head.full_path);
    let own = access.viewer().identity().map(|identity| identity.user);
    let (order, ascending) = match asked.sort {
        "created_asc" => (MergeRequestOrder::Created, true),
        "updated_desc" => (MergeRequestOrder::Updated, false),
        "title_asc" => (MergeRequestOrder::Title, true),
        _ => (MergeRequestOrder::Created, false),
    };
    let filter = MergeRequestFilter {
        search: asked.search(),
        labels: asked.labels(),
        author_username: asked.author(),
        assignee: asked.assignee(own),
        order,
        ascending,
        ..MergeRequestFilter::default()
    };
    let (mut tabs, mut shown) = (Vec::new(), None);
    for (word, label) in STATES {
        let current = word == asked.state;
        let narrowed = MergeRequestFilter { state: state_of(word), ..filter.clone() };
        let window = if current { asked.window() } else { Window { limit: 1, offset: 0 } };
        let found = merge_requests::list(&state.forge, &access, Scope::All, narrowed, window).await?;
        let total = count(found.total);
        tabs.push(Tab { label, address: asked.address(&address, word, 1), count: total, current });
        shown = if current { Some(found) } else { shown };
    }
    let shown = shown.ok_or(PageError::NotFound)?;
    let pages = Pages::of(asked.page, PER_PAGE, shown.total.unwrap_or(10_000), |page| {
        asked.address(&address, asked.state, page)
    });
    let may_open = access.also::<act::CreateMergeRequest>().is_ok() && access.also::<act::ReadCode>().is_ok();
    let begin = (may_open && !project.project.empty).then(|| ("New merge request", format!("{address}/new")));
    let empty = match (asked.is_narrowed(), asked.state) {
        (true, _) => Empty {
            heading: "Nothing found",
            text: "No merge request here is like that.",
            begin: Some(("Show all", format!("{address}?state=all"))),
        },
        (false, "merged" | "closed") => {
            Empty { heading: "There are none", text: "None is in this state yet.", begin: None }
        }
        _ => Empty {
            heading: "No open merge requests",
            text: "Push a branch, then ask for it to be merged here. Bots do the same with a token.",
            begin: begin.as_ref().map(|(_, to)| ("Open a merge request", to.clone())),
        },
    };
    let page = ListPage {
        heading: "Merge requests",
        noun: "merge requests",
        labels: asked.label_choices(&known_labels(&state, &access).await?),
        assignees: asked.assignees(own.is_some()),
        sorts: asked.sorts(),
        rows: shown.items.into_iter().map(|details| row(details, &address)).collect(),
        around: around.of(&state, access.viewer()).await?,
        head,
        address,
        begin,
        tabs,
        asked,
        empty,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

fn state_of(word: &str) -> Option<MergeRequestState> {
    match word {
        "opened" => Some(MergeRequestState::Opened),
        "merged" => Some(MergeRequestState::Merged),
        "closed" => Some(MergeRequestState::Closed),
        _ => None,
    }
}

/// What stands at the head of every page of a merge request.
struct Top {
    iid: i64,
    address: String,
    title: String,
    state: MergeRequestState,
    draft: bool,
    author: Author,
    opened: Moment,
    source: String,
    /// The address of the source branch, while it is there.
    source_address: Option<String>,
    target: String,
    target_address: String,
    /// Which of the pages it is.
    at: &'static str,
    shows_code: bool,
    may_edit: bool,
    may_delete: bool,
}

impl Top {
    fn is_open(&self) -> bool {
        self.state == MergeRequestState::Opened
    }

    fn is_merged(&self) -> bool {
        self.state == MergeRequestState::Merged
    }
}

/// Returns whether the caller may change what a merge request says and whether it is open: their own, or any.
fn may_change<A: Act<On = on::Project>>(access: &Authorized<A>, found: &MergeRequest) -> bool {
    let own = access.viewer().identity().is_some_and(|identity| identity.user == found.author.id);
    access.also::<act::UpdateMergeRequest>().is_ok()
        || (own && access.also::<act::UpdateOwnMergeRequest>().is_ok())
}

/// Returns the heads of a page of a merge request, and the default branch.
async fn top(
    state: &AppState,
    access: &Authorized<act::ReadMergeRequests>,
    found: &MergeRequest,
    at: &'static str,
) -> Result<(Head, Top, String), PageError> {
    let reference = format!("!{}", found.iid);
    let (mut head, project) =
        Head::of(state, access, "merge_requests", &["Merge requests", &reference]).await?;
    let list = list_of(&head.full_path);
    head.link_last_but_one(&list);
    let shows_code = access.also::<act::ReadCode>().is_ok();
    let tree = |branch: &str| format!("/{}/-/tree/{}", head.full_path, encoded_path(branch));
    let there = shows_code
        && found.merge_status != MergeStatus::BranchGone
        && found.state() == MergeRequestState::Opened;
    let top = Top {
        iid: found.iid,
        address: format!("{list}/{}", found.iid),
        title: found.title.clone(),
        state: found.state(),
        draft: is_draft(&found.title),
        author: Author::of(&found.author),
        opened: Moment::at(found.created_at),
        source_address: there.then(|| tree(&found.source_branch)),
        source: found.source_branch.clone(),
        target_address: tree(&found.target_branch),
        target: found.target_branch.clone(),
        at,
        shows_code,
        may_edit: may_change(access, found),
        may_delete: access.also::<act::DeleteMergeRequest>().is_ok(),
    };
    Ok((head, top, project.project.default_branch))
}

/// Returns a merge request that the caller may change, or the answer that there is none.
async fn changeable(
    state: &AppState,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    path: &PathParts,
) -> Result<MergeRequestAlone, PageError> {
    let reading = access.also::<act::ReadMergeRequests>()?;
    let alone = merge_requests::get(&state.forge, &reading, iid(path)?, DivergedCommits::Ignored).await?;
    if may_change(access, &alone.details.merge_request) { Ok(alone) } else { Err(PageError::NotFound) }
}
