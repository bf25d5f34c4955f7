//! The caller's own access tokens.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::personal_tokens::{self, NewPersonalTokenRequest};
use portcullis_app::sessions;
use portcullis_rules::access::{ScopeSet, act};
use portcullis_rules::id::TokenId;

use super::confirm::Confirm;
use super::fields::{Problems, Wrong};
use super::form::Form;
use super::tokens::{Asked, FormKind, Fresh, TokenForm, TokenTable, Typed, UsedFor, refused};
use super::words::Whose;
use super::{Around, PageError, PageResult, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};

const ADDRESS: &str = "/-/user_settings/personal_access_tokens";

#[derive(Template)]
#[template(path = "personal_tokens.html")]
struct TokensPage {
    around: Around,
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    form: TokenForm,
    count: i64,
    active: TokenTable,
    inactive: TokenTable,
}

#[derive(Default)]
struct Above {
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    typed: Option<Typed>,
    wrong: Wrong,
}

/// Only an administrator's token is heard when it asks to act as somebody else.
fn offered(access: &Authorized<act::ReadPersonalAccessTokens>) -> ScopeSet {
    let all = ScopeSet::FOR_PERSONAL_TOKENS;
    if access.viewer().is_administrator() { all } else { all - ScopeSet::SUDO }
}

async fn page(
    state: &AppState,
    access: &Authorized<act::ReadPersonalAccessTokens>,
    around: Around,
    above: Above,
) -> Result<TokensPage, PageError> {
    let asked = Asked::of(&around);
    let own = access.identity()?.user;
    let kind = FormKind {
        whose: Whose::Person,
        action: ADDRESS.to_owned(),
        offered: offered(access),
        highest: None,
    };
    let form = TokenForm::new(state, kind, above.typed.as_ref(), above.wrong);
    let mut tables = Vec::new();
    let mut count = 0;
    for active in [true, false] {
        let (filter, window) = asked.of_table(active);
        let found = personal_tokens::list(&state.forge, access, Some(own), &filter, window).await?;
        if active {
            count = found.total.unwrap_or_default();
        }
        let (whose, now) = (Whose::Person, state.forge.now());
        tables.push(TokenTable::new(found, &asked, active, whose, false, ADDRESS, now));
    }
    let (Some(inactive), Some(active)) = (tables.pop(), tables.pop()) else {
        return Err(PageError::NotFound);
    };
    let around = around.of(state, access.viewer()).await?;
    Ok(TokensPage { around, fresh: above.fresh, said: above.said, form, count, active, inactive })
}

/// Answers the caller's tokens, and the form for a new one.
pub async fn list(
    access: Authorized<act::ReadPersonalAccessTokens>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    Ok(html(StatusCode::OK, &page(&state, &access, around, Above::default()).await?))
}

/// Creates a token for the caller.
pub async fn create(
    access: Authorized<act::CreateOwnPersonalAccessToken>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let listing = access.also::<act::ReadPersonalAccessTokens>()?;
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let said = "This form was sent before, so nothing was made again. If it made a token then, the token is in the \
             list below; its secret was shown that once and is not shown again.";
        let above = Above { said: Some(said), ..Above::default() };
        return Ok(html(StatusCode::CONFLICT, &page(&state, &listing, around, above).await?));
    }
    let typed = Typed::of(&form);
    let mut problems = Problems::default();
    let (expires_at, scopes) = (typed.date(&mut problems), typed.scopes(offered(&listing), &mut problems));
    let wrong = if problems.is_empty() {
        let request = NewPersonalTokenRequest {
            name: typed.name.clone(),
            description: Some(typed.description.clone()),
            scopes,
            expires_at,
        };
        match personal_tokens::create_own(&state.forge, &access, request).await {
            Ok(created) => {
                let username = &access.identity()?.username;
                let base = &around.base.0;
                let about = UsedFor { base, username, project: "group/project", asked: "user" };
                let fresh = Fresh::of(&created, &about, ADDRESS);
                let above = Above { fresh: Some(fresh), ..Above::default() };
                return Ok(html(StatusCode::OK, &page(&state, &listing, around, above).await?));
            }
            Err(error) => refused(error)?,
        }
    } else {
        Wrong { problem: None, problems }
    };
    let above = Above { typed: Some(typed), wrong, ..Above::default() };
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page(&state, &listing, around, above).await?))
}

fn token_id(path: &PathParts) -> Result<TokenId, PageError> {
    path_text(path, "token_id").parse().map(TokenId).map_err(|_| PageError::NotFound)
}

/// Asks before a token is revoked.
pub async fn confirm(
    access: Authorized<act::ReadPersonalAccessTokens>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let token = own(&state, &access, token_id(&path)?).await?;
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Revoke “{}”?", token.name),
        text: Whose::Person.revoking().to_owned(),
        action: format!("{ADDRESS}/{}/revoke", token.id),
        does: "Revoke token",
        is_bad: true,
        back: ADDRESS.to_owned(),
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Returns a token of the caller's own. This page is about no others, not even an administrator's.
async fn own(
    state: &AppState,
    access: &Authorized<act::ReadPersonalAccessTokens>,
    id: TokenId,
) -> Result<portcullis_app::records::access_tokens::AccessToken, PageError> {
    match personal_tokens::get(&state.forge, access, id).await {
        Ok(token) if token.user == access.identity()?.user => Ok(token),
        Ok(_) | Err(portcullis_app::Error::Unauthorized) => Err(PageError::NotFound),
        Err(error) => Err(error.into()),
    }
}

/// Revokes a token of the caller.
pub async fn revoke(
    access: Authorized<act::RevokePersonalAccessToken>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let token = own(&state, &access.also()?, token_id(&path)?).await?;
    personal_tokens::revoke(&state.forge, &access, token.id).await?;
    let said = format!("Revoked access token {}!", token.name);
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(ADDRESS))
}
