//! Gathers the settings: defaults, then the TOML file, then the environment, then the command line; the later wins.
//!
//! This is the only place that reads the environment for settings. It remembers where each value came from, so
//! that `config show` and every complaint can say it. What a value means is `portcullis_app::settings`'s business.
//! No complaint repeats a value, because a value may hold a password.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use portcullis_app::settings::Settings;
use serde::Deserialize;
use toml::{Table, Value};
use tracing_subscriber::EnvFilter;

use crate::arguments::{Place, ServeArguments};

/// What the names of our environment variables begin with.
const VARIABLE_PREFIX: &str = "PORTCULLIS_";

/// The variable that names the TOML file; not a setting, as a file cannot say where it is.
const CONFIG_VARIABLE: &str = "PORTCULLIS_CONFIG";

/// Every key, what shape its value has, and whether it may be absent. A test holds this list against
/// [`Settings`]' own fields.
const KEYS: &[Key] = &[
    Key::required("data", Shape::Text("a folder such as \"portcullis-data\"")),
    Key::required(
        "listen",
        Shape::Text("an IP address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\""),
    ),
    Key::optional("external_url", Shape::Text("an address such as \"https://git.example.com\"")),
    Key::optional(
        "database_url",
        Shape::Text("an address such as \"postgres://forge@db.example.com/forge\""),
    ),
    Key::required("edition", Shape::Text("\"self_managed\" or \"saas\"")),
    Key::optional("tls_certificate", Shape::Text("the path of a PEM file")),
    Key::optional("tls_key", Shape::Text("the path of a PEM file")),
    Key::required("project_access_tokens", Shape::Switch),
    Key::required("require_token_expiry", Shape::Switch),
    Key::optional("max_token_lifetime_days", Shape::Number),
    Key::required("inactive_token_retention_days", Shape::Number),
    Key::required("project_token_prefix", Shape::Label),
    Key::required("personal_token_prefix", Shape::Label),
    Key::required("group_token_prefix", Shape::Label),
    Key::required("allow_token_in_query", Shape::Switch),
    Key::required("trusted_proxies", Shape::Networks),
    Key::required("metrics_allow", Shape::Networks),
    Key::required("max_failed_authentications_per_minute", Shape::Number),
    Key::required("max_failed_sign_ins", Shape::Number),
    Key::required("session_days", Shape::Number),
    Key::required("session_idle_hours", Shape::Number),
    Key::required("max_api_requests_per_minute", Shape::Number),
    Key::required("git_program", Shape::Text("a program such as \"git\" or \"/usr/bin/git\"")),
    Key::required("git_processes", Shape::Number),
    Key::required("git_queue", Shape::Number),
    Key::required("git_queue_seconds", Shape::Number),
    Key::optional("max_push_bytes", Shape::Number),
    Key::required("git_answer_cache_bytes", Shape::Number),
    Key::required("git_realm", Shape::Label),
    Key::required("git_message_prefix", Shape::Label),
    Key::required("lfs", Shape::Switch),
    Key::optional("lfs_quota_bytes", Shape::Number),
    Key::optional("max_lfs_object_bytes", Shape::Number),
    Key::required("container_registry", Shape::Switch),
    Key::optional("blobs", Shape::Text("the place of a bucket such as \"s3://images/production\"")),
    Key::required("signing_algorithm", Shape::Text("\"ES256\" or \"RS256\"")),
    Key::required("registry_issuer", Shape::Text("a name such as \"portcullis\"")),
    Key::required("registry_token_seconds", Shape::Number),
    Key::required("max_manifest_bytes", Shape::Number),
    Key::optional("max_blob_bytes", Shape::Number),
    Key::required("registry_deletion", Shape::Switch),
    Key::required("registry_read_only", Shape::Switch),
    Key::required("registry_gc_age_hours", Shape::Number),
    Key::required("registry_upload_hours", Shape::Number),
    Key::required("registry_open_uploads", Shape::Number),
    Key::required("max_connections", Shape::Number),
    Key::required("shutdown_seconds", Shape::Number),
    Key::required("log_format", Shape::Text("\"auto\", \"text\" or \"json\"")),
    Key::required(
        "log_level",
        Shape::Text("a level such as \"info\" or a filter such as \"info,portcullis_web=debug\""),
    ),
    Key::required("max_body_bytes", Shape::Number),
    Key::required("max_upload_bytes", Shape::Number),
    Key::required("max_package_file_bytes", Shape::Number),
    Key::required("max_commit_body_bytes", Shape::Number),
    Key::required("max_terraform_state_bytes", Shape::Number),
    Key::required("webhooks_may_call_local_network", Shape::Switch),
];

struct Key {
    name: &'static str,
    shape: Shape,
    optional: bool,
}

impl Key {
    const fn required(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, optional: false }
    }

    const fn optional(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, optional: true }
    }

    fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }
}

/// The shape of a value: what TOML type it has, and how a variable's text becomes one.
#[derive(Clone, Copy)]
enum Shape {
    /// A text that means something, described for the one who got it wrong.
    Text(&'static str),
    /// A text to be taken as it is, even when it is empty.
    Label,
    Switch,
    Number,
    /// Networks; in a variable they stand between commas.
    Networks,
}

impl Shape {
    /// Reads the text of a variable; `None` when it does not have this shape.
    fn read(self, text: &str) -> Option<Value> {
        match self {
            Shape::Text(_) | Shape::Label => Some(Value::String(text.to_owned())),
            Shape::Switch => match text {
                "true" | "1" => Some(Value::Boolean(true)),
                "false" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            Shape::Number => text.parse().ok().map(Value::Integer),
            Shape::Networks => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
            }
        }
    }

    fn expectation(self) -> &'static str {
        match self {
            Shape::Text(expectation) => expectation,
            Shape::Label => "a text in quotes",
            Shape::Switch => "true or false",
            Shape::Number => "a whole number, 0 or more, that is not too large",
            Shape::Networks => "a list of networks such as [\"10.0.0.0/8\", \"192.0.2.7\"]",
        }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File(path) => write!(formatter, "file {}", path.display()),
            Origin::Variable(name) => write!(formatter, "environment variable {name}"),
            Origin::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// The settings in force and where each came from.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
}

impl Configuration {
    /// Gathers the settings for `serve` and `config show`.
    pub(crate) fn load(arguments: &ServeArguments) -> anyhow::Result<Self> {
        let mut configuration = gather(arguments, std::env::vars_os())?;
        // How a bucket is reached is said by the variables that every client of such a service reads.
        configuration.settings.blob_variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("AWS_"))
            .collect();
        configuration.settings.origins = KEYS
            .iter()
            .map(|key| (key.name, configuration.origins.get(key.name).unwrap_or(&Origin::Default)))
            .map(|(name, origin)| (name.to_owned(), origin.to_string()))
            .collect();
        Ok(configuration)
    }

    /// Gathers the settings for every other command.
    pub(crate) fn load_at(place: &Place) -> anyhow::Result<Self> {
        Self::load(&ServeArguments { place: place.clone(), ..ServeArguments::default() })
    }

    /// Returns the settings as TOML with a comment about the origin of each, and without any secret.
    pub(crate) fn show(&self) -> anyhow::Result<String> {
        let table = Table::try_from(self.settings.redacted()).context("the settings cannot be shown")?;
        let mut shown = String::new();
        for key in KEYS {
            let origin = self.origins.get(key.name).unwrap_or(&Origin::Default);
            let line = match table.get(key.name) {
                Some(value) => format!("{} = {value}  # {origin}\n", key.name),
                None => format!("# {} is not set\n", key.name),
            };
            shown.push_str(&line);
        }
        Ok(shown)
    }
}

/// The values found so far, each with its origin.
#[derive(Default)]
struct Found {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Found {
    fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Takes what the file says.
    fn take_file(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        // The parser's own description shows the line, which may be the one with the password: only where it is
        // and what is wrong there are told.
        let table: Table = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            anyhow::anyhow!("line {line} of {} is not TOML: {}", path.display(), one_line(error.message()))
        })?;
        let unknown: Vec<_> =
            table.keys().filter(|name| !KEYS.iter().any(|key| key.name == name.as_str())).collect();
        if !unknown.is_empty() {
            bail!(
                "{} in {}; `portcullis config show` lists every key",
                refused("unknown key", &unknown),
                path.display()
            );
        }
        let mut table = table;
        for key in KEYS {
            if let Some(value) = table.remove(key.name) {
                self.values.insert(key.name, (value, Origin::File(path.to_owned())));
            }
        }
        Ok(())
    }

    /// Takes what the environment says.
    fn take_environment(&mut self, variables: &BTreeMap<String, OsString>) -> anyhow::Result<()> {
        let unknown: Vec<_> = variables
            .keys()
            .filter(|name| !is_not_a_setting(name) && !KEYS.iter().any(|key| key.variable() == **name))
            .collect();
        if !unknown.is_empty() {
            bail!(
                "{}; `portcullis config show` lists every key, and a variable is {VARIABLE_PREFIX} and a key \
                 in capitals",
                refused("unknown environment variable", &unknown)
            );
        }
        for key in KEYS {
            let name = key.variable();
            let Some(text) = variables.get(&name) else { continue };
            let Some(text) = text.to_str() else {
                bail!("the environment variable {name} is not UTF-8 text")
            };
            // Deployment tools like to set empty variables for what was left out.
            if text.is_empty() && !matches!(key.shape, Shape::Label | Shape::Networks) {
                continue;
            }
            let origin = Origin::Variable(name);
            let value = key.shape.read(text).with_context(|| wrong_shape(key, &origin))?;
            self.values.insert(key.name, (value, origin));
        }
        Ok(())
    }

    fn take_flag(&mut self, key: &'static str, flag: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.values.insert(key, (Value::String(value), Origin::Flag(flag)));
        }
    }

    /// Types the values and checks them.
    fn finish(self) -> anyhow::Result<Configuration> {
        let origins: BTreeMap<_, _> =
            self.values.iter().map(|(name, (_, origin))| (*name, origin.clone())).collect();
        let origin = |key: &str| origins.get(key).unwrap_or(&Origin::Default);

        // Each value is first tried alone, so that a wrong one can be named with its origin.
        for key in KEYS {
            if let Some((value, origin)) = self.values.get(key.name) {
                let alone = Table::from_iter([(key.name.to_owned(), value.clone())]);
                if Settings::deserialize(alone).is_err() {
                    bail!(wrong_shape(key, origin));
                }
            }
        }
        let table: Table =
            self.values.into_iter().map(|(name, (value, _))| (name.to_owned(), value)).collect();
        let mut settings = Settings::deserialize(table).context("the settings do not fit together")?;
        if let Some(url) = &mut settings.external_url {
            url.truncate(url.trim_end_matches('/').len());
        }

        if let Some(mistake) = settings.mistakes().first() {
            bail!("{mistake} (from: {})", origin(mistake.key));
        }
        if EnvFilter::builder().parse(&settings.log_level).is_err() {
            bail!(
                "`log_level` is neither a level such as info nor a filter such as info,portcullis_web=debug \
                 (from: {})",
                origin("log_level")
            );
        }
        // Git runs in folders of its own, so the way to the data must not depend on where we are.
        settings.data = std::path::absolute(&settings.data).context("the data folder's path is unusable")?;
        Ok(Configuration { settings, origins })
    }
}

fn gather(
    arguments: &ServeArguments,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Configuration> {
    let variables: BTreeMap<String, OsString> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect();

    let mut outside = Found::default();
    outside.take_environment(&variables)?;
    let path_text = |path: &Option<PathBuf>, flag: &str| -> anyhow::Result<Option<String>> {
        let Some(path) = path else { return Ok(None) };
        let text = path.to_str().with_context(|| format!("the path behind {flag} is not UTF-8 text"))?;
        Ok(Some(text.to_owned()))
    };
    outside.take_flag("data", "--data", path_text(&arguments.place.data, "--data")?);
    outside.take_flag("listen", "--listen", arguments.listen.map(|address| address.to_string()));
    outside.take_flag("external_url", "--external-url", arguments.external_url.clone());
    outside.take_flag(
        "tls_certificate",
        "--tls-certificate",
        path_text(&arguments.tls_certificate, "--tls-certificate")?,
    );
    outside.take_flag("tls_key", "--tls-key", path_text(&arguments.tls_key, "--tls-key")?);

    let mut found = Found::default();
    let named = arguments
        .place
        .config
        .clone()
        .or_else(|| variables.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
    if let Some(path) = named {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
        found.take_file(&path, &text)?;
    } else {
        let data = match outside.values.get("data") {
            Some((Value::String(data), _)) => PathBuf::from(data),
            _ => Settings::default().data,
        };
        let path = data.join("portcullis.toml");
        match fs::read_to_string(&path) {
            Ok(text) => found.take_file(&path, &text)?,
            // Whatever is wrong with the folder itself is told when it is used.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("the configuration file {} cannot be read", path.display()));
            }
        }
        if found.origin("data") != Origin::Default {
            bail!(
                "`data` cannot be set in {}, which was found in the data folder; name the file with --config, or \
                 the folder with --data",
                path.display()
            );
        }
    }
    found.values.append(&mut outside.values);
    found.finish()
}

/// Whether a variable of our prefix is something other than a setting.
///
/// Besides our own ones there are those that Kubernetes puts into each container for a service that happens to be
/// called `portcullis`; refusing them would make that name impossible.
fn is_not_a_setting(variable: &str) -> bool {
    let name = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or(variable);
    variable == CONFIG_VARIABLE
        || name == "HOOK_FD"
        || name == "PORT"
        || ["TEST_", "SERVICE_", "PORT_"].iter().any(|prefix| name.starts_with(prefix))
}

fn wrong_shape(key: &Key, origin: &Origin) -> String {
    let absent = if key.optional { ", or be left out" } else { "" };
    format!("`{}` must be {}{absent} (from: {origin})", key.name, key.shape.expectation())
}

fn refused(what: &str, names: &[&String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{what}{plural} {}", names.join(", "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn gather_file(text: &str, pairs: &[(&str, &str)]) -> anyhow::Result<Configuration> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("portcullis.toml"), text).unwrap();
        let place = Place { data: Some(folder.path().to_owned()), config: None };
        gather(&ServeArguments { place, ..ServeArguments::default() }, variables(pairs))
    }

    fn complaint(outcome: anyhow::Result<Configuration>) -> String {
        format!("{:#}", outcome.unwrap_err())
    }

    #[test]
    fn the_list_of_keys_is_the_list_of_settings() {
        let optional = Settings {
            external_url: Some(String::new()),
            database_url: Some(String::new()),
            tls_certificate: Some(PathBuf::new()),
            tls_key: Some(PathBuf::new()),
            max_token_lifetime_days: Some(1),
            max_push_bytes: Some(1),
            blobs: Some(String::new()),
            max_blob_bytes: Some(1),
            lfs_quota_bytes: Some(1),
            max_lfs_object_bytes: Some(1),
            ..Settings::default()
        };
        let fields = Table::try_from(optional).unwrap();
        let mut listed: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        listed.sort();
        assert_eq!(listed, fields.keys().cloned().collect::<Vec<_>>());

        let always = Table::try_from(Settings::default()).unwrap();
        for key in KEYS {
            assert_eq!(key.optional, !always.contains_key(key.name), "{}", key.name);
        }
    }

    #[test]
    fn the_later_source_wins_and_each_is_remembered() {
        let configuration = gather_file(
            "git_realm = 'file'\ngit_queue = 1\ngit_message_prefix = 'file'",
            &[("PORTCULLIS_GIT_REALM", "environment"), ("PORTCULLIS_GIT_QUEUE", "2")],
        )
        .unwrap();
        assert_eq!(configuration.settings.git_realm, "environment");
        assert_eq!(configuration.settings.git_queue, 2);
        assert_eq!(configuration.settings.git_message_prefix, "file");
        assert_eq!(configuration.origins["data"], Origin::Flag("--data"));
        assert_eq!(configuration.origins["git_queue"], Origin::Variable("PORTCULLIS_GIT_QUEUE".to_owned()));
        assert!(matches!(configuration.origins["git_message_prefix"], Origin::File(_)));
        assert_eq!(configuration.origins.get("max_connections"), None);
    }

    #[test]
    fn every_shape_can_be_said_by_a_variable() {
        let configuration = gather_file(
            "",
            &[
                ("PORTCULLIS_REQUIRE_TOKEN_EXPIRY", "1"),
                ("PORTCULLIS_ALLOW_TOKEN_IN_QUERY", "false"),
                ("PORTCULLIS_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
                ("PORTCULLIS_METRICS_ALLOW", ""),
                ("PORTCULLIS_MAX_PUSH_BYTES", "1000000"),
                ("PORTCULLIS_MAX_TOKEN_LIFETIME_DAYS", ""),
                ("PORTCULLIS_GIT_REALM", "true"),
                ("PORTCULLIS_PROJECT_TOKEN_PREFIX", ""),
                ("PORTCULLIS_EXTERNAL_URL", "https://git.example.com/"),
                ("PORTCULLIS_EDITION", "saas"),
            ],
        )
        .unwrap()
        .settings;
        assert!(configuration.require_token_expiry && !configuration.allow_token_in_query);
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()];
        assert_eq!(configuration.trusted_proxies, proxies);
        assert_eq!(configuration.metrics_allow, []);
        assert_eq!(configuration.max_push_bytes, Some(1_000_000));
        assert_eq!(configuration.max_token_lifetime_days, None);
        assert_eq!(configuration.git_realm, "true");
        assert_eq!(configuration.project_token_prefix, "");
        assert_eq!(configuration.external_url.as_deref(), Some("https://git.example.com"));
        assert_eq!(configuration.edition, portcullis_app::settings::Edition::Saas);
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        assert!(complaint(gather_file("git_reelm = 'x'", &[])).starts_with("unknown key `git_reelm` in "));
        let said = complaint(gather_file("[database]\nurl = 'x'\n[server]", &[]));
        assert!(said.starts_with("unknown keys `database`, `server` in "), "{said}");
        let said = complaint(gather_file("", &[("PORTCULLIS_GIT_REELM", "x")]));
        assert!(said.starts_with("unknown environment variable `PORTCULLIS_GIT_REELM`;"), "{said}");
    }

    #[test]
    fn variables_that_are_no_settings_are_let_be() {
        for name in [
            "PORTCULLIS_HOOK_FD",
            "PORTCULLIS_TEST_POSTGRES",
            "PORTCULLIS_SERVICE_HOST",
            "PORTCULLIS_PORT",
            "PORTCULLIS_PORT_8080_TCP",
        ] {
            assert!(gather_file("", &[(name, "3")]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_origin_and_never_repeated() {
        for (text, pairs, start) in [
            ("max_connections = 'hunter2'", &[][..], "`max_connections` must be a whole number"),
            ("max_connections = -1", &[], "`max_connections` must be a whole number"),
            ("edition = 'hunter2'", &[], "`edition` must be \"self_managed\" or \"saas\" (from: file "),
            (
                "signing_algorithm = 'es256'",
                &[],
                "`signing_algorithm` must be \"ES256\" or \"RS256\" (from: file ",
            ),
            ("blobs = 's3://key:hunter2@images'", &[], "`blobs` is not the place of a bucket"),
            ("listen = 'hunter2'", &[], "`listen` must be an IP address and a port"),
            ("trusted_proxies = ['hunter2']", &[], "`trusted_proxies` must be a list of networks"),
            ("git_realm = 5", &[], "`git_realm` must be a text in quotes"),
            ("database_url = 'hunter2'", &[], "`database_url` is not the address of a PostgreSQL database"),
            ("database_url = 'hunter2", &[], "line 1 of "),
            ("git_realm = 'x'\n\ndatabase_url = hunter2", &[], "line 3 of "),
            (
                "",
                &[("PORTCULLIS_REQUIRE_TOKEN_EXPIRY", "hunter2")],
                "`require_token_expiry` must be true or false (from: environment variable \
                 PORTCULLIS_REQUIRE_TOKEN_EXPIRY)",
            ),
            ("", &[("PORTCULLIS_LOG_LEVEL", "hunter2=hunter2")], "`log_level` is neither a level"),
            ("", &[("PORTCULLIS_TLS_KEY", "hunter2")], "`tls_key` is set without `tls_certificate`"),
        ] {
            let said = complaint(gather_file(text, pairs));
            assert!(said.starts_with(start), "{said}");
            assert!(!said.contains("hunter2") && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn the_data_folders_own_file_cannot_point_elsewhere() {
        let said = complaint(gather_file("data = '/elsewhere'", &[]));
        assert!(said.starts_with("`data` cannot be set in "), "{said}");
    }

    #[test]
    fn what_is_shown_is_toml_again_and_hides_the_password() {
        let configuration =
            gather_file("", &[("PORTCULLIS_DATABASE_URL", "postgres://forge:hunter2@db/forge")]).unwrap();
        let shown = configuration.show().unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(
            "database_url = \"postgres://forge:(redacted)@db/forge\"  # environment variable PORTCULLIS_DATABASE_URL\n"
        ));
        assert!(shown.contains("git_realm = \"Git\"  # default\n"), "{shown}");
        assert!(shown.contains("# tls_key is not set\n"), "{shown}");
        let read: Settings = toml::from_str(&shown).unwrap();
        assert_eq!(read, configuration.settings.redacted());
    }
}
