//! Administration › Users: people, who are created, blocked and deleted here, and bots, who belong to their tokens.

use std::slice;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use portcullis_app::access::Authorized;
use portcullis_app::people::{self, NewPersonRequest};
use portcullis_app::personal_tokens;
use portcullis_app::records::access_tokens::{AccessToken, TokenFilter, TokenOrder};
use portcullis_app::records::members::{Membership, Place};
use portcullis_app::records::select::Window;
use portcullis_app::records::users::{Account, UserFilter, UserKind};
use portcullis_app::{Error, second_factor, sessions};
use portcullis_rules::access::act;
use portcullis_rules::bot::Home;
use portcullis_rules::id::UserId;
use portcullis_rules::secret::TokenSecret;
use portcullis_rules::token::State as TokenState;

use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::pages::confirm::Confirm;
use crate::pages::fields::{Problems, TextField, Tick, Ticks};
use crate::pages::form::Form;
use crate::pages::words::{Expiry, Moment};
use crate::pages::{Around, PageError, PageResult, Pages, html, see_other};
use crate::pagination::encoded;

const ADDRESS: &str = "/admin/users";

/// How many users a page shows.
const PER_PAGE: i64 = 50;

/// How many memberships, and how many tokens, the page of a user shows.
const SHOWN_OF_USER: i64 = 100;

/// What is said of a form that comes a second time.
const SENT_BEFORE: &str =
    "This form was sent before, so nothing was done again. A link that it made then was shown that once.";

/// What the list can be narrowed to: the word in the address, and what is read.
const SHOWN: [(&str, &str); 6] = [
    ("", "All"),
    ("people", "People"),
    ("bots", "Bots"),
    ("blocked", "Blocked"),
    ("administrators", "Administrators"),
    ("external", "External"),
];

fn filter(show: &str, search: &str) -> UserFilter {
    UserFilter {
        search: (!search.is_empty()).then(|| search.to_owned()),
        kind: match show {
            "people" | "blocked" | "external" => Some(UserKind::Person),
            "bots" => Some(UserKind::ProjectBot),
            _ => None,
        },
        blocked: (show == "blocked").then_some(true),
        administrators: show == "administrators",
        external: (show == "external").then_some(true),
        ..UserFilter::default()
    }
}

/// What a bot belongs to.
struct HomeView {
    kind: &'static str,
    path: String,
    /// Its page, while it is there.
    address: Option<String>,
    /// The page of its tokens, if it has one.
    tokens: Option<String>,
}

impl HomeView {
    fn of(home: Home, path: Option<String>) -> HomeView {
        let (kind, number) = (home.kind(), home.number());
        let Some(path) = path else {
            let path = format!("number {number}, which is gone");
            return HomeView { kind, path, address: None, tokens: None };
        };
        let (address, tokens) = match home {
            Home::Project(_) => (format!("/{path}"), Some(format!("/{path}/-/settings/access_tokens"))),
            Home::Group(_) => {
                (format!("/groups/{path}"), Some(format!("/groups/{path}/-/settings/access_tokens")))
            }
        };
        HomeView { kind, path, address: Some(address), tokens }
    }
}

struct AccountView {
    id: i64,
    name: String,
    username: String,
    email: String,
    bot: bool,
    ghost: bool,
    own: bool,
    administrator: bool,
    external: bool,
    blocked: bool,
    leaving: bool,
    seat: bool,
    home: Option<HomeView>,
    since: Moment,
    active: Option<Moment>,
}

impl AccountView {
    fn of(account: Account, own: UserId) -> AccountView {
        let seat = account.is_seat();
        let user = account.user;
        AccountView {
            id: user.id.0,
            bot: user.kind == UserKind::ProjectBot,
            ghost: user.kind == UserKind::Ghost,
            own: user.id == own,
            administrator: user.administrator,
            // Every bot is, away from its home; that is no choice of anybody.
            external: user.external && user.kind == UserKind::Person,
            blocked: user.blocked,
            leaving: account.leaving,
            seat,
            home: account.home.map(|(home, path)| HomeView::of(home, path)),
            since: Moment::at(user.created_at),
            active: account.last_active_at.map(Moment::at),
            name: user.name,
            username: user.username,
            email: user.email,
        }
    }

    fn is_person(&self) -> bool {
        !self.bot && !self.ghost
    }
}

#[derive(Template)]
#[template(path = "admin_users.html")]
struct UsersPage {
    around: Around,
    search: String,
    show: String,
    users: Vec<AccountView>,
    total: Option<i64>,
    pages: Option<Pages>,
}

/// Answers every user there is.
pub async fn list(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let search = around.query("search").trim().to_owned();
    let show = around.query("show").to_owned();
    let number = around.page("page");
    let window = Window { limit: PER_PAGE, offset: (number - 1) * PER_PAGE };
    let found = people::list_accounts(&state.forge, &access, &filter(&show, &search), window).await?;
    let total = found.total;
    let pages = Pages::of(number, PER_PAGE, total.unwrap_or(10_000), |page| {
        format!("{ADDRESS}?page={page}&show={}&search={}", encoded(&show), encoded(&search))
    });
    let own = access.identity()?.user;
    let page = UsersPage {
        users: found.map(|account| AccountView::of(account, own)).items,
        around: around.of(&state, access.viewer()).await?,
        search,
        show,
        total,
        pages,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "admin_user_new.html")]
struct NewUserPage {
    around: Around,
    said: Option<&'static str>,
    number: String,
    username: TextField,
    name: TextField,
    email: TextField,
    traits: Ticks,
}

async fn new_page(
    state: &AppState,
    access: &Authorized<act::AdministerUsers>,
    around: Around,
    typed: Option<&Form>,
    problems: &Problems,
    said: Option<&'static str>,
) -> Result<NewUserPage, PageError> {
    let text = |name: &str| typed.map_or("", |form| form.text(name)).to_owned();
    let ticks = [
        ("external", "External", "They see internal projects only where they are a member, and create none."),
        ("administrator", "Administrator", "They see and change everything on this forge."),
    ];
    let ticks = ticks.map(|(value, label, says)| Tick {
        value: value.to_owned(),
        label: label.to_owned(),
        says: says.to_owned(),
        ticked: typed.is_some_and(|form| form.all("traits[]").any(|ticked| ticked == value)),
    });
    Ok(NewUserPage {
        said,
        number: sessions::form_number(&state.forge),
        username: TextField::new("username", "Username")
            .hint("Their name in addresses and mentions, and the path of their own namespace.")
            .with(text("username"))
            .wrong(problems.with("username", "The username")),
        name: TextField::new("name", "Name")
            .optional()
            .hint("The name people read. Without one it is the username.")
            .with(text("name"))
            .wrong(problems.with("name", "The name")),
        email: TextField::new("email", "Mail address")
            .of_kind("email")
            .with(text("email"))
            .wrong(problems.with("email", "The address")),
        traits: Ticks {
            name: "traits[]",
            id: "traits",
            legend: "What they are",
            hint: "",
            error: None,
            kind: "checkbox",
            ticks: ticks.into(),
        },
        around: around.of(state, access.viewer()).await?,
    })
}

/// Answers the form for a new person.
pub async fn form(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = new_page(&state, &access, around, None, &Problems::default(), None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Creates a person, and answers with the link to choose a password.
pub async fn create(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
    form: Form,
) -> PageResult {
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let page = new_page(&state, &access, around, None, &Problems::default(), Some(SENT_BEFORE)).await?;
        return Ok(html(StatusCode::CONFLICT, &page));
    }
    let name = form.text("name").trim();
    let ticked = |value: &str| form.all("traits[]").any(|ticked| ticked == value);
    let request = NewPersonRequest {
        username: form.text("username").trim().to_owned(),
        name: (!name.is_empty()).then(|| name.to_owned()),
        email: form.text("email").trim().to_owned(),
        password: None,
        administrator: ticked("administrator"),
        external: ticked("external"),
    };
    let problems = match people::create(&state.forge, &access, request).await {
        Ok(user) => {
            let secret = sessions::make_password_link(&state.forge, &access, &user.username).await?;
            let link = Link::of(&around, &secret, true);
            let page = user_page(&state, &access, around, user.id, Some(link), None).await?;
            return Ok(html(StatusCode::OK, &page));
        }
        Err(Error::Invalid(fields)) => Problems::of(fields),
        Err(Error::Conflict(text)) => {
            let mut problems = Problems::default();
            match text.strip_prefix("Email ") {
                Some(rest) => problems.add("email", rest),
                None => problems.add("username", text.strip_prefix("Username ").unwrap_or(&text)),
            }
            problems
        }
        Err(error) => return Err(error.into()),
    };
    let page = new_page(&state, &access, around, Some(&form), &problems, None).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// A link to choose a password, which is shown once.
struct Link {
    address: String,
    /// Whether the person was made with it.
    created: bool,
}

impl Link {
    fn of(around: &Around, secret: &TokenSecret, created: bool) -> Link {
        let base = &around.base.0;
        Link {
            address: format!("{base}/users/password/edit?reset_password_token={}", secret.reveal()),
            created,
        }
    }
}

struct MembershipView {
    path: String,
    address: String,
    kind: &'static str,
    role: &'static str,
    since: Moment,
    expires: Option<Expiry>,
}

impl MembershipView {
    fn of(membership: Membership, now: i64) -> MembershipView {
        let path = membership.full_path;
        let (kind, address) = match membership.place {
            Place::Project(_) => ("Project", format!("/{path}")),
            Place::Namespace(_) => ("Group", format!("/groups/{path}")),
        };
        MembershipView {
            path,
            address,
            kind,
            role: membership.role.name(),
            since: Moment::at(membership.created_at),
            expires: membership.expires_at.map(|at| Expiry::at(at, now)),
        }
    }
}

struct TokenView {
    id: i64,
    name: String,
    scopes: Vec<&'static str>,
    created: Moment,
    used: Option<Moment>,
    expires: Option<Expiry>,
    state: &'static str,
}

impl TokenView {
    fn of(token: AccessToken, now: i64) -> TokenView {
        TokenView {
            id: token.id.0,
            scopes: token.scopes.names().collect(),
            created: Moment::at(token.created_at),
            used: token.last_used_at.map(Moment::at),
            expires: token.lifetime.expires_at.map(|at| Expiry::at(at, now)),
            state: match token.lifetime.state(now) {
                TokenState::Active => "Active",
                TokenState::Expired => "Expired",
                TokenState::Revoked => "Revoked",
            },
            name: token.name,
        }
    }
}

#[derive(Template)]
#[template(path = "admin_user.html")]
struct UserPage {
    around: Around,
    account: AccountView,
    /// Whether they have a second factor.
    second_factor: bool,
    link: Option<Link>,
    said: Option<&'static str>,
    /// Of the form for a new link.
    number: String,
    memberships: Vec<MembershipView>,
    membership_count: Option<i64>,
    tokens: Vec<TokenView>,
    token_count: Option<i64>,
}

impl UserPage {
    /// Whether there is anything to be done about them here.
    fn changeable(&self) -> bool {
        self.account.is_person() && !self.account.own && !self.account.leaving
    }
}

async fn user_page(
    state: &AppState,
    access: &Authorized<act::AdministerUsers>,
    around: Around,
    id: UserId,
    link: Option<Link>,
    said: Option<&'static str>,
) -> Result<UserPage, PageError> {
    let (forge, now) = (&state.forge, state.forge.now());
    let account = people::get_account(forge, access, id).await?;
    let holders =
        second_factor::holders_among(forge, access.viewer(), slice::from_ref(&account.user)).await?;
    let window = Window { limit: SHOWN_OF_USER, offset: 0 };
    let memberships = people::memberships(forge, access, id, window).await?;
    let reading = access.also::<act::ReadPersonalAccessTokens>()?;
    let order = TokenFilter { order: TokenOrder::CreatedDescending, ..TokenFilter::default() };
    let tokens = personal_tokens::list(forge, &reading, Some(id), &order, window).await?;
    Ok(UserPage {
        account: AccountView::of(account, access.identity()?.user),
        second_factor: !holders.is_empty(),
        link,
        said,
        number: sessions::form_number(forge),
        membership_count: memberships.total,
        memberships: memberships.map(|membership| MembershipView::of(membership, now)).items,
        token_count: tokens.total,
        tokens: tokens.map(|token| TokenView::of(token, now)).items,
        around: around.of(state, access.viewer()).await?,
    })
}

fn user_id(path: &PathParts) -> Result<UserId, PageError> {
    path_text(path, "user_id").parse().map(UserId).map_err(|_| PageError::NotFound)
}

fn address_of(id: UserId) -> String {
    format!("{ADDRESS}/{id}")
}

/// Answers a user with what they are a member of and their tokens.
pub async fn show(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let page = user_page(&state, &access, around, user_id(&path)?, None, None).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Blocks a person.
pub async fn block(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = user_id(&path)?;
    let said = match people::block(&state.forge, &access, id).await? {
        true => "Blocked: they were signed out, and none of their tokens works any more.",
        false => "They were blocked already.",
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of(id)))
}

/// Ends a block.
pub async fn unblock(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = user_id(&path)?;
    let said = match people::unblock(&state.forge, &access, id).await? {
        true => "Unblocked: they can sign in, and their tokens work again.",
        false => "They are not blocked.",
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of(id)))
}

/// Takes a person's second factor away.
pub async fn remove_second_factor(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = user_id(&path)?;
    let said = match second_factor::remove_of(&state.forge, &access, id).await? {
        true => {
            "The second factor is gone: their password alone signs them in, until they set another one up."
        }
        false => "They have no second factor.",
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(&address_of(id)))
}

/// Makes a link with which a person chooses a password, and answers with it.
pub async fn password_link(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let id = user_id(&path)?;
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let page = user_page(&state, &access, around, id, None, Some(SENT_BEFORE)).await?;
        return Ok(html(StatusCode::CONFLICT, &page));
    }
    let username = people::get_account(&state.forge, &access, id).await?.user.username;
    let secret = sessions::make_password_link(&state.forge, &access, &username).await?;
    let link = Link::of(&around, &secret, false);
    let page = user_page(&state, &access, around, id, Some(link), None).await?;
    Ok(html(StatusCode::OK, &page))
}

fn deleting(username: &str) -> String {
    format!(
        "@{username} is signed out and blocked at once, and their tokens and the projects in their own namespace are \
         deleted. What else they did stays and becomes the Ghost User's. This cannot be undone."
    )
}

/// Asks before a person is deleted.
pub async fn confirm(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let id = user_id(&path)?;
    let account = people::get_account(&state.forge, &access, id).await?;
    if account.user.kind != UserKind::Person || account.leaving {
        return Err(PageError::NotFound);
    }
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Delete {}?", account.user.name),
        text: deleting(&account.user.username),
        action: format!("{}/delete", address_of(id)),
        does: "Delete user",
        is_bad: true,
        back: address_of(id),
        date: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes a person.
pub async fn delete(
    access: Authorized<act::AdministerUsers>,
    State(state): State<AppState>,
    path: PathParts,
    _form: Form,
) -> PageResult {
    let id = user_id(&path)?;
    let said = match people::delete(&state.forge, &access, id).await {
        Ok(()) => "The user is blocked and being deleted. What they did becomes the Ghost User's.",
        // In another window they were deleted already.
        Err(Error::NotFound("User")) => "There is no such user any more.",
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), said).await?;
    Ok(see_other(ADDRESS))
}
