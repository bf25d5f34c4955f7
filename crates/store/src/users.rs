//! Users: people, bots and the Ghost User.

use portcullis_rules::bot::Home;
use portcullis_rules::id::{NamespaceId, ProjectId, UserId};

use crate::audience::Audience;
use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// What kind of user one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKind {
    /// A person.
    Person,
    /// The bot of a project's or a group's access token.
    ProjectBot,
    /// The one user that takes over the records of deleted ones.
    Ghost,
}

impl UserKind {
    fn name(self) -> &'static str {
        match self {
            UserKind::Person => "person",
            UserKind::ProjectBot => "project_bot",
            UserKind::Ghost => "ghost",
        }
    }

    /// Returns the kind stored as `text`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is none.
    pub fn from_stored(text: &str) -> Result<UserKind, Error> {
        match text {
            "person" => Ok(UserKind::Person),
            "project_bot" => Ok(UserKind::ProjectBot),
            "ghost" => Ok(UserKind::Ghost),
            other => Err(Error::Corrupt(format!("users.kind is {other}"))),
        }
    }
}

/// A user as recorded.
#[derive(Clone, Debug)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name used in addresses, unique without regard to case.
    pub username: String,
    /// The name people read.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// What kind of user this is.
    pub kind: UserKind,
    /// Whether the user administers the instance.
    pub administrator: bool,
    /// Whether the user is external.
    pub external: bool,
    /// Whether the user is blocked.
    pub blocked: bool,
    /// Who made this user.
    pub created_by: Option<UserId>,
    /// When, in Unix microseconds.
    pub created_at: i64,
}

/// The columns of [`User`], in the order [`read`] expects, under the alias `u`.
pub(crate) const COLUMNS: &str = "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, \
     u.external_since, u.blocked_at, u.bot_project_id, u.created_by, u.created_at";

/// What stands in place of a project for a bot that belongs to none.
const NO_PROJECT: i64 = 0;

/// Which of the columns is a bot's project.
const BOT_PROJECT: usize = 8;

/// How many columns [`read`] takes.
pub(crate) const COLUMN_COUNT: usize = 11;

/// Reads a user whose columns begin at `at`.
pub(crate) fn read_at(row: &Row<'_>, at: usize) -> Result<User, Error> {
    Ok(User {
        id: UserId(row.get(at)?),
        username: row.get(at + 1)?,
        name: row.get(at + 2)?,
        email: row.get(at + 3)?,
        kind: UserKind::from_stored(row.text(at + 4)?)?,
        administrator: row.get::<Option<i64>>(at + 5)?.is_some(),
        external: row.get::<Option<i64>>(at + 6)?.is_some(),
        blocked: row.get::<Option<i64>>(at + 7)?.is_some(),
        created_by: row.get::<Option<i64>>(at + 9)?.map(UserId),
        created_at: row.get(at + 10)?,
    })
}

fn read(row: &Row<'_>) -> Result<User, Error> {
    read_at(row, 0)
}

statements! {
    INSERT = "INSERT INTO users (username, name, email, kind, password_hash, administrator_since, external_since, \
        bot_project_id, created_by, created_at, updated_at, bot_namespace_id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11) RETURNING id";
    FIND = "SELECT u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
        u.bot_project_id, u.created_by, u.created_at FROM users u WHERE u.id = $1";
    FIND_BY_USERNAME = "SELECT u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
        u.bot_project_id, u.created_by, u.created_at FROM users u WHERE lower(u.username) = $1";
    FIND_BY_EMAIL = "SELECT u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
        u.bot_project_id, u.created_by, u.created_at FROM users u WHERE lower(u.email) = $1";
    GHOST = "SELECT id FROM users WHERE kind = 'ghost' ORDER BY id LIMIT 1";
    PASSWORD_HASH = "SELECT password_hash FROM users WHERE id = $1";
    SET_PASSWORD_HASH = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 AND kind = 'person'";
    SET_NAME = "UPDATE users SET name = $2, updated_at = $3 WHERE id = $1 AND kind = 'person'";
    BOT_USERNAMES = "SELECT username FROM users WHERE bot_project_id = $1";
    BOT_USERNAMES_OF_GROUP = "SELECT username FROM users WHERE bot_namespace_id = $1";
    BOTS_BELOW_GROUP = "SELECT u.id FROM users u JOIN namespace_ancestors a ON a.descendant_id = u.bot_namespace_id \
        WHERE a.ancestor_id = $1 ORDER BY u.id";
    BOTS_OF_PROJECT = "SELECT id FROM users WHERE bot_project_id = $1 ORDER BY id";
    BLOCK = "UPDATE users SET blocked_at = COALESCE(blocked_at, $2), updated_at = $2 WHERE id = $1";
    UNBLOCK = "UPDATE users SET blocked_at = NULL, updated_at = $2 WHERE id = $1 AND deletion_requested_at IS NULL";
    REQUEST_DELETION = "UPDATE users SET blocked_at = COALESCE(blocked_at, $2), \
        deletion_requested_at = COALESCE(deletion_requested_at, $2), updated_at = $2 WHERE id = $1";
    DELETE = "DELETE FROM users WHERE id = $1 AND deletion_requested_at IS NOT NULL AND kind <> 'ghost'";
    SET_EXTERNAL = "UPDATE users SET external_since = $2 WHERE id = $1";
    SEATS = "SELECT COUNT(*) FROM users WHERE kind = 'person' AND blocked_at IS NULL";
    CENSUS = "SELECT COUNT(CASE WHEN kind = 'person' THEN 1 END), \
        COUNT(CASE WHEN kind = 'person' AND blocked_at IS NOT NULL THEN 1 END), \
        COUNT(CASE WHEN kind = 'project_bot' THEN 1 END) FROM users";
    COUNT = "SELECT COUNT(*) FROM users WHERE kind <> 'ghost'";
    ANY = "SELECT id FROM users WHERE kind <> 'ghost' ORDER BY id LIMIT 1";
    OTHER_ADMINISTRATORS = "SELECT COUNT(*) FROM users WHERE administrator_since IS NOT NULL AND blocked_at IS NULL AND id <> $1";
    LOCK = "UPDATE users SET updated_at = updated_at WHERE id = $1";
    WITHOUT_LIVING_TOKEN = "SELECT u.id FROM users u WHERE u.kind = 'project_bot' AND u.deletion_requested_at IS NULL \
        AND NOT u.id IN (SELECT t.user_id FROM access_tokens t WHERE t.revoked_at IS NULL \
        AND (t.expires_at IS NULL OR t.expires_at > $1)) ORDER BY u.id LIMIT 100";
}

/// A user to be recorded.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// The name used in addresses.
    pub username: &'a str,
    /// The name people read.
    pub name: &'a str,
    /// The mail address.
    pub email: &'a str,
    /// The kind.
    pub kind: UserKind,
    /// The password's hash in PHC string format; people only.
    pub password_hash: Option<&'a str>,
    /// Whether the user administers the instance.
    pub administrator: bool,
    /// Whether the user is external.
    pub external: bool,
    /// What a bot belongs to.
    pub bot_home: Option<Home>,
    /// Who makes this user.
    pub created_by: Option<UserId>,
}

/// Records a user.
///
/// # Errors
/// [`Error::Unique`] when the username or the address is taken.
pub async fn insert(tx: &mut Tx, user: &NewUser<'_>, now: i64) -> Result<UserId, Error> {
    // A bot of a group is in no project, and the table wants one of every bot.
    let (project, group) = match user.bot_home {
        Some(Home::Project(id)) => (Some(id.0), None),
        Some(Home::Group(id)) => (Some(NO_PROJECT), Some(id.0)),
        None => (None, None),
    };
    let params = [
        V::from(user.username),
        V::from(user.name),
        V::from(user.email),
        V::from(user.kind.name()),
        V::from(user.password_hash),
        V::from(user.administrator.then_some(now)),
        V::from(user.external.then_some(now)),
        V::from(project),
        V::from(user.created_by.map(|user| user.0)),
        V::from(now),
        V::from(group),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(UserId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the user with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, id: UserId) -> Result<Option<User>, Error> {
    tx.one(&FIND, &[V::from(id.0)], read).await
}

/// Returns the users with these ids, as many of them as there are. The caller bounds their number.
///
/// # Errors
/// The database's.
pub async fn find_all(tx: &mut Tx, ids: &[i64]) -> Result<Vec<User>, Error> {
    let mut conditions = Conditions::default();
    conditions.and_in("u.id", ids);
    let window = Window { limit: i64::try_from(ids.len()).unwrap_or(i64::MAX), offset: 0 };
    Ok(conditions.list(tx, COLUMNS, "users u", "u.id", window, read).await?.items)
}

/// Returns the user with this name, whatever its case.
///
/// # Errors
/// The database's.
pub async fn find_by_username(tx: &mut Tx, username: &str) -> Result<Option<User>, Error> {
    tx.one(&FIND_BY_USERNAME, &[V::from(&username.to_ascii_lowercase())], read).await
}

/// Returns the user with this address, whatever its case.
///
/// # Errors
/// The database's.
pub async fn find_by_email(tx: &mut Tx, email: &str) -> Result<Option<User>, Error> {
    tx.one(&FIND_BY_EMAIL, &[V::from(&email.to_ascii_lowercase())], read).await
}

/// Returns the Ghost User, once it was made.
///
/// # Errors
/// The database's.
pub async fn find_ghost(tx: &mut Tx) -> Result<Option<UserId>, Error> {
    Ok(tx.one(&GHOST, &[], |row| row.get(0)).await?.map(UserId))
}

/// Returns the hash of a person's password, in PHC string format.
///
/// # Errors
/// The database's.
pub async fn find_password_hash(tx: &mut Tx, id: UserId) -> Result<Option<String>, Error> {
    Ok(tx.one(&PASSWORD_HASH, &[V::from(id.0)], |row| row.get(0)).await?.flatten())
}

/// Records the hash of a person's password.
///
/// # Errors
/// The database's.
pub async fn set_password_hash(tx: &mut Tx, id: UserId, hash: &str, now: i64) -> Result<(), Error> {
    tx.run(&SET_PASSWORD_HASH, &[V::from(id.0), V::from(hash), V::from(now)]).await?;
    Ok(())
}

/// Records what a person is called.
///
/// # Errors
/// The database's.
pub async fn set_name(tx: &mut Tx, id: UserId, name: &str, now: i64) -> Result<(), Error> {
    tx.run(&SET_NAME, &[V::from(id.0), V::from(name), V::from(now)]).await?;
    Ok(())
}

/// Returns the usernames that bots of this project or group hold now.
///
/// # Errors
/// The database's.
pub async fn bot_usernames(tx: &mut Tx, home: Home) -> Result<Vec<String>, Error> {
    let statement = match home {
        Home::Project(_) => &BOT_USERNAMES,
        Home::Group(_) => &BOT_USERNAMES_OF_GROUP,
    };
    tx.all(statement, &[V::from(home.number())], |row| row.get(0)).await
}

/// Returns the bots of a group and of the groups below it, not those of projects.
///
/// # Errors
/// The database's.
pub async fn bots_below_group(tx: &mut Tx, group: NamespaceId) -> Result<Vec<UserId>, Error> {
    let found: Vec<i64> = tx.all(&BOTS_BELOW_GROUP, &[V::from(group.0)], |row| row.get(0)).await?;
    Ok(found.into_iter().map(UserId).collect())
}

/// Returns the bots of a project.
///
/// # Errors
/// The database's.
pub async fn bots_of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<UserId>, Error> {
    Ok(tx
        .all(&BOTS_OF_PROJECT, &[V::from(project.0)], |row| row.get(0))
        .await?
        .into_iter()
        .map(UserId)
        .collect())
}

/// Returns up to 100 bots none of whose tokens has been alive since `since`.
///
/// # Errors
/// The database's.
pub async fn bots_without_living_token(tx: &mut Tx, since: i64) -> Result<Vec<UserId>, Error> {
    Ok(tx
        .all(&WITHOUT_LIVING_TOKEN, &[V::from(since)], |row| row.get(0))
        .await?
        .into_iter()
        .map(UserId)
        .collect())
}

/// Blocks a user: every credential of theirs is refused from the next request on.
///
/// # Errors
/// The database's.
pub async fn block(tx: &mut Tx, id: UserId, now: i64) -> Result<(), Error> {
    tx.run(&BLOCK, &[V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Ends a block, unless the user is being deleted.
///
/// # Errors
/// The database's.
pub async fn unblock(tx: &mut Tx, id: UserId, now: i64) -> Result<bool, Error> {
    Ok(tx.run(&UNBLOCK, &[V::from(id.0), V::from(now)]).await? > 0)
}

/// Blocks a user whose deletion begins.
///
/// # Errors
/// The database's.
pub async fn request_deletion(tx: &mut Tx, id: UserId, now: i64) -> Result<(), Error> {
    tx.run(&REQUEST_DELETION, &[V::from(id.0), V::from(now)]).await?;
    Ok(())
}

/// Deletes a user whose records have all been moved.
///
/// # Errors
/// [`Error::ForeignKey`] when a record still refers to the user.
pub async fn delete(tx: &mut Tx, id: UserId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(id.0)]).await? > 0)
}

/// Records whether a user is external.
///
/// # Errors
/// The database's.
pub async fn set_external(tx: &mut Tx, id: UserId, external: bool, now: i64) -> Result<(), Error> {
    tx.run(&SET_EXTERNAL, &[V::from(id.0), V::from(external.then_some(now))]).await?;
    Ok(())
}

/// Returns how many users count as licensed seats: people who are not blocked. Bots and the Ghost User never do.
///
/// # Errors
/// The database's.
pub async fn seats(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&SEATS, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// How many users there are, by what decides whether they are seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// People, blocked ones too.
    pub people: i64,
    /// People who are blocked.
    pub blocked_people: i64,
    /// Bots.
    pub bots: i64,
}

/// Returns how many users there are, by what decides whether they are seats.
///
/// # Errors
/// The database's.
pub async fn census(tx: &mut Tx) -> Result<Census, Error> {
    let census = tx
        .one(&CENSUS, &[], |row| {
            Ok(Census { people: row.get(0)?, blocked_people: row.get(1)?, bots: row.get(2)? })
        })
        .await?;
    Ok(census.unwrap_or_default())
}

/// Returns how many users there are, bots included, the Ghost User not.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns whether there is any user besides the Ghost User, without counting them.
///
/// # Errors
/// The database's.
pub async fn any(tx: &mut Tx) -> Result<bool, Error> {
    Ok(tx.one(&ANY, &[], |row| row.get::<i64>(0)).await?.is_some())
}

/// Returns how many administrators there are apart from this one.
///
/// # Errors
/// The database's.
pub async fn other_administrators(tx: &mut Tx, id: UserId) -> Result<i64, Error> {
    Ok(tx.one(&OTHER_ADMINISTRATORS, &[V::from(id.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Locks a user's row until the transaction ends, so that no two deal with the same user at once. Returns whether
/// there is such a user.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, id: UserId) -> Result<bool, Error> {
    Ok(tx.run(&LOCK, &[V::from(id.0)]).await? > 0)
}

/// What a list of users is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Exactly this username, whatever its case.
    pub username: Option<String>,
    /// Part of the name or username, or exactly the address.
    pub search: Option<String>,
    /// Only blocked ones, or only others.
    pub blocked: Option<bool>,
    /// Only external ones, or only others.
    pub external: Option<bool>,
    /// Only people, without bots.
    pub without_bots: bool,
    /// Only this kind.
    pub kind: Option<UserKind>,
    /// Only those who administer the instance.
    pub administrators: bool,
}

impl UserFilter {
    /// Narrows a list to these users, searching in these columns.
    fn narrow(&self, conditions: &mut Conditions, searched: &[&str]) {
        if let Some(username) = &self.username {
            conditions.and("lower(u.username) = ?", [username.to_ascii_lowercase().into()]);
        }
        if let Some(search) = &self.search {
            conditions.and_contains(searched, search);
        }
        match self.blocked {
            Some(true) => conditions.and("u.blocked_at IS NOT NULL", []),
            Some(false) => conditions.and("u.blocked_at IS NULL", []),
            None => {}
        }
        match self.external {
            Some(true) => conditions.and("u.external_since IS NOT NULL", []),
            Some(false) => conditions.and("u.external_since IS NULL", []),
            None => {}
        }
        if self.without_bots {
            conditions.and("u.kind = 'person'", []);
        }
        if let Some(kind) = self.kind {
            conditions.and("u.kind = ?", [kind.name().into()]);
        }
        if self.administrators {
            conditions.and("u.administrator_since IS NOT NULL", []);
        }
    }
}

/// A user's name as an audience may read it: a bot's is kept from those who cannot see the project or group it belongs to,
/// because it is the name of a token there. What is searched is what is shown.
const SHOWN_NAME: &str = "CASE WHEN u.kind = 'project_bot' AND home.id IS NULL AND home_group.id IS NULL \
     THEN '****' ELSE u.name END";

/// Returns the users that `audience` can see, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    audience: Audience,
    filter: &UserFilter,
    window: Window,
    now: i64,
) -> Result<Listing<User>, Error> {
    let mut visible = Conditions::default();
    audience.narrow_projects(&mut visible, now);
    let mut conditions = Conditions::default();
    conditions.left_join("SELECT p.id FROM projects p", visible, "home", "home.id = u.bot_project_id");
    let mut visible = Conditions::default();
    audience.narrow_namespaces(&mut visible, now);
    let on = "home_group.id = u.bot_namespace_id";
    conditions.left_join("SELECT n.id FROM namespaces n", visible, "home_group", on);
    audience.narrow_users(&mut conditions, now);
    filter.narrow(&mut conditions, &[SHOWN_NAME, "u.username"]);
    let columns = COLUMNS.replace("u.name", SHOWN_NAME);
    conditions.list(tx, &columns, "users u", "u.id DESC", window, read).await
}

/// A user as an administrator sees them.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Whether the user is being deleted.
    pub leaving: bool,
    /// When a token or a session of theirs was last used, as far as such a one is still there. Unix microseconds.
    pub last_active_at: Option<i64>,
    /// What a bot belongs to, and its path while it is there.
    pub home: Option<(Home, Option<String>)>,
}

impl Account {
    /// Returns whether the user counts as a licensed seat: people who are not blocked do.
    pub fn is_seat(&self) -> bool {
        self.user.kind == UserKind::Person && !self.user.blocked
    }
}

/// Returns every user there is, newest first, for administrators. What is searched is the name, the username and the mail
/// address.
///
/// # Errors
/// The database's.
pub async fn accounts(
    tx: &mut Tx,
    id: Option<UserId>,
    filter: &UserFilter,
    window: Window,
) -> Result<Listing<Account>, Error> {
    let mut conditions = Conditions::default();
    if let Some(id) = id {
        conditions.and("u.id = ?", [id.0.into()]);
    }
    filter.narrow(&mut conditions, &["u.name", "u.username", "u.email"]);
    let columns = format!(
        "{COLUMNS}, u.deletion_requested_at, u.bot_namespace_id, \
         (SELECT MAX(s.last_used_at) FROM sessions s WHERE s.user_id = u.id), \
         (SELECT MAX(t.last_used_at) FROM access_tokens t WHERE t.user_id = u.id AND t.retired_at IS NULL), \
         (SELECT p.full_path FROM projects p WHERE p.id = u.bot_project_id), \
         (SELECT n.full_path FROM namespaces n WHERE n.id = u.bot_namespace_id)"
    );
    let account = |row: &Row<'_>| {
        let at = COLUMN_COUNT;
        let (session, token): (Option<i64>, Option<i64>) = (row.get(at + 2)?, row.get(at + 3)?);
        let home = match (row.get::<Option<i64>>(at + 1)?, row.get::<Option<i64>>(BOT_PROJECT)?) {
            (Some(group), _) => Some((Home::Group(NamespaceId(group)), row.get(at + 5)?)),
            (None, Some(project)) => Some((Home::Project(ProjectId(project)), row.get(at + 4)?)),
            (None, None) => None,
        };
        Ok(Account {
            user: read(row)?,
            leaving: row.get::<Option<i64>>(at)?.is_some(),
            last_active_at: session.max(token),
            home,
        })
    };
    conditions.list(tx, &columns, "users u", "u.id DESC", window, account).await
}
