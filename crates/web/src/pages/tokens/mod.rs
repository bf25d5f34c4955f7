//! Settings › Access Tokens of a project or a group: what the forge is about, by hand. What differs between the two is said
//! by [`TokenPages`].
//!
//! A secret is in one answer: that to the form which made the token. The answer is the page itself and never kept, because
//! a hand-over in memory would be lost between processes; a form carries a number and is acted on once, so that sending it
//! again, which a reload does, makes no second token and shows no secret.

mod form;
mod home;
mod secret;
mod table;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, authorize};
use portcullis_app::records::access_tokens::AccessToken;
use portcullis_app::tokens::{self, Created, Creation, NewTokenRequest};
use portcullis_app::{Error, sessions};
use portcullis_rules::access::{Role, ScopeSet, act};
use portcullis_rules::id::TokenId;
use portcullis_rules::names::IdOrPath;
use portcullis_rules::token::State as TokenState;

pub(super) use self::form::{FormKind, TokenForm, Typed, refused};
pub use self::home::TokenPages;
pub(super) use self::secret::{Fresh, UsedFor};
pub(super) use self::table::{Asked, TokenTable};
use super::confirm::Confirm;
use super::fields::{Problems, TextField, Wrong};
use super::form::Form;
use super::{Around, PageError, PageResult, html, see_other, words::Whose};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::guard::Attempt;

/// What is said of a form that comes a second time.
const SENT_BEFORE: &str = "This form was sent before, so nothing was made again. If it made a token then, the token is in \
     the list below; its secret was shown that once and is not shown again.";

/// Why there is no form.
enum NoForm {
    Off,
    NotInPlan,
    ClosedByGroup {
        /// The top-level group, on the page of a group below it.
        root: Option<String>,
        /// The address of its settings, for who may change them.
        settings: Option<String>,
    },
}

/// The form and the tables, the same for a project and a group.
#[derive(Template)]
#[template(path = "parts/tokens.html")]
struct TokensPart {
    whose: Whose,
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    form: Option<TokenForm>,
    no_form: Option<NoForm>,
    count: i64,
    active: TokenTable,
    inactive: TokenTable,
}

/// What stands on the page besides the tables.
#[derive(Default)]
struct Above {
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    typed: Option<Typed>,
    wrong: Wrong,
}

/// Returns why no token can be made, if none can.
async fn no_form<P: TokenPages>(
    state: &AppState,
    access: &Authorized<P::List>,
) -> Result<Option<NoForm>, PageError> {
    Ok(match tokens::creation::<P>(&state.forge, access).await? {
        Creation::Open => None,
        Creation::Off => Some(NoForm::Off),
        Creation::NotInPlan => Some(NoForm::NotInPlan),
        Creation::ClosedByGroup => {
            let full_path = P::full_path(access.place());
            let root = full_path.split('/').next().unwrap_or_default();
            let group =
                authorize::<act::UpdateGroup>(&state.forge, access.viewer().clone(), IdOrPath::parse(root));
            let settings = group.await?.is_ok().then(|| format!("/groups/{root}/-/edit"));
            let below = P::WHOSE == Whose::Group && root != full_path;
            Some(NoForm::ClosedByGroup { root: below.then(|| root.to_owned()), settings })
        }
    })
}

async fn page<P: TokenPages>(
    state: &AppState,
    access: &Authorized<P::List>,
    around: Around,
    above: Above,
    status: StatusCode,
) -> PageResult {
    let now = state.forge.now();
    let address = P::address(access.place());
    let asked = Asked::of(&around);
    let no_form = no_form::<P>(state, access).await?;
    let may_create = access.also::<P::Create>().is_ok();
    let kind = FormKind {
        whose: P::WHOSE,
        action: address.clone(),
        offered: ScopeSet::FOR_PROJECT_TOKENS,
        highest: access.role(),
    };
    let form = (no_form.is_none() && may_create)
        .then(|| TokenForm::new(state, kind, above.typed.as_ref(), above.wrong));
    let may_rotate = form.is_some() && access.also::<P::Rotate>().is_ok();
    let mut tables = Vec::new();
    let mut count = 0;
    for active in [true, false] {
        let (filter, window) = asked.of_table(active);
        let found = tokens::list::<P>(&state.forge, access, &filter, window).await?;
        if active {
            count = found.total.unwrap_or_default();
        }
        tables.push(TokenTable::new(found, &asked, active, P::WHOSE, may_rotate, &address, now));
    }
    let (Some(inactive), Some(active)) = (tables.pop(), tables.pop()) else {
        return Err(PageError::NotFound);
    };
    let (fresh, said) = (above.fresh, above.said);
    let part = TokensPart { whose: P::WHOSE, fresh, said, form, no_form, count, active, inactive };
    P::page(state, access, around, None, status, part).await
}

/// Answers the tokens of the project or group, and the form for a new one.
pub async fn list<P: TokenPages>(
    access: Authorized<P::List>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    page::<P>(&state, &access, around, Above::default(), StatusCode::OK).await
}

/// Creates a token. The form of somebody who may not is never read.
pub async fn create<P: TokenPages>(
    access: Attempt<P::Create>,
    State(state): State<AppState>,
    around: Around,
    request: axum::extract::Request,
) -> PageResult {
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => {
            // The refusal leaves its trace in the audit log; the page says nothing of it.
            let Err(_) = tokens::refuse_creation::<P>(&state.forge, &access).await;
            return Err(PageError::NotFound);
        }
    };
    let form = read_form(request, &state).await?;
    let listing = access.also::<P::List>()?;
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let above = Above { said: Some(SENT_BEFORE), ..Above::default() };
        return page::<P>(&state, &listing, around, above, StatusCode::CONFLICT).await;
    }
    let typed = Typed::of(&form);
    let mut problems = Problems::default();
    let (expires_at, scopes) =
        (typed.date(&mut problems), typed.scopes(ScopeSet::FOR_PROJECT_TOKENS, &mut problems));
    let role = typed.role.and_then(Role::from_level);
    if role.is_none() {
        problems.add("access_level", "is none of those");
    }
    if let Some(role) = role.filter(|_| problems.is_empty()) {
        let request = NewTokenRequest {
            name: typed.name.clone(),
            description: Some(typed.description.clone()),
            scopes,
            expires_at,
            role,
        };
        match tokens::create::<P>(&state.forge, &access, request).await {
            Ok(created) => {
                let fresh = fresh::<P>(&state, &listing, &around, &created).await?;
                let above = Above { fresh: Some(fresh), ..Above::default() };
                return page::<P>(&state, &listing, around, above, StatusCode::OK).await;
            }
            Err(error) => {
                let above = Above { typed: Some(typed), wrong: refused(error)?, ..Above::default() };
                return page::<P>(&state, &listing, around, above, StatusCode::UNPROCESSABLE_ENTITY).await;
            }
        }
    }
    let above = Above { typed: Some(typed), wrong: Wrong { problem: None, problems }, ..Above::default() };
    page::<P>(&state, &listing, around, above, StatusCode::UNPROCESSABLE_ENTITY).await
}

async fn read_form(request: axum::extract::Request, state: &AppState) -> Result<Form, PageError> {
    use axum::extract::FromRequest as _;
    Form::from_request(request, state).await
}

async fn fresh<P: TokenPages>(
    state: &AppState,
    access: &Authorized<P::List>,
    around: &Around,
    created: &Created,
) -> Result<Fresh, PageError> {
    let bot = P::bot(state, access, created.token.user).await?;
    let found = access.place();
    let about = UsedFor {
        base: &around.base.0,
        username: &bot,
        project: &P::example(found),
        asked: &format!("{}s/{}", P::WHOSE.name(), P::home(found).number()),
    };
    Ok(Fresh::of(created, &about, &P::address(found)))
}

pub(super) fn token_id(path: &PathParts) -> Result<TokenId, PageError> {
    path_text(path, "token_id").parse().map(TokenId).map_err(|_| PageError::NotFound)
}

/// Asks before a token is revoked.
pub async fn confirm_revoke<P: TokenPages>(
    access: Authorized<P::Revoke>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let listing = access.also::<P::List>()?;
    let token = tokens::get::<P>(&state.forge, &listing, token_id(&path)?).await?;
    let back = P::address(access.place());
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Revoke “{}”?", token.name),
        text: P::WHOSE.revoking().to_owned(),
        action: format!("{back}/{}/revoke", token.id),
        does: "Revoke token",
        is_bad: true,
        back,
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Revokes a token. The form of somebody who may not is never read.
pub async fn revoke<P: TokenPages>(
    access: Attempt<P::Revoke>,
    State(state): State<AppState>,
    path: PathParts,
    request: axum::extract::Request,
) -> PageResult {
    let id = token_id(&path)?;
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => {
            let Err(_) = tokens::refuse_revocation::<P>(&state.forge, &access, id).await;
            return Err(PageError::NotFound);
        }
    };
    read_form(request, &state).await?;
    let listing = access.also::<P::List>()?;
    let back = P::address(access.place());
    let said = match tokens::get::<P>(&state.forge, &listing, id).await {
        Ok(token) if token.lifetime.state(state.forge.now()) != TokenState::Active => {
            format!("Access token {} was over already.", token.name)
        }
        Ok(token) => {
            tokens::revoke::<P>(&state.forge, &access, id).await?;
            format!("Revoked access token {}!", token.name)
        }
        // It may have been revoked in another window, and its bot be gone.
        Err(Error::NotFound(_)) => "There is no such access token any more.".to_owned(),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&back))
}

async fn rotation<P: TokenPages>(
    state: &AppState,
    access: &Authorized<P::Rotate>,
    around: Around,
    token: &AccessToken,
    typed: &str,
    wrong: &Wrong,
) -> Result<Confirm, PageError> {
    let back = P::address(access.place());
    let said = "A new secret takes the place of the old one, which stops working at once: put the new one everywhere \
         the old one is used. Name, bot, role and scopes stay.";
    let text = wrong.problem.as_ref().map_or(said.to_owned(), |problem| format!("{problem}. {said}"));
    let date = TextField::new("expires_at", "New expiration date")
        .of_kind("date")
        .optional()
        .hint("The new token is dead from the first minute of this date, at 00:00 UTC.")
        .with(typed)
        .wrong(wrong.problems.with("expires_at", "The date"));
    Ok(Confirm {
        around: around.of(state, access.viewer()).await?,
        heading: format!("Rotate “{}”?", token.name),
        text,
        action: format!("{back}/{}/rotate", token.id),
        does: "Rotate token",
        is_bad: false,
        back,
        date: Some(date),
    })
}

/// Returns a token that can be rotated, or sends back to the list with the reason why not.
async fn rotatable<P: TokenPages>(
    state: &AppState,
    access: &Authorized<P::Rotate>,
    id: TokenId,
) -> Result<Result<AccessToken, axum::response::Response>, PageError> {
    let listing = access.also::<P::List>()?;
    let token = tokens::get::<P>(&state.forge, &listing, id).await?;
    let open = tokens::creation::<P>(&state.forge, &listing).await? == Creation::Open;
    let said = match token.lifetime.state(state.forge.now()) {
        TokenState::Revoked => format!("Access token {} is revoked and cannot be rotated.", token.name),
        _ if !open => "Access tokens cannot be created here, so none can be rotated.".to_owned(),
        _ => return Ok(Ok(token)),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(Err(see_other(&P::address(access.place()))))
}

/// Asks before a token is replaced.
pub async fn confirm_rotate<P: TokenPages>(
    access: Authorized<P::Rotate>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    match rotatable::<P>(&state, &access, token_id(&path)?).await? {
        Ok(token) => {
            let page = rotation::<P>(&state, &access, around, &token, "", &Wrong::default()).await?;
            Ok(html(StatusCode::OK, &page))
        }
        Err(response) => Ok(response),
    }
}

/// Replaces a token by a new one.
pub async fn rotate<P: TokenPages>(
    access: Authorized<P::Rotate>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let token = match rotatable::<P>(&state, &access, token_id(&path)?).await? {
        Ok(token) => token,
        Err(response) => return Ok(response),
    };
    let typed = Typed::of(&form);
    let mut wrong = Wrong::default();
    let date = typed.date(&mut wrong.problems);
    if wrong.problems.is_empty() {
        match tokens::rotate::<P>(&state.forge, &access, token.id, date).await {
            Ok(created) => {
                let listing = access.also::<P::List>()?;
                let fresh = fresh::<P>(&state, &listing, &around, &created).await?;
                let above = Above { fresh: Some(fresh), ..Above::default() };
                return page::<P>(&state, &listing, around, above, StatusCode::OK).await;
            }
            Err(error) => wrong = refused(error)?,
        }
    }
    let page = rotation::<P>(&state, &access, around, &token, &typed.expires_at, &wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
