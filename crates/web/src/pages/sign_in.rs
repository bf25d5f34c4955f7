//! Signing in and out, and choosing a password by a link.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_app::access::{Reading, Viewer};
use portcullis_app::sessions::{self, SignInRefusal, SignedIn};

use super::fields::{Problems, TextField};
use super::form::Form;
use super::{Around, PageError, PageResult, SIGN_IN, cookies, html, safe_return, see_other};
use crate::AppState;
use crate::door::Door;
use crate::error::Refusal;
use crate::guard::{self, Access, Guard};

/// The address of the question for a code.
const CODE: &str = "/users/two_factor";

/// How long a browser keeps what says that the password was right, in seconds. The forge forgets it after as long.
const PENDING_SECONDS: u64 = 10 * 60;

/// Whoever comes to a page that is there before one is signed in.
#[derive(Debug)]
pub struct Visitor(pub Viewer);

impl Guard for Visitor {
    const ACCESS: Access =
        Access::Public("whoever signs in has no session yet, and it says nothing of what is here");
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Visitor, Refusal> {
        guard::viewer(parts, state, &mut Reading::default(), Door::Pages).await.map(Visitor)
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    around: Around,
    problem: Option<String>,
    news: Option<&'static str>,
    login: TextField,
    password: TextField,
    return_to: String,
}

impl SignInPage {
    fn new(around: Around, login: &str, return_to: &str) -> SignInPage {
        SignInPage {
            around,
            problem: None,
            news: None,
            login: TextField::new("login", "Username or email").completed_by("username").with(login),
            password: TextField::new("password", "Password")
                .of_kind("password")
                .completed_by("current-password"),
            return_to: return_to.to_owned(),
        }
    }
}

/// Answers the form to sign in; who is signed in already goes on.
pub async fn form(visitor: Visitor, around: Around) -> PageResult {
    let return_to = around.query("return_to").to_owned();
    if visitor.0.identity().is_some() {
        return Ok(see_other(safe_return(&return_to)));
    }
    let news = match around.query("news") {
        "signed_out" => Some("You are signed out."),
        "password_chosen" => Some("Your password is set. Sign in with it."),
        "start_again" => Some("It took too long, or there were too many wrong codes. Please sign in again."),
        "password_changed" => Some("Your password was changed. Sign in with the new one."),
        _ => None,
    };
    let page = SignInPage { news, ..SignInPage::new(around, "", &return_to) };
    Ok(html(StatusCode::OK, &page))
}

/// Returns what somebody reads who has to wait.
pub(super) fn too_many(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60);
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    format!("There were too many attempts. Try again in {minutes} {unit}.")
}

/// Returns what a browser calls itself.
fn browser(parts: &Parts) -> &str {
    parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Signs somebody in, or has them asked for a code.
pub async fn sign_in(
    visitor: Visitor,
    State(state): State<AppState>,
    around: Around,
    parts: Parts,
    form: Form,
) -> PageResult {
    let (login, return_to) = (form.text("login"), form.text("return_to"));
    let password = form.text("password");
    let signed_in = sessions::sign_in(&state.forge, &visitor.0, login, password, browser(&parts)).await;
    let mut page = SignInPage::new(around, login, return_to);
    let (status, wait) = match signed_in {
        Ok(SignedIn::Session(secret)) => {
            let mut response = see_other(safe_return(return_to));
            let cookie = cookies::give_session(&parts, state.forge.settings(), secret.reveal());
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
            return Ok(response);
        }
        Ok(SignedIn::CodeWanted(secret)) => {
            let to = utf8_percent_encode(safe_return(return_to), NON_ALPHANUMERIC);
            let mut response = see_other(&format!("{CODE}?return_to={to}"));
            let cookie =
                cookies::PENDING.give(&parts, state.forge.settings(), secret.reveal(), PENDING_SECONDS);
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
            return Ok(response);
        }
        Err(SignInRefusal::Throttled(seconds)) => {
            page.problem = Some(too_many(seconds));
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds))
        }
        Err(SignInRefusal::Internal(error)) => return Err(error.into()),
        Err(SignInRefusal::Wrong | SignInRefusal::StartAgain | SignInRefusal::Invalid(_)) => {
            page.problem = Some("That did not work. Check the name and the password.".to_owned());
            (StatusCode::UNPROCESSABLE_ENTITY, None)
        }
    };
    let mut response = html(status, &page);
    response.headers_mut().extend(wait.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
    Ok(response)
}

#[derive(Template)]
#[template(path = "sign_in_code.html")]
struct CodePage {
    around: Around,
    problem: Option<String>,
    code: TextField,
    return_to: String,
}

impl CodePage {
    fn new(around: Around, return_to: &str) -> CodePage {
        let code = TextField::new("code", "Code")
            .hint("The six digits that your authenticator shows now, or one of your recovery codes.")
            .completed_by("one-time-code");
        CodePage { around, problem: None, code, return_to: return_to.to_owned() }
    }
}

/// Answers the question for a code.
pub async fn code_form(
    visitor: Visitor,
    State(state): State<AppState>,
    around: Around,
    parts: Parts,
) -> PageResult {
    let return_to = around.query("return_to").to_owned();
    if visitor.0.identity().is_some() {
        return Ok(see_other(safe_return(&return_to)));
    }
    if cookies::PENDING.read(&parts, state.forge.settings()).is_none() {
        return Ok(see_other(SIGN_IN));
    }
    Ok(html(StatusCode::OK, &CodePage::new(around, &return_to)))
}

/// Signs somebody in who gave the right password before.
pub async fn sign_in_with_code(
    visitor: Visitor,
    State(state): State<AppState>,
    around: Around,
    parts: Parts,
    form: Form,
) -> PageResult {
    let settings = state.forge.settings();
    let pending = cookies::PENDING.read(&parts, settings).unwrap_or_default();
    let (code, return_to) = (form.text("code"), form.text("return_to"));
    let signed_in =
        sessions::sign_in_with_code(&state.forge, &visitor.0, &pending, code, browser(&parts)).await;
    let mut page = CodePage::new(around, return_to);
    let (status, wait) = match signed_in {
        Ok(secret) => {
            let mut response = see_other(safe_return(return_to));
            let cookies = [
                cookies::give_session(&parts, settings, secret.reveal()),
                cookies::PENDING.take_away(&parts, settings),
            ];
            for cookie in cookies.into_iter().flatten() {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            return Ok(response);
        }
        Err(SignInRefusal::StartAgain | SignInRefusal::Invalid(_)) => {
            return Ok(see_other(&format!("{SIGN_IN}?news=start_again")));
        }
        Err(SignInRefusal::Throttled(seconds)) => {
            page.problem = Some(too_many(seconds));
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds))
        }
        Err(SignInRefusal::Internal(error)) => return Err(error.into()),
        Err(SignInRefusal::Wrong) => {
            page.problem =
                Some("That did not work. Each code is good once, and for half a minute.".to_owned());
            (StatusCode::UNPROCESSABLE_ENTITY, None)
        }
    };
    let mut response = html(status, &page);
    response.headers_mut().extend(wait.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
    Ok(response)
}

/// Signs somebody out.
pub async fn sign_out(
    visitor: Visitor,
    State(state): State<AppState>,
    parts: Parts,
    _form: Form,
) -> PageResult {
    sessions::sign_out(&state.forge, &visitor.0).await?;
    Ok(signed_out(&state, &parts, "signed_out"))
}

/// Returns the answer to somebody whose session ended.
pub(super) fn signed_out(state: &AppState, parts: &Parts, news: &str) -> Response {
    let mut response = see_other(&format!("{SIGN_IN}?news={news}"));
    let cookie = cookies::SESSION.take_away(parts, state.forge.settings());
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}

#[derive(Template)]
#[template(path = "choose_password.html")]
struct ChoosePage {
    around: Around,
    /// For whom the link is, while it is good.
    username: Option<String>,
    secret: String,
    password: TextField,
    again: TextField,
}

/// Returns the fields in which a new password is typed, twice.
pub(super) fn new_password_fields(problems: &Problems) -> (TextField, TextField) {
    let field = |name, label| TextField::new(name, label).of_kind("password").completed_by("new-password");
    (
        field("new_password", "New password")
            .hint("At least 8 characters. A long sentence is easier to remember than a short riddle.")
            .wrong(problems.with("password", "It")),
        field("new_password_again", "New password, once more").wrong(problems.with("again", "It")),
    )
}

async fn choosing(
    state: &AppState,
    around: Around,
    secret: &str,
    problems: &Problems,
) -> Result<Response, PageError> {
    let username = sessions::find_link(&state.forge, secret).await?;
    let (password, again) = new_password_fields(problems);
    let good = username.is_some();
    let page = ChoosePage { around, username, secret: secret.to_owned(), password, again };
    let status = match (good, problems.is_empty()) {
        (false, _) => StatusCode::NOT_FOUND,
        (true, true) => StatusCode::OK,
        (true, false) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok(html(status, &page))
}

/// Answers the form to choose a password.
pub async fn password_form(_: Visitor, State(state): State<AppState>, around: Around) -> PageResult {
    let secret = around.query("reset_password_token").to_owned();
    choosing(&state, around, &secret, &Problems::default()).await
}

/// Chooses a password.
pub async fn choose_password(
    visitor: Visitor,
    State(state): State<AppState>,
    around: Around,
    parts: Parts,
    form: Form,
) -> PageResult {
    let secret = form.text("reset_password_token");
    let mut problems = Problems::default();
    if form.text("new_password") != form.text("new_password_again") {
        problems.add("again", "is not the same");
        return choosing(&state, around, secret, &problems).await;
    }
    let new = form.text("new_password");
    match sessions::choose_password(&state.forge, secret, new, visitor.0.origin()).await {
        Ok(()) => Ok(signed_out(&state, &parts, "password_chosen")),
        Err(SignInRefusal::Invalid(fields)) => choosing(&state, around, secret, &Problems::of(fields)).await,
        Err(SignInRefusal::Internal(error)) => Err(error.into()),
        Err(SignInRefusal::Wrong | SignInRefusal::StartAgain | SignInRefusal::Throttled(_)) => {
            choosing(&state, around, "", &Problems::default()).await
        }
    }
}
