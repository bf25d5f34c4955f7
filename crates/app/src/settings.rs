//! The settings in force: what the operator decided, already typed.
//!
//! This module knows what a setting means, its default, and which values make sense. It never reads a file,
//! the environment or a command line: the binary gathers those, builds one [`Settings`], asks
//! [`Settings::mistakes`] and passes the value on. A field's name is its key in the TOML file and, in capitals
//! behind `PORTCULLIS_`, its name in the environment.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use portcullis_rules::token::Edition;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest prefix of token secrets an operator may choose.
const MAX_TOKEN_PREFIX_LENGTH: usize = 20;

/// The longest text an operator may put before Git's messages or into its realm.
const MAX_LABEL_LENGTH: usize = 100;

/// The longest name of a bucket with a folder in it. Names of objects have 1,024 bytes, and ours are added to it.
const MAX_BUCKET_PLACE_LENGTH: usize = 512;

/// How long a bearer of the registry may live, in seconds. Clients count on a minute; and a key that no longer signs is
/// kept for a day, which must be longer than what it signed.
const REGISTRY_TOKEN_SECONDS: RangeInclusive<u32> = 60..=3600;

/// How large the largest manifest may be allowed to be, in bytes. Every registry must take 4 MiB (OCI distribution
/// specification, "Pushing Manifests"), and a manifest is held in memory as a whole.
const MANIFEST_BYTES: RangeInclusive<usize> = 4 * 1024 * 1024..=64 * 1024 * 1024;

/// How short-lived bearers are signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, for verifiers that know nothing newer.
    #[serde(rename = "RS256")]
    Rs256,
}

impl SigningAlgorithm {
    /// Returns the name that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            SigningAlgorithm::Es256 => "ES256",
            SigningAlgorithm::Rs256 => "RS256",
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text when standard error is a terminal, JSON otherwise.
    Auto,
    /// One readable line for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// Every setting of the forge. `Debug` hides what is secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder that holds the database (unless it is elsewhere), repositories and keys.
    pub data: PathBuf,
    /// The address and port that the forge listens at.
    pub listen: SocketAddr,
    /// The address people and clients use, such as `https://git.example.com`, without a slash at its end; when
    /// there is none, links are built from the host name of each request.
    pub external_url: Option<String>,
    /// Where the PostgreSQL database is; without it the forge uses SQLite inside the data folder.
    pub database_url: Option<String>,
    /// Whether tiers gate the creation of project access tokens.
    pub edition: Edition,
    /// The PEM file of the certificate chain; with it the forge speaks HTTPS.
    pub tls_certificate: Option<PathBuf>,
    /// The PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// The operator's switch for the whole feature: when off, no project access token can be created or used.
    pub project_access_tokens: bool,
    /// Whether a token without an expiry date is refused at creation.
    pub require_token_expiry: bool,
    /// The longest life of a new token, in days; none means no limit.
    pub max_token_lifetime_days: Option<u32>,
    /// For how many days the bot of an expired token is kept before it is cleaned up; while it is, the token can still be
    /// rotated by a person. Zero cleans up at the next hourly run. A revoked token's bot is deleted at once, always.
    pub inactive_token_retention_days: u32,
    /// What the secrets of project access tokens begin with.
    pub project_token_prefix: String,
    /// What the secrets of personal access tokens begin with.
    pub personal_token_prefix: String,
    /// What the secrets of group access tokens begin with.
    pub group_token_prefix: String,
    /// Whether the `private_token` parameter of a URL is accepted as a credential.
    pub allow_token_in_query: bool,
    /// The networks whose forwarded headers are believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The networks that may read `/-/metrics`.
    #[serde(deserialize_with = "networks")]
    pub metrics_allow: Vec<IpNet>,
    /// How many failed authentications one address may cause in a minute; zero means no limit.
    pub max_failed_authentications_per_minute: u32,
    /// How many wrong passwords a name may be tried with in ten minutes; zero means no limit.
    pub max_failed_sign_ins: u32,
    /// For how many days somebody stays signed in with a browser at most.
    pub session_days: u32,
    /// After how many hours without a request somebody is signed out.
    pub session_idle_hours: u32,
    /// How many requests over the REST API one token may make in a minute; zero means no limit.
    pub max_api_requests_per_minute: u32,
    /// The `git` program that serves repositories.
    pub git_program: PathBuf,
    /// How many Git processes may run at once.
    pub git_processes: usize,
    /// How many Git requests may wait for a process.
    pub git_queue: usize,
    /// How long a Git request may wait for a process, in seconds.
    pub git_queue_seconds: u32,
    /// The largest pack one push may bring, in bytes; none means no limit.
    pub max_push_bytes: Option<u64>,
    /// How much the answers to repeated fetches may take, in bytes; zero keeps none.
    pub git_answer_cache_bytes: u64,
    /// The realm that Git clients show when they ask for a password.
    pub git_realm: String,
    /// What stands before each message that a person reads in Git's output.
    pub git_message_prefix: String,
    /// The operator's switch for large files of Git (LFS): when off, nothing of it answers.
    pub lfs: bool,
    /// How many bytes the large files of one project may have together; none means no limit.
    pub lfs_quota_bytes: Option<u64>,
    /// The largest file that Git LFS may store, in bytes; none means no limit.
    pub max_lfs_object_bytes: Option<u64>,
    /// The operator's switch for the container registry: when off, nothing of it answers.
    pub container_registry: bool,
    /// Where the blobs of images are, such as `s3://bucket/prefix`; without it, in a folder inside the data folder.
    pub blobs: Option<String>,
    /// The variables that say how the bucket is reached, as the process has them: those that begin with `AWS_`. They hold
    /// secrets and are never shown.
    #[serde(skip)]
    pub blob_variables: Vec<(String, String)>,
    /// Where each value was set, by its key, for people to read; empty where nobody wrote it down.
    #[serde(skip)]
    pub origins: BTreeMap<String, String>,
    /// How new bearers are signed; those of the other algorithm's keys go on being accepted until they expire.
    pub signing_algorithm: SigningAlgorithm,
    /// Who bearers say they are from (`iss`); a registry elsewhere that trusts them compares it.
    pub registry_issuer: String,
    /// How long a bearer of the registry lives, in seconds.
    pub registry_token_seconds: u32,
    /// The largest manifest, in bytes.
    pub max_manifest_bytes: usize,
    /// The largest blob, in bytes; none means no limit.
    pub max_blob_bytes: Option<u64>,
    /// Whether manifests, tags and blobs can be deleted through the registry's protocol.
    pub registry_deletion: bool,
    /// Whether the registry refuses every change and goes on serving what it has.
    pub registry_read_only: bool,
    /// For how many hours content that nothing refers to is kept before it is swept away.
    pub registry_gc_age_hours: u32,
    /// After how many hours without a request an unfinished upload is given up.
    pub registry_upload_hours: u32,
    /// How many uploads one token may have open at once.
    pub registry_open_uploads: u32,
    /// How many connections may be open at once; the next ones wait.
    pub max_connections: usize,
    /// How long running requests may take to finish after the order to stop, in seconds.
    pub shutdown_seconds: u32,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which events are logged: a level such as `info`, or a filter such as `info,portcullis_web=debug`.
    pub log_level: String,
    /// The largest JSON or form body, in bytes.
    pub max_body_bytes: usize,
    /// The largest file that can be uploaded to a project, in bytes.
    pub max_upload_bytes: u64,
    /// The largest file of a package, in bytes.
    pub max_package_file_bytes: u64,
    /// The largest JSON or form body of a request that commits files, in bytes.
    pub max_commit_body_bytes: usize,
    /// The largest state of infrastructure that Terraform may keep, in bytes.
    pub max_terraform_state_bytes: usize,
    /// Whether web hooks may call addresses that are not of the public Internet.
    pub webhooks_may_call_local_network: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            data: PathBuf::from("portcullis-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            external_url: None,
            database_url: None,
            edition: Edition::SelfManaged,
            tls_certificate: None,
            tls_key: None,
            project_access_tokens: true,
            require_token_expiry: false,
            max_token_lifetime_days: None,
            inactive_token_retention_days: 0,
            project_token_prefix: "pcp_".to_owned(),
            personal_token_prefix: "pcu_".to_owned(),
            group_token_prefix: "pcg_".to_owned(),
            allow_token_in_query: true,
            trusted_proxies: Vec::new(),
            metrics_allow: loopback(),
            max_failed_authentications_per_minute: 300,
            max_failed_sign_ins: 10,
            session_days: 14,
            session_idle_hours: 72,
            max_api_requests_per_minute: 0,
            git_program: PathBuf::from("git"),
            git_processes: (2 * cores).max(4),
            git_queue: 256,
            git_queue_seconds: 30,
            max_push_bytes: None,
            git_answer_cache_bytes: 512 * 1024 * 1024,
            git_realm: "Git".to_owned(),
            git_message_prefix: "Portcullis: ".to_owned(),
            lfs: true,
            lfs_quota_bytes: None,
            max_lfs_object_bytes: None,
            container_registry: true,
            blobs: None,
            blob_variables: Vec::new(),
            origins: BTreeMap::new(),
            signing_algorithm: SigningAlgorithm::Es256,
            registry_issuer: "portcullis".to_owned(),
            registry_token_seconds: 300,
            max_manifest_bytes: 8 * 1024 * 1024,
            max_blob_bytes: None,
            registry_deletion: true,
            registry_read_only: false,
            registry_gc_age_hours: 24,
            registry_upload_hours: 24,
            registry_open_uploads: 100,
            max_connections: 10_000,
            shutdown_seconds: 30,
            log_format: LogFormat::Auto,
            log_level: "info".to_owned(),
            max_body_bytes: 1024 * 1024,
            max_upload_bytes: 100 * 1024 * 1024,
            max_package_file_bytes: 5 * 1024 * 1024 * 1024,
            max_commit_body_bytes: 20 * 1024 * 1024,
            max_terraform_state_bytes: 16 * 1024 * 1024,
            webhooks_may_call_local_network: false,
        }
    }
}

impl Settings {
    /// Returns the path of the SQLite database inside the data folder.
    pub fn sqlite_path(&self) -> PathBuf {
        self.data.join("portcullis.sqlite3")
    }

    /// Returns the same settings with everything secret replaced, fit to be shown.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self { database_url: self.database_url.as_deref().map(redact_database_url), ..self.clone() }
    }

    /// Returns the times after which a session must have been used and must have begun to be good at `now`.
    pub fn session_bounds(&self, now: i64) -> (i64, i64) {
        const HOUR: i64 = 60 * 60 * 1_000_000;
        (now - i64::from(self.session_idle_hours) * HOUR, now - i64::from(self.session_days) * 24 * HOUR)
    }

    /// Returns one mistake for each value that makes no sense; none means the settings can be used.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut refuse = |key, said: &str| mistakes.push(Mistake { key, said: said.to_owned() });

        if self.data.as_os_str().is_empty() {
            refuse("data", "is empty; it must name a folder, such as portcullis-data");
        }
        if self.external_url.as_deref().is_some_and(|url| !is_origin(url)) {
            refuse(
                "external_url",
                "is not the address of a host; it must be http:// or https:// and a host name, with a port \
                 if needed and nothing behind it, such as https://git.example.com",
            );
        }
        if let Some(url) = &self.database_url
            && !url.starts_with("postgres://")
            && !url.starts_with("postgresql://")
        {
            refuse(
                "database_url",
                "is not the address of a PostgreSQL database; it must begin with postgres://, or be left \
                 out for SQLite in the data folder",
            );
        }
        match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => refuse("tls_certificate", "is set without `tls_key`; HTTPS needs both"),
            (None, Some(_)) => refuse("tls_key", "is set without `tls_certificate`; HTTPS needs both"),
            _ => {}
        }
        if self.max_token_lifetime_days == Some(0) {
            refuse("max_token_lifetime_days", "is 0; it must be at least 1, or be left out for no limit");
        }
        for (key, prefix) in [
            ("project_token_prefix", &self.project_token_prefix),
            ("personal_token_prefix", &self.personal_token_prefix),
            ("group_token_prefix", &self.group_token_prefix),
        ] {
            if !is_token_prefix(prefix) {
                refuse(key, "is not a prefix; it must be 0 to 20 letters (a-z, A-Z), digits, `_` or `-`");
            }
        }
        if self.git_program.as_os_str().is_empty() {
            refuse("git_program", "is empty; it must name the git program, such as git or /usr/bin/git");
        }
        for (key, count) in [
            ("git_processes", self.git_processes),
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("max_commit_body_bytes", self.max_commit_body_bytes),
        ] {
            if count == 0 {
                refuse(key, "is 0; it must be at least 1");
            }
        }
        for (key, count) in [
            // Content is pushed before what refers to it, so a sweep must leave time between the two.
            ("registry_gc_age_hours", self.registry_gc_age_hours),
            ("registry_upload_hours", self.registry_upload_hours),
            ("registry_open_uploads", self.registry_open_uploads),
            ("session_days", self.session_days),
            ("session_idle_hours", self.session_idle_hours),
        ] {
            if count == 0 {
                refuse(key, "is 0; it must be at least 1");
            }
        }
        for (key, bytes) in [
            ("max_upload_bytes", self.max_upload_bytes),
            ("max_package_file_bytes", self.max_package_file_bytes),
        ] {
            if bytes == 0 {
                refuse(key, "is 0; it must be at least 1");
            }
        }
        for (key, bytes) in [
            ("max_push_bytes", self.max_push_bytes),
            ("max_blob_bytes", self.max_blob_bytes),
            ("max_lfs_object_bytes", self.max_lfs_object_bytes),
        ] {
            if bytes == Some(0) {
                refuse(key, "is 0; it must be at least 1, or be left out for no limit");
            }
        }
        // The realm stands between quotes in a header, so it may hold neither quotes nor control characters.
        if !is_label(&self.git_realm) || self.git_realm.contains(['"', '\\']) || !self.git_realm.is_ascii() {
            refuse(
                "git_realm",
                "cannot be sent in a header; it must be at most 100 printable ASCII characters without \
                 quotes and backslashes",
            );
        }
        if self.blobs.as_deref().is_some_and(|place| !is_bucket(place)) {
            refuse(
                "blobs",
                "is not the place of a bucket; it must be s3:// and a bucket, with a folder in it if wanted, \
                 such as s3://images/production, or be left out for the data folder",
            );
        }
        if !is_label(&self.registry_issuer) || self.registry_issuer.is_empty() {
            refuse("registry_issuer", "is not a name; it must be 1 to 100 printable characters");
        }
        if !REGISTRY_TOKEN_SECONDS.contains(&self.registry_token_seconds) {
            refuse("registry_token_seconds", "is out of range; it must be 60 to 3600");
        }
        if !MANIFEST_BYTES.contains(&self.max_manifest_bytes) {
            refuse("max_manifest_bytes", "is out of range; it must be 4194304 to 67108864 (4 to 64 MiB)");
        }
        if !is_label(&self.git_message_prefix) {
            refuse("git_message_prefix", "is not one line; it must be at most 100 printable characters");
        }
        mistakes
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_value(self.redacted()) {
            Ok(shown) => write!(formatter, "Settings {shown}"),
            Err(_) => formatter.write_str("Settings { … }"),
        }
    }
}

/// A value that makes no sense: its key, and one sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {said}")]
pub struct Mistake {
    /// The key whose value is refused.
    pub key: &'static str,
    /// What was wrong and what would be right; the sentence's subject is the key.
    pub said: String,
}

/// Returns the networks of the machine itself.
fn loopback() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ]
}

/// Reads a list of networks in which a bare address stands for itself alone.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| {
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                serde::de::Error::custom(format!("`{text}` is not a network such as 10.0.0.0/8 or 192.0.2.7"))
            })
        })
        .collect()
}

fn is_token_prefix(prefix: &str) -> bool {
    prefix.len() <= MAX_TOKEN_PREFIX_LENGTH
        && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL_LENGTH && !text.chars().any(char::is_control)
}

/// Whether the text is `s3://`, the name of a bucket and perhaps a folder in it.
fn is_bucket(place: &str) -> bool {
    let Some(rest) = place.strip_prefix("s3://") else { return false };
    let (bucket, folder) =
        rest.split_once('/').map_or((rest, None), |(bucket, folder)| (bucket, Some(folder)));
    let bucket_is_sound = (3..=63).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte));
    let is_sound = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    bucket_is_sound
        && rest.len() <= MAX_BUCKET_PLACE_LENGTH
        && folder
            .is_none_or(|folder| folder.is_empty() || folder.trim_end_matches('/').split('/').all(is_sound))
}

/// Whether the text is a scheme and a host, perhaps with a port, and nothing else.
fn is_origin(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return false;
    };
    // The colon before a port lies behind the last bracket of an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_is_sound = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    host_is_sound && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// Replaces every password in the address of a database.
///
/// Errs on the side of hiding: the user part reaches to the last `@`, because a careless password may hold one
/// itself, and an address of an unexpected shape is hidden as a whole.
fn redact_database_url(url: &str) -> String {
    const HIDDEN: &str = "(redacted)";
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, place)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{HIDDEN}@{place}"),
            None => format!("{user}@{place}"),
        },
        None => rest.to_owned(),
    };
    let shown = match rest.split_once('?') {
        Some((place, query)) if query.to_ascii_lowercase().contains("pass") => format!("{place}?{HIDDEN}"),
        _ => rest,
    };
    format!("{scheme}://{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Settings::default().mistakes(), []);
    }

    #[test]
    fn a_password_in_the_address_of_the_database_is_never_shown() {
        for (url, shown) in [
            ("postgres://forge:hunter2@db/forge", "postgres://forge:(redacted)@db/forge"),
            ("postgres://forge:hunt@er2/x@db/forge", "postgres://forge:(redacted)@db/forge"),
            ("postgres://forge@db/forge", "postgres://forge@db/forge"),
            ("postgres://db/forge?user=a&password=hunter2", "postgres://db/forge?(redacted)"),
            ("postgres:///forge?host=/run/postgresql", "postgres:///forge?host=/run/postgresql"),
            ("host=db password=hunter2", "(redacted)"),
        ] {
            let settings = Settings { database_url: Some(url.to_owned()), ..Settings::default() };
            assert_eq!(settings.redacted().database_url.as_deref(), Some(shown));
            let debug = format!("{settings:?}");
            assert!(!debug.contains("hunt"), "{debug}");
        }
    }

    #[test]
    fn a_mistake_names_the_key_and_what_would_be_right() {
        let settings = Settings {
            external_url: Some("git.example.com".to_owned()),
            tls_key: Some("key.pem".into()),
            project_token_prefix: "a prefix".to_owned(),
            git_processes: 0,
            git_realm: "say \"hi\"".to_owned(),
            blobs: Some("images".to_owned()),
            registry_issuer: String::new(),
            registry_token_seconds: 59,
            max_manifest_bytes: 4 * 1024 * 1024 - 1,
            max_blob_bytes: Some(0),
            registry_gc_age_hours: 0,
            registry_upload_hours: 0,
            registry_open_uploads: 0,
            ..Settings::default()
        };
        let keys: Vec<_> = settings.mistakes().iter().map(|mistake| mistake.key).collect();
        assert_eq!(
            keys,
            [
                "external_url",
                "tls_key",
                "project_token_prefix",
                "git_processes",
                "registry_gc_age_hours",
                "registry_upload_hours",
                "registry_open_uploads",
                "max_blob_bytes",
                "git_realm",
                "blobs",
                "registry_issuer",
                "registry_token_seconds",
                "max_manifest_bytes",
            ]
        );
        assert_eq!(settings.mistakes()[3].to_string(), "`git_processes` is 0; it must be at least 1");
    }

    #[test]
    fn an_external_address_is_a_scheme_and_a_host() {
        for url in ["https://git.example.com", "http://localhost:8080", "https://[::1]:8443", "http://[::1]"]
        {
            assert!(is_origin(url), "{url}");
        }
        for url in [
            "git.example.com",
            "ftp://git.example.com",
            "https://",
            "https://git.example.com/",
            "https://git.example.com/forge",
            "https://a@git.example.com",
            "https://git.example.com:0",
            "https://git.example.com:port",
            "https://git.example.com?x",
            "https://[::1",
        ] {
            assert!(!is_origin(url), "{url}");
        }
    }

    #[test]
    fn the_place_of_blobs_is_a_bucket_and_perhaps_a_folder() {
        for place in ["s3://images", "s3://images/", "s3://images/production", "s3://a-b.c/one/two_3/"] {
            assert!(is_bucket(place), "{place}");
        }
        for place in [
            "images",
            "S3://images",
            "https://images",
            "s3://",
            "s3://ab",
            "s3://Images",
            "s3://key:secret@images",
            "s3://images//production",
            "s3://images/../other",
            "s3://images/a b",
            "s3://images?region=x",
            &format!("s3://images/{}", "a".repeat(512)),
        ] {
            assert!(!is_bucket(place), "{place}");
        }
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        let settings: Settings =
            serde_json::from_str(r#"{"trusted_proxies": ["10.0.0.0/8", "192.0.2.7", "::1"]}"#).unwrap();
        let shown: Vec<_> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "::1/128"]);
        assert!(serde_json::from_str::<Settings>(r#"{"trusted_proxies": ["proxy"]}"#).is_err());
    }
}
