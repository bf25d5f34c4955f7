//! The bot behind each project access token: how it is named, what is told of it and to whom, and that it is a member of
//! its project, nothing else, and never a person. Numbers are those of the assertions in the behavioural contract.

use portcullis_testkit::{Bot, Caller, forge};
use serde_json::{Value, json};

fn user(viewer: &Caller, bot: &Bot) -> Value {
    viewer.get(&format!("/users/{}", bot.user_id)).expect(200).json()
}

#[test]
fn a35_bots_are_numbered_from_the_lowest_free_number_and_called_as_their_tokens() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let named = |name: &str| project.token_with(json!({ "name": name, "scopes": ["api"] }));
    let bots = [named("deploy"), named("renovate"), named("deploy")];
    for (bot, (number, name)) in bots.iter().zip([("", "deploy"), ("1", "renovate"), ("2", "deploy")]) {
        let user = user(forge.root(), bot);
        assert_eq!(
            (&user["username"], &user["name"]),
            (&json!(format!("project_{}_bot{number}", project.id)), &json!(name))
        );
        let member = forge.root().get(&project.path(&format!("/members/{}", bot.user_id))).expect(200).json();
        assert_eq!(member["name"], name);
    }
    assert_eq!(
        user(forge.root(), &other.token(&["api"], 40))["username"],
        format!("project_{}_bot", other.id)
    );
    // A name is free again once its bot is gone, and not before.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bots[1].token_id))).expect(204);
    assert_eq!(user(forge.root(), &named("a"))["username"], format!("project_{}_bot3", project.id));
    forge.run_jobs();
    assert_eq!(user(forge.root(), &named("b"))["username"], format!("project_{}_bot1", project.id));
}

#[test]
fn a36_a_bot_is_a_confirmed_bot_whose_maker_is_known_and_whose_membership_has_the_tokens_level() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = project.member(40);
    let body = json!({ "name": "ci", "scopes": ["api"], "access_level": 20 });
    let made = maintainer.post(&project.path("/access_tokens"), body).expect(201).json();
    let bot = forge.root().get(&format!("/users/{}", made["user_id"])).expect(200).json();
    assert_eq!(
        (&bot["bot"], &bot["state"], &bot["created_by"]),
        (&json!(true), &json!("active"), &json!(maintainer.id))
    );
    assert_eq!(bot["confirmed_at"], "2026-03-02T12:00:00.000Z");
    assert_eq!(
        (&bot["external"], &bot["is_admin"], &bot["using_license_seat"]),
        (&json!(false), &json!(false), &json!(false))
    );
    let member = forge.root().get(&project.path(&format!("/members/{}", made["user_id"]))).expect(200).json();
    assert_eq!((&member["access_level"], &member["expires_at"]), (&json!(20), &Value::Null));
    // In its own words.
    let bot = forge.with_token(made["token"].as_str().unwrap());
    let own = bot.get("/user").expect(200).json();
    for key in [
        "id",
        "username",
        "name",
        "state",
        "avatar_url",
        "web_url",
        "created_at",
        "bot",
        "email",
        "commit_email",
        "public_email",
        "external",
    ] {
        assert!(own.get(key).is_some(), "{key}");
    }
    assert_eq!(
        (own.get("is_admin"), &own["can_create_group"], &own["can_create_project"]),
        (None, &json!(false), &json!(false))
    );
    assert_eq!(own["email"], format!("project_{}_bot@noreply.localhost", project.id));
    let permissions = bot.get(&project.path("")).expect(200).json()["permissions"].clone();
    assert_eq!(
        (&permissions["project_access"]["access_level"], &permissions["group_access"]),
        (&json!(20), &Value::Null)
    );
}

#[test]
fn a37_an_external_person_makes_an_external_bot() {
    let forge = forge!();
    let project = forge.project("private");
    let external = forge.external_person("visitor");
    forge
        .root()
        .post(&project.path("/members"), json!({ "user_id": external.id, "access_level": 40 }))
        .expect(201);
    let made = external
        .post(&project.path("/access_tokens"), json!({ "name": "ci", "scopes": ["api"] }))
        .expect(201)
        .json();
    let bot = format!("/users/{}", made["user_id"]);
    assert_eq!(forge.root().get(&bot).json()["external"], true);
    // Who rotates it decides anew.
    let rotate = project.path(&format!("/access_tokens/{}/rotate", made["id"]));
    let made = project.member(40).post(&rotate, json!({})).expect(200).json();
    assert_eq!(forge.root().get(&bot).json()["external"], false);
    let rotate = project.path(&format!("/access_tokens/{}/rotate", made["id"]));
    external.post(&rotate, json!({})).expect(200);
    assert_eq!(forge.root().get(&bot).json()["external"], true);
}

#[test]
fn a62_a_bot_is_listed_among_the_members_and_neither_changed_nor_removed_there() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let (maintainer, owner) = (project.member(40), project.member(50));
    let member = format!("/members/{}", bot.user_id);
    for path in ["/members", "/members/all"] {
        let members = maintainer.get(&project.path(path)).expect(200).json();
        let found =
            members.as_array().unwrap().iter().find(|member| member["id"] == bot.user_id).unwrap().clone();
        assert_eq!((&found["access_level"], &found["is_using_seat"]), (&json!(40), &json!(false)));
    }
    // Not even by itself.
    for caller in [&maintainer.caller, &owner.caller, forge.root(), &bot.caller] {
        for level in [10, 40, 50] {
            caller.put(&project.path(&member), json!({ "access_level": level })).expect(403);
        }
        caller.delete(&project.path(&member)).expect(403);
    }
    assert_eq!(maintainer.get(&project.path(&member)).expect(200).json()["access_level"], 40);
    bot.get(&project.path("")).expect(200);
}

#[test]
fn a63_a_bot_joins_no_other_project_and_no_group() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let bot = project.token(&["api"], 40);
    let body = json!({ "user_id": bot.user_id, "access_level": 30 });
    let refused =
        json!({ "message": { "user_id": ["project bots cannot be added to other groups / projects"] } });
    let groups =
        [format!("/groups/{}/members", other.group.id), format!("/groups/{}/members", project.group.id)];
    for path in [other.path("/members"), project.path("/members"), groups[0].clone(), groups[1].clone()] {
        forge.root().post(&path, body.clone()).expect_json(400, refused.clone());
    }
    // An invitation is answered 201 all the same, and says who could not be added.
    let username = format!("project_{}_bot", project.id);
    let failed = json!({ "status": "error", "message": { username: "User project bots cannot be added to other groups / projects" } });
    for path in [other.path("/invitations"), format!("/groups/{}/invitations", other.group.id)] {
        forge.root().post(&path, body.clone()).expect_json(201, failed.clone());
    }
    bot.get(&other.path("")).expect(404);
    assert_eq!(
        other
            .member(40)
            .get(&other.path("/members?per_page=100"))
            .expect(200)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(user(forge.root(), &bot)["state"], "active");
}

#[test]
fn a64_a_bot_cannot_sign_in_and_takes_no_seat() {
    let forge = forge!();
    let project = forge.project("private");
    let seats = || forge.root().get("/application/statistics").expect(200).json()["billable_users"].clone();
    let before = seats();
    let bots = [project.token(&["api"], 40), project.token(&["api"], 50)];
    assert_eq!(seats(), before);
    for bot in &bots {
        let username = user(forge.root(), bot)["username"].as_str().unwrap().to_owned();
        for password in ["", "password", &bot.secret] {
            assert!(
                forge
                    .block_on(portcullis_app::people::may_sign_in(&forge.forge, &username, password))
                    .unwrap()
                    .is_none()
            );
        }
    }
    // A person with a password does sign in, and is a seat until blocked.
    let body = json!({ "username": "alice", "name": "Alice", "email": "alice@example.com", "password": "correct horse battery" });
    let alice = forge.root().post("/users", body).expect(201).json();
    assert_eq!(seats().as_i64().unwrap(), before.as_i64().unwrap() + 1);
    let sign_in = |password: &str| {
        forge
            .block_on(portcullis_app::people::may_sign_in(&forge.forge, "alice", password))
            .unwrap()
            .is_some()
    };
    assert!(sign_in("correct horse battery") && !sign_in("wrong"));
    forge.root().post(&format!("/users/{}/block", alice["id"]), json!({})).expect(201);
    assert!(!sign_in("correct horse battery"));
    assert_eq!(seats(), before);
    // Neither is the Ghost User, once a bot's records are its own.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bots[0].token_id))).expect(204);
    forge.run_jobs();
    assert_eq!(seats(), before);
    assert!(
        forge.block_on(portcullis_app::people::may_sign_in(&forge.forge, "ghost", "")).unwrap().is_none()
    );
}

/// A bot's name is its token's, which outsiders have no business with.
#[test]
fn a_bots_name_is_kept_from_who_cannot_see_its_project() {
    let forge = forge!();
    let named = |visibility: &str, name: &str| {
        forge.project(visibility).token_with(json!({ "name": name, "scopes": ["api"] }))
    };
    let (internal, public) = (named("internal", "inner name"), named("public", "open name"));
    let project = forge.project("private");
    let private = project.token_with(json!({ "name": "secret name", "scopes": ["api"] }));
    let (stranger, external, member) =
        (forge.person("stranger"), forge.external_person("visitor"), project.member(10));
    let from_group = forge.person("above");
    let body = json!({ "user_id": from_group.id, "access_level": 10 });
    forge.root().post(&format!("/groups/{}/members", project.group.id), body).expect(201);
    for (viewer, names) in [
        (&stranger.caller, ["****", "inner name", "open name"]),
        (&external.caller, ["****", "****", "open name"]),
        (&member.caller, ["secret name", "inner name", "open name"]),
        (&from_group.caller, ["secret name", "inner name", "open name"]),
        (forge.root(), ["secret name", "inner name", "open name"]),
    ] {
        let listed = viewer.get("/users?per_page=100").expect(200).json();
        for (bot, name) in [&private, &internal, &public].into_iter().zip(names) {
            assert_eq!(user(viewer, bot)["name"], name);
            let found = listed.as_array().unwrap().iter().find(|user| user["id"] == bot.user_id).unwrap();
            assert_eq!(found["name"], name);
        }
        // What cannot be read cannot be searched for.
        let found = viewer.get("/users?search=secret+n").expect(200).json();
        assert_eq!(found.as_array().unwrap().len(), usize::from(names[0] != "****"), "{found}");
    }
    // People's names are nobody's secret, and the total counts each user once.
    assert_eq!(
        stranger.get(&format!("/users/{}", member.id)).json()["name"],
        format!("{} Person", member.username)
    );
    let page = stranger.get("/users?per_page=3&page=2").expect(200);
    let all = stranger.get("/users?per_page=100").expect(200).json().as_array().unwrap().len();
    assert_eq!(
        (page.json().as_array().unwrap().len(), page.header("x-total").unwrap()),
        (3, all.to_string().as_str())
    );
}

#[test]
fn a_bot_sees_the_people_of_its_project_and_nobody_else() {
    let forge = forge!();
    let project = forge.project("private");
    let (member, stranger) = (project.member(30), forge.person("stranger"));
    let bot = project.token(&["api"], 40);
    let other = forge.project("public").token(&["api"], 40);
    bot.get(&format!("/users/{}", member.id)).expect(200);
    for hidden in [stranger.id, other.user_id, 999_999] {
        bot.get(&format!("/users/{hidden}")).expect_json(404, json!({ "message": "404 User Not Found" }));
    }
    assert_eq!(bot.get("/users?search=stranger").json(), json!([]));
}

#[test]
fn a_bot_makes_no_groups_projects_or_people_and_administers_nothing_beyond_its_project() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    let person = forge.person("someone");
    for (path, body) in [
        ("/groups".to_owned(), json!({ "name": "g", "path": "g" })),
        ("/groups".to_owned(), json!({ "name": "g", "path": "g", "parent_id": project.group.id })),
        ("/projects".to_owned(), json!({ "name": "p" })),
        ("/projects".to_owned(), json!({ "name": "p", "namespace_id": project.group.id })),
        ("/users".to_owned(), json!({ "username": "u", "name": "u", "email": "u@example.com" })),
        (format!("/users/{}/block", person.id), json!({})),
        (format!("/users/{}/personal_access_tokens", person.id), json!({ "name": "x", "scopes": ["api"] })),
        (
            format!("/groups/{}/members", project.group.id),
            json!({ "user_id": person.id, "access_level": 10 }),
        ),
    ] {
        let answer = bot.post(&path, body);
        assert_eq!(answer.status, 403, "{path} {}", answer.text);
    }
    bot.put(&format!("/groups/{}", project.group.id), json!({ "name": "x" })).expect(403);
    bot.get("/application/statistics").expect(403);
    bot.get("/audit_events").expect(403);
    // But people of its project, up to its own level.
    bot.post(&project.path("/members"), json!({ "user_id": person.id, "access_level": 50 })).expect(201);
    project.token(&["api"], 40).delete(&project.path(&format!("/members/{}", person.id))).expect(403);
}

#[test]
fn nobody_takes_a_bots_name_or_ends_it_as_a_person() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    for username in [
        format!("project_{}_bot", project.id),
        format!("Project_{}_BOT7", project.id),
        "project_999_bot1".to_owned(),
        "ghost".to_owned(),
    ] {
        let body = json!({ "username": username, "name": "x", "email": "x@example.com" });
        let status = forge.root().post("/users", body).status;
        assert!(matches!(status, 400 | 409), "{username} {status}");
    }
    // Nor a bot's mail address, which would be missing when the bot is made.
    for email in ["project_2_bot9@noreply.localhost", "PROJECT_7_bot@elsewhere.example"] {
        let body = json!({ "username": "plain", "name": "x", "email": email });
        forge
            .root()
            .post("/users", body)
            .expect_json(400, json!({ "message": { "email": ["is a reserved name"] } }));
    }
    let ghost = forge.root().get("/users?username=ghost").expect(200).json()[0]["id"].clone();
    for id in [&json!(bot.user_id), &ghost] {
        forge.root().post(&format!("/users/{id}/block"), json!({})).expect(403);
        forge.root().delete(&format!("/users/{id}")).expect(403);
    }
    bot.get("/user").expect(200);
    // A person who is deleted does not take along the bots they made.
    let maintainer = project.member(40);
    let made = maintainer
        .post(&project.path("/access_tokens"), json!({ "name": "ci", "scopes": ["api"] }))
        .expect(201)
        .json();
    forge.root().delete(&format!("/users/{}", maintainer.id)).expect(204);
    forge.run_jobs();
    forge.with_token(made["token"].as_str().unwrap()).get(&project.path("")).expect(200);
    assert_eq!(forge.root().get(&format!("/users/{}", made["user_id"])).json()["created_by"], ghost);
}
