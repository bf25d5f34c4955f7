//! The description of the REST API in the words of OpenAPI 3.1, made from the code.
//!
//! What there is comes from the route table, who may ask from the access rule of each route, the parameters from what
//! the handlers were seen to read (`parameters.txt`, made by a test), and what is answered from `answers.txt` and
//! `schemas.txt`, with which the tests of the whole program compare every answer.

#[cfg(debug_assertions)]
pub mod observed;
#[cfg(not(debug_assertions))]
#[path = "unobserved.rs"]
pub(crate) mod observed;
pub mod parameters;
mod schemas;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::OnceLock;

use axum::http::Method;
use portcullis_rules::access::{Action, BotUse, Needs, On, Rule, ScopeSet, rule};
use serde_json::{Map, Value, json};

pub use self::schemas::{answer_of, described_routes};
use crate::door::Door;
use crate::guard::Access;
use crate::routes::{Route, table};

/// The type of a body that is a file.
const BYTES: &str = "bytes";

/// The routes that take a file, and of which kind. What is not a form has its parameters in the query.
const FILE_BODIES: [(&str, &str); 5] = [
    ("POST /api/v4/projects/{id}/uploads", "multipart/form-data"),
    (
        "PUT /api/v4/projects/{id}/packages/generic/{package_name}/{package_version}/{*file_name}",
        "application/octet-stream",
    ),
    ("POST /api/v4/projects/{id}/terraform/state/{name}", "application/json"),
    ("POST /api/v4/projects/{id}/terraform/state/{name}/lock", "application/json"),
    ("DELETE /api/v4/projects/{id}/terraform/state/{name}/lock", "application/json"),
];

/// Parts of paths that are neither a number nor a text, or of which more is to be said than their name.
const PATH_PARTS: [(&str, &str, &str); 9] = [
    ("id", "id or path", ""),
    ("namespace_id", "id or path", "The number of a namespace, or its path with slashes as `%2F`."),
    ("user_id", "id", "The number of a user."),
    ("iid", "id", "The number inside the project."),
    ("label", "text", "The number of a label, or its name."),
    ("discussion_id", "text", "The id of a discussion."),
    ("file_path", "text", "The path of a file, with slashes as `%2F`."),
    ("sha", "text", "The id of a commit or blob; where a commit is meant, a branch or tag will do."),
    ("secret", "text", "The secret part of the file's address."),
];

/// The refusals that need no word about the route, by status and name.
const REFUSALS: [(u16, &str, &str); 12] = [
    (304, "NotModified", "Nothing has changed since the answer with the `ETag` that was sent."),
    (400, "BadRequest", "Parameters are missing or cannot be; the body names them all."),
    (401, "Unauthorized", "There is no credential, or one that is unknown, expired or revoked."),
    (403, "Forbidden", "The token's scopes or the role of its user do not allow it."),
    (404, "NotFound", "There is no such thing, or the caller may not know of it."),
    (405, "MethodNotAllowed", "Not with this kind of credential."),
    (409, "Conflict", "It collides with something."),
    (413, "TooLarge", "The body is too large."),
    (415, "UnsupportedMediaType", "The body is of a kind that is not understood."),
    (416, "RangeNotSatisfiable", "There are no such bytes."),
    (422, "Unprocessable", "It cannot be done as things stand."),
    (503, "Unavailable", "Too much is going on; `Retry-After` says when to try again."),
];

/// The name of a route, as the files of this folder have it.
pub fn route_name(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

/// The description as it is sent.
#[derive(Debug)]
pub struct Description {
    /// JSON.
    pub text: String,
    /// A number that is another one when the text is.
    pub mark: String,
}

/// Returns the description: made once, and the same until the process ends.
pub fn description() -> &'static Description {
    static DESCRIPTION: OnceLock<Description> = OnceLock::new();
    DESCRIPTION.get_or_init(|| {
        let text = document().to_string();
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        Description { mark: format!("{:016x}", hasher.finish()), text }
    })
}

/// Makes the description.
pub fn document() -> Value {
    let routes: Vec<_> = table().into_iter().filter(|route| route.door == Door::Api).collect();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for route in &routes {
        *names.entry(route.handler_name()).or_default() += 1;
    }
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in &routes {
        let alone = names.get(route.handler_name()) == Some(&1);
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(shown_path(route)).or_default().insert(method, operation(route, alone));
    }
    let mut responses = Map::new();
    for (status, name, about) in REFUSALS {
        let mut response = json!({ "description": about });
        if status != 304 {
            response["content"] = json!({ "application/json": { "schema": schemas::of_type("Error") } });
        }
        responses.insert(name.to_owned(), response);
    }
    responses.insert(
        "TooManyRequests".to_owned(),
        json!({
            "description": "Too many requests, or wrong credentials; `Retry-After` says when to try again.",
            "headers": { "Retry-After": { "description": "Seconds.", "schema": { "type": "integer" } } },
            "content": { "text/plain": { "schema": { "type": "string" } } },
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The REST API of a Git forge and container registry, in the shapes that GitLab's clients know.",
            "description": "Parameters come from the query and from the body, on every method; unknown ones are ignored. \
                `HEAD` works wherever `GET` does. Of the security requirements of an operation any one is enough: each \
                names one way to present a token and one scope that it must hold; an empty one means that anonymous \
                callers may be let in. An administrator whose token holds the scope `sudo` may act as another person with \
                the header or parameter `sudo`.",
            "license": { "name": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "header": {
                    "type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN",
                    "description": "A project access token, or a personal one.",
                },
                "bearer": { "type": "http", "scheme": "bearer", "description": "The same token as a bearer." },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "The same token as the password, with any user name that is not empty.",
                },
            },
            "responses": responses,
            "schemas": schemas::components(),
        },
    })
}

/// A parameter that takes the rest of a path is written like every other one.
fn shown_path(route: &Route) -> String {
    route.path.replace("{*", "{")
}

fn actions(route: &Route) -> Vec<Action> {
    match route.access {
        Access::Public(_) => Vec::new(),
        Access::Action(action) => vec![action],
        Access::OneOf(actions) => actions.to_vec(),
    }
}

/// Returns the noun and the verb that a route's handler is named for, and what it is about when it serves several:
/// `notes`, `create` and `_on_issue` of `api::notes::create::<OnIssue>`.
fn names(route: &Route) -> (&'static str, &'static str, String) {
    let (path, kind) = route.handler_name().split_once("::<").unwrap_or((route.handler_name(), ""));
    let (rest, verb) = path.rsplit_once("::").unwrap_or(("", path));
    let mut about = String::new();
    for character in kind.chars().filter(|character| character.is_ascii_alphanumeric()) {
        if character.is_ascii_uppercase() {
            about.push('_');
        }
        about.push(character.to_ascii_lowercase());
    }
    (rest.rsplit("::").next().unwrap_or_default(), verb, about)
}

/// Returns the name of an operation, which generated code calls it by. A handler of several routes is told apart by the
/// last words of their paths.
fn operation_id(route: &Route, alone: bool) -> String {
    let (noun, verb, about) = names(route);
    let id = format!("{noun}_{verb}{about}");
    if alone {
        return id;
    }
    let words: Vec<_> = route.path.split('/').filter(|part| !part.starts_with('{')).collect();
    format!("{id}_{}", words[words.len().saturating_sub(2)..].join("_").replace('.', "_"))
}

fn operation(route: &Route, alone: bool) -> Value {
    let name = route_name(route);
    let parameters = parameters::of_route(&name).unwrap_or_default();
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut stated: Vec<_> = in_path.map(|part| path_parameter(route, part)).collect();
    let mut operation = json!({
        "operationId": operation_id(route, alone),
        "tags": [names(route).0],
        "summary": route.about,
        "responses": responses(route, parameters),
    });
    let file = FILE_BODIES.iter().find(|(route, _)| *route == name).map(|(_, kind)| *kind);
    let writes = matches!(route.method, Method::POST | Method::PUT | Method::PATCH);
    match file {
        Some("multipart/form-data") => {
            let form = json!({
                "type": "object", "required": ["file"], "properties": { "file": { "type": "string", "format": "binary" } },
            });
            operation["requestBody"] = body("multipart/form-data", form, true);
        }
        Some(kind) => {
            stated.extend(parameters::query(parameters));
            operation["requestBody"] = body(kind, json!({}), true);
        }
        None if !writes => stated.extend(parameters::query(parameters)),
        None if answer_of(&name).is_none() => {
            operation["requestBody"] = body("application/json", json!({ "type": "object" }), false);
        }
        None if !parameters.is_empty() => {
            let required = parameters.iter().any(|parameter| parameter.required);
            let object = parameters::object(parameters, "");
            operation["requestBody"] = body("application/json", object, required);
        }
        None => {}
    }
    if !stated.is_empty() {
        operation["parameters"] = json!(stated);
    }
    match route.access {
        Access::Public(reason) => {
            operation["description"] = json!(format!("Open to everybody: {reason}."));
            operation["security"] = json!([]);
        }
        _ => {
            let needs: Vec<_> = actions(route).into_iter().map(|action| needs(rule(action))).collect();
            operation["description"] = json!(needs.join(" "));
            operation["security"] = json!(security(route));
        }
    }
    operation
}

fn body(kind: &str, schema: Value, required: bool) -> Value {
    let content = Map::from_iter([(kind.to_owned(), json!({ "schema": schema }))]);
    json!({ "required": required, "content": content })
}

fn path_parameter(route: &Route, part: &str) -> Value {
    let name = part.trim_start_matches('*');
    let known = PATH_PARTS.iter().find(|(known, _, _)| *known == name);
    let numbered = name.ends_with("_id");
    let (kind, about) = match known {
        Some((_, kind, about)) => (*kind, *about),
        None if numbered => ("id", ""),
        None => ("text", ""),
    };
    let about = match (name, actions(route).first().map(|action| action.on())) {
        ("id", Some(On::Group)) => "The number of a group, or its path with slashes as `%2F`.",
        ("id", _) => "The number of a project, or its path with slashes as `%2F`.",
        _ if part.starts_with('*') => "It may have slashes.",
        _ => about,
    };
    let schema = match kind {
        "id" => json!({ "type": "integer", "format": "int64", "minimum": 1 }),
        "id or path" => json!({ "type": ["integer", "string"] }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    let mut parameter = json!({ "name": name, "in": "path", "required": true, "schema": schema });
    if !about.is_empty() {
        parameter["description"] = json!(about);
    }
    parameter
}

/// Returns the ways to be let in, of which any one is enough: a scheme and one of the scopes that the rule names, or
/// nothing at all.
fn security(route: &Route) -> Vec<Value> {
    let mut ways = Vec::new();
    let mut add = |way: Value| {
        if !ways.contains(&way) {
            ways.push(way);
        }
    };
    let mut schemes = vec!["header", "bearer"];
    if crate::credential::takes_basic(route.path) {
        schemes.push("basic");
    }
    for action in actions(route) {
        let rule = rule(action);
        if rule.may_be_anonymous() {
            add(json!({}));
        }
        for scheme in &schemes {
            let mut scopes: Vec<_> = rule.scopes.names().map(|scope| vec![scope]).collect();
            if rule.scopes == ScopeSet::ANY {
                scopes = vec![Vec::new()];
            }
            for scope in scopes {
                add(Value::Object(Map::from_iter([((*scheme).to_owned(), json!(scope))])));
            }
        }
    }
    ways
}

/// Says what a rule asks for beyond a scope.
fn needs(rule: &Rule) -> String {
    use portcullis_rules::access::{ArchivedProject, Openness};
    let who = match (rule.needs, rule.open_to) {
        (Needs::Nothing, _) => "Open to everybody, who is shown what they may see.".to_owned(),
        (Needs::SignIn, _) => "Needs a token.".to_owned(),
        (Needs::InsidePerson, _) => "Needs a person who is not external.".to_owned(),
        (Needs::Administrator, _) => "Needs an administrator.".to_owned(),
        (Needs::Role(role), Openness::Members) => format!("Needs the role {}.", role.name()),
        (Needs::Role(role), Openness::SignedIn) => {
            format!(
                "Needs the role {}, where the place is not open to people who are signed in.",
                role.name()
            )
        }
        (Needs::Role(role), Openness::Anyone) => {
            format!("Needs the role {}, where the place is not open to anyone who sees it.", role.name())
        }
    };
    let bots = if rule.bots == BotUse::Never { " Never for the bot of a token." } else { "" };
    let archived = match rule.archived {
        ArchivedProject::Refuses => " Refused once the project is archived.",
        ArchivedProject::Allows => "",
    };
    format!("{who}{bots}{archived}")
}

fn refusal_text(status: u16) -> &'static str {
    REFUSALS.iter().find(|(known, _, _)| *known == status).map_or("Another answer.", |found| found.2)
}

fn responses(route: &Route, parameters: &[parameters::Parameter]) -> Value {
    let name = route_name(route);
    let refusal = |status: u16| {
        let name =
            REFUSALS.iter().find(|(known, _, _)| *known == status).map_or("BadRequest", |found| found.1);
        json!({ "$ref": format!("#/components/responses/{name}") })
    };
    let mut responses = Map::new();
    let Some(answer) = answer_of(&name) else {
        // Nobody has said yet what this route answers.
        responses.insert("2XX".to_owned(), json!({ "description": route.about }));
        responses.insert("4XX".to_owned(), refusal(400));
        return Value::Object(responses);
    };
    let mut success = json!({ "description": route.about });
    if let Some(body) = answer.body {
        let content = match body {
            BYTES => json!({ "*/*": {} }),
            kind => json!({ "application/json": { "schema": schemas::of_type(kind) } }),
        };
        success["content"] = content;
    }
    if parameters.iter().any(|parameter| parameter.name == "per_page") {
        success["headers"] = json!({
            "Link": { "description": "The addresses of the other pages.", "schema": { "type": "string" } },
        });
    }
    responses.insert(answer.status.to_string(), success.clone());
    let writes = matches!(route.method, Method::POST | Method::PUT | Method::PATCH);
    let mut statuses = Vec::new();
    if !actions(route).is_empty() {
        statuses.extend([401, 403, 404]);
        responses.insert("429".to_owned(), json!({ "$ref": "#/components/responses/TooManyRequests" }));
    }
    if route.method != Method::GET || !parameters.is_empty() {
        statuses.push(400);
    }
    if writes {
        statuses.extend([413, 415]);
    }
    for status in statuses {
        responses.insert(status.to_string(), refusal(status));
    }
    for (status, body) in &answer.others {
        let response = match body {
            Some(kind) => {
                let content = json!({ "application/json": { "schema": schemas::of_type(kind) } });
                json!({ "description": refusal_text(*status), "content": content })
            }
            None if *status < 300 => success.clone(),
            None => refusal(*status),
        };
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}
