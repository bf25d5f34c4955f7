//! What the advisories of other forges teach: each test opens with the story, who attacks, how, and what must not happen.

use std::sync::Arc;

use portcullis_testkit::{Git, TestForge, forge};
use serde_json::{Value, json};

/// A token's scope is forgotten where it is presented in another way, and it can do more than it was given.
#[test]
fn a_token_is_decided_the_same_however_it_is_presented() {
    let forge = forge!();
    let project = forge.project("private");
    for (scopes, expected) in [(["api"], 201), (["read_api"], 403), (["read_repository"], 403)] {
        let bot = project.token(&scopes, 30);
        let path = format!("/api/v4/projects/{}/issues", project.id);
        let bearer = format!("Bearer {}", bot.secret);
        let anyone = forge.anyone();
        let in_query = format!("{path}?private_token={}", bot.secret);
        let presentations: [(&str, Vec<(&str, &str)>); 4] = [
            (&path, vec![("private-token", &bot.secret)]),
            (&path, vec![("PRIVATE-TOKEN", &bot.secret)]),
            (&path, vec![("authorization", &bearer)]),
            (&in_query, vec![]),
        ];
        for (path, mut headers) in presentations {
            headers.push(("content-type", "application/json"));
            let answer = anyone.send("POST", path, &headers, br#"{"title":"x"}"#);
            assert_eq!(answer.status, expected, "{scopes:?} {}", answer.text);
        }
    }
}

/// A token whose scopes were lost in a migration is taken for one that may do everything.
#[test]
fn a_caller_without_scopes_has_no_rights() {
    let forge = forge!();
    let project = forge.project("private");
    let made = forge.root().post(&project.path("/access_tokens"), json!({ "name": "x", "scopes": [] }));
    assert_eq!(made.status, 400, "{}", made.text);
    let made = forge.root().post(&project.path("/access_tokens"), json!({ "name": "x", "scopes": "" }));
    assert_eq!(made.status, 400, "{}", made.text);
    assert_eq!(forge.root().get(&project.path("/access_tokens")).json(), json!([]));
}

/// A feed, an archive, a badge or a redirect answers without asking for the scope that everything else asks for.
#[test]
fn every_route_refuses_a_useless_token() {
    use portcullis_web::door::Door;
    use portcullis_web::guard::Access;
    let forge = forge!();
    let project = forge.project("public");
    let useless = project.token(&["self_rotate"], 40);
    let mut refused = 0;
    for route in portcullis_web::routes::table() {
        if matches!(route.access, Access::Public(_))
            || route.path.contains("/self")
            // It takes bearers alone, which are given out elsewhere: see below.
            || route.door == Door::Registry
            // They take sessions alone, and are a stranger's to whoever comes with a token.
            || route.door == Door::Pages
            || route.path == "/-/metrics"
        {
            continue;
        }
        let path = route.path.replace("{id}", &project.id.to_string()).replace("{*object}", "pack/x");
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let basic = format!("Basic {}", base64(&format!("x:{}", useless.secret)));
        let query = if route.path.ends_with("info/refs") { "?service=git-upload-pack" } else { "" };
        let headers = [("authorization", basic.as_str()), ("private-token", useless.secret.as_str())];
        let answer = forge.anyone().send(route.method.as_str(), &format!("{path}{query}"), &headers, b"");
        assert_eq!(answer.status, 403, "{route:?} {}", answer.text);
        refused += 1;
    }
    assert!(refused > 60, "{refused}");
    let scope = format!("/jwt/auth?service=container_registry&scope=repository:{}:pull", project.full_path);
    let basic = format!("Basic {}", base64(&format!("x:{}", useless.secret)));
    let answer = forge.anyone().send("GET", &scope, &[("authorization", basic.as_str())], b"");
    assert_eq!(answer.status, 403, "{}", answer.text);
    forge.anyone().send("GET", &scope, &[], b"").expect(200);
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let sextet = (bits >> (18 - 6 * index)) & 63;
            out.push(if index <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

/// A member of one group creates a project, or a subgroup, in another one by naming it in the body, where only the
/// first place was checked.
#[test]
fn a_route_that_names_a_second_place_checks_both() {
    let forge = forge!();
    let mine = forge.group("mine", "private");
    let theirs = forge.group("theirs", "private");
    let alice = forge.person("alice");
    forge
        .root()
        .post(&format!("/groups/{}/members", mine.id), json!({ "user_id": alice.id, "access_level": 50 }))
        .expect(201);
    alice.post("/projects", json!({ "name": "a", "namespace_id": mine.id })).expect(201);
    let hidden = alice.post("/projects", json!({ "name": "a", "namespace_id": theirs.id }));
    let missing = alice.post("/projects", json!({ "name": "a", "namespace_id": 999_999 }));
    assert_eq!((hidden.status, hidden.text), (404, missing.text));
    alice.post("/groups", json!({ "name": "s", "path": "s", "parent_id": mine.id })).expect(201);
    let hidden = alice.post("/groups", json!({ "name": "s", "path": "s", "parent_id": theirs.id }));
    let missing = alice.post("/groups", json!({ "name": "s", "path": "s", "parent_id": 999_999 }));
    assert_eq!((hidden.status, hidden.text), (404, missing.text));
    // Seeing it is not enough either.
    forge
        .root()
        .post(&format!("/groups/{}/members", theirs.id), json!({ "user_id": alice.id, "access_level": 30 }))
        .expect(201);
    alice.post("/projects", json!({ "name": "a", "namespace_id": theirs.id })).expect(403);
}

/// A Maintainer is demoted; a request or a session that began before goes on minting tokens above the new role.
#[test]
fn nobody_creates_or_rotates_a_token_above_their_role_or_scopes_as_they_are_now() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = project.member(40);
    let owner_token = project.token(&["api"], 50);
    let own = maintainer
        .post(&project.path("/access_tokens"), json!({ "name": "m", "scopes": ["api"] }))
        .expect(201)
        .json();
    // Above the role.
    let path = project.path(&format!("/access_tokens/{}/rotate", owner_token.token_id));
    maintainer.post(&path, json!({})).expect(400);
    maintainer
        .post(&project.path("/access_tokens"), json!({ "name": "o", "scopes": ["api"], "access_level": 50 }))
        .expect(400);
    // Demoted: what was possible a moment ago is not any more.
    forge
        .root()
        .put(&project.path(&format!("/members/{}", maintainer.id)), json!({ "access_level": 30 }))
        .expect(200);
    maintainer
        .post(&project.path("/access_tokens"), json!({ "name": "d", "scopes": ["api"], "access_level": 10 }))
        .expect(400);
    maintainer.post(&project.path(&format!("/access_tokens/{}/rotate", own["id"])), json!({})).expect(401);
    // Above the scopes: `sudo` can be given only by who holds it.
    let admin = forge.with_token(&forge.personal_token("root", &["api"]));
    let body = json!({ "name": "s", "scopes": ["api", "sudo"] });
    admin.post(&format!("/users/{}/personal_access_tokens", maintainer.id), body.clone()).expect(400);
    forge.root().post(&format!("/users/{}/personal_access_tokens", maintainer.id), body).expect(201);
}

/// A leaked token of a bot mints another one before it is revoked, and the attacker stays.
#[test]
fn no_scope_lets_a_bot_make_a_credential_for_anybody() {
    let forge = forge!();
    let project = forge.project("private");
    let other = project.token(&["api"], 30);
    let bot = project.token(&["api", "self_rotate", "write_repository"], 50);
    bot.post(&project.path("/access_tokens"), json!({ "name": "x", "scopes": ["api"] })).expect(400);
    bot.post(&project.path(&format!("/access_tokens/{}/rotate", other.token_id)), json!({})).expect(401);
    bot.post(&format!("/personal_access_tokens/{}/rotate", other.token_id), json!({})).expect(401);
    bot.post("/users/1/personal_access_tokens", json!({ "name": "x", "scopes": ["api"] })).expect(403);
    bot.post("/users", json!({ "username": "x", "name": "x", "email": "x@example.com" })).expect(403);
}

/// A role, membership, block or scope is taken away and an answer remembered somewhere still lets the user in.
#[test]
fn a_change_of_role_membership_block_or_scope_bites_on_the_very_next_request() {
    let forge = forge!();
    let project = forge.project("private");
    let member = project.member(40);
    let membership = project.path(&format!("/members/{}", member.id));
    member.get(&project.path("/access_tokens")).expect(200);
    forge.root().put(&membership, json!({ "access_level": 30 })).expect(200);
    member.get(&project.path("/access_tokens")).expect(401);
    forge.root().delete(&membership).expect(204);
    member.get(&project.path("")).expect(404);
    // A membership with a date ends with the date, without any job.
    let body = json!({ "user_id": member.id, "access_level": 30, "expires_at": forge.clock.date(1) });
    forge.root().post(&project.path("/members"), body).expect(201);
    member.get(&project.path("")).expect(200);
    forge.clock.advance_days(1);
    member.get(&project.path("")).expect(404);
    // A block.
    member.get("/user").expect(200);
    forge.root().post(&format!("/users/{}/block", member.id), json!({})).expect(201);
    member.get("/user").expect(403);
    forge.root().post(&format!("/users/{}/unblock", member.id), json!({})).expect(201);
    member.get("/user").expect(200);
    // Visibility.
    let open = forge.project("public");
    forge.anyone().get(&open.path("")).expect(200);
    forge.root().put(&open.path(""), json!({ "visibility": "private" })).expect(200);
    forge.anyone().get(&open.path("")).expect(404);
    // An administrator's right.
    let admin_only = forge.root().get("/application/statistics");
    assert_eq!(admin_only.status, 200);
}

/// Revocation fails half way, and the person is told that it is done.
#[test]
fn a_write_that_fails_during_revocation_is_never_reported_as_done() {
    if std::env::var("PORTCULLIS_TEST_ENGINE").as_deref() == Ok("postgres") {
        // The trigger below is written for SQLite; what it proves does not depend on the engine.
        return;
    }
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let database = forge.folder().join("data/portcullis.sqlite3");
    let sql = |text: &str| {
        let done = std::process::Command::new("sqlite3").arg(&database).arg(text).status();
        done.is_ok_and(|status| status.success())
    };
    if !sql("CREATE TRIGGER broken BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'no jobs'); END") {
        eprintln!("sqlite3 is not installed, so the failure cannot be caused: skipped");
        return;
    }
    let path = project.path(&format!("/access_tokens/{}", bot.token_id));
    let answer = forge.root().delete(&path);
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(!answer.text.contains("no jobs"), "an internal error is not for clients: {}", answer.text);
    // Nothing of it happened, so it can be tried again.
    bot.get("/user").expect(200);
    assert_eq!(forge.root().get(&path).expect(200).json()["revoked"], false);
    assert!(sql("DROP TRIGGER broken"));
    forge.root().delete(&path).expect(204);
    bot.get("/user").expect(401);
}

/// Two rotations race, both succeed, and one of the two new tokens is forgotten but alive.
#[test]
fn parallel_rotations_yield_one_child() {
    let forge = Arc::new(forge!());
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let path = project.path(&format!("/access_tokens/{}/rotate", bot.token_id));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..8)
            .map(|index| {
                let (root, own) = (forge.root().clone(), bot.caller.clone());
                let (path, itself) = (path.clone(), project.path("/access_tokens/self/rotate"));
                scope.spawn(move || {
                    if index % 2 == 0 { root.post(&path, json!({})) } else { own.post(&itself, json!({})) }
                })
            })
            .collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    // A loser that presented the token after it had died was taken for a thief, and ended the family.
    let living = forge.root().get(&project.path("/access_tokens?state=active")).json();
    assert_eq!(made, 1, "{answers:?}");
    assert!(living.as_array().unwrap().len() <= 1, "{living}");
    let all = forge.root().get(&project.path("/access_tokens")).json();
    assert!(all.as_array().unwrap().len() <= 2, "{all}");
}

/// Many creations at once take the same bot name, and one of them fails or takes over another's bot.
#[test]
fn concurrent_creations_never_collide_on_a_bot_name() {
    let forge = Arc::new(forge!());
    let project = forge.project("private");
    let path = project.path("/access_tokens");
    let made: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..12)
            .map(|index| {
                let (root, path) = (forge.root().clone(), path.clone());
                scope.spawn(move || {
                    root.post(&path, json!({ "name": format!("t{index}"), "scopes": ["api"] }))
                        .expect(201)
                        .json()
                })
            })
            .collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut names: Vec<String> = made
        .iter()
        .map(|token| {
            forge.with_token(token["token"].as_str().unwrap()).get("/user").json()["username"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    let mut expected: Vec<_> = (1..12).map(|number| format!("project_{}_bot{number}", project.id)).collect();
    expected.push(format!("project_{}_bot", project.id));
    expected.sort();
    assert_eq!(names, expected);
}

/// A push of several refs: the decision about an allowed one leaks to the next, which is protected.
#[test]
fn a_decision_about_one_ref_never_counts_for_the_next() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 30);
    let git = Git::default();
    project.clone_with(&git, &bot.secret, "w");
    git.run_in("w", &["checkout", "-q", "-b", "free"]).works();
    git.commit("w", "a", "a");
    for refs in [["free", "free:main"], ["free:main", "free"]] {
        let mut arguments = vec!["push", "-q", "origin"];
        arguments.extend(refs);
        git.run_in("w", &arguments).fails_with("You are not allowed to push code to protected branches");
    }
    git.run_in("w", &["fetch", "-q"]).works();
    git.run_in("w", &["rev-parse", "--verify", "-q", "origin/free"]).fails_with("");
    git.run_in("w", &["push", "-q", "origin", "free"]).works();
}

/// A child's id of one project is used below another one, whose rules are weaker.
#[test]
fn children_are_always_looked_up_inside_their_parent() {
    let forge = forge!();
    let (mine, theirs) = (forge.project("private"), forge.project("private"));
    let alice = mine.member(50);
    let foreign = theirs.token(&["api"], 40);
    let own = mine.token(&["api"], 40);
    let missing = alice.get(&mine.path("/access_tokens/999999")).expect(404).text;
    let path = mine.path(&format!("/access_tokens/{}", foreign.token_id));
    assert_eq!(alice.get(&path).expect(404).text, missing);
    assert_eq!(alice.delete(&path).expect(404).text, missing);
    alice.post(&format!("{path}/rotate"), json!({})).expect(401);
    foreign.get("/user").expect(200);
    own.get("/user").expect(200);
    // The same for entries of the audit log, and for protections.
    let entry = forge.root().get(&theirs.path("/audit_events")).expect(200).json()[0]["id"].clone();
    alice.get(&mine.path(&format!("/audit_events/{entry}"))).expect(404);
    forge.root().post(&theirs.path("/protected_branches"), json!({ "name": "stable" })).expect(201);
    alice.get(&mine.path("/protected_branches/stable")).expect(404);
    alice.delete(&mine.path("/protected_branches/stable")).expect(404);
    let iid = forge.root().issue(theirs.id, "theirs");
    alice.get(&mine.path(&format!("/issues/{iid}"))).expect(404);
}

/// A stranger tries secrets and paths and learns from differences which exist.
#[test]
fn unknown_wrong_expired_and_foreign_tokens_look_alike_to_a_stranger() {
    let forge = forge!();
    let project = forge.project("private");
    let other = forge.project("private");
    let dead = project.token(&["read_repository"], 30);
    forge.root().delete(&project.path(&format!("/access_tokens/{}", dead.token_id))).expect(204);
    let body = json!({ "name": "e", "scopes": ["read_repository"], "expires_at": forge.clock.date(1) });
    let expired = project.token_with(body);
    forge.clock.advance_days(1);
    let foreign = other.token(&["read_repository"], 30);
    let mut wrong = foreign.secret.clone();
    wrong.replace_range(10..11, if &wrong[10..11] == "a" { "b" } else { "a" });
    let refs = |path: &str, secret: &str| {
        let basic = format!("Basic {}", base64(&format!("x:{secret}")));
        let path = format!("/{path}.git/info/refs?service=git-upload-pack");
        let answer = forge.anyone().send("GET", &path, &[("authorization", &basic)], b"");
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        (answer.status, answer.text, challenge)
    };
    let refused = refs(&project.full_path, "nonsense");
    assert_eq!(refused.0, 401);
    for secret in [&dead.secret, &expired.secret, &wrong] {
        for path in [&project.full_path, "acme/none"] {
            assert_eq!(refs(path, secret), refused);
        }
    }
    // A living token of another project sees the same answer for what is hidden and what is not there.
    assert_eq!(refs(&project.full_path, &foreign.secret), refs("acme/none", &foreign.secret));
    assert_eq!(refs(&project.full_path, &foreign.secret).0, 404);
    // On the API, unknown and malformed secrets are the same; a holder of a real one is told that it died.
    let api = |secret: &str| forge.with_token(secret).get("/user").expect(401).text;
    assert_eq!(api("nonsense"), api(&wrong));
    let (hidden, missing) = (foreign.get(&project.path("")), foreign.get("/projects/acme%2Fnone"));
    assert_eq!((hidden.status, hidden.text), (missing.status, missing.text));
}

/// A client sends X-Forwarded-For and is taken for the loopback address.
#[test]
fn forwarded_headers_count_only_from_configured_proxies() {
    let spoof = [("x-forwarded-for", "198.51.100.7")];
    let forge = forge!();
    // Loopback may read the metrics, but not when it claims to speak for somebody and nobody vouches for that.
    assert_eq!(forge.anyone().send("GET", "/-/metrics", &[], b"").status, 200);
    assert_eq!(forge.anyone().send("GET", "/-/metrics", &spoof, b"").status, 401);
    let address = |forge: &TestForge| {
        let headers = [spoof[0], ("content-type", "application/json")];
        let body = br#"{"name":"g","path":"g","visibility":"public"}"#;
        assert_eq!(forge.root().send("POST", "/api/v4/groups", &headers, body).status, 201);
        let events = forge.root().get("/audit_events").expect(200).json();
        let made = events.as_array().unwrap().iter().find(|event| event["event_name"] == "group_created");
        made.unwrap()["details"]["ip_address"].clone()
    };
    assert_eq!(address(&forge), "127.0.0.1");
    let behind = forge!(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    assert_eq!(address(&behind), "198.51.100.7");
    assert_eq!(behind.anyone().send("GET", "/-/metrics", &spoof, b"").status, 401);
}

/// A branch, a path or a name reaches a shell, or stands where a program expects an option.
#[test]
fn names_never_reach_a_shell_or_an_option_position() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    for branch in [
        "--upload-pack=touch",
        "-x",
        "a b",
        "a..b",
        "a~1",
        "$(touch x)",
        "a\nb",
        "refs/../x",
        ".lock",
        "x.lock",
        "@{",
        "",
    ] {
        let body = json!({ "name": "p", "namespace_id": group.id, "default_branch": branch, "initialize_with_readme": true });
        let answer = forge.root().post("/projects", body);
        if branch.is_empty() {
            // Nothing was asked for, so the default is taken.
            answer.expect(201);
        } else if branch == "$(touch x)" {
            assert!(matches!(answer.status, 201 | 400), "{}", answer.text);
        } else {
            assert_eq!(answer.status, 400, "{branch}: {}", answer.text);
        }
    }
    for path in ["-x", "--help", "a/b", "..", "a..b", "x.git", "$(x)", "a;b", "a\u{0}b", "ａ"] {
        let answer =
            forge.root().post("/projects", json!({ "name": "n", "path": path, "namespace_id": group.id }));
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        let answer = forge.root().post("/groups", json!({ "name": "n", "path": path }));
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    // Texts that people read may hold anything that is no control character, and come back as they went in.
    let name = "Robert'); DROP TABLE users;-- <script>$(x)`y`";
    let made = forge
        .root()
        .post("/projects", json!({ "name": name, "path": "bobby", "namespace_id": group.id }))
        .expect(201);
    assert_eq!(made.json()["name"], name);
}

/// Somebody sends nonsense, and the server tells its insides, changes something, or falls over.
#[test]
fn bad_input_is_named_changes_nothing_and_the_server_goes_on() {
    let forge = forge!();
    let project = forge.project("private");
    let tokens = project.path("/access_tokens");
    let before = forge.root().get(&tokens).json();
    let json_type = [("content-type", "application/json")];
    let send = |body: &[u8]| {
        let answer = forge.root().send("POST", &format!("/api/v4{tokens}"), &json_type, body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        answer.text
    };
    assert!(send(b"{").contains("not valid JSON"));
    assert!(send(b"[]").contains("must be a JSON object"));
    assert!(send(b"\xff\xfe").contains("not valid JSON"));
    let deep = "[".repeat(100_000);
    assert!(send(deep.as_bytes()).contains("not valid JSON"));
    for (body, expected) in [
        (json!({}), "name is missing, scopes is missing"),
        (json!({ "name": {}, "scopes": ["api"] }), "name is invalid"),
        (json!({ "name": "x", "scopes": { "a": 1 } }), "scopes is invalid"),
        (json!({ "name": "x", "scopes": ["api", "everything"] }), "scopes does not have a valid value"),
        (json!({ "name": "x", "scopes": ["sudo"] }), "scopes does not have a valid value"),
        (
            json!({ "name": "x", "scopes": ["api"], "access_level": 0 }),
            "access_level does not have a valid value",
        ),
        (
            json!({ "name": "x", "scopes": ["api"], "access_level": 99_999_999_999_i64 }),
            "access_level does not have a valid value",
        ),
        (json!({ "name": "x", "scopes": ["api"], "access_level": "much" }), "access_level is invalid"),
        (json!({ "name": "x", "scopes": ["api"], "expires_at": "2026-02-30" }), "expires_at is invalid"),
        (json!({ "name": "x", "scopes": ["api"], "expires_at": "soon" }), "expires_at is invalid"),
        (json!({ "name": "x", "scopes": ["api"], "expires_at": "2001-01-01" }), "must be after"),
        (json!({ "name": "a\u{7}b", "scopes": ["api"] }), "can't contain control characters"),
        (json!({ "name": "x".repeat(256), "scopes": ["api"] }), "is too long"),
        (json!({ "name": "   ", "scopes": ["api"] }), "can't be blank"),
    ] {
        let answer = forge.root().post(&tokens, body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(answer.text.contains(expected), "{body}: {}", answer.text);
    }
    for (path, body) in [
        ("/groups", json!({ "name": "g", "path": "g", "description": "a\u{0}b" })),
        ("/projects", json!({ "name": "p", "topics": ["a\u{0}"] })),
    ] {
        assert!(forge.root().post(path, body).expect(400).text.contains("NUL"));
    }
    for query in ["search=%00", "search=a%00b&per_page=1", "username=%00"] {
        forge.root().get(&format!("/users?{query}")).expect(400);
        forge.root().get(&format!("/projects?{query}")).expect(400);
    }
    let long = "x".repeat(20_000);
    assert_eq!(forge.root().get(&format!("/projects?search={long}")).expect(200).json(), json!([]));
    forge.root().get(&project.path("/protected_branches/%00")).expect(404);
    forge.root().get("/users/%00/status").expect(404);
    let large = vec![b'x'; 2 << 20];
    let answer = forge.root().send("POST", &format!("/api/v4{tokens}"), &json_type, &large);
    assert_eq!(answer.status, 413, "{}", answer.text);
    let answer =
        forge.root().send("POST", &format!("/api/v4{tokens}"), &[("content-type", "text/csv")], b"a,b");
    assert_eq!(answer.status, 415, "{}", answer.text);
    for path in [
        "/projects/%2e%2e%2f%2e%2e",
        "/projects/a%2F..%2Fb",
        "/projects/%00",
        "/projects/%ff",
        "/projects/99999999999999999999",
        "/projects/-1",
        "/nothing",
        "/projects/1/nothing",
    ] {
        let answer = forge.root().get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        assert!(answer.json().is_object());
    }
    assert_eq!(forge.root().get(&tokens).json(), before);
    assert_eq!(forge.root().get(&project.path("/members")).json().as_array().map(Vec::len), Some(0));
    forge.root().get("/version").expect(200);
}

/// Somebody closes their half of the connection, or sends a header line that never ends.
#[test]
fn half_closed_connections_get_their_answer() {
    use std::io::{Read, Write};
    let forge = forge!();
    let address = forge.url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket
        .write_all(
            format!("GET /-/health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // A body that is announced and does not come changes nothing.
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let secret = forge.root().token.clone().unwrap();
    let head = format!(
        "POST /api/v4/groups HTTP/1.1\r\nhost: {address}\r\nprivate-token: {secret}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"name\":"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    let _ = socket.read_to_string(&mut text);
    assert!(!text.starts_with("HTTP/1.1 201"), "{text}");
    assert_eq!(forge.root().get("/groups").json(), json!([]));
}

/// A secret appears in an answer that is not the one that made it, or in what links repeat.
#[test]
fn a_secret_is_shown_once_and_never_repeated() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let mut seen = Vec::new();
    for path in ["/access_tokens", "/audit_events", "/events", "/members", ""] {
        let with_secret = format!("{}?private_token={}&per_page=1", project.path(path), bot.secret);
        let answer = forge.anyone().send("GET", &format!("/api/v4{with_secret}"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text);
        seen.push(format!("{:?} {}", answer.headers, answer.text));
    }
    seen.push(bot.get("/personal_access_tokens/self").expect(200).text);
    for text in seen {
        assert!(!text.contains(&bot.secret), "{text}");
        assert!(!text.contains("\"token\":"), "{text}");
    }
    let refused = forge!(|settings| settings.allow_token_in_query = false);
    let secret = refused.root().token.clone().unwrap();
    assert_eq!(
        refused.anyone().send("GET", &format!("/api/v4/user?private_token={secret}"), &[], b"").status,
        401
    );
    let _: Value = refused.root().get("/user").expect(200).json();
}
