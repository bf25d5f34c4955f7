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
    /// A session of somebody who signed in with a browser.
    SessionId;
    /// An issue, unique in the instance (clients mostly use its number inside the project).
    IssueId;
    /// A merge request, unique in the instance (clients mostly use its number inside the project).
    MergeRequestId;
    /// A comment.
    NoteId;
    /// A discussion: the id of the comment that began it.
    DiscussionId;
    /// A reaction to an issue, a merge request or a comment.
    AwardId;
    /// Something that a user keeps for later.
    TodoId;
    /// A link between two issues.
    IssueLinkId;
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
    /// A lock of a path, as Git LFS asks for it.
    LfsLockId;
}

impl DiscussionId {
    /// Returns it as clients know it: 40 hexadecimal digits.
    pub fn to_key(self) -> String {
        format!("{:040x}", self.0)
    }

    /// Returns the discussion that clients know by this key.
    pub fn from_key(key: &str) -> Option<DiscussionId> {
        let is_key = key.len() == 40 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = i64::from_str_radix(key, 16).ok().filter(|_| is_key)?;
        Some(DiscussionId(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discussion_is_known_by_forty_digits() {
        for id in [1, 31, i64::MAX] {
            let key = DiscussionId(id).to_key();
            assert_eq!((key.len(), DiscussionId::from_key(&key)), (40, Some(DiscussionId(id))));
        }
        for wrong in [
            "",
            "1",
            &"0".repeat(39),
            &"0".repeat(41),
            &"f".repeat(40),
            &"g".repeat(40),
            &format!("+{:039x}", 1),
        ] {
            assert_eq!(DiscussionId::from_key(wrong), None, "{wrong}");
        }
    }
}
