//! Files that were uploaded to projects.
//!
//! An upload is only ever found inside its project. Its row is what links its content in the blob store.

use portcullis_rules::id::{BlobId, ProjectId, UploadId, UserId};

use crate::db::{Error, Row, Tx, V, statements};
use crate::select::{Conditions, Listing, Window};
use crate::users::{self, User};

/// An uploaded file as recorded.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The id.
    pub id: UploadId,
    /// The project.
    pub project: ProjectId,
    /// Who uploaded it, or the Ghost User.
    pub author: User,
    /// The part of its address that cannot be foreseen.
    pub secret: String,
    /// What it is called.
    pub file_name: String,
    /// Its content in the blob store.
    pub blob: BlobId,
    /// What that content is called by.
    pub digest: String,
    /// How many bytes it has.
    pub size: i64,
    /// Whether the content is known to be missing or damaged.
    pub missing: bool,
    /// When it was uploaded, in Unix microseconds.
    pub created_at: i64,
}

/// The columns of [`Upload`], in the order [`read`] expects.
macro_rules! columns {
    () => {
        "u.id, u.username, u.name, u.email, u.kind, u.administrator_since, u.external_since, u.blocked_at, \
         u.bot_project_id, u.created_by, u.created_at, \
         x.id, x.project_id, x.secret, x.file_name, x.blob_id, b.digest, b.size, b.missing_at, x.created_at"
    };
}

/// The tables that they are in.
macro_rules! from {
    () => {
        "uploads x JOIN users u ON u.id = x.author_id JOIN blobs b ON b.id = x.blob_id"
    };
}

fn read(row: &Row<'_>) -> Result<Upload, Error> {
    let at = users::COLUMN_COUNT;
    Ok(Upload {
        author: users::read_at(row, 0)?,
        id: UploadId(row.get(at)?),
        project: ProjectId(row.get(at + 1)?),
        secret: row.get(at + 2)?,
        file_name: row.get(at + 3)?,
        blob: BlobId(row.get(at + 4)?),
        digest: row.get(at + 5)?,
        size: row.get(at + 6)?,
        missing: row.get::<Option<i64>>(at + 7)?.is_some(),
        created_at: row.get(at + 8)?,
    })
}

statements! {
    INSERT = "INSERT INTO uploads (project_id, blob_id, secret, file_name, author_id, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    FIND = concat!("SELECT ", columns!(), " FROM ", from!(), " WHERE x.project_id = $1 AND x.id = $2");
    FIND_BY_SECRET = concat!(
        "SELECT ", columns!(), " FROM ", from!(), " WHERE x.project_id = $1 AND x.secret = $2 AND x.file_name = $3"
    );
    DELETE = "DELETE FROM uploads WHERE project_id = $1 AND id = $2";
}

/// An uploaded file to be recorded.
#[derive(Clone, Debug)]
pub struct NewUpload<'a> {
    /// The project.
    pub project: ProjectId,
    /// Its content, which the transaction has touched.
    pub blob: BlobId,
    /// The part of its address that cannot be foreseen.
    pub secret: &'a str,
    /// What it is called.
    pub file_name: &'a str,
    /// Who uploads it.
    pub author: UserId,
}

/// Records an uploaded file.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &NewUpload<'_>, now: i64) -> Result<UploadId, Error> {
    let params = [
        V::from(new.project.0),
        V::from(new.blob.0),
        V::from(new.secret),
        V::from(new.file_name),
        V::from(new.author.0),
        V::from(now),
    ];
    let id = tx.one(&INSERT, &params, |row| row.get(0)).await?;
    id.map(UploadId).ok_or_else(|| Error::Corrupt("an insert returned no id".to_owned()))
}

/// Returns the uploaded file of a project with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, project: ProjectId, id: UploadId) -> Result<Option<Upload>, Error> {
    tx.one(&FIND, &[V::from(project.0), V::from(id.0)], read).await
}

/// Returns the uploaded file of a project with this secret and name.
///
/// # Errors
/// The database's.
pub async fn find_by_secret(
    tx: &mut Tx,
    project: ProjectId,
    secret: &str,
    file_name: &str,
) -> Result<Option<Upload>, Error> {
    tx.one(&FIND_BY_SECRET, &[V::from(project.0), V::from(secret), V::from(file_name)], read).await
}

/// Removes the record of an uploaded file. Its content must be touched before. Returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, project: ProjectId, id: UploadId) -> Result<bool, Error> {
    Ok(tx.run(&DELETE, &[V::from(project.0), V::from(id.0)]).await? > 0)
}

/// Returns the uploaded files of a project, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(tx: &mut Tx, project: ProjectId, window: Window) -> Result<Listing<Upload>, Error> {
    let mut conditions = Conditions::default();
    conditions.and("x.project_id = ?", [project.0.into()]);
    conditions.list(tx, columns!(), from!(), "x.id DESC", window, read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_begin_with_those_of_a_user() {
        assert!(columns!().starts_with(&format!("{}, x.id", users::COLUMNS)));
    }
}
