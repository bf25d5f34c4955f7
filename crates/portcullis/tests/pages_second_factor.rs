//! The second factor of people who sign in with a browser, and groups that require it.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::{Answer, Browser, PASSWORD, TestForge, authenticator_code, forge};
use serde_json::json;

const PAGE: &str = "/-/user_settings/two_factor";
const ASKED: &str = "/users/two_factor";

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split(start)
        .nth(1)
        .and_then(|rest| rest.split(end).next())
        .unwrap_or_else(|| panic!("no {start}: {text}"))
}

/// What the page to set it up holds: the form's secret, and the one that is typed.
fn shown(page: &str) -> (String, String) {
    (
        between(page, "name=\"setup\" value=\"", "\"").to_owned(),
        between(page, "type the secret: <code>", "</code>").to_owned(),
    )
}

/// Sets a second factor up and returns its secret with the recovery codes.
fn set_up(browser: &Browser<'_>) -> (String, Vec<String>) {
    let (setup, secret) = shown(&browser.get(PAGE).expect(200).text);
    let code = authenticator_code(&secret, browser.forge.forge.now());
    let fields = [("setup", setup.as_str()), ("code", &code), ("password", PASSWORD)];
    let answer = browser.post(PAGE, &fields).expect(200);
    (secret, recovery_codes(&answer))
}

fn recovery_codes(answer: &Answer) -> Vec<String> {
    between(&answer.text, "<pre id=\"recovery-codes\">", "</pre>").lines().map(str::to_owned).collect()
}

/// Gives the password, and keeps the cookie that then asks for a code.
fn password_given<'a>(forge: &'a TestForge, name: &str) -> Browser<'a> {
    let mut browser = Browser::new(forge);
    let answer = browser.sign_in(name, PASSWORD).expect(303);
    assert!(answer.header("location").unwrap().starts_with(ASKED), "{:?}", answer.header("location"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("portcullis_sign_in=pcw_") && cookie.contains("; Max-Age=600; HttpOnly"),
        "{cookie}"
    );
    browser
}

#[test]
fn it_is_set_up_with_a_code_and_the_password_and_recovery_codes_are_shown_once() {
    let forge = forge!();
    let maria = forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    let mut other = Browser::new(&forge);
    other.sign_in("maria", PASSWORD).expect(303);
    let page = browser.get(PAGE).expect(200);
    assert!(page.text.contains("<svg class=\"qr\"") && !page.text.contains("It is on"));
    let (setup, secret) = shown(&page.text);
    let right = authenticator_code(&secret, forge.forge.now());
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for (code, password, said) in [
        (wrong, PASSWORD, "The code is not what the authenticator shows now."),
        ("", PASSWORD, "The code is not what the authenticator shows now."),
        (&right, "wrong", "It is not your password."),
    ] {
        let answer = browser.post(PAGE, &[("setup", &setup), ("code", code), ("password", password)]);
        assert_eq!(answer.status, 422);
        assert!(answer.text.contains(said), "{}", answer.text);
        assert_eq!(shown(&answer.text), (setup.clone(), secret.clone()), "the secret changed meanwhile");
    }
    // A secret that is somebody else's, or of nobody, is none.
    forge.person("jo");
    let jo = Browser::signed_in(&forge, "jo");
    for setup in [setup.as_str(), "", "AAAA", "%"] {
        let fields = [("setup", setup), ("code", &right), ("password", PASSWORD)];
        assert_eq!(jo.post(PAGE, &fields).expect(303).header("location"), Some(PAGE));
    }
    assert_eq!(maria.get("/user").json()["two_factor_enabled"], json!(false));

    let answer =
        browser.post(PAGE, &[("setup", &setup), ("code", &right), ("password", PASSWORD)]).expect(200);
    let codes = recovery_codes(&answer);
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 19), "{codes:?}");
    assert_eq!(maria.get("/user").json()["two_factor_enabled"], json!(true));
    let listed = forge.root().get("/users?username=maria").json();
    assert_eq!(listed[0]["two_factor_enabled"], json!(true));
    // A session that began without it has ended.
    other.get("/dashboard").expect(303);
    let page = browser.get(PAGE).expect(200).text;
    assert!(page.contains("It is on") && page.contains("10 recovery codes are left."));
    assert!(codes.iter().all(|code| !page.contains(code.as_str())));
    // In another tab the same form is sent once more.
    let again = browser.post(PAGE, &[("setup", &setup), ("code", &right), ("password", PASSWORD)]);
    assert_eq!(again.status, 422);
    assert!(again.text.contains("It is on"));
}

#[test]
fn signing_in_takes_the_password_and_then_a_code_that_was_not_used() {
    let forge = forge!();
    forge.person("maria");
    let (secret, codes) = set_up(&Browser::signed_in(&forge, "maria"));
    // The code that it was set up with is good no more.
    let browser = password_given(&forge, "maria");
    let used = authenticator_code(&secret, forge.forge.now());
    assert!(browser.post(ASKED, &[("code", &used)]).expect(422).text.contains("That did not work."));
    forge.clock.advance_seconds(60);
    // Half a sign-in opens nothing, whatever its secret is given for.
    assert_eq!(
        browser.get("/dashboard").expect(303).header("location").unwrap().split('?').next(),
        Some("/users/sign_in")
    );
    let secret_of_cookie = browser.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    for cookie in
        [format!("portcullis_session={secret_of_cookie}"), format!("portcullis_sign_in={secret_of_cookie}")]
    {
        forge.anyone().send("GET", "/dashboard", &[("cookie", &cookie)], b"").expect(303);
    }
    let token = [("private-token", secret_of_cookie.as_str())];
    forge.anyone().send("GET", "/api/v4/user", &token, b"").expect(401);
    assert!(browser.get(ASKED).expect(200).text.contains("autocomplete=\"one-time-code\""));
    let code = authenticator_code(&secret, forge.forge.now());
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let answer = browser.post(ASKED, &[("code", &spaced), ("return_to", "//evil.example")]).expect(303);
    assert_eq!(answer.header("location"), Some("/dashboard"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("portcullis_session=pcs_"), "{cookie}");
    let signed_in = Browser { cookie: cookie.split(';').next().map(str::to_owned), ..Browser::new(&forge) };
    signed_in.get("/dashboard").expect(200);
    // Nothing is left to be finished.
    assert_eq!(
        browser.post(ASKED, &[("code", &code)]).expect(303).header("location"),
        Some("/users/sign_in?news=start_again")
    );
    // A recovery code, as people write it, once.
    let written = codes[0].to_uppercase().replace('-', " ");
    password_given(&forge, "maria").post(ASKED, &[("code", &written)]).expect(303);
    let browser = password_given(&forge, "maria");
    browser.post(ASKED, &[("code", &written)]).expect(422);
    browser.post(ASKED, &[("code", &codes[1])]).expect(303);
    assert!(signed_in.get(PAGE).text.contains("8 recovery codes are left."));
    let audit = forge.root().get("/audit_events?entity_type=User&per_page=100").text;
    assert!(audit.contains("second_factor_enabled") && audit.contains("recovery_code"), "{audit}");
    assert!(!audit.contains(&codes[2]) && !audit.contains(&secret.replace(' ', "")));
}

#[test]
fn guessing_codes_leads_back_to_the_password_and_then_nowhere() {
    let forge = forge!(|settings| settings.max_failed_sign_ins = 8);
    forge.person("maria");
    let (secret, _) = set_up(&Browser::signed_in(&forge, "maria"));
    forge.clock.advance_seconds(60);
    let right = authenticator_code(&secret, forge.forge.now());
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let browser = password_given(&forge, "maria");
    for _ in 0..5 {
        browser.post(ASKED, &[("code", wrong)]).expect(422);
    }
    let answer = browser.post(ASKED, &[("code", &right)]).expect(303);
    assert_eq!(answer.header("location"), Some("/users/sign_in?news=start_again"));
    assert!(browser.get("/users/sign_in?news=start_again").text.contains("Please sign in again."));
    let browser = password_given(&forge, "maria");
    for _ in 0..3 {
        browser.post(ASKED, &[("code", wrong)]).expect(422);
    }
    assert!(browser.post(ASKED, &[("code", &right)]).expect(429).header("retry-after").is_some());
    // Ten minutes later the password is to be given again, and then all is well.
    forge.clock.advance_seconds(601);
    let code = authenticator_code(&secret, forge.forge.now());
    browser.post(ASKED, &[("code", &code)]).expect(303);
    password_given(&forge, "maria").post(ASKED, &[("code", &code)]).expect(303);
    // A password that was changed meanwhile is no first half either.
    let half = password_given(&forge, "maria");
    forge.give_password("maria");
    forge.clock.advance_seconds(60);
    let code = authenticator_code(&secret, forge.forge.now());
    let answer = half.post(ASKED, &[("code", &code)]).expect(303);
    assert_eq!(answer.header("location"), Some("/users/sign_in?news=start_again"));
}

#[test]
fn a_group_requires_it_of_everybody_who_belongs_to_it() {
    let forge = forge!();
    let acme = forge.group("acme", "private");
    let tools = forge.subgroup("tools", "private", Some(acme.id));
    let project = forge.project_in(&tools, "private");
    let mut tokens = Vec::new();
    for (name, path) in [
        ("above", format!("/groups/{}/members", acme.id)),
        ("inside", format!("/groups/{}/members", tools.id)),
        ("below", format!("/projects/{}/members", project.id)),
    ] {
        let person = forge.person(name);
        tokens.push(forge.personal_token(name, &["api"]));
        forge.root().post(&path, json!({ "user_id": person.id, "access_level": 40 })).expect(201);
    }
    forge.person("elsewhere");
    let root = Browser::signed_in(&forge, "root");
    let form = root.get("/groups/acme/tools/-/edit").expect(200).text;
    assert!(form.contains("id=\"require-2fa\"") && !form.contains("id=\"allow-lfs\""));
    let above = Browser::signed_in(&forge, "above");
    let token = forge.with_token(&tokens[0]);
    above.get("/dashboard").expect(200);
    root.post("/groups/acme/tools/-/edit", &[("require_two_factor_authentication", "yes")]).expect(303);
    assert_eq!(
        token.get(&format!("/groups/{}", tools.id)).json()["require_two_factor_authentication"],
        json!(true)
    );

    let own = format!("/{}", project.full_path);
    for name in ["above", "inside", "below"] {
        let browser = Browser::signed_in(&forge, name);
        for path in ["/dashboard", own.as_str(), "/groups/acme", "/projects/new", "/-/user_settings/password"]
        {
            assert_eq!(browser.get(path).expect(303).header("location"), Some(PAGE), "{name} {path}");
        }
        let made = browser.post("/projects", &[("name", "made"), ("visibility", "private")]).expect(303);
        assert_eq!(made.header("location"), Some(PAGE));
        let page = browser.get(PAGE).expect(200).text;
        assert!(page.contains("The group <strong>acme/tools</strong> requires it"), "{page}");
        set_up(&browser);
        browser.get(&own).expect(200);
        let refused =
            browser.post("/-/user_settings/two_factor/remove", &[("password", PASSWORD)]).expect(422);
        assert!(refused.text.contains("acme/tools requires"), "{}", refused.text);
    }
    Browser::signed_in(&forge, "elsewhere").get("/dashboard").expect(200);
    // Tokens go on working, and one may always leave.
    token.get("/user").expect(200);
    let person = forge.person("late");
    let path = format!("/projects/{}/members", project.id);
    forge.root().post(&path, json!({ "user_id": person.id, "access_level": 10 })).expect(201);
    let late = Browser::signed_in(&forge, "late");
    late.post("/users/sign_out", &[]).expect(303);
    late.get(PAGE).expect(303);
    // When it is not required any more, they may go on without, and take it away.
    assert_eq!(
        root.get("/groups/acme").expect(303).header("location"),
        Some(PAGE),
        "its Owner needs one as well"
    );
    let off = json!({ "require_two_factor_authentication": false });
    forge.root().put(&format!("/groups/{}", tools.id), off).expect(200);
    Browser::signed_in(&forge, "late").get("/dashboard").expect(200);
}

#[test]
fn it_is_taken_away_by_its_owner_and_by_an_administrator_alone() {
    let forge = forge!();
    let maria = forge.person("maria");
    let jo = forge.person("jo");
    let browser = Browser::signed_in(&forge, "maria");
    let remove = "/-/user_settings/two_factor/remove";
    let renew = "/-/user_settings/two_factor/recovery_codes";
    for path in [remove, renew] {
        assert!(
            browser
                .post(path, &[("password", PASSWORD)])
                .expect(422)
                .text
                .contains("you have no second factor")
        );
    }
    let (_, codes) = set_up(&browser);
    browser.post(renew, &[("password", "wrong")]).expect(422);
    let renewed = recovery_codes(&browser.post(renew, &[("password", PASSWORD)]).expect(200));
    assert!(renewed.len() == 10 && renewed.iter().all(|code| !codes.contains(code)));
    let half = password_given(&forge, "maria");
    half.post(ASKED, &[("code", &codes[0])]).expect(422);
    half.post(ASKED, &[("code", &renewed[0])]).expect(303);
    browser.post(remove, &[("password", "wrong")]).expect(422);
    assert_eq!(browser.post(remove, &[("password", PASSWORD)]).expect(303).header("location"), Some(PAGE));
    assert!(browser.get(PAGE).expect(200).text.contains("Your password alone signs you in."));
    let browser = Browser::signed_in(&forge, "maria");
    set_up(&browser);
    let root = Browser::signed_in(&forge, "root");
    let on_page = format!("/admin/users/{}", maria.id);
    let taking = format!("{on_page}/second_factor/remove");
    assert!(root.get(&on_page).expect(200).text.contains(&format!("action=\"{taking}\"")));
    browser.post(&taking, &[]).expect(404);
    root.post(&taking, &[]).expect(303);
    let text = root.get(&on_page).expect(200).text;
    assert!(text.contains("The second factor is gone") && !text.contains(&taking));
    root.post(&taking, &[]).expect(303);
    assert!(root.get(&on_page).text.contains("They have no second factor."));

    let browser = Browser::signed_in(&forge, "maria");
    set_up(&browser);
    let path = format!("/users/{}/disable_two_factor", maria.id);
    jo.patch(&path, json!({})).expect(403);
    forge.root().patch(&path, json!({})).expect(204);
    let again = forge.root().patch(&path, json!({})).expect(400).text;
    assert!(again.contains("Two-factor authentication is not enabled for this user"), "{again}");
    forge.root().patch("/users/999999/disable_two_factor", json!({})).expect(404);
    let _ = Browser::signed_in(&forge, "maria");
}
