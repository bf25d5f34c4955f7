//! Group access tokens by hand: the page of a group's tokens, and of each of them.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::{Answer, Browser, Group, TestForge, forge, form_number};
use serde_json::{Value, json};

fn address(group: &Group) -> String {
    format!("/groups/{}/-/settings/access_tokens", group.full_path)
}

/// Makes somebody a member of a group, and gives them a browser.
fn member<'a>(forge: &'a TestForge, group: &Group, username: &str, level: i64) -> Browser<'a> {
    let person = forge.person(username);
    let body = json!({ "user_id": person.id, "access_level": level });
    forge.root().post(&group.path("/members"), body).expect(201);
    Browser::signed_in(forge, username)
}

/// A group with its Owner, who has a browser.
fn owned(forge: &TestForge) -> (Group, Browser<'_>) {
    let group = forge.group("tools", "private");
    let owner = member(forge, &group, "maria", 50);
    (group, owner)
}

/// Sends the form for a new token, with a number of its own.
fn create(browser: &Browser<'_>, group: &Group, fields: &[(&str, &str)]) -> Answer {
    let number = form_number(&browser.get(&address(group)).expect(200).text);
    browser.post(&address(group), &[&[("form_number", number.as_str())], fields].concat())
}

fn tokens(forge: &TestForge, group: &Group) -> Vec<Value> {
    forge.root().get(&group.path("/access_tokens")).expect(200).json().as_array().unwrap().clone()
}

fn secret_in(page: &str) -> String {
    let rest = page.split("id=\"fresh-secret\"").nth(1).expect("a secret");
    let rest = rest.split("value=\"").nth(1).expect("its value");
    rest.chars().take_while(|character| *character != '"').collect()
}

#[test]
fn an_owner_makes_a_group_token_and_its_secret_is_in_that_one_answer() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    let page = browser.get(&address(&group)).expect(200);
    for said in [
        "This group has no active access tokens.",
        "Create group access token",
        "A group access token belongs to this group and not to a person.",
        "in this group and in everything below it",
        "Everybody who sees the group can read the name",
        "the API of the group and of everything below it",
        ">Owner</option>",
    ] {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    assert!(
        !page.text.contains("project access token") && !page.text.contains("the project"),
        "{}",
        page.text
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Whoever may is led there from the group's other pages.
    let home = browser.get("/groups/tools").expect(200).text;
    assert!(home.contains(&format!("<a href=\"{}\">Access Tokens</a>", address(&group))));

    let number = form_number(&page.text);
    let fields = [
        ("form_number", number.as_str()),
        ("name", "deployer"),
        ("description", "ships everything"),
        ("expires_at", "2026-04-01"),
        ("access_level", "30"),
        ("scopes[]", "api"),
        ("scopes[]", "read_registry"),
    ];
    let made = browser.post(&address(&group), &fields).expect(200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let secret = secret_in(&made.text);
    assert!(secret.starts_with("pcg_") && made.text.contains("data-copy=\"fresh-secret\""));
    let host = forge.url.strip_prefix("http://").unwrap();
    for snippet in [
        format!("git clone http://group_{}_bot:{secret}@{host}/tools/project.git", group.id),
        format!("/api/v4/groups/{}&#34;", group.id),
        format!("docker login {host} --username group_{}_bot --password-stdin", group.id),
        format!("--docker-password={secret}"),
    ] {
        assert!(made.text.contains(&snippet), "{snippet}");
    }
    let own = forge.with_token(&secret).get("/personal_access_tokens/self").expect(200).json();
    assert_eq!((&own["name"], &own["expires_at"]), (&json!("deployer"), &json!("2026-04-01")));
    let listed = tokens(&forge, &group);
    assert_eq!((listed.len(), &listed[0]["access_level"]), (1, &json!(30)));

    // Neither the page, nor the same form once more, shows it again or makes another.
    assert!(!browser.get(&address(&group)).text.contains(&secret));
    let again = browser.post(&address(&group), &fields).expect(409);
    assert!(again.text.contains("nothing was made again") && !again.text.contains(&secret));
    assert_eq!(tokens(&forge, &group).len(), 1);
    let log = forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", group.id));
    let log = log.expect(200).text;
    assert!(log.contains("group_access_token_created") && !log.contains(&secret));
}

#[test]
fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    let long = "x".repeat(256);
    let with = |name| vec![("name", name), ("access_level", "30"), ("scopes[]", "api")];
    for (fields, problem) in [
        (with(""), "The name can&#39;t be blank."),
        (with(&long), "The name is too long (maximum is 255 characters)."),
        (vec![("name", "robot"), ("access_level", "30")], "The scopes can&#39;t be blank."),
        (
            vec![("name", "robot"), ("access_level", "30"), ("scopes[]", "sudo")],
            "The scopes hold one that such a token cannot have.",
        ),
        (vec![("name", "robot"), ("access_level", "31"), ("scopes[]", "api")], "The role is none of those."),
        (vec![("name", "robot"), ("scopes[]", "api")], "The role is none of those."),
        ([with("robot"), vec![("expires_at", "2026-03-02")]].concat(), "The date must be after 2026-03-02"),
        (
            [with("robot"), vec![("expires_at", "soon")]].concat(),
            "The date is not a date such as 2030-01-31.",
        ),
    ] {
        let answer = create(&browser, &group, &fields).expect(422);
        assert!(answer.text.contains(problem), "{problem}: {}", answer.text);
        let typed = fields.iter().find(|(name, _)| *name == "name").unwrap().1;
        assert!(answer.text.contains(&format!("value=\"{typed}\"")), "{problem}");
    }
    assert_eq!(tokens(&forge, &group), [Value::Null; 0]);
}

#[test]
fn a_group_token_is_rotated_and_revoked_after_a_question_that_names_it() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    let token = forge.group_token(&group, &["api"], 30);
    let of = |verb: &str| format!("{}/{}/{verb}", address(&group), token.token_id);
    assert!(browser.get(&of("rotate")).expect(200).text.contains("Rotate “ci”?"));
    browser.post(&of("rotate"), &[("expires_at", "2020-01-01")]).expect(422);
    token.get("/user").expect(200);
    let rotated = browser.post(&of("rotate"), &[("expires_at", "2026-03-05")]).expect(200).text;
    token.get("/user").expect(401);
    let secret = secret_in(&rotated);
    let new = forge.with_token(&secret);
    new.get("/user").expect(200);
    let page = browser.get(&address(&group)).text;
    assert!(page.contains("Expires soon") && page.contains("in 2 days") && page.contains(">Revoked<"));
    assert!(page.contains("Inactive group access tokens") && !page.contains(&secret));
    // The same once more, as a reload does: nothing happens, and nothing is shown.
    let again = browser.post(&of("rotate"), &[("expires_at", "2026-03-05")]).expect(303);
    assert_eq!(again.header("location"), Some(&*address(&group)));
    new.get("/user").expect(200);

    let id = new.get("/personal_access_tokens/self").json()["id"].as_i64().unwrap();
    let revoke = format!("{}/{id}/revoke", address(&group));
    let page = browser.get(&revoke).expect(200).text;
    assert!(page.contains("Revoke “ci”?"), "{page}");
    assert!(page.contains("stops working with its next request, in this group and in everything below it"));
    new.get("/user").expect(200);
    browser.post(&revoke, &[]).expect(303);
    new.get("/user").expect(401);
    let page = browser.get(&address(&group)).text;
    assert!(page.contains("Revoked access token ci!"), "{page}");
    // In another window, or after going back.
    browser.post(&revoke, &[]).expect(303);
    assert!(browser.get(&address(&group)).text.contains("was over already"));
}

/// Whoever may not is told exactly what somebody is told who asks for nothing at all.
#[test]
fn what_one_may_not_do_is_not_there() {
    let forge = forge!();
    let (group, owner) = owned(&forge);
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let project = forge.project_in(&group, "private");
    let token = forge.group_token(&group, &["api"], 30);
    let maintainer = member(&forge, &group, "jo", 40);
    let below = member(&forge, &inner, "ida", 50);
    let of_project = Browser::signed_in(&forge, &project.member(50).username);
    forge.person("stranger");
    let stranger = Browser::signed_in(&forge, "stranger");
    let number = form_number(&owner.get(&address(&group)).text);
    let one = format!("{}/{}", address(&group), token.token_id);
    for browser in [&maintainer, &below, &of_project, &stranger] {
        let nothing = browser.get("/groups/nowhere/-/settings/access_tokens").expect(404).text;
        for path in [address(&group), one.clone(), format!("{one}/revoke"), format!("{one}/rotate")] {
            assert_eq!(browser.get(&path).expect(404).text, nothing, "{path}");
        }
        let fields =
            [("form_number", number.as_str()), ("name", "x"), ("access_level", "10"), ("scopes[]", "api")];
        for path in [address(&group), format!("{one}/revoke"), format!("{one}/rotate")] {
            assert_eq!(browser.post(&path, &fields).expect(404).text, nothing, "{path}");
        }
    }
    // Nor does the navigation lead a Maintainer there.
    assert!(!maintainer.get("/groups/tools").expect(200).text.contains("/settings/access_tokens"));
    token.get("/user").expect(200);
    assert_eq!(tokens(&forge, &group).len(), 1);
    // A refusal leaves its trace, as over the API.
    let log = forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", group.id));
    assert!(log.expect(200).text.contains("group_access_token_creation_failed"));
    let anyone = Browser::new(&forge);
    for path in [address(&group), one.clone(), "/groups/nowhere/-/settings/access_tokens".to_owned()] {
        let to = anyone.get(&path).expect(303).header("location").unwrap().to_owned();
        assert!(to.starts_with("/users/sign_in?"), "{to}");
    }
    // Owners above are Owners below.
    owner.get(&address(&inner)).expect(200);
}

/// A token is found in its own home and nowhere else: not in a project, in a group above, below or beside it.
#[test]
fn a_token_is_found_at_its_own_address_only() {
    let forge = forge!();
    let (group, _) = owned(&forge);
    let root = Browser::signed_in(&forge, "root");
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let beside = forge.group("beside", "private");
    let project = forge.project_in(&group, "private");
    let of_group = forge.group_token(&group, &["api"], 30);
    let of_inner = forge.group_token(&inner, &["api"], 30);
    let of_project = project.token(&["api"], 30);
    let project_address = format!("/{}/-/settings/access_tokens", project.full_path);
    for (home, id) in [
        (address(&group), of_project.token_id),
        (address(&group), of_inner.token_id),
        (address(&inner), of_group.token_id),
        (address(&beside), of_group.token_id),
        (project_address, of_group.token_id),
        (address(&group), 0),
        (address(&group), 999_999),
    ] {
        for rest in ["", "/revoke", "/rotate"] {
            root.get(&format!("{home}/{id}{rest}")).expect(404);
        }
        root.post(&format!("{home}/{id}/revoke"), &[]).expect(303);
        assert!(root.get(&home).expect(200).text.contains("There is no such access token any more."));
        root.post(&format!("{home}/{id}/rotate"), &[]).expect(404);
    }
    for id in ["x", "-1", "99999999999999999999"] {
        root.get(&format!("{}/{id}", address(&group))).expect(404);
    }
    for token in [&of_group, &of_inner, &of_project] {
        token.get("/user").expect(200);
    }
}

#[test]
fn a_top_level_group_switches_creation_off_and_the_pages_below_say_who_can_change_it() {
    let forge = forge!();
    let (group, owner) = owned(&forge);
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let below = member(&forge, &inner, "ida", 50);
    let token = forge.group_token(&inner, &["api"], 30);
    let settings = "/groups/tools/-/edit";
    let page = owner.get(settings).expect(200).text;
    assert!(page.contains("and Owners group access tokens"), "{page}");
    let number = form_number(&below.get(&address(&inner)).expect(200).text);
    owner.post(settings, &[]).expect(303);

    let said = "Group access token creation is disabled in this group. You can still use and manage existing tokens.";
    let page = owner.get(&address(&group)).expect(200).text;
    assert!(page.contains(said) && !page.contains("Create group access token"), "{page}");
    assert!(
        page.contains("<a href=\"/groups/tools/-/edit\">Change it in the group's settings</a>"),
        "{page}"
    );
    let said = "Group access token creation is disabled in the top-level group tools.";
    let page = below.get(&address(&inner)).expect(200).text;
    assert!(page.contains(said) && !page.contains("Create group access token"), "{page}");
    assert!(
        !page.contains(settings) && !page.contains("Rotate ci"),
        "only its Owners are shown the way: {page}"
    );
    assert!(owner.get(&address(&inner)).text.contains(settings));

    // A form that was open before makes nothing, nothing is rotated, and what exists goes on and can be ended.
    let fields =
        [("form_number", number.as_str()), ("name", "x"), ("access_level", "30"), ("scopes[]", "api")];
    let answer = below.post(&address(&inner), &fields).expect(422);
    assert!(answer.text.contains(said), "{}", answer.text);
    let one = format!("{}/{}", address(&inner), token.token_id);
    assert!(!below.get(&one).expect(200).text.contains("/rotate"));
    below.get(&format!("{one}/rotate")).expect(303);
    below.post(&format!("{one}/rotate"), &[]).expect(303);
    assert!(below.get(&address(&inner)).text.contains("so none can be rotated"));
    token.get("/user").expect(200);
    below.post(&format!("{one}/revoke"), &[]).expect(303);
    token.get("/user").expect(401);
    owner.post(settings, &[("resource_access_token_creation_allowed", "yes")]).expect(303);
    create(&below, &inner, &fields[1..]).expect(200);
}

#[test]
fn the_operator_switches_them_off_for_all() {
    let forge = forge!(|settings| settings.project_access_tokens = false);
    let (group, browser) = owned(&forge);
    let page = browser.get(&address(&group)).expect(200).text;
    assert!(page.contains("Group access tokens are switched off on this forge"), "{page}");
    assert!(!page.contains("Create group access token"));
}

#[test]
fn one_token_has_a_page_that_says_what_it_may_do_and_what_it_did() {
    let forge = forge!();
    let group = forge.group("tools", "public");
    let browser = member(&forge, &group, "maria", 50);
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let (direct, below) = (forge.project_in(&group, "public"), forge.project_in(&inner, "private"));
    let guest = forge.group_token_with(
        &group,
        json!({ "name": "guest", "scopes": ["read_api", "read_repository"], "access_level": 10 }),
    );
    let bot = forge.group_token_with(
        &group,
        json!({ "name": "robot", "description": "ships", "scopes": ["api"], "access_level": 40 }),
    );
    let page = |id: i64| format!("{}/{id}", address(&group));
    assert!(
        browser.get(&address(&group)).text.contains(&format!("<a href=\"{}\">robot", page(bot.token_id)))
    );

    let says = |text: &str, expected: &[(&str, bool)]| {
        let (may, may_not) = text.split_once("It may not</h3>").unwrap();
        for (says, allowed) in expected {
            let row = format!("</svg>{says}</li>");
            assert_eq!((may.contains(&row), may_not.contains(&row)), (*allowed, !allowed), "{says}");
        }
    };
    let text = browser.get(&page(bot.token_id)).expect(200).text;
    assert!(text.contains("What it may do in this group and in every project below it"), "{text}");
    assert!(
        text.contains("Outside this group, and in public projects below it, it may do what everybody may."),
        "{text}"
    );
    assert!(text.contains("<dd>Never</dd>") && !text.contains(&bot.secret), "{text}");
    assert!(text.contains("Nothing that the activity of a project below this group would tell."), "{text}");
    says(
        &text,
        &[
            ("push with Git", true),
            ("change the settings of projects", true),
            ("read who is a member of the group", true),
            ("see the group&#39;s access tokens", false),
            ("create access tokens", false),
            ("make groups inside the group", false),
            ("change the group&#39;s settings", false),
            ("delete projects", false),
        ],
    );
    // What is said holds in the private projects below too: a Guest reads the code of public ones alone.
    let text = browser.get(&page(guest.token_id)).expect(200).text;
    says(&text, &[("read issues", true), ("clone and fetch with Git", false), ("push with Git", false)]);
    guest.get(&below.path("/repository/tree")).expect(403);

    // What it did stands there with where it was, and from where it was used.
    bot.issue(direct.id, "found directly");
    bot.issue(below.id, "<b>found</b> below");
    bot.put(&below.path(""), json!({ "description": "by a robot" })).expect(200);
    forge.block_on(forge.forge.write_last_uses()).unwrap();
    let text = browser.get(&page(bot.token_id)).expect(200).text;
    assert!(text.contains("from <span class=\"mono\">127.0.0.1</span>"), "{text}");
    for (project, title) in [(&direct, "“found directly”"), (&below, "“&#60;b&#62;found&#60;/b&#62; below”")]
    {
        let path = &project.full_path;
        assert!(text.contains(title) && text.contains(&format!("<a href=\"/{path}\">{path}</a>")), "{text}");
        assert!(text.contains(&format!("<a href=\"/{path}/-/issues/1\">#1</a>")), "{text}");
    }
    assert!(text.contains("group access token created") && text.contains("project updated"), "{text}");
    assert!(text.contains(&format!("{} · robot", below.full_path)), "{text}");
    let text = browser.get(&page(guest.token_id)).text;
    assert!(!text.contains("found directly") && !text.contains("project updated"), "{text}");

    // Of a project that has its issues switched off nothing is told about them, not to an Owner either.
    forge.root().put(&below.path(""), json!({ "issues_access_level": "disabled" })).expect(200);
    let text = browser.get(&page(bot.token_id)).expect(200).text;
    assert!(text.contains("“found directly”") && !text.contains("found&#60;/b&#62; below"), "{text}");
    forge.root().put(&below.path(""), json!({ "issues_access_level": "enabled" })).expect(200);

    // Once it is revoked it may do nothing, and what it did is still told.
    browser.post(&format!("{}/revoke", page(bot.token_id)), &[]).expect(303);
    let text = browser.get(&page(bot.token_id)).expect(200).text;
    assert!(text.contains(">Revoked</span>") && text.contains("Nothing any more"), "{text}");
    assert!(text.contains("“found directly”") && text.contains("group access token deleted"), "{text}");
    forge.run_jobs();
    browser.get(&page(bot.token_id)).expect(404);
}

/// Of a project that is gone nobody can be asked whether they may read what happened there.
#[test]
fn what_a_token_did_is_told_as_far_as_the_reader_may_read_it() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    let (stays, leaves) = (forge.project_in(&group, "private"), forge.project_in(&group, "private"));
    let bot = forge.group_token(&group, &["api"], 40);
    for (project, title) in [(&stays, "in what stays"), (&leaves, "in what leaves")] {
        bot.issue(project.id, title);
        bot.put(&project.path(""), json!({ "description": "by a robot" })).expect(200);
    }
    let page = format!("{}/{}", address(&group), bot.token_id);
    let text = browser.get(&page).expect(200).text;
    assert!(text.contains("in what stays") && text.contains("in what leaves"), "{text}");
    assert_eq!(text.matches("<strong>project updated</strong>").count(), 2, "{text}");
    forge.root().delete(&leaves.path("")).expect(202);
    forge.run_jobs();
    let text = browser.get(&page).expect(200).text;
    assert!(text.contains("in what stays") && !text.contains(&leaves.full_path), "{text}");
    assert_eq!(text.matches("<strong>project updated</strong>").count(), 1, "{text}");
}

#[test]
fn bots_among_the_members_lead_to_their_tokens() {
    let forge = forge!();
    let (group, owner) = owned(&forge);
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let bot = forge.group_token(&group, &["api"], 30);
    let maintainer = member(&forge, &group, "jo", 40);
    let one = format!("<a href=\"{}/{}\">“ci”</a>", address(&group), bot.token_id);
    let members = |browser: &Browser<'_>, group: &Group| {
        let page = browser.get(&format!("/groups/{}/-/group_members", group.full_path)).expect(200).text;
        assert!(page.contains("acts for the group access token"), "{page}");
        page
    };
    assert!(members(&owner, &group).contains(&one));
    assert!(!members(&maintainer, &group).contains("/settings/access_tokens"));
    // Below, it is a member through the group above, whose token it is.
    assert!(!members(&owner, &inner).contains(&one));
    // An administrator is led to it from the bot's account.
    let root = Browser::signed_in(&forge, "root");
    let account = root.get(&format!("/admin/users/{}", bot.user_id)).expect(200).text;
    assert!(account.contains(&format!("<a href=\"{}\">", address(&group))), "{account}");
}

#[test]
fn every_name_is_shown_as_text() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    let hostile = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
    forge.root().put(&group.path(""), json!({ "name": hostile })).expect(200);
    let fields = [("name", hostile), ("description", hostile), ("access_level", "30"), ("scopes[]", "api")];
    let made = create(&browser, &group, &fields).expect(200);
    let wrong =
        create(&browser, &group, &[("name", hostile), ("description", hostile), ("expires_at", hostile)]);
    let one = format!("{}/{}", address(&group), tokens(&forge, &group)[0]["id"]);
    let paths = [
        address(&group),
        format!("{}?sort=%3Cscript%3Ealert(1)", address(&group)),
        one.clone(),
        format!("{one}/revoke"),
        format!("{one}/rotate"),
        format!("/groups/{}/-/group_members", group.full_path),
    ];
    let pages = paths.iter().map(|path| browser.get(path).expect(200).text);
    for page in pages.chain([made.text, wrong.expect(422).text]) {
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script defer src=\"/-/assets/").count());
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }
}

#[test]
fn the_tables_are_sorted_and_have_pages() {
    let forge = forge!();
    let (group, browser) = owned(&forge);
    for number in 0..22 {
        let body = json!({ "name": format!("robot {number:02}"), "scopes": ["api"], "access_level": 10 });
        forge.group_token_with(&group, body);
    }
    let rows = |query: &str| {
        let page = browser.get(&format!("{}{query}", address(&group))).expect(200).text;
        page.split("data-label=\"Token name\">")
            .skip(1)
            .map(|row| row.split('>').nth(1).unwrap_or_default()[..8].to_owned())
            .collect::<Vec<_>>()
    };
    let first = rows("?sort=name_asc");
    assert_eq!((first.len(), first[0].as_str()), (20, "robot 00"));
    assert_eq!(rows("?sort=name_asc&page=2"), ["robot 20", "robot 21"]);
    assert_eq!(rows("?sort=name_desc")[0], "robot 21");
}
