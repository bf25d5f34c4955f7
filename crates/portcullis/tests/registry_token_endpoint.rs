//! The token service of the registry: the challenge that leads there, whom it answers what, and what is in a bearer. The
//! numbers in names are those of the assertions about tokens.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::registry::{
    Algorithm, Body, RegistryAnswer, RegistryClient, SERVICE, actions_in, base64url, bearer_in, claims,
    encode, jose_header, sha256, strings,
};
use portcullis_testkit::{Connection, Project, TestForge, basic, forge};
use serde_json::{Value, json};

/// Asks the token endpoint with these parameters as they are.
fn ask(forge: &TestForge, query: &str, authorization: Option<&str>) -> RegistryAnswer {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    forge.anonymous_registry().send("GET", &format!("/jwt/auth{query}"), &headers, Body::Bytes(b""))
}

fn scope(project: &Project<'_>, actions: &str) -> String {
    format!("repository:{}/img:{actions}", project.full_path)
}

/// An access entry of a bearer: type, name and actions.
type Entry = (String, String, Vec<String>);

fn entries(bearer: &str) -> Vec<Entry> {
    let claims = claims(bearer);
    let entries = claims["access"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries.iter().map(|one| (text(&one["type"]), text(&one["name"]), strings(&one["actions"]))).collect()
}

#[test]
fn assertion_59_scopes_and_role_decide_together_what_is_granted() {
    let forge = forge!();
    let project = forge.project("private");
    let granted = |scopes: &[&str], level| {
        let bot = project.token(scopes, level);
        forge.registry(&bot.secret).granted(&scope(&project, "pull,push"))
    };
    assert_eq!(granted(&["read_registry"], 40), ["pull"]);
    assert_eq!(granted(&["read_registry", "write_registry"], 30), ["pull", "push"]);
    assert_eq!(granted(&["read_registry", "write_registry"], 20), ["pull"]);
    assert_eq!(granted(&["write_registry"], 30), ["push"]);
    assert_eq!(granted(&["write_registry"], 20), Vec::<String>::new());
    assert_eq!(granted(&["read_registry", "write_registry"], 10), Vec::<String>::new());
}

#[test]
fn assertion_60_without_any_right_to_images_access_is_forbidden() {
    let forge = forge!();
    let project = forge.project("private");
    for scopes in [&["read_repository"][..], &["write_repository", "read_repository"], &["self_rotate"]] {
        let bot = project.token(scopes, 40);
        let client = forge.registry(&bot.secret);
        for asked in [&[][..], &[&*scope(&project, "pull")]] {
            let answer = client.token_answer(asked).expect_error(403, "DENIED");
            assert_eq!(answer.json()["errors"][0]["message"], "access forbidden");
        }
    }
    let wrong = format!("{}x", project.token(&["api"], 40).secret);
    for password in [&*wrong, "", "secret"] {
        let answer = ask(&forge, &format!("?service={SERVICE}"), Some(&basic("x", password)));
        let answer = answer.expect_error(401, "UNAUTHORIZED");
        let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("HTTP Basic: Access denied."), "{message}");
    }
}

#[test]
fn assertion_61_what_is_denied_is_left_out_and_the_answer_is_still_200() {
    let forge = forge!();
    let (mine, other) = (forge.project("private"), forge.project("private"));
    let client = forge.registry(&mine.token(&["read_registry"], 30).secret);
    let answer =
        client.token_answer(&[&scope(&mine, "push,pull,delete"), &scope(&other, "pull")]).expect(200);
    let expected = ("repository".to_owned(), format!("{}/img", mine.full_path), vec!["pull".to_owned()]);
    assert_eq!(entries(&bearer_in(&answer)), [expected]);
    // Nothing at all is no error either.
    let answer = client.token_answer(&[&scope(&other, "pull,push")]).expect(200);
    assert_eq!(claims(&bearer_in(&answer))["access"], json!([]));
    let answer = client.token_answer(&[&scope(&mine, "push")]).expect(200);
    assert_eq!(claims(&bearer_in(&answer))["access"], json!([]));
}

#[test]
fn the_service_must_be_ours() {
    let forge = forge!();
    let project = forge.project("public");
    let authorization = basic("x", &project.token(&["api"], 40).secret);
    for query in [
        "",
        "?service=",
        "?service=registry.example.com",
        "?Service=container_registry",
        "?service=container_registry%20",
    ] {
        for authorization in [None, Some(&*authorization)] {
            ask(&forge, query, authorization).expect(404);
        }
    }
    ask(&forge, &format!("?service={SERVICE}"), Some(&authorization)).expect(200);
}

#[test]
fn a_form_is_answered_with_404_so_that_clients_fall_back() {
    let forge = forge!();
    let project = forge.project("public");
    let secret = project.token(&["api"], 40).secret;
    let form =
        format!("grant_type=password&username=x&password={secret}&service={SERVICE}&client_id=buildkit");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = forge.anonymous_registry().send("POST", "/jwt/auth", &headers, Body::Bytes(form.as_bytes()));
    answer.expect(404);
    let answer = forge.anonymous_registry().send(
        "POST",
        &format!("/jwt/auth?service={SERVICE}"),
        &[],
        Body::Bytes(b""),
    );
    answer.expect(404);
}

#[test]
fn every_way_in_which_a_credential_does_not_live_is_401() {
    let forge = forge!();
    let project = forge.project("public");
    let expiring =
        json!({ "name": "ci", "scopes": ["api"], "access_level": 40, "expires_at": forge.clock.date(1) });
    let expiring = project.token_with(expiring);
    let revoked = project.token(&["api"], 40);
    let blocked = forge.person("blocked");
    let query = format!("?service={SERVICE}&scope={}", encode(&scope(&project, "pull")));
    let status = |secret: &str| ask(&forge, &query, Some(&basic("x", secret))).status;
    let blocked_secret = blocked.caller.token.clone().unwrap();
    for secret in [&expiring.secret, &revoked.secret, &blocked_secret] {
        assert_eq!(status(secret), 200);
    }
    forge.root().delete(&project.path(&format!("/access_tokens/{}", revoked.token_id))).expect(204);
    forge.root().post(&format!("/users/{}/block", blocked.id), json!({})).expect(201);
    // On the day on which it expires it is dead already.
    forge.clock.advance_days(1);
    // Even what is open to anybody is not given for a credential that is wrong.
    for secret in [&expiring.secret, &revoked.secret, &blocked_secret] {
        let answer = ask(&forge, &query, Some(&basic("x", secret))).expect_error(401, "UNAUTHORIZED");
        assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")), "{answer:?}");
    }
    for authorization in [
        "Basic !!!",
        "Basic",
        "Bearer x",
        "Digest a=b",
        "Basic eA==",
        &basic("", &project.token(&["api"], 40).secret),
    ] {
        let answer = ask(&forge, &query, Some(authorization));
        assert_eq!(answer.status, 401, "{authorization}: {answer:?}");
    }
    ask(&forge, &query, None).expect(200);
}

#[test]
fn any_user_name_goes_with_a_token() {
    let forge = forge!();
    let project = forge.project("private");
    let secret = project.token(&["read_registry"], 20).secret;
    for user in ["x", "oauth2", "gitlab-ci-token", "project_1_bot", "root", "\u{e4}"] {
        let query =
            format!("?service={SERVICE}&account={}&scope={}", encode(user), encode(&scope(&project, "pull")));
        let answer = ask(&forge, &query, Some(&basic(user, &secret))).expect(200);
        assert_eq!(actions_in(&claims(&bearer_in(&answer))), ["pull"], "{user}");
    }
}

#[test]
fn a_login_without_a_scope_gives_a_bearer_without_rights() {
    let forge = forge!();
    let project = forge.project("private");
    for scopes in [&["api"][..], &["read_api"], &["read_registry"], &["write_registry"]] {
        let client = forge.registry(&project.token(scopes, 10).secret);
        let bearer = client.bearer(&[]);
        assert_eq!(claims(&bearer)["access"], json!([]));
        client.with_bearer(&bearer).ask("GET", "/v2/", &[], Body::Bytes(b"")).expect(200);
    }
}

#[test]
fn nobody_gets_a_bearer_only_for_what_is_public() {
    let forge = forge!();
    let [public, internal, private] =
        ["public", "internal", "private"].map(|visibility| forge.project(visibility));
    let anyone = forge.anonymous_registry();
    let bearer = anyone.bearer(&[&scope(&public, "pull,push,delete,*")]);
    assert_eq!(actions_in(&claims(&bearer)), ["pull"]);
    assert_eq!(claims(&bearer)["sub"], "");
    let both = [scope(&public, "pull"), scope(&private, "pull")];
    assert_eq!(entries(&anyone.bearer(&[&both.join(" ")])).len(), 1);
    let missing = format!("repository:{}/missing:pull", public.group.full_path);
    let refused = [
        vec![],
        vec![scope(&internal, "pull")],
        vec![scope(&private, "pull")],
        vec![missing],
        vec![scope(&public, "push")],
    ];
    let mut answers = Vec::new();
    for scopes in &refused {
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let answer = anyone.token_answer(&scopes).expect_error(403, "DENIED");
        answers.push(String::from_utf8(answer.body).unwrap());
    }
    // What is hidden and what is missing are answered alike.
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
}

#[test]
fn scopes_are_read_in_every_way_they_are_written() {
    let forge = forge!();
    let (one, two) = (forge.project("private"), forge.project("public"));
    let client = forge.registry(&one.token(&["api"], 40).secret);
    let name = |project: &Project<'_>| format!("{}/img", project.full_path);
    let (a, b) = (name(&one), name(&two));
    let entry = |name: &str, actions: &[&str]| {
        (
            "repository".to_owned(),
            name.to_owned(),
            actions.iter().map(|action| (*action).to_owned()).collect(),
        )
    };
    let cases: Vec<(Vec<String>, Vec<Entry>)> = vec![
        // The order is that of the request, and nothing is there twice.
        (vec![format!("repository:{a}:push,pull")], vec![entry(&a, &["push", "pull"])]),
        (vec![format!("repository:{a}:delete,push,pull,push")], vec![entry(&a, &["delete", "push", "pull"])]),
        (
            vec![format!("repository:{a}:pull"), format!("repository:{a}:push,pull")],
            vec![entry(&a, &["pull", "push"])],
        ),
        // Several in one parameter, or one in each.
        (
            vec![format!("repository:{a}:pull repository:{b}:pull")],
            vec![entry(&a, &["pull"]), entry(&b, &["pull"])],
        ),
        (
            vec![format!("repository:{b}:pull"), format!("repository:{a}:pull")],
            vec![entry(&b, &["pull"]), entry(&a, &["pull"])],
        ),
        // Unknown words are passed over.
        (vec![format!("repository(plugin):{a}:pull")], vec![entry(&a, &["pull"])]),
        (vec![format!("repository:{a}:pull,fly")], vec![entry(&a, &["pull"])]),
        (
            vec![
                format!("plugin:{a}:pull"),
                format!("repository:{a}:fly"),
                "repository".to_owned(),
                "::".to_owned(),
                String::new(),
            ],
            vec![],
        ),
        (vec!["registry:catalog:*".to_owned()], vec![]),
        // A name is no pattern.
        (vec!["repository:*:pull".to_owned(), "repository:**:pull,push".to_owned()], vec![]),
        (vec![format!("repository:{}/*:pull", one.full_path)], vec![]),
        (vec![format!("repository:{}/..%2f:pull", one.full_path)], vec![]),
    ];
    for (scopes, expected) in cases {
        let asked: Vec<_> = scopes.iter().map(String::as_str).collect();
        assert_eq!(entries(&client.bearer(&asked)), expected, "{scopes:?}");
    }
}

#[test]
fn more_scopes_than_anybody_needs_are_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let secret = project.token(&["api"], 40).secret;
    let authorization = basic("x", &secret);
    let one = |number: usize| format!("repository:{}/i{number}:pull", project.full_path);
    let query = |values: &[String]| {
        let values: Vec<_> = values.iter().map(|value| format!("&scope={}", encode(value))).collect();
        format!("?service={SERVICE}{}", values.concat())
    };
    let many = |count: usize| (0..count).map(one).collect::<Vec<_>>();
    let answer = ask(&forge, &query(&many(20)), Some(&authorization)).expect(200);
    assert_eq!(entries(&bearer_in(&answer)).len(), 20);
    for refused in [query(&many(21)), query(&[many(21).join(" ")]), query(&["x".repeat(9000)])] {
        ask(&forge, &refused, Some(&authorization)).expect_error(400, "UNSUPPORTED");
    }
    // What is longer may be refused before it is read at all.
    for huge in [query(&many(10_000)), format!("?service={SERVICE}&scope={}", "x".repeat(1 << 20))] {
        let line = format!("GET /jwt/auth{huge}");
        let reply = Connection::ask(&forge, &line, &[&format!("Authorization: {authorization}")], b"");
        assert!(matches!(reply.status, 400 | 414 | 431), "{}", reply.status);
    }
    ask(&forge, &query(&many(1)), Some(&authorization)).expect(200);
}

#[test]
fn the_answer_says_how_long_it_holds_and_is_not_kept() {
    let forge = forge!();
    let project = forge.project("private");
    let authorization = basic("x", &project.token(&["api"], 40).secret);
    let query = format!(
        "?service={SERVICE}&scope={}&account=x&client_id=docker&offline_token=true",
        encode(&scope(&project, "pull"))
    );
    let answer = ask(&forge, &query, Some(&authorization)).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    // RFC 3339, with or without a fraction.
    let issued_at = body["issued_at"].as_str().unwrap();
    assert!(issued_at.starts_with("2026-03-02T12:00:00") && issued_at.ends_with('Z'), "{issued_at}");
    assert_eq!(body.get("refresh_token"), None);
    assert_eq!(body.as_object().unwrap().len(), 4);
}

#[test]
fn a_bearer_says_who_what_and_for_how_long() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let user = bot.get("/user").expect(200).json();
    let client = forge.registry(&bot.secret);
    let bearer = client.bearer(&[&scope(&project, "pull,push")]);
    let header = jose_header(&bearer);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("JWT"), &json!("ES256")));
    let claims = claims(&bearer);
    assert_eq!(claims["iss"], "portcullis");
    let audience = &claims["aud"];
    assert!(*audience == json!(SERVICE) || *audience == json!([SERVICE]), "{audience}");
    assert_eq!(claims["sub"], user["username"]);
    // Noon of 2 March 2026.
    let now = 1_772_452_800;
    assert_eq!(
        (&claims["iat"], &claims["nbf"], &claims["exp"]),
        (&json!(now), &json!(now - 5), &json!(now + 300))
    );
    assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
    assert_eq!(claims["tid"], bot.token_id);
    assert!(!bearer.contains(&bot.secret) && !claims.to_string().contains(&bot.secret));
    let access = claims["access"].as_array().unwrap();
    assert_eq!(access.len(), 1);
    assert_eq!(access[0]["type"], "repository");
    assert_eq!(access[0]["name"], format!("{}/img", project.full_path));
    assert_eq!(access[0]["actions"], json!(["pull", "push"]));
    // Each is another one.
    let again = portcullis_testkit::registry::claims(&client.bearer(&[&scope(&project, "pull,push")]));
    assert_ne!(again["jti"], claims["jti"]);
}

fn keys(client: &RegistryClient) -> Vec<Value> {
    let answer = client.send("GET", "/jwt/jwks", &[], Body::Bytes(b"")).expect(200);
    answer.json()["keys"].as_array().unwrap().clone()
}

#[test]
fn the_public_keys_are_there_for_everybody_and_only_they() {
    let forge = forge!();
    let project = forge.project("private");
    let client = forge.registry(&project.token(&["api"], 40).secret);
    let kid = jose_header(&client.bearer(&[]))["kid"].clone();
    let keys = keys(&forge.anonymous_registry());
    let key = keys.iter().find(|key| key["kid"] == kid).unwrap();
    assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
    // RFC 7638: the members that make the key, in the order of their names.
    let members = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}", key["x"], key["y"]);
    assert_eq!(kid, base64url(&sha256(members.as_bytes())));
    for key in &keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None);
        }
    }
}

#[test]
fn bearers_are_signed_with_rsa_for_those_who_know_nothing_else() {
    use portcullis_app::settings::SigningAlgorithm;
    let forge = forge!(|settings| settings.signing_algorithm = SigningAlgorithm::Rs256);
    let repository = forge.image();
    repository.push_image("v1", "image");
    let header = jose_header(&repository.client.bearer(&[]));
    assert_eq!(header["alg"], "RS256");
    let keys = keys(&forge.anonymous_registry());
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!(key["kty"], "RSA");
    assert!(key["n"].is_string() && key["e"].is_string() && key.get("d").is_none());
}

#[test]
fn a_bearer_lives_as_long_as_the_operator_says() {
    let forge = forge!(|settings| settings.registry_token_seconds = 60);
    let repository = forge.image();
    let answer = repository.client.token_answer(&[]).expect(200);
    assert_eq!(answer.json()["expires_in"], 60);
    let bearer = bearer_in(&answer);
    let claims = claims(&bearer);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    let client = repository.client.with_bearer(&bearer);
    client.ask("GET", "/v2/", &[], Body::Bytes(b"")).expect(200);
    forge.clock.advance_seconds(180);
    let challenge = client.ask("GET", "/v2/", &[], Body::Bytes(b"")).challenge();
    assert_eq!(challenge.error.as_deref(), Some("invalid_token"));
}

#[test]
fn a_registry_that_is_switched_off_is_not_there() {
    let forge = forge!(|settings| settings.container_registry = false);
    let project = forge.project("public");
    let secret = project.token(&["api"], 40).secret;
    let client = forge.registry(&secret);
    for answer in
        [client.token_answer(&[]), forge.anonymous_registry().token_answer(&[&scope(&project, "pull")])]
    {
        let answer = answer.expect_error(404, "UNAVAILABLE");
        assert_eq!(answer.json()["errors"][0]["message"], "registry not enabled");
    }
    for path in ["/v2/", &format!("/v2/{}/tags/list", project.full_path), "/v2/_catalog"] {
        let answer = client.send("GET", path, &[("authorization", &basic("x", &secret))], Body::Bytes(b""));
        answer.expect_error(404, "UNAVAILABLE");
    }
}

#[test]
fn a_person_signs_in_with_a_personal_token() {
    let forge = forge!();
    let project = forge.project("private");
    let developer = project.member(30);
    for (scopes, expected) in [
        (&["api"][..], &["pull", "push"][..]),
        (&["read_registry"], &["pull"]),
        (&["write_registry"], &["push"]),
        (&["read_api"], &["pull"]),
    ] {
        let client = forge.registry(&forge.personal_token(&developer.username, scopes));
        assert_eq!(client.granted(&scope(&project, "pull,push,delete")), expected, "{scopes:?}");
        assert_eq!(claims(&client.bearer(&[]))["sub"], developer.username);
    }
}

#[test]
fn only_a_maintainer_with_the_whole_api_may_delete() {
    let forge = forge!();
    let project = forge.project("private");
    let granted = |scopes: &[&str], level| {
        forge.registry(&project.token(scopes, level).secret).granted(&scope(&project, "delete"))
    };
    assert_eq!(granted(&["api"], 40), ["delete"]);
    assert_eq!(granted(&["api"], 50), ["delete"]);
    assert_eq!(granted(&["api"], 30), Vec::<String>::new());
    assert_eq!(granted(&["read_registry", "write_registry", "read_api"], 50), Vec::<String>::new());
    let everything =
        |level| forge.registry(&project.token(&["api"], level).secret).granted(&scope(&project, "*"));
    assert_eq!(everything(30), Vec::<String>::new());
}

#[test]
fn the_challenge_names_the_service_and_what_is_needed() {
    let forge = forge!();
    let project = forge.project("private");
    let name = format!("{}/img", project.full_path);
    let anyone = forge.anonymous_registry();
    let realm = format!("{}/jwt/auth", forge.url);
    let digest = format!("sha256:{}", "a".repeat(64));
    for (method, path, expected) in [
        ("GET", "/v2/".to_owned(), None),
        ("HEAD", "/v2/".to_owned(), None),
        ("GET", format!("/v2/{name}/tags/list"), Some("pull")),
        ("GET", format!("/v2/{name}/manifests/latest"), Some("pull")),
        ("HEAD", format!("/v2/{name}/manifests/{digest}"), Some("pull")),
        ("GET", format!("/v2/{name}/blobs/{digest}"), Some("pull")),
        ("GET", format!("/v2/{name}/referrers/{digest}"), Some("pull")),
        ("POST", format!("/v2/{name}/blobs/uploads/"), Some("pull,push")),
        ("PUT", format!("/v2/{name}/manifests/latest"), Some("pull,push")),
        ("DELETE", format!("/v2/{name}/manifests/latest"), Some("delete")),
        ("DELETE", format!("/v2/{name}/blobs/{digest}"), Some("delete")),
    ] {
        let answer = anyone.send(method, &path, &[], Body::Bytes(b""));
        let challenge = answer.challenge();
        assert_eq!((&challenge.realm, &*challenge.service), (&realm, SERVICE), "{method} {path}");
        let scope = expected.map(|actions| format!("repository:{name}:{actions}"));
        assert_eq!(challenge.scope, scope, "{method} {path}");
        assert_eq!(challenge.error, None);
        let order: &[&str] =
            if expected.is_some() { &["realm", "service", "scope"] } else { &["realm", "service"] };
        assert_eq!(challenge.order, order);
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
        if method == "HEAD" {
            assert_eq!(answer.body, b"");
            continue;
        }
        let answer = answer.expect_error(401, "UNAUTHORIZED");
        assert_eq!(answer.json()["errors"][0]["message"], "authentication required");
        if let Some(actions) = expected {
            let detail: Vec<_> = actions
                .split(',')
                .map(|action| json!({ "Type": "repository", "Class": "", "Name": name, "Action": action }))
                .collect();
            assert_eq!(answer.json()["errors"][0]["detail"], json!(detail), "{method} {path}");
        }
    }
}

#[test]
fn other_credentials_than_a_bearer_are_answered_with_the_challenge() {
    let forge = forge!();
    let project = forge.project("public");
    let secret = project.token(&["api"], 40).secret;
    let client = forge.anonymous_registry();
    let path = format!("/v2/{}/tags/list", project.full_path);
    for header in [
        ("authorization", basic("x", &secret)),
        ("authorization", format!("Bearer {secret}")),
        ("authorization", "Bearer".to_owned()),
        ("private-token", secret.clone()),
        ("job-token", secret.clone()),
    ] {
        for path in ["/v2/", &path] {
            client.send("GET", path, &[(header.0, &header.1)], Body::Bytes(b"")).challenge();
        }
    }
    client
        .send("GET", &format!("{path}?private_token={secret}&access_token={secret}"), &[], Body::Bytes(b""))
        .challenge();
    // And a bearer opens nothing but the registry.
    let bearer = forge.registry(&secret).bearer(&[&scope(&project, "pull,push,delete")]);
    forge.with_token(&bearer).get("/user").expect(401);
    let answer = client.send(
        "GET",
        "/api/v4/user",
        &[("authorization", &format!("Bearer {bearer}"))],
        Body::Bytes(b""),
    );
    answer.expect(401);
    let answer = ask(&forge, &format!("?service={SERVICE}"), Some(&basic("x", &bearer)));
    answer.expect(401);
}

/// A client sends its password to the realm, so nobody who chooses headers may choose the realm.
#[test]
fn the_realm_never_comes_from_the_request() {
    let plain = forge!();
    let named = forge!(|settings| settings.external_url = Some("https://git.example.com".to_owned()));
    for (forge, origin) in [(&plain, &*plain.url), (&named, "https://git.example.com")] {
        for headers in [
            &["Host: evil.example"][..],
            &["X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 4443"],
            &["Forwarded: host=evil.example;proto=https"],
            &["X-Forwarded-Proto: gopher"],
            &["X-Original-Host: evil.example", "X-Forwarded-Server: evil.example"],
        ] {
            let mut connection = Connection::open(forge);
            let host = if headers[0].starts_with("Host") { "" } else { "Host: forge\r\n" };
            connection
                .send(format!("GET /v2/ HTTP/1.1\r\n{host}{}\r\n\r\n", headers.join("\r\n")).as_bytes());
            let reply = connection.head();
            let header = reply.header("www-authenticate").unwrap();
            let expected = format!("Bearer realm=\"{origin}/jwt/auth\",service=\"{SERVICE}\"");
            assert_eq!(header, expected, "{headers:?}");
        }
        // Nor from an address that names another host.
        let mut connection = Connection::open(forge);
        connection.send(b"GET http://evil.example/v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        let reply = connection.head();
        assert!(!format!("{reply:?}").contains("evil"), "{reply:?}");
    }
}

#[test]
fn where_an_upload_goes_on_never_comes_from_the_request() {
    let forge = forge!(|settings| settings.external_url = Some("https://git.example.com".to_owned()));
    let repository = forge.image();
    let bearer = {
        // The realm is an address that leads nowhere here, so the bearer is fetched by hand.
        repository.client.bearer(&[&format!("repository:{}:pull,push", repository.name)])
    };
    let headers = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("content-type", "application/octet-stream"),
    ];
    let client = repository.client.with_bearer(&bearer);
    let answer =
        client.ask("POST", &repository.path("/blobs/uploads/"), &headers, Body::Bytes(b"")).expect(202);
    assert!(answer.location().starts_with(&repository.path("/blobs/uploads/")));
    let digest = Algorithm::Sha256.digest(b"x");
    let put = format!("{}?digest={digest}", answer.location());
    let answer = client.ask("PUT", &put, &headers, Body::Bytes(b"x")).expect(201);
    assert_eq!(answer.location(), repository.path(&format!("/blobs/{digest}")));
}
