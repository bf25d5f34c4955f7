//! What pages are drawn with: one style sheet, one small script, one icon. They are part of the program, and their names
//! hold a digest of their content, so that a browser asks for each once.

use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::PageError;
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::guard::{Access, Guard};

struct Asset {
    name: String,
    kind: &'static str,
    content: &'static [u8],
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, content: &'static [u8]) -> Asset {
        let digest = Sha256::digest(content);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Asset { name: format!("{stem}.{digest}.{extension}"), kind, content }
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("pages", "css", "text/css; charset=utf-8", include_bytes!("../../assets/pages.css")),
        Asset::new("pages", "js", "text/javascript; charset=utf-8", include_bytes!("../../assets/pages.js")),
        Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
    ]
});

/// Returns the name of the style sheet.
pub fn style() -> &'static str {
    &ASSETS[0].name
}

/// Returns the name of the script.
pub fn script() -> &'static str {
    &ASSETS[1].name
}

/// Returns the name of the icon.
pub fn icon() -> &'static str {
    &ASSETS[2].name
}

/// A file that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct PartOfProgram;

impl Guard for PartOfProgram {
    const ACCESS: Access = Access::Public("it is part of the program, and the same for everybody");
}

impl FromRequestParts<AppState> for PartOfProgram {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(PartOfProgram)
    }
}

/// Answers a style sheet, a script or an icon.
pub async fn get(_: PartOfProgram, path: PathParts) -> Response {
    let name = path_text(&path, "file");
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => (
            [
                (CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
                (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            ],
            asset.content,
        )
            .into_response(),
        None => PageError::NotFound.into_response(),
    }
}
