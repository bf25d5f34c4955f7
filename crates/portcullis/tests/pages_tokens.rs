//! Project access tokens by hand: the page of a project's tokens, its members, and the switch of its top-level group.

use portcullis_testkit::{Answer, Browser, Project, TestForge, forge, form_number};
use serde_json::{Value, json};

fn address(project: &Project<'_>) -> String {
    format!("/{}/-/settings/access_tokens", project.full_path)
}

/// A project with its Maintainer, who has a browser.
fn maintained(forge: &TestForge) -> (Project<'_>, Browser<'_>, i64) {
    let project = forge.project("private");
    let maria = project.member(40);
    (project, Browser::signed_in(forge, &maria.username), maria.id)
}

/// Sends the form for a new token, with a number of its own.
fn create(browser: &Browser<'_>, project: &Project<'_>, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(&address(project)).expect(200);
    let number = form_number(&page.text);
    browser.post(&address(project), &[&[("form_number", number.as_str())], fields].concat())
}

fn secret_in(page: &str) -> String {
    let rest = page.split("id=\"fresh-secret\"").nth(1).expect("a secret");
    let rest = rest.split("value=\"").nth(1).expect("its value");
    rest.chars().take_while(|character| *character != '"').collect()
}

#[test]
fn a_token_is_created_and_its_secret_is_in_that_one_answer() {
    let forge = forge!();
    let (project, browser, maria) = maintained(&forge);
    let page = browser.get(&address(&project)).expect(200);
    assert!(page.text.contains("This project has no active access tokens."));
    assert!(page.text.contains("Create project access token"));
    assert_eq!(page.header("cache-control"), Some("no-store"));

    let number = form_number(&page.text);
    let fields = [
        ("form_number", number.as_str()),
        ("name", "release robot"),
        ("expires_at", "2026-04-01"),
        ("access_level", "30"),
        ("scopes[]", "api"),
        ("scopes[]", "read_registry"),
    ];
    let made = browser.post(&address(&project), &fields).expect(200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let secret = secret_in(&made.text);
    let host = forge.url.strip_prefix("http://").unwrap();
    for snippet in [
        format!("git clone http://project_{}_bot:{secret}@{host}/{}.git", project.id, project.full_path),
        format!("curl --header &#34;PRIVATE-TOKEN: {secret}&#34;"),
        format!("docker login {host} --username project_{}_bot --password-stdin", project.id),
        format!("--docker-password={secret}"),
    ] {
        assert!(made.text.contains(&snippet), "{snippet}");
    }
    let own = forge.with_token(&secret).get("/personal_access_tokens/self").expect(200).json();
    assert_eq!(own["name"], "release robot");
    assert_eq!(own["expires_at"], "2026-04-01");
    assert_eq!(own["scopes"], json!(["api", "read_registry"]));
    let listed = forge.root().get(&project.path("/access_tokens")).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["access_level"]), (1, &json!(30)));

    // Neither the page, nor the same form once more, nor going there anew shows it again or makes another.
    assert!(!browser.get(&address(&project)).text.contains(&secret));
    let again = browser.post(&address(&project), &fields).expect(409);
    assert!(again.text.contains("nothing was made again") && !again.text.contains(&secret));
    assert_eq!(forge.root().get(&project.path("/access_tokens")).json().as_array().unwrap().len(), 1);
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).json();
    let entry = audit.as_array().unwrap().iter().find(|entry| {
        entry["event_name"] == "project_access_token_created" || entry.to_string().contains("token_created")
    });
    assert_eq!(entry.expect("an audit entry")["author_id"], maria);
    assert!(!audit.to_string().contains(&secret));
}

#[test]
fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    let long = "x".repeat(256);
    for (fields, problem) in [
        (vec![("name", ""), ("access_level", "30"), ("scopes[]", "api")], "The name can&#39;t be blank."),
        (
            vec![("name", &*long), ("access_level", "30"), ("scopes[]", "api")],
            "The name is too long (maximum is 255 characters).",
        ),
        (vec![("name", "robot"), ("access_level", "30")], "The scopes can&#39;t be blank."),
        (
            vec![("name", "robot"), ("access_level", "30"), ("scopes[]", "sudo")],
            "The scopes hold one that such a token cannot have.",
        ),
        (vec![("name", "robot"), ("access_level", "31"), ("scopes[]", "api")], "The role is none of those."),
        (
            vec![("name", "robot"), ("access_level", "50"), ("scopes[]", "api")],
            "permissions not held by the creating user",
        ),
        (
            vec![
                ("name", "robot"),
                ("access_level", "30"),
                ("scopes[]", "api"),
                ("expires_at", "2026-03-02"),
            ],
            "The date must be after 2026-03-02",
        ),
        (
            vec![("name", "robot"), ("access_level", "30"), ("scopes[]", "api"), ("expires_at", "soon")],
            "The date is not a date such as 2030-01-31.",
        ),
    ] {
        let answer = create(&browser, &project, &fields).expect(422);
        assert!(answer.text.contains(problem), "{problem}: {}", answer.text);
        let typed = fields.iter().find(|(name, _)| *name == "name").unwrap().1;
        assert!(answer.text.contains(&format!("value=\"{typed}\"")), "{problem}");
    }
    assert_eq!(forge.root().get(&project.path("/access_tokens")).json(), json!([]));
    // The roles to choose from are those up to one's own.
    let page = browser.get(&address(&project)).text;
    assert!(page.contains(">Maintainer</option>") && !page.contains(">Owner</option>"));
}

#[test]
fn a_token_is_rotated_and_revoked_after_a_question_that_names_it() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    let token = project.token(&["api"], 30);
    let of = |verb: &str| format!("{}/{}/{verb}", address(&project), token.token_id);
    let page = browser.get(&of("rotate")).expect(200);
    assert!(page.text.contains("Rotate “ci”?"));
    browser.post(&of("rotate"), &[("expires_at", "2020-01-01")]).expect(422);
    token.get("/user").expect(200);
    let rotated = browser.post(&of("rotate"), &[("expires_at", "2026-03-05")]).expect(200).text;
    token.get("/user").expect(401);
    let secret = secret_in(&rotated);
    let new = forge.with_token(&secret);
    new.get("/user").expect(200);
    let page = browser.get(&address(&project)).text;
    assert!(page.contains("Expires soon") && page.contains("in 2 days") && page.contains(">Revoked<"));
    assert!(!page.contains(&secret));
    // The same once more, as a reload does: nothing happens, and nothing is shown.
    let again = browser.post(&of("rotate"), &[("expires_at", "2026-03-05")]).expect(303);
    assert_eq!(again.header("location"), Some(&*address(&project)));
    new.get("/user").expect(200);

    let id = new.get("/personal_access_tokens/self").json()["id"].as_i64().unwrap();
    let revoke = format!("{}/{id}/revoke", address(&project));
    let page = browser.get(&revoke).expect(200);
    assert!(page.text.contains("Revoke “ci”?") && page.text.contains("stops working"));
    new.get("/user").expect(200);
    browser.post(&revoke, &[]).expect(303);
    new.get("/user").expect(401);
    assert!(browser.get(&address(&project)).text.contains("Revoked access token ci!"));
    assert!(!browser.get(&address(&project)).text.contains("Revoked access token ci!"), "it is said once");
    // In another window, or after going back.
    browser.post(&revoke, &[]).expect(303);
    assert!(browser.get(&address(&project)).text.contains("was over already"));
}

/// Whoever may not is told exactly what somebody is told who asks for nothing at all.
#[test]
fn what_one_may_not_do_is_not_there() {
    let forge = forge!();
    let (project, maintainer, _) = maintained(&forge);
    let token = project.token(&["api"], 30);
    let developer = project.member(30);
    forge.person("stranger");
    let missing = "/nowhere/nothing/-/settings/access_tokens";
    for username in [developer.username.as_str(), "stranger"] {
        let browser = Browser::signed_in(&forge, username);
        let nothing = browser.get(missing).expect(404).text;
        for path in [address(&project), format!("{}/{}/revoke", address(&project), token.token_id)] {
            assert_eq!(browser.get(&path).expect(404).text, nothing);
            assert_eq!(browser.post(&path, &[("name", "x"), ("scopes[]", "api")]).expect(404).text, nothing);
        }
    }
    token.get("/user").expect(200);
    let anyone = Browser::new(&forge);
    let to = |path: &str| {
        anyone.get(path).expect(303).header("location").unwrap().split('?').next().unwrap().to_owned()
    };
    assert_eq!(to(&address(&project)), "/users/sign_in");
    assert_eq!(to(missing), "/users/sign_in");
    assert_eq!(to(&format!("/{}", project.full_path)), "/users/sign_in");
    assert_eq!(to("/nowhere/nothing"), "/users/sign_in");
    // A token of another project is not found through this one.
    let other = forge.project("private").token(&["api"], 30);
    maintainer.get(&format!("{}/{}/revoke", address(&project), other.token_id)).expect(404);
    maintainer.post(&format!("{}/{}/revoke", address(&project), other.token_id), &[]).expect(303);
    other.get("/user").expect(200);
    // A refusal leaves its trace, as over the API.
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).text;
    assert!(audit.contains("project_access_token_creation_failed"));
}

#[test]
fn every_name_is_shown_as_text() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    let hostile = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
    let renamed = json!({ "name": hostile, "description": hostile });
    forge.root().put(&project.path(""), renamed).expect(200);
    forge.root().put(&format!("/groups/{}", project.group.id), json!({ "name": hostile })).expect(200);
    let made = create(
        &browser,
        &project,
        &[("name", hostile), ("description", hostile), ("access_level", "30"), ("scopes[]", "api")],
    );
    let id = {
        let listed = forge.root().get(&project.path("/access_tokens")).json();
        listed[0]["id"].as_i64().unwrap()
    };
    let body = json!({ "username": "hostile", "name": hostile, "email": "h@example.com" });
    forge.root().post("/users", body).expect(201);
    browser
        .post(
            &format!("/{}/-/project_members", project.full_path),
            &[("username", "hostile"), ("access_level", "30")],
        )
        .expect(303);
    let paths = [
        address(&project),
        format!("{}/{id}/revoke", address(&project)),
        format!("{}/{id}/rotate", address(&project)),
        format!("/{}", project.full_path),
        format!("/{}/-/project_members", project.full_path),
        format!("/groups/{}", project.group.full_path),
        "/dashboard".to_owned(),
        "/dashboard?search=%3Cscript%3Ealert(1)".to_owned(),
        "/users/sign_in?return_to=%3Cscript%3Ealert(1)".to_owned(),
    ];
    let pages = paths.iter().map(|path| browser.get(path).text).chain([made.expect(200).text]);
    let other = Browser::signed_in(&forge, "hostile").get("/dashboard").text;
    for page in pages.chain([other]) {
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script defer src=\"/-/assets/").count());
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }
}

#[test]
fn a_group_switches_creation_off_and_the_page_says_who_can_change_it() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    let token = project.token(&["api"], 30);
    let owner = forge.person("owner");
    let body = json!({ "user_id": owner.id, "access_level": 50 });
    forge.root().post(&format!("/groups/{}/members", project.group.id), body).expect(201);
    let owner = Browser::signed_in(&forge, "owner");
    let settings = format!("/groups/{}/-/edit", project.group.full_path);
    browser.get(&settings).expect(404);
    browser.post(&settings, &[]).expect(404);
    let page = owner.get(&settings).expect(200).text;
    assert!(page.contains("Permissions, LFS, 2FA") && page.contains("Allow project access token creation"));
    assert!(page.contains("value=\"yes\" aria-describedby=\"allow-tokens-says\" checked"));
    let number = form_number(&browser.get(&address(&project)).text);
    owner.post(&settings, &[]).expect(303);
    let page = owner.get(&settings).text;
    let mut boxes = page.lines().filter(|line| line.contains("type=\"checkbox\"")).peekable();
    assert!(boxes.peek().is_some() && boxes.all(|line| !line.contains(" checked")), "{page}");

    let said = "Project access token creation is disabled in this group. You can still use and manage existing tokens.";
    let page = browser.get(&address(&project)).expect(200).text;
    assert!(
        page.contains(said) && !page.contains("Create project access token") && !page.contains(&settings)
    );
    assert!(owner.get(&address(&project)).text.contains(&settings), "an Owner of the group is shown the way");
    let fields =
        [("form_number", number.as_str()), ("name", "x"), ("access_level", "30"), ("scopes[]", "api")];
    browser.post(&address(&project), &fields).expect(422);
    browser.post(&format!("{}/{}/rotate", address(&project), token.token_id), &[]).expect(303);
    token.get("/user").expect(200);
    browser.post(&format!("{}/{}/revoke", address(&project), token.token_id), &[]).expect(303);
    token.get("/user").expect(401);
    owner.post(&settings, &[("resource_access_token_creation_allowed", "yes")]).expect(303);
    create(&browser, &project, &fields[1..]).expect(200);

    // Below the top there is no switch, and none can be set.
    let below = forge.subgroup("below", "public", Some(project.group.id));
    let settings = format!("/groups/{}/-/edit", below.full_path);
    let page = owner.get(&settings).expect(200).text;
    assert!(
        page.contains("decided by the top-level group")
            && !page.contains("Allow project access token creation")
    );
    owner.post(&settings, &[]).expect(303);
    let inside = forge.project_in(&below, "private");
    inside.token(&["api"], 30);
}

#[test]
fn bots_are_marked_among_the_members_and_have_no_controls() {
    let forge = forge!();
    let (project, browser, maria) = maintained(&forge);
    let bot = project.token(&["api"], 30);
    let jo = forge.person("jo");
    let members = format!("/{}/-/project_members", project.full_path);
    for (fields, problem) in [
        ([("username", "nobody"), ("access_level", "30")], "The user is not known here."),
        ([("username", "jo"), ("access_level", "50")], "above your own"),
        ([("username", "jo"), ("access_level", "7")], "The role is none of those."),
        (
            [("username", &*format!("project_{}_bot", project.id)), ("access_level", "30")],
            "project bots cannot be added",
        ),
    ] {
        let answer = browser.post(&members, &fields).expect(422);
        assert!(answer.text.contains(problem), "{problem}: {}", answer.text);
    }
    browser.post(&members, &[("username", "@jo"), ("access_level", "30")]).expect(303);
    browser.post(&members, &[("username", "jo"), ("access_level", "30")]).expect(422);
    let page = browser.get(&members).expect(200).text;
    let row = |page: &str, name: &str| {
        page.split("<li>").find(|row| row.contains(name)).unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let of_bot = row(&page, &format!("@project_{}_bot", project.id));
    assert!(of_bot.contains(">Bot<") && of_bot.contains("access_tokens") && of_bot.contains(">Developer<"));
    assert!(!of_bot.contains("<form") && !of_bot.contains("<button") && !of_bot.contains("/remove"));
    assert!(row(&page, "@jo").contains("<form"));
    let of = |user: i64, rest: &str| format!("{members}/{user}{rest}");
    browser.post(&of(bot.user_id, ""), &[("access_level", "40")]).expect(403);
    browser.post(&of(bot.user_id, "/remove"), &[]).expect(403);
    browser.get(&of(bot.user_id, "/remove")).expect(404);
    bot.get(&project.path("")).expect(200);

    browser.post(&of(jo.id, ""), &[("access_level", "20")]).expect(303);
    assert_eq!(forge.root().get(&project.path(&format!("/members/{}", jo.id))).json()["access_level"], 20);
    assert!(browser.get(&of(jo.id, "/remove")).expect(200).text.contains("Remove jo Person?"));
    browser.post(&of(jo.id, "/remove"), &[]).expect(303);
    forge.root().get(&project.path(&format!("/members/{}", jo.id))).expect(404);
    browser.post(&of(jo.id, "/remove"), &[]).expect(303);
    browser.post(&of(maria, ""), &[("access_level", "50")]).expect(403);
    // A Developer sees them, and changes nothing.
    let developer = Browser::signed_in(&forge, &project.member(30).username);
    assert!(!developer.get(&members).expect(200).text.contains("<form method=\"post\" action=\"/acme"));
    developer.post(&members, &[("username", "jo"), ("access_level", "10")]).expect(404);
}

#[test]
fn a_person_makes_a_project_and_is_told_how_to_begin() {
    let forge = forge!();
    forge.person("maria");
    forge.external_person("guest");
    let browser = Browser::signed_in(&forge, "maria");
    browser.get("/projects/new").expect(200);
    let bad =
        browser.post("/projects", &[("name", "Tool box"), ("path", "no path"), ("visibility", "public")]);
    assert!(bad.expect(422).text.contains("value=\"Tool box\""));
    let hidden = forge.group("hidden", "private");
    let id = hidden.id.to_string();
    let refused = browser.post("/projects", &[("name", "x"), ("namespace_id", &id)]).expect(422).text;
    let missing = browser.post("/projects", &[("name", "x"), ("namespace_id", "999999")]).expect(422).text;
    let said = "The place is none in which you may create projects.";
    assert!(refused.contains(said) && missing.contains(said));
    let made = browser.post("/projects", &[("name", "Tool box"), ("visibility", "public")]).expect(303);
    assert_eq!(made.header("location"), Some("/maria/Tool-box"));
    let page = browser.get("/maria/Tool-box").expect(200).text;
    assert!(page.contains(&format!("{}/maria/Tool-box.git", forge.url)));
    assert!(page.contains("git push --set-upstream origin main"));
    // It is public: everybody sees it, and nobody else is told how to push.
    let seen = Browser::new(&forge).get("/maria/Tool-box.git").expect(200).text;
    assert!(seen.contains("Nothing was pushed to it yet.") && !seen.contains("git push"));
    assert!(browser.get("/dashboard").text.contains("Tool box"));
    Browser::signed_in(&forge, "guest").get("/projects/new").expect(404);
}

#[test]
fn every_answer_says_what_a_page_may_do_and_assets_are_kept() {
    let forge = forge!();
    let browser = Browser::signed_in(&forge, "root");
    let page = browser.get("/-/design").expect(200);
    for path in ["/-/design", "/dashboard", "/nothing/here", "/users/sign_in"] {
        let answer = browser.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let style = page.text.split("href=\"/-/assets/pages.").nth(1).unwrap().split('"').next().unwrap();
    let asset = browser.get(&format!("/-/assets/pages.{style}")).expect(200);
    assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(asset.header("content-type"), Some("text/css; charset=utf-8"));
    browser.get("/-/assets/pages.0000000000000000.css").expect(404);
}

/// Somebody sees how long our answers are as they pass, and has words of theirs shown beside a secret: what compresses better
/// holds more of the secret. So no answer that holds one is compressed.
#[test]
fn pages_are_compressed_for_who_takes_it_and_answers_with_a_secret_are_not() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    let cookie = browser.cookie.clone().unwrap();
    let takes = [("accept-encoding", "gzip, deflate, br"), ("cookie", cookie.as_str())];
    let ask = |path: &str| browser.caller.send("GET", path, &takes, b"");
    let plain = browser.get(&address(&project)).expect(200);
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let style = plain.text.split("href=\"/-/assets/pages.").nth(1).unwrap().split('"').next().unwrap();
    for path in [address(&project), format!("/-/assets/pages.{style}")] {
        let answer = ask(&path).expect(200);
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
        let plain = browser.get(&path).text;
        // Bytes that are no text came as three each.
        assert!(answer.text.len() < plain.len(), "{path}: {} of {}", answer.text.len(), plain.len());
    }
    assert_eq!(ask("/nothing/here").expect(404).header("content-encoding"), None);
    assert_eq!(ask("/api/v4/version").header("content-encoding"), None);

    let number = form_number(&plain.text);
    let fields =
        [("form_number", number.as_str()), ("name", "a"), ("access_level", "30"), ("scopes[]", "api")];
    let body = portcullis_testkit::encoded(&fields);
    let headers = [("origin", forge.url.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let made =
        browser.caller.send("POST", &address(&project), &[&takes[..], &headers].concat(), body.as_bytes());
    assert_eq!(made.header("content-encoding"), None);
    assert!(!secret_in(&made.expect(200).text).is_empty());
}

#[test]
fn the_page_of_a_project_with_many_tokens_is_paged_and_sorted() {
    let forge = forge!();
    let (project, browser, _) = maintained(&forge);
    for number in 0..25 {
        let name = format!("robot {number:02}");
        project.token_with(
            json!({ "name": name, "scopes": ["api"], "access_level": 30, "expires_at": Value::Null }),
        );
    }
    let rows = |query: &str| {
        let page = browser.get(&format!("{}{query}", address(&project))).expect(200).text;
        page.split("data-label=\"Token name\">")
            .skip(1)
            .map(|row| row.split('>').nth(1).unwrap_or_default()[..8].to_owned())
            .collect::<Vec<_>>()
    };
    let first = rows("?sort=name_asc");
    assert_eq!((first.len(), first[0].as_str(), first[19].as_str()), (20, "robot 00", "robot 19"));
    assert_eq!(rows("?sort=name_asc&page=2").len(), 5);
    assert_eq!(rows("?sort=name_desc")[0], "robot 24");
    assert_eq!(rows("?sort=nonsense&page=-1").len(), 20);
    let page = browser.get(&format!("{}?sort=name_asc", address(&project))).text;
    assert!(page.contains("aria-sort=\"ascending\"") && page.contains("Page 1 of 2"));
}

#[test]
fn one_token_has_a_page_that_says_what_it_may_do_and_what_it_did() {
    let forge = forge!();
    let project = forge.project("private");
    let maria = project.member(40);
    let browser = Browser::signed_in(&forge, &maria.username);
    let bot = project.token_with(json!({
        "name": "<b>release</b> robot", "scopes": ["read_repository", "read_registry"], "access_level": 30,
        "description": "tags and \"ships\"",
    }));
    let page = format!("/{}/-/settings/access_tokens/{}", project.full_path, bot.token_id);
    let list = browser.get(&format!("/{}/-/settings/access_tokens", project.full_path)).expect(200).text;
    assert!(list.contains(&format!("<a href=\"{page}\">&#60;b&#62;release")), "{list}");
    let text = browser.get(&page).expect(200).text;
    assert!(text.contains("&#60;b&#62;release&#60;/b&#62; robot") && !text.contains("<b>release"));
    assert!(text.contains("tags and &#34;ships&#34;") && text.contains("<dd>Never</dd>"));
    assert!(!text.contains(&bot.secret) && text.contains("Nothing that the project's activity would tell."));
    let (may, may_not) = text.split_once("It may not</h3>").unwrap();
    for (says, allowed) in [
        ("clone and fetch with Git", true),
        ("pull images", true),
        ("push with Git", false),
        ("push images", false),
        ("read issues", false),
        ("create access tokens", false),
    ] {
        let row = format!("{says}</li>");
        assert_eq!((may.contains(&row), may_not.contains(&row)), (allowed, !allowed), "{says}");
    }
    // With a use of it comes from where that was, and the audit log of what it changes.
    let api = project.token_with(json!({ "name": "api", "scopes": ["api"], "access_level": 40 }));
    api.put(&project.path(""), json!({ "description": "by a robot" })).expect(200);
    api.issue(project.id, "found by a robot");
    forge.block_on(forge.forge.write_last_uses()).unwrap();
    let page_of_api = format!("/{}/-/settings/access_tokens/{}", project.full_path, api.token_id);
    let text = browser.get(&page_of_api).expect(200).text;
    assert!(text.contains("from <span class=\"mono\">127.0.0.1</span>"), "{text}");
    assert!(text.contains("project updated") && text.contains("project access token created"), "{text}");
    assert!(text.contains("change the project&#39;s settings</li>"), "{text}");
    // Once it is revoked it may do nothing, and what it did is still told.
    browser.post(&format!("{page_of_api}/revoke"), &[]).expect(303);
    let text = browser.get(&page_of_api).expect(200).text;
    assert!(text.contains(">Revoked</span>") && text.contains("Nothing any more"), "{text}");
    assert!(text.contains("project updated") && !text.contains("data-ask="));
    assert!(text.contains("“found by a robot”") && text.contains("project access token deleted"), "{text}");
    // With its bot it goes from the list, and so does its page; the project's activity and its audit log tell the rest.
    forge.run_jobs();
    browser.get(&page_of_api).expect(404);

    // It is there for whoever may see the list, and nowhere else.
    let other = forge.project_in(&project.group, "private");
    browser.get(&format!("/{}/-/settings/access_tokens/{}", other.full_path, bot.token_id)).expect(404);
    for id in ["0", "999999", "x", "-1", "99999999999999999999"] {
        browser.get(&format!("/{}/-/settings/access_tokens/{id}", project.full_path)).expect(404);
    }
    let jo = project.member(30);
    Browser::signed_in(&forge, &jo.username).get(&page).expect(404);
    Browser::new(&forge).get(&page).expect(303);
}
