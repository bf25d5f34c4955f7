//! Packages of projects, and the files in them.
//!
//! A package is only ever found inside its project, a file inside its package. The row of a file is what links its content
//! in the blob store.

use portcullis_rules::id::{BlobId, PackageFileId, PackageId, ProjectId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};

/// What a generic package is called in the database and the API.
pub const GENERIC: &str = "generic";

/// Whether a package is shown in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageStatus {
    /// It is.
    Default,
    /// It is not, unless hidden ones are asked for. It can be downloaded like any other.
    Hidden,
}

impl PackageStatus {
    /// Returns the word used by the API and the database.
    pub fn name(self) -> &'static str {
        match self {
            PackageStatus::Default => "default",
            PackageStatus::Hidden => "hidden",
        }
    }

    /// Returns what `word` means.
    pub fn from_name(word: &str) -> Option<PackageStatus> {
        match word {
            "default" => Some(PackageStatus::Default),
            "hidden" => Some(PackageStatus::Hidden),
            _ => None,
        }
    }
}

/// A package as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The id.
    pub id: PackageId,
    /// The project.
    pub project: ProjectId,
    /// What kind of package it is.
    pub package_type: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether lists show it.
    pub status: PackageStatus,
    /// Who published its first file, or the Ghost User.
    pub creator: UserId,
    /// When that was, in Unix microseconds.
    pub created_at: i64,
}

/// A file of a package as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// The id.
    pub id: PackageFileId,
    /// The package.
    pub package: PackageId,
    /// What it is called; a path when it has slashes.
    pub file_name: String,
    /// Its content in the blob store.
    pub blob: BlobId,
    /// What that content is called by.
    pub digest: String,
    /// How many bytes it has.
    pub size: i64,
    /// Whether the content is known to be missing or damaged.
    pub missing: bool,
    /// When it was published, in Unix microseconds.
    pub created_at: i64,
}

/// The columns of [`Package`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "k.id, k.project_id, k.package_type, k.name, k.version, k.status, k.creator_id, k.created_at"
    };
}

/// The columns of [`PackageFile`], in the order [`read_file`] expects.
macro_rules! file_columns {
    () => {
        "f.id, f.package_id, f.file_name, f.blob_id, b.digest, b.size, b.missing_at, f.created_at"
    };
}

fn read(row: &Row<'_>) -> Result<Package, Error> {
    let status = row.text(5)?;
    Ok(Package {
        id: PackageId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        package_type: row.get(2)?,
        name: row.get(3)?,
        version: row.get(4)?,
        status: PackageStatus::from_name(status)
            .ok_or_else(|| Error::Corrupt(format!("packages.status is {status}")))?,
        creator: UserId(row.get(6)?),
        created_at: row.get(7)?,
    })
}

fn read_file(row: &Row<'_>) -> Result<PackageFile, Error> {
    Ok(PackageFile {
        id: PackageFileId(row.get(0)?),
        package: PackageId(row.get(1)?),
        file_name: row.get(2)?,
        blob: BlobId(row.get(3)?),
        digest: row.get(4)?,
        size: row.get(5)?,
        missing: row.get::<Option<i64>>(6)?.is_some(),
        created_at: row.get(7)?,
    })
}

statements! {
    PUBLISH = "INSERT INTO packages (project_id, package_type, name, version, status, creator_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (project_id, package_type, name, version) \
        DO UPDATE SET updated_at = excluded.updated_at RETURNING id";
    SET_STATUS = "UPDATE packages SET status = $2 WHERE id = $1";
    INSERT_FILE = "INSERT INTO package_files (package_id, blob_id, file_name, creator_id, created_at) \
        VALUES ($1, $2, $3, $4, $5) RETURNING id";
    LOCK = "UPDATE packages SET updated_at = updated_at WHERE project_id = $1 AND id = $2";
    FIND = concat!("SELECT ", columns!(), " FROM packages k WHERE k.project_id = $1 AND k.id = $2");
    FIND_FILE = concat!(
        "SELECT ", file_columns!(), " FROM packages k JOIN package_files f ON f.package_id = k.id \
        JOIN blobs b ON b.id = f.blob_id WHERE k.project_id = $1 AND k.id = $2 AND f.id = $3"
    );
    FIND_NEWEST = concat!(
        "SELECT ", file_columns!(), " FROM packages k JOIN package_files f ON f.package_id = k.id \
        JOIN blobs b ON b.id = f.blob_id WHERE k.project_id = $1 AND k.package_type = $2 AND k.name = $3 AND k.version = $4 \
        AND f.file_name = $5 ORDER BY f.id DESC LIMIT 1"
    );
    DELETE = "DELETE FROM packages WHERE project_id = $1 AND id = $2";
    DELETE_FILE = "DELETE FROM package_files WHERE package_id = $1 AND id = $2";
}

/// Which version of which package something is about.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The project.
    pub project: ProjectId,
    /// What kind of package it is.
    pub package_type: &'a str,
    /// The name.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
}

/// Returns the package of a version, which is made if it is not there, and locks it until the transaction ends. A status
/// is changed when one is given.
///
/// # Errors
/// The database's.
pub async fn publish(
    tx: &mut Tx,
    version: Version<'_>,
    status: Option<PackageStatus>,
    creator: UserId,
    now: i64,
) -> Result<PackageId, Error> {
    let first = status.unwrap_or(PackageStatus::Default);
    let params = [
        V::from(version.project.0),
        V::from(version.package_type),
        V::from(version.name),
        V::from(version.version),
        V::from(first.name()),
        V::from(creator.0),
        V::from(now),
    ];
    let id = tx.one(&PUBLISH, &params, |row| row.get(0)).await?;
    let id = id.map(PackageId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))?;
    if let Some(status) = status {
        tx.run(&SET_STATUS, &[V::from(id.0), V::from(status.name())]).await?;
    }
    Ok(id)
}

/// Adds a file to a package that is locked. The transaction has touched its content.
///
/// # Errors
/// The database's.
pub async fn insert_file(
    tx: &mut Tx,
    package: PackageId,
    blob: BlobId,
    file_name: &str,
    creator: UserId,
    now: i64,
) -> Result<PackageFileId, Error> {
    let params = [V::from(package.0), V::from(blob.0), V::from(file_name), V::from(creator.0), V::from(now)];
    let id = tx.one(&INSERT_FILE, &params, |row| row.get(0)).await?;
    id.map(PackageFileId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Locks a package of a project until the transaction ends, so that no file is added while it is being deleted. Returns
/// whether there is one.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, project: ProjectId, id: PackageId) -> Result<bool, Error> {
    Ok(tx.run(&LOCK, &[V::from(project.0), V::from(id.0)]).await? > 0)
}

/// Returns the package of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: PackageId) -> Result<Option<Package>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the file with this id in a package of a project.
///
/// # Errors
/// The database's.
pub async fn find_file(
    tx: &mut Tx,
    project: ProjectId,
    package: PackageId,
    id: PackageFileId,
) -> Result<Option<PackageFile>, Error> {
    tx.one(&FIND_FILE, &[V::from(project.0), V::from(package.0), V::from(id.0)], read_file).await
}

/// Returns the newest file of this name in a version.
///
/// # Errors
/// The database's.
pub async fn find_newest(
    tx: &mut Tx,
    version: Version<'_>,
    file_name: &str,
) -> Result<Option<PackageFile>, Error> {
    let params = [
        V::from(version.project.0),
        V::from(version.package_type),
        V::from(version.name),
        V::from(version.version),
        V::from(file_name),
    ];
    tx.one(&FIND_NEWEST, &params, read_file).await
}

/// Removes a package with its files. Their content must be touched before. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: PackageId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await? > 0)
}

/// Removes a file of a package. Its content must be touched before. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete_file(tx: &mut Tx, package: PackageId, id: PackageFileId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE_FILE, &[V::from(package.0), V::from(id.0)]).await? > 0)
}

/// What a list of packages is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackageOrder {
    /// When they were made.
    #[default]
    Created,
    /// Their name.
    Name,
    /// Their version, by its bytes.
    Version,
    /// What kind they are.
    Type,
}

/// What a list of packages is narrowed to.
#[derive(Clone, Debug)]
pub struct PackageFilter {
    /// Part of the name.
    pub name: Option<String>,
    /// Exactly this version.
    pub version: Option<String>,
    /// Only this kind.
    pub package_type: Option<String>,
    /// Only with this status.
    pub status: PackageStatus,
    /// By what they are ordered.
    pub order: PackageOrder,
    /// Smallest first.
    pub ascending: bool,
}

/// Returns packages of a project.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &mut Tx,
    project: ProjectId,
    filter: &PackageFilter,
    window: Window,
) -> Result<Listing<Package>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("k.project_id = ?", [project.0.into()]);
    conditions.and("k.status = ?", [filter.status.name().into()]);
    if let Some(name) = &filter.name {
        conditions.and_contains(&["k.name"], name);
    }
    if let Some(version) = &filter.version {
        conditions.and("k.version = ?", [version.as_str().into()]);
    }
    if let Some(kind) = &filter.package_type {
        conditions.and("k.package_type = ?", [kind.as_str().into()]);
    }
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let column = match filter.order {
        PackageOrder::Created => "k.created_at",
        PackageOrder::Name => "k.name",
        PackageOrder::Version => "k.version",
        PackageOrder::Type => "k.package_type",
    };
    let order = format!("{column} {direction}, k.id {direction}");
    conditions.list(tx, columns!(), "packages k", &order, window, read).await
}

/// Returns the files of a package, the oldest first. The package must be one of the project that was asked about.
///
/// # Errors
/// The database's.
pub async fn list_files(
    tx: &mut Tx,
    package: PackageId,
    window: Window,
) -> Result<Listing<PackageFile>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("f.package_id = ?", [package.0.into()]);
    let from = "package_files f JOIN blobs b ON b.id = f.blob_id";
    conditions.list(tx, file_columns!(), from, "f.id", window, read_file).await
}
