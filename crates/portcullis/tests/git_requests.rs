//! Git's requests as raw HTTP: what an advertisement says, the kinds, encodings and bounds of bodies, who is answered
//! before the body, and what happens to a push while its body arrives.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{Read as _, Write as _};
use std::time::Duration;

use portcullis_testkit::{Connection, Git, Project, Reply, TestForge, forge};
use serde_json::json;

const FETCH_REQUEST: &str = "application/x-git-upload-pack-request";
const PUSH_REQUEST: &str = "application/x-git-receive-pack-request";

/// Returns the header with this secret as the password.
fn basic(secret: &str) -> String {
    format!("Authorization: {}", portcullis_testkit::basic("x", secret))
}

#[test]
fn an_advertisement_says_what_it_is_and_is_kept_by_nobody() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let credential = basic(&project.token(&["write_repository"], 30).secret);
    let refs = |service: &str, headers: &[&str]| {
        let reply =
            Connection::ask(&forge, &format!("GET /{path}.git/info/refs?service={service}"), headers, b"");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some(&*format!("application/x-{service}-advertisement")));
        expect_no_cache(&reply);
        reply.body
    };
    let plain = refs("git-upload-pack", &[]);
    assert!(plain.starts_with("001e# service=git-upload-pack\n0000"), "{plain}");
    assert!(plain.contains(" HEAD\0") && plain.contains("symref=HEAD:refs/heads/main"), "{plain}");
    assert!(plain.contains(" refs/heads/main\n") && plain.ends_with("0000"), "{plain}");
    let first = refs("git-upload-pack", &["Git-Protocol: version=1"]);
    assert!(first.starts_with("001e# service=git-upload-pack\n0000000eversion 1\n"), "{first}");
    let second = refs("git-upload-pack", &["Git-Protocol: version=2"]);
    assert!(second.starts_with("000eversion 2\n"), "{second}");
    assert!(
        second.contains("ls-refs=unborn") && second.contains("fetch=shallow") && second.contains("filter")
    );
    assert!(!second.contains("object-info") && !second.contains("session-id"), "{second}");
    // Keys that nobody knows are passed over; what is no list of keys is not looked at.
    assert_eq!(refs("git-upload-pack", &["Git-Protocol: hello=1:version=2"]), second);
    for odd in ["version=2;x", "version=2:", "version", "version=2 --help", "version=\u{e9}"] {
        assert_eq!(refs("git-upload-pack", &[&format!("Git-Protocol: {odd}")]), plain, "{odd}");
    }
    // There is no second version of a push.
    let push = refs("git-receive-pack", &[&credential, "Git-Protocol: version=2"]);
    assert!(push.starts_with("001f# service=git-receive-pack\n0000"), "{push}");
    for capability in
        ["report-status-v2", "delete-refs", "side-band-64k", "atomic", "push-options", "object-format=sha1"]
    {
        assert!(push.contains(capability), "{capability}: {push}");
    }
    assert!(!push.contains("push-cert"), "{push}");

    // An empty repository has one line, which names no ref.
    let body = json!({ "name": "empty", "namespace_id": project.group.id, "visibility": "public" });
    let empty = forge.root().post("/projects", body).expect(201).json();
    let empty = empty["path_with_namespace"].as_str().unwrap();
    let reply =
        Connection::ask(&forge, &format!("GET /{empty}.git/info/refs?service=git-upload-pack"), &[], b"");
    let zero = "0".repeat(40);
    assert!(reply.body.contains(&format!("{zero} capabilities^{{}}\0")), "{reply:?}");

    // The answers to the second request, too.
    let kind = format!("Content-Type: {FETCH_REQUEST}");
    let list = b"0014command=ls-refs\n0000";
    let reply = Connection::ask(
        &forge,
        &format!("POST /{path}.git/git-upload-pack"),
        &[&kind, "Git-Protocol: version=2"],
        list,
    );
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/x-git-upload-pack-result"))
    );
    assert!(reply.body.contains(" refs/heads/main\n"), "{reply:?}");
    expect_no_cache(&reply);
    let kind = format!("Content-Type: {PUSH_REQUEST}");
    let reply = Connection::ask(
        &forge,
        &format!("POST /{path}.git/git-receive-pack"),
        &[&kind, &credential],
        b"0000",
    );
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/x-git-receive-pack-result"))
    );
    expect_no_cache(&reply);
    // A client of the first days of HTTP is served as well.
    let mut old = Connection::open(&forge);
    old.send(format!("GET /{path}.git/info/refs?service=git-upload-pack HTTP/1.0\r\n\r\n").as_bytes());
    let reply = old.reply();
    assert_eq!((reply.status, reply.header("transfer-encoding"), &*reply.body), (200, None, &*plain));
}

fn expect_no_cache(reply: &Reply) {
    assert_eq!(reply.header("expires"), Some("Fri, 01 Jan 1980 00:00:00 GMT"));
    assert_eq!(reply.header("pragma"), Some("no-cache"));
    assert_eq!(reply.header("cache-control"), Some("no-cache, max-age=0, must-revalidate"));
    assert_eq!(reply.header("www-authenticate"), None);
    assert_eq!(reply.header("etag"), None);
}

#[test]
fn bodies_of_another_kind_or_encoding_are_refused() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let credential = basic(&project.token(&["write_repository"], 30).secret);
    let post = |service: &str, headers: &[&str]| {
        let headers = [headers, &[&*credential]].concat();
        let reply = Connection::ask(&forge, &format!("POST /{path}.git/{service}"), &headers, b"0000");
        (reply.status, reply.body)
    };
    for (service, expected) in [("git-upload-pack", FETCH_REQUEST), ("git-receive-pack", PUSH_REQUEST)] {
        for actual in [
            "text/html",
            "application/x-git-request",
            &format!("{expected}; charset=utf-8"),
            &expected.to_uppercase(),
        ] {
            let answer = post(service, &[&format!("Content-Type: {actual}")]);
            assert_eq!(answer, (415, format!("Expected the content type {expected}, but got {actual}.\n")));
        }
        assert_eq!(
            post(service, &[]),
            (415, format!("Expected the content type {expected}, but got none.\n"))
        );
        let kind = format!("Content-Type: {expected}");
        for encoding in ["deflate", "br", "zstd", "gzip, gzip", "GZIP2"] {
            let answer = post(service, &[&kind, &format!("Content-Encoding: {encoding}")]);
            assert_eq!(answer, (415, "Only the content encoding gzip is understood.\n".to_owned()));
        }
        assert_eq!(post(service, &[&kind, "Content-Encoding: identity"]).0, 200);
    }
    // Lengths that are none.
    for length in ["-1", "99999999999999999999", "4x", "0x4"] {
        let mut connection = Connection::open(&forge);
        let head = format!(
            "POST /{path}.git/git-upload-pack HTTP/1.1\r\nHost: forge\r\nContent-Type: {FETCH_REQUEST}\r\nContent-Length: {length}\r\n\r\n0000"
        );
        connection.send(head.as_bytes());
        assert_eq!(connection.head().status, 400, "{length}");
    }
}

/// Returns what `gzip` makes of these bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feeding = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap().stdout;
    feeding.join().unwrap();
    output
}

#[test]
fn a_compressed_request_is_bounded_by_what_it_inflates_to() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let kind = format!("Content-Type: {FETCH_REQUEST}");
    let fetch = |headers: &[&str], body: &[u8]| {
        let headers = [headers, &[&*kind, "Git-Protocol: version=2"]].concat();
        let reply = Connection::ask(&forge, &format!("POST /{path}.git/git-upload-pack"), &headers, body);
        (reply.status, reply.body)
    };
    let list = b"0014command=ls-refs\n0000";
    let plain = fetch(&[], list);
    assert_eq!(plain.0, 200);
    assert_eq!(fetch(&["Content-Encoding: gzip"], &gzip(list)), plain);
    assert_eq!(fetch(&["Content-Encoding: x-gzip"], &gzip(list)), plain);

    // A fetch that names thirteen megabytes of commits it has, in a few kilobytes.
    let have = format!("0032have {}\n", "1".repeat(40));
    let mut bomb = b"0011command=fetch0001".to_vec();
    bomb.extend(have.as_bytes().repeat(13 * 1024 * 1024 / have.len()));
    let small = gzip(&bomb);
    assert!(small.len() < 64 * 1024);
    let too_large = (413, "The request body is too large.\n".to_owned());
    assert_eq!(fetch(&["Content-Encoding: gzip"], &small), too_large);

    let broken = (400, "the request body is broken\n".to_owned());
    let cut = &gzip(list)[..20];
    assert_eq!(fetch(&["Content-Encoding: gzip"], cut), broken);
    assert_eq!(fetch(&["Content-Encoding: gzip"], list), broken);
    assert_eq!(fetch(&[], b"0014command=ls-refs\n").0, 400);
    assert_eq!(fetch(&[], b"zzzz").0, 400);
    assert_eq!(forge.anyone().get("/version").status, 401, "the server goes on");
}

#[test]
fn when_too_much_runs_a_client_is_told_when_to_come_back() {
    let forge = forge!(|settings| {
        settings.git_processes = 1;
        settings.git_queue = 0;
    });
    let project = forge.project("public");
    let path = &project.full_path;
    // A fetch whose request never ends keeps the only place.
    let mut held = Connection::open(&forge);
    held.send(
        format!("POST /{path}.git/git-upload-pack HTTP/1.1\r\nHost: forge\r\nContent-Type: {FETCH_REQUEST}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .as_bytes(),
    );
    running(&forge, 1);
    let refs =
        || Connection::ask(&forge, &format!("GET /{path}.git/info/refs?service=git-upload-pack"), &[], b"");
    let refused = refs();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.body, "The server is busy. Please try again later.\n");
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let git = Git::default();
    let url = project.plain_git_url();
    let said = git.run(&["-c", "protocol.version=0", "ls-remote", &url]).fails_with("error: 503");
    assert!(said.contains("remote: The server is busy."), "{said}");
    // It comes free as soon as the client has gone.
    drop(held);
    running(&forge, 0);
    assert_eq!(refs().status, 200);
}

/// Waits until this many Git processes run.
fn running(forge: &TestForge, count: usize) {
    let line = format!("portcullis_git_processes_running {count}\n");
    for _ in 0..1000 {
        if forge.anyone().send("GET", "/-/metrics", &[], b"").text.contains(&line) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never {count} processes");
}

#[test]
fn a_refused_push_is_answered_before_its_body_and_an_allowed_one_is_asked_to_go_on() {
    let forge = forge!();
    let project = forge.project("private");
    let path = &project.full_path;
    let developer = basic(&project.token(&["write_repository"], 30).secret);
    let reporter = basic(&project.token(&["write_repository"], 20).secret);
    let useless = basic(&project.token(&["read_repository"], 40).secret);
    let begin = |credential: &str, kind: &str, path: &str| {
        let mut connection = Connection::open(&forge);
        let head = format!(
            "POST /{path}.git/git-receive-pack HTTP/1.1\r\nHost: forge\r\n{credential}\r\nContent-Type: {kind}\r\n\
             Content-Length: 2000000000\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes());
        connection.head().status
    };
    assert_eq!(begin(&developer, PUSH_REQUEST, path), 100);
    assert_eq!(begin("X-None: x", PUSH_REQUEST, path), 401);
    assert_eq!(begin(&basic("wrong"), PUSH_REQUEST, path), 401);
    assert_eq!(begin(&useless, PUSH_REQUEST, path), 403);
    assert_eq!(begin(&reporter, PUSH_REQUEST, path), 403);
    assert_eq!(begin(&developer, PUSH_REQUEST, "no/such"), 404);
    assert_eq!(begin(&developer, "text/plain", path), 415);
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    assert_eq!(begin(&developer, PUSH_REQUEST, path), 403);
}

#[test]
fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let forge = forge!();
    let project = forge.project("private");
    let path = &project.full_path;
    let reporter = basic(&project.token(&["write_repository"], 20).secret);
    for megabytes in [0, 1, 4] {
        let mut connection = Connection::open(&forge);
        let head = format!(
            "POST /{path}.git/git-receive-pack HTTP/1.1\r\nHost: forge\r\n{reporter}\r\nContent-Type: {PUSH_REQUEST}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        connection.send(head.as_bytes());
        // A client that does not listen while it sends, as many do.
        for _ in 0..megabytes * 16 {
            connection.send_chunk(&[b'x'; 64 * 1024]);
        }
        connection.send(b"0\r\n\r\n");
        assert_eq!(connection.head().status, 403, "{megabytes}");
    }
}

/// A push that has been let in and whose pack is still arriving.
struct HalfPush {
    connection: Connection,
    rest: Vec<u8>,
}

impl HalfPush {
    /// Begins to push one more commit to a new branch.
    fn begin(forge: &TestForge, project: &Project, secret: &str, branch: &str) -> HalfPush {
        let git = Git::default();
        project.clone_with(&git, secret, "work");
        git.commit("work", "more.txt", branch);
        let tip = git.run_in("work", &["rev-parse", "HEAD"]).works();
        let command = format!(
            "{} {} refs/heads/{branch}\0report-status side-band-64k object-format=sha1",
            "0".repeat(40),
            tip.trim()
        );
        let mut body = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
        git.run_in("work", &["repack", "-q", "-a", "-d"]).works();
        let packs = git.path("work/.git/objects/pack");
        let pack = std::fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path());
        let pack = pack.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "pack")).unwrap();
        body.extend(std::fs::read(pack).unwrap());
        let rest = body.split_off(body.len() - 30);
        let mut connection = Connection::open(forge);
        let head = format!(
            "POST /{}.git/git-receive-pack HTTP/1.1\r\nHost: forge\r\nConnection: close\r\n{}\r\n\
             Content-Type: {PUSH_REQUEST}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            project.full_path,
            basic(secret),
            body.len() + rest.len(),
        );
        connection.send(head.as_bytes());
        assert_eq!(connection.head().status, 100, "the push is not let in");
        connection.send(&body);
        HalfPush { connection, rest }
    }

    /// Sends the rest, and returns what Git answers.
    fn finish(mut self) -> String {
        self.connection.send(&self.rest);
        let reply = self.connection.reply();
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }
}

#[test]
fn what_changes_while_a_push_arrives_counts_when_its_refs_would_move() {
    let forge = forge!();
    let project = forge.project("private");
    let watch = project.token(&["read_repository"], 20);
    let branches = || {
        let said = Git::default().run(&["ls-remote", &project.git_url("x", &watch.secret)]).works();
        said.matches("refs/heads/").count()
    };
    let declined = |said: String, line: &str| {
        assert!(said.contains(&format!("Portcullis: {line}")), "{said}");
        assert!(said.contains("pre-receive hook declined"), "{said}");
        assert_eq!(branches(), 1);
    };
    let path = |bot: &portcullis_testkit::Bot| project.path(&format!("/access_tokens/{}", bot.token_id));

    let bot = project.token(&["write_repository"], 30);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "revoked");
    forge.root().delete(&path(&bot)).expect(204);
    declined(push.finish(), "The credential of this push is no longer valid.");

    // The bot is gone from the database by the time the pack is there.
    let bot = project.token(&["write_repository"], 30);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "forgotten");
    forge.root().delete(&path(&bot)).expect(204);
    forge.run_jobs();
    declined(push.finish(), "The credential of this push is no longer valid.");

    let bot = project.token(&["write_repository"], 30);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "rotated");
    forge.root().post(&format!("{}/rotate", path(&bot)), json!({})).expect(200);
    declined(push.finish(), "The credential of this push is no longer valid.");

    let person = project.member(30);
    let push = HalfPush::begin(&forge, &project, person.token.as_ref().unwrap(), "demoted");
    let member = project.path(&format!("/members/{}", person.id));
    forge.root().put(&member, json!({ "access_level": 20 })).expect(200);
    declined(push.finish(), "You are not allowed to push code to this project.");
    forge.root().put(&member, json!({ "access_level": 30 })).expect(200);
    let push = HalfPush::begin(&forge, &project, person.token.as_ref().unwrap(), "removed");
    forge.root().delete(&member).expect(204);
    declined(push.finish(), "You are not allowed to push code to this project.");

    let bot = project.token(&["write_repository"], 30);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "archived");
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    declined(push.finish(), "You can't push code to an archived project.");
    forge.root().post(&project.path("/unarchive"), json!({})).expect(201);

    let body = json!({ "name": "short", "scopes": ["write_repository"], "expires_at": forge.clock.date(1) });
    let bot = project.token_with(body);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "expired");
    forge.clock.advance_days(1);
    declined(push.finish(), "The credential of this push is no longer valid.");

    // And what stays as it was is accepted.
    let bot = project.token(&["write_repository"], 30);
    let said = HalfPush::begin(&forge, &project, &bot.secret, "kept").finish();
    assert!(said.contains("ok refs/heads/kept"), "{said}");
    assert_eq!(branches(), 2);
}

#[test]
fn a_push_whose_project_is_deleted_meanwhile_is_broken_off() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    let mut push = HalfPush::begin(&forge, &project, &bot.secret, "late");
    forge.root().delete(&project.path("")).expect(202);
    forge.run_jobs();
    let _ = push.connection.0.write_all(&push.rest);
    let mut answer = Vec::new();
    let _ = push.connection.0.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("ok refs/heads/late"), "{answer}");
    assert_eq!(forge.root().get(&project.path("")).status, 404);
}

#[test]
fn a_push_that_is_cut_short_changes_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    let push = HalfPush::begin(&forge, &project, &bot.secret, "cut");
    drop(push);
    let url = project.git_url("x", &bot.secret);
    running(&forge, 0);
    let said = Git::default().run(&["ls-remote", &url]).works();
    assert_eq!(said.matches("refs/heads/").count(), 1);
    assert_eq!(bot.get(&project.path("/events")).status, 403);
    let events = forge.root().get(&project.path("/events")).expect(200).json();
    assert!(!events.to_string().contains("pushed"), "{events}");
}
