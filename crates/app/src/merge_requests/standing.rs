//! Whether a merge request could be merged right now, and what is in the way.

use std::collections::HashMap;

use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::MergeRequestId;
use portcullis_store::db::Tx;
use portcullis_store::discussions;
use portcullis_store::merge_requests::{MergeRequest, MergeRequestState, MergeStatus};
use portcullis_store::merges;
use portcullis_store::projects::Merging;
use portcullis_store::protected_branches::{self, ProtectedBranch};

use crate::Error;
use crate::access::Authorized;
use crate::branches::Protection;

/// What a merge request's title begins with while it is not to be merged.
const DRAFT_PREFIXES: [&str; 3] = ["draft:", "[draft]", "(draft)"];

/// Returns whether a merge request's title says that it is not to be merged yet.
pub fn is_draft(title: &str) -> bool {
    let title = title.trim_start().to_lowercase();
    DRAFT_PREFIXES.iter().any(|prefix| title.starts_with(prefix))
}

/// What the statuses of the last commit say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// There are none.
    #[default]
    Missing,
    /// Some of them wait or run.
    Running,
    /// Some failed, or were stopped.
    Failed,
    /// All of them were skipped.
    Skipped,
    /// None failed.
    Good,
}

impl Checks {
    /// Returns what these states say together, in GitLab's words.
    pub fn of<'a>(states: impl IntoIterator<Item = &'a str>) -> Checks {
        let mut found = Checks::Missing;
        for state in states {
            found = match (state, found) {
                ("pending" | "running", _) | (_, Checks::Running) => Checks::Running,
                ("failed" | "canceled", _) | (_, Checks::Failed) => Checks::Failed,
                ("success", _) | (_, Checks::Good) => Checks::Good,
                _ => Checks::Skipped,
            };
        }
        found
    }

    fn are_good_for(self, merging: &Merging) -> bool {
        self == Checks::Good || (self == Checks::Skipped && merging.skipped_is_success)
    }
}

/// What is not part of a merge request and yet may be in the way of merging it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The statuses of its last commit.
    pub checks: Checks,
    /// Whether a discussion on it is not resolved.
    pub open_discussions: bool,
}

/// Returns what may be in the way of merging these merge requests, each with how its project merges; at most a hundred. What
/// a project does not ask for is not looked at.
///
/// # Errors
/// The database's.
pub(crate) async fn circumstances(
    tx: &mut Tx,
    merge_requests: &[(&MergeRequest, &Merging)],
) -> Result<HashMap<MergeRequestId, Circumstances>, Error> {
    let wanted: Vec<_> =
        merge_requests.iter().filter(|(_, merging)| merging.needs_success).map(|(found, _)| *found).collect();
    let states = states(tx, &wanted).await?;
    let discussed = merge_requests.iter().filter(|(_, merging)| merging.needs_resolved_discussions);
    let discussed: Vec<_> = discussed.map(|(found, _)| found.id.0).collect();
    let unresolved = match discussed.as_slice() {
        [] => Vec::new(),
        ids => discussions::unresolved(tx, ids).await?,
    };
    let around = |found: &MergeRequest| Circumstances {
        checks: states.get(&found.id).copied().unwrap_or_default(),
        open_discussions: unresolved.iter().any(|(of, _)| *of == found.id.0),
    };
    Ok(merge_requests.iter().map(|(found, _)| (found.id, around(found))).collect())
}

/// Returns what the statuses of a merge request's last commit say, whether the project asks for them or not.
pub(crate) async fn checks(tx: &mut Tx, merge_request: &MergeRequest) -> Result<Checks, Error> {
    Ok(states(tx, &[merge_request]).await?.get(&merge_request.id).copied().unwrap_or_default())
}

async fn states(
    tx: &mut Tx,
    merge_requests: &[&MergeRequest],
) -> Result<HashMap<MergeRequestId, Checks>, Error> {
    let mut projects: Vec<_> = merge_requests.iter().map(|found| found.project.0).collect();
    projects.sort_unstable();
    projects.dedup();
    let heads: Vec<_> = merge_requests.iter().map(|found| found.heads.head.as_str()).collect();
    let states = merges::states_of(tx, &projects, &heads).await?;
    let of = |found: &MergeRequest| {
        let own = states.iter().filter(|it| it.project == found.project && it.commit == found.heads.head);
        Checks::of(own.map(|it| it.state.as_str()))
    };
    Ok(merge_requests.iter().map(|found| (found.id, of(found))).collect())
}

/// Returns the first thing that is in the way of merging, in GitLab's words and order (`detailed_merge_status`);
/// `mergeable` when nothing is.
pub fn detailed_status(
    merge_request: &MergeRequest,
    merging: &Merging,
    circumstances: &Circumstances,
) -> &'static str {
    let (heads, status) = (&merge_request.heads, merge_request.merge_status);
    let up_to_date = heads.base.as_ref() == Some(&heads.start);
    if merge_request.state() != MergeRequestState::Opened {
        "not_open"
    } else if status == MergeStatus::Unchecked {
        "unchecked"
    } else if is_draft(&merge_request.title) {
        "draft_status"
    } else if status == MergeStatus::BranchGone || heads.base.as_ref() == Some(&heads.head) {
        // A branch is missing, or everything of it is in the other one already.
        "commits_status"
    } else if merging.needs_resolved_discussions && circumstances.open_discussions {
        "discussions_not_resolved"
    } else if merging.needs_success && circumstances.checks == Checks::Running {
        "ci_still_running"
    } else if merging.needs_success && !circumstances.checks.are_good_for(merging) {
        "ci_must_pass"
    } else if status == MergeStatus::CannotBeMerged {
        "conflict"
    } else if merging.method.needs_linear_history() && !up_to_date {
        "need_rebase"
    } else {
        "mergeable"
    }
}

/// Returns whether the two branches of a merge request cannot be brought together, as far as that was looked at.
pub fn has_conflicts(merge_request: &MergeRequest) -> bool {
    matches!(merge_request.merge_status, MergeStatus::CannotBeMerged | MergeStatus::BranchGone)
}

/// Returns whether the holder of `access` may merge into a branch: by their role, and by what protects the branch.
pub fn can_merge<A: Act<On = on::Project>>(
    access: &Authorized<A>,
    protected: &[ProtectedBranch],
    target_branch: &str,
) -> bool {
    let protection = Protection::of(target_branch, protected);
    access.also::<act::MergeMergeRequest>().is_ok()
        && access.also::<act::WriteRepository>().is_ok()
        && (protection.lets_merge(access.role()) || protection.lets_push(access.role()))
}

/// As [`can_merge`], with the protections as they are recorded.
///
/// # Errors
/// The database's.
pub(crate) async fn can_merge_into<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    target_branch: &str,
) -> Result<bool, Error> {
    let protected = protected_branches::of_project(tx, access.project()).await?;
    Ok(can_merge(access, &protected, target_branch))
}

#[cfg(test)]
mod tests {
    use portcullis_rules::id::{ProjectId, UserId};
    use portcullis_rules::merging::{MergeMethod, SquashOption};
    use portcullis_store::merge_requests::Heads;
    use portcullis_store::users::{User, UserKind};

    use super::*;

    fn merge_request() -> MergeRequest {
        let author = User {
            id: UserId(1),
            username: "ana".to_owned(),
            name: "Ana".to_owned(),
            email: "ana@example.com".to_owned(),
            kind: UserKind::Person,
            administrator: false,
            external: false,
            blocked: false,
            created_by: None,
            created_at: 0,
        };
        let heads = Heads { head: "c".to_owned(), start: "b".to_owned(), base: Some("a".to_owned()) };
        MergeRequest {
            id: MergeRequestId(1),
            project: ProjectId(1),
            iid: 1,
            author,
            closed_by: None,
            merged_by: None,
            title: "Title".to_owned(),
            description: None,
            source_branch: "topic".to_owned(),
            target_branch: "main".to_owned(),
            milestone: None,
            discussion_locked_at: None,
            squash: false,
            removes_source_branch: false,
            heads,
            merge_status: MergeStatus::CanBeMerged,
            merge_error: None,
            auto_merge_by: None,
            closed_at: None,
            merged_at: None,
            merge_commit: None,
            squash_commit: None,
            merged_commit: None,
            created_at: 0,
            updated_at: 0,
            notes: 0,
        }
    }

    fn merging() -> Merging {
        Merging {
            method: MergeMethod::Merge,
            squash: SquashOption::DefaultOff,
            removes_source_branch: true,
            closes_issues: true,
            needs_success: false,
            skipped_is_success: false,
            needs_resolved_discussions: false,
        }
    }

    #[test]
    fn drafts_are_known_by_their_titles() {
        for (title, draft) in [
            ("Draft: x", true),
            (" draft:x", true),
            ("[Draft] x", true),
            ("(DRAFT) x", true),
            ("Drafty", false),
            ("x Draft: y", false),
            ("WIP: x", false),
        ] {
            assert_eq!(is_draft(title), draft, "{title}");
        }
    }

    #[test]
    fn statuses_are_taken_together() {
        for (states, expected) in [
            (vec![], Checks::Missing),
            (vec!["success"], Checks::Good),
            (vec!["success", "skipped"], Checks::Good),
            (vec!["skipped", "success"], Checks::Good),
            (vec!["skipped"], Checks::Skipped),
            (vec!["failed", "success"], Checks::Failed),
            (vec!["success", "canceled", "skipped"], Checks::Failed),
            (vec!["failed", "running"], Checks::Running),
            (vec!["pending", "failed"], Checks::Running),
        ] {
            assert_eq!(Checks::of(states.iter().copied()), expected, "{states:?}");
        }
    }

    #[test]
    fn the_first_thing_in_the_way_is_named() {
        let say = |found: &MergeRequest, merging: &Merging, around: &Circumstances| {
            detailed_status(found, merging, around)
        };
        let (mut found, mut project) = (merge_request(), merging());
        let mut around = Circumstances { checks: Checks::Running, open_discussions: true };
        assert_eq!(say(&found, &project, &around), "mergeable");
        project.method = MergeMethod::FastForward;
        assert_eq!(say(&found, &project, &around), "need_rebase");
        found.merge_status = MergeStatus::CannotBeMerged;
        assert_eq!(say(&found, &project, &around), "conflict");
        project.needs_success = true;
        assert_eq!(say(&found, &project, &around), "ci_still_running");
        for checks in [Checks::Failed, Checks::Missing, Checks::Skipped] {
            around.checks = checks;
            assert_eq!(say(&found, &project, &around), "ci_must_pass", "{checks:?}");
        }
        project.skipped_is_success = true;
        assert_eq!(say(&found, &project, &around), "conflict");
        project.needs_resolved_discussions = true;
        assert_eq!(say(&found, &project, &around), "discussions_not_resolved");
        found.heads.base = Some("c".to_owned());
        assert_eq!(say(&found, &project, &around), "commits_status");
        found.heads.base = Some("a".to_owned());
        found.merge_status = MergeStatus::BranchGone;
        assert_eq!(say(&found, &project, &around), "commits_status");
        found.title = "Draft: x".to_owned();
        assert_eq!(say(&found, &project, &around), "draft_status");
        found.merge_status = MergeStatus::Unchecked;
        assert_eq!(say(&found, &project, &around), "unchecked");
        found.closed_at = Some(1);
        assert_eq!(say(&found, &project, &around), "not_open");
        found.merged_at = Some(1);
        assert_eq!(say(&found, &project, &around), "not_open");
    }

    #[test]
    fn a_branch_that_holds_the_other_needs_no_rebase() {
        let (mut found, mut project) = (merge_request(), merging());
        project.method = MergeMethod::RebaseMerge;
        found.heads.base = Some("b".to_owned());
        assert_eq!(detailed_status(&found, &project, &Circumstances::default()), "mergeable");
        found.heads.base = None;
        assert_eq!(detailed_status(&found, &project, &Circumstances::default()), "need_rebase");
    }
}
