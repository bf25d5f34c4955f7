//! A database of its own for one test, on either engine.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_store::db::{Db, Target};
use tempfile::TempDir;

/// A database of its own for one test.
pub struct Place {
    pub db: Db,
    pub target: Target,
    /// The URL of the server and the name of the database on it.
    pub server: Option<(String, String)>,
    _folder: Option<TempDir>,
}

impl Place {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Sqlite(folder.path().join("forge.db"));
        Self { db: Db::open(&target).await.unwrap(), target, server: None, _folder: Some(folder) }
    }

    /// Returns nothing when there is no server to make it on.
    pub async fn postgres() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Ok(server) = std::env::var("PORTCULLIS_TEST_POSTGRES") else {
            println!("skipped: PORTCULLIS_TEST_POSTGRES is not set");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis_store_{}_{number}", std::process::id());
        on_server(&server, &format!("CREATE DATABASE {name}")).await;
        let (address, query) = server.split_once('?').unwrap_or((&server, ""));
        let (authority, _) = address.rsplit_once('/').unwrap();
        let target = Target::Postgres(format!("{authority}/{name}?{query}"));
        let db = Db::open(&target).await.unwrap();
        Some(Self { db, target, server: Some((server, name)), _folder: None })
    }

    pub async fn remove(self) {
        if let (Target::Postgres(_), Some((server, name))) = (self.target, self.server) {
            drop(self.db);
            on_server(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

pub async fn on_server(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    task.abort();
}

/// Makes two tests of each claim: `name::sqlite` and `name::postgres`.
macro_rules! on_both_engines {
    ($($claim:ident,)*) => {
        $(mod $claim {
            use crate::engines::Place;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let place = Place::sqlite().await;
                super::$claim(&place).await;
                place.remove().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(place) = Place::postgres().await {
                    super::$claim(&place).await;
                    place.remove().await;
                }
            }
        })*
    };
}

pub(crate) use on_both_engines;
