//! The real `git` as a client, timed from its start to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::git;

/// How the client shows its token.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Not at all: the peer asks for none.
    None,
    /// In a header from the first request on, as CI runners do.
    Header(String),
    /// From `.netrc` in this home folder, once the server has asked: one more round trip.
    WhenAsked(PathBuf),
}

impl Credential {
    /// Returns the header that shows a secret.
    pub fn header(secret: &str) -> Credential {
        Credential::Header(basic(secret))
    }

    /// Writes a secret where libcurl finds it when a server asks.
    pub fn when_asked(home: PathBuf, secret: &str) -> anyhow::Result<Credential> {
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join(".netrc"), format!("machine 127.0.0.1 login bench password {secret}\n"))?;
        Ok(Credential::WhenAsked(home))
    }
}

/// Returns the value of the `Authorization` header that shows a secret to Git's door.
pub fn basic(secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("bench:{secret}")))
}

/// Begins a call of git that shows the credential; never among its arguments, where others could read it.
pub fn command(folder: &Path, credential: &Credential) -> Command {
    let mut command = git::command(folder);
    match credential {
        Credential::None => {}
        Credential::Header(value) => {
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "http.extraHeader")
                .env("GIT_CONFIG_VALUE_0", format!("Authorization: {value}"));
        }
        Credential::WhenAsked(home) => {
            command.env("HOME", home);
        }
    }
    command
}

/// Runs a call and returns how long it took, in seconds.
pub fn timed(command: &mut Command) -> anyhow::Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let since = Instant::now();
    let output = command.spawn()?.wait_with_output()?;
    let seconds = since.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("git failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(seconds)
}
