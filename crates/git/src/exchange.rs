//! One answer to one request: how it begins, streams, and ends.
//!
//! Four things live while git works. The *pump* carries the request's body to git. The [`GitOutput`] carries git's
//! answer to the caller, at the caller's pace. For a push, the *conversation* answers git's hook, and the *delivery*
//! reads the answer on its way. And the *watch* owns the process group: it ends the exchange when git is done, when the caller lets go, when time runs out, or
//! when the repository is taken away. Whichever comes first, no process is left.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::CancellationToken;

use crate::answers::Piece;
use crate::limits::Place;
use crate::process::{Group, read_error_text};
use crate::{Error, Settings};

/// How much is read from git at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// How large we ask the system to make the pipes to and from git, in bytes. Fewer turns for large packs.
const PIPE_BYTES: usize = 256 * 1024;

/// The length of the request by which clients learn whether they may send a large one: a single `0000`.
const PROBE_BYTES: u64 = 4;

/// How much of a request's body is read and thrown away once git has stopped reading. A client that still sends does
/// not see the answer otherwise.
const MAX_DRAINED_BYTES: u64 = 64 * 1024 * 1024;

/// How long throwing away may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// The body of a request.
pub(crate) type Input = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Hears how many bytes git has answered, if it ended well and the caller has read them all.
pub(crate) type Measure = Box<dyn FnOnce(u64) + Send>;

/// The answer to a request: a stream of bytes from a git process, from memory, or from what several clients share.
///
/// It holds the place of the exchange in the concurrency limit. Dropping it kills the process and everything it
/// started, at once; only a push that the judge has already accepted is given a moment to end properly, and a process
/// whose answer is shared goes on for the others.
pub struct Exchange {
    /// The bytes of the answer's body.
    pub body: GitOutput,
}

/// What an exchange needs to begin.
pub(crate) struct Beginning {
    pub(crate) command: Command,
    pub(crate) place: Place,
    pub(crate) input: Option<Input>,
    /// The largest input, in bytes; more is [`Error::RequestTooLarge`].
    pub(crate) max_input_bytes: Option<u64>,
    /// Whether every request but the probe has an answer, so that none means that the request was cut short.
    pub(crate) must_answer: bool,
    /// How long the exchange may take in all.
    pub(crate) limit: Option<Duration>,
    /// What the answer begins with, before git says anything.
    pub(crate) preface: Option<Bytes>,
    pub(crate) measure: Option<Measure>,
    pub(crate) idle_limit: Duration,
    pub(crate) exit_limit: Duration,
    pub(crate) killed: Arc<AtomicU64>,
}

/// Where an exchange stands. It moves from `OPEN` to one of the others once, and whoever moves it first decides.
const OPEN: u8 = 0;
/// The judge has accepted the push: it is allowed to end properly, whatever the client does.
const ACCEPTED: u8 = 1;
/// The caller has let go, or the request is broken: nothing may be accepted any more.
const ABANDONED: u8 = 2;

/// Why an exchange was ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    TooLarge,
    BrokenInput,
    TimedOut,
    RepositoryRemoved,
    LetGo,
}

/// What all parts of a running exchange know of each other.
pub(crate) struct Shared {
    phase: AtomicU8,
    /// Bytes moved in either direction: a sign of life.
    moved: AtomicU64,
    /// Bytes of the request's body seen so far.
    received: AtomicU64,
    failure: OnceLock<Failure>,
    /// Git is to be killed.
    kill: CancellationToken,
    /// The caller has let go of an accepted push.
    let_go: CancellationToken,
    /// Git has closed its output.
    output_closed: CancellationToken,
    /// Git has ended.
    ended: CancellationToken,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            phase: AtomicU8::new(OPEN),
            moved: AtomicU64::new(0),
            received: AtomicU64::new(0),
            failure: OnceLock::new(),
            kill: CancellationToken::new(),
            let_go: CancellationToken::new(),
            output_closed: CancellationToken::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Notes that the judge has accepted. Says no when the exchange has been abandoned before.
    pub(crate) fn accept(&self) -> bool {
        self.leave_open(ACCEPTED)
    }

    /// Hears that the caller has let go: the exchange is given up, or is given a moment to end if its push has been
    /// accepted.
    fn let_go(&self) {
        if !self.ended.is_cancelled() && !self.abandon(Failure::LetGo) {
            self.let_go.cancel();
        }
    }

    /// Waits until no process of the exchange is left.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Gives the exchange up for `failure`, unless a push has been accepted: then nothing happens. Says whether it did.
    fn abandon(&self, failure: Failure) -> bool {
        let abandoned = self.leave_open(ABANDONED);
        if abandoned {
            self.fail(failure);
        }
        abandoned
    }

    /// Ends the exchange for `failure`, whatever has been accepted.
    fn fail(&self, failure: Failure) {
        // The first reason is the one that is told.
        let _ = self.failure.set(failure);
        self.kill.cancel();
    }

    fn leave_open(&self, phase: u8) -> bool {
        self.phase.compare_exchange(OPEN, phase, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// How git ended.
struct Outcome {
    status: io::Result<ExitStatus>,
    errors: String,
}

/// A started process whose first answer has not been awaited yet.
pub(crate) struct Started {
    output: GitOutput,
    must_answer: bool,
    pub(crate) shared: Arc<Shared>,
}

/// Starts git and everything around it.
pub(crate) fn start(beginning: Beginning) -> Result<Started, Error> {
    let Beginning {
        mut command, place, input, max_input_bytes, must_answer, limit, preface, measure, ..
    } = beginning;
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command).map_err(Error::io("starting git"))?;
    let (stdin, stdout, stderr) =
        (group.child().stdin.take(), group.child().stdout.take(), group.child().stderr.take());
    let stdout = stdout.ok_or_else(|| Error::internal("git was started without an output"))?;
    widen(&stdout);
    let shared = Shared::new();
    let place = Arc::new(place);
    let pump = stdin.zip(input).map(|(stdin, input)| {
        widen(&stdin);
        tokio::spawn(pump(input, stdin, max_input_bytes, Arc::clone(&shared)))
    });
    let (told, outcome) = oneshot::channel();
    let watch = Watch {
        shared: Arc::clone(&shared),
        removed: place.removed(),
        deadline: limit.map(|limit| Instant::now() + limit),
        idle_limit: beginning.idle_limit,
        exit_limit: beginning.exit_limit,
        killed: beginning.killed,
    };
    let held = Arc::clone(&place);
    let errors = tokio::spawn(read_error_text(stderr));
    tokio::spawn(async move {
        let status = watch.over(group).await;
        watch.shared.ended.cancel();
        // Whatever held the error output open has been killed with the group.
        let errors = errors.await.unwrap_or_default();
        // The receiver is gone when the caller has let go.
        let _ = told.send(Outcome { status, errors });
        drop(held);
    });
    let running = Running {
        stdout: Some(stdout),
        buffer: BytesMut::new(),
        bytes: 0,
        measure,
        outcome,
        pump: pump.map(|task| task.abort_handle()),
        shared: Arc::clone(&shared),
        _place: place,
    };
    let output = GitOutput {
        ready: preface.into_iter().collect(),
        source: Some(Source::Git(running)),
        ended: None,
        held: None,
    };
    Ok(Started { output, must_answer, shared })
}

impl Started {
    /// Waits until git has begun to answer or has ended, so that a request git does not understand is an error and
    /// not an empty answer.
    pub(crate) async fn answer(self) -> Result<Exchange, Error> {
        let mut output = self.output;
        let preface = std::mem::take(&mut output.ready);
        match output.next().await {
            Some(Ok(chunk)) => {
                output.ready = preface;
                output.ready.push_back(chunk);
                Ok(Exchange { body: output })
            }
            Some(Err(error)) => Err(match self.shared.failure.get() {
                Some(Failure::TooLarge) => Error::RequestTooLarge,
                Some(Failure::BrokenInput) => Error::BadRequest("the request body is broken".into()),
                Some(Failure::RepositoryRemoved) => Error::NotFound,
                Some(Failure::TimedOut | Failure::LetGo) | None => {
                    Error::io("waiting for git to answer")(error)
                }
            }),
            None => match output.ended.take() {
                Some(outcome) => {
                    outcome.explain()?;
                    if self.must_answer && self.shared.received.load(Ordering::Relaxed) != PROBE_BYTES {
                        return Err(Error::BadRequest("the request is not whole".into()));
                    }
                    output.ready = preface;
                    Ok(Exchange { body: output })
                }
                None => Ok(Exchange { body: output }),
            },
        }
    }
}

impl Outcome {
    /// Says what it means that git ended without an answer.
    fn explain(self) -> Result<(), Error> {
        let status = self.status.map_err(Error::io("waiting for git"))?;
        if status.success() {
            return Ok(());
        }
        if self.errors.contains("No space left on device") {
            return Err(Error::DiskFull);
        }
        if status.code().is_none() {
            return Err(Error::internal(format!("git ended with {status}: {}", self.errors.trim())));
        }
        // The first line is git's reason. It may name a path of ours, which is nobody's business.
        let line = self.errors.lines().next().unwrap_or_default();
        let line = line.strip_prefix("fatal: ").unwrap_or(line);
        let shown =
            if line.is_empty() || line.contains('/') { "the request is not understood" } else { line };
        Err(Error::BadRequest(shown.chars().filter(|c| !c.is_control()).take(200).collect()))
    }
}

/// The bytes git answers with.
///
/// An error in the stream means that the answer is cut short: the connection must be broken, not ended as if the
/// answer were whole.
pub struct GitOutput {
    ready: VecDeque<Bytes>,
    source: Option<Source>,
    ended: Option<Outcome>,
    held: Option<Held>,
}

/// Where an answer comes from.
enum Source {
    /// A process of its own.
    Git(Running),
    /// Somebody who reads it first: an answer that is shared, or one to a push.
    Pieces(mpsc::Receiver<Piece>),
}

/// The half of an exchange that the caller holds.
struct Running {
    stdout: Option<ChildStdout>,
    buffer: BytesMut,
    /// What git has answered so far, in bytes.
    bytes: u64,
    measure: Option<Measure>,
    outcome: oneshot::Receiver<Outcome>,
    pump: Option<tokio::task::AbortHandle>,
    shared: Arc<Shared>,
    _place: Arc<Place>,
}

impl GitOutput {
    /// Returns an answer that is known beforehand.
    pub(crate) fn from_memory(chunks: impl IntoIterator<Item = Bytes>) -> GitOutput {
        GitOutput { ready: chunks.into_iter().collect(), source: None, ended: None, held: None }
    }

    /// Returns an answer that arrives in pieces.
    pub(crate) fn from_pieces(pieces: mpsc::Receiver<Piece>) -> GitOutput {
        GitOutput { ready: VecDeque::new(), source: Some(Source::Pieces(pieces)), ended: None, held: None }
    }

    /// Makes the caller hold an exchange that somebody else reads.
    pub(crate) fn holding(mut self, held: Held) -> GitOutput {
        self.held = Some(held);
        self
    }

    /// Says whether git has ended and calls it a success.
    pub(crate) fn ended_well(&self) -> bool {
        let status = self.ended.as_ref().map(|outcome| &outcome.status);
        matches!(status, Some(Ok(status)) if status.success())
    }
}

impl Stream for GitOutput {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if let Some(chunk) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let running = match &mut this.source {
            Some(Source::Git(running)) => running,
            Some(Source::Pieces(pieces)) => {
                let piece = ready!(pieces.poll_recv(context));
                if let Some(Piece::Bytes(bytes)) = piece {
                    return Poll::Ready(Some(Ok(bytes)));
                }
                this.source = None;
                let cut = || Err(io::Error::other("the answer was cut short"));
                return Poll::Ready(piece.is_none().then(cut));
            }
            None => return Poll::Ready(None),
        };
        if let Some(stdout) = &mut running.stdout {
            if running.buffer.capacity() < CHUNK_BYTES / 8 {
                running.buffer.reserve(CHUNK_BYTES);
            }
            match ready!(poll_read_buf(Pin::new(stdout), context, &mut running.buffer)) {
                Ok(0) => {
                    running.stdout = None;
                    running.shared.output_closed.cancel();
                }
                Ok(n) => {
                    running.shared.moved(n);
                    running.bytes += n as u64;
                    return Poll::Ready(Some(Ok(running.buffer.split().freeze())));
                }
                Err(error) => {
                    this.source = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let outcome = ready!(running.outcome.poll_unpin(context));
        let failure = running.shared.failure.get().copied();
        // Git has ended and so has its place; what is left of the input is thrown away by the pump on its own.
        running.pump = None;
        let (bytes, measure) = (running.bytes, running.measure.take());
        this.source = None;
        match (outcome, failure) {
            (_, Some(failure)) => {
                Poll::Ready(Some(Err(io::Error::other(format!("the exchange failed: {failure:?}")))))
            }
            (Err(_), None) => Poll::Ready(Some(Err(io::Error::other("the exchange was interrupted")))),
            (Ok(outcome), None) => {
                let killed = matches!(&outcome.status, Ok(status) if status.code().is_none());
                if killed {
                    return Poll::Ready(Some(Err(io::Error::other("git was killed"))));
                }
                this.ended = Some(outcome);
                if let Some(measure) = measure.filter(|_| this.ended_well()) {
                    measure(bytes);
                }
                Poll::Ready(None)
            }
        }
    }
}

/// An exchange that is let go when this is dropped.
pub(crate) struct Held(pub(crate) Arc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.shared.ended.is_cancelled() {
            return;
        }
        self.shared.let_go();
        // Only now may git's input end: an accepted push has been read whole, and an abandoned one cannot be accepted.
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
    }
}

/// Owns the process group of an exchange and decides when it ends.
struct Watch {
    shared: Arc<Shared>,
    removed: CancellationToken,
    deadline: Option<Instant>,
    idle_limit: Duration,
    exit_limit: Duration,
    killed: Arc<AtomicU64>,
}

impl Watch {
    async fn over(&self, group: Group) -> io::Result<ExitStatus> {
        let ended_by_itself = tokio::select! {
            biased;
            () = group.exited() => true,
            () = self.shared.kill.cancelled() => false,
            failure = self.reason_to_end() => {
                self.shared.fail(failure);
                false
            }
        };
        if !ended_by_itself {
            self.killed.fetch_add(1, Ordering::Relaxed);
            group.kill();
        }
        group.reap().await
    }

    /// Waits until there is a reason to end the exchange that neither the pump nor the caller has noticed.
    async fn reason_to_end(&self) -> Failure {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let last_moments = async {
            tokio::select! {
                () = self.shared.output_closed.cancelled() => {}
                () = self.shared.let_go.cancelled() => {}
            }
            sleep(self.exit_limit).await;
        };
        tokio::select! {
            () = self.removed.cancelled() => Failure::RepositoryRemoved,
            () = deadline => Failure::TimedOut,
            () = last_moments => Failure::TimedOut,
            () = self.no_sign_of_life() => Failure::TimedOut,
        }
    }

    async fn no_sign_of_life(&self) {
        let (mut seen, mut since) = (self.shared.moved.load(Ordering::Relaxed), Instant::now());
        while since.elapsed() < self.idle_limit {
            sleep(self.idle_limit / 8).await;
            let moved = self.shared.moved.load(Ordering::Relaxed);
            if moved != seen {
                (seen, since) = (moved, Instant::now());
            }
        }
    }
}

/// Carries the body of a request to git, at git's pace.
async fn pump(mut input: Input, stdin: ChildStdin, max_bytes: Option<u64>, shared: Arc<Shared>) {
    let mut stdin = Some(stdin);
    let mut total = 0u64;
    let mut drained = 0u64;
    let stop = async {
        shared.ended.cancelled().await;
        sleep(DRAIN_LIMIT).await;
    };
    tokio::pin!(stop);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = input.next() => chunk,
            () = &mut stop => return,
        };
        let chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            // Git learns of the end by the end of its own input, and decides whether the request is whole.
            None => return,
            Some(Err(_)) => return give_up(&shared, Failure::BrokenInput).await,
        };
        total = total.saturating_add(chunk.len() as u64);
        shared.received.store(total, Ordering::Relaxed);
        if max_bytes.is_some_and(|max| total > max) {
            return give_up(&shared, Failure::TooLarge).await;
        }
        match &mut stdin {
            Some(pipe) => {
                shared.moved(chunk.len());
                if pipe.write_all(&chunk).await.is_err() {
                    stdin = None;
                }
            }
            None => {
                drained += chunk.len() as u64;
                if drained > MAX_DRAINED_BYTES {
                    return;
                }
            }
        }
    }
}

/// Abandons the exchange from inside the pump, which holds git's input open until git has gone: an input that just
/// ended would look like a whole request.
async fn give_up(shared: &Shared, failure: Failure) {
    if shared.abandon(failure) {
        shared.ended.cancelled().await;
    }
}

/// Makes a pipe larger, where the system lets us.
fn widen(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

impl Beginning {
    /// Returns the beginning of an exchange that has no input and no preface yet, with the limits of the settings.
    pub(crate) fn new(
        command: Command,
        place: Place,
        settings: &Settings,
        killed: Arc<AtomicU64>,
    ) -> Beginning {
        Beginning {
            command,
            place,
            input: None,
            max_input_bytes: None,
            must_answer: false,
            limit: None,
            preface: None,
            measure: None,
            idle_limit: settings.idle_limit,
            exit_limit: settings.exit_limit,
            killed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_either_accepted_or_abandoned() {
        let accepted = Shared::new();
        assert!(accepted.accept());
        assert!(!accepted.abandon(Failure::LetGo));
        assert!(!accepted.kill.is_cancelled(), "an accepted push would be killed");

        let abandoned = Shared::new();
        assert!(abandoned.abandon(Failure::BrokenInput));
        assert!(!abandoned.accept(), "a push that nobody waits for would be accepted");
        assert!(abandoned.kill.is_cancelled());
        assert_eq!(abandoned.failure.get(), Some(&Failure::BrokenInput));
    }
}
