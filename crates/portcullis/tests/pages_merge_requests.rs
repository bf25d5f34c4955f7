//! The pages of merge requests, as a browser sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Bot, Browser, Person, Project, TestForge, forge, form_number};
use serde_json::{Value, json};

const MARKUP: &str = "<script>alert(1)</script>";

/// A private project with a bot, a Maintainer, a Developer and a Reporter.
struct World<'a> {
    project: Project<'a>,
    bot: Bot,
    maintainer: Person,
    developer: Person,
    reporter: Person,
}

fn world(forge: &TestForge) -> World<'_> {
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let (maintainer, developer, reporter) = (project.member(40), project.member(30), project.member(20));
    World { project, bot, maintainer, developer, reporter }
}

impl World<'_> {
    fn at(&self, rest: &str) -> String {
        format!("/{}/-/merge_requests{rest}", self.project.full_path)
    }

    /// Commits a file to a branch, which begins from `main` where it is not there.
    #[track_caller]
    fn commit(&self, branch: &str, file: &str, content: &str) {
        let there = self.bot.get(&self.project.path(&format!("/repository/branches/{branch}"))).status == 200;
        let reference = if there { branch } else { "main" };
        let tree = self.bot.get(&self.project.path(&format!("/repository/tree?ref={reference}"))).json();
        let known = tree.as_array().unwrap().iter().any(|entry| entry["path"] == file);
        let mut body = json!({
            "branch": branch, "commit_message": format!("Change {file} {MARKUP}"),
            "actions": [{ "action": if known { "update" } else { "create" }, "file_path": file, "content": content }],
        });
        if !there {
            body["start_branch"] = json!("main");
        }
        self.bot.post(&self.project.path("/repository/commits"), body).expect(201);
    }

    #[track_caller]
    fn open(&self, source: &str, title: &str) -> i64 {
        let body = json!({ "source_branch": source, "target_branch": "main", "title": title });
        let made = self.bot.post(&self.project.path("/merge_requests"), body).expect(201).json();
        made["iid"].as_i64().unwrap()
    }

    fn read(&self, iid: i64) -> Value {
        self.bot.get(&self.project.path(&format!("/merge_requests/{iid}"))).expect(200).json()
    }
}

#[track_caller]
fn page(browser: &Browser, path: &str) -> String {
    let answer = browser.get(path).expect(200);
    assert!(!answer.text.contains("<script>alert"), "{path}");
    answer.text
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Returns the value of a hidden field.
#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_list_begins_empty_and_shows_each_state() {
    let forge = forge!();
    let world = world(&forge);
    let browser = Browser::signed_in(&forge, &world.developer.username);
    contains(&page(&browser, &world.at("")), &["No open merge requests", "Open a merge request"]);
    let reporter = Browser::signed_in(&forge, &world.reporter.username);
    assert!(!page(&reporter, &world.at("")).contains("/merge_requests/new"));
    for name in ["one", "two", "three"] {
        world.commit(name, &format!("{name}.txt"), name);
        world.open(name, &format!("{name} {MARKUP}"));
    }
    world.bot.put(&world.project.path("/merge_requests/2"), json!({ "state_event": "close" })).expect(200);
    world.bot.get(&world.project.path("/merge_requests/3")).expect(200);
    world.bot.put(&world.project.path("/merge_requests/3/merge"), Value::Null).expect(200);
    let labelled = json!({ "labels": "x,y", "title": format!("Draft: one {MARKUP}") });
    world.bot.put(&world.project.path("/merge_requests/1"), labelled).expect(200);
    let list = page(&browser, &world.at(""));
    contains(
        &list,
        &[
            "Open <span class=\"badge\">1</span>",
            "Merged <span class=\"badge\">1</span>",
            "Closed <span class=\"badge\">1</span>",
            "All <span class=\"badge\">3</span>",
            "<code>one</code> into <code>main</code>",
            "<span class=\"badge accent\">Bot</span>",
            ">Draft</span>",
        ],
    );
    let found = |query: &str| page(&browser, &world.at(query)).matches("<p class=\"title\">").count();
    for (query, count) in [
        ("?state=merged", 1),
        ("?state=all", 3),
        ("?label=y", 1),
        ("?label=z", 0),
        ("?search=three&state=all", 1),
    ] {
        assert_eq!(found(query), count, "{query}");
    }
    contains(&page(&browser, &world.at("?label=z")), &["Nothing found"]);
}

#[test]
fn one_is_opened_once_and_what_was_typed_is_kept_when_it_cannot_be() {
    let forge = forge!();
    let world = world(&forge);
    world.commit("topic/a", "a.txt", "a");
    let browser = Browser::signed_in(&forge, &world.developer.username);
    let form = page(&browser, &world.at("/new"));
    contains(
        &form,
        &[
            "<option value=\"topic/a\" selected>",
            "<option value=\"main\" selected>",
            "name=\"reviewer_ids[]\"",
            "name=\"squash\"",
        ],
    );
    let number = form_number(&form);
    let reviewer = world.reporter.id.to_string();
    let fields = |number: &str, more: &[(&'static str, &str)]| {
        let mut fields = vec![
            ("form_number".to_owned(), number.to_owned()),
            ("description".to_owned(), "Closes #1\r\n</textarea>".to_owned()),
            ("reviewer_ids[]".to_owned(), reviewer.clone()),
            ("more_labels".to_owned(), "new one".to_owned()),
            ("remove_source_branch".to_owned(), "yes".to_owned()),
        ];
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        fields
    };
    let send = |number: &str, more: &[(&'static str, &str)]| {
        let fields = fields(number, more);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.post(&world.at(""), &fields)
    };
    let back = send(&number, &[("source_branch", "gone"), ("target_branch", "main"), ("title", "x")]);
    let back = back.expect(422).text;
    contains(
        &back,
        &["does not exist", "id=\"source_branch-error\"", "&#60;/textarea&#62;", "value=\"new one\""],
    );
    let same = [("source_branch", "main"), ("target_branch", "main"), ("title", "x")];
    let back = send(&form_number(&back), &same).expect(422).text;
    contains(&back, &["same project/branch"]);
    let good = [("source_branch", "topic/a"), ("target_branch", "main"), ("title", "Add <a>")];
    let number = form_number(&back);
    let made = send(&number, &good).expect(303);
    assert_eq!(made.header("location"), Some(world.at("/1").as_str()));
    contains(&send(&number, &good).expect(409).text, &["sent before", "Add &#60;a&#62;"]);
    contains(
        &send(&form_number(&page(&browser, &world.at("/new"))), &good).expect(422).text,
        &["Another open merge request already exists"],
    );
    let found = world.read(1);
    assert_eq!(found["description"], "Closes #1\n</textarea>");
    assert_eq!(
        (&found["labels"], &found["reviewers"][0]["id"]),
        (&json!(["new one"]), &json!(world.reporter.id))
    );
    assert_eq!(found["force_remove_source_branch"], true);
    let text = page(&browser, &world.at("/1"));
    contains(&text, &["Add &#60;a&#62;", "topic/a", "It can be merged.", "Approve</button>"]);
    // The default branch is protected: a Developer does not merge into it, and is not asked to.
    assert!(!text.contains("/1/merge\""), "{text}");
    Browser::signed_in(&forge, &world.reporter.username).get(&world.at("/new")).expect(404);
}

#[test]
fn one_is_approved_and_merged_as_it_was_looked_at() {
    let forge = forge!();
    let world = world(&forge);
    forge.root().issue(world.project.id, "slow");
    world.commit("topic", "a.txt", "a");
    world.open("topic", "Make it fast");
    world
        .bot
        .put(&world.project.path("/merge_requests/1"), json!({ "description": "Closes #1" }))
        .expect(200);
    let browser = Browser::signed_in(&forge, &world.maintainer.username);
    let text = page(&browser, &world.at("/1"));
    contains(&text, &["It can be merged.", "Merging it closes:", "#1 slow", "Nobody yet", "name=\"squash\""]);
    let sha = hidden(&text, "sha");
    let approve = |sha: &str| browser.post(&world.at("/1/approval"), &[("approval", "give"), ("sha", sha)]);
    // What was not looked at is neither approved nor merged.
    world.commit("topic", "b.txt", "b");
    contains(&approve(&sha).expect(409).text, &["New commits were pushed"]);
    contains(
        &browser.post(&world.at("/1/merge"), &[("sha", &sha)]).expect(409).text,
        &["New commits were pushed"],
    );
    contains(&browser.post(&world.at("/1/merge"), &[]).expect(409).text, &["New commits were pushed"]);
    assert_eq!(world.read(1)["state"], "opened");

    let sha = hidden(&page(&browser, &world.at("/1")), "sha");
    approve(&sha).expect(303);
    contains(
        &page(&browser, &world.at("/1")),
        &["You approved this", "Revoke approval", "approved this merge request"],
    );
    contains(&approve(&sha).expect(409).text, &["You approved it already"]);
    browser.post(&world.at("/1/approval"), &[("approval", "revoke")]).expect(303);
    browser.post(&world.at("/1/approval"), &[("approval", "revoke")]).expect(303);
    contains(&page(&browser, &world.at("/1")), &["You did not approve", "Nobody yet"]);
    approve(&sha).expect(303);

    let options = [
        ("sha", sha.as_str()),
        ("squash", "yes"),
        ("remove_source_branch", "yes"),
        ("merge_commit_message", "In one go"),
    ];
    // Who may not merge into the branch is told so, and nothing happens.
    let developer = Browser::signed_in(&forge, &world.developer.username);
    contains(&developer.post(&world.at("/1/merge"), &options).expect(409).text, &["not by you"]);
    Browser::signed_in(&forge, &world.reporter.username).post(&world.at("/1/merge"), &options).expect(404);
    browser.post(&world.at("/1/merge"), &options).expect(303);
    let found = world.read(1);
    assert_eq!((&found["state"], &found["merged_by"]["id"]), (&json!("merged"), &json!(world.maintainer.id)));
    assert!(found["squash_commit_sha"].is_string());
    let commit = found["merge_commit_sha"].as_str().unwrap().to_owned();
    let message =
        world.bot.get(&world.project.path(&format!("/repository/commits/{commit}"))).json()["message"]
            .clone();
    assert_eq!(message, "In one go\n");
    world.bot.get(&world.project.path("/repository/branches/topic")).expect(404);
    let text = page(&browser, &world.at("/1"));
    contains(
        &text,
        &["The merge request is merged.", "Merged into <code>main</code> by", &commit, "Closed with it:"],
    );
    for gone in ["/1/merge\"", "/1/state\"", "/1/approval\"", "It can be merged."] {
        assert!(!text.contains(gone), "{gone}");
    }
    // A second tab merges it again.
    contains(&browser.post(&world.at("/1/merge"), &options).expect(409).text, &["cannot be merged"]);
    contains(
        &page(&browser, &world.at("/1/commits")),
        &["Change a.txt &#60;script&#62;", "<span class=\"badge accent\">Bot</span>"],
    );
    contains(&page(&browser, &world.at("/1/diffs")), &["2 changed files"]);
}

#[test]
fn what_is_in_the_way_is_said_in_words() {
    let forge = forge!();
    let world = world(&forge);
    let browser = Browser::signed_in(&forge, &world.maintainer.username);
    world
        .bot
        .post(&world.project.path("/repository/branches"), json!({ "branch": "same", "ref": "main" }))
        .expect(201);
    world.open("same", "Nothing in it");
    contains(&page(&browser, &world.at("/1")), &["There is nothing to merge", "git push origin same"]);
    contains(&page(&browser, &world.at("/1/commits")), &["No commits"]);
    contains(&page(&browser, &world.at("/1/diffs")), &["Nothing changes"]);

    let odd = "a;b$(c)'d";
    let start = json!({ "branch": odd, "ref": "main" });
    world.bot.post(&world.project.path("/repository/branches"), start).expect(201);
    let body = |branch: &str, content: &str| json!({ "branch": branch, "commit_message": "change", "actions": [{ "action": "update", "file_path": "README.md", "content": content }] });
    for (branch, content) in [(odd, "theirs"), ("main", "ours")] {
        world.bot.post(&world.project.path("/repository/commits"), body(branch, content)).expect(201);
    }
    world.open(odd, "Conflict");
    let text = page(&browser, &world.at("/2"));
    // A name that means something to a shell is copied as a word.
    contains(
        &text,
        &[
            "changed the same places",
            "git switch &#39;a;b$(c)&#39;\\&#39;&#39;d&#39;",
            "git merge origin/main",
        ],
    );
    assert!(!text.contains("/2/merge\""));
    contains(
        &browser.post(&world.at("/2/merge"), &[("sha", "x")]).expect(422).text,
        &["Branch cannot be merged."],
    );

    world.commit("draft", "d.txt", "d");
    world.open("draft", "Draft: later");
    contains(&page(&browser, &world.at("/3")), &["It is a draft", ">Draft</span>"]);

    world.commit("gone", "g.txt", "g");
    world.open("gone", "Gone");
    world.bot.delete(&world.project.path("/repository/branches/gone")).expect(204);
    contains(&page(&browser, &world.at("/4")), &["is no longer there"]);

    world.commit("checked", "c.txt", "c");
    world.open("checked", "Checked");
    let asks = json!({ "only_allow_merge_if_pipeline_succeeds": true, "only_allow_merge_if_all_discussions_are_resolved": true });
    forge.root().put(&world.project.path(""), asks).expect(200);
    contains(&page(&browser, &world.at("/5")), &["statuses of its last commit are good"]);
    world
        .bot
        .post(&world.project.path("/merge_requests/5/discussions"), json!({ "body": "why" }))
        .expect(201);
    contains(&page(&browser, &world.at("/5")), &["when every discussion is resolved"]);

    let ff = json!({ "merge_method": "ff", "only_allow_merge_if_pipeline_succeeds": false, "only_allow_merge_if_all_discussions_are_resolved": false });
    forge.root().put(&world.project.path(""), ff).expect(200);
    world.commit("main", "later.txt", "later");
    let text = page(&browser, &world.at("/5"));
    contains(&text, &["come after those of main", "Rebase</button>"]);
    browser.post(&world.at("/5/rebase"), &[]).expect(303);
    contains(
        &page(&browser, &world.at("/5")),
        &["come after those of the target branch now", "It can be merged."],
    );
    contains(&browser.post(&world.at("/2/rebase"), &[]).expect(422).text, &["Rebase failed"]);
    Browser::signed_in(&forge, &world.reporter.username).post(&world.at("/5/rebase"), &[]).expect(404);
}

#[test]
fn one_is_changed_closed_and_reopened() {
    let forge = forge!();
    let world = world(&forge);
    world.commit("topic", "a.txt", "a");
    world.commit("next", "n.txt", "n");
    world.open("topic", "one");
    let browser = Browser::signed_in(&forge, &world.developer.username);
    let form = page(&browser, &world.at("/1/edit"));
    contains(&form, &["name=\"target_branch\"", "value=\"one\""]);
    assert!(!form.contains("name=\"source_branch\""));
    let seen = hidden(&form, "seen");
    let mine = |seen: &str, title: &str, target: &str| {
        let fields = [
            ("seen", seen),
            ("title", title),
            ("description", "mine"),
            ("target_branch", target),
            ("squash", "yes"),
            ("more_labels", "l"),
        ];
        browser.post(&world.at("/1/edit"), &fields)
    };
    contains(&mine(&seen, "", "next").expect(422).text, &["id=\"title-error\"", "\nmine</textarea>"]);
    contains(
        &mine(&seen, "two", "nowhere").expect(422).text,
        &["does not exist", "id=\"target_branch-error\""],
    );
    world.bot.put(&world.project.path("/merge_requests/1"), json!({ "title": "theirs" })).expect(200);
    let back = mine(&seen, "two", "next").expect(409).text;
    contains(&back, &["changed the title or the description", "value=\"two\""]);
    mine(&hidden(&back, "seen"), "two", "next").expect(303);
    let found = world.read(1);
    assert_eq!((&found["title"], &found["target_branch"]), (&json!("two"), &json!("next")));
    assert_eq!((&found["squash"], &found["labels"]), (&json!(true), &json!(["l"])));
    browser.post(&world.at("/1/state"), &[("state_event", "close")]).expect(303);
    contains(&page(&browser, &world.at("/1")), &["Closed by", "Reopen merge request", "and not merged"]);
    browser.post(&world.at("/1/state"), &[("state_event", "reopen")]).expect(303);
    assert_eq!(world.read(1)["state"], "opened");
    browser.post(&world.at("/1/state"), &[("state_event", "burn")]).expect(422);
    // Closed while its branch goes, it cannot be reopened.
    browser.post(&world.at("/1/state"), &[("state_event", "close")]).expect(303);
    world.bot.delete(&world.project.path("/repository/branches/topic")).expect(204);
    let answer = browser.post(&world.at("/1/state"), &[("state_event", "reopen")]).expect(422);
    contains(&answer.text, &["A branch is missing"]);
    // Who may not is told that there is nothing.
    let reporter = Browser::signed_in(&forge, &world.reporter.username);
    assert!(!page(&reporter, &world.at("/1")).contains("/1/edit"));
    for path in ["/1/edit", "/1/state"] {
        reporter.post(&world.at(path), &[("state_event", "reopen"), ("title", "taken")]).expect(404);
    }
    for path in ["/7", "/x", "/7/commits", "/7/diffs", "/1/edit"] {
        reporter.get(&world.at(path)).expect(404);
    }
}

#[test]
fn what_is_said_about_lines_stands_below_them_and_is_settled() {
    let forge = forge!();
    let world = world(&forge);
    world.commit("topic", "a.txt", "first\nsecond\nthird\n");
    world.open("topic", "one");
    let refs = world.read(1)["diff_refs"].clone();
    let place = json!({
        "base_sha": refs["base_sha"], "start_sha": refs["start_sha"], "head_sha": refs["head_sha"],
        "position_type": "text", "new_path": "a.txt", "new_line": 2,
    });
    let body = json!({ "body": format!("why {MARKUP} this"), "position": place });
    let made = world.bot.post(&world.project.path("/merge_requests/1/discussions"), body).expect(201).json();
    let key = made["id"].as_str().unwrap().to_owned();
    let note = made["notes"][0]["id"].as_i64().unwrap();
    let browser = Browser::signed_in(&forge, &world.developer.username);
    let diff = page(&browser, &world.at("/1/diffs"));
    let (second, remark) = (diff.find("<pre>second").unwrap(), diff.find("why &lt;script&gt;").unwrap());
    assert!(second < remark && remark < diff.find("<pre>third").unwrap(), "{diff}");
    contains(
        &diff,
        &[
            "<span class=\"badge accent\">Bot</span>",
            &format!("{}#note_{note}", world.at("/1")),
            ">Reply</a>",
        ],
    );
    let text = page(&browser, &world.at("/1"));
    contains(
        &text,
        &["<code>a.txt</code>", "line 2, after the change", "Not resolved", "Resolve discussion"],
    );
    let resolve = world.at(&format!("/1/discussions/{key}/resolve"));
    let reporter = Browser::signed_in(&forge, &world.reporter.username);
    assert!(!page(&reporter, &world.at("/1")).contains("Resolve discussion"));
    reporter.post(&resolve, &[("resolved", "yes")]).expect(404);
    browser.post(&resolve, &[("resolved", "yes")]).expect(303);
    contains(
        &page(&browser, &world.at("/1")),
        &["The discussion is resolved.", "Resolved</span> by", "Unresolve discussion"],
    );
    contains(&page(&browser, &world.at("/1/diffs")), &["Resolved</span>"]);
    browser.post(&resolve, &[("resolved", "no")]).expect(303);
    contains(&page(&browser, &world.at("/1")), &["The discussion is open again.", "Not resolved"]);
    // A Reporter answers, and comments.
    let reply = world.at(&format!("/1/discussions/{key}/notes"));
    let number = form_number(&page(&reporter, &world.at("/1")));
    reporter.post(&reply, &[("form_number", &number), ("body", "because")]).expect(303);
    contains(&page(&browser, &world.at("/1/diffs")), &["1 answer</a>"]);
    // A line is commented on; what cannot be comes back with what was typed.
    let link = format!("{}?file=a%2Etxt&#38;old_path=a%2Etxt", world.at("/1/discussions/new"));
    assert!(diff.contains(&link) || diff.contains(&link.replace("%2E", ".")), "{diff}");
    let form = page(&reporter, &world.at("/1/discussions/new?file=a.txt&old_path=a.txt"));
    let ends: Vec<_> =
        ["base_sha", "start_sha", "head_sha"].into_iter().map(|name| (name, hidden(&form, name))).collect();
    let send = |number: &str, line: &str, body: &str| {
        let mut fields = vec![
            ("form_number", number),
            ("file", "a.txt"),
            ("line", line),
            ("side", "after"),
            ("body", body),
        ];
        fields.extend(ends.iter().map(|(name, value)| (*name, value.as_str())));
        reporter.post(&world.at("/1/discussions"), &fields)
    };
    let wrong = send(&form_number(&form), "none", "kept").expect(422).text;
    contains(&wrong, &["is not the number of a line", "\nkept</textarea>", "value=\"a.txt\""]);
    let wrong = send(&form_number(&wrong), "3", "").expect(422).text;
    contains(&wrong, &["The comment can&#39;t be blank."]);
    let number = form_number(&wrong);
    send(&number, "3", "at the end").expect(303);
    contains(&send(&number, "3", "at the end").expect(409).text, &["sent before", "\nat the end</textarea>"]);
    let diff = page(&browser, &world.at("/1/diffs"));
    assert!(diff.find("<pre>third").unwrap() < diff.find("at the end").unwrap());
    assert_eq!(diff.matches("at the end").count(), 1);
    let other = world.at(&format!("/1/discussions/{:040x}/resolve", 999_999));
    browser.post(&other, &[("resolved", "yes")]).expect(404);
}

#[test]
fn who_may_not_read_the_code_is_shown_none_of_it() {
    let forge = forge!();
    let project = forge.project("public");
    let bot = project.token(&["api"], 40);
    let body = json!({ "branch": "topic", "start_branch": "main", "commit_message": "add",
        "actions": [{ "action": "create", "file_path": "a.txt", "content": "secret" }] });
    bot.post(&project.path("/repository/commits"), body).expect(201);
    let body = json!({ "source_branch": "topic", "target_branch": "main", "title": "one" });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    let at = |rest: &str| format!("/{}/-/merge_requests{rest}", project.full_path);
    let anyone = Browser::new(&forge);
    contains(&page(&anyone, &at("/1/diffs")), &["secret"]);
    let text = page(&anyone, &at("/1"));
    contains(&text, &["Sign in</a> to comment", "It can be merged."]);
    assert!(!text.contains("method=\"post\" action"), "{text}");
    anyone.get(&at("/new")).expect(303);
    forge.root().put(&project.path(""), json!({ "repository_access_level": "private" })).expect(200);
    let stranger = forge.person("stranger");
    let stranger = Browser::signed_in(&forge, &stranger.username);
    let answer = stranger.get(&at("/1"));
    if answer.status == 200 {
        assert!(!answer.text.contains("/1/diffs") && !answer.text.contains("/1/commits"));
    }
    stranger.get(&at("/1/diffs")).expect(404);
    stranger.get(&at("/1/commits")).expect(404);
    forge.root().put(&project.path(""), json!({ "merge_requests_access_level": "disabled" })).expect(200);
    stranger.get(&at("")).expect(404);
    assert!(!page(&stranger, &format!("/{}", project.full_path)).contains("/-/merge_requests"));
}
