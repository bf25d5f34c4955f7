//! THE table: one row for each action.

use super::{Action, Role, ScopeSet};

/// Whom an action is open to without a role of their own, once they can see the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Nobody: a role is needed.
    Members,
    /// Any person who signed in. A bot away from its own project is not one.
    SignedIn,
    /// Anyone who can see it, also without signing in.
    Anyone,
}

/// Whether a project's bot may do it at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotUse {
    /// As far as its scopes and role allow.
    Allowed,
    /// Never, whatever its scopes and role.
    Never,
}

/// Whether it is still done once the project is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchivedProject {
    /// It is.
    Allows,
    /// It is refused.
    Refuses,
}

/// A part of a project that can be turned off or kept for members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The Git repository.
    Repository,
    /// The issue tracker.
    Issues,
    /// Merge requests.
    MergeRequests,
    /// The container registry.
    ContainerRegistry,
    /// The package registry.
    Packages,
}

/// Who must be asking, beyond the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// To be signed in.
    SignIn,
    /// To be a person, and not an external one.
    InsidePerson,
    /// To be an administrator of the instance.
    Administrator,
    /// This role on the resource, unless `Rule::open_to` opens it.
    Role(Role),
}

/// What one action asks for.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The action.
    pub action: Action,
    /// Any one of these scopes permits it.
    pub scopes: ScopeSet,
    /// Who must be asking.
    pub needs: Needs,
    /// Whom it is open to without a role.
    pub open_to: Openness,
    /// Whether a bot may do it.
    pub bots: BotUse,
    /// Whether an archived project allows it.
    pub archived: ArchivedProject,
    /// The part of the project that it uses.
    pub feature: Option<Feature>,
}

const READ: ScopeSet = ScopeSet::API.union(ScopeSet::READ_API);
const WRITE: ScopeSet = ScopeSet::API;
const READ_USERS: ScopeSet = READ.union(ScopeSet::READ_USER);
const ROTATE_SELF: ScopeSet = ScopeSet::API.union(ScopeSet::SELF_ROTATE);
const FETCH: ScopeSet = READ.union(ScopeSet::READ_REPOSITORY).union(ScopeSet::WRITE_REPOSITORY);
const READ_FILES: ScopeSet = READ.union(ScopeSet::READ_REPOSITORY);
const PUSH: ScopeSet = ScopeSet::API.union(ScopeSet::WRITE_REPOSITORY);
const PULL_IMAGE: ScopeSet = READ.union(ScopeSet::READ_REGISTRY);
const PUSH_IMAGE: ScopeSet = ScopeSet::API.union(ScopeSet::WRITE_REGISTRY);

const fn row(action: Action, scopes: ScopeSet, needs: Needs) -> Rule {
    Rule {
        action,
        scopes,
        needs,
        open_to: Openness::Members,
        bots: BotUse::Allowed,
        archived: ArchivedProject::Allows,
        feature: None,
    }
}

impl Rule {
    const fn open_to(mut self, open_to: Openness) -> Rule {
        self.open_to = open_to;
        self
    }

    const fn never_for_bots(mut self) -> Rule {
        self.bots = BotUse::Never;
        self
    }

    const fn not_when_archived(mut self) -> Rule {
        self.archived = ArchivedProject::Refuses;
        self
    }

    const fn of(mut self, feature: Feature) -> Rule {
        self.feature = Some(feature);
        self
    }

    /// Returns whether somebody who has not signed in could ever be allowed.
    pub fn may_be_anonymous(&self) -> bool {
        self.open_to == Anyone || self.needs == Nothing
    }
}

use Action as A;
use Feature::{ContainerRegistry, Issues, MergeRequests, Packages, Repository};
use Needs::{Administrator, InsidePerson, Nothing, SignIn};
use Openness::{Anyone, SignedIn};

const GUEST: Needs = Needs::Role(Role::Guest);
const REPORTER: Needs = Needs::Role(Role::Reporter);
const DEVELOPER: Needs = Needs::Role(Role::Developer);
const MAINTAINER: Needs = Needs::Role(Role::Maintainer);
const OWNER: Needs = Needs::Role(Role::Owner);

/// Who may do what: one row for each action, in the order of [`Action::ALL`].
///
/// A token allows an action when it holds *any one* of the row's scopes, and its user meets the rest of the row.
/// Creating a credential has rows of its own: no other row, and no scope alone, includes it.
pub static RULES: &[Rule] = &[
    // The instance, and the caller's own account.
    row(A::ReadVersion, READ_USERS, SignIn),
    row(A::ReadOwnUser, READ_USERS, SignIn),
    row(A::ReadUsers, READ_USERS, SignIn),
    row(A::AdministerUsers, WRITE, Administrator).never_for_bots(),
    row(A::ReadStatistics, READ, Administrator).never_for_bots(),
    row(A::ReadInstanceAuditEvents, READ, Administrator).never_for_bots(),
    row(A::ReadMetrics, READ, Administrator).never_for_bots(),
    row(A::ReadSettings, READ, Administrator).never_for_bots(),
    row(A::ReadJobs, READ, Administrator).never_for_bots(),
    row(A::RetryJob, WRITE, Administrator).never_for_bots(),
    row(A::ReadAllProjects, READ, Administrator).never_for_bots(),
    row(A::ReadOwnToken, ScopeSet::ANY, SignIn),
    row(A::RevokeOwnToken, ScopeSet::ANY, SignIn),
    row(A::RotateOwnToken, ROTATE_SELF, SignIn),
    row(A::TrackUsage, READ_USERS, SignIn),
    row(A::ReadPersonalAccessTokens, READ, SignIn),
    row(A::CreatePersonalAccessToken, WRITE, Administrator).never_for_bots(),
    row(A::CreateOwnPersonalAccessToken, WRITE, SignIn).never_for_bots(),
    row(A::AdministerOwnAccount, WRITE, SignIn).never_for_bots(),
    row(A::RotatePersonalAccessToken, WRITE, SignIn),
    row(A::RevokePersonalAccessToken, WRITE, SignIn),
    row(A::ListGroups, READ, Nothing),
    row(A::ListProjects, READ, Nothing),
    row(A::ListNamespaces, READ, SignIn),
    row(A::ListIssues, READ, SignIn),
    row(A::ListMergeRequests, READ, SignIn),
    row(A::SetPlan, WRITE, Administrator).never_for_bots(),
    row(A::ReadCatalog, WRITE, Administrator).never_for_bots(),
    row(A::SetContainerQuota, WRITE, Administrator).never_for_bots(),
    row(A::ReadOwnTodos, READ, SignIn),
    row(A::UpdateOwnTodos, WRITE, SignIn),
    row(A::CreateGroup, WRITE, InsidePerson).never_for_bots(),
    row(A::CreateProject, WRITE, InsidePerson).never_for_bots(),
    // Groups.
    row(A::ReadGroup, READ, GUEST).open_to(Anyone),
    row(A::UpdateGroup, WRITE, OWNER).never_for_bots(),
    row(A::DeleteGroup, WRITE, OWNER).never_for_bots(),
    row(A::CreateSubgroup, WRITE, MAINTAINER).never_for_bots(),
    row(A::ReadGroupContainerRepositories, READ, REPORTER),
    row(A::ReadNamespace, READ, GUEST).never_for_bots(),
    row(A::CreateProjectIn, WRITE, MAINTAINER).never_for_bots(),
    row(A::ReadGroupMembers, READ, GUEST).open_to(SignedIn),
    row(A::AdministerGroupMembers, WRITE, OWNER).never_for_bots(),
    // Credentials of a group reach all that is below it: their making and ending is its Owners' business.
    row(A::ListGroupAccessTokens, READ, OWNER),
    row(A::CreateGroupAccessToken, WRITE, OWNER).never_for_bots(),
    row(A::RotateGroupAccessToken, WRITE, OWNER).never_for_bots(),
    row(A::RevokeGroupAccessToken, WRITE, OWNER),
    row(A::RotateOwnGroupAccessToken, ROTATE_SELF, GUEST).open_to(SignedIn),
    row(A::ReadGroupAuditEvents, READ, OWNER),
    // Projects.
    row(A::ReadProject, READ, GUEST).open_to(Anyone),
    row(A::UpdateProject, WRITE, MAINTAINER).not_when_archived(),
    row(A::ChangeProjectVisibility, WRITE, OWNER).not_when_archived(),
    row(A::ArchiveProject, WRITE, OWNER),
    row(A::DeleteProject, WRITE, OWNER),
    row(A::ReadMembers, READ, GUEST).open_to(SignedIn),
    row(A::AdministerMembers, WRITE, MAINTAINER),
    // Credentials of a project: administering them stays possible when it is archived, so that they can be ended.
    row(A::ListAccessTokens, READ, MAINTAINER),
    row(A::CreateAccessToken, WRITE, MAINTAINER).never_for_bots(),
    row(A::RotateAccessToken, WRITE, MAINTAINER).never_for_bots(),
    row(A::RevokeAccessToken, WRITE, MAINTAINER),
    row(A::RotateOwnAccessToken, ROTATE_SELF, GUEST).open_to(SignedIn),
    row(A::ReadAuditEvents, READ, MAINTAINER),
    row(A::ReadEvents, READ, GUEST).open_to(Anyone),
    // The repository. `read_repository` reads files through the API too; `write_repository` is for Git alone.
    row(A::DownloadCode, FETCH, REPORTER).open_to(Anyone).of(Repository),
    row(A::ReadCode, READ, REPORTER).open_to(Anyone).of(Repository),
    row(A::ReadFiles, READ_FILES, REPORTER).open_to(Anyone).of(Repository),
    row(A::PushCode, PUSH, DEVELOPER).not_when_archived().of(Repository),
    // Large files are read and written, and files are locked, by the right to fetch and to push.
    row(A::UnlockOthersFiles, PUSH, MAINTAINER).not_when_archived().of(Repository),
    row(A::WriteRepository, WRITE, DEVELOPER).not_when_archived().of(Repository),
    row(A::ReadCommitStatuses, READ, REPORTER).open_to(Anyone).of(Repository),
    row(A::SetCommitStatus, WRITE, DEVELOPER).not_when_archived().of(Repository),
    row(A::ReadReleases, READ, GUEST).open_to(Anyone).of(Repository),
    row(A::AdministerReleases, WRITE, DEVELOPER).not_when_archived().of(Repository),
    row(A::ReadProtectedBranches, READ, DEVELOPER),
    row(A::AdministerProtectedBranches, WRITE, MAINTAINER).not_when_archived(),
    row(A::ReadProtectedTags, READ, MAINTAINER),
    row(A::AdministerProtectedTags, WRITE, MAINTAINER).not_when_archived(),
    // Images. Pushing is not pulling: each has a scope of its own. Deleting through the registry needs `api`.
    row(A::PullImage, PULL_IMAGE, REPORTER).open_to(Anyone).of(ContainerRegistry),
    row(A::PushImage, PUSH_IMAGE, DEVELOPER).not_when_archived().of(ContainerRegistry),
    row(A::DeleteImage, WRITE, MAINTAINER).not_when_archived().of(ContainerRegistry),
    row(A::ReadContainerRepositories, READ, REPORTER).open_to(Anyone).of(ContainerRegistry),
    row(A::DeleteContainerTag, WRITE, DEVELOPER).not_when_archived().of(ContainerRegistry),
    row(A::AdministerContainerRepositories, WRITE, MAINTAINER).not_when_archived().of(ContainerRegistry),
    row(A::AdministerContainerRules, WRITE, MAINTAINER).not_when_archived().of(ContainerRegistry),
    row(A::AdministerImmutableTags, WRITE, OWNER).not_when_archived().of(ContainerRegistry),
    // Web hooks. Deleting one stays possible when the project is archived.
    row(A::ReadWebhooks, READ, MAINTAINER),
    row(A::AdministerWebhooks, WRITE, MAINTAINER),
    // Uploaded files. Their addresses are known to readers of the texts they are in; the list of all is for Maintainers.
    row(A::CreateUpload, WRITE, GUEST).not_when_archived(),
    row(A::DownloadUpload, READ, GUEST).open_to(Anyone),
    row(A::ReadUploads, READ, MAINTAINER),
    row(A::DeleteUpload, WRITE, MAINTAINER).not_when_archived(),
    // Packages.
    row(A::ReadPackages, READ, REPORTER).open_to(Anyone).of(Packages),
    row(A::PublishPackage, WRITE, DEVELOPER).not_when_archived().of(Packages),
    row(A::DeletePackage, WRITE, MAINTAINER).not_when_archived().of(Packages),
    // The states of infrastructure, which hold secrets.
    row(A::ReadTerraformState, READ, DEVELOPER),
    row(A::AdministerTerraformState, WRITE, MAINTAINER).not_when_archived(),
    // Issues and comments.
    row(A::ReadIssues, READ, GUEST).open_to(Anyone).of(Issues),
    row(A::ReadConfidentialIssues, READ, REPORTER).of(Issues),
    row(A::CreateIssue, WRITE, GUEST).open_to(SignedIn).not_when_archived().of(Issues),
    row(A::UpdateOwnIssue, WRITE, GUEST).open_to(SignedIn).not_when_archived().of(Issues),
    row(A::UpdateIssue, WRITE, REPORTER).not_when_archived().of(Issues),
    row(A::DeleteIssue, WRITE, OWNER).not_when_archived().of(Issues),
    // Merge requests. Who merges needs the right to merge into the very branch as well, and who opens one reads the code.
    row(A::ReadMergeRequests, READ, REPORTER).open_to(Anyone).of(MergeRequests),
    row(A::CreateMergeRequest, WRITE, DEVELOPER).not_when_archived().of(MergeRequests),
    row(A::UpdateOwnMergeRequest, WRITE, REPORTER).open_to(SignedIn).not_when_archived().of(MergeRequests),
    row(A::UpdateMergeRequest, WRITE, DEVELOPER).not_when_archived().of(MergeRequests),
    row(A::ApproveMergeRequest, WRITE, DEVELOPER).not_when_archived().of(MergeRequests),
    row(A::MergeMergeRequest, WRITE, DEVELOPER).not_when_archived().of(MergeRequests),
    row(A::DeleteMergeRequest, WRITE, OWNER).not_when_archived().of(MergeRequests),
    row(A::CreateMergeRequestNote, WRITE, REPORTER).open_to(SignedIn).not_when_archived().of(MergeRequests),
    row(A::UpdateOwnMergeRequestNote, WRITE, REPORTER)
        .open_to(SignedIn)
        .not_when_archived()
        .of(MergeRequests),
    row(A::AdministerMergeRequestNotes, WRITE, MAINTAINER).not_when_archived().of(MergeRequests),
    row(A::ReadInternalMergeRequestNotes, READ, REPORTER).of(MergeRequests),
    // What one follows is one's own, and stays possible when the project is archived.
    row(A::FollowMergeRequest, WRITE, REPORTER).open_to(SignedIn).of(MergeRequests),
    row(A::FollowIssue, WRITE, GUEST).open_to(SignedIn).of(Issues),
    row(A::LinkIssues, WRITE, GUEST).not_when_archived().of(Issues),
    row(A::FollowLabel, WRITE, GUEST).open_to(SignedIn),
    // Labels and milestones are there without an issue tracker too.
    row(A::ReadLabels, READ, GUEST).open_to(Anyone),
    row(A::AdministerLabels, WRITE, REPORTER).not_when_archived(),
    row(A::ReadMilestones, READ, GUEST).open_to(Anyone),
    row(A::AdministerMilestones, WRITE, REPORTER).not_when_archived(),
    row(A::CreateNote, WRITE, GUEST).open_to(SignedIn).not_when_archived().of(Issues),
    row(A::UpdateOwnNote, WRITE, GUEST).open_to(SignedIn).not_when_archived().of(Issues),
    row(A::AdministerNotes, WRITE, MAINTAINER).not_when_archived().of(Issues),
];

/// Returns the row of `action`.
pub fn rule(action: Action) -> &'static Rule {
    // The order is tested below, so the index is the row.
    &RULES[action as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_exactly_its_own_row() {
        assert_eq!(RULES.len(), Action::ALL.len());
        for (row, action) in RULES.iter().zip(Action::ALL) {
            assert_eq!(row.action, *action);
        }
    }

    #[test]
    fn no_row_is_without_scopes() {
        assert!(RULES.iter().all(|row| !row.scopes.is_empty()));
    }

    #[test]
    fn a_role_is_asked_exactly_where_there_is_a_resource() {
        for row in RULES {
            let asks_role = matches!(row.needs, Needs::Role(_));
            assert_eq!(asks_role, row.action.on() != super::super::On::Instance, "{}", row.action.name());
        }
    }

    #[test]
    fn no_bot_makes_or_replaces_another_credential() {
        for action in [
            A::CreateAccessToken,
            A::RotateAccessToken,
            A::CreateGroupAccessToken,
            A::RotateGroupAccessToken,
            A::CreatePersonalAccessToken,
            A::CreateOwnPersonalAccessToken,
            A::AdministerOwnAccount,
        ] {
            assert_eq!(rule(action).bots, BotUse::Never);
        }
    }
}
