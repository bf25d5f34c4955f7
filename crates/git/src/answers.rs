//! Answers to repeated fetches: computed once, and handed to all who ask the same within a few minutes.
//!
//! In version 2 of the protocol the answer to `command=fetch` depends on the bytes of the request and on what is in
//! the repository, and on nothing else. A fleet of builders that clones one commit makes git compute the same pack
//! again and again. Here an answer that is asked for a second time is kept: its beginning in memory, the rest in a
//! file without a name, of which a crash leaves nothing. A *writer* runs git and stores what it says as fast as git
//! says it; all who ask, the first included, *follow*: they read what is stored at their own pace and wait for more.
//!
//! Who may ask is decided before the engine is called, on every request. An answer belongs to a repository; it knows
//! no users, and it is forgotten with the next push.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::disk::blocking;
use crate::exchange::{Exchange, GitOutput, Input, Measure};
use crate::{Error, Settings};

/// The longest request whose answer is kept, in bytes. A clone of a thousand branches has 50 KB.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// How many requests are remembered, so that the second of its kind is recognised.
const MAX_SEEN: usize = 10_000;

/// How many answers are kept at once, which bounds memory and open files.
const MAX_ANSWERS: usize = 256;

/// How many clients may follow at once; the next ones have git to themselves. Each holds a few pieces in memory.
const MAX_FOLLOWERS: usize = 1024;

/// How much of an answer is in memory, in bytes. Most fetches of a few commits are shorter.
const HEAD_BYTES: u64 = 128 * 1024;

/// How much a follower reads from the file at a time, in bytes.
const PIECE_BYTES: u64 = 128 * 1024;

/// How many chunks of git's output are stored together, where git is that quick.
const CHUNKS_AT_ONCE: usize = 4;

/// One answer may take this part of the whole room.
const PART_OF_ROOM: u64 = 4;

/// The answers that are kept, and the requests that were seen.
pub(crate) struct Answers {
    max_bytes: u64,
    lifetime: Duration,
    /// How long a client may rest between two pieces.
    patience: Duration,
    /// How long a client may take for the whole answer.
    follow_limit: Duration,
    folder: PathBuf,
    held: Arc<Held>,
    reused: AtomicU64,
    table: Mutex<Table>,
}

/// What all answers take together, those included that can no longer be found and are still being read.
#[derive(Default)]
struct Held {
    bytes: AtomicU64,
    answers: AtomicUsize,
}

struct Table {
    kept: HashMap<Key, Arc<Answer>>,
    followers: usize,
    /// Requests seen lately, in two generations: the older one is dropped when the recent one is full or old.
    recent: HashMap<Key, Sight>,
    older: HashMap<Key, Sight>,
    recent_since: Instant,
}

/// When a request was last seen, and how long its answer was, if that is known.
#[derive(Clone, Copy)]
struct Sight {
    at: Instant,
    bytes: Option<u64>,
}

/// Stands for a repository, the protocol asked for, and the bytes of a request. It is a cryptographic digest, because
/// clients choose the bytes, and must not be able to find two requests that are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(repository: i64, protocol: &str, body: &[u8]) -> Key {
        let mut digest = Sha256::new();
        digest.update(repository.to_be_bytes());
        digest.update((protocol.len() as u64).to_be_bytes());
        digest.update(protocol);
        digest.update(body);
        Key(digest.finalize().into())
    }
}

/// One answer that is kept or being written.
struct Answer {
    key: Key,
    repository: i64,
    begun: Instant,
    state: watch::Receiver<State>,
    /// Cancelled when nobody follows any more before the answer is whole.
    abandoned: CancellationToken,
    /// Changed only under the lock of the table.
    followers: AtomicUsize,
    /// What it takes, or will take as far as that is known, in bytes. Changed only by the writer.
    size: AtomicU64,
    held: Arc<Held>,
}

/// How far an answer has come.
#[derive(Default)]
struct State {
    head: Vec<Bytes>,
    head_bytes: u64,
    /// What does not fit into the head. From the first byte here on, the head does not grow.
    spool: Option<Arc<Spool>>,
    spool_bytes: u64,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Failed,
}

/// A file without a name.
struct Spool {
    file: Option<File>,
    runtime: Handle,
}

/// What is known about a request before git is asked.
pub(crate) enum Found {
    /// Nothing: it was not seen before, or there is no room for another follower.
    Nothing,
    /// It was seen before; then its answer had so many bytes, if that is known.
    Seen(Option<u64>),
    /// Its answer is kept or being written.
    Answer(Follow),
}

impl Answers {
    /// Begins without any answer. Files are made in `folder`.
    pub(crate) fn new(settings: &Settings, folder: PathBuf) -> Arc<Answers> {
        let table = Table {
            kept: HashMap::new(),
            followers: 0,
            recent: HashMap::new(),
            older: HashMap::new(),
            recent_since: Instant::now(),
        };
        Arc::new(Answers {
            max_bytes: settings.answer_cache_bytes,
            lifetime: settings.answer_lifetime,
            patience: settings.idle_limit,
            follow_limit: settings.fetch_limit,
            folder,
            held: Arc::default(),
            reused: AtomicU64::new(0),
            table: Mutex::new(table),
        })
    }

    /// Says whether any answer may be kept at all.
    pub(crate) fn are_kept(&self) -> bool {
        self.max_bytes > 0
    }

    /// How many requests were answered without a process of their own.
    pub(crate) fn reused(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }

    /// How many bytes are kept now.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.bytes.load(Ordering::Relaxed)
    }

    /// Looks for an answer, and remembers that it was asked for.
    pub(crate) fn find(self: &Arc<Answers>, key: Key) -> Found {
        let mut table = self.lock();
        let seen = table.see(key, self.lifetime);
        match (table.kept.get(&key).map(Arc::clone), seen) {
            (Some(answer), _) => self.follow(&mut table, answer).map_or(Found::Nothing, Found::Answer),
            (None, Some(bytes)) => Found::Seen(bytes),
            (None, None) => Found::Nothing,
        }
    }

    /// Returns how much room an answer needs, in bytes, or nothing when it is not to be kept: it is too large, or it
    /// would take more than half of what is free on the disk, which pushes need. An answer of unknown length is taken
    /// to be as long as all packs of its repository.
    pub(crate) async fn room_for(&self, repository: PathBuf, known: Option<u64>) -> Option<u64> {
        let most = self.most_for_one();
        if known.is_some_and(|bytes| bytes > most) {
            return None;
        }
        let folder = self.folder.clone();
        let looked = blocking(move || {
            let doing = || Error::io("looking for room for an answer");
            let needed = match known {
                Some(bytes) => bytes,
                None => packs_bytes(&repository).map_err(doing())?,
            };
            let disk = rustix::fs::statvfs(&folder).map_err(|error| doing()(error.into()))?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            Ok((needed <= most && needed <= free / 2).then_some(needed))
        });
        // Whatever is wrong with the repository is found by git, and told better.
        looked.await.ok().flatten()
    }

    /// Begins an answer, or follows one that has been begun meanwhile. Nothing when there is no room.
    pub(crate) fn begin(
        self: &Arc<Answers>,
        key: Key,
        repository: i64,
        needed: u64,
    ) -> Option<(Follow, Option<Lead>)> {
        let mut table = self.lock();
        if let Some(answer) = table.kept.get(&key).map(Arc::clone) {
            return Some((self.follow(&mut table, answer)?, None));
        }
        if !self.make_room(&mut table, needed, 1) {
            return None;
        }
        let (state, receiver) = watch::channel(State::default());
        let answer = Arc::new(Answer {
            key,
            repository,
            begun: Instant::now(),
            state: receiver,
            abandoned: CancellationToken::new(),
            followers: AtomicUsize::new(0),
            size: AtomicU64::new(needed),
            held: Arc::clone(&self.held),
        });
        self.held.bytes.fetch_add(needed, Ordering::Relaxed);
        self.held.answers.fetch_add(1, Ordering::Relaxed);
        let follow = self.follow(&mut table, Arc::clone(&answer))?;
        table.kept.insert(key, Arc::clone(&answer));
        drop(table);
        // An idle server keeps nothing, so the end of an answer does not wait for the next request.
        let (answers, ending) = (Arc::downgrade(self), Arc::downgrade(&answer));
        let lifetime = self.lifetime;
        tokio::spawn(async move {
            sleep(lifetime).await;
            if let (Some(answers), Some(answer)) = (answers.upgrade(), ending.upgrade()) {
                answers.lock().take_out(&answer);
            }
        });
        Some((follow, Some(Lead { answers: Arc::clone(self), answer, state })))
    }

    /// Forgets every answer of a repository. Those who follow one already may finish.
    pub(crate) fn forget(&self, repository: i64) {
        self.lock().kept.retain(|_, answer| answer.repository != repository);
    }

    /// Returns what notes the length of an answer that git gives to one client alone.
    pub(crate) fn measure(self: &Arc<Answers>, key: Key) -> Measure {
        let answers = Arc::downgrade(self);
        Box::new(move |bytes| {
            if let Some(answers) = answers.upgrade() {
                answers.lock().note_length(key, bytes);
            }
        })
    }

    /// The largest answer that is kept, in bytes.
    fn most_for_one(&self) -> u64 {
        self.max_bytes / PART_OF_ROOM
    }

    fn follow(self: &Arc<Answers>, table: &mut Table, answer: Arc<Answer>) -> Option<Follow> {
        if table.followers >= MAX_FOLLOWERS {
            return None;
        }
        table.followers += 1;
        answer.followers.fetch_add(1, Ordering::Relaxed);
        let state = answer.state.clone();
        Some(Follow { answers: Arc::clone(self), answer, state })
    }

    /// Lets the oldest whole answers go until there is room for more bytes and more answers, and says whether there is.
    /// One that is being read stays: its room would not be free before its readers have gone.
    fn make_room(&self, table: &mut Table, bytes: u64, answers: usize) -> bool {
        loop {
            let held = self.held.bytes.load(Ordering::Relaxed);
            if held.saturating_add(bytes) <= self.max_bytes
                && self.held.answers.load(Ordering::Relaxed) + answers <= MAX_ANSWERS
            {
                return true;
            }
            let idle = table.kept.values().filter(|answer| answer.is_idle());
            let Some(oldest) = idle.min_by_key(|answer| answer.begun).map(|answer| answer.key) else {
                return false;
            };
            table.kept.remove(&oldest);
        }
    }

    /// Accounts for what the writer has stored. An answer that turns out to be larger than one may be is finished for
    /// those who follow it, but nobody else finds it.
    fn grow(&self, answer: &Arc<Answer>, stored: u64) {
        let before = answer.size.load(Ordering::Relaxed);
        if stored <= before {
            return;
        }
        answer.size.store(stored, Ordering::Relaxed);
        self.held.bytes.fetch_add(stored - before, Ordering::Relaxed);
        if stored > self.most_for_one() || self.bytes() > self.max_bytes {
            let mut table = self.lock();
            if stored > self.most_for_one() || !self.make_room(&mut table, 0, 0) {
                table.take_out(answer);
                table.note_length(answer.key, stored);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // The table is never left half changed, so a panic elsewhere does not make it unusable.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Notes that a request was seen. Returns nothing if it was not seen within `lifetime`, else the length of its
    /// answer as far as it is known.
    fn see(&mut self, key: Key, lifetime: Duration) -> Option<Option<u64>> {
        let now = Instant::now();
        if self.recent.len() >= MAX_SEEN / 2 || now.duration_since(self.recent_since) > lifetime {
            self.older = std::mem::take(&mut self.recent);
            self.recent_since = now;
        }
        let before = self.recent.remove(&key).or_else(|| self.older.remove(&key));
        let before = before.filter(|sight| now.duration_since(sight.at) <= lifetime);
        let bytes = before.and_then(|sight| sight.bytes);
        self.recent.insert(key, Sight { at: now, bytes });
        before.map(|sight| sight.bytes)
    }

    fn note_length(&mut self, key: Key, bytes: u64) {
        if let Some(sight) = self.recent.get_mut(&key).or_else(|| self.older.get_mut(&key)) {
            sight.bytes = Some(bytes);
        }
    }

    /// Makes that nobody finds this answer any more.
    fn take_out(&mut self, answer: &Arc<Answer>) {
        if self.kept.get(&answer.key).is_some_and(|kept| Arc::ptr_eq(kept, answer)) {
            self.kept.remove(&answer.key);
        }
    }
}

impl Answer {
    /// Says whether the answer is whole and nobody reads it. The lock of the table must be held.
    fn is_idle(&self) -> bool {
        self.followers.load(Ordering::Relaxed) == 0 && self.state.borrow().end == Some(End::Whole)
    }

    /// Gives back the room that a finished answer was expected to need and did not. Returns its length in bytes.
    fn settle(&self) -> u64 {
        let stored = self.state.borrow().bytes();
        let expected = self.size.swap(stored, Ordering::Relaxed);
        self.held.bytes.fetch_sub(expected.saturating_sub(stored), Ordering::Relaxed);
        stored
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.size.load(Ordering::Relaxed), Ordering::Relaxed);
        self.held.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.head_bytes + self.spool_bytes
    }
}

impl Spool {
    fn make(folder: &Path, runtime: Handle) -> io::Result<Spool> {
        Ok(Spool { file: Some(tempfile::tempfile_in(folder)?), runtime })
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, chunks: &[Bytes], mut at: u64) -> io::Result<()> {
        for chunk in chunks {
            self.file()?.write_all_at(chunk, at)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    fn read(&self, at: u64, length: u64) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(usize::try_from(length).map_err(io::Error::other)?);
        self.file()?.read_exact_at(&mut bytes, at)?;
        Ok(bytes.freeze())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // The file goes when it is closed, and for a large one that is work for the disk.
        if let Some(file) = self.file.take() {
            self.runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// The right to write one answer, and the duty to end it: dropping it unfinished fails all who follow.
pub(crate) struct Lead {
    answers: Arc<Answers>,
    answer: Arc<Answer>,
    state: watch::Sender<State>,
}

impl Lead {
    /// Stores what `exchange` answers, until it ends or nobody follows any more; then it is dropped, and with it git. An
    /// error before the first byte is told, because one of the followers has to pass it on.
    pub(crate) async fn write(
        self,
        exchange: impl Future<Output = Result<Exchange, Error>>,
        tell: oneshot::Sender<Error>,
    ) {
        let work = async {
            match exchange.await {
                Ok(exchange) => self.store(exchange.body).await,
                Err(error) => {
                    // Who began the answer may have gone, and the others ask for themselves.
                    let _ = tell.send(error);
                }
            }
        };
        tokio::select! {
            biased;
            () = self.answer.abandoned.cancelled() => {}
            () = work => {}
        }
    }

    async fn store(&self, body: GitOutput) {
        let mut body = body.ready_chunks(CHUNKS_AT_ONCE);
        while let Some(chunks) = body.next().await {
            // A broken answer ends here and is failed when the lead is dropped. Git's own end has said why.
            let Ok(chunks) = chunks.into_iter().collect::<io::Result<Vec<Bytes>>>() else { return };
            if let Err(error) = self.append(chunks).await {
                warn!(%error, "an answer to a fetch could not be kept");
                // It is not tried again soon: the next one has git to itself.
                self.answers.lock().note_length(self.answer.key, u64::MAX);
                return;
            }
        }
        let stored = self.answer.settle();
        {
            let mut table = self.answers.lock();
            table.note_length(self.answer.key, stored);
            if !body.into_inner().ended_well() {
                // The client is told what git has said, but a failure may pass and is not kept.
                table.take_out(&self.answer);
            }
        }
        self.state.send_modify(|state| state.end = Some(End::Whole));
    }

    async fn append(&self, chunks: Vec<Bytes>) -> io::Result<()> {
        let length = |chunks: &[Bytes]| chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let (spool, at, mut room) = {
            let state = self.state.borrow();
            let room = if state.spool.is_some() { 0 } else { HEAD_BYTES - state.head_bytes };
            (state.spool.clone(), state.spool_bytes, room)
        };
        let fitting = chunks.iter().take_while(|chunk| {
            let fits = chunk.len() as u64 <= room;
            room = room.saturating_sub(chunk.len() as u64);
            fits
        });
        let (head, rest) = chunks.split_at(fitting.count());
        let (head_bytes, rest_bytes, rest) = (length(head), length(rest), rest.to_vec());
        let spool = if rest.is_empty() {
            spool
        } else {
            let (folder, runtime) = (self.answers.folder.clone(), Handle::current());
            let written = tokio::task::spawn_blocking(move || {
                let spool = spool.map_or_else(|| Spool::make(&folder, runtime).map(Arc::new), Ok)?;
                spool.write(&rest, at).map(|()| spool)
            });
            Some(written.await.map_err(io::Error::other)??)
        };
        let stored = self.state.borrow().bytes() + head_bytes + rest_bytes;
        self.answers.grow(&self.answer, stored);
        self.state.send_modify(|state| {
            if head_bytes > 0 {
                // A copy, because a short chunk keeps all of the buffer that it was read into.
                state.head.push(head.concat().into());
            }
            state.head_bytes += head_bytes;
            state.spool = spool;
            state.spool_bytes += rest_bytes;
        });
        Ok(())
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.state.borrow().end.is_none() {
            // First it cannot be found any more, so that nobody begins to follow a failure.
            self.answers.lock().take_out(&self.answer);
            self.state.send_modify(|state| state.end = Some(End::Failed));
        }
    }
}

/// One of those who read an answer. When the last one goes before it is whole, git is killed.
pub(crate) struct Follow {
    answers: Arc<Answers>,
    answer: Arc<Answer>,
    state: watch::Receiver<State>,
}

/// What a follower hands to its client.
pub(crate) enum Piece {
    Bytes(Bytes),
    /// The answer is whole. Without this it is cut short.
    End,
}

/// What a follower does next.
enum Next {
    Hand(Bytes),
    Read(Arc<Spool>, u64, u64),
    Wait,
    Finish(End),
}

/// How far a follower has read.
#[derive(Default)]
struct Position {
    chunks: usize,
    spooled: u64,
}

impl Follow {
    /// Waits until the answer begins. Says no when it has failed, and then the request must be answered otherwise.
    pub(crate) async fn begins(&mut self) -> bool {
        let begun = self.state.wait_for(|state| state.end.is_some() || state.bytes() > 0).await;
        begun.is_ok_and(|state| state.end != Some(End::Failed))
    }

    /// Counts that an answer has served once more.
    pub(crate) fn count(&self) {
        self.answers.reused.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the answer as a stream.
    pub(crate) fn output(self) -> GitOutput {
        let short = {
            let state = self.state.borrow();
            (state.end == Some(End::Whole) && state.spool.is_none()).then(|| state.head.clone())
        };
        if let Some(chunks) = short {
            return GitOutput::from_memory(chunks);
        }
        // It is a task of its own, because a client that stops reading does not even ask the stream any more, and must
        // not hold the answer for ever.
        let (to, pieces) = mpsc::channel(1);
        tokio::spawn(self.carry(to));
        GitOutput::from_pieces(pieces)
    }

    async fn carry(mut self, to: mpsc::Sender<Piece>) {
        let limit = self.answers.follow_limit;
        tokio::select! {
            biased;
            // The client has gone.
            () = to.closed() => {}
            // Whatever the reason for an early end, the client sees that the end is missing.
            _ = timeout(limit, self.hand_over(&to)) => {}
        }
    }

    async fn hand_over(&mut self, to: &mpsc::Sender<Piece>) {
        let mut position = Position::default();
        loop {
            let piece = match self.next(&mut position) {
                Next::Hand(bytes) => Piece::Bytes(bytes),
                Next::Read(spool, at, length) => {
                    let read = tokio::task::spawn_blocking(move || spool.read(at, length)).await;
                    match read.map_err(io::Error::other).flatten() {
                        Ok(bytes) => Piece::Bytes(bytes),
                        Err(error) => return warn!(%error, "a kept answer could not be read"),
                    }
                }
                Next::Wait => match self.state.changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                Next::Finish(End::Whole) => Piece::End,
                Next::Finish(End::Failed) => return,
            };
            let last = matches!(piece, Piece::End);
            if !matches!(timeout(self.answers.patience, to.send(piece)).await, Ok(Ok(()))) || last {
                return;
            }
        }
    }

    fn next(&mut self, position: &mut Position) -> Next {
        let state = self.state.borrow_and_update();
        if let Some(chunk) = state.head.get(position.chunks) {
            position.chunks += 1;
            return Next::Hand(chunk.clone());
        }
        let at = position.spooled;
        match &state.spool {
            Some(spool) if at < state.spool_bytes => {
                let length = (state.spool_bytes - at).min(PIECE_BYTES);
                position.spooled += length;
                Next::Read(Arc::clone(spool), at, length)
            }
            _ => state.end.map_or(Next::Wait, Next::Finish),
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let mut table = self.answers.lock();
        table.followers -= 1;
        let others = self.answer.followers.fetch_sub(1, Ordering::Relaxed) - 1;
        // Whoever wants to follow needs the same lock, so nobody joins between this look and the end.
        if others == 0 && self.answer.state.borrow().end.is_none() {
            table.take_out(&self.answer);
            self.answer.abandoned.cancel();
        }
    }
}

/// The body of a request, as far as it had to be read.
pub(crate) enum Collected {
    /// A whole request whose answer may be kept.
    Fetch(Bytes),
    /// Anything else: what was read, and the rest.
    Other(Input),
}

/// Reads a body until it is clear whether its answer may be kept, for at most `patience`. What goes wrong on the way
/// goes wrong again, in the same place, for whoever reads what is returned.
pub(crate) async fn collect(input: Input, patience: Duration) -> Collected {
    // Its end may be read here, and then the rest must be empty.
    let mut input = input.fuse();
    let deadline = Instant::now() + patience;
    let mut read = BytesMut::new();
    while may_begin_fetch(&read) {
        let next = match timeout_at(deadline, input.next()).await {
            Ok(Some(Ok(chunk))) if read.len() + chunk.len() <= MAX_REQUEST_BYTES => {
                read.extend_from_slice(&chunk);
                continue;
            }
            Ok(None) if is_repeatable(&read) => return Collected::Fetch(read.freeze()),
            Ok(next) => next,
            Err(_) => None,
        };
        let read = (!read.is_empty()).then(|| Ok(read.freeze()));
        return Collected::Other(Box::pin(stream::iter(read.into_iter().chain(next)).chain(input)));
    }
    Collected::Other(Box::pin(stream::iter([Ok(read.freeze())]).chain(input)))
}

/// One packet of a request (gitprotocol-common).
#[derive(Debug, PartialEq, Eq)]
enum Packet<'a> {
    /// A flush, a delimiter or the end of a response: `0000` to `0002`.
    Mark,
    Line(&'a [u8]),
}

/// Splits the first packet off. Nothing when it is malformed or not whole.
fn split_packet(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let digit = |value: usize, byte: &u8| Some(value * 16 + char::from(*byte).to_digit(16)? as usize);
    match digits.iter().try_fold(0, digit)? {
        0..=2 => Some((Packet::Mark, rest)),
        length => {
            let (line, rest) = rest.split_at_checked(length.checked_sub(4)?)?;
            Some((Packet::Line(line.strip_suffix(b"\n").unwrap_or(line)), rest))
        }
    }
}

/// The first line of a request to fetch, in both forms that clients send.
const FIRST_LINES: [&[u8]; 2] = [b"0011command=fetch", b"0012command=fetch\n"];

/// Says whether a body that begins like this may be a request to fetch.
fn may_begin_fetch(read: &[u8]) -> bool {
    FIRST_LINES.iter().any(|line| line.iter().zip(read).all(|(expected, actual)| expected == actual))
}

/// Says whether a body is a well-formed request to fetch whose answer names no ref: refs may move while nothing else
/// changes.
fn is_repeatable(body: &[u8]) -> bool {
    if !FIRST_LINES.iter().any(|line| body.starts_with(line)) {
        return false;
    }
    let mut rest = body;
    while !rest.is_empty() {
        let Some((packet, after)) = split_packet(rest) else { return false };
        if let Packet::Line(line) = packet
            && (line.starts_with(b"deepen-not") || line.starts_with(b"want-ref"))
        {
            return false;
        }
        rest = after;
    }
    true
}

/// Adds up the packs of a repository, in bytes. Blocks.
fn packs_bytes(repository: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(repository.join("objects/pack"))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "pack") {
            total += entry.metadata().map_or(0, |data| data.len());
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(line: &str) -> String {
        format!("{:04x}{line}", line.len() + 4)
    }

    fn request(lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| packet(line)).collect();
        format!("{}{}0001{lines}0000", packet("command=fetch"), packet("agent=test"))
    }

    /// A stream that must not be asked again after its end, as many are.
    fn once_through(items: Vec<io::Result<Bytes>>) -> Input {
        Box::pin(stream::unfold(items.into_iter(), |mut items| async move {
            items.next().map(|item| (item, items))
        }))
    }

    fn chunks(parts: &[&str]) -> Vec<io::Result<Bytes>> {
        parts.iter().map(|part| Ok(Bytes::copy_from_slice(part.as_bytes()))).collect()
    }

    /// Collects, and returns whether the answer may be kept, and everything that git would be sent.
    async fn collected(items: Vec<io::Result<Bytes>>) -> (bool, String) {
        match collect(once_through(items), Duration::from_secs(60)).await {
            Collected::Fetch(body) => (true, String::from_utf8(body.to_vec()).unwrap()),
            Collected::Other(mut input) => {
                let mut text = String::new();
                while let Some(item) = input.next().await {
                    match item {
                        Ok(bytes) => text.push_str(str::from_utf8(&bytes).unwrap()),
                        Err(_) => text.push_str("<error>"),
                    }
                }
                (false, text)
            }
        }
    }

    #[test]
    fn only_whole_fetches_that_name_no_ref_are_repeatable() {
        let want = format!("want {}\n", "a".repeat(40));
        assert!(is_repeatable(request(&[&want, "done\n"]).as_bytes()));
        assert!(is_repeatable(request(&[&want, "deepen 1", "deepen-since 1700000000"]).as_bytes()));
        assert!(is_repeatable(packet("command=fetch\n").as_bytes()));
        let fetch = request(&[&want]);
        for refused in [
            request(&[&want, "deepen-not refs/heads/main"]),
            request(&["want-ref refs/heads/main\n"]),
            fetch[..fetch.len() - 1].to_owned(),
            format!("{fetch}0003"),
            format!("{fetch}000"),
            format!("{fetch}+123"),
            format!("{fetch}fffe"),
            packet("command=ls-refs\n"),
            packet("command=fetches\n"),
            packet("command=fetch\n\n"),
            format!("{}{}", packet("agent=test"), packet("command=fetch")),
            "0000".into(),
            String::new(),
        ] {
            assert!(!is_repeatable(refused.as_bytes()), "{refused:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_kept_is_passed_on_as_it_came() {
        let fetch = request(&["done\n"]);
        for cut in 0..fetch.len() {
            let (kept, text) = collected(chunks(&[&fetch[..cut], &fetch[cut..]])).await;
            assert!(kept && text == fetch, "cut at {cut}");
        }
        let large = format!("{}{}", packet("command=fetch"), packet(&"a".repeat(60_000)).repeat(2));
        let ls_refs = packet("command=ls-refs\n");
        for parts in [
            &[&large[..100], &large[100..]][..],
            &[&large],
            &[&ls_refs[..6], &ls_refs[6..], "0000"],
            &[&fetch[..20], "zzzz"],
            &["0000"],
            &[],
        ] {
            assert_eq!(collected(chunks(parts)).await, (false, parts.concat()));
        }
        let mut broken = chunks(&[&fetch[..20]]);
        broken.push(Err(io::ErrorKind::ConnectionReset.into()));
        broken.extend(chunks(&["rest"]));
        assert_eq!(collected(broken).await, (false, format!("{}<error>rest", &fetch[..20])));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_waited_for_a_while_only() {
        let fetch = Bytes::from(request(&["done\n"]));
        let slow = stream::iter([Ok(fetch.clone())]).chain(stream::pending());
        let before = Instant::now();
        let Collected::Other(mut input) = collect(Box::pin(slow), Duration::from_secs(60)).await else {
            panic!("a request without an end was taken for whole");
        };
        assert_eq!(before.elapsed(), Duration::from_secs(60));
        assert_eq!(input.next().await.unwrap().unwrap(), fetch);
        // Whether it is a fetch is clear after a few bytes, and anything else does not wait for more.
        let other = stream::iter(chunks(&["0014command=ls"])).chain(stream::pending());
        assert!(matches!(collect(Box::pin(other), Duration::from_secs(60)).await, Collected::Other(_)));
        assert_eq!(before.elapsed(), Duration::from_secs(60));
    }

    #[test]
    fn a_key_stands_for_all_three_of_its_parts() {
        let key = Key::new(1, "version=2", b"body");
        assert_eq!(key, Key::new(1, "version=2", b"body"));
        for other in [
            Key::new(2, "version=2", b"body"),
            Key::new(1, "version=2:a=b", b"body"),
            Key::new(1, "version=2b", b"ody"),
            Key::new(1, "version=2", b"bodies"),
        ] {
            assert_ne!(key, other);
        }
    }

    fn answers(max_bytes: u64) -> (Arc<Answers>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("/nowhere", "/nowhere");
        settings.answer_cache_bytes = max_bytes;
        (Answers::new(&settings, folder.path().to_owned()), folder)
    }

    fn key(number: usize) -> Key {
        Key::new(1, "version=2", &number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_remembered_for_a_while_and_few_are() {
        let (answers, _folder) = answers(1 << 20);
        let lifetime = answers.lifetime;
        let see = |number| answers.lock().see(key(number), lifetime);
        assert_eq!(see(0), None);
        assert_eq!(see(0), Some(None));
        answers.measure(key(0))(5);
        tokio::time::advance(lifetime).await;
        assert_eq!(see(0), Some(Some(5)));
        tokio::time::advance(lifetime + Duration::from_secs(1)).await;
        assert_eq!(see(0), None);
        for number in 1..3 * MAX_SEEN {
            see(number);
            let table = answers.lock();
            assert!(table.recent.len() + table.older.len() <= MAX_SEEN);
        }
        assert_eq!(see(0), None, "the oldest were not forgotten");
        assert_eq!(see(3 * MAX_SEEN - 1), Some(None));
    }

    #[tokio::test]
    async fn followers_and_answers_are_bounded() {
        let (answers, _folder) = answers(1 << 20);
        let (first, lead) = answers.begin(key(0), 1, 100).unwrap();
        let mut follows = vec![first];
        while follows.len() < MAX_FOLLOWERS {
            let Found::Answer(follow) = answers.find(key(0)) else { panic!("{}", follows.len()) };
            follows.push(follow);
        }
        assert!(matches!(answers.find(key(0)), Found::Nothing));
        assert!(answers.begin(key(1), 1, 100).is_none());
        assert_eq!(answers.bytes(), 100, "an answer that was not begun takes room");
        drop(follows);
        assert!(lead.unwrap().answer.abandoned.is_cancelled());
        assert_eq!(answers.bytes(), 0);

        let mut held = Vec::new();
        while held.len() < MAX_ANSWERS {
            held.push(answers.begin(key(held.len()), 1, 1).unwrap());
        }
        assert!(answers.begin(key(MAX_ANSWERS), 1, 1).is_none());
        held.clear();
        assert!(answers.begin(key(MAX_ANSWERS), 1, 1).is_some());
    }

    #[tokio::test]
    async fn room_is_what_the_limit_and_the_disk_leave() {
        let (answers, folder) = answers(u64::MAX);
        let repository = folder.path().join("repository.git");
        let packs = repository.join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        for (name, length) in [("pack-1.pack", 300), ("pack-1.idx", 50), ("pack-2.pack", 20)] {
            fs::write(packs.join(name), vec![0; length]).unwrap();
        }
        assert_eq!(answers.room_for(repository.clone(), None).await, Some(320));
        assert_eq!(answers.room_for(repository.clone(), Some(7)).await, Some(7));
        // Less than a quarter of the limit, and more than any disk has.
        assert_eq!(answers.room_for(repository.clone(), Some(1 << 61)).await, None);
        assert_eq!(answers.room_for(repository.clone(), Some(u64::MAX)).await, None);
        assert_eq!(answers.room_for(folder.path().join("none.git"), None).await, None);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_is_found_by_nobody() {
        let (answers, _folder) = answers(1 << 20);
        answers.lock().see(key(0), answers.lifetime);
        let (first, lead) = answers.begin(key(0), 1, 100).unwrap();
        let Found::Answer(second) = answers.find(key(0)) else { panic!() };
        drop(first);
        let lead = lead.unwrap();
        assert!(!lead.answer.abandoned.is_cancelled(), "one follower still waits");
        drop(second);
        assert!(lead.answer.abandoned.is_cancelled());
        assert!(matches!(answers.find(key(0)), Found::Seen(None)));
    }

    #[tokio::test]
    async fn a_writer_that_goes_without_an_end_has_failed() {
        let (answers, _folder) = answers(1 << 20);
        let (mut follow, lead) = answers.begin(key(0), 1, 100).unwrap();
        drop(lead);
        assert!(!follow.begins().await);
        assert!(matches!(answers.find(key(0)), Found::Nothing));
    }
}
