//! What all of the REST API has in common: limits, pages, and questions about what the forge does not have.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Answer, Caller, forge};
use serde_json::{Value, json};

fn number(answer: &Answer, header: &str) -> i64 {
    answer.header(header).unwrap_or_else(|| panic!("no {header}")).parse().unwrap()
}

#[test]
fn a_token_that_asks_too_often_is_told_to_wait_and_nobody_else_is() {
    let forge = forge!(|settings| settings.max_api_requests_per_minute = 3);
    let (first, second) = (forge.person("ana"), forge.person("bob"));
    for used in 1..=3 {
        let answer = first.get("/user").expect(200);
        assert_eq!(number(&answer, "ratelimit-limit"), 3);
        assert_eq!(number(&answer, "ratelimit-observed"), used);
        assert_eq!(number(&answer, "ratelimit-remaining"), 3 - used);
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = first.get("/user").expect(429);
    assert_eq!(refused.text, "Retry later\n");
    assert!((1..=60).contains(&number(&refused, "retry-after")), "{refused:?}");
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    assert_eq!(number(&refused, "ratelimit-reset") % 60, 0);
    assert_eq!(refused.header("ratelimit-name"), Some("throttle_authenticated_api"));
    assert!(refused.header("ratelimit-resettime").unwrap().ends_with("GMT"), "{refused:?}");
    second.get("/user").expect(200);
    let nobody = forge.anyone().get("/projects").expect(200);
    assert_eq!(nobody.header("ratelimit-limit"), None);
    forge.clock.advance_seconds(60);
    assert_eq!(number(&first.get("/user").expect(200), "ratelimit-observed"), 1);
}

#[test]
fn a_refused_request_changes_nothing() {
    let forge = forge!(|settings| settings.max_api_requests_per_minute = 1);
    let person = forge.person("ana");
    person.get("/user").expect(200);
    let new = json!({ "name": "late", "path": "late" });
    assert_eq!(person.post("/projects", new).expect(429).text, "Retry later\n");
    forge.clock.advance_seconds(60);
    assert_eq!(person.get("/projects?owned=true").expect(200).json(), json!([]));
}

#[test]
fn without_a_limit_there_are_no_headers_about_one() {
    let forge = forge!();
    let answer = forge.person("ana").get("/user").expect(200);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("ratelimit")), "{answer:?}");
}

/// Follows the links to the next page from `path` to the end, and returns what `key` is everywhere.
fn walk(caller: &Caller, path: &str, key: &str) -> Vec<i64> {
    let mut found = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let answer = caller.get(&path).expect(200);
        assert_eq!((answer.header("x-total"), answer.header("x-page")), (None, None), "{answer:?}");
        let page = answer.json();
        found.extend(page.as_array().unwrap().iter().map(|item| item[key].as_i64().unwrap()));
        next = answer.header("link").map(|link| {
            let (url, rel) = link.split_once(">; rel=").unwrap();
            assert_eq!(rel, "\"next\"", "{link}");
            url.strip_prefix(&format!("<{}/api/v4", caller.url)).unwrap().to_owned()
        });
        assert!(found.len() <= 100, "it goes on and on");
    }
    found
}

#[test]
fn projects_are_gone_through_by_their_ids() {
    let forge = forge!();
    let mut ids: Vec<_> = (0..5).map(|_| forge.project("private").id).collect();
    let path = "/projects?pagination=keyset&order_by=id&per_page=2";
    assert_eq!(walk(forge.root(), &format!("{path}&sort=asc"), "id"), ids);
    ids.reverse();
    assert_eq!(walk(forge.root(), &format!("{path}&sort=desc"), "id"), ids);
    assert_eq!(walk(forge.root(), "/projects?pagination=keyset&per_page=3", "id"), ids);
    let refused = json!({ "error": "Keyset pagination is not yet available for this type of request" });
    forge.root().get("/projects?pagination=keyset&order_by=name").expect_json(405, refused);
}

#[test]
fn issues_are_gone_through_by_their_times() {
    let forge = forge!();
    let project = forge.project("private");
    for number in 1..=5 {
        // Two of them are made in the same microsecond.
        if number != 3 {
            forge.clock.advance_seconds(1);
        }
        forge.root().post(&project.path("/issues"), json!({ "title": format!("{number}") })).expect(201);
    }
    forge.clock.advance_seconds(1);
    forge.root().put(&project.path("/issues/2"), json!({ "title": "changed" })).expect(200);
    let path = |rest: &str| project.path(&format!("/issues?pagination=keyset&per_page=2{rest}"));
    assert_eq!(walk(forge.root(), &path(""), "iid"), [5, 4, 3, 2, 1]);
    assert_eq!(walk(forge.root(), &path("&sort=asc"), "iid"), [1, 2, 3, 4, 5]);
    assert_eq!(walk(forge.root(), &path("&order_by=updated_at"), "iid"), [2, 5, 4, 3, 1]);
    assert_eq!(walk(forge.root(), &path("&state=closed"), "iid"), [0; 0]);
    let wrong = forge.root().get(&path("&cursor=x")).expect(400).json();
    assert_eq!(wrong, json!({ "error": "cursor does not have a valid value" }));
    forge.root().get(&path("&order_by=title")).expect(405);
}

#[test]
fn clients_that_ask_for_pipelines_learn_that_there_are_none() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_api"], 20);
    for list in ["/pipelines", "/jobs"] {
        let answer = bot.get(&project.path(list)).expect(200);
        assert_eq!((answer.json(), answer.header("x-total")), (json!([]), Some("0")));
    }
    for one in ["/pipelines/latest", "/pipelines/1"] {
        bot.get(&project.path(one)).expect_json(404, json!({ "message": "404 Pipeline Not Found" }));
    }
    forge.person("eve").get(&project.path("/pipelines")).expect(404);
}

#[test]
fn clients_may_tell_what_they_were_used_for() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_api"], 20);
    let told = json!({ "event": "gitlab_cli_command_used", "project_id": 1, "additional_properties": {} });
    bot.post("/usage_data/track_event", told.clone()).expect_json(200, json!({ "status": "ok" }));
    project.token(&["read_repository"], 20).post("/usage_data/track_event", told.clone()).expect(403);
    let refused: Value = json!({ "message": "401 Unauthorized" });
    forge.anyone().post("/usage_data/track_event", told).expect_json(401, refused);
}

#[test]
fn links_to_pages_stay_where_the_client_already_is() {
    let forge = forge!(|settings| settings.external_url = Some("https://git.example.com".to_owned()));
    for _ in 0..2 {
        forge.project("private");
    }
    let link = |headers: &[(&str, &str)]| {
        let answer = forge.root().send("GET", "/api/v4/projects?per_page=1", headers, b"").expect(200);
        answer.header("link").unwrap().to_owned()
    };
    let own = link(&[]);
    assert!(
        own.split(", ").all(|link| link.starts_with(&format!("<{}/api/v4/projects?", forge.url))),
        "{own}"
    );
    // Behind a proxy, nobody knows what the proxy was called with.
    let proxied = link(&[("x-forwarded-for", "192.0.2.7")]);
    assert!(proxied.starts_with("<https://git.example.com/api/v4/projects?"), "{proxied}");
    // All other addresses are those that everybody uses.
    let project = &forge.root().get("/projects?per_page=1").expect(200).json()[0];
    assert!(project["web_url"].as_str().unwrap().starts_with("https://git.example.com/"), "{project}");
}

#[test]
fn what_is_no_route_and_what_is_no_method_of_one_is_said_in_json() {
    let forge = forge!();
    let project = forge.project("public");
    for caller in [&forge.anyone(), forge.root()] {
        for path in ["/nothing", "/projects/1/nothing", ""] {
            let answer = caller.get(path);
            assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
            answer.expect_json(404, json!({ "error": "404 Not Found" }));
        }
        for (method, path, allowed) in [
            ("PATCH", project.path(""), "GET,HEAD,PUT,DELETE"),
            ("DELETE", "/version".to_owned(), "GET,HEAD"),
            ("POST", project.path("/issues/1"), "GET,HEAD,PUT,DELETE"),
            ("GET", project.path("/archive"), "POST"),
            ("TRACE", project.path("/archive"), "POST"),
        ] {
            let answer = caller.send(method, &format!("/api/v4{path}"), &[], b"");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {path}");
            let mut found: Vec<_> = answer.header("allow").unwrap_or_default().split(',').collect();
            let mut expected: Vec<_> = allowed.split(',').collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{method} {path}");
            answer.expect_json(405, json!({ "message": "405 Method Not Allowed" }));
        }
    }
}

#[test]
fn an_administrator_acts_as_another_person_and_the_audit_log_names_both() {
    let forge = forge!();
    let ana = forge.person("ana");
    let root = forge.root().get("/user").expect(200).json()["id"].clone();
    let id = ana.id.to_string();
    for sudo in ["ana", id.as_str()] {
        let by_header = forge.root().send("GET", "/api/v4/user", &[("Sudo", sudo)], b"").expect(200);
        assert_eq!(by_header.json()["username"], json!("ana"));
        let by_parameter = forge.root().get(&format!("/user?sudo={sudo}")).expect(200);
        assert_eq!(by_parameter.json()["username"], json!("ana"));
        // The other's rights are what counts, and not those of the administrator.
        forge
            .root()
            .get(&format!("/audit_events?sudo={sudo}"))
            .expect_json(403, json!({ "message": "403 Forbidden" }));
    }
    let new = json!({ "name": "hers", "path": "hers" });
    let project = forge.root().post("/projects?sudo=ana", new).expect(201).json();
    assert_eq!((&project["creator_id"], &project["namespace"]["path"]), (&json!(ana.id), &json!("ana")));
    let log = forge.root().get(&format!("/projects/{}/audit_events", project["id"])).expect(200).json();
    assert_eq!(
        (&log[0]["author_id"], &log[0]["details"]["impersonator_id"]),
        (&json!(ana.id), &root),
        "{log}"
    );
}

#[test]
fn only_an_administrator_with_the_scope_acts_as_somebody_else() {
    let forge = forge!();
    let (ana, bob) = (forge.person("ana"), forge.person("bob"));
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    for caller in [&ana.caller, &bot.caller] {
        let refused = caller.get("/user?sudo=bob").expect(403).json();
        assert!(refused["message"].as_str().unwrap().starts_with("403 Forbidden"), "{refused}");
    }
    let without = forge.with_token(&forge.personal_token("root", &["api"]));
    assert_eq!(without.get("/user?sudo=bob").expect(403).json()["error"], json!("insufficient_scope"));
    forge.root().get("/user?sudo=nobody").expect_json(404, json!({ "message": "404 User Not Found" }));
    // Nobody becomes a bot, and nobody who is blocked.
    forge.root().get(&format!("/user?sudo={}", bot.user_id)).expect(404);
    forge.root().post(&format!("/users/{}/block", bob.id), json!({})).expect(201);
    forge.root().get("/user?sudo=bob").expect(403);
    forge.anyone().get("/user?sudo=bob").expect(401);
}
