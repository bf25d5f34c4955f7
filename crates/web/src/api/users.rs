//! Users.

use std::slice;

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::people::{self, NewPersonRequest};
use portcullis_app::records::users::{User, UserFilter, UserKind};
use portcullis_app::second_factor;
use portcullis_rules::access::act;
use portcullis_rules::id::UserId;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ApiResult, PathParts, Surroundings, created, no_content, ok, path_number, path_text, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::Params;

/// A user as embedded everywhere.
#[derive(Clone, Debug, Serialize)]
pub struct UserView {
    id: UserId,
    username: String,
    public_email: Option<String>,
    name: String,
    state: &'static str,
    locked: bool,
    avatar_url: Option<String>,
    web_url: String,
}

impl UserView {
    /// Returns the view of a user.
    pub fn of(user: &User, base: &BaseUrl) -> UserView {
        UserView {
            id: user.id,
            username: user.username.clone(),
            public_email: None,
            name: user.name.clone(),
            state: if user.blocked { "blocked" } else { "active" },
            locked: false,
            avatar_url: None,
            web_url: format!("{}/{}", base.0, user.username),
        }
    }
}

/// A user as read alone.
#[derive(Debug, Serialize)]
struct UserDetails {
    #[serde(flatten)]
    basic: UserView,
    created_at: String,
    bio: &'static str,
    location: &'static str,
    linkedin: &'static str,
    twitter: &'static str,
    discord: &'static str,
    website_url: &'static str,
    github: &'static str,
    organization: &'static str,
    job_title: &'static str,
    pronouns: Option<String>,
    bot: bool,
    work_information: Option<String>,
    local_time: Option<String>,
    followers: i64,
    following: i64,
    is_followed: bool,
}

impl UserDetails {
    fn of(user: &User, base: &BaseUrl) -> UserDetails {
        UserDetails {
            basic: UserView::of(user, base),
            created_at: time(user.created_at),
            bio: "",
            location: "",
            linkedin: "",
            twitter: "",
            discord: "",
            website_url: "",
            github: "",
            organization: "",
            job_title: "",
            pronouns: None,
            bot: user.kind == UserKind::ProjectBot,
            work_information: None,
            local_time: None,
            followers: 0,
            following: 0,
            is_followed: false,
        }
    }
}

/// What only oneself and administrators see.
#[derive(Debug, Serialize)]
struct PrivateDetails {
    #[serde(flatten)]
    details: UserDetails,
    email: String,
    commit_email: String,
    last_sign_in_at: Option<String>,
    confirmed_at: String,
    last_activity_on: Option<String>,
    theme_id: i64,
    color_scheme_id: i64,
    projects_limit: i64,
    current_sign_in_at: Option<String>,
    identities: [Value; 0],
    can_create_group: bool,
    can_create_project: bool,
    two_factor_enabled: bool,
    external: bool,
    private_profile: bool,
    preferred_language: &'static str,
}

impl PrivateDetails {
    fn of(user: &User, second_factor: bool, base: &BaseUrl) -> PrivateDetails {
        let creates = user.kind == UserKind::Person && !user.external;
        PrivateDetails {
            details: UserDetails::of(user, base),
            email: user.email.clone(),
            commit_email: user.email.clone(),
            last_sign_in_at: None,
            confirmed_at: time(user.created_at),
            last_activity_on: None,
            theme_id: 1,
            color_scheme_id: 1,
            projects_limit: if creates { 100_000 } else { 0 },
            current_sign_in_at: None,
            identities: [],
            can_create_group: creates,
            can_create_project: creates,
            two_factor_enabled: second_factor,
            external: user.external,
            private_profile: false,
            preferred_language: "en",
        }
    }

    /// What only administrators see is added, and the keys are absent for everybody else.
    fn for_administrator(user: &User, second_factor: bool, base: &BaseUrl) -> Result<Value, ApiError> {
        let mut view =
            serde_json::to_value(PrivateDetails::of(user, second_factor, base)).map_err(internal)?;
        view["is_admin"] = json!(user.administrator);
        view["note"] = json!("");
        view["created_by"] = json!(user.created_by.map(|user| user.0));
        view["using_license_seat"] = json!(user.kind == UserKind::Person && !user.blocked);
        Ok(view)
    }
}

fn internal(error: serde_json::Error) -> ApiError {
    portcullis_app::Error::Internal(Box::new(error)).into()
}

/// Answers the caller's own account.
pub async fn get_own(
    access: Authorized<act::ReadOwnUser>,
    State(state): State<AppState>,
    around: Surroundings,
) -> ApiResult {
    let user = people::get_own(&state.forge, &access).await?;
    let holders = second_factor::holders_among(&state.forge, access.viewer(), slice::from_ref(&user)).await?;
    let second_factor = !holders.is_empty();
    if user.administrator {
        return Ok(ok(PrivateDetails::for_administrator(&user, second_factor, &around.base)?));
    }
    Ok(ok(PrivateDetails::of(&user, second_factor, &around.base)))
}

/// Answers users.
pub async fn list(
    access: Authorized<act::ReadUsers>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let blocked = read.boolean("blocked").filter(|yes| *yes);
    let active = read.boolean("active").filter(|yes| *yes);
    let humans = read.boolean("humans").filter(|yes| *yes);
    let filter = UserFilter {
        username: read.filled_text("username"),
        search: read.filled_text("search"),
        blocked: blocked.or(active.map(|_| false)),
        external: read.boolean("external").filter(|yes| *yes),
        without_bots: read.boolean("without_project_bots").or(humans).unwrap_or(false),
        ..UserFilter::default()
    };
    read.finish()?;
    let found = people::list(&state.forge, &access, &filter, around.window()).await?;
    if access.viewer().is_administrator() {
        let holders = second_factor::holders_among(&state.forge, access.viewer(), &found.items).await?;
        let view =
            |user: &User| PrivateDetails::for_administrator(user, holders.contains(&user.id), &around.base);
        let items: Result<Vec<_>, _> = found.items.iter().map(view).collect();
        let total = found.total;
        return Ok(around.page(portcullis_app::records::select::Listing { items: items?, total }));
    }
    Ok(around.page(found.map(|user| UserView::of(&user, &around.base))))
}

fn user_id(parts: &PathParts) -> Result<UserId, ApiError> {
    path_number(parts, "user_id", "User").map(UserId)
}

/// Answers one user.
pub async fn get(
    access: Authorized<act::ReadUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    around: Surroundings,
) -> ApiResult {
    let user = people::get(&state.forge, &access, user_id(&parts)?).await?;
    if access.viewer().is_administrator() {
        let holders =
            second_factor::holders_among(&state.forge, access.viewer(), slice::from_ref(&user)).await?;
        return Ok(ok(PrivateDetails::for_administrator(&user, !holders.is_empty(), &around.base)?));
    }
    Ok(ok(UserDetails::of(&user, &around.base)))
}

/// Answers a user's status; clients ask by name as well.
pub async fn status(
    access: Authorized<act::ReadUsers>,
    State(state): State<AppState>,
    parts: PathParts,
) -> ApiResult {
    match path_number(&parts, "user_id", "User") {
        Ok(id) => people::get(&state.forge, &access, UserId(id)).await?,
        Err(_) => people::get_by_username(&state.forge, &access, path_text(&parts, "user_id")).await?,
    };
    Ok(ok(json!({
        "emoji": null, "message": null, "availability": "not_set", "message_html": "", "clear_status_at": null,
    })))
}

/// Creates a person.
pub async fn create(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Surroundings,
    params: Params,
) -> ApiResult {
    let mut read = params.read();
    let request = NewPersonRequest {
        username: read.required_text("username"),
        email: read.required_text("email"),
        name: Some(read.required_text("name")),
        password: read.filled_text("password"),
        administrator: read.boolean("admin").unwrap_or(false),
        external: read.boolean("external").unwrap_or(false),
    };
    read.finish()?;
    let user = people::create(&state.forge, &access, request).await?;
    Ok(created(PrivateDetails::for_administrator(&user, false, &around.base)?))
}

/// Deletes a person.
pub async fn delete(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    people::delete(&state.forge, &access, user_id(&parts)?).await?;
    Ok(no_content())
}

/// Blocks a person.
pub async fn block(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    let changed = people::block(&state.forge, &access, user_id(&parts)?).await?;
    Ok(created(changed))
}

/// Ends a block.
pub async fn unblock(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    let changed = people::unblock(&state.forge, &access, user_id(&parts)?).await?;
    Ok(created(changed))
}

/// Takes a person's second factor away.
pub async fn disable_two_factor(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    parts: PathParts,
    _params: Params,
) -> ApiResult {
    if !second_factor::remove_of(&state.forge, &access, user_id(&parts)?).await? {
        let text = "Two-factor authentication is not enabled for this user";
        return Err(portcullis_app::Error::BadRequest(text.to_owned()).into());
    }
    Ok(no_content())
}
