//! Actions: what a caller asks to do, in GitLab's own words.

/// What an action is about, which decides whose facts are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// The instance as a whole, or the caller's own account.
    Instance,
    /// A group.
    Group,
    /// A group, or a person's own namespace: what projects are made in.
    Namespace,
    /// A project.
    Project,
}

/// What an action is about, as types, so that a proof about a project cannot be taken for one about a group.
pub mod on {
    /// The instance.
    #[derive(Clone, Copy, Debug)]
    pub struct Instance;
    /// A group.
    #[derive(Clone, Copy, Debug)]
    pub struct Group;
    /// A group, or a person's own namespace.
    #[derive(Clone, Copy, Debug)]
    pub struct Namespace;
    /// A project.
    #[derive(Clone, Copy, Debug)]
    pub struct Project;
}

/// A type that stands for one [`Action`]; the proof that it was allowed carries this type.
pub trait Act: Send + Sync + 'static {
    /// What it is about: a type of [`on`].
    type On: std::fmt::Debug + Send + Sync + 'static;
    /// The action.
    const ACTION: Action;
}

macro_rules! actions {
    ($($(#[$meta:meta])* $name:ident on $on:ident;)*) => {
        /// Something a caller asks to do. Each has exactly one row in [`RULES`](super::RULES).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$meta])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// Returns the action's name.
            pub fn name(self) -> &'static str {
                match self { $(Action::$name => stringify!($name),)* }
            }

            /// Returns what the action is about.
            pub fn on(self) -> On {
                match self { $(Action::$name => On::$on,)* }
            }
        }

        /// The actions as types.
        pub mod act {
            $(
                $(#[$meta])*
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl super::Act for $name {
                    type On = super::on::$on;
                    const ACTION: super::Action = super::Action::$name;
                }
            )*
        }
    };
}

actions! {
    /// Read the version of the instance.
    ReadVersion on Instance;
    /// Read the caller's own account.
    ReadOwnUser on Instance;
    /// Read users.
    ReadUsers on Instance;
    /// Create, block and delete users.
    AdministerUsers on Instance;
    /// Read the counts of the instance, seats among them.
    ReadStatistics on Instance;
    /// Read the audit log of the whole instance.
    ReadInstanceAuditEvents on Instance;
    /// Read the metrics of the instance.
    ReadMetrics on Instance;
    /// Read the settings in force, without what is secret.
    ReadSettings on Instance;
    /// Read which background jobs wait, run and failed.
    ReadJobs on Instance;
    /// Have a background job that failed tried again at once.
    RetryJob on Instance;
    /// List every project of the instance.
    ReadAllProjects on Instance;
    /// Read the presented token itself.
    ReadOwnToken on Instance;
    /// Revoke the presented token itself.
    RevokeOwnToken on Instance;
    /// Replace the presented token by a new one.
    RotateOwnToken on Instance;
    /// Tell what a client was used for; nothing is kept of it.
    TrackUsage on Instance;
    /// Read personal access tokens: one's own, or as an administrator anybody's.
    ReadPersonalAccessTokens on Instance;
    /// Create a personal access token for a person.
    CreatePersonalAccessToken on Instance;
    /// Create a personal access token for oneself.
    CreateOwnPersonalAccessToken on Instance;
    /// Change one's own password, and read and end one's own sessions.
    AdministerOwnAccount on Instance;
    /// Replace a personal access token by a new one.
    RotatePersonalAccessToken on Instance;
    /// Revoke a personal access token.
    RevokePersonalAccessToken on Instance;
    /// List the groups the caller may see.
    ListGroups on Instance;
    /// List the projects the caller may see.
    ListProjects on Instance;
    /// List the namespaces the caller may create projects in.
    ListNamespaces on Instance;
    /// List issues of every project the caller may read them in.
    ListIssues on Instance;
    /// List merge requests of every project the caller may read them in.
    ListMergeRequests on Instance;
    /// Set the plan of a top-level namespace.
    SetPlan on Instance;
    /// List every image repository of the instance.
    ReadCatalog on Instance;
    /// Set how much images may take, for a project or a top-level group.
    SetContainerQuota on Instance;
    /// Read what the caller keeps for later.
    ReadOwnTodos on Instance;
    /// Say that what the caller keeps for later is done.
    UpdateOwnTodos on Instance;
    /// Create a top-level group.
    CreateGroup on Instance;
    /// Ask for a new project; where it goes is asked with `CreateProjectIn`.
    CreateProject on Instance;

    /// Read a group.
    ReadGroup on Group;
    /// Change a group's settings.
    UpdateGroup on Group;
    /// Delete a group and all in it.
    DeleteGroup on Group;
    /// Create a group inside this one.
    CreateSubgroup on Group;
    /// List the image repositories of the projects in a group.
    ReadGroupContainerRepositories on Group;
    /// Read a namespace that one may use: one's own, or a group that one is a member of.
    ReadNamespace on Namespace;
    /// Create a project inside this namespace.
    CreateProjectIn on Namespace;
    /// Read who is a member of a group.
    ReadGroupMembers on Group;
    /// Add, change and remove members of a group.
    AdministerGroupMembers on Group;
    /// List the access tokens of a group.
    ListGroupAccessTokens on Group;
    /// Create an access token for a group.
    CreateGroupAccessToken on Group;
    /// Replace an access token of a group by a new one.
    RotateGroupAccessToken on Group;
    /// Revoke an access token of a group.
    RevokeGroupAccessToken on Group;
    /// Replace the presented access token of a group by a new one.
    RotateOwnGroupAccessToken on Group;
    /// Read a group's audit log.
    ReadGroupAuditEvents on Group;

    /// Read a project.
    ReadProject on Project;
    /// Change a project's settings.
    UpdateProject on Project;
    /// Change who can see a project.
    ChangeProjectVisibility on Project;
    /// Make a project read-only, or writable again.
    ArchiveProject on Project;
    /// Delete a project.
    DeleteProject on Project;
    /// Read who is a member of a project.
    ReadMembers on Project;
    /// Add, change and remove members of a project.
    AdministerMembers on Project;
    /// List and read the project's access tokens.
    ListAccessTokens on Project;
    /// Create a project access token.
    CreateAccessToken on Project;
    /// Replace a project access token by a new one.
    RotateAccessToken on Project;
    /// Revoke a project access token.
    RevokeAccessToken on Project;
    /// Replace the presented project access token by a new one, through its project.
    RotateOwnAccessToken on Project;
    /// Read the project's audit log.
    ReadAuditEvents on Project;
    /// Read the project's activity.
    ReadEvents on Project;
    /// Clone and fetch.
    DownloadCode on Project;
    /// Read branches, tags, commits, trees and differences through the API.
    ReadCode on Project;
    /// Read files through the API.
    ReadFiles on Project;
    /// Push; what may be pushed to a protected branch is decided for each ref.
    PushCode on Project;
    /// Unlock a file that somebody else locked.
    UnlockOthersFiles on Project;
    /// Commit, and make and delete branches and tags, through the API; what may be done to a protected branch is decided
    /// for each ref.
    WriteRepository on Project;
    /// Read what others found out about commits.
    ReadCommitStatuses on Project;
    /// Say what was found out about a commit.
    SetCommitStatus on Project;
    /// Read releases, with the addresses of what they bring.
    ReadReleases on Project;
    /// Make, change and delete releases and their links.
    AdministerReleases on Project;
    /// Read branch protections.
    ReadProtectedBranches on Project;
    /// Create, change and remove branch protections.
    AdministerProtectedBranches on Project;
    /// Read the tag protections of a project.
    ReadProtectedTags on Project;
    /// Protect tags, and end that.
    AdministerProtectedTags on Project;
    /// Pull images: read their content and lists of it.
    PullImage on Project;
    /// Push images; what may be pushed over a protected tag is decided for each tag.
    PushImage on Project;
    /// Delete tags, manifests and blobs through the registry itself.
    DeleteImage on Project;
    /// Read image repositories and tags through the API.
    ReadContainerRepositories on Project;
    /// Delete one tag through the API.
    DeleteContainerTag on Project;
    /// Delete tags in bulk and whole image repositories.
    AdministerContainerRepositories on Project;
    /// Change the cleanup policy and the rules about protected tags.
    AdministerContainerRules on Project;
    /// Change the rules about immutable tags.
    AdministerImmutableTags on Project;
    /// Read a project's web hooks.
    ReadWebhooks on Project;
    /// Create, change and delete web hooks.
    AdministerWebhooks on Project;
    /// Upload a file to a project, to be shown or linked in its texts.
    CreateUpload on Project;
    /// Read an uploaded file, by the secret in its address.
    DownloadUpload on Project;
    /// List every uploaded file, and read one by its number.
    ReadUploads on Project;
    /// Delete an uploaded file.
    DeleteUpload on Project;
    /// Read packages and download their files.
    ReadPackages on Project;
    /// Publish files of packages.
    PublishPackage on Project;
    /// Delete packages and files of them.
    DeletePackage on Project;
    /// Read the states of infrastructure that Terraform keeps in a project.
    ReadTerraformState on Project;
    /// Write, lock and delete such states.
    AdministerTerraformState on Project;
    /// Read issues and their comments.
    ReadIssues on Project;
    /// Read confidential issues and internal comments of others.
    ReadConfidentialIssues on Project;
    /// Create an issue.
    CreateIssue on Project;
    /// Change an issue that the caller wrote.
    UpdateOwnIssue on Project;
    /// Change any issue: text, labels, state.
    UpdateIssue on Project;
    /// Delete an issue.
    DeleteIssue on Project;
    /// Read merge requests, their comments and what they change.
    ReadMergeRequests on Project;
    /// Open a merge request.
    CreateMergeRequest on Project;
    /// Change a merge request one opened.
    UpdateOwnMergeRequest on Project;
    /// Change anybody's merge request: its texts, state, labels, reviewers.
    UpdateMergeRequest on Project;
    /// Approve a merge request, or take that back.
    ApproveMergeRequest on Project;
    /// Merge or rebase a merge request, as far as its branches allow.
    MergeMergeRequest on Project;
    /// Delete a merge request.
    DeleteMergeRequest on Project;
    /// Comment on a merge request.
    CreateMergeRequestNote on Project;
    /// Change or delete one's own comment on a merge request.
    UpdateOwnMergeRequestNote on Project;
    /// Change or delete anybody's comment on a merge request.
    AdministerMergeRequestNotes on Project;
    /// Read internal comments of others on merge requests.
    ReadInternalMergeRequestNotes on Project;
    /// Ask to be told of a merge request or no longer, or keep it for later.
    FollowMergeRequest on Project;
    /// Ask to be told of an issue or no longer, or keep it for later.
    FollowIssue on Project;
    /// Link issues with each other.
    LinkIssues on Project;
    /// Ask to be told of what gets a label, or no longer.
    FollowLabel on Project;
    /// Read labels.
    ReadLabels on Project;
    /// Make, change and delete labels.
    AdministerLabels on Project;
    /// Read milestones.
    ReadMilestones on Project;
    /// Make, change, close and delete milestones.
    AdministerMilestones on Project;
    /// Comment on an issue.
    CreateNote on Project;
    /// Change or delete a comment that the caller wrote.
    UpdateOwnNote on Project;
    /// Change or delete anybody's comment.
    AdministerNotes on Project;
}
