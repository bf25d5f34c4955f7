//! Archives of a repository.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::archives::{self, ArchiveFormat};
use portcullis_rules::access::act;

use super::{ApiResult, unmeasured};
use crate::AppState;
use crate::params::Params;

/// Sends an archive, in the format that the address or a parameter names.
pub async fn download(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    uri: Uri,
    method: Method,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let named = uri.path().rsplit_once("/archive.").map(|(_, extension)| extension.to_owned());
    let format = match named {
        Some(extension) => ArchiveFormat::from_extension(&extension),
        None => read.one_of("format", ArchiveFormat::from_extension),
    };
    let format = format.unwrap_or(ArchiveFormat::TarGz);
    let revision = read.filled_text("sha");
    let path = read.filled_text("path");
    read.finish()?;
    Ok(send(&state, &access, revision.as_deref(), path.as_deref(), format, &method).await?)
}

/// Returns an archive, to be saved.
///
/// # Errors
/// As [`archives::find`] and [`archives::download`].
pub(crate) async fn send(
    state: &AppState,
    access: &Authorized<act::ReadCode>,
    revision: Option<&str>,
    path: Option<&str>,
    format: ArchiveFormat,
    method: &Method,
) -> Result<Response, portcullis_app::Error> {
    let archive = archives::find(&state.forge, access, revision, path, format).await?;
    let disposition = format!("attachment; filename=\"{}.{}\"", archive.name, format.extension());
    let body = match *method {
        Method::HEAD => unmeasured(),
        _ => Body::from_stream(archives::download(&state.forge, access, archive).await?.body),
    };
    let mut response = Response::new(body);
    let kind = match format {
        ArchiveFormat::Tar => "application/x-tar",
        ArchiveFormat::TarGz => "application/gzip",
        ArchiveFormat::Zip => "application/zip",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
