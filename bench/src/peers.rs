//! The peers: the bare axum handler, nginx with fcgiwrap in front of Git's own `http-backend`, and Debian's
//! `docker-registry`.
//!
//! They run from a configuration of their own, in a folder of their own, on ports of their own, as whoever runs the
//! benchmark, and are stopped by their process ids.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::git;
use crate::processes::Running;
use crate::wrk::Request;

/// How many requests fcgiwrap answers at once: twice the cores, as many as the product lets Git run by default.
fn workers() -> usize {
    (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) * 2).max(4)
}

/// Returns an address on which nothing listens.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until a request is answered with 200.
pub fn wait_for(process: &mut Running, request: &Request) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        match request.once() {
            Ok(_) => return Ok(()),
            Err(error) if since.elapsed() > Duration::from_secs(20) => return Err(error),
            Err(_) => {}
        }
        if let Some(status) = process.ended()? {
            bail!("it ended at once: {status}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns a plain GET.
pub fn get(to: SocketAddr, path: &str) -> Request {
    Request {
        to,
        method: "GET",
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        numbered: false,
    }
}

/// The bare axum handler.
pub struct Bare {
    process: Running,
    address: SocketAddr,
}

impl Bare {
    /// Starts it over the bytes of a file.
    pub fn start(file: &Path, folder: &Path) -> anyhow::Result<Bare> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare", "--listen", &address.to_string(), "--file"]).arg(file);
        let mut process = Running::start("the bare handler", &mut command, &folder.join("bare.log"))?;
        wait_for(&mut process, &get(address, "/hello")).context("the bare handler does not answer")?;
        Ok(Bare { process, address })
    }

    /// The request for the canned word.
    pub fn hello(&self) -> Request {
        get(self.address, "/hello")
    }

    /// The request for the file's bytes.
    pub fn file(&self) -> Request {
        get(self.address, "/file")
    }

    /// Its process.
    pub fn roots(&self) -> Vec<u32> {
        vec![self.process.id()]
    }
}

/// nginx, which serves one file, and repositories through fcgiwrap and `git http-backend`.
pub struct Nginx {
    // nginx goes first, so that nobody talks to a socket behind which nothing is.
    nginx: Running,
    fcgiwrap: Running,
    address: SocketAddr,
    repositories: PathBuf,
}

impl Nginx {
    /// Starts both. `file` is served as `/file`, the repositories in `repositories` under `/git/`.
    pub fn start(file: &Path, repositories: &Path, folder: &Path) -> anyhow::Result<Nginx> {
        let address = free_address()?;
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(repositories)?;
        fs::create_dir_all(folder.join("root"))?;
        fs::copy(file, folder.join("root/file"))?;
        let socket = folder.join("fcgiwrap.sock");
        let _ = fs::remove_file(&socket);

        let mut command = Command::new("fcgiwrap");
        git::isolate(&mut command);
        command.args(["-c", &workers().to_string(), "-s", &format!("unix:{}", socket.display())]);
        let fcgiwrap = Running::start("fcgiwrap", &mut command, &folder.join("fcgiwrap.log"))
            .context("Debian's package fcgiwrap is needed")?;
        let since = Instant::now();
        while !socket.exists() {
            if since.elapsed() > Duration::from_secs(10) {
                bail!("fcgiwrap does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }

        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, Self::configuration(address, &folder, repositories, &socket)?)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&configuration);
        let mut nginx = Running::start("nginx", &mut command, &folder.join("nginx.log"))
            .context("Debian's package nginx is needed")?;
        wait_for(&mut nginx, &get(address, "/file")).context("nginx does not answer")?;
        Ok(Nginx { nginx, fcgiwrap, address, repositories: repositories.to_owned() })
    }

    fn configuration(
        address: SocketAddr,
        folder: &Path,
        repositories: &Path,
        socket: &Path,
    ) -> anyhow::Result<String> {
        let backend = Path::new(git::run(folder, &["--exec-path"])?.trim()).join("git-http-backend");
        // Started as root it would give itself another account, which cannot read the folder.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let (folder, repositories) = (folder.display(), repositories.display());
        let (backend, socket) = (backend.display(), socket.display());
        Ok(format!(
            r#"daemon off;
{user}
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  types {{ application/json json; }}
  default_type application/json;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  fastcgi_temp_path {folder}/fastcgi;
  proxy_temp_path {folder}/proxy;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    root {folder}/root;
    location /git/ {{
      fastcgi_pass unix:{socket};
      fastcgi_buffers 32 64k;
      fastcgi_buffer_size 64k;
      fastcgi_busy_buffers_size 512k;
      fastcgi_max_temp_file_size 0;
      fastcgi_read_timeout 600s;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param REMOTE_USER bench;
      fastcgi_param PATH_INFO $git_path;
      fastcgi_param GIT_PROJECT_ROOT {repositories};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
    }}
  }}
  map $uri $git_path {{ ~^/git(?<rest>/.*)$ $rest; }}
}}
"#
        ))
    }

    /// The request for the file's bytes.
    pub fn file(&self) -> Request {
        get(self.address, "/file")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/git/{repository}", self.address)
    }

    /// Where a repository is on disk.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.repositories.join(name)
    }

    /// Its processes.
    pub fn roots(&self) -> Vec<u32> {
        vec![self.nginx.id(), self.fcgiwrap.id()]
    }
}

/// The registry of the CNCF's Distribution project, as Debian packages it: files in a folder, its cache in memory, no log of
/// requests, nobody asked who they are.
pub struct DockerRegistry {
    process: Running,
    address: SocketAddr,
}

impl DockerRegistry {
    /// Starts it with an empty store.
    pub fn start(folder: &Path) -> anyhow::Result<DockerRegistry> {
        let address = free_address()?;
        let store = folder.join("docker-registry");
        fs::create_dir_all(&store)?;
        let configuration = folder.join("docker-registry.yml");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n    \
                 blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  \
                 addr: {address}\n",
                store.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&configuration);
        let mut process =
            Running::start("docker-registry", &mut command, &folder.join("docker-registry.log"))
                .context("Debian's package docker-registry is needed")?;
        wait_for(&mut process, &get(address, "/v2/")).context("docker-registry does not answer")?;
        Ok(DockerRegistry { process, address })
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
}

/// Whether `http-backend` unpacks small pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpackLimit {
    /// As Git comes: a push of fewer than a hundred objects becomes as many files.
    Shipped,
    /// As the product has it: every push stays one pack.
    One,
}

/// Gives a repository of the peer the durability and the checks that the product has, and turns off what the product
/// does in the background and the peer would do in the push.
pub fn configure(repository: &Path, unpack_limit: UnpackLimit) -> anyhow::Result<()> {
    let mut settings = vec![
        ("transfer.fsckObjects", "true"),
        ("core.fsync", "objects,derived-metadata,reference"),
        ("core.fsyncMethod", "fsync"),
        ("receive.autogc", "false"),
        ("http.receivepack", "true"),
    ];
    if unpack_limit == UnpackLimit::One {
        settings.push(("transfer.unpackLimit", "1"));
    }
    for (key, value) in settings {
        git::run(repository, &["config", key, value])?;
    }
    Ok(())
}
