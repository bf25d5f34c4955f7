//! The content of a repository as the API shows it: branches, tags, commits, trees, files, differences and archives.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use base64::Engine as _;
use portcullis_testkit::{Answer, Bot, Git, Project, TestForge, forge};
use serde_json::{Value, json};

/// A project with some history, and a bot that may push to it.
struct World<'a> {
    project: Project<'a>,
    bot: Bot,
    git: Git,
}

impl<'a> World<'a> {
    fn new(forge: &'a TestForge, visibility: &str) -> World<'a> {
        let project = forge.project(visibility);
        let bot = project.token(&["api", "write_repository"], 40);
        let git = Git::default();
        project.clone_with(&git, &bot.secret, "work");
        World { project, bot, git }
    }

    /// Runs git in the clone.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.git.run_in("work", arguments).works().trim().to_owned()
    }

    /// Commits everything, at a time that is known.
    #[track_caller]
    fn commit_at(&self, message: &str, time: &str) -> String {
        self.run(&["add", "-A"]);
        let mut command = self.git.command("work", &["commit", "-q", "--allow-empty", "-m", message]);
        let output = command.env("GIT_AUTHOR_DATE", time).env("GIT_COMMITTER_DATE", time).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.run(&["rev-parse", "HEAD"])
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.git.path("work").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[track_caller]
    fn push(&self) {
        self.run(&["push", "-q", "--all", "origin"]);
        self.run(&["push", "-q", "--tags", "origin"]);
    }

    /// Asks about the repository.
    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.bot.get(&self.project.path(&format!("/repository{path}")))
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        self.get(path).expect(200).json()
    }

    #[track_caller]
    fn expect_error(&self, path: &str, status: u16, message: &str) {
        self.get(path).expect_json(status, json!({ "message": message }));
    }
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn branches_are_listed_searched_and_described() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    for (branch, time) in [
        ("feature/a.b%20c", "2026-01-03T00:00:00Z"),
        ("feature/old", "2026-01-01T00:00:00Z"),
        ("stable", "2026-01-02T00:00:00Z"),
    ] {
        world.run(&["checkout", "-q", "-b", branch, "main"]);
        if branch != "stable" {
            world.commit_at(branch, time);
        }
    }
    world.push();
    let web = format!("{}/{}", forge.url, world.project.full_path);

    let main = world.json("/branches/main");
    let id = world.run(&["rev-parse", "main"]);
    assert_eq!(main["commit"]["id"], json!(id));
    let rest: Vec<_> =
        ["name", "merged", "protected", "developers_can_push", "developers_can_merge", "can_push", "default"]
            .map(|field| main[field].clone())
            .into();
    assert_eq!(json!(rest), json!(["main", false, true, false, false, true, true]));
    assert_eq!(main["web_url"], json!(format!("{web}/-/tree/main")));

    let all = world.json("/branches");
    assert_eq!(texts(&all, "name"), ["feature/a.b%20c", "feature/old", "main", "stable"]);
    // What has nothing of its own is merged; the default branch is not merged into itself.
    let merged: Vec<_> =
        all.as_array().unwrap().iter().map(|branch| branch["merged"] == json!(true)).collect();
    assert_eq!(merged, [false, false, false, true]);

    for (query, expected) in [
        ("search=FEATURE", &["feature/a.b%20c", "feature/old"][..]),
        ("search=%5Ema", &["main"]),
        ("search=ble$", &["stable"]),
        ("search=%5Estable$", &["stable"]),
        ("search=.*", &[]),
        ("regex=%5E(main|stable)$", &["main", "stable"]),
        ("sort=updated_desc&search=feature", &["feature/a.b%20c", "feature/old"]),
        ("sort=updated_asc&search=feature", &["feature/old", "feature/a.b%20c"]),
        ("sort=name_desc&per_page=2", &["stable", "main"]),
        ("per_page=2&page=2", &["main", "stable"]),
    ] {
        assert_eq!(texts(&world.json(&format!("/branches?{query}")), "name"), expected, "{query}");
    }
    let page = world.get("/branches?per_page=3");
    assert_eq!((page.header("x-total"), page.header("x-next-page")), (Some("4"), Some("2")));
    world.expect_error(
        "/branches?regex=(",
        400,
        "400 Bad request - regex is not a regular expression that can be used",
    );
    world.get("/branches?sort=size").expect(400);

    // Names with slashes, dots and percent signs are one segment, encoded.
    let odd = world.json("/branches/feature%2Fa%2Eb%2520c");
    assert_eq!(odd["name"], json!("feature/a.b%20c"));
    assert_eq!(odd["web_url"], json!(format!("{web}/-/tree/feature/a.b%2520c")));
    assert_eq!(
        world
            .bot
            .send("HEAD", &format!("/api/v4{}", world.project.path("/repository/branches/stable")), &[], b"")
            .status,
        200
    );
    for name in
        ["nothing", "feature", "..", "%2E%2E%2Fmain", "main%00", "-main", "refs%2Fheads%2Fmain", "HEAD"]
    {
        world.expect_error(&format!("/branches/{name}"), 404, "404 Branch Not Found");
    }

    // What a Developer may do is said for whoever asks.
    forge
        .root()
        .patch(
            &world.project.path("/protected_branches/main"),
            json!({ "push_access_level": 30, "merge_access_level": 30 }),
        )
        .expect(200);
    let developer = world.project.token(&["read_api"], 30);
    let seen = developer.get(&world.project.path("/repository/branches/main")).expect(200).json();
    assert_eq!(
        (&seen["developers_can_push"], &seen["developers_can_merge"], &seen["can_push"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let reporter = world.project.token(&["read_api"], 20);
    let seen = reporter.get(&world.project.path("/repository/branches/stable")).expect(200).json();
    assert_eq!(
        (&seen["protected"], &seen["developers_can_push"], &seen["can_push"]),
        (&json!(false), &json!(false), &json!(false))
    );
}

#[test]
fn tags_are_listed_in_three_orders_and_described() {
    let forge = forge!();
    let world = World::new(&forge, "public");
    world.expect_error("/tags/v1", 404, "404 Tag Not Found");
    let empty = world.get("/tags").expect(200);
    assert_eq!((empty.json(), empty.header("x-total-pages")), (json!([]), Some("1")));
    for (tag, time) in [
        ("v1.10.0", "2026-01-01T00:00:00+02:00"),
        ("v1.9.0", "2026-01-02T00:00:00Z"),
        ("v1.9.0-rc.1", "2026-01-03T00:00:00Z"),
    ] {
        world.commit_at(tag, time);
        world.run(&["tag", tag]);
    }
    let mut command =
        world.git.command("work", &["tag", "-a", "-m", "First\n\nrelease", "rel/2.0", "v1.9.0"]);
    assert!(
        command.env("GIT_COMMITTER_DATE", "2026-01-04T12:00:00-03:30").output().unwrap().status.success()
    );
    world.push();

    for (query, expected) in [
        ("", ["rel/2.0", "v1.9.0-rc.1", "v1.9.0", "v1.10.0"]),
        ("sort=asc", ["v1.10.0", "v1.9.0", "v1.9.0-rc.1", "rel/2.0"]),
        ("order_by=name&sort=asc", ["rel/2.0", "v1.10.0", "v1.9.0", "v1.9.0-rc.1"]),
        ("order_by=version&sort=asc&search=v", ["v1.9.0-rc.1", "v1.9.0", "v1.10.0", ""]),
    ] {
        let expected: Vec<_> = expected.into_iter().filter(|name| !name.is_empty()).collect();
        assert_eq!(texts(&world.json(&format!("/tags?{query}")), "name"), expected, "{query}");
    }
    let page = world.get("/tags?per_page=1&search=%5Ev").expect(200);
    assert_eq!((page.header("x-total"), page.header("x-total-pages")), (Some("3"), Some("3")));
    assert!(page.header("link").unwrap().contains("search=%5Ev&page=2&per_page=1>; rel=\"next\""));

    let annotated = world.json("/tags/rel%2F2%2E0");
    let commit = world.run(&["rev-parse", "v1.9.0"]);
    assert_eq!(annotated["message"], json!("First\n\nrelease"));
    assert_eq!(annotated["target"], json!(world.run(&["rev-parse", "rel/2.0"])));
    assert_eq!(annotated["commit"]["id"], json!(commit));
    assert_eq!(annotated["created_at"], json!("2026-01-04T12:00:00.000-03:30"));
    assert_eq!((&annotated["protected"], &annotated["release"]), (&json!(false), &Value::Null));
    let plain = world.json("/tags/v1.10.0");
    assert_eq!((&plain["message"], &plain["created_at"]), (&Value::Null, &Value::Null));
    assert_eq!(plain["target"], plain["commit"]["id"]);
    assert_eq!(plain["commit"]["created_at"], json!("2026-01-01T00:00:00.000+02:00"));
}

#[test]
fn commits_are_listed_from_wherever_one_asks() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    let first = world.run(&["rev-parse", "HEAD"]);
    world.write("src/a.txt", "1\n2\n3\n");
    let second = world.commit_at(
        "Add a\n\nBody\n\nChangelog: added\nSigned-off-by: A <a@b>\nSigned-off-by: C <c@d>",
        "2030-05-06T07:08:09+02:00",
    );
    world.write("src/a.txt", "1\n2\nthree\n");
    world.write("*.txt", "star\n");
    let third = world.commit_at("Change a", "2030-05-07T00:00:00Z");
    world.run(&["checkout", "-q", "-b", "topic", &second]);
    let side = world.commit_at("On the side", "2030-05-08T00:00:00Z");
    world.run(&["checkout", "-q", "main"]);
    world.run(&["merge", "-q", "--no-ff", "-m", "Merge", "topic"]);
    let merge = world.run(&["rev-parse", "HEAD"]);
    world.push();

    let commit = world.json(&format!("/commits/{second}"));
    assert_eq!(
        commit,
        json!({
            "id": second,
            "short_id": &second[..8],
            "created_at": "2030-05-06T07:08:09.000+02:00",
            "parent_ids": [first],
            "title": "Add a",
            "message": "Add a\n\nBody\n\nChangelog: added\nSigned-off-by: A <a@b>\nSigned-off-by: C <c@d>\n",
            "author_name": "Ann",
            "author_email": "ann@example.com",
            "authored_date": "2030-05-06T07:08:09.000+02:00",
            "committer_name": "Ann",
            "committer_email": "ann@example.com",
            "committed_date": "2030-05-06T07:08:09.000+02:00",
            "trailers": {},
            "extended_trailers": {},
            "web_url": format!("{}/{}/-/commit/{second}", forge.url, world.project.full_path),
            "stats": { "additions": 3, "deletions": 0, "total": 3 },
            "status": null,
            "project_id": world.project.id,
            "last_pipeline": null,
        })
    );
    assert_eq!(world.json(&format!("/commits/{second}?stats=false"))["stats"], Value::Null);
    // A commit is found by a branch, HEAD, a full ref and a part of its id, but by no expression.
    for name in ["main", "HEAD", "refs%2Fheads%2Fmain", &merge[..8]] {
        assert_eq!(world.json(&format!("/commits/{name}"))["id"], json!(merge), "{name}");
    }
    for name in
        ["main~1", "main%5E", "%40", "main%40%7B0%7D", "--all", "nothing", &"0".repeat(40), "abc", "main:src"]
    {
        world.expect_error(&format!("/commits/{name}"), 404, "404 Commit Not Found");
    }

    let ids = |query: &str| texts(&world.json(&format!("/commits?{query}")), "id");
    // A merge is made when the machine says, which is before the others.
    assert_eq!(ids("first_parent=true"), [merge.clone(), third.clone(), second.clone(), first.clone()]);
    assert_eq!(ids("order=topo").len(), 5);
    assert_eq!(ids("ref_name=topic"), [side.clone(), second.clone(), first.clone()]);
    assert_eq!(ids("all=true").len(), 5);
    assert_eq!(ids("path=src/a.txt"), [third.clone(), second.clone()]);
    // A path is a path and no pattern.
    assert_eq!(ids("path=*.txt"), [&*third]);
    assert_eq!(ids("path=:(top)src"), [] as [String; 0]);
    assert_eq!(
        ids(&format!("since=2030-05-06T00:00:00Z&until=2030-05-07T00:00:00Z&ref_name={third}")),
        [third.clone(), second.clone()]
    );
    assert_eq!(ids("author=ANN@example&ref_name=topic"), [side.clone(), second.clone()]);
    assert_eq!(ids("author=.nn&ref_name=topic"), [] as [String; 0]);
    assert_eq!(ids(&format!("ref_name={second}..topic")), [&*side]);
    let mut both = ids(&format!("ref_name={third}...topic"));
    both.sort();
    let mut expected = [third.clone(), side.clone()];
    expected.sort();
    assert_eq!(both, expected);
    world.expect_error("/commits?ref_name=nothing", 404, "404 Commit Not Found");
    world.expect_error("/commits?ref_name=nothing..main", 404, "404 Commit Not Found");
    world.get("/commits?since=yesterday&path=../x&order=odd").expect_json(
        400,
        json!({ "error": "path does not have a valid value, since is invalid, order does not have a valid value; allowed are default, topo" }),
    );

    for author in ["a%0Ab".to_owned(), "x".repeat(2000)] {
        world.expect_error(
            &format!("/commits?author={author}"),
            400,
            "400 Bad request - author must be one line of at most 1024 bytes",
        );
    }

    let page = world.get("/commits?ref_name=topic&per_page=2").expect(200);
    assert_eq!(
        ["x-page", "x-per-page", "x-next-page", "x-prev-page", "x-total"].map(|name| page.header(name)),
        [Some("1"), Some("2"), Some("2"), Some(""), None]
    );
    assert!(page.header("link").unwrap().contains("ref_name=topic&page=2&per_page=2>; rel=\"next\""));
    let last = world.get("/commits?ref_name=topic&per_page=2&page=2").expect(200);
    assert_eq!((texts(&last.json(), "id"), last.header("x-next-page")), (vec![first.clone()], Some("")));
    let whole = world.get("/commits?ref_name=topic&per_page=3").expect(200);
    assert_eq!(whole.header("x-next-page"), Some(""));

    let told = world.json("/commits?ref_name=topic&with_stats=true&trailers=true");
    assert_eq!(told[0]["stats"], json!({ "additions": 0, "deletions": 0, "total": 0 }));
    assert_eq!(told[1]["stats"], json!({ "additions": 3, "deletions": 0, "total": 3 }));
    assert_eq!(told[1]["trailers"], json!({ "Changelog": "added", "Signed-off-by": "C <c@d>" }));
    assert_eq!(told[1]["extended_trailers"]["Signed-off-by"], json!(["A <a@b>", "C <c@d>"]));

    world.run(&["tag", "v1", &second]);
    world.push();
    let refs = world.json(&format!("/commits/{second}/refs"));
    assert_eq!(
        refs,
        json!([{ "type": "branch", "name": "main" }, { "type": "branch", "name": "topic" }, { "type": "tag", "name": "v1" }])
    );
    assert_eq!(
        world.json(&format!("/commits/{second}/refs?type=tag")),
        json!([{ "type": "tag", "name": "v1" }])
    );
    assert_eq!(world.json("/commits/topic/sequence"), json!({ "count": 3 }));
    assert_eq!(world.json("/commits/main/sequence?first_parent=true"), json!({ "count": 4 }));
    world.expect_error("/commits/main/signature", 404, "404 Signature Not Found");
}

#[test]
fn folders_are_listed_page_by_page() {
    let forge = forge!();
    let world = World::new(&forge, "public");
    for file in ["a-b/x", "a/y", "a/deep/z", "a.c", "b", "run.sh", "\u{e9} %2F.txt"] {
        world.write(file, file);
    }
    std::os::unix::fs::symlink("b", world.git.path("work").join("link")).unwrap();
    world.run(&["update-index", "--add", "--cacheinfo", &format!("160000,{},module", "1".repeat(40))]);
    world.run(&["add", "-A", "--", ":!module"]);
    world.run(&["update-index", "--chmod=+x", "run.sh"]);
    world.run(&["commit", "-q", "-m", "files"]);
    world.push();

    let root = world.json("/tree");
    assert_eq!(
        texts(&root, "name"),
        ["a-b", "a", "README.md", "a.c", "b", "link", "run.sh", "\u{e9} %2F.txt", "module"]
    );
    assert_eq!(
        texts(&root, "mode"),
        ["040000", "040000", "100644", "100644", "100644", "120000", "100755", "100644", "160000"]
    );
    assert_eq!(
        root[8],
        json!({ "id": "1".repeat(40), "name": "module", "type": "commit", "path": "module", "mode": "160000" })
    );
    assert_eq!(root[0]["type"], json!("tree"));
    assert_eq!(
        root[4],
        json!({ "id": world.run(&["rev-parse", "main:b"]), "name": "b", "type": "blob", "path": "b", "mode": "100644" })
    );
    assert_eq!(world.get("/tree").header("x-total"), Some("9"));

    let all = [
        "a-b",
        "a",
        "a/deep",
        "README.md",
        "a-b/x",
        "a.c",
        "a/deep/z",
        "a/y",
        "b",
        "link",
        "run.sh",
        "\u{e9} %2F.txt",
        "module",
    ];
    assert_eq!(texts(&world.json("/tree?recursive=true"), "path"), all);
    assert_eq!(texts(&world.json("/tree?path=a/&ref=main"), "path"), ["a/deep", "a/y"]);
    assert_eq!(texts(&world.json("/tree?path=a&recursive=1"), "path"), ["a/deep", "a/deep/z", "a/y"]);
    assert_eq!(texts(&world.json("/tree?recursive=true&per_page=5&page=2"), "path"), all[5..10]);
    assert_eq!(world.json("/tree?page=9"), json!([]));

    // A client that follows the links sees everything once.
    let (mut seen, mut path) = (Vec::new(), "/tree?recursive=true&pagination=keyset&per_page=4".to_owned());
    loop {
        let page = world.get(&path).expect(200);
        assert_eq!(page.header("x-total"), None);
        seen.extend(texts(&page.json(), "path"));
        let Some(link) = page.header("link") else { break };
        assert!(link.ends_with("rel=\"next\""), "{link}");
        path = link[link.find("/tree").unwrap()..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(seen, all);

    assert_eq!(world.get("/files/%C3%A9%20%252F.txt/raw").expect(200).text, "\u{e9} %2F.txt");

    for path in ["nothing", "b", "a/y", "module", "link/x"] {
        world.expect_error(&format!("/tree?path={path}"), 404, "404 invalid revision or path Not Found");
    }
    world.expect_error("/tree?ref=nothing", 404, "404 Tree Not Found");
    for query in ["path=../etc", "path=a//b", "pagination=keyset&page_token=%21", "pagination=odd"] {
        world.get(&format!("/tree?{query}")).expect(400);
    }
}

#[test]
fn a_small_tree_that_stands_for_millions_of_files_is_not_walked() {
    let forge = forge!();
    let world = World::new(&forge, "public");
    // Who attacks: somebody who may push. Each folder holds the one below ten times, so that the whole is 10^8 files.
    let mut object = world.run(&["hash-object", "-w", "README.md"]);
    let mut entry = "100644 blob";
    for _ in 0..8 {
        let lines: String = (0..10).map(|n| format!("{entry} {object}\tf{n}\n")).collect();
        object = world.git.run_with_input("work", &["mktree"], lines.as_bytes()).works().trim().to_owned();
        entry = "040000 tree";
    }
    let commit = world.run(&["commit-tree", "-m", "bomb", &object]);
    world.run(&["push", "-q", "origin", &format!("{commit}:refs/heads/bomb")]);
    assert_eq!(world.json("/tree?ref=bomb").as_array().unwrap().len(), 10);
    world.expect_error(
        "/tree?ref=bomb&recursive=true",
        400,
        "400 Bad request - the tree has too many entries to be listed",
    );
}

#[test]
fn files_are_read_with_everything_about_them() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    world.write("dir/a b.%25.txt", "one\ntwo\n");
    let first = world.commit_at("add", "2026-01-01T00:00:00Z");
    world.write("dir/bin", b"\0\xff\x01");
    let second = world.commit_at("other", "2026-01-02T00:00:00Z");
    world.push();
    let path = "/files/dir%2Fa%20b%2E%2525.txt";
    let blob = world.run(&["rev-parse", "main:dir/a b.%25.txt"]);

    let answer = world.get(&format!("{path}?ref=main")).expect(200);
    let file = answer.json();
    let digest = "c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8";
    assert_eq!(
        file,
        json!({
            "file_name": "a b.%25.txt",
            "file_path": "dir/a b.%25.txt",
            "size": 8,
            "encoding": "base64",
            "content_sha256": digest,
            "ref": "main",
            "blob_id": blob,
            "commit_id": second,
            "last_commit_id": first,
            "execute_filemode": false,
            "content": base64::engine::general_purpose::STANDARD.encode("one\ntwo\n"),
        })
    );
    let about = [
        ("x-gitlab-blob-id", &*blob),
        ("x-gitlab-commit-id", &second),
        ("x-gitlab-content-sha256", digest),
        ("x-gitlab-encoding", "base64"),
        ("x-gitlab-execute-filemode", "false"),
        ("x-gitlab-file-name", "a b.%25.txt"),
        ("x-gitlab-file-path", "dir/a b.%25.txt"),
        ("x-gitlab-last-commit-id", &first),
        ("x-gitlab-ref", "main"),
        ("x-gitlab-size", "8"),
    ];
    let api = |path: &str| format!("/api/v4{}", world.project.path(&format!("/repository{path}")));
    let head = world.bot.send("HEAD", &api(&format!("{path}?ref=main")), &[], b"").expect(200);
    let raw = world.get(&format!("{path}/raw?ref=main")).expect(200);
    let raw_head = world.bot.send("HEAD", &api(&format!("{path}/raw?ref=main")), &[], b"").expect(200);
    let blame = world.get(&format!("{path}/blame?ref=main")).expect(200);
    for answer in [&answer, &head, &raw, &raw_head, &blame] {
        for (name, value) in about {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    }
    assert_eq!(
        (&*raw.text, raw.header("content-type"), raw.header("content-length")),
        ("one\ntwo\n", Some("text/plain"), Some("8"))
    );
    assert_eq!(
        raw.header("content-disposition"),
        Some("inline; filename=\"a_b.%25.txt\"; filename*=UTF-8''a%20b.%2525.txt")
    );
    assert_eq!(
        (&*raw_head.text, raw_head.header("content-type"), raw_head.header("content-length")),
        ("", Some("text/plain"), Some("8"))
    );
    assert_eq!((head.header("content-type"), &*head.text), (Some("application/json"), ""));
    let bin = world.get("/files/dir%2Fbin/raw").expect(200);
    assert_eq!(
        (bin.header("content-type"), bin.header("x-gitlab-ref")),
        (Some("application/octet-stream"), Some("HEAD"))
    );

    // An answer that has not changed is not sent again; the raw one does not change with other files.
    let mark = answer.header("etag").unwrap().to_owned();
    let ask = |path: &str, mark: &str| world.bot.send("GET", &api(path), &[("If-None-Match", mark)], b"");
    let unchanged = ask(&format!("{path}?ref=main"), &mark).expect(304);
    assert_eq!((&*unchanged.text, unchanged.header("etag")), ("", Some(&*mark)));
    assert!(mark.starts_with("W/\""), "{mark}");
    let raw_mark = raw.header("etag").unwrap().to_owned();
    ask(&format!("{path}/raw"), &format!("\"other\", {raw_mark}")).expect(304);
    ask(&format!("{path}/raw"), "*").expect(304);
    world.write("third", "3");
    world.commit_at("third", "2026-01-03T00:00:00Z");
    world.push();
    assert_eq!(ask(&format!("{path}?ref=main"), &mark).status, 200);
    assert_eq!(ask(&format!("{path}/raw?ref=main"), &raw_mark).status, 304);
    assert_eq!(ask(&format!("{path}/raw?ref=main"), "\"other\"").status, 200);

    for missing in [
        "/files/dir",
        "/files/nothing",
        "/files/dir%2F..%2FREADME.md",
        "/files/%2e%2e%2fetc",
        "/files/README.md%2Fx",
    ] {
        for rest in ["", "/raw", "/blame"] {
            world.expect_error(&format!("{missing}{rest}?ref=main"), 404, "404 File Not Found");
        }
    }
    world.expect_error("/files/README.md?ref=nothing", 404, "404 Commit Not Found");
    world.expect_error("/files/README.md?ref=--all", 404, "404 Commit Not Found");

    // By the id of the blob.
    let by_id = world.json(&format!("/blobs/{blob}"));
    assert_eq!(
        (&by_id["size"], &by_id["content"], &by_id["sha"]),
        (&json!(8), &file["content"], &json!(blob))
    );
    assert_eq!(world.get(&format!("/blobs/{blob}/raw")).expect(200).text, "one\ntwo\n");
    for id in ["main", &second, &"0".repeat(40), &blob[..10]] {
        world.expect_error(&format!("/blobs/{id}"), 404, "404 Blob Not Found");
        world.expect_error(&format!("/blobs/{id}/raw"), 404, "404 Blob Not Found");
    }
}

#[test]
fn large_files_come_raw_and_not_in_an_answer() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    let line = format!("{}\n", "x".repeat(1023));
    world.write("large", line.repeat(11 * 1024));
    world.commit_at("large", "2026-01-01T00:00:00Z");
    world.push();
    // One that is neither small nor too large is sent as it is read, and is the same.
    let middle = "0123456789abcde\n".repeat(200_001);
    world.write("middle", &middle);
    world.commit_at("middle", "2026-01-02T00:00:00Z");
    world.push();
    let answer = world.get("/files/middle").expect(200);
    let file = answer.json();
    let content =
        base64::engine::general_purpose::STANDARD.decode(file["content"].as_str().unwrap()).unwrap();
    assert!(content == middle.as_bytes());
    assert_eq!((answer.header("content-type"), &file["size"]), (Some("application/json"), &json!(3_200_016)));
    assert_eq!(answer.header("x-gitlab-content-sha256"), file["content_sha256"].as_str());
    let blob = world.json(&format!("/blobs/{}", file["blob_id"].as_str().unwrap()));
    assert_eq!(blob["content"], file["content"]);
    assert!(world.get("/files/middle/raw").expect(200).text == middle);
    world.expect_error(
        "/files/large",
        422,
        "The file has more than 10485760 bytes. Its raw content has no limit.",
    );
    let api = format!("/api/v4{}", world.project.path("/repository/files/large"));
    let head = world.bot.send("HEAD", &api, &[], b"").expect(200);
    assert_eq!(
        (head.header("x-gitlab-size"), head.header("x-gitlab-content-sha256")),
        (Some("11534336"), None)
    );
    let raw = world.get("/files/large/raw").expect(200);
    assert_eq!((raw.header("content-length"), raw.text.len()), (Some("11534336"), 11_534_336));
    assert_eq!(raw.text, line.repeat(11 * 1024));
    world.expect_error(
        "/files/large/blame",
        422,
        "A file of more than 2097152 bytes is not traced to its commits.",
    );
}

#[test]
fn every_line_is_traced_to_its_commit() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    world.write("-f", "a\nb\nc\n");
    let first = world.commit_at("first", "2026-01-01T00:00:00+03:00");
    world.write("-f", "a\nB\nc\n");
    let second = world.commit_at("second", "2026-01-02T00:00:00Z");
    world.push();
    let blame = world.json("/files/-f/blame?ref=main");
    let short = |blame: &Value| -> Vec<(String, Value)> {
        blame
            .as_array()
            .unwrap()
            .iter()
            .map(|part| (part["commit"]["id"].as_str().unwrap().to_owned(), part["lines"].clone()))
            .collect()
    };
    assert_eq!(
        short(&blame),
        [(first.clone(), json!(["a"])), (second.clone(), json!(["B"])), (first.clone(), json!(["c"]))]
    );
    assert_eq!(
        blame[0]["commit"],
        json!({
            "id": first,
            "parent_ids": [world.run(&["rev-parse", &format!("{first}^")])],
            "message": "first\n",
            "authored_date": "2026-01-01T00:00:00.000+03:00",
            "author_name": "Ann",
            "author_email": "ann@example.com",
            "committed_date": "2026-01-01T00:00:00.000+03:00",
            "committer_name": "Ann",
            "committer_email": "ann@example.com",
        })
    );
    assert_eq!(short(&world.json("/files/-f/blame?range[start]=2&range[end]=3")).len(), 2);
    for range in ["range[start]=0&range[end]=1", "range[start]=2&range[end]=1", "range[start]=1", "range=1"] {
        world.get(&format!("/files/-f/blame?{range}")).expect(400);
    }
    world.expect_error(
        "/files/-f/blame?range[start]=9&range[end]=10",
        400,
        "400 Bad request - range is beyond the end of the file",
    );
}

#[test]
fn differences_are_shown_file_by_file() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    let text = "1\n2\n3\n4\n5\n6\n7\n8\n";
    for (file, content) in [("moved from", text), ("gone", "bye\n"), ("bin", "\0"), ("large", "")] {
        world.write(file, content);
    }
    let first = world.commit_at("first", "2026-01-01T00:00:00Z");
    std::fs::remove_file(world.git.path("work").join("gone")).unwrap();
    world.run(&["mv", "moved from", "moved to"]);
    world.write("moved to", format!("{text}9\n"));
    world.write("bin", "\0\0");
    world.write("large", "0123456789\n".repeat(20_000));
    world.write("new", "hello\n");
    let second = world.commit_at("second", "2026-01-02T00:00:00Z");
    world.push();
    let diff = world.json(&format!("/commits/{second}/diff"));
    assert_eq!(texts(&diff, "new_path"), ["bin", "gone", "large", "moved to", "new"]);
    assert_eq!(
        diff[3],
        json!({
            "diff": "@@ -6,3 +6,4 @@\n 6\n 7\n 8\n+9\n",
            "new_path": "moved to",
            "old_path": "moved from",
            "a_mode": "100644",
            "b_mode": "100644",
            "new_file": false,
            "renamed_file": true,
            "deleted_file": false,
            "generated_file": false,
            "collapsed": false,
            "too_large": false,
        })
    );
    assert_eq!(
        (&diff[0]["diff"], &diff[2]["diff"], &diff[2]["too_large"]),
        (&json!("Binary files a/bin and b/bin differ\n"), &json!(""), &json!(true))
    );
    assert_eq!((&diff[1]["deleted_file"], &diff[1]["b_mode"]), (&json!(true), &json!("0")));
    assert_eq!((&diff[4]["new_file"], &diff[4]["a_mode"]), (&json!(true), &json!("0")));
    let unified = world.json(&format!("/commits/{second}/diff?unidiff=true&per_page=2&page=2"));
    assert_eq!(texts(&unified, "new_path"), ["large", "moved to"]);
    assert!(unified[1]["diff"].as_str().unwrap().starts_with("--- a/moved from\n+++ b/moved to\n@@ "));
    let page = world.get(&format!("/commits/{second}/diff?per_page=2&page=3")).expect(200);
    assert_eq!(
        (texts(&page.json(), "new_path"), page.header("x-total")),
        (vec!["new".to_owned()], Some("5"))
    );
    // The first commit is compared with nothing.
    let initial = world.run(&["rev-list", "--max-parents=0", "main"]);
    assert_eq!(texts(&world.json(&format!("/commits/{initial}/diff")), "new_path"), ["README.md"]);

    world.run(&["checkout", "-q", "-b", "side", &first]);
    world.write("side", "side\n");
    let side = world.commit_at("side", "2026-01-03T00:00:00Z");
    world.push();
    let compared = world.json("/compare?from=main&to=side");
    assert_eq!(texts(&compared["diffs"], "new_path"), ["side"]);
    assert_eq!(texts(&compared["commits"], "id"), [&*side]);
    assert_eq!(compared["commit"]["id"], json!(side));
    assert_eq!((&compared["compare_timeout"], &compared["compare_same_ref"]), (&json!(false), &json!(false)));
    assert_eq!(
        compared["web_url"],
        json!(format!("{}/{}/-/compare/{second}...{side}", forge.url, world.project.full_path))
    );
    let straight = world.json("/compare?from=main&to=side&straight=true");
    assert_eq!(straight["diffs"].as_array().unwrap().len(), 6);
    let same = world.json(&format!("/compare?from=main&to={second}"));
    assert_eq!(
        (&same["compare_same_ref"], &same["commits"], &same["diffs"], &same["commit"]),
        (&json!(true), &json!([]), &json!([]), &Value::Null)
    );
    let two = world.json(&format!("/compare?from={initial}&to=main"));
    assert_eq!(texts(&two["commits"], "id"), [first.clone(), second.clone()]);
    world.get("/compare?from=main").expect_json(400, json!({ "error": "to is missing" }));
    world.expect_error("/compare?from=main&to=nothing", 404, "404 Commit Not Found");

    assert_eq!(world.json("/merge_base?refs[]=main&refs[]=side")["id"], json!(first));
    world.expect_error("/merge_base?refs[]=main", 400, "400 Bad request - refs must be 2 to 20");
    world.get("/merge_base").expect(400);
    let orphan = world.run(&["commit-tree", "-m", "alone", "main^{tree}"]);
    world.run(&["push", "-q", "origin", &format!("{orphan}:refs/heads/alone")]);
    world.expect_error("/merge_base?refs[]=main&refs[]=alone", 404, "404 Merge Base Not Found");
    assert_eq!(world.json("/compare?from=main&to=alone")["diffs"], json!([]));

    let people = world.json("/contributors?ref=main&order_by=name");
    let ann =
        people.as_array().unwrap().iter().find(|person| person["email"] == json!("ann@example.com")).unwrap();
    assert_eq!(
        *ann,
        json!({ "name": "Ann", "email": "ann@example.com", "commits": 2, "additions": 0, "deletions": 0 })
    );
}

#[test]
fn archives_hold_one_folder_named_for_what_they_are() {
    let forge = forge!();
    let world = World::new(&forge, "public");
    world.write("dir/a", "a\n");
    world.write("*", "star\n");
    let id = world.commit_at("files", "2026-01-01T00:00:00Z");
    world.run(&["tag", "rel/1.0"]);
    world.push();
    let name = world.project.full_path.rsplit('/').next().unwrap().to_owned();
    let entries = |path: &str, ending: &str, folder: &str| {
        let output = world.git.path("archive");
        let url = format!("{}/api/v4{}", forge.url, world.project.path(&format!("/repository{path}")));
        let answer = ureq::get(&url).header("PRIVATE-TOKEN", &world.bot.secret).call().unwrap();
        let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!(disposition, format!("attachment; filename=\"{folder}.{ending}\""));
        std::fs::write(&output, answer.into_body().read_to_vec().unwrap()).unwrap();
        let listed = std::process::Command::new("tar").args(["-tf"]).arg(&output).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let folder = format!("{name}-main-{id}");
    let all = ["", "*", "README.md", "dir/", "dir/a"].map(|file| format!("{folder}/{file}"));
    assert_eq!(entries("/archive", "tar.gz", &folder), all);
    assert_eq!(entries("/archive.tar.gz", "tar.gz", &folder), all);
    assert_eq!(entries("/archive.tar", "tar", &folder), all);
    assert_eq!(entries("/archive?format=tar", "tar", &folder), all);
    let folder = format!("{name}-rel-1.0-{id}");
    assert_eq!(entries("/archive.tgz?sha=rel/1.0", "tar.gz", &folder).len(), 5);
    let part = format!("{name}-{id}-{id}-dir");
    assert_eq!(
        entries(&format!("/archive?sha={id}&path=dir"), "tar.gz", &part),
        ["", "dir/", "dir/a"].map(|file| format!("{part}/{file}"))
    );
    // A path is a path and no pattern.
    assert_eq!(entries("/archive?path=*", "tar.gz", &format!("{name}-main-{id}--")).len(), 2);
    let zip = world.get("/archive.zip").expect(200);
    assert_eq!(zip.header("content-type"), Some("application/zip"));
    assert!(zip.text.starts_with("PK"));
    world.expect_error("/archive?sha=nothing", 404, "404 Commit Not Found");
    world.expect_error("/archive?path=nothing", 404, "404 File Not Found");
    world.expect_error("/archive?path=../../etc", 404, "404 File Not Found");
    world.get("/archive?format=rar").expect(400);
    world.get("/archive.bz2").expect(404);
}

#[test]
fn an_empty_repository_and_one_of_sha256_are_read_too() {
    let forge = forge!();
    let group = forge.group(&forge.word("acme"), "public");
    let body = json!({ "name": "empty", "namespace_id": group.id });
    let id = forge.root().post("/projects", body).expect(201).json()["id"].as_i64().unwrap();
    let get = |id: i64, path: &str| forge.root().get(&format!("/projects/{id}/repository{path}"));
    for list in ["/branches", "/tags", "/commits", "/commits?all=true", "/contributors"] {
        assert_eq!(get(id, list).expect(200).json(), json!([]), "{list}");
    }
    for (path, what) in [
        ("/tree", "Tree"),
        ("/files/a?ref=main", "Commit"),
        ("/commits/HEAD", "Commit"),
        ("/archive", "Commit"),
        ("/commits?ref_name=main", "Commit"),
    ] {
        get(id, path).expect_json(404, json!({ "message": format!("404 {what} Not Found") }));
    }

    let body = json!({ "name": "long", "namespace_id": group.id, "repository_object_format": "sha256", "initialize_with_readme": true });
    let made = forge.root().post("/projects", body).expect(201).json();
    assert_eq!(made["repository_object_format"], json!("sha256"));
    let id = made["id"].as_i64().unwrap();
    let commit = get(id, "/commits/main").expect(200).json();
    let sha = commit["id"].as_str().unwrap();
    assert_eq!((sha.len(), commit["stats"]["additions"].as_i64() > Some(0)), (64, true));
    assert_eq!(get(id, &format!("/commits/{}", &sha[..7])).expect(200).json()["id"], commit["id"]);
    assert_eq!(texts(&get(id, "/tree").expect(200).json(), "name"), ["README.md"]);
    assert_eq!(
        texts(&get(id, &format!("/commits/{sha}/diff")).expect(200).json(), "new_path"),
        ["README.md"]
    );
    let file = get(id, "/files/README.md").expect(200).json();
    assert_eq!(file["blob_id"].as_str().unwrap().len(), 64);
    assert_eq!(get(id, &format!("/commits/{}", "a".repeat(40))).status, 404);
}

#[test]
fn what_was_pushed_is_read_at_once_and_what_was_tidied_still() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    for n in 0..12 {
        world.write("n", n.to_string());
        let id = world.commit_at("n", "2026-01-01T00:00:00Z");
        world.push();
        assert_eq!(world.json("/commits/main?stats=false")["id"], json!(id));
        assert_eq!(world.get("/files/n/raw").expect(200).text, n.to_string());
    }
    forge.run_jobs();
    assert_eq!(world.get("/files/n/raw").expect(200).text, "11");
    assert_eq!(world.json("/commits").as_array().unwrap().len(), 13);
    assert_eq!(texts(&world.json("/branches"), "name"), ["main"]);
}

#[test]
fn each_scope_and_role_reads_its_part() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    let path = |rest: &str| world.project.path(&format!("/repository{rest}"));
    let (file, others) = (
        ["/files/README.md", "/files/README.md/raw", "/files/README.md/blame"],
        ["/tree", "/commits", "/branches", "/tags", "/archive", "/compare?from=main&to=main"],
    );
    let scoped = |scope: &str| world.project.token(&[scope], 20);
    for (scope, files, rest) in [
        ("read_api", 200, 200),
        ("read_repository", 200, 403),
        ("write_repository", 403, 403),
        ("read_registry", 403, 403),
    ] {
        let bot = scoped(scope);
        for asked in file {
            assert_eq!(bot.get(&path(asked)).status, files, "{scope} {asked}");
        }
        for asked in others {
            assert_eq!(bot.get(&path(asked)).status, rest, "{scope} {asked}");
        }
    }
    let guest = world.project.member(10);
    let reporter = world.project.member(20);
    let stranger = forge.person(&forge.word("stranger"));
    for asked in file.iter().chain(&others) {
        guest.get(&path(asked)).expect_json(403, json!({ "message": "403 Forbidden" }));
        assert_eq!(reporter.get(&path(asked)).status, 200, "{asked}");
        stranger.get(&path(asked)).expect_json(404, json!({ "message": "404 Project Not Found" }));
        forge.anyone().get(&path(asked)).expect_json(404, json!({ "message": "404 Project Not Found" }));
    }
    let public = forge.project("public");
    for asked in file.iter().chain(&others) {
        assert_eq!(forge.anyone().get(&public.path(&format!("/repository{asked}"))).status, 200, "{asked}");
    }
    forge.root().put(&public.path(""), json!({ "repository_access_level": "disabled" })).expect(200);
    assert_eq!(forge.root().get(&public.path("/repository/tree")).status, 403);
    // An id of another project's commit is not found here.
    let foreign = forge.root().get(&world.project.path("/repository/commits/main")).expect(200).json();
    let here = forge.project("public");
    let asked = here.path(&format!("/repository/commits/{}", foreign["id"].as_str().unwrap()));
    assert!(
        foreign["id"] == forge.root().get(&here.path("/repository/commits/main")).json()["id"]
            || forge.anyone().get(&asked).status == 404
    );
}

#[test]
fn a_project_is_searched() {
    let forge = forge!();
    let world = World::new(&forge, "private");
    world.write("src/a b.rs", "one\ntwo\nthree\nHas a Needle here\nfive\nsix\nseven needle\n");
    world.write("bin.dat", b"needle\0\xff");
    world.write("other.md", "-e needle\n");
    let commit = world.commit_at("Hide the needle\n\nIn [brackets].", "2026-01-01T00:00:00Z");
    world.push();
    let search = |scope: &str, text: &str| {
        world.bot.get(&world.project.path(&format!("/search?scope={scope}&search={text}")))
    };
    let found = search("blobs", "needle").expect(200);
    assert_eq!(found.header("x-total"), Some("2"));
    let expected = json!([
        {
            "basename": "other", "data": "-e needle\n", "path": "other.md", "filename": "other.md", "id": null,
            "ref": "", "startline": 1, "project_id": world.project.id,
        },
        {
            "basename": "src/a b", "data": "two\nthree\nHas a Needle here\nfive\nsix\n", "path": "src/a b.rs",
            "filename": "src/a b.rs", "id": null, "ref": "", "startline": 2, "project_id": world.project.id,
        },
    ]);
    assert_eq!(found.json(), expected);
    // A text is never an option or a pattern.
    assert_eq!(search("blobs", "-e%20needle").expect(200).json().as_array().unwrap().len(), 1);
    assert_eq!(search("blobs", "n.edle").expect(200).json(), json!([]));
    assert_eq!(search("blobs", "--help").expect(200).json(), json!([]));
    assert_eq!(search("blobs", "needle&path=src").expect(200).json().as_array().unwrap().len(), 1);
    assert_eq!(search("blobs", "needle&path=:(top)src").expect(200).json(), json!([]));
    search("blobs", "needle&ref=nowhere").expect(404);
    search("blobs", "needle&path=../x").expect(400);
    search("blobs", "a%0Ab").expect(400);

    let commits = search("commits", "NEEDLE").expect(200).json();
    assert_eq!((commits.as_array().unwrap().len(), &commits[0]["id"]), (1, &json!(commit)));
    assert_eq!(search("commits", "[brackets]").expect(200).json()[0]["id"], commit);
    assert_eq!(search("commits", "[x]").expect(200).json(), json!([]));

    world.bot.post(&world.project.path("/issues"), json!({ "title": "A needle" })).expect(201);
    let secret = json!({ "title": "A secret needle", "confidential": true });
    world.bot.post(&world.project.path("/issues"), secret).expect(201);
    assert_eq!(search("issues", "needle").expect(200).json().as_array().unwrap().len(), 2);
    let guest = world.project.token(&["read_api"], 10);
    let shown = guest.get(&world.project.path("/search?scope=issues&search=needle")).expect(200).json();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    guest.get(&world.project.path("/search?scope=blobs&search=needle")).expect(403);
    world.bot.post(&world.project.path("/milestones"), json!({ "title": "Needle 1" })).expect(201);
    assert_eq!(search("milestones", "needle").expect(200).json()[0]["title"], "Needle 1");
    let users = search("users", "ci").expect(200).json();
    assert_eq!(users[0]["id"], world.bot.user_id);

    let missing = json!({ "error": "scope is missing, search is missing" });
    world.bot.get(&world.project.path("/search")).expect_json(400, missing);
    search("wiki_blobs", "x").expect_json(400, json!({ "error": "scope does not have a valid value" }));
    forge.person("eve").get(&world.project.path("/search?scope=blobs&search=x")).expect(404);
}

#[test]
fn a_group_is_searched() {
    let forge = forge!();
    let project = forge.project("private");
    let member = project.member(30);
    let path =
        |scope: &str, text: &str| format!("/groups/{}/search?scope={scope}&search={text}", project.group.id);
    let found = member.get(&path("projects", "app")).expect(200).json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["id"], project.id);
    assert_eq!(forge.person("eve").get(&path("projects", "app")).expect(200).json(), json!([]));
    assert_eq!(member.get(&path("users", "root")).expect(200).json()[0]["username"], "root");
    member.get(&path("issues", "x")).expect(400);
}

#[test]
fn an_empty_repository_holds_no_text() {
    let forge = forge!();
    let group = forge.group("empty", "private");
    let new = json!({ "name": "empty", "namespace_id": group.id });
    let id = forge.root().post("/projects", new).expect(201).json()["id"].clone();
    let path = format!("/projects/{id}/search?search=x&scope=");
    assert_eq!(forge.root().get(&format!("{path}blobs")).expect(200).json(), json!([]));
    assert_eq!(forge.root().get(&format!("{path}commits")).expect(200).json(), json!([]));
}
