//! What people and bots do with images over the REST API: look at repositories and tags, delete them, protect tags, have
//! old ones cleaned up, and see how much they take.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::registry::{
    ImageRepository, OCI_CONFIG, OCI_IMAGE, OCI_INDEX, OCI_LAYER, descriptor, image_manifest, index_manifest,
};
use portcullis_testkit::{Project, TestForge, forge};
use serde_json::{Value, json};

/// Returns an image repository of a project, as a token sees it that may do everything.
fn repository(forge: &TestForge, project: &Project<'_>, image: &str) -> ImageRepository {
    let bot = project.token(&["api"], 40);
    let name = format!("{}{image}", project.full_path);
    forge.registry(&bot.secret).repository(&name)
}

/// Pushes an image that says it was built some days ago, and returns its manifest.
fn push(forge: &TestForge, repository: &ImageRepository, tag: &str, days_ago: i64) -> Vec<u8> {
    let config =
        json!({ "created": format!("{}T12:00:00Z", forge.clock.date(-days_ago)), "config": { "tag": tag } });
    let config = config.to_string().into_bytes();
    let layer = format!("the layer of {tag}").into_bytes();
    repository.push_blob(&config);
    repository.push_blob(&layer);
    let manifest = image_manifest(&descriptor(OCI_CONFIG, &config), &[descriptor(OCI_LAYER, &layer)]);
    let manifest = manifest.to_string().into_bytes();
    repository.put_manifest(tag, OCI_IMAGE, &manifest).expect(201);
    manifest
}

/// Pushes images, each so many days ago, and lets the clock stand at today.
fn push_aged(forge: &TestForge, repository: &ImageRepository, tags: &[(&str, i64)]) {
    let mut tags = tags.to_vec();
    tags.sort_by_key(|(_, days)| std::cmp::Reverse(*days));
    for (at, (tag, days)) in tags.iter().enumerate() {
        push(forge, repository, tag, 1);
        let next = tags.get(at + 1).map_or(0, |(_, days)| *days);
        forge.clock.advance_days(days - next);
    }
}

fn repository_id(forge: &TestForge, project: &Project<'_>) -> i64 {
    let found = forge.root().get(&project.path("/registry/repositories")).expect(200).json();
    found[0]["id"].as_i64().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn host(forge: &TestForge) -> &str {
    forge.url.strip_prefix("http://").unwrap()
}

#[test]
fn repositories_are_listed_in_gitlabs_shape() {
    let forge = forge!();
    let project = forge.project("private");
    let (path, host) = (project.full_path.as_str(), host(&forge));
    let (root, image) = (repository(&forge, &project, ""), repository(&forge, &project, "/releases"));
    let manifest = push(&forge, &root, "v1", 1);
    push(&forge, &image, "a", 1);
    push(&forge, &image, "b", 1);
    let reader = project.token(&["read_api"], 20);
    let list = reader.get(&project.path("/registry/repositories?tags=true&tags_count=true")).expect(200);
    assert_eq!(list.header("x-total"), Some("2"));
    let list = list.json();
    assert_eq!(names(&list), ["", "releases"]);
    let id = list[1]["id"].as_i64().unwrap();
    assert_eq!(
        list[1],
        json!({
            "id": id, "name": "releases", "path": format!("{path}/releases"), "project_id": project.id,
            "location": format!("{host}/{path}/releases"), "created_at": "2026-03-02T12:00:00.000Z",
            "cleanup_policy_started_at": null, "status": null, "tags_count": 2,
            "tags": [
                { "name": "a", "path": format!("{path}/releases:a"), "location": format!("{host}/{path}/releases:a") },
                { "name": "b", "path": format!("{path}/releases:b"), "location": format!("{host}/{path}/releases:b") },
            ],
        })
    );
    assert_eq!(list[0]["path"], path);
    assert_eq!(list[0]["tags_count"], 1);
    let plain = reader.get(&project.path("/registry/repositories")).expect(200).json();
    assert!(plain[0].get("tags").is_none() && plain[0].get("tags_count").is_none());

    let one = reader.get(&format!("/registry/repositories/{}?size=true&tags_count=1", list[0]["id"]));
    let one = one.expect(200).json();
    let size: Value = serde_json::from_slice(&manifest).unwrap();
    let size = size["config"]["size"].as_i64().unwrap() + size["layers"][0]["size"].as_i64().unwrap();
    assert_eq!((one["size"].as_i64(), one["tags_count"].as_i64()), (Some(size), Some(1)));
    assert!(one.get("tags").is_none());

    let group = forge.root().get(&format!("/groups/{}/registry/repositories", project.group.id));
    let group = group.expect(200).json();
    assert_eq!(names(&group), ["", "releases"]);
    assert!(group[0].get("tags_count").is_none());
}

/// A repository is asked for by its number alone. Who may not see its project must not learn which numbers there are.
#[test]
fn a_repository_of_a_hidden_project_is_like_none() {
    let forge = forge!();
    let project = forge.project("private");
    push(&forge, &repository(&forge, &project, "/x"), "a", 1);
    let id = repository_id(&forge, &project);
    let stranger = forge.person("stranger");
    let (other, anyone) = (forge.project("private").token(&["api"], 50), forge.anyone());
    for caller in [&*stranger, &*other, &anyone] {
        let hidden = caller.get(&format!("/registry/repositories/{id}"));
        for nothing in ["999999", "0", "-1", "x", "99999999999999999999"] {
            let missing = caller.get(&format!("/registry/repositories/{nothing}"));
            assert_eq!((hidden.status, &hidden.text), (missing.status, &missing.text), "{nothing}");
        }
        assert_eq!(hidden.status, 404);
    }
    // And it is not found in another project.
    let own = other.get(&format!("/registry/repositories/{id}/tags"));
    own.expect(404);
    let elsewhere = forge.project("public");
    for path in [format!("/registry/repositories/{id}/tags"), format!("/registry/repositories/{id}/tags/a")] {
        forge.root().get(&elsewhere.path(&path)).expect(404);
        forge.root().delete(&elsewhere.path(&path)).expect(if path.ends_with('a') { 404 } else { 400 });
    }
    forge.root().delete(&elsewhere.path(&format!("/registry/repositories/{id}"))).expect(404);
}

#[test]
fn tags_are_listed_by_page_and_by_what_stands_last() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    for tag in ["b", "a", "C", "_", "a.1"] {
        push(&forge, &image, tag, 1);
    }
    let id = repository_id(&forge, &project);
    let tags = project.path(&format!("/registry/repositories/{id}/tags"));
    let reader = project.token(&["read_api"], 20);
    let page = reader.get(&format!("{tags}?per_page=2&page=2")).expect(200);
    assert_eq!((page.header("x-total"), page.header("x-next-page")), (Some("5"), Some("3")));
    assert_eq!(names(&page.json()), ["a", "a.1"]);

    for (sort, expected) in [("asc", ["C", "_", "a", "a.1", "b"]), ("desc", ["b", "a.1", "a", "_", "C"])] {
        let mut found = Vec::new();
        let mut next = Some(format!("{tags}?pagination=keyset&per_page=2&sort={sort}"));
        let mut pages = 0;
        while let Some(path) = next {
            let page = reader.get(&path).expect(200);
            assert_eq!(page.header("x-total"), None);
            found.extend(names(&page.json()).into_iter().map(str::to_owned));
            next = page.header("link").map(|link| {
                let url = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
                url.strip_prefix(&format!("{}/api/v4", forge.url)).unwrap().to_owned()
            });
            pages += 1;
        }
        assert_eq!((found.iter().map(String::as_str).collect::<Vec<_>>(), pages), (expected.to_vec(), 3));
    }
    for wrong in ["pagination=cursor", "pagination=keyset&sort=up"] {
        let refused = reader.get(&format!("{tags}?{wrong}")).expect(400).json();
        assert!(refused["error"].as_str().unwrap().contains("allowed are"), "{refused}");
    }
}

#[test]
fn a_tag_is_told_with_its_image() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    let manifest = push(&forge, &image, "v1", 3);
    let id = repository_id(&forge, &project);
    let tags = project.path(&format!("/registry/repositories/{id}/tags"));
    let reader = project.token(&["read_api"], 20);
    let one = reader.get(&format!("{tags}/v1")).expect(200).json();
    let parsed: Value = serde_json::from_slice(&manifest).unwrap();
    let revision = parsed["config"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let described = descriptor(OCI_IMAGE, &manifest);
    let path = format!("{}/x:v1", project.full_path);
    let size = parsed["config"]["size"].as_i64().unwrap() + parsed["layers"][0]["size"].as_i64().unwrap();
    assert_eq!(
        one,
        json!({
            "name": "v1", "path": path, "location": format!("{}/{path}", host(&forge)), "revision": revision,
            "short_revision": &revision[..9], "digest": described["digest"],
            "created_at": format!("{}T12:00:00.000+00:00", forge.clock.date(-3)), "total_size": size,
        })
    );
    // An index has no configuration; it is as old and as large as its images.
    let index = index_manifest(&[described]).to_string().into_bytes();
    image.put_manifest("all", OCI_INDEX, &index).expect(201);
    let all = reader.get(&format!("{tags}/all")).expect(200).json();
    assert_eq!((&all["revision"], &all["total_size"]), (&Value::Null, &json!(size)));
    assert_eq!(all["created_at"], one["created_at"]);
    reader.get(&format!("{tags}/v2")).expect_json(404, json!({ "message": "404 Tag Not Found" }));
    reader.get(&project.path("/registry/repositories/999/tags/v1")).expect(404);
}

#[test]
fn a_developer_deletes_one_tag_and_it_is_written_down() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    push(&forge, &image, "v1", 1);
    push(&forge, &image, "v2", 1);
    let id = repository_id(&forge, &project);
    let tag = project.path(&format!("/registry/repositories/{id}/tags/v1"));
    project.token(&["api"], 20).delete(&tag).expect(403);
    project.token(&["read_api"], 40).delete(&tag).expect(403);
    let bot = project.token(&["api"], 30);
    bot.delete(&tag).expect(200);
    bot.delete(&tag).expect_json(404, json!({ "message": "404 Tag Not Found" }));
    assert_eq!(image.tags(), ["v2"]);
    let event = &forge.root().get(&project.path("/events")).expect(200).json()[0];
    assert_eq!((event["author_id"].as_i64(), &event["action_name"]), (Some(bot.user_id), &json!("deleted")));
    assert_eq!(event["target_title"], format!("{}/x:v1", project.full_path));
    let audit = &forge.root().get(&project.path("/audit_events")).expect(200).json()[0];
    assert_eq!(audit["event_name"], "container_tag_deleted");
}

#[test]
fn a_deleted_repository_is_gone_at_once_and_its_name_is_free() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    push(&forge, &image, "v1", 1);
    let id = repository_id(&forge, &project);
    let path = project.path(&format!("/registry/repositories/{id}"));
    project.token(&["api"], 30).delete(&path).expect(403);
    let bot = project.token(&["api"], 40);
    bot.delete(&path).expect_json(202, json!({ "message": "202 Accepted" }));
    // Before any job has run.
    image.get_manifest("v1").expect(404);
    bot.get(&format!("/registry/repositories/{id}")).expect(404);
    bot.get(&format!("{path}/tags")).expect(404);
    bot.delete(&path).expect(404);
    push(&forge, &image, "v2", 1);
    assert_ne!(repository_id(&forge, &project), id);
    forge.run_jobs();
    assert_eq!(image.tags(), ["v2"]);
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json();
    assert!(audit.to_string().contains("container_repository_deleted"));
}

#[test]
fn tags_are_deleted_in_bulk_at_most_once_an_hour() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    let tags = [("latest", 50), ("v1", 40), ("v2", 30), ("v3", 20), ("keep-1", 60), ("other", 70)];
    push_aged(&forge, &image, &tags);
    let id = repository_id(&forge, &project);
    let tags = project.path(&format!("/registry/repositories/{id}/tags"));
    let bot = project.token(&["api"], 40);
    project.token(&["api"], 30).delete(&format!("{tags}?name_regex_delete=.*")).expect(403);
    for (query, named) in [
        ("", "name_regex, name_regex_delete are missing"),
        ("?name_regex_delete=(", "name_regex_delete is not a valid regular expression"),
        ("?name_regex_delete=.*&name_regex_keep=%5B", "name_regex_keep is not a valid"),
        ("?name_regex_delete=.*&older_than=soon", "allowed is a number and h, d, w, month or y"),
        ("?name_regex_delete=.*&keep_n=-1", "keep_n does not have a valid value"),
        ("?name_regex_delete=", "name_regex_delete is empty"),
        (&format!("?name_regex_delete={}", "a".repeat(256)), "name_regex_delete is too long"),
    ] {
        let refused = bot.delete(&format!("{tags}{query}")).expect(400).json();
        assert!(refused["error"].as_str().unwrap().contains(named), "{query}: {refused}");
    }
    let query = "name_regex_delete=v.|latest|keep-.%2B&name_regex_keep=keep-.*&keep_n=1&older_than=1month";
    bot.delete(&format!("{tags}?{query}")).expect(202);
    bot.delete(&format!("{tags}?{query}")).expect_json(
        400,
        json!({ "message": "This request has already been made. You can run this at most once an hour for a given container repository" }),
    );
    forge.run_jobs();
    // v3 is kept as the newest, v2 is not older than a month.
    assert_eq!(image.tags(), ["keep-1", "latest", "other", "v2", "v3"]);
    let event = &forge.root().get(&project.path("/events")).expect(200).json()[0];
    assert_eq!((event["author_id"].as_i64(), &event["action_name"]), (Some(bot.user_id), &json!("deleted")));
    assert_eq!(event["container_image"]["tags"], json!(["v1"]));

    forge.clock.advance_seconds(3600);
    bot.delete(&format!("{tags}?name_regex=.*")).expect(202);
    // Who asked is deleted before the job has run.
    forge.root().delete(&project.path(&format!("/access_tokens/{}", bot.token_id))).expect(204);
    forge.run_jobs();
    assert_eq!(image.tags(), ["latest"]);
}

#[test]
fn rules_protect_tags_at_every_door() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    let rules = project.path("/registry/protection/tag/rules");
    let (maintainer, owner) = (project.token(&["api"], 40), project.token(&["api"], 50));
    let rule = |pattern: &str, push: Value, delete: Value| {
        json!({ "tag_name_pattern": pattern, "minimum_access_level_for_push": push,
            "minimum_access_level_for_delete": delete })
    };
    let made =
        maintainer.post(&rules, rule("v*-release", json!("maintainer"), json!("owner"))).expect(201).json();
    assert_eq!(
        made,
        json!({ "id": made["id"], "project_id": project.id, "tag_name_pattern": "v*-release",
            "minimum_access_level_for_push": "maintainer", "minimum_access_level_for_delete": "owner" })
    );
    push(&forge, &image, "v1-release", 1);
    push(&forge, &image, "dev", 1);
    let id = repository_id(&forge, &project);
    let tag = project.path(&format!("/registry/repositories/{id}/tags/v1-release"));
    let refused = maintainer.delete(&tag).expect(403).json();
    assert!(refused["message"].as_str().unwrap().contains("protected by the rule"), "{refused}");
    maintainer.delete(&project.path(&format!("/registry/repositories/{id}"))).expect(403);
    maintainer
        .delete(&project.path(&format!("/registry/repositories/{id}/tags?name_regex_delete=.*")))
        .expect(202);
    forge.run_jobs();
    assert_eq!(image.tags(), ["v1-release"]);

    // A rule is changed, and acts at once.
    let one = format!("{rules}/{}", made["id"]);
    let changed =
        maintainer.patch(&one, json!({ "minimum_access_level_for_delete": "maintainer" })).expect(200);
    assert_eq!(changed.json()["minimum_access_level_for_delete"], "maintainer");
    maintainer.delete(&tag).expect(200);
    maintainer.patch(&one, json!({ "minimum_access_level_for_push": "developer" })).expect(400);
    maintainer.patch(&one, json!({ "minimum_access_level_for_push": "" })).expect(422);

    // Immutable tags are the Owners' to make, and nobody's to change.
    let immutable = rule("fixed", Value::Null, json!(""));
    maintainer.post(&rules, immutable.clone()).expect(403);
    let fixed = owner.post(&rules, immutable).expect(201).json();
    assert_eq!(fixed["minimum_access_level_for_push"], Value::Null);
    push(&forge, &image, "fixed", 1);
    let tag = project.path(&format!("/registry/repositories/{id}/tags/fixed"));
    forge.root().delete(&tag).expect(403);
    image.put_manifest("fixed", OCI_IMAGE, &push(&forge, &image, "another", 1)).expect_error(403, "DENIED");
    let one = format!("{rules}/{}", fixed["id"]);
    owner.patch(&one, json!({ "tag_name_pattern": "x" })).expect(422);
    maintainer.delete(&one).expect(403);
    assert_eq!(maintainer.get(&rules).expect(200).json().as_array().unwrap().len(), 2);
    owner.delete(&one).expect(204);
    owner.delete(&one).expect(404);
    owner.delete(&tag).expect(200);
}

#[test]
fn a_rule_that_cannot_be_is_refused() {
    let forge = forge!();
    let project = forge.project("private");
    let rules = project.path("/registry/protection/tag/rules");
    let bot = project.token(&["api"], 40);
    let body = |pattern: &str| {
        json!({ "tag_name_pattern": pattern, "minimum_access_level_for_push": "maintainer",
            "minimum_access_level_for_delete": "admin" })
    };
    project.token(&["api"], 30).post(&rules, body("a")).expect(403);
    let missing = bot.post(&rules, json!({ "tag_name_pattern": "a" })).expect(400).json();
    assert!(
        missing["error"].as_str().unwrap().contains("minimum_access_level_for_push is missing"),
        "{missing}"
    );
    let wrong = json!({ "tag_name_pattern": "a", "minimum_access_level_for_push": 40,
        "minimum_access_level_for_delete": "owner" });
    let wrong = bot.post(&rules, wrong).expect(400).json();
    assert!(wrong["error"].as_str().unwrap().contains("allowed are maintainer, owner, admin"), "{wrong}");
    for pattern in ["", "a/b", "^v.+$", "-x", &"a".repeat(101), "ü"] {
        bot.post(&rules, body(pattern)).expect(422);
    }
    for pattern in ["a", "b", "c", "d", "*"] {
        bot.post(&rules, body(pattern)).expect(201);
    }
    bot.post(&rules, body("f")).expect(422);
    let id = bot.get(&rules).expect(200).json()[0]["id"].clone();
    let one = format!("{rules}/{id}");
    bot.patch(&one, json!({ "tag_name_pattern": "b" })).expect(422);
    bot.delete(&one).expect(204);
    bot.post(&rules, body("b"))
        .expect_json(422, json!({ "message": "tag_name_pattern has already been taken" }));
    // Those of another project are not found.
    let other = forge.project("private").token(&["api"], 50);
    other.patch(&one, json!({})).expect(404);
    forge.root().delete(&forge.project("private").path("/registry/protection/tag/rules/2")).expect(404);
}

#[test]
fn a_cleanup_policy_runs_when_it_is_due() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x");
    let tags = [("latest", 100), ("v1", 90), ("v2", 60), ("v3", 2), ("production-1", 200), ("safe", 150)];
    push_aged(&forge, &image, &tags);
    let bot = project.token(&["api"], 40);
    let rule = json!({ "tag_name_pattern": "safe", "minimum_access_level_for_push": "maintainer",
        "minimum_access_level_for_delete": "maintainer" });
    bot.post(&project.path("/registry/protection/tag/rules"), rule).expect(201);
    let shown = bot.get(&project.path("")).expect(200).json();
    assert_eq!(shown["container_registry_image_prefix"], format!("{}/{}", host(&forge), project.full_path));
    assert_eq!(
        shown["container_expiration_policy"],
        json!({ "cadence": "1d", "enabled": false, "keep_n": 10, "older_than": "90d", "name_regex": ".*",
            "name_regex_keep": null, "next_run_at": null })
    );
    let attributes = json!({ "enabled": true, "cadence": "7d", "keep_n": null, "older_than": "7d",
        "name_regex": ".*", "name_regex_keep": "production-.*" });
    let set = bot.put(&project.path(""), json!({ "container_expiration_policy_attributes": attributes }));
    let policy = set.expect(200).json()["container_expiration_policy"].clone();
    assert_eq!(policy["next_run_at"], format!("{}T12:00:00.000Z", forge.clock.date(7)));
    assert_eq!((&policy["keep_n"], &policy["older_than"]), (&Value::Null, &json!("7d")));

    forge.clock.advance_days(6);
    forge.run_recurring_jobs();
    assert_eq!(image.tags().len(), 6);
    forge.clock.advance_days(1);
    forge.run_recurring_jobs();
    // What was pushed two days before is nine days old now.
    assert_eq!(image.tags(), ["latest", "production-1", "safe"]);
    let shown = bot.get(&project.path("/registry/repositories")).expect(200).json();
    assert_eq!(shown[0]["cleanup_policy_started_at"], format!("{}T12:00:00.000Z", forge.clock.date(0)));
    let shown = bot.get(&project.path("")).expect(200).json();
    let next = format!("{}T12:00:00.000Z", forge.clock.date(7));
    assert_eq!(shown["container_expiration_policy"]["next_run_at"], next);
    let audit = forge.root().get(&project.path("/audit_events")).expect(200).json().to_string();
    assert!(audit.contains("container_tags_deleted"), "{audit}");

    // As a form writes it.
    let form = "container_expiration_policy_attributes[enabled]=false&container_expiration_policy_attributes[keep_n]=5";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/api/v4{}", project.path(""));
    let set = bot.send("PUT", &path, &headers, form.as_bytes()).expect(200).json();
    assert_eq!(set["container_expiration_policy"]["keep_n"], 5);
    push(&forge, &image, "old", 300);
    forge.clock.advance_days(30);
    forge.run_recurring_jobs();
    assert!(image.tags().contains(&"old".to_owned()));
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_what_could() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let set = |attributes: Value| {
        bot.put(&project.path(""), json!({ "container_expiration_policy_attributes": attributes }))
    };
    for (attributes, allowed) in [
        (json!({ "cadence": "2d" }), "allowed are 1d, 7d, 14d, 1month, 3month"),
        (json!({ "keep_n": 3 }), "allowed are 1, 5, 10, 25, 50, 100"),
        (json!({ "older_than": "8d" }), "allowed are 7d, 14d, 30d, 90d"),
        (json!({ "name_regex": "*" }), "container_expiration_policy_attributes[name_regex] is not a valid"),
        (json!({ "name_regex_keep": "a".repeat(300) }), "[name_regex_keep] is too long"),
        (json!({ "enabled": "perhaps" }), "container_expiration_policy_attributes[enabled] is invalid"),
        (json!("on"), "container_expiration_policy_attributes is invalid"),
    ] {
        let refused = set(attributes.clone()).expect(400).json();
        assert!(refused["error"].as_str().unwrap().contains(allowed), "{attributes}: {refused}");
    }
    let blank = set(json!({ "enabled": true, "name_regex": "" })).expect(400).json();
    assert!(blank["message"]["container_expiration_policy.name_regex"].is_array(), "{blank}");
    project
        .token(&["api"], 30)
        .put(&project.path(""), json!({ "container_expiration_policy_attributes": {} }))
        .expect(403);
}

#[test]
fn an_administrator_sets_quotas_and_who_works_there_sees_what_is_used() {
    let forge = forge!();
    let project = forge.project("public");
    let image = repository(&forge, &project, "/x");
    let digest = image.push_blob(&[7; 1000]);
    let other = repository(&forge, &project, "/y");
    other.mount(&digest, Some(&image.name)).expect(201);
    let sibling = forge.project_in(&project.group, "private");
    repository(&forge, &sibling, "").push_blob(&[7; 1000]);

    let path = project.path("?statistics=true");
    for (level, shown) in [(10, None), (20, Some(1000)), (40, Some(1000))] {
        let answer = project.token(&["read_api"], level).get(&path).expect(200).json();
        assert_eq!(answer["statistics"]["container_registry_size"].as_i64(), shown, "{level}");
        assert_eq!(answer.get("container_registry_quota_bytes").is_some(), shown.is_some(), "{level}");
    }
    assert!(forge.anyone().get(&path).expect(200).json().get("statistics").is_none());
    let group = format!("/groups/{}", project.group.id);
    let shown = forge.root().get(&format!("{group}?statistics=true")).expect(200).json();
    assert_eq!(shown["statistics"]["container_registry_size"], 2000);
    assert!(
        forge
            .anyone()
            .get(&format!("{group}?statistics=true"))
            .expect(200)
            .json()
            .get("statistics")
            .is_none()
    );

    let quota = |bytes: Value| json!({ "container_registry_quota_bytes": bytes });
    let owner = project.member(50);
    owner.put(&project.path(""), quota(json!(1))).expect(403);
    project.token(&["api"], 50).put(&project.path(""), quota(json!(1))).expect(403);
    for wrong in [json!(-1), json!("many"), json!([1])] {
        forge.root().put(&project.path(""), quota(wrong)).expect(400);
    }
    let set = forge.root().put(&project.path(""), quota(json!(1500))).expect(200).json();
    assert_eq!(set["container_registry_quota_bytes"], 1500);
    let larger = vec![8; 501];
    let refused = image.upload(portcullis_testkit::registry::Way::PostPut, &larger, &digest_of(&larger));
    refused.expect_error(403, "DENIED");
    image.push_blob(&[8; 500]);
    forge.root().put(&project.path(""), quota(Value::Null)).expect(200);
    image.push_blob(&[9; 500]);

    let sub = forge.subgroup("sub", "private", Some(project.group.id));
    forge.root().put(&format!("/groups/{}", sub.id), quota(json!(1))).expect(400);
    let member = json!({ "user_id": owner.id, "access_level": 50 });
    forge.root().post(&format!("{group}/members"), member).expect(201);
    owner.put(&group, quota(json!(1))).expect(403);
    let set = forge.root().put(&group, quota(json!(3000))).expect(200).json();
    assert_eq!(set["container_registry_quota_bytes"], 3000);
    // Nothing is left, so nothing is begun.
    image.post_upload("", &[], b"").expect_error(403, "DENIED");
}

fn digest_of(bytes: &[u8]) -> String {
    portcullis_testkit::registry::Algorithm::Sha256.digest(bytes)
}

/// A project's path begins the names of its images. One whose path is the name of another project's image would take
/// that image over: whoever pulls it would get what the newcomer put there.
#[test]
fn a_project_cannot_stand_in_front_of_an_image() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/x/y");
    push(&forge, &image, "v1", 1);
    let name = project.full_path.rsplit('/').next().unwrap();
    let group = forge.root().post(
        "/groups",
        json!({ "name": "beside", "path": name, "parent_id": project.group.id, "visibility": "private" }),
    );
    let group = group.expect(201).json()["id"].as_i64().unwrap();
    let make = |path: &str| {
        forge.root().post("/projects", json!({ "name": path, "path": path, "namespace_id": group }))
    };
    let refused = make("x").expect(400).json();
    assert_eq!(refused["message"], json!({ "path": ["is taken by a container image of another project"] }));
    let other = make("other").expect(201).json();
    forge.root().put(&format!("/projects/{}", other["id"]), json!({ "path": "X" })).expect(400);
    forge.root().put(&format!("/projects/{}", other["id"]), json!({ "path": "z" })).expect(200);
    image.get_manifest("v1").expect(200);
}

#[test]
fn a_registry_that_is_off_or_read_only_is_so_for_the_api_too() {
    let forge = forge!(|settings| settings.registry_read_only = true);
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    bot.get(&project.path("/registry/repositories")).expect(200);
    let refused = bot.delete(&project.path("/registry/repositories/1")).expect(503);
    assert!(refused.header("retry-after").is_some());
    bot.delete(&project.path("/registry/repositories/1/tags/x")).expect(503);
    bot.delete(&project.path("/registry/repositories/1/tags?name_regex_delete=x")).expect(503);

    let forge = forge!(|settings| settings.container_registry = false);
    let project = forge.project("private");
    let bot = project.token(&["api"], 50);
    bot.get(&project.path("/registry/repositories")).expect(404);
    bot.get(&project.path("/registry/protection/tag/rules")).expect(404);
    bot.delete(&project.path("/registry/repositories/1")).expect(404);
}
