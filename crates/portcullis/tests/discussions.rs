//! Discussions on merge requests and issues: comments that answer each other, about places in differences, and settled.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Person, Project, TestForge, forge};
use serde_json::{Value, json};

fn opened(forge: &TestForge, project: &Project<'_>, author: &Person) -> String {
    let iid = forge.merge_request(project.id, author.id, "Add a file");
    project.path(&format!("/merge_requests/{iid}"))
}

fn position() -> Value {
    json!({
        "base_sha": "1".repeat(40),
        "start_sha": "2".repeat(40),
        "head_sha": "3".repeat(40),
        "position_type": "text",
        "old_path": "a.txt",
        "new_path": "a.txt",
        "new_line": 3,
    })
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_discussion_on_a_merge_request_is_begun_answered_and_settled() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let discussions = format!("{}/discussions", opened(&forge, &project, &author));
    let bot = project.token(&["api"], 30);
    let made = bot.post(&discussions, json!({ "body": "Why?" })).expect(201).json();
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(made["individual_note"], false);
    let note = &made["notes"][0];
    assert_eq!((&note["type"], &note["body"]), (&json!("DiscussionNote"), &json!("Why?")));
    assert_eq!((&note["resolvable"], &note["resolved"]), (&json!(true), &json!(false)));
    assert_eq!((&note["resolved_by"], &note["resolved_at"]), (&Value::Null, &Value::Null));
    assert_eq!((note.get("position"), &note["noteable_type"]), (None, &json!("MergeRequest")));
    let one = format!("{discussions}/{id}");
    author.get(&one).expect_json(200, made.clone());

    forge.clock.advance_seconds(60);
    let answer = author.post(&format!("{one}/notes"), json!({ "body": "Because." })).expect(201).json();
    assert_eq!((&answer["type"], &answer["author"]["id"]), (&json!("DiscussionNote"), &json!(author.id)));
    let answer_path = format!("{one}/notes/{}", answer["id"]);
    author.get(&answer_path).expect_json(200, answer.clone());
    let changed = author.put(&answer_path, json!({ "body": "Because of this." })).expect(200).json();
    assert_eq!(changed["body"], "Because of this.");
    bot.put(&answer_path, json!({ "body": "x" })).expect(403);

    // As some clients ask for it: in the query, with nothing in the body.
    let settled = author.put(&format!("{one}?resolved=true"), Value::Null).expect(200).json();
    assert_eq!((&settled["id"], settled["notes"].as_array().unwrap().len()), (&json!(id), 2));
    for note in settled["notes"].as_array().unwrap() {
        assert_eq!((&note["resolved"], &note["resolved_by"]["id"]), (&json!(true), &json!(author.id)));
        assert_eq!(note["resolved_at"], "2026-03-02T12:01:00.000Z");
    }
    // Who settles it again does not take it over.
    bot.put(&one, json!({ "resolved": true })).expect_json(200, settled.clone());
    let open = bot.put(&answer_path, json!({ "resolved": false })).expect(200).json();
    assert_eq!((&open["id"], &open["resolved"]), (&answer["id"], &json!(false)));

    author.delete(&answer_path).expect(204);
    assert_eq!(author.get(&one).json()["notes"].as_array().unwrap().len(), 1);
    // The discussion keeps its id when the comment that began it goes, and ends with the last one.
    let answer = author.post(&format!("{one}/notes"), json!({ "body": "Still here" })).expect(201).json();
    let first = format!("{one}/notes/{}", note["id"]);
    bot.delete(&first).expect(204);
    let left = author.get(&discussions).expect(200).json();
    assert_eq!((ids(&left), &left[0]["notes"][0]["body"]), (vec![id.to_owned()], &json!("Still here")));
    author.delete(&format!("{one}/notes/{}", answer["id"])).expect(204);
    author.get(&one).expect_json(404, json!({ "message": "404 Discussion Not Found" }));
    author.get(&discussions).expect_json(200, json!([]));
}

#[test]
fn a_merge_request_says_whether_open_discussions_are_in_its_way() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let resolved = || author.get(&path).expect(200).json()["blocking_discussions_resolved"].clone();
    author.post(&format!("{path}/notes"), json!({ "body": "x" })).expect(201);
    let made = author.post(&format!("{path}/discussions"), json!({ "body": "Why?" })).expect(201).json();
    assert_eq!(resolved(), true);
    let body = json!({ "only_allow_merge_if_all_discussions_are_resolved": true });
    forge.root().put(&project.path(""), body).expect(200);
    assert_eq!(resolved(), false);
    let one = format!("{path}/discussions/{}", made["id"].as_str().unwrap());
    author.put(&one, json!({ "resolved": true })).expect(200);
    assert_eq!(resolved(), true);
    author.put(&one, json!({ "resolved": false })).expect(200);
    let list = author.get(&project.path("/merge_requests")).expect(200).json();
    assert_eq!(list[0]["blocking_discussions_resolved"], false);
    author.delete(&format!("{one}/notes/{}", made["notes"][0]["id"])).expect(204);
    assert_eq!(resolved(), true);
}

#[test]
fn a_discussion_is_about_a_place_however_a_client_writes_it() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let discussions = format!("{}/discussions", opened(&forge, &project, &author));
    let made =
        author.post(&discussions, json!({ "body": "Here", "position": position() })).expect(201).json();
    let note = &made["notes"][0];
    let mut expected = position();
    expected["old_line"] = Value::Null;
    expected["line_range"] = Value::Null;
    assert_eq!((&note["type"], &note["position"]), (&json!("DiffNote"), &expected));
    assert_eq!(note["suggestions"], json!([]));

    let sha = "a".repeat(40);
    let form = format!(
        "body=Here&position[base_sha]={sha}&position[start_sha]={sha}&position[head_sha]={sha}&\
         position[position_type]=text&position[new_path]=b.txt&position[new_line]=5&\
         position[line_range][start][type]=new&position[line_range][start][new_line]=4&\
         position[line_range][end][line_code]=c_1_2&position[line_range][end][new_line]=5"
    );
    let path = format!("/api/v4{discussions}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let of_form = author.caller.send("POST", &path, &headers, form.as_bytes());
    let of_form = of_form.expect(201).json()["notes"][0]["position"].clone();
    assert_eq!((&of_form["old_path"], &of_form["new_line"]), (&json!("b.txt"), &json!(5)));
    assert_eq!(of_form["line_range"]["start"]["type"], "new");
    assert_eq!(of_form["line_range"]["end"]["line_code"], "c_1_2");
    let in_parts: String = form
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        })
        .collect();
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let came = author.caller.send("POST", &path, &headers, format!("{in_parts}--x--\r\n").as_bytes());
    assert_eq!(came.expect(201).json()["notes"][0]["position"], of_form);

    // Answers are about the same place.
    let answer = format!("{discussions}/{}/notes", made["id"].as_str().unwrap());
    let answer = author.post(&answer, json!({ "body": "There" })).expect(201).json();
    assert_eq!((&answer["type"], &answer["position"]), (&json!("DiffNote"), &expected));
}

#[test]
fn a_place_that_cannot_be_is_refused_and_nothing_is_said() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let discussions = format!("{}/discussions", opened(&forge, &project, &author));
    let with = |key: &str, value: Value| {
        let mut position = position();
        position[key] = value;
        json!({ "body": "x", "position": position })
    };
    let missing = "position[base_sha] is missing, position[start_sha] is missing, position[head_sha] is missing, \
                   position[position_type] is missing";
    author
        .post(&discussions, json!({ "body": "x", "position": {} }))
        .expect_json(400, json!({ "error": missing }));
    for (body, problem) in [
        (
            with("head_sha", json!("main")),
            "needs base_sha, start_sha and head_sha, each the whole id of a commit",
        ),
        (with("new_line", Value::Null), "needs new_line or old_line"),
        (with("old_line", json!(0)), "has a line that cannot be"),
        (with("new_path", json!("x".repeat(5000))), "needs new_path or old_path (maximum is 4096 bytes)"),
        (with("position_type", json!("image")), "must be of the type text or file"),
        (
            with("line_range", json!({ "start": { "type": "x" }, "end": {} })),
            "has a line_range that cannot be",
        ),
    ] {
        author.post(&discussions, body).expect_json(400, json!({ "message": { "position": [problem] } }));
    }
    author.post(&discussions, json!({ "body": "x", "position": "here" })).expect(400);
    author
        .post(&discussions, json!({ "position": position() }))
        .expect_json(400, json!({ "error": "body is missing" }));
    author.get(&discussions).expect_json(200, json!([]));
}

#[test]
fn every_comment_is_a_discussion_and_becomes_one_when_it_is_answered() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let (notes, discussions) = (format!("{path}/notes"), format!("{path}/discussions"));
    let note = author.post(&notes, json!({ "body": "alone" })).expect(201).json();
    forge.clock.advance_seconds(1);
    author.post(&discussions, json!({ "body": "second" })).expect(201);
    let list = author.get(&discussions).expect(200).json();
    assert_eq!((&list[0]["individual_note"], &list[1]["individual_note"]), (&json!(true), &json!(false)));
    assert_eq!(list[0]["notes"], json!([note]));
    let one = format!("{discussions}/{}", list[0]["id"].as_str().unwrap());
    author.get(&one).expect_json(200, list[0].clone());
    author
        .put(&one, json!({ "resolved": true }))
        .expect_json(400, json!({ "message": "400 Bad request - Discussion is not resolvable" }));
    let answer = author.post(&format!("{one}/notes"), json!({ "body": "not any more" })).expect(201).json();
    assert_eq!(answer["type"], "DiscussionNote");
    let found = author.get(&one).expect(200).json();
    assert_eq!((&found["id"], &found["individual_note"]), (&list[0]["id"], &json!(false)));
    assert_eq!(found["notes"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&found["notes"][0]["id"], &found["notes"][0]["type"]),
        (&note["id"], &json!("DiscussionNote"))
    );
    // It is no discussion of its own: it is in this one.
    let of_answer = format!("{discussions}/{:040x}", answer["id"].as_i64().unwrap());
    author.get(&of_answer).expect(404);
    author.post(&format!("{of_answer}/notes"), json!({ "body": "x" })).expect(404);

    let page = author.get(&format!("{discussions}?per_page=1&page=2")).expect(200);
    assert_eq!((page.header("x-total"), page.header("x-next-page")), (Some("2"), Some("")));
    assert_eq!(ids(&page.json()), [list[1]["id"].as_str().unwrap()]);
    assert_eq!(author.get(&discussions).json()[0], found);
}

#[test]
fn on_an_issue_nothing_is_settled() {
    let forge = forge!();
    let project = forge.project("private");
    let (author, bot) = (project.member(10), project.token(&["api"], 20));
    let iid = author.issue(project.id, "an issue");
    let issue = project.path(&format!("/issues/{iid}"));
    let discussions = format!("{issue}/discussions");
    let made =
        bot.post(&discussions, json!({ "body": "Why?", "position": "passed over" })).expect(201).json();
    let note = &made["notes"][0];
    assert_eq!((&note["type"], &note["noteable_type"]), (&json!("DiscussionNote"), &json!("Issue")));
    assert_eq!((&note["resolvable"], note.get("resolved")), (&json!(false), None));
    let one = format!("{discussions}/{}", made["id"].as_str().unwrap());
    bot.put(&one, json!({ "resolved": true })).expect(405);
    let answer = author.post(&format!("{one}/notes"), json!({ "body": "So" })).expect(201).json();
    let answer = format!("{one}/notes/{}", answer["id"]);
    author.put(&answer, json!({ "resolved": true })).expect_json(400, json!({ "error": "body is missing" }));
    author.put(&answer, json!({ "body": "So!" })).expect(200);
    // What the forge wrote about a change is a discussion that nobody answers.
    bot.put(&issue, json!({ "state_event": "close" })).expect(200);
    let list = bot.get(&discussions).expect(200).json();
    assert_eq!((list.as_array().unwrap().len(), &list[1]["notes"][0]["system"]), (2, &json!(true)));
    let system = format!("{discussions}/{}/notes", list[1]["id"].as_str().unwrap());
    author
        .post(&system, json!({ "body": "x" }))
        .expect_json(400, json!({ "message": "400 Bad request - Discussion is an individual note." }));
    author.delete(&answer).expect(204);
    assert_eq!(bot.get(&one).json()["notes"].as_array().unwrap().len(), 1);
    // Nobody finds the discussion of a confidential issue who does not find the issue.
    bot.put(&issue, json!({ "confidential": true })).expect(200);
    let guest = project.member(10);
    guest.get(&one).expect_json(404, json!({ "message": "404 Issue Not Found" }));
    guest.post(&discussions, json!({ "body": "x" })).expect(404);
}

#[test]
fn who_may_settle_and_where_a_discussion_is_found() {
    let forge = forge!();
    let project = forge.project("public");
    let author = forge.person("author");
    let path = opened(&forge, &project, &author);
    let discussions = format!("{path}/discussions");
    let (developer, reporter, stranger) = (project.member(30), project.member(20), forge.person("stranger"));
    let made = stranger.post(&discussions, json!({ "body": "A question" })).expect(201).json();
    let id = made["id"].as_str().unwrap();
    let one = format!("{discussions}/{id}");
    // Who asked does not settle it; who opened the merge request does.
    for caller in [&stranger, &reporter] {
        caller.put(&one, json!({ "resolved": true })).expect_json(403, json!({ "message": "403 Forbidden" }));
    }
    assert_eq!(stranger.get(&one).json()["notes"][0]["resolved"], false);
    forge.anyone().put(&one, json!({ "resolved": true })).expect(401);
    author.put(&one, json!({ "resolved": true })).expect(200);
    developer.put(&one, json!({ "resolved": false })).expect(200);
    developer.put(&one, json!({})).expect_json(400, json!({ "error": "resolved is missing" }));

    let other = opened(&forge, &project, &author);
    let note = &made["notes"][0]["id"];
    for wrong in [format!("{other}/discussions/{id}"), format!("{discussions}/{}", "0".repeat(40))] {
        let gone = json!({ "message": "404 Discussion Not Found" });
        developer.get(&wrong).expect_json(404, gone.clone());
        developer.put(&wrong, json!({ "resolved": true })).expect_json(404, gone.clone());
        developer.post(&format!("{wrong}/notes"), json!({ "body": "x" })).expect_json(404, gone);
        developer.get(&format!("{wrong}/notes/{note}")).expect(404);
    }
    for wrong in ["1", "x", &"f".repeat(40)] {
        developer.get(&format!("{discussions}/{wrong}")).expect(404);
    }
    // A comment is changed only through its own discussion, and nothing is settled on the way.
    let alone =
        developer.post(&format!("{path}/notes"), json!({ "body": "alone" })).expect(201).json()["id"].clone();
    for body in [json!({ "body": "x" }), json!({ "resolved": true })] {
        developer
            .put(&format!("{one}/notes/{alone}"), body)
            .expect_json(404, json!({ "message": "404 Note Not Found" }));
    }
    developer.delete(&format!("{one}/notes/{alone}")).expect(404);
    let both = json!({ "body": "x", "resolved": true });
    stranger
        .put(&format!("{one}/notes/{note}"), both)
        .expect_json(400, json!({ "error": "body, resolved are mutually exclusive" }));
    assert_eq!(stranger.get(&one).json()["notes"][0]["resolved"], false);
}

/// Somebody answers an internal discussion, or has an answer made internal that others have read.
#[test]
fn an_answer_is_as_internal_as_its_discussion() {
    let forge = forge!();
    let project = forge.project("public");
    let author = project.member(30);
    let path = opened(&forge, &project, &author);
    let discussions = format!("{path}/discussions");
    let stranger = forge.person("stranger");
    let internal =
        author.post(&discussions, json!({ "body": "between us", "internal": true })).expect(201).json();
    let one = format!("{discussions}/{}", internal["id"].as_str().unwrap());
    stranger.get(&one).expect(404);
    stranger.post(&format!("{one}/notes"), json!({ "body": "x" })).expect(404);
    let answer = author.post(&format!("{one}/notes"), json!({ "body": "also" })).expect(201).json();
    assert_eq!(answer["internal"], true);
    let open = stranger.post(&discussions, json!({ "body": "for all" })).expect(201).json();
    let open = format!("{discussions}/{}/notes", open["id"].as_str().unwrap());
    let answer = author.post(&open, json!({ "body": "x", "internal": true })).expect(201).json();
    assert_eq!(answer["internal"], false);
    assert_eq!(stranger.get(&discussions).json().as_array().unwrap().len(), 1);
    assert_eq!(stranger.get(&format!("{path}/notes")).json().as_array().unwrap().len(), 2);
}
