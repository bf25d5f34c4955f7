//! How a merge request is opened.

use portcullis_rules::access::act;
use portcullis_rules::id::{MilestoneId, ProjectId, UserId};
use portcullis_rules::names::DisplayName;
use portcullis_store::merge_requests::{self, NewMergeRequest};
use portcullis_store::projects;
use serde_json::json;

use super::{
    MergeRequestAlone, branches, get_alone, record_closed_issues, record_event, refresh, same_branch, taken,
    taken_meanwhile,
};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::error::FieldErrors;
use crate::forge::Forge;
use crate::issues::{MAX_DESCRIPTION_CHARACTERS, assignable, check_assignees, check_text, checked_labels};
use crate::labels;
use crate::milestones;
use crate::webhooks::occasions;

/// What a merge request is asked for with.
#[derive(Clone, Debug, Default)]
pub struct NewMergeRequestRequest {
    /// The branch whose commits are to be merged.
    pub source_branch: String,
    /// The branch they are to be merged into.
    pub target_branch: String,
    /// The project that branch is in; the same when absent, and no other one.
    pub target_project: Option<ProjectId>,
    /// What it is about.
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Who is to deal with it: those of them who are members.
    pub assignees: Vec<UserId>,
    /// Who is to review it: those of them who are members.
    pub reviewers: Vec<UserId>,
    /// What it is planned for.
    pub milestone: Option<MilestoneId>,
    /// Whether its commits become one; as the project says when absent.
    pub squash: Option<bool>,
    /// Whether its source branch goes; as the project says when absent.
    pub removes_source_branch: Option<bool>,
}

/// Opens a merge request.
///
/// # Errors
/// [`Error::Invalid`] for a field; [`Error::Unprocessable`] for two branches that cannot be brought together;
/// [`Error::Conflict`] when an open one has the same two branches.
pub async fn create(
    forge: &Forge,
    access: &Authorized<act::CreateMergeRequest>,
    request: NewMergeRequestRequest,
) -> Result<MergeRequestAlone, Error> {
    access.also::<act::ReadCode>()?;
    let mut fields = FieldErrors::default();
    let title = fields.take("title", DisplayName::parse(&request.title));
    let description = request.description.as_deref();
    check_text(&mut fields, "description", description.unwrap_or_default(), MAX_DESCRIPTION_CHARACTERS);
    let labels = checked_labels(&mut fields, "labels", &request.labels);
    check_assignees(&mut fields, "assignee_ids", &request.assignees);
    check_assignees(&mut fields, "reviewer_ids", &request.reviewers);
    fields.finish()?;
    let title = title.ok_or(Error::NotFound("title"))?;
    if request.target_project.is_some_and(|target| target != access.project()) {
        return Err(Error::Unprocessable("Source project is not a fork of the target project".to_owned()));
    }
    let (source_branch, target_branch) = (&*request.source_branch, &*request.target_branch);
    if source_branch == target_branch {
        return Err(same_branch());
    }
    // Git is asked before anything is locked. What a push changes meanwhile is found when the branches are looked at again.
    let heads = branches::heads(forge, access.project(), source_branch, target_branch).await?;

    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    access.also::<act::ReadCode>()?;
    let (identity, id) = (access.identity()?, access.project());
    let iid = projects::next_merge_request_iid(&mut tx, id, now).await?.ok_or(Error::NotFound("Project"))?;
    let project = projects::find(&mut tx, id).await?.ok_or(Error::NotFound("Project"))?;
    if let Some(other) = merge_requests::find_open(&mut tx, id, source_branch, target_branch).await? {
        return Err(taken(Some(other)));
    }
    let new = NewMergeRequest {
        project: id,
        iid,
        author: identity.user,
        title: title.as_str(),
        description,
        source_branch,
        target_branch,
        squash: project.merging.squash.squashes(request.squash),
        removes_source_branch: request.removes_source_branch.unwrap_or(project.merging.removes_source_branch),
        heads: &heads,
    };
    let id = merge_requests::insert(&mut tx, &new, now).await.map_err(taken_meanwhile)?;
    labels::ensure(&mut tx, &access, &labels, now).await?;
    merge_requests::set_labels(&mut tx, id, &labels).await?;
    let assignees = assignable(&mut tx, &access, &request.assignees, now).await?;
    merge_requests::set_assignees(&mut tx, id, &assignees).await?;
    let reviewers = assignable(&mut tx, &access, &request.reviewers, now).await?;
    merge_requests::set_reviewers(&mut tx, id, &reviewers).await?;
    if let Some(milestone) = request.milestone {
        let milestone = milestones::get_for_issue(&mut tx, &access, milestone).await?;
        merge_requests::set_milestone(&mut tx, access.project(), id, Some(milestone.id)).await?;
    }
    record_closed_issues(forge, &mut tx, &access, (id, title.as_str(), description)).await?;
    record_event(&mut tx, &access, "opened", (id, iid, title.as_str()), now).await?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "merge_request_created");
        let entry = entry.target("MergeRequest", id.0).details(json!({ "iid": iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    refresh::ask(&mut tx, access.project(), iid, now).await?;
    let alone = get_alone(&mut tx, &access, iid).await?;
    occasions::merge_request(forge, &mut tx, &access, &alone.details, "open").await?;
    tx.commit().await?;
    Ok(alone)
}
