//! Commits, files, branches and tags that are made over the API: what Git makes of them, whose they are, and who may not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Bot, Caller, Git, Project, TestForge, forge};
use serde_json::{Value, json};

/// A private project, and what may be done to its repository.
struct World<'a> {
    project: Project<'a>,
    bot: Bot,
}

impl<'a> World<'a> {
    fn new(forge: &'a TestForge) -> World<'a> {
        let project = forge.project("private");
        let bot = project.token(&["api"], 40);
        World { project, bot }
    }

    fn path(&self, rest: &str) -> String {
        self.project.path(&format!("/repository{rest}"))
    }

    fn tip(&self, branch: &str) -> String {
        let branch = branch.replace('/', "%2F");
        let answer = self.bot.get(&self.path(&format!("/branches/{branch}"))).expect(200).json();
        answer["commit"]["id"].as_str().unwrap().to_owned()
    }

    /// Returns every branch and tag with what it points at.
    fn refs(&self) -> String {
        let git = Git::default();
        git.run(&["ls-remote", &self.project.git_url("x", &self.bot.secret)]).works()
    }

    /// Returns what a file holds, if it is there.
    fn file(&self, branch: &str, path: &str) -> Option<String> {
        let git = Git::default();
        git.run(&["clone", "-q", "--bare", &self.project.git_url("x", &self.bot.secret), "bare"]).works();
        let shown = git.run_in("bare", &["show", &format!("{branch}:{path}")]);
        shown.ok.then_some(shown.text)
    }

    /// Expects that a request is refused with these words and changes nothing.
    #[track_caller]
    fn refused(&self, ask: impl FnOnce() -> portcullis_testkit::Answer, status: u16, message: &str) {
        let before = self.refs();
        ask().expect_json(status, json!({ "message": message }));
        assert_eq!(self.refs(), before, "something has changed");
    }

    /// Clones, and checks every object.
    fn clone(&self) -> Git {
        let git = Git::default();
        self.project.clone_with(&git, &self.bot.secret, "work");
        git.run_in("work", &["fsck", "--strict", "--full"]).works();
        git
    }
}

fn commit(branch: &str, actions: Value) -> Value {
    json!({ "branch": branch, "commit_message": "A change", "actions": actions })
}

fn add(path: &str) -> Value {
    json!([{ "action": "create", "file_path": path, "content": path }])
}

#[test]
fn one_request_is_one_commit_of_the_bot() {
    let forge = forge!();
    let world = World::new(&forge);
    let start = world.tip("main");
    let first = json!([
        { "action": "create", "file_path": "src/a.txt", "content": "one\ntwo\n" },
        { "action": "create", "file_path": "b.bin", "content": "AP/+\nAA", "encoding": "base64" },
        { "action": "create", "file_path": "run.sh", "content": "", "execute_filemode": true },
    ]);
    let answer = world.bot.post(&world.path("/commits"), commit("main", first)).expect(201).json();
    let web =
        format!("{}/{}/-/commit/{}", forge.url, world.project.full_path, answer["id"].as_str().unwrap());
    let name = format!("project_{}_bot@noreply.localhost", world.project.id);
    let expected = json!({
        "id": world.tip("main"),
        "short_id": &world.tip("main")[..8],
        "created_at": "2026-03-02T12:00:00.000+00:00",
        "parent_ids": [start],
        "title": "A change",
        "message": "A change\n",
        "author_name": "ci",
        "author_email": name,
        "authored_date": "2026-03-02T12:00:00.000+00:00",
        "committer_name": "ci",
        "committer_email": name,
        "committed_date": "2026-03-02T12:00:00.000+00:00",
        "trailers": {},
        "extended_trailers": {},
        "web_url": web,
        "stats": { "additions": 2, "deletions": 0, "total": 2 },
        "status": null,
        "project_id": world.project.id,
        "last_pipeline": null,
    });
    assert_eq!(answer, expected);

    let second = json!([
        { "action": "update", "file_path": "src/a.txt", "content": "one\n2\n" },
        { "action": "move", "file_path": "c.bin", "previous_path": "b.bin" },
        { "action": "chmod", "file_path": "src/a.txt", "execute_filemode": "true" },
        { "action": "delete", "file_path": "README.md" },
    ]);
    let mut body = commit("main", second);
    body["author_name"] = json!("Ann");
    body["author_email"] = json!("ann@example.com");
    let answer = world.bot.post(&world.path("/commits"), body).expect(201).json();
    assert_eq!(answer["stats"]["additions"], 1);
    assert_eq!((&answer["author_name"], &answer["author_email"]), (&json!("Ann"), &json!("ann@example.com")));
    assert_eq!(answer["committer_name"], "ci");

    let git = world.clone();
    let listed = git.run_in("work", &["ls-tree", "-r", "--format=%(objectmode) %(path)", "HEAD"]).works();
    assert_eq!(listed, "100644 c.bin\n100755 run.sh\n100755 src/a.txt\n");
    assert_eq!(std::fs::read(git.path("work/c.bin")).unwrap(), [0, 255, 254, 0]);
    assert_eq!(
        git.run_in("work", &["log", "--format=%an %cn %s", "-2"]).works(),
        "Ann ci A change\nci ci A change\n"
    );

    // The feed and the audit log say who it was, and with what.
    forge.run_jobs();
    let events = forge.root().get(&world.project.path("/events")).expect(200).json();
    assert_eq!(events[0]["action_name"], "pushed to");
    assert_eq!(events[0]["author_id"], json!(world.bot.user_id));
    assert_eq!(events[0]["access_token_id"], json!(world.bot.token_id));
    let push = &events[0]["push_data"];
    assert_eq!(
        (&push["ref"], &push["commit_count"], &push["commit_title"]),
        (&json!("main"), &json!(1), &json!("A change"))
    );
    let audit = forge.root().get(&world.project.path("/audit_events")).expect(200).json();
    assert_eq!(audit[0]["event_name"], "repository_pushed");
    assert_eq!(audit[0]["author_id"], json!(world.bot.user_id));
}

#[test]
fn a_form_with_brackets_makes_the_same_commit() {
    let forge = forge!();
    let world = World::new(&forge);
    let form = "branch=topic&start_branch=main&commit_message=Bump+x&actions[][action]=create&actions[][file_path]=a%2Fb.txt\
        &actions[][content]=one%0A&actions%5B%5D%5Baction%5D=update&actions[][file_path]=README.md&actions[][content]=dHdv\
        &actions[][encoding]=base64&actions[][action]=delete&actions[][file_path]=a%2Fb.txt";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/api/v4{}", world.path("/commits"));
    let answer = world.bot.send("POST", &path, &headers, form.as_bytes()).expect(201).json();
    assert_eq!(answer["parent_ids"], json!([world.tip("main")]));
    assert_eq!(world.file("topic", "README.md").as_deref(), Some("two"));
    assert_eq!(world.file("topic", "a/b.txt"), None);
    // A form that is too long is not cut off.
    let long = format!("{form}{}", "&x=".repeat(10_000));
    assert_eq!(world.bot.send("POST", &path, &headers, long.as_bytes()).status, 400);
}

#[test]
fn files_are_made_changed_and_deleted_one_by_one() {
    let forge = forge!();
    let world = World::new(&forge);
    let file = world.path("/files/docs%2Fa%2Eb%20c.md");
    let body = |content: &str| json!({ "branch": "main", "content": content, "commit_message": "x" });
    let expected = json!({ "file_path": "docs/a.b c.md", "branch": "main" });
    world.bot.post(&file, body("one")).expect_json(201, expected.clone());
    world.refused(|| world.bot.post(&file, body("two")), 400, "A file with this name already exists");
    world.bot.put(&file, body("two")).expect_json(200, expected);
    assert_eq!(world.file("main", "docs/a.b c.md").as_deref(), Some("two"));

    // What the caller last saw of the file.
    let log = world.bot.get(&world.path("/commits?path=docs%2Fa.b%20c.md")).expect(200).json();
    let seen = log[0]["id"].as_str().unwrap().to_owned();
    world.bot.post(&world.path("/commits"), commit("main", add("elsewhere"))).expect(201);
    let mut known = body("three");
    known["last_commit_id"] = json!(seen);
    world.bot.put(&file, known.clone()).expect(200);
    let stale = "You are attempting to update a file that has changed since you started editing it.";
    world.refused(|| world.bot.put(&file, known), 400, stale);

    // Deleting says what it says in the query.
    let query = format!("{file}?branch=main&commit_message=gone");
    world.refused(|| world.bot.delete(&format!("{query}&last_commit_id={seen}")), 400, stale);
    assert_eq!(world.bot.delete(&query).expect(204).text, "");
    world.refused(|| world.bot.delete(&query), 400, "A file with this name doesn't exist");
    world.refused(|| world.bot.put(&file, body("x")), 400, "A file with this name doesn't exist");
    assert_eq!(world.file("main", "docs/a.b c.md"), None);
    let missing = world.bot.post(&file, json!({})).expect(400).json();
    assert_eq!(
        missing,
        json!({ "error": "branch is missing, commit_message is missing, content is missing" })
    );
    world.clone();
}

#[test]
fn a_new_branch_starts_where_it_is_told() {
    let forge = forge!();
    let world = World::new(&forge);
    let first = world.tip("main");
    world.bot.post(&world.path("/commits"), commit("main", add("a"))).expect(201);
    let second = world.tip("main");
    let start = |branch: &str, key: &str, value: &str, force: bool| {
        let mut body = commit(branch, add("b"));
        body[key] = json!(value);
        body["force"] = json!(force);
        world.bot.post(&world.path("/commits"), body)
    };
    let on = "You can only create or edit files when you are on a branch";
    world.refused(|| world.bot.post(&world.path("/commits"), commit("new", add("b"))), 400, on);
    world.refused(|| start("new", "start_branch", "none", false), 400, on);
    world.refused(|| start("new", "start_sha", "abc", false), 400, "Invalid start_sha 'abc'");
    let nowhere = "1".repeat(40);
    world.refused(
        || start("new", "start_sha", &nowhere, false),
        400,
        &format!("Cannot find start_sha '{nowhere}'"),
    );

    assert_eq!(start("one", "start_branch", "main", false).expect(201).json()["parent_ids"], json!([second]));
    assert_eq!(start("two", "start_sha", &first, false).expect(201).json()["parent_ids"], json!([first]));
    let exists = "A branch called 'two' already exists. Switch to that branch in order to make changes";
    world.refused(|| start("two", "start_branch", "main", false), 400, exists);
    let forced = start("two", "start_branch", "main", true).expect(201).json();
    assert_eq!((&forced["parent_ids"], &forced["id"]), (&json!([second]), &json!(world.tip("two"))));
    let here = world.project.id.to_string();
    start("two", "start_project", &here, false).expect(400);
    let mut body = commit("two", add("c"));
    body["start_project"] = json!(world.project.full_path.to_uppercase());
    world.bot.post(&world.path("/commits"), body.clone()).expect(201);
    body["start_project"] = json!(world.project.id + 1);
    let other = world.bot.post(&world.path("/commits"), body).expect(400).json();
    assert_eq!(other, json!({ "error": "start_project must be this project" }));

    // The default branch is protected, and force is not for everybody who may push to it.
    let line =
        "403 Forbidden - You are not allowed to force push code to a protected branch on this project.";
    world.refused(|| start("main", "start_sha", &first, true), 403, line);
    world.clone();
}

#[test]
fn the_first_commit_of_an_empty_project_makes_its_default_branch() {
    let forge = forge!();
    let world = World::new(&forge);
    for (format, branch) in [("sha1", "main"), ("sha256", "trunk")] {
        let name = forge.word("empty");
        let body = json!({
            "name": name, "namespace_id": world.project.group.id, "visibility": "private",
            "repository_object_format": format,
        });
        let project = forge.root().post("/projects", body).expect(201).json();
        let path = |rest: &str| format!("/projects/{}{rest}", project["id"]);
        let token = |level: i64| {
            let body = json!({ "name": "ci", "scopes": ["api"], "access_level": level });
            let made = forge.root().post(&path("/access_tokens"), body).expect(201).json();
            forge.with_token(&portcullis_testkit::token_secret(&made))
        };
        let refused = token(30).post(&path("/repository/commits"), commit(branch, add("a"))).expect(403).text;
        assert!(refused.contains("A default branch does not exist yet"), "{refused}");
        let answer =
            token(40).post(&path("/repository/commits"), commit(branch, add("a"))).expect(201).json();
        assert_eq!(answer["parent_ids"], json!([]));
        let now = forge.root().get(&path("")).expect(200).json();
        assert_eq!((&now["default_branch"], &now["empty_repo"]), (&json!(branch), &json!(false)));
        forge.root().get(&path(&format!("/protected_branches/{branch}"))).expect(200);
        token(30).post(&path("/repository/commits"), commit(branch, add("b"))).expect(403);
    }
}

#[test]
fn branches_are_made_and_deleted() {
    let forge = forge!();
    let world = World::new(&forge);
    let id = world.tip("main");
    let make = |branch: &str, revision: &str| {
        world.bot.post(&world.path("/branches"), json!({ "branch": branch, "ref": revision }))
    };
    let made = make("feature/a.b", "main").expect(201).json();
    assert_eq!(made["commit"]["id"], json!(id));
    let expected = json!({
        "name": "feature/a.b", "commit": made["commit"], "merged": true, "protected": false, "developers_can_push": false,
        "developers_can_merge": false, "can_push": true, "default": false,
        "web_url": format!("{}/{}/-/tree/feature/a.b", forge.url, world.project.full_path),
    });
    assert_eq!(made, expected);
    make("from-id", &id).expect(201);
    make("from-short", &id[..9]).expect(201);
    world.refused(|| make("main", &id), 400, "Branch already exists");
    let nowhere = "Failed to create branch 'x': invalid reference name 'nowhere'";
    world.refused(|| make("x", "nowhere"), 400, nowhere);
    for name in ["a..b", "-x", "HEAD", "a b", "refs/heads/x", "x.lock", ""] {
        world.refused(|| make(name, "main"), 400, "Branch name is invalid");
    }
    let hex = "You cannot create a branch with a 40-character hexadecimal branch name.";
    world.refused(|| make(&"a".repeat(40), "main"), 400, hex);
    let below = "The name is taken by a branch or tag above or below it";
    world.refused(|| make("feature/a.b/c", "main"), 400, below);
    world.refused(|| make("feature", "main"), 400, below);
    assert_eq!(make("", "").status, 400);
    let missing = world.bot.post(&world.path("/branches"), json!({})).expect(400).json();
    assert_eq!(missing, json!({ "error": "branch is missing, ref is missing" }));

    let remove = |branch: &str| world.bot.delete(&world.path(&format!("/branches/{branch}")));
    remove("feature%2Fa%2Eb").expect(204);
    world.refused(|| remove("feature%2Fa%2Eb"), 404, "404 Branch Not Found");
    world.refused(|| remove("main"), 400, "The default branch of a project cannot be deleted.");
    let body = json!({ "name": "from-*" });
    forge.root().post(&world.project.path("/protected_branches"), body).expect(201);
    let developer = world.project.token(&["api"], 30);
    let text = "403 Forbidden - You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch.";
    world.refused(|| developer.delete(&world.path("/branches/from-id")), 403, text);
    // Naming it over the API is meant, where a push that deletes it is refused.
    remove("from-id").expect(204);
    make("from-id", &id).expect(201);

    // What was merged goes, the protected and the others stay.
    make("merged", "main").expect(201);
    let mut ahead = commit("ahead", add("x"));
    ahead["start_branch"] = json!("main");
    world.bot.post(&world.path("/commits"), ahead).expect(201);
    let answer = world.bot.delete(&world.path("/merged_branches")).expect(202).json();
    assert_eq!(answer, json!({ "message": "202 Accepted" }));
    let left = world.bot.get(&world.path("/branches")).expect(200).json();
    let names: Vec<_> =
        left.as_array().unwrap().iter().map(|branch| branch["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ahead", "from-id", "from-short", "main"]);
    forge.run_jobs();
    let events = forge.root().get(&world.project.path("/events")).expect(200).json();
    assert_eq!(
        (&events[0]["action_name"], &events[0]["push_data"]["ref"]),
        (&json!("deleted"), &json!("merged"))
    );
}

#[test]
fn tags_are_made_and_deleted() {
    let forge = forge!();
    let world = World::new(&forge);
    let id = world.tip("main");
    let make = |tag: &str, revision: &str, message: Value| {
        let body = json!({ "tag_name": tag, "ref": revision, "message": message });
        world.bot.post(&world.path("/tags"), body)
    };
    let plain = make("v1.0", "main", Value::Null).expect(201).json();
    assert_eq!((&plain["target"], &plain["message"]), (&json!(id), &Value::Null));
    assert_eq!(plain["commit"]["id"], json!(id));
    let annotated = make("v2/rc.1", &id, json!("Second\n\nmore")).expect(201).json();
    assert_ne!(annotated["target"], json!(id));
    assert_eq!((&annotated["name"], &annotated["message"]), (&json!("v2/rc.1"), &json!("Second\n\nmore")));
    assert_eq!(annotated["commit"]["id"], json!(id));
    assert_eq!(annotated["created_at"], "2026-03-02T12:00:00.000+00:00");

    world.refused(|| make("v1.0", "main", json!("again")), 400, "Tag v1.0 already exists");
    world.refused(|| make("v3", "nowhere", Value::Null), 400, "Target nowhere is invalid");
    for name in ["a..b", "-x", "a b", "x.lock", ""] {
        world.refused(|| make(name, "main", Value::Null), 400, "Tag name invalid");
    }
    world.refused(
        || make("main", "main", Value::Null),
        400,
        "You cannot use default branch name to create a tag",
    );
    let hex = "You cannot create a tag with a SHA-1 or SHA-256 tag name.";
    world.refused(|| make(&"a".repeat(40), "main", Value::Null), 400, hex);

    let git = world.clone();
    let tagger =
        git.run_in("work", &["for-each-ref", "--format=%(taggername) %(contents:subject)", "refs/tags/v2"]);
    assert_eq!(tagger.works(), "ci Second\n");
    world.bot.delete(&world.path("/tags/v2%2Frc%2E1")).expect(204);
    world.refused(|| world.bot.delete(&world.path("/tags/v2%2Frc%2E1")), 404, "404 Tag Not Found");
    // Who may push may make and delete tags.
    let developer = world.project.token(&["api"], 30);
    developer.delete(&world.path("/tags/v1.0")).expect(204);
    developer.post(&world.path("/tags"), json!({ "tag_name": "v1.0", "ref": "main" })).expect(201);
}

#[test]
fn commits_are_picked_and_taken_back() {
    let forge = forge!();
    let world = World::new(&forge);
    let branch = |branch: &str, path: &str, text: &str| {
        let mut body = commit(branch, json!([{ "action": "create", "file_path": path, "content": text }]));
        body["start_branch"] = json!("main");
        body["author_name"] = json!("Ann");
        body["author_email"] = json!("ann@example.com");
        world.bot.post(&world.path("/commits"), body).expect(201).json()["id"].as_str().unwrap().to_owned()
    };
    let (picked, other) = (branch("topic", "a.txt", "one\n"), branch("other", "a.txt", "two\n"));
    forge.clock.advance_seconds(60);
    let pick = |what: &str, id: &str, extra: Value| {
        let mut body = json!({ "branch": "main" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        world.bot.post(&world.path(&format!("/commits/{id}/{what}")), body)
    };
    let before = world.tip("main");
    pick("cherry_pick", &picked, json!({ "dry_run": true }))
        .expect_json(200, json!({ "dry_run": "success" }));
    assert_eq!(world.tip("main"), before);
    let made = pick("cherry_pick", &picked, json!({})).expect(201).json();
    assert_eq!((&made["parent_ids"], &made["id"]), (&json!([before]), &json!(world.tip("main"))));
    assert_eq!(made["message"], json!(format!("A change\n\n(cherry picked from commit {picked})\n")));
    assert_eq!((&made["author_name"], &made["committer_name"]), (&json!("Ann"), &json!("ci")));
    assert_eq!(made["authored_date"], "2026-03-02T12:00:00.000+00:00");
    assert_eq!(made["committed_date"], "2026-03-02T12:01:00.000+00:00");
    assert_eq!(world.file("main", "a.txt").as_deref(), Some("one\n"));

    let sorry = |verb: &str, done: &str| {
        format!(
            "Sorry, we cannot {verb} this commit automatically. This commit may already have been {done}, or a more recent commit may have updated some of its content."
        )
    };
    let text = sorry("cherry-pick", "cherry-picked");
    pick("cherry_pick", &picked, json!({}))
        .expect_json(400, json!({ "message": text, "error_code": "empty" }));
    pick("cherry_pick", &other, json!({}))
        .expect_json(400, json!({ "message": text, "error_code": "conflict" }));

    let id = made["id"].as_str().unwrap();
    let reverted = pick("revert", id, json!({})).expect(201).json();
    assert_eq!(reverted["message"], json!(format!("Revert \"A change\"\n\nThis reverts commit {id}.\n")));
    assert_eq!(reverted["author_name"], "ci");
    assert_eq!(world.file("main", "a.txt"), None);
    let text = sorry("revert", "reverted");
    pick("revert", id, json!({ "dry_run": true }))
        .expect_json(400, json!({ "message": text, "error_code": "empty" }));
    let own = pick("cherry_pick", "topic", json!({ "message": "In my words" })).expect(201).json();
    assert_eq!(own["message"], "In my words\n");

    world.refused(|| pick("cherry_pick", &"1".repeat(40), json!({})), 404, "404 Commit Not Found");
    world.refused(|| pick("revert", id, json!({ "branch": "none" })), 404, "404 Branch Not Found");
    let developer = world.project.token(&["api"], 30);
    let refused = developer
        .post(&world.path(&format!("/commits/{other}/revert")), json!({ "branch": "main", "dry_run": true }));
    let line = "403 Forbidden - You are not allowed to push code to protected branches on this project.";
    refused.expect_json(403, json!({ "message": line }));
    world.clone();
}

#[test]
fn protections_hold_for_each_role_as_they_do_for_a_push() {
    let forge = forge!();
    let world = World::new(&forge);
    let body = json!({ "name": "release/*", "push_access_level": 30 });
    forge.root().post(&world.project.path("/protected_branches"), body).expect(201);
    let body = json!({ "name": "frozen", "push_access_level": 0 });
    forge.root().post(&world.project.path("/protected_branches"), body).expect(201);
    let push = "403 Forbidden - You are not allowed to push code to protected branches on this project.";
    let create = "403 Forbidden - You are not allowed to create protected branches on this project.";
    for (level, allowed) in [
        (30, &["topic", "release/1"][..]),
        (40, &["main", "topic", "release/1"]),
        (50, &["main", "topic", "release/1"]),
    ] {
        let bot = world.project.token(&["api"], level);
        for branch in ["main", "topic", "release/1", "frozen"] {
            let mut body = commit(branch, add(&format!("{level}")));
            if world.bot.get(&world.path(&format!("/branches/{}", branch.replace('/', "%2F")))).status == 404
            {
                body["start_branch"] = json!("main");
            }
            let ask = || bot.post(&world.path("/commits"), body);
            if allowed.contains(&branch) {
                ask().expect(201);
            } else {
                world.refused(ask, 403, if branch == "frozen" { create } else { push });
            }
        }
    }
    // Making a branch is asked like a push that makes it.
    let branch = json!({ "branch": "frozen", "ref": "main" });
    world.refused(|| forge.root().post(&world.path("/branches"), branch), 403, create);
}

#[test]
fn who_may_not_push_may_not_write() {
    let forge = forge!();
    let world = World::new(&forge);
    let mut body = commit("topic", add("x"));
    body["start_branch"] = json!("main");
    let ask = |caller: &Caller| caller.post(&world.path("/commits"), body.clone());
    let reporter = world.project.token(&["api"], 20);
    world.refused(|| ask(&reporter), 403, "403 Forbidden");
    // Pushing is what these two are for, and reading; not the API.
    for scopes in [&["write_repository", "read_api"][..], &["read_api"], &["write_repository"]] {
        let before = world.refs();
        let bot = world.project.token(scopes, 40);
        let refused = ask(&bot).expect(403).json();
        assert_eq!((&refused["error"], &refused["scope"]), (&json!("insufficient_scope"), &json!("api")));
        assert_eq!(world.refs(), before);
    }
    let elsewhere = forge.project("public").token(&["api"], 50);
    world.refused(|| ask(&elsewhere), 404, "404 Project Not Found");
    world.refused(|| ask(&forge.anyone()), 401, "401 Unauthorized");
    forge.root().put(&world.project.path(""), json!({ "repository_access_level": "disabled" })).expect(200);
    assert_eq!(ask(&world.bot).status, 403);
    forge.root().put(&world.project.path(""), json!({ "repository_access_level": "enabled" })).expect(200);
    forge.root().post(&world.project.path("/archive"), json!({})).expect(201);
    world.refused(|| ask(&world.bot), 403, "403 Forbidden - The project is archived");
    forge.root().post(&world.project.path("/unarchive"), json!({})).expect(201);
    ask(&world.bot).expect(201);
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let forge = forge!();
    let world = World::new(&forge);
    let before = world.refs();
    let post =
        |body: Value| world.bot.post(&world.path("/commits"), body).expect(400).json()["error"].clone();
    assert_eq!(post(json!({})), "branch is missing, commit_message is missing, actions is missing");
    assert_eq!(post(commit("main", json!([]))), "actions is empty");
    assert_eq!(post(commit("main", json!("x"))), "actions is invalid");
    let wordless = json!({ "branch": "main", "commit_message": " ", "actions": add("a") });
    assert_eq!(post(wordless), "commit_message is empty");
    let action = |action: Value| post(commit("main", json!([action])));
    assert_eq!(action(json!({})), "actions[action] is missing, actions[file_path] is missing");
    let unknown = action(json!({ "action": "burn", "file_path": "a" }));
    assert!(
        unknown.as_str().unwrap().starts_with("actions[action] does not have a valid value"),
        "{unknown}"
    );
    assert_eq!(action(json!({ "action": "update", "file_path": "a" })), "actions[content] is missing");
    assert_eq!(action(json!({ "action": "move", "file_path": "a" })), "actions[previous_path] is missing");
    assert_eq!(
        action(json!({ "action": "chmod", "file_path": "a" })),
        "actions[execute_filemode] is missing"
    );
    let content = json!({ "action": "create", "file_path": "a", "content": "???", "encoding": "base64" });
    assert_eq!(action(content), "actions[content] is not valid base64");
    for (path, problem) in [
        ("", "is empty"),
        ("../a", "cannot include directory traversal"),
        ("a/../b", "cannot include directory traversal"),
        ("a//b", "cannot include directory traversal"),
        (".git/config", "is not allowed in a repository"),
        ("a/.GIT/hooks/x", "is not allowed in a repository"),
        ("git~1", "is not allowed in a repository"),
        (".g\u{200c}it/x", "is not allowed in a repository"),
        (".git . /x", "is not allowed in a repository"),
        ("a\nb", "is not allowed in a repository"),
        (&"a/".repeat(70), "is too long"),
    ] {
        let problem = format!("actions[file_path] {problem}");
        assert_eq!(
            action(json!({ "action": "create", "file_path": path, "content": "" })),
            problem,
            "{path:?}"
        );
    }
    let traversal = world.path("/files/..%2F..%2Fetc%2Fpasswd");
    let body = json!({ "branch": "main", "commit_message": "x", "content": "x" });
    let answer = world.bot.post(&traversal, body).expect(400).json();
    assert_eq!(answer, json!({ "error": "file_path cannot include directory traversal" }));
    let many: Vec<_> =
        (0..1001).map(|n| json!({ "action": "create", "file_path": format!("f{n}") })).collect();
    let answer = world.bot.post(&world.path("/commits"), commit("main", json!(many))).expect(400).json();
    assert_eq!(answer, json!({ "message": "A commit can change at most 1000 files" }));
    assert_eq!(world.refs(), before);
}

#[test]
fn files_may_be_larger_than_other_parameters_and_not_without_limit() {
    let forge = forge!(|settings| {
        settings.max_body_bytes = 10_000;
        settings.max_commit_body_bytes = 300_000;
    });
    let world = World::new(&forge);
    let large =
        |bytes: usize| json!([{ "action": "create", "file_path": "large", "content": "x".repeat(bytes) }]);
    let post = |bytes: usize| world.bot.post(&world.path("/commits"), commit("main", large(bytes)));
    assert_eq!(post(300_000).status, 413);
    post(200_000).expect(201);
    assert_eq!(world.file("main", "large").map(|text| text.len()), Some(200_000));
    let issue = world.bot.post(&world.project.path("/issues"), json!({ "title": "x".repeat(20_000) }));
    assert_eq!(issue.status, 413);
}

#[test]
fn of_two_writers_at_one_branch_one_wins_and_the_other_is_told() {
    let forge = forge!();
    let world = World::new(&forge);
    let mut body = commit("race", add("x"));
    body["start_branch"] = json!("main");
    world.bot.post(&world.path("/commits"), body).expect(201);
    let (mut won, mut told) = (0, 0);
    for round in 0..5 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|writer| {
                    let (bot, path) = (world.bot.caller.clone(), world.path("/commits"));
                    let body = commit("race", add(&format!("file-{round}-{writer}")));
                    scope.spawn(move || bot.post(&path, body))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for answer in answers {
            match answer.status {
                201 => won += 1,
                400 => {
                    let line = "Could not update refs/heads/race. Please refresh and try again.";
                    assert_eq!(answer.json(), json!({ "message": line }));
                    told += 1;
                }
                _ => panic!("{answer:?}"),
            }
        }
    }
    assert_eq!(won + told, 20);
    assert!(won >= 5, "{won} of 20 writers won");
    // Every one that was told of success is in the history, one after the other, and nobody else.
    let git = world.clone();
    let count = git.run_in("work", &["rev-list", "--count", "origin/main..origin/race"]).works();
    assert_eq!(count.trim(), (won + 1).to_string());
    let events = forge.root().get(&world.project.path("/events?per_page=100")).expect(200).json();
    let pushes =
        events.as_array().unwrap().iter().filter(|event| event["push_data"]["ref"] == "race").count();
    assert_eq!(pushes, won + 1);
}

#[test]
fn parallel_commits_to_different_branches_all_arrive() {
    let forge = forge!();
    let world = World::new(&forge);
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (bot, path) = (world.bot.caller.clone(), world.path("/commits"));
            let mut body = commit(&format!("branch-{number}"), add("same"));
            body["start_branch"] = json!("main");
            scope.spawn(move || bot.post(&path, body).expect(201));
        }
    });
    let git = world.clone();
    let refs = git.run_in("work", &["for-each-ref", "refs/remotes/origin/branch-*"]).works();
    assert_eq!(refs.lines().count(), 20);
    forge.run_jobs();
    let events = forge.root().get(&world.project.path("/events?per_page=100")).expect(200).json();
    let made = events.as_array().unwrap().iter().filter(|event| event["action_name"] == "pushed new");
    assert_eq!(made.count(), 20);
}

#[test]
fn an_existing_branch_becomes_the_default_one() {
    let forge = forge!();
    let world = World::new(&forge);
    world.bot.post(&world.path("/branches"), json!({ "branch": "trunk", "ref": "main" })).expect(201);
    let set = |branch: &str| world.bot.put(&world.project.path(""), json!({ "default_branch": branch }));
    assert_eq!(set("trunk").expect(200).json()["default_branch"], "trunk");
    let head = Git::default().run(&[
        "ls-remote",
        "--symref",
        &world.project.git_url("x", &world.bot.secret),
        "HEAD",
    ]);
    assert!(head.works().starts_with("ref: refs/heads/trunk\tHEAD"));
    set("none").expect_json(400, json!({ "message": { "default_branch": ["does not exist"] } }));
    // The protection stays where it is; the rule about the default branch moves with it.
    let remove = |branch: &str| world.bot.delete(&world.path(&format!("/branches/{branch}")));
    world.refused(|| remove("trunk"), 400, "The default branch of a project cannot be deleted.");
}

#[test]
fn protected_tags_are_made_by_who_may_and_changed_by_nobody() {
    let forge = forge!();
    let world = World::new(&forge);
    let path = |rest: &str| world.project.path(&format!("/protected_tags{rest}"));
    let level = |level: i64, words: &str, id: &Value| {
        json!([{
            "id": id,
            "access_level": level,
            "access_level_description": words,
            "deploy_key_id": null,
            "user_id": null,
            "group_id": null,
        }])
    };
    let made = world.bot.post(&path(""), json!({ "name": "v*" })).expect(201).json();
    let id = made["create_access_levels"][0]["id"].clone();
    let expected = json!({ "name": "v*", "create_access_levels": level(40, "Maintainers", &id) });
    assert_eq!(made, expected);
    world.bot.get(&path("")).expect_json(200, json!([expected]));
    world.bot.get(&path("/v%2A")).expect_json(200, expected);
    let again = json!({ "message": "Protected tag 'v*' already exists" });
    world.bot.post(&path(""), json!({ "name": "v*" })).expect_json(409, again);
    let invalid = json!({ "message": { "name": ["is not a valid tag name or pattern"] } });
    world.bot.post(&path(""), json!({ "name": "a..b" })).expect_json(400, invalid);
    world.bot.post(&path(""), json!({ "name": "x", "create_access_level": 7 })).expect(400);

    let developer = world.project.token(&["api"], 30);
    developer.get(&path("")).expect(403);
    let tag = |name: &str| json!({ "tag_name": name, "ref": "main" });
    world.refused(
        || developer.post(&world.path("/tags"), tag("v1")),
        403,
        "403 Forbidden - You are not allowed to create this tag as it is protected.",
    );
    developer.post(&world.path("/tags"), tag("w1")).expect(201);
    let made = world.bot.post(&world.path("/tags"), tag("v1")).expect(201).json();
    assert_eq!(made["protected"], true);
    assert_eq!(developer.get(&world.path("/tags/w1")).expect(200).json()["protected"], false);
    world.refused(
        || developer.delete(&world.path("/tags/v1")),
        403,
        "403 Forbidden - You are not allowed to delete protected tags from this project. Only a project maintainer or owner can delete a protected tag.",
    );

    let git = world.clone();
    git.run_in("work", &["commit", "-q", "--allow-empty", "-m", "next"]).works();
    git.run_in("work", &["tag", "-f", "v1"]).works();
    for (push, words) in [
        (vec!["push", "-f", "origin", "v1"], "Protected tags cannot be updated."),
        (vec!["push", "origin", ":v1"], "You can only delete protected tags using the web interface."),
    ] {
        let before = world.refs();
        let refused = git.run_in("work", &push);
        assert!(!refused.ok && refused.text.contains(words), "{}", refused.text);
        assert_eq!(world.refs(), before);
    }
    // Naming it over the API is meant.
    world.bot.delete(&world.path("/tags/v1")).expect(204);

    let nobody = json!({ "name": "x", "create_access_level": 0 });
    let made = world.bot.post(&path(""), nobody).expect(201).json();
    assert_eq!(made["create_access_levels"][0]["access_level_description"], "No one");
    world.refused(
        || world.bot.post(&world.path("/tags"), tag("x")),
        403,
        "403 Forbidden - You are not allowed to create this tag as it is protected.",
    );
    world.bot.delete(&path("/x")).expect(204);
    world.bot.delete(&path("/x")).expect_json(404, json!({ "message": "404 Protected Tag Not Found" }));
    world.bot.post(&world.path("/tags"), tag("x")).expect(201);
}

#[test]
fn a_tag_says_which_release_was_made_of_it() {
    let forge = forge!();
    let world = World::new(&forge);
    world.bot.post(&world.path("/tags"), json!({ "tag_name": "v1", "ref": "main" })).expect(201);
    assert_eq!(world.bot.get(&world.path("/tags/v1")).expect(200).json()["release"], Value::Null);
    let release = json!({ "tag_name": "v1", "description": "What is new" });
    world.bot.post(&world.project.path("/releases"), release.clone()).expect(201);
    assert_eq!(world.bot.get(&world.path("/tags/v1")).expect(200).json()["release"], release);
    assert_eq!(world.bot.get(&world.path("/tags")).expect(200).json()[0]["release"], release);
}
