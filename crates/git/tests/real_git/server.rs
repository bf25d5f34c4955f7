//! Just enough HTTP/1.1 for a git client: one request for each connection, chunked bodies in both directions.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use portcullis_git::{Engine, Error, Exchange, GitProtocol, PushJudge, Service};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Serves `/{id}.git/…` on a free port of the loopback and returns the port.
pub async fn serve(engine: Engine, judge: Arc<dyn PushJudge>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(one_request(socket, engine.clone(), Arc::clone(&judge)));
        }
    });
    port
}

async fn one_request(socket: TcpStream, engine: Engine, judge: Arc<dyn PushJudge>) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut first = String::new();
    reader.read_line(&mut first).await?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let protocol = headers.get("git-protocol").and_then(|value| GitProtocol::parse(value));
    let (id, rest) = target.trim_start_matches('/').split_once(".git/").unwrap_or(("0", ""));
    let id: i64 = id.parse().unwrap_or(0);
    let (kind, answer) = match rest {
        "info/refs?service=git-upload-pack" => (
            "application/x-git-upload-pack-advertisement",
            engine.advertise(id, Service::UploadPack, protocol.as_ref()).await,
        ),
        "info/refs?service=git-receive-pack" => (
            "application/x-git-receive-pack-advertisement",
            engine.advertise(id, Service::ReceivePack, protocol.as_ref()).await,
        ),
        "git-upload-pack" => (
            "application/x-git-upload-pack-result",
            engine.upload_pack(id, protocol.as_ref(), body(reader, &headers).await).await,
        ),
        "git-receive-pack" => (
            "application/x-git-receive-pack-result",
            engine.receive_pack(id, protocol.as_ref(), body(reader, &headers).await, judge).await,
        ),
        _ => ("text/plain", Err(Error::NotFound)),
    };
    respond(&mut writer, kind, answer).await
}

async fn respond(writer: &mut OwnedWriteHalf, kind: &str, answer: Result<Exchange, Error>) -> io::Result<()> {
    let mut exchange = match answer {
        Ok(exchange) => exchange,
        Err(error) => {
            let status = match &error {
                Error::NotFound => "404 Not Found",
                Error::Overloaded { .. } => "503 Service Unavailable",
                Error::BadRequest(_) => "400 Bad Request",
                Error::RequestTooLarge => "413 Content Too Large",
                _ => "500 Internal Server Error",
            };
            let text = error.to_string();
            let length = text.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            return writer.write_all((head + &text).as_bytes()).await;
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).await?;
    while let Some(chunk) = exchange.body.next().await {
        // A broken answer breaks the connection.
        let chunk = chunk?;
        writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
        writer.write_all(&chunk).await?;
        writer.write_all(b"\r\n").await?;
    }
    writer.write_all(b"0\r\n\r\n").await
}

type Body = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

async fn body(reader: BufReader<OwnedReadHalf>, headers: &HashMap<String, String>) -> Body {
    let plain: Body = if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        Box::pin(stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match chunk(&mut reader).await {
                Ok(None) => None,
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    } else {
        let length: usize = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        Box::pin(stream::unfold(Some((reader, length)), |state| async move {
            let (mut reader, left) = state?;
            let mut bytes = vec![0; left.min(64 * 1024)];
            if bytes.is_empty() {
                return None;
            }
            match reader.read_exact(&mut bytes).await {
                Ok(n) => Some((Ok(bytes.into()), Some((reader, left - n)))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    };
    if headers.get("content-encoding").is_none_or(|value| value != "gzip") {
        return plain;
    }
    let packed: Vec<u8> = plain.map(|chunk| chunk.unwrap().to_vec()).concat().await;
    let mut gzip = tokio::process::Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(&packed).await.unwrap();
    let inflated = gzip.wait_with_output().await.unwrap().stdout;
    Box::pin(stream::iter([Ok(Bytes::from(inflated))]))
}

async fn chunk(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Bytes>> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let length = usize::from_str_radix(line.trim_end(), 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    Ok((length > 0).then(|| bytes.into()))
}
