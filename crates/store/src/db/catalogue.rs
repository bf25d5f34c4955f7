//! Questions about the database itself: is it alive, does a statement fit its schema, what refers to a table.
//!
//! The only place where the two engines are asked in different words.

use tokio_postgres::types::Type;

use super::{Db, Engine, Error, Pool, Sql, Statement, Tx};

/// A column that refers to another table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignKey {
    /// The table that holds the column.
    pub table: String,
    /// The column.
    pub column: String,
    /// What happens to the row when the one it refers to is deleted: `NO ACTION`, `RESTRICT`, `CASCADE`, `SET
    /// NULL` or `SET DEFAULT`.
    pub on_delete: String,
}

static PING: Statement = Statement::new("db::PING", "SELECT 1");

/// Reading the schema makes SQLite touch the file.
static PING_SQLITE: Statement = Statement::new("db::PING_SQLITE", "SELECT COUNT(*) FROM sqlite_schema");

static FOREIGN_KEYS_SQLITE: Statement = Statement::new(
    "db::FOREIGN_KEYS_SQLITE",
    r#"SELECT t.name, k."from", k.on_delete FROM sqlite_schema t, pragma_foreign_key_list(t.name) k
       WHERE t.type = 'table' AND lower(k."table") = lower($1) ORDER BY 1, 2"#,
);

static FOREIGN_KEYS_POSTGRES: Statement = Statement::new(
    "db::FOREIGN_KEYS_POSTGRES",
    r#"SELECT t.relname::text COLLATE "C", a.attname::text COLLATE "C", CASE k.confdeltype
         WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
         WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END
       FROM pg_constraint k
       JOIN pg_class t ON t.oid = k.conrelid
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
       WHERE k.contype = 'f' AND k.confrelid = to_regclass($1::text)
       ORDER BY 1, 2"#,
);

static TABLE_SQLITE: Statement = Statement::new(
    "db::TABLE_SQLITE",
    "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower($1)",
);

static TABLE_POSTGRES: Statement =
    Statement::new("db::TABLE_POSTGRES", "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1::text)");

pub(super) async fn ping(db: &Db) -> Result<(), Error> {
    let statement = match db.engine() {
        Engine::Sqlite => &PING_SQLITE,
        Engine::Postgres => &PING,
    };
    db.read().await?.one(statement, &[], |_| Ok(())).await?;
    Ok(())
}

pub(super) async fn foreign_keys_to(db: &Db, table: &str) -> Result<Vec<ForeignKey>, Error> {
    let statement = match db.engine() {
        Engine::Sqlite => &FOREIGN_KEYS_SQLITE,
        Engine::Postgres => &FOREIGN_KEYS_POSTGRES,
    };
    let mut tx = db.read().await?;
    tx.all(statement, &[table.into()], |row| {
        Ok(ForeignKey { table: row.get(0)?, column: row.get(1)?, on_delete: row.get(2)? })
    })
    .await
}

/// Tells whether a table is there.
pub(crate) async fn has_table(tx: &mut Tx, engine: Engine, table: &str) -> Result<bool, Error> {
    let statement = match engine {
        Engine::Sqlite => &TABLE_SQLITE,
        Engine::Postgres => &TABLE_POSTGRES,
    };
    let count = tx.one(statement, &[table.into()], |row| row.get::<i64>(0)).await?;
    Ok(count != Some(0))
}

/// Prepares a statement without running it: its tables and columns exist, its placeholders are `$1` to `$n`
/// without a gap, and on PostgreSQL, which knows the types, it stays inside the palette.
///
/// # Errors
/// [`Error::Internal`] with what is wrong.
pub async fn prepare_check(db: &Db, statement: &'static Statement) -> Result<(), Error> {
    let named = |what: String| Error::fault(format!("{}: {what}", statement.name));
    match &db.0 {
        Pool::Sqlite(pool) => {
            let reader = pool.read().await?;
            let text = (&statement).sqlite();
            let prepared = reader.connection().prepare(text).map_err(|error| named(error.to_string()))?;
            for index in 1..=prepared.parameter_count() {
                if prepared.parameter_name(index).is_none() {
                    return Err(named(format!("the placeholder ${index} is missing")));
                }
            }
        }
        Pool::Postgres(pool) => {
            let reader = pool.read().await?;
            let prepared = reader.prepare(statement.sql).await.map_err(|error| named(error.to_string()))?;
            for (index, ty) in prepared.params().iter().enumerate() {
                if !matches!(
                    *ty,
                    Type::INT8 | Type::INT4 | Type::INT2 | Type::TEXT | Type::VARCHAR | Type::BYTEA
                ) {
                    return Err(named(format!("${} has the type {ty}; cast it into the palette", index + 1)));
                }
            }
            for column in prepared.columns() {
                let ty = column.type_();
                let integer = matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL);
                if !integer && !matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BYTEA) {
                    let name = column.name();
                    return Err(named(format!("column {name} has the type {ty}; cast it into the palette")));
                }
            }
        }
    }
    Ok(())
}
