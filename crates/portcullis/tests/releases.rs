//! Releases and their links: what clients make of them, what outsiders are shown, and where a download leads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use portcullis_testkit::{Bot, Caller, Project, forge};
use serde_json::{Value, json};

fn tag(bot: &Bot, project: &Project<'_>, name: &str) {
    let body = json!({ "tag_name": name, "ref": "main" });
    bot.post(&project.path("/repository/tags"), body).expect(201);
}

fn tags(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|release| release["tag_name"].as_str().unwrap()).collect()
}

fn has_tag(bot: &Bot, project: &Project<'_>, name: &str) -> bool {
    bot.get(&project.path(&format!("/repository/tags/{name}"))).status == 200
}

#[test]
fn a_release_is_made_and_read_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    tag(&bot, &project, "v1.0");
    forge.root().post(&project.path("/milestones"), json!({ "title": "one" })).expect(201);
    let milestone = bot.get(&project.path("/milestones")).json()[0].clone();
    let body = json!({
        "tag_name": "v1.0", "name": "First", "description": "all of it", "milestones": ["one", "one"],
        "assets": { "links": [
            { "name": "a", "url": "https://example.com/a" },
            { "name": "b", "url": "https://example.com/b?x=1", "filepath": "/bin/b", "link_type": "package" },
        ] },
    });
    let release = bot.post(&project.path("/releases"), body).expect(201).json();
    let commit = bot.get(&project.path("/repository/commits?ref_name=main")).json()[0].clone();
    let web = format!("{}/{}", forge.url, project.full_path);
    let source = |format: &str| {
        json!({
            "format": format,
            "url": format!("{}/api/v4/projects/{}/repository/archive.{format}?sha=v1.0", forge.url, project.id),
        })
    };
    let list =
        |of: &str, state: &str| json!(format!("{web}/-/{of}?release_tag=v1.0&scope=all&state={state}"));
    let links = release["assets"]["links"].clone();
    let now = "2026-03-02T12:00:00.000Z";
    assert_eq!(
        release,
        json!({
            "tag_name": "v1.0",
            "name": "First",
            "description": "all of it",
            "created_at": now,
            "released_at": now,
            "upcoming_release": false,
            "author": release["author"],
            "commit": commit,
            "milestones": [milestone],
            "commit_path": format!("/{}/-/commit/{}", project.full_path, commit["id"].as_str().unwrap()),
            "tag_path": format!("/{}/-/tags/v1.0", project.full_path),
            "assets": { "count": 5, "sources": [source("zip"), source("tar.gz"), source("tar")], "links": [
                {
                    "id": links[0]["id"],
                    "name": "b",
                    "url": "https://example.com/b?x=1",
                    "direct_asset_url": format!("{web}/-/releases/v1.0/downloads/bin/b"),
                    "external": true,
                    "link_type": "package",
                },
                {
                    "id": links[1]["id"],
                    "name": "a",
                    "url": "https://example.com/a",
                    "direct_asset_url": "https://example.com/a",
                    "external": true,
                    "link_type": "other",
                },
            ] },
            "evidences": [],
            "_links": {
                "self": format!("{web}/-/releases/v1.0"),
                "edit_url": format!("{web}/-/releases/v1.0/edit"),
                "closed_issues_url": list("issues", "closed"),
                "closed_merge_requests_url": list("merge_requests", "closed"),
                "merged_merge_requests_url": list("merge_requests", "merged"),
                "opened_issues_url": list("issues", "opened"),
                "opened_merge_requests_url": list("merge_requests", "opened"),
            },
        })
    );
    assert_eq!(release["author"]["id"], bot.user_id);
    bot.get(&project.path("/releases/v1.0")).expect_json(200, release.clone());
    bot.get(&project.path("/releases/permalink/latest")).expect_json(200, release.clone());
    bot.get(&project.path("/releases")).expect_json(200, json!([release]));
    // The archives are where it says.
    let archive = source("zip")["url"].as_str().unwrap().strip_prefix(&forge.url).unwrap().to_owned();
    bot.send("GET", &archive, &[], b"").expect(200);
    // The feed and the audit log name the bot.
    let events = bot.get(&project.path("/events?target_type=release")).expect(200).json();
    assert_eq!(
        (&events[0]["action_name"], &events[0]["target_title"], &events[0]["author_id"]),
        (&json!("created"), &json!("First"), &json!(bot.user_id))
    );
    let log = forge.root().get(&project.path("/audit_events?per_page=100")).json();
    let entry =
        log.as_array().unwrap().iter().find(|entry| entry["event_name"] == "release_created").unwrap();
    assert_eq!(entry["author_id"], bot.user_id);
}

#[test]
fn releases_are_listed_changed_and_deleted_and_their_tags_stay() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let path = project.path("/releases");
    for (name, released_at) in
        [("v1", "2026-02-01T00:00:00Z"), ("v/2", "2026-01-01"), ("v3", "2030-01-01T00:00:00.000Z")]
    {
        tag(&bot, &project, name);
        let body = json!({ "tag_name": name, "released_at": released_at });
        let release = bot.post(&path, body).expect(201).json();
        assert_eq!((&release["name"], &release["upcoming_release"]), (&json!(name), &json!(name == "v3")));
        forge.clock.advance_seconds(1);
    }
    let listed = |query: &str| bot.get(&format!("{path}?{query}")).expect(200);
    assert_eq!(tags(&listed("").json()), ["v3", "v1", "v/2"]);
    assert_eq!(tags(&listed("sort=asc").json()), ["v/2", "v1", "v3"]);
    assert_eq!(tags(&listed("order_by=created_at&sort=asc").json()), ["v1", "v/2", "v3"]);
    let page = listed("per_page=1&page=2");
    assert_eq!((page.header("x-total"), tags(&page.json())), (Some("3"), vec!["v1"]));
    assert!(page.header("link").unwrap().contains("rel=\"next\""));
    listed_badly(&bot, &path);
    // What is still to come is not the latest.
    assert_eq!(bot.get(&project.path("/releases/permalink/latest")).json()["tag_name"], "v1");

    let one = project.path("/releases/v%2F2");
    bot.post(&project.path("/milestones"), json!({ "title": "m" })).expect(201);
    let body =
        json!({ "name": "Second", "description": "new", "milestones": "m", "released_at": "2026-02-02" });
    let changed = bot.put(&one, body).expect(200).json();
    assert_eq!(
        (
            &changed["name"],
            &changed["description"],
            &changed["milestones"][0]["title"],
            &changed["released_at"]
        ),
        (&json!("Second"), &json!("new"), &json!("m"), &json!("2026-02-02T00:00:00.000Z"))
    );
    let changed = bot.put(&one, json!({ "milestones": [], "name": null })).expect(200).json();
    assert_eq!(
        (&changed["name"], &changed["description"], &changed["milestones"]),
        (&json!("v/2"), &json!("new"), &json!([]))
    );
    let none =
        "name, description, released_at, milestones are missing, at least one parameter must be provided";
    bot.put(&one, json!({})).expect_json(400, json!({ "error": none }));

    // A milestone that goes is missed by nobody.
    bot.put(&one, json!({ "milestones": ["m"] })).expect(200);
    let milestone = bot.get(&project.path("/milestones")).json()[0]["id"].clone();
    bot.delete(&project.path(&format!("/milestones/{milestone}"))).expect(204);
    let before = bot.get(&one).expect(200).json();
    assert_eq!(before["milestones"], json!([]));

    assert_eq!(bot.delete(&one).expect(200).json(), before);
    bot.get(&one).expect_json(404, json!({ "message": "404 Release Not Found" }));
    bot.delete(&one).expect(404);
    assert!(has_tag(&bot, &project, "v%2F2"));
    // A release stays without its tag, and shows the commit that it was made of.
    bot.delete(&project.path("/repository/tags/v1")).expect(204);
    assert!(bot.get(&project.path("/releases/v1")).expect(200).json()["commit"]["id"].is_string());
}

fn listed_badly(bot: &Bot, path: &str) {
    for query in ["sort=up", "order_by=name", "updated_after=x"] {
        bot.get(&format!("{path}?{query}")).expect(400);
    }
}

#[test]
fn a_release_makes_its_tag_when_it_is_told_of_what() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let path = project.path("/releases");
    bot.post(&path, json!({ "tag_name": "v1" }))
        .expect_json(422, json!({ "message": "Ref is not specified" }));
    assert!(!has_tag(&bot, &project, "v1"));
    let body = json!({ "tag_name": "v1", "ref": "main", "tag_message": "the first" });
    let release = bot.post(&path, body.clone()).expect(201).json();
    let made = bot.get(&project.path("/repository/tags/v1")).expect(200).json();
    assert_eq!((&made["message"], &made["commit"]["id"]), (&json!("the first"), &release["commit"]["id"]));
    bot.post(&path, body).expect_json(409, json!({ "message": "Release already exists" }));

    // Whatever is wrong is said before a tag is made.
    let with = |key: &str, value: Value| {
        let mut body = json!({ "tag_name": "v2", "ref": "main" });
        body[key] = value;
        body
    };
    let link = |name: &str, url: &str| json!({ "links": [{ "name": name, "url": url }] });
    for body in [
        with("ref", json!("nothing")),
        with("milestones", json!(["nothing"])),
        with("name", json!("x".repeat(256))),
        with("description", json!("x".repeat(1_000_001))),
        with("released_at", json!("soon")),
        with("assets", link("a", "javascript:alert(1)")),
        with("assets", link("", "https://example.com")),
        with("assets", json!({ "links": [{ "name": "a" }] })),
        with("assets", json!({ "links": "x" })),
        with("assets", json!("x")),
        with("assets", json!({ "links": vec![json!({ "name": "a", "url": "https://e" }); 201] })),
        with("tag_name", json!("no good")),
        with("tag_name", json!("main")),
    ] {
        let answer = bot.post(&path, body.clone());
        assert!(matches!(answer.status, 400 | 403 | 413), "{body} {} {}", answer.status, answer.text);
        assert!(!has_tag(&bot, &project, "v2"), "{body}");
    }
    bot.post(&path, with("milestones", json!("a,b")))
        .expect_json(400, json!({ "message": "Milestone(s) not found: a, b" }));
    bot.post(&path, json!({})).expect_json(400, json!({ "error": "tag_name is missing" }));
    assert_eq!(tags(&bot.get(&path).json()), ["v1"]);
}

#[test]
fn links_nest_in_forms_as_in_json() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "tag_name=v1&ref=main&assets[links][][name]=a&assets[links][][url]=https://e/a\
        &assets[links][][name]=b&assets[links][][url]=https://e/b&assets[links][][direct_asset_path]=b";
    let path = format!("/api/v4{}", project.path("/releases"));
    let release = bot.send("POST", &path, &form, body.as_bytes()).expect(201).json();
    let links = &release["assets"]["links"];
    assert_eq!((&links[0]["name"], &links[1]["url"]), (&json!("b"), &json!("https://e/a")));
    assert!(links[0]["direct_asset_url"].as_str().unwrap().ends_with("/-/releases/v1/downloads/b"));
}

#[test]
fn links_are_added_changed_and_taken_away() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    for tag in ["v/1", "v2"] {
        bot.post(&project.path("/releases"), json!({ "tag_name": tag, "ref": "main" })).expect(201);
    }
    let path = project.path("/releases/v%2F1/assets/links");
    let body = json!({ "name": "tool", "url": "https://example.com/tool", "direct_asset_path": "/bin/tool" });
    let link = bot.post(&path, body.clone()).expect(201).json();
    let web = format!("{}/{}", forge.url, project.full_path);
    assert_eq!(
        link,
        json!({
            "id": link["id"],
            "name": "tool",
            "url": "https://example.com/tool",
            "direct_asset_url": format!("{web}/-/releases/v%2F1/downloads/bin/tool"),
            "external": true,
            "link_type": "other",
        })
    );
    let one = format!("{path}/{}", link["id"]);
    bot.get(&one).expect_json(200, link.clone());
    bot.get(&path).expect_json(200, json!([link]));
    // Name, address and path are each one link's.
    let taken = json!({ "message": "The name, url or path of the link has already been taken" });
    for (name, url, filepath) in [
        ("tool", "https://e/1", "/1"),
        ("x", "https://example.com/tool", "/1"),
        ("x", "https://e/1", "bin/tool"),
    ] {
        bot.post(&path, json!({ "name": name, "url": url, "filepath": filepath }))
            .expect_json(400, taken.clone());
    }
    for (key, value) in [
        ("url", "javascript:alert(1)"),
        ("url", "https://user:secret@example.com/"),
        ("url", "no address"),
        ("name", " "),
        ("name", &"x".repeat(256)),
        ("filepath", "/../x"),
        ("filepath", "/a b"),
        ("link_type", "virus"),
    ] {
        let mut wrong = json!({ "name": "x", "url": "https://e/x" });
        wrong[key] = json!(value);
        bot.post(&path, wrong.clone()).expect(400);
        bot.put(&one, wrong).expect(400);
    }
    bot.put(&one, json!({})).expect(400);
    bot.get(&path).expect_json(200, json!([link]));
    // The same may be in another release, and is found there and nowhere else.
    let other = bot.post(&project.path("/releases/v2/assets/links"), body).expect(201).json();
    for ask in [
        bot.get(&format!("{path}/{}", other["id"])),
        bot.put(&format!("{path}/{}", other["id"]), json!({ "name": "x" })),
        bot.delete(&format!("{path}/{}", other["id"])),
        bot.get(&project.path("/releases/v9/assets/links")),
        bot.post(&project.path("/releases/v9/assets/links"), json!({ "name": "x", "url": "https://e/x" })),
    ] {
        ask.expect(404);
    }
    let body = json!({ "name": "tools", "link_type": "package", "filepath": "" });
    let changed = bot.put(&one, body).expect(200).json();
    assert_eq!(
        (&changed["name"], &changed["link_type"], &changed["direct_asset_url"]),
        (&json!("tools"), &json!("package"), &json!("https://example.com/tool"))
    );
    bot.delete(&one).expect_json(200, changed);
    bot.get(&path).expect_json(200, json!([]));
}

/// Sends for what a release brings, and returns where that leads.
fn download(caller: &Caller, path: &str) -> (u16, Option<String>) {
    let answer = caller.send("GET", path, &[], b"");
    (answer.status, answer.header("location").map(str::to_owned))
}

#[test]
fn a_download_leads_to_where_the_link_does_for_whoever_sees_the_project() {
    let forge = forge!();
    let (public, private) = (forge.project("public"), forge.project("private"));
    for project in [&public, &private] {
        let body = json!({ "tag_name": "v/1", "ref": "main", "assets": { "links": [
            { "name": "a", "url": "https://example.com/ä?x=1", "filepath": "/bin/a" },
        ] } });
        forge.root().post(&project.path("/releases"), body).expect(201);
    }
    let found = (302, Some("https://example.com/%C3%A4?x=1".to_owned()));
    let below = |project: &Project<'_>, rest: &str| format!("/{}/-/releases/{rest}", project.full_path);
    let guest = private.token(&["read_api"], 10);
    for path in [
        below(&public, "v%2F1/downloads/bin/a"),
        below(&public, "v/1/downloads/bin/a"),
        format!("/-/project/{}/releases/v%2F1/downloads/bin/a", public.id),
    ] {
        assert_eq!(download(&forge.anyone(), &path), found, "{path}");
        assert_eq!(download(&guest, &path), found, "{path}");
    }
    for rest in
        ["v%2F1/downloads/bin/b", "v%2F1/downloads/bin", "v2/downloads/bin/a", "v%2F1/downloads//bin/a"]
    {
        assert_eq!(download(&forge.anyone(), &below(&public, rest)).0, 404, "{rest}");
    }
    let path = below(&private, "v%2F1/downloads/bin/a");
    assert_eq!(download(&guest, &path), found);
    let stranger = forge.person("stranger");
    let bot = public.token(&["api"], 50);
    for caller in [&stranger.caller, &bot.caller, &forge.anyone()] {
        let answer = caller.send("GET", &path, &[], b"");
        let missing = caller.send("GET", "/acme/nothing/-/releases/v1/downloads/a", &[], b"");
        assert_eq!((answer.status, &answer.text), (404, &missing.text));
        assert!(!answer.text.contains("example.com"));
    }
    private.token(&["read_repository"], 40).send("GET", &path, &[], b"").expect(403);
}

#[test]
fn guests_read_releases_without_the_code_and_developers_write_them() {
    let forge = forge!();
    let project = forge.project("private");
    let (guest, reporter) = (project.token(&["api"], 10), project.token(&["api"], 20));
    let body = json!({ "tag_name": "v1", "ref": "main" });
    for caller in [&guest, &reporter] {
        caller.post(&project.path("/releases"), body.clone()).expect(403);
    }
    project
        .token(&["read_api", "write_repository"], 40)
        .post(&project.path("/releases"), body.clone())
        .expect(403);
    let bot = project.token(&["api"], 30);
    bot.post(&project.path("/releases"), body).expect(201);
    let shown = guest.get(&project.path("/releases/v1")).expect(200).json();
    for hidden in ["commit", "commit_path", "tag_path"] {
        assert_eq!(shown.get(hidden), None, "{hidden}");
    }
    assert_eq!((&shown["assets"]["sources"], &shown["_links"].get("edit_url")), (&json!([]), &None));
    assert!(reporter.get(&project.path("/releases/v1")).json()["commit"].is_object());
    for caller in [&guest, &reporter] {
        caller.put(&project.path("/releases/v1"), json!({ "name": "x" })).expect(403);
        caller.delete(&project.path("/releases/v1")).expect(403);
        let links = project.path("/releases/v1/assets/links");
        caller.post(&links, json!({ "name": "x", "url": "https://e" })).expect(403);
    }
    let public = forge.project("public");
    forge.anyone().get(&public.path("/releases")).expect_json(200, json!([]));
    forge.anyone().get(&public.path("/releases/permalink/latest")).expect(404);
    // An archived project shows its releases and takes no more.
    forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    bot.get(&project.path("/releases/v1")).expect(200);
    bot.put(&project.path("/releases/v1"), json!({ "name": "x" }))
        .expect_json(403, json!({ "message": "403 Forbidden - The project is archived" }));
}

#[test]
fn what_a_bot_released_is_the_ghost_users_when_it_is_gone() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    bot.post(&project.path("/releases"), json!({ "tag_name": "v1", "ref": "main" })).expect(201);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    let release = forge.root().get(&project.path("/releases/v1")).expect(200).json();
    assert_eq!(release["author"]["username"], "ghost");
}
