//! Commits.

use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::commits::{
    self, Authorship, Commit, CommitFilter, LineCounts, LogStart, RefKind, RepositoryPath, SignatureKind,
};
use portcullis_rules::access::act;
use serde_json::{Map, Value, json};

use super::{ApiResult, PathParts, Surroundings, ok, path_text, time};
use crate::AppState;
use crate::error::ApiError;
use crate::params::Params;

const MICROSECONDS_A_MINUTE: i64 = 60_000_000;

/// Returns a time as it was where somebody was: with milliseconds, and how far the place is from UTC.
pub fn local_time(who: &Authorship) -> String {
    let offset = i64::from(who.offset_minutes);
    let shifted = time(who.at.saturating_add(offset * MICROSECONDS_A_MINUTE));
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
    format!("{}{sign}{hours:02}:{minutes:02}", shifted.trim_end_matches('Z'))
}

/// Returns a commit as it stands in lists and inside of other things. `web_url` is the project's.
pub fn view(commit: &Commit, web_url: &str) -> Value {
    let committed = local_time(&commit.committer);
    json!({
        "id": commit.id.as_str(),
        "short_id": &commit.id.as_str()[..8],
        "created_at": committed,
        "parent_ids": commit.parents.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
        "title": commit.title(),
        "message": commit.message,
        "author_name": commit.author.name,
        "author_email": commit.author.email,
        "authored_date": local_time(&commit.author),
        "committer_name": commit.committer.name,
        "committer_email": commit.committer.email,
        "committed_date": committed,
        "trailers": {},
        "extended_trailers": {},
        "web_url": format!("{web_url}/-/commit/{}", commit.id),
    })
}

/// Returns a commit as it stands alone. Without `counts` it says nothing about lines.
pub fn detailed_view(commit: &Commit, project: i64, counts: Option<LineCounts>, web_url: &str) -> Value {
    let mut view = view(commit, web_url);
    view["status"] = Value::Null;
    view["project_id"] = json!(project);
    view["last_pipeline"] = Value::Null;
    if let Some(counts) = counts {
        view["stats"] = stats(counts);
    }
    view
}

fn stats(counts: LineCounts) -> Value {
    json!({
        "additions": counts.additions,
        "deletions": counts.deletions,
        "total": counts.additions + counts.deletions,
    })
}

/// Adds the trailers of a commit to its view. Of several with one key the first form has the last.
fn add_trailers(view: &mut Value, commit: &Commit) {
    let (mut single, mut all) = (Map::new(), Map::new());
    for (key, value) in commit.trailers() {
        single.insert(key.clone(), json!(value));
        if let Value::Array(values) = all.entry(key).or_insert_with(|| json!([])) {
            values.push(json!(value));
        }
    }
    view["trailers"] = Value::Object(single);
    view["extended_trailers"] = Value::Object(all);
}

/// Answers the commits of a branch, a range, or all.
pub async fn list(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let revision = read.text("ref_name").unwrap_or_default();
    let all = read.boolean("all").unwrap_or(false);
    let path = read.filled_text("path").map(|text| RepositoryPath::parse(&text));
    if path == Some(None) {
        read.reject("path");
    }
    let filter = CommitFilter {
        start: if all { LogStart::All } else { LogStart::Revision(revision) },
        path: path.flatten(),
        since: read.time("since"),
        until: read.time("until"),
        author: read.filled_text("author"),
        message: None,
        first_parent: read.boolean("first_parent").unwrap_or(false),
        topological: read.allowed("order", &["default", "topo"]).as_deref() == Some("topo"),
    };
    let with_stats = read.boolean("with_stats").unwrap_or(false);
    let trailers = read.boolean("trailers").unwrap_or(false);
    read.finish()?;
    let page = commits::list(&state.forge, &access, filter, around.window()).await?;
    let counts = match with_stats {
        true => commits::line_counts(&state.forge, &access, &page.commits).await?,
        false => Default::default(),
    };
    let web_url = around.web_url(&access.place().full_path);
    let views = page.commits.iter().map(|commit| {
        let mut view = view(commit, &web_url);
        if with_stats {
            view["stats"] = stats(counts.get(&commit.id).copied().unwrap_or_default());
        }
        if trailers {
            add_trailers(&mut view, commit);
        }
        view
    });
    Ok(around.page_uncounted(views.collect(), page.more))
}

/// Answers one commit.
pub async fn get(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let with_stats = read.boolean("stats").unwrap_or(true);
    read.finish()?;
    let commit = commits::get(&state.forge, &access, path_text(&parts, "sha")).await?;
    let counts = match with_stats {
        true => {
            let found = commits::line_counts(&state.forge, &access, std::slice::from_ref(&commit)).await?;
            Some(found.get(&commit.id).copied().unwrap_or_default())
        }
        false => None,
    };
    let web_url = around.web_url(&access.place().full_path);
    Ok(ok(detailed_view(&commit, access.project().0, counts, &web_url)))
}

/// Answers the branches and tags that a commit is in.
pub async fn refs(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let kind = match read.allowed("type", &["all", "branch", "tag"]).as_deref() {
        Some("branch") => RefKind::Branch,
        Some("tag") => RefKind::Tag,
        _ => RefKind::All,
    };
    read.finish()?;
    let sha = path_text(&parts, "sha");
    let found = commits::refs(&state.forge, &access, sha, kind, around.window()).await?;
    Ok(around.page(found.map(|name| match (name.branch(), name.tag()) {
        (Some(branch), _) => json!({ "type": "branch", "name": branch }),
        (None, tag) => json!({ "type": "tag", "name": tag }),
    })))
}

/// Answers how a commit is signed. Nobody checks whether the signature is good.
pub async fn signature(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let commit = commits::get(&state.forge, &access, path_text(&parts, "sha")).await?;
    let kind = match commit.signature {
        Some(SignatureKind::Pgp) => "PGP",
        Some(SignatureKind::Ssh) => "SSH",
        Some(SignatureKind::X509) => "X509",
        None => return Err(ApiError::message(StatusCode::NOT_FOUND, "Signature Not Found")),
    };
    Ok(ok(json!({ "signature_type": kind, "verification_status": "unverified", "commit_source": "gitaly" })))
}

/// Answers how many commits the history of one has.
pub async fn sequence(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let first_parent = read.boolean("first_parent").unwrap_or(false);
    read.finish()?;
    let count = commits::sequence(&state.forge, &access, path_text(&parts, "sha"), first_parent).await?;
    Ok(ok(json!({ "count": count })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_own_offset() {
        let at = |offset_minutes| {
            local_time(&Authorship {
                name: String::new(),
                email: String::new(),
                at: 1_769_872_245_000_000,
                offset_minutes,
            })
        };
        assert_eq!(at(0), "2026-01-31T15:10:45.000+00:00");
        assert_eq!(at(330), "2026-01-31T20:40:45.000+05:30");
        assert_eq!(at(-570), "2026-01-31T05:40:45.000-09:30");
    }
}
