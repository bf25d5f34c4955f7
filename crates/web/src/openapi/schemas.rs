//! What the API answers, as `schemas.txt` and `answers.txt` hold it: the objects by name, and which route answers with
//! which of them. The tests of the whole program compare every answer that they see with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

const ANSWERS: &str = include_str!("answers.txt");

const SCHEMAS: &str = include_str!("schemas.txt");

/// What a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status when all is well.
    pub status: u16,
    /// The type of its body, in the words of `schemas.txt`; `None` without a body.
    pub body: Option<&'static str>,
    /// Other statuses, which its access rule does not explain, and the types of their bodies: without one, that of all
    /// refusals.
    pub others: Vec<(u16, Option<&'static str>)>,
}

/// Returns what a route answers, such as `GET /api/v4/version`; `None` of one that the file does not have.
pub fn answer_of(route: &str) -> Option<&'static Answer> {
    static ROUTES: OnceLock<BTreeMap<String, Answer>> = OnceLock::new();
    ROUTES.get_or_init(|| ANSWERS.lines().filter_map(answer).collect()).get(route)
}

/// Returns the routes that the file has.
pub fn described_routes() -> impl Iterator<Item = String> {
    ANSWERS.lines().filter_map(answer).map(|(route, _)| route)
}

fn answer(line: &'static str) -> Option<(String, Answer)> {
    let mut words = line.split_whitespace();
    let (method, path, status) = (words.next()?, words.next()?, words.next()?);
    let mut answer = Answer { status: status.parse().ok()?, body: None, others: Vec::new() };
    for word in words {
        let (status, body) = word.split_once(':').map_or((word, None), |(status, body)| (status, Some(body)));
        match status.parse() {
            Ok(status) => answer.others.push((status, body)),
            Err(_) => answer.body = Some(word),
        }
    }
    Some((format!("{method} {path}"), answer))
}

/// Returns the schema of a type: `[Issue]` is a list, `User?` may be null, `{string}` is an object whose values are of one
/// type, `a|b` are words.
pub(super) fn of_type(name: &str) -> Value {
    if let Some(inner) = name.strip_suffix('?') {
        let mut schema = of_type(inner);
        return match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
            Some(kind) if schema.get("enum").is_none() => {
                schema["type"] = json!([kind, "null"]);
                schema
            }
            _ => json!({ "anyOf": [schema, { "type": "null" }] }),
        };
    }
    if let Some(item) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return json!({ "type": "array", "items": of_type(item) });
    }
    if let Some(value) = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        return json!({ "type": "object", "additionalProperties": of_type(value) });
    }
    match name {
        "integer" => json!({ "type": "integer", "format": "int64" }),
        "string" | "boolean" | "number" | "object" | "null" => json!({ "type": name }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "date" => json!({ "type": "string", "format": "date" }),
        "any" => json!({}),
        _ if name.starts_with(char::is_uppercase) => {
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
        _ => json!({ "type": "string", "enum": name.split('|').collect::<Vec<_>>() }),
    }
}

/// Returns the named schemas.
pub(super) fn components() -> Map<String, Value> {
    let mut schemas: Map<String, Value> = Map::new();
    let mut current = String::new();
    for line in SCHEMAS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if line.starts_with(' ') {
            let (kind, optional) = (words.next().unwrap_or("any"), words.next() == Some("optional"));
            let Some(object) = schemas.get_mut(&current) else { continue };
            object["properties"][first] = of_type(kind);
            if let Some(required) = object["required"].as_array_mut() {
                required.retain(|name| name != first);
                if !optional {
                    required.push(json!(first));
                }
            }
            continue;
        }
        first.clone_into(&mut current);
        let schema = match (words.next(), words.next()) {
            // `A = B C`: one of these.
            (Some("="), Some(kind)) => {
                let kinds: Vec<_> = std::iter::once(kind).chain(words).map(of_type).collect();
                json!({ "anyOf": kinds })
            }
            // `A of B`: all that B has, and more.
            (Some("of"), Some(base)) => schemas.get(base).cloned().unwrap_or_default(),
            _ => json!({ "type": "object", "properties": {}, "required": [] }),
        };
        schemas.insert(current.clone(), schema);
    }
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every name that is referred to.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(name) = object.get("$ref").and_then(Value::as_str) {
                    found.push(name.rsplit('/').next().unwrap_or_default().to_owned());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_line_can_be_read() {
        let lines = ANSWERS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(described_routes().count(), lines);
    }

    #[test]
    fn every_name_is_that_of_an_object() {
        let components = components();
        let mut found = Vec::new();
        components.values().for_each(|schema| references(schema, &mut found));
        for (_, answer) in ANSWERS.lines().filter_map(answer) {
            for body in answer.body.into_iter().chain(answer.others.iter().filter_map(|other| other.1)) {
                if body != "bytes" {
                    references(&of_type(body), &mut found);
                }
            }
        }
        for name in &found {
            assert!(components.contains_key(name), "schemas.txt does not say what {name} is");
        }
        for name in components.keys().filter(|name| *name != "Error") {
            assert!(found.contains(name) || SCHEMAS.contains(&format!(" of {name}")), "nothing is a {name}");
        }
    }

    #[test]
    fn what_may_be_null_says_so() {
        assert_eq!(of_type("time?"), json!({ "type": ["string", "null"], "format": "date-time" }));
        assert_eq!(
            of_type("[User]?"),
            json!({ "type": ["array", "null"], "items": { "$ref": "#/components/schemas/User" } })
        );
        assert_eq!(
            of_type("a|b?"),
            json!({ "anyOf": [{ "type": "string", "enum": ["a", "b"] }, { "type": "null" }] })
        );
    }
}
