//! Ids as types of their own, so that two of them cannot be swapped at a call site.

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A user: a person, a bot or the Ghost User.
    UserId;
    /// A namespace: a group at any depth, or a person's own namespace.
    NamespaceId;
    /// A project.
    ProjectId;
    /// An access token of any kind.
    TokenId;
    /// An issue, unique in the instance (clients mostly use its number inside the project).
    IssueId;
    /// A merge request, unique in the instance (clients mostly use its number inside the project).
    MergeRequestId;
    /// A comment.
    NoteId;
    /// A label.
    LabelId;
    /// A milestone, unique in the instance.
    MilestoneId;
    /// A status of a commit.
    CommitStatusId;
    /// A release.
    ReleaseId;
    /// A link to what a release brings.
    ReleaseLinkId;
    /// An entry of a project's activity feed.
    EventId;
    /// An entry of the audit log.
    AuditEventId;
    /// A branch protection.
    ProtectedBranchId;
    /// A tag protection.
    ProtectedTagId;
    /// A background job.
    JobId;
    /// Content in the blob store.
    BlobId;
    /// An image repository.
    ContainerRepositoryId;
    /// A manifest in an image repository.
    ContainerManifestId;
    /// A rule about protected or immutable tags.
    ContainerTagRuleId;
    /// A file uploaded to a project.
    UploadId;
    /// A package of a project: a name and a version.
    PackageId;
    /// A file of a package.
    PackageFileId;
    /// A state of infrastructure that Terraform keeps.
    TerraformStateId;
    /// A web hook of a project.
    WebhookId;
}
