//! Merge requests as records: what they say, who may read and change them, who approves them, and what they have to do with
//! issues and commits.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::{Caller, Project, TestForge, forge};
use serde_json::{Value, json};

const NOW: &str = "2026-03-02T12:00:00.000Z";

/// Commits one file on a branch that begins from the default one, or goes on. Returns the commit's id.
#[track_caller]
fn commit(caller: &Caller, project: &Project<'_>, branch: &str, file: &str) -> String {
    let exists = caller.get(&project.path(&format!("/repository/branches/{branch}"))).status == 200;
    let mut body = json!({
        "branch": branch, "commit_message": format!("add {file}"),
        "actions": [{ "action": "create", "file_path": file, "content": file }],
    });
    if !exists {
        body["start_branch"] = json!("main");
    }
    let made = caller.post(&project.path("/repository/commits"), body).expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn head(caller: &Caller, project: &Project<'_>, branch: &str) -> String {
    let found = caller.get(&project.path(&format!("/repository/branches/{branch}"))).expect(200).json();
    found["commit"]["id"].as_str().unwrap().to_owned()
}

/// Opens a merge request of a new branch into `main`, with `more` in the body.
#[track_caller]
fn open(caller: &Caller, project: &Project<'_>, branch: &str, more: Value) -> Value {
    commit(caller, project, branch, &format!("{branch}.txt"));
    let mut body = json!({ "source_branch": branch, "target_branch": "main", "title": branch });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    caller.post(&project.path("/merge_requests"), body).expect(201).json()
}

fn titles(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

fn user_view(forge: &TestForge, id: i64) -> Value {
    let user = forge.root().get(&format!("/users/{id}")).expect(200).json();
    let keys = ["id", "username", "public_email", "name", "state", "locked", "avatar_url", "web_url"];
    keys.iter().map(|key| ((*key).to_owned(), user[*key].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_merge_request_is_opened_and_read_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let reviewer = project.member(30);
    let main = head(&bot, &project, "main");
    let tip = commit(&bot, &project, "renovate/a", "a.txt");
    let milestone =
        forge.root().post(&project.path("/milestones"), json!({ "title": "v1" })).expect(201).json();
    let body = json!({
        "id": "acme/app", "source_branch": "renovate/a", "target_branch": "main", "title": "Draft: update a",
        "description": "- [x] one\n- [ ] two", "labels": "deps, bug", "remove_source_branch": true, "squash": "1",
        "assignee_ids": [bot.user_id, 999_999], "reviewer_ids": format!("{}", reviewer.id),
        "milestone_id": milestone["id"], "allow_collaboration": true, "target_project_id": project.id,
    });
    let made = bot.post(&project.path("/merge_requests"), body).expect(201).json();
    let (own, person) = (user_view(&forge, bot.user_id), user_view(&forge, reviewer.id));
    let full = format!("{}!1", project.full_path);
    let expected = json!({
        "id": made["id"], "iid": 1, "project_id": project.id, "title": "Draft: update a",
        "description": "- [x] one\n- [ ] two", "state": "opened", "created_at": NOW, "updated_at": NOW,
        "merged_by": null, "merge_user": null, "merged_at": null, "closed_by": null, "closed_at": null,
        "target_branch": "main", "source_branch": "renovate/a", "user_notes_count": 0, "upvotes": 0, "downvotes": 0,
        "author": own, "assignees": [own], "assignee": own, "reviewers": [person],
        "source_project_id": project.id, "target_project_id": project.id, "labels": ["bug", "deps"],
        "draft": true, "work_in_progress": true, "imported": false, "imported_from": "none", "milestone": milestone,
        "merge_when_pipeline_succeeds": false, "merge_status": "unchecked", "detailed_merge_status": "unchecked",
        "merge_after": null, "sha": tip, "merge_commit_sha": null, "squash_commit_sha": null,
        "discussion_locked": false, "should_remove_source_branch": null, "force_remove_source_branch": true,
        "prepared_at": NOW,
    });
    let further = json!({
        "reference": "!1", "references": { "short": "!1", "relative": "!1", "full": full },
        "web_url": format!("{}/{}/-/merge_requests/1", forge.url, project.full_path),
        "time_stats": {
            "time_estimate": 0, "total_time_spent": 0, "human_time_estimate": null, "human_total_time_spent": null,
        },
        "squash": true, "squash_on_merge": true, "task_completion_status": { "count": 2, "completed_count": 1 },
        "has_conflicts": false, "blocking_discussions_resolved": true,
    });
    let alone = json!({
        "subscribed": true, "changes_count": null, "latest_build_started_at": null,
        "latest_build_finished_at": null, "first_deployed_to_production_at": null, "pipeline": null,
        "head_pipeline": null, "diff_refs": { "base_sha": main, "head_sha": tip, "start_sha": main },
        "merge_error": null, "first_contribution": false, "user": { "can_merge": false },
    });
    let joined = |parts: &[&Value]| {
        let pairs = parts.iter().flat_map(|part| part.as_object().unwrap().clone());
        Value::from(pairs.collect::<serde_json::Map<_, _>>())
    };
    assert_eq!(made, joined(&[&expected, &further, &alone]));
    // Its branches are looked at when it is read.
    let looked = json!({ "merge_status": "can_be_merged", "detailed_merge_status": "draft_status" });
    let one = project.path("/merge_requests/1");
    assert_eq!(bot.get(&one).expect(200).json(), joined(&[&expected, &further, &alone, &looked]));
    let list = bot.get(&project.path("/merge_requests")).expect(200);
    assert_eq!(list.json(), json!([joined(&[&expected, &further, &looked])]));
    // The default branch is protected: Maintainers merge into it.
    assert_eq!(forge.root().get(&one).json()["user"]["can_merge"], true);
    assert_eq!(project.member(40).get(&one).json()["user"]["can_merge"], true);
    // What is read beside it when it is asked for.
    commit(forge.root(), &project, "main", "later.txt");
    let query = "?include_diverged_commits_count=true&include_rebase_in_progress=true&render_html=true";
    let asked = bot.get(&format!("{one}{query}")).expect(200).json();
    assert_eq!((&asked["diverged_commits_count"], &asked["rebase_in_progress"]), (&json!(1), &json!(false)));
    let simple = bot.get(&project.path("/merge_requests?view=simple")).expect(200).json();
    assert_eq!(simple[0].as_object().unwrap().len(), 9);
    let detailed = bot.get(&project.path("/merge_requests?with_labels_details=true")).expect(200).json();
    assert_eq!(
        (&detailed[0]["labels"][0]["name"], &detailed[0]["labels"][0]["color"]),
        (&json!("bug"), &json!("#6699cc"))
    );
    let counted = bot.get(&project.path("/labels?with_counts=true")).expect(200).json();
    assert_eq!((&counted[0]["name"], &counted[0]["open_merge_requests_count"]), (&json!("bug"), &json!(1)));
    // Everything it did is the bot's.
    let event = bot.get(&project.path("/events?target_type=merge_request")).expect(200).json()[0].clone();
    assert_eq!(
        (&event["action_name"], &event["target_type"], &event["target_iid"], &event["author_id"]),
        (&json!("opened"), &json!("MergeRequest"), &json!(1), &json!(bot.user_id))
    );
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).json();
    let audit = audit.as_array().unwrap();
    let entry = audit.iter().find(|entry| entry["event_name"] == "merge_request_created").unwrap();
    assert_eq!(entry["author_id"], json!(bot.user_id));
    assert_eq!(forge.root().get("/application/statistics").json()["merge_requests"], "1");
}

#[test]
fn a_merge_request_that_cannot_be_is_named_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let path = project.path("/merge_requests");
    open(&bot, &project, "a", json!({}));
    commit(&bot, &project, "b", "b.txt");
    bot.post(&path, json!({})).expect_json(
        400,
        json!({ "error": "source_branch is missing, target_branch is missing, title is missing" }),
    );
    let asked = |source: &str, target: &str, more: Value| {
        let mut body = json!({ "source_branch": source, "target_branch": target, "title": "x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bot.post(&path, body)
    };
    let taken = "Another open merge request already exists for this source branch: !1";
    asked("a", "main", json!({})).expect_json(409, json!({ "message": [taken] }));
    let same = "You can't use same project/branch for source and target";
    asked("b", "b", json!({})).expect_json(422, json!({ "message": [same] }));
    let other = forge.project("public");
    asked("b", "main", json!({ "target_project_id": other.id }))
        .expect_json(422, json!({ "message": ["Source project is not a fork of the target project"] }));
    asked("nothing", "main", json!({}))
        .expect_json(400, json!({ "message": { "source_branch": ["\"nothing\" does not exist"] } }));
    asked("b", "../x", json!({}))
        .expect_json(400, json!({ "message": { "target_branch": ["\"../x\" does not exist"] } }));
    for (more, message) in [
        (json!({ "title": " " }), json!({ "title": ["can't be blank"] })),
        (
            json!({ "title": "x".repeat(256) }),
            json!({ "title": ["is too long (maximum is 255 characters)"] }),
        ),
        (json!({ "milestone_id": 999 }), json!({ "milestone_id": ["is invalid"] })),
        (json!({ "labels": ["a\tb"] }), json!({ "labels": ["can't contain commas or control characters"] })),
        (
            json!({ "reviewer_ids": (1..=101).collect::<Vec<_>>() }),
            json!({ "reviewer_ids": ["are too many (maximum is 100)"] }),
        ),
    ] {
        asked("b", "main", more).expect_json(400, json!({ "message": message }));
    }
    asked("b", "main", json!({ "squash": "perhaps" })).expect(400);
    assert_eq!(titles(&bot.get(&path).json()), ["a"]);
    assert_eq!(bot.get(&project.path("/labels")).json(), json!([]));
    // The next one has the next number; labels may be false or empty, as clients send them.
    for (branch, labels) in [("c", json!("")), ("d", json!(false)), ("e", Value::Null)] {
        let made = open(&bot, &project, branch, json!({ "labels": labels }));
        assert_eq!(made["labels"], json!([]));
    }
    assert_eq!(bot.get(&path).json()[0]["iid"], 4);
    // Who may not read the code opens nothing, and learns of no branch.
    let settings = json!({ "repository_access_level": "disabled" });
    forge.root().put(&project.path(""), settings).expect(200);
    asked("b", "main", json!({})).expect(403);
    asked("nothing", "main", json!({})).expect(403);
}

#[test]
fn two_who_open_the_same_at_the_same_time_get_one() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    commit(&bot, &project, "a", "a.txt");
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            let caller = forge.with_token(&bot.secret);
            let body = json!({ "source_branch": "a", "target_branch": "main", "title": "a" });
            caller.post(&project.path("/merge_requests"), body).status
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(201), count(409)), (1, 3), "{statuses:?}");
}

#[test]
fn lists_are_narrowed_ordered_and_paged() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, other) = (project.token(&["api"], 30), project.token(&["api"], 30));
    let milestone =
        forge.root().post(&project.path("/milestones"), json!({ "title": "v1" })).expect(201).json();
    let mine = json!({ "labels": "bug,ui", "assignee_id": bot.user_id, "description": "Zebra" });
    open(&bot, &project, "kiwi", mine);
    forge.clock.advance_days(1);
    let draft =
        json!({ "title": "Draft: apple", "reviewer_ids": [bot.user_id], "milestone_id": milestone["id"] });
    open(&other, &project, "apple", draft);
    forge.clock.advance_days(1);
    open(&bot, &project, "lime", json!({ "labels": "bug", "reviewer_ids": [other.user_id] }));
    commit(&bot, &project, "next", "next.txt");
    commit(&other, &project, "fig", "fig.txt");
    let body = json!({ "source_branch": "fig", "target_branch": "next", "title": "fig zebra" });
    other.post(&project.path("/merge_requests"), body).expect(201);
    bot.put(&project.path("/merge_requests/3"), json!({ "state_event": "close" })).expect(200);
    let found = |query: &str| {
        titles(&bot.get(&project.path(&format!("/merge_requests?sort=asc&{query}"))).expect(200).json())
    };
    let (kiwi, apple, lime, fig) = ("kiwi", "Draft: apple", "lime", "fig zebra");
    let username = forge.root().get(&format!("/users/{}", bot.user_id)).json()["username"].clone();
    let username = username.as_str().unwrap().to_uppercase();
    for (query, expected) in [
        ("".to_owned(), &[kiwi, apple, lime, fig][..]),
        ("state=all".to_owned(), &[kiwi, apple, lime, fig]),
        ("state=opened".to_owned(), &[kiwi, apple, fig]),
        ("state=closed".to_owned(), &[lime]),
        ("state=merged".to_owned(), &[]),
        ("state=locked".to_owned(), &[]),
        ("scope=created_by_me".to_owned(), &[kiwi, lime]),
        ("scope=assigned_to_me".to_owned(), &[kiwi]),
        ("scope=reviews_for_me".to_owned(), &[apple]),
        ("source_branch=fig".to_owned(), &[fig]),
        ("target_branch=main".to_owned(), &[kiwi, apple, lime]),
        ("labels=bug".to_owned(), &[kiwi, lime]),
        ("labels=bug,ui".to_owned(), &[kiwi]),
        ("labels=None".to_owned(), &[apple, fig]),
        ("labels=Any".to_owned(), &[kiwi, lime]),
        (format!("author_id={}", bot.user_id), &[kiwi, lime]),
        (format!("author_username={username}"), &[kiwi, lime]),
        (format!("assignee_id={}", bot.user_id), &[kiwi]),
        ("assignee_id=None".to_owned(), &[apple, lime, fig]),
        ("assignee_id=Any".to_owned(), &[kiwi]),
        (format!("reviewer_id={}", other.user_id), &[lime]),
        (format!("reviewer_username={username}"), &[apple]),
        ("reviewer_id=None".to_owned(), &[kiwi, fig]),
        ("iids[]=2&iids[]=4".to_owned(), &[apple, fig]),
        ("milestone=v1".to_owned(), &[apple]),
        ("milestone=None".to_owned(), &[kiwi, lime, fig]),
        ("milestone=Any".to_owned(), &[apple]),
        ("search=zebra".to_owned(), &[kiwi, fig]),
        ("search=zebra&in=title".to_owned(), &[fig]),
        ("search=zebra&in=description".to_owned(), &[kiwi]),
        ("wip=yes".to_owned(), &[apple]),
        ("draft=false".to_owned(), &[kiwi, lime, fig]),
        ("order_by=title".to_owned(), &[apple, fig, kiwi, lime]),
        ("order_by=updated_at".to_owned(), &[kiwi, apple, lime, fig]),
        ("order_by=merged_at".to_owned(), &[kiwi, apple, lime, fig]),
        ("created_after=2026-03-03T00:00:00Z".to_owned(), &[apple, lime, fig]),
        ("created_before=2026-03-03T00:00:00Z".to_owned(), &[kiwi]),
        ("updated_after=2026-03-04T00:00:00Z".to_owned(), &[lime, fig]),
        ("updated_before=2026-03-03T00:00:00Z".to_owned(), &[kiwi]),
        ("page=9".to_owned(), &[]),
    ] {
        assert_eq!(found(&query), expected, "{query}");
    }
    let page = bot.get(&project.path("/merge_requests?state=opened&per_page=1&page=2")).expect(200);
    assert_eq!(titles(&page.json()), [apple]);
    assert_eq!((page.header("x-total"), page.header("x-next-page")), (Some("3"), Some("3")));
    assert!(page.header("link").unwrap().contains("state=opened&page=3&per_page=1>; rel=\"next\""));
    for wrong in
        ["state=x", "scope=x", "order_by=x", "draft=x", "assignee_id=x", "iids[]=x", "in=x", "view=x"]
    {
        bot.get(&project.path(&format!("/merge_requests?{wrong}"))).expect(400);
    }
}

#[test]
fn lists_of_several_projects_show_what_may_be_read() {
    let forge = forge!();
    let group = forge.group("fruit", "public");
    let names = ["public", "internal", "private"];
    let projects = names.map(|visibility| forge.project_in(&group, visibility));
    for (project, name) in projects.iter().zip(names) {
        open(forge.root(), project, name, json!({}));
    }
    let elsewhere = forge.project("public");
    open(forge.root(), &elsewhere, "elsewhere", json!({}));
    let guest = projects[2].member(10);
    let reporter = projects[2].member(20);
    let stranger = forge.person("stranger");
    let external = forge.external_person("external");
    forge
        .root()
        .post(&projects[1].path("/members"), json!({ "user_id": external.id, "access_level": 10 }))
        .expect(201);
    let (bot, guest_bot) = (projects[2].token(&["api"], 20), projects[2].token(&["api"], 10));
    let of_group = |caller: &Caller| {
        titles(&caller.get(&format!("/groups/{}/merge_requests?sort=asc", group.id)).expect(200).json())
    };
    let everywhere =
        |caller: &Caller| titles(&caller.get("/merge_requests?scope=all&sort=asc").expect(200).json());
    let anyone = forge.anyone();
    assert_eq!(of_group(&anyone), ["public"]);
    anyone.get("/merge_requests").expect(401);
    for (caller, expected) in [
        (&guest.caller, &["public", "internal"][..]),
        (&reporter.caller, &["public", "internal", "private"]),
        (&stranger.caller, &["public", "internal"]),
        // A member of an internal project sees it, however little they are.
        (&external.caller, &["public", "internal"]),
        (&bot.caller, &["public", "private"]),
        (&guest_bot.caller, &["public"]),
        (forge.root(), &["public", "internal", "private"]),
    ] {
        assert_eq!(of_group(caller), expected);
        let mut expected: Vec<_> = expected.to_vec();
        expected.push("elsewhere");
        assert_eq!(everywhere(caller), expected);
    }
    // One's own unless asked otherwise; nothing behind the last page.
    assert_eq!(titles(&bot.get("/merge_requests").json()), [""; 0]);
    open(&project_bot(&projects[2]), &projects[2], "own", json!({}));
    assert_eq!(forge.root().get("/merge_requests?page=9").expect(200).json(), json!([]));
    let page = forge.root().get("/merge_requests?per_page=2").expect(200);
    assert_eq!((page.header("x-total"), page.json().as_array().unwrap().len()), (Some("4"), 2));
    let full = page.json()[0]["references"]["full"].clone();
    assert_eq!(full, json!(format!("{}!1", elsewhere.full_path)));

    // Where they are for members only, or off, they are in no list either; those of archived projects only on request.
    let set = |project: &Project<'_>, level: &str| {
        let body = json!({ "merge_requests_access_level": level });
        forge.root().put(&project.path(""), body).expect(200);
    };
    set(&projects[0], "private");
    assert_eq!(of_group(&stranger), ["internal"]);
    let member = projects[0].member(20);
    assert_eq!(of_group(&member), ["public", "internal"]);
    set(&projects[0], "disabled");
    assert_eq!(of_group(&member), ["internal"]);
    assert_eq!(of_group(forge.root()), ["internal", "private", "own"]);
    forge.root().post(&projects[1].path("/archive"), Value::Null).expect(201);
    assert_eq!(of_group(forge.root()), ["private", "own"]);
    let all = forge.root().get(&format!("/groups/{}/merge_requests?non_archived=false&sort=asc", group.id));
    assert_eq!(titles(&all.expect(200).json()), ["internal", "private", "own"]);
}

fn project_bot(project: &Project<'_>) -> Caller {
    project.token(&["api"], 30).caller
}

#[test]
fn a_merge_request_is_changed() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let person = project.member(20);
    open(&bot, &project, "a", json!({ "labels": "x", "description": "Closes #1" }));
    let one = project.path("/merge_requests/1");
    forge.clock.advance_days(1);
    let body = json!({
        "title": "b", "description": "more", "add_labels": "y,z", "remove_labels": ["x"], "squash": true,
        "remove_source_branch": "false", "discussion_locked": true, "reviewer_ids": [person.id],
    });
    let changed = bot.put(&one, body).expect(200).json();
    for (key, value) in [
        ("title", json!("b")),
        ("description", json!("more")),
        ("labels", json!(["y", "z"])),
        ("squash", json!(true)),
        ("squash_on_merge", json!(true)),
        ("force_remove_source_branch", json!(false)),
        ("discussion_locked", json!(true)),
        ("updated_at", json!("2026-03-03T12:00:00.000Z")),
        ("state", json!("opened")),
    ] {
        assert_eq!(changed[key], value, "{key}");
    }
    assert_eq!(changed["reviewers"][0]["id"], json!(person.id));
    // As some clients send it: everything in the query, and no body.
    let query = format!("{one}?assignee_ids[]={}&assignee_ids[]={}", bot.user_id, person.id);
    let headers = [("private-token", bot.secret.as_str()), ("content-type", "application/json")];
    let answer = forge.anyone().send("PUT", &format!("/api/v4{query}"), &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["assignees"].as_array().unwrap().len(), 2);
    for (body, key, value) in [
        (json!({ "assignee_id": 0 }), "assignees", json!([])),
        (json!({ "reviewer_ids": [] }), "reviewers", json!([])),
        (json!({ "labels": "" }), "labels", json!([])),
        (json!({ "labels": ["q"] }), "labels", json!(["q"])),
        (json!({ "description": null }), "description", json!("")),
        (json!({ "title": "[Draft] c" }), "draft", json!(true)),
        (json!({ "title": "c" }), "draft", json!(false)),
        (json!({ "squash": false }), "squash", json!(false)),
    ] {
        assert_eq!(bot.put(&one, body.clone()).expect(200).json()[key], value, "{body}");
    }
    let milestone =
        forge.root().post(&project.path("/milestones"), json!({ "title": "v1" })).expect(201).json();
    let planned = bot.put(&one, json!({ "milestone_id": milestone["id"] })).expect(200).json();
    assert_eq!(planned["milestone"]["title"], "v1");
    let of_milestone = project.path(&format!("/milestones/{}/merge_requests", milestone["id"]));
    assert_eq!(titles(&bot.get(&of_milestone).expect(200).json()), ["c"]);
    bot.get(&project.path("/milestones/999/merge_requests")).expect(404);
    let planned = bot.put(&one, json!({ "milestone_id": 0 })).expect(200).json();
    assert_eq!(planned["milestone"], Value::Null);
    // The feed follows the title.
    let feed = bot.get(&project.path("/events?action=opened&target_type=merge_request")).json();
    assert_eq!(feed[0]["target_title"], "c");

    // What cannot be is named, and nothing changes.
    let before = bot.get(&one).json();
    let wrong = json!({ "title": "", "add_labels": "new" });
    bot.put(&one, wrong).expect_json(400, json!({ "message": { "title": ["can't be blank"] } }));
    bot.put(&one, json!({})).expect(400);
    bot.put(&one, json!({ "state_event": "merge" })).expect(400);
    bot.put(&one, json!({ "target_branch": "nothing" })).expect(400);
    let same = "You can't use same project/branch for source and target";
    bot.put(&one, json!({ "target_branch": "a" })).expect_json(422, json!({ "message": [same] }));
    assert_eq!(bot.get(&one).json(), before);
    assert!(!bot.get(&project.path("/labels")).json().to_string().contains("new"));
    bot.put(&project.path("/merge_requests/9"), json!({ "title": "x" }))
        .expect_json(404, json!({ "message": "404 Merge Request Not Found" }));
    // Another project's number is none of ours.
    let other = forge.project("private");
    forge.root().get(&other.path("/merge_requests/1")).expect(404);
}

#[test]
fn the_target_branch_can_be_another_one() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let next = commit(&bot, &project, "next", "next.txt");
    let made = open(&bot, &project, "a", json!({}));
    let main = made["diff_refs"]["start_sha"].clone();
    let body = json!({ "source_branch": "a", "target_branch": "next", "title": "second" });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    let taken = "Another open merge request already exists for this source branch: !2";
    bot.put(&project.path("/merge_requests/1"), json!({ "target_branch": "next" }))
        .expect_json(409, json!({ "message": [taken] }));
    bot.put(&project.path("/merge_requests/2"), json!({ "state_event": "close" })).expect(200);
    let moved =
        bot.put(&project.path("/merge_requests/1"), json!({ "target_branch": "next" })).expect(200).json();
    let refs = json!({ "base_sha": main, "head_sha": made["sha"], "start_sha": next });
    assert_eq!((&moved["target_branch"], &moved["diff_refs"]), (&json!("next"), &refs));
    // Of one that is not open the branch stays.
    let closed =
        bot.put(&project.path("/merge_requests/2"), json!({ "target_branch": "main" })).expect(200).json();
    assert_eq!((&closed["target_branch"], &closed["state"]), (&json!("next"), &json!("closed")));
}

#[test]
fn a_merge_request_is_closed_and_reopened() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    open(&bot, &project, "a", json!({}));
    let one = project.path("/merge_requests/1");
    forge.clock.advance_days(1);
    let closed = bot.put(&one, json!({ "state_event": "close" })).expect(200).json();
    assert_eq!(
        (
            &closed["state"],
            &closed["closed_at"],
            &closed["closed_by"]["id"],
            &closed["detailed_merge_status"]
        ),
        (&json!("closed"), &json!("2026-03-03T12:00:00.000Z"), &json!(bot.user_id), &json!("not_open"))
    );
    // Closing it again changes nothing.
    bot.put(&one, json!({ "state_event": "close" })).expect(200);
    // Its branches may be asked for again, and then it cannot come back.
    let body = json!({ "source_branch": "a", "target_branch": "main", "title": "again" });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    let taken = "Another open merge request already exists for this source branch: !2";
    bot.put(&one, json!({ "state_event": "reopen" })).expect_json(409, json!({ "message": [taken] }));
    bot.delete(&project.path("/merge_requests/2")).expect(403);
    forge.root().delete(&project.path("/merge_requests/2")).expect(204);
    forge.root().get(&project.path("/merge_requests/2")).expect(404);
    // It comes back with what its branches hold by then.
    let tip = commit(&bot, &project, "a", "later.txt");
    let open_again = bot.put(&one, json!({ "state_event": "reopen" })).expect(200).json();
    assert_eq!(
        (&open_again["state"], &open_again["closed_at"], &open_again["closed_by"], &open_again["sha"]),
        (&json!("opened"), &Value::Null, &Value::Null, &json!(tip))
    );
    let events = bot.get(&project.path("/events?target_type=merge_request&sort=asc")).expect(200).json();
    let actions: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["action_name"].clone()).collect();
    assert_eq!(actions, ["opened", "closed", "reopened"]);
    // Without its source branch it does not come back.
    bot.put(&one, json!({ "state_event": "close" })).expect(200);
    bot.delete(&project.path("/repository/branches/a")).expect(204);
    bot.put(&one, json!({ "state_event": "reopen" })).expect(400);
    assert_eq!(bot.get(&one).json()["state"], "closed");
    // Deleting is in the audit log.
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).json();
    let deleted =
        audit.as_array().unwrap().iter().find(|entry| entry["event_name"] == "merge_request_deleted");
    assert_eq!(deleted.unwrap()["details"]["iid"], 2);
}

#[test]
fn authors_change_their_own_texts_and_others_need_the_permission() {
    let forge = forge!();
    let project = forge.project("private");
    let author = project.member(30);
    open(&author, &project, "a", json!({ "labels": "x" }));
    let one = project.path("/merge_requests/1");
    let reporter = project.token(&["api"], 20);
    reporter.put(&one, json!({ "title": "y" })).expect(403);
    reporter.post(&project.path("/merge_requests"), json!({})).expect(403);
    let reader = project.token(&["read_api"], 30);
    reader.get(&one).expect(200);
    reader.put(&one, json!({ "title": "y" })).expect(403);
    project.token(&["api"], 30).put(&one, json!({ "add_labels": "y" })).expect(200);
    // An author who is less by now changes texts and state, and plans nothing.
    let member = project.path(&format!("/members/{}", author.id));
    forge.root().put(&member, json!({ "access_level": 20 })).expect(200);
    commit(forge.root(), &project, "next", "next.txt");
    let body = json!({
        "title": "z", "labels": "", "target_branch": "next", "squash": true, "assignee_id": author.id,
        "discussion_locked": true, "state_event": "close",
    });
    let changed = author.put(&one, body).expect(200).json();
    for (key, value) in [
        ("title", json!("z")),
        ("state", json!("closed")),
        ("labels", json!(["x", "y"])),
        ("target_branch", json!("main")),
        ("squash", json!(false)),
        ("assignees", json!([])),
        ("discussion_locked", json!(false)),
    ] {
        assert_eq!(changed[key], value, "{key}");
    }
    author.put(&one, json!({ "state_event": "reopen" })).expect(200);
    // One who is a Guest of a private project does not even know of them.
    forge.root().put(&member, json!({ "access_level": 10 })).expect(200);
    author.get(&one).expect(403);
    author.put(&one, json!({ "title": "q" })).expect(403);
    author.get(&project.path("/merge_requests")).expect(403);
}

#[test]
fn the_feed_is_silent_about_merge_requests_for_who_may_not_read_them() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    open(&bot, &project, "a", json!({}));
    bot.put(&project.path("/merge_requests/1"), json!({ "state_event": "close" })).expect(200);
    let issue = forge.root().issue(project.id, "an issue");
    assert_eq!(issue, 1);
    let kinds = |caller: &Caller| {
        let events = caller.get(&project.path("/events?per_page=100")).expect(200).json();
        let events = events.as_array().unwrap().iter();
        events.filter(|event| event["target_type"] == "MergeRequest").count()
    };
    let (guest, reporter) = (project.member(10), project.member(20));
    assert_eq!((kinds(&guest), kinds(&reporter), kinds(&bot)), (0, 2, 2));
    let total = |caller: &Caller| {
        caller.get(&project.path("/events")).expect(200).header("x-total").unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(total(&reporter) - total(&guest), 2);
    forge.root().put(&project.path(""), json!({ "merge_requests_access_level": "disabled" })).expect(200);
    assert_eq!((kinds(&reporter), kinds(forge.root())), (0, 0));
    // A public project's feed tells everybody, unless they are for members.
    let public = forge.project("public");
    open(&project_bot(&public), &public, "a", json!({}));
    let seen = || {
        let events = forge.anyone().get(&public.path("/events?target_type=merge_request")).expect(200).json();
        events.as_array().unwrap().len()
    };
    assert_eq!(seen(), 1);
    forge.root().put(&public.path(""), json!({ "merge_requests_access_level": "private" })).expect(200);
    assert_eq!(seen(), 0);
    forge.anyone().get(&public.path("/merge_requests")).expect(401);
}

#[test]
fn merge_requests_are_approved() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, second) = (project.token(&["api"], 30), project.token(&["api"], 30));
    let made = open(&bot, &project, "a", json!({}));
    let one = project.path("/merge_requests/1");
    let none = bot.get(&format!("{one}/approvals")).expect(200).json();
    assert_eq!(
        none,
        json!({
            "id": made["id"], "iid": 1, "project_id": project.id, "title": "a", "description": null,
            "state": "opened", "created_at": NOW, "updated_at": NOW, "merge_status": "unchecked", "approved": false,
            "approvals_required": 0, "approvals_left": 0, "require_password_to_approve": false, "approved_by": [],
            "suggested_approvers": [], "approvers": [], "approver_groups": [], "user_has_approved": false,
            "user_can_approve": true, "approval_rules_left": [], "has_approval_rules": false,
        })
    );
    let approve = format!("{one}/approve");
    // Only what was looked at is approved.
    let tip = commit(&bot, &project, "a", "later.txt");
    bot.post(&approve, json!({ "sha": made["sha"] }))
        .expect_json(409, json!({ "message": format!("SHA does not match HEAD of source branch: {tip}") }));
    forge.clock.advance_days(1);
    let approved = bot.post(&approve, json!({ "sha": tip })).expect(201).json();
    assert_eq!(
        (&approved["approved"], &approved["user_has_approved"], &approved["user_can_approve"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let by = json!([{ "user": user_view(&forge, bot.user_id), "approved_at": "2026-03-03T12:00:00.000Z" }]);
    assert_eq!(approved["approved_by"], by);
    // Once each.
    bot.post(&approve, Value::Null).expect(401);
    second.post(&approve, Value::Null).expect(201);
    let seen = bot.get(&format!("{one}/approvals")).expect(200).json();
    assert_eq!(seen["approved_by"].as_array().unwrap().len(), 2);
    assert_eq!(
        bot.get(&format!("{one}/approval_state")).expect(200).json(),
        json!({ "approval_rules_overwritten": false, "rules": [] })
    );
    let taken_back = bot.post(&format!("{one}/unapprove"), Value::Null).expect(201).json();
    assert_eq!(taken_back["approved_by"].as_array().unwrap().len(), 1);
    bot.post(&format!("{one}/unapprove"), Value::Null).expect(404);
    // Reporters read, and approve nothing.
    let reporter = project.token(&["api"], 20);
    assert_eq!(reporter.get(&format!("{one}/approvals")).expect(200).json()["user_can_approve"], false);
    reporter.post(&approve, Value::Null).expect(403);
    // Bots take all approvals back, people do not.
    let person = project.member(40);
    person.put(&format!("{one}/reset_approvals"), Value::Null).expect(401);
    second.put(&format!("{one}/reset_approvals"), Value::Null).expect(202);
    assert_eq!(bot.get(&format!("{one}/approvals")).json()["approved_by"], json!([]));
    // What is not open is not approved.
    bot.put(&one, json!({ "state_event": "close" })).expect(200);
    bot.post(&approve, Value::Null).expect(401);
    let events = bot.get(&project.path("/events?action=approved&sort=asc")).expect(200).json();
    let authors: Vec<_> = events.as_array().unwrap().iter().map(|event| event["author_id"].clone()).collect();
    assert_eq!(authors, [json!(bot.user_id), json!(second.user_id)]);
    bot.post(&project.path("/merge_requests/9/approve"), Value::Null).expect(404);
}

#[test]
fn issues_that_are_closed_are_found_from_both_sides() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    for title in ["one", "two", "three"] {
        forge.root().issue(project.id, title);
    }
    let secret = json!({ "title": "secret", "confidential": true });
    forge.root().post(&project.path("/issues"), secret).expect(201);
    let description = format!("Closes #2, #4 and {}#9, see #3", project.full_path);
    open(&bot, &project, "a", json!({ "title": "Fix #1", "description": description }));
    let closes = |caller: &Caller, what: &str| {
        let found = caller.get(&project.path(&format!("/merge_requests/1/{what}"))).expect(200);
        let count = found.json().as_array().unwrap().len().to_string();
        assert_eq!(found.header("x-total"), Some(count.as_str()));
        titles(&found.json())
    };
    assert_eq!(closes(&bot, "closes_issues"), ["one", "two", "secret"]);
    assert_eq!(closes(&bot, "related_issues"), ["one", "two", "three", "secret"]);
    for path in ["closed_by", "related_merge_requests"] {
        let found = bot.get(&project.path(&format!("/issues/2/{path}"))).expect(200).json();
        assert_eq!((titles(&found), &found[0]["iid"]), (vec!["Fix #1".to_owned()], &json!(1)));
        assert_eq!(bot.get(&project.path(&format!("/issues/3/{path}"))).expect(200).json(), json!([]));
        bot.get(&project.path(&format!("/issues/99/{path}"))).expect(404);
    }
    // A Guest reads issues and no merge requests.
    let guest = project.member(10);
    assert_eq!(guest.get(&project.path("/issues/2/closed_by")).expect(200).json(), json!([]));
    // What it says now counts.
    bot.put(&project.path("/merge_requests/1"), json!({ "description": "Closes #3" })).expect(200);
    assert_eq!(closes(&bot, "closes_issues"), ["one", "three"]);
    // Only what is merged into the default branch closes, and only where the project closes at all.
    commit(&bot, &project, "next", "next.txt");
    bot.put(&project.path("/merge_requests/1"), json!({ "target_branch": "next" })).expect(200);
    assert_eq!(closes(&bot, "closes_issues"), [""; 0]);
    bot.put(&project.path("/merge_requests/1"), json!({ "target_branch": "main" })).expect(200);
    forge.root().put(&project.path(""), json!({ "autoclose_referenced_issues": false })).expect(200);
    assert_eq!(closes(&bot, "closes_issues"), [""; 0]);
    forge.root().put(&project.path(""), json!({ "autoclose_referenced_issues": true })).expect(200);
    forge.root().put(&project.path(""), json!({ "issues_access_level": "disabled" })).expect(200);
    assert_eq!(closes(&bot, "closes_issues"), [""; 0]);
}

#[test]
fn commits_lead_to_the_merge_requests_that_bring_them() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let root = head(&bot, &project, "main");
    let first = commit(&bot, &project, "a", "a1.txt");
    let second = commit(&bot, &project, "a", "a2.txt");
    let body = json!({ "source_branch": "a", "target_branch": "main", "title": "a" });
    bot.post(&project.path("/merge_requests"), body).expect(201);
    open(&bot, &project, "b", json!({}));
    let found = |caller: &Caller, sha: &str| {
        titles(
            &caller
                .get(&project.path(&format!("/repository/commits/{sha}/merge_requests")))
                .expect(200)
                .json(),
        )
    };
    assert_eq!(found(&bot, &first), ["a"]);
    assert_eq!(found(&bot, &second), ["a"]);
    assert_eq!(found(&bot, "b"), ["b"]);
    assert_eq!(found(&bot, &root), [""; 0]);
    bot.get(&project.path(&format!("/repository/commits/{}/merge_requests", "1".repeat(40)))).expect(404);
    let closed = format!("/repository/commits/{first}/merge_requests?state=closed");
    assert_eq!(bot.get(&project.path(&closed)).expect(200).json(), json!([]));
    // Who reads code and no merge requests finds none.
    let public = forge.project("public");
    let tip = open(&project_bot(&public), &public, "a", json!({}))["sha"].as_str().unwrap().to_owned();
    let path = public.path(&format!("/repository/commits/{tip}/merge_requests"));
    assert_eq!(titles(&forge.anyone().get(&path).expect(200).json()), ["a"]);
    forge.root().put(&public.path(""), json!({ "merge_requests_access_level": "private" })).expect(200);
    assert_eq!(forge.anyone().get(&path).expect(200).json(), json!([]));
}

#[test]
fn whoever_takes_part_is_listed() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let (assignee, reviewer) = (project.member(30), project.member(20));
    project.member(30);
    let people = json!({ "assignee_ids": [assignee.id], "reviewer_ids": [reviewer.id] });
    open(&bot, &project, "a", people);
    let found = bot.get(&project.path("/merge_requests/1/participants")).expect(200).json();
    let mut ids: Vec<_> = found.as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    let mut expected = vec![bot.user_id, assignee.id, reviewer.id];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn a_project_says_how_it_merges() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    let body = json!({
        "name": "app", "namespace_id": group.id, "visibility": "private", "merge_method": "ff",
        "squash_option": "default_on", "remove_source_branch_after_merge": false, "merge_requests_access_level": "private",
        "initialize_with_readme": true,
    });
    let made = forge.root().post("/projects", body).expect(201).json();
    let id = made["id"].as_i64().unwrap();
    let path = format!("/projects/{id}");
    let expect = |project: &Value, expected: Value| {
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&project[key], value, "{key}");
        }
    };
    let usual = json!({
        "autoclose_referenced_issues": true, "only_allow_merge_if_pipeline_succeeds": false,
        "allow_merge_on_skipped_pipeline": false, "only_allow_merge_if_all_discussions_are_resolved": false,
    });
    expect(&made, usual.clone());
    expect(
        &made,
        json!({
            "merge_requests_enabled": true, "merge_requests_access_level": "private", "merge_method": "ff",
            "squash_option": "default_on", "remove_source_branch_after_merge": false, "can_create_merge_request_in": true,
        }),
    );
    let address = format!("{}/api/v4/projects/{id}/merge_requests", forge.url);
    assert_eq!(made["_links"]["merge_requests"], json!(address));
    let everything = json!({
        "merge_method": "rebase_merge", "squash_option": "never", "remove_source_branch_after_merge": true,
        "autoclose_referenced_issues": false, "only_allow_merge_if_pipeline_succeeds": true,
        "allow_merge_on_skipped_pipeline": true, "only_allow_merge_if_all_discussions_are_resolved": true,
    });
    let changed = forge.root().put(&path, everything.clone()).expect(200).json();
    expect(&changed, everything.clone());
    expect(&forge.root().get(&path).json(), everything);
    let audit = forge.root().get(&format!("{path}/audit_events")).expect(200).json();
    let merging = audit[0]["details"]["merging"].clone();
    assert_eq!(
        (&merging[0]["merge_method"], &merging[1]["merge_method"]),
        (&json!("ff"), &json!("rebase_merge"))
    );
    for wrong in [json!({ "merge_method": "octopus" }), json!({ "squash_option": "often" })] {
        forge.root().put(&path, wrong).expect(400);
    }
    // Off, there are none to be listed or opened.
    let listed = || {
        let found = forge.root().get("/projects?with_merge_requests_enabled=true").expect(200);
        found.json().as_array().unwrap().len()
    };
    assert_eq!(listed(), 1);
    let off = forge.root().put(&path, json!({ "merge_requests_enabled": false })).expect(200).json();
    expect(
        &off,
        json!({
            "merge_requests_enabled": false, "merge_requests_access_level": "disabled", "can_create_merge_request_in": false,
        }),
    );
    assert_eq!(listed(), 0);
    let refused = json!({ "message": "403 Forbidden - Merge requests are disabled in this project" });
    forge.root().get(&format!("{path}/merge_requests")).expect_json(403, refused);

    // What is not asked for is as the project says.
    let project = forge.project("private");
    let settings = json!({ "squash_option": "always", "remove_source_branch_after_merge": false });
    forge.root().put(&project.path(""), settings).expect(200);
    let bot = project.token(&["api"], 30);
    let made = open(&bot, &project, "a", json!({ "squash": false }));
    expect(&made, json!({ "squash": true, "squash_on_merge": true, "force_remove_source_branch": false }));
    forge.root().put(&project.path(""), json!({ "squash_option": "never" })).expect(200);
    let seen = bot.get(&project.path("/merge_requests/1")).json();
    expect(&seen, json!({ "squash": true, "squash_on_merge": false }));
    assert_eq!(bot.get(&project.path("")).json()["can_create_merge_request_in"], true);
    assert_eq!(
        project.token(&["api"], 20).get(&project.path("")).json()["can_create_merge_request_in"],
        false
    );
}

#[test]
fn what_a_deleted_bot_opened_and_approved_is_the_ghost_users() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    open(&bot, &project, "a", json!({ "assignee_id": bot.user_id, "reviewer_ids": [bot.user_id] }));
    bot.post(&project.path("/merge_requests/1/approve"), Value::Null).expect(201);
    bot.put(&project.path("/merge_requests/1"), json!({ "title": "b", "state_event": "close" })).expect(200);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let found = forge.root().get(&project.path("/merge_requests/1")).expect(200).json();
    assert_eq!(
        (&found["author"]["username"], &found["closed_by"]["username"]),
        (&json!("ghost"), &json!("ghost"))
    );
    assert_eq!((&found["assignees"], &found["reviewers"]), (&json!([]), &json!([])));
    let approvals = forge.root().get(&project.path("/merge_requests/1/approvals")).expect(200).json();
    assert_eq!(approvals["approved_by"][0]["user"]["username"], "ghost");
}
