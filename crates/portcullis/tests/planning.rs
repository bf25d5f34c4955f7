//! Labels and milestones: what they are, what issues make of them, and who may change them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Caller, Project, forge};
use serde_json::{Value, json};

fn titles(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

fn labels_of(caller: &Caller, project: &Project<'_>, iid: i64) -> Value {
    caller.get(&project.path(&format!("/issues/{iid}"))).expect(200).json()["labels"].clone()
}

#[test]
fn a_label_is_made_and_read_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 20);
    let body =
        json!({ "name": " bug ", "color": "#d9534f", "description": "a <b> & \"c\"", "priority": "3" });
    let label = bot.post(&project.path("/labels"), body).expect(201).json();
    let id = label["id"].as_i64().unwrap();
    let expected = json!({
        "id": id,
        "name": "bug",
        "description": "a <b> & \"c\"",
        "description_html": "a &lt;b&gt; &amp; &quot;c&quot;",
        "text_color": "#FFFFFF",
        "color": "#d9534f",
        "archived": false,
        "subscribed": false,
        "priority": 3,
        "is_project_label": true,
    });
    assert_eq!(label, expected);
    for named in [id.to_string(), "bug".to_owned(), "b%75g".to_owned()] {
        bot.get(&project.path(&format!("/labels/{named}"))).expect_json(200, expected.clone());
    }
    // A colour may be named; a label without a description or priority says so.
    let white =
        bot.post(&project.path("/labels"), json!({ "name": "a/b c", "color": "White" })).expect(201).json();
    assert_eq!(
        (&white["color"], &white["text_color"], &white["description"], &white["priority"]),
        (&json!("#FFFFFF"), &json!("#1F1E24"), &Value::Null, &Value::Null)
    );
    assert_eq!(bot.get(&project.path("/labels/a%2Fb%20c")).expect(200).json(), white);
    let page = bot.get(&project.path("/labels?per_page=1&page=2")).expect(200);
    assert_eq!((page.header("x-total"), titles(&page.json(), "name")), (Some("2"), vec!["bug".to_owned()]));
    assert_eq!(titles(&bot.get(&project.path("/labels?search=BU")).json(), "name"), ["bug"]);
    // A title that is another label's number is still a title where a title is asked for.
    let number = id.to_string();
    bot.post(&project.path("/labels"), json!({ "name": number, "color": "red" })).expect(201);
    let changed =
        bot.put(&project.path("/labels"), json!({ "name": number, "color": "blue" })).expect(200).json();
    assert_eq!(changed["name"], json!(number));
    assert_eq!(bot.get(&project.path(&format!("/labels/{id}"))).json(), expected);
    // Another project's label is none of ours.
    let other = forge.project("private");
    forge
        .root()
        .get(&other.path(&format!("/labels/{id}")))
        .expect_json(404, json!({ "message": "404 Label Not Found" }));
    forge.root().put(&other.path(&format!("/labels/{id}")), json!({ "new_name": "x" })).expect(404);
    forge.root().delete(&other.path(&format!("/labels/{id}"))).expect(404);
}

#[test]
fn a_label_that_cannot_be_is_named_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let path = project.path("/labels");
    bot.post(&path, json!({ "name": "bug", "color": "red" })).expect(201);
    bot.post(&path, json!({ "name": "ui", "color": "blue" })).expect(201);
    bot.post(&path, json!({ "name": "bug", "color": "red" }))
        .expect_json(409, json!({ "message": "Label already exists" }));
    bot.post(&path, json!({})).expect_json(400, json!({ "error": "name is missing, color is missing" }));
    let long = "x".repeat(256);
    for (name, color, priority, message) in [
        ("x", "#12", json!(1), json!({ "color": ["must be a valid color code"] })),
        ("x", "red;}", json!(1), json!({ "color": ["must be a valid color code"] })),
        ("", "red", json!(1), json!({ "title": ["can't be blank"] })),
        ("a,b", "red", json!(1), json!({ "title": ["can't contain commas or control characters"] })),
        (&long, "red", json!(1), json!({ "title": ["is too long (maximum is 255 characters)"] })),
        ("x", "red", json!(-1), json!({ "priority": ["must be greater than or equal to 0"] })),
    ] {
        let body = json!({ "name": name, "color": color, "priority": priority });
        bot.post(&path, body).expect_json(400, json!({ "message": message }));
    }
    let long = json!({ "name": "x", "color": "red", "description": "x".repeat(10_001) });
    bot.post(&path, long).expect(400);
    let none = "new_name, color, description, priority are missing, at least one parameter must be provided";
    bot.put(&project.path("/labels/bug"), json!({ "name": "x" })).expect_json(400, json!({ "error": none }));
    bot.put(&project.path("/labels/bug"), json!({ "new_name": "ui" }))
        .expect_json(400, json!({ "message": { "title": ["has already been taken"] } }));
    bot.put(&path, json!({ "new_name": "x" })).expect_json(400, json!({ "error": "name is missing" }));
    bot.put(&project.path("/labels/nothing"), json!({ "color": "red" })).expect(404);
    bot.delete(&project.path("/labels/nothing")).expect(404);
    assert_eq!(titles(&bot.get(&path).json(), "name"), ["bug", "ui"]);
}

#[test]
fn issues_make_labels_and_show_what_becomes_of_them() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 20);
    let issues = project.path("/issues");
    bot.post(&issues, json!({ "title": "one", "labels": "bug, ui" })).expect(201);
    bot.post(&issues, json!({ "title": "two", "labels": ["bug"] })).expect(201);
    let labels = bot.get(&project.path("/labels?with_counts=true")).expect(200).json();
    assert_eq!(titles(&labels, "name"), ["bug", "ui"]);
    assert_eq!(
        (&labels[0]["color"], &labels[0]["open_issues_count"], &labels[0]["closed_issues_count"]),
        (&json!("#6699cc"), &json!(2), &json!(0))
    );
    assert_eq!(labels[0]["open_merge_requests_count"], 0);
    assert_eq!(bot.get(&project.path("/labels")).json()[0].get("open_issues_count"), None);

    // Both forms of renaming; the second one names the label in the body, as do older clients.
    let renamed = bot.put(&project.path("/labels/bug"), json!({ "new_name": "fault" })).expect(200).json();
    assert_eq!((&renamed["name"], &renamed["color"]), (&json!("fault"), &json!("#6699cc")));
    let body = json!({ "name": "ui", "new_name": "screen", "color": "teal", "priority": 1 });
    let renamed = bot.put(&project.path("/labels"), body).expect(200).json();
    assert_eq!((&renamed["name"], &renamed["color"]), (&json!("screen"), &json!("#008080")));
    assert_eq!(labels_of(&bot, &project, 1), json!(["fault", "screen"]));
    let by_label = |label: &str| {
        titles(
            &bot.get(&project.path(&format!("/issues?labels={label}&sort=asc"))).expect(200).json(),
            "title",
        )
    };
    assert_eq!(
        (by_label("fault"), by_label("fault,screen")),
        (vec!["one".into(), "two".into()], vec!["one".to_owned()])
    );
    assert_eq!((by_label("bug").len(), by_label("Any").len(), by_label("None").len()), (0, 2, 0));

    // What is null is cleared, what is absent stays.
    let changed = bot.put(&project.path("/labels/screen"), json!({ "priority": null })).expect(200).json();
    assert_eq!((&changed["priority"], &changed["color"]), (&Value::Null, &json!("#008080")));

    bot.put(&project.path("/issues/2"), json!({ "state_event": "close" })).expect(200);
    let counted = bot.get(&project.path("/labels?with_counts=1")).json()[0].clone();
    assert_eq!((&counted["open_issues_count"], &counted["closed_issues_count"]), (&json!(1), &json!(1)));
    bot.delete(&project.path("/labels/fault")).expect(204);
    bot.delete(&project.path("/labels?name=screen")).expect(204);
    assert_eq!(labels_of(&bot, &project, 1), json!([]));
    assert_eq!(bot.get(&project.path("/labels")).json(), json!([]));
    // They may be used again.
    bot.put(&project.path("/issues/1"), json!({ "add_labels": "fault" })).expect(200);
    assert_eq!(labels_of(&bot, &project, 1), json!(["fault"]));
    // Each change is the bot's in the audit log.
    let log = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).json();
    for (event, times) in [("label_created", 3), ("label_updated", 3), ("label_deleted", 2)] {
        let found = log.as_array().unwrap().iter().filter(|entry| entry["event_name"] == event);
        let authors: Vec<_> = found.map(|entry| entry["author_id"].clone()).collect();
        assert_eq!(authors, vec![json!(bot.user_id); times], "{event}");
    }
}

#[test]
fn who_may_not_plan_reads_labels_and_makes_none() {
    let forge = forge!();
    let project = forge.project("public");
    let (guest, reporter) = (project.token(&["api"], 10), project.token(&["api"], 20));
    guest.post(&project.path("/issues"), json!({ "title": "x", "labels": "new" })).expect(201);
    assert_eq!(labels_of(&guest, &project, 1), json!([]));
    guest.post(&project.path("/labels"), json!({ "name": "x", "color": "red" })).expect(403);
    assert_eq!(forge.anyone().get(&project.path("/labels")).expect(200).json(), json!([]));
    reporter.post(&project.path("/labels"), json!({ "name": "x", "color": "red" })).expect(201);
    assert_eq!(titles(&forge.anyone().get(&project.path("/labels")).json(), "name"), ["x"]);
    for ask in [
        guest.delete(&project.path("/labels/x")),
        guest.put(&project.path("/labels/x"), json!({ "color": "red" })),
    ] {
        ask.expect(403);
    }
    // A confidential issue is counted for those who are shown it.
    reporter
        .post(&project.path("/issues"), json!({ "title": "y", "labels": "x", "confidential": true }))
        .expect(201);
    let count = |caller: &Caller| {
        caller.get(&project.path("/labels?with_counts=true")).json()[0]["open_issues_count"].clone()
    };
    assert_eq!((count(&reporter), count(&guest), count(&forge.anyone())), (json!(1), json!(0), json!(0)));
}

#[test]
fn a_milestone_is_made_changed_closed_and_deleted() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 20);
    let path = project.path("/milestones");
    let body = json!({ "title": "v1", "description": "first", "start_date": "2026-03-01", "due_date": "2026-03-02" });
    let milestone = bot.post(&path, body).expect(201).json();
    let id = milestone["id"].as_i64().unwrap();
    let now = "2026-03-02T12:00:00.000Z";
    assert_eq!(
        milestone,
        json!({
            "id": id,
            "iid": 1,
            "project_id": project.id,
            "title": "v1",
            "description": "first",
            "state": "active",
            "created_at": now,
            "updated_at": now,
            "due_date": "2026-03-02",
            "start_date": "2026-03-01",
            "expired": false,
            "web_url": format!("{}/{}/-/milestones/1", forge.url, project.full_path),
        })
    );
    let one = project.path(&format!("/milestones/{id}"));
    bot.get(&one).expect_json(200, milestone);
    forge.clock.advance_days(1);
    assert_eq!(bot.get(&one).json()["expired"], true);
    let body = json!({ "title": "v1.0", "state_event": "close", "due_date": null });
    let changed = bot.put(&one, body).expect(200).json();
    assert_eq!(
        (
            &changed["title"],
            &changed["state"],
            &changed["due_date"],
            &changed["start_date"],
            &changed["expired"]
        ),
        (&json!("v1.0"), &json!("closed"), &Value::Null, &json!("2026-03-01"), &json!(false))
    );
    assert_eq!(changed["updated_at"], "2026-03-03T12:00:00.000Z");
    let second = bot.post(&path, json!({ "title": "v2" })).expect(201).json();
    assert_eq!(second["iid"], 2);
    let found = |query: &str| titles(&bot.get(&format!("{path}?{query}")).expect(200).json(), "title");
    assert_eq!(found(""), ["v2", "v1.0"]);
    for (query, expected) in [
        ("state=active", "v2"),
        ("state=closed", "v1.0"),
        ("title=v2", "v2"),
        ("search=FIRST", "v1.0"),
        ("iids[]=2&iids[]=9", "v2"),
        ("per_page=1&page=2&include_ancestors=true", "v1.0"),
    ] {
        assert_eq!(found(query), [expected], "{query}");
    }
    bot.put(&one, json!({ "state_event": "activate" })).expect(200);
    bot.put(&one, json!({ "state_event": "activate" })).expect(200);
    bot.delete(&one).expect(204);
    bot.get(&one).expect_json(404, json!({ "message": "404 Milestone Not Found" }));
    let events = forge.root().get(&project.path("/events?target_type=milestone&sort=asc")).expect(200).json();
    let actions: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (event["action_name"].clone(), event["target_title"].clone(), event["author_id"].clone())
        })
        .collect();
    let bot_id = json!(bot.user_id);
    let expected =
        [("opened", "v1.0"), ("closed", "v1.0"), ("opened", "v2"), ("reopened", "v1.0"), ("deleted", "v1.0")];
    assert_eq!(actions, expected.map(|(action, title)| (json!(action), json!(title), bot_id.clone())));
}

#[test]
fn a_milestone_that_cannot_be_is_named_and_nothing_changes() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, guest) = (project.token(&["api"], 20), project.token(&["api"], 10));
    let path = project.path("/milestones");
    let made = bot.post(&path, json!({ "title": "v1", "start_date": "2026-03-05" })).expect(201).json();
    bot.post(&path, json!({ "title": "v2" })).expect(201);
    bot.post(&path, json!({})).expect_json(400, json!({ "error": "title is missing" }));
    let dates = json!({ "message": { "due_date": ["must be greater than start date"] } });
    let body = json!({ "title": "v3", "start_date": "2026-03-02", "due_date": "2026-03-01" });
    bot.post(&path, body).expect_json(400, dates.clone());
    let taken =
        json!({ "message": { "title": ["already being used for another group or project milestone."] } });
    bot.post(&path, json!({ "title": "v1" })).expect_json(400, taken.clone());
    bot.post(&path, json!({ "title": "v3", "due_date": "soon" }))
        .expect_json(400, json!({ "error": "due_date is invalid" }));
    bot.post(&path, json!({ "title": "x".repeat(256) })).expect(400);
    let one = project.path(&format!("/milestones/{}", made["id"]));
    bot.put(&one, json!({ "title": "v2" })).expect_json(400, taken);
    bot.put(&one, json!({ "due_date": "2026-03-04" })).expect_json(400, dates);
    bot.put(&one, json!({ "state_event": "reopen" })).expect(400);
    bot.put(&one, json!({})).expect(400);
    bot.get(&one).expect_json(200, made.clone());
    // Who may not plan reads; another project's id is none of ours.
    guest.get(&one).expect(200);
    guest.post(&path, json!({ "title": "v3" })).expect(403);
    guest.put(&one, json!({ "title": "v3" })).expect(403);
    guest.delete(&one).expect(403);
    let other = forge.project("private");
    let foreign = other.path(&format!("/milestones/{}", made["id"]));
    forge.root().get(&foreign).expect(404);
    forge.root().put(&foreign, json!({ "title": "x" })).expect(404);
    forge.root().delete(&foreign).expect(404);
    forge.root().get(&format!("{foreign}/issues")).expect(404);
    // The numbers of what was refused are not missing.
    assert_eq!(bot.post(&path, json!({ "title": "v3" })).expect(201).json()["iid"], 3);
}

#[test]
fn issues_are_planned_for_a_milestone() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, guest) = (project.token(&["api"], 20), project.token(&["api"], 10));
    let milestone = bot.post(&project.path("/milestones"), json!({ "title": "v1" })).expect(201).json();
    let id = milestone["id"].clone();
    let issue =
        bot.post(&project.path("/issues"), json!({ "title": "one", "milestone_id": id })).expect(201).json();
    assert_eq!(issue["milestone"], milestone);
    bot.issue(project.id, "two");
    guest.post(&project.path("/issues"), json!({ "title": "three", "milestone_id": id })).expect(201);
    bot.post(
        &project.path("/issues"),
        json!({ "title": "hidden", "milestone_id": id, "confidential": true }),
    )
    .expect(201);
    let found = |caller: &Caller, query: &str| {
        titles(&caller.get(&project.path(&format!("/issues?sort=asc&{query}"))).expect(200).json(), "title")
    };
    assert_eq!(found(&bot, "milestone=v1"), ["one", "hidden"]);
    assert_eq!(found(&bot, "milestone=None"), ["two", "three"]);
    assert_eq!(found(&bot, "milestone=Any"), ["one", "hidden"]);
    assert_eq!(found(&bot, "milestone=v2").len(), 0);
    let of = |caller: &Caller| {
        let path = project.path(&format!("/milestones/{id}/issues"));
        titles(&caller.get(&path).expect(200).json(), "title")
    };
    assert_eq!((of(&bot).len(), of(&guest)), (2, vec!["one".to_owned()]));
    // Nothing but the project's own is taken, and zero takes it away.
    let invalid = json!({ "message": { "milestone_id": ["is invalid"] } });
    let other = forge.project("private");
    let foreign = forge.root().post(&other.path("/milestones"), json!({ "title": "v1" })).expect(201).json();
    for wrong in [foreign["id"].clone(), json!(999_999)] {
        bot.put(&project.path("/issues/2"), json!({ "milestone_id": wrong }))
            .expect_json(400, invalid.clone());
        bot.post(&project.path("/issues"), json!({ "title": "x", "milestone_id": wrong }))
            .expect_json(400, invalid.clone());
    }
    let planned = |iid: i64, body: Value| {
        bot.put(&project.path(&format!("/issues/{iid}")), body).expect(200).json()["milestone"]["title"]
            .clone()
    };
    assert_eq!(planned(2, json!({ "milestone_id": id })), "v1");
    assert_eq!(planned(2, json!({ "title": "still" })), "v1");
    assert_eq!(planned(2, json!({ "milestone_id": 0 })), Value::Null);
    assert_eq!(planned(2, json!({ "milestone_id": id })), "v1");
    assert_eq!(planned(2, json!({ "milestone_id": null })), Value::Null);
    bot.delete(&project.path(&format!("/milestones/{id}"))).expect(204);
    assert_eq!(bot.get(&project.path("/issues/1")).json()["milestone"], Value::Null);
    assert_eq!(found(&bot, "milestone=Any").len(), 0);
}
