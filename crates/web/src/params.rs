//! Parameters: from the query and from the body, however the client wrote them.
//!
//! Clients send JSON, forms with brackets, numbers as strings, lists with commas and `True` for true; all of it is read
//! here, in one place, and what cannot be read is named in one answer.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use jiff::civil::Date;
use portcullis_rules::token::parse_date;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::AppState;
use crate::error::ApiError;
use crate::multipart::Multipart;
use crate::openapi::observed::Observer;
use crate::openapi::parameters::{Kind, Others};

/// More parameters than this are not looked at.
const MAX_PARAMETERS: usize = 1000;

/// A form with more fields than this is refused.
const MAX_FORM_FIELDS: usize = 10_000;

/// How deep the brackets of a field may be nested: `assets[links][][name]` has three.
const MAX_BRACKETS: usize = 4;

/// How many bodies that are larger than usual are read and worked on at once.
const LARGE_BODIES: usize = 4;

/// How long a request with such a body waits for its turn.
const TURN_TIME: std::time::Duration = std::time::Duration::from_secs(20);

/// Who waits for whom among requests with a large body.
static TURNS: Semaphore = Semaphore::const_new(LARGE_BODIES);

/// How long a small body may take to arrive.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// The kind of a form's body.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The kind of a form's body that can hold files.
pub(crate) const MULTIPART: &str = "multipart/form-data";

/// Returns the pairs of a query or form, decoded.
pub fn query_pairs(text: &str) -> Vec<(String, String)> {
    pairs(text).take(MAX_PARAMETERS).collect()
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// Returns whether what stands in brackets is a key of an object, and not a place in a list.
fn is_key(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_alphabetic())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Splits `actions[][file_path]` into its name and what stands in its brackets. Nothing when it has none, or too many.
fn brackets(name: &str) -> Option<(&str, Vec<&str>)> {
    let (base, rest) = name.split_once('[')?;
    let parts: Vec<_> = rest.strip_suffix(']')?.split("][").collect();
    (parts.len() <= MAX_BRACKETS).then_some((base, parts))
}

/// Puts a value where the brackets of its field say: below a key of an object, or in a list. In a list of objects a field
/// belongs to the last object, until it has such a field or the number in the brackets is another one.
fn place(into: &mut Value, parts: &[&str], path: &str, numbers: &mut HashMap<String, String>, value: String) {
    let Some((part, deeper)) = parts.split_first() else {
        *into = Value::String(value);
        return;
    };
    if is_key(part) {
        if !into.is_object() {
            *into = Value::Object(Map::new());
        }
        if let Value::Object(object) = into {
            place(
                object.entry(*part).or_insert(Value::Null),
                deeper,
                &format!("{path}.{part}"),
                numbers,
                value,
            );
        }
        return;
    }
    if !into.is_array() {
        *into = Value::Array(Vec::new());
    }
    let Value::Array(items) = into else { return };
    let same_number = numbers.insert(path.to_owned(), (*part).to_owned()).is_none_or(|last| last == *part);
    let goes_on = same_number
        && match (items.last(), deeper) {
            (Some(Value::Object(last)), [key]) => is_key(key) && !last.contains_key(*key),
            (Some(Value::Object(_)), [key, ..]) => is_key(key),
            _ => false,
        };
    if !goes_on {
        items.push(Value::Null);
    }
    let path = format!("{path}[{}]", items.len());
    if let Some(last) = items.last_mut() {
        place(last, deeper, &path, numbers, value);
    }
}

/// The parameters of a request. As an extractor it comes last: the guard has answered before the body is read.
#[derive(Debug, Default)]
pub struct Params(Map<String, Value>, Observer);

impl Params {
    fn add_pairs(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        let mut numbers = HashMap::new();
        for (name, value) in pairs {
            match brackets(&name) {
                Some((base, parts)) => {
                    let slot = self.0.entry(base).or_insert(Value::Null);
                    place(slot, &parts, base, &mut numbers, value);
                }
                None => {
                    self.0.insert(name, Value::String(value));
                }
            }
        }
    }

    /// Reads the parameters of a request whose body has at most `limit` bytes.
    async fn of(request: Request, limit: usize) -> Result<Params, ApiError> {
        let (parts, body) = request.into_parts();
        let mut params = Params(Map::new(), Observer::of(&parts));
        params.add_pairs(query_pairs(parts.uri.query().unwrap_or_default()));
        let bytes = collect(body, limit).await?;
        if bytes.is_empty() {
            // An empty body with a JSON content type is what several clients send.
            return params.without_nul();
        }
        match media_type(&parts.headers).as_str() {
            MULTIPART => params.add_pairs(multipart_pairs(&parts.headers, bytes).await?),
            FORM => {
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| ApiError::bad_parameters("the body is not UTF-8"))?;
                // What is left out of a list would not be missed by anybody.
                if text.split('&').nth(MAX_FORM_FIELDS).is_some() {
                    let problem = format!("the body has more than {MAX_FORM_FIELDS} fields");
                    return Err(ApiError::bad_parameters(&problem));
                }
                params.add_pairs(pairs(text));
            }
            "application/json" | "" => match serde_json::from_slice::<Value>(&bytes) {
                Ok(Value::Object(object)) => params.0.extend(object),
                Ok(_) => return Err(ApiError::bad_parameters("the body must be a JSON object")),
                Err(error) => {
                    let place = format!("line {} column {}", error.line(), error.column());
                    return Err(ApiError::bad_parameters(&format!("the body is not valid JSON at {place}")));
                }
            },
            other => return Err(ApiError::unsupported_media_type(other)),
        }
        params.without_nul()
    }

    /// No parameter means anything with a NUL character in it, and PostgreSQL cannot keep one.
    fn without_nul(self) -> Result<Params, ApiError> {
        fn holds_nul(value: &Value) -> bool {
            match value {
                Value::String(text) => text.contains('\0'),
                Value::Array(items) => items.iter().any(holds_nul),
                Value::Object(object) => {
                    object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
                }
                _ => false,
            }
        }
        match self.0.iter().find(|(name, value)| name.contains('\0') || holds_nul(value)) {
            Some((name, _)) => {
                let name: String =
                    name.chars().filter(|character| !character.is_control()).take(100).collect();
                Err(ApiError::bad_parameters(&format!("{name} is invalid: it holds a NUL character")))
            }
            None => Ok(self),
        }
    }

    /// Returns the parameters in the address alone, for a request whose body is a file.
    ///
    /// # Errors
    /// The answer to a NUL character.
    pub fn of_query(parts: &Parts) -> Result<Params, ApiError> {
        let mut params = Params(Map::new(), Observer::of(parts));
        params.add_pairs(query_pairs(parts.uri.query().unwrap_or_default()));
        params.without_nul()
    }

    /// Begins to read.
    pub fn read(&self) -> Reader<'_> {
        Reader { values: &self.0, within: None, problems: Vec::new(), observer: self.1.clone() }
    }

    /// Returns whether a parameter was sent, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.1.read(name, || Kind::Any);
        self.0.contains_key(name)
    }
}

impl FromRequest<AppState> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Params, ApiError> {
        Params::of(request, state.forge.settings().max_body_bytes).await
    }
}

/// The parameters of a request whose body holds files and may therefore be larger. Few of these are in memory at once.
#[derive(Debug)]
pub struct LargeParams {
    /// The parameters.
    pub params: Params,
    _turn: Option<SemaphorePermit<'static>>,
}

/// Waits until another body that is larger than usual may be read. The turn ends with the value.
///
/// # Errors
/// When that takes too long.
pub(crate) async fn large_body_turn() -> Result<SemaphorePermit<'static>, ApiError> {
    let turn = tokio::time::timeout(TURN_TIME, TURNS.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| ApiError::overloaded(TURN_TIME.as_secs()))
}

impl FromRequest<AppState> for LargeParams {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<LargeParams, ApiError> {
        let settings = state.forge.settings();
        let announced: Option<usize> =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let turn = match announced {
            Some(bytes) if bytes <= settings.max_body_bytes => None,
            _ => Some(large_body_turn().await?),
        };
        let limit = settings.max_body_bytes.max(settings.max_commit_body_bytes);
        Ok(LargeParams { params: Params::of(request, limit).await?, _turn: turn })
    }
}

/// Returns the small fields of a form in parts. Files among them are no parameters, and are passed over.
async fn multipart_pairs(headers: &HeaderMap, body: Bytes) -> Result<Vec<(String, String)>, ApiError> {
    let body = futures_util::stream::iter([Ok(body)]);
    let mut form =
        Multipart::new(headers, body).map_err(|error| ApiError::bad_parameters(&error.to_string()))?;
    let mut pairs = Vec::new();
    loop {
        match form.next_part().await {
            Ok(Some(part)) if part.file_name.is_none() && pairs.len() < MAX_PARAMETERS => {
                let value = form.field(usize::MAX).await;
                pairs.push((part.name, value.map_err(|error| ApiError::bad_parameters(&error.to_string()))?));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(pairs),
            Err(error) => return Err(ApiError::bad_parameters(&error.to_string())),
        }
    }
}

/// Returns the kind of body that the headers announce, without its parameters; empty when they do not.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a small body.
///
/// # Errors
/// When it is larger than `limit` bytes, ends early, or takes too long to arrive.
pub(crate) async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
        Ok(Err(_)) => Err(ApiError::bad_parameters("the body ended early")),
        Err(_) => Err(ApiError::bad_parameters("the body took too long to arrive")),
    }
}

/// Reads parameters one by one and collects what is wrong, so that one answer names everything.
#[derive(Debug)]
pub struct Reader<'a> {
    values: &'a Map<String, Value>,
    /// The parameter that these values are parts of.
    within: Option<&'a str>,
    problems: Vec<String>,
    observer: Observer,
}

impl<'a> Reader<'a> {
    /// Reads the parts of a parameter that is an object. What is wrong with them is named like everything else.
    pub fn object<T>(&mut self, name: &'a str, read: impl FnOnce(&mut Reader<'a>) -> T) -> Option<T> {
        self.observer.read(name, || Kind::Object);
        match self.values.get(name).filter(|value| !value.is_null())? {
            Value::Object(values) => {
                let mut parts = self.inside(name, values);
                let found = read(&mut parts);
                self.problems.append(&mut parts.problems);
                Some(found)
            }
            _ => {
                self.invalid(name);
                None
            }
        }
    }

    /// Reads the parts of each object in a list of them. What is wrong with them is named like everything else.
    pub fn objects<T>(
        &mut self,
        name: &'a str,
        mut read: impl FnMut(&mut Reader<'a>) -> T,
    ) -> Option<Vec<T>> {
        self.observer.read(name, || Kind::Objects);
        let Value::Array(items) = self.values.get(name).filter(|value| !value.is_null())? else {
            self.invalid(name);
            return None;
        };
        let mut found = Vec::new();
        for item in items {
            let Value::Object(values) = item else {
                self.invalid(name);
                return None;
            };
            let mut parts = self.inside(name, values);
            found.push(read(&mut parts));
            for problem in parts.problems {
                // The same is often wrong with all of them.
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
        Some(found)
    }

    /// Returns a reader of what is in a parameter.
    fn inside(&self, name: &'a str, values: &'a Map<String, Value>) -> Reader<'a> {
        Reader { values, within: Some(name), problems: Vec::new(), observer: self.observer.inside(name) }
    }

    /// Notes what is wrong with a parameter.
    pub fn problem(&mut self, name: &str, problem: &str) {
        let place = self.within.map_or_else(|| name.to_owned(), |within| format!("{within}[{name}]"));
        self.problems.push(format!("{place} {problem}"));
    }

    /// Returns a text that must be one of `words`; a blank one counts as absent.
    pub fn allowed(&mut self, name: &str, words: &[&str]) -> Option<String> {
        self.observer.read(name, || Kind::words(words, Others::Refused));
        let text = self.filled_text(name)?;
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        self.problem(name, &format!("does not have a valid value; allowed are {}", words.join(", ")));
        None
    }

    /// Returns what `meaning` makes of one of `words`, or that it is to be nothing: null, or an empty text.
    pub fn clearable<T>(
        &mut self,
        name: &str,
        words: &[&str],
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        self.observer.read(name, || Kind::words(words, Others::Null));
        if self.is_cleared(name)? {
            return Some(None);
        }
        let text = self.allowed(name, words)?;
        Some(meaning(&text))
    }

    /// Returns whether a parameter was sent without a value; `None` when it was not sent.
    pub fn is_cleared(&self, name: &str) -> Option<bool> {
        self.observer.read(name, || Kind::Any);
        Some(match self.values.get(name)? {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        })
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    fn missing(&mut self, name: &str) {
        self.problem(name, "is missing");
    }

    fn invalid(&mut self, name: &str) {
        self.problem(name, "is invalid");
    }

    /// Returns a text. Numbers are taken as they are written.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.observer.read(name, || Kind::Text);
        match self.value(name) {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Bool(value)) => Some(value.to_string()),
            Some(_) => {
                self.invalid(name);
                None
            }
        }
    }

    /// Returns a text that is not blank; a blank one counts as absent.
    pub fn filled_text(&mut self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// Returns a text that must be there.
    pub fn required_text(&mut self, name: &str) -> String {
        self.observer.read(name, || Kind::Text);
        self.observer.required(name);
        match self.value(name) {
            None => {
                self.missing(name);
                String::new()
            }
            Some(_) => self.text(name).unwrap_or_default(),
        }
    }

    /// Returns a number, also from a string.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        self.observer.read(name, || Kind::Integer);
        let number = match self.value(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.invalid(name);
        }
        number
    }

    /// Returns a number that must be there.
    pub fn required_integer(&mut self, name: &str) -> i64 {
        self.observer.read(name, || Kind::Integer);
        self.observer.required(name);
        if self.value(name).is_none() {
            self.missing(name);
            return 0;
        }
        self.integer(name).unwrap_or_default()
    }

    /// Returns a yes or no, in any of the ways that clients write it.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.observer.read(name, || Kind::Boolean);
        let value = match self.value(name)? {
            Value::Bool(value) => Some(*value),
            Value::Number(number) => match number.as_i64() {
                Some(1) => Some(true),
                Some(0) => Some(false),
                _ => None,
            },
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "" => return None,
                "1" | "t" | "true" | "yes" | "y" | "on" => Some(true),
                "0" | "f" | "false" | "no" | "n" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.invalid(name);
        }
        value
    }

    /// Returns a list: an array, a repeated parameter, or texts with commas.
    pub fn list(&mut self, name: &str) -> Option<Vec<String>> {
        self.observer.read(name, || Kind::List);
        let split = |text: &str| {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .take(MAX_PARAMETERS)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let list = match self.value(name)? {
            Value::Array(items) => {
                let mut list = Vec::new();
                for item in items.iter().take(MAX_PARAMETERS) {
                    match item {
                        Value::String(text) => list.push(text.trim().to_owned()),
                        Value::Number(number) => list.push(number.to_string()),
                        _ => {
                            self.invalid(name);
                            return None;
                        }
                    }
                }
                list.retain(|item| !item.is_empty());
                list
            }
            Value::String(text) => split(text),
            Value::Number(number) => vec![number.to_string()],
            Value::Bool(false) => Vec::new(),
            _ => {
                self.invalid(name);
                return None;
            }
        };
        Some(list)
    }

    /// Returns a list of numbers.
    pub fn integers(&mut self, name: &str) -> Option<Vec<i64>> {
        self.observer.read(name, || Kind::Integers);
        let list = self.list(name)?;
        let numbers: Option<Vec<i64>> = list.iter().map(|item| item.parse().ok()).collect();
        if numbers.is_none() {
            self.invalid(name);
        }
        numbers
    }

    /// Returns a date; of a time its date part. A blank one counts as absent.
    pub fn date(&mut self, name: &str) -> Option<Date> {
        self.observer.read(name, || Kind::Date);
        let text = self.filled_text(name)?;
        let date = parse_date(text.trim());
        if date.is_none() {
            self.invalid(name);
        }
        date
    }

    /// Returns a time in Unix microseconds: ISO 8601 with an offset, or a date for its midnight UTC.
    pub fn time(&mut self, name: &str) -> Option<i64> {
        self.observer.read(name, || Kind::Time);
        let text = self.filled_text(name)?;
        // A plus sign in a query arrives as a space.
        let text = text.trim().replace(' ', "+");
        let time = match text.parse::<Timestamp>() {
            Ok(time) => Some(time.as_microsecond()),
            Err(_) if text.len() == 10 => parse_date(&text).map(portcullis_rules::token::midnight),
            Err(_) => None,
        };
        if time.is_none() {
            self.invalid(name);
        }
        time
    }

    /// Returns what `meaning` makes of a text; one without a meaning is a problem.
    pub fn one_of<T>(&mut self, name: &str, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.observer.read(name, || Kind::accepted(|word| meaning(word).is_some()));
        let text = self.text(name)?;
        let value = meaning(&text);
        if value.is_none() {
            self.problem(name, "does not have a valid value");
        }
        value
    }

    /// Notes that a value has no meaning.
    pub fn reject(&mut self, name: &str) {
        self.problem(name, "does not have a valid value");
    }

    /// Notes that a parameter is missing unless it is there.
    pub fn require(&mut self, name: &str) {
        self.observer.required(name);
        if self.value(name).is_none() {
            self.missing(name);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// One answer that names everything that was wrong.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ApiError::bad_parameters(&self.problems.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &str) -> Params {
        let mut params = Params::default();
        params.add_pairs(query_pairs(pairs));
        params
    }

    #[test]
    fn lists_come_in_every_shape() {
        for text in ["scopes[]=a&scopes[]=b", "scopes=a,b", "scopes[0]=a&scopes[1]=b", "scopes=a%2Cb"] {
            assert_eq!(
                params(text).read().list("scopes"),
                Some(vec!["a".to_owned(), "b".to_owned()]),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_form_in_parts_has_the_same_parameters() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap());
        let mut form = String::new();
        for (name, value) in
            [("scopes[]", "a"), ("scopes[]", "b"), ("archived", "1"), ("title", "\u{fc} & =")]
        {
            form.push_str(&format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        form.push_str(
            "--x\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"a.png\"\r\n\r\n\x01\r\n",
        );
        let whole = format!("{form}--x--\r\n");
        let mut params = Params::default();
        params.add_pairs(multipart_pairs(&headers, Bytes::from(whole)).await.unwrap());
        let mut reader = params.read();
        assert_eq!(reader.list("scopes"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(reader.boolean("archived"), Some(true));
        assert_eq!(reader.text("title").as_deref(), Some("\u{fc} & ="));
        assert!(!params.has("avatar"));
        assert!(multipart_pairs(&headers, Bytes::from(form)).await.is_err(), "it has no end");
    }

    #[test]
    fn objects_nest_as_forms_write_them() {
        let expected = serde_json::json!([{"action": "create", "file_path": "a"}, {"action": "delete", "file_path": "b"}]);
        for text in [
            "actions[][action]=create&actions[][file_path]=a&actions[][action]=delete&actions[][file_path]=b",
            "actions[0][action]=create&actions[0][file_path]=a&actions[1][action]=delete&actions[1][file_path]=b",
            "actions%5B%5D%5Baction%5D=create&actions[][file_path]=a&actions[][action]=delete&actions[][file_path]=b",
            "actions=x&actions[1][action]=create&actions[1][file_path]=a&actions[2][file_path]=b&actions[2][action]=delete",
        ] {
            assert_eq!(params(text).0["actions"], expected, "{text}");
        }
        let deep =
            params("assets[links][][name]=a&assets[links][][url]=u&assets[links][][name]=b&assets[count]=2");
        let links = serde_json::json!([{"name": "a", "url": "u"}, {"name": "b"}]);
        assert_eq!(deep.0["assets"], serde_json::json!({"links": links, "count": "2"}));
        assert_eq!(params("a[b][c][d][e][f]=1").0["a[b][c][d][e][f]"], "1");
        assert_eq!(params("a[0][b]=1&a[1][c]=2").0["a"], serde_json::json!([{"b": "1"}, {"c": "2"}]));
        assert_eq!(params("a[]=1&a[x]=2").0["a"], serde_json::json!({"x": "2"}));
    }

    #[test]
    fn what_is_wrong_in_a_list_of_objects_is_named_once() {
        let params = params("actions[][action]=x&actions[][action]=y&other[]=1");
        let mut reader = params.read();
        let found = reader.objects("actions", |action| {
            action.allowed("action", &["create"]);
            action.required_text("file_path")
        });
        assert_eq!(found.map(|found| found.len()), Some(2));
        assert_eq!(reader.objects("other", |_| ()), None);
        let problems = reader.problems.join(", ");
        assert_eq!(
            problems,
            "actions[action] does not have a valid value; allowed are create, actions[file_path] is missing, other is invalid"
        );
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let params = params("access_level=x&archived=perhaps&expires_at=2026-02-30");
        let mut reader = params.read();
        reader.required_text("name");
        reader.integer("access_level");
        reader.boolean("archived");
        reader.date("expires_at");
        let problems = reader.problems.join(", ");
        assert_eq!(
            problems,
            "name is missing, access_level is invalid, archived is invalid, expires_at is invalid"
        );
    }

    #[test]
    fn times_and_booleans_are_read_as_clients_write_them() {
        let params =
            params("a=True&b=0&c=on&t=2026-01-02T03:04:05Z&u=2026-01-02T03:04:05+01:00&d=2026-01-02");
        let mut reader = params.read();
        assert_eq!(
            (reader.boolean("a"), reader.boolean("b"), reader.boolean("c")),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!(reader.time("t").unwrap() - reader.time("u").unwrap(), 3_600_000_000);
        assert!(reader.time("d").is_some());
        assert!(reader.finish().is_ok());
    }
}
