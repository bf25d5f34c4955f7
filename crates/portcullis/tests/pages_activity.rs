//! What happened in a project, as its page tells it.

use portcullis_testkit::{Browser, Project, forge};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

fn address(project: &Project<'_>) -> String {
    format!("/{}/-/activity", project.full_path)
}

#[test]
fn what_people_and_bots_did_is_told_newest_first_with_ways_to_it() {
    let forge = forge!();
    let project = forge.project("public");
    let bot = project.token_with(json!({ "name": HOSTILE, "scopes": ["api"], "access_level": 40 }));
    let maria = project.member(30);
    let actions = |path: &str| json!([{ "action": "create", "file_path": path, "content": "x" }]);
    let commit = |path: &str| json!({ "branch": "main", "commit_message": format!("Add {HOSTILE}"), "actions": actions(path) });
    bot.post(&project.path("/repository/commits"), commit("a")).expect(201);
    forge.run_jobs();
    maria.post(&project.path("/issues"), json!({ "title": format!("It fails {HOSTILE}") })).expect(201);
    let note = json!({ "body": format!("me too {HOSTILE}") });
    let note = bot.post(&project.path("/issues/1/notes"), note).expect(201).json();
    let release = json!({ "tag_name": "v1", "ref": "main" });
    bot.post(&project.path("/releases"), release).expect(201);
    forge.registry(&bot.secret).repository(&project.full_path).push_image("v1", "one");

    let visitor = Browser::new(&forge);
    let page = visitor.get(&address(&project)).expect(200).text;
    assert!(!page.contains(HOSTILE) && page.contains("<span class=\"badge accent\">Bot</span>"));
    let path = &project.full_path;
    let told = [
        format!("pushed image <a href=\"/{path}/-/container_registry\">{path}:v1</a>"),
        format!("created release <a href=\"/{path}/-/releases\">v1</a>"),
        format!("pushed new tag <a href=\"/{path}/-/tree/v1\">v1</a>"),
        format!("commented on issue <a href=\"/{path}/-/issues/1#note_{}\">#1</a>", note["id"]),
        format!("opened issue <a href=\"/{path}/-/issues/1\">#1</a> “It fails &#60;script&#62;"),
        format!("pushed 1 commit to <a href=\"/{path}/-/tree/main\">main</a>"),
        "joined the project".to_owned(),
        "created the project".to_owned(),
    ];
    let mut last = 0;
    for told in &told {
        let at = page.find(told).unwrap_or_else(|| panic!("{told}: {page}"));
        assert!(at > last, "{told} is not where it belongs");
        last = at;
    }
    assert!(page.contains("me too &#60;script&#62;") && page.contains("Add &#60;script&#62;"));
    assert!(page.contains("aria-current=\"page\">Activity</a>"));

    // Nothing is told of what the reader may not see.
    let off = json!({ "issues_access_level": "private", "repository_access_level": "private" });
    forge.root().put(&project.path(""), off).expect(200);
    let page = visitor.get(&address(&project)).expect(200).text;
    assert!(!page.contains("It fails") && !page.contains("me too") && !page.contains("/-/tree/"));
}

#[test]
fn the_short_address_leads_there_unless_it_is_a_projects_own() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    let body = json!({ "name": "app", "path": "app", "namespace_id": group.id, "visibility": "private" });
    let app = forge.root().post("/projects", body).expect(201).json();
    let maria = forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    browser.get("/acme/app/activity").expect(404);
    let asked = Browser::new(&forge).get("/acme/app/activity").expect(303);
    assert_eq!(asked.header("location"), Some("/users/sign_in?return_to=%2Facme%2Fapp%2Factivity"));
    let member = json!({ "user_id": maria.id, "access_level": 10 });
    forge.root().post(&format!("/projects/{}/members", app["id"]), member).expect(201);
    let there = browser.get("/acme/app/activity").expect(303);
    assert_eq!(there.header("location"), Some("/acme/app/-/activity"));
    browser.get("/acme/app/-/activity").expect(200);
    // A project may be called that, and is found at its own address.
    let body =
        json!({ "name": "activity", "path": "activity", "namespace_id": group.id, "visibility": "public" });
    forge.root().post("/projects", body).expect(201);
    browser.get("/acme/activity").expect(200);
    browser.get("/acme/activity/activity").expect(303);
}

#[test]
fn a_long_feed_has_pages_and_a_hidden_project_none() {
    let forge = forge!();
    let project = forge.project("private");
    for number in 0..31 {
        forge.root().issue(project.id, &format!("issue {number}"));
    }
    let maria = project.member(10);
    let browser = Browser::signed_in(&forge, &maria.username);
    let page = browser.get(&address(&project)).expect(200).text;
    assert!(
        page.contains("Page 1 of 2") && page.contains("issue 30”") && !page.contains("issue 0”"),
        "{page}"
    );
    let page = browser.get(&format!("{}?page=2", address(&project))).expect(200).text;
    assert!(page.contains("issue 0”"));
    let page = browser.get(&format!("{}?page=99", address(&project))).expect(200).text;
    assert!(page.contains("Nothing here"));
    forge.person("stranger");
    Browser::signed_in(&forge, "stranger").get(&address(&project)).expect(404);
    forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    browser.get(&address(&project)).expect(200);
}
