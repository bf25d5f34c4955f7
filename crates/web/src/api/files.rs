//! Files and blobs of a repository.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use portcullis_app::Error;
use portcullis_app::access::Authorized;
use portcullis_app::files::{self, BlamedLines, Blob, Content, File, MAX_FILE_BYTES};
use portcullis_app::lfs::objects::behind_pointer;
use portcullis_rules::access::act;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, commits, ok, path_text, unmeasured};
use crate::AppState;
use crate::download::{self, Shown};
use crate::error::ApiError;
use crate::params::{Params, Reader};

/// How many bytes are looked at to say whether a file is text.
const LOOKED_AT_BYTES: usize = 8000;

/// A client may keep such an answer, and has to ask each time whether it is still true.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, max-age=0, must-revalidate");

/// The mark of an answer: as long as it is the same, so is what is in the answer.
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn of(parts: &[&str]) -> Mark {
        Mark(format!("W/\"{}\"", parts.join("-")))
    }

    /// Says whether the client has an answer with this mark.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let strong = |mark: &str| mark.trim().trim_start_matches("W/").to_owned();
        let wanted = strong(&self.0);
        headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|mark| mark.trim() == "*" || strong(mark) == wanted)
    }

    pub(super) fn put(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(ETAG, value);
        }
        headers.insert(CACHE_CONTROL, ASK_AGAIN);
        response
    }

    pub(super) fn unchanged(&self) -> Response {
        self.put(StatusCode::NOT_MODIFIED.into_response())
    }
}

/// What every answer about a file says in its headers.
struct About<'a> {
    file: &'a File,
    path: &'a str,
    revision: &'a str,
    last_commit: String,
}

impl About<'_> {
    fn put(&self, mut response: Response) -> Response {
        let file = self.file;
        let sha256 = file.blob.content_sha256.as_deref();
        let mut set = |name: &'static str, value: &str| {
            // A name with control characters fits into no header.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        };
        set("x-gitlab-blob-id", file.blob.id.as_str());
        set("x-gitlab-commit-id", file.commit.as_str());
        if let Some(sha256) = sha256 {
            set("x-gitlab-content-sha256", sha256);
        }
        set("x-gitlab-encoding", "base64");
        set("x-gitlab-execute-filemode", if file.entry.is_executable() { "true" } else { "false" });
        set("x-gitlab-file-name", file.entry.name());
        set("x-gitlab-file-path", self.path);
        set("x-gitlab-last-commit-id", &self.last_commit);
        set("x-gitlab-ref", self.revision);
        set("x-gitlab-size", &file.blob.size.to_string());
        response
    }
}

fn revision(read: &mut Reader<'_>) -> String {
    read.filled_text("ref").unwrap_or_else(|| "HEAD".to_owned())
}

/// Refuses to send a file in one answer that has too many bytes for it.
fn must_fit(blob: &Blob) -> Result<(), ApiError> {
    if blob.size <= MAX_FILE_BYTES {
        return Ok(());
    }
    let text = format!("The file has more than {MAX_FILE_BYTES} bytes. Its raw content has no limit.");
    Err(Error::Unprocessable(text).into())
}

/// Returns an object in JSON with one more key: the content, of `size` bytes, in base64.
fn with_content(object: &Value, content: Content, size: u64) -> Response {
    let text = object.to_string();
    let begin = format!("{},\"content\":\"", text.strip_suffix('}').unwrap_or_default());
    let body = match content {
        Content::Whole(bytes) => Body::from(format!("{begin}{}\"}}", STANDARD.encode(bytes))),
        Content::Stream(exchange) => {
            let coding = Coding { body: exchange.body, rest: Vec::new(), missing: size, ended: false };
            let coded = stream::unfold(coding, Coding::next);
            Body::from_stream(stream::iter([Ok(Bytes::from(begin))]).chain(coded))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Bytes that become text in base64 while they come.
struct Coding<S> {
    body: S,
    /// Fewer than three bytes that have not been coded yet.
    rest: Vec<u8>,
    /// How many bytes are still to come.
    missing: u64,
    ended: bool,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Coding<S> {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.ended {
            return None;
        }
        let coded = match self.body.next().await {
            Some(Ok(bytes)) => {
                self.missing = self.missing.saturating_sub(bytes.len() as u64);
                self.rest.extend_from_slice(&bytes);
                let whole = self.rest.len() / 3 * 3;
                let text = STANDARD.encode(&self.rest[..whole]);
                self.rest.drain(..whole);
                return Some((Ok(text.into()), self));
            }
            Some(Err(error)) => Err(error),
            // A content that is cut short must not look whole.
            None if self.missing > 0 => Err(io::Error::other("the content was cut short")),
            None => Ok(format!("{}\"}}", STANDARD.encode(&self.rest)).into()),
        };
        self.ended = true;
        Some((coded, self))
    }
}

/// Answers a file with its content in base64.
pub async fn get(
    access: Authorized<act::ReadFiles>,
    State(state): State<AppState>,
    parts: PathParts,
    method: Method,
    headers: HeaderMap,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let revision = revision(&mut read);
    read.finish()?;
    let path = path_text(&parts, "file_path").trim_matches('/');
    let file = files::get(&state.forge, &access, &revision, path).await?;
    // The answer names the commit, so it changes with every commit.
    let mark = Mark::of(&[file.blob.id.as_str(), file.commit.as_str()]);
    if mark.is_known(&headers) {
        return Ok(mark.unchanged());
    }
    let last_commit = files::last_commit(&state.forge, &access, &file, path).await?.to_string();
    let about = About { file: &file, path, revision: &revision, last_commit };
    // The headers are made first: they say something about the content, which is then given away.
    let described = about.put(mark.put(ok(Value::Null)));
    // Also of a file that is too large for an answer.
    if method == Method::HEAD {
        return Ok(described.map(|_| unmeasured()));
    }
    must_fit(&file.blob)?;
    let object = json!({
        "file_name": file.entry.name(),
        "file_path": path,
        "size": file.blob.size,
        "encoding": "base64",
        "content_sha256": file.blob.content_sha256,
        "ref": revision,
        "blob_id": file.blob.id.as_str(),
        "commit_id": file.commit.as_str(),
        "last_commit_id": about.last_commit,
        "execute_filemode": file.entry.is_executable(),
    });
    let size = file.blob.size;
    let content = files::content(&state.forge, &access, file.blob).await?;
    let mut response = with_content(&object, content, size);
    add_headers(&mut response, &described);
    Ok(response)
}

/// Gives an answer the headers of another, but for what they say about its body.
fn add_headers(response: &mut Response, described: &Response) {
    for (name, value) in described.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
}

/// Sends the bytes of a file; with `lfs`, those of the large file that it stands for.
pub async fn raw(
    access: Authorized<act::ReadFiles>,
    State(state): State<AppState>,
    path_parts: PathParts,
    parts: Parts,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let revision = revision(&mut read);
    let lfs = read.boolean("lfs").unwrap_or(false);
    read.finish()?;
    let path = path_text(&path_parts, "file_path").trim_matches('/');
    let file = files::get(&state.forge, &access, &revision, path).await?;
    // A pointer is read whole. One whose large file is not here is sent as it is, as GitLab does.
    if let Some(pointer) = file.blob.content.as_deref().filter(|_| lfs)
        && let Some(large) = behind_pointer(&state.forge, &access, file.entry.name(), pointer).await?
    {
        return download::file(&state, &access, &parts, &large, Shown::AsAttachment).await;
    }
    let headers = &parts.headers;
    let mark = Mark::of(&[file.blob.id.as_str()]);
    if mark.is_known(headers) {
        return Ok(mark.unchanged());
    }
    let last_commit = files::last_commit(&state.forge, &access, &file, path).await?.to_string();
    let about = About { file: &file, path, revision: &revision, last_commit };
    // The headers are made first: they say something about the content, which is then given away.
    let described = about.put(mark.put(Response::new(Body::empty())));
    let (text, size, name) = (is_text(&file.blob), file.blob.size, file.entry.name().to_owned());
    let content = match parts.method {
        Method::HEAD => None,
        _ => Some(files::content(&state.forge, &access, file.blob).await?),
    };
    let mut response = sent(content, text, size, &name);
    add_headers(&mut response, &described);
    Ok(response)
}

/// Says whether a file is shown as text. One that was not read is not.
fn is_text(blob: &Blob) -> bool {
    blob.content.as_ref().is_some_and(|bytes| !bytes[..bytes.len().min(LOOKED_AT_BYTES)].contains(&0))
}

/// Returns an answer of bytes: text or just bytes, and nothing that a browser would run.
fn sent(content: Option<Content>, text: bool, size: u64, name: &str) -> Response {
    let mut response = Response::new(match content {
        Some(Content::Whole(bytes)) => Body::from(bytes),
        Some(Content::Stream(exchange)) => Body::from_stream(exchange.body),
        None => Body::empty(),
    });
    let headers = response.headers_mut();
    let kind = if text { "text/plain" } else { "application/octet-stream" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') { c } else { '_' })
        .collect();
    let encoded = crate::pagination::encoded(name);
    let disposition = format!("inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

fn blamed_view(lines: &BlamedLines) -> Value {
    let commit = &lines.commit;
    json!({
        "commit": {
            "id": commit.id.as_str(),
            "parent_ids": commit.parents.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
            "message": commit.message,
            "authored_date": commits::local_time(&commit.author),
            "author_name": commit.author.name,
            "author_email": commit.author.email,
            "committed_date": commits::local_time(&commit.committer),
            "committer_name": commit.committer.name,
            "committer_email": commit.committer.email,
        },
        "lines": lines.lines,
    })
}

/// Answers who wrote which lines of a file.
pub async fn blame(
    access: Authorized<act::ReadFiles>,
    State(state): State<AppState>,
    parts: PathParts,
    method: Method,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let revision = revision(&mut read);
    let range =
        read.object("range", |range| (range.required_integer("start"), range.required_integer("end")));
    let line = |number: i64| u32::try_from(number).ok().filter(|number| *number > 0);
    let range = range.map(|(first, last)| line(first).zip(line(last)).filter(|(first, last)| first <= last));
    if range == Some(None) {
        read.reject("range");
    }
    read.finish()?;
    let path = path_text(&parts, "file_path").trim_matches('/');
    let file = files::get(&state.forge, &access, &revision, path).await?;
    let last_commit = files::last_commit(&state.forge, &access, &file, path).await?.to_string();
    let about = About { file: &file, path, revision: &revision, last_commit };
    if method == Method::HEAD {
        return Ok(about.put(ok(Value::Null)).map(|_| unmeasured()));
    }
    let lines = files::blame(&state.forge, &access, &file, path, range.flatten()).await?;
    Ok(about.put(ok(lines.iter().map(blamed_view).collect::<Vec<_>>())))
}

/// Answers a blob with its content in base64.
pub async fn blob(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let blob = files::blob(&state.forge, &access, path_text(&parts, "sha")).await?;
    must_fit(&blob)?;
    let object = json!({ "size": blob.size, "encoding": "base64", "sha": blob.id.as_str() });
    let size = blob.size;
    let content = files::blob_content(&state.forge, &access, blob).await?;
    Ok(with_content(&object, content, size))
}

/// Sends the bytes of a blob.
pub async fn raw_blob(
    access: Authorized<act::ReadCode>,
    State(state): State<AppState>,
    parts: PathParts,
    method: Method,
) -> ApiResult {
    let blob = files::blob(&state.forge, &access, path_text(&parts, "sha")).await?;
    let (text, size, name) = (is_text(&blob), blob.size, blob.id.to_string());
    let content = match method {
        Method::HEAD => None,
        _ => Some(files::blob_content(&state.forge, &access, blob).await?),
    };
    Ok(sent(content, text, size, &name))
}
