//! Git's door as raw HTTP: every row of the status matrix, the order in which things are checked, and what is refused
//! before anything is looked up.

use portcullis_testkit::{Connection, Git, Project, TestForge, forge};
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

/// Returns the header with this secret as the password.
fn basic(secret: &str) -> String {
    as_user("x", secret)
}

fn as_user(user: &str, password: &str) -> String {
    format!("Authorization: {}", portcullis_testkit::basic(user, password))
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
    let first = Connection::ask(forge, &format!("GET /{path}.git/info/refs?service={service}"), headers, b"");
    let kind = format!("Content-Type: {kind}");
    let headers = [headers, &[kind.as_str()]].concat();
    let second = Connection::ask(forge, &format!("POST /{path}.git/{service}"), &headers, b"0000");
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
        assert_eq!(Connection::ask(&forge, &line, &[], b"").status, 401, "{query}");
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
                    Connection::ask(&forge, &format!("{method} /{path}.git/{rest}"), &headers, b"0000")
                        .lasting()
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
    let answer = Connection::ask(&forge, &format!("DELETE /{path}.git/info/refs"), &[&wrong], b"");
    assert_eq!(answer.status, 405);
    let answer = Connection::ask(
        &forge,
        &format!("GET /{path}/../x.git/info/refs?service=git-upload-pack"),
        &[&wrong],
        b"",
    );
    assert_eq!(answer.status, 404);
    // The credential before the command, and before the scope.
    let answer = Connection::ask(&forge, &format!("GET /{path}.git/info/refs?service=x"), &[&wrong], b"");
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
            let answer =
                Connection::ask(&forge, &format!("GET /{path}.git/info/refs{query}"), &[&guest], b"");
            assert_eq!((answer.status, &*answer.body), (403, UNKNOWN_COMMAND), "{query}");
            let answer = Connection::ask(&forge, &format!("GET /{path}.git/info/refs{query}"), &[], b"");
            assert_eq!((answer.status, &*answer.body), CHALLENGE, "{query}");
        }
    }
    // The service is read once: what is authorized is what is run.
    let twice = "service=git-upload-pack&service=git-receive-pack";
    let reporter = basic(&private.token(&["write_repository"], 20).secret);
    let answer = Connection::ask(&forge, &format!("GET /{path}.git/info/refs?{twice}"), &[&reporter], b"");
    assert_eq!(answer.header("content-type"), Some("application/x-git-upload-pack-advertisement"));
    // The role before the archive, and everything before the body's kind.
    forge.root().post(&private.path("/archive"), json!({})).expect(201);
    assert_eq!(both(&forge, path, &[&guest], Act::Push), (403, MAY_NOT_PUSH_HERE.to_owned()));
    for (headers, status) in
        [(vec![&*wrong], 401), (vec![&*useless], 403), (vec![&*guest], 403), (vec![&*reporter], 403)]
    {
        let headers = [headers, vec!["Content-Type: text/html"]].concat();
        let answer =
            Connection::ask(&forge, &format!("POST /{path}.git/git-receive-pack"), &headers, b"0000");
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
                let answer = Connection::ask(&forge, &line, &headers, b"0000");
                assert_eq!((answer.status, &*answer.body), (404, "Not found.\n"), "{line}");
                assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            }
        }
    }
    // Bytes that are no request at all.
    for path in ["/a\0b", "/a\x01b", "/a b"] {
        let answer =
            Connection::ask(&forge, &format!("GET {path}.git/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!(answer.status, 400, "{path:?}");
    }
    // What only looks odd: another case, an escape that was not needed, `.git` in the middle.
    let plain = format!("/{}", project.full_path);
    for path in [plain.to_ascii_uppercase(), plain.replacen('a', "%61", 1)] {
        let answer =
            Connection::ask(&forge, &format!("GET {path}.git/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!(answer.status, 200, "{path}");
    }
    let body = json!({ "name": "odd.git-thing", "namespace_id": project.group.id, "visibility": "public" });
    let odd = forge.root().post("/projects", body).expect(201).json();
    let odd = odd["path_with_namespace"].as_str().unwrap();
    let answer =
        Connection::ask(&forge, &format!("GET /{odd}.git/info/refs?service=git-upload-pack"), &[], b"");
    assert_eq!(answer.status, 200);
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
        let reply = Connection::ask(&forge, &format!("{method} /{path}.git/{rest}"), &[], b"");
        let allow = reply.header("allow").map(|value| value.replace(' ', ""));
        assert_eq!((reply.status, allow.as_deref()), (405, Some(allowed)), "{method} {rest}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    // No Git client sends HEAD; whoever may fetch is told so, and nothing else.
    let reply =
        Connection::ask(&forge, &format!("HEAD /{path}.git/info/refs?service=git-upload-pack"), &[], b"");
    assert_eq!((reply.status, &*reply.body), (403, ""));
    let reply =
        Connection::ask(&forge, &format!("HEAD /{path}.git/info/refs?service=git-receive-pack"), &[], b"");
    assert_eq!((reply.status, &*reply.body), (401, ""));
}

#[test]
fn the_dumb_protocol_is_not_served() {
    let forge = forge!();
    let project = forge.project("public");
    let path = &project.full_path;
    let reporter = basic(&project.token(&["read_repository"], 20).secret);
    let refs =
        |headers: &[&str]| Connection::ask(&forge, &format!("GET /{path}.git/info/refs"), headers, b"");
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
            let reply = Connection::ask(&forge, &format!("GET /{path}.git/{rest}"), headers, b"");
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
        let reply = Connection::ask(&forge, &format!("GET /{path}.git/{rest}"), &[&reporter], b"");
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
                let reply = Connection::ask(&forge, &format!("GET /{path}/info/refs{query}"), headers, b"");
                let location = format!("/{path}.git/info/refs{query}");
                assert_eq!((reply.status, reply.header("location")), (301, Some(&*location)));
            }
        }
        for line in
            [format!("GET /{path}/info/refs?service=git-other"), format!("POST /{path}/git-upload-pack")]
        {
            let reply = Connection::ask(&forge, &line, &[&format!("Content-Type: {FETCH_REQUEST}")], b"0000");
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
        let reply =
            Connection::ask(&forge, &format!("GET {path}/info/refs?service=git-upload-pack"), &[], b"");
        assert_eq!((reply.status, reply.header("location")), (404, None), "{path}");
    }
}

#[test]
fn too_many_wrong_secrets_from_one_address_have_to_wait() {
    let forge = forge!(|settings| settings.max_failed_authentications_per_minute = 3);
    let project = forge.project("public");
    let private = forge.project("private");
    let path = &project.full_path;
    let right = basic(&project.token(&["read_repository"], 20).secret);
    let fetch = |headers: &[&str]| {
        Connection::ask(&forge, &format!("GET /{path}.git/info/refs?service=git-upload-pack"), headers, b"")
    };
    // Git asks without a credential first, each time. That is no failure.
    for _ in 0..10 {
        let line = format!("GET /{path}.git/info/refs?service=git-receive-pack");
        assert_eq!(Connection::ask(&forge, &line, &[], b"").status, 401);
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
    assert_eq!(Connection::ask(&forge, &format!("PUT /{path}.git/info/refs"), &[&right], b"").status, 405);
    assert_eq!(fetch(&[]).status, 200);
    let said = Git::default().run(&["ls-remote", &private.git_url("x", "wrong")]).fails_with("error: 429");
    assert!(said.contains("remote: Too many failed log-ins. Retry later."), "{said}");
    forge.clock.advance_seconds(61);
    assert_eq!(fetch(&[&right]).status, 200);
}
