//! The bare axum handler: what HTTP itself costs on this machine, in the framework the product is built with.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves `file` at `/file` and a canned word at `/hello`, until it is killed.
pub fn serve(listen: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let body = axum::body::Bytes::from(std::fs::read(file).with_context(|| file.display().to_string())?);
    let router = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/file", get(async move || ([(CONTENT_TYPE, "application/json")], body.clone())));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = axum::serve::ListenerExt::tap_io(TcpListener::bind(listen).await?, |stream| {
            // The product does the same.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await.context("the bare handler stopped")
    })
}
