//! The running forge: the one value that everything else is reached through.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_git as git;
use portcullis_registry::{BlobStore, S3Settings, Uploads};
use portcullis_rules::access::act;
use portcullis_rules::id::UserId;
use portcullis_rules::secret::TokenSecret;
use portcullis_rules::token::LifetimePolicy;
use portcullis_store::db::{self, Db, Target};
use portcullis_store::users::{self, NewUser, UserKind};
use portcullis_store::{jobs as job_table, migrate};
use tokio::sync::Notify;

use crate::access::Authorized;
use crate::bearers::Bearers;
use crate::clock::Clock;
use crate::keys::{Keys, write_private};
use crate::last_use::LastUse;
use crate::metrics::Metrics;
use crate::people::{self, NewPersonRequest};
use crate::random::Random;
use crate::rate_limits::RateLimits;
use crate::sealing::Sealing;
use crate::settings::Settings;
use crate::sign_in_throttle::SignInThrottle;
use crate::throttle::Throttle;
use crate::{Error, personal_tokens};

/// The name of the file that holds the first administrator's password.
pub const INITIAL_PASSWORD_FILE: &str = "initial_root_password";

/// The name of the SQLite database in the data folder.
pub const SQLITE_FILE: &str = "portcullis.sqlite3";

/// Why the forge cannot run here. The text is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder, or something in it, cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The database cannot be used.
    #[error("{0}")]
    Database(#[from] db::Error),
    /// The place for blobs cannot be used.
    #[error("{0}")]
    Blobs(#[from] portcullis_registry::Error),
    /// Git cannot be used.
    #[error("{0}")]
    Git(#[from] git::Error),
    /// The first users could not be made.
    #[error("the first start failed: {0}")]
    FirstStart(#[from] Error),
}

/// The running forge.
pub struct Forge {
    settings: Settings,
    db: Db,
    git: git::Engine,
    blobs: BlobStore,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    bearers: Bearers,
    sealing: Sealing,
    metrics: Metrics,
    throttle: Throttle,
    sign_in_throttle: SignInThrottle,
    rate_limits: RateLimits,
    last_use: LastUse,
    jobs_wake: Arc<Notify>,
    ghost: UserId,
    first_start: bool,
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge").field("data", &self.settings.data).finish_non_exhaustive()
    }
}

impl Forge {
    /// Opens the forge that `settings` describe, making what is missing: the data folder, the schema, the signing key,
    /// the Ghost User and, in an empty database, the administrator `root`.
    ///
    /// `hook_program` is what Git runs as its hooks: the `portcullis` binary.
    ///
    /// # Errors
    /// Why it cannot run here.
    pub async fn open(
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        hook_program: PathBuf,
    ) -> Result<Arc<Forge>, OpenError> {
        let data = prepare_folder(&settings.data)?;
        let db = open_database(&data, settings.database_url.as_deref()).await?;
        migrate::migrate(&db, clock.now()).await?;
        let git = git::Engine::open(git_settings(&settings, &data, hook_program)).await?;
        let keys = Keys::open(&data, settings.signing_algorithm, clock.now())?;
        let sealing = Sealing::open(&data, &*random).map_err(OpenError::Unusable)?;
        let blobs = open_blobs(&settings, &data)?;
        let ghost = ghost_user(&db, clock.now()).await?;
        let mut forge = Forge {
            throttle: Throttle::new(settings.max_failed_authentications_per_minute),
            sign_in_throttle: SignInThrottle::new(settings.max_failed_sign_ins),
            rate_limits: RateLimits::new(settings.max_api_requests_per_minute),
            settings,
            db,
            git,
            uploads: Uploads::new(&blobs),
            blobs,
            clock,
            bearers: Bearers::new(keys, Arc::clone(&random)),
            random,
            sealing,
            metrics: Metrics::default(),
            last_use: LastUse::default(),
            jobs_wake: Arc::new(Notify::new()),
            ghost,
            first_start: false,
        };
        let mut tx = forge.db.read().await?;
        let first_start = !users::any(&mut tx).await?;
        drop(tx);
        if first_start {
            forge.make_root(&data).await?;
            forge.first_start = true;
        }
        Ok(Arc::new(forge))
    }

    /// Only brings the schema of the database up to date, and says what was done.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn migrate_only(
        settings: &Settings,
        clock: &dyn Clock,
    ) -> Result<migrate::Migrated, OpenError> {
        let data = prepare_folder(&settings.data)?;
        let db = open_database(&data, settings.database_url.as_deref()).await?;
        Ok(migrate::migrate(&db, clock.now()).await?)
    }

    async fn make_root(&self, data: &Path) -> Result<(), OpenError> {
        let password = TokenSecret::generate("", |bytes| self.random.fill(bytes));
        // The file comes first: should the process die in between, the next start makes both anew.
        let path = data.join(INITIAL_PASSWORD_FILE);
        write_private(&path, format!("{}\n", password.reveal()).as_bytes())
            .map_err(|error| OpenError::Unusable(format!("{}: {error}", path.display())))?;
        let access = Authorized::<act::AdministerUsers>::by_system("first start");
        let request = NewPersonRequest {
            username: "root".to_owned(),
            name: Some("Administrator".to_owned()),
            email: "root@localhost.localdomain".to_owned(),
            password: Some(password.reveal().to_owned()),
            administrator: true,
            external: false,
        };
        match people::create(self, &access, request).await {
            Ok(_) => Ok(()),
            // Another process was first, which is just as well.
            Err(Error::Invalid(_) | Error::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether this start made the administrator `root`.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// Returns the settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the time in Unix microseconds, UTC.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Returns what makes and tells bearers of the container registry.
    pub fn bearers(&self) -> &Bearers {
        &self.bearers
    }

    /// Returns the counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the metrics as text.
    ///
    /// # Errors
    /// The database's.
    pub async fn render_metrics(&self) -> Result<String, Error> {
        let mut tx = self.db.read().await?;
        let waiting = job_table::waiting(&mut tx).await?;
        Ok(self.metrics.render(&self.git.stats(), waiting))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.db.ping().await?)
    }

    /// Returns the Ghost User.
    pub fn ghost(&self) -> UserId {
        self.ghost
    }

    /// Writes down which tokens were used lately.
    ///
    /// # Errors
    /// The database's.
    pub async fn write_last_uses(&self) -> Result<usize, Error> {
        personal_tokens::write_last_uses(self).await
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn git(&self) -> &git::Engine {
        &self.git
    }

    pub(crate) fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.random
    }

    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Returns what links begin with where no request says it, without a slash at its end.
    pub fn base_url(&self) -> String {
        let url = self.settings.external_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        url.unwrap_or_else(|| format!("http://{}", self.settings.listen))
    }

    /// Returns the limits of requests over the REST API.
    pub fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    pub(crate) fn sign_in_throttle(&self) -> &SignInThrottle {
        &self.sign_in_throttle
    }

    pub(crate) fn last_use(&self) -> &LastUse {
        &self.last_use
    }

    pub(crate) fn jobs_wake(&self) -> &Arc<Notify> {
        &self.jobs_wake
    }

    pub(crate) fn lifetime_policy(&self) -> LifetimePolicy {
        LifetimePolicy {
            required: self.settings.require_token_expiry,
            max_days: self.settings.max_token_lifetime_days,
        }
    }

    /// Returns the host name that mail addresses of bots end with.
    pub(crate) fn mail_host(&self) -> &str {
        let url = self.settings.external_url.as_deref().unwrap_or("http://localhost");
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        host.split(['/', ':']).next().filter(|host| !host.is_empty()).unwrap_or("localhost")
    }
}

fn prepare_folder(data: &Path) -> Result<PathBuf, OpenError> {
    let unusable = |problem: std::io::Error| {
        OpenError::Unusable(format!(
            "the data folder {} cannot be used: {problem}; choose another with --data or PORTCULLIS_DATA",
            data.display()
        ))
    };
    if data.is_dir() {
        let mut permissions = fs::metadata(data).map_err(unusable)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o700);
            fs::set_permissions(data, permissions).map_err(unusable)?;
        }
    } else {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(unusable)?;
    }
    fs::canonicalize(data).map_err(unusable)
}

/// The name of the file that says which kind of database goes with a data folder.
const ENGINE_FILE: &str = "database_engine";

/// Opens the database that goes with a data folder, and makes the folder remember its kind. A command that was not told
/// of the PostgreSQL database would otherwise make an empty SQLite one beside it, with a new administrator.
async fn open_database(data: &Path, database_url: Option<&str>) -> Result<Db, OpenError> {
    let (engine, target) = match database_url {
        Some(url) => ("postgresql", Target::Postgres(url.to_owned())),
        None => ("sqlite", Target::Sqlite(data.join(SQLITE_FILE))),
    };
    let path = data.join(ENGINE_FILE);
    let unusable = |problem: String| OpenError::Unusable(format!("{}: {problem}", path.display()));
    let recorded = match fs::read_to_string(&path) {
        Ok(recorded) => Some(recorded),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error.to_string())),
    };
    if let Some(recorded) = recorded.as_deref().map(str::trim).filter(|recorded| *recorded != engine) {
        let hint = match database_url {
            Some(_) => "unset PORTCULLIS_DATABASE_URL",
            None => "set PORTCULLIS_DATABASE_URL to its database",
        };
        return Err(unusable(format!(
            "this data folder goes with {recorded}, not with {engine}: {hint}, or remove the file if you mean to change"
        )));
    }
    let db = Db::open(&target).await?;
    if recorded.is_none() {
        write_private(&path, format!("{engine}\n").as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
    }
    Ok(db)
}

/// The folder of the blobs inside the data folder.
const BLOB_FOLDER: &str = "blobs";

fn open_blobs(settings: &Settings, data: &Path) -> Result<BlobStore, portcullis_registry::Error> {
    let Some(bucket) = settings.blobs.as_deref().and_then(|place| place.strip_prefix("s3://")) else {
        return BlobStore::local(&data.join(BLOB_FOLDER));
    };
    let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
    BlobStore::s3(&S3Settings {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_end_matches('/').to_owned(),
        variables: settings.blob_variables.clone(),
    })
}

fn git_settings(settings: &Settings, data: &Path, hook_program: PathBuf) -> git::Settings {
    let mut git = git::Settings::new(data.join("repositories"), hook_program);
    git.git = settings.git_program.clone();
    git.max_processes = settings.git_processes;
    // One busy repository leaves at least a quarter of the processes to the others.
    git.max_per_repository = (settings.git_processes * 3 / 4).max(1);
    git.queue_length = settings.git_queue;
    git.queue_wait = Duration::from_secs(u64::from(settings.git_queue_seconds));
    git.max_push_bytes = settings.max_push_bytes;
    git.answer_cache_bytes = settings.git_answer_cache_bytes;
    git.message_prefix = settings.git_message_prefix.clone();
    git
}

async fn ghost_user(db: &Db, now: i64) -> Result<UserId, db::Error> {
    let mut tx = db.read().await?;
    if let Some(ghost) = users::find_ghost(&mut tx).await? {
        return Ok(ghost);
    }
    drop(tx);
    let ghost = NewUser {
        username: "ghost",
        name: "Ghost User",
        email: "ghost@localhost.localdomain",
        kind: UserKind::Ghost,
        password_hash: None,
        administrator: false,
        external: false,
        bot_home: None,
        created_by: None,
    };
    let mut tx = db.begin().await?;
    if let Some(ghost) = users::find_ghost(&mut tx).await? {
        return Ok(ghost);
    }
    let id = users::insert(&mut tx, &ghost, now).await?;
    tx.commit().await?;
    Ok(id)
}
