//! Changes of refs, by a push or by the API: whether they may happen, and what they leave behind.
//!
//! Everything that moves a branch or a tag goes through the same three steps. [`decide`] asks again, at the last moment,
//! whether the token is alive, the role still suffices, and what each ref is protected by. [`intend`] writes down who is
//! about to change what, before a ref moves. [`settle`] records what has happened: events, an entry of the audit log,
//! jobs. Should the server die between the last two, what was written down is settled later by comparing it with the
//! repository.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_git::{ProposedPush, RefUpdate, UpdateKind};
use portcullis_rules::access::{Act, Role, on};
use portcullis_store::db::Tx;
use portcullis_store::events::{self, NewEvent};
use portcullis_store::projects::{self, Project};
use portcullis_store::protected_branches::{self, ProtectedBranch};
use portcullis_store::protected_tags::ProtectedTag;
use portcullis_store::pushes::{self, Push};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::access::Authorized;
use crate::audit::{self, Entry};
use crate::branches::Protection;
use crate::forge::Forge;
use crate::jobs::{self, Job};
use crate::merge_requests::merged::{self, RecordedMerge};
use crate::merge_requests::refresh;
use crate::projects::protect_default;
use crate::protected_tags;
use crate::webhooks::occasions;

/// What is about to change refs.
pub(crate) enum Change<'a> {
    /// A push whose objects have arrived.
    Push(&'a ProposedPush),
    /// What the API was asked for.
    Api(ApiChange<'a>),
}

/// What the API was asked for.
#[derive(Clone, Copy)]
pub(crate) struct ApiChange<'a> {
    /// The refs.
    pub updates: &'a [RefUpdate],
    /// Whether the updates keep the history that there was.
    pub history: History,
    /// By which right.
    pub right: Right,
}

/// By which right a protected branch goes forward. Everything else, as making, deleting or replacing one, is a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To push to it.
    Push,
    /// To merge into it; who may push to it may merge too, as in GitLab.
    Merge,
}

/// What becomes of the commits that a branch had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// They stay part of it.
    GoesOn,
    /// Some of them no longer are.
    IsReplaced,
}

impl Change<'_> {
    fn updates(&self) -> &[RefUpdate] {
        match self {
            Change::Push(push) => push.updates(),
            Change::Api(change) => change.updates,
        }
    }

    /// Returns whether a protection lets somebody with this role make the update.
    fn is_let(&self, update: &RefUpdate, protection: &Protection<'_>, role: Option<Role>) -> bool {
        let merges = matches!(self, Change::Api(ApiChange { right: Right::Merge, .. }));
        let goes_forward = update.kind == UpdateKind::Update;
        protection.lets_push(role) || (merges && goes_forward && protection.lets_merge(role))
    }

    async fn is_forced(&self, update: &RefUpdate) -> Result<bool, Error> {
        match self {
            Change::Push(push) => Ok(push.is_forced(update).await?),
            Change::Api(change) => {
                Ok(update.kind == UpdateKind::Update && change.history == History::IsReplaced)
            }
        }
    }
}

/// What is said to a change.
#[expect(clippy::large_enum_variant, reason = "there is one for a push, and it is taken apart at once")]
pub(crate) enum Decision<A: Act<On = on::Project>> {
    /// All of it may happen. With the proof, made again.
    Accept(Authorized<A>),
    /// None of it may. Never empty.
    Refuse(Vec<Refusal>),
}

/// Why a ref may not be changed.
pub(crate) struct Refusal {
    /// Whom this is said to.
    pub who: Refused,
    /// In the words that GitLab's users know.
    pub text: String,
}

/// Whom a refusal is said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// To whoever asks.
    Everybody,
    /// To this caller, because of their role or a protection.
    ThisCaller,
}

/// One ref as the record of a push keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedUpdate {
    pub name: String,
    pub old: String,
    pub new: String,
    /// The merge request that is merged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<RecordedMerge>,
}

impl RecordedUpdate {
    pub(crate) fn of(update: &RefUpdate) -> RecordedUpdate {
        RecordedUpdate {
            name: update.name.as_str().to_owned(),
            old: update.old.as_str().to_owned(),
            new: update.new.as_str().to_owned(),
            merge: None,
        }
    }

    fn is_zero(id: &str) -> bool {
        id.bytes().all(|byte| byte == b'0')
    }

    pub(crate) fn creates(&self) -> bool {
        RecordedUpdate::is_zero(&self.old)
    }

    pub(crate) fn deletes(&self) -> bool {
        RecordedUpdate::is_zero(&self.new)
    }

    pub(crate) fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }

    fn tag(&self) -> Option<&str> {
        self.name.strip_prefix("refs/tags/")
    }
}

/// Every protection of a project that a change may touch.
struct Protected {
    branches: Vec<ProtectedBranch>,
    /// Empty when no tag changes.
    tags: Vec<ProtectedTag>,
}

/// Decides whether a change may happen.
///
/// # Errors
/// [`Error::Unauthorized`] when the credential died, [`Error::Refused`] when the caller may change nothing at all, or what
/// kept it from being decided: then it must not happen either.
pub(crate) async fn decide<A: Act<On = on::Project>>(
    forge: &Arc<Forge>,
    access: &Authorized<A>,
    change: &Change<'_>,
) -> Result<Decision<A>, Error> {
    let mut tx = forge.db().read().await?;
    // What an earlier push did whose server died is recorded before this one hides it by moving the same refs.
    let unsettled = pushes::unsettled_of(&mut tx, access.project()).await?;
    if !unsettled.is_empty() {
        drop(tx);
        for push in unsettled {
            settle_what_happened(forge, push, true).await?;
        }
        tx = forge.db().read().await?;
    }
    let access = access.again(forge, &mut tx).await?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    let protected = Protected {
        branches: protected_branches::of_project(&mut tx, project.id).await?,
        tags: match change.updates().iter().any(|update| update.name.tag().is_some()) {
            true => portcullis_store::protected_tags::of_project(&mut tx, project.id).await?,
            false => Vec::new(),
        },
    };
    drop(tx);

    let mut refusals = Vec::new();
    for update in change.updates() {
        // Each ref starts from nothing: what was found out about one never counts for the next.
        refusals.extend(refusal_of(update, &project, &protected, access.role(), change).await?);
    }
    Ok(if refusals.is_empty() { Decision::Accept(access) } else { Decision::Refuse(refusals) })
}

/// Writes down who is about to change what, and returns the number of that row, for [`settle`].
pub(crate) async fn intend<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    updates: &[RefUpdate],
) -> Result<i64, Error> {
    let updates: Vec<_> = updates.iter().map(RecordedUpdate::of).collect();
    let mut tx = forge.db().begin().await?;
    let id = intend_within(&mut tx, forge, access, &updates).await?;
    tx.commit().await?;
    Ok(id)
}

/// As [`intend`], in a transaction that has more to say about it.
pub(crate) async fn intend_within<A: Act<On = on::Project>>(
    tx: &mut Tx,
    forge: &Forge,
    access: &Authorized<A>,
    updates: &[RecordedUpdate],
) -> Result<i64, Error> {
    let identity = access.identity()?;
    let updates = serde_json::to_string(updates).map_err(|error| Error::Internal(Box::new(error)))?;
    let address = access.viewer().origin().address.map(|address| address.to_string());
    let (address, token) = (address.as_deref(), identity.token());
    Ok(pushes::insert(tx, access.project(), identity.user, token, address, &updates, forge.now()).await?)
}

/// Returns why one ref may not be changed, in the words that GitLab's users know.
async fn refusal_of(
    update: &RefUpdate,
    project: &Project,
    protected: &Protected,
    role: Option<Role>,
    change: &Change<'_>,
) -> Result<Option<Refusal>, Error> {
    let refuse = |text: &str| Ok(Some(Refusal { who: Refused::ThisCaller, text: text.to_owned() }));
    let refuse_everybody = |text: &str| Ok(Some(Refusal { who: Refused::Everybody, text: text.to_owned() }));
    let maintainer = role.is_some_and(|role| role >= Role::Maintainer);
    let hex = |name: &str, lengths: &[usize]| {
        lengths.contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if let Some(branch) = update.name.branch() {
        if update.kind == UpdateKind::Delete && branch == project.default_branch {
            return refuse_everybody("The default branch of a project cannot be deleted.");
        }
        if update.kind == UpdateKind::Create && hex(branch, &[40, 64]) {
            return refuse_everybody(
                "You cannot create a branch with a 40-character hexadecimal branch name.",
            );
        }
        if project.empty {
            // The first branch becomes the default one, which is protected from then on.
            let text = format!(
                "A default branch does not exist yet in {}. Ask a project Owner or Maintainer to create one.",
                project.full_path
            );
            return Ok((!maintainer).then_some(Refusal { who: Refused::ThisCaller, text }));
        }
        let protection = Protection::of(branch, &protected.branches);
        if !protection.exists() {
            return Ok(None);
        }
        if update.kind == UpdateKind::Delete {
            // Somebody who names the one branch over the API means it; a push may bring many.
            if maintainer && matches!(change, Change::Api(_)) {
                return Ok(None);
            }
            return refuse(if maintainer {
                "You can only delete protected branches using the web interface."
            } else {
                "You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch."
            });
        }
        if !change.is_let(update, &protection, role) {
            return refuse(if update.kind == UpdateKind::Create {
                "You are not allowed to create protected branches on this project."
            } else {
                "You are not allowed to push code to protected branches on this project."
            });
        }
        if !protection.lets_force() && change.is_forced(update).await? {
            return refuse("You are not allowed to force push code to a protected branch on this project.");
        }
        return Ok(None);
    }
    if let Some(tag) = update.name.tag() {
        if update.kind == UpdateKind::Create {
            if tag == project.default_branch {
                return refuse_everybody("You cannot use default branch name to create a tag");
            }
            let start =
                tag.split(|character: char| !character.is_ascii_hexdigit()).next().unwrap_or_default();
            if hex(start, &[40, 64]) {
                return refuse_everybody("You cannot create a tag with a SHA-1 or SHA-256 tag name.");
            }
            if tag.starts_with("refs/tags/") {
                return refuse_everybody("You cannot create a tag with a prohibited pattern.");
            }
        } else if update.kind == UpdateKind::Update && !maintainer {
            return refuse("You are not allowed to change existing tags on this project.");
        }
        let protection = protected_tags::Protection::of(tag, &protected.tags);
        if !protection.exists() {
            return Ok(None);
        }
        return match update.kind {
            UpdateKind::Create if protection.lets_create(role) => Ok(None),
            UpdateKind::Create => refuse("You are not allowed to create this tag as it is protected."),
            UpdateKind::Update => refuse("Protected tags cannot be updated."),
            // Somebody who names the one tag over the API means it; a push may bring many.
            UpdateKind::Delete if maintainer && matches!(change, Change::Api(_)) => Ok(None),
            UpdateKind::Delete => refuse(if maintainer {
                "You can only delete protected tags using the web interface."
            } else {
                "You are not allowed to delete protected tags from this project. Only a project maintainer or owner can delete a protected tag."
            }),
        };
    }
    // Notes are written by those who may push; every other namespace was refused by the engine.
    if update.name.note().is_some() {
        Ok(None)
    } else {
        refuse_everybody("You cannot push to this namespace.")
    }
}

/// How many refs of one push get an entry each in the activity feed.
const MAX_EVENTS_OF_A_PUSH: usize = 50;

/// Settles a push of which nobody has said yet what became of it, by what the repository says.
///
/// One that has wholly happened is settled at any time. Should its server live and record it at this very moment, one of
/// the two finds its row and the other does not. Of any other push the refs may still be about to move.
pub(crate) async fn settle_what_happened(
    forge: &Arc<Forge>,
    push: Push,
    may_still_move: bool,
) -> Result<(), Error> {
    let proposed: Vec<RecordedUpdate> = serde_json::from_str(&push.updates).unwrap_or_default();
    let refs = match forge.git().refs(push.project.0).await {
        Ok(refs) => refs,
        Err(portcullis_git::Error::NotFound) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let tips: HashMap<_, _> = refs.iter().map(|(name, tip)| (name.as_str(), tip.as_str())).collect();
    let (happened, others): (Vec<_>, Vec<_>) =
        proposed.into_iter().partition(|update| match tips.get(update.name.as_str()) {
            Some(tip) => *tip == update.new,
            None => update.deletes(),
        });
    if others.is_empty() || !may_still_move {
        settle_recorded(forge, push.id, &happened).await?;
    }
    Ok(())
}

/// Records what an accepted change did, and takes away the row that says it is not recorded yet: one transaction, so that
/// it happens exactly once. One that did nothing leaves no trace.
pub(crate) async fn settle(forge: &Arc<Forge>, pending: i64, updates: &[RefUpdate]) -> Result<(), Error> {
    let updates: Vec<_> = updates.iter().map(RecordedUpdate::of).collect();
    settle_recorded(forge, pending, &updates).await
}

async fn settle_recorded(forge: &Arc<Forge>, pending: i64, updates: &[RecordedUpdate]) -> Result<(), Error> {
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    let Some(push) = pushes::take(&mut tx, pending).await? else { return Ok(()) };
    let mut new_default = None;
    if !updates.is_empty() {
        let project = projects::find(&mut tx, push.project).await?;
        let Some(project) = project else {
            tx.commit().await?;
            return Ok(());
        };
        let created =
            |name: &str| updates.iter().any(|update| update.branch() == Some(name) && !update.deletes());
        let branch_arrived = updates.iter().find(|update| update.branch().is_some() && !update.deletes());
        projects::record_push(&mut tx, project.id, branch_arrived.is_some(), now).await?;
        if let Some(first) = branch_arrived.and_then(RecordedUpdate::branch).filter(|_| project.empty) {
            let default = if created(&project.default_branch) { &project.default_branch } else { first };
            if default != project.default_branch {
                projects::set_default_branch(&mut tx, project.id, default).await?;
                new_default = Some(default.to_owned());
            }
            protect_default(&mut tx, project.id, default, now).await?;
        }
        record_events(forge, &mut tx, &push, updates, now).await?;
        jobs::ask(&mut tx, &Job::Housekeeping { project: project.id }, now).await?;
        record_audit(&mut tx, &push, &project, updates, now).await?;
        if let [update] = updates {
            record_merge(&mut tx, &push, &project, update, now).await?;
        }
        refresh::ask_after(&mut tx, &push, updates, now).await?;
    }
    tx.commit().await?;
    if let Some(branch) = new_default {
        forge.git().set_default_branch(push.project.0, &branch).await?;
    }
    let wake = Arc::clone(forge.jobs_wake());
    tokio::spawn(async move {
        tokio::time::sleep(DESCRIBE_AFTER).await;
        wake.notify_waiters();
    });
    Ok(())
}

/// Records that a merge request was merged, if an update was made to do that.
async fn record_merge(
    tx: &mut Tx,
    push: &Push,
    project: &Project,
    update: &RecordedUpdate,
    now: i64,
) -> Result<(), Error> {
    let proposed: Vec<RecordedUpdate> = serde_json::from_str(&push.updates).unwrap_or_default();
    let Some(merge) =
        proposed.into_iter().find(|proposed| proposed.name == update.name).and_then(|it| it.merge)
    else {
        return Ok(());
    };
    let by = merged::Merger { user: Some(push.user), token: push.token, address: push.address.as_deref() };
    let branch = update.branch().unwrap_or_default();
    merged::record(tx, project, &by, &merge, (branch, &update.new), now).await
}

/// How long after a push the workers are woken to count its commits: not while its client still waits for Git to end.
const DESCRIBE_AFTER: Duration = Duration::from_millis(250);

/// A push that changes more refs than this is not told to web hooks, as in GitLab.
const MAX_REFS_TOLD: usize = 3;

async fn record_events(
    forge: &Forge,
    tx: &mut Tx,
    push: &Push,
    updates: &[RecordedUpdate],
    now: i64,
) -> Result<(), Error> {
    let shown = updates.iter().filter(|update| update.branch().is_some() || update.tag().is_some());
    for update in shown.take(MAX_EVENTS_OF_A_PUSH) {
        let (kind, name) = match (update.branch(), update.tag()) {
            (Some(branch), _) => ("branch", branch),
            (None, tag) => ("tag", tag.unwrap_or_default()),
        };
        let (action, change) = match (update.creates(), update.deletes()) {
            (_, true) => ("deleted", "removed"),
            (true, _) => ("pushed new", "created"),
            _ => ("pushed to", "pushed"),
        };
        let details = json!({
            "commit_count": 0,
            "action": change,
            "ref_type": kind,
            "commit_from": (!update.creates()).then_some(&update.old),
            "commit_to": (!update.deletes()).then_some(&update.new),
            "ref": name,
            "commit_title": null,
            "ref_count": null,
        })
        .to_string();
        let event = NewEvent {
            project: push.project,
            author: push.user,
            token: push.token,
            action,
            target_type: None,
            target_id: None,
            target_iid: None,
            target_title: None,
            details: Some(&details),
        };
        let event = events::insert(tx, &event, now).await?;
        if !update.deletes() {
            jobs::ask(tx, &Job::DescribePush { project: push.project, event }, now).await?;
        }
        if updates.len() <= MAX_REFS_TOLD
            && occasions::wants_push(forge, tx, push.project, update.branch()).await?
        {
            let told = Job::TellOfPush { project: push.project, user: push.user, event };
            jobs::ask(tx, &told, now).await?;
        }
    }
    Ok(())
}

async fn record_audit(
    tx: &mut Tx,
    push: &Push,
    project: &Project,
    updates: &[RecordedUpdate],
    now: i64,
) -> Result<(), Error> {
    let user = portcullis_store::users::find(tx, push.user).await?;
    let shown: Vec<_> = updates.iter().take(MAX_EVENTS_OF_A_PUSH).collect();
    let name = user.map(|user| user.name).unwrap_or_default();
    let entry = Entry::project(project.id, &project.full_path, "repository_pushed")
        .details(json!({ "updates": shown, "update_count": updates.len() }));
    // The request may be long over, so the record of the push says who it was.
    audit::record_as(tx, push.user, &name, push.token, push.address.as_deref(), entry, now).await
}
