//! Access tokens of groups: made, listed, replaced and ended as those of projects, by a group's Owners; good for the group
//! and everything below it, at every door, and for nothing else.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_app::settings::Edition;
use portcullis_testkit::{Answer, Bot, Caller, Git, Group, Person, TestForge, basic, forge, token_secret};
use serde_json::{Value, json};

const NOT_PERMITTED: &str = "400 Bad request - User does not have permission to create group access token";

fn new_token() -> Value {
    json!({ "name": "ci", "scopes": ["api"] })
}

fn path_of(group: &Group, bot: &Bot) -> String {
    group.path(&format!("/access_tokens/{}", bot.token_id))
}

fn member(forge: &TestForge, group: &Group, level: i64) -> Person {
    let person = forge.person(&forge.word("person"));
    let body = json!({ "user_id": person.id, "access_level": level });
    forge.root().post(&group.path("/members"), body).expect(201);
    person
}

/// The ids of a list that ends with its first page.
fn ids(caller: &Caller, path: &str) -> Vec<i64> {
    let list = caller.get(path).expect(200).json();
    let mut ids: Vec<_> = list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn revoke(caller: &Caller, group: &Group, bot: &Bot) -> Answer {
    caller.delete(&path_of(group, bot))
}

#[test]
fn a_group_token_has_the_shape_of_a_projects_and_shows_its_secret_once() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let owner = member(&forge, &group, 50);
    let body = json!({
        "name": "deploy", "description": "what for", "scopes": ["api", "read_registry"], "access_level": "30",
        "expires_at": forge.clock.date(30),
    });
    let answer = owner.post(&group.path("/access_tokens"), body).expect(201);
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    let made = answer.json();
    let secret = token_secret(&made);
    assert!(secret.starts_with("pcg_") && secret.len() == 40);
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("token");
    assert_eq!(
        shown,
        json!({
            "id": made["id"], "name": "deploy", "revoked": false, "created_at": "2026-03-02T12:00:00.000Z",
            "description": "what for", "scopes": ["api", "read_registry"], "user_id": made["user_id"],
            "last_used_at": null, "active": true, "expires_at": forge.clock.date(30), "access_level": 30,
            "resource_type": "group", "resource_id": group.id,
        })
    );
    let one = group.path(&format!("/access_tokens/{}", made["id"]));
    assert_eq!(owner.get(&one).expect(200).json(), shown);
    assert_eq!(owner.get(&group.path("/access_tokens")).expect(200).json(), json!([shown]));
    assert_eq!(owner.get(&group.path("/access_tokens?state=inactive")).expect(200).json(), json!([]));
    let bot = forge.with_token(&secret);
    assert_eq!(bot.get("/personal_access_tokens/self").expect(200).json()["id"], made["id"]);
    let user = bot.get("/user").expect(200).json();
    assert_eq!(
        (&user["username"], &user["name"], &user["bot"]),
        (&json!(format!("group_{}_bot", group.id)), &json!("deploy"), &json!(true))
    );
    // The next one has the next name, and is Maintainer unless another role is asked for.
    let second = forge.group_token_with(&group, new_token());
    assert_eq!(second.get("/user").expect(200).json()["username"], format!("group_{}_bot1", group.id));
    assert_eq!(owner.get(&path_of(&group, &second)).expect(200).json()["access_level"], 40);
    let log = forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", group.id));
    assert!(log.expect(200).text.contains("group_access_token_created"));
}

#[test]
fn a_group_token_that_cannot_be_is_named_and_leaves_nothing() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let owner = member(&forge, &group, 50);
    for body in [
        json!({}),
        json!({ "name": "x" }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["everything"] }),
        json!({ "name": "x", "scopes": ["sudo"] }),
        json!({ "name": "x", "scopes": ["api"], "access_level": 35 }),
        json!({ "name": "", "scopes": ["api"] }),
        json!({ "name": "x".repeat(300), "scopes": ["api"] }),
        json!({ "name": "x", "scopes": ["api"], "expires_at": forge.clock.date(0) }),
    ] {
        owner.post(&group.path("/access_tokens"), body).expect(400);
    }
    // Nobody gives what the presented token does not hold.
    let narrow = forge.with_token(&forge.personal_token(&owner.username, &["api"]));
    narrow.post(&group.path("/access_tokens"), new_token()).expect(201);
    let reader = forge.with_token(&forge.personal_token(&owner.username, &["read_api"]));
    reader.post(&group.path("/access_tokens"), new_token()).expect(403);
    assert_eq!(ids(&owner, &group.path("/access_tokens")).len(), 1);
    assert_eq!(ids(&owner, &group.path("/members")).len(), 3);
}

#[test]
fn owners_administer_the_tokens_of_their_group_and_nobody_else_does() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let project = forge.project_in(&group, "private");
    let bot = forge.group_token(&group, &["api"], 30);
    let tokens = group.path("/access_tokens");
    let rotate = format!("{}/rotate", path_of(&group, &bot));
    let unauthorized = json!({ "message": "401 Unauthorized" });
    for level in [10, 15, 20, 30, 40] {
        let lesser = member(&forge, &group, level);
        lesser.get(&tokens).expect_json(401, unauthorized.clone());
        lesser.get(&path_of(&group, &bot)).expect_json(401, unauthorized.clone());
        lesser.post(&tokens, new_token()).expect_json(400, json!({ "message": NOT_PERMITTED }));
        lesser.post(&rotate, json!({})).expect_json(401, unauthorized.clone());
        let message = format!("400 Bad request - {} Person cannot delete ci", lesser.username);
        revoke(&lesser, &group, &bot).expect_json(400, json!({ "message": message }));
    }
    // Owners below have nothing to say above, and strangers do not learn that there is a group.
    let below = member(&forge, &inner, 50);
    for stranger in [&below, &project.member(50), &forge.person("stranger")] {
        let answer = stranger.get(&tokens);
        assert!([401, 404].contains(&answer.status), "{}", answer.text);
        let answer = stranger.post(&tokens, new_token());
        assert!([400, 404].contains(&answer.status), "{}", answer.text);
        assert!([400, 404].contains(&revoke(stranger, &group, &bot).status));
    }
    forge.person("nobody").get(&tokens).expect_json(404, json!({ "message": "404 Group Not Found" }));
    forge.anyone().get(&tokens).expect(401);

    // A token is found in its own group and nowhere else, by people and by bots.
    let not_found = json!({ "message": "404 group Access Token Not Found" });
    let of_project = project.token(&["api"], 30);
    for (home, id) in [(&inner, bot.token_id), (&group, of_project.token_id), (&group, 999_999)] {
        let path = home.path(&format!("/access_tokens/{id}"));
        forge.root().get(&path).expect_json(404, not_found.clone());
        forge.root().delete(&path).expect_json(404, not_found.clone());
        forge.root().post(&format!("{path}/rotate"), json!({})).expect(404);
    }
    let path = project.path(&format!("/access_tokens/{}", bot.token_id));
    forge.root().get(&path).expect(404);
    forge.root().delete(&path).expect(404);
    forge.root().get(&group.path("/access_tokens/x")).expect_json(404, not_found);

    // A bot that is Owner lists and revokes, and makes and replaces none.
    let strong = forge.group_token(&group, &["api"], 50);
    assert_eq!(ids(&strong, &tokens), [bot.token_id, strong.token_id]);
    strong.post(&tokens, new_token()).expect_json(400, json!({ "message": NOT_PERMITTED }));
    strong.post(&project.path("/access_tokens"), new_token()).expect(400);
    strong.post(&rotate, json!({})).expect(401);
    bot.get("/user").expect(200);
    revoke(&strong, &group, &bot).expect(204);
    bot.get("/user").expect(401);
    // Nor does it grow, move or end the group.
    strong.put(&group.path(""), json!({ "name": "other" })).expect(403);
    strong.delete(&group.path("")).expect(403);
    strong.post("/groups", json!({ "name": "x", "path": "x", "parent_id": group.id })).expect(403);
    strong.post("/projects", json!({ "name": "x", "namespace_id": group.id })).expect(403);
    let body = json!({ "user_id": below.id, "access_level": 10 });
    strong.post(&group.path("/members"), body).expect(403);
}

#[test]
fn a_group_token_reaches_its_group_and_all_below_and_nothing_else() {
    let forge = forge!();
    let top = forge.group("top", "private");
    let group = forge.subgroup("tools", "private", Some(top.id));
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let beside = forge.subgroup("beside", "private", Some(top.id));
    let (direct, below) = (forge.project_in(&group, "private"), forge.project_in(&inner, "private"));
    let (above, aside) = (forge.project_in(&top, "private"), forge.project_in(&beside, "private"));
    let (internal, public) = (forge.project("internal"), forge.project("public"));
    let bot =
        forge.group_token_with(&group, json!({ "name": "robot", "scopes": ["api"], "access_level": 30 }));

    for inside in [&direct, &below] {
        let read = bot.get(&inside.path("")).expect(200).json();
        assert_eq!(
            (&read["permissions"]["project_access"], &read["permissions"]["group_access"]["access_level"]),
            (&Value::Null, &json!(30))
        );
        let iid = bot.issue(inside.id, "by the bot");
        let issue = bot.get(&inside.path(&format!("/issues/{iid}"))).expect(200).json();
        assert_eq!(issue["author"]["name"], "robot");
        let body = json!({ "branch": "topic", "ref": "main" });
        bot.post(&inside.path("/repository/branches"), body).expect(201);
        bot.get(&inside.path("/access_tokens")).expect(401);
    }
    for outside in [&above, &aside, &internal] {
        bot.get(&outside.path("")).expect_json(404, json!({ "message": "404 Project Not Found" }));
        bot.post(&outside.path("/issues"), json!({ "title": "x" })).expect(404);
        bot.get(&outside.path("/repository/tree")).expect(404);
    }
    // Of what is public it sees what anybody sees.
    bot.get(&public.path("")).expect(200);
    bot.post(&public.path("/issues"), json!({ "title": "x" })).expect(403);
    bot.get(&public.path("/members")).expect(403);

    for inside in [&group, &inner] {
        bot.get(&inside.path("")).expect(200);
        bot.get(&inside.path("/members")).expect(200);
        bot.get(&inside.path("/merge_requests")).expect(200);
        bot.get(&inside.path("/registry/repositories")).expect(200);
    }
    for outside in [&top, &beside] {
        bot.get(&outside.path("")).expect_json(404, json!({ "message": "404 Group Not Found" }));
        bot.get(&outside.path("/projects")).expect(404);
    }

    // Lists are the same in many.
    let mut seen = vec![direct.id, below.id, public.id];
    seen.sort_unstable();
    assert_eq!(ids(&bot, "/projects"), seen);
    assert_eq!(ids(&bot, "/projects?membership=true"), [direct.id, below.id]);
    assert_eq!(ids(&bot, "/projects?membership=true&min_access_level=40"), [0_i64; 0]);
    assert_eq!(ids(&bot, &group.path("/projects?include_subgroups=true")), [direct.id, below.id]);
    assert_eq!(ids(&bot, &group.path("/subgroups")), [inner.id]);
    let mut groups = vec![group.id, inner.id, public.group.id, internal.group.id];
    groups.sort_unstable();
    assert_eq!(ids(&bot, "/groups"), groups);
    assert_eq!(ids(&bot, "/namespaces"), [0_i64; 0]);
    let associations = bot.get("/personal_access_tokens/self/associations").expect(200).json();
    assert_eq!(associations["groups"].as_array().unwrap().len(), 2);
    assert_eq!(associations["projects"].as_array().unwrap().len(), 2);
    for inside in [&direct, &below] {
        forge.merge_request(inside.id, bot.user_id, "one");
    }
    forge.merge_request(aside.id, 1, "elsewhere");
    assert_eq!(ids(&bot, "/merge_requests?scope=all").len(), 2);

    // It sees the people of what it works in and above, and nobody else.
    let (colleague, stranger) = (below.member(30), aside.member(30));
    bot.get(&format!("/users/{}", colleague.id)).expect(200);
    bot.get(&format!("/users/{}", stranger.id)).expect(404);
    assert!(!ids(&bot, "/users?per_page=100").contains(&stranger.id));

    // What its scopes do not say it does not do, wherever it is.
    let reader = forge.group_token(&group, &["read_api"], 50);
    reader.get(&below.path("")).expect(200);
    reader.post(&below.path("/issues"), json!({ "title": "x" })).expect(403);
    let fetcher = forge.group_token(&group, &["read_repository"], 50);
    fetcher.get(&below.path("")).expect(403);
}

#[test]
fn git_and_the_registry_open_to_a_group_token_below_its_group_only() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let (below, outside) = (forge.project_in(&inner, "private"), forge.project("private"));
    let bot = forge.group_token(&group, &["write_repository", "read_registry", "write_registry"], 30);
    let git = Git::default();
    below.clone_with(&git, &bot.secret, "work");
    git.run_in("work", &["checkout", "-q", "-b", "topic"]).works();
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q", "origin", "topic"]).works();
    git.run(&["clone", "-q", &outside.git_url("x", &bot.secret), "no"]).fails_with("not found");
    let feed = forge.root().get(&below.path("/events?per_page=100")).expect(200).json();
    let pushed =
        feed.as_array().unwrap().iter().find(|event| event["access_token_id"] == bot.token_id).unwrap();
    assert_eq!(pushed["author_username"], format!("group_{}_bot", group.id));
    // Main is protected: the role counts, as everywhere.
    git.run_in("work", &["push", "-q", "origin", "topic:main"]).fails_with("pre-receive hook declined");

    let images = forge.registry(&bot.secret);
    let scope = |path: &str| format!("repository:{path}:pull,push,delete");
    assert_eq!(images.granted(&scope(&below.full_path)), ["pull", "push"]);
    assert_eq!(images.granted(&scope(&outside.full_path)), [""; 0]);
    let image = images.repository(&below.full_path);
    image.push_image("latest", "an image");
    assert_eq!(image.tags(), ["latest"]);
    let hidden = images.repository(&outside.full_path);
    hidden.get("/tags/list").expect(401);

    // A bearer that is out already is worth nothing without the token behind it.
    let bearer = images.with_bearer(&images.bearer(&[&scope(&below.full_path)]));
    revoke(forge.root(), &group, &bot).expect(204);
    bearer.repository(&below.full_path).get("/tags/list").expect(401);
    git.run_in("work", &["fetch"]).fails_with("HTTP Basic: Access denied.");
    let authorization = basic("any", &bot.secret);
    let headers = [("authorization", authorization.as_str())];
    forge.anyone().send("GET", "/jwt/auth?service=container_registry", &headers, b"").expect(401);
}

#[test]
fn revocation_ends_the_bot_and_hands_its_records_to_the_ghost_user() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let project = forge.project_in(&group, "private");
    let owner = member(&forge, &group, 50);
    let (bot, other) = (forge.group_token(&group, &["api"], 40), forge.group_token(&group, &["api"], 40));
    bot.issue(project.id, "by the bot");
    revoke(&owner, &group, &bot).expect(204);
    bot.get("/user").expect(401);
    bot.get(&project.path("")).expect(401);
    owner.get(&group.path(&format!("/members/{}", bot.user_id))).expect(404);
    owner.get(&project.path(&format!("/members/all/{}", bot.user_id))).expect(404);
    assert_eq!(forge.root().get(&format!("/users/{}", bot.user_id)).expect(200).json()["state"], "blocked");
    other.get(&project.path("")).expect(200);

    forge.run_jobs();
    forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);
    owner.get(&path_of(&group, &bot)).expect(404);
    let issue = owner.get(&project.path("/issues/1")).expect(200).json();
    assert_eq!(issue["author"]["username"], "ghost");
    // Its name is free again.
    let next = forge.group_token(&group, &["api"], 40);
    assert_eq!(next.get("/user").expect(200).json()["username"], format!("group_{}_bot", group.id));
    // One ends itself, too, and its bot with it.
    next.delete("/personal_access_tokens/self").expect(204);
    next.get("/user").expect(401);
    owner.get(&group.path(&format!("/members/{}", next.user_id))).expect(404);
    let log = forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", group.id));
    assert!(log.expect(200).text.contains("group_access_token_deleted"));
}

#[test]
fn rotation_keeps_the_bot_and_a_dead_secret_ends_the_family() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let owner = member(&forge, &group, 50);
    let first = forge.group_token(&group, &["api"], 30);
    let rotated = owner.post(&format!("{}/rotate", path_of(&group, &first)), json!({})).expect(200).json();
    assert_eq!((&rotated["user_id"], &rotated["access_level"]), (&json!(first.user_id), &json!(30)));
    assert_ne!(rotated["id"], first.token_id);
    first.get("/user").expect(401);
    let second = forge.with_token(&token_secret(&rotated));
    second.get(&group.path("")).expect(200);
    let again = owner.post(&format!("{}/rotate", path_of(&group, &first)), json!({}));
    again.expect_json(400, json!({ "message": "400 Bad request - Token already revoked" }));
    // A person goes through the group, whatever else knows the number.
    let path = format!("/personal_access_tokens/{}/rotate", rotated["id"]);
    forge.root().post(&path, json!({})).expect(400);

    // By itself, through its group and by the address for every token; not through another group.
    let elsewhere = forge.group("elsewhere", "public");
    second.post(&elsewhere.path("/access_tokens/self/rotate"), json!({})).expect(401);
    owner.post(&group.path("/access_tokens/self/rotate"), json!({})).expect(405);
    let third = second.post(&group.path("/access_tokens/self/rotate"), json!({})).expect(200).json();
    let third = forge.with_token(&token_secret(&third));
    assert_eq!(third.get(&group.path("/access_tokens/self")).status, 401, "only Owners list");
    let fourth = third.post("/personal_access_tokens/self/rotate", json!({})).expect(200).json();
    let fourth = forge.with_token(&token_secret(&fourth));
    fourth.get("/user").expect(200);

    // Whoever presents a dead secret has found it somewhere.
    second.post(&group.path("/access_tokens/self/rotate"), json!({})).expect(401);
    fourth.get("/user").expect(401);
    owner.get(&group.path(&format!("/members/{}", first.user_id))).expect(404);
    let log = forge.root().get(&format!("/audit_events?entity_type=Group&entity_id={}", group.id));
    let log = log.expect(200).text;
    assert!(
        log.contains("group_access_token_rotated") && log.contains("access_token_reuse_detected"),
        "{log}"
    );
}

#[test]
fn a_group_token_dies_on_its_date_and_its_bot_is_cleaned_up() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let body = json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1) });
    let (dying, living) = (forge.group_token_with(&group, body), forge.group_token(&group, &["api"], 30));
    forge.clock.advance_days(1);
    let answer = dying.get("/user").expect(401);
    assert!(answer.text.contains("Token is expired"), "{}", answer.text);
    forge.run_recurring_jobs();
    forge.run_jobs();
    forge.root().get(&format!("/users/{}", dying.user_id)).expect(404);
    living.get(&group.path("")).expect(200);
    forge.root().get(&format!("/users/{}", living.user_id)).expect(200);
}

#[test]
fn the_switch_of_the_top_level_group_and_the_plan_forbid_making_and_nothing_else() {
    let forge = forge!();
    let top = forge.group("top", "private");
    let inner = forge.subgroup("inner", "private", Some(top.id));
    let owner = member(&forge, &top, 50);
    let (bot, other) = (forge.group_token(&inner, &["api"], 30), forge.group_token(&top, &["api"], 30));
    let switch = |allowed: bool| {
        let body = json!({ "resource_access_token_creation_allowed": allowed });
        forge.root().put(&top.path(""), body).expect(200);
    };
    switch(false);
    for group in [&top, &inner] {
        for caller in [&owner.caller, forge.root()] {
            let refused = caller.post(&group.path("/access_tokens"), new_token());
            refused.expect_json(400, json!({ "message": NOT_PERMITTED }));
        }
    }
    owner.post(&format!("{}/rotate", path_of(&inner, &bot)), json!({})).expect(401);
    forge.root().post(&format!("{}/rotate", path_of(&inner, &bot)), json!({})).expect(404);
    assert_eq!(ids(&owner, &inner.path("/access_tokens")), [bot.token_id]);
    let next = bot.post(&inner.path("/access_tokens/self/rotate"), json!({})).expect(200).json();
    forge.with_token(&token_secret(&next)).get(&inner.path("")).expect(200);
    revoke(&owner, &top, &other).expect(204);
    switch(true);
    owner.post(&inner.path("/access_tokens"), new_token()).expect(201);

    let saas = forge!(|settings| settings.edition = Edition::Saas);
    let top = saas.group("top", "private");
    let inner = saas.subgroup("inner", "private", Some(top.id));
    for (plan, status) in [("free", 400), ("ultimate_trial", 400), ("premium", 201)] {
        saas.root().put(&top.path(""), json!({ "plan": plan })).expect(200);
        saas.root().post(&inner.path("/access_tokens"), new_token()).expect(status);
    }
}

#[test]
fn the_operators_switch_refuses_group_tokens_too() {
    let before = forge!();
    let group = before.group("tools", "public");
    let bot = before.group_token(&group, &["api"], 40);
    let settings = before.forge.settings().clone();
    let after = forge!(|changed| {
        changed.data = settings.data;
        changed.database_url = settings.database_url;
        changed.project_access_tokens = false;
    });
    after.with_token(&bot.secret).get("/user").expect(401);
    after.with_token(&bot.secret).get(&group.path("")).expect(401);
    after.root().post(&group.path("/access_tokens"), new_token()).expect(400);
    assert_eq!(ids(after.root(), &group.path("/access_tokens")), [bot.token_id]);
    revoke(after.root(), &group, &bot).expect(204);
}

#[test]
fn a_groups_bot_is_a_member_that_nobody_changes_and_no_owner_that_counts() {
    let forge = forge!();
    let seats = || forge.root().get("/application/statistics").expect(200).json()["billable_users"].clone();
    let ann = forge.person("ann");
    let made = ann.post("/groups", json!({ "name": "tools", "path": "tools" })).expect(201).json();
    let group = Group { id: made["id"].as_i64().unwrap(), full_path: "tools".to_owned() };
    let project = forge.project_in(&group, "private");
    let before = seats();
    let bot = forge.group_token(&group, &["api"], 50);
    assert_eq!(seats(), before);

    let one = group.path(&format!("/members/{}", bot.user_id));
    let shown = ann.get(&one).expect(200).json();
    assert_eq!((&shown["access_level"], &shown["is_using_seat"]), (&json!(50), &json!(false)));
    ann.get(&project.path(&format!("/members/{}", bot.user_id))).expect(404);
    let inherited = project.path(&format!("/members/all/{}", bot.user_id));
    assert_eq!(ann.get(&inherited).expect(200).json()["access_level"], 50);
    for caller in [&ann.caller, forge.root()] {
        caller.put(&one, json!({ "access_level": 10 })).expect(403);
        caller.delete(&one).expect(403);
        caller.delete(&format!("/users/{}", bot.user_id)).expect(403);
    }
    // It joins nothing else, not even what is below its group.
    let body = json!({ "user_id": bot.user_id, "access_level": 10 });
    let other = forge.group("other", "private");
    for path in [project.path("/members"), other.path("/members")] {
        forge.root().post(&path, body.clone()).expect(400);
    }
    // A group whose only other Owner is a bot keeps its last person.
    ann.delete(&group.path(&format!("/members/{}", ann.id))).expect(403);
    ann.put(&group.path(&format!("/members/{}", ann.id)), json!({ "access_level": 10 })).expect(403);

    // Its name is kept from who cannot see the group, and nobody takes it.
    let stranger = forge.person("stranger");
    let path = format!("/users?username=group_{}_bot", group.id);
    assert_eq!(stranger.get(&path).expect(200).json()[0]["name"], "****");
    assert_eq!(ann.get(&path).expect(200).json()[0]["name"], "ci");
    assert_eq!(stranger.get("/users?search=ci").expect(200).json(), json!([]));
    let body = json!({ "username": "group_1_bot7", "name": "x", "email": "x@example.com" });
    forge.root().post("/users", body).expect(400);
    // Nobody acts as it.
    let sudo = format!("/user?sudo={}", bot.user_id);
    forge.root().get(&sudo).expect(404);
}

#[test]
fn a_deleted_group_takes_its_bots_with_it() {
    let forge = forge!();
    let top = forge.group("top", "public");
    let inner = forge.subgroup("inner", "public", Some(top.id));
    let beside = forge.group("beside", "public");
    let (of_top, of_inner) = (forge.group_token(&top, &["api"], 50), forge.group_token(&inner, &["api"], 50));
    let (of_beside, public) = (forge.group_token(&beside, &["api"], 50), forge.project("public"));
    forge.root().delete(&top.path("")).expect(202);
    for bot in [&of_top, &of_inner] {
        bot.get("/user").expect(401);
        bot.get(&public.path("")).expect(401);
    }
    of_beside.get("/user").expect(200);
    forge.run_jobs();
    for bot in [&of_top, &of_inner] {
        forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);
        bot.get("/user").expect(401);
    }
    forge.root().post(&top.path("/access_tokens"), new_token()).expect(404);
}
