//! Tags.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::search::NameFilter;
use portcullis_app::tags::{self, TagDetails, TagOrder};
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, commits, ok, path_text};
use crate::AppState;
use crate::params::Params;

/// Returns a tag. `web_url` is the project's.
pub fn view(details: &TagDetails, web_url: &str) -> Value {
    let tag = &details.tag;
    let said = tag.annotation.as_ref();
    let tagger = said.and_then(|annotation| annotation.tagger.as_ref());
    json!({
        "name": tag.name.tag(),
        "message": said.map(|annotation| annotation.message.trim_end()),
        "target": tag.target.as_str(),
        "commit": tag.commit.as_ref().map(|commit| commits::view(commit, web_url)),
        "release": details.release.as_ref().map(|description| {
            json!({ "tag_name": tag.name.tag(), "description": description })
        }),
        "protected": details.protected,
        "created_at": tagger.map(commits::local_time),
    })
}

/// Answers the tags.
pub async fn list(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let search = read.filled_text("search");
    let order = match read.allowed("order_by", &["name", "updated", "version"]).as_deref() {
        Some("name") => TagOrder::Name,
        Some("version") => TagOrder::Version,
        _ => TagOrder::Updated,
    };
    let descending = read.allowed("sort", &["asc", "desc"]).as_deref() != Some("asc");
    read.finish()?;
    let filter = NameFilter::new(search.as_deref(), None)?;
    let found = tags::list(&state.forge, &access, &filter, order, descending, around.window()).await?;
    let web_url = around.web_url(&access.place().full_path);
    Ok(around.page(found.map(|tag| view(&tag, &web_url))))
}

/// Answers one tag.
pub async fn get(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let tag = tags::get(&state.forge, &access, path_text(&parts, "tag")).await?;
    Ok(ok(view(&tag, &around.web_url(&access.place().full_path))))
}
