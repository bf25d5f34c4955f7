//! The parameters of each route, as `parameters.txt` holds them: made from what the handlers read, never written by hand.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

/// The parameters of the routes: a line with the method and path of each, and below it a line for each parameter.
const TEXT: &str = include_str!("parameters.txt");

/// What else a parameter with a list of words may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nothing.
    Refused,
    /// Null or an empty text, which clears something.
    Null,
    /// Any whole number.
    Integer,
}

/// As what a parameter is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is only asked whether it was sent.
    Any,
    /// A text.
    Text,
    /// One of these words, or what else may be.
    Words(Vec<String>, Others),
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A list of texts.
    List,
    /// A list of whole numbers.
    Integers,
    /// A date.
    Date,
    /// A time.
    Time,
    /// An object, whose parts are parameters of their own.
    Object,
    /// A list of objects, whose parts are parameters of their own.
    Objects,
}

/// The kinds that are a single word in the file.
const PLAIN: [(&str, Kind); 10] = [
    ("any", Kind::Any),
    ("text", Kind::Text),
    ("integer", Kind::Integer),
    ("boolean", Kind::Boolean),
    ("list", Kind::List),
    ("integers", Kind::Integers),
    ("date", Kind::Date),
    ("time", Kind::Time),
    ("object", Kind::Object),
    ("objects", Kind::Objects),
];

impl Kind {
    /// Returns the kind of a parameter that must be one of these words.
    pub fn words(words: &[&str], others: Others) -> Kind {
        Kind::Words(words.iter().map(|word| (*word).to_owned()).collect(), others)
    }

    /// Returns how the file writes it.
    pub fn to_text(&self) -> String {
        if let Kind::Words(words, others) = self {
            let more = match others {
                Others::Refused => "",
                Others::Null => "|null",
                Others::Integer => "|integer",
            };
            return format!("={}{more}", words.join("|"));
        }
        PLAIN.iter().find(|(_, kind)| kind == self).map_or("any", |(name, _)| name).to_owned()
    }

    fn parse(text: &str) -> Option<Kind> {
        let Some(words) = text.strip_prefix('=') else {
            return PLAIN.iter().find(|(name, _)| *name == text).map(|(_, kind)| kind.clone());
        };
        let mut words: Vec<_> = words.split('|').map(str::to_owned).collect();
        let others = match words.last()?.as_str() {
            "null" => Others::Null,
            "integer" => Others::Integer,
            _ => Others::Refused,
        };
        if others != Others::Refused {
            words.pop();
        }
        Some(Kind::Words(words, others))
    }

    fn schema(&self) -> Value {
        match self {
            Kind::Any => json!({}),
            Kind::Text => json!({ "type": "string" }),
            Kind::Integer => json!({ "type": "integer", "format": "int64" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Integers => {
                json!({ "type": "array", "items": { "type": "integer", "format": "int64" } })
            }
            Kind::Date => json!({ "type": "string", "format": "date" }),
            Kind::Time => json!({ "type": "string", "format": "date-time" }),
            Kind::Object => json!({ "type": "object" }),
            Kind::Objects => json!({ "type": "array", "items": { "type": "object" } }),
            Kind::Words(words, others) => {
                let numbers: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
                let one = match numbers {
                    Some(numbers) => json!({ "type": "integer", "enum": numbers }),
                    None => json!({ "type": "string", "enum": words }),
                };
                match others {
                    Others::Refused => one,
                    Others::Null => json!({ "anyOf": [one, { "type": "null" }] }),
                    Others::Integer => {
                        json!({ "anyOf": [one, { "type": "integer", "format": "int64" }] })
                    }
                }
            }
        }
    }
}

/// One parameter of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; of a part of an object, with the object's name and a dot before it.
    pub name: String,
    /// As what it is read.
    pub kind: Kind,
    /// Whether a request without it is refused.
    pub required: bool,
}

impl Parameter {
    /// Returns how the file writes it.
    pub fn to_text(&self) -> String {
        let required = if self.required { " required" } else { "" };
        format!("  {} {}{required}", self.name, self.kind.to_text())
    }

    fn parse(line: &str) -> Option<Parameter> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let kind = Kind::parse(words.next()?)?;
        Some(Parameter { name, kind, required: words.next() == Some("required") })
    }
}

/// Returns the parameters of a route, such as `GET /api/v4/version`; `None` of one that the file does not have.
pub fn of_route(route: &str) -> Option<&'static [Parameter]> {
    all().get(route).map(Vec::as_slice)
}

/// Returns the routes that the file has.
pub fn described_routes() -> impl Iterator<Item = &'static str> {
    all().keys().copied()
}

fn all() -> &'static BTreeMap<&'static str, Vec<Parameter>> {
    static ROUTES: OnceLock<BTreeMap<&'static str, Vec<Parameter>>> = OnceLock::new();
    ROUTES.get_or_init(|| routes(TEXT))
}

fn routes(text: &'static str) -> BTreeMap<&'static str, Vec<Parameter>> {
    let mut routes: BTreeMap<&'static str, Vec<Parameter>> = BTreeMap::new();
    let mut route = "";
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            route = line;
        }
        let parameters = routes.entry(route).or_default();
        parameters.extend(line.strip_prefix("  ").and_then(Parameter::parse));
    }
    routes
}

/// Returns the schema of an object with these parameters, of which `within` holds those whose names begin with it.
pub(super) fn object(parameters: &[Parameter], within: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in parameters {
        let Some(name) = parameter.name.strip_prefix(within).filter(|name| !name.contains('.')) else {
            continue;
        };
        properties.insert(name.to_owned(), schema(parameters, parameter));
        if parameter.required {
            required.push(name);
        }
    }
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn schema(parameters: &[Parameter], parameter: &Parameter) -> Value {
    match parameter.kind {
        Kind::Object => object(parameters, &format!("{}.", parameter.name)),
        Kind::Objects => {
            json!({ "type": "array", "items": object(parameters, &format!("{}.", parameter.name)) })
        }
        _ => parameter.kind.schema(),
    }
}

/// Returns the parameters as those of a query.
pub(super) fn query(parameters: &[Parameter]) -> Vec<Value> {
    let outer = parameters.iter().filter(|parameter| !parameter.name.contains('.'));
    let query = outer.map(|parameter| {
        let mut value = json!({
            "name": parameter.name,
            "in": "query",
            "schema": schema(parameters, parameter),
        });
        if parameter.required {
            value["required"] = json!(true);
        }
        match parameter.kind {
            // `a,b`, and not a parameter for each item.
            Kind::List | Kind::Integers => value["explode"] = json!(false),
            Kind::Object => value["style"] = json!("deepObject"),
            _ => {}
        }
        value
    });
    query.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_can_be_read() {
        for line in TEXT.lines().filter(|line| line.starts_with(' ')) {
            assert_eq!(Parameter::parse(line).map(|parameter| parameter.to_text()).as_deref(), Some(line));
        }
    }

    #[test]
    fn parts_of_objects_stand_inside_them() {
        let text = "POST /x\n  title text required\n  at.links objects\n  at object\n  at.links.url text required\n  level =10|20\n";
        let routes = routes(text);
        assert_eq!(
            object(&routes["POST /x"], ""),
            json!({
                "type": "object",
                "required": ["title"],
                "properties": {
                    "title": { "type": "string" },
                    "level": { "type": "integer", "enum": [10, 20] },
                    "at": { "type": "object", "properties": { "links": { "type": "array", "items": {
                        "type": "object", "required": ["url"], "properties": { "url": { "type": "string" } },
                    } } } },
                },
            })
        );
    }
}
