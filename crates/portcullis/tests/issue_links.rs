//! Issues that belong together, and who takes part in them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Caller, forge};
use serde_json::{Value, json};

fn linked(caller: &Caller, path: &str) -> Vec<String> {
    let list = caller.get(path).expect(200).json();
    list.as_array().unwrap().iter().map(|issue| issue["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn issues_are_linked_in_both_directions() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let author = project.member(10);
    let body = json!({ "user_id": author.id, "access_level": 10 });
    forge.root().post(&other.path("/members"), body).expect(201);
    let (one, two) = (author.issue(project.id, "one"), author.issue(project.id, "two"));
    let far = author.issue(other.id, "far");
    let links = project.path(&format!("/issues/{one}/links"));
    let pair = author
        .post(&links, json!({ "target_project_id": project.id, "target_issue_iid": two }))
        .expect(201)
        .json();
    assert_eq!(
        (&pair["source_issue"]["title"], &pair["target_issue"]["title"]),
        (&json!("one"), &json!("two"))
    );
    assert_eq!(pair["link_type"], "relates_to");
    let body = json!({ "target_project_id": other.full_path, "target_issue_iid": far.to_string(), "link_type": "relates_to" });
    let to_far = author.post(&links, body).expect(201).json();
    assert_eq!(to_far["target_issue"]["project_id"], other.id);
    let list = author.get(&links).expect(200).json();
    assert_eq!((&list[0]["issue_link_id"], &list[0]["link_type"]), (&pair["id"], &json!("relates_to")));
    assert_eq!(list[0]["link_created_at"], "2026-03-02T12:00:00.000Z");
    assert_eq!(list[1]["references"]["full"], json!(format!("{}#{far}", other.full_path)));
    assert_eq!(linked(&author, &project.path(&format!("/issues/{two}/links"))), ["one"]);
    assert_eq!(linked(&author, &other.path(&format!("/issues/{far}/links"))), ["one"]);
    let page = author.get(&format!("{links}?per_page=1&page=2")).expect(200);
    assert_eq!((page.header("x-total"), &page.json()[0]["title"]), (Some("2"), &json!("far")));
    author.get(&format!("{links}/{}", pair["id"])).expect_json(200, pair.clone());

    // In either direction, it is one link.
    for (from, to) in [(one, two), (two, one)] {
        let path = project.path(&format!("/issues/{from}/links"));
        author
            .post(&path, json!({ "target_project_id": project.id, "target_issue_iid": to }))
            .expect_json(409, json!({ "message": "Issue(s) already assigned" }));
    }
    let back = other.path(&format!("/issues/{far}/links/{}", to_far["id"]));
    let gone = author.delete(&back).expect(200).json();
    assert_eq!(
        (&gone["source_issue"]["title"], &gone["target_issue"]["title"]),
        (&json!("far"), &json!("one"))
    );
    author.delete(&back).expect_json(404, json!({ "message": "404 Issue Link Not Found" }));
    assert_eq!(linked(&author, &links), ["two"]);
    forge.root().delete(&project.path(&format!("/issues/{two}"))).expect(204);
    assert_eq!(linked(&author, &links).len(), 0);
}

#[test]
fn links_that_cannot_be_are_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(10);
    let one = author.issue(project.id, "one");
    let links = project.path(&format!("/issues/{one}/links"));
    let missing = "target_project_id is missing, target_issue_iid is missing";
    author.post(&links, json!({})).expect_json(400, json!({ "error": missing }));
    let body = |project: Value, iid: i64| json!({ "target_project_id": project, "target_issue_iid": iid });
    author.post(&links, body(json!(project.id), one)).expect(400);
    author
        .post(&links, body(json!(project.id), 99))
        .expect_json(404, json!({ "message": "404 Issue Not Found" }));
    author.post(&project.path("/issues/99/links"), body(json!(project.id), one)).expect(404);
    let blocks = json!({ "target_project_id": project.id, "target_issue_iid": one, "link_type": "blocks" });
    author.post(&links, blocks).expect_json(400, json!({ "error": "link_type does not have a valid value" }));
    // A project that is hidden is one that is not there; one that is only looked at takes no links.
    let hidden = forge.project("private");
    forge.root().issue(hidden.id, "hidden");
    let answers: Vec<_> = [json!(hidden.id), json!(999_999), json!("no/such"), json!("..")]
        .into_iter()
        .map(|project| author.post(&links, body(project, 1)))
        .map(|answer| (answer.status, answer.text))
        .collect();
    assert!(
        answers.iter().all(|answer| *answer == (404, r#"{"message":"404 Not Found"}"#.to_owned())),
        "{answers:?}"
    );
    let public = forge.project("public");
    forge.root().issue(public.id, "public");
    author.post(&links, body(json!(public.id), 1)).expect(403);
    assert_eq!(linked(&author, &links).len(), 0);
    let stranger = forge.person("stranger");
    stranger.post(&public.path("/issues/1/links"), body(json!(public.id), 1)).expect(403);
}

/// A member of two projects links issues of both; whoever sees only one of them looks for the other one's title.
#[test]
fn a_link_is_shown_to_those_who_may_read_both_ends() {
    let forge = forge!();
    let (open, closed) = (forge.project("public"), forge.project("private"));
    let root = forge.root();
    let (one, secret) = (root.issue(open.id, "one"), root.issue(closed.id, "secret"));
    let confidential = root.issue(open.id, "confidential");
    root.put(&open.path(&format!("/issues/{confidential}")), json!({ "confidential": true })).expect(200);
    let links = open.path(&format!("/issues/{one}/links"));
    let link = |project: i64, iid: i64| {
        let body = json!({ "target_project_id": project, "target_issue_iid": iid });
        root.post(&links, body).expect(201).json()["id"].clone()
    };
    let (to_secret, to_confidential) = (link(closed.id, secret), link(open.id, confidential));
    assert_eq!(linked(root, &links), ["secret", "confidential"]);
    let (guest, bot, foreign) = (open.member(10), open.token(&["api"], 40), closed.token(&["api"], 40));
    for caller in [&forge.anyone(), &guest.caller, &forge.person("stranger").caller] {
        assert_eq!(linked(caller, &links).len(), 0);
        assert_eq!(caller.get(&links).header("x-total"), Some("0"));
        for id in [&to_secret, &to_confidential] {
            caller
                .get(&format!("{links}/{id}"))
                .expect_json(404, json!({ "message": "404 Issue Link Not Found" }));
        }
    }
    guest.delete(&format!("{links}/{to_secret}")).expect(404);
    assert_eq!(
        (linked(&bot, &links), linked(&foreign, &links)),
        (vec!["confidential".into()], vec!["secret".to_owned()])
    );
    let reporter = open.member(20);
    assert_eq!(linked(&reporter, &links), ["confidential"]);
    reporter.delete(&format!("{links}/{to_secret}")).expect(404);
    reporter.delete(&format!("{links}/{to_confidential}")).expect(200);
    assert_eq!(linked(root, &links), ["secret"]);
}

#[test]
fn who_opened_deals_with_or_comments_on_an_issue_takes_part() {
    let forge = forge!();
    let project = forge.project("public");
    let (author, assignee, reporter) = (project.member(20), project.member(30), project.member(20));
    let stranger = forge.person("stranger");
    let issue = project.path(&format!("/issues/{}", author.issue(project.id, "an issue")));
    let take_part = |caller: &Caller| {
        let list = caller.get(&format!("{issue}/participants")).expect(200).json();
        list.as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(take_part(&forge.anyone()), [author.id]);
    author.put(&issue, json!({ "assignee_ids": [assignee.id] })).expect(200);
    stranger.post(&format!("{issue}/notes"), json!({ "body": "x" })).expect(201);
    reporter.post(&format!("{issue}/notes"), json!({ "body": "x", "internal": true })).expect(201);
    forge.root().put(&issue, json!({ "state_event": "close" })).expect(200);
    assert_eq!(take_part(&forge.anyone()), [author.id, assignee.id, stranger.id]);
    assert_eq!(take_part(&author), [author.id, assignee.id, reporter.id, stranger.id]);
    let page = author.get(&format!("{issue}/participants?per_page=1")).expect(200);
    assert_eq!((page.header("x-total"), &page.json()[0]["username"]), (Some("4"), &json!(author.username)));
    author.get(&project.path("/issues/99/participants")).expect(404);
}
