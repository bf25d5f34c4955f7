//! (being written)

use crate::db::{Error, Tx, statements};

statements! {
    COUNT = "SELECT COUNT(*) FROM issues";
}

/// Returns how many there are.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    Ok(tx.one(&COUNT, &[], |row| row.get(0)).await?.unwrap_or(0))
}
