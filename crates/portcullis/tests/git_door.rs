//! Git's door as raw HTTP: every row of the status matrix, the order in which things are checked, what is refused
//! before anything is looked up, and the bounds of what comes in.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use portcullis_testkit::{Git, Project, TestForge, forge};
use serde_json::json;

const DENIED: &str = "HTTP Basic: Access denied. If a password was given, it was wrong or may not be used here.\n\
If a token was given, it was incorrect, expired or lacks the scope for this.\n";
const NOT_FOUND: &str =
    "The project you were looking for could not be found or you don't have permission to view it.\n";
const MAY_NOT_DOWNLOAD: &str = "You are not allowed to download code.\n";
const MAY_NOT_UPLOAD: &str = "You are not allowed to upload code.\n";
const MAY_NOT_DOWNLOAD_HERE: &str = "You are not allowed to download code from this project.\n";
const MAY_NOT_PUSH_HERE: &str = "You are not allowed to push code to this project.\n";
const ARCHIVED: &str = "You can't push code to an archived project.\n";
const UNKNOWN_COMMAND: &str = "The command you're trying to execute is not allowed.\n";

const FETCH_REQUEST: &str = "application/x-git-upload-pack-request";
const PUSH_REQUEST: &str = "application/x-git-receive-pack-request";

/// One connection, on which bytes are sent as they are.
struct Connection(TcpStream);

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Leaves out what differs from request to request.
    fn lasting(mut self) -> Reply {
        self.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        self
    }
}

impl Connection {
    fn open(forge: &TestForge) -> Connection {
        let stream = TcpStream::connect(forge.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Connection(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes());
        self.send(bytes);
        self.send(b"\r\n");
    }

    /// Reads the status line and the headers of the next answer.
    fn head(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "no answer but {:?}",
                String::from_utf8_lossy(&head)
            );
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: String::new() }
    }

    /// Reads an answer to its end, which is the end of the connection.
    fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        let mut body = Vec::new();
        self.0.read_to_end(&mut body).unwrap();
        if reply.header("transfer-encoding") == Some("chunked") {
            body = unchunked(&body);
        }
        reply.body = String::from_utf8_lossy(&body).into_owned();
        reply
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("the answer is cut short");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..][..length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

/// Returns the header with this secret as the password.
fn basic(secret: &str) -> String {
    as_user("x", secret)
}

fn as_user(user: &str, password: &str) -> String {
    format!("Authorization: {}", portcullis_testkit::basic(user, password))
}

/// Sends one request, on a connection of its own.
fn ask(forge: &TestForge, request_line: &str, headers: &[&str], body: &[u8]) -> Reply {
    let mut connection = Connection::open(forge);
    let mut head = format!("{request_line} HTTP/1.1\r\nHost: forge\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if request_line.starts_with("POST") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    connection.send(format!("{head}\r\n").as_bytes());
    connection.send(body);
    connection.reply()
}

/// The two requests of a fetch, or of a push.
#[derive(Clone, Copy)]
enum Act {
    Fetch,
    Push,
}

/// Asks for both requests of an act, which must be answered alike, and returns status and body of a refusal. The body
/// sent is the one that asks for nothing.
fn both(forge: &TestForge, path: &str, headers: &[&str], act: Act) -> (u16, String) {
    let (service, kind) = match act {
        Act::Fetch => ("git-upload-pack", FETCH_REQUEST),
        Act::Push => ("git-receive-pack", PUSH_REQUEST),
    };
    let first = ask(forge, &format!("GET /{path}.git/info/refs?service={service}"), headers, b"");
    let kind = format!("Content-Type: {kind}");
    let headers = [headers, &[kind.as_str()]].concat();
    let second = ask(forge, &format!("POST /{path}.git/{service}"), &headers, b"0000");
    for reply in [&first, &second] {
        // A challenge stands on a 401 and nowhere else.
        let challenge = (reply.status == 401).then_some("Basic realm=\"Git\"");
        assert_eq!(reply.header("www-authenticate"), challenge, "{reply:?}");
        if reply.status != 200 {
            assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        }
    }
    if first.status == 200 {
        assert_eq!((second.status, second.body.as_str()), (200, ""), "{path}");
        return (200, String::new());
    }
    let first = first.lasting();
    assert_eq!(first, second.lasting(), "the two requests of one act are answered differently");
    (first.status, first.body)
}

/// What a row of the matrix says: status and body.
type Answer = (u16, &'static str);

const YES: Answer = (200, "");
const CHALLENGE: Answer = (401, DENIED);

#[track_caller]
fn expect_row(
    forge: &TestForge,
    situation: &str,
    path: &str,
    secret: Option<&str>,
    fetch: Answer,
    push: Answer,
) {
    let header = secret.map(basic);
    let headers: Vec<_> = header.iter().map(String::as_str).collect();
    for (act, (status, body), word) in [(Act::Fetch, fetch, "fetch"), (Act::Push, push, "push")] {
        let answer = both(forge, path, &headers, act);
        assert_eq!((answer.0, &*answer.1), (status, body), "{situation}: {word}");
    }
}

#[test]
fn every_row_of_the_status_matrix_holds_on_both_requests() {
    let forge = forge!();
    let row = |situation: &str, path: &str, secret: Option<&str>, fetch: Answer, push: Answer| {
        expect_row(&forge, situation, path, secret, fetch, push);
    };
    let set = |project: &Project, body| {
        forge.root().put(&project.path(""), body).expect(200);
    };
    let [public, internal, private, elsewhere] =
        ["public", "internal", "private", "private"].map(|visibility| forge.project(visibility));
    let (public_path, private_path) = (&*public.full_path, &*private.full_path);
    let missing = format!("{}/missing", private.group.full_path);

    row("nobody, public", public_path, None, YES, CHALLENGE);
    row("nobody, internal", &internal.full_path, None, CHALLENGE, CHALLENGE);
    row("nobody, private", private_path, None, CHALLENGE, CHALLENGE);
    row("nobody, missing", &missing, None, CHALLENGE, CHALLENGE);

    let developer = private.token(&["write_repository"], 30);
    let developer = Some(&*developer.secret);
    row("Developer, private", private_path, developer, YES, YES);
    row("bot of another project, public", public_path, developer, YES, (403, MAY_NOT_PUSH_HERE));
    let hidden = (404, NOT_FOUND);
    row("bot of another project, internal", &internal.full_path, developer, hidden, hidden);
    row("bot of another project, private", &elsewhere.full_path, developer, hidden, hidden);
    row("bot, missing", &missing, developer, hidden, hidden);

    // What a scope permits, by the table of scopes.
    for (scope, may_fetch, may_push) in [
        ("api", true, true),
        ("read_api", true, false),
        ("read_repository", true, false),
        ("write_repository", true, true),
        ("read_registry", false, false),
        ("write_registry", false, false),
        ("self_rotate", false, false),
    ] {
        let bot = private.token(&[scope], 40);
        let fetch = if may_fetch { YES } else { (403, MAY_NOT_DOWNLOAD) };
        let push = if may_push { YES } else { (403, MAY_NOT_UPLOAD) };
        row(scope, private_path, Some(&bot.secret), fetch, push);
    }

    // What a role permits.
    for (level, fetch, push) in [
        (10, (403, MAY_NOT_DOWNLOAD_HERE), (403, MAY_NOT_PUSH_HERE)),
        (15, (403, MAY_NOT_DOWNLOAD_HERE), (403, MAY_NOT_PUSH_HERE)),
        (20, YES, (403, MAY_NOT_PUSH_HERE)),
        (30, YES, YES),
        (40, YES, YES),
        (50, YES, YES),
    ] {
        let bot = private.token(&["write_repository"], level);
        row(&format!("role {level}"), private_path, Some(&bot.secret), fetch, push);
    }
    let guest = public.token(&["write_repository"], 10);
    row("Guest, public", public_path, Some(&guest.secret), YES, (403, MAY_NOT_PUSH_HERE));

    let stranger = forge.person("stranger");
    let stranger_secret = stranger.token.as_deref();
    row("a person, internal", &internal.full_path, stranger_secret, YES, (403, MAY_NOT_PUSH_HERE));
    row("a person, private", private_path, stranger_secret, hidden, hidden);

    // A repository for members only.
    set(&public, json!({ "repository_access_level": "private" }));
    row("nobody, members only", public_path, None, CHALLENGE, CHALLENGE);
    let refused = (403, MAY_NOT_DOWNLOAD_HERE);
    row("a person, members only", public_path, stranger_secret, refused, (403, MAY_NOT_PUSH_HERE));
    row("Guest, members only", public_path, Some(&guest.secret), refused, (403, MAY_NOT_PUSH_HERE));
    let insider = public.token(&["write_repository"], 30);
    row("Developer, members only", public_path, Some(&insider.secret), YES, YES);
    // And for nobody.
    set(&public, json!({ "repository_access_level": "disabled" }));
    row("nobody, turned off", public_path, None, CHALLENGE, CHALLENGE);
    row("Developer, turned off", public_path, Some(&insider.secret), refused, (403, MAY_NOT_PUSH_HERE));
    set(&public, json!({ "repository_access_level": "enabled" }));
    row("nobody, turned on again", public_path, None, YES, CHALLENGE);

    // An archived project is read, not written; who could not write before learns nothing of it.
    forge.root().post(&private.path("/archive"), json!({})).expect(201);
    row("Developer, archived", private_path, developer, YES, (403, ARCHIVED));
    let reporter = private.token(&["write_repository"], 20);
    row("Reporter, archived", private_path, Some(&reporter.secret), YES, (403, MAY_NOT_PUSH_HERE));
    row("nobody, archived", private_path, None, CHALLENGE, CHALLENGE);

    // A project whose repository is gone from the disk.
    std::fs::remove_dir_all(forge.folder().join("data/repositories/@h")).unwrap();
    let gone = (404, "A repository for this project does not exist yet.\n");
    row("no repository", public_path, Some(&insider.secret), gone, gone);
    row("no repository, nobody", public_path, None, gone, CHALLENGE);
}

#[test]
fn dead_credentials_are_refused_alike_even_where_nobody_needs_one() {
    let forge = forge!();
    let public = forge.project("public");
    let private = forge.project("private");
    let revoked = public.token(&["write_repository"], 40);
    forge.root().delete(&public.path(&format!("/access_tokens/{}", revoked.token_id))).expect(204);
    let person = forge.person("blocked");
    forge.root().post(&format!("/users/{}/block", person.id), json!({})).expect(201);
    let tomorrow =
        json!({ "name": "short", "scopes": ["write_repository"], "expires_at": forge.clock.date(1) });
    let expired = public.token_with(tomorrow);
    expect_row(&forge, "alive", &public.full_path, Some(&expired.secret), YES, YES);
    // Noon was the start; the date begins in twelve hours, and one second before it the token lives.
    forge.clock.advance_seconds(12 * 3600 - 1);
    expect_row(&forge, "the last second", &public.full_path, Some(&expired.secret), YES, YES);
    forge.clock.advance_seconds(1);

    let unknown = format!("{}x", &expired.secret[..expired.secret.len() - 1]);
    let secrets =
        [&*expired.secret, &revoked.secret, person.token.as_deref().unwrap(), &unknown, "password", "é"];
    for secret in secrets {
        for path in [&*public.full_path, &private.full_path, "no/such"] {
            expect_row(&forge, secret, path, Some(secret), CHALLENGE, CHALLENGE);
        }
    }
    let token_as_user = as_user(&public.token(&["api"], 40).secret, "");
    let oversized = format!("Authorization: Basic {}", "A".repeat(9000));
    for unusable in [
        token_as_user.as_str(),
        "Authorization: Basic",
        "Authorization: Basic !!",
        "Authorization: Basic //79",
        "Authorization: Digest username=x",
        "Authorization: Bearer ",
        &oversized,
    ] {
        for act in [Act::Fetch, Act::Push] {
            let answer = both(&forge, &public.full_path, &[unusable], act);
            assert_eq!((answer.0, &*answer.1), CHALLENGE, "{unusable}");
        }
    }
}

#[test]
fn a_credential_is_basic_or_bearer_and_nothing_else() {
    let forge = forge!();
    let private = forge.project("private");
    let bot = private.token(&["write_repository"], 30);
    let secret = &bot.secret;
    let fetch = |headers: &[&str]| both(&forge, &private.full_path, headers, Act::Fetch).0;
    for user in ["oauth2", "x", "project_1_bot", "gitlab-ci-token", secret] {
        let header = as_user(user, secret);
        assert_eq!(fetch(&[&header]), 200, "{user}");
        assert_eq!(both(&forge, &private.full_path, &[&header], Act::Push).0, 200, "{user}");
    }
    assert_eq!(fetch(&[&format!("Authorization: Bearer {secret}")]), 200);
    assert_eq!(fetch(&[&format!("authorization: bearer {secret}")]), 200);
    assert_eq!(fetch(&[&format!("PRIVATE-TOKEN: {secret}")]), 401);
    assert_eq!(fetch(&[&format!("Job-Token: {secret}")]), 401);
    assert_eq!(fetch(&[&format!("Cookie: private_token={secret}; _session={secret}")]), 401);
    assert_eq!(fetch(&[&as_user("", secret)]), 401);
    let path = &private.full_path;
    for query in ["private_token", "access_token", "job_token"] {
        let line = format!("GET /{path}.git/info/refs?service=git-upload-pack&{query}={secret}");
        assert_eq!(ask(&forge, &line, &[], b"").status, 401, "{query}");
    }
}

#[test]
fn hidden_and_missing_are_the_same_bytes() {
    let forge = forge!();
    let hidden = forge.project("private");
    let home = forge.project("private");
    let bot = home.token(&["api"], 40);
    let credential = basic(&bot.secret);
    let nobody: &[&str] = &[];
    for headers in [nobody, &[&credential]] {
        for (method, rest, kind) in [
            ("GET", "info/refs?service=git-upload-pack", ""),
            ("GET", "info/refs?service=git-receive-pack", ""),
            ("GET", "info/refs", ""),
            ("GET", "info/refs?service=git-other", ""),
            ("POST", "git-upload-pack", FETCH_REQUEST),
            ("POST", "git-receive-pack", PUSH_REQUEST),
            ("GET", "HEAD", ""),
            ("GET", "objects/info/packs", ""),
            ("HEAD", "info/refs?service=git-upload-pack", ""),
            ("PUT", "info/refs", ""),
        ] {
            let kind = format!("Content-Type: {kind}");
            let headers = [headers, &[kind.as_str()]].concat();
            let answers =
                [&hidden.full_path, "no/such", &format!("{}/nothing", home.group.full_path)].map(|path| {
                    ask(&forge, &format!("{method} /{path}.git/{rest}"), &headers, b"0000").lasting()
                });
            let [first, others @ ..] = &answers;
            assert!(others.iter().all(|other| other == first), "{method} {rest}: {answers:?}");
        }
    }
}

#[test]
fn checks_come_in_the_order_that_leaks_nothing() {
    let forge = forge!();
    let private = forge.project("private");
    let path = &private.full_path;
    let wrong = basic("wrong");
    let useless = basic(&private.token(&["read_registry"], 40).secret);
    let guest = basic(&private.token(&["write_repository"], 10).secret);

    // The shape of the request before the credential.
    let answer = ask(&forge, &format!("DELETE /{path}.git/info/refs"), &[&wrong], b"");
    assert_eq!(answer.status, 405);
    let answer =
        ask(&forge, &format!("GET /{path}/../x.git/info/refs?service=git-upload-pack"), &[&wrong], b"");
    assert_eq!(answer.status, 404);
    // The credential before the command, and before the scope.
    let answer = ask(&forge, &format!("GET /{path}.git/info/refs?service=x"), &[&wrong], b"");
    assert_eq!((answer.status, &*answer.body), CHALLENGE);
    // The scope before the project: a token that may not fetch learns nothing about what exists.
    for path in [path, "no/such"] {
        assert_eq!(both(&forge, path, &[&useless], Act::Fetch), (403, MAY_NOT_DOWNLOAD.to_owned()));
        assert_eq!(both(&forge, path, &[&useless], Act::Push), (403, MAY_NOT_UPLOAD.to_owned()));
    }
    // The command before the project.
    for path in [path, "no/such"] {
        for query in [
            "",
            "?service=",
            "?service=git-upload-archive",
            "?service=upload-pack",
            "?service=git-upload-pack%00",
        ] {
            let answer = ask(&forge, &format!("GET /{path}.git/info/refs{query}"), &[&guest], b"");
            assert_eq!((answer.status, &*answer.body), (403, UNKNOWN_COMMAND), "{query}");
            let answer = ask(&forge, &format!("GET /{path}.git/info/refs{query}"), &[], b"");
            assert_eq!((answer.status, &*answer.body), CHALLENGE, "{query}");
        }
    }
    // The service is read once: what is authorized is what is run.
    let twice = "service=git-upload-pack&service=git-receive-pack";
    let reporter = basic(&private.token(&["write_repository"], 20).secret);
    let answer = ask(&forge, &format!("GET /{path}.git/info/refs?{twice}"), &[&reporter], b"");
    assert_eq!(answer.header("content-type"), Some("application/x-git-upload-pack-advertisement"));
    // The role before the archive, and everything before the body's kind.
    forge.root().post(&private.path("/archive"), json!({})).expect(201);
    assert_eq!(both(&forge, path, &[&guest], Act::Push), (403, MAY_NOT_PUSH_HERE.to_owned()));
    for (headers, status) in
        [(vec![&*wrong], 401), (vec![&*useless], 403), (vec![&*guest], 403), (vec![&*reporter], 403)]
    {
        let headers = [headers, vec!["Content-Type: text/html"]].concat();
        let answer = ask(&forge, &format!("POST /{path}.git/git-receive-pack"), &headers, b"0000");
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[test]
fn a_path_that_can_name_nothing_is_refused_before_anything_is_looked_up() {
    let forge = forge!();
    let project = forge.project("public");
    let (group, name) = project.full_path.split_once('/').unwrap();
    let long = format!("/{}{name}.git", "a/".repeat(2100));
    let long_segment = format!("/{group}/{}.git", "a".repeat(256));
    let paths = [
        format!("/../{group}/{name}.git"),
        format!("/{group}/../{group}/{name}.git"),
        format!("/{group}/./{name}.git"),
        format!("/{group}/%2e%2e/{group}/{name}.git"),
        format!("/{group}/%2E/{name}.git"),
        format!("//{group}/{name}.git"),
        format!("/{group}//{name}.git"),
        format!("/{group}/{name}/.git"),
        format!("/{group}%2F{name}.git"),
        format!("/{group}%2f{name}.git"),
        format!("/{group}%252F{name}.git"),
        format!("/{group}%5C{name}.git"),
        format!("/{group}\\{name}.git"),
        format!("/{group}/{name}%00.git"),
        format!("/{group}/{name}%0a.git"),
        format!("/{group}/{name}%7f.git"),
        format!("/{group}/{name}%ff.git"),
        format!("/{group}/{name}%c0%ae.git"),
        format!("/{group}/{name}%E2%80%AE.git"),
        format!("/{group}/{name}%20.git"),
        format!("/{group}/-{name}.git"),
        format!("/-{group}/{name}.git"),
        format!("/{group}/{name}.lock.git"),
        format!("/{group}/.{name}.git"),
        format!("/{name}.git"),
        format!("/{}.git", project.id),
        "/.git".to_owned(),
        long,
        long_segment,
    ];
    for path in &paths {
        // A wrong secret would be a 401, had anybody looked at it.
        for credential in [None, Some(basic("wrong"))] {
            let headers: Vec<_> = credential.iter().map(String::as_str).collect();
            for line in [
                format!("GET {path}/info/refs?service=git-upload-pack"),
                format!("POST {path}/git-upload-pack"),
                format!("POST {path}/git-receive-pack"),
            ] {
                let answer = ask(&forge, &line, &headers, b"0000");
                assert_eq!((answer.status, &*answer.body), (404, "Not found.\n"), "{line}");
                assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            }
        }
    }
    // Bytes that are no request at all.
    for path in ["/a\0b", "/a\x01b", "/a b"] {
        let answer = ask(&forge, &format!("GET {path}.git/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!(answer.status, 400, "{path:?}");
    }
    // What only looks odd: another case, an escape that was not needed, `.git` in the middle.
    let plain = format!("/{}", project.full_path);
    for path in [plain.to_ascii_uppercase(), plain.replacen('a', "%61", 1)] {
        let answer = ask(&forge, &format!("GET {path}.git/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!(answer.status, 200, "{path}");
    }
    let body = json!({ "name": "odd.git-thing", "namespace_id": project.group.id, "visibility": "public" });
    let odd = forge.root().post("/projects", body).expect(201).json();
    let odd = odd["path_with_namespace"].as_str().unwrap();
    let answer = ask(&forge, &format!("GET /{odd}.git/info/refs?service=git-upload-pack"), &[], b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn an_advertisement_says_what_it_is_and_is_kept_by_nobody() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let credential = basic(&project.token(&["write_repository"], 30).secret);
    let refs = |service: &str, headers: &[&str]| {
        let reply = ask(&forge, &format!("GET /{path}.git/info/refs?service={service}"), headers, b"");
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
    let reply = ask(&forge, &format!("GET /{empty}.git/info/refs?service=git-upload-pack"), &[], b"");
    let zero = "0".repeat(40);
    assert!(reply.body.contains(&format!("{zero} capabilities^{{}}\0")), "{reply:?}");

    // The answers to the second request, too.
    let kind = format!("Content-Type: {FETCH_REQUEST}");
    let list = b"0014command=ls-refs\n0000";
    let reply =
        ask(&forge, &format!("POST /{path}.git/git-upload-pack"), &[&kind, "Git-Protocol: version=2"], list);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/x-git-upload-pack-result"))
    );
    assert!(reply.body.contains(" refs/heads/main\n"), "{reply:?}");
    expect_no_cache(&reply);
    let kind = format!("Content-Type: {PUSH_REQUEST}");
    let reply = ask(&forge, &format!("POST /{path}.git/git-receive-pack"), &[&kind, &credential], b"0000");
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
fn wrong_methods_are_told_the_right_one() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    for (method, rest, allowed) in [
        ("POST", "info/refs", "GET,HEAD"),
        ("PUT", "info/refs", "GET,HEAD"),
        ("DELETE", "info/refs", "GET,HEAD"),
        ("GET", "git-upload-pack", "POST"),
        ("HEAD", "git-upload-pack", "POST"),
        ("GET", "git-receive-pack", "POST"),
        ("PUT", "git-receive-pack", "POST"),
        ("OPTIONS", "git-receive-pack", "POST"),
    ] {
        let reply = ask(&forge, &format!("{method} /{path}.git/{rest}"), &[], b"");
        let allow = reply.header("allow").map(|value| value.replace(' ', ""));
        assert_eq!((reply.status, allow.as_deref()), (405, Some(allowed)), "{method} {rest}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    // No Git client sends HEAD; whoever may fetch is told so, and nothing else.
    let reply = ask(&forge, &format!("HEAD /{path}.git/info/refs?service=git-upload-pack"), &[], b"");
    assert_eq!((reply.status, &*reply.body), (403, ""));
    let reply = ask(&forge, &format!("HEAD /{path}.git/info/refs?service=git-receive-pack"), &[], b"");
    assert_eq!((reply.status, &*reply.body), (401, ""));
}

#[test]
fn the_dumb_protocol_is_not_served() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let reporter = basic(&project.token(&["read_repository"], 20).secret);
    let tip = forge.root().get(&project.path("/repository/branches/main"));
    assert_ne!(tip.status, 500);
    let refs = |headers: &[&str]| ask(&forge, &format!("GET /{path}.git/info/refs"), headers, b"");
    assert_eq!(refs(&[]).status, 401);
    assert_eq!((refs(&[&reporter]).status, &*refs(&[&reporter]).body), (403, UNKNOWN_COMMAND));
    let zero = "0".repeat(38);
    for rest in [
        "HEAD",
        "objects/info/packs",
        "objects/info/alternates",
        &format!("objects/00/{zero}"),
        "objects/pack/x.pack",
    ] {
        for headers in [&[][..], &[&*reporter]] {
            let reply = ask(&forge, &format!("GET /{path}.git/{rest}"), headers, b"");
            assert_eq!((reply.status, &*reply.body), (404, NOT_FOUND), "{rest}");
        }
    }
    for rest in [
        "config",
        "description",
        "packed-refs",
        "refs/heads/main",
        "hooks/pre-receive",
        "logs/HEAD",
        "shallow",
    ] {
        let reply = ask(&forge, &format!("GET /{path}.git/{rest}"), &[&reporter], b"");
        assert_eq!(reply.status, 404, "{rest}");
    }
}

#[test]
fn without_git_at_its_end_the_first_request_is_redirected_whether_anything_exists_or_not() {
    let forge = forge!();
    let project = forge.project("private");
    for path in [&*project.full_path, "no/such", "No/Such/Thing"] {
        for query in
            ["", "?service=git-upload-pack", "?service=git-receive-pack", "?service=git-upload-pack&x=1"]
        {
            for headers in [&[][..], &[&*basic("wrong")]] {
                let reply = ask(&forge, &format!("GET /{path}/info/refs{query}"), headers, b"");
                let location = format!("/{path}.git/info/refs{query}");
                assert_eq!((reply.status, reply.header("location")), (301, Some(&*location)));
            }
        }
        for line in
            [format!("GET /{path}/info/refs?service=git-other"), format!("POST /{path}/git-upload-pack")]
        {
            let reply = ask(&forge, &line, &[&format!("Content-Type: {FETCH_REQUEST}")], b"0000");
            assert_eq!((reply.status, reply.header("location")), (404, None), "{line}");
        }
    }
    // Nobody is sent to another host.
    for path in [
        "//evil.example/x",
        "/%2Fevil.example/x",
        "/-/git-redirect/%2Fevil.example%2Fx",
        "/-/git-redirect/x%2F..%2Fy",
    ] {
        let reply = ask(&forge, &format!("GET {path}/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!((reply.status, reply.header("location")), (404, None), "{path}");
    }
}

#[test]
fn bodies_of_another_kind_or_encoding_are_refused() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let credential = basic(&project.token(&["write_repository"], 30).secret);
    let post = |service: &str, headers: &[&str]| {
        let headers = [headers, &[&*credential]].concat();
        let reply = ask(&forge, &format!("POST /{path}.git/{service}"), &headers, b"0000");
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
        let reply = ask(&forge, &format!("POST /{path}.git/git-upload-pack"), &headers, body);
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
    let refs = || ask(&forge, &format!("GET /{path}.git/info/refs?service=git-upload-pack"), &[], b"");
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
fn too_many_wrong_secrets_from_one_address_have_to_wait() {
    let forge = forge!(|settings| settings.max_failed_authentications_per_minute = 3);
    let project = forge.project("public");
    let private = forge.project("private");
    let path = &project.full_path;
    let right = basic(&project.token(&["read_repository"], 20).secret);
    let fetch = |headers: &[&str]| {
        ask(&forge, &format!("GET /{path}.git/info/refs?service=git-upload-pack"), headers, b"")
    };
    // Git asks without a credential first, each time. That is no failure.
    for _ in 0..10 {
        let line = format!("GET /{path}.git/info/refs?service=git-receive-pack");
        assert_eq!(ask(&forge, &line, &[], b"").status, 401);
    }
    // A success wipes out what came before it.
    for _ in 0..3 {
        assert_eq!(fetch(&[&basic("wrong")]).status, 401);
        assert_eq!(fetch(&["Authorization: Basic nonsense"]).status, 401);
        assert_eq!(fetch(&[&right]).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(fetch(&[&basic("wrong")]).status, 401);
    }
    // From here on the secret is not looked at, not even the right one, and not even what cannot be one.
    for header in [&*basic("wrong"), &*right, "Authorization: Basic nonsense"] {
        let reply = fetch(&[header]);
        assert_eq!(
            (reply.status, &*reply.body),
            (429, "Too many failed log-ins. Retry later.\n"),
            "{header}"
        );
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("www-authenticate"), None);
        let seconds: i64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&seconds), "{seconds}");
    }
    // The shape of a request is told before; and nothing can be guessed without a secret.
    assert_eq!(ask(&forge, &format!("PUT /{path}.git/info/refs"), &[&right], b"").status, 405);
    assert_eq!(fetch(&[]).status, 200);
    let said = Git::default().run(&["ls-remote", &private.git_url("x", "wrong")]).fails_with("error: 429");
    assert!(said.contains("remote: Too many failed log-ins. Retry later."), "{said}");
    forge.clock.advance_seconds(61);
    assert_eq!(fetch(&[&right]).status, 200);
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
