//! The pages of a project's container registry.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use portcullis_testkit::registry::{ImageRepository, OCI_INDEX, index_manifest};
use portcullis_testkit::{Browser, Project, TestForge, forge};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

/// Returns an image repository of a project, as a bot with a name that would be markup sees it.
fn repository(forge: &TestForge, project: &Project<'_>, image: &str) -> ImageRepository {
    let bot = project.token_with(json!({ "name": HOSTILE, "scopes": ["api"], "access_level": 40 }));
    forge.registry(&bot.secret).repository(&format!("{}{image}", project.full_path))
}

fn address(project: &Project<'_>) -> String {
    format!("/{}/-/container_registry", project.full_path)
}

fn repository_id(forge: &TestForge, project: &Project<'_>) -> i64 {
    let found = forge.root().get(&project.path("/registry/repositories")).expect(200).json();
    found[0]["id"].as_i64().unwrap()
}

fn member<'a>(forge: &'a TestForge, project: &Project<'_>, level: i64) -> (Browser<'a>, i64) {
    let person = project.member(level);
    (Browser::signed_in(forge, &person.username), person.id)
}

#[test]
fn an_empty_registry_says_how_to_push() {
    let forge = forge!();
    let project = forge.project("private");
    let (developer, _) = member(&forge, &project, 30);
    let page = developer.get(&address(&project)).expect(200).text;
    let host = forge.url.strip_prefix("http://").unwrap();
    for command in [
        format!("docker login {host}"),
        format!("docker build -t {host}/{} .", project.full_path),
        format!("docker push {host}/{}", project.full_path),
    ] {
        assert!(page.contains(&command), "{command}: {page}");
    }
    assert!(page.contains("aria-current=\"page\">Container registry</a>"));
    // Who may not push is not told how, and a Guest sees no registry.
    let (reporter, _) = member(&forge, &project, 20);
    let page = reporter.get(&address(&project)).expect(200).text;
    assert!(page.contains("Nothing was pushed to it yet.") && !page.contains("docker login"));
    let (guest, _) = member(&forge, &project, 10);
    guest.get(&address(&project)).expect(404);
    let first = guest.get(&format!("/{}", project.full_path)).expect(200).text;
    assert!(!first.contains("container_registry"));
    Browser::new(&forge).get(&address(&project)).expect(303);
}

#[test]
fn repositories_and_tags_are_shown_with_what_is_known_of_them() {
    let forge = forge!();
    let project = forge.project("private");
    let (root, web) = (repository(&forge, &project, ""), repository(&forge, &project, "/web"));
    root.push_image("old", "one");
    forge.clock.advance_days(3);
    let image = root.push_image("new", "two");
    let index = index_manifest(&[json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": image.manifest.len(),
    })]);
    web.push_image("one", "two");
    let index = index.to_string().into_bytes();
    root.put_manifest("multi", OCI_INDEX, &index).expect(201);

    let (reporter, _) = member(&forge, &project, 20);
    let page = reporter.get(&address(&project)).expect(200).text;
    let path = &project.full_path;
    assert!(page.contains(&format!(">{path}</a>")) && page.contains(&format!(">{path}/web</a>")), "{page}");
    assert!(page.contains("3 tags · ") && page.contains("1 tag · ") && page.contains("5 Mar 2026"));

    let id = repository_id(&forge, &project);
    let page = reporter.get(&format!("{}/{id}", address(&project))).expect(200).text;
    let host = forge.url.strip_prefix("http://").unwrap();
    assert!(page.contains(&format!("docker pull {host}/{path}:")), "{page}");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(at(">multi</td>") < at(">new</td>") && at(">new</td>") < at(">old</td>"));
    assert!(page.contains("Multi-platform, 1 image") && page.contains("OCI image"));
    assert!(page.contains(&image.digest) && page.contains("2 Mar 2026"));
    assert!(page.contains("&#60;script&#62;") && !page.contains(HOSTILE));
    assert!(page.contains("<span class=\"badge accent\">Bot</span>"));
    // A Reporter deletes nothing, and is shown no way to.
    assert!(!page.contains("/delete"));
    for path in
        [format!("{}/{id}/delete", address(&project)), format!("{}/{id}/tags/old/delete", address(&project))]
    {
        reporter.get(&path).expect(404);
        reporter.post(&path, &[]).expect(404);
    }
    // Neither is there a repository in a project that it is none of.
    let other = forge.project("public");
    reporter.get(&format!("{}/{id}", address(&other))).expect(404);
    for wrong in ["x", "0", "99999999999999999999"] {
        reporter.get(&format!("{}/{wrong}", address(&project))).expect(404);
    }
}

#[test]
fn a_long_list_of_tags_has_pages() {
    let forge = forge!();
    let project = forge.project("public");
    let image = repository(&forge, &project, "");
    let pushed = image.push_image("t0", "one");
    for number in 1..=20 {
        image
            .put_manifest(&format!("t{number}"), portcullis_testkit::registry::OCI_IMAGE, &pushed.manifest)
            .expect(201);
    }
    let page = format!("{}/{}", address(&project), repository_id(&forge, &project));
    let visitor = Browser::new(&forge);
    let first = visitor.get(&page).expect(200).text;
    assert!(first.contains("Page 1 of 2") && first.contains("21 tags"));
    let second = visitor.get(&format!("{page}?page=2")).expect(200).text;
    assert_eq!(second.matches("<td role=\"cell\" class=\"name\"").count(), 1);
    visitor.get(&format!("{page}?page=x")).expect(200);
    assert!(visitor.get(&format!("{page}?page=9")).expect(200).text.contains("There are no tags here"));
}

#[test]
fn a_tag_is_deleted_by_hand_and_that_is_the_persons_doing() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "");
    image.push_image("keep", "one");
    image.push_image("v1", "one");
    image.push_image("safe-1", "one");
    let rule = json!({ "tag_name_pattern": "safe-*", "minimum_access_level_for_push": "maintainer", "minimum_access_level_for_delete": "owner" });
    forge.root().post(&project.path("/registry/protection/tag/rules"), rule).expect(201);
    let (developer, id) = member(&forge, &project, 30);
    let list = format!("{}/{}", address(&project), repository_id(&forge, &project));
    let page = developer.get(&list).expect(200).text;
    assert!(
        page.contains("/tags/v1/delete")
            && !page.contains("/tags/safe-1/delete")
            && page.contains("Protected")
    );
    assert!(!page.contains("Delete repository"));

    let question = developer.get(&format!("{list}/tags/v1/delete")).expect(200).text;
    assert!(question.contains(&format!("Delete {}:v1?", project.full_path)));
    assert_eq!(image.tags(), ["keep", "safe-1", "v1"], "asking deletes nothing");
    let done = developer.post(&format!("{list}/tags/v1/delete"), &[]).expect(303);
    assert_eq!(done.header("location"), Some(&*list));
    assert!(developer.get(&list).text.contains("The tag v1 was deleted."));
    assert_eq!(image.tags(), ["keep", "safe-1"]);
    // The same once more, from another window or after going back.
    developer.post(&format!("{list}/tags/v1/delete"), &[]).expect(303);
    assert!(developer.get(&list).text.contains("There is no tag v1 any more."));
    developer.get(&format!("{list}/tags/v1/delete")).expect(404);
    // What a rule keeps stays, and the page says why.
    let refused = developer.post(&format!("{list}/tags/safe-1/delete"), &[]).expect(422).text;
    assert!(refused.contains("the tag safe-1 is protected by the rule"), "{refused}");
    assert_eq!(image.tags(), ["keep", "safe-1"]);

    let events = forge.root().get(&project.path("/events")).expect(200).json();
    let deleted: Vec<_> =
        events.as_array().unwrap().iter().filter(|event| event["action_name"] == "deleted").collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!((&deleted[0]["author_id"], &deleted[0]["access_token_id"]), (&json!(id), &Value::Null));
    let audit = forge.root().get(&project.path("/audit_events?per_page=100")).json();
    let entry =
        audit.as_array().unwrap().iter().find(|entry| entry.to_string().contains("container_tag_deleted"));
    assert_eq!(entry.unwrap()["author_id"], id);
}

#[test]
fn a_repository_is_deleted_by_maintainers_after_a_question() {
    let forge = forge!();
    let project = forge.project("private");
    let image = repository(&forge, &project, "/web");
    image.push_image("v1", "one");
    let rule = json!({ "tag_name_pattern": "v*", "minimum_access_level_for_push": "owner", "minimum_access_level_for_delete": "owner" });
    let rule = forge.root().post(&project.path("/registry/protection/tag/rules"), rule).expect(201).json();
    let (maintainer, _) = member(&forge, &project, 40);
    let (developer, _) = member(&forge, &project, 30);
    let page = format!("{}/{}", address(&project), repository_id(&forge, &project));
    let delete = format!("{page}/delete");
    developer.get(&delete).expect(404);
    developer.post(&delete, &[]).expect(404);
    assert!(maintainer.get(&delete).expect(200).text.contains(&format!("Delete {}/web?", project.full_path)));
    let refused = maintainer.post(&delete, &[]).expect(422).text;
    assert!(refused.contains("the tag v1 is protected by the rule"), "{refused}");
    forge.root().delete(&project.path(&format!("/registry/protection/tag/rules/{}", rule["id"]))).expect(204);
    let done = maintainer.post(&delete, &[]).expect(303);
    assert_eq!(done.header("location"), Some(&*address(&project)));
    assert!(maintainer.get(&address(&project)).text.contains("The image repository was deleted."));
    maintainer.get(&page).expect(404);
    maintainer.post(&delete, &[]).expect(303);
    assert!(maintainer.get(&address(&project)).text.contains("There is no such image repository any more."));
    image.get_manifest("v1").expect(404);
}

#[test]
fn where_the_registry_is_off_or_the_project_archived_there_is_less() {
    let forge = forge!(|settings| settings.container_registry = false);
    let project = forge.project("private");
    let (owner, _) = member(&forge, &project, 50);
    owner.get(&address(&project)).expect(404);
    assert!(!owner.get(&format!("/{}", project.full_path)).expect(200).text.contains("container_registry"));

    let forge = forge!();
    let project = forge.project("private");
    repository(&forge, &project, "").push_image("v1", "one");
    forge.root().post(&project.path("/archive"), Value::Null).expect(201);
    let (owner, _) = member(&forge, &project, 50);
    let page = format!("{}/{}", address(&project), repository_id(&forge, &project));
    assert!(!owner.get(&page).expect(200).text.contains("/delete"));
    owner.post(&format!("{page}/tags/v1/delete"), &[]).expect(404);
}
