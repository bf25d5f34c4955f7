//! The REST API below `/api/v4`, in the shapes that GitLab's clients expect: one file for each noun.

pub mod archives;
pub mod audit_events;
pub mod award_emoji;
pub mod branches;
pub mod commit_statuses;
pub mod commits;
pub mod comparison;
pub mod container_repositories;
pub mod container_tag_rules;
pub mod container_tags;
pub mod discussions;
pub mod events;
pub mod files;
pub mod groups;
pub mod issue_links;
pub mod issues;
pub mod labels;
pub mod members;
pub mod merge_request_changes;
pub mod merge_requests;
pub mod merges;
pub mod milestones;
pub mod namespaces;
pub mod notes;
pub mod openapi;
pub mod packages;
pub mod personal_tokens;
pub mod pipelines;
pub mod projects;
pub mod protected_branches;
pub mod protected_tags;
pub mod releases;
pub mod repository_changes;
pub mod search;
pub mod statistics;
pub mod subscriptions;
pub mod tags;
pub mod terraform_states;
pub mod time_tracking;
pub mod todos;
pub mod tokens;
pub mod trees;
pub mod uploads;
pub mod usage_data;
pub mod users;
pub mod version;
pub mod webhooks;

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, extract};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_app::records::select::{Listing, Window};
use portcullis_rules::token::date_at;
use serde::Serialize;

use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::openapi::observed::Observer;
use crate::openapi::parameters::Kind;
use crate::pagination::{Page, PageLinks, behind, paginated, uncounted};
use crate::params::Reader;

/// What a handler answers.
pub type ApiResult = Result<Response, ApiError>;

/// Returns a time as GitLab writes it: UTC, with milliseconds and `Z`.
///
/// It is written digit by digit, because it stands several times in every answer.
pub fn time(micros: i64) -> String {
    let Ok(time) = Timestamp::from_microsecond(micros) else { return String::new() };
    let time = TimeZone::UTC.to_datetime(time);
    let mut text = String::with_capacity(24);
    let mut digits = |number: i32, places: u32, after: char| {
        for place in (0..places).rev() {
            let digit = number.unsigned_abs() / 10u32.pow(place) % 10;
            text.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        text.push(after);
    };
    digits(time.year().into(), 4, '-');
    digits(time.month().into(), 2, '-');
    digits(time.day().into(), 2, 'T');
    digits(time.hour().into(), 2, ':');
    digits(time.minute().into(), 2, ':');
    digits(time.second().into(), 2, '.');
    digits(time.millisecond().into(), 3, 'Z');
    text
}

/// Returns the date of a midnight UTC, as `2026-01-31`.
pub fn date(micros: i64) -> String {
    date_at(micros).to_string()
}

/// The request's surroundings that answers are made with: where links lead, and which page was asked for.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The start of every link.
    pub base: BaseUrl,
    page: Page,
    links: PageLinks,
    observer: Observer,
}

impl FromRequestParts<AppState> for Surroundings {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let base = BaseUrl::of(parts, state.forge.settings());
        let (page, pages) = (Page::of(parts), BaseUrl::of_pages(parts, state.forge.settings()));
        let links = PageLinks::of(parts, &pages);
        Ok(Surroundings { base, page, links, observer: Observer::of(parts) })
    }
}

impl Surroundings {
    /// Returns the window of the page that was asked for.
    pub fn window(&self) -> Window {
        self.observer.read("page", || Kind::Integer);
        self.observer.read("per_page", || Kind::Integer);
        self.page.window()
    }

    /// Returns a page of a list.
    pub fn page<T: Serialize>(&self, listing: Listing<T>) -> Response {
        paginated(self.page, &self.links, listing)
    }

    /// Returns a page of a list that nobody has counted.
    pub fn page_uncounted<T: Serialize>(&self, items: Vec<T>, more: bool) -> Response {
        uncounted(self.page, &self.links, items, more)
    }

    /// Returns the address of a project's page, which the addresses of what is in it begin with.
    pub fn web_url(&self, full_path: &str) -> String {
        format!("{}/{full_path}", self.base.0)
    }

    /// Returns a page of a list whose next page begins behind what the parameter `name` says; `last` is `None` when the
    /// page is not full, because nothing is behind it.
    pub fn page_keyset<T: Serialize>(&self, items: Vec<T>, name: &str, last: Option<&str>) -> Response {
        let full = i64::try_from(items.len()).unwrap_or(0) >= self.page.size;
        behind(self.page, &self.links, items, name, last.filter(|_| full))
    }

    /// Returns a page of a list that is gone through by what stands last on each page.
    pub fn page_behind<T: Serialize>(&self, items: Vec<T>, last: Option<&str>) -> Response {
        behind(self.page, &self.links, items, "last", last)
    }

    /// Returns a page of a list that is gone through by a token for the place behind each page.
    pub fn page_behind_token<T: Serialize>(&self, items: Vec<T>, token: Option<&str>) -> Response {
        behind(self.page, &self.links, items, "page_token", token)
    }
}

/// Reads whether a list is to be gone through by what stands last on each page, which can be done only in some orders: the
/// first of them is taken when none is asked for.
///
/// # Errors
/// When the order that is asked for is none of them.
pub fn reads_keyset(read: &mut Reader<'_>, orders: &[&str]) -> Result<bool, ApiError> {
    let keyset = read.allowed("pagination", &["keyset", "legacy"]).as_deref() == Some("keyset");
    let order = read.filled_text("order_by");
    if keyset && order.is_some_and(|order| !orders.contains(&order.as_str())) {
        return Err(ApiError::no_keyset());
    }
    Ok(keyset)
}

/// Returns `201 Created` with a body.
pub fn created(body: impl Serialize) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

/// Returns `200 OK` with a body.
pub fn ok(body: impl Serialize) -> Response {
    Json(body).into_response()
}

/// Returns JSON that is written already.
pub fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// Returns the body of an answer to `HEAD` whose length with `GET` nobody has computed: nothing is said about it, where an
/// empty body would say that it is 0.
pub fn unmeasured() -> Body {
    Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())
}

/// Returns `204 No Content`.
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Returns `202 Accepted` in GitLab's words.
pub fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(serde_json::json!({ "message": "202 Accepted" }))).into_response()
}

/// Marks an answer that shows a secret: nothing may keep it.
pub fn never_kept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The ids and names in a path beside the place itself, as texts; a name that cannot be is simply not found.
pub type PathParts = extract::RawPathParams;

/// Returns the part of a path with this name. One with a NUL character names nothing.
pub fn path_text<'a>(parts: &'a PathParts, name: &str) -> &'a str {
    parts
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| !value.contains('\0'))
        .unwrap_or("")
}

/// Returns the number in a path, or the answer to one that is none.
///
/// # Errors
/// `404`, as for a number that nothing has.
pub fn path_number(parts: &PathParts, name: &str, what: &str) -> Result<i64, ApiError> {
    path_text(parts, name).parse().map_err(|_| ApiError::not_found(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        assert_eq!(time(1_769_872_245_080_999), "2026-01-31T15:10:45.080Z");
        assert_eq!(date(1_769_872_245_080_999), "2026-01-31");
    }
}
