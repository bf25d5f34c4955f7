//! Access tokens: a project's, a group's and a person's, in one table. Only a digest of each secret is kept.

use portcullis_rules::access::{Role, ScopeSet};
use portcullis_rules::bot::Home;
use portcullis_rules::id::{NamespaceId, ProjectId, TokenId, UserId};
use portcullis_rules::secret::TokenDigest;
use portcullis_rules::token::Lifetime;

use crate::db::{Error, Query, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};
use crate::users::UserKind;

/// A token as recorded.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The id.
    pub id: TokenId,
    /// The user it acts as: a person, or the bot.
    pub user: UserId,
    /// The project or group that it belongs to; `None` of a person's.
    pub home: Option<Home>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it was given.
    pub scopes: ScopeSet,
    /// When it dies or died.
    pub lifetime: Lifetime,
    /// When it was last used, within ten minutes.
    pub last_used_at: Option<i64>,
    /// From which address that was.
    pub last_used_address: Option<String>,
    /// When it was made, in Unix microseconds.
    pub created_at: i64,
    /// The role of its bot at home; `None` of a personal token, or once the membership has ended.
    pub role: Option<Role>,
}

const COLUMNS: &str = "t.id, t.user_id, t.project_id, t.name, t.description, t.scopes, t.expires_at, t.revoked_at, \
     t.last_used_at, t.created_at, m.access_level, t.namespace_id, t.last_used_address";

const FROM: &str = "access_tokens t LEFT JOIN members m ON m.user_id = t.user_id \
     AND (m.project_id = t.project_id OR m.namespace_id = t.namespace_id)";

/// Returns what a token or bot belongs to.
fn home(project: Option<i64>, group: Option<i64>) -> Option<Home> {
    let project = project.map(|id| Home::Project(ProjectId(id)));
    project.or(group.map(|id| Home::Group(NamespaceId(id))))
}

fn read(row: &Row<'_>) -> Result<AccessToken, Error> {
    Ok(AccessToken {
        id: TokenId(row.get(0)?),
        user: UserId(row.get(1)?),
        home: home(row.get(2)?, row.get(11)?),
        name: row.get(3)?,
        description: row.get(4)?,
        scopes: ScopeSet::from_stored(row.text(5)?),
        lifetime: Lifetime { expires_at: row.get(6)?, revoked_at: row.get(7)? },
        last_used_at: row.get(8)?,
        created_at: row.get(9)?,
        role: row.get::<Option<i64>>(10)?.and_then(Role::from_level),
        last_used_address: row.get(12)?,
    })
}

statements! {
    INSERT = "INSERT INTO access_tokens (user_id, project_id, digest, name, description, scopes, expires_at, \
        previous_token_id, created_by, created_at, namespace_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        RETURNING id";
    HOLDER = "SELECT t.id, t.user_id, t.project_id, t.scopes, t.expires_at, t.revoked_at, t.last_used_at, u.username, \
        u.name, u.kind, u.administrator_since, u.external_since, u.blocked_at, t.namespace_id FROM access_tokens t \
        JOIN users u ON u.id = t.user_id WHERE t.digest = $1";
    HOLDER_BY_ID = "SELECT t.id, t.user_id, t.project_id, t.scopes, t.expires_at, t.revoked_at, t.last_used_at, u.username, \
        u.name, u.kind, u.administrator_since, u.external_since, u.blocked_at, t.namespace_id FROM access_tokens t \
        JOIN users u ON u.id = t.user_id WHERE t.id = $1";
    FIND_IN_PROJECT = "SELECT t.id, t.user_id, t.project_id, t.name, t.description, t.scopes, t.expires_at, t.revoked_at, \
        t.last_used_at, t.created_at, m.access_level, t.namespace_id, t.last_used_address FROM access_tokens t \
        LEFT JOIN members m ON m.user_id = t.user_id \
        AND (m.project_id = t.project_id OR m.namespace_id = t.namespace_id) \
        WHERE t.project_id = $1 AND t.id = $2 AND t.retired_at IS NULL";
    FIND_IN_GROUP = "SELECT t.id, t.user_id, t.project_id, t.name, t.description, t.scopes, t.expires_at, t.revoked_at, \
        t.last_used_at, t.created_at, m.access_level, t.namespace_id, t.last_used_address FROM access_tokens t \
        LEFT JOIN members m ON m.user_id = t.user_id \
        AND (m.project_id = t.project_id OR m.namespace_id = t.namespace_id) \
        WHERE t.namespace_id = $1 AND t.id = $2 AND t.retired_at IS NULL";
    FIND = "SELECT t.id, t.user_id, t.project_id, t.name, t.description, t.scopes, t.expires_at, t.revoked_at, \
        t.last_used_at, t.created_at, m.access_level, t.namespace_id, t.last_used_address FROM access_tokens t \
        LEFT JOIN members m ON m.user_id = t.user_id \
        AND (m.project_id = t.project_id OR m.namespace_id = t.namespace_id) \
        WHERE t.id = $1 AND t.retired_at IS NULL";
    REVOKE = "UPDATE access_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    REVOKE_ALL_OF = "UPDATE access_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    RETIRE_ALL_OF = "UPDATE access_tokens SET retired_at = $2, revoked_at = COALESCE(revoked_at, $2) \
        WHERE user_id = $1 AND retired_at IS NULL";
    CHILD = "SELECT id, user_id, revoked_at FROM access_tokens WHERE previous_token_id = $1";
    LIVING_OF = "SELECT COUNT(*) FROM access_tokens WHERE user_id = $1 AND revoked_at IS NULL \
        AND (expires_at IS NULL OR expires_at > $2)";
    TOUCH = "UPDATE access_tokens SET last_used_at = $2, last_used_address = $4 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)";
    COUNT = "SELECT COUNT(*) FROM access_tokens WHERE retired_at IS NULL";
}

/// A token to be recorded.
#[derive(Clone, Debug)]
pub struct NewAccessToken<'a> {
    /// The user it will act as.
    pub user: UserId,
    /// The project or group that it belongs to; `None` of a person's.
    pub home: Option<Home>,
    /// The digest of its secret.
    pub digest: TokenDigest,
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// What it is given.
    pub scopes: ScopeSet,
    /// When it will die.
    pub expires_at: Option<i64>,
    /// The token it replaces.
    pub previous: Option<TokenId>,
    /// Who makes it.
    pub created_by: Option<UserId>,
}

/// Records a token.
///
/// # Errors
/// [`Error::Unique`] when the token it replaces was replaced already.
pub async fn insert(tx: &mut Tx, new: &NewAccessToken<'_>, now: i64) -> Result<TokenId, Error> {
    let scopes = new.scopes.to_text();
    let (project, group) = match new.home {
        Some(Home::Project(id)) => (Some(id.0), None),
        Some(Home::Group(id)) => (None, Some(id.0)),
        None => (None, None),
    };
    let params = [
        V::from(new.user.0),
        V::from(project),
        V::from(&new.digest.0),
        V::from(new.name),
        V::from(new.description),
        V::from(&scopes),
        V::from(new.expires_at),
        V::from(new.previous.map(|token| token.0)),
        V::from(new.created_by.map(|user| user.0)),
        V::from(now),
        V::from(group),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(TokenId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Whoever holds a secret: what authentication needs to know, in one question.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The token.
    pub token: TokenId,
    /// The user it acts as.
    pub user: UserId,
    /// The project or group that it belongs to; `None` of a person's.
    pub home: Option<Home>,
    /// What the token was given.
    pub scopes: ScopeSet,
    /// When it dies or died.
    pub lifetime: Lifetime,
    /// When it was last used.
    pub last_used_at: Option<i64>,
    /// The user's name in addresses.
    pub username: String,
    /// The user's name for people.
    pub name: String,
    /// What kind of user it is.
    pub kind: UserKind,
    /// Whether the user administers the instance.
    pub administrator: bool,
    /// Whether the user is external.
    pub external: bool,
    /// Whether the user is blocked.
    pub blocked: bool,
}

fn read_holder(row: &Row<'_>) -> Result<Holder, Error> {
    Ok(Holder {
        token: TokenId(row.get(0)?),
        user: UserId(row.get(1)?),
        home: home(row.get(2)?, row.get(13)?),
        scopes: ScopeSet::from_stored(row.text(3)?),
        lifetime: Lifetime { expires_at: row.get(4)?, revoked_at: row.get(5)? },
        last_used_at: row.get(6)?,
        username: row.get(7)?,
        name: row.get(8)?,
        kind: UserKind::from_stored(row.text(9)?)?,
        administrator: row.get::<Option<i64>>(10)?.is_some(),
        external: row.get::<Option<i64>>(11)?.is_some(),
        blocked: row.get::<Option<i64>>(12)?.is_some(),
    })
}

/// Returns who holds the secret with this digest, dead or alive.
///
/// # Errors
/// The database's.
pub async fn find_holder(tx: &mut Tx, digest: &TokenDigest) -> Result<Option<Holder>, Error> {
    tx.one(&HOLDER, &[V::from(&digest.0)], read_holder).await
}

/// Returns who holds this token, dead or alive: the question asked again before a long act takes effect.
///
/// # Errors
/// The database's.
pub async fn find_holder_by_id(tx: &mut Tx, token: TokenId) -> Result<Option<Holder>, Error> {
    tx.one(&HOLDER_BY_ID, &[V::from(token.0)], read_holder).await
}

/// Returns a token of a project or group; an id of another one is not found.
///
/// # Errors
/// The database's.
pub async fn find_at_home(tx: &mut Tx, home: Home, id: TokenId) -> Result<Option<AccessToken>, Error> {
    let statement = match home {
        Home::Project(_) => &FIND_IN_PROJECT,
        Home::Group(_) => &FIND_IN_GROUP,
    };
    tx.one(statement, &[V::from(home.number()), V::from(id.0)], read).await
}

/// Returns a token of any kind.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, id: TokenId) -> Result<Option<AccessToken>, Error> {
    tx.one(&FIND, &[V::from(id.0)], read).await
}

/// Revokes a token. Returns false when it was revoked already.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &mut Tx, id: TokenId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&REVOKE, &[V::from(id.0), V::from(now)]).await? > 0)
}

/// Revokes every token of a user.
///
/// # Errors
/// The database's.
pub async fn revoke_all_of(tx: &mut Tx, user: UserId, now: i64) -> Result<u64, Error> {
    tx.run(&REVOKE_ALL_OF, &[V::from(user.0), V::from(now)]).await
}

/// Takes a deleted user's tokens out of every list. Their rows stay, so that their secrets go on being recognised.
///
/// # Errors
/// The database's.
pub async fn retire_all_of(tx: &mut Tx, user: UserId, now: i64) -> Result<(), Error> {
    tx.run(&RETIRE_ALL_OF, &[V::from(user.0), V::from(now)]).await?;
    Ok(())
}

/// Returns the token that replaced this one, its user, and whether it is revoked.
///
/// # Errors
/// The database's.
pub async fn find_child(tx: &mut Tx, id: TokenId) -> Result<Option<(TokenId, UserId, bool)>, Error> {
    tx.one(&CHILD, &[V::from(id.0)], |row| {
        Ok((TokenId(row.get(0)?), UserId(row.get(1)?), row.get::<Option<i64>>(2)?.is_some()))
    })
    .await
}

/// Returns how many tokens of a user could be used at `now`.
///
/// # Errors
/// The database's.
pub async fn living_of(tx: &mut Tx, user: UserId, now: i64) -> Result<i64, Error> {
    Ok(tx.one(&LIVING_OF, &[V::from(user.0), V::from(now)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Records a use at `now`, unless one after `unless_after` is recorded.
///
/// # Errors
/// The database's.
pub async fn touch(
    tx: &mut Tx,
    id: TokenId,
    now: i64,
    address: Option<&str>,
    unless_after: i64,
) -> Result<(), Error> {
    tx.run(&TOUCH, &[V::from(id.0), V::from(now), V::from(unless_after), V::from(address)]).await?;
    Ok(())
}

/// Returns how many tokens are listed somewhere.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// Whose tokens a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensOf {
    /// A project's or a group's.
    Home(Home),
    /// One user's.
    User(UserId),
    /// Everybody's.
    Everybody,
}

/// What a list of tokens is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it: column and direction")]
pub enum TokenOrder {
    #[default]
    IdAscending,
    CreatedAscending,
    CreatedDescending,
    ExpiresAscending,
    ExpiresDescending,
    LastUsedAscending,
    LastUsedDescending,
    NameAscending,
    NameDescending,
}

impl TokenOrder {
    /// Returns the order the API calls `word`.
    pub fn from_name(word: &str) -> Option<TokenOrder> {
        Some(match word {
            "created_asc" => TokenOrder::CreatedAscending,
            "created_desc" => TokenOrder::CreatedDescending,
            "expires_asc" => TokenOrder::ExpiresAscending,
            "expires_desc" => TokenOrder::ExpiresDescending,
            "last_used_asc" => TokenOrder::LastUsedAscending,
            "last_used_desc" => TokenOrder::LastUsedDescending,
            "name_asc" => TokenOrder::NameAscending,
            "name_desc" => TokenOrder::NameDescending,
            _ => return None,
        })
    }

    fn sql(self) -> &'static str {
        match self {
            TokenOrder::IdAscending => "t.id ASC",
            TokenOrder::CreatedAscending => "t.created_at ASC, t.id ASC",
            TokenOrder::CreatedDescending => "t.created_at DESC, t.id DESC",
            // The engines disagree on where nulls go, so it is said: a token that never expires is the last to.
            TokenOrder::ExpiresAscending => "(t.expires_at IS NULL) ASC, t.expires_at ASC, t.id DESC",
            TokenOrder::ExpiresDescending => "(t.expires_at IS NULL) DESC, t.expires_at DESC, t.id DESC",
            TokenOrder::LastUsedAscending => "(t.last_used_at IS NULL) ASC, t.last_used_at ASC, t.id DESC",
            TokenOrder::LastUsedDescending => "(t.last_used_at IS NULL) ASC, t.last_used_at DESC, t.id DESC",
            TokenOrder::NameAscending => "lower(t.name) ASC, t.id ASC",
            TokenOrder::NameDescending => "lower(t.name) DESC, t.id DESC",
        }
    }
}

/// Returns the newest token of a project or group that each of these bots has, in one question. Who has none is not in the
/// answer.
///
/// # Errors
/// The database's.
pub async fn newest_of_bots(
    tx: &mut Tx,
    home: Home,
    bots: &[UserId],
) -> Result<Vec<(UserId, TokenId)>, Error> {
    if bots.is_empty() {
        return Ok(Vec::new());
    }
    // The ids are our own numbers, so they can stand in the text.
    let ids: Vec<_> = bots.iter().map(ToString::to_string).collect();
    let column = match home {
        Home::Project(_) => "project_id",
        Home::Group(_) => "namespace_id",
    };
    let query = Query::new(format!(
        "SELECT user_id, MAX(id) FROM access_tokens WHERE {column} = $1 AND retired_at IS NULL AND user_id IN ({}) \
         GROUP BY user_id",
        ids.join(", ")
    ));
    tx.all(&query, &[V::from(home.number())], |row| Ok((UserId(row.get(0)?), TokenId(row.get(1)?)))).await
}

/// What a list of tokens is narrowed to. Times are Unix microseconds.
#[derive(Clone, Debug, Default)]
pub struct TokenFilter {
    /// Only living ones, or only others.
    pub active: Option<bool>,
    /// Only revoked ones, or only others.
    pub revoked: Option<bool>,
    /// Made at this time or earlier.
    pub created_before: Option<i64>,
    /// Made at this time or later.
    pub created_after: Option<i64>,
    /// Last used at this time or earlier; one never used is in neither.
    pub last_used_before: Option<i64>,
    /// Last used at this time or later.
    pub last_used_after: Option<i64>,
    /// Expiring before this time.
    pub expires_before: Option<i64>,
    /// Expiring at this time or later.
    pub expires_after: Option<i64>,
    /// Part of the name.
    pub search: Option<String>,
    /// The order.
    pub order: TokenOrder,
}

/// Returns tokens. `active` and its opposite split the list in two at `now`.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    of: TokensOf,
    filter: &TokenFilter,
    window: Window,
    now: i64,
) -> Result<Listing<AccessToken>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("t.retired_at IS NULL", []);
    match of {
        TokensOf::Home(Home::Project(project)) => conditions.and("t.project_id = ?", [project.0.into()]),
        TokensOf::Home(Home::Group(group)) => conditions.and("t.namespace_id = ?", [group.0.into()]),
        TokensOf::User(user) => conditions.and("t.user_id = ?", [user.0.into()]),
        TokensOf::Everybody => {}
    }
    match filter.active {
        Some(true) => conditions
            .and("t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?)", [now.into()]),
        Some(false) => conditions.and("t.revoked_at IS NOT NULL OR t.expires_at <= ?", [now.into()]),
        None => {}
    }
    match filter.revoked {
        Some(true) => conditions.and("t.revoked_at IS NOT NULL", []),
        Some(false) => conditions.and("t.revoked_at IS NULL", []),
        None => {}
    }
    let bounds = [
        ("t.created_at <= ?", filter.created_before),
        ("t.created_at >= ?", filter.created_after),
        ("t.last_used_at <= ?", filter.last_used_before),
        ("t.last_used_at >= ?", filter.last_used_after),
        ("t.expires_at < ?", filter.expires_before),
        ("t.expires_at >= ?", filter.expires_after),
    ];
    for (condition, bound) in bounds {
        if let Some(bound) = bound {
            conditions.and(condition, [bound.into()]);
        }
    }
    if let Some(search) = &filter.search {
        conditions.and_contains(&["t.name"], search);
    }
    conditions.list(tx, COLUMNS, FROM, filter.order.sql(), window, read).await
}
