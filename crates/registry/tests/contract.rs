//! What every blob store must do, whatever is behind it: each claim is tried on a folder and, where the environment
//! names a bucket, on that.
//!
//! `PORTCULLIS_TEST_S3=s3://bucket/prefix` names the bucket; the variables that begin with `AWS_` say where the service
//! is, as they do for the program. Each test works below a prefix of its own. `scripts/with-bucket` sets all of them.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use portcullis_registry::{
    Algorithm, BlobEntry, BlobStore, Digest, Error, Progress, S3Settings, SessionId, Uploads,
};
use proptest::prelude::*;
use tempfile::TempDir;

/// A store, its uploads, and what cleans up after them.
struct Stand {
    store: BlobStore,
    uploads: Uploads,
    /// Opens the same store again, as another process would.
    reopen: Box<dyn Fn() -> BlobStore + Send + Sync>,
    folder: Option<TempDir>,
    next_session: AtomicU64,
}

impl Stand {
    fn new(reopen: impl Fn() -> BlobStore + Send + Sync + 'static, folder: Option<TempDir>) -> Stand {
        let store = reopen();
        let uploads = Uploads::new(&store);
        Stand { store, uploads, reopen: Box::new(reopen), folder, next_session: AtomicU64::new(0) }
    }

    fn local() -> Stand {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry");
        Stand::new(move || BlobStore::local(&path).unwrap(), Some(folder))
    }

    /// Returns a store in the bucket of the environment, if there is one. Its prefix is short: s3s-fs makes names of
    /// files from those of objects, and SHA-512 leaves little room.
    fn s3() -> Option<Stand> {
        let (bucket, prefix) = bucket()?;
        let settings = S3Settings {
            bucket,
            prefix: format!("{prefix}/{}", nonce()).trim_start_matches('/').to_owned(),
            variables: std::env::vars().collect(),
        };
        Some(Stand::new(move || BlobStore::s3(&settings).unwrap(), None))
    }

    fn session(&self) -> SessionId {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        SessionId::from_random([number.to_be_bytes(), number.to_le_bytes()].concat().try_into().unwrap())
    }

    /// Returns the uploads of another process on the same store.
    fn another_process(&self) -> Uploads {
        Uploads::new(&(self.reopen)())
    }

    fn path(&self, below: impl AsRef<std::path::Path>) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("registry").join(below)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path(format!("blobs/{}/{}/{}", digest.algorithm().name(), &digest.hex()[..2], digest.hex()))
    }

    fn upload_path(&self, session: SessionId) -> PathBuf {
        self.path(format!("uploads/{session}"))
    }

    /// Uploads content in one piece.
    async fn push(&self, content: &[u8]) -> Digest {
        let (session, digest) = (self.session(), sha256(content));
        let progress = self.append(session, &Progress::default(), content).await.unwrap();
        self.uploads.finish(session, &progress, &digest).await.unwrap();
        digest
    }

    async fn append(&self, session: SessionId, from: &Progress, content: &[u8]) -> Result<Progress, Error> {
        self.uploads.append(session, from, None, Algorithm::Sha256, pieces(content, 7000)).await
    }

    async fn content(&self, digest: &Digest) -> Vec<u8> {
        let read = self.store.read(digest, None, None).await.unwrap();
        let size = read.size;
        let bytes = collect(read.bytes).await.unwrap();
        assert_eq!(bytes.len() as u64, size);
        bytes
    }

    async fn list(&self) -> HashMap<String, BlobEntry> {
        let entries: Vec<_> = self.store.list().try_collect().await.unwrap();
        entries.into_iter().map(|entry| (entry.digest.to_string(), entry)).collect()
    }

    async fn is_stored(&self, digest: &Digest) -> bool {
        self.store.size(digest).await.unwrap().is_some()
    }
}

/// Returns the bucket and the prefix that the environment names.
fn bucket() -> Option<(String, String)> {
    let address = std::env::var("PORTCULLIS_TEST_S3").ok()?;
    let rest = address.strip_prefix("s3://").expect("PORTCULLIS_TEST_S3 is s3://bucket/prefix");
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    Some((bucket.to_owned(), prefix.trim_matches('/').to_owned()))
}

/// Returns a word that nobody else has.
fn nonce() -> String {
    // As the name of a new folder is.
    let folder = tempfile::tempdir().unwrap();
    folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned()
}

fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// Returns content that is never the same at two places nearby.
fn content(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..length.div_ceil(4)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

fn pieces(content: &[u8], length: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let pieces: Vec<_> = content.chunks(length).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the client went away")
}

async fn collect(stream: impl Stream<Item = io::Result<Bytes>>) -> io::Result<Vec<u8>> {
    let pieces: Vec<_> = stream.try_collect().await?;
    Ok(pieces.concat())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// Makes of each claim a test on a folder and one on a bucket.
macro_rules! contract {
    ($($claim:ident)*) => {
        mod folder {
            $(#[test] fn $claim() { super::run(super::$claim(super::Stand::local())) })*
        }
        mod bucket {
            $(#[test] fn $claim() {
                match super::Stand::s3() {
                    Some(stand) => super::run(super::$claim(stand)),
                    None => println!("skipped: PORTCULLIS_TEST_S3 names no bucket"),
                }
            })*
        }
    };
}

contract! {
    what_was_uploaded_is_read
    an_empty_blob_is_a_blob
    both_algorithms_are_stored_side_by_side
    ranges_are_read
    a_blob_of_another_length_is_never_served
    a_blob_that_is_not_there_is_missing
    a_deleted_blob_is_gone
    all_blobs_are_listed
    pieces_make_a_blob
    a_long_upload_takes_little_at_a_time
    the_algorithm_may_be_another_at_the_end
    another_process_goes_on
    what_was_not_acknowledged_is_cut_off
    a_session_that_was_set_back_is_read_again
    wrong_content_is_refused
    wrong_content_in_several_pieces_is_refused
    a_broken_piece_keeps_what_arrived
    a_broken_first_piece_keeps_what_arrived
    too_much_is_refused_and_the_session_goes_on
    a_long_piece_that_is_refused_leaves_nothing
    one_writer_at_a_time
    a_piece_that_is_given_up_can_be_sent_again
    eight_uploads_of_one_blob_all_end_well
    a_blob_that_is_there_stays
    cancelled_sessions_are_gone
    old_sessions_are_swept
    lost_bytes_are_noticed
    an_unknown_session_has_nothing
}

async fn what_was_uploaded_is_read(stand: Stand) {
    for length in [1, 6999, 7000, 7001, 256 * 1024, 256 * 1024 + 1, 1_500_000] {
        let content = content(length, 1);
        let digest = stand.push(&content).await;
        assert_eq!(stand.store.size(&digest).await.unwrap(), Some(length as u64));
        assert!(stand.content(&digest).await == content, "{length} bytes came back as others");
    }
}

async fn an_empty_blob_is_a_blob(stand: Stand) {
    let empty = sha256(b"");
    // Without any piece.
    stand.uploads.finish(stand.session(), &Progress::default(), &empty).await.unwrap();
    assert_eq!(stand.store.size(&empty).await.unwrap(), Some(0));
    assert_eq!(stand.content(&empty).await, b"");
    // With an empty piece.
    assert_eq!(stand.push(b"").await, empty);
    assert_eq!(stand.content(&empty).await, b"");
    let mismatch =
        stand.uploads.finish(stand.session(), &Progress::default(), &sha256(b"x")).await.unwrap_err();
    assert!(matches!(mismatch, Error::DigestMismatch { .. }), "{mismatch}");
}

async fn both_algorithms_are_stored_side_by_side(stand: Stand) {
    let content = content(20_000, 2);
    for algorithm in Algorithm::ALL {
        let (session, digest) = (stand.session(), Digest::of(algorithm, &content));
        let none = Progress::default();
        let appended = stand.uploads.append(session, &none, None, algorithm, pieces(&content, 999));
        let progress = appended.await.unwrap();
        assert_eq!(progress, Progress { size: 20_000, digest: Some(digest.clone()) });
        stand.uploads.finish(session, &progress, &digest).await.unwrap();
        assert!(stand.content(&digest).await == content);
    }
    let sha512 = Digest::of(Algorithm::Sha512, &content);
    stand.store.delete(&sha512).await.unwrap();
    assert!(!stand.is_stored(&sha512).await);
    assert!(stand.is_stored(&sha256(&content)).await);
}

async fn ranges_are_read(stand: Stand) {
    let content = content(700_000, 3);
    let digest = stand.push(&content).await;
    for range in
        [0..700_000, 0..1, 699_999..700_000, 262_143..262_145, 100..600_000, 5..5, 0..0, 700_000..700_000]
    {
        let read = stand.store.read(&digest, Some(700_000), Some(range.clone())).await.unwrap();
        assert_eq!((read.size, read.range.clone()), (700_000, range.clone()));
        let bytes = collect(read.bytes).await.unwrap();
        assert!(bytes == content[range.start as usize..range.end as usize], "{range:?}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is what must be refused")]
    for range in [0..700_001, 700_000..700_001, 800_000..900_000, 10..5] {
        let refused = stand.store.read(&digest, None, Some(range.clone())).await;
        assert!(matches!(refused, Err(Error::RangeOutside { size: 700_000 })), "{range:?}: {refused:?}");
    }
}

async fn a_blob_of_another_length_is_never_served(stand: Stand) {
    let digest = stand.push(b"content").await;
    for recorded in [6, 8] {
        let refused = stand.store.read(&digest, Some(recorded), None).await;
        assert!(
            matches!(&refused, Err(Error::BlobDamaged { recorded: r, actual: 7, digest: d }) if *r == recorded && *d == digest),
            "{refused:?}"
        );
    }
    assert!(stand.store.read(&digest, Some(7), None).await.is_ok());
}

async fn a_blob_that_is_not_there_is_missing(stand: Stand) {
    let digest = sha256(b"never stored");
    assert_eq!(stand.store.size(&digest).await.unwrap(), None);
    for range in [None, Some(0..1), Some(0..0)] {
        let missing = stand.store.read(&digest, Some(12), range).await;
        assert!(matches!(&missing, Err(Error::BlobMissing(d)) if *d == digest), "{missing:?}");
    }
    stand.store.delete(&digest).await.unwrap();
}

async fn a_deleted_blob_is_gone(stand: Stand) {
    let content = content(1000, 4);
    let digest = stand.push(&content).await;
    stand.store.delete(&digest).await.unwrap();
    stand.store.delete(&digest).await.unwrap();
    assert!(!stand.is_stored(&digest).await);
    assert!(matches!(stand.store.read(&digest, None, None).await, Err(Error::BlobMissing(_))));
    assert_eq!(stand.push(&content).await, digest);
    assert!(stand.content(&digest).await == content);
}

async fn all_blobs_are_listed(stand: Stand) {
    assert!(stand.list().await.is_empty());
    let now = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
    let before = now.duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    let mut expected = HashMap::new();
    for number in 0..20 {
        let content = content(100 + number, number as u32 + 10);
        expected.insert(stand.push(&content).await.to_string(), content.len() as u64);
    }
    let (session, sha512) = (stand.session(), Digest::of(Algorithm::Sha512, b"other"));
    let progress = stand.append(session, &Progress::default(), b"other").await.unwrap();
    // A session is no blob.
    assert_eq!(stand.list().await.len(), 20);
    stand.uploads.finish(session, &progress, &sha512).await.unwrap();
    expected.insert(sha512.to_string(), 5);
    let listed = stand.list().await;
    let sizes: HashMap<_, _> = listed.iter().map(|(digest, entry)| (digest.clone(), entry.size)).collect();
    assert_eq!(sizes, expected);
    let minute = 60_000_000;
    for entry in listed.values() {
        let age = entry.modified - before;
        assert!(
            (-minute..minute).contains(&age),
            "{} was stored {age} µs after the test began",
            entry.digest
        );
    }
}

async fn pieces_make_a_blob(stand: Stand) {
    let content = content(300_000, 5);
    let (session, digest) = (stand.session(), sha256(&content));
    let mut progress = Progress::default();
    for (from, to) in [(0, 1), (1, 1), (1, 100_000), (100_000, 100_001), (100_001, 300_000)] {
        progress = stand.append(session, &progress, &content[from..to]).await.unwrap();
        assert_eq!(progress, Progress { size: to as u64, digest: Some(sha256(&content[..to])) });
        assert!(!stand.is_stored(&digest).await, "a blob is there before it is whole");
    }
    stand.uploads.finish(session, &progress, &digest).await.unwrap();
    assert!(stand.content(&digest).await == content);
}

/// Longer than what is sent to a bucket in one request, and in pieces that do not fit its parts.
async fn a_long_upload_takes_little_at_a_time(stand: Stand) {
    let content = content(21_000_001, 6);
    let digest = sha256(&content);
    for split in [None, Some(9_000_000)] {
        let session = stand.session();
        let mut progress = Progress::default();
        for part in split.map_or(vec![&content[..]], |at| vec![&content[..at], &content[at..]]) {
            let appended =
                stand.uploads.append(session, &progress, None, Algorithm::Sha256, pieces(part, 333_333));
            progress = appended.await.unwrap();
        }
        stand.uploads.finish(session, &progress, &digest).await.unwrap();
        assert!(stand.content(&digest).await == content);
        stand.store.delete(&digest).await.unwrap();
    }
}

async fn the_algorithm_may_be_another_at_the_end(stand: Stand) {
    let content = content(50_000, 7);
    for second_piece in [50_000, 20_000] {
        let (session, digest) = (stand.session(), Digest::of(Algorithm::Sha512, &content));
        let first = stand.append(session, &Progress::default(), &content[..second_piece]).await.unwrap();
        let progress = stand.append(session, &first, &content[second_piece..]).await.unwrap();
        assert_eq!(progress.digest, Some(sha256(&content)));
        stand.uploads.finish(session, &progress, &digest).await.unwrap();
        assert!(stand.content(&digest).await == content);
        stand.store.delete(&digest).await.unwrap();
    }
}

async fn another_process_goes_on(stand: Stand) {
    let content = content(90_000, 8);
    let digest = sha256(&content);
    // One piece here, the end there.
    let session = stand.session();
    let progress = stand.append(session, &Progress::default(), &content).await.unwrap();
    stand.another_process().finish(session, &progress, &digest).await.unwrap();
    assert!(stand.content(&digest).await == content);
    stand.store.delete(&digest).await.unwrap();
    // Pieces here and there: nobody has seen all of them go by.
    let (session, other) = (stand.session(), stand.another_process());
    let progress = stand.append(session, &Progress::default(), &content[..30_000]).await.unwrap();
    let more = pieces(&content[30_000..60_000], 1000);
    let progress = other.append(session, &progress, None, Algorithm::Sha256, more).await.unwrap();
    assert_eq!(progress, Progress { size: 60_000, digest: None });
    let progress = stand.append(session, &progress, &content[60_000..]).await.unwrap();
    assert_eq!(progress, Progress { size: 90_000, digest: None });
    other.finish(session, &progress, &digest).await.unwrap();
    assert!(stand.content(&digest).await == content);
}

/// The process died after it had written and before it was on record.
async fn what_was_not_acknowledged_is_cut_off(stand: Stand) {
    let content = content(50_000, 9);
    let (session, digest) = (stand.session(), sha256(&content));
    let first = stand.append(session, &Progress::default(), &content[..10_000]).await.unwrap();
    stand.append(session, &first, &[1; 70_000]).await.unwrap();
    let other = stand.another_process();
    let rest = pieces(&content[10_000..], 5000);
    let progress = other.append(session, &first, None, Algorithm::Sha256, rest).await.unwrap();
    assert_eq!(progress.size, 50_000);
    other.finish(session, &progress, &digest).await.unwrap();
    assert!(stand.content(&digest).await == content);
    // The same when the session ends at once.
    let session = stand.session();
    let first = stand.append(session, &Progress::default(), &content[..10_000]).await.unwrap();
    stand.append(session, &first, &[1; 70_000]).await.unwrap();
    let digest = sha256(&content[..10_000]);
    stand.uploads.finish(session, &first, &digest).await.unwrap();
    assert!(stand.content(&digest).await == content[..10_000]);
    stand.store.delete(&digest).await.unwrap();
    // And when less of one piece is on record than came in with it.
    for known in [None, Some(digest.clone())] {
        let session = stand.session();
        stand.append(session, &Progress::default(), &content).await.unwrap();
        let progress = Progress { size: 10_000, digest: known };
        stand.uploads.finish(session, &progress, &digest).await.unwrap();
        assert!(stand.content(&digest).await == content[..10_000]);
        stand.store.delete(&digest).await.unwrap();
    }
}

/// Who attacks: somebody who sends one content to a process whose answer is lost, and then another one of the same
/// length through a second process. The state that the first keeps of the digest fits the size on record, and stands for
/// bytes that are not there any more. They must not become a blob under that digest.
async fn a_session_that_was_set_back_is_read_again(stand: Stand) {
    let (good, evil) = (content(40_000, 11), content(40_000, 12));
    let session = stand.session();
    let begun = stand.append(session, &Progress::default(), &good[..1000]).await.unwrap();
    stand.append(session, &begun, &good[1000..]).await.unwrap();
    let other = stand.another_process();
    let mixed = [&good[..1000], &evil[1000..]].concat();
    let rest = pieces(&mixed[1000..], 5000);
    let progress = other.append(session, &begun, None, Algorithm::Sha256, rest).await.unwrap();
    assert_eq!(progress, Progress { size: 40_000, digest: None });
    let refused = stand.uploads.finish(session, &progress, &sha256(&good)).await.unwrap_err();
    assert!(
        matches!(&refused, Error::DigestMismatch { actual, .. } if *actual == sha256(&mixed)),
        "{refused}"
    );
    assert!(!stand.is_stored(&sha256(&good)).await);
}

async fn wrong_content_is_refused(stand: Stand) {
    let (session, wrong) = (stand.session(), sha256(b"announced"));
    let progress = stand.append(session, &Progress::default(), b"sent").await.unwrap();
    let refused = stand.uploads.finish(session, &progress, &wrong).await.unwrap_err();
    let Error::DigestMismatch { expected, actual } = &refused else { panic!("{refused}") };
    assert_eq!((expected, actual), (&wrong, &sha256(b"sent")));
    for digest in [expected, actual] {
        assert!(!stand.is_stored(digest).await);
    }
    // The session is gone with its bytes.
    let lost = stand.uploads.finish(session, &progress, &sha256(b"sent")).await.unwrap_err();
    assert!(matches!(lost, Error::UploadLost), "{lost}");
    assert!(stand.list().await.is_empty());
}

async fn wrong_content_in_several_pieces_is_refused(stand: Stand) {
    let (session, wrong) = (stand.session(), Digest::of(Algorithm::Sha512, b"announced"));
    let content = content(30_000, 13);
    let progress = stand.append(session, &Progress::default(), &content[..10_000]).await.unwrap();
    let progress = stand.append(session, &progress, &content[10_000..]).await.unwrap();
    let refused = stand.uploads.finish(session, &progress, &wrong).await.unwrap_err();
    assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused}");
    assert!(stand.list().await.is_empty());
}

async fn a_broken_piece_keeps_what_arrived(stand: Stand) {
    let content = content(100_000, 14);
    let session = stand.session();
    let first = stand.append(session, &Progress::default(), &content[..20_000]).await.unwrap();
    let stream = pieces(&content[20_000..65_000], 5000).chain(stream::iter([Err(broken())]));
    let interrupted =
        stand.uploads.append(session, &first, None, Algorithm::Sha256, stream).await.unwrap_err();
    let Error::Interrupted { progress, source } = interrupted else { panic!("{interrupted}") };
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(progress, Progress { size: 65_000, digest: Some(sha256(&content[..65_000])) });
    let progress = stand.append(session, &progress, &content[65_000..]).await.unwrap();
    stand.uploads.finish(session, &progress, &sha256(&content)).await.unwrap();
    assert!(stand.content(&sha256(&content)).await == content);
}

async fn a_broken_first_piece_keeps_what_arrived(stand: Stand) {
    for arrived in [0, 9000] {
        let content = content(10_000, 15);
        let session = stand.session();
        let stream = pieces(&content[..arrived], 3000).chain(stream::iter([Err(broken())]));
        let none = Progress::default();
        let appended = stand.uploads.append(session, &none, None, Algorithm::Sha256, stream);
        let interrupted = appended.await.unwrap_err();
        let Error::Interrupted { progress, .. } = interrupted else { panic!("{interrupted}") };
        assert_eq!(progress.size, arrived as u64);
        let progress = stand.append(session, &progress, &content[arrived..]).await.unwrap();
        stand.uploads.finish(session, &progress, &sha256(&content)).await.unwrap();
        assert!(stand.content(&sha256(&content)).await == content);
        stand.store.delete(&sha256(&content)).await.unwrap();
    }
}

async fn too_much_is_refused_and_the_session_goes_on(stand: Stand) {
    let content = content(100_000, 16);
    let session = stand.session();
    let none = Progress::default();
    let first = append_up_to(50_000, &stand, session, &none, &content[..50_000]).await.unwrap();
    for limit in [50_000, 50_001, 99_999] {
        let refused = append_up_to(limit, &stand, session, &first, &content[50_000..]).await.unwrap_err();
        assert!(matches!(refused, Error::TooLarge { limit: named } if named == limit), "{refused}");
    }
    let progress = append_up_to(100_000, &stand, session, &first, &content[50_000..]).await.unwrap();
    assert_eq!(progress, Progress { size: 100_000, digest: Some(sha256(&content)) });
    stand.uploads.finish(session, &progress, &sha256(&content)).await.unwrap();
    assert!(stand.content(&sha256(&content)).await == content);
    // A first piece that is too large leaves nothing.
    let session = stand.session();
    let refused = append_up_to(10, &stand, session, &none, &content).await;
    assert!(matches!(refused, Err(Error::TooLarge { limit: 10 })));
    let progress = stand.append(session, &Progress::default(), b"small").await.unwrap();
    stand.uploads.finish(session, &progress, &sha256(b"small")).await.unwrap();
}

async fn append_up_to(
    limit: u64,
    stand: &Stand,
    session: SessionId,
    from: &Progress,
    content: &[u8],
) -> Result<Progress, Error> {
    stand.uploads.append(session, from, Some(limit), Algorithm::Sha256, pieces(content, 1000)).await
}

/// Long enough that parts of it were sent to a bucket already.
async fn a_long_piece_that_is_refused_leaves_nothing(stand: Stand) {
    let (long, session) = (content(20_000_000, 23), stand.session());
    let first = stand.append(session, &Progress::default(), &long[..1000]).await.unwrap();
    let rest = pieces(&long[1000..], 100_000);
    let refused = stand.uploads.append(session, &first, Some(19_999_999), Algorithm::Sha256, rest).await;
    assert!(matches!(refused, Err(Error::TooLarge { limit: 19_999_999 })), "{refused:?}");
    let progress = stand.append(session, &first, b"short").await.unwrap();
    let whole = [&long[..1000], b"short"].concat();
    stand.uploads.finish(session, &progress, &sha256(&whole)).await.unwrap();
    assert!(stand.content(&sha256(&whole)).await == whole);
}

async fn one_writer_at_a_time(stand: Stand) {
    let session = stand.session();
    let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
    let slow = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let uploads = stand.uploads.clone();
    let writing = tokio::spawn(async move {
        uploads.append(session, &Progress::default(), None, Algorithm::Sha256, slow).await
    });
    // The second is taken when the first was: from then on the session is claimed.
    for piece in [b"one ", b"two "] {
        sender.send(Ok(Bytes::from_static(piece))).await.unwrap();
    }
    sender.reserve().await.unwrap();
    let none = Progress::default();
    let busy = stand.append(session, &none, b"other").await.unwrap_err();
    assert!(matches!(busy, Error::Busy), "{busy}");
    assert!(matches!(stand.uploads.finish(session, &none, &sha256(b"")).await, Err(Error::Busy)));
    assert!(matches!(stand.uploads.cancel(session).await, Err(Error::Busy)));
    assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0);
    // Another session is none of its business.
    stand.append(stand.session(), &none, b"other").await.unwrap();
    drop(sender);
    let progress = writing.await.unwrap().unwrap();
    assert_eq!(progress, Progress { size: 8, digest: Some(sha256(b"one two ")) });
    stand.uploads.finish(session, &progress, &sha256(b"one two ")).await.unwrap();
}

/// The client went away, and with it whoever waited for the answer.
async fn a_piece_that_is_given_up_can_be_sent_again(stand: Stand) {
    let content = content(2_000_000, 17);
    let session = stand.session();
    let first = stand.append(session, &Progress::default(), &content[..1000]).await.unwrap();
    for _ in 0..5 {
        let endless = pieces(&[7; 3_000_000], 65_536).chain(stream::pending());
        let append = stand.uploads.append(session, &first, None, Algorithm::Sha256, endless);
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(3), append).await;
        assert!(given_up.is_err());
        let progress = loop {
            match stand.append(session, &first, &content[1000..]).await {
                // What was on its way is still being written.
                Err(Error::Busy) => tokio::task::yield_now().await,
                appended => break appended.unwrap(),
            }
        };
        assert_eq!(progress.size, 2_000_000);
    }
    let progress = stand.append(session, &first, &content[1000..]).await.unwrap();
    stand.uploads.finish(session, &progress, &sha256(&content)).await.unwrap();
    assert!(stand.content(&sha256(&content)).await == content);
}

async fn eight_uploads_of_one_blob_all_end_well(stand: Stand) {
    let content = content(300_000, 18);
    let digest = sha256(&content);
    for round in 0..3 {
        let all = (0..8).map(|number| {
            let (session, digest, content) = (stand.session(), digest.clone(), content.clone());
            // Half of them in another process.
            let uploads = if number % 2 == 0 { stand.uploads.clone() } else { stand.another_process() };
            tokio::spawn(async move {
                let stream = pieces(&content, 10_000 + number);
                let progress =
                    uploads.append(session, &Progress::default(), None, Algorithm::Sha256, stream).await?;
                uploads.finish(session, &progress, &digest).await
            })
        });
        for upload in all.collect::<Vec<_>>() {
            upload.await.unwrap().unwrap();
        }
        assert_eq!(stand.list().await.len(), 1, "round {round}");
        assert!(stand.content(&digest).await == content);
        assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0, "sessions are left over");
        stand.store.delete(&digest).await.unwrap();
    }
}

async fn a_blob_that_is_there_stays(stand: Stand) {
    let content = content(5000, 19);
    let digest = stand.push(&content).await;
    let before = stand.list().await;
    stand.push(&content).await;
    assert_eq!(stand.list().await, before, "the blob was written again");
    assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0);
    assert!(stand.content(&digest).await == content);
}

async fn cancelled_sessions_are_gone(stand: Stand) {
    let session = stand.session();
    let progress = stand.append(session, &Progress::default(), b"one").await.unwrap();
    let progress = stand.append(session, &progress, b"two").await.unwrap();
    stand.uploads.cancel(session).await.unwrap();
    stand.uploads.cancel(session).await.unwrap();
    let lost = stand.uploads.finish(session, &progress, &sha256(b"onetwo")).await.unwrap_err();
    assert!(matches!(lost, Error::UploadLost), "{lost}");
    assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0);
}

async fn old_sessions_are_swept(stand: Stand) {
    let (old, busy) = (stand.session(), stand.session());
    let first = stand.append(old, &Progress::default(), b"old").await.unwrap();
    stand.append(old, &first, b"er").await.unwrap();
    let progress = stand.append(busy, &Progress::default(), b"new").await.unwrap();
    let blob = stand.push(b"blob").await;
    assert_eq!(stand.uploads.sweep(0).await.unwrap(), 0);
    assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 2);
    assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0);
    let lost = stand.uploads.finish(busy, &progress, &sha256(b"new")).await.unwrap_err();
    assert!(matches!(lost, Error::UploadLost), "{lost}");
    assert!(stand.is_stored(&blob).await);
}

/// A disk that lost its last writes, or somebody who tidied up.
async fn lost_bytes_are_noticed(stand: Stand) {
    let session = stand.session();
    let progress = stand.append(session, &Progress::default(), b"four").await.unwrap();
    let imagined = Progress { size: 5, digest: None };
    let digest = sha256(b"fours");
    let lost = stand.uploads.finish(session, &imagined, &digest).await.unwrap_err();
    assert!(matches!(lost, Error::UploadLost), "{lost}");
    stand.uploads.finish(session, &progress, &sha256(b"four")).await.unwrap();
}

async fn an_unknown_session_has_nothing(stand: Stand) {
    let imagined = Progress { size: 3, digest: None };
    let lost = stand.uploads.finish(stand.session(), &imagined, &sha256(b"abc")).await.unwrap_err();
    assert!(matches!(lost, Error::UploadLost), "{lost}");
    stand.uploads.cancel(stand.session()).await.unwrap();
}

/// What is true of a bucket alone.
mod service {
    use object_store::aws::{AmazonS3, AmazonS3Builder};
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};

    use super::*;

    fn client(bucket: &str) -> AmazonS3 {
        AmazonS3Builder::from_env().with_bucket_name(bucket).build().unwrap()
    }

    /// Returns a name below the prefix that no other test has.
    fn own_name(prefix: &str, name: &str) -> String {
        format!("{prefix}/{}/{name}", nonce()).trim_start_matches('/').to_owned()
    }

    /// The suite is to pass on a service that honours conditions of writes as well as on one that ignores them. This makes
    /// sure that it ran on the kind that it was meant to run on.
    #[test]
    fn writes_to_the_bucket_are_conditional_only_where_they_are_said_to_be() {
        let Some((bucket, prefix)) = bucket() else {
            return println!("skipped: PORTCULLIS_TEST_S3 names no bucket");
        };
        let honoured = match std::env::var("PORTCULLIS_TEST_S3_CONDITIONS").as_deref() {
            Ok("honoured") => true,
            Ok("ignored") => false,
            Ok(other) => panic!("PORTCULLIS_TEST_S3_CONDITIONS is honoured or ignored, not {other}"),
            Err(_) => {
                return println!("skipped: PORTCULLIS_TEST_S3_CONDITIONS does not say what is expected");
            }
        };
        run(async {
            let (client, path) = (client(&bucket), Path::from(own_name(&prefix, "conditional")));
            let first = client.put(&path, "first".into()).await.unwrap();
            client.put(&path, "second".into()).await.unwrap();
            let stale = UpdateVersion { e_tag: first.e_tag, version: None };
            for mode in [PutMode::Create, PutMode::Update(stale)] {
                let put = client.put_opts(&path, "third".into(), mode.into()).await;
                let read = client.get(&path).await.unwrap().bytes().await.unwrap();
                match honoured {
                    true => assert_eq!((put.is_err(), &read[..]), (true, &b"second"[..]), "{put:?}"),
                    false => assert_eq!((put.is_ok(), &read[..]), (true, &b"third"[..]), "{put:?}"),
                }
                client.put(&path, "second".into()).await.unwrap();
            }
        });
    }

    /// The documentation says how: the files of one go to the same names in the other.
    #[test]
    fn a_folder_can_be_moved_to_a_bucket() {
        let Some((bucket, prefix)) = bucket() else {
            return println!("skipped: PORTCULLIS_TEST_S3 names no bucket");
        };
        let (folder, prefix) = (Stand::local(), own_name(&prefix, "m"));
        let variables = std::env::vars().collect();
        let settings = S3Settings { bucket: bucket.clone(), prefix: prefix.clone(), variables };
        run(async {
            let contents = [content(1000, 30), content(70_000, 31)];
            for content in &contents {
                let digest = folder.push(content).await;
                let file = folder.blob_path(&digest);
                let name = file.strip_prefix(folder.path("")).unwrap().to_str().unwrap();
                let path = Path::from(format!("{prefix}/{name}"));
                client(&bucket).put(&path, std::fs::read(&file).unwrap().into()).await.unwrap();
            }
            let moved = Stand::new(move || BlobStore::s3(&settings).unwrap(), None);
            assert_eq!(moved.list().await.len(), contents.len());
            for content in &contents {
                assert!(moved.content(&sha256(content)).await == *content);
            }
        });
    }
}

/// However content is cut into requests and these into pieces, the blob is the same.
mod any_split {
    use super::*;

    /// Lengths of requests, each with the length of its pieces.
    fn splits() -> impl Strategy<Value = Vec<(usize, usize)>> {
        let request = prop_oneof![0usize..10, 0usize..5000, 60_000usize..80_000];
        proptest::collection::vec((request, 1usize..20_000), 0..6)
    }

    fn check(stand: &Stand, splits: &[(usize, usize)], algorithm: Algorithm) -> Result<(), TestCaseError> {
        let whole = content(splits.iter().map(|(length, _)| length).sum(), 20);
        let digest = Digest::of(algorithm, &whole);
        run(async {
            let (session, mut progress, mut at) = (stand.session(), Progress::default(), 0);
            for (length, piece) in splits {
                let stream = pieces(&whole[at..at + length], *piece);
                progress = stand.uploads.append(session, &progress, None, algorithm, stream).await.unwrap();
                at += length;
                prop_assert_eq!(progress.size, at as u64);
                prop_assert_eq!(progress.digest.clone(), Some(Digest::of(algorithm, &whole[..at])));
            }
            stand.uploads.finish(session, &progress, &digest).await.unwrap();
            prop_assert!(stand.content(&digest).await == whole);
            stand.store.delete(&digest).await.unwrap();
            Ok(())
        })
    }

    #[test]
    fn makes_the_same_blob_in_a_folder() {
        let stand = Stand::local();
        let algorithm = proptest::sample::select(Algorithm::ALL.to_vec());
        proptest!(ProptestConfig::with_cases(60), |(splits in splits(), algorithm in algorithm)| {
            check(&stand, &splits, algorithm)?;
        });
    }

    #[test]
    fn makes_the_same_blob_in_a_bucket() {
        let Some(stand) = Stand::s3() else {
            return println!("skipped: PORTCULLIS_TEST_S3 names no bucket");
        };
        let algorithm = proptest::sample::select(Algorithm::ALL.to_vec());
        proptest!(ProptestConfig::with_cases(15), |(splits in splits(), algorithm in algorithm)| {
            check(&stand, &splits, algorithm)?;
        });
    }
}

/// What only a file system can do to us.
mod files {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn folders_and_files_are_private() {
        let stand = Stand::local();
        let digest = run(stand.push(b"secret"));
        let session = stand.session();
        run(stand.append(session, &Progress::default(), b"more")).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in ["", "blobs", "uploads", "blobs/sha256", "blobs/sha512"] {
            assert_eq!(mode(stand.path(folder)), 0o700, "{folder}");
        }
        assert_eq!(mode(stand.blob_path(&digest).parent().unwrap().to_owned()), 0o700);
        assert_eq!(mode(stand.blob_path(&digest)), 0o600);
        assert_eq!(mode(stand.upload_path(session)), 0o600);
    }

    /// The process was killed in the middle of a write: the file is longer than what was acknowledged.
    #[test]
    fn a_file_longer_than_acknowledged_is_cut() {
        let stand = Stand::local();
        run(async {
            for end_at_once in [true, false] {
                let (session, digest) = (stand.session(), sha256(b"content"));
                let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
                fs::write(stand.upload_path(session), b"content and half of the next pie").unwrap();
                let progress = match end_at_once {
                    true => progress,
                    false => stand.append(session, &progress, b"").await.unwrap(),
                };
                stand.uploads.finish(session, &progress, &digest).await.unwrap();
                assert_eq!(stand.content(&digest).await, b"content");
                stand.store.delete(&digest).await.unwrap();
            }
        });
    }

    /// The machine stopped before bytes that were acknowledged were on the disk.
    #[test]
    fn a_file_shorter_than_acknowledged_ends_the_session() {
        let stand = Stand::local();
        run(async {
            let session = stand.session();
            let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
            fs::write(stand.upload_path(session), b"cont").unwrap();
            let lost = stand.append(session, &progress, b"more").await.unwrap_err();
            assert!(matches!(lost, Error::UploadLost), "{lost}");
            let lost = stand.uploads.finish(session, &progress, &sha256(b"content")).await.unwrap_err();
            assert!(matches!(lost, Error::UploadLost), "{lost}");
            assert!(stand.list().await.is_empty());
        });
    }

    /// Whoever changed the file behind our back would be noticed if it were read. It is not: the digest was computed from
    /// the bytes on their way in, and what this process wrote is what it will read.
    #[test]
    fn content_that_came_in_one_process_is_not_read_again() {
        let stand = Stand::local();
        run(async {
            let (session, digest) = (stand.session(), sha256(b"content"));
            let first = stand.append(session, &Progress::default(), b"con").await.unwrap();
            let progress = stand.append(session, &first, b"tent").await.unwrap();
            fs::write(stand.upload_path(session), b"CONTENT").unwrap();
            stand.uploads.finish(session, &progress, &digest).await.unwrap();
            assert_eq!(stand.content(&digest).await, b"CONTENT");
        });
    }

    /// The machine stopped, and what the file system kept has the length and not the bytes. The record still knows the
    /// digest; the process that saw the bytes is gone.
    #[test]
    fn a_digest_on_record_is_no_proof_after_a_restart() {
        let stand = Stand::local();
        run(async {
            let (session, digest) = (stand.session(), sha256(b"content"));
            let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
            fs::write(stand.upload_path(session), [0; 7]).unwrap();
            let refused = stand.another_process().finish(session, &progress, &digest).await.unwrap_err();
            assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused}");
            assert!(!stand.is_stored(&digest).await);
        });
    }

    /// The process was killed between the rename and the record: the client is told that the session is unknown, and
    /// uploads again.
    #[test]
    fn a_session_that_became_a_blob_is_uploaded_again() {
        let stand = Stand::local();
        run(async {
            let (session, digest) = (stand.session(), sha256(b"content"));
            let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
            stand.uploads.finish(session, &progress, &digest).await.unwrap();
            let lost = stand.another_process().finish(session, &progress, &digest).await.unwrap_err();
            assert!(matches!(lost, Error::UploadLost), "{lost}");
            assert_eq!(stand.push(b"content").await, digest);
        });
    }

    #[test]
    fn a_damaged_blob_is_replaced() {
        let stand = Stand::local();
        run(async {
            let digest = stand.push(b"content").await;
            for damage in [&b""[..], b"cont", b"content and more"] {
                fs::write(stand.blob_path(&digest), damage).unwrap();
                let refused = stand.store.read(&digest, Some(7), None).await;
                assert!(matches!(refused, Err(Error::BlobDamaged { .. })), "{refused:?}");
                stand.push(b"content").await;
                assert_eq!(stand.content(&digest).await, b"content");
            }
        });
    }

    #[test]
    fn what_is_no_file_is_no_blob_and_is_not_replaced() {
        let stand = Stand::local();
        run(async {
            let digest = stand.push(b"content").await;
            fs::remove_file(stand.blob_path(&digest)).unwrap();
            fs::create_dir(stand.blob_path(&digest)).unwrap();
            assert!(!stand.is_stored(&digest).await);
            let session = stand.session();
            let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
            let failed = stand.uploads.finish(session, &progress, &digest).await.unwrap_err();
            assert!(matches!(failed, Error::Internal { .. }), "{failed}");
            // Once it is out of the way, the session ends well.
            fs::remove_dir(stand.blob_path(&digest)).unwrap();
            stand.uploads.finish(session, &progress, &digest).await.unwrap();
            assert_eq!(stand.content(&digest).await, b"content");
        });
    }

    #[test]
    fn a_blob_that_shrinks_while_it_is_read_is_an_error() {
        let stand = Stand::local();
        run(async {
            let content = content(3_000_000, 21);
            let digest = stand.push(&content).await;
            let mut read = stand.store.read(&digest, Some(3_000_000), None).await.unwrap();
            let first = read.bytes.next().await.unwrap().unwrap();
            let file = fs::File::options().write(true).open(stand.blob_path(&digest)).unwrap();
            file.set_len(1_000_000).unwrap();
            let mut received = first.to_vec();
            let error = loop {
                match read.bytes.next().await.expect("it must not end as if it were whole") {
                    Ok(piece) => received.extend_from_slice(&piece),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(received == content[..received.len()]);
            assert!(read.bytes.next().await.is_none());
        });
    }

    #[test]
    fn a_blob_that_is_deleted_while_it_is_read_is_read_to_its_end() {
        let stand = Stand::local();
        run(async {
            let content = content(3_000_000, 22);
            let digest = stand.push(&content).await;
            let read = stand.store.read(&digest, None, None).await.unwrap();
            stand.store.delete(&digest).await.unwrap();
            assert!(collect(read.bytes).await.unwrap() == content);
        });
    }

    #[test]
    fn strange_files_are_left_alone_and_not_listed() {
        let stand = Stand::local();
        run(async {
            let digest = stand.push(b"content").await;
            let strange = [
                stand.path("blobs/sha256/00/README"),
                stand.path(format!("blobs/sha256/00/{}.tmp", "0".repeat(64))),
                stand.path("uploads/README"),
            ];
            fs::create_dir_all(stand.path("blobs/sha256/00")).unwrap();
            for path in &strange {
                fs::write(path, b"?").unwrap();
            }
            fs::create_dir_all(stand.path(format!("blobs/sha256/11/{}", "1".repeat(64)))).unwrap();
            assert_eq!(stand.list().await.keys().collect::<Vec<_>>(), [&digest.to_string()]);
            assert_eq!(stand.uploads.sweep(i64::MAX).await.unwrap(), 0);
            assert!(strange.iter().all(|path| path.exists()));
        });
    }

    /// A device on which every write fails for want of room stands for the full disk.
    #[test]
    fn a_full_disk_is_an_error_of_its_own() {
        let stand = Stand::local();
        run(async {
            let (session, digest) = (stand.session(), sha256(b"content"));
            symlink("/dev/full", stand.upload_path(session)).unwrap();
            let full = stand.append(session, &Progress::default(), b"content").await.unwrap_err();
            assert!(matches!(full, Error::DiskFull), "{full:?}");
            // There is room again, and the session goes on.
            fs::remove_file(stand.upload_path(session)).unwrap();
            let progress = stand.append(session, &Progress::default(), b"content").await.unwrap();
            stand.uploads.finish(session, &progress, &digest).await.unwrap();
            assert_eq!(stand.content(&digest).await, b"content");
        });
    }

    #[test]
    fn there_is_free_space() {
        let stand = Stand::local();
        let free = run(stand.store.free_bytes()).unwrap();
        assert!(free.is_some_and(|free| free > 1_000_000), "{free:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let failed = BlobStore::local(&file.join("registry")).unwrap_err();
        assert!(matches!(failed, Error::Internal { .. }), "{failed:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let settings = |prefix: &str| S3Settings {
        bucket: "bucket".to_owned(),
        prefix: prefix.to_owned(),
        variables: vec![("AWS_ALLOW_HTTP".to_owned(), "perhaps".to_owned())],
    };
    let refused = run(async { BlobStore::s3(&settings("a")) }).unwrap_err();
    assert!(matches!(refused, Error::Unusable(_)), "{refused:?}");
    let dots = S3Settings { variables: Vec::new(), ..settings("a/../b") };
    let refused = run(async { BlobStore::s3(&dots) }).unwrap_err();
    assert!(matches!(refused, Error::Unusable(_)), "{refused:?}");
}
