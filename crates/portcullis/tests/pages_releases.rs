//! The pages of a project's releases.

use portcullis_testkit::{Browser, Project, TestForge, forge};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

fn address(project: &Project<'_>) -> String {
    format!("/{}/-/releases", project.full_path)
}

fn member<'a>(forge: &'a TestForge, project: &Project<'_>, level: i64) -> (Browser<'a>, i64) {
    let person = project.member(level);
    (Browser::signed_in(forge, &person.username), person.id)
}

fn releases(forge: &TestForge, project: &Project<'_>) -> Value {
    forge.root().get(&project.path("/releases")).expect(200).json()
}

#[test]
fn releases_are_shown_with_their_notes_and_what_they_bring() {
    let forge = forge!();
    let project = forge.project("public");
    let bot = project.token_with(json!({ "name": HOSTILE, "scopes": ["api"], "access_level": 30 }));
    let notes = format!("# New\n\n- **all** of it {HOSTILE}\n\n[read](docs/a.md)");
    let body = json!({
        "tag_name": "v/1", "ref": "main", "name": format!("First {HOSTILE}"), "description": notes,
        "assets": { "links": [{ "name": HOSTILE, "url": "https://example.com/a", "link_type": "package" }] },
    });
    bot.post(&project.path("/releases"), body).expect(201);
    let visitor = Browser::new(&forge);
    let list = visitor.get(&address(&project)).expect(200).text;
    let own = format!("{}/v%2F1", address(&project));
    let release = visitor.get(&own).expect(200).text;
    for page in [&list, &release] {
        assert!(
            page.contains("<strong>all</strong> of it") && page.contains("https://example.com/a"),
            "{page}"
        );
        assert!(!page.contains(HOSTILE) && page.contains("First &#60;script&#62;"), "{page}");
        assert!(page.contains("<span class=\"badge accent\">Bot</span>") && page.contains("2 Mar 2026"));
        assert!(page.contains(&format!("/{}/-/blob/v/1/docs/a.md", project.full_path)), "{page}");
        assert!(page.contains("<code>v/1</code>"));
        // Whoever may not change it sees no way to.
        assert!(!page.contains("/edit") && !page.contains("/delete") && !page.contains("New release"));
    }
    assert!(list.contains(&format!("href=\"{own}\"")) && release.contains(">Package</span>"));
    // The archives are there, for whoever may read the code.
    let source = release.split("href=\"").find(|rest| rest.contains("/-/archive/")).unwrap();
    let source = source.split('"').next().unwrap();
    assert!(source.ends_with("-v-1.zip"), "{source}");
    let archive = visitor.get(source).expect(200);
    assert_eq!(archive.header("content-type"), Some("application/zip"));
    assert!(archive.header("content-disposition").unwrap().starts_with("attachment; "));
    for wrong in ["main", "main/app.exe", "main/zip", "nothing/app.zip", "../app.zip"] {
        visitor.get(&format!("/{}/-/archive/{wrong}", project.full_path)).expect(404);
    }
    visitor.get(&format!("{}/none", address(&project))).expect(404);
}

#[test]
fn an_empty_list_says_how_to_begin_and_nobody_else_sees_it() {
    let forge = forge!();
    let project = forge.project("private");
    let (developer, _) = member(&forge, &project, 30);
    let page = developer.get(&address(&project)).expect(200).text;
    assert!(page.contains("There are no releases yet") && page.contains("New release"));
    assert!(page.contains(&format!("{}/api/v4/projects/{}/releases", forge.url, project.id)));
    let (guest, _) = member(&forge, &project, 10);
    let page = guest.get(&address(&project)).expect(200).text;
    assert!(
        page.contains("There are no releases yet") && !page.contains("New release") && !page.contains("curl")
    );
    let (reporter, _) = member(&forge, &project, 20);
    for path in ["/new", "/v1/edit", "/v1/delete"] {
        reporter.get(&format!("{}{path}", address(&project))).expect(404);
    }
    for path in ["", "/v1/edit", "/v1/delete", "/v1/links", "/v1/links/1/delete"] {
        reporter
            .post(&format!("{}{path}", address(&project)), &[("tag_name", "v1"), ("ref", "main")])
            .expect(404);
    }
    assert_eq!(releases(&forge, &project), json!([]));
    Browser::new(&forge).get(&address(&project)).expect(303);
    forge.person("stranger");
    Browser::signed_in(&forge, "stranger").get(&address(&project)).expect(404);
}

#[test]
fn a_release_is_made_changed_and_deleted_by_hand() {
    let forge = forge!();
    let project = forge.project("private");
    let (developer, id) = member(&forge, &project, 30);
    let list = address(&project);
    developer.get(&format!("{list}/new")).expect(200);
    let fields = [
        ("tag_name", "v1.0"),
        ("ref", "main"),
        ("name", "First"),
        ("released_at", "2026-03-01"),
        ("description", "one\r\n\r\ntwo"),
    ];
    let made = developer.post(&list, &fields).expect(303);
    let own = format!("{list}/v1%2E0");
    let location = made.header("location").unwrap().to_owned();
    assert!([own.as_str(), &format!("{list}/v1.0")].contains(&location.as_str()), "{location}");
    assert!(developer.get(&location).expect(200).text.contains("Release v1.0 was created."));
    let release = releases(&forge, &project)[0].clone();
    assert_eq!(
        (&release["tag_name"], &release["name"], &release["description"], &release["released_at"]),
        (&json!("v1.0"), &json!("First"), &json!("one\n\ntwo"), &json!("2026-03-01T00:00:00.000Z"))
    );
    assert_eq!(release["author"]["id"], id);
    // The same form once more makes nothing, and says so beside the field.
    let again = developer.post(&list, &fields).expect(422).text;
    assert!(again.contains("The tag has a release already.") && again.contains("value=\"v1.0\""), "{again}");
    assert!(again.contains("one\n\ntwo</textarea>"));

    let edit = format!("{location}/edit");
    let form = developer.get(&edit).expect(200).text;
    assert!(form.contains("value=\"First\"") && form.contains("value=\"2026-03-01\""), "{form}");
    developer
        .post(&edit, &[("name", ""), ("released_at", "2026-03-01"), ("description", "three")])
        .expect(303);
    let release = releases(&forge, &project)[0].clone();
    assert_eq!((&release["name"], &release["description"]), (&json!("v1.0"), &json!("three")));
    assert_eq!(release["released_at"], "2026-03-01T00:00:00.000Z");
    developer.post(&edit, &[("released_at", "2030-01-01")]).expect(303);
    assert!(developer.get(&location).expect(200).text.contains("Upcoming"));

    let question = developer.get(&format!("{location}/delete")).expect(200).text;
    assert!(question.contains("Delete release v1.0?"));
    developer.post(&format!("{location}/delete"), &[]).expect(303);
    assert_eq!(releases(&forge, &project), json!([]));
    forge.root().get(&project.path("/repository/tags/v1.0")).expect(200);
    developer.get(&list).expect(200);
    developer.post(&format!("{location}/delete"), &[]).expect(303);
    assert!(developer.get(&list).text.contains("There is no release v1.0 any more."));
    developer.post(&edit, &[("name", "x")]).expect(404);
}

#[test]
fn what_is_wrong_with_a_release_is_said_and_nothing_is_made() {
    let forge = forge!();
    let project = forge.project("private");
    let (developer, _) = member(&forge, &project, 30);
    let list = address(&project);
    let long = "x".repeat(256);
    for (fields, problem) in [
        (vec![("tag_name", " "), ("ref", "main")], "The tag can&#39;t be blank."),
        (vec![("tag_name", "v1")], "It is needed: there is no such tag yet"),
        (vec![("tag_name", "v1"), ("ref", "none")], "class=\"note bad\""),
        (vec![("tag_name", "a b"), ("ref", "main")], "class=\"note bad\""),
        (vec![("tag_name", "v1"), ("ref", "main"), ("name", &*long)], "The title is too long"),
        (
            vec![("tag_name", "v1"), ("ref", "main"), ("released_at", "soon")],
            "The date is not a date such as 2030-01-31.",
        ),
    ] {
        let fields = [fields, vec![("description", HOSTILE)]].concat();
        let answer = developer.post(&list, &fields).expect(422).text;
        assert!(answer.contains(problem), "{problem}: {answer}");
        assert!(answer.contains("&#60;script&#62;") && !answer.contains(HOSTILE));
    }
    assert_eq!(releases(&forge, &project), json!([]));
    forge.root().get(&project.path("/repository/tags/v1")).expect(404);
    // A protected tag is made by those alone who may.
    let protected = json!({ "name": "v*", "create_access_level": 40 });
    forge.root().post(&project.path("/protected_tags"), protected).expect(201);
    let answer = developer.post(&list, &[("tag_name", "v1"), ("ref", "main")]).expect(422).text;
    assert!(answer.contains("class=\"note bad\""), "{answer}");
    assert_eq!(releases(&forge, &project), json!([]));
}

#[test]
fn links_are_added_and_taken_away() {
    let forge = forge!();
    let project = forge.project("private");
    let (developer, _) = member(&forge, &project, 30);
    let body = json!({ "tag_name": "v1", "ref": "main" });
    forge.root().post(&project.path("/releases"), body).expect(201);
    let own = format!("{}/v1", address(&project));
    let links = format!("{own}/links");
    for (fields, problem) in [
        (vec![("name", ""), ("url", "https://example.com/a")], "The name can&#39;t be blank."),
        (vec![("name", "a"), ("url", "javascript:alert(1)")], "The address is blocked"),
        (
            vec![("name", "a"), ("url", "https://example.com/a"), ("filepath", "/../a")],
            "The path is in an invalid format.",
        ),
        (
            vec![("name", "a"), ("url", "https://example.com/a"), ("link_type", "other thing")],
            "The kind is not a valid type.",
        ),
    ] {
        let answer = developer.post(&links, &fields).expect(422).text;
        assert!(answer.contains(problem), "{problem}: {answer}");
        assert!(answer.contains("<details class=\"card unfold\" open>"), "{answer}");
    }
    let fields =
        [("name", "app"), ("url", "https://example.com/a"), ("filepath", "bin/a"), ("link_type", "package")];
    developer.post(&links, &fields).expect(303);
    let answer = developer.post(&links, &fields).expect(422).text;
    assert!(answer.contains("has already been taken"), "{answer}");
    let link = releases(&forge, &project)[0]["assets"]["links"][0].clone();
    assert_eq!((&link["name"], &link["link_type"]), (&json!("app"), &json!("package")));
    assert_eq!(link["direct_asset_url"], format!("{}{own}/downloads/bin/a", forge.url));
    let delete = format!("{links}/{}/delete", link["id"]);
    assert!(developer.get(&own).text.contains(&delete));
    developer.post(&delete, &[]).expect(303);
    developer.post(&delete, &[]).expect(303);
    assert!(developer.get(&own).text.contains("There is no such link any more."));
    assert_eq!(releases(&forge, &project)[0]["assets"]["links"], json!([]));
    developer.post(&format!("{links}/x/delete"), &[]).expect(404);
}
