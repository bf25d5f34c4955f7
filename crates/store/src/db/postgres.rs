//! PostgreSQL: a pool of connections, each with its own prepared statements.
//!
//! Connections are read-only by default, so that a reader cannot write here either; a transaction asks for
//! more. There is no TLS yet: a URL that insists on it is refused rather than weakened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{NoTls, Statement};

use super::{Error, Row, V};

/// Connections that a process holds at most.
const MAX_CONNECTIONS: usize = 16;
/// How long to wait for a free connection, and for a new one to be made.
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared before it starts over; more than the program has, so that only
/// dynamic texts could ever reach it.
const STATEMENT_CACHE: usize = 512;

/// A PostgreSQL database.
pub(super) struct Postgres {
    pool: Pool,
    commits: Arc<AtomicU64>,
}

impl Postgres {
    pub(super) async fn open(url: &str) -> Result<Arc<Self>, Error> {
        let mut config: tokio_postgres::Config = url.parse().map_err(|_| {
            // The parser's message may quote a part of the URL, and the URL may hold a password.
            Error::Target(
                "the PostgreSQL URL cannot be read: write postgres://user@host:5432/database".to_owned(),
            )
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Error::Target(
                "the PostgreSQL URL asks for sslmode=require, but Portcullis does not speak TLS to it yet: \
                 use a local socket or a private network with sslmode=disable, or a TLS tunnel"
                    .to_owned(),
            ));
        }
        if config.get_application_name().is_none() {
            config.application_name("portcullis");
        }
        let manager =
            Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(MAX_CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute("SET default_transaction_read_only = on; SET lock_timeout = '10s'")
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| Error::Internal(Arc::new(error)))?;
        let database = Self { pool, commits: Arc::default() };
        // A wrong address or password is told now and not at the first request.
        drop(database.connection().await?);
        Ok(Arc::new(database))
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn connection(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::Timeout(TimeoutType::Wait) => Error::Busy,
            other => Error::Unavailable(Arc::new(other)),
        })
    }

    pub(super) async fn read(&self) -> Result<Reader, Error> {
        Ok(Reader(self.connection().await?))
    }

    pub(super) async fn begin(&self) -> Result<Writer, Error> {
        let connection = self.connection().await?;
        Ok(Writer {
            connection: Some(connection),
            begun: false,
            failed: false,
            commits: Arc::clone(&self.commits),
        })
    }
}

/// A connection outside of any transaction.
pub(super) struct Reader(Object);

impl Reader {
    pub(super) async fn one<T>(
        &mut self,
        sql: &str,
        params: &[V<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let statement = prepare(&self.0, sql, params).await?;
        one(&self.0, &statement, params, map).await
    }

    pub(super) async fn all<T>(
        &mut self,
        sql: &str,
        params: &[V<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let statement = prepare(&self.0, sql, params).await?;
        all(&self.0, &statement, params, map).await
    }

    pub(super) async fn run(&mut self, sql: &str, params: &[V<'_>]) -> Result<u64, Error> {
        let statement = prepare(&self.0, sql, params).await?;
        run(&self.0, &statement, params).await
    }

    /// Asks the server what it makes of a statement.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        Ok(self.0.prepare(sql).await?)
    }

    pub(super) async fn script(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.0.batch_execute(text).await?)
    }
}

/// A connection with a write transaction. `BEGIN` travels together with the first statement.
pub(super) struct Writer {
    /// Taken only by drop.
    connection: Option<Object>,
    /// Whether `BEGIN` may have reached the server.
    begun: bool,
    /// Whether a statement of this transaction failed, or was dropped before its answer came.
    failed: bool,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(super) async fn one<T>(
        &mut self,
        sql: &str,
        params: &[V<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let entered = self.enter()?;
        let connection = entered.connection;
        let statement = prepare(connection, sql, params).await?;
        let result = entered.answer(one(connection, &statement, params, map)).await?;
        self.failed = false;
        Ok(result)
    }

    pub(super) async fn all<T>(
        &mut self,
        sql: &str,
        params: &[V<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let entered = self.enter()?;
        let connection = entered.connection;
        let statement = prepare(connection, sql, params).await?;
        let result = entered.answer(all(connection, &statement, params, map)).await?;
        self.failed = false;
        Ok(result)
    }

    pub(super) async fn run(&mut self, sql: &str, params: &[V<'_>]) -> Result<u64, Error> {
        let entered = self.enter()?;
        let connection = entered.connection;
        let statement = prepare(connection, sql, params).await?;
        let result = entered.answer(run(connection, &statement, params)).await?;
        self.failed = false;
        Ok(result)
    }

    pub(super) async fn script(&mut self, text: &str) -> Result<(), Error> {
        let entered = self.enter()?;
        let connection = entered.connection;
        entered.answer(async { Ok(connection.batch_execute(text).await?) }).await?;
        self.failed = false;
        Ok(())
    }

    /// Enters a statement. The transaction counts as failed until the statement has succeeded, so that an
    /// error and a future dropped half-way end alike.
    fn enter(&mut self) -> Result<Entered<'_>, Error> {
        if self.failed {
            return Err(Error::Aborted);
        }
        self.failed = true;
        let connection = self.connection.as_ref().expect("only drop takes the connection");
        Ok(Entered { connection, begun: &mut self.begun })
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Aborted);
        }
        if !self.begun {
            return Ok(());
        }
        // If this future is dropped here, a `ROLLBACK` follows: behind a `COMMIT` that was sent it changes
        // nothing.
        let connection = self.connection.as_ref().expect("only drop takes the connection");
        connection.batch_execute("COMMIT").await?;
        self.begun = false;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Rolls back, in a task of its own, before the connection is lent again.
impl Drop for Writer {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let Some(connection) = self.connection.take() else { return };
        let unfinished = Unfinished(Some(connection));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(unfinished.roll_back());
        }
    }
}

/// A connection whose transaction is to be rolled back. Should that not happen, the connection is closed
/// instead of going back to the pool, and the server rolls back.
struct Unfinished(Option<Object>);

impl Unfinished {
    async fn roll_back(mut self) {
        if let Some(connection) = &self.0
            && connection.batch_execute("ROLLBACK").await.is_ok()
        {
            // Dropped whole, it goes back to the pool.
            drop(self.0.take());
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// A writer in the middle of a statement.
struct Entered<'w> {
    connection: &'w Object,
    begun: &'w mut bool,
}

impl Entered<'_> {
    /// Waits for a statement, sending `BEGIN` just before it in the same trip if none was sent yet.
    ///
    /// Should `BEGIN` fail, the statement cannot do harm: outside a transaction the connection only reads.
    async fn answer<T>(self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if std::mem::replace(self.begun, true) {
            return statement.await;
        }
        let begin = self.connection.batch_execute("BEGIN READ WRITE");
        let (begun, result) = tokio::join!(biased; begin, statement);
        begun?;
        result
    }
}

async fn prepare(connection: &Object, sql: &str, params: &[V<'_>]) -> Result<Statement, Error> {
    if connection.statement_cache.size() >= STATEMENT_CACHE {
        connection.statement_cache.clear();
    }
    let statement = connection.prepare_cached(sql).await?;
    if statement.params().len() != params.len() {
        let (wanted, given) = (statement.params().len(), params.len());
        return Err(Error::fault(format!(
            "the statement has {wanted} placeholders, but {given} values were given"
        )));
    }
    Ok(statement)
}

async fn one<T>(
    connection: &Object,
    statement: &Statement,
    params: &[V<'_>],
    map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let rows = connection.query_raw(statement, params.iter().copied()).await?;
    let mut rows = std::pin::pin!(rows);
    let first = rows.try_next().await?;
    // An error may still follow the first row. After the end, though, asking again is an error itself.
    if first.is_some() {
        while rows.try_next().await?.is_some() {}
    }
    first.map(|row| map(&Row::postgres(&row))).transpose()
}

async fn all<T>(
    connection: &Object,
    statement: &Statement,
    params: &[V<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let rows = connection.query_raw(statement, params.iter().copied()).await?;
    let mut rows = std::pin::pin!(rows);
    let mut list = Vec::new();
    while let Some(row) = rows.try_next().await? {
        list.push(map(&Row::postgres(&row))?);
    }
    Ok(list)
}

async fn run(connection: &Object, statement: &Statement, params: &[V<'_>]) -> Result<u64, Error> {
    Ok(connection.execute_raw(statement, params.iter().copied()).await?)
}
