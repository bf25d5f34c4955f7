//! HTTP in front of the use cases: requests become calls, answers become responses.
//!
//! It decides nothing: the first argument of every handler is its access rule, checked before the handler runs, and data
//! is reached only through `portcullis-app`. It will never touch the database or a repository itself.
//!
//! Start reading at [`routes`], the table of every route.

pub mod api;
pub mod client;
pub mod credential;
pub mod door;
mod download;
pub mod error;
pub mod front;
pub mod git;
pub mod guard;
pub mod lfs;
mod multipart;
pub mod openapi;
pub mod operations;
pub mod pages;
pub mod pagination;
pub mod params;
pub mod paths;
mod rate_limit;
pub mod registry;
pub mod routes;
pub mod server;
pub mod tls;
mod unread;
pub mod uploaded;

use std::sync::Arc;

use axum::Router;
use portcullis_app::Forge;

/// What every handler can reach.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The forge.
    pub forge: Arc<Forge>,
}

/// Returns the whole web service of a forge, ready to be served.
pub fn router(forge: Arc<Forge>) -> Router {
    let state = AppState { forge };
    let inner = routes::build(routes::table(), state.clone());
    // Paths are folded before they are routed, so the folding stands in front of the router.
    Router::new().fallback_service(front::Front::new(inner, state))
}
