//! What automation clients do first and all the time, in the words they do it with: who am I, which projects and groups are
//! there, who is a member, which issues are open. Each test is named in `docs/endpoints.md`.

use portcullis_testkit::forge;
use serde_json::{Value, json};

/// The values of a key in the items of a list.
fn all(list: &Value, key: &str) -> Vec<Value> {
    list.as_array().map(|items| items.iter().map(|item| item[key].clone()).collect()).unwrap_or_default()
}

#[test]
fn the_version_is_a_number_that_clients_compare() {
    let forge = forge!();
    let bot = forge.project("private").token(&["read_api"], 20);
    for path in ["/version", "/metadata"] {
        let answer = bot.get(path).expect(200).json();
        let version = answer["version"].as_str().unwrap().to_owned();
        let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(numbers >= vec![17, 11, 0], "{version}");
        assert!(!answer["revision"].as_str().unwrap().is_empty());
        forge.anyone().get(path).expect(401);
    }
}

#[test]
fn users_are_found_by_name_and_an_unknown_name_is_an_empty_list() {
    let forge = forge!();
    let (ann, ben) = (forge.person("ann"), forge.person("ben"));
    let found = ann.get("/users?username=BEN").expect(200).json();
    assert_eq!((all(&found, "id"), all(&found, "username")), (vec![json!(ben.id)], vec![json!("ben")]));
    ann.get("/users?username=nobody").expect_json(200, json!([]));
    assert_eq!(all(&ann.get("/users?search=ben").expect(200).json(), "id"), [json!(ben.id)]);
    let list = ann.get("/users?per_page=1").expect(200);
    assert_eq!((list.header("x-per-page"), list.header("x-page")), (Some("1"), Some("1")));

    let one = ann.get(&format!("/users/{}", ben.id)).expect(200).json();
    assert_eq!(
        (&one["username"], &one["name"], &one["state"]),
        (&json!("ben"), &json!("ben Person"), &json!("active"))
    );
    // The address is between oneself and the administrators.
    assert_eq!(one.get("email"), None);
    assert_eq!(
        forge.root().get(&format!("/users/{}", ben.id)).expect(200).json()["email"],
        "ben@example.com"
    );
    ann.get("/users/999999").expect_json(404, json!({ "message": "404 User Not Found" }));

    for name in ["ben".to_owned(), ben.id.to_string()] {
        let status = ann.get(&format!("/users/{name}/status")).expect(200).json();
        assert_eq!(status["availability"], "not_set");
    }
    ann.get("/users/nobody/status").expect(404);
    forge.anyone().get("/users").expect(401);
}

#[test]
fn what_is_sold_elsewhere_is_an_error_that_clients_understand() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    for caller in [forge.root(), &bot.caller] {
        caller.get("/license").expect_json(404, json!({ "error": "404 Not Found" }));
        caller.get(&project.path("/push_rule")).expect(404).json();
        caller.post(&project.path("/push_rule"), json!({ "deny_delete_tag": true })).expect(404).json();
        caller.put(&project.path("/push_rule"), json!({ "deny_delete_tag": true })).expect(404).json();
    }
}

#[test]
fn builds_are_not_to_be_had() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let me = bot.get("/user").expect(200).json()["id"].as_i64().unwrap();
    let iid = forge.merge_request(project.id, me, "one");
    bot.post(&project.path(&format!("/merge_requests/{iid}/pipelines")), json!({})).expect(405).json();
    for what in ["jobs", "bridges", "variables"] {
        bot.get(&project.path(&format!("/pipelines/1/{what}"))).expect(404).json();
    }
}

#[test]
fn a_project_is_made_read_changed_and_deleted() {
    let forge = forge!();
    let ann = forge.person("ann");
    let body = json!({
        "name": "My App", "path": "my.app", "description": "what it is for", "visibility": "private",
        "initialize_with_readme": "true", "issues_enabled": true, "topics": ["a", "b"],
    });
    let made = ann.post("/projects", body.clone()).expect(201).json();
    let id = made["id"].as_i64().unwrap();
    assert_eq!(
        (&made["path_with_namespace"], &made["import_status"]),
        (&json!("ann/my.app"), &json!("none"))
    );
    assert_eq!((&made["topics"], &made["visibility"]), (&json!(["a", "b"]), &json!("private")));
    // A path is taken once.
    let again = ann.post("/projects", body).expect(400).json();
    assert!(again["message"].is_object(), "{again}");
    ann.post("/projects", json!({})).expect(400);

    // By its number and by its path, however that is encoded and whatever its case.
    for reference in
        [id.to_string(), "ann%2Fmy.app".to_owned(), "ann%2Fmy%2Eapp".to_owned(), "ANN%2FMy.App".to_owned()]
    {
        let read = ann.get(&format!("/projects/{reference}?license=true&statistics=false")).expect(200);
        assert_eq!(read.header("content-type"), Some("application/json"));
        let read = read.json();
        assert_eq!((&read["id"], &read["default_branch"]), (&json!(id), &json!("main")));
        assert_eq!(read["http_url_to_repo"], format!("{}/ann/my.app.git", forge.url));
        assert_eq!(read["merge_requests_enabled"], true);
        let head = ann.send("HEAD", &format!("/api/v4/projects/{reference}"), &[], b"").expect(200);
        assert_eq!((head.header("content-type"), head.text.as_str()), (Some("application/json"), ""));
    }
    let bot = ann
        .post(
            &format!("/projects/{id}/access_tokens"),
            json!({ "name": "ci", "scopes": ["api"], "access_level": 30 }),
        )
        .expect(201)
        .json();
    let bot = forge.with_token(bot["token"].as_str().unwrap());
    let permissions = bot.get(&format!("/projects/{id}")).expect(200).json()["permissions"].clone();
    assert_eq!(permissions["project_access"]["access_level"], 30);

    let changed = ann
        .put(
            &format!("/projects/{id}"),
            json!({ "description": "other", "visibility": "public", "merge_method": "ff" }),
        )
        .expect(200)
        .json();
    assert_eq!(
        (&changed["description"], &changed["visibility"], &changed["merge_method"]),
        (&json!("other"), &json!("public"), &json!("ff"))
    );
    ann.put(&format!("/projects/{id}"), json!({ "visibility": "secret" })).expect(400);
    bot.put(&format!("/projects/{id}"), json!({ "description": "no" })).expect(403);
    bot.delete(&format!("/projects/{id}")).expect(403);

    ann.delete(&format!("/projects/{id}")).expect_json(202, json!({ "message": "202 Accepted" }));
    ann.get(&format!("/projects/{id}")).expect_json(404, json!({ "message": "404 Project Not Found" }));
    ann.delete(&format!("/projects/{id}")).expect(404);
}

#[test]
fn projects_are_listed_for_whoever_asks() {
    let forge = forge!();
    let (open, closed, other) = (forge.project("public"), forge.project("private"), forge.project("private"));
    let member = closed.member(30);
    let ids = |caller: &portcullis_testkit::Caller, question: &str| {
        let answer = caller.get(&format!("/projects?order_by=id&sort=asc{question}")).expect(200);
        assert_eq!(answer.header("x-page"), Some("1"), "{question}");
        all(&answer.json(), "id")
    };
    assert_eq!(ids(&member, ""), [json!(open.id), json!(closed.id)]);
    assert_eq!(ids(&forge.anyone(), ""), [json!(open.id)]);
    assert_eq!(ids(&member, "&membership=true"), [json!(closed.id)]);
    assert_eq!(ids(&member, "&membership=true&min_access_level=40"), Vec::<Value>::new());
    assert_eq!(ids(&closed.token(&["api"], 30), "&membership=True&archived=False"), [json!(closed.id)]);
    let name = closed.full_path.rsplit('/').next().unwrap();
    assert_eq!(ids(&member, &format!("&search={name}&simple=true")), [json!(closed.id)]);
    assert!(ids(forge.root(), "").contains(&json!(other.id)));
    let head = member.send("HEAD", "/api/v4/projects", &[], b"").expect(200);
    assert_eq!(head.header("x-total"), Some("2"));
}

#[test]
fn members_of_a_project_are_added_read_changed_and_removed() {
    let forge = forge!();
    let project = forge.project("private");
    let (maintainer, ann, heir) = (project.member(40), forge.person("ann"), forge.person("heir"));
    let group = format!("/groups/{}/members", project.group.id);
    forge.root().post(&group, json!({ "user_id": heir.id, "access_level": 20 })).expect(201);
    let members = project.path("/members");
    let date = forge.clock.date(9);

    // A number may come as a text.
    let body = json!({ "user_id": ann.id.to_string(), "access_level": "30", "expires_at": date });
    let added = maintainer.post(&members, body.clone()).expect(201).json();
    assert_eq!(
        (&added["id"], &added["username"], &added["access_level"], &added["expires_at"]),
        (&json!(ann.id), &json!("ann"), &json!(30), &json!(date))
    );
    maintainer.post(&members, body).expect_json(409, json!({ "message": "Member already exists" }));
    maintainer.post(&members, json!({ "user_id": heir.id, "access_level": 25 })).expect(400);
    maintainer.post(&members, json!({ "user_id": 999_999, "access_level": 30 })).expect(404);
    maintainer.post(&members, json!({ "user_id": heir.id, "access_level": 50 })).expect(403);

    let names = |path: &str| all(&maintainer.get(path).expect(200).json(), "username");
    assert!(names(&members).contains(&json!("ann")) && !names(&members).contains(&json!("heir")));
    assert_eq!(names(&format!("{members}?query=an")), [json!("ann")]);
    assert_eq!(names(&format!("{members}?user_ids[]={}", ann.id)), [json!("ann")]);
    assert!(names(&format!("{members}/all")).contains(&json!("heir")));

    // Whoever inherits a role is found among all members, and not among the direct ones.
    maintainer.get(&format!("{members}/{}", heir.id)).expect(404);
    assert_eq!(maintainer.get(&format!("{members}/all/{}", heir.id)).expect(200).json()["access_level"], 20);
    assert_eq!(maintainer.get(&format!("{members}/{}", ann.id)).expect(200).json()["access_level"], 30);
    maintainer.get(&format!("{members}/all/999999")).expect(404);

    let one = format!("{members}/{}", ann.id);
    let changed = maintainer.put(&one, json!({ "access_level": 20, "expires_at": "" })).expect(200).json();
    assert_eq!((&changed["access_level"], &changed["expires_at"]), (&json!(20), &Value::Null));
    ann.delete(&format!("{members}/{}", maintainer.id)).expect(403);
    maintainer.delete(&one).expect(204);
    maintainer.get(&one).expect(404);
    maintainer.delete(&one).expect(404);
}

#[test]
fn groups_are_made_read_changed_and_deleted() {
    let forge = forge!();
    let ann = forge.person("ann");
    let body = json!({ "name": "Tools", "path": "tools", "visibility": "private", "description": "for all" });
    let group = ann.post("/groups", body.clone()).expect(201).json();
    let id = group["id"].as_i64().unwrap();
    assert_eq!(
        (&group["full_path"], &group["parent_id"], &group["visibility"]),
        (&json!("tools"), &Value::Null, &json!("private"))
    );
    ann.post("/groups", body).expect(400);
    ann.post("/groups", json!({ "name": "x" })).expect(400);
    let body = json!({ "name": "Inner", "path": "inner", "parent_id": id });
    let inner = ann.post("/groups", body).expect(201).json()["id"].as_i64().unwrap();
    let body = json!({ "name": "Innermost", "path": "innermost", "parent_id": inner });
    let innermost = ann.post("/groups", body).expect(201).json()["id"].as_i64().unwrap();
    let project = |namespace: i64, name: &str| {
        let body = json!({ "name": name, "namespace_id": namespace });
        ann.post("/projects", body).expect(201).json()["id"].clone()
    };
    let (outside, inside) = (project(id, "one"), project(innermost, "two"));

    for reference in [id.to_string(), "tools".to_owned(), "Tools?with_projects=false".to_owned()] {
        assert_eq!(ann.get(&format!("/groups/{reference}")).expect(200).json()["id"], id);
    }
    assert_eq!(ann.get("/groups/tools%2Finner").expect(200).json()["full_name"], "tools / inner");
    let stranger = forge.person("stranger");
    stranger.get(&format!("/groups/{id}")).expect_json(404, json!({ "message": "404 Group Not Found" }));

    let ids = |path: &str| all(&ann.get(path).expect(200).json(), "id");
    assert_eq!(ids("/groups"), [id, inner, innermost].map(|id| json!(id)));
    assert_eq!(ids(&format!("/groups?top_level_only=true&skip_groups[]={inner}")), [json!(id)]);
    assert_eq!(ids("/groups?search=innermost&owned=true"), [json!(innermost)]);
    stranger.get("/groups").expect_json(200, json!([]));
    assert_eq!(ids(&format!("/groups/{id}/subgroups")), [json!(inner)]);
    assert_eq!(ids(&format!("/groups/{id}/descendant_groups")), [json!(inner), json!(innermost)]);
    assert_eq!(ids(&format!("/groups/{id}/projects")), std::slice::from_ref(&outside));
    let below = format!("/groups/{id}/projects?include_subgroups=true&order_by=id&sort=asc");
    assert_eq!(ids(&below), [outside.clone(), inside]);

    let changed =
        ann.put(&format!("/groups/{id}"), json!({ "name": "New", "description": "" })).expect(200).json();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("New"), &json!("")));
    ann.put(&format!("/groups/{id}"), json!({ "visibility": "nobody" })).expect(400);

    ann.delete(&format!("/groups/{id}")).expect_json(202, json!({ "message": "202 Accepted" }));
    ann.get(&format!("/groups/{id}")).expect(404);
    ann.get(&format!("/groups/{innermost}")).expect(404);
    ann.get(&format!("/projects/{outside}")).expect(404);
}

#[test]
fn members_of_a_group_are_added_read_changed_and_removed() {
    let forge = forge!();
    let (ann, ben) = (forge.person("ann"), forge.person("ben"));
    let group = ann.post("/groups", json!({ "name": "a", "path": "tools" })).expect(201).json()["id"].clone();
    let inner =
        ann.post("/groups", json!({ "name": "b", "path": "inner", "parent_id": group })).expect(201).json();
    let members = format!("/groups/{group}/members");
    // A client tries every name as a group's: a person is none.
    ann.get("/groups/ben/members").expect(404);
    ann.get("/groups/nobody/members").expect(404);

    let added = ann.post(&members, json!({ "user_id": ben.id, "access_level": 30 })).expect(201).json();
    assert_eq!((&added["username"], &added["access_level"]), (&json!("ben"), &json!(30)));
    ann.post(&members, json!({ "user_id": ben.id, "access_level": 30 })).expect(409);
    assert_eq!(all(&ann.get(&members).expect(200).json(), "username"), ["ann", "ben"]);
    let inherited = format!("/groups/{}/members", inner["id"]);
    assert!(!all(&ann.get(&inherited).expect(200).json(), "username").contains(&json!("ben")));
    assert!(
        all(&ann.get(&format!("{inherited}/all")).expect(200).json(), "username").contains(&json!("ben"))
    );

    let one = format!("{members}/{}", ben.id);
    assert_eq!(ann.get(&one).expect(200).json()["access_level"], 30);
    assert_eq!(ann.put(&one, json!({ "access_level": 20 })).expect(200).json()["access_level"], 20);
    ben.put(&one, json!({ "access_level": 50 })).expect(403);
    ann.delete(&one).expect(204);
    ann.get(&one).expect(404);
    // The last Owner stays.
    ann.delete(&format!("{members}/{}", ann.id)).expect(403);
}

#[test]
fn namespaces_are_listed_read_and_asked_for() {
    let forge = forge!();
    let (ann, stranger) = (forge.person("ann"), forge.person("stranger"));
    let group =
        ann.post("/groups", json!({ "name": "Tools", "path": "tools" })).expect(201).json()["id"].clone();
    let list = ann.get("/namespaces").expect(200).json();
    assert_eq!(all(&list, "full_path"), ["ann", "tools"]);
    assert_eq!(all(&list, "kind"), ["user", "group"]);
    assert_eq!(
        all(&ann.get("/namespaces?search=tool").expect(200).json(), "id"),
        std::slice::from_ref(&group)
    );
    for reference in [group.to_string(), "tools".to_owned()] {
        let one = ann.get(&format!("/namespaces/{reference}")).expect(200).json();
        assert_eq!((&one["id"], &one["kind"], &one["parent_id"]), (&group, &json!("group"), &Value::Null));
        stranger.get(&format!("/namespaces/{reference}")).expect(404);
    }
    let exists =
        |name: &str| ann.get(&format!("/namespaces/{name}/exists")).expect(200).json()["exists"].clone();
    assert_eq!((exists("tools"), exists("nowhere")), (json!(true), json!(false)));
    forge.anyone().get("/namespaces").expect(401);
}

#[test]
fn branches_are_protected_and_released() {
    let forge = forge!();
    let project = forge.project("private");
    let (bot, developer) = (project.token(&["api"], 40), project.token(&["api"], 30));
    let protections = project.path("/protected_branches");
    let body = json!({ "name": "release/*", "push_access_level": 0, "merge_access_level": 40, "allow_force_push": "true" });
    let made = bot.post(&protections, body.clone()).expect(201).json();
    assert_eq!(
        (
            &made["name"],
            &made["push_access_levels"][0]["access_level"],
            &made["merge_access_levels"][0]["access_level"]
        ),
        (&json!("release/*"), &json!(0), &json!(40))
    );
    assert_eq!(made["allow_force_push"], true);
    bot.post(&protections, body.clone()).expect(409);
    bot.post(&protections, json!({ "name": "x", "push_access_level": 31 })).expect(400);
    developer.post(&protections, body).expect(403);

    let names = all(&bot.get(&protections).expect(200).json(), "name");
    assert!(names.contains(&json!("main")) && names.contains(&json!("release/*")), "{names:?}");
    let one = format!("{protections}/release%2F%2A");
    assert_eq!(bot.get(&one).expect(200).json(), made);
    let changed = bot.patch(&one, json!({ "allow_force_push": false })).expect(200).json();
    assert_eq!(changed["allow_force_push"], false);
    bot.delete(&one).expect(204);
    bot.get(&one).expect(404);
    bot.delete(&one).expect(404);
}

#[test]
fn issues_are_opened_found_changed_and_commented_as_clients_do() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let issues = project.path("/issues");
    // One client repeats the path of the project in the body, another sends labels that are none.
    let body = json!({ "id": "some/where", "title": "Dependencies", "description": "what is new", "labels": "bot,news" });
    let made = bot.post(&issues, body).expect(201).json();
    assert_eq!((&made["project_id"], &made["labels"]), (&json!(project.id), &json!(["bot", "news"])));
    assert_eq!(made["web_url"], format!("{}/{}/-/issues/1", forge.url, project.full_path));
    for labels in [json!(""), json!(false), Value::Null] {
        bot.post(&issues, json!({ "title": "none", "labels": labels })).expect(201);
    }
    bot.post(&issues, json!({})).expect_json(400, json!({ "error": "title is missing" }));

    let numbers = |question: &str| all(&bot.get(&format!("{issues}?{question}")).expect(200).json(), "iid");
    assert_eq!(numbers("state=opened&scope=created_by_me&labels=bot&per_page=100"), [json!(1)]);
    assert_eq!(numbers("search=Dependencies&in=title"), [json!(1)]);
    assert_eq!(numbers("labels=None&sort=asc&order_by=created_at"), [json!(2), json!(3), json!(4)]);
    assert_eq!(numbers("iids[]=3"), [json!(3)]);

    let one = format!("{issues}/1");
    assert_eq!(bot.get(&one).expect(200).json()["description"], "what is new");
    bot.get(&format!("{issues}/99")).expect(404);
    let body = json!({ "title": "Changed", "labels": "", "state_event": "close" });
    let changed = bot.put(&one, body).expect(200).json();
    assert_eq!(
        (&changed["title"], &changed["labels"], &changed["state"]),
        (&json!("Changed"), &json!([]), &json!("closed"))
    );
    bot.put(&one, json!({ "state_event": "burn" })).expect(400);
    assert_eq!(numbers("state=closed"), [json!(1)]);

    let note = bot.post(&format!("{one}/notes"), json!({ "body": "released" })).expect(201).json();
    assert_eq!((&note["body"], &note["noteable_type"]), (&json!("released"), &json!("Issue")));
    let notes = bot.get(&format!("{one}/notes?sort=asc")).expect(200).json();
    assert!(all(&notes, "id").contains(&note["id"]), "{notes}");
    bot.post(&format!("{one}/notes"), json!({})).expect_json(400, json!({ "error": "body is missing" }));
}

#[test]
fn issues_of_several_projects_are_listed_as_far_as_they_may_be_read() {
    let forge = forge!();
    let group = forge.group("tools", "private");
    let inner = forge.subgroup("inner", "private", Some(group.id));
    let (first, second) = (forge.project_in(&group, "private"), forge.project_in(&inner, "private"));
    let (outside, open) = (forge.project("private"), forge.project("public"));
    let ann = forge.person("ann");
    let body = json!({ "user_id": ann.id, "access_level": 10 });
    forge.root().post(&group.path("/members"), body).expect(201);
    ann.issue(first.id, "a");
    let bot = second.token(&["api"], 40);
    bot.post(&second.path("/issues"), json!({ "title": "b", "assignee_ids": [ann.id], "labels": "bug" }))
        .expect(201);
    bot.post(&second.path("/issues"), json!({ "title": "c", "confidential": true })).expect(201);
    forge.root().issue(outside.id, "d");
    forge.root().issue(open.id, "e");

    let titles = |caller: &portcullis_testkit::Caller, path: &str| {
        let list = caller.get(path).expect(200).json();
        let mut titles: Vec<_> =
            all(&list, "title").iter().map(|title| title.as_str().unwrap().to_owned()).collect();
        titles.sort_unstable();
        titles.concat()
    };
    // One's own, unless asked otherwise.
    assert_eq!(titles(&ann, "/issues"), "a");
    assert_eq!(titles(&ann, "/issues?scope=assigned_to_me"), "b");
    // A Guest is not shown what is confidential.
    assert_eq!(titles(&ann, "/issues?scope=all"), "abe");
    assert_eq!(titles(&ann, "/issues?scope=all&labels=bug&state=opened"), "b");
    assert_eq!(titles(&ann, "/issues?scope=all&search=e&in=title"), "e");
    assert_eq!(titles(&bot, "/issues?scope=all"), "bce");
    assert_eq!(titles(&bot, "/issues?scope=all&confidential=true"), "c");
    assert_eq!(titles(forge.root(), "/issues?scope=all"), "abcde");
    forge.anyone().get("/issues?scope=all").expect(401);
    ann.get("/issues?scope=mine").expect(400);
    ann.get("/issues?state=lost").expect(400);

    // Of a group with what is below it, in the whole shape.
    let of_group = group.path("/issues");
    assert_eq!(titles(&ann, &of_group), "ab");
    assert_eq!(titles(&ann, &format!("{of_group}?scope=created_by_me")), "a");
    assert_eq!(titles(forge.root(), &of_group), "abc");
    assert_eq!(titles(forge.root(), &inner.path("/issues")), "bc");
    bot.get(&of_group).expect(404);
    forge.person("stranger").get(&of_group).expect(404);
    let listed = ann.get(&format!("{of_group}?labels=bug")).expect(200).json()[0].clone();
    let mut alone = ann.get(&second.path("/issues/1")).expect(200).json();
    alone.as_object_mut().unwrap().remove("subscribed");
    assert_eq!(listed, alone);
    assert_eq!(listed["references"]["full"], format!("{}#1", second.full_path));

    // Pages lead on by their number and by what stands last on them.
    let page = ann.get("/issues?scope=all&per_page=2").expect(200);
    assert_eq!((page.header("x-total"), page.header("x-next-page")), (Some("3"), Some("2")));
    let page =
        ann.get("/issues?scope=all&per_page=2&pagination=keyset&order_by=created_at&sort=asc").expect(200);
    let next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    let next = next.split_once("/api/v4").unwrap().1.to_owned();
    let rest = titles(&ann, &next);
    assert_eq!(page.json().as_array().unwrap().len() + rest.len(), 3);

    // What is archived, or has no issues for the reader, is left out.
    forge.root().post(&first.path("/archive"), Value::Null).expect(201);
    assert_eq!(titles(&ann, "/issues?scope=all"), "be");
    assert_eq!(titles(&ann, "/issues?scope=all&non_archived=false"), "abe");
    forge.root().put(&open.path(""), json!({ "issues_access_level": "private" })).expect(200);
    assert_eq!(titles(&ann, "/issues?scope=all"), "b");
    // A token of the group reaches all of them.
    let robot = forge.group_token(&group, &["read_api"], 20);
    assert_eq!(titles(&robot, &format!("{of_group}?non_archived=false")), "abc");
}
