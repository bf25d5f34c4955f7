//! Folders of a repository.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_app::access::Authorized;
use portcullis_app::commits::RepositoryPath;
use portcullis_app::records::select::Listing;
use portcullis_app::trees::{self, EntryKind, TreeEntry, TreePlace, TreeQuery, TreeWindow};
use portcullis_rules::access::act;
use serde::Serialize;

use super::{ApiResult, Surroundings};
use crate::AppState;
use crate::params::Params;

/// An entry as it is shown. Not built as a value of its own first: there may be a hundred on a page.
#[derive(Serialize)]
struct EntryView<'a> {
    id: &'a str,
    name: &'a str,
    r#type: &'static str,
    path: &'a str,
    mode: String,
}

fn view(entry: &TreeEntry) -> EntryView<'_> {
    EntryView {
        id: entry.id.as_str(),
        name: entry.name(),
        r#type: match entry.kind {
            EntryKind::Tree => "tree",
            EntryKind::Blob => "blob",
            EntryKind::Submodule => "commit",
        },
        path: &entry.path,
        mode: format!("{:06o}", entry.mode),
    }
}

/// Answers what is in a folder.
pub async fn list(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let path = RepositoryPath::parse(&read.text("path").unwrap_or_default());
    if path.is_none() {
        read.reject("path");
    }
    let keyset = read.allowed("pagination", &["keyset", "legacy", "none"]).as_deref() == Some("keyset");
    let token = read.filled_text("page_token").filter(|_| keyset);
    let place = token.map(|token| {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        bytes.and_then(|bytes| TreePlace::from_bytes(&bytes))
    });
    if place == Some(None) {
        read.reject("page_token");
    }
    let window = around.window();
    let query = TreeQuery {
        revision: read.text("ref").unwrap_or_default(),
        path: path.unwrap_or_else(RepositoryPath::root),
        recursive: read.boolean("recursive").unwrap_or(false),
        window: match keyset {
            true => TreeWindow::Behind(place.flatten()),
            false => TreeWindow::Skip(u64::try_from(window.offset).unwrap_or(0)),
        },
        limit: usize::try_from(window.limit).unwrap_or(0),
    };
    read.finish()?;
    let page = trees::list(&state.forge, &access, query).await?;
    let items: Vec<_> = page.entries.iter().map(view).collect();
    if keyset {
        let last = page.entries.last().filter(|_| page.more);
        let token = last.map(|entry| URL_SAFE_NO_PAD.encode(entry.place.to_bytes()));
        return Ok(around.page_behind_token(items, token.as_deref()));
    }
    Ok(around.page(Listing { items, total: i64::try_from(page.total).ok() }))
}
