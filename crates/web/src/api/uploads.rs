//! Files that are uploaded to a project.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use portcullis_app::access::Authorized;
use portcullis_app::records::uploads::Upload;
use portcullis_app::uploads;
use portcullis_rules::access::act;
use portcullis_rules::files::FileName;
use portcullis_rules::id::UploadId;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, created, no_content, path_number, path_text, time};
use crate::AppState;
use crate::download::{self, Shown};
use crate::error::ApiError;
use crate::multipart::{Multipart, MultipartError};
use crate::params::Params;
use crate::registry::content;

/// The field that holds the file.
const FIELD: &str = "file";

/// Returns an upload as it is listed.
fn view(upload: &Upload) -> Value {
    json!({
        "id": upload.id.0,
        "size": upload.size,
        "filename": upload.file_name,
        "created_at": time(upload.created_at),
        "uploaded_by": {
            "id": upload.author.id.0,
            "name": upload.author.name,
            "username": upload.author.username,
        },
    })
}

/// Returns where an upload is, in the ways that texts and clients name it.
fn view_of_address(upload: &Upload) -> Value {
    let name = FileName::sanitized(&upload.file_name);
    let url = format!("/uploads/{}/{}", upload.secret, upload.file_name);
    let mark = if name.is_embedded() { "!" } else { "" };
    json!({
        "id": upload.id.0,
        "alt": name.alt(),
        "url": url,
        "full_path": format!("/-/project/{}{url}", upload.project),
        "markdown": format!("{mark}[{}]({url})", name.alt()),
    })
}

fn upload_id(parts: &PathParts) -> Result<UploadId, ApiError> {
    path_number(parts, "upload_id", "Upload").map(UploadId)
}

/// Uploads a file: the part `file` of a form. What stands in the form behind it is not read.
pub async fn create(
    access: Authorized<act::CreateUpload>,
    State(state): State<AppState>,
    request: Request,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let refused = |error: MultipartError| ApiError::bad_parameters(&error.to_string());
    let mut form = match Multipart::new(&parts.headers, Box::pin(content(body))) {
        Ok(form) => form,
        Err(error) => return Err(ApiError::bad_parameters(&format!("{FIELD} is missing: {error}"))),
    };
    let mut passed = 0;
    let name = loop {
        let Some(part) = form.next_part().await.map_err(refused)? else {
            return Err(ApiError::bad_parameters(&format!("{FIELD} is missing")));
        };
        match part.file_name {
            Some(name) if part.name == FIELD => break name,
            _ if part.name == FIELD => {
                return Err(ApiError::bad_parameters(&format!("{FIELD} is invalid: it has no file name")));
            }
            _ => {}
        }
        // What stands before the file is small.
        let limit = state.forge.settings().max_body_bytes.saturating_sub(passed);
        passed += form.field(limit).await.map_err(refused)?.len();
    };
    let upload = uploads::create(&state.forge, &access, &name, form.into_content()).await?;
    Ok(created(view_of_address(&upload)))
}

/// Answers the uploaded files, the newest first.
pub async fn list(
    access: Authorized<act::ReadUploads>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let found = uploads::list(&state.forge, &access, around.window()).await?;
    Ok(around.page(found.map(|upload| view(&upload))))
}

/// Answers the content of an uploaded file.
pub async fn get(
    access: Authorized<act::ReadUploads>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> ApiResult {
    let file = uploads::open(&state.forge, &access, upload_id(&path)?).await?;
    download::file(&state, &access, &parts, &file, Shown::AsAttachment).await
}

/// Answers the content of an uploaded file, by what its address holds.
pub async fn get_by_secret(
    access: Authorized<act::DownloadUpload>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> ApiResult {
    let (secret, name) = (path_text(&path, "secret"), path_text(&path, "file_name"));
    let file = uploads::open_by_secret(&state.forge, &access, secret, name).await?;
    download::file(&state, &access, &parts, &file, Shown::AsAttachment).await
}

/// Deletes an uploaded file.
pub async fn delete(
    access: Authorized<act::DeleteUpload>,
    State(state): State<AppState>,
    path: PathParts,
    _params: Params,
) -> ApiResult {
    uploads::delete(&state.forge, &access, upload_id(&path)?).await?;
    Ok(no_content())
}

/// Deletes an uploaded file, by what its address holds.
pub async fn delete_by_secret(
    access: Authorized<act::DeleteUpload>,
    State(state): State<AppState>,
    path: PathParts,
    _params: Params,
) -> ApiResult {
    let (secret, name) = (path_text(&path, "secret"), path_text(&path, "file_name"));
    uploads::delete_by_secret(&state.forge, &access, secret, name).await?;
    Ok(no_content())
}
