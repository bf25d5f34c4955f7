//! A project's members: people, whose roles are changed here, and bots, who belong to their tokens.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::{Authorized, authorize};
use portcullis_app::records::members::{Member, MemberFilter, Reach};
use portcullis_app::records::select::Window;
use portcullis_app::records::users::UserKind;
use portcullis_app::{Error, members, people, sessions};
use portcullis_rules::access::{Role, act};
use portcullis_rules::id::UserId;
use portcullis_rules::token::parse_date;

use super::fields::{Choice, Problems, SelectField, TextField};
use super::form::Form;
use super::projects::Head;
use super::tokens::Confirm;
use super::words::{self, Expiry, Moment};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};

/// How many members a page shows.
const PER_PAGE: i64 = 50;

struct MemberView {
    id: i64,
    name: String,
    username: String,
    initial: String,
    bot: bool,
    own: bool,
    role: &'static str,
    expires: Option<Expiry>,
    since: Moment,
    /// Through a group above, and to be changed there.
    inherited: bool,
    /// The roles to choose from; empty where there is nothing to change.
    roles: Vec<Choice>,
}

struct InviteForm {
    problem: Option<String>,
    username: TextField,
    role: SelectField,
    expires_at: TextField,
}

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    around: Around,
    head: Head,
    invite: Option<InviteForm>,
    members: Vec<MemberView>,
    total: i64,
    pages: Option<Pages>,
}

fn address_of(full_path: &str) -> String {
    format!("/{full_path}/-/project_members")
}

#[derive(Default)]
struct Typed<'a> {
    username: &'a str,
    role: Option<Role>,
    expires_at: &'a str,
}

async fn page(
    state: &AppState,
    access: &Authorized<act::ReadMembers>,
    around: Around,
    typed: Typed<'_>,
    problems: &Problems,
    problem: Option<String>,
) -> Result<MembersPage, PageError> {
    let (head, _) = Head::of(state, access, "members", &["Members"]).await?;
    let now = state.forge.now();
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found =
        members::list(&state.forge, access, Reach::Inherited, &MemberFilter::default(), window).await?;
    let filter = MemberFilter {
        users: found.items.iter().map(|member| member.user.id.0).collect(),
        ..MemberFilter::default()
    };
    let whole = Window { limit: PER_PAGE, offset: 0 };
    let direct = match filter.users.is_empty() {
        true => Vec::new(),
        false => members::list(&state.forge, access, Reach::Direct, &filter, whole).await?.items,
    };
    let administers = access.also::<act::AdministerMembers>().is_ok();
    let own_role = access.role();
    let own = access.viewer().identity().map(|identity| identity.user);
    let address = address_of(&head.full_path);
    let total = found.total.unwrap_or_default();
    let pages = Pages::of(number, PER_PAGE, total, |page| format!("{address}?page={page}"));
    let views = found.items.into_iter().map(|member| {
        let through = direct.iter().find(|direct| direct.user.id == member.user.id);
        let shown = through.unwrap_or(&member);
        let bot = member.user.kind == UserKind::ProjectBot;
        let changeable = administers && !bot && through.is_some() && Some(shown.role) <= own_role;
        view(shown, own, bot, through.is_none(), changeable.then_some(own_role).flatten(), now)
    });
    let members = views.collect();
    let invite = administers.then(|| InviteForm {
        problem,
        username: TextField::new("username", "Username")
            .with(typed.username)
            .wrong(problems.with("user_id", "The user")),
        role: SelectField {
            name: "access_level",
            label: "Role",
            hint: "",
            error: problems.with("access_level", "The role"),
            choices: words::roles(own_role, typed.role.unwrap_or(Role::Developer)),
        },
        expires_at: TextField::new("expires_at", "Until")
            .of_kind("date")
            .optional()
            .hint("The membership ends at 00:00 UTC of this date.")
            .with(typed.expires_at)
            .wrong(problems.with("expires_at", "The date")),
    });
    let around = around.of(state, access.viewer()).await?;
    Ok(MembersPage { around, head, invite, members, total, pages })
}

fn view(
    member: &Member,
    own: Option<UserId>,
    bot: bool,
    inherited: bool,
    highest: Option<Role>,
    now: i64,
) -> MemberView {
    let user = &member.user;
    MemberView {
        id: user.id.0,
        name: user.name.clone(),
        username: user.username.clone(),
        initial: user.name.chars().next().unwrap_or('?').to_uppercase().collect(),
        bot,
        own: Some(user.id) == own,
        role: member.role.name(),
        expires: member.expires_at.map(|at| Expiry::at(at, now)),
        since: Moment::at(member.created_at),
        inherited,
        roles: highest.map(|highest| words::roles(Some(highest), member.role)).unwrap_or_default(),
    }
}

/// Answers the project's members, inherited ones too.
pub async fn list(
    access: Authorized<act::ReadMembers>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page(&state, &access, around, Typed::default(), &Problems::default(), None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Adds a person by name.
pub async fn add(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    let typed = Typed {
        username: form.text("username").trim().trim_start_matches('@'),
        role: form.text("access_level").parse().ok().and_then(Role::from_level),
        expires_at: form.text("expires_at").trim(),
    };
    let (mut problems, mut problem) = (Problems::default(), None);
    let date = match typed.expires_at {
        "" => None,
        text => parse_date(text).or_else(|| {
            problems.add("expires_at", "is not a date such as 2030-01-31");
            None
        }),
    };
    if typed.role.is_none() {
        problems.add("access_level", "is none of those");
    }
    let users = authorize::<act::ReadUsers>(&state.forge, access.viewer().clone(), ()).await?;
    let users = users.map_err(|refused| PageError::refused(&refused))?;
    let user = match people::get_by_username(&state.forge, &users, typed.username).await {
        Ok(user) => Some(user),
        Err(Error::NotFound(_)) => {
            problems.add("user_id", "is not known here");
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let (Some(user), Some(role), true) = (user, typed.role, problems.is_empty()) {
        match members::add(&state.forge, &access, user.id, role, date).await {
            Ok(member) => {
                let said = format!("{} was added as {}.", member.user.name, member.role.name());
                sessions::set_notice(&state.forge, access.viewer(), &said).await?;
                return Ok(see_other(&address_of(&access.place().full_path)));
            }
            Err(Error::Invalid(fields)) => problems = Problems::of(fields),
            Err(Error::Conflict(_)) => problems.add("user_id", "is a member already"),
            Err(Error::Forbidden(text)) => problem = Some(text),
            Err(error) => return Err(error.into()),
        }
    }
    let page = page(&state, &access.also()?, around, typed, &problems, problem).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn user_id(path: &PathParts) -> Result<UserId, PageError> {
    path_text(path, "user_id").parse().map(UserId).map_err(|_| PageError::NotFound)
}

/// Changes a person's role.
pub async fn update(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    path: PathParts,
    form: Form,
) -> PageResult {
    let role = form.text("access_level").parse().ok().and_then(Role::from_level);
    let role = role
        .ok_or(PageError::Refused(StatusCode::UNPROCESSABLE_ENTITY, "There is no such role.".to_owned()))?;
    let member = members::update(&state.forge, &access, user_id(&path)?, role, None).await?;
    let said = format!("{} is {} now.", member.user.name, member.role.name());
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&address_of(&access.place().full_path)))
}

/// Asks before a person is removed.
pub async fn confirm(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let member =
        members::get(&state.forge, &access.also::<act::ReadMembers>()?, Reach::Direct, user_id(&path)?)
            .await?;
    if member.user.kind != UserKind::Person {
        return Err(PageError::NotFound);
    }
    let back = address_of(&access.place().full_path);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Remove {}?", member.user.name),
        text: removing(&member.user.username),
        action: format!("{back}/{}/remove", member.user.id),
        does: "Remove member",
        is_bad: true,
        back,
        date: None,
        number: None,
    };
    Ok(html(StatusCode::OK, &page))
}

fn removing(username: &str) -> String {
    format!("@{username} loses what the membership gave, at once. What they did stays.")
}

/// Removes a person.
pub async fn remove(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let back = address_of(&access.place().full_path);
    let said = match members::remove(&state.forge, &access, user_id(&path)?).await {
        Ok(()) => "The member was removed.",
        // In another window they were removed already.
        Err(Error::NotFound("Member")) => "They are no member any more.",
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&back))
}
