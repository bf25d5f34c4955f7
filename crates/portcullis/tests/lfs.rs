//! Large files as raw HTTP: what the Batch API says, how content comes in and goes out, and what is refused. Nothing is
//! stored that is not what it is called by, and nobody gets what another project has by naming it.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use portcullis_app::registry::garbage;
use portcullis_testkit::registry::sha256;
use portcullis_testkit::{Answer, Caller, Git, Project, TestForge, basic, forge};
use serde_json::{Value, json};

const JSON: &str = "application/vnd.git-lfs+json";

fn oid(content: &[u8]) -> String {
    sha256(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody at the large files of a project, with a secret or without.
struct Lfs {
    caller: Caller,
    repository: String,
    authorization: Option<String>,
}

impl Lfs {
    fn of(forge: &TestForge, project: &Project, secret: Option<&str>) -> Lfs {
        Lfs {
            caller: forge.anyone(),
            repository: format!("/{}.git", project.full_path),
            authorization: secret.map(|secret| basic("git", secret)),
        }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let mut headers = vec![("accept", JSON)];
        if !kind.is_empty() {
            headers.push(("content-type", kind));
        }
        headers.extend(self.authorization.as_deref().map(|value| ("authorization", value)));
        self.caller.send(method, &format!("{}{path}", self.repository), &headers, body)
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", &format!("/info/lfs{path}"), JSON, body.to_string().as_bytes())
    }

    fn batch(&self, operation: &str, objects: &[(&str, usize)]) -> Answer {
        let objects: Vec<_> = objects.iter().map(|(oid, size)| json!({ "oid": oid, "size": size })).collect();
        let body = json!({ "operation": operation, "transfers": ["basic"], "objects": objects });
        self.post("/objects/batch", &body)
    }

    fn upload(&self, content: &[u8]) -> Answer {
        self.put(&oid(content), content.len(), content)
    }

    fn put(&self, oid: &str, size: usize, content: &[u8]) -> Answer {
        let kind = "application/octet-stream";
        self.send("PUT", &format!("/gitlab-lfs/objects/{oid}/{size}"), kind, content)
    }

    fn download(&self, oid: &str, range: &str) -> Answer {
        let mut headers = vec![("range", range)];
        headers.extend(self.authorization.as_deref().map(|value| ("authorization", value)));
        headers.retain(|(_, value)| !value.is_empty());
        let path = format!("{}/gitlab-lfs/objects/{oid}", self.repository);
        self.caller.send("GET", &path, &headers, b"")
    }
}

#[track_caller]
fn message(answer: Answer, status: u16) -> String {
    assert_eq!(answer.header("content-type"), Some(JSON), "{answer:?}");
    answer.expect(status).json()["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_large_file_comes_in_and_goes_out_as_clients_expect() {
    let forge = forge!();
    let project = forge.project("private");
    let writer = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 30).secret));
    let reader = Lfs::of(&forge, &project, Some(&project.token(&["read_repository"], 20).secret));
    let content = b"a large file";
    let (oid, size) = (oid(content), content.len());
    let repository = project.plain_git_url();

    let answer = writer.batch("upload", &[(&oid, size)]).expect(200);
    assert_eq!(answer.header("content-type"), Some(JSON));
    assert_eq!(
        answer.json(),
        json!({ "transfer": "basic", "hash_algo": "sha256", "objects": [{
            "oid": oid, "size": size, "actions": {
                "upload": {
                    "href": format!("{repository}/gitlab-lfs/objects/{oid}/{size}"),
                    "header": { "Content-Type": "application/octet-stream" },
                },
                "verify": { "href": format!("{repository}/info/lfs/verify") },
            },
        }] })
    );
    let missing = json!([{ "oid": oid, "size": size, "error": {
        "code": 404, "message": "Object does not exist on the server or you don't have permissions to access it",
    } }]);
    assert_eq!(reader.batch("download", &[(&oid, size)]).expect(200).json()["objects"], missing);
    assert_eq!(message(writer.post("/verify", &json!({ "oid": oid, "size": size })), 404), "Not found.");

    assert_eq!(writer.upload(content).expect(200).text, "");
    writer.post("/verify", &json!({ "oid": oid, "size": size })).expect(200);
    writer.post("/verify", &json!({ "oid": oid, "size": size + 1 })).expect(422);
    // What is there is not sent again, and what is called the same and has another size cannot be.
    assert_eq!(
        writer.batch("upload", &[(&oid, size)]).expect(200).json()["objects"],
        json!([{ "oid": oid, "size": size }])
    );
    for operation in ["upload", "download"] {
        let answer = writer.batch(operation, &[(&oid, size + 1)]).expect(200).json();
        assert_eq!(answer["objects"][0]["error"]["code"], 422, "{operation}");
    }
    assert_eq!(
        reader.batch("download", &[(&oid, size)]).expect(200).json()["objects"],
        json!([{ "oid": oid, "size": size, "actions": {
            "download": { "href": format!("{repository}/gitlab-lfs/objects/{oid}") },
        } }])
    );
    let whole = reader.download(&oid, "").expect(200);
    assert_eq!(whole.text.as_bytes(), content);
    assert_eq!(whole.header("content-length"), Some("12"));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    let part = reader.download(&oid, "bytes=2-6").expect(206);
    assert_eq!((&*part.text, part.header("content-range")), ("large", Some("bytes 2-6/12")));
    assert_eq!(reader.download(&oid, "bytes=8-").expect(206).text, "file");
    let outside = reader.download(&oid, "bytes=12-").expect(416);
    assert_eq!(outside.header("content-range"), Some("bytes */12"));
    // It can be sent once more, and is read and compared again.
    writer.upload(content).expect(200);
    writer.put(&oid, size, b"another file").expect(400);
    assert_eq!(reader.download(&oid, "").expect(200).text.as_bytes(), content);
}

#[test]
fn what_is_not_what_it_is_called_by_is_not_stored() {
    let forge = forge!();
    let project = forge.project("private");
    let secret = project.token(&["write_repository"], 30).secret;
    let lfs = Lfs::of(&forge, &project, Some(&secret));
    let content = b"0123456789";
    let oid = oid(content);
    let mismatch = "SHA256 or size mismatch";
    for (size, sent) in [(10, &b"9876543210"[..]), (10, b"012345678"), (9, content), (11, content), (0, b"")]
    {
        assert_eq!(message(lfs.put(&oid, size, sent), 400), mismatch, "{size} {sent:?}");
    }
    for path in [
        format!("/gitlab-lfs/objects/{oid}/+10"),
        format!("/gitlab-lfs/objects/{oid}/x"),
        format!("/gitlab-lfs/objects/{}/10", oid.to_uppercase()),
        format!("/gitlab-lfs/objects/{}/10", &oid[1..]),
        format!("/gitlab-lfs/objects/{oid}/99999999999999999999"),
    ] {
        assert_eq!(message(lfs.send("PUT", &path, "", content), 404), "Not found.", "{path}");
    }
    // One that does not say how long it is, and is longer, is read no further than it may be.
    let host = forge.url.strip_prefix("http://").unwrap();
    let request = |size: usize, body: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!(
            "PUT {}/gitlab-lfs/objects/{oid}/{size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}",
            lfs.repository
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let authorization = format!("Authorization: {}\r\n", basic("x", &secret));
    let chunked = format!("{authorization}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n");
    assert!(request(9, &format!("{chunked}0\r\n\r\n")).contains(mismatch));
    // One that breaks off leaves nothing behind.
    request(10, &format!("{authorization}Content-Length: 10\r\n\r\n01234"));
    request(20, &chunked);
    assert_eq!(lfs.batch("download", &[(&oid, 10)]).expect(200).json()["objects"][0]["error"]["code"], 404);
    assert_eq!(stored_files(&forge), 0);
    assert!(request(10, &format!("{chunked}0\r\n\r\n")).starts_with("HTTP/1.1 200"));
    assert_eq!(stored_files(&forge), 1);
}

/// Returns how many files there are in the blob store, unfinished ones too.
fn stored_files(forge: &TestForge) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    // What a request leaves that broke off is removed in a task of its own.
    let mut counted = 0;
    for _ in 0..100 {
        let now = count(&forge.folder().join("data/blobs"));
        if now == counted {
            return now;
        }
        counted = now;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    counted
}

/// Somebody knows the hash of a file in a project that they may not read, and asks for it through a project of their own.
#[test]
fn a_hash_is_no_possession() {
    let forge = forge!();
    let (secret, own) = (forge.project("private"), forge.project("private"));
    let content = b"the secret of another project";
    let (oid, size) = (oid(content), content.len());
    let victim = Lfs::of(&forge, &secret, Some(&secret.token(&["write_repository"], 30).secret));
    victim.upload(content).expect(200);
    let token = own.token(&["api"], 40).secret;
    let attacker = Lfs::of(&forge, &own, Some(&token));
    let asked = attacker.batch("download", &[(&oid, size)]).expect(200).json();
    assert_eq!(asked["objects"][0]["error"]["code"], 404);
    assert_eq!(message(attacker.download(&oid, ""), 404), "Not found.");
    attacker.post("/verify", &json!({ "oid": oid, "size": size })).expect(404);
    // They are asked for the content, and what they send is compared.
    let asked = attacker.batch("upload", &[(&oid, size)]).expect(200).json();
    assert!(asked["objects"][0]["actions"]["upload"].is_object(), "{asked}");
    attacker.put(&oid, size, &vec![b'x'; size]).expect(400);
    attacker.download(&oid, "").expect(404);
    // At the other project nothing is said but that it is not there.
    let there = Lfs::of(&forge, &secret, Some(&token));
    assert_eq!(message(there.batch("download", &[(&oid, size)]), 404), "Not found.");
    assert_eq!(message(there.upload(content), 404), "Not found.");
    // Who has the content has it, in their own project alone, and it is stored once.
    attacker.upload(content).expect(200);
    attacker.download(&oid, "").expect(200);
    assert_eq!(stored_files(&forge), 1);
    forge.root().delete(&secret.path("")).expect(202);
    forge.run_jobs();
    attacker.download(&oid, "").expect(200);
}

#[test]
fn each_scope_and_role_allows_what_it_allows_of_git() {
    let forge = forge!();
    let project = forge.project("private");
    let content = b"x";
    let oid = oid(content);
    let maintainer = project.token(&["api"], 40);
    Lfs::of(&forge, &project, Some(&maintainer.secret)).upload(content).expect(200);
    for (scopes, level, reads, writes) in [
        (&["api"][..], 30, 200, 200),
        (&["read_api"], 30, 200, 403),
        (&["read_repository"], 40, 200, 403),
        (&["write_repository"], 30, 200, 200),
        (&["write_repository"], 20, 200, 403),
        (&["write_repository"], 10, 404, 403),
        (&["read_registry", "write_registry"], 40, 403, 403),
    ] {
        let lfs = Lfs::of(&forge, &project, Some(&project.token(scopes, level).secret));
        let about = format!("{scopes:?} {level}");
        let (reading, writing) = (lfs.batch("download", &[(&oid, 1)]), lfs.batch("upload", &[(&oid, 1)]));
        assert_eq!(
            (reading.status, writing.status),
            (reads, if reads == 200 { writes } else { reads }),
            "{about}"
        );
        assert_eq!(lfs.download(&oid, "").status, reads, "{about}");
        assert_eq!(lfs.upload(content).status, writes, "{about}");
        assert_eq!(lfs.post("/verify", &json!({ "oid": oid, "size": 1 })).status, writes, "{about}");
        assert_eq!(lfs.send("GET", "/info/lfs/locks", "", b"").status, reads, "{about}");
        assert_eq!(lfs.post("/locks/verify", &json!({})).status, writes, "{about}");
    }
    let read_only = Lfs::of(&forge, &project, Some(&project.token(&["read_repository"], 40).secret));
    assert_eq!(
        message(read_only.batch("upload", &[(&oid, 1)]), 403),
        "The token may not do this: it needs one of the scopes api, write_repository."
    );
    // Without a credential one is asked for, in both headers; what is not there is answered alike.
    let nobody = Lfs::of(&forge, &project, None);
    let nowhere = Lfs { repository: "/acme/none.git".to_owned(), ..Lfs::of(&forge, &project, None) };
    let answers = [nobody, nowhere].map(|lfs| lfs.batch("download", &[(&oid, 1)]).expect(401));
    assert_eq!(answers[0].text, answers[1].text);
    assert_eq!(answers[0].header("lfs-authenticate"), Some("Basic realm=\"Git LFS\""));
    assert!(answers[0].header("www-authenticate").unwrap().starts_with("Basic realm="));
}

#[test]
fn a_public_project_is_read_by_everybody_and_written_by_nobody() {
    let forge = forge!();
    let project = forge.project("public");
    let content = b"open";
    let oid = oid(content);
    Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 30).secret))
        .upload(content)
        .expect(200);
    let anyone = Lfs::of(&forge, &project, None);
    let found = anyone.batch("download", &[(&oid, 4)]).expect(200).json();
    assert_eq!(found["objects"][0]["authenticated"], true);
    anyone.download(&oid, "").expect(200);
    anyone.send("GET", "/info/lfs/locks", "", b"").expect(200);
    let challenged = anyone.batch("upload", &[(&oid, 4)]).expect(401);
    assert_eq!(challenged.header("lfs-authenticate"), Some("Basic realm=\"Git LFS\""));
    anyone.upload(content).expect(401);
    // The bot of another project is a stranger who cannot write either.
    let other = forge.project("private");
    let stranger = Lfs::of(&forge, &project, Some(&other.token(&["api"], 40).secret));
    stranger.batch("download", &[(&oid, 4)]).expect(200);
    assert_eq!(
        message(stranger.batch("upload", &[(&oid, 4)]), 403),
        "Access forbidden. Check your access level."
    );
}

#[test]
fn a_token_that_was_revoked_after_the_batch_gets_nothing_and_stores_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    let lfs = Lfs::of(&forge, &project, Some(&bot.secret));
    let (old, new) = (b"old", b"new");
    lfs.upload(old).expect(200);
    lfs.batch("upload", &[(&oid(new), 3)]).expect(200);
    lfs.batch("download", &[(&oid(old), 3)]).expect(200);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    lfs.upload(new).expect(401);
    lfs.download(&oid(old), "").expect(401);
    // What was stored stays the project's.
    forge.run_jobs();
    let reader = Lfs::of(&forge, &project, Some(&project.token(&["read_repository"], 20).secret));
    reader.download(&oid(old), "").expect(200);
    reader.download(&oid(new), "").expect(404);
}

/// A large file takes hours; in the meantime the token is revoked, and all of it was sent for nothing.
#[test]
fn a_token_that_is_revoked_while_a_file_is_sent_links_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    let host = forge.url.strip_prefix("http://").unwrap();
    let content = b"0123456789";
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "PUT /{}.git/gitlab-lfs/objects/{}/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {}\r\n\
         Content-Length: 10\r\n\r\n01234",
        project.full_path,
        oid(content),
        basic("x", &bot.secret)
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The request is let in as soon as its head is there.
    std::thread::sleep(std::time::Duration::from_millis(500));
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    stream.write_all(b"56789").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let reader = Lfs::of(&forge, &project, Some(&project.token(&["read_repository"], 20).secret));
    reader.download(&oid(content), "").expect(404);
}

#[test]
fn impossible_requests_are_named_and_change_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let lfs = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 30).secret));
    let oid = oid(b"x");
    let good = json!({ "oid": oid, "size": 1 });
    let batch = |changes: Value| {
        let mut body = json!({ "operation": "upload", "objects": [good] });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        lfs.post("/objects/batch", &body)
    };
    assert_eq!(
        message(batch(json!({ "operation": "delete" })), 422),
        "The operation must be download or upload."
    );
    assert_eq!(
        message(batch(json!({ "transfers": ["tus", "ssh"] })), 422),
        "The only transfer here is basic."
    );
    assert_eq!(message(batch(json!({ "objects": [] })), 404), "Not found.");
    assert!(message(batch(json!({ "objects": "x" })), 422).starts_with("The request is not valid"));
    assert_eq!(
        batch(json!({ "transfers": ["tus", "basic"], "ref": null })).expect(200).json()["transfer"],
        "basic"
    );
    batch(json!({ "transfers": [], "ref": { "name": "refs/heads/main" } })).expect(200);
    let other = batch(json!({ "hash_algo": "sha512" })).expect(200).json();
    assert_eq!(other["objects"][0]["error"]["code"], 409);
    // What is wrong with one object does not keep the others.
    let bad = [
        json!({ "oid": oid, "size": -1 }),
        json!({ "oid": oid, "size": 1.5 }),
        json!({ "oid": oid, "size": "1" }),
        json!({ "oid": oid, "size": 9_223_372_036_854_775_808_u64 }),
        json!({ "oid": oid.to_uppercase(), "size": 1 }),
        json!({ "oid": "../../etc/passwd", "size": 1 }),
        json!({ "oid": 1, "size": 1 }),
        json!({}),
    ];
    let mixed: Vec<_> = bad.iter().chain([&good]).collect();
    let answer = batch(json!({ "objects": mixed })).expect(200).json();
    let answer = answer["objects"].as_array().unwrap();
    assert!(answer[..8].iter().all(|object| object["error"]["code"] == 422), "{answer:?}");
    assert!(answer[8]["actions"]["upload"].is_object());
    assert_eq!(message(batch(json!({ "objects": bad })), 422), "No object has a valid oid and size.");
    let many = vec![&good; 1001];
    assert_eq!(message(batch(json!({ "objects": many })), 413), "One request may name 1000 objects at most.");
    message(batch(json!({ "objects": vec![&good; 10_000] })), 413);
    message(batch(json!({ "objects": vec![&good; 30_000] })), 413);
    assert_eq!(
        batch(json!({ "objects": vec![&good; 1000] })).expect(200).json()["objects"]
            .as_array()
            .unwrap()
            .len(),
        1000
    );

    message(lfs.send("POST", "/info/lfs/objects/batch", "text/plain", b"{}"), 415);
    message(lfs.send("POST", "/info/lfs/objects/batch", JSON, b"{ no"), 400);
    message(
        lfs.send("POST", "/info/lfs/objects/batch", "application/vnd.git-lfs+json; charset=utf-8", b"{}"),
        422,
    );
    let headers = [("accept", "text/html"), ("authorization", lfs.authorization.as_deref().unwrap())];
    let path = format!("{}/info/lfs/locks", lfs.repository);
    assert_eq!(lfs.caller.send("GET", &path, &headers, b"").status, 406);
    message(lfs.send("POST", "/info/lfs/objects", JSON, b"{}"), 501);
    message(lfs.send("GET", &format!("/info/lfs/objects/{oid}"), "", b""), 501);
    message(lfs.send("GET", "/info/lfs/none", "", b""), 404);
    message(lfs.send("DELETE", "/info/lfs/locks", "", b""), 405);
    assert_eq!(stored_files(&forge), 0);
}

#[test]
fn two_uploads_of_one_file_at_once_both_succeed() {
    let forge = forge!();
    let project = forge.project("private");
    let secret = project.token(&["write_repository"], 30).secret;
    let content = vec![7_u8; 300_000];
    std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..6)
            .map(|_| {
                let lfs = Lfs::of(&forge, &project, Some(&secret));
                let content = &content;
                scope.spawn(move || lfs.upload(content).status)
            })
            .collect();
        for upload in uploads {
            assert_eq!(upload.join().unwrap(), 200);
        }
    });
    assert_eq!(stored_files(&forge), 1);
    let lfs = Lfs::of(&forge, &project, Some(&secret));
    assert_eq!(lfs.download(&oid(&content), "").expect(200).text.len(), content.len());
}

#[test]
fn large_files_can_be_switched_off_for_a_project_a_group_and_the_instance() {
    let forge = forge!();
    let group = forge.group("studio", "public");
    let inner = forge.subgroup("inner", "public", Some(group.id));
    let project = forge.project_in(&inner, "private");
    let maintainer = project.member(40);
    let secret = project.token(&["write_repository"], 40).secret;
    let lfs = Lfs::of(&forge, &project, Some(&secret));
    let content = b"x";
    lfs.upload(content).expect(200);
    assert_eq!(maintainer.get(&project.path("")).json()["lfs_enabled"], true);

    let off = json!({ "lfs_enabled": false });
    assert_eq!(maintainer.put(&project.path(""), off.clone()).expect(200).json()["lfs_enabled"], false);
    assert_eq!(message(lfs.batch("download", &[(&oid(content), 1)]), 404), "Not found.");
    message(lfs.upload(b"y"), 404);
    message(lfs.download(&oid(content), ""), 404);
    message(lfs.send("GET", "/info/lfs/locks", "", b""), 404);
    // Git itself goes on, and so does what is stored.
    maintainer.put(&project.path(""), json!({ "lfs_enabled": true })).expect(200);
    lfs.download(&oid(content), "").expect(200);
    let log = maintainer.get(&project.path("/audit_events")).json();
    assert_eq!(log[0]["details"]["lfs_enabled"], json!([false, true]), "{log}");

    // The top-level group decides for all below it, and only that.
    let refused = forge.root().put(&format!("/groups/{}", inner.id), off.clone()).expect(400).json();
    assert_eq!(
        refused["message"]["lfs_enabled"],
        json!(["is not allowed since the group is not top-level group."])
    );
    let path = format!("/groups/{}", group.id);
    assert_eq!(forge.root().put(&path, off).expect(200).json()["lfs_enabled"], false);
    message(lfs.download(&oid(content), ""), 404);
    forge.root().put(&path, json!({ "lfs_enabled": true })).expect(200);
    lfs.download(&oid(content), "").expect(200);

    let body = json!({ "name": "none", "namespace_id": group.id, "lfs_enabled": false });
    assert_eq!(forge.root().post("/projects", body).expect(201).json()["lfs_enabled"], false);

    let without = forge!(|settings| settings.lfs = false);
    let project = without.project("public");
    let lfs = Lfs::of(&without, &project, None);
    assert!(message(lfs.batch("download", &[(&oid(content), 1)]), 501).starts_with("Git LFS is not enabled"));
}

#[test]
fn a_quota_is_kept_and_content_counts_once() {
    let forge = forge!(|settings| {
        settings.lfs_quota_bytes = Some(100);
        settings.max_lfs_object_bytes = Some(60);
    });
    let project = forge.project("private");
    let lfs = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 30).secret));
    let text = "The storage quota of this project is exhausted";
    let (first, second) = (vec![1_u8; 60], vec![2_u8; 41]);
    lfs.upload(&first).expect(200);
    lfs.upload(&first).expect(200);
    assert_eq!(message(lfs.batch("upload", &[(&oid(&first), 60), (&oid(&second), 41)]), 403), text);
    assert_eq!(message(lfs.upload(&second), 403), text);
    lfs.upload(&[3; 40]).expect(200);
    lfs.batch("upload", &[(&oid(&first), 60)]).expect(200);
    let answer = lfs.batch("upload", &[(&oid(b"large"), 61)]).expect(200).json();
    assert_eq!(answer["objects"][0]["error"]["code"], 413);
    message(lfs.put(&oid(b"large"), 61, &[0; 61]), 413);
    let statistics = forge.root().get(&project.path("?statistics=true")).json()["statistics"].clone();
    assert_eq!(statistics["lfs_objects_size"], 100);
    let of_group = forge.root().get(&format!("/groups/{}?statistics=true", project.group.id)).json();
    assert_eq!(of_group["statistics"]["lfs_objects_size"], 100);
}

#[test]
fn an_archived_project_is_read_and_not_written() {
    let forge = forge!();
    let project = forge.project("private");
    let lfs = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 30).secret));
    lfs.upload(b"x").expect(200);
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    lfs.download(&oid(b"x"), "").expect(200);
    let text = "You can't push code to an archived project.";
    assert_eq!(message(lfs.batch("upload", &[(&oid(b"y"), 1)]), 403), text);
    assert_eq!(message(lfs.upload(b"y"), 403), text);
    assert_eq!(message(lfs.post("/locks", &json!({ "path": "a" })), 403), text);
}

#[test]
fn locks_are_made_listed_and_ended() {
    let forge = forge!();
    let project = forge.project("private");
    let [one, two] = ["renderer", "painter"].map(|name| {
        let body = json!({ "name": name, "scopes": ["write_repository"], "access_level": 30 });
        project.token_with(body)
    });
    let (first, second) =
        (Lfs::of(&forge, &project, Some(&one.secret)), Lfs::of(&forge, &project, Some(&two.secret)));
    let made = first.post("/locks", &json!({ "path": "art/hero.psd", "ref": { "name": "refs/heads/main" } }));
    let lock = made.expect(201).json()["lock"].clone();
    assert_eq!(
        lock,
        json!({
            "id": lock["id"], "path": "art/hero.psd", "locked_at": "2026-03-02T12:00:00.000Z",
            "owner": { "name": "renderer" },
        })
    );
    assert!(lock["id"].is_string());
    for lfs in [&first, &second] {
        let answer = lfs.post("/locks", &json!({ "path": "art/hero.psd" })).expect(409).json();
        assert_eq!(answer, json!({ "lock": lock, "message": "already locked by renderer" }));
    }
    let other = second.post("/locks", &json!({ "path": "art/map.psd" })).expect(201).json()["lock"].clone();
    let list = |query: &str| {
        let reader = Lfs::of(&forge, &project, Some(&one.secret));
        reader.send("GET", &format!("/info/lfs/locks{query}"), "", b"").expect(200).json()
    };
    assert_eq!(list(""), json!({ "locks": [lock, other] }));
    assert_eq!(list("?path=art/map.psd&refspec=refs/heads/main"), json!({ "locks": [other] }));
    assert_eq!(list(&format!("?id={}", lock["id"].as_str().unwrap())), json!({ "locks": [lock] }));
    assert_eq!(list("?path=art/map.psd&id=0"), json!({ "locks": [] }));
    assert_eq!(list("?id=nonsense"), json!({ "locks": [] }));
    let page = list("?limit=1");
    assert_eq!(page["locks"], json!([lock]));
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(list(&format!("?limit=1&cursor={cursor}")), json!({ "locks": [other] }));
    for query in ["?limit=0", "?limit=x", "?cursor=x"] {
        message(first.send("GET", &format!("/info/lfs/locks{query}"), "", b""), 422);
    }

    assert_eq!(
        first.post("/locks/verify", &json!({ "ref": null })).expect(200).json(),
        json!({ "ours": [lock], "theirs": [other] })
    );
    let page = second.post("/locks/verify", &json!({ "limit": 1 })).expect(200).json();
    assert_eq!((&page["ours"], &page["theirs"]), (&json!([]), &json!([lock])));
    assert_eq!(
        second.post("/locks/verify", &json!({ "cursor": page["next_cursor"] })).expect(200).json(),
        json!({ "ours": [other], "theirs": [] })
    );

    let unlock =
        |lfs: &Lfs, body: Value| lfs.post(&format!("/locks/{}/unlock", lock["id"].as_str().unwrap()), &body);
    assert_eq!(message(unlock(&second, json!({})), 403), "'art/hero.psd' is locked by renderer.");
    assert_eq!(
        message(unlock(&second, json!({ "force": true })), 403),
        "Access forbidden. Check your access level."
    );
    let maintainer = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 40).secret));
    message(unlock(&maintainer, json!({ "force": false })), 403);
    assert_eq!(unlock(&maintainer, json!({ "force": true })).expect(200).json(), json!({ "lock": lock }));
    assert_eq!(message(unlock(&first, json!({})), 404), "Not found.");
    message(first.post("/locks/x/unlock", &json!({})), 404);
    let audit = forge.root().get(&project.path("/audit_events")).json();
    assert_eq!(audit[0]["event_name"], "lfs_lock_removed");
    assert_eq!(audit[0]["details"]["forced"], true);

    for path in ["", "/a", "a/../b", "a//b", "a\n"] {
        message(first.post("/locks", &json!({ "path": path })), 422);
    }
    message(first.post("/locks", &json!({})), 422);
    // A lock of another project is not there.
    let elsewhere = forge.project("private");
    let stranger = Lfs::of(&forge, &elsewhere, Some(&elsewhere.token(&["api"], 40).secret));
    message(
        stranger.post(&format!("/locks/{}/unlock", other["id"].as_str().unwrap()), &json!({ "force": true })),
        404,
    );
}

#[test]
fn of_those_who_lock_one_file_at_once_one_has_it() {
    let forge = forge!();
    let project = forge.project("private");
    let secrets: Vec<_> = (0..4).map(|_| project.token(&["write_repository"], 30).secret).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let wishes: Vec<_> = secrets
            .iter()
            .map(|secret| {
                let lfs = Lfs::of(&forge, &project, Some(secret));
                scope.spawn(move || lfs.post("/locks", &json!({ "path": "a" })).status)
            })
            .collect();
        wishes.into_iter().map(|wish| wish.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3, "{statuses:?}");
}

#[test]
fn the_locks_of_a_revoked_token_are_the_ghost_users() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    Lfs::of(&forge, &project, Some(&bot.secret)).post("/locks", &json!({ "path": "a" })).expect(201);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let maintainer = Lfs::of(&forge, &project, Some(&project.token(&["write_repository"], 40).secret));
    let locks = maintainer.post("/locks/verify", &json!({})).expect(200).json();
    assert_eq!(locks["theirs"][0]["owner"]["name"], "Ghost User");
    let id = locks["theirs"][0]["id"].as_str().unwrap();
    maintainer.post(&format!("/locks/{id}/unlock"), &json!({ "force": true })).expect(200);
}

fn pointer(content: &[u8]) -> String {
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        oid(content),
        content.len()
    )
}

#[test]
fn a_push_whose_large_files_are_missing_is_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 40);
    let git = Git::default();
    project.clone_with(&git, &bot.secret, "work");
    let text = "remote: Portcullis: LFS objects are missing. Ensure LFS is properly set up or try a manual \"git lfs push --all\".";
    // Many pointers are packed as differences from each other.
    let contents: Vec<_> = (0..40_u8).map(|number| vec![number; 3]).collect();
    let lfs = Lfs::of(&forge, &project, Some(&bot.secret));
    for (number, content) in contents.iter().enumerate() {
        git.commit("work", &format!("large{number}.bin"), &pointer(content));
        if number != 25 {
            lfs.upload(content).expect(200);
        }
    }
    git.run_in("work", &["push", "origin", "main"]).fails_with(text);
    git.run_in("work", &["push", "origin", "main:refs/heads/side"]).fails_with(text);
    lfs.upload(&contents[25]).expect(200);
    git.run_in("work", &["push", "origin", "main"]).works();
    // What only looks like a pointer is a file.
    git.commit("work", "notes.md", &format!("{}\nand some words\n", pointer(b"none")));
    git.run_in("work", &["push", "origin", "main"]).works();
    // Where there are no large files, a pointer is a file too.
    git.commit("work", "other.bin", &pointer(b"kept elsewhere"));
    git.run_in("work", &["push", "origin", "main"]).fails_with(text);
    forge.root().put(&project.path(""), json!({ "lfs_enabled": false })).expect(200);
    git.run_in("work", &["push", "origin", "main"]).works();
}

#[test]
fn a_raw_file_is_the_large_one_when_that_is_asked_for() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let content = b"a large picture";
    Lfs::of(&forge, &project, Some(&bot.secret)).upload(content).expect(200);
    let commit = |path: &str, content: &str| {
        let body = json!({ "branch": "main", "content": content, "commit_message": "add" });
        bot.post(&project.path(&format!("/repository/files/{path}")), body).expect(201);
    };
    commit("a.psd", &pointer(content));
    commit("lost.psd", &pointer(b"never stored"));
    let reader = project.token(&["read_repository"], 20);
    let raw = |path: &str, query: &str| {
        reader.get(&project.path(&format!("/repository/files/{path}/raw?ref=main{query}"))).expect(200)
    };
    assert_eq!(raw("a.psd", "").text, pointer(content));
    assert_eq!(raw("a.psd", "&lfs=false").text, pointer(content));
    let large = raw("a.psd", "&lfs=true");
    assert_eq!(large.text.as_bytes(), content);
    assert_eq!(large.header("content-disposition"), Some("attachment; filename=\"a.psd\""));
    assert_eq!(raw("lost.psd", "&lfs=true").text, pointer(b"never stored"));
    assert_eq!(raw("README.md", "&lfs=true").text, raw("README.md", "").text);
    forge.root().put(&project.path(""), json!({ "lfs_enabled": false })).expect(200);
    assert_eq!(raw("a.psd", "&lfs=true").text, pointer(content));
}

const HOUR: i64 = 3600;

#[test]
fn large_files_that_no_ref_reaches_go_a_safe_age_later() {
    let forge = forge!(|settings| settings.registry_gc_age_hours = 24);
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 40);
    let lfs = Lfs::of(&forge, &project, Some(&bot.secret));
    let git = Git::default();
    project.clone_with(&git, &bot.secret, "work");
    let (kept, dropped, never, restored) = (b"on main", b"on a branch", b"never named", b"comes again");
    for content in [&kept[..], dropped, never, restored] {
        lfs.upload(content).expect(200);
    }
    git.commit("work", "kept.bin", &pointer(kept));
    git.run_in("work", &["push", "origin", "main"]).works();
    for (branch, content) in [("dropped", &dropped[..]), ("restored", restored)] {
        git.run_in("work", &["checkout", "-q", "-b", branch, "main"]).works();
        git.commit("work", "more.bin", &pointer(content));
        git.run_in("work", &["push", "origin", branch]).works();
    }
    let there = |content: &[u8]| lfs.download(&oid(content), "").status == 200;
    let collect = |dry_run: bool| {
        forge.block_on(garbage::collect(&forge.forge, dry_run, &mut |_| {})).unwrap().large_files
    };
    let later = |hours: i64| forge.clock.advance_seconds(hours * HOUR);
    // Deleted today, and looked at when it was not relied on for long: it is kept from then on for the safe age.
    git.run_in("work", &["push", "origin", ":dropped", ":restored"]).works();
    assert_eq!(collect(false), 0);
    later(30);
    assert_eq!((collect(true), collect(false)), (0, 0));
    assert!([&kept[..], dropped, never, restored].iter().all(|content| there(content)));
    later(23);
    assert_eq!((collect(true), collect(false)), (0, 0));
    // A branch that comes again keeps what it names.
    git.run_in("work", &["push", "origin", "restored"]).works();
    later(21);
    assert_eq!(collect(true), 2);
    assert!(there(dropped));
    assert_eq!(collect(false), 2);
    assert_eq!([there(kept), there(dropped), there(never), there(restored)], [true, false, false, true]);
    assert_eq!(stored_files(&forge), 2);
    // What is gone can be stored again.
    lfs.upload(dropped).expect(200);
    assert!(there(dropped));
    // Whoever asks whether it is there is about to name it.
    later(30);
    assert_eq!(collect(false), 0);
    later(20);
    lfs.batch("upload", &[(&oid(dropped), dropped.len())]).expect(200);
    later(20);
    assert_eq!(collect(false), 0);
    assert!(there(dropped));
}

/// A file system of its own, small and in memory. Only the superuser may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still runs in it ends by itself.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_it_can_be_tried_again() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not tested: a small file system can be mounted only by the superuser");
        return;
    };
    let forge = forge!(|settings| settings.data = disk.0.path().join("data"));
    let project = forge.project("private");
    let secret = project.token(&["write_repository"], 30).secret;
    let lfs = Lfs::of(&forge, &project, Some(&secret));
    let large = vec![1_u8; 48 << 20];
    let path = format!("{}/gitlab-lfs/objects/{}/{}", lfs.repository, oid(&large), large.len());
    let headers = [("authorization", lfs.authorization.as_deref().unwrap())];
    // A server that has no room need not hear the rest: then the client may be cut off while it is still sending.
    let refused = lfs.caller.try_send("PUT", &path, &headers, &large);
    assert!(refused.as_ref().map_or(true, |answer| answer.status == 503), "{refused:?}");
    lfs.download(&oid(&large), "").expect(404);
    let fits = &large[..4 << 20];
    lfs.upload(fits).expect(200);
    assert_eq!(lfs.download(&oid(fits), "").expect(200).text.len(), fits.len());
}
