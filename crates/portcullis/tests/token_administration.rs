//! How project access tokens are listed and created: parameters, filters, pages, refusals, and what the audit log keeps of
//! it. Numbers are those of the assertions in the behavioural contract.

use portcullis_testkit::{Caller, Project, forge};
use serde_json::{Value, json};

const NOT_PERMITTED: &str = "400 Bad request - User does not have permission to create project access token";
const ABOVE: &str =
    "400 Bad request - Access level of the token contains permissions not held by the creating user";

fn new_token() -> Value {
    json!({ "name": "ci", "scopes": ["api"] })
}

fn names(tokens: &Value) -> Vec<&str> {
    tokens.as_array().into_iter().flatten().filter_map(|token| token["name"].as_str()).collect()
}

/// Expects that somebody may not create a token, and that nothing was left behind.
#[track_caller]
fn expect_refused(caller: &Caller, project: &Project<'_>, body: Value, message: &str) {
    caller.post(&project.path("/access_tokens"), body).expect_json(400, json!({ "message": message }));
}

/// Expects a parameter to be refused.
#[track_caller]
fn expect_parameter_refused(caller: &Caller, project: &Project<'_>, body: Value, error: &str) {
    caller.post(&project.path("/access_tokens"), body).expect_json(400, json!({ "error": error }));
}

#[test]
fn a18_a_maintainer_lists_the_tokens_of_the_project_without_their_secrets() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let made = project.token_with(json!({
        "name": "ci", "description": "for the builds", "scopes": ["read_api", "api"], "access_level": 30,
        "expires_at": forge.clock.date(9),
    }));
    other.token(&["api"], 40);
    let answer = project.member(40).get(&project.path("/access_tokens")).expect(200);
    for (name, value) in [
        ("x-page", "1"),
        ("x-per-page", "20"),
        ("x-next-page", ""),
        ("x-prev-page", ""),
        ("x-total", "1"),
        ("x-total-pages", "1"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(!answer.text.contains(&made.secret));
    let shown = json!({
        "id": made.token_id,
        "name": "ci",
        "description": "for the builds",
        "revoked": false,
        "created_at": "2026-03-02T12:00:00.000Z",
        "scopes": ["api", "read_api"],
        "user_id": made.user_id,
        "last_used_at": null,
        "active": true,
        "expires_at": forge.clock.date(9),
        "access_level": 30,
        "resource_type": "project",
        "resource_id": project.id,
    });
    assert_eq!(answer.json(), json!([shown]));
    let one = forge.root().get(&project.path(&format!("/access_tokens/{}", made.token_id)));
    one.expect_json(200, shown);
}

#[test]
fn a19_no_tokens_are_an_empty_list() {
    let forge = forge!();
    let answer = forge.root().get(&forge.project("private").path("/access_tokens")).expect(200);
    assert_eq!((answer.header("x-total"), answer.header("x-total-pages")), (Some("0"), Some("1")));
    assert_eq!(answer.json(), json!([]));
}

#[test]
fn a20_a_developer_may_not_list() {
    let forge = forge!();
    let project = forge.project("private");
    let made = project.token(&["api"], 40);
    for level in [10, 15, 20, 30] {
        let member = project.member(level);
        for path in [
            "/access_tokens".to_owned(),
            format!("/access_tokens/{}", made.token_id),
            "/access_tokens/999999".to_owned(),
        ] {
            member.get(&project.path(&path)).expect_json(401, json!({ "message": "401 Unauthorized" }));
        }
    }
    let public = forge.project("public");
    forge.person("stranger").get(&public.path("/access_tokens")).expect(401);
    forge.anyone().get(&public.path("/access_tokens")).expect(401);
}

#[test]
fn a21_a_hidden_and_a_missing_project_have_no_tokens_to_list() {
    let forge = forge!();
    let project = forge.project("private");
    let stranger = forge.person("stranger");
    let missing = stranger.get("/projects/999999/access_tokens").expect(404).text;
    assert_eq!(missing, r#"{"message":"404 Project Not Found"}"#);
    assert_eq!(stranger.get(&project.path("/access_tokens")).expect(404).text, missing);
    assert_eq!(stranger.post(&project.path("/access_tokens"), new_token()).expect(404).text, missing);
    assert_eq!(stranger.delete(&project.path("/access_tokens/1")).expect(404).text, missing);
    assert_eq!(stranger.post(&project.path("/access_tokens/1/rotate"), json!({})).expect(404).text, missing);
    forge.root().get("/projects/999999/access_tokens").expect(404);
}

#[test]
fn a22_a_maintainer_bot_lists_the_tokens_of_its_project() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["read_api"], 40);
    assert_eq!(bot.get(&project.path("/access_tokens")).expect(200).json()[0]["id"], bot.token_id);
    assert_eq!(bot.get(&project.path("/access_tokens/self")).expect(200).json()["id"], bot.token_id);
    project.token(&["read_api"], 30).get(&project.path("/access_tokens")).expect(401);
}

#[test]
fn a23_a_token_of_another_project_and_an_unknown_one_are_not_found() {
    let forge = forge!();
    let (project, other) = (forge.project("private"), forge.project("private"));
    let foreign = other.token(&["api"], 40);
    let personal = forge.root().get("/personal_access_tokens/self").json()["id"].to_string();
    for id in [foreign.token_id.to_string(), personal, "999999".to_owned(), "-1".to_owned(), "x".to_owned()] {
        let answer = forge.root().get(&project.path(&format!("/access_tokens/{id}")));
        answer.expect_json(404, json!({ "message": "404 project Access Token Not Found" }));
    }
    // The presented token is nobody's here.
    forge.root().get(&project.path("/access_tokens/self")).expect(404);
}

#[test]
fn a24_the_level_is_the_bots_own_and_the_expiry_a_plain_date() {
    let forge = forge!();
    let project = forge.project("private");
    for level in [10, 15, 20, 30, 40, 50] {
        let made = project.token_with(json!({
            "name": "ci", "scopes": ["api"], "access_level": level, "expires_at": forge.clock.date(30),
        }));
        let token = forge.root().get(&project.path(&format!("/access_tokens/{}", made.token_id))).json();
        assert_eq!((&token["access_level"], &token["expires_at"]), (&json!(level), &json!("2026-04-01")));
        let member =
            forge.root().get(&project.path(&format!("/members/{}", made.user_id))).expect(200).json();
        assert_eq!((&member["access_level"], &member["expires_at"]), (&json!(level), &Value::Null));
    }
}

#[test]
fn a25_an_unknown_filter_value_is_refused() {
    let forge = forge!();
    let project = forge.project("private");
    for (query, error) in [
        ("state=bogus", "state does not have a valid value"),
        ("sort=bogus", "sort does not have a valid value"),
        ("revoked=perhaps", "revoked is invalid"),
        ("created_after=yesterday", "created_after is invalid"),
        ("expires_before=2026-02-30", "expires_before is invalid"),
    ] {
        let answer = forge.root().get(&project.path(&format!("/access_tokens?{query}")));
        answer.expect_json(400, json!({ "error": error }));
    }
}

#[test]
fn filters_combine_and_active_and_inactive_share_all_tokens_between_them() {
    let forge = forge!();
    let project = forge.project("private");
    let list = |query: &str| {
        let tokens = forge.root().get(&project.path(&format!("/access_tokens?{query}"))).expect(200).json();
        names(&tokens).join(" ")
    };
    // Made at 12:00, 12:01, 12:02 and 12:03.
    let mut made = Vec::new();
    for (name, days) in [("Alpha", None), ("beta", Some(1)), ("gamma", Some(2)), ("delta_x", Some(20))] {
        let expires_at = days.map(|days| forge.clock.date(days));
        made.push(
            project.token_with(json!({ "name": name, "scopes": ["read_api"], "expires_at": expires_at })),
        );
        forge.clock.advance_seconds(60);
    }
    made[0].get("/user").expect(200);
    made[1].get("/user").expect(200);
    forge.clock.advance_seconds(60);
    made[2].get("/user").expect(200);
    forge.block_on(forge.forge.write_last_uses()).unwrap();
    // Revoked, but still there until the job runs.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", made[3].token_id))).expect(204);

    assert_eq!(list(""), "Alpha beta gamma delta_x");
    assert_eq!(list("state=active"), "Alpha beta gamma");
    assert_eq!(list("state=inactive"), "delta_x");
    assert_eq!(
        (list("revoked=true"), list("revoked=false")),
        ("delta_x".to_owned(), "Alpha beta gamma".to_owned())
    );
    // Both ends are inclusive.
    assert_eq!(list("created_after=2026-03-02T12:01:00Z&created_before=2026-03-02T12:02:00Z"), "beta gamma");
    assert_eq!(list("created_after=2026-03-02T13:03:00%2B01:00"), "delta_x");
    assert_eq!(list("last_used_before=2026-03-02T12:04:00Z"), "Alpha beta");
    assert_eq!(list("last_used_after=2026-03-02T12:05:00Z"), "gamma");
    // The end of an expiry range is exclusive, its beginning is not.
    assert_eq!(list("expires_after=2026-03-03&expires_before=2026-03-04"), "beta");
    assert_eq!(list("expires_after=2026-03-04"), "gamma delta_x");
    assert_eq!(
        (list("search=ALP"), list("search=a_x"), list("search=%25")),
        ("Alpha".to_owned(), "delta_x".to_owned(), String::new())
    );
    assert_eq!(list("search=a&state=active&expires_before=2027-01-01"), "beta gamma");

    // On the day that a token expires, it is inactive.
    forge.clock.advance_days(1);
    assert_eq!(
        (list("state=active"), list("state=inactive")),
        ("Alpha gamma".to_owned(), "beta delta_x".to_owned())
    );
}

#[test]
fn a_search_finds_names_of_any_script() {
    let forge = forge!();
    let project = forge.project("private");
    for name in ["École", "名前 1", "50%"] {
        project.token_with(json!({ "name": name, "scopes": ["api"] }));
    }
    for (search, expected) in [("%C3%89co", "École"), ("%E5%90%8D", "名前 1"), ("%25", "50%"), ("_", "")] {
        let found =
            forge.root().get(&project.path(&format!("/access_tokens?search={search}"))).expect(200).json();
        assert_eq!(names(&found).join(" "), expected, "{search}");
    }
}

#[test]
fn lists_are_sorted_as_asked_and_ties_go_to_the_newest() {
    let forge = forge!();
    let project = forge.project("private");
    let mut made = Vec::new();
    for (name, days) in [("b", Some(2)), ("C", None), ("a", Some(1)), ("d", Some(2))] {
        let expires_at = days.map(|days| forge.clock.date(days));
        made.push(
            project.token_with(json!({ "name": name, "scopes": ["read_api"], "expires_at": expires_at })),
        );
        forge.clock.advance_seconds(1);
    }
    for used in [3, 0] {
        made[used].get("/user").expect(200);
        forge.clock.advance_seconds(1);
    }
    forge.block_on(forge.forge.write_last_uses()).unwrap();
    for (sort, expected) in [
        ("created_asc", "b C a d"),
        ("created_desc", "d a C b"),
        ("expires_asc", "a d b C"),
        ("expires_desc", "C d b a"),
        ("last_used_asc", "d b a C"),
        ("last_used_desc", "b d a C"),
        ("name_asc", "a b C d"),
        ("name_desc", "d C b a"),
    ] {
        let tokens =
            forge.root().get(&project.path(&format!("/access_tokens?sort={sort}"))).expect(200).json();
        assert_eq!(names(&tokens).join(" "), expected, "{sort}");
    }
}

#[test]
fn pages_lead_to_each_other() {
    let forge = forge!();
    let project = forge.project("private");
    for number in 0..5 {
        project.token_with(json!({ "name": format!("t{number}"), "scopes": ["api"] }));
    }
    let page = |query: &str| forge.root().get(&project.path(&format!("/access_tokens?{query}"))).expect(200);
    let second = page("per_page=2&page=2&state=active");
    assert_eq!(names(&second.json()), ["t2", "t3"]);
    for (name, value) in [
        ("x-page", "2"),
        ("x-per-page", "2"),
        ("x-next-page", "3"),
        ("x-prev-page", "1"),
        ("x-total", "5"),
        ("x-total-pages", "3"),
    ] {
        assert_eq!(second.header(name), Some(value), "{name}");
    }
    let link = second.header("link").unwrap();
    for (rel, number) in [("first", 1), ("prev", 1), ("next", 3), ("last", 3)] {
        let path = project.path("/access_tokens");
        let expected =
            format!("<{}/api/v4{path}?state=active&page={number}&per_page=2>; rel=\"{rel}\"", forge.url);
        assert!(link.contains(&expected), "{link}");
    }
    assert_eq!(page("per_page=2&page=3").header("x-next-page"), Some(""));
    assert_eq!(page("page=9").json(), json!([]));
    // 20 unless asked otherwise, never more than 100.
    assert_eq!(page("").header("x-per-page"), Some("20"));
    assert_eq!(page("per_page=1000").header("x-per-page"), Some("100"));
}

#[test]
fn a26_a_creation_echoes_what_was_asked_and_shows_the_secret_once() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = project.member(40);
    let body = json!({
        "name": "deploy", "description": "d", "scopes": ["read_api", "write_repository"], "access_level": 30,
        "expires_at": forge.clock.date(7),
    });
    let answer = maintainer.post(&project.path("/access_tokens"), body).expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut made = answer.json();
    let secret = made.as_object_mut().unwrap().remove("token").unwrap();
    let secret = secret.as_str().unwrap();
    assert!(secret.len() == 40 && secret.starts_with("pcp_"), "a secret of another shape");
    for (key, value) in [
        ("name", json!("deploy")),
        ("description", json!("d")),
        ("scopes", json!(["read_api", "write_repository"])),
        ("access_level", json!(30)),
        ("expires_at", json!(forge.clock.date(7))),
        ("active", json!(true)),
        ("revoked", json!(false)),
    ] {
        assert_eq!(made[key], value, "{key}");
    }
    // Nothing shows it again, not even to itself.
    let one = maintainer.get(&project.path(&format!("/access_tokens/{}", made["id"]))).expect(200);
    assert_eq!(one.json(), made);
    for path in
        [project.path("/access_tokens"), project.path("/audit_events"), "/personal_access_tokens".to_owned()]
    {
        assert!(!forge.root().get(&path).expect(200).text.contains(secret), "{path}");
    }
    assert!(!forge.with_token(secret).get("/personal_access_tokens/self").expect(200).text.contains(secret));
}

#[test]
fn a27_without_a_date_a_token_never_expires_unless_the_operator_asks_for_one() {
    let forge = forge!();
    let project = forge.project("private");
    for date in [json!({}), json!({ "expires_at": null }), json!({ "expires_at": "" })] {
        let mut body = new_token();
        body.as_object_mut().unwrap().extend(date.as_object().unwrap().clone());
        let made = forge.root().post(&project.path("/access_tokens"), body).expect(201).json();
        assert_eq!(made["expires_at"], Value::Null);
    }
    let strict = forge!(|settings| settings.require_token_expiry = true);
    let project = strict.project("private");
    expect_refused(strict.root(), &project, new_token(), "400 Bad request - Expires at can't be blank");
    let made =
        project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": strict.clock.date(4000) }));
    made.get("/user").expect(200);
}

/// The last date of the calendar is how many say "never".
#[test]
fn every_date_of_the_calendar_is_echoed_as_it_was_asked() {
    let forge = forge!();
    let project = forge.project("private");
    for date in ["2026-03-03", "2028-02-29", "9999-12-30", "9999-12-31"] {
        let made = project.token_with(json!({ "name": "ci", "scopes": ["api"], "expires_at": date }));
        assert_eq!(made.get("/personal_access_tokens/self").expect(200).json()["expires_at"], date);
        let found = forge.root().get(&project.path(&format!("/access_tokens?expires_after={date}"))).json();
        assert_eq!(found.as_array().unwrap().len(), 1, "{date}");
    }
}

/// An archived project is read-only, but its credentials can still be looked after.
#[test]
fn tokens_of_an_archived_project_are_administered_and_write_nothing() {
    let forge = forge!();
    let project = forge.project("private");
    let (maintainer, bot) = (project.member(40), project.token(&["api"], 40));
    forge.root().post(&project.path("/archive"), json!({})).expect(201);
    bot.get(&project.path("")).expect(200);
    let refused = bot.post(&project.path("/issues"), json!({ "title": "x" })).expect(403).json();
    assert_eq!(refused["message"], "403 Forbidden - The project is archived");
    let made = maintainer.post(&project.path("/access_tokens"), new_token()).expect(201).json();
    maintainer.post(&project.path(&format!("/access_tokens/{}/rotate", made["id"])), json!({})).expect(200);
    maintainer.delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    assert_eq!(
        maintainer
            .get(&project.path("/access_tokens?state=active"))
            .expect(200)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a28_without_a_level_a_bot_is_maintainer() {
    let forge = forge!();
    let project = forge.project("private");
    for level in [json!({}), json!({ "access_level": null })] {
        let mut body = new_token();
        body.as_object_mut().unwrap().extend(level.as_object().unwrap().clone());
        let made = project.member(40).post(&project.path("/access_tokens"), body).expect(201).json();
        assert_eq!(made["access_level"], 40);
    }
}

#[test]
fn a29_what_is_missing_is_named() {
    let forge = forge!();
    let project = forge.project("private");
    let root = forge.root();
    expect_parameter_refused(root, &project, json!({ "scopes": ["api"] }), "name is missing");
    expect_parameter_refused(root, &project, json!({ "name": "ci" }), "scopes is missing");
    expect_parameter_refused(root, &project, json!({}), "name is missing, scopes is missing");
    let blank =
        root.post(&project.path("/access_tokens"), json!({ "name": " ", "scopes": [] })).expect(400).json();
    assert_eq!(blank, json!({ "message": { "name": ["can't be blank"], "scopes": ["can't be blank"] } }));
}

#[test]
fn a30_values_outside_the_sets_are_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let root = forge.root();
    for scope in
        ["everything", "sudo", "read_user", "admin_mode", "create_runner", "k8s_proxy", "openid", "API"]
    {
        expect_parameter_refused(
            root,
            &project,
            json!({ "name": "ci", "scopes": [scope] }),
            "scopes does not have a valid value",
        );
        let both = json!({ "name": "ci", "scopes": ["api", scope] });
        expect_parameter_refused(root, &project, both, "scopes does not have a valid value");
    }
    for level in [0, 5, 25, 60, -10] {
        let body = json!({ "name": "ci", "scopes": ["api"], "access_level": level });
        expect_parameter_refused(root, &project, body, "access_level does not have a valid value");
    }
    for (date, problem) in [("tomorrow", "expires_at is invalid"), ("2026-02-30", "expires_at is invalid")] {
        expect_parameter_refused(
            root,
            &project,
            json!({ "name": "ci", "scopes": ["api"], "expires_at": date }),
            problem,
        );
    }
    // A token that would be dead at birth.
    for days in [-1, 0] {
        let body = json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(days) });
        expect_refused(
            root,
            &project,
            body,
            "400 Bad request - Expires at must be after 2026-03-02, today in UTC",
        );
    }
    assert_eq!(root.get(&project.path("/access_tokens")).json(), json!([]));
}

#[test]
fn parameters_come_as_clients_write_them() {
    let forge = forge!();
    let project = forge.project("private");
    let path = format!("/api/v4{}", project.path("/access_tokens"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!(
        "name=a&scopes[]=read_api&scopes[]=api&access_level=20&expires_at={}T10:00:00Z",
        forge.clock.date(3)
    );
    let made = forge.root().send("POST", &path, &form, body.as_bytes()).expect(201).json();
    assert_eq!((&made["scopes"], &made["access_level"]), (&json!(["api", "read_api"]), &json!(20)));
    assert_eq!(made["expires_at"], forge.clock.date(3));
    let by_query = format!("{path}?name=b&scopes[]=api&access_level=10");
    forge.root().send("POST", &by_query, &[], b"").expect(201);
    let by_path = format!("/projects/{}/access_tokens", project.full_path.replace('/', "%2F"));
    let made = forge
        .root()
        .post(&by_path, json!({ "name": "c", "scopes": "read_api,api", "access_level": "30" }))
        .expect(201)
        .json();
    assert_eq!((&made["scopes"], &made["access_level"]), (&json!(["api", "read_api"]), &json!(30)));
}

#[test]
fn a31_who_is_no_maintainer_may_not_create() {
    let forge = forge!();
    let project = forge.project("private");
    for level in [10, 15, 20, 30] {
        let body = json!({ "name": "ci", "scopes": ["api"], "access_level": 10 });
        expect_refused(&project.member(level), &project, body, NOT_PERMITTED);
    }
    forge.person("stranger").post(&project.path("/access_tokens"), new_token()).expect(404);
    forge.anyone().post(&project.path("/access_tokens"), new_token()).expect(401);
    let public = forge.project("public");
    expect_refused(&forge.person("visitor"), &public, new_token(), NOT_PERMITTED);
    forge.anyone().post(&public.path("/access_tokens"), new_token()).expect(401);
    // The permission is asked before the body is looked at.
    expect_refused(&project.member(30), &project, json!({ "name": 7 }), NOT_PERMITTED);
    // A role that came from the group above counts as well.
    let inherited = forge.person("inherited");
    let body = json!({ "user_id": inherited.id, "access_level": 40 });
    forge.root().post(&format!("/groups/{}/members", project.group.id), body).expect(201);
    inherited.post(&project.path("/access_tokens"), new_token()).expect(201);
    // A Maintainer's token has to hold `api`.
    let reader = forge.with_token(&forge.personal_token(&inherited.username, &["read_api"]));
    assert_eq!(
        reader.post(&project.path("/access_tokens"), new_token()).expect(403).json()["error"],
        "insufficient_scope"
    );
}

#[test]
fn a32_a_bot_may_not_create() {
    let forge = forge!();
    let project = forge.project("private");
    for level in [10, 40, 50] {
        expect_refused(&project.token(&["api"], level), &project, new_token(), NOT_PERMITTED);
    }
    let read_only = project.token(&["read_api", "self_rotate"], 50);
    read_only.post(&project.path("/access_tokens"), new_token()).expect(403);
}

#[test]
fn a33_nobody_gives_a_level_above_their_own() {
    let forge = forge!();
    let project = forge.project("private");
    let owner = json!({ "name": "ci", "scopes": ["api"], "access_level": 50 });
    expect_refused(&project.member(40), &project, owner.clone(), ABOVE);
    let made = project.member(50).post(&project.path("/access_tokens"), owner.clone()).expect(201).json();
    assert_eq!(made["access_level"], 50);
    // An administrator may give any.
    forge.root().post(&project.path("/access_tokens"), owner).expect(201);
}

#[test]
fn a34_a_failed_creation_leaves_nothing_behind() {
    let forge = forge!(|settings| settings.max_token_lifetime_days = Some(10));
    let project = forge.project("private");
    let maintainer = project.member(40);
    let state = || {
        let statistics = forge.root().get("/application/statistics").expect(200).json();
        let members = forge.root().get(&project.path("/members/all")).expect(200).text;
        (statistics["users"].clone(), statistics["access_tokens"].clone(), members)
    };
    let before = state();
    let later = forge.clock.date(11);
    let long = "x".repeat(256);
    for body in [
        json!({ "name": "ci", "scopes": ["api"], "access_level": 50, "expires_at": forge.clock.date(2) }),
        json!({ "name": "ci", "scopes": ["api"], "expires_at": later }),
        json!({ "name": "ci", "scopes": ["api"] }),
        json!({ "name": long, "scopes": ["api"], "expires_at": forge.clock.date(2) }),
        json!({ "name": "a\u{7}b", "scopes": ["api"], "expires_at": forge.clock.date(2) }),
        json!({ "name": "ci", "scopes": [], "expires_at": forge.clock.date(2) }),
        json!({ "name": "ci", "scopes": ["sudo"], "expires_at": forge.clock.date(2) }),
        json!({ "name": "ci", "description": "x".repeat(2000), "scopes": ["api"], "expires_at": forge.clock.date(2) }),
    ] {
        maintainer.post(&project.path("/access_tokens"), body).expect(400);
    }
    assert_eq!(state(), before);
    // And the first name is still free.
    let made = maintainer
        .post(
            &project.path("/access_tokens"),
            json!({ "name": "ci", "scopes": ["api"], "expires_at": forge.clock.date(10) }),
        )
        .expect(201)
        .json();
    let bot = forge.root().get(&format!("/users/{}", made["user_id"])).expect(200).json();
    assert_eq!(bot["username"], format!("project_{}_bot", project.id));
}

#[test]
fn the_audit_log_keeps_creations_deletions_and_refusals_of_both() {
    let forge = forge!();
    let project = forge.project("private");
    let (maintainer, developer) = (project.member(40), project.member(30));
    let tokens = project.path("/access_tokens");
    let made = maintainer
        .post(&tokens, json!({ "name": "ci", "scopes": ["api", "read_registry"] }))
        .expect(201)
        .json();
    let token = format!("{tokens}/{}", made["id"]);
    maintainer.post(&tokens, json!({ "name": "big", "scopes": ["api"], "access_level": 50 })).expect(400);
    developer.post(&tokens, json!({ "name": "sly", "scopes": ["api"] })).expect(400);
    forge.with_token(made["token"].as_str().unwrap()).post(&tokens, new_token()).expect(400);
    developer.delete(&token).expect(400);
    maintainer.delete(&token).expect(204);

    let credential = |caller: &Caller| caller.get("/personal_access_tokens/self").json()["id"].clone();
    let log = maintainer.get(&project.path("/audit_events")).expect(200);
    assert!(!log.text.contains(made["token"].as_str().unwrap()));
    let log = log.json();
    let newest_first: Vec<_> = log.as_array().unwrap().iter().take(6).collect();
    let expected = [
        ("project_access_token_deleted", maintainer.id, credential(&maintainer)),
        ("project_access_token_deletion_failed", developer.id, credential(&developer)),
        ("project_access_token_creation_failed", made["user_id"].as_i64().unwrap(), made["id"].clone()),
        ("project_access_token_creation_failed", developer.id, credential(&developer)),
        ("project_access_token_creation_failed", maintainer.id, credential(&maintainer)),
        ("project_access_token_created", maintainer.id, credential(&maintainer)),
    ];
    for (event, (name, author, token)) in newest_first.iter().zip(&expected) {
        assert_eq!((&event["event_name"], &event["author_id"]), (&json!(name), &json!(author)));
        assert_eq!((&event["entity_type"], &event["entity_id"]), (&json!("Project"), &json!(project.id)));
        let details = &event["details"];
        assert_eq!((&details["access_token_id"], &details["ip_address"]), (token, &json!("127.0.0.1")));
        assert_eq!(details["entity_path"], project.full_path);
    }
    let (created, deleted) = (&newest_first[5]["details"], &newest_first[0]["details"]);
    for details in [created, deleted] {
        assert_eq!((&details["token_id"], &details["name"]), (&made["id"], &json!("ci")));
    }
    assert_eq!(created["scopes"], json!(["api", "read_registry"]));
    assert_eq!(
        (&newest_first[4]["details"]["name"], &newest_first[4]["details"]["error"]),
        (&json!("big"), &json!(ABOVE.strip_prefix("400 Bad request - ").unwrap()))
    );
    assert_eq!(
        newest_first[3]["details"]["error"],
        NOT_PERMITTED.strip_prefix("400 Bad request - ").unwrap()
    );
    assert_eq!(newest_first[1]["details"]["token_id"], made["id"]);
    // What a credential did can be asked for, by those who may.
    let query = format!("/audit_events?access_token_id={}", made["id"]);
    assert_eq!(maintainer.get(&project.path(&query)).json().as_array().unwrap().len(), 1);
    developer.get(&project.path("/audit_events")).expect(403);
}
