//! Access tokens of projects and of groups.

use axum::extract::{FromRequest as _, Request, State};
use jiff::civil::Date;
use portcullis_app::access::Authorized;
use portcullis_app::records::access_tokens::{AccessToken, TokenFilter, TokenOrder};
use portcullis_app::tokens::{self, Created, NewTokenRequest, TokenHome};
use portcullis_rules::access::{Role, ScopeSet, on};
use portcullis_rules::bot::Home;
use portcullis_rules::id::{TokenId, UserId};
use portcullis_rules::token::State as TokenState;
use serde::Serialize;

use super::{
    ApiResult, PathParts, Surroundings, created, date, never_kept, no_content, ok, path_number, time,
};
use crate::AppState;
use crate::error::ApiError;
use crate::guard::{Attempt, PlaceInPath};
use crate::params::{Params, Reader};

/// The tokens of a project.
pub type OnProject = on::Project;

/// The tokens of a group.
pub type OnGroup = on::Group;

/// What goes out about a token of any kind. It has no field for the secret.
#[derive(Debug, Serialize)]
pub struct TokenView {
    id: TokenId,
    name: String,
    revoked: bool,
    created_at: String,
    description: Option<String>,
    scopes: Vec<&'static str>,
    user_id: UserId,
    last_used_at: Option<String>,
    active: bool,
    expires_at: Option<String>,
    /// The keys that only a project's or group's token has.
    #[serde(flatten)]
    home: Option<OfHome>,
}

/// What only a project's or group's token has.
#[derive(Debug, Serialize)]
struct OfHome {
    access_level: Option<i64>,
    resource_type: &'static str,
    resource_id: i64,
}

impl TokenView {
    /// Returns the view of a token at `now`.
    pub fn of(token: &AccessToken, now: i64) -> TokenView {
        TokenView {
            id: token.id,
            name: token.name.clone(),
            revoked: token.lifetime.revoked_at.is_some(),
            created_at: time(token.created_at),
            description: token.description.clone(),
            scopes: token.scopes.names().collect(),
            user_id: token.user,
            last_used_at: token.last_used_at.map(time),
            active: token.lifetime.state(now) == TokenState::Active,
            expires_at: token.lifetime.expires_at.map(date),
            home: token.home.map(|home| OfHome {
                access_level: token.role.map(Role::level),
                resource_type: home.kind(),
                resource_id: home.number(),
            }),
        }
    }
}

/// The one answer that shows a secret.
#[derive(Serialize)]
pub struct TokenWithSecret<'a> {
    #[serde(flatten)]
    view: TokenView,
    token: &'a str,
}

/// Returns the one answer that shows a secret.
pub fn with_secret(created: &Created, now: i64) -> TokenWithSecret<'_> {
    TokenWithSecret { view: TokenView::of(&created.token, now), token: created.secret.reveal() }
}

/// Reads the filters that every list of tokens has.
pub fn filter(read: &mut Reader<'_>) -> TokenFilter {
    TokenFilter {
        active: read.one_of("state", |word| match word {
            "active" => Some(true),
            "inactive" => Some(false),
            _ => None,
        }),
        revoked: read.boolean("revoked"),
        created_before: read.time("created_before"),
        created_after: read.time("created_after"),
        last_used_before: read.time("last_used_before"),
        last_used_after: read.time("last_used_after"),
        expires_before: read.date("expires_before").map(portcullis_rules::token::midnight),
        expires_after: read.date("expires_after").map(portcullis_rules::token::midnight),
        search: read.filled_text("search"),
        order: read.one_of("sort", TokenOrder::from_name).unwrap_or_default(),
    }
}

/// Reads the scopes of a new token; each must be one of `allowed`.
pub fn scopes(read: &mut Reader<'_>, allowed: ScopeSet) -> ScopeSet {
    read.require("scopes");
    let words = read.list("scopes").unwrap_or_default();
    match ScopeSet::parse(words.iter().map(String::as_str), allowed) {
        Ok(scopes) => scopes,
        Err(_) => {
            read.reject("scopes");
            ScopeSet::empty()
        }
    }
}

/// Answers the project's or group's tokens.
pub async fn list<P: TokenHome + PlaceInPath>(
    access: Authorized<P::List>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let filter = filter(&mut read);
    read.finish()?;
    let found = tokens::list::<P>(&state.forge, &access, &filter, around.window()).await?;
    let now = state.forge.now();
    Ok(around.page(found.map(|token| TokenView::of(&token, now))))
}

fn token_id(parts: &PathParts, home: Home) -> Result<TokenId, ApiError> {
    let name = match home {
        Home::Project(_) => "project Access Token",
        Home::Group(_) => "group Access Token",
    };
    path_number(parts, "token_id", name).map(TokenId)
}

/// Answers one of them.
pub async fn get<P: TokenHome + PlaceInPath>(
    access: Authorized<P::List>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    let id = token_id(&parts, P::home(access.place()))?;
    let token = tokens::get::<P>(&state.forge, &access, id).await?;
    Ok(ok(TokenView::of(&token, state.forge.now())))
}

/// Answers the presented token, when it is one of them.
pub async fn get_own<P: TokenHome + PlaceInPath>(
    access: Authorized<P::List>,
    State(state): State<AppState>,
) -> ApiResult {
    let id = access.identity()?.token().ok_or(portcullis_app::Error::NotAvailable)?;
    let token = tokens::get::<P>(&state.forge, &access, id).await?;
    Ok(ok(TokenView::of(&token, state.forge.now())))
}

/// Creates a token. The body of somebody who may not is never read.
pub async fn create<P: TokenHome + PlaceInPath>(
    access: Attempt<P::Create>,
    State(state): State<AppState>,
    request: Request,
) -> ApiResult {
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => match tokens::refuse_creation::<P>(&state.forge, &access).await? {},
    };
    let params = Params::from_request(request, &state).await?;
    let mut read = params.read();
    let name = read.required_text("name");
    let scopes = scopes(&mut read, ScopeSet::FOR_PROJECT_TOKENS);
    let role = match read.integer("access_level") {
        None => Role::Maintainer,
        Some(level) => Role::from_level(level).unwrap_or_else(|| {
            read.reject("access_level");
            Role::Guest
        }),
    };
    let request = NewTokenRequest {
        name,
        description: read.text("description"),
        scopes,
        expires_at: read.date("expires_at"),
        role,
    };
    read.finish()?;
    let made = tokens::create::<P>(&state.forge, &access, request).await?;
    Ok(never_kept(created(with_secret(&made, state.forge.now()))))
}

/// Revokes a token. The body of somebody who may not is never read.
pub async fn revoke<P: TokenHome + PlaceInPath>(
    access: Attempt<P::Revoke>,
    State(state): State<AppState>,
    parts: PathParts,
    request: Request,
) -> ApiResult {
    let home = match &access {
        Attempt::Allowed(access) => P::home(access.place()),
        Attempt::Refused(access) => P::home(access.place()),
    };
    let id = token_id(&parts, home)?;
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => match tokens::refuse_revocation::<P>(&state.forge, &access, id).await? {},
    };
    Params::from_request(request, &state).await?;
    tokens::revoke::<P>(&state.forge, &access, id).await?;
    Ok(no_content())
}

/// Reads the expiry date of a rotation.
pub fn rotation_date(params: &Params) -> Result<Option<Date>, ApiError> {
    let mut read = params.read();
    let date = read.date("expires_at");
    read.finish()?;
    Ok(date)
}

/// Replaces a token.
pub async fn rotate<P: TokenHome + PlaceInPath>(
    access: Authorized<P::Rotate>,
    State(state): State<AppState>,
    parts: PathParts,
    params: Params,
) -> ApiResult {
    let date = rotation_date(&params)?;
    let id = token_id(&parts, P::home(access.place()))?;
    let made = tokens::rotate::<P>(&state.forge, &access, id, date).await?;
    Ok(never_kept(ok(with_secret(&made, state.forge.now()))))
}

/// Replaces the presented token.
pub async fn rotate_own<P: TokenHome + PlaceInPath>(
    access: Authorized<P::RotateOwn>,
    State(state): State<AppState>,
    params: Params,
) -> ApiResult {
    let date = rotation_date(&params)?;
    let made = tokens::rotate_own::<P>(&state.forge, &access, date).await?;
    Ok(never_kept(ok(with_secret(&made, state.forge.now()))))
}
