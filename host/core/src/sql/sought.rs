//! What a call looks for in a text: the pattern of LIKE, the characters that `trim` takes off, what `replace` replaces.
//!
//! For every character of it a database may go through all of the text, in one call, and a database looks at the clock
//! between calls and not inside of one. So what is looked for is short: a function that both databases have measures it
//! before each call. Not here, where only literals could be measured: checks of contracts are statements, too, and one
//! that was stored is to stay readable.

use sqlparser::ast::{Expr, Value};

use super::check::Walk;
use super::expression::call;
use super::{SqlDialect, sqlite_functions};

/// The most characters that a call may look for.
pub const MAX_SOUGHT_CHARS: usize = 100;
/// Functions whose second argument is what they look for.
pub(super) const SEEKING: [&str; 4] = ["ltrim", "replace", "rtrim", "trim"];

impl Walk<'_> {
    /// Bound what a call looks for. A revision, which is an operator's, is left as it is.
    pub(super) fn sought(&mut self, sought: &mut Expr) {
        if self.revision.is_some() {
            return;
        }
        match self.dialect {
            SqlDialect::Sqlite => {
                let value = std::mem::replace(sought, Expr::value(Value::Null));
                *sought = call(sqlite_functions::SOUGHT, vec![value]);
            }
            SqlDialect::PostgreSql => {
                // This server looks at the clock before each row, and a call takes longer than most of what it bounds: the
                // first literals, which together are as short as one may be, do without.
                if !literal(sought).is_some_and(|text| self.does_without(text)) {
                    self.postgres_sought(sought);
                }
            }
        }
    }

    /// The same text always, or never: an expression of `SELECT` that stands in `GROUP BY` again is to be the same there.
    fn does_without(&mut self, text: &str) -> bool {
        if self.literals_sought.contains(text) {
            return true;
        }
        let chars = |text: &str| text.chars().count();
        let known: usize = self.literals_sought.iter().map(|text| chars(text)).sum();
        let is_short = known + chars(text) <= MAX_SOUGHT_CHARS && !self.literals_bounded.contains(text);
        let seen = if is_short { &mut self.literals_sought } else { &mut self.literals_bounded };
        seen.insert(text.to_owned());
        is_short
    }
}

/// A text that is written out.
fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SqlDialect, check};
    use super::MAX_SOUGHT_CHARS;
    use crate::contract::Contract;

    fn written(sql: &str, dialect: SqlDialect) -> String {
        let contract = Contract::from_toml(
            r#"
            identifier = "t"
            index = ["time_index", "name"]
            columns = [
                { name = "time_index", type = "timestamp_tz" }, { name = "name", type = "string" },
                { name = "i", type = "int32" },
            ]"#,
        )
        .unwrap();
        check(sql, &contract, dialect).unwrap().sql
    }

    #[test]
    fn what_is_looked_for_is_bounded_where_it_is_looked_for() {
        for (sql, sqlite, postgres) in [
            (
                "SELECT name LIKE i AS a",
                "name LIKE datanode_sought(i)",
                "name LIKE datanode_sql.sought(datanode_sql.as_text(i))",
            ),
            (
                "SELECT replace(name, name, i) AS a",
                "replace(name, datanode_sought(name), i)",
                "replace(name, datanode_sql.sought(name), datanode_sql.as_text(i))",
            ),
            (
                "SELECT ltrim(name, i) AS a",
                "ltrim(name, datanode_sought(i))",
                "ltrim(name, datanode_sql.sought(datanode_sql.as_text(i)))",
            ),
            (
                "SELECT trim(name, name) AS a",
                "TRIM(name, datanode_sought(name))",
                "TRIM(name, datanode_sql.sought(name))",
            ),
            // As a quoted name it is a function like others, too.
            (
                "SELECT \"trim\"(name, name) AS a",
                "\"trim\"(name, datanode_sought(name))",
                "\"trim\"(name, datanode_sql.sought(name))",
            ),
            ("SELECT rtrim(name, ('b')) AS a", "rtrim(name, datanode_sought(('b')))", "rtrim(name, ('b'))"),
            ("SELECT rtrim(name) AS a", "rtrim(name)", "rtrim(name)"),
        ] {
            let sqlite_has = written(sql, SqlDialect::Sqlite);
            assert!(sqlite_has.contains(sqlite), "{sql}: {sqlite_has}");
            assert_eq!(written(sql, SqlDialect::PostgreSql), format!("SELECT {postgres} AS a"), "{sql}");
        }
    }

    /// PostgreSQL looks at the clock before each row: a few literals need no call.
    #[test]
    fn only_so_much_of_literals_goes_without_a_call() {
        let most = "é".repeat(MAX_SOUGHT_CHARS);
        let sql =
            written(&format!("SELECT name LIKE '{most}' AS a, name LIKE 'b' AS b"), SqlDialect::PostgreSql);
        assert_eq!(sql, format!("SELECT name LIKE '{most}' AS a, name LIKE datanode_sql.sought('b') AS b"));
        // What stands there twice is the same twice, or the server would take them for two expressions.
        let (long, longer) = ("b".repeat(60), "c".repeat(60));
        let sql = format!(
            "SELECT rtrim(name, '{long}') AS a, ltrim(name, '{longer}') AS b, count(*) AS n FROM t \
             GROUP BY rtrim(name, '{long}'), ltrim(name, '{longer}')"
        );
        let sql = written(&sql, SqlDialect::PostgreSql);
        let bounded = format!("datanode_sql.sought('{longer}')");
        assert_eq!((sql.matches(&bounded).count(), sql.matches("sought").count()), (2, 2), "{sql}");
        let sql = written(&format!("SELECT ltrim(name, '{most}x') AS a"), SqlDialect::PostgreSql);
        assert_eq!(sql, format!("SELECT ltrim(name, datanode_sql.sought('{most}x')) AS a"));
    }
}
