//! Namespaces: groups at any depth, and each person's own.

use portcullis_rules::access::{Role, Visibility};
use portcullis_rules::id::{NamespaceId, UserId};
use portcullis_rules::names::FullPath;
use portcullis_rules::token::Plan;

use crate::audience::{Audience, MEMBER_NAMESPACES};
use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// A namespace as recorded.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// The id.
    pub id: NamespaceId,
    /// The person whose own namespace it is; `None` of a group.
    pub owner: Option<UserId>,
    /// The group it is in.
    pub parent: Option<NamespaceId>,
    /// The name people read.
    pub name: String,
    /// Its own segment of the path.
    pub path: String,
    /// The whole path.
    pub full_path: String,
    /// What it is for.
    pub description: String,
    /// Who can see it.
    pub visibility: Visibility,
    /// The plan; counts at the top level only.
    pub plan: Plan,
    /// Whether its members may create project access tokens; counts at the top level only.
    pub token_creation_allowed: bool,
    /// How many bytes the images of all projects below it may take; counts at the top level only.
    pub container_quota_bytes: Option<i64>,
    /// Whether projects below it may have large files of Git (LFS); counts at the top level only.
    pub lfs: bool,
    /// Whether whoever belongs to it needs a second factor to sign in.
    pub second_factor_required: bool,
    /// When it was made, in Unix microseconds.
    pub created_at: i64,
}

impl Namespace {
    /// Returns whether this is a group, not a person's own namespace.
    pub fn is_group(&self) -> bool {
        self.owner.is_none()
    }
}

pub(crate) const COLUMNS: &str = "n.id, n.owner_id, n.parent_id, n.name, n.path, n.full_path, n.description, \
     n.visibility, n.plan, n.token_creation_forbidden_at, n.created_at, n.container_quota_bytes, n.lfs_off_since, \
     n.second_factor_required_since";

pub(crate) fn read(row: &Row<'_>) -> Result<Namespace, Error> {
    let visibility: i64 = row.get(7)?;
    Ok(Namespace {
        id: NamespaceId(row.get(0)?),
        owner: row.get::<Option<i64>>(1)?.map(UserId),
        parent: row.get::<Option<i64>>(2)?.map(NamespaceId),
        name: row.get(3)?,
        path: row.get(4)?,
        full_path: row.get(5)?,
        description: row.get(6)?,
        visibility: Visibility::from_level(visibility)
            .ok_or_else(|| Error::Corrupt(format!("namespaces.visibility is {visibility}")))?,
        plan: Plan::from_name(row.text(8)?)
            .ok_or_else(|| Error::Corrupt("namespaces.plan is unknown".to_owned()))?,
        token_creation_allowed: row.get::<Option<i64>>(9)?.is_none(),
        created_at: row.get(10)?,
        container_quota_bytes: row.get(11)?,
        lfs: row.get::<Option<i64>>(12)?.is_none(),
        second_factor_required: row.get::<Option<i64>>(13)?.is_some(),
    })
}

statements! {
    INSERT = "INSERT INTO namespaces (kind, parent_id, owner_id, name, path, full_path, description, visibility, plan, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING id";
    INSERT_ANCESTORS = "INSERT INTO namespace_ancestors (descendant_id, ancestor_id, depth) \
        SELECT CAST($1 AS BIGINT), ancestor_id, depth + 1 FROM namespace_ancestors WHERE descendant_id = $2";
    INSERT_SELF = "INSERT INTO namespace_ancestors (descendant_id, ancestor_id, depth) VALUES ($1, $1, 0)";
    FIND = "SELECT n.id, n.owner_id, n.parent_id, n.name, n.path, n.full_path, n.description, n.visibility, n.plan, \
        n.token_creation_forbidden_at, n.created_at, n.container_quota_bytes, n.lfs_off_since, \
        n.second_factor_required_since FROM namespaces n WHERE n.id = $1 AND n.deletion_requested_at IS NULL";
    FIND_BY_PATH = "SELECT n.id, n.owner_id, n.parent_id, n.name, n.path, n.full_path, n.description, n.visibility, n.plan, \
        n.token_creation_forbidden_at, n.created_at, n.container_quota_bytes, n.lfs_off_since, \
        n.second_factor_required_since FROM namespaces n \
        WHERE lower(n.full_path) = $1 AND n.deletion_requested_at IS NULL";
    FIND_OWN = "SELECT n.id, n.owner_id, n.parent_id, n.name, n.path, n.full_path, n.description, n.visibility, n.plan, \
        n.token_creation_forbidden_at, n.created_at, n.container_quota_bytes, n.lfs_off_since, \
        n.second_factor_required_since FROM namespaces n WHERE n.owner_id = $1";
    ROOT = "SELECT n.id, n.owner_id, n.parent_id, n.name, n.path, n.full_path, n.description, n.visibility, n.plan, \
        n.token_creation_forbidden_at, n.created_at, n.container_quota_bytes, n.lfs_off_since, \
        n.second_factor_required_since FROM namespaces n \
        JOIN namespace_ancestors a ON a.ancestor_id = n.id WHERE a.descendant_id = $1 AND n.parent_id IS NULL";
    LEVELS = "SELECT COUNT(*) FROM namespace_ancestors WHERE descendant_id = $1";
    ROLE = "SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
        WHERE a.descendant_id = $1 AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > $3)";
    LOCK = "UPDATE namespaces SET updated_at = updated_at WHERE id = $1 AND deletion_requested_at IS NULL";
    ROLE_THROUGH = "SELECT MAX(m.access_level) FROM namespace_ancestors a JOIN members m ON m.namespace_id = a.ancestor_id \
        WHERE a.descendant_id = $1 AND a.ancestor_id = $4 AND m.user_id = $2 AND (m.expires_at IS NULL OR m.expires_at > $3)";
    UPDATE = "UPDATE namespaces SET name = $2, description = $3, visibility = $4, updated_at = $5 WHERE id = $1";
    SET_PLAN = "UPDATE namespaces SET plan = $2, updated_at = $3 WHERE id = $1";
    SET_CONTAINER_QUOTA = "UPDATE namespaces SET container_quota_bytes = $2, updated_at = $3 WHERE id = $1";
    SET_LFS = "UPDATE namespaces SET lfs_off_since = $2, updated_at = $3 WHERE id = $1";
    SET_SECOND_FACTOR = "UPDATE namespaces SET second_factor_required_since = $2, updated_at = $3 WHERE id = $1";
    SET_TOKEN_CREATION = "UPDATE namespaces SET token_creation_forbidden_at = $2, updated_at = $3 WHERE id = $1";
    WIDEST_INSIDE = "SELECT MAX(v.visibility) FROM (SELECT n.visibility FROM namespaces n \
        JOIN namespace_ancestors a ON a.descendant_id = n.id WHERE a.ancestor_id = $1 AND a.depth > 0 \
        UNION ALL SELECT p.visibility FROM projects p JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id \
        WHERE a.ancestor_id = $1 AND p.deletion_requested_at IS NULL) v";
    REQUEST_DELETION = "UPDATE namespaces SET deletion_requested_at = $2 WHERE id IN \
        (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = $1)";
    RELEASE_PATHS = "UPDATE namespaces SET full_path = full_path || '/-deleted-' || CAST(id AS TEXT) WHERE id IN \
        (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = $1)";
    PROJECTS_INSIDE = "SELECT p.id FROM projects p JOIN namespace_ancestors a ON a.descendant_id = p.namespace_id \
        WHERE a.ancestor_id = $1 ORDER BY p.id";
    INSIDE_DEEPEST_FIRST = "SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = $1 ORDER BY depth DESC";
    DELETE = "DELETE FROM namespaces WHERE id = $1";
    COUNT_GROUPS = "SELECT COUNT(*) FROM namespaces WHERE kind = 'group' AND deletion_requested_at IS NULL";
}

/// A namespace to be recorded.
#[derive(Clone, Debug)]
pub struct NewNamespace<'a> {
    /// The person whose own it is; `None` makes a group.
    pub owner: Option<UserId>,
    /// The group it goes into.
    pub parent: Option<NamespaceId>,
    /// The name people read.
    pub name: &'a str,
    /// Its own segment.
    pub path: &'a str,
    /// The whole path.
    pub full_path: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// Who can see it.
    pub visibility: Visibility,
}

/// Records a namespace below its parent.
///
/// # Errors
/// [`Error::Unique`] when the path is taken.
pub async fn insert(tx: &mut Tx, new: &NewNamespace<'_>, now: i64) -> Result<NamespaceId, Error> {
    let kind = if new.owner.is_some() { "user" } else { "group" };
    let params = [
        V::from(kind),
        V::from(new.parent.map(|parent| parent.0)),
        V::from(new.owner.map(|owner| owner.0)),
        V::from(new.name),
        V::from(new.path),
        V::from(new.full_path),
        V::from(new.description),
        V::from(new.visibility.level()),
        V::from(Plan::Free.name()),
        V::from(now),
    ];
    let id: i64 = tx
        .one(&INSERT, &params, |row| row.get(0))
        .await?
        .ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))?;
    tx.run(&INSERT_SELF, &[V::from(id)]).await?;
    if let Some(parent) = new.parent {
        tx.run(&INSERT_ANCESTORS, &[V::from(id), V::from(parent.0)]).await?;
    }
    Ok(NamespaceId(id))
}

/// Returns the namespace with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, id: NamespaceId) -> Result<Option<Namespace>, Error> {
    tx.one(&FIND, &[V::from(id.0)], read).await
}

/// Returns the namespace with this path.
///
/// # Errors
/// The database's.
pub async fn find_by_path(tx: &mut Tx, path: &FullPath) -> Result<Option<Namespace>, Error> {
    tx.one(&FIND_BY_PATH, &[V::from(path.as_str())], read).await
}

/// Returns a person's own namespace.
///
/// # Errors
/// The database's.
pub async fn find_own(tx: &mut Tx, owner: UserId) -> Result<Option<Namespace>, Error> {
    tx.one(&FIND_OWN, &[V::from(owner.0)], read).await
}

/// Returns the top-level namespace above this one, or itself.
///
/// # Errors
/// The database's.
pub async fn find_root(tx: &mut Tx, id: NamespaceId) -> Result<Option<Namespace>, Error> {
    tx.one(&ROOT, &[V::from(id.0)], read).await
}

/// Returns how many levels there are from the top to this namespace, itself included.
///
/// # Errors
/// The database's.
pub async fn levels(tx: &mut Tx, id: NamespaceId) -> Result<i64, Error> {
    Ok(tx.one(&LEVELS, &[V::from(id.0)], |row| row.get(0)).await?.unwrap_or(0))
}

/// Returns a user's highest living role on a namespace, inherited ones included.
///
/// # Errors
/// The database's.
pub async fn find_role(tx: &mut Tx, id: NamespaceId, user: UserId, now: i64) -> Result<Option<Role>, Error> {
    let params = [V::from(id.0), V::from(user.0), V::from(now)];
    let level: Option<i64> = tx.one(&ROLE, &params, |row| row.get(0)).await?.flatten();
    Ok(level.and_then(Role::from_level))
}

/// Returns a user's living role on a namespace that comes from a membership of the group `through`, which is this namespace
/// or one above it, and from no other.
///
/// # Errors
/// The database's.
pub async fn find_role_through(
    tx: &mut Tx,
    id: NamespaceId,
    through: NamespaceId,
    user: UserId,
    now: i64,
) -> Result<Option<Role>, Error> {
    let params = [V::from(id.0), V::from(user.0), V::from(now), V::from(through.0)];
    let level: Option<i64> = tx.one(&ROLE_THROUGH, &params, |row| row.get(0)).await?.flatten();
    Ok(level.and_then(Role::from_level))
}

/// Locks a namespace's row until the transaction ends. Returns whether there is such a namespace.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, id: NamespaceId) -> Result<bool, Error> {
    Ok(tx.run(&LOCK, &[V::from(id.0)]).await? > 0)
}

/// Changes what people read, and who can see it.
///
/// # Errors
/// The database's.
pub async fn update(tx: &mut Tx, namespace: &Namespace, now: i64) -> Result<(), Error> {
    let params = [
        V::from(namespace.id.0),
        V::from(&namespace.name),
        V::from(&namespace.description),
        V::from(namespace.visibility.level()),
        V::from(now),
    ];
    tx.run(&UPDATE, &params).await?;
    Ok(())
}

/// Records the plan.
///
/// # Errors
/// The database's.
pub async fn set_plan(tx: &mut Tx, id: NamespaceId, plan: Plan, now: i64) -> Result<(), Error> {
    tx.run(&SET_PLAN, &[V::from(id.0), V::from(plan.name()), V::from(now)]).await?;
    Ok(())
}

/// Records how many bytes the images of all projects below a top-level namespace may take.
///
/// # Errors
/// The database's.
pub async fn set_container_quota(
    tx: &mut Tx,
    id: NamespaceId,
    bytes: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    tx.run(&SET_CONTAINER_QUOTA, &[V::from(id.0), V::from(bytes), V::from(now)]).await?;
    Ok(())
}

/// Records whether project access tokens may be created below.
///
/// # Errors
/// The database's.
pub async fn set_token_creation(tx: &mut Tx, id: NamespaceId, allowed: bool, now: i64) -> Result<(), Error> {
    let forbidden_at = (!allowed).then_some(now);
    tx.run(&SET_TOKEN_CREATION, &[V::from(id.0), V::from(forbidden_at), V::from(now)]).await?;
    Ok(())
}

/// Records whether projects below may have large files.
///
/// # Errors
/// The database's.
pub async fn set_lfs(tx: &mut Tx, id: NamespaceId, on: bool, now: i64) -> Result<(), Error> {
    tx.run(&SET_LFS, &[V::from(id.0), V::from((!on).then_some(now)), V::from(now)]).await?;
    Ok(())
}

/// Records whether whoever belongs to a group needs a second factor.
///
/// # Errors
/// The database's.
pub async fn set_second_factor(tx: &mut Tx, id: NamespaceId, required: bool, now: i64) -> Result<(), Error> {
    tx.run(&SET_SECOND_FACTOR, &[V::from(id.0), V::from(required.then_some(now)), V::from(now)]).await?;
    Ok(())
}

/// Returns the widest visibility of anything inside a group.
///
/// # Errors
/// The database's.
pub async fn widest_visibility_inside(tx: &mut Tx, id: NamespaceId) -> Result<Option<Visibility>, Error> {
    let level: Option<i64> = tx.one(&WIDEST_INSIDE, &[V::from(id.0)], |row| row.get(0)).await?.flatten();
    Ok(level.and_then(Visibility::from_level))
}

/// Hides a namespace and all below it, and frees their paths, before the job that deletes them.
///
/// # Errors
/// The database's.
pub async fn request_deletion(tx: &mut Tx, id: NamespaceId, now: i64) -> Result<(), Error> {
    tx.run(&REQUEST_DELETION, &[V::from(id.0), V::from(now)]).await?;
    tx.run(&RELEASE_PATHS, &[V::from(id.0)]).await?;
    Ok(())
}

/// Returns the ids of every project inside a namespace, at any depth.
///
/// # Errors
/// The database's.
pub async fn projects_inside(tx: &mut Tx, id: NamespaceId) -> Result<Vec<i64>, Error> {
    tx.all(&PROJECTS_INSIDE, &[V::from(id.0)], |row| row.get(0)).await
}

/// Deletes a namespace and those below it, once no project is left in any of them.
///
/// # Errors
/// [`Error::ForeignKey`] while there is one.
pub async fn delete_with_descendants(tx: &mut Tx, id: NamespaceId) -> Result<(), Error> {
    let inside: Vec<i64> = tx.all(&INSIDE_DEEPEST_FIRST, &[V::from(id.0)], |row| row.get(0)).await?;
    for descendant in inside {
        tx.run(&DELETE, &[V::from(descendant)]).await?;
    }
    Ok(())
}

/// Returns how many groups there are.
///
/// # Errors
/// The database's.
pub async fn count_groups(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT_GROUPS, &[], |row| row.get(0)).await?.unwrap_or(0))
}

/// What a list of namespaces is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct NamespaceFilter {
    /// Only groups.
    pub groups_only: bool,
    /// Part of the name or the path.
    pub search: Option<String>,
    /// Only direct children of this one.
    pub parent: Option<NamespaceId>,
    /// Only those anywhere below this one.
    pub below: Option<NamespaceId>,
    /// Only those without a parent.
    pub top_level_only: bool,
    /// Only those where this user has at least this role now.
    pub member: Option<(UserId, Role)>,
    /// Without these.
    pub without: Vec<i64>,
    /// Only namespaces this person may use: their own and the groups they are a member of.
    pub usable_by: Option<UserId>,
}

/// Returns the namespaces that `audience` can see, by full path.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    audience: Audience,
    filter: &NamespaceFilter,
    window: Window,
    now: i64,
) -> Result<Listing<Namespace>, Error> {
    let mut conditions = Conditions::default();
    audience.narrow_namespaces(&mut conditions, now);
    if filter.groups_only {
        conditions.and("n.kind = 'group'", []);
    }
    if let Some(search) = &filter.search {
        conditions.and_contains(&["n.name", "n.full_path"], search);
    }
    if let Some(parent) = filter.parent {
        conditions.and("n.parent_id = ?", [parent.0.into()]);
    }
    if let Some(ancestor) = filter.below {
        conditions.and(
            "n.id IN (SELECT descendant_id FROM namespace_ancestors WHERE ancestor_id = ? AND depth > 0)",
            [ancestor.0.into()],
        );
    }
    if filter.top_level_only {
        conditions.and("n.parent_id IS NULL", []);
    }
    if let Some((user, role)) = filter.member {
        conditions.and(
            "n.id IN (SELECT a.descendant_id FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.namespace_id \
             WHERE m.user_id = ? AND m.access_level >= ? AND (m.expires_at IS NULL OR m.expires_at > ?))",
            [user.0.into(), role.level().into(), now.into()],
        );
    }
    if let Some(user) = filter.usable_by {
        conditions.and(
            &format!("n.owner_id = ? OR {MEMBER_NAMESPACES}"),
            [user.0.into(), user.0.into(), now.into()],
        );
    }
    for id in &filter.without {
        conditions.and("n.id <> ?", [(*id).into()]);
    }
    conditions.list(tx, COLUMNS, "namespaces n", "lower(n.full_path), n.id", window, read).await
}
