//! Values on their way out of a row.

use std::error::Error as StdError;

use rusqlite::types::{FromSql as FromSqlite, ValueRef};
use tokio_postgres::types::{FromSql, Type};

use super::Error;

/// One row of an answer. Columns are counted from 0 in the order of the statement.
#[derive(Debug)]
pub struct Row<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> Row<'a> {
    pub(super) fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self(Inner::Sqlite(row))
    }

    pub(super) fn postgres(row: &'a tokio_postgres::Row) -> Self {
        Self(Inner::Postgres(row))
    }

    /// Returns the value of a column; `Option<T>` where the column may be NULL.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, Error> {
        T::from_row(self, index)
    }

    /// Returns a text without copying it, for columns that are parsed at once.
    pub fn text(&self, index: usize) -> Result<&str, Error> {
        match &self.0 {
            Inner::Sqlite(row) => match row.get_ref(index) {
                Ok(ValueRef::Text(bytes)) => {
                    std::str::from_utf8(bytes).map_err(|_| self.unexpected(index, "text"))
                }
                _ => Err(self.unexpected(index, "text")),
            },
            Inner::Postgres(row) => row.try_get(index).map_err(|_| self.unexpected(index, "text")),
        }
    }

    fn value<T>(&self, index: usize, expected: &'static str) -> Result<T, Error>
    where
        T: FromSqlite + for<'r> FromSql<'r>,
    {
        let value = match &self.0 {
            Inner::Sqlite(row) => row.get(index).ok(),
            Inner::Postgres(row) => row.try_get(index).ok(),
        };
        value.ok_or_else(|| self.unexpected(index, expected))
    }

    fn integer<T>(&self, index: usize, expected: &'static str) -> Result<T, Error>
    where
        T: FromSqlite + FromInteger,
    {
        let value = match &self.0 {
            Inner::Sqlite(row) => row.get(index).ok(),
            Inner::Postgres(row) => T::from_postgres(row, index),
        };
        value.ok_or_else(|| self.unexpected(index, expected))
    }

    /// Names the column but never its content, which may be a secret's digest.
    #[cold]
    fn unexpected(&self, index: usize, expected: &str) -> Error {
        let name = match &self.0 {
            Inner::Sqlite(row) => row.as_ref().column_name(index).unwrap_or("none"),
            Inner::Postgres(row) => row.columns().get(index).map_or("none", |column| column.name()),
        };
        Error::Corrupt(format!("column {index} ({name}) does not hold {expected}"))
    }
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// Reads the column.
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error>;
}

impl Column for i64 {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.integer(index, "a number")
    }
}

impl Column for Option<i64> {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.integer(index, "a number or nothing")
    }
}

impl Column for String {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.value(index, "a text")
    }
}

impl Column for Option<String> {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.value(index, "a text or nothing")
    }
}

impl Column for Vec<u8> {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.value(index, "bytes")
    }
}

impl Column for Option<Vec<u8>> {
    fn from_row(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.value(index, "bytes or nothing")
    }
}

/// An integer column of PostgreSQL, whatever its width. A comparison is a `bool` there and 0 or 1 on SQLite.
struct Integer(i64);

impl<'a> FromSql<'a> for Integer {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            _ => bool::from_sql(ty, raw)?.into(),
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL)
    }
}

trait FromInteger: Sized {
    fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Option<Self>;
}

impl FromInteger for i64 {
    fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Option<Self> {
        row.try_get(index).ok().map(|Integer(value)| value)
    }
}

impl FromInteger for Option<i64> {
    fn from_postgres(row: &tokio_postgres::Row, index: usize) -> Option<Self> {
        let value: Option<Integer> = row.try_get(index).ok()?;
        Some(value.map(|Integer(value)| value))
    }
}
