//! Who approved a merge request. Nobody has to: an approval is something that people and programs tell one another.

use portcullis_rules::access::{Act, act, on};
use portcullis_store::db::Tx;
use portcullis_store::merge_requests::{self, Approval, MergeRequest, MergeRequestState};
use serde_json::json;

use super::{add_system_note, get_in, record_event, with_details};
use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::forge::Forge;
use crate::webhooks::occasions;

/// A merge request with who approved it.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// The merge request.
    pub merge_request: MergeRequest,
    /// Who approved it, the first one first.
    pub approvals: Vec<Approval>,
    /// Whether the viewer did.
    pub own: bool,
    /// Whether the viewer could.
    pub may_approve: bool,
}

async fn of<A: Act<On = on::Project>>(
    tx: &mut Tx,
    access: &Authorized<A>,
    merge_request: MergeRequest,
) -> Result<Approvals, Error> {
    let approvals = merge_requests::approvals(tx, merge_request.id).await?;
    let user = access.viewer().identity().map(|identity| identity.user);
    let own = approvals.iter().any(|approval| Some(approval.user.id) == user);
    let open = merge_request.state() == MergeRequestState::Opened;
    let may_approve = open && !own && access.also::<act::ApproveMergeRequest>().is_ok();
    Ok(Approvals { merge_request, approvals, own, may_approve })
}

/// Returns who approved a merge request.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadMergeRequests>,
    iid: i64,
) -> Result<Approvals, Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    of(&mut tx, access, merge_request).await
}

/// Refuses when `sha` is not the last commit of the source branch: what is approved is what was looked at.
async fn check_head(
    forge: &Forge,
    access: &Authorized<act::ApproveMergeRequest>,
    iid: i64,
    sha: &str,
) -> Result<(), Error> {
    let mut tx = forge.db().read().await?;
    let merge_request = get_in(&mut tx, access, iid).await?;
    drop(tx);
    let branch = forge.git().find_branch(access.project().0, &merge_request.source_branch).await?;
    let head = branch.map_or(merge_request.heads.head, |branch| branch.tip.as_str().to_owned());
    if !head.eq_ignore_ascii_case(sha) {
        return Err(Error::Conflict(format!("SHA does not match HEAD of source branch: {head}")));
    }
    Ok(())
}

/// Approves a merge request: `sha` is the commit that was looked at, if the caller says it.
///
/// # Errors
/// [`Error::NotFound`] when there is none; [`Error::Conflict`] when its source branch has gone on since;
/// [`Error::Unauthorized`] when it is not open, or the caller has approved it already.
pub async fn approve(
    forge: &Forge,
    access: &Authorized<act::ApproveMergeRequest>,
    iid: i64,
    sha: Option<&str>,
) -> Result<Approvals, Error> {
    if let Some(sha) = sha {
        check_head(forge, access, iid, sha).await?;
    }
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let merge_request = get_in(&mut tx, &access, iid).await?;
    let identity = access.identity()?;
    if !of(&mut tx, &access, merge_request.clone()).await?.may_approve {
        return Err(Error::Unauthorized);
    }
    let id = merge_request.id;
    merge_requests::approve(&mut tx, id, identity.user, now).await?;
    record_event(&mut tx, &access, "approved", (id, iid, &merge_request.title), now).await?;
    if identity.bot {
        let entry = Entry::project(access.project(), &access.place().full_path, "merge_request_approved");
        let entry = entry.target("MergeRequest", id.0).details(json!({ "iid": iid }));
        audit::record(&mut tx, access.viewer(), entry, now).await?;
    }
    let approvals = tell(forge, &mut tx, &access, iid, "approved", now).await?;
    tx.commit().await?;
    Ok(approvals)
}

/// Takes back that the caller approved a merge request.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or the caller has not approved it.
pub async fn unapprove(
    forge: &Forge,
    access: &Authorized<act::ApproveMergeRequest>,
    iid: i64,
) -> Result<Approvals, Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let merge_request = get_in(&mut tx, &access, iid).await?;
    if !merge_requests::unapprove(&mut tx, merge_request.id, access.identity()?.user).await? {
        return Err(Error::NotFound("Approval"));
    }
    let approvals = tell(forge, &mut tx, &access, iid, "unapproved", now).await?;
    tx.commit().await?;
    Ok(approvals)
}

/// Says among the comments and to the hooks what was done, and returns who approves now.
async fn tell(
    forge: &Forge,
    tx: &mut Tx,
    access: &Authorized<act::ApproveMergeRequest>,
    iid: i64,
    word: &'static str,
    now: i64,
) -> Result<Approvals, Error> {
    let merge_request = get_in(tx, access, iid).await?;
    add_system_note(tx, access, merge_request.id, &format!("{word} this merge request"), now).await?;
    merge_requests::touch(tx, access.project(), merge_request.id, now).await?;
    let merge_request = get_in(tx, access, iid).await?;
    for details in with_details(tx, vec![merge_request.clone()]).await? {
        occasions::merge_request(forge, tx, access, &details, word).await?;
    }
    of(tx, access, merge_request).await
}

/// Takes back every approval of a merge request: for bots, which do that when what was approved has changed.
///
/// # Errors
/// [`Error::NotFound`] when there is none; [`Error::Unauthorized`] when the caller is no bot, or it was merged.
pub async fn reset(
    forge: &Forge,
    access: &Authorized<act::UpdateMergeRequest>,
    iid: i64,
) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let access = access.again(forge, &mut tx).await?;
    merge_requests::lock(&mut tx, access.project(), iid).await?;
    let merge_request = get_in(&mut tx, &access, iid).await?;
    if !access.identity()?.bot || merge_request.state() == MergeRequestState::Merged {
        return Err(Error::Unauthorized);
    }
    merge_requests::reset_approvals(&mut tx, merge_request.id).await?;
    merge_requests::touch(&mut tx, access.project(), merge_request.id, now).await?;
    let entry = Entry::project(access.project(), &access.place().full_path, "merge_request_approvals_reset");
    let entry = entry.target("MergeRequest", merge_request.id.0).details(json!({ "iid": iid }));
    audit::record(&mut tx, access.viewer(), entry, now).await?;
    tx.commit().await?;
    Ok(())
}
