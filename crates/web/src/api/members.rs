//! Members of projects and groups. Both have the same shapes, so each pair of handlers shares a body.

use axum::extract::State;
use portcullis_app::access::Authorized;
use portcullis_app::members::{self, Invited, MayAdminister, MayRead};
use portcullis_app::records::members::{Member, MemberFilter, Reach};
use portcullis_app::records::users::UserKind;
use portcullis_rules::access::{Role, act};
use portcullis_rules::id::UserId;
use serde::Serialize;

use super::users::UserView;
use super::{ApiResult, PathParts, Surroundings, created, date, no_content, ok, path_number, time};
use crate::AppState;
use crate::client::BaseUrl;
use crate::error::ApiError;
use crate::params::Params;

/// A member: the user, with the membership beside it.
#[derive(Debug, Serialize)]
struct MemberView {
    #[serde(flatten)]
    user: UserView,
    access_level: i64,
    created_at: String,
    expires_at: Option<String>,
    membership_state: &'static str,
    is_using_seat: bool,
    member_role: Option<i64>,
}

fn view(member: &Member, base: &BaseUrl) -> MemberView {
    MemberView {
        user: UserView::of(&member.user, base),
        access_level: member.role.level(),
        created_at: time(member.created_at),
        expires_at: member.expires_at.map(date),
        membership_state: "active",
        is_using_seat: member.user.kind == UserKind::Person,
        member_role: None,
    }
}

fn user_id(parts: &PathParts) -> Result<UserId, ApiError> {
    path_number(parts, "user_id", "User").map(UserId)
}

async fn page(
    access: &impl MayRead,
    state: &AppState,
    around: &Surroundings,
    params: &Params,
    reach: Reach,
) -> ApiResult {
    let mut read = params.read();
    let filter = MemberFilter {
        query: read.filled_text("query"),
        users: read.integers("user_ids").unwrap_or_default(),
    };
    read.finish()?;
    let found = members::list(&state.forge, access, reach, &filter, around.window()).await?;
    Ok(around.page(found.map(|member| view(&member, &around.base))))
}

async fn one(
    access: &impl MayRead,
    state: &AppState,
    parts: &PathParts,
    around: &Surroundings,
    reach: Reach,
) -> ApiResult {
    let member = members::get(&state.forge, access, reach, user_id(parts)?).await?;
    Ok(ok(view(&member, &around.base)))
}

async fn adding(
    access: &impl MayAdminister,
    state: &AppState,
    around: &Surroundings,
    params: &Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("user_id");
    read.require("access_level");
    let users = read.integers("user_id").unwrap_or_default();
    let role = read.one_of("access_level", |level| level.parse().ok().and_then(Role::from_level));
    let expires_at = read.date("expires_at");
    read.finish()?;
    let role = role.ok_or_else(|| ApiError::bad_parameters("access_level is missing"))?;
    let mut added = Vec::new();
    for user in &users {
        added.push(members::add(&state.forge, access, UserId(*user), role, expires_at).await?);
    }
    match added.as_slice() {
        [] => Err(ApiError::bad_parameters("user_id is invalid")),
        [member] => Ok(created(view(member, &around.base))),
        _ => Ok(created(serde_json::json!({ "status": "success" }))),
    }
}

async fn inviting(access: &impl MayAdminister, state: &AppState, params: &Params) -> ApiResult {
    let mut read = params.read();
    let users = read.integers("user_id").unwrap_or_default();
    let emails = read.list("email").unwrap_or_default();
    if users.is_empty() && emails.is_empty() {
        read.require("email");
    }
    read.require("access_level");
    let role = read.one_of("access_level", |level| level.parse().ok().and_then(Role::from_level));
    let expires_at = read.date("expires_at");
    read.finish()?;
    let role = role.ok_or_else(|| ApiError::bad_parameters("access_level is missing"))?;
    let users = users.into_iter().map(|user| Invited::User(UserId(user)));
    let invited: Vec<_> = users.chain(emails.into_iter().map(Invited::Email)).take(100).collect();
    let refused = members::invite(&state.forge, access, &invited, role, expires_at).await?;
    // As in GitLab, the request succeeded even when nobody could be added; the body says who and why.
    if refused.is_empty() {
        return Ok(created(serde_json::json!({ "status": "success" })));
    }
    let message: serde_json::Map<_, _> =
        refused.into_iter().map(|(who, why)| (who, serde_json::Value::String(why))).collect();
    Ok(created(serde_json::json!({ "status": "error", "message": message })))
}

async fn updating(
    access: &impl MayAdminister,
    state: &AppState,
    parts: &PathParts,
    around: &Surroundings,
    params: &Params,
) -> ApiResult {
    let mut read = params.read();
    read.require("access_level");
    let role = read.one_of("access_level", |level| level.parse().ok().and_then(Role::from_level));
    let expires_at = read.date("expires_at");
    read.finish()?;
    let role = role.ok_or_else(|| ApiError::bad_parameters("access_level is missing"))?;
    // A date that is sent empty ends the expiry; one that is not sent stays.
    let expires_at = params.has("expires_at").then_some(expires_at);
    let member = members::update(&state.forge, access, user_id(parts)?, role, expires_at).await?;
    Ok(ok(view(&member, &around.base)))
}

async fn removing(access: &impl MayAdminister, state: &AppState, parts: &PathParts) -> ApiResult {
    members::remove(&state.forge, access, user_id(parts)?).await?;
    Ok(no_content())
}

/// Defines the handlers of one kind of place.
macro_rules! handlers {
    ($read:ty, $administer:ty, $list:ident, $list_all:ident, $get:ident, $get_all:ident, $add:ident, $invite:ident, $update:ident, $remove:ident) => {
        /// Answers the direct members.
        pub async fn $list(
            access: Authorized<$read>,
            State(state): State<AppState>,
            around: Surroundings,
            params: Params,
        ) -> ApiResult {
            page(&access, &state, &around, &params, Reach::Direct).await
        }

        /// Answers the members, inherited ones too.
        pub async fn $list_all(
            access: Authorized<$read>,
            State(state): State<AppState>,
            around: Surroundings,
            params: Params,
        ) -> ApiResult {
            page(&access, &state, &around, &params, Reach::Inherited).await
        }

        /// Answers one direct member.
        pub async fn $get(
            access: Authorized<$read>,
            State(state): State<AppState>,
            parts: PathParts,
            around: Surroundings,
        ) -> ApiResult {
            one(&access, &state, &parts, &around, Reach::Direct).await
        }

        /// Answers one member, inherited or not.
        pub async fn $get_all(
            access: Authorized<$read>,
            State(state): State<AppState>,
            parts: PathParts,
            around: Surroundings,
        ) -> ApiResult {
            one(&access, &state, &parts, &around, Reach::Inherited).await
        }

        /// Adds a member.
        pub async fn $add(
            access: Authorized<$administer>,
            State(state): State<AppState>,
            around: Surroundings,
            params: Params,
        ) -> ApiResult {
            adding(&access, &state, &around, &params).await
        }

        /// Adds users by id or mail address.
        pub async fn $invite(
            access: Authorized<$administer>,
            State(state): State<AppState>,
            params: Params,
        ) -> ApiResult {
            inviting(&access, &state, &params).await
        }

        /// Changes a member.
        pub async fn $update(
            access: Authorized<$administer>,
            State(state): State<AppState>,
            parts: PathParts,
            around: Surroundings,
            params: Params,
        ) -> ApiResult {
            updating(&access, &state, &parts, &around, &params).await
        }

        /// Removes a member.
        pub async fn $remove(
            access: Authorized<$administer>,
            State(state): State<AppState>,
            parts: PathParts,
            _params: Params,
        ) -> ApiResult {
            removing(&access, &state, &parts).await
        }
    };
}

handlers!(
    act::ReadMembers,
    act::AdministerMembers,
    list,
    list_all,
    get,
    get_all,
    add,
    invite,
    update,
    remove
);
handlers!(
    act::ReadGroupMembers,
    act::AdministerGroupMembers,
    list_of_group,
    list_all_of_group,
    get_of_group,
    get_all_of_group,
    add_to_group,
    invite_to_group,
    update_of_group,
    remove_from_group
);
