//! SQL of users and of revisions, on both databases.

use datanode_core::sql::{Reach, SqlDialect, check, check_revision};

/// Judge a statement as a query on SQLite and on PostgreSQL, and as one of a revision.
///
/// Promises: what may run is one statement, without comments, that begins with a word that reads (or, of a revision, one
/// of those that it may use).
pub fn sql(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let table = crate::table();
    for dialect in [SqlDialect::Sqlite, SqlDialect::PostgreSql] {
        if let Ok(checked) = check(&text, &table, dialect) {
            is_one(&checked.sql, &["SELECT", "WITH", "EXPLAIN", "VALUES", "("]);
        }
    }
    let reach = Reach { contract: &table, read: &["other".to_owned()] };
    if let Ok(checked) = check_revision(&text, &reach) {
        is_one(&checked, &["ALTER", "INSERT", "UPDATE", "DELETE", "WITH"]);
    }
}

fn is_one(sql: &str, begins: &[&str]) {
    assert!(begins.iter().any(|begin| sql.starts_with(begin)), "{sql}");
    let code = without_quoted(sql);
    for piece in [";", "--", "/*", "\0"] {
        assert!(!code.contains(piece), "`{piece}` in {sql}");
    }
}

/// Without literals and quoted names: what a database reads as code.
fn without_quoted(sql: &str) -> String {
    let mut code = String::new();
    let mut quote = None;
    for character in sql.chars() {
        match quote {
            // A doubled quote ends one piece and begins the next.
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if character == '\'' || character == '"' => quote = Some(character),
            None => code.push(character),
        }
    }
    assert!(quote.is_none(), "a quote is left open in {sql}");
    code
}
