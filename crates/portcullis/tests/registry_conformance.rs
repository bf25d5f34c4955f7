//! The cases of the OCI conformance program about blobs, by their names, each for SHA-256 and for SHA-512. Those about
//! manifests are in `registry_data_sets.rs`, those about lists in `registry_lists.rs`.

use portcullis_testkit::forge;
use portcullis_testkit::registry::{Algorithm, Upload, Way, noise};

/// Each case runs for both digests, and has a name for each.
macro_rules! by_both_digests {
    ($($name:ident)*) => {
        mod sha256 {
            $(#[test]
            fn $name() {
                super::$name(super::Algorithm::Sha256);
            })*
        }
        mod sha512 {
            $(#[test]
            fn $name() {
                super::$name(super::Algorithm::Sha512);
            })*
        }
    };
}

by_both_digests! {
    get_missing_finds_nothing
    post_only_stores_a_blob
    post_and_put_stores_a_blob
    chunked_single_stores_a_blob
    stream_stores_a_blob
    chunked_multi_stores_a_blob
    chunked_multi_and_put_chunk_stores_a_blob
    chunked_out_of_order_is_refused_and_goes_on
    chunked_out_of_order_and_put_chunk_is_refused_and_goes_on
    mount_takes_a_blob_over
    mount_anonymous_finds_a_blob_in_the_same_project
    mount_missing_becomes_an_upload
    post_cancel_ends_an_upload
    range_requests_send_the_part
    empty_is_a_blob_like_others
    empty_json_is_a_blob_like_others
    bad_digest_post_only_stores_nothing
    bad_digest_post_and_put_stores_nothing
    bad_digest_chunked_stores_nothing
    bad_digest_chunked_and_put_chunk_stores_nothing
    bad_digest_stream_stores_nothing
    a_blob_is_the_same_whichever_way_it_came
    a_blob_that_is_there_is_taken_again
}

/// Pushes a blob in one way, reads it, and deletes it.
#[track_caller]
fn stores_a_blob(way: Way, bytes: &[u8], algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let digest = algorithm.digest(bytes);
    let answer = repository.upload(way, bytes, &digest);
    repository.expect_stored(&answer, &digest);
    repository.expect_blob(&digest, bytes);
    repository.delete_blob(&digest).expect(202);
    repository.expect_no_blob(&digest);
}

fn get_missing_finds_nothing(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let digest = algorithm.digest(b"missing");
    // Not even the repository is there.
    repository.expect_no_blob(&digest);
    repository.push_blob(b"another");
    repository.get_blob(&digest).expect_error(404, "BLOB_UNKNOWN");
    repository.expect_no_blob(&digest);
}

fn post_only_stores_a_blob(algorithm: Algorithm) {
    stores_a_blob(Way::PostOnly, &noise(512), algorithm);
}

fn post_and_put_stores_a_blob(algorithm: Algorithm) {
    stores_a_blob(Way::PostPut, &noise(512), algorithm);
}

fn stream_stores_a_blob(algorithm: Algorithm) {
    stores_a_blob(Way::Stream, &noise(100_000), algorithm);
}

fn chunked_multi_stores_a_blob(algorithm: Algorithm) {
    stores_a_blob(Way::Pieces, &noise(3 * 1024 - 5), algorithm);
}

fn chunked_multi_and_put_chunk_stores_a_blob(algorithm: Algorithm) {
    stores_a_blob(Way::PiecesAndPut, &noise(3 * 1024 - 5), algorithm);
}

fn chunked_single_stores_a_blob(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(512);
    let digest = algorithm.digest(&bytes);
    let mut upload = repository.open_upload();
    let answer = upload.piece(0, &bytes).expect(202);
    assert_eq!(answer.header("range"), Some("0-511"));
    let answer = upload.put(&digest, b"");
    repository.expect_stored(&answer, &digest);
    repository.expect_blob(&digest, &bytes);
}

fn chunked_out_of_order_is_refused_and_goes_on(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(3 * 1024 - 5);
    let digest = algorithm.digest(&bytes);
    let mut upload = repository.open_upload();
    upload.piece(1024, &bytes[1024..2048]).expect(416);
    upload.expect_size(0);
    upload.piece(0, &bytes[..1024]).expect(202);
    upload.piece(2048, &bytes[2048..]).expect(416);
    upload.expect_size(1024);
    upload.piece(1024, &bytes[1024..2048]).expect(202);
    upload.piece(2048, &bytes[2048..]).expect(202);
    upload.expect_size(bytes.len());
    let answer = upload.put(&digest, b"");
    repository.expect_stored(&answer, &digest);
    repository.expect_blob(&digest, &bytes);
}

fn chunked_out_of_order_and_put_chunk_is_refused_and_goes_on(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(3 * 1024 - 5);
    let digest = algorithm.digest(&bytes);
    let mut upload = repository.open_upload();
    upload.piece(0, &bytes[..1024]).expect(202);
    upload.last_piece(&digest, 2048, &bytes[2048..]).expect(416);
    repository.expect_no_blob(&digest);
    upload.expect_size(1024);
    upload.piece(1024, &bytes[1024..2048]).expect(202);
    let answer = upload.last_piece(&digest, 2048, &bytes[2048..]);
    repository.expect_stored(&answer, &digest);
    repository.expect_blob(&digest, &bytes);
}

fn mount_takes_a_blob_over(algorithm: Algorithm) {
    let forge = forge!();
    let source = forge.image();
    let target = source.client.repository(&format!("{}-too", source.name));
    let bytes = noise(512);
    let digest = algorithm.digest(&bytes);
    source.upload(Way::PostPut, &bytes, &digest).expect(201);
    let answer = target.mount(&digest, Some(&source.name));
    target.expect_stored(&answer, &digest);
    target.expect_blob(&digest, &bytes);
    // Each has its own from now on.
    source.delete_blob(&digest).expect(202);
    source.expect_no_blob(&digest);
    target.expect_blob(&digest, &bytes);
    target.delete_blob(&digest).expect(202);
    target.expect_no_blob(&digest);
}

fn mount_anonymous_finds_a_blob_in_the_same_project(algorithm: Algorithm) {
    let forge = forge!();
    let source = forge.image();
    let target = source.client.repository(&format!("{}-too", source.name));
    let bytes = noise(512);
    let digest = algorithm.digest(&bytes);
    source.upload(Way::PostPut, &bytes, &digest).expect(201);
    let answer = target.mount(&digest, None);
    target.expect_stored(&answer, &digest);
    target.expect_blob(&digest, &bytes);
}

fn mount_missing_becomes_an_upload(algorithm: Algorithm) {
    let forge = forge!();
    let source = forge.image();
    let target = source.client.repository(&format!("{}-too", source.name));
    source.push_blob(b"another");
    let bytes = noise(512);
    let digest = algorithm.digest(&bytes);
    for from in [Some(&*source.name), None] {
        let opened = target.mount(&digest, from).expect(202);
        let mut upload = Upload { repository: target.clone(), location: opened.location() };
        let answer = upload.put(&digest, &bytes);
        target.expect_stored(&answer, &digest);
        target.delete_blob(&digest).expect(202);
    }
}

fn post_cancel_ends_an_upload(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(512);
    for sent in [&bytes[..0], &bytes[..200], &bytes] {
        let mut upload = repository.open_upload();
        if !sent.is_empty() {
            upload.piece(0, sent).expect(202);
        }
        let answer = upload.cancel().expect(204);
        assert_eq!(answer.body, b"");
        upload.expect_gone();
    }
    repository.expect_no_blob(&algorithm.digest(&bytes));
}

fn range_requests_send_the_part(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(2048);
    let digest = algorithm.digest(&bytes);
    repository.upload(Way::PostPut, &bytes, &digest).expect(201);
    let path = format!("/blobs/{digest}");
    for (range, part, content_range) in [
        ("bytes=500-1499", &bytes[500..1500], "bytes 500-1499/2048"),
        ("bytes=500-", &bytes[500..], "bytes 500-2047/2048"),
        ("bytes=-500", &bytes[1548..], "bytes 1548-2047/2048"),
        ("bytes=2000-5000", &bytes[2000..], "bytes 2000-2047/2048"),
        ("bytes=0-0", &bytes[..1], "bytes 0-0/2048"),
    ] {
        let answer = repository.get_with(&path, &[("range", range)]).expect(206);
        assert_eq!(answer.header("content-range"), Some(content_range), "{range}");
        assert_eq!(answer.header("content-length"), Some(&*part.len().to_string()), "{range}");
        assert_eq!(answer.header("docker-content-digest"), Some(&*digest), "{range}");
        assert!(answer.body == part, "{range}: other bytes");
    }
    for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-"] {
        let answer = repository.get_with(&path, &[("range", range)]).expect(416);
        assert_eq!(answer.header("content-range"), Some("bytes */2048"), "{range}");
        // It is the length of this answer, not that of the blob.
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()), "{range}");
    }
    // Several ranges, and units that nobody knows, are answered with the whole.
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=x-y"] {
        let answer = repository.get_with(&path, &[("range", range)]).expect(200);
        assert!(answer.body == bytes, "{range}");
    }
}

fn is_a_blob_like_others(bytes: &[u8], algorithm: Algorithm, ways: &[Way]) {
    let forge = forge!();
    let repository = forge.image();
    let digest = algorithm.digest(bytes);
    for way in ways {
        repository.expect_no_blob(&digest);
        let answer = repository.upload(*way, bytes, &digest);
        repository.expect_stored(&answer, &digest);
        repository.expect_blob(&digest, bytes);
        repository.delete_blob(&digest).expect(202);
    }
}

fn empty_is_a_blob_like_others(algorithm: Algorithm) {
    is_a_blob_like_others(b"", algorithm, &[Way::PostPut, Way::PostOnly, Way::Stream]);
}

fn empty_json_is_a_blob_like_others(algorithm: Algorithm) {
    is_a_blob_like_others(b"{}", algorithm, &Way::ALL);
}

/// Uploads other bytes than the digest says. Neither they nor anything under the digest is there afterwards.
#[track_caller]
fn stores_nothing(way: Way, algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(3 * 1024 - 5);
    let (said, true_one) = (algorithm.digest(b"something else"), algorithm.digest(&bytes));
    repository.upload(way, &bytes, &said).expect_error(400, "DIGEST_INVALID");
    repository.expect_no_blob(&said);
    repository.expect_no_blob(&true_one);
    assert_eq!(forge.blob_files(&said).len() + forge.blob_files(&true_one).len(), 0);
}

fn bad_digest_post_only_stores_nothing(algorithm: Algorithm) {
    stores_nothing(Way::PostOnly, algorithm);
}

fn bad_digest_post_and_put_stores_nothing(algorithm: Algorithm) {
    stores_nothing(Way::PostPut, algorithm);
}

fn bad_digest_chunked_stores_nothing(algorithm: Algorithm) {
    stores_nothing(Way::Pieces, algorithm);
}

fn bad_digest_chunked_and_put_chunk_stores_nothing(algorithm: Algorithm) {
    stores_nothing(Way::PiecesAndPut, algorithm);
}

fn bad_digest_stream_stores_nothing(algorithm: Algorithm) {
    stores_nothing(Way::Stream, algorithm);
}

fn a_blob_is_the_same_whichever_way_it_came(algorithm: Algorithm) {
    is_a_blob_like_others(&noise(70_001), algorithm, &Way::ALL);
}

fn a_blob_that_is_there_is_taken_again(algorithm: Algorithm) {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(512);
    let digest = algorithm.digest(&bytes);
    for way in Way::ALL {
        let answer = repository.upload(way, &bytes, &digest);
        repository.expect_stored(&answer, &digest);
    }
    repository.expect_blob(&digest, &bytes);
    assert_eq!(forge.blob_files(&digest).len(), 1);
}
