//! HTTP as bytes, for requests that no well-behaved client sends and answers that it would hide.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::TestForge;

/// One connection, on which bytes are sent as they are.
pub struct Connection(pub TcpStream);

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Leaves out what differs from request to request.
    pub fn lasting(mut self) -> Reply {
        self.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        self
    }
}

impl Connection {
    pub fn open(forge: &TestForge) -> Connection {
        let stream = TcpStream::connect(forge.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Connection(stream)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes());
        self.send(bytes);
        self.send(b"\r\n");
    }

    /// Sends one request, on a connection of its own.
    pub fn ask(forge: &TestForge, request_line: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut connection = Connection::open(forge);
        let mut head = format!("{request_line} HTTP/1.1\r\nHost: forge\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if request_line.starts_with("POST") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        connection.send(format!("{head}\r\n").as_bytes());
        connection.send(body);
        connection.reply()
    }

    /// Reads the status line and the headers of the next answer.
    pub fn head(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = self.0.read_exact(&mut byte);
            assert!(read.is_ok(), "no answer but {:?}: {read:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: String::new() }
    }

    /// Reads an answer to its end, which is the end of the connection.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        let mut body = Vec::new();
        self.0.read_to_end(&mut body).unwrap();
        if reply.header("transfer-encoding") == Some("chunked") {
            body = unchunked(&body);
        }
        reply.body = String::from_utf8_lossy(&body).into_owned();
        reply
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("the answer is cut short");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..][..length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}
