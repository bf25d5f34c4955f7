//! Administration by hand: overview, users, projects, the audit log, background jobs and settings, for administrators alone.

use portcullis_testkit::{Browser, PASSWORD, TestForge, forge, form_number};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

const PAGES: [&str; 7] = [
    "/admin",
    "/admin/users",
    "/admin/users/new",
    "/admin/projects",
    "/admin/audit_log",
    "/admin/jobs",
    "/admin/settings",
];

/// The browser of the administrator.
fn root(forge: &TestForge) -> Browser<'_> {
    Browser::signed_in(forge, "root")
}

/// Sends the form for a new person, with a number of its own.
fn create(browser: &Browser<'_>, fields: &[(&str, &str)]) -> portcullis_testkit::Answer {
    let number = form_number(&browser.get("/admin/users/new").expect(200).text);
    browser.post("/admin/users", &[&[("form_number", number.as_str())], fields].concat())
}

fn link_in(page: &str) -> String {
    let rest = page.split("id=\"fresh-link\"").nth(1).expect("a link");
    let rest = rest.split("value=\"").nth(1).expect("its address");
    rest.chars().take_while(|character| *character != '"').collect()
}

/// Returns the row of a table, or of a list, that holds a text.
#[track_caller]
fn row<'a>(page: &'a str, holds: &str) -> &'a str {
    let rows = page.split("<tr role=\"row\"").chain(page.split("<li>"));
    rows.skip(1).find(|row| row.contains(holds)).unwrap_or_else(|| panic!("no row with {holds}"))
}

#[test]
fn administration_is_for_administrators_and_not_there_for_anybody_else() {
    let forge = forge!();
    let project = forge.project("public");
    let owner = project.member(50);
    let somebody = Browser::signed_in(&forge, &owner.username);
    let exports = ["/admin/audit_log.csv", "/admin/audit_log.jsonl"];
    let user = format!("/admin/users/{}", owner.id);
    for path in PAGES.into_iter().chain(exports).chain([user.as_str()]) {
        assert_eq!(somebody.get(path).status, 404, "{path}");
        assert_eq!(Browser::new(&forge).get(path).status, 303, "{path}");
    }
    for path in ["/admin/users", &format!("{user}/block"), &format!("{user}/delete"), "/admin/jobs/1/retry"] {
        assert_eq!(somebody.post(path, &[("username", "x")]).status, 404, "{path}");
    }
    assert!(!somebody.get("/dashboard").text.contains("Administration"));
    let root = root(&forge);
    assert!(root.get("/dashboard").text.contains("<a href=\"/admin\">Administration</a>"));
    for path in PAGES {
        let page = root.get(path).expect(200);
        assert!(page.text.contains("<a href=\"/admin\" aria-current=\"page\">Administration</a>"), "{path}");
        assert!(page.text.matches("aria-current=\"page\"").count() >= 2, "{path}");
    }
}

#[test]
fn who_is_no_administrator_any_more_is_shown_nothing() {
    let forge = forge!();
    let body =
        json!({ "username": "second", "name": "Second", "email": "second@example.com", "admin": true });
    let id = forge.root().post("/users", body).expect(201).json()["id"].as_i64().unwrap();
    let second = Browser::signed_in(&forge, "second");
    second.get("/admin").expect(200);
    forge.root().post(&format!("/users/{id}/block"), Value::Null).expect(201);
    second.get("/admin").expect(303);
    second.post("/admin/jobs/1/retry", &[]).expect(303);
}

#[test]
fn bots_and_the_ghost_user_take_no_seat() {
    let forge = forge!();
    let browser = root(&forge);
    let seats = |expected: i64, bots: i64| {
        let page = browser.get("/admin").expect(200).text;
        assert!(page.contains(&format!("<p class=\"figure\">{expected} ")), "{page}");
        assert!(page.contains(&format!("<a href=\"/admin/users?show=bots\">{bots}</a>")), "{page}");
        let counted = forge.root().get("/application/statistics").json()["billable_users"].as_i64();
        assert_eq!(counted, Some(expected));
    };
    seats(1, 0);
    let project = forge.project("private");
    for _ in 0..3 {
        project.token(&["api"], 40);
    }
    forge.group_token(&project.group, &["api"], 30);
    seats(1, 4);
    let maria = forge.person("maria");
    seats(2, 4);
    forge.root().post(&format!("/users/{}/block", maria.id), Value::Null).expect(201);
    seats(1, 4);
}

#[test]
fn the_overview_says_what_it_is_and_that_it_is_well() {
    let forge = forge!();
    let page = root(&forge).get("/admin").expect(200).text;
    for text in [
        &format!("Portcullis {}", env!("CARGO_PKG_VERSION")),
        "Self-managed",
        &forge.folder().join("data").display().to_string(),
        "git 2.",
        "0 failed",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for pillar in ["Database", "Data folder", "Git", "Blob store", "Job queue"] {
        assert!(row(&page, pillar).contains("badge good"), "{pillar}: {page}");
    }
}

#[test]
fn users_are_listed_with_what_they_are() {
    let forge = forge!();
    let browser = root(&forge);
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let group_bot = forge.group_token(&project.group, &["api"], 30);
    forge.external_person("outside");
    let blocked = forge.person("blocked");
    forge.root().post(&format!("/users/{}/block", blocked.id), Value::Null).expect(201);
    let jo =
        forge.root().post("/users", json!({ "username": "jo", "name": HOSTILE, "email": "jo@example.com" }));
    let jo = jo.expect(201).json()["id"].as_i64().unwrap();
    let all = browser.get("/admin/users").expect(200).text;
    assert!(!all.contains("<script>alert"));
    let of = |id: i64| row(&all, &format!("/admin/users/{id}\""));
    assert!(
        of(bot.user_id).contains(">Bot<") && of(bot.user_id).contains(&format!("of {}", project.full_path))
    );
    assert!(of(group_bot.user_id).contains(&format!("of {}", project.group.full_path)));
    assert!(!of(bot.user_id).contains("External") && of(bot.user_id).contains(">No<"));
    assert!(of(jo).contains("jo@example.com") && of(jo).contains(">Yes<") && of(jo).contains("Not known"));
    assert!(of(blocked.id).contains(">Blocked<") && of(blocked.id).contains(">No<"));
    assert!(row(&all, "@root").contains(">Administrator<") && row(&all, "@root").contains(">You<"));
    assert!(row(&all, "@ghost").contains("Ghost User"));
    for (show, count) in
        [("", 7), ("people", 4), ("bots", 2), ("blocked", 1), ("administrators", 1), ("external", 1)]
    {
        let page = browser.get(&format!("/admin/users?show={show}")).expect(200).text;
        let said = if count == 1 { "1 user<".to_owned() } else { format!("{count} users<") };
        assert!(page.contains(&said), "{show}: {page}");
    }
    let found = browser.get("/admin/users?search=JO%40example").expect(200).text;
    assert!(found.contains("1 user<") && found.contains("@jo"));
    let none = browser.get("/admin/users?show=bots&search=%3Cscript%3E").expect(200).text;
    assert!(none.contains("Nobody here") && none.contains("&#60;script&#62;"));
}

#[test]
fn a_person_is_created_with_a_link_that_is_shown_once() {
    let forge = forge!();
    let browser = root(&forge);
    let number = form_number(&browser.get("/admin/users/new").expect(200).text);
    let fields = [
        ("form_number", number.as_str()),
        ("username", "maria"),
        ("name", "Maria Okafor"),
        ("email", "maria@example.com"),
        ("traits[]", "external"),
    ];
    let made = browser.post("/admin/users", &fields).expect(200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let link = link_in(&made.text);
    assert!(
        link.starts_with(&format!("{}/users/password/edit?reset_password_token=pcl_", forge.url)),
        "{link}"
    );
    let user = &forge.root().get("/users?username=maria").json()[0];
    assert_eq!(
        (&user["name"], &user["external"], &user["is_admin"]),
        (&json!("Maria Okafor"), &json!(true), &json!(false))
    );

    // The same form makes nobody else, and its first link stays good.
    let again = browser.post("/admin/users", &fields).expect(409);
    assert!(again.text.contains("nothing was done again") && !again.text.contains("pcl_"));
    let page = browser.get(&format!("/admin/users/{}", user["id"])).expect(200);
    assert!(!page.text.contains("pcl_") && page.text.contains("Maria Okafor"));
    let mut maria = Browser::new(&forge);
    let path = link.strip_prefix(&forge.url).unwrap();
    maria.get(path).expect(200);
    let secret = path.split("reset_password_token=").nth(1).unwrap();
    let chosen =
        [("reset_password_token", secret), ("new_password", PASSWORD), ("new_password_again", PASSWORD)];
    maria.post("/users/password", &chosen).expect(303);
    maria.sign_in("maria", PASSWORD).expect(303);

    // The audit log names who did it, and no secret.
    let log = forge.root().get("/audit_events?per_page=100").json();
    let events: Vec<_> =
        log.as_array().unwrap().iter().map(|event| event["event_name"].as_str().unwrap()).collect();
    assert!(events.contains(&"user_created") && events.contains(&"password_link_created"), "{events:?}");
    assert!(!log.to_string().contains("pcl_"));
}

#[test]
fn what_was_typed_about_a_new_person_is_kept_and_what_is_wrong_is_said_beside_it() {
    let forge = forge!();
    let browser = root(&forge);
    forge.person("maria");
    for (username, email, field, said) in [
        ("maria", "new@example.com", "username-error", "has already been taken"),
        ("MARIA", "new@example.com", "username-error", "has already been taken"),
        ("fresh", "maria@example.com", "email-error", "has already been taken"),
        ("not a name", "new@example.com", "username-error", "can contain only"),
        ("admin", "new@example.com", "username-error", "reserved"),
        ("fresh", "no address", "email-error", "The address"),
        ("", "new@example.com", "username-error", "The username"),
    ] {
        let fields =
            [("username", username), ("email", email), ("name", HOSTILE), ("traits[]", "administrator")];
        let page = create(&browser, &fields).expect(422).text;
        let error =
            page.split(&format!("id=\"{field}\"")).nth(1).unwrap_or_else(|| panic!("{field}: {page}"));
        assert!(error.split("</p>").next().unwrap().contains(said), "{username} {email}: {page}");
        assert!(
            page.contains("value=\"&#60;script&#62;alert(1)&#60;/script&#62;\"") && !page.contains(HOSTILE)
        );
        assert!(
            page.contains("value=\"administrator\" aria-describedby=\"traits-administrator-says\" checked")
        );
    }
    assert_eq!(forge.root().get("/users?search=new").json(), json!([]));
}

#[test]
fn a_user_is_shown_with_memberships_and_tokens_and_no_secret() {
    let forge = forge!();
    let browser = root(&forge);
    let project = forge.project("private");
    let maria = project.member(40);
    forge
        .root()
        .post(
            &project.group.path("/members"),
            json!({ "user_id": maria.id, "access_level": 10, "expires_at": "2099-01-01" }),
        )
        .expect(201);
    let page = browser.get(&format!("/admin/users/{}", maria.id)).expect(200).text;
    let of_project = row(&page, &format!("<a href=\"/{}\">", project.full_path));
    assert!(of_project.contains("Maintainer") && of_project.contains("Project"));
    let of_group = row(&page, &format!("<a href=\"/groups/{}\">", project.group.full_path));
    assert!(of_group.contains("Guest") && of_group.contains("until 2099-01-01"));
    assert!(row(&page, "number ").contains(">api<") && row(&page, "number ").contains("Active"));
    assert!(page.contains("Counts as a billable user") && !page.contains("pcu_"));
    browser.get("/admin/users/999999").expect(404);
    browser.get("/admin/users/none").expect(404);

    let bot = project.token(&["read_api"], 30);
    let address = format!("/admin/users/{}", bot.user_id);
    let page = browser.get(&address).expect(200).text;
    assert!(page.contains(&format!("<a href=\"/{}/-/settings/access_tokens\">", project.full_path)));
    assert!(page.contains("Bots are not counted") && page.contains(">read_api<"));
    // Nothing can be done to a bot, or to the Ghost User, or to oneself.
    let ghost = forge.root().get("/users?username=ghost").json()[0]["id"].as_i64();
    let own = forge.root().get("/user").json()["id"].as_i64();
    let others = [ghost, own].into_iter().flatten().map(|id| format!("/admin/users/{id}"));
    for address in others.chain([address.clone()]) {
        let page = browser.get(&address).expect(200).text;
        for control in ["/block\"", "/delete\"", "/password_link\""] {
            assert!(!page.contains(&format!("{address}{control}")), "{address}{control}");
        }
    }
    browser.post(&format!("{address}/block"), &[]).expect(403);
    browser.post(&format!("{address}/delete"), &[]).expect(403);
    browser.get(&format!("{address}/delete")).expect(404);
    let number = form_number(&browser.get("/admin/users/new").text);
    browser.post(&format!("{address}/password_link"), &[("form_number", &number)]).expect(422);
    bot.get("/user").expect(200);
}

#[test]
fn a_person_is_blocked_unblocked_and_given_a_new_link() {
    let forge = forge!();
    let browser = root(&forge);
    let maria = forge.person("maria");
    let address = format!("/admin/users/{}", maria.id);
    let their_browser = Browser::signed_in(&forge, "maria");
    let number = form_number(&browser.get(&address).expect(200).text);
    let fields = [("form_number", number.as_str())];
    let first = link_in(&browser.post(&format!("{address}/password_link"), &fields).expect(200).text);
    let again = browser.post(&format!("{address}/password_link"), &fields).expect(409);
    assert!(again.text.contains("nothing was done again") && !again.text.contains("pcl_"));
    Browser::new(&forge).get(first.strip_prefix(&forge.url).unwrap()).expect(200);

    for said in ["Blocked: they were signed out", "They were blocked already"] {
        let answer = browser.post(&format!("{address}/block"), &[]).expect(303);
        assert_eq!(answer.header("location"), Some(&*address));
        let page = browser.get(&address).expect(200).text;
        assert!(
            page.contains(said) && page.contains("Unblock") && !page.contains("/password_link\""),
            "{page}"
        );
        maria.get("/user").expect(403);
        their_browser.get("/dashboard").expect(303);
    }
    for said in ["Unblocked: they can sign in", "They are not blocked"] {
        browser.post(&format!("{address}/unblock"), &[]).expect(303);
        assert!(browser.get(&address).expect(200).text.contains(said));
        maria.get("/user").expect(200);
    }
    let own = forge.root().get("/user").json()["id"].clone();
    browser.post(&format!("/admin/users/{own}/block"), &[]).expect(403);
    browser.get("/admin").expect(200);
}

#[test]
fn deleting_a_person_asks_first_and_is_done_once() {
    let forge = forge!();
    let browser = root(&forge);
    let maria = forge.person("maria");
    let address = format!("/admin/users/{}/delete", maria.id);
    let question = browser.get(&address).expect(200).text;
    assert!(question.contains("Delete maria Person?") && question.contains(&format!("action=\"{address}\"")));
    maria.get("/user").expect(200);
    for said in ["being deleted", "being deleted"] {
        browser.post(&address, &[]).expect(303);
        assert!(browser.get("/admin/users").expect(200).text.contains(said));
        assert_eq!(maria.get("/user").status, 401);
    }
    browser.get(&address).expect(404);
    forge.run_jobs();
    browser.post(&address, &[]).expect(303);
    assert!(browser.get("/admin/users").expect(200).text.contains("There is no such user any more"));
    browser.get(&format!("/admin/users/{}", maria.id)).expect(404);
}

#[test]
fn every_project_is_listed_whoever_made_it() {
    let forge = forge!();
    let browser = root(&forge);
    assert!(browser.get("/admin/projects").expect(200).text.contains("No such projects yet"));
    let private = forge.project("private");
    let public = forge.project("public");
    let maria = forge.person("maria");
    let own = maria.post("/projects", json!({ "name": "own", "description": HOSTILE })).expect(201).json();
    forge.root().post(&private.path("/archive"), Value::Null).expect(201);
    let all = browser.get("/admin/projects").expect(200).text;
    assert!(all.contains("3 projects") && !all.contains("<script>alert"));
    assert!(row(&all, &private.full_path).contains("Archived"));
    assert!(row(&all, own["path_with_namespace"].as_str().unwrap()).contains("maria Person"));
    for (query, found) in [
        ("show=public", &public.full_path),
        ("show=archived", &private.full_path),
        ("search=OWN", &"maria/own".to_owned()),
    ] {
        let page = browser.get(&format!("/admin/projects?{query}")).expect(200).text;
        assert!(page.contains("1 project<") && page.contains(found), "{query}");
    }
    let none = browser.get("/admin/projects?search=%3Cb%3E").expect(200).text;
    assert!(none.contains("Nothing found") && none.contains("&#60;b&#62;"));
}

#[test]
fn the_audit_log_is_narrowed_by_who_what_where_and_when() {
    let forge = forge!();
    let browser = root(&forge);
    let project = forge.project("private");
    let maria = project.member(50);
    maria.post(&project.path("/access_tokens"), json!({ "name": HOSTILE, "scopes": ["api"] })).expect(201);
    forge.clock.advance_days(2);
    let bot = project.token(&["api"], 40);
    bot.post(&project.path("/labels"), json!({ "name": "one", "color": "#112233" })).expect(201);
    bot.put(&project.path(""), json!({ "description": "of the bot" })).expect(200);
    let entries = |query: &str| {
        let page = browser.get(&format!("/admin/audit_log?{query}")).expect(200).text;
        assert!(!page.contains("<script>alert"), "{query}");
        page.matches("id=\"event-").count()
    };
    let all = entries("");
    let by_maria = entries(&format!("who={}", maria.username));
    assert!(by_maria > 0 && by_maria < all, "{by_maria} of {all}");
    assert_eq!(entries(&format!("who=%40{}", maria.username.to_uppercase())), by_maria);
    assert_eq!(entries("who=nobody"), 0);
    assert!(entries("who=%28system%29") > 0);
    assert_eq!(entries("action=token_created&kind=Project"), 2);
    assert_eq!(entries(&format!("place={}&action=token_created", project.full_path.to_uppercase())), 2);
    assert_eq!(entries(&format!("place={}&kind=Group", project.full_path)), 0);
    assert!(entries(&format!("token={}", bot.token_id)) > 0);
    let (today, before) = (forge.clock.date(0), forge.clock.date(-2));
    assert_eq!(entries(&format!("action=token_created&kind=Project&from={today}")), 1);
    assert_eq!(entries(&format!("action=token_created&kind=Project&to={before}")), 1);
    assert_eq!(entries(&format!("action=token_created&kind=Project&from={before}&to={today}")), 2);
    let of_bot = browser.get(&format!("/admin/audit_log?token={}", bot.token_id)).expect(200).text;
    assert!(row(&of_bot, "id=\"event-").contains(">Bot<"), "{of_bot}");

    let wrong = browser.get("/admin/audit_log?from=soon&who=%3Cb%3E").expect(422).text;
    assert!(wrong.contains("is not a date such as 2030-01-31") && wrong.contains("value=\"&#60;b&#62;\""));
    assert!(wrong.contains("value=\"soon\"") && !wrong.contains("id=\"event-"));
    for query in ["token=x", "kind=Bird", "to=2026-13-01"] {
        browser.get(&format!("/admin/audit_log?{query}")).expect(422);
        browser.get(&format!("/admin/audit_log.csv?{query}")).expect(422);
    }
}

#[test]
fn the_audit_log_has_pages_that_stay_where_they_are() {
    let forge = forge!();
    let browser = root(&forge);
    for _ in 0..60 {
        let name = forge.word("person");
        let body = json!({ "username": name, "name": name, "email": format!("{name}@example.com") });
        forge.root().post("/users", body).expect(201);
    }
    let ids = |page: &str| -> Vec<i64> {
        let ids =
            page.split("id=\"event-").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap());
        ids.collect()
    };
    let first = browser.get("/admin/audit_log?action=user_created").expect(200).text;
    let older = first.split("href=\"").find(|rest| rest.contains("rel=\"next\"")).expect("an older page");
    let older = older.split('"').next().unwrap().replace("&#38;", "&");
    let before = ids(&first);
    assert_eq!(before.len(), 50);
    // Somebody new comes meanwhile: the page behind is the same.
    forge.person("meanwhile");
    let second = browser.get(&older).expect(200).text;
    let behind = ids(&second);
    assert!(behind.len() >= 10 && behind.iter().all(|id| id < before.last().unwrap()), "{behind:?}");
    assert!(second.contains("Newest") && !second.contains("rel=\"next\""));
}

#[test]
fn the_audit_log_is_taken_along_and_no_cell_is_a_formula() {
    let forge = forge!();
    let browser = root(&forge);
    let name = "=HYPERLINK(\"http://evil.example\",\"x\")";
    let body = json!({ "username": "eve", "name": name, "email": "eve@example.com" });
    forge.root().post("/users", body).expect(201);
    let eve = forge.with_token(&forge.personal_token("eve", &["api"]));
    eve.post("/projects", json!({ "name": "own" })).expect(201);

    let csv = browser.get("/admin/audit_log.csv?who=eve").expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = csv.header("content-disposition").unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"audit-log-{}.csv\"", forge.clock.date(0)));
    assert_eq!(csv.header("cache-control"), Some("no-store"));
    let mut lines = csv.text.split("\r\n");
    assert!(lines.next().unwrap().starts_with("id,created_at,author_id,author_name,event_name,"));
    let line = lines.next().unwrap();
    assert!(line.contains(",\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\","), "{line}");
    assert!(!csv.text.contains(",\"=") && !csv.text.contains(",="));

    // The lines of JSON are the entries as the API writes them, all of them and newest first.
    let lines = browser.get("/admin/audit_log.jsonl").expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed = forge.root().get("/audit_events?per_page=100").json();
    assert!(lines.len() > 4);
    assert_eq!(Value::Array(lines), listed);
    let narrowed = browser.get("/admin/audit_log.jsonl?action=nothing_like_it").expect(200);
    assert_eq!(narrowed.text, "");
}

#[test]
fn an_export_of_many_entries_is_whole() {
    let forge = forge!();
    let browser = root(&forge);
    // More than are read at once.
    let project = forge.project("private");
    let label = forge.root().post(&project.path("/labels"), json!({ "name": "one", "color": "#112233" }));
    assert_eq!(label.status, 201);
    for number in 0..1100 {
        forge.root().put(&project.path(""), json!({ "description": format!("{number}") })).expect(200);
    }
    let lines = browser.get("/admin/audit_log.jsonl?action=project_updated").expect(200);
    let ids: Vec<i64> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids.len(), 1100);
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]));
}

#[test]
fn jobs_are_shown_with_why_they_failed_and_tried_again() {
    let forge = forge!();
    let browser = root(&forge);
    assert!(browser.get("/admin/jobs").expect(200).text.contains("Nothing is waiting"));
    let maria = forge.person("maria");
    forge.root().delete(&format!("/users/{}", maria.id)).expect(204);
    let waiting = browser.get("/admin/jobs?show=waiting").expect(200).text;
    assert!(row(&waiting, "Ghost user").contains(&format!("user {}", maria.id)));
    assert!(!waiting.contains("Try again now"));

    // Where the trash was is a file: what empties it fails.
    let trash = forge.folder().join("data/repositories/@trash");
    std::fs::remove_dir(&trash).unwrap();
    std::fs::write(&trash, "no folder").unwrap();
    forge.run_recurring_jobs();
    let failed = browser.get("/admin/jobs?show=failed").expect(200).text;
    let job = row(&failed, "Tidy repositories");
    assert!(
        job.contains("Last error: ") && job.contains("begun once") && job.contains("next attempt from"),
        "{job}"
    );
    assert!(!failed.contains("Ghost user"));
    assert!(browser.get("/admin").expect(200).text.contains("1 failed"));
    let address = job.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    std::fs::remove_file(&trash).unwrap();
    std::fs::create_dir(&trash).unwrap();
    // It is not due, until somebody says so.
    forge.run_jobs();
    assert!(browser.get("/admin/jobs?show=failed").text.contains("Tidy repositories"));
    browser.post(&address, &[]).expect(303);
    assert!(browser.get("/admin/jobs").expect(200).text.contains("The job is tried again now."));
    forge.run_jobs();
    assert!(browser.get("/admin/jobs?show=failed").expect(200).text.contains("Nothing failed"));
    browser.post(&address, &[]).expect(303);
    assert!(browser.get("/admin/jobs").expect(200).text.contains("The job is done already"));
    browser.post("/admin/jobs/none/retry", &[]).expect(404);
    let log = forge.root().get("/audit_events?entity_type=Instance").json();
    assert_eq!(log[0]["event_name"], "job_retried", "{log}");
    assert_eq!(log[0]["details"]["kind"], "tidy_repositories");
}

#[test]
fn settings_are_shown_with_where_they_were_set_and_without_secrets() {
    let forge = forge!(|settings| {
        settings.project_access_tokens = false;
        settings.max_token_lifetime_days = Some(90);
        settings.blob_variables = vec![("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())];
        settings.origins = [(
            "max_token_lifetime_days".to_owned(),
            "environment variable PORTCULLIS_MAX_TOKEN_LIFETIME_DAYS".to_owned(),
        )]
        .into();
    });
    let page = root(&forge).get("/admin/settings").expect(200).text;
    assert!(row(&page, ">project_access_tokens<").contains("<code>false</code>"));
    let longest = row(&page, ">max_token_lifetime_days<");
    assert!(longest.contains("<code>90</code>") && longest.contains("environment variable PORTCULLIS_MAX"));
    assert!(row(&page, ">max_push_bytes<").contains("not set"));
    assert!(row(&page, ">max_upload_bytes<").contains("100.0 MiB"));
    assert!(page.contains("restart the forge") && page.contains("nobody can"));
    assert!(!page.contains("hunter2") && !page.contains("AWS_SECRET"));
    let main = page.split("<main").nth(1).unwrap();
    for control in ["<form", "<input", "<select", "<button"] {
        assert!(!main.contains(control), "{control}");
    }
}
