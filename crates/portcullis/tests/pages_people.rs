//! Signing in with a browser and out again, sessions and passwords, as a browser sees them.

use portcullis_testkit::{Browser, PASSWORD, encoded, forge, form_number};
use serde_json::{Value, json};

const WRONG: &str = "That did not work. Check the name and the password.";

#[test]
fn who_signs_in_gets_a_cookie_for_this_host_alone_and_goes_where_they_wanted() {
    let forge = forge!();
    forge.person("maria");
    forge.give_password("maria");
    let mut browser = Browser::new(&forge);
    let asked = browser.get("/-/user_settings/sessions?x=1");
    assert_eq!(asked.status, 303);
    let expected = "/users/sign_in?return_to=%2F%2D%2Fuser%5Fsettings%2Fsessions%3Fx%3D1";
    assert_eq!(asked.header("location"), Some(expected));
    let form = browser.get(expected).expect(200);
    assert!(form.text.contains("value=\"/-/user_settings/sessions?x=1\""));

    let fields = [("login", "Maria"), ("password", PASSWORD), ("return_to", "/-/user_settings/sessions?x=1")];
    let answer = browser.post("/users/sign_in", &fields);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/-/user_settings/sessions?x=1")));
    let cookie = answer.header("set-cookie").unwrap();
    let (secret, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax");
    assert!(secret.starts_with("portcullis_session=pcs_"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // Nobody is sent to another host.
    for to in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
        let answer =
            browser.post("/users/sign_in", &[("login", "maria"), ("password", PASSWORD), ("return_to", to)]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/dashboard")));
    }
    browser.sign_in("maria@example.com", PASSWORD).expect(303);
    assert!(browser.get("/dashboard").expect(200).text.contains("maria Person"));
}

#[test]
fn where_pages_come_encrypted_the_cookie_is_bound_to_the_host() {
    let forge = forge!(|settings| settings.external_url = Some("https://git.example.com".to_owned()));
    forge.give_password("root");
    let caller = forge.anyone();
    let body = encoded(&[("login", "root"), ("password", PASSWORD)]);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [("origin", "https://git.example.com"), form];
    let answer = caller.send("POST", "/users/sign_in", &headers, body.as_bytes()).expect(303);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-portcullis_session=pcs_") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    caller.send("GET", "/dashboard", &[("cookie", cookie)], b"").expect(200);
    let plain = cookie.trim_start_matches("__Host-");
    caller.send("GET", "/dashboard", &[("cookie", plain)], b"").expect(303);
}

#[test]
fn nobody_learns_why_they_cannot_sign_in_and_a_bot_never_does() {
    let forge = forge!(|settings| settings.max_failed_sign_ins = 0);
    forge.person("maria");
    forge.give_password("maria");
    forge.person("without-password");
    let blocked = forge.person("blocked");
    forge.give_password("blocked");
    forge.root().post(&format!("/users/{}/block", blocked.id), Value::Null).expect(201);
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let name = bot.get("/user").json()["username"].as_str().unwrap().to_owned();
    let mut browser = Browser::new(&forge);
    for (login, password) in [
        ("maria", "wrong"),
        ("maria", ""),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("without-password", ""),
        ("without-password", PASSWORD),
        ("blocked", PASSWORD),
        ("ghost", PASSWORD),
        (&name, ""),
        (&name, &bot.secret),
        (&name, PASSWORD),
    ] {
        let answer = browser.sign_in(login, password);
        assert_eq!(answer.status, 422, "{login}");
        assert!(answer.text.contains(WRONG) && answer.header("set-cookie").is_none(), "{login}");
    }
    // What was typed as the name is kept, as text.
    let answer = browser.sign_in("\"><script>", "wrong");
    assert!(answer.text.contains("value=\"&#34;&#62;&#60;script&#62;\""), "{}", answer.text);
}

#[test]
fn guessing_a_password_is_slowed_down_for_the_name_whether_there_is_one_or_not() {
    let forge = forge!(|settings| settings.max_failed_sign_ins = 3);
    forge.person("maria");
    forge.give_password("maria");
    for name in ["maria", "nobody"] {
        let mut browser = Browser::new(&forge);
        for _ in 0..3 {
            browser.sign_in(name, "wrong").expect(422);
        }
        let answer = browser.sign_in(name, PASSWORD).expect(429);
        assert!(
            answer.text.contains("Try again in 10 minutes")
                || answer.text.contains("Try again in 11 minutes")
        );
        assert!(answer.header("retry-after").is_some());
    }
    forge.clock.advance_seconds(601);
    Browser::new(&forge).sign_in("maria", PASSWORD).expect(303);
}

/// A page elsewhere has a form that is sent to us by the browser of somebody signed in. Nothing must come of it, and a
/// browser must not be signed in by such a form either.
#[test]
fn what_another_site_sends_changes_nothing() {
    let forge = forge!();
    forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    let cookie = browser.cookie.clone().unwrap();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let own = forge.url.clone();
    for headers in [
        vec![form],
        vec![form, ("origin", "https://evil.example")],
        vec![form, ("origin", "null")],
        vec![form, ("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
        vec![form, ("origin", own.as_str()), ("sec-fetch-site", "same-site")],
    ] {
        let with_cookie = [headers.clone(), vec![("cookie", cookie.as_str())]].concat();
        for (path, body) in [
            ("/users/sign_out", ""),
            ("/projects", "name=stolen"),
            ("/-/user_settings/personal_access_tokens", "name=x&scopes%5B%5D=api"),
        ] {
            let answer = browser.caller.send("POST", path, &with_cookie, body.as_bytes());
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.text.contains("nothing was done"));
        }
        let body = encoded(&[("login", "maria"), ("password", PASSWORD)]);
        let answer = browser.caller.send("POST", "/users/sign_in", &headers, body.as_bytes());
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    }
    browser.get("/dashboard").expect(200);
    // A method that is named in the form, or in a header, is no method.
    let fields = [("_method", "delete")];
    browser.post("/-/user_settings/sessions", &fields).expect(405);
}

#[test]
fn a_session_opens_pages_alone_and_a_token_opens_none() {
    let forge = forge!();
    let maria = forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    let cookie = browser.cookie.clone().unwrap();
    let secret = cookie.split_once('=').unwrap().1.to_owned();
    let caller = forge.anyone();
    caller.send("GET", "/api/v4/user", &[("cookie", &cookie)], b"").expect(401);
    caller.send("GET", "/api/v4/user", &[("private-token", &secret)], b"").expect(401);
    caller.send("GET", "/api/v4/user", &[("authorization", &format!("Bearer {secret}"))], b"").expect(401);
    let token = maria.caller.token.clone().unwrap();
    for headers in [
        [("private-token", token.clone())],
        [("authorization", format!("Bearer {token}"))],
        [("cookie", format!("portcullis_session={token}"))],
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        caller.send("GET", "/dashboard", &headers, b"").expect(303);
    }
    caller.send("GET", &format!("/dashboard?private_token={token}"), &[], b"").expect(303);
}

#[test]
fn a_session_ends_by_signing_out_by_its_owner_by_time_and_by_a_block() {
    let forge = forge!();
    let maria = forge.person("maria");
    let (mut one, mut two) = (Browser::signed_in(&forge, "maria"), Browser::new(&forge));
    two.sign_in("maria", PASSWORD).expect(303);

    let list = one.get("/-/user_settings/sessions").expect(200).text;
    assert_eq!(list.matches("/revoke\"").count(), 2);
    assert!(list.contains("This browser"));
    // Somebody else's session is not there.
    forge.person("jo");
    let other = Browser::signed_in(&forge, "jo");
    let id = |list: &str, nth: usize| {
        let rest = list.split("/user_settings/sessions/").nth(nth).unwrap();
        rest.split('/').next().unwrap().to_owned()
    };
    let ids = [id(&list, 1), id(&list, 2)];
    for id in &ids {
        other.post(&format!("/-/user_settings/sessions/{id}/revoke"), &[]).expect(404);
    }
    one.get("/dashboard").expect(200);
    two.get("/dashboard").expect(200);

    let end = |browser: &Browser<'_>, id: &str| {
        browser.post(&format!("/-/user_settings/sessions/{id}/revoke"), &[])
    };
    for id in &ids {
        let answer = end(&one, id);
        assert!([303, 404].contains(&answer.status), "{}", answer.text);
    }
    one.get("/dashboard").expect(303);
    two.get("/dashboard").expect(303);

    one.sign_in("maria", PASSWORD).expect(303);
    let before = one.cookie.clone();
    one.sign_in("maria", PASSWORD).expect(303);
    assert_ne!(one.cookie, before, "the secret is another one after signing in again");
    Browser { cookie: before, ..Browser::new(&forge) }.get("/dashboard").expect(303);
    let kept = one.cookie.clone();
    let answer = one.post("/users/sign_out", &[]).expect(303);
    assert!(answer.header("set-cookie").unwrap().starts_with("portcullis_session=; Path=/; Max-Age=0;"));
    Browser { cookie: kept, ..Browser::new(&forge) }.get("/dashboard").expect(303);

    one.sign_in("maria", PASSWORD).expect(303);
    forge.clock.advance_seconds(72 * 3600 - 1);
    one.get("/dashboard").expect(200);
    forge.block_on(forge.forge.write_last_uses()).unwrap();
    forge.clock.advance_seconds(72 * 3600 - 1);
    one.get("/dashboard").expect(200);
    forge.clock.advance_seconds(1);
    one.get("/dashboard").expect(303);
    one.sign_in("maria", PASSWORD).expect(303);
    for _ in 0..14 {
        one.get("/dashboard").expect(200);
        forge.block_on(forge.forge.write_last_uses()).unwrap();
        forge.clock.advance_days(1);
    }
    one.get("/dashboard").expect(303);

    one.sign_in("maria", PASSWORD).expect(303);
    forge.root().post(&format!("/users/{}/block", maria.id), Value::Null).expect(201);
    one.get("/dashboard").expect(303);
    forge.root().post(&format!("/users/{}/unblock", maria.id), Value::Null).expect(201);
    one.get("/dashboard").expect(303);
    forge.run_recurring_jobs();
}

#[test]
fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let forge = forge!();
    forge.person("maria");
    let one = Browser::signed_in(&forge, "maria");
    let mut two = Browser::new(&forge);
    two.sign_in("maria", PASSWORD).expect(303);
    let change = |current: &str, new: &str, again: &str| {
        let fields = [("current_password", current), ("new_password", new), ("new_password_again", again)];
        one.post("/-/user_settings/password", &fields)
    };
    for (current, new, again, problem) in [
        ("wrong", "a new sentence", "a new sentence", "It is not your password."),
        (PASSWORD, "a new sentence", "another sentence", "It is not the same."),
        (PASSWORD, "short", "short", "It is too short (minimum is 8 characters)."),
    ] {
        let answer = change(current, new, again).expect(422);
        assert!(answer.text.contains(problem), "{}", answer.text);
        assert!(!answer.text.contains("a new sentence"), "a password came back");
    }
    two.get("/dashboard").expect(200);
    change(PASSWORD, "a new sentence", "a new sentence").expect(303);
    one.get("/dashboard").expect(200);
    two.get("/dashboard").expect(303);
    two.sign_in("maria", PASSWORD).expect(422);
    two.sign_in("maria", "a new sentence").expect(303);
}

#[test]
fn a_link_sets_a_password_once_within_a_day_and_a_newer_one_replaces_it() {
    use portcullis_app::access::Authorized;
    use portcullis_app::sessions;
    use portcullis_rules::access::act;
    let forge = forge!();
    forge.person("maria");
    let mut signed_in = Browser::signed_in(&forge, "maria");
    let link = |name: &str| {
        let access = Authorized::<act::AdministerUsers>::by_system("test");
        forge
            .block_on(sessions::make_password_link(&forge.forge, &access, name))
            .map(|link| link.reveal().to_owned())
    };
    let browser = Browser::new(&forge);
    let choose = |link: &str, new: &str| {
        let fields = [("reset_password_token", link), ("new_password", new), ("new_password_again", new)];
        browser.post("/users/password", &fields)
    };
    let (old, new) = (link("maria").unwrap(), link("maria").unwrap());
    choose(&old, "a new sentence").expect(404);
    let page = browser.get(&format!("/users/password/edit?reset_password_token={new}")).expect(200);
    assert!(page.text.contains("@maria"));
    choose(&new, "short").expect(422);
    signed_in.get("/dashboard").expect(200);
    choose(&new, "a new sentence").expect(303);
    signed_in.get("/dashboard").expect(303);
    choose(&new, "another sentence").expect(404);
    signed_in.sign_in("maria", "a new sentence").expect(303);
    let late = link("maria").unwrap();
    forge.clock.advance_days(1);
    choose(&late, "another sentence").expect(404);

    let project = forge.project("private");
    let bot = project.token(&["api"], 30);
    let name = bot.get("/user").json()["username"].as_str().unwrap().to_owned();
    assert!(link(&name).is_err() && link("ghost").is_err() && link("nobody").is_err());
}

#[test]
fn personal_tokens_are_made_shown_once_and_revoked_and_nobody_elses_are_there() {
    let forge = forge!();
    forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    let address = "/-/user_settings/personal_access_tokens";
    let page = browser.get(address).expect(200).text;
    assert!(!page.contains("scopes-sudo"), "only an administrator may ask for it");
    let form = form_number(&page);
    let fields =
        [("form_number", form.as_str()), ("name", "laptop"), ("scopes[]", "read_api"), ("scopes[]", "sudo")];
    browser.post(address, &fields).expect(422);
    let form = form_number(&browser.get(address).text);
    let fields = [("form_number", form.as_str()), ("name", "laptop"), ("scopes[]", "read_api")];
    let made = browser.post(address, &fields).expect(200).text;
    let secret = made.split("pcu_").nth(1).unwrap().chars().take(36).collect::<String>();
    let token = forge.with_token(&format!("pcu_{secret}"));
    let own = token.get("/personal_access_tokens/self").expect(200).json();
    assert_eq!((&own["name"], &own["scopes"]), (&json!("laptop"), &json!(["read_api"])));
    assert!(!browser.get(address).text.contains(&secret));
    browser.post(address, &fields).expect(409);
    // Root's own token is not to be found here, not even by root's number.
    browser.post(&format!("{address}/1/revoke"), &[]).expect(404);
    browser.get(&format!("{address}/1/revoke")).expect(404);
    browser.post(&format!("{address}/{}/revoke", own["id"]), &[]).expect(303);
    token.get("/user").expect(401);
    assert!(browser.get(address).text.contains("Revoked access token laptop!"));
}

#[test]
fn a_person_changes_their_name_and_nothing_else() {
    let forge = forge!();
    let maria = forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    let address = "/-/user_settings/profile";
    let page = browser.get(address).expect(200).text;
    assert!(
        page.contains("value=\"maria Person\"")
            && page.contains("@maria")
            && page.contains("maria@example.com")
    );
    let hostile = "Maria <script>alert(1)</script>";
    let fields =
        [("name", hostile), ("username", "root"), ("email", "root@example.com"), ("administrator", "true")];
    browser.post(address, &fields).expect(303);
    let page = browser.get(address).expect(200).text;
    assert!(
        page.contains("You are called Maria &#60;script&#62;") && !page.contains("<script>alert"),
        "{page}"
    );
    let user = forge.root().get(&format!("/users/{}", maria.id)).expect(200).json();
    assert_eq!(
        (&user["name"], &user["username"], &user["email"], &user["is_admin"]),
        (&json!(hostile), &json!("maria"), &json!("maria@example.com"), &json!(false))
    );
    let namespace = forge.root().get("/namespaces/maria").expect(200).json();
    assert_eq!(namespace["name"], hostile);
    let audit = forge.root().get("/audit_events?per_page=100").expect(200).json();
    let entry = audit.as_array().unwrap().iter().find(|entry| entry["event_name"] == "user_updated");
    assert_eq!(entry.unwrap()["author_id"], maria.id);
    for (name, problem) in
        [(" ", "The name can&#39;t be blank."), (&*"x".repeat(256), "The name is too long")]
    {
        let answer = browser.post(address, &[("name", name)]).expect(422).text;
        assert!(answer.contains(problem), "{answer}");
    }
    assert_eq!(forge.root().get(&format!("/users/{}", maria.id)).json()["name"], hostile);
    Browser::new(&forge).get(address).expect(303);
    Browser::new(&forge).post(address, &[("name", "x")]).expect(303);
}

#[test]
fn a_page_that_is_none_shows_who_is_signed_in() {
    let forge = forge!();
    forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    for path in ["/nobody-here", "/nobody/here", "/users/nothing"] {
        let page = browser.get(path).expect(404).text;
        assert!(page.contains("Account of maria Person") && page.ends_with("</html>"), "{path}: {page}");
    }
    let page = browser.post("/dashboard", &[]).expect(405).text;
    assert!(page.contains("Account of maria Person"));
    // A stranger, and a session that is over, are nobody.
    let page = Browser::new(&forge).get("/users/nothing").expect(404).text;
    assert!(page.contains("Page not found") && !page.contains("Account of"), "{page}");
    let over = Browser { cookie: browser.cookie.clone(), ..Browser::new(&forge) };
    browser.post("/users/sign_out", &[]).expect(303);
    let page = over.get("/users/nothing").expect(404).text;
    assert!(page.contains("Page not found") && !page.contains("Account of"), "{page}");
}
