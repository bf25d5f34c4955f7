//! Every answer of the REST API that a test sees is one that the description of the API has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use portcullis_web::door::Door;
use portcullis_web::{openapi, routes};
use serde_json::{Value, json};

use crate::Answer;

struct Contract {
    document: Value,
    /// Method, path in segments, and name of each route; those with fewer parameters at their beginning come first.
    routes: Vec<(String, Vec<String>, String)>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let table = routes::table().into_iter().filter(|route| route.door == Door::Api);
        let mut routes: Vec<_> = table
            .map(|route| {
                let segments: Vec<_> = route.path.split('/').map(str::to_owned).collect();
                (route.method.to_string(), segments, openapi::route_name(&route))
            })
            .collect();
        routes.sort_by_key(|(_, segments, _)| {
            segments.iter().map(|segment| (segment.starts_with('{'), segment.clone())).collect::<Vec<_>>()
        });
        Contract { document: openapi::document(), routes, validators: Mutex::new(HashMap::new()) }
    })
}

impl Contract {
    /// Returns the name of the route that a request is for, if there is one.
    fn route(&self, method: &str, path: &str) -> Option<&str> {
        let method = if method == "HEAD" { "GET" } else { method };
        let path = path.split('?').next().unwrap_or_default();
        let asked: Vec<_> = path.split('/').collect();
        let fits = |segments: &[String]| {
            let rest = segments.last().is_some_and(|last| last.starts_with("{*"));
            let count = segments.len() == asked.len() || (rest && asked.len() > segments.len());
            count
                && segments
                    .iter()
                    .zip(&asked)
                    .all(|(segment, part)| segment == part || (segment.starts_with('{') && !part.is_empty()))
        };
        let found = self.routes.iter().find(|(its, segments, _)| its == method && fits(segments));
        found.map(|(_, _, name)| name.as_str())
    }

    fn operation(&self, route: &str) -> &Value {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        &self.document["paths"][path.replace("{*", "{")][method.to_ascii_lowercase()]
    }

    /// Follows references to the value that is meant.
    fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            value = self.document.pointer(reference.trim_start_matches('#')).expect("what is referred to");
        }
        value
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let mut whole = schema.clone();
            whole["components"] = json!({ "schemas": self.document["components"]["schemas"] });
            Arc::new(jsonschema::draft202012::new(&whole).expect("a schema"))
        };
        Arc::clone(validators.entry(name.to_owned()).or_insert_with(make))
    }

    /// Collects the keys of a value for which its schema has no word.
    fn unknown_keys(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let mut schemas = vec![self.resolve(schema)];
        while let Some(at) = schemas.iter().position(|schema| schema.get("anyOf").is_some()) {
            let alternatives = schemas.swap_remove(at)["anyOf"].as_array().expect("a list");
            schemas.extend(alternatives.iter().map(|schema| self.resolve(schema)));
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let place = format!("{place}.{key}");
                    let mut known =
                        schemas.iter().filter_map(|schema| schema.get("properties")?.get(key)).peekable();
                    let open = schemas.iter().any(|schema| {
                        schema.get("properties").is_none() || schema.get("additionalProperties").is_some()
                    });
                    if known.peek().is_none() && !open {
                        found.push(place);
                        continue;
                    }
                    if let Some(schema) = known.next() {
                        self.unknown_keys(schema, value, &place, found);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schemas.iter().find_map(|schema| schema.get("items")) {
                    items
                        .iter()
                        .for_each(|item| self.unknown_keys(schema, item, &format!("{place}[]"), found));
                }
            }
            _ => {}
        }
    }
}

static SUSPENDED: AtomicBool = AtomicBool::new(false);

/// Ends the comparing in this process: it is the one that makes the description.
pub fn suspend() {
    SUSPENDED.store(true, Ordering::Relaxed);
}

/// Fails when the description of the API does not have this answer.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    if SUSPENDED.load(Ordering::Relaxed) {
        return;
    }
    let contract = contract();
    let Some(route) = contract.route(method, path) else { return };
    if answer.status >= 500 || openapi::answer_of(route).is_none() {
        return;
    }
    let responses = &contract.operation(route)["responses"];
    let response = &responses[answer.status.to_string()];
    assert!(
        !response.is_null(),
        "{method} {path} answered {}, which the description does not have (crates/web/src/openapi/answers.txt): {}",
        answer.status,
        answer.text
    );
    let content = &contract.resolve(response)["content"];
    let kind = answer.header("content-type").unwrap_or_default();
    if content.is_null() {
        assert_eq!(answer.text, "", "{method} {path} answered {}, which has no body", answer.status);
        return;
    }
    if !content["*/*"].is_null() {
        return;
    }
    let described = &content[kind.trim_end_matches("; charset=utf-8")];
    assert!(!described.is_null(), "{method} {path} answered the type {kind:?}, and not one of {content}");
    if !kind.starts_with("application/json") {
        return;
    }
    // Clients compare it as a whole.
    assert_eq!(kind, "application/json", "{method} {path}");
    if method == "HEAD" {
        return;
    }
    let body = answer.json();
    let validator = contract.validator(&format!("{} {route}", answer.status), &described["schema"]);
    let problems: Vec<_> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(
        problems.is_empty(),
        "{method} {path} answered what the description (crates/web/src/openapi/schemas.txt) does not have:\n{}\n{body:#}",
        problems.join("\n")
    );
}

/// Returns the keys in an answer for which the description of the API has no word.
pub fn unknown_keys(method: &str, path: &str, answer: &Answer) -> Vec<String> {
    let contract = contract();
    let Some(route) = contract.route(method, path) else { return Vec::new() };
    let response = &contract.operation(route)["responses"][answer.status.to_string()];
    let schema = &contract.resolve(response)["content"]["application/json"]["schema"];
    let mut found = Vec::new();
    if !schema.is_null() {
        contract.unknown_keys(schema, &answer.json(), route, &mut found);
    }
    found.sort();
    found.dedup();
    found
}
