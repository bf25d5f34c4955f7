//! Commits, branches and tags that are made and deleted through the API, without a work tree.
//!
//! Nothing here decides or records by itself. Each verb reads what is there, prepares what shall be, and hands it to
//! `ref_changes.rs`, as a push does. Nobody waits for a turn at a branch: when it has moved since it was read, nothing
//! happens, and the caller is told.

use std::sync::Arc;

use portcullis_git::{
    Authorship, Commit, Content, NewCommit, NewTag, ObjectId, Prepared, RefName, RefUpdate, RepositoryPath,
};
pub use portcullis_git::{FileChange, FilePath};
use portcullis_rules::access::{Act, act, on};
use portcullis_store::{projects, protected_branches, users};

use crate::Error;
use crate::access::Authorized;
use crate::branches::Protection;
use crate::commits::resolved;
use crate::forge::Forge;
use crate::ref_changes::{
    ApiChange, Change, Decision, History, Refusal, Refused, Right, decide, intend, settle,
};
use crate::repository_branches::{self, BranchDetails};
use crate::tags::{self, TagDetails};

/// How many files of one commit may be compared with what the caller saw of them.
const MAX_COMPARED_FILES: usize = 20;

/// How many merged branches are deleted at once.
const MAX_MERGED_BRANCHES: usize = 1000;

/// What the new commit of a branch is made on top of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// What the branch has.
    ItsOwn,
    /// What this branch has; the one that is committed to is new, or is replaced.
    Branch(String),
    /// The commit with this id; the branch is new, or is replaced.
    Commit(String),
}

/// What is done to a file, and what the caller knows about it.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// What is done.
    pub change: FileChange,
    /// The last commit that the caller knows to have changed the file.
    pub last_commit: Option<String>,
}

/// A commit that is asked for.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// The branch.
    pub branch: String,
    /// What the commit is made on top of.
    pub start: Start,
    /// Whether a branch that is there may be replaced by one that starts elsewhere.
    pub force: bool,
    /// The message.
    pub message: String,
    /// Who wrote the change; the caller when absent.
    pub author_name: Option<String>,
    /// Their address; the caller's when absent.
    pub author_email: Option<String>,
    /// What is done to the files, in this order.
    pub changes: Vec<ChangeRequest>,
}

/// Whether a commit is applied once more or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Once more: what it changed is done to a branch.
    Apply,
    /// Taken back: what it changed is undone on a branch.
    Revert,
}

/// Whether something is only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It is done.
    Real,
    /// It is found out whether it could be done.
    Dry,
}

/// What became of picking a commit.
#[derive(Clone, Debug)]
pub enum Picked {
    /// It is the last commit of the branch now.
    Done(Box<Commit>),
    /// It could be done.
    Possible,
    /// The branch has changed the same places.
    Conflict,
    /// The branch already is as it would become.
    Empty,
}

/// Makes a commit on a branch, which comes into being where it is not there.
///
/// # Errors
/// [`Error::Inapplicable`] when the branch, what it starts from or a file is not as it would have to be;
/// [`Error::Forbidden`] when a protection is in the way.
pub async fn commit(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    request: CommitRequest,
) -> Result<Commit, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let name = branch_name(&request.branch)?;
    let tip = tip(forge, access, &request.branch).await?;
    let elsewhere = match &request.start {
        Start::ItsOwn => false,
        Start::Branch(start) => *start != request.branch,
        Start::Commit(_) => true,
    };
    if elsewhere && tip.is_some() && !request.force {
        return Err(Error::Inapplicable(format!(
            "A branch called '{}' already exists. Switch to that branch in order to make changes",
            request.branch
        )));
    }
    let parent = match &request.start {
        Start::Branch(start) if elsewhere => start_of_branch(forge, access, start).await?,
        Start::Commit(start) => Some(start_commit(forge, access, start).await?),
        _ if tip.is_none() => start_of_branch(forge, access, &request.branch).await?,
        _ => tip.clone(),
    };
    let history = match (&tip, &parent) {
        (Some(tip), Some(parent)) if !git.is_ancestor(id, tip, parent).await? => History::IsReplaced,
        (Some(_), None) => History::IsReplaced,
        _ => History::GoesOn,
    };
    check_likely(forge, access, &name, tip.as_ref(), parent.as_ref(), history).await?;
    check_files(forge, access, parent.as_ref(), &request.changes).await?;

    let committer = authorship_of(forge, access).await?;
    let mut author = committer.clone();
    author.name = request.author_name.filter(|name| !name.trim().is_empty()).unwrap_or(author.name);
    author.email = request.author_email.filter(|email| !email.trim().is_empty()).unwrap_or(author.email);
    let new = NewCommit {
        parents: parent.into_iter().collect(),
        content: Content::Changed(request.changes.into_iter().map(|request| request.change).collect()),
        author,
        committer,
        message: request.message,
    };
    let prepared = git.prepare_commit(id, new).await?;
    let made = prepared.id().clone();
    let update = RefUpdate::new(name, tip, Some(made.clone()))?;
    change(forge, access, Some(prepared), vec![update], history).await?.or_told()?;
    resolved(forge, access, made.as_str()).await
}

/// Makes a branch at what `revision` names: a branch, a tag or an id.
///
/// # Errors
/// [`Error::Inapplicable`] when the branch exists, cannot be called that, or nothing is called `revision`;
/// [`Error::Forbidden`] when a protection is in the way.
pub async fn create_branch(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    branch: &str,
    revision: &str,
) -> Result<BranchDetails, Error> {
    let name = branch_name(branch)?;
    let exists = || Error::Inapplicable("Branch already exists".to_owned());
    if tip(forge, access, branch).await?.is_some() {
        return Err(exists());
    }
    let invalid = || {
        Error::Inapplicable(format!(
            "Failed to create branch '{branch}': invalid reference name '{revision}'"
        ))
    };
    let target = forge.git().find_commit(access.project().0, revision).await?.ok_or_else(invalid)?;
    let update = RefUpdate::new(name, None, Some(target.id))?;
    change(forge, access, [], vec![update], History::GoesOn).await?.or(exists)?;
    repository_branches::find(forge, access, branch).await
}

/// Deletes a branch.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Inapplicable`] for the default branch; [`Error::Forbidden`] when a protection is in the way.
pub async fn delete_branch(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    branch: &str,
) -> Result<(), Error> {
    let found =
        forge.git().find_branch(access.project().0, branch).await?.ok_or(Error::NotFound("Branch"))?;
    let update = RefUpdate::new(found.name, Some(found.tip), None)?;
    change(forge, access, [], vec![update], History::GoesOn).await?.or_told()
}

/// Deletes the branches that the default branch holds all commits of, but for the protected ones.
///
/// # Errors
/// [`Error::Inapplicable`] when one of them moved meanwhile: then none is deleted.
pub async fn delete_merged_branches(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
) -> Result<(), Error> {
    let (git, id) = (forge.git(), access.project().0);
    let mut tx = forge.db().read().await?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    let protected = protected_branches::of_project(&mut tx, project.id).await?;
    drop(tx);
    let Some(default) = git.find_branch(id, &project.default_branch).await? else { return Ok(()) };
    let mut branches = git.branches(id).await?;
    branches.retain(|branch| {
        let name = branch.name.branch().unwrap_or_default();
        branch.name != default.name && !Protection::of(name, &protected).exists()
    });
    let names: Vec<_> = branches.iter().map(|branch| branch.name.clone()).collect();
    let merged = git.merged_branches(id, &default.tip, &names).await?;
    let merged =
        branches.into_iter().filter(|branch| merged.contains(&branch.name)).take(MAX_MERGED_BRANCHES);
    let updates = merged
        .map(|branch| RefUpdate::new(branch.name, Some(branch.tip), None))
        .collect::<Result<Vec<_>, _>>()?;
    if updates.is_empty() {
        return Ok(());
    }
    change(forge, access, [], updates, History::GoesOn).await?.or_told()
}

/// Makes a tag at what `revision` names; an annotated one when there is a message.
///
/// # Errors
/// [`Error::Inapplicable`] when the tag exists, cannot be called that, or nothing is called `revision`.
pub async fn create_tag(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    tag: &str,
    revision: &str,
    message: Option<String>,
) -> Result<TagDetails, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let name = RefName::parse(&format!("refs/tags/{tag}"))
        .map_err(|_| Error::Inapplicable("Tag name invalid".to_owned()))?;
    let exists = || Error::Inapplicable(format!("Tag {tag} already exists"));
    if git.find_tag(id, tag).await?.is_some() {
        return Err(exists());
    }
    let invalid = || Error::Inapplicable(format!("Target {revision} is invalid"));
    let target = git.find_commit(id, revision).await?.ok_or_else(invalid)?.id;
    let prepared = match message.filter(|message| !message.trim().is_empty()) {
        Some(message) => {
            let tagger = authorship_of(forge, access).await?;
            let new = NewTag { name: name.clone(), target: target.clone(), tagger, message };
            Some(git.prepare_tag(new).await?)
        }
        None => None,
    };
    let new = prepared.as_ref().map_or(target, |prepared| prepared.id().clone());
    let update = RefUpdate::new(name, None, Some(new))?;
    change(forge, access, prepared, vec![update], History::GoesOn).await?.or(exists)?;
    tags::find(forge, access, tag).await
}

/// Deletes a tag.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn delete_tag(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    tag: &str,
) -> Result<(), Error> {
    let found = forge.git().find_tag(access.project().0, tag).await?.ok_or(Error::NotFound("Tag"))?;
    let update = RefUpdate::new(found.name, Some(found.target), None)?;
    change(forge, access, [], vec![update], History::GoesOn).await?.or_told()
}

/// Does once more, or takes back, on a branch what a commit changed; of a merge, what it changed for its first parent.
///
/// # Errors
/// [`Error::NotFound`] for the commit or the branch; [`Error::Forbidden`] when a protection is in the way.
pub async fn pick(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    pick: Pick,
    revision: &str,
    branch: &str,
    message: Option<String>,
    trial: Trial,
) -> Result<Picked, Error> {
    let (git, id) = (forge.git(), access.project().0);
    let source = resolved(forge, access, revision).await?;
    let onto = git.find_branch(id, branch).await?.ok_or(Error::NotFound("Branch"))?;
    let ours = resolved(forge, access, onto.tip.as_str()).await?;
    let before = match source.parents.first() {
        Some(parent) => Some(resolved(forge, access, parent.as_str()).await?.tree),
        None => None,
    };
    let after = Some(&source.tree);
    let (base, theirs) = match pick {
        Pick::Apply => (before.as_ref(), after),
        Pick::Revert => (after, before.as_ref()),
    };
    check_likely(forge, access, &onto.name, Some(&onto.tip), Some(&onto.tip), History::GoesOn).await?;
    let Some(tree) = git.merge_trees(id, base, &ours.tree, theirs).await? else {
        return Ok(Picked::Conflict);
    };
    if tree == ours.tree {
        return Ok(Picked::Empty);
    }
    if trial == Trial::Dry {
        return Ok(Picked::Possible);
    }
    let committer = authorship_of(forge, access).await?;
    let (author, usual) = match pick {
        Pick::Apply => (
            source.author.clone(),
            format!("{}\n\n(cherry picked from commit {})", source.message.trim_end(), source.id),
        ),
        Pick::Revert => (
            committer.clone(),
            format!("Revert \"{}\"\n\nThis reverts commit {}.", source.title(), source.id),
        ),
    };
    let message = message.filter(|message| !message.trim().is_empty()).unwrap_or(usual);
    let parents = vec![onto.tip.clone()];
    let new = NewCommit { parents, content: Content::Tree(tree), author, committer, message };
    let prepared = git.prepare_commit(id, new).await?;
    let made = prepared.id().clone();
    let update = RefUpdate::new(onto.name, Some(onto.tip), Some(made.clone()))?;
    change(forge, access, Some(prepared), vec![update], History::GoesOn).await?.or_told()?;
    Ok(Picked::Done(Box::new(resolved(forge, access, made.as_str()).await?)))
}

fn branch_name(branch: &str) -> Result<RefName, Error> {
    RefName::branch_named(branch).map_err(|_| Error::Inapplicable("Branch name is invalid".to_owned()))
}

async fn tip(
    forge: &Forge,
    access: &Authorized<act::WriteRepository>,
    branch: &str,
) -> Result<Option<ObjectId>, Error> {
    Ok(forge.git().find_branch(access.project().0, branch).await?.map(|branch| branch.tip))
}

/// Returns the commit that a branch has, which only in an empty repository can be none.
async fn start_of_branch(
    forge: &Forge,
    access: &Authorized<act::WriteRepository>,
    branch: &str,
) -> Result<Option<ObjectId>, Error> {
    let tip = tip(forge, access, branch).await?;
    if tip.is_none() && forge.git().has_commits(access.project().0).await? {
        return Err(Error::Inapplicable(
            "You can only create or edit files when you are on a branch".to_owned(),
        ));
    }
    Ok(tip)
}

async fn start_commit(
    forge: &Forge,
    access: &Authorized<act::WriteRepository>,
    start: &str,
) -> Result<ObjectId, Error> {
    let id = ObjectId::parse(&start.to_ascii_lowercase())
        .ok_or_else(|| Error::Inapplicable(format!("Invalid start_sha '{start}'")))?;
    let found = forge.git().commits(access.project().0, vec![id]).await?.pop();
    found
        .map(|commit| commit.id)
        .ok_or_else(|| Error::Inapplicable(format!("Cannot find start_sha '{start}'")))
}

/// Makes sure that files are as the caller last saw them, where that was said.
async fn check_files(
    forge: &Forge,
    access: &Authorized<act::WriteRepository>,
    parent: Option<&ObjectId>,
    changes: &[ChangeRequest],
) -> Result<(), Error> {
    let said: Vec<_> =
        changes.iter().filter_map(|change| Some((change, change.last_commit.as_ref()?))).collect();
    if said.len() > MAX_COMPARED_FILES {
        let text = format!("last_commit_id can be given for at most {MAX_COMPARED_FILES} files of a commit");
        return Err(Error::Inapplicable(text));
    }
    for (change, known) in said {
        let path = match &change.change {
            FileChange::Move { from, .. } => from,
            FileChange::Create { path, .. }
            | FileChange::Update { path, .. }
            | FileChange::Delete { path }
            | FileChange::SetExecutable { path, .. } => path,
        };
        let (Some(parent), Some(path)) = (parent, RepositoryPath::parse(path.as_str())) else { continue };
        // Nothing has changed either when it is the very commit that the change is made on top of.
        if known == parent.as_str() {
            continue;
        }
        let last = forge.git().last_commit_of(access.project().0, parent, path).await?;
        if last.is_some_and(|last| last.as_str() != known) {
            return Err(Error::Inapplicable(
                "You are attempting to update a file that has changed since you started editing it."
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Returns how commits name the caller, now.
pub(crate) async fn authorship_of<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
) -> Result<Authorship, Error> {
    let user = access.identity()?.user;
    let mut tx = forge.db().read().await?;
    let user = users::find(&mut tx, user).await?.ok_or(Error::Unauthorized)?;
    Ok(Authorship { name: user.name, email: user.email, at: forge.now(), offset_minutes: 0 })
}

/// Asks whether a commit on top of `parent` could be put on a branch, before it is known which one: whoever may not is
/// told that, and not what is wrong with the rest, and makes no work. The change itself is decided when it is known.
async fn check_likely(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    name: &RefName,
    tip: Option<&ObjectId>,
    parent: Option<&ObjectId>,
    history: History,
) -> Result<(), Error> {
    let Some(parent) = parent.or(tip) else { return Ok(()) };
    let likely = RefUpdate::new(name.clone(), tip.cloned(), Some(parent.clone()))?;
    permitted(forge, access, &[likely], history).await.map(|_| ())
}

/// Asks whether refs may change so, and returns the proof, made again.
pub(crate) async fn permitted(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    updates: &[RefUpdate],
    history: History,
) -> Result<Authorized<act::WriteRepository>, Error> {
    let change = ApiChange { updates, history, right: Right::Push };
    match decide(forge, access, &Change::Api(change)).await? {
        Decision::Accept(access) => Ok(access),
        Decision::Refuse(refusals) => Err(refused(refusals)),
    }
}

/// What became of a change that may happen.
pub(crate) enum Outcome {
    /// It has happened.
    Done,
    /// The ref with this name was no longer what it was when it was read.
    Moved(RefName),
}

impl Outcome {
    /// Says it in words of its own when nothing has happened.
    fn or(self, told: impl FnOnce() -> Error) -> Result<(), Error> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::Moved(_) => Err(told()),
        }
    }

    /// Says which ref it was when nothing has happened.
    pub(crate) fn or_told(self) -> Result<(), Error> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::Moved(name) => {
                Err(Error::Inapplicable(format!("Could not update {name}. Please refresh and try again.")))
            }
        }
    }
}

/// Writes what was prepared and moves the refs, if that may happen: as a push does, and to its end even if nobody waits
/// for it any more.
pub(crate) async fn change(
    forge: &Arc<Forge>,
    access: &Authorized<act::WriteRepository>,
    prepared: impl IntoIterator<Item = Prepared, IntoIter: Send> + Send + 'static,
    updates: Vec<RefUpdate>,
    history: History,
) -> Result<Outcome, Error> {
    let (forge, access) = (Arc::clone(forge), access.clone());
    let work = async move {
        let (git, project) = (forge.git(), access.project().0);
        // First the objects: from the decision on nothing is waited for that takes long.
        for prepared in prepared {
            git.write(project, prepared).await?;
        }
        let access = permitted(&forge, &access, &updates, history).await?;
        let pending = intend(&forge, &access, &updates).await?;
        match git.change_refs(project, &updates).await {
            Ok(()) => {
                if let Err(error) = settle(&forge, pending, &updates).await {
                    // The refs have moved; the record is settled later from the repository.
                    tracing::error!(project.id = project, %error, "a change could not be recorded yet");
                }
                Ok(Outcome::Done)
            }
            Err(portcullis_git::Error::Moved(name)) => {
                settle(&forge, pending, &[]).await?;
                Ok(Outcome::Moved(name))
            }
            Err(
                error @ (portcullis_git::Error::Inapplicable(_) | portcullis_git::Error::Overloaded { .. }),
            ) => {
                settle(&forge, pending, &[]).await?;
                Err(error.into())
            }
            // Nobody knows whether the refs have moved. The row stays until the repository says it.
            Err(error) => Err(error.into()),
        }
    };
    tokio::spawn(work).await.map_err(|error| Error::Internal(Box::new(error)))?
}

/// Returns the answer to what was refused: to something that nobody may, or to somebody who may not.
pub(crate) fn refused(refusals: Vec<Refusal>) -> Error {
    let Some(first) = refusals.into_iter().next() else { return Error::Unauthorized };
    match first.who {
        Refused::Everybody => Error::Inapplicable(first.text),
        Refused::ThisCaller => Error::Forbidden(first.text),
    }
}
