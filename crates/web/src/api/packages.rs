//! Packages.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use portcullis_app::access::Authorized;
use portcullis_app::contents::sha256_in;
use portcullis_app::packages::{self, FileReference};
use portcullis_app::records::packages::{
    GENERIC, Package, PackageFile, PackageFilter, PackageOrder, PackageStatus,
};
use portcullis_rules::access::act;
use portcullis_rules::id::{PackageFileId, PackageId};
use serde_json::{Value, json};

use super::issues::reads_sought;
use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::download::{self, Shown, encoded};
use crate::error::ApiError;
use crate::params::{Params, Reader};
use crate::registry::{content, header, put};

/// The kinds of packages that GitLab lists. Of those that are not here there are none.
const TYPES: [&str; 14] = [
    "conan",
    "maven",
    "npm",
    "pypi",
    "composer",
    "nuget",
    "helm",
    "golang",
    "debian",
    "rubygems",
    "terraform_module",
    "ml_model",
    "rpm",
    GENERIC,
];

const CHECKSUM: HeaderName = HeaderName::from_static("x-checksum-sha256");

fn view(package: &Package, project_path: &str, may_delete: bool, base: &BaseUrl) -> Value {
    let (project, id) = (package.project.0, package.id.0);
    let mut view = json!({
        "id": id,
        "name": package.name,
        "version": package.version,
        "package_type": package.package_type,
        "status": package.status.name(),
        "_links": { "web_path": format!("/{project_path}/-/packages/{id}") },
        "created_at": time(package.created_at),
        "last_downloaded_at": null,
        "creator_id": package.creator.0,
        "tags": [],
        "pipelines": [],
    });
    if may_delete {
        view["_links"]["delete_api_path"] =
            json!(format!("{}/api/v4/projects/{project}/packages/{id}", base.0));
    }
    view
}

fn view_of_file(file: &PackageFile) -> Value {
    json!({
        "id": file.id.0,
        "package_id": file.package.0,
        "created_at": time(file.created_at),
        "file_name": file.file_name,
        "size": file.size,
        "file_md5": null,
        "file_sha1": null,
        "file_sha256": sha256_in(&file.digest),
        "pipelines": [],
    })
}

/// Returns a file as it is answered to whoever published it and asked for it.
fn view_of_published(file: &PackageFile, url: String) -> Value {
    json!({
        "id": file.id.0,
        "package_id": file.package.0,
        "created_at": time(file.created_at),
        "updated_at": time(file.created_at),
        "size": file.size,
        "file_store": 1,
        "file_md5": null,
        "file_sha1": null,
        "file_sha256": sha256_in(&file.digest),
        "file_name": file.file_name,
        "file": { "url": url },
        "status": "default",
    })
}

fn package_id(path: &PathParts) -> Result<PackageId, ApiError> {
    path_number(path, "package_id", "Package").map(PackageId)
}

/// Returns the names that stand in a path, or those that cannot be.
fn reference(path: &PathParts) -> Result<FileReference, Vec<&'static str>> {
    let part = |name| path_text(path, name);
    FileReference::parse(part("package_name"), part("package_version"), part("file_name"))
}

fn status(read: &mut Reader<'_>) -> Option<PackageStatus> {
    read.one_of("status", PackageStatus::from_name)
}

/// Publishes a file: the whole body, of whatever kind it says it is.
pub async fn publish(
    access: Authorized<act::PublishPackage>,
    State(state): State<AppState>,
    around: Surroundings,
    path: PathParts,
    request: Request,
) -> ApiResult {
    let reference = reference(&path).map_err(|wrong| {
        let problems: Vec<_> = wrong.iter().map(|name| format!("{name} is invalid")).collect();
        ApiError::bad_parameters(&problems.join(", "))
    })?;
    let (parts, body) = request.into_parts();
    let params = Params::of_query(&parts)?;
    let mut read = params.read();
    let status = status(&mut read);
    let answers_file = read.one_of("select", |word| (word == "package_file").then_some(())).is_some();
    read.finish()?;
    let announced = header(&parts.headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let file = packages::publish(&state.forge, &access, reference, status, announced, content(body)).await?;
    if !answers_file {
        return Ok((StatusCode::CREATED, Json(json!({ "message": "201 Created" }))).into_response());
    }
    let names = ["package_name", "package_version"].map(|name| encoded(path_text(&path, name)));
    let file_name = file.file_name.split('/').map(encoded).collect::<Vec<_>>().join("/");
    let url = format!(
        "{}/api/v4/projects/{}/packages/generic/{}/{}/{file_name}",
        around.base.0,
        access.project(),
        names[0],
        names[1],
    );
    Ok(created(view_of_published(&file, url)))
}

/// Answers the newest file of a name.
pub async fn download(
    access: Authorized<act::ReadPackages>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> ApiResult {
    // What could not be published is not there.
    let reference = reference(&path).map_err(|_| ApiError::not_found("Package"))?;
    let file = packages::open(&state.forge, &access, &reference).await?;
    let mut response = download::file(&state, &access, &parts, &file, Shown::AsAttachment).await?;
    put(response.headers_mut(), CHECKSUM, &file.sha256());
    Ok(response)
}

/// Answers the packages of a project.
pub async fn list(
    access: Authorized<act::ReadPackages>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let order = read.one_of("order_by", |word| match word {
        "created_at" => Some(PackageOrder::Created),
        "name" => Some(PackageOrder::Name),
        "version" => Some(PackageOrder::Version),
        "type" => Some(PackageOrder::Type),
        _ => None,
    });
    let ascending = read.one_of("sort", |word| match word {
        "asc" => Some(true),
        "desc" => Some(false),
        _ => None,
    });
    let filter = PackageFilter {
        name: reads_sought(&mut read, "package_name"),
        version: reads_sought(&mut read, "package_version"),
        package_type: read.allowed("package_type", &TYPES),
        status: status(&mut read).unwrap_or(PackageStatus::Default),
        order: order.unwrap_or_default(),
        ascending: ascending.unwrap_or(true),
    };
    read.finish()?;
    let found = packages::list(&state.forge, &access, &filter, around.window()).await?;
    let (path, may_delete) = (&access.place().full_path, access.also::<act::DeletePackage>().is_ok());
    Ok(around.page(found.map(|package| view(&package, path, may_delete, &around.base))))
}

/// Answers one package.
pub async fn get(
    access: Authorized<act::ReadPackages>,
    State(state): State<AppState>,
    path: PathParts,
    around: Surroundings,
) -> ApiResult {
    let package = packages::get(&state.forge, &access, package_id(&path)?).await?;
    let may_delete = access.also::<act::DeletePackage>().is_ok();
    Ok(ok(view(&package, &access.place().full_path, may_delete, &around.base)))
}

/// Answers the files of a package.
pub async fn list_files(
    access: Authorized<act::ReadPackages>,
    State(state): State<AppState>,
    path: PathParts,
    around: Surroundings,
) -> ApiResult {
    let found = packages::list_files(&state.forge, &access, package_id(&path)?, around.window()).await?;
    Ok(around.page(found.map(|file| view_of_file(&file))))
}

/// Deletes a package.
pub async fn delete(
    access: Authorized<act::DeletePackage>,
    State(state): State<AppState>,
    path: PathParts,
    _params: Params,
) -> ApiResult {
    packages::delete(&state.forge, &access, package_id(&path)?).await?;
    Ok(no_content())
}

/// Deletes a file of a package.
pub async fn delete_file(
    access: Authorized<act::DeletePackage>,
    State(state): State<AppState>,
    path: PathParts,
    _params: Params,
) -> ApiResult {
    let file = path_number(&path, "package_file_id", "Package File").map(PackageFileId)?;
    packages::delete_file(&state.forge, &access, package_id(&path)?, file).await?;
    Ok(no_content())
}
