//! The pages of issues, as a browser sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Browser, Person, Project, TestForge, forge, form_number};
use serde_json::{Value, json};

const MARKUP: &str = "<script>alert(1)</script>";

/// A private project with somebody of each role.
struct World<'a> {
    project: Project<'a>,
    reporter: Person,
    guest: Person,
}

fn world(forge: &TestForge) -> World<'_> {
    let project = forge.project("private");
    let (reporter, guest) = (project.member(20), project.member(10));
    World { project, reporter, guest }
}

impl World<'_> {
    fn at(&self, rest: &str) -> String {
        format!("/{}/-/issues{rest}", self.project.full_path)
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

#[track_caller]
fn open(browser: &Browser, world: &World, fields: &[(&str, &str)]) -> portcullis_testkit::Answer {
    let form = browser.get(&world.at("/new")).expect(200).text;
    let number = form_number(&form);
    let fields = [&[("form_number", number.as_str())], fields].concat();
    browser.post(&world.at(""), &fields)
}

#[test]
fn a_list_begins_empty_and_is_narrowed_ordered_and_paged() {
    let forge = forge!();
    let world = world(&forge);
    let browser = Browser::signed_in(&forge, &world.reporter.username);
    let new = format!("href=\"{}\"", world.at("/new"));
    contains(&page(&browser, &world.at("")), &["No open issues", "Open an issue", &new]);
    contains(
        &page(&browser, &format!("/{}", world.project.full_path)),
        &[&format!("{}\">Issues", world.at(""))],
    );

    let bot = world.project.token(&["api"], 40);
    for number in 1..=22 {
        let label = if number % 2 == 0 { "even" } else { "odd,1" };
        let body = json!({ "title": format!("{MARKUP} number {number}"), "labels": label });
        bot.post(&world.project.path("/issues"), body).expect(201);
        forge.clock.advance_seconds(60);
    }
    bot.put(&world.project.path("/issues/1"), json!({ "state_event": "close" })).expect(200);
    let person = json!({ "title": "by hand", "assignee_ids": [world.reporter.id], "confidential": true });
    world.reporter.caller.post(&world.project.path("/issues"), person).expect(201);

    let first = page(&browser, &world.at(""));
    contains(
        &first,
        &[
            "Open <span class=\"badge\">22</span>",
            "Closed <span class=\"badge\">1</span>",
            "All <span class=\"badge\">23</span>",
            "number 22",
            "<span class=\"badge accent\">Bot</span>",
            "Page 1 of 2",
            "</svg>even</span>",
            "Confidential",
        ],
    );
    assert!(first.find("by hand").unwrap() < first.find("number 22").unwrap());
    assert!(!first.contains("number 2<"), "the second page holds it");
    contains(&page(&browser, &world.at("?page=2")), &["number 2<", "Page 2 of 2"]);
    let found = |query: &str| page(&browser, &world.at(query)).matches("<p class=\"title\">").count();
    for (query, count) in [
        ("?label=even", 11),
        ("?state=all&label=odd", 11),
        ("?state=closed", 1),
        ("?search=NUMBER+21", 1),
        ("?search=nothing", 0),
        ("?search=%00", 20),
        ("?assignee=me", 1),
        ("?assignee=nobody&state=closed", 1),
        ("?assignee=whoever&label=even", 11),
        (&format!("?author=%40{}", world.reporter.username), 1),
        ("?author=nobody", 0),
        ("?sort=nonsense&state=nonsense&page=nonsense", 20),
        ("?page=99", 0),
    ] {
        assert_eq!(found(query), count, "{query}");
    }
    contains(&page(&browser, &world.at("?label=%3Cscript%3Ealert(1)%3C/script%3E")), &["Nothing found"]);
    let oldest = page(&browser, &world.at("?sort=created_asc"));
    assert!(oldest.find("number 2<").unwrap() < oldest.find("number 3<").unwrap());
    contains(
        &oldest,
        &["?state=opened&#38;sort=created_asc&#38;page=2", "<option value=\"created_asc\" selected>"],
    );

    // A Guest is not shown what is confidential, and it is not counted.
    let guest = Browser::signed_in(&forge, &world.guest.username);
    contains(&page(&guest, &world.at("")), &["Open <span class=\"badge\">21</span>"]);
    guest.get(&world.at("/23")).expect(404);
}

#[test]
fn an_issue_is_opened_once_and_what_was_typed_is_kept_when_it_cannot_be() {
    let forge = forge!();
    let world = world(&forge);
    let browser = Browser::signed_in(&forge, &world.reporter.username);
    world
        .project
        .token(&["api"], 40)
        .post(&world.project.path("/labels"), json!({ "name": "bug", "color": "red" }))
        .expect(201);
    let milestone = json!({ "title": "v1" });
    let milestone =
        forge.root().post(&world.project.path("/milestones"), milestone).expect(201).json()["id"].to_string();
    let form = page(&browser, &world.at("/new"));
    contains(
        &form,
        &[
            "value=\"bug\"",
            "<span class=\"badge accent\">Bot</span>",
            ">v1</option>",
            "name=\"confidential\"",
        ],
    );

    let assignee = world.guest.id.to_string();
    let more = [
        ("title", ""),
        ("description", "two\r\nlines </textarea>"),
        ("labels[]", "bug"),
        ("more_labels", "new one"),
        ("assignee_ids[]", assignee.as_str()),
        ("milestone_id", milestone.as_str()),
        ("due_date", "2030-02-30"),
        ("confidential", "yes"),
    ];
    let back = open(&browser, &world, &more).expect(422).text;
    contains(
        &back,
        &[
            "two\nlines &#60;/textarea&#62;",
            "value=\"bug\" checked",
            "value=\"new one\"",
            "The date is not a date such as 2030-01-31.",
            "value=\"2030-02-30\"",
            &format!("name=\"assignee_ids[]\" value=\"{assignee}\" checked"),
            "selected>v1</option>",
        ],
    );
    let fields: Vec<_> = more.iter().filter(|(name, _)| *name != "due_date").copied().collect();
    contains(
        &open(&browser, &world, &fields).expect(422).text,
        &["The title can&#39;t be blank.", "id=\"title-error\""],
    );
    assert_eq!(forge.root().get(&world.project.path("/issues")).json(), json!([]));

    let number = form_number(&form);
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "title").collect();
    fields.extend([("title", "It <b>breaks</b>"), ("due_date", "2030-01-31"), ("form_number", &number)]);
    let made = browser.post(&world.at(""), &fields).expect(303);
    assert_eq!(made.header("location"), Some(world.at("/1").as_str()));
    // Sent again, as going back and sending does, it makes no second one, and nothing is lost.
    contains(
        &browser.post(&world.at(""), &fields).expect(409).text,
        &["Issue #1 is open.", "sent before", "It &#60;b&#62;breaks"],
    );
    let issues = forge.root().get(&world.project.path("/issues")).json();
    assert_eq!(issues.as_array().unwrap().len(), 1);
    let issue = &issues[0];
    assert_eq!(issue["description"], "two\nlines </textarea>");
    assert_eq!((&issue["labels"], &issue["due_date"]), (&json!(["bug", "new one"]), &json!("2030-01-31")));
    assert_eq!((&issue["confidential"], &issue["milestone"]["title"]), (&json!(true), &json!("v1")));
    assert_eq!(issue["assignees"][0]["id"], world.guest.id);

    contains(
        &page(&browser, &world.at("/1")),
        &[
            "It &#60;b&#62;breaks",
            "2030-01-31",
            "Confidential",
            "class=\"badge label\" href=",
            "lines &lt;/textarea&gt;",
            "Open</span>",
        ],
    );
}

#[test]
fn a_guest_opens_an_issue_and_plans_nothing() {
    let forge = forge!();
    let world = world(&forge);
    let browser = Browser::signed_in(&forge, &world.guest.username);
    let form = page(&browser, &world.at("/new"));
    assert!(
        !form.contains("assignee_ids") && !form.contains("milestone_id") && !form.contains("more_labels")
    );
    let own = world.guest.id.to_string();
    let fields = [("title", "mine"), ("more_labels", "sneaked"), ("assignee_ids[]", own.as_str())];
    open(&browser, &world, &fields).expect(303);
    let issue = forge.root().get(&world.project.path("/issues/1")).json();
    assert_eq!((&issue["labels"], &issue["assignees"]), (&json!([]), &json!([])));
    // One's own is changed and closed; another's is not there to be changed.
    let other = forge.root().issue(world.project.id, "another's");
    assert_eq!(other, 2);
    let form = page(&browser, &world.at("/1/edit"));
    let fields = [("title", "mine now"), ("description", ""), ("seen", &seen(&form))];
    browser.post(&world.at("/1/edit"), &fields).expect(303);
    browser.post(&world.at("/1/state"), &[("state_event", "close")]).expect(303);
    let issue = forge.root().get(&world.project.path("/issues/1")).json();
    assert_eq!((&issue["title"], &issue["state"]), (&json!("mine now"), &json!("closed")));
    let text = page(&browser, &world.at("/2"));
    assert!(!text.contains("/2/edit") && !text.contains("/2/state"), "{text}");
    browser.get(&world.at("/2/edit")).expect(404);
    browser.post(&world.at("/2/edit"), &[("title", "taken"), ("seen", &seen(&form))]).expect(404);
    browser.post(&world.at("/2/state"), &[("state_event", "close")]).expect(404);
    let issue = forge.root().get(&world.project.path("/issues/2")).json();
    assert_eq!((&issue["title"], &issue["state"]), (&json!("another's"), &json!("opened")));
}

#[test]
fn an_issue_is_changed_closed_and_reopened() {
    let forge = forge!();
    let world = world(&forge);
    let bot = world.project.token(&["api"], 40);
    let body = json!({ "title": "one", "description": format!("- [x] done\n\n[docs](docs/a.md) {MARKUP}"), "labels": "bug" });
    bot.post(&world.project.path("/issues"), body).expect(201);
    let browser = Browser::signed_in(&forge, &world.reporter.username);
    let text = page(&browser, &world.at("/1"));
    contains(
        &text,
        &[
            "☑ done",
            "&lt;script&gt;",
            "Close issue",
            "<span class=\"badge accent\">Bot</span>",
            &format!("href=\"/{}/-/blob/main/docs/a.md\"", world.project.full_path),
        ],
    );

    browser.post(&world.at("/1/state"), &[("state_event", "close")]).expect(303);
    let text = page(&browser, &world.at("/1"));
    contains(&text, &["The issue is closed.", "Reopen issue", "Closed</span>", "<p>closed</p>"]);
    browser.post(&world.at("/1/state"), &[("state_event", "reopen")]).expect(303);
    contains(&page(&browser, &world.at("/1")), &["The issue is open again.", "<p>reopened</p>"]);
    browser.post(&world.at("/1/state"), &[("state_event", "burn")]).expect(422);

    let form = page(&browser, &world.at("/1/edit"));
    contains(&form, &["value=\"bug\" checked", "value=\"one\""]);
    let mark = seen(&form);
    let wrong = [("title", ""), ("description", "kept"), ("seen", mark.as_str())];
    contains(
        &browser.post(&world.at("/1/edit"), &wrong).expect(422).text,
        &["id=\"title-error\"", "\nkept</textarea>"],
    );
    // Another tab saves first; this one says so, keeps what was typed, and the second time it is meant.
    bot.put(&world.project.path("/issues/1"), json!({ "description": "theirs" })).expect(200);
    let mine = [("title", "two"), ("description", "mine"), ("discussion_locked", "yes"), ("seen", &mark)];
    let back = browser.post(&world.at("/1/edit"), &mine).expect(409).text;
    contains(&back, &["changed the title or the description", "\nmine</textarea>", "value=\"two\""]);
    assert_eq!(forge.root().get(&world.project.path("/issues/1")).json()["description"], "theirs");
    let mine =
        [("title", "two"), ("description", "mine"), ("discussion_locked", "yes"), ("seen", &seen(&back))];
    browser.post(&world.at("/1/edit"), &mine).expect(303);
    let issue = forge.root().get(&world.project.path("/issues/1")).json();
    assert_eq!((&issue["title"], &issue["description"]), (&json!("two"), &json!("mine")));
    assert_eq!((&issue["labels"], &issue["discussion_locked"]), (&json!([]), &json!(true)));
    for path in ["/7", "/7/edit", "/x", "/0", "/-1", "/99999999999999999999"] {
        browser.get(&world.at(path)).expect(404);
    }
}

fn notes(world: &World, forge: &TestForge) -> Vec<String> {
    let notes = forge.root().get(&world.project.path("/issues/1/notes?sort=asc")).json();
    notes.as_array().unwrap().iter().map(|note| note["body"].as_str().unwrap().to_owned()).collect()
}

/// Returns the numbers of all forms in a page, in order.
fn numbers(page: &str) -> Vec<String> {
    let parts = page.split("name=\"form_number\" value=\"").skip(1);
    parts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn comments_are_written_answered_changed_and_deleted() {
    let forge = forge!();
    let world = world(&forge);
    let bot = world.project.token(&["api"], 40);
    bot.issue(world.project.id, "one");
    let said = json!({ "body": format!("bot says {MARKUP} **bold**") });
    let note =
        bot.post(&world.project.path("/issues/1/notes"), said).expect(201).json()["id"].as_i64().unwrap();
    let secret = json!({ "body": "kept among us", "internal": true });
    bot.post(&world.project.path("/issues/1/notes"), secret).expect(201);
    let browser = Browser::signed_in(&forge, &world.reporter.username);
    let guest = Browser::signed_in(&forge, &world.guest.username);
    let text = page(&browser, &world.at("/1"));
    contains(
        &text,
        &[
            "bot says &lt;script&gt;",
            "<strong>bold</strong>",
            "kept among us",
            "Internal</span>",
            "name=\"internal\"",
        ],
    );
    let shown = page(&guest, &world.at("/1"));
    assert!(!shown.contains("kept among us") && !shown.contains("name=\"internal\""));

    let number = numbers(&text).pop().unwrap();
    let fields = [("form_number", number.as_str()), ("body", "mine\r\ntoo")];
    let made = browser.post(&world.at("/1/notes"), &fields).expect(303);
    assert!(made.header("location").unwrap().starts_with(&world.at("/1#note_")));
    let again = browser.post(&world.at("/1/notes"), &fields).expect(409).text;
    contains(&again, &["sent before", "\nmine\ntoo</textarea>", "id=\"body-error\""]);
    assert_eq!(notes(&world, &forge).len(), 3);
    let number = numbers(&again).pop().unwrap();
    let blank = browser.post(&world.at("/1/notes"), &[("form_number", &number), ("body", " \n")]).expect(422);
    contains(&blank.text, &["The comment can&#39;t be blank."]);

    // An answer to the bot's comment makes it a discussion; what cannot be comes back below the same comment.
    let key = format!("{note:040x}");
    let reply = world.at(&format!("/1/discussions/{key}/notes"));
    let number = &numbers(&page(&browser, &world.at("/1")))[0];
    let blank = browser.post(&reply, &[("form_number", number), ("body", "")]).expect(422).text;
    contains(&blank, &["<details class=\"reply\" open>", &format!("id=\"reply-{note}-error\"")]);
    let number = &numbers(&blank)[0];
    browser.post(&reply, &[("form_number", number), ("body", "answer")]).expect(303);
    let discussions = forge.root().get(&world.project.path("/issues/1/discussions")).json();
    assert_eq!(discussions[0]["notes"].as_array().unwrap().len(), 2);
    browser
        .post(
            &world.at(&format!("/1/discussions/{:040x}/notes", 999_999)),
            &[("form_number", "x1"), ("body", "x")],
        )
        .expect(404);

    let mine = |text: &str| discussions_of(&forge, &world).iter().find(|(_, body)| body == text).unwrap().0;
    let id = mine("mine\ntoo");
    let edit = world.at(&format!("/1/notes/{id}/edit"));
    contains(&page(&browser, &edit), &["\nmine\ntoo</textarea>"]);
    contains(&browser.post(&edit, &[("body", "")]).expect(422).text, &["id=\"body-error\""]);
    browser.post(&edit, &[("body", "changed")]).expect(303);
    assert!(notes(&world, &forge).contains(&"changed".to_owned()));
    // Another's comment is not there to be changed, by a form nor by what it would send.
    for (who, of) in [(&guest, id), (&browser, note)] {
        for part in ["edit", "delete"] {
            let path = world.at(&format!("/1/notes/{of}/{part}"));
            who.get(&path).expect(404);
            who.post(&path, &[("body", "taken")]).expect(404);
        }
    }
    let delete = world.at(&format!("/1/notes/{id}/delete"));
    contains(&page(&browser, &delete), &["Delete the comment by", "cannot be undone"]);
    browser.post(&delete, &[]).expect(303);
    browser.post(&delete, &[]).expect(303);
    contains(&page(&browser, &world.at("/1")), &["There is no such comment any more."]);
    assert!(!notes(&world, &forge).contains(&"changed".to_owned()));
}

fn discussions_of(forge: &TestForge, world: &World) -> Vec<(i64, String)> {
    let notes: Value = forge.root().get(&world.project.path("/issues/1/notes")).json();
    let notes = notes.as_array().unwrap().iter();
    notes.map(|note| (note["id"].as_i64().unwrap(), note["body"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn who_may_not_sees_no_form_and_sends_none() {
    let forge = forge!();
    let project = forge.project("public");
    let bot = project.token(&["api"], 40);
    bot.issue(project.id, "open to all");
    let at = |rest: &str| format!("/{}/-/issues{rest}", project.full_path);
    let anyone = Browser::new(&forge);
    let text = page(&anyone, &at("/1"));
    contains(&text, &["Sign in</a> to comment", "open to all"]);
    assert!(
        !text.contains("method=\"post\" action") && !text.contains("/1/edit") && !text.contains("body-hint")
    );
    contains(&page(&anyone, &at("")), &["open to all"]);
    assert!(!page(&anyone, &at("?state=closed")).contains("New issue"));
    for path in ["/new", "/1/edit"] {
        anyone.get(&at(path)).expect(303);
    }
    anyone.post(&at("/1/notes"), &[("body", "x")]).expect(303);

    // Where the discussion is locked, somebody who is no member only reads.
    bot.put(&project.path("/issues/1"), json!({ "discussion_locked": true })).expect(200);
    let stranger = forge.person("stranger");
    let stranger = Browser::signed_in(&forge, &stranger.username);
    let text = page(&stranger, &at("/1"));
    contains(&text, &["locked: only members comment"]);
    let number = form_number(&page(&stranger, &at("/new")));
    let answer = stranger.post(&at("/1/notes"), &[("form_number", &number), ("body", "let me")]).expect(422);
    contains(&answer.text, &["locked"]);
    let member = project.member(10);
    let member = Browser::signed_in(&forge, &member.username);
    contains(&page(&member, &at("/1")), &["Add a comment"]);

    // Archived, it is read and not changed.
    forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    let text = page(&member, &at("/1"));
    assert!(!text.contains("Add a comment") && !text.contains("/state"));
    member.get(&at("/new")).expect(404);
    // Without issues there is no list, and no way to it.
    forge.root().post(&project.path("/unarchive"), Value::Null).expect(201);
    forge.root().put(&project.path(""), json!({ "issues_access_level": "disabled" })).expect(200);
    member.get(&at("")).expect(404);
    assert!(!page(&member, &format!("/{}", project.full_path)).contains("/-/issues"));
}
