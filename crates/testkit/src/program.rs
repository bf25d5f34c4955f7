//! The program itself, in a process of its own: to be watched, killed and started again.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Caller;
use crate::postgres::{OwnDatabase, own_database};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// `portcullis serve` on a data folder of its own. It is killed with the value.
pub struct Program {
    binary: PathBuf,
    child: Child,
    pub url: String,
    database: Option<OwnDatabase>,
    runtime: Runtime,
    folder: TempDir,
}

impl Program {
    /// Starts the program that lies at `binary`, on a free port.
    pub fn start(binary: &str) -> Program {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let database = runtime.block_on(own_database());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let binary = PathBuf::from(binary);
        let (child, url) = serve(&binary, folder.path(), database.as_ref(), &free_address());
        Program { binary, child, url, database, runtime, folder }
    }

    /// Returns the data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs another command of the program on the same data, and returns what it printed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = command(&self.binary, self.database.as_ref());
        let output =
            command.args(arguments).arg("--data").arg(self.data()).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Returns the administrator.
    pub fn root(&self) -> Caller {
        let scopes = ["token", "create", "--user", "root", "--name", "test", "--scopes", "api"];
        Caller::new(&self.url, Some(self.command(&scopes)))
    }

    /// Kills the server with SIGKILL. Git processes that it has started are left to themselves.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is ours to kill");
        self.child.wait().expect("the server ends");
    }

    /// Kills the server and every process that it has started, as far as they can be seen.
    pub fn kill_with_children(&mut self) {
        let children = self.children();
        self.child.kill().expect("the server is ours to kill");
        for pid in children.into_iter().chain(self.children()).filter_map(Pid::from_raw) {
            // Some have ended by themselves.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.child.wait().expect("the server ends");
    }

    /// Starts the server again, at the same address.
    pub fn restart(&mut self) {
        let address = self.url.strip_prefix("http://").expect("http").to_owned();
        (self.child, self.url) = serve(&self.binary, self.folder.path(), self.database.as_ref(), &address);
    }

    /// Returns the processes that the server has started and their children: all have the data folder in their
    /// environment, wherever their parent is now.
    pub fn children(&self) -> Vec<i32> {
        let needle = self.data().into_os_string().into_encoded_bytes();
        let own = self.child.id().cast_signed();
        let numbers = std::fs::read_dir("/proc").expect("a list of processes").flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            *pid != own && environment.windows(needle.len()).any(|window| window == needle)
        };
        numbers.filter(ours).collect()
    }

    /// Returns a number of KiB from the server's `/proc/PID/status`, such as `VmRSS` or `VmHWM`.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(database) = &self.database {
            self.runtime.block_on(database.remove());
        }
    }
}

/// Returns an address that nobody listens at, below the ports that the system gives to clients: while the server is
/// away between two lives, no client may be given its port.
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", 12_000 + number % 20_000);
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// The program with nothing in its environment but what it needs.
fn command(binary: &Path, database: Option<&OwnDatabase>) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command.envs(database.map(|database| ("PORTCULLIS_DATABASE_URL", &database.url))).stdin(Stdio::null());
    command
}

fn serve(binary: &Path, folder: &Path, database: Option<&OwnDatabase>, address: &str) -> (Child, String) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = command(binary, database);
    command.args(["serve", "--listen", address]).arg("--data").arg(folder.join("data"));
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let begun = Instant::now();
    let url = loop {
        match lines.next() {
            Some(Ok(line)) => {
                if let Some(url) = line.strip_prefix("Portcullis listens at ") {
                    break url.to_owned();
                }
            }
            _ => {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                panic!("the server does not start: {}", log.lines().last().unwrap_or_default());
            }
        }
        assert!(begun.elapsed() < PATIENCE, "the server does not start");
    };
    // It goes on printing into a pipe that somebody must read.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}
