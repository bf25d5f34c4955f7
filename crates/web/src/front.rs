//! What stands in front of every route, once: the request's id, the client's address, path folding, counting, one log
//! line, and the answer when a handler panics.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, COOKIE, EXPECT, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use portcullis_app::access::Origin;
use portcullis_app::metrics::RequestLabels;
use portcullis_app::registry::ImageError;
use tower::Service;

use crate::AppState;
use crate::client::Client;
use crate::credential;
use crate::door::Door;
use crate::error::{ApiError, InternalFailure, LfsError, RegistryError};
use crate::pages;
use crate::paths;
use crate::rate_limit::Counted;
use crate::registry;
use crate::server::Peer;
use crate::unread::DrainedOnDrop;

/// Old clients look for this to tell a registry from anything else.
const REGISTRY_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The service in front of the router.
#[derive(Clone)]
pub struct Front {
    inner: Router,
    state: AppState,
    ids: Arc<RequestIds>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

/// Numbers requests. The start differs from process to process, so that ids do not repeat after a restart.
#[derive(Debug)]
struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::from(format!("{:012x}-{number:x}", self.start & 0xffff_ffff_ffff))
    }
}

impl Front {
    /// Puts the front before a router.
    pub fn new(inner: Router, state: AppState) -> Front {
        let start = u64::try_from(state.forge.now()).unwrap_or_default();
        Front { inner, state, ids: Arc::new(RequestIds { start, next: AtomicU64::new(1) }) }
    }

    async fn answer(mut self, mut request: Request) -> Response {
        let started = Instant::now();
        let request_id = self.ids.next();
        let peer = request.extensions().get::<Peer>().copied();
        let client =
            Client::of(request.headers(), peer, self.state.forge.settings(), Arc::clone(&request_id));
        let address = client.address;
        request.extensions_mut().insert(client);
        let mut asked: Option<pages::Asked> = None;
        let mut refused = None;
        if registry::paths::is_of_protocol(request.uri().path()) {
            match registry::paths::fold(request.uri()) {
                Ok((folded, endpoint)) => {
                    *request.uri_mut() = folded;
                    request.extensions_mut().insert(endpoint);
                }
                Err(refusal) => refused = Some(RegistryError::no_such_route(refusal)),
            }
        } else if let Some(folded) = paths::fold(request.uri()) {
            *request.uri_mut() = folded;
        } else if let Some(folded) = pages::paths::fold(request.uri()) {
            asked = Some(pages::Asked::of(request.uri()));
            *request.uri_mut() = folded;
        }
        if !request.headers().contains_key(EXPECT) {
            request = request.map(DrainedOnDrop::wrap);
        }
        let method = request.method().clone();
        // The path only: a query may hold a token.
        let path = request.uri().path().to_owned();
        let door = Door::of(&path);
        let counted = Counted::begin(&self.state).filter(|_| door == Some(Door::Api));
        if let Some(counted) = &counted {
            request.extensions_mut().insert(counted.clone());
        }
        if door == Some(Door::Api) {
            request = credential::note_form_token(request, self.state.forge.settings().max_body_bytes).await;
        }

        if door == Some(Door::Registry) && !self.state.forge.settings().container_registry {
            refused = Some(ImageError::SwitchedOff.into());
        }
        let refused = match door {
            Some(Door::Lfs) if !self.state.forge.settings().lfs => {
                Some(LfsError::switched_off().into_response())
            }
            _ => refused.map(IntoResponse::into_response),
        };
        if door == Some(Door::Pages) {
            let asked = asked.get_or_insert_with(|| pages::Asked::of(request.uri()));
            request.extensions_mut().insert(asked.clone());
        }
        let settings = self.state.forge.settings();
        let cross_site = door == Some(Door::Pages) && pages::same_site::is_foreign(&request, settings);
        let mut session = None;
        if door == Some(Door::Pages) && method != Method::HEAD && request.headers().contains_key(COOKIE) {
            let (parts, body) = request.into_parts();
            session = pages::cookies::SESSION.read(&parts, settings);
            request = Request::from_parts(parts, body);
        }
        let answering = async {
            if cross_site {
                return Ok(pages::PageError::CrossSite.into_response());
            }
            match refused {
                Some(refused) => Ok(refused),
                None => self.inner.call(request).await,
            }
        };
        let answered = std::panic::AssertUnwindSafe(answering).catch_unwind().await;
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(request.id = %request_id, %method, %path, "a handler panicked");
                ApiError::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
            }
        };
        let status = response.status();
        if let Some(InternalFailure(problem)) = response.extensions_mut().remove::<InternalFailure>() {
            tracing::error!(request.id = %request_id, %method, %path, problem, "a request failed inside the forge");
        }
        self.state.forge.metrics().request(RequestLabels {
            door: door.map_or("none", Door::name),
            outcome: match status.as_u16() {
                ..=299 => "2xx",
                300..=399 => "3xx",
                400..=499 => "4xx",
                _ => "5xx",
            },
        });
        tracing::debug!(
            request.id = %request_id,
            %method,
            %path,
            status = status.as_u16(),
            client = address.map(|address| address.to_string()),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        if let Some(asked) = asked.filter(|_| door == Some(Door::Pages)) {
            if let Some(secret) = session {
                let origin = Origin { address, request_id: Arc::clone(&request_id) };
                pages::show_who(&mut response, &self.state, &asked, &secret, origin).await;
            }
            pages::finish(&mut response, &asked.0, &method);
        }
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, value);
        }
        if door == Some(Door::Registry) {
            headers.insert(REGISTRY_VERSION, HeaderValue::from_static("registry/2.0"));
        }
        if let Some(counted) = counted {
            counted.tell(headers);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Answers depend on who asks; no cache in between may keep them.
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
        response
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.clone().answer(request).map(Ok))
    }
}
