//! The product, started as its users start it: the release binary, `serve`, a data folder and an address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::client;
use crate::http::{Answer, Connection};
use crate::peers::{free_address, get, wait_for};
use crate::processes::{Running, memory};
use crate::wrk::Request;

/// A running Portcullis.
pub struct Product {
    process: Running,
    address: SocketAddr,
    data: PathBuf,
}

fn portcullis(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PORTCULLIS_")) {
            command.env_remove(name);
        }
    }
    command
}

impl Product {
    /// Starts it over a data folder, as configured by default, and waits until its database answers.
    pub fn start(binary: &Path, data: &Path, log: &Path) -> anyhow::Result<Product> {
        let address = free_address()?;
        let mut product =
            Product { process: spawn(binary, data, address, log)?, address, data: data.to_owned() };
        wait_for(&mut product.process, &get(address, "/-/readiness"))
            .context("portcullis does not answer")?;
        Ok(product)
    }

    /// Starts it and returns also how long it took until its database answered over HTTP, in milliseconds.
    pub fn start_timed(binary: &Path, data: &Path, log: &Path) -> anyhow::Result<(Product, f64)> {
        let address = free_address()?;
        let since = Instant::now();
        let process = spawn(binary, data, address, log)?;
        loop {
            let answered =
                Connection::open(address).and_then(|mut stream| stream.send("GET", "/-/readiness", &[], b""));
            match answered {
                Ok(answer) => {
                    answer.expect(200)?;
                    break;
                }
                Err(error) if since.elapsed() > Duration::from_secs(20) => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        let milliseconds = since.elapsed().as_secs_f64() * 1e3;
        Ok((Product { process, address, data: data.to_owned() }, milliseconds))
    }

    /// Ends it.
    pub fn stop(self) -> anyhow::Result<()> {
        self.process.stop()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn roots(&self) -> Vec<u32> {
        vec![self.process.id()]
    }

    /// Its process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its memory.
    pub fn memory(&self) -> anyhow::Result<crate::processes::Memory> {
        memory(self.process.id()).context("portcullis has ended")
    }

    /// The address of a repository.
    pub fn url(&self, project: &str) -> String {
        format!("http://{}/{project}.git", self.address)
    }

    /// A request of Git's protocol, with a token.
    pub fn git(&self, secret: &str) -> Request {
        let headers = vec![("Authorization", client::basic(secret))];
        Request { headers, ..get(self.address, "/") }
    }

    /// Makes a personal access token for the administrator, on the command line.
    pub fn root_token(&self, binary: &Path) -> anyhow::Result<String> {
        let mut command = portcullis(binary);
        command.args(["token", "create", "--user", "root", "--name", "bench", "--scopes", "api", "--data"]);
        let output = command.arg(&self.data).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("no token was made: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Opens a connection to its API.
    pub fn api(&self, secret: &str) -> anyhow::Result<Api> {
        Ok(Api { connection: Connection::open(self.address)?, secret: secret.to_owned() })
    }

    /// Waits until no background job waits or runs, so that the product's upkeep does not fall into a peer's turn.
    pub fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let answer = get(self.address, "/-/metrics").once()?;
            let text = String::from_utf8_lossy(&answer.body);
            let jobs = text.lines().find_map(|line| line.strip_prefix("portcullis_jobs_waiting "));
            let jobs: i64 =
                jobs.and_then(|number| number.parse().ok()).context("no number of jobs is told")?;
            if jobs == 0 {
                return Ok(());
            }
            if since.elapsed() > Duration::from_secs(120) {
                bail!("{jobs} background jobs do not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns where all repositories are on disk.
    pub fn repositories(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.data.join("repositories")];
        while let Some(folder) = folders.pop() {
            if folder.join("HEAD").is_file() && folder.join("objects").is_dir() {
                found.push(folder);
                continue;
            }
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(found)
    }
}

fn spawn(binary: &Path, data: &Path, address: SocketAddr, log: &Path) -> anyhow::Result<Running> {
    let mut command = portcullis(binary);
    command.arg("serve").arg("--data").arg(data).args(["--listen", &address.to_string()]);
    Running::start("portcullis", &mut command, log)
}

/// A caller of the API.
pub struct Api {
    connection: Connection,
    secret: String,
}

impl Api {
    /// Sends JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let body = body.to_string();
        let headers = [("PRIVATE-TOKEN", self.secret.as_str()), ("Content-Type", "application/json")];
        self.connection.send("POST", &format!("/api/v4{path}"), &headers, body.as_bytes())
    }

    /// Asks.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.connection.send("GET", &format!("/api/v4{path}"), &[("PRIVATE-TOKEN", &self.secret)], b"")
    }

    /// Makes a private project and returns its id.
    pub fn project(&mut self, path: &str) -> anyhow::Result<i64> {
        let made = self.post("/projects", &json!({ "name": path, "path": path }))?.expect(201)?.json()?;
        made["id"].as_i64().context("a project without an id")
    }

    /// Makes a project access token.
    pub fn token(&mut self, project: i64, body: &Value) -> anyhow::Result<String> {
        let made = self.post(&format!("/projects/{project}/access_tokens"), body)?.expect(201)?.json()?;
        made["token"].as_str().map(str::to_owned).context("a token without a secret")
    }

    /// Returns how many tokens a project has.
    pub fn count_tokens(&mut self, project: i64) -> anyhow::Result<u64> {
        let answer = self.get(&format!("/projects/{project}/access_tokens?per_page=1"))?.expect(200)?;
        let total = answer.header("x-total").and_then(|total| total.parse().ok());
        total.context("a list without a total")
    }
}
