//! Project › Settings › Access Tokens: what the forge is about, by hand.
//!
//! A secret is in one answer: that to the form which made the token. The answer is the page itself and never kept, because
//! a hand-over in memory would be lost between processes; a form carries a number and is acted on once, so that sending it
//! again, which a reload does, makes no second token and shows no secret.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use portcullis_app::access::{Authorized, authorize};
use portcullis_app::records::access_tokens::{AccessToken, TokenFilter, TokenOrder};
use portcullis_app::records::members::Reach;
use portcullis_app::records::select::Window;
use portcullis_app::tokens::{self, Created, Creation, NewTokenRequest};
use portcullis_app::{Error, members, sessions};
use portcullis_rules::access::{Role, ScopeSet, act, on};
use portcullis_rules::id::TokenId;
use portcullis_rules::names::IdOrPath;
use portcullis_rules::token::{State as TokenState, parse_date};

use super::fields::{Problems, SelectField, TextField, Ticks};
use super::form::Form;
use super::projects::Head;
use super::words::{self, Expiry, Moment};
use super::{Around, PageError, PageResult, Pages, html, see_other};
use crate::AppState;
use crate::api::{PathParts, path_text};
use crate::guard::Attempt;

/// How many tokens a table shows at once.
pub(super) const PER_PAGE: i64 = 20;

/// What is asked before a token is revoked.
pub(super) const REVOKING: &str =
    "Whatever uses this token stops working with its next request. This cannot be undone.";

/// What is said of a form that comes a second time.
const SENT_BEFORE: &str = "This form was sent before, so nothing was made again. If it made a token then, the token is in \
     the list below; its secret was shown that once and is not shown again.";

/// A row of a table of tokens.
pub(super) struct TokenRow {
    id: i64,
    name: String,
    description: Option<String>,
    scopes: Vec<&'static str>,
    created: Moment,
    used: Option<Moment>,
    expires: Option<Expiry>,
    role: Option<&'static str>,
    state: &'static str,
}

impl TokenRow {
    fn of(token: AccessToken, now: i64) -> TokenRow {
        TokenRow {
            id: token.id.0,
            state: match token.lifetime.state(now) {
                TokenState::Active => "Active",
                TokenState::Expired => "Expired",
                TokenState::Revoked => "Revoked",
            },
            name: token.name,
            description: token.description,
            scopes: token.scopes.names().collect(),
            created: Moment::at(token.created_at),
            used: token.last_used_at.map(Moment::at),
            expires: token.lifetime.expires_at.map(|at| Expiry::at(at, now)),
            role: token.role.map(Role::name),
        }
    }
}

/// A column of a table, and where to have it sorted.
struct Column {
    label: &'static str,
    /// The address of the same list in the order of this column.
    address: Option<String>,
    /// `ascending` or `descending`, where it is in that order now.
    sorted: Option<&'static str>,
}

/// A table of tokens.
#[derive(Template)]
#[template(path = "parts/token_table.html")]
pub(super) struct TokenTable {
    pub rows: Vec<TokenRow>,
    columns: Vec<Column>,
    /// The address of the list; below it are the questions about each token.
    address: String,
    active: bool,
    of_project: bool,
    may_rotate: bool,
    pages: Option<Pages>,
}

/// How a list of tokens is asked for: the word of its order, and which pages of its two tables.
pub(super) struct Asked {
    sort: String,
    order: TokenOrder,
    page: i64,
    inactive_page: i64,
}

impl Asked {
    pub(super) fn of(around: &Around) -> Asked {
        let (sort, order) = match TokenOrder::from_name(around.query("sort")) {
            Some(order) => (around.query("sort").to_owned(), order),
            None => ("expires_asc".to_owned(), TokenOrder::ExpiresAscending),
        };
        Asked { sort, order, page: around.page("page"), inactive_page: around.page("inactive_page") }
    }

    /// Returns the filter and the window of one of the two tables.
    pub(super) fn of_table(&self, active: bool) -> (TokenFilter, Window) {
        let order = if active { self.order } else { TokenOrder::CreatedDescending };
        let page = if active { self.page } else { self.inactive_page };
        let filter = TokenFilter { active: Some(active), order, ..TokenFilter::default() };
        (filter, Window { limit: PER_PAGE, offset: (page - 1) * PER_PAGE })
    }
}

impl TokenTable {
    pub(super) fn new(
        found: portcullis_app::records::select::Listing<AccessToken>,
        asked: &Asked,
        active: bool,
        of_project: bool,
        may_rotate: bool,
        address: &str,
        now: i64,
    ) -> TokenTable {
        let (sort, page, inactive_page) = (&asked.sort, asked.page, asked.inactive_page);
        let number = if active { page } else { inactive_page };
        let pages = Pages::of(number, PER_PAGE, found.total.unwrap_or(10_000), |to| {
            let (page, inactive_page) = if active { (to, inactive_page) } else { (page, to) };
            format!("{address}?sort={sort}&page={page}&inactive_page={inactive_page}")
        });
        let column = |label, word: &str| {
            let (up, down) = (format!("{word}_asc"), format!("{word}_desc"));
            let sorted = match () {
                () if !active || word.is_empty() => None,
                () if *sort == up => Some("ascending"),
                () if *sort == down => Some("descending"),
                () => None,
            };
            let to = if sorted == Some("ascending") { down } else { up };
            Column {
                label,
                address: (active && !word.is_empty()).then(|| format!("{address}?sort={to}")),
                sorted,
            }
        };
        let mut columns = vec![
            column("Token name", "name"),
            column("Scopes", ""),
            column("Created", "created"),
            column("Last Used", "last_used"),
            column("Expires", "expires"),
        ];
        if of_project {
            columns.push(column("Role", ""));
        }
        columns.push(column(if active { "Action" } else { "State" }, ""));
        let rows = found.items.into_iter().map(|token| TokenRow::of(token, now)).collect();
        TokenTable { rows, columns, address: address.to_owned(), active, of_project, may_rotate, pages }
    }
}

/// A command to be copied, with a secret in it.
pub(super) struct Snippet {
    id: &'static str,
    label: &'static str,
    text: String,
}

/// A token that was made just now, with its secret.
#[derive(Template)]
#[template(path = "parts/fresh_token.html")]
pub(super) struct Fresh {
    name: String,
    secret: String,
    list_address: String,
    snippets: Vec<Snippet>,
}

/// What the commands are about that stand below a new secret.
pub(super) struct UsedFor<'a> {
    /// The start of addresses.
    pub base: &'a str,
    /// The name the token acts under.
    pub username: &'a str,
    /// The project, if it is the token of one: its id and its path.
    pub project: Option<(i64, &'a str)>,
}

impl Fresh {
    pub(super) fn of(created: &Created, about: &UsedFor<'_>, list_address: &str) -> Fresh {
        let secret = created.secret.reveal();
        let scopes = created.token.scopes;
        let (base, username) = (about.base, about.username);
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        let scheme = base.split_once("://").map_or("https", |(scheme, _)| scheme);
        let path = about.project.map_or("group/project", |(_, path)| path);
        let reads = ScopeSet::API | ScopeSet::READ_API;
        let git = reads | ScopeSet::READ_REPOSITORY | ScopeSet::WRITE_REPOSITORY;
        let images = reads | ScopeSet::READ_REGISTRY | ScopeSet::WRITE_REGISTRY;
        let mut snippets = Vec::new();
        if scopes.intersects(git) {
            let text = format!("git clone {scheme}://{username}:{secret}@{host}/{path}.git");
            snippets.push(Snippet { id: "for-git", label: "Git", text });
        }
        if scopes.intersects(reads) {
            let what = about.project.map_or("user".to_owned(), |(id, _)| format!("projects/{id}"));
            let text = format!("curl --header \"PRIVATE-TOKEN: {secret}\" \"{base}/api/v4/{what}\"");
            snippets.push(Snippet { id: "for-curl", label: "REST API", text });
        }
        if scopes.intersects(images) {
            let text =
                format!("echo \"{secret}\" | docker login {host} --username {username} --password-stdin");
            snippets.push(Snippet { id: "for-docker", label: "Docker", text });
            let text = format!(
                "kubectl create secret docker-registry portcullis-pull \\\n  --docker-server={host} \\\n  \
                 --docker-username={username} \\\n  --docker-password={secret}"
            );
            snippets.push(Snippet { id: "for-kubernetes", label: "Kubernetes pull secret", text });
        }
        Fresh {
            name: created.token.name.clone(),
            secret: secret.to_owned(),
            list_address: list_address.to_owned(),
            snippets,
        }
    }
}

/// The form for a new token, of a project or of oneself.
#[derive(Template)]
#[template(path = "parts/token_form.html")]
pub(super) struct TokenForm {
    action: String,
    number: String,
    button: &'static str,
    problem: Option<String>,
    name: TextField,
    description: TextField,
    expires_at: TextField,
    role: Option<SelectField>,
    scopes: Ticks,
    /// Whether it was sent and came back.
    open: bool,
}

/// What was typed into the form.
#[derive(Default)]
pub(super) struct Typed {
    pub name: String,
    pub description: String,
    pub expires_at: String,
    pub role: Option<i64>,
    pub scopes: Vec<String>,
}

impl Typed {
    pub(super) fn of(form: &Form) -> Typed {
        Typed {
            name: form.text("name").to_owned(),
            description: form.text("description").to_owned(),
            expires_at: form.text("expires_at").trim().to_owned(),
            role: form.text("access_level").parse().ok(),
            scopes: form.all("scopes[]").map(str::to_owned).collect(),
        }
    }

    /// Reads the date, which may be left out.
    pub(super) fn date(&self, problems: &mut Problems) -> Option<Date> {
        if self.expires_at.is_empty() {
            return None;
        }
        let date = parse_date(&self.expires_at);
        if date.is_none() {
            problems.add("expires_at", "is not a date such as 2030-01-31");
        }
        date
    }

    /// Reads the scopes; each must be one of `allowed`.
    pub(super) fn scopes(&self, allowed: ScopeSet, problems: &mut Problems) -> ScopeSet {
        ScopeSet::parse(self.scopes.iter().map(String::as_str), allowed).unwrap_or_else(|_| {
            problems.add("scopes", "hold one that such a token cannot have");
            ScopeSet::empty()
        })
    }
}

/// What is wrong with a form as a whole, and with its fields.
#[derive(Default)]
pub(super) struct Wrong {
    pub problem: Option<String>,
    pub problems: Problems,
}

impl Wrong {
    /// Returns what a use case refused, or passes an error on that is not about what was typed.
    pub(super) fn of(error: Error) -> Result<Wrong, PageError> {
        match error {
            Error::Invalid(fields) => Ok(Wrong { problem: None, problems: Problems::of(fields) }),
            // Only the date's refusals begin like that; they name the field.
            Error::BadRequest(text) => {
                match text.strip_prefix("Expires at ").or(text.strip_prefix("expires_at ")) {
                    Some(rest) => {
                        let mut problems = Problems::default();
                        problems.add("expires_at", rest);
                        Ok(Wrong { problem: None, problems })
                    }
                    None => Ok(Wrong { problem: Some(text), problems: Problems::default() }),
                }
            }
            other => Err(other.into()),
        }
    }
}

/// Which kind of token a form makes.
pub(super) struct FormKind {
    pub action: String,
    pub button: &'static str,
    pub offered: ScopeSet,
    /// The highest role there is to choose, of a project's token.
    pub highest: Option<Role>,
}

impl TokenForm {
    pub(super) fn new(state: &AppState, kind: FormKind, typed: Option<&Typed>, wrong: Wrong) -> TokenForm {
        let nothing = Typed::default();
        let open = typed.is_some();
        let typed = typed.unwrap_or(&nothing);
        let settings = state.forge.settings();
        let requires_date = settings.require_token_expiry || settings.max_token_lifetime_days.is_some();
        let problems = &wrong.problems;
        let chosen =
            typed.role.and_then(Role::from_level).or(kind.highest.map(|role| role.min(Role::Maintainer)));
        let expires_at = TextField::new("expires_at", "Expiration date")
            .of_kind("date")
            .hint(if requires_date {
                "The token is dead from the first minute of this date, at 00:00 UTC."
            } else {
                "The token is dead from the first minute of this date, at 00:00 UTC. Without one it never expires."
            })
            .with(&*typed.expires_at)
            .wrong(problems.with("expires_at", "The date"));
        TokenForm {
            open,
            action: kind.action,
            number: sessions::form_number(&state.forge),
            button: kind.button,
            problem: wrong.problem,
            name: TextField::new("name", "Token name")
                .hint("Say what uses it, such as “release robot”. Everybody who sees the project can read the name, so no secrets.")
                .with(&*typed.name)
                .wrong(problems.with("name", "The name")),
            description: TextField::new("description", "Description")
                .optional()
                .with(&*typed.description)
                .wrong(problems.with("description", "The description")),
            expires_at: if requires_date { expires_at } else { expires_at.optional() },
            role: kind.highest.map(|highest| SelectField {
                name: "access_level",
                label: "Role",
                hint: "What the token's bot may do in this project. Never more than you.",
                error: problems.with("access_level", "The role"),
                choices: words::roles(Some(highest), chosen.unwrap_or(Role::Guest)),
            }),
            scopes: Ticks {
                name: "scopes[]",
                id: "scopes",
                legend: "Scopes",
                hint: "What the token can be used for. Choose as little as will do.",
                error: problems.with("scopes", "The scopes"),
                kind: "checkbox",
                ticks: words::scopes(kind.offered, &typed.scopes),
            },
        }
    }
}

/// Why there is no form.
enum NoForm {
    Off,
    NotInPlan,
    ClosedByGroup {
        /// The address of the group's settings, for who may change them.
        settings: Option<String>,
    },
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    around: Around,
    head: Head,
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    form: Option<TokenForm>,
    no_form: Option<NoForm>,
    count: i64,
    active: TokenTable,
    inactive: TokenTable,
}

pub(super) fn address_of(full_path: &str) -> String {
    format!("/{full_path}/-/settings/access_tokens")
}

/// What stands on the page besides the tables.
#[derive(Default)]
struct Above {
    fresh: Option<Fresh>,
    said: Option<&'static str>,
    typed: Option<Typed>,
    wrong: Wrong,
}

async fn page(
    state: &AppState,
    access: &Authorized<act::ListAccessTokens>,
    around: Around,
    above: Above,
) -> Result<TokensPage, PageError> {
    let (head, _) = Head::of(state, access, "tokens", &["Settings", "Access Tokens"]).await?;
    let now = state.forge.now();
    let address = address_of(&head.full_path);
    let asked = Asked::of(&around);
    let creation = tokens::creation::<on::Project>(&state.forge, access).await?;
    let may_create = access.also::<act::CreateAccessToken>().is_ok();
    let no_form = match creation {
        Creation::Open => None,
        Creation::Off => Some(NoForm::Off),
        Creation::NotInPlan => Some(NoForm::NotInPlan),
        Creation::ClosedByGroup => {
            let root = head.full_path.split('/').next().unwrap_or_default();
            let group =
                authorize::<act::UpdateGroup>(&state.forge, access.viewer().clone(), IdOrPath::parse(root));
            let settings = group.await?.is_ok().then(|| format!("/groups/{root}/-/edit"));
            Some(NoForm::ClosedByGroup { settings })
        }
    };
    let kind = FormKind {
        action: address.clone(),
        button: "Create project access token",
        offered: ScopeSet::FOR_PROJECT_TOKENS,
        highest: access.role(),
    };
    let form = (no_form.is_none() && may_create)
        .then(|| TokenForm::new(state, kind, above.typed.as_ref(), above.wrong));
    let may_rotate = form.is_some() && access.also::<act::RotateAccessToken>().is_ok();
    let mut tables = Vec::new();
    let mut count = 0;
    for active in [true, false] {
        let (filter, window) = asked.of_table(active);
        let found = tokens::list::<on::Project>(&state.forge, access, &filter, window).await?;
        if active {
            count = found.total.unwrap_or_default();
        }
        tables.push(TokenTable::new(found, &asked, active, true, may_rotate, &address, now));
    }
    let (Some(inactive), Some(active)) = (tables.pop(), tables.pop()) else {
        return Err(PageError::NotFound);
    };
    Ok(TokensPage {
        around: around.of(state, access.viewer()).await?,
        head,
        fresh: above.fresh,
        said: above.said,
        form,
        no_form,
        count,
        active,
        inactive,
    })
}

/// Answers the project's tokens, and the form for a new one.
pub async fn list(
    access: Authorized<act::ListAccessTokens>,
    State(state): State<AppState>,
    around: Around,
) -> PageResult {
    let page = page(&state, &access, around, Above::default()).await?;
    Ok(html(StatusCode::OK, &page))
}

/// Creates a token. The form of somebody who may not is never read.
pub async fn create(
    access: Attempt<act::CreateAccessToken>,
    State(state): State<AppState>,
    around: Around,
    request: axum::extract::Request,
) -> PageResult {
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => {
            // The refusal leaves its trace in the audit log; the page says nothing of it.
            let Err(_) = tokens::refuse_creation::<on::Project>(&state.forge, &access).await;
            return Err(PageError::NotFound);
        }
    };
    let form = read_form(request, &state).await?;
    let listing = access.also::<act::ListAccessTokens>()?;
    if !sessions::comes_first(&state.forge, access.viewer(), form.text("form_number")).await? {
        let above = Above { said: Some(SENT_BEFORE), ..Above::default() };
        return Ok(html(StatusCode::CONFLICT, &page(&state, &listing, around, above).await?));
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
        match tokens::create::<on::Project>(&state.forge, &access, request).await {
            Ok(created) => {
                let fresh = fresh(&state, &listing, &around, &created).await?;
                let above = Above { fresh: Some(fresh), ..Above::default() };
                return Ok(html(StatusCode::OK, &page(&state, &listing, around, above).await?));
            }
            Err(error) => {
                let above = Above { typed: Some(typed), wrong: Wrong::of(error)?, ..Above::default() };
                let page = page(&state, &listing, around, above).await?;
                return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page));
            }
        }
    }
    let above = Above { typed: Some(typed), wrong: Wrong { problem: None, problems }, ..Above::default() };
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page(&state, &listing, around, above).await?))
}

async fn read_form(request: axum::extract::Request, state: &AppState) -> Result<Form, PageError> {
    use axum::extract::FromRequest as _;
    Form::from_request(request, state).await
}

async fn fresh(
    state: &AppState,
    access: &Authorized<act::ListAccessTokens>,
    around: &Around,
    created: &Created,
) -> Result<Fresh, PageError> {
    let reading = access.also::<act::ReadMembers>()?;
    let bot = members::get(&state.forge, &reading, Reach::Direct, created.token.user).await?;
    let full_path = &access.place().full_path;
    let about = UsedFor {
        base: &around.base.0,
        username: &bot.user.username,
        project: Some((access.project().0, full_path)),
    };
    Ok(Fresh::of(created, &about, &address_of(full_path)))
}

/// A question before something is done that cannot be taken back.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub around: Around,
    pub heading: String,
    pub text: String,
    pub action: String,
    pub does: &'static str,
    pub is_bad: bool,
    pub back: String,
    pub date: Option<TextField>,
    pub number: Option<String>,
}

pub(super) fn token_id(path: &PathParts) -> Result<TokenId, PageError> {
    path_text(path, "token_id").parse().map(TokenId).map_err(|_| PageError::NotFound)
}

/// Asks before a token is revoked.
pub async fn confirm_revoke(
    access: Authorized<act::RevokeAccessToken>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    let listing = access.also::<act::ListAccessTokens>()?;
    let token = tokens::get::<on::Project>(&state.forge, &listing, token_id(&path)?).await?;
    let back = address_of(&access.place().full_path);
    let page = Confirm {
        around: around.of(&state, access.viewer()).await?,
        heading: format!("Revoke “{}”?", token.name),
        text: REVOKING.to_owned(),
        action: format!("{back}/{}/revoke", token.id),
        does: "Revoke token",
        is_bad: true,
        back,
        date: None,
        number: None,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Revokes a token. The form of somebody who may not is never read.
pub async fn revoke(
    access: Attempt<act::RevokeAccessToken>,
    State(state): State<AppState>,
    path: PathParts,
    request: axum::extract::Request,
) -> PageResult {
    let id = token_id(&path)?;
    let access = match access {
        Attempt::Allowed(access) => access,
        Attempt::Refused(access) => {
            let Err(_) = tokens::refuse_revocation::<on::Project>(&state.forge, &access, id).await;
            return Err(PageError::NotFound);
        }
    };
    read_form(request, &state).await?;
    let listing = access.also::<act::ListAccessTokens>()?;
    let back = address_of(&access.place().full_path);
    let said = match tokens::get::<on::Project>(&state.forge, &listing, id).await {
        Ok(token) if token.lifetime.state(state.forge.now()) != TokenState::Active => {
            format!("Access token {} was over already.", token.name)
        }
        Ok(token) => {
            tokens::revoke::<on::Project>(&state.forge, &access, id).await?;
            format!("Revoked access token {}!", token.name)
        }
        // It may have been revoked in another window, and its bot be gone.
        Err(Error::NotFound(_)) => "There is no such access token any more.".to_owned(),
        Err(error) => return Err(error.into()),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(see_other(&back))
}

async fn rotation(
    state: &AppState,
    access: &Authorized<act::RotateAccessToken>,
    around: Around,
    token: &AccessToken,
    typed: &str,
    wrong: &Wrong,
) -> Result<Confirm, PageError> {
    let back = address_of(&access.place().full_path);
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
        number: None,
    })
}

/// Returns a token that can be rotated, or sends back to the list with the reason why not.
async fn rotatable(
    state: &AppState,
    access: &Authorized<act::RotateAccessToken>,
    id: TokenId,
) -> Result<Result<AccessToken, axum::response::Response>, PageError> {
    let listing = access.also::<act::ListAccessTokens>()?;
    let token = tokens::get::<on::Project>(&state.forge, &listing, id).await?;
    let open = tokens::creation::<on::Project>(&state.forge, &listing).await? == Creation::Open;
    let said = match token.lifetime.state(state.forge.now()) {
        TokenState::Revoked => format!("Access token {} is revoked and cannot be rotated.", token.name),
        _ if !open => "Access tokens cannot be created here, so none can be rotated.".to_owned(),
        _ => return Ok(Ok(token)),
    };
    sessions::set_notice(&state.forge, access.viewer(), &said).await?;
    Ok(Err(see_other(&address_of(&access.place().full_path))))
}

/// Asks before a token is replaced.
pub async fn confirm_rotate(
    access: Authorized<act::RotateAccessToken>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
) -> PageResult {
    match rotatable(&state, &access, token_id(&path)?).await? {
        Ok(token) => {
            let page = rotation(&state, &access, around, &token, "", &Wrong::default()).await?;
            Ok(html(StatusCode::OK, &page))
        }
        Err(response) => Ok(response),
    }
}

/// Replaces a token by a new one.
pub async fn rotate(
    access: Authorized<act::RotateAccessToken>,
    State(state): State<AppState>,
    around: Around,
    path: PathParts,
    form: Form,
) -> PageResult {
    let token = match rotatable(&state, &access, token_id(&path)?).await? {
        Ok(token) => token,
        Err(response) => return Ok(response),
    };
    let typed = Typed::of(&form);
    let mut wrong = Wrong::default();
    let date = typed.date(&mut wrong.problems);
    if wrong.problems.is_empty() {
        match tokens::rotate::<on::Project>(&state.forge, &access, token.id, date).await {
            Ok(created) => {
                let listing = access.also::<act::ListAccessTokens>()?;
                let fresh = fresh(&state, &listing, &around, &created).await?;
                let above = Above { fresh: Some(fresh), ..Above::default() };
                return Ok(html(StatusCode::OK, &page(&state, &listing, around, above).await?));
            }
            Err(error) => wrong = Wrong::of(error)?,
        }
    }
    let page = rotation(&state, &access, around, &token, &typed.expires_at, &wrong).await?;
    Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
