//! A whole forge, and who and what is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use portcullis_app::access::{Authorized, Origin, Viewer};
use portcullis_app::clock::Clock;
use portcullis_app::personal_tokens::{self, NewPersonalTokenRequest};
use portcullis_app::random::Random;
use portcullis_app::records::db::{Db, Target};
use portcullis_app::records::merge_requests::{self, Heads, NewMergeRequest};
use portcullis_app::records::projects;
use portcullis_app::sessions::SignedIn;
use portcullis_app::settings::Settings;
use portcullis_app::{Forge, jobs, sessions};
use portcullis_rules::access::{ScopeSet, act};
use portcullis_rules::id::{ProjectId, UserId};
use portcullis_web::server::{self, ServeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::postgres::{OwnDatabase, own_database};
use crate::{Caller, Git};

/// A clock that stands still until it is moved. It begins at noon UTC on 2 March 2026.
pub struct TestClock(AtomicI64);

/// The password of everybody who is given one.
pub const PASSWORD: &str = "correct horse battery staple";

const START: i64 = 1_772_452_800_000_000;

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub fn advance_days(&self, days: i64) {
        self.advance_seconds(days * 86_400);
    }

    /// Returns the date of today plus some days, as the API writes it.
    pub fn date(&self, days: i64) -> String {
        portcullis_rules::token::date_at(self.now() + days * 86_400_000_000).to_string()
    }
}

/// The same bytes in every run.
struct SeededRandom(AtomicU64);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64: good enough to be different each time, and the same in every run.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)) as u8;
        }
    }
}

/// A whole forge on a free port, which ends with the value.
pub struct TestForge {
    pub url: String,
    pub clock: Arc<TestClock>,
    pub forge: Arc<Forge>,
    root: Caller,
    runtime: Option<Runtime>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    database: Option<OwnDatabase>,
    folder: TempDir,
    next: AtomicU64,
}

/// Returns the secret in the answer to creating or rotating a token.
#[track_caller]
pub fn token_secret(answer: &Value) -> String {
    answer["token"].as_str().unwrap_or_else(|| panic!("no token in {answer}")).to_owned()
}

impl TestForge {
    /// Starts a forge whose settings `change` may change. `hook_program` is the binary that Git runs as its hooks.
    pub fn start(hook_program: &str, change: impl FnOnce(&mut Settings)) -> TestForge {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let database = runtime.block_on(own_database());
        let mut settings = Settings {
            data: folder.path().join("data"),
            database_url: database.as_ref().map(|database| database.url.clone()),
            max_failed_authentications_per_minute: 0,
            shutdown_seconds: 5,
            ..Settings::default()
        };
        change(&mut settings);
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let random = Arc::new(SeededRandom(AtomicU64::new(1)));
        let opened = Forge::open(settings, clock.clone(), random, PathBuf::from(hook_program));
        let forge = runtime.block_on(opened).expect("the forge opens");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let router = portcullis_web::router(Arc::clone(&forge));
        runtime.spawn(server::serve(listener, None, router, ServeOptions::default(), stopped));
        let secret = personal_token(&runtime, &forge, "root", ScopeSet::FOR_PERSONAL_TOKENS);
        TestForge {
            root: Caller::new(&url, Some(secret)),
            url,
            clock,
            forge,
            runtime: Some(runtime),
            stop: Mutex::new(Some(stop)),
            database,
            folder,
            next: AtomicU64::new(1),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the administrator.
    pub fn root(&self) -> &Caller {
        &self.root
    }

    /// Returns somebody without a token.
    pub fn anyone(&self) -> Caller {
        Caller::new(&self.url, None)
    }

    /// Returns somebody with this secret.
    pub fn with_token(&self, secret: &str) -> Caller {
        Caller::new(&self.url, Some(secret.to_owned()))
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("a runtime").block_on(future)
    }

    /// Runs every background job that is due.
    pub fn run_jobs(&self) {
        self.block_on(jobs::run_due(&self.forge)).expect("the jobs run");
    }

    /// Runs the recurring jobs and every other one that is due.
    pub fn run_recurring_jobs(&self) {
        self.block_on(jobs::run_recurring(&self.forge)).expect("the jobs run");
    }

    /// Opens a merge request in a project as `author`, without asking Git about its branches, and returns its number.
    #[track_caller]
    pub fn merge_request(&self, project: i64, author: i64, title: &str) -> i64 {
        let settings = self.forge.settings();
        let target = match &settings.database_url {
            Some(url) => Target::Postgres(url.clone()),
            None => Target::Sqlite(settings.data.join("portcullis.sqlite3")),
        };
        let (project, author) = (ProjectId(project), UserId(author));
        let source = self.word("branch");
        let heads = Heads { head: "1".repeat(40), start: "2".repeat(40), base: Some("3".repeat(40)) };
        let opened = async {
            let db = Db::open(&target).await?;
            let mut tx = db.begin().await?;
            let iid =
                projects::next_merge_request_iid(&mut tx, project, self.clock.now()).await?.unwrap_or(0);
            let new = NewMergeRequest {
                project,
                iid,
                author,
                title,
                description: None,
                source_branch: &source,
                target_branch: "main",
                squash: false,
                removes_source_branch: false,
                heads: &heads,
            };
            merge_requests::insert(&mut tx, &new, self.clock.now()).await?;
            tx.commit().await?;
            Ok::<_, portcullis_app::records::db::Error>(iid)
        };
        self.block_on(opened).expect("a merge request")
    }

    /// Starts background workers, as the server does.
    pub fn start_workers(&self) -> jobs::Workers {
        let _inside = self.runtime.as_ref().expect("a runtime").enter();
        jobs::start(&self.forge, true)
    }

    /// Returns a word that no other call returned.
    pub fn word(&self, start: &str) -> String {
        format!("{start}{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a person with a token that holds the scope `api`.
    #[track_caller]
    pub fn person(&self, username: &str) -> Person {
        self.person_with(username, json!({}))
    }

    /// Creates an external person with a token that holds the scope `api`.
    #[track_caller]
    pub fn external_person(&self, username: &str) -> Person {
        self.person_with(username, json!({ "external": true }))
    }

    #[track_caller]
    fn person_with(&self, username: &str, extra: Value) -> Person {
        let mut body = json!({
            "username": username, "name": format!("{username} Person"), "email": format!("{username}@example.com"),
        });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let id = self.root.post("/users", body).expect(201).json()["id"].as_i64().unwrap();
        let secret = self.personal_token(username, &["api"]);
        Person { id, username: username.to_owned(), caller: self.with_token(&secret) }
    }

    /// Makes a personal access token for a person.
    #[track_caller]
    pub fn personal_token(&self, username: &str, scopes: &[&str]) -> String {
        let scopes = ScopeSet::parse(scopes.iter().copied(), ScopeSet::FOR_PERSONAL_TOKENS).expect("scopes");
        personal_token(self.runtime.as_ref().expect("a runtime"), &self.forge, username, scopes)
    }

    /// Gives a person the password [`PASSWORD`], signs them in, and returns the cookie of their browser.
    #[track_caller]
    pub fn session(&self, username: &str) -> String {
        self.give_password(username);
        let visitor = Viewer::anonymous(Origin::default());
        let secret = self.block_on(sessions::sign_in(&self.forge, &visitor, username, PASSWORD, "test"));
        match secret.expect("a session") {
            SignedIn::Session(secret) => format!("portcullis_session={}", secret.reveal()),
            SignedIn::CodeWanted(_) => panic!("{username} has a second factor"),
        }
    }

    /// Gives a person the password [`PASSWORD`].
    #[track_caller]
    pub fn give_password(&self, username: &str) {
        let access = Authorized::<act::AdministerUsers>::by_system("test");
        let link =
            self.block_on(sessions::make_password_link(&self.forge, &access, username)).expect("a link");
        let origin = Origin::default();
        let chosen = sessions::choose_password(&self.forge, link.reveal(), PASSWORD, &origin);
        self.block_on(chosen).expect("a password");
    }

    /// Creates a top-level group, made by the administrator.
    #[track_caller]
    pub fn group(&self, path: &str, visibility: &str) -> Group {
        self.subgroup(path, visibility, None)
    }

    #[track_caller]
    pub fn subgroup(&self, path: &str, visibility: &str, parent: Option<i64>) -> Group {
        let body = json!({ "name": path, "path": path, "visibility": visibility, "parent_id": parent });
        let group = self.root.post("/groups", body).expect(201).json();
        Group {
            id: group["id"].as_i64().unwrap(),
            full_path: group["full_path"].as_str().unwrap().to_owned(),
        }
    }

    /// Creates an access token of a group as the administrator.
    #[track_caller]
    pub fn group_token(&self, group: &Group, scopes: &[&str], level: i64) -> Bot {
        self.group_token_with(group, json!({ "name": "ci", "scopes": scopes, "access_level": level }))
    }

    #[track_caller]
    pub fn group_token_with(&self, group: &Group, body: Value) -> Bot {
        let made = self.root.post(&group.path("/access_tokens"), body).expect(201).json();
        let secret = token_secret(&made);
        Bot {
            token_id: made["id"].as_i64().unwrap(),
            user_id: made["user_id"].as_i64().unwrap(),
            caller: self.with_token(&secret),
            secret,
        }
    }

    /// Creates a project with a README in a group of its own, made by the administrator.
    #[track_caller]
    pub fn project(&self, visibility: &str) -> Project<'_> {
        let group = self.group(&self.word("acme"), "public");
        self.project_in(&group, visibility)
    }

    #[track_caller]
    pub fn project_in(&self, group: &Group, visibility: &str) -> Project<'_> {
        let name = self.word("app");
        let body = json!({
            "name": name, "path": name, "namespace_id": group.id, "visibility": visibility, "initialize_with_readme": true,
        });
        let project = self.root.post("/projects", body).expect(201).json();
        Project {
            forge: self,
            id: project["id"].as_i64().unwrap(),
            full_path: project["path_with_namespace"].as_str().unwrap().to_owned(),
            group: group.clone(),
        }
    }
}

fn personal_token(runtime: &Runtime, forge: &Forge, username: &str, scopes: ScopeSet) -> String {
    let access = Authorized::<act::CreatePersonalAccessToken>::by_system("test");
    let settings = forge.settings();
    let longest = settings.max_token_lifetime_days.or(settings.require_token_expiry.then_some(365));
    let expires_at =
        longest.map(|days| portcullis_rules::token::date_at(forge.now() + i64::from(days) * 86_400_000_000));
    let request = NewPersonalTokenRequest { name: "test".to_owned(), description: None, scopes, expires_at };
    let made = runtime.block_on(personal_tokens::create_for_username(forge, &access, username, request));
    made.expect("a token").secret.reveal().to_owned()
}

impl Drop for TestForge {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.lock().take() {
            let _ = stop.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            if let Some(database) = &self.database {
                runtime.block_on(database.remove());
            }
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        }
    }
}

/// A person with a token.
pub struct Person {
    pub id: i64,
    pub username: String,
    pub caller: Caller,
}

impl std::ops::Deref for Person {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// A group.
#[derive(Clone)]
pub struct Group {
    pub id: i64,
    pub full_path: String,
}

impl Group {
    /// Returns the path of something below the group in the API.
    pub fn path(&self, rest: &str) -> String {
        format!("/groups/{}{rest}", self.id)
    }
}

/// A project.
pub struct Project<'a> {
    forge: &'a TestForge,
    pub id: i64,
    pub full_path: String,
    pub group: Group,
}

/// An access token of a project or group, and its bot.
pub struct Bot {
    pub token_id: i64,
    pub user_id: i64,
    pub secret: String,
    pub caller: Caller,
}

impl std::ops::Deref for Bot {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Project<'_> {
    /// Returns the address to clone from with this secret as the password.
    pub fn git_url(&self, user: &str, secret: &str) -> String {
        let host = self.forge.url.strip_prefix("http://").expect("http");
        format!("http://{user}:{secret}@{host}/{}.git", self.full_path)
    }

    /// Returns the address without a credential.
    pub fn plain_git_url(&self) -> String {
        format!("{}/{}.git", self.forge.url, self.full_path)
    }

    /// Returns the path of something below the project in the API.
    pub fn path(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.id)
    }

    /// Creates a person who is a member.
    #[track_caller]
    pub fn member(&self, level: i64) -> Person {
        let person = self.forge.person(&self.forge.word("person"));
        let body = json!({ "user_id": person.id, "access_level": level });
        self.forge.root.post(&self.path("/members"), body).expect(201);
        person
    }

    /// Creates a token as the administrator.
    #[track_caller]
    pub fn token(&self, scopes: &[&str], level: i64) -> Bot {
        self.token_with(json!({ "name": "ci", "scopes": scopes, "access_level": level }))
    }

    #[track_caller]
    pub fn token_with(&self, body: Value) -> Bot {
        let made = self.forge.root.post(&self.path("/access_tokens"), body).expect(201).json();
        let secret = token_secret(&made);
        Bot {
            token_id: made["id"].as_i64().unwrap(),
            user_id: made["user_id"].as_i64().unwrap(),
            caller: self.forge.with_token(&secret),
            secret,
        }
    }

    /// Clones the project as an administrator's token would.
    #[track_caller]
    pub fn clone_with(&self, git: &Git, secret: &str, folder: &str) {
        git.run(&["clone", "-q", &self.git_url("x", secret), folder]).works();
    }
}
