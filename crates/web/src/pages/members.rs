//! The members of a project or a group: people, whose roles and last days are changed here, and bots, who belong to their
//! tokens.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use portcullis_app::access::{Authorized, Viewer, authorize};
use portcullis_app::members::{MayAdminister, MayRead};
use portcullis_app::records::members::{Member, MemberFilter, Reach};
use portcullis_app::records::select::Window;
use portcullis_app::records::users::UserKind;
use portcullis_app::{Error, members, people, sessions, tokens};
use portcullis_rules::access::{Act, Role, act, on};
use portcullis_rules::id::{TokenId, UserId};
use portcullis_rules::token::{date_at, parse_date};

use super::confirm::Confirm;
use super::fields::{Choice, Problems, SelectField, TextField};
use super::form::Form;
use super::groups::GroupHead;
use super::projects::Head;
use super::tokens::TokenPages as _;
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
    /// The address of a bot's token, for who may see it.
    token: Option<String>,
    own: bool,
    role: &'static str,
    expires: Option<Expiry>,
    since: Moment,
    /// Through a group above, and to be changed there.
    inherited: bool,
    /// The roles to choose from; empty where there is nothing to change.
    roles: Vec<Choice>,
    /// The date until which the membership lasts, as it stands in the form.
    until: String,
    /// The same as it is now.
    until_now: String,
    /// Why what was sent was not done.
    problem: Option<String>,
}

struct InviteForm {
    username: TextField,
    role: SelectField,
    expires_at: TextField,
}

/// The forms and the list, the same for a project and a group.
#[derive(Template)]
#[template(path = "parts/members.html")]
struct MembersPart {
    address: String,
    /// `project` or `group`.
    of: &'static str,
    problem: Option<String>,
    invite: Option<InviteForm>,
    /// Whether the form to add somebody was sent and came back.
    open: bool,
    members: Vec<MemberView>,
    total: i64,
    pages: Option<Pages>,
}

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    around: Around,
    head: Head,
    part: MembersPart,
}

#[derive(Template)]
#[template(path = "group_members.html")]
struct GroupMembersPage {
    around: Around,
    head: GroupHead,
    part: MembersPart,
}

fn address_of_project(full_path: &str) -> String {
    format!("/{full_path}/-/project_members")
}

fn address_of_group(full_path: &str) -> String {
    format!("/groups/{full_path}/-/group_members")
}

/// What was typed to add somebody.
#[derive(Default)]
struct Typed<'a> {
    username: &'a str,
    role: Option<Role>,
    expires_at: &'a str,
}

/// What was sent about one member, and why it was not done.
struct Refused<'a> {
    user: UserId,
    role: Option<Role>,
    until: &'a str,
    problem: String,
    /// Whether the caller may never do it, rather than that something was typed wrongly.
    forbidden: bool,
}

/// What stands in the forms of a page that comes back.
#[derive(Default)]
struct Sent<'a> {
    typed: Typed<'a>,
    problems: Problems,
    problem: Option<String>,
    refused: Option<Refused<'a>>,
}

impl Sent<'_> {
    fn status(&self) -> StatusCode {
        match self.refused.as_ref().is_some_and(|refused| refused.forbidden) {
            true => StatusCode::FORBIDDEN,
            false => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// The permission to see the tokens of a project or a group.
enum MayListTokens {
    OfProject(Authorized<act::ListAccessTokens>),
    OfGroup(Authorized<act::ListGroupAccessTokens>),
}

/// What the members are members of, and what the caller may do there.
struct Home {
    of: &'static str,
    address: String,
    own_role: Option<Role>,
    administers: bool,
    /// The address of the tokens, for who may see them.
    tokens: Option<(String, MayListTokens)>,
}

impl Home {
    fn of_project<A: Act<On = on::Project>>(access: &Authorized<A>) -> Home {
        let full_path = &access.place().full_path;
        Home {
            of: "project",
            address: address_of_project(full_path),
            own_role: access.role(),
            administers: access.also::<act::AdministerMembers>().is_ok(),
            tokens: (access.also().ok())
                .map(|may| (on::Project::address(access.place()), MayListTokens::OfProject(may))),
        }
    }

    fn of_group<A: Act<On = on::Group>>(access: &Authorized<A>) -> Home {
        Home {
            of: "group",
            address: address_of_group(&access.namespace().full_path),
            own_role: access.role(),
            administers: access.also::<act::AdministerGroupMembers>().is_ok(),
            tokens: (access.also().ok())
                .map(|may| (on::Group::address(access.place()), MayListTokens::OfGroup(may))),
        }
    }

    /// Returns the addresses of the tokens of those bots whose home it is.
    async fn tokens_of(&self, state: &AppState, bots: &[UserId]) -> Result<Vec<(UserId, String)>, PageError> {
        let Some((address, may)) = &self.tokens else { return Ok(Vec::new()) };
        let forge = &state.forge;
        let found: Vec<(UserId, TokenId)> = match may {
            MayListTokens::OfProject(may) => tokens::of_bots::<on::Project>(forge, may, bots).await?,
            MayListTokens::OfGroup(may) => tokens::of_bots::<on::Group>(forge, may, bots).await?,
        };
        Ok(found.into_iter().map(|(bot, token)| (bot, format!("{address}/{token}"))).collect())
    }
}

fn is_bot(member: &Member) -> bool {
    member.user.kind == UserKind::ProjectBot
}

async fn part(
    state: &AppState,
    access: &impl MayRead,
    viewer: &Viewer,
    home: Home,
    around: &Around,
    sent: Sent<'_>,
) -> Result<MembersPart, PageError> {
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
    let bots: Vec<_> = direct.iter().filter(|member| is_bot(member)).map(|member| member.user.id).collect();
    let of_bots = home.tokens_of(state, &bots).await?;
    let own = viewer.identity().map(|identity| identity.user);
    let address = home.address.clone();
    let total = found.total.unwrap_or_default();
    let pages = Pages::of(number, PER_PAGE, total, |page| format!("{address}?page={page}"));
    let mut views = Vec::new();
    let mut refused = sent.refused;
    let open = sent.problem.is_some() || !sent.problems.is_empty();
    for member in found.items {
        let through = direct.iter().find(|direct| direct.user.id == member.user.id);
        let shown = through.unwrap_or(&member);
        let changeable =
            home.administers && !is_bot(&member) && through.is_some() && Some(shown.role) <= home.own_role;
        let highest = changeable.then_some(home.own_role).flatten();
        let mut view = view(shown, own, through.is_none(), highest, now);
        let token = of_bots.iter().find(|(bot, _)| *bot == shown.user.id);
        view.token = token.map(|(_, address)| address.clone());
        if changeable && let Some(refused) = refused.take_if(|refused| refused.user == shown.user.id) {
            view.roles = words::roles(highest, refused.role.unwrap_or(shown.role));
            refused.until.clone_into(&mut view.until);
            view.problem = Some(refused.problem);
        }
        views.push(view);
    }
    // Whoever it is about stands on another page of the list.
    let problem = sent.problem.or(refused.map(|refused| refused.problem.trim_end_matches('.').to_owned()));
    let (typed, problems) = (sent.typed, sent.problems);
    let invite = home.administers.then(|| InviteForm {
        username: TextField::new("username", "Username")
            .with(typed.username)
            .wrong(problems.with("user_id", "The user")),
        role: SelectField {
            name: "access_level",
            label: "Role",
            hint: "",
            error: problems.with("access_level", "The role"),
            choices: words::roles(home.own_role, typed.role.unwrap_or(Role::Developer)),
        },
        expires_at: TextField::new("expires_at", "Until")
            .of_kind("date")
            .optional()
            .hint("The membership ends at 00:00 UTC of this date.")
            .with(typed.expires_at)
            .wrong(problems.with("expires_at", "The date")),
    });
    Ok(MembersPart { address, of: home.of, problem, invite, open, members: views, total, pages })
}

fn view(
    member: &Member,
    own: Option<UserId>,
    inherited: bool,
    highest: Option<Role>,
    now: i64,
) -> MemberView {
    let user = &member.user;
    let until = member.expires_at.map(|at| date_at(at).to_string()).unwrap_or_default();
    MemberView {
        id: user.id.0,
        name: user.name.clone(),
        username: user.username.clone(),
        initial: user.name.chars().next().unwrap_or('?').to_uppercase().collect(),
        bot: is_bot(member),
        token: None,
        own: Some(user.id) == own,
        role: member.role.name(),
        expires: member.expires_at.map(|at| Expiry::at(at, now)),
        since: Moment::at(member.created_at),
        inherited,
        roles: highest.map(|highest| words::roles(Some(highest), member.role)).unwrap_or_default(),
        until_now: until.clone(),
        until,
        problem: None,
    }
}

async fn page_of_project(
    state: &AppState,
    access: &Authorized<act::ReadMembers>,
    around: Around,
    sent: Sent<'_>,
) -> Result<MembersPage, PageError> {
    let (head, _) = Head::of(state, access, "members", &["Members"]).await?;
    let part = part(state, access, access.viewer(), Home::of_project(access), &around, sent).await?;
    Ok(MembersPage { around: around.of(state, access.viewer()).await?, head, part })
}

async fn page_of_group(
    state: &AppState,
    access: &Authorized<act::ReadGroupMembers>,
    around: Around,
    sent: Sent<'_>,
) -> Result<GroupMembersPage, PageError> {
    let head = GroupHead::of(access, "members", &["Members"]);
    let part = part(state, access, access.viewer(), Home::of_group(access), &around, sent).await?;
    Ok(GroupMembersPage { around: around.of(state, access.viewer()).await?, head, part })
}

/// Answers the project's members, inherited ones too.
pub async fn list(
    access: Authorized<act::ReadMembers>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page_of_project(&state, &access, around, Sent::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Answers the group's members, inherited ones too.
pub async fn list_of_group(
    access: Authorized<act::ReadGroupMembers>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page_of_group(&state, &access, around, Sent::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Reads a date that may be left out.
fn read_date(text: &str, problems: &mut Problems) -> Option<Date> {
    let date = parse_date(text);
    if date.is_none() && !text.is_empty() {
        problems.add("expires_at", "is not a date such as 2030-01-31");
    }
    date
}

fn read_role(form: &Form) -> Option<Role> {
    form.text("access_level").parse().ok().and_then(Role::from_level)
}

/// Adds a person by name. Returns what is to be said, or the form as it comes back.
async fn try_add<'a>(
    state: &AppState,
    access: &impl MayAdminister,
    form: &'a Form,
) -> Result<Result<String, Sent<'a>>, PageError> {
    let typed = Typed {
        username: form.text("username").trim().trim_start_matches('@'),
        role: read_role(form),
        expires_at: form.text("expires_at").trim(),
    };
    let (mut problems, mut problem) = (Problems::default(), None);
    let date = read_date(typed.expires_at, &mut problems);
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
        match members::add(&state.forge, access, user.id, role, date).await {
            Ok(member) => {
                return Ok(Ok(format!("{} was added as {}.", member.user.name, member.role.name())));
            }
            Err(Error::Invalid(fields)) => problems = Problems::of(fields),
            Err(Error::Conflict(_)) => problems.add("user_id", "is a member already"),
            Err(Error::Forbidden(text)) => problem = Some(text),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Err(Sent { typed, problems, problem, refused: None }))
}

/// Goes back to the list, which says what was done.
async fn done(state: &AppState, viewer: &Viewer, said: &str, address: &str) -> PageResult {
    sessions::set_notice(&state.forge, viewer, said).await?;
    Ok(see_other(address))
}

/// Adds a person to a project.
pub async fn add(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    match try_add(&state, &access, &form).await? {
        Ok(said) => {
            done(&state, access.viewer(), &said, &address_of_project(&access.place().full_path)).await
        }
        Err(sent) => {
            let page = page_of_project(&state, &access.also()?, around, sent).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

/// Adds a person to a group.
pub async fn add_to_group(
    access: Authorized<act::AdministerGroupMembers>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    match try_add(&state, &access, &form).await? {
        Ok(said) => {
            done(&state, access.viewer(), &said, &address_of_group(&access.namespace().full_path)).await
        }
        Err(sent) => {
            let page = page_of_group(&state, &access.also()?, around, sent).await?;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

fn user_id(path: &PathParts) -> Result<UserId, PageError> {
    path_text(path, "user_id").parse().map(UserId).map_err(|_| PageError::NotFound)
}

/// Changes a person's role and the date until which they are a member; a date that was not sent, or not touched, stays.
async fn try_update<'a>(
    state: &AppState,
    access: &impl MayAdminister,
    path: &PathParts,
    form: &'a Form,
) -> Result<Result<String, Sent<'a>>, PageError> {
    let user = user_id(path)?;
    let (role, until) = (read_role(form), form.all("expires_at").next().map(str::trim));
    let touched = until.filter(|until| *until != form.text("expires_at_now"));
    let (mut problems, mut forbidden) = (Problems::default(), false);
    if role.is_none() {
        problems.add("access_level", "is none of those");
    }
    let date = touched.map(|until| read_date(until, &mut problems));
    if let Some(role) = role.filter(|_| problems.is_empty()) {
        match members::update(&state.forge, access, user, role, date).await {
            Ok(member) => {
                let until = member.expires_at.map(|at| format!(", until {}", date_at(at)));
                let (name, role) = (member.user.name, member.role.name());
                return Ok(Ok(format!("{name} is {role} now{}.", until.unwrap_or_default())));
            }
            Err(Error::Invalid(fields)) => problems = Problems::of(fields),
            Err(Error::Forbidden(text)) => {
                problems.add("form", text);
                forbidden = true;
            }
            // In another window they were removed.
            Err(Error::NotFound("Member")) => return Ok(Ok("They are no member any more.".to_owned())),
            Err(error) => return Err(error.into()),
        }
    }
    let said = [("access_level", "The role"), ("expires_at", "The date"), ("form", "")];
    let said: Vec<_> = said.iter().filter_map(|(field, label)| problems.with(field, label)).collect();
    let problem = said.join(" ").trim().to_owned();
    let refused = Refused { user, role, until: until.unwrap_or_default(), problem, forbidden };
    Ok(Err(Sent { refused: Some(refused), ..Sent::default() }))
}

/// Changes a member of a project.
pub async fn update(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    match try_update(&state, &access, &path, &form).await? {
        Ok(said) => {
            done(&state, access.viewer(), &said, &address_of_project(&access.place().full_path)).await
        }
        Err(sent) => {
            let status = sent.status();
            let page = page_of_project(&state, &access.also()?, around, sent).await?;
            Ok(html(status, &page))
        }
    }
}

/// Changes a member of a group.
pub async fn update_of_group(
    access: Authorized<act::AdministerGroupMembers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    match try_update(&state, &access, &path, &form).await? {
        Ok(said) => {
            done(&state, access.viewer(), &said, &address_of_group(&access.namespace().full_path)).await
        }
        Err(sent) => {
            let status = sent.status();
            let page = page_of_group(&state, &access.also()?, around, sent).await?;
            Ok(html(status, &page))
        }
    }
}

async fn question(
    state: &AppState,
    access: &impl MayRead,
    around: Around,
    path: &PathParts,
    back: String,
) -> Result<Confirm, PageError> {
    let member = members::get(&state.forge, access, Reach::Direct, user_id(path)?).await?;
    if member.user.kind != UserKind::Person {
        return Err(PageError::NotFound);
    }
    Ok(Confirm {
        around,
        heading: format!("Remove {}?", member.user.name),
        text: removing(&member.user.username),
        action: format!("{back}/{}/remove", member.user.id),
        does: "Remove member",
        is_bad: true,
        back,
        date: None,
    })
}

/// Asks before a person is removed from a project.
pub async fn confirm(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let around = around.of(&state, access.viewer()).await?;
    let back = address_of_project(&access.place().full_path);
    let page = question(&state, &access.also::<act::ReadMembers>()?, around, &path, back).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Asks before a person is removed from a group.
pub async fn confirm_of_group(
    access: Authorized<act::AdministerGroupMembers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let around = around.of(&state, access.viewer()).await?;
    let back = address_of_group(&access.namespace().full_path);
    let page = question(&state, &access.also::<act::ReadGroupMembers>()?, around, &path, back).await?;
    Ok(html(StatusCode::OK, &page))
}

fn removing(username: &str) -> String {
    format!("@{username} loses what the membership gave, at once. What they did stays.")
}

async fn try_remove(
    state: &AppState,
    access: &impl MayAdminister,
    path: &PathParts,
) -> Result<&'static str, PageError> {
    match members::remove(&state.forge, access, user_id(path)?).await {
        Ok(()) => Ok("The member was removed."),
        // In another window they were removed already.
        Err(Error::NotFound("Member")) => Ok("They are no member any more."),
        Err(error) => Err(error.into()),
    }
}

/// Removes a person from a project.
pub async fn remove(
    access: Authorized<act::AdministerMembers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let said = try_remove(&state, &access, &path).await?;
    done(&state, access.viewer(), said, &address_of_project(&access.place().full_path)).await
}

/// Removes a person from a group.
pub async fn remove_from_group(
    access: Authorized<act::AdministerGroupMembers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let said = try_remove(&state, &access, &path).await?;
    done(&state, access.viewer(), said, &address_of_group(&access.namespace().full_path)).await
}
