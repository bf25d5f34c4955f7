//! What a project access token opens: how it is presented, which scope opens what, on the REST API and for Git, and how
//! each refusal reads. Numbers are those of the assertions in the behavioural contract.

use portcullis_testkit::{Answer, Bot, Git, Project, TestForge, basic, forge};
use serde_json::{Value, json};

const UNKNOWN: &str = r#"{"message":"401 Unauthorized"}"#;
const EXPIRED: &str = "Token is expired. You can either do re-authorization or token refresh.";
const REVOKED: &str = "Token was revoked. You have to re-authorize from the user.";

/// A well-formed secret that no token has.
const NOBODYS: &str = "pcp_0000000000000000000000000000003Wu3P2";

fn get(forge: &TestForge, path: &str, headers: &[(&str, &str)]) -> Answer {
    forge.anyone().send("GET", &format!("/api/v4{path}"), headers, b"")
}

fn refs(forge: &TestForge, path: &str, service: &str, authorization: &str) -> Answer {
    let path = format!("/{path}.git/info/refs?service=git-{service}");
    forge.anyone().send("GET", &path, &[("authorization", authorization)], b"")
}

fn refs_with(forge: &TestForge, project: &Project<'_>, service: &str, secret: &str) -> Answer {
    refs(forge, &project.full_path, service, &basic("x", secret))
}

#[track_caller]
fn expect_invalid_token(answer: Answer, description: &str) {
    let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
    assert!(
        challenge.starts_with("Bearer realm=\"") && challenge.contains("error=\"invalid_token\""),
        "{challenge}"
    );
    answer.expect_json(401, json!({ "error": "invalid_token", "error_description": description }));
}

#[track_caller]
fn expect_insufficient_scope(answer: Answer, scopes: &str) {
    assert_eq!(answer.header("www-authenticate"), None);
    answer.expect_json(
        403,
        json!({
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": scopes,
        }),
    );
}

fn revoke(forge: &TestForge, project: &Project<'_>, bot: &Bot) {
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
}

#[test]
fn a01_the_header_authenticates_as_the_bot() {
    let forge = forge!();
    let bot = forge.project("private").token(&["api"], 40);
    let user = get(&forge, "/user", &[("PRIVATE-TOKEN", &bot.secret)]).expect(200).json();
    assert_eq!((&user["bot"], &user["id"]), (&json!(true), &json!(bot.user_id)));
}

#[test]
fn a02_the_parameter_authenticates_in_the_query_and_in_a_form() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    get(&forge, &format!("/user?private_token={}", bot.secret), &[]).expect(200);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("title=from+a+form&private_token={}", bot.secret);
    let path = format!("/api/v4{}", project.path("/issues"));
    let issue = forge.anyone().send("POST", &path, &form, body.as_bytes()).expect(201).json();
    assert_eq!((&issue["title"], &issue["author"]["id"]), (&json!("from a form"), &json!(bot.user_id)));
    let body = format!("title=x&private_token={NOBODYS}");
    assert_eq!(forge.anyone().send("POST", &path, &form, body.as_bytes()).expect(401).text, UNKNOWN);
}

#[test]
fn a03_a_bearer_authenticates() {
    let forge = forge!();
    let bot = forge.project("private").token(&["api"], 40);
    get(&forge, "/user", &[("authorization", &format!("Bearer {}", bot.secret))]).expect(200);
    get(&forge, "/user", &[("authorization", &format!("bearer {}", bot.secret))]).expect(200);
}

#[test]
fn a04_a_bad_token_is_refused_whatever_cookie_comes_with_it() {
    let forge = forge!();
    let project = forge.project("public");
    let good = forge.personal_token("root", &["api"]);
    for cookie in ["_session=abc".to_owned(), format!("_session={good}"), format!("private_token={good}")] {
        for path in ["/user".to_owned(), project.path("")] {
            let answer = get(&forge, &path, &[("PRIVATE-TOKEN", NOBODYS), ("cookie", &cookie)]);
            assert_eq!(answer.expect(401).text, UNKNOWN);
        }
    }
    // A cookie alone is nobody: there are no sessions.
    get(&forge, "/user", &[("cookie", &format!("_session={good}"))]).expect(401);
}

#[test]
fn a05_the_parameter_wins_over_the_header_and_the_header_over_the_bearer() {
    let forge = forge!();
    let bot = forge.project("private").token(&["api"], 40);
    let good_query = format!("/user?private_token={}", bot.secret);
    let good_bearer = format!("Bearer {}", bot.secret);
    get(&forge, &good_query, &[("PRIVATE-TOKEN", NOBODYS)]).expect(200);
    get(&forge, &format!("/user?private_token={NOBODYS}"), &[("PRIVATE-TOKEN", &bot.secret)]).expect(401);
    get(&forge, "/user", &[("PRIVATE-TOKEN", NOBODYS), ("authorization", &good_bearer)]).expect(401);
    get(&forge, "/user", &[("PRIVATE-TOKEN", &bot.secret), ("authorization", &format!("Bearer {NOBODYS}"))])
        .expect(200);
}

#[test]
fn a06_blank_credentials_count_as_absent() {
    let forge = forge!();
    let (public, private) = (forge.project("public"), forge.project("private"));
    for headers in [[("PRIVATE-TOKEN", "")], [("PRIVATE-TOKEN", "  ")], [("authorization", "Bearer ")]] {
        get(&forge, &public.path(""), &headers).expect(200);
        get(&forge, &private.path(""), &headers).expect(404);
        get(&forge, "/user", &headers).expect(401);
    }
    get(&forge, &public.path("?private_token="), &[]).expect(200);
    let bot = private.token(&["api"], 10);
    get(&forge, "/user?private_token=", &[("PRIVATE-TOKEN", &bot.secret)]).expect(200);
    get(&forge, "/user", &[("PRIVATE-TOKEN", " "), ("authorization", &format!("Bearer {}", bot.secret))])
        .expect(200);
}

#[test]
fn a07_an_unknown_or_malformed_token_is_401_even_where_anyone_may_read() {
    let forge = forge!();
    let public = forge.project("public");
    for secret in [NOBODYS, "x", "glpat-xxxxxxxxxxxxxxxxxxxx", &"a".repeat(5000)] {
        let answer = get(&forge, &public.path(""), &[("PRIVATE-TOKEN", secret)]).expect(401);
        assert_eq!(answer.text, UNKNOWN);
        assert_eq!(answer.header("www-authenticate"), None);
    }
}

#[test]
fn a08_an_expired_token_is_an_invalid_token_that_expired() {
    let forge = forge!();
    let bot = forge.project("public").token_with(json!({
        "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1),
    }));
    forge.clock.advance_days(1);
    expect_invalid_token(bot.get("/user"), EXPIRED);
}

#[test]
fn a09_a_revoked_token_is_an_invalid_token_that_was_revoked() {
    let forge = forge!();
    let project = forge.project("public");
    let bot = project.token(&["api"], 40);
    revoke(&forge, &project, &bot);
    expect_invalid_token(bot.get("/user"), REVOKED);
    // Also where anyone may read, and also once its bot is gone.
    forge.run_jobs();
    expect_invalid_token(bot.get(&project.path("")), REVOKED);
}

#[test]
fn a10_a_token_dies_at_the_first_instant_of_its_date_in_utc() {
    let forge = forge!();
    let bot = forge.project("private").token_with(json!({
        "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(1),
    }));
    // The clock stands at noon.
    forge.clock.advance_seconds(12 * 3600 - 1);
    bot.get("/user").expect(200);
    forge.clock.advance_seconds(1);
    bot.get("/user").expect(401);
}

#[test]
fn a11_read_api_reads_and_writes_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_api"], 40);
    bot.get(&project.path("")).expect(200);
    assert_eq!(bot.send("HEAD", &format!("/api/v4{}", project.path("")), &[], b"").status, 200);
    expect_insufficient_scope(bot.post(&project.path("/issues"), json!({ "title": "x" })), "api");
    expect_insufficient_scope(bot.put(&project.path(""), json!({ "description": "x" })), "api");
    expect_insufficient_scope(bot.delete(&project.path("")), "api");
    assert_eq!(forge.root().get(&project.path("/issues")).json(), json!([]));
}

#[test]
fn a12_the_scope_is_judged_before_it_is_told_whether_a_project_exists() {
    let forge = forge!();
    let project = forge.project("private");
    for scope in ["read_repository", "write_repository", "read_registry", "write_registry", "self_rotate"] {
        let bot = project.token(&[scope], 50);
        for path in [
            project.path(""),
            "/projects/999999".to_owned(),
            "/projects/no%2Fwhere".to_owned(),
            "/user".to_owned(),
        ] {
            let scopes = if path == "/user" { "api read_api read_user" } else { "api read_api" };
            expect_insufficient_scope(bot.get(&path), scopes);
        }
        expect_insufficient_scope(bot.post(&project.path("/issues"), json!({ "title": "x" })), "api");
    }
}

#[test]
fn a13_a_guest_bot_opens_an_issue_in_its_own_name() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 10);
    let issue = bot.post(&project.path("/issues"), json!({ "title": "x" })).expect(201).json();
    assert_eq!(issue["author"]["id"], bot.user_id);
    assert_eq!(issue["author"]["username"], format!("project_{}_bot", project.id));
    let note = bot.post(&project.path("/issues/1/notes"), json!({ "body": "y" })).expect(201).json();
    assert_eq!(note["author"]["id"], bot.user_id);
    let events = bot.get(&project.path("/events")).expect(200).json();
    assert_eq!(events[0]["author"]["id"], bot.user_id);
    assert_eq!(events[0]["access_token_id"], bot.token_id);
}

#[test]
fn a14_each_refusal_has_its_own_body() {
    let forge = forge!();
    let project = forge.project("private");
    let guest = project.token(&["api"], 10);
    expect_insufficient_scope(project.token(&["read_registry"], 40).get(&project.path("")), "api read_api");
    guest.get("/projects/999999").expect_json(404, json!({ "message": "404 Project Not Found" }));
    guest
        .put(&project.path(""), json!({ "description": "x" }))
        .expect_json(403, json!({ "message": "403 Forbidden" }));
    forge.anyone().get("/user").expect_json(401, json!({ "message": "401 Unauthorized" }));
    let person = forge.person("blocked");
    forge.root().post(&format!("/users/{}/block", person.id), json!({})).expect(201);
    let refused = person.get("/user").expect(403).json();
    assert!(refused["message"].as_str().unwrap().starts_with("403 Forbidden - "), "{refused}");
    // No REST route takes HTTP Basic, so it is nobody there.
    let answer = get(&forge, &project.path(""), &[("authorization", &basic("x", &guest.secret))]);
    answer.expect_json(404, json!({ "message": "404 Project Not Found" }));
}

#[test]
fn a15_any_scope_shows_the_token_itself() {
    let forge = forge!();
    let project = forge.project("private");
    for scope in [
        "api",
        "read_api",
        "read_repository",
        "write_repository",
        "read_registry",
        "write_registry",
        "self_rotate",
    ] {
        let bot = project.token(&[scope], 10);
        let own = bot.get("/personal_access_tokens/self").expect(200).json();
        assert_eq!(
            (&own["id"], &own["scopes"], &own["active"]),
            (&json!(bot.token_id), &json!([scope]), &json!(true))
        );
        assert_eq!(own["user_id"], bot.user_id);
        let reach = bot.get("/personal_access_tokens/self/associations").expect(200).json();
        assert_eq!((&reach["projects"][0]["id"], &reach["groups"]), (&json!(project.id), &json!([])));
    }
}

#[test]
fn a16_any_scope_revokes_the_token_itself() {
    let forge = forge!();
    let project = forge.project("private");
    for scope in [
        "api",
        "read_api",
        "read_repository",
        "write_repository",
        "read_registry",
        "write_registry",
        "self_rotate",
    ] {
        let bot = project.token(&[scope], 10);
        assert_eq!(bot.delete("/personal_access_tokens/self").expect(204).text, "");
        expect_invalid_token(bot.get("/personal_access_tokens/self"), REVOKED);
        bot.delete("/personal_access_tokens/self").expect(401);
    }
    forge.run_jobs();
    assert_eq!(forge.root().get(&project.path("/access_tokens")).json(), json!([]));
    assert_eq!(forge.root().get(&project.path("/members")).json(), json!([]));
}

/// A bot is external: of other projects it sees what an anonymous visitor sees. GitLab shows it internal ones too.
#[test]
fn a17_a_bot_sees_other_projects_as_anybody_does_and_internal_ones_not_at_all() {
    let forge = forge!();
    let bot = forge.project("private").token(&["api"], 50);
    let (private, internal, public) =
        (forge.project("private"), forge.project("internal"), forge.project("public"));
    let missing = bot.get("/projects/999999").expect(404).text;
    for hidden in [&private, &internal] {
        assert_eq!(bot.get(&hidden.path("")).expect(404).text, missing);
        assert_eq!(bot.post(&hidden.path("/issues"), json!({ "title": "x" })).expect(404).text, missing);
        assert_eq!(
            bot.get(&format!("/projects/{}", hidden.full_path.replace('/', "%2F"))).expect(404).text,
            missing
        );
    }
    bot.get(&public.path("")).expect(200);
    bot.get(&public.path("/issues")).expect(200);
    bot.post(&public.path("/issues"), json!({ "title": "x" })).expect(403);
    bot.get(&public.path("/members")).expect(403);
    let seen: Vec<_> = bot
        .get("/projects")
        .expect(200)
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["id"].clone())
        .collect();
    assert!(seen.contains(&json!(public.id)) && !seen.contains(&json!(internal.id)), "{seen:?}");
    // A person of the organisation does see it.
    forge.person("insider").get(&internal.path("")).expect(200);
}

#[test]
fn a53_read_repository_clones_and_does_not_push() {
    let forge = forge!();
    let (project, git) = (forge.project("private"), Git::default());
    let bot = project.token(&["read_repository"], 40);
    project.clone_with(&git, &bot.secret, "work");
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q"]).fails_with("You are not allowed to upload code.");
    let answer = refs_with(&forge, &project, "receive-pack", &bot.secret).expect(403);
    assert_eq!(answer.text.trim_end(), "You are not allowed to upload code.");
    assert_eq!(answer.header("www-authenticate"), None);
}

#[test]
fn a54_write_repository_pushes_as_a_developer_and_not_as_a_reporter() {
    let forge = forge!();
    let (project, git) = (forge.project("private"), Git::default());
    let developer = project.token(&["write_repository"], 30);
    project.clone_with(&git, &developer.secret, "work");
    git.run_in("work", &["switch", "-q", "-c", "topic"]).works();
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q", "origin", "topic"]).works();
    let reporter = project.token(&["write_repository"], 20);
    refs_with(&forge, &project, "upload-pack", &reporter.secret).expect(200);
    let url = project.git_url("x", &reporter.secret);
    git.run_in("work", &["push", &url, "topic:other"])
        .fails_with("You are not allowed to push code to this project.");
    let guest = project.token(&["write_repository"], 10);
    let answer = refs_with(&forge, &project, "upload-pack", &guest.secret).expect(403);
    assert_eq!(answer.text.trim_end(), "You are not allowed to download code from this project.");
    // A project that it can read but is no member of.
    let public = forge.project("public");
    refs_with(&forge, &public, "upload-pack", &developer.secret).expect(200);
    let answer = refs_with(&forge, &public, "receive-pack", &developer.secret).expect(403);
    assert_eq!(answer.text.trim_end(), "You are not allowed to push code to this project.");
}

#[test]
fn a55_read_api_clones_and_a_registry_scope_does_not_even_a_public_project() {
    let forge = forge!();
    let (private, public, git) = (forge.project("private"), forge.project("public"), Git::default());
    let bot = private.token(&["read_api"], 40);
    private.clone_with(&git, &bot.secret, "work");
    git.commit("work", "a.txt", "a\n");
    git.run_in("work", &["push", "-q"]).fails_with("You are not allowed to upload code.");
    for scope in ["read_registry", "write_registry", "self_rotate"] {
        let bot = public.token(&[scope], 40);
        for path in [public.full_path.as_str(), "no/where"] {
            let answer = refs(&forge, path, "upload-pack", &basic("x", &bot.secret)).expect(403);
            assert_eq!(answer.text.trim_end(), "You are not allowed to download code.");
        }
    }
    let api = private.token(&["api"], 40);
    private.clone_with(&git, &api.secret, "again");
    git.commit("again", "b.txt", "b\n");
    git.run_in("again", &["push", "-q"]).works();
}

#[test]
fn a56_any_user_name_does_and_a_wrong_token_is_challenged() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_repository"], 20);
    let own_name = format!("project_{}_bot", project.id);
    for user in ["oauth2", "root", "gitlab-ci-token", "x-access-token", &own_name, "nobody@example.com"] {
        refs(&forge, &project.full_path, "upload-pack", &basic(user, &bot.secret)).expect(200);
    }
    let wrong = [
        basic("x", NOBODYS),
        basic("x", "x"),
        basic("", &bot.secret),
        basic(&bot.secret, ""),
        "Basic ?".to_owned(),
    ];
    for authorization in wrong {
        let answer = refs(&forge, &project.full_path, "upload-pack", &authorization).expect(401);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic realm=\""));
        assert!(answer.text.starts_with("HTTP Basic: Access denied."), "{}", answer.text);
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    }
    // The carriers of the REST API are none here.
    let path = format!("/{}.git/info/refs?service=git-upload-pack", project.full_path);
    bot.send("GET", &path, &[], b"").expect(401);
    forge.anyone().send("GET", &format!("{path}&private_token={}", bot.secret), &[], b"").expect(401);
}

/// With a valid token both are the same 404; without one both are the same 401.
#[test]
fn a57_a_hidden_and_a_missing_project_answer_git_with_the_same_bytes() {
    let forge = forge!();
    let bot = forge.project("private").token(&["api"], 50);
    let (private, internal) = (forge.project("private"), forge.project("internal"));
    let whole = |path: &str, service: &str, authorization: Option<&str>| {
        let path = format!("/{path}.git/info/refs?service=git-{service}");
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let answer = forge.anyone().send("GET", &path, &headers, b"");
        let mut headers = answer.headers;
        headers.remove("date");
        headers.remove("x-request-id");
        (answer.status, headers, answer.text)
    };
    let good = basic("x", &bot.secret);
    for service in ["upload-pack", "receive-pack"] {
        for (authorization, status, text) in [
            (
                Some(good.as_str()),
                404,
                "The project you were looking for could not be found or you don't have permission to view it.",
            ),
            (None, 401, "HTTP Basic: Access denied."),
            (Some("Basic eDp4"), 401, "HTTP Basic: Access denied."),
        ] {
            let missing = whole("no/where", service, authorization);
            assert_eq!(missing.0, status);
            assert!(missing.2.starts_with(text), "{}", missing.2);
            assert_eq!(whole(&private.full_path, service, authorization), missing);
            assert_eq!(whole(&internal.full_path, service, authorization), missing);
        }
    }
}

#[test]
fn a58_an_expired_or_revoked_token_does_not_clone() {
    let forge = forge!();
    let project = forge.project("private");
    let revoked = project.token(&["read_repository"], 40);
    let expired = project.token_with(json!({
        "name": "ci", "scopes": ["read_repository"], "expires_at": forge.clock.date(1),
    }));
    revoke(&forge, &project, &revoked);
    forge.clock.advance_days(1);
    let unknown = refs_with(&forge, &project, "upload-pack", NOBODYS).expect(401).text;
    for bot in [&revoked, &expired] {
        for service in ["upload-pack", "receive-pack"] {
            assert_eq!(refs_with(&forge, &project, service, &bot.secret).expect(401).text, unknown);
        }
    }
    let git = Git::default();
    git.run(&["clone", "-q", &project.git_url("x", &expired.secret), "work"])
        .fails_with("HTTP Basic: Access denied.");
}

#[test]
fn several_scopes_each_allow_exactly_their_part() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_api", "write_repository"], 40);
    bot.get(&project.path("")).expect(200);
    expect_insufficient_scope(bot.post(&project.path("/issues"), json!({ "title": "x" })), "api");
    refs_with(&forge, &project, "receive-pack", &bot.secret).expect(200);
    let bot = project.token(&["read_registry", "read_repository"], 40);
    bot.get(&project.path("")).expect(403);
    refs_with(&forge, &project, "upload-pack", &bot.secret).expect(200);
    refs_with(&forge, &project, "receive-pack", &bot.secret).expect(403);
}

/// The order is expired, revoked, scope, resource, role.
#[test]
fn the_first_thing_that_is_wrong_is_what_is_answered() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token_with(json!({
        "name": "ci", "scopes": ["read_registry"], "access_level": 10, "expires_at": forge.clock.date(1),
    }));
    expect_insufficient_scope(bot.put("/projects/999999", json!({ "description": "x" })), "api");
    revoke(&forge, &project, &bot);
    expect_invalid_token(bot.put("/projects/999999", json!({ "description": "x" })), REVOKED);
    forge.clock.advance_days(1);
    expect_invalid_token(bot.put("/projects/999999", json!({ "description": "x" })), EXPIRED);
}

#[test]
fn headers_of_other_credentials_are_no_carriers() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    for header in ["JOB-TOKEN", "DEPLOY-TOKEN", "X-Private-Token", "Token"] {
        get(&forge, &project.path(""), &[(header, &bot.secret)]).expect(404);
        get(&forge, "/user", &[(header, &bot.secret)]).expect(401);
    }
    get(&forge, &format!("/user?access_token={}", bot.secret), &[]).expect(401);
}

#[test]
fn the_operator_can_refuse_tokens_in_urls() {
    let forge = forge!(|settings| settings.allow_token_in_query = false);
    let project = forge.project("public");
    let bot = project.token(&["api"], 40);
    // Not as anonymous either: whoever sent a token expects to be somebody.
    get(&forge, &format!("{}?private_token={}", project.path(""), bot.secret), &[]).expect(401);
    bot.get("/user").expect(200);
}

#[test]
fn an_act_of_a_bot_cannot_be_put_on_somebody_else() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    let headers = [("PRIVATE-TOKEN", bot.secret.as_str()), ("Sudo", "root")];
    get(&forge, "/user", &headers).expect(403);
    get(&forge, "/user?sudo=root", &headers[..1]).expect(403);
}

#[test]
fn the_operators_switch_closes_every_door_to_project_access_tokens_and_no_other() {
    let before = forge!();
    let project = before.project("public");
    let bot = project.token(&["api"], 40);
    let settings = before.forge.settings().clone();
    let after = forge!(|changed| {
        changed.data = settings.data;
        changed.database_url = settings.database_url;
        changed.project_access_tokens = false;
    });
    assert_eq!(get(&after, "/user", &[("PRIVATE-TOKEN", &bot.secret)]).expect(401).text, UNKNOWN);
    assert_eq!(get(&after, &project.path(""), &[("PRIVATE-TOKEN", &bot.secret)]).expect(401).text, UNKNOWN);
    refs_with(&after, &project, "upload-pack", &bot.secret).expect(401);
    let refused = after
        .root()
        .post(&project.path("/access_tokens"), json!({ "name": "x", "scopes": ["api"] }))
        .expect(400)
        .json();
    assert_eq!(
        refused["message"],
        "400 Bad request - User does not have permission to create project access token"
    );
    after
        .root()
        .post(&project.path(&format!("/access_tokens/{}/rotate", bot.token_id)), json!({}))
        .expect(404);
    // People's tokens work, and what is there can be seen and ended.
    assert_eq!(after.root().get(&project.path("/access_tokens")).expect(200).json()[0]["id"], bot.token_id);
    after.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
}

#[test]
fn a_use_is_written_down_at_most_every_ten_minutes_and_only_when_it_succeeded() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_repository"], 40);
    let last_used = || -> Value {
        forge.block_on(forge.forge.write_last_uses()).unwrap();
        forge.root().get(&project.path(&format!("/access_tokens/{}", bot.token_id))).json()["last_used_at"]
            .clone()
    };
    assert_eq!(last_used(), Value::Null);
    refs_with(&forge, &project, "upload-pack", &bot.secret).expect(200);
    let first = last_used();
    assert_eq!(first, "2026-03-02T12:00:00.000Z");
    forge.clock.advance_seconds(599);
    bot.get("/personal_access_tokens/self").expect(200);
    assert_eq!(last_used(), first);
    forge.clock.advance_seconds(1);
    bot.get("/personal_access_tokens/self").expect(200);
    let second = last_used();
    assert_eq!(second, "2026-03-02T12:10:00.000Z");
    revoke(&forge, &project, &bot);
    forge.clock.advance_seconds(3600);
    bot.get("/personal_access_tokens/self").expect(401);
    assert_eq!(last_used(), second);
}
