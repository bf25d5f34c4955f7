//! Groups in the browser: making them, going to them, and what a single name leads to.

use portcullis_testkit::{Browser, forge};
use serde_json::json;

const HOSTILE: &str = "<script>alert(1)</script>";

#[test]
fn a_group_and_one_inside_it_are_made_by_hand() {
    let forge = forge!();
    forge.person("maria");
    let browser = Browser::signed_in(&forge, "maria");
    assert!(browser.get("/dashboard").expect(200).text.contains("href=\"/groups/new\""));
    browser.get("/groups/new").expect(200);
    let fields =
        [("name", "Acme & Sons"), ("path", ""), ("description", HOSTILE), ("visibility", "internal")];
    let made = browser.post("/groups", &fields).expect(303);
    assert_eq!(made.header("location"), Some("/groups/Acme-Sons"));
    let page = browser.get("/groups/Acme-Sons").expect(200).text;
    assert!(page.contains("Group Acme &#38; Sons was created."), "{page}");
    assert!(page.contains("&#60;script&#62;") && !page.contains(HOSTILE));
    let group = forge.root().get("/groups/Acme-Sons").expect(200).json();
    assert_eq!((&group["name"], &group["visibility"]), (&json!("Acme & Sons"), &json!("internal")));
    let members = forge.root().get(&format!("/groups/{}/members", group["id"])).json();
    assert_eq!((&members[0]["username"], &members[0]["access_level"]), (&json!("maria"), &json!(50)));

    // Sent once more, it makes no second group, and what was typed stays.
    let again = browser.post("/groups", &fields).expect(422).text;
    assert!(
        again.contains("The path has already been taken.") && again.contains("value=\"Acme &#38; Sons\"")
    );

    let id = group["id"].to_string();
    assert!(page.contains(&format!("/groups/new?parent_id={id}")));
    let form = browser.get(&format!("/groups/new?parent_id={id}")).expect(200).text;
    // What is inside is seen by no more people than what it is in.
    assert!(form.contains("value=\"internal\"") && !form.contains("value=\"public\""), "{form}");
    let fields = [("parent_id", id.as_str()), ("name", "Tools"), ("path", "tools"), ("visibility", "public")];
    assert!(
        browser.post("/groups", &fields).expect(422).text.contains("is not allowed since the parent group")
    );
    let fields =
        [("parent_id", id.as_str()), ("name", "Tools"), ("path", "tools"), ("visibility", "private")];
    let made = browser.post("/groups", &fields).expect(303);
    assert_eq!(made.header("location"), Some("/groups/Acme-Sons/tools"));
}

#[test]
fn who_may_not_make_a_group_there_makes_none() {
    let forge = forge!();
    let hidden = forge.group("hidden", "private");
    let open = forge.group("open", "public");
    let maria = forge.person("maria");
    let member = json!({ "user_id": maria.id, "access_level": 30 });
    forge.root().post(&open.path("/members"), member).expect(201);
    let browser = Browser::signed_in(&forge, "maria");
    for id in [hidden.id.to_string(), open.id.to_string(), "999999".to_owned(), "x".to_owned()] {
        browser.get(&format!("/groups/new?parent_id={id}")).expect(404);
        browser.post("/groups", &[("parent_id", &id), ("name", "x"), ("path", "x")]).expect(404);
    }
    assert!(!browser.get("/groups/open").expect(200).text.contains("New subgroup"));
    for (fields, problem) in [
        (vec![("name", " ")], "The name can&#39;t be blank."),
        (vec![("name", "a"), ("path", "not a path")], "The path can contain only"),
        (vec![("name", "a"), ("path", "new")], "The path "),
        (vec![("name", "a"), ("path", "17")], "The path "),
        (vec![("name", "a"), ("path", "maria")], "The path has already been taken."),
    ] {
        let answer = browser.post("/groups", &fields).expect(422).text;
        assert!(answer.contains(problem), "{problem}: {answer}");
    }
    let external = forge.external_person("external");
    let browser = Browser::signed_in(&forge, &external.username);
    browser.get("/groups/new").expect(404);
    browser.post("/groups", &[("name", "x")]).expect(404);
    assert!(!browser.get("/dashboard").expect(200).text.contains("/groups/new"));
    Browser::new(&forge).get("/groups/new").expect(303);
    assert_eq!(forge.root().get("/groups").json().as_array().unwrap().len(), 2);
}

#[test]
fn a_group_has_ways_to_its_pages_for_who_may_go_there() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    let tools = forge.subgroup("tools", "public", Some(group.id));
    let owner = forge.person("owner");
    let member = json!({ "user_id": owner.id, "access_level": 50 });
    forge.root().post(&group.path("/members"), member).expect(201);
    let browser = Browser::signed_in(&forge, "owner");
    let page = browser.get(&format!("/groups/{}", tools.full_path)).expect(200).text;
    for part in [
        "<a href=\"/groups/acme/tools\" aria-current=\"page\">Overview</a>",
        "<a href=\"/groups/acme/tools/-/group_members\">Members</a>",
        "<a href=\"/groups/acme/tools/-/edit\">General</a>",
        "<a href=\"/groups/acme\">acme</a>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = browser.get("/groups/acme/tools/-/edit").expect(200).text;
    for part in [
        "<a href=\"/groups/acme/tools/-/group_members\">Members</a>",
        "<a href=\"/groups/acme/tools/-/edit\" aria-current=\"page\">General</a>",
        "<a href=\"/groups/acme/tools\">tools</a>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = Browser::new(&forge).get("/groups/acme").expect(200).text;
    assert!(!page.contains("group_members") && !page.contains("/-/edit"));
}

#[test]
fn a_single_name_leads_to_a_group_or_to_a_person() {
    let forge = forge!();
    forge.group("acme", "public");
    forge.group("hidden", "private");
    let maria = forge.person("maria");
    let jo = forge.person("jo");
    for (name, visibility) in [("shown", "public"), ("secret", "private")] {
        maria.post("/projects", json!({ "name": name, "visibility": visibility })).expect(201);
    }
    let visitor = Browser::new(&forge);
    assert_eq!(visitor.get("/acme").expect(303).header("location"), Some("/groups/acme"));
    assert_eq!(visitor.get("/Acme/").expect(303).header("location"), Some("/groups/acme"));
    // Who is not signed in is told nothing of people, and cannot tell what is hidden from what is missing.
    for name in ["maria", "hidden", "nothing"] {
        let asked = visitor.get(&format!("/{name}")).expect(303);
        let expected = format!("/users/sign_in?return_to=%2F{name}");
        assert_eq!(asked.header("location"), Some(&*expected));
    }
    let browser = Browser::signed_in(&forge, &jo.username);
    let page = browser.get("/maria").expect(200).text;
    assert!(
        page.contains("maria Person") && page.contains("@maria") && page.contains(">shown</a>"),
        "{page}"
    );
    assert!(!page.contains("secret") && !page.contains("example.com") && !page.contains("Edit profile"));
    let own = Browser::signed_in(&forge, "maria").get("/maria").expect(200).text;
    assert!(own.contains(">secret</a>") && own.contains("Edit profile"));
    let project = forge.project("private");
    let bot = project.token(&["api"], 30).get("/user").json()["username"].as_str().unwrap().to_owned();
    for name in ["hidden", "nothing", "ghost", &bot, "17"] {
        browser.get(&format!("/{name}")).expect(404);
    }
    let page = browser.get("/jo").expect(200).text;
    assert!(page.contains("You have no projects of your own."));
}
