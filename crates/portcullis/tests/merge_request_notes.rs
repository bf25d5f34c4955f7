//! Comments on merge requests: the same as on issues, for those who may read merge requests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Caller, Person, Project, TestForge, forge};
use serde_json::{Value, json};

fn opened(forge: &TestForge, project: &Project<'_>, author: &Person) -> String {
    let iid = forge.merge_request(project.id, author.id, "Add a file");
    project.path(&format!("/merge_requests/{iid}"))
}

fn bodies(caller: &Caller, path: &str) -> Vec<String> {
    let list = caller.get(path).expect(200).json();
    list.as_array().unwrap().iter().map(|note| note["body"].as_str().unwrap().to_owned()).collect()
}

fn feed(caller: &Caller, project: &Project<'_>) -> Vec<Value> {
    let events = caller.get(&project.path("/events?target_type=note")).expect(200).json();
    events.as_array().unwrap().clone()
}

#[test]
fn a_comment_is_made_read_changed_and_deleted_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let bot = project.token(&["api"], 20);
    let notes = format!("{path}/notes");
    let note = bot.post(&notes, json!({ "body": "Looks good" })).expect(201).json();
    let id = note["id"].as_i64().unwrap();
    let iid: i64 = path.rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(note["author"]["id"], bot.user_id);
    let mut shown = note.clone();
    shown.as_object_mut().unwrap().remove("author");
    let noteable = shown.as_object_mut().unwrap().remove("noteable_id").unwrap();
    assert!(noteable.as_i64().unwrap() > 0);
    let expected = json!({
        "id": id,
        "type": null,
        "body": "Looks good",
        "attachment": null,
        "created_at": "2026-03-02T12:00:00.000Z",
        "updated_at": "2026-03-02T12:00:00.000Z",
        "system": false,
        "noteable_type": "MergeRequest",
        "project_id": project.id,
        "commit_id": null,
        "resolvable": false,
        "confidential": false,
        "internal": false,
        "imported": false,
        "imported_from": "none",
        "noteable_iid": iid,
        "commands_changes": {},
    });
    assert_eq!(shown, expected);
    let one = format!("{notes}/{id}");
    bot.get(&one).expect_json(200, note.clone());
    bot.get(&notes).expect_json(200, json!([note]));

    forge.clock.advance_seconds(60);
    let changed = bot.put(&one, json!({ "body": "Looks better" })).expect(200).json();
    assert_eq!(
        (&changed["body"], &changed["updated_at"]),
        (&json!("Looks better"), &json!("2026-03-02T12:01:00.000Z"))
    );
    let events = feed(&author, &project);
    assert_eq!(events.len(), 1);
    assert_eq!(
        (
            &events[0]["action_name"],
            &events[0]["target_type"],
            &events[0]["target_title"],
            &events[0]["target_iid"]
        ),
        (&json!("commented on"), &json!("Note"), &json!("Add a file"), &json!(iid))
    );
    let quoted = &events[0]["note"];
    assert_eq!((&quoted["body"], &quoted["noteable_type"]), (&json!("Looks better"), &json!("MergeRequest")));
    assert_eq!(events[0]["access_token_id"], bot.token_id);

    // Others change it only with the right to change everybody's.
    let developer = project.member(30);
    developer.put(&one, json!({ "body": "x" })).expect_json(403, json!({ "message": "403 Forbidden" }));
    developer.delete(&one).expect(403);
    bot.delete(&one).expect(204);
    bot.get(&one).expect_json(404, json!({ "message": "404 Note Not Found" }));
    assert_eq!(feed(&author, &project), Vec::<Value>::new());
    let note = author.post(&notes, json!({ "body": "mine" })).expect(201).json();
    let maintainer = project.member(40);
    maintainer.delete(&format!("{notes}/{}", note["id"])).expect(204);
}

#[test]
fn a_comment_is_found_only_where_it_was_made() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let other = opened(&forge, &project, &author);
    let id = author.post(&format!("{path}/notes"), json!({ "body": "x" })).expect(201).json()["id"].clone();
    let issue = author.issue(project.id, "an issue");
    for wrong in [format!("{other}/notes/{id}"), project.path(&format!("/issues/{issue}/notes/{id}"))] {
        author.get(&wrong).expect_json(404, json!({ "message": "404 Note Not Found" }));
        author.put(&wrong, json!({ "body": "y" })).expect(404);
        author.delete(&wrong).expect(404);
    }
    let elsewhere = forge.project("private");
    let iid = forge.merge_request(elsewhere.id, author.id, "Elsewhere");
    forge.root().get(&elsewhere.path(&format!("/merge_requests/{iid}/notes/{id}"))).expect(404);
    for missing in [project.path("/merge_requests/99/notes"), project.path("/merge_requests/x/notes")] {
        let gone = json!({ "message": "404 Merge Request Not Found" });
        author.get(&missing).expect_json(404, gone.clone());
        author.post(&missing, json!({ "body": "x" })).expect_json(404, gone);
    }
    assert_eq!(bodies(&author, &format!("{path}/notes")), ["x"]);
}

#[test]
fn impossible_comments_are_named_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let notes = format!("{}/notes", opened(&forge, &project, &author));
    author.post(&notes, json!({})).expect_json(400, json!({ "error": "body is missing" }));
    author
        .post(&notes, json!({ "body": " " }))
        .expect_json(400, json!({ "message": { "body": ["can't be blank"] } }));
    author.post(&notes, json!({ "body": "x".repeat(1_000_001) })).expect(400);
    let wrong = "order_by does not have a valid value, activity_filter does not have a valid value, \
                 sort does not have a valid value";
    author
        .get(&format!("{notes}?order_by=x&activity_filter=x&sort=x"))
        .expect_json(400, json!({ "error": wrong }));
    author.get(&notes).expect_json(200, json!([]));
}

#[test]
fn lists_are_ordered_filtered_and_paged() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let notes = format!("{}/notes", opened(&forge, &project, &author));
    let mut ids = Vec::new();
    for body in ["a", "b", "c"] {
        ids.push(author.post(&notes, json!({ "body": body })).expect(201).json()["id"].clone());
        forge.clock.advance_seconds(1);
    }
    author.put(&format!("{notes}/{}", ids[0]), json!({ "body": "A" })).expect(200);
    assert_eq!(bodies(&author, &notes), ["c", "b", "A"]);
    assert_eq!(bodies(&author, &format!("{notes}?sort=asc")), ["A", "b", "c"]);
    assert_eq!(bodies(&author, &format!("{notes}?order_by=updated_at")), ["A", "c", "b"]);
    assert_eq!(bodies(&author, &format!("{notes}?activity_filter=only_comments")).len(), 3);
    assert_eq!(bodies(&author, &format!("{notes}?activity_filter=all_notes")).len(), 3);
    assert_eq!(bodies(&author, &format!("{notes}?activity_filter=only_activity")).len(), 0);
    let page = author.get(&format!("{notes}?per_page=2&page=2")).expect(200);
    assert_eq!((page.header("x-total"), page.header("x-total-pages")), (Some("3"), Some("2")));
    assert_eq!(page.json().as_array().unwrap().len(), 1);
    assert_eq!(page.json()[0]["body"], "A");

    // What the forge wrote about a change is activity.
    let issue = author.issue(project.id, "an issue");
    let issue = project.path(&format!("/issues/{issue}"));
    author.post(&format!("{issue}/notes"), json!({ "body": "x" })).expect(201);
    forge.root().put(&issue, json!({ "state_event": "close" })).expect(200);
    assert_eq!(bodies(&author, &format!("{issue}/notes?activity_filter=only_comments")), ["x"]);
    assert_eq!(bodies(&author, &format!("{issue}/notes?activity_filter=only_activity")), ["closed"]);
}

#[test]
fn an_owner_says_when_a_comment_was_made_and_nobody_else() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(40);
    let notes = format!("{}/notes", opened(&forge, &project, &author));
    let body = |at: &str| json!({ "body": "x", "created_at": at });
    let made =
        |caller: &Caller, at: &str| caller.post(&notes, body(at)).expect(201).json()["created_at"].clone();
    assert_eq!(made(forge.root(), "2025-01-02T03:04:05Z"), "2025-01-02T03:04:05.000Z");
    assert_eq!(made(forge.root(), "2027-01-02T03:04:05Z"), "2026-03-02T12:00:00.000Z");
    assert_eq!(made(&author, "2025-01-02T03:04:05Z"), "2026-03-02T12:00:00.000Z");
    let wrong = json!({ "error": "created_at is invalid" });
    forge.root().post(&notes, body("yesterday")).expect_json(400, wrong);
}

/// Somebody who may read a project, but not what its members say to each other, looks for it in every list there is.
#[test]
fn internal_comments_are_shown_to_members_from_reporter_on() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let notes = format!("{path}/notes");
    let reporter = project.token(&["api"], 20);
    let (guest, stranger) = (project.member(10), forge.person("stranger"));
    author.post(&notes, json!({ "body": "open" })).expect(201);
    let hidden = reporter.post(&notes, json!({ "body": "hidden", "internal": true })).expect(201).json();
    assert_eq!((&hidden["internal"], &hidden["confidential"]), (&json!(true), &json!(true)));
    for caller in [&author.caller, &reporter.caller] {
        assert_eq!(bodies(caller, &format!("{notes}?sort=asc")), ["open", "hidden"]);
        assert_eq!(feed(caller, &project).len(), 2);
    }
    for caller in [&guest.caller, &stranger.caller, &forge.anyone()] {
        assert_eq!(bodies(caller, &notes), ["open"]);
        assert_eq!(caller.get(&notes).header("x-total"), Some("1"));
        let one = format!("{notes}/{}", hidden["id"]);
        caller.get(&one).expect_json(404, json!({ "message": "404 Note Not Found" }));
        assert_eq!(
            caller.get(&format!("{path}/discussions")).expect(200).json().as_array().unwrap().len(),
            1
        );
        assert_eq!(feed(caller, &project).len(), 1);
    }
    stranger.put(&format!("{notes}/{}", hidden["id"]), json!({ "body": "x" })).expect(404);
    stranger.post(&notes, json!({ "body": "x", "internal": true })).expect(403);
    stranger.post(&notes, json!({ "body": "from outside" })).expect(201);
    assert_eq!(bodies(&author, &notes).len(), 3);
}

/// Merge requests are for members only, or turned off; the activity feed goes on quoting what is said on them.
#[test]
fn the_feed_says_nothing_of_merge_requests_and_issues_to_those_who_may_not_read_them() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    author.post(&format!("{path}/notes"), json!({ "body": "on a merge request" })).expect(201);
    let issue = author.issue(project.id, "an issue");
    author
        .post(&project.path(&format!("/issues/{issue}/notes")), json!({ "body": "on an issue" }))
        .expect(201);
    let anyone = forge.anyone();
    let quoted = |caller: &Caller| {
        let mut quoted: Vec<_> = feed(caller, &project)
            .iter()
            .map(|event| event["note"]["body"].as_str().unwrap().to_owned())
            .collect();
        quoted.sort();
        quoted
    };
    assert_eq!(quoted(&anyone), ["on a merge request", "on an issue"]);
    forge.root().put(&project.path(""), json!({ "issues_access_level": "private" })).expect(200);
    assert_eq!(quoted(&anyone), ["on a merge request"]);
    let issues = |caller: &Caller| {
        caller.get(&project.path("/events?target_type=issue")).expect(200).json().as_array().unwrap().len()
    };
    assert_eq!((issues(&anyone), issues(&author)), (0, 1));
    assert_eq!(quoted(&author), ["on a merge request", "on an issue"]);
    // A Guest of a private project reads no merge requests.
    let project = forge.project("private");
    let (author, guest) = (project.member(30), project.member(10));
    let path = opened(&forge, &project, &author);
    author.post(&format!("{path}/notes"), json!({ "body": "x" })).expect(201);
    guest.get(&format!("{path}/notes")).expect(403);
    guest.post(&format!("{path}/notes"), json!({ "body": "x" })).expect(403);
    assert_eq!((feed(&guest, &project).len(), feed(&author, &project).len()), (0, 1));
}

#[test]
fn the_comments_of_a_revoked_bot_are_the_ghost_users() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let bot = project.token(&["api"], 30);
    let mine =
        author.post(&format!("{path}/discussions"), json!({ "body": "a question" })).expect(201).json();
    let discussion = format!("{path}/discussions/{}", mine["id"].as_str().unwrap());
    bot.post(&format!("{discussion}/notes"), json!({ "body": "an answer" })).expect(201);
    bot.put(&discussion, json!({ "resolved": true })).expect(200);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let found = author.get(&discussion).expect(200).json();
    assert_eq!(found["notes"][1]["author"]["username"], "ghost");
    assert_eq!(found["notes"][0]["resolved_by"]["username"], "ghost");
    assert_eq!(found["notes"][0]["resolved"], true);
}
