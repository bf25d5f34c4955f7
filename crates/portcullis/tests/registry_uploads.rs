//! Uploads beside the straight way: pieces in the wrong place, what an upload belongs to, how it ends, what is taken over
//! from other repositories, and what may be kept of a blob.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::io::Write as _;

use portcullis_testkit::registry::{
    Algorithm, BearerChallenge, Body, OCI_IMAGE, RegistryAnswer, Upload, Way, actions_in, claims, encode,
    noise,
};
use portcullis_testkit::{Connection, TestForge, forge};

#[test]
fn a_begun_upload_says_where_it_goes_on() {
    let forge = forge!();
    let repository = forge.image();
    let opened = repository.post_upload("", &[], b"").expect(202);
    let session = opened.header("docker-upload-uuid").unwrap().to_owned();
    assert_eq!(session.len(), 36);
    // A path without a host is right behind every proxy.
    let location = opened.location();
    assert!(location.starts_with(&repository.path("/blobs/uploads/")), "{location}");
    assert!(location.contains(&session));
    assert_eq!(opened.header("range"), Some("0-0"));
    assert_eq!(opened.header("content-length"), Some("0"));
    assert_eq!(opened.header("oci-chunk-min-length"), None);
    assert_eq!(opened.header("docker-distribution-api-version"), Some("registry/2.0"));
    let mut upload = Upload { repository: repository.clone(), location };
    upload.expect_size(0);

    let answer = upload.piece(0, b"0123456789").expect(202);
    assert_eq!(answer.header("range"), Some("0-9"));
    assert_eq!(answer.header("docker-upload-uuid"), Some(&*session));
    assert!(answer.location().starts_with("/v2/"), "{answer:?}");
    upload.expect_size(10);
    let answer = upload.stream(b"abc").expect(202);
    assert_eq!(answer.header("range"), Some("0-12"));
    let digest = Algorithm::Sha256.digest(b"0123456789abcdef");
    let answer = upload.put(&digest, b"def");
    repository.expect_stored(&answer, &digest);

    // No two have the same address.
    let another = repository.post_upload("", &[], b"").expect(202);
    assert_ne!(another.header("docker-upload-uuid"), Some(&*session));
}

#[test]
fn a_piece_that_does_not_begin_at_the_end_is_refused_and_changes_nothing() {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(3000);
    let mut upload = repository.open_upload();
    upload.piece(0, &bytes[..1000]).expect(202);
    // Sent again, leaving a hole, overlapping.
    for (at, end) in [(0, 1000), (1001, 2000), (999, 2000), (500, 1500), (2000, 3000)] {
        let answer = upload.piece(at as u64, &bytes[at..end]);
        answer.expect_error(416, "BLOB_UPLOAD_INVALID");
        upload.expect_size(1000);
    }
    // The order is checked too when the length is not known beforehand.
    let octets = ("content-type", "application/octet-stream");
    let answer =
        upload.ask("PATCH", "", &[octets, ("content-range", "2000-2999")], Body::Stream(&bytes[2000..]));
    answer.expect(416);
    upload.expect_size(1000);
    let answer =
        upload.ask("PATCH", "", &[octets, ("content-range", "1000-1999")], Body::Stream(&bytes[1000..2000]));
    answer.expect(202);
    let digest = Algorithm::Sha256.digest(&bytes);
    let answer = upload.last_piece(&digest, 2000, &bytes[2000..]);
    repository.expect_stored(&answer, &digest);
    repository.expect_blob(&digest, &bytes);
}

#[test]
fn a_range_that_is_none_is_refused() {
    let forge = forge!();
    let mut upload = forge.image().open_upload();
    let octets = ("content-type", "application/octet-stream");
    for range in
        ["bytes 0-9", "bytes=0-9", "0", "-9", "0-", "9-0", "a-b", "0-9/10", "0-99999999999999999999", ""]
    {
        let answer = upload.ask("PATCH", "", &[octets, ("content-range", range)], Body::Bytes(b"0123456789"));
        assert!(matches!(answer.status, 400 | 416), "{range:?}: {answer:?}");
        upload.expect_size(0);
    }
    // It announces another length than there is.
    for range in ["0-8", "0-10", "0-0"] {
        let answer = upload.ask("PATCH", "", &[octets, ("content-range", range)], Body::Bytes(b"0123456789"));
        answer.expect_error(400, "SIZE_INVALID");
        upload.expect_size(0);
    }
    upload.piece(0, b"0123456789").expect(202);
}

#[test]
fn a_piece_is_octets_and_nothing_else() {
    let forge = forge!();
    let mut upload = forge.image().open_upload();
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let answer = upload.ask("PATCH", "", &[("content-type", kind)], Body::Bytes(b"0123456789"));
        assert!(answer.expect(400).json()["errors"].is_array());
        upload.expect_size(0);
    }
    // Some clients say nothing.
    upload.ask("PATCH", "", &[], Body::Bytes(b"0123456789")).expect(202);
    upload.expect_size(10);
}

#[test]
fn an_upload_ends_only_under_a_digest() {
    let forge = forge!();
    let repository = forge.image();
    let true_one = Algorithm::Sha256.digest(b"content");
    let hex = true_one.strip_prefix("sha256:").unwrap();
    for digest in [
        "",
        "sha256",
        "sha256:",
        hex,
        &format!("sha256:{}", hex.to_uppercase()),
        &format!("sha256:{}", &hex[1..]),
        &format!("sha256:{hex}0"),
        &format!("sha512:{hex}"),
        &format!("SHA256:{hex}"),
        &format!("sha1:{}", &hex[..40]),
        &format!("md5:{}", &hex[..32]),
        &format!("blake3:{hex}"),
        "sha256:baddigeststring",
        "sha256:../../../etc/passwd",
    ] {
        let mut upload = repository.open_upload();
        upload.put(digest, b"content").expect_error(400, "DIGEST_INVALID");
        // Without a digest it is the beginning of an upload.
        if !digest.is_empty() {
            let answer = repository.upload(Way::PostOnly, b"content", digest);
            answer.expect_error(400, "DIGEST_INVALID");
        }
    }
    let mut upload = repository.open_upload();
    upload.ask("PUT", "", &[], Body::Bytes(b"content")).expect_error(400, "DIGEST_INVALID");
    repository.expect_no_blob(&true_one);
    assert_eq!(forge.blob_files(&true_one), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_upload_with_a_wrong_digest_is_dropped() {
    let forge = forge!();
    let repository = forge.image();
    let mut upload = repository.open_upload();
    upload.piece(0, b"content").expect(202);
    upload.put(&Algorithm::Sha256.digest(b"other"), b"").expect_error(400, "DIGEST_INVALID");
    upload.expect_gone();
}

#[test]
fn the_announced_algorithm_is_a_hint() {
    let forge = forge!();
    let repository = forge.image();
    for announced in ["sha256", "sha512"] {
        for algorithm in Algorithm::ALL {
            let query = format!("?digest-algorithm={announced}");
            let opened = repository.post_upload(&query, &[], b"").expect(202);
            let mut upload = Upload { repository: repository.clone(), location: opened.location() };
            let bytes = format!("{announced} {}", algorithm.name()).into_bytes();
            upload.piece(0, &bytes[..3]).expect(202);
            let digest = algorithm.digest(&bytes);
            let answer = upload.last_piece(&digest, 3, &bytes[3..]);
            repository.expect_stored(&answer, &digest);
            repository.expect_blob(&digest, &bytes);
        }
    }
    for unknown in ["md5", "", "SHA512", "sha256:abc"] {
        let query = format!("?digest-algorithm={unknown}");
        assert_eq!(repository.post_upload(&query, &[], b"").status, 400, "{unknown:?}");
    }
}

#[test]
fn an_ended_upload_is_not_found_again() {
    let forge = forge!();
    let repository = forge.image();
    let digest = Algorithm::Sha256.digest(b"content");
    let mut upload = repository.open_upload();
    upload.put(&digest, b"content").expect(201);
    upload.expect_gone();

    for session in ["01234567-89ab-4def-8123-456789abcdef", "nothing", "..", "%2e%2e", "0"] {
        let location = repository.path(&format!("/blobs/uploads/{session}"));
        let mut upload = Upload { repository: repository.clone(), location };
        upload.status().expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        upload.piece(0, b"content").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[test]
fn an_upload_belongs_to_its_repository() {
    let forge = forge!();
    let repository = forge.image();
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    let mut upload = repository.open_upload();
    upload.piece(0, b"content").expect(202);
    let location = upload.location.replace(&repository.path("/"), &sibling.path("/"));
    assert_ne!(location, upload.location);
    Upload { repository: sibling.clone(), location }.expect_gone();
    upload.expect_size(7);
    let digest = Algorithm::Sha256.digest(b"content");
    upload.put(&digest, b"").expect(201);
    sibling.expect_no_blob(&digest);
}

#[test]
fn an_upload_belongs_to_who_began_it() {
    let forge = forge!();
    let project = forge.project("private");
    let repository = forge.image_in(&project);
    let another = repository.seen_by(&forge.registry(&project.token(&["api"], 40).secret));
    let mut upload = repository.open_upload();
    upload.piece(0, b"content").expect(202);
    let mut taken = Upload { repository: another, location: upload.location.clone() };
    taken.expect_gone();
    upload.expect_size(7);

    // Whoever has no right to push is not even told whether there is one.
    let reader = repository.seen_by(&forge.registry(&project.token(&["read_registry"], 40).secret));
    let mut seen = Upload { repository: reader, location: upload.location.clone() };
    for answer in [seen.status(), seen.piece(7, b"x"), seen.cancel()] {
        assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"));
    }
    upload.put(&Algorithm::Sha256.digest(b"content"), b"").expect(201);
}

#[test]
fn a_token_that_may_only_push_does_everything_that_uploads_need() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_registry"], 30);
    let repository = forge.registry(&bot.secret).repository(&format!("{}/img", project.full_path));
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)]);
    assert_eq!(actions_in(&claims(&bearer)), ["push"]);
    let pushing = repository.seen_by(&repository.client.with_bearer(&bearer));
    for way in Way::ALL {
        let bytes = format!("{way:?}").into_bytes();
        let digest = Algorithm::Sha256.digest(&bytes);
        let answer = pushing.upload(way, &bytes, &digest);
        pushing.expect_stored(&answer, &digest);
    }
    let mut upload = pushing.open_upload();
    upload.piece(0, b"content").expect(202);
    upload.expect_size(7);
    upload.cancel().expect(204);
    // And it does not read what it has written.
    let answer = pushing.head_blob(&Algorithm::Sha256.digest(b"Stream"));
    assert_eq!(answer.challenge().error.as_deref(), Some("insufficient_scope"));
}

/// Sends the beginning of a request with a body, and goes away.
fn send_half(forge: &TestForge, bearer: &str, request_line: &str, headers: &str, length: usize, sent: &[u8]) {
    let mut connection = Connection::open(forge);
    let head = format!(
        "{request_line} HTTP/1.1\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    connection.send(head.as_bytes());
    connection.send(sent);
    connection.0.flush().unwrap();
    connection.0.shutdown(std::net::Shutdown::Both).unwrap();
}

/// Goes on with an upload from what the server says it has, as a client does that lost its connection.
fn resume(upload: &mut Upload, bytes: &[u8], digest: &str) -> RegistryAnswer {
    // The server may not have noticed yet that the connection is gone: then a piece is refused and asked for again.
    for _ in 0..20 {
        let status = upload.status().expect(204);
        let range = status.header("range").unwrap().to_owned();
        let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
        // `0-0` stands for one byte and for none. Which of them it is shows when the next piece is taken.
        for at in if last == 0 { vec![0, 1] } else { vec![last + 1] } {
            let answer = upload.last_piece(digest, at as u64, &bytes[at..]);
            match answer.status {
                416 => {}
                _ => return answer,
            }
        }
    }
    panic!("an upload cannot be resumed");
}

#[test]
fn a_body_that_is_cut_off_leaves_an_upload_that_can_go_on() {
    let forge = forge!();
    let repository = forge.image();
    let bytes = noise(300_000);
    let digest = Algorithm::Sha256.digest(&bytes);
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)]);
    for (method, range) in [
        ("PATCH", ""),
        ("PATCH", "Content-Range: 1000-299999\r\n"),
        ("PUT", ""),
        ("PUT", "Content-Range: 1000-299999\r\n"),
    ] {
        let mut upload = repository.open_upload();
        upload.piece(0, &bytes[..1000]).expect(202);
        let query = if method == "PUT" { format!("digest={}", encode(&digest)) } else { String::new() };
        let line = format!("{method} {}", upload.address(&query));
        send_half(&forge, &bearer, &line, range, bytes.len() - 1000, &bytes[1000..200_000]);
        repository.expect_no_blob(&digest);
        let answer = resume(&mut upload, &bytes, &digest);
        repository.expect_stored(&answer, &digest);
        repository.expect_blob(&digest, &bytes);
        repository.delete_blob(&digest).expect(202);
    }
    // A single POST that is cut off leaves nothing at all.
    let line = format!("POST {}?digest={}", repository.path("/blobs/uploads/"), encode(&digest));
    send_half(&forge, &bearer, &line, "", bytes.len(), &bytes[..200_000]);
    repository.expect_no_blob(&digest);
}

#[test]
fn of_two_pieces_at_once_one_is_taken() {
    let forge = forge!();
    let repository = forge.image();
    for round in 0..8 {
        let bytes = noise(200_000 + round);
        let mut upload = repository.open_upload();
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let (mut upload, bytes) = (upload.clone(), &bytes);
                    scope.spawn(move || upload.piece(0, bytes).status)
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect()
        });
        let taken = answers.iter().filter(|status| **status == 202).count();
        assert_eq!(taken, 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 202 | 416)), "{answers:?}");
        upload.expect_size(bytes.len());
        let digest = Algorithm::Sha256.digest(&bytes);
        let answer = upload.put(&digest, b"");
        repository.expect_stored(&answer, &digest);
        repository.expect_blob(&digest, &bytes);
    }
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_given_up_after_a_day() {
    let forge = forge!();
    let repository = forge.image();
    let mut idle = repository.open_upload();
    idle.piece(0, b"content").expect(202);
    forge.clock.advance_seconds(23 * 3600);
    forge.run_recurring_jobs();
    idle.expect_size(7);
    idle.piece(7, b" and more").expect(202);
    // It counts from the last request that added something.
    forge.clock.advance_seconds(23 * 3600);
    forge.run_recurring_jobs();
    idle.expect_size(16);
    forge.clock.advance_seconds(2 * 3600);
    forge.run_recurring_jobs();
    idle.expect_gone();
}

#[test]
fn a_blob_has_no_more_bytes_than_the_operator_allows() {
    let forge = forge!(|settings| settings.max_blob_bytes = Some(100_000));
    let repository = forge.image();
    let (fits, too_large) = (noise(100_000), noise(100_001));
    for way in Way::ALL {
        let digest = Algorithm::Sha256.digest(&fits);
        repository.upload(way, &fits, &digest).expect(201);
        repository.delete_blob(&digest).expect(202);
    }
    let digest = Algorithm::Sha256.digest(&too_large);
    repository.upload(Way::PostOnly, &too_large, &digest).expect_error(413, "SIZE_INVALID");
    repository.upload(Way::PostPut, &too_large, &digest).expect_error(413, "SIZE_INVALID");
    let mut upload = repository.open_upload();
    upload.stream(&too_large).expect_error(413, "SIZE_INVALID");
    let mut upload = repository.open_upload();
    upload.piece(0, &fits).expect(202);
    upload.piece(100_000, b"x").expect_error(413, "SIZE_INVALID");
    upload.expect_size(100_000);
    repository.expect_no_blob(&digest);
}

#[test]
fn a_mount_asks_for_the_right_to_read_the_source() {
    let forge = forge!();
    let source = forge.image();
    let target = source.client.repository(&format!("{}-too", source.name));
    let digest = source.push_blob(b"content");
    let path =
        target.path(&format!("/blobs/uploads/?mount={}&from={}", encode(&digest), encode(&source.name)));
    let narrow = source.client.bearer(&[&format!("repository:{}:pull,push", target.name)]);
    let narrow = source.client.with_bearer(&narrow);
    let challenge = narrow.ask("POST", &path, &[], Body::Bytes(b"")).challenge();
    // One parameter for both, because some clients read no second one.
    let both = format!("repository:{}:pull,push repository:{}:pull", target.name, source.name);
    assert_eq!(challenge.scope.as_deref(), Some(&*both));
    assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
    assert_eq!(challenge.order, ["realm", "service", "scope", "error"]);
    // Whoever has no bearer yet is told the same at once.
    let challenge = forge.anonymous_registry().send("POST", &path, &[], Body::Bytes(b"")).challenge();
    assert_eq!((challenge.scope.as_deref(), challenge.error), (Some(&*both), None));
    // Sent back as one value, as it came.
    let wide = source.client.bearer(&[&both]);
    let wide = target.seen_by(&source.client.with_bearer(&wide));
    let answer = wide.mount(&digest, Some(&source.name));
    target.expect_stored(&answer, &digest);
    target.expect_blob(&digest, b"content");
}

#[test]
fn a_mount_never_says_what_a_hidden_project_has() {
    let forge = forge!();
    let hidden = forge.image();
    let there = hidden.push_blob(b"a secret layer");
    let absent = Algorithm::Sha256.digest(b"nobody has this");
    let target = forge.image();
    let nowhere = format!("{}-none/img", hidden.name);
    let mut seen = Vec::new();
    for (digest, from) in [
        (&there, Some(&*hidden.name)),
        (&absent, Some(&*hidden.name)),
        (&there, Some(&*nowhere)),
        (&there, Some("no/such/project")),
        (&there, Some("Not A Name")),
        (&there, None),
        (&absent, None),
    ] {
        let opened = target.mount(digest, from).expect(202);
        let names: Vec<_> = opened.headers.keys().map(|name| name.as_str().to_owned()).collect();
        seen.push((names, opened.header("range").map(str::to_owned), opened.body.clone()));
        Upload { repository: target.clone(), location: opened.location() }.cancel().expect(204);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
    target.expect_no_blob(&there);
}

#[test]
fn a_mount_takes_from_a_public_project_only_what_is_named() {
    let forge = forge!();
    let source = forge.image_in(&forge.project("public"));
    let digest = source.push_blob(b"content");
    let target = forge.image();
    // Without a source, only the project itself is searched.
    let opened = target.mount(&digest, None).expect(202);
    Upload { repository: target.clone(), location: opened.location() }.cancel().expect(204);
    let answer = target.mount(&digest, Some(&source.name));
    target.expect_stored(&answer, &digest);
    target.expect_blob(&digest, b"content");
}

#[test]
fn a_blob_is_served_only_where_it_was_pushed() {
    let forge = forge!();
    let repository = forge.image();
    let digest = repository.push_blob(b"content");
    let sibling = repository.client.repository(&format!("{}-too", repository.name));
    sibling.expect_no_blob(&digest);
    let elsewhere = forge.image();
    elsewhere.expect_no_blob(&digest);
    // That another repository has it spares no upload, and no digest can be claimed by its name alone.
    let mut upload = elsewhere.open_upload();
    upload.put(&digest, b"").expect_error(400, "DIGEST_INVALID");
    elsewhere.expect_no_blob(&digest);
}

#[test]
fn what_is_cached_is_told_by_its_digest() {
    let forge = forge!();
    let private = forge.image();
    let public = forge.image_in(&forge.project("public"));
    for (repository, is_public) in [(&private, false), (&public, true)] {
        let digest = repository.push_blob(b"content");
        let path = format!("/blobs/{digest}");
        let control = repository.get(&path).expect(200).header("cache-control").unwrap().to_owned();
        assert!(control.contains("max-age=31536000"), "{control}");
        assert_eq!(control.contains("private"), !is_public, "{control}");
        let etag = format!("\"{digest}\"");
        for known in [&*etag, "*", &format!("\"other\", {etag}")] {
            let answer = repository.get_with(&path, &[("if-none-match", known)]).expect(304);
            assert_eq!(answer.body, b"", "{known}");
        }
        repository.get_with(&path, &[("if-none-match", "\"other\"")]).expect(200);
    }
}

#[test]
fn a_repository_begins_with_its_first_content() {
    let forge = forge!();
    let repository = forge.image();
    // Neither asking for a bearer nor beginning an upload makes one.
    repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)]);
    let mut upload = repository.open_upload();
    repository.get("/tags/list").expect_error(404, "NAME_UNKNOWN");
    upload.put(&Algorithm::Sha256.digest(b"content"), b"content").expect(201);
    assert_eq!(repository.tags(), Vec::<String>::new());
}

#[test]
fn an_upload_is_nothing_to_read_and_an_unknown_method_says_what_is_known() {
    let forge = forge!();
    let repository = forge.image();
    let upload = repository.open_upload();
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push,delete", repository.name)]);
    let client = repository.client.with_bearer(&bearer);
    for (method, path) in [
        ("POST", upload.location.clone()),
        ("GET", repository.path("/blobs/uploads/")),
        ("PUT", repository.path(&format!("/blobs/{}", Algorithm::Sha256.digest(b"")))),
        ("PATCH", repository.path("/manifests/latest")),
        ("POST", repository.path("/tags/list")),
        ("DELETE", repository.path("/tags/list")),
        ("PUT", repository.path(&format!("/referrers/{}", Algorithm::Sha256.digest(b"")))),
        ("POST", "/v2/".to_owned()),
    ] {
        let answer = client.ask(method, &path, &[], Body::Bytes(b"")).expect_error(405, "UNSUPPORTED");
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        assert!(
            !allow.is_empty() && !allow.split(", ").any(|known| known == method),
            "{method} {path}: {allow}"
        );
    }
}

#[test]
fn a_challenge_to_an_uploader_offers_what_it_will_need() {
    let forge = forge!();
    let repository = forge.image();
    let upload = repository.open_upload();
    let anyone = forge.anonymous_registry();
    let expected = format!("repository:{}:pull,push", repository.name);
    for (method, path) in [
        ("POST", repository.path("/blobs/uploads/")),
        ("GET", upload.location.clone()),
        ("PATCH", upload.location.clone()),
        ("PUT", format!("{}?digest={}", upload.location, Algorithm::Sha256.digest(b""))),
        ("DELETE", upload.location.clone()),
        ("PUT", repository.path("/manifests/latest")),
    ] {
        let answer = anyone.send(method, &path, &[("content-type", OCI_IMAGE)], Body::Bytes(b""));
        let challenge: BearerChallenge = answer.challenge();
        assert_eq!(challenge.scope.as_deref(), Some(&*expected), "{method} {path}");
        assert_eq!(challenge.error, None);
        assert_eq!(challenge.order, ["realm", "service", "scope"]);
    }
}

/// Each would hold a connection to the database while it waits for bytes, and then want another one.
#[test]
fn slow_uploads_keep_nobody_else_waiting() {
    let forge = forge!();
    let repository = forge.image();
    let bearer = repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)]);
    let slow: Vec<_> = (0..24)
        .map(|_| {
            let upload = repository.open_upload();
            let mut connection = Connection::open(&forge);
            let head = format!(
                "PATCH {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Length: 1000\r\n\r\nhalf",
                upload.location
            );
            connection.send(head.as_bytes());
            connection
        })
        .collect();
    forge.root().get("/projects").expect(200);
    let digest = repository.push_blob(b"content");
    repository.expect_blob(&digest, b"content");
    drop(slow);
}
