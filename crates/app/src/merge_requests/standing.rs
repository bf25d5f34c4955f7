//! Whether a merge request could be merged right now, and what is in the way.

use portcullis_store::merge_requests::{MergeRequest, MergeRequestState, MergeStatus};

/// What a merge request's title begins with while it is not to be merged.
const DRAFT_PREFIXES: [&str; 3] = ["draft:", "[draft]", "(draft)"];

/// Returns whether a merge request's title says that it is not to be merged yet.
pub fn is_draft(title: &str) -> bool {
    let title = title.trim_start().to_lowercase();
    DRAFT_PREFIXES.iter().any(|prefix| title.starts_with(prefix))
}

/// Returns the first thing that is in the way of merging, in GitLab's words (`detailed_merge_status`); `mergeable` when
/// nothing is.
pub fn detailed_status(merge_request: &MergeRequest) -> &'static str {
    if merge_request.state() != MergeRequestState::Opened {
        return "not_open";
    }
    if is_draft(&merge_request.title) {
        return "draft_status";
    }
    match merge_request.merge_status {
        MergeStatus::Unchecked => "checking",
        MergeStatus::CannotBeMerged => "conflict",
        MergeStatus::CanBeMerged => "mergeable",
    }
}
