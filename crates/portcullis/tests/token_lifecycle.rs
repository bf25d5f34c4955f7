//! How project access tokens end and are replaced: revocation, expiry, rotation, reuse of a dead secret, and what becomes
//! of the bot and its records. Numbers are those of the assertions in the behavioural contract.

use std::time::{Duration, Instant};

use portcullis_testkit::{Answer, Bot, Caller, Git, Project, TestForge, forge, token_secret};
use serde_json::{Value, json};

const UNAUTHORIZED: &str = r#"{"message":"401 Unauthorized"}"#;

fn path_of(project: &Project<'_>, bot: &Bot) -> String {
    project.path(&format!("/access_tokens/{}", bot.token_id))
}

fn revoke(caller: &Caller, project: &Project<'_>, bot: &Bot) -> Answer {
    caller.delete(&path_of(project, bot))
}

fn rotate(caller: &Caller, project: &Project<'_>, id: impl std::fmt::Display, body: Value) -> Answer {
    caller.post(&project.path(&format!("/access_tokens/{id}/rotate")), body)
}

/// Returns the caller that holds the secret of a rotation's answer.
#[track_caller]
fn successor(forge: &TestForge, answer: Answer) -> Caller {
    forge.with_token(&token_secret(&answer.expect(200).json()))
}

#[test]
fn a40_revocation_closes_every_door_at_once_and_hands_all_records_to_the_ghost_user() {
    let forge = forge!();
    let (project, git) = (forge.project("private"), Git::default());
    let maintainer = project.member(40);
    let bot = project.token(&["api", "write_repository"], 40);
    // Records of every kind.
    bot.issue(project.id, "by the bot");
    maintainer.issue(project.id, "by a person");
    bot.post(&project.path("/issues/2/notes"), json!({ "body": "a comment" })).expect(201);
    bot.put(&project.path("/issues/2"), json!({ "description": "edited", "state_event": "close" }))
        .expect(200);
    maintainer.put(&project.path("/issues/2"), json!({ "assignee_id": bot.user_id })).expect(200);
    project.clone_with(&git, &bot.secret, "work");
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q"]).works();

    assert_eq!(revoke(&maintainer, &project, &bot).expect(204).text, "");
    // At once: the doors, the membership, the user.
    bot.get("/user").expect(401);
    git.run_in("work", &["fetch"]).fails_with("HTTP Basic: Access denied.");
    maintainer.get(&project.path(&format!("/members/{}", bot.user_id))).expect(404);
    assert_eq!(forge.root().get(&format!("/users/{}", bot.user_id)).expect(200).json()["state"], "blocked");

    forge.run_jobs();
    forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);
    assert_eq!(forge.root().get(&format!("/users?username=project_{}_bot", project.id)).json(), json!([]));
    maintainer.get(&path_of(&project, &bot)).expect(404);
    let issue = |number: i64| maintainer.get(&project.path(&format!("/issues/{number}"))).expect(200).json();
    assert_eq!(
        (&issue(1)["author"]["username"], &issue(1)["author"]["name"]),
        (&json!("ghost"), &json!("Ghost User"))
    );
    assert_eq!((&issue(2)["closed_by"]["username"], &issue(2)["assignees"]), (&json!("ghost"), &json!([])));
    assert_eq!(issue(2)["author"]["id"], maintainer.id);
    // The comment and the note that says it was closed.
    let notes = maintainer.get(&project.path("/issues/2/notes")).expect(200).json();
    let authors: Vec<_> =
        notes.as_array().unwrap().iter().map(|note| note["author"]["username"].as_str().unwrap()).collect();
    assert_eq!(authors, ["ghost", "ghost"]);
    let events = maintainer.get(&project.path("/events?per_page=100")).expect(200).json();
    let by_ghost: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["author_username"] == "ghost")
        .map(|event| event["action_name"].as_str().unwrap())
        .collect();
    for action in ["pushed to", "closed", "commented on", "opened", "joined"] {
        assert!(by_ghost.contains(&action), "{action} in {by_ghost:?}");
    }
    let log = forge.root().get("/audit_events?per_page=100").expect(200);
    assert!(
        !log.json().as_array().unwrap().iter().any(|event| event["author_id"] == bot.user_id),
        "{}",
        log.text
    );
    // The id of the credential stays readable for ever.
    assert!(events.as_array().unwrap().iter().any(|event| event["access_token_id"] == bot.token_id));
}

#[test]
fn a40_the_bot_is_gone_soon_without_anybody_asking() {
    let forge = forge!();
    let _workers = forge.start_workers();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    bot.issue(project.id, "x");
    revoke(forge.root(), &project, &bot).expect(204);
    let begun = Instant::now();
    while forge.root().get(&format!("/users/{}", bot.user_id)).status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the bot is still there");
        std::thread::yield_now();
    }
    assert_eq!(forge.root().get(&project.path("/issues/1")).json()["author"]["username"], "ghost");
}

#[test]
fn a41_a_developer_does_not_revoke_and_is_told_who_cannot_delete_whom() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token_with(json!({ "name": "the deployer", "scopes": ["api"] }));
    let developer = project.member(30);
    let message = format!("400 Bad request - {} Person cannot delete the deployer", developer.username);
    revoke(&developer, &project, &bot).expect_json(400, json!({ "message": message }));
    bot.get("/user").expect(200);
    // Nor does a visitor of a public project, or somebody unknown.
    let public = forge.project("public");
    let other = public.token(&["api"], 40);
    revoke(&forge.person("visitor"), &public, &other).expect(400);
    revoke(&forge.anyone(), &public, &other).expect(401);
    other.get("/user").expect(200);
}

#[test]
fn a42_an_unknown_token_and_one_of_another_project_are_not_found_before_permission_is_asked() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let foreign = other.token(&["api"], 40);
    let not_found = json!({ "message": "404 project Access Token Not Found" });
    for caller in [forge.root(), &project.member(40).caller, &project.member(30).caller] {
        revoke(caller, &project, &foreign).expect_json(404, not_found.clone());
        caller.delete(&project.path("/access_tokens/999999")).expect_json(404, not_found.clone());
        caller.delete(&project.path("/access_tokens/x")).expect_json(404, not_found.clone());
    }
    foreign.get("/user").expect(200);
}

#[test]
fn a43_a_maintainer_bot_revokes_another_and_itself_and_a_lesser_one_does_not() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, other, weak) =
        (project.token(&["api"], 40), project.token(&["api"], 50), project.token(&["api"], 30));
    let reader = project.token(&["read_api"], 40);
    revoke(&weak, &project, &other).expect(400);
    revoke(&reader, &project, &other).expect(403);
    revoke(&bot, &project, &other).expect(204);
    other.get("/user").expect(401);
    revoke(&bot, &project, &bot).expect(204);
    bot.get("/user").expect(401);
}

#[test]
fn a44_with_the_switch_off_tokens_are_used_revoked_and_rotate_themselves() {
    let forge = forge!();
    let project = forge.project("private");
    let (maintainer, bot, other) =
        (project.member(40), project.token(&["api"], 40), project.token(&["api"], 40));
    let group = format!("/groups/{}", project.group.id);
    forge.root().put(&group, json!({ "resource_access_token_creation_allowed": false })).expect(200);
    bot.get(&project.path("")).expect(200);
    assert_eq!(
        maintainer.get(&project.path("/access_tokens")).expect(200).json().as_array().unwrap().len(),
        2
    );
    // A person's rotation stops; administrators are answered as if there were no such token.
    assert_eq!(rotate(&maintainer, &project, other.token_id, json!({})).expect(401).text, UNAUTHORIZED);
    rotate(forge.root(), &project, other.token_id, json!({})).expect(404);
    let bot = successor(&forge, rotate(&bot, &project, "self", json!({})));
    bot.get(&project.path("")).expect(200);
    revoke(&maintainer, &project, &other).expect(204);
    other.get("/user").expect(401);
}

#[test]
fn a45_a_deleted_project_takes_its_bots_with_it() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, deleter) = (project.token(&["api"], 40), project.token(&["api"], 50));
    bot.issue(project.id, "x");
    // A bot that is Owner may delete its project.
    deleter.delete(&project.path("")).expect(202);
    for dead in [&bot, &deleter] {
        let answer = dead.get("/user").expect(401).json();
        assert!(answer["error_description"].as_str().unwrap().starts_with("Token was revoked."), "{answer}");
    }
    forge.run_jobs();
    for dead in [&bot, &deleter] {
        forge.root().get(&format!("/users/{}", dead.user_id)).expect(404);
        dead.get("/user").expect(401);
    }
    // What they did elsewhere, here in the log of the instance, is the Ghost User's now.
    let ghost = forge.root().get("/users?username=ghost").json()[0]["id"].clone();
    let log = forge.root().get("/audit_events?entity_type=Project").expect(200).json();
    assert_eq!((&log[0]["event_name"], &log[0]["author_id"]), (&json!("project_deleted"), &ghost));
    assert_eq!(log[0]["details"]["access_token_id"], deleter.token_id);

    // The same through a group.
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    forge.root().delete(&format!("/groups/{}", project.group.id)).expect(202);
    bot.get("/user").expect(401);
    forge.run_jobs();
    forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);
}

#[test]
fn a46_commits_keep_what_their_author_wrote_into_them() {
    let forge = forge!();
    let (project, git) = (forge.project("private"), Git::default());
    let bot = project.token(&["write_repository"], 40);
    project.clone_with(&git, &bot.secret, "work");
    git.run_in("work", &["config", "user.name", "The Bot"]).works();
    git.commit("work", "a.txt", "a\n");
    let written = git.run_in("work", &["log", "-1", "--format=%H %an %ae %cn"]).works();
    git.run_in("work", &["push", "-q"]).works();
    revoke(forge.root(), &project, &bot).expect(204);
    forge.run_jobs();
    project.clone_with(&git, &project.token(&["read_repository"], 40).secret, "later");
    assert_eq!(git.run_in("later", &["log", "-1", "--format=%H %an %ae %cn"]).works(), written);
}

#[test]
fn a47_rotation_gives_the_same_bot_a_new_secret_and_ends_the_old_one() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token_with(json!({
        "name": "ci", "description": "d", "scopes": ["api", "read_registry"], "access_level": 30, "expires_at": forge.clock.date(3),
    }));
    let answer = rotate(&project.member(40), &project, bot.token_id, json!({})).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let new = answer.json();
    assert!(new["id"] != bot.token_id && token_secret(&new) != bot.secret);
    for (key, value) in [
        ("user_id", json!(bot.user_id)),
        ("name", json!("ci")),
        ("description", json!("d")),
        ("scopes", json!(["api", "read_registry"])),
        ("access_level", json!(30)),
        ("expires_at", Value::Null),
        ("revoked", json!(false)),
    ] {
        assert_eq!(new[key], value, "{key}");
    }
    let refused = bot.get("/user").expect(401).json();
    assert!(refused["error_description"].as_str().unwrap().starts_with("Token was revoked."));
    forge.with_token(&token_secret(&new)).get("/user").expect(200);
    // Nothing is ended but the secret, and both tokens are listed.
    forge.run_jobs();
    forge.root().get(&project.path(&format!("/members/{}", bot.user_id))).expect(200);
    let tokens = forge.root().get(&project.path("/access_tokens")).json();
    assert_eq!((&tokens[0]["revoked"], &tokens[1]["revoked"]), (&json!(true), &json!(false)));
    // An Owner may too, and a date may be asked for.
    let later =
        rotate(&project.member(50), &project, &new["id"], json!({ "expires_at": forge.clock.date(90) }))
            .expect(200)
            .json();
    assert_eq!(later["expires_at"], forge.clock.date(90));
    rotate(forge.root(), &project, &later["id"], json!({ "expires_at": forge.clock.date(-1) })).expect(400);
    rotate(forge.root(), &project, &later["id"], json!({ "expires_at": "soon" }))
        .expect_json(400, json!({ "error": "expires_at is invalid" }));
    forge.with_token(&token_secret(&later)).get("/user").expect(200);
}

#[test]
fn a47_a_rotated_token_lives_a_week_where_dates_are_required() {
    let forge = forge!(|settings| settings.require_token_expiry = true);
    let project = forge.project("private");
    let bot =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(100) }));
    let new = rotate(forge.root(), &project, bot.token_id, json!({})).expect(200).json();
    assert_eq!(new["expires_at"], forge.clock.date(7));
}

#[test]
fn a48_who_may_not_rotate_is_not_told_what_exists() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let (bot, foreign) = (project.token(&["api"], 40), other.token(&["api"], 40));
    let (maintainer, developer) = (project.member(40), project.member(30));
    assert_eq!(rotate(&developer, &project, bot.token_id, json!({})).expect(401).text, UNAUTHORIZED);
    assert_eq!(
        rotate(&project.token(&["api"], 50), &project, bot.token_id, json!({})).expect(401).text,
        UNAUTHORIZED
    );
    for id in [foreign.token_id, 999_999] {
        assert_eq!(rotate(&maintainer, &project, id, json!({})).expect(401).text, UNAUTHORIZED);
        let missing = rotate(forge.root(), &project, id, json!({}));
        missing.expect_json(404, json!({ "message": "404 project Access Token Not Found" }));
    }
    bot.get("/user").expect(200);
    foreign.get("/user").expect(200);
}

#[test]
fn a48_nobody_rotates_a_token_above_their_own_level() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    let message = "400 Bad request - Not eligible to rotate tokens with permissions not held by the user";
    rotate(&project.member(40), &project, bot.token_id, json!({}))
        .expect_json(400, json!({ "message": message }));
    bot.get("/user").expect(200);
    rotate(&project.member(50), &project, bot.token_id, json!({})).expect(200);
}

#[test]
fn a49_a_revoked_token_is_not_rotated_and_an_expired_one_is_by_a_person() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let child = successor(&forge, rotate(forge.root(), &project, bot.token_id, json!({})));
    let already = json!({ "message": "400 Bad request - Token already revoked" });
    // Naming a dead token with a good credential is a mistake, not a leak: its family lives on.
    rotate(forge.root(), &project, bot.token_id, json!({})).expect_json(400, already.clone());
    child.get("/user").expect(200);
    let ended = project.token(&["api"], 40);
    revoke(forge.root(), &project, &ended).expect(204);
    rotate(forge.root(), &project, ended.token_id, json!({})).expect_json(400, already);

    let expired =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1) }));
    forge.clock.advance_days(2);
    rotate(&expired, &project, "self", json!({})).expect(401);
    successor(&forge, rotate(forge.root(), &project, expired.token_id, json!({}))).get("/user").expect(200);
}

/// Row by row: who may replace the presented token through a project, and how the others are answered.
#[test]
fn a50_self_rotation_answers_each_credential_in_its_own_way() {
    let forge = forge!();
    let project = forge.project("private");
    let own = |caller: &Caller, project: &Project<'_>| rotate(caller, project, "self", json!({}));
    for scopes in [&["api"][..], &["self_rotate"], &["read_api", "self_rotate"]] {
        let bot = project.token(scopes, 10);
        let new = own(&bot, &project).expect(200).json();
        assert_eq!((&new["user_id"], &new["scopes"]), (&json!(bot.user_id), &json!(scopes)));
        bot.get("/personal_access_tokens/self").expect(401);
        forge.with_token(&token_secret(&new)).get("/personal_access_tokens/self").expect(200);
    }
    for scope in ["read_api", "read_repository", "write_repository", "read_registry", "write_registry"] {
        let refused = own(&project.token(&[scope], 50), &project).expect(403).json();
        assert_eq!(
            (&refused["error"], &refused["scope"]),
            (&json!("insufficient_scope"), &json!("api self_rotate"))
        );
    }
    // A person's, even an administrator's.
    let member = project.member(50);
    for caller in [
        &member.caller,
        forge.root(),
        &forge.with_token(&forge.personal_token(&member.username, &["self_rotate"])),
    ] {
        own(caller, &project).expect_json(405, json!({ "message": "405 Method Not Allowed" }));
    }
    own(&forge.with_token(&forge.personal_token(&member.username, &["read_api"])), &project).expect(403);
    own(&forge.person("stranger"), &project).expect(404);
    // Of nobody, dead, or none at all.
    assert_eq!(own(&forge.with_token("pcp_nothing"), &project).expect(401).text, UNAUTHORIZED);
    assert_eq!(own(&forge.anyone(), &project).expect(401).text, UNAUTHORIZED);
    let (revoked, expired) = (
        project.token(&["api"], 40),
        project.token_with(json!({ "name": "e", "scopes": ["api"], "expires_at": forge.clock.date(1) })),
    );
    revoke(forge.root(), &project, &revoked).expect(204);
    own(&revoked, &project).expect(401);
    // Of another project.
    let (private, internal, public) =
        (forge.project("private"), forge.project("internal"), forge.project("public"));
    let foreign = private.token(&["api"], 50);
    own(&foreign, &project).expect(404);
    // Internal projects are hidden from bots here, so they answer as private ones do.
    own(&foreign, &internal).expect(404);
    assert_eq!(own(&foreign, &public).expect(401).text, UNAUTHORIZED);
    foreign.get("/user").expect(200);
    forge.clock.advance_days(1);
    own(&expired, &project).expect(401);
    // Without a project in the path it is the same token.
    let bot = project.token(&["self_rotate"], 10);
    let new = bot
        .post("/personal_access_tokens/self/rotate", json!({ "expires_at": forge.clock.date(5) }))
        .expect(200)
        .json();
    assert_eq!((&new["user_id"], &new["expires_at"]), (&json!(bot.user_id), &json!(forge.clock.date(5))));
    project.token(&["read_api"], 10).post("/personal_access_tokens/self/rotate", json!({})).expect(403);
}

/// A secret that was replaced turns up again, to be replaced: it has leaked, and all that came of it ends.
#[test]
fn a51_rotating_with_a_dead_secret_ends_its_family() {
    let forge = forge!();
    let project = forge.project("private");
    for path in [
        project.path("/access_tokens/self/rotate"),
        project.path("/access_tokens/1/rotate"),
        "/personal_access_tokens/self/rotate".to_owned(),
    ] {
        let first = project.token(&["api"], 40);
        let second = successor(&forge, rotate(&first, &project, "self", json!({})));
        let third = successor(&forge, rotate(&second, &project, "self", json!({})));
        // Anywhere else it only fails.
        first.get("/user").expect(401);
        first.post(&project.path("/access_tokens"), json!({})).expect(401);
        third.get("/user").expect(200);
        let refused = first.post(&path, json!({})).expect(401).json();
        assert!(
            refused["error_description"].as_str().unwrap().starts_with("Token was revoked."),
            "{refused}"
        );
        third.get("/user").expect(401);
        let log = forge.root().get(&project.path("/audit_events?per_page=1")).json();
        assert_eq!(
            (&log[0]["event_name"], &log[0]["details"]["token_id"]),
            (&json!("access_token_reuse_detected"), &json!(first.token_id))
        );
        assert_eq!(
            (&log[0]["details"]["revoked_descendants"], &log[0]["details"]["ip_address"]),
            (&json!(1), &json!("127.0.0.1"))
        );
        // Its bot goes the way of every other.
        forge.run_jobs();
        forge.root().get(&format!("/users/{}", first.user_id)).expect(404);
    }
}

/// What is both expired and revoked is reported as expired, and says nothing about a leak.
#[test]
fn a51_an_expired_ancestor_ends_nobody() {
    let forge = forge!();
    let project = forge.project("private");
    let first =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1) }));
    let second = successor(&forge, rotate(&first, &project, "self", json!({})));
    forge.clock.advance_days(1);
    let refused = rotate(&first, &project, "self", json!({})).expect(401).json();
    assert!(refused["error_description"].as_str().unwrap().starts_with("Token is expired."), "{refused}");
    second.get("/user").expect(200);
}

#[test]
fn a52_a_date_beyond_the_longest_life_is_refused() {
    let forge = forge!(|settings| settings.max_token_lifetime_days = Some(30));
    let project = forge.project("private");
    let bot =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(30) }));
    let message = format!("400 Bad request - Expires at must be before {}", forge.clock.date(31));
    let too_late = json!({ "expires_at": forge.clock.date(31) });
    rotate(forge.root(), &project, bot.token_id, too_late.clone())
        .expect_json(400, json!({ "message": message }));
    rotate(&bot, &project, "self", too_late.clone()).expect_json(400, json!({ "message": message }));
    bot.post("/personal_access_tokens/self/rotate", too_late).expect_json(400, json!({ "message": message }));
    // Nothing was revoked on the way.
    bot.get("/user").expect(200);
    let body = json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(31) });
    forge.root().post(&project.path("/access_tokens"), body).expect_json(400, json!({ "message": message }));
    let new = rotate(&bot, &project, "self", json!({})).expect(200).json();
    assert_eq!(new["expires_at"], forge.clock.date(7));
}

#[test]
fn a_revoked_token_is_revoked_again_in_peace_while_its_bot_is_there() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    revoke(forge.root(), &project, &bot).expect(204);
    let token = forge.root().get(&path_of(&project, &bot)).expect(200).json();
    assert_eq!((&token["revoked"], &token["active"]), (&json!(true), &json!(false)));
    revoke(forge.root(), &project, &bot).expect(204);
    forge.run_jobs();
    revoke(forge.root(), &project, &bot).expect(404);
}

#[test]
fn revoking_a_replaced_token_leaves_its_successor_alone() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let child = successor(&forge, rotate(forge.root(), &project, bot.token_id, json!({})));
    revoke(forge.root(), &project, &bot).expect(204);
    forge.run_jobs();
    child.get("/user").expect(200);
    forge.root().get(&project.path(&format!("/members/{}", bot.user_id))).expect(200);
}

/// The same clean-up runs whoever ends the token, and on whichever path.
#[test]
fn every_way_to_end_a_token_ends_its_bot() {
    let forge = forge!();
    let project = forge.project("private");
    let bots: Vec<_> = (0..4).map(|_| project.token(&["api"], 40)).collect();
    bots[0].delete("/personal_access_tokens/self").expect(204);
    bots[1].delete(&format!("/personal_access_tokens/{}", bots[1].token_id)).expect(204);
    forge.root().delete(&format!("/personal_access_tokens/{}", bots[2].token_id)).expect(204);
    revoke(forge.root(), &project, &bots[3]).expect(204);
    for bot in &bots {
        bot.get("/user").expect(401);
        forge.root().get(&project.path(&format!("/members/{}", bot.user_id))).expect(404);
    }
    forge.run_jobs();
    for bot in &bots {
        forge.root().get(&format!("/users/{}", bot.user_id)).expect(404);
    }
    let log = forge.root().get(&project.path("/audit_events?per_page=4")).json();
    for (event, bot) in log.as_array().unwrap().iter().rev().zip(&bots) {
        assert_eq!(event["event_name"], "project_access_token_deleted");
        let details = &event["details"];
        assert_eq!((&details["token_id"], &details["user_id"]), (&json!(bot.token_id), &json!(bot.user_id)));
        assert_eq!(details["entity_path"], project.full_path);
    }
}

/// Rotations and revocations stand in the log of whom the token belongs to, whoever did it.
#[test]
fn the_audit_log_tells_whose_token_was_replaced_or_revoked_and_by_whom() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let by_itself = bot.post("/personal_access_tokens/self/rotate", json!({})).expect(200).json();
    let by_person = rotate(forge.root(), &project, &by_itself["id"], json!({})).expect(200).json();
    let log = forge.root().get(&project.path("/audit_events?per_page=2")).json();
    for (event, new, old, author) in [
        (&log[1], &by_itself["id"], &json!(bot.token_id), bot.user_id),
        (
            &log[0],
            &by_person["id"],
            &by_itself["id"],
            forge.root().get("/user").json()["id"].as_i64().unwrap(),
        ),
    ] {
        assert_eq!(
            (&event["event_name"], &event["author_id"]),
            (&json!("project_access_token_rotated"), &json!(author))
        );
        let details = &event["details"];
        assert_eq!((&details["token_id"], &details["previous_token_id"]), (new, old));
        assert_eq!(details["entity_path"], project.full_path);
    }

    let alice = forge.person("alice");
    let own = alice.get("/personal_access_tokens/self").json()["id"].clone();
    let new =
        forge.root().post(&format!("/personal_access_tokens/{own}/rotate"), json!({})).expect(200).json();
    forge.root().delete(&format!("/personal_access_tokens/{}", new["id"])).expect(204);
    let log = forge.root().get(&format!("/audit_events?entity_type=User&entity_id={}", alice.id)).json();
    for (event, name) in
        [(&log[0], "personal_access_token_revoked"), (&log[1], "personal_access_token_rotated")]
    {
        assert_eq!((&event["event_name"], &event["details"]["entity_path"]), (&json!(name), &json!("alice")));
        assert_eq!(
            (&event["details"]["author_name"], &event["details"]["token_id"]),
            (&json!("Administrator"), &new["id"])
        );
    }
}

#[test]
fn an_expired_tokens_bot_is_cleaned_up_and_a_living_ones_is_not() {
    let forge = forge!();
    let project = forge.project("private");
    let dated = |days: i64| {
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(days) }))
    };
    let (expired, living, renewed) = (dated(1), dated(9), dated(1));
    expired.issue(project.id, "x");
    let renewed_secret = successor(&forge, rotate(&renewed, &project, "self", json!({})));
    forge.clock.advance_days(1);
    // Its membership lasts until the job; the token does not.
    expired.get("/user").expect(401);
    forge.run_recurring_jobs();
    forge.root().get(&format!("/users/{}", expired.user_id)).expect(404);
    assert_eq!(forge.root().get(&project.path("/issues/1")).json()["author"]["username"], "ghost");
    for caller in [&living.caller, &renewed_secret] {
        caller.get("/user").expect(200);
    }
    let refused = expired.get("/user").expect(401).json();
    assert!(refused["error_description"].as_str().unwrap().starts_with("Token is expired."), "{refused}");
    assert_eq!(forge.root().get(&project.path("/members")).json().as_array().unwrap().len(), 2);
}

#[test]
fn the_operator_may_keep_the_bots_of_expired_tokens_for_a_while() {
    let forge = forge!(|settings| settings.inactive_token_retention_days = 30);
    let project = forge.project("private");
    let bot =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1) }));
    forge.clock.advance_days(30);
    forge.run_recurring_jobs();
    assert_eq!(forge.root().get(&path_of(&project, &bot)).expect(200).json()["active"], false);
    forge.clock.advance_days(1);
    forge.run_recurring_jobs();
    forge.root().get(&path_of(&project, &bot)).expect(404);
    // What is revoked is cleaned up at once all the same.
    let other = project.token(&["api"], 40);
    revoke(forge.root(), &project, &other).expect(204);
    forge.run_jobs();
    forge.root().get(&path_of(&project, &other)).expect(404);
}

/// Personal access tokens: one's own, and anybody's for an administrator.
#[test]
fn personal_access_tokens_are_listed_shown_rotated_and_revoked_by_their_person_and_by_administrators() {
    let forge = forge!();
    let (alice, bob) = (forge.person("alice"), forge.person("bob"));
    let tokens = |user: i64| format!("/users/{user}/personal_access_tokens");
    let body =
        json!({ "name": "cli", "scopes": ["read_user", "self_rotate"], "expires_at": forge.clock.date(5) });
    let made = forge.root().post(&tokens(alice.id), body.clone()).expect(201).json();
    assert!(token_secret(&made).starts_with("pcu_"));
    assert_eq!((&made["user_id"], &made["scopes"]), (&json!(alice.id), &json!(["read_user", "self_rotate"])));
    // Only an administrator makes one, and only for people.
    alice.post(&tokens(alice.id), body.clone()).expect_json(403, json!({ "message": "403 Forbidden" }));
    forge
        .root()
        .post(&tokens(999_999), body.clone())
        .expect_json(404, json!({ "message": "404 User Not Found" }));
    forge
        .root()
        .post(&tokens(alice.id), json!({}))
        .expect_json(400, json!({ "error": "name is missing, scopes is missing" }));
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    forge.root().post(&tokens(bot.user_id), body).expect(400);

    let ids = |caller: &Caller, query: &str| -> Vec<i64> {
        let list = caller.get(&format!("/personal_access_tokens?{query}")).expect(200);
        assert!(!list.text.contains("\"token\""));
        list.json().as_array().unwrap().iter().map(|token| token["id"].as_i64().unwrap()).collect()
    };
    let id = made["id"].as_i64().unwrap();
    assert_eq!(ids(&alice, "").len(), 2);
    assert_eq!(ids(&alice, "search=cli"), [id]);
    assert_eq!(ids(&alice, &format!("user_id={}", alice.id)).len(), 2);
    assert_eq!(ids(&bot, ""), [bot.token_id]);
    assert_eq!(ids(forge.root(), &format!("user_id={}&expires_before=2027-01-01", alice.id)), [id]);
    assert!(ids(forge.root(), "").contains(&bot.token_id));
    bob.get(&format!("/personal_access_tokens?user_id={}", alice.id)).expect(401);
    forge.root().get("/personal_access_tokens?user_id=999999").expect(404);

    let one = format!("/personal_access_tokens/{id}");
    let own = alice.get(&one).expect(200).json();
    assert_eq!((&own["name"], own.get("token"), own.get("access_level")), (&json!("cli"), None, None));
    forge.root().get(&one).expect(200);
    for path in [one.as_str(), "/personal_access_tokens/999999"] {
        assert_eq!(bob.get(path).expect(401).text, UNAUTHORIZED);
        assert_eq!(bob.post(&format!("{path}/rotate"), json!({})).expect(401).text, UNAUTHORIZED);
        // Whether it exists is not told here either, where GitLab tells the two apart.
        bob.delete(path).expect_json(404, json!({ "message": "404 Token Not Found" }));
    }
    forge.root().get("/personal_access_tokens/999999").expect(404);
    forge.root().post("/personal_access_tokens/999999/rotate", json!({})).expect(404);

    let new = alice.post(&format!("{one}/rotate"), json!({})).expect(200).json();
    alice
        .post(&format!("{one}/rotate"), json!({}))
        .expect_json(400, json!({ "message": "400 Bad request - Token already revoked" }));
    let newer = forge
        .root()
        .post(&format!("/personal_access_tokens/{}/rotate", new["id"]), json!({}))
        .expect(200)
        .json();
    let newest = forge
        .with_token(&token_secret(&newer))
        .post("/personal_access_tokens/self/rotate", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        (&newest["user_id"], &newest["scopes"]),
        (&json!(alice.id), &json!(["read_user", "self_rotate"]))
    );
    let newest = forge.with_token(&token_secret(&newest));
    newest.get("/personal_access_tokens/self").expect(200);
    newest.delete("/personal_access_tokens/self").expect(204);
    newest.get("/personal_access_tokens/self").expect(401);
    alice.delete(&one).expect(204);
    forge.root().delete("/personal_access_tokens/999999").expect(404);
    // The person stays, whatever becomes of their tokens.
    forge.run_jobs();
    alice.get("/user").expect(200);
}

/// A bot deals with its own token only, and a project's token is replaced through its project.
#[test]
fn a_bot_sees_and_ends_no_token_but_its_own_through_the_personal_endpoints() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, other) = (project.token(&["api"], 50), project.token(&["api"], 10));
    let path = format!("/personal_access_tokens/{}", other.token_id);
    bot.get(&path).expect(401);
    bot.post(&format!("{path}/rotate"), json!({})).expect(401);
    bot.delete(&path).expect(404);
    bot.get(&format!("/personal_access_tokens?user_id={}", other.user_id)).expect(401);
    assert_eq!(
        bot.get(&format!("/personal_access_tokens/{}", bot.token_id)).expect(200).json()["access_level"],
        50
    );
    forge.root().post(&format!("{path}/rotate"), json!({})).expect(400);
    other.get("/user").expect(200);
    let new =
        successor(&forge, bot.post(&format!("/personal_access_tokens/{}/rotate", bot.token_id), json!({})));
    new.get("/user").expect(200);
    bot.get("/user").expect(401);
}

#[test]
fn associations_are_what_a_token_reaches() {
    let forge = forge!();
    let project = forge.project("private");
    let person = forge.person("someone");
    let body = json!({ "user_id": person.id, "access_level": 30 });
    forge.root().post(&format!("/groups/{}/members", project.group.id), body).expect(201);
    let reach = |query: &str| {
        person.get(&format!("/personal_access_tokens/self/associations{query}")).expect(200).json()
    };
    assert_eq!(reach("")["groups"][0]["access_levels"], 30);
    assert_eq!(reach("")["projects"][0]["access_levels"]["project_access_level"], 30);
    assert_eq!(reach("?min_access_level=40"), json!({ "groups": [], "projects": [] }));
}
