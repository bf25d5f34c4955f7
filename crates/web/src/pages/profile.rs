//! What the caller is called.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::{Error, people, sessions};
use portcullis_rules::access::act;

use super::fields::{Problems, TextField};
use super::form::Form;
use super::{Around, PageError, PageResult, html, see_other};
use crate::AppState;

/// The address of the page.
const PROFILE: &str = "/-/user_settings/profile";

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    around: Around,
    name: TextField,
    username: String,
    email: String,
}

async fn page(
    state: &AppState,
    access: &Authorized<act::AdministerOwnAccount>,
    around: Around,
    typed: Option<&str>,
    problems: &Problems,
) -> Result<ProfilePage, PageError> {
    let user = people::get_own(&state.forge, &access.also()?).await?;
    Ok(ProfilePage {
        name: TextField::new("name", "Name")
            .hint("What people read beside what you do.")
            .completed_by("name")
            .with(typed.unwrap_or(&user.name))
            .wrong(problems.with("name", "The name")),
        around: around.of(state, access.viewer()).await?,
        username: user.username,
        email: user.email,
    })
}

/// Answers the form.
pub async fn form(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page(&state, &access, around, None, &Problems::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Changes the caller's name.
pub async fn update(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let name = form.text("name").trim();
    match people::rename_own(&state.forge, &access, name).await {
        Ok(user) => {
            let said = format!("Saved. You are called {} now.", user.name);
            sessions::set_notice(&state.forge, access.viewer(), &said).await?;
            Ok(see_other(PROFILE))
        }
        Err(Error::Invalid(fields)) => {
            let page = page(&state, &access, around, Some(name), &Problems::of(fields)).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => Err(error.into()),
    }
}
