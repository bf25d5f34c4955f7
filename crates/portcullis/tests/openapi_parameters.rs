//! The parameters in the description of the API are those that the handlers read: each is asked once, and what it looks
//! at is compared with `parameters.txt`, or written there.
//!
//! It is alone in its process, because what is read is noted for the whole of it.
#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use portcullis_testkit::{TestForge, contract, forge};
use portcullis_web::door::Door;
use portcullis_web::openapi::observed;
use portcullis_web::openapi::parameters::{Kind, Parameter, described_routes, of_route};
use portcullis_web::openapi::route_name;
use portcullis_web::routes::{Route, table};
use serde_json::{Value, json};

/// Requests with which more is read than without any parameter.
fn samples(route: &str) -> Vec<Value> {
    const PROJECT: &str = "/api/v4/projects/{id}";
    match route.replace(PROJECT, "").as_str() {
        "GET /repository/files/{file_path}/blame" => vec![json!({ "range": {} })],
        "POST /repository/commits" => vec![
            json!({ "actions": [{}] }),
            json!({ "actions": [{ "action": "move" }, { "action": "chmod" }] }),
        ],
        "PUT " => vec![
            json!({ "container_registry_quota_bytes": 1 }),
            json!({ "container_expiration_policy_attributes": {} }),
            json!({ "container_expiration_policy_attributes":
                { "name_regex": "a", "name_regex_delete": "a", "name_regex_keep": "a" } }),
            json!({ "container_expiration_policy_attributes": { "name_regex": "a" } }),
        ],
        "PUT /api/v4/groups/{id}" => vec![json!({ "container_registry_quota_bytes": 1 })],
        "POST /api/v4/groups/{id}/invitations" | "POST /invitations" => vec![json!({ "user_id": 1 })],
        "POST /releases" => vec![json!({ "assets": { "links": [{}] } })],
        "PUT /releases/{tag}" => vec![json!({ "name": "" })],
        "PUT /releases/{tag}/assets/links/{link_id}" => {
            vec![json!({ "name": "a", "direct_asset_path": "/a" }), json!({ "filepath": "/a" })]
        }
        "GET /issues" | "GET /api/v4/issues" | "GET /api/v4/groups/{id}/issues" => {
            vec![json!({ "pagination": "keyset" })]
        }
        "POST /issues" | "PUT /issues/{iid}" => vec![
            json!({ "assignee_ids": [], "milestone_id": 1, "due_date": "2030-01-01" }),
            json!({ "assignee_id": 0 }),
        ],
        "POST /merge_requests" | "PUT /merge_requests/{iid}" => vec![
            json!({ "title": "a", "assignee_ids": [], "reviewer_ids": [], "milestone_id": 1 }),
            json!({ "title": "a", "assignee_id": 0, "reviewer_id": 0 }),
        ],
        "POST /merge_requests/{iid}/discussions" => vec![
            json!({ "position": {} }),
            json!({ "position": { "line_range": { "start": {}, "end": {} } } }),
        ],
        "PUT /merge_requests/{iid}/discussions/{discussion_id}/notes/{note_id}" => {
            vec![json!({ "body": "a" }), json!({ "resolved": true })]
        }
        "PUT /labels" | "PUT /labels/{label}" => vec![
            json!({ "description": "", "priority": 1 }),
            json!({ "label_id": 1, "description": "", "priority": 1 }),
        ],
        "GET /search" => vec![json!({ "scope": "issues", "search": "a" })],
        "GET /api/v4/groups/{id}/search" => vec![json!({ "scope": "projects", "search": "a" })],
        "DELETE /labels" => vec![json!({ "label_id": 1 })],
        "PUT /milestones/{milestone_id}" => vec![json!({ "start_date": "", "due_date": "" })],
        _ => Vec::new(),
    }
}

/// Every word that stands in the sources, and small numbers: what a parameter that takes certain words may take.
fn vocabulary() -> Vec<String> {
    fn walk(folder: &Path, words: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, words);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let plain = |word: &&str| {
                    word.len() <= 40
                        && word.starts_with(|first: char| first.is_ascii_alphabetic())
                        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
                };
                words.extend(text.split('"').filter(plain).map(str::to_owned));
            }
        }
    }
    let mut words = BTreeSet::new();
    for folder in ["web/src/api", "rules/src", "store/src", "app/src", "git/src"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut words);
    }
    let numbers = (0..=100).map(|number: i64| number.to_string());
    numbers.chain(words).collect()
}

/// Asks for a route as an administrator, in a place that is there, mostly for things in it that are not: so parameters are
/// read, and little happens.
fn ask(forge: &TestForge, route: &Route, body: &Value) {
    let group = forge.group(&forge.word("g"), "public");
    let project = forge.project_in(&group, "public");
    let none = "1000003".to_owned();
    let parts = route.path.split('/').map(|part| match part {
        "{id}" if route.path.starts_with("/api/v4/groups/") => group.id.to_string(),
        "{id}" => project.id.to_string(),
        "{file_path}" => "README.md".to_owned(),
        "{sha}" => "main".to_owned(),
        "{namespace_id}" => group.id.to_string(),
        "{user_id}" if route.path.starts_with("/api/v4/users/") => {
            forge.person(&forge.word("p")).id.to_string()
        }
        "{milestone_id}" => {
            let made = forge.root().post(&project.path("/milestones"), json!({ "title": "m" })).expect(201);
            made.json()["id"].to_string()
        }
        "{repository_id}" => {
            forge.image_in(&project).push_image("latest", "an image");
            let images = forge.root().get(&project.path("/registry/repositories")).expect(200).json();
            images[0]["id"].to_string()
        }
        "{discussion_id}" => "0".repeat(40),
        part if part.ends_with("_id}") || part == "{iid}" => none.clone(),
        part if part.starts_with('{') => "none".to_owned(),
        part => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let secret = forge.personal_token("root", &["api", "read_user", "sudo"]);
    let json = [("content-type", "application/json")];
    observed::take();
    let sent =
        forge.with_token(&secret).send(route.method.as_str(), &path, &json, body.to_string().as_bytes());
    assert_ne!(sent.status, 401, "{route:?}: {}", sent.text);
    assert!(sent.status < 500, "{route:?}: {}", sent.text);
}

/// Returns what a parameter is a part of, if it is one of an object's.
fn place(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(place, _)| place)
}

/// Returns what a route reads, in all requests together. Required is what each request requires, or each in which the
/// object is that it is a part of.
fn read_by(forge: &TestForge, route: &Route) -> Vec<Parameter> {
    let name = route_name(route);
    let mut requests = Vec::new();
    for body in std::iter::once(json!({})).chain(samples(&name)) {
        ask(forge, route, &body);
        let reads = observed::take().into_iter().filter(|((of, _), _)| *of == name);
        requests.push(reads.map(|((_, parameter), read)| (parameter, read)).collect::<BTreeMap<_, _>>());
    }
    let names: BTreeSet<_> = requests.iter().flat_map(BTreeMap::keys).collect();
    let parameter = |name: &String| {
        let reads = || requests.iter().filter_map(|reads| reads.get(name));
        let kind = reads().map(|read| &read.kind).find(|kind| **kind != Kind::Any).unwrap_or(&Kind::Any);
        let mut where_it_could_be =
            requests.iter().filter(|reads| reads.keys().any(|other| place(other) == place(name)));
        let required = where_it_could_be.all(|reads| reads.get(name).is_some_and(|read| read.required));
        Parameter { name: name.clone(), kind: kind.clone(), required }
    };
    names.into_iter().map(parameter).collect()
}

const INTRODUCTION: &str = "\
# The parameters of each route, made from what the handlers read; nobody writes here. To make it again:
# PORTCULLIS_REFRESH=1 cargo test -p portcullis --test openapi_parameters
";

#[test]
fn the_described_parameters_are_those_that_are_read() {
    observed::begin(vocabulary());
    contract::suspend();
    let forge = forge!();
    let refresh = std::env::var("PORTCULLIS_REFRESH").as_deref() == Ok("1");
    let mut text = INTRODUCTION.to_owned();
    let mut stale = Vec::new();
    let routes: Vec<_> = table().into_iter().filter(|route| route.door == Door::Api).collect();
    for route in &routes {
        let name = route_name(route);
        let read = read_by(&forge, route);
        let described = of_route(&name);
        if described.unwrap_or_default() != read.as_slice() {
            let lines = |parameters: &[Parameter]| {
                parameters.iter().map(|parameter| parameter.to_text() + "\n").collect::<String>()
            };
            stale.push(format!(
                "{name} reads\n{}and is described with\n{}",
                lines(&read),
                lines(described.unwrap_or_default())
            ));
        }
        writeln!(text, "{name}").unwrap();
        for parameter in read {
            writeln!(text, "{}", parameter.to_text()).unwrap();
        }
    }
    let names: Vec<_> = routes.iter().map(route_name).collect();
    let gone = described_routes().filter(|route| !names.iter().any(|name| name == route));
    stale.extend(gone.map(|route| format!("there is no route {route} any more")));
    if refresh {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../web/src/openapi/parameters.txt");
        std::fs::write(file, text).unwrap();
        return;
    }
    assert!(
        stale.is_empty(),
        "{}\ncrates/web/src/openapi/parameters.txt is stale. Make it again with\n  \
         PORTCULLIS_REFRESH=1 cargo test -p portcullis --test openapi_parameters",
        stale.join("\n")
    );
}
