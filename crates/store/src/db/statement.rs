//! The text of statements: written once, as PostgreSQL reads it, and understood by both engines.
//!
//! A placeholder is `$1`, `$2`, …. SQLite takes `$1` for a *name* and numbers names by first appearance, so
//! for it each one becomes `?1`, `?2`, …, once per statement: a placeholder may then repeat and stand in any
//! order.

use std::sync::OnceLock;

/// A statement with a name, fixed at compile time. Tables define theirs with `statements!`.
#[derive(Debug)]
pub struct Statement {
    /// Where the statement is defined, for messages.
    pub name: &'static str,
    /// The text, with `$n` for placeholders.
    pub sql: &'static str,
    sqlite: OnceLock<String>,
}

impl Statement {
    /// Names a text.
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql, sqlite: OnceLock::new() }
    }
}

/// A statement whose text was put together while running, such as a list with optional filters.
///
/// Both engines keep prepared statements by their text, so build it from few pieces and never from values.
#[derive(Debug, Clone)]
pub struct Query {
    sql: String,
    sqlite: String,
}

impl Query {
    /// Takes a text with `$n` for placeholders.
    pub fn new(sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { sqlite: question_marks(&sql), sql }
    }
}

/// A text that either engine can run.
pub trait Sql: Copy {
    /// Returns the text for SQLite, with `?n` for placeholders.
    fn sqlite(&self) -> &str;
    /// Returns the text for PostgreSQL, with `$n` for placeholders.
    fn postgres(&self) -> &str;
}

impl Sql for &'static Statement {
    fn sqlite(&self) -> &str {
        self.sqlite.get_or_init(|| question_marks(self.sql))
    }

    fn postgres(&self) -> &str {
        self.sql
    }
}

impl Sql for &Query {
    fn sqlite(&self) -> &str {
        &self.sqlite
    }

    fn postgres(&self) -> &str {
        &self.sql
    }
}

/// Turns `$n` into `?n`, except between quotes.
fn question_marks(sql: &str) -> String {
    let mut quote = None;
    let mut characters = sql.chars().peekable();
    let mut text = String::with_capacity(sql.len());
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, '$') if characters.peek().is_some_and(char::is_ascii_digit) => {
                text.push('?');
                continue;
            }
            _ => {}
        }
        text.push(character);
    }
    text
}

/// Defines the statements of a table's file, and `STATEMENTS`, the list of them for the test that prepares
/// every one.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)*) => {
        $(
            $(#[$meta])*
            pub(crate) static $name: $crate::db::Statement =
                $crate::db::Statement::new(concat!(module_path!(), "::", stringify!($name)), $sql);
        )*

        /// Every statement of this file, so that a test can prepare them all on both engines.
        pub(crate) static STATEMENTS: &[&$crate::db::Statement] = &[$(&$name),*];
    };
}
pub(crate) use statements;

#[cfg(test)]
mod tests {
    use super::question_marks;

    #[test]
    fn placeholders_become_numbered_question_marks() {
        assert_eq!(
            question_marks("SELECT $2, $1 WHERE a = $2 AND b = $10"),
            "SELECT ?2, ?1 WHERE a = ?2 AND b = ?10"
        );
    }

    #[test]
    fn quoted_dollars_stay() {
        assert_eq!(
            question_marks("SELECT '$1', \"$2\", 'it''s $3', $4"),
            "SELECT '$1', \"$2\", 'it''s $3', ?4"
        );
    }
}
