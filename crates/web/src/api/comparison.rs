//! Differences between commits, what commits have in common, and who made them.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::comparison::{self, ContributorOrder, FileDiff};
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, commits, ok, path_text};
use crate::AppState;
use crate::params::Params;

/// Returns what became of a file. With `unidiff` the hunks have the two lines above them that `patch` wants.
pub fn view(file: &FileDiff, unidiff: bool) -> Value {
    let mode = |mode: &str| if mode == "000000" { "0".to_owned() } else { mode.to_owned() };
    let mut diff = String::new();
    if unidiff && file.patch.starts_with("@@ ") {
        let side =
            |missing, letter, path| if missing { "/dev/null".to_owned() } else { format!("{letter}/{path}") };
        let old = side(file.is_new, 'a', &file.old_path);
        let new = side(file.is_deleted, 'b', &file.new_path);
        diff = format!("--- {old}\n+++ {new}\n");
    }
    diff.push_str(&file.patch);
    json!({
        "diff": diff,
        "new_path": file.new_path,
        "old_path": file.old_path,
        "a_mode": mode(&file.old_mode),
        "b_mode": mode(&file.new_mode),
        "new_file": file.is_new,
        "renamed_file": file.is_renamed,
        "deleted_file": file.is_deleted,
        "generated_file": false,
        "collapsed": file.is_collapsed,
        "too_large": file.is_too_large,
    })
}

/// Answers what a commit changed.
pub async fn changes(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let unidiff = read.boolean("unidiff").unwrap_or(false);
    read.finish()?;
    let sha = path_text(&parts, "sha");
    let found = comparison::changes(&state.forge, &access, sha, around.window()).await?;
    Ok(around.page(found.map(|file| view(&file, unidiff))))
}

/// Answers what lies between two commits.
pub async fn compare(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let from = read.required_text("from");
    let to = read.required_text("to");
    let straight = read.boolean("straight").unwrap_or(false);
    let unidiff = read.boolean("unidiff").unwrap_or(false);
    read.finish()?;
    let found = comparison::compare(&state.forge, &access, &from, &to, straight).await?;
    let web_url = around.web_url(&access.place().full_path);
    Ok(ok(json!({
        "commit": found.commits.last().map(|commit| commits::view(commit, &web_url)),
        "commits": found.commits.iter().map(|commit| commits::view(commit, &web_url)).collect::<Vec<_>>(),
        "diffs": found.diff.files.iter().map(|file| view(file, unidiff)).collect::<Vec<_>>(),
        "compare_timeout": false,
        "compare_same_ref": found.from == found.to,
        "web_url": format!("{web_url}/-/compare/{}...{}", found.from, found.to),
    })))
}

/// Answers the best common ancestor of some commits.
pub async fn merge_base(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("refs");
    let refs = read.list("refs").unwrap_or_default();
    read.finish()?;
    let commit = comparison::merge_base(&state.forge, &access, &refs).await?;
    Ok(ok(commits::view(&commit, &around.web_url(&access.place().full_path))))
}

/// Answers who contributed. Nobody counts the lines.
pub async fn contributors(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let revision = read.text("ref").unwrap_or_default();
    let order = match read.allowed("order_by", &["commits", "name", "email"]).as_deref() {
        Some("name") => ContributorOrder::Name,
        Some("email") => ContributorOrder::Email,
        _ => ContributorOrder::Commits,
    };
    let descending = read.allowed("sort", &["asc", "desc"]).as_deref() == Some("desc");
    read.finish()?;
    let window = around.window();
    let found = comparison::contributors(&state.forge, &access, &revision, order, descending, window).await?;
    Ok(around.page(found.map(|contributor| {
        json!({
            "name": contributor.name,
            "email": contributor.email,
            "commits": contributor.commits,
            "additions": 0,
            "deletions": 0,
        })
    })))
}
