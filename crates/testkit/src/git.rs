//! The real `git`, in a folder of its own and with nothing of the machine's configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder in which `git` is run.
pub struct Git {
    folder: TempDir,
}

/// What a run of `git` printed.
#[derive(Debug)]
pub struct GitAnswer {
    pub ok: bool,
    pub text: String,
}

impl GitAnswer {
    #[track_caller]
    pub fn works(self) -> String {
        assert!(self.ok, "{}", self.text);
        self.text
    }

    /// Expects a failure whose output contains `part`.
    #[track_caller]
    pub fn fails_with(self, part: &str) -> String {
        assert!(!self.ok, "expected a failure: {}", self.text);
        assert!(self.text.contains(part), "expected `{part}` in: {}", self.text);
        self.text
    }
}

impl Default for Git {
    fn default() -> Git {
        Git { folder: tempfile::tempdir().expect("a temporary folder") }
    }
}

impl Git {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns `git` about to run in a folder below this one, for whoever needs more than its outputs.
    pub fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.folder.path().join(folder))
            .env_remove("GIT_DIR")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C")
            .env("NO_PROXY", "*")
            .envs([("GIT_AUTHOR_NAME", "Ann"), ("GIT_AUTHOR_EMAIL", "ann@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ann"), ("GIT_COMMITTER_EMAIL", "ann@example.com")]);
        command
    }

    /// Runs `git` in a folder below this one.
    pub fn run_in(&self, folder: &str, arguments: &[&str]) -> GitAnswer {
        let output = self.command(folder, arguments).output().expect("git runs");
        let text = [output.stdout, output.stderr].concat();
        GitAnswer { ok: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs `git` with something to read on its standard input.
    pub fn run_with_input(&self, folder: &str, arguments: &[&str], input: &[u8]) -> GitAnswer {
        use std::io::{Seek as _, Write as _};
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(input).and_then(|()| file.rewind()).expect("the input is written");
        let output = self.command(folder, arguments).stdin(file).output().expect("git runs");
        let text = [output.stdout, output.stderr].concat();
        GitAnswer { ok: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    pub fn run(&self, arguments: &[&str]) -> GitAnswer {
        self.run_in("", arguments)
    }

    /// Makes a repository `name` on branch `main` with one commit.
    #[track_caller]
    pub fn repository(&self, name: &str) {
        self.run(&["init", "-q", "-b", "main", name]).works();
        self.commit(name, "README.md", "hello\n");
    }

    /// Writes a file and commits it.
    #[track_caller]
    pub fn commit(&self, repository: &str, file: &str, text: &str) {
        let path = self.folder.path().join(repository).join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self.run_in(repository, &["add", "-A"]).works();
        self.run_in(repository, &["commit", "-q", "-m", &format!("add {file}")]).works();
    }

    /// Writes a file that does not compress, the same each time, and commits it.
    #[track_caller]
    pub fn commit_noise(&self, repository: &str, file: &str, bytes: usize) {
        use std::io::Write as _;
        let mut state = 88_172_645_463_325_252_u64 ^ bytes as u64;
        let path = self.folder.path().join(repository).join(file);
        let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
        for _ in 0..bytes / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.write_all(&state.to_le_bytes()).expect("room on the disk");
        }
        out.flush().expect("room on the disk");
        for (key, value) in [("core.compression", "0"), ("core.bigFileThreshold", "1m")] {
            self.run_in(repository, &["config", key, value]).works();
        }
        self.run_in(repository, &["add", "-A"]).works();
        self.run_in(repository, &["commit", "-q", "-m", &format!("add {file}")]).works();
    }
}
