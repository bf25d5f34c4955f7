//! Memberships of projects and namespaces.

use portcullis_rules::access::Role;
use portcullis_rules::id::{NamespaceId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// What somebody is a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A project.
    Project(ProjectId),
    /// A group.
    Namespace(NamespaceId),
}

/// A membership.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// With which role.
    pub role: Role,
    /// Midnight UTC from which on it is no membership, in Unix microseconds.
    pub expires_at: Option<i64>,
    /// Since when.
    pub created_at: i64,
    /// Who made it, if that user still is.
    pub created_by: Option<UserId>,
}

fn read(row: &Row<'_>) -> Result<Member, Error> {
    let level: i64 = row.get(users::COLUMN_COUNT)?;
    Ok(Member {
        user: users::read_at(row, 0)?,
        role: Role::from_level(level)
            .ok_or_else(|| Error::Corrupt(format!("members.access_level is {level}")))?,
        expires_at: row.get(users::COLUMN_COUNT + 1)?,
        created_at: row.get(users::COLUMN_COUNT + 2)?,
        created_by: row.get::<Option<i64>>(users::COLUMN_COUNT + 3)?.map(UserId),
    })
}

statements! {
    INSERT = "INSERT INTO members (user_id, project_id, namespace_id, access_level, expires_at, created_by, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    UPDATE_OF_PROJECT = "UPDATE members SET access_level = $3, expires_at = $4 WHERE project_id = $1 AND user_id = $2";
    UPDATE_OF_NAMESPACE = "UPDATE members SET access_level = $3, expires_at = $4 WHERE namespace_id = $1 AND user_id = $2";
    DELETE_OF_PROJECT = "DELETE FROM members WHERE project_id = $1 AND user_id = $2";
    DELETE_OF_NAMESPACE = "DELETE FROM members WHERE namespace_id = $1 AND user_id = $2";
    DELETE_OF_USER = "DELETE FROM members WHERE user_id = $1";
    DELETE_EXPIRED = "DELETE FROM members WHERE expires_at <= $1";
    OWNERS_OF_NAMESPACE = "SELECT COUNT(*) FROM members m JOIN users u ON u.id = m.user_id \
        WHERE m.namespace_id = $1 AND m.user_id <> $2 AND m.access_level = 50 AND u.kind = 'person' \
        AND (m.expires_at IS NULL OR m.expires_at > $3)";
}

fn ids(place: Place) -> (Option<i64>, Option<i64>) {
    match place {
        Place::Project(id) => (Some(id.0), None),
        Place::Namespace(id) => (None, Some(id.0)),
    }
}

/// Records a membership.
///
/// # Errors
/// [`Error::Unique`] when the user is a direct member already.
pub async fn insert(
    tx: &mut Tx,
    place: Place,
    user: UserId,
    role: Role,
    expires_at: Option<i64>,
    created_by: Option<UserId>,
    now: i64,
) -> Result<(), Error> {
    let (project, namespace) = ids(place);
    let params = [
        V::from(user.0),
        V::from(project),
        V::from(namespace),
        V::from(role.level()),
        V::from(expires_at),
        V::from(created_by.map(|user| user.0)),
        V::from(now),
    ];
    tx.run(&INSERT, &params).await?;
    Ok(())
}

/// Changes a direct membership. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn update(
    tx: &mut Tx,
    place: Place,
    user: UserId,
    role: Role,
    expires_at: Option<i64>,
) -> Result<bool, Error> {
    let (id, statement) = match place {
        Place::Project(id) => (id.0, &UPDATE_OF_PROJECT),
        Place::Namespace(id) => (id.0, &UPDATE_OF_NAMESPACE),
    };
    let params = [V::from(id), V::from(user.0), V::from(role.level()), V::from(expires_at)];
    Ok(tx.run(statement, &params).await? > 0)
}

/// Ends a direct membership. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, place: Place, user: UserId) -> Result<bool, Error> {
    let (id, statement) = match place {
        Place::Project(id) => (id.0, &DELETE_OF_PROJECT),
        Place::Namespace(id) => (id.0, &DELETE_OF_NAMESPACE),
    };
    Ok(tx.run(statement, &[V::from(id), V::from(user.0)]).await? > 0)
}

/// Ends every membership of a user.
///
/// # Errors
/// The database's.
pub async fn delete_all_of(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    tx.run(&DELETE_OF_USER, &[V::from(user.0)]).await?;
    Ok(())
}

/// Removes the rows of memberships that ended by date, which have not counted since. Returns how many.
///
/// # Errors
/// The database's.
pub async fn delete_expired(tx: &mut Tx, now: i64) -> Result<u64, Error> {
    tx.run(&DELETE_EXPIRED, &[V::from(now)]).await
}

/// Returns how many living Owners a group has directly, apart from this user.
///
/// # Errors
/// The database's.
pub async fn other_owners(tx: &mut Tx, namespace: NamespaceId, user: UserId, now: i64) -> Result<i64, Error> {
    let params = [V::from(namespace.0), V::from(user.0), V::from(now)];
    Ok(tx.one(&OWNERS_OF_NAMESPACE, &params, |row| row.get(0)).await?.unwrap_or(0))
}

/// Whether memberships of the namespaces above count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Direct ones only.
    Direct,
    /// Inherited ones too; each user once, with the highest role.
    Inherited,
}

/// What a list of members is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Part of the name or username.
    pub query: Option<String>,
    /// Only these users; empty means all.
    pub users: Vec<i64>,
}

/// Returns the living members of a place, by user id.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    place: Place,
    reach: Reach,
    filter: &MemberFilter,
    window: Window,
    now: i64,
) -> Result<Listing<Member>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("m.expires_at IS NULL OR m.expires_at > ?", [now.into()]);
    let (id, direct, above) = match place {
        Place::Project(id) => (
            id.0,
            "m.project_id = ?",
            "SELECT a.ancestor_id FROM projects p JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id WHERE p.id = ?",
        ),
        Place::Namespace(id) => (
            id.0,
            "m.namespace_id = ?",
            "SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.descendant_id = ?",
        ),
    };
    match reach {
        Reach::Direct => conditions.and(direct, [id.into()]),
        Reach::Inherited => {
            conditions.and(&format!("{direct} OR m.namespace_id IN ({above})"), [id.into(), id.into()]);
            // Of several memberships of one user the highest counts; of equal ones the first.
            let direct = direct.replace("m.", "o.");
            conditions.and(
                &format!(
                    "NOT m.id IN (SELECT l.id FROM members l JOIN members o ON o.user_id = l.user_id \
                     WHERE l.user_id = m.user_id AND (o.expires_at IS NULL OR o.expires_at > ?) \
                     AND ({direct} OR o.namespace_id IN ({above})) \
                     AND (o.access_level > l.access_level OR (o.access_level = l.access_level AND o.id < l.id)))"
                ),
                [now.into(), id.into(), id.into()],
            );
        }
    }
    if let Some(query) = &filter.query {
        conditions.and_contains(&["u.name", "u.username"], query);
    }
    if !filter.users.is_empty() {
        conditions.and_in("m.user_id", &filter.users);
    }
    let columns = format!("{}, m.access_level, m.expires_at, m.created_at, m.created_by", users::COLUMNS);
    conditions.list(tx, &columns, "members m JOIN users u ON u.id = m.user_id", "u.id", window, read).await
}

/// Returns a living membership of a user.
///
/// # Errors
/// The database's.
pub async fn find(
    tx: &mut Tx,
    place: Place,
    reach: Reach,
    user: UserId,
    now: i64,
) -> Result<Option<Member>, Error> {
    let filter = MemberFilter { query: None, users: vec![user.0] };
    let found = list(tx, place, reach, &filter, Window { limit: 1, offset: 0 }, now).await?;
    Ok(found.items.into_iter().next())
}

/// What somebody is a direct member of.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The project or group.
    pub place: Place,
    /// Its path.
    pub full_path: String,
    /// With which role.
    pub role: Role,
    /// Midnight UTC from which on it is no membership, in Unix microseconds.
    pub expires_at: Option<i64>,
    /// Since when.
    pub created_at: i64,
}

/// Returns what a user is a direct member of at `now`, by path.
///
/// # Errors
/// The database's.
pub async fn places_of(
    tx: &mut Tx,
    user: UserId,
    window: Window,
    now: i64,
) -> Result<Listing<Membership>, Error> {
    let mut conditions = Conditions::default();
    conditions
        .and("m.user_id = ? AND (m.expires_at IS NULL OR m.expires_at > ?)", [user.0.into(), now.into()]);
    conditions.and("p.deletion_requested_at IS NULL AND n.deletion_requested_at IS NULL", []);
    let read = |row: &Row<'_>| {
        let level: i64 = row.get(3)?;
        let place = match (row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?) {
            (Some(project), _) => Place::Project(ProjectId(project)),
            (None, Some(namespace)) => Place::Namespace(NamespaceId(namespace)),
            (None, None) => return Err(Error::Corrupt("a membership of nothing".to_owned())),
        };
        Ok(Membership {
            place,
            full_path: row.get(2)?,
            role: Role::from_level(level)
                .ok_or_else(|| Error::Corrupt(format!("members.access_level is {level}")))?,
            expires_at: row.get(4)?,
            created_at: row.get(5)?,
        })
    };
    let from = "members m LEFT JOIN projects p ON p.id = m.project_id LEFT JOIN namespaces n ON n.id = m.namespace_id";
    let columns = "m.project_id, m.namespace_id, COALESCE(p.full_path, n.full_path), m.access_level, m.expires_at, \
         m.created_at";
    conditions.list(tx, columns, from, "lower(COALESCE(p.full_path, n.full_path)), m.id", window, read).await
}
