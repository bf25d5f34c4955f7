//! What happened in a project: its feed, newest first.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::records::events::{Event, EventFilter};
use portcullis_app::records::select::Window;
use portcullis_app::{Error, events};
use portcullis_rules::access::act;
use portcullis_rules::id::TokenId;
use serde_json::Value;

use super::author::Author;
use super::projects::Head;
use super::words::Moment;
use super::{Around, PageResult, Pages, html};
use crate::AppState;
use crate::pagination::encoded_path;

/// How many events a page shows.
const PER_PAGE: i64 = 30;

/// How much of a comment is shown, in characters.
const QUOTED_CHARACTERS: usize = 200;

/// What happened, in words: `pushed 2 commits to`, then the thing with its address, then what it is called.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    verb: String,
    thing: String,
    /// Where the thing is, if there is a page of it.
    address: Option<String>,
    title: String,
    /// The title of the last commit of a push, or the beginning of a comment; with the address of the commit.
    quote: Option<(String, Option<String>)>,
}

/// What the events of a project lead to.
struct Places<'a> {
    /// The path of the project.
    project: &'a str,
    shows_code: bool,
    shows_images: bool,
}

impl Places<'_> {
    fn of<'a>(state: &AppState, access: &'a Authorized<act::ReadEvents>) -> Places<'a> {
        Places {
            project: &access.place().full_path,
            shows_code: access.also::<act::ReadCode>().is_ok(),
            shows_images: state.forge.settings().container_registry
                && access.also::<act::ReadContainerRepositories>().is_ok(),
        }
    }

    fn address(&self, rest: &str) -> Option<String> {
        Some(format!("/{}/-/{rest}", self.project))
    }

    fn tell(&self, event: &Event) -> Told {
        let details: Value =
            event.details.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        let title = event.target_title.clone().unwrap_or_default();
        let action = event.action.as_str();
        let numbered = |kind: &str, sign: char, page: &str| {
            let iid = event.target_iid.unwrap_or_default();
            let verb = match action {
                "accepted" => "merged",
                other => other,
            };
            Told {
                verb: format!("{verb} {kind}"),
                thing: format!("{sign}{iid}"),
                address: self.address(&format!("{page}/{iid}")),
                title: title.clone(),
                quote: None,
            }
        };
        match event.target_type.as_deref() {
            None if details["ref_type"].is_string() => self.tell_push(action, &details),
            None if action == "created" => Told { verb: "created the project".to_owned(), ..Told::default() },
            None => Told { verb: format!("{action} the project"), ..Told::default() },
            Some("Issue") => numbered("issue", '#', "issues"),
            Some("MergeRequest") => numbered("merge request", '!', "merge_requests"),
            Some("Note") => {
                let note = &details["note"];
                let told = match note["noteable_type"].as_str() {
                    Some("MergeRequest") => numbered("merge request", '!', "merge_requests"),
                    _ => numbered("issue", '#', "issues"),
                };
                let anchor = note["id"].as_i64().map(|id| format!("#note_{id}")).unwrap_or_default();
                let body = note["body"].as_str().unwrap_or_default();
                Told {
                    address: told.address.map(|address| address + &anchor),
                    quote: quoted(body).map(|text| (text, None)),
                    ..told
                }
            }
            Some("Release") => Told {
                verb: format!("{action} release"),
                thing: title,
                address: self.address("releases"),
                ..Told::default()
            },
            Some("ContainerImage") => Told {
                verb: format!("{action} image"),
                thing: title,
                address: (self.shows_images && action == "pushed")
                    .then(|| self.address("container_registry"))
                    .flatten(),
                ..Told::default()
            },
            Some(kind) => {
                Told { verb: format!("{action} {}", kind.to_lowercase()), thing: title, ..Told::default() }
            }
        }
    }

    fn tell_push(&self, action: &str, details: &Value) -> Told {
        let kind = details["ref_type"].as_str().unwrap_or_default();
        let name = details["ref"].as_str().unwrap_or_default();
        let verb = match (action, details["commit_count"].as_i64()) {
            ("pushed to", Some(1)) => "pushed 1 commit to".to_owned(),
            ("pushed to", Some(count @ 2..)) => format!("pushed {count} commits to"),
            ("pushed to", _) => format!("pushed to {kind}"),
            (action, _) => format!("{action} {kind}"),
        };
        let gone = action == "deleted";
        let shown = self.shows_code && !gone;
        let commit = details["commit_to"].as_str().filter(|_| shown);
        let quote = details["commit_title"].as_str().filter(|_| shown).and_then(quoted);
        Told {
            verb,
            thing: name.to_owned(),
            address: shown.then(|| self.address(&format!("tree/{}", encoded_path(name)))).flatten(),
            title: String::new(),
            quote: quote.map(|text| (text, commit.and_then(|id| self.address(&format!("commit/{id}"))))),
        }
    }
}

/// Returns the beginning of a text, on one line.
fn quoted(text: &str) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(QUOTED_CHARACTERS).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

struct EventView {
    author: Author,
    told: Told,
    when: Moment,
    /// The path of the project, where it is not that of the page.
    project: Option<String>,
}

/// What happened, in words.
#[derive(Template)]
#[template(path = "parts/feed.html")]
pub struct Feed {
    events: Vec<EventView>,
    pages: Option<Pages>,
}

impl Feed {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    around: Around,
    head: Head,
    feed: Feed,
}

/// Answers what happened in a project.
pub async fn list(
    access: Authorized<act::ReadEvents>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let (head, _) = Head::of(&state, &access, "activity", &["Activity"]).await?;
    let address = format!("/{}/-/activity?page=", head.full_path);
    let filter = EventFilter::default();
    let feed = feed(&state, &access, &filter, around.page("page"), &address).await?;
    let page = ActivityPage { around: around.of(&state, access.viewer()).await?, head, feed };
    Ok(html(StatusCode::OK, &page))
}

/// Returns a page of what happened in a project, in words; the number of a page behind `address` makes its address.
pub(super) async fn feed(
    state: &AppState,
    access: &Authorized<act::ReadEvents>,
    filter: &EventFilter,
    number: i64,
    address: &str,
) -> Result<Feed, Error> {
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = events::list(&state.forge, access, filter, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| format!("{address}{page}"));
    let places = Places::of(state, access);
    let events = found.items.iter().map(|event| EventView {
        author: Author::of(&event.author),
        told: places.tell(event),
        when: Moment::at(event.created_at),
        project: None,
    });
    Ok(Feed { events: events.collect(), pages })
}

/// Returns a page of what was done with a token of a group in projects below it, likewise.
pub(super) async fn feed_of_group_token(
    state: &AppState,
    access: &Authorized<act::ListGroupAccessTokens>,
    token: TokenId,
    number: i64,
    address: &str,
) -> Result<Feed, Error> {
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let (found, projects) = events::list_of_group_token(&state.forge, access, token, window).await?;
    let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |page| format!("{address}{page}"));
    let events = found.items.iter().filter_map(|event| {
        let places = Places::of(state, projects.iter().find(|access| access.project() == event.project)?);
        Some(EventView {
            author: Author::of(&event.author),
            told: places.tell(event),
            when: Moment::at(event.created_at),
            project: Some(places.project.to_owned()),
        })
    });
    Ok(Feed { events: events.collect(), pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places<'static> = Places { project: "g/app", shows_code: true, shows_images: true };

    #[test]
    fn a_push_is_told_with_its_commits() {
        let push = |count: i64| {
            serde_json::json!({
                "ref_type": "branch", "ref": "fix/a b", "commit_count": count, "commit_to": "abc", "commit_title": "Mend it",
            })
        };
        let told = PLACES.tell_push("pushed to", &push(2));
        assert_eq!((told.verb.as_str(), told.thing.as_str()), ("pushed 2 commits to", "fix/a b"));
        assert_eq!(told.address.as_deref(), Some("/g/app/-/tree/fix/a%20b"));
        let quote = ("Mend it".to_owned(), Some("/g/app/-/commit/abc".to_owned()));
        assert_eq!(told.quote, Some(quote));
        assert_eq!(PLACES.tell_push("pushed to", &push(1)).verb, "pushed 1 commit to");
        assert_eq!(PLACES.tell_push("pushed to", &push(0)).verb, "pushed to branch");
        assert_eq!(PLACES.tell_push("pushed new", &push(1)).verb, "pushed new branch");
        let gone = PLACES.tell_push("deleted", &push(0));
        assert_eq!((gone.verb.as_str(), gone.address, gone.quote), ("deleted branch", None, None));
        // Who may not read the code is led nowhere and told no title.
        let told = Places { shows_code: false, ..PLACES }.tell_push("pushed to", &push(2));
        assert_eq!((told.address, told.quote), (None, None));
    }

    #[test]
    fn a_long_comment_is_cut_and_stands_on_one_line() {
        assert_eq!(quoted("a\n\n b").as_deref(), Some("a b"));
        assert_eq!(quoted(" \n"), None);
        assert_eq!(quoted(&"é".repeat(500)).unwrap().chars().count(), QUOTED_CHARACTERS + 1);
    }
}
