//! The database adapter, on both engines.
//!
//! SQLite always; PostgreSQL if `PORTCULLIS_TEST_POSTGRES` holds the URL of a server on which databases may
//! be made.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use portcullis_store::db::{
    Db, Engine, Error, ForeignKey, Query, Row, Statement, Target, Tx, V, prepare_check,
};
use portcullis_store::migrate::{self, Migrated, Migration};

mod engines;
use engines::{Place, on_both_engines, on_server};

on_both_engines! {
    values_make_the_round_trip,
    placeholders_may_repeat_and_stand_in_any_order,
    a_column_of_another_kind_is_reported_and_never_converted,
    every_broken_constraint_has_its_own_error,
    what_is_not_committed_is_rolled_back,
    a_transaction_is_unseen_until_it_is_committed,
    after_an_error_nothing_more_is_done,
    a_reader_cannot_write,
    a_cancelled_commit_is_kept_whole_or_not_at_all,
    cancelling_anywhere_leaves_the_database_in_order,
    handles_write_at_the_same_time,
    foreign_keys_are_found,
    a_statement_that_does_not_fit_is_found_before_it_runs,
    migrations_run_once_and_in_order,
    two_processes_may_migrate_at_the_same_time,
    the_schema_of_this_program_applies,
    every_statement_fits_the_schema,
}

async fn run(tx: &mut Tx, sql: &str, params: &[V<'_>]) -> Result<u64, Error> {
    tx.run(&Query::new(sql), params).await
}

/// Runs one statement in a transaction of its own.
async fn change(db: &Db, sql: &str, params: &[V<'_>]) -> Result<u64, Error> {
    let mut tx = db.begin().await?;
    let changed = run(&mut tx, sql, params).await?;
    tx.commit().await?;
    Ok(changed)
}

async fn number(db: &Db, sql: &str) -> i64 {
    let mut tx = db.read().await.unwrap();
    tx.one(&Query::new(sql), &[], |row| row.get(0)).await.unwrap().unwrap()
}

async fn create_notes(db: &Db) {
    change(db, "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT)", &[]).await.unwrap();
}

async fn add_note(db: &Db, id: i64) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    run(&mut tx, "INSERT INTO notes (id, body) VALUES ($1, 'first')", &[id.into()]).await?;
    tx.commit().await
}

async fn count_notes(db: &Db) -> i64 {
    number(db, "SELECT COUNT(*) FROM notes").await
}

/// Polls a future a number of times, letting others run in between, and then drops it; tells whether it was
/// done.
async fn poll_only<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::time::sleep(Duration::from_micros(30)).await;
    }
    None
}

async fn values_make_the_round_trip(place: &Place) {
    let bytes = if place.db.engine() == Engine::Sqlite { "BLOB" } else { "BYTEA" };
    let table =
        format!("CREATE TABLE samples (id BIGINT PRIMARY KEY, small INTEGER, body TEXT, raw {bytes})");
    change(&place.db, &table, &[]).await.unwrap();
    let insert = "INSERT INTO samples (id, small, body, raw) VALUES ($1, $2, $3, $4)";
    let body = "Grüße, 'Welt' $1".to_owned();
    let rows: [[V<'_>; 4]; 3] = [
        [i64::MAX.into(), 7.into(), (&body).into(), (&[0_u8, 255, 10]).into()],
        [i64::MIN.into(), None::<i64>.into(), None::<&str>.into(), None::<&[u8]>.into()],
        [0.into(), V::Null, "".into(), V::Bytes(&[])],
    ];
    for row in &rows {
        assert_eq!(change(&place.db, insert, row).await.unwrap(), 1);
    }
    type Sample = (i64, Option<i64>, Option<String>, Option<Vec<u8>>);
    let read =
        |row: &Row<'_>| -> Result<Sample, Error> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) };
    let mut tx = place.db.read().await.unwrap();
    let all =
        tx.all(&Query::new("SELECT id, small, body, raw FROM samples ORDER BY id"), &[], read).await.unwrap();
    assert_eq!(
        all,
        [
            (i64::MIN, None, None, None),
            (0, None, Some(String::new()), Some(vec![])),
            (i64::MAX, Some(7), Some(body.clone()), Some(vec![0, 255, 10])),
        ]
    );
    let one = Query::new("SELECT body, raw, body = $1, small FROM samples WHERE body = $1 AND id > $2");
    let found = tx
        .one(&one, &[(&body).into(), 5.into()], |row| {
            assert_eq!(row.text(0)?, body);
            assert_eq!(row.get::<String>(0)?, body);
            assert_eq!(row.get::<Vec<u8>>(1)?, [0, 255, 10]);
            Ok((row.get::<i64>(2)?, row.get::<i64>(3)?))
        })
        .await
        .unwrap();
    assert_eq!(found, Some((1, 7)));
    assert_eq!(tx.one(&one, &["absent".into(), 5.into()], |_| Ok(())).await.unwrap(), None);
}

async fn placeholders_may_repeat_and_stand_in_any_order(place: &Place) {
    static SWAP: Statement =
        Statement::new("SWAP", "SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT), '$1'");
    let mut tx = place.db.read().await.unwrap();
    let read = |row: &Row<'_>| Ok((row.get::<String>(0)?, row.get::<String>(1)?));
    let text = tx.one(&SWAP, &["a".into(), "b".into()], read).await;
    assert_eq!(text.unwrap(), Some(("bab".to_owned(), "$1".to_owned())));
    let missing = tx.one(&SWAP, &["a".into()], |_| Ok(())).await;
    assert!(matches!(missing, Err(Error::Internal(_))), "{missing:?}");
}

async fn a_column_of_another_kind_is_reported_and_never_converted(place: &Place) {
    let mut tx = place.db.read().await.unwrap();
    let query = Query::new("SELECT CAST(NULL AS BIGINT) AS empty, 'secret' AS word, 5 AS five");
    for column in 0..3 {
        let wrong = tx
            .one(&query, &[], |row| match column {
                0 => row.get::<i64>(0).map(drop),
                1 => row.get::<i64>(1).map(drop),
                _ => row.get::<String>(2).map(drop),
            })
            .await
            .unwrap_err();
        assert!(matches!(wrong, Error::Corrupt(_)), "{wrong:?}");
        let message = wrong.to_string();
        assert!(
            message.contains(["empty", "word", "five"][column]) && !message.contains("secret"),
            "{message}"
        );
    }
    assert!(matches!(tx.one(&query, &[], |row| row.text(9).map(drop)).await, Err(Error::Corrupt(_))));
}

async fn every_broken_constraint_has_its_own_error(place: &Place) {
    let mut tx = place.db.begin().await.unwrap();
    for table in [
        "CREATE TABLE people (id BIGINT PRIMARY KEY, username TEXT NOT NULL UNIQUE, age BIGINT, \
         CONSTRAINT people_age CHECK (age > 0))",
        "CREATE UNIQUE INDEX people_lower_username ON people (lower(username))",
        "CREATE TABLE pets (owner_id BIGINT NOT NULL REFERENCES people (id) ON DELETE RESTRICT)",
        "CREATE TABLE cars (owner_id BIGINT NOT NULL REFERENCES people (id))",
        "INSERT INTO people (id, username) VALUES (1, 'Ada'), (2, 'Bob')",
        "INSERT INTO pets (owner_id) VALUES (1)",
        "INSERT INTO cars (owner_id) VALUES (2)",
    ] {
        run(&mut tx, table, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();

    let fails = async |sql: &str| change(&place.db, sql, &[]).await.unwrap_err();
    let unique = fails("INSERT INTO people (id, username) VALUES (3, 'Ada')").await;
    assert!(matches!(&unique, Error::Unique { constraint } if constraint.contains("username")), "{unique:?}");
    let on_expression = fails("INSERT INTO people (id, username) VALUES (3, 'BOB')").await;
    assert!(
        matches!(&on_expression, Error::Unique { constraint } if constraint.contains("people_lower_username")),
        "{on_expression:?}"
    );
    let primary = fails("INSERT INTO people (id, username) VALUES (1, 'Eve')").await;
    assert!(matches!(&primary, Error::Unique { constraint } if constraint.contains("people")), "{primary:?}");
    let missing = fails("INSERT INTO people (id) VALUES (3)").await;
    assert!(matches!(&missing, Error::NotNull { column } if column.contains("username")), "{missing:?}");
    let check = fails("INSERT INTO people (id, username, age) VALUES (3, 'Eve', 0)").await;
    assert!(matches!(&check, Error::Check { constraint } if constraint == "people_age"), "{check:?}");
    for orphan in [
        "INSERT INTO pets (owner_id) VALUES (9)",
        "DELETE FROM people WHERE id = 1",
        "DELETE FROM people WHERE id = 2",
    ] {
        let refused = fails(orphan).await;
        assert!(matches!(refused, Error::ForeignKey), "{orphan}: {refused:?}");
    }
    assert!(matches!(fails("SELEKT 1").await, Error::Internal(_)));
    assert!(matches!(fails("INSERT INTO nowhere (id) VALUES (1)").await, Error::Internal(_)));
}

async fn what_is_not_committed_is_rolled_back(place: &Place) {
    create_notes(&place.db).await;
    for _ in 0..3 {
        let mut tx = place.db.begin().await.unwrap();
        run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
        drop(tx);
    }
    assert_eq!(count_notes(&place.db).await, 0);
    add_note(&place.db, 1).await.unwrap();
    assert_eq!(count_notes(&place.db).await, 1);
    drop(place.db.begin().await.unwrap());
    place.db.begin().await.unwrap().commit().await.unwrap();
}

async fn a_transaction_is_unseen_until_it_is_committed(place: &Place) {
    create_notes(&place.db).await;
    let mut tx = place.db.begin().await.unwrap();
    run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
    let seen_inside = tx.one(&Query::new("SELECT COUNT(*) FROM notes"), &[], |row| row.get::<i64>(0)).await;
    assert_eq!(seen_inside.unwrap(), Some(1));
    assert_eq!(count_notes(&place.db).await, 0);
    tx.commit().await.unwrap();
    assert_eq!(count_notes(&place.db).await, 1);
}

async fn after_an_error_nothing_more_is_done(place: &Place) {
    create_notes(&place.db).await;
    add_note(&place.db, 1).await.unwrap();
    let mut tx = place.db.begin().await.unwrap();
    run(&mut tx, "INSERT INTO notes (id) VALUES (2)", &[]).await.unwrap();
    let doubled = run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await;
    assert!(matches!(doubled, Err(Error::Unique { .. })));
    let next = run(&mut tx, "INSERT INTO notes (id) VALUES (3)", &[]).await;
    assert!(matches!(next, Err(Error::Aborted)), "{next:?}");
    let read = tx.one(&Query::new("SELECT 1"), &[], |_| Ok(())).await;
    assert!(matches!(read, Err(Error::Aborted)), "{read:?}");
    let kept = tx.commit().await;
    assert!(matches!(kept, Err(Error::Aborted)), "{kept:?}");

    let mut tx = place.db.begin().await.unwrap();
    run(&mut tx, "INSERT INTO notes (id) VALUES (4)", &[]).await.unwrap();
    let refused = tx.one(&Query::new("SELECT 1"), &[], |_| Err::<(), _>(Error::Corrupt("odd".into()))).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))));
    assert!(matches!(tx.commit().await, Err(Error::Aborted)));

    assert_eq!(count_notes(&place.db).await, 1);
    add_note(&place.db, 2).await.unwrap();
}

async fn a_reader_cannot_write(place: &Place) {
    create_notes(&place.db).await;
    let mut tx = place.db.read().await.unwrap();
    let write = run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await;
    assert!(matches!(write, Err(Error::ReadOnly)), "{write:?}");
    // A reader is no transaction: a failed statement does not spoil the next.
    assert_eq!(tx.one(&Query::new("SELECT 1"), &[], |row| row.get::<i64>(0)).await.unwrap(), Some(1));
    tx.commit().await.unwrap();
    assert_eq!(count_notes(&place.db).await, 0);
    add_note(&place.db, 1).await.unwrap();
    let mut tx = place.db.read().await.unwrap();
    assert!(matches!(run(&mut tx, "DELETE FROM notes", &[]).await, Err(Error::ReadOnly)));
}

async fn a_cancelled_commit_is_kept_whole_or_not_at_all(place: &Place) {
    create_notes(&place.db).await;
    let mut done = 0;
    for times in 0..24 {
        let id = i64::try_from(times).unwrap();
        let mut tx = place.db.begin().await.unwrap();
        for id in [id, id + 1000] {
            run(&mut tx, "INSERT INTO notes (id) VALUES ($1)", &[id.into()]).await.unwrap();
        }
        if let Some(result) = poll_only(tx.commit(), times % 8).await {
            result.unwrap();
            done += 1;
            let halves = format!("SELECT COUNT(*) FROM notes WHERE id IN ({id}, {})", id + 1000);
            assert_eq!(number(&place.db, &halves).await, 2);
        }
    }
    // Another commit stands behind the cancelled ones, so all of them are settled after it.
    add_note(&place.db, 500).await.unwrap();
    let halves = number(
        &place.db,
        "SELECT COUNT(*) FROM notes a WHERE a.id <> 500 AND NOT EXISTS \
         (SELECT 1 FROM notes b WHERE b.id IN (a.id - 1000, a.id + 1000))",
    )
    .await;
    assert_eq!(halves, 0);
    assert!(count_notes(&place.db).await > 2 * done);
}

async fn cancelling_anywhere_leaves_the_database_in_order(place: &Place) {
    create_notes(&place.db).await;
    let mut tasks = Vec::new();
    for task in 0..8_i64 {
        let db = place.db.clone();
        tasks.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for round in 0..40_i64 {
                let id = task * 1000 + round;
                let times = usize::try_from(round * 7 + task).unwrap() % 12;
                if let Some(result) = poll_only(add_note(&db, id), times).await {
                    result.unwrap();
                    acknowledged.push(id);
                }
            }
            acknowledged
        }));
    }
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    add_note(&place.db, -1).await.unwrap();
    let mut tx = place.db.read().await.unwrap();
    let there = tx.all(&Query::new("SELECT id FROM notes"), &[], |row| row.get::<i64>(0)).await.unwrap();
    assert!(acknowledged.iter().all(|id| there.contains(id)), "an acknowledged note is missing");
    drop(tx);
    if place.db.engine() == Engine::Postgres {
        nothing_is_left_open(&place.db).await;
    }
}

async fn handles_write_at_the_same_time(place: &Place) {
    create_notes(&place.db).await;
    let other = Db::open(&place.target).await.unwrap();
    let mut tasks = Vec::new();
    for task in 0..8_i64 {
        let db = if task % 2 == 0 { place.db.clone() } else { other.clone() };
        tasks.push(tokio::spawn(async move {
            for round in 0..40 {
                add_note(&db, task * 1000 + round).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(count_notes(&place.db).await, 320);
    assert_eq!(count_notes(&other).await, 320);
}

async fn foreign_keys_are_found(place: &Place) {
    let mut tx = place.db.begin().await.unwrap();
    for table in [
        "CREATE TABLE users (id BIGINT PRIMARY KEY)",
        "CREATE TABLE posts (id BIGINT PRIMARY KEY, author_id BIGINT REFERENCES users (id), \
         editor_id BIGINT REFERENCES users (id) ON DELETE SET NULL)",
        "CREATE TABLE likes (user_id BIGINT REFERENCES users (id) ON DELETE CASCADE, \
         post_id BIGINT REFERENCES posts (id) ON DELETE RESTRICT)",
    ] {
        run(&mut tx, table, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let key = |table: &str, column: &str, on_delete: &str| ForeignKey {
        table: table.to_owned(),
        column: column.to_owned(),
        on_delete: on_delete.to_owned(),
    };
    assert_eq!(
        place.db.foreign_keys_to("users").await.unwrap(),
        [
            key("likes", "user_id", "CASCADE"),
            key("posts", "author_id", "NO ACTION"),
            key("posts", "editor_id", "SET NULL"),
        ]
    );
    assert_eq!(place.db.foreign_keys_to("posts").await.unwrap(), [key("likes", "post_id", "RESTRICT")]);
    assert_eq!(place.db.foreign_keys_to("nothing").await.unwrap(), []);
    place.db.ping().await.unwrap();
}

async fn a_statement_that_does_not_fit_is_found_before_it_runs(place: &Place) {
    static GOOD: Statement = Statement::new("GOOD", "UPDATE notes SET body = $2 WHERE id = $1");
    static TABLE: Statement = Statement::new("TABLE", "SELECT id FROM nowhere");
    static COLUMN: Statement = Statement::new("COLUMN", "SELECT idd FROM notes");
    static GAP: Statement = Statement::new("GAP", "SELECT id FROM notes WHERE id = $2");
    static NUMERIC: Statement = Statement::new("NUMERIC", "SELECT SUM(id) FROM notes");
    create_notes(&place.db).await;
    prepare_check(&place.db, &GOOD).await.unwrap();
    assert_eq!(count_notes(&place.db).await, 0);
    for wrong in [&TABLE, &COLUMN, &GAP] {
        let error = prepare_check(&place.db, wrong).await.unwrap_err().to_string();
        assert!(error.contains(wrong.name), "{error}");
    }
    // Only PostgreSQL knows types: there a sum of BIGINT is NUMERIC.
    assert_eq!(prepare_check(&place.db, &NUMERIC).await.is_err(), place.db.engine() == Engine::Postgres);
}

async fn migrations_run_once_and_in_order(place: &Place) {
    let first = Migration {
        version: 1,
        name: "one",
        sql: "CREATE TABLE things (id {PK}, raw {BYTES});\n-- A remark; with a semicolon.\n\
              INSERT INTO things (raw) VALUES (NULL);\n",
    };
    let second = Migration { version: 2, name: "two", sql: "INSERT INTO things (raw) VALUES (NULL);" };
    let broken =
        Migration { version: 3, name: "three", sql: "DELETE FROM things; INSERT INTO nowhere VALUES (1)" };
    let db = &place.db;
    let did = migrate::apply(db, &[first], 5).await.unwrap();
    assert_eq!(did, Migrated { from: 0, to: 1, applied: vec!["one"] });
    let did = migrate::apply(db, &[first, second], 6).await.unwrap();
    assert_eq!(did, Migrated { from: 1, to: 2, applied: vec!["two"] });
    let commits = db.commits();
    let did = migrate::apply(db, &[first, second], 7).await.unwrap();
    assert_eq!(did, Migrated { from: 2, to: 2, applied: vec![] });
    assert_eq!(db.commits(), commits, "with nothing to do nothing is written");
    migrate::apply(db, &[first, second, broken], 8).await.unwrap_err();
    assert_eq!(number(db, "SELECT MAX(id) FROM things").await, 2);
    assert_eq!(number(db, "SELECT MAX(version) * 100 + MAX(applied_at) FROM schema_migrations").await, 206);

    let newer = migrate::apply(db, &[first], 9).await.unwrap_err();
    assert!(matches!(newer, Error::DatabaseFromNewerVersion { found: 2, known: 1 }), "{newer:?}");
    assert!(newer.to_string().contains("start the newer Portcullis"));
}

async fn two_processes_may_migrate_at_the_same_time(place: &Place) {
    let list = [
        Migration { version: 1, name: "one", sql: "CREATE TABLE things (id {PK});" },
        Migration { version: 2, name: "two", sql: "INSERT INTO things (id) VALUES (7);" },
    ];
    let other = Db::open(&place.target).await.unwrap();
    let (one, two) = tokio::join!(migrate::apply(&place.db, &list, 1), migrate::apply(&other, &list, 1));
    let applied = one.unwrap().applied.len() + two.unwrap().applied.len();
    assert_eq!(applied, 2);
    assert_eq!(count(&place.db, "things").await, 1);
}

async fn the_schema_of_this_program_applies(place: &Place) {
    let did = migrate::migrate(&place.db, 1).await.unwrap();
    assert_eq!(did.to, migrate::MIGRATIONS.last().unwrap().version);
    assert!(!place.db.foreign_keys_to("users").await.unwrap().is_empty());
}

async fn every_statement_fits_the_schema(place: &Place) {
    migrate::migrate(&place.db, 1).await.unwrap();
    let mut wrong = Vec::new();
    for statement in portcullis_store::statements() {
        if let Err(error) = prepare_check(&place.db, statement).await {
            wrong.push(error.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn count(db: &Db, table: &str) -> i64 {
    number(db, &format!("SELECT COUNT(*) FROM {table}")).await
}

/// Waits until no connection of this database stands in a transaction; fails if one stays there.
async fn nothing_is_left_open(db: &Db) {
    let open = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE '%in transaction%'";
    let patience = Instant::now() + Duration::from_secs(5);
    while number(db, open).await > 0 {
        assert!(Instant::now() < patience, "a connection went back to the pool inside a transaction");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_wait_share_a_commit() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let first = place.db.begin().await.unwrap();
    let before = place.db.commits();
    let tasks: Vec<_> = (0..100)
        .map(|id| {
            let db = place.db.clone();
            tokio::spawn(async move { add_note(&db, id).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let commits = place.db.commits() - before;
    assert!((1..=3).contains(&commits), "100 waiting transactions took {commits} physical commits");
    let other = Db::open(&place.target).await.unwrap();
    assert_eq!(count_notes(&other).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_a_bound() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let first = place.db.begin().await.unwrap();
    let before = place.db.commits();
    let tasks: Vec<_> = (0..300)
        .map(|id| {
            let db = place.db.clone();
            tokio::spawn(async move { add_note(&db, id).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let commits = place.db.commits() - before;
    assert!((3..=6).contains(&commits), "300 waiting transactions took {commits} physical commits");
    assert_eq!(count_notes(&place.db).await, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_does_not_spoil_the_batch() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    add_note(&place.db, -1).await.unwrap();
    let first = place.db.begin().await.unwrap();
    let tasks: Vec<_> = (0..90)
        .map(|id| {
            let db = place.db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let insert = "INSERT INTO notes (id) VALUES ($1)";
                run(&mut tx, insert, &[id.into()]).await.unwrap();
                match id % 3 {
                    0 => tx.commit().await.unwrap(),
                    1 => drop(tx),
                    _ => {
                        let doubled = run(&mut tx, insert, &[V::Int(-1)]).await;
                        assert!(matches!(doubled, Err(Error::Unique { .. })));
                        assert!(matches!(tx.commit().await, Err(Error::Aborted)));
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(number(&place.db, "SELECT COUNT(*) FROM notes WHERE id >= 0 AND id % 3 = 0").await, 30);
    assert_eq!(count_notes(&place.db).await, 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_shared_commit_fails_everyone_is_told() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    // A deferred constraint is the one way to make the commit itself fail; the schema has none.
    let table = "CREATE TABLE late (note_id BIGINT REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED)";
    change(&place.db, table, &[]).await.unwrap();
    let first = place.db.begin().await.unwrap();
    let mut tasks = Vec::new();
    for id in 0..10 {
        let db = place.db.clone();
        tasks.push(tokio::spawn(async move {
            if id == 5 {
                change(&db, "INSERT INTO late VALUES (99)", &[]).await.map(drop)
            } else {
                add_note(&db, id).await
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.commit().await.unwrap_err();
    let mut kept = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => kept += 1,
            Err(error) => assert!(matches!(error, Error::ForeignKey), "{error:?}"),
        }
    }
    assert_eq!(count_notes(&place.db).await, kept);
    assert_eq!(count(&place.db, "late").await, 0);
    add_note(&place.db, 50).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let mut tx = place.db.begin().await.unwrap();
    tx.one(&Query::new("PRAGMA max_page_count = 60"), &[], |_| Ok(())).await.unwrap();
    let body = "x".repeat(20_000);
    let tasks: Vec<_> = (0..40)
        .map(|id| {
            let (db, body) = (place.db.clone(), body.clone());
            tokio::spawn(async move {
                change(&db, "INSERT INTO notes (id, body) VALUES ($1, $2)", &[V::Int(id), (&body).into()])
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tx.commit().await.ok();
    let mut kept = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => kept += 1,
            Err(error) => assert!(matches!(error, Error::Unavailable(_)), "{error:?}"),
        }
    }
    assert!(kept < 40);
    assert_eq!(count_notes(&place.db).await, kept);
}

#[tokio::test]
async fn a_locked_file_is_waited_for_without_stopping_others() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let Target::Sqlite(path) = &place.target else { unreachable!("the place is a file") };
    let command_line = rusqlite::Connection::open(path).unwrap();
    command_line.execute_batch("BEGIN IMMEDIATE; INSERT INTO notes (id) VALUES (1)").unwrap();

    // One that gives up waiting must not leave the file locked behind it.
    let gave_up = tokio::time::timeout(Duration::from_millis(30), place.db.begin()).await;
    assert!(gave_up.is_err());

    let db = place.db.clone();
    let waiting = tokio::spawn(async move { add_note(&db, 2).await });
    let start = Instant::now();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(count_notes(&place.db).await, 0);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "the runtime's only thread was blocked");
    assert!(!waiting.is_finished());
    command_line.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(count_notes(&place.db).await, 2);

    // And nobody holds the file now.
    command_line.busy_timeout(Duration::ZERO).unwrap();
    command_line.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    drop(place.db.begin().await.unwrap());
    command_line.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_ninth_reader_waits_for_one_of_eight() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(place.db.read().await.unwrap());
    }
    assert!(tokio::time::timeout(Duration::from_millis(20), place.db.read()).await.is_err());
    let db = place.db.clone();
    let ninth = tokio::spawn(async move { count_notes(&db).await });
    tokio::task::yield_now().await;
    readers.pop();
    assert_eq!(ninth.await.unwrap(), 0);
    drop(readers);
    for _ in 0..8 {
        readers_are_back(&place.db).await;
    }
}

async fn readers_are_back(db: &Db) {
    tokio::time::timeout(Duration::from_secs(1), db.read()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    let place = Place::sqlite().await;
    create_notes(&place.db).await;
    let Target::Sqlite(path) = &place.target else { unreachable!("the place is a file") };
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_target_that_cannot_work_is_refused_with_advice() {
    let refusal = async |target: Target| match Db::open(&target).await {
        Ok(_) => panic!("{target:?} was opened"),
        Err(error) => error,
    };
    let memory = refusal(Target::Sqlite(":memory:".into())).await;
    assert!(matches!(memory, Error::Target(_)), "{memory:?}");
    let folder = refusal(Target::Sqlite("/nonexistent/forge.db".into())).await;
    assert!(matches!(folder, Error::Unavailable(_)), "{folder:?}");
    let url = |rest: &str| Target::Postgres(format!("postgres://forge:open-sesame@127.0.0.1:1/{rest}"));
    let tls = refusal(url("forge?sslmode=require")).await;
    assert!(matches!(tls, Error::Target(_)) && tls.to_string().contains("sslmode"), "{tls:?}");
    let unreadable = refusal(url("forge?open-sesame=1")).await;
    assert!(matches!(unreadable, Error::Target(_)), "{unreadable:?}");
    let closed = refusal(url("forge")).await;
    assert!(matches!(closed, Error::Unavailable(_)), "{closed:?}");
    for error in [tls, unreadable, closed] {
        assert!(!format!("{error:?} {error}").contains("sesame"));
    }
    assert!(!format!("{:?} {:?}", url("x"), V::Text("open-sesame")).contains("sesame"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forge.db");
    std::fs::write(&path, "This is a letter and not a database. ".repeat(100)).unwrap();
    let letter = refusal(Target::Sqlite(path)).await;
    assert!(matches!(letter, Error::Corrupt(_)), "{letter:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_statement_ends_its_transaction() {
    let Some(place) = Place::postgres().await else { return };
    create_notes(&place.db).await;
    let mut tx = place.db.begin().await.unwrap();
    run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
    let slow = Query::new("SELECT COUNT(*) FROM (SELECT pg_sleep(0.2)) AS nap");
    let cancelled = tokio::time::timeout(Duration::from_millis(30), tx.one(&slow, &[], |_| Ok(()))).await;
    assert!(cancelled.is_err());
    assert!(matches!(run(&mut tx, "INSERT INTO notes (id) VALUES (2)", &[]).await, Err(Error::Aborted)));
    drop(tx);
    nothing_is_left_open(&place.db).await;
    assert_eq!(count_notes(&place.db).await, 0);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_replaced() {
    let Some(place) = Place::postgres().await else { return };
    create_notes(&place.db).await;
    let mut tx = place.db.begin().await.unwrap();
    run(&mut tx, "INSERT INTO notes (id) VALUES (1)", &[]).await.unwrap();
    let (server, name) = place.server.clone().unwrap();
    let kill = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    on_server(&server, &kill).await;
    let lost = run(&mut tx, "INSERT INTO notes (id) VALUES (2)", &[]).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
    assert!(matches!(tx.commit().await, Err(Error::Aborted)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    add_note(&place.db, 3).await.unwrap();
    assert_eq!(count_notes(&place.db).await, 1);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_asks_for_another_try() {
    let Some(place) = Place::postgres().await else { return };
    create_notes(&place.db).await;
    add_note(&place.db, 1).await.unwrap();
    add_note(&place.db, 2).await.unwrap();
    let touch =
        async |tx: &mut Tx, id: i64| run(tx, "UPDATE notes SET body = '' WHERE id = $1", &[id.into()]).await;
    let mut one = place.db.begin().await.unwrap();
    let mut two = place.db.begin().await.unwrap();
    touch(&mut one, 1).await.unwrap();
    touch(&mut two, 2).await.unwrap();
    let results = tokio::join!(touch(&mut one, 2), async {
        let result = touch(&mut two, 1).await;
        drop(two);
        result
    });
    let failed = [results.0, results.1].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(failed.as_slice(), [Error::Busy]), "{failed:?}");
    drop(one);
    place.remove().await;
}

/// Work with the database is spawned and lives inside request handlers, so all of it must be `Send`.
#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(_: T) {}
    fn assert_shared<T: Send + Sync + Clone>() {}
    assert_shared::<Db>();
    assert_shared::<Error>();
    #[expect(dead_code, reason = "compiling it is the test")]
    fn claims(db: Db) {
        assert_send(async move {
            let mut tx = db.begin().await?;
            let text = String::from("word");
            tx.one(&Query::new("SELECT $1"), &[(&text).into()], |row| row.get::<String>(0)).await?;
            tx.all(&Query::new("SELECT 1"), &[], |row| row.get::<i64>(0)).await?;
            tx.run(&Query::new("SELECT 1"), &[]).await?;
            tx.commit().await
        });
    }
}
