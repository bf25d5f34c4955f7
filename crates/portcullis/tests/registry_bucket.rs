//! A whole forge whose images are in a bucket: what is pushed, in one request or in pieces, comes back byte for byte, and
//! what is not needed leaves the bucket.
//!
//! `PORTCULLIS_TEST_S3=s3://bucket/prefix` names the bucket, and the variables `AWS_…` say where it is and who asks;
//! `scripts/with-bucket` sets them. Each test works below a prefix of its own.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, with functions that serve the tests")]

use std::io::{Read as _, Write as _};
use std::time::{Instant, UNIX_EPOCH};

use portcullis_app::registry::garbage::{self, Collected};
use portcullis_app::registry::protocol::{BlobStore, Digest, S3Settings, Uploads};
use portcullis_app::registry::verification::{self, Damaged, Fault};
use portcullis_testkit::registry::{
    Algorithm, Body, ImageRepository, OCI_CONFIG, OCI_IMAGE, OCI_LAYER, Upload, Way, descriptor, encode,
    image_manifest, noise,
};
use portcullis_testkit::{Connection, TestForge, forge};

/// The safe age, and a little more.
const DAY: i64 = 24 * 3600 + 1;

/// Longer than one part of a multipart upload, which has 8 MiB.
const SEVERAL_PARTS: usize = 9_500_001;

/// What a client sends before it goes away: more than one part.
const SENT_BEFORE_BREAK: usize = 9_000_000;

/// A forge, and its bucket as the service sees it.
struct Stand {
    forge: TestForge,
    store: BlobStore,
}

impl Stand {
    /// Returns a forge in the bucket of the environment, if there is one.
    fn start() -> Option<Stand> {
        let Ok(address) = std::env::var("PORTCULLIS_TEST_S3") else {
            println!("skipped: PORTCULLIS_TEST_S3 names no bucket");
            return None;
        };
        // The name of a new folder is one that nobody else has.
        let folder = tempfile::tempdir().unwrap();
        let nonce = folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        let place = format!("{}/{nonce}", address.trim_end_matches('/'));
        let variables: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
        let (bucket, prefix) = place.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let store = BlobStore::s3(&S3Settings {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            variables: variables.clone(),
        });
        let forge = forge!(|settings| {
            settings.blobs = Some(place.clone());
            settings.blob_variables = variables;
        });
        Some(Stand { forge, store: store.unwrap() })
    }

    /// Returns how many bytes the object of a blob has, if it is there.
    fn stored(&self, digest: &str) -> Option<u64> {
        self.forge.block_on(self.store.size(&Digest::parse(digest).unwrap())).unwrap()
    }

    /// Expects that no upload has left anything in the bucket.
    #[track_caller]
    fn expect_no_pieces(&self) {
        let swept = self.forge.block_on(Uploads::new(&self.store).sweep(i64::MAX)).unwrap();
        assert_eq!(swept, 0, "uploads have left their pieces");
    }

    fn collect(&self) -> Collected {
        self.forge.block_on(garbage::collect(&self.forge.forge, false, &mut |_| {})).unwrap()
    }
}

fn digest_of(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes)
}

/// Pushes an image of one layer, and returns its digest and its manifest.
fn push_image(image: &ImageRepository, tag: &str, layer: &[u8]) -> (String, Vec<u8>) {
    let config = format!("{{\"of\": \"{tag}\"}}").into_bytes();
    image.push_blob(&config);
    image.push_blob(layer);
    let manifest = image_manifest(&descriptor(OCI_CONFIG, &config), &[descriptor(OCI_LAYER, layer)]);
    let manifest = manifest.to_string().into_bytes();
    let put = image.put_manifest(tag, OCI_IMAGE, &manifest);
    image.expect_accepted(&put, &digest_of(&manifest));
    (digest_of(&manifest), manifest)
}

#[test]
fn what_is_pushed_comes_back() {
    let Some(stand) = Stand::start() else { return };
    let image = stand.forge.image();
    for length in [1, 300_000, SEVERAL_PARTS] {
        for (number, way) in Way::ALL.into_iter().enumerate() {
            let bytes = noise(length + number);
            let digest = digest_of(&bytes);
            image.expect_no_blob(&digest);
            let answer = image.upload(way, &bytes, &digest);
            image.expect_stored(&answer, &digest);
            image.expect_blob(&digest, &bytes);
            assert_eq!(stand.stored(&digest), Some(bytes.len() as u64), "{way:?} of {length}");
        }
    }
    let bytes = noise(70_000);
    let digest = Algorithm::Sha512.digest(&bytes);
    for way in [Way::PostPut, Way::Pieces] {
        let answer = image.upload(way, &bytes, &digest);
        image.expect_stored(&answer, &digest);
        image.expect_blob(&digest, &bytes);
    }
    stand.expect_no_pieces();
    assert_eq!(stand.forge.blob_files(&digest), Vec::<std::path::PathBuf>::new(), "it is in a folder, too");
}

#[test]
fn an_image_is_pulled_by_its_tag() {
    let Some(stand) = Stand::start() else { return };
    let (image, layer) = (stand.forge.image(), noise(SEVERAL_PARTS));
    let (digest, manifest) = push_image(&image, "latest", &layer);
    image.expect_manifest("latest", &digest, OCI_IMAGE, &manifest);
    assert!(image.get_blob(&digest_of(&layer)).expect(200).body == layer);
    // Another repository takes it over without sending it, and finds it where it is.
    let other = stand.forge.image();
    other.expect_no_blob(&digest_of(&layer));
    let answer = other.upload(Way::PostPut, &layer, &digest_of(&layer));
    other.expect_stored(&answer, &digest_of(&layer));
    assert!(other.get_blob(&digest_of(&layer)).expect(200).body == layer);
}

#[test]
fn eight_clients_push_the_same_layer_at_once() {
    let Some(stand) = Stand::start() else { return };
    let (image, layer) = (stand.forge.image(), noise(400_000));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (image, layer) = (&image, &layer);
            scope.spawn(move || {
                let answer = image.upload(Way::ALL[number % Way::ALL.len()], layer, &digest_of(layer));
                image.expect_stored(&answer, &digest_of(layer));
            });
        }
    });
    image.expect_blob(&digest_of(&layer), &layer);
    stand.expect_no_pieces();
}

#[test]
fn any_part_of_a_layer_can_be_asked_for() {
    let Some(stand) = Stand::start() else { return };
    let (image, bytes) = (stand.forge.image(), noise(SEVERAL_PARTS));
    let digest = image.push_blob(&bytes);
    let (path, last) = (format!("/blobs/{digest}"), bytes.len() - 1);
    for (asked, first, end) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-".to_owned(), 0, last),
        ("bytes=8388607-8388608".to_owned(), 8_388_607, 8_388_608),
        (format!("bytes={last}-"), last, last),
        (format!("bytes=9000000-{}", bytes.len() + 5), 9_000_000, last),
        ("bytes=-100".to_owned(), bytes.len() - 100, last),
    ] {
        let answer = image.get_with(&path, &[("range", &asked)]).expect(206);
        let range = format!("bytes {first}-{end}/{}", bytes.len());
        assert_eq!(answer.header("content-range"), Some(&*range), "{asked}");
        assert!(answer.body == bytes[first..=end], "{asked} is answered with other bytes");
    }
    let outside = format!("bytes={}-", bytes.len());
    let answer = image.get_with(&path, &[("range", &outside)]).expect(416);
    assert_eq!(answer.header("content-range"), Some(&*format!("bytes */{}", bytes.len())));
}

#[test]
fn a_pull_goes_on_after_the_connection_was_lost() {
    let Some(stand) = Stand::start() else { return };
    let (image, bytes) = (stand.forge.image(), noise(SEVERAL_PARTS));
    let digest = image.push_blob(&bytes);
    let bearer = image.client.bearer(&[&format!("repository:{}:pull", image.name)]);
    let mut connection = Connection::open(&stand.forge);
    let line = format!("GET {} HTTP/1.1", image.path(&format!("/blobs/{digest}")));
    connection.send(format!("{line}\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\n\r\n").as_bytes());
    assert_eq!(connection.head().status, 200);
    let mut received = vec![0; 8_500_000];
    connection.0.read_exact(&mut received).unwrap();
    drop(connection);
    let rest = format!("bytes={}-", received.len());
    let answer = image.get_with(&format!("/blobs/{digest}"), &[("range", &rest)]).expect(206);
    received.extend_from_slice(&answer.body);
    assert!(received == bytes, "the two halves do not fit");
}

/// Sends the beginning of a request with a body, and goes away.
fn send_half(stand: &Stand, image: &ImageRepository, line: &str, length: usize, sent: &[u8]) {
    let bearer = image.client.bearer(&[&format!("repository:{}:pull,push", image.name)]);
    let mut connection = Connection::open(&stand.forge);
    let head = format!(
        "{line} HTTP/1.1\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    connection.send(head.as_bytes());
    connection.send(sent);
    connection.0.flush().unwrap();
    connection.0.shutdown(std::net::Shutdown::Write).unwrap();
}

/// Returns how many bytes an upload has once the server has noticed that its client is gone.
fn size_after_break(upload: &mut Upload, before: usize) -> usize {
    let begun = Instant::now();
    loop {
        let status = upload.status().expect(204);
        let last: usize = status.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
        if last + 1 > before {
            return last + 1;
        }
        assert!(begun.elapsed().as_secs() < 30, "nothing of the broken piece was kept");
        std::thread::yield_now();
    }
}

#[test]
fn a_push_goes_on_after_the_connection_was_lost() {
    let Some(stand) = Stand::start() else { return };
    let (image, bytes) = (stand.forge.image(), noise(SEVERAL_PARTS));
    let digest = digest_of(&bytes);
    for begun in [1, 1_000_000] {
        let mut upload = image.open_upload();
        upload.piece(0, &bytes[..begun]).expect(202);
        let line = format!("PATCH {}", upload.location);
        send_half(&stand, &image, &line, bytes.len() - begun, &bytes[begun..SENT_BEFORE_BREAK]);
        let size = size_after_break(&mut upload, begun);
        assert!(size <= SENT_BEFORE_BREAK, "{size} bytes of {SENT_BEFORE_BREAK}");
        image.expect_no_blob(&digest);
        let answer = upload.last_piece(&digest, size as u64, &bytes[size..]);
        image.expect_stored(&answer, &digest);
        image.expect_blob(&digest, &bytes);
        stand.expect_no_pieces();
        image.delete_blob(&digest).expect(202);
    }
}

#[test]
fn what_is_refused_or_given_up_leaves_nothing() {
    let Some(stand) = Stand::start() else { return };
    let (image, bytes) = (stand.forge.image(), noise(SEVERAL_PARTS));
    let wrong = digest_of(b"announced");
    for way in Way::ALL {
        image.upload(way, &bytes, &wrong).expect_error(400, "DIGEST_INVALID");
    }
    let mut upload = image.open_upload();
    upload.piece(0, &bytes[..1000]).expect(202);
    upload.piece(1000, &bytes[1000..]).expect(202);
    upload.cancel().expect(204);
    upload.expect_gone();
    let line = format!("POST {}?digest={}", image.path("/blobs/uploads/"), encode(&digest_of(&bytes)));
    send_half(&stand, &image, &line, bytes.len(), &bytes[..SENT_BEFORE_BREAK]);
    for digest in [wrong, digest_of(&bytes)] {
        image.expect_no_blob(&digest);
        assert_eq!(stand.stored(&digest), None);
    }
    // The last one may not have been noticed yet.
    let uploads = Uploads::new(&stand.store);
    let begun = Instant::now();
    let mut quiet = 0;
    while quiet < 20 {
        quiet = if stand.forge.block_on(uploads.sweep(i64::MAX)).unwrap() == 0 { quiet + 1 } else { 0 };
        assert!(begun.elapsed().as_secs() < 30, "uploads that were given up leave their pieces");
    }
}

#[test]
fn what_no_image_needs_leaves_the_bucket() {
    let Some(stand) = Stand::start() else { return };
    let image = stand.forge.image();
    let (kept, gone, loose) = (noise(300_000), noise(SEVERAL_PARTS), noise(1000));
    let (kept_image, kept_manifest) = push_image(&image, "latest", &kept);
    let (gone_image, _) = push_image(&image, "old", &gone);
    image.push_blob(&loose);
    image.delete_manifest(&gone_image).expect(202);
    let mut idle = image.open_upload();
    idle.piece(0, &loose).expect(202);
    assert_eq!(stand.collect(), Collected::default(), "it is young yet");

    stand.forge.clock.advance_seconds(DAY);
    let collected = stand.collect();
    let counts = (collected.links, collected.blobs, collected.strays, collected.uploads);
    assert_eq!(counts, (3, 3, 0, 1), "{collected:?}");
    assert_eq!(stand.collect().blobs, 0);
    for bytes in [&gone, &loose] {
        assert_eq!(stand.stored(&digest_of(bytes)), None);
        image.expect_no_blob(&digest_of(bytes));
    }
    assert_eq!(stand.stored(&digest_of(&kept)), Some(kept.len() as u64));
    image.expect_manifest("latest", &kept_image, OCI_IMAGE, &kept_manifest);
    image.expect_blob(&digest_of(&kept), &kept);
    // What is gone can be pushed again.
    let (again, manifest) = push_image(&image, "old", &gone);
    image.expect_manifest("old", &again, OCI_IMAGE, &manifest);
    image.expect_blob(&digest_of(&gone), &gone);

    // How old the pieces of the idle upload are, the clock of the service says, which does not stand still.
    let written = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
    let now = written.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let behind = now - stand.forge.forge.now() / 1_000_000;
    stand.forge.clock.advance_seconds(behind.max(0) + 30 * DAY);
    stand.collect();
    stand.expect_no_pieces();
}

#[test]
fn a_lost_object_is_found_and_comes_back_with_the_next_push() {
    let Some(stand) = Stand::start() else { return };
    let (image, layer) = (stand.forge.image(), noise(100_000));
    push_image(&image, "latest", &layer);
    let digest = digest_of(&layer);
    let verify = |damaged| {
        stand.forge.block_on(verification::verify(&stand.forge.forge, damaged, &mut |_| {})).unwrap()
    };
    let verified = verify(Damaged::IsReported);
    assert_eq!((verified.blobs, verified.faults), (2, vec![]));
    stand.forge.block_on(stand.store.delete(&Digest::parse(&digest).unwrap())).unwrap();
    assert_eq!(verify(Damaged::IsReported).faults, [(digest.clone(), Fault::Missing)]);
    verify(Damaged::IsRemoved);
    image.expect_no_blob(&digest);
    let answer = image.upload(Way::Stream, &layer, &digest);
    image.expect_stored(&answer, &digest);
    image.expect_blob(&digest, &layer);
}

/// An upload that cannot be written is no upload that succeeded, and the client is told that it may try again.
#[test]
fn a_service_that_does_not_answer_is_no_success() {
    let Some(stand) = Stand::start() else { return };
    drop(stand);
    let forge = forge!(|settings| {
        settings.blobs = Some("s3://nobody-is-there".to_owned());
        settings.blob_variables = [
            ("AWS_ENDPOINT", "http://127.0.0.1:1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret-of-the-bucket"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    });
    let image = forge.image();
    let mut upload = image.open_upload();
    let answer = upload.ask("PATCH", "", &[], Body::Bytes(b"content"));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    for secret in ["127.0.0.1", "nobody-is-there", "secret-of-the-bucket"] {
        assert!(!told.contains(secret), "{told}");
    }
}
