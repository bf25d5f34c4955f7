//! What users follow: subscriptions, and what they keep for later.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Caller, forge};
use serde_json::{Value, json};

fn titles(caller: &Caller, query: &str) -> Vec<String> {
    let list = caller.get(&format!("/todos{query}")).expect(200).json();
    list.as_array().unwrap().iter().map(|todo| todo["body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_kept_for_later_is_listed_and_done() {
    let forge = forge!();
    let project = forge.project("private");
    let (author, other) = (project.member(30), project.member(30));
    let issue = author.issue(project.id, "an issue");
    let merge_request = forge.merge_request(project.id, author.id, "a merge request");
    author.get("/todos").expect_json(200, json!([]));
    let path = project.path(&format!("/issues/{issue}/todo"));
    let todo = author.post(&path, json!({})).expect(201).json();
    let url = format!("{}/{}/-/issues/{issue}", forge.url, project.full_path);
    assert_eq!(
        (&todo["action_name"], &todo["state"], &todo["body"]),
        (&json!("marked"), &json!("pending"), &json!("an issue"))
    );
    assert_eq!((&todo["target_type"], &todo["target_url"]), (&json!("Issue"), &json!(url)));
    assert_eq!((&todo["target"]["iid"], &todo["target"]["state"]), (&json!(issue), &json!("opened")));
    assert_eq!((&todo["author"]["id"], &todo["project"]["id"]), (&json!(author.id), &json!(project.id)));
    assert_eq!(todo["project"]["path_with_namespace"], json!(project.full_path));
    // Once is enough, while it waits.
    assert_eq!(author.post(&path, json!({})).expect(304).text, "");
    author.post(&project.path(&format!("/merge_requests/{merge_request}/todo")), Value::Null).expect(201);
    assert_eq!(titles(&author, ""), ["a merge request", "an issue"]);
    assert_eq!(titles(&author, "?type=Issue"), ["an issue"]);
    assert_eq!(titles(&author, "?type=MergeRequest&action=marked"), ["a merge request"]);
    assert_eq!(titles(&author, &format!("?project_id={}&author_id={}", project.id, author.id)).len(), 2);
    assert_eq!(titles(&author, "?project_id=99").len(), 0);
    assert_eq!(titles(&author, "?state=done").len(), 0);
    let page = author.get("/todos?per_page=1&page=2").expect(200);
    assert_eq!((page.header("x-total"), page.header("x-page")), (Some("2"), Some("2")));
    author.get("/todos?state=x&type=y").expect_json(
        400,
        json!({ "error": "state does not have a valid value, type does not have a valid value" }),
    );

    // They are their user's alone.
    other.get("/todos").expect_json(200, json!([]));
    let gone = json!({ "message": "404 Todo Not Found" });
    other.post(&format!("/todos/{}/mark_as_done", todo["id"]), json!({})).expect_json(404, gone.clone());
    let done = author.post(&format!("/todos/{}/mark_as_done", todo["id"]), json!({})).expect(200).json();
    assert_eq!((&done["id"], &done["state"]), (&todo["id"], &json!("done")));
    author.post("/todos/999/mark_as_done", json!({})).expect_json(404, gone);
    assert_eq!(
        (titles(&author, ""), titles(&author, "?state=done")),
        (vec!["a merge request".into()], vec!["an issue".to_owned()])
    );
    author.post(&path, json!({})).expect(201);
    author.post("/todos/mark_as_done", json!({})).expect(204);
    assert_eq!((titles(&author, "").len(), titles(&author, "?state=done").len()), (0, 3));
    forge.anyone().get("/todos").expect(401);
    project.token(&["read_api"], 30).post("/todos/mark_as_done", json!({})).expect(403);
}

/// Somebody keeps what they can read today, to go on reading its title when they may no longer.
#[test]
fn what_may_not_be_read_any_more_is_not_listed() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(30);
    let stranger = forge.person("stranger");
    let issue = author.issue(project.id, "an issue");
    let issue_path = project.path(&format!("/issues/{issue}"));
    let merge_request = forge.merge_request(project.id, author.id, "a merge request");
    stranger.post(&format!("{issue_path}/todo"), json!({})).expect(201);
    stranger.post(&project.path(&format!("/merge_requests/{merge_request}/todo")), json!({})).expect(201);
    assert_eq!(titles(&stranger, ""), ["a merge request", "an issue"]);
    author.put(&issue_path, json!({ "confidential": true })).expect(200);
    assert_eq!(titles(&stranger, ""), ["a merge request"]);
    author.put(&issue_path, json!({ "assignee_ids": [stranger.id] })).expect(200);
    author.put(&issue_path, json!({ "confidential": false })).expect(200);
    forge.root().put(&project.path(""), json!({ "issues_access_level": "private" })).expect(200);
    assert_eq!(titles(&stranger, ""), ["a merge request"]);
    forge.root().put(&project.path(""), json!({ "issues_access_level": "enabled" })).expect(200);
    assert_eq!(titles(&stranger, "").len(), 2);
    forge.root().put(&project.path(""), json!({ "visibility": "private" })).expect(200);
    assert_eq!(titles(&stranger, "").len(), 0);
    let body = json!({ "user_id": stranger.id, "access_level": 10 });
    forge.root().post(&project.path("/members"), body).expect(201);
    // A Guest of a private project reads issues, and no merge requests.
    assert_eq!(titles(&stranger, ""), ["an issue"]);
    stranger.post(&project.path(&format!("/merge_requests/{merge_request}/todo")), json!({})).expect(403);
    let body = json!({ "access_level": 20 });
    forge.root().put(&project.path(&format!("/members/{}", stranger.id)), body).expect(200);
    assert_eq!(titles(&stranger, "").len(), 2);
    // An issue that is deleted is nobody's to do.
    forge.root().delete(&issue_path).expect(204);
    assert_eq!(titles(&stranger, ""), ["a merge request"]);
    forge.root().delete(&project.path("")).expect(202);
    assert_eq!(titles(&stranger, "").len(), 0);
}

#[test]
fn one_asks_to_be_told_of_issues_and_labels_and_stops() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(20);
    let other = project.member(20);
    let issue = project.path(&format!("/issues/{}", author.issue(project.id, "an issue")));
    let told = |caller: &Caller| caller.get(&issue).expect(200).json()["subscribed"].clone();
    // Who opened it is told of it, and who commented or is to deal with it.
    assert_eq!((told(&author), told(&other)), (json!(true), json!(false)));
    assert_eq!(author.post(&format!("{issue}/subscribe"), json!({})).expect(304).text, "");
    let shown = other.post(&format!("{issue}/subscribe"), json!({})).expect(201).json();
    assert_eq!((&shown["subscribed"], &shown["title"]), (&json!(true), &json!("an issue")));
    other.post(&format!("{issue}/subscribe"), json!({})).expect(304);
    for (caller, answer) in [(&other, 201), (&other, 304), (&author, 201)] {
        caller.post(&format!("{issue}/unsubscribe"), Value::Null).expect(answer);
        assert_eq!(told(caller), false);
    }
    let third = project.member(20);
    assert_eq!(told(&third), false);
    third.post(&format!("{issue}/notes"), json!({ "body": "x" })).expect(201);
    assert_eq!(told(&third), true);
    let fourth = project.member(20);
    author.put(&issue, json!({ "assignee_ids": [fourth.id] })).expect(200);
    assert_eq!(told(&fourth), true);
    fourth
        .post(&project.path("/issues/99/subscribe"), json!({}))
        .expect_json(404, json!({ "message": "404 Issue Not Found" }));

    let merge_request = forge.merge_request(project.id, author.id, "a merge request");
    let merge_request = project.path(&format!("/merge_requests/{merge_request}"));
    let told = |caller: &Caller| caller.get(&merge_request).expect(200).json()["subscribed"].clone();
    assert_eq!((told(&author), told(&other)), (json!(true), json!(false)));
    let shown = other.post(&format!("{merge_request}/subscribe"), json!({})).expect(201).json();
    assert_eq!((&shown["subscribed"], &shown["title"]), (&json!(true), &json!("a merge request")));
    other.post(&format!("{merge_request}/subscribe"), json!({})).expect(304);
    author.post(&format!("{merge_request}/unsubscribe"), json!({})).expect(201);
    assert_eq!((told(&author), told(&other)), (json!(false), json!(true)));

    author.post(&project.path("/labels"), json!({ "name": "bug", "color": "red" })).expect(201);
    let label = project.path("/labels/bug");
    let told = |caller: &Caller| {
        let alone = caller.get(&label).expect(200).json()["subscribed"].clone();
        assert_eq!(caller.get(&project.path("/labels")).json()[0]["subscribed"], alone);
        alone
    };
    assert_eq!(told(&author), false);
    assert_eq!(author.post(&format!("{label}/subscribe"), json!({})).expect(201).json()["subscribed"], true);
    author.post(&format!("{label}/subscribe"), json!({})).expect(304);
    assert_eq!((told(&author), told(&other)), (json!(true), json!(false)));
    let changed = author.put(&label, json!({ "color": "blue" })).expect(200).json();
    assert_eq!(changed["subscribed"], true);
    assert_eq!(
        author.post(&format!("{label}/unsubscribe"), json!({})).expect(201).json()["subscribed"],
        false
    );
    author.post(&format!("{label}/unsubscribe"), json!({})).expect(304);
    other
        .post(&project.path("/labels/none/subscribe"), json!({}))
        .expect_json(404, json!({ "message": "404 Label Not Found" }));
    project.token(&["read_api"], 30).post(&format!("{label}/subscribe"), json!({})).expect(403);
}
