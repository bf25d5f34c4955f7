//! Reactions to issues, merge requests and comments: emoji, and the thumbs that are counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Caller, forge};
use serde_json::{Value, json};

fn names(caller: &Caller, path: &str) -> Vec<String> {
    let list = caller.get(path).expect(200).json();
    list.as_array().unwrap().iter().map(|award| award["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_reacts_to_issues_merge_requests_and_comments() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let bot = project.token(&["api"], 20);
    let issue = project.path(&format!("/issues/{}", author.issue(project.id, "an issue")));
    let merge_request = forge.merge_request(project.id, author.id, "A merge request");
    let merge_request = project.path(&format!("/merge_requests/{merge_request}"));
    for (on, kind) in [(&issue, "Issue"), (&merge_request, "MergeRequest")] {
        let note = author.post(&format!("{on}/notes"), json!({ "body": "x" })).expect(201).json();
        let note_path = format!("{on}/notes/{}", note["id"]);
        for (on, kind, id) in [(on, kind, &note["noteable_id"]), (&note_path, "Note", &note["id"])] {
            let awards = format!("{on}/award_emoji");
            let award = bot.post(&awards, json!({ "name": "tada" })).expect(201).json();
            assert_eq!(award["user"]["id"], bot.user_id);
            let mut shape = award.clone();
            shape.as_object_mut().unwrap().remove("user");
            let expected = json!({
                "id": award["id"],
                "name": "tada",
                "created_at": "2026-03-02T12:00:00.000Z",
                "updated_at": "2026-03-02T12:00:00.000Z",
                "awardable_id": id,
                "awardable_type": kind,
                "url": null,
            });
            assert_eq!(shape, expected);
            let one = format!("{awards}/{}", award["id"]);
            author.get(&one).expect_json(200, award.clone());
            // The same one again is not there to be had, as in GitLab.
            bot.post(&awards, json!({ "name": ":tada:" })).expect_json(
                404,
                json!({ "message": "404 Award Emoji Name has already been taken Not Found" }),
            );
            author.post(&awards, json!({ "name": "tada" })).expect(201);
            bot.post(&awards, json!({ "name": "eyes" })).expect(201);
            assert_eq!(names(&author, &awards), ["tada", "tada", "eyes"]);
            let page = author.get(&format!("{awards}?per_page=2&page=2")).expect(200);
            assert_eq!((page.header("x-total"), page.json().as_array().unwrap().len()), (Some("3"), 1));
            // Nobody takes back what somebody else gave, but administrators.
            author
                .delete(&one)
                .expect_json(403, json!({ "message": "403 Forbidden - It is somebody else's reaction" }));
            bot.delete(&one).expect(204);
            bot.get(&one).expect_json(404, json!({ "message": "404 Award Emoji Not Found" }));
            bot.delete(&one).expect(404);
            let first = author.get(&awards).json()[0]["id"].clone();
            forge.root().delete(&format!("{awards}/{first}")).expect(204);
            assert_eq!(names(&author, &awards), ["eyes"]);
        }
    }
}

#[test]
fn a_reaction_is_found_only_where_it_was_made() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let issue = project.path(&format!("/issues/{}", author.issue(project.id, "one")));
    let other = project.path(&format!("/issues/{}", author.issue(project.id, "two")));
    let award =
        author.post(&format!("{issue}/award_emoji"), json!({ "name": "eyes" })).expect(201).json()["id"]
            .clone();
    let note =
        author.post(&format!("{issue}/notes"), json!({ "body": "x" })).expect(201).json()["id"].clone();
    for wrong in [format!("{other}/award_emoji/{award}"), format!("{issue}/notes/{note}/award_emoji/{award}")]
    {
        author.get(&wrong).expect(404);
        author.delete(&wrong).expect(404);
    }
    author
        .get(&format!("{other}/notes/{note}/award_emoji"))
        .expect_json(404, json!({ "message": "404 Note Not Found" }));
    author.post(&format!("{other}/notes/{note}/award_emoji"), json!({ "name": "eyes" })).expect(404);
    for (name, wrong) in [("", "x"), ("a b", "x"), ("<b>", "x"), (&"x".repeat(65), "x")] {
        assert_eq!(wrong, "x");
        author.post(&format!("{issue}/award_emoji"), json!({ "name": name })).expect_json(
            404,
            json!({ "message": "404 Award Emoji Name is not a valid emoji name Not Found" }),
        );
    }
    author
        .post(&format!("{issue}/award_emoji"), json!({}))
        .expect_json(400, json!({ "error": "name is missing" }));
    // What the forge said about a change is no comment of anybody.
    author.put(&issue, json!({ "state_event": "close" })).expect(200);
    let system = author.get(&format!("{issue}/notes?activity_filter=only_activity")).json()[0]["id"].clone();
    author.post(&format!("{issue}/notes/{system}/award_emoji"), json!({ "name": "eyes" })).expect_json(
        404,
        json!({ "message": "404 Award Emoji Awardable cannot add emoji reactions Not Found" }),
    );
    assert_eq!(names(&author, &format!("{issue}/award_emoji")), ["eyes"]);
}

#[test]
fn thumbs_are_counted() {
    let forge = forge!();
    let project = forge.project("private");
    let people: Vec<_> = (0..3).map(|_| project.member(20)).collect();
    let iid = people[0].issue(project.id, "an issue");
    people[0].issue(project.id, "another one");
    let issue = project.path(&format!("/issues/{iid}"));
    for (person, name) in people.iter().zip(["thumbsup", "+1", "thumbsdown"]) {
        person.post(&format!("{issue}/award_emoji"), json!({ "name": name })).expect(201);
    }
    people[0].post(&format!("{issue}/award_emoji"), json!({ "name": "eyes" })).expect(201);
    let votes = |issue: &Value| (issue["upvotes"].as_i64().unwrap(), issue["downvotes"].as_i64().unwrap());
    assert_eq!(votes(&people[0].get(&issue).json()), (2, 1));
    let list = people[0].get(&project.path("/issues?sort=asc")).json();
    assert_eq!((votes(&list[0]), votes(&list[1])), ((2, 1), (0, 0)));
    // What a deleted user thought still counts.
    let bot = project.token(&["api"], 20);
    bot.post(&format!("{issue}/award_emoji"), json!({ "name": "thumbsup" })).expect(201);
    let second = project.token(&["api"], 20);
    second.post(&format!("{issue}/award_emoji"), json!({ "name": "thumbsup" })).expect(201);
    for token in [bot.token_id, second.token_id] {
        forge.root().delete(&project.path(&format!("/access_tokens/{token}"))).expect(204);
    }
    forge.run_jobs();
    assert_eq!(votes(&people[0].get(&issue).json()), (4, 1));
    let given = people[0].get(&format!("{issue}/award_emoji?per_page=100")).json();
    assert_eq!(
        given.as_array().unwrap().iter().filter(|award| award["user"]["username"] == "ghost").count(),
        2
    );
}

#[test]
fn thumbs_of_merge_requests_are_counted() {
    let forge = forge!();
    let project = forge.project("private");
    let people: Vec<_> = (0..3).map(|_| project.member(30)).collect();
    let iid = forge.merge_request(project.id, people[0].id, "one");
    forge.merge_request(project.id, people[0].id, "two");
    let merge_request = project.path(&format!("/merge_requests/{iid}"));
    for (person, name) in people.iter().zip(["thumbsup", "thumbsdown", "-1"]) {
        person.post(&format!("{merge_request}/award_emoji"), json!({ "name": name })).expect(201);
    }
    let votes = |found: &Value| (found["upvotes"].as_i64().unwrap(), found["downvotes"].as_i64().unwrap());
    assert_eq!(votes(&people[0].get(&merge_request).expect(200).json()), (1, 2));
    let list = people[0].get(&project.path("/merge_requests?order_by=title&sort=asc")).expect(200).json();
    assert_eq!((votes(&list[0]), votes(&list[1])), ((1, 2), (0, 0)));
}

#[test]
fn who_reacts_may_comment() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(30);
    let iid = author.issue(project.id, "an issue");
    let awards = project.path(&format!("/issues/{iid}/award_emoji"));
    let stranger = forge.person("stranger");
    stranger.post(&awards, json!({ "name": "eyes" })).expect(201);
    forge.anyone().post(&awards, json!({ "name": "eyes" })).expect(401);
    assert_eq!(names(&forge.anyone(), &awards), ["eyes"]);
    project.token(&["read_api"], 40).post(&awards, json!({ "name": "eyes" })).expect(403);
    author.put(&project.path(&format!("/issues/{iid}")), json!({ "discussion_locked": true })).expect(200);
    stranger
        .post(&awards, json!({ "name": "tada" }))
        .expect_json(403, json!({ "message": "403 Forbidden - The discussion is locked" }));
    author.put(&project.path(&format!("/issues/{iid}")), json!({ "confidential": true })).expect(200);
    stranger.get(&awards).expect_json(404, json!({ "message": "404 Issue Not Found" }));
    stranger.post(&awards, json!({ "name": "tada" })).expect(404);
}
