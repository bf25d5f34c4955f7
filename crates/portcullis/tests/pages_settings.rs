//! Settings › General of projects and groups, and their end.

use portcullis_testkit::{Browser, Group, Project, TestForge, forge};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

fn settings(project: &Project<'_>) -> String {
    format!("/{}/-/edit", project.full_path)
}

fn member<'a>(forge: &'a TestForge, project: &Project<'_>, level: i64) -> Browser<'a> {
    Browser::signed_in(forge, &project.member(level).username)
}

fn member_of<'a>(forge: &'a TestForge, group: &Group, level: i64) -> Browser<'a> {
    let person = forge.person(&forge.word("person"));
    let body = json!({ "user_id": person.id, "access_level": level });
    forge.root().post(&group.path("/members"), body).expect(201);
    Browser::signed_in(forge, &person.username)
}

fn api(forge: &TestForge, path: &str) -> Value {
    forge.root().get(path).expect(200).json()
}

/// Makes a commit, and with it a branch.
fn branch(forge: &TestForge, project: &Project<'_>, name: &str) {
    forge
        .root()
        .post(&project.path("/repository/branches"), json!({ "branch": name, "ref": "main" }))
        .expect(201);
}

#[test]
fn each_section_changes_what_stands_in_it_and_nothing_else() {
    let forge = forge!();
    let project = forge.project("private");
    let owner = member(&forge, &project, 50);
    let (page, path) = (settings(&project), project.path(""));
    let before = api(&forge, &path);
    let shown = owner.get(&page).expect(200).text;
    assert!(shown.contains(&format!("<a href=\"{page}\" aria-current=\"page\">General</a>")), "{shown}");
    assert!(shown.contains(&format!("Project ID {}", project.id)));

    let fields = [
        ("section", "naming"),
        ("name", " Acme & Sons "),
        ("description", "What\r\nit is for <script>alert(1)</script>\r\n"),
        ("topics", "rust, <script>alert(1)</script>,rust"),
        ("topics_now", ""),
    ];
    let saved = owner.post(&page, &fields).expect(303);
    assert_eq!(saved.header("location"), Some(&*page));
    let shown = owner.get(&page).expect(200).text;
    assert!(shown.contains("Saved.") && shown.contains("value=\"Acme &#38; Sons\""), "{shown}");
    assert!(shown.contains("&#60;script&#62;") && !shown.contains(HOSTILE));
    let now = api(&forge, &path);
    assert_eq!(
        (&now["name"], &now["description"], &now["topics"]),
        (
            &json!("Acme & Sons"),
            &json!("What\nit is for <script>alert(1)</script>"),
            &json!(["rust", HOSTILE])
        )
    );

    let fields = [
        ("section", "features"),
        ("visibility", "public"),
        ("visibility_now", "private"),
        ("issues_access_level", "private"),
        ("issues_access_level_now", "enabled"),
        ("container_registry_access_level", "disabled"),
        ("container_registry_access_level_now", "enabled"),
        ("package_registry_access_level", "enabled"),
        ("package_registry_access_level_now", "enabled"),
        ("lfs_enabled_now", "yes"),
        // Of another section.
        ("name", "not this"),
        ("merge_method", "ff"),
    ];
    owner.post(&page, &fields).expect(303);
    let fields = [
        ("section", "merging"),
        ("merge_method", "ff"),
        ("merge_method_now", "merge"),
        ("squash_option", "always"),
        ("squash_option_now", "default_off"),
        ("remove_source_branch_after_merge_now", "yes"),
        ("autoclose_referenced_issues", "yes"),
        ("autoclose_referenced_issues_now", "yes"),
        ("only_allow_merge_if_pipeline_succeeds", "yes"),
        ("only_allow_merge_if_pipeline_succeeds_now", "no"),
        ("visibility", "private"),
    ];
    owner.post(&page, &fields).expect(303);
    let now = api(&forge, &path);
    for (name, value) in [
        ("name", json!("Acme & Sons")),
        ("visibility", json!("public")),
        ("issues_access_level", json!("private")),
        ("container_registry_access_level", json!("disabled")),
        ("lfs_enabled", json!(false)),
        ("merge_method", json!("ff")),
        ("squash_option", json!("always")),
        ("remove_source_branch_after_merge", json!(false)),
        ("only_allow_merge_if_pipeline_succeeds", json!(true)),
    ] {
        assert_eq!(now[name], value, "{name}");
    }
    for name in [
        "package_registry_access_level",
        "repository_access_level",
        "merge_requests_access_level",
        "autoclose_referenced_issues",
        "allow_merge_on_skipped_pipeline",
        "only_allow_merge_if_all_discussions_are_resolved",
        "default_branch",
        "path",
    ] {
        assert_eq!(now[name], before[name], "{name}");
    }
    // The page shows what is in force.
    let shown = owner.get(&page).expect(200).text;
    for part in [
        "value=\"public\" aria-describedby=\"visibility-public-says\" checked",
        "<option value=\"disabled\" selected>Off</option>",
        "value=\"ff\" aria-describedby=\"merge_method-ff-says\" checked",
        "name=\"lfs_enabled_now\" value=\"no\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // It is told in the audit log who did it.
    let audit = api(&forge, &project.path("/audit_events")).to_string();
    assert!(audit.contains("project_updated"));
}

#[test]
fn what_cannot_be_is_said_beside_the_field_and_what_was_typed_stays() {
    let forge = forge!();
    let group = forge.group("inside", "internal");
    let project = forge.project_in(&group, "private");
    let taken = forge.project_in(&group, "private");
    let taken = taken.full_path.rsplit('/').next().unwrap();
    let owner = member(&forge, &project, 50);
    let (page, before) = (settings(&project), api(&forge, &project.path("")));
    let (long, longer) = ("n".repeat(256), "d".repeat(2001));
    let many = (0..21).map(|number| format!("t{number}")).collect::<Vec<_>>().join(",");
    let name = ("name", "typed <b>");
    let naming = ("section", "naming");
    for (fields, problem) in [
        (vec![naming, ("name", " ")], "The name can&#39;t be blank."),
        (vec![naming], "The name can&#39;t be blank."),
        (vec![naming, ("name", &long)], "The name is too long (maximum is 255 characters)."),
        (vec![naming, name, ("description", &longer)], "The description is too long (maximum is 2000"),
        (vec![naming, name, ("topics", &many)], "The topics are too many (maximum is 20)."),
        (vec![naming, name, ("topics", &long)], "A topic is too long (maximum is 255 characters)."),
        (vec![("section", "path"), ("path", "")], "The path can&#39;t be blank."),
        (vec![("section", "path"), ("path", "not a path")], "The path can contain only"),
        (vec![("section", "path"), ("path", "../up")], "The path can contain only"),
        (vec![("section", "path"), ("path", HOSTILE)], "The path can contain only"),
        (vec![("section", "path"), ("path", "refs")], "The path is a reserved name."),
        (vec![("section", "path"), ("path", &long)], "The path is too long"),
        (vec![("section", "path"), ("path", taken)], "The path has already been taken."),
        (vec![("section", "path"), ("path", &taken.to_uppercase())], "The path has already been taken."),
        (
            vec![("section", "features"), ("visibility", "public")],
            "The visibility public is not allowed in a internal group.",
        ),
        (vec![("section", "features"), ("visibility", "secret")], "The visibility is none of those."),
        (vec![("section", "features"), ("issues_access_level", "7")], "The choice is none of those."),
        (vec![("section", "merging"), ("merge_method", "octopus")], "The choice is none of those."),
        (vec![("section", "merging"), ("squash_option", HOSTILE)], "The choice is none of those."),
        (vec![("section", "default_branch"), ("default_branch", "nowhere")], "The branch does not exist."),
        (
            vec![("section", "default_branch"), ("default_branch", "a..b")],
            "The branch is not a valid branch name",
        ),
    ] {
        let answer = owner.post(&page, &fields).expect(422).text;
        assert!(answer.contains(problem), "{problem}: {answer}");
        assert_eq!(
            answer.matches("aria-invalid=\"true\"").count()
                + answer.matches("<fieldset class=\"field is-wrong\"").count(),
            1,
            "{fields:?}"
        );
        assert!(!answer.contains(HOSTILE) && !answer.contains("typed <b>"), "{answer}");
        if fields.contains(&name) {
            assert!(answer.contains("value=\"typed &#60;b&#62;\""), "{answer}");
        }
    }
    let shown = owner.get(&page).expect(200).text;
    assert!(shown.contains("id=\"visibility-internal\"") && !shown.contains("id=\"visibility-public\""));
    // What is no section of ours is no form of ours.
    for section in ["", "everything", "visibility"] {
        owner.post(&page, &[("section", section), ("name", "x")]).expect(415);
    }
    let now = api(&forge, &project.path(""));
    assert_eq!(now, before, "nothing changed");
}

#[test]
fn a_page_that_is_older_than_a_change_takes_nothing_back_unasked() {
    let forge = forge!();
    let project = forge.project("public");
    let (one, other) = (member(&forge, &project, 50), member(&forge, &project, 50));
    let page = settings(&project);
    // Both opened the page; one closes what was open to everybody, and the other then turns the packages off.
    let fields = [
        ("section", "features"),
        ("visibility", "private"),
        ("visibility_now", "public"),
        ("issues_access_level", "disabled"),
        ("issues_access_level_now", "enabled"),
        ("lfs_enabled_now", "yes"),
    ];
    one.post(&page, &fields).expect(303);
    let fields = [
        ("section", "features"),
        ("visibility", "public"),
        ("visibility_now", "public"),
        ("issues_access_level", "enabled"),
        ("issues_access_level_now", "enabled"),
        ("package_registry_access_level", "disabled"),
        ("package_registry_access_level_now", "enabled"),
        ("lfs_enabled", "yes"),
        ("lfs_enabled_now", "yes"),
    ];
    other.post(&page, &fields).expect(303);
    let now = api(&forge, &project.path(""));
    for (name, value) in [
        ("visibility", json!("private")),
        ("issues_access_level", json!("disabled")),
        ("package_registry_access_level", json!("disabled")),
        ("lfs_enabled", json!(false)),
    ] {
        assert_eq!(now[name], value, "{name}");
    }
    // A form that comes back remembers what its page was made with.
    let fields = [
        ("section", "features"),
        ("visibility", "public"),
        ("visibility_now", "public"),
        ("issues_access_level", "nonsense"),
        ("issues_access_level_now", "enabled"),
    ];
    let answer = other.post(&page, &fields).expect(422).text;
    assert!(answer.contains("name=\"visibility_now\" value=\"public\""), "{answer}");
}

#[test]
fn who_may_not_is_offered_nothing_and_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let (page, before) = (settings(&project), api(&forge, &project.path("")));
    let below = ["/archive", "/delete"].map(|rest| format!("{page}{rest}"));
    let unarchive = format!("{page}/unarchive");
    for level in [10, 20, 30] {
        let browser = member(&forge, &project, level);
        assert!(!browser.get(&format!("/{}", project.full_path)).expect(200).text.contains(&page));
        browser.get(&page).expect(404);
        browser.post(&page, &[("section", "naming"), ("name", "mine")]).expect(404);
        for path in &below {
            browser.get(path).expect(404);
            browser.post(path, &[("full_path", &project.full_path)]).expect(404);
        }
        browser.post(&unarchive, &[]).expect(404);
    }
    let maintainer = member(&forge, &project, 40);
    let shown = maintainer.get(&page).expect(200).text;
    assert!(shown.contains("Owners change that.") && !shown.contains("name=\"visibility\""), "{shown}");
    assert!(!shown.contains("Delete project") && !shown.contains("Archive project"));
    maintainer.post(&page, &[("section", "features"), ("visibility", "public")]).expect(404);
    for path in &below {
        maintainer.get(path).expect(404);
        maintainer.post(path, &[("full_path", &project.full_path)]).expect(404);
    }
    maintainer.post(&unarchive, &[]).expect(404);
    assert_eq!(api(&forge, &project.path("")), before, "nothing changed");
    // What is not about visibility is theirs to change.
    maintainer.post(&page, &[("section", "naming"), ("name", "theirs")]).expect(303);

    let visitor = Browser::new(&forge);
    for path in [&page, &below[0], &below[1]] {
        assert!(visitor.get(path).expect(303).header("location").unwrap().starts_with("/users/sign_in"));
    }
    visitor.post(&below[1], &[("full_path", &project.full_path)]).expect(303);
    // Who is a stranger cannot tell a project that they do not see from one that is not there.
    forge.person("stranger");
    let stranger = Browser::signed_in(&forge, "stranger");
    assert_eq!(stranger.get(&page).expect(404).text, stranger.get("/acme/nothing/-/edit").expect(404).text);
}

#[test]
fn a_project_moves_to_another_path_and_the_old_one_leads_nowhere() {
    let forge = forge!();
    let project = forge.project("private");
    let maintainer = member(&forge, &project, 40);
    let token = project.token(&["api"], 30);
    let page = settings(&project);
    let shown = maintainer.get(&page).expect(200).text;
    assert!(shown.contains("The old address stops working at once"), "{shown}");
    assert!(shown.contains(&project.plain_git_url()));
    let moved = maintainer.post(&page, &[("section", "path"), ("path", "moved.on")]).expect(303);
    let to = format!("/{}/moved.on/-/edit", project.group.full_path);
    assert_eq!(moved.header("location"), Some(&*to));
    let said = format!("The project is at {}/moved.on now.", project.group.full_path);
    assert!(maintainer.get(&to).expect(200).text.contains(&said));
    maintainer.get(&page).expect(404);
    // A second window that is still at the old address.
    maintainer.post(&page, &[("section", "path"), ("path", "elsewhere")]).expect(404);
    // It is still called what it was, and its tokens work.
    let now = token.get(&project.path("")).expect(200).json();
    assert_eq!((&now["path"], now["name"] == "moved.on"), (&json!("moved.on"), false));
    // The same path once more is no mistake, and neither is another case.
    maintainer.post(&to, &[("section", "path"), ("path", "moved.on")]).expect(303);
    maintainer.post(&to, &[("section", "path"), ("path", "Moved.On")]).expect(303);
}

#[test]
fn the_default_branch_is_one_that_is_there() {
    let forge = forge!();
    let project = forge.project("private");
    branch(&forge, &project, "feature/one");
    let maintainer = member(&forge, &project, 40);
    let page = settings(&project);
    let shown = maintainer.get(&page).expect(200).text;
    for option in [
        "<option value=\"main\" selected>main</option>",
        "<option value=\"feature/one\">feature/one</option>",
    ] {
        assert!(shown.contains(option), "{option}: {shown}");
    }
    let fields =
        [("section", "default_branch"), ("default_branch", "feature/one"), ("default_branch_now", "main")];
    maintainer.post(&page, &fields).expect(303);
    assert_eq!(api(&forge, &project.path(""))["default_branch"], "feature/one");
    // An older page that leaves it at what it was then.
    let fields = [("section", "default_branch"), ("default_branch", "main"), ("default_branch_now", "main")];
    maintainer.post(&page, &fields).expect(303);
    assert_eq!(api(&forge, &project.path(""))["default_branch"], "feature/one");
    // A branch that went while the page was open.
    forge.root().delete(&project.path("/repository/branches/main")).expect(204);
    let fields = [("section", "default_branch"), ("default_branch", "main")];
    assert!(maintainer.post(&page, &fields).expect(422).text.contains("The branch does not exist."));

    // In an empty repository a name is typed.
    let owner = forge.person("owner");
    owner.post("/projects", json!({ "name": "empty" })).expect(201);
    let browser = Browser::signed_in(&forge, "owner");
    let shown = browser.get("/owner/empty/-/edit").expect(200).text;
    assert!(shown.contains("<input id=\"default_branch\"") && shown.contains("value=\"main\""), "{shown}");
    let fields = [("section", "default_branch"), ("default_branch", "trunk"), ("default_branch_now", "main")];
    browser.post("/owner/empty/-/edit", &fields).expect(303);
    assert!(browser.get("/owner/empty").expect(200).text.contains("git switch --create trunk"));

    // Who turned the repository off has no branches to choose from.
    let off = json!({ "repository_access_level": "disabled" });
    forge.root().put(&project.path(""), off).expect(200);
    assert!(!maintainer.get(&page).expect(200).text.contains("default_branch"));
}

#[test]
fn what_the_instance_does_not_have_is_not_on_the_page() {
    let forge = forge!(|settings| {
        settings.container_registry = false;
        settings.lfs = false;
    });
    let project = forge.project("private");
    let owner = member(&forge, &project, 50);
    let page = settings(&project);
    let shown = owner.get(&page).expect(200).text;
    assert!(!shown.contains("container_registry_access_level") && !shown.contains("lfs_enabled"), "{shown}");
    owner.post(&page, &[("section", "features")]).expect(303);
    let now = api(&forge, &project.path(""));
    assert_eq!((&now["lfs_enabled"], &now["container_registry_enabled"]), (&json!(true), &json!(true)));
    let question = owner.get(&format!("{page}/delete")).expect(200).text;
    assert!(question.contains("Its container images, if there are any."));
}

#[test]
fn an_archived_project_can_be_made_writable_again_by_its_owners() {
    let forge = forge!();
    let project = forge.project("private");
    let (owner, maintainer) = (member(&forge, &project, 50), member(&forge, &project, 40));
    let page = settings(&project);
    let (archive, unarchive) = (format!("{page}/archive"), format!("{page}/unarchive"));
    let question = owner.get(&archive).expect(200).text;
    assert!(question.contains(&format!("Archive {}?", project.full_path)), "{question}");
    assert_eq!(api(&forge, &project.path(""))["archived"], json!(false), "asking archives nothing");
    assert_eq!(owner.post(&archive, &[]).expect(303).header("location"), Some(&*page));
    let shown = owner.get(&page).expect(200).text;
    assert!(shown.contains("This project is archived.") && shown.contains("Unarchive project"), "{shown}");
    assert!(!shown.contains("name=\"section\"") && shown.contains("Delete project"));
    assert_eq!(api(&forge, &project.path(""))["archived"], json!(true));
    // Nobody changes its settings, and who could do nothing else is shown none.
    owner.post(&page, &[("section", "naming"), ("name", "x")]).expect(404);
    maintainer.get(&page).expect(404);
    assert!(!maintainer.get(&format!("/{}", project.full_path)).expect(200).text.contains(&page));
    // The same from a second window.
    owner.post(&archive, &[]).expect(303);
    assert!(owner.get(&page).text.contains("It is archived already."));
    owner.post(&unarchive, &[]).expect(303);
    assert!(owner.get(&page).expect(200).text.contains("The project is writable again."));
    owner.post(&unarchive, &[]).expect(303);
    assert!(owner.get(&page).text.contains("It is not archived."));
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).expect(200).text;
    assert_eq!(audit.matches("\"event_name\":\"project_archived\"").count(), 1, "{audit}");
}

#[test]
fn a_project_is_deleted_when_its_path_was_typed() {
    let forge = forge!();
    let project = forge.project("private");
    let owner = member(&forge, &project, 50);
    let token = project.token(&["api"], 40);
    forge.registry(&token.secret).repository(&format!("{}/web", project.full_path)).push_image("v1", "one");
    let page = format!("{}/delete", settings(&project));
    let question = owner.get(&page).expect(200).text;
    for part in [
        format!("Delete {}?", project.full_path),
        "1 project access token that can be used now, each with its bot".to_owned(),
        "1 image repository: whoever pulls".to_owned(),
        "cannot be undone".to_owned(),
    ] {
        assert!(question.contains(&part), "{part}: {question}");
    }
    let name = project.full_path.rsplit('/').next().unwrap();
    for wrong in ["", " ", name, HOSTILE, "acme/other", &project.full_path.to_uppercase()] {
        let answer = owner.post(&page, &[("full_path", wrong)]).expect(422).text;
        let said = format!("This is not {}, so nothing was deleted.", project.full_path);
        assert!(answer.contains(&said) && !answer.contains(HOSTILE), "{answer}");
    }
    owner.post(&page, &[]).expect(422);
    token.get("/user").expect(200);

    let typed = format!(" {} ", project.full_path);
    let done = owner.post(&page, &[("full_path", &typed)]).expect(303);
    let group = format!("/groups/{}", project.group.full_path);
    assert_eq!(done.header("location"), Some(&*group));
    let said = format!("The project {} was deleted.", project.full_path);
    assert!(owner.get(&group).expect(200).text.contains(&said));
    token.get("/user").expect(401);
    forge.root().get(&project.path("")).expect(404);
    // From a second window, or after going back.
    owner.post(&page, &[("full_path", &project.full_path)]).expect(404);
    owner.get(&page).expect(404);

    // Who does not see what it was in goes to their projects.
    let hidden = forge.group("hidden", "private");
    for archived in [false, true] {
        let project = forge.project_in(&hidden, "private");
        let owner = member(&forge, &project, 50);
        if archived {
            forge.root().post(&project.path("/archive"), Value::Null).expect(201);
        }
        let page = format!("{}/delete", settings(&project));
        let done = owner.post(&page, &[("full_path", &project.full_path)]).expect(303);
        assert_eq!(done.header("location"), Some("/dashboard"));
        assert!(owner.get("/dashboard").expect(200).text.contains("was deleted."));
    }
    let maria = forge.person("maria");
    maria.post("/projects", json!({ "name": "own" })).expect(201);
    let browser = Browser::signed_in(&forge, "maria");
    let done = browser.post("/maria/own/-/edit/delete", &[("full_path", "maria/own")]).expect(303);
    assert_eq!(done.header("location"), Some("/dashboard"));
}

#[test]
fn a_group_is_renamed_and_shown_to_others_without_touching_its_switches() {
    let forge = forge!();
    let group = forge.group("acme", "internal");
    let owner = member_of(&forge, &group, 50);
    let page = "/groups/acme/-/edit";
    let switches = |group: &Value| {
        ["resource_access_token_creation_allowed", "lfs_enabled", "require_two_factor_authentication"]
            .map(|name| group[name].clone())
    };
    let before = switches(&api(&forge, &group.path("")));
    let fields = [
        ("section", "general"),
        ("name", "Acme & Sons"),
        ("description", "One\r\ntwo <script>alert(1)</script>"),
        ("visibility", "public"),
        ("visibility_now", "internal"),
    ];
    assert_eq!(owner.post(page, &fields).expect(303).header("location"), Some(page));
    let shown = owner.get(page).expect(200).text;
    assert!(shown.contains("Saved.") && shown.contains("value=\"Acme &#38; Sons\""), "{shown}");
    assert!(shown.contains("&#60;script&#62;") && !shown.contains(HOSTILE));
    let now = api(&forge, &group.path(""));
    assert_eq!(
        (&now["name"], &now["description"], &now["visibility"]),
        (&json!("Acme & Sons"), &json!("One\ntwo <script>alert(1)</script>"), &json!("public"))
    );
    assert_eq!(switches(&now), before);
    // And the other way round; a page that is older than the change takes the visibility back as little.
    owner.post(page, &[("resource_access_token_creation_allowed", "yes")]).expect(303);
    let fields = [
        ("section", "general"),
        ("name", "Acme"),
        ("visibility", "internal"),
        ("visibility_now", "internal"),
    ];
    owner.post(page, &fields).expect(303);
    let now = api(&forge, &group.path(""));
    assert_eq!((&now["name"], &now["visibility"]), (&json!("Acme"), &json!("public")));
    assert_eq!(switches(&now), [json!(true), json!(false), json!(false)]);

    let (long, longer) = ("n".repeat(256), "d".repeat(2001));
    let below = forge.subgroup("below", "internal", Some(group.id));
    forge.project_in(&below, "internal");
    for (page, fields, problem) in [
        (page, vec![("name", "")], "The name can&#39;t be blank."),
        (page, vec![("name", &*long)], "The name is too long"),
        (page, vec![("name", "x"), ("description", &*longer)], "The description is too long"),
        (page, vec![("name", "x"), ("visibility", "secret")], "The visibility is none of those."),
        (
            page,
            vec![("name", HOSTILE), ("visibility", "private")],
            "The visibility is not allowed since this group contains projects or groups with higher visibility.",
        ),
    ] {
        let fields: Vec<_> = [("section", "general")].into_iter().chain(fields).collect();
        let answer = owner.post(page, &fields).expect(422).text;
        assert!(answer.contains(problem) && !answer.contains(HOSTILE), "{problem}: {answer}");
    }
    owner.post(page, &[("section", "other"), ("name", "x")]).expect(415);
    // What is inside is seen by no more people than what it is in.
    forge.root().put(&group.path(""), json!({ "visibility": "internal" })).expect(200);
    let inside = "/groups/acme/below/-/edit";
    assert!(!owner.get(inside).expect(200).text.contains("id=\"visibility-public\""));
    let fields = [("section", "general"), ("name", "below"), ("visibility", "public")];
    let answer = owner.post(inside, &fields).expect(422).text;
    assert!(
        answer.contains("The visibility is not allowed since the parent group is less visible."),
        "{answer}"
    );
    assert_eq!(api(&forge, &group.path(""))["name"], "Acme");

    let maintainer = member_of(&forge, &group, 40);
    maintainer.get(page).expect(404);
    maintainer.post(page, &[("section", "general"), ("name", "mine")]).expect(404);
}

#[test]
fn a_group_is_deleted_with_all_below_when_its_path_was_typed() {
    let forge = forge!();
    let group = forge.group("acme", "public");
    let below = forge.subgroup("tools", "public", Some(group.id));
    let project = forge.project_in(&below, "private");
    let (of_project, of_group) = (project.token(&["api"], 30), forge.group_token(&below, &["api"], 30));
    let owner = member_of(&forge, &group, 50);
    let maintainer = member_of(&forge, &group, 40);
    let page = "/groups/acme/tools/-/edit/delete";
    let question = owner.get(page).expect(200).text;
    for part in
        ["Delete acme/tools?", "1 project, everything included", "1 group access token that can be used now"]
    {
        assert!(question.contains(part), "{part}: {question}");
    }
    let question = owner.get("/groups/acme/-/edit/delete").expect(200).text;
    assert!(question.contains("1 group inside it") && question.contains("1 project, everything included"));
    for wrong in ["", "tools", "acme", HOSTILE] {
        let answer = owner.post(page, &[("full_path", wrong)]).expect(422).text;
        assert!(
            answer.contains("This is not acme/tools, so nothing was deleted.") && !answer.contains(HOSTILE)
        );
    }
    maintainer.get(page).expect(404);
    maintainer.post(page, &[("full_path", "acme/tools")]).expect(404);
    Browser::new(&forge).post(page, &[("full_path", "acme/tools")]).expect(303);
    of_group.get("/user").expect(200);

    let done = owner.post(page, &[("full_path", "acme/tools")]).expect(303);
    assert_eq!(done.header("location"), Some("/groups/acme"));
    let shown = owner.get("/groups/acme").expect(200).text;
    assert!(shown.contains("The group acme/tools was deleted, with everything in it."), "{shown}");
    of_group.get("/user").expect(401);
    of_project.get("/user").expect(401);
    forge.root().get(&project.path("")).expect(404);
    owner.post(page, &[("full_path", "acme/tools")]).expect(404);
    let done = owner.post("/groups/acme/-/edit/delete", &[("full_path", "acme")]).expect(303);
    assert_eq!(done.header("location"), Some("/dashboard"));
}
