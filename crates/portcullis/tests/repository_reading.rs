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
    for (branch, time) in [("feature/a.b%20c", "2026-01-03T00:00:00Z"), ("feature/old", "2026-01-01T00:00:00Z"), ("stable", "2026-01-02T00:00:00Z")] {
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
    let rest: Vec<_> = ["name", "merged", "protected", "developers_can_push", "developers_can_merge", "can_push", "default"].map(|field| main[field].clone()).into();
    assert_eq!(json!(rest), json!(["main", false, true, false, false, true, true]));
    assert_eq!(main["web_url"], json!(format!("{web}/-/tree/main")));

    let all = world.json("/branches");
    assert_eq!(texts(&all, "name"), ["feature/a.b%20c", "feature/old", "main", "stable"]);
    // What has nothing of its own is merged; the default branch is not merged into itself.
    let merged: Vec<_> = all.as_array().unwrap().iter().map(|branch| branch["merged"] == json!(true)).collect();
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
    world.expect_error("/branches?regex=(", 400, "400 Bad request - regex is not a regular expression that can be used");
    world.get("/branches?sort=size").expect(400);

    // Names with slashes, dots and percent signs are one segment, encoded.
    let odd = world.json("/branches/feature%2Fa%2Eb%2520c");
    assert_eq!(odd["name"], json!("feature/a.b%20c"));
    assert_eq!(odd["web_url"], json!(format!("{web}/-/tree/feature/a.b%2520c")));
    assert_eq!(world.bot.send("HEAD", &format!("/api/v4{}", world.project.path("/repository/branches/stable")), &[], b"").status, 200);
    for name in ["nothing", "feature", "..", "%2E%2E%2Fmain", "main%00", "-main", "refs%2Fheads%2Fmain", "HEAD"] {
        world.expect_error(&format!("/branches/{name}"), 404, "404 Branch Not Found");
    }

    // What a Developer may do is said for whoever asks.
    forge.root().patch(&world.project.path("/protected_branches/main"), json!({ "push_access_level": 30, "merge_access_level": 30 })).expect(200);
    let developer = world.project.token(&["read_api"], 30);
    let seen = developer.get(&world.project.path("/repository/branches/main")).expect(200).json();
    assert_eq!((&seen["developers_can_push"], &seen["developers_can_merge"], &seen["can_push"]), (&json!(true), &json!(true), &json!(true)));
    let reporter = world.project.token(&["read_api"], 20);
    let seen = reporter.get(&world.project.path("/repository/branches/stable")).expect(200).json();
    assert_eq!((&seen["protected"], &seen["developers_can_push"], &seen["can_push"]), (&json!(false), &json!(false), &json!(false)));
}

#[test]
fn tags_are_listed_in_three_orders_and_described() {
    let forge = forge!();
    let world = World::new(&forge, "public");
    world.expect_error("/tags/v1", 404, "404 Tag Not Found");
    let empty = world.get("/tags").expect(200);
    assert_eq!((empty.json(), empty.header("x-total-pages")), (json!([]), Some("1")));
    for (tag, time) in [("v1.10.0", "2026-01-01T00:00:00+02:00"), ("v1.9.0", "2026-01-02T00:00:00Z"), ("v1.9.0-rc.1", "2026-01-03T00:00:00Z")] {
        world.commit_at(tag, time);
        world.run(&["tag", tag]);
    }
    let mut command = world.git.command("work", &["tag", "-a", "-m", "First\n\nrelease", "rel/2.0", "v1.9.0"]);
    assert!(command.env("GIT_COMMITTER_DATE", "2026-01-04T12:00:00-03:30").output().unwrap().status.success());
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
    let second = world.commit_at("Add a\n\nBody\n\nChangelog: added\nSigned-off-by: A <a@b>\nSigned-off-by: C <c@d>", "2030-05-06T07:08:09+02:00");
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
    for name in ["main~1", "main%5E", "%40", "main%40%7B0%7D", "--all", "nothing", &"0".repeat(40), "abc", "main:src"] {
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
    assert_eq!(ids("path=*.txt"), [third.clone()]);
    assert_eq!(ids("path=:(top)src"), [] as [String; 0]);
    assert_eq!(ids(&format!("since=2030-05-06T00:00:00Z&until=2030-05-07T00:00:00Z&ref_name={third}")), [third.clone(), second.clone()]);
    assert_eq!(ids("author=ANN@example&ref_name=topic"), [side.clone(), second.clone()]);
    assert_eq!(ids("author=.nn&ref_name=topic"), [] as [String; 0]);
    assert_eq!(ids(&format!("ref_name={second}..topic")), [side.clone()]);
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
    assert_eq!(refs, json!([{ "type": "branch", "name": "main" }, { "type": "branch", "name": "topic" }, { "type": "tag", "name": "v1" }]));
    assert_eq!(world.json(&format!("/commits/{second}/refs?type=tag")), json!([{ "type": "tag", "name": "v1" }]));
    assert_eq!(world.json("/commits/topic/sequence"), json!({ "count": 3 }));
    assert_eq!(world.json("/commits/main/sequence?first_parent=true"), json!({ "count": 4 }));
    world.expect_error("/commits/main/signature", 404, "404 Signature Not Found");
}
