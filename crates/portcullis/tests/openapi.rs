//! The description of the API: it is what is committed, it has every route, and what the forge answers is in it.
//!
//! Beside these tests, every test of the whole program compares each answer that it sees with the description.
#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::path::PathBuf;

use portcullis_testkit::{Answer, TestForge, contract, forge, token_secret};
use portcullis_web::door::Door;
use portcullis_web::openapi::{described_routes, document, route_name};
use portcullis_web::routes::{Route, table};
use serde_json::{Value, json};

/// The routes of which nobody has said yet what they answer: `crates/web/src/openapi/answers.txt` has no line for them.
/// Their parameters and who may ask are described all the same.
const WITHOUT_DESCRIPTION: [&str; 0] = [];

fn routes() -> Vec<Route> {
    table().into_iter().filter(|route| route.door == Door::Api).collect()
}

/// `docs/openapi.json` is committed, so that a change of the API is read by people who do not build the forge.
#[test]
fn the_committed_description_is_up_to_date() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"));
    let now = document();
    if std::env::var("PORTCULLIS_REFRESH").as_deref() == Ok("1") {
        let mut sorted = now.clone();
        sorted.sort_all_objects();
        std::fs::write(&file, format!("{sorted:#}\n")).unwrap();
    }
    let committed: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
    assert!(
        committed == now,
        "docs/openapi.json is stale: a route, a rule, a parameter or an answer has changed. Make it again with\n  \
         PORTCULLIS_REFRESH=1 cargo test -p portcullis --test openapi_parameters --test openapi\n\
         and read the difference before you commit it."
    );
}

#[test]
fn every_route_says_what_it_answers() {
    let described: Vec<_> = described_routes().collect();
    let routes: Vec<_> = routes().iter().map(route_name).collect();
    for route in &routes {
        let listed = WITHOUT_DESCRIPTION.contains(&route.as_str());
        assert_ne!(
            described.contains(route),
            listed,
            "{route}: say in crates/web/src/openapi/answers.txt what it answers, or list it in WITHOUT_DESCRIPTION"
        );
    }
    for route in described.iter().map(String::as_str).chain(WITHOUT_DESCRIPTION) {
        assert!(routes.iter().any(|known| known == route), "there is no route {route}");
    }
}

#[test]
fn everybody_can_read_the_description() {
    let forge = forge!();
    let answer = forge.anyone().get("/openapi.json").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), document());
    let mark = answer.header("etag").unwrap();
    let known = [("if-none-match", mark)];
    let unchanged = forge.anyone().send("GET", "/api/v4/openapi.json", &known, b"").expect(304);
    assert_eq!((unchanged.text.as_str(), unchanged.header("etag")), ("", Some(mark)));
}

/// What tells operations apart in the code that is generated for them.
#[test]
fn no_two_operations_have_the_same_name() {
    let document = document();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut names: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (count, routes().len()));
}

/// What stands in for the parameters of a path: a group and a project with something of everything.
struct Parts {
    group: i64,
    project: i64,
    values: Vec<(&'static str, String)>,
}

impl Parts {
    fn new(forge: &TestForge) -> Parts {
        let group = forge.group("acme", "public");
        let project = forge.project_in(&group, "public");
        let root = forge.root();
        let made = |path: &str, body: Value| root.post(&project.path(path), body).expect(201).json();
        let member = project.member(30);
        let milestone = made("/milestones", json!({ "title": "m", "due_date": "2026-05-01" }));
        let label = made("/labels", json!({ "name": "bug", "color": "red", "priority": 1 }));
        let issue = made(
            "/issues",
            json!({ "title": "i", "description": "- [ ] a", "labels": "bug", "assignee_ids": [member.id],
                "milestone_id": milestone["id"], "due_date": "2026-05-01" }),
        );
        let on_issue = |rest: &str, body: Value| made(&format!("/issues/{}{rest}", issue["iid"]), body);
        let note = on_issue("/notes", json!({ "body": "n" }));
        let other = made("/issues", json!({ "title": "o" }));
        on_issue("/links", json!({ "target_project_id": project.id, "target_issue_iid": other["iid"] }));
        on_issue("/award_emoji", json!({ "name": "thumbsup" }));
        on_issue("/todo", json!({}));
        made("/repository/branches", json!({ "branch": "change", "ref": "main" }));
        let file = json!({ "branch": "change", "content": "c", "commit_message": "m" });
        made("/repository/files/c.txt", file);
        let merge_request = json!({
            "source_branch": "change", "target_branch": "main", "title": "t", "description": "Closes #1", "labels": "bug",
            "assignee_ids": [member.id], "reviewer_ids": [member.id], "milestone_id": milestone["id"],
        });
        made("/merge_requests", merge_request);
        made("/merge_requests/1/notes", json!({ "body": "n" }));
        made("/merge_requests/1/award_emoji", json!({ "name": "thumbsup" }));
        made("/repository/tags", json!({ "tag_name": "v1", "ref": "main", "message": "t" }));
        let links = json!([{ "name": "l", "url": "https://example.com/l", "direct_asset_path": "/l" }]);
        let release = made(
            "/releases",
            json!({ "tag_name": "v1", "name": "r", "description": "d", "milestones": ["m"], "assets": { "links": links } }),
        );
        made("/protected_branches", json!({ "name": "release/*" }));
        let hook = made("/hooks", json!({ "url": "https://example.com/h" }));
        let token =
            made("/access_tokens", json!({ "name": "ci", "scopes": ["api"], "expires_at": "2026-05-01" }));
        made(
            "/registry/protection/tag/rules",
            json!({
                "tag_name_pattern": "v*", "minimum_access_level_for_push": "maintainer",
                "minimum_access_level_for_delete": "owner",
            }),
        );
        made("/statuses/main", json!({ "state": "success", "description": "d", "coverage": 1 }));
        forge.image_in(&project).push_image("latest", "an image");
        let image = root.get(&project.path("/registry/repositories")).expect(200).json()[0]["id"].clone();
        let upload = root.upload(project.id, "a.txt", b"text").expect(201).json();
        let secret = upload["url"].as_str().unwrap().split('/').nth(2).unwrap().to_owned();
        root.publish(project.id, "tool/1.0/a.bin?select=package_file", b"bytes").expect(201);
        let package = root.get(&project.path("/packages")).expect(200).json()[0]["id"].clone();
        let file = root.get(&project.path(&format!("/packages/{package}/package_files"))).expect(200).json();
        let audit = root.get(&project.path("/audit_events")).expect(200).json();
        let blob = root.get(&project.path("/repository/tree")).expect(200).json()[0]["id"].clone();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values = vec![
            ("namespace_id", group.id.to_string()),
            ("user_id", member.id.to_string()),
            ("milestone_id", text(&milestone["id"])),
            ("label", text(&label["id"])),
            ("iid", text(&issue["iid"])),
            ("note_id", text(&note["id"])),
            ("tag", "v1".to_owned()),
            ("link_id", text(&release["assets"]["links"][0]["id"])),
            ("name", "main".to_owned()),
            ("branch", "main".to_owned()),
            ("sha", "main".to_owned()),
            ("blob", text(&blob)),
            ("file_path", "README.md".to_owned()),
            ("hook_id", text(&hook["id"])),
            ("token_id", text(&token["id"])),
            ("rule_id", "1".to_owned()),
            ("repository_id", text(&image)),
            ("tag_name", "latest".to_owned()),
            ("upload_id", text(&upload["id"])),
            ("secret", secret),
            ("file_name", "a.txt".to_owned()),
            ("package_id", text(&package)),
            ("package_file_id", text(&file[0]["id"])),
            ("package_name", "tool".to_owned()),
            ("package_version", "1.0".to_owned()),
            ("*file_name", "a.bin".to_owned()),
            ("audit_event_id", text(&audit[0]["id"])),
        ];
        Parts { group: group.id, project: project.id, values }
    }

    /// Returns the address of a route; of a part that nobody has said a value for, one that nothing has.
    fn address(&self, route: &Route) -> String {
        let parts = route.path.split('/').map(|part| {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                return part.to_owned();
            };
            match name {
                "id" if route.path.starts_with("/api/v4/groups/") => self.group.to_string(),
                "id" => self.project.to_string(),
                "sha" if route.path.contains("/blobs/") => self.value("blob"),
                name => self.value(name),
            }
        });
        let path = parts.collect::<Vec<_>>().join("/");
        match route.path.rsplit('/').next().unwrap_or_default() {
            "compare" => format!("{path}?from=main&to=v1"),
            "merge_base" => format!("{path}?refs[]=main&refs[]=v1"),
            _ => path,
        }
    }

    fn value(&self, name: &str) -> String {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| "1000003".to_owned(), |(_, value)| value.clone())
    }
}

/// What is answered has no key that the description does not have, and a question about the headers alone is answered
/// with the same ones.
#[test]
fn what_is_read_is_described_to_the_last_key_and_has_the_same_headers_without_its_body() {
    let forge = forge!();
    let parts = Parts::new(&forge);
    let bot = forge.with_token(&{
        let path = format!("/projects/{}/access_tokens", parts.project);
        let made = forge.root().post(&path, json!({ "name": "b", "scopes": ["api"] })).expect(201);
        token_secret(&made.json())
    });
    let mut unknown = Vec::new();
    for route in routes().iter().filter(|route| route.method == "GET") {
        let path = parts.address(route);
        for caller in [forge.root(), &bot] {
            let got = caller.send("GET", &path, &[], b"");
            unknown.extend(contract::unknown_keys("GET", &path, &got));
            let head = caller.send("HEAD", &path, &[], b"");
            assert_eq!((head.status, head.text.as_str()), (got.status, ""), "HEAD {path}");
            let headers = |answer: &Answer| {
                let passing = ["date", "x-request-id", "transfer-encoding", "content-length"];
                let kept = answer.headers.iter().filter(|(name, _)| !passing.contains(&name.as_str()));
                let mut kept: Vec<_> = kept.map(|(name, value)| format!("{name}: {value:?}")).collect();
                kept.sort();
                kept
            };
            assert_eq!(headers(&head), headers(&got), "HEAD {path}");
            // Of what is made while it is sent, the length is not known before.
            if let Some(length) = head.header("content-length") {
                assert_eq!(Some(length), got.header("content-length"), "HEAD {path}");
            }
        }
    }
    unknown.sort();
    unknown.dedup();
    assert!(
        unknown.is_empty(),
        "crates/web/src/openapi/schemas.txt does not have these keys of answers:\n{}",
        unknown.join("\n")
    );
}
