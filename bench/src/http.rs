//! A small HTTP/1.1 client on one connection: to set things up, to verify answers, and where an exact number of requests
//! is to be timed. It understands what these servers answer, no more.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Header lines, as they came.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// All bytes of the answer, framing included.
    pub bytes_on_the_wire: usize,
}

impl Connection {
    /// Connects.
    pub fn open(host: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::with_capacity(256 * 1024, stream), host })
    }

    /// Sends a request and reads the whole answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        self.read_answer(method == "HEAD")
    }

    /// Sends a request whose body of `length` bytes is written by `body`, and reads the whole answer.
    pub fn send_streamed(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: u64,
        body: impl FnOnce(&mut TcpStream) -> std::io::Result<()>,
    ) -> anyhow::Result<Answer> {
        self.write_head(method, path, headers, length)?;
        body(self.stream.get_mut())?;
        self.read_answer(false)
    }

    /// Sends a GET and hands the body over in pieces as it comes; the answer has none then.
    pub fn get_streamed(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        mut piece: impl FnMut(&[u8]),
    ) -> anyhow::Result<Answer> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = self.read_answer(true)?;
        let length: usize = answer
            .header("content-length")
            .and_then(|text| text.parse().ok())
            .context("an answer without a length")?;
        let mut left = length;
        while left > 0 {
            let held = self.stream.fill_buf()?;
            if held.is_empty() {
                bail!("the answer was cut short");
            }
            let taken = held.len().min(left);
            piece(&held[..taken]);
            self.stream.consume(taken);
            left -= taken;
        }
        answer.bytes_on_the_wire += length;
        Ok(answer)
    }

    fn write_head(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: u64,
    ) -> anyhow::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    /// Reads an answer; without its body if it has none, as after HEAD, or if somebody else reads it.
    fn read_answer(&mut self, without_body: bool) -> anyhow::Result<Answer> {
        let mut total = 0;
        let status_line = self.line(&mut total)?;
        let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("not a status line: {status_line}"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line(&mut total)?;
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        let mut answer = Answer { status, headers, body: Vec::new(), bytes_on_the_wire: 0 };
        if without_body {
            // Nothing to read here.
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line(&mut total)?;
                let length =
                    usize::from_str_radix(&line, 16).with_context(|| format!("not a chunk: {line}"))?;
                self.take(length, &mut answer.body)?;
                total += length;
                self.line(&mut total)?;
                if length == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length").and_then(|text| text.parse().ok()) {
            self.take(length, &mut answer.body)?;
            total += length;
        }
        answer.bytes_on_the_wire = total;
        Ok(answer)
    }

    fn line(&mut self, total: &mut usize) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line)?;
        if read == 0 {
            bail!("the connection was closed in the middle of an answer");
        }
        *total += read;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> anyhow::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..]).context("the answer was cut short")
    }
}

impl Answer {
    /// Returns the value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Expects a status.
    pub fn expect(self, status: u16) -> anyhow::Result<Answer> {
        if self.status == status {
            return Ok(self);
        }
        let shown: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        bail!("expected {status}, got {}: {shown}", self.status)
    }

    /// Reads the body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("the body is not JSON")
    }
}
