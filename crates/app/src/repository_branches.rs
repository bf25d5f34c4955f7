//! The branches of a repository as they are read: each with its commit, and what its protection means.

use std::collections::{HashMap, HashSet};

pub use portcullis_git::Branch;
use portcullis_git::Commit;
use portcullis_rules::access::{Act, Role, act, on};
use portcullis_store::projects::{self, Project};
use portcullis_store::protected_branches::{self, ProtectedBranch};
use portcullis_store::select::{Listing, Window};

use crate::Error;
use crate::access::Authorized;
use crate::branches::Protection;
use crate::commits::cut;
use crate::forge::Forge;
use crate::search::NameFilter;

/// A branch with what is told about it.
#[derive(Clone, Debug)]
pub struct BranchDetails {
    /// Its short name.
    pub name: String,
    /// The commit it points at.
    pub commit: Commit,
    /// Whether all it has is in the default branch, and it is another one.
    pub merged: bool,
    /// Whether a protection covers it.
    pub protected: bool,
    /// Whether it is protected, and Developers may push all the same.
    pub developers_can_push: bool,
    /// Whether it is protected, and Developers may merge all the same.
    pub developers_can_merge: bool,
    /// Whether the role of whoever asks lets them push.
    pub can_push: bool,
    /// Whether it is the default branch.
    pub default: bool,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BranchOrder {
    /// By name.
    #[default]
    NameAscending,
    /// By name, backwards.
    NameDescending,
    /// By the time of the commit.
    UpdatedAscending,
    /// By the time of the commit, newest first.
    UpdatedDescending,
}

/// Lists the branches.
///
/// # Errors
/// [`Error::Overloaded`].
pub async fn list(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    filter: &NameFilter,
    order: BranchOrder,
    window: Window,
) -> Result<Listing<BranchDetails>, Error> {
    let id = access.project().0;
    let mut branches = forge.git().branches(id).await?;
    branches.retain(|branch| filter.fits(branch.name.branch().unwrap_or_default()));
    match order {
        BranchOrder::NameAscending => {}
        BranchOrder::NameDescending => branches.reverse(),
        BranchOrder::UpdatedAscending | BranchOrder::UpdatedDescending => {
            let tips = branches.iter().map(|branch| branch.tip.clone()).collect();
            let times = forge.git().times(id, tips).await?;
            let mut timed: Vec<_> = times.into_iter().zip(branches).collect();
            timed.sort_by_key(|(time, _)| *time);
            if order == BranchOrder::UpdatedDescending {
                timed.reverse();
            }
            branches = timed.into_iter().map(|(_, branch)| branch).collect();
        }
    }
    let page = cut(branches, window);
    let total = page.total;
    Ok(Listing { items: describe(forge, access, page.items).await?, total })
}

/// Returns a branch.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(
    forge: &Forge,
    access: &Authorized<act::ReadCode>,
    name: &str,
) -> Result<BranchDetails, Error> {
    find(forge, access, name).await
}

/// Returns a branch, for whoever may do something with it.
pub(crate) async fn find<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    name: &str,
) -> Result<BranchDetails, Error> {
    let found = forge.git().find_branch(access.project().0, name).await?;
    let branch = found.ok_or(Error::NotFound("Branch"))?;
    describe(forge, access, vec![branch]).await?.pop().ok_or(Error::NotFound("Branch"))
}

/// Adds to branches what is told about them: once for all of them. One whose commit is gone is left out.
pub(crate) async fn describe<A: Act<On = on::Project>>(
    forge: &Forge,
    access: &Authorized<A>,
    branches: Vec<Branch>,
) -> Result<Vec<BranchDetails>, Error> {
    let id = access.project().0;
    let mut tx = forge.db().read().await?;
    let project = projects::find(&mut tx, access.project()).await?.ok_or(Error::NotFound("Project"))?;
    let protections = protected_branches::of_project(&mut tx, access.project()).await?;
    drop(tx);

    let tips = branches.iter().map(|branch| branch.tip.clone()).collect();
    let commits = forge.git().commits(id, tips).await?;
    let commits: HashMap<_, _> = commits.into_iter().map(|commit| (commit.id.clone(), commit)).collect();
    let merged = match forge.git().find_branch(id, &project.default_branch).await? {
        Some(default) => {
            let others = branches.iter().filter(|branch| branch.name != default.name);
            let (same, others): (Vec<_>, Vec<_>) = others.partition(|branch| branch.tip == default.tip);
            let others: Vec<_> = others.into_iter().map(|branch| branch.name.clone()).collect();
            let mut merged = forge.git().merged_branches(id, &default.tip, &others).await?;
            merged.extend(same.into_iter().map(|branch| branch.name.clone()));
            merged
        }
        None => HashSet::new(),
    };
    let described = branches.into_iter().filter_map(|branch| {
        let name = branch.name.branch()?.to_owned();
        let commit = commits.get(&branch.tip)?.clone();
        let standing = Standing::of(&name, &project, &protections, access.role());
        Some(BranchDetails {
            merged: merged.contains(&branch.name),
            protected: standing.protected,
            developers_can_push: standing.developers_can_push,
            developers_can_merge: standing.developers_can_merge,
            can_push: standing.can_push,
            default: name == project.default_branch,
            name,
            commit,
        })
    });
    Ok(described.collect())
}

/// What the protections of a project mean for one branch.
struct Standing {
    protected: bool,
    developers_can_push: bool,
    developers_can_merge: bool,
    can_push: bool,
}

impl Standing {
    fn of(branch: &str, project: &Project, all: &[ProtectedBranch], role: Option<Role>) -> Standing {
        let protection = Protection::of(branch, all);
        let protected = protection.exists();
        let developer = Some(Role::Developer);
        Standing {
            protected,
            developers_can_push: protected && protection.lets_push(developer),
            developers_can_merge: protected && protection.lets_merge(developer),
            can_push: !project.archived && role >= developer && protection.lets_push(role),
        }
    }
}
