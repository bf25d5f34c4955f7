//! The database adapter: one way to run a statement on SQLite and on PostgreSQL.
//!
//! [`Db`] is the database, [`Tx`] a connection lent for one piece of work, [`V`] a value going in, [`Row`]
//! one line coming out, [`Statement`] the text between them, [`Error`] what may go wrong. The text is written
//! once for both engines, in the palette `BIGINT`, `TEXT`, bytes, NULL. The adapter knows no table: what is
//! asked stands in the tables' own files. Nothing outside this module names a driver.
//!
//! A write transaction behaves alike on both: after any error its other statements fail too and nothing of it
//! is kept; dropping it without [`Tx::commit`] rolls it back; a future may be dropped at any await.
//!
//! Constraints must be immediate. A `DEFERRABLE INITIALLY DEFERRED` one is examined at the physical commit,
//! which on SQLite is shared, so one offender would fail the transactions that happened to be committed with
//! it.

mod catalogue;
mod error;
mod postgres;
mod row;
mod sqlite;
mod statement;
mod value;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use catalogue::has_table;
pub use catalogue::{ForeignKey, prepare_check};
pub use error::{Cause, Error};
pub use row::{Column, Row};
pub(crate) use statement::statements;
pub use statement::{Query, Sql, Statement};
pub use value::V;

/// The two kinds of database that Portcullis runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in the data folder; one machine.
    Sqlite,
    /// A server; any number of machines.
    Postgres,
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A SQLite file, created if it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL. It may hold a password, so it is never printed.
    Postgres(String),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => formatter.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => formatter.write_str("Postgres(…)"),
        }
    }
}

/// An open database. Cloning it is cheap and gives another handle to the same connections.
#[derive(Clone)]
pub struct Db(Pool);

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<sqlite::Sqlite>),
    Postgres(Arc<postgres::Postgres>),
}

impl Db {
    /// Opens the database, creating a missing SQLite file with access for its owner only. Runs no migration.
    ///
    /// # Errors
    /// [`Error::Target`] if the target cannot be used as written, [`Error::Unavailable`] if nothing answers
    /// there.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        Ok(Self(match target {
            Target::Sqlite(path) => Pool::Sqlite(sqlite::Sqlite::open(path.clone()).await?),
            Target::Postgres(url) => Pool::Postgres(postgres::Postgres::open(url).await?),
        }))
    }

    /// Returns the kind of database.
    pub fn engine(&self) -> Engine {
        match self.0 {
            Pool::Sqlite(_) => Engine::Sqlite,
            Pool::Postgres(_) => Engine::Postgres,
        }
    }

    /// Lends a connection for reading. On SQLite all its statements see what was committed when the first of them
    /// starts; on PostgreSQL each sees what was committed when it starts. Hold it for a moment only.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Unavailable`] if no connection can be had.
    pub async fn read(&self) -> Result<Tx, Error> {
        Ok(Tx(match &self.0 {
            Pool::Sqlite(pool) => Inner::SqliteReader(pool.read().await?),
            Pool::Postgres(pool) => Inner::PostgresReader(pool.read().await?),
        }))
    }

    /// Begins a transaction that may write. On SQLite there is one at a time, in the order of asking.
    ///
    /// # Errors
    /// [`Error::Busy`] if other processes keep the database locked, [`Error::Unavailable`] if it cannot be
    /// reached.
    pub async fn begin(&self) -> Result<Tx, Error> {
        Ok(Tx(match &self.0 {
            Pool::Sqlite(pool) => Inner::SqliteWriter(pool.begin().await?),
            Pool::Postgres(pool) => Inner::PostgresWriter(pool.begin().await?),
        }))
    }

    /// Returns how many physical commits this handle's connections made since it was opened: on SQLite, one
    /// may hold many transactions.
    pub fn commits(&self) -> u64 {
        match &self.0 {
            Pool::Sqlite(pool) => pool.commits(),
            Pool::Postgres(pool) => pool.commits(),
        }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    pub async fn ping(&self) -> Result<(), Error> {
        catalogue::ping(self).await
    }

    /// Returns every foreign key of the live schema that refers to a table, ordered by table and column.
    ///
    /// # Errors
    /// Whatever keeps the catalogue from being read.
    pub async fn foreign_keys_to(&self, table: &str) -> Result<Vec<ForeignKey>, Error> {
        catalogue::foreign_keys_to(self, table).await
    }
}

/// A connection lent for one piece of work: a write transaction, or a reader.
///
/// Dropping it gives the connection back; a write transaction that was not committed is rolled back.
pub struct Tx(Inner);

enum Inner {
    SqliteReader(sqlite::Reader),
    SqliteWriter(sqlite::Writer),
    PostgresReader(postgres::Reader),
    PostgresWriter(postgres::Writer),
}

impl Tx {
    /// Runs a statement and maps the first row of its answer, if there is one.
    ///
    /// # Errors
    /// The statement's or the mapping's.
    pub async fn one<T>(
        &mut self,
        sql: impl Sql,
        params: &[V<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match &mut self.0 {
            Inner::SqliteReader(reader) => sqlite::one(reader.connection(), sql.sqlite(), params, map),
            Inner::SqliteWriter(writer) => writer.attempt(|c| sqlite::one(c, sql.sqlite(), params, map)),
            Inner::PostgresReader(reader) => reader.one(sql.postgres(), params, map).await,
            Inner::PostgresWriter(writer) => writer.one(sql.postgres(), params, map).await,
        }
    }

    /// Runs a statement and maps every row of its answer. The statement must bound their number.
    ///
    /// # Errors
    /// The statement's or the mapping's.
    pub async fn all<T>(
        &mut self,
        sql: impl Sql,
        params: &[V<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match &mut self.0 {
            Inner::SqliteReader(reader) => sqlite::all(reader.connection(), sql.sqlite(), params, map),
            Inner::SqliteWriter(writer) => writer.attempt(|c| sqlite::all(c, sql.sqlite(), params, map)),
            Inner::PostgresReader(reader) => reader.all(sql.postgres(), params, map).await,
            Inner::PostgresWriter(writer) => writer.all(sql.postgres(), params, map).await,
        }
    }

    /// Runs a statement that answers no rows, and returns how many it inserted, updated or deleted.
    ///
    /// # Errors
    /// The statement's.
    pub async fn run(&mut self, sql: impl Sql, params: &[V<'_>]) -> Result<u64, Error> {
        match &mut self.0 {
            Inner::SqliteReader(reader) => sqlite::run(reader.connection(), sql.sqlite(), params),
            Inner::SqliteWriter(writer) => writer.attempt(|c| sqlite::run(c, sql.sqlite(), params)),
            Inner::PostgresReader(reader) => reader.run(sql.postgres(), params).await,
            Inner::PostgresWriter(writer) => writer.run(sql.postgres(), params).await,
        }
    }

    /// Runs several statements without parameters, separated by semicolons: a migration.
    pub(crate) async fn script(&mut self, text: &str) -> Result<(), Error> {
        match &mut self.0 {
            Inner::SqliteReader(reader) => Ok(reader.connection().execute_batch(text)?),
            Inner::SqliteWriter(writer) => writer.attempt(|c| Ok(c.execute_batch(text)?)),
            Inner::PostgresReader(reader) => reader.script(text).await,
            Inner::PostgresWriter(writer) => writer.script(text).await,
        }
    }

    /// Keeps what the transaction did: it is durable when this returns. On a reader it only gives the
    /// connection back.
    ///
    /// If the returned future is dropped early, the transaction is kept whole or not at all.
    ///
    /// # Errors
    /// [`Error::Aborted`] if a statement of the transaction had failed; otherwise why it could not be kept. If the
    /// connection to PostgreSQL breaks in this moment, [`Error::Unavailable`] leaves open whether it was.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Inner::SqliteReader(_) | Inner::PostgresReader(_) => Ok(()),
            Inner::SqliteWriter(writer) => writer.commit().await,
            Inner::PostgresWriter(writer) => writer.commit().await,
        }
    }
}
