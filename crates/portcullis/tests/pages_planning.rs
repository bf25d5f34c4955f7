//! The pages of labels and milestones, deleting issues and merge requests, and what texts only name, as a browser sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Answer, Browser, Person, Project, TestForge, forge, form_number};
use serde_json::{Value, json};

const MARKUP: &str = "<script>alert(1)</script>";

/// A private project with somebody of each role, and a Reporter's browser.
struct World<'a> {
    project: Project<'a>,
    reporter: Browser<'a>,
    guest: Person,
}

fn world(forge: &TestForge) -> World<'_> {
    let project = forge.project("private");
    let reporter = Browser::signed_in(forge, &project.member(20).username);
    let guest = project.member(10);
    World { project, reporter, guest }
}

impl World<'_> {
    fn at(&self, rest: &str) -> String {
        format!("/{}/-{rest}", self.project.full_path)
    }

    /// Sends a new form of a list.
    #[track_caller]
    fn make(&self, list: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.reporter.get(&self.at(&format!("{list}/new"))).expect(200).text;
        let number = form_number(&form);
        self.reporter.post(&self.at(list), &[&[("form_number", number.as_str())], fields].concat())
    }

    fn all(&self, list: &str) -> Vec<Value> {
        let found = self.reporter.forge.root().get(&self.project.path(list)).expect(200).json();
        found.as_array().unwrap().clone()
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

/// Returns what a form's hidden mark of its beginning is.
fn seen(page: &str) -> String {
    let rest = page.split("name=\"seen\" value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn labels_are_listed_with_what_has_them() {
    let forge = forge!();
    let world = world(&forge);
    let text = page(&world.reporter, &world.at("/issues"));
    contains(
        &text,
        &[&format!("href=\"{}\"", world.at("/labels")), &format!("href=\"{}\"", world.at("/milestones"))],
    );
    contains(&page(&world.reporter, &world.at("/labels")), &["No labels yet", "Make a label"]);

    let bot = world.project.token(&["api"], 40);
    let label =
        json!({ "name": format!("bug {MARKUP}"), "color": "teal", "description": MARKUP, "priority": 3 });
    bot.post(&world.project.path("/labels"), label).expect(201);
    bot.post(&world.project.path("/labels"), json!({ "name": "unused", "color": "#abc" })).expect(201);
    for confidential in [false, true] {
        let issue =
            json!({ "title": "one", "labels": format!("bug {MARKUP}"), "confidential": confidential });
        bot.post(&world.project.path("/issues"), issue).expect(201);
    }
    let text = page(&world.reporter, &world.at("/labels"));
    contains(
        &text,
        &[
            "fill=\"#008080\"",
            "fill=\"#abc\"",
            "bug &#60;script&#62;",
            "<p class=\"small\">&#60;script&#62;",
            "issues?state=opened&#38;label=bug%20%3C",
            ">2 open issues</a> · priority 3",
            "Nothing open has it",
        ],
    );
    assert!(!text.contains("style="), "a style in the page is against its policy");

    // In lists and beside an issue a label is in its colour.
    contains(
        &page(&world.reporter, &world.at("/issues")),
        &["fill=\"#008080\"></rect></svg>bug &#60;script"],
    );
    contains(
        &page(&world.reporter, &world.at("/issues/1")),
        &["fill=\"#008080\"></rect></svg>bug &#60;script"],
    );

    // Whoever plans nothing reads them, and what is confidential is not counted.
    let guest = Browser::signed_in(&forge, &world.guest.username);
    let text = page(&guest, &world.at("/labels"));
    contains(&text, &[">1 open issue</a>"]);
    assert!(!text.contains("/labels/new") && !text.contains("/delete") && !text.contains("/edit"));

    let found = |query: &str| {
        page(&guest, &world.at(&format!("/labels?{query}"))).matches("<p class=\"title\">").count()
    };
    for (query, count) in [
        ("search=BUG", 1),
        ("search=nothing", 0),
        ("search=%00", 2),
        ("search=%3Cscript", 1),
        ("page=9", 0),
        ("page=x", 2),
    ] {
        assert_eq!(found(query), count, "{query}");
    }
    contains(
        &page(&guest, &world.at("/labels?search=%3Cscript%3Ealert(1)%3C/script%3Ex")),
        &["Nothing found", "&#60;script"],
    );
    for number in 0..50 {
        bot.post(&world.project.path("/labels"), json!({ "name": format!("n{number}"), "color": "red" }))
            .expect(201);
    }
    contains(&page(&guest, &world.at("/labels")), &["Page 1 of 2"]);
    contains(&page(&guest, &world.at("/labels?search=n&page=2")), &["Page 2 of 2"]);
}

#[test]
fn a_label_is_made_once_changed_and_deleted() {
    let forge = forge!();
    let world = world(&forge);
    let (long, many) = ("é".repeat(256), "x".repeat(10_001));
    for (fields, part) in [
        ([("title", ""), ("color", "#123456")], "The title can&#39;t be blank."),
        ([("title", "  "), ("color", "#123456")], "id=\"title-error\""),
        ([("title", "a,b"), ("color", "#123456")], "id=\"title-error\""),
        ([("title", long.as_str()), ("color", "#123456")], "maximum is 255 characters"),
        ([("title", MARKUP), ("color", "\"><script>alert(1)</script>")], "The colour must be one such as"),
        ([("title", "a"), ("color", "")], "id=\"color-error\""),
        ([("title", "a"), ("color", "#12345")], "id=\"color-error\""),
        ([("title", "a"), ("color", "url(https://example.com)")], "id=\"color-error\""),
    ] {
        let back = world.make("/labels", &fields).expect(422).text;
        contains(&back, &[part]);
        assert!(!back.contains("<script>alert"), "{back}");
    }
    for (name, value, part) in [
        ("priority", "soon", "The priority is not a whole number"),
        ("priority", "-1", "id=\"priority-error\""),
        ("priority", "99999999999", "id=\"priority-error\""),
        ("description", many.as_str(), "id=\"description-error\""),
    ] {
        let back =
            world.make("/labels", &[("title", "kept"), ("color", "#123456"), (name, value)]).expect(422);
        contains(&back.text, &[part, "value=\"kept\"", "value=\"#123456\""]);
    }
    assert!(world.all("/labels").is_empty());

    let number = form_number(&page(&world.reporter, &world.at("/labels/new")));
    let fields = [
        ("form_number", number.as_str()),
        ("title", MARKUP),
        ("color", "#A1b2C3"),
        ("description", "one\r\ntwo"),
        ("priority", "0"),
    ];
    let made = world.reporter.post(&world.at("/labels"), &fields).expect(303);
    assert_eq!(made.header("location"), Some(world.at("/labels").as_str()));
    contains(
        &world.reporter.post(&world.at("/labels"), &fields).expect(409).text,
        &["was created.", "sent before"],
    );
    let labels = world.all("/labels");
    assert_eq!(labels.len(), 1);
    assert_eq!((&labels[0]["name"], &labels[0]["color"]), (&json!(MARKUP), &json!("#A1b2C3")));
    assert_eq!((&labels[0]["description"], &labels[0]["priority"]), (&json!("one\ntwo"), &json!(0)));
    contains(
        &world.make("/labels", &[("title", MARKUP), ("color", "red")]).expect(422).text,
        &["The title has already been taken."],
    );
    world.make("/labels", &[("title", "other"), ("color", "red")]).expect(303);

    // A title that is another's number changes nothing about which label an address means.
    let id = labels[0]["id"].as_i64().unwrap();
    let other =
        world.all("/labels").iter().find(|label| label["name"] == "other").unwrap()["id"].as_i64().unwrap();
    world.make("/labels", &[("title", &id.to_string()), ("color", "red")]).expect(303);
    let edit = world.at(&format!("/labels/{id}/edit"));
    let form = page(&world.reporter, &edit);
    contains(&form, &["value=\"#A1b2C3\"", "one\ntwo</textarea>", "value=\"0\"", "&#60;script"]);
    let mark = seen(&form);
    let change = |title: &str, color: &str, mark: &str| {
        world.reporter.post(&edit, &[("title", title), ("color", color), ("description", ""), ("seen", mark)])
    };
    contains(
        &change("other", "red", &mark).expect(422).text,
        &["The title has already been taken.", "value=\"other\""],
    );
    contains(&change("", "red", &mark).expect(422).text, &["id=\"title-error\""]);
    contains(
        &change("bug", "no colour", &mark).expect(422).text,
        &["id=\"color-error\"", "value=\"no colour\""],
    );
    // Another tab saves first; this one says so, and the second time it is meant.
    forge
        .root()
        .put(&world.project.path(&format!("/labels/{id}")), json!({ "color": "#000000" }))
        .expect(200);
    let back = change("bug", "#A1b2C3", &mark).expect(409).text;
    contains(&back, &["Somebody changed it", "value=\"bug\""]);
    change("bug", "#A1b2C3", &seen(&back)).expect(303);
    let label = forge.root().get(&world.project.path("/labels/bug")).json();
    assert_eq!(
        (&label["color"], &label["priority"], &label["description"]),
        (&json!("#A1b2C3"), &Value::Null, &Value::Null)
    );

    let delete = world.at(&format!("/labels/{id}/delete"));
    contains(&page(&world.reporter, &delete), &["Delete label “bug”?", "loses it"]);
    world.reporter.post(&delete, &[]).expect(303);
    contains(&page(&world.reporter, &world.at("/labels")), &["The label was deleted."]);
    // Once more it deletes nothing, least of all the label that is called like the number.
    world.reporter.post(&delete, &[]).expect(303);
    contains(&page(&world.reporter, &world.at("/labels")), &["There is no such label any more."]);
    assert_eq!(world.all("/labels").len(), 2);
    for path in
        [format!("/labels/{id}/edit"), format!("/labels/{id}/delete"), "/labels/other/edit".to_owned()]
    {
        world.reporter.get(&world.at(&path)).expect(404);
    }
    world.reporter.post(&edit, &[("title", "x"), ("color", "red")]).expect(404);
    world.reporter.get(&world.at(&format!("/labels/{other}/edit"))).expect(200);
}

#[test]
fn milestones_are_listed_and_show_what_is_planned() {
    let forge = forge!();
    let world = world(&forge);
    contains(&page(&world.reporter, &world.at("/milestones")), &["No open milestones", "Make a milestone"]);
    let bot = world.project.token(&["api"], 40);
    let milestone =
        |body: Value| bot.post(&world.project.path("/milestones"), body).expect(201).json()["id"].clone();
    let first = milestone(
        json!({ "title": format!("v1 {MARKUP}"), "description": format!("**all** of #1 {MARKUP}"), "due_date": "2001-01-31" }),
    );
    let second = milestone(json!({ "title": "v2", "start_date": "2099-01-01", "due_date": "2099-02-01" }));
    let third = milestone(json!({ "title": "done" }));
    bot.put(&world.project.path(&format!("/milestones/{third}")), json!({ "state_event": "close" }))
        .expect(200);
    for (title, confidential) in [("one", false), ("two", false), ("for few", true)] {
        let issue = json!({ "title": format!("{title} {MARKUP}"), "milestone_id": first, "confidential": confidential, "labels": "x" });
        bot.post(&world.project.path("/issues"), issue).expect(201);
    }
    bot.put(&world.project.path("/issues/1"), json!({ "state_event": "close" })).expect(200);

    let text = page(&world.reporter, &world.at("/milestones"));
    contains(
        &text,
        &[
            "Open <span class=\"badge\">2</span>",
            "Closed <span class=\"badge\">1</span>",
            "All <span class=\"badge\">3</span>",
            "<span class=\"badge warn\">Past due</span>",
            "Upcoming",
            "2099-02-01",
        ],
    );
    assert!(!text.contains(">done</a>"));
    contains(&page(&world.reporter, &world.at("/milestones?state=closed")), &[">done</a>", "Closed</span>"]);
    let found = |query: &str| {
        page(&world.reporter, &world.at(&format!("/milestones?{query}")))
            .matches("<p class=\"title\">")
            .count()
    };
    for (query, count) in [
        ("state=all", 3),
        ("state=x", 2),
        ("search=V2", 1),
        ("search=%00", 2),
        ("page=2", 0),
        ("state=closed&search=v", 0),
    ] {
        assert_eq!(found(query), count, "{query}");
    }

    let text = page(&world.reporter, &world.at("/milestones/1"));
    contains(
        &text,
        &[
            "v1 &#60;script&#62;",
            "<strong>all</strong>",
            &format!("<a href=\"{}\">#1</a>", world.at("/issues/1")),
            "1 of 3 issues are closed",
            "Issues <span class=\"badge\">3</span>",
            "Merge requests <span class=\"badge\">0</span>",
            "one &#60;script&#62;",
            "Confidential",
        ],
    );
    contains(
        &page(&world.reporter, &world.at("/milestones/1?show=merge_requests")),
        &["No merge requests are planned"],
    );
    contains(&page(&world.reporter, &world.at("/milestones/2")), &["No issues are planned for it"]);
    // A Guest sees what they may read, and nothing to change it with.
    let guest = Browser::signed_in(&forge, &world.guest.username);
    let text = page(&guest, &world.at("/milestones/1?show=merge_requests"));
    contains(&text, &["1 of 2 issues are closed"]);
    assert!(
        !text.contains("for few")
            && !text.contains("Merge requests")
            && !text.contains("/edit")
            && !text.contains("/state\"")
    );
    assert!(!page(&guest, &world.at("/milestones")).contains("/milestones/new"));
    // Nor does it count what is hidden where there are no issues at all.
    forge.root().put(&world.project.path(""), json!({ "issues_access_level": "disabled" })).expect(200);
    let text = page(&guest, &world.at("/milestones/1"));
    assert!(!text.contains("closed</") && !text.contains("one &#60;"), "{text}");
    contains(&page(&guest, &world.at("/labels")), &["<span class=\"badge label\">"]);
    for path in [
        "/milestones/9",
        "/milestones/x",
        "/milestones/0",
        "/milestones/-1",
        "/milestones/99999999999999999999",
    ] {
        guest.get(&world.at(path)).expect(404);
    }
    let _ = second;
}

#[test]
fn a_milestone_is_made_once_changed_closed_and_deleted() {
    let forge = forge!();
    let world = world(&forge);
    let long = "é".repeat(256);
    for (fields, part) in [
        ([("title", ""), ("start_date", ""), ("due_date", "")], "The title can&#39;t be blank."),
        ([("title", long.as_str()), ("start_date", ""), ("due_date", "")], "maximum is 255 characters"),
        (
            [("title", "m"), ("start_date", "2030-02-30"), ("due_date", "")],
            "The start date is not a date such as",
        ),
        (
            [("title", "m"), ("start_date", ""), ("due_date", "tomorrow")],
            "The due date is not a date such as",
        ),
        ([("title", MARKUP), ("start_date", MARKUP), ("due_date", MARKUP)], "id=\"due_date-error\""),
        (
            [("title", "m"), ("start_date", "2030-02-02"), ("due_date", "2030-02-01")],
            "The due date can&#39;t be before the start date.",
        ),
    ] {
        let back = world
            .make("/milestones", &[&fields[..], &[("description", "kept </textarea>")][..]].concat())
            .expect(422)
            .text;
        contains(&back, &[part, "kept &#60;/textarea&#62;"]);
        assert!(!back.contains("<script>alert"), "{back}");
    }
    assert!(world.all("/milestones").is_empty());

    let number = form_number(&page(&world.reporter, &world.at("/milestones/new")));
    let fields = [
        ("form_number", number.as_str()),
        ("title", MARKUP),
        ("description", "one\r\ntwo"),
        ("start_date", "2030-02-01"),
        ("due_date", "2030-02-01"),
    ];
    let made = world.reporter.post(&world.at("/milestones"), &fields).expect(303);
    assert_eq!(made.header("location"), Some(world.at("/milestones/1").as_str()));
    contains(
        &world.reporter.post(&world.at("/milestones"), &fields).expect(409).text,
        &["was created.", "sent before"],
    );
    assert_eq!(world.all("/milestones").len(), 1);
    contains(
        &world.make("/milestones", &[("title", MARKUP)]).expect(422).text,
        &["The title has already been taken."],
    );
    world.make("/milestones", &[("title", "other")]).expect(303);

    let edit = world.at("/milestones/1/edit");
    let form = page(&world.reporter, &edit);
    contains(&form, &["one\ntwo</textarea>", "value=\"2030-02-01\"", "&#60;script"]);
    let mark = seen(&form);
    let change = |title: &str, due: &str, mark: &str| {
        let fields = [
            ("title", title),
            ("description", "mine"),
            ("start_date", "2030-02-01"),
            ("due_date", due),
            ("seen", mark),
        ];
        world.reporter.post(&edit, &fields)
    };
    contains(
        &change("other", "", &mark).expect(422).text,
        &["The title has already been taken.", "\nmine</textarea>"],
    );
    contains(
        &change("v1", "2030-01-31", &mark).expect(422).text,
        &["before the start date", "value=\"2030-01-31\""],
    );
    let id = world.all("/milestones").iter().find(|milestone| milestone["iid"] == 1).unwrap()["id"].clone();
    let of_api = world.project.path(&format!("/milestones/{id}"));
    forge.root().put(&of_api, json!({ "description": "theirs" })).expect(200);
    let back = change("v1", "2030-03-01", &mark).expect(409).text;
    contains(&back, &["Somebody changed it", "\nmine</textarea>"]);
    assert_eq!(forge.root().get(&of_api).json()["description"], "theirs");
    change("v1", "", &seen(&back)).expect(303);
    let now = forge.root().get(&of_api).json();
    assert_eq!(
        (&now["title"], &now["due_date"], &now["start_date"]),
        (&json!("v1"), &Value::Null, &json!("2030-02-01"))
    );

    let state = world.at("/milestones/1/state");
    for (event, word) in [("close", "closed"), ("close", "closed"), ("activate", "active")] {
        world.reporter.post(&state, &[("state_event", event)]).expect(303);
        assert_eq!(forge.root().get(&of_api).json()["state"], word);
    }
    contains(
        &page(&world.reporter, &world.at("/milestones/1")),
        &["The milestone is open again.", "Close milestone"],
    );
    world.reporter.post(&state, &[("state_event", "burn")]).expect(422);

    let delete = world.at("/milestones/1/delete");
    contains(&page(&world.reporter, &delete), &["Delete milestone “v1”?", "no longer belong to it"]);
    world.reporter.post(&delete, &[]).expect(303);
    contains(&page(&world.reporter, &world.at("/milestones")), &["The milestone was deleted."]);
    world.reporter.post(&delete, &[]).expect(303);
    contains(&page(&world.reporter, &world.at("/milestones")), &["There is no such milestone any more."]);
    assert_eq!(world.all("/milestones").len(), 1);
    world.reporter.post(&state, &[("state_event", "close")]).expect(404);
}

#[test]
fn who_may_not_plan_finds_no_form_and_sends_none() {
    let forge = forge!();
    let world = world(&forge);
    world.make("/labels", &[("title", "bug"), ("color", "red")]).expect(303);
    world.make("/milestones", &[("title", "v1")]).expect(303);
    let id = world.all("/labels")[0]["id"].clone();
    let paths = [
        "/labels/new".to_owned(),
        format!("/labels/{id}/edit"),
        format!("/labels/{id}/delete"),
        "/milestones/new".to_owned(),
        "/milestones/1/edit".to_owned(),
        "/milestones/1/delete".to_owned(),
    ];
    let posts = ["/labels".to_owned(), "/milestones".to_owned(), "/milestones/1/state".to_owned()];
    let stranger = forge.person("stranger");
    let fields = [("title", "taken"), ("color", "red"), ("state_event", "close"), ("form_number", "1")];
    for username in [&world.guest.username, &stranger.username] {
        let browser = Browser::signed_in(&forge, username);
        for path in &paths {
            browser.get(&world.at(path)).expect(404);
        }
        for path in paths.iter().filter(|path| !path.ends_with("new")).chain(&posts) {
            browser.post(&world.at(path), &fields).expect(404);
        }
    }
    let stranger = Browser::signed_in(&forge, &stranger.username);
    for path in ["/labels", "/milestones", "/milestones/1"] {
        stranger.get(&world.at(path)).expect(404);
        Browser::new(&forge).get(&world.at(path)).expect(303);
    }
    // Another project's label and milestone are not in this one.
    let other = forge.project("private");
    let label = json!({ "name": "theirs", "color": "red" });
    let label = forge.root().post(&other.path("/labels"), label).expect(201).json()["id"].clone();
    for part in ["edit", "delete"] {
        let path = world.at(&format!("/labels/{label}/{part}"));
        world.reporter.get(&path).expect(404);
    }
    world.reporter.post(&world.at(&format!("/labels/{label}/delete")), &[]).expect(303);
    assert_eq!(forge.root().get(&other.path("/labels")).json().as_array().unwrap().len(), 1);
    // Archived, they are read and not changed.
    forge.root().post(&world.project.path("/archive"), Value::Null).expect(201);
    assert!(!page(&world.reporter, &world.at("/labels")).contains("New label"));
    world.reporter.get(&world.at("/labels/new")).expect(404);
    world.reporter.post(&world.at("/milestones/1/delete"), &[]).expect(404);
    assert_eq!((world.all("/labels").len(), world.all("/milestones").len()), (1, 1));
}

#[test]
fn an_issue_is_deleted_by_owners_after_a_question() {
    let forge = forge!();
    let world = world(&forge);
    let bot = world.project.token(&["api"], 40);
    for _ in 0..2 {
        let issue = json!({ "title": format!("one {MARKUP}"), "confidential": true });
        bot.post(&world.project.path("/issues"), issue).expect(201);
    }
    let delete = world.at("/issues/1/delete");
    let maintainer = Browser::signed_in(&forge, &world.project.member(40).username);
    let guest = Browser::signed_in(&forge, &world.guest.username);
    for browser in [&maintainer, &world.reporter, &guest] {
        browser.get(&delete).expect(404);
        browser.post(&delete, &[]).expect(404);
    }
    assert!(!page(&maintainer, &world.at("/issues/1")).contains("/issues/1/delete"));
    let owner = Browser::signed_in(&forge, &world.project.member(50).username);
    contains(
        &page(&owner, &world.at("/issues/1")),
        &[&format!("href=\"{delete}\""), "data-ask=\"Delete issue #1?\""],
    );
    contains(&page(&owner, &delete), &["Delete issue #1, “one &#60;script&#62;", "cannot be undone"]);
    let deleted = owner.post(&delete, &[]).expect(303);
    assert_eq!(deleted.header("location"), Some(world.at("/issues").as_str()));
    contains(&page(&owner, &world.at("/issues")), &["Issue #1 was deleted."]);
    owner.post(&delete, &[]).expect(303);
    contains(&page(&owner, &world.at("/issues")), &["There is no issue #1 any more."]);
    owner.get(&world.at("/issues/1")).expect(404);
    owner.get(&delete).expect(404);
    assert_eq!(world.all("/issues").len(), 1);
    for path in ["/issues/x/delete", "/issues/99999999999999999999/delete"] {
        owner.get(&world.at(path)).expect(404);
        owner.post(&world.at(path), &[]).expect(404);
    }
}

#[test]
fn a_merge_request_is_deleted_by_owners_after_a_question() {
    let forge = forge!();
    let world = world(&forge);
    let bot = world.project.token(&["api"], 40);
    let commit = |file: &str, mut body: Value| {
        body["commit_message"] = json!("x");
        body["actions"] = json!([{ "action": "create", "file_path": file, "content": "x" }]);
        bot.post(&world.project.path("/repository/commits"), body).expect(201);
    };
    commit("a", json!({ "branch": "main" }));
    commit("b", json!({ "branch": "topic", "start_branch": "main" }));
    let request = json!({ "source_branch": "topic", "target_branch": "main", "title": MARKUP, "description": "Like !1 by @maria" });
    bot.post(&world.project.path("/merge_requests"), request).expect(201);
    let delete = world.at("/merge_requests/1/delete");
    let maintainer = Browser::signed_in(&forge, &world.project.member(40).username);
    maintainer.get(&delete).expect(404);
    maintainer.post(&delete, &[]).expect(404);
    let text = page(&maintainer, &world.at("/merge_requests/1"));
    contains(
        &text,
        &[&format!("<a href=\"{}\">!1</a>", world.at("/merge_requests/1")), "<a href=\"/maria\">@maria</a>"],
    );
    assert!(!text.contains("/merge_requests/1/delete"));
    let owner = Browser::signed_in(&forge, &world.project.member(50).username);
    contains(&page(&owner, &world.at("/merge_requests/1")), &[&format!("href=\"{delete}\"")]);
    contains(
        &page(&owner, &delete),
        &["Delete merge request !1, “&#60;script&#62;", "The branches and the commits stay"],
    );
    owner.post(&delete, &[]).expect(303);
    contains(&page(&owner, &world.at("/merge_requests")), &["Merge request !1 was deleted."]);
    owner.post(&delete, &[]).expect(303);
    contains(&page(&owner, &world.at("/merge_requests")), &["There is no merge request !1 any more."]);
    owner.get(&delete).expect(404);
}

#[test]
fn what_texts_name_is_linked_and_tells_nothing_of_what_there_is() {
    let forge = forge!();
    let world = world(&forge);
    let bot = world.project.token(&["api"], 40);
    let text = format!("Like #2, #999 and !7 by @nobody and @admin, not `#3` or a#4 {MARKUP}");
    bot.post(&world.project.path("/issues"), json!({ "title": "#5", "description": text })).expect(201);
    bot.post(&world.project.path("/issues/1/notes"), json!({ "body": "As in #6, foo@bar.com." })).expect(201);
    let secret = json!({ "title": "secret", "confidential": true });
    bot.post(&world.project.path("/issues"), secret).expect(201);
    let issue = |number: i64| format!("<a href=\"{}\">#{number}</a>", world.at(&format!("/issues/{number}")));
    for username in [&world.guest.username, &world.project.member(20).username] {
        let text = page(&Browser::signed_in(&forge, username), &world.at("/issues/1"));
        contains(
            &text,
            &[
                &issue(2),
                &issue(999),
                &issue(6),
                &format!("<a href=\"{}\">!7</a>", world.at("/merge_requests/7")),
                "<a href=\"/nobody\">@nobody</a>",
                "<code>#3</code>",
                "<h1>#5</h1>",
            ],
        );
        assert!(
            !text.contains("secret")
                && !text.contains("href=\"/admin\"")
                && !text.contains("href=\"/bar.com")
        );
        assert!(!text.contains(&issue(3)) && !text.contains(&issue(4)));
    }
    // A README is left as it is, and notes of a release are not.
    let body = json!({
        "branch": "main",
        "commit_message": "x",
        "actions": [{ "action": "update", "file_path": "README.md", "content": "See #2." }],
    });
    bot.post(&world.project.path("/repository/commits"), body).expect(201);
    let release = json!({ "tag_name": "v1", "ref": "main", "description": "Mends #2." });
    bot.post(&world.project.path("/releases"), release).expect(201);
    assert!(!page(&world.reporter, &format!("/{}", world.project.full_path)).contains(&issue(2)));
    contains(&page(&world.reporter, &world.at("/releases/v1")), &[&issue(2)]);
}
