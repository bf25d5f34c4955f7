//! The version, for clients that switch features on by it.

use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_rules::access::act;
use serde_json::json;

use super::ok;

/// The GitLab version whose API this one follows. Clients compare it; it is not our own version.
pub const GITLAB_VERSION: &str = "17.11.0";

/// Answers the version.
pub async fn get(_: Authorized<act::ReadVersion>) -> Response {
    ok(json!({ "version": GITLAB_VERSION, "revision": concat!("portcullis-", env!("CARGO_PKG_VERSION")) }))
}

/// Answers the version and what is installed beside it.
pub async fn metadata(_: Authorized<act::ReadVersion>) -> Response {
    ok(json!({
        "version": GITLAB_VERSION,
        "revision": concat!("portcullis-", env!("CARGO_PKG_VERSION")),
        "kas": { "enabled": false, "externalUrl": null, "externalK8sProxyUrl": null, "version": null },
        "enterprise": false,
    }))
}
