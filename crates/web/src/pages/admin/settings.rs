//! Administration › Settings: what the operator decided, and where. It is read, never changed here: settings come from a file
//! and the environment, and are read at the start.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::instance::{self, ShownSettings};
use portcullis_rules::access::act;
use serde_json::Value;

use crate::AppState;
use crate::pages::{Around, PageResult, html, words};

/// A part of the settings: its heading, and each key with what it does.
type Part = (&'static str, &'static [(&'static str, &'static str)]);

/// Every setting. A test holds this list against the settings themselves.
const PARTS: [Part; 6] = [
    (
        "Access tokens",
        &[
            (
                "project_access_tokens",
                "The switch for access tokens of projects and groups. When off, none can be created or used.",
            ),
            ("require_token_expiry", "Whether a new token of any kind needs an expiry date."),
            (
                "max_token_lifetime_days",
                "The longest life of a new token, in days. With it a date is needed too.",
            ),
            (
                "inactive_token_retention_days",
                "For how many days the bot of an expired token is kept. While it is, a person can still rotate the token.",
            ),
            ("project_token_prefix", "What the secrets of project access tokens begin with."),
            ("personal_token_prefix", "What the secrets of personal access tokens begin with."),
            ("group_token_prefix", "What the secrets of group access tokens begin with."),
            ("allow_token_in_query", "Whether “private_token” in an address is taken as a credential."),
            ("edition", "Whether plans decide where access tokens can be created: they do with “saas”."),
        ],
    ),
    (
        "Signing in, and limits on asking",
        &[
            ("session_days", "For how many days somebody stays signed in at most."),
            ("session_idle_hours", "After how many hours without a request somebody is signed out."),
            (
                "max_failed_sign_ins",
                "How often a wrong password may be tried for a name in ten minutes; 0 means no limit.",
            ),
            (
                "max_failed_authentications_per_minute",
                "How many wrong credentials one address may present in a minute; 0 means no limit.",
            ),
            (
                "max_api_requests_per_minute",
                "How many requests over the REST API one token may make in a minute; 0 means no limit.",
            ),
        ],
    ),
    (
        "Place and address",
        &[
            ("data", "The folder of the SQLite database, of repositories and of keys."),
            ("listen", "The address and port that the forge listens at."),
            ("external_url", "The address that people and clients use. Links begin with it."),
            (
                "database_url",
                "The PostgreSQL database; without it, SQLite in the data folder. A password in it is not shown.",
            ),
            ("tls_certificate", "The file of the certificate. With it the forge speaks HTTPS."),
            ("tls_key", "The file of the certificate's private key."),
            ("trusted_proxies", "Networks whose forwarded headers are believed."),
        ],
    ),
    (
        "Git and large files",
        &[
            ("git_program", "The git program that serves repositories."),
            ("git_processes", "How many Git requests may run at once."),
            ("git_queue", "How many Git requests may wait for their turn."),
            ("git_queue_seconds", "How long one of them may wait, in seconds."),
            ("max_push_bytes", "The largest pack that one push may bring."),
            ("git_answer_cache_bytes", "How much the answers to repeated fetches may take."),
            ("git_realm", "What Git shows when it asks for a password."),
            ("git_message_prefix", "What stands before each message of the forge in Git's output."),
            ("lfs", "The switch for large files (Git LFS)."),
            ("lfs_quota_bytes", "How much the large files of one project may take together."),
            ("max_lfs_object_bytes", "The largest file that Git LFS may store."),
        ],
    ),
    (
        "Container registry",
        &[
            ("container_registry", "The switch for the container registry."),
            (
                "blobs",
                "Where the content of images, packages and uploads is; without it, in the data folder. How a bucket is \
                 reached is said by variables that begin with AWS_, which are not shown.",
            ),
            ("signing_algorithm", "How bearers of the registry are signed."),
            ("registry_issuer", "Who bearers say they are from."),
            ("registry_token_seconds", "How long a bearer lives, in seconds."),
            ("max_manifest_bytes", "The largest manifest."),
            ("max_blob_bytes", "The largest blob."),
            ("registry_deletion", "Whether images can be deleted through the registry's protocol."),
            ("registry_read_only", "Whether the registry refuses every change."),
            ("registry_gc_age_hours", "For how many hours content that nothing refers to is kept."),
            ("registry_upload_hours", "After how many hours without a request an upload is given up."),
            ("registry_open_uploads", "How many uploads one token may have open at once."),
        ],
    ),
    (
        "The server",
        &[
            ("max_connections", "How many connections may be open at once."),
            ("max_body_bytes", "The largest JSON or form body."),
            ("max_upload_bytes", "The largest file that can be uploaded to a project."),
            ("max_package_file_bytes", "The largest file of a package."),
            ("max_commit_body_bytes", "The largest body of a request that commits files."),
            ("max_terraform_state_bytes", "The largest state of infrastructure that Terraform may keep."),
            (
                "webhooks_may_call_local_network",
                "Whether web hooks may call addresses that are not of the public Internet.",
            ),
            ("metrics_allow", "Networks that may read the metrics without a token."),
            ("shutdown_seconds", "How long running requests may take after the order to stop, in seconds."),
            ("log_format", "How log lines are written."),
            ("log_level", "Which events are logged."),
        ],
    ),
];

struct SettingView {
    key: &'static str,
    says: &'static str,
    /// `None` where it is not set.
    value: Option<String>,
    /// The value as people say it, where that is shorter.
    in_words: Option<String>,
    origin: Option<String>,
    is_default: bool,
}

impl SettingView {
    fn of((key, says): (&'static str, &'static str), shown: &ShownSettings) -> SettingView {
        let value = shown.values.get(key).unwrap_or(&Value::Null);
        let origin = shown.origins.get(key).cloned();
        SettingView {
            key,
            says,
            in_words: value.as_u64().filter(|_| key.ends_with("_bytes")).map(words::bytes),
            value: text(value),
            is_default: origin.as_deref() == Some("default"),
            origin,
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Array(values) if values.is_empty() => Some("none".to_owned()),
        Value::Array(values) => Some(values.iter().filter_map(text).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    }
}

struct PartView {
    id: usize,
    heading: &'static str,
    settings: Vec<SettingView>,
}

#[derive(Template)]
#[template(path = "admin_settings.html")]
struct SettingsPage {
    around: Around,
    parts: Vec<PartView>,
    /// Whether it is known where values were set.
    knows_origins: bool,
}

/// Answers the settings in force.
pub async fn show(
    access: Authorized<act::ReadSettings>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let shown = instance::settings(&state.forge, &access).await?;
    let parts = PARTS.into_iter().enumerate().map(|(id, (heading, keys))| PartView {
        id,
        heading,
        settings: keys.iter().map(|key| SettingView::of(*key, &shown)).collect(),
    });
    let page = SettingsPage {
        parts: parts.collect(),
        knows_origins: !shown.origins.is_empty(),
        around: around.of(&state, access.viewer()).await?,
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use portcullis_app::settings::Settings;

    use super::*;

    #[test]
    fn every_setting_is_shown_once_and_explained() {
        let Value::Object(settings) = serde_json::to_value(Settings::default()).unwrap() else { panic!() };
        let mut keys: Vec<_> = settings.keys().map(String::as_str).collect();
        let mut shown: Vec<_> = PARTS.iter().flat_map(|(_, keys)| keys.iter()).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, keys);
        assert!(PARTS.iter().flat_map(|(_, keys)| keys.iter()).all(|(_, says)| says.ends_with('.')));
    }
}
