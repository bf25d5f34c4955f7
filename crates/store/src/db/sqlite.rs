//! SQLite: one writer, a few readers, all in WAL mode.
//!
//! Calls run where they are made: a look-up takes a few microseconds, less than handing it to another thread.
//! Only what may wait for the disk or for another process goes to the blocking pool: opening, the physical
//! commit, and a `BEGIN` that finds the file locked.
//!
//! # Group commit
//! A durable commit costs a disk synchronisation, so transactions that are waiting for the writer anyway
//! share one. The writer is a connection behind a fair lock. Whoever holds the lock opens the *physical*
//! transaction if there is none and works in it, behind a savepoint if others have finished in it before.
//! Committing hands in an acknowledgement and queues a flush at the end of the line for the same lock; all
//! who stood before it join. The flush commits physically and acknowledges everyone, or rolls back and fails
//! everyone.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OpenFlags};
use tokio::sync::{OwnedMutexGuard, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::{Error, Row, V};

/// Readers that may exist at once. More would wait for the processor anyway, and each holds a page cache.
const MAX_READERS: usize = 8;

/// How long a reader waits for one of them.
const LONGEST_WAIT_TO_READ: Duration = Duration::from_secs(10);
/// Transactions that share a physical commit at most; bounds what is lost together and how long the first
/// waits.
const MAX_BATCH: usize = 128;
/// Statements that a connection keeps prepared; more than the program has.
const STATEMENT_CACHE: usize = 512;
/// How long to wait for a lock held by another process, in steps of [`LOCK_PAUSE`].
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts at a lock. Short and constant, unlike SQLite's own handler which backs off to
/// 100 ms and then hardly ever finds the gap between two transactions of a busy process.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// An open SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
    #[expect(
        clippy::vec_box,
        reason = "moved out and in for every look-up, so a pointer is the better item"
    )]
    readers: Mutex<Vec<Box<Connection>>>,
    reader_permits: Semaphore,
    /// A reader that has not ended its transaction yet.
    ///
    /// The lock that a reader takes in the write-ahead log belongs to the process: the first one asks the system for it,
    /// the last one gives it back, each behind a mutex that all connections share. One reader that stays makes every other
    /// first or last no more. Nobody reads in its transaction again.
    anchor: Mutex<Anchor>,
    writer: Arc<tokio::sync::Mutex<WriterState>>,
    /// Tasks standing in line for the writer; zero means that nobody could join a commit.
    writers_waiting: AtomicUsize,
    /// Whether a flush stands in line too. One is enough: it serves everyone who finishes before it.
    flush_queued: AtomicBool,
    commits: AtomicU64,
}

/// How long a reader stays in its transaction. Short, because its moment keeps the write-ahead log from starting anew.
const ANCHOR_LIFE: Duration = Duration::from_millis(20);

/// The reader that stays, and since when.
#[derive(Default)]
struct Anchor {
    held: Option<(Box<Connection>, Instant)>,
    /// Whether a task sees to it that it goes when nobody else comes.
    watched: bool,
}

/// The writing connection and what stands between two holders of its lock.
struct WriterState {
    connection: Connection,
    /// While set, a locked file is waited for; otherwise [`Error::Busy`] comes at once.
    patient: Arc<AtomicBool>,
    /// Whether the physical transaction is open.
    open: bool,
    /// Finished transactions inside the physical one, waiting to hear that it is durable.
    finished: Vec<oneshot::Sender<Result<(), Error>>>,
}

impl Sqlite {
    pub(super) async fn open(path: PathBuf) -> Result<Arc<Self>, Error> {
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            return Err(Error::Target(
                "the SQLite database must be a file: several connections cannot share one in memory"
                    .to_owned(),
            ));
        }
        spawn_blocking(move || Self::open_now(path))
            .await
            .map_err(|stopped| Error::Unavailable(Arc::new(stopped)))?
    }

    fn open_now(path: PathBuf) -> Result<Arc<Self>, Error> {
        // SQLite gives its side files the mode of the main one, so making that first is enough.
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::Unavailable(Arc::new(error)))?;
        let patient = Arc::new(AtomicBool::new(true));
        let connection = connect(&path, Role::Writer, &patient)?;
        patient.store(false, Ordering::Relaxed);
        let state = WriterState { connection, patient, open: false, finished: Vec::new() };
        Ok(Arc::new(Self {
            path,
            readers: Mutex::new(Vec::with_capacity(MAX_READERS)),
            reader_permits: Semaphore::new(MAX_READERS),
            anchor: Mutex::default(),
            writer: Arc::new(tokio::sync::Mutex::new(state)),
            writers_waiting: AtomicUsize::new(0),
            flush_queued: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        }))
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) async fn read(self: &Arc<Self>) -> Result<Reader, Error> {
        let permit = match self.reader_permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                // A look-up takes microseconds: whoever waits this long waits for somebody who waits for them.
                let permit = tokio::time::timeout(LONGEST_WAIT_TO_READ, self.reader_permits.acquire());
                let permit = permit.await.map_err(|_| Error::Busy)?;
                permit.map_err(|closed| Error::Unavailable(Arc::new(closed)))?
            }
        };
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Box::new(connect(&self.path, Role::Reader, &Arc::new(AtomicBool::new(true)))?),
        };
        // All its statements share one moment and one lock of the write-ahead log, which is taken by the first of them:
        // a lock for each would make readers on other threads wait.
        let begun = connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
        // The reader's drop gives the permit back.
        permit.forget();
        let reader = Reader { connection: Some(connection), pool: Arc::clone(self) };
        begun?;
        Ok(reader)
    }

    pub(super) async fn begin(self: &Arc<Self>) -> Result<Writer, Error> {
        let state = {
            let _waiting = Waiting::new(&self.writers_waiting);
            Arc::clone(&self.writer).lock_owned().await
        };
        let mut writer = Writer { state, pool: Arc::clone(self), savepoint: false, failed: false };
        if !writer.state.open {
            writer = writer.open().await?;
        }
        // The first of a batch needs no savepoint: undoing it undoes the physical transaction.
        if !writer.state.finished.is_empty() {
            writer.execute("SAVEPOINT member")?;
            writer.savepoint = true;
        }
        Ok(writer)
    }

    /// Ends the transaction of a returned reader, unless it is the turn of this one to stay.
    fn give_back(self: &Arc<Self>, connection: Box<Connection>) {
        let mut anchor = self.anchor.lock();
        if anchor.held.as_ref().is_some_and(|(_, since)| since.elapsed() < ANCHOR_LIFE) {
            drop(anchor);
            return self.end(connection);
        }
        if !anchor.watched {
            let Ok(runtime) = tokio::runtime::Handle::try_current() else {
                drop(anchor);
                return self.end(connection);
            };
            anchor.watched = true;
            runtime.spawn(Self::watch_anchor(Arc::downgrade(self)));
        }
        let replaced = anchor.held.replace((connection, Instant::now()));
        drop(anchor);
        if let Some((replaced, _)) = replaced {
            self.end(replaced);
        }
    }

    /// Lets the reader that stays go once no other has taken its place for a while.
    async fn watch_anchor(pool: Weak<Self>) {
        loop {
            tokio::time::sleep(2 * ANCHOR_LIFE).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut anchor = pool.anchor.lock();
            if anchor.held.as_ref().is_none_or(|(_, since)| since.elapsed() >= 2 * ANCHOR_LIFE) {
                anchor.watched = false;
                drop(anchor);
                return pool.weigh_anchor();
            }
        }
    }

    /// Ends the transaction of the reader that stays.
    fn weigh_anchor(&self) {
        let held = self.anchor.lock().held.take();
        if let Some((connection, _)) = held {
            self.end(connection);
        }
    }

    /// Ends a reader's transaction and keeps its connection for the next one.
    fn end(&self, connection: Box<Connection>) {
        let ended = connection.is_autocommit()
            || connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).is_ok();
        // A connection that is still inside a transaction would show an old moment for ever: it is closed instead.
        if ended {
            self.readers.lock().push(connection);
        }
    }

    /// Puts one flush at the end of the line for the writer, unless one stands there already.
    fn queue_flush(self: &Arc<Self>) {
        if self.flush_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let turn = FlushTurn(Arc::clone(self));
        tokio::spawn(async move {
            let state = Arc::clone(&turn.0.writer).lock_owned().await;
            let writer = Writer { state, pool: Arc::clone(&turn.0), savepoint: false, failed: false };
            // From here on, whoever finishes needs another flush; holding the lock, nobody does.
            drop(turn);
            spawn_blocking(move || writer.flush());
        });
    }
}

/// Clears the mark of a queued flush even if its task is dropped with the runtime.
struct FlushTurn(Arc<Sqlite>);

impl Drop for FlushTurn {
    fn drop(&mut self) {
        self.0.flush_queued.store(false, Ordering::Release);
    }
}

/// Counts a task as standing in line, also when it gives up waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A borrowed reading connection.
pub(super) struct Reader {
    /// Taken only by drop.
    connection: Option<Box<Connection>>,
    pool: Arc<Sqlite>,
}

impl Reader {
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("only drop takes the connection")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.give_back(connection);
        }
        self.pool.reader_permits.add_permits(1);
    }
}

/// The writer's lock, held for one transaction or for a flush.
pub(super) struct Writer {
    state: OwnedMutexGuard<WriterState>,
    pool: Arc<Sqlite>,
    /// Whether this transaction is set apart from finished ones by a savepoint that still stands.
    savepoint: bool,
    /// Whether a statement of this transaction failed.
    failed: bool,
}

impl Writer {
    /// Opens the physical transaction. Another process may hold the file's lock for long, so after one quick
    /// try the waiting is done on the blocking pool.
    async fn open(mut self) -> Result<Self, Error> {
        // A reader that stays at an old moment would keep the write-ahead log from starting anew.
        self.pool.weigh_anchor();
        match self.execute("BEGIN IMMEDIATE") {
            Ok(()) => {
                self.state.open = true;
                return Ok(self);
            }
            Err(Error::Busy) => {}
            Err(error) => return Err(error),
        }
        spawn_blocking(move || {
            self.patiently("BEGIN IMMEDIATE")?;
            self.state.open = true;
            Ok(self)
        })
        .await
        .map_err(|stopped| Error::Unavailable(Arc::new(stopped)))?
    }

    /// Runs a step of the transaction; after one that failed, no other is run.
    pub(super) fn attempt<T>(
        &mut self,
        step: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.failed {
            return Err(Error::Aborted);
        }
        // Set before and cleared after, so that a panic inside a mapping counts as a failure as well.
        self.failed = true;
        let result = step(&self.state.connection);
        self.failed = result.is_err();
        result
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        if self.failed || self.state.connection.is_autocommit() {
            return Err(Error::Aborted);
        }
        if self.savepoint {
            self.execute("RELEASE member")?;
            self.savepoint = false;
        }
        let (acknowledgement, answer) = oneshot::channel();
        self.state.finished.push(acknowledgement);
        let nobody_could_join = self.pool.writers_waiting.load(Ordering::Acquire) == 0;
        if nobody_could_join || self.state.finished.len() >= MAX_BATCH {
            spawn_blocking(move || self.flush());
        } else {
            // Queued before the lock is released, so that it cannot be forgotten.
            self.pool.queue_flush();
            drop(self);
        }
        match answer.await {
            Ok(result) => result,
            Err(dropped) => Err(Error::Unavailable(Arc::new(dropped))),
        }
    }

    /// Makes the finished transactions durable and tells them.
    fn flush(mut self) {
        if self.state.finished.is_empty() {
            return;
        }
        match self.patiently("COMMIT") {
            Ok(()) => {
                self.state.open = false;
                self.pool.commits.fetch_add(1, Ordering::Relaxed);
                let finished = std::mem::take(&mut self.state.finished);
                // The next writer need not wait for the acknowledgements.
                drop(self);
                for acknowledgement in finished {
                    // One who stopped waiting is durable all the same.
                    let _ = acknowledgement.send(Ok(()));
                }
            }
            Err(error) => self.undo_all(&error),
        }
    }

    /// Rolls the physical transaction back and fails everyone in it.
    fn undo_all(&mut self, why: &Error) {
        if !self.state.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "SQLite could not roll back");
        }
        self.state.open = !self.state.connection.is_autocommit();
        for acknowledgement in self.state.finished.drain(..) {
            let _ = acknowledgement.send(Err(why.clone()));
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        self.state.connection.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }

    /// Like [`execute`](Self::execute), but waits for other processes. Blocks.
    fn patiently(&self, sql: &str) -> Result<(), Error> {
        self.state.patient.store(true, Ordering::Relaxed);
        let result = self.execute(sql);
        self.state.patient.store(false, Ordering::Relaxed);
        result
    }
}

/// Undoes what was not committed, and never leaves the file locked for other processes without need.
impl Drop for Writer {
    fn drop(&mut self) {
        if !self.state.open {
            return;
        }
        if self.state.connection.is_autocommit() {
            // SQLite gives up the whole physical transaction by itself after some failures of the disk.
            self.undo_all(&Error::lost());
        } else if self.state.finished.is_empty() {
            self.undo_all(&Error::Aborted);
        } else if self.savepoint
            && let Err(error) =
                self.execute("ROLLBACK TO member").and_then(|()| self.execute("RELEASE member"))
        {
            self.undo_all(&error);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Reader,
    Writer,
}

fn connect(path: &Path, role: Role, patient: &Arc<AtomicBool>) -> Result<Connection, Error> {
    let access = match role {
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    // A connection is never used by two threads at once, so SQLite need not guard it with a mutex of its own.
    let mut connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let patient = Arc::clone(patient);
    connection.busy_handler(Some(move |tries: i32| {
        let waited = LOCK_PAUSE * u32::try_from(tries).unwrap_or(u32::MAX);
        let go_on = patient.load(Ordering::Relaxed) && waited < LOCK_PATIENCE;
        if go_on {
            std::thread::sleep(LOCK_PAUSE);
        }
        go_on
    }))?;
    // Without this flag, a cached statement that joins or sorts is planned anew on every run, because
    // clearing its bindings counts as a change: five times the cost of a look-up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.execute_batch(match role {
        Role::Writer => {
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096; \
             PRAGMA journal_size_limit = 16777216;"
        }
        // A reader forgets its page cache whenever somebody commits; the mapping serves the pages again at no
        // cost. It is address space, not memory, and holds a table of a million tokens whole.
        Role::Reader => {
            "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; \
             PRAGMA cache_size = -1024; PRAGMA mmap_size = 1073741824;"
        }
    })?;
    Ok(connection)
}

fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    params: &[V<'_>],
) -> Result<CachedStatement<'c>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    if statement.parameter_count() != params.len() {
        let (wanted, given) = (statement.parameter_count(), params.len());
        return Err(Error::fault(format!(
            "the statement has {wanted} placeholders, but {given} values were given"
        )));
    }
    for (index, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(statement)
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: &[V<'_>],
    map: impl FnOnce(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut statement = prepare(connection, sql, params)?;
    let mut rows = statement.raw_query();
    match rows.next()? {
        Some(row) => map(&Row::sqlite(row)).map(Some),
        None => Ok(None),
    }
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: &[V<'_>],
    mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = prepare(connection, sql, params)?;
    let mut rows = statement.raw_query();
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(map(&Row::sqlite(row))?);
    }
    Ok(list)
}

pub(super) fn run(connection: &Connection, sql: &str, params: &[V<'_>]) -> Result<u64, Error> {
    let changed = prepare(connection, sql, params)?.raw_execute()?;
    Ok(changed.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[tokio::test]
    async fn a_hot_statement_is_planned_once() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Sqlite::open(folder.path().join("forge.db")).await.unwrap();
        let mut writer = pool.begin().await.unwrap();
        let tables = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); \
                      CREATE TABLE tokens (id INTEGER PRIMARY KEY, user_id BIGINT, digest BLOB UNIQUE); \
                      INSERT INTO users VALUES (1, 'bot'); INSERT INTO tokens VALUES (1, 1, x'00')";
        writer.attempt(|connection| Ok(connection.execute_batch(tables)?)).unwrap();
        writer.commit().await.unwrap();

        let hot =
            "SELECT u.name FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.digest = ?1 ORDER BY t.id";
        let reader = pool.read().await.unwrap();
        for _ in 0..100 {
            let name = one(reader.connection(), hot, &[V::Bytes(&[0])], |row| row.get::<String>(0)).unwrap();
            assert_eq!(name.as_deref(), Some("bot"));
        }
        let statement = reader.connection().prepare_cached(hot).unwrap();
        assert_eq!(statement.get_status(StatementStatus::Run), 100);
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[tokio::test]
    async fn connections_are_set_up_for_safety() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Sqlite::open(folder.path().join("forge.db")).await.unwrap();
        let pragma = |connection: &Connection, name: &str| {
            connection
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        let writer = pool.begin().await.unwrap();
        let connection = &writer.state.connection;
        assert_eq!(pragma(connection, "journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma(connection, "synchronous"), 2.into());
        assert_eq!(pragma(connection, "foreign_keys"), 1.into());
        assert_eq!(pragma(connection, "trusted_schema"), 0.into());
        let reader = pool.read().await.unwrap();
        assert_eq!(pragma(reader.connection(), "query_only"), 1.into());
        for connection in [connection, reader.connection()] {
            assert!(connection.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG).unwrap());
        }
    }
}
