//! Commits, files, branches and tags that are made and deleted without a work tree.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use portcullis_app::access::Authorized;
use portcullis_app::commits::{self, Commit};
use portcullis_app::repository_changes::{
    self, ChangeRequest, CommitRequest, FileChange, FilePath, Pick, Picked, Start, Trial,
};
use portcullis_rules::access::act;
use serde_json::json;

use super::{
    ApiResult, PathParts, Surroundings, accepted, branches, created, no_content, ok, path_text, tags,
};
use crate::AppState;
use crate::error::ApiError;
use crate::params::{LargeParams, Params, Reader};

/// Padding is not missed; line feeds are taken out before.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The proof that all of these take.
type Access = Authorized<act::WriteRepository>;

fn reads_path(read: &mut Reader<'_>, name: &str) -> Option<FilePath> {
    read.require(name);
    match FilePath::parse(&read.text(name)?) {
        Ok(path) => Some(path),
        Err(error) => {
            read.problem(name, &error.to_string());
            None
        }
    }
}

/// Reads the content of a file: text, or base64.
fn reads_content(read: &mut Reader<'_>) -> Option<Vec<u8>> {
    let encoding = read.allowed("encoding", &["text", "base64"]);
    let content = read.text("content")?;
    if encoding.as_deref() != Some("base64") {
        return Some(content.into_bytes());
    }
    let compact: String = content.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let decoded = BASE64.decode(compact).ok();
    if decoded.is_none() {
        read.problem("content", "is not valid base64");
    }
    decoded
}

/// Reads one action of a commit. Nothing when something is wrong with it, which has been noted.
fn reads_action(read: &mut Reader<'_>) -> Option<ChangeRequest> {
    read.require("action");
    let action = read.allowed("action", &["create", "update", "move", "delete", "chmod"]);
    let path = reads_path(read, "file_path");
    let content = reads_content(read);
    let executable = read.boolean("execute_filemode");
    let last_commit = read.filled_text("last_commit_id");
    let change = match action?.as_str() {
        "create" => FileChange::Create {
            path: path?,
            content: content.unwrap_or_default(),
            executable: executable.unwrap_or(false),
        },
        "update" => {
            read.require("content");
            FileChange::Update { path: path?, content: content?, executable }
        }
        "move" => {
            let from = reads_path(read, "previous_path");
            FileChange::Move { path: path?, from: from?, content }
        }
        "delete" => FileChange::Delete { path: path? },
        _ => {
            read.require("execute_filemode");
            FileChange::SetExecutable { path: path?, executable: executable? }
        }
    };
    Some(ChangeRequest { change, last_commit })
}

/// Reads where a commit goes and what it says, all but the changes.
fn reads_commit(read: &mut Reader<'_>, access: &Access) -> CommitRequest {
    let branch = read.required_text("branch");
    let message = read.required_text("commit_message");
    if message.trim().is_empty() && read.text("commit_message").is_some() {
        read.problem("commit_message", "is empty");
    }
    let (start_branch, start_sha) = (read.filled_text("start_branch"), read.filled_text("start_sha"));
    if start_branch.is_some() && start_sha.is_some() {
        read.problem("start_branch", "and start_sha are mutually exclusive");
    }
    let place = access.place();
    let elsewhere = read.filled_text("start_project").is_some_and(|project| {
        project != place.id.0.to_string() && !project.eq_ignore_ascii_case(&place.full_path)
    });
    if elsewhere {
        read.problem("start_project", "must be this project");
    }
    CommitRequest {
        branch,
        start: match (start_sha, start_branch) {
            (Some(id), _) => Start::Commit(id),
            (None, Some(branch)) => Start::Branch(branch),
            (None, None) => Start::ItsOwn,
        },
        force: read.boolean("force").unwrap_or(false),
        message,
        author_name: read.text("author_name"),
        author_email: read.text("author_email"),
        changes: Vec::new(),
    }
}

/// Returns a commit that has just been made, with the number of its lines unless nobody wants it.
async fn made(
    state: &AppState,
    access: &Access,
    around: &Surroundings,
    commit: &Commit,
    with_stats: bool,
) -> ApiResult {
    let counts = match with_stats {
        true => {
            let reading = access.also::<act::ReadCode>()?;
            commits::line_counts(&state.forge, &reading, std::slice::from_ref(commit))
                .await?
                .remove(&commit.id)
        }
        false => None,
    };
    let web_url = around.web_url(&access.place().full_path);
    Ok(created(super::commits::detailed_view(commit, access.project().0, counts, &web_url)))
}

/// Makes a commit.
pub async fn commit(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    around: Surroundings,
    body: LargeParams,
) -> ApiResult {
    let mut read = body.params.read();
    let mut request = reads_commit(&mut read, &access);
    read.require("actions");
    let actions = read.objects("actions", reads_action);
    if actions.as_ref().is_some_and(Vec::is_empty) {
        read.problem("actions", "is empty");
    }
    let with_stats = read.boolean("stats").unwrap_or(true);
    read.finish()?;
    request.changes = actions.into_iter().flatten().flatten().collect();
    let commit = repository_changes::commit(&state.forge, &access, request).await?;
    made(&state, &access, &around, &commit, with_stats).await
}

/// What is done to the one file that a path names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileAction {
    Create,
    Update,
    Delete,
}

async fn commit_file(
    access: &Access,
    state: &AppState,
    parts: &PathParts,
    params: &Params,
    action: FileAction,
) -> Result<(String, FilePath), ApiError> {
    let mut read = params.read();
    let path = FilePath::parse(path_text(parts, "file_path"));
    if let Err(error) = &path {
        read.problem("file_path", &error.to_string());
    }
    let mut request = reads_commit(&mut read, access);
    if action != FileAction::Delete {
        read.require("content");
    }
    let content = reads_content(&mut read);
    let executable = read.boolean("execute_filemode");
    let last_commit = read.filled_text("last_commit_id");
    read.finish()?;
    let path = path.map_err(|_| ApiError::not_found("File"))?;
    let (content, at) = (content.unwrap_or_default(), path.clone());
    let change = match action {
        FileAction::Create => {
            FileChange::Create { path: at, content, executable: executable.unwrap_or(false) }
        }
        FileAction::Update => FileChange::Update { path: at, content, executable },
        FileAction::Delete => FileChange::Delete { path: at },
    };
    request.changes = vec![ChangeRequest { change, last_commit }];
    let branch = request.branch.clone();
    repository_changes::commit(&state.forge, access, request).await?;
    Ok((branch, path))
}

/// Makes a commit with a new file.
pub async fn create_file(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    body: LargeParams,
) -> ApiResult {
    let (branch, path) = commit_file(&access, &state, &parts, &body.params, FileAction::Create).await?;
    Ok(created(json!({ "file_path": path.as_str(), "branch": branch })))
}

/// Makes a commit with another content of a file.
pub async fn update_file(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    body: LargeParams,
) -> ApiResult {
    let (branch, path) = commit_file(&access, &state, &parts, &body.params, FileAction::Update).await?;
    Ok(ok(json!({ "file_path": path.as_str(), "branch": branch })))
}

/// Makes a commit without a file.
pub async fn delete_file(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    commit_file(&access, &state, &parts, &params, FileAction::Delete).await?;
    Ok(no_content())
}

/// Makes a branch.
pub async fn create_branch(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let (branch, revision) = (read.required_text("branch"), read.required_text("ref"));
    read.finish()?;
    let branch = repository_changes::create_branch(&state.forge, &access, &branch, &revision).await?;
    Ok(created(branches::view(&branch, &around.web_url(&access.place().full_path))))
}

/// Deletes a branch.
pub async fn delete_branch(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    repository_changes::delete_branch(&state.forge, &access, path_text(&parts, "branch")).await?;
    Ok(no_content())
}

/// Deletes the branches that were merged into the default branch.
pub async fn delete_merged_branches(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    _params: Params,
) -> ApiResult {
    repository_changes::delete_merged_branches(&state.forge, &access).await?;
    Ok(accepted())
}

/// Makes a tag.
pub async fn create_tag(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let (tag, revision) = (read.required_text("tag_name"), read.required_text("ref"));
    let message = read.text("message");
    read.finish()?;
    let tag = repository_changes::create_tag(&state.forge, &access, &tag, &revision, message).await?;
    Ok(created(tags::view(&tag, &around.web_url(&access.place().full_path))))
}

/// Deletes a tag.
pub async fn delete_tag(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    repository_changes::delete_tag(&state.forge, &access, path_text(&parts, "tag")).await?;
    Ok(no_content())
}

/// Does once more on a branch what a commit changed.
pub async fn cherry_pick(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    picked(&access, &state, &parts, &around, &params, Pick::Apply).await
}

/// Takes back on a branch what a commit changed.
pub async fn revert(
    access: Authorized<act::WriteRepository>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    picked(&access, &state, &parts, &around, &params, Pick::Revert).await
}

async fn picked(
    access: &Access,
    state: &AppState,
    parts: &PathParts,
    around: &Surroundings,
    params: &Params,
    pick: Pick,
) -> Result<Response, ApiError> {
    let mut read = params.read();
    let branch = read.required_text("branch");
    let message = read.text("message");
    let trial = match read.boolean("dry_run") {
        Some(true) => Trial::Dry,
        _ => Trial::Real,
    };
    read.finish()?;
    let sha = path_text(parts, "sha");
    let (verb, done) = match pick {
        Pick::Apply => ("cherry-pick", "cherry-picked"),
        Pick::Revert => ("revert", "reverted"),
    };
    let sorry = format!(
        "Sorry, we cannot {verb} this commit automatically. This commit may already have been {done}, or a more recent \
         commit may have updated some of its content."
    );
    match repository_changes::pick(&state.forge, access, pick, sha, &branch, message, trial).await? {
        Picked::Done(commit) => made(state, access, around, &commit, false).await,
        Picked::Possible => Ok(ok(json!({ "dry_run": "success" }))),
        Picked::Conflict => Err(ApiError::cannot_pick(&sorry, "conflict")),
        Picked::Empty => Err(ApiError::cannot_pick(&sorry, "empty")),
    }
}
