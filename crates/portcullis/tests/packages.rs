//! Generic packages: published whole or not at all, downloaded as they were published.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use portcullis_testkit::registry::Algorithm;
use portcullis_testkit::{Answer, Caller, basic, forge};
use serde_json::{Value, json};

fn sha256(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes).split_once(':').unwrap().1.to_owned()
}

fn download(caller: &Caller, project: i64, path: &str) -> Answer {
    caller.send("GET", &format!("/api/v4/projects/{project}/packages/generic/{path}"), &[], b"")
}

#[test]
fn a_package_is_published_and_downloaded() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let made = bot.publish(project.id, "my.tool/1.0.0/tool-linux.tgz", b"content").expect(201);
    assert_eq!(made.text, r#"{"message":"201 Created"}"#);
    let published = bot.publish(project.id, "my.tool/1.0.0/sums?select=package_file", b"").expect(201).json();
    let url = format!("{}/api/v4/projects/{}/packages/generic/my.tool/1.0.0/sums", forge.url, project.id);
    assert_eq!(
        published,
        json!({
            "id": published["id"], "package_id": published["package_id"], "created_at": "2026-03-02T12:00:00.000Z",
            "updated_at": "2026-03-02T12:00:00.000Z", "size": 0, "file_store": 1, "file_md5": null, "file_sha1": null,
            "file_sha256": sha256(b""), "file_name": "sums", "file": { "url": url }, "status": "default",
        })
    );
    let answer = download(&bot, project.id, "my.tool/1.0.0/tool-linux.tgz").expect(200);
    assert_eq!(answer.text, "content");
    for (header, value) in [
        ("x-checksum-sha256", sha256(b"content")),
        ("content-disposition", "attachment; filename=\"tool-linux.tgz\"".to_owned()),
        ("content-type", "application/octet-stream".to_owned()),
        ("content-length", "7".to_owned()),
        ("etag", format!("\"{}\"", sha256(b"content"))),
        ("x-content-type-options", "nosniff".to_owned()),
    ] {
        assert_eq!(answer.header(header), Some(value.as_str()), "{header}");
    }
    assert_eq!(download(&bot, project.id, "my.tool/1.0.0/sums").expect(200).text, "");
    let path = format!("/api/v4/projects/{}/packages/generic/my.tool/1.0.0/tool-linux.tgz", project.id);
    let ask = |method: &str, headers: &[(&str, &str)]| bot.send(method, &path, headers, b"");
    assert_eq!(ask("GET", &[("range", "bytes=2-")]).expect(206).text, "ntent");
    ask("GET", &[("if-none-match", answer.header("etag").unwrap())]).expect(304);
    let head = ask("HEAD", &[]).expect(200);
    assert_eq!((head.header("content-length"), head.text.as_str()), (Some("7"), ""));
    // The link in the answer is one that downloads.
    forge.root().send("GET", url.strip_prefix(&forge.url).unwrap(), &[], b"").expect(200);
}

#[test]
fn packages_are_listed_in_the_shape_of_gitlab() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    for path in ["b/1.0/f", "a/2.0/f", "a/1.0/f", "a/1.0/g"] {
        bot.publish(project.id, path, path.as_bytes()).expect(201);
        forge.clock.advance_seconds(1);
    }
    bot.publish(project.id, "secret/1.0/f?status=hidden", b"x").expect(201);
    let list = |query: &str| forge.root().get(&project.path(&format!("/packages{query}"))).expect(200);
    let names = |query: &str| -> Vec<String> {
        let list = list(query).json();
        let name =
            |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
        list.as_array().unwrap().iter().map(name).collect()
    };
    let all = list("");
    assert_eq!(all.header("x-total"), Some("3"));
    let first = all.json()[0].clone();
    let id = first["id"].as_i64().unwrap();
    assert_eq!(
        first,
        json!({
            "id": id, "name": "b", "version": "1.0", "package_type": "generic", "status": "default",
            "_links": {
                "web_path": format!("/{}/-/packages/{id}", project.full_path),
                "delete_api_path": format!("{}/api/v4/projects/{}/packages/{id}", forge.url, project.id),
            },
            "created_at": "2026-03-02T12:00:00.000Z", "last_downloaded_at": null, "creator_id": bot.user_id,
            "tags": [], "pipelines": [],
        })
    );
    assert_eq!(forge.root().get(&project.path(&format!("/packages/{id}"))).expect(200).json(), first);
    let as_developer = bot.get(&project.path(&format!("/packages/{id}"))).expect(200).json();
    assert!(as_developer["_links"]["delete_api_path"].is_null());
    for (query, expected) in [
        ("", &["b 1.0", "a 2.0", "a 1.0"][..]),
        ("?sort=desc", &["a 1.0", "a 2.0", "b 1.0"]),
        ("?order_by=name&sort=asc", &["a 2.0", "a 1.0", "b 1.0"]),
        ("?order_by=version", &["b 1.0", "a 1.0", "a 2.0"]),
        ("?package_name=A", &["a 2.0", "a 1.0"]),
        ("?package_version=2.0", &["a 2.0"]),
        ("?package_type=generic&per_page=1&page=3", &["a 1.0"]),
        ("?package_type=npm", &[]),
        ("?status=hidden", &["secret 1.0"]),
    ] {
        assert_eq!(names(query), expected, "{query}");
    }
    for query in ["?order_by=size", "?sort=up", "?package_type=deb", "?status=gone", "?package_name=%00"] {
        forge.root().get(&project.path(&format!("/packages{query}"))).expect(400);
    }
    let package = list("?package_version=1.0&package_name=a").json()[0]["id"].clone();
    let files =
        forge.root().get(&project.path(&format!("/packages/{package}/package_files"))).expect(200).json();
    assert_eq!(
        files[1],
        json!({
            "id": files[1]["id"], "package_id": package, "created_at": "2026-03-02T12:00:03.000Z", "file_name": "g",
            "size": 7, "file_md5": null, "file_sha1": null, "file_sha256": sha256(b"a/1.0/g"), "pipelines": [],
        })
    );
    assert_eq!(files.as_array().unwrap().len(), 2);
    forge.root().get(&project.path("/packages/999999")).expect(404);
    forge.root().get(&project.path("/packages/999999/package_files")).expect(404);
    forge.root().get(&forge.project("private").path(&format!("/packages/{id}"))).expect(404);
}

#[test]
fn of_files_with_one_name_the_newest_is_downloaded() {
    let forge = forge!();
    let project = forge.project("private");
    for content in ["one", "two"] {
        forge.root().publish(project.id, "tool/1/f", content.as_bytes()).expect(201);
    }
    assert_eq!(download(forge.root(), project.id, "tool/1/f").text, "two");
    let package = forge.root().get(&project.path("/packages")).json()[0]["id"].clone();
    let path = project.path(&format!("/packages/{package}/package_files"));
    let files = forge.root().get(&path).json();
    assert_eq!(files.as_array().unwrap().len(), 2);
    forge.root().delete(&format!("{path}/{}", files[1]["id"])).expect(204);
    assert_eq!(download(forge.root(), project.id, "tool/1/f").text, "one");
    forge.root().delete(&format!("{path}/{}", files[1]["id"])).expect(404);
    // A file is found in its own package alone.
    forge.root().publish(project.id, "other/1/f", b"x").expect(201);
    let other = forge.root().get(&project.path("/packages?package_name=other")).json()[0]["id"].clone();
    forge
        .root()
        .delete(&project.path(&format!("/packages/{other}/package_files/{}", files[0]["id"])))
        .expect(404);
    forge.root().delete(&project.path(&format!("/packages/{package}"))).expect(204);
    download(forge.root(), project.id, "tool/1/f").expect(404);
    forge.root().delete(&project.path(&format!("/packages/{package}"))).expect(404);
    download(forge.root(), project.id, "other/1/f").expect(200);
}

#[test]
fn names_follow_the_grammar() {
    let forge = forge!();
    let project = forge.project("private");
    for (path, problem) in [
        ("a%20b/1/f", "package_name is invalid"),
        ("a%2Fb/1/f", "package_name is invalid"),
        ("a/1..0/f", "package_version is invalid"),
        ("a/1/%2E%2E", "file_name is invalid"),
        ("a/1/b%2F..%2Fc", "file_name is invalid"),
        ("a/1/~f", "file_name is invalid"),
        ("%C3%BC/1%20/f%00", "package_name is invalid, package_version is invalid, file_name is invalid"),
        ("a/1/f?status=gone", "status does not have a valid value"),
        ("a/1/f?select=everything", "select does not have a valid value"),
    ] {
        let refused = forge.root().publish(project.id, path, b"x").expect(400);
        assert_eq!(refused.json(), json!({ "error": problem }), "{path}");
    }
    download(forge.root(), project.id, "a%20b/1/f").expect(404);
    assert_eq!(forge.root().get(&project.path("/packages")).json(), json!([]));
    for path in ["A.b_c-d+1/v1.0.0-rc.1/linux/amd64/tool@2~x", "a/1/linux%2Famd64%2Ftool"] {
        forge.root().publish(project.id, path, path.as_bytes()).expect(201);
        assert_eq!(download(forge.root(), project.id, path).expect(200).text, path);
    }
    assert_eq!(
        download(forge.root(), project.id, "a/1/linux/amd64/tool").expect(200).text,
        "a/1/linux%2Famd64%2Ftool"
    );
}

#[test]
fn bodies_of_every_kind_and_credentials_of_every_carrier_are_taken() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let path = |name: &str| format!("/api/v4/projects/{}/packages/generic/tool/1/{name}", project.id);
    let basic_auth = basic("anybody", &bot.secret);
    for (kind, content) in [
        ("application/json", &b"{ this is no JSON"[..]),
        ("application/x-www-form-urlencoded", b"private_token=x&a=%zz"),
        ("multipart/form-data; boundary=b", b"--b"),
        ("text/plain", b"\x00\x7f\r\n"),
        ("", b"none"),
    ] {
        let headers = [("content-type", kind), ("authorization", &*basic_auth)];
        forge.anyone().send("PUT", &path("f"), &headers, content).expect(201);
        let answer =
            forge.anyone().send("GET", &path("f"), &[("authorization", &basic_auth)], b"").expect(200);
        assert_eq!(answer.header("x-checksum-sha256"), Some(&*sha256(content)), "{kind}");
    }
    let wrong = basic("anybody", "pcp_wrong");
    forge.anyone().send("PUT", &path("f"), &[("authorization", &wrong)], b"x").expect(401);
    forge.anyone().send("GET", &path("f"), &[("authorization", &wrong)], b"").expect(401);
    // Elsewhere in the API the password of Basic is no credential.
    let list = format!("/api/v4/projects/{}/packages", project.id);
    forge.anyone().send("GET", &list, &[("authorization", &basic_auth)], b"").expect(404);
    let bearer = format!("Bearer {}", bot.secret);
    forge.anyone().send("PUT", &path("f"), &[("authorization", &bearer)], b"x").expect(201);
}

#[test]
fn a_body_without_a_length_is_taken_and_one_that_breaks_off_is_not() {
    let forge = forge!();
    let project = forge.project("private");
    let secret = forge.root().token.clone().unwrap();
    let connect = || TcpStream::connect(forge.url.strip_prefix("http://").unwrap()).unwrap();
    let head = |name: &str, rest: &str| {
        format!(
            "PUT /api/v4/projects/{}/packages/generic/tool/1/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             PRIVATE-TOKEN: {secret}\r\n{rest}\r\n\r\n",
            project.id
        )
    };
    let mut stream = connect();
    stream.write_all(head("chunked", "Transfer-Encoding: chunked").as_bytes()).unwrap();
    stream.write_all(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(download(forge.root(), project.id, "tool/1/chunked").text, "abcdefg");

    for rest in ["Transfer-Encoding: chunked", "Content-Length: 100"] {
        let mut stream = connect();
        stream.write_all(head("broken", rest).as_bytes()).unwrap();
        stream.write_all(b"5\r\nabc").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    download(forge.root(), project.id, "tool/1/broken").expect(404);
}

#[test]
fn roles_scopes_and_the_switch_decide() {
    let forge = forge!();
    let (private, public) = (forge.project("private"), forge.project("public"));
    for project in [&private, &public] {
        forge.root().publish(project.id, "tool/1/f", b"x").expect(201);
    }
    assert_eq!(download(&forge.anyone(), public.id, "tool/1/f").expect(200).text, "x");
    download(&forge.anyone(), private.id, "tool/1/f").expect(404);
    download(&public.token(&["api"], 50), private.id, "tool/1/f").expect(404);
    for (scopes, level, read, write, delete) in [
        (&["api"][..], 10, 403, 403, 403),
        (&["api"], 20, 200, 403, 403),
        (&["api"], 30, 200, 201, 403),
        (&["api"], 40, 200, 201, 204),
        (&["read_api"], 40, 200, 403, 403),
        (&["read_registry", "write_registry", "read_repository", "write_repository"], 40, 403, 403, 403),
    ] {
        let bot = private.token(scopes, level);
        let name = format!("tool/{level}/f");
        let said = format!("{scopes:?} {level}");
        assert_eq!(download(&bot, private.id, "tool/1/f").status, read, "{said}");
        assert_eq!(bot.get(&private.path("/packages")).status, read, "{said}");
        assert_eq!(bot.publish(private.id, &name, b"x").status, write, "{said}");
        let made = forge.root().publish(private.id, "spare/1/f?select=package_file", b"x").expect(201).json();
        let package = private.path(&format!("/packages/{}", made["package_id"]));
        let file = format!("{package}/package_files/{}", made["id"]);
        assert_eq!(bot.delete(&file).status, delete, "{said}");
        assert_eq!(bot.delete(&package).status, delete, "{said}");
    }
    // Kept for members, then off, then archived.
    let reporter = public.member(20);
    let set = |level: &str| {
        let changed = forge.root().put(&public.path(""), json!({ "package_registry_access_level": level }));
        changed.expect(200).json()
    };
    assert_eq!(set("private")["packages_enabled"], true);
    download(&forge.anyone(), public.id, "tool/1/f").expect(401);
    download(&reporter, public.id, "tool/1/f").expect(200);
    assert_eq!(set("disabled")["packages_enabled"], false);
    let off = download(&reporter, public.id, "tool/1/f").expect(403);
    assert_eq!(off.json(), json!({ "message": "403 Forbidden - Packages are disabled in this project" }));
    forge.root().publish(public.id, "tool/1/f", b"x").expect(403);
    assert_eq!(set("enabled")["package_registry_access_level"], "enabled");
    forge.root().post(&public.path("/archive"), Value::Null).expect(201);
    forge.root().publish(public.id, "tool/1/f", b"x").expect(403);
    download(&forge.anyone(), public.id, "tool/1/f").expect(200);
    let made = json!({ "name": "without", "packages_enabled": false, "namespace_id": private.group.id });
    assert_eq!(forge.root().post("/projects", made).expect(201).json()["packages_enabled"], false);
}

#[test]
fn a_file_has_a_largest_size_and_a_project_a_quota() {
    let forge = forge!(|settings| settings.max_package_file_bytes = 2000);
    let project = forge.project("private");
    forge.root().publish(project.id, "tool/1/f", &[1; 2000]).expect(201);
    forge.root().publish(project.id, "tool/1/f", &[2; 2001]).expect(413);
    forge.root().put(&project.path(""), json!({ "container_registry_quota_bytes": 2500 })).expect(200);
    forge.root().publish(project.id, "tool/2/f", &[3; 400]).expect(201);
    for refused in [
        forge.root().publish(project.id, "tool/3/f", &[4; 101]),
        forge.root().upload(project.id, "a", &[4; 101]),
    ] {
        let text = "403 Forbidden - The storage quota of this project is exhausted";
        refused.expect_json(403, json!({ "message": text }));
    }
    forge.root().upload(project.id, "b", &[5; 100]).expect(201);
    let shown = forge.root().get(&project.path("?statistics=true")).expect(200).json();
    assert_eq!(
        shown["statistics"],
        json!({ "container_registry_size": 0, "lfs_objects_size": 0, "packages_size": 2400, "uploads_size": 100 })
    );
    let group = forge.root().get(&format!("/groups/{}?statistics=true", project.group.id)).expect(200).json();
    assert_eq!(group["statistics"], shown["statistics"]);
    let names: Vec<_> = forge.root().get(&project.path("/packages")).json().as_array().unwrap().clone();
    assert_eq!(names.len(), 2);
}

#[test]
fn what_happened_is_the_bots_and_then_the_ghost_users() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    bot.publish(project.id, "tool/1/f", b"content").expect(201);
    let package = bot.get(&project.path("/packages")).json()[0]["id"].clone();
    let feed = || forge.root().get(&project.path("/events")).expect(200).json()[0].clone();
    let event = feed();
    assert_eq!(
        [&event["action_name"], &event["target_type"], &event["target_title"], &event["author_id"]],
        [&json!("published"), &json!("Package"), &json!("tool/1/f"), &json!(bot.user_id)]
    );
    assert_eq!(event["package"]["file_sha256"], sha256(b"content"));
    let audit = || forge.root().get(&project.path("/audit_events")).expect(200).json()[0].clone();
    assert_eq!(audit()["event_name"], "package_file_published");
    bot.delete(&project.path(&format!("/packages/{package}"))).expect(204);
    assert_eq!(
        (feed()["action_name"].clone(), audit()["event_name"].clone()),
        (json!("deleted"), json!("package_deleted"))
    );
    bot.publish(project.id, "tool/2/f", b"stays").expect(201);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let ghost = feed()["author_id"].clone();
    assert_eq!(feed()["author"]["username"], "ghost");
    assert_eq!(forge.root().get(&project.path("/packages")).json()[0]["creator_id"], ghost);
    assert_eq!(download(forge.root(), project.id, "tool/2/f").expect(200).text, "stays");
}

/// A token is revoked while its file is on its way. What was sent is not published.
#[test]
fn a_token_that_is_revoked_meanwhile_publishes_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let mut stream = TcpStream::connect(forge.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "PUT /api/v4/projects/{}/packages/generic/tool/1/f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         PRIVATE-TOKEN: {}\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
        project.id, bot.secret
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It is let in when it is asked for its body.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
    stream.write_all(b"abc").unwrap();
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    stream.write_all(b"def").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(forge.root().get(&project.path("/packages")).json(), json!([]));
}

#[test]
fn a_store_that_takes_no_changes_goes_on_serving() {
    let forge = forge!(|settings| settings.registry_read_only = true);
    let project = forge.project("private");
    assert!(forge.root().publish(project.id, "tool/1/f", b"x").expect(503).header("retry-after").is_some());
    forge.root().upload(project.id, "a", b"x").expect(503);
    assert_eq!(forge.root().get(&project.path("/packages")).expect(200).json(), json!([]));
}
