//! A table of tokens, of a person, a project or a group: a page of those that are good, or of those that are not any more.

use askama::Template;
use portcullis_app::records::access_tokens::{AccessToken, TokenFilter, TokenOrder};
use portcullis_app::records::select::{Listing, Window};
use portcullis_rules::access::Role;
use portcullis_rules::token::State as TokenState;

use crate::pages::words::{Expiry, Moment, Whose};
use crate::pages::{Around, Pages};

/// How many tokens a table shows at once.
pub(in crate::pages) const PER_PAGE: i64 = 20;

/// A row of a table of tokens.
pub(in crate::pages) struct TokenRow {
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
pub(in crate::pages) struct TokenTable {
    pub rows: Vec<TokenRow>,
    columns: Vec<Column>,
    /// The address of the list; below it are the questions about each token.
    address: String,
    active: bool,
    /// Whether they are those of bots, which have roles, and pages of their own.
    of_bots: bool,
    may_rotate: bool,
    /// What is asked before one is revoked.
    revoking: &'static str,
    pages: Option<Pages>,
}

/// How a list of tokens is asked for: the word of its order, and which pages of its two tables.
pub(in crate::pages) struct Asked {
    sort: String,
    order: TokenOrder,
    page: i64,
    inactive_page: i64,
}

impl Asked {
    pub(in crate::pages) fn of(around: &Around) -> Asked {
        let (sort, order) = match TokenOrder::from_name(around.query("sort")) {
            Some(order) => (around.query("sort").to_owned(), order),
            None => ("expires_asc".to_owned(), TokenOrder::ExpiresAscending),
        };
        Asked { sort, order, page: around.page("page"), inactive_page: around.page("inactive_page") }
    }

    /// Returns the filter and the window of one of the two tables.
    pub(in crate::pages) fn of_table(&self, active: bool) -> (TokenFilter, Window) {
        let order = if active { self.order } else { TokenOrder::CreatedDescending };
        let page = if active { self.page } else { self.inactive_page };
        let filter = TokenFilter { active: Some(active), order, ..TokenFilter::default() };
        (filter, Window { limit: PER_PAGE, offset: (page - 1) * PER_PAGE })
    }
}

impl TokenTable {
    pub(in crate::pages) fn new(
        found: Listing<AccessToken>,
        asked: &Asked,
        active: bool,
        whose: Whose,
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
        let of_bots = whose != Whose::Person;
        if of_bots {
            columns.push(column("Role", ""));
        }
        columns.push(column(if active { "Action" } else { "State" }, ""));
        let rows = found.items.into_iter().map(|token| TokenRow::of(token, now)).collect();
        let (address, revoking) = (address.to_owned(), whose.revoking());
        TokenTable { rows, columns, address, active, of_bots, may_rotate, revoking, pages }
    }
}
