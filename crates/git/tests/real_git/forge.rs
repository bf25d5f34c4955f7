//! A running engine in a temporary folder, a judge that remembers, and a git client.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use portcullis_git::{
    CompletedPush, Engine, Error, FirstCommit, JudgeFuture, ObjectFormat, ProposedPush, PushJudge, RefUpdate,
    Settings, Signature, Verdict,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::server;

pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// An engine with repository 1, served over HTTP.
pub struct Forge {
    pub engine: Engine,
    pub judge: Arc<Judge>,
    pub folder: TempDir,
    pub port: u16,
}

/// What the judge answers.
#[derive(Clone, Default)]
pub enum Policy {
    #[default]
    Accept,
    Refuse(Vec<String>),
    RefuseForced,
    Panic,
    /// Says that it was asked, then waits to be told to accept.
    WaitBefore,
    /// Says that it was told, then waits before it has heard.
    WaitAfter,
}

/// Remembers what it was asked.
#[derive(Default)]
pub struct Judge {
    pub policy: Mutex<Policy>,
    pub proposed: Mutex<Vec<(Vec<RefUpdate>, Vec<String>)>>,
    pub completed: Mutex<Vec<Vec<RefUpdate>>>,
    pub forced: Mutex<Vec<bool>>,
    pub size_bytes: Mutex<Option<u64>>,
    pub reached: Notify,
    pub go_on: Notify,
}

impl PushJudge for Judge {
    fn before<'a>(&'a self, push: &'a ProposedPush) -> JudgeFuture<'a, Verdict> {
        Box::pin(async move {
            self.proposed.lock().unwrap().push((push.updates().to_vec(), push.options().to_vec()));
            *self.size_bytes.lock().unwrap() = Some(push.size_bytes().await.unwrap());
            let policy = self.policy.lock().unwrap().clone();
            match policy {
                Policy::Accept | Policy::WaitAfter => Verdict::Accept,
                Policy::Refuse(lines) => Verdict::Refuse(lines),
                Policy::Panic => panic!("the judge is beside itself"),
                Policy::RefuseForced => {
                    for update in push.updates() {
                        let forced = push.is_forced(update).await.unwrap();
                        self.forced.lock().unwrap().push(forced);
                        if forced {
                            return Verdict::Refuse(vec!["No force here.".into()]);
                        }
                    }
                    Verdict::Accept
                }
                Policy::WaitBefore => {
                    self.reached.notify_one();
                    self.go_on.notified().await;
                    Verdict::Accept
                }
            }
        })
    }

    fn after<'a>(&'a self, push: &'a CompletedPush) -> JudgeFuture<'a, Vec<String>> {
        Box::pin(async move {
            if matches!(*self.policy.lock().unwrap(), Policy::WaitAfter) {
                self.reached.notify_one();
            }
            if matches!(*self.policy.lock().unwrap(), Policy::WaitAfter) {
                self.go_on.notified().await;
            }
            self.completed.lock().unwrap().push(push.updates().to_vec());
            vec!["Thank you.".into(), "tricky \x1b[31mline".into()]
        })
    }
}

impl Forge {
    pub async fn new() -> Forge {
        Forge::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Forge {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("repositories"), hook_script(folder.path()));
        change(&mut settings);
        let engine = Engine::open(settings).await.unwrap();
        engine.create(1, ObjectFormat::Sha1, "main").await.unwrap();
        let judge = Arc::new(Judge::default());
        let port = server::serve(engine.clone(), Arc::clone(&judge) as Arc<dyn PushJudge>).await;
        Forge { engine, judge, folder, port }
    }

    pub fn url(&self, id: i64) -> String {
        format!("http://127.0.0.1:{}/{id}.git", self.port)
    }

    pub fn set_policy(&self, policy: Policy) {
        *self.judge.policy.lock().unwrap() = policy;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs git as a client in a folder below ours, and returns everything about its end.
    pub async fn try_git(&self, folder: &str, arguments: &[&str]) -> Output {
        client(self.folder.path(), folder, arguments).output().await.unwrap()
    }

    /// Runs git as a client, which must succeed, and returns what it said on both outputs.
    pub async fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let output = self.try_git(folder, arguments).await;
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output));
        text(&output)
    }

    /// Makes a work tree `work` with one commit on `main`, and `origin` set to repository 1.
    pub async fn work_tree(&self) {
        self.git(".", &["init", "-q", "-b", "main", "work"]).await;
        self.git("work", &["remote", "add", "origin", &self.url(1)]).await;
        self.commit("first").await;
    }

    /// Adds a commit that writes its message to a file.
    pub async fn commit(&self, message: &str) {
        std::fs::write(self.path("work/file"), message).unwrap();
        self.git("work", &["add", "file"]).await;
        self.git("work", &["commit", "-q", "-m", message]).await;
    }

    /// Returns the id a revision of the work tree stands for.
    pub async fn id_of(&self, revision: &str) -> String {
        self.git("work", &["rev-parse", revision]).await.trim().to_owned()
    }

    /// Returns the branches of repository 1, as `name id`.
    pub async fn branches(&self) -> Vec<String> {
        let branches = self.engine.branches(1).await.unwrap();
        branches.iter().map(|branch| format!("{} {}", branch.name.branch().unwrap(), branch.tip)).collect()
    }

    /// Returns a pack of the objects of some revisions of the work tree.
    pub async fn pack(&self, revisions: &str) -> Vec<u8> {
        let mut command = client(self.folder.path(), "work", &["pack-objects", "--revs", "--stdout", "-q"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(revisions.as_bytes()).await.unwrap();
        child.wait_with_output().await.unwrap().stdout
    }

    /// Sends a push body straight to the engine and returns the whole answer as text.
    pub async fn push_body(&self, body: Vec<io::Result<Bytes>>) -> Result<String, Error> {
        let judge = Arc::clone(&self.judge) as Arc<dyn PushJudge>;
        let exchange = self.engine.receive_pack(1, None, stream::iter(body), judge).await?;
        collect(exchange).await.map_err(|error| Error::BadRequest(error.to_string()))
    }

    /// Makes git run some commands of a shell as soon as a push has moved its refs, before it reports.
    pub fn once_moved(&self, commands: &str) {
        let hook = self.path("repositories/@server/hooks/reference-transaction");
        write_script(&hook, &format!("cat >/dev/null\n[ \"$1\" != committed ] || {{ {commands}; }}"));
    }

    /// Says whether no git process works on our repositories any more; waits for it a moment.
    pub async fn quiet(&self) -> bool {
        eventually(|| git_processes(self.folder.path()).is_empty()).await
    }

    /// Checks repository 1, which must be whole and hold nothing half received.
    pub async fn assert_whole(&self) {
        let report = self.engine.fsck(1).await.unwrap();
        assert!(report.clean, "{report:?}");
        let objects = self.engine.path(1).join("objects");
        let left: Vec<_> = std::fs::read_dir(objects)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("tmp_") || name.starts_with("incoming"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

/// Reads an answer to its end.
pub async fn collect(mut exchange: portcullis_git::Exchange) -> io::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = exchange.body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A git client that knows nothing of the person who runs the tests.
pub fn client(home: &Path, folder: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .current_dir(home.join(folder))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Returns both outputs as one text.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Returns one packet of the protocol.
pub fn packet(content: &str) -> Vec<u8> {
    format!("{:04x}{content}", content.len() + 4).into_bytes()
}

/// Returns the head of a push body: one command and what we can do.
pub fn push_head(old: &str, new: &str, name: &str) -> Vec<u8> {
    let mut head =
        packet(&format!("{old} {new} {name}\0report-status side-band-64k atomic object-format=sha1"));
    head.extend_from_slice(b"0000");
    head
}

/// Writes a file that does not compress, the same each time.
pub fn write_noise(path: &Path, bytes: usize) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut file = io::BufWriter::new(std::fs::File::create(path).unwrap());
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

/// Waits up to five seconds for something to become true.
pub async fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..250 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Returns the processes whose arguments name something in the repositories below `folder`.
pub fn git_processes(folder: &Path) -> Vec<i32> {
    let needle = folder.join("repositories").into_os_string().into_string().unwrap();
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let names = |pid: &i32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(&needle)
    };
    numbers.filter(names).collect()
}

/// Writes a first commit into a repository of `engine`.
pub async fn first_commit(engine: &Engine, id: i64) {
    let first = FirstCommit {
        branch: "main".into(),
        files: Vec::new(),
        message: "first".into(),
        author: Signature { name: "Ada".into(), email: "ada@example.org".into() },
        at: 1_700_000_000_000_000,
    };
    engine.initialize(id, first).await.unwrap();
}

/// Writes the program that git runs as its hook: a script that starts this test program as [`hook_program`].
pub fn hook_script(folder: &Path) -> PathBuf {
    let path = folder.join("hook");
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    let script = format!(
        "PORTCULLIS_TEST_HOOK=yes exec {program} --quiet --ignored --exact forge::hook_program --nocapture >/dev/null"
    );
    write_script(&path, &script);
    path
}

/// Writes a script that the system can start.
pub fn write_script(path: &Path, commands: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{commands}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Not a test: the hook. Started by git, through the script above.
#[test]
#[ignore = "started by git as its hook"]
fn hook_program() {
    if std::env::var("PORTCULLIS_TEST_HOOK").is_ok() {
        std::process::exit(i32::from(portcullis_git::hook::run() != ExitCode::SUCCESS));
    }
}
