//! Administration › Audit log: who changed what, with which credential, from where; to be read, narrowed and taken along.
//!
//! Times and dates are in UTC here, because whoever reads a log compares it with others.

use std::sync::Arc;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use portcullis_app::Error;
use portcullis_app::access::Authorized;
use portcullis_app::audit::{self, MAX_EXPORTED_EVENTS};
use portcullis_app::records::audit_events::{AuditEvent, AuditEventFilter};
use portcullis_app::records::select::{Behind, Paging, Window};
use portcullis_app::records::users::{User, UserKind};
use portcullis_rules::access::act;
use portcullis_rules::id::TokenId;
use portcullis_rules::token::{date_at, midnight, parse_date};
use serde_json::Value;

use crate::AppState;
use crate::api::audit_events as api;
use crate::pages::fields::{Choice, Problems, SelectField, TextField};
use crate::pages::words::Moment;
use crate::pages::{Around, PageError, PageResult, html};
use crate::pagination::encoded;

/// How many entries a page shows.
const PER_PAGE: usize = 50;

/// The longest text of details on a page, in characters. All of it is in the exports.
const MAX_DETAILS_CHARACTERS: usize = 400;

/// The columns of the table that is exported.
const COLUMNS: &str = "id,created_at,author_id,author_name,event_name,entity_type,entity_id,entity_path,target_type,\
     target_id,ip_address,access_token_id,details\r\n";

/// The kinds of things that entries are about.
const KINDS: [&str; 4] = ["Project", "Group", "User", "Instance"];

/// What the log is narrowed to, as it was typed.
struct Asked {
    who: String,
    action: String,
    kind: String,
    place: String,
    token: String,
    from: String,
    to: String,
}

impl Asked {
    fn of(around: &Around) -> Asked {
        let text = |name| around.query(name).trim().to_owned();
        Asked {
            who: text("who"),
            action: text("action"),
            kind: text("kind"),
            place: text("place"),
            token: text("token"),
            from: text("from"),
            to: text("to"),
        }
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }

    fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("who", &self.who),
            ("action", &self.action),
            ("kind", &self.kind),
            ("place", &self.place),
            ("token", &self.token),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// Returns the parameters of an address that asks for the same.
    fn query(&self) -> String {
        let filled = self.pairs().into_iter().filter(|(_, value)| !value.is_empty());
        filled.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }

    /// Reads it; what cannot be read is named, and narrows to nothing.
    async fn filter(
        &self,
        state: &AppState,
        access: &Authorized<act::ReadInstanceAuditEvents>,
    ) -> Result<Result<AuditEventFilter, Problems>, PageError> {
        let mut problems = Problems::default();
        let mut date = |name: &'static str, text: &str| -> Option<Date> {
            let date = parse_date(text);
            if date.is_none() && !text.is_empty() {
                problems.add(name, "is not a date such as 2030-01-31");
            }
            date
        };
        let (from, to) = (date("from", &self.from), date("to", &self.to));
        let token = self.token.parse().ok();
        if token.is_none() && !self.token.is_empty() {
            problems.add("token", "is not the number of a token");
        }
        if !self.kind.is_empty() && !KINDS.contains(&&*self.kind) {
            problems.add("kind", "is none of those");
        }
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let author = match &*self.who {
            "" => None,
            who => Some(audit::find_author(&state.forge, access, who).await?),
        };
        Ok(Ok(AuditEventFilter {
            author,
            event_name: filled(&self.action),
            entity_type: filled(&self.kind),
            entity_path: filled(self.place.trim_matches('/')),
            token: token.map(TokenId),
            created_after: from.map(midnight),
            // To the end of that day.
            created_before: to.and_then(|to| to.tomorrow().ok()).map(|next| midnight(next) - 1),
            ..AuditEventFilter::default()
        }))
    }
}

/// Returns the details of an entry as text.
fn details(text: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else { return String::new() };
    let said = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(value) => format!("{}: {value}", name.replace('_', " ")),
        value => format!("{}: {value}", name.replace('_', " ")),
    });
    said.collect::<Vec<_>>().join(", ").chars().take(MAX_DETAILS_CHARACTERS).collect()
}

struct EventView {
    id: i64,
    when: Moment,
    author: String,
    /// Their page, while there is such a user and it is not the Ghost User.
    author_address: Option<String>,
    badge: Option<&'static str>,
    token: Option<i64>,
    action: String,
    kind: String,
    path: String,
    target: Option<String>,
    address: Option<String>,
    details: String,
}

impl EventView {
    fn of(event: AuditEvent, author: Option<&User>) -> EventView {
        let same = event.target_type == event.entity_type && event.target_id == event.entity_id;
        EventView {
            id: event.id.0,
            when: Moment::at(event.created_at),
            author_address: author
                .filter(|user| user.kind != UserKind::Ghost)
                .map(|user| format!("/admin/users/{}", user.id)),
            badge: match author.map(|user| user.kind) {
                Some(UserKind::ProjectBot) => Some("Bot"),
                Some(UserKind::Ghost) => Some("Deleted"),
                _ => None,
            },
            author: event.author_name,
            token: event.token.map(|token| token.0),
            action: event.event_name.replace('_', " "),
            path: event.entity_path.unwrap_or_default(),
            target: event.target_id.filter(|_| !same).map(|id| format!("{} {id}", event.target_type)),
            kind: event.entity_type,
            address: event.address,
            details: details(&event.details),
        }
    }
}

#[derive(Template)]
#[template(path = "admin_audit.html")]
struct AuditPage {
    around: Around,
    narrowed: bool,
    wrong: bool,
    who: TextField,
    action: TextField,
    kind: SelectField,
    place: TextField,
    token: TextField,
    from: TextField,
    to: TextField,
    events: Vec<EventView>,
    query: String,
    newest: Option<String>,
    older: Option<String>,
    most: String,
}

const ADDRESS: &str = "/admin/audit_log";

/// Answers the log, newest first.
pub async fn list(
    access: Authorized<act::ReadInstanceAuditEvents>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let asked = Asked::of(&around);
    let query = asked.query();
    let before = around.query("before").parse().ok();
    let (mut problems, mut events, mut older) = (Problems::default(), Vec::new(), None);
    match asked.filter(&state, &access).await? {
        Err(wrong) => problems = wrong,
        Ok(filter) => {
            let behind = before.map(|id: i64| Behind { value: id, id });
            let filter = AuditEventFilter { paging: Paging::Keyset(behind), ..filter };
            // One more says whether there is another page.
            let window = Window { limit: 1 + PER_PAGE as i64, offset: 0 };
            let mut found = audit::list_of_instance(&state.forge, &access, &filter, window).await?.items;
            let more = found.len() > PER_PAGE;
            found.truncate(PER_PAGE);
            if let Some(last) = found.last().filter(|_| more) {
                older = Some(format!("{ADDRESS}?{query}&before={}", last.id));
            }
            let authors = audit::authors(&state.forge, &access, &found).await?;
            let author = |event: &AuditEvent| event.author.and_then(|author| authors.get(&author));
            events = found
                .into_iter()
                .map(|event| {
                    let author = author(&event);
                    EventView::of(event, author)
                })
                .collect();
        }
    }
    let field = |name, label, text: &str| TextField::new(name, label).optional().with(text);
    let wrong = !problems.is_empty();
    let page = AuditPage {
        narrowed: !asked.is_empty(),
        wrong,
        who: field("who", "Who", &asked.who),
        action: field("action", "What", &asked.action),
        kind: SelectField {
            name: "kind",
            label: "About",
            hint: "",
            error: problems.with("kind", "It"),
            choices: [("", "Anything")]
                .into_iter()
                .chain(KINDS.map(|kind| (kind, kind)))
                .map(|(value, label)| Choice {
                    value: value.to_owned(),
                    label: label.to_owned(),
                    chosen: value == asked.kind,
                })
                .collect(),
        },
        place: field("place", "Path or username", &asked.place),
        token: field("token", "Token number", &asked.token).wrong(problems.with("token", "It")),
        from: field("from", "From", &asked.from).of_kind("date").wrong(problems.with("from", "It")),
        to: field("to", "To", &asked.to).of_kind("date").wrong(problems.with("to", "It")),
        events,
        newest: before.map(|_| format!("{ADDRESS}?{query}")),
        older,
        query,
        most: format!("{},{:03}", MAX_EXPORTED_EVENTS / 1000, MAX_EXPORTED_EVENTS % 1000),
        around: around.of(&state, access.viewer()).await?,
    };
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(html(status, &page))
}

/// Returns a cell of a table. What a spreadsheet would take for a formula becomes a text, with a quote in front.
fn cell(text: &str) -> String {
    const BEGIN_FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let formula = text.trim_start().starts_with(BEGIN_FORMULAS) || text.starts_with(char::is_control);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

fn csv_line(event: &AuditEvent) -> String {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let cells = [
        event.id.to_string(),
        Moment::at(event.created_at).iso,
        number(event.author.map(|author| author.0)),
        cell(&event.author_name),
        cell(&event.event_name),
        cell(&event.entity_type),
        number(event.entity_id),
        cell(event.entity_path.as_deref().unwrap_or_default()),
        cell(&event.target_type),
        number(event.target_id),
        cell(event.address.as_deref().unwrap_or_default()),
        number(event.token.map(|token| token.0)),
        cell(&event.details),
    ];
    format!("{}\r\n", cells.join(","))
}

fn json_line(event: &AuditEvent) -> String {
    format!("{}\n", api::view(event))
}

/// Answers what the log is narrowed to as a file, written while it is read.
async fn exported(
    state: &AppState,
    access: &Authorized<act::ReadInstanceAuditEvents>,
    around: &Around,
    (kind, ending): (&'static str, &str),
    head: &'static str,
    line: fn(&AuditEvent) -> String,
) -> PageResult {
    let filter = match Asked::of(around).filter(state, access).await? {
        Ok(filter) => filter,
        Err(_) => {
            let said = "The log cannot be narrowed to that. Go back and look at what was typed.";
            return Err(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, said.to_owned()));
        }
    };
    let entries = audit::export(Arc::clone(&state.forge), access, filter)
        .map_ok(move |events| Bytes::from(events.iter().map(line).collect::<String>()));
    let head = (!head.is_empty()).then(|| Ok::<_, Error>(Bytes::from_static(head.as_bytes())));
    let name = format!("attachment; filename=\"audit-log-{}.{ending}\"", date_at(state.forge.now()));
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(kind)), (CONTENT_DISPOSITION, name)];
    let response: Response = (headers, Body::from_stream(stream::iter(head).chain(entries))).into_response();
    Ok(response)
}

/// Answers the log as a table (RFC 4180).
pub async fn csv(
    access: Authorized<act::ReadInstanceAuditEvents>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    exported(&state, &access, &around, ("text/csv; charset=utf-8", "csv"), COLUMNS, csv_line).await
}

/// Answers the log as lines of JSON, each as the API writes an entry.
pub async fn json_lines(
    access: Authorized<act::ReadInstanceAuditEvents>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let kind = ("application/x-ndjson; charset=utf-8", "jsonl");
    exported(&state, &access, &around, kind, "", json_line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            ("maria", "\"maria\""),
            ("a \"b\", c", "\"a \"\"b\"\", c\""),
            ("", "\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("\t=1", "\"'\t=1\""),
            ("\rx", "\"'\rx\""),
            ("＝1", "\"'＝1\""),
            ("a=1", "\"a=1\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }

    #[test]
    fn details_are_read_as_text() {
        for (text, said) in [
            ("{}", ""),
            (r#"{"name":"<b>","access_level":30}"#, "access level: 30, name: <b>"),
            (r#"{"plan":null}"#, ""),
            (r#"{"scopes":["api"]}"#, r#"scopes: ["api"]"#),
            ("no json", ""),
        ] {
            assert_eq!(details(text), said);
        }
    }
}
