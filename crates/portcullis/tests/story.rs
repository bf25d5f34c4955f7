//! The life of one token: what it did stays, under the name of the Ghost User, when it is revoked.

use portcullis_testkit::registry::OCI_IMAGE;
use portcullis_testkit::{Bot, Caller, Git, TestForge, forge};
use serde_json::{Value, json};

/// Returns an answer as it should be when everything of the bot is the Ghost User's.
fn handed_over(mut value: Value, bot: &Bot, ghost: &Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = handed_over(item.take(), bot, ghost));
        }
        Value::Object(object) => {
            if object.get("id") == Some(&json!(bot.user_id)) && object.contains_key("username") {
                let shown = |(name, _): (&String, &Value)| (name.clone(), ghost[name.as_str()].clone());
                return object.iter().map(shown).collect();
            }
            for (name, item) in object.iter_mut() {
                *item = match name.as_str() {
                    "author_id" | "creator_id" if *item == bot.user_id => ghost["id"].clone(),
                    "author_username" if item.as_str().is_some_and(|name| name.contains("_bot")) => {
                        ghost["username"].clone()
                    }
                    _ => handed_over(item.take(), bot, ghost),
                };
            }
        }
        _ => {}
    }
    value
}

fn ghost(forge: &TestForge) -> Value {
    forge.root().get("/users?username=ghost").expect(200).json()[0].clone()
}

#[test]
fn all_that_a_token_did_outlives_it_and_nothing_is_lost() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let path = |rest: &str| project.path(rest);
    let made = |rest: &str, body: Value| bot.post(&path(rest), body).expect(201).json();

    made("/labels", json!({ "name": "bug", "color": "#ff0000" }));
    made("/milestones", json!({ "title": "First" }));
    made("/issues", json!({ "title": "It is broken", "description": "very", "labels": "bug" }));
    made("/issues/1/notes", json!({ "body": "I look after it." }));
    made("/issues/1/award_emoji", json!({ "name": "eyes" }));
    made("/issues/1/add_spent_time", json!({ "duration": "1h" }));
    let file = bot.upload(project.id, "trace.txt", b"the trace").expect(201).json();

    made("/repository/branches", json!({ "branch": "mend", "ref": "main" }));
    let action = json!([{ "action": "create", "file_path": "mended.txt", "content": "one\ntwo\n" }]);
    let body = json!({ "branch": "mend", "commit_message": "Mend it", "actions": action });
    let commit = made("/repository/commits", body);
    let sha = commit["id"].as_str().unwrap().to_owned();
    made(&format!("/statuses/{sha}"), json!({ "state": "success", "name": "build" }));

    let body = json!({
        "source_branch": "mend", "target_branch": "main", "title": "Mend it", "description": "Closes #1",
        "remove_source_branch": true,
    });
    let change = made("/merge_requests", body);
    let refs = &change["diff_refs"];
    let position = json!({
        "position_type": "text", "base_sha": refs["base_sha"], "start_sha": refs["start_sha"],
        "head_sha": refs["head_sha"], "new_path": "mended.txt", "old_path": "mended.txt", "new_line": 2,
    });
    let body = json!({ "body": "Is two enough?", "position": position });
    let discussion = made("/merge_requests/1/discussions", body);
    let discussion = format!("/merge_requests/1/discussions/{}", discussion["id"].as_str().unwrap());
    made(&format!("{discussion}/notes"), json!({ "body": "It is." }));
    bot.put(&path(&discussion), json!({ "resolved": true })).expect(200);
    // Somebody else approves: who made a change does not.
    let reviewer = project.member(40);
    reviewer.post(&path("/merge_requests/1/approve"), json!({})).expect(201);
    let merged = bot.put(&path("/merge_requests/1/merge"), json!({ "sha": sha })).expect(200).json();
    assert_eq!((&merged["state"], &merged["merge_user"]["id"]), (&json!("merged"), &json!(bot.user_id)));

    let body = json!({ "tag_name": "v1.0.0", "ref": "main", "name": "One", "description": "Mended." });
    made("/releases", body);
    let asset = json!({ "name": "tool", "url": "https://example.com/tool" });
    made("/releases/v1.0.0/assets/links", asset);
    bot.publish(project.id, "tool/1.0.0/tool.bin", b"the tool").expect(201);
    let image = forge.registry(&bot.secret).repository(&project.full_path);
    let pushed = image.push_image("1.0.0", "the tool");

    let download = |caller: &Caller| {
        caller.send("GET", &format!("/api/v4{}", path("/packages/generic/tool/1.0.0/tool.bin")), &[], b"")
    };
    forge.run_jobs();
    let readings = [
        "/issues/1",
        "/issues/1/notes?sort=asc",
        "/issues/1/discussions",
        "/issues/1/award_emoji",
        "/issues/1/closed_by",
        "/labels",
        "/milestones",
        "/repository/branches",
        "/repository/commits",
        "/repository/commits/main/statuses?all=true",
        "/merge_requests/1",
        "/merge_requests/1/notes?sort=asc",
        "/merge_requests/1/discussions",
        "/merge_requests/1/approvals",
        "/merge_requests/1/commits",
        "/merge_requests/1/diffs",
        "/merge_requests/1/versions",
        "/releases",
        "/repository/tags",
        "/packages",
        "/packages/1/package_files",
        "/registry/repositories?tags=true",
        "/events?per_page=100",
    ];
    let read = |rest: &str| forge.root().get(&path(rest)).expect(200).json();
    let before: Vec<_> = readings.iter().map(|rest| (*rest, read(rest))).collect();
    let said = serde_json::to_string(&before.iter().map(|(_, value)| value).collect::<Vec<_>>()).unwrap();
    assert!(said.contains(&format!("project_{}_bot", project.id)), "the bot is named nowhere");

    forge.root().delete(&path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    bot.get(&path("")).expect(401);
    forge.run_jobs();
    forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);

    let ghost = ghost(&forge);
    let mut changed = 0;
    for (rest, old) in before {
        let now = read(rest);
        let expected = handed_over(old.clone(), &bot, &ghost);
        assert_eq!(now, expected, "{rest}");
        changed += usize::from(now != old);
    }
    assert_eq!(changed, 11, "so many of them named the bot");
    for (rest, field) in [
        ("/issues/1", "author"),
        ("/issues/1", "closed_by"),
        ("/merge_requests/1", "author"),
        ("/merge_requests/1", "merge_user"),
        ("/releases/v1.0.0", "author"),
    ] {
        assert_eq!(read(rest)[field]["name"], "Ghost User", "{field} of {rest}");
    }
    assert_eq!(download(forge.root()).expect(200).text, "the tool");
    let upload = file["full_path"].as_str().unwrap();
    let id_and_name: Vec<_> = upload.rsplit('/').take(2).collect();
    let upload = format!("/api/v4{}", path(&format!("/uploads/{}/{}", id_and_name[1], id_and_name[0])));
    assert_eq!(forge.root().send("GET", &upload, &[], b"").expect(200).text, "the trace");
    let reader = project.token(&["read_registry", "read_repository"], 30);
    let image = image.seen_by(&forge.registry(&reader.secret));
    image.expect_manifest("1.0.0", &pushed.digest, OCI_IMAGE, &pushed.manifest);
    let git = Git::default();
    project.clone_with(&git, &reader.secret, "work");
    assert_eq!(std::fs::read_to_string(git.path("work").join("mended.txt")).unwrap(), "one\ntwo\n");
    // What Git has signed with the bot's name stays as it was: history is not rewritten.
    let author = git.run_in("work", &["log", "-1", "--format=%ae", &sha]).works();
    assert!(author.trim().starts_with(&format!("project_{}_bot", project.id)), "{author}");
}
