//! Merge requests: their list, each with its discussions, what it brings, and whether it can be merged; the forms to open,
//! plan, approve and merge them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::approvals;
use portcullis_app::merge_requests::auto_merge;
use portcullis_app::merge_requests::changing::{self, MergeRequestChanges, StateEvent};
use portcullis_app::merge_requests::merging::{self, MergeOptions, When};
use portcullis_app::merge_requests::opening::{self, NewMergeRequestRequest};
use portcullis_app::merge_requests::standing::is_draft;
use portcullis_app::merge_requests::{
    self, DivergedCommits, MergeRequestAlone, MergeRequestDetails, Scope, changes, rebase, relations,
};
use portcullis_app::noteables::OnMergeRequest;
use portcullis_app::records::merge_requests::{
    MergeRequest, MergeRequestFilter, MergeRequestOrder, MergeRequestState, MergeStatus,
};
use portcullis_app::records::select::Window;
use portcullis_app::repository_branches::{self, BranchOrder};
use portcullis_app::search::NameFilter;
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::merging::{MergeMethod, SquashOption};

use super::author::Author;
use super::discussions::{About, Activity, Again, activity, iid, remarks};
use super::fields::{Choice, Problems, SelectField, TextArea};
use super::form::Form;
use super::history::ChangedFile;
use super::projects::Head;
use super::repository::CommitLine;
use super::tracked::{
    Asked, CHANGED_MEANWHILE, Empty, Facts, FormPage, ListPage, PER_PAGE, Plan, PlanOf, Row, SENT_BEFORE,
    Switch, Tab, Typed, Wrong, count, known_labels, labels_to, locked, mark, prose, sentence, text_of,
    words_of,
};
use super::words::Moment;
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::PathParts;
use crate::pagination::encoded_path;

/// The states a list can be narrowed to: what is sent, and what is read.
const STATES: [(&str, &str); 4] =
    [("opened", "Open"), ("merged", "Merged"), ("closed", "Closed"), ("all", "All")];

/// How many branches there are to choose from: those with the newest commits.
const BRANCHES: i64 = 200;

/// How many commits, changed files and closed issues one page shows.
const COMMITS: i64 = 40;
const FILES: i64 = 50;
const ISSUES: i64 = 50;

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

/// Whether a merge request can be merged, in words.
struct Standing {
    /// The class of the note, and its symbol.
    class: &'static str,
    icon: &'static str,
    says: String,
    /// Commands that help, to be copied.
    commands: Option<String>,
}

/// Returns a word as a shell takes it: a branch may be named with anything that means something to a shell.
fn shell_word(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    match word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn standing(details: &MergeRequestDetails) -> Standing {
    let found = &details.merge_request;
    let (source, target) = (&found.source_branch, &found.target_branch);
    let note = |class, icon, says: String| Standing { class, icon, says, commands: None };
    let waits = |says: &str| note("", "i-clock", says.to_owned());
    let warns = |says: String| note("warn", "i-alert", says);
    match details.standing {
        "mergeable" => note("good", "i-check", "It can be merged.".to_owned()),
        "unchecked" => {
            waits("It is not known yet whether it can be merged. Load the page again in a moment.")
        }
        "draft_status" => {
            waits("It is a draft. Take “Draft:” out of its title when it is ready to be merged.")
        }
        "commits_status" if found.merge_status == MergeStatus::BranchGone => {
            warns(format!("It cannot be merged: {source} or {target} is no longer there."))
        }
        "commits_status" => Standing {
            commands: Some(format!(
                "git switch {source}\ngit commit\ngit push origin {source}",
                source = shell_word(source)
            )),
            ..note(
                "",
                "i-branch",
                format!("There is nothing to merge: {source} has no commit that {target} lacks."),
            )
        },
        "discussions_not_resolved" => waits("It can be merged when every discussion is resolved."),
        "ci_still_running" => {
            waits("It can be merged when the statuses of its last commit are good. Some of them still run.")
        }
        "ci_must_pass" => {
            warns("It can be merged when the statuses of its last commit are good. They are not.".to_owned())
        }
        "conflict" => Standing {
            commands: Some(format!(
                "git fetch origin\ngit switch {source}\ngit merge {from}\ngit push origin {source}",
                source = shell_word(source),
                from = shell_word(&format!("origin/{target}")),
            )),
            ..warns(format!(
                "It cannot be merged: {source} and {target} changed the same places. Merge {target} into {source}, settle \
                 what differs, and push."
            ))
        },
        "need_rebase" => warns(format!(
            "It can be merged when its commits come after those of {target}. Rebase it, here or by hand."
        )),
        _ => warns("It cannot be merged as it is.".to_owned()),
    }
}

/// The form to merge.
struct MergeForm {
    sha: String,
    /// Whether its commits can become one, and shall.
    squash: Option<bool>,
    /// Whether they become one whatever is chosen.
    always_squashes: bool,
    removes_source: bool,
    message: Option<TextArea>,
}

/// How it was merged.
struct MergedHow {
    when: Moment,
    by: Option<Author>,
    /// The commit that the target branch got, with its address.
    commit: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "merge_request.html")]
struct MergeRequestPage {
    around: Around,
    head: Head,
    top: Top,
    said: Option<String>,
    /// Clean HTML.
    description: String,
    standing: Option<Standing>,
    merge_error: Option<String>,
    merge: Option<MergeForm>,
    may_rebase: bool,
    /// Whether it is merged by itself when it can be, and whether the viewer may take that back.
    automatic: Option<bool>,
    /// When it was closed, and by whom if that is known.
    closed: Option<(Moment, Option<Author>)>,
    merged: Option<MergedHow>,
    /// The issues that go with it: how each is referred to, its title and its address.
    closes: Vec<(String, String, String)>,
    /// The commit that an approval is about, for who may give one.
    may_approve: Option<String>,
    approved: bool,
    facts: Facts,
    activity: Activity,
}

async fn closes(
    state: &AppState,
    access: &Authorized<act::ReadMergeRequests>,
    head: &Head,
    iid: i64,
) -> Result<Vec<(String, String, String)>, PageError> {
    let window = Window { limit: ISSUES, offset: 0 };
    let found = relations::closes_issues(&state.forge, access, iid, window).await?;
    let view = found.map(|details| {
        let number = details.issue.iid;
        (format!("#{number}"), details.issue.title, format!("/{}/-/issues/{number}", head.full_path))
    });
    Ok(view.items)
}

/// Returns the form to merge, for who may and when nothing is in the way.
fn merge_form<A: Act<On = on::Project>>(
    access: &Authorized<A>,
    alone: &MergeRequestAlone,
) -> Option<MergeForm> {
    let (details, found) = (&alone.details, &alone.details.merge_request);
    let may = alone.may_merge && access.also::<act::MergeMergeRequest>().is_ok();
    if !may || details.standing != "mergeable" {
        return None;
    }
    let open = matches!(details.merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
    let message = || TextArea {
        name: "merge_commit_message",
        id: "merge_commit_message".to_owned(),
        label: "Message of the merge commit",
        value: String::new(),
        lines: 4,
        hint: "Without one it names the branches, the title and this merge request.",
        error: None,
        required: false,
    };
    Some(MergeForm {
        sha: found.heads.head.clone(),
        squash: open.then_some(found.squash),
        always_squashes: details.merging.squash == SquashOption::Always,
        removes_source: found.removes_source_branch,
        message: (details.merging.method != MergeMethod::FastForward).then(message),
    })
}

/// Answers a merge request; `again` is what could not be done, or a form for a comment that came back.
pub(super) async fn page(
    state: &AppState,
    access: &Authorized<act::ReadMergeRequests>,
    around: Around,
    iid: i64,
    again: Again,
) -> PageResult {
    let alone = merge_requests::get(&state.forge, access, iid, DivergedCommits::Ignored).await?;
    let approvals = approvals::get(&state.forge, access, iid).await?;
    let found = &alone.details.merge_request;
    let (head, top, branch) = top(state, access, found, "overview").await?;
    let about = About {
        head: &head,
        branch: &branch,
        iid,
        author: found.author.id,
        locked: found.discussion_locked_at.is_some(),
    };
    let activity = activity::<OnMergeRequest>(state, access, &around, &about, &again).await?;
    let texts = vec![found.description.clone().unwrap_or_default()];
    let description = prose(&head, &branch, texts).await?.pop().unwrap_or_default();
    let list = list_of(&head.full_path);
    let open = found.state() == MergeRequestState::Opened;
    let may_merge = alone.may_merge && access.also::<act::MergeMergeRequest>().is_ok();
    let own = access.viewer().identity().is_some_and(|identity| identity.user == found.author.id);
    let commit =
        found.merge_commit.as_ref().or(found.squash_commit.as_ref()).or(found.merged_commit.as_ref());
    let merged = found.merged_at.map(|at| MergedHow {
        when: Moment::at(at),
        by: found.merged_by.as_ref().map(Author::of),
        commit: commit.map(|id| (id.chars().take(8).collect(), format!("/{}/-/commit/{id}", head.full_path))),
    });
    let rebases =
        may_merge && alone.details.standing == "need_rebase" && access.also::<act::WriteRepository>().is_ok();
    let page = MergeRequestPage {
        said: again.said.clone(),
        description,
        standing: open.then(|| standing(&alone.details)),
        merge_error: found.merge_error.clone().filter(|_| open),
        merge: merge_form(access, &alone),
        may_rebase: rebases,
        automatic: found
            .auto_merge_by
            .filter(|_| open)
            .map(|_| (may_merge || own) && access.also::<act::MergeMergeRequest>().is_ok()),
        closed: found
            .closed_at
            .filter(|_| found.merged_at.is_none())
            .map(|at| (Moment::at(at), found.closed_by.as_ref().map(Author::of))),
        merged,
        closes: closes(state, access, &head, iid).await?,
        may_approve: approvals.may_approve.then(|| found.heads.head.clone()),
        approved: open && approvals.own && access.also::<act::ApproveMergeRequest>().is_ok(),
        facts: Facts {
            assignees: alone.details.assignees.iter().map(Author::of).collect(),
            reviewers: Some(alone.details.reviewers.iter().map(Author::of).collect()),
            labels: labels_to(&list, alone.details.labels.iter().map(|label| label.title.clone())),
            milestone: found.milestone.as_ref().map(|milestone| milestone.title.clone()),
            due: None,
            locked: found.discussion_locked_at.is_some(),
            approved_by: Some(approvals.approvals.iter().map(|it| Author::of(&it.user)).collect()),
        },
        around: around.of(state, access.viewer()).await?,
        activity,
        head,
        top,
    };
    Ok(html(again.status.unwrap_or(StatusCode::OK), &page))
}

/// Answers a merge request.
pub async fn show(
    access: Authorized<act::ReadMergeRequests>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    page(&state, &access, around, iid(&path)?, Again::default()).await
}

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

/// Returns the fields for the two branches, with those of the project to choose from.
async fn branch_fields(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    (source, target): (&str, &str),
    problems: &Problems,
) -> Result<Vec<SelectField>, PageError> {
    let Ok(filter) = NameFilter::new(None, None) else { return Err(PageError::NotFound) };
    let window = Window { limit: BRANCHES, offset: 0 };
    let order = BranchOrder::UpdatedDescending;
    let found = repository_branches::list(&state.forge, access, &filter, order, window).await?;
    let names: Vec<_> = found.items.into_iter().map(|branch| (branch.name, branch.default)).collect();
    let default = names.iter().find(|(_, default)| *default).map(|(name, _)| name.as_str());
    let newest = names.iter().find(|(_, default)| !default).map(|(name, _)| name.as_str());
    let field = |name, label, hint, chosen: Option<&str>| {
        let chosen = chosen.unwrap_or_default();
        let mut choices: Vec<_> = names
            .iter()
            .map(|(name, _)| Choice { value: name.clone(), label: name.clone(), chosen: name == chosen })
            .collect();
        if !chosen.is_empty() && !choices.iter().any(|choice| choice.chosen) {
            let chosen = chosen.to_owned();
            choices.push(Choice { value: chosen.clone(), label: chosen, chosen: true });
        }
        SelectField { name, label, hint, error: problems.with(name, "The branch"), choices }
    };
    let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
    Ok(vec![
        field("source_branch", "Source branch", "Its commits are to be merged.", given(source).or(newest)),
        field("target_branch", "Target branch", "It gets them.", given(target).or(default)),
    ])
}

fn switches(squash: Option<bool>, removes_source: bool) -> Vec<Switch> {
    let squash = squash.map(|on| Switch {
        name: "squash",
        label: "Squash commits",
        says: "All commits become one when it is merged.",
        on,
    });
    let remove = Switch {
        name: "remove_source_branch",
        label: "Delete the source branch",
        says: "It goes when it is merged, unless it is protected.",
        on: removes_source,
    };
    squash.into_iter().chain([remove]).collect()
}

/// What was typed into the form besides what issues have too.
#[derive(Clone, Default)]
struct Wishes {
    source: String,
    target: String,
    squash: bool,
    removes_source: bool,
    locked: bool,
}

impl Wishes {
    fn of(form: &Form) -> Wishes {
        let is_on = |name: &str| !form.text(name).is_empty();
        Wishes {
            source: form.text("source_branch").to_owned(),
            target: form.text("target_branch").to_owned(),
            squash: is_on("squash"),
            removes_source: is_on("remove_source_branch"),
            locked: is_on("discussion_locked"),
        }
    }
}

async fn new_form(
    state: &AppState,
    access: &Authorized<act::CreateMergeRequest>,
    around: Around,
    typed: Option<(&Typed, &Wishes)>,
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let code = access.also::<act::ReadCode>()?;
    let (mut head, project) = Head::of(state, access, "merge_requests", &["Merge requests", "New"]).await?;
    let list = list_of(&head.full_path);
    head.link_last_but_one(&list);
    let merging = project.project.merging;
    let start = Wishes {
        source: around.query("source_branch").to_owned(),
        target: around.query("target_branch").to_owned(),
        squash: merging.squash == SquashOption::DefaultOn,
        removes_source: merging.removes_source_branch,
        locked: false,
    };
    let nothing = Typed::default();
    let (typed, wishes) = typed.unwrap_or((&nothing, &start));
    let branches = branch_fields(state, &code, (&wishes.source, &wishes.target), &wrong.problems).await?;
    let leaves_open = matches!(merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
    let (title, description) = words_of(typed, &wrong.problems);
    let plan = Plan::of(state, access, PlanOf::MergeRequest, typed, &wrong.problems).await?;
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: "New merge request".to_owned(),
        problem: wrong.problem,
        action: list.clone(),
        back: list,
        does: "Create merge request",
        number: Some(sessions::form_number(&state.forge)),
        seen: String::new(),
        branches,
        title,
        description,
        plan: Some(plan),
        switches: switches(leaves_open.then_some(wishes.squash), wishes.removes_source),
    };
    Ok(html(status, &page))
}

/// Answers the form for a new merge request.
pub async fn form(
    access: Authorized<act::CreateMergeRequest>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    new_form(&state, &access, around, None, Wrong::default(), StatusCode::OK).await
}

/// Opens a merge request.
pub async fn create(
    access: Authorized<act::CreateMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let (typed, wishes) = (Typed::of(&form), Wishes::of(&form));
    let came = Some((&typed, &wishes));
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let wrong = Wrong { problem: Some(SENT_BEFORE.to_owned()), ..Wrong::default() };
        return new_form(&state, &access, around, came, wrong, StatusCode::CONFLICT).await;
    }
    let request = NewMergeRequestRequest {
        source_branch: wishes.source.clone(),
        target_branch: wishes.target.clone(),
        target_project: None,
        title: typed.title.clone(),
        description: Some(typed.description.clone()).filter(|text| !text.is_empty()),
        labels: typed.all_labels(),
        assignees: typed.assignees(),
        reviewers: typed.reviewers(),
        milestone: typed.milestone(),
        squash: Some(wishes.squash),
        removes_source_branch: Some(wishes.removes_source),
    };
    match opening::create(&state.forge, &access, request).await {
        Ok(made) => {
            let number = made.details.merge_request.iid;
            let said = format!("Merge request !{number} is open.");
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            Ok(see_other(&format!("{}/{number}", list_of(&access.place().full_path))))
        }
        Err(error) => {
            let wrong = Wrong::of(error)?;
            new_form(&state, &access, around, came, wrong, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
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

async fn edit_form(
    state: &AppState,
    access: &Authorized<act::UpdateOwnMergeRequest>,
    around: Around,
    details: &MergeRequestDetails,
    (typed, wishes): (&Typed, &Wishes),
    wrong: Wrong,
    status: StatusCode,
) -> PageResult {
    let found = &details.merge_request;
    let reference = format!("!{}", found.iid);
    let (mut head, _) =
        Head::of(state, access, "merge_requests", &["Merge requests", &reference, "Edit"]).await?;
    let back = format!("{}/{}", list_of(&head.full_path), found.iid);
    head.link_last_but_one(&back);
    let (title, description) = words_of(typed, &wrong.problems);
    let (mut plan, mut choices, mut branches) = (None, Vec::new(), Vec::new());
    if let Ok(access) = access.also::<act::UpdateMergeRequest>() {
        plan = Some(Plan::of(state, &access, PlanOf::MergeRequest, typed, &wrong.problems).await?);
        let open = matches!(details.merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
        choices = switches(open.then_some(wishes.squash), wishes.removes_source);
        choices.push(locked(wishes.locked));
        if let (Ok(code), MergeRequestState::Opened) = (access.also::<act::ReadCode>(), found.state()) {
            let fields =
                branch_fields(state, &code, (&found.source_branch, &wishes.target), &wrong.problems).await?;
            // Its source branch stays what it is.
            branches = fields.into_iter().skip(1).collect();
        }
    }
    let page = FormPage {
        around: around.of(state, access.viewer()).await?,
        head,
        heading: format!("Edit merge request {reference}"),
        problem: wrong.problem,
        action: format!("{back}/edit"),
        back,
        does: "Save changes",
        number: None,
        seen: mark(&found.title, found.description.as_deref()),
        branches,
        title,
        description,
        plan,
        switches: choices,
    };
    Ok(html(status, &page))
}

/// Answers the form to change a merge request.
pub async fn edit(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let details = changeable(&state, &access, &path).await?.details;
    let found = &details.merge_request;
    let typed = Typed {
        title: found.title.clone(),
        description: found.description.clone().unwrap_or_default(),
        labels: details.labels.iter().map(|label| label.title.clone()).collect(),
        assignees: details.assignees.iter().map(|user| user.id.0).collect(),
        reviewers: details.reviewers.iter().map(|user| user.id.0).collect(),
        milestone: found.milestone.as_ref().map(|milestone| milestone.id.0.to_string()).unwrap_or_default(),
        ..Typed::default()
    };
    let wishes = Wishes {
        source: found.source_branch.clone(),
        target: found.target_branch.clone(),
        squash: found.squash,
        removes_source: found.removes_source_branch,
        locked: found.discussion_locked_at.is_some(),
    };
    edit_form(&state, &access, around, &details, (&typed, &wishes), Wrong::default(), StatusCode::OK).await
}

/// Changes a merge request.
pub async fn update(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let details = changeable(&state, &access, &path).await?.details;
    let found = &details.merge_request;
    let (typed, wishes) = (Typed::of(&form), Wishes::of(&form));
    let came = (&typed, &wishes);
    if typed.seen != mark(&found.title, found.description.as_deref()) {
        let wrong = Wrong { problem: Some(CHANGED_MEANWHILE.to_owned()), ..Wrong::default() };
        return edit_form(&state, &access, around, &details, came, wrong, StatusCode::CONFLICT).await;
    }
    let open = matches!(details.merging.squash, SquashOption::DefaultOn | SquashOption::DefaultOff);
    let changes = MergeRequestChanges {
        title: Some(typed.title.clone()),
        description: Some(typed.description.clone()),
        target_branch: Some(wishes.target.clone()).filter(|target| !target.is_empty()),
        labels: Some(typed.all_labels()),
        assignees: Some(typed.assignees()),
        reviewers: Some(typed.reviewers()),
        milestone: Some(typed.milestone()),
        squash: open.then_some(wishes.squash),
        removes_source_branch: Some(wishes.removes_source),
        discussion_locked: Some(wishes.locked),
        ..MergeRequestChanges::default()
    };
    match changing::update(&state.forge, &access, found.iid, changes).await {
        Ok(_) => {
            sessions::set_notice(&state.forge, access.viewer(), "The merge request was changed.").await?;
            Ok(see_other(&format!("{}/{}", list_of(&access.place().full_path), found.iid)))
        }
        Err(error) => {
            let (wrong, status) = (Wrong::of(error)?, StatusCode::UNPROCESSABLE_ENTITY);
            edit_form(&state, &access, around, &details, came, wrong, status).await
        }
    }
}

/// Sends back to a merge request where something was done, or shows it with why that could not be.
async fn after<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    around: Around,
    iid: i64,
    done: Result<&str, (StatusCode, String)>,
) -> PageResult {
    match done {
        Ok(said) => {
            sessions::set_notice(&state.forge, access.viewer(), said).await?;
            Ok(see_other(&format!("{}/{iid}", list_of(&access.place().full_path))))
        }
        Err((status, said)) => page(state, &access.also()?, around, iid, Again::saying(status, said)).await,
    }
}

/// Returns why something could not be done to a merge request, or passes on an error that is about something else.
/// `not_now` is said where the caller may not, or its state does not allow it.
fn why_not(error: Error, not_now: &str) -> Result<(StatusCode, String), PageError> {
    match error {
        Error::Unauthorized | Error::NotAvailable => Ok((StatusCode::CONFLICT, not_now.to_owned())),
        Error::Conflict(text) => Ok((StatusCode::CONFLICT, sentence(text))),
        Error::Forbidden(text)
        | Error::BadRequest(text)
        | Error::Unprocessable(text)
        | Error::Inapplicable(text) => Ok((StatusCode::UNPROCESSABLE_ENTITY, sentence(text))),
        other => Err(other.into()),
    }
}

/// Closes or reopens a merge request.
pub async fn change_state(
    access: Authorized<act::UpdateOwnMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let number = changeable(&state, &access, &path).await?.details.merge_request.iid;
    let (wanted, said) = match form.text("state_event") {
        "close" => (StateEvent::Close, "The merge request is closed."),
        "reopen" => (StateEvent::Reopen, "The merge request is open again."),
        _ => {
            let text = "A merge request can be closed and reopened.".to_owned();
            return Err(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
    };
    let changes = MergeRequestChanges { state: Some(wanted), ..MergeRequestChanges::default() };
    let done = match changing::update(&state.forge, &access, number, changes).await {
        Ok(_) => Ok(said),
        Err(Error::Invalid(fields)) => {
            let named: Vec<_> = fields.into_iter().map(|(_, problem)| problem).collect();
            let said = format!("A branch is missing: {}.", named.join(", "));
            Err((StatusCode::UNPROCESSABLE_ENTITY, said))
        }
        Err(error) => Err(why_not(error, "That is not possible any more.")?),
    };
    after(&state, &access, around, number, done).await
}

/// Approves a merge request, or takes that back.
pub async fn approve(
    access: Authorized<act::ApproveMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let done = match form.text("approval") {
        "revoke" => match approvals::unapprove(&state.forge, &access, iid).await {
            Ok(_) => Ok("You no longer approve this merge request."),
            Err(Error::NotFound("Approval")) => Ok("You did not approve this merge request."),
            Err(error) => Err(why_not(error, "That is not possible any more.")?),
        },
        _ => {
            let sha = Some(form.text("sha")).filter(|sha| !sha.is_empty());
            match approvals::approve(&state.forge, &access, iid, sha).await {
                Ok(_) => Ok("You approved this merge request."),
                Err(Error::Conflict(_)) => Err((StatusCode::CONFLICT, NEW_COMMITS.to_owned())),
                Err(error) => Err(why_not(
                    error,
                    "You approved it already, or it is not open any more, so nothing was done.",
                )?),
            }
        }
    };
    after(&state, &access, around, iid, done).await
}

/// What is said when a merge request holds other commits than its page showed.
const NEW_COMMITS: &str =
    "New commits were pushed since you opened this page. Look at them, then decide again.";

/// Merges a merge request. It is never put off: that would be done later with a token, and who is signed in has none here.
pub async fn merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let message = text_of(&form, "merge_commit_message");
    let options = MergeOptions {
        merge_commit_message: Some(message).filter(|text| !text.trim().is_empty()),
        squash_commit_message: None,
        squash: Some(!form.text("squash").is_empty()),
        removes_source_branch: Some(!form.text("remove_source_branch").is_empty()),
        sha: Some(form.text("sha").to_owned()),
        when: When::Now,
    };
    let done = match merging::merge(&state.forge, &access, iid, options).await {
        Ok(_) => Ok("The merge request is merged."),
        Err(Error::Conflict(_)) => Err((StatusCode::CONFLICT, NEW_COMMITS.to_owned())),
        Err(error) => {
            Err(why_not(error, "It cannot be merged as it is now, or not by you. It says below why.")?)
        }
    };
    after(&state, &access, around, iid, done).await
}

/// Takes back that a merge request be merged by itself.
pub async fn cancel_automatic_merge(
    access: Authorized<act::MergeMergeRequest>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let done = match auto_merge::cancel(&state.forge, &access, iid).await {
        Ok(_) => Ok("It is not merged by itself any more."),
        Err(error) => Err(why_not(error, "That is not possible any more.")?),
    };
    after(&state, &access, around, iid, done).await
}

/// Makes the commits of a merge request once more on top of its target branch.
pub async fn rebase(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let iid = iid(&path)?;
    let reading = access.also::<act::ReadMergeRequests>()?;
    let done = match rebase::rebase(&state.forge, &access, iid).await {
        Ok(()) => Ok("Its commits come after those of the target branch now."),
        Err(error) => Err(why_not(error, "It cannot be rebased as it is now.")?),
    };
    let alone = merge_requests::get(&state.forge, &reading, iid, DivergedCommits::Ignored).await?;
    let done = match (done, alone.details.merge_request.merge_error) {
        (Ok(_), Some(problem)) => Err((StatusCode::UNPROCESSABLE_ENTITY, sentence(problem))),
        (done, _) => done,
    };
    after(&state, &access, around, iid, done).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_one_word_for_a_shell_whatever_it_is_called() {
        assert_eq!(shell_word("feature/one-2.x"), "feature/one-2.x");
        assert_eq!(shell_word("a;b$(c)"), "'a;b$(c)'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }
}
