//! The caller's own account: where they are signed in, and their password.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use portcullis_app::access::{Authorized, Identity};
use portcullis_app::sessions::{self, SignInRefusal};
use portcullis_rules::access::act;
use portcullis_rules::id::SessionId;

use super::fields::{Problems, TextField};
use super::form::Form;
use super::sign_in::{new_password_fields, signed_out, too_many};
use super::words::Moment;
use super::{Around, PageError, PageResult, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};

/// The address of the list of sessions.
const SESSIONS: &str = "/-/user_settings/sessions";

struct SessionView {
    id: i64,
    own: bool,
    browser: String,
    address: String,
    begun: Moment,
    used: Moment,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    around: Around,
    days: u32,
    idle_hours: u32,
    sessions: Vec<SessionView>,
}

/// Returns what a browser is called by people, from what it calls itself.
fn browser(user_agent: &str) -> String {
    const NAMES: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| user_agent.contains(word)).map(|(_, name)| *name)
    };
    match (find(&NAMES), find(&SYSTEMS)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        (None, _) if user_agent.is_empty() => "Unknown browser".to_owned(),
        (None, _) => user_agent.chars().take(60).collect(),
    }
}

/// Answers where the caller is signed in.
pub async fn sessions(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let own = access.viewer().identity().and_then(Identity::session);
    let sessions = sessions::list(&state.forge, &access).await?;
    let sessions = sessions
        .into_iter()
        .map(|session| SessionView {
            id: session.id.0,
            own: Some(session.id) == own,
            browser: browser(&session.user_agent),
            address: session.address.unwrap_or_else(|| "an unknown address".to_owned()),
            begun: Moment::at(session.created_at),
            used: Moment::at(session.last_used_at),
        })
        .collect();
    let settings = state.forge.settings();
    let (days, idle_hours) = (settings.session_days, settings.session_idle_hours);
    let around = around.of(&state, access.viewer()).await?;
    Ok(html(StatusCode::OK, &SessionsPage { around, days, idle_hours, sessions }))
}

/// Ends a session of the caller.
pub async fn end_session(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    path: PathParts,
    parts: Parts,
    _form: Form,
) -> PageResult {
    let id = path_text(&path, "session_id").parse().map_err(|_| PageError::NotFound)?;
    sessions::end(&state.forge, &access, SessionId(id)).await?;
    if access.viewer().identity().and_then(Identity::session) == Some(SessionId(id)) {
        return Ok(signed_out(&state, &parts, "signed_out"));
    }
    sessions::set_notice(&state.forge, access.viewer(), "The session was ended.").await?;
    Ok(see_other(SESSIONS))
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    around: Around,
    current: TextField,
    password: TextField,
    again: TextField,
}

fn page(around: Around, problems: &Problems) -> PasswordPage {
    let (password, again) = new_password_fields(problems);
    let current = TextField::new("current_password", "Current password")
        .of_kind("password")
        .completed_by("current-password")
        .wrong(problems.with("current", "It"));
    PasswordPage { around, current, password, again }
}

/// Returns what is wrong with a form in which the caller gives their password, in the field `password`.
pub(super) fn problems_of(refusal: SignInRefusal, password: &'static str) -> Result<Problems, PageError> {
    let mut problems = Problems::default();
    match refusal {
        SignInRefusal::Wrong | SignInRefusal::StartAgain => problems.add(password, "is not your password"),
        SignInRefusal::Invalid(fields) => problems = Problems::of(fields),
        SignInRefusal::Throttled(seconds) => {
            problems.add(password, format!("was not looked at. {}", too_many(seconds)));
        }
        SignInRefusal::Internal(error) => return Err(error.into()),
    }
    Ok(problems)
}

/// Answers the form to change the password.
pub async fn password_form(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let around = around.of(&state, access.viewer()).await?;
    Ok(html(StatusCode::OK, &page(around, &Problems::default())))
}

/// Changes the password.
pub async fn change_password(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let mut problems = Problems::default();
    let new = form.text("new_password");
    if new == form.text("new_password_again") {
        match sessions::change_password(&state.forge, &access, form.text("current_password"), new).await {
            Ok(()) => {
                let said = "Your password was changed, and you were signed out everywhere else.";
                sessions::set_notice(&state.forge, access.viewer(), said).await?;
                return Ok(see_other("/-/user_settings/password"));
            }
            Err(refusal) => problems = problems_of(refusal, "current")?,
        }
    } else {
        problems.add("again", "is not the same");
    }
    let around = around.of(&state, access.viewer()).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page(around, &problems)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_what_people_call_it() {
        for (text, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
                "Safari on macOS",
            ),
            ("", "Unknown browser"),
            ("curl/8.1", "curl/8.1"),
        ] {
            assert_eq!(browser(text), expected);
        }
    }
}
