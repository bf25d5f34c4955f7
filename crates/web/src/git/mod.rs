//! Git over HTTP: the smart protocol, as gitprotocol-http(5) describes it.

use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, EXPIRES, LOCATION, PRAGMA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use portcullis_app::access::{Authorized, Reading};
use portcullis_app::repositories::{self, Exchange, GitProtocol, Service};
use portcullis_rules::access::{Action, act};
use portcullis_rules::names::FullPath;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::AppState;
use crate::door::Door;
use crate::error::{GitError, Refusal};
use crate::guard::{self, Access, AddressOnly, Guard};
use crate::params::query_pairs;

/// How long nothing may arrive of a body before the request is given up.
const BODY_IDLE: std::time::Duration = std::time::Duration::from_secs(60);

/// The permission for an advertisement: the service in the query says which one, once, and what was authorized is what
/// is run.
#[derive(Debug)]
pub enum Advertisement {
    /// A fetch begins.
    Fetch(Authorized<act::DownloadCode>),
    /// A push begins.
    Push(Authorized<act::PushCode>),
}

impl Guard for Advertisement {
    const ACCESS: Access = Access::OneOf(&[Action::DownloadCode, Action::PushCode]);
}

impl FromRequestParts<AppState> for Advertisement {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let service = query_pairs(parts.uri.query().unwrap_or_default())
            .into_iter()
            .find(|(name, _)| name == "service")
            .and_then(|(_, value)| Service::from_name(&value));
        let realm = &state.forge.settings().git_realm;
        let mut reading = Reading::default();
        let viewer = guard::viewer(parts, state, &mut reading, Door::Git).await?;
        match service {
            Some(Service::UploadPack) => {
                guard::ask(parts, state, &mut reading, viewer, Door::Git).await?.map(Advertisement::Fetch)
            }
            Some(Service::ReceivePack) => {
                guard::ask(parts, state, &mut reading, viewer, Door::Git).await?.map(Advertisement::Push)
            }
            // The dumb protocol, or something unknown.
            None if viewer.identity().is_none() => return Err(Refusal::Git(GitError::challenge(realm))),
            None => {
                let text = "The command you're trying to execute is not allowed.\n";
                return Err(Refusal::Git(GitError::new(StatusCode::FORBIDDEN, text)));
            }
        }
        .map_err(|refused| Refusal::refused(Door::Git, &refused, realm))
    }
}

fn protocol(headers: &HeaderMap) -> Option<GitProtocol> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok()).and_then(GitProtocol::parse)
}

/// Answers what a fetch or push may begin from. No Git client asks with HEAD; whoever does is refused.
pub async fn advertise(
    access: Advertisement,
    State(state): State<AppState>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, GitError> {
    if method == Method::HEAD {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let protocol = protocol(&headers);
    let (exchange, kind) = match access {
        Advertisement::Fetch(access) => (
            repositories::advertise_fetch(&state.forge, &access, protocol.as_ref()).await?,
            "application/x-git-upload-pack-advertisement",
        ),
        Advertisement::Push(access) => (
            repositories::advertise_push(&state.forge, &access, protocol.as_ref()).await?,
            "application/x-git-receive-pack-advertisement",
        ),
    };
    Ok(streamed(exchange, kind))
}

/// Runs a fetch.
pub async fn upload_pack(
    access: Authorized<act::DownloadCode>,
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, GitError> {
    expect_kind(request.headers(), "application/x-git-upload-pack-request")?;
    let protocol = protocol(request.headers());
    let exchange = if is_gzip(request.headers())? {
        let body = inflated(request.into_body());
        repositories::fetch(&state.forge, &access, protocol.as_ref(), body).await?
    } else {
        repositories::fetch(&state.forge, &access, protocol.as_ref(), plain(request.into_body())).await?
    };
    Ok(streamed(exchange, "application/x-git-upload-pack-result"))
}

/// Runs a push.
pub async fn receive_pack(
    access: Authorized<act::PushCode>,
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, GitError> {
    expect_kind(request.headers(), "application/x-git-receive-pack-request")?;
    let protocol = protocol(request.headers());
    let exchange = if is_gzip(request.headers())? {
        let body = inflated(request.into_body());
        repositories::push(&state.forge, &access, protocol.as_ref(), body).await?
    } else {
        repositories::push(&state.forge, &access, protocol.as_ref(), plain(request.into_body())).await?
    };
    Ok(streamed(exchange, "application/x-git-receive-pack-result"))
}

/// Sends a client that asked without `.git` to the address that has it. Only this first request of a fetch or push is
/// ever redirected, and whether anything exists there does not matter.
pub async fn redirect(_: AddressOnly, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let service = query_pairs(query).into_iter().find(|(name, _)| name == "service").map(|(_, value)| value);
    if service.as_deref().is_some_and(|service| Service::from_name(service).is_none()) {
        return not_found().into_response();
    }
    let path = request.uri().path();
    let folded =
        path.strip_prefix(crate::paths::GIT_REDIRECT_PREFIX).and_then(|rest| rest.strip_suffix("/info/refs"));
    let Some(project) = folded else { return not_found().into_response() };
    let project = project.replace("%2F", "/");
    // The folded form can be asked for directly, and a path that began with two slashes would lead to another host.
    if FullPath::parse(&project).is_none() {
        return not_found().into_response();
    }
    let question = if query.is_empty() { "" } else { "?" };
    match HeaderValue::from_str(&format!("/{project}.git/info/refs{question}{query}")) {
        Ok(location) => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response(),
        Err(_) => not_found().into_response(),
    }
}

/// Answers requests of the dumb protocol, which would show hidden and unreachable objects and is not served.
pub async fn dumb(_: Authorized<act::DownloadCode>) -> GitError {
    not_found()
}

fn not_found() -> GitError {
    GitError::new(StatusCode::NOT_FOUND, crate::error::GIT_NOT_FOUND)
}

fn expect_kind(headers: &HeaderMap, expected: &str) -> Result<(), GitError> {
    let actual = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    if actual == expected {
        return Ok(());
    }
    let actual: String = actual.chars().take(100).collect();
    let text = format!("Expected the content type {expected}, but got {actual}.\n");
    Err(GitError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, GitError> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => {
            let text = "Only the content encoding gzip is understood.\n";
            Err(GitError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}

/// The body as it comes, given up when nothing arrives for too long.
fn plain(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let frames = body.into_data_stream().map_err(io::Error::other);
    futures_util::stream::unfold(Some(Box::pin(frames)), |frames| async move {
        let mut frames = frames?;
        match tokio::time::timeout(BODY_IDLE, frames.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(frames))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the body stopped arriving")), None)),
        }
    })
}

/// The body inflated. A gzip stream that ends early is an error, not an end.
fn inflated(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let reader = StreamReader::new(Box::pin(plain(body)));
    ReaderStream::with_capacity(GzipDecoder::new(reader), 64 * 1024)
}

fn streamed(exchange: Exchange, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from_stream(exchange.body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(EXPIRES, HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    response
}
