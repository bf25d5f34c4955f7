//! What is recorded when a merge request was merged, whoever did it and however.

use portcullis_rules::access::FeatureAccess;
use portcullis_rules::id::{TokenId, UserId};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::issues;
use portcullis_store::merge_requests::{self, MergeRequest};
use portcullis_store::merges::{self, Merged};
use portcullis_store::notes::{self, NewNote, Noteable};
use portcullis_store::projects::Project;
use portcullis_store::users::{self, UserKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::audit::{self, Entry};
use crate::jobs::{self, Job};

/// What the record of a push says of the merge request that is merged by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedMerge {
    /// Its number.
    pub iid: i64,
    /// The last commit of its source branch.
    pub head: String,
    /// The merge commit.
    pub merge_commit: Option<String>,
    /// The commit that all of them became.
    pub squash_commit: Option<String>,
    /// Whether the source branch goes too.
    pub removes_source_branch: bool,
    /// Whether whoever merges may close the issues that it closes: who pushes may have a credential for Git alone.
    pub closes_issues: bool,
}

/// Who merged. The request may be long over, and the user may be gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merger<'a> {
    /// The user.
    pub user: Option<UserId>,
    /// With which credential.
    pub token: Option<TokenId>,
    /// From where.
    pub address: Option<&'a str>,
}

/// Records that the last commit of `target`, a branch and the commit it has now, holds a merge request: that it was merged,
/// and what follows from that. Once it is recorded, nothing more happens.
pub(crate) async fn record(
    tx: &mut Tx,
    project: &Project,
    by: &Merger<'_>,
    merge: &RecordedMerge,
    target: (&str, &str),
    now: i64,
) -> Result<(), Error> {
    merge_requests::lock(tx, project.id, merge.iid).await?;
    let Some(found) = merge_requests::find(tx, project.id, merge.iid, false).await? else { return Ok(()) };
    let (target_branch, merged_commit) = target;
    let user = match by.user {
        Some(user) => users::find(tx, user).await?,
        None => None,
    };
    let merged = Merged {
        by: user.as_ref().map(|user| user.id),
        target_branch,
        head: &merge.head,
        merge_commit: merge.merge_commit.as_deref(),
        squash_commit: merge.squash_commit.as_deref(),
        merged_commit,
    };
    if !merges::set_merged(tx, project.id, found.id, &merged, now).await? {
        return Ok(());
    }
    let Some(user) = user else { return Ok(()) };
    tell(tx, project, user.id, by.token, Told::Merged(&found), now).await?;
    let mut closed = Vec::new();
    let possible = project.merging.closes_issues && project.issues_access != FeatureAccess::Disabled;
    if merge.closes_issues && possible && target_branch == project.default_branch {
        closed = close_issues(tx, project, user.id, by.token, &found, now).await?;
    }
    if user.kind == UserKind::ProjectBot {
        let entry = Entry::project(project.id, &project.full_path, "merge_request_merged");
        let details = json!({ "iid": found.iid, "target_branch": target_branch, "sha": merged_commit });
        let entry = entry.target("MergeRequest", found.id.0).details(details);
        audit::record_as(tx, user.id, &user.name, by.token, by.address, entry, now).await?;
    }
    if merge.removes_source_branch
        && let Some(token) = by.token
    {
        let (project, iid, user) = (project.id, found.iid, user.id);
        jobs::ask(tx, &Job::RemoveSourceBranch { project, iid, user, token }, now).await?;
    }
    let job = Job::TellOfMerge { project: project.id, iid: found.iid, user: user.id, closed };
    jobs::ask(tx, &job, now).await
}

/// What the feed and the comments are told.
enum Told<'a> {
    Merged(&'a MergeRequest),
    Closed(&'a merges::ClosedIssue, i64),
}

async fn tell(
    tx: &mut Tx,
    project: &Project,
    user: UserId,
    token: Option<TokenId>,
    told: Told<'_>,
    now: i64,
) -> Result<(), Error> {
    let (action, kind, on, id, iid, title, body) = match told {
        Told::Merged(found) => {
            let on = Noteable::MergeRequest(found.id);
            ("accepted", "MergeRequest", on, found.id.0, found.iid, &found.title, "merged".to_owned())
        }
        Told::Closed(issue, by) => {
            let body = format!("closed via merge request !{by}");
            ("closed", "Issue", Noteable::Issue(issue.id), issue.id.0, issue.iid, &issue.title, body)
        }
    };
    let note = NewNote { project: project.id, on, author: user, body: &body, system: true, internal: false };
    notes::insert(tx, &note, now).await?;
    let event = NewEvent {
        project: project.id,
        author: user,
        token,
        action,
        target_type: Some(kind),
        target_id: Some(id),
        target_iid: Some(iid),
        target_title: Some(title),
        details: None,
    };
    events::insert(tx, &event, now).await?;
    Ok(())
}

/// Closes the issues that a merge request says it closes, and returns their numbers.
async fn close_issues(
    tx: &mut Tx,
    project: &Project,
    user: UserId,
    token: Option<TokenId>,
    merge_request: &MergeRequest,
    now: i64,
) -> Result<Vec<i64>, Error> {
    let found = merges::issues_closed_by(tx, project.id, merge_request.id).await?;
    for issue in &found {
        issues::set_closed(tx, project.id, issue.id, Some((user, now))).await?;
        issues::touch(tx, project.id, issue.id, now).await?;
        tell(tx, project, user, token, Told::Closed(issue, merge_request.iid), now).await?;
    }
    Ok(found.into_iter().map(|issue| issue.iid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ref_changes::RecordedUpdate;

    #[test]
    fn the_record_of_a_push_keeps_the_merge_and_old_records_are_still_read() {
        let merge = RecordedMerge {
            iid: 3,
            head: "b".to_owned(),
            merge_commit: Some("c".to_owned()),
            squash_commit: None,
            removes_source_branch: true,
            closes_issues: true,
        };
        let update = RecordedUpdate {
            name: "refs/heads/main".to_owned(),
            old: "a".to_owned(),
            new: "c".to_owned(),
            merge: Some(merge),
        };
        let text = serde_json::to_string(&update).unwrap();
        assert_eq!(serde_json::from_str::<RecordedUpdate>(&text).unwrap(), update);
        let plain = r#"{"name":"refs/heads/main","old":"a","new":"c"}"#;
        let read: RecordedUpdate = serde_json::from_str(plain).unwrap();
        assert_eq!((read.merge.is_none(), serde_json::to_string(&read).unwrap().as_str()), (true, plain));
    }
}
