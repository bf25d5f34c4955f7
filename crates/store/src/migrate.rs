//! Brings a database to the schema of this program, step by step.
//!
//! A migration is a numbered SQL file with one text for both engines, in which three words are replaced: `{PK}`
//! is a key that the database numbers, `{BYTES}` the type for bytes, `{BYTE_ORDERED}` text that is sorted by its bytes. Each runs in its own transaction, and
//! several processes may try at the same time: one works, the others find it done.

use crate::db::{Db, Engine, Error, Statement, Tx, has_table};

/// A step from one version of the schema to the next.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; numbers ascend without end and are never reused.
    pub version: i64,
    /// Its file's name without the number.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Every migration of this program, in ascending order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "foundation", sql: include_str!("../migrations/0001_foundation.sql") },
    Migration {
        version: 2,
        name: "container_registry",
        sql: include_str!("../migrations/0002_container_registry.sql"),
    },
    Migration {
        version: 3,
        name: "planning_and_releases",
        sql: include_str!("../migrations/0003_planning_and_releases.sql"),
    },
    Migration {
        version: 4,
        name: "uploads_and_packages",
        sql: include_str!("../migrations/0004_uploads_and_packages.sql"),
    },
    Migration { version: 5, name: "webhooks", sql: include_str!("../migrations/0005_webhooks.sql") },
    Migration {
        version: 6,
        name: "merge_requests",
        sql: include_str!("../migrations/0006_merge_requests.sql"),
    },
    Migration {
        version: 7,
        name: "conversations",
        sql: include_str!("../migrations/0007_conversations.sql"),
    },
    Migration {
        version: 8,
        name: "protected_tags",
        sql: include_str!("../migrations/0008_protected_tags.sql"),
    },
    Migration {
        version: 9,
        name: "terraform_states",
        sql: include_str!("../migrations/0009_terraform_states.sql"),
    },
    Migration { version: 10, name: "large_files", sql: include_str!("../migrations/0010_large_files.sql") },
    Migration {
        version: 11,
        name: "group_access_tokens",
        sql: include_str!("../migrations/0011_group_access_tokens.sql"),
    },
    Migration { version: 12, name: "sessions", sql: include_str!("../migrations/0012_sessions.sql") },
    Migration {
        version: 13,
        name: "second_factors",
        sql: include_str!("../migrations/0013_second_factors.sql"),
    },
    Migration {
        version: 14,
        name: "last_used_from",
        sql: include_str!("../migrations/0014_last_used_from.sql"),
    },
];

/// What a run of [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The schema's version before; 0 for an empty database.
    pub from: i64,
    /// The schema's version now.
    pub to: i64,
    /// The names of the migrations that this run applied, in order.
    pub applied: Vec<&'static str>,
}

/// The same number in every process, so that only one at a time migrates a PostgreSQL database.
const LOCK_POSTGRES: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(8101734925601)";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
    (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)";

static VERSION: Statement =
    Statement::new("migrate::VERSION", "SELECT COALESCE(MAX(version), 0) FROM schema_migrations");

static RECORD: Statement = Statement::new(
    "migrate::RECORD",
    "INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
);

/// Applies the migrations that the database does not have yet. `now` is the time to record, in Unix
/// microseconds.
///
/// With nothing to do it costs one read.
///
/// # Errors
/// [`Error::DatabaseFromNewerVersion`] if the database is ahead of this program; then nothing was changed. If
/// a migration fails, those before it stay applied and it leaves no trace.
pub async fn migrate(db: &Db, now: i64) -> Result<Migrated, Error> {
    apply(db, MIGRATIONS, now).await
}

/// Does the work of [`migrate`] with a given list, in ascending order.
///
/// # Errors
/// As for [`migrate`].
pub async fn apply(db: &Db, migrations: &[Migration], now: i64) -> Result<Migrated, Error> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    let from = recorded_version(db).await?;
    refuse_newer(from, known)?;
    let mut applied = Vec::new();
    for migration in migrations.iter().filter(|migration| migration.version > from) {
        if step(db, migration, known, now).await? {
            applied.push(migration.name);
        }
    }
    Ok(Migrated { from, to: known, applied })
}

/// Returns the newest migration in the database, 0 if there never was one.
async fn recorded_version(db: &Db) -> Result<i64, Error> {
    let mut tx = db.read().await?;
    // Asked in this order, since another process may make the table between the two questions, and nobody takes it away.
    if !has_table(&mut tx, db.engine(), "schema_migrations").await? {
        return Ok(0);
    }
    version(&mut tx).await
}

async fn version(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&VERSION, &[], |row| row.get(0)).await?.unwrap_or(0))
}

fn refuse_newer(found: i64, known: i64) -> Result<(), Error> {
    if found > known { Err(Error::DatabaseFromNewerVersion { found, known }) } else { Ok(()) }
}

/// Applies one migration unless another process has done so in the meantime; tells whether it did.
async fn step(db: &Db, migration: &Migration, known: i64, now: i64) -> Result<bool, Error> {
    let mut tx = db.begin().await?;
    if db.engine() == Engine::Postgres {
        tx.script(LOCK_POSTGRES).await?;
    }
    tx.script(CREATE).await?;
    let found = version(&mut tx).await?;
    refuse_newer(found, known)?;
    if found >= migration.version {
        return Ok(false);
    }
    tx.script(&text_for(db.engine(), migration.sql)).await?;
    tx.run(&RECORD, &[migration.version.into(), migration.name.into(), now.into()]).await?;
    tx.commit().await?;
    Ok(true)
}

/// Replaces the words that the engines spell differently.
fn text_for(engine: Engine, sql: &str) -> String {
    let (key, bytes, byte_ordered) = match engine {
        // SQLite compares texts by their bytes unless it is told otherwise.
        Engine::Sqlite => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB", "TEXT"),
        Engine::Postgres => {
            ("BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "BYTEA", "TEXT COLLATE \"C\"")
        }
    };
    sql.replace("{PK}", key).replace("{BYTES}", bytes).replace("{BYTE_ORDERED}", byte_ordered)
}
