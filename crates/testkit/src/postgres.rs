//! A database of its own for each forge, on the server that the test command started.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

pub(crate) struct OwnDatabase {
    server: String,
    name: String,
    pub(crate) url: String,
}

/// Returns a new database when the tests are to run on PostgreSQL.
pub(crate) async fn own_database() -> Option<OwnDatabase> {
    if std::env::var("PORTCULLIS_TEST_ENGINE").as_deref() != Ok("postgres") {
        return None;
    }
    let server = std::env::var("PORTCULLIS_TEST_POSTGRES")
        .expect("PORTCULLIS_TEST_ENGINE=postgres needs PORTCULLIS_TEST_POSTGRES, the URL of a server");
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("portcullis_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let (start, query) =
        server.split_once('?').map_or((server.as_str(), None), |(start, query)| (start, Some(query)));
    let (host, _) = start.rsplit_once('/').expect("the URL names a database");
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(OwnDatabase { url: format!("{host}/{name}{query}"), server: server.clone(), name })
}

async fn execute(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.expect("the test server answers");
    let driving = tokio::spawn(connection);
    client.batch_execute(statement).await.expect("the statement runs");
    drop(client);
    let _ = driving.await;
}

impl OwnDatabase {
    pub(crate) async fn remove(&self) {
        execute(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}
