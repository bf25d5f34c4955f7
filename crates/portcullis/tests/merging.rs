//! Merge requests and Git: what merging makes and whose it is, who may not, what pushes do to a merge request, and what is
//! read of its commits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Answer, Bot, Caller, Git, Project, TestForge, forge};
use serde_json::{Value, json};

/// A private project with a branch `main`, and a bot that may do everything.
struct World<'a> {
    forge: &'a TestForge,
    project: Project<'a>,
    bot: Bot,
}

impl<'a> World<'a> {
    fn new(forge: &'a TestForge) -> World<'a> {
        let project = forge.project("private");
        let bot = project.token(&["api"], 40);
        World { forge, project, bot }
    }

    fn path(&self, rest: &str) -> String {
        self.project.path(rest)
    }

    #[track_caller]
    fn set(&self, settings: Value) {
        self.forge.root().put(&self.path(""), settings).expect(200);
    }

    fn tip(&self, branch: &str) -> Option<String> {
        let answer = self.bot.get(&self.path(&format!("/repository/branches/{branch}")));
        (answer.status == 200).then(|| answer.json()["commit"]["id"].as_str().unwrap().to_owned())
    }

    /// Commits a file to a branch, which begins from `main` where it is not there. Returns the commit.
    #[track_caller]
    fn commit(&self, branch: &str, file: &str, content: &str) -> String {
        let there = self.tip(branch).is_some();
        let files = self.path(&format!("/repository/tree?ref={}", if there { branch } else { "main" }));
        let known = self.bot.get(&files).json().as_array().unwrap().iter().any(|it| it["path"] == file);
        let action = if known { "update" } else { "create" };
        let mut body = json!({
            "branch": branch, "commit_message": format!("change {file}"),
            "actions": [{ "action": action, "file_path": file, "content": content }],
        });
        if !there {
            body["start_branch"] = json!("main");
        }
        let made = self.bot.post(&self.path("/repository/commits"), body).expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn open(&self, source: &str, title: &str) -> i64 {
        let body = json!({ "source_branch": source, "target_branch": "main", "title": title });
        let made = self.bot.post(&self.path("/merge_requests"), body).expect(201).json();
        made["iid"].as_i64().unwrap()
    }

    /// Opens a merge request of a branch with one new file.
    #[track_caller]
    fn opened(&self, branch: &str) -> i64 {
        self.commit(branch, branch, branch);
        self.open(branch, &format!("Bring {branch}"))
    }

    #[track_caller]
    fn read(&self, iid: i64) -> Value {
        self.bot.get(&self.path(&format!("/merge_requests/{iid}"))).expect(200).json()
    }

    fn status(&self, iid: i64) -> String {
        self.read(iid)["detailed_merge_status"].as_str().unwrap().to_owned()
    }

    fn merge_as(&self, caller: &Caller, iid: i64, body: Value) -> Answer {
        caller.put(&self.path(&format!("/merge_requests/{iid}/merge")), body)
    }

    fn merge(&self, iid: i64, body: Value) -> Answer {
        self.merge_as(&self.bot, iid, body)
    }

    /// Expects that merging is refused with these words and changes nothing.
    #[track_caller]
    fn refused(&self, caller: &Caller, iid: i64, body: Value, status: u16, message: &str) {
        let before = (self.tip("main"), self.read(iid)["state"].clone());
        self.merge_as(caller, iid, body).expect_json(status, json!({ "message": message }));
        assert_eq!((self.tip("main"), self.read(iid)["state"].clone()), before, "something has changed");
    }

    /// Returns a commit as Git shows it, in this format.
    fn shown(&self, revision: &str, format: &str) -> String {
        let git = self.clone();
        git.run_in("bare", &["fsck", "--strict", "--full"]).works();
        let said = git.run_in("bare", &["show", "-s", &format!("--format={format}"), revision]).works();
        said.trim().to_owned()
    }

    fn clone(&self) -> Git {
        let git = Git::default();
        git.run(&["clone", "-q", "--bare", &self.url(), "bare"]).works();
        git
    }

    fn url(&self) -> String {
        self.project.git_url("x", &self.bot.secret)
    }

    /// Returns what the forge itself wrote among the comments.
    fn system_notes(&self, on: &str) -> Vec<String> {
        let notes = self.forge.root().get(&self.path(&format!("/{on}/notes?sort=asc"))).expect(200).json();
        let notes = notes.as_array().unwrap().iter().filter(|note| note["system"] == true);
        notes.map(|note| note["body"].as_str().unwrap().to_owned()).collect()
    }

    fn report(&self, sha: &str, state: &str) {
        let body = json!({ "state": state, "name": "build" });
        self.bot.post(&self.path(&format!("/statuses/{sha}")), body).expect(201);
    }
}

#[test]
fn merging_makes_a_commit_of_the_bot() {
    let forge = forge!();
    let world = World::new(&forge);
    let issue = world.bot.issue(world.project.id, "a bug");
    let start = world.tip("main").unwrap();
    let head = world.commit("topic", "a", "a");
    let body = json!({
        "source_branch": "topic", "target_branch": "main", "title": "Bring a",
        "description": format!("Closes #{issue}"), "remove_source_branch": true,
    });
    world.bot.post(&world.path("/merge_requests"), body).expect(201);
    let before = world.read(1);
    assert_eq!(
        (&before["detailed_merge_status"], &before["merge_status"]),
        (&json!("mergeable"), &json!("can_be_merged"))
    );
    assert_eq!(before["user"]["can_merge"], true);

    let merged = world.merge(1, json!({ "sha": head })).expect(200).json();
    let tip = world.tip("main").unwrap();
    for (key, value) in [
        ("state", json!("merged")),
        ("merged_at", json!("2026-03-02T12:00:00.000Z")),
        ("sha", json!(head)),
        ("merge_commit_sha", json!(tip)),
        ("squash_commit_sha", Value::Null),
        ("detailed_merge_status", json!("not_open")),
        ("merge_error", Value::Null),
        ("has_conflicts", json!(false)),
    ] {
        assert_eq!(merged[key], value, "{key}");
    }
    assert_eq!(merged["merged_by"]["id"], json!(world.bot.user_id));
    assert_eq!(merged["diff_refs"]["start_sha"], json!(start));
    let email = format!("project_{}_bot@noreply.localhost", world.project.id);
    assert_eq!(
        world.shown("main", "%P|%an <%ae>|%cn <%ce>|%B"),
        format!(
            "{start} {head}|ci <{email}>|ci <{email}>|Merge branch 'topic' into 'main'\n\nBring a\n\nCloses #{issue}\n\n\
             See merge request {}!1",
            world.project.full_path
        )
    );
    assert_eq!(world.tip("topic"), None);

    // What follows from it: the issue, the comments, the feed, the audit log.
    let closed = world.bot.get(&world.path(&format!("/issues/{issue}"))).expect(200).json();
    assert_eq!((&closed["state"], &closed["closed_by"]["id"]), (&json!("closed"), &json!(world.bot.user_id)));
    assert_eq!(world.system_notes(&format!("issues/{issue}")), ["closed via merge request !1"]);
    assert_eq!(world.system_notes("merge_requests/1"), ["merged"]);
    let events = forge.root().get(&world.path("/events")).expect(200).json();
    let accepted =
        events.as_array().unwrap().iter().find(|event| event["action_name"] == "accepted").unwrap();
    assert_eq!((&accepted["target_type"], &accepted["target_iid"]), (&json!("MergeRequest"), &json!(1)));
    assert_eq!(accepted["access_token_id"], json!(world.bot.token_id));
    let audit = forge.root().get(&world.path("/audit_events")).expect(200).json();
    let entry =
        audit.as_array().unwrap().iter().find(|it| it["event_name"] == "merge_request_merged").unwrap();
    assert_eq!(entry["author_id"], json!(world.bot.user_id));
    forge.run_jobs();
    assert_eq!(world.read(1), merged);
    // Nothing leads back, and a push to the branch changes nothing.
    world.refused(&world.bot, 1, json!({}), 405, "405 Method Not Allowed");
    world.commit("topic", "b", "b");
    forge.run_jobs();
    assert_eq!(world.read(1)["sha"], json!(head));
}

#[test]
fn messages_and_commits_are_as_they_are_asked_for() {
    let forge = forge!();
    let world = World::new(&forge);
    let start = world.tip("main").unwrap();
    world.commit("topic", "a", "1");
    world.commit("topic", "a", "2");
    let author = world.project.member(30);
    let body = json!({ "source_branch": "topic", "target_branch": "main", "title": "Two in one" });
    author.post(&world.path("/merge_requests"), body).expect(201);
    let body = json!({
        "squash": "true", "squash_commit_message": "one\n\nof two", "merge_commit_message": "the merge",
        "should_remove_source_branch": false,
    });
    let merged = world.merge(1, body).expect(200).json();
    let squashed = merged["squash_commit_sha"].as_str().unwrap();
    assert_eq!(world.shown("main", "%P|%cn|%B"), format!("{start} {squashed}|ci|the merge"));
    let name = forge.root().get(&format!("/users/{}", author.id)).json()["name"].as_str().unwrap().to_owned();
    assert_eq!(world.shown(squashed, "%P|%an|%cn|%B"), format!("{start}|{name}|ci|one\n\nof two"));
    assert!(world.tip("topic").is_some());

    // By itself it is called as the merge request; a project may insist on it, or on the contrary.
    world.set(json!({ "squash_option": "always" }));
    world.commit("main", "other", "1");
    world.commit("second", "b", "1");
    world.commit("second", "b", "2");
    world.open("second", "The second");
    world.commit("main", "other", "2");
    let squashed = world.merge(2, json!({ "squash": false })).expect(200).json();
    let squashed = squashed["squash_commit_sha"].as_str().unwrap().to_owned();
    assert_eq!(world.shown(&squashed, "%B"), "The second");
    world.set(json!({ "squash_option": "never" }));
    let third = world.opened("third");
    assert_eq!(
        world.merge(third, json!({ "squash": true })).expect(200).json()["squash_commit_sha"],
        Value::Null
    );
    // A branch that is one commit with this message already stays as it is.
    world.set(json!({ "squash_option": "default_off" }));
    let head = world.commit("fourth", "fourth", "4");
    let fourth = world.open("fourth", "change fourth");
    let merged = world.merge(fourth, json!({ "squash": true })).expect(200).json();
    assert_eq!(merged["squash_commit_sha"], Value::Null);
    assert!(world.shown("main", "%P").ends_with(&head));
}

#[test]
fn a_project_says_what_merging_makes() {
    let forge = forge!();
    let world = World::new(&forge);
    for method in ["ff", "rebase_merge"] {
        world.set(json!({ "merge_method": method }));
        let head = world.commit(&format!("{method}-a"), &format!("{method}-a"), "a");
        let first = world.open(&format!("{method}-a"), "First");
        let second = world.opened(&format!("{method}-b"));
        assert_eq!(world.status(first), "mergeable");
        let merged = world.merge(first, json!({})).expect(200).json();
        if method == "ff" {
            assert_eq!((&merged["merge_commit_sha"], world.tip("main")), (&Value::Null, Some(head)));
        } else {
            assert_eq!(merged["merge_commit_sha"], json!(world.tip("main")));
            assert!(world.shown("main", "%P").ends_with(&format!(" {head}")));
        }
        // The other one is behind now.
        assert_eq!(world.status(second), "need_rebase");
        assert_eq!(world.read(second)["has_conflicts"], false);
        world.refused(&world.bot, second, json!({}), 422, "Branch cannot be merged");
        world.bot.put(&world.path(&format!("/merge_requests/{second}/rebase")), json!({})).expect(202);
        assert_eq!(world.status(second), "mergeable");
        let squashed =
            world.merge(second, json!({ "squash": true, "squash_commit_message": "s" })).expect(200).json();
        let commit = squashed["squash_commit_sha"].as_str().unwrap();
        if method == "ff" {
            assert_eq!(world.tip("main").as_deref(), Some(commit));
        } else {
            assert!(world.shown("main", "%P").ends_with(commit));
        }
    }
}

#[test]
fn what_cannot_be_merged_says_why() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let edit = |iid: i64, body: Value| {
        world.bot.put(&world.path(&format!("/merge_requests/{iid}")), body).expect(200);
    };
    let not_now = "405 Method Not Allowed";
    edit(iid, json!({ "title": "Draft: x" }));
    assert_eq!(world.status(iid), "draft_status");
    world.refused(&world.bot, iid, json!({}), 405, not_now);
    edit(iid, json!({ "title": "x", "state_event": "close" }));
    assert_eq!(world.status(iid), "not_open");
    world.refused(&world.bot, iid, json!({}), 405, not_now);
    edit(iid, json!({ "state_event": "reopen" }));
    let head = world.tip("topic").unwrap();
    let text = format!("SHA does not match HEAD of source branch: {head}");
    world.refused(&world.bot, iid, json!({ "sha": "1".repeat(40) }), 409, &text);

    // The target branch changes the same file.
    world.commit("main", "topic", "otherwise");
    assert_eq!(world.status(iid), "conflict");
    assert_eq!(world.read(iid)["has_conflicts"], true);
    world.refused(&world.bot, iid, json!({}), 422, "Branch cannot be merged");

    // Nothing is in it, or it is gone.
    world
        .bot
        .post(&world.path("/repository/branches"), json!({ "branch": "same", "ref": "main" }))
        .expect(201);
    let same = world.open("same", "Nothing");
    assert_eq!(world.status(same), "commits_status");
    world.refused(&world.bot, same, json!({}), 405, not_now);
    world.bot.delete(&world.path("/repository/branches/topic")).expect(204);
    assert_eq!(world.status(iid), "commits_status");
    world.refused(&world.bot, iid, json!({}), 405, not_now);
    assert_eq!(world.read(iid)["state"], "opened");
    // Once it is there again, it is looked at again.
    world
        .bot
        .post(&world.path("/repository/branches"), json!({ "branch": "topic", "ref": head }))
        .expect(201);
    assert_eq!(world.status(iid), "conflict");

    let missing = world.merge(99, json!({})).expect(404).json();
    assert_eq!(missing, json!({ "message": "404 Merge Request Not Found" }));
    let bad = world.merge(iid, json!({ "squash": "maybe" })).expect(400).json();
    assert_eq!(bad, json!({ "error": "squash is invalid" }));
}

#[test]
fn a_project_may_ask_for_good_statuses() {
    let forge = forge!();
    let world = World::new(&forge);
    world.set(json!({ "only_allow_merge_if_pipeline_succeeds": true }));
    let iid = world.opened("topic");
    let head = world.tip("topic").unwrap();
    for (state, status) in [
        (None, "ci_must_pass"),
        (Some("pending"), "ci_still_running"),
        (Some("running"), "ci_still_running"),
        (Some("failed"), "ci_must_pass"),
        (Some("skipped"), "ci_must_pass"),
    ] {
        if let Some(state) = state {
            world.report(&head, state);
        }
        assert_eq!(world.status(iid), status, "{state:?}");
        let listed = world.bot.get(&world.path("/merge_requests")).expect(200).json();
        assert_eq!(listed[0]["detailed_merge_status"], status);
        world.refused(&world.bot, iid, json!({}), 405, "405 Method Not Allowed");
    }
    world.set(json!({ "allow_merge_on_skipped_pipeline": true }));
    assert_eq!(world.status(iid), "mergeable");
    world.report(&head, "success");
    world.merge(iid, json!({})).expect(200);
}

#[test]
fn a_project_may_ask_for_discussions_to_be_settled() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let discussions = world.path(&format!("/merge_requests/{iid}/discussions"));
    let discussion = world.bot.post(&discussions, json!({ "body": "why?" })).expect(201).json();
    assert_eq!(world.status(iid), "mergeable");
    world.set(json!({ "only_allow_merge_if_all_discussions_are_resolved": true }));
    assert_eq!(world.status(iid), "discussions_not_resolved");
    world.refused(&world.bot, iid, json!({}), 405, "405 Method Not Allowed");
    let settle = format!("{discussions}/{}?resolved=true", discussion["id"].as_str().unwrap());
    world.bot.put(&settle, Value::Null).expect(200);
    world.merge(iid, json!({})).expect(200);
}

#[test]
fn who_may_merge_is_said_by_the_branch() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let (reporter, developer) = (world.project.member(20), world.project.member(30));
    let no = "401 Unauthorized";
    // The default branch is protected: Maintainers push and merge.
    let can = |caller: &Caller| {
        caller.get(&world.path(&format!("/merge_requests/{iid}"))).expect(200).json()["user"]["can_merge"]
            .clone()
    };
    for caller in [&reporter, &developer] {
        assert_eq!(can(caller), false);
        world.refused(caller, iid, json!({}), 401, no);
    }
    let read_only = world.project.token(&["read_api"], 40);
    assert_eq!(world.merge_as(&read_only, iid, json!({})).status, 403);
    let elsewhere = forge.project("private").token(&["api"], 40);
    world.merge_as(&elsewhere, iid, json!({})).expect(404);

    let protection = world.path("/protected_branches/main");
    forge.root().patch(&protection, json!({ "merge_access_level": 0, "push_access_level": 0 })).expect(200);
    world.refused(&world.bot, iid, json!({}), 401, no);
    forge.root().patch(&protection, json!({ "merge_access_level": 30 })).expect(200);
    // Merging goes, pushing does not.
    let url = world.project.git_url("x", developer.caller.token.as_ref().unwrap());
    let git = world.clone();
    git.run_in("bare", &["push", &url, "topic:main"])
        .fails_with("not allowed to push code to protected branches");
    assert_eq!(can(&reporter), false);
    assert_eq!(can(&developer), true);
    world.merge_as(&developer, iid, json!({})).expect(200);

    forge.root().post(&world.path("/archive"), Value::Null).expect(201);
    let answer = world.merge(iid, json!({})).expect(403).json();
    assert_eq!(answer, json!({ "message": "403 Forbidden - The project is archived" }));
}

#[test]
fn a_protected_or_default_source_branch_stays() {
    let forge = forge!();
    let world = World::new(&forge);
    world.commit("kept", "kept", "1");
    world.bot.post(&world.path("/protected_branches"), json!({ "name": "kept" })).expect(201);
    let iid = world.open("kept", "Kept");
    world.merge(iid, json!({ "should_remove_source_branch": true })).expect(200);
    assert!(world.tip("kept").is_some());
    world
        .bot
        .post(&world.path("/repository/branches"), json!({ "branch": "back", "ref": "kept" }))
        .expect(201);
    let body = json!({ "source_branch": "main", "target_branch": "back", "title": "Back" });
    let back =
        world.bot.post(&world.path("/merge_requests"), body).expect(201).json()["iid"].as_i64().unwrap();
    world.merge(back, json!({ "should_remove_source_branch": true })).expect(200);
    forge.run_jobs();
    assert!(world.tip("main").is_some());
}

#[test]
fn of_those_who_merge_at_once_exactly_one_does() {
    let forge = forge!();
    let world = World::new(&forge);
    let iids: Vec<_> = (0..3).map(|number| world.opened(&format!("topic-{number}"))).collect();
    let path = |iid: i64| world.path(&format!("/merge_requests/{iid}/merge"));
    let statuses: Vec<(i64, u16)> = std::thread::scope(|scope| {
        let tries: Vec<_> = iids.iter().flat_map(|iid| [*iid, *iid, *iid]).collect();
        let tries = tries.into_iter().map(|iid| {
            let (caller, path) = (&world.bot.caller, path(iid));
            scope.spawn(move || (iid, caller.put(&path, json!({})).status))
        });
        let tries: Vec<_> = tries.collect();
        tries.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    let mut merges = 0;
    for iid in &iids {
        let of: Vec<_> = statuses.iter().filter(|(of, _)| of == iid).map(|(_, status)| *status).collect();
        assert!(of.iter().filter(|status| **status == 200).count() <= 1, "{of:?}");
        // Whoever came too late, or again and again found the branch moved, is told so.
        assert!(of.iter().all(|status| matches!(status, 200 | 405 | 422)), "{of:?}");
        let merged = world.read(*iid)["state"] == "merged";
        assert_eq!(of.contains(&200), merged);
        merges += usize::from(merged);
        assert_eq!(world.system_notes(&format!("merge_requests/{iid}")).len(), usize::from(merged));
    }
    assert!(merges > 0);
    let git = world.clone();
    let count = git.run_in("bare", &["rev-list", "--count", "--merges", "main"]).works();
    assert_eq!(count.trim(), merges.to_string());
}

#[test]
fn what_is_pushed_to_the_target_by_hand_is_merged_by_who_pushed() {
    let forge = forge!();
    let world = World::new(&forge);
    let (first, second, third) = (world.opened("first"), world.opened("second"), world.opened("third"));
    forge.run_jobs();
    let maintainer = world.project.member(40);
    let url = world.project.git_url("x", maintainer.caller.token.as_ref().unwrap());
    let git = Git::default();
    git.run(&["clone", "-q", &url, "work"]).works();
    git.run_in("work", &["merge", "-q", "--no-ff", "-m", "by hand", "origin/first"]).works();
    git.run_in("work", &["push", "-q", "origin", "main", ":first"]).works();
    forge.run_jobs();
    let merged = world.read(first);
    let tip = world.tip("main").unwrap();
    assert_eq!((&merged["state"], &merged["merged_by"]["id"]), (&json!("merged"), &json!(maintainer.id)));
    assert_eq!(merged["merge_commit_sha"], json!(tip));
    assert_eq!(world.system_notes(&format!("merge_requests/{first}")), ["merged"]);
    assert_eq!(world.read(second)["state"], "opened");

    // Through another merge, and forward without one.
    git.run_in("work", &["checkout", "-q", "-b", "both", "origin/second"]).works();
    git.run_in("work", &["merge", "-q", "-m", "both", "origin/third", "main"]).works();
    git.run_in("work", &["push", "-q", "origin", "both:main"]).works();
    forge.run_jobs();
    for iid in [second, third] {
        assert_eq!(world.read(iid)["state"], "merged");
    }
    // A branch that begins in what is merged already was not merged by the next push.
    world.bot.post(&world.path("/repository/branches"), json!({ "branch": "old", "ref": tip })).expect(201);
    let old = world.open("old", "Nothing");
    world.commit("main", "next", "1");
    forge.run_jobs();
    assert_eq!(world.read(old)["state"], "opened");
}

/// A token for Git alone brings a merge request into its target branch. That it is merged is a fact; the issue that it
/// would close is not the token's to close.
#[test]
fn a_token_for_git_alone_closes_no_issue_by_pushing() {
    let forge = forge!();
    let world = World::new(&forge);
    let issues: Vec<_> = (0..2).map(|_| world.bot.issue(world.project.id, "a bug")).collect();
    for (number, (scope, state)) in
        [("write_repository", "opened"), ("api", "closed")].into_iter().enumerate()
    {
        let branch = format!("fix-{number}");
        let head = world.commit(&branch, &branch, "1");
        let iid = world.open(&branch, &format!("Fixes #{}", issues[number]));
        forge.run_jobs();
        let pusher = world.project.token(&[scope], 40);
        let git = Git::default();
        git.run(&["clone", "-q", &world.project.git_url("x", &pusher.secret), "work"]).works();
        git.run_in("work", &["merge", "-q", "--no-edit", &head]).works();
        git.run_in("work", &["push", "-q", "origin", "main"]).works();
        forge.run_jobs();
        let merged = world.read(iid);
        assert_eq!(
            (&merged["state"], &merged["merged_by"]["id"]),
            (&json!("merged"), &json!(pusher.user_id))
        );
        let issue = world.bot.get(&world.path(&format!("/issues/{}", issues[number]))).expect(200).json();
        assert_eq!(issue["state"], state, "{scope}");
    }
}

#[test]
fn pushes_make_versions_and_the_commits_can_be_fetched() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let first = world.tip("topic").unwrap();
    forge.run_jobs();
    let listed = || {
        let git = Git::default();
        git.run(&["ls-remote", &world.url(), &format!("refs/merge-requests/{iid}/head")]).works()
    };
    assert!(listed().starts_with(&first), "{}", listed());
    forge.clock.advance_seconds(60);
    let second = world.commit("topic", "more", "1");
    forge.run_jobs();
    assert!(listed().starts_with(&second));
    let found = world.read(iid);
    assert_eq!((&found["sha"], &found["updated_at"]), (&json!(second), &json!("2026-03-02T12:01:00.000Z")));

    let versions = world.bot.get(&world.path(&format!("/merge_requests/{iid}/versions"))).expect(200).json();
    let heads: Vec<_> = versions.as_array().unwrap().iter().map(|it| it["head_commit_sha"].clone()).collect();
    assert_eq!(heads, [json!(second), json!(first)]);
    let path = world.path(&format!("/merge_requests/{iid}/versions/{}", versions[1]["id"]));
    let version = world.bot.get(&path).expect(200).json();
    assert_eq!(version["commits"][0]["id"], json!(first));
    assert_eq!(version["diffs"].as_array().unwrap().len(), 1);
    assert_eq!((&version["state"], &version["real_size"]), (&json!("collected"), &json!("1")));
    assert_eq!(version["base_commit_sha"], json!(world.tip("main")));
    world.bot.get(&world.path(&format!("/merge_requests/{iid}/versions/999999"))).expect(404);

    // Nobody pushes there; and when the branch is gone the commits are not.
    let git = world.clone();
    let name = format!("refs/merge-requests/{iid}/head");
    git.run_in("bare", &["push", &world.url(), &format!("main:{name}")]).fails_with("hidden ref");
    world.bot.delete(&world.path("/repository/branches/topic")).expect(204);
    forge.run_jobs();
    git.run_in("bare", &["fetch", "-q", &world.url(), &name]).works();
    assert_eq!(git.run_in("bare", &["rev-parse", "FETCH_HEAD"]).works().trim(), second);
    // With the merge request goes its ref.
    forge.root().delete(&world.path(&format!("/merge_requests/{iid}"))).expect(204);
    forge.run_jobs();
    assert_eq!(listed(), "");
}

#[test]
fn what_a_merge_request_changes_is_read_by_who_may_read_the_code() {
    let forge = forge!();
    let world = World::new(&forge);
    let one = world.commit("topic", "a.txt", "one\n");
    let two = world.commit("topic", "README.md", "other\n");
    let iid = world.open("topic", "Changes");
    world.commit("main", "unrelated", "1");
    let path = |rest: &str| world.path(&format!("/merge_requests/{iid}{rest}"));

    let answer = world.bot.get(&path("/commits?per_page=1")).expect(200);
    assert_eq!(answer.header("x-total"), Some("2"));
    assert_eq!(answer.json()[0]["id"], json!(two));
    let answer = world.bot.get(&path("/commits?per_page=1&page=2")).expect(200).json();
    assert_eq!((answer.as_array().unwrap().len(), &answer[0]["id"]), (1, &json!(one)));

    let diffs = world.bot.get(&path("/diffs")).expect(200).json();
    assert_eq!(diffs.as_array().unwrap().len(), 2);
    let expected = json!({
        "diff": "@@ -0,0 +1 @@\n+one\n", "new_path": "a.txt", "old_path": "a.txt", "a_mode": "0", "b_mode": "100644",
        "new_file": true, "renamed_file": false, "deleted_file": false, "generated_file": false, "collapsed": false,
        "too_large": false,
    });
    assert_eq!(diffs[1], expected);
    let second = world.bot.get(&path("/diffs?per_page=1&page=2&unidiff=true")).expect(200).json();
    assert_eq!(second[0]["diff"], "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+one\n");
    let changes = world.bot.get(&path("/changes")).expect(200).json();
    assert_eq!((&changes["changes"], &changes["overflow"]), (&diffs, &json!(false)));
    assert_eq!(changes["iid"], json!(iid));
    let raw = world.bot.get(&path("/raw_diffs")).expect(200);
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    let git = world.clone();
    let theirs = git.run_in("bare", &["diff", "--full-index", &format!("main...{two}")]).works();
    assert_eq!(raw.text, theirs);
    world.bot.get(&path("/pipelines")).expect_json(200, json!([]));

    // After merging it shows the same.
    world.merge(iid, json!({ "should_remove_source_branch": true })).expect(200);
    assert_eq!(world.bot.get(&path("/diffs")).expect(200).json(), diffs);
    assert_eq!(world.bot.get(&path("/commits")).expect(200).json().as_array().unwrap().len(), 2);

    // A project may show its merge requests and not its code.
    let body = json!({ "repository_access_level": "private", "visibility": "public" });
    forge.root().put(&world.path(""), body).expect(200);
    let stranger = forge.person("stranger");
    stranger.get(&path("")).expect(200);
    for rest in ["/commits", "/diffs", "/changes", "/raw_diffs", "/versions", "/versions/1", "/pipelines"] {
        let answer = stranger.get(&path(rest));
        assert_eq!(answer.status, 403, "{rest}: {}", answer.text);
    }
}

#[test]
fn a_merge_request_waits_for_its_statuses() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let head = world.tip("topic").unwrap();
    world.report(&head, "pending");
    let later =
        json!({ "merge_when_pipeline_succeeds": true, "squash": true, "squash_commit_message": "waited" });
    let waiting = world.merge(iid, later.clone()).expect(200).json();
    assert_eq!(
        (&waiting["state"], &waiting["merge_when_pipeline_succeeds"]),
        (&json!("opened"), &json!(true))
    );
    let short = &head[..8];
    let enabled = format!("enabled an automatic merge when all merge checks for {short} pass");
    let notes = || world.system_notes(&format!("merge_requests/{iid}"));
    assert_eq!(notes().as_slice(), std::slice::from_ref(&enabled));
    for state in ["running", "failed"] {
        world.report(&head, state);
        forge.run_jobs();
        assert_eq!(world.read(iid)["state"], "opened");
    }
    world.report(&head, "success");
    forge.run_jobs();
    let merged = world.read(iid);
    assert_eq!((&merged["state"], &merged["merged_by"]["id"]), (&json!("merged"), &json!(world.bot.user_id)));
    assert_eq!(merged["merge_when_pipeline_succeeds"], false);
    assert_eq!(world.shown(merged["squash_commit_sha"].as_str().unwrap(), "%B"), "waited");
    assert_eq!(notes(), [enabled, "merged".to_owned()]);
    // With nothing to wait for it is merged at once; what failed is not merged later.
    let iid = world.opened("second");
    assert_eq!(world.merge(iid, json!({ "auto_merge": true })).expect(200).json()["state"], "merged");
    let iid = world.opened("third");
    world.report(&world.tip("third").unwrap(), "failed");
    world.refused(&world.bot, iid, later, 405, "405 Method Not Allowed");
}

#[test]
fn what_waits_is_looked_at_again_when_its_last_discussion_is_settled() {
    let forge = forge!();
    let world = World::new(&forge);
    world.set(json!({ "only_allow_merge_if_all_discussions_are_resolved": true }));
    let iid = world.opened("topic");
    let head = world.tip("topic").unwrap();
    world.report(&head, "pending");
    world.merge(iid, json!({ "auto_merge": true })).expect(200);
    let discussions = world.path(&format!("/merge_requests/{iid}/discussions"));
    let begin = |text: &str| {
        let begun = world.bot.post(&discussions, json!({ "body": text })).expect(201).json();
        begun["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (begin("why?"), begin("and why that?"));
    world.report(&head, "success");
    forge.run_jobs();
    assert_eq!(world.read(iid)["state"], "opened");
    for (discussion, state) in [(first, "opened"), (second, "merged")] {
        world.bot.put(&format!("{discussions}/{discussion}?resolved=true"), Value::Null).expect(200);
        forge.run_jobs();
        assert_eq!(world.read(iid)["state"], state);
    }
}

#[test]
fn waiting_ends_with_new_commits_or_when_it_is_taken_back() {
    let forge = forge!();
    let world = World::new(&forge);
    let iid = world.opened("topic");
    let notes = || world.system_notes(&format!("merge_requests/{iid}"));
    let later = || {
        world.report(&world.tip("topic").unwrap(), "pending");
        world.merge(iid, json!({ "auto_merge": true })).expect(200);
        assert_eq!(world.read(iid)["merge_when_pipeline_succeeds"], true);
    };
    later();
    world.commit("topic", "topic", "2");
    forge.run_jobs();
    assert_eq!(world.read(iid)["merge_when_pipeline_succeeds"], false);
    assert_eq!(notes().last().unwrap(), "aborted the automatic merge because the source branch was updated");
    later();
    let cancel = world.path(&format!("/merge_requests/{iid}/cancel_merge_when_pipeline_succeeds"));
    assert_eq!(world.project.member(30).post(&cancel, json!({})).status, 401);
    let answer = world.bot.post(&cancel, Value::Null).expect(201).json();
    assert_eq!(answer["merge_when_pipeline_succeeds"], false);
    assert_eq!(notes().last().unwrap(), "canceled the automatic merge");
    let again = world.bot.post(&cancel, Value::Null).expect(406).json();
    assert_eq!(again, json!({ "message": "406 Can't cancel the automatic merge" }));
    world.report(&world.tip("topic").unwrap(), "success");
    forge.run_jobs();
    assert_eq!(world.read(iid)["state"], "opened");
}

/// Eve has a token of a project, asks for a merge that waits, and the token is revoked before the statuses are there. What
/// waits must not be done with a right that is gone.
#[test]
fn a_revoked_token_merges_nothing_later() {
    let forge = forge!();
    let world = World::new(&forge);
    let before = world.tip("main");
    for name in ["revoked", "protected"] {
        let eve = world.project.token(&["api"], 40);
        let iid = world.opened(name);
        let head = world.tip(name).unwrap();
        world.report(&head, "pending");
        world.merge_as(&eve, iid, json!({ "auto_merge": true })).expect(200);
        if name == "revoked" {
            forge.root().delete(&world.path(&format!("/access_tokens/{}", eve.token_id))).expect(204);
        } else {
            let body = json!({ "merge_access_level": 0, "push_access_level": 0 });
            forge.root().patch(&world.path("/protected_branches/main"), body).expect(200);
        }
        world.report(&head, "success");
        forge.run_jobs();
        let found = forge.root().get(&world.path(&format!("/merge_requests/{iid}"))).expect(200).json();
        assert_eq!(
            (&found["state"], &found["merge_when_pipeline_succeeds"]),
            (&json!("opened"), &json!(false))
        );
        let because = "the credential that asked for it may not merge any more";
        assert_eq!(found["merge_error"], because);
        let notes = world.system_notes(&format!("merge_requests/{iid}"));
        assert_eq!(*notes.last().unwrap(), format!("aborted the automatic merge because {because}"));
        assert_eq!(world.tip("main"), before, "{name}");
    }
}

#[test]
fn rebasing_makes_the_commits_once_more() {
    let forge = forge!();
    let world = World::new(&forge);
    world.commit("topic", "a", "1");
    let old = world.commit("topic", "a", "2");
    let iid = world.open("topic", "Rebase me");
    let target = world.commit("main", "b", "1");
    let rebase = world.path(&format!("/merge_requests/{iid}/rebase"));
    let diverged = world.path(&format!("/merge_requests/{iid}?include_rebase_in_progress=true"));
    world
        .bot
        .put(&rebase, json!({ "skip_ci": true }))
        .expect_json(202, json!({ "rebase_in_progress": true }));
    assert_eq!(world.bot.get(&diverged).expect(200).json()["rebase_in_progress"], false);
    let new = world.tip("topic").unwrap();
    assert_ne!(new, old);
    let log =
        world.clone().run_in("bare", &["log", "--format=%s|%an|%cn", &format!("{target}..{new}")]).works();
    assert_eq!(log, "change a|ci|ci\nchange a|ci|ci\n");
    assert_eq!(world.read(iid)["sha"], json!(new));
    // There is nothing to do a second time.
    world.bot.put(&rebase, Value::Null).expect(202);
    assert_eq!(world.tip("topic"), Some(new.clone()));

    // What clashes changes nothing but the merge request, which says so until it does not any more.
    world.commit("main", "a", "other");
    world.bot.put(&rebase, json!({})).expect(202);
    assert_eq!(world.tip("topic"), Some(new.clone()));
    let problem = "Rebase failed: Rebase locally, resolve all conflicts, then push the branch.";
    assert_eq!(world.read(iid)["merge_error"], problem);

    // Who may not push there, or not over what is there, may not rebase.
    let reporter = world.project.member(20);
    reporter.put(&rebase, json!({})).expect(403);
    let body = json!({ "name": "topic", "push_access_level": 40, "allow_force_push": false });
    forge.root().post(&world.path("/protected_branches"), body).expect(201);
    let answer = world.bot.put(&rebase, json!({})).expect(403).json();
    let text =
        "403 Forbidden - You are not allowed to force push code to a protected branch on this project.";
    assert_eq!(answer, json!({ "message": text }));
    assert_eq!(world.tip("topic"), Some(new));
    world.bot.put(&world.path("/merge_requests/99/rebase"), json!({})).expect(404);
}
