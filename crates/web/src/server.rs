//! The accept loop: from a listening socket to requests for the router, and back to silence.
//!
//! It speaks HTTP/1.1 and HTTP/2, in the clear or over TLS, limits what a stranger may hold open (connections,
//! handshakes, heads, slow bodies) and, when told to stop, lets running requests finish. It knows nothing of
//! what a request asks for.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    routing::future::RouteFuture,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{Request, Response, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::tls::TlsReload;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a connection is read ahead at most, in bytes: the longest head of a request, and what an upload takes in at
/// once.
const MAX_READ_AHEAD: usize = 128 * 1024;

/// How much patience a request body is given: in each such span of waiting for the client …
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// … at least this many bytes must have come, 1 KiB for each second. There is no limit on the whole, so a push
/// that makes progress may take as long as it needs.
const BODY_FLOOR: usize = 60 * 1024;

/// How often an otherwise silent HTTP/2 client is asked whether it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long the loop rests when the system refuses another socket.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection; every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection comes from, which may be a proxy's.
    pub address: SocketAddr,
    /// Our own address, as the client reached it. It may be where a proxy reaches us.
    pub local: SocketAddr,
    /// Whether the connection is encrypted by the forge itself.
    pub encrypted: bool,
}

/// The limits of the accept loop.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// How many connections may be open at once; the next ones wait in the system's queue.
    pub max_connections: usize,
    /// How long running requests may go on after the order to stop.
    pub shutdown_grace: Duration,
    /// How long a client may take for the head of a request, and rest between two requests.
    pub header_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            shutdown_grace: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves connections until `shutdown` completes, then stops accepting and lets running requests finish for up
/// to [`ServeOptions::shutdown_grace`]; whatever still runs then is dropped.
///
/// # Errors
///
/// Only when the listening socket itself is unusable; trouble with one connection ends that connection.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsReload>,
    service: Router,
    options: ServeOptions,
    shutdown: impl Future,
) -> io::Result<()> {
    let builder = Arc::new(connection_builder(options));
    let slots = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);

    loop {
        let (stream, address, slot) = tokio::select! {
            biased;
            _ = &mut shutdown => break,
            // Ended tasks are collected as they end: the set would otherwise grow with every connection.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted?,
        };
        // A client that is gone already has no answer to wait for.
        let Ok(local) = stream.local_addr() else { continue };
        let connection = Connection {
            builder: Arc::clone(&builder),
            router: service.clone(),
            peer: Peer {
                // An IPv4 client of an IPv6 socket must still match the IPv4 networks of the settings.
                address: SocketAddr::new(address.ip().to_canonical(), address.port()),
                local: SocketAddr::new(local.ip().to_canonical(), local.port()),
                encrypted: tls.is_some(),
            },
            header_timeout: options.header_timeout,
            stopped: stopped.clone(),
        };
        let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.current()));
        connections.spawn(async move {
            let _slot = slot;
            connection.run(stream, tls).await;
        });
    }

    // From here on the system refuses new connections, so a load balancer or a successor takes them.
    drop(listener);
    drop(stopped);
    drop(stop);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(options.shutdown_grace, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests still running at the end of the grace period were dropped"
        );
        connections.shutdown().await;
    }
    Ok(())
}

fn connection_builder(options: ServeOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(MAX_READ_AHEAD)
        // A client may close its half of the connection after the request; it still gets its answer.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .max_concurrent_streams(Some(200));
    builder
}

/// Waits for a free slot and then for a connection; accepts none that could not be served.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are small and written whole: waiting to fill a packet would only add delay.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it could be served");
                    continue;
                }
                return Ok((stream, address, slot));
            }
            Err(error) if is_about_one_connection(&error) => {}
            // Out of file descriptors or memory: both come back when a connection ends.
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// What one connection needs to live.
struct Connection {
    builder: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    peer: Peer,
    header_timeout: Duration,
    /// Closes when the server is told to stop.
    stopped: watch::Receiver<()>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.exchange(stream).await };
        let handshake = tokio::select! {
            handshake = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => handshake,
            // Nothing has been asked yet, so nothing is lost.
            _ = self.stopped.changed() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.exchange(stream).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer.address, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer.address, "a TLS handshake took too long"),
        }
    }

    async fn exchange(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let asked = Arc::new(AtomicBool::new(false));
        let service = PeerService { router: self.router, peer: self.peer, asked: Arc::clone(&asked) };
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));

        // hyper times the head of an HTTP/1 request, but neither the bytes that tell the protocol nor the
        // first request of HTTP/2: without this limit a silent client would keep its slot for ever.
        let first_request = async {
            sleep(self.header_timeout).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            _ = self.stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = first_request => return,
        };
        if let Err(error) = outcome {
            tracing::debug!(peer = %self.peer.address, %error, "a connection ended badly");
        }
    }
}

/// The router as hyper calls it: each request learns who sent it, and its body learns patience.
struct PeerService {
    router: Router,
    peer: Peer,
    /// Whether any request has come on this connection.
    asked: Arc<AtomicBool>,
}

impl hyper::service::Service<Request<Incoming>> for PeerService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                Body::empty()
            } else {
                Body::new(PatientBody::new(body, BODY_PATIENCE))
            }
        });
        request.extensions_mut().insert(self.peer);
        // A router is always ready, and a clone of it is one counter.
        self.router.clone().call(request)
    }
}

/// The client sent a body, or paused in one, so slowly that it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body came too slowly")]
pub struct BodyTooSlow;

/// A request body that fails with [`BodyTooSlow`] when the client stalls.
///
/// Only time spent waiting for the client counts. While the forge itself is busy with what it already has, the
/// clock stands still, so a slow disk is never held against the client.
struct PatientBody<B> {
    inner: B,
    /// How long one span of waiting may be; it must bring [`BODY_FLOOR`] bytes.
    patience: Duration,
    /// How long the current span has waited, before the wait that may be going on.
    waited: Duration,
    /// How many bytes the current span has brought.
    received: usize,
    /// When the wait that is going on began.
    waiting_since: Option<Instant>,
    /// The end of the span's patience; made at the first wait, as most bodies are there at once.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> PatientBody<B> {
    fn new(inner: B, patience: Duration) -> Self {
        Self { inner, patience, waited: Duration::ZERO, received: 0, waiting_since: None, deadline: None }
    }

    /// Begins or goes on waiting; ready when the client used up its patience.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<BodyTooSlow> {
        loop {
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            if self.waiting_since.is_none() {
                let now = Instant::now();
                self.waiting_since = Some(now);
                deadline.as_mut().reset(now + self.patience.saturating_sub(self.waited));
            }
            ready!(deadline.as_mut().poll(context));
            if self.received < BODY_FLOOR {
                return Poll::Ready(BodyTooSlow);
            }
            self.waited = Duration::ZERO;
            self.received = 0;
            self.waiting_since = None;
        }
    }
}

impl<B> HttpBody for PatientBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            return self.poll_patience(context).map(|slow| Some(Err(slow.into())));
        };
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            self.received = self.received.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use axum::{Extension, routing::get};
    use tokio::sync::oneshot;

    use super::*;

    /// A server on a port of its own, and the two ends of its life.
    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        ended: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn run(router: Router, options: ServeOptions) -> Running {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(serve(listener, None, router, options, stopped));
        Running { address, stop, ended }
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// Sends the text, perhaps closes the sending half, and returns all that comes until the other end closes.
    async fn talk(address: SocketAddr, text: &'static str, half_close: bool) -> String {
        tokio::task::spawn_blocking(move || {
            let mut stream = connect(address);
            stream.write_all(text.as_bytes()).unwrap();
            if half_close {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
        .await
        .unwrap()
    }

    fn slow_router(duration: Duration) -> Router {
        Router::new().route(
            "/",
            get(move || async move {
                sleep(duration).await;
                "done"
            }),
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_carries_who_sent_it() {
        let router = Router::new().route(
            "/",
            get(|Extension(peer): Extension<Peer>| async move {
                format!("{} {}", peer.address.ip(), peer.encrypted)
            }),
        );
        let server = run(router, ServeOptions::default()).await;
        let answer =
            talk(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", false).await;
        assert!(answer.ends_with("127.0.0.1 false"), "{answer}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_closed_its_half_still_gets_its_answer() {
        let server = run(slow_router(Duration::from_millis(200)), ServeOptions::default()).await;
        let answer = talk(server.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", true).await;
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_says_nothing_or_half_a_head_is_let_go() {
        let options = ServeOptions { header_timeout: Duration::from_millis(200), ..ServeOptions::default() };
        let server = run(slow_router(Duration::ZERO), options).await;
        for text in ["", "PRI ", "GET / HTTP/1.1\r\nhost:", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let begun = Instant::now();
            let _ = tokio::task::spawn_blocking(move || {
                let mut stream = connect(server.address);
                stream.write_all(text.as_bytes()).unwrap();
                stream.read_to_end(&mut Vec::new())
            })
            .await
            .unwrap();
            assert!(begun.elapsed() < Duration::from_secs(2), "{text:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_answer_is_not_cut_by_the_limit_on_heads() {
        let options = ServeOptions { header_timeout: Duration::from_millis(100), ..ServeOptions::default() };
        let server = run(slow_router(Duration::from_millis(500)), options).await;
        let answer =
            talk(server.address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", false).await;
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_beyond_the_limit_waits_for_its_turn() {
        let options = ServeOptions { max_connections: 1, ..ServeOptions::default() };
        let server = run(slow_router(Duration::ZERO), options).await;
        let first = connect(server.address);
        sleep(Duration::from_millis(50)).await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let second = tokio::spawn(talk(server.address, request, false));
        sleep(Duration::from_millis(150)).await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap().ends_with("done"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_running_request_is_answered_after_the_order_to_stop() {
        let server = run(slow_router(Duration::from_millis(400)), ServeOptions::default()).await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let running = tokio::spawn(talk(server.address, request, false));
        let idle = connect(server.address);
        sleep(Duration::from_millis(150)).await;
        server.stop.send(()).unwrap();
        sleep(Duration::from_millis(50)).await;
        assert!(std::net::TcpStream::connect(server.address).is_err());
        assert!(running.await.unwrap().ends_with("done"));
        timeout(Duration::from_secs(1), server.ended).await.unwrap().unwrap().unwrap();
        drop(idle);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_outlives_the_grace_period_is_dropped() {
        let options = ServeOptions { shutdown_grace: Duration::from_millis(100), ..ServeOptions::default() };
        let server = run(slow_router(Duration::from_secs(60)), options).await;
        let mut stream = connect(server.address);
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        sleep(Duration::from_millis(100)).await;
        server.stop.send(()).unwrap();
        timeout(Duration::from_secs(1), server.ended).await.unwrap().unwrap().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }

    /// A body that brings `bytes` every `pause`.
    struct Dripping {
        bytes: usize,
        pause: Duration,
        next: Pin<Box<Sleep>>,
    }

    impl HttpBody for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.next.as_mut().poll(context));
            let next = Instant::now() + self.pause;
            self.next.as_mut().reset(next);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; self.bytes])))))
        }
    }

    async fn is_given_up(bytes: usize, pause: Duration) -> bool {
        use http_body_util::BodyExt;

        let mut body = PatientBody::new(
            Dripping { bytes, pause, next: Box::pin(sleep(pause)) },
            Duration::from_millis(200),
        );
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        timeout(Duration::from_secs(1), reading).await.is_ok()
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_trickles_is_given_up_and_one_that_flows_is_not() {
        assert!(is_given_up(1, Duration::from_secs(60)).await);
        assert!(is_given_up(1, Duration::from_millis(10)).await);
        assert!(!is_given_up(BODY_FLOOR / 4, Duration::from_millis(10)).await);
    }
}
