//! The real program, killed at any moment of a push of images: what it acknowledged is there with the right bytes, nothing
//! is there by half, and an upload that was cut off goes on from what the server says of it, or begins again.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_testkit::registry::{
    Algorithm, Body, Image, ImageRepository, OCI_CONFIG, OCI_IMAGE, OCI_INDEX, OCI_LAYER, RegistryAnswer,
    RegistryClient, blob_files, descriptor, descriptor_by, encode, image_manifest, index_manifest,
    jose_header, range_of,
};
use portcullis_testkit::{Caller, Program, program, token_secret};
use serde_json::json;

/// The tests run one after the other: side by side, they would kill servers that have not yet done anything.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the test goes on killing.
const SEASON: Duration = Duration::from_secs(15);

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// Returns a number that nobody knows beforehand.
fn any_below(limit: u64) -> u64 {
    RandomState::new().hash_one(0) % limit
}

/// Bytes that are no others', so that none can be taken for those of another blob.
fn any_bytes(length: usize) -> Vec<u8> {
    let mut state = RandomState::new().hash_one(length) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Tells the others to stop when it goes, however that comes.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Creates a project, and returns its id.
fn project(root: &Caller, group: &str) -> i64 {
    let made = root.post("/groups", json!({ "name": group, "path": group })).expect(201).json();
    let body = json!({ "name": "app", "path": "app", "namespace_id": made["id"], "visibility": "private" });
    root.post("/projects", body).expect(201).json()["id"].as_i64().unwrap()
}

/// Returns a client with a token of its own that may do everything.
fn client(root: &Caller, project: i64) -> RegistryClient {
    let body = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let made = root.post(&format!("/projects/{project}/access_tokens"), body).expect(201).json();
    RegistryClient::new(&root.url, Some(&token_secret(&made)))
}

/// What one writer knows of what it has written.
#[derive(Default)]
struct Written {
    /// Every blob that it ever began, and whether the server said that it has it.
    blobs: HashMap<String, (Vec<u8>, bool)>,
    manifests: HashMap<String, (Vec<u8>, bool)>,
    /// For each tag, the digest that the server said it has, and those that were sent since without an answer.
    tags: HashMap<String, (Option<String>, Vec<String>)>,
    unanswered: usize,
    resumed: usize,
    begun_again: usize,
}

/// Somebody who writes until told to stop, whatever becomes of the server meanwhile.
struct Writer<'a> {
    repository: ImageRepository,
    stop: &'a AtomicBool,
    written: Written,
}

impl Writer<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sends one request. Without an answer the server is given a moment to come back.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<RegistryAnswer> {
        match self.repository.client.try_ask(method, path, headers, Body::Bytes(body)) {
            Ok(answer) => {
                assert!(answer.status < 500, "{method} {path}: {answer:?}");
                assert_ne!(answer.status, 401, "{method} {path}: {answer:?}");
                Some(answer)
            }
            Err(_) => {
                self.written.unanswered += 1;
                std::thread::sleep(Duration::from_millis(10));
                None
            }
        }
    }

    fn has_blob(&mut self, digest: &str) {
        self.written.blobs.get_mut(digest).unwrap().1 = true;
    }

    /// Uploads a blob at once, by one request or by two, until it is acknowledged.
    fn push_blob(&mut self, algorithm: Algorithm, bytes: &[u8]) -> Option<String> {
        let digest = algorithm.digest(bytes);
        self.written.blobs.insert(digest.clone(), (bytes.to_vec(), false));
        let uploads = self.repository.path("/blobs/uploads/");
        while !self.stopped() {
            let query = format!("digest={}", encode(&digest));
            let answer = if any_below(2) == 0 {
                self.ask("POST", &format!("{uploads}?{query}"), &[OCTETS], bytes)
            } else {
                let Some(opened) = self.ask("POST", &uploads, &[], b"") else { continue };
                let location = opened.expect(202).location();
                self.ask("PUT", &format!("{location}?{query}"), &[OCTETS], bytes)
            };
            if let Some(answer) = answer {
                answer.expect(201);
                self.has_blob(&digest);
                return Some(digest);
            }
        }
        None
    }

    /// Uploads a blob in pieces. When the server goes, it goes on from what the next one says.
    fn push_in_pieces(&mut self, algorithm: Algorithm, bytes: &[u8]) -> Option<String> {
        let digest = algorithm.digest(bytes);
        self.written.blobs.insert(digest.clone(), (bytes.to_vec(), false));
        'anew: while !self.stopped() {
            let Some(opened) = self.ask("POST", &self.repository.path("/blobs/uploads/"), &[], b"") else {
                continue;
            };
            let location = opened.expect(202).location();
            let (mut acknowledged, mut sent) = (0, 0);
            // How often it was asked to end.
            let mut endings = 0;
            let mut lost_answers = 0;
            while !self.stopped() {
                let ending = acknowledged == bytes.len();
                let answer = if !ending {
                    let piece = 20_000 + any_below(120_000) as usize;
                    let piece = &bytes[acknowledged..bytes.len().min(acknowledged + piece)];
                    sent = acknowledged + piece.len();
                    let range = range_of(acknowledged as u64, piece);
                    self.ask("PATCH", &location, &[OCTETS, ("content-range", &range)], piece)
                } else {
                    endings += 1;
                    self.ask("PUT", &format!("{location}?digest={}", encode(&digest)), &[OCTETS], b"")
                };
                match answer {
                    // The server that went had it for itself, and others must wait a while until they take that for lost.
                    Some(answer) if lost_answers > 0 && answer.status == 416 => {
                        acknowledged = match self.size_of(&location) {
                            Some(Some(size)) => size,
                            Some(None) => panic!("an upload with {acknowledged} acknowledged bytes is gone"),
                            None => return None,
                        };
                    }
                    // It was a blob already when the server went, and nobody had written down where it belongs.
                    Some(answer) if ending && endings > 1 && answer.status == 404 => {
                        self.written.begun_again += 1;
                        continue 'anew;
                    }
                    Some(answer) if ending => {
                        answer.expect(201);
                        self.has_blob(&digest);
                        return Some(digest);
                    }
                    Some(answer) => {
                        let answer = answer.expect(202);
                        acknowledged = sent;
                        assert_eq!(answer.header("range"), Some(&*format!("0-{}", acknowledged - 1)));
                    }
                    // Nobody knows whether that has happened. The next server does.
                    None => match self.size_of(&location) {
                        Some(Some(size)) => {
                            lost_answers += 1;
                            assert!(
                                size == acknowledged || size == sent,
                                "{acknowledged} bytes were acknowledged and {sent} sent, and {size} are there"
                            );
                            acknowledged = size;
                            self.written.resumed += 1;
                        }
                        Some(None) if ending => {
                            let path = self.repository.path(&format!("/blobs/{digest}"));
                            match self.ask("HEAD", &path, &[], b"") {
                                // It had come to its end.
                                Some(answer) if answer.status == 200 => {
                                    self.has_blob(&digest);
                                    return Some(digest);
                                }
                                _ => {
                                    self.written.begun_again += 1;
                                    continue 'anew;
                                }
                            }
                        }
                        Some(None) => panic!("an upload with {acknowledged} acknowledged bytes is gone"),
                        None => return None,
                    },
                }
            }
        }
        None
    }

    /// Asks how much an upload has: nothing if there is no such upload, and no answer if it is time to stop.
    fn size_of(&mut self, location: &str) -> Option<Option<usize>> {
        while !self.stopped() {
            let Some(answer) = self.ask("GET", location, &[], b"") else { continue };
            if answer.status == 404 {
                return Some(None);
            }
            let answer = answer.expect(204);
            let last: usize = answer.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
            // No piece has one byte, so this is none.
            return Some(Some(if last == 0 { 0 } else { last + 1 }));
        }
        None
    }

    /// Puts a manifest under a reference until it is acknowledged.
    fn put_manifest(
        &mut self,
        reference: &str,
        tags: &[&str],
        media_type: &str,
        manifest: &[u8],
    ) -> Option<String> {
        let digest = Algorithm::Sha256.digest(manifest);
        self.written.manifests.entry(digest.clone()).or_insert_with(|| (manifest.to_vec(), false));
        let path = self.repository.path(&format!("/manifests/{reference}"));
        while !self.stopped() {
            for tag in tags {
                self.written.tags.entry((*tag).to_owned()).or_default().1.push(digest.clone());
            }
            if let Some(answer) = self.ask("PUT", &path, &[("content-type", media_type)], manifest) {
                answer.expect(201);
                self.written.manifests.get_mut(&digest).unwrap().1 = true;
                for tag in tags {
                    self.written.tags.insert((*tag).to_owned(), (Some(digest.clone()), vec![]));
                }
                return Some(digest);
            }
        }
        None
    }

    /// Pushes an image: its blobs in whichever way, then the manifest, under a tag that moves from image to image.
    fn push_image(&mut self, name: &str) -> Option<()> {
        let algorithm = Algorithm::ALL[any_below(2) as usize];
        let config = json!({ "os": "linux", "name": name, "any": any_below(u64::MAX) }).to_string();
        self.push_blob(Algorithm::Sha256, config.as_bytes())?;
        let small = any_bytes(1000);
        self.push_blob(algorithm, &small)?;
        let large = any_bytes(300_000 + any_below(400_000) as usize);
        self.push_in_pieces(Algorithm::Sha256, &large)?;
        let layers = [descriptor_by(algorithm, OCI_LAYER, &small), descriptor(OCI_LAYER, &large)];
        let manifest = image_manifest(&descriptor(OCI_CONFIG, config.as_bytes()), &layers).to_string();
        let manifest = manifest.as_bytes();
        match any_below(3) {
            0 => {
                self.put_manifest(
                    &format!("{name}-moving"),
                    &[&format!("{name}-moving")],
                    OCI_IMAGE,
                    manifest,
                )?;
            }
            1 => {
                let digest = Algorithm::Sha256.digest(manifest);
                let tags = [format!("{name}-one"), format!("{name}-two")];
                let reference = format!("{digest}?tag={}&tag={}", tags[0], tags[1]);
                self.put_manifest(&reference, &[&tags[0], &tags[1]], OCI_IMAGE, manifest)?;
            }
            _ => {
                let digest = Algorithm::Sha256.digest(manifest);
                self.put_manifest(&digest, &[], OCI_IMAGE, manifest)?;
                let index = index_manifest(&[descriptor(OCI_IMAGE, manifest)]).to_string();
                let tag = format!("{name}-index");
                self.put_manifest(&tag, &[&tag], OCI_INDEX, index.as_bytes())?;
            }
        }
        Some(())
    }
}

/// Compares what a writer knows with what is there, and returns how much of what was acknowledged is not.
fn losses(repository: &ImageRepository, written: &Written) -> usize {
    let mut lost = 0;
    for (digest, (bytes, acknowledged)) in &written.blobs {
        let answer = repository.get_blob(digest);
        match answer.status {
            200 => assert!(answer.body == *bytes, "{digest} has other bytes"),
            404 => lost += usize::from(*acknowledged),
            _ => panic!("{digest}: {answer:?}"),
        }
    }
    for (digest, (bytes, acknowledged)) in &written.manifests {
        let answer = repository.get_manifest(digest);
        match answer.status {
            200 => {
                assert!(answer.body == *bytes, "{digest} has other bytes");
                let manifest = answer.json();
                let lists = [&manifest["layers"], &manifest["manifests"]].map(|list| list.as_array());
                let named = lists.into_iter().flatten().flatten().chain(manifest.get("config"));
                for one in named {
                    let (kind, content) = (&one["mediaType"], one["digest"].as_str().unwrap());
                    let there = if kind == OCI_IMAGE {
                        repository.head_manifest(content)
                    } else {
                        repository.head_blob(content)
                    };
                    assert_eq!(there.status, 200, "{digest} is there without {content}");
                }
            }
            404 => lost += usize::from(*acknowledged),
            _ => panic!("{digest}: {answer:?}"),
        }
    }
    let listed = repository.get("/tags/list");
    let listed = if listed.status == 404 { vec![] } else { repository.tags() };
    for (tag, (acknowledged, sent)) in &written.tags {
        let answer = repository.head_manifest(tag);
        assert_eq!(answer.status == 200, listed.contains(tag), "{tag}: {listed:?}");
        match answer.status {
            200 => {
                let digest = answer.header("docker-content-digest").unwrap().to_owned();
                let known = acknowledged.iter().chain(sent).any(|possible| *possible == digest);
                assert!(
                    known,
                    "{tag} leads to {digest}, which nobody has pushed there: {acknowledged:?} {sent:?}"
                );
            }
            404 => lost += usize::from(acknowledged.is_some()),
            _ => panic!("{tag}: {answer:?}"),
        }
    }
    lost
}

#[test]
fn a_server_killed_at_any_moment_keeps_all_of_an_image_that_it_acknowledged() {
    const WRITERS: usize = 3;
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let id = project(&root, "acme");
    let repositories: Vec<_> =
        (0..WRITERS).map(|number| client(&root, id).repository(&format!("acme/app/w{number}"))).collect();
    let stop = AtomicBool::new(false);
    let images = AtomicUsize::new(0);
    let mut kills = 0;
    let written: Vec<Written> = std::thread::scope(|scope| {
        let writers: Vec<_> = repositories
            .iter()
            .map(|repository| {
                let (stop, images) = (&stop, &images);
                scope.spawn(move || {
                    let mut writer =
                        Writer { repository: repository.clone(), stop, written: Written::default() };
                    let mut number = 0;
                    while !writer.stopped() {
                        if writer.push_image(&format!("t{}", number % 3)).is_some() {
                            images.fetch_add(1, Ordering::Relaxed);
                        }
                        number += 1;
                    }
                    writer.written
                })
            })
            .collect();
        let stopping = Stopping(&stop);
        let begun = Instant::now();
        while begun.elapsed() < SEASON {
            std::thread::sleep(Duration::from_micros(any_below(400_000)));
            program.kill();
            kills += 1;
            program.restart();
        }
        drop(stopping);
        writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect()
    });

    let lost: usize =
        repositories.iter().zip(&written).map(|(repository, written)| losses(repository, written)).sum();
    let sum = |count: fn(&Written) -> usize| written.iter().map(count).sum::<usize>();
    let acknowledged = sum(|written| {
        let content = written.blobs.values().chain(written.manifests.values());
        content.filter(|(_, acknowledged)| *acknowledged).count()
    });
    let unanswered = sum(|written| written.unanswered);
    eprintln!(
        "images: {kills} kills; {} images, {acknowledged} blobs and manifests acknowledged, {unanswered} requests \
         without an answer, {} uploads gone on with, {} begun again, {lost} lost",
        images.load(Ordering::Relaxed),
        sum(|written| written.resumed),
        sum(|written| written.begun_again),
    );
    assert_eq!(lost, 0);
    assert!(
        acknowledged > 0 && unanswered > 0 && sum(|written| written.resumed) > 0,
        "the kills hit nothing"
    );
    // Whatever is there is there once.
    for (digest, (bytes, acknowledged)) in written.iter().flat_map(|written| &written.blobs) {
        let files = blob_files(&program.data(), digest);
        assert!(files.len() <= 1, "{files:?}");
        if *acknowledged {
            assert!(std::fs::read(&files[0]).unwrap() == *bytes, "{digest}: other bytes on the disk");
        }
    }
    // The registry goes on.
    let image = repositories[0].push_image("afterwards", "afterwards");
    assert!(repositories[0].get_manifest(&image.digest).expect(200).body == image.manifest);
}

/// Sends the same again as long as the server takes the upload for one that somebody is at work on. Where several servers
/// share a database, none of them knows at once that another one has died.
fn until_free(mut send: impl FnMut() -> RegistryAnswer) -> RegistryAnswer {
    let begun = Instant::now();
    loop {
        let answer = send();
        if answer.status != 416 || begun.elapsed() > Duration::from_secs(60) {
            return answer;
        }
    }
}

/// The server dies while it writes a piece down. What was acknowledged before is there, and nothing of the piece.
#[test]
fn an_upload_that_was_cut_off_by_the_end_of_the_server_goes_on_where_it_was() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let id = project(&root, "acme");
    let repository = client(&root, id).repository("acme/app/img");
    let bytes = any_bytes(600_000);
    let digest = Algorithm::Sha256.digest(&bytes);
    let mut upload = repository.open_upload();
    upload.piece(0, &bytes[..200_000]).expect(202);
    let bearer = repository.client.bearer(&["repository:acme/app/img:pull,push"]);
    half_a_piece(&program, &bearer, &upload.location, &bytes[200_000..]);
    program.kill();
    program.restart();
    let status = upload.status().expect(204);
    assert_eq!(status.header("range"), Some("0-199999"));
    repository.head_blob(&digest).expect(404);
    until_free(|| upload.piece(200_000, &bytes[200_000..400_000])).expect(202);
    // A piece is refused that does not begin there.
    upload.piece(500_000, &bytes[500_000..]).expect(416);
    program.kill();
    program.restart();
    upload.last_piece(&digest, 400_000, &bytes[400_000..]).expect(201);
    program.kill();
    program.restart();
    assert!(repository.get_blob(&digest).expect(200).body == bytes);
    upload.status().expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Sends the head of a request and half of its body, and waits until the server has begun to write it down.
fn half_a_piece(program: &Program, bearer: &str, location: &str, piece: &[u8]) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(program.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: forge\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        piece.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It says that it is ready when somebody begins to read the body.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut ready = [0; 25];
    stream.read_exact(&mut ready).unwrap();
    assert_eq!(String::from_utf8_lossy(&ready), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&piece[..piece.len() / 2]).unwrap();
}

#[test]
fn a_bearer_outlives_the_server_that_gave_it() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let id = project(&root, "acme");
    let client = client(&root, id);
    let repository = client.repository("acme/app/img");
    let image = repository.push_image("v1", "image");
    let bearer = client.bearer(&["repository:acme/app/img:pull,push,delete"]);
    let seen = client.with_bearer(&bearer).repository("acme/app/img");
    for _ in 0..2 {
        program.kill();
        program.restart();
        assert!(seen.get_manifest("v1").expect(200).body == image.manifest);
        seen.push_blob(b"content");
    }
}

#[test]
fn a_bearer_outlives_the_key_that_signed_it() {
    let _turn = turn();
    let mut program = program!();
    let root = program.root();
    let id = project(&root, "acme");
    let client = client(&root, id);
    let image = client.repository("acme/app/img").push_image("v1", "image");
    let scope = "repository:acme/app/img:pull,push";
    let old = client.bearer(&[scope]);
    program.command(&["keys", "rotate"]);
    program.kill();
    program.restart();
    let new = client.bearer(&[scope]);
    let kids = [&old, &new].map(|bearer| jose_header(bearer)["kid"].clone());
    assert_ne!(kids[0], kids[1]);
    for bearer in [&old, &new] {
        let seen = client.with_bearer(bearer).repository("acme/app/img");
        assert!(seen.get_manifest("v1").expect(200).body == image.manifest);
    }
    // Whoever verifies elsewhere finds both.
    let jwks = client.send("GET", "/jwt/jwks", &[], Body::Bytes(b"")).expect(200).json();
    for kid in &kids {
        assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == *kid), "{jwks}");
    }
    assert_eq!(image.digest, Image::of("image").digest);
}
