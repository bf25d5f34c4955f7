//! Tags of image repositories.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::records::container_tags::TagDetails;
use portcullis_app::registry::TagPattern;
use portcullis_app::registry::cleanup::{AGE_UNITS, Selection, parse_age};
use portcullis_app::registry::tags::{self, Direction};
use portcullis_rules::access::act;
use serde::Serialize;
use serde_json::json;

use super::container_repositories::{TagName, location, repository_id};
use super::{ApiResult, PathParts, Surroundings, accepted, ok, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::params::{Params, Reader};

/// How much of a digest people are shown.
const SHORT_REVISION_CHARACTERS: usize = 9;

#[derive(Serialize)]
struct TagView {
    #[serde(flatten)]
    named: TagName,
    revision: Option<String>,
    short_revision: Option<String>,
    digest: String,
    created_at: Option<String>,
    total_size: i64,
}

fn view(image: &str, details: TagDetails, base: &BaseUrl) -> TagView {
    let path = format!("{image}:{}", details.name);
    let hex = |digest: &str| digest.split_once(':').map_or(digest, |(_, hex)| hex).to_owned();
    let revision = details.config_digest.as_deref().map(hex);
    TagView {
        named: TagName { location: location(&path, base), path, name: details.name },
        short_revision: revision
            .as_ref()
            .map(|revision| revision.chars().take(SHORT_REVISION_CHARACTERS).collect()),
        revision,
        digest: details.digest,
        // Here alone GitLab writes the offset as digits.
        created_at: details.built_at.map(|at| time(at).replace('Z', "+00:00")),
        total_size: details.total_size,
    }
}

/// Answers the tags of a repository: by page, or behind a tag.
pub async fn list(
    access: Authorized<act::ReadContainerRepositories>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let keyset = read.allowed("pagination", &["keyset", "offset"]).as_deref() == Some("keyset");
    let last = read.filled_text("last");
    let direction = match read.allowed("sort", &["asc", "desc"]).as_deref() {
        Some("desc") => Direction::Descending,
        _ => Direction::Ascending,
    };
    read.finish()?;
    let id = repository_id(&parts)?;
    if !keyset {
        let (image, found) = tags::list(&state.forge, &access, id, around.window()).await?;
        return Ok(around.page(found.map(|tag| TagName::new(tag, &image, &around.base))));
    }
    let limit = usize::try_from(around.window().limit).unwrap_or(0);
    let (image, page) = tags::page(&state.forge, &access, id, last.as_deref(), direction, limit).await?;
    let next = page.items.last().filter(|_| page.more).cloned();
    let views: Vec<_> = page.items.into_iter().map(|tag| TagName::new(tag, &image, &around.base)).collect();
    Ok(around.page_behind(views, next.as_deref()))
}

/// Answers one tag.
pub async fn get(
    access: Authorized<act::ReadContainerRepositories>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let id = repository_id(&parts)?;
    let (image, details) = tags::get(&state.forge, &access, id, path_text(&parts, "tag_name")).await?;
    Ok(ok(view(&image, details, &around.base)))
}

/// Deletes one tag.
pub async fn delete(
    access: Authorized<act::DeleteContainerTag>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    let id = repository_id(&parts)?;
    tags::delete(&state.forge, &access, id, path_text(&parts, "tag_name")).await?;
    Ok(ok(json!({ "message": "200 OK" })))
}

/// Reads a pattern of tags; one that is blank counts as absent.
pub(super) fn reads_pattern(read: &mut Reader<'_>, name: &str) -> Option<TagPattern> {
    let text = read.filled_text(name)?;
    TagPattern::parse(&text).map_err(|why| read.problem(name, &why)).ok()
}

/// Has the tags deleted that match.
pub async fn delete_in_bulk(
    access: Authorized<act::AdministerContainerRepositories>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let delete = reads_pattern(&mut read, "name_regex_delete");
    let older_name = reads_pattern(&mut read, "name_regex");
    let keep = reads_pattern(&mut read, "name_regex_keep");
    let keep_n = read.integer("keep_n").and_then(|number| {
        let number = u32::try_from(number).ok();
        if number.is_none() {
            read.problem("keep_n", "does not have a valid value; allowed are numbers from 0");
        }
        number
    });
    let older_than = read.filled_text("older_than").and_then(|text| {
        let age = parse_age(&text);
        if age.is_none() {
            read.problem("older_than", &format!("does not have a valid value; allowed is {AGE_UNITS}"));
        }
        age
    });
    if !params.has("name_regex_delete") && !params.has("name_regex") {
        read.problem("name_regex, name_regex_delete", "are missing, at least one parameter must be provided");
    } else if delete.is_none() && older_name.is_none() {
        read.problem("name_regex_delete", "is empty");
    }
    read.finish()?;
    let id = repository_id(&parts)?;
    if let Some(delete) = delete.or(older_name) {
        let selection = Selection { delete, keep, keep_n, older_than };
        tags::delete_in_bulk(&state.forge, &access, id, &selection).await?;
    }
    Ok(accepted())
}
