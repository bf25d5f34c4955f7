//! The program as an operator meets it: commands, files it makes, what it prints, signals, certificates.
//!
//! Each test runs the real binary in a folder of its own. The certificates are made by the `openssl` program.

#![expect(clippy::unwrap_used, reason = "a test may end where something unexpected happens")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test fails; far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with nothing of ours in its environment.
fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command that must end by itself; one that goes on, as a server would, is ended and shows by its status.
fn run(arguments: &[&str]) -> Output {
    finish(portcullis(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn finish(child: Child) -> Output {
    let id = Pid::from_child(&child);
    let (ended, waiting) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(id, Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watchdog.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Expects the program to refuse with exit code 1, nothing on standard output and one sentence, which is returned.
fn refusal(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    let line = said.strip_suffix('\n').unwrap_or(&said);
    assert!(!line.contains('\n'), "more than one line: {said}");
    line.strip_prefix("portcullis: ").unwrap_or_else(|| panic!("unexpected shape: {said}")).to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// A running `portcullis serve`, killed when the value goes.
struct Server {
    child: Child,
    /// What it printed up to the moment it was found ready.
    greeting: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
    base: String,
}

impl Server {
    /// Starts the server on a free port and waits until it says where it listens.
    fn start(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = portcullis(&["serve", "--data", data.to_str().unwrap()]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let greeting = Arc::new(Mutex::new(String::new()));
        let log = Arc::new(Mutex::new(String::new()));
        let (found, base) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (all_output, all_errors) = (Arc::clone(&greeting), Arc::clone(&log));
        thread::spawn(move || {
            for line in output.lines() {
                let line = line.unwrap();
                if let Some(base) = line.strip_prefix("Portcullis listens at ") {
                    let _ = found.send(base.to_owned());
                }
                all_output.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        thread::spawn(move || {
            for line in errors.lines() {
                all_errors.lock().unwrap().push_str(&(line.unwrap() + "\n"));
            }
        });
        let base = base.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("the server did not start: {}", log.lock().unwrap())
        });
        Server { child, greeting, log, base }
    }

    fn address(&self) -> SocketAddr {
        self.base.split_once("://").unwrap().1.parse().unwrap()
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds the text.
    fn wait_for_log(&self, sought: &str) {
        until(|| self.log().contains(sought), || format!("no `{sought}` in: {}", self.log()));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until(
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
            || "the server did not end".to_owned(),
        );
        status.unwrap()
    }

    /// Sends one request over a connection of its own and returns the whole answer.
    fn request(&self, head: &str, body: &str) -> String {
        let mut stream = connect(self.address());
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n{body}").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn until(mut holds: impl FnMut() -> bool, complaint: impl FnOnce() -> String) {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            panic!("{}", complaint());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Makes a self-signed certificate for `localhost` under the given name, and its key, as two PEM files.
fn make_certificate(folder: &Path, common_name: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", &format!("/CN={common_name}"), "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("the program `openssl` is needed for this test");
    assert!(output.status.success(), "{}", text(&output.stderr));
    (certificate, key)
}

/// Speaks TLS with the server through `openssl s_client`, sends the input, and returns all that is printed.
fn over_tls(address: SocketAddr, options: &[&str], input: &str) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "localhost", "-ign_eof"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

const HEALTH: &str = "GET /-/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn version_says_which() {
    for arguments in [["version"], ["--version"]] {
        let output = run(&arguments);
        assert!(output.status.success());
        assert_eq!(text(&output.stdout), format!("portcullis {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_command_line_nobody_understands_is_a_mistake_of_usage() {
    for arguments in [&["serve", "--lisen", "x"][..], &["open"], &["serve", "--listen", "nowhere"], &[]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("external-url"), "{shell}");
        // What is hidden from people is hidden from their shells.
        assert!(!text(&output.stdout).contains("portcullis__hook"), "{shell}");
    }
}

#[test]
fn the_man_pages_are_those_of_this_command_line() {
    let fresh = folder();
    assert!(run(&["man", path(&fresh)]).status.success());
    let read = |folder: &Path| -> BTreeMap<String, String> {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        files
            .map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap()))
            .collect()
    };
    let committed = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("man"));
    assert!(
        read(fresh.path()) == committed,
        "the man pages are stale; refresh them with `cargo run -p portcullis -- man crates/portcullis/man`"
    );
}

#[test]
fn config_show_tells_each_value_its_source_and_no_secret() {
    let data = folder();
    fs::write(data.path().join("portcullis.toml"), "git_realm = \"The Forge\"\n").unwrap();
    let output = portcullis(&["config", "show", "--data", path(&data), "--listen", "127.0.0.1:9999"])
        .env("PORTCULLIS_DATABASE_URL", "postgres://forge:hunter2@db.example.com/forge")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!shown.contains("hunter2") && output.stderr.is_empty());
    let file = data.path().join("portcullis.toml");
    for line in [
        "listen = \"127.0.0.1:9999\"  # flag --listen".to_owned(),
        format!("git_realm = \"The Forge\"  # file {}", file.display()),
        "database_url = \"postgres://forge:(redacted)@db.example.com/forge\"  # environment variable \
         PORTCULLIS_DATABASE_URL"
            .to_owned(),
        "max_connections = 10000  # default".to_owned(),
        "# tls_key is not set".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no `{line}` in:\n{shown}");
    }
    // What was shown is a configuration file again.
    let again = data.path().join("again.toml");
    fs::write(&again, &shown).unwrap();
    assert!(run(&["config", "show", "--config", again.to_str().unwrap()]).status.success());
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let data = folder();
    let file = data.path().join("forge.toml");
    fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    for command in ["serve", "migrate"] {
        let output = run(&[command, "--data", path(&data), "--config", file.to_str().unwrap()]);
        assert!(refusal(&output).starts_with("unknown key `lisen` in "));
    }
    let output = portcullis(&["serve", "--data", path(&data)])
        .env("PORTCULLIS_LISEN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert!(refusal(&output).starts_with("unknown environment variable `PORTCULLIS_LISEN`"));
    let output = run(&["config", "show", "--config", "/nonexistent/forge.toml"]);
    assert!(refusal(&output).starts_with("the configuration file /nonexistent/forge.toml cannot be read: "));
}

#[test]
fn a_folder_that_cannot_be_used_is_refused() {
    let place = folder();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("data");
    for data in [&file, &below] {
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
        assert!(
            refusal(&output).starts_with(&format!("the data folder {} cannot be made: ", data.display()))
        );
    }
}

#[test]
fn a_command_for_an_existing_forge_makes_no_new_one() {
    let place = folder();
    let data = place.path().join("slip");
    let data_text = data.to_str().unwrap();
    for arguments in [
        &["user", "seats", "--data", data_text][..],
        &["user", "create", "--username", "a", "--email", "a@example.com", "--data", data_text],
        &["token", "create", "--user", "root", "--name", "a", "--scopes", "api", "--data", data_text],
    ] {
        let said = refusal(&run(arguments));
        assert!(said.starts_with("there is no data folder at "), "{said}");
        assert!(!data.exists());
    }
}

#[test]
fn a_data_folder_goes_with_one_kind_of_database() {
    let place = folder();
    let data = place.path().join("data");
    let migrate = |url: Option<&str>| {
        let mut command = portcullis(&["migrate", "--data", data.to_str().unwrap()]);
        if let Some(url) = url {
            command.env("PORTCULLIS_DATABASE_URL", url);
        }
        finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    // A database that cannot be reached is not remembered.
    let nobody = "postgres://nobody@127.0.0.1:1/nothing";
    assert!(!refusal(&migrate(Some(nobody))).contains("goes with"));
    assert!(migrate(None).status.success());
    let said = refusal(&migrate(Some(nobody)));
    assert!(said.contains("goes with sqlite, not with postgresql: unset PORTCULLIS_DATABASE_URL"), "{said}");

    // Whoever forgets to name the PostgreSQL database does not get an empty forge instead.
    fs::remove_file(data.join("portcullis.sqlite3")).unwrap();
    fs::write(data.join("database_engine"), "postgresql\n").unwrap();
    let said = refusal(&migrate(None));
    assert!(said.contains("goes with postgresql, not with sqlite: set PORTCULLIS_DATABASE_URL"), "{said}");
    assert!(!data.join("portcullis.sqlite3").exists());
}

#[test]
fn a_port_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder();
    let output = run(&["serve", "--data", path(&data), "--listen", &address]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(
        refusal(&output),
        format!("cannot listen at {address}: the port is in use by another program")
    );
}

#[test]
fn the_first_start_prints_where_everything_is() {
    let place = folder();
    let data = place.path().join("new").join("data");
    let mut server = Server::start(&data, &[], &[]);
    assert!(server.request("GET /-/health HTTP/1.1", "").starts_with("HTTP/1.1 200 "));
    assert_eq!(mode(&data), 0o700);
    let password_file = data.join("initial_root_password");
    assert_eq!(mode(&password_file), 0o600);
    let password = fs::read_to_string(&password_file).unwrap().trim().to_owned();
    assert!(password.len() >= 16);
    until(
        || server.greeting.lock().unwrap().contains("portcullis token create"),
        || "no next step".to_owned(),
    );
    let greeting = server.greeting.lock().unwrap().clone();
    assert!(greeting.contains(password_file.to_str().unwrap()), "{greeting}");
    assert!(!greeting.contains(&password) && !server.log().contains(&password));
    server.signal(Signal::TERM);
    assert!(server.wait().success());

    // The second start has nothing to introduce, and leaves what there is.
    let mut server = Server::start(&data, &[], &[]);
    server.signal(Signal::INT);
    assert!(server.wait().success());
    let greeting = server.greeting.lock().unwrap().clone();
    assert_eq!(greeting.lines().count(), 1, "{greeting}");
    assert_eq!(fs::read_to_string(&password_file).unwrap().trim(), password);
}

#[test]
fn a_folder_is_served_by_one_server_at_a_time() {
    let data = folder();
    let mut server = Server::start(data.path(), &[], &[]);
    let said = refusal(&run(&["serve", "--data", path(&data), "--listen", "127.0.0.1:0"]));
    assert_eq!(
        said,
        format!(
            "another `portcullis serve` (process {}) already serves the data folder {}",
            server.child.id(),
            data.path().display()
        )
    );
    // Even a server that was killed leaves no lock behind.
    server.signal(Signal::KILL);
    server.wait();
    drop(Server::start(data.path(), &[], &[]));
}

#[test]
fn a_database_from_a_newer_version_is_refused() {
    use portcullis_app::records::{
        db::{Db, Target},
        migrate::{self, Migration},
    };

    let data = folder();
    let migrated = run(&["migrate", "--data", path(&data)]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(&Target::Sqlite(data.path().join("portcullis.sqlite3"))).await.unwrap();
        let future = Migration { version: 9999, name: "future", sql: "CREATE TABLE future (id BIGINT)" };
        migrate::apply(&db, &[future], 0).await.unwrap();
    });
    drop(runtime);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["user", "seats"]] {
        let said = refusal(&run(&[command, &["--data", path(&data)]].concat()));
        assert!(said.starts_with("the database has schema version 9999"), "{said}");
    }
}

#[test]
fn listening_beyond_this_machine_in_the_clear_is_warned_about() {
    let data = folder();
    let server = Server::start(data.path(), &["--listen", "0.0.0.0:0"], &[]);
    server.wait_for_log("nothing is encrypted");
    let data = folder();
    let mut server = Server::start(data.path(), &[], &[]);
    server.signal(Signal::TERM);
    server.wait();
    assert!(!server.log().contains("nothing is encrypted"));
}

#[test]
fn https_is_spoken_from_certificate_files_and_a_new_one_is_read_on_sighup() {
    let place = folder();
    let (certificate, key) = make_certificate(place.path(), "first");
    let files = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut server = Server::start(&place.path().join("data"), &files, &[]);
    assert!(server.base.starts_with("https://"), "{}", server.base);

    let trusting = ["-CAfile", files[1], "-verify_return_error", "-verify_hostname", "localhost"];
    let answer = over_tls(server.address(), &trusting, HEALTH);
    assert!(answer.contains("HTTP/1.1 200 "), "{answer}");
    for (protocol, offered) in [("h2", "h2,http/1.1"), ("http/1.1", "http/1.1")] {
        let answer = over_tls(server.address(), &["-alpn", offered], HEALTH);
        assert!(answer.contains(&format!("ALPN protocol: {protocol}")), "{answer}");
    }
    let served = |server: &Server| {
        let answer = over_tls(server.address(), &[], HEALTH);
        answer.lines().find(|line| line.starts_with("subject=")).unwrap_or_default().replace(' ', "")
    };
    assert_eq!(served(&server), "subject=CN=first");

    make_certificate(place.path(), "second");
    server.signal(Signal::HUP);
    server.wait_for_log("the certificate was read again");
    assert_eq!(served(&server), "subject=CN=second");

    // A mistake in the new files leaves the old ones in force, and the server running.
    let key_before = fs::read_to_string(&key).unwrap();
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log("the one before stays in force");
    assert!(!server.log().contains("hunter2"));
    assert_eq!(served(&server), "subject=CN=second");

    // At the start the same mistake is the end.
    server.signal(Signal::TERM);
    server.wait();
    let data = place.path().join("data");
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    arguments.extend(files);
    let said = refusal(&run(&arguments));
    assert!(said.contains(" key ") && !said.contains("hunter2"), "{said}");
    let other = folder();
    make_certificate(other.path(), "other");
    fs::write(&key, fs::read(other.path().join("key.pem")).unwrap()).unwrap();
    assert!(refusal(&run(&arguments)).contains(" cannot be used together: "));
    fs::write(&key, key_before).unwrap();
    fs::write(&certificate, "").unwrap();
    assert!(refusal(&run(&arguments)).ends_with(" holds no certificate in PEM form"));
    arguments.truncate(arguments.len() - 2);
    assert!(refusal(&run(&arguments)).starts_with("`tls_certificate` is set without `tls_key`"));
}

#[test]
fn sighup_without_a_certificate_does_no_harm() {
    let data = folder();
    let server = Server::start(data.path(), &[], &[]);
    server.signal(Signal::HUP);
    server.wait_for_log("there is no certificate to read again");
    assert!(server.request("GET /-/health HTTP/1.1", "").starts_with("HTTP/1.1 200 "));
}

fn create_token(data: &Path) -> String {
    let output = run(&[
        "token",
        "create",
        "--user",
        "root",
        "--name",
        "test",
        "--scopes",
        "api",
        "--data",
        data.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let secret = printed.strip_suffix('\n').unwrap().to_owned();
    assert!(secret.starts_with("pcu_") && secret.len() == 40, "only the secret is printed");
    secret
}

#[test]
fn people_and_tokens_are_made_while_the_server_runs() {
    let data = folder();
    let server = Server::start(data.path(), &[], &[]);
    let mut create = portcullis(&["user", "create", "--username", "alice", "--email", "alice@example.com"]);
    let mut create = create
        .args(["--name", "Alice", "--password-stdin", "--data", path(&data)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    create.stdin.take().unwrap().write_all(b"correct horse battery staple\n").unwrap();
    let output = finish(create);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let again = run(&[
        "user",
        "create",
        "--username",
        "alice",
        "--email",
        "other@example.com",
        "--data",
        path(&data),
    ]);
    refusal(&again);

    let output = run(&["user", "seats", "--data", path(&data)]);
    assert_eq!(text(&output.stdout), "2\n");

    let token = create_token(data.path());
    let answer = server.request(&format!("GET /api/v4/user HTTP/1.1\r\nPRIVATE-TOKEN: {token}"), "");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"username\":\"root\""), "{answer}");

    let place = ["--data", path(&data)];
    for wrong in [
        &["--user", "nobody", "--scopes", "api"][..],
        &["--user", "root", "--scopes", "everything"],
        &["--user", "root", "--scopes", "api", "--expires-at", "2001-01-01"],
    ] {
        let mut arguments = vec!["token", "create", "--name", "test"];
        arguments.extend(wrong.iter().chain(&place));
        refusal(&run(&arguments));
    }
}

/// Makes a project with one commit and returns its path.
fn create_project(server: &Server, token: &str, visibility: &str) -> String {
    let answer = server.request(
        &format!(
            "POST /api/v4/projects HTTP/1.1\r\nPRIVATE-TOKEN: {token}\r\nContent-Type: application/json"
        ),
        &format!(r#"{{"name": "app", "visibility": "{visibility}", "initialize_with_readme": true}}"#),
    );
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    "root/app".to_owned()
}

#[test]
fn a_request_that_runs_is_answered_after_sigterm() {
    let place = folder();
    // A `git` that takes its time, so that a request is surely running when the order comes.
    let git = place.path().join("slow-git");
    let begun = place.path().join("begun");
    fs::write(
        &git,
        format!(
            "#!/bin/sh\ncase \" $* \" in *upload-pack*) : > '{}'; sleep 1;; esac\nexec git \"$@\"\n",
            begun.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let data = place.path().join("data");
    let mut server = Server::start(&data, &[], &[("PORTCULLIS_GIT_PROGRAM", git.to_str().unwrap())]);
    let project = create_project(&server, &create_token(&data), "public");

    let _ = fs::remove_file(&begun);
    let mut stream = connect(server.address());
    write!(
        stream,
        "GET /{project}.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    until(|| begun.exists(), || "git was not started".to_owned());
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    until(|| TcpStream::connect(server.address()).is_err(), || "it still accepts".to_owned());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("refs/heads/"), "{answer}");
    assert!(server.wait().success());
    assert!(server.log().contains("stopped"));
}

#[test]
fn the_log_is_json_and_holds_no_secret_even_when_everything_is_logged() {
    let data = folder();
    let mut server = Server::start(data.path(), &[], &[("PORTCULLIS_LOG_LEVEL", "trace")]);
    let token = create_token(data.path());
    let project = create_project(&server, &token, "private");
    let wrong = "pcu_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for secret in [token.as_str(), wrong] {
        server.request(&format!("GET /api/v4/user HTTP/1.1\r\nPRIVATE-TOKEN: {secret}"), "");
        server.request(&format!("GET /api/v4/user HTTP/1.1\r\nAuthorization: Bearer {secret}"), "");
        server.request(&format!("GET /api/v4/user?private_token={secret} HTTP/1.1"), "");
        server.request(&format!("GET /nowhere/at-all?private_token={secret} HTTP/1.1"), "");
        let address = server.address();
        let output = Command::new("git")
            .args(["ls-remote", &format!("http://bot:{secret}@{address}/{project}.git")])
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .unwrap();
        assert_eq!(output.status.success(), secret == token, "{}", text(&output.stderr));
    }
    server.signal(Signal::TERM);
    server.wait();
    let log = server.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
    }
    for secret in [token.as_str(), wrong] {
        assert!(!log.contains(secret), "a secret reached the log");
        // Nor in the form Basic authentication gives it: the middle of the token, whatever stands before it.
        for start in 0..3 {
            let encoded = base64(&secret.as_bytes()[start..]);
            assert!(!log.contains(&encoded[4..40]), "an encoded secret reached the log");
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}
