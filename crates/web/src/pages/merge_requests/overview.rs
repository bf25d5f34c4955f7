//! A merge request: what it says, whether it can be merged and if not why, and its discussions.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::merge_requests::approvals;
use portcullis_app::merge_requests::{
    self, DivergedCommits, MergeRequestAlone, MergeRequestDetails, relations,
};
use portcullis_app::noteables::OnMergeRequest;
use portcullis_app::records::merge_requests::{MergeRequestState, MergeStatus};
use portcullis_app::records::select::Window;
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::merging::{MergeMethod, SquashOption};

use super::{Top, list_of, top};
use crate::AppState;
use crate::api::PathParts;
use crate::pages::author::Author;
use crate::pages::discussions::{About, Activity, Again, activity, iid};
use crate::pages::fields::TextArea;
use crate::pages::milestones;
use crate::pages::projects::Head;
use crate::pages::tracked::{Facts, LabelLink, prose};
use crate::pages::words::Moment;
use crate::pages::{Around, PageError, PageResult, html};

/// How many of the issues that go with it are shown.
const ISSUES: i64 = 50;

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
pub(in crate::pages) async fn page(
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
            labels: alone.details.labels.iter().map(|label| LabelLink::of(&list, label)).collect(),
            milestone: found
                .milestone
                .as_ref()
                .map(|it| (milestones::address(&head.full_path, it), it.title.clone())),
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
