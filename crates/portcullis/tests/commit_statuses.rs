//! The statuses of commits: what build servers and bots report, in the ways that they write it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Bot, Project, forge};
use serde_json::{Value, json};

fn tip(bot: &Bot, project: &Project<'_>) -> String {
    let branch = bot.get(&project.path("/repository/branches/main")).expect(200).json();
    branch["commit"]["id"].as_str().unwrap().to_owned()
}

fn statuses(bot: &Bot, project: &Project<'_>, sha: &str, query: &str) -> Vec<(Value, Value)> {
    let path = project.path(&format!("/repository/commits/{sha}/statuses?{query}"));
    let list = bot.get(&path).expect(200).json();
    list.as_array().unwrap().iter().map(|one| (one["name"].clone(), one["status"].clone())).collect()
}

#[test]
fn a_status_is_reported_and_read_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let sha = tip(&bot, &project);
    let list = project.path(&format!("/repository/commits/{sha}/statuses"));
    bot.get(&list).expect_json(200, json!([]));
    let path = project.path(&format!("/statuses/{sha}"));
    let body = json!({
        "state": "running", "name": "build", "target_url": "https://ci.example.com/1", "description": "at it",
        "coverage": "87.5", "pipeline_id": 7,
    });
    let status = bot.post(&path, body).expect(201).json();
    let author = bot.get("/user").json();
    let now = "2026-03-02T12:00:00.000Z";
    let mut expected = json!({
        "id": status["id"],
        "sha": sha,
        "ref": "main",
        "status": "running",
        "name": "build",
        "target_url": "https://ci.example.com/1",
        "description": "at it",
        "created_at": now,
        "started_at": now,
        "finished_at": null,
        "allow_failure": false,
        "coverage": 87.5,
        "pipeline_id": null,
        "author": status["author"],
    });
    assert_eq!(status, expected);
    assert_eq!(
        (&status["author"]["id"], &status["author"]["username"]),
        (&author["id"], &author["username"])
    );
    bot.get(&list).expect_json(200, json!([expected]));
    // The end of it is the same status, which keeps what is not said anew.
    forge.clock.advance_seconds(60);
    let ended = bot
        .post(&path, json!({ "state": "success", "name": "build", "description": "good" }))
        .expect(201)
        .json();
    expected["status"] = json!("success");
    expected["description"] = json!("good");
    expected["finished_at"] = json!("2026-03-02T12:01:00.000Z");
    assert_eq!(ended, expected);
}

#[test]
fn the_last_status_of_each_name_counts() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let sha = tip(&bot, &project);
    let path = project.path(&format!("/statuses/{sha}"));
    let say = |state: &str, name: &str| bot.post(&path, json!({ "state": state, "name": name }));
    for (state, name) in
        [("pending", "a"), ("pending", "a"), ("failed", "a"), ("pending", "a"), ("skipped", "b")]
    {
        say(state, name).expect(201);
    }
    let pair = |name: &str, state: &str| (json!(name), json!(state));
    assert_eq!(statuses(&bot, &project, &sha, ""), [pair("a", "pending"), pair("b", "skipped")]);
    assert_eq!(
        statuses(&bot, &project, &sha, "all=true"),
        [pair("a", "failed"), pair("a", "pending"), pair("b", "skipped")]
    );
    assert_eq!(statuses(&bot, &project, &sha, "name=b"), [pair("b", "skipped")]);
    assert_eq!(statuses(&bot, &project, &sha, "sort=desc&per_page=1"), [pair("b", "skipped")]);
    assert_eq!(statuses(&bot, &project, "main", "name=b"), [pair("b", "skipped")]);
    assert_eq!(statuses(&bot, &project, &sha, "stage=external").len(), 2);
    assert_eq!(statuses(&bot, &project, &sha, "stage=test").len(), 0);
    // What runs does not wait again.
    say("running", "a").expect(201);
    say("pending", "a").expect_json(
        400,
        json!({ "message": "Cannot transition status via :enqueue from :running (Reason(s): Status cannot transition via \"enqueue\")" }),
    );
    // Statuses of one name about two refs are two.
    bot.post(&path, json!({ "state": "success", "name": "b", "ref": "release" })).expect(201);
    assert_eq!(statuses(&bot, &project, &sha, "name=b").len(), 2);
    assert_eq!(statuses(&bot, &project, &sha, "ref=release"), [pair("b", "success")]);
    // A report that names no ref is about what the one before it was about, also when the branch has moved on.
    let body = json!({ "branch": "main", "content": "x", "commit_message": "more" });
    forge.root().post(&project.path("/repository/files/more.txt"), body).expect(201);
    say("success", "a").expect(201);
    assert_eq!(statuses(&bot, &project, &sha, "name=a"), [pair("a", "success")]);
    assert_ne!(tip(&bot, &project), sha);
}

#[test]
fn clients_write_statuses_in_a_form_and_in_the_query() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let sha = tip(&bot, &project);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/api/v4{}", project.path(&format!("/statuses/{sha}")));
    // As one plug-in of Jenkins writes it, and one of SonarQube.
    let body = b"state=pending&ref=main&context=jenkins&target_url=http%3A%2F%2Fjenkins%2Fjob%2F1";
    let status = bot.send("POST", &path, &form, body).expect(201).json();
    assert_eq!((&status["name"], &status["target_url"]), (&json!("jenkins"), &json!("http://jenkins/job/1")));
    let body = b"name=SonarQube&target_url=http%3A%2F%2Fsonar&description=passed&coverage=";
    let status = bot.send("POST", &format!("{path}?state=success"), &form, body).expect(201).json();
    assert_eq!(
        (&status["name"], &status["status"], &status["coverage"]),
        (&json!("SonarQube"), &json!("success"), &Value::Null)
    );
    let status = bot.send("POST", &format!("{path}?state=failed"), &[], b"").expect(201).json();
    assert_eq!(status["name"], "default");
}

#[test]
fn a_status_that_cannot_be_is_named_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let sha = tip(&bot, &project);
    let path = project.path(&format!("/statuses/{sha}"));
    bot.post(&path, json!({})).expect_json(400, json!({ "error": "state is missing" }));
    bot.post(&path, json!({ "state": "created" }))
        .expect_json(400, json!({ "error": "state does not have a valid value" }));
    for coverage in ["much", "-1", "101", "NaN"] {
        bot.post(&path, json!({ "state": "success", "coverage": coverage }))
            .expect_json(400, json!({ "error": "coverage does not have a valid value" }));
    }
    for address in
        ["javascript:alert(1)", "ftp://example.com", "https://a:b@example.com", "x", "https://e/\n"]
    {
        let answer = bot.post(&path, json!({ "state": "success", "target_url": address })).expect(400).json();
        assert!(answer["message"]["target_url"].is_array(), "{answer}");
    }
    for field in ["name", "description", "ref"] {
        let mut body = json!({ "state": "success" });
        body[field] = json!("é".repeat(256));
        let answer = bot.post(&path, body.clone()).expect(400).json();
        assert_eq!(answer["message"][field], json!(["is too long (maximum is 255 characters)"]));
    }
    assert!(statuses(&bot, &project, &sha, "all=true").is_empty());
    // A commit that is not there has no statuses, and gets none.
    let missing = json!({ "message": "404 Commit Not Found" });
    for unknown in ["0".repeat(40), "nothing".to_owned()] {
        bot.get(&project.path(&format!("/repository/commits/{unknown}/statuses")))
            .expect_json(404, missing.clone());
        bot.post(&project.path(&format!("/statuses/{unknown}")), json!({ "state": "success" }))
            .expect_json(404, missing.clone());
    }
    let empty = forge.root().post("/projects", json!({ "name": "empty" })).expect(201).json();
    forge.root().get(&format!("/projects/{}/repository/commits/main/statuses", empty["id"])).expect(404);
}

#[test]
fn developers_report_and_whoever_may_read_the_code_reads() {
    let forge = forge!();
    let project = forge.project("public");
    let (developer, reporter) = (project.token(&["api"], 30), project.token(&["api"], 20));
    let sha = tip(&developer, &project);
    let path = project.path(&format!("/statuses/{sha}"));
    let list = project.path(&format!("/repository/commits/{sha}/statuses"));
    developer.post(&path, json!({ "state": "success" })).expect(201);
    reporter.post(&path, json!({ "state": "success" })).expect(403);
    project
        .token(&["read_api", "write_repository"], 40)
        .post(&path, json!({ "state": "success" }))
        .expect(403);
    forge.anyone().post(&path, json!({ "state": "success" })).expect(401);
    assert_eq!(forge.anyone().get(&list).expect(200).json()[0]["status"], "success");
    forge.root().put(&project.path(""), json!({ "repository_access_level": "private" })).expect(200);
    forge.anyone().get(&list).expect(401);
    let private = forge.project("private");
    private.token(&["api"], 10).get(&private.path("/repository/commits/main/statuses")).expect(403);
    // The bot's reports are the Ghost User's when it is gone.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", developer.token_id))).expect(204);
    forge.run_jobs();
    assert_eq!(reporter.get(&list).expect(200).json()[0]["author"]["username"], "ghost");
    let log = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).json();
    assert!(log.as_array().unwrap().iter().any(|entry| entry["event_name"] == "commit_status_set"));
}

#[test]
fn a_commit_has_a_thousand_statuses_at_most() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let sha = tip(&bot, &project);
    let path = project.path(&format!("/statuses/{sha}"));
    for number in 0..1000 {
        bot.post(&path, json!({ "state": "pending", "name": number.to_string() })).expect(201);
    }
    bot.post(&path, json!({ "state": "pending", "name": "one more" }))
        .expect_json(400, json!({ "message": "The commit has too many statuses (maximum is 1000)" }));
    // What is there goes on.
    bot.post(&path, json!({ "state": "success", "name": "7" })).expect(201);
}
