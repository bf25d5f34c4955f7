//! Load by wrk: one recorded request, repeated over many connections.
//!
//! A server that fails fast looks fast, so the request is sent once beforehand and its answer checked, and afterwards a
//! single bad status, broken connection or odd number of bytes voids the round.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::http::{Answer, Connection};
use crate::wire::NUMBER;

/// How many runs have numbered their requests.
static NUMBERED: AtomicU32 = AtomicU32::new(0);

/// A request to be repeated.
#[derive(Clone, Debug)]
pub struct Request {
    pub to: SocketAddr,
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether each repetition has a number of its own in its body, in place of [`NUMBER`].
    pub numbered: bool,
}

/// What wrk found.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Load {
    pub requests: u64,
    microseconds: u64,
    bytes: u64,
    bad_status: u64,
    socket_errors: u64,
    timeouts: u64,
    /// Latency in microseconds.
    pub p50: u64,
    pub p99: u64,
}

impl Load {
    /// Returns requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / (self.microseconds as f64 / 1e6)
    }
}

impl Request {
    /// Sends it once and returns the answer, which must be a 200.
    pub fn once(&self) -> anyhow::Result<Answer> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Connection::open(self.to)?.send(self.method, &self.path, &headers, &self.body)?.expect(200)
    }

    /// Repeats it for some seconds and makes sure that every answer was like `model`.
    pub fn repeat(
        &self,
        connections: u32,
        seconds: u32,
        model: &Answer,
        scratch: &Path,
    ) -> anyhow::Result<Load> {
        let script = scratch.join("replay.lua");
        std::fs::write(&script, include_str!("replay.lua"))?;
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let mut command = Command::new("wrk");
        command
            .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "60s", "-s"])
            .arg(&script)
            .arg(format!("http://{}{}", self.to, self.path))
            .env("REPLAY_METHOD", self.method)
            .env("REPLAY_HEADERS", headers.join("\n"))
            .stdin(Stdio::null());
        if !self.body.is_empty() {
            let body = scratch.join("replay.body");
            std::fs::write(&body, &self.body)?;
            command.env("REPLAY_BODY", body);
        }
        if self.numbered {
            let run = NUMBERED.fetch_add(1, Ordering::Relaxed) + 1;
            command.env("REPLAY_RUN", format!("{run:06}")).env("REPLAY_NUMBER", NUMBER);
        }
        let output = command.output().context("wrk cannot be started")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().rfind(|line| line.starts_with('{')).with_context(|| {
            format!("wrk said nothing that is understood: {text} {}", String::from_utf8_lossy(&output.stderr))
        })?;
        let load: Load = serde_json::from_str(line)?;
        load.check(u64::from(connections), model)?;
        Ok(load)
    }
}

impl Load {
    fn check(&self, connections: u64, model: &Answer) -> anyhow::Result<()> {
        if self.bad_status + self.socket_errors + self.timeouts > 0 {
            bail!(
                "{} bad answers, {} broken connections, {} timeouts among {} requests",
                self.bad_status,
                self.socket_errors,
                self.timeouts,
                self.requests
            );
        }
        if self.requests == 0 {
            bail!("not one request was answered in time");
        }
        // Whole answers, and at the end one on each connection that may be cut off. How an answer is cut into chunks
        // varies a little.
        let each = model.bytes_on_the_wire as f64;
        let (least, most) =
            (self.requests as f64 * each * 0.98, (self.requests + connections) as f64 * each * 1.02);
        let bytes = self.bytes as f64;
        if bytes < least || bytes > most {
            bail!(
                "{} bytes for {} answers of {} bytes each",
                self.bytes,
                self.requests,
                model.bytes_on_the_wire
            );
        }
        Ok(())
    }
}
