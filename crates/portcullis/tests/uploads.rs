//! Files that are uploaded to projects: stored once and whole, found by an address that cannot be foreseen, and served so
//! that nothing in them runs.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use portcullis_testkit::{Answer, Caller, TestForge, forge};
use serde_json::{Value, json};

/// Returns the address of an upload in the answer to making it.
#[track_caller]
fn address(answer: &Value) -> String {
    answer["full_path"].as_str().unwrap().to_owned()
}

fn fetch(caller: &Caller, path: &str) -> Answer {
    caller.send("GET", path, &[], b"")
}

#[test]
fn an_upload_is_answered_in_the_shape_that_clients_join_with() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 10);
    let made = bot.upload(project.id, "some shot.png", b"\x89PNG").expect(201).json();
    let url = made["url"].as_str().unwrap();
    let secret = url.strip_prefix("/uploads/").and_then(|rest| rest.strip_suffix("/some_shot.png")).unwrap();
    assert_eq!(secret.len(), 32);
    assert!(secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        made,
        json!({
            "id": made["id"], "alt": "some_shot", "url": url, "full_path": format!("/-/project/{}{url}", project.id),
            "markdown": format!("![some_shot]({url})"),
        })
    );
    let text = bot.upload(project.id, "notes.txt", b"text").expect(201).json();
    assert_eq!(text["alt"], "notes.txt");
    assert_eq!(text["markdown"], format!("[notes.txt]({})", text["url"].as_str().unwrap()));
    assert_ne!(text["url"].as_str().unwrap().split('/').nth(2), Some(secret));

    let list = forge.root().get(&project.path("/uploads")).expect(200);
    assert_eq!(list.header("x-total"), Some("2"));
    let listed = list.json();
    assert_eq!(
        listed[1],
        json!({
            "id": made["id"], "size": 4, "filename": "some_shot.png", "created_at": "2026-03-02T12:00:00.000Z",
            "uploaded_by": { "id": bot.user_id, "name": "ci", "username": format!("project_{}_bot", project.id) },
        })
    );
    let page = forge.root().get(&project.path("/uploads?per_page=1&page=2")).expect(200).json();
    assert_eq!(page, json!([listed[1]]));
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json();
    assert_eq!(audit[0]["event_name"], "upload_created");
}

#[test]
fn an_upload_is_served_to_readers_of_the_project_alone() {
    let forge = forge!();
    let project = forge.project("private");
    let other = forge.project("public");
    let guest = project.member(10);
    let path = address(&guest.upload(project.id, "a.txt", b"content").expect(201).json());
    let below = format!(
        "/{}{}",
        project.full_path,
        path.split_once("/uploads").map(|(_, rest)| format!("/uploads{rest}")).unwrap()
    );
    let api = format!("/api/v4/projects/{}/uploads{}", project.id, path.split_once("/uploads").unwrap().1);
    let stranger = forge.person("stranger");
    let read_api = project.token(&["read_api"], 10);
    let clone_only = project.token(&["read_repository"], 40);
    for path in [&path, &below, &api] {
        assert_eq!(fetch(&guest, path).expect(200).text, "content", "{path}");
        fetch(&read_api, path).expect(200);
        fetch(&clone_only, path).expect(403);
        for hidden in [&stranger.caller, &forge.anyone(), &other.token(&["api"], 50).caller] {
            assert_eq!(fetch(hidden, path).expect(404).json(), json!({ "message": "404 Project Not Found" }));
        }
        fetch(&forge.with_token("pcp_wrong"), path).expect(401);
        let bearer = format!("Bearer {}", read_api.secret);
        forge.anyone().send("GET", path, &[("authorization", &bearer)], b"").expect(200);
        forge
            .anyone()
            .send("GET", &format!("{path}?private_token={}", read_api.secret), &[], b"")
            .expect(200);
    }
    // It is found in its own project alone, by its whole address.
    let elsewhere = path.replace(&format!("/project/{}/", project.id), &format!("/project/{}/", other.id));
    fetch(forge.root(), &elsewhere).expect(404);
    fetch(forge.root(), &path.replace("a.txt", "b.txt")).expect(404);
    let (before, after) = path.split_at(path.len() - 10);
    let flipped = format!("{before}{}{}", if after.starts_with('0') { '1' } else { '0' }, &after[1..]);
    fetch(forge.root(), &flipped).expect(404);
    // What is revoked is refused at once.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", read_api.token_id))).expect(204);
    fetch(&read_api, &path).expect(401);
    // A public project's are everybody's.
    let open = address(&forge.root().upload(other.id, "a.txt", b"open").expect(201).json());
    assert_eq!(fetch(&forge.anyone(), &open).expect(200).text, "open");
}

#[test]
fn pictures_are_shown_and_everything_else_is_saved() {
    let forge = forge!();
    let project = forge.project("public");
    for (name, kind, word) in [
        ("a.png", "image/png", "inline"),
        ("a.JPG", "image/jpeg", "inline"),
        ("a.svg", "application/octet-stream", "attachment"),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.pdf", "application/octet-stream", "attachment"),
    ] {
        let made = forge.root().upload(project.id, name, b"<script>alert(1)</script>").expect(201).json();
        let answer = fetch(&forge.anyone(), &address(&made)).expect(200);
        assert_eq!(answer.header("content-type"), Some(kind), "{name}");
        assert_eq!(answer.header("content-disposition"), Some(&*format!("{word}; filename=\"{name}\"")));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        // Over the API it is always a file to be saved.
        let saved = forge.root().get(&project.path(&format!("/uploads/{}", made["id"]))).expect(200);
        assert!(saved.header("content-disposition").unwrap().starts_with("attachment"), "{name}");
    }
}

#[test]
fn a_download_can_be_gone_on_with() {
    let forge = forge!();
    let project = forge.project("public");
    let path = address(&forge.root().upload(project.id, "a.bin", b"0123456789").expect(201).json());
    let ask = |headers: &[(&str, &str)]| forge.anyone().send("GET", &path, headers, b"");
    let whole = ask(&[]).expect(200);
    let tag = whole.header("etag").unwrap().to_owned();
    assert_eq!((whole.header("accept-ranges"), whole.header("content-length")), (Some("bytes"), Some("10")));
    let part = ask(&[("range", "bytes=3-5")]).expect(206);
    assert_eq!((part.text.as_str(), part.header("content-range")), ("345", Some("bytes 3-5/10")));
    assert_eq!(ask(&[("range", "bytes=-2"), ("if-range", &tag)]).expect(206).text, "89");
    assert_eq!(ask(&[("range", "bytes=-2"), ("if-range", "\"other\"")]).expect(200).text, "0123456789");
    assert_eq!(ask(&[("range", "bytes=10-")]).expect(416).header("content-range"), Some("bytes */10"));
    assert_eq!(ask(&[("if-none-match", &tag)]).expect(304).text, "");
    let head = forge.anyone().send("HEAD", &path, &[], b"").expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("10"), Some(&*tag)));
}

#[test]
fn names_are_made_plain() {
    let forge = forge!();
    let project = forge.project("public");
    for (sent, kept) in
        [("../../etc/passwd", "passwd"), ("a b(1).txt", "a_b_1_.txt"), ("..", "_.."), ("ü.txt", "ü.txt")]
    {
        let made = forge.root().upload(project.id, sent, b"x").expect(201).json();
        assert!(made["url"].as_str().unwrap().ends_with(&format!("/{kept}")), "{made}");
        let path = address(&made).replace('ü', "%C3%BC");
        fetch(&forge.anyone(), &path).expect(200);
    }
}

#[test]
fn what_is_no_form_with_a_file_is_refused_by_name() {
    let forge = forge!();
    let project = forge.project("private");
    let path = format!("/api/v4/projects/{}/uploads", project.id);
    let post =
        |kind: &str, body: &str| forge.root().send("POST", &path, &[("content-type", kind)], body.as_bytes());
    let form = "multipart/form-data; boundary=b";
    for (kind, body, problem) in [
        ("application/json", "{}", "file is missing"),
        ("application/x-www-form-urlencoded", "file=x", "file is missing"),
        ("multipart/form-data", "", "boundary"),
        (form, "--b--\r\n", "file is missing"),
        (form, "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--", "file is invalid"),
        (
            form,
            "--b\r\nContent-Disposition: form-data; name=\"other\"; filename=\"a\"\r\n\r\nx\r\n--b--",
            "file is missing",
        ),
        (
            form,
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx",
            "ended early",
        ),
        (form, "no form at all", "ended early"),
    ] {
        let answer = post(kind, body).expect(400);
        assert!(answer.text.contains(problem), "{kind} {body}: {}", answer.text);
    }
    assert_eq!(forge.root().get(&project.path("/uploads")).json(), json!([]));
    // Fields before the file are read, what stands behind it is not.
    let around = "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nx\r\n--b\r\ngarbage";
    post(form, around).expect(201);
}

#[test]
fn a_file_has_a_largest_size() {
    let forge = forge!(|settings| settings.max_upload_bytes = 1000);
    let project = forge.project("private");
    forge.root().upload(project.id, "a", &[0; 1000]).expect(201);
    forge.root().upload(project.id, "a", &[0; 1001]).expect(413);
    forge.root().upload(project.id, "a", &vec![0; 300_000]).expect(413);
    assert_eq!(forge.root().get(&project.path("/uploads")).header("x-total"), Some("1"));
    assert!(waiting_sessions(&forge).is_empty(), "{:?}", waiting_sessions(&forge));
}

/// The files of upload sessions.
fn waiting_sessions(forge: &TestForge) -> Vec<std::path::PathBuf> {
    let (mut folders, mut found) = (vec![forge.folder().join("data/blobs")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.path().to_string_lossy().contains("upload") => found.push(entry.path()),
                false => {}
            }
        }
    }
    found
}

/// A client goes away in the middle of a file. Nothing is recorded, and nothing stays behind.
#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let mut stream = TcpStream::connect(forge.url.strip_prefix("http://").unwrap()).unwrap();
    let secret = forge.root().token.clone().unwrap();
    let begun = format!(
        "POST /api/v4/projects/{}/uploads HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {secret}\r\nContent-Length: 1000000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"a.bin\"\r\n\r\n",
        project.id
    );
    stream.write_all(begun.as_bytes()).unwrap();
    stream.write_all(&[7; 200_000]).unwrap();
    while waiting_sessions(&forge).is_empty() {
        std::thread::yield_now();
    }
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest);
    while !waiting_sessions(&forge).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(forge.root().get(&project.path("/uploads")).json(), json!([]));
}

#[test]
fn only_members_upload_and_only_maintainers_list_and_delete() {
    let forge = forge!();
    let project = forge.project("public");
    let (guest, developer, maintainer) = (project.member(10), project.member(30), project.member(40));
    forge.person("stranger").upload(project.id, "a.txt", b"x").expect(403);
    forge.anyone().upload(project.id, "a.txt", b"x").expect(401);
    project.token(&["read_api"], 40).upload(project.id, "a.txt", b"x").expect(403);
    let first = guest.upload(project.id, "a.txt", b"x").expect(201).json();
    let second = guest.upload(project.id, "b.txt", b"y").expect(201).json();
    let by_id = project.path(&format!("/uploads/{}", first["id"]));
    for caller in [&guest, &developer] {
        caller.get(&project.path("/uploads")).expect(403);
        caller.get(&by_id).expect(403);
        caller.delete(&by_id).expect(403);
    }
    assert_eq!(maintainer.get(&by_id).expect(200).text, "x");
    let other = forge.project("public");
    forge.root().delete(&other.path(&format!("/uploads/{}", first["id"]))).expect(404);
    assert_eq!(maintainer.delete(&by_id).expect(204).text, "");
    maintainer.delete(&by_id).expect(404);
    fetch(&forge.anyone(), &address(&first)).expect(404);
    let by_address = project.path(second["url"].as_str().unwrap());
    developer.delete(&by_address).expect(403);
    maintainer.delete(&by_address).expect(204);
    assert_eq!(maintainer.get(&project.path("/uploads")).expect(200).json(), json!([]));
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json();
    assert_eq!(audit[0]["event_name"], "upload_deleted");
    assert_eq!(audit[0]["details"]["file_name"], "b.txt");
    forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    guest.upload(project.id, "a.txt", b"x").expect(403);
}

#[test]
fn what_a_bot_uploaded_becomes_the_ghost_users() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let path = address(&bot.upload(project.id, "a.txt", b"stays").expect(201).json());
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let listed = forge.root().get(&project.path("/uploads")).expect(200).json();
    assert_eq!(listed[0]["uploaded_by"]["username"], "ghost");
    assert_eq!(fetch(forge.root(), &path).expect(200).text, "stays");
}

#[test]
fn forms_in_parts_have_parameters_like_all_others() {
    let forge = forge!();
    let project = forge.project("private");
    let mut form = String::new();
    for (name, value) in
        [("title", "From a form"), ("confidential", "1"), ("labels[]", "a"), ("labels[]", "b")]
    {
        form.push_str(&format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    form.push_str("--b--\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let path = format!("/api/v4/projects/{}/issues", project.id);
    let issue = forge.root().send("POST", &path, &kind, form.as_bytes()).expect(201).json();
    assert_eq!(
        (&issue["title"], &issue["confidential"], &issue["labels"]),
        (&json!("From a form"), &json!(true), &json!(["a", "b"]))
    );
    forge.root().send("POST", &path, &kind, b"--b\r\nContent-Disposition").expect(400);
    let large = format!(
        "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n{}\r\n--b--",
        "a".repeat(1 << 20)
    );
    forge.root().send("POST", &path, &kind, large.as_bytes()).expect(413);
}
