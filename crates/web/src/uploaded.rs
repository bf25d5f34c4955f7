//! Uploaded files at the addresses that stand in texts: `/-/project/:id/uploads/:secret/:name`, and below the project's path,
//! which is folded into that form.

use axum::extract::State;
use axum::http::request::Parts;
use portcullis_app::access::Authorized;
use portcullis_app::uploads;
use portcullis_rules::access::act;
use portcullis_rules::files::picture;

use crate::AppState;
use crate::api::{ApiResult, PathParts, path_text};
use crate::download::{self, Shown};

/// Answers an uploaded file: a picture to be shown, everything else to be saved.
pub async fn get(
    access: Authorized<act::DownloadUpload>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
) -> ApiResult {
    let (secret, name) = (path_text(&path, "secret"), path_text(&path, "file_name"));
    let file = uploads::open_by_secret(&state.forge, &access, secret, name).await?;
    let shown = picture(file.name()).map_or(Shown::AsAttachment, Shown::Inline);
    download::file(&state, &access, &parts, &file, shown).await
}
