//! Releases, and the links to what they bring.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use portcullis_app::access::Authorized;
use portcullis_app::records::release_links::ReleaseLink;
use portcullis_app::records::releases::{ReleaseFilter, ReleaseOrder};
use portcullis_app::releases::{
    self, LINK_TYPES, LinkChanges, NewLinkRequest, NewReleaseRequest, ReleaseChanges, ReleaseDetails,
};
use portcullis_rules::access::{Act, act, on};
use portcullis_rules::id::ReleaseLinkId;
use serde_json::{Value, json};

use super::issues::reads_ascending;
use super::users::UserView;
use super::{
    ApiResult, PathParts, Surroundings, commits, created, milestones, ok, path_number, path_text, time,
};
use crate::AppState;
use crate::error::ApiError;
use crate::pagination::encoded;
use crate::params::{Params, Reader};

/// The parameters of a change, as the answer to a request without any names them.
const CHANGEABLE: [&str; 4] = ["name", "description", "released_at", "milestones"];

/// The same of a link.
const CHANGEABLE_OF_LINK: [&str; 5] = ["name", "url", "direct_asset_path", "filepath", "link_type"];

/// The archives of the code that a release offers.
const SOURCES: [&str; 3] = ["zip", "tar.gz", "tar"];

/// Where a project is, in addresses.
struct Project {
    /// The address of its page.
    web_url: String,
    /// The path of its page.
    path: String,
    /// The start of its addresses in the API.
    api: String,
    now: i64,
    may_change: bool,
}

impl Project {
    fn of<A: Act<On = on::Project>>(
        access: &Authorized<A>,
        around: &Surroundings,
        state: &AppState,
    ) -> Project {
        let full_path = &access.place().full_path;
        Project {
            web_url: around.web_url(full_path),
            path: format!("/{full_path}"),
            api: format!("{}/api/v4/projects/{}", around.base.0, access.project()),
            now: state.forge.now(),
            may_change: access.also::<act::AdministerReleases>().is_ok(),
        }
    }
}

fn link_view(link: &ReleaseLink, tag: &str, web_url: &str) -> Value {
    let direct = match &link.direct_asset_path {
        Some(path) => format!("{web_url}/-/releases/{}/downloads{path}", encoded(tag)),
        None => link.url.clone(),
    };
    json!({
        "id": link.id.0,
        "name": link.name,
        "url": link.url,
        "direct_asset_url": direct,
        "external": true,
        "link_type": link.link_type,
    })
}

/// Returns a release in GitLab's shape.
fn view(details: &ReleaseDetails, project: &Project, around: &Surroundings) -> Value {
    let ReleaseDetails { release, commit, links, milestones, shows_code } = details;
    let Project { web_url, api, .. } = project;
    let tag = encoded(&release.tag);
    let sources: Vec<_> = SOURCES
        .iter()
        .filter(|_| *shows_code)
        .map(|format| json!({ "format": format, "url": format!("{api}/repository/archive.{format}?sha={tag}") }))
        .collect();
    let address = format!("{web_url}/-/releases/{tag}");
    let list = |of: &str, state: &str| format!("{web_url}/-/{of}?release_tag={tag}&scope=all&state={state}");
    let mut view = json!({
        "tag_name": release.tag,
        "name": release.name.as_ref().unwrap_or(&release.tag),
        "description": release.description,
        "created_at": time(release.created_at),
        "released_at": time(release.released_at),
        "upcoming_release": release.released_at > project.now,
        "author": UserView::of(&release.author, &around.base),
        "milestones": milestones
            .iter()
            .map(|milestone| milestones::view(milestone, web_url, project.now))
            .collect::<Vec<_>>(),
        "assets": {
            "count": sources.len() + links.len(),
            "sources": sources,
            "links": links.iter().map(|link| link_view(link, &release.tag, web_url)).collect::<Vec<_>>(),
        },
        "evidences": [],
        "_links": {
            "self": address,
            "closed_issues_url": list("issues", "closed"),
            "closed_merge_requests_url": list("merge_requests", "closed"),
            "merged_merge_requests_url": list("merge_requests", "merged"),
            "opened_issues_url": list("issues", "opened"),
            "opened_merge_requests_url": list("merge_requests", "opened"),
        },
    });
    if project.may_change {
        view["_links"]["edit_url"] = json!(format!("{address}/edit"));
    }
    if *shows_code {
        view["commit"] = json!(commit.as_ref().map(|commit| commits::view(commit, web_url)));
        view["tag_path"] = json!(format!("{}/-/tags/{tag}", project.path));
        if let Some(commit) = commit {
            view["commit_path"] = json!(format!("{}/-/commit/{}", project.path, commit.id));
        }
    }
    view
}

/// Answers the releases of a project, the newest first unless asked otherwise.
pub async fn list(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let order = read.one_of("order_by", |word| match word {
        "released_at" => Some(ReleaseOrder::Released),
        "created_at" => Some(ReleaseOrder::Created),
        _ => None,
    });
    let filter = ReleaseFilter {
        order: order.unwrap_or_default(),
        ascending: reads_ascending(&mut read),
        updated_after: read.time("updated_after"),
        updated_before: read.time("updated_before"),
    };
    read.finish()?;
    let found = releases::list(&state.forge, &access, filter, around.window()).await?;
    let project = Project::of(&access, &around, &state);
    Ok(around.page(found.map(|release| view(&release, &project, &around))))
}

/// Answers the release of a tag.
pub async fn get(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let release = releases::get(&state.forge, &access, path_text(&parts, "tag")).await?;
    Ok(ok(view(&release, &Project::of(&access, &around, &state), &around)))
}

/// Answers the release that was released last.
pub async fn get_latest(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let release = releases::get_latest(&state.forge, &access).await?;
    Ok(ok(view(&release, &Project::of(&access, &around, &state), &around)))
}

/// Reads the path of a link, under either of its names.
fn reads_asset_path(read: &mut Reader<'_>) -> Option<String> {
    read.text("direct_asset_path").or_else(|| read.text("filepath"))
}

fn reads_link(read: &mut Reader<'_>) -> NewLinkRequest {
    NewLinkRequest {
        name: read.required_text("name"),
        url: read.required_text("url"),
        direct_asset_path: reads_asset_path(read),
        link_type: read.allowed("link_type", &LINK_TYPES),
    }
}

/// Makes the release of a tag.
pub async fn create(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let tag = read.required_text("tag_name");
    let links = read.object("assets", |assets| assets.objects("links", reads_link));
    let request = NewReleaseRequest {
        tag,
        name: read.text("name"),
        description: read.text("description"),
        revision: read.filled_text("ref"),
        tag_message: read.text("tag_message"),
        released_at: read.time("released_at"),
        milestones: read.list("milestones").unwrap_or_default(),
        links: links.flatten().unwrap_or_default(),
    };
    read.finish()?;
    let release = releases::create(&state.forge, &access, request).await?;
    Ok(created(view(&release, &Project::of(&access, &around, &state), &around)))
}

/// Answers that at least one of some parameters is needed, unless one was sent.
fn check_any(params: &Params, names: &[&str]) -> Result<(), ApiError> {
    if names.iter().any(|name| params.has(name)) {
        return Ok(());
    }
    let problem = format!("{} are missing, at least one parameter must be provided", names.join(", "));
    Err(ApiError::bad_parameters(&problem))
}

/// Changes a release.
pub async fn update(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    check_any(&params, &CHANGEABLE)?;
    let mut read = params.read();
    let cleared = |name: &str| params.has(name).then(String::new);
    let changes = ReleaseChanges {
        name: read.text("name").or_else(|| cleared("name")),
        description: read.text("description").or_else(|| cleared("description")),
        released_at: read.time("released_at"),
        milestones: read.list("milestones").or_else(|| params.has("milestones").then(Vec::new)),
    };
    read.finish()?;
    let release = releases::update(&state.forge, &access, path_text(&parts, "tag"), changes).await?;
    Ok(ok(view(&release, &Project::of(&access, &around, &state), &around)))
}

/// Deletes a release, and answers what it was. The tag stays.
pub async fn delete(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let release = releases::delete(&state.forge, &access, path_text(&parts, "tag")).await?;
    Ok(ok(view(&release, &Project::of(&access, &around, &state), &around)))
}

fn link_id(parts: &PathParts) -> Result<ReleaseLinkId, ApiError> {
    path_number(parts, "link_id", "Release Link").map(ReleaseLinkId)
}

/// Answers the links of a release, newest first.
pub async fn list_links(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let tag = path_text(&parts, "tag");
    let found = releases::list_links(&state.forge, &access, tag, around.window()).await?;
    let web_url = around.web_url(&access.place().full_path);
    Ok(around.page(found.map(|link| link_view(&link, tag, &web_url))))
}

/// Answers one link of a release.
pub async fn get_link(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let tag = path_text(&parts, "tag");
    let link = releases::get_link(&state.forge, &access, tag, link_id(&parts)?).await?;
    Ok(ok(link_view(&link, tag, &around.web_url(&access.place().full_path))))
}

/// Adds a link to a release.
pub async fn create_link(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = reads_link(&mut read);
    read.finish()?;
    let tag = path_text(&parts, "tag");
    let link = releases::create_link(&state.forge, &access, tag, request).await?;
    Ok(created(link_view(&link, tag, &around.web_url(&access.place().full_path))))
}

/// Changes a link of a release.
pub async fn update_link(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    check_any(&params, &CHANGEABLE_OF_LINK)?;
    let mut read = params.read();
    let sent = params.has("direct_asset_path") || params.has("filepath");
    let changes = LinkChanges {
        name: read.text("name"),
        url: read.text("url"),
        direct_asset_path: sent.then(|| reads_asset_path(&mut read)),
        link_type: read.allowed("link_type", &LINK_TYPES),
    };
    read.finish()?;
    let tag = path_text(&parts, "tag");
    let link = releases::update_link(&state.forge, &access, tag, link_id(&parts)?, changes).await?;
    Ok(ok(link_view(&link, tag, &around.web_url(&access.place().full_path))))
}

/// Takes a link away from a release, and answers what it was.
pub async fn delete_link(
    access: Authorized<act::AdministerReleases>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
    _params: Params,
) -> ApiResult {
    let tag = path_text(&parts, "tag");
    let link = releases::delete_link(&state.forge, &access, tag, link_id(&parts)?).await?;
    Ok(ok(link_view(&link, tag, &around.web_url(&access.place().full_path))))
}

/// Sends whoever asks at a link's own address to where it leads.
pub async fn download(
    access: Authorized<act::ReadReleases>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let path = format!("/{}", path_text(&parts, "path"));
    let url = releases::find_download(&state.forge, &access, path_text(&parts, "tag"), &path).await?;
    let location = utf8_percent_encode(&url, CONTROLS).to_string();
    match HeaderValue::from_str(&location) {
        Ok(location) => Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response()),
        Err(_) => Err(ApiError::not_found("Release Link")),
    }
}
