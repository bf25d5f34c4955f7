//! The caller's second factor: setting it up, its recovery codes, taking it away.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use portcullis_app::access::Authorized;
use portcullis_app::second_factor::{self, Setup};
use portcullis_app::sessions;
use portcullis_rules::access::act;
use qrcode::{Color, QrCode};

use super::account::problems_of;
use super::fields::{Problems, TextField};
use super::form::Form;
use super::words::Moment;
use super::{Around, PageError, PageResult, html, see_other};
use crate::AppState;

/// The address of the page.
pub const ADDRESS: &str = "/-/user_settings/two_factor";

/// How many modules of nothing stand around a code, as its standard (ISO/IEC 18004) asks for.
const QUIET: usize = 4;

/// Returns whether an address is open to somebody who has yet to set their second factor up: this page, and the way out.
pub fn is_open_without(path: &str) -> bool {
    path == ADDRESS || path.starts_with("/users/")
}

/// A picture that an authenticator reads.
struct Picture {
    /// How many modules it is wide and high.
    size: usize,
    /// The dark ones, as the path of an SVG.
    path: String,
}

impl Picture {
    fn of(text: &str) -> Option<Picture> {
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (row, modules) in code.to_colors().chunks(width).enumerate() {
            let mut at = 0;
            while let Some(start) = modules.iter().skip(at).position(|module| *module == Color::Dark) {
                let start = at + start;
                let length = modules.iter().skip(start).take_while(|module| **module == Color::Dark).count();
                path.push_str(&format!("M{} {}h{length}v1h-{length}z", start + QUIET, row + QUIET));
                at = start + length;
            }
        }
        Some(Picture { size: width + 2 * QUIET, path })
    }
}

/// What there is to copy into an authenticator.
struct SetupView {
    sealed: String,
    /// In parts of four.
    secret: String,
    picture: Option<Picture>,
    code: TextField,
}

#[derive(Template)]
#[template(path = "two_factor.html")]
struct SecondFactorPage {
    around: Around,
    since: Option<Moment>,
    recovery_codes: i64,
    required_by: Option<String>,
    setup: Option<SetupView>,
    password: TextField,
    /// Codes that were made just now.
    fresh: Vec<String>,
}

/// Returns what the forge is called in an authenticator: the name of its host.
fn issuer(around: &Around) -> &str {
    let host = around.base.0.split_once("://").map_or("", |(_, host)| host);
    host.split('/').next().filter(|host| !host.is_empty()).unwrap_or("Portcullis")
}

async fn page(
    state: &AppState,
    access: &Authorized<act::AdministerOwnAccount>,
    around: Around,
    setup: Option<Setup>,
    problems: &Problems,
    fresh: Vec<String>,
) -> Result<SecondFactorPage, PageError> {
    let standing = second_factor::standing(&state.forge, access).await?;
    let setup = match (standing.since, setup) {
        (Some(_), _) => None,
        (None, Some(setup)) => Some(setup),
        (None, None) => Some(second_factor::begin(&state.forge, access, issuer(&around))?),
    };
    let setup = setup.map(|setup| SetupView {
        picture: Picture::of(&setup.address),
        secret: setup.secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "),
        sealed: setup.sealed,
        code: TextField::new("code", "Code")
            .hint("The six digits that the authenticator shows now.")
            .completed_by("one-time-code")
            .wrong(problems.with("code", "The code")),
    });
    Ok(SecondFactorPage {
        around: around.of(state, access.viewer()).await?,
        since: standing.since.map(Moment::at),
        recovery_codes: standing.recovery_codes,
        required_by: standing.required_by,
        setup,
        password: TextField::new("password", "Your password")
            .of_kind("password")
            .completed_by("current-password")
            .wrong(problems.with("password", "It")),
        fresh,
    })
}

/// Answers whether the caller has a second factor, or how to set one up.
pub async fn show(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page(&state, &access, around, None, &Problems::default(), Vec::new()).await?;
    Ok(html(StatusCode::OK, &page))
}

async fn fresh(
    state: &AppState,
    access: &Authorized<act::AdministerOwnAccount>,
    around: Around,
    codes: Vec<String>,
) -> Result<Response, PageError> {
    let page = page(state, access, around, None, &Problems::default(), codes).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Gives the caller the second factor that the form carries.
pub async fn confirm(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let carried = second_factor::resume(&state.forge, &access, form.text("setup"), issuer(&around))?;
    let Some(setup) = carried else { return Ok(see_other(ADDRESS)) };
    let (password, code) = (form.text("password"), form.text("code"));
    match second_factor::confirm(&state.forge, &access, &setup, password, code).await {
        Ok(codes) => fresh(&state, &access, around, codes).await,
        Err(refusal) => {
            let problems = problems_of(refusal, "password")?;
            let page = page(&state, &access, around, Some(setup), &problems, Vec::new()).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

/// Makes new recovery codes.
pub async fn renew(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    match second_factor::renew_recovery_codes(&state.forge, &access, form.text("password")).await {
        Ok(codes) => fresh(&state, &access, around, codes).await,
        Err(refusal) => {
            let problems = problems_of(refusal, "password")?;
            let page = page(&state, &access, around, None, &problems, Vec::new()).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

/// Takes the caller's second factor away.
pub async fn remove(
    access: Authorized<act::AdministerOwnAccount>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    match second_factor::remove(&state.forge, &access, form.text("password")).await {
        Ok(()) => {
            let said = "The second factor is off. Your password alone signs you in.";
            sessions::set_notice(&state.forge, access.viewer(), said).await?;
            Ok(see_other(ADDRESS))
        }
        Err(refusal) => {
            let problems = problems_of(refusal, "password")?;
            let page = page(&state, &access, around, None, &problems, Vec::new()).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_the_code_of_the_library_module_for_module() {
        let picture = Picture::of("otpauth://totp/x:y?secret=ABC").unwrap();
        let code = QrCode::new("otpauth://totp/x:y?secret=ABC").unwrap();
        let dark = code.to_colors().iter().filter(|module| **module == Color::Dark).count();
        let drawn: usize = picture
            .path
            .split('h')
            .skip(1)
            .filter_map(|part| part.split_once('v'))
            .map(|(length, _)| length.parse::<usize>().unwrap())
            .sum();
        assert_eq!(drawn, dark);
        assert_eq!(picture.size, code.width() + 8);
        assert!(picture.path.starts_with("M4 4h7v1h-7z"), "{}", picture.path);
    }
}
