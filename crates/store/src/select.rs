//! Lists whose filters are chosen by the caller: conditions put together from fixed texts, values kept apart.

use crate::db::{Error, Query, Row, Tx, V};

/// Totals are counted up to this many rows; beyond it a list has no total, as in GitLab, because counting would cost
/// more than the page.
pub const MAX_COUNTED_ROWS: i64 = 10_000;

/// Longer texts are not searched for; SQLite would refuse a pattern of 50,000 bytes.
const MAX_SEARCH_BYTES: usize = 1000;

/// A value of a condition, owned until the list runs.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number, id or time.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

/// How the pages of a list are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    /// By their number; rows are counted.
    #[default]
    Numbered,
    /// By what stands last on the page before: a page costs the same however far it is. Rows are not counted.
    Keyset(Option<Behind>),
}

/// The row that stands last on a page: what the list is ordered by, and the id, which decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The time in Unix microseconds, or the id again.
    pub value: i64,
    /// The id.
    pub id: i64,
}

/// The window of a list.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How many rows at most.
    pub limit: i64,
    /// How many rows are skipped.
    pub offset: i64,
}

/// Rows of a list, and how many there are in all when that is known.
#[derive(Debug)]
pub struct Listing<T> {
    /// The rows inside the window.
    pub items: Vec<T>,
    /// All rows, unless there are more than [`MAX_COUNTED_ROWS`].
    pub total: Option<i64>,
}

impl<T> Listing<T> {
    /// Maps each row.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Listing<U> {
        Listing { items: self.items.into_iter().map(map).collect(), total: self.total }
    }
}

/// The conditions of a list. Each text marks its values with `?`.
#[derive(Debug, Default)]
pub struct Conditions {
    joined: String,
    text: String,
    values: Vec<Value>,
    uncounted: bool,
}

impl Conditions {
    /// Joins the rows of `select` that meet `narrowed`, named as `alias`, to those rows they belong to; the others stay
    /// without. Joins come before any condition, because values are numbered in the order of the text.
    pub fn left_join(&mut self, select: &str, narrowed: Conditions, alias: &str, on: &str) {
        debug_assert!(self.text.is_empty(), "joins come first");
        // The values of an earlier join have the first numbers.
        let mut parts = narrowed.text.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let number: usize = part[..digits].parse().unwrap_or_default();
            text.push_str(&format!("${}{}", self.values.len() + number, &part[digits..]));
        }
        self.joined.push_str(&format!(" LEFT JOIN ({select}{text}) {alias} ON {on}"));
        self.values.extend(narrowed.values);
    }

    /// Adds a condition that must hold too.
    pub fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.text.push_str(if self.text.is_empty() { " WHERE (" } else { " AND (" });
        let mut values = values.into_iter();
        for character in condition.chars() {
            if character == '?' {
                self.values.extend(values.next());
                self.text.push_str(&format!("${}", self.values.len()));
            } else {
                self.text.push(character);
            }
        }
        self.text.push(')');
    }

    /// Adds that `column` is one of `ids`.
    pub fn and_in(&mut self, column: &str, ids: &[i64]) {
        let marks = vec!["?"; ids.len()].join(", ");
        match ids {
            [] => self.and("1 = 0", []),
            ids => self.and(&format!("{column} IN ({marks})"), ids.iter().map(|id| Value::Int(*id))),
        }
    }

    /// Adds that `column` is one of `texts`.
    pub fn and_in_texts(&mut self, column: &str, texts: &[&str]) {
        let marks = vec!["?"; texts.len()].join(", ");
        match texts {
            [] => self.and("1 = 0", []),
            texts => self.and(&format!("{column} IN ({marks})"), texts.iter().map(|text| Value::from(*text))),
        }
    }

    /// Adds that one of `columns` contains `text`, without regard to the case of ASCII letters.
    /// A text too long to be part of a name is in none.
    pub fn and_contains(&mut self, columns: &[&str], text: &str) {
        if text.len() > MAX_SEARCH_BYTES {
            return self.and("1 = 0", []);
        }
        // SQLite's `lower` changes ASCII letters only, PostgreSQL's those that the database's locale knows.
        let mut lowered = vec![text.to_ascii_lowercase(), text.to_lowercase()];
        lowered.dedup();
        let pairs: Vec<_> =
            columns.iter().flat_map(|column| lowered.iter().map(move |text| (column, text))).collect();
        let any: Vec<_> =
            pairs.iter().map(|(column, _)| format!("lower({column}) LIKE ? ESCAPE '!'")).collect();
        self.and(
            &any.join(" OR "),
            pairs.iter().map(|(_, text)| Value::Text(format!("%{}%", like_escaped(text)))),
        );
    }

    /// Narrows the list to what comes behind a row, in the order of two columns with numbers.
    pub fn page(&mut self, paging: Paging, columns: (&str, &str), ascending: bool) {
        let Paging::Keyset(behind) = paging else { return };
        self.uncounted = true;
        if let Some(behind) = behind {
            // Compared as a pair, both engines begin at that place of an index.
            let relation = if ascending { ">" } else { "<" };
            let pair = format!("({}, {}) {relation} (?, ?)", columns.0, columns.1);
            self.and(&pair, [behind.value.into(), behind.id.into()]);
        }
    }

    /// Runs `SELECT columns FROM from` with these conditions.
    ///
    /// # Errors
    /// The database's.
    pub async fn list<T>(
        self,
        tx: &mut Tx,
        columns: &str,
        from: &str,
        order: &str,
        window: Window,
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Listing<T>, Error> {
        let mut values = self.borrowed();
        let total = if self.uncounted {
            None
        } else {
            let counted = Query::new(format!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM {from}{}{} LIMIT {}) counted",
                self.joined,
                self.text,
                MAX_COUNTED_ROWS + 1
            ));
            tx.one(&counted, &values, |row| row.get::<i64>(0)).await?
        };
        let window_at = values.len();
        values.extend([V::Int(window.limit), V::Int(window.offset)]);
        let page = Query::new(format!(
            "SELECT {columns} FROM {from}{}{} ORDER BY {order} LIMIT ${} OFFSET ${}",
            self.joined,
            self.text,
            window_at + 1,
            window_at + 2
        ));
        let items = tx.all(&page, &values, map).await?;
        Ok(Listing { items, total: total.filter(|total| *total <= MAX_COUNTED_ROWS) })
    }

    fn borrowed(&self) -> Vec<V<'_>> {
        self.values
            .iter()
            .map(|value| match value {
                Value::Int(number) => V::Int(*number),
                Value::Text(text) => V::Text(text),
            })
            .collect()
    }
}

/// Returns `text` so that LIKE takes every character for itself; `!` is the escape character.
fn like_escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_across_conditions() {
        let mut conditions = Conditions::default();
        conditions.and("a = ? OR b = ?", [1.into(), "x".into()]);
        conditions.and_in("c", &[5, 6]);
        conditions.and_in("d", &[]);
        assert_eq!(conditions.text, " WHERE (a = $1 OR b = $2) AND (c IN ($3, $4)) AND (1 = 0)");
        assert_eq!(conditions.values.len(), 4);
    }

    #[test]
    fn what_is_searched_for_is_found_by_the_lower_of_either_engine() {
        let mut conditions = Conditions::default();
        conditions.and_contains(&["a", "b"], "Éx");
        let texts: Vec<_> = conditions.values.iter().map(|value| format!("{value:?}")).collect();
        assert_eq!(texts, [r#"Text("%Éx%")"#, r#"Text("%éx%")"#, r#"Text("%Éx%")"#, r#"Text("%éx%")"#]);
        let mut plain = Conditions::default();
        plain.and_contains(&["a"], "AB");
        assert_eq!(plain.values.len(), 1);
    }

    #[test]
    fn what_is_searched_for_is_taken_literally() {
        assert_eq!(like_escaped("50%_!"), "50!%!_!!");
    }
}
