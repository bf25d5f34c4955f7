//! Blobs and uploads as objects in a bucket of an S3-compatible service.
//!
//! `blobs/sha256/ab/abcd…` is a blob, `uploads/<session>/<offset>` a piece of an upload. A request of the protocol is one
//! piece, streamed as the parts of a multipart upload if it is long; so an object is there as a whole or not at all.
//!
//! Nothing here depends on conditional requests, which some services ignore. A blob is named by its content, so whoever
//! writes it again writes the same. A piece is written by whoever holds the session.
//!
//! Parts of a multipart upload whose process died stay until the service removes them: the bucket should have a
//! lifecycle rule for incomplete multipart uploads.

use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutPayload, RetryConfig,
};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::store::{BlobEntry, BlobRead, BlobStream, check_range};
use crate::uploads::Claim;
use crate::{Digest, Error, SessionId};

/// How long a part is, in bytes. Services want at least 5 MiB, and some want all but the last to be equal.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// How many parts an object may have. So a piece of an upload may have 78 GiB. The parts of a blob, whose size is known,
/// are made longer where these are too many.
const MAX_PARTS: usize = 10_000;

/// How many parts of one object may be on their way at once.
const PARTS_AT_ONCE: usize = 2;

/// The largest object that a service copies in one request, in bytes.
const MAX_COPY_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// How often a request is tried again, and a download gone on with whose connection broke.
const MAX_RETRIES: usize = 6;

/// How long things may take.
#[derive(Clone, Copy)]
struct Limits {
    /// A request that is no download. To copy a large object takes minutes.
    call: Duration,
    /// From when a request is first made until it is not tried again.
    retry: Duration,
    /// The service, to begin a download, and to go on with it while somebody waits for the next bytes.
    silence: Duration,
    /// From the beginning of a download until it is not gone on with when its connection breaks.
    download: Duration,
}

const LIMITS: Limits = Limits {
    call: Duration::from_secs(5 * 60),
    retry: Duration::from_secs(60),
    silence: Duration::from_secs(60),
    download: Duration::from_secs(24 * 60 * 60),
};

/// Which bucket holds the blobs, and how to reach it.
#[derive(Clone)]
pub struct S3Settings {
    /// The name of the bucket, which must exist.
    pub bucket: String,
    /// What stands before the names of all objects, without slashes at the ends; it may be empty. Two stores in one bucket
    /// need two prefixes that do not begin with each other.
    pub prefix: String,
    /// Variables as a process has them in its environment. Those that begin with `AWS_` say where the service is and with
    /// which credentials it is asked, such as `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`; `AWS_ALLOW_HTTP=true` permits an endpoint without TLS. The rest is ignored.
    pub variables: Vec<(String, String)>,
}

/// The bucket.
pub(crate) struct S3Store {
    /// For what is written, listed and deleted: everything that ends soon.
    calls: AmazonS3,
    /// For what is read, which takes as long as its reader.
    reads: AmazonS3,
    limits: Limits,
    bucket: String,
    blobs: Path,
    uploads: Path,
}

impl S3Store {
    pub(crate) fn open(settings: &S3Settings) -> Result<S3Store, Error> {
        S3Store::open_with(settings, LIMITS)
    }

    fn open_with(settings: &S3Settings, limits: Limits) -> Result<S3Store, Error> {
        let unusable = |error: object_store::Error| {
            Error::Unusable(format!("the settings of the object storage: {error}"))
        };
        let prefix = Path::parse(&settings.prefix).map_err(|error| unusable(error.into()))?;
        let build = |options: ClientOptions, retry_timeout| {
            let retry = RetryConfig { max_retries: MAX_RETRIES, retry_timeout, ..RetryConfig::default() };
            // Objects are deleted one by one, because not every service can do it in bulk.
            let builder = AmazonS3Builder::new()
                .with_client_options(options)
                .with_retry(retry)
                .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
            let variables = settings.variables.iter().filter(|(name, _)| name.starts_with("AWS_"));
            let builder =
                variables.fold(builder, |builder, (name, value)| {
                    match AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()) {
                        Ok(key) => builder.with_config(key, value),
                        Err(_) => builder,
                    }
                });
            builder.with_bucket_name(&settings.bucket).build().map_err(unusable)
        };
        Ok(S3Store {
            calls: build(ClientOptions::new().with_timeout(limits.call), limits.retry)?,
            // Its own limit of silence would count the time in which the reader does not read.
            reads: build(ClientOptions::new().with_timeout_disabled(), limits.download)?,
            limits,
            bucket: settings.bucket.clone(),
            blobs: prefix.clone().join("blobs"),
            uploads: prefix.join("uploads"),
        })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    fn blob(&self, digest: &Digest) -> Path {
        let folder = self.blobs.clone().join(digest.algorithm().name()).join(&digest.hex()[..2]);
        folder.join(digest.hex())
    }

    fn upload(&self, session: SessionId) -> Path {
        self.uploads.clone().join(session.to_string())
    }

    fn piece(&self, session: SessionId, offset: u64) -> Path {
        self.upload(session).join(format!("{offset:020}"))
    }

    /// Begins to read an object. Where the connection breaks, the download goes on from there.
    async fn get(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let begun = tokio::time::timeout(self.limits.silence, self.reads.get_opts(path, options)).await;
        begun.unwrap_or_else(|silence| {
            Err(object_store::Error::Generic { store: "S3", source: Box::new(silence) })
        })
    }

    async fn head(&self, path: &Path) -> object_store::Result<GetResult> {
        self.get(path, GetOptions::new().with_head(true)).await
    }

    async fn object_size(&self, path: &Path) -> object_store::Result<Option<u64>> {
        still_there(self.head(path).await).map(|found| found.map(|found| found.meta.size))
    }

    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let found = self.object_size(&self.blob(digest)).await;
        found.map_err(Error::storage(format!("looking for blob {digest}")))
    }

    pub(crate) async fn read(
        &self,
        digest: &Digest,
        recorded: Option<u64>,
        range: Option<Range<u64>>,
    ) -> Result<BlobRead, Error> {
        let path = self.blob(digest);
        let failed = Error::storage(format!("reading blob {digest}"));
        // An empty range cannot be asked for, and one outside is refused without saying how long the object is.
        let found = match range.clone() {
            Some(wanted) if wanted.is_empty() => self.head(&path).await,
            wanted => self.get(&path, GetOptions::new().with_range(wanted)).await,
        };
        let found = match (found, range.clone()) {
            (Ok(found), _) => found,
            (Err(object_store::Error::NotFound { .. }), _) => return Err(Error::BlobMissing(digest.clone())),
            (Err(error), None) => return Err(failed(error)),
            (Err(error), Some(wanted)) => match self.object_size(&path).await {
                Ok(Some(size)) if wanted.end > size => return Err(Error::RangeOutside { size }),
                _ => return Err(failed(error)),
            },
        };
        let size = found.meta.size;
        let range = check_range(digest, size, recorded, range)?;
        let bytes = match range.is_empty() {
            true => stream::empty().boxed(),
            false => exactly(found, range.end - range.start, self.limits.silence),
        };
        Ok(BlobRead { size, range, bytes })
    }

    pub(crate) async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        let deleted = still_there(self.calls.delete(&self.blob(digest)).await);
        deleted.map(drop).map_err(Error::storage(format!("deleting blob {digest}")))
    }

    pub(crate) fn list(&self) -> impl Stream<Item = Result<BlobEntry, Error>> + Send + use<> {
        self.calls
            .list(Some(&self.blobs))
            .map_err(|error| Error::storage("listing the blobs")(error))
            .try_filter_map(|object| async move { Ok(blob_of(&object)) })
    }

    /// Begins a piece of an upload. The claim on the session is held until every request for the piece has ended, even if
    /// nobody waits for them any more.
    pub(crate) fn begin_piece(
        self: &Arc<Self>,
        session: SessionId,
        offset: u64,
        claim: Arc<Claim>,
    ) -> ObjectWriter {
        ObjectWriter::new(Arc::clone(self), self.piece(session, offset), PART_BYTES, claim)
    }

    /// Begins a blob of `size` bytes, which is there when the writer is closed. Until then the digest must have been
    /// checked.
    pub(crate) fn begin_blob(
        self: &Arc<Self>,
        digest: &Digest,
        size: u64,
        claim: Arc<Claim>,
    ) -> ObjectWriter {
        ObjectWriter::new(Arc::clone(self), self.blob(digest), part_bytes(size), claim)
    }

    /// Makes the upload a blob without reading it, if it is one piece of `size` bytes that can be copied. Returns whether
    /// the blob is there.
    pub(crate) async fn copy_single_piece(
        &self,
        session: SessionId,
        size: u64,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let (from, to) = (self.piece(session, 0), self.blob(digest));
        let copy = async {
            if self.object_size(&from).await? != Some(size) || size > MAX_COPY_BYTES {
                return Ok(false);
            }
            self.calls.copy(&from, &to).await?;
            self.object_size(&to).await.map(|copied| copied == Some(size))
        };
        copy.await.map_err(Error::storage(format!("copying upload {session} to blob {digest}")))
    }

    /// Returns the first `size` bytes of an upload, from piece to piece.
    pub(crate) fn read_upload(self: &Arc<Self>, session: SessionId, size: u64) -> BlobStream {
        let store = Arc::clone(self);
        let lost = || io::Error::new(io::ErrorKind::UnexpectedEof, "a piece of the upload is missing");
        stream::try_unfold(0, move |offset| {
            let store = Arc::clone(&store);
            async move {
                if offset == size {
                    return Ok(None);
                }
                // What is behind the size on record was never acknowledged, even if it is in the same piece.
                let wanted = GetOptions::new().with_range(Some(0..size - offset));
                let piece = match store.get(&store.piece(session, offset), wanted).await {
                    Err(object_store::Error::NotFound { .. }) => return Err(lost()),
                    piece => piece.map_err(io::Error::other)?,
                };
                let length = piece.range.end - piece.range.start;
                if length == 0 {
                    return Err(lost());
                }
                let next = offset + length;
                Ok(Some((exactly(piece, length, store.limits.silence), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    pub(crate) async fn remove_upload(&self, session: SessionId) -> Result<(), Error> {
        let pieces = self.calls.list(Some(&self.upload(session))).map_ok(|object| object.location).boxed();
        let removed = self.calls.delete_stream(pieces).try_for_each(|_| async { Ok(()) }).await;
        still_there(removed).map(drop).map_err(Error::storage(format!("removing upload {session}")))
    }

    /// Returns the sessions of which nothing was written since the instant, in microseconds since 1970-01-01 UTC.
    pub(crate) async fn uploads_before(&self, instant: i64) -> Result<Vec<SessionId>, Error> {
        let mut newest = std::collections::HashMap::new();
        let mut objects = self.calls.list(Some(&self.uploads));
        while let Some(object) = objects.next().await {
            let object = object.map_err(Error::storage("listing the uploads"))?;
            let session = object.location.parts().rev().nth(1);
            if let Some(session) = session.and_then(|session| SessionId::parse(session.as_ref())) {
                let modified = object.last_modified.timestamp_micros();
                let newest = newest.entry(session).or_insert(modified);
                *newest = modified.max(*newest);
            }
        }
        Ok(newest
            .into_iter()
            .filter(|(_, modified)| *modified < instant)
            .map(|(session, _)| session)
            .collect())
    }
}

/// Returns the blob that an object is, if it is one.
fn blob_of(object: &ObjectMeta) -> Option<BlobEntry> {
    let parts: Vec<_> = object.location.parts().collect();
    let [.., algorithm, _, hex] = parts.as_slice() else { return None };
    let digest = Digest::parse(&format!("{}:{}", algorithm.as_ref(), hex.as_ref())).ok()?;
    Some(BlobEntry { digest, size: object.size, modified: object.last_modified.timestamp_micros() })
}

fn still_there<T>(found: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match found {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Returns the bytes of a download, and an error where they end too early, do not end in time, or do not come while they
/// are waited for.
fn exactly(download: GetResult, length: u64, silence: Duration) -> BlobStream {
    let bytes = download.into_stream().map_err(io::Error::other).boxed();
    stream::unfold(Some((bytes, length)), move |state| async move {
        let (mut bytes, left) = state?;
        // Begun when the reader asks, and looked at only if there are no bytes: a slow reader is none of its business.
        let Ok(next) = tokio::time::timeout(silence, bytes.next()).await else {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the object storage has fallen silent");
            return Some((Err(error), None));
        };
        match next {
            Some(Ok(piece)) if piece.len() as u64 <= left => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), Some((bytes, left))))
            }
            Some(Ok(_)) => Some((Err(io::Error::other("the object is longer than it was")), None)),
            Some(Err(error)) => Some((Err(error), None)),
            None if left == 0 => None,
            None => {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the object is shorter than it was");
                Some((Err(error), None))
            }
        }
    })
    .boxed()
}

/// Returns how long the parts of an object are, so that there are not too many.
fn part_bytes(size: u64) -> usize {
    usize::try_from(size.div_ceil(MAX_PARTS as u64)).unwrap_or(usize::MAX).max(PART_BYTES)
}

/// Writes an object of unknown length: as one request if it is short, as parts if it is long. It is there when the writer
/// is closed, and not before.
pub(crate) struct ObjectWriter {
    store: Arc<S3Store>,
    path: Path,
    claim: Arc<Claim>,
    /// What has not been sent yet: less than a part.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    part_bytes: usize,
    parts: usize,
    upload: Option<Parts>,
}

impl ObjectWriter {
    fn new(store: Arc<S3Store>, path: Path, part_bytes: usize, claim: Arc<Claim>) -> ObjectWriter {
        let waiting = Vec::new();
        ObjectWriter { store, path, claim, waiting, waiting_bytes: 0, part_bytes, parts: 0, upload: None }
    }

    /// Returns how many bytes a piece of an upload may have.
    pub(crate) fn max_bytes() -> u64 {
        (PART_BYTES * MAX_PARTS) as u64
    }

    pub(crate) async fn write(&mut self, pieces: &[Bytes]) -> Result<(), Error> {
        for piece in pieces {
            let mut piece = piece.clone();
            while self.waiting_bytes + piece.len() >= self.part_bytes {
                let rest = piece.split_off(self.part_bytes - self.waiting_bytes);
                self.waiting.push(piece);
                self.waiting_bytes = self.part_bytes;
                self.send_part().await?;
                piece = rest;
            }
            if !piece.is_empty() {
                self.waiting_bytes += piece.len();
                self.waiting.push(piece);
            }
        }
        Ok(())
    }

    fn take_waiting(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    async fn send_part(&mut self) -> Result<(), Error> {
        let payload = self.take_waiting();
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Error::TooLarge { limit: ObjectWriter::max_bytes() });
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.store.calls.put_multipart(&self.path).await;
                let begun = begun.map_err(Error::storage(format!("beginning {}", self.path)))?;
                let claim = Arc::clone(&self.claim);
                self.upload.insert(Parts { upload: Some(begun), sending: Vec::new(), claim })
            }
        };
        upload.send(payload).await.map_err(Error::storage(format!("writing {}", self.path)))
    }

    /// Ends the object. An object without bytes is written too.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        if self.upload.is_none() {
            let (store, path, claim) = (Arc::clone(&self.store), self.path.clone(), Arc::clone(&self.claim));
            let payload = self.take_waiting();
            // In a task of its own, so that the claim is held until the service has answered.
            let sent = tokio::spawn(async move {
                let put = store.calls.put(&path, payload).await;
                drop(claim);
                put
            });
            let sent = joined(sent).await.map(drop);
            return sent.map_err(Error::storage(format!("writing {}", self.path)));
        }
        if self.waiting_bytes > 0
            && let Err(error) = self.send_part().await
        {
            self.abort().await;
            return Err(error);
        }
        match self.upload.take() {
            Some(parts) => {
                parts.complete().await.map_err(Error::storage(format!("completing {}", self.path)))
            }
            None => Ok(()),
        }
    }

    /// Gives the object up. What was sent of it is removed by the service.
    pub(crate) async fn abort(mut self) {
        if let Some(parts) = self.upload.take() {
            parts.abort().await;
        }
    }
}

/// A multipart upload. It is aborted when it is dropped before it was completed.
struct Parts {
    upload: Option<Box<dyn MultipartUpload>>,
    sending: Vec<JoinHandle<object_store::Result<()>>>,
    claim: Arc<Claim>,
}

impl Parts {
    /// Sends a part, as soon as there is room for one more on the way.
    async fn send(&mut self, payload: PutPayload) -> object_store::Result<()> {
        while self.sending.len() >= PARTS_AT_ONCE {
            self.first_sent().await?;
        }
        if let Some(upload) = &mut self.upload {
            let (part, claim) = (upload.put_part(payload), Arc::clone(&self.claim));
            self.sending.push(tokio::spawn(async move {
                let sent = part.await;
                drop(claim);
                sent
            }));
        }
        Ok(())
    }

    /// Waits for the part that is on its way for the longest time. It stays in the list until it is sent: whoever gives
    /// up waiting is about to abort.
    async fn first_sent(&mut self) -> object_store::Result<()> {
        let Some(first) = self.sending.first_mut() else { return Ok(()) };
        let sent = joined(first).await;
        self.sending.remove(0);
        sent
    }

    async fn complete(mut self) -> object_store::Result<()> {
        while !self.sending.is_empty() {
            if let Err(error) = self.first_sent().await {
                self.abort().await;
                return Err(error);
            }
        }
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        let claim = Arc::clone(&self.claim);
        let completed = tokio::spawn(async move {
            let completed = upload.complete().await;
            if completed.is_err() {
                // The service removes the parts one day if this fails, too.
                let _ = upload.abort().await;
            }
            drop(claim);
            completed
        });
        joined(completed).await.map(drop)
    }

    async fn abort(mut self) {
        if let Some(work) = self.start_abort() {
            // There is nobody to tell.
            let _ = work.await;
        }
    }

    /// Begins to abort the upload. Parts that are still on their way would outlive it, so they are waited for first.
    fn start_abort(&mut self) -> Option<JoinHandle<()>> {
        let mut upload = self.upload.take()?;
        let (sending, claim) = (std::mem::take(&mut self.sending), Arc::clone(&self.claim));
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(async move {
            for part in sending {
                let _ = part.await;
            }
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "the parts of an upload could not be removed");
            }
            drop(claim);
        }))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.start_abort();
    }
}

async fn joined<T>(
    task: impl Future<Output = Result<object_store::Result<T>, JoinError>>,
) -> object_store::Result<T> {
    task.await.unwrap_or_else(|error| Err(object_store::Error::JoinError { source: error }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use futures_util::FutureExt;

    use super::*;
    use crate::store::Place;
    use crate::{Algorithm, BlobStore, Progress, Uploads};

    const SHORT: Duration = Duration::from_millis(200);

    /// Starts a service whose answers are written by `answer`, which is given the first line and the headers of each
    /// request; the connection ends when it returns false. Returns the store that asks it.
    fn service(
        limits: Limits,
        answer: impl Fn(&str, &mut TcpStream) -> bool + Clone + Send + 'static,
    ) -> Arc<S3Store> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (mut connection, answer) = (connection.unwrap(), answer.clone());
                thread::spawn(move || {
                    let mut requests = BufReader::new(connection.try_clone().unwrap());
                    while let Some(request) = request(&mut requests)
                        && answer(&request, &mut connection)
                    {}
                });
            }
        });
        let variables = [
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        let settings = S3Settings {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            variables: variables.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        };
        Arc::new(S3Store::open_with(&settings, limits).unwrap())
    }

    /// Reads a request to its end, and returns its head.
    fn request(from: &mut BufReader<TcpStream>) -> Option<String> {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if from.read_line(&mut head).ok()? == 0 {
                return None;
            }
            let line = head[start..].to_ascii_lowercase();
            length =
                line.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
        }
        io::copy(&mut from.take(length), &mut io::sink()).ok()?;
        Some(head)
    }

    fn send(to: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> bool {
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: \"tag\"\r\nLast-Modified: Mon, 02 Mar 2026 12:00:00 GMT\r\n{headers}\r\n"
        );
        to.write_all(head.as_bytes()).and_then(|()| to.write_all(body)).is_ok()
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    fn blob() -> Digest {
        Digest::of(Algorithm::Sha256, b"whatever the service says")
    }

    const CONTENT: &[u8] = b"a layer of an image";

    #[test]
    fn a_download_goes_on_where_its_connection_broke() {
        // It took longer until then than a request is tried again.
        let limits = Limits { retry: Duration::ZERO, ..LIMITS };
        let store = service(limits, |request, connection| {
            if request.contains("range: bytes=7-18") {
                let headers = "Content-Length: 12\r\nContent-Range: bytes 7-18/19\r\n";
                return send(connection, "206 Partial Content", headers, &CONTENT[7..]);
            }
            send(connection, "200 OK", "Content-Length: 19\r\n", &CONTENT[..7]);
            false
        });
        run(async {
            let bytes = store.read(&blob(), None, None).await.unwrap().bytes;
            let pieces: Vec<_> = bytes.try_collect().await.unwrap();
            assert_eq!(pieces.concat(), CONTENT);
        });
    }

    #[test]
    fn a_slow_reader_is_no_silent_service() {
        let (release, released) = mpsc::channel();
        let released = Arc::new(parking_lot::Mutex::new(released));
        let store = service(Limits { silence: SHORT, ..LIMITS }, move |_, connection| {
            send(connection, "200 OK", "Content-Length: 19\r\n", &CONTENT[..7]);
            released.lock().recv().unwrap();
            connection.write_all(&CONTENT[7..]).is_ok()
        });
        run(async {
            let mut bytes = store.read(&blob(), None, None).await.unwrap().bytes;
            assert_eq!(bytes.next().await.unwrap().unwrap(), CONTENT[..7]);
            // It asks, and before it is told that there is more, it has something else to do for a while.
            assert!(bytes.next().now_or_never().is_none());
            release.send(()).unwrap();
            tokio::time::sleep(3 * SHORT).await;
            let pieces: Vec<_> = bytes.try_collect().await.unwrap();
            assert_eq!(pieces.concat(), CONTENT[7..]);
        });
    }

    #[test]
    fn a_silent_service_is_not_waited_for() {
        let limits = Limits { silence: SHORT, ..LIMITS };
        let (_keep, silence) = mpsc::channel::<()>();
        let silence = Arc::new(parking_lot::Mutex::new(silence));
        let store = service(limits, move |_, connection| {
            send(connection, "200 OK", "Content-Length: 19\r\n", &CONTENT[..7]);
            silence.lock().recv().is_ok()
        });
        run(async {
            let mut bytes = store.read(&blob(), None, None).await.unwrap().bytes;
            assert_eq!(bytes.next().await.unwrap().unwrap(), CONTENT[..7]);
            let error = bytes.next().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(bytes.next().await.is_none());
        });
        let (_keep, silence) = mpsc::channel::<()>();
        let silence = Arc::new(parking_lot::Mutex::new(silence));
        let store = service(limits, move |_, _| silence.lock().recv().is_ok());
        run(async {
            for range in [None, Some(0..5), Some(0..0)] {
                let refused = store.read(&blob(), None, range).await.unwrap_err();
                assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
            }
            let refused = store.size(&blob()).await.unwrap_err();
            assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        });
    }

    /// What arrives after the end of its upload would stay in the bucket.
    #[test]
    fn an_upload_is_aborted_when_no_part_is_on_its_way() {
        let (sender, log) = mpsc::channel();
        let store = service(LIMITS, move |request, connection| {
            let log = |what: &str| sender.send(what.to_owned()).is_ok();
            match request.split(' ').next() {
                Some("POST") => {
                    let body = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
                    send(
                        connection,
                        "200 OK",
                        &format!("Content-Length: {}\r\n", body.len()),
                        body.as_bytes(),
                    )
                }
                Some("PUT") if request.contains("partNumber=1&") => {
                    log("the first part is begun");
                    thread::sleep(SHORT);
                    log("the first part is written");
                    send(connection, "200 OK", "Content-Length: 0\r\n", b"")
                }
                Some("PUT") => send(connection, "200 OK", "Content-Length: 0\r\n", b""),
                _ => log("aborted") && send(connection, "204 No Content", "", b""),
            }
        });
        run(async {
            let uploads = Uploads::new(&BlobStore { place: Place::S3(store) });
            let session = SessionId::from_random([1; 16]);
            let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 65_536])));
            let none = Progress::default();
            let append = uploads.append(session, &none, None, Algorithm::Sha256, endless);
            let mut append = Box::pin(append);
            let mut events = Vec::new();
            while events.is_empty() {
                // There is no end to what it could send, but it waits for the first part after two more.
                let given_up = tokio::time::timeout(Duration::from_millis(1), &mut append).await;
                assert!(given_up.is_err());
                events.extend(log.try_iter());
            }
            let _ = tokio::time::timeout(SHORT / 2, &mut append).await;
            drop(append);
            events.extend(log.iter().take(2));
            assert_eq!(events, ["the first part is begun", "the first part is written", "aborted"]);
        });
    }
}
