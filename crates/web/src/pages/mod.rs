//! The web pages: what people do with a browser.
//!
//! Every page is rendered here, from the use cases that the REST API calls, with the same proofs; so a page can never allow
//! more. Forms work without scripts. The only credential is a session's cookie, and nothing but pages takes that. What a
//! signed-in person may not do is not there (404); whoever is not signed in is asked to, whether there is anything or not.
//!
//! Start reading at [`tokens`], the page that the forge is about.

pub mod account;
pub mod activity;
pub mod admin;
pub mod assets;
mod author;
pub mod compression;
mod confirm;
pub mod cookies;
pub mod dashboard;
pub mod deletion;
pub mod design;
pub mod discussions;
pub mod fields;
pub mod form;
pub mod groups;
pub mod history;
pub mod images;
pub mod issues;
pub mod labels;
pub mod members;
pub mod merge_requests;
pub mod milestones;
pub mod namespaces;
pub mod new_group;
pub mod paths;
pub mod personal_tokens;
mod planning;
pub mod profile;
pub mod project_settings;
pub mod projects;
pub mod refs;
pub mod releases;
pub mod repository;
pub mod same_site;
pub mod second_factor;
pub mod sign_in;
pub mod token;
pub mod tokens;
mod tracked;
pub mod words;

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_app::Error;
use portcullis_app::access::{Origin, Reading, Refused, Viewer, authenticate_session};
use portcullis_app::sessions;
use portcullis_rules::access::Denial;

use crate::AppState;
use crate::client::BaseUrl;
use crate::error::{InternalFailure, chain};
use crate::params::query_pairs;

/// What pages may load and do: what comes from us, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The longest address that somebody is sent back to after signing in.
const MAX_RETURN_BYTES: usize = 2048;

/// The address that was asked for, before it was folded.
#[derive(Clone, Debug)]
pub struct Asked(pub Arc<str>);

impl Asked {
    /// Returns the address of a request.
    pub fn of(uri: &Uri) -> Asked {
        Asked(Arc::from(uri.path_and_query().map_or("/", |asked| asked.as_str())))
    }
}

/// What a handler of a page returns.
pub type PageResult = Result<Response, PageError>;

/// An answer that is no page of what was asked for.
#[derive(Debug)]
pub enum PageError {
    /// Who asks is to sign in first.
    SignIn,
    /// Who asks belongs to a group that requires a second factor, and has none yet.
    SecondFactorFirst,
    /// There is nothing, or not for who asks.
    NotFound,
    /// It is at this address.
    Elsewhere(String),
    /// The address is not asked with this method.
    NoSuchMethod,
    /// What was sent did not come from a page of ours.
    CrossSite,
    /// What was sent is no form of ours.
    NotAForm,
    /// It makes no sense, or cannot be; the text says why.
    Refused(StatusCode, String),
    /// Too much is going on; the same may work after this many seconds.
    Busy(u64),
    /// Something is wrong with the forge.
    Internal(String),
}

impl PageError {
    /// Returns the answer to a refusal of the rules. Who is not signed in cannot tell what is hidden from what is missing,
    /// and who is cannot tell what they may not do from either.
    pub fn refused(refused: &Refused) -> PageError {
        match refused.denial {
            Denial::SignInFirst => PageError::SignIn,
            Denial::NotVisible if refused.viewer.identity().is_none() => PageError::SignIn,
            _ => PageError::NotFound,
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> PageError {
        match error {
            Error::Unauthorized | Error::Refused(Denial::SignInFirst) => PageError::SignIn,
            Error::Refused(_) | Error::NotFound(_) => PageError::NotFound,
            Error::Overloaded(seconds) => PageError::Busy(seconds),
            Error::Internal(source) => PageError::Internal(chain(&*source)),
            Error::Conflict(text) => PageError::Refused(StatusCode::CONFLICT, text),
            Error::Forbidden(text) => PageError::Refused(StatusCode::FORBIDDEN, text),
            Error::Invalid(fields) => PageError::Refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                fields
                    .into_iter()
                    .map(|(field, problem)| format!("{field} {problem}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            other => PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, other.to_string()),
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    around: &'a Around,
    heading: &'a str,
    text: &'a str,
}

/// Marks an answer that sends somebody to sign in, so that the front adds where they came from.
#[derive(Clone, Debug)]
struct ToSignIn;

/// What an answer says that is no page of what was asked for, so that the front can have it said to who is signed in.
#[derive(Clone, Debug)]
struct Said {
    status: StatusCode,
    heading: &'static str,
    text: String,
}

/// Shows on an answer that is no page of what was asked for who is signed in with the secret of a session. Nobody else has
/// anything looked up for them here.
pub async fn show_who(
    response: &mut Response,
    state: &AppState,
    asked: &Asked,
    secret: &str,
    origin: Origin,
) {
    let Some(said) = response.extensions_mut().remove::<Said>() else { return };
    let viewer = authenticate_session(&state.forge, &mut Reading::default(), secret, origin).await;
    let Ok(viewer) = viewer else { return };
    let around = Around { asked: Arc::clone(&asked.0), ..Around::bare() };
    // Should the database not answer now, the page is fine without a name.
    let Ok(around) = around.of(state, &viewer).await else { return };
    let page = ErrorPage { around: &around, heading: said.heading, text: &said.text };
    *response.body_mut() = html(said.status, &page).into_body();
    response.headers_mut().remove(CONTENT_LENGTH);
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut internal = None;
        let mut retry_after = None;
        let (status, heading, text) = match self {
            PageError::SignIn => {
                let mut response = see_other(SIGN_IN);
                response.extensions_mut().insert(ToSignIn);
                return response;
            }
            PageError::SecondFactorFirst => return see_other(second_factor::ADDRESS),
            PageError::Elsewhere(address) => return see_other(&address),
            PageError::NotFound => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "There is nothing at this address, or it is not for you to see.".to_owned(),
            ),
            PageError::NoSuchMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "That does not work here",
                "This address cannot be used like that.".to_owned(),
            ),
            PageError::CrossSite => (
                StatusCode::FORBIDDEN,
                "Not from this page",
                "The request did not come from a page of this forge, so nothing was done. Go back, load the page again, \
                 and try once more."
                    .to_owned(),
            ),
            PageError::NotAForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "That could not be read",
                "What was sent is no form of this page, or too large.".to_owned(),
            ),
            PageError::Refused(status, text) => (status, "That did not work", text),
            PageError::Busy(seconds) => {
                retry_after = Some(seconds);
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Too much is going on",
                    "Please try again in a moment.".to_owned(),
                )
            }
            PageError::Internal(problem) => {
                internal = Some(problem);
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something went wrong",
                    "It is our fault, and it was noted. Please try again in a moment.".to_owned(),
                )
            }
        };
        let around = Around::bare();
        let mut response = html(status, &ErrorPage { around: &around, heading, text: &text });
        if status.is_client_error() {
            response.extensions_mut().insert(Said { status, heading, text });
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(problem) = internal {
            response.extensions_mut().insert(InternalFailure(problem));
        }
        response
    }
}

/// The address of the form to sign in.
pub const SIGN_IN: &str = "/users/sign_in";

/// Returns a page.
pub fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            let mut response = (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong.\n").into_response();
            response.extensions_mut().insert(InternalFailure(error.to_string()));
            response
        }
    }
}

/// Returns the answer that sends a browser on, with a request that changes nothing.
pub fn see_other(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => PageError::NotFound.into_response(),
    }
}

/// Gives every answer of this door its headers, and whoever is to sign in the way back.
pub fn finish(response: &mut Response, asked: &str, method: &Method) {
    if response.extensions_mut().remove::<ToSignIn>().is_some() && *method == Method::GET && asked != "/" {
        let to = format!("{SIGN_IN}?return_to={}", utf8_percent_encode(asked, NON_ALPHANUMERIC));
        if asked.len() <= MAX_RETURN_BYTES
            && let Ok(location) = HeaderValue::from_str(&to)
        {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        // With `no-referrer` a browser would hide the origin of our own forms from us.
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Returns whether somebody with a browser asks.
pub fn wants_a_page(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Returns an address of ours that somebody may be sent back to, or the dashboard.
pub fn safe_return(to: &str) -> &str {
    let ours = to.starts_with('/')
        && !to.starts_with("//")
        && to.len() <= MAX_RETURN_BYTES
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { to } else { "/dashboard" }
}

/// Somebody signed in, as the head of a page shows them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their name in addresses.
    pub username: String,
    /// The first letter of their name.
    pub initial: String,
    /// Whether they administer the instance.
    pub administrator: bool,
}

/// What surrounds the content of a page.
#[derive(Clone, Debug)]
pub struct Around {
    /// Who is signed in.
    pub person: Option<Person>,
    /// What happened just now, said once.
    pub notice: Option<String>,
    /// The start of addresses in what people copy, without a slash at its end.
    pub base: BaseUrl,
    /// The parameters of the address.
    query: Vec<(String, String)>,
    asked: Arc<str>,
}

impl Around {
    fn bare() -> Around {
        Around {
            person: None,
            notice: None,
            base: BaseUrl(Arc::from("")),
            query: Vec::new(),
            asked: Arc::from("/"),
        }
    }

    /// Adds who is signed in and what their page has to say.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(mut self, state: &AppState, viewer: &Viewer) -> Result<Around, PageError> {
        self.person = viewer.identity().map(|identity| Person {
            name: identity.name.clone(),
            username: identity.username.clone(),
            initial: identity.name.chars().next().unwrap_or('?').to_uppercase().collect(),
            administrator: viewer.is_administrator(),
        });
        self.notice = sessions::take_notice(&state.forge, viewer).await?;
        Ok(self)
    }

    /// Returns a parameter of the address.
    pub fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns the number of the page of a list that is asked for, from 1.
    pub fn page(&self, name: &str) -> i64 {
        self.query(name).parse().unwrap_or(1).clamp(1, 100_000)
    }

    /// Returns the name of the style sheet.
    pub fn style(&self) -> &'static str {
        assets::style()
    }

    /// Returns the name of the script.
    pub fn script(&self) -> &'static str {
        assets::script()
    }

    /// Returns the name of the icon.
    pub fn icon(&self) -> &'static str {
        assets::icon()
    }

    /// Returns whether this is the page at an address, whatever its parameters.
    pub fn is_at(&self, path: &str) -> bool {
        self.asked.split('?').next() == Some(path)
    }

    /// Returns whether the page is of a part of the forge that begins here.
    pub fn is_below(&self, start: &str) -> bool {
        self.asked.starts_with(start)
    }
}

impl FromRequestParts<AppState> for Around {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Around, Self::Rejection> {
        let asked =
            parts.extensions.get::<Asked>().map_or_else(|| Arc::from("/"), |asked| Arc::clone(&asked.0));
        Ok(Around {
            base: BaseUrl::of(parts, state.forge.settings()),
            query: query_pairs(parts.uri.query().unwrap_or_default()),
            asked,
            ..Around::bare()
        })
    }
}

/// Where a list stands, and the ways to its other pages.
#[derive(Clone, Debug)]
pub struct Pages {
    /// Which page it is, from 1.
    pub number: i64,
    /// How many there are.
    pub count: i64,
    /// The address of the page before.
    pub previous: Option<String>,
    /// The address of the page behind.
    pub next: Option<String>,
}

impl Pages {
    /// Returns the ways from page `number` of a list with `total` rows; `address` makes the address of a page.
    pub fn of(number: i64, per_page: i64, total: i64, address: impl Fn(i64) -> String) -> Option<Pages> {
        let count = (total + per_page - 1) / per_page;
        (count > 1).then(|| Pages {
            number,
            count,
            previous: (number > 1).then(|| address((number - 1).min(count))),
            next: (number < count).then(|| address(number + 1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_host() {
        assert_eq!(safe_return("/g/app?x=1"), "/g/app?x=1");
        for to in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:x",
            "/a\nb",
            "/é",
            "/a b",
        ] {
            assert_eq!(safe_return(to), "/dashboard", "{to}");
        }
    }
}
